/* Writes the inputs that fuzzing begins with: `fuzz_seeds FOLDER` makes FOLDER/PARSER/NAME. The
 * fuzzer keeps what reaches new code; tests/run-fuzz --merge puts that into the tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../unit/wire_samples.h"
#include "common/signed/token.h"
#include "common/trust/secret.h"
#include "common/wire/wire.h"
#include "fuzz.h"
#include "signed_world.h"

static const char *root;

static void seed(const char *parser, const char *name, const void *bytes, size_t size)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", root, parser);
    (void)mkdir(path, 0777);
    (void)snprintf(path, sizeof path, "%s/%s/%s", root, parser, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void seed_wire(void)
{
    for (int kind = MESSAGE_NONE + 1; kind < MESSAGE_KIND_COUNT; kind++) {
        for (uint32_t rows = 0; rows < 3; rows += 2) {
            struct message message = {.kind = (enum message_kind)kind, .request = 7};
            samples[kind].fill(&message, rows);
            struct buf bytes;
            buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
            struct err err = {0};
            FUZZ_CHECK(wire_encode(&message, &bytes, &err) == 0);
            char name[64];
            (void)snprintf(name, sizeof name, "%s-%u", message_kind_word(message.kind), rows);
            seed("wire", name, bytes.data, bytes.size);
            seed("answers", name, bytes.data, bytes.size);
            buf_release(&bytes);
            message_release(&message);
        }
    }
}

/* A first byte says what the rest is. */
static void seed_text(const char *parser, const char *name, uint8_t what, const char *text,
                      size_t size)
{
    struct buf bytes;
    buf_init(&bytes, 1 << 20);
    buf_u8(&bytes, what);
    buf_bytes(&bytes, text, size);
    seed(parser, name, bytes.data, bytes.size);
    buf_release(&bytes);
}

static void seed_objects(const struct signed_world *world)
{
    static const struct site_credential sealed = {.site = "paris", .counter = 7, .account = "x"};
    static const struct credential credential = {.account = "CORP\\x", .secret = "s3cret"};
    struct outcome outcome;
    struct buf bytes;
    buf_init(&bytes, 1 << 20);
    fill_outcome(&outcome);
    for (uint8_t i = 0; i < 6; i++) {
        char name[] = "object-0";
        name[7] = (char)('0' + i);
        buf_reset(&bytes);
        buf_u8(&bytes, i);
        FUZZ_CHECK((i == 0   ? wire_encode_job(&world->job, &bytes, NULL)
                    : i == 1 ? wire_encode_policy(&world->policy, &bytes, NULL)
                    : i == 2 ? wire_encode_certificate(&world->certificate, &bytes, NULL)
                    : i == 3 ? wire_encode_site_credential(&sealed, &bytes, NULL)
                    : i == 4 ? wire_encode_credential(&credential, &bytes, NULL)
                             : wire_encode_outcome(&outcome, &bytes, NULL)) == 0);
        seed("objects", name, bytes.data, bytes.size);
    }
    for (int i = 0; i < 2; i++) { /* a policy with one pattern or subnet too many */
        buf_reset(&bytes);
        buf_u8(&bytes, 1);
        for (unsigned entry = 0; entry <= LIMIT_NEVER_ENTRIES; entry++)
            buf_bytes(&bytes, i == 0 ? "\x2a\0" : "\x32\0", 2);
        seed("objects", i == 0 ? "many-patterns" : "many-subnets", bytes.data, bytes.size);
    }
    buf_release(&bytes);
}

