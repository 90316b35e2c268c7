/* Authentication: accounts, the NTLM messages that pass by, and whole logons against GSSAPI's own
 * accepting side, with the traps known: a default credential lying about, flipped and missing MICs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cursor.h"
#include "common/base/hex.h"
#include "common/base/utf16.h"
#include "relay/auth/auth.h"
#include "relay/auth/auth_internal.h"
#include "relay/auth/pool.h"
#include "tests/unit/auth_acceptor.h"

/* One logon under test: both sides and the last token in each direction. */
struct logon {
    struct auth_credential *credential;
    struct auth_context *context;
    struct acceptor server;
    struct buf to_server;
    struct buf to_client;
    struct err err;
};

static void logon_init(struct logon *l, enum auth_mechanism mechanism, const char *account,
                       const char *password)
{
    memset(l, 0, sizeof *l);
    buf_init(&l->to_server, AUTH_TOKEN_SIZE_MAX);
    buf_init(&l->to_client, AUTH_TOKEN_SIZE_MAX);
    acceptor_init(&l->server, mechanism);
    assert_int_equal(auth_credential_new(account, password, &l->credential, &l->err), 0);
    assert_int_equal(
        auth_context_new(l->credential, mechanism, "cifs", "pc-1.example", &l->context, &l->err),
        0);
}

static void logon_release(struct logon *l)
{
    auth_context_free(l->context);
    auth_credential_free(l->credential);
    acceptor_release(&l->server);
    buf_release(&l->to_server);
    buf_release(&l->to_client);
}

static int client_step(struct logon *l)
{
    buf_reset(&l->to_server);
    return auth_context_step(l->context, l->to_client.data, l->to_client.size, &l->to_server,
                             &l->err);
}

static int server_step(struct logon *l)
{
    buf_reset(&l->to_client);
    return acceptor_step(&l->server, l->to_server.data, l->to_server.size, &l->to_client);
}

/* Runs until the client has sent its AUTHENTICATE and the server has judged it. */
static int logon_until_judged(struct logon *l)
{
    assert_int_equal(client_step(l), 0);
    assert_int_equal(server_step(l), 0);
    assert_int_equal(client_step(l), 0);
    return server_step(l);
}

static void spnego_right_password_gives_both_sides_one_key(void **state)
{
    (void)state;
    struct logon l;
    uint8_t ours[AUTH_KEY_SIZE];
    uint8_t theirs[AUTH_KEY_SIZE];
    logon_init(&l, AUTH_SPNEGO, "TESTDOM\\user", RIGHT_PASSWORD);
    assert_int_equal(logon_until_judged(&l), 0);
    assert_false(auth_context_done(l.context));
    assert_int_equal(client_step(&l), 0);
    assert_true(auth_context_done(l.context));
    assert_int_equal(auth_context_session_key(l.context, ours, &l.err), 0);
    acceptor_key(&l.server, theirs);
    assert_memory_equal(ours, theirs, sizeof ours);
    logon_release(&l);
}

static void spnego_wrong_password_is_refused_beside_a_good_default_credential(void **state)
{
    (void)state;
    struct logon l;
    logon_init(&l, AUTH_SPNEGO, "TESTDOM\\user", WRONG_PASSWORD);
    assert_int_equal(logon_until_judged(&l), -1);
    logon_release(&l);
}

static void ntlm_wrong_password_is_refused(void **state)
{
    (void)state;
    struct logon l;
    logon_init(&l, AUTH_NTLM_RAW, "TESTDOM\\user", WRONG_PASSWORD);
    assert_int_equal(logon_until_judged(&l), -1);
    logon_release(&l);
}

static void spnego_flipped_mech_list_mic_is_refused(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 128; bit += 9) {
        struct logon l;
        logon_init(&l, AUTH_SPNEGO, "TESTDOM\\user", RIGHT_PASSWORD);
        assert_int_equal(logon_until_judged(&l), 0);
        /* The last token ends with the 16 bytes of the mechListMIC. */
        assert_true(l.to_client.size > 16);
        l.to_client.data[l.to_client.size - 16 + bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_int_equal(client_step(&l), -1);
        assert_false(auth_context_done(l.context));
        logon_release(&l);
    }
}

