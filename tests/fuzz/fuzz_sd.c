/* relay/sd: the rights of C:\SPDISTRO, of the task folder and of a task, as a target tells them.
 * Covers sd_parse, sd_parse_sddl, sd_is_safe, sid_text, sid_name. The first byte chooses between a
 * self-relative descriptor and SDDL text.
 *
 * Holds: a refusal says why; what is judged safe grants no right to change to anybody but those
 * who have every right anyway (counted here once more, in another way); a descriptor says the same
 * after being written out, in either form. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "fuzz.h"
#include "relay/sd/sd.h"

static bool is_one_of(const struct sid *sid, const char *const names[])
{
    char text[SID_TEXT_SIZE];
    (void)sid_text(sid, text);
    for (size_t i = 0; names[i] != NULL; i++)
        if (strcmp(text, names[i]) == 0)
            return true;
    return false;
}

static bool has_trusted_owner(const struct sd *sd, enum sd_object object)
{
    static const char *const trusted[] = {"S-1-5-18", "S-1-5-32-544", NULL};
    static const char *const installer[] = {
        "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464", NULL};
    return sd->has_owner && (is_one_of(&sd->owner, trusted) ||
                             (object == SD_FOLDER && is_one_of(&sd->owner, installer)));
}

static void check_judgement(const struct sd *sd, enum sd_object object)
{
    static const char *const fine[] = {
        "S-1-5-18",
        "S-1-5-32-544",
        "S-1-3-0",
        "S-1-3-4",
        "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
        NULL};
    char why[SD_WHY_SIZE] = "";
    if (!sd_is_safe(sd, object, why, sizeof why)) {
        FUZZ_CHECK(why[0] != '\0' && fuzz_is_printable(why, strlen(why), false));
        return;
    }
    FUZZ_CHECK(has_trusted_owner(sd, object) && sd->has_dacl);
    for (uint32_t i = 0; i < sd->ace_count; i++) {
        const struct ace *ace = &sd->ace[i];
        FUZZ_CHECK(ace->kind != ACE_OTHER);
        if (ace->kind == ACE_ALLOW && !is_one_of(&ace->sid, fine))
            FUZZ_CHECK((ace->mask & (0x10000000U | 0x40000000U | 0x000D0156U)) == 0);
    }
}

static void put_sid(struct buf *out, const struct sid *sid)
{
    buf_u8(out, 1);
    buf_u8(out, (uint8_t)sid->sub_count);
    buf_u16be(out, (uint16_t)(sid->authority >> 32));
    buf_u32be(out, (uint32_t)sid->authority);
    for (uint32_t i = 0; i < sid->sub_count; i++)
        buf_u32le(out, sid->sub[i]);
}

static void put_bytes(struct buf *out, const struct sd *sd)
{
    buf_u8(out, 1);
    buf_u8(out, 0);
    buf_u16le(out, sd->control | SD_CONTROL_SELF_RELATIVE);
    buf_zero(out, 16);
    if (sd->has_owner) {
        buf_patch_u32le(out, 4, (uint32_t)out->size);
        put_sid(out, &sd->owner);
    }
    if (sd->has_group) {
        buf_patch_u32le(out, 8, (uint32_t)out->size);
        put_sid(out, &sd->group);
    }
    if (!sd->has_dacl)
        return;
    size_t acl = out->size;
    buf_patch_u32le(out, 16, (uint32_t)acl);
    buf_u16le(out, 2);
    buf_u16le(out, 0);
    buf_u16le(out, (uint16_t)sd->ace_count);
    buf_u16le(out, 0);
    for (uint32_t i = 0; i < sd->ace_count; i++) {
        size_t at = out->size;
        buf_u8(out, sd->ace[i].kind == ACE_ALLOW ? 0 : 1);
        buf_u8(out, sd->ace[i].flags);
        buf_u16le(out, 0);
        buf_u32le(out, sd->ace[i].mask);
        put_sid(out, &sd->ace[i].sid);
        buf_patch_u16le(out, at + 2, (uint16_t)(out->size - at));
    }
    buf_patch_u16le(out, acl + 2, (uint16_t)(out->size - acl));
}

static void put_text(struct buf *out, const struct sd *sd)
{
    static const char *const flags[] = {"OI", "CI", "NP", "IO", "ID"};
    char sid[SID_TEXT_SIZE];
    if (sd->has_owner)
        buf_printf(out, "O:%s", sid_text(&sd->owner, sid));
    if (sd->has_group)
        buf_printf(out, "G:%s", sid_text(&sd->group, sid));
    if ((sd->control & SD_CONTROL_DACL_PRESENT) == 0)
        return;
    buf_printf(out, "D:%s%s", (sd->control & SD_CONTROL_DACL_PROTECTED) != 0 ? "P" : "",
               sd->has_dacl ? "" : "NO_ACCESS_CONTROL");
    for (uint32_t i = 0; i < sd->ace_count; i++) {
        const struct ace *ace = &sd->ace[i];
        buf_printf(out, "(%s;", ace->kind == ACE_ALLOW ? "A" : "D");
        for (size_t bit = 0; bit < 5; bit++)
            if ((ace->flags & 1U << bit) != 0)
                buf_text(out, flags[bit]);
        buf_printf(out, ";0x%" PRIx32 ";;;%s)", ace->mask, sid_text(&ace->sid, sid));
    }
}

/* What both forms can hold: the five flags, the two control bits. */
static void check_same(const struct sd *a, const struct sd *b)
{
    const uint16_t kept = SD_CONTROL_DACL_PRESENT | SD_CONTROL_DACL_PROTECTED;
    FUZZ_CHECK(((a->control ^ b->control) & kept) == 0);
    FUZZ_CHECK(a->has_owner == b->has_owner && a->has_group == b->has_group);
    FUZZ_CHECK(!a->has_owner || sid_equal(&a->owner, &b->owner));
    FUZZ_CHECK(!a->has_group || sid_equal(&a->group, &b->group));
    FUZZ_CHECK(a->has_dacl == b->has_dacl && a->ace_count == b->ace_count);
    for (uint32_t i = 0; i < a->ace_count; i++) {
        FUZZ_CHECK(a->ace[i].kind == b->ace[i].kind && a->ace[i].mask == b->ace[i].mask);
        FUZZ_CHECK(((a->ace[i].flags ^ b->ace[i].flags) & 0x1f) == 0);
        FUZZ_CHECK(sid_equal(&a->ace[i].sid, &b->ace[i].sid));
    }
}

