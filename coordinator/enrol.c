/* Tokens, and the one thing that they are good for. */
#include <string.h>

#include "common/base/log.h"
#include "common/base/text.h"
#include "coordinator/coordinator.h"

/* ---- tokens ---- */

static struct token_slot *find(struct coordinator *c, const uint8_t *key)
{
    for (uint32_t i = 0; i < c->trust.token_count; i++)
        if (memcmp(c->trust.tokens[i].token.key, key, LIMIT_KEY_BYTES) == 0)
            return &c->trust.tokens[i];
    return NULL;
}

static bool is_good(const struct token_slot *slot)
{
    return clock_boottime_ms() < slot->deadline_ms && clock_unix_ms() < slot->token.expires_unix_ms;
}

int enrol_recover(struct coordinator *c, struct err *err)
{
    struct store_token tokens[TRUST_TOKENS_MAX];
    uint32_t count = 0;
    uint64_t now_unix_ms = clock_unix_ms();
    if (store_token_list(c->store, tokens, TRUST_TOKENS_MAX, &count, err) != 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t expires = tokens[i].expires_unix_ms;
        /* What seems to last longer than any may was made under another clock. */
        if (expires <= now_unix_ms || expires - now_unix_ms > TRUST_TOKEN_S_MAX * 1000ULL) {
            if (store_token_drop(c->store, tokens[i].key, err) != 0)
                return -1;
            continue;
        }
        c->trust.tokens[c->trust.token_count++] =
            (struct token_slot){.token = tokens[i],
                                .deadline_ms = clock_boottime_ms() + (expires - now_unix_ms),
                                .used_by = STORE_RELAY_NONE};
    }
    return 0;
}

bool enrol_admits(struct coordinator *c, const uint8_t key[LIMIT_KEY_BYTES])
{
    const struct token_slot *slot = find(c, key);
    return slot != NULL && is_good(slot);
}

void enrol_sweep(struct coordinator *c)
{
    struct trust *trust = &c->trust;
    for (uint32_t i = trust->token_count; i > 0; i--) {
        struct token_slot *slot = &trust->tokens[i - 1];
        struct err err = {0};
        if (is_good(slot))
            continue;
        if (slot->used_by == STORE_RELAY_NONE &&
            store_token_drop(c->store, slot->token.key, &err) != 0) {
            shell_store_failed(c, &err);
            return;
        }
        *slot = trust->tokens[--trust->token_count];
    }
}

/* A used token is kept so that a lost answer can be given again; a new one matters more. */
static void forget_used(struct trust *trust)
{
    for (uint32_t i = 0; i < trust->token_count; i++) {
        if (trust->tokens[i].used_by == STORE_RELAY_NONE)
            continue;
        trust->tokens[i] = trust->tokens[--trust->token_count];
        return;
    }
}

int enrol_token_put(struct coordinator *c, const struct message_token_put *said, struct err *err)
{
    struct trust *trust = &c->trust;
    struct token_slot fresh = {.used_by = STORE_RELAY_NONE};
    if (said->valid_s == 0 || said->valid_s > TRUST_TOKEN_S_MAX)
        return err_set(err, ERR_INVALID, "a token is good for 1 to %u seconds", TRUST_TOKEN_S_MAX);
    if (trust->policy_version == 0)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no policy yet that a relay could trust: make one first");
    if (store_site_find(c->store, said->site, &fresh.token.site, err) != 0)
        return -1;
    if (relays_find(c, said->key) != NULL)
        return err_set(err, ERR_EXISTS, "this key is a relay's");
    enrol_sweep(c);
    struct token_slot *slot = find(c, said->key);
    if (slot != NULL && slot->used_by != STORE_RELAY_NONE)
        return err_set(err, ERR_EXISTS, "this token was used");
    if (slot == NULL && trust->token_count == TRUST_TOKENS_MAX)
        forget_used(trust);
    if (slot == NULL && trust->token_count == TRUST_TOKENS_MAX)
        return err_set(err, ERR_LIMIT, "%u tokens may be used now: wait until some are over",
                       TRUST_TOKENS_MAX);
    memcpy(fresh.token.key, said->key, LIMIT_KEY_BYTES);
    (void)text_copy(fresh.token.site_name, sizeof fresh.token.site_name, said->site);
    fresh.token.expires_unix_ms = clock_unix_ms() + said->valid_s * 1000ULL;
    fresh.deadline_ms = clock_boottime_ms() + said->valid_s * 1000ULL;
    c->commit_due = true;
    if (store_token_put(c->store, &fresh.token, err) != 0)
        return -1;
    if (slot == NULL)
        slot = &trust->tokens[trust->token_count++];
    *slot = fresh;
    return 0;
}

/* ---- ENROLL ---- */

int enrol_name_check(const char *name, struct err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    size_t length = strlen(name);
    if (length == 0 || length >= LIMIT_SITE_NAME_SIZE || strspn(name, all) != length ||
        strspn(name, letters) == 0)
        return err_set(err, ERR_INVALID,
                       "a name has 1 to %d letters, digits, '.', '-' and '_', the first of them a "
                       "letter or digit",
                       LIMIT_SITE_NAME_SIZE - 1);
    return 0;
}

static bool is_zero(const uint8_t key[LIMIT_KEY_BYTES])
{
    static const uint8_t zero[LIMIT_KEY_BYTES];
    return memcmp(key, zero, sizeof zero) == 0;
}

