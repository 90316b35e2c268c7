/* One operator, one relay, and a good signed object of every kind between them: what the fuzzers of
 * signed bytes begin with. The keys are made of fixed seeds. */
#ifndef PUSHER_TESTS_FUZZ_SIGNED_WORLD_H
#define PUSHER_TESTS_FUZZ_SIGNED_WORLD_H

#include "common/base/buf.h"
#include "common/model/job.h"
#include "common/model/signed_objects.h"
#include "common/trust/keys.h"
#include "common/trust/signed.h"

#define WORLD_NOW_S 1700000000

struct signed_world {
    struct key_pair operator_key; /* the policy's only operator */
    struct key_pair stranger;     /* operator of nothing */
    struct key_pair seal;         /* the relay's */
    struct policy policy;         /* version 1 */
    struct certificate certificate;
    struct job job;
    struct buf objects[SIGNED_KIND_COUNT]; /* by kind; the policy is version 2 */
};

/* Made at the first call, never released. */
const struct signed_world *signed_world(void);

#endif
