/* Stage 5: the package under C:\SPDISTRO, whole or not at all.
 *
 * Bytes go to a temporary file that is made and marked for deletion in one message, so that a
 * broken connection leaves nothing behind; space is allocated first, so that a full disk shows at
 * once. When every byte is acknowledged the file is flushed, the mark is taken off, and the file is
 * renamed over the final name, again in one message. Whether somebody holds that name is asked
 * before the first byte, and again when renaming fails. A package that one credit pays for goes
 * along with the making of its file.
 *
 * Of a package of several files each goes this way, one after the other (copy_folder.c); a
 * connection that is lost begins anew with the first.
 *
 * Memory: pieces are read straight into the connection's output buffer. One that copies alone has
 * two of PIECE_BYTES there; many share QUEUED_BYTES and write smaller pieces.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "relay/stage/copy.h"
#include "relay/stage/filesd.h"
#include "relay/stage/statusmap.h"

#define PIECE_BYTES (512U << 10) /* one write at most, and ... */
#define PIECE_STEP (64U << 10)   /* ... at least: one credit's worth */
#define WINDOW_BYTES (4U << 20)  /* not acknowledged yet, of one target */
#define QUEUED_BYTES (32U << 20) /* in the buffers of all targets together */
#define READ_WINDOW 8            /* --verify: reads on the way */
#define LAN_PAUSE_MAX_MS 1000U   /* then the rate is looked at again */

uint64_t copy_tag(const struct session *session, enum copy_step step, uint32_t piece)
{
    return session_tag(session, (piece << 8) | (uint32_t)step);
}

/* Of the file in work: the package, or one of its files. */
static uint64_t file_bytes(const struct session *session)
{
    return session->copy->size;
}

void copy_requested(struct session *session, int status, const struct err *err)
{
    if (status != 0)
        session_fail_request(session, err);
}

/* --- Failing: nothing may stay behind --- */

static void copy_over(struct session *session)
{
    struct copy_state *copy = session->copy;
    session_fail(session, copy->reason, copy->kind, copy->code, "%s", copy->text);
}

void copy_fail(struct session *session, enum reason reason, enum code_kind kind, uint32_t code,
               const char *text)
{
    struct copy_state *copy = session->copy;
    struct err err;
    if (copy->failing)
        return;
    copy->failing = true;
    copy->reason = reason;
    copy->kind = kind;
    copy->code = code;
    copy_say(session, text, copy->text);
    if (!copy->open) {
        copy_over(session);
        return;
    }
    copy->step = COPY_ABANDON;
    smb_compound_begin(session->conn);
    bool made =
        smb_set_delete(session->conn, copy_tag(session, COPY_MARK, 0), copy->file, true, &err) ==
            0 &&
        smb_close(session->conn, copy_tag(session, COPY_ABANDON, 0), smb_related_file(), &err) == 0;
    copy_requested(session, smb_compound_end(session->conn, made, &err), &err);
}

void copy_fail_status(struct session *session, uint32_t status, const char *what)
{
    char text[LIMIT_DETAIL_SIZE];
    const char *name = ntstatus_name(status);
    (void)snprintf(text, sizeof text, "%s: %s", what, name != NULL ? name : "unknown status");
    copy_fail(session, status_reason(STAGE_COPY, status), CODE_NTSTATUS, status, text);
}

static void copy_lost(struct session *session, const struct session_loss *loss)
{
    struct copy_state *copy = session->copy;
    if (copy == NULL || !copy->failing) {
        session_lost_default(session, loss);
        return;
    }
    /* The server deletes the marked file with the connection; the first failure counts. */
    struct session_loss first = {.reason = copy->reason, .kind = copy->kind, .code = copy->code};
    memcpy(first.text, copy->text, sizeof first.text);
    session_lost_default(session, &first);
}

static void copy_release(struct session *session)
{
    if (session->copy != NULL && session->copy->streaming)
        session->runner->copying_count--;
    free(session->copy);
    session->copy = NULL;
}

