/* Terminals without echo: keys, Ctrl-C, and signals at any moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "common/base/quiet.h"

struct place {
    int keyboard, terminal;
    struct quiet quiet;
};

static volatile sig_atomic_t ended;

static void note(int number)
{
    ended = number;
}

static int set_up(void **state)
{
    static struct place place;
    struct sigaction action = {.sa_handler = note};
    place.keyboard = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(place.keyboard >= 0);
    assert_int_equal(grantpt(place.keyboard), 0);
    assert_int_equal(unlockpt(place.keyboard), 0);
    place.terminal = open(ptsname(place.keyboard), O_RDWR | O_NOCTTY);
    assert_true(place.terminal >= 0);
    assert_int_equal(sigaction(SIGTERM, &action, NULL), 0);
    ended = 0;
    assert_int_equal(quiet_begin(&place.quiet, place.terminal), 0);
    *state = &place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    (void)close(place->terminal);
    (void)close(place->keyboard);
    return 0;
}

static bool echoes(const struct place *place)
{
    struct termios now;
    assert_int_equal(tcgetattr(place->terminal, &now), 0);
    return (now.c_lflag & ECHO) != 0;
}

static void keys_are_read_without_echo(void **state)
{
    struct place *place = *state;
    char c = 0;
    assert_false(echoes(place));
    assert_int_equal(write(place->keyboard, "x\n", 2), 2);
    assert_int_equal(quiet_read(place->terminal, &c), 1);
    assert_int_equal(c, 'x');
    assert_int_equal(quiet_read(place->terminal, &c), 1);
    assert_int_equal(c, '\n');
    quiet_end(&place->quiet);
    assert_true(echoes(place));
    assert_int_equal(ended, 0);
}

static void interrupt_key_ends_the_read(void **state)
{
    struct place *place = *state;
    char c = 0;
    assert_int_equal(write(place->keyboard, "\003", 1), 1);
    assert_int_equal(quiet_read(place->terminal, &c), -1);
    assert_int_equal(errno, EINTR);
    quiet_end(&place->quiet);
    assert_int_equal(ended, 0);
}

/* It came between the prompt and the wait: whoever waited then would wait for a key. */
static void signal_before_the_read_ends_it(void **state)
{
    struct place *place = *state;
    char c = 0;
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(ended, 0);
    assert_int_equal(quiet_read(place->terminal, &c), -1);
    assert_int_equal(errno, EINTR);
    assert_int_equal(ended, 0);
    quiet_end(&place->quiet);
    assert_int_equal(ended, SIGTERM);
    assert_true(echoes(place));
}

static void signal_after_the_last_read_takes_effect_at_the_end(void **state)
{
    struct place *place = *state;
    assert_int_equal(raise(SIGTERM), 0);
    quiet_end(&place->quiet);
    assert_int_equal(ended, SIGTERM);
}

static void file_is_read_while_no_terminal_is_quiet(void **state)
{
    struct place *place = *state;
    int ends[2];
    char c = 0;
    quiet_end(&place->quiet);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "\003", 1), 1);
    (void)close(ends[1]);
    assert_int_equal(quiet_read(ends[0], &c), 1);
    assert_int_equal(c, 3);
    assert_int_equal(quiet_read(ends[0], &c), 0);
    (void)close(ends[0]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(keys_are_read_without_echo),
        CASE(interrupt_key_ends_the_read),
        CASE(signal_before_the_read_ends_it),
        CASE(signal_after_the_last_read_takes_effect_at_the_end),
        CASE(file_is_read_while_no_terminal_is_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
