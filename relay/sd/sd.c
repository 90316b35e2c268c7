/* Self-relative descriptors, and the judgement over both forms. */
#include "relay/sd/sd.h"

#include <stdio.h>
#include <string.h>

#include "common/base/cursor.h"

#define SD_REVISION 1     /* [MS-DTYP] 2.4.6 Revision */
#define SD_HEADER_SIZE 20 /* Revision to OffsetDacl */
#define ACL_REVISION 2    /* [MS-DTYP] 2.4.5 AclRevision */
#define ACL_REVISION_DS 4 /* the same, with object entries */
#define ACL_HEADER_SIZE 8 /* AclRevision to Sbz2 */
#define ACE_HEADER_SIZE 4 /* [MS-DTYP] 2.4.4.1 */
#define SID_REVISION 1    /* [MS-DTYP] 2.4.2.2 Revision */
#define FILE_ALL_ACCESS 0x1f01ffU
#define FILE_READ_EXECUTE 0x1200a9U /* FILE_GENERIC_READ and FILE_GENERIC_EXECUTE */
#define FILE_READ_WRITE 0x0012019FU /* FILE_GENERIC_READ | FILE_GENERIC_WRITE */
#define OBJECT_TYPE_PRESENT 0x1U    /* [MS-DTYP] 2.4.4.3 Flags */
#define INHERITED_OBJECT_TYPE_PRESENT 0x2U
#define GUID_SIZE 16

/* Rights with which somebody could change the object, its children, or who may. Writing attributes
 * is among them: it is enough to turn an empty folder into a junction. [MS-DTYP] 2.4.3 */
#define MASK_UNSAFE                                                                                \
    (0x00000002U   /* FILE_WRITE_DATA, FILE_ADD_FILE */                                            \
     | 0x00000004U /* FILE_APPEND_DATA, FILE_ADD_SUBDIRECTORY */                                   \
     | 0x00000010U /* FILE_WRITE_EA */                                                             \
     | 0x00000040U /* FILE_DELETE_CHILD */                                                         \
     | 0x00000100U /* FILE_WRITE_ATTRIBUTES */                                                     \
     | 0x00010000U /* DELETE */                                                                    \
     | 0x00040000U /* WRITE_DAC */                                                                 \
     | 0x00080000U /* WRITE_OWNER */                                                               \
     | 0x02000000U /* MAXIMUM_ALLOWED */                                                           \
     | 0x10000000U /* GENERIC_ALL */                                                               \
     | 0x40000000U /* GENERIC_WRITE */)

static const struct sid sid_system = {.authority = 5, .sub_count = 1, .sub = {18}};
static const struct sid sid_administrators = {.authority = 5, .sub_count = 2, .sub = {32, 544}};
static const struct sid sid_trusted_installer = {
    .authority = 5,
    .sub_count = 6,
    .sub = {80, 956008885, 3418522649, 1831038044, 1853292631, 2271478464}};
static const struct sid sid_creator_owner = {.authority = 3, .sub_count = 1, .sub = {0}};
static const struct sid sid_owner_rights = {.authority = 3, .sub_count = 1, .sub = {4}};

static void put_sid(struct buf *out, const struct sid *sid)
{
    buf_u8(out, SID_REVISION);
    buf_u8(out, (uint8_t)sid->sub_count);
    buf_u16be(out, (uint16_t)(sid->authority >> 32)); /* 6 bytes, big-endian */
    buf_u32be(out, (uint32_t)sid->authority);
    for (uint32_t i = 0; i < sid->sub_count; i++)
        buf_u32le(out, sid->sub[i]);
}

static void put_allowed(struct buf *out, uint8_t flags, uint32_t mask, const struct sid *sid)
{
    size_t at = out->size;
    buf_u8(out, 0); /* ACCESS_ALLOWED_ACE_TYPE */
    buf_u8(out, flags);
    buf_u16le(out, 0); /* AceSize, patched */
    buf_u32le(out, mask);
    put_sid(out, sid);
    buf_patch_u16le(out, at + 2, (uint16_t)(out->size - at));
}

/* Owner Administrators, protected DACL: SYSTEM and Administrators may do everything, `other`
 * (NULL: nobody else) what `mask` says. */
static void build(struct buf *out, uint8_t flags, const struct sid *other, uint32_t mask)
{
    size_t start = out->size;
    buf_u8(out, SD_REVISION);
    buf_u8(out, 0); /* Sbz1 */
    buf_u16le(out, SD_CONTROL_SELF_RELATIVE | SD_CONTROL_DACL_PRESENT | SD_CONTROL_DACL_PROTECTED);
    buf_u32le(out, SD_HEADER_SIZE); /* OffsetOwner */
    buf_u32le(out, 0);              /* OffsetGroup: the server's choice */
    buf_u32le(out, 0);              /* OffsetSacl */
    buf_u32le(out, 0);              /* OffsetDacl, patched */
    put_sid(out, &sid_administrators);

    size_t acl = out->size;
    buf_patch_u32le(out, start + 16, (uint32_t)(acl - start));
    buf_u8(out, ACL_REVISION);
    buf_u8(out, 0);                        /* Sbz1 */
    buf_u16le(out, 0);                     /* AclSize, patched */
    buf_u16le(out, other != NULL ? 3 : 2); /* AceCount */
    buf_u16le(out, 0);                     /* Sbz2 */
    put_allowed(out, flags, FILE_ALL_ACCESS, &sid_system);
    put_allowed(out, flags, FILE_ALL_ACCESS, &sid_administrators);
    if (other != NULL)
        put_allowed(out, flags, mask, other);
    buf_patch_u16le(out, acl + 2, (uint16_t)(out->size - acl));
}