/* --- Temporary file --- */

static bool package_read(struct session *session, uint64_t offset, size_t size);

static uint64_t loop_ms(const struct session *session)
{
    return uv_now(session->runner->config.loop);
}

/* How long bytes have to wait for those of others; 0: not at all. */
static uint64_t lan_wait_ms(const struct session *session)
{
    struct pace *lan = &session->runner->lan;
    return lan->rate == 0 ? 0 : pace_wait_ms(lan, loop_ms(session));
}

/* Whether the package can go along with the making of its file. */
static bool can_go_along(const struct session *session)
{
    uint64_t size = file_bytes(session);
    return size > 0 && size <= SMB_COMPOUND_WRITE_MAX &&
           size <= smb_conn_server(session->conn)->write_size_max && lan_wait_ms(session) == 0;
}

static int temporary_create(struct session *session, struct err *err)
{
    struct buf descriptor;
    char id[PUSH_ID_TEXT_SIZE];
    char path[SMB_PATH_SIZE_MAX];
    buf_init(&descriptor, FILESD_SIZE_MAX);
    filesd_build(&descriptor, &session->job->job);
    push_id_text(&session->job->job.push, id);
    (void)snprintf(path, sizeof path,
                   STAGE_FOLDER "\\" STAGE_TEMPORARY_PREFIX "%s-%" PRIu32 STAGE_TEMPORARY_SUFFIX,
                   id, session->job->job.generation);
    struct smb_create_request request = {
        .path = path,
        .access = SMB_ACCESS_WRITE_DATA | SMB_ACCESS_READ_ATTRIBUTES | SMB_ACCESS_DELETE |
                  SMB_ACCESS_SYNCHRONIZE | (session->job->job.verify ? SMB_ACCESS_READ_DATA : 0U),
        .share = SMB_SHARE_NONE,
        .disposition = SMB_OVERWRITE_IF, /* sweeps what a crash may have left */
        .options = SMB_OPTION_NON_DIRECTORY | SMB_OPTION_OPEN_REPARSE_POINT,
        .attributes = SMB_ATTRIBUTE_NORMAL,
        .security_descriptor = descriptor.data,
        .security_descriptor_size = descriptor.size,
    };
    int made =
        smb_create(session->conn, copy_tag(session, COPY_CREATE, 0), session->tree, &request, err);
    buf_release(&descriptor);
    return made;
}

/* What follows the mark in the same message: the whole package, or room for it. */
static int temporary_fill(struct session *session, struct err *err)
{
    struct smb_file file = smb_related_file();
    uint32_t size = (uint32_t)file_bytes(session);
    if (!session->copy->along)
        return smb_set_allocation(session->conn, copy_tag(session, COPY_ALLOCATE, 0), file,
                                  file_bytes(session), err);
    pace_take(&session->runner->lan, size);
    if (smb_write(session->conn, copy_tag(session, COPY_WRITE, size), file, 0,
                  session->runner->scratch, size, err) != 0)
        return -1;
    return smb_flush(session->conn, copy_tag(session, COPY_FLUSH, 0), file, err);
}

/* One message, so that a server that has the file has the mark too. */
void copy_create(struct session *session)
{
    struct err err;
    session->copy->along = can_go_along(session);
    if (session->copy->along && !package_read(session, 0, file_bytes(session)))
        return;
    session->copy->step = COPY_CREATE;
    smb_compound_begin(session->conn);
    bool made = temporary_create(session, &err) == 0 &&
                smb_set_delete(session->conn, copy_tag(session, COPY_MARK, 0), smb_related_file(),
                               true, &err) == 0 &&
                temporary_fill(session, &err) == 0;
    copy_requested(session, smb_compound_end(session->conn, made, &err), &err);
}

