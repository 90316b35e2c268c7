/* An error as a value: what kind, the native code beside it, and a sentence that names the thing.
 *
 * Every fallible function takes `struct err *err` last, returns 0 or -1, and leaves *err alone on
 * success. Text is lower case, has no full stop and names the object ("cannot open /x: ...").
 * Passing NULL is allowed. An err owns no memory and may be copied.
 */
#ifndef PUSHER_BASE_ERR_H
#define PUSHER_BASE_ERR_H

#include <stdint.h>

enum err_code {
    ERR_NONE = 0,
    ERR_INVALID,     /* input breaks a documented rule */
    ERR_NOT_FOUND,   /* the named thing does not exist */
    ERR_EXISTS,      /* it exists already, and differs */
    ERR_DENIED,      /* no permission, bad signature, untrusted key */
    ERR_TIMEOUT,     /* no answer in time */
    ERR_PROTOCOL,    /* a peer's bytes make no sense */
    ERR_LIMIT,       /* a documented limit would be passed */
    ERR_NO_SPACE,    /* disk or quota full */
    ERR_IO,          /* the operating system refused */
    ERR_UNAVAILABLE, /* a peer cannot be reached */
    ERR_INTERNAL,    /* our own bug or an invariant broken */
};

#define ERR_TEXT_SIZE 384

struct err {
    enum err_code code;       /* what kind of failure */
    int64_t native;           /* NTSTATUS, HRESULT, errno, SQLite code; 0 if none */
    char text[ERR_TEXT_SIZE]; /* one sentence, NUL-terminated, cut at a whole character if too long
                               */
};

/* Fills err; always returns -1, so that a caller can `return err_set(...)`. */
int err_set(struct err *err, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Like err_set with the native code beside it. */
int err_set_native(struct err *err, enum err_code code, int64_t native, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ERR_IO with errno's text appended (": No such file or directory") and errno as native code. */
int err_set_errno(struct err *err, int errno_value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prefixes the text: "prefix: text". Always returns -1. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
