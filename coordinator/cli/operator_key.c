/* Finding and opening the operator's key. */
#include "coordinator/cli/operator_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/trust/secret.h"
#include "common/trust/wrapped.h"
#include "coordinator/cli/password.h"

static const struct option_row rows[] = {
    {"key", 0, OPERATOR_KEY_FILE, "FILE",
     "The operator's key (pusher key new makes one); else PUSHER_KEY, else "
     "~/.config/pusher/operator.key."},
    {"passphrase-file", 0, OPERATOR_PASSPHRASE_FILE, "FILE",
     "Its passphrase is the first line of FILE, which only you may read (chmod 600). Without this "
     "you are asked."},
};

const struct option_table operator_table = {rows, sizeof rows / sizeof *rows};

int operator_option(struct operator_options *options, int key, const char *value)
{
    if (key == OPERATOR_KEY_FILE)
        options->key_file = value;
    else if (key == OPERATOR_PASSPHRASE_FILE)
        options->passphrase_file = value;
    else
        return 1;
    return 0;
}

int operator_key_path(const struct operator_options *options, char path[STATE_PATH_SIZE],
                      struct err *err)
{
    const char *given = options->key_file != NULL ? options->key_file : getenv("PUSHER_KEY");
    char home[STATE_ROOT_SIZE];
    if (given != NULL && *given != '\0')
        return text_copy(path, STATE_PATH_SIZE, given)
                   ? 0
                   : err_set(err, ERR_INVALID, "the path of the operator's key is too long");
    if (config_home_find(home, err) != 0)
        return -1;
    (void)snprintf(path, STATE_PATH_SIZE, "%s/operator.key", home);
    return 0;
}

static int read_passphrase(const struct operator_options *options, const char *path, char *secret,
                           struct err *err)
{
    char shown[256];
    char prompt[300];
    if (options->passphrase_file != NULL)
        return passphrase_from_file(options->passphrase_file, secret, err);
    (void)snprintf(prompt, sizeof prompt, "Passphrase of %s",
                   text_printable(shown, sizeof shown, path));
    return passphrase_from_terminal(prompt, secret, err);
}

int operator_key_look(const struct operator_options *options, char path[STATE_PATH_SIZE],
                      uint8_t public_key[LIMIT_KEY_BYTES], bool *wrapped, struct err *err)
{
    struct err why = {0};
    if (process_harden(err) != 0 || operator_key_path(options, path, err) != 0)
        return -1;
    if (key_file_look(path, KEY_OPERATOR, public_key, wrapped, &why) == 0)
        return 0;
    if (why.code == ERR_NOT_FOUND)
        return err_set(err, ERR_INVALID, "there is no operator's key %s: pusher key new makes one",
                       path);
    if (err != NULL)
        *err = why;
    return -1;
}

int operator_key_load(const struct operator_options *options, struct key_pair *out, struct err *err)
{
    char path[STATE_PATH_SIZE];
    uint8_t public_key[LIMIT_KEY_BYTES];
    bool wrapped = false;
    memset(out, 0, sizeof *out);
    if (operator_key_look(options, path, public_key, &wrapped, err) != 0)
        return -1;
    if (!wrapped)
        return key_pair_load(out, KEY_OPERATOR, path, err);
    char *passphrase = secret_new(LIMIT_SECRET_SIZE);
    int result = read_passphrase(options, path, passphrase, err);
    if (result == 0)
        result = key_pair_load_wrapped(out, KEY_OPERATOR, path, passphrase, err);
    secret_free(passphrase);
    return result;
}
