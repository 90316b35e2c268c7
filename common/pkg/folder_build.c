/* Blob of a folder on the admin's disk. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/pkg/folder.h"
#include "common/pkg/folder_format.h"

#define PIECE_BYTES 65536U
#define PRINTABLE_SIZE 128

struct found {
    char *path; /* owned; below the folder */
    struct stat seen;
};

struct build {
    int root; /* the folder */
    struct found *files;
    uint32_t count;
    uint32_t capacity;
    char name[LIMIT_PACKAGE_NAME_SIZE]; /* the folder's */
    char printable[PRINTABLE_SIZE];     /* of the path that an error names */
};

static const char *shown(struct build *build, const char *path)
{
    return text_printable(build->printable, sizeof build->printable, path);
}

static int failed(struct build *build, const char *path, struct err *err)
{
    enum err_code code = errno == ENOENT ? ERR_NOT_FOUND : ERR_DENIED;
    if (errno == ENOENT || errno == EACCES || errno == EPERM)
        return err_set_native(err, code, errno, "cannot read %s of package %s", shown(build, path),
                              build->name);
    return err_set_errno(err, errno, "cannot read %s of package %s", shown(build, path),
                         build->name);
}

static int add(struct build *build, const char *path, const struct stat *seen, struct err *err)
{
    if (build->count == FOLDER_FILES_MAX)
        return err_set(err, ERR_LIMIT, "package %s has more than %u files", build->name,
                       FOLDER_FILES_MAX);
    if (build->count == build->capacity) {
        build->capacity = build->capacity == 0 ? 64 : 2 * build->capacity;
        build->files = mem_resize(build->files, build->capacity, sizeof *build->files);
    }
    build->files[build->count++] = (struct found){.path = mem_strdup(path), .seen = *seen};
    return 0;
}

static int walk(struct build *build, int fd, const char *path, uint32_t depth, struct err *err);

/* One name in a folder. */
static int visit(struct build *build, int parent, const char *path, const char *name,
                 uint32_t depth, struct err *err)
{
    char below[FOLDER_PATH_MAX + NAME_MAX + 2];
    struct stat seen;
    (void)snprintf(below, sizeof below, "%s%s%s", path, path[0] != '\0' ? "/" : "", name);
    if (fstatat(parent, name, &seen, AT_SYMLINK_NOFOLLOW) != 0)
        return failed(build, below, err);
    if (strlen(below) > FOLDER_PATH_MAX)
        return err_set(err, ERR_LIMIT, "package %s: the path of %s is longer than %u bytes",
                       build->name, shown(build, below), FOLDER_PATH_MAX);
    if (S_ISREG(seen.st_mode))
        return add(build, below, &seen, err);
    if (!S_ISDIR(seen.st_mode))
        return err_set(err, ERR_INVALID,
                       "package %s: %s is a link or a device, not a file or folder", build->name,
                       shown(build, below));
    if (depth == FOLDER_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "package %s: %s lies deeper than %u folders", build->name,
                       shown(build, below), FOLDER_DEPTH_MAX);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? failed(build, below, err) : walk(build, fd, below, depth + 1, err);
}

/* Everything in the folder `fd`, which it closes. Not deeper than FOLDER_DEPTH_MAX. */
static int walk(struct build *build, int fd, const char *path, uint32_t depth, struct err *err)
{
    DIR *stream = fdopendir(fd);
    int result = 0;
    if (stream == NULL) {
        (void)failed(build, path, err);
        (void)close(fd);
        return -1;
    }
    while (result == 0) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            result = errno == 0 ? 0 : failed(build, path, err);
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = visit(build, dirfd(stream), path, entry->d_name, depth, err);
    }
    (void)closedir(stream);
    return result;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct found *)a)->path, ((const struct found *)b)->path);
}

/* The name: the last component of where `path` leads, as far as it has one ("." has none). */
static int take_name(struct build *build, const char *path, struct err *err)
{
    char *whole = NULL;
    const char *end = path + strlen(path);
    while (end > path && end[-1] == '/')
        end--;
    const char *start = end;
    while (start > path && start[-1] != '/')
        start--;
    size_t length = (size_t)(end - start);
    if (length == 0 || strncmp(start, ".", length) == 0 || strncmp(start, "..", length) == 0) {
        whole = realpath(path, NULL);
        if (whole == NULL)
            return err_set_errno(err, errno, "cannot read package %s", path);
        start = strrchr(whole, '/') + 1;
        length = strlen(start);
    }
    char name[LIMIT_PACKAGE_NAME_SIZE];
    (void)snprintf(name, sizeof name, "%.*s", (int)length, start);
    free(whole);
    (void)text_copy(build->name, sizeof build->name, name);
    return folder_name_check(name, err);
}

static void build_release(struct build *build)
{
    for (uint32_t i = 0; i < build->count; i++)
        free(build->files[i].path);
    free(build->files);
    if (build->root >= 0)
        (void)close(build->root);
}

