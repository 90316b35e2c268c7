/* See store_place.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <unistd.h>

#include "tests/unit/store_place.h"

void store_place_reopen(struct store_place *place)
{
    store_close(place->store);
    OK(store_open(&place->store, place->path, failed));
}

int store_place_set_up(void **state)
{
    struct store_place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/pusher-store-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->path, sizeof place->path, "%s/store.db", place->folder);
    OK(store_open(&place->store, place->path, failed));
    *state = place;
    return 0;
}

int store_place_tear_down(void **state)
{
    struct store_place *place = *state;
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    store_close(place->store);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s%s", place->path, ends[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(place->folder), 0);
    free(place);
    return 0;
}
