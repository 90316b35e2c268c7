/* common/pkg/folder.c: a folder as one blob, there and back, and blobs that want to do harm. */
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

#include "common/base/buf.h"
#include "common/pkg/folder.h"
#include "common/pkg/wrapper.h"
#include "tests/unit/hostile.h"

static char base[64];

static int make_base(void **state)
{
    (void)state;
    (void)snprintf(base, sizeof base, "/tmp/pusher-folder-XXXXXX");
    return mkdtemp(base) == NULL || setenv("TMPDIR", base, 1) != 0 ? -1 : 0;
}

static int remove_base(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", base);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", base, name);
    return path;
}

static void add_folder(const char *name)
{
    assert_int_equal(mkdir(path_of(name), 0700), 0);
}

static void add_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* ---- blobs ---- */

struct entry {
    const char *path;
    uint64_t size;
};

/* A head that says what it is told, and no content. */
static void put_head(struct buf *head, const struct entry *entries, uint32_t count)
{
    buf_init(head, FOLDER_HEAD_MAX * 2);
    buf_text(head, "PUSHFLDR");
    buf_u32le(head, 1);
    buf_u32le(head, count);
    for (uint32_t i = 0; i < count; i++) {
        buf_u16le(head, (uint16_t)strlen(entries[i].path));
        buf_text(head, entries[i].path);
        buf_u64le(head, entries[i].size);
    }
}

static int decode(const struct entry *entries, uint32_t count, uint64_t content, struct err *err)
{
    struct buf head;
    struct folder folder;
    put_head(&head, entries, count);
    int result = folder_decode(&folder, head.data, head.size, head.size + content, err);
    if (result != 0)
        assert_int_equal(folder.count, 0);
    folder_release(&folder);
    buf_release(&head);
    return result;
}

static void refused(const char *path)
{
    struct entry entry = {path, 1};
    struct err err = {0};
    if (decode(&entry, 1, 1, &err) == 0)
        fail_msg("\"%s\" is taken", path);
    assert_int_equal(err.code, ERR_INVALID);
}

static void path_that_leads_elsewhere_or_nowhere_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "/",      "/a",    "a/",     "a//b",      "..",
                                      "../a", "a/../b", "a/..",  ".",      "./a",       "a/./b",
                                      "a\\b", "C:/a",   "a:b",   "a/NUL",  "con.txt/a", "a./b",
                                      "a /b", "a/b ",   "a\x01", "\xff/a", ".pusher-x"};
    struct entry good = {"a/b.c/d-e", 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(bad[i]);
    assert_int_equal(decode(&good, 1, 1, NULL), 0);
}

static void path_too_long_or_too_deep_is_refused(void **state)
{
    (void)state;
    char path[FOLDER_PATH_MAX + 2];
    memset(path, 'x', sizeof path);
    path[FOLDER_PATH_MAX + 1] = '\0';
    refused(path);
    path[FOLDER_PATH_MAX] = '\0';
    struct entry longest = {path, 1};
    assert_int_equal(decode(&longest, 1, 1, NULL), 0);
    for (uint32_t i = 0; i < FOLDER_DEPTH_MAX; i++)
        memcpy(path + (size_t)i * 2, "a/", 2);
    memcpy(path + FOLDER_DEPTH_MAX * 2, "a", 2);
    refused(path);
    path[FOLDER_DEPTH_MAX * 2 - 1] = '\0';
    struct entry deepest = {path, 1};
    assert_int_equal(decode(&deepest, 1, 1, NULL), 0);
}

