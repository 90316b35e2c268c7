/* pusher relay: tokens, approval, and where relays stand. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/report/format.h"
#include "common/report/grid.h"
#include "common/report/relay_json.h"
#include "common/signed/objects.h"
#include "common/signed/token.h"
#include "common/trust/secret.h"
#include "coordinator/cli/approve.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/fleet.h"
#include "coordinator/cli/look.h"
#include "coordinator/cli/policy_state.h"
#include "coordinator/cli/revoke.h"
#include "coordinator/cli/values.h"
#include "coordinator/cli/verbs.h"

#define TOKEN_S 900U
#define TOKEN_S_MAX 3600U
#define EXPIRES_S (365U * 86400U)
#define KEY_DIGITS 16 /* of a key in the table: enough to name it by */

enum relay_option {
    RELAY_VALID = 1,
    RELAY_FINGERPRINT,
    RELAY_SUBNET,
    RELAY_EXPIRES,
    RELAY_YES,
    RELAY_NO_SIGN
};

struct relay_words {
    struct verb_words words; /* first */
    struct approval approval;
    uint32_t valid_s;
    bool yes;
    bool no_sign; /* revoke at the coordinator alone */
};

static int add_subnet(struct approval *approval, const char *value, struct err *err)
{
    if (approval->subnet_count == LIMIT_SITE_SUBNETS)
        return err_set(err, ERR_INVALID, "--subnet: at most %u of them", LIMIT_SITE_SUBNETS);
    if (subnet_from_text(value, &approval->subnets[approval->subnet_count], err) != 0)
        return err_wrap(err, "--subnet");
    approval->subnet_count++;
    return 0;
}

static int option(void *context, int key, const char *value, struct err *err)
{
    struct relay_words *relay = context;
    switch ((enum relay_option)key) {
    case RELAY_VALID:
        if (duration_parse(value, &relay->valid_s, err) != 0)
            return err_wrap(err, "--valid");
        return relay->valid_s <= TOKEN_S_MAX
                   ? 0
                   : err_set(err, ERR_INVALID, "--valid: a token is good for an hour at most");
    case RELAY_FINGERPRINT:
        relay->approval.fingerprint = value;
        return 0;
    case RELAY_SUBNET:
        return add_subnet(&relay->approval, value, err);
    case RELAY_EXPIRES:
        return duration_parse(value, &relay->approval.expires_s, err) == 0
                   ? 0
                   : err_wrap(err, "--expires");
    case RELAY_YES:
        relay->yes = true;
        return 0;
    case RELAY_NO_SIGN:
        relay->no_sign = true;
        return 0;
    }
    return err_set(err, ERR_INTERNAL, "option %d is not handled", key);
}

/* ---- token ---- */

/* The token is a secret: it goes to standard output and nowhere else. */
static int print_token(struct session *session, const struct token *token, const char *site,
                       uint32_t valid_s, struct err *err)
{
    char *text = token_text(token);
    bool written = fputs(text, stdout) >= 0 && fputc('\n', stdout) >= 0 && fflush(stdout) == 0;
    secret_free(text);
    if (!written)
        return err_set(err, ERR_IO, "cannot write to standard output");
    char duration[FORMAT_DURATION_SIZE];
    say(session->common,
        "good for one relay of site %s within %s. On its host: pusher-relay enroll --state DIR "
        "--coordinator tcp://THIS-HOST:PORT --name NAME, and give it the token when it asks",
        site, format_duration(valid_s * 1000ULL, duration));
    say(session->common, "then compare fingerprints: pusher relay approve NAME");
    return 0;
}

static int make_token(struct session *session, const char *site, uint32_t valid_s, struct err *err)
{
    struct policy_state policy = {0};
    struct token token = {0};
    struct message request = {.kind = MESSAGE_TOKEN_PUT};
    struct message answer;
    static const uint8_t nobody[LIMIT_KEY_BYTES];
    if (policy_state_fetch(session, &policy, err) != 0)
        return -1;
    policy_state_say(session, &policy);
    token_generate(&token, nobody, policy.signer, policy.newest.version);
    memcpy(request.token_put.key, token.curve.public_key, LIMIT_KEY_BYTES);
    request.token_put.valid_s = valid_s;
    int result = 0;
    if (!text_copy(request.token_put.site, sizeof request.token_put.site, site))
        result = err_set(err, ERR_INVALID, "a site's name has at most %d characters",
                         LIMIT_SITE_NAME_SIZE - 1);
    if (result == 0)
        result = session_call(session, &request, MESSAGE_TOKEN, &answer, err);
    if (result == 0) {
        memcpy(token.coordinator_key, answer.token.coordinator_key, LIMIT_KEY_BYTES);
        message_release(&answer);
        if (!policy_has_coordinator(&policy.newest, token.coordinator_key))
            result = err_set(err, ERR_DENIED,
                             "the coordinator that answers isn't the one that policy %llu names",
                             (unsigned long long)policy.newest.version);
    }
    if (result == 0)
        result = print_token(session, &token, site, valid_s, err);
    token_release(&token);
    policy_state_release(&policy);
    return result;
}

