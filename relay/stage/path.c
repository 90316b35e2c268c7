/* Stage 4: C:\SPDISTRO is there, a real directory, and only SYSTEM and Administrators may write to
 * it. Made with a protected DACL when missing; never tightened in place, since planted files and
 * open handles survive that; with --replace-path an unsafe one is renamed aside.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/text.h"
#include "relay/sd/sd.h"
#include "relay/stage/session.h"
#include "relay/stage/statusmap.h"

#define SD_BUILD_MAX 1024

static void path_open(struct session *session)
{
    struct path_state *path = &session->path;
    struct buf descriptor;
    struct err err;
    buf_init(&descriptor, SD_BUILD_MAX);
    sd_build_distribution(&descriptor);
    struct smb_create_request request = {
        .path = STAGE_FOLDER,
        .access = SMB_ACCESS_READ_ATTRIBUTES | SMB_ACCESS_READ_CONTROL | SMB_ACCESS_SYNCHRONIZE,
        .share = SMB_SHARE_READ | SMB_SHARE_WRITE | SMB_SHARE_DELETE,
        .disposition = SMB_OPEN_IF,
        .options = SMB_OPTION_DIRECTORY | SMB_OPTION_OPEN_REPARSE_POINT,
        .security_descriptor = descriptor.data,
        .security_descriptor_size = descriptor.size,
    };
    path->step = PATH_OPEN;
    int made =
        smb_create(session->conn, session_tag(session, PATH_OPEN), session->tree, &request, &err);
    buf_release(&descriptor);
    if (made != 0)
        session_fail_request(session, &err);
}

/* Opens whatever bears the name, to rename it. */
static void path_open_old(struct session *session)
{
    struct err err;
    struct smb_create_request request = {
        .path = STAGE_FOLDER,
        .access = SMB_ACCESS_DELETE | SMB_ACCESS_READ_ATTRIBUTES | SMB_ACCESS_SYNCHRONIZE,
        .share = SMB_SHARE_READ | SMB_SHARE_WRITE | SMB_SHARE_DELETE,
        .disposition = SMB_OPEN,
        .options = SMB_OPTION_OPEN_REPARSE_POINT,
    };
    session->path.step = PATH_OPEN_OLD;
    if (smb_create(session->conn, session_tag(session, PATH_OPEN_OLD), session->tree, &request,
                   &err) != 0)
        session_fail_request(session, &err);
}

static void path_move_old(struct session *session)
{
    struct err err;
    uint64_t number = 0;
    char aside[64];
    if (getrandom(&number, sizeof number, 0) < 0)
        number = uv_hrtime(); /* need not be secret, only new */
    (void)snprintf(aside, sizeof aside, "%s.unsafe-%016" PRIx64, STAGE_FOLDER, number);
    session->path.step = PATH_MOVE_OLD;
    if (smb_rename(session->conn, session_tag(session, PATH_MOVE_OLD), session->path.file, aside,
                   false, &err) != 0)
        session_fail_request(session, &err);
}

/* What is there can't be used: replaces it if the job says so, else fails. */
static void path_unfit(struct session *session)
{
    struct path_state *path = &session->path;
    if (session->job->job.replace_path && !path->replaced) {
        path->replaced = true;
        path_open_old(session);
        return;
    }
    enum code_kind kind = path->code != 0 ? CODE_NTSTATUS : CODE_NONE;
    session_fail(session, path->reason, kind, path->code, "%s", path->why);
}

static void path_note(struct path_state *path, enum reason reason, uint32_t code, const char *why)
{
    path->reason = reason;
    path->code = code;
    (void)snprintf(path->why, sizeof path->why, "C:\\" STAGE_FOLDER " %s", why);
}

static void path_close(struct session *session, enum path_step step)
{
    struct err err;
    session->path.step = step;
    if (smb_close(session->conn, session_tag(session, step), session->path.file, &err) != 0)
        session_fail_request(session, &err);
}

static void path_opened(struct session *session, const struct smb_reply *reply)
{
    struct path_state *path = &session->path;
    struct err err;
    if (ntstatus_is_error(reply->status)) {
        enum reason reason = status_reason(STAGE_PATH, reply->status);
        if (reason != REASON_NOT_A_DIRECTORY && reason != REASON_UNSAFE_PATH) {
            session_fail_status(session, reply->status, "open or make C:\\" STAGE_FOLDER);
            return;
        }
        path_note(path, reason, reply->status,
                  reason == REASON_NOT_A_DIRECTORY ? "exists and is a file" : "is a link");
        path_unfit(session);
        return;
    }
    path->file = reply->file;
    path->reason = REASON_NONE;
    if ((reply->info.attributes & SMB_ATTRIBUTE_REPARSE_POINT) != 0) {
        path_note(path, REASON_UNSAFE_PATH, 0, "is a link to another place");
        path_close(session, PATH_CLOSE);
        return;
    }
    path->step = PATH_SECURITY;
    if (smb_query_security(session->conn, session_tag(session, PATH_SECURITY), path->file,
                           SMB_SECURITY_OWNER | SMB_SECURITY_DACL, &err) != 0)
        session_fail_request(session, &err);
}

static void path_judged(struct session *session, const struct smb_reply *reply)
{
    struct path_state *path = &session->path;
    struct sd sd;
    struct err err;
    char why[SD_WHY_SIZE];
    if (ntstatus_is_error(reply->status)) {
        session_fail_status(session, reply->status, "read the rights of C:\\" STAGE_FOLDER);
        return;
    }
    if (sd_parse(reply->data, reply->data_size, &sd, &err) != 0) {
        session_fail(session, REASON_PROTOCOL_ERROR, CODE_NONE, 0, "rights of C:\\%s: %.200s",
                     STAGE_FOLDER, err.text);
        return;
    }
    if (!sd_is_safe(&sd, SD_FOLDER, why, sizeof why)) {
        char text[SD_WHY_SIZE + 16];
        (void)snprintf(text, sizeof text, "is not safe: %s", why);
        path_note(path, REASON_UNSAFE_PATH, 0, text);
    }
    path_close(session, PATH_CLOSE);
}

static void path_start(struct session *session)
{
    memset(&session->path, 0, sizeof session->path);
    path_open(session);
}

static void path_reply(struct session *session, const struct smb_reply *reply)
{
    struct path_state *path = &session->path;
    switch (path->step) {
    case PATH_OPEN:
        path_opened(session, reply);
        return;
    case PATH_SECURITY:
        path_judged(session, reply);
        return;
    case PATH_CLOSE:
        if (path->reason != REASON_NONE)
            path_unfit(session);
        else
            session_pass(session,
                         path->replaced ? "an unsafe C:\\" STAGE_FOLDER " was set aside" : "");
        return;
    case PATH_OPEN_OLD:
        if (ntstatus_is_error(reply->status)) {
            session_fail_status(session, reply->status, "open the old C:\\" STAGE_FOLDER);
            return;
        }
        path->file = reply->file;
        path_move_old(session);
        return;
    case PATH_MOVE_OLD:
        if (ntstatus_is_error(reply->status)) {
            session_fail_status(session, reply->status, "rename the old C:\\" STAGE_FOLDER);
            return;
        }
        path_close(session, PATH_CLOSE_OLD);
        return;
    case PATH_CLOSE_OLD:
        path_open(session);
        return;
    }
}

const struct stage_steps path_steps = {
    .start = path_start,
    .reply = path_reply,
    .idle_ms = 15000,
    .total_ms = 30000,
    .tries_max = 3,
};