/* Names, and both keys, belong to one relay. Names of revoked relays may be used again; keys never,
 * for whoever has them may have lost them. */
static int check_new(const struct coordinator *c, const struct message_enroll *said,
                     struct err *err)
{
    uint32_t pending = 0;
    for (uint16_t i = 0; i < c->relay_count; i++) {
        const struct store_relay *stored = &c->relays[i].stored;
        bool gone = stored->standing == RELAY_REVOKED || stored->standing == RELAY_CLONED;
        pending += stored->standing == RELAY_PENDING;
        if (memcmp(stored->key, said->curve_key, LIMIT_KEY_BYTES) == 0 ||
            memcmp(stored->seal_key, said->seal_key, LIMIT_KEY_BYTES) == 0)
            return err_set(err, ERR_EXISTS,
                           "these keys belong to relay %s (%s): enrol with an empty state folder",
                           stored->name, relay_standing_word(stored->standing));
        if (!gone && text_equal_nocase(stored->name, said->relay_name))
            return err_set(err, ERR_EXISTS,
                           "there is a relay named %s (%s): take another name, or revoke that one",
                           stored->name, relay_standing_word(stored->standing));
    }
    if (pending >= TRUST_PENDING_MAX)
        return err_set(err, ERR_LIMIT, "%u relays wait to be approved: approve or revoke some",
                       pending);
    if (c->relay_count >= LIMIT_RELAYS_MAX)
        return err_set(err, ERR_LIMIT, "this coordinator has its %u relays", LIMIT_RELAYS_MAX);
    return 0;
}

/* The very relay that asked before, whose answer was lost. */
static bool is_repeated(struct coordinator *c, const struct token_slot *token,
                        const struct message_enroll *said)
{
    const struct relay_slot *slot = relays_find(c, said->curve_key);
    return slot != NULL && slot->stored.standing == RELAY_PENDING &&
           slot->stored.site == token->token.site &&
           strcmp(slot->stored.name, said->relay_name) == 0 &&
           memcmp(slot->stored.seal_key, said->seal_key, LIMIT_KEY_BYTES) == 0 &&
           (token->used_by == STORE_RELAY_NONE || token->used_by == slot->stored.relay);
}

/* The token goes in the same commit as the relay comes. */
static int add_relay(struct coordinator *c, struct token_slot *token,
                     const struct message_enroll *said, struct err *err)
{
    struct store_relay relay = {.site = token->token.site};
    if (is_repeated(c, token, said)) {
        relay = relays_find(c, said->curve_key)->stored;
    } else {
        if (token->used_by != STORE_RELAY_NONE)
            return err_set(err, ERR_DENIED,
                           "this token was used already: it is good for one relay");
        if (enrol_name_check(said->relay_name, err) != 0)
            return -1;
        if (is_zero(said->curve_key) || is_zero(said->seal_key) || find(c, said->curve_key) != NULL)
            return err_set(err, ERR_INVALID, "these are no keys of a relay");
        uint16_t site = 0; /* it may have been removed since */
        if (check_new(c, said, err) != 0 ||
            store_site_find(c->store, token->token.site_name, &site, err) != 0)
            return -1;
        (void)text_copy(relay.name, sizeof relay.name, said->relay_name);
        memcpy(relay.key, said->curve_key, LIMIT_KEY_BYTES);
        memcpy(relay.seal_key, said->seal_key, LIMIT_KEY_BYTES);
        if (store_relay_add(c->store, &relay, err) != 0)
            return -1;
        relays_add(c, &relay);
        log_info("relay %s of site %s enrolled: it waits for an operator to approve it", relay.name,
                 relay.site_name);
    }
    c->commit_due = true;
    token->used_by = relay.relay;
    return store_token_drop(c->store, token->token.key, err);
}

/* Relays need the port only when they dial the package link over TCP. */
static uint16_t package_port(const struct coordinator *c)
{
    const char *endpoint = link_server_endpoint(c->package_link);
    const char *colon = strrchr(endpoint, ':');
    uint64_t port = 0;
    if (strncmp(endpoint, "tcp://", 6) != 0 || colon == NULL ||
        text_to_u64(colon + 1, UINT16_MAX, &port) != 0)
        return 0;
    return (uint16_t)port;
}

void enrol_received(struct coordinator *c, const struct link_peer *peer,
                    const struct message *message)
{
    struct token_slot *token = find(c, peer->key);
    struct message answer = {.kind = MESSAGE_ENROLLED};
    struct err err = {0};
    if (token == NULL || message->kind != MESSAGE_ENROLL) {
        log_debug("token: ignored %s", message_kind_word(message->kind));
        return;
    }
    if (add_relay(c, token, &message->enroll, &err) != 0) {
        log_warning("enrolment at site %s refused: %s", token->token.site_name, err.text);
        answer.kind = MESSAGE_FAIL;
        answer.fail.code = err.code;
        (void)text_copy(answer.fail.text, sizeof answer.fail.text, err.text);
        shell_send(c, c->relay_link, peer, &answer);
        shell_store_failed(c, &err);
        return;
    }
    trust_send_policies(c, peer, 0);
    (void)text_copy(answer.enrolled.site, sizeof answer.enrolled.site, token->token.site_name);
    answer.enrolled.package_port = package_port(c);
    shell_send(c, c->relay_link, peer, &answer);
}
