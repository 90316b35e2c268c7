/* Sites, routes, certificates. */
#include "coordinator/cli/sites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/signed/objects.h"
#include "common/trust/keys.h"
#include "coordinator/cli/target_item.h"

#define NAMES_SIZE 1024 /* a sentence about sites */
#define NAMED_MAX 8U    /* sites that it names */

void site_shares_release(struct site_shares *shares)
{
    free(shares->rows);
    *shares = (struct site_shares){0};
}

void recipients_release(struct recipients *recipients)
{
    free(recipients->rows);
    *recipients = (struct recipients){0};
}

/* ---- sites ---- */

static void add_site(struct site_shares *shares, const struct site *site)
{
    shares->rows = mem_resize(shares->rows, shares->count + 1U, sizeof *shares->rows);
    struct site_share *share = &shares->rows[shares->count++];
    *share = (struct site_share){.live_count = site->live_count, .relay_count = site->relay_count};
    (void)text_copy(share->name, sizeof share->name, site->name);
}

static int all_sites(struct site_shares *shares, struct session *session, struct err *err)
{
    uint32_t first = 0;
    do {
        struct message request = {.kind = MESSAGE_SITES_GET, .sites_get = {first}};
        struct message answer;
        if (session_call(session, &request, MESSAGE_SITES, &answer, err) != 0)
            return -1;
        for (uint32_t i = 0; i < answer.sites.row_count; i++)
            add_site(shares, &answer.sites.rows[i]);
        uint32_t next = answer.sites.next;
        message_release(&answer);
        if ((next != 0 && next <= first) || shares->count > LIMIT_SITES_MAX)
            return err_set(err, ERR_PROTOCOL, "the coordinator's list of sites has no end");
        first = next;
    } while (first != 0);
    return shares->count > 0
               ? 0
               : err_set(err, ERR_NOT_FOUND,
                         "the coordinator has no site yet: pusher site add SITE --subnet CIDR");
}

static struct site_share *find_share(struct site_shares *shares, const char *name)
{
    for (uint32_t i = 0; i < shares->count; i++)
        if (strcmp(shares->rows[i].name, name) == 0)
            return &shares->rows[i];
    return NULL;
}

void site_shares_count(struct site_shares *shares, const char *site)
{
    struct site_share *share = find_share(shares, site);
    if (share != NULL)
        share->target_count++;
    else
        shares->nowhere++;
}

void site_shares_settle(struct site_shares *shares)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < shares->count; i++)
        if (shares->rows[i].target_count > 0)
            shares->rows[kept++] = shares->rows[i];
    shares->count = kept;
    shares->routed = true;
}

static bool all_addresses(char *const *names, uint32_t name_count)
{
    struct target_address address;
    for (uint32_t i = 0; i < name_count; i++)
        if (target_address_parse(names[i], &address) != 0)
            return false;
    return true;
}

static int ask_routes(struct site_shares *shares, struct session *session, char **names,
                      uint32_t name_count, struct err *err)
{
    for (uint32_t first = 0; first < name_count; first += LIMIT_ROWS_PER_MESSAGE) {
        uint32_t left = name_count - first;
        struct message request = {.kind = MESSAGE_ROUTES_GET};
        struct message answer;
        request.routes_get.names = names + first;
        request.routes_get.name_count =
            left < LIMIT_ROWS_PER_MESSAGE ? left : LIMIT_ROWS_PER_MESSAGE;
        if (session_call(session, &request, MESSAGE_ROUTES, &answer, err) != 0)
            return -1;
        for (uint32_t i = 0; i < answer.routes.row_count; i++)
            site_shares_count(shares, answer.routes.rows[i].site);
        message_release(&answer);
    }
    site_shares_settle(shares);
    return 0;
}

int site_shares_find(struct site_shares *shares, struct session *session, const char *site,
                     char **names, uint32_t name_count, struct err *err)
{
    char shown[2 * LIMIT_SITE_NAME_SIZE];
    if (all_sites(shares, session, err) != 0)
        return -1;
    if (site != NULL && *site != '\0') {
        struct site_share *share = find_share(shares, site);
        if (share == NULL)
            return err_set(err, ERR_NOT_FOUND, "there is no site %s (pusher site list)",
                           text_printable(shown, sizeof shown, site));
        share->target_count = name_count;
        site_shares_settle(shares);
        return 0;
    }
    if (names == NULL || name_count > ROUTES_ASKED_MAX || !all_addresses(names, name_count))
        return 0;
    return ask_routes(shares, session, names, name_count, err);
}

