/* ROUTES_GET: where targets would go, and why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/coordinator.h"
#include "coordinator/routing.h"

#define ASKS_MAX 32U /* requests that wait for names */

/* A target of a request. */
struct route_question {
    struct route_ask *ask;
    struct dns_query *query; /* NULL: not asked, or answered */
    uint32_t at;             /* its row */
};

struct route_ask {
    struct route_ask *next;
    struct coordinator *c;
    struct link_peer peer;
    struct site_book *book;
    uint32_t site;                    /* that was named, its place; PLAN_SITE_NONE */
    struct message answer;            /* ROUTES, being filled */
    struct route_question *questions; /* owned; one for each row */
    uint32_t waiting_count;
    bool filling; /* names are still being asked */
};

static void ask_free(struct route_ask *ask)
{
    for (uint32_t i = 0; i < ask->answer.routes.row_count; i++)
        dns_cancel(&ask->questions[i].query);
    site_book_drop(ask->book);
    message_release(&ask->answer);
    free(ask->questions);
    free(ask);
}

void route_ask_release(struct coordinator *c)
{
    while (c->routing.asks != NULL) {
        struct route_ask *ask = c->routing.asks;
        c->routing.asks = ask->next;
        ask_free(ask);
    }
    c->routing.ask_count = 0;
}

static void finish(struct route_ask *ask)
{
    struct coordinator *c = ask->c;
    struct route_ask **link = &c->routing.asks;
    while (*link != ask)
        link = &(*link)->next;
    *link = ask->next;
    c->routing.ask_count--;
    shell_send(c, c->control_link, &ask->peer, &ask->answer);
    ask_free(ask);
}

static void fill(struct route_ask *ask, uint32_t at, const struct dns_answer *answer)
{
    struct route_row *row = &ask->answer.routes.rows[at];
    struct routed routed = routing_decide(ask->c, ask->book, row->target, answer, ask->site);
    const char *site = plan_site_name(ask->book->plan, routed.route.site);
    struct subnet_address literal;
    row->by = routed.never_touch ? ROUTE_NEVER_TOUCH : routed.route.by;
    row->reason = row->by == ROUTE_UNRESOLVED ? routed.reason : REASON_NONE;
    (void)text_copy(row->site, sizeof row->site, routed.never_touch ? "" : site);
    (void)text_copy(row->match, sizeof row->match, routed.never_touch ? "" : routed.route.match);
    if (answer != NULL && answer->address_count > 0)
        subnet_address_text(&answer->addresses[routed.route.address], row->address);
    else if (subnet_address_from_text(row->target, &literal))
        subnet_address_text(&literal, row->address);
}

static void answered(void *context, const struct dns_answer *answer)
{
    struct route_question *question = context;
    struct route_ask *ask = question->ask;
    fill(ask, question->at, answer);
    ask->waiting_count--;
    if (ask->waiting_count == 0 && !ask->filling)
        finish(ask);
}

static void fill_all(struct route_ask *ask)
{
    ask->filling = true;
    for (uint32_t i = 0; i < ask->answer.routes.row_count; i++) {
        struct route_question *question = &ask->questions[i];
        const char *name = ask->answer.routes.rows[i].target;
        *question = (struct route_question){.ask = ask, .at = i};
        if (!routing_needs_lookup(ask->book, name, ask->site)) {
            fill(ask, i, NULL);
            continue;
        }
        ask->waiting_count++;
        dns_ask(ask->c->routing.dns, name, answered, question, &question->query);
    }
    ask->filling = false;
    if (ask->waiting_count == 0)
        finish(ask);
}

static bool is_repeated(const struct route_ask *ask, const struct link_peer *peer,
                        const struct message_routes_get *said, uint32_t site)
{
    const struct message_routes *routes = &ask->answer.routes;
    if (ask->peer.route != peer->route || ask->site != site ||
        routes->row_count != said->name_count)
        return false;
    for (uint32_t i = 0; i < said->name_count; i++)
        if (strcmp(routes->rows[i].target, said->names[i]) != 0)
            return false;
    return true;
}

/* DNS may take longer than the asker's patience with one request: the newest of the same is
 * answered. */
static bool join(struct coordinator *c, const struct link_peer *peer, const struct message *message,
                 uint32_t site)
{
    for (struct route_ask *ask = c->routing.asks; ask != NULL; ask = ask->next) {
        if (!is_repeated(ask, peer, &message->routes_get, site))
            continue;
        ask->answer.request = message->request;
        return true;
    }
    return false;
}

void route_ask(struct coordinator *c, const struct link_peer *peer, const struct message *message)
{
    const struct message_routes_get *said = &message->routes_get;
    struct err err = {0};
    uint32_t site =
        trust_has_sites(c) ? plan_find_site(c->routing.book->plan, said->site) : PLAN_SITE_NONE;
    if (join(c, peer, message, site))
        return;
    if (!trust_has_sites(c))
        (void)err_set(&err, ERR_INVALID, "private mode has one site, which takes every target");
    else if (c->routing.ask_count == ASKS_MAX)
        (void)err_set(&err, ERR_LIMIT, "%u such questions wait for DNS: ask again", ASKS_MAX);
    else
        (void)routing_check_site(c, said->site, &err);
    if (err.code != ERR_NONE) {
        control_fail(c, peer, message->request, &err);
        return;
    }
    struct route_ask *ask = mem_new(1, sizeof *ask);
    *ask = (struct route_ask){.next = c->routing.asks,
                              .c = c,
                              .peer = *peer,
                              .book = site_book_use(c->routing.book),
                              .site = site,
                              .answer = {.kind = MESSAGE_ROUTES, .request = message->request}};
    ask->answer.routes.rows = mem_new(said->name_count + 1U, sizeof *ask->answer.routes.rows);
    ask->questions = mem_new(said->name_count + 1U, sizeof *ask->questions);
    for (uint32_t i = 0; i < said->name_count; i++)
        ask->answer.routes.rows[i].target = mem_strdup(said->names[i]);
    ask->answer.routes.row_count = said->name_count;
    c->routing.asks = ask;
    c->routing.ask_count++;
    fill_all(ask);
}
