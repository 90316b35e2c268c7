/* Commands that have several verbs (pusher relay token, pusher relay list): a table of them, and
 * what they all do: read their words, open a session, run. */
#ifndef PUSHER_CLI_VERBS_H
#define PUSHER_CLI_VERBS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"
#include "coordinator/cli/operator_key.h"
#include "coordinator/cli/options.h"
#include "coordinator/cli/say.h"
#include "coordinator/cli/session.h"

#define VERB_WORDS_MAX 2 /* positional words of a verb */

/* What every verb's words come to; a command embeds it first. */
struct verb_words {
    struct common_options common;
    struct operator_options operator_key;
    const char *words[VERB_WORDS_MAX];
    size_t word_count;
};

struct verb {
    const char *name;
    const char *usage; /* "pusher relay token SITE [--valid TIME]" */
    const char *about; /* sentences for its help */
    struct option_table options;
    bool signs;             /* --key and --passphrase-file are its options, too */
    bool json;              /* -o json */
    size_t word_min;        /* positional words */
    size_t word_max;        /* at most VERB_WORDS_MAX */
    option_handler *option; /* of its own options; context: the words */
    /* Further checks of the words; may be NULL. Errors are usage errors. */
    int (*check)(void *words, struct err *err);
    int (*run)(struct session *session, void *words); /* returns the exit status */
};

/* Finds the verb in argv[0], reads the rest into `words`, and runs it against the configured
 * coordinator. Returns the exit status. */
int verbs_run(const char *command, const struct verb *verbs, size_t count, struct verb_words *words,
              int argc, char *const *argv);
bool verb_json_wanted(const struct verb_words *words);
/* Asks on the terminal. Errors: ERR_INVALID when there
 * is no terminal to ask on (`remedy` says what to do instead), ERR_TIMEOUT at Ctrl-C. */
int verb_confirm(const char *question, const char *remedy, bool *yes, struct err *err);

#endif
