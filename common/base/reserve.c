/* The file, and how much is free beside it. */
#include "common/base/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/mem.h"

struct reserve {
    int folder; /* descriptor */
    uint64_t bytes;
    bool held;
};

static const char file_name[] = "reserve";

static bool whole_file(const struct reserve *reserve)
{
    struct stat info;
    return fstatat(reserve->folder, file_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(info.st_mode) && (uint64_t)info.st_size == reserve->bytes &&
           (uint64_t)info.st_blocks * 512 >= reserve->bytes;
}

static void give_up(struct reserve *reserve)
{
    (void)unlinkat(reserve->folder, file_name, 0);
    reserve->held = false;
}

/* A file system that can't allocate has the bytes written by the C library. */
static bool take(const struct reserve *reserve)
{
    (void)unlinkat(reserve->folder, file_name, 0);
    int fd = openat(reserve->folder, file_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool taken = posix_fallocate(fd, 0, (off_t)reserve->bytes) == 0;
    (void)close(fd);
    if (!taken)
        (void)unlinkat(reserve->folder, file_name, 0);
    return taken;
}

bool reserve_look(struct reserve *reserve)
{
    struct statvfs info;
    if (reserve->bytes == 0)
        return true;
    if (fstatvfs(reserve->folder, &info) != 0)
        return reserve->held; /* nothing new is known */
    uint64_t room = (uint64_t)info.f_bavail * info.f_frsize;
    if (reserve->held && room < reserve->bytes / 4)
        give_up(reserve);
    else if (!reserve->held && room >= 2 * reserve->bytes)
        reserve->held = take(reserve);
    return reserve->held;
}

int reserve_new(struct reserve **out, const char *folder, uint64_t bytes, struct err *err)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open folder %s", folder);
    struct reserve *reserve = mem_new(1, sizeof *reserve);
    reserve->folder = fd;
    reserve->bytes = bytes;
    reserve->held = bytes > 0 && whole_file(reserve);
    if (!reserve->held)
        give_up(reserve); /* of another size, or half made */
    (void)reserve_look(reserve);
    *out = reserve;
    return 0;
}

void reserve_free(struct reserve *reserve)
{
    if (reserve == NULL)
        return;
    (void)close(reserve->folder);
    free(reserve);
}
