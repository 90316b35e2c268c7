/* Removing files of a job. */
#include "relay/stage/sweep.h"

#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "relay/stage/statusmap.h"

#define READ_BYTES 65536U

enum sweep_step {
    SWEEP_OPEN = SWEEP_STEP,
    SWEEP_READ, /* the package, for its digest */
    SWEEP_MARK, /* for deletion */
    SWEEP_CLOSE,
};

void sweep_add(struct sweep *sweep, const char *name, bool package)
{
    struct sweep_file *file = &sweep->files[sweep->count++];
    (void)text_copy(file->name, sizeof file->name, name);
    file->package = package;
    file->end = SWEEP_WAITS;
}

void sweep_release(struct sweep *sweep)
{
    digest_free(sweep->digest);
    sweep->digest = NULL;
}

static void sweep_next(struct session *session, struct sweep *sweep)
{
    struct err err;
    char path[SMB_PATH_SIZE_MAX];
    if (sweep->at >= sweep->stop) {
        sweep->over(session);
        return;
    }
    const struct sweep_file *file = &sweep->files[sweep->at];
    bool read = file->package && session->job->job.verify;
    (void)snprintf(path, sizeof path, STAGE_FOLDER "\\%s", file->name);
    /* Shared with nobody: whatever is being run or written stays. */
    struct smb_create_request request = {
        .path = path,
        .access = SMB_ACCESS_DELETE | SMB_ACCESS_READ_ATTRIBUTES | SMB_ACCESS_SYNCHRONIZE |
                  (read ? SMB_ACCESS_READ_DATA : 0U),
        .share = SMB_SHARE_NONE,
        .disposition = SMB_OPEN,
        .options = SMB_OPTION_NON_DIRECTORY | SMB_OPTION_OPEN_REPARSE_POINT,
    };
    if (smb_create(session->conn, session_tag(session, SWEEP_OPEN), session->tree, &request,
                   &err) != 0)
        session_fail_request(session, &err);
}

void sweep_run(struct session *session, struct sweep *sweep, uint32_t count,
               void (*over)(struct session *session))
{
    sweep->over = over;
    sweep->stop = sweep->at + count < sweep->count ? sweep->at + count : sweep->count;
    sweep_next(session, sweep);
}

static void sweep_file_over(struct session *session, struct sweep *sweep)
{
    sweep_release(sweep);
    sweep->at++;
    sweep_next(session, sweep);
}

static void sweep_close(struct session *session, struct sweep *sweep)
{
    struct err err;
    if (smb_close(session->conn, session_tag(session, SWEEP_CLOSE), sweep->handle, &err) != 0)
        session_fail_request(session, &err);
}

static void sweep_mark(struct session *session, struct sweep *sweep)
{
    struct err err;
    if (smb_set_delete(session->conn, session_tag(session, SWEEP_MARK), sweep->handle, true,
                       &err) != 0)
        session_fail_request(session, &err);
}

static void sweep_stays(struct session *session, struct sweep *sweep, enum sweep_end end)
{
    sweep->files[sweep->at].end = end;
    sweep_close(session, sweep);
}

static void sweep_read(struct session *session, struct sweep *sweep)
{
    struct err err;
    uint64_t left = session->job->job.package_bytes - sweep->offset;
    uint32_t size = smb_conn_server(session->conn)->read_size_max;
    size = size < READ_BYTES ? size : READ_BYTES;
    size = size < left ? size : (uint32_t)left;
    if (smb_read(session->conn, session_tag(session, SWEEP_READ), sweep->handle, sweep->offset,
                 size, &err) != 0)
        session_fail_request(session, &err);
}

static void sweep_was_read(struct session *session, struct sweep *sweep,
                           const struct smb_reply *reply)
{
    uint8_t found[LIMIT_DIGEST_BYTES];
    uint64_t left = session->job->job.package_bytes - sweep->offset;
    if (ntstatus_is_error(reply->status) || reply->data_size == 0 || reply->data_size > left) {
        sweep_stays(session, sweep, SWEEP_OTHER);
        return;
    }
    digest_add(sweep->digest, reply->data, reply->data_size);
    sweep->offset += reply->data_size;
    if (sweep->offset < session->job->job.package_bytes) {
        sweep_read(session, sweep);
        return;
    }
    digest_end(sweep->digest, found);
    if (memcmp(found, session->job->job.package_digest, sizeof found) == 0)
        sweep_mark(session, sweep);
    else
        sweep_stays(session, sweep, SWEEP_OTHER);
}

