/* Verbs of a command. */
#include "coordinator/cli/verbs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/text.h"
#include "coordinator/cli/commands.h"

#define END_MS 5000U
#define VERBS_SIZE 256

/* What the parser hands around. */
struct reading {
    const struct verb *verb;
    struct verb_words *words;
};

static int handle(void *context, int key, const char *value, struct err *err)
{
    const struct reading *reading = context;
    struct verb_words *words = reading->words;
    char shown[80];
    int common = common_option(&words->common, key, value, err);
    if (common <= 0)
        return common;
    if (reading->verb->signs && operator_option(&words->operator_key, key, value) == 0)
        return 0;
    if (key != OPTION_POSITIONAL)
        return reading->verb->option(words, key, value, err);
    if (words->word_count == reading->verb->word_max)
        return err_set(err, ERR_INVALID, "'%s': one word too many (%s)",
                       text_printable(shown, sizeof shown, value), reading->verb->usage);
    words->words[words->word_count++] = value;
    return 0;
}

static void print_verb_help(const struct verb *verb)
{
    (void)printf("Usage: %s\n\n%s\n\n", verb->usage, verb->about);
    options_help(stdout, &verb->options);
    if (verb->signs)
        options_help(stdout, &operator_table);
    options_help(stdout, &common_table);
}

static void print_help(const struct verb *verbs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)printf("%s %s\n", i == 0 ? "Usage:" : "      ", verbs[i].usage);
    (void)printf("\n");
    options_help(stdout, &common_table);
}

bool verb_json_wanted(const struct verb_words *words)
{
    return strcmp(words->common.format, "json") == 0;
}

static int read_words(const struct verb *verb, struct verb_words *words, int argc,
                      char *const *argv, struct err *err)
{
    const struct option_table tables[] = {verb->options, common_table, operator_table};
    struct reading reading = {verb, words};
    int rest = argc;
    words->common.format = "table";
    if (options_parse(tables, verb->signs ? 3 : 2, argc, argv, handle, &reading, &rest, err) != 0)
        return -1;
    if (words->common.help || words->common.version)
        return 0;
    if (rest < argc)
        return err_set(err, ERR_INVALID, "nothing may follow --");
    if (words->word_count < verb->word_min)
        return err_set(err, ERR_INVALID, "usage: %s", verb->usage);
    if (strcmp(words->common.format, "table") != 0 && !(verb->json && verb_json_wanted(words)))
        return err_set(err, ERR_INVALID, "-o %s: not for this command (%s)", words->common.format,
                       verb->json ? "table, json" : "table");
    return verb->check != NULL ? verb->check(words, err) : 0;
}

static int run_verb(const struct verb *verb, struct verb_words *words, int argc, char *const *argv)
{
    struct session session;
    struct err err = {0};
    if (read_words(verb, words, argc, argv, &err) != 0) {
        complain("%s", err.text);
        return EXIT_USAGE;
    }
    if (words->common.help) {
        print_verb_help(verb);
        return EXIT_ALL_SUCCEEDED;
    }
    if (words->common.version) {
        print_version();
        return EXIT_ALL_SUCCEEDED;
    }
    if (session_open_coordinator(&session, &words->common, &err) != 0)
        return session_failed(&session, &err);
    int status = verb->run(&session, words);
    session_close(&session, END_MS);
    return status;
}

int verbs_run(const char *command, const struct verb *verbs, size_t count, struct verb_words *words,
              int argc, char *const *argv)
{
    char names[VERBS_SIZE] = "";
    char shown[80];
    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        print_help(verbs, count);
        return EXIT_ALL_SUCCEEDED;
    }
    for (size_t i = 0; i < count; i++) {
        if (argc > 0 && strcmp(argv[0], verbs[i].name) == 0)
            return run_verb(&verbs[i], words, argc - 1, argv + 1);
        size_t used = strlen(names);
        (void)snprintf(names + used, sizeof names - used, "%s%s", i == 0 ? "" : ", ",
                       verbs[i].name);
    }
    if (argc == 0)
        complain("usage: pusher %s VERB: %s", command, names);
    else
        complain("pusher %s '%s': no such verb (%s)", command,
                 text_printable(shown, sizeof shown, argv[0]), names);
    return EXIT_USAGE;
}

int verb_confirm(const char *question, const char *remedy, bool *yes, struct err *err)
{
    char answer[16] = "";
    if (isatty(STDIN_FILENO) != 1)
        return err_set(err, ERR_INVALID, "there is no terminal to ask on: %s", remedy);
    (void)fprintf(stderr, "%s [y/N] ", question);
    if (line_ask(answer, sizeof answer, err) != 0)
        return -1;
    *yes = text_equal_nocase(answer, "y") || text_equal_nocase(answer, "yes");
    return 0;
}