/* Whole objects, their payloads to be signed again, and changes of them. */
static void seed_signed(const struct signed_world *world)
{
    struct buf bytes;
    buf_init(&bytes, 1 << 20);
    for (uint8_t kind = SIGNED_JOB; kind < (uint8_t)SIGNED_KIND_COUNT; kind++) {
        const struct buf *object = &world->objects[kind];
        for (uint8_t how = 0; how < 4; how++) {
            char name[32];
            bool whole = how == 0;
            size_t head = SIGNED_OVERHEAD_BYTES - LIMIT_SIGNATURE_BYTES;
            (void)snprintf(name, sizeof name, "signed-%u-%u", kind, how);
            buf_reset(&bytes);
            buf_u8(&bytes, how);
            buf_u8(&bytes, (uint8_t)((kind - 1) * 17));
            if (how == 3)
                buf_bytes(&bytes, "\2\60\0\1", 4);
            else
                buf_bytes(&bytes, object->data + (whole ? 0 : head),
                          object->size - (whole ? 0 : SIGNED_OVERHEAD_BYTES));
            seed("signed", name, bytes.data, bytes.size);
        }
    }
    for (unsigned i = 0; i < 15; i++) { /* one byte other than it was: of the content, or behind */
        const uint8_t changed[] = {3, (uint8_t)(i % 5), 2, (uint8_t)(58 + i / 5 * 8), 0, 1};
        char name[32];
        (void)snprintf(name, sizeof name, "changed-%u-%u", 1 + i % 5, 58 + i / 5 * 8);
        seed("signed", name, changed, sizeof changed);
    }
    for (unsigned pair = 0; pair < 25; pair++) { /* signed as one kind, offered as another */
        unsigned right = pair % 5;
        unsigned wrong = pair / 5;
        const struct buf *object = &world->objects[right + 1];
        char name[32];
        (void)snprintf(name, sizeof name, "kinds-%u-%u", wrong, right);
        buf_reset(&bytes);
        buf_u8(&bytes, 1);
        buf_u8(&bytes, (uint8_t)(right * 16 + (wrong + 5 - right * 16 % 5) % 5));
        buf_bytes(&bytes, object->data + SIGNED_OVERHEAD_BYTES - LIMIT_SIGNATURE_BYTES,
                  object->size - SIGNED_OVERHEAD_BYTES);
        if (right != wrong)
            seed("signed", name, bytes.data, bytes.size);
    }
    for (uint8_t file = 1; file < 3; file++) {
        const struct buf *object = &world->objects[file == 1 ? SIGNED_POLICY : SIGNED_CERTIFICATE];
        seed_text("state", file == 1 ? "policy" : "certificate", file, (const char *)object->data,
                  object->size);
    }
    buf_release(&bytes);
}

struct folder_seed {
    const char *name;
    uint64_t contents; /* bytes behind the head, modulo 2^64 */
    struct {
        const char *path;
        uint64_t size;
    } files[2];
};

static void seed_folders(void)
{
    static const struct folder_seed folders[] = {
        {"folder", 5, {{"a/b/c.dll", 5}, {"setup \xc3\xa9t\xc3\xa9.exe", 0}}},
        {"folder-wraps", 5, {{"a", UINT64_MAX}, {"b", 6}}},
        {"folder-case", 0, {{"A.dll", 0}, {"a.DLL", 0}}},
        {"folder-file-and-folder", 0, {{"A", 0}, {"a/b", 0}}},
        {"folder-dots", 0, {{"a/../b", 0}, {"c", 0}}},
        {"folder-gap", 1, {{"a", 0}, {"c", 0}}},
        {"folder-order", 0, {{"b", 0}, {"a", 0}}},
    };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        struct buf bytes;
        uint64_t whole = 16 + folders[i].contents;
        buf_init(&bytes, 4096);
        for (int file = 0; file < 2; file++)
            whole += 10 + strlen(folders[i].files[file].path);
        buf_u8(&bytes, 0);
        buf_u16le(&bytes, (uint16_t)whole);
        buf_bytes(&bytes, "PUSHFLDR", 8);
        buf_u32le(&bytes, 1);
        buf_u32le(&bytes, 2);
        for (int file = 0; file < 2; file++) {
            const char *path = folders[i].files[file].path;
            buf_u16le(&bytes, (uint16_t)strlen(path));
            buf_text(&bytes, path);
            buf_u64le(&bytes, folders[i].files[file].size);
        }
        seed("package", folders[i].name, bytes.data, bytes.size);
        buf_release(&bytes);
    }
}

struct text_seed {
    const char *parser;
    uint8_t what;
    const char *text;
};

