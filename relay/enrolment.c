/* What an enrolled relay knows, in its state folder. */
#include "relay/enrolment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/utf16.h"
#include "common/signed/objects.h"
#include "common/trust/signed.h"
#include "common/wire/wire.h"
#include "relay/state_file.h"

#define FILE_ENROLLED "enrolled"
#define FILE_POLICY "policy.signed"
#define FILE_CERTIFICATE "certificate.signed"
#define ENROLLED_HEAD "pusher-enrolled 1"
#define ENROLLED_SIZE_MAX 2048U

static char *join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + 1 + strlen(name) + 1;
    char *path = mem_new(size, 1);
    (void)snprintf(path, size, "%s/%s", folder, name);
    return path;
}

bool enrolment_exists(const char *folder)
{
    struct stat info;
    char *path = join(folder, FILE_ENROLLED);
    bool there = lstat(path, &info) == 0;
    free(path);
    return there;
}

void enrolment_release(struct enrolment *enrolment)
{
    policy_release(&enrolment->policy);
    certificate_release(&enrolment->certificate);
    memset(enrolment, 0, sizeof *enrolment);
}

/* ---- the text file ---- */

static bool one_line(const char *text)
{
    for (const char *at = text; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return false;
    }
    return text[0] != '\0' && utf8_valid(text);
}

/* "word value\n" at *at. Returns -1 when it is anything else. */
static int take_line(const char **at, const char *word, char *value, size_t size)
{
    size_t length = strlen(word);
    const char *end = strchr(*at, '\n');
    if (!end || strncmp(*at, word, length) != 0 || (*at)[length] != ' ')
        return -1;
    const char *from = *at + length + 1;
    size_t used = (size_t)(end - from);
    if (end <= from || used >= size)
        return -1;
    memcpy(value, from, used);
    value[used] = '\0';
    *at = end + 1;
    return one_line(value) ? 0 : -1;
}

static int parse_enrolled(struct enrolment *enrolment, const char *text)
{
    char version[8];
    const char *at = text;
    if (take_line(&at, "pusher-enrolled", version, sizeof version) != 0 ||
        strcmp(version, "1") != 0 ||
        take_line(&at, "name", enrolment->name, sizeof enrolment->name) != 0 ||
        take_line(&at, "site", enrolment->site, sizeof enrolment->site) != 0 ||
        take_line(&at, "coordinator", enrolment->coordinator, sizeof enrolment->coordinator) != 0 ||
        take_line(&at, "packages", enrolment->packages, sizeof enrolment->packages) != 0)
        return -1;
    return *at == '\0' ? 0 : -1;
}

static int load_enrolled(struct enrolment *enrolment, const char *path, struct err *err)
{
    struct buf text;
    struct err why = {0};
    buf_init(&text, ENROLLED_SIZE_MAX);
    int failed = state_file_read(path, &text, &why);
    if (failed && why.code == ERR_NOT_FOUND)
        (void)err_set(err, ERR_NOT_FOUND, "there is no %s: enrol first (pusher-relay enroll)",
                      path);
    else if (failed && err)
        *err = why;
    if (!failed && (memchr(text.data ? (const char *)text.data : "", '\0', text.size) != NULL ||
                    parse_enrolled(enrolment, buf_cstr(&text)) != 0))
        failed = err_set(err, ERR_INVALID,
                         "%s is damaged: restore the state folder from a backup, or enrol again "
                         "with a new token (pusher-relay enroll --again)",
                         path);
    buf_release(&text);
    return failed;
}

static int save_enrolled(const struct enrolment *enrolment, const char *path, struct err *err)
{
    struct buf text;
    if (!one_line(enrolment->name) || !one_line(enrolment->site) ||
        !one_line(enrolment->coordinator) || !one_line(enrolment->packages))
        return err_set(err, ERR_INVALID, "a name, site or endpoint that is no line of text");
    buf_init(&text, ENROLLED_SIZE_MAX);
    buf_printf(&text, ENROLLED_HEAD "\nname %s\nsite %s\ncoordinator %s\npackages %s\n",
               enrolment->name, enrolment->site, enrolment->coordinator, enrolment->packages);
    int failed = buf_ok(&text) ? state_file_write(path, text.data, text.size, err)
                               : err_set(err, ERR_LIMIT, "%s would be too long", path);
    buf_release(&text);
    return failed;
}

/* ---- signed files ---- */

