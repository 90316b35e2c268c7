/* The SMB engine up to the logon: what is negotiated, and that no answer with a bit wrong, a choice
 * we did not offer or a guest's session gets further. The server is scripted; its half of the
 * authentication is GSSAPI's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/hex.h"
#include "common/base/mem.h"
#include "tests/unit/auth_acceptor.h"
#include "tests/unit/smb_fake.h"

#define SYSTEM_TIME 0x01DA000012345678U

/* What the server chooses, and what it does wrong. */
struct script {
    uint16_t dialect;
    uint16_t cipher;  /* 3.1.1: in its context, left out when none */
    uint16_t signing; /* 3.1.1: in its context, left out when HMAC (0) */
    uint32_t capabilities;
    uint32_t io_size;     /* 0: 8 MiB */
    uint32_t status;      /* of NEGOTIATE's answer */
    const char *contexts; /* hexadecimal, instead of the good ones */
    uint16_t context_count;
    uint32_t context_offset; /* 0: where they are */
    long flip_negotiate;     /* as in struct fake_answer */
    uint16_t session_flags;
    uint32_t session_status; /* instead of the final SUCCESS */
    uint64_t final_session;  /* session id of the final answer, when another */
    bool final_bare;
    long flip_final;
    long flip_token; /* counted from the end of the final token */
    bool no_final_token;
    bool old_challenge; /* the challenge's time is in 1601 */
};

struct server {
    struct fake f;
    struct acceptor acceptor;
    struct auth_credential *credential;
    const struct script *script;
    uint8_t preauth[SMB_PREAUTH_SIZE];
};

static void server_init(struct server *s, const struct script *script,
                        const struct smb_config *wanted)
{
    struct smb_config config = *wanted;
    memset(s, 0, sizeof *s);
    s->script = script;
    acceptor_init(&s->acceptor, AUTH_SPNEGO);
    assert_int_equal(
        auth_credential_new("TESTDOM\\user", RIGHT_PASSWORD, &s->credential, &s->f.err), 0);
    config.host = "pc-1.example";
    config.credential = s->credential;
    memset(config.salt, 7, sizeof config.salt);
    buf_init(&s->f.sent, 1 << 20);
    buf_init(&s->f.request, 1 << 20);
    buf_init(&s->f.rest, 1 << 20);
    assert_int_equal(smb_conn_new(&config, &s->f.conn, &s->f.err), 0);
}

static void server_release(struct server *s)
{
    fake_release(&s->f);
    acceptor_release(&s->acceptor);
    auth_credential_free(s->credential);
}

/* The next request, added to the server's half of the hash chain. */
static void next_request(struct server *s)
{
    assert_true(fake_next_request(&s->f));
    smb_preauth_hash(s->preauth, s->f.request.data, s->f.request.size);
}

static uint16_t put_contexts(const struct script *script, struct buf *body)
{
    uint16_t count = 1;
    buf_bytes(body, "\1\0\x26\0\0\0\0\0\1\0\x20\0\1\0", 14);
    buf_zero(body, 32);
    if (script->cipher != SMB_CIPHER_NONE) {
        buf_align(body, 0, 8);
        buf_bytes(body, "\2\0\4\0\0\0\0\0\1\0", 10);
        buf_u16le(body, script->cipher);
        count++;
    }
    if (script->signing != SMB_SIGNING_HMAC_SHA256) {
        buf_align(body, 0, 8);
        buf_bytes(body, "\x8\0\4\0\0\0\0\0\1\0", 10);
        buf_u16le(body, script->signing);
        count++;
    }
    return count;
}

static void build_negotiate(const struct script *script, struct buf *body)
{
    uint32_t io_size = script->io_size != 0 ? script->io_size : 8 << 20;
    buf_init(body, 4096);
    buf_u16le(body, 65);
    buf_u16le(body, 3);
    buf_u16le(body, script->dialect);
    buf_u16le(body, 0);
    buf_bytes(body, "a server's guid.", 16);
    buf_u32le(body, script->capabilities);
    for (int i = 0; i < 3; i++)
        buf_u32le(body, io_size);
    buf_u64le(body, SYSTEM_TIME);
    buf_zero(body, 8 + 2 + 2 + 4);
    if (script->dialect != SMB_DIALECT_3_1_1)
        return;
    uint32_t offset = SMB_HEADER_SIZE + (uint32_t)body->size;
    uint16_t count = script->context_count;
    if (script->contexts != NULL) {
        uint8_t bytes[256];
        size_t size = strlen(script->contexts) / 2;
        assert_int_equal(hex_decode(script->contexts, bytes, size), 0);
        buf_bytes(body, bytes, size);
    } else {
        count = put_contexts(script, body);
    }
    buf_patch_u16le(body, 6, count);
    buf_patch_u32le(body, 60, script->context_offset != 0 ? script->context_offset : offset);
}