void sd_build_distribution(struct buf *out)
{
    build(out, ACE_FLAG_OBJECT_INHERIT | ACE_FLAG_CONTAINER_INHERIT, NULL, 0);
}

void sd_build_file(struct buf *out, const struct sid *reader)
{
    build(out, 0, reader, FILE_READ_EXECUTE);
}

void sd_build_folder(struct buf *out, const struct sid *reader)
{
    build(out, ACE_FLAG_OBJECT_INHERIT | ACE_FLAG_CONTAINER_INHERIT, reader, FILE_READ_EXECUTE);
}

void sd_build_output(struct buf *out, const struct sid *writer)
{
    build(out, 0, writer, FILE_READ_WRITE);
}

static void read_sid(struct cursor *c, struct sid *sid)
{
    uint8_t revision = cursor_u8(c);
    uint8_t sub_count = cursor_u8(c);
    if (revision != SID_REVISION || sub_count > SID_SUB_AUTHORITY_MAX) {
        cursor_fail(c);
        return;
    }
    uint64_t high = cursor_u16be(c);
    sid->authority = high << 32 | cursor_u32be(c);
    sid->sub_count = sub_count;
    for (uint32_t i = 0; i < sub_count; i++)
        sid->sub[i] = cursor_u32le(c);
}

/* [MS-DTYP] 2.4.4.1 AceType: which shape follows and whether it grants. */
static enum ace_kind kind_of_type(uint8_t type, bool *is_object)
{
    *is_object = false;
    switch (type) {
    case 0x05: /* ACCESS_ALLOWED_OBJECT */
    case 0x0b: /* ACCESS_ALLOWED_CALLBACK_OBJECT */
        *is_object = true;
        return ACE_ALLOW;
    case 0x00: /* ACCESS_ALLOWED */
    case 0x09: /* ACCESS_ALLOWED_CALLBACK: its condition is not counted on */
        return ACE_ALLOW;
    case 0x06: /* ACCESS_DENIED_OBJECT */
    case 0x0c: /* ACCESS_DENIED_CALLBACK_OBJECT */
        *is_object = true;
        return ACE_DENY;
    case 0x01: /* ACCESS_DENIED */
    case 0x0a: /* ACCESS_DENIED_CALLBACK */
        return ACE_DENY;
    default:
        return ACE_OTHER;
    }
}

static void read_ace(struct cursor *acl, struct ace *ace)
{
    size_t at = acl->at;
    uint8_t type = cursor_u8(acl);
    uint8_t flags = cursor_u8(acl);
    uint16_t size = cursor_u16le(acl);
    struct cursor body = cursor_sub(acl, at, size);
    if (!cursor_ok(acl) || size < ACE_HEADER_SIZE) {
        cursor_fail(acl);
        return;
    }
    bool is_object = false;
    memset(ace, 0, sizeof *ace);
    ace->kind = kind_of_type(type, &is_object);
    ace->flags = flags;
    if (ace->kind != ACE_OTHER) {
        cursor_skip(&body, ACE_HEADER_SIZE);
        ace->mask = cursor_u32le(&body);
        uint32_t present = is_object ? cursor_u32le(&body) : 0;
        if ((present & OBJECT_TYPE_PRESENT) != 0)
            cursor_skip(&body, GUID_SIZE);
        if ((present & INHERITED_OBJECT_TYPE_PRESENT) != 0)
            cursor_skip(&body, GUID_SIZE);
        read_sid(&body, &ace->sid);
        if (!cursor_ok(&body))
            cursor_fail(acl);
    }
    cursor_seek(acl, at + size);
}

static int read_dacl(struct cursor *whole, uint32_t offset, struct sd *sd, struct err *err)
{
    struct cursor head = cursor_sub(whole, offset, ACL_HEADER_SIZE);
    uint8_t revision = cursor_u8(&head);
    cursor_skip(&head, 1); /* Sbz1 */
    uint16_t acl_size = cursor_u16le(&head);
    uint16_t ace_count = cursor_u16le(&head);
    struct cursor acl = cursor_sub(whole, offset, acl_size);
    if (!cursor_ok(whole) || acl_size < ACL_HEADER_SIZE ||
        (revision != ACL_REVISION && revision != ACL_REVISION_DS))
        return err_set(err, ERR_PROTOCOL, "security descriptor: bad access control list");
    if (ace_count > SD_ACE_MAX)
        return err_set(err, ERR_LIMIT, "security descriptor: %u access control entries", ace_count);
    cursor_skip(&acl, ACL_HEADER_SIZE);
    for (uint16_t i = 0; i < ace_count && cursor_ok(&acl); i++)
        read_ace(&acl, &sd->ace[i]);
    if (!cursor_ok(&acl))
        return err_set(err, ERR_PROTOCOL, "security descriptor: bad access control entry");
    sd->ace_count = ace_count;
    sd->has_dacl = true;
    return 0;
}

