/* relay/rpc/seal: the vectors of [MS-NLMP] 4.2.4, GSSAPI's own NTLM beside ours, tampering. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>

#include "common/base/buf.h"
#include "relay/auth/auth.h"
#include "relay/auth/auth_internal.h"
#include "relay/rpc/seal.h"

#define PASSWORD "Seal-me-1"
#define MESSAGE_SIZE_MAX 600

/* gss-ntlmssp's accepting side leaks; the product never runs it. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

static void leaks_ignored(bool ignored)
{
    if (__lsan_disable != NULL && __lsan_enable != NULL)
        (ignored ? __lsan_disable : __lsan_enable)();
}

/* [MS-NLMP] 4.2.1: RandomSessionKey, exported since KEY_EXCH is negotiated. */
static const uint8_t spec_key[SEAL_KEY_SIZE] = {0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55,
                                                0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55};

/* [MS-NLMP] 4.2.4.4: "Plaintext" sealed with NTLMv2 and sequence 0. */
static void seal_of_specification_example_gives_its_bytes(void **state)
{
    (void)state;
    static const uint8_t sign_key[] = {0x47, 0x88, 0xdc, 0x86, 0x1b, 0x47, 0x82, 0xf3,
                                       0x5d, 0x43, 0xfd, 0x98, 0xfe, 0x1a, 0x2d, 0x39};
    static const uint8_t sealed[] = {0x54, 0xe5, 0x01, 0x65, 0xbf, 0x19, 0x36, 0xdc, 0x99,
                                     0x60, 0x20, 0xc1, 0x81, 0x1b, 0x0f, 0x06, 0xfb, 0x5f};
    static const uint8_t expected[] = {0x01, 0x00, 0x00, 0x00, 0x7f, 0xb3, 0x8e, 0xc5,
                                       0xc5, 0x5d, 0x49, 0x76, 0x00, 0x00, 0x00, 0x00};
    uint8_t message[] = {'P', 0, 'l', 0, 'a', 0, 'i', 0, 'n', 0, 't', 0, 'e', 0, 'x', 0, 't', 0};
    uint8_t signature[SEAL_SIGNATURE_SIZE];
    struct seal seal;
    seal_init(&seal, SEAL_CLIENT, spec_key);
    assert_memory_equal(seal.send.sign_key, sign_key, sizeof sign_key);
    seal_fragment(&seal, message, sizeof message, 0, sizeof message, signature);
    assert_memory_equal(message, sealed, sizeof sealed);
    assert_memory_equal(signature, expected, sizeof expected);
    seal_wipe(&seal);
}

/* A PDU of a known pattern: 24 in the clear, the stub, 8 in the clear. */
static void make_pdu(uint8_t pdu[64])
{
    for (unsigned i = 0; i < 64; i++)
        pdu[i] = (uint8_t)(7 * i + 3);
}

static void sealed_fragments_open_on_the_other_side(void **state)
{
    (void)state;
    struct seal client;
    struct seal server;
    uint8_t plain[64];
    uint8_t pdu[64];
    uint8_t signature[SEAL_SIGNATURE_SIZE];
    seal_init(&client, SEAL_CLIENT, spec_key);
    seal_init(&server, SEAL_SERVER, spec_key);
    make_pdu(plain);
    for (unsigned i = 0; i < 5; i++) {
        memcpy(pdu, plain, sizeof pdu);
        seal_fragment(&client, pdu, sizeof pdu, 24, 32, signature);
        assert_memory_equal(pdu, plain, 24);
        assert_memory_not_equal(pdu + 24, plain + 24, 32);
        assert_true(seal_open_fragment(&server, pdu, sizeof pdu, 24, 32, signature));
        assert_memory_equal(pdu, plain, sizeof pdu);
        seal_fragment(&server, pdu, sizeof pdu, 24, 32, signature);
        assert_true(seal_open_fragment(&client, pdu, sizeof pdu, 24, 32, signature));
    }
    assert_int_equal(client.send.sequence, 5);
}

