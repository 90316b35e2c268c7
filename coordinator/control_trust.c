/* Requests of the CLI about relays, objects and credentials. */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/coordinator.h"

/* Objects in one answer: the largest one more must fit, too. */
#define OBJECTS_BYTES_MAX (LIMIT_MESSAGE_BYTES_MAX - 4096U)

static void answer_result(struct coordinator *c, const struct link_peer *peer, uint32_t request,
                          int result, bool existing, const struct err *err)
{
    if (result == 0)
        control_ok(c, peer, request, existing);
    else
        control_fail(c, peer, request, err);
}

void control_token_put(struct coordinator *c, const struct link_peer *peer,
                       const struct message *message)
{
    const struct message_token_put *said = &message->token_put;
    struct message answer = {.kind = MESSAGE_TOKEN, .request = message->request};
    struct err err = {0};
    memcpy(answer.token.coordinator_key, c->curve.public_key, LIMIT_KEY_BYTES);
    if (said->valid_s == 0 && said->site[0] == '\0') { /* only asks for the key */
        shell_send(c, c->control_link, peer, &answer);
        return;
    }
    if (enrol_token_put(c, said, &err) != 0) {
        log_warning("token of uid %u refused: %s", (unsigned)peer->uid, err.text);
        control_fail(c, peer, message->request, &err);
        return;
    }
    log_info("token for a relay of site %s, good for %u s, by uid %u", said->site, said->valid_s,
             (unsigned)peer->uid);
    shell_send(c, c->control_link, peer, &answer);
}

/* ---- standing ---- */

/* A revoked relay never comes back: it may be the thief who asks. It enrols anew, with new keys. */
static int check_standing(const struct store_relay *stored, enum relay_standing wanted,
                          struct err *err)
{
    const char *word = relay_standing_word(stored->standing);
    switch (wanted) {
    case RELAY_REVOKED:
        return 0;
    case RELAY_ACTIVE:
    case RELAY_DRAINING:
        if (stored->standing == RELAY_ACTIVE || stored->standing == RELAY_DRAINING)
            return 0;
        if (stored->standing == RELAY_PENDING)
            return err_set(err, ERR_INVALID, "relay %s is %s: pusher relay approve %s",
                           stored->name, word, stored->name);
        return err_set(err, ERR_INVALID, "relay %s is %s: empty its state folder and enrol it anew",
                       stored->name, word);
    case RELAY_PENDING:
    case RELAY_CLONED:
    case RELAY_STANDING_COUNT:
        break;
    }
    return err_set(err, ERR_INVALID, "nobody makes a relay %s", relay_standing_word(wanted));
}

void control_relay_set(struct coordinator *c, const struct link_peer *peer,
                       const struct message *message)
{
    const struct message_relay_set *said = &message->relay_set;
    const struct relay_slot *slot = relays_find(c, said->curve_key);
    struct err err = {0};
    bool existing = false;
    int result = -1;
    if (!trust_has_sites(c))
        (void)err_set(&err, ERR_DENIED, "a private coordinator keeps its one relay");
    else if (slot == NULL)
        (void)err_set(&err, ERR_NOT_FOUND, "no relay has this key");
    else
        result = check_standing(&slot->stored, said->standing, &err);
    if (result == 0) {
        existing = slot->stored.standing == said->standing;
        log_info("relay %s: uid %u wants it %s", slot->stored.name, (unsigned)peer->uid,
                 relay_standing_word(said->standing));
        if (!existing)
            result = relays_set_standing(c, slot->stored.relay, said->standing, &err);
    }
    answer_result(c, peer, message->request, result, existing, &err);
}

/* ---- objects ---- */

void control_object(struct coordinator *c, const struct link_peer *peer,
                    const struct message *message)
{
    struct err err = {0};
    bool existing = false;
    c->commit_due = true;
    int result = trust_object(c, &message->object, &existing, &err);
    if (result != 0)
        log_warning("object of uid %u refused: %s", (unsigned)peer->uid, err.text);
    else
        log_info("object of uid %u %s", (unsigned)peer->uid, existing ? "known" : "taken");
    answer_result(c, peer, message->request, result, existing, &err);
}