char *site_shares_text(const struct site_shares *shares, char *text, size_t size)
{
    struct buf out;
    buf_init(&out, NAMES_SIZE);
    for (uint32_t i = 0; i < shares->count && i < NAMED_MAX; i++)
        buf_printf(&out, "%s%s %u", i == 0 ? "" : ", ", shares->rows[i].name,
                   shares->rows[i].target_count);
    if (shares->count > NAMED_MAX)
        buf_printf(&out, " and %u more sites", shares->count - NAMED_MAX);
    if (shares->nowhere > 0)
        buf_printf(&out, "%s%u nowhere", shares->count == 0 ? "" : ", ", shares->nowhere);
    (void)text_printable(text, size, buf_cstr(&out));
    buf_release(&out);
    return text;
}

/* ---- signed objects ---- */

typedef void object_taker(void *context, const struct message_object *object);

static int each_object(struct session *session, enum signed_kind kind, object_taker *take,
                       void *context, struct err *err)
{
    uint64_t first = 0;
    do {
        struct message request = {.kind = MESSAGE_OBJECTS_GET};
        struct message answer;
        request.objects_get.kind = kind;
        request.objects_get.first = first;
        if (session_call(session, &request, MESSAGE_OBJECTS, &answer, err) != 0)
            return -1;
        for (uint32_t i = 0; i < answer.objects.row_count; i++)
            take(context, &answer.objects.rows[i]);
        uint64_t next = answer.objects.next;
        message_release(&answer);
        if (next != 0 && next <= first)
            return err_set(err, ERR_PROTOCOL, "the coordinator's list of objects has no end");
        first = next;
    } while (first != 0);
    return 0;
}

/* ---- relays ---- */

/* Keys of the relays that the coordinator says are active. */
struct active {
    uint8_t (*keys)[LIMIT_KEY_BYTES]; /* owned */
    uint32_t count;
};

static int find_active(struct active *active, struct session *session, struct err *err)
{
    uint32_t first = 0;
    do {
        struct message request = {.kind = MESSAGE_RELAYS_GET, .relays_get = {first}};
        struct message answer;
        if (session_call(session, &request, MESSAGE_RELAYS, &answer, err) != 0)
            return -1;
        for (uint32_t i = 0; i < answer.relays.row_count; i++) {
            const struct relay_row *row = &answer.relays.rows[i];
            if (row->standing != RELAY_ACTIVE)
                continue;
            active->keys = mem_resize(active->keys, active->count + 1U, sizeof *active->keys);
            memcpy(active->keys[active->count++], row->curve_key, LIMIT_KEY_BYTES);
        }
        uint32_t next = answer.relays.next;
        message_release(&answer);
        if ((next != 0 && next <= first) || active->count > LIMIT_RELAYS_MAX)
            return err_set(err, ERR_PROTOCOL, "the coordinator's list of relays has no end");
        first = next;
    } while (first != 0);
    return 0;
}

static bool is_active(const struct active *active, const uint8_t key[LIMIT_KEY_BYTES])
{
    for (uint32_t i = 0; i < active->count; i++)
        if (key_equal(active->keys[i], key))
            return true;
    return false;
}

/* What certificates are looked through for. */
struct search {
    struct recipients *found;
    const struct policy *policy;
    const struct active *active;
    struct site_shares *shares; /* its site must be one of these */
    int64_t now_unix_s;
};

/* Keeps a certificate's relay; of two certificates of one relay the newer one counts. */
static void keep_recipient(struct recipients *found, const struct certificate *certificate)
{
    struct recipient *at = NULL;
    for (uint32_t i = 0; i < found->count && at == NULL; i++)
        if (strcmp(found->rows[i].relay, certificate->relay) == 0)
            at = &found->rows[i];
    if (at != NULL && at->serial >= certificate->serial)
        return;
    if (at == NULL) {
        found->rows = mem_resize(found->rows, found->count + 1U, sizeof *found->rows);
        at = &found->rows[found->count++];
    }
    *at = (struct recipient){.serial = certificate->serial};
    (void)text_copy(at->relay, sizeof at->relay, certificate->relay);
    (void)text_copy(at->site, sizeof at->site, certificate->site);
    memcpy(at->seal_key, certificate->seal_key, sizeof at->seal_key);
}