static int load_signed(const char *path, enum signed_kind kind, struct buf *bytes,
                       struct signed_view *view, const char *remedy, struct err *err)
{
    struct err why;
    if (state_file_read(path, bytes, err) != 0)
        return -1;
    if (signed_open(bytes->data, bytes->size, kind, NULL, view, &why) == 0)
        return 0;
    return err_set(err, ERR_INVALID, "%s is damaged (%s): %s", path, why.text, remedy);
}

static int load_policy(struct enrolment *enrolment, const char *path, struct err *err)
{
    struct buf bytes;
    struct signed_view view;
    buf_init(&bytes, SIGNED_PAYLOAD_MAX + SIGNED_OVERHEAD_BYTES);
    int failed = load_signed(path, SIGNED_POLICY, &bytes, &view,
                             "restore the state folder from a backup, or enrol again with a new "
                             "token (pusher-relay enroll --again)",
                             err);
    if (!failed)
        failed = wire_decode_policy(view.payload, view.payload_size, &enrolment->policy, err);
    buf_release(&bytes);
    return failed;
}

/* Whether it is ours: for these keys, at this site. */
static int check_own(const struct enrolment *enrolment, const struct relay_state *state,
                     const struct certificate *certificate, struct err *err)
{
    if (!key_equal(certificate->curve_key, state->curve.public_key) ||
        !key_equal(certificate->seal_key, state->seal.public_key))
        return err_set(err, ERR_DENIED, "the certificate is for other keys than this relay's");
    if (strcmp(certificate->site, enrolment->site) != 0)
        return err_set(err, ERR_DENIED, "the certificate is for site %s, this relay is of %s",
                       certificate->site, enrolment->site);
    if (strcmp(certificate->relay, enrolment->name) != 0)
        return err_set(err, ERR_DENIED, "the certificate names relay %s, this one is %s",
                       certificate->relay, enrolment->name);
    if (certificate->serial == 0 || certificate->subnet_count == 0)
        return err_set(err, ERR_PROTOCOL, "the certificate has no serial number or no subnet");
    return 0;
}

static int load_certificate(struct enrolment *enrolment, const struct relay_state *state,
                            const char *path, struct err *err)
{
    static const char remedy[] = "remove it, the coordinator sends it again";
    struct buf bytes;
    struct signed_view view;
    struct err why = {0};
    buf_init(&bytes, SIGNED_PAYLOAD_MAX + SIGNED_OVERHEAD_BYTES);
    int failed = load_signed(path, SIGNED_CERTIFICATE, &bytes, &view, remedy, &why);
    if (!failed) {
        failed =
            wire_decode_certificate(view.payload, view.payload_size, &enrolment->certificate, &why);
        if (!failed && check_own(enrolment, state, &enrolment->certificate, &why) != 0) {
            certificate_release(&enrolment->certificate);
            failed =
                err_set(&why, ERR_INVALID, "%s does not fit this state folder: %s", path, remedy);
        }
    }
    buf_release(&bytes);
    if (!failed || why.code == ERR_NOT_FOUND)
        return 0; /* not approved yet */
    if (err)
        *err = why;
    return -1;
}

int enrolment_load(struct enrolment *enrolment, const struct relay_state *state, struct err *err)
{
    char *enrolled = join(state->folder, FILE_ENROLLED);
    char *policy = join(state->folder, FILE_POLICY);
    char *certificate = join(state->folder, FILE_CERTIFICATE);
    memset(enrolment, 0, sizeof *enrolment);
    int failed = load_enrolled(enrolment, enrolled, err);
    if (!failed)
        failed = load_policy(enrolment, policy, err);
    if (!failed)
        failed = load_certificate(enrolment, state, certificate, err);
    free(enrolled);
    free(policy);
    free(certificate);
    if (failed)
        enrolment_release(enrolment);
    return failed;
}

int enrolment_save(const struct enrolment *enrolment, const char *folder, const uint8_t *policy,
                   size_t policy_size, struct err *err)
{
    char *enrolled = join(folder, FILE_ENROLLED);
    char *policy_path = join(folder, FILE_POLICY);
    char *certificate = join(folder, FILE_CERTIFICATE);
    int failed = 0;
    if (unlink(certificate) != 0 && errno != ENOENT)
        failed = err_set_errno(err, errno, "cannot remove %s", certificate);
    if (!failed)
        failed = state_file_write(policy_path, policy, policy_size, err);
    if (!failed) /* the last: without it the folder isn't enrolled */
        failed = save_enrolled(enrolment, enrolled, err);
    free(enrolled);
    free(policy_path);
    free(certificate);
    return failed;
}

