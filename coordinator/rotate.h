/* A new CURVE key for the coordinator, without a relay that loses it. Called by main.c.
 *
 * Relays dial every coordinator's key of their policy, so both keys are in one for a while:
 *   1. rotate_begin makes curve.next.key and .pub; the operator puts that one into the policy,
 * which reaches the relays while the coordinator still runs with the old key;
 *   2. rotate_finish, with the coordinator stopped, puts it in the old one's place;
 *   3. the operator takes the old key out of the policy.
 * Each step may be repeated.
 */
#ifndef PUSHER_COORDINATOR_ROTATE_H
#define PUSHER_COORDINATOR_ROTATE_H

#include "common/base/err.h"

/* Makes the next key, if there is none yet, and prints its public half. Errors: ERR_NOT_FOUND when
 * the folder holds no coordinator; ERR_IO. */
int rotate_begin(const char *folder, struct err *err);
/* Errors: ERR_EXISTS a coordinator runs there; ERR_NOT_FOUND there is no next key; ERR_DENIED the
 * newest policy doesn't name it yet: relays would be locked out. */
int rotate_finish(const char *folder, struct err *err);

#endif
