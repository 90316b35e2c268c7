/* Stage 5, its end: the temporary file takes the final name, and who is in the way of that. */
#include <stdio.h>
#include <string.h>

#include "relay/stage/copy.h"
#include "relay/stage/statusmap.h"

/* Takes the mark off and renames, in one go: a connection lost in between would leave the file.
 * The answers may come in any order. */
void copy_take_name(struct session *session)
{
    struct copy_state *copy = session->copy;
    struct err err;
    char path[SMB_PATH_SIZE_MAX];
    copy_final_path(session, path);
    copy->step = COPY_RENAME;
    copy->unmark_waiting++;
    smb_compound_begin(session->conn);
    bool made = smb_set_delete(session->conn, copy_tag(session, COPY_UNMARK, 0), copy->file, false,
                               &err) == 0 &&
                smb_rename(session->conn, copy_tag(session, COPY_RENAME, 0), smb_related_file(),
                           path, true, &err) == 0;
    copy_requested(session, smb_compound_end(session->conn, made, &err), &err);
}

/* Tries the rename again in a while; until then the temporary file is marked again. */
static void copy_rename_later(struct session *session)
{
    struct err err;
    session->target->tries++;
    if (smb_set_delete(session->conn, copy_tag(session, COPY_MARK, 0), session->copy->file, true,
                       &err) != 0)
        session_fail_request(session, &err);
    else
        session_pause(session, COPY_HELD_PAUSE_MS, copy_take_name);
}

void copy_probe(struct session *session)
{
    struct err err;
    char path[SMB_PATH_SIZE_MAX];
    enum probe why = session->copy->why;
    copy_final_path(session, path);
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
    smb_compound_begin(session->conn);
    bool made = smb_create(session->conn, copy_tag(session, COPY_PROBE, 0), session->tree, &request,
                           &err) == 0 &&
                (why == PROBE_RENAME /* it may have to be cleared first */ ||
                 smb_close(session->conn, copy_tag(session, COPY_PROBE_CLOSE, 0),
                           smb_related_file(), &err) == 0);
    copy_requested(session, smb_compound_end(session->conn, made, &err), &err);
}

/* Somebody holds the final name: waits a little, then gives up. */
static void copy_held(struct session *session, uint32_t status)
{
    struct copy_state *copy = session->copy;
    if (++copy->held_tries >= COPY_HELD_TRIES) {
        copy_fail_status(session, status, "the old package file is open on the machine");
    } else if (copy->open) {
        copy_rename_later(session);
    } else {
        session->target->tries++;
        session_pause(session, COPY_HELD_PAUSE_MS, copy_probe);
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
    copy_requested(session,
                   smb_close(session->conn, copy_tag(session, COPY_CLOSE, 0), copy->file, &err),
                   &err);
}

void copy_unmarked(struct session *session, const struct smb_reply *reply)
{
    struct copy_state *copy = session->copy;
    copy->unmark_waiting--;
    copy->unmark_status = reply->status;
    if (copy->step == COPY_NAMED)
        copy_named(session);
}

void copy_renamed(struct session *session, const struct smb_reply *reply)
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

void copy_probe_close(struct session *session)
{
    struct err err;
    session->copy->step = COPY_PROBE_CLOSE;
    copy_requested(session,
                   smb_close(session->conn, copy_tag(session, COPY_PROBE_CLOSE, 0),
                             session->copy->probe, &err),
                   &err);
}

static void copy_probe_clear(struct session *session, uint32_t attributes)
{
    struct err err;
    uint32_t rest = attributes & (SMB_ATTRIBUTE_HIDDEN | SMB_ATTRIBUTE_SYSTEM);
    session->copy->cleared_readonly = true;
    session->copy->step = COPY_PROBE_CLEAR;
    copy_requested(session,
                   smb_set_attributes(session->conn, copy_tag(session, COPY_PROBE_CLEAR, 0),
                                      session->copy->probe, rest != 0 ? rest : SMB_ATTRIBUTE_NORMAL,
                                      &err),
                   &err);
}

void copy_probed(struct session *session, const struct smb_reply *reply)
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
    else if (copy->why == PROBE_RENAME)
        copy_probe_close(session);
    else
        copy->step = COPY_PROBE_CLOSE; /* asked already */
}

void copy_probe_closed(struct session *session)
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
