/* Changes to a policy. */
#include "coordinator/cli/policy_edit.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/utf16.h"

void policy_clone(const struct policy *from, struct policy *to)
{
    *to = *from;
    to->never_names = mem_new(from->never_name_count + 1, sizeof *to->never_names);
    for (uint32_t i = 0; i < from->never_name_count; i++)
        to->never_names[i] = mem_strdup(from->never_names[i]);
    to->never_subnets = mem_new(from->never_subnet_count + 1, sizeof *to->never_subnets);
    if (from->never_subnet_count > 0)
        memcpy(to->never_subnets, from->never_subnets,
               from->never_subnet_count * sizeof *to->never_subnets);
    to->revoked = mem_new(from->revoked_count + 1, sizeof *to->revoked);
    if (from->revoked_count > 0)
        memcpy(to->revoked, from->revoked, from->revoked_count * sizeof *to->revoked);
}

/* ---- keys ---- */

struct key_list {
    uint8_t (*keys)[LIMIT_KEY_BYTES];
    uint32_t *count;
    uint32_t count_max;
    const char *whose;
};

static struct key_list operators_of(struct policy *policy)
{
    return (struct key_list){policy->operators, &policy->operator_count, LIMIT_POLICY_OPERATORS,
                             "an operator's"};
}

static struct key_list coordinators_of(struct policy *policy)
{
    return (struct key_list){policy->coordinators, &policy->coordinator_count,
                             LIMIT_POLICY_COORDINATORS, "the coordinator's"};
}

/* Its number, or the count. */
static uint32_t find_key(const struct key_list *list, const uint8_t key[LIMIT_KEY_BYTES])
{
    uint32_t i = 0;
    while (i < *list->count && memcmp(list->keys[i], key, LIMIT_KEY_BYTES) != 0)
        i++;
    return i;
}

static int add_key(struct key_list list, const uint8_t key[LIMIT_KEY_BYTES], struct err *err)
{
    if (find_key(&list, key) < *list.count)
        return err_set(err, ERR_EXISTS, "the policy has this key as %s already", list.whose);
    if (*list.count == list.count_max)
        return err_set(err, ERR_LIMIT, "a policy has room for %u such keys: remove one first",
                       list.count_max);
    memcpy(list.keys[(*list.count)++], key, LIMIT_KEY_BYTES);
    return 0;
}

static int remove_key(struct key_list list, const uint8_t key[LIMIT_KEY_BYTES], struct err *err)
{
    uint32_t number = find_key(&list, key);
    if (number == *list.count)
        return err_set(err, ERR_NOT_FOUND, "the policy has no such key as %s", list.whose);
    if (*list.count == 1)
        return err_set(err, ERR_DENIED, "this is the last key that is %s: add another one first",
                       list.whose);
    (*list.count)--;
    memmove(list.keys[number], list.keys[number + 1],
            (size_t)(*list.count - number) * LIMIT_KEY_BYTES);
    memset(list.keys[*list.count], 0, LIMIT_KEY_BYTES);
    return 0;
}

int policy_add_operator(struct policy *policy, const uint8_t key[LIMIT_KEY_BYTES], struct err *err)
{
    return add_key(operators_of(policy), key, err);
}

int policy_add_coordinator(struct policy *policy, const uint8_t key[LIMIT_KEY_BYTES],
                           struct err *err)
{
    return add_key(coordinators_of(policy), key, err);
}

int policy_remove_operator(struct policy *policy, const uint8_t key[LIMIT_KEY_BYTES],
                           struct err *err)
{
    return remove_key(operators_of(policy), key, err);
}

int policy_remove_coordinator(struct policy *policy, const uint8_t key[LIMIT_KEY_BYTES],
                              struct err *err)
{
    return remove_key(coordinators_of(policy), key, err);
}

int policy_revoke(struct policy *policy, const uint8_t curve_key[LIMIT_KEY_BYTES], bool *changed,
                  struct err *err)
{
    *changed = !policy_revokes(policy, curve_key);
    if (!*changed)
        return 0;
    if (policy->revoked_count == LIMIT_POLICY_REVOKED)
        return err_set(err, ERR_LIMIT, "a policy has room for %u revoked relays",
                       LIMIT_POLICY_REVOKED);
    policy->revoked =
        mem_resize(policy->revoked, policy->revoked_count + 1, sizeof *policy->revoked);
    memcpy(policy->revoked[policy->revoked_count++], curve_key, LIMIT_KEY_BYTES);
    return 0;
}

/* ---- never touch ---- */

struct never_entry {
    bool is_subnet;
    struct subnet subnet;
    char name[LIMIT_TARGET_NAME_SIZE];
};

