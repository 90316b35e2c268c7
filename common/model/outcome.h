/* What became of one target: the unit that is journalled at the relay, sent, stored and shown
 * unchanged. */
#ifndef PUSHER_MODEL_OUTCOME_H
#define PUSHER_MODEL_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/limits.h"
#include "common/model/reason.h"
#include "common/model/stage.h"

/* What the number in `code` is. Order is part of the store's format: append only. */
enum code_kind {
    CODE_NONE,
    CODE_NTSTATUS, /* [MS-ERREF] 2.3 */
    CODE_HRESULT,  /* [MS-ERREF] 2.1 */
    CODE_RPC,      /* DCE/RPC fault status */
    CODE_ERRNO,    /* Linux errno at the relay */
    CODE_DNS,      /* RFC 1035 RCODE */
    CODE_ICMP,     /* type << 8 | code of the ICMP error */
    CODE_EXIT,     /* exit code of the package */
    CODE_KIND_COUNT,
};

/* Whether the machine behind the name was the one meant. Order is part of the store's format. */
enum name_check {
    NAME_NOT_CHECKED, /* given as an address, or never got that far */
    NAME_MATCHED,     /* the NTLM challenge's names fit */
    NAME_CHECK_COUNT,
};

struct outcome {
    enum target_state state;
    enum stage stage;   /* stage that failed, or the last one reached; STAGE_COUNT: none began */
    enum reason reason; /* REASON_NONE on success */
    enum code_kind code_kind;         /* what code is */
    uint32_t code;                    /* raw native code */
    char detail[LIMIT_DETAIL_SIZE];   /* sentence for people; hostile text possible: escape at every
                                         sink */
    char address[LIMIT_ADDRESS_SIZE]; /* address used, "" if none */
    enum name_check name_check;
    uint32_t tries;                 /* of the last stage, from 1 */
    uint64_t bytes;                 /* package bytes written to the target */
    uint64_t started_unix_ms;       /* relay's wall clock when stage 1 began; 0 if it never did */
    uint32_t elapsed_ms;            /* from then to the end */
    uint32_t stage_ms[STAGE_COUNT]; /* time spent in each stage */
    bool has_exit_code;             /* --wait brought it */
    uint32_t exit_code;
};

/* "0xC0000022" for statuses, decimal for errno, exit and DNS codes, "" for CODE_NONE. Returns
 * `text` (16 bytes). */
char *outcome_code_text(enum code_kind kind, uint32_t code, char text[16]);
/* "1603"; codes with the highest bit set, which tools show in hexadecimal, as "0x80070643". Returns
 * `text` (16 bytes). */
char *exit_code_text(uint32_t code, char text[16]);
/* What this exit code usually means with installers, or NULL. */
const char *exit_code_meaning(uint32_t code);
/* Whether it asks for a reboot, or says that one began. */
bool exit_code_wants_reboot(uint32_t code);
/* "ntstatus", "hresult", ...; "-" for CODE_NONE. */
const char *code_kind_word(enum code_kind kind);

#endif
