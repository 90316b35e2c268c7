/* relay/enrolment: the files that an enrolled relay starts from, damaged or from somewhere else,
 * and the policies and certificates that its coordinator sends.
 *
 * Input: which file, and its bytes; the others are good. Holds: what is loaded is complete and is
 * loaded again after it was saved; a refusal names the file; a certificate that is not this relay's
 * never counts. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "relay/enrolment.h"
#include "signed_world.h"

static const char *const names[] = {"enrolled", "policy.signed", "certificate.signed"};
static const char good_text[] = "pusher-enrolled 1\nname paris-1\nsite paris\n"
                                "coordinator tcp://10.0.0.1:4570\npackages tcp://10.0.0.1:4571\n";
static char folder[256];
static struct relay_state state;
static const struct signed_world *world;

static void path_of(int file, char path[300])
{
    (void)snprintf(path, 300, "%s/%s", folder, names[file]);
}

static void clean_up(void)
{
    char path[300];
    for (int i = 0; i < 3; i++) {
        path_of(i, path);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    world = signed_world();
    (void)snprintf(folder, sizeof folder, "%s/pusher-fuzz-state-XXXXXX", fuzz_temporary());
    FUZZ_CHECK(mkdtemp(folder) != NULL);
    (void)atexit(clean_up);
    state.folder = folder;
    state.seal = world->seal;
    memset(state.curve.public_key, 5, LIMIT_KEY_BYTES); /* as the world's certificate says */
    return 0;
}

static void put(int file, const void *bytes, size_t size)
{
    char path[300];
    path_of(file, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size && close(fd) == 0);
}

static void put_good(void)
{
    put(0, good_text, sizeof good_text - 1);
    put(1, world->objects[SIGNED_POLICY].data, world->objects[SIGNED_POLICY].size);
    put(2, world->objects[SIGNED_CERTIFICATE].data, world->objects[SIGNED_CERTIFICATE].size);
}

static void check_loaded(const struct enrolment *enrolment)
{
    FUZZ_CHECK(enrolment->name[0] != '\0' && enrolment->site[0] != '\0');
    FUZZ_CHECK(enrolment->coordinator[0] != '\0' && enrolment->packages[0] != '\0');
    if (enrolment->certificate.serial == 0)
        return;
    FUZZ_CHECK(key_equal(enrolment->certificate.curve_key, state.curve.public_key));
    FUZZ_CHECK(strcmp(enrolment->certificate.site, enrolment->site) == 0);
    FUZZ_CHECK(strcmp(enrolment->certificate.relay, enrolment->name) == 0);
}

static void try_load(void)
{
    struct enrolment first = {0};
    struct enrolment second = {0};
    struct err err = {0};
    const struct buf *policy = &world->objects[SIGNED_POLICY];
    if (enrolment_load(&first, &state, &err) != 0) {
        FUZZ_CHECK(err.code != ERR_NONE && err.text[0] != '\0');
        return;
    }
    check_loaded(&first);
    FUZZ_CHECK(enrolment_save(&first, folder, policy->data, policy->size, &err) == 0);
    FUZZ_CHECK(enrolment_load(&second, &state, &err) == 0);
    FUZZ_CHECK(strcmp(first.name, second.name) == 0 && strcmp(first.site, second.site) == 0);
    FUZZ_CHECK(strcmp(first.packages, second.packages) == 0);
    enrolment_release(&first);
    enrolment_release(&second);
}

/* What came over the link; `change` bytes of a good object are other than they were. */
static void try_take(struct cursor *in)
{
    struct enrolment enrolment = {0};
    enum enrolment_news news = ENROLMENT_NOTHING_NEW;
    struct err err = {0};
    bool policy = cursor_u8(in) % 2 == 0;
    const struct buf *good = &world->objects[policy ? SIGNED_POLICY : SIGNED_CERTIFICATE];
    size_t at = cursor_u16le(in) % good->size;
    uint8_t with = cursor_u8(in);
    struct buf object;
    FUZZ_CHECK(enrolment_load(&enrolment, &state, &err) == 0);
    enrolment.policy.version = 1; /* so that the world's is the next */
    enrolment.certificate.serial = 0;
    buf_init(&object, 1 << 20);
    buf_bytes(&object, good->data, good->size);
    object.data[at] ^= with;
    int result = enrolment_take(&enrolment, &state, object.data, object.size, &news, &err);
    FUZZ_CHECK((result == 0) == (with == 0));
    if (result == 0)
        FUZZ_CHECK(news == (policy ? ENROLMENT_POLICY : ENROLMENT_CERTIFICATE));
    check_loaded(&enrolment);
    buf_release(&object);
    enrolment_release(&enrolment);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = cursor_of(data, size);
    int file = cursor_u8(&in) % 4;
    if (size == 0)
        return 0;
    put_good();
    if (file == 3) {
        try_take(&in);
        return 0;
    }
    put(file, data + 1, size - 1);
    try_load();
    return 0;
}
