/* Who of a site fetches a package over the WAN link, and who gets it from a neighbour: PURE.
 *
 * Called by the package server for each request of a relay. Per site and package one relay is the
 * source: the first that asked. It gets bytes; the others are told its key. Somebody else becomes
 * the source when the source can't serve (it is gone, or has no port for peers), when it has been
 * silent before it had everything, or when the relay that was sent to it insists.
 *
 * An `insist` counts against the source that this relay was told of: when several relays lose the
 * same source at once, the first to insist takes its place and the others are sent there. What is
 * remembered is a help, not a truth: entries that nobody asked for are forgotten, and a package
 * that is not remembered begins anew with whoever asks.
 */
#ifndef PUSHER_COORDINATOR_CORE_SPREAD_H
#define PUSHER_COORDINATOR_CORE_SPREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/limits.h"

#define SPREAD_NOBODY UINT16_MAX
#define SPREAD_SILENT_MS 60000U   /* twice a relay's longest pause between two requests */
#define SPREAD_FORGET_MS 3600000U /* an entry that nobody asked for */
#define SPREAD_ENTRIES_MAX 16384U
#define SPREAD_TOLD_MAX                                                                            \
    8 /* relays of a site whose source is remembered; beyond, `insist` gets bytes */

struct spread;

struct spread_ask {
    uint16_t site;
    uint16_t relay;        /* who asks */
    const uint8_t *digest; /* LIMIT_DIGEST_BYTES */
    uint64_t end;          /* offset behind the bytes it asks for */
    uint64_t total;        /* the package's size */
    bool insist;           /* where it was sent to, nobody answers */
    bool source_usable;    /* the relay that spread_source names is live and serves its peers */
    uint64_t now_ms;
};

struct spread *spread_new(void);
void spread_free(struct spread *spread);
/* Who is the source of this package in the site: SPREAD_NOBODY if nobody is yet. */
uint16_t spread_source(const struct spread *spread, uint16_t site, const uint8_t *digest);
/* Decides: the relay to ask instead, or SPREAD_NOBODY: it gets the bytes here. */
uint16_t spread_decide(struct spread *spread, const struct spread_ask *ask);
/* For tests and logs. */
uint32_t spread_count(const struct spread *spread);

#endif
