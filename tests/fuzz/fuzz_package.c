/* common/pkg: folders as one blob, package names, and the script through which a package that is
 * waited for runs, which an operator's tool that was taken over could have signed; and the exit
 * code, which the target writes.
 *
 * Input: which, then bytes. Holds: a folder's head that is taken is the only one of its content,
 * its files fill the blob, and every path stays inside the folder on Windows; a name that is taken
 * has nothing in it that Windows reads as a path; no command line adds a line to the script. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/pkg/folder.h"
#include "common/pkg/folder_format.h"
#include "common/pkg/name.h"
#include "common/pkg/wrapper.h"
#include "fuzz.h"

/* Said again, in other words than the checker's. */
static void check_component(const char *name, size_t length)
{
    static const char *const devices[] = {"con", "nul", "aux", "prn", "com1", "lpt9"};
    FUZZ_CHECK(length > 0 && length < LIMIT_PACKAGE_NAME_SIZE);
    FUZZ_CHECK(name[length - 1] != '.' && name[length - 1] != ' ');
    for (size_t i = 0; i < length; i++)
        FUZZ_CHECK((unsigned char)name[i] >= ' ' && strchr("<>:\"/\\|?*", name[i]) == NULL);
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        size_t size = strlen(devices[i]);
        FUZZ_CHECK(length < size || strncasecmp(name, devices[i], size) != 0 ||
                   (length > size && name[size] != '.'));
    }
    FUZZ_CHECK(length < 8 || strncasecmp(name, ".pusher-", 8) != 0);
}

/* Windows would take both for the same, or one for a folder that holds the other. */
static bool clash(const char *left, const char *right)
{
    size_t size = strlen(left);
    return strncasecmp(left, right, size) == 0 && (right[size] == '\0' || right[size] == '/');
}

static void check_folder(const struct folder *folder, const uint8_t *head, uint64_t bytes)
{
    struct buf again;
    uint64_t end = 0;
    buf_init(&again, FOLDER_HEAD_MAX);
    buf_bytes(&again, FOLDER_MAGIC, FOLDER_MAGIC_SIZE);
    buf_u32le(&again, FOLDER_VERSION);
    buf_u32le(&again, folder->count);
    for (uint32_t i = 0; i < folder->count; i++) {
        const struct folder_file *file = &folder->files[i];
        size_t length = strlen(file->path);
        FUZZ_CHECK(length <= FOLDER_PATH_MAX);
        buf_u16le(&again, (uint16_t)length);
        buf_bytes(&again, file->path, length);
        buf_u64le(&again, file->size);
        for (const char *at = file->path;;) {
            size_t part = strcspn(at, "/");
            check_component(at, part);
            if (at[part] == '\0')
                break;
            at += part + 1;
        }
        for (uint32_t j = 0; j < folder->count && j < 100; j++)
            FUZZ_CHECK(j == i || !clash(file->path, folder->files[j].path));
        FUZZ_CHECK(i == 0 || file->offset == end);
        FUZZ_CHECK(file->size <= bytes && file->offset <= bytes - file->size);
        end = file->offset + file->size;
    }
    FUZZ_CHECK(folder->files[0].offset == again.size && end == bytes);
    FUZZ_CHECK(memcmp(again.data, head, again.size) == 0);
    buf_release(&again);
}

static void try_folder(struct cursor *in)
{
    struct folder folder;
    struct err err = {0};
    uint64_t bytes = cursor_u16le(in);
    size_t size = cursor_left(in);
    const uint8_t *head = cursor_bytes(in, size);
    fuzz_memory_start();
    int result = folder_decode(&folder, head, size, bytes, &err);
    FUZZ_CHECK(fuzz_memory_taken() <= 64 * size + 65536);
    if (result != 0) {
        fuzz_check_error(&err);
        FUZZ_CHECK(folder.files == NULL && folder.text == NULL && folder.count == 0);
        return;
    }
    check_folder(&folder, head, bytes);
    folder_release(&folder);
}

static void try_name(struct cursor *in)
{
    struct err err = {0};
    char *name = fuzz_new_text(in, 600);
    (void)package_name_kind(name);
    if (package_name_check(name, &err) == 0)
        check_component(name, strlen(name));
    else
        fuzz_check_error(&err);
    if (folder_name_check(name, NULL) == 0)
        FUZZ_CHECK(strlen(name) <= FOLDER_NAME_MAX && package_name_check(name, NULL) == 0);
    free(name);
}

/* Lines of the script, all of ASCII and ended by CR LF. */
static size_t count_lines(const struct buf *script)
{
    size_t lines = 0;
    for (size_t i = 0; i < script->size; i++) {
        uint8_t c = script->data[i];
        FUZZ_CHECK(c < 0x7f && (c >= ' ' || c == '\r' || c == '\n'));
        FUZZ_CHECK((c == '\n') == (i > 0 && script->data[i - 1] == '\r'));
        lines += c == '\n';
    }
    return lines;
}

static void try_wrapper(struct cursor *in)
{
    static struct job job;
    struct buf plain;
    struct buf script;
    struct err err = {0};
    memset(&job, 0, sizeof job);
    job.wait = true;
    (void)memcpy(job.package_name, "a.exe", 6);
    buf_init(&plain, WRAPPER_SIZE_MAX);
    buf_init(&script, WRAPPER_SIZE_MAX);
    FUZZ_CHECK(wrapper_build(&job, &plain, NULL) == 0);
    job.directory = cursor_u8(in) % 4 == 0;
    fuzz_text(in, job.package_name, sizeof job.package_name);
    fuzz_text(in, job.command, sizeof job.command);
    fuzz_text(in, job.arguments, sizeof job.arguments);
    if (package_name_check(job.package_name, NULL) == 0) {
        if (wrapper_build(&job, &script, &err) == 0)
            FUZZ_CHECK(count_lines(&script) == count_lines(&plain));
        else
            fuzz_check_error(&err);
        if (job_command_check(&job, &err) == 0)
            FUZZ_CHECK(buf_ok(&script) && script.size > 0);
    }
    buf_release(&plain);
    buf_release(&script);
}

/* The file comes from the target. */
static void try_end(struct cursor *in)
{
    char again[24];
    uint32_t code = 0;
    uint32_t code_again = 0;
    size_t size = cursor_left(in);
    const uint8_t *bytes = cursor_bytes(in, size);
    if (!wrapper_end_read(bytes, size, &code))
        return;
    (void)snprintf(again, sizeof again, "%d\r\n", (int32_t)code);
    FUZZ_CHECK(wrapper_end_read((const uint8_t *)again, strlen(again), &code_again));
    FUZZ_CHECK(code_again == code);
    for (size_t i = 0; i < size; i++)
        FUZZ_CHECK(bytes[i] != '\0' && strchr("-0123456789 \r\n", bytes[i]) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = cursor_of(data, size);
    uint8_t what = cursor_u8(&in) % 4;
    if (what == 0)
        try_folder(&in);
    else if (what == 1)
        try_name(&in);
    else if (what == 2)
        try_wrapper(&in);
    else
        try_end(&in);
    return 0;
}
