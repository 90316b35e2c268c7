/* relay/stage: the addresses of a name once DNS has told them, and what an operator's subnets say
 * of them. Covers stage_address_*, stage_address_flaw, scope_add, scope_judge, destinations_sort.
 *
 * Holds: an address is the same after being written and read; IPv4 is judged alike in each of its
 * forms; what is in no subnet is never allowed; sorting keeps every candidate and puts the usable
 * ones first. */
#include <string.h>

#include "fuzz.h"
#include "relay/stage/destination.h"
#include "relay/stage/scope.h"

#define ADDRESSES_MAX 16U

static union stage_address read_address(struct cursor *c)
{
    union stage_address address;
    struct in_addr v4;
    struct in6_addr v6;
    if ((cursor_u8(c) & 1) != 0) {
        cursor_copy(c, &v4, sizeof v4);
        stage_address_set_v4(&address, &v4);
    } else {
        cursor_copy(c, &v6, sizeof v6);
        stage_address_set_v6(&address, &v6);
    }
    return address;
}

static void check_address(const union stage_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    union stage_address again;
    struct in6_addr v6;
    char text[LIMIT_ADDRESS_SIZE];
    uint8_t bytes[ADDRESS_BYTES];
    stage_address_bytes(address, bytes);
    FUZZ_CHECK(stage_address_is_v4(address) == (memcmp(bytes, mapped, sizeof mapped) == 0));
    memcpy(&v6, bytes, sizeof v6);
    stage_address_set_v6(&again, &v6);
    FUZZ_CHECK(stage_address_equal(address, &again));
    stage_address_text(address, text);
    FUZZ_CHECK(stage_address_parse(text, &again) == 0 && stage_address_equal(address, &again));
    FUZZ_CHECK((stage_address_flaw(address) == NULL) == (stage_address_flaw(&again) == NULL));
}

/* Counted in another way than scope.c does: bit by bit. */
static bool is_inside(const struct scope *scope, const union stage_address *address)
{
    uint8_t bytes[ADDRESS_BYTES];
    stage_address_bytes(address, bytes);
    for (size_t i = 0; i < scope->count; i++) {
        const struct scope_subnet *subnet = &scope->subnets[i];
        unsigned bit = 0;
        while (bit < subnet->bits &&
               ((bytes[bit / 8] ^ subnet->bytes[bit / 8]) & (0x80U >> bit % 8)) == 0)
            bit++;
        if (bit == subnet->bits && subnet->is_v4 == stage_address_is_v4(address))
            return true;
    }
    return scope->count == 0;
}

static void check_order(const struct destination *sorted, const struct destination *given,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t before = 0;
        size_t after = 0;
        for (size_t k = 0; k < count; k++) {
            before += stage_address_equal(&given[k].address, &given[i].address);
            after += stage_address_equal(&sorted[k].address, &given[i].address);
        }
        FUZZ_CHECK(before == after);
        FUZZ_CHECK(i == 0 || sorted[i - 1].reachable || !sorted[i].reachable);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of(data, size);
    struct destination given[ADDRESSES_MAX];
    struct destination sorted[ADDRESSES_MAX];
    struct scope scope = {0};
    struct err err = {0};
    char text[80];
    size_t count = cursor_u8(&c) % (ADDRESSES_MAX + 1);
    for (uint8_t subnets = cursor_u8(&c) % 4; subnets > 0; subnets--) {
        fuzz_text(&c, text, sizeof text);
        if (scope_add(&scope, text, &err) != 0)
            fuzz_check_error(&err);
    }
    memset(given, 0, sizeof given);
    for (size_t i = 0; i < count; i++) {
        uint8_t how = cursor_u8(&c);
        given[i] = (struct destination){.address = read_address(&c),
                                        .source = read_address(&c),
                                        .source_bits = how % 129U,
                                        .reachable = (how & 1) != 0,
                                        .source_deprecated = (how & 2) != 0};
        if (stage_address_is_v4(&given[i].source))
            given[i].source_bits %= 33;
        check_address(&given[i].address);
        bool inside = is_inside(&scope, &given[i].address);
        FUZZ_CHECK((scope_judge(&scope, &given[i].address) == SCOPE_ALLOWED) == inside);
    }
    memcpy(sorted, given, sizeof sorted);
    destinations_sort(sorted, count);
    check_order(sorted, given, count);
    scope_release(&scope);
    return 0;
}
