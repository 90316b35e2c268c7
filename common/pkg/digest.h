/* SHA-256 piece by piece. OpenSSL's: on large packages several times as fast as libsodium's. */
#ifndef PUSHER_PKG_DIGEST_H
#define PUSHER_PKG_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/limits.h"

struct digest; /* one running computation */

struct digest *digest_new(void);
void digest_free(struct digest *digest);
void digest_add(struct digest *digest, const void *data, size_t size);
/* Ends the computation; only digest_free may follow. */
void digest_end(struct digest *digest, uint8_t out[LIMIT_DIGEST_BYTES]);
/* Adds `size` bytes of a file from its start, blocking. Errors: ERR_IO; ERR_INVALID when the file
 * ends before. */
int digest_add_file(struct digest *digest, int fd, uint64_t size, struct err *err);

#endif
