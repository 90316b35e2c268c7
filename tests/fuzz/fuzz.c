/* Promises that all fuzzers check, and the counting of memory. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"

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

void fuzz_broken(const char *promise, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, promise);
    abort();
}

/* The character at `at` of `size` bytes; its length, 0 when it is none (RFC 3629). Written apart
 * from base/text.c, which this checks. */
static size_t character(const unsigned char *at, size_t size, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned ones = 0;
    while (ones < 8 && (at[0] >> (7 - ones) & 1) == 1)
        ones++;
    size_t length = ones == 0 ? 1 : ones;
    if (ones == 1 || ones > 4 || length > size)
        return 0;
    *code = ones == 0 ? at[0] : at[0] & (0xffU >> (ones + 1));
    for (size_t i = 1; i < length; i++) {
        if (at[i] >> 6 != 2)
            return 0;
        *code = *code * 64 + at[i] % 64;
    }
    return *code < least[length] || *code > 0x10ffff || *code / 0x800 == 0x1b ? 0 : length;
}

bool fuzz_is_printable(const char *text, size_t size, bool lines)
{
    /* Unicode's format characters that hide or turn text around: ranges, inclusive. */
    static const uint32_t bad[][2] = {{0, 0x1f},        {0x7f, 0x9f},     {0x61c, 0x61c},
                                      {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x2069},
                                      {0xfeff, 0xfeff}};
    for (size_t at = 0; at < size;) {
        uint32_t code = 0;
        size_t length = character((const unsigned char *)text + at, size - at, &code);
        if (length == 0)
            return false;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            if (code >= bad[i][0] && code <= bad[i][1] && !(lines && code == '\n'))
                return false;
        }
        at += length;
    }
    return true;
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
