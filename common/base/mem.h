/* Allocation for needs that are small and bounded by us: exhaustion ends the process with a
 * message. Sizes that a peer or a user chooses are checked against a limit before they come here.
 */
#ifndef PUSHER_BASE_MEM_H
#define PUSHER_BASE_MEM_H

#include <stddef.h>

/* `count` zeroed elements of `size` bytes; overflow-checked; never NULL. Free with free(). */
void *mem_new(size_t count, size_t size);
/* Like realloc over count x size, overflow-checked; never NULL. New bytes are not zeroed. */
void *mem_resize(void *old, size_t count, size_t size);
/* Copies of a string; NULL stays NULL. */
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t length_max);
/* Prints a message on standard error and aborts. */
void mem_exhausted(void) __attribute__((noreturn));

#endif
