/* The peers of this relay's site. */
#include "relay/peers.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/signed/objects.h"
#include "common/trust/keys.h"

void peers_init(struct peers *peers, void (*changed)(void *context), void *context)
{
    *peers = (struct peers){.changed = changed, .context = context};
}

void peers_release(struct peers *peers)
{
    free(peers->items);
    *peers = (struct peers){0};
}

static void tell(const struct peers *peers)
{
    if (peers->changed)
        peers->changed(peers->context);
}

static struct peer *find(const struct peers *peers, const uint8_t key[LIMIT_KEY_BYTES])
{
    for (uint32_t i = 0; i < peers->count; i++) {
        if (key_equal(peers->items[i].key, key))
            return &peers->items[i];
    }
    return NULL;
}

static void remove_peer(struct peers *peers, struct peer *peer)
{
    *peer = peers->items[--peers->count];
    tell(peers);
}

/* Whether the certificate is one of a relay of our site, for the key that was named. */
static int check(const struct certificate *certificate, const struct message_peer *message,
                 const struct certificate *own, struct err *err)
{
    if (!key_equal(certificate->curve_key, message->key))
        return err_set(err, ERR_DENIED, "the certificate is another relay's");
    if (strcmp(certificate->site, own->site) != 0)
        return err_set(err, ERR_DENIED, "a relay of another site (%s)", certificate->site);
    if (key_equal(certificate->curve_key, own->curve_key))
        return err_set(err, ERR_DENIED, "that is this relay itself");
    return 0;
}

static int put(struct peers *peers, const struct certificate *certificate, const char *serve,
               struct err *err)
{
    struct peer *peer = find(peers, certificate->curve_key);
    if (peer && certificate->serial < peer->serial)
        return err_set(err, ERR_DENIED, "an older certificate than the one known");
    if (!peer) {
        if (peers->count == PEERS_MAX)
            return err_set(err, ERR_LIMIT, "more than %u peers", PEERS_MAX);
        peers->items = mem_resize(peers->items, peers->count + 1, sizeof *peers->items);
        peer = &peers->items[peers->count++];
    }
    *peer = (struct peer){
        .serial = certificate->serial,
        .not_before_unix_s = certificate->not_before_unix_s,
        .not_after_unix_s = certificate->not_after_unix_s,
    };
    memcpy(peer->key, certificate->curve_key, LIMIT_KEY_BYTES);
    (void)text_copy(peer->name, sizeof peer->name, certificate->relay);
    (void)text_copy(peer->serve, sizeof peer->serve, serve);
    tell(peers);
    return 0;
}

int peers_take(struct peers *peers, const struct message_peer *message, const struct policy *policy,
               const struct certificate *own, struct err *err)
{
    struct certificate certificate;
    if (message->certificate_size == 0) {
        struct peer *gone = find(peers, message->key);
        if (gone)
            remove_peer(peers, gone);
        return 0;
    }
    if (certificate_look(message->certificate, message->certificate_size, policy, &certificate,
                         err) != 0)
        return -1;
    int failed = check(&certificate, message, own, err);
    if (!failed)
        failed = put(peers, &certificate, message->serve, err);
    certificate_release(&certificate);
    return failed;
}

void peers_revoke(struct peers *peers, const struct policy *policy)
{
    for (uint32_t i = peers->count; i > 0; i--) {
        if (policy_revokes(policy, peers->items[i - 1].key))
            remove_peer(peers, &peers->items[i - 1]);
    }
}

void peers_forget(struct peers *peers)
{
    if (peers->count == 0)
        return;
    peers->count = 0;
    tell(peers);
}

const struct peer *peers_find(const struct peers *peers, const uint8_t key[LIMIT_KEY_BYTES])
{
    return find(peers, key);
}

bool peers_admit(const struct peers *peers, const uint8_t key[LIMIT_KEY_BYTES], int64_t now_unix_s)
{
    const struct peer *peer = find(peers, key);
    return peer && now_unix_s >= peer->not_before_unix_s && now_unix_s < peer->not_after_unix_s;
}
