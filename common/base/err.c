/* Error values: formatting only. */
#include "common/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 4, 0))) static void
fill(struct err *err, enum err_code code, int64_t native, const char *format, va_list args)
{
    err->code = code;
    err->native = native;
    (void)vsnprintf(err->text, sizeof err->text, format, args);
}

int err_set(struct err *err, enum err_code code, const char *format, ...)
{
    if (err == NULL)
        return -1;
    va_list args;
    va_start(args, format);
    fill(err, code, 0, format, args);
    va_end(args);
    return -1;
}

int err_set_native(struct err *err, enum err_code code, int64_t native, const char *format, ...)
{
    if (err == NULL)
        return -1;
    va_list args;
    va_start(args, format);
    fill(err, code, native, format, args);
    va_end(args);
    return -1;
}

int err_set_errno(struct err *err, int errno_value, const char *format, ...)
{
    if (err == NULL)
        return -1;
    va_list args;
    va_start(args, format);
    fill(err, errno_value == ENOSPC || errno_value == EDQUOT ? ERR_NO_SPACE : ERR_IO, errno_value,
         format, args);
    va_end(args);
    size_t used = strlen(err->text);
    char reason[128];
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s",
                   strerror_r(errno_value, reason, sizeof reason));
    return -1;
}

int err_wrap(struct err *err, const char *format, ...)
{
    if (err == NULL)
        return -1;
    char prefix[ERR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    char inner[ERR_TEXT_SIZE];
    memcpy(inner, err->text, sizeof inner);
    size_t used = strnlen(prefix, sizeof prefix);
    memcpy(err->text, prefix, used);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", inner);
    return -1;
}
