/* relay/auth: the token of a server at the logon, NTLM as it is or inside SPNEGO; anybody who
 * answers on port 445 may send one. Covers auth_context_step (and with it the GSSAPI mechanisms),
 * auth_peer_from_token, auth_flags_from_token, auth_context_session_key.
 *
 * Holds: after a refusal, which says why, the context is spent; a session key comes only after an
 * AUTHENTICATE message; names are strings within their sizes, all of one challenge. */
#include <string.h>

#include "common/base/utf16.h"
#include "fuzz.h"
#include "relay/auth/auth_internal.h"

static struct auth_credential *credential;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct err err;
    (void)argc;
    (void)argv;
    auth_setup();
    FUZZ_CHECK(auth_credential_new("DOM\\user", "no secret at all", &credential, &err) == 0);
    return 0;
}

static void check_name(const char name[AUTH_NAME_SIZE])
{
    FUZZ_CHECK(memchr(name, '\0', AUTH_NAME_SIZE) != NULL && utf8_valid(name));
}

static void check_peer(const struct auth_peer *peer)
{
    check_name(peer->netbios_computer);
    check_name(peer->netbios_domain);
    check_name(peer->dns_computer);
    check_name(peer->dns_domain);
    FUZZ_CHECK(peer->known || (peer->netbios_computer[0] == '\0' && peer->timestamp == 0));
}

static int step(struct auth_context *context, const uint8_t *token, size_t size)
{
    struct buf out;
    struct err err = {0};
    buf_init(&out, AUTH_TOKEN_SIZE_MAX);
    int status = auth_context_step(context, token, size, &out, &err);
    if (status != 0)
        fuzz_check_error(&err);
    else
        FUZZ_CHECK(auth_context_done(context) || out.size > 0);
    buf_release(&out);
    check_peer(auth_context_peer(context));
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct auth_context *context = NULL;
    struct auth_peer peer = {0};
    struct err err = {0};
    uint8_t key[AUTH_KEY_SIZE];
    if (size == 0)
        return 0;
    enum auth_mechanism mechanism = (data[0] & 1) != 0 ? AUTH_SPNEGO : AUTH_NTLM_RAW;
    auth_peer_from_token(&peer, data + 1, size - 1);
    check_peer(&peer);
    (void)auth_flags_from_token(data + 1, size - 1);
    FUZZ_CHECK(auth_context_new(credential, mechanism, "cifs", "pc-1.example", &context, &err) ==
               0);
    FUZZ_CHECK(step(context, NULL, 0) == 0);
    FUZZ_CHECK(auth_context_session_key(context, key, &err) != 0);
    if (step(context, data + 1, size - 1) != 0) {
        FUZZ_CHECK(!auth_context_done(context));
        FUZZ_CHECK(auth_context_session_key(context, key, &err) != 0);
    } else if (auth_context_session_key(context, key, &err) == 0) {
        FUZZ_CHECK(auth_context_peer(context)->known || mechanism == AUTH_SPNEGO ||
                   auth_context_ntlm_flags(context) != 0);
    }
    /* A second one: the end of SPNEGO's exchange, or one too many. */
    if (step(context, data + 1, size - 1) != 0)
        FUZZ_CHECK(!auth_context_done(context) || mechanism == AUTH_NTLM_RAW);
    auth_context_free(context);
    return 0;
}
