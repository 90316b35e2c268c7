/* Packages of the CLI: uploaded, listed, removed, read through again.
 *
 * They stay until `pusher package rm`: nobody but the admin knows what the next push will be of.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/hex.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/pkg/digest.h"
#include "common/pkg/name.h"
#include "coordinator/coordinator.h"

#define READ_BYTES (1U << 20)
#define SHORT_DIGEST_BYTES 8 /* of a digest, for people */
#define SHORT_DIGEST_SIZE (2 * SHORT_DIGEST_BYTES + 1)

/* ---- uploading ---- */

static struct offer *find_offer(struct coordinator *c, const uint8_t *digest)
{
    for (size_t i = 0; i < COORDINATOR_UPLOADS_MAX; i++)
        if (c->offers[i].used && memcmp(c->offers[i].digest, digest, LIMIT_DIGEST_BYTES) == 0)
            return &c->offers[i];
    return NULL;
}

/* A free place, or the one that nobody touched for the longest time. */
static struct offer *new_offer(struct coordinator *c)
{
    struct offer *oldest = &c->offers[0];
    for (size_t i = 0; i < COORDINATOR_UPLOADS_MAX; i++) {
        if (!c->offers[i].used)
            return &c->offers[i];
        if (c->offers[i].touched_ms < oldest->touched_ms)
            oldest = &c->offers[i];
    }
    return oldest;
}

static void want(struct coordinator *c, const struct link_peer *peer, uint32_t request,
                 uint64_t offset)
{
    struct message answer = {
        .kind = MESSAGE_PACKAGE_WANT, .request = request, .package_want = {offset}};
    shell_send(c, c->control_link, peer, &answer);
}

/* Notes what the package is called, unless that is known. */
static int note_package(struct coordinator *c, const struct message_package_offer *said,
                        struct err *err)
{
    struct package_row row = {0};
    if (store_package_get(c->store, said->digest, &row, NULL) == 0 &&
        strcmp(row.name, said->name) == 0 && row.directory == said->directory)
        return 0;
    memcpy(row.digest, said->digest, sizeof row.digest);
    memcpy(row.name, said->name, sizeof row.name);
    row.bytes = said->bytes;
    row.directory = said->directory;
    row.added_unix_ms = clock_unix_ms();
    c->commit_due = true;
    return store_package_put(c->store, &row, err);
}

void control_package_offer(struct coordinator *c, const struct link_peer *peer,
                           const struct message *message)
{
    const struct message_package_offer *said = &message->package_offer;
    struct err err = {0};
    uint64_t offset = 0;
    if (package_name_check(said->name, &err) != 0 ||
        package_store_offset(c->packages, said->digest, said->bytes, &offset, &err) != 0 ||
        note_package(c, said, &err) != 0) {
        control_fail(c, peer, message->request, &err);
        return;
    }
    struct offer *offer = find_offer(c, said->digest);
    if (offer == NULL)
        offer = new_offer(c);
    *offer = (struct offer){.used = true, .bytes = said->bytes, .touched_ms = clock_boottime_ms()};
    memcpy(offer->digest, said->digest, LIMIT_DIGEST_BYTES);
    want(c, peer, message->request, offset);
}

void control_package_data(struct coordinator *c, const struct link_peer *peer,
                          const struct message *message)
{
    const struct message_package_data *data = &message->package_data;
    struct offer *offer = find_offer(c, data->digest);
    struct err err = {0};
    uint64_t next = 0;
    if (offer == NULL) {
        (void)err_set(&err, ERR_INVALID, "this package was not offered, or too long ago");
        control_fail(c, peer, message->request, &err);
        return;
    }
    offer->touched_ms = clock_boottime_ms();
    if (package_store_append(c->packages, data->digest, offer->bytes, data->offset, data->data,
                             data->size, &next, &err) != 0) {
        control_fail(c, peer, message->request, &err);
        return;
    }
    want(c, peer, message->request, next);
}

/* ---- looking, removing ---- */

void control_packages_get(struct coordinator *c, const struct link_peer *peer,
                          const struct message *message)
{
    struct message answer = {.kind = MESSAGE_PACKAGES, .request = message->request};
    struct message_packages *packages = &answer.packages;
    struct err err = {0};
    packages->rows = mem_new(LIMIT_ROWS_PER_MESSAGE, sizeof *packages->rows);
    if (store_package_list(c->store, packages->rows, LIMIT_ROWS_PER_MESSAGE, &packages->row_count,
                           &err) != 0) {
        control_fail(c, peer, message->request, &err);
        message_release(&answer);
        return;
    }
    for (uint32_t i = 0; i < packages->row_count; i++) {
        struct package_row *row = &packages->rows[i];
        if (package_store_offset(c->packages, row->digest, row->bytes, &row->stored, &err) != 0) {
            log_warning("%s", err.text);
            row->stored = 0;
        }
    }
    shell_send(c, c->control_link, peer, &answer);
    message_release(&answer);
}

