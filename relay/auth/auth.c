/* One logon: drives a GSSAPI context and keeps what the protocols around it need. */
#include "relay/auth/auth.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "relay/auth/auth_internal.h"

struct auth_context {
    const struct mechanism *mechanism;
    const struct auth_credential *credential; /* borrowed */
    gss_name_t target;
    gss_ctx_id_t handle;
    bool done;
    bool failed;
    uint32_t ntlm_flags;   /* of our AUTHENTICATE message */
    struct auth_peer peer; /* from the CHALLENGE message */
};

/* What the uses of GSSAPI differ in; Kerberos would be another row. */
struct mechanism {
    const gss_OID_desc *oid;
    gss_cred_id_t (*credential)(const struct auth_credential *credential);
    int (*before_step)(struct auth_context *context, struct err *err); /* NULL: nothing */
};

#define STEP_FLAGS (GSS_C_INTEG_FLAG | GSS_C_CONF_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG)

/* 1.3.6.1.4.1.7165.655.1.2: the question SPNEGO asks its mechanism about the MIC. */
#define REQUIRE_MIC_OID "\x2b\x06\x01\x04\x01\xb7\x7d\x85\x0f\x01\x02"

static gss_cred_id_t spnego_credential(const struct auth_credential *credential)
{
    return credential->spnego;
}

static gss_cred_id_t ntlm_credential(const struct auth_credential *credential)
{
    return credential->ntlm;
}

/* gss-ntlmssp puts the MIC into AUTHENTICATE ([MS-NLMP] 3.1.5.1.2) only when somebody showed that
 * he knows of it by asking; under SPNEGO that is SPNEGO, on raw NTLM it has to be us. */
static int ask_for_mic(struct auth_context *context, struct err *err)
{
    static char bytes[] = REQUIRE_MIC_OID;
    gss_OID_desc oid = {sizeof REQUIRE_MIC_OID - 1, bytes};
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    OM_uint32 minor = 0;
    if (context->handle == GSS_C_NO_CONTEXT)
        return 0;
    OM_uint32 major = gss_inquire_sec_context_by_oid(&minor, context->handle, &oid, &set);
    if (GSS_ERROR(major))
        return auth_gss_error(err, "cannot ask NTLM for its integrity code", major, minor);
    gss_release_buffer_set(&minor, &set);
    return 0;
}

static const struct mechanism mechanism_spnego = {&auth_oid_spnego, spnego_credential, NULL};
static const struct mechanism mechanism_ntlm = {&auth_oid_ntlm, ntlm_credential, ask_for_mic};

static const struct mechanism *mechanism_of(enum auth_mechanism mechanism)
{
    switch (mechanism) {
    case AUTH_SPNEGO:
        return &mechanism_spnego;
    case AUTH_NTLM_RAW:
        return &mechanism_ntlm;
    }
    return NULL;
}

static int import_target(struct auth_context *context, const char *service, const char *host,
                         struct err *err)
{
    struct buf text;
    buf_init(&text, 2 * (size_t)AUTH_NAME_SIZE);
    buf_printf(&text, "%s@%s", service, host);
    if (!buf_ok(&text)) {
        buf_release(&text);
        return err_set(err, ERR_INVALID, "host name is too long");
    }
    gss_buffer_desc buffer = {text.size, text.data};
    OM_uint32 minor = 0;
    OM_uint32 major =
        gss_import_name(&minor, &buffer, GSS_C_NT_HOSTBASED_SERVICE, &context->target);
    buf_release(&text);
    if (GSS_ERROR(major))
        return auth_gss_error(err, "cannot use the host name", major, minor);
    return 0;
}

int auth_context_new(const struct auth_credential *credential, enum auth_mechanism mechanism,
                     const char *service, const char *host, struct auth_context **context,
                     struct err *err)
{
    if (host[0] == '\0' || strchr(host, '@') != NULL)
        return err_set(err, ERR_INVALID, "host name is empty or has an @");
    struct auth_context *made = mem_new(1, sizeof *made);
    made->mechanism = mechanism_of(mechanism);
    made->credential = credential;
    if (import_target(made, service, host, err) != 0) {
        auth_context_free(made);
        return -1;
    }
    *context = made;
    return 0;
}

void auth_context_free(struct auth_context *context)
{
    OM_uint32 minor = 0;
    if (context == NULL)
        return;
    gss_delete_sec_context(&minor, &context->handle, GSS_C_NO_BUFFER);
    gss_release_name(&minor, &context->target);
    free(context);
}

