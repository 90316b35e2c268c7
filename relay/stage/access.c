/* Stage 3: the administrator's share opens with the push account, and the machine is the one meant.
 *
 * Also how every connection is brought up: the engine negotiates and logs on by itself, then the
 * names of the NTLM challenge are compared, and only then C$ is connected. Nothing has been written
 * until then.
 */
#include "common/base/text.h"
#include "relay/stage/namecheck.h"
#include "relay/stage/session.h"

enum access_step { ACCESS_TREE = 1 };

/* Returns false, with the stage ended, when another machine answers. */
static bool name_fits(struct session *session)
{
    struct stage_target *target = session->target;
    const struct auth_peer *peer = &smb_conn_server(session->conn)->names;
    if (target->name_is_address) {
        target->name_check = NAME_NOT_CHECKED;
        return true;
    }
    if (namecheck_fits(target->name, peer)) {
        target->name_check = NAME_MATCHED;
        return true;
    }
    char wanted[112];
    char netbios[64];
    char dns[112];
    (void)text_printable(wanted, sizeof wanted, target->name);
    (void)text_printable(netbios, sizeof netbios, peer->netbios_computer);
    (void)text_printable(dns, sizeof dns, peer->dns_computer);
    session_fail(session, REASON_NAME_MISMATCH, CODE_NONE, 0,
                 "the machine at this address calls itself '%s' (DNS '%s'), not '%.100s'", netbios,
                 dns, wanted);
    return false;
}

static void access_start(struct session *session)
{
    (void)session; /* the engine has NEGOTIATE queued already */
}

static void access_reply(struct session *session, const struct smb_reply *reply)
{
    struct err err;
    if (reply->op == SMB_OP_LOGON) {
        if (ntstatus_is_error(reply->status)) {
            session_fail_status(session, reply->status, "logon");
            return;
        }
        session->target->logged_on = true;
        if (name_fits(session) &&
            smb_tree_connect(session->conn, session_tag(session, ACCESS_TREE), "C$", &err) != 0)
            session_fail_request(session, &err);
        return;
    }
    if (reply->op != SMB_OP_TREE_CONNECT)
        return;
    if (ntstatus_is_error(reply->status)) {
        session_fail_status(session, reply->status, "connect to share C$");
        return;
    }
    session->tree = reply->tree;
    session_up(session);
}

const struct stage_steps access_steps = {
    .start = access_start,
    .reply = access_reply,
    .idle_ms = 15000, /* a busy file server may be slow to fork; a dead one ends at connect */
    .total_ms = 30000,
    .tries_max = 2,
};
