/* Signing, sealing, and the files beside it. */
#include "coordinator/cli/signing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/trust/merkle.h"
#include "common/trust/seal.h"
#include "common/trust/signed.h"
#include "common/wire/wire.h"

#define JOB_BYTES_MAX SIGNED_PAYLOAD_MAX
#define CREDENTIAL_BYTES_MAX 4096U /* account and secret at their longest */

int job_set_targets(struct job *job, char *const *names, uint32_t count, struct err *err)
{
    struct merkle_roots roots;
    merkle_roots_init(&roots);
    for (uint32_t i = 0; i < count; i++)
        if (merkle_roots_add(&roots, names[i], err) != 0)
            return -1;
    merkle_roots_get(&roots, job->targets_root);
    job->target_count = count;
    return 0;
}

int job_sign(const struct job *job, const struct key_pair *operator_key, struct buf *out,
             struct err *err)
{
    struct buf bytes;
    buf_init(&bytes, JOB_BYTES_MAX);
    int result = wire_encode_job(job, &bytes, err);
    if (result == 0)
        result = signed_make(operator_key, SIGNED_JOB, bytes.data, bytes.size, out, err);
    buf_release(&bytes);
    return result;
}

int credential_seal(const struct credential *credential, const struct job *job,
                    const struct key_pair *operator_key, const uint8_t relay_key[LIMIT_KEY_BYTES],
                    struct buf *out, struct err *err)
{
    struct seal_context context = {.push = job->push, .counter = job->counter};
    struct buf clear;
    buf_init(&clear, CREDENTIAL_BYTES_MAX);
    (void)buf_reserve(&clear, CREDENTIAL_BYTES_MAX); /* growing would leave copies behind */
    buf_reset(&clear);
    int result = wire_encode_credential(credential, &clear, err);
    if (result == 0)
        result = seal_make(operator_key, relay_key, &context, clear.data, clear.size, out, err);
    buf_wipe(&clear);
    buf_release(&clear);
    return result;
}

static void push_file(char path[STATE_PATH_SIZE], const char *folder, const struct push_id *push,
                      const char *ending)
{
    char id[PUSH_ID_TEXT_SIZE];
    push_id_text(push, id);
    (void)snprintf(path, STATE_PATH_SIZE, "%.*s/%s.%s", (int)STATE_ROOT_SIZE + 64, folder, id,
                   ending);
}

int operator_key_publish(const struct state_paths *paths, const struct push_id *push,
                         const struct key_pair *operator_key, struct err *err)
{
    char path[STATE_PATH_SIZE];
    char key[KEY_TEXT_SIZE];
    char text[KEY_TEXT_SIZE + 1];
    push_file(path, paths->operators, push, "pub");
    key_text(operator_key->public_key, key);
    (void)snprintf(text, sizeof text, "%s\n", key);
    return file_write(path, text, strlen(text), err);
}

int relay_seal_key_check(const struct state_paths *paths, const uint8_t said[LIMIT_KEY_BYTES],
                         struct err *err)
{
    char path[STATE_PATH_SIZE];
    char text[KEY_TEXT_SIZE + 1];
    uint8_t own[LIMIT_KEY_BYTES];
    (void)snprintf(path, sizeof path, "%.*s/seal.pub", (int)STATE_ROOT_SIZE + 64, paths->relay);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return err_set_errno(err, errno, "cannot read %s", path);
    bool read = fgets(text, sizeof text, file) != NULL;
    (void)fclose(file);
    if (read)
        text[strcspn(text, "\n")] = '\0';
    if (!read || key_from_text(text, own, NULL) != 0)
        return err_set(err, ERR_INVALID, "%s holds no public key", path);
    if (!key_equal(own, said))
        return err_set(err, ERR_DENIED,
                       "the coordinator names another key to seal the password to than %s", path);
    return 0;
}

int job_keep(const struct state_paths *paths, const struct job *job, struct err *err)
{
    char path[STATE_PATH_SIZE];
    struct buf bytes;
    push_file(path, paths->jobs, &job->push, "job");
    buf_init(&bytes, JOB_BYTES_MAX);
    int result = wire_encode_job(job, &bytes, err);
    if (result == 0)
        result = file_write(path, bytes.data, bytes.size, err);
    buf_release(&bytes);
    return result;
}

int job_recall(const struct state_paths *paths, const struct push_id *push, struct job *job,
               struct err *err)
{
    static const char missing[] = "this push can't be resumed: it was not made from this account";
    char path[STATE_PATH_SIZE];
    uint8_t bytes[JOB_BYTES_MAX];
    push_file(path, paths->jobs, push, "job");
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "%s", missing)
                               : err_set_errno(err, errno, "cannot read %s", path);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    if (wire_decode_job(bytes, size, job, err) != 0)
        return err_wrap(err, "%s", path);
    return push_id_equal(&job->push, push)
               ? 0
               : err_set(err, ERR_INVALID, "%s: is of another push", path);
}

void job_forget(const struct state_paths *paths, const struct push_id *push)
{
    char path[STATE_PATH_SIZE];
    push_file(path, paths->jobs, push, "job");
    (void)unlink(path);
}
