/* common/trust: keys and their files, signed objects, sealed credentials. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/trust/keys.h"
#include "common/trust/seal.h"
#include "common/trust/secret.h"
#include "common/trust/signed.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/pusher-trust-XXXXXX");
    return trust_start(NULL) != 0 || mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void key_every_kind_saved_and_loaded_is_the_same(void **state)
{
    (void)state;
    for (int kind = 0; kind < KEY_KIND_COUNT; kind++) {
        struct key_pair one;
        struct key_pair two;
        struct err err = {0};
        char name[16];
        (void)snprintf(name, sizeof name, "key%d", kind);
        const char *path = path_of(name);
        key_pair_generate(&one, (enum key_kind)kind);
        assert_int_equal(key_pair_save(&one, path, &err), 0);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(key_pair_load(&two, (enum key_kind)kind, path, &err), 0);
        assert_memory_equal(one.public_key, two.public_key, LIMIT_KEY_BYTES);
        assert_int_equal(one.secret_size, two.secret_size);
        assert_memory_equal(one.secret, two.secret, one.secret_size);
        assert_int_equal(key_pair_save(&one, path, &err), -1);
        assert_int_equal(err.code, ERR_EXISTS);
        struct key_pair other;
        enum key_kind other_kind = (enum key_kind)((kind + 1) % KEY_KIND_COUNT);
        assert_int_equal(key_pair_load(&other, other_kind, path, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
        key_pair_release(&one);
        key_pair_release(&two);
    }
}

static void key_file_that_others_may_touch_is_refused(void **state)
{
    (void)state;
    const mode_t modes[] = {0640, 0644, 0660, 0604, 0700, 04600};
    struct key_pair pair;
    struct err err = {0};
    const char *path = path_of("modes");
    key_pair_generate(&pair, KEY_CURVE);
    assert_int_equal(key_pair_save(&pair, path, &err), 0);
    key_pair_release(&pair);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(key_pair_load(&pair, KEY_CURVE, path, &err), -1);
        assert_int_equal(err.code, ERR_DENIED);
        assert_non_null(strstr(err.text, "must be 0600"));
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(key_pair_load(&pair, KEY_CURVE, path, &err), 0);
    key_pair_release(&pair);
}

static void key_file_of_another_owner_is_refused(void **state)
{
    (void)state;
    struct key_pair pair;
    struct err err = {0};
    const char *path = path_of("owner");
    if (geteuid() != 0)
        skip();
    key_pair_generate(&pair, KEY_CURVE);
    assert_int_equal(key_pair_save(&pair, path, &err), 0);
    key_pair_release(&pair);
    assert_int_equal(chown(path, 65534, 65534), 0);
    assert_int_equal(key_pair_load(&pair, KEY_CURVE, path, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    assert_non_null(strstr(err.text, "belongs to uid 65534"));
}

static void key_file_damaged_or_absent_is_refused(void **state)
{
    (void)state;
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    char text[300];
    struct key_pair pair;
    struct err err = {0};
    assert_int_equal(key_pair_load(&pair, KEY_SEAL, path_of("none"), &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(key_pair_load(&pair, KEY_SEAL, folder, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    write_file(path_of("empty"), "", 0600);
    assert_int_equal(key_pair_load(&pair, KEY_SEAL, path_of("empty"), &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    /* Halves that do not belong together. */
    (void)snprintf(text, sizeof text, "pusher-key 1 operator\npublic %s\nsecret %s\n", zeros,
                   zeros);
    write_file(path_of("halves"), text, 0600);
    assert_int_equal(key_pair_load(&pair, KEY_OPERATOR, path_of("halves"), &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    assert_null(pair.secret);
    /* A digit that is none, and one byte too many. */
    text[40] = 'g';
    write_file(path_of("digit"), text, 0600);
    assert_int_equal(key_pair_load(&pair, KEY_OPERATOR, path_of("digit"), &err), -1);
    text[40] = '0';
    (void)snprintf(text + strlen(text), 2, "x");
    write_file(path_of("long"), text, 0600);
    assert_int_equal(key_pair_load(&pair, KEY_OPERATOR, path_of("long"), &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
}

static void key_load_or_create_keeps_what_it_made(void **state)
{
    (void)state;
    struct key_pair one;
    struct key_pair two;
    struct err err = {0};
    assert_int_equal(key_pair_load_or_create(&one, KEY_CURVE, path_of("own"), &err), 0);
    assert_int_equal(key_pair_load_or_create(&two, KEY_CURVE, path_of("own"), &err), 0);
    assert_true(key_equal(one.public_key, two.public_key));
    key_pair_release(&one);
    key_pair_release(&two);
    assert_int_equal(chmod(path_of("own"), 0644), 0);
    assert_int_equal(key_pair_load_or_create(&one, KEY_CURVE, path_of("own"), &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    assert_int_equal(key_pair_load_or_create(&one, KEY_CURVE, path_of("no/such"), &err), -1);
}

static void key_text_round_trips_and_rejects_junk(void **state)
{
    (void)state;
    struct key_pair pair;
    uint8_t key[LIMIT_KEY_BYTES];
    char text[KEY_TEXT_SIZE];
    key_pair_generate(&pair, KEY_SEAL);
    key_text(pair.public_key, text);
    assert_int_equal(key_from_text(text, key, NULL), 0);
    assert_true(key_equal(key, pair.public_key));
    const uint8_t keys[2 * LIMIT_KEY_BYTES] = {1, [LIMIT_KEY_BYTES] = 2};
    const struct key_set set = {keys, 2};
    assert_true(key_set_has(&set, keys + LIMIT_KEY_BYTES));
    assert_false(key_set_has(&set, key));
    text[63] = '\0';
    assert_int_equal(key_from_text(text, key, NULL), -1);
    assert_int_equal(key_from_text("", key, NULL), -1);
    key_pair_release(&pair);
}

static void signed_object_opens_and_names_its_signer(void **state)
{
    (void)state;
    struct key_pair operator_key;
    struct signed_view view;
    struct err err = {0};
    struct buf out;
    key_pair_generate(&operator_key, KEY_OPERATOR);
    buf_init(&out, 1000);
    buf_text(&out, "before");
    assert_int_equal(signed_make(&operator_key, SIGNED_JOB, "payload", 7, &out, &err), 0);
    assert_int_equal(out.size, 6 + 7 + SIGNED_OVERHEAD_BYTES);
    assert_int_equal(signed_open(out.data + 6, out.size - 6, SIGNED_JOB, NULL, &view, &err), 0);
    assert_memory_equal(view.signer, operator_key.public_key, LIMIT_KEY_BYTES);
    assert_int_equal(view.payload_size, 7);
    assert_memory_equal(view.payload, "payload", 7);
    assert_int_equal(signed_make(&operator_key, SIGNED_JOB, out.data, 900, &out, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    buf_release(&out);
    key_pair_release(&operator_key);
}

static void signed_object_with_any_flipped_bit_is_refused(void **state)
{
    (void)state;
    struct key_pair operator_key;
    struct signed_view view;
    struct err err = {0};
    struct buf out;
    key_pair_generate(&operator_key, KEY_OPERATOR);
    buf_init(&out, 1000);
    assert_int_equal(signed_make(&operator_key, SIGNED_JOB, "payload", 7, &out, &err), 0);
    for (size_t bit = 0; bit < out.size * 8; bit++) {
        out.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(signed_open(out.data, out.size, SIGNED_JOB, NULL, &view, &err), -1);
        assert_true(err.code == ERR_PROTOCOL || err.code == ERR_DENIED);
        out.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t size = 0; size < out.size; size++)
        assert_int_equal(signed_open(out.data, size, SIGNED_JOB, NULL, &view, &err), -1);
    buf_u8(&out, 0);
    assert_int_equal(signed_open(out.data, out.size, SIGNED_JOB, NULL, &view, &err), -1);
    buf_release(&out);
    key_pair_release(&operator_key);
}

static void signed_object_of_other_kind_or_signer_is_refused(void **state)
{
    (void)state;
    struct key_pair one;
    struct key_pair two;
    struct signed_view view;
    struct err err = {0};
    struct buf out;
    key_pair_generate(&one, KEY_OPERATOR);
    key_pair_generate(&two, KEY_OPERATOR);
    buf_init(&out, 1000);
    assert_int_equal(signed_make(&one, SIGNED_JOB, "payload", 7, &out, &err), 0);
    assert_int_equal(signed_open(out.data, out.size, SIGNED_CREDENTIAL, NULL, &view, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    const struct key_set wrong = {two.public_key, 1};
    assert_int_equal(signed_open(out.data, out.size, SIGNED_JOB, &wrong, &view, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    const struct key_set nobody = {NULL, 0};
    assert_int_equal(signed_open(out.data, out.size, SIGNED_JOB, &nobody, &view, &err), -1);
    const struct key_set right = {one.public_key, 1};
    assert_int_equal(signed_open(out.data, out.size, SIGNED_JOB, &right, &view, &err), 0);
    /* The trusted signer's name over a stranger's signature. */
    buf_reset(&out);
    struct key_pair liar = two;
    memcpy(liar.public_key, one.public_key, LIMIT_KEY_BYTES);
    assert_int_equal(signed_make(&liar, SIGNED_JOB, "payload", 7, &out, &err), 0);
    assert_int_equal(signed_open(out.data, out.size, SIGNED_JOB, &right, &view, &err), -1);
    assert_string_equal(err.text, "bad signature");
    buf_release(&out);
    key_pair_release(&one);
    key_pair_release(&two);
}

struct sealed {
    struct key_pair operator_key;
    struct key_pair relay;
    struct seal_context context;
    struct buf bytes;
};

static void make_sealed(struct sealed *s)
{
    struct err err = {0};
    memset(s, 0, sizeof *s);
    key_pair_generate(&s->operator_key, KEY_OPERATOR);
    key_pair_generate(&s->relay, KEY_SEAL);
    random_bytes(s->context.push.bytes, PUSH_ID_BYTES);
    s->context.counter = random_u64();
    memcpy(s->context.signer, s->operator_key.public_key, LIMIT_KEY_BYTES);
    buf_init(&s->bytes, 5000);
    assert_int_equal(seal_make(&s->operator_key, s->relay.public_key, &s->context,
                               (const uint8_t *)"hunter2", 7, &s->bytes, &err),
                     0);
}

static void release_sealed(struct sealed *s)
{
    key_pair_release(&s->operator_key);
    key_pair_release(&s->relay);
    buf_release(&s->bytes);
}

static void expect_sealed_refused(const struct sealed *s, const struct key_pair *relay,
                                  const struct seal_context *context, const char *why)
{
    uint8_t *clear = NULL;
    size_t clear_size = 0;
    struct err err = {0};
    assert_int_equal(
        seal_open(s->bytes.data, s->bytes.size, relay, context, &clear, &clear_size, &err), -1);
    assert_null(clear);
    if (strstr(err.text, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void sealed_credential_opens_at_its_relay_only(void **state)
{
    (void)state;
    struct sealed s;
    struct err err = {0};
    uint8_t *clear = NULL;
    size_t clear_size = 0;
    make_sealed(&s);
    assert_null(memmem(s.bytes.data, s.bytes.size, "hunter2", 7));
    assert_int_equal(
        seal_open(s.bytes.data, s.bytes.size, &s.relay, &s.context, &clear, &clear_size, &err), 0);
    assert_int_equal(clear_size, 7);
    assert_memory_equal(clear, "hunter2", 7);
    secret_free(clear);
    struct key_pair other;
    key_pair_generate(&other, KEY_SEAL);
    expect_sealed_refused(&s, &other, &s.context, "another relay");
    /* A relay that claims the name but lacks the key. */
    struct key_pair thief = other;
    memcpy(thief.public_key, s.relay.public_key, LIMIT_KEY_BYTES);
    expect_sealed_refused(&s, &thief, &s.context, "seal is broken");
    key_pair_release(&other);
    release_sealed(&s);
}

static void sealed_credential_of_other_push_counter_or_signer_is_refused(void **state)
{
    (void)state;
    struct sealed s;
    make_sealed(&s);
    struct seal_context context = s.context;
    context.push.bytes[15] ^= 1;
    expect_sealed_refused(&s, &s.relay, &context, "another push");
    context = s.context;
    context.counter++;
    expect_sealed_refused(&s, &s.relay, &context, "another signing");
    context = s.context;
    context.signer[0] ^= 1;
    expect_sealed_refused(&s, &s.relay, &context, "not trusted");
    s.bytes.data[s.bytes.size - LIMIT_SIGNATURE_BYTES - 1] ^= 1;
    expect_sealed_refused(&s, &s.relay, &s.context, "bad signature");
    release_sealed(&s);
}

static void seal_to_unusable_key_is_refused(void **state)
{
    (void)state;
    struct sealed s;
    struct err err = {0};
    const uint8_t zero[LIMIT_KEY_BYTES] = {0};
    make_sealed(&s);
    assert_int_equal(seal_make(&s.operator_key, zero, &s.context, zero, 8, &s.bytes, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    release_sealed(&s);
}

static void process_hardened_dumps_no_core(void **state)
{
    (void)state;
    struct rlimit limit;
    struct err err = {0};
    assert_int_equal(process_harden(&err), 0);
    assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
    assert_int_equal(limit.rlim_max, 0);
    assert_int_equal(process_harden(&err), 0);
}

static void process_follow_takes_its_parent_only(void **state)
{
    (void)state;
    int signal_number = 0;
    struct err err = {0};
    assert_int_equal(process_follow(getpid(), &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(prctl(PR_SET_PDEATHSIG, 0), 0);
    assert_int_equal(process_follow(getppid(), &err), 0);
    assert_int_equal(prctl(PR_GET_PDEATHSIG, &signal_number), 0);
    assert_int_equal(signal_number, SIGTERM);
    assert_int_equal(prctl(PR_SET_PDEATHSIG, 0), 0);
}

static void start_seeds_rand_differently_each_time(void **state)
{
    (void)state;
    assert_int_equal(trust_start(NULL), 0);
    long one = (long)rand() << 31 | rand();
    assert_int_equal(trust_start(NULL), 0);
    long two = (long)rand() << 31 | rand();
    assert_true(one != two);
    assert_true(random_u64() != random_u64());
    assert_true(random_below(10) < 10);
    struct credential *credential = credential_new();
    assert_int_equal(credential->secret[LIMIT_SECRET_SIZE - 1], 0);
    credential_free(credential);
    credential_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_every_kind_saved_and_loaded_is_the_same),
        cmocka_unit_test(key_file_that_others_may_touch_is_refused),
        cmocka_unit_test(key_file_of_another_owner_is_refused),
        cmocka_unit_test(key_file_damaged_or_absent_is_refused),
        cmocka_unit_test(key_load_or_create_keeps_what_it_made),
        cmocka_unit_test(key_text_round_trips_and_rejects_junk),
        cmocka_unit_test(signed_object_opens_and_names_its_signer),
        cmocka_unit_test(signed_object_with_any_flipped_bit_is_refused),
        cmocka_unit_test(signed_object_of_other_kind_or_signer_is_refused),
        cmocka_unit_test(sealed_credential_opens_at_its_relay_only),
        cmocka_unit_test(sealed_credential_of_other_push_counter_or_signer_is_refused),
        cmocka_unit_test(seal_to_unusable_key_is_refused),
        cmocka_unit_test(process_hardened_dumps_no_core),
        cmocka_unit_test(process_follow_takes_its_parent_only),
        cmocka_unit_test(start_seeds_rand_differently_each_time),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
