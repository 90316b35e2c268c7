/* Requests of the CLI about sites. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/signed/objects.h"
#include "coordinator/coordinator.h"
#include "coordinator/core/lint.h"
#include "coordinator/package_server.h"
#include "coordinator/routing.h"

/* ---- describing a site ---- */

/* A pattern that no name can fit is a typing error. */
static int check_pattern(const char *pattern, struct err *err)
{
    char shown[128];
    size_t length = strlen(pattern);
    bool odd = length == 0 || length >= LIMIT_TARGET_NAME_SIZE;
    for (size_t i = 0; i < length; i++)
        odd = odd || (unsigned char)pattern[i] <= ' ' || pattern[i] == 0x7f ||
              strchr("/\\,;:@\"'[]", pattern[i]) != NULL;
    if (odd)
        return err_set(err, ERR_INVALID, "'%s': not a pattern of host names (*.lyon.example, PC-*)",
                       text_printable(shown, sizeof shown, pattern));
    return 0;
}

/* Whether another site has this subnet already. */
static int check_free(const struct coordinator *c, const char *site, const char *subnet,
                      struct err *err)
{
    const struct site_book *book = c->routing.book;
    for (uint32_t i = 0; i < book->site_count; i++) {
        const struct site *other = &book->sites[i].site;
        for (uint32_t j = 0; j < other->subnet_count; j++)
            if (strcmp(other->name, site) != 0 && strcmp(other->subnets[j], subnet) == 0)
                return err_set(err, ERR_EXISTS, "%s belongs to site %s", subnet, other->name);
    }
    return 0;
}

/* Puts each subnet into its one form. */
static int check_subnets(const struct coordinator *c, struct site *site, struct err *err)
{
    for (uint32_t i = 0; i < site->subnet_count; i++) {
        struct subnet subnet;
        char text[SUBNET_TEXT_SIZE];
        if (subnet_from_text(site->subnets[i], &subnet, err) != 0)
            return -1;
        subnet_text(&subnet, text);
        free(site->subnets[i]);
        site->subnets[i] = mem_strdup(text);
        if (check_free(c, site->name, text, err) != 0)
            return -1;
    }
    return 0;
}

static int check_site(const struct coordinator *c, struct site *site, bool add_only,
                      struct err *err)
{
    const struct site_book *book = c->routing.book;
    bool known = plan_find_site(book->plan, site->name) != PLAN_SITE_NONE;
    if (enrol_name_check(site->name, err) != 0)
        return err_wrap(err, "site");
    if (known && add_only)
        return err_set(err, ERR_EXISTS, "there is a site %s already", site->name);
    if (!known && book->site_count >= LIMIT_SITES_MAX)
        return err_set(err, ERR_LIMIT, "at most %u sites", LIMIT_SITES_MAX);
    for (uint32_t i = 0; site->is_default && i < book->site_count; i++)
        if (book->sites[i].site.is_default && strcmp(book->sites[i].site.name, site->name) != 0)
            return err_set(err, ERR_EXISTS, "the default site is %s", book->sites[i].site.name);
    for (uint32_t i = 0; i < site->pattern_count; i++)
        if (check_pattern(site->patterns[i], err) != 0)
            return -1;
    return check_subnets(c, site, err);
}

static int need_sites(const struct coordinator *c, struct err *err)
{
    return trust_has_sites(c)
               ? 0
               : err_set(err, ERR_INVALID, "private mode has one site, which takes every target");
}

/* The decoded request is ours until it is released: its subnets are put into their form there. */
static int put(struct coordinator *c, const struct message_site_put *said, struct err *err)
{
    struct site site = said->site;
    uint16_t no = 0;
    if (need_sites(c, err) != 0 || check_site(c, &site, said->add_only, err) != 0 ||
        store_site_put(c->store, &site, &no, err) != 0)
        return -1;
    c->commit_due = true;
    return package_server_rates(c->package_server, err) == 0 ? routing_reload(c, err) : -1;
}

void control_site_put(struct coordinator *c, const struct link_peer *peer,
                      const struct message *message)
{
    struct err err = {0};
    if (put(c, &message->site_put, &err) != 0) {
        control_fail(c, peer, message->request, &err);
        return;
    }
    log_info("site %s described by uid %u", message->site_put.site.name, (unsigned)peer->uid);
    control_ok(c, peer, message->request, false);
}

/* ---- removing one ---- */

static int remove_site(struct coordinator *c, const char *name, struct err *err)
{
    struct store_site_use use;
    uint16_t no = 0;
    if (need_sites(c, err) != 0 || store_site_find(c->store, name, &no, err) != 0 ||
        store_site_use(c->store, no, &use, err) != 0)
        return -1;
    if (use.relay_count > 0)
        return err_set(err, ERR_EXISTS, "site %s has %u relays: revoke them first", name,
                       use.relay_count);
    if (use.push_count > 0)
        return err_set(err, ERR_EXISTS,
                       "%u open pushes have targets in site %s, or may have: wait, or cancel them",
                       use.push_count, name);
    if (store_site_rm(c->store, name, err) != 0)
        return -1;
    c->commit_due = true;
    return routing_reload(c, err);
}

