/* Promises that all fuzzers check, and the counting of memory. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"

/* AddressSanitizer's own, of gcc and of clang; NULL where there is none. */
typedef void malloc_hook(const volatile void *, size_t);
typedef void free_hook(const volatile void *);
int __sanitizer_install_malloc_and_free_hooks(malloc_hook *on_malloc, free_hook *on_free)
    __attribute__((weak));

static size_t memory_taken;
static bool memory_counts;

static void count_malloc(const volatile void *pointer, size_t size)
{
    (void)pointer;
    memory_taken += size;
}

static void count_free(const volatile void *pointer)
{
    (void)pointer;
}

void fuzz_check(bool promise, const char *text, const char *file, int line)
{
    if (promise)
        return;
    (void)fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, text);
    abort();
}

bool fuzz_is_printable(const char *text, size_t size, bool lines)
{
    char *copy = mem_new(size + 1, 1);
    char *shown = mem_new(size + 1, 8);
    memcpy(copy, text, size);
    for (size_t i = 0; lines && i < size; i++) {
        if (copy[i] == '\n')
            copy[i] = ' ';
    }
    /* Whatever text_printable changes, it found to be dangerous. */
    bool same =
        strlen(copy) == size && strcmp(text_printable(shown, size * 8 + 1, copy), copy) == 0;
    free(copy);
    free(shown);
    return same;
}

void fuzz_check_error(const struct err *err)
{
    FUZZ_CHECK(err->code != ERR_NONE);
    size_t length = strnlen(err->text, sizeof err->text);
    FUZZ_CHECK(length > 0 && length < sizeof err->text);
    FUZZ_CHECK(fuzz_is_printable(err->text, length, false));
}

bool fuzz_same(const struct buf *a, const struct buf *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

void fuzz_text(struct cursor *from, char *to, size_t size)
{
    size_t length = 0;
    while (cursor_left(from) > 0) {
        char c = (char)cursor_u8(from);
        if (c == '\0')
            break;
        to[length++] = c;
        if (length == size - 1)
            break;
    }
    to[length] = '\0';
}

char *fuzz_new_text(struct cursor *from, size_t size_max)
{
    size_t size = cursor_left(from) + 1;
    if (size > size_max)
        size = size_max;
    char *text = mem_new(size < 2 ? 2 : size, 1);
    fuzz_text(from, text, size < 2 ? 2 : size);
    char *exact = mem_strdup(text); /* so that a read past the end is seen */
    free(text);
    return exact;
}

const char *fuzz_temporary(void)
{
    const char *given = getenv("PUSHER_FUZZ_TMP");
    return given != NULL ? given : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

void fuzz_memory_start(void)
{
    if (!memory_counts && __sanitizer_install_malloc_and_free_hooks != NULL)
        (void)__sanitizer_install_malloc_and_free_hooks(count_malloc, count_free);
    memory_counts = true;
    memory_taken = 0;
}

size_t fuzz_memory_taken(void)
{
    return memory_taken;
}