static void sweep_refused(struct sweep_file *file, uint32_t status)
{
    file->status = status;
    switch (status) {
    case NTSTATUS_OBJECT_NAME_NOT_FOUND:
    case NTSTATUS_OBJECT_PATH_NOT_FOUND:
    case NTSTATUS_NO_SUCH_FILE:
        file->end = SWEEP_ABSENT;
        return;
    case NTSTATUS_SHARING_VIOLATION:
    case NTSTATUS_DELETE_PENDING:
    case NTSTATUS_CANNOT_DELETE: /* a program that runs */
        file->end = SWEEP_IN_USE;
        return;
    case NTSTATUS_FILE_IS_A_DIRECTORY:
        file->end = file->package ? SWEEP_FOLDER : SWEEP_REFUSED;
        return;
    default:
        file->end = SWEEP_REFUSED;
    }
}

static void sweep_opened(struct session *session, struct sweep *sweep,
                         const struct smb_reply *reply)
{
    struct sweep_file *file = &sweep->files[sweep->at];
    const struct job *job = &session->job->job;
    if (ntstatus_is_error(reply->status)) {
        sweep_refused(file, reply->status);
        sweep_file_over(session, sweep);
        return;
    }
    sweep->handle = reply->file;
    if (file->package && (reply->info.size != job->package_bytes ||
                          (reply->info.attributes & SMB_ATTRIBUTE_REPARSE_POINT) != 0)) {
        sweep_stays(session, sweep, SWEEP_OTHER);
    } else if (file->package && job->verify && job->package_bytes > 0) {
        sweep->digest = digest_new();
        sweep->offset = 0;
        sweep_read(session, sweep);
    } else {
        sweep_mark(session, sweep);
    }
}

void sweep_reply(struct session *session, struct sweep *sweep, const struct smb_reply *reply)
{
    switch ((enum sweep_step)session_step(reply->tag)) {
    case SWEEP_OPEN:
        sweep_opened(session, sweep, reply);
        return;
    case SWEEP_READ:
        sweep_was_read(session, sweep, reply);
        return;
    case SWEEP_MARK:
        if (ntstatus_is_error(reply->status))
            sweep_refused(&sweep->files[sweep->at], reply->status);
        else
            sweep->files[sweep->at].end = SWEEP_REMOVED;
        sweep_close(session, sweep);
        return;
    case SWEEP_CLOSE:
        sweep_file_over(session, sweep);
        return;
    }
}

bool sweep_any(const struct sweep *sweep, enum sweep_end end)
{
    for (uint32_t i = 0; i < sweep->count; i++)
        if (sweep->files[i].end == end)
            return true;
    return false;
}

static const char *stays_because(const struct sweep_file *file)
{
    const char *name;
    switch (file->end) {
    case SWEEP_OTHER:
        return "other bytes: not this push's";
    case SWEEP_FOLDER:
        return "a folder: remove it by hand";
    case SWEEP_IN_USE:
        return "in use";
    case SWEEP_REFUSED:
        name = ntstatus_name(file->status);
        return name != NULL ? name : "refused";
    case SWEEP_WAITS:
    case SWEEP_ABSENT:
    case SWEEP_REMOVED:
        break;
    }
    return NULL;
}

/* The project's own files by what they are; their names are long and alike. */
static const char *short_name(const struct sweep_file *file)
{
    const char *dot = strrchr(file->name, '.');
    if (strncmp(file->name, STAGE_TEMPORARY_PREFIX, strlen(STAGE_TEMPORARY_PREFIX)) != 0 ||
        dot == NULL)
        return file->name;
    if (strcmp(dot, ".cmd") == 0)
        return "the script";
    if (strcmp(dot, ".out") == 0)
        return "its output";
    if (strcmp(dot, ".end") == 0)
        return "its exit code";
    return "a temporary file";
}

char *sweep_rest_text(const struct sweep *sweep, char *text, size_t size)
{
    struct buf out;
    buf_init(&out, size - 1);
    for (uint32_t i = 0; i < sweep->count; i++) {
        const char *why = stays_because(&sweep->files[i]);
        if (why != NULL)
            buf_printf(&out, "%s%s stays (%s)", out.size > 0 ? ", " : "",
                       short_name(&sweep->files[i]), why);
    }
    (void)text_copy(text, size, buf_ok(&out) ? buf_cstr(&out) : "some files stay");
    buf_release(&out);
    return text;
}

char *sweep_text(const struct sweep *sweep, char *text, size_t size)
{
    struct buf out;
    char rest[LIMIT_DETAIL_SIZE];
    buf_init(&out, size - 1);
    for (uint32_t i = 0; i < sweep->count; i++)
        if (sweep->files[i].end == SWEEP_REMOVED)
            buf_printf(&out, "%s%s", out.size > 0 ? ", " : "removed ",
                       short_name(&sweep->files[i]));
    if (sweep_rest_text(sweep, rest, sizeof rest)[0] != '\0')
        buf_printf(&out, "%s%s", out.size > 0 ? "; " : "", rest);
    (void)text_copy(text, size, buf_ok(&out) ? buf_cstr(&out) : "removed; some files stay");
    buf_release(&out);
    return text;
}
