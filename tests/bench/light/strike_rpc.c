/* Strikes at what NTLM, the Task Scheduler and RPC say. */
#include <string.h>

#include "relay/rpc/pdu.h"
#include "relay/sd/sd.h"
#include "tests/bench/light/hostile.h"

#define TARGET_NAME_AT 12U /* [MS-NLMP] 2.2.1.2 TargetNameFields */
#define TARGET_INFO_AT 40U /* TargetInfoFields */
#define REFERENT 0x00020000U
#define TEXT_MAX 700000U /* bytes of an endless text: beyond what a client takes */
#define AT_PDU_LENGTH 8U /* [C706] 12.6.3.1 frag_length */
#define AT_PDU_AUTH 10U  /* auth_length */
#define AT_PDU_HINT 16U  /* 12.6.4.10 alloc_hint */

/* --- Tokens: CHALLENGE, raw --- */

static void info_begins(struct buf *token)
{
    buf_patch_u32le(token, TARGET_INFO_AT + 4, (uint32_t)token->size);
}

static void info_ends(struct buf *token, size_t begin)
{
    uint16_t size = (uint16_t)(token->size - begin);
    buf_patch_u16le(token, TARGET_INFO_AT, size);
    buf_patch_u16le(token, TARGET_INFO_AT + 2, size);
}

static void strike_info_place(struct hostile *hostile, struct buf *token, size_t at)
{
    (void)at;
    buf_patch_u16le(token, TARGET_INFO_AT, (uint16_t)hostile_odd_number(hostile));
    buf_patch_u32le(token, TARGET_INFO_AT + 4, hostile_odd_number(hostile));
}

static void strike_name_place(struct hostile *hostile, struct buf *token, size_t at)
{
    (void)at;
    buf_patch_u16le(token, TARGET_NAME_AT, (uint16_t)hostile_odd_number(hostile));
    buf_patch_u32le(token, TARGET_NAME_AT + 4, hostile_odd_number(hostile));
}

/* Thousands of pairs, and none that ends them. */
static void strike_info_huge(struct hostile *hostile, struct buf *token, size_t at)
{
    (void)at;
    size_t begin = token->size;
    info_begins(token);
    for (uint32_t i = 0; i < 7000; i++) {
        buf_u16le(token, (uint16_t)(1 + hostile_random(hostile, 12)));
        buf_u16le(token, 4);
        buf_u32le(token, 0x00410041);
    }
    info_ends(token, begin);
}

/* Pairs whose lengths lie. */
static void strike_info_lengths(struct hostile *hostile, struct buf *token, size_t at)
{
    (void)at;
    size_t begin = token->size;
    info_begins(token);
    for (uint32_t i = 1; i < 8; i++) {
        buf_u16le(token, (uint16_t)i);
        buf_u16le(token, (uint16_t)hostile_odd_number(hostile));
        buf_u32le(token, 0x00420042);
    }
    info_ends(token, begin);
}

/* A name for a terminal, a log, a table and a page to choke on. */
static void strike_info_names(struct hostile *hostile, struct buf *token, size_t at)
{
    static const uint16_t odd[] = {0x1B, '[',    '2',    'J',    '\n',   '\r', 0x202E, '"',
                                   ',',  '=',    '<',    '>',    '&',    '%',  's',    '%',
                                   'n',  0xD800, 0xFFFF, 0x2028, 0x0000, 0x07, '\\',   '\''};
    (void)at;
    size_t begin = token->size;
    info_begins(token);
    for (uint16_t id = 1; id <= 4; id++) { /* 2.2.2.1 MsvAvNb... and MsvAvDns... */
        uint16_t length = (uint16_t)(1 + hostile_random(hostile, 200));
        buf_u16le(token, id);
        buf_u16le(token, (uint16_t)(2 * length));
        for (uint16_t i = 0; i < length; i++)
            buf_u16le(token, odd[hostile_random(hostile, sizeof odd / sizeof odd[0])]);
    }
    buf_u32le(token, 0); /* MsvAvEOL */
    info_ends(token, begin);
}

struct hostile_strikes hostile_token_strikes(void)
{
    static const struct hostile_strike rows[] = {
        {false, "token-bits", HOSTILE_TOKEN, hostile_bits},
        {false, "token-field", HOSTILE_TOKEN, hostile_field},
        {false, "token-cut", HOSTILE_TOKEN, hostile_cut},
        {false, "token-longer", HOSTILE_TOKEN, hostile_longer},
        {false, "token-noise", HOSTILE_TOKEN, hostile_noise},
        {false, "info-place", HOSTILE_TOKEN, strike_info_place},
        {false, "name-place", HOSTILE_TOKEN, strike_name_place},
        {false, "info-huge", HOSTILE_TOKEN, strike_info_huge},
        {false, "info-lengths", HOSTILE_TOKEN, strike_info_lengths},
        {false, "info-names", HOSTILE_TOKEN, strike_info_names},
    };
    return (struct hostile_strikes){rows, sizeof rows / sizeof rows[0]};
}

/* --- Stubs --- */

