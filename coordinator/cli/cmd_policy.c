/* pusher policy and pusher never-touch: the signed rules that relays keep to. */
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "common/report/format.h"
#include "common/report/policy_json.h"
#include "common/signed/fingerprint.h"
#include "common/signed/objects.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/policy_edit.h"
#include "coordinator/cli/trust_command.h"

#define WORDS_MAX 100000U

/* ---- policy init ---- */

/* What the coordinator says its key is. */
static int ask_coordinator_key(struct trust_call *call, uint8_t key[LIMIT_KEY_BYTES],
                               struct err *err)
{
    struct message request = {.kind = MESSAGE_TOKEN_PUT}; /* valid for 0 s: only asks */
    struct message answer;
    if (session_call(&call->session, &request, MESSAGE_TOKEN, &answer, err) != 0)
        return err_wrap(err, "cannot ask the coordinator for its key");
    memcpy(key, answer.token.coordinator_key, LIMIT_KEY_BYTES);
    message_release(&answer);
    return 0;
}

static int change_init(struct trust_call *call, struct policy *next, struct err *err)
{
    char path[STATE_PATH_SIZE];
    uint8_t own[LIMIT_KEY_BYTES];
    uint8_t key[LIMIT_KEY_BYTES];
    bool wrapped = false;
    char own_print[FINGERPRINT_TEXT_SIZE];
    char key_print[FINGERPRINT_TEXT_SIZE];
    if (operator_key_look(&call->operator, path, own, &wrapped, err) != 0)
        return -1;
    int result = call->coordinator_key != NULL ? public_key_find(call->coordinator_key, key, err)
                                               : ask_coordinator_key(call, key, err);
    if (result != 0 || policy_add_operator(next, own, err) != 0 ||
        policy_add_coordinator(next, key, err) != 0)
        return -1;
    key_fingerprint(own, own_print);
    key_fingerprint(key, key_print);
    if (call->coordinator_key == NULL)
        say(&call->common,
            "the coordinator at %s says that its key is %s: relays will trust this one",
            call->session.endpoint, key_print);
    (void)snprintf(call->said, sizeof call->said, "operator %s, coordinator %s", own_print,
                   key_print);
    return 0;
}

/* ---- policy show ---- */

static void print_keys(const char *what, const uint8_t (*keys)[LIMIT_KEY_BYTES], uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char text[KEY_TEXT_SIZE];
        char fingerprint[FINGERPRINT_TEXT_SIZE];
        key_text(keys[i], text);
        key_fingerprint(keys[i], fingerprint);
        (void)printf("%-12s %s\n%-12s %s\n", i == 0 ? what : "", fingerprint, "", text);
    }
}

static int look_show(struct trust_call *call, struct err *err)
{
    const struct policy *policy = &call->state.newest;
    char made[FORMAT_TIME_SIZE];
    char fingerprint[FINGERPRINT_TEXT_SIZE];
    uint32_t never = policy->never_name_count + policy->never_subnet_count;
    if (strcmp(call->common.format, "json") == 0)
        return policy_json(stdout, policy, call->state.signer, err);
    key_fingerprint(call->state.signer, fingerprint);
    uint64_t made_ms = policy->made_unix_s > 0 ? (uint64_t)policy->made_unix_s * 1000 : 0;
    (void)printf("%-12s %llu, of %s\n%-12s %s\n", "policy", (unsigned long long)policy->version,
                 format_time(made_ms, made), "signed by", fingerprint);
    print_keys("operators", policy->operators, policy->operator_count);
    print_keys("coordinator", policy->coordinators, policy->coordinator_count);
    (void)printf("%-12s %u %s\n", "never touch", never, never == 1 ? "entry" : "entries");
    (void)printf("%-12s %u %s\n", "revoked", policy->revoked_count,
                 policy->revoked_count == 1 ? "relay" : "relays");
    return 0;
}

/* ---- policy coordinator-key ---- */

static void say_coordinator(struct trust_call *call, const uint8_t key[LIMIT_KEY_BYTES],
                            const char *what)
{
    char fingerprint[FINGERPRINT_TEXT_SIZE];
    key_fingerprint(key, fingerprint);
    (void)snprintf(call->said, sizeof call->said, "coordinator's key %s %s", fingerprint, what);
}

static int change_key_add(struct trust_call *call, struct policy *next, struct err *err)
{
    uint8_t key[LIMIT_KEY_BYTES];
    if (public_key_find(call->words[0], key, err) != 0 ||
        policy_add_coordinator(next, key, err) != 0)
        return -1;
    say_coordinator(call, key, "is trusted");
    return 0;
}

