/* One hash over all targets of a push, and proofs that some targets are among them.
 *
 * The operator's tool computes the root and signs it in the job; the coordinator proves the targets
 * of each lease; a relay verifies. So a coordinator can neither add a target nor move one to
 * another number. BLAKE2b-256 (libsodium's crypto_generichash):
 *
 *   leaf = H(0x00 || index u32 || length u32 || name), node = H(0x01 || left || right),
 *   root = H(0x02 || count u32 || top), integers little-endian.
 *
 * A level's odd last node moves up unchanged. A proof for an ascending list of targets is the
 * missing sibling hashes, lowest level first, left to right, and nothing else.
 */
#ifndef PUSHER_TRUST_MERKLE_H
#define PUSHER_TRUST_MERKLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/model/limits.h"

#define MERKLE_HASH_BYTES LIMIT_DIGEST_BYTES
#define MERKLE_LEVELS_MAX 23 /* LIMIT_TARGETS_MAX is 2^22 leaves */

/* Root only, in constant memory: for the operator's tool. Embedded; nothing to release. */
struct merkle_roots {
    uint32_t count;                                        /* leaves so far */
    uint8_t pending[MERKLE_LEVELS_MAX][MERKLE_HASH_BYTES]; /* complete left subtrees, by height */
};

void merkle_roots_init(struct merkle_roots *roots);
/* Adds the next target. Errors: ERR_LIMIT past LIMIT_TARGETS_MAX or a name of
 * LIMIT_TARGET_NAME_SIZE or more. */
int merkle_roots_add(struct merkle_roots *roots, const char *name, struct err *err);
/* Root over the targets added so far (also of none); more may be added after. */
void merkle_roots_get(const struct merkle_roots *roots, uint8_t root[MERKLE_HASH_BYTES]);

/* Keeps all levels, 64 bytes per target: for the coordinator, which proves. */
struct merkle_tree;

struct merkle_tree *merkle_tree_new(void);
void merkle_tree_free(struct merkle_tree *tree);
/* Errors: as merkle_roots_add. Not after the first proof or root. */
int merkle_tree_add(struct merkle_tree *tree, const char *name, struct err *err);
uint32_t merkle_tree_count(const struct merkle_tree *tree);
void merkle_tree_root(struct merkle_tree *tree, uint8_t root[MERKLE_HASH_BYTES]);
/* Appends the proof for `indices` (strictly ascending, count > 0). Errors: ERR_INVALID when they
 * are not, or out of range; ERR_LIMIT when `out` is full. */
int merkle_tree_prove(struct merkle_tree *tree, const uint32_t *indices, uint32_t count,
                      struct buf *out, struct err *err);

/* A target as a lease names it. */
struct merkle_leaf {
    uint32_t index;
    const char *name;
};

/* Whether `leaves` (strictly ascending, leaf_count of 1 to LIMIT_ROWS_PER_MESSAGE) are targets
 * under `root` of `total` targets. Everything may be hostile. Errors: ERR_DENIED when the proof
 * does not fit; ERR_PROTOCOL when order, counts or sizes make no sense. */
int merkle_verify(const uint8_t root[MERKLE_HASH_BYTES], uint32_t total,
                  const struct merkle_leaf *leaves, uint32_t leaf_count, const uint8_t *proof,
                  size_t proof_size, struct err *err);

#endif