static bool read_sid_at(struct cursor *whole, uint32_t offset, struct sid *sid)
{
    struct cursor c = *whole;
    cursor_seek(&c, offset);
    read_sid(&c, sid);
    return cursor_ok(&c);
}

int sd_parse(const uint8_t *bytes, size_t size, struct sd *sd, struct err *err)
{
    if (size > SD_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "security descriptor of %zu bytes", size);
    struct cursor c = cursor_of(bytes, size);
    memset(sd, 0, sizeof *sd);
    uint8_t revision = cursor_u8(&c);
    cursor_skip(&c, 1); /* Sbz1 */
    sd->control = cursor_u16le(&c);
    uint32_t owner_at = cursor_u32le(&c);
    uint32_t group_at = cursor_u32le(&c);
    cursor_skip(&c, 4); /* OffsetSacl */
    uint32_t dacl_at = cursor_u32le(&c);
    if (!cursor_ok(&c) || revision != SD_REVISION || (sd->control & SD_CONTROL_SELF_RELATIVE) == 0)
        return err_set(err, ERR_PROTOCOL, "security descriptor: bad header");
    sd->has_owner = owner_at != 0;
    sd->has_group = group_at != 0;
    if (sd->has_owner && !read_sid_at(&c, owner_at, &sd->owner))
        return err_set(err, ERR_PROTOCOL, "security descriptor: bad owner");
    if (sd->has_group && !read_sid_at(&c, group_at, &sd->group))
        return err_set(err, ERR_PROTOCOL, "security descriptor: bad group");
    if ((sd->control & SD_CONTROL_DACL_PRESENT) != 0 && dacl_at != 0)
        return read_dacl(&c, dacl_at, sd, err);
    return 0;
}

/* "Users (S-1-5-32-545)" or the SID alone. */
static void describe(const struct sid *sid, char *to, size_t size)
{
    char text[SID_TEXT_SIZE];
    const char *name = sid_name(sid);
    (void)sid_text(sid, text);
    if (name != NULL)
        (void)snprintf(to, size, "%s (%s)", name, text);
    else
        (void)snprintf(to, size, "%s", text);
}

static bool is_trusted(const struct sid *sid, enum sd_object object)
{
    if (sid_equal(sid, &sid_system) || sid_equal(sid, &sid_administrators))
        return true;
    return object == SD_FOLDER && sid_equal(sid, &sid_trusted_installer);
}

/* Whether the entry lets anybody who is not trusted change something. CREATOR OWNER stands for
 * whoever makes a child, which only the trusted can once every other entry is safe; OWNER RIGHTS
 * for the owner, who is judged apart. */
static bool ace_is_unsafe(const struct ace *ace, enum sd_object object)
{
    if (ace->kind == ACE_OTHER)
        return true;
    if (ace->kind == ACE_DENY || (ace->mask & MASK_UNSAFE) == 0)
        return false;
    if (sid_equal(&ace->sid, &sid_creator_owner) || sid_equal(&ace->sid, &sid_owner_rights))
        return false;
    return !is_trusted(&ace->sid, object);
}

bool sd_is_safe(const struct sd *sd, enum sd_object object, char *why, size_t why_size)
{
    char who[SID_TEXT_SIZE + 32];
    char text[SD_WHY_SIZE] = "";
    if (!sd->has_owner) {
        (void)snprintf(text, sizeof text, "its owner is not known");
    } else if (!is_trusted(&sd->owner, object)) {
        describe(&sd->owner, who, sizeof who);
        (void)snprintf(text, sizeof text, "its owner is %s", who);
    } else if (!sd->has_dacl) {
        (void)snprintf(text, sizeof text, "it has no access control list: everybody may write");
    }
    for (uint32_t i = 0; i < sd->ace_count && text[0] == '\0'; i++) {
        const struct ace *ace = &sd->ace[i];
        if (!ace_is_unsafe(ace, object))
            continue;
        describe(&ace->sid, who, sizeof who);
        if (ace->kind == ACE_OTHER)
            (void)snprintf(text, sizeof text, "it has an access control entry of unknown type");
        else
            (void)snprintf(text, sizeof text, "%s may change it (mask 0x%08x%s)", who, ace->mask,
                           (ace->flags & ACE_FLAG_INHERIT_ONLY) != 0 ? ", its children" : "");
    }
    if (text[0] == '\0')
        return true;
    if (why != NULL)
        (void)snprintf(why, why_size, "%s", text);
    return false;
}
