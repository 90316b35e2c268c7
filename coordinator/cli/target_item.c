/* Reading one target item. */
#include "coordinator/cli/target_item.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/base/text.h"

#define V4_AT 12 /* where an IPv4 address begins in target_address.bytes */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Only digits and dots: somebody meant an address. */
static bool looks_like_address(const char *text)
{
    return text[strspn(text, "0123456789.")] == '\0';
}

int target_address_parse(const char *text, struct target_address *address)
{
    static const uint8_t mapped[V4_AT] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct target_address found = {.is_v6 = false};
    if (inet_pton(AF_INET, text, found.bytes + V4_AT) == 1) {
        *address = found;
        return 0;
    }
    if (inet_pton(AF_INET6, text, found.bytes) != 1)
        return -1;
    found.is_v6 = memcmp(found.bytes, mapped, sizeof mapped) != 0;
    if (!found.is_v6)
        memset(found.bytes, 0, V4_AT);
    *address = found;
    return 0;
}

int target_address_compare(const struct target_address *a, const struct target_address *b)
{
    if (a->is_v6 != b->is_v6)
        return a->is_v6 ? 1 : -1;
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

void target_address_next(struct target_address *address)
{
    int lowest = address->is_v6 ? 0 : V4_AT;
    for (int i = 15; i >= lowest; i--)
        if (++address->bytes[i] != 0)
            return;
}

void target_address_text(const struct target_address *address, char text[LIMIT_ADDRESS_SIZE])
{
    const uint8_t *bytes = address->is_v6 ? address->bytes : address->bytes + V4_AT;
    if (inet_ntop(address->is_v6 ? AF_INET6 : AF_INET, bytes, text, LIMIT_ADDRESS_SIZE) == NULL)
        text[0] = '\0';
}

uint64_t target_range_size(const struct target_item *item)
{
    uint64_t high = 0;
    uint64_t low = 0;
    /* last - first, byte by byte from the low end, as two halves of 64 bits. */
    int borrow = 0;
    for (int i = 15; i >= 0; i--) {
        int difference = item->last.bytes[i] - item->first.bytes[i] - borrow;
        borrow = difference < 0;
        uint64_t byte = (uint8_t)difference;
        if (i >= 8)
            low |= byte << (8 * (15 - i));
        else
            high |= byte << (8 * (7 - i));
    }
    return high != 0 || low == UINT64_MAX ? UINT64_MAX : low + 1;
}

bool target_range_skips(const struct target_item *item, const struct target_address *address)
{
    if (item->first.is_v6 || item->cidr_bits < 0 || item->cidr_bits >= 31)
        return false;
    return target_address_compare(address, &item->first) == 0 ||
           target_address_compare(address, &item->last) == 0;
}

static int parse_cidr(const char *text, const char *slash, struct target_item *item,
                      struct err *err)
{
    char head[LIMIT_ADDRESS_SIZE];
    uint64_t bits = 0;
    size_t head_size = (size_t)(slash - text);
    if (head_size >= sizeof head)
        return err_set(err, ERR_INVALID, "'%s': not an address before '/'", text);
    memcpy(head, text, head_size);
    head[head_size] = '\0';
    if (target_address_parse(head, &item->first) != 0)
        return err_set(err, ERR_INVALID, "'%s': not an address before '/'", text);
    unsigned width = item->first.is_v6 ? 128 : 32;
    if (text_to_u64(slash + 1, width, &bits) != 0)
        return err_set(err, ERR_INVALID, "'%s': the prefix length is a number from 0 to %u", text,
                       width);
    item->last = item->first;
    unsigned fixed = 128 - width + (unsigned)bits; /* leading bits that stay */
    for (unsigned bit = fixed; bit < 128; bit++) {
        uint8_t mask = (uint8_t)(0x80U >> (bit % 8));
        item->first.bytes[bit / 8] &= (uint8_t)~mask;
        item->last.bytes[bit / 8] |= mask;
    }
    item->kind = TARGET_ITEM_RANGE;
    item->cidr_bits = (int)bits;
    return 0;
}

static int parse_range(const char *text, const char *dash, struct target_item *item,
                       struct err *err)
{
    char head[LIMIT_ADDRESS_SIZE];
    size_t head_size = (size_t)(dash - text);
    if (head_size >= sizeof head)
        return err_set(err, ERR_INVALID, "'%s': not an address before '-'", text);
    memcpy(head, text, head_size);
    head[head_size] = '\0';
    if (target_address_parse(head, &item->first) != 0)
        return err_set(err, ERR_INVALID, "'%s': not an address before '-'", text);
    if (target_address_parse(dash + 1, &item->last) != 0)
        return err_set(err, ERR_INVALID,
                       "'%s': a range ends with a whole address (10.1.2.10-10.1.2.50)", text);
    if (item->first.is_v6 != item->last.is_v6)
        return err_set(err, ERR_INVALID, "'%s': a range stays within IPv4 or within IPv6", text);
    if (target_address_compare(&item->first, &item->last) > 0)
        return err_set(err, ERR_INVALID, "'%s': the range ends before it begins", text);
    item->kind = TARGET_ITEM_RANGE;
    return 0;
}

/* "10.1.2.10-50" and "10.1.2.300-10.1.2.305" were meant as ranges; "7-eleven" is a name. */
static bool is_range(const char *text, const char *dash)
{
    char head[LIMIT_TARGET_NAME_SIZE];
    struct target_address ignored;
    memcpy(head, text, (size_t)(dash - text));
    head[dash - text] = '\0';
    return target_address_parse(head, &ignored) == 0 ||
           (head[0] != '\0' && looks_like_address(head) && looks_like_address(dash + 1));
}

/* RFC 1123 2.1 labels, plus the underscore that Windows host names may hold. */
static int parse_host(const char *text, struct target_item *item, struct err *err)
{
    size_t length = strlen(text);
    /* A final dot stays: it keeps the relay's search domains away. */
    bool absolute = length > 1 && text[length - 1] == '.';
    if (absolute)
        length--;
    char shown[40];
    if (length > 253)
        return err_set(err, ERR_INVALID, "'%s...': a host name has at most 253 characters",
                       text_printable(shown, sizeof shown, text));
    size_t label = 0; /* characters of the label so far */
    bool label_numeric = true;
    for (size_t i = 0; i <= length; i++) {
        char c = i < length ? text[i] : '.';
        if (c == '.') {
            if (label == 0)
                return err_set(err, ERR_INVALID, "'%s': a host name has no empty part", text);
            if (text[i - 1] == '-')
                return err_set(err, ERR_INVALID, "'%s': a part of a host name ends with '-'", text);
            if (i == length && label_numeric)
                return err_set(err, ERR_INVALID,
                               "'%s': neither an address nor a host name (ends with a number)",
                               text);
            label = 0;
            label_numeric = true;
            continue;
        }
        if (!is_alnum(c) && c != '_' && c != '-')
            return err_set(err, ERR_INVALID,
                           "'%s': not a host, address, CIDR or range (host names hold letters, "
                           "digits, '-', '_' and '.')",
                           text);
        if (c == '-' && label == 0)
            return err_set(err, ERR_INVALID, "'%s': a part of a host name begins with '-'", text);
        if (++label > 63)
            return err_set(err, ERR_INVALID,
                           "'%s': a part of a host name has at most 63 characters", text);
        label_numeric = label_numeric && is_digit(c);
    }
    memcpy(item->name, text, length + absolute);
    item->name[length + absolute] = '\0';
    item->kind = TARGET_ITEM_HOST;
    return 0;
}

/* A single address, maybe in brackets. Returns 1 when it is one, 0 when it is something else. */
static int parse_address(const char *text, struct target_item *item, struct err *err)
{
    char bare[LIMIT_ADDRESS_SIZE];
    size_t length = strlen(text);
    if (text[0] == '[' && text[length - 1] == ']' && length - 2 < sizeof bare) {
        memcpy(bare, text + 1, length - 2);
        bare[length - 2] = '\0';
        if (strchr(bare, ':') == NULL || target_address_parse(bare, &item->first) != 0)
            return 0;
    } else if (target_address_parse(text, &item->first) != 0) {
        return 0;
    }
    /* fe80::/10, RFC 4291 2.5.6 */
    if (item->first.is_v6 && item->first.bytes[0] == 0xfe && (item->first.bytes[1] & 0xc0) == 0x80)
        return err_set(
            err, ERR_INVALID,
            "'%s': a link-local address means a machine to its own link only; give a name "
            "or another address",
            text);
    item->last = item->first;
    item->kind = TARGET_ITEM_RANGE;
    return 1;
}

int target_item_parse(const char *raw, struct target_item *item, struct err *err)
{
    char text[LIMIT_TARGET_NAME_SIZE]; /* printable, so errors may quote it; longer is no item */
    char shown[100];
    memset(item, 0, sizeof *item);
    item->cidr_bits = -1;
    text_printable(text, sizeof text, raw);
    if (*raw == '\0')
        return err_set(err, ERR_INVALID, "empty target");
    if (strcmp(text, raw) != 0)
        return err_set(err, ERR_INVALID,
                       "'%s': not a host name: too long or with unprintable characters",
                       text_printable(shown, sizeof shown, raw));
    if (strncmp(text, "pool:", 5) == 0 || strncmp(text, "ldap:", 5) == 0)
        return err_set(err, ERR_INVALID, "'%s': %.4s targets are not in this version", text, text);
    if (text[0] == '@')
        return err_set(err, ERR_INVALID, "'%s': a target file can't name another one", text);
    int address = parse_address(text, item, err);
    if (address != 0)
        return address > 0 ? 0 : -1;
    const char *slash = strchr(text, '/');
    if (slash != NULL)
        return parse_cidr(text, slash, item, err);
    const char *dash = strchr(text, '-');
    bool colon = strchr(text, ':') != NULL;
    if (dash != NULL && (colon || is_range(text, dash)))
        return parse_range(text, dash, item, err);
    if (looks_like_address(text))
        return err_set(err, ERR_INVALID, "'%s': not a whole IPv4 address", text);
    if (colon)
        return err_set(err, ERR_INVALID, "'%s': not an IPv6 address (no port, no zone)", text);
    return parse_host(text, item, err);
}
