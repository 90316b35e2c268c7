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
