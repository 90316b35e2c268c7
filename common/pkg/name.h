/* Which file names may appear under C:\SPDISTRO on a target, and what kind of package they say.
 *
 * Called by the CLI before anything starts, and by the relay on the signed job: a name is a path
 * component on somebody else's machine, so the rule is the strict one of [MS-FSCC] 2.1.5 and
 * Win32's device names.
 */
#ifndef PUSHER_PKG_NAME_H
#define PUSHER_PKG_NAME_H

#include <stdbool.h>

#include "common/base/err.h"

/* Names with this beginning (any case) are the project's own temporary and helper files beside
 * the package. */
#define PACKAGE_RESERVED_PREFIX ".pusher-"

enum package_kind {
    PACKAGE_OTHER, /* unknown extension: runs only if Windows knows what to do with it */
    PACKAGE_EXE,
    PACKAGE_MSI,
    PACKAGE_MSP,
    PACKAGE_MSU,
    PACKAGE_BAT,
    PACKAGE_CMD,
    PACKAGE_PS1,
};

/* Whether `name` may be a package's name. Errors: ERR_INVALID with the reason in the text, the
 * name made printable. */
int package_name_check(const char *name, struct err *err);
/* By extension, any case. */
enum package_kind package_name_kind(const char *name);

#endif