static int negotiate(struct server *s)
{
    struct buf body;
    struct buf message;
    struct fake_answer answer = {
        .status = s->script->status, .credits = 1, .flip = s->script->flip_negotiate};
    next_request(s);
    build_negotiate(s->script, &body);
    fake_message(&s->f, &answer, body.data, body.size, &message);
    smb_preauth_hash(s->preauth, message.data, message.size);
    int result = fake_feed(&s->f, &answer, &message);
    buf_release(&body);
    buf_release(&message);
    return result;
}

static void session_body(struct buf *body, uint16_t flags, const struct buf *token)
{
    buf_init(body, 4096);
    buf_u16le(body, 9);
    buf_u16le(body, flags);
    buf_u16le(body, SMB_HEADER_SIZE + 8);
    buf_u16le(body, (uint16_t)token->size);
    buf_bytes(body, token->data, token->size);
}

/* Lets the acceptor look at the token of the request. */
static int accept_token(struct server *s, struct buf *token)
{
    uint16_t offset = fake_request_u16(&s->f, 64 + 12);
    uint16_t size = fake_request_u16(&s->f, 64 + 14);
    assert_true(offset + (size_t)size <= s->f.request.size);
    buf_init(token, 4096);
    return acceptor_step(&s->acceptor, s->f.request.data + offset, size, token);
}

static void age_challenge(struct buf *token)
{
    uint8_t *pair = memmem(token->data, token->size, "\7\0\x8\0", 4); /* MsvAvTimestamp */
    assert_non_null(pair);
    memset(pair + 4, 1, 5);
    memset(pair + 9, 0, 3);
}

static int challenge(struct server *s)
{
    struct buf token;
    struct buf body;
    struct buf message;
    struct fake_answer answer = {.status = NTSTATUS_MORE_PROCESSING_REQUIRED, .credits = 1};
    next_request(s);
    assert_int_equal(accept_token(s, &token), 0);
    if (s->script->old_challenge)
        age_challenge(&token);
    session_body(&body, 0, &token);
    fake_message(&s->f, &answer, body.data, body.size, &message);
    smb_preauth_hash(s->preauth, message.data, message.size);
    int result = fake_feed(&s->f, &answer, &message);
    buf_release(&token);
    buf_release(&body);
    buf_release(&message);
    return result;
}

/* The final answer, with the server's keys. */
static int finish(struct server *s)
{
    const struct script *script = s->script;
    struct buf token;
    struct buf body;
    uint8_t key[AUTH_KEY_SIZE];
    struct fake_answer answer = {.status = script->session_status,
                                 .session = script->final_session,
                                 .bare = script->final_bare,
                                 .flip = script->flip_final};
    next_request(s);
    assert_int_equal(accept_token(s, &token), 0);
    acceptor_key(&s->acceptor, key);
    enum smb_signing signing = (enum smb_signing)script->signing;
    if (signing == SMB_SIGNING_HMAC_SHA256 && script->dialect != SMB_DIALECT_2_1)
        signing = SMB_SIGNING_AES_CMAC;
    s->f.crypto = smb_crypto_new(script->dialect, signing, (enum smb_cipher)script->cipher, key,
                                 s->preauth, true);
    if (script->flip_token != 0)
        token.data[token.size - (size_t)script->flip_token] ^= 1;
    if (script->no_final_token)
        buf_reset(&token);
    session_body(&body, script->session_flags, &token);
    int result = fake_answer(&s->f, &answer, body.data, body.size);
    s->f.seal = script->cipher != SMB_CIPHER_NONE;
    buf_release(&token);
    buf_release(&body);
    return result;
}

static int logon(struct server *s)
{
    if (negotiate(s) != 0 || challenge(s) != 0)
        return -1;
    return finish(s);
}

static const struct smb_config everything = {.dialect_min = SMB_DIALECT_2_1};
static const struct smb_config usual = {0};

