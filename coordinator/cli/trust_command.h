/* What the commands about keys and policy share: `pusher GROUP COMMAND WORDS`, the operator's key,
 * the policy before and after.
 *
 * A command is a struct trust_command with a function; trust_group_run does the rest. Private to
 * the program's commands.
 */
#ifndef PUSHER_CLI_TRUST_COMMAND_H
#define PUSHER_CLI_TRUST_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"
#include "coordinator/cli/operator_key.h"
#include "coordinator/cli/policy_state.h"
#include "coordinator/cli/say.h"
#include "coordinator/cli/session.h"

#define TRUST_SAID_SIZE 512

/* Words of one of these commands, and what they lead to. */
struct trust_call {
    struct common_options common;
    struct operator_options operator;
    bool force;                  /* --force */
    bool no_passphrase;          /* --no-passphrase */
    bool public_only;            /* --public */
    const char *coordinator_key; /* --coordinator-key */
    const char **words;          /* positional; owned array of borrowed words */
    size_t word_count;
    struct session session;
    struct policy_state state;  /* the newest policy; zeroed when there is none */
    char said[TRUST_SAID_SIZE]; /* by a change: what is printed once it is done */
};

/* Options beside the common ones, as bits. */
enum trust_options {
    TRUST_KEY = 1, /* --key, --passphrase-file */
    TRUST_FORCE = 2,
    TRUST_NO_PASSPHRASE = 4,
    TRUST_PUBLIC = 8,
    TRUST_COORDINATOR_KEY = 16,
    TRUST_JSON = 32, /* -o json */
};

struct trust_command {
    const char *name;   /* "trust", "coordinator-key add" */
    const char *words;  /* in the usage: "FILE" */
    const char *about;  /* help */
    unsigned words_min; /* positional words */
    unsigned words_max;
    unsigned options; /* enum trust_options */
    /* One of these three. Local: without a coordinator. Look: with the policy in call->state.
     * Change: edits a copy of the policy, which is then signed and sent, and fills call->said. */
    int (*local)(struct trust_call *call, struct err *err);
    int (*look)(struct trust_call *call, struct err *err);
    int (*change)(struct trust_call *call, struct policy *next, struct err *err);
    bool first; /* change: there must be no policy yet */
};

struct trust_group {
    const char *name; /* "key" */
    const char *about;
    const struct trust_command *commands;
    size_t count;
};

/* Finds the command, reads its words, runs it. Returns the exit status. */
int trust_group_run(const struct trust_group *group, int argc, char *const *argv);

/* A public key: 64 digits, or the name of a file that holds them (what pusher key show --public and
 * the daemons' *.pub are). Errors: ERR_INVALID. */
int public_key_find(const char *word, uint8_t key[LIMIT_KEY_BYTES], struct err *err);

#endif
