/* common/pkg: names that Windows can hold, package files, the folder of packages. */
#include <fcntl.h>
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

#include "common/base/hex.h"
#include "common/pkg/file.h"
#include "common/pkg/name.h"
#include "common/pkg/store.h"

/* printf 'pusher test package' | sha256sum */
#define CONTENT "pusher test package"
#define CONTENT_SIZE (sizeof CONTENT - 1)
#define CONTENT_DIGEST "01ea41e3907ef3af1cefffd26b859807ef6cc87d2b0b80df3274ac8bd9f38ee3"

static char folder[64];
static uint8_t digest[LIMIT_DIGEST_BYTES];
static const uint8_t *const content = (const uint8_t *)CONTENT;

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/pusher-pkg-XXXXXX");
    return mkdtemp(folder) == NULL || hex_decode(CONTENT_DIGEST, digest, sizeof digest) != 0 ? -1
                                                                                             : 0;
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
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void name_that_windows_can_hold_is_accepted(void **state)
{
    (void)state;
    const char *good[] = {"7zip-24.09.exe",
                          "Setup (x64) v1.2.msi",
                          "a",
                          "COM10.exe",
                          "CONSOLE.exe",
                          "COMx.exe",
                          "LPT.msi",
                          "nul1.exe",
                          "r\xc3\xa9sum\xc3\xa9.cmd",
                          ".hidden.exe",
                          "x$&'()+,;=@[]^`{}~.exe",
                          "\xe6\x97\xa5\xe6\x9c\xac.exe"};
    char longest[256];
    memset(longest, 'x', 255);
    longest[255] = '\0';
    assert_int_equal(package_name_check(longest, NULL), 0);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct err err = {0};
        if (package_name_check(good[i], &err) != 0)
            fail_msg("%s", err.text);
    }
}

static void name_that_windows_cannot_hold_is_refused(void **state)
{
    (void)state;
    const char *bad[] = {"",
                         "CON",
                         "con.exe",
                         "CON.exe",
                         "Prn.msi",
                         "aux",
                         "NUL.tar.gz",
                         "COM1.exe",
                         "com9",
                         "LPT1.msi",
                         "COM0.exe",
                         "COM\xc2\xb9.exe",
                         "lpt\xc2\xb3",
                         "CONIN$",
                         "conout$.exe",
                         "CON .exe",
                         "NUL  ",
                         "a<b.exe",
                         "a>b",
                         "a:b",
                         "a\"b",
                         "a/b",
                         "a\\b",
                         "a|b",
                         "a?b",
                         "a*b",
                         "a\tb.exe",
                         "a\nb.exe",
                         "a\x7f.exe",
                         "a\x01",
                         "setup.exe.",
                         "setup.exe ",
                         ".",
                         "..",
                         " setup.exe",
                         "\xff.exe",
                         ".pusher-1",
                         ".PUSHER-x.exe",
                         "a\342\200\256exe.bat",
                         "\xc2\x85.exe"};
    char too_long[257];
    memset(too_long, 'x', 256);
    too_long[256] = '\0';
    assert_int_equal(package_name_check(too_long, NULL), -1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        if (package_name_check(bad[i], &err) == 0)
            fail_msg("\"%s\" was accepted", bad[i]);
        assert_int_equal(err.code, ERR_INVALID);
        for (const char *at = err.text; *at != '\0'; at++)
            assert_true((unsigned char)*at >= ' ' && *at != 0x7f); /* the name is shown escaped */
    }
}

static void name_kind_goes_by_extension(void **state)
{
    (void)state;
    assert_int_equal(package_name_kind("a.exe"), PACKAGE_EXE);
    assert_int_equal(package_name_kind("a.b.MSI"), PACKAGE_MSI);
    assert_int_equal(package_name_kind("a.msu"), PACKAGE_MSU);
    assert_int_equal(package_name_kind("a.msp"), PACKAGE_MSP);
    assert_int_equal(package_name_kind("a.Bat"), PACKAGE_BAT);
    assert_int_equal(package_name_kind("a.cmd"), PACKAGE_CMD);
    assert_int_equal(package_name_kind("a.ps1"), PACKAGE_PS1);
    assert_int_equal(package_name_kind("exe"), PACKAGE_OTHER);
    assert_int_equal(package_name_kind("a.exe.txt"), PACKAGE_OTHER);
}

