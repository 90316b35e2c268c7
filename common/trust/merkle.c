/* Merkle tree over target names. */
#include "common/trust/merkle.h"

#include <assert.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define LEAVES_FIRST 1024U

typedef uint8_t hash[MERKLE_HASH_BYTES];

struct merkle_tree {
    hash *levels[MERKLE_LEVELS_MAX];    /* leaves first; owned */
    uint32_t counts[MERKLE_LEVELS_MAX]; /* nodes of each level */
    uint32_t leaves_capacity;
    unsigned level_count; /* 0 until built */
};

static_assert(1U << (MERKLE_LEVELS_MAX - 1) >= LIMIT_TARGETS_MAX, "levels");

static void put_u32le(uint8_t to[4], uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static void hash_leaf(uint32_t index, const char *name, size_t length, uint8_t to[])
{
    uint8_t block[1 + 4 + 4 + LIMIT_TARGET_NAME_SIZE];
    block[0] = 0x00;
    put_u32le(block + 1, index);
    put_u32le(block + 5, (uint32_t)length);
    memcpy(block + 9, name, length);
    (void)crypto_generichash(to, MERKLE_HASH_BYTES, block, 9 + length, NULL, 0);
}

/* `to` may be one of the children. */
static void hash_node(const uint8_t left[], const uint8_t right[], uint8_t to[])
{
    uint8_t block[1 + 2 * MERKLE_HASH_BYTES];
    block[0] = 0x01;
    memcpy(block + 1, left, MERKLE_HASH_BYTES);
    memcpy(block + 1 + MERKLE_HASH_BYTES, right, MERKLE_HASH_BYTES);
    (void)crypto_generichash(to, MERKLE_HASH_BYTES, block, sizeof block, NULL, 0);
}

static void hash_root(uint32_t count, const uint8_t top[], uint8_t to[])
{
    uint8_t block[1 + 4 + MERKLE_HASH_BYTES];
    block[0] = 0x02;
    put_u32le(block + 1, count);
    memcpy(block + 5, top, MERKLE_HASH_BYTES);
    (void)crypto_generichash(to, MERKLE_HASH_BYTES, block, sizeof block, NULL, 0);
}

static int check_leaf(uint32_t index, size_t length, struct err *err)
{
    if (index >= LIMIT_TARGETS_MAX)
        return err_set(err, ERR_LIMIT, "more than %u targets", LIMIT_TARGETS_MAX);
    if (length >= LIMIT_TARGET_NAME_SIZE)
        return err_set(err, ERR_LIMIT, "target %u has a name of more than %d bytes", index,
                       LIMIT_TARGET_NAME_SIZE - 1);
    return 0;
}

void merkle_roots_init(struct merkle_roots *roots)
{
    memset(roots, 0, sizeof *roots);
}

int merkle_roots_add(struct merkle_roots *roots, const char *name, struct err *err)
{
    size_t length = strnlen(name, LIMIT_TARGET_NAME_SIZE);
    if (check_leaf(roots->count, length, err) != 0)
        return -1;
    hash node;
    unsigned height = 0;
    hash_leaf(roots->count, name, length, node);
    /* Like adding one in binary: a set bit is a complete subtree that takes the new one in. */
    for (; (roots->count >> height & 1) != 0; height++)
        hash_node(roots->pending[height], node, node);
    memcpy(roots->pending[height], node, sizeof node);
    roots->count++;
    return 0;
}

void merkle_roots_get(const struct merkle_roots *roots, uint8_t root[MERKLE_HASH_BYTES])
{
    hash top = {0};
    bool any = false;
    for (unsigned height = 0; height < MERKLE_LEVELS_MAX; height++) {
        if ((roots->count >> height & 1) == 0)
            continue;
        if (any)
            hash_node(roots->pending[height], top, top);
        else
            memcpy(top, roots->pending[height], sizeof top);
        any = true;
    }
    hash_root(roots->count, top, root);
}

struct merkle_tree *merkle_tree_new(void)
{
    return mem_new(1, sizeof(struct merkle_tree));
}

void merkle_tree_free(struct merkle_tree *tree)
{
    if (tree == NULL)
        return;
    for (unsigned level = 0; level < MERKLE_LEVELS_MAX; level++)
        free(tree->levels[level]);
    free(tree);
}

int merkle_tree_add(struct merkle_tree *tree, const char *name, struct err *err)
{
    size_t length = strnlen(name, LIMIT_TARGET_NAME_SIZE);
    assert(tree->level_count == 0);
    if (check_leaf(tree->counts[0], length, err) != 0)
        return -1;
    if (tree->counts[0] == tree->leaves_capacity) {
        tree->leaves_capacity =
            tree->leaves_capacity == 0 ? LEAVES_FIRST : 2 * tree->leaves_capacity;
        tree->levels[0] = mem_resize(tree->levels[0], tree->leaves_capacity, sizeof(hash));
    }
    hash_leaf(tree->counts[0], name, length, tree->levels[0][tree->counts[0]]);
    tree->counts[0]++;
    return 0;
}

uint32_t merkle_tree_count(const struct merkle_tree *tree)
{
    return tree->counts[0];
}

static void build(struct merkle_tree *tree)
{
    if (tree->level_count > 0)
        return;
    unsigned level = 0;
    for (; tree->counts[level] > 1; level++) {
        uint32_t count = tree->counts[level];
        uint32_t above = (count + 1) / 2;
        tree->levels[level + 1] = mem_new(above, sizeof(hash));
        tree->counts[level + 1] = above;
        for (uint32_t i = 0; i < above; i++) {
            uint8_t *to = tree->levels[level + 1][i];
            if (2 * i + 1 < count)
                hash_node(tree->levels[level][2 * i], tree->levels[level][2 * i + 1], to);
            else
                memcpy(to, tree->levels[level][2 * i], MERKLE_HASH_BYTES);
        }
    }
    tree->level_count = level + 1;
}

void merkle_tree_root(struct merkle_tree *tree, uint8_t root[MERKLE_HASH_BYTES])
{
    static const hash none = {0};
    build(tree);
    const uint8_t *top = tree->counts[0] == 0 ? none : tree->levels[tree->level_count - 1][0];
    hash_root(tree->counts[0], top, root);
}

/* Writes the siblings that one level lacks and replaces `nodes` by their parents. Returns how many
 * those are. */
static uint32_t prove_level(const struct merkle_tree *tree, unsigned level, uint32_t *nodes,
                            uint32_t count, struct buf *out)
{
    uint32_t parents = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t node = nodes[i];
        uint32_t sibling = node ^ 1;
        if (i + 1 < count && nodes[i + 1] == sibling)
            i++; /* both children are known to the verifier */
        else if (sibling < tree->counts[level])
            buf_bytes(out, tree->levels[level][sibling], MERKLE_HASH_BYTES);
        nodes[parents++] = node / 2;
    }
    return parents;
}

