/* Where the targets of pushes go: the plan over the sites, names looked up, rows that end without a
 * relay.
 *
 * Part of the coordinator's shell: called from its loop, on its thread.
 *   routing.c       the plan; targets of a push that have no site get one, or end
 *   route_ask.c     ROUTES_GET: where targets would go
 *   control_site.c  the CLI's other requests about sites
 *
 * A push is committed with targets that have no site, in state PUSH_ROUTING, and answered at once.
 * Its targets are read in bounded steps; names are looked up where an address may decide, a bounded
 * number of them at a time. A row is given its site, or ends: NOT_IN_ANY_SITE, NEVER_TOUCH (as the
 * newest policy says), or at stage resolve with what DNS said. When all are settled the push is
 * opened in the core. Nothing of this has to be durable before that: after a restart the targets
 * that still have no site are routed, by the sites of that time. A stop or a resume in between
 * changes the stored state alone; a cancel ends the routing.
 *
 * A push is routed by the sites as they were when it was committed. In private mode there is one
 * site, and nothing to do.
 */
#ifndef PUSHER_COORDINATOR_ROUTING_H
#define PUSHER_COORDINATOR_ROUTING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/dns/dns.h"
#include "common/model/message.h"
#include "common/net/link.h"
#include "coordinator/core/plan.h"
#include "coordinator/store/store.h"

struct coordinator;
struct route_task;
struct route_ask;

/* The sites at one moment. Shared by whoever routes by them. */
struct site_book {
    uint32_t user_count; /* freed when none is left */
    struct plan *plan;
    struct store_site *sites; /* in the order of names, as the plan has them */
    uint32_t site_count;
};

struct routing {
    struct dns *dns;          /* NULL: private mode */
    struct site_book *book;   /* the newest */
    struct route_task *tasks; /* pushes that are being routed */
    struct route_ask *asks;   /* ROUTES_GET that wait for names */
    uint32_t ask_count;
    uv_idle_t idle; /* runs while a task has targets to read */
};

/* ---- routing.c ---- */

/* At start, before pushes are recovered. Errors: as dns_open. */
int routing_start(struct coordinator *c, struct err *err);
void routing_release(struct coordinator *c);
/* After a change of sites: for what is committed from now on. */
int routing_reload(struct coordinator *c, struct err *err);
struct site_book *site_book_use(struct site_book *book);
void site_book_drop(struct site_book *book);
/* The site that freshly uploaded targets are stored with. */
uint16_t routing_upload_site(const struct coordinator *c);
/* Whether a push may be sent to this site; "" may always. Errors: ERR_NOT_FOUND. */
int routing_check_site(const struct coordinator *c, const char *site, struct err *err);
/* Opens a stored push in the core: at once when all its targets have a site or have ended, else
 * when they are routed. */
int routing_open(struct coordinator *c, uint64_t key, struct err *err);
/* Whether it is still being routed. */
bool routing_busy(const struct coordinator *c, uint64_t key);
/* Ends the routing of a push that was cancelled, and opens it so that the core ends its rows. */
int routing_cancel(struct coordinator *c, uint64_t key, struct err *err);

/* Where a target goes, and the words for a row that goes nowhere. */
struct routed {
    struct plan_route route;
    enum reason reason; /* REASON_NONE: it goes to route.site */
    bool never_touch;
};

/* `answer`: what DNS said, NULL when it was not asked; `site`: as plan_question's. */
struct routed routing_decide(const struct coordinator *c, const struct site_book *book,
                             const char *name, const struct dns_answer *answer, uint32_t site);
/* Whether the name has to be looked up first. */
bool routing_needs_lookup(const struct site_book *book, const char *name, uint32_t site);

/* ---- route_ask.c ---- */

void route_ask(struct coordinator *c, const struct link_peer *peer, const struct message *message);
void route_ask_release(struct coordinator *c);

/* ---- control_site.c ---- */

void control_site_put(struct coordinator *c, const struct link_peer *peer,
                      const struct message *message);
void control_site_rm(struct coordinator *c, const struct link_peer *peer,
                     const struct message *message);
void control_sites_get(struct coordinator *c, const struct link_peer *peer,
                       const struct message *message);
void control_lint_get(struct coordinator *c, const struct link_peer *peer,
                      const struct message *message);

#endif
