/* Stage 5: the package under C:\SPDISTRO, whole or not at all.
 *
 * Bytes go to a temporary file that is marked for deletion as soon as it exists, so that a broken
 * connection leaves nothing behind; space is allocated first, so that a full disk shows at once.
 * When every byte is acknowledged the file is flushed, the mark is taken off, and the file is
 * renamed over the final name. Whether somebody holds that name is asked before the first byte, and
 * again when renaming fails.
 *
 * Memory: pieces of PIECE_BYTES through the runner's scratch buffer, at most WINDOW_BYTES on the
 * way.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "relay/stage/filesd.h"
#include "relay/stage/session.h"
#include "relay/stage/statusmap.h"

#define PIECE_BYTES (128U << 10)
#define WINDOW_BYTES (2U << 20)
#define READ_WINDOW 8 /* --verify: reads on the way */
#define HELD_TRIES 3  /* looks at a file that others hold */
#define HELD_PAUSE_MS 1500

enum copy_step {
    COPY_CREATE = 1,
    COPY_MARK,   /* for deletion; its answer doesn't matter */
    COPY_UNMARK, /* its answer does: a file that stays marked goes when it is closed */
    COPY_ALLOCATE,
    COPY_WRITE,
    COPY_FLUSH,
    COPY_VERIFY,
    COPY_RENAME,
    COPY_NAMED, /* renamed; COPY_UNMARK's answer is out */
    COPY_CLOSE,
    COPY_PROBE,       /* who holds the final name? */
    COPY_PROBE_CLEAR, /* its read-only attribute */
    COPY_PROBE_CLOSE,
    COPY_ABANDON, /* closing the marked temporary file after a failure */
};

/* What a look at the final name is for. */
enum probe {
    PROBE_FIRST,   /* before anything is copied: a running program can't be opened for writing */
    PROBE_RENAME,  /* renaming was refused: held, read-only, or rights? */
    PROBE_RUNNING, /* still no cause: was it started meanwhile? */
};

struct copy_state {
    enum copy_step step; /* what is being waited for */
    enum probe why;      /* of COPY_PROBE and the two after it */
    struct smb_file file;
    struct smb_file probe;
    bool open;             /* the temporary file is */
    uint64_t sent;         /* bytes handed to the engine */
    uint64_t acknowledged; /* bytes the server wrote */
    uint64_t compared;     /* --verify: bytes read back and equal */
    uint64_t asked;        /* --verify: bytes asked for */
    uint32_t held_tries;
    bool cleared_readonly;   /* of the final file ... */
    bool renamed_again;      /* ... and tried after that */
    uint32_t unmark_waiting; /* answers to COPY_UNMARK that are out */
    uint32_t unmark_status;  /* NTSTATUS of the last one */
    bool failing;            /* the rest is clean-up; the outcome: */
    enum reason reason;
    enum code_kind kind;
    uint32_t code;
    char text[LIMIT_DETAIL_SIZE];
};

/* The low half of a tag: the step, and above it the piece (its size, or its number). */
static uint64_t piece_tag(const struct session *session, enum copy_step step, uint32_t piece)
{
    return session_tag(session, (piece << 8) | (uint32_t)step);
}

static uint64_t package_bytes(const struct session *session)
{
    return session->job->job.package_bytes;
}

static void final_path(const struct session *session, char path[SMB_PATH_SIZE_MAX])
{
    (void)snprintf(path, SMB_PATH_SIZE_MAX, STAGE_FOLDER "\\%s", session->job->job.package_name);
}

static void request_made(struct session *session, int status, const struct err *err)
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

static void copy_fail(struct session *session, enum reason reason, enum code_kind kind,
                      uint32_t code, const char *text)
{
    struct copy_state *copy = session->copy;
    struct err err;
    if (copy->failing)
        return;
    copy->failing = true;
    copy->reason = reason;
    copy->kind = kind;
    copy->code = code;
    (void)snprintf(copy->text, sizeof copy->text, "%s", text);
    if (!copy->open) {
        copy_over(session);
        return;
    }
    copy->step = COPY_ABANDON;
    if (smb_set_delete(session->conn, piece_tag(session, COPY_MARK, 0), copy->file, true, &err) !=
            0 ||
        smb_close(session->conn, piece_tag(session, COPY_ABANDON, 0), copy->file, &err) != 0)
        session_fail_request(session, &err);
}

