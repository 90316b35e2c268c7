/* pusher site: describes the sites that targets are split by. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/model/limits.h"
#include "common/model/subnet.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/options.h"
#include "coordinator/cli/site.h"
#include "coordinator/cli/target_file.h"

#define END_MS 1000U

enum site_key {
    SITE_SUBNET = 1,
    SITE_NAME,
    SITE_DEFAULT,
    SITE_NO_DEFAULT,
    SITE_WAN_RATE,
    SITE_TARGETS,
};

/* What a verb's words are. */
enum site_word { WORD_NONE, WORD_SITE, WORD_TARGETS };

struct site_verb {
    const char *name;
    const char *usage;
    const char *about;
    enum site_word word;
    struct option_table options;
    bool json; /* -o json is there */
    int (*run)(struct session *session, const struct site_words *words);
};

struct site_parse {
    const struct site_verb *verb;
    struct site_words *words;
};

/* ---- words ---- */

static int add_text(char ***texts, uint32_t *count, uint32_t max, const char *value,
                    const char *option, struct err *err)
{
    if (*count >= max)
        return err_set(err, ERR_LIMIT, "--%s: at most %u for one site", option, max);
    *texts = mem_resize(*texts, *count + 1U, sizeof **texts);
    (*texts)[(*count)++] = mem_strdup(value);
    return 0;
}

static int add_subnet(struct site_words *words, const char *value, struct err *err)
{
    struct subnet subnet;
    char text[SUBNET_TEXT_SIZE];
    words->subnets_given = true;
    if (strcmp(value, "none") == 0)
        return 0;
    if (subnet_from_text(value, &subnet, err) != 0)
        return err_wrap(err, "--subnet");
    subnet_text(&subnet, text);
    return add_text(&words->site.subnets, &words->site.subnet_count, LIMIT_SITE_SUBNETS, text,
                    "subnet", err);
}

static int add_pattern(struct site_words *words, const char *value, struct err *err)
{
    char shown[80];
    words->patterns_given = true;
    if (strcmp(value, "none") == 0)
        return 0;
    if (value[0] == '\0' || strlen(value) >= LIMIT_TARGET_NAME_SIZE)
        return err_set(err, ERR_INVALID, "--name '%s': not a pattern of host names",
                       text_printable(shown, sizeof shown, value));
    return add_text(&words->site.patterns, &words->site.pattern_count, LIMIT_SITE_PATTERNS, value,
                    "name", err);
}

static int set_rate(struct site_words *words, const char *value, struct err *err)
{
    char shown[80];
    words->rate_given = true;
    if (strcmp(value, "none") == 0)
        return 0;
    if (text_to_bytes(value, &words->site.wan_rate) != 0 || words->site.wan_rate == 0)
        return err_set(err, ERR_INVALID,
                       "--wan-rate '%s': bytes per second above 0, as 500000, 500K or 20M, or none",
                       text_printable(shown, sizeof shown, value));
    return 0;
}

static int add_targets(struct site_words *words, const char *value, struct err *err)
{
    if (words->targets == NULL)
        words->targets = targets_new();
    return target_argument_add(words->targets, value, false, stdin, err);
}

static int add_word(const struct site_parse *parse, const char *value, struct err *err)
{
    char shown[80];
    struct site *site = &parse->words->site;
    if (parse->verb->word == WORD_TARGETS)
        return add_targets(parse->words, value, err);
    if (parse->verb->word == WORD_NONE || site->name[0] != '\0')
        return err_set(err, ERR_INVALID, "'%s': one word too many",
                       text_printable(shown, sizeof shown, value));
    if (value[0] == '\0' || !text_copy(site->name, sizeof site->name, value))
        return err_set(err, ERR_INVALID, "a site's name has 1 to %u characters",
                       LIMIT_SITE_NAME_SIZE - 1);
    return 0;
}

static int handle(void *context, int key, const char *value, struct err *err)
{
    const struct site_parse *parse = context;
    struct site_words *words = parse->words;
    int common = common_option(&words->common, key, value, err);
    if (common <= 0)
        return common;
    switch (key) {
    case OPTION_POSITIONAL:
        return add_word(parse, value, err);
    case SITE_SUBNET:
        return add_subnet(words, value, err);
    case SITE_NAME:
        return add_pattern(words, value, err);
    case SITE_DEFAULT:
    case SITE_NO_DEFAULT:
        words->default_given = true;
        words->site.is_default = key == SITE_DEFAULT;
        return 0;
    case SITE_WAN_RATE:
        return set_rate(words, value, err);
    case SITE_TARGETS:
        return add_targets(words, value, err);
    default:
        return err_set(err, ERR_INTERNAL, "option %d is not handled", key);
    }
}

