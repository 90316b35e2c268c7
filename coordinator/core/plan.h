/* Which site a target belongs to, and why. PURE.
 *
 * Called by the coordinator's shell (coordinator/routing.c) for every target of a push and for
 * `pusher site which`. A plan is made from all sites at once and never changes; a change of sites
 * makes a new one.
 *
 * The order, from design.md: the site that the operator names; else the address, by the longest
 * prefix over all sites' subnets; else the name, by the pattern with the most literal characters
 * (of several such, the first in the order of sites' names, then of patterns); else the default
 * site. An address that is covered by no subnet and taken by no default site is NOWHERE; a name
 * that has no address and that nothing else takes is UNRESOLVED. Of a name with several addresses
 * the one in the narrowest subnet counts, of several such the lowest: DNS servers rotate answers.
 *
 * It resolves nothing and knows no never-touch list.
 */
#ifndef PUSHER_COORDINATOR_CORE_PLAN_H
#define PUSHER_COORDINATOR_CORE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/message.h"
#include "common/model/subnet.h"

#define PLAN_SITE_NONE UINT32_MAX

struct plan;

/* What is asked for one target. */
struct plan_question {
    const char *name;                       /* as the operator gave it; may be an address */
    const struct subnet_address *addresses; /* what it resolved to, or the address it is */
    uint32_t address_count;                 /* 0: none is known */
    uint32_t site; /* that the operator names, its place among the sites; PLAN_SITE_NONE */
};

struct plan_route {
    enum route_by by;
    uint32_t site;    /* place among the sites; PLAN_SITE_NONE when `by` is NOWHERE or UNRESOLVED */
    uint32_t address; /* BY_SUBNET: which address of the question decided */
    const char *match; /* BY_SUBNET: the subnet; BY_PATTERN: the pattern; else "". The plan's */
};

/* Copies what it needs. Of a subnet that two sites have the first in the order of names has it; of
 * several default sites the first one counts. Errors: ERR_INVALID a subnet that is none. */
int plan_new(struct plan **out, const struct site *sites, uint32_t site_count, struct err *err);
void plan_free(struct plan *plan);

struct plan_route plan_route(const struct plan *plan, const struct plan_question *question);
/* Whether a name has to be looked up before plan_route can say where it goes. Not so when the
 * operator names the site, or when there is no subnet that an address could lie in, but a pattern
 * or a default site takes it. */
bool plan_needs_address(const struct plan *plan, const char *name, uint32_t site);
/* The site's place by its name; PLAN_SITE_NONE when there is none. */
uint32_t plan_find_site(const struct plan *plan, const char *name);
/* The site's name. */
const char *plan_site_name(const struct plan *plan, uint32_t site);

#endif
