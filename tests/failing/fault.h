/* The n-th call fails. One kind of call at a time: those of our own code to the allocator and to
 * the operating system (the linker's --wrap sends them here), SQLite's to its allocator, and
 * SQLite's to its files (a VFS between it and the real one).
 */
#ifndef PUSHER_TESTS_FAULT_H
#define PUSHER_TESTS_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_kind {
    FAULT_NONE,
    FAULT_ALLOC,        /* malloc and its kin: NULL */
    FAULT_CALL_IO,      /* a system call: EIO */
    FAULT_CALL_FULL,    /* one that may need room: ENOSPC */
    FAULT_CALL_SHORT,   /* write and read: half of it, once, which is no failure */
    FAULT_CALL_SIGNAL,  /* write and read: EINTR, once, which is no failure */
    FAULT_SQLITE_ALLOC, /* SQLite's allocator: NULL */
    FAULT_FILE_IO,      /* any of SQLite's calls to a file: SQLITE_IOERR_... */
    FAULT_FILE_FULL,    /* SQLite's writes: SQLITE_FULL */
    FAULT_FILE_SHORT,   /* SQLite's writes: half is written, then SQLITE_IOERR_WRITE */
    FAULT_FILE_BUSY,    /* SQLite's locks: SQLITE_BUSY */
    FAULT_KIND_COUNT,
};

/* Word for people; "alloc", "call-io", ... */
const char *fault_word(enum fault_kind kind);

/* Before SQLite is used for the first time in the process. */
void fault_install(void);
/* From now on the `nth` call of the kind fails, counted from 1; with `on` all later ones, too. */
void fault_begin(enum fault_kind kind, uint32_t nth, bool on);
/* No call fails any more. Whether one did. */
bool fault_end(void);
/* How many calls of the kind there were. */
uint32_t fault_calls(void);
/* The name of the call that failed first; "" when none did. */
const char *fault_where(void);

#endif
