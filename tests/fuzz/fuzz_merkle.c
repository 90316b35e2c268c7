/* common/trust/merkle: a lease's targets and their proof, from a coordinator that wants a relay to
 * touch more than the operator signed for.
 *
 * Input: how many targets, which of them, then changes. Holds: the tree and the constant-memory
 * roots agree; the proof of what is there verifies; with anything changed (a name, a number, the
 * count, the root, the proof) it does not. */
#include <stdio.h>
#include <string.h>

#include "common/trust/merkle.h"
#include "common/trust/secret.h"
#include "fuzz.h"

#define TARGETS_MAX 70U
#define NAME_SIZE 24

static char names[TARGETS_MAX + 1][NAME_SIZE];
static struct merkle_leaf leaves[TARGETS_MAX];
static uint32_t indices[TARGETS_MAX];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    FUZZ_CHECK(trust_start(NULL) == 0);
    return 0;
}

static struct merkle_tree *plant(struct cursor *in, uint32_t total, uint8_t root[MERKLE_HASH_BYTES])
{
    struct merkle_tree *tree = merkle_tree_new();
    struct merkle_roots roots;
    uint8_t other[MERKLE_HASH_BYTES];
    uint8_t salt = cursor_u8(in);
    merkle_roots_init(&roots);
    for (uint32_t i = 0; i < total; i++) {
        (void)snprintf(names[i], NAME_SIZE, "pc-%u-%u", i, salt);
        FUZZ_CHECK(merkle_tree_add(tree, names[i], NULL) == 0);
        FUZZ_CHECK(merkle_roots_add(&roots, names[i], NULL) == 0);
    }
    merkle_tree_root(tree, root);
    merkle_roots_get(&roots, other);
    FUZZ_CHECK(memcmp(root, other, sizeof other) == 0);
    return tree;
}

static uint32_t choose(struct cursor *in, uint32_t total)
{
    uint32_t count = 0;
    uint8_t bits = 0;
    for (uint32_t i = 0; i < total; i++) {
        if (i % 8 == 0)
            bits = cursor_u8(in);
        if ((bits >> (i % 8) & 1) == 0)
            continue;
        indices[count] = i;
        leaves[count++] = (struct merkle_leaf){.index = i, .name = names[i]};
    }
    return count;
}

/* Changes one thing; whether anything is another than before. */
static bool change(struct cursor *in, uint8_t root[MERKLE_HASH_BYTES], uint32_t *total,
                   uint32_t count, struct buf *proof)
{
    uint8_t how = cursor_u8(in);
    uint32_t at = cursor_u16le(in);
    uint8_t with = cursor_u8(in);
    struct merkle_leaf *leaf = &leaves[at % count];
    switch (how % 8) {
    case 0:
        if (proof->size == 0 || with == 0)
            return false;
        proof->data[at % proof->size] ^= with;
        return true;
    case 1:
        buf_u8(proof, with);
        return true;
    case 2:
        if (proof->size == 0)
            return false;
        proof->size = at % proof->size;
        return true;
    case 3:
        fuzz_text(in, names[TARGETS_MAX], NAME_SIZE);
        leaf->name = names[TARGETS_MAX];
        return strcmp(leaf->name, names[leaf->index]) != 0;
    case 4:
        leaf->index ^= with;
        return with != 0;
    case 5:
        *total ^= with;
        return with != 0;
    case 6:
        root[at % MERKLE_HASH_BYTES] ^= with;
        return with != 0;
    default:
        return false;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = cursor_of(data, size);
    struct err err = {0};
    uint8_t root[MERKLE_HASH_BYTES];
    uint32_t total = 1 + cursor_u8(&in) % TARGETS_MAX;
    struct merkle_tree *tree = plant(&in, total, root);
    uint32_t count = choose(&in, total);
    struct buf proof;
    buf_init(&proof, 65536);
    if (count == 0) {
        FUZZ_CHECK(merkle_tree_prove(tree, indices, 0, &proof, &err) != 0);
    } else {
        FUZZ_CHECK(merkle_tree_prove(tree, indices, count, &proof, &err) == 0);
        bool changed = change(&in, root, &total, count, &proof);
        int verified = merkle_verify(root, total, leaves, count, proof.data, proof.size, &err);
        FUZZ_CHECK((verified == 0) == !changed);
        if (verified != 0)
            fuzz_check_error(&err);
    }
    buf_release(&proof);
    merkle_tree_free(tree);
    return 0;
}
