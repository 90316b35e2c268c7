/* Fetching, verifying, remembering policies. */
#include "coordinator/cli/policy_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/hex.h"
#include "common/pkg/digest.h"
#include "common/signed/fingerprint.h"
#include "common/signed/objects.h"

#define MEMORY_TEXT_SIZE (STATE_PATH_SIZE + 256U)
#define DIGEST_TEXT_SIZE (2 * LIMIT_DIGEST_BYTES + 1)

/* What this account saw last. */
struct memory {
    char path[STATE_PATH_SIZE]; /* of the file */
    uint64_t version;           /* 0: nothing */
    uint8_t digest[LIMIT_DIGEST_BYTES];
};

static void digest_of(const void *bytes, size_t size, uint8_t out[LIMIT_DIGEST_BYTES])
{
    struct digest *digest = digest_new();
    digest_add(digest, bytes, size);
    digest_end(digest, out);
    digest_free(digest);
}

/* ---- the file ---- */

static int memory_path(const char *endpoint, char path[STATE_PATH_SIZE], struct err *err)
{
    char home[STATE_ROOT_SIZE];
    uint8_t digest[LIMIT_DIGEST_BYTES];
    char name[DIGEST_TEXT_SIZE];
    if (state_home_find(home, err) != 0)
        return -1;
    digest_of(endpoint, strlen(endpoint), digest);
    hex_encode(digest, sizeof digest, name);
    (void)snprintf(path, STATE_PATH_SIZE, "%s/policy/%.16s", home, name);
    return 0;
}

static int memory_read(struct memory *memory, const char *endpoint, struct err *err)
{
    char text[MEMORY_TEXT_SIZE] = {0};
    char digest[DIGEST_TEXT_SIZE] = {0};
    memset(memory, 0, sizeof *memory);
    if (memory_path(endpoint, memory->path, err) != 0)
        return -1;
    FILE *file = fopen(memory->path, "re");
    if (file == NULL)
        return errno == ENOENT ? 0 : err_set_errno(err, errno, "cannot read %s", memory->path);
    size_t size = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[size] = '\0';
    static const char head[] = "pusher-policy 1\nversion ";
    char *end = NULL;
    if (strncmp(text, head, sizeof head - 1) == 0)
        memory->version = strtoull(text + sizeof head - 1, &end, 10);
    static const char between[] = "\nsha256 ";
    if (end != NULL && strncmp(end, between, sizeof between - 1) == 0)
        memcpy(digest, end + sizeof between - 1, sizeof digest - 1);
    if (memory->version > 0 && hex_decode(digest, memory->digest, sizeof memory->digest) == 0)
        return 0;
    return err_set(err, ERR_INVALID,
                   "%s is damaged: it says which policy was seen last; compare pusher policy show "
                   "with another operator's, then remove the file",
                   memory->path);
}

static int memory_write(const struct session *session, uint64_t version,
                        const uint8_t digest[LIMIT_DIGEST_BYTES], struct err *err)
{
    char path[STATE_PATH_SIZE];
    char folder[STATE_PATH_SIZE];
    char text[MEMORY_TEXT_SIZE];
    char digits[DIGEST_TEXT_SIZE];
    if (memory_path(session->endpoint, path, err) != 0)
        return -1;
    (void)snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    if (folders_make(folder, err) != 0)
        return -1;
    hex_encode(digest, LIMIT_DIGEST_BYTES, digits);
    int length = snprintf(text, sizeof text,
                          "pusher-policy 1\nversion %" PRIu64 "\nsha256 %s\ncoordinator %s\n",
                          version, digits, session->endpoint);
    return file_write(path, text, (size_t)length, err);
}

/* ---- the chain ---- */

struct chain {
    const struct memory *memory;
    struct policy_state *state;
};

/* The one that was remembered stands for all before it. */
static int take_known(const struct chain *chain, const struct message_object *object,
                      const uint8_t digest[LIMIT_DIGEST_BYTES], struct err *err)
{
    struct policy policy;
    if (memcmp(digest, chain->memory->digest, LIMIT_DIGEST_BYTES) != 0)
        return err_set(err, ERR_DENIED,
                       "the coordinator's policy %llu is not the one that this account saw before: "
                       "somebody replaced it; ask the other operators. Only if it was set up anew "
                       "on purpose, remove %s",
                       (unsigned long long)chain->memory->version, chain->memory->path);
    if (policy_look(object->bytes, object->size, &policy, NULL, err) != 0)
        return -1;
    policy_release(&chain->state->newest);
    chain->state->newest = policy;
    return 0;
}