static void copy_created(struct session *session, const struct smb_reply *reply)
{
    struct copy_state *copy = session->copy;
    if (ntstatus_is_error(reply->status)) {
        /* A lost connection of ours may still hold it for a moment. */
        bool held = status_reason(STAGE_COPY, reply->status) == REASON_SHARING_VIOLATION;
        if (held && ++copy->held_tries < COPY_HELD_TRIES)
            session_pause(session, COPY_HELD_PAUSE_MS, copy_create);
        else
            copy_fail_status(session, reply->status, "make the temporary file");
        return;
    }
    copy->file = reply->file;
    copy->open = true;
    copy->step = COPY_MARK;
}

static void copy_marked(struct session *session, const struct smb_reply *reply)
{
    struct copy_state *copy = session->copy;
    if (ntstatus_is_error(reply->status)) {
        copy_fail_status(session, reply->status, "mark the temporary file for deletion");
    } else if (copy->along) {
        copy->sent = file_bytes(session);
        copy->flush_sent = true;
        copy->step = COPY_WRITE;
    } else {
        copy->step = COPY_ALLOCATE;
    }
}

/* --- Bytes --- */

static void copy_flush(struct session *session)
{
    struct err err;
    session->copy->step = COPY_FLUSH;
    if (session->copy->flush_sent)
        return;
    copy_requested(
        session,
        smb_flush(session->conn, copy_tag(session, COPY_FLUSH, 0), session->copy->file, &err),
        &err);
}

/* `size` bytes of the file in work; returns 0, or an errno when they are not there. */
static int package_bytes_at(const struct session *session, uint64_t offset, uint8_t *to,
                            size_t size)
{
    ssize_t got;
    do
        got = pread(session->job->package_fd, to, size, (off_t)(session->copy->base + offset));
    while (got < 0 && errno == EINTR);
    if (got == (ssize_t)size)
        return 0;
    return got < 0 ? errno : EIO;
}

/* The same into the scratch buffer. Returns false, failing, when they are not there. */
static bool package_read(struct session *session, uint64_t offset, size_t size)
{
    int error = package_bytes_at(session, offset, session->runner->scratch, size);
    if (error != 0)
        copy_fail(session, REASON_INTERNAL, CODE_ERRNO, (uint32_t)error,
                  "the relay cannot read the package");
    return error == 0;
}

/* The engine reads a piece of the package. */
static int piece_read(void *context, uint64_t offset, uint8_t *to, size_t size, struct err *err)
{
    const struct session *session = context;
    int error = package_bytes_at(session, offset, to, size);
    return error == 0 ? 0 : err_set_errno(err, error, "the relay cannot read the package");
}

/* How much may be written now; 0: nothing. A full piece unless there never will be room for one. */
static uint32_t piece_size(const struct session *session)
{
    const struct copy_state *copy = session->copy;
    const uint8_t *bytes;
    size_t queued = 0;
    uint64_t left = file_bytes(session) - copy->sent;
    uint32_t share = QUEUED_BYTES / session->runner->copying_count / 2 / PIECE_STEP * PIECE_STEP;
    uint32_t wanted = share < PIECE_STEP ? PIECE_STEP : share;
    uint32_t room = smb_conn_write_room(session->conn);
    wanted = wanted < PIECE_BYTES ? wanted : PIECE_BYTES;
    wanted = wanted < left ? wanted : (uint32_t)left;
    bool queue = smb_conn_output(session->conn, &bytes, &queued);
    if (queue && (room < wanted || queued >= 2 * (size_t)wanted))
        return 0;
    return room < wanted ? room : wanted;
}

static void copy_room(struct session *session);

static void copy_go_on(struct session *session)
{
    if (session->copy == NULL)
        return;
    session->copy->paused = false;
    copy_room(session);
}

/* Whether the rate of all copies together lets this one write. If not, it pauses: nothing is wrong
 * with the machine, so no deadline runs meanwhile, and the answers that are out are taken. Those
 * who wait take turns, since each waits anew behind the others. */