static void spnego_missing_mech_list_mic_is_refused(void **state)
{
    (void)state;
    /* NegTokenResp { negState accept-completed }, nothing else (RFC 4178 4.2.2) */
    static const uint8_t completed[] = {0xa1, 0x07, 0x30, 0x05, 0xa0, 0x03, 0x0a, 0x01, 0x00};
    struct logon l;
    logon_init(&l, AUTH_SPNEGO, "TESTDOM\\user", RIGHT_PASSWORD);
    assert_int_equal(logon_until_judged(&l), 0);
    buf_reset(&l.to_client);
    buf_bytes(&l.to_client, completed, sizeof completed);
    assert_int_equal(client_step(&l), -1);
    logon_release(&l);
}

static void spnego_reject_is_refused(void **state)
{
    (void)state;
    static const uint8_t rejected[] = {0xa1, 0x07, 0x30, 0x05, 0xa0, 0x03, 0x0a, 0x01, 0x02};
    struct logon l;
    logon_init(&l, AUTH_SPNEGO, "TESTDOM\\user", RIGHT_PASSWORD);
    assert_int_equal(logon_until_judged(&l), 0);
    buf_reset(&l.to_client);
    buf_bytes(&l.to_client, rejected, sizeof rejected);
    assert_int_equal(client_step(&l), -1);
    logon_release(&l);
}

static void ntlm_right_password_gives_key_flags_and_mic(void **state)
{
    (void)state;
    struct logon l;
    uint8_t ours[AUTH_KEY_SIZE];
    uint8_t theirs[AUTH_KEY_SIZE];
    uint8_t no_mic[16] = {0};
    logon_init(&l, AUTH_NTLM_RAW, "TESTDOM\\user", RIGHT_PASSWORD);
    assert_int_equal(auth_context_ntlm_flags(l.context), 0);
    assert_int_equal(logon_until_judged(&l), 0);
    assert_true(auth_context_done(l.context));
    assert_int_equal(auth_context_session_key(l.context, ours, &l.err), 0);
    acceptor_key(&l.server, theirs);
    assert_memory_equal(ours, theirs, sizeof ours);
    uint32_t wanted = AUTH_NTLM_SIGN | AUTH_NTLM_SEAL | AUTH_NTLM_EXTENDED_SESSIONSECURITY |
                      AUTH_NTLM_128 | AUTH_NTLM_KEY_EXCH;
    assert_int_equal(auth_context_ntlm_flags(l.context) & wanted, wanted);
    /* [MS-NLMP] 2.2.2.1 MsvAvFlags says that there is a MIC, 2.2.1.3 where: after 64 bytes of
     * fields and 8 of version. */
    assert_non_null(memmem(l.to_server.data, l.to_server.size, "\6\0\4\0\2\0\0\0", 8));
    assert_true(l.to_server.size > 88);
    assert_memory_not_equal(l.to_server.data + 72, no_mic, sizeof no_mic);
    logon_release(&l);
}

static void context_step_after_the_end_is_refused(void **state)
{
    (void)state;
    struct logon l;
    logon_init(&l, AUTH_NTLM_RAW, "TESTDOM\\user", RIGHT_PASSWORD);
    assert_int_equal(logon_until_judged(&l), 0);
    static const uint8_t extra[] = {1, 2, 3};
    buf_reset(&l.to_client);
    buf_bytes(&l.to_client, extra, sizeof extra);
    assert_int_equal(client_step(&l), -1);
    assert_int_equal(l.err.code, ERR_PROTOCOL);
    logon_release(&l);
}

