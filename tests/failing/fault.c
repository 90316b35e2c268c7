/* Counting calls, and those that our own code makes; sqlite_fault.c has SQLite's. */
#include "tests/failing/fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/failing/sqlite_fault.h"

static struct {
    enum fault_kind kind;
    uint32_t nth, count;
    bool on, hit;
    const char *where;
} fault;

const char *fault_word(enum fault_kind kind)
{
    static const char *const words[FAULT_KIND_COUNT] = {
        "none",     "alloc",   "call-io",   "call-full",  "call-short", "call-signal",
        "db-alloc", "file-io", "file-full", "file-short", "file-busy",
    };
    return words[kind];
}

void fault_install(void)
{
    sqlite_fault_install();
}

void fault_begin(enum fault_kind kind, uint32_t nth, bool on)
{
    fault.kind = kind;
    fault.nth = nth;
    fault.on = on;
    fault.count = 0;
    fault.hit = false;
    fault.where = "";
}

bool fault_end(void)
{
    fault.kind = FAULT_NONE;
    return fault.hit;
}

uint32_t fault_calls(void)
{
    return fault.count;
}

const char *fault_where(void)
{
    return fault.where;
}

bool fault_now(enum fault_kind kind, const char *where)
{
    if (kind != fault.kind)
        return false;
    fault.count++;
    if (fault.count < fault.nth || (fault.count > fault.nth && !fault.on))
        return false;
    if (!fault.hit)
        fault.where = where;
    fault.hit = true;
    return true;
}

/* ---- the allocator ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

static bool no_memory(const char *where)
{
    if (!fault_now(FAULT_ALLOC, where))
        return false;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return no_memory("malloc") ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return no_memory("calloc") ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return no_memory("realloc") ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return no_memory("reallocarray") ? NULL : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *text)
{
    return no_memory("strdup") ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
    return no_memory("strndup") ? NULL : __real_strndup(text, size);
}

/* ---- the operating system ---- */

/* Whether the call fails now, with errno set. */
static bool refused(const char *where, bool needs_room)
{
    if (fault_now(FAULT_CALL_IO, where)) {
        errno = EIO;
        return true;
    }
    if (needs_room && fault_now(FAULT_CALL_FULL, where)) {
        errno = ENOSPC;
        return true;
    }
    return false;
}

/* How much of `size` is done; -1 with errno when none is. */
static ssize_t part_of(const char *where, bool needs_room, size_t size)
{
    if (refused(where, needs_room))
        return -1;
    if (fault_now(FAULT_CALL_SIGNAL, where)) {
        errno = EINTR;
        return -1;
    }
    if (size > 1 && fault_now(FAULT_CALL_SHORT, where))
        return (ssize_t)(size / 2);
    return (ssize_t)size;
}

#define SIMPLE(name, parameters, arguments, needs_room)                                            \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        return refused(#name, needs_room) ? -1 : __real_##name arguments;                          \
    }

SIMPLE(fsync, (int fd), (fd), true)
SIMPLE(fdatasync, (int fd), (fd), true)
SIMPLE(rename, (const char *from, const char *to), (from, to), true)
SIMPLE(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), true)
SIMPLE(unlink, (const char *path), (path), false)
SIMPLE(unlinkat, (int fd, const char *path, int flags), (fd, path, flags), false)
SIMPLE(mkdir, (const char *path, mode_t mode), (path, mode), true)
SIMPLE(ftruncate, (int fd, off_t size), (fd, size), true)
SIMPLE(stat, (const char *path, struct stat *info), (path, info), false)
SIMPLE(lstat, (const char *path, struct stat *info), (path, info), false)
SIMPLE(fstat, (int fd, struct stat *info), (fd, info), false)
SIMPLE(fstatat, (int fd, const char *path, struct stat *info, int flags), (fd, path, info, flags),
       false)
SIMPLE(fstatvfs, (int fd, struct statvfs *info), (fd, info), false)
SIMPLE(link, (const char *from, const char *to), (from, to), true)

ssize_t __real_read(int fd, void *to, size_t size);
ssize_t __real_pread(int fd, void *to, size_t size, off_t at);
ssize_t __real_write(int fd, const void *from, size_t size);
ssize_t __real_pwrite(int fd, const void *from, size_t size, off_t at);
int __real_open(const char *path, int flags, ...);
int __real_openat(int folder, const char *path, int flags, ...);
int __real_close(int fd);
int __real_posix_fallocate(int fd, off_t at, off_t size);
DIR *__real_fdopendir(int fd);
ssize_t __wrap_read(int fd, void *to, size_t size);
ssize_t __wrap_pread(int fd, void *to, size_t size, off_t at);
ssize_t __wrap_write(int fd, const void *from, size_t size);
ssize_t __wrap_pwrite(int fd, const void *from, size_t size, off_t at);
int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...);
int __wrap_close(int fd);
int __wrap_posix_fallocate(int fd, off_t at, off_t size);
DIR *__wrap_fdopendir(int fd);

ssize_t __wrap_read(int fd, void *to, size_t size)
{
    ssize_t part = part_of("read", false, size);
    return part < 0 ? -1 : __real_read(fd, to, (size_t)part);
}

ssize_t __wrap_pread(int fd, void *to, size_t size, off_t at)
{
    ssize_t part = part_of("pread", false, size);
    return part < 0 ? -1 : __real_pread(fd, to, (size_t)part, at);
}

/* What goes to people is left alone. */
ssize_t __wrap_write(int fd, const void *from, size_t size)
{
    ssize_t part = fd <= STDERR_FILENO ? (ssize_t)size : part_of("write", true, size);
    return part < 0 ? -1 : __real_write(fd, from, (size_t)part);
}

ssize_t __wrap_pwrite(int fd, const void *from, size_t size, off_t at)
{
    ssize_t part = part_of("pwrite", true, size);
    return part < 0 ? -1 : __real_pwrite(fd, from, (size_t)part, at);
}

static mode_t mode_of(int flags, va_list arguments)
{
    return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return refused("open", (flags & O_CREAT) != 0) ? -1 : __real_open(path, flags, mode);
}

int __wrap_openat(int folder, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return refused("openat", (flags & O_CREAT) != 0) ? -1
                                                     : __real_openat(folder, path, flags, mode);
}

/* The descriptor is gone, whatever close says. */
int __wrap_close(int fd)
{
    int closed = __real_close(fd);
    return refused("close", true) ? -1 : closed;
}

int __wrap_posix_fallocate(int fd, off_t at, off_t size)
{
    return refused("posix_fallocate", true) ? errno : __real_posix_fallocate(fd, at, size);
}

DIR *__wrap_fdopendir(int fd)
{
    return refused("fdopendir", false) ? NULL : __real_fdopendir(fd);
}