int merkle_tree_prove(struct merkle_tree *tree, const uint32_t *indices, uint32_t count,
                      struct buf *out, struct err *err)
{
    if (count == 0 || count > tree->counts[0])
        return err_set(err, ERR_INVALID, "cannot prove %u of %u targets", count, tree->counts[0]);
    for (uint32_t i = 0; i < count; i++) {
        if (indices[i] >= tree->counts[0] || (i > 0 && indices[i] <= indices[i - 1]))
            return err_set(err, ERR_INVALID, "cannot prove target %u of %u: out of order or range",
                           indices[i], tree->counts[0]);
    }
    build(tree);
    uint32_t *nodes = mem_new(count, sizeof *nodes);
    memcpy(nodes, indices, count * sizeof *nodes);
    uint32_t left = count;
    for (unsigned level = 0; level + 1 < tree->level_count; level++)
        left = prove_level(tree, level, nodes, left, out);
    free(nodes);
    if (!buf_ok(out))
        return err_set(err, ERR_LIMIT, "proof of %u targets is too long", count);
    return 0;
}

/* A node that the verifier knows. */
struct known {
    uint32_t index;
    hash value;
};

/* The verifier's side of prove_level. Returns the number of parents; 0 when the proof is short. */
static uint32_t climb_level(struct known *nodes, uint32_t count, uint32_t level_size,
                            const uint8_t **proof, size_t *proof_left)
{
    uint32_t parents = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct known node = nodes[i];
        uint32_t sibling = node.index ^ 1;
        if (i + 1 < count && nodes[i + 1].index == sibling) {
            hash_node(node.value, nodes[i + 1].value, node.value);
            i++;
        } else if (sibling < level_size) {
            if (*proof_left < MERKLE_HASH_BYTES)
                return 0;
            if (sibling > node.index)
                hash_node(node.value, *proof, node.value);
            else
                hash_node(*proof, node.value, node.value);
            *proof += MERKLE_HASH_BYTES;
            *proof_left -= MERKLE_HASH_BYTES;
        }
        node.index /= 2;
        nodes[parents++] = node;
    }
    return parents;
}

/* Fills `nodes` with the hashes of the leaves. */
static int hash_leaves(uint32_t total, const struct merkle_leaf *leaves, uint32_t leaf_count,
                       struct known *nodes, struct err *err)
{
    for (uint32_t i = 0; i < leaf_count; i++) {
        size_t length = strnlen(leaves[i].name, LIMIT_TARGET_NAME_SIZE);
        if (length == LIMIT_TARGET_NAME_SIZE)
            return err_set(err, ERR_PROTOCOL, "target name too long");
        if (leaves[i].index >= total || (i > 0 && leaves[i].index <= leaves[i - 1].index))
            return err_set(err, ERR_PROTOCOL, "target %u of %u is out of order or range",
                           leaves[i].index, total);
        nodes[i].index = leaves[i].index;
        hash_leaf(leaves[i].index, leaves[i].name, length, nodes[i].value);
    }
    return 0;
}

int merkle_verify(const uint8_t root[MERKLE_HASH_BYTES], uint32_t total,
                  const struct merkle_leaf *leaves, uint32_t leaf_count, const uint8_t *proof,
                  size_t proof_size, struct err *err)
{
    struct known nodes[LIMIT_ROWS_PER_MESSAGE] = {0};
    if (total == 0 || total > LIMIT_TARGETS_MAX || leaf_count == 0 || leaf_count > total ||
        leaf_count > LIMIT_ROWS_PER_MESSAGE)
        return err_set(err, ERR_PROTOCOL, "proof of %u of %u targets", leaf_count, total);
    if (hash_leaves(total, leaves, leaf_count, nodes, err) != 0)
        return -1;
    uint32_t known = leaf_count;
    for (uint32_t level_size = total; level_size > 1 && known > 0;
         level_size = (level_size + 1) / 2)
        known = climb_level(nodes, known, level_size, &proof, &proof_size);
    if (known == 0)
        return err_set(err, ERR_DENIED, "proof of targets is too short");
    if (proof_size != 0)
        return err_set(err, ERR_DENIED, "proof of targets is too long");
    hash found;
    assert(known == 1);
    hash_root(total, nodes[0].value, found);
    if (sodium_memcmp(found, root, sizeof found) != 0)
        return err_set(err, ERR_DENIED, "targets are not the ones that were signed");
    return 0;
}
