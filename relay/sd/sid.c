/* Security identifiers: comparison, text, well-known names. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "relay/sd/sd.h"

struct known_sid {
    uint64_t authority;
    uint32_t sub_count;
    uint32_t sub[6];
    const char *name;
};

/* [MS-DTYP] 2.4.2.4 */
static const struct known_sid known_sids[] = {
    {1, 1, {0}, "Everyone"},
    {3, 1, {0}, "CREATOR OWNER"},
    {3, 1, {1}, "CREATOR GROUP"},
    {3, 1, {4}, "OWNER RIGHTS"},
    {5, 1, {2}, "NETWORK"},
    {5, 1, {4}, "INTERACTIVE"},
    {5, 1, {6}, "SERVICE"},
    {5, 1, {7}, "ANONYMOUS LOGON"},
    {5, 1, {10}, "SELF"},
    {5, 1, {11}, "Authenticated Users"},
    {5, 1, {18}, "SYSTEM"},
    {5, 1, {19}, "LOCAL SERVICE"},
    {5, 1, {20}, "NETWORK SERVICE"},
    {5, 2, {32, 544}, "Administrators"},
    {5, 2, {32, 545}, "Users"},
    {5, 2, {32, 546}, "Guests"},
    {5, 2, {32, 547}, "Power Users"},
    {5, 2, {32, 549}, "Server Operators"},
    {5, 2, {32, 551}, "Backup Operators"},
    {5, 6, {80, 956008885, 3418522649, 1831038044, 1853292631, 2271478464}, "TrustedInstaller"},
    {15, 2, {2, 1}, "ALL APPLICATION PACKAGES"},
};

bool sid_equal(const struct sid *a, const struct sid *b)
{
    return a->authority == b->authority && a->sub_count == b->sub_count &&
           memcmp(a->sub, b->sub, a->sub_count * sizeof a->sub[0]) == 0;
}

char *sid_text(const struct sid *sid, char text[SID_TEXT_SIZE])
{
    /* [MS-DTYP] 2.4.2.1: an authority of 2^32 and more is written in hexadecimal. */
    int length = sid->authority >> 32 != 0
                     ? snprintf(text, SID_TEXT_SIZE, "S-1-0x%012" PRIx64, sid->authority)
                     : snprintf(text, SID_TEXT_SIZE, "S-1-%" PRIu64, sid->authority);
    size_t used = (size_t)length;
    for (uint32_t i = 0; i < sid->sub_count && used < SID_TEXT_SIZE; i++) {
        length = snprintf(text + used, SID_TEXT_SIZE - used, "-%" PRIu32, sid->sub[i]);
        used += (size_t)length;
    }
    return text;
}

const char *sid_name(const struct sid *sid)
{
    for (size_t i = 0; i < sizeof known_sids / sizeof known_sids[0]; i++) {
        const struct known_sid *known = &known_sids[i];
        if (sid->authority == known->authority && sid->sub_count == known->sub_count &&
            memcmp(sid->sub, known->sub, known->sub_count * sizeof known->sub[0]) == 0)
            return known->name;
    }
    return NULL;
}
