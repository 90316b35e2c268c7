/* pusher cred: the account of a site, sealed to each of its relays. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/report/format.h"
#include "common/report/grid.h"
#include "common/report/relay_json.h"
#include "common/signed/objects.h"
#include "common/trust/secret.h"
#include "common/trust/signed.h"
#include "common/wire/wire.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/fleet.h"
#include "coordinator/cli/look.h"
#include "coordinator/cli/password.h"
#include "coordinator/cli/policy_state.h"
#include "coordinator/cli/verbs.h"

enum cred_option { CRED_USER = 1, CRED_PASSWORD_FILE };

struct cred_words {
    struct verb_words words; /* first */
    const char *user;
    const char *password_file;
};

/* A relay that an operator vouched for, and what it has. */
struct keeper {
    char relay[LIMIT_SITE_NAME_SIZE];
    char site[LIMIT_SITE_NAME_SIZE];
    uint8_t seal_key[LIMIT_KEY_BYTES];
    bool over;                        /* its certificate is */
    uint64_t counter;                 /* of what it has; 0: nothing */
    char account[LIMIT_ACCOUNT_SIZE]; /* of that */
};

struct keepers {
    const struct policy *policy;
    const char *site;    /* whose; "": every site's */
    struct keeper *rows; /* owned */
    uint32_t count;
    uint64_t counter_max;
};

static int option(void *context, int key, const char *value, struct err *err)
{
    struct cred_words *cred = context;
    switch ((enum cred_option)key) {
    case CRED_USER:
        cred->user = value;
        return 0;
    case CRED_PASSWORD_FILE:
        cred->password_file = value;
        return 0;
    }
    return err_set(err, ERR_INTERNAL, "option %d is not handled", key);
}

static int check_site(const struct cred_words *cred, struct err *err)
{
    if (cred->words.word_count > 0 && strlen(cred->words.words[0]) >= LIMIT_SITE_NAME_SIZE)
        return err_set(err, ERR_INVALID, "a site's name has at most %d characters",
                       LIMIT_SITE_NAME_SIZE - 1);
    return 0;
}

static int check(void *context, struct err *err)
{
    return check_site(context, err);
}

