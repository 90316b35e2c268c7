/* Native codes as text. */
#include "common/model/outcome.h"

#include <stdio.h>

static const char *const kinds[CODE_KIND_COUNT] = {
    [CODE_NONE] = "-",    [CODE_NTSTATUS] = "ntstatus", [CODE_HRESULT] = "hresult",
    [CODE_RPC] = "rpc",   [CODE_ERRNO] = "errno",       [CODE_DNS] = "dns",
    [CODE_ICMP] = "icmp", [CODE_EXIT] = "exit",
};

const char *code_kind_word(enum code_kind kind)
{
    return kind < CODE_KIND_COUNT ? kinds[kind] : "-";
}

char *outcome_code_text(enum code_kind kind, uint32_t code, char text[16])
{
    text[0] = '\0';
    switch (kind) {
    case CODE_NONE:
    case CODE_KIND_COUNT:
        break;
    case CODE_NTSTATUS:
    case CODE_HRESULT:
    case CODE_RPC:
        (void)snprintf(text, 16, "0x%08X", code);
        break;
    case CODE_ERRNO:
    case CODE_DNS:
    case CODE_EXIT:
        (void)snprintf(text, 16, "%u", code);
        break;
    case CODE_ICMP:
        (void)snprintf(text, 16, "%u/%u", code >> 8, code & 0xff);
        break;
    }
    return text;
}

char *exit_code_text(uint32_t code, char text[16])
{
    (void)snprintf(text, 16, code < 0x80000000U ? "%u" : "0x%08X", code);
    return text;
}

const char *exit_code_meaning(uint32_t code)
{
    static const struct {
        uint32_t code;
        const char *meaning;
    } rows[] = {
#define EXIT_MEANING(code, meaning) {code, meaning},
#include "common/model/exit_code.def"
#undef EXIT_MEANING
    };
    uint32_t win32 = code >> 16 == 0x8007 ? code & 0xffff : code; /* HRESULT_FROM_WIN32 */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == code || rows[i].code == win32)
            return rows[i].meaning;
    return NULL;
}

bool exit_code_wants_reboot(uint32_t code)
{
    return code == 3010 || code == 1641; /* ERROR_SUCCESS_REBOOT_REQUIRED, _INITIATED */
}
