/* Stage 4: C:\SPDISTRO is there, a real directory, and only SYSTEM and Administrators may write to
 * it. Made with a protected DACL when missing; never tightened in place, since planted files and
 * open handles survive that; with --replace-path an unsafe one is renamed aside. Temporary files
 * that a crash or a cut connection left are swept on the way; those in use can't be opened.
 *
 * One message opens the folder, asks for its rights and its temporary files, and closes it; a
 * second one per file sweeps.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "relay/sd/sd.h"
#include "relay/stage/session.h"
#include "relay/stage/statusmap.h"

#define SD_BUILD_MAX 1024

enum path_step {
    PATH_OPEN = 1, /* asked together with the three after it */
    PATH_SECURITY,
    PATH_LIST, /* what a crash left */
    PATH_CLOSE,
    PATH_SWEEP,
    PATH_SWEPT,
    PATH_OPEN_OLD, /* with --replace-path, together with the two after it */
    PATH_MOVE_OLD,
    PATH_CLOSE_OLD,
    PATH_CLOSE_LATE, /* its answer doesn't matter */
};

#define PATH_ANSWERS 3 /* to what is asked together with PATH_OPEN */

/* After another push: nothing is made that isn't there. */
static bool cleans_up(const struct session *session)
{
    return session->job->job.action == JOB_CLEANUP;
}

static void path_open(struct session *session)
{
    struct buf descriptor;
    struct err err;
    buf_init(&descriptor, SD_BUILD_MAX);
    sd_build_distribution(&descriptor);
    struct smb_create_request request = {
        .path = STAGE_FOLDER,
        .access = SMB_ACCESS_READ_DATA | SMB_ACCESS_READ_ATTRIBUTES | SMB_ACCESS_READ_CONTROL |
                  SMB_ACCESS_SYNCHRONIZE,
        .share = SMB_SHARE_READ | SMB_SHARE_WRITE | SMB_SHARE_DELETE,
        .disposition = cleans_up(session) ? SMB_OPEN : SMB_OPEN_IF,
        .options = SMB_OPTION_DIRECTORY | SMB_OPTION_OPEN_REPARSE_POINT,
        .security_descriptor = descriptor.data,
        .security_descriptor_size = descriptor.size,
    };
    struct smb_file folder = smb_related_file();
    smb_compound_begin(session->conn);
    bool made =
        smb_create(session->conn, session_tag(session, PATH_OPEN), session->tree, &request, &err) ==
            0 &&
        smb_query_security(session->conn, session_tag(session, PATH_SECURITY), folder,
                           SMB_SECURITY_OWNER | SMB_SECURITY_DACL, &err) == 0 &&
        smb_query_directory(session->conn, session_tag(session, PATH_LIST), folder,
                            STAGE_TEMPORARY_PREFIX "*" STAGE_TEMPORARY_SUFFIX, true, &err) == 0 &&
        smb_close(session->conn, session_tag(session, PATH_CLOSE), folder, &err) == 0;
    buf_release(&descriptor);
    if (smb_compound_end(session->conn, made, &err) != 0)
        session_fail_request(session, &err);
}

/* Renames whatever bears the name. */
static void path_move_old(struct session *session)
{
    struct err err;
    uint64_t number = 0;
    char aside[64];
    struct smb_file old = smb_related_file();
    struct smb_create_request request = {
        .path = STAGE_FOLDER,
        .access = SMB_ACCESS_DELETE | SMB_ACCESS_READ_ATTRIBUTES | SMB_ACCESS_SYNCHRONIZE,
        .share = SMB_SHARE_READ | SMB_SHARE_WRITE | SMB_SHARE_DELETE,
        .disposition = SMB_OPEN,
        .options = SMB_OPTION_OPEN_REPARSE_POINT,
    };
    if (getrandom(&number, sizeof number, 0) < 0)
        number = uv_hrtime(); /* need not be secret, only new */
    (void)snprintf(aside, sizeof aside, "%s.unsafe-%016" PRIx64, STAGE_FOLDER, number);
    smb_compound_begin(session->conn);
    bool made = smb_create(session->conn, session_tag(session, PATH_OPEN_OLD), session->tree,
                           &request, &err) == 0 &&
                smb_rename(session->conn, session_tag(session, PATH_MOVE_OLD), old, aside, false,
                           &err) == 0 &&
                smb_close(session->conn, session_tag(session, PATH_CLOSE_OLD), old, &err) == 0;
    if (smb_compound_end(session->conn, made, &err) != 0)
        session_fail_request(session, &err);
}

