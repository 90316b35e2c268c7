/* common/trust/merkle: every subset of small trees against a brute-force root, and forgeries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "common/base/mem.h"
#include "common/trust/merkle.h"
#include "common/trust/secret.h"

#define NAMES_MAX 300

static char names[NAMES_MAX][16];

static int make_names(void **state)
{
    (void)state;
    for (int i = 0; i < NAMES_MAX; i++)
        (void)snprintf(names[i], sizeof names[i], "pc-%04d", i);
    return trust_start(NULL);
}

/* The definition, written down as plainly as possible: hash of [first, first + count). */
static void brute_top(uint32_t first, uint32_t count, uint8_t to[32])
{
    uint8_t block[512];
    if (count == 1) {
        size_t length = strlen(names[first]);
        const uint8_t head[9] = {
            0, (uint8_t)first, (uint8_t)(first >> 8), 0, 0, (uint8_t)length, 0, 0, 0};
        memcpy(block, head, sizeof head);
        memcpy(block + 9, names[first], length);
        crypto_generichash(to, 32, block, 9 + length, NULL, 0);
        return;
    }
    uint32_t left = 1;
    while (left * 2 < count)
        left *= 2;
    block[0] = 1;
    brute_top(first, left, block + 1);
    brute_top(first + left, count - left, block + 33);
    crypto_generichash(to, 32, block, 65, NULL, 0);
}

static void brute_root(uint32_t count, uint8_t to[32])
{
    uint8_t block[37] = {2, (uint8_t)count, (uint8_t)(count >> 8), 0, 0};
    brute_top(0, count, block + 5);
    crypto_generichash(to, 32, block, sizeof block, NULL, 0);
}

static struct merkle_tree *tree_of(uint32_t count)
{
    struct merkle_tree *tree = merkle_tree_new();
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(merkle_tree_add(tree, names[i], NULL), 0);
    return tree;
}

static void root_of_any_count_matches_the_definition(void **state)
{
    (void)state;
    struct merkle_roots roots;
    merkle_roots_init(&roots);
    for (uint32_t count = 1; count <= NAMES_MAX; count++) {
        uint8_t streamed[32];
        uint8_t kept[32];
        uint8_t brute[32];
        assert_int_equal(merkle_roots_add(&roots, names[count - 1], NULL), 0);
        merkle_roots_get(&roots, streamed);
        brute_root(count, brute);
        struct merkle_tree *tree = tree_of(count);
        merkle_tree_root(tree, kept);
        assert_memory_equal(streamed, brute, 32);
        assert_memory_equal(kept, brute, 32);
        merkle_tree_free(tree);
    }
}

static void root_of_none_is_the_same_both_ways(void **state)
{
    (void)state;
    struct merkle_roots roots;
    struct merkle_tree *tree = merkle_tree_new();
    uint8_t streamed[32];
    uint8_t kept[32];
    merkle_roots_init(&roots);
    merkle_roots_get(&roots, streamed);
    merkle_tree_root(tree, kept);
    assert_memory_equal(streamed, kept, 32);
    merkle_tree_free(tree);
}

static uint32_t subset(uint32_t mask, uint32_t *indices, struct merkle_leaf *leaves)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < 32; i++) {
        if ((mask >> i & 1) == 0)
            continue;
        indices[count] = i;
        leaves[count].index = i;
        leaves[count].name = names[i];
        count++;
    }
    return count;
}

static void proof_of_every_subset_of_small_trees_verifies(void **state)
{
    (void)state;
    struct buf proof;
    buf_init(&proof, 10000);
    for (uint32_t total = 1; total <= 9; total++) {
        struct merkle_tree *tree = tree_of(total);
        uint8_t root[32];
        merkle_tree_root(tree, root);
        for (uint32_t mask = 1; mask < 1U << total; mask++) {
            uint32_t indices[32];
            struct merkle_leaf leaves[32];
            struct err err = {0};
            uint32_t count = subset(mask, indices, leaves);
            buf_reset(&proof);
            assert_int_equal(merkle_tree_prove(tree, indices, count, &proof, &err), 0);
            if (merkle_verify(root, total, leaves, count, proof.data, proof.size, &err) != 0)
                fail_msg("total %u mask %x: %s", total, mask, err.text);
        }
        merkle_tree_free(tree);
    }
    buf_release(&proof);
}

/* Forgeries of the proof of targets {1, 2, 6} of 11. */
struct forgery {
    uint8_t root[32];
    uint32_t total;
    struct merkle_leaf leaves[3];
    uint32_t count;
    struct buf proof;
};

static void make_honest(struct forgery *f)
{
    const uint32_t indices[] = {1, 2, 6};
    struct merkle_tree *tree = tree_of(11);
    merkle_tree_root(tree, f->root);
    f->total = 11;
    f->count = 3;
    for (int i = 0; i < 3; i++)
        f->leaves[i] = (struct merkle_leaf){indices[i], names[indices[i]]};
    buf_init(&f->proof, 4000);
    assert_int_equal(merkle_tree_prove(tree, indices, 3, &f->proof, NULL), 0);
    merkle_tree_free(tree);
}

static int verify(const struct forgery *f)
{
    return merkle_verify(f->root, f->total, f->leaves, f->count, f->proof.data, f->proof.size,
                         NULL);
}