static void strike_fields(struct hostile *hostile, struct buf *stub, size_t at)
{
    for (uint32_t left = 2 + hostile_random(hostile, 4); left > 0; left--)
        hostile_field(hostile, stub, at);
}

static void strike_hresult(struct hostile *hostile, struct buf *stub, size_t at)
{
    static const uint32_t odd[] = {0x00000000, 0x00000001, 0x0004131B, 0x00041303, 0x800700B7,
                                   0x80070002, 0x80070003, 0x80070005, 0x80041318, 0x80041309,
                                   0x8007000E, 0xFFFFFFFF, 0x7FFFFFFF};
    uint32_t row = hostile_random(hostile, sizeof odd / sizeof odd[0] + 1);
    if (stub->size < at + 4)
        return;
    buf_patch_u32le(stub, stub->size - 4,
                    row < sizeof odd / sizeof odd[0] ? odd[row] : hostile_odd_number(hostile));
}

static void put_char(struct buf *out, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++)
        for (const char *at = text; *at != '\0'; at++)
            buf_u16le(out, (uint16_t)(unsigned char)*at);
}

/* [unique, string] of what is in `text` so far, then an HRESULT that says all is well. */
static void put_text(struct buf *stub, size_t at, const struct buf *text)
{
    uint32_t count = (uint32_t)(text->size / 2 + 1);
    stub->size = at;
    buf_u32le(stub, REFERENT);
    buf_u32le(stub, count);
    buf_u32le(stub, 0);
    buf_u32le(stub, count);
    buf_bytes(stub, text->data, text->size);
    buf_u16le(stub, 0);
    buf_align(stub, at, 4);
    buf_u32le(stub, 0);
}

static void strike_text(struct buf *stub, size_t at, const char *begin, const char *more,
                        size_t times, const char *end)
{
    struct buf text;
    buf_init(&text, 2 * TEXT_MAX);
    put_char(&text, begin, 1);
    put_char(&text, more, times);
    put_char(&text, end, 1);
    put_text(stub, at, &text);
    buf_release(&text);
}

#define TASK_TAG                                                                                   \
    "<Task version=\"1.2\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">"

static void strike_xml_huge(struct hostile *hostile, struct buf *stub, size_t at)
{
    (void)hostile;
    strike_text(stub, at, TASK_TAG, "<Triggers/>", TEXT_MAX / 22, "</Task>");
}

static void strike_xml_nested(struct hostile *hostile, struct buf *stub, size_t at)
{
    strike_text(stub, at, TASK_TAG, "<a>", 1 + hostile_random(hostile, 60000), "");
}

static void strike_xml_entities(struct hostile *hostile, struct buf *stub, size_t at)
{
    strike_text(stub, at,
                "<!DOCTYPE a [<!ENTITY b \"bbbbbbbbbb\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;\">"
                "<!ENTITY d SYSTEM \"file:///etc/passwd\">]>" TASK_TAG
                "<RegistrationInfo><Description>",
                "&c;&d;&#0;&#x110000;&amp", 1 + hostile_random(hostile, 2000),
                "</Description></RegistrationInfo></Task>");
}

static void strike_xml_odd(struct hostile *hostile, struct buf *stub, size_t at)
{
    static const char *const odd[] = {"<", "</", "<!--", "<![CDATA[", "<?", "<a b=\"", "&", "\x01"};
    strike_text(stub, at, TASK_TAG, "<Actions><Exec><Command>x</Command></Exec></Actions>", 2,
                odd[hostile_random(hostile, sizeof odd / sizeof odd[0])]);
}

static void strike_sddl_endless(struct hostile *hostile, struct buf *stub, size_t at)
{
    strike_text(stub, at, "O:BAG:SYD:P", "(A;;FA;;;S-1-5-21-4294967295-4294967295-1)",
                1 + hostile_random(hostile, 8000), "");
}

static void strike_sddl_odd(struct hostile *hostile, struct buf *stub, size_t at)
{
    static const char *const odd[] = {"O:",
                                      "D:",
                                      "O:BAO:BAD:D:",
                                      "O:BAD:(",
                                      "O:BAD:(A;;;;;",
                                      "O:S-1-",
                                      "O:S-1-5-99999999999999999999D:",
                                      "D:P(((((((("};
    strike_text(stub, at, "", odd[hostile_random(hostile, sizeof odd / sizeof odd[0])], 1, "");
}

/* Counts that no text of this size has. */
static void strike_counts(struct hostile *hostile, struct buf *stub, size_t at)
{
    strike_text(stub, at, "<Task/>", "", 0, "");
    for (size_t field = 1; field < 4; field++)
        if (hostile_random(hostile, 2) == 0)
            buf_patch_u32le(stub, at + 4 * field, hostile_odd_number(hostile));
}

static void strike_endless(struct hostile *hostile, struct buf *stub, size_t at)
{
    (void)stub;
    (void)at;
    hostile->pdu.endless = true;
}

static void strike_fragment_flags(struct hostile *hostile, struct buf *stub, size_t at)
{
    (void)stub;
    (void)at;
    hostile->pdu.flags = (int)hostile_random(hostile, 256);
}

