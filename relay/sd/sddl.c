/* Security descriptor text. Whatever is not understood is an error: the judgement must not rest on
 * half of a descriptor. */
#include <stdlib.h>
#include <string.h>

#include "relay/sd/sd.h"

#define DOMAIN_AUTHORITY 21 /* first sub-authority of domain accounts: S-1-5-21-x-y-z-RID */

/* [MS-DTYP] 2.5.1.1 sid-token; a domain's accounts by RID. */
struct sid_alias {
    const char *token;
    uint64_t authority;
    uint32_t sub_count;
    uint32_t sub[5];
};

#define DOMAIN_ALIAS(token, rid)                                                                   \
    {                                                                                              \
        token, 5, 5,                                                                               \
        {                                                                                          \
            DOMAIN_AUTHORITY, 0, 0, 0, rid                                                         \
        }                                                                                          \
    }

static const struct sid_alias sid_aliases[] = {
    {"WD", 1, 1, {0}},       {"CO", 3, 1, {0}},       {"CG", 3, 1, {1}},
    {"OW", 3, 1, {4}},       {"NU", 5, 1, {2}},       {"IU", 5, 1, {4}},
    {"SU", 5, 1, {6}},       {"AN", 5, 1, {7}},       {"ED", 5, 1, {9}},
    {"PS", 5, 1, {10}},      {"AU", 5, 1, {11}},      {"RC", 5, 1, {12}},
    {"WR", 5, 1, {33}},      {"SY", 5, 1, {18}},      {"LS", 5, 1, {19}},
    {"NS", 5, 1, {20}},      {"BA", 5, 2, {32, 544}}, {"BU", 5, 2, {32, 545}},
    {"BG", 5, 2, {32, 546}}, {"PU", 5, 2, {32, 547}}, {"AO", 5, 2, {32, 548}},
    {"SO", 5, 2, {32, 549}}, {"PO", 5, 2, {32, 550}}, {"BO", 5, 2, {32, 551}},
    {"RE", 5, 2, {32, 552}}, {"RU", 5, 2, {32, 554}}, {"RD", 5, 2, {32, 555}},
    {"NO", 5, 2, {32, 556}}, {"MU", 5, 2, {32, 558}}, {"LU", 5, 2, {32, 559}},
    {"IS", 5, 2, {32, 568}}, {"CY", 5, 2, {32, 569}}, {"ER", 5, 2, {32, 573}},
    {"CD", 5, 2, {32, 574}}, {"RA", 5, 2, {32, 575}}, {"ES", 5, 2, {32, 576}},
    {"MS", 5, 2, {32, 577}}, {"HA", 5, 2, {32, 578}}, {"AA", 5, 2, {32, 579}},
    {"RM", 5, 2, {32, 580}}, {"AC", 15, 2, {2, 1}},   {"LW", 16, 1, {4096}},
    {"ME", 16, 1, {8192}},   {"MP", 16, 1, {8448}},   {"HI", 16, 1, {12288}},
    {"SI", 16, 1, {16384}},  DOMAIN_ALIAS("RO", 498), DOMAIN_ALIAS("LA", 500),
    DOMAIN_ALIAS("LG", 501), DOMAIN_ALIAS("DA", 512), DOMAIN_ALIAS("DU", 513),
    DOMAIN_ALIAS("DG", 514), DOMAIN_ALIAS("DC", 515), DOMAIN_ALIAS("DD", 516),
    DOMAIN_ALIAS("CA", 517), DOMAIN_ALIAS("SA", 518), DOMAIN_ALIAS("EA", 519),
    DOMAIN_ALIAS("PA", 520), DOMAIN_ALIAS("CN", 522), DOMAIN_ALIAS("AP", 525),
    DOMAIN_ALIAS("KA", 526), DOMAIN_ALIAS("EK", 527), DOMAIN_ALIAS("RS", 553),
};

struct token_value {
    const char *token;
    uint32_t value;
};

