/* Words, session and policy of the commands about trust. */
#include "coordinator/cli/trust_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/trust/secret.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/policy_edit.h"

#define END_MS 5000U
#define ROWS_MAX 8U

enum word_key { WORD_FORCE = 1, WORD_NO_PASSPHRASE, WORD_PUBLIC, WORD_COORDINATOR_KEY };

static const struct {
    unsigned option; /* enum trust_options */
    struct option_row row;
} own_rows[] = {
    {TRUST_FORCE,
     {"force", 0, WORD_FORCE, NULL, "Do it although it takes your own key out of the policy."}},
    {TRUST_NO_PASSPHRASE,
     {"no-passphrase", 0, WORD_NO_PASSPHRASE, NULL,
      "Leave the key open in its file: whoever reads it signs as you."}},
    {TRUST_PUBLIC,
     {"public", 0, WORD_PUBLIC, NULL, "Print the public key alone, for pusher key trust."}},
    {TRUST_COORDINATOR_KEY,
     {"coordinator-key", 0, WORD_COORDINATOR_KEY, "FILE",
      "The coordinator's public key (curve.pub in its state folder). Without this the coordinator "
      "is asked, and its word is taken."}},
};

static int add_word(struct trust_call *call, const char *word)
{
    call->words = mem_resize(call->words, call->word_count + 1, sizeof *call->words);
    call->words[call->word_count++] = word;
    return 0;
}

static int handle(void *context, int key, const char *value, struct err *err)
{
    struct trust_call *call = context;
    int common = common_option(&call->common, key, value, err);
    if (common <= 0)
        return common;
    if (operator_option(&call->operator, key, value) == 0)
        return 0;
    switch (key) {
    case OPTION_POSITIONAL:
        return add_word(call, value);
    case WORD_FORCE:
        call->force = true;
        return 0;
    case WORD_NO_PASSPHRASE:
        call->no_passphrase = true;
        return 0;
    case WORD_PUBLIC:
        call->public_only = true;
        return 0;
    case WORD_COORDINATOR_KEY:
        call->coordinator_key = value;
        return 0;
    default:
        return err_set(err, ERR_INTERNAL, "option %d is not handled", key);
    }
}

/* ---- help ---- */

static void print_command_help(const struct trust_group *group, const struct trust_command *command,
                               const struct option_table *tables, size_t count)
{
    (void)printf("Usage: pusher %s %s%s%s\n\n%s\n\n", group->name, command->name,
                 *command->words != '\0' ? " " : "", command->words, command->about);
    for (size_t i = 0; i < count; i++)
        options_help(stdout, &tables[i]);
}

static void print_group_help(const struct trust_group *group)
{
    (void)printf("Usage: pusher %s COMMAND [OPTIONS]\n\n%s\n\n", group->name, group->about);
    for (size_t i = 0; i < group->count; i++)
        (void)printf("  %s%s%s\n", group->commands[i].name,
                     *group->commands[i].words != '\0' ? " " : "", group->commands[i].words);
    (void)printf("\npusher %s COMMAND --help tells more.\n", group->name);
}

/* ---- words ---- */

/* The command whose name the first words are; *used: how many. */
static const struct trust_command *find_command(const struct trust_group *group, int argc,
                                                char *const *argv, int *used)
{
    for (size_t i = 0; i < group->count; i++) {
        const char *name = group->commands[i].name;
        int words = 0;
        while (words < argc && *name != '\0') {
            size_t length = strcspn(name, " ");
            if (strlen(argv[words]) != length || strncmp(name, argv[words], length) != 0)
                break;
            name += length;
            name += strspn(name, " ");
            words++;
        }
        if (*name == '\0') {
            *used = words;
            return &group->commands[i];
        }
    }
    return NULL;
}

static int check_words(const struct trust_group *group, const struct trust_command *command,
                       const struct trust_call *call, struct err *err)
{
    if (call->word_count < command->words_min || call->word_count > command->words_max)
        return err_set(err, ERR_INVALID, "usage: pusher %s %s %s", group->name, command->name,
                       command->words);
    if (strcmp(call->common.format, "table") != 0 &&
        (strcmp(call->common.format, "json") != 0 || (command->options & TRUST_JSON) == 0))
        return err_set(err, ERR_INVALID, "-o %s: not for this command (%s)", call->common.format,
                       (command->options & TRUST_JSON) != 0 ? "table, json" : "table");
    return 0;
}

/* ---- the work ---- */

static int change(const struct trust_command *command, struct trust_call *call, struct err *err)
{
    struct policy next;
    struct key_pair key = {0};
    policy_clone(&call->state.newest, &next);
    int result = command->change(call, &next, err);
    if (result == 0 && call->said[0] != '\0') {
        result = operator_key_load(&call->operator, & key, err);
        if (result == 0)
            result = policy_state_change(&call->session, &call->state, &next, &key, err);
        if (result == 0)
            (void)printf("policy %llu: %s\n", (unsigned long long)next.version, call->said);
    } else if (result == 0) {
        (void)printf("policy %llu stays: nothing is to change\n", (unsigned long long)next.version);
    }
    key_pair_release(&key);
    policy_release(&next);
    return result;
}