/* The GSSAPI call itself; output is released by the caller. */
static OM_uint32 init_context(struct auth_context *context, const uint8_t *token, size_t token_size,
                              gss_buffer_t output, OM_uint32 *minor)
{
    gss_buffer_desc input = {token_size, NULL};
    void *copy = NULL;
    if (token_size > 0) { /* gss_buffer_desc is not const-correct */
        copy = mem_new(token_size, 1);
        memcpy(copy, token, token_size);
        input.value = copy;
    }
    gss_OID_desc oid = *context->mechanism->oid;
    OM_uint32 major = gss_init_sec_context(
        minor, context->mechanism->credential(context->credential), &context->handle,
        context->target, &oid, STEP_FLAGS, GSS_C_INDEFINITE, GSS_C_NO_CHANNEL_BINDINGS,
        token_size > 0 ? &input : GSS_C_NO_BUFFER, NULL, output, NULL, NULL);
    free(copy);
    return major;
}

static int fail(struct auth_context *context)
{
    context->failed = true;
    return -1;
}

int auth_context_step(struct auth_context *context, const uint8_t *token, size_t token_size,
                      struct buf *out, struct err *err)
{
    bool first = context->handle == GSS_C_NO_CONTEXT;
    if (context->failed || context->done)
        return err_set(err, ERR_PROTOCOL, "one authentication token too many");
    if (first != (token_size == 0) || token_size > AUTH_TOKEN_SIZE_MAX) {
        err_set(err, ERR_PROTOCOL, "authentication token missing or too long");
        return fail(context);
    }
    if (auth_token_check(token, token_size, err) != 0)
        return fail(context);
    if (context->mechanism->before_step != NULL &&
        context->mechanism->before_step(context, err) != 0)
        return fail(context);
    auth_peer_from_token(&context->peer, token, token_size);
    OM_uint32 minor = 0;
    OM_uint32 ignored = 0;
    gss_buffer_desc output = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = init_context(context, token, token_size, &output, &minor);
    if (GSS_ERROR(major)) {
        gss_release_buffer(&ignored, &output);
        auth_gss_error(err, "authentication failed", major, minor);
        return fail(context);
    }
    context->done = (major & GSS_S_CONTINUE_NEEDED) == 0;
    if (output.length > 0) {
        uint32_t flags = auth_flags_from_token(output.value, output.length);
        if (flags != 0)
            context->ntlm_flags = flags;
        buf_bytes(out, output.value, output.length);
    }
    gss_release_buffer(&ignored, &output);
    if (!buf_ok(out)) {
        err_set(err, ERR_LIMIT, "authentication token does not fit");
        return fail(context);
    }
    return 0;
}

bool auth_context_done(const struct auth_context *context)
{
    return context->done && !context->failed;
}

int auth_context_session_key(const struct auth_context *context, uint8_t key[AUTH_KEY_SIZE],
                             struct err *err)
{
    OM_uint32 minor = 0;
    OM_uint32 ignored = 0;
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    if (context->handle == GSS_C_NO_CONTEXT || context->failed)
        return err_set(err, ERR_INTERNAL, "no session key yet");
    OM_uint32 major =
        gss_inquire_sec_context_by_oid(&minor, context->handle, GSS_C_INQ_SSPI_SESSION_KEY, &set);
    if (GSS_ERROR(major))
        return auth_gss_error(err, "no session key", major, minor);
    bool enough =
        set != GSS_C_NO_BUFFER_SET && set->count > 0 && set->elements[0].length >= AUTH_KEY_SIZE;
    if (enough)
        memcpy(key, set->elements[0].value, AUTH_KEY_SIZE);
    if (set != GSS_C_NO_BUFFER_SET && set->count > 0 && set->elements[0].length > 0)
        explicit_bzero(set->elements[0].value, set->elements[0].length);
    gss_release_buffer_set(&ignored, &set);
    if (!enough)
        return err_set(err, ERR_INTERNAL, "session key is shorter than %d bytes", AUTH_KEY_SIZE);
    return 0;
}

uint32_t auth_context_ntlm_flags(const struct auth_context *context)
{
    return context->ntlm_flags;
}

const struct auth_peer *auth_context_peer(const struct auth_context *context)
{
    return &context->peer;
}
