/* Packages in a folder, by content. */
#include "common/pkg/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/pkg/digest.h"

#define PARTS_MAX 16 /* packages on their way whose digest runs along */
#define NAME_SIZE (2 * LIMIT_DIGEST_BYTES + sizeof ".part")

/* A package on its way, since this process first appended to it. */
struct part {
    uint8_t digest[LIMIT_DIGEST_BYTES];
    int fd;
    uint64_t size;          /* bytes there */
    struct digest *running; /* over those bytes */
    uint64_t used;          /* store's counter when last appended to */
};

struct package_store {
    char *folder;
    int folder_fd;
    struct part parts[PARTS_MAX]; /* running NULL: free */
    uint64_t counter;
};

static void whole_name(const uint8_t digest[LIMIT_DIGEST_BYTES], char name[NAME_SIZE])
{
    hex_encode(digest, LIMIT_DIGEST_BYTES, name);
}

static void part_name(const uint8_t digest[LIMIT_DIGEST_BYTES], char name[NAME_SIZE])
{
    char hex[2 * LIMIT_DIGEST_BYTES + 1];
    hex_encode(digest, LIMIT_DIGEST_BYTES, hex);
    (void)snprintf(name, NAME_SIZE, "%s.part", hex);
}

static int check_folder(int fd, const char *folder, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set_errno(err, errno, "cannot use folder %s", folder);
    if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
        return err_set(err, ERR_DENIED, "others may write to folder %s", folder);
    return 0;
}

int package_store_new(struct package_store **out, const char *folder, struct err *err)
{
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return err_set_errno(err, errno, "cannot make folder %s", folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot use folder %s", folder);
    if (check_folder(fd, folder, err) != 0) {
        (void)close(fd);
        return -1;
    }
    struct package_store *store = mem_new(1, sizeof *store);
    store->folder = mem_strdup(folder);
    store->folder_fd = fd;
    *out = store;
    return 0;
}

static void part_release(struct part *part)
{
    if (part->running == NULL)
        return;
    digest_free(part->running);
    (void)close(part->fd);
    memset(part, 0, sizeof *part);
}

void package_store_free(struct package_store *store)
{
    if (store == NULL)
        return;
    for (size_t i = 0; i < PARTS_MAX; i++)
        part_release(&store->parts[i]);
    (void)close(store->folder_fd);
    free(store->folder);
    free(store);
}

static struct part *find_part(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES])
{
    for (size_t i = 0; i < PARTS_MAX; i++) {
        if (store->parts[i].running != NULL &&
            memcmp(store->parts[i].digest, digest, LIMIT_DIGEST_BYTES) == 0)
            return &store->parts[i];
    }
    return NULL;
}

/* A free place, taking the one that was not used for longest if there is none. */
static struct part *free_part(struct package_store *store)
{
    struct part *oldest = &store->parts[0];
    for (size_t i = 0; i < PARTS_MAX; i++) {
        if (store->parts[i].running == NULL)
            return &store->parts[i];
        if (store->parts[i].used < oldest->used)
            oldest = &store->parts[i];
    }
    part_release(oldest);
    return oldest;
}

static int check_bytes(uint64_t bytes, struct err *err)
{
    if (bytes == 0)
        return err_set(err, ERR_INVALID, "an empty package");
    if (bytes > LIMIT_PACKAGE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "a package of more than %llu bytes",
                       LIMIT_PACKAGE_BYTES_MAX);
    return 0;
}

/* *there: whether the whole package is in the folder, with `bytes` bytes. */
static int find_whole(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                      uint64_t bytes, bool *there, struct err *err)
{
    char name[NAME_SIZE];
    struct stat st;
    *there = false;
    whole_name(digest, name);
    if (fstatat(store->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT)
            return 0;
        return err_set_errno(err, errno, "cannot look for %s/%s", store->folder, name);
    }
    if ((uint64_t)st.st_size != bytes)
        return err_set(err, ERR_INVALID, "package %.16s has %llu bytes, not %llu", name,
                       (unsigned long long)st.st_size, (unsigned long long)bytes);
    *there = true;
    return 0;
}

int package_store_offset(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                         uint64_t bytes, uint64_t *offset, struct err *err)
{
    char name[NAME_SIZE];
    struct stat st;
    bool there;
    if (check_bytes(bytes, err) != 0 || find_whole(store, digest, bytes, &there, err) != 0)
        return -1;
    *offset = there ? bytes : 0;
    if (there)
        return 0;
    part_name(digest, name);
    if (fstatat(store->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT)
            return 0;
        return err_set_errno(err, errno, "cannot look for %s/%s", store->folder, name);
    }
    /* A part that is as long as the whole was never finished: its bytes cannot be the right ones,
     * or the crash came between the last append and the rename; either way it starts again. */
    if ((uint64_t)st.st_size >= bytes) {
        struct part *part = find_part(store, digest);
        if (part != NULL)
            part_release(part);
        if (unlinkat(store->folder_fd, name, 0) != 0)
            return err_set_errno(err, errno, "cannot remove %s/%s", store->folder, name);
        return 0;
    }
    *offset = (uint64_t)st.st_size;
    return 0;
}

