/* Packages: asked for over the package link, kept in the cache, given to jobs. */
#include <inttypes.h>
#include <string.h>

#include "common/base/hex.h"
#include "common/base/log.h"
#include "relay/room.h"
#include "relay/shell_state.h"

#define SHORT_DIGEST_BYTES 4 /* of a digest, in logs */

bool shell_package_needed(void *context, const uint8_t digest[LIMIT_DIGEST_BYTES])
{
    const struct shell *shell = context;
    for (uint32_t i = 0; i < shell->job_count; i++) {
        if (shell->jobs[i].used && !shell->jobs[i].packageless &&
            memcmp(shell->jobs[i].package_digest, digest, LIMIT_DIGEST_BYTES) == 0)
            return true;
    }
    return false;
}

static void room_removed(void *context, const struct package_entry *entry)
{
    char hex[2 * SHORT_DIGEST_BYTES + 1];
    (void)context;
    hex_encode(entry->digest, SHORT_DIGEST_BYTES, hex);
    log_info("package %s removed from the cache to make room (%" PRIu64 " bytes)", hex,
             entry->bytes);
}

int shell_make_room(void *context, uint64_t bytes, struct err *err)
{
    struct shell *shell = context;
    struct room room = {
        .store = shell->store,
        .cache_max = shell->config->cache_max,
        .in_use = shell_package_needed,
        .removed = room_removed,
        .context = shell,
    };
    return room_make(&room, bytes, err);
}

bool shell_request_chunk(void *context, const uint8_t *peer,
                         const struct message_chunk_request *request)
{
    struct shell *shell = context;
    struct message message = {.kind = MESSAGE_CHUNK_REQUEST, .chunk_request = *request};
    if (peer)
        return shell_request_from_peer(shell, peer, &message);
    shell_send_message(shell->package_link, &message);
    return true;
}

static void package_event(struct shell *shell, const struct shell_job *job, const char *failure)
{
    struct err err;
    struct agent_event event = {.kind = AGENT_PACKAGE_READY, .package = {job->job_no, failure}};
    if (!failure && !shell_offer_package(shell, job, &err))
        event.package.detail = err.text;
    if (event.package.detail)
        event.kind = AGENT_PACKAGE_FAILED;
    shell_step(shell, &event);
}

void shell_package_done(void *context, const uint8_t digest[LIMIT_DIGEST_BYTES],
                        const char *failure)
{
    struct shell *shell = context;
    if (failure)
        log_warning("%s", failure);
    else
        log_info("package is here, whole and checked");
    for (uint32_t i = 0; i < shell->job_count; i++) {
        const struct shell_job *job = &shell->jobs[i];
        if (job->used && !job->packageless &&
            memcmp(job->package_digest, digest, LIMIT_DIGEST_BYTES) == 0)
            package_event(shell, job, failure);
    }
}

static void cache_due(uv_timer_t *timer)
{
    struct shell *shell = timer->data;
    cache_tick(shell->cache, shell_now_ms());
    shell_arm_cache(shell);
}

void shell_arm_cache(struct shell *shell)
{
    shell_drop_idle_peer(shell);
    uint64_t due_ms = cache_due_ms(shell->cache);
    uint64_t now_ms = shell_now_ms();
    if (due_ms == UINT64_MAX) {
        (void)uv_timer_stop(&shell->cache_timer);
        return;
    }
    uv_update_time(&shell->loop);
    (void)uv_timer_start(&shell->cache_timer, cache_due, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}