static int change_key_rm(struct trust_call *call, struct policy *next, struct err *err)
{
    uint8_t key[LIMIT_KEY_BYTES];
    if (public_key_find(call->words[0], key, err) != 0 ||
        policy_remove_coordinator(next, key, err) != 0)
        return -1;
    say_coordinator(call, key, "is not trusted any more");
    return 0;
}

int command_policy(int argc, char *const *argv)
{
    static const struct trust_command commands[] = {
        {.name = "init",
         .words = "[--coordinator-key FILE]",
         .about = "Makes the first policy: your key is the operator's, and relays will trust the "
                  "coordinator's key.\nOnce, when a coordinator is set up.",
         .options = TRUST_KEY | TRUST_COORDINATOR_KEY,
         .change = change_init,
         .first = true},
        {.name = "show",
         .words = "",
         .about = "Shows the newest policy: who may sign, which keys the coordinator may have.\n"
                  "This account remembers it: an older or another one is refused from then on.",
         .options = TRUST_JSON,
         .look = look_show},
        {.name = "coordinator-key add",
         .words = "FILE",
         .about = "Lets the coordinator have another key as well: the first step of changing it.",
         .words_min = 1,
         .words_max = 1,
         .options = TRUST_KEY,
         .change = change_key_add},
        {.name = "coordinator-key rm",
         .words = "KEY",
         .about = "Takes a key of the coordinator out of the policy: the last step of changing it.",
         .words_min = 1,
         .words_max = 1,
         .options = TRUST_KEY,
         .change = change_key_rm},
    };
    static const struct trust_group group = {
        "policy", "The signed policy: what relays go by, and nobody but an operator changes.",
        commands, sizeof commands / sizeof *commands};
    return trust_group_run(&group, argc, argv);
}

/* ---- never-touch ---- */

static int edit_never(struct trust_call *call, struct policy *next,
                      int (*edit)(struct policy *policy, const char *text, bool *changed,
                                  struct err *err),
                      const char *what, struct err *err)
{
    uint32_t count = 0;
    for (size_t i = 0; i < call->word_count; i++) {
        bool changed = false;
        if (edit(next, call->words[i], &changed, err) != 0)
            return -1;
        count += changed;
    }
    if (count > 0)
        (void)snprintf(call->said, sizeof call->said, "%u never-touch %s %s", count,
                       count == 1 ? "entry" : "entries", what);
    return 0;
}

static int change_never_add(struct trust_call *call, struct policy *next, struct err *err)
{
    return edit_never(call, next, policy_never_add, "added", err);
}

static int change_never_rm(struct trust_call *call, struct policy *next, struct err *err)
{
    return edit_never(call, next, policy_never_remove, "removed", err);
}

static int look_never(struct trust_call *call, struct err *err)
{
    const struct policy *policy = &call->state.newest;
    if (strcmp(call->common.format, "json") == 0)
        return policy_json(stdout, policy, call->state.signer, err);
    for (uint32_t i = 0; i < policy->never_name_count; i++) {
        char shown[4 * LIMIT_TARGET_NAME_SIZE];
        (void)printf("%s\n", text_printable(shown, sizeof shown, policy->never_names[i]));
    }
    for (uint32_t i = 0; i < policy->never_subnet_count; i++) {
        char text[SUBNET_TEXT_SIZE];
        subnet_text(&policy->never_subnets[i], text);
        (void)printf("%s\n", text);
    }
    return 0;
}

int command_never_touch(int argc, char *const *argv)
{
    static const struct trust_command commands[] = {
        {.name = "add",
         .words = "NAME-OR-SUBNET...",
         .about =
             "Adds machines that no relay ever connects to, whatever a job says: names (with * "
             "and ?, without\ncase, whole names or first labels) and subnets or addresses.",
         .words_min = 1,
         .words_max = WORDS_MAX,
         .options = TRUST_KEY,
         .change = change_never_add},
        {.name = "rm",
         .words = "NAME-OR-SUBNET...",
         .about = "Removes entries from the list, as pusher never-touch list prints them.",
         .words_min = 1,
         .words_max = WORDS_MAX,
         .options = TRUST_KEY,
         .change = change_never_rm},
        {.name = "list",
         .words = "",
         .about = "Prints the list, an entry a line. -o json: the policy.",
         .options = TRUST_JSON,
         .look = look_never},
    };
    static const struct trust_group group = {
        "never-touch", "The list of machines that nobody ever touches. It is part of the policy.",
        commands, sizeof commands / sizeof *commands};
    return trust_group_run(&group, argc, argv);
}
