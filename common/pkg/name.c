/* Package file names that Windows can hold. */
#include "common/pkg/name.h"

#include <string.h>
#include <strings.h>

#include "common/base/buf.h"
#include "common/base/text.h"
#include "common/base/utf16.h"
#include "common/model/limits.h"

#define NAME_UNITS_MAX 255 /* [MS-FSCC] 2.1.5: a component has at most 255 UTF-16 units */

/* Win32 takes these for devices, whatever extension follows. */
static const char *const devices[] = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"};

static bool is_device(const char *name)
{
    size_t length = strcspn(name, ".");
    while (length > 0 && name[length - 1] == ' ')
        length--;
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        if (strlen(devices[i]) == length && strncasecmp(name, devices[i], length) == 0)
            return true;
    }
    if (length < 4 || (strncasecmp(name, "COM", 3) != 0 && strncasecmp(name, "LPT", 3) != 0))
        return false;
    if (length == 4)
        return name[3] >= '0' && name[3] <= '9';
    /* Superscript one, two and three in UTF-8 count as digits here. */
    return length == 5 &&
           (memcmp(name + 3, "\xc2\xb9", 2) == 0 || memcmp(name + 3, "\xc2\xb2", 2) == 0 ||
            memcmp(name + 3, "\xc2\xb3", 2) == 0);
}

static bool too_long(const char *name)
{
    struct buf units;
    buf_init(&units, 2 * LIMIT_PACKAGE_NAME_SIZE);
    bool fits =
        utf16_from_utf8(&units, name) == 0 && buf_ok(&units) && units.size / 2 <= NAME_UNITS_MAX;
    buf_release(&units);
    return !fits;
}

/* What is wrong with the name, or NULL. */
static const char *breach(const char *name)
{
    char printable[4 * LIMIT_PACKAGE_NAME_SIZE];
    size_t length = strnlen(name, LIMIT_PACKAGE_NAME_SIZE);
    if (length == 0)
        return "it is empty";
    if (length == LIMIT_PACKAGE_NAME_SIZE)
        return "it is too long";
    if (!utf8_valid(name))
        return "it is not UTF-8";
    if (too_long(name))
        return "it is too long";
    if (strpbrk(name, "<>:\"/\\|?*") != NULL)
        return "Windows allows none of <>:\"/\\|?* in names";
    if (strcmp(text_printable(printable, sizeof printable, name), name) != 0)
        return "it holds control characters";
    if (name[0] == ' ')
        return "it begins with a space";
    if (name[length - 1] == '.' || name[length - 1] == ' ')
        return "it ends with a dot or a space, which Windows drops";
    if (is_device(name))
        return "Windows takes it for a device";
    if (strncasecmp(name, PACKAGE_RESERVED_PREFIX, strlen(PACKAGE_RESERVED_PREFIX)) == 0)
        return "names beginning with " PACKAGE_RESERVED_PREFIX " are reserved";
    return NULL;
}

int package_name_check(const char *name, struct err *err)
{
    char printable[LIMIT_PACKAGE_NAME_SIZE];
    const char *why = breach(name);
    if (why == NULL)
        return 0;
    return err_set(err, ERR_INVALID, "package name \"%s\": %s", text_printable(printable, 80, name),
                   why);
}

enum package_kind package_name_kind(const char *name)
{
    static const struct {
        const char *extension;
        enum package_kind kind;
    } kinds[] = {
        {".exe", PACKAGE_EXE}, {".msi", PACKAGE_MSI}, {".msp", PACKAGE_MSP}, {".msu", PACKAGE_MSU},
        {".bat", PACKAGE_BAT}, {".cmd", PACKAGE_CMD}, {".ps1", PACKAGE_PS1},
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcasecmp(dot, kinds[i].extension) == 0)
            return kinds[i].kind;
    }
    return PACKAGE_OTHER;
}