/* [MS-DTYP] 2.5.1.1 ace rights */
static const struct token_value rights[] = {
    {"GA", 0x10000000}, {"GX", 0x20000000}, {"GW", 0x40000000}, {"GR", 0x80000000},
    {"SD", 0x00010000}, {"RC", 0x00020000}, {"WD", 0x00040000}, {"WO", 0x00080000},
    {"FA", 0x001f01ff}, {"FR", 0x00120089}, {"FW", 0x00120116}, {"FX", 0x001200a0},
    {"KA", 0x000f003f}, {"KR", 0x00020019}, {"KW", 0x00020006}, {"KX", 0x00020019},
    {"CC", 0x00000001}, {"DC", 0x00000002}, {"LC", 0x00000004}, {"SW", 0x00000008},
    {"RP", 0x00000010}, {"WP", 0x00000020}, {"DT", 0x00000040}, {"LO", 0x00000080},
    {"CR", 0x00000100}, {"NW", 0x00000001}, {"NR", 0x00000002}, {"NX", 0x00000004},
};

/* [MS-DTYP] 2.5.1.1 ace-flag-string; SA and FA audit, which a DACL does not */
static const struct token_value ace_flags[] = {
    {"OI", ACE_FLAG_OBJECT_INHERIT}, {"CI", ACE_FLAG_CONTAINER_INHERIT},
    {"NP", ACE_FLAG_NO_PROPAGATE},   {"IO", ACE_FLAG_INHERIT_ONLY},
    {"ID", ACE_FLAG_INHERITED},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The text being read; like the cursor, a failure sticks. */
struct sddl {
    const char *at;
    bool failed;
};

static bool accept(struct sddl *text, const char *literal)
{
    size_t length = strlen(literal);
    if (text->failed || strncmp(text->at, literal, length) != 0)
        return false;
    text->at += length;
    return true;
}

static void expect(struct sddl *text, const char *literal)
{
    if (!accept(text, literal))
        text->failed = true;
}

static bool is_digit(char c, int base)
{
    bool hex = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    return (c >= '0' && c <= '9') || (base == 16 && hex);
}

/* Decimal, or hexadecimal after 0x; no sign, no spaces. */
static uint64_t read_number(struct sddl *text, uint64_t max)
{
    int base = accept(text, "0x") || accept(text, "0X") ? 16 : 10;
    size_t length = 0;
    while (is_digit(text->at[length], base))
        length++;
    if (text->failed || length == 0 || length > 20) {
        text->failed = true;
        return 0;
    }
    char *end = NULL;
    unsigned long long value = strtoull(text->at, &end, base);
    text->at += length;
    if (value > max)
        text->failed = true;
    return text->failed ? 0 : value;
}

static void read_sid_string(struct sddl *text, struct sid *sid)
{
    sid->authority = read_number(text, 0xffffffffffffULL);
    while (accept(text, "-")) {
        uint32_t sub = (uint32_t)read_number(text, UINT32_MAX);
        if (text->failed || sid->sub_count == SID_SUB_AUTHORITY_MAX) {
            text->failed = true;
            return;
        }
        sid->sub[sid->sub_count] = sub;
        sid->sub_count++;
    }
}

static void read_sid(struct sddl *text, struct sid *sid)
{
    memset(sid, 0, sizeof *sid);
    if (accept(text, "S-1-")) {
        read_sid_string(text, sid);
        return;
    }
    for (size_t i = 0; i < COUNT(sid_aliases); i++) {
        if (!accept(text, sid_aliases[i].token))
            continue;
        sid->authority = sid_aliases[i].authority;
        sid->sub_count = sid_aliases[i].sub_count;
        memcpy(sid->sub, sid_aliases[i].sub, sizeof sid_aliases[i].sub);
        return;
    }
    text->failed = true;
}

/* Tokens of two letters up to the semicolon, ORed. */
static uint32_t read_tokens(struct sddl *text, const struct token_value *table, size_t count)
{
    uint32_t value = 0;
    while (!text->failed && *text->at != ';') {
        size_t i = 0;
        while (i < count && !accept(text, table[i].token))
            i++;
        if (i == count)
            text->failed = true;
        else
            value |= table[i].value;
    }
    return value;
}

static enum ace_kind read_type(struct sddl *text)
{
    if (accept(text, "A;") || accept(text, "OA;") || accept(text, "XA;") || accept(text, "ZA;"))
        return ACE_ALLOW;
    if (accept(text, "D;") || accept(text, "OD;") || accept(text, "XD;"))
        return ACE_DENY;
    text->failed = true;
    return ACE_OTHER;
}

/* A condition in parentheses, which may nest and hold strings. Not evaluated. */
static void skip_condition(struct sddl *text)
{
    size_t depth = 0;
    bool quoted = false;
    do {
        char c = *text->at;
        if (c == '\0') {
            text->failed = true;
            return;
        }
        if (c == '"')
            quoted = !quoted;
        else if (c == '(' && !quoted)
            depth++;
        else if (c == ')' && !quoted)
            depth--;
        text->at++;
    } while (depth > 0);
}

static void skip_guid(struct sddl *text)
{
    while (is_digit(*text->at, 16) || *text->at == '-')
        text->at++;
    expect(text, ";");
}

/* After the opening parenthesis: type;flags;rights;object;inherited object;sid[;condition]) */
static void read_ace(struct sddl *text, struct ace *ace)
{
    memset(ace, 0, sizeof *ace);
    ace->kind = read_type(text);
    ace->flags = (uint8_t)read_tokens(text, ace_flags, COUNT(ace_flags));
    expect(text, ";");
    if (is_digit(*text->at, 10))
        ace->mask = (uint32_t)read_number(text, UINT32_MAX);
    else
        ace->mask = read_tokens(text, rights, COUNT(rights));
    expect(text, ";");
    skip_guid(text);
    skip_guid(text);
    read_sid(text, &ace->sid);
    if (accept(text, ";")) {
        if (*text->at != '(')
            text->failed = true;
        else
            skip_condition(text);
    }
    expect(text, ")");
}

static int read_dacl(struct sddl *text, struct sd *sd, struct err *err)
{
    sd->control |= SD_CONTROL_DACL_PRESENT;
    sd->has_dacl = true;
    for (;;) {
        if (accept(text, "NO_ACCESS_CONTROL"))
            sd->has_dacl = false;
        else if (accept(text, "P"))
            sd->control |= SD_CONTROL_DACL_PROTECTED;
        else if (!accept(text, "AI") && !accept(text, "AR"))
            break;
    }
    while (accept(text, "(")) {
        if (sd->ace_count == SD_ACE_MAX)
            return err_set(err, ERR_LIMIT, "sddl: more than %d access control entries", SD_ACE_MAX);
        read_ace(text, &sd->ace[sd->ace_count]);
        sd->ace_count++;
    }
    return 0;
}

/* The audit list says nothing about who may write; it is the last part of the text. */
static void skip_sacl(struct sddl *text)
{
    text->at += strlen(text->at);
}

int sd_parse_sddl(const char *sddl, struct sd *sd, struct err *err)
{
    if (strlen(sddl) >= SD_SDDL_SIZE_MAX)
        return err_set(err, ERR_LIMIT, "sddl of %zu bytes", strlen(sddl));
    struct sddl text = {.at = sddl};
    memset(sd, 0, sizeof *sd);
    if (accept(&text, "O:")) {
        sd->has_owner = true;
        read_sid(&text, &sd->owner);
    }
    if (accept(&text, "G:")) {
        sd->has_group = true;
        read_sid(&text, &sd->group);
    }
    if (accept(&text, "D:") && read_dacl(&text, sd, err) != 0)
        return -1;
    if (accept(&text, "S:"))
        skip_sacl(&text);
    if (text.failed || *text.at != '\0')
        return err_set(err, ERR_PROTOCOL, "sddl: not understood at character %zu",
                       (size_t)(text.at - sddl) + 1);
    return 0;
}