static int run_token(struct session *session, void *context)
{
    const struct relay_words *relay = context;
    struct err err = {0};
    return make_token(session, relay->words.words[0], relay->valid_s, &err) == 0
               ? EXIT_ALL_SUCCEEDED
               : session_failed(session, &err);
}

/* ---- list ---- */

static const char *standing_colour(enum relay_standing standing)
{
    switch (standing) {
    case RELAY_PENDING:
    case RELAY_DRAINING:
        return "33";
    case RELAY_REVOKED:
    case RELAY_CLONED:
        return "31";
    case RELAY_ACTIVE:
    case RELAY_STANDING_COUNT:
        break;
    }
    return NULL;
}

static void list_row(struct grid *grid, const struct relay_row *row)
{
    char text[FORMAT_TIME_SIZE];
    char key[KEY_TEXT_SIZE];
    bool works = row->standing == RELAY_ACTIVE || row->standing == RELAY_DRAINING;
    int64_t until_unix_s = row->certificate_until_unix_s;
    key_text(row->curve_key, key);
    key[KEY_DIGITS] = '\0';
    grid_row(grid);
    grid_text(grid, 0, row->name);
    grid_text(grid, 1, row->site);
    grid_text(grid, 2, relay_standing_word(row->standing));
    grid_colour(grid, 2, standing_colour(row->standing));
    grid_text(grid, 3, !works ? "" : row->live ? "yes" : "no");
    grid_text(grid, 4, works ? format_duration(row->silent_ms, text) : "");
    grid_number(grid, 5, row->leased);
    if (until_unix_s > 0) {
        (void)format_time((uint64_t)until_unix_s * 1000, text);
        text[strcspn(text, "T")] = '\0';
        grid_text(grid, 6, until_unix_s <= (int64_t)time(NULL) ? "EXPIRED" : text);
        grid_colour(grid, 6, until_unix_s <= (int64_t)time(NULL) ? "31" : NULL);
    }
    grid_text(grid, 7, key);
}

static int print_list(const struct relay_words *relay, const struct fleet *fleet)
{
    static const struct grid_column columns[] = {
        {"RELAY", false}, {"SITE", false}, {"STANDING", false},          {"LIVE", false},
        {"SILENT", true}, {"HOLDS", true}, {"CERTIFICATE UNTIL", false}, {"KEY", false},
    };
    struct grid grid;
    grid_init(&grid, columns, sizeof columns / sizeof *columns);
    for (uint32_t i = 0; i < fleet->count; i++)
        list_row(&grid, &fleet->rows[i]);
    (void)grid_print(&grid, stdout, terminal_width(STDOUT_FILENO),
                     colour_on(&relay->words.common, STDOUT_FILENO));
    grid_release(&grid);
    return look_written(EXIT_ALL_SUCCEEDED);
}

static int run_list(struct session *session, void *context)
{
    const struct relay_words *relay = context;
    struct fleet fleet;
    struct err err = {0};
    if (fleet_fetch(session, &fleet, &err) != 0)
        return session_failed(session, &err);
    int status =
        verb_json_wanted(&relay->words)
            ? look_output_written(relay_json_list(stdout, fleet.rows, fleet.count, &err), &err)
            : print_list(relay, &fleet);
    fleet_release(&fleet);
    return status;
}

/* ---- approve ---- */

static int run_approve(struct session *session, void *context)
{
    struct relay_words *relay = context;
    relay->approval.relay = relay->words.words[0];
    relay->approval.yes = relay->yes;
    relay->approval.operator_key = &relay->words.operator_key;
    return approve_run(session, &relay->approval);
}

/* ---- drain, activate, revoke ---- */

static int set_standing(struct session *session, const struct relay_row *row,
                        enum relay_standing standing, struct err *err)
{
    struct message request = {.kind = MESSAGE_RELAY_SET};
    struct message answer;
    memcpy(request.relay_set.curve_key, row->curve_key, LIMIT_KEY_BYTES);
    request.relay_set.standing = standing;
    if (session_call(session, &request, MESSAGE_OK, &answer, err) != 0)
        return -1;
    say(session->common, "relay %s of site %s %s %s", row->name, row->site,
        answer.ok.existing ? "was already" : "is", relay_standing_word(standing));
    message_release(&answer);
    return 0;
}

/* It is cut off by now, whatever comes of the policy. */
static int revoke_everywhere(struct session *session, const struct relay_words *relay,
                             const struct relay_row *row, struct err *err)
{
    say(session->common,
        "it knew the account of its site: change the password there, then pusher cred set %s",
        row->site);
    if (relay->no_sign) {
        say(session->common,
            "its certificate is still good wherever the coordinator isn't asked: an operator ends "
            "that with pusher relay revoke %s",
            row->name);
        return 0;
    }
    if (revoke_sign(session, row, &relay->words.operator_key, err) == 0)
        return 0;
    return err_wrap(err, "cut off at the coordinator, but not revoked by the policy");
}

