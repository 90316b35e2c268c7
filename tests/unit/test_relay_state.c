/* The relay's state folder: made once, kept, and refused when others could touch it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/trust/secret.h"
#include "relay/state.h"

struct place {
    char top[64];
    char folder[80];
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    *state = place;
    assert_int_equal(trust_start(NULL), 0);
    (void)snprintf(place->top, sizeof place->top, "/tmp/pusher-state-XXXXXX");
    assert_non_null(mkdtemp(place->top));
    (void)snprintf(place->folder, sizeof place->folder, "%s/relay", place->top);
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", place->top);
    assert_int_equal(system(command), 0);
    free(place);
    return 0;
}

static char *file_of(const struct place *place, const char *name)
{
    static char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", place->folder, name);
    return path;
}

static void expect_load_refused(const struct place *place, enum err_code code, const char *text)
{
    struct relay_state loaded;
    struct err err = {0};
    assert_int_equal(relay_state_load(&loaded, place->folder, &err), -1);
    assert_int_equal(err.code, code);
    if (!strstr(err.text, text))
        fail_msg("no \"%s\" in: %s", text, err.text);
}

static void init_makes_keys_that_load(void **state)
{
    struct place *place = *state;
    struct relay_state loaded;
    struct stat info;
    uint8_t key[LIMIT_KEY_BYTES];
    static const char *const names[] = {"curve.key", "curve.pub", "seal.key", "seal.pub"};
    assert_int_equal(relay_state_init(place->folder, NULL), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(stat(file_of(place, names[i]), &info), 0);
        assert_int_equal(info.st_mode & 0777, 0600);
    }
    assert_int_equal(relay_state_load(&loaded, place->folder, NULL), 0);
    assert_int_equal(public_key_read(file_of(place, "curve.pub"), key, NULL), 0);
    assert_true(key_equal(key, loaded.curve.public_key));
    assert_int_equal(public_key_read(file_of(place, "seal.pub"), key, NULL), 0);
    assert_true(key_equal(key, loaded.seal.public_key));
    relay_state_release(&loaded);
}

static void init_twice_keeps_the_keys(void **state)
{
    struct place *place = *state;
    uint8_t before[LIMIT_KEY_BYTES], after[LIMIT_KEY_BYTES];
    assert_int_equal(relay_state_init(place->folder, NULL), 0);
    assert_int_equal(public_key_read(file_of(place, "seal.pub"), before, NULL), 0);
    assert_int_equal(unlink(file_of(place, "seal.pub")), 0);
    assert_int_equal(relay_state_init(place->folder, NULL), 0);
    assert_int_equal(public_key_read(file_of(place, "seal.pub"), after, NULL), 0);
    assert_true(key_equal(before, after));
}

static void load_before_init_names_the_remedy(void **state)
{
    struct place *place = *state;
    expect_load_refused(place, ERR_NOT_FOUND, "no folder");
    assert_int_equal(mkdir(place->folder, 0700), 0);
    expect_load_refused(place, ERR_NOT_FOUND, "pusher-relay init");
}

static void folder_open_to_others_refused(void **state)
{
    struct place *place = *state;
    assert_int_equal(relay_state_init(place->folder, NULL), 0);
    assert_int_equal(chmod(place->folder, 0750), 0);
    expect_load_refused(place, ERR_DENIED, "0700");
    assert_int_equal(relay_state_init(place->folder, NULL), -1);
}

static void key_open_to_others_refused(void **state)
{
    struct place *place = *state;
    assert_int_equal(relay_state_init(place->folder, NULL), 0);
    assert_int_equal(chmod(file_of(place, "curve.key"), 0640), 0);
    expect_load_refused(place, ERR_DENIED, "curve.key");
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void public_key_of_other_text_refused(void **state)
{
    struct place *place = *state;
    static const char *const texts[] = {
        "", "\n", "1234\n", "zz00000000000000000000000000000000000000000000000000000000000000\n",
        "00000000000000000000000000000000000000000000000000000000000000001234\n"};
    uint8_t key[LIMIT_KEY_BYTES];
    struct err err = {0};
    assert_int_equal(mkdir(place->folder, 0700), 0);
    char *path = file_of(place, "some.pub");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_text(path, texts[i]);
        assert_int_equal(chmod(path, 0600), 0);
        assert_int_equal(public_key_read(path, key, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void public_key_behind_link_or_folder_refused(void **state)
{
    struct place *place = *state;
    uint8_t key[LIMIT_KEY_BYTES];
    assert_int_equal(relay_state_init(place->folder, NULL), 0);
    assert_int_equal(symlink("curve.pub", file_of(place, "link.pub")), 0);
    assert_int_equal(public_key_read(file_of(place, "link.pub"), key, NULL), -1);
    assert_int_equal(public_key_read(place->folder, key, NULL), -1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(init_makes_keys_that_load),
        CASE(init_twice_keeps_the_keys),
        CASE(load_before_init_names_the_remedy),
        CASE(folder_open_to_others_refused),
        CASE(key_open_to_others_refused),
        CASE(public_key_of_other_text_refused),
        CASE(public_key_behind_link_or_folder_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
