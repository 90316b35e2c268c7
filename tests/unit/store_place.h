/* A coordinator's store in a folder of its own, for unit tests of the store. */
#ifndef PUSHER_TESTS_UNIT_STORE_PLACE_H
#define PUSHER_TESTS_UNIT_STORE_PLACE_H

#include "coordinator/store/store.h"

/* Fails the test with the error's text; the call names its last argument `failed`. */
#define OK(call)                                                                                   \
    do {                                                                                           \
        struct err failure = {0};                                                                  \
        struct err *failed = &failure;                                                             \
        if ((call) != 0)                                                                           \
            fail_msg("%s", failure.text);                                                          \
    } while (0)

struct store_place {
    char folder[64];
    char path[96];
    struct store *store;
};

/* cmocka's setup: a new folder, an empty store in it. */
int store_place_set_up(void **state);
/* cmocka's teardown: nothing stays. */
int store_place_tear_down(void **state);
/* As after a restart: what wasn't committed is gone. */
void store_place_reopen(struct store_place *place);

#endif