static void one_flipped_bit_anywhere_is_refused(void **state)
{
    (void)state;
    struct seal client;
    struct seal fresh;
    uint8_t plain[64];
    uint8_t signature[SEAL_SIGNATURE_SIZE];
    seal_init(&client, SEAL_CLIENT, spec_key);
    make_pdu(plain);
    seal_fragment(&client, plain, sizeof plain, 24, 32, signature);
    for (unsigned bit = 0; bit < 8 * (sizeof plain + sizeof signature); bit++) {
        uint8_t pdu[64];
        uint8_t mac[SEAL_SIGNATURE_SIZE];
        memcpy(pdu, plain, sizeof pdu);
        memcpy(mac, signature, sizeof mac);
        uint8_t *byte = bit < 8 * sizeof pdu ? &pdu[bit / 8] : &mac[bit / 8 - sizeof pdu];
        *byte ^= (uint8_t)(1U << bit % 8);
        seal_init(&fresh, SEAL_SERVER, spec_key);
        assert_false(seal_open_fragment(&fresh, pdu, sizeof pdu, 24, 32, mac));
    }
}

static void replayed_or_skipped_fragment_is_refused(void **state)
{
    (void)state;
    struct seal client;
    struct seal server;
    uint8_t first[64];
    uint8_t second[64];
    uint8_t copy[64];
    uint8_t first_signature[SEAL_SIGNATURE_SIZE];
    uint8_t second_signature[SEAL_SIGNATURE_SIZE];
    make_pdu(first);
    make_pdu(second);
    seal_init(&client, SEAL_CLIENT, spec_key);
    seal_fragment(&client, first, sizeof first, 24, 32, first_signature);
    seal_fragment(&client, second, sizeof second, 24, 32, second_signature);
    seal_init(&server, SEAL_SERVER, spec_key);
    memcpy(copy, first, sizeof copy);
    assert_true(seal_open_fragment(&server, copy, sizeof copy, 24, 32, first_signature));
    memcpy(copy, first, sizeof copy);
    assert_false(seal_open_fragment(&server, copy, sizeof copy, 24, 32, first_signature));
    seal_init(&server, SEAL_SERVER, spec_key);
    assert_false(seal_open_fragment(&server, second, sizeof second, 24, 32, second_signature));
}

/* Both ends of a logon: ours by relay/auth, the server's by GSSAPI. */
struct logon {
    struct auth_credential *credential;
    struct auth_context *context;
    gss_cred_id_t acceptor;
    gss_ctx_id_t server;
};

static char user_file[] = "/tmp/pusher-test-seal-XXXXXX";

static void server_step(struct logon *l, const struct buf *in, struct buf *out)
{
    OM_uint32 minor = 0;
    gss_buffer_desc input = {in->size, in->data};
    gss_buffer_desc output = GSS_C_EMPTY_BUFFER;
    leaks_ignored(true);
    OM_uint32 major =
        gss_accept_sec_context(&minor, &l->server, l->acceptor, &input, GSS_C_NO_CHANNEL_BINDINGS,
                               NULL, NULL, &output, NULL, NULL, NULL);
    leaks_ignored(false);
    assert_false(GSS_ERROR(major));
    buf_bytes(out, output.value, output.length);
    gss_release_buffer(&minor, &output);
}

static int logon_setup(void **state)
{
    struct logon *l = calloc(1, sizeof *l);
    auth_setup();
    int fd = mkstemp(user_file);
    const char *line = "TESTDOM:user:" PASSWORD "\n";
    if (l == NULL || fd < 0 || write(fd, line, strlen(line)) != (ssize_t)strlen(line))
        return -1;
    close(fd);
    if (setenv("NTLM_USER_FILE", user_file, 1) != 0)
        return -1;
    OM_uint32 minor = 0;
    gss_OID_desc ntlm = auth_oid_ntlm;
    gss_OID_set_desc mechanisms = {1, &ntlm};
    leaks_ignored(true);
    OM_uint32 major = gss_acquire_cred(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechanisms,
                                       GSS_C_ACCEPT, &l->acceptor, NULL, NULL);
    leaks_ignored(false);
    if (GSS_ERROR(major) ||
        auth_credential_new("TESTDOM\\user", PASSWORD, &l->credential, NULL) != 0 ||
        auth_context_new(l->credential, AUTH_NTLM_RAW, "host", "server", &l->context, NULL) != 0)
        return -1;
    struct buf out;
    struct buf in;
    buf_init(&out, AUTH_TOKEN_SIZE_MAX);
    buf_init(&in, AUTH_TOKEN_SIZE_MAX);
    int status = auth_context_step(l->context, NULL, 0, &out, NULL);
    server_step(l, &out, &in);
    buf_reset(&out);
    status |= auth_context_step(l->context, in.data, in.size, &out, NULL);
    buf_reset(&in);
    server_step(l, &out, &in);
    buf_release(&out);
    buf_release(&in);
    *state = l;
    return status;
}

