/* common/wire: a message of any kind, as any peer of any link may send it (relay, coordinator, CLI,
 * another relay).
 *
 * Holds: what is decoded encodes again, to bytes that decode to the same; a refusal says why and
 * owns nothing; memory is bounded whatever the counts in the bytes say. */
#include <string.h>

#include "common/wire/wire.h"
#include "fuzz.h"

/* The parser's own structures, and what the message then owns: at most as much again, since
 * nothing in it is larger than the generated struct that it was copied from, except rows of fixed
 * text: those are LIMIT_ROWS_PER_MESSAGE or fewer, of under 2 KiB each. */
#define MEMORY_MAX (2U * WIRE_MEMORY_MAX + LIMIT_ROWS_PER_MESSAGE * 2048U)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct message first;
    static struct message second;
    struct err err = {0};
    fuzz_memory_start();
    int decoded = wire_decode(data, size, &first, &err);
    FUZZ_CHECK(fuzz_memory_taken() <= MEMORY_MAX);
    if (decoded != 0) {
        fuzz_check_error(&err);
        FUZZ_CHECK(first.kind == MESSAGE_NONE);
        return 0;
    }
    FUZZ_CHECK(err.code == ERR_NONE);
    struct buf once;
    struct buf twice;
    buf_init(&once, LIMIT_MESSAGE_BYTES_MAX);
    buf_init(&twice, LIMIT_MESSAGE_BYTES_MAX);
    FUZZ_CHECK(wire_encode(&first, &once, &err) == 0);
    FUZZ_CHECK(wire_decode(once.data, once.size, &second, &err) == 0);
    FUZZ_CHECK(wire_encode(&second, &twice, &err) == 0);
    FUZZ_CHECK(fuzz_same(&once, &twice));
    FUZZ_CHECK(first.kind == second.kind && first.request == second.request);
    buf_release(&once);
    buf_release(&twice);
    message_release(&first);
    message_release(&second);
    return 0;
}
