/* Sealed credentials: ciphertext, each for one relay, on its way from an operator's tool. */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/trust/signed.h"
#include "coordinator/coordinator.h"

/* ---- uploads ---- */

static struct sealed_upload *find(struct coordinator *c, const struct push_id *push)
{
    for (size_t i = 0; i < TRUST_UPLOADS_MAX; i++)
        if (c->trust.uploads[i].used && push_id_equal(&c->trust.uploads[i].push, push))
            return &c->trust.uploads[i];
    return NULL;
}

static void forget(struct sealed_upload *upload)
{
    for (uint32_t i = 0; i < upload->row_count; i++)
        free(upload->rows[i].bytes);
    free(upload->rows);
    *upload = (struct sealed_upload){0};
}

/* A free place, else that of the upload that nobody touched for the longest time: its commit will
 * say what is missing. */
static struct sealed_upload *begin(struct coordinator *c, const struct push_id *push)
{
    struct sealed_upload *place = &c->trust.uploads[0];
    for (size_t i = 0; i < TRUST_UPLOADS_MAX && place->used; i++) {
        struct sealed_upload *upload = &c->trust.uploads[i];
        if (!upload->used || upload->touched_ms < place->touched_ms)
            place = upload;
    }
    forget(place);
    place->used = true;
    place->push = *push;
    return place;
}

void sealed_sweep(struct coordinator *c)
{
    uint64_t now_ms = clock_boottime_ms();
    for (size_t i = 0; i < TRUST_UPLOADS_MAX; i++) {
        struct sealed_upload *upload = &c->trust.uploads[i];
        if (upload->used && now_ms - upload->touched_ms > COORDINATOR_UPLOAD_IDLE_MS)
            forget(upload);
    }
}

void sealed_release(struct coordinator *c)
{
    for (size_t i = 0; i < TRUST_UPLOADS_MAX; i++)
        forget(&c->trust.uploads[i]);
}

static struct sealed_row *row_of(const struct sealed_upload *upload, uint16_t relay)
{
    for (uint32_t i = 0; upload != NULL && i < upload->row_count; i++)
        if (upload->rows[i].relay == relay)
            return &upload->rows[i];
    return NULL;
}

/* Only the relay can open it; that it is what it says it is can be seen here. */
static int take_row(struct coordinator *c, struct sealed_upload *upload,
                    const struct push_credential *said, struct err *err)
{
    struct signed_view view;
    const struct relay_slot *slot = relays_of_seal_key(c, said->seal_key);
    if (slot == NULL)
        return err_set(err, ERR_NOT_FOUND, "no relay has the key that a credential is sealed to");
    if (signed_open(said->bytes, said->size, SIGNED_CREDENTIAL, NULL, &view, err) != 0)
        return err_wrap(err, "credential for relay %s", slot->stored.name);
    struct sealed_row *row = row_of(upload, slot->stored.relay);
    if (row == NULL) {
        upload->rows = mem_resize(upload->rows, upload->row_count + 1U, sizeof *upload->rows);
        row = &upload->rows[upload->row_count++];
        *row = (struct sealed_row){.relay = slot->stored.relay};
    }
    free(row->bytes);
    row->bytes = mem_new(said->size, 1);
    memcpy(row->bytes, said->bytes, said->size);
    row->size = said->size;
    return 0;
}

int sealed_take(struct coordinator *c, const struct message_push_credentials *said, struct err *err)
{
    if (!trust_has_sites(c))
        return err_set(err, ERR_DENIED, "a private coordinator gets the account with the push");
    struct sealed_upload *upload = find(c, &said->push);
    if (upload == NULL)
        upload = begin(c, &said->push);
    upload->touched_ms = clock_boottime_ms();
    for (uint32_t i = 0; i < said->row_count; i++)
        if (take_row(c, upload, &said->rows[i], err) != 0)
            return -1;
    return 0;
}

/* ---- at the commit ---- */

static bool has_credential(struct coordinator *c, const struct job *job,
                           const struct relay_slot *slot)
{
    const struct store_relay *stored = &slot->stored;
    if (!job->site_credentials)
        return row_of(find(c, &job->push), stored->relay) != NULL;
    return store_site_credential_get(c->store, stored->site, stored->relay, NULL, NULL, NULL) == 0;
}

