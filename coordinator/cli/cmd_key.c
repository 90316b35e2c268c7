/* pusher key: operators' keys, and whom the policy trusts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/signed/fingerprint.h"
#include "common/signed/objects.h"
#include "common/trust/secret.h"
#include "common/trust/wrapped.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/password.h"
#include "coordinator/cli/policy_edit.h"
#include "coordinator/cli/trust_command.h"

/* ---- new ---- */

static int make_folder_of(const char *path, struct err *err)
{
    char folder[STATE_PATH_SIZE];
    (void)text_copy(folder, sizeof folder, path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL || slash == folder)
        return 0;
    *slash = '\0';
    return folders_make(folder, err);
}

/* Typed twice: nobody sees what was typed, and nothing opens the key without it. */
static int choose_passphrase(const struct trust_call *call, const char *path, char *secret,
                             struct err *err)
{
    char shown[256];
    char prompt[320];
    if (call->operator.passphrase_file != NULL)
        return passphrase_from_file(call->operator.passphrase_file, secret, err);
    text_printable(shown, sizeof shown, path);
    (void)snprintf(prompt, sizeof prompt, "New passphrase for %s", shown);
    if (passphrase_from_terminal(prompt, secret, err) != 0)
        return -1;
    char *again = secret_new(LIMIT_SECRET_SIZE);
    int result = passphrase_from_terminal("The same again", again, err);
    if (result == 0 && strcmp(secret, again) != 0)
        result = err_set(err, ERR_INVALID, "these were two different passphrases: no key is made");
    secret_free(again);
    return result;
}

static int save_new(const struct trust_call *call, const struct key_pair *pair, const char *path,
                    struct err *err)
{
    if (call->no_passphrase)
        return key_pair_save(pair, path, err);
    char *passphrase = secret_new(LIMIT_SECRET_SIZE);
    int result = choose_passphrase(call, path, passphrase, err);
    if (result == 0)
        result = key_pair_save_wrapped(pair, path, passphrase, err);
    secret_free(passphrase);
    return result;
}

static void print_key(const char *path, const uint8_t public_key[LIMIT_KEY_BYTES],
                      const char *state)
{
    char shown[STATE_PATH_SIZE];
    char key[KEY_TEXT_SIZE];
    char fingerprint[FINGERPRINT_TEXT_SIZE];
    key_text(public_key, key);
    key_fingerprint(public_key, fingerprint);
    (void)printf("file         %s (%s)\n", text_printable(shown, sizeof shown, path), state);
    (void)printf("public key   %s\n", key);
    (void)printf("fingerprint  %s\n", fingerprint);
}

static int run_new(struct trust_call *call, struct err *err)
{
    struct key_pair pair = {0};
    char path[STATE_PATH_SIZE];
    uint8_t there[LIMIT_KEY_BYTES];
    bool wrapped = false;
    struct err missing = {0};
    if (call->no_passphrase && call->operator.passphrase_file != NULL)
        return err_set(err, ERR_INVALID,
                       "--passphrase-file and --no-passphrase exclude each other");
    if (operator_key_path(&call->operator, path, err) != 0)
        return -1;
    /* Before anybody has to type a passphrase. */
    if (key_file_look(path, KEY_OPERATOR, there, &wrapped, &missing) == 0 ||
        missing.code != ERR_NOT_FOUND)
        return err_set(err, ERR_INVALID, "%s is there already: a key is never overwritten", path);
    if (make_folder_of(path, err) != 0)
        return -1;
    key_pair_generate(&pair, KEY_OPERATOR);
    int result = save_new(call, &pair, path, err);
    if (result == 0) {
        if (call->no_passphrase)
            complain("warning: %s is not protected by a passphrase: whoever reads this file can "
                     "have anything installed on every machine",
                     path);
        print_key(path, pair.public_key,
                  call->no_passphrase ? "without a passphrase" : "with a passphrase");
    }
    key_pair_release(&pair);
    return result;
}

/* ---- show ---- */

static int run_show(struct trust_call *call, struct err *err)
{
    char path[STATE_PATH_SIZE];
    uint8_t public_key[LIMIT_KEY_BYTES];
    bool wrapped = false;
    if (operator_key_look(&call->operator, path, public_key, &wrapped, err) != 0)
        return -1;
    if (call->public_only) {
        char key[KEY_TEXT_SIZE];
        key_text(public_key, key);
        (void)printf("%s\n", key);
    } else {
        print_key(path, public_key, wrapped ? "with a passphrase" : "without a passphrase");
    }
    return 0;
}

