/* relay/sd: bytes and text against what Samba makes of the same descriptor, the judgement, hostile
 * input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/hex.h"
#include "relay/sd/sd.h"
#include "tests/unit/hostile.h"

#define GOLDEN_FILE "../golden/sd.txt" /* made by make_sd.py */
#define TRUSTED_INSTALLER "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"

static void assert_same(const struct sd *a, const struct sd *b, const char *text)
{
    /* Self-relative is a matter of form. */
    if ((a->control | SD_CONTROL_SELF_RELATIVE) == (b->control | SD_CONTROL_SELF_RELATIVE) &&
        a->has_owner == b->has_owner && a->has_group == b->has_group &&
        a->has_dacl == b->has_dacl && sid_equal(&a->owner, &b->owner) &&
        sid_equal(&a->group, &b->group) && a->ace_count == b->ace_count) {
        uint32_t i = 0;
        while (i < a->ace_count && a->ace[i].kind == b->ace[i].kind &&
               a->ace[i].flags == b->ace[i].flags && a->ace[i].mask == b->ace[i].mask &&
               sid_equal(&a->ace[i].sid, &b->ace[i].sid))
            i++;
        if (i == a->ace_count)
            return;
    }
    fail_msg("bytes and text differ: %s", text);
}

/* Calls `each` with every golden pair; returns how many. */
static unsigned golden_each(void (*each)(const uint8_t *bytes, size_t size, const char *text))
{
    FILE *file = fopen(GOLDEN_FILE, "r");
    char line[4096];
    unsigned count = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        uint8_t bytes[2048];
        char *space = strchr(line, ' ');
        assert_non_null(space);
        *space = '\0';
        space[1 + strcspn(space + 1, "\n")] = '\0';
        size_t size = strlen(line) / 2;
        assert_int_equal(hex_decode(line, bytes, size), 0);
        each(bytes, size, space + 1);
        count++;
    }
    (void)fclose(file);
    return count;
}