static void proof_with_forged_leaf_index_or_total_is_refused(void **state)
{
    (void)state;
    struct forgery f;
    make_honest(&f);
    assert_int_equal(verify(&f), 0);
    f.leaves[1].name = "evil";
    assert_int_equal(verify(&f), -1);
    f.leaves[1].name = names[3];
    assert_int_equal(verify(&f), -1);
    f.leaves[1].index = 3;
    assert_int_equal(verify(&f), -1);
    f.leaves[1] = (struct merkle_leaf){2, names[2]};
    f.leaves[2].index = 7;
    assert_int_equal(verify(&f), -1);
    f.leaves[2].index = 6;
    for (f.total = 1; f.total < 40; f.total++)
        assert_int_equal(verify(&f), f.total == 11 ? 0 : -1);
    f.total = 0;
    assert_int_equal(verify(&f), -1);
    f.total = UINT32_MAX;
    assert_int_equal(verify(&f), -1);
    buf_release(&f.proof);
}

static void proof_with_any_changed_byte_or_length_is_refused(void **state)
{
    (void)state;
    struct forgery f;
    make_honest(&f);
    for (size_t i = 0; i < f.proof.size; i++) {
        f.proof.data[i] ^= 0x20;
        assert_int_equal(verify(&f), -1);
        f.proof.data[i] ^= 0x20;
    }
    size_t whole = f.proof.size;
    for (f.proof.size = 0; f.proof.size < whole; f.proof.size++)
        assert_int_equal(verify(&f), -1);
    assert_int_equal(verify(&f), 0);
    buf_zero(&f.proof, 32);
    assert_int_equal(verify(&f), -1);
    buf_release(&f.proof);
}

static void proof_of_leaves_out_of_order_is_refused(void **state)
{
    (void)state;
    struct forgery f;
    make_honest(&f);
    struct merkle_leaf swap = f.leaves[0];
    f.leaves[0] = f.leaves[1];
    f.leaves[1] = swap;
    assert_int_equal(verify(&f), -1);
    f.leaves[1] = f.leaves[0];
    assert_int_equal(verify(&f), -1);
    f.count = 0;
    assert_int_equal(verify(&f), -1);
    buf_release(&f.proof);
}

static void proof_inner_node_passed_off_as_a_leaf_is_refused(void **state)
{
    (void)state;
    /* Two targets; the liar offers one, whose "name" is the bytes under the node. */
    struct merkle_tree *tree = tree_of(2);
    uint8_t root[32];
    struct merkle_leaf leaf = {0, names[0]};
    merkle_tree_root(tree, root);
    assert_int_equal(merkle_verify(root, 1, &leaf, 1, NULL, 0, NULL), -1);
    merkle_tree_free(tree);
}

static void proof_of_a_whole_message_of_a_large_push_verifies(void **state)
{
    (void)state;
    const uint32_t total = 100003;
    struct merkle_tree *tree = merkle_tree_new();
    struct merkle_roots roots;
    struct merkle_leaf leaves[LIMIT_ROWS_PER_MESSAGE];
    static char spread[LIMIT_ROWS_PER_MESSAGE][16];
    uint32_t indices[LIMIT_ROWS_PER_MESSAGE];
    uint8_t root[32];
    uint8_t streamed[32];
    struct buf proof;
    merkle_roots_init(&roots);
    for (uint32_t i = 0; i < total; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "pc-%u", i);
        assert_int_equal(merkle_tree_add(tree, name, NULL), 0);
        assert_int_equal(merkle_roots_add(&roots, name, NULL), 0);
    }
    for (uint32_t i = 0; i < LIMIT_ROWS_PER_MESSAGE; i++) {
        indices[i] = i * 390 + i % 7;
        (void)snprintf(spread[i], sizeof spread[i], "pc-%u", indices[i]);
        leaves[i] = (struct merkle_leaf){indices[i], spread[i]};
    }
    merkle_tree_root(tree, root);
    merkle_roots_get(&roots, streamed);
    assert_memory_equal(root, streamed, 32);
    buf_init(&proof, LIMIT_MESSAGE_BYTES_MAX);
    assert_int_equal(merkle_tree_prove(tree, indices, LIMIT_ROWS_PER_MESSAGE, &proof, NULL), 0);
    assert_int_equal(
        merkle_verify(root, total, leaves, LIMIT_ROWS_PER_MESSAGE, proof.data, proof.size, NULL),
        0);
    buf_release(&proof);
    merkle_tree_free(tree);
}

static void prove_nonsense_is_refused(void **state)
{
    (void)state;
    struct merkle_tree *tree = tree_of(5);
    struct buf proof;
    struct err err = {0};
    char long_name[LIMIT_TARGET_NAME_SIZE + 1];
    buf_init(&proof, 31);
    assert_int_equal(merkle_tree_prove(tree, (uint32_t[]){5}, 1, &proof, &err), -1);
    assert_int_equal(merkle_tree_prove(tree, (uint32_t[]){2, 2}, 2, &proof, &err), -1);
    assert_int_equal(merkle_tree_prove(tree, (uint32_t[]){2}, 0, &proof, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    memset(long_name, 'x', LIMIT_TARGET_NAME_SIZE);
    long_name[LIMIT_TARGET_NAME_SIZE] = '\0';
    assert_int_equal(merkle_tree_add(tree, long_name, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(merkle_tree_count(tree), 5);
    assert_int_equal(merkle_tree_prove(tree, (uint32_t[]){2}, 1, &proof, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    merkle_tree_free(tree);
    merkle_tree_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_of_any_count_matches_the_definition),
        cmocka_unit_test(root_of_none_is_the_same_both_ways),
        cmocka_unit_test(proof_of_every_subset_of_small_trees_verifies),
        cmocka_unit_test(proof_with_forged_leaf_index_or_total_is_refused),
        cmocka_unit_test(proof_with_any_changed_byte_or_length_is_refused),
        cmocka_unit_test(proof_of_leaves_out_of_order_is_refused),
        cmocka_unit_test(proof_inner_node_passed_off_as_a_leaf_is_refused),
        cmocka_unit_test(proof_of_a_whole_message_of_a_large_push_verifies),
        cmocka_unit_test(prove_nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, make_names, NULL);
}
