/* Package, targets, credentials, commit. */
#include "coordinator/cli/upload.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/cli/package_send.h"
#include "coordinator/cli/signing.h"

#define CREDENTIAL_BATCH_BYTES (LIMIT_MESSAGE_BYTES_MAX / 2)
#define TRIES_MAX 5       /* times the whole upload is begun */
#define RELAY_MS 30000U   /* a relay must be live by then */
#define RELAY_LOOK_MS 50U /* how often to look */

int upload_known(struct session *session, const struct push_id *push, bool *known,
                 struct push_summary *summary, struct err *err)
{
    char id[PUSH_ID_TEXT_SIZE];
    struct message request = {.kind = MESSAGE_STATUS_GET};
    struct message answer;
    struct err why = {0};
    push_id_text(push, id);
    memcpy(request.status_get.prefix, id, sizeof id);
    *known = session_call(session, &request, MESSAGE_STATUS, &answer, &why) == 0;
    if (*known) {
        *summary = answer.status.push;
        message_release(&answer);
        return 0;
    }
    if (why.code == ERR_NOT_FOUND)
        return 0;
    *err = why;
    return -1;
}

static int call_ok(struct session *session, struct message *request, bool *existing,
                   struct err *err)
{
    struct message answer;
    if (session_call(session, request, MESSAGE_OK, &answer, err) != 0)
        return -1;
    if (existing != NULL)
        *existing = answer.ok.existing;
    message_release(&answer);
    return 0;
}

static int send_package(struct session *session, const struct upload *upload, struct err *err)
{
    const struct job *job = upload->job;
    struct package_offer offer = {
        .file = upload->package, .name = job->package_name, .directory = job->directory};
    memcpy(offer.digest, job->package_digest, LIMIT_DIGEST_BYTES);
    return package_send(session, &offer, err);
}

static int send_targets(struct session *session, const struct upload *upload, struct err *err)
{
    const struct job *job = upload->job;
    for (uint32_t first = 0; first < job->target_count; first += LIMIT_ROWS_PER_MESSAGE) {
        uint32_t left = job->target_count - first;
        struct message targets = {.kind = MESSAGE_PUSH_TARGETS};
        targets.push_targets = (struct message_push_targets){
            .push = job->push,
            .first_no = first,
            .names = upload->names + first,
            .name_count = left < LIMIT_ROWS_PER_MESSAGE ? left : LIMIT_ROWS_PER_MESSAGE};
        if (call_ok(session, &targets, NULL, err) != 0)
            return -1;
    }
    return 0;
}

/* As many from `first` on as one message holds. */
static uint32_t credential_batch(const struct upload *upload, uint32_t first)
{
    size_t bytes = 0;
    uint32_t count = 0;
    while (first + count < upload->credential_count && count < LIMIT_ROWS_PER_MESSAGE) {
        bytes += upload->credentials[first + count].size + 2U * LIMIT_KEY_BYTES;
        if (count > 0 && bytes > CREDENTIAL_BATCH_BYTES)
            break;
        count++;
    }
    return count;
}

static int send_credentials(struct session *session, const struct upload *upload, struct err *err)
{
    for (uint32_t first = 0; first < upload->credential_count;) {
        struct message message = {.kind = MESSAGE_PUSH_CREDENTIALS};
        message.push_credentials =
            (struct message_push_credentials){.push = upload->job->push,
                                              .rows = upload->credentials + first,
                                              .row_count = credential_batch(upload, first)};
        if (call_ok(session, &message, NULL, err) != 0)
            return -1;
        first += message.push_credentials.row_count;
    }
    return 0;
}

static int send_commit(struct session *session, const struct upload *upload, struct err *err)
{
    const struct buf *sealed = upload->sealed_credential;
    struct message commit = {.kind = MESSAGE_PUSH_COMMIT};
    commit.push_commit =
        (struct message_push_commit){.push = upload->job->push,
                                     .signed_job = upload->signed_job->data,
                                     .signed_job_size = upload->signed_job->size,
                                     .sealed_credential = sealed == NULL ? NULL : sealed->data,
                                     .sealed_credential_size = sealed == NULL ? 0 : sealed->size,
                                     .resume = upload->resume,
                                     .retry = upload->retry,
                                     .retry_states = upload->retry_states,
                                     .retry_reason = upload->retry_reason,
                                     .fail_stop_count = upload->fail_stop_count};
    if (upload->site != NULL)
        (void)text_copy(commit.push_commit.site, sizeof commit.push_commit.site, upload->site);
    return call_ok(session, &commit, NULL, err);
}

static int try_upload(struct session *session, const struct upload *upload, struct err *err)
{
    const struct job *job = upload->job;
    bool there = upload->resume || upload->retry;
    bool existing = there;
    if (upload->package != NULL && send_package(session, upload, err) != 0)
        return -1;
    if (!there) {
        struct message begin = {.kind = MESSAGE_PUSH_BEGIN};
        begin.push_begin.push = job->push;
        begin.push_begin.target_count = job->target_count;
        if (call_ok(session, &begin, &existing, err) != 0)
            return -1;
    }
    if (!existing && send_targets(session, upload, err) != 0)
        return -1;
    if ((!existing || there) && send_credentials(session, upload, err) != 0)
        return -1;
    return send_commit(session, upload, err);
}

int upload_push(struct session *session, const struct upload *upload, struct err *err)
{
    for (int tries = 1;; tries++) {
        struct err why = {0};
        if (try_upload(session, upload, &why) == 0)
            return 0;
        /* "Begin again": a coordinator that came up anew knows nothing of a half upload. */
        bool again = why.code == ERR_NOT_FOUND || why.code == ERR_INVALID;
        if (!again || upload->resume || upload->retry || tries == TRIES_MAX) {
            *err = why;
            return -1;
        }
        if (session_wait(session, 200, err) != 0)
            return -1;
    }
}

int upload_relay_key(struct session *session, uint8_t key[LIMIT_KEY_BYTES], struct err *err)
{
    for (uint32_t waited_ms = 0; waited_ms < RELAY_MS; waited_ms += RELAY_LOOK_MS) {
        struct message request = {.kind = MESSAGE_RELAYS_GET};
        struct message answer;
        if (session_call(session, &request, MESSAGE_RELAYS, &answer, err) != 0)
            return -1;
        bool found = false;
        for (uint32_t i = 0; i < answer.relays.row_count && !found; i++) {
            found = answer.relays.rows[i].live;
            if (found)
                memcpy(key, answer.relays.rows[i].seal_key, LIMIT_KEY_BYTES);
        }
        message_release(&answer);
        if (found)
            return relay_seal_key_check(&session->paths, key, err);
        if (session_wait(session, RELAY_LOOK_MS, err) != 0)
            return -1;
    }
    return err_set(err, ERR_UNAVAILABLE, "the private relay did not come up in %u s; see %.200s",
                   RELAY_MS / 1000, session->paths.root);
}