#define CAPABILITIES (SMB_CAP_LARGE_MTU | SMB_CAP_ENCRYPTION)
static const struct script good = {.dialect = SMB_DIALECT_3_1_1,
                                   .cipher = SMB_CIPHER_AES_128_GCM,
                                   .signing = SMB_SIGNING_AES_GMAC,
                                   .capabilities = CAPABILITIES};

static void logon_in_each_dialect_ends_ready(void **state)
{
    (void)state;
    static const struct {
        struct script script;
        const char *cipher, *signing;
    } cases[] = {
        {{.dialect = SMB_DIALECT_3_1_1, .cipher = 2, .signing = 2, .capabilities = CAPABILITIES},
         "AES-128-GCM",
         "AES-128-GMAC"},
        {{.dialect = SMB_DIALECT_3_1_1, .cipher = 1, .signing = 1, .capabilities = CAPABILITIES},
         "AES-128-CCM",
         "AES-128-CMAC"},
        {{.dialect = SMB_DIALECT_3_1_1, .signing = 2, .capabilities = SMB_CAP_LARGE_MTU},
         "none",
         "AES-128-GMAC"},
        {{.dialect = SMB_DIALECT_3_1_1}, "none", "AES-128-CMAC"},
        {{.dialect = SMB_DIALECT_3_0_2, .cipher = 1, .capabilities = CAPABILITIES},
         "AES-128-CCM",
         "AES-128-CMAC"},
        {{.dialect = SMB_DIALECT_3_0_2, .capabilities = SMB_CAP_LARGE_MTU}, "none", "AES-128-CMAC"},
        {{.dialect = SMB_DIALECT_3_0, .cipher = 1, .capabilities = CAPABILITIES},
         "AES-128-CCM",
         "AES-128-CMAC"},
        {{.dialect = SMB_DIALECT_2_1, .capabilities = SMB_CAP_LARGE_MTU}, "none", "HMAC-SHA256"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct server s;
        struct smb_reply reply;
        server_init(&s, &cases[i].script, &everything);
        assert_false(smb_conn_ready(s.f.conn));
        assert_int_equal(smb_tree_connect(s.f.conn, 1, "C$", &s.f.err), -1);
        assert_int_equal(logon(&s), 0);
        assert_true(smb_conn_ready(s.f.conn));
        assert_true(smb_conn_next_reply(s.f.conn, &reply));
        assert_int_equal(reply.op, SMB_OP_LOGON);
        assert_false(smb_conn_next_reply(s.f.conn, &reply));
        const struct smb_server_info *info = smb_conn_server(s.f.conn);
        assert_int_equal(info->dialect, cases[i].script.dialect);
        assert_string_equal(info->cipher, cases[i].cipher);
        assert_string_equal(info->signing, cases[i].signing);
        assert_int_equal(info->encrypted, cases[i].script.cipher != 0);
        assert_true(info->system_time == SYSTEM_TIME);
        assert_true(info->names.known);
        assert_int_equal(info->write_size_max,
                         cases[i].script.capabilities == 0 ? 65536 : SMB_WRITE_SIZE_MAX);
        /* The first request is protected with keys that the server has too. */
        assert_int_equal(smb_tree_connect(s.f.conn, 1, "C$", &s.f.err), 0);
        assert_true(fake_next_request(&s.f));
        server_release(&s);
    }
}

/* Runs the script; it has to fail, and like this. */
static void expect(const struct script *script, const struct smb_config *config,
                   enum smb_failure failure)
{
    struct server s;
    struct smb_reply reply;
    struct err err = {0};
    server_init(&s, script, config);
    assert_int_equal(logon(&s), -1);
    assert_int_equal(smb_conn_failure(s.f.conn), failure);
    assert_false(smb_conn_ready(s.f.conn));
    assert_false(smb_conn_next_reply(s.f.conn, &reply));
    assert_false(fake_next_request(&s.f));
    assert_int_equal(smb_conn_receive(s.f.conn, (const uint8_t *)"x", 1, &err), -1);
    assert_string_equal(err.text, s.f.err.text); /* the same answer ever after */
    assert_null(strstr(err.text, RIGHT_PASSWORD));
    assert_null(strstr(err.text, "user"));
    server_release(&s);
}

static void logon_held_sends_nothing_of_the_account_until_allowed(void **state)
{
    (void)state;
    static const struct smb_config held = {.hold_logon = true};
    struct server s;
    const uint8_t *bytes;
    size_t size;
    server_init(&s, &good, &held);
    assert_false(smb_conn_holds_logon(s.f.conn));
    assert_int_equal(smb_logon(s.f.conn, &s.f.err), 0); /* too early: nothing is held */
    assert_int_equal(negotiate(&s), 0);
    assert_true(smb_conn_holds_logon(s.f.conn));
    assert_false(smb_conn_output(s.f.conn, &bytes, &size));
    assert_int_equal(smb_logon(s.f.conn, &s.f.err), 0);
    assert_false(smb_conn_holds_logon(s.f.conn));
    assert_int_equal(challenge(&s), 0);
    assert_int_equal(finish(&s), 0);
    assert_true(smb_conn_ready(s.f.conn));
    assert_int_equal(smb_conn_receive(s.f.conn, (const uint8_t *)"\xff\xff\xff\xff", 4, &s.f.err),
                     -1);
    assert_int_equal(smb_logon(s.f.conn, &s.f.err), -1);
    server_release(&s);
}

static void negotiate_any_changed_byte_breaks_the_logon(void **state)
{
    (void)state;
    struct script script = good;
    /* Header fields that the answer is judged by, the body, the contexts: one byte each. */
    for (long at = 1; at < (long)SMB_HEADER_SIZE + 64 + 46 + 2 + 12 + 4 + 12; at += 3) {
        struct server s;
        script.flip_negotiate = at;
        server_init(&s, &script, &usual);
        assert_int_equal(logon(&s), -1);
        assert_int_not_equal(smb_conn_failure(s.f.conn), SMB_FAILURE_NONE);
        server_release(&s);
    }
    script.flip_negotiate = SMB_HEADER_SIZE + 8; /* the server's GUID: nobody looks but the hash */
    expect(&script, &usual, SMB_FAILURE_SIGNING);
}

static void final_answer_flipped_unsigned_or_missing_its_mic_is_refused(void **state)
{
    (void)state;
    struct script script = good;
    for (size_t bit = 0; bit < SMB_SIGNATURE_SIZE; bit++) {
        script.flip_final = (long)(SMB_SIGNATURE_OFFSET + bit);
        expect(&script, &usual, SMB_FAILURE_SIGNING);
    }
    script.flip_final = 0;
    script.final_bare = true;
    expect(&script, &usual, SMB_FAILURE_SIGNING);
    script.final_bare = false;
    script.flip_token = 1; /* the last byte of the mechListMIC */
    expect(&script, &usual, SMB_FAILURE_AUTH);
    script.flip_token = 0;
    script.no_final_token = true;
    expect(&script, &usual, SMB_FAILURE_AUTH);
}

static void guest_and_null_sessions_are_refused(void **state)
{
    (void)state;
    for (uint16_t flags = 1; flags < 4; flags++) {
        struct script script = good;
        script.session_flags = flags;
        expect(&script, &usual, SMB_FAILURE_LOGON);
        script.final_bare = true;
        expect(&script, &usual, SMB_FAILURE_LOGON);
    }
}

static void logon_refused_by_the_server_gives_its_status(void **state)
{
    (void)state;
    struct script script = good;
    struct server s;
    script.session_status = NTSTATUS_ACCOUNT_LOCKED_OUT;
    script.final_bare = true;
    server_init(&s, &script, &usual);
    assert_int_equal(logon(&s), -1);
    assert_int_equal(smb_conn_failure(s.f.conn), SMB_FAILURE_LOGON);
    assert_int_equal((uint32_t)s.f.err.native, NTSTATUS_ACCOUNT_LOCKED_OUT);
    assert_non_null(strstr(s.f.err.text, "ACCOUNT_LOCKED_OUT"));
    server_release(&s);
}

static void challenge_from_another_age_is_a_matter_of_clocks(void **state)
{
    (void)state;
    struct script script = good;
    script.old_challenge = true;
    expect(&script, &usual, SMB_FAILURE_CLOCK);
}

static void final_answer_for_another_session_is_refused(void **state)
{
    (void)state;
    struct script script = good;
    script.final_session = 1;
    expect(&script, &usual, SMB_FAILURE_PROTOCOL);
}

static void dialects_not_offered_are_refused(void **state)
{
    (void)state;
    static const uint16_t dialects[] = {0x0202, 0x0210, 0x0300, 0x02FF, 0x0312, 0, 0xFFFF};
    for (size_t i = 0; i < sizeof dialects / sizeof dialects[0]; i++) {
        struct script script = good;
        script.dialect = dialects[i];
        expect(&script, &usual, SMB_FAILURE_DIALECT);
    }
    struct script script = good;
    script.status = NTSTATUS_NOT_SUPPORTED;
    expect(&script, &usual, SMB_FAILURE_DIALECT);
    script.status = NTSTATUS_INSUFFICIENT_RESOURCES;
    expect(&script, &usual, SMB_FAILURE_PROTOCOL);
}

static void encryption_required_or_demanded_but_impossible_is_refused(void **state)
{
    (void)state;
    struct smb_config must_encrypt = {.dialect_min = SMB_DIALECT_2_1, .require_encryption = true};
    struct smb_config may_not = {.refuse_encryption = true};
    struct script script = {.dialect = SMB_DIALECT_3_1_1, .signing = 2};
    expect(&script, &must_encrypt, SMB_FAILURE_ENCRYPTION);
    script = (struct script){.dialect = SMB_DIALECT_2_1, .capabilities = CAPABILITIES};
    expect(&script, &must_encrypt, SMB_FAILURE_ENCRYPTION);
    script = (struct script){.dialect = SMB_DIALECT_3_1_1, .signing = 2, .session_flags = 4};
    expect(&script, &may_not, SMB_FAILURE_ENCRYPTION);
}

#define PREAUTH "0100260000000000010020000100" ZERO32
#define ZERO32 "0000000000000000000000000000000000000000000000000000000000000000"
#define GCM                                                                                        \
    "0200040000000000"                                                                             \
    "01000200"

static void negotiate_contexts_out_of_order_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *contexts;
        uint16_t count;
        uint32_t offset;
    } cases[] = {
        {"", 0, 0},                                    /* no pre-auth integrity */
        {GCM, 1, 0},                                   /* the same */
        {PREAUTH, 2, 0},                               /* one too few */
        {PREAUTH "0000" PREAUTH, 2, 0},                /* twice */
        {PREAUTH "0000" GCM "00000000" GCM, 3, 0},     /* twice */
        {"0100260000000000010020000200" ZERO32, 1, 0}, /* another hash */
        {"0100260000000000020020000100" ZERO32, 1, 0}, /* two hashes */
        {"0100260000000000010021000100" ZERO32, 1, 0}, /* salt beyond its end */
        {"0100ff0000000000010020000100" ZERO32, 1, 0}, /* context beyond the end */
        {PREAUTH "0000"
                 "0200040000000000"
                 "01000500",
         2, 0}, /* a cipher that does not exist */
        {PREAUTH "0000"
                 "0200060000000000"
                 "020002000100",
         2, 0}, /* two ciphers */
        {PREAUTH "0000"
                 "0200020000000000"
                 "0100",
         2, 0}, /* none where one is announced */
        {PREAUTH "0000"
                 "0800040000000000"
                 "01000000",
         2, 0}, /* HMAC-SHA256: not offered */
        {PREAUTH "0000"
                 "0800040000000000"
                 "01000900",
         2, 0},
        {PREAUTH, 1, 8}, /* inside the header */
        {PREAUTH, 1, 100000},
        {PREAUTH, 1, UINT32_MAX},
        {PREAUTH, 0xFFFF, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct script script = good;
        script.contexts = cases[i].contexts;
        script.context_count = cases[i].count;
        script.context_offset = cases[i].offset;
        expect(&script, &usual, SMB_FAILURE_PROTOCOL);
    }
    const struct smb_config without_gcm = {.refuse_gcm = true};
    expect(&good, &without_gcm, SMB_FAILURE_PROTOCOL); /* a cipher that was not offered */
}