static bool lan_lets(struct session *session)
{
    uint64_t wait_ms = session->copy->paused ? 1 : lan_wait_ms(session);
    if (wait_ms > 0 && !session->copy->paused) {
        uint32_t pause_ms = wait_ms < LAN_PAUSE_MAX_MS ? (uint32_t)wait_ms : LAN_PAUSE_MAX_MS;
        session->copy->paused = true;
        session->stage_deadline_ms += pause_ms; /* our own limit */
        session_pause(session, pause_ms, copy_go_on);
    }
    return wait_ms == 0;
}

static void copy_room(struct session *session)
{
    struct copy_state *copy = session->copy;
    struct err err;
    if (copy == NULL || copy->step != COPY_WRITE)
        return;
    while (copy->sent < file_bytes(session) && copy->sent - copy->acknowledged < WINDOW_BYTES &&
           lan_lets(session)) {
        struct smb_write_request request = {.file = copy->file,
                                            .offset = copy->sent,
                                            .size = piece_size(session),
                                            .read = piece_read,
                                            .context = session};
        if (request.size == 0)
            return;
        if (smb_write_from(session->conn, copy_tag(session, COPY_WRITE, request.size), &request,
                           &err) != 0) {
            if (err.code == ERR_IO)
                copy_fail(session, REASON_INTERNAL, CODE_ERRNO, (uint32_t)err.native, err.text);
            else
                session_fail_request(session, &err);
            return;
        }
        copy->sent += request.size;
        pace_take(&session->runner->lan, request.size);
    }
}

static void copy_allocated(struct session *session, const struct smb_reply *reply)
{
    struct copy_state *copy = session->copy;
    enum reason reason = status_reason(STAGE_COPY, reply->status);
    if (ntstatus_is_error(reply->status) && reason == REASON_DISK_FULL) {
        copy_fail_status(session, reply->status, "make room for the package");
        return;
    }
    /* Any other refusal: the file system can't allocate ahead; the writes will tell. */
    copy->step = COPY_WRITE;
    if (!copy->streaming) /* else since a file before this one */
        session->runner->copying_count++;
    copy->streaming = true;
    if (file_bytes(session) == 0)
        copy_flush(session);
}

static void copy_written(struct session *session, const struct smb_reply *reply, uint32_t asked)
{
    struct copy_state *copy = session->copy;
    if (ntstatus_is_error(reply->status)) {
        copy_fail_status(session, reply->status, "write the package");
        return;
    }
    if (reply->count != asked) {
        copy_fail(session, REASON_DISK_FULL, CODE_NONE, 0, "the machine cut a write short");
        return;
    }
    copy->acknowledged += asked;
    session->target->bytes = copy->before + copy->acknowledged;
    if (copy->acknowledged == file_bytes(session))
        copy_flush(session);
}

/* --- Reading back --- */

static uint32_t verify_size(const struct session *session, uint64_t offset)
{
    uint32_t piece = smb_conn_server(session->conn)->read_size_max;
    uint64_t left = file_bytes(session) - offset;
    return left < piece ? (uint32_t)left : piece;
}

static void copy_verify(struct session *session)
{
    struct copy_state *copy = session->copy;
    struct err err;
    copy->step = COPY_VERIFY;
    uint32_t piece = smb_conn_server(session->conn)->read_size_max;
    while (copy->asked < file_bytes(session) &&
           copy->asked - copy->compared < (uint64_t)READ_WINDOW * piece) {
        uint32_t size = verify_size(session, copy->asked);
        if (smb_read(session->conn,
                     copy_tag(session, COPY_VERIFY, (uint32_t)(copy->asked / piece) & 0xffffff),
                     copy->file, copy->asked, size, &err) != 0) {
            session_fail_request(session, &err);
            return;
        }
        copy->asked += size;
    }
    if (copy->compared == file_bytes(session))
        copy_take_name(session);
}

