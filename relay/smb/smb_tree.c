/* TREE_CONNECT and TREE_DISCONNECT. */
#include <string.h>

#include "common/base/utf16.h"
#include "relay/smb/smb_internal.h"

/* [MS-SMB2] 2.2.10 ShareType */
#define SHARE_TYPE_PIPE 2U

static int answer_tree_connect(struct smb_conn *conn, struct smb_request *request,
                               struct smb_message *message)
{
    struct cursor *c = &message->body;
    uint16_t structure_size = cursor_u16le(c);
    uint8_t share_type = cursor_u8(c);
    cursor_skip(c, 1 + 4 + 4 + 4); /* Reserved, ShareFlags, Capabilities, MaximalAccess */
    if (!cursor_ok(c) || structure_size != 16 || message->tree == 0)
        return -1;
    request->reply.tree = message->tree;
    request->reply.tree_is_pipe = share_type == SHARE_TYPE_PIPE;
    return conn->validation_asked ? 0 : smb_validate_send(conn, message->tree);
}

int smb_tree_connect(struct smb_conn *conn, uint64_t tag, const char *share, struct err *err)
{
    struct buf path;
    struct buf message;
    if (smb_check_ready(conn, err) != 0)
        return -1;
    buf_init(&path, 2 * (size_t)SMB_PATH_SIZE_MAX);
    buf_printf(&path, "\\\\%s\\%s", conn->config.host, share);
    smb_message_begin(&message);
    buf_u16le(&message, 9);                   /* StructureSize, 2.2.9 */
    buf_u16le(&message, 0);                   /* Flags */
    buf_u16le(&message, SMB_HEADER_SIZE + 8); /* PathOffset */
    buf_u16le(&message, 0);                   /* PathLength */
    size_t at = message.size;
    if (!buf_ok(&path) || utf16_from_utf8(&message, buf_cstr(&path)) != 0) {
        buf_release(&path);
        buf_release(&message);
        return err_set(err, ERR_INVALID, "share or host name is too long or not UTF-8");
    }
    buf_release(&path);
    buf_patch_u16le(&message, at - 2, (uint16_t)(message.size - at));
    struct smb_request *request =
        smb_request_new(SMB_COMMAND_TREE_CONNECT, SMB_OP_TREE_CONNECT, tag);
    request->answer = answer_tree_connect;
    return smb_submit(conn, request, &message, NULL, 0, err);
}

int smb_tree_disconnect(struct smb_conn *conn, uint64_t tag, uint32_t tree, struct err *err)
{
    struct buf message;
    if (smb_check_ready(conn, err) != 0)
        return -1;
    smb_message_begin(&message);
    buf_u16le(&message, 4); /* StructureSize, 2.2.11 */
    buf_u16le(&message, 0);
    struct smb_request *request =
        smb_request_new(SMB_COMMAND_TREE_DISCONNECT, SMB_OP_TREE_DISCONNECT, tag);
    request->tree = tree;
    request->reply.tree = tree;
    request->answer = smb_answer_plain;
    return smb_submit(conn, request, &message, NULL, 0, err);
}