/* Opens the part, reading again what an earlier process left of it. */
static int open_part(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                     uint64_t bytes, struct part **out, struct err *err)
{
    char name[NAME_SIZE];
    struct stat st;
    *out = find_part(store, digest);
    if (*out != NULL)
        return 0;
    part_name(digest, name);
    int fd = openat(store->folder_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open %s/%s", store->folder, name);
    if (fstat(fd, &st) != 0 || ((uint64_t)st.st_size >= bytes && ftruncate(fd, 0) != 0)) {
        int why = errno;
        (void)close(fd);
        return err_set_errno(err, why, "cannot open %s/%s", store->folder, name);
    }
    uint64_t size = (uint64_t)st.st_size >= bytes ? 0 : (uint64_t)st.st_size;
    struct digest *running = digest_new();
    if (digest_add_file(running, fd, size, err) != 0) {
        digest_free(running);
        (void)close(fd);
        return err_wrap(err, "%s/%s", store->folder, name);
    }
    struct part *part = free_part(store);
    memcpy(part->digest, digest, LIMIT_DIGEST_BYTES);
    part->fd = fd;
    part->size = size;
    part->running = running;
    *out = part;
    return 0;
}

/* Writes at the end of the part; on failure the file is as long as before. */
static int write_part(struct part *part, const uint8_t *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t written = pwrite(part->fd, data + done, size - done, (off_t)(part->size + done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            int why = errno;
            if (ftruncate(part->fd, (off_t)part->size) != 0)
                why = errno; /* the next write at part->size covers what is too much */
            errno = why;
            return -1;
        }
        done += (size_t)written;
    }
    return 0;
}

/* The part has all its bytes: gives it its name if they are the right ones, else removes it. */
static int finish_part(struct package_store *store, struct part *part, struct err *err)
{
    char from[NAME_SIZE];
    char to[NAME_SIZE];
    uint8_t found[LIMIT_DIGEST_BYTES];
    part_name(part->digest, from);
    whole_name(part->digest, to);
    digest_end(part->running, found);
    int result = 0;
    if (memcmp(found, part->digest, sizeof found) != 0)
        result = err_set(err, ERR_DENIED, "package %.16s arrived with another digest", to);
    else if (fsync(part->fd) != 0)
        result = err_set_errno(err, errno, "cannot sync %s/%s", store->folder, from);
    else if (renameat(store->folder_fd, from, store->folder_fd, to) != 0)
        result = err_set_errno(err, errno, "cannot rename %s/%s", store->folder, from);
    else if (fsync(store->folder_fd) != 0)
        result = err_set_errno(err, errno, "cannot sync %s", store->folder);
    part_release(part);
    if (result != 0)
        (void)unlinkat(store->folder_fd, from, 0);
    return result;
}

int package_store_append(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                         uint64_t bytes, uint64_t offset, const uint8_t *data, size_t size,
                         uint64_t *next, struct err *err)
{
    struct part *part;
    bool there;
    *next = 0;
    if (check_bytes(bytes, err) != 0 || find_whole(store, digest, bytes, &there, err) != 0)
        return -1;
    if (there) {
        *next = bytes;
        return 0;
    }
    if (open_part(store, digest, bytes, &part, err) != 0)
        return -1;
    part->used = ++store->counter;
    *next = part->size;
    if (offset > part->size)
        return err_set(err, ERR_INVALID, "package bytes at %llu, expected at %llu",
                       (unsigned long long)offset, (unsigned long long)part->size);
    if (offset < part->size)
        return 0;
    if (size > bytes - offset)
        return err_set(err, ERR_INVALID, "package bytes past its end");
    if (write_part(part, data, size) != 0)
        return err_set_errno(err, errno, "cannot write a package to %s", store->folder);
    digest_add(part->running, data, size);
    part->size += size;
    *next = part->size;
    if (part->size < bytes)
        return 0;
    if (finish_part(store, part, err) == 0)
        return 0;
    *next = 0;
    return -1;
}

int package_store_open(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                       uint64_t *bytes, struct err *err)
{
    char name[NAME_SIZE];
    struct stat st;
    whole_name(digest, name);
    int fd = openat(store->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "package %.16s is not here", name);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open %s/%s", store->folder, name);
    if (fstat(fd, &st) != 0) {
        int why = errno;
        (void)close(fd);
        return err_set_errno(err, why, "cannot open %s/%s", store->folder, name);
    }
    *bytes = (uint64_t)st.st_size;
    return fd;
}

int package_store_read(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                       uint64_t offset, uint8_t *to, size_t size, size_t *got, uint64_t *bytes,
                       struct err *err)
{
    int fd = package_store_open(store, digest, bytes, err);
    *got = 0;
    if (fd < 0)
        return -1;
    if (offset >= *bytes)
        size = 0;
    else if (size > *bytes - offset)
        size = (size_t)(*bytes - offset);
    int result = 0;
    while (result == 0 && *got < size) {
        ssize_t part = pread(fd, to + *got, size - *got, (off_t)(offset + *got));
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            result = err_set_errno(err, errno, "cannot read a package in %s", store->folder);
        else if (part == 0)
            result = err_set(err, ERR_IO, "a package in %s became shorter", store->folder);
        else
            *got += (size_t)part;
    }
    (void)close(fd);
    return result;
}

int package_store_path(const struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                       char *path, size_t path_size, struct err *err)
{
    char name[NAME_SIZE];
    whole_name(digest, name);
    int length = snprintf(path, path_size, "%s/%s", store->folder, name);
    if (length < 0 || (size_t)length >= path_size)
        return err_set(err, ERR_LIMIT, "path of a package in %s is too long", store->folder);
    return 0;
}

int package_store_remove(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                         struct err *err)
{
    char names[2][NAME_SIZE];
    struct part *part = find_part(store, digest);
    if (part != NULL)
        part_release(part);
    whole_name(digest, names[0]);
    part_name(digest, names[1]);
    for (int i = 0; i < 2; i++) {
        if (unlinkat(store->folder_fd, names[i], 0) != 0 && errno != ENOENT)
            return err_set_errno(err, errno, "cannot remove %s/%s", store->folder, names[i]);
    }
    return 0;
}

/* ---- what is here ---- */

/* Opens what is here: the whole, else the part. */
static int open_any(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                    struct err *err)
{
    char name[NAME_SIZE];
    whole_name(digest, name);
    int fd = openat(store->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 || errno != ENOENT)
        return fd >= 0 ? fd : err_set_errno(err, errno, "cannot open %s/%s", store->folder, name);
    part_name(digest, name);
    fd = openat(store->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "package %.16s is not here", name);
    return fd >= 0 ? fd : err_set_errno(err, errno, "cannot open %s/%s", store->folder, name);
}

int package_store_peek(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                       uint64_t offset, uint8_t *to, size_t size, size_t *got, struct err *err)
{
    *got = 0;
    if (offset > INT64_MAX - size)
        return 0;
    int fd = open_any(store, digest, err);
    if (fd < 0)
        return -1;
    size_t done = 0;
    ssize_t part = 1;
    while (done < size && part != 0) {
        part = pread(fd, to + done, size - done, (off_t)(offset + done));
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0) {
            int why = errno;
            (void)close(fd);
            return err_set_errno(err, why, "cannot read a package in %s", store->folder);
        }
        done += (size_t)part;
    }
    (void)close(fd);
    *got = done == size ? size : 0;
    return 0;
}