static void negotiate_tiny_sizes_are_refused(void **state)
{
    (void)state;
    struct script script = good;
    script.io_size = 1;
    expect(&script, &usual, SMB_FAILURE_PROTOCOL);
}

static void config_without_dialects_host_or_credential_is_refused(void **state)
{
    (void)state;
    struct smb_conn *conn = NULL;
    struct err err = {0};
    struct auth_credential *some = (struct auth_credential *)&err; /* never looked at */
    struct smb_config config = {.host = "h",
                                .credential = some,
                                .dialect_min = SMB_DIALECT_3_1_1,
                                .dialect_max = SMB_DIALECT_3_0};
    assert_int_equal(smb_conn_new(&config, &conn, &err), -1);
    config = (struct smb_config){.host = "", .credential = some};
    assert_int_equal(smb_conn_new(&config, &conn, &err), -1);
    config = (struct smb_config){.host = "h"};
    assert_int_equal(smb_conn_new(&config, &conn, &err), -1);
    assert_null(conn);
    smb_conn_free(NULL);
}

/* NEGOTIATE's answer as a Windows Server sent it (from Microsoft's published example). */
static const char windows_negotiate[] =
    "FE534D4240000100000000000000010001000000000000000000000000000000FFFE000000000000"
    "000000000000000000000000000000000000000000000000410001001103020039CBCAF329714942"
    "BDCE5D60F09AB3FB2F000000000080000000800000008000D8DAE5ADCBAED00109094AB095AED001"
    "80004001C00100006082013C06062B0601050502A08201303082012CA01A3018060A2B0601040182"
    "3702021E060A2B06010401823702020AA282010C048201084E45474F455854530100000000000000"
    "60000000700000007C7CC0FD06D6362D02DDE1CF343BFE292900F49750B4AA97934D9C4296B26E51"
    "FD370471B235E15A50DAE15BD5489C87000000000000000060000000010000000000000000000000"
    "5C33530DEAF90D4DB2EC4AE3786EC3084E45474F4558545303000000010000004000000098000000"
    "7C7CC0FD06D6362D02DDE1CF343BFE295C33530DEAF90D4DB2EC4AE3786EC3084000000058000000"
    "3056A05430523027802530233121301F06035504031318546F6B656E205369676E696E6720507562"
    "6C6963204B65793027802530233121301F06035504031318546F6B656E205369676E696E67205075"
    "626C6963204B6579010026000000000001002000010060A3C3B95C3C7CCD51EC536648D9B3AC74C4"
    "83CA5B65385A251117BEB30712E50000020004000000000001000200";