static void strike_call_id(struct hostile *hostile, struct buf *stub, size_t at)
{
    (void)stub;
    (void)at;
    hostile->pdu.call_added = 1 + hostile_random(hostile, 1000);
}

static void strike_fault(struct hostile *hostile, struct buf *stub, size_t at)
{
    static const uint32_t odd[] = {0x00000005, 0x1C010002, 0x1C00001A, 0x000006F7,
                                   0x1C010003, 0x00000000, 0xFFFFFFFF};
    (void)stub;
    (void)at;
    hostile->pdu.fault = true;
    hostile->pdu.fault_clean = hostile_random(hostile, 2) == 0;
    hostile->pdu.fault_status = odd[hostile_random(hostile, sizeof odd / sizeof odd[0])];
    hostile_note(hostile, "\"fault\": \"0x%08X\", \"did_not_execute\": %s",
                 (unsigned)hostile->pdu.fault_status, hostile->pdu.fault_clean ? "true" : "false");
}

struct hostile_strikes hostile_stub_strikes(void)
{
    static const struct hostile_strike rows[] = {
        {false, "stub-bits", HOSTILE_STUB, hostile_bits},
        {false, "stub-field", HOSTILE_STUB, hostile_field},
        {false, "stub-fields", HOSTILE_STUB, strike_fields},
        {false, "stub-cut", HOSTILE_STUB, hostile_cut},
        {false, "stub-longer", HOSTILE_STUB, hostile_longer},
        {false, "stub-noise", HOSTILE_STUB, hostile_noise},
        {false, "hresult", HOSTILE_STUB, strike_hresult},
        {false, "counts", HOSTILE_STUB, strike_counts},
        {false, "xml-huge", HOSTILE_STUB, strike_xml_huge},
        {false, "xml-nested", HOSTILE_STUB, strike_xml_nested},
        {false, "xml-entities", HOSTILE_STUB, strike_xml_entities},
        {false, "xml-odd", HOSTILE_STUB, strike_xml_odd},
        {false, "sddl-endless", HOSTILE_STUB, strike_sddl_endless},
        {false, "sddl-odd", HOSTILE_STUB, strike_sddl_odd},
        {false, "fragments-endless", HOSTILE_STUB, strike_endless},
        {false, "fragment-flags", HOSTILE_STUB, strike_fragment_flags},
        {false, "call-id", HOSTILE_STUB, strike_call_id},
        {false, "fault", HOSTILE_STUB, strike_fault},
    };
    return (struct hostile_strikes){rows, sizeof rows / sizeof rows[0]};
}

/* --- PDUs --- */

static void strike_pdu_length(struct hostile *hostile, struct buf *answer, size_t at)
{
    buf_patch_u16le(answer, at + AT_PDU_LENGTH, (uint16_t)hostile_odd_number(hostile));
}

static void strike_pdu_auth(struct hostile *hostile, struct buf *answer, size_t at)
{
    buf_patch_u16le(answer, at + AT_PDU_AUTH, (uint16_t)hostile_odd_number(hostile));
}

static void strike_pdu_hint(struct hostile *hostile, struct buf *answer, size_t at)
{
    buf_patch_u32le(answer, at + AT_PDU_HINT, hostile_odd_number(hostile));
}

static void strike_pdu_type(struct hostile *hostile, struct buf *answer, size_t at)
{
    answer->data[at + 2] = (uint8_t)hostile_random(hostile, 24);
}

static void strike_pdu_header(struct hostile *hostile, struct buf *answer, size_t at)
{
    struct buf header = *answer;
    header.size = at + PDU_HEADER_SIZE;
    hostile_field(hostile, &header, at);
}

static void strike_pdu_repeat(struct hostile *hostile, struct buf *answer, size_t at)
{
    struct buf again;
    (void)hostile;
    buf_init(&again, SIZE_MAX / 2);
    buf_bytes(&again, answer->data + at, answer->size - at);
    buf_bytes(answer, again.data, again.size);
    buf_release(&again);
}

struct hostile_strikes hostile_pdu_strikes(void)
{
    static const struct hostile_strike rows[] = {
        {false, "pdu-bits", HOSTILE_PDU, hostile_bits},
        {false, "pdu-cut", HOSTILE_PDU, hostile_cut},
        {false, "pdu-longer", HOSTILE_PDU, hostile_longer},
        {false, "pdu-noise", HOSTILE_PDU, hostile_noise},
        {false, "pdu-header", HOSTILE_PDU, strike_pdu_header},
        {false, "pdu-length", HOSTILE_PDU, strike_pdu_length},
        {false, "pdu-auth", HOSTILE_PDU, strike_pdu_auth},
        {false, "pdu-hint", HOSTILE_PDU, strike_pdu_hint},
        {false, "pdu-type", HOSTILE_PDU, strike_pdu_type},
        {false, "pdu-repeat", HOSTILE_PDU, strike_pdu_repeat},
    };
    return (struct hostile_strikes){rows, sizeof rows / sizeof rows[0]};
}