static void copy_fail_status(struct session *session, uint32_t status, const char *what)
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
    free(session->copy);
    session->copy = NULL;
}

/* --- Temporary file --- */

static void copy_create(struct session *session)
{
    struct copy_state *copy = session->copy;
    struct err err;
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
    copy->step = COPY_CREATE;
    int made = smb_create(session->conn, piece_tag(session, COPY_CREATE, 0), session->tree,
                          &request, &err);
    buf_release(&descriptor);
    request_made(session, made, &err);
}

static void copy_created(struct session *session, const struct smb_reply *reply)
{
    struct copy_state *copy = session->copy;
    struct err err;
    if (ntstatus_is_error(reply->status)) {
        /* A lost connection of ours may still hold it for a moment. */
        bool held = status_reason(STAGE_COPY, reply->status) == REASON_SHARING_VIOLATION;
        if (held && ++copy->held_tries < HELD_TRIES)
            session_pause(session, HELD_PAUSE_MS, copy_create);
        else
            copy_fail_status(session, reply->status, "make the temporary file");
        return;
    }
    copy->file = reply->file;
    copy->open = true;
    copy->step = COPY_ALLOCATE;
    if (smb_set_delete(session->conn, piece_tag(session, COPY_MARK, 0), copy->file, true, &err) !=
            0 ||
        smb_set_allocation(session->conn, piece_tag(session, COPY_ALLOCATE, 0), copy->file,
                           package_bytes(session), &err) != 0)
        session_fail_request(session, &err);
}

/* --- Bytes --- */

static void copy_flush(struct session *session)
{
    struct err err;
    session->copy->step = COPY_FLUSH;
    request_made(
        session,
        smb_flush(session->conn, piece_tag(session, COPY_FLUSH, 0), session->copy->file, &err),
        &err);
}

/* Reads `size` bytes of the package into the scratch buffer. Returns false, failing, when they are
 * not there. */
static bool package_read(struct session *session, uint64_t offset, size_t size)
{
    ssize_t got;
    do
        got = pread(session->job->package_fd, session->runner->scratch, size, (off_t)offset);
    while (got < 0 && errno == EINTR);
    if (got == (ssize_t)size)
        return true;
    copy_fail(session, REASON_INTERNAL, CODE_ERRNO, got < 0 ? (uint32_t)errno : 0,
              "the relay cannot read the package");
    return false;
}

