/* Merkle trees of open pushes: 64 bytes a target, kept while the push is open. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "coordinator/coordinator.h"

struct building {
    struct merkle_tree *tree;
    struct err *err;
    bool failed;
};

static int add_name(void *context, uint32_t target_no, const char *name, uint16_t site,
                    enum target_state state)
{
    struct building *building = context;
    (void)target_no;
    (void)site;
    (void)state;
    building->failed = merkle_tree_add(building->tree, name, building->err) != 0;
    return building->failed;
}

struct merkle_tree *book_tree(struct coordinator *c, uint64_t key, struct err *err)
{
    for (uint32_t i = 0; i < c->book_count; i++)
        if (c->book[i].key == key)
            return c->book[i].tree;
    struct building building = {.tree = merkle_tree_new(), .err = err};
    if (store_target_each(c->store, key, add_name, &building, err) != 0 || building.failed) {
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
