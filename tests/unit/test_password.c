/* Passwords from files: what editors and other systems put around them, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "coordinator/cli/password.h"

static char secret[LIMIT_SECRET_SIZE];
static struct err err;

/* Reads the password of a file with this content and mode. */
static int read_from(const void *content, size_t size, mode_t mode)
{
    char path[] = "/tmp/pusher-test-password-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, size), size);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
    memset(secret, 'x', sizeof secret);
    memset(&err, 0, sizeof err);
    int result = password_from_file(path, secret, &err);
    assert_int_equal(unlink(path), 0);
    return result;
}

static void file_gives_its_first_line_as_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *content, *password;
    } cases[] = {
        {"secret\n", "secret"},
        {"secret", "secret"},
        {"secret\r\n", "secret"},
        {"secret\nsecond line\n", "secret"},
        {" a blank on either side \n", " a blank on either side "},
        {"tab\t\n", "tab\t"},
        {"\r\r\n", "\r"},
        {"\xef\xbb\xbfsecret\r\n", "secret"},
        {"\xef\xbb\xbf\xef\xbb\xbfx\n", "\xef\xbb\xbfx"},
        /* Composed and decomposed are two passwords, as they are to Windows. */
        {"\xc3\xa9\n", "\xc3\xa9"},
        {"e\xcc\x81\n", "e\xcc\x81"},
        {"\xf0\x9f\x98\x80\n", "\xf0\x9f\x98\x80"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(read_from(cases[i].content, strlen(cases[i].content), 0600), 0);
        assert_string_equal(secret, cases[i].password);
    }
}

static void file_without_a_password_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"", "\n", "\r\n", "\xef\xbb\xbf\n", "\nsecond line\n"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(read_from(cases[i], strlen(cases[i]), 0600), -1);
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strstr(err.text, "the password is empty"));
    }
    assert_int_equal(read_from("\0hidden\n", 8, 0600), -1);
    assert_non_null(strstr(err.text, "the password is empty"));
}

/* UTF-16 as Windows editors like to save it, Latin-1, half a character, half a pair. */
static void file_that_is_not_utf8_is_refused_without_echo(void **state)
{
    (void)state;
    static const char *const cases[] = {"\xff\xfes", "word\xe9\n", "word\xc3\n",
                                        "word\xed\xa0\x80\n"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(read_from(cases[i], strlen(cases[i]), 0600), -1);
        assert_non_null(strstr(err.text, "is not UTF-8"));
        assert_null(strstr(err.text, "word\xe9"));
        assert_null(strstr(err.text, ": word"));
    }
}

static void file_longest_password_is_taken_and_one_more_refused(void **state)
{
    (void)state;
    char content[LIMIT_SECRET_SIZE + 2];
    memset(content, 'p', sizeof content);
    content[LIMIT_SECRET_SIZE - 1] = '\n';
    assert_int_equal(read_from(content, LIMIT_SECRET_SIZE, 0600), 0);
    assert_int_equal(strlen(secret), LIMIT_SECRET_SIZE - 1);
    content[LIMIT_SECRET_SIZE - 1] = 'p';
    content[LIMIT_SECRET_SIZE] = '\n';
    assert_int_equal(read_from(content, LIMIT_SECRET_SIZE + 1, 0600), -1);
    assert_non_null(strstr(err.text, "has more than 1023"));
    assert_null(strstr(err.text, "ppp"));
}

/* The longest one behind an editor's mark: nothing is read beyond the secret's memory. */
static void file_longest_password_behind_a_mark_is_taken(void **state)
{
    (void)state;
    char content[LIMIT_SECRET_SIZE];
    memset(content, 'p', sizeof content);
    memcpy(content, "\xef\xbb\xbf", 3);
    content[LIMIT_SECRET_SIZE - 1] = '\n';
    assert_int_equal(read_from(content, sizeof content, 0600), 0);
    assert_int_equal(strlen(secret), LIMIT_SECRET_SIZE - 1 - 3);
}

static void file_open_to_others_is_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0640, 0604, 0620, 0610, 0666};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(read_from("secret\n", 7, modes[i]), -1);
        assert_non_null(strstr(err.text, "may be read by others"));
        assert_null(strstr(err.text, "secret"));
    }
    assert_int_equal(read_from("secret\n", 7, 0400), 0);
}

static void file_that_is_none_is_refused(void **state)
{
    (void)state;
    assert_int_equal(password_from_file("/tmp", secret, &err), -1);
    assert_non_null(strstr(err.text, "is not a file"));
    assert_int_equal(password_from_file("/nonexistent/\x1b[31m", secret, &err), -1);
    assert_null(strchr(err.text, 0x1b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_gives_its_first_line_as_it_is),
        cmocka_unit_test(file_without_a_password_is_refused),
        cmocka_unit_test(file_that_is_not_utf8_is_refused_without_echo),
        cmocka_unit_test(file_longest_password_is_taken_and_one_more_refused),
        cmocka_unit_test(file_longest_password_behind_a_mark_is_taken),
        cmocka_unit_test(file_open_to_others_is_refused),
        cmocka_unit_test(file_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
