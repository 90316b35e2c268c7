/* Allocation that cannot return NULL. */
#include "common/base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void mem_exhausted(void)
{
    static const char message[] = "pusher: out of memory\n";
    ssize_t ignored = write(STDERR_FILENO, message, sizeof message - 1);
    (void)ignored;
    abort();
}

void *mem_new(size_t count, size_t size)
{
    void *p = calloc(count > 0 ? count : 1, size > 0 ? size : 1);
    if (p == NULL)
        mem_exhausted();
    return p;
}

void *mem_resize(void *old, size_t count, size_t size)
{
    void *p = reallocarray(old, count > 0 ? count : 1, size > 0 ? size : 1);
    if (p == NULL)
        mem_exhausted();
    return p;
}

char *mem_strdup(const char *text)
{
    return text == NULL ? NULL : mem_strndup(text, SIZE_MAX);
}

char *mem_strndup(const char *text, size_t length_max)
{
    if (text == NULL)
        return NULL;
    char *copy = strndup(text, length_max);
    if (copy == NULL)
        mem_exhausted();
    return copy;
}