static int check(const struct site_parse *parse, struct err *err)
{
    const struct site_words *words = parse->words;
    const char *format = words->common.format;
    if ((parse->verb->word == WORD_SITE && words->site.name[0] == '\0') ||
        (parse->verb->word == WORD_TARGETS && words->targets == NULL))
        return err_set(err, ERR_INVALID, "usage: %s", parse->verb->usage);
    if (strcmp(format, "table") != 0 && !(parse->verb->json && strcmp(format, "json") == 0))
        return err_set(err, ERR_INVALID, "-o %s: not for this command (%s)", format,
                       parse->verb->json ? "table, json" : "table");
    return 0;
}

static void words_release(struct site_words *words)
{
    for (uint32_t i = 0; i < words->site.subnet_count; i++)
        free(words->site.subnets[i]);
    for (uint32_t i = 0; i < words->site.pattern_count; i++)
        free(words->site.patterns[i]);
    free(words->site.subnets);
    free(words->site.patterns);
    targets_free(words->targets);
}

/* ---- changes ---- */

static int put(struct session *session, const struct site *site, bool add_only)
{
    struct message request = {.kind = MESSAGE_SITE_PUT, .site_put = {*site, add_only}};
    struct message answer;
    struct err err = {0};
    if (session_call(session, &request, MESSAGE_OK, &answer, &err) != 0)
        return session_failed(session, &err);
    message_release(&answer);
    return EXIT_ALL_SUCCEEDED;
}

static int run_add(struct session *session, const struct site_words *words)
{
    int status = put(session, &words->site, true);
    if (status == EXIT_ALL_SUCCEEDED && words->site.subnet_count == 0 &&
        words->site.pattern_count == 0 && !words->site.is_default)
        say(&words->common, "site %s takes no target yet but those pushed with --site",
            words->site.name);
    return status;
}

/* What the options say, the rest as it was. */
static int run_set(struct session *session, const struct site_words *words)
{
    struct message_sites sites;
    struct err err = {0};
    char shown[80];
    if (sites_fetch(session, &sites, &err) != 0)
        return session_failed(session, &err);
    uint32_t at = 0;
    while (at < sites.row_count && strcmp(sites.rows[at].name, words->site.name) != 0)
        at++;
    if (at == sites.row_count) {
        complain("no site %s", text_printable(shown, sizeof shown, words->site.name));
        sites_release(&sites);
        return EXIT_USAGE;
    }
    struct site site = sites.rows[at]; /* its texts stay the list's */
    if (words->subnets_given) {
        site.subnets = words->site.subnets;
        site.subnet_count = words->site.subnet_count;
    }
    if (words->patterns_given) {
        site.patterns = words->site.patterns;
        site.pattern_count = words->site.pattern_count;
    }
    if (words->default_given)
        site.is_default = words->site.is_default;
    if (words->rate_given)
        site.wan_rate = words->site.wan_rate;
    int status = put(session, &site, false);
    sites_release(&sites);
    return status;
}

static int run_rm(struct session *session, const struct site_words *words)
{
    struct message request = {.kind = MESSAGE_SITE_RM};
    struct message answer;
    struct err err = {0};
    (void)text_copy(request.site_ref.site, sizeof request.site_ref.site, words->site.name);
    if (session_call(session, &request, MESSAGE_OK, &answer, &err) != 0)
        return session_failed(session, &err);
    message_release(&answer);
    return EXIT_ALL_SUCCEEDED;
}

/* ---- verbs ---- */

#define RULES_OF_A_SITE                                                                            \
    {"subnet", 0, SITE_SUBNET, "CIDR",                                                             \
     "Addresses of this site, IPv4 or IPv6; more than once. The longest prefix over all sites "    \
     "wins."},                                                                                     \
        {"name", 0, SITE_NAME, "PATTERN",                                                          \
         "Names of this site, as PC-LYO-* or *.lyon.example; more than once. For those whose "     \
         "address lies in no subnet."},                                                            \
        {"default", 0, SITE_DEFAULT, NULL, "This site takes what no subnet and no name takes."},   \
    {                                                                                              \
        "wan-rate", 0, SITE_WAN_RATE, "RATE",                                                      \
            "Send packages there with at most so many bytes per second: 500000, 500K, 20M (K, M, " \
            "G "                                                                                   \
            "count by 1024)."                                                                      \
    }