static size_t windows_bytes(uint8_t *bytes)
{
    size_t size = (sizeof windows_negotiate - 1) / 2;
    assert_int_equal(hex_decode(windows_negotiate, bytes, size), 0);
    return size;
}

static int feed_raw(struct server *s, const uint8_t *bytes, size_t size)
{
    uint8_t *frame = mem_new(4 + size, 1);
    frame[2] = (uint8_t)(size >> 8);
    frame[3] = (uint8_t)size;
    memcpy(frame + 4, bytes, size);
    int result = smb_conn_receive(s->f.conn, frame, 4 + size, &s->f.err);
    free(frame);
    return result;
}

static void negotiate_captured_from_windows_is_understood(void **state)
{
    (void)state;
    struct server s;
    uint8_t bytes[1024];
    size_t size = windows_bytes(bytes);
    server_init(&s, &good, &usual);
    next_request(&s);
    assert_int_equal(feed_raw(&s, bytes, size), 0);
    const struct smb_server_info *info = smb_conn_server(s.f.conn);
    assert_int_equal(info->dialect, SMB_DIALECT_3_1_1);
    assert_true(info->system_time == 0x01D0AECBADE5DAD8U);
    assert_int_equal(info->write_size_max, SMB_WRITE_SIZE_MAX);
    assert_int_equal(s.f.conn->cipher, SMB_CIPHER_AES_128_GCM);
    assert_int_equal(s.f.conn->signing, SMB_SIGNING_AES_CMAC);
    assert_true(fake_next_request(&s.f));
    assert_int_equal(fake_request_u16(&s.f, 12), SMB_COMMAND_SESSION_SETUP);
    server_release(&s);
}