int enrolment_clear(const char *folder, struct err *err)
{
    char *enrolled = join(folder, FILE_ENROLLED);
    int failed = 0;
    if (unlink(enrolled) != 0 && errno != ENOENT)
        failed = err_set_errno(err, errno, "cannot remove %s", enrolled);
    if (!failed)
        failed = state_folder_sync(enrolled, err);
    free(enrolled);
    return failed;
}

/* ---- what comes later ---- */

static int keep(const struct relay_state *state, const char *file, const uint8_t *bytes,
                size_t size, struct err *err)
{
    char *path = join(state->folder, file);
    int failed = state_file_write(path, bytes, size, err);
    free(path);
    return failed;
}

static int take_policy(struct enrolment *enrolment, const struct relay_state *state,
                       const uint8_t *bytes, size_t size, enum enrolment_news *news,
                       struct err *err)
{
    struct policy policy;
    if (policy_look(bytes, size, &policy, NULL, err) != 0)
        return -1;
    uint64_t version = policy.version;
    uint64_t ours = enrolment->policy.version;
    policy_release(&policy);
    if (version <= ours)
        return 0;
    if (version > ours + 1)
        return err_set(err, ERR_UNAVAILABLE, "policy version %llu does not follow version %llu",
                       (unsigned long long)version, (unsigned long long)ours);
    if (policy_open(bytes, size, &enrolment->policy, &policy, err) != 0)
        return -1;
    if (keep(state, FILE_POLICY, bytes, size, err) != 0) {
        policy_release(&policy);
        return -1;
    }
    policy_release(&enrolment->policy);
    enrolment->policy = policy;
    *news = ENROLMENT_POLICY;
    return 0;
}

static int take_certificate(struct enrolment *enrolment, const struct relay_state *state,
                            const uint8_t *bytes, size_t size, enum enrolment_news *news,
                            struct err *err)
{
    struct certificate certificate;
    if (certificate_look(bytes, size, &enrolment->policy, &certificate, err) != 0)
        return -1;
    int failed = check_own(enrolment, state, &certificate, err);
    bool newer = certificate.serial > enrolment->certificate.serial;
    if (!failed && newer)
        failed = keep(state, FILE_CERTIFICATE, bytes, size, err);
    if (failed || !newer) {
        certificate_release(&certificate);
        return failed;
    }
    certificate_release(&enrolment->certificate);
    enrolment->certificate = certificate;
    *news = ENROLMENT_CERTIFICATE;
    return 0;
}

int enrolment_take(struct enrolment *enrolment, const struct relay_state *state,
                   const uint8_t *bytes, size_t size, enum enrolment_news *news, struct err *err)
{
    enum signed_kind kind;
    uint8_t signer[LIMIT_KEY_BYTES];
    *news = ENROLMENT_NOTHING_NEW;
    if (object_look(bytes, size, &kind, signer, err) != 0)
        return -1;
    if (kind == SIGNED_POLICY)
        return take_policy(enrolment, state, bytes, size, news, err);
    if (kind == SIGNED_CERTIFICATE)
        return take_certificate(enrolment, state, bytes, size, news, err);
    return err_set(err, ERR_PROTOCOL, "a signed object of a kind that is not sent so");
}

void enrolment_fingerprint(const struct enrolment *enrolment, const struct relay_state *state,
                           char text[FINGERPRINT_TEXT_SIZE])
{
    relay_fingerprint(state->curve.public_key, state->seal.public_key, enrolment->name, text);
}

const char *certificate_flaw(const struct certificate *certificate, const struct policy *policy,
                             int64_t now_unix_s)
{
    if (certificate->serial == 0)
        return "no operator has approved this relay yet";
    if (now_unix_s + OBJECT_SKEW_MAX_S < certificate->not_before_unix_s)
        return "this relay's certificate is not valid yet: check its clock";
    if (now_unix_s >= certificate->not_after_unix_s)
        return "this relay's certificate has expired: approve it again (pusher relay approve)";
    if (policy_revokes(policy, certificate->curve_key))
        return "this relay's certificate is revoked: enrol again with a new token "
               "(pusher-relay enroll --again)";
    return NULL;
}