static void expect_open_refused(const char *path, enum err_code code)
{
    struct package_file file;
    struct err err = {0};
    assert_int_equal(package_file_open(&file, path, &err), -1);
    assert_int_equal(err.code, code);
    assert_int_equal(file.fd, -1);
}

static void file_that_is_no_package_is_refused(void **state)
{
    (void)state;
    write_file(path_of("empty.exe"), "");
    write_file(path_of("CON.exe"), CONTENT);
    assert_int_equal(mkdir(path_of("folder.exe"), 0700), 0);
    assert_int_equal(mkfifo(path_of("fifo.exe"), 0600), 0);
    expect_open_refused(path_of("none.exe"), ERR_NOT_FOUND);
    expect_open_refused(path_of("empty.exe"), ERR_INVALID);
    expect_open_refused(path_of("CON.exe"), ERR_INVALID);
    expect_open_refused(path_of("folder.exe"), ERR_INVALID);
    expect_open_refused(path_of("fifo.exe"), ERR_INVALID);
    expect_open_refused("/dev/null", ERR_INVALID);
    if (geteuid() != 0) {
        write_file(path_of("secret.exe"), CONTENT);
        assert_int_equal(chmod(path_of("secret.exe"), 0), 0);
        expect_open_refused(path_of("secret.exe"), ERR_DENIED);
    }
    const char *huge = path_of("huge.exe");
    write_file(huge, CONTENT);
    if (truncate(huge, (off_t)(LIMIT_PACKAGE_BYTES_MAX + 1)) == 0) /* sparse, where it can be */
        expect_open_refused(huge, ERR_LIMIT);
    assert_int_equal(unlink(huge), 0);
}

static void file_opened_is_digested_and_read(void **state)
{
    (void)state;
    struct package_file file;
    struct err err = {0};
    uint8_t found[LIMIT_DIGEST_BYTES];
    char text[8];
    write_file(path_of("setup.exe"), CONTENT);
    assert_int_equal(symlink("setup.exe", path_of("link.exe")), 0);
    assert_int_equal(package_file_open(&file, path_of("link.exe"), &err), 0);
    assert_string_equal(file.name, "link.exe");
    assert_int_equal(file.bytes, CONTENT_SIZE);
    assert_int_equal(package_file_digest(&file, found, &err), 0);
    assert_memory_equal(found, digest, sizeof found);
    assert_int_equal(package_file_read(&file, 7, text, 4, &err), 0);
    assert_memory_equal(text, "test", 4);
    assert_int_equal(package_file_read(&file, CONTENT_SIZE - 2, text, 3, &err), -1);
    assert_int_equal(package_file_read(&file, UINT64_MAX, text, 3, &err), -1);
    package_file_release(&file);
    package_file_release(&file);
}