/* One object of a number: 1 appended, 0 there is none, -1. */
static int read_object(struct coordinator *c, const struct message_objects_get *said,
                       uint64_t number, struct buf *out, struct err *err)
{
    struct err missing = {0};
    int result = 0;
    if (said->kind == SIGNED_POLICY) {
        result = store_policy_get(c->store, number, out, &missing);
    } else {
        const struct store_relay *stored = &c->relays[number].stored;
        if ((said->site[0] != '\0' && strcmp(said->site, stored->site_name) != 0) ||
            stored->standing == RELAY_REVOKED || stored->standing == RELAY_CLONED)
            return 0;
        result = said->kind == SIGNED_CERTIFICATE
                     ? store_certificate_get(c->store, stored->relay, out, &missing)
                     : store_site_credential_get(c->store, stored->site, stored->relay, NULL, out,
                                                 &missing);
    }
    if (result == 0)
        return 1;
    if (missing.code == ERR_NOT_FOUND)
        return 0;
    *err = missing;
    return -1;
}

/* Policies by version, the others by their relay's number. */
static int fill_objects(struct coordinator *c, const struct message_objects_get *said,
                        struct message_objects *objects, struct err *err)
{
    bool policies = said->kind == SIGNED_POLICY;
    uint64_t end = policies ? c->trust.policy_version + 1 : c->relay_count;
    uint64_t number = policies && said->first == 0 ? 1 : said->first;
    size_t bytes = 0;
    for (; number < end && objects->row_count < LIMIT_ROWS_PER_MESSAGE; number++) {
        struct buf object;
        buf_init(&object, TRUST_OBJECT_MAX);
        int got = read_object(c, said, number, &object, err);
        if (got != 1) {
            buf_release(&object);
            if (got < 0)
                return -1;
            continue;
        }
        if (bytes + object.size + 16 > OBJECTS_BYTES_MAX) {
            buf_release(&object);
            break;
        }
        bytes += object.size + 16; /* and what framing takes */
        objects->rows[objects->row_count++] = (struct message_object){object.data, object.size};
    }
    objects->next = number < end ? number : 0;
    return 0;
}

void control_objects_get(struct coordinator *c, const struct link_peer *peer,
                         const struct message *message)
{
    const struct message_objects_get *said = &message->objects_get;
    struct message answer = {.kind = MESSAGE_OBJECTS, .request = message->request};
    struct err err = {0};
    int result = 0;
    if (said->kind != SIGNED_POLICY && said->kind != SIGNED_CERTIFICATE &&
        said->kind != SIGNED_SITE_CREDENTIAL)
        result = err_set(&err, ERR_INVALID, "objects of kind %u are not kept", said->kind);
    answer.objects.rows = mem_new(LIMIT_ROWS_PER_MESSAGE, sizeof *answer.objects.rows);
    if (result == 0)
        result = fill_objects(c, said, &answer.objects, &err);
    if (result == 0)
        shell_send(c, c->control_link, peer, &answer);
    else
        control_fail(c, peer, message->request, &err);
    message_release(&answer);
}

/* ---- credentials ---- */

void control_credential_rm(struct coordinator *c, const struct link_peer *peer,
                           const struct message *message)
{
    const char *site = message->site_ref.site;
    struct err err = {0};
    uint16_t number = 0;
    uint32_t count = 0;
    c->commit_due = true;
    int result = store_site_find(c->store, site, &number, &err);
    if (result == 0)
        result = store_site_credential_drop(c->store, number, &count, &err);
    if (result == 0 && count == 0)
        result = err_set(&err, ERR_NOT_FOUND, "site %s has no credential", site);
    if (result == 0) {
        log_info("site %s: credential of %u relays removed by uid %u", site, count,
                 (unsigned)peer->uid);
        for (uint16_t i = 0; i < c->relay_count; i++)
            if (c->relays[i].stored.site == number)
                sealed_changed(c, i);
    }
    answer_result(c, peer, message->request, result, false, &err);
}

void control_push_credentials(struct coordinator *c, const struct link_peer *peer,
                              const struct message *message)
{
    struct err err = {0};
    int result = sealed_take(c, &message->push_credentials, &err);
    answer_result(c, peer, message->request, result, false, &err);
}