void control_site_rm(struct coordinator *c, const struct link_peer *peer,
                     const struct message *message)
{
    struct err err = {0};
    if (remove_site(c, message->site_ref.site, &err) != 0) {
        control_fail(c, peer, message->request, &err);
        return;
    }
    log_info("site %s removed by uid %u", message->site_ref.site, (unsigned)peer->uid);
    control_ok(c, peer, message->request, false);
}

/* ---- looking ---- */

/* What is known of a site while the coordinator runs. */
static void fill_live(const struct coordinator *c, uint16_t no, struct site *site)
{
    site->relay_count = site->live_count = 0;
    site->sent_bytes = package_server_sent(c->package_server, no);
    for (uint16_t i = 0; i < c->relay_count; i++) {
        const struct store_relay *relay = &c->relays[i].stored;
        if (relay->site != no ||
            (relay->standing != RELAY_ACTIVE && relay->standing != RELAY_DRAINING))
            continue;
        site->relay_count++;
        site->live_count += dispatch_relay_look(c->core, i).live;
    }
}

static size_t site_bytes(const struct site *site)
{
    size_t size = 256;
    for (uint32_t i = 0; i < site->subnet_count; i++)
        size += strlen(site->subnets[i]) + 8;
    for (uint32_t i = 0; i < site->pattern_count; i++)
        size += strlen(site->patterns[i]) + 8;
    return size;
}

/* As many as fit one message. */
void control_sites_get(struct coordinator *c, const struct link_peer *peer,
                       const struct message *message)
{
    struct message answer = {.kind = MESSAGE_SITES, .request = message->request};
    struct message_sites *sites = &answer.sites;
    const struct site_book *book = c->routing.book;
    struct err err = {0};
    if (need_sites(c, &err) != 0) {
        control_fail(c, peer, message->request, &err);
        return;
    }
    size_t room = LIMIT_MESSAGE_BYTES_MAX - 1024;
    uint32_t at = message->sites_get.first;
    sites->rows = mem_new(LIMIT_ROWS_PER_MESSAGE, sizeof *sites->rows);
    for (; at < book->site_count && sites->row_count < LIMIT_ROWS_PER_MESSAGE; at++) {
        size_t size = site_bytes(&book->sites[at].site);
        if (size > room)
            break;
        room -= size;
        struct site *row = &sites->rows[sites->row_count++];
        *row = book->sites[at].site;
        fill_live(c, book->sites[at].no, row);
    }
    sites->next = at < book->site_count ? at : 0;
    shell_send(c, c->control_link, peer, &answer);
    free(sites->rows); /* their texts are the book's */
}

/* ---- lint ---- */

/* Adds what a relay's certificate allows, when its time is now. */
static void add_certificate(struct coordinator *c, uint16_t relay, struct subnet **subnets,
                            uint32_t *count)
{
    struct certificate certificate;
    struct buf bytes;
    struct err err = {0};
    buf_init(&bytes, OBJECT_BYTES_MAX);
    if (store_certificate_get(c->store, relay, &bytes, &err) == 0 &&
        certificate_open(bytes.data, bytes.size, &c->trust.policy,
                         (int64_t)(clock_unix_ms() / 1000), &certificate, &err) == 0) {
        *subnets = mem_resize(*subnets, *count + certificate.subnet_count + 1U, sizeof **subnets);
        memcpy(*subnets + *count, certificate.subnets, certificate.subnet_count * sizeof **subnets);
        *count += certificate.subnet_count;
        certificate_release(&certificate);
    }
    buf_release(&bytes);
}

static struct subnet *covered_by(struct coordinator *c, uint16_t site, uint32_t *count)
{
    struct subnet *subnets = NULL;
    *count = 0;
    for (uint16_t i = 0; i < c->relay_count; i++)
        if (c->relays[i].stored.site == site && c->relays[i].stored.standing == RELAY_ACTIVE)
            add_certificate(c, i, &subnets, count);
    return subnets;
}

static int lint(struct coordinator *c, struct message_lint *out, struct err *err)
{
    const struct site_book *book = c->routing.book;
    struct site *described = mem_new(book->site_count + 1U, sizeof *described);
    struct lint_site *sites = mem_new(book->site_count + 1U, sizeof *sites);
    struct subnet **covered = mem_new(book->site_count + 1U, sizeof *covered);
    for (uint32_t i = 0; i < book->site_count; i++) {
        described[i] = book->sites[i].site;
        fill_live(c, book->sites[i].no, &described[i]);
        sites[i].site = &described[i];
        sites[i].subnets = covered[i] = covered_by(c, book->sites[i].no, &sites[i].subnet_count);
    }
    out->rows = mem_new(LIMIT_ROWS_PER_MESSAGE, sizeof *out->rows);
    int result = lint_sites(sites, book->site_count, out->rows, LIMIT_ROWS_PER_MESSAGE,
                            &out->row_count, &out->more, err);
    for (uint32_t i = 0; i < book->site_count; i++)
        free(covered[i]);
    free(covered);
    free(sites);
    free(described);
    return result;
}

void control_lint_get(struct coordinator *c, const struct link_peer *peer,
                      const struct message *message)
{
    struct message answer = {.kind = MESSAGE_LINT, .request = message->request};
    struct err err = {0};
    if (need_sites(c, &err) != 0 || lint(c, &answer.lint, &err) != 0)
        control_fail(c, peer, message->request, &err);
    else
        shell_send(c, c->control_link, peer, &answer);
    message_release(&answer);
}
