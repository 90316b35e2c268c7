/* Windows security descriptors: built, read from hostile bytes and SDDL text, and judged.
 *
 * The one question that the stages ask: may anybody but SYSTEM and Administrators change this
 * object? sd_is_safe answers it for a folder on disk, a folder of the task scheduler and a task. It
 * is conservative: deny entries are not counted on, an entry that it does not understand is unsafe,
 * and so is an absent or NULL DACL.
 *
 * Spec: [MS-DTYP] 2.4.2 (SID), 2.4.4 (ACE), 2.4.5 (ACL), 2.4.6 (SECURITY_DESCRIPTOR), 2.5.1 (SDDL).
 */
#ifndef PUSHER_RELAY_SD_SD_H
#define PUSHER_RELAY_SD_SD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

#define SID_SUB_AUTHORITY_MAX 15 /* [MS-DTYP] 2.4.2.2 SubAuthorityCount */
#define SID_TEXT_SIZE 192        /* "S-1-" + authority + 15 decimal numbers and a NUL */
#define SD_ACE_MAX 128           /* entries of a DACL that we read; more is refused */
#define SD_BYTES_MAX 65536       /* a self-relative descriptor that we read */
#define SD_SDDL_SIZE_MAX 16384   /* SDDL text that we read */
#define SD_WHY_SIZE 256          /* room for the sentence of sd_is_safe */

struct sid {
    uint64_t authority; /* 48 bits, e.g. 5 = NT authority */
    uint32_t sub_count; /* sub-authorities in use */
    uint32_t sub[SID_SUB_AUTHORITY_MAX];
};

enum ace_kind {
    ACE_ALLOW, /* grants `mask` to `sid`; object and callback forms too */
    ACE_DENY,  /* refuses it */
    ACE_OTHER, /* a type that has no business in a DACL or that we do not know */
};

struct ace {
    enum ace_kind kind;
    uint8_t flags; /* [MS-DTYP] 2.4.4.1 AceFlags: ACE_FLAG_* */
    uint32_t mask; /* [MS-DTYP] 2.4.3 */
    struct sid sid;
};

#define ACE_FLAG_OBJECT_INHERIT 0x01U
#define ACE_FLAG_CONTAINER_INHERIT 0x02U
#define ACE_FLAG_NO_PROPAGATE 0x04U
#define ACE_FLAG_INHERIT_ONLY 0x08U
#define ACE_FLAG_INHERITED 0x10U

/* [MS-DTYP] 2.4.6 Control */
#define SD_CONTROL_DACL_PRESENT 0x0004U
#define SD_CONTROL_DACL_PROTECTED 0x1000U
#define SD_CONTROL_SELF_RELATIVE 0x8000U

/* What a descriptor says, whatever form it came in. About 11 KB: on the stack for a moment only. */
struct sd {
    uint16_t control; /* SD_CONTROL_* */
    bool has_owner;
    bool has_group;
    bool has_dacl; /* false: no DACL or a NULL DACL, everybody may do everything */
    struct sid owner;
    struct sid group;
    uint32_t ace_count;
    struct ace ace[SD_ACE_MAX];
};

/* What the descriptor belongs to: the rule differs. */
enum sd_object {
    SD_FOLDER,      /* a folder on disk: owner SYSTEM, Administrators or TrustedInstaller */
    SD_TASK_FOLDER, /* a folder of the task scheduler: owner SYSTEM or Administrators */
    SD_TASK,        /* a task: the same */
};

/* SDDL for SchRpcCreateFolder and SchRpcRegisterTask: protected, SYSTEM and Administrators. */
#define SD_SDDL_TASKS "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"

/* Appends the self-relative descriptor that C:\SPDISTRO is made with: owner Administrators,
 * protected DACL, full control for SYSTEM and Administrators, inherited by files and folders. */
void sd_build_distribution(struct buf *out);
/* Appends the self-relative descriptor of a file in it: owner Administrators, protected DACL, full
 * control for SYSTEM and Administrators, and read and execute for `reader` (NULL: nobody else). */
void sd_build_file(struct buf *out, const struct sid *reader);
/* The same of a folder below it, inherited by files and folders: `reader` may list it too. */
void sd_build_folder(struct buf *out, const struct sid *reader);
/* The same of a file that `writer` (NULL: nobody else) fills: may read and write, not run. */
void sd_build_output(struct buf *out, const struct sid *writer);

/* Reads a self-relative descriptor. Errors: ERR_PROTOCOL (bad structure), ERR_LIMIT (too many
 * entries). */
int sd_parse(const uint8_t *bytes, size_t size, struct sd *sd, struct err *err);
/* Reads SDDL text such as SchRpcGetSecurity returns. An alias of a domain account (DA, DU, ...)
 * becomes S-1-5-21-0-0-0-RID: the domain is not in the text. Errors: ERR_PROTOCOL, ERR_LIMIT. */
int sd_parse_sddl(const char *text, struct sd *sd, struct err *err);

/* Whether nobody but SYSTEM and Administrators (SD_FOLDER: and TrustedInstaller) owns the object or
 * may change it, its children or its rights. When not, `why` gets a sentence that names who and
 * what ("Users (S-1-5-32-545) may write (mask 0x1301bf)"); it may be NULL. */
bool sd_is_safe(const struct sd *sd, enum sd_object object, char *why, size_t why_size);

bool sid_equal(const struct sid *a, const struct sid *b);
/* "S-1-5-32-544". Returns `text`. */
char *sid_text(const struct sid *sid, char text[SID_TEXT_SIZE]);
/* "Administrators", or NULL when the SID is not a well-known one. Static text. */
const char *sid_name(const struct sid *sid);

#endif