static void compare(const uint8_t *bytes, size_t size, const char *text)
{
    struct sd from_bytes;
    struct sd from_text;
    struct err err = {0};
    if (sd_parse(bytes, size, &from_bytes, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    if (sd_parse_sddl(text, &from_text, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    /* A descriptor without D: has no DACL in Samba's bytes either. */
    from_text.control |= from_bytes.control & 0x0c00; /* AR, AI: not ours to judge */
    assert_same(&from_bytes, &from_text, text);
}

static void bytes_and_text_of_one_descriptor_agree(void **state)
{
    (void)state;
    assert_in_range(golden_each(compare), 8, 100);
}

static void distribution_descriptor_is_safe_and_protected(void **state)
{
    (void)state;
    struct buf out;
    struct sd sd;
    struct sd expected;
    struct err err;
    buf_init(&out, 512);
    sd_build_distribution(&out);
    assert_true(buf_ok(&out));
    assert_int_equal(sd_parse(out.data, out.size, &sd, &err), 0);
    assert_int_equal(
        sd_parse_sddl("O:BAD:P(A;OICI;FA;;;SY)(A;OICI;0x1f01ff;;;BA)", &expected, &err), 0);
    assert_same(&sd, &expected, "distribution");
    assert_true((sd.control & SD_CONTROL_DACL_PROTECTED) != 0);
    assert_true(sd_is_safe(&sd, SD_FOLDER, NULL, 0));
    buf_release(&out);
}

struct judgement {
    const char *sddl;
    enum sd_object object;
    const char *why; /* part of the sentence; NULL = safe */
};

static const struct judgement judgements[] = {
    {"O:SYG:SYD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", SD_FOLDER, NULL},
    {"O:BAD:(A;;FA;;;SY)(A;;0x1200a9;;;BU)(A;;FRFX;;;AU)", SD_FOLDER, NULL},
    {"O:BAD:(A;;FA;;;SY)(A;OICIIO;GA;;;CO)", SD_FOLDER, NULL},
    {"O:BAD:(D;;FA;;;WD)(A;;FA;;;SY)", SD_FOLDER, NULL},
    {"O:BAD:", SD_FOLDER, NULL},
    {"O:" TRUSTED_INSTALLER "D:(A;;FA;;;" TRUSTED_INSTALLER ")", SD_FOLDER, NULL},
    {"O:" TRUSTED_INSTALLER "D:(A;;FA;;;SY)", SD_TASK, "owner is TrustedInstaller"},
    {"O:SYD:(A;;FA;;;" TRUSTED_INSTALLER ")", SD_TASK_FOLDER, "TrustedInstaller"},
    {"O:SYD:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FR;;;LS)", SD_TASK, NULL},
    {"O:S-1-5-21-1-2-3-1001D:(A;;FA;;;SY)", SD_TASK, "owner is S-1-5-21-1-2-3-1001"},
    {"O:DAD:(A;;FA;;;SY)", SD_FOLDER, "owner is S-1-5-21-0-0-0-512"},
    {"D:(A;;FA;;;SY)", SD_TASK, "owner is not known"},
    {"O:SY", SD_FOLDER, "no access control list"},
    {"O:SYD:NO_ACCESS_CONTROL", SD_FOLDER, "no access control list"},
    {"O:SYD:(A;;0x2;;;BU)", SD_FOLDER, "Users (S-1-5-32-545) may change it (mask 0x00000002)"},
    {"O:SYD:(A;;0x4;;;BU)", SD_FOLDER, "Users"},
    {"O:SYD:(A;;0x40;;;WD)", SD_FOLDER, "Everyone"},
    {"O:SYD:(A;;0x100;;;AU)", SD_FOLDER, "Authenticated Users"},
    {"O:SYD:(A;;SD;;;IU)", SD_TASK, "INTERACTIVE"},
    {"O:SYD:(A;;WD;;;NS)", SD_TASK, "NETWORK SERVICE"},
    {"O:SYD:(A;;WO;;;PU)", SD_TASK_FOLDER, "Power Users"},
    {"O:SYD:(A;;GW;;;LS)", SD_TASK, "LOCAL SERVICE"},
    {"O:SYD:(A;;GA;;;AN)", SD_FOLDER, "ANONYMOUS LOGON"},
    {"O:SYD:(D;;FA;;;BU)(A;;FA;;;BU)", SD_FOLDER, "Users"},
    {"O:SYD:(A;OICIIO;GA;;;BU)", SD_FOLDER, "its children"},
    {"O:SYD:(A;ID;0x1301bf;;;AU)", SD_FOLDER, "Authenticated Users"},
    {"O:SYD:(XA;;FA;;;BU;(@User.Title==\"a)b\" && (Member_of{SID(BA)})))", SD_FOLDER, "Users"},
    {"O:SYD:(OA;;FA;bf967aba-0de6-11d0-a285-00aa003049e2;;AU)", SD_FOLDER, "Authenticated"},
};

static void descriptor_is_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof judgements / sizeof judgements[0]; i++) {
        const struct judgement *j = &judgements[i];
        struct sd sd;
        struct err err = {0};
        char why[SD_WHY_SIZE] = "";
        if (sd_parse_sddl(j->sddl, &sd, &err) != 0)
            fail_msg("%s: %s", j->sddl, err.text);
        bool safe = sd_is_safe(&sd, j->object, why, sizeof why);
        if (safe != (j->why == NULL) || (j->why != NULL && strstr(why, j->why) == NULL))
            fail_msg("%s: judged \"%s\"", j->sddl, safe ? "safe" : why);
    }
}

static void sddl_not_understood_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "O:",
        "O:XX",
        "O:SYX",
        "O:S-1-",
        "O:S-2-5-18",
        "O:S-1-5-",
        "O:S-1-5-4294967296",
        "O:S-1-281474976710656-1",
        "O:S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16",
        "O:S-1-5-0x",
        "O:S-1-5- 18",
        "D:(A;;FA;;;SY",
        "D:(A;;FA;;;SY)x",
        "D:(A;;FA;;SY)",
        "D:(A;;F;;;SY)",
        "D:(A;OX;FA;;;SY)",
        "D:(Q;;FA;;;SY)",
        "D:(A;;0x100000000;;;SY)",
        "D:(A;;FA;;;SY;)",
        "D:(XA;;FA;;;SY;(unclosed)",
        "D:(XA;;FA;;;SY;(\"unclosed))",
        "(A;;FA;;;SY)",
        "D:(A;;FA;;;SY)O:SY",
    };
    struct sd sd;
    struct err err;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (sd_parse_sddl(texts[i], &sd, &err) != -1)
            fail_msg("taken: %s", texts[i]);
    }
}

