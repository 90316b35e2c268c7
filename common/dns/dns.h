/* Host names to addresses, with c-ares on the event loop: A and AAAA of a name, along the search
 * list of resolv.conf.
 *
 * Used by the coordinator to find a target's site, and by the relay's stage RESOLVE, whose answer
 * decides. Any number of names may be asked at once; few are in flight. On one thread, the loop's.
 */
#ifndef PUSHER_DNS_DNS_H
#define PUSHER_DNS_DNS_H

#include <stdint.h>
#include <uv.h>

#include "common/base/err.h"
#include "common/model/outcome.h"
#include "common/model/subnet.h"

#define DNS_ADDRESSES_MAX 16 /* of one name; what DNS tells beyond is left alone */

struct dns;
struct dns_query;

struct dns_answer {
    const struct subnet_address *addresses; /* in the order they came; no zone */
    uint8_t address_count;                  /* 0: why stands below */
    const char *found_as;                   /* the name that has them, along the search list */
    uint32_t timeout_count;                 /* questions that were asked again */
    enum reason reason;                     /* NXDOMAIN or DNS_TIMEOUT */
    enum code_kind code_kind;
    uint32_t code;
    char detail[LIMIT_DETAIL_SIZE]; /* a sentence */
};

/* Called once for each question that isn't cancelled; the answer is valid until it returns. */
typedef void dns_answered(void *context, const struct dns_answer *answer);

/* `servers`: instead of those of resolv.conf, "10.0.0.1,10.0.0.2:5353"; NULL or borrowed until
 * dns_close. Errors: ERR_INVALID servers that are none; ERR_IO resolv.conf can't be used. */
int dns_open(struct dns **out, uv_loop_t *loop, const char *servers, struct err *err);
/* Whoever still waits is not told. The loop has to run once more. NULL is fine. */
void dns_close(struct dns *dns);

/* Asks for a name; `name` is borrowed until it is answered. *query, the caller's place, names the
 * question until then, and is NULL when `answered` is called, which may be before this returns. */
void dns_ask(struct dns *dns, const char *name, dns_answered *answered, void *context,
             struct dns_query **query);
/* Forgets *query; NULL is fine. */
void dns_cancel(struct dns_query **query);

#endif
