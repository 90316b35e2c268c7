/* Answers onto the wire: signed or sealed, and what a hostile target adds. */
#include <string.h>

#include "relay/smb/smb_internal.h"
#include "tests/bench/light/light.h"

/* Signs the answers of a frame, each with the padding behind it, as far as they are whole. */
static void sign_reply(struct light_conn *conn)
{
    size_t size = conn->reply.size;
    for (size_t at = 0; size - at >= SMB_HEADER_SIZE;) {
        struct cursor c = cursor_of(conn->reply.data, size);
        cursor_seek(&c, at + 20);
        uint32_t next = cursor_u32le(&c);
        uint8_t *message = conn->reply.data + at;
        bool last = next < SMB_HEADER_SIZE || next > size - at;
        smb_sign(conn->crypto, message, last ? size - at : next, message + SMB_SIGNATURE_OFFSET);
        if (last)
            break;
        at += next;
    }
}

int light_conn_send(struct light_conn *conn, bool sealed, uint16_t command)
{
    size_t size = conn->reply.size;
    size_t at = conn->out.size;
    buf_u32be(&conn->out, (uint32_t)(size + (sealed ? SMB_TRANSFORM_SIZE : 0)));
    if (sealed) {
        uint8_t *to = buf_reserve(&conn->out, size + SMB_TRANSFORM_SIZE);
        if (to == NULL ||
            !smb_seal(conn->crypto, LIGHT_SESSION_ID, conn->reply.data, size, NULL, 0, to))
            return -1;
    } else {
        if (conn->crypto != NULL)
            sign_reply(conn);
        buf_bytes(&conn->out, conn->reply.data, size);
    }
    if (!buf_ok(&conn->out))
        return -1;
    if (!hostile_hit(conn->hostile, HOSTILE_FRAME, command, &conn->out, at))
        hostile_release_held(conn->hostile, &conn->out);
    return 0;
}

void light_conn_flood(struct light_conn *conn)
{
    struct buf *message = &conn->reply;
    if (conn->hostile == NULL || conn->hostile->line.flood == NULL ||
        conn->out.size > HOSTILE_OUT_MAX)
        return;
    if (strcmp(conn->hostile->line.flood, "noise") == 0) {
        buf_zero(&conn->out, HOSTILE_OUT_MAX);
        return;
    }
    buf_reset(message);
    hostile_flood(conn->hostile, message);
    buf_patch_u32le(message, 40, (uint32_t)LIGHT_SESSION_ID);
    buf_patch_u32le(message, 44, (uint32_t)(LIGHT_SESSION_ID >> 32));
    bool sealed = conn->crypto != NULL && conn->encrypts;
    if (conn->crypto != NULL && !sealed)
        message->data[16] |= SMB_FLAG_SIGNED;
    (void)light_conn_send(conn, sealed, UINT16_MAX);
}
