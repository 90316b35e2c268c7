/* common/base/reserve on a file system of one mebibyte, which only root can have: else skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/reserve.h"

enum { KIB = 1024, RESERVE = 256 * KIB };

static char folder[] = "/tmp/pusher-reserve-XXXXXX";
static bool mounted;

/* A mount of this process alone: gone with it, whatever happens. */
static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    mounted = unshare(CLONE_NEWNS) == 0 &&
              mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
              mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0700") == 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (mounted)
        (void)umount2(folder, MNT_DETACH);
    return rmdir(folder);
}

static void path_of(char path[64], const char *name)
{
    (void)snprintf(path, 64, "%s/%s", folder, name);
}

/* A file that leaves so many bytes free, more or less. */
static void fill(int left)
{
    char path[64];
    static const char zeroes[4 * KIB];
    path_of(path, "filler");
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(fd >= 0);
    while (write(fd, zeroes, sizeof zeroes) == (ssize_t)sizeof zeroes) {
    }
    struct stat info;
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(ftruncate(fd, info.st_size - left), 0);
    assert_int_equal(close(fd), 0);
}

static void remove_file(const char *name)
{
    char path[64];
    path_of(path, name);
    assert_int_equal(unlink(path), 0);
}

static bool there(const char *name)
{
    char path[64];
    path_of(path, name);
    return access(path, F_OK) == 0;
}

static struct reserve *look_at_folder(void)
{
    struct reserve *reserve = NULL;
    struct err err = {0};
    assert_int_equal(reserve_new(&reserve, folder, RESERVE, &err), 0);
    return reserve;
}

static void reserve_disk_fills_gives_its_space_and_refuses_until_there_is_room(void **state)
{
    (void)state;
    if (!mounted)
        skip();
    struct reserve *reserve = look_at_folder();
    assert_true(reserve_look(reserve));
    assert_true(there("reserve"));
    fill(16 * KIB);
    assert_false(reserve_look(reserve));
    assert_false(there("reserve"));
    assert_false(reserve_look(reserve)); /* its own bytes are no room for new work */
    remove_file("filler");
    assert_true(reserve_look(reserve));
    assert_true(there("reserve"));
    reserve_free(reserve);
    remove_file("reserve");
}

static void reserve_process_starts_on_full_disk_refuses(void **state)
{
    (void)state;
    if (!mounted)
        skip();
    reserve_free(look_at_folder());
    fill(16 * KIB);
    struct reserve *reserve = look_at_folder(); /* an earlier process held it */
    assert_false(reserve_look(reserve));
    assert_false(there("reserve"));
    reserve_free(reserve);
    reserve = look_at_folder(); /* ... or had given it up */
    assert_false(reserve_look(reserve));
    reserve_free(reserve);
    remove_file("filler");
}

static void reserve_file_of_another_size_is_made_anew(void **state)
{
    (void)state;
    if (!mounted)
        skip();
    char path[64];
    path_of(path, "reserve");
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, RESERVE), 0); /* right size, no space behind it */
    assert_int_equal(close(fd), 0);
    struct reserve *reserve = look_at_folder();
    struct stat info;
    assert_true(reserve_look(reserve));
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_blocks * 512 >= RESERVE);
    reserve_free(reserve);
    remove_file("reserve");
}

static void reserve_of_nothing_always_has_room(void **state)
{
    (void)state;
    struct reserve *reserve = NULL;
    struct err err = {0};
    assert_int_equal(reserve_new(&reserve, folder, 0, &err), 0);
    assert_true(reserve_look(reserve));
    assert_false(there("reserve"));
    reserve_free(reserve);
    assert_int_equal(reserve_new(&reserve, "/nonexistent", 0, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserve_disk_fills_gives_its_space_and_refuses_until_there_is_room),
        cmocka_unit_test(reserve_process_starts_on_full_disk_refuses),
        cmocka_unit_test(reserve_file_of_another_size_is_made_anew),
        cmocka_unit_test(reserve_of_nothing_always_has_room),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
