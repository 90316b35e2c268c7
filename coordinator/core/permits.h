/* Whose turn the first logons of a domain account are. PURE.
 *
 * Relays that are to use a domain account ask before its first logon. Until one has succeeded, or
 * PERMITS_REFUSED_MAX were refused at all relays together, one relay at a time has the permit; it
 * renews it, gives it back, or loses it after PERMITS_HOLD_MS of silence. An account is known by a
 * digest of its name and the counter of the credential that brought it, so that a corrected
 * password starts anew. docs/PROTOCOL.md, "Logons at the relay". Called by the coordinator's relay
 * link; nothing is stored: a coordinator that starts again counts anew.
 */
#ifndef PUSHER_COORDINATOR_CORE_PERMITS_H
#define PUSHER_COORDINATOR_CORE_PERMITS_H

#include <stddef.h>
#include <stdint.h>

#include "common/model/message.h"

#define PERMITS_REFUSED_MAX 3U
#define PERMITS_HOLD_MS 15000U     /* longer than a relay uses a permit that isn't renewed */
#define PERMITS_MEMORY_MS 1800000U /* an account nobody asks for is forgotten after */
#define PERMITS_ACCOUNTS_MAX 1024U /* then the one that was asked for the longest time ago is */
#define PERMITS_OF_RELAY_MAX 64U   /* named first by one relay; then the oldest of those is */

struct permits;

struct permits *permits_new(void);
void permits_free(struct permits *permits);

/* What to tell whom; epoch is the caller's to fill in. */
struct permits_answer {
    uint16_t relay;
    struct message_permit permit;
};

/* Takes what a relay asks and says. Its answer comes first, then those of relays that waited, when
 * something has changed for them. `*answers` is valid until the next call. Returns how many. */
size_t permits_take(struct permits *permits, uint64_t now_ms, uint16_t relay, uint64_t epoch,
                    const struct message_permit_get *said, const struct permits_answer **answers);

#endif