/* Fills the list of files and the head, which the reader must like. */
static int prepare(struct build *build, const char *path, struct buf *head, struct err *err)
{
    struct folder judged;
    uint64_t bytes = 0;
    build->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (build->root < 0) {
        (void)text_copy(build->name, sizeof build->name, path);
        return failed(build, ".", err);
    }
    if (take_name(build, path, err) != 0)
        return -1;
    int fd = openat(build->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failed(build, ".", err);
    if (walk(build, fd, "", 1, err) != 0)
        return -1;
    if (build->count == 0)
        return err_set(err, ERR_INVALID, "package %s is a folder without files", build->name);
    qsort(build->files, build->count, sizeof *build->files, compare);
    buf_text(head, FOLDER_MAGIC);
    buf_u32le(head, FOLDER_VERSION);
    buf_u32le(head, build->count);
    for (uint32_t i = 0; i < build->count; i++) {
        uint64_t size = (uint64_t)build->files[i].seen.st_size;
        size_t length = strlen(build->files[i].path);
        if (size > LIMIT_PACKAGE_BYTES_MAX - bytes)
            return err_set(err, ERR_LIMIT, "package %s has more than %llu bytes", build->name,
                           LIMIT_PACKAGE_BYTES_MAX);
        bytes += size;
        buf_u16le(head, (uint16_t)length);
        buf_bytes(head, build->files[i].path, length);
        buf_u64le(head, size);
    }
    if (bytes + head->size > LIMIT_PACKAGE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "package %s has more than %llu bytes", build->name,
                       LIMIT_PACKAGE_BYTES_MAX);
    if (folder_decode(&judged, head->data, head->size, head->size + bytes, err) != 0)
        return err_wrap(err, "package %s", build->name);
    folder_release(&judged);
    return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t size, struct err *err)
{
    while (size > 0) {
        ssize_t done = write(fd, bytes, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return err_set_errno(err, errno, "cannot write the package's temporary file");
        bytes += done;
        size -= (size_t)done;
    }
    return 0;
}

static int changed(struct build *build, const struct found *file, struct err *err)
{
    return err_set(err, ERR_INVALID, "package %s: %s changed while it was read", build->name,
                   shown(build, file->path));
}

static bool same(const struct stat *a, const struct stat *b)
{
    return S_ISREG(b->st_mode) && a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
           a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Exactly the bytes that the head tells, of the file that was seen. */
static int copy_content(struct build *build, const struct found *file, int from, int to,
                        struct err *err)
{
    struct stat now;
    uint64_t left = (uint64_t)file->seen.st_size;
    uint8_t piece[PIECE_BYTES];
    if (fstat(from, &now) != 0)
        return failed(build, file->path, err);
    if (!same(&file->seen, &now))
        return changed(build, file, err);
    while (left > 0) {
        ssize_t got = read(from, piece, left < sizeof piece ? (size_t)left : sizeof piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(build, file->path, err);
        if (got == 0)
            return changed(build, file, err);
        if (write_all(to, piece, (size_t)got, err) != 0)
            return -1;
        left -= (uint64_t)got;
    }
    if (fstat(from, &now) != 0)
        return failed(build, file->path, err);
    return same(&file->seen, &now) ? 0 : changed(build, file, err);
}

static int copy_file(struct build *build, const struct found *file, int to, struct err *err)
{
    int from = openat(build->root, file->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from < 0)
        return failed(build, file->path, err);
    int result = copy_content(build, file, from, to, err);
    (void)close(from);
    return result;
}

static int temporary(struct err *err)
{
    char path[PATH_MAX];
    const char *where = getenv("TMPDIR");
    if (where == NULL || where[0] != '/')
        where = "/var/tmp";
    if (snprintf(path, sizeof path, "%s/pusher-package-XXXXXX", where) >= (int)sizeof path)
        return err_set(err, ERR_INVALID, "TMPDIR is too long");
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot make the package's temporary file in %.200s",
                             where);
    (void)unlink(path);
    return fd;
}

int folder_check(const char *path, struct err *err)
{
    struct build build = {.root = -1};
    struct buf head;
    buf_init(&head, FOLDER_HEAD_MAX);
    int result = prepare(&build, path, &head, err);
    buf_release(&head);
    build_release(&build);
    return result;
}

int folder_build(const char *path, struct package_file *file, struct err *err)
{
    struct build build = {.root = -1};
    struct buf head;
    memset(file, 0, sizeof *file);
    file->fd = -1;
    buf_init(&head, FOLDER_HEAD_MAX);
    int result = prepare(&build, path, &head, err);
    if (result == 0) {
        file->fd = temporary(err);
        result = file->fd < 0 ? -1 : write_all(file->fd, head.data, head.size, err);
    }
    for (uint32_t i = 0; i < build.count && result == 0; i++)
        result = copy_file(&build, &build.files[i], file->fd, err);
    if (result == 0 && fstat(file->fd, &file->opened) != 0)
        result = err_set_errno(err, errno, "cannot read the package's temporary file");
    file->bytes = (uint64_t)file->opened.st_size;
    (void)text_copy(file->name, sizeof file->name, build.name);
    if (result != 0)
        package_file_release(file);
    buf_release(&head);
    build_release(&build);
    return result;
}

int package_open(const char *path, struct package_file *file, bool *directory, struct err *err)
{
    struct stat seen;
    *directory = stat(path, &seen) == 0 && S_ISDIR(seen.st_mode);
    return *directory ? folder_build(path, file, err) : package_file_open(file, path, err);
}