static void challenge_damaged_is_refused_without_crash(void **state)
{
    (void)state;
    struct auth_credential *credential = NULL;
    struct err err;
    struct logon l;
    logon_init(&l, AUTH_SPNEGO, "TESTDOM\\user", RIGHT_PASSWORD);
    assert_int_equal(client_step(&l), 0);
    assert_int_equal(server_step(&l), 0);
    struct buf challenge = l.to_client;
    assert_int_equal(auth_credential_new("user", RIGHT_PASSWORD, &credential, &err), 0);
    for (size_t size = 1; size < challenge.size; size++) {
        struct auth_context *context = NULL;
        struct buf out;
        buf_init(&out, AUTH_TOKEN_SIZE_MAX);
        assert_int_equal(auth_context_new(credential, AUTH_SPNEGO, "cifs", "h", &context, &err), 0);
        assert_int_equal(auth_context_step(context, NULL, 0, &out, &err), 0);
        uint8_t *exact = malloc(size); /* so that a read past the end shows */
        memcpy(exact, challenge.data, size);
        assert_int_equal(auth_context_step(context, exact, size, &out, &err), -1);
        free(exact);
        buf_release(&out);
        auth_context_free(context);
    }
    auth_credential_free(credential);
    logon_release(&l);
}

/* The user and domain fields of the AUTHENTICATE message that an account leads to. */
static void sent_names(const char *account, char domain[64], char user[64])
{
    struct logon l;
    logon_init(&l, AUTH_NTLM_RAW, account, RIGHT_PASSWORD);
    assert_int_equal(client_step(&l), 0);
    assert_int_equal(server_step(&l), 0);
    assert_int_equal(client_step(&l), 0);
    struct cursor c = cursor_of(l.to_server.data, l.to_server.size);
    for (int field = 0; field < 2; field++) {
        struct buf text;
        buf_init(&text, 63);
        cursor_seek(&c, 28 + 8 * (size_t)field); /* DomainNameFields, UserNameFields */
        uint16_t size = cursor_u16le(&c);
        cursor_skip(&c, 2);
        struct cursor name = cursor_sub(&c, cursor_u32le(&c), size);
        assert_true(cursor_ok(&name));
        assert_int_equal(utf16_to_utf8(&text, cursor_bytes(&name, size), size), 0);
        memcpy(field == 0 ? domain : user, buf_cstr(&text), text.size + 1);
        buf_release(&text);
    }
    logon_release(&l);
}