static void too_many_entries_are_refused(void **state)
{
    (void)state;
    struct buf text;
    struct sd sd;
    struct err err;
    buf_init(&text, SD_SDDL_SIZE_MAX);
    buf_text(&text, "O:SYD:");
    for (unsigned i = 0; i < SD_ACE_MAX; i++)
        buf_text(&text, "(A;;FA;;;SY)");
    assert_int_equal(sd_parse_sddl(buf_cstr(&text), &sd, &err), 0);
    buf_text(&text, "(A;;FA;;;SY)");
    assert_int_equal(sd_parse_sddl(buf_cstr(&text), &sd, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    buf_release(&text);
}

static void entry_of_unknown_type_is_unsafe(void **state)
{
    (void)state;
    struct buf out;
    struct sd sd;
    struct err err;
    char why[SD_WHY_SIZE];
    buf_init(&out, 512);
    sd_build_distribution(&out);
    /* The first entry's type: header 20, owner 16, ACL header 8. */
    out.data[44] = 0x42;
    assert_int_equal(sd_parse(out.data, out.size, &sd, &err), 0);
    assert_false(sd_is_safe(&sd, SD_FOLDER, why, sizeof why));
    assert_non_null(strstr(why, "unknown type"));
    buf_release(&out);
}

static void sid_with_too_many_parts_is_refused(void **state)
{
    (void)state;
    struct sd sd;
    struct err err;
    uint8_t bytes[20 + 8 + 4 * 16] = {1, 0, 0x00, 0x80, 20};
    bytes[20] = 1; /* revision */
    bytes[21] = SID_SUB_AUTHORITY_MAX;
    assert_int_equal(sd_parse(bytes, sizeof bytes, &sd, &err), 0);
    bytes[21]++;
    assert_int_equal(sd_parse(bytes, sizeof bytes, &sd, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
}

static void sid_text_and_name_are_right(void **state)
{
    (void)state;
    char text[SID_TEXT_SIZE];
    struct sid sid = {.authority = 5, .sub_count = 2, .sub = {32, 544}};
    assert_string_equal(sid_text(&sid, text), "S-1-5-32-544");
    assert_string_equal(sid_name(&sid), "Administrators");
    sid.sub[1] = 9999;
    assert_null(sid_name(&sid));
    struct sid longest = {.authority = 0xffffffffffff, .sub_count = SID_SUB_AUTHORITY_MAX};
    memset(longest.sub, 0xff, sizeof longest.sub);
    assert_int_equal(strlen(sid_text(&longest, text)), 4 + 14 + 15 * 11);
}

static void feed_bytes(const uint8_t *bytes, size_t size, void *context)
{
    (void)context;
    struct sd sd;
    struct err err;
    char why[SD_WHY_SIZE];
    if (sd_parse(bytes, size, &sd, &err) == 0)
        (void)sd_is_safe(&sd, SD_FOLDER, why, sizeof why);
}

static void feed_text(const uint8_t *bytes, size_t size, void *context)
{
    (void)context;
    struct sd sd;
    struct err err;
    char *text = malloc(size + 1);
    assert_non_null(text);
    memcpy(text, bytes, size);
    text[size] = '\0';
    if (sd_parse_sddl(text, &sd, &err) == 0)
        (void)sd_is_safe(&sd, SD_TASK, NULL, 0);
    free(text);
}

static void attack(const uint8_t *bytes, size_t size, const char *text)
{
    hostile_truncate(bytes, size, feed_bytes, NULL);
    hostile_mutate(bytes, size, 2000, 21, feed_bytes, NULL);
    hostile_truncate((const uint8_t *)text, strlen(text), feed_text, NULL);
    hostile_mutate((const uint8_t *)text, strlen(text), 2000, 22, feed_text, NULL);
}

static void hostile_descriptors_do_no_harm(void **state)
{
    (void)state;
    (void)golden_each(attack);
    for (size_t i = 0; i < sizeof judgements / sizeof judgements[0]; i++)
        hostile_truncate((const uint8_t *)judgements[i].sddl, strlen(judgements[i].sddl), feed_text,
                         NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_and_text_of_one_descriptor_agree),
        cmocka_unit_test(distribution_descriptor_is_safe_and_protected),
        cmocka_unit_test(descriptor_is_judged),
        cmocka_unit_test(sddl_not_understood_is_refused),
        cmocka_unit_test(too_many_entries_are_refused),
        cmocka_unit_test(entry_of_unknown_type_is_unsafe),
        cmocka_unit_test(sid_with_too_many_parts_is_refused),
        cmocka_unit_test(sid_text_and_name_are_right),
        cmocka_unit_test(hostile_descriptors_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
