/* The accepting side of a logon, for unit tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "relay/auth/auth_internal.h"
#include "tests/unit/auth_acceptor.h"

/* gss-ntlmssp's accepting side leaks (a library context for each hashed password, the server's
 * name); the product never runs it, so the leak check looks away there and nowhere else. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

static void leaks_ignored(bool ignored)
{
    if (__lsan_disable != NULL && __lsan_enable != NULL)
        (ignored ? __lsan_disable : __lsan_enable)();
}

static char user_file[] = "/tmp/pusher-test-auth-XXXXXX";

int acceptor_group_setup(void **state)
{
    (void)state;
    auth_setup();
    int fd = mkstemp(user_file);
    const char *lines = "TESTDOM:user:" RIGHT_PASSWORD "\n:local:" RIGHT_PASSWORD "\n";
    if (fd < 0 || write(fd, lines, strlen(lines)) != (ssize_t)strlen(lines))
        return -1;
    close(fd);
    /* For the accepting side; at the same time a default credential with the right password. */
    return setenv("NTLM_USER_FILE", user_file, 1);
}

int acceptor_group_teardown(void **state)
{
    (void)state;
    unsetenv("NTLM_USER_FILE");
    return unlink(user_file);
}

void acceptor_init(struct acceptor *a, enum auth_mechanism mechanism)
{
    OM_uint32 minor = 0;
    gss_OID_desc oid = mechanism == AUTH_SPNEGO ? auth_oid_spnego : auth_oid_ntlm;
    gss_OID_set_desc set = {1, &oid};
    memset(a, 0, sizeof *a);
    leaks_ignored(true);
    OM_uint32 major = gss_acquire_cred(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &set, GSS_C_ACCEPT,
                                       &a->credential, NULL, NULL);
    leaks_ignored(false);
    assert_false(GSS_ERROR(major));
    if (mechanism == AUTH_SPNEGO) {
        gss_OID_desc ntlm = auth_oid_ntlm;
        gss_OID_set_desc only = {1, &ntlm};
        assert_false(GSS_ERROR(gss_set_neg_mechs(&minor, a->credential, &only)));
    }
}

void acceptor_release(struct acceptor *a)
{
    OM_uint32 minor = 0;
    gss_delete_sec_context(&minor, &a->context, GSS_C_NO_BUFFER);
    gss_release_cred(&minor, &a->credential);
}

/* Appends the answer to `out`; -1 when the logon is refused. */
int acceptor_step(struct acceptor *a, const uint8_t *token, size_t token_size, struct buf *out)
{
    OM_uint32 minor = 0;
    OM_uint32 ignored = 0;
    gss_buffer_desc input = {token_size, mem_new(token_size > 0 ? token_size : 1, 1)};
    if (token_size > 0)
        memcpy(input.value, token, token_size);
    gss_buffer_desc output = GSS_C_EMPTY_BUFFER;
    leaks_ignored(true);
    OM_uint32 major =
        gss_accept_sec_context(&minor, &a->context, a->credential, &input,
                               GSS_C_NO_CHANNEL_BINDINGS, NULL, NULL, &output, NULL, NULL, NULL);
    leaks_ignored(false);
    free(input.value);
    buf_bytes(out, output.value, output.length);
    gss_release_buffer(&ignored, &output);
    if (GSS_ERROR(major))
        return -1;
    a->done = (major & GSS_S_CONTINUE_NEEDED) == 0;
    return 0;
}

void acceptor_key(struct acceptor *a, uint8_t key[AUTH_KEY_SIZE])
{
    OM_uint32 minor = 0;
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    assert_false(GSS_ERROR(
        gss_inquire_sec_context_by_oid(&minor, a->context, GSS_C_INQ_SSPI_SESSION_KEY, &set)));
    memcpy(key, set->elements[0].value, AUTH_KEY_SIZE);
    gss_release_buffer_set(&minor, &set);
}