/* What is there can't be used: replaces it if the job says so, else fails. */
static void path_unfit(struct session *session)
{
    struct path_state *path = &session->path;
    if (session->job->job.replace_path && !cleans_up(session) && !path->replaced) {
        path->replaced = true;
        path_move_old(session);
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

static void path_opened(struct session *session, const struct smb_reply *reply)
{
    struct path_state *path = &session->path;
    if (cleans_up(session) && (reply->status == NTSTATUS_OBJECT_NAME_NOT_FOUND ||
                               reply->status == NTSTATUS_NO_SUCH_FILE)) {
        session_pass(session, "C:\\" STAGE_FOLDER " is not there: nothing to do");
        return;
    }
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
    path->waiting = PATH_ANSWERS;
    path->failed = 0;
    path->stale_count = 0;
    path->reason = REASON_NONE;
    if ((reply->info.attributes & SMB_ATTRIBUTE_REPARSE_POINT) != 0)
        path_note(path, REASON_UNSAFE_PATH, 0, "is a link to another place");
}

static void path_judged(struct path_state *path, const struct smb_reply *reply)
{
    struct sd sd;
    struct err err;
    char why[SD_WHY_SIZE];
    char text[SD_WHY_SIZE + 16];
    if (ntstatus_is_error(reply->status)) {
        path->failed = reply->status;
        return;
    }
    if (path->reason != REASON_NONE)
        return; /* a link's own rights say nothing of the place */
    if (sd_parse(reply->data, reply->data_size, &sd, &err) != 0) {
        (void)snprintf(text, sizeof text, "has rights that make no sense: %.200s", err.text);
        path_note(path, REASON_UNSAFE_PATH, 0, text);
    } else if (!sd_is_safe(&sd, SD_FOLDER, why, sizeof why)) {
        (void)snprintf(text, sizeof text, "is not safe: %s", why);
        path_note(path, REASON_UNSAFE_PATH, 0, text);
    }
}

static bool name_is_temporary(const char *name)
{
    size_t length = strlen(name);
    size_t prefix = strlen(STAGE_TEMPORARY_PREFIX);
    size_t suffix = strlen(STAGE_TEMPORARY_SUFFIX);
    return length > prefix + suffix && length < PATH_STALE_NAME_SIZE &&
           strncmp(name, STAGE_TEMPORARY_PREFIX, prefix) == 0 &&
           strcmp(name + length - suffix, STAGE_TEMPORARY_SUFFIX) == 0 &&
           strpbrk(name, "\\/") == NULL;
}

/* What can't be listed isn't swept: that is no failure. */
static void path_listed(struct path_state *path, const struct smb_reply *reply)
{
    if (reply->status != NTSTATUS_SUCCESS)
        return;
    struct cursor at = cursor_of(reply->data, reply->data_size);
    struct smb_directory_entry *entry = mem_new(1, sizeof *entry);
    while (path->stale_count < PATH_STALE_MAX && smb_directory_next(&at, entry))
        if (!entry->info.directory && name_is_temporary(entry->name))
            (void)text_copy(path->stale[path->stale_count++], PATH_STALE_NAME_SIZE, entry->name);
    free(entry);
}

/* Opened for deletion and shared with nobody: one that is being written stays. */
static void path_sweep(struct session *session)
{
    struct path_state *path = &session->path;
    struct err err;
    char name[sizeof STAGE_FOLDER + PATH_STALE_NAME_SIZE];
    struct smb_create_request request = {
        .path = name,
        .access = SMB_ACCESS_DELETE | SMB_ACCESS_SYNCHRONIZE,
        .share = SMB_SHARE_NONE,
        .disposition = SMB_OPEN,
        .options =
            SMB_OPTION_DELETE_ON_CLOSE | SMB_OPTION_NON_DIRECTORY | SMB_OPTION_OPEN_REPARSE_POINT,
    };
    path->waiting = 2 * path->stale_count;
    for (uint32_t i = 0; i < path->stale_count; i++) {
        (void)snprintf(name, sizeof name, STAGE_FOLDER "\\%s", path->stale[i]);
        smb_compound_begin(session->conn);
        bool made = smb_create(session->conn, session_tag(session, PATH_SWEEP), session->tree,
                               &request, &err) == 0 &&
                    smb_close(session->conn, session_tag(session, PATH_SWEPT), smb_related_file(),
                              &err) == 0;
        if (smb_compound_end(session->conn, made, &err) != 0) {
            session_fail_request(session, &err);
            return;
        }
    }
}

static void path_fine(struct session *session)
{
    session_pass(session,
                 session->path.replaced ? "an unsafe C:\\" STAGE_FOLDER " was set aside" : "");
}

/* An answer of several that are waited for; the last one decides. */
static void path_answered(struct session *session)
{
    struct path_state *path = &session->path;
    if (--path->waiting > 0)
        return;
    if (path->failed != 0)
        session_fail_status(session, path->failed, "read the rights of C:\\" STAGE_FOLDER);
    else if (path->reason != REASON_NONE)
        path_unfit(session);
    else if (path->stale_count > 0)
        path_sweep(session);
    else
        path_fine(session);
}

/* A server may refuse to close after a question that it refused ([MS-SMB2] 3.3.5.2.7.2): listing
 * finds no such file as a rule. */
static void path_closed(struct session *session, const struct smb_reply *reply)
{
    if (ntstatus_is_error(reply->status))
        (void)smb_close(session->conn, session_tag(session, PATH_CLOSE_LATE), session->path.file,
                        NULL);
    path_answered(session);
}

static void path_start(struct session *session)
{
    memset(&session->path, 0, sizeof session->path);
    path_open(session);
}

static void path_reply(struct session *session, const struct smb_reply *reply)
{
    struct path_state *path = &session->path;
    enum path_step step = (enum path_step)session_step(reply->tag);
    bool opened = path->waiting > 0; /* else what was asked with it fails with the opening */
    switch (step) {
    case PATH_OPEN:
        path_opened(session, reply);
        return;
    case PATH_SECURITY:
        if (opened) {
            path_judged(path, reply);
            path_answered(session);
        }
        return;
    case PATH_LIST:
        if (opened) {
            path_listed(path, reply);
            path_answered(session);
        }
        return;
    case PATH_CLOSE:
        if (opened)
            path_closed(session, reply);
        return;
    case PATH_SWEEP:
    case PATH_SWEPT: /* what can't be swept stays */
        if (--path->waiting == 0)
            path_fine(session);
        return;
    case PATH_OPEN_OLD:
        if (ntstatus_is_error(reply->status))
            session_fail_status(session, reply->status, "open the old C:\\" STAGE_FOLDER);
        return;
    case PATH_MOVE_OLD:
        if (ntstatus_is_error(reply->status))
            session_fail_status(session, reply->status, "rename the old C:\\" STAGE_FOLDER);
        return;
    case PATH_CLOSE_OLD:
        path_open(session);
        return;
    case PATH_CLOSE_LATE:
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