static int with_policy(const struct trust_command *command, struct trust_call *call,
                       struct err *err)
{
    struct err why = {0};
    int result = policy_state_fetch(&call->session, &call->state, &why);
    if (command->first && result == 0)
        return err_set(err, ERR_EXISTS,
                       "the coordinator has a policy (version %llu): pusher policy show",
                       (unsigned long long)call->state.newest.version);
    if (result != 0 && !(command->first && why.code == ERR_NOT_FOUND)) {
        *err = why;
        return -1;
    }
    if (command->change != NULL)
        return change(command, call, err);
    policy_state_say(&call->session, &call->state);
    return command->look(call, err);
}

static int written(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    complain("cannot write to standard output");
    return EXIT_INTERNAL;
}

static int run(const struct trust_command *command, struct trust_call *call)
{
    struct err err = {0};
    if (command->local != NULL) {
        if (process_harden(&err) != 0 || command->local(call, &err) != 0)
            return complain_err(&err);
        return written(EXIT_ALL_SUCCEEDED);
    }
    if (session_open_coordinator(&call->session, &call->common, &err) != 0)
        return session_failed(&call->session, &err);
    int status = EXIT_ALL_SUCCEEDED;
    if (with_policy(command, call, &err) != 0)
        status = session_failed(&call->session, &err);
    policy_state_release(&call->state);
    session_close(&call->session, END_MS);
    return written(status);
}

static int parse_and_run(const struct trust_group *group, const struct trust_command *command,
                         struct trust_call *call, int argc, char *const *argv)
{
    struct option_row rows[ROWS_MAX];
    struct option_table tables[3] = {{rows, 0}, common_table};
    size_t table_count = 2;
    struct err err = {0};
    int rest = argc;
    for (size_t i = 0; i < sizeof own_rows / sizeof *own_rows; i++)
        if ((command->options & own_rows[i].option) != 0)
            rows[tables[0].count++] = own_rows[i].row;
    if ((command->options & TRUST_KEY) != 0) {
        tables[1] = operator_table;
        tables[table_count++] = common_table;
    }
    int result = options_parse(tables, table_count, argc, argv, handle, call, &rest, &err);
    if (result == 0 && call->common.help) {
        print_command_help(group, command, tables, table_count);
        return written(EXIT_ALL_SUCCEEDED);
    }
    if (result == 0 && call->common.version) {
        print_version();
        return written(EXIT_ALL_SUCCEEDED);
    }
    for (; result == 0 && rest < argc; rest++) /* a name may begin with "-" */
        result = add_word(call, argv[rest]);
    if (result != 0 || check_words(group, command, call, &err) != 0) {
        complain("%s", err.text);
        return EXIT_USAGE;
    }
    return run(command, call);
}

int trust_group_run(const struct trust_group *group, int argc, char *const *argv)
{
    int used = 0;
    char shown[80];
    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        print_group_help(group);
        return written(EXIT_ALL_SUCCEEDED);
    }
    const struct trust_command *command = find_command(group, argc, argv, &used);
    if (command == NULL) {
        if (argc == 0)
            complain("%s needs a command (pusher %s --help lists them)", group->name, group->name);
        else
            complain("unknown command '%s' of %s (pusher %s --help lists them)",
                     text_printable(shown, sizeof shown, argv[0]), group->name, group->name);
        return EXIT_USAGE;
    }
    struct trust_call call = {.common.format = "table"};
    int status = parse_and_run(group, command, &call, argc - used, argv + used);
    free(call.words);
    return status;
}

int public_key_find(const char *word, uint8_t key[LIMIT_KEY_BYTES], struct err *err)
{
    char shown[256];
    char text[KEY_TEXT_SIZE + 2] = {0};
    if (key_from_text(word, key, NULL) == 0)
        return 0;
    text_printable(shown, sizeof shown, word);
    FILE *file = fopen(word, "re");
    if (file == NULL)
        return err_set(err, ERR_INVALID, "'%s' is neither a public key (64 digits) nor a file: %s",
                       shown, strerrordesc_np(errno));
    size_t length = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    while (length > 0 && strchr("\r\n", text[length - 1]) != NULL)
        text[--length] = '\0';
    if (key_from_text(text, key, NULL) == 0)
        return 0;
    bool secret = strncmp(text, "pusher-key ", sizeof "pusher-key " - 1) == 0;
    return err_set(err, ERR_INVALID, "%s holds no public key%s", shown,
                   secret ? " but a secret one, which nobody else should have: pusher key show "
                            "--public --key FILE"
                          : " (one line of 64 digits)");
}
