/* What the coordinator's core costs: RELAYS relays on as many sites, TARGETS targets in one push,
 * every target leased, reported and settled. Prints a line per figure; no peer to compare with.
 *
 *     bench_dispatch [RELAYS [TARGETS [SCATTERED]]]     (1000 1000000 1)
 *
 * SCATTERED 1: neighbouring targets are of different sites, the worst case for memory.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "coordinator/core/dispatch.h"

#define CREDIT 1000U

struct bench {
    struct dispatch *core;
    struct dispatch_effects effects;
    uint64_t now_ms;
    uint32_t relay_count, target_count;
    uint32_t settled;
    struct dispatch_lease *held; /* by relay, CREDIT each */
    uint32_t *held_count;
    uint64_t *epochs;
};

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void note(struct bench *bench, const struct dispatch_effect *effect)
{
    if (effect->kind == DISPATCH_PERSIST_OUTCOME)
        bench->settled++;
    if (effect->kind == DISPATCH_PERSIST_EPOCH)
        bench->epochs[effect->relay] = effect->epoch;
    for (uint32_t i = 0; effect->kind == DISPATCH_SEND_LEASE && i < effect->lease_count; i++)
        bench->held[effect->relay * CREDIT + bench->held_count[effect->relay]++] =
            bench->effects.leases[effect->lease_first + i];
}

static void step(struct bench *bench, struct dispatch_event *event)
{
    event->now_ms = bench->now_ms;
    event->now_unix_ms = UINT64_C(1800000000000) + bench->now_ms;
    dispatch_step(bench->core, event, &bench->effects);
    for (size_t i = 0; i < bench->effects.count; i++)
        note(bench, &bench->effects.items[i]);
}

static void know_relays(struct bench *bench)
{
    for (uint16_t relay = 0; relay < bench->relay_count; relay++) {
        struct message_hello hello = {.protocol_version = MESSAGE_PROTOCOL_VERSION,
                                      .instance = (uint64_t)(relay + 1) << 32,
                                      .credit = CREDIT};
        struct dispatch_event known = {.kind = DISPATCH_RELAY_KNOWN};
        struct dispatch_event event = {.kind = DISPATCH_HELLO, .relay = relay};
        known.relay_known = (struct dispatch_relay_known){relay, relay, 0};
        step(bench, &known);
        event.hello = &hello;
        step(bench, &event);
    }
}

static void open_push(struct bench *bench, bool scattered)
{
    uint16_t *sites = mem_new(bench->target_count, sizeof *sites);
    for (uint32_t no = 0; no < bench->target_count; no++)
        sites[no] = (uint16_t)(scattered ? no % bench->relay_count
                                         : (uint64_t)no * bench->relay_count / bench->target_count);
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = {{1}},
                                                      .generation = 1,
                                                      .not_after_unix_s = 1900000000,
                                                      .counter = 1,
                                                      .target_count = bench->target_count,
                                                      .sites = sites};
    step(bench, &event);
    free(sites);
}

/* One batch of a relay's results, and a heartbeat. */
static void report(struct bench *bench, uint16_t relay, struct result_row *rows)
{
    struct message_results results = {
        .epoch = bench->epochs[relay], .sequence = 1, .rows = rows, .row_count = 0};
    struct message_heartbeat heartbeat = {.epoch = bench->epochs[relay], .credit = CREDIT};
    struct dispatch_event event = {.kind = DISPATCH_RESULTS, .relay = relay};
    while (bench->held_count[relay] > 0 && results.row_count < LIMIT_ROWS_PER_MESSAGE) {
        const struct dispatch_lease *lease =
            &bench->held[relay * CREDIT + --bench->held_count[relay]];
        struct result_row *row = &rows[results.row_count++];
        *row = (struct result_row){.push = {{1}},
                                   .generation = 1,
                                   .target_no = lease->target_no,
                                   .attempt = lease->attempt};
        row->outcome.state = lease->target_no % 10 == 0 ? TARGET_UNREACHABLE : TARGET_SCHEDULED;
        row->outcome.reason = lease->target_no % 10 == 0 ? REASON_NO_REPLY : REASON_NONE;
    }
    event.results = &results;
    step(bench, &event);
    event = (struct dispatch_event){.kind = DISPATCH_HEARTBEAT, .relay = relay};
    event.heartbeat = &heartbeat;
    step(bench, &event);
}

static void report_all(struct bench *bench)
{
    struct result_row *rows = mem_new(LIMIT_ROWS_PER_MESSAGE, sizeof *rows);
    uint32_t messages = 0;
    while (bench->settled < bench->target_count) {
        for (uint16_t relay = 0; relay < bench->relay_count; relay++, messages++)
            report(bench, relay, rows);
        struct dispatch_event tick = {.kind = DISPATCH_TICK};
        bench->now_ms += 1000;
        step(bench, &tick);
    }
    (void)printf("batches of results       %10u\n", messages);
    free(rows);
}

int main(int argc, char **argv)
{
    static const struct dispatch_config config = {60000, 10000, 120000, 120000};
    struct bench bench = {.core = dispatch_new(&config), .now_ms = 1000000};
    bench.relay_count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000;
    bench.target_count = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1000000;
    bool scattered = argc <= 3 || strcmp(argv[3], "0") != 0;
    if (bench.relay_count == 0 || bench.relay_count > LIMIT_RELAYS_MAX || bench.target_count == 0 ||
        bench.target_count > LIMIT_TARGETS_MAX)
        return 2;
    bench.held = mem_new((size_t)bench.relay_count * CREDIT, sizeof *bench.held);
    bench.held_count = mem_new(bench.relay_count, sizeof *bench.held_count);
    bench.epochs = mem_new(bench.relay_count, sizeof *bench.epochs);
    dispatch_effects_init(&bench.effects);
    know_relays(&bench);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    double start = seconds();
    open_push(&bench, scattered);
    double opened = seconds();
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
    report_all(&bench);
    double ended = seconds();
    (void)printf("relays, targets          %10u %u%s\n", bench.relay_count, bench.target_count,
                 scattered ? ", scattered" : "");
    (void)printf("open and first window    %10.3f s\n", opened - start);
    (void)printf("results to the end       %10.3f s, %.0f rows/s\n", ended - opened,
                 bench.target_count / (ended - opened));
    (void)printf("memory, effects included %10.1f bytes a target\n",
                 (double)(after - before) / bench.target_count);
    dispatch_free(bench.core);
    dispatch_effects_release(&bench.effects);
    free(bench.held);
    free(bench.held_count);
    free(bench.epochs);
    return 0;
}