static void copy_compare(struct session *session, const struct smb_reply *reply, uint32_t number)
{
    struct copy_state *copy = session->copy;
    if (ntstatus_is_error(reply->status)) {
        copy_fail_status(session, reply->status, "read the package back");
        return;
    }
    uint64_t offset = (uint64_t)number * smb_conn_server(session->conn)->read_size_max;
    uint32_t size = verify_size(session, offset);
    if (!package_read(session, offset, size))
        return;
    if (reply->data_size != size || memcmp(reply->data, session->runner->scratch, size) != 0) {
        copy_fail(session, REASON_HASH_MISMATCH, CODE_NONE, 0,
                  "what was read back differs from the package");
        return;
    }
    copy->compared += size;
    copy_verify(session);
}

/* --- Steps --- */

static void copy_start(struct session *session)
{
    const char *name = session->job->job.package_name;
    if (session->job->package_fd < 0 || name[0] == '\0' || strpbrk(name, "\\/:*?\"<>|") != NULL ||
        strncmp(name, STAGE_TEMPORARY_PREFIX, strlen(STAGE_TEMPORARY_PREFIX)) == 0) {
        session_fail(session, REASON_INTERNAL, CODE_NONE, 0,
                     session->job->package_fd < 0 ? "the relay has no package for this push"
                                                  : "a package cannot have this name");
        return;
    }
    session->copy = mem_new(1, sizeof *session->copy);
    session->copy->size = session->job->job.package_bytes;
    session->target->bytes = 0;
    if (session->job->folder.count > 0)
        copy_folder_begin(session);
    else
        copy_probe(session);
}

/* A file is there and closed. */
static void copy_closed(struct session *session, const struct smb_reply *reply)
{
    if (ntstatus_is_error(reply->status)) { /* a scanner's verdict may come as late as this */
        char text[LIMIT_DETAIL_SIZE];
        session_fail_status(session, reply->status, copy_say(session, "close the package", text));
    } else if (!copy_folder_next(session)) {
        session_pass(session, session->job->job.verify ? "read back and equal" : "");
    }
}

static void copy_reply(struct session *session, const struct smb_reply *reply)
{
    struct copy_state *copy = session->copy;
    enum copy_step step = (enum copy_step)(session_step(reply->tag) & 0xff);
    uint32_t piece = session_step(reply->tag) >> 8;
    if (copy != NULL && step == COPY_UNMARK)
        copy_unmarked(session, reply);
    if (copy == NULL || step == COPY_UNMARK || step != copy->step)
        return; /* later marks, and what was on the way when something before it failed */
    switch (step) {
    case COPY_CREATE:
        copy_created(session, reply);
        return;
    case COPY_MARK:
        copy_marked(session, reply);
        return;
    case COPY_UNMARK:
    case COPY_NAMED:
        return;
    case COPY_ALLOCATE:
        copy_allocated(session, reply);
        return;
    case COPY_WRITE:
        copy_written(session, reply, piece);
        return;
    case COPY_FLUSH:
        if (ntstatus_is_error(reply->status))
            copy_fail_status(session, reply->status, "flush the package to disk");
        else if (session->job->job.verify)
            copy_verify(session);
        else
            copy_take_name(session);
        return;
    case COPY_VERIFY:
        copy_compare(session, reply, piece);
        return;
    case COPY_RENAME:
        copy_renamed(session, reply);
        return;
    case COPY_CLOSE:
        copy_closed(session, reply);
        return;
    case COPY_FOLDER:
    case COPY_FOLDER_SECURITY:
    case COPY_FOLDER_CLOSE:
        copy_folder_reply(session, reply);
        return;
    case COPY_PROBE:
        copy_probed(session, reply);
        return;
    case COPY_PROBE_CLEAR:
        copy_probe_close(session);
        return;
    case COPY_PROBE_CLOSE:
        copy_probe_closed(session);
        return;
    case COPY_ABANDON:
        copy_over(session);
        return;
    }
}

const struct stage_steps copy_steps = {
    .start = copy_start,
    .reply = copy_reply,
    .room = copy_room,
    .lost = copy_lost,
    .release = copy_release,
    .idle_ms = 30000,
    .tries_max = 3,
};
