/* Keys of people: the secret half in a file that a passphrase opens.
 *
 * Argon2id turns the passphrase into a key (libsodium's crypto_pwhash, its "moderate" costs: 256
 * MiB and three passes), XSalsa20-Poly1305 closes the box. Where the file may be, its mode and its
 * owner: as keys.h says. Daemons' keys stay unwrapped: nobody is there to ask.
 */
#ifndef PUSHER_TRUST_WRAPPED_H
#define PUSHER_TRUST_WRAPPED_H

#include <stdbool.h>

#include "common/base/err.h"
#include "common/trust/keys.h"

/* Writes the pair to a new file. The passphrase is a NUL-terminated string in secret memory, not
 * empty. Errors: as key_pair_save; ERR_LIMIT when there is not enough memory for Argon2id. */
int key_pair_save_wrapped(const struct key_pair *pair, const char *path, const char *passphrase,
                          struct err *err);
/* What the file says of itself: its public half, and whether a passphrase is needed (else it is one
 * of key_pair_save). Errors: as key_pair_load. */
int key_file_look(const char *path, enum key_kind kind, uint8_t public_key[LIMIT_KEY_BYTES],
                  bool *wrapped, struct err *err);
/* Reads a pair from either kind of file; the passphrase is not looked at when none is needed.
 * Errors: as key_pair_load; ERR_DENIED when the passphrase is wrong; ERR_LIMIT as above. */
int key_pair_load_wrapped(struct key_pair *pair, enum key_kind kind, const char *path,
                          const char *passphrase, struct err *err);

#endif
