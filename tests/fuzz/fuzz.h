/* What the fuzzers share. One fuzzer is one small file: LLVMFuzzerTestOneInput gets bytes from
 * nobody in particular, hands them to one of our parsers, and checks what must hold whatever they
 * are.
 *
 * In preset `fuzz` libFuzzer calls it; in all others replay.c does, over tests/fuzz/corpus/NAME.
 * A broken promise ends the process (FUZZ_CHECK), as a sanitizer does. Bytes that decide about a
 * structure are read by cursor (base/cursor.h), which gives zeroes after the end.
 */
#ifndef PUSHER_TESTS_FUZZ_H
#define PUSHER_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/cursor.h"
#include "common/base/err.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process when `promise` does not hold. */
#define FUZZ_CHECK(promise) ((promise) ? (void)0 : fuzz_broken(#promise, __FILE__, __LINE__))
void fuzz_broken(const char *promise, const char *file, int line) __attribute__((noreturn));

/* An error after -1: a code, and a sentence without control characters. */
void fuzz_check_error(const struct err *err);
/* Whether nothing in `text` would move a terminal's cursor, ring its bell or turn its writing
 * around. Allows line feeds when `lines`. */
bool fuzz_is_printable(const char *text, size_t size, bool lines);
/* Whether two buffers hold the same bytes. */
bool fuzz_same(const struct buf *a, const struct buf *b);

/* The rest of `from` up to a NUL or `size` - 1 bytes, as a string in `to`; what was read is
 * consumed, the NUL as well. */
void fuzz_text(struct cursor *from, char *to, size_t size);
/* The same on the heap; free it. */
char *fuzz_new_text(struct cursor *from, size_t size_max);

/* Where a fuzzer may keep files: $PUSHER_FUZZ_TMP, which tests/run-fuzz removes at its end, else
 * memory, else /tmp. */
const char *fuzz_temporary(void);

/* Bytes that malloc gave out since fuzz_memory_start(), freed or not; 0 in builds without
 * AddressSanitizer, which nobody can ask. */
void fuzz_memory_start(void);
size_t fuzz_memory_taken(void);

#endif