/* A hexadecimal number and nothing behind it: SDDL can't tell where it ends and "D:" begins. */
static bool has_open_end(const struct sid *sid)
{
    return sid->sub_count == 0 && sid->authority >> 32 != 0;
}

static void check_round_trip(struct sd *sd)
{
    struct sd *again = mem_new(1, sizeof *again);
    struct buf out;
    struct err err = {0};
    for (uint32_t i = 0; i < sd->ace_count; i++)
        if (sd->ace[i].kind == ACE_OTHER) /* its bytes were not kept */
            sd->ace_count = i;
    if ((sd->control & SD_CONTROL_DACL_PRESENT) == 0) /* SDDL can't say "protected" of nothing */
        sd->control = 0;
    buf_init(&out, SD_BYTES_MAX);
    put_bytes(&out, sd);
    FUZZ_CHECK(buf_ok(&out) && sd_parse(out.data, out.size, again, &err) == 0);
    check_same(sd, again);
    buf_reset(&out);
    put_text(&out, sd);
    if (out.size < SD_SDDL_SIZE_MAX && (sd->has_dacl || sd->ace_count == 0) &&
        !has_open_end(&sd->owner) && !has_open_end(&sd->group)) {
        FUZZ_CHECK(sd_parse_sddl(buf_cstr(&out), again, &err) == 0);
        check_same(sd, again);
    }
    buf_release(&out);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of(data, size);
    struct err err = {0};
    if (size == 0)
        return 0;
    struct sd *sd = mem_new(1, sizeof *sd);
    int status;
    if ((cursor_u8(&c) & 1) != 0) {
        status = sd_parse(data + 1, size - 1, sd, &err);
    } else {
        char *text = fuzz_new_text(&c, 2 * (size_t)SD_SDDL_SIZE_MAX);
        status = sd_parse_sddl(text, sd, &err);
        free(text);
    }
    if (status != 0) {
        fuzz_check_error(&err);
    } else {
        check_judgement(sd, SD_FOLDER);
        check_judgement(sd, SD_TASK_FOLDER);
        check_judgement(sd, SD_TASK);
        check_round_trip(sd);
    }
    free(sd);
    return 0;
}