/* What isn't signed by an operator, or not in force, is passed over. */
static void take_certificate(void *context, const struct message_object *object)
{
    struct search *search = context;
    struct certificate certificate;
    if (certificate_open(object->bytes, object->size, search->policy, search->now_unix_s,
                         &certificate, NULL) != 0)
        return;
    if (find_share(search->shares, certificate.site) != NULL &&
        is_active(search->active, certificate.curve_key))
        keep_recipient(search->found, &certificate);
    certificate_release(&certificate);
}

static bool site_has_recipient(const struct recipients *recipients, const char *site)
{
    for (uint32_t i = 0; i < recipients->count; i++)
        if (strcmp(recipients->rows[i].site, site) == 0)
            return true;
    return false;
}

int recipients_find(struct recipients *recipients, struct session *session,
                    const struct policy *policy, const struct site_shares *shares,
                    int64_t now_unix_s, struct err *err)
{
    struct site_shares wanted = *shares; /* looked at only */
    struct active active = {0};
    struct search search = {.found = recipients,
                            .policy = policy,
                            .active = &active,
                            .shares = &wanted,
                            .now_unix_s = now_unix_s};
    int result = find_active(&active, session, err);
    if (result == 0)
        result = each_object(session, SIGNED_CERTIFICATE, take_certificate, &search, err);
    free(active.keys);
    if (result != 0)
        return -1;
    for (uint32_t i = 0; i < shares->count; i++)
        if (shares->rows[i].live_count == 0 && (shares->routed || shares->rows[i].relay_count > 0))
            say(session->common, "note: no relay of site %s answers: its targets wait for one",
                shares->rows[i].name);
    if (recipients->count == 0 && shares->count > 0)
        return err_set(err, ERR_NOT_FOUND,
                       "no active relay with a certificate in force%s%s: pusher relay list",
                       shares->count == 1 ? " in site " : "",
                       shares->count == 1 ? shares->rows[0].name : "");
    return 0;
}

/* ---- stored accounts ---- */

struct stored {
    const struct recipients *recipients;
    const struct policy *policy;
    bool *has; /* by recipient */
};

static void take_stored(void *context, const struct message_object *object)
{
    struct stored *stored = context;
    struct site_credential credential;
    if (site_credential_look(object->bytes, object->size, stored->policy, &credential, NULL) != 0)
        return;
    for (uint32_t i = 0; i < stored->recipients->count; i++)
        if (strcmp(stored->recipients->rows[i].site, credential.site) == 0 &&
            key_equal(stored->recipients->rows[i].seal_key, credential.seal_key))
            stored->has[i] = true;
    site_credential_release(&credential);
}

int recipients_check_stored(const struct recipients *recipients, struct session *session,
                            const struct policy *policy, const struct site_shares *shares,
                            struct err *err)
{
    struct stored stored = {recipients, policy, mem_new(recipients->count + 1U, sizeof(bool))};
    struct buf missing;
    char shown[NAMES_SIZE];
    const char *first = NULL;
    uint32_t count = 0;
    int result = each_object(session, SIGNED_SITE_CREDENTIAL, take_stored, &stored, err);
    buf_init(&missing, NAMES_SIZE);
    for (uint32_t i = 0; i < shares->count && result == 0; i++) {
        const char *site = shares->rows[i].name;
        bool has = !site_has_recipient(recipients, site);
        for (uint32_t k = 0; k < recipients->count && !has; k++)
            has = stored.has[k] && strcmp(recipients->rows[k].site, site) == 0;
        if (has)
            continue;
        if (count < NAMED_MAX)
            buf_printf(&missing, "%s%s", count == 0 ? "" : ", ", site);
        first = count++ == 0 ? site : first;
    }
    if (count > NAMED_MAX)
        buf_printf(&missing, " and %u more", count - NAMED_MAX);
    for (uint32_t k = 0; k < recipients->count && result == 0 && first == NULL; k++)
        if (!stored.has[k])
            say(session->common,
                "note: relay %s lacks the account of site %s: pusher cred set %s seals it anew",
                recipients->rows[k].relay, recipients->rows[k].site, recipients->rows[k].site);
    if (first != NULL)
        result = err_set(err, ERR_NOT_FOUND,
                         "no account is stored for %s: pusher cred set %s, or give --user",
                         text_printable(shown, sizeof shown, buf_cstr(&missing)), first);
    buf_release(&missing);
    free(stored.has);
    return result;
}