static const struct option_row add_rows[] = {RULES_OF_A_SITE};
static const struct option_row set_rows[] = {
    RULES_OF_A_SITE,
    {"no-default", 0, SITE_NO_DEFAULT, NULL, "It is the default site no longer."},
};
static const struct option_row lint_rows[] = {
    {"targets", 't', SITE_TARGETS, "TARGETS",
     "Also look where these would go, as push takes them; more than once."},
};

static const struct site_verb verbs[] = {
    {"add",
     "pusher site add NAME [--subnet CIDR]... [--name PATTERN]... [--default] [--wan-rate RATE]",
     "Describes a new site.",
     WORD_SITE,
     {add_rows, sizeof add_rows / sizeof *add_rows},
     false,
     run_add},
    {"set",
     "pusher site set NAME [--subnet CIDR|none]... [--name PATTERN|none]... "
     "[--default|--no-default]"
     " [--wan-rate RATE|none]",
     "Changes a site. What is given replaces all of its kind, the rest stays as it is. Pushes that "
     "are\ncommitted already keep the sites they had.",
     WORD_SITE,
     {set_rows, sizeof set_rows / sizeof *set_rows},
     false,
     run_set},
    {"rm",
     "pusher site rm NAME",
     "Removes a site. Refused while it has relays that aren't revoked, or an open push needs it.",
     WORD_SITE,
     {NULL, 0},
     false,
     run_rm},
    {"list",
     "pusher site list [-o table|json]",
     "Lists the sites.",
     WORD_NONE,
     {NULL, 0},
     true,
     site_list},
    {"lint",
     "pusher site lint [-t TARGETS]... [-o table|json]",
     "Says what is odd about the sites: subnets of two sites, gaps, sites without a relay, subnets "
     "that\nno relay may touch. Exit status 3 when something is wrong or a target belongs to no "
     "site.",
     WORD_NONE,
     {lint_rows, sizeof lint_rows / sizeof *lint_rows},
     true,
     site_lint},
    {"which",
     "pusher site which TARGETS... [-o table|json]",
     "Tells to which site each target would go, and why. Exit status 3 when one goes nowhere.",
     WORD_TARGETS,
     {NULL, 0},
     true,
     site_which},
};

#define VERB_COUNT (sizeof verbs / sizeof *verbs)

static void print_verbs(FILE *out)
{
    (void)fputs("Usage:\n", out);
    for (size_t i = 0; i < VERB_COUNT; i++)
        (void)fprintf(out, "  %s\n", verbs[i].usage);
    (void)fputs("\nDescribes the sites that targets are split by. pusher site VERB --help tells "
                "more.\n",
                out);
}

static int run_verb(const struct site_verb *verb, const struct site_words *words)
{
    struct session session;
    struct err err = {0};
    if (words->targets != NULL)
        targets_settle(words->targets);
    if (session_open_coordinator(&session, &words->common, &err) != 0)
        return session_failed(&session, &err);
    int status = verb->run(&session, words);
    session_close(&session, END_MS);
    return status;
}

static int parse_verb(const struct site_verb *verb, int argc, char *const *argv)
{
    const struct option_table tables[] = {verb->options, common_table};
    struct site_words words = {.common.format = "table"};
    struct site_parse parse = {verb, &words};
    struct err err = {0};
    int rest = argc;
    int status = EXIT_ALL_SUCCEEDED;
    int result = options_parse(tables, 2, argc, argv, handle, &parse, &rest, &err);
    if (result == 0 && words.common.help) {
        (void)printf("Usage: %s\n\n%s\n\n", verb->usage, verb->about);
        options_help(stdout, &verb->options);
        options_help(stdout, &common_table);
    } else if (result == 0 && words.common.version) {
        print_version();
    } else if (result == 0 && rest < argc) {
        complain("nothing may follow --");
        status = EXIT_USAGE;
    } else if (result != 0 || check(&parse, &err) != 0) {
        complain("%s", err.text);
        status = EXIT_USAGE;
    } else {
        status = run_verb(verb, &words);
    }
    words_release(&words);
    return status;
}

int command_site(int argc, char *const *argv)
{
    char shown[80];
    if (argc == 0) {
        print_verbs(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        print_verbs(stdout);
        return EXIT_ALL_SUCCEEDED;
    }
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strcmp(verbs[i].name, argv[0]) == 0)
            return parse_verb(&verbs[i], argc - 1, argv + 1);
    complain("unknown command 'site %s' (pusher site --help)",
             text_printable(shown, sizeof shown, argv[0]));
    return EXIT_USAGE;
}
