/* Package bytes for relays, over their own link: results never wait behind them.
 *
 * A relay asks for pieces (CHUNK_REQUEST). core/spread.h decides whether it gets them here or is
 * sent to a relay of its site that has them or is fetching them. What goes over a site's WAN link
 * is held to the site's rate: requests wait in a short queue per relay, the relays take turns, and
 * a request that is repeated while it waits is one. What gets lost is asked for again.
 */
#ifndef PUSHER_COORDINATOR_PACKAGE_SERVER_H
#define PUSHER_COORDINATOR_PACKAGE_SERVER_H

#include <stdint.h>

#include "common/net/link.h"

/* Messages that wait for one relay, each of up to LIMIT_CHUNK_BYTES: more than it asks for at once,
 * and little enough that one that never reads costs us little. */
#define PACKAGE_QUEUE_MAX 64

struct coordinator;
struct package_server;

struct package_server *package_server_new(struct coordinator *c);
/* Before the loop is closed. NULL is fine. */
void package_server_free(struct package_server *server);
/* Takes the sites' WAN rates from the store: at start, and when a site was changed. */
int package_server_rates(struct package_server *server, struct err *err);
/* Package bytes that went to relays of the site since the start. */
uint64_t package_server_sent(const struct package_server *server, uint16_t site);

/* The package link's; the context is the coordinator. */
void package_link_received(void *context, const struct link_peer *peer, const uint8_t *bytes,
                           size_t size);

#endif
