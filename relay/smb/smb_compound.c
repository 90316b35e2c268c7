/* Related compounds: collecting the parts, and passing tree and file on from part to part.
 *
 * The parts wait in the deferred queue, where smb_message.c sends them as one message as soon as
 * credits and output buffer allow. Where there will never be credits enough, the first part leaves
 * alone; its answer then says what the second one is about, and so on.
 */
#include <string.h>

#include "relay/smb/smb_internal.h"

#define COMPOUND_SIZE_MAX 131072U /* all parts of one */

void smb_compound_begin(struct smb_conn *conn)
{
    conn->collecting = true;
}

static void drop_collected(struct smb_conn *conn)
{
    struct smb_request *request;
    while ((request = smb_queue_pop(&conn->collected)) != NULL)
        smb_request_free(request);
}

int smb_compound_collect(struct smb_conn *conn, struct smb_request *request, struct buf *message,
                         const uint8_t *payload, size_t payload_size, struct err *err)
{
    buf_bytes(message, payload, payload_size);
    if (!buf_ok(message) || request->charge > 1) {
        smb_request_free(request);
        buf_release(message);
        return err_set(err, ERR_INVALID, "request to %s is too large for a compound",
                       conn->config.host);
    }
    request->deferred = *message;
    buf_init(message, 0);
    smb_queue_push(&conn->collected, request);
    return 0;
}

/* Tree and file that a part is about pass on to the part behind it, as far as they are known. */
static void inherit(struct smb_request *to, const struct smb_request *from)
{
    bool names_tree = from->command == SMB_COMMAND_TREE_CONNECT;
    if (to->tree == SMB_RELATED_TREE && !names_tree)
        to->tree = from->tree;
    if (to->reply.file.tree == SMB_RELATED_TREE)
        to->reply.file.tree = to->tree;
    if (to->reply.file.volatile_id == UINT64_MAX && from->command != SMB_COMMAND_CREATE &&
        !names_tree) {
        to->reply.file.persistent = from->reply.file.persistent;
        to->reply.file.volatile_id = from->reply.file.volatile_id;
    }
}

int smb_compound_end(struct smb_conn *conn, bool made, struct err *err)
{
    size_t size = 0;
    conn->collecting = false;
    for (const struct smb_request *at = conn->collected.head; at != NULL; at = at->next)
        size += smb_compound_padded(at->deferred.size);
    if (made && (size > COMPOUND_SIZE_MAX || size > SMB_DEFERRED_SIZE_MAX - conn->deferred_size))
        made = err_set(err, ERR_LIMIT, "too many requests wait for %s", conn->config.host) == 0;
    if (!made) {
        drop_collected(conn);
        return -1;
    }
    struct smb_request *request;
    struct smb_request *before = NULL;
    conn->chain_last += conn->chain_last == UINT32_MAX ? 2 : 1;
    while ((request = smb_queue_pop(&conn->collected)) != NULL) {
        request->chain = conn->chain_last;
        request->related = before != NULL;
        if (before != NULL)
            inherit(request, before);
        conn->deferred_size += request->deferred.size;
        smb_queue_push(&conn->deferred, request);
        before = request;
    }
    smb_send_deferred(conn);
    if (conn->state != SMB_STATE_FAILED)
        return 0;
    if (err != NULL)
        *err = conn->error;
    return -1;
}

size_t smb_compound_padded(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

size_t smb_compound_first(const struct smb_conn *conn, size_t *size, uint32_t *charge)
{
    const struct smb_request *first = conn->deferred.head;
    size_t count = 1;
    *size = first->deferred.size;
    *charge = first->charge;
    for (const struct smb_request *at = first->next;
         first->chain != 0 && at != NULL && at->chain == first->chain; at = at->next) {
        *size = smb_compound_padded(*size) + at->deferred.size;
        *charge += at->charge;
        count++;
    }
    return count;
}

/* Where in its message a request names the file; 0: it names none. [MS-SMB2] 2.2.15 to 2.2.39 */
static size_t file_id_offset(uint16_t command)
{
    switch (command) {
    case SMB_COMMAND_CLOSE:
    case SMB_COMMAND_FLUSH:
    case SMB_COMMAND_IOCTL:
    case SMB_COMMAND_QUERY_DIRECTORY:
        return SMB_HEADER_SIZE + 8;
    case SMB_COMMAND_READ:
    case SMB_COMMAND_WRITE:
    case SMB_COMMAND_SET_INFO:
        return SMB_HEADER_SIZE + 16;
    case SMB_COMMAND_QUERY_INFO:
        return SMB_HEADER_SIZE + 24;
    default:
        return 0;
    }
}

/* A part that is sent alone names its file itself. */
static void name_file(struct smb_request *request)
{
    struct buf *message = &request->deferred;
    size_t at = file_id_offset(request->command);
    const struct smb_file *file = &request->reply.file;
    if (at == 0)
        return;
    buf_patch_u32le(message, at, (uint32_t)file->persistent);
    buf_patch_u32le(message, at + 4, (uint32_t)(file->persistent >> 32));
    buf_patch_u32le(message, at + 8, (uint32_t)file->volatile_id);
    buf_patch_u32le(message, at + 12, (uint32_t)(file->volatile_id >> 32));
}

static void pass_on(struct smb_queue *queue, const struct smb_request *from)
{
    bool names_tree = from->command == SMB_COMMAND_TREE_CONNECT;
    for (struct smb_request *at = queue->head; at != NULL; at = at->next) {
        if (at->chain != from->chain)
            continue;
        if (names_tree && at->tree == SMB_RELATED_TREE)
            at->tree = from->reply.tree;
        if (at->reply.file.tree == SMB_RELATED_TREE)
            at->reply.file.tree = at->tree;
        if (!names_tree && at->reply.file.volatile_id == UINT64_MAX) {
            at->reply.file.persistent = from->reply.file.persistent;
            at->reply.file.volatile_id = from->reply.file.volatile_id;
        }
    }
}

/* The parts that were not sent yet because credits were few fail like the one that they rest on. */
static void fail_rest(struct smb_conn *conn, const struct smb_request *failed)
{
    while (conn->deferred.head != NULL && conn->deferred.head->chain == failed->chain) {
        struct smb_request *request = smb_queue_pop(&conn->deferred);
        conn->deferred_size -= request->deferred.size;
        buf_release(&request->deferred);
        request->reply.status = failed->reply.status;
        smb_queue_push(&conn->done, request);
    }
}

void smb_compound_answered(struct smb_conn *conn, const struct smb_request *request)
{
    bool makes =
        request->command == SMB_COMMAND_TREE_CONNECT || request->command == SMB_COMMAND_CREATE;
    if (makes && ntstatus_is_error(request->reply.status)) {
        fail_rest(conn, request);
        return;
    }
    if (makes) {
        pass_on(&conn->sent, request);
        pass_on(&conn->deferred, request);
    }
    struct smb_request *next = conn->deferred.head;
    if (next != NULL && next->chain == request->chain && next->related) {
        next->related = false;
        name_file(next);
    }
}
