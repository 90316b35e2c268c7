/* The relay's state folder: its keys and where its files are.
 *
 *   curve.key curve.pub   identity on the links
 *   seal.key  seal.pub    credentials are sealed to it
 *   journal.db            spool.h
 *   cache/                packages by digest
 *   enrolled policy.signed certificate.signed   enrolment.h; not in private mode
 *   curve.key.old seal.key.old                  before it was enrolled again; of no use any more
 *   lock                  held by the process that works with the folder
 *
 * The folder is ours alone (0700); keys that others could read or replace are refused.
 */
#ifndef PUSHER_RELAY_STATE_H
#define PUSHER_RELAY_STATE_H

#include "common/base/err.h"
#include "common/trust/keys.h"

struct relay_state {
    char *folder; /* owned */
    struct key_pair curve;
    struct key_pair seal;
};

/* Makes folder, keys and their public files where missing; what is there is kept. Errors:
 * ERR_DENIED, ERR_INVALID, ERR_IO. */
int relay_state_init(const char *folder, struct err *err);
/* Loads the keys. Errors: ERR_NOT_FOUND (run init), ERR_DENIED, ERR_INVALID, ERR_IO. */
int relay_state_load(struct relay_state *state, const char *folder, struct err *err);
void relay_state_release(struct relay_state *state);
/* Holds the folder until relay_state_unlock, or the process's end. Errors: ERR_EXISTS (another
 * process has it), ERR_IO. */
int relay_state_lock(const char *folder, int *lock_fd, struct err *err);
/* -1 is fine. */
void relay_state_unlock(int lock_fd);
/* These keys from now on; those before are moved aside. Errors: ERR_IO, ERR_NO_SPACE. */
int relay_state_replace(const char *folder, const struct key_pair *curve,
                        const struct key_pair *seal, struct err *err);
/* Path of a file in the folder; the caller frees it. */
char *relay_state_path(const struct relay_state *state, const char *name);

/* Reads a public key of 64 hexadecimal digits from a file that nobody but us or root can change.
 * Errors: ERR_NOT_FOUND, ERR_DENIED, ERR_INVALID, ERR_IO. */
int public_key_read(const char *path, uint8_t key[LIMIT_KEY_BYTES], struct err *err);
/* Refuses folders that others than us or root may write. Errors: ERR_NOT_FOUND, ERR_DENIED,
 * ERR_INVALID. */
int folder_check(const char *path, struct err *err);

#endif