static int change(struct session *session, const struct relay_words *relay,
                  enum relay_standing standing, struct err *err)
{
    struct fleet fleet;
    const struct relay_row *row = NULL;
    bool yes = true;
    char question[2 * LIMIT_SITE_NAME_SIZE + 80];
    if (fleet_fetch(session, &fleet, err) != 0)
        return -1;
    int result = fleet_find(&fleet, relay->words.words[0], &row, err);
    if (result == 0 && standing == RELAY_REVOKED && !relay->yes) {
        (void)snprintf(question, sizeof question,
                       "Revoke relay %s of site %s (%u targets in hand)? Its keys are never let in "
                       "again.",
                       row->name, row->site, row->leased);
        result = verb_confirm(question, "say -y", &yes, err);
    }
    if (result == 0 && !yes)
        result = err_set(err, ERR_DENIED, "not revoked");
    if (result == 0)
        result = set_standing(session, row, standing, err);
    if (result == 0 && standing == RELAY_REVOKED)
        result = revoke_everywhere(session, relay, row, err);
    fleet_release(&fleet);
    return result;
}

static int run_change(struct session *session, void *context, enum relay_standing standing)
{
    struct err err = {0};
    return change(session, context, standing, &err) == 0 ? EXIT_ALL_SUCCEEDED
                                                         : session_failed(session, &err);
}

static int run_drain(struct session *session, void *context)
{
    return run_change(session, context, RELAY_DRAINING);
}

static int run_activate(struct session *session, void *context)
{
    return run_change(session, context, RELAY_ACTIVE);
}

static int run_revoke(struct session *session, void *context)
{
    return run_change(session, context, RELAY_REVOKED);
}

int command_relay(int argc, char *const *argv)
{
    static const struct option_row token_rows[] = {
        {"valid", 0, RELAY_VALID, "TIME", "How long it is good for (15m; at most 1h)."},
    };
    static const struct option_row approve_rows[] = {
        {"fingerprint", 0, RELAY_FINGERPRINT, "FP",
         "What the relay showed: it must be the same. Without it you are asked."},
        {"subnet", 0, RELAY_SUBNET, "SUBNET", "Allow only this part of the site; may come again."},
        {"expires", 0, RELAY_EXPIRES, "TIME", "How long the certificate is good for (365d)."},
        {"yes", 'y', RELAY_YES, NULL, "Renewal with no more subnets than before: don't ask."},
    };
    static const struct option_row revoke_rows[] = {
        {"yes", 'y', RELAY_YES, NULL, "Don't ask."},
        {"no-sign", 0, RELAY_NO_SIGN, NULL,
         "Without an operator's key: only the coordinator cuts it off."},
    };
#define ROWS(rows)                                                                                 \
    {                                                                                              \
        rows, sizeof(rows) / sizeof *(rows)                                                        \
    }
    static const struct verb verbs[] = {
        {.name = "token",
         .usage = "pusher relay token SITE [--valid TIME]",
         .about = "Makes a token that lets one relay of the site enrol, and prints it.",
         .options = ROWS(token_rows),
         .word_min = 1,
         .word_max = 1,
         .option = option,
         .run = run_token},
        {.name = "list",
         .usage = "pusher relay list [-o table|json]",
         .about = "Lists relays: site, standing, whether they are live, what they hold, and until "
                  "when their\ncertificates are good.",
         .json = true,
         .option = option,
         .run = run_list},
        {.name = "approve",
         .usage = "pusher relay approve NAME|KEY [--fingerprint FP] [--subnet SUBNET]... "
                  "[--expires TIME]",
         .about = "Signs the certificate that lets a relay work, after you have compared its "
                  "fingerprint.\nOf a relay that has one it signs a new one.",
         .options = ROWS(approve_rows),
         .signs = true,
         .word_min = 1,
         .word_max = 1,
         .option = option,
         .run = run_approve},
        {.name = "drain",
         .usage = "pusher relay drain NAME",
         .about = "The relay finishes what it has and gets nothing new.",
         .word_min = 1,
         .word_max = 1,
         .option = option,
         .run = run_drain},
        {.name = "activate",
         .usage = "pusher relay activate NAME",
         .about = "Ends draining.",
         .word_min = 1,
         .word_max = 1,
         .option = option,
         .run = run_activate},
        {.name = "revoke",
         .usage = "pusher relay revoke NAME|KEY [-y] [--no-sign]",
         .about = "The relay is cut off at once, for good. What it holds is given to others when "
                  "its lease is over.\nA new policy makes its certificate void for everybody.",
         .options = ROWS(revoke_rows),
         .signs = true,
         .word_min = 1,
         .word_max = 1,
         .option = option,
         .run = run_revoke},
    };
    struct relay_words *relay = calloc(1, sizeof *relay);
    if (relay == NULL)
        abort();
    relay->valid_s = TOKEN_S;
    relay->approval.expires_s = EXPIRES_S;
    int status = verbs_run("relay", verbs, sizeof verbs / sizeof *verbs, &relay->words, argc, argv);
    free(relay);
    return status;
}