static void names_that_clash_on_windows_are_refused(void **state)
{
    (void)state;
    static const struct entry pairs[][2] = {
        {{"a", 1}, {"a", 1}},   {{"A", 1}, {"a", 1}},   {{"B/c", 1}, {"b/C", 1}},
        {{"a", 1}, {"a/b", 1}}, {{"A", 1}, {"a/b", 1}}, {{"b", 1}, {"a", 1}},
        {{"X/y", 1}, {"x", 1}},
    };
    static const struct entry fine[] = {{"a", 1}, {"a-b", 1}, {"b/a", 1}, {"b/c/a", 1}, {"c", 1}};
    static const struct entry hidden[] = {{"a", 1}, {"a-b", 1}, {"a/b", 1}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_int_equal(decode(pairs[i], 2, 2, NULL), -1);
    assert_int_equal(decode(hidden, 3, 3, NULL), -1);
    assert_int_equal(decode(fine, 5, 5, NULL), 0);
}

static void sizes_that_do_not_add_up_are_refused(void **state)
{
    (void)state;
    static const struct entry entries[] = {{"a", 3}, {"b", 0}, {"c", 4}};
    static const struct entry wraps[] = {{"a", UINT64_MAX}, {"b", 8}};
    assert_int_equal(decode(entries, 3, 7, NULL), 0);
    assert_int_equal(decode(entries, 3, 6, NULL), -1);
    assert_int_equal(decode(entries, 3, 8, NULL), -1);
    assert_int_equal(decode(wraps, 2, 7, NULL), -1);
    assert_int_equal(decode(entries, 0, 0, NULL), -1);
}

/* Whatever is taken lies within the blob. */
static void feed(const uint8_t *bytes, size_t size, void *context)
{
    struct folder folder;
    size_t *taken = context;
    if (folder_decode(&folder, bytes, size, size, NULL) == 0) {
        uint64_t end = folder.files[0].offset;
        for (uint32_t i = 0; i < folder.count; i++) {
            assert_true(folder.files[i].offset == end);
            end += folder.files[i].size;
            assert_true(folder.files[i].path[0] != '/');
            assert_null(strstr(folder.files[i].path, "../"));
        }
        assert_true(end == size);
        (*taken)++;
    }
    folder_release(&folder);
}

static void blob_cut_or_changed_is_read_safely(void **state)
{
    (void)state;
    static const struct entry entries[] = {{"a.txt", 3}, {"bin/x", 0}, {"bin/y/z", 4}};
    struct buf blob;
    size_t taken = 0;
    put_head(&blob, entries, 3);
    buf_text(&blob, "onetwo!");
    hostile_truncate(blob.data, blob.size, feed, &taken);
    assert_int_equal(taken, 1); /* the whole one */
    hostile_mutate(blob.data, blob.size, 20000, 7, feed, &taken);
    assert_true(taken > 1); /* some change the contents alone */
    buf_release(&blob);
}

static void count_beyond_the_head_allocates_nothing_of_its_size(void **state)
{
    (void)state;
    struct folder folder;
    struct buf head;
    buf_init(&head, 64);
    buf_text(&head, "PUSHFLDR");
    buf_u32le(&head, 1);
    buf_u32le(&head, UINT32_MAX);
    assert_int_equal(folder_decode(&folder, head.data, head.size, head.size, NULL), -1);
    buf_release(&head);
}

/* ---- from the disk ---- */

static void expect(const struct package_file *file, const struct folder_file *found,
                   const char *path, const char *text)
{
    char content[64] = "";
    struct err err;
    assert_string_equal(found->path, path);
    assert_int_equal(found->size, strlen(text));
    assert_int_equal(package_file_read(file, found->offset, content, found->size, &err), 0);
    assert_string_equal(content, text);
}

static void folder_built_is_read_back_file_by_file(void **state)
{
    (void)state;
    struct package_file file;
    struct package_file again;
    struct folder folder;
    struct err err = {0};
    bool directory;
    uint8_t digests[2][LIMIT_DIGEST_BYTES];
    add_folder("Suite 1.0");
    add_folder("Suite 1.0/bin");
    add_folder("Suite 1.0/bin/deep");
    add_folder("Suite 1.0/nothing");
    add_file("Suite 1.0/setup.exe", "setup");
    add_file("Suite 1.0/bin/deep/c.dll", "library");
    add_file("Suite 1.0/bin/empty", "");
    assert_int_equal(folder_check(path_of("Suite 1.0"), &err), 0);
    assert_int_equal(package_open(path_of("Suite 1.0//"), &file, &directory, &err), 0);
    assert_true(directory);
    assert_string_equal(file.name, "Suite 1.0");
    assert_int_equal(folder_read(&folder, file.fd, file.bytes, &err), 0);
    assert_int_equal(folder.count, 3);
    expect(&file, &folder.files[0], "bin/deep/c.dll", "library");
    expect(&file, &folder.files[1], "bin/empty", "");
    expect(&file, &folder.files[2], "setup.exe", "setup");
    assert_int_equal(folder_build(path_of("Suite 1.0/../Suite 1.0/."), &again, &err), 0);
    assert_string_equal(again.name, "Suite 1.0");
    assert_int_equal(package_file_digest(&file, digests[0], &err), 0);
    assert_int_equal(package_file_digest(&again, digests[1], &err), 0);
    assert_memory_equal(digests[0], digests[1], LIMIT_DIGEST_BYTES);
    folder_release(&folder);
    package_file_release(&file);
    package_file_release(&again);
}

static void expect_refused(const char *name, enum err_code code, const char *says)
{
    struct package_file file;
    struct err err = {0};
    assert_int_equal(folder_build(path_of(name), &file, &err), -1);
    assert_int_equal(err.code, code);
    assert_int_equal(file.fd, -1);
    if (strstr(err.text, says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
    err = (struct err){0};
    assert_int_equal(folder_check(path_of(name), &err), -1);
    assert_int_equal(err.code, code);
}

static void folder_with_what_is_no_file_is_refused(void **state)
{
    (void)state;
    add_folder("hollow");
    add_folder("hollow/inner");
    expect_refused("hollow", ERR_INVALID, "without files");
    expect_refused("missing", ERR_NOT_FOUND, "missing");
    add_folder("linked");
    add_file("linked/real", "x");
    assert_int_equal(symlink("real", path_of("linked/soft")), 0);
    expect_refused("linked", ERR_INVALID, "soft");
    add_folder("linkedfolder");
    add_file("linkedfolder/real", "x");
    assert_int_equal(symlink("/etc", path_of("linkedfolder/etc")), 0);
    expect_refused("linkedfolder", ERR_INVALID, "etc");
    add_folder("piped");
    add_file("piped/real", "x");
    assert_int_equal(mkfifo(path_of("piped/pipe"), 0600), 0);
    expect_refused("piped", ERR_INVALID, "pipe");
    add_folder("named");
    add_file("named/aux.txt", "x");
    expect_refused("named", ERR_INVALID, "aux.txt");
    add_folder("cased");
    add_file("cased/A", "x");
    add_file("cased/a", "x");
    expect_refused("cased", ERR_INVALID, "the same");
    add_folder("a-name-that-is-longer-than-windows-has-room-for");
    add_file("a-name-that-is-longer-than-windows-has-room-for/a", "x");
    expect_refused("a-name-that-is-longer-than-windows-has-room-for", ERR_INVALID, "at most");
}

static void folder_deeper_than_allowed_is_refused(void **state)
{
    (void)state;
    char name[128] = "deep";
    add_folder(name);
    for (uint32_t i = 0; i < FOLDER_DEPTH_MAX; i++) {
        (void)strncat(name, "/d", sizeof name - strlen(name) - 1);
        add_folder(name);
    }
    expect_refused("deep", ERR_LIMIT, "deeper");
}

/* ---- the job ---- */

static void folder_without_a_command_is_refused(void **state)
{
    (void)state;
    static struct job job;
    struct err err = {0};
    job.directory = true;
    (void)snprintf(job.package_name, sizeof job.package_name, "suite");
    assert_int_equal(job_command_check(&job, &err), -1);
    assert_non_null(strstr(err.text, "--command 'C:\\SPDISTRO\\suite\\setup.exe'"));
    (void)snprintf(job.command, sizeof job.command, "C:\\SPDISTRO\\suite\\setup.exe");
    assert_int_equal(job_command_check(&job, &err), 0);
    job.cleanup = job.wait = true;
    assert_int_equal(job_command_check(&job, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_that_leads_elsewhere_or_nowhere_is_refused),
        cmocka_unit_test(path_too_long_or_too_deep_is_refused),
        cmocka_unit_test(names_that_clash_on_windows_are_refused),
        cmocka_unit_test(sizes_that_do_not_add_up_are_refused),
        cmocka_unit_test(blob_cut_or_changed_is_read_safely),
        cmocka_unit_test(count_beyond_the_head_allocates_nothing_of_its_size),
        cmocka_unit_test(folder_built_is_read_back_file_by_file),
        cmocka_unit_test(folder_with_what_is_no_file_is_refused),
        cmocka_unit_test(folder_deeper_than_allowed_is_refused),
        cmocka_unit_test(folder_without_a_command_is_refused),
    };
    return cmocka_run_group_tests(tests, make_base, remove_base);
}
