/* coordinator/cli: the command line of `pusher push`, with and without PUSHER_COORDINATOR.
 *
 * Input: flags, then words with a NUL or a line end behind each. Holds: what is accepted is
 * complete (a package or a push to resume, targets, an account where one is needed, a time limit)
 * and within its limits; what is refused says why in one line. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/cli/push_options.h"
#include "fuzz.h"

#define WORDS_MAX 40
#define NOW_S 1767225600

/* How the words are split: a copy of the text, and pointers into it. */
static int split(char *text, size_t size, char *argv[WORDS_MAX + 1])
{
    int argc = 0;
    for (size_t at = 0; at < size && argc < WORDS_MAX;) {
        argv[argc++] = text + at;
        while (at < size && text[at] != '\0' && text[at] != '\n')
            at++;
        text[at] = '\0'; /* there is one more byte */
        at++;
    }
    argv[argc] = NULL;
    return argc;
}

static void check_accepted(const struct push_options *options, bool alone)
{
    if (options->common.help || options->common.version)
        return;
    FUZZ_CHECK(options->resume != (options->target_count > 0));
    FUZZ_CHECK(options->resume || options->package != NULL);
    FUZZ_CHECK(options->user != NULL || !alone);
    FUZZ_CHECK(options->run_timeout_s > 0 && options->run_timeout_s <= DURATION_MAX_S);
    FUZZ_CHECK(options->success_code_count <= LIMIT_SUCCESS_CODES);
    FUZZ_CHECK(options->wait == (options->success_code_count > 0));
    FUZZ_CHECK(options->wait || !options->cleanup);
    FUZZ_CHECK(options->until == NULL || options->until_unix_s > options->at_unix_s);
    FUZZ_CHECK(!alone || (options->site == NULL && !options->detach));
    FUZZ_CHECK(strnlen(options->arguments, sizeof options->arguments) < sizeof options->arguments);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct push_options options;
    char *argv[WORDS_MAX + 1];
    struct err err = {0};
    if (size < 2)
        return 0;
    bool alone = data[0] % 2 == 0;
    FUZZ_CHECK((alone ? unsetenv("PUSHER_COORDINATOR")
                      : setenv("PUSHER_COORDINATOR", "ipc:///run/pusher/control.sock", 1)) == 0);
    char *text = mem_new(size, 1);
    memcpy(text, data + 1, size - 1);
    int argc = split(text, size - 1, argv);
    if (push_options_parse(&options, argc, argv, NOW_S, &err) != 0) {
        fuzz_check_error(&err);
    } else {
        alone = *common_coordinator(&options.common) == '\0';
        check_accepted(&options, alone);
    }
    push_options_release(&options);
    free(text);
    return 0;
}