static int parse_pattern(const char *text, struct never_entry *entry, struct err *err)
{
    char shown[80];
    text_printable(shown, sizeof shown, text);
    size_t length = strlen(text);
    if (length > 1 && text[length - 1] == '.')
        length--; /* the root's dot: pattern and name are compared without it */
    if (length == 0 || length >= sizeof entry->name)
        return err_set(err, ERR_INVALID, "'%s' is no pattern of names: 1 to %zu characters", shown,
                       sizeof entry->name - 1);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c == 0x7f || strchr("/\\:,;\"'<>|()[]{}!@#$%^&=+`~", c) != NULL)
            return err_set(err, ERR_INVALID,
                           "'%s' is neither a subnet nor a pattern of names (dc*, *.vip.example)",
                           shown);
    }
    if (!utf8_valid(text))
        return err_set(err, ERR_INVALID, "'%s' is not UTF-8", shown);
    if (strspn(text, "*?.") == strlen(text))
        return err_set(err, ERR_INVALID, "'%s' would fit every name: nothing could be pushed",
                       shown);
    /* "10.0.0.*" would keep away from targets given so, and not from names that lead there. */
    if (memchr(text, '.', length) != NULL && strspn(text, "0123456789.*?-") == strlen(text))
        return err_set(err, ERR_INVALID, "'%s' looks like addresses: say the subnet (10.1.0.0/16)",
                       shown);
    memcpy(entry->name, text, length);
    entry->name[length] = '\0';
    return 0;
}

static int parse_entry(const char *text, struct never_entry *entry, struct err *err)
{
    struct subnet_address address;
    memset(entry, 0, sizeof *entry);
    entry->is_subnet = strchr(text, '/') != NULL || subnet_address_from_text(text, &address);
    if (!entry->is_subnet)
        return parse_pattern(text, entry, err);
    if (subnet_from_text(text, &entry->subnet, err) != 0)
        return -1;
    bool all = entry->subnet.bits == (entry->subnet.is_v4 ? 96 : 0);
    return all ? err_set(err, ERR_INVALID, "%s is everything: nothing could be pushed", text) : 0;
}

static uint32_t find_subnet(const struct policy *policy, const struct subnet *subnet)
{
    uint32_t i = 0;
    while (i < policy->never_subnet_count && !(subnet_includes(&policy->never_subnets[i], subnet) &&
                                               subnet_includes(subnet, &policy->never_subnets[i])))
        i++;
    return i;
}

static uint32_t find_name(const struct policy *policy, const char *name)
{
    uint32_t i = 0;
    while (i < policy->never_name_count && !text_equal_nocase(policy->never_names[i], name))
        i++;
    return i;
}

static int full(struct err *err)
{
    return err_set(err, ERR_LIMIT, "the never-touch list is full (%u entries): say wider ones",
                   LIMIT_NEVER_ENTRIES);
}

int policy_never_add(struct policy *policy, const char *text, bool *changed, struct err *err)
{
    struct never_entry entry;
    if (parse_entry(text, &entry, err) != 0)
        return -1;
    *changed = entry.is_subnet ? find_subnet(policy, &entry.subnet) == policy->never_subnet_count
                               : find_name(policy, entry.name) == policy->never_name_count;
    if (!*changed)
        return 0;
    if (entry.is_subnet) {
        if (policy->never_subnet_count == LIMIT_NEVER_ENTRIES)
            return full(err);
        policy->never_subnets = mem_resize(policy->never_subnets, policy->never_subnet_count + 1,
                                           sizeof *policy->never_subnets);
        policy->never_subnets[policy->never_subnet_count++] = entry.subnet;
        return 0;
    }
    if (policy->never_name_count == LIMIT_NEVER_ENTRIES)
        return full(err);
    policy->never_names =
        mem_resize(policy->never_names, policy->never_name_count + 1, sizeof *policy->never_names);
    policy->never_names[policy->never_name_count++] = mem_strdup(entry.name);
    return 0;
}

int policy_never_remove(struct policy *policy, const char *text, bool *changed, struct err *err)
{
    struct never_entry entry;
    if (parse_entry(text, &entry, err) != 0)
        return -1;
    uint32_t number =
        entry.is_subnet ? find_subnet(policy, &entry.subnet) : find_name(policy, entry.name);
    uint32_t *count = entry.is_subnet ? &policy->never_subnet_count : &policy->never_name_count;
    *changed = number < *count;
    if (!*changed)
        return 0;
    (*count)--;
    if (entry.is_subnet) {
        memmove(&policy->never_subnets[number], &policy->never_subnets[number + 1],
                (*count - number) * sizeof *policy->never_subnets);
    } else {
        free(policy->never_names[number]);
        memmove(&policy->never_names[number], &policy->never_names[number + 1],
                (*count - number) * sizeof *policy->never_names);
    }
    return 0;
}