static int take_object(const struct chain *chain, const struct message_object *object,
                       struct err *err)
{
    struct policy_state *state = chain->state;
    uint8_t digest[LIMIT_DIGEST_BYTES];
    enum signed_kind kind = SIGNED_KIND_COUNT;
    bool known = state->newest.version == 0 && chain->memory->version > 0;
    digest_of(object->bytes, object->size, digest);
    int result = known ? take_known(chain, object, digest, err)
                       : policy_follow(&state->newest, object->bytes, object->size, err);
    if (result == 0)
        result = object_look(object->bytes, object->size, &kind, state->signer, err);
    memcpy(state->digest, digest, sizeof digest);
    return result == 0 ? 0 : err_wrap(err, "the coordinator's policies");
}

/* All versions from `first` on. */
static int fetch_from(struct session *session, const struct chain *chain, uint64_t first,
                      struct err *err)
{
    while (first != 0) {
        struct message request = {.kind = MESSAGE_OBJECTS_GET};
        struct message answer;
        request.objects_get.kind = SIGNED_POLICY;
        request.objects_get.first = first;
        if (session_call(session, &request, MESSAGE_OBJECTS, &answer, err) != 0)
            return -1;
        int result = 0;
        for (uint32_t i = 0; i < answer.objects.row_count && result == 0; i++)
            result = take_object(chain, &answer.objects.rows[i], err);
        uint64_t next = answer.objects.next;
        message_release(&answer);
        if (result != 0)
            return -1;
        if (next != 0 && next <= first)
            return err_set(err, ERR_PROTOCOL, "the coordinator's list of policies has no end");
        first = next;
    }
    return 0;
}

int policy_state_fetch(struct session *session, struct policy_state *out, struct err *err)
{
    struct memory memory;
    const struct chain chain = {&memory, out};
    memset(out, 0, sizeof *out);
    if (memory_read(&memory, session->endpoint, err) != 0)
        return -1;
    out->first_sight = memory.version == 0;
    int result = fetch_from(session, &chain, memory.version > 0 ? memory.version : 1, err);
    if (result == 0 && out->newest.version == 0)
        result = memory.version == 0
                     ? err_set(err, ERR_NOT_FOUND,
                               "the coordinator has no policy yet: pusher policy init makes the "
                               "first one")
                     : err_set(err, ERR_DENIED,
                               "the coordinator has no policy %llu, which this account saw before: "
                               "its store is older, or somebody cut it; ask the other operators. "
                               "Only if it was set up anew on purpose, remove %s",
                               (unsigned long long)memory.version, memory.path);
    if (result == 0 && out->newest.version != memory.version)
        result = memory_write(session, out->newest.version, out->digest, err);
    if (result != 0)
        policy_state_release(out);
    return result;
}

void policy_state_release(struct policy_state *state)
{
    policy_release(&state->newest);
    memset(state, 0, sizeof *state);
}

void policy_state_say(const struct session *session, const struct policy_state *state)
{
    char fingerprint[FINGERPRINT_TEXT_SIZE];
    if (!state->first_sight)
        return;
    key_fingerprint(state->signer, fingerprint);
    say(session->common,
        "first sight of this coordinator's policy (version %llu, signed by %s): remembered; "
        "compare "
        "it with what another operator sees (pusher policy show)",
        (unsigned long long)state->newest.version, fingerprint);
}

static int may_change(const struct policy_state *state, const struct policy *next,
                      const struct key_pair *operator_key, struct err *err)
{
    const struct policy *judge = state->newest.version > 0 ? &state->newest : next;
    if (state->first_sight && state->newest.version > 0)
        return err_set(err, ERR_DENIED,
                       "this account sees the policy of this coordinator for the first time: "
                       "compare pusher policy show with what another operator sees, then do this "
                       "again");
    if (!policy_has_operator(judge, operator_key->public_key))
        return err_set(err, ERR_DENIED,
                       "this key is no operator of policy %llu: an operator makes it one with "
                       "pusher key trust",
                       (unsigned long long)judge->version);
    return 0;
}

int policy_state_change(struct session *session, const struct policy_state *state,
                        struct policy *next, const struct key_pair *operator_key, struct err *err)
{
    struct message request = {.kind = MESSAGE_OBJECT};
    struct message answer;
    uint8_t digest[LIMIT_DIGEST_BYTES];
    struct buf bytes;
    next->version = state->newest.version + 1;
    next->made_unix_s = time(NULL);
    if (may_change(state, next, operator_key, err) != 0)
        return -1;
    buf_init(&bytes, OBJECT_BYTES_MAX);
    int result = policy_make(next, operator_key, &bytes, err);
    if (result == 0) {
        digest_of(bytes.data, bytes.size, digest);
        request.object.bytes = bytes.data;
        request.object.size = bytes.size;
        result = session_call(session, &request, MESSAGE_OK, &answer, err);
    }
    if (result == 0) {
        message_release(&answer);
        result = memory_write(session, next->version, digest, err);
    }
    buf_release(&bytes);
    return result;
}
