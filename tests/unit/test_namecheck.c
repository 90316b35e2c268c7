/* relay/stage/namecheck: which machine names fit a host name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/stage/namecheck.h"

static bool fits(const char *target, const char *netbios, const char *dns)
{
    struct auth_peer peer = {.known = true};
    strncpy(peer.netbios_computer, netbios, sizeof peer.netbios_computer - 1);
    strncpy(peer.dns_computer, dns, sizeof peer.dns_computer - 1);
    return namecheck_fits(target, &peer);
}

static void name_first_label_fits_without_case(void **state)
{
    (void)state;
    assert_true(fits("pc-0412", "PC-0412", ""));
    assert_true(fits("PC-0412.corp.example", "pc-0412", "pc-0412.other.example"));
    assert_true(fits("pc-0412.corp.example", "", "PC-0412.corp.example"));
}

static void name_of_another_machine_does_not_fit(void **state)
{
    (void)state;
    assert_false(fits("pc-0412", "PC-0413", "pc-0413.corp.example"));
    assert_false(fits("pc-041", "PC-0412", "pc-0412"));
    assert_false(fits("pc-0412", "PC-041", ""));
    assert_false(fits("pc-0412", "", ""));
    assert_false(fits("", "", ""));
}

static void name_over_fifteen_characters_needs_dns_name(void **state)
{
    (void)state;
    assert_true(
        fits("workstation-berlin-7", "WORKSTATION-BER", "workstation-berlin-7.corp.example"));
    assert_false(fits("workstation-berlin-7", "WORKSTATION-BER", "workstation-berlin-8.corp"));
    assert_true(fits("workstation-berlin-7", "WORKSTATION-BER", ""));
    assert_false(fits("workstation-berlin-7", "WORKSTATION-BEE", ""));
}

static void names_unknown_never_fit(void **state)
{
    (void)state;
    struct auth_peer peer = {.known = false};
    assert_false(namecheck_fits("pc-0412", &peer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_first_label_fits_without_case),
        cmocka_unit_test(name_of_another_machine_does_not_fit),
        cmocka_unit_test(name_over_fifteen_characters_needs_dns_name),
        cmocka_unit_test(names_unknown_never_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