static void negotiate_truncated_at_any_length_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    size_t size = windows_bytes(bytes);
    for (size_t cut = 1; cut <= size; cut++) {
        struct server s;
        server_init(&s, &good, &usual);
        next_request(&s);
        assert_int_equal(feed_raw(&s, bytes, size - cut), -1);
        server_release(&s);
    }
}

static void negotiate_with_random_damage_never_crashes(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    size_t size = windows_bytes(bytes);
    uint64_t seed = 88172645463325252U;
    for (int round = 0; round < 1500; round++) {
        struct server s;
        uint8_t damaged[1024];
        server_init(&s, &good, &everything);
        next_request(&s);
        memcpy(damaged, bytes, size);
        for (int i = 0; i <= round % 4; i++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            /* Mostly where the structure is: the header, the fixed part, the contexts. */
            size_t at = seed % 3 == 0   ? seed / 3 % 128
                        : seed % 3 == 1 ? size - 1 - seed / 3 % 60
                                        : seed / 3 % size;
            damaged[at] = (uint8_t)(seed >> 40);
        }
        (void)feed_raw(&s, damaged, size);
        server_release(&s);
    }
}

static void smb1_answer_is_a_matter_of_dialects(void **state)
{
    (void)state;
    static const uint8_t smb1[36] = "\xffSMB\x72";
    struct server s;
    server_init(&s, &good, &usual);
    next_request(&s);
    assert_int_equal(feed_raw(&s, smb1, sizeof smb1), -1);
    assert_int_equal(smb_conn_failure(s.f.conn), SMB_FAILURE_DIALECT);
    server_release(&s);
}

