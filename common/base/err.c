/* Error values: formatting only. */
#include "common/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A text that filled its room may end within a character of UTF-8: that one goes. */
static void trim_cut(char *text, size_t size)
{
    size_t length = strlen(text);
    size_t lead = length;
    if (length + 1 < size)
        return;
    while (lead > 0 && length - lead < 3 && ((unsigned char)text[lead - 1] & 0xc0) == 0x80)
        lead--;
    unsigned char first = lead > 0 ? (unsigned char)text[lead - 1] : 0;
    size_t wanted = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    if (lead > 0 && length - lead + 1 < wanted)
        text[lead - 1] = '\0';
}

__attribute__((format(printf, 4, 0))) static void
fill(struct err *err, enum err_code code, int64_t native, const char *format, va_list args)
{
    err->code = code;
    err->native = native;
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    trim_cut(err->text, sizeof err->text);
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
    trim_cut(err->text, sizeof err->text);
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
    trim_cut(err->text, sizeof err->text);
    return -1;
}
