/* Stage 5 of a package of several files: from one to the next, and the folders that they lie in.
 *
 * Files come in the package's order, so those of a folder follow each other, and a folder is made
 * or looked at when the first file below it comes. One that is there already must be a real one
 * that nobody but SYSTEM and Administrators may change: what is in it is going to be run.
 */
#include <stdio.h>
#include <string.h>

#include "relay/sd/sd.h"
#include "relay/stage/copy.h"
#include "relay/stage/filesd.h"
#include "relay/stage/statusmap.h"

#define SD_BUILD_MAX 1024

static const struct folder_file *file_in_work(const struct session *session)
{
    return &session->job->folder.files[session->copy->entry];
}

/* The package's folder, and in it the first `length` bytes of the file's path. */
static void path_below(const struct session *session, size_t length, char path[SMB_PATH_SIZE_MAX])
{
    (void)snprintf(path, SMB_PATH_SIZE_MAX, STAGE_FOLDER "\\%s%s%.*s",
                   session->job->job.package_name, length > 0 ? "\\" : "", (int)length,
                   length > 0 ? file_in_work(session)->path : "");
    for (char *at = path; *at != '\0'; at++)
        if (*at == '/')
            *at = '\\';
}

void copy_final_path(const struct session *session, char path[SMB_PATH_SIZE_MAX])
{
    bool one = session->job->folder.count == 0;
    path_below(session, one ? 0 : strlen(file_in_work(session)->path), path);
}

char *copy_say(const struct session *session, const char *text, char to[LIMIT_DETAIL_SIZE])
{
    bool one = session->job->folder.count == 0;
    (void)snprintf(to, LIMIT_DETAIL_SIZE, "%s%s%s", one ? "" : file_in_work(session)->path,
                   one ? "" : ": ", text);
    return to;
}

/* --- Folders --- */

static void folder_make(struct session *session)
{
    struct buf descriptor;
    struct err err;
    char path[SMB_PATH_SIZE_MAX];
    struct smb_file folder = smb_related_file();
    path_below(session, session->copy->folder_end, path);
    buf_init(&descriptor, SD_BUILD_MAX);
    filesd_build_folder(&descriptor, &session->job->job);
    struct smb_create_request request = {
        .path = path,
        .access = SMB_ACCESS_READ_ATTRIBUTES | SMB_ACCESS_READ_CONTROL | SMB_ACCESS_SYNCHRONIZE,
        .share = SMB_SHARE_READ | SMB_SHARE_WRITE | SMB_SHARE_DELETE,
        .disposition = SMB_OPEN_IF,
        .options = SMB_OPTION_DIRECTORY | SMB_OPTION_OPEN_REPARSE_POINT,
        .security_descriptor = descriptor.data,
        .security_descriptor_size = descriptor.size,
    };
    session->copy->step = COPY_FOLDER;
    smb_compound_begin(session->conn);
    bool made =
        smb_create(session->conn, copy_tag(session, COPY_FOLDER, 0), session->tree, &request,
                   &err) == 0 &&
        smb_query_security(session->conn, copy_tag(session, COPY_FOLDER_SECURITY, 0), folder,
                           SMB_SECURITY_OWNER | SMB_SECURITY_DACL, &err) == 0 &&
        smb_close(session->conn, copy_tag(session, COPY_FOLDER_CLOSE, 0), folder, &err) == 0;
    buf_release(&descriptor);
    copy_requested(session, smb_compound_end(session->conn, made, &err), &err);
}

/* The next folder on the way to the file, or the file. */
static void folder_go_on(struct session *session)
{
    struct copy_state *copy = session->copy;
    const char *path = file_in_work(session)->path;
    size_t from = copy->folder_end > 0 ? copy->folder_end + 1 : 0;
    const char *slash = strchr(path + from, '/');
    if (slash == NULL) {
        copy->why = PROBE_FIRST;
        copy_probe(session);
        return;
    }
    copy->folder_end = (uint32_t)(slash - path);
    folder_make(session);
}

static void folder_opened(struct session *session, const struct smb_reply *reply)
{
    if (ntstatus_is_error(reply->status))
        copy_fail_status(session, reply->status, "make the folder for it");
    else if ((reply->info.attributes & SMB_ATTRIBUTE_REPARSE_POINT) != 0)
        copy_fail(session, REASON_UNSAFE_PATH, CODE_NONE, 0,
                  "its folder is a link to another place");
    else
        session->copy->step = COPY_FOLDER_SECURITY;
}

static void folder_judged(struct session *session, const struct smb_reply *reply)
{
    struct sd sd;
    struct err err;
    char why[SD_WHY_SIZE];
    char text[SD_WHY_SIZE + 32];
    if (ntstatus_is_error(reply->status)) {
        copy_fail_status(session, reply->status, "read the rights of its folder");
        return;
    }
    if (sd_parse(reply->data, reply->data_size, &sd, &err) != 0)
        (void)snprintf(why, sizeof why, "its rights make no sense: %.200s", err.text);
    else if (sd_is_safe(&sd, SD_FOLDER, why, sizeof why)) {
        session->copy->step = COPY_FOLDER_CLOSE;
        return;
    }
    (void)snprintf(text, sizeof text, "its folder is not safe: %s", why);
    copy_fail(session, REASON_UNSAFE_PATH, CODE_NONE, 0, text);
}

void copy_folder_reply(struct session *session, const struct smb_reply *reply)
{
    if (session->copy->step == COPY_FOLDER)
        folder_opened(session, reply);
    else if (session->copy->step == COPY_FOLDER_SECURITY)
        folder_judged(session, reply);
    else
        folder_go_on(session);
}

/* --- Files --- */

static void take_file(struct session *session)
{
    const struct folder_file *file = file_in_work(session);
    session->copy->base = file->offset;
    session->copy->size = file->size;
}

void copy_folder_begin(struct session *session)
{
    take_file(session);
    folder_make(session);
}

/* Bytes of the folders' names that both paths begin with. */
static uint32_t common_folders(const char *before, const char *path)
{
    uint32_t end = 0;
    for (uint32_t i = 0; before[i] != '\0' && before[i] == path[i]; i++)
        if (path[i] == '/')
            end = i;
    return end;
}

bool copy_folder_next(struct session *session)
{
    struct copy_state *copy = session->copy;
    if (copy->entry + 1 >= session->job->folder.count)
        return false;
    const struct folder_file *before = file_in_work(session);
    *copy = (struct copy_state){
        .entry = copy->entry + 1,
        .before = copy->before + before->size,
        .streaming = copy->streaming,
    };
    take_file(session);
    copy->folder_end = common_folders(before->path, file_in_work(session)->path);
    session_tags_new(session); /* an answer that is late was about the file before */
    folder_go_on(session);
    return true;
}