static int check_set(void *context, struct err *err)
{
    const struct cred_words *cred = context;
    if (cred->user == NULL)
        return err_set(err, ERR_INVALID, "--user is needed: the account that may write to C$");
    size_t length = strlen(cred->user);
    if (length == 0 || length >= LIMIT_ACCOUNT_SIZE)
        return err_set(err, ERR_INVALID, "--user has 1 to %d characters", LIMIT_ACCOUNT_SIZE - 1);
    for (const char *c = cred->user; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return err_set(err, ERR_INVALID, "--user holds a control character");
    return check_site(cred, err);
}

/* ---- who keeps what ---- */

/* Of an operator who is none any more, or of a relay that is revoked. */
static void leave_out(const struct policy *policy, const uint8_t *bytes, size_t size)
{
    struct signed_view view;
    struct certificate found;
    char relay[2 * LIMIT_SITE_NAME_SIZE];
    if (signed_open(bytes, size, SIGNED_CERTIFICATE, NULL, &view, NULL) != 0 ||
        wire_decode_certificate(view.payload, view.payload_size, &found, NULL) != 0)
        return;
    text_printable(relay, sizeof relay, found.relay);
    if (policy_revokes(policy, found.curve_key))
        complain("relay %s: the policy revokes it, it is left out", relay);
    else
        complain("relay %s: whoever signed its certificate is no operator now, it is left out "
                 "(pusher relay approve %s)",
                 relay, relay);
    certificate_release(&found);
}

/* Only what an operator signed is sealed to, for the site that it says: the coordinator chooses
 * nobody. */
static int note_certificate(void *context, const uint8_t *bytes, size_t size, struct err *err)
{
    struct keepers *keepers = context;
    struct certificate found;
    if (certificate_look(bytes, size, keepers->policy, &found, NULL) != 0) {
        leave_out(keepers->policy, bytes, size);
        return 0;
    }
    if (*keepers->site != '\0' && strcmp(found.site, keepers->site) != 0) {
        (void)err_set(
            err, ERR_DENIED,
            "the coordinator counts relay %s to site %s, its certificate says %s: nothing "
            "is sealed",
            found.relay, keepers->site, found.site);
        certificate_release(&found);
        return -1;
    }
    keepers->rows = mem_resize(keepers->rows, keepers->count + 1U, sizeof *keepers->rows);
    struct keeper *keeper = &keepers->rows[keepers->count++];
    *keeper = (struct keeper){0};
    (void)text_copy(keeper->relay, sizeof keeper->relay, found.relay);
    (void)text_copy(keeper->site, sizeof keeper->site, found.site);
    memcpy(keeper->seal_key, found.seal_key, LIMIT_KEY_BYTES);
    keeper->over = certificate_check_time(&found, (int64_t)time(NULL), NULL) != 0;
    certificate_release(&found);
    return 0;
}

static int note_credential(void *context, const uint8_t *bytes, size_t size, struct err *err)
{
    struct keepers *keepers = context;
    struct site_credential found;
    (void)err;
    if (site_credential_look(bytes, size, keepers->policy, &found, NULL) != 0)
        return 0; /* of an operator who isn't one any more: as good as none */
    for (uint32_t i = 0; i < keepers->count; i++) {
        struct keeper *keeper = &keepers->rows[i];
        if (memcmp(keeper->seal_key, found.seal_key, LIMIT_KEY_BYTES) != 0)
            continue;
        keeper->counter = found.counter;
        (void)text_copy(keeper->account, sizeof keeper->account, found.account);
    }
    if (found.counter > keepers->counter_max)
        keepers->counter_max = found.counter;
    site_credential_release(&found);
    return 0;
}

static int fetch_keepers(struct session *session, const struct policy *policy, const char *site,
                         struct keepers *out, struct err *err)
{
    *out = (struct keepers){.policy = policy, .site = site};
    if (fleet_objects(session, SIGNED_CERTIFICATE, site, note_certificate, out, err) == 0 &&
        fleet_objects(session, SIGNED_SITE_CREDENTIAL, site, note_credential, out, err) == 0)
        return 0;
    free(out->rows);
    *out = (struct keepers){0};
    return -1;
}

/* ---- set ---- */

static int read_credential(const struct cred_words *cred, struct credential *clear, struct err *err)
{
    (void)text_copy(clear->account, sizeof clear->account, cred->user);
    return cred->password_file != NULL ? password_from_file(cred->password_file, clear->secret, err)
                                       : password_from_terminal(cred->user, clear->secret, err);
}

static int seal_to(struct session *session, const struct keeper *keeper, uint64_t counter,
                   const struct credential *clear, const struct key_pair *key, struct err *err)
{
    struct site_credential terms = {.counter = counter};
    struct buf bytes;
    buf_init(&bytes, OBJECT_BYTES_MAX);
    (void)text_copy(terms.site, sizeof terms.site, keeper->site);
    (void)text_copy(terms.account, sizeof terms.account, clear->account);
    memcpy(terms.seal_key, keeper->seal_key, LIMIT_KEY_BYTES);
    int result = site_credential_make(&terms, clear, key, &bytes, err);
    if (result == 0)
        result = fleet_put(session, bytes.data, bytes.size, err);
    buf_release(&bytes);
    return result == 0 ? 0 : err_wrap(err, "relay %s", keeper->relay);
}

static int seal_all(struct session *session, const struct cred_words *cred,
                    const struct keepers *keepers, const struct key_pair *key, struct err *err)
{
    uint32_t count = 0;
    struct credential *clear = credential_new();
    /* The time, so that it rises although the coordinator may have forgotten the one before. */
    uint64_t counter = (uint64_t)time(NULL) * 1000;
    if (keepers->counter_max >= counter)
        counter = keepers->counter_max + 1;
    int result = read_credential(cred, clear, err);
    for (uint32_t i = 0; result == 0 && i < keepers->count; i++) {
        if (keepers->rows[i].over) {
            complain("relay %s: its certificate is over, it was left out (pusher relay approve %s)",
                     keepers->rows[i].relay, keepers->rows[i].relay);
            continue;
        }
        result = seal_to(session, &keepers->rows[i], counter, clear, key, err);
        count += result == 0;
    }
    credential_free(clear);
    if (result == 0 && count == 0)
        result = err_set(err, ERR_INVALID, "site %s has no relay with a good certificate",
                         cred->words.words[0]);
    if (result == 0)
        say(session->common, "the account of site %s is sealed to %u relay%s", cred->words.words[0],
            count, count == 1 ? "" : "s");
    return result;
}

static int set(struct session *session, const struct cred_words *cred, struct err *err)
{
    struct policy_state policy = {0};
    struct keepers keepers = {0};
    struct key_pair key = {0};
    const char *site = cred->words.words[0];
    if (policy_state_fetch(session, &policy, err) != 0)
        return -1;
    policy_state_say(session, &policy);
    int result = fetch_keepers(session, &policy.newest, site, &keepers, err);
    if (result == 0 && keepers.count == 0)
        result = err_set(err, ERR_NOT_FOUND,
                         "site %s has no approved relay to seal it to (pusher relay list)", site);
    if (result == 0)
        result = operator_key_load(&cred->words.operator_key, &key, err);
    if (result == 0 && !policy_has_operator(&policy.newest, key.public_key))
        result = err_set(err, ERR_DENIED,
                         "your key is none of the operators' in policy %llu: no relay would obey "
                         "it",
                         (unsigned long long)policy.newest.version);
    if (result == 0)
        result = seal_all(session, cred, &keepers, &key, err);
    key_pair_release(&key);
    free(keepers.rows);
    policy_state_release(&policy);
    return result;
}

static int run_set(struct session *session, void *context)
{
    struct err err = {0};
    return set(session, context, &err) == 0 ? EXIT_ALL_SUCCEEDED : session_failed(session, &err);
}

/* ---- list ---- */

static int print_table(const struct cred_words *cred, const struct keepers *keepers)
{
    static const struct grid_column columns[] = {
        {"SITE", false}, {"RELAY", false}, {"SET", false}, {"ACCOUNT", false}};
    struct grid grid;
    grid_init(&grid, columns, sizeof columns / sizeof *columns);
    for (uint32_t i = 0; i < keepers->count; i++) {
        const struct keeper *keeper = &keepers->rows[i];
        char when[FORMAT_TIME_SIZE];
        grid_row(&grid);
        grid_text(&grid, 0, keeper->site);
        grid_text(&grid, 1, keeper->relay);
        grid_text(&grid, 2, keeper->counter == 0 ? "" : format_time(keeper->counter, when));
        grid_text(&grid, 3, keeper->counter == 0 ? "none" : keeper->account);
        grid_colour(&grid, 3, keeper->counter == 0 ? "33" : NULL);
    }
    (void)grid_print(&grid, stdout, terminal_width(STDOUT_FILENO),
                     colour_on(&cred->words.common, STDOUT_FILENO));
    grid_release(&grid);
    return look_written(EXIT_ALL_SUCCEEDED);
}

static int print_json(const struct keepers *keepers)
{
    struct err err = {0};
    struct relay_account *rows = mem_new(keepers->count + 1U, sizeof *rows);
    for (uint32_t i = 0; i < keepers->count; i++) {
        const struct keeper *keeper = &keepers->rows[i];
        rows[i] =
            (struct relay_account){keeper->site, keeper->relay,
                                   keeper->counter == 0 ? NULL : keeper->account, keeper->counter};
    }
    int status = look_output_written(relay_json_accounts(stdout, rows, keepers->count, &err), &err);
    free(rows);
    return status;
}

static int run_list(struct session *session, void *context)
{
    const struct cred_words *cred = context;
    struct policy_state policy = {0};
    struct keepers keepers = {0};
    struct err err = {0};
    const char *site = cred->words.word_count > 0 ? cred->words.words[0] : "";
    if (policy_state_fetch(session, &policy, &err) != 0)
        return session_failed(session, &err);
    int result = fetch_keepers(session, &policy.newest, site, &keepers, &err);
    policy_state_release(&policy);
    if (result != 0)
        return session_failed(session, &err);
    int status =
        verb_json_wanted(&cred->words) ? print_json(&keepers) : print_table(cred, &keepers);
    free(keepers.rows);
    return status;
}

/* ---- rm ---- */

static int run_rm(struct session *session, void *context)
{
    const struct cred_words *cred = context;
    struct message request = {.kind = MESSAGE_CREDENTIAL_RM};
    struct message answer;
    struct err err = {0};
    (void)text_copy(request.site_ref.site, sizeof request.site_ref.site, cred->words.words[0]);
    if (session_call(session, &request, MESSAGE_OK, &answer, &err) != 0)
        return session_failed(session, &err);
    message_release(&answer);
    say(session->common,
        "the coordinator has no account of site %s any more; relays keep theirs until their pushes "
        "are over",
        cred->words.words[0]);
    return EXIT_ALL_SUCCEEDED;
}

int command_cred(int argc, char *const *argv)
{
    static const struct option_row set_rows[] = {
        {"user", 'u', CRED_USER, "USER",
         "An administrator of the site's targets: DOMAIN\\user, user@realm, .\\user."},
        {"password-file", 0, CRED_PASSWORD_FILE, "FILE",
         "Its password is the first line of FILE, which only you may read (chmod 600). Without "
         "this you are asked."},
    };
    static const struct verb verbs[] = {
        {.name = "set",
         .usage = "pusher cred set SITE --user USER [--password-file FILE]",
         .about = "Seals the account of a site to each of its relays: nobody else can read it. "
                  "Pushes without\n--user use it.",
         .options = {set_rows, sizeof set_rows / sizeof *set_rows},
         .signs = true,
         .word_min = 1,
         .word_max = 1,
         .option = option,
         .check = check_set,
         .run = run_set},
        {.name = "list",
         .usage = "pusher cred list [SITE] [-o table|json]",
         .about = "Lists which relay has which account of its site, and which has none.",
         .json = true,
         .word_max = 1,
         .option = option,
         .check = check,
         .run = run_list},
        {.name = "rm",
         .usage = "pusher cred rm SITE",
         .about = "Removes the account of a site from the coordinator.",
         .word_min = 1,
         .word_max = 1,
         .option = option,
         .check = check,
         .run = run_rm},
    };
    struct cred_words cred = {0};
    return verbs_run("cred", verbs, sizeof verbs / sizeof *verbs, &cred.words, argc, argv);
}