static void copy_room(struct session *session)
{
    struct copy_state *copy = session->copy;
    struct err err;
    if (copy == NULL || copy->step != COPY_WRITE)
        return;
    while (copy->sent < package_bytes(session) && copy->sent - copy->acknowledged < WINDOW_BYTES) {
        uint64_t left = package_bytes(session) - copy->sent;
        uint32_t size = smb_conn_write_room(session->conn);
        if (size == 0)
            return;
        size = size < PIECE_BYTES ? size : PIECE_BYTES;
        size = size < left ? size : (uint32_t)left;
        if (!package_read(session, copy->sent, size))
            return;
        if (smb_write(session->conn, piece_tag(session, COPY_WRITE, size), copy->file, copy->sent,
                      session->runner->scratch, size, &err) != 0) {
            session_fail_request(session, &err);
            return;
        }
        copy->sent += size;
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
    if (package_bytes(session) == 0)
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
    session->target->bytes = copy->acknowledged;
    if (copy->acknowledged == package_bytes(session))
        copy_flush(session);
}

/* --- Reading back --- */

static void copy_take_name(struct session *session);

static uint32_t verify_size(const struct session *session, uint64_t offset)
{
    uint32_t piece = smb_conn_server(session->conn)->read_size_max;
    uint64_t left = package_bytes(session) - offset;
    return left < piece ? (uint32_t)left : piece;
}

static void copy_verify(struct session *session)
{
    struct copy_state *copy = session->copy;
    struct err err;
    copy->step = COPY_VERIFY;
    uint32_t piece = smb_conn_server(session->conn)->read_size_max;
    while (copy->asked < package_bytes(session) &&
           copy->asked - copy->compared < (uint64_t)READ_WINDOW * piece) {
        uint32_t size = verify_size(session, copy->asked);
        if (smb_read(session->conn,
                     piece_tag(session, COPY_VERIFY, (uint32_t)(copy->asked / piece) & 0xffffff),
                     copy->file, copy->asked, size, &err) != 0) {
            session_fail_request(session, &err);
            return;
        }
        copy->asked += size;
    }
    if (copy->compared == package_bytes(session))
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

/* --- Taking the final name --- */

/* Takes the mark off and renames, in one go: a connection lost in between would leave the file.
 * The answers may come in any order. */
static void copy_take_name(struct session *session)
{
    struct copy_state *copy = session->copy;
    struct err err;
    char path[SMB_PATH_SIZE_MAX];
    final_path(session, path);
    copy->step = COPY_RENAME;
    copy->unmark_waiting++;
    if (smb_set_delete(session->conn, piece_tag(session, COPY_UNMARK, 0), copy->file, false,
                       &err) != 0 ||
        smb_rename(session->conn, piece_tag(session, COPY_RENAME, 0), copy->file, path, true,
                   &err) != 0)
        session_fail_request(session, &err);
}

/* Tries the rename again in a while; until then the temporary file is marked again. */
static void copy_rename_later(struct session *session)
{
    struct err err;
    session->target->tries++;
    if (smb_set_delete(session->conn, piece_tag(session, COPY_MARK, 0), session->copy->file, true,
                       &err) != 0)
        session_fail_request(session, &err);
    else
        session_pause(session, HELD_PAUSE_MS, copy_take_name);
}

static void copy_probe(struct session *session)
{
    struct err err;
    char path[SMB_PATH_SIZE_MAX];
    enum probe why = session->copy->why;
    final_path(session, path);
    struct smb_create_request request = {
        .path = path,
        .access = SMB_ACCESS_DELETE | SMB_ACCESS_READ_ATTRIBUTES | SMB_ACCESS_SYNCHRONIZE |
                  (why == PROBE_RENAME ? SMB_ACCESS_WRITE_ATTRIBUTES : 0U) |
                  (why != PROBE_RENAME ? SMB_ACCESS_WRITE_DATA : 0U),
        .share = SMB_SHARE_NONE,
        .disposition = SMB_OPEN,
        .options = SMB_OPTION_NON_DIRECTORY | SMB_OPTION_OPEN_REPARSE_POINT,
    };
    session->copy->step = COPY_PROBE;
    request_made(
        session,
        smb_create(session->conn, piece_tag(session, COPY_PROBE, 0), session->tree, &request, &err),
        &err);
}

/* Somebody holds the final name: waits a little, then gives up. */
static void copy_held(struct session *session, uint32_t status)
{
    struct copy_state *copy = session->copy;
    if (++copy->held_tries >= HELD_TRIES) {
        copy_fail_status(session, status, "the old package file is open on the machine");
    } else if (copy->open) {
        copy_rename_later(session);
    } else {
        session->target->tries++;
        session_pause(session, HELD_PAUSE_MS, copy_probe);
    }
}

/* The file has its name. While it may still be marked, closing it would delete the package. */
static void copy_named(struct session *session)
{
    struct copy_state *copy = session->copy;
    struct err err;
    copy->step = COPY_NAMED;
    if (copy->unmark_waiting > 0)
        return;
    if (ntstatus_is_error(copy->unmark_status)) {
        copy_fail_status(session, copy->unmark_status, "keep the package");
        return;
    }
    copy->step = COPY_CLOSE;
    request_made(session,
                 smb_close(session->conn, piece_tag(session, COPY_CLOSE, 0), copy->file, &err),
                 &err);
}

static void copy_unmarked(struct session *session, const struct smb_reply *reply)
{
    struct copy_state *copy = session->copy;
    copy->unmark_waiting--;
    copy->unmark_status = reply->status;
    if (copy->step == COPY_NAMED)
        copy_named(session);
}

static void copy_renamed(struct session *session, const struct smb_reply *reply)
{
    struct copy_state *copy = session->copy;
    if (!ntstatus_is_error(reply->status)) {
        copy_named(session);
        return;
    }
    copy->code = reply->status;
    switch (reply->status) {
    case NTSTATUS_ACCESS_DENIED:
    case NTSTATUS_OBJECT_NAME_COLLISION:
    case NTSTATUS_CANNOT_DELETE:
        copy->why = PROBE_RENAME;
        copy_probe(session);
        return;
    case NTSTATUS_SHARING_VIOLATION:
    case NTSTATUS_DELETE_PENDING: /* the final name's, or our mark was still on */
        copy_held(session, reply->status);
        return;
    default:
        copy_fail_status(session, reply->status, "give the package its name");
    }
}

static void copy_probe_close(struct session *session)
{
    struct err err;
    session->copy->step = COPY_PROBE_CLOSE;
    request_made(session,
                 smb_close(session->conn, piece_tag(session, COPY_PROBE_CLOSE, 0),
                           session->copy->probe, &err),
                 &err);
}

static void copy_probe_clear(struct session *session, uint32_t attributes)
{
    struct err err;
    uint32_t rest = attributes & (SMB_ATTRIBUTE_HIDDEN | SMB_ATTRIBUTE_SYSTEM);
    session->copy->cleared_readonly = true;
    session->copy->step = COPY_PROBE_CLEAR;
    request_made(session,
                 smb_set_attributes(session->conn, piece_tag(session, COPY_PROBE_CLEAR, 0),
                                    session->copy->probe, rest != 0 ? rest : SMB_ATTRIBUTE_NORMAL,
                                    &err),
                 &err);
}

static void copy_probed(struct session *session, const struct smb_reply *reply)
{
    struct copy_state *copy = session->copy;
    if (status_reason(STAGE_COPY, reply->status) == REASON_SHARING_VIOLATION) {
        copy_held(session, reply->status);
        return;
    }
    if (reply->status == NTSTATUS_FILE_IS_A_DIRECTORY) {
        copy_fail_status(session, reply->status, "a folder has the package's name");
        return;
    }
    if (ntstatus_is_error(reply->status)) {
        if (copy->why == PROBE_FIRST) /* not there, most likely; else renaming will tell */
            copy_create(session);
        else
            copy_fail_status(session, copy->code, "give the package its name");
        return;
    }
    copy->probe = reply->file;
    if (copy->why == PROBE_RENAME && !copy->cleared_readonly &&
        (reply->info.attributes & SMB_ATTRIBUTE_READONLY) != 0)
        copy_probe_clear(session, reply->info.attributes);
    else
        copy_probe_close(session);
}

static void copy_probe_closed(struct session *session)
{
    struct copy_state *copy = session->copy;
    switch (copy->why) {
    case PROBE_FIRST:
        copy_create(session);
        return;
    case PROBE_RENAME:
        if (copy->cleared_readonly && !copy->renamed_again) {
            copy->renamed_again = true;
            copy_take_name(session);
            return;
        }
        copy->why = PROBE_RUNNING;
        copy_probe(session);
        return;
    case PROBE_RUNNING:
        copy_fail_status(session, copy->code, "give the package its name");
        return;
    }
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
    session->target->bytes = 0;
    copy_probe(session);
}

static void copy_reply(struct session *session, const struct smb_reply *reply)
{
    struct copy_state *copy = session->copy;
    enum copy_step step = (enum copy_step)(session_step(reply->tag) & 0xff);
    uint32_t piece = session_step(reply->tag) >> 8;
    if (copy != NULL && step == COPY_UNMARK)
        copy_unmarked(session, reply);
    if (copy == NULL || step == COPY_UNMARK || step != copy->step)
        return; /* marks, and writes that were on the way when one failed */
    switch (step) {
    case COPY_CREATE:
        copy_created(session, reply);
        return;
    case COPY_MARK:
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
        if (ntstatus_is_error(reply->status)) /* a scanner's verdict may come as late as this */
            session_fail_status(session, reply->status, "close the package");
        else
            session_pass(session, session->job->job.verify ? "read back and equal" : "");
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