void package_store_touch(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES])
{
    char name[NAME_SIZE];
    whole_name(digest, name);
    /* What fails here only makes it look older than it is. */
    (void)utimensat(store->folder_fd, name, NULL, AT_SYMLINK_NOFOLLOW);
}

/* Whether the name is one of ours. */
static bool read_name(const char *name, struct package_entry *entry)
{
    char hex[2 * LIMIT_DIGEST_BYTES + 1];
    size_t length = strlen(name);
    entry->whole = length == sizeof hex - 1;
    if (!entry->whole && (length != NAME_SIZE - 1 || strcmp(name + sizeof hex - 1, ".part") != 0))
        return false;
    memcpy(hex, name, sizeof hex - 1);
    hex[sizeof hex - 1] = '\0';
    return hex_decode(hex, entry->digest, sizeof entry->digest) == 0;
}

/* 1: a package, 0: something else, or gone meanwhile. One that can't be looked at is no small thing
 * to leave out: its bytes would be missing where room is made. */
static int read_entry(const struct package_store *store, const char *name,
                      struct package_entry *entry, struct err *err)
{
    struct stat st;
    if (!read_name(name, entry))
        return 0;
    if (fstatat(store->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT
                   ? 0
                   : err_set_errno(err, errno, "cannot look at %s/%s", store->folder, name);
    entry->bytes = (uint64_t)st.st_size;
    entry->used_unix_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    return S_ISREG(st.st_mode) ? 1 : 0;
}

int package_store_list(struct package_store *store, struct package_entry **entries, size_t *count,
                       struct err *err)
{
    int fd = openat(store->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        int why = errno;
        if (fd >= 0)
            (void)close(fd);
        return err_set_errno(err, why, "cannot read folder %s", store->folder);
    }
    size_t capacity = 16;
    size_t used = 0;
    int got = 0;
    struct package_entry *found = mem_new(capacity, sizeof *found);
    for (const struct dirent *file = readdir(folder); got >= 0 && file != NULL;
         file = readdir(folder)) {
        if (used == capacity) {
            capacity *= 2;
            found = mem_resize(found, capacity, sizeof *found);
        }
        got = read_entry(store, file->d_name, &found[used], err);
        used += got > 0;
    }
    (void)closedir(folder);
    if (got < 0) {
        free(found);
        return -1;
    }
    *entries = found;
    *count = used;
    return 0;
}

int package_store_disk(struct package_store *store, uint64_t *free_bytes, struct err *err)
{
    struct statvfs disk;
    if (fstatvfs(store->folder_fd, &disk) != 0)
        return err_set_errno(err, errno, "cannot ask for the free space of %s", store->folder);
    *free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    return 0;
}