/* ---- trust, distrust ---- */

static void say_operator(struct trust_call *call, const uint8_t key[LIMIT_KEY_BYTES],
                         const char *what)
{
    char fingerprint[FINGERPRINT_TEXT_SIZE];
    key_fingerprint(key, fingerprint);
    (void)snprintf(call->said, sizeof call->said, "operator %s %s", fingerprint, what);
}

static int change_trust(struct trust_call *call, struct policy *next, struct err *err)
{
    uint8_t key[LIMIT_KEY_BYTES];
    if (public_key_find(call->words[0], key, err) != 0 || policy_add_operator(next, key, err) != 0)
        return -1;
    if (policy_has_coordinator(next, key))
        return err_set(err, ERR_INVALID,
                       "this is the coordinator's key, and no operator's: pusher key show --public "
                       "prints one");
    say_operator(call, key, "is trusted");
    return 0;
}

/* A key of the policy: as public_key_find, or the first digits of one alone. */
static int find_operator(const struct policy *policy, const char *word,
                         uint8_t key[LIMIT_KEY_BYTES], struct err *err)
{
    size_t length = strlen(word);
    uint32_t found = 0;
    if (length < 8 || length >= KEY_TEXT_SIZE - 1 ||
        strspn(word, "0123456789abcdefABCDEF") != length)
        return public_key_find(word, key, err);
    for (uint32_t i = 0; i < policy->operator_count; i++) {
        char text[KEY_TEXT_SIZE];
        key_text(policy->operators[i], text);
        text[length] = '\0';
        if (text_equal_nocase(text, word)) {
            memcpy(key, policy->operators[i], LIMIT_KEY_BYTES);
            found++;
        }
    }
    if (found == 1)
        return 0;
    return err_set(err, ERR_INVALID,
                   found == 0 ? "no operator's key begins with %s (pusher policy show lists them)"
                              : "several operators' keys begin with %s: say more of it",
                   word);
}

static int change_distrust(struct trust_call *call, struct policy *next, struct err *err)
{
    char path[STATE_PATH_SIZE];
    uint8_t key[LIMIT_KEY_BYTES];
    uint8_t own[LIMIT_KEY_BYTES];
    bool wrapped = false;
    if (find_operator(next, call->words[0], key, err) != 0 ||
        policy_remove_operator(next, key, err) != 0 ||
        operator_key_look(&call->operator, path, own, &wrapped, err) != 0)
        return -1;
    if (key_equal(own, key) && !call->force)
        return err_set(err, ERR_INVALID,
                       "this is your own key: you could sign nothing any more; --force does it, or "
                       "another operator does");
    say_operator(call, key, "is not trusted any more");
    return 0;
}

int command_key(int argc, char *const *argv)
{
    static const struct trust_command commands[] = {
        {.name = "new",
         .words = "[--key FILE]",
         .about =
             "Makes an operator's key, whose file a passphrase opens. Nobody trusts it yet: an "
             "operator\ndoes so with pusher key trust, or it makes the first policy (pusher "
             "policy init).",
         .options = TRUST_KEY | TRUST_NO_PASSPHRASE,
         .local = run_new},
        {.name = "show",
         .words = "[--public]",
         .about = "Prints the public half of your key, and its fingerprint.",
         .options = TRUST_KEY | TRUST_PUBLIC,
         .local = run_show},
        {.name = "trust",
         .words = "FILE",
         .about = "Makes a key an operator's: it may sign jobs, certificates, credentials and "
                  "policies.\nFILE holds what pusher key show --public printed there. Compare the "
                  "fingerprint with its owner.",
         .words_min = 1,
         .words_max = 1,
         .options = TRUST_KEY,
         .change = change_trust},
        {.name = "distrust",
         .words = "KEY",
         .about = "Takes a key out of the policy: what it signs from now on counts nowhere. KEY is "
                  "a file, or the\nfirst 8 or more digits of a key that pusher policy show lists.",
         .words_min = 1,
         .words_max = 1,
         .options = TRUST_KEY | TRUST_FORCE,
         .change = change_distrust},
    };
    static const struct trust_group group = {
        "key", "Operators' keys: jobs and everything else that gives power is signed with one.",
        commands, sizeof commands / sizeof *commands};
    return trust_group_run(&group, argc, argv);
}
