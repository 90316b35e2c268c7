/* Merkle trees of open pushes: 64 bytes a target, kept while the push is open. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "coordinator/coordinator.h"

struct building {
    struct merkle_tree *tree;
    uint8_t *old; /* one per target: of an older generation, an empty leaf now */
    uint32_t target_count;
    struct err *err;
    bool failed;
};

static int add_name(void *context, uint32_t target_no, const char *name, uint16_t site,
                    enum target_state state)
{
    struct building *building = context;
    (void)site;
    (void)state;
    bool old = target_no < building->target_count && building->old[target_no];
    building->failed = merkle_tree_add(building->tree, old ? "" : name, building->err) != 0;
    return building->failed;
}

static int note_old(void *context, uint32_t target_no)
{
    struct building *building = context;
    if (target_no < building->target_count)
        building->old[target_no] = 1;
    return 0;
}

static int build(struct coordinator *c, uint64_t key, struct building *building, struct err *err)
{
    struct push_summary summary = {0};
    if (store_summary(c->store, key, &summary, err) != 0)
        return -1;
    building->target_count = totals_submitted(&summary.totals);
    building->old = mem_new(building->target_count + 1U, 1);
    if (store_old_each(c->store, key, note_old, building, err) != 0 ||
        store_target_each(c->store, key, add_name, building, err) != 0)
        return -1;
    return building->failed ? -1 : 0;
}

struct merkle_tree *book_tree(struct coordinator *c, uint64_t key, struct err *err)
{
    for (uint32_t i = 0; i < c->book_count; i++)
        if (c->book[i].key == key)
            return c->book[i].tree;
    struct building building = {.tree = merkle_tree_new(), .err = err};
    int result = build(c, key, &building, err);
    free(building.old);
    if (result != 0) {
        merkle_tree_free(building.tree);
        return NULL;
    }
    book_put_take(c, key, building.tree);
    return building.tree;
}

void book_put_take(struct coordinator *c, uint64_t key, struct merkle_tree *tree)
{
    c->book = mem_resize(c->book, c->book_count + 1U, sizeof *c->book);
    c->book[c->book_count++] = (struct book_entry){key, tree};
}

void book_drop(struct coordinator *c, uint64_t key)
{
    for (uint32_t i = 0; i < c->book_count; i++) {
        if (c->book[i].key != key)
            continue;
        merkle_tree_free(c->book[i].tree);
        c->book[i] = c->book[--c->book_count];
        return;
    }
}

void book_release(struct coordinator *c)
{
    for (uint32_t i = 0; i < c->book_count; i++)
        merkle_tree_free(c->book[i].tree);
    free(c->book);
    c->book = NULL;
    c->book_count = 0;
}
