/* Head of a folder's blob: reading and judging it. */
#include "common/pkg/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cursor.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/pkg/folder_format.h"
#include "common/pkg/name.h"

#define PRINTABLE_SIZE 128

int folder_name_check(const char *name, struct err *err)
{
    char printable[PRINTABLE_SIZE];
    if (package_name_check(name, err) != 0)
        return -1;
    if (strlen(name) > FOLDER_NAME_MAX)
        return err_set(err, ERR_INVALID, "package name \"%s\": a folder's has at most %u bytes",
                       text_printable(printable, sizeof printable, name), FOLDER_NAME_MAX);
    return 0;
}

void folder_release(struct folder *folder)
{
    free(folder->text);
    free(folder->files);
    memset(folder, 0, sizeof *folder);
}

static int bad_path(const char *path, const char *why, struct err *err)
{
    char printable[PRINTABLE_SIZE];
    return err_set(err, ERR_INVALID, "the folder's file \"%s\": %s",
                   text_printable(printable, sizeof printable, path), why);
}

/* Each component by itself; that also refuses "", "." and "..", and what is absolute. */
static int check_path(const char *path, struct err *err)
{
    char printable[PRINTABLE_SIZE];
    char component[FOLDER_PATH_MAX + 1];
    uint32_t depth = 0;
    for (const char *at = path;;) {
        size_t length = strcspn(at, "/");
        memcpy(component, at, length);
        component[length] = '\0';
        if (++depth > FOLDER_DEPTH_MAX)
            return bad_path(path, "it lies too deep", err);
        if (package_name_check(component, err) != 0)
            return err_wrap(err, "the folder's file \"%s\"",
                            text_printable(printable, sizeof printable, path));
        if (at[length] == '\0')
            return 0;
        at += length + 1;
    }
}

/* '/' before all else, so that what lies in a folder follows the folder's own name. */
static int key_byte(char c)
{
    if (c == '/')
        return 1;
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static int compare_nocase(const void *a, const void *b)
{
    const char *left = ((const struct folder_file *)a)->path;
    const char *right = ((const struct folder_file *)b)->path;
    while (*left != '\0' && key_byte(*left) == key_byte(*right)) {
        left++;
        right++;
    }
    return key_byte(*left) - key_byte(*right);
}

/* Two files of one name, or a file where another needs a folder. */
static int check_clashes(const struct folder *folder, struct err *err)
{
    int result = 0;
    struct folder_file *sorted = mem_new(folder->count, sizeof *sorted);
    memcpy(sorted, folder->files, folder->count * sizeof *sorted);
    qsort(sorted, folder->count, sizeof *sorted, compare_nocase);
    for (uint32_t i = 1; i < folder->count && result == 0; i++) {
        const char *left = sorted[i - 1].path;
        const char *right = sorted[i].path;
        while (*left != '\0' && key_byte(*left) == key_byte(*right)) {
            left++;
            right++;
        }
        if (*left == '\0' && *right == '\0')
            result = bad_path(sorted[i].path, "Windows takes it and another one for the same", err);
        else if (*left == '\0' && *right == '/')
            result = bad_path(sorted[i - 1].path, "it is a file and a folder", err);
    }
    free(sorted);
    return result;
}

/* One entry; its text goes to `to`, which has room for FOLDER_PATH_MAX + 1. */
static int take_entry(struct cursor *c, char *to, uint64_t *size, struct err *err)
{
    uint16_t length = cursor_u16le(c);
    if (length == 0 || length > FOLDER_PATH_MAX)
        return err_set(err, ERR_INVALID, "the folder's head is damaged: a path of %u bytes",
                       length);
    cursor_copy(c, to, length);
    to[length] = '\0';
    *size = cursor_u64le(c);
    if (!cursor_ok(c) || strlen(to) != length)
        return err_set(err, ERR_INVALID, "the folder's head is damaged");
    return check_path(to, err);
}

static int take_entries(struct folder *folder, struct cursor *c, struct err *err)
{
    char *to = folder->text;
    for (uint32_t i = 0; i < folder->count; i++) {
        struct folder_file *file = &folder->files[i];
        file->path = to;
        if (take_entry(c, to, &file->size, err) != 0)
            return -1;
        if (i > 0 && strcmp(file[-1].path, file->path) >= 0)
            return bad_path(file->path, "it is not where it belongs", err);
        to += strlen(to) + 1;
    }
    return 0;
}

/* The contents fill the blob to its end. */
static int set_offsets(struct folder *folder, uint64_t at, uint64_t bytes, struct err *err)
{
    for (uint32_t i = 0; i < folder->count; i++) {
        folder->files[i].offset = at;
        if (at > bytes || folder->files[i].size > bytes - at)
            return bad_path(folder->files[i].path, "the package is too short for it", err);
        at += folder->files[i].size;
    }
    return at == bytes ? 0
                       : err_set(err, ERR_INVALID, "something stands behind the folder's files");
}

int folder_decode(struct folder *folder, const uint8_t *head, size_t head_size, uint64_t bytes,
                  struct err *err)
{
    struct cursor c = cursor_of(head, head_size);
    char magic[FOLDER_MAGIC_SIZE];
    memset(folder, 0, sizeof *folder);
    cursor_copy(&c, magic, sizeof magic);
    uint32_t version = cursor_u32le(&c);
    uint32_t count = cursor_u32le(&c);
    if (!cursor_ok(&c) || memcmp(magic, FOLDER_MAGIC, sizeof magic) != 0)
        return err_set(err, ERR_INVALID, "the package is no folder");
    if (version != FOLDER_VERSION)
        return err_set(err, ERR_INVALID, "the folder's format is %u, not %u", version,
                       FOLDER_VERSION);
    /* The count is bounded by what is there before anything is allocated. */
    if (count == 0 || count > FOLDER_FILES_MAX || count > cursor_left(&c) / FOLDER_ENTRY_MIN)
        return err_set(err, ERR_INVALID, "the folder's head is damaged: %u files", count);
    folder->count = count;
    folder->files = mem_new(count, sizeof *folder->files);
    /* A NUL in the place of a length and a size; room for the longest that take_entry may copy. */
    folder->text = mem_new(cursor_left(&c) + FOLDER_PATH_MAX + 1, 1);
    if (take_entries(folder, &c, err) == 0 && check_clashes(folder, err) == 0 &&
        set_offsets(folder, c.at, bytes, err) == 0)
        return 0;
    folder_release(folder);
    return -1;
}

int folder_read(struct folder *folder, int fd, uint64_t bytes, struct err *err)
{
    size_t size = bytes < FOLDER_HEAD_MAX ? (size_t)bytes : FOLDER_HEAD_MAX;
    uint8_t *head = mem_new(size + 1, 1);
    size_t done = 0;
    int result = 0;
    memset(folder, 0, sizeof *folder);
    while (done < size && result == 0) {
        ssize_t got = pread(fd, head + done, size - done, (off_t)done);
        if (got > 0)
            done += (size_t)got;
        else if (got == 0)
            result = err_set(err, ERR_INVALID, "the package became shorter");
        else if (errno != EINTR)
            result = err_set_errno(err, errno, "cannot read the package");
    }
    if (result == 0)
        result = folder_decode(folder, head, size, bytes, err);
    free(head);
    return result;
}