static void account_forms_give_the_names_sent(void **state)
{
    (void)state;
    static const struct {
        const char *account, *domain, *user;
    } cases[] = {
        {"TESTDOM\\user", "TESTDOM", "user"},
        {"user", "", "user"},
        {".\\user", "", "user"},
        {"user@corp.example", "", "user@corp.example"},
        {"d.example\\J\xc3\xbcrg", "d.example", "J\xc3\xbcrg"},
        {"PC-0001\\user", "PC-0001", "user"},
        {"DOM\\a.b-c_d", "DOM", "a.b-c_d"},
        {"two words", "", "two words"},
        {"J\xf0\x9f\x98\x80@x.example", "", "J\xf0\x9f\x98\x80@x.example"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char domain[64];
        char user[64];
        sent_names(cases[i].account, domain, user);
        assert_string_equal(domain, cases[i].domain);
        assert_string_equal(user, cases[i].user);
    }
}

static void account_malformed_is_refused_without_echo(void **state)
{
    (void)state;
    static const char *const bad[] = {"",       "\\user", "DOM\\",    "a\\b\\c",
                                      "@realm", "x\ny",   "\xff\xfe", "DOM\\@realm"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct auth_credential *credential = NULL;
        struct err err = {0};
        assert_int_equal(auth_credential_new(bad[i], "secret-word", &credential, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
        assert_null(strstr(err.text, "secret-word"));
        assert_null(credential);
    }
    struct auth_credential *credential = NULL;
    struct err err = {0};
    assert_int_equal(auth_credential_new("user", "\xc3\x28", &credential, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
}

/* [MS-NLMP] 4.2.2.1.1, and impacket's word for the others. */
static void password_hash_is_that_of_its_utf16(void **state)
{
    (void)state;
    static const struct {
        const char *password, *hash;
    } cases[] = {
        {"Password", "a4f49c406510bdcab6824ee7c30fd852"},
        {"\xd0\xbf\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb\xd1\x8c", "507e3ee80df7db7c1fdd8d50ae8db606"},
        {"e\xcc\x81", "1ed62ea8325493edfa84564ff90fb284"},          /* combining accent */
        {"\xc3\xa9", "e77286d072c7858e9110cc3a011d2ac8"},           /* the same, composed */
        {"p\xf0\x9f\x98\x80w", "6b06667388f00da5001c1f5f34131271"}, /* a surrogate pair */
        {"trailing  ", "1df17b5a947ab48dbcadacae554260c2"},
    };
    uint8_t hash[AUTH_NT_HASH_SIZE];
    uint8_t expected[AUTH_NT_HASH_SIZE];
    struct err err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(auth_nt_hash(cases[i].password, hash, &err), 0);
        assert_int_equal(hex_decode(cases[i].hash, expected, sizeof expected), 0);
        assert_memory_equal(hash, expected, sizeof hash);
    }
    char longest[1026];
    memset(longest, 'x', sizeof longest);
    longest[1023] = '\0'; /* as long as the command line takes */
    assert_int_equal(auth_nt_hash(longest, hash, &err), 0);
    assert_int_equal(hex_decode("24d6f5d08e97cca98ebf983e6ca91fa3", expected, sizeof expected), 0);
    assert_memory_equal(hash, expected, sizeof hash);
    longest[1023] = 'x';
    longest[1025] = '\0';
    assert_int_equal(auth_nt_hash(longest, hash, &err), -1);
    assert_null(strstr(err.text, "xxx"));
}

static void ntlm_password_composed_otherwise_is_refused(void **state)
{
    (void)state;
    struct logon l;
    logon_init(&l, AUTH_NTLM_RAW, "TESTDOM\\user",
               "Re\xcc\x81"
               "al wo\xcc\x88rd");
    assert_int_equal(logon_until_judged(&l), -1);
    logon_release(&l);
}

static void account_and_password_equal_share_one_credential(void **state)
{
    (void)state;
    static const uint8_t key[AUTH_POOL_KEY_SIZE] = {7};
    static const struct {
        const char *account, *password;
        bool same;
    } cases[] = {
        {"dom\\USER", "secret", true},   {"DOM\\user", "Secret", false},
        {"DOM2\\user", "secret", false}, {"user", "secret", false},
        {"DOM\\users", "ecret", false},  {"user@DOM", "secret", false},
        {"DOM\\user", "secret ", false},
    };
    struct auth_pool *pool = auth_pool_new(key);
    const struct auth_credential *first = NULL;
    uint32_t number = 0;
    struct err err;
    assert_int_equal(auth_pool_get(pool, "DOM\\user", "secret", &first, &number, &err), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct auth_credential *other = NULL;
        uint32_t other_number = 0;
        assert_int_equal(
            auth_pool_get(pool, cases[i].account, cases[i].password, &other, &other_number, &err),
            0);
        assert_int_equal(other_number == number, cases[i].same);
        assert_int_equal(other == first, cases[i].same);
        auth_pool_drop(pool, other);
    }
    auth_pool_drop(pool, first);
    auth_pool_free(pool);
}

/* The brake goes on with what it knows of the number. */
static void account_unused_for_long_keeps_its_number(void **state)
{
    (void)state;
    static const uint8_t key[AUTH_POOL_KEY_SIZE] = {7};
    struct auth_pool *pool = auth_pool_new(key);
    const struct auth_credential *credential = NULL;
    uint32_t number = 0;
    uint32_t again = 0;
    struct err err;
    assert_int_equal(auth_pool_get(pool, ".\\me", "secret", &credential, &number, &err), 0);
    auth_pool_drop(pool, credential);
    for (uint32_t i = 0; i < AUTH_POOL_ENTRIES_MAX; i++) {
        char name[32];
        uint32_t ignored;
        (void)snprintf(name, sizeof name, "user%u", i);
        assert_int_equal(auth_pool_get(pool, name, "secret", &credential, &ignored, &err), 0);
        auth_pool_drop(pool, credential);
        if (i == AUTH_POOL_ENTRIES_MAX - 2) { /* all have room, and this one was used last */
            assert_int_equal(auth_pool_get(pool, "ME", "secret", &credential, &again, &err), 0);
            auth_pool_drop(pool, credential);
            assert_int_equal(again, number);
        }
    }
    assert_int_equal(auth_pool_get(pool, "user0", "secret", &credential, &again, &err), 0);
    assert_true(again > AUTH_POOL_ENTRIES_MAX); /* the oldest was forgotten */
    auth_pool_drop(pool, credential);
    assert_int_equal(auth_pool_get(pool, "x", "\xff", &credential, &again, &err), -1);
    auth_pool_free(pool);
}

/* [MS-NLMP] 4.2.4.3 CHALLENGE_MESSAGE: domain "Domain", server "Server". */
static const char challenge_hex[] =
    "4e544c4d53535000020000000c000c003800000033828ae20123456789abcdef00000000000000002400240044"
    "000000060070170000000f530065007200760065007200"
    "02000c0044006f006d00610069006e0001000c005300650072007600650072000000"
    "0000";

static void peer_of_published_challenge_has_its_names(void **state)
{
    (void)state;
    uint8_t bytes[(sizeof challenge_hex - 1) / 2];
    assert_int_equal(hex_decode(challenge_hex, bytes, sizeof bytes), 0);
    struct auth_peer peer = {0};
    auth_peer_from_token(&peer, bytes, sizeof bytes);
    assert_true(peer.known);
    assert_string_equal(peer.netbios_computer, "Server");
    assert_string_equal(peer.netbios_domain, "Domain");
    assert_string_equal(peer.dns_computer, "");
    assert_int_equal(peer.timestamp, 0);
}

static void peer_of_damaged_challenge_never_crashes(void **state)
{
    (void)state;
    uint8_t bytes[(sizeof challenge_hex - 1) / 2];
    assert_int_equal(hex_decode(challenge_hex, bytes, sizeof bytes), 0);
    for (size_t size = 0; size < sizeof bytes - 4; size++) {
        struct auth_peer peer = {0};
        uint8_t *exact = malloc(size > 0 ? size : 1);
        memcpy(exact, bytes, size);
        auth_peer_from_token(&peer, exact, size);
        assert_false(peer.known);
        free(exact);
    }
    for (size_t i = 0; i < sizeof bytes * 8; i++) {
        struct auth_peer peer = {0};
        uint8_t *damaged = malloc(sizeof bytes);
        memcpy(damaged, bytes, sizeof bytes);
        damaged[i / 8] ^= (uint8_t)(1U << (i % 8));
        auth_peer_from_token(&peer, damaged, sizeof bytes);
        free(damaged);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spnego_right_password_gives_both_sides_one_key),
        cmocka_unit_test(spnego_wrong_password_is_refused_beside_a_good_default_credential),
        cmocka_unit_test(ntlm_wrong_password_is_refused),
        cmocka_unit_test(spnego_flipped_mech_list_mic_is_refused),
        cmocka_unit_test(spnego_missing_mech_list_mic_is_refused),
        cmocka_unit_test(spnego_reject_is_refused),
        cmocka_unit_test(ntlm_right_password_gives_key_flags_and_mic),
        cmocka_unit_test(context_step_after_the_end_is_refused),
        cmocka_unit_test(challenge_damaged_is_refused_without_crash),
        cmocka_unit_test(account_forms_give_the_names_sent),
        cmocka_unit_test(account_malformed_is_refused_without_echo),
        cmocka_unit_test(password_hash_is_that_of_its_utf16),
        cmocka_unit_test(ntlm_password_composed_otherwise_is_refused),
        cmocka_unit_test(account_and_password_equal_share_one_credential),
        cmocka_unit_test(account_unused_for_long_keeps_its_number),
        cmocka_unit_test(peer_of_published_challenge_has_its_names),
        cmocka_unit_test(peer_of_damaged_challenge_never_crashes),
    };
    return cmocka_run_group_tests(tests, acceptor_group_setup, acceptor_group_teardown);
}
