/* A disk that fails when told to, for the real daemons: loaded with LD_PRELOAD by tests/run-chaos.
 *
 *     CHAOS_FOLDER   the state folder; files elsewhere are left alone
 *     CHAOS_ORDER    file with a struct order, shared with whoever gives orders
 *
 * Everything that was written to a file of the folder since its last sync is remembered with what
 * was there before. A power cut takes any part of that back, by sectors of 512 bytes, and kills the
 * process in the middle of a write: what the next process finds is a disk after a loss of power, as
 * far as bytes of files go. Names (renames, new and removed files) stay as they are.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR_BYTES 512U
#define FILES_MAX 512
#define REMEMBERED_BYTES_MAX (64U << 20) /* beyond, the oldest writes count as synced */
#define PATH_BYTES 4096

enum action {
    ACTION_NONE,
    ACTION_SYNC_FAILS, /* the sync says EIO */
    ACTION_WRITE_FAILS,
    ACTION_WRITE_FULL, /* a part is written, then ENOSPC */
    ACTION_TORN,       /* a part is written, then the process is killed */
    ACTION_POWER,      /* the same, and unsynced writes are lost in part */
};

/* What the other side writes, `action` last; and reads, once `fired` is there. tests/chaos/disk.py
 * has the same. */
struct order {
    uint32_t action;
    uint32_t countdown; /* calls of the kind to let pass first */
    uint32_t seed;
    uint32_t pause_ms; /* between the last write and the kill: what was said by then gets out */
    uint32_t fired;
    uint32_t synced_again; /* syncs of the file whose sync had failed, in the same process */
    char file[232];        /* that it happened to */
};

struct file {
    dev_t device;
    ino_t inode;
    int fd; /* own: the process may close its one before the power goes */
};

struct written {
    struct written *older;
    struct file *file;
    off_t offset;
    size_t size;
    uint8_t before[]; /* zeros where the file ended */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct order *order; /* NULL: nobody gives orders */
static char folder[PATH_BYTES];
static size_t folder_size;
static struct file files[FILES_MAX];
static size_t file_count;
static struct written *newest;
static size_t remembered_bytes;
static struct file failed; /* inode 0: no sync has failed here */

static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("CHAOS_ORDER");
    const char *where = getenv("CHAOS_FOLDER");
    *(void **)&real_fsync = dlsym(RTLD_NEXT, "fsync");
    *(void **)&real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    *(void **)&real_write = dlsym(RTLD_NEXT, "write");
    *(void **)&real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    if (path == NULL || where == NULL)
        return;
    folder_size = (size_t)snprintf(folder, sizeof folder, "%s/", where);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *shared = mmap(NULL, sizeof *order, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    order = shared == MAP_FAILED ? NULL : shared;
}

/* Whether the file lies in the folder, with its name. */
static bool ours(int fd, char path[PATH_BYTES])
{
    char link[64];
    if (order == NULL)
        return false;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_BYTES - 1);
    if (size <= 0)
        return false;
    path[size] = '\0';
    return strncmp(path, folder, folder_size) == 0 ||
           (strncmp(path, folder, folder_size - 1) == 0 && path[folder_size - 1] == '\0');
}

static uint32_t next_random(void)
{
    order->seed = order->seed * 1664525U + 1013904223U;
    return order->seed >> 8;
}

/* Whether this call is the one to fail; called with the lock. */
static bool is_turn(enum action first, enum action last, const char *path)
{
    uint32_t action = __atomic_load_n(&order->action, __ATOMIC_ACQUIRE);
    if (action < (uint32_t)first || action > (uint32_t)last || order->fired != 0)
        return false;
    if (order->countdown > 0) {
        order->countdown--;
        return false;
    }
    (void)snprintf(order->file, sizeof order->file, "%s", path + folder_size - 1);
    order->fired = action;
    return true;
}

/* ---- what was written and not synced ---- */

static struct file *find_file(const struct stat *info)
{
    for (size_t i = 0; i < file_count; i++) {
        if (files[i].device == info->st_dev && files[i].inode == info->st_ino)
            return &files[i];
    }
    return NULL;
}

/* NULL: no file, or one too many. */
static struct file *file_of(int fd)
{
    struct stat info;
    char link[64];
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return NULL;
    struct file *known = find_file(&info);
    if (known != NULL || file_count == FILES_MAX)
        return known;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    /* Never closed: that would give up the process's locks on the file. */
    int own = open(link, O_RDWR | O_CLOEXEC);
    if (own < 0)
        return NULL;
    files[file_count] = (struct file){info.st_dev, info.st_ino, own};
    return &files[file_count++];
}

