/* Policies as JSON. */
#include "common/report/policy_json.h"

#include <errno.h>

#include "common/base/hex.h"
#include "common/report/format.h"
#include "common/report/json_values.h"

static json_t *value_key(const uint8_t key[LIMIT_KEY_BYTES])
{
    char text[2 * LIMIT_KEY_BYTES + 1];
    hex_encode(key, LIMIT_KEY_BYTES, text);
    return value_text(text);
}

static json_t *value_keys(const uint8_t (*keys)[LIMIT_KEY_BYTES], uint32_t count)
{
    json_t *array = value_array();
    for (uint32_t i = 0; i < count; i++)
        value_element(array, value_key(keys[i]));
    return array;
}

int policy_json(FILE *out, const struct policy *policy, const uint8_t signer[LIMIT_KEY_BYTES],
                struct err *err)
{
    json_t *whole = value_object();
    json_t *object = value_object();
    json_t *names = value_array();
    json_t *subnets = value_array();
    char made[FORMAT_TIME_SIZE];
    uint64_t made_ms = policy->made_unix_s > 0 ? (uint64_t)policy->made_unix_s * 1000 : 0;
    for (uint32_t i = 0; i < policy->never_name_count; i++)
        value_element(names, value_text(policy->never_names[i]));
    for (uint32_t i = 0; i < policy->never_subnet_count; i++) {
        char text[SUBNET_TEXT_SIZE];
        subnet_text(&policy->never_subnets[i], text);
        value_element(subnets, value_text(text));
    }
    value_member(object, "version", json_integer((json_int_t)policy->version));
    value_member(object, "made", value_text(format_time(made_ms, made)));
    value_member(object, "signed_by", value_key(signer));
    value_member(object, "operators", value_keys(policy->operators, policy->operator_count));
    value_member(object, "coordinators",
                 value_keys(policy->coordinators, policy->coordinator_count));
    value_member(object, "never_names", names);
    value_member(object, "never_subnets", subnets);
    value_member(
        object, "revoked",
        value_keys((const uint8_t(*)[LIMIT_KEY_BYTES])policy->revoked, policy->revoked_count));
    value_member(whole, "schema_version", json_integer(1));
    value_member(whole, "policy", object);
    int result = value_dump(whole, out, false);
    json_decref(whole);
    if (result == 0 && fputc('\n', out) != EOF)
        return 0;
    return err_set_errno(err, errno, "cannot write the policy");
}