static int logon_teardown(void **state)
{
    struct logon *l = *state;
    OM_uint32 minor = 0;
    gss_delete_sec_context(&minor, &l->server, GSS_C_NO_BUFFER);
    gss_release_cred(&minor, &l->acceptor);
    auth_context_free(l->context);
    auth_credential_free(l->credential);
    free(l);
    unsetenv("NTLM_USER_FILE");
    return unlink(user_file);
}

/* GSS_Wrap signs what it encrypts and puts the signature in front: a fragment without header. */
static void sealing_is_what_gssapi_does(void **state)
{
    struct logon *l = *state;
    uint8_t key[AUTH_KEY_SIZE];
    struct seal ours;
    struct seal servers;
    assert_int_equal(auth_context_session_key(l->context, key, NULL), 0);
    assert_int_equal(auth_context_ntlm_flags(l->context) & SEAL_FLAGS_REQUIRED,
                     SEAL_FLAGS_REQUIRED);
    seal_init(&ours, SEAL_CLIENT, key);
    seal_init(&servers, SEAL_SERVER, key);
    for (size_t size = 1; size < MESSAGE_SIZE_MAX; size += 6) {
        uint8_t plain[MESSAGE_SIZE_MAX];
        uint8_t token[SEAL_SIGNATURE_SIZE + MESSAGE_SIZE_MAX];
        OM_uint32 minor = 0;
        int confidential = 0;
        for (size_t i = 0; i < size; i++)
            plain[i] = (uint8_t)(i * size + 1);

        /* What the server wraps is what we make with its keys, and we open it. */
        gss_buffer_desc message = {size, plain};
        gss_buffer_desc wrapped = GSS_C_EMPTY_BUFFER;
        OM_uint32 major =
            gss_wrap(&minor, l->server, 1, GSS_C_QOP_DEFAULT, &message, &confidential, &wrapped);
        assert_false(GSS_ERROR(major));
        memcpy(token + SEAL_SIGNATURE_SIZE, plain, size);
        seal_fragment(&servers, token + SEAL_SIGNATURE_SIZE, size, 0, size, token);
        assert_int_equal(wrapped.length, SEAL_SIGNATURE_SIZE + size);
        assert_memory_equal(token, wrapped.value, wrapped.length);
        assert_true(seal_open_fragment(&ours, token + SEAL_SIGNATURE_SIZE, size, 0, size, token));
        gss_release_buffer(&minor, &wrapped);

        /* And the server unwraps what we seal. */
        memcpy(token + SEAL_SIGNATURE_SIZE, plain, size);
        seal_fragment(&ours, token + SEAL_SIGNATURE_SIZE, size, 0, size, token);
        gss_buffer_desc ours_wrapped = {SEAL_SIGNATURE_SIZE + size, token};
        gss_buffer_desc opened = GSS_C_EMPTY_BUFFER;
        major = gss_unwrap(&minor, l->server, &ours_wrapped, &opened, &confidential, NULL);
        assert_false(GSS_ERROR(major));
        assert_int_equal(opened.length, size);
        assert_memory_equal(opened.value, plain, size);
        gss_release_buffer(&minor, &opened);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seal_of_specification_example_gives_its_bytes),
        cmocka_unit_test(sealed_fragments_open_on_the_other_side),
        cmocka_unit_test(one_flipped_bit_anywhere_is_refused),
        cmocka_unit_test(replayed_or_skipped_fragment_is_refused),
        cmocka_unit_test_setup_teardown(sealing_is_what_gssapi_does, logon_setup, logon_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