static void forget(const struct file *file)
{
    struct written **at = &newest;
    while (*at != NULL) {
        struct written *one = *at;
        if (file != NULL && one->file != file) {
            at = &one->older;
            continue;
        }
        *at = one->older;
        remembered_bytes -= one->size;
        free(one);
    }
}

static void remember(int fd, size_t size, off_t offset)
{
    struct file *file = size == 0 ? NULL : file_of(fd);
    if (file == NULL || size > REMEMBERED_BYTES_MAX)
        return;
    if (remembered_bytes + size > REMEMBERED_BYTES_MAX)
        forget(NULL);
    struct written *one = calloc(1, sizeof *one + size);
    if (one == NULL)
        return;
    one->older = newest;
    one->file = file;
    one->offset = offset;
    one->size = size;
    ssize_t got = pread(file->fd, one->before, size, offset);
    (void)got; /* less at the file's end: zeros */
    newest = one;
    remembered_bytes += size;
}

/* Newest first, so that a sector written twice may end as any of its three states. */
static void lose(void)
{
    for (const struct written *one = newest; one != NULL; one = one->older) {
        size_t at = 0;
        while (at < one->size) {
            size_t left = SECTOR_BYTES - (size_t)((one->offset + (off_t)at) % (off_t)SECTOR_BYTES);
            size_t part = left < one->size - at ? left : one->size - at;
            if (next_random() % 2 == 0)
                (void)!real_pwrite(one->file->fd, one->before + at, part, one->offset + (off_t)at);
            at += part;
        }
    }
}

/* ---- the calls ---- */

static ssize_t put(int fd, const void *bytes, size_t size, off_t offset, bool placed)
{
    return placed ? real_pwrite(fd, bytes, size, offset) : real_write(fd, bytes, size);
}

/* A write that fails, or never ends. */
static ssize_t fail_write(int fd, const void *bytes, size_t size, off_t offset, bool placed)
{
    size_t part = size == 0 ? 0 : next_random() % size;
    uint32_t action = order->fired;
    if (action == ACTION_WRITE_FAILS) {
        errno = EIO;
        return -1;
    }
    if (part > 0)
        (void)!put(fd, bytes, part, offset, placed);
    if (action == ACTION_WRITE_FULL) {
        errno = ENOSPC;
        return -1;
    }
    (void)usleep(order->pause_ms * 1000U);
    if (action == ACTION_POWER)
        lose();
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

static ssize_t do_write(int fd, const void *bytes, size_t size, off_t offset, bool placed)
{
    char path[PATH_BYTES];
    if (!ours(fd, path))
        return put(fd, bytes, size, offset, placed);
    (void)pthread_mutex_lock(&lock);
    remember(fd, size, offset);
    ssize_t result = is_turn(ACTION_WRITE_FAILS, ACTION_POWER, path)
                         ? fail_write(fd, bytes, size, offset, placed)
                         : put(fd, bytes, size, offset, placed);
    int saved = errno;
    (void)pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

static int do_sync(int fd, int (*real)(int))
{
    char path[PATH_BYTES];
    struct stat info;
    if (!ours(fd, path) || fstat(fd, &info) != 0)
        return real(fd);
    (void)pthread_mutex_lock(&lock);
    int result = -1;
    int saved = EIO;
    if (is_turn(ACTION_SYNC_FAILS, ACTION_SYNC_FAILS, path)) {
        failed = (struct file){info.st_dev, info.st_ino, fd};
    } else {
        if (failed.inode == info.st_ino && failed.device == info.st_dev)
            order->synced_again++;
        result = real(fd);
        saved = errno;
        struct file *file = result == 0 ? find_file(&info) : NULL;
        if (file != NULL)
            forget(file);
    }
    (void)pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

int fsync(int fd)
{
    return do_sync(fd, real_fsync);
}

int fdatasync(int fd)
{
    return do_sync(fd, real_fdatasync);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
    return do_write(fd, bytes, size, offset, true);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    return do_write(fd, bytes, size, offset, true);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    off_t at = order == NULL ? -1 : lseek(fd, 0, SEEK_CUR);
    if (at < 0) /* no file */
        return real_write(fd, bytes, size);
    return do_write(fd, bytes, size, at, false);
}