static void session_setup_truncated_or_damaged_never_crashes(void **state)
{
    (void)state;
    for (size_t variant = 0; variant < 160; variant++) {
        struct server s;
        struct buf token;
        struct buf body;
        struct buf message;
        struct fake_answer answer = {.status = NTSTATUS_MORE_PROCESSING_REQUIRED};
        server_init(&s, &good, &usual);
        assert_int_equal(negotiate(&s), 0);
        next_request(&s);
        assert_int_equal(accept_token(&s, &token), 0);
        session_body(&body, 0, &token);
        if (variant < 8) /* the fixed part, all ones */
            body.data[variant] = 0xff;
        else
            answer.cut = variant - 7;
        if (answer.cut > body.size + SMB_HEADER_SIZE)
            answer.cut = body.size + SMB_HEADER_SIZE;
        fake_message(&s.f, &answer, body.data, body.size, &message);
        int result = fake_feed(&s.f, &answer, &message);
        if (variant >= 8)
            assert_int_equal(result, -1);
        buf_release(&token);
        buf_release(&body);
        buf_release(&message);
        server_release(&s);
    }
}

static void more_processing_for_ever_is_refused(void **state)
{
    (void)state;
    struct server s;
    struct buf token;
    struct buf body;
    server_init(&s, &good, &usual);
    assert_int_equal(negotiate(&s), 0);
    assert_int_equal(challenge(&s), 0);
    next_request(&s);
    assert_int_equal(accept_token(&s, &token), 0);
    session_body(&body, 0, &token);
    struct fake_answer answer = {.status = NTSTATUS_MORE_PROCESSING_REQUIRED};
    assert_int_equal(fake_answer(&s.f, &answer, body.data, body.size), -1);
    assert_int_equal(smb_conn_failure(s.f.conn), SMB_FAILURE_AUTH);
    buf_release(&token);
    buf_release(&body);
    server_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logon_in_each_dialect_ends_ready),
        cmocka_unit_test(logon_held_sends_nothing_of_the_account_until_allowed),
        cmocka_unit_test(negotiate_any_changed_byte_breaks_the_logon),
        cmocka_unit_test(final_answer_flipped_unsigned_or_missing_its_mic_is_refused),
        cmocka_unit_test(guest_and_null_sessions_are_refused),
        cmocka_unit_test(logon_refused_by_the_server_gives_its_status),
        cmocka_unit_test(challenge_from_another_age_is_a_matter_of_clocks),
        cmocka_unit_test(final_answer_for_another_session_is_refused),
        cmocka_unit_test(dialects_not_offered_are_refused),
        cmocka_unit_test(encryption_required_or_demanded_but_impossible_is_refused),
        cmocka_unit_test(negotiate_contexts_out_of_order_are_refused),
        cmocka_unit_test(negotiate_tiny_sizes_are_refused),
        cmocka_unit_test(config_without_dialects_host_or_credential_is_refused),
        cmocka_unit_test(negotiate_captured_from_windows_is_understood),
        cmocka_unit_test(negotiate_truncated_at_any_length_is_refused),
        cmocka_unit_test(negotiate_with_random_damage_never_crashes),
        cmocka_unit_test(smb1_answer_is_a_matter_of_dialects),
        cmocka_unit_test(session_setup_truncated_or_damaged_never_crashes),
        cmocka_unit_test(more_processing_for_ever_is_refused),
    };
    return cmocka_run_group_tests(tests, acceptor_group_setup, acceptor_group_teardown);
}