static void file_that_changes_is_noticed(void **state)
{
    (void)state;
    struct package_file file;
    struct err err = {0};
    uint8_t found[LIMIT_DIGEST_BYTES];
    char text[8];
    write_file(path_of("grow.exe"), CONTENT);
    assert_int_equal(package_file_open(&file, path_of("grow.exe"), &err), 0);
    write_file(path_of("grow.exe"), CONTENT "!");
    assert_int_equal(package_file_digest(&file, found, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    write_file(path_of("grow.exe"), "x");
    assert_int_equal(package_file_digest(&file, found, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_equal(package_file_read(&file, 4, text, 4, &err), -1);
    package_file_release(&file);
}

static struct package_store *open_store(const char *name)
{
    struct package_store *store = NULL;
    struct err err = {0};
    if (package_store_new(&store, path_of(name), &err) != 0)
        fail_msg("%s", err.text);
    return store;
}

static uint64_t append(struct package_store *store, uint64_t offset, size_t size)
{
    uint64_t next = 0;
    struct err err = {0};
    if (package_store_append(store, digest, CONTENT_SIZE, offset, content + offset, size, &next,
                             &err) != 0)
        fail_msg("%s", err.text);
    return next;
}

static uint64_t offset_of(struct package_store *store)
{
    uint64_t offset = 99;
    assert_int_equal(package_store_offset(store, digest, CONTENT_SIZE, &offset, NULL), 0);
    return offset;
}

static void store_package_in_pieces_is_whole_and_private(void **state)
{
    (void)state;
    struct package_store *store = open_store("pieces");
    struct err err = {0};
    struct stat st;
    uint8_t read[64];
    size_t got;
    uint64_t bytes;
    char path[256];
    assert_int_equal(offset_of(store), 0);
    assert_int_equal(append(store, 0, 5), 5);
    assert_int_equal(offset_of(store), 5);
    assert_int_equal(package_store_read(store, digest, 0, read, 9, &got, &bytes, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(append(store, 5, 10), 15);
    assert_int_equal(append(store, 5, 10), 15); /* the same chunk again */
    assert_int_equal(append(store, 15, CONTENT_SIZE - 15), CONTENT_SIZE);
    assert_int_equal(offset_of(store), CONTENT_SIZE);
    assert_int_equal(append(store, 0, 5), CONTENT_SIZE); /* whole already */
    assert_int_equal(package_store_read(store, digest, 7, read, 64, &got, &bytes, &err), 0);
    assert_int_equal(got, CONTENT_SIZE - 7);
    assert_int_equal(bytes, CONTENT_SIZE);
    assert_memory_equal(read, content + 7, got);
    assert_int_equal(package_store_read(store, digest, 1000, read, 64, &got, &bytes, &err), 0);
    assert_int_equal(got, 0);
    assert_int_equal(package_store_path(store, digest, path, sizeof path, &err), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(package_store_path(store, digest, path, 10, &err), -1);
    assert_int_equal(package_store_remove(store, digest, &err), 0);
    assert_int_equal(package_store_remove(store, digest, &err), 0);
    assert_int_equal(offset_of(store), 0);
    package_store_free(store);
}

static void store_part_goes_on_after_a_restart(void **state)
{
    (void)state;
    struct package_store *store = open_store("restart");
    assert_int_equal(append(store, 0, 8), 8);
    package_store_free(store);
    store = open_store("restart");
    assert_int_equal(offset_of(store), 8);
    assert_int_equal(append(store, 8, CONTENT_SIZE - 8), CONTENT_SIZE);
    package_store_free(store);
    store = open_store("restart");
    assert_int_equal(offset_of(store), CONTENT_SIZE);
    package_store_free(store);
}

static void store_wrong_bytes_never_become_a_package(void **state)
{
    (void)state;
    struct package_store *store = open_store("wrong");
    struct err err = {0};
    uint64_t next = 99;
    uint8_t wrong[CONTENT_SIZE];
    memcpy(wrong, content, sizeof wrong);
    wrong[3] ^= 1;
    assert_int_equal(
        package_store_append(store, digest, CONTENT_SIZE, 0, wrong, CONTENT_SIZE, &next, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    assert_int_equal(next, 0);
    assert_int_equal(offset_of(store), 0);
    /* Damage between two runs is noticed as well. */
    assert_int_equal(append(store, 0, 8), 8);
    package_store_free(store);
    char path[256];
    char part[300];
    store = open_store("wrong");
    assert_int_equal(package_store_path(store, digest, path, sizeof path, &err), 0);
    (void)snprintf(part, sizeof part, "%s.part", path);
    write_file(part, "PUSHER t");
    assert_int_equal(offset_of(store), 8);
    assert_int_equal(package_store_append(store, digest, CONTENT_SIZE, 8, content + 8,
                                          CONTENT_SIZE - 8, &next, &err),
                     -1);
    assert_int_equal(err.code, ERR_DENIED);
    assert_int_equal(append(store, 0, CONTENT_SIZE), CONTENT_SIZE);
    package_store_free(store);
}

static void store_gap_overrun_and_nonsense_are_refused(void **state)
{
    (void)state;
    struct package_store *store = open_store("gaps");
    struct err err = {0};
    uint64_t next = 99;
    assert_int_equal(append(store, 0, 4), 4);
    assert_int_equal(
        package_store_append(store, digest, CONTENT_SIZE, 6, content + 6, 4, &next, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_equal(next, 4);
    assert_int_equal(
        package_store_append(store, digest, CONTENT_SIZE, 4, content, CONTENT_SIZE, &next, &err),
        -1);
    assert_int_equal(next, 4);
    assert_int_equal(package_store_append(store, digest, 0, 0, content, 1, &next, &err), -1);
    assert_int_equal(package_store_append(store, digest, LIMIT_PACKAGE_BYTES_MAX + 1, 0, content, 1,
                                          &next, &err),
                     -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(append(store, 4, CONTENT_SIZE - 4), CONTENT_SIZE);
    assert_int_equal(package_store_offset(store, digest, 4, &next, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    package_store_free(store);
}

static void store_more_parts_than_it_keeps_open_all_arrive(void **state)
{
    (void)state;
    struct package_store *store = open_store("many");
    struct err err = {0};
    for (uint8_t i = 0; i < 40; i++) {
        uint8_t other[LIMIT_DIGEST_BYTES] = {i};
        uint64_t next;
        assert_int_equal(package_store_append(store, other, 100, 0, content, 5, &next, &err), 0);
        if (i < CONTENT_SIZE - 1)
            assert_int_equal(append(store, i, 1), i + 1U);
    }
    for (uint8_t i = 0; i < 40; i++) {
        uint8_t other[LIMIT_DIGEST_BYTES] = {i};
        uint64_t offset;
        assert_int_equal(package_store_offset(store, other, 100, &offset, &err), 0);
        assert_int_equal(offset, 5);
    }
    assert_int_equal(append(store, CONTENT_SIZE - 1, 1), CONTENT_SIZE);
    package_store_free(store);
}

static void store_folder_that_others_may_write_is_refused(void **state)
{
    (void)state;
    struct package_store *store = NULL;
    struct err err = {0};
    assert_int_equal(mkdir(path_of("open"), 0700), 0);
    assert_int_equal(chmod(path_of("open"), 0777), 0);
    assert_int_equal(package_store_new(&store, path_of("open"), &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    assert_int_equal(package_store_new(&store, path_of("no/such"), &err), -1);
    assert_null(store);
    package_store_free(NULL);
}

static void store_link_in_place_of_a_part_is_not_followed(void **state)
{
    (void)state;
    struct package_store *store = open_store("links");
    struct err err = {0};
    char path[256];
    char part[300];
    uint64_t next;
    assert_int_equal(package_store_path(store, digest, path, sizeof path, &err), 0);
    (void)snprintf(part, sizeof part, "%s.part", path);
    assert_int_equal(symlink("/tmp/pusher-should-not-appear", part), 0);
    assert_int_equal(package_store_append(store, digest, CONTENT_SIZE, 0, content, 5, &next, &err),
                     -1);
    assert_int_equal(access("/tmp/pusher-should-not-appear", F_OK), -1);
    package_store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_that_windows_can_hold_is_accepted),
        cmocka_unit_test(name_that_windows_cannot_hold_is_refused),
        cmocka_unit_test(name_kind_goes_by_extension),
        cmocka_unit_test(file_that_is_no_package_is_refused),
        cmocka_unit_test(file_opened_is_digested_and_read),
        cmocka_unit_test(file_that_changes_is_noticed),
        cmocka_unit_test(store_package_in_pieces_is_whole_and_private),
        cmocka_unit_test(store_part_goes_on_after_a_restart),
        cmocka_unit_test(store_wrong_bytes_never_become_a_package),
        cmocka_unit_test(store_gap_overrun_and_nonsense_are_refused),
        cmocka_unit_test(store_more_parts_than_it_keeps_open_all_arrive),
        cmocka_unit_test(store_folder_that_others_may_write_is_refused),
        cmocka_unit_test(store_link_in_place_of_a_part_is_not_followed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