static const struct text_seed texts[] = {
    {"keys", 1, "pusher-key 1 operator\npublic 0\nsecret 1\n"},
    {"keys", 1,
     "pusher-key 2 operator\n"
     "public 8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c\n"
     "argon2id 3 262144 000102030405060708090a0b0c0d0e0f\n"
     "wrapped 000102030405060708090a0b0c0d0e0f1011121314151617"
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
     "000102030405060708090a0b0c0d0e0f\n"},
    {"keys", 3, "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"},
    {"keys", 3, "8a88e3dd7409f195fd52db2d3cba5d72"},
    {"keys", 0, "\1\0\0\0\0\0a secret of this length and no more"},
    {"targets", 0,
     "pc1\nPC1\n\"pc-2.corp.example\",x\r\n10.1.2.0/29;a\n# none\n10.1.2.9-10.1.2.11"},
    {"targets", 1,
     "\xef\xbb\xbf[2001:db8::1]\n2001:db8::/126\t1\n::ffff:10.1.2.3\n10.0.0.1\nWIN_1."},
    {"targets", 0, "ldap:x"},
    {"options", 0,
     "setup.exe\n-t\npc1\n--user\nADMIN\\x\n--wait\n--success-codes\n0,3010\n--cleanup"},
    {"options", 1,
     "setup.msi\n-t\n10.1.0.0/24\n--site\nparis\n--detach\n--max-fail=5%\n--\n/S\n/D x"},
    {"options", 0, "--resume\n0123456789abcdef0123456789abcdef\n--user\nx\n-v\n--color=never"},
    {"options", 1, "a.exe\n-tpc\n--at\n2026-01-31T18:00:00Z\n--until\n2026-02-01T00:00:00Z\n-y"},
    {"options", 0, "a.exe\n-t-\n--user=x\n--tz=target\n--at=2026-01-31 18:00:00\n--run-as=user"},
    {"values", 0, "a b\nc\\\\\"d\n\ne\\\\"},
    {"values", 1, "dc*?.example\nDC17.example"},
    {"values", 2, "dc-*\n10.0.0.0/8\n2001:db8::/48\n*\n10.0.*\ndc-*\n10.1.2.3"},
    {"values", 3, "setup.msi\n\n/qn X=\"1\""},
    {"values", 3, "setup.cmd\nC:\\SPDISTRO\\x.cmd\n/x"},
    {"values", 4, "2026-01-31T18:00:00Z"},
    {"values", 4, "1h30m"},
    {"values", 5, "0,3010,0x80070642,-1"},
    {"values", 5, "5%"},
    {"values", 5, "ipc:///run/pusher/control.sock"},
    {"values", 5, "0123456789ab"},
    {"values", 6, "it's $HOME"},
    {"values", 7, "10.1.0.0/16"},
    {"values", 7, "2001:db8::/48"},
    {"values", 7, "::ffff:10.1.0.0/112"},
    {"values", 8, "18446744073709551615"},
    {"values", 8, "16T"},
    {"values", 9, "\xc3\xa9\x1b[31m\xe2\x80\xae\xf0\x9f\x98\x80\xff"},
    {"values", 10, "\x1b]0;x\x07\nsecond line"},
    {"package", 1, "setup \xc3\xa9t\xc3\xa9.exe"},
    {"package", 1, "com1.txt"},
    {"package", 3, "-2147024894\r\n"},
    {"package", 3, "3010 \r\n"},
    {"state", 0,
     "pusher-enrolled 1\nname paris-1\nsite paris\ncoordinator tcp://10.0.0.1:1\npackages "
     "tcp://10.0.0.1:2\n"},
};

static void seed_texts(void)
{
    static const char wrapper[] = "\1a.cmd\0%SystemRoot%\\x.exe\0/q \"a b\" ^&|<>%1";
    static const char cache[] = {0, 4, 0, 0, 0, 8, 12, 0, 0, 0, 12, 0, 1, 0, 3, 9, 12, 16, 0, 0};
    static const char made[] = {3, 0, 100, 0, 1};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "text-%zu", i);
        seed_text(texts[i].parser, name, texts[i].what, texts[i].text, strlen(texts[i].text));
    }
    seed_text("package", "wrapper", 2, wrapper, sizeof wrapper);
    seed("cache", "fetch", cache, sizeof cache);
    seed("state", "take", made, sizeof made);
    seed("merkle", "some", "\20\1\125\52\0\3\0\1", 8);
}

/* A token as people paste it. */
static void seed_token(void)
{
    static const uint8_t key[LIMIT_KEY_BYTES] = {1, 2, 3};
    struct token token;
    token_generate(&token, key, key, 5);
    char *text = token_text(&token);
    seed_text("keys", "token", 2, text, strlen(text));
    secret_free(text);
    token_release(&token);
}

/* Rows with hostile texts, as fuzz_report.c reads them. */
static void seed_report(void)
{
    static const char *const hostile[] = {"=1+2", "\x1b[31mred", "\"a;=b\"", "\xe2\x80\xaex"};
    struct buf bytes;
    buf_init(&bytes, 4096);
    for (uint8_t format = 0; format < 6; format++) {
        char name[] = "format-0";
        name[7] = (char)('0' + format);
        buf_reset(&bytes);
        buf_u8(&bytes, (uint8_t)(format * 16 + 3));
        buf_zero(&bytes, 16 + 5 + 24 + 3); /* the push, with empty texts */
        for (uint8_t row = 0; row < 4; row++) {
            buf_u8(&bytes, row + 3); /* state, stage, reason, ... */
            buf_bytes(&bytes, "\2\7\1\1\1", 5);
            buf_zero(&bytes, 40);
            for (uint8_t text = 0; text < 5; text++)
                buf_bytes(&bytes, hostile[(row + text) % 4], strlen(hostile[(row + text) % 4]) + 1);
            buf_u16le(&bytes, 4);
            buf_bytes(&bytes, "a\n\0\xff", 4);
        }
        seed("report", name, bytes.data, bytes.size);
    }
    buf_release(&bytes);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    root = argv[1];
    (void)mkdir(root, 0777);
    seed_wire();
    seed_objects(signed_world());
    seed_signed(signed_world());
    seed_token();
    seed_folders();
    seed_report();
    seed_texts();
    return 0;
}