int sealed_check(struct coordinator *c, const struct job *job, const char *site, struct err *err)
{
    const struct relay_slot *lacking = NULL;
    if (!trust_has_sites(c))
        return 0;
    for (uint16_t i = 0; i < c->relay_count; i++) {
        const struct relay_slot *slot = &c->relays[i];
        if (slot->stored.standing != RELAY_ACTIVE ||
            (site[0] != '\0' && strcmp(site, slot->stored.site_name) != 0))
            continue;
        if (has_credential(c, job, slot))
            return 0;
        lacking = slot;
    }
    if (lacking == NULL)
        return err_set(err, ERR_NOT_FOUND, "%s%s has no active relay",
                       site[0] != '\0' ? "site " : "no site", site);
    if (job->site_credentials)
        return err_set(err, ERR_NOT_FOUND,
                       "relay %s lacks the account of site %s, and no other has one: pusher cred "
                       "set %s",
                       lacking->stored.name, lacking->stored.site_name, lacking->stored.site_name);
    return err_set(err, ERR_NOT_FOUND, "the push's account was sealed to none of the %s relays",
                   site[0] != '\0' ? "site's" : "active");
}

int sealed_commit(struct coordinator *c, const struct push_id *push, uint64_t key, struct err *err)
{
    struct sealed_upload *upload = find(c, push);
    if (!trust_has_sites(c))
        return 0;
    if (store_push_credential_drop(c->store, key, err) != 0)
        return -1;
    for (uint32_t i = 0; upload != NULL && i < upload->row_count; i++)
        if (store_push_credential_put(c->store, key, upload->rows[i].relay, upload->rows[i].bytes,
                                      upload->rows[i].size, err) != 0)
            return -1;
    if (upload != NULL)
        forget(upload);
    return 0;
}

/* ---- who has what ---- */

struct having {
    bool *has; /* by relay */
    uint16_t count;
};

static void note(void *context, uint16_t relay)
{
    const struct having *having = context;
    if (relay < having->count)
        having->has[relay] = true;
}

int sealed_able(struct coordinator *c, uint64_t key, const struct job *job, uint16_t **relays,
                size_t *count, struct err *err)
{
    *relays = NULL;
    *count = 0;
    if (!trust_has_sites(c))
        return 0;
    struct having having = {mem_new(c->relay_count + 1U, sizeof *having.has), c->relay_count};
    int result =
        store_credential_each(c->store, job->site_credentials ? 0 : key, note, &having, err);
    if (result == 0)
        *relays = mem_new(c->relay_count + 1U, sizeof **relays);
    for (uint16_t i = 0; result == 0 && i < c->relay_count; i++)
        if (having.has[i])
            (*relays)[(*count)++] = i;
    free(having.has);
    return result;
}

int sealed_for(struct coordinator *c, uint64_t key, const struct job *job, uint16_t relay,
               struct buf *out, struct err *err)
{
    if (!trust_has_sites(c))
        return store_push_blobs(c->store, key, NULL, out, err);
    if (job->site_credentials)
        return store_site_credential_get(c->store, c->relays[relay].stored.site, relay, NULL, out,
                                         err);
    return store_push_credential_get(c->store, key, relay, out, err);
}

/* Whether the relay may work on the push. */
static int tell_core(struct coordinator *c, uint64_t key, const struct job *job, uint16_t relay,
                     struct err *err)
{
    struct err missing = {0};
    struct buf credential;
    buf_init(&credential, TRUST_OBJECT_MAX);
    bool can = sealed_for(c, key, job, relay, &credential, &missing) == 0;
    buf_release(&credential);
    if (!can && missing.code != ERR_NOT_FOUND) {
        *err = missing;
        return -1;
    }
    struct dispatch_event event = {.kind = DISPATCH_RELAY_CAN, .push_key = key};
    event.relay_can = (struct dispatch_relay_can){relay, can};
    shell_step(c, &event);
    return 0;
}

int sealed_renewed(struct coordinator *c, uint64_t key, const struct job *job, struct err *err)
{
    for (uint16_t i = 0; trust_has_sites(c) && i < c->relay_count; i++)
        if (tell_core(c, key, job, i, err) != 0)
            return -1;
    return 0;
}

void sealed_changed(struct coordinator *c, uint16_t relay)
{
    struct err err = {0};
    uint32_t count = 0;
    uint64_t *keys = shell_push_keys(c, STORE_PUSHES_OPEN, UINT32_MAX, &count, &err);
    int result = keys != NULL ? 0 : -1;
    for (uint32_t i = 0; result == 0 && i < count; i++) {
        struct job job = {0};
        result = shell_stored_job(c, keys[i], &job, &err);
        if (result == 0 && job.site_credentials)
            result = tell_core(c, keys[i], &job, relay, &err);
    }
    free(keys);
    if (result != 0) {
        log_error("%s", err.text);
        shell_store_failed(c, &err);
    }
}