static int remove_package(struct coordinator *c, const uint8_t *digest, struct err *err)
{
    struct package_row row;
    if (store_package_get(c->store, digest, &row, err) != 0)
        return -1;
    if (row.in_use)
        return err_set(err, ERR_EXISTS, "an open push needs %s: cancel it or let it end first",
                       row.name);
    c->commit_due = true;
    /* The row last: a crash between the two leaves a package without bytes, which can be removed.
     */
    if (package_store_remove(c->packages, digest, err) != 0 ||
        store_package_drop(c->store, digest, err) != 0)
        return -1;
    struct offer *offer = find_offer(c, digest);
    if (offer != NULL)
        *offer = (struct offer){0};
    return 0;
}

void control_package_rm(struct coordinator *c, const struct link_peer *peer,
                        const struct message *message)
{
    const uint8_t *digest = message->package_ref.digest;
    char hex[SHORT_DIGEST_SIZE];
    struct err err = {0};
    hex_encode(digest, SHORT_DIGEST_BYTES, hex);
    if (remove_package(c, digest, &err) != 0) {
        control_fail(c, peer, message->request, &err);
        return;
    }
    log_info("package %s removed by uid %u", hex, (unsigned)peer->uid);
    control_ok(c, peer, message->request, false);
}

/* ---- reading through ---- */

/* Gigabytes take seconds: in another thread, which shares nothing but `stop` with the loop. */
struct package_check {
    uv_work_t work;
    struct coordinator *c;
    struct link_peer peer; /* who asked last ... */
    uint32_t request;
    uint8_t digest[LIMIT_DIGEST_BYTES];
    int fd; /* owned */
    atomic_bool stop;
    int error; /* errno of reading; 0: none */
    bool right;
};

/* In the thread. */
static void read_through(uv_work_t *work)
{
    struct package_check *check = work->data;
    struct digest *running = digest_new();
    uint8_t *block = mem_new(READ_BYTES, 1);
    uint8_t found[LIMIT_DIGEST_BYTES];
    ssize_t got = 1;
    off_t at = 0;
    while (got != 0 && check->error == 0 && !atomic_load(&check->stop)) {
        got = pread(check->fd, block, READ_BYTES, at);
        if (got > 0) {
            digest_add(running, block, (size_t)got);
            at += got;
        } else if (got < 0 && errno != EINTR) {
            check->error = errno;
        }
    }
    digest_end(running, found);
    check->right = memcmp(found, check->digest, sizeof found) == 0;
    digest_free(running);
    free(block);
}

static void answer_check(const struct package_check *check)
{
    struct coordinator *c = check->c;
    char hex[SHORT_DIGEST_SIZE];
    struct err err = {0};
    hex_encode(check->digest, SHORT_DIGEST_BYTES, hex);
    if (check->error == 0 && check->right) {
        control_ok(c, &check->peer, check->request, true);
        return;
    }
    if (check->error != 0) {
        (void)err_set_errno(&err, check->error, "cannot read package %s", hex);
    } else if (package_store_remove(c->packages, check->digest, &err) == 0) {
        (void)err_set(&err, ERR_IO,
                      "package %s was damaged on the coordinator's disk and is removed: bring it "
                      "again (pusher package add)",
                      hex);
    }
    log_error("%s", err.text);
    control_fail(c, &check->peer, check->request, &err);
}

static void check_ended(uv_work_t *work, int status)
{
    struct package_check *check = work->data;
    struct coordinator *c = check->c;
    for (size_t i = 0; i < COORDINATOR_CHECKS_MAX; i++)
        if (c->checks[i] == check)
            c->checks[i] = NULL;
    if (status == 0 && !atomic_load(&check->stop) && !c->stopping)
        answer_check(check);
    (void)close(check->fd);
    free(check);
}

static int begin_check(struct coordinator *c, const struct link_peer *peer,
                       const struct message *message, struct err *err)
{
    const uint8_t *digest = message->package_ref.digest;
    struct package_check **place = NULL;
    for (size_t i = 0; i < COORDINATOR_CHECKS_MAX; i++) {
        struct package_check *check = c->checks[i];
        if (check == NULL) {
            place = &c->checks[i];
        } else if (memcmp(check->digest, digest, LIMIT_DIGEST_BYTES) == 0) {
            check->peer = *peer; /* asked again: it still runs */
            check->request = message->request;
            return 0;
        }
    }
    if (place == NULL)
        return err_set(err, ERR_LIMIT, "%u packages are being read already: try again later",
                       COORDINATOR_CHECKS_MAX);
    uint64_t bytes = 0;
    int fd = package_store_open(c->packages, digest, &bytes, err);
    if (fd < 0)
        return -1;
    struct package_check *check = mem_new(1, sizeof *check);
    check->work.data = check;
    check->c = c;
    check->peer = *peer;
    check->request = message->request;
    memcpy(check->digest, digest, sizeof check->digest);
    check->fd = fd;
    if (uv_queue_work(c->loop, &check->work, read_through, check_ended) != 0) {
        (void)close(fd);
        free(check);
        return err_set(err, ERR_IO, "cannot start a thread");
    }
    *place = check;
    return 0;
}

void control_package_verify(struct coordinator *c, const struct link_peer *peer,
                            const struct message *message)
{
    struct err err = {0};
    if (begin_check(c, peer, message, &err) != 0)
        control_fail(c, peer, message->request, &err);
}

void control_package_release(struct coordinator *c)
{
    for (size_t i = 0; i < COORDINATOR_CHECKS_MAX; i++)
        if (c->checks[i] != NULL)
            atomic_store(&c->checks[i]->stop, true);
}
