/* Policies, certificates, site credentials: asking them, freeing them. */
#include "common/model/signed_objects.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"

void policy_release(struct policy *policy)
{
    for (uint32_t i = 0; i < policy->never_name_count; i++)
        free(policy->never_names[i]);
    free(policy->never_names);
    free(policy->never_subnets);
    free(policy->revoked);
    memset(policy, 0, sizeof *policy);
}

bool policy_has_operator(const struct policy *policy, const uint8_t key[LIMIT_KEY_BYTES])
{
    for (uint32_t i = 0; i < policy->operator_count; i++) {
        if (memcmp(policy->operators[i], key, LIMIT_KEY_BYTES) == 0)
            return true;
    }
    return false;
}

bool policy_revokes(const struct policy *policy, const uint8_t curve_key[LIMIT_KEY_BYTES])
{
    for (uint32_t i = 0; i < policy->revoked_count; i++) {
        if (memcmp(policy->revoked[i], curve_key, LIMIT_KEY_BYTES) == 0)
            return true;
    }
    return false;
}

static unsigned char lower(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte | 0x20) : byte;
}

/* The character after this one: "?" stands for a whole UTF-8 sequence. */
static const char *next_character(const char *at)
{
    at++;
    while (((unsigned char)*at & 0xc0) == 0x80)
        at++;
    return at;
}

/* Only the last star needs a second try: whatever an earlier one could still take, this one can
 * take as well. */
bool pattern_fits(const char *pattern, const char *name)
{
    const char *star = NULL;  /* behind the last star */
    const char *retry = name; /* where that star's run ended at the last try */
    while (*name != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            retry = name;
        } else if (*pattern == '?') {
            pattern++;
            name = next_character(name);
        } else if (*pattern != '\0' && lower(*pattern) == lower(*name)) {
            pattern++;
            name++;
        } else if (star != NULL) {
            retry = next_character(retry);
            name = retry;
            pattern = star;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool fits_any(const struct policy *policy, const char *name)
{
    for (uint32_t i = 0; i < policy->never_name_count; i++) {
        if (pattern_fits(policy->never_names[i], name))
            return true;
    }
    return false;
}

bool policy_never_name(const struct policy *policy, const char *name)
{
    char plain[LIMIT_TARGET_NAME_SIZE];
    struct subnet_address address;
    if (!text_copy(plain, sizeof plain, name))
        return true; /* no target has such a name: nobody goes there */
    size_t length = strlen(plain);
    if (length > 1 && plain[length - 1] == '.')
        plain[length - 1] = '\0'; /* RFC 1034 3.1: the root's dot changes nothing */
    if (fits_any(policy, plain))
        return true;
    if (subnet_address_from_text(plain, &address))
        return policy_never_address(policy, &address);
    char *dot = strchr(plain, '.');
    if (dot == NULL)
        return false;
    *dot = '\0';
    return fits_any(policy, plain);
}

bool policy_never_address(const struct policy *policy, const struct subnet_address *address)
{
    for (uint32_t i = 0; i < policy->never_subnet_count; i++) {
        if (subnet_covers(&policy->never_subnets[i], address))
            return true;
    }
    return false;
}

void certificate_release(struct certificate *certificate)
{
    free(certificate->subnets);
    memset(certificate, 0, sizeof *certificate);
}

bool certificate_covers(const struct certificate *certificate, const struct subnet_address *address)
{
    for (uint32_t i = 0; i < certificate->subnet_count; i++) {
        if (subnet_covers(&certificate->subnets[i], address))
            return true;
    }
    return false;
}

void site_credential_release(struct site_credential *credential)
{
    free(credential->box);
    memset(credential, 0, sizeof *credential);
}
