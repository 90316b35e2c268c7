/* Approving a relay: look, compare, sign, send, and say what it still lacks. */
#include "coordinator/cli/approve.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/report/format.h"
#include "common/signed/fingerprint.h"
#include "common/signed/objects.h"
#include "coordinator/cli/fleet.h"
#include "coordinator/cli/policy_state.h"
#include "coordinator/cli/verbs.h"

#define QUESTION_SIZE 256

struct approving {
    struct session *session;
    const struct approval *said;
    struct policy_state policy;
    struct fleet fleet;
    const struct relay_row *row;    /* into fleet */
    struct certificate certificate; /* to be signed; subnets owned */
    bool renewal;                   /* it has one of an operator, for these keys */
    struct certificate before;      /* the newest of those */
    char fingerprint[FINGERPRINT_TEXT_SIZE];
};

/* ---- what it would get ---- */

static int check_standing(const struct policy *policy, const struct relay_row *row, struct err *err)
{
    bool revoked = policy_revokes(policy, row->curve_key);
    if (revoked || row->standing == RELAY_REVOKED || row->standing == RELAY_CLONED)
        return err_set(err, ERR_INVALID,
                       "relay %s is %s: its keys are never let in again. Empty its state folder "
                       "and enrol it anew (pusher relay token %s)",
                       row->name, relay_standing_word(revoked ? RELAY_REVOKED : row->standing),
                       row->site);
    return 0;
}

/* Whether an operator has vouched for these very keys before. */
static int note_certificate(void *context, const uint8_t *bytes, size_t size, struct err *err)
{
    struct approving *approving = context;
    const struct relay_row *row = approving->row;
    struct certificate found;
    (void)err;
    if (certificate_look(bytes, size, &approving->policy.newest, &found, NULL) != 0)
        return 0; /* of an operator who isn't one any more */
    if (memcmp(found.curve_key, row->curve_key, LIMIT_KEY_BYTES) == 0 &&
        memcmp(found.seal_key, row->seal_key, LIMIT_KEY_BYTES) == 0 &&
        strcmp(found.relay, row->name) == 0 && strcmp(found.site, row->site) == 0) {
        approving->renewal = true;
        if (found.serial >= approving->certificate.serial)
            approving->certificate.serial = found.serial + 1;
        if (found.serial > approving->before.serial) {
            certificate_release(&approving->before);
            approving->before = found;
            return 0;
        }
    }
    certificate_release(&found);
    return 0;
}

/* Whether it would be allowed what nobody allowed it before, nor says now: the sites are the
 * coordinator's word. */
static bool grows(const struct approving *approving)
{
    const struct certificate *before = &approving->before;
    bool grows = false;
    for (uint32_t i = 0; i < approving->certificate.subnet_count; i++) {
        bool inside = false;
        for (uint32_t k = 0; k < before->subnet_count; k++)
            inside =
                inside || subnet_includes(&before->subnets[k], &approving->certificate.subnets[i]);
        grows = grows || !inside;
    }
    return grows && approving->said->subnet_count == 0;
}

/* The subnets that were asked for must lie in the site's: else it is a typing error, or a site that
 * somebody changed. */
static int narrow(struct approving *approving, struct err *err)
{
    const struct approval *said = approving->said;
    struct certificate *certificate = &approving->certificate;
    for (uint32_t i = 0; i < said->subnet_count; i++) {
        bool inside = false;
        char text[SUBNET_TEXT_SIZE];
        for (uint32_t s = 0; s < certificate->subnet_count; s++)
            inside = inside || subnet_includes(&certificate->subnets[s], &said->subnets[i]);
        subnet_text(&said->subnets[i], text);
        if (!inside)
            return err_set(err, ERR_INVALID, "--subnet %s is no part of site %s", text,
                           approving->row->site);
    }
    if (said->subnet_count == 0)
        return 0;
    free(certificate->subnets);
    certificate->subnets = mem_new(said->subnet_count, sizeof *certificate->subnets);
    memcpy(certificate->subnets, said->subnets, said->subnet_count * sizeof *said->subnets);
    certificate->subnet_count = said->subnet_count;
    return 0;
}

static int prepare(struct approving *approving, struct err *err)
{
    struct certificate *certificate = &approving->certificate;
    int64_t now_unix_s = (int64_t)time(NULL);
    if (policy_state_fetch(approving->session, &approving->policy, err) != 0 ||
        fleet_fetch(approving->session, &approving->fleet, err) != 0 ||
        fleet_find(&approving->fleet, approving->said->relay, &approving->row, err) != 0 ||
        check_standing(&approving->policy.newest, approving->row, err) != 0)
        return -1;
    const struct relay_row *row = approving->row;
    (void)text_copy(certificate->relay, sizeof certificate->relay, row->name);
    (void)text_copy(certificate->site, sizeof certificate->site, row->site);
    memcpy(certificate->curve_key, row->curve_key, LIMIT_KEY_BYTES);
    memcpy(certificate->seal_key, row->seal_key, LIMIT_KEY_BYTES);
    /* The time, so that it rises although the coordinator may have forgotten the one before. */
    certificate->serial = (uint64_t)now_unix_s * 1000;
    if (row->certificate_serial >= certificate->serial)
        certificate->serial = row->certificate_serial + 1;
    certificate->not_before_unix_s = now_unix_s;
    certificate->not_after_unix_s = now_unix_s + approving->said->expires_s;
    relay_fingerprint(row->curve_key, row->seal_key, row->name, approving->fingerprint);
    if (fleet_site_subnets(approving->session, row->site, &certificate->subnets,
                           &certificate->subnet_count, err) != 0 ||
        fleet_objects(approving->session, SIGNED_CERTIFICATE, row->site, note_certificate,
                      approving, err) != 0)
        return -1;
    if (certificate->subnet_count == 0)
        return err_set(
            err, ERR_INVALID,
            "site %s has no subnets: a relay may work in none (pusher site add --subnet)",
            row->site);
    return narrow(approving, err);
}

/* ---- comparing ---- */

static void show(const struct approving *approving)
{
    const struct certificate *certificate = &approving->certificate;
    char text[2 * LIMIT_SITE_NAME_SIZE];
    char until[FORMAT_TIME_SIZE];
    (void)fprintf(stderr, "relay        %s%s\n",
                  text_printable(text, sizeof text, certificate->relay),
                  !approving->renewal ? ""
                  : grows(approving)  ? " (renewal, with more subnets than before)"
                                      : " (renewal)");
    (void)fprintf(stderr, "site         %s\n",
                  text_printable(text, sizeof text, certificate->site));
    for (uint32_t i = 0; i < certificate->subnet_count; i++) {
        char subnet[SUBNET_TEXT_SIZE];
        subnet_text(&certificate->subnets[i], subnet);
        (void)fprintf(stderr, "%-12s %s\n", i == 0 ? "subnets" : "", subnet);
    }
    (void)fprintf(stderr, "until        %s\n",
                  format_time((uint64_t)certificate->not_after_unix_s * 1000, until));
    (void)fprintf(stderr, "fingerprint  %s\n", approving->fingerprint);
}

/* Compares digits alone: people type blanks, colons and capitals as they like. */
static bool same_digits(const char *a, const char *b)
{
    for (;;) {
        while (*a != '\0' && isxdigit((unsigned char)*a) == 0)
            a++;
        while (*b != '\0' && isxdigit((unsigned char)*b) == 0)
            b++;
        if (*a == '\0' || *b == '\0')
            return *a == *b;
        if (tolower((unsigned char)*a++) != tolower((unsigned char)*b++))
            return false;
    }
}

static int confirm(const struct approving *approving, bool *yes, struct err *err)
{
    const struct approval *said = approving->said;
    *yes = true;
    if (said->fingerprint != NULL)
        return same_digits(said->fingerprint, approving->fingerprint)
                   ? 0
                   : err_set(err, ERR_DENIED,
                             "the fingerprint is another one: somebody else's keys came under the "
                             "name %s",
                             approving->row->name);
    if (said->yes && approving->renewal && !grows(approving))
        return 0;
    if (approving->renewal)
        return verb_confirm("Sign a new certificate for it?",
                            grows(approving) ? "it would get more subnets than before: say which "
                                               "with --subnet, or give --fingerprint"
                                             : "say -y",
                            yes, err);
    return verb_confirm("Does the relay show the same fingerprint (pusher-relay status)?",
                        "give the fingerprint that the relay showed with --fingerprint", yes, err);
}

/* ---- afterwards ---- */

struct lacking {
    const struct approving *approving;
    bool has;                         /* this relay has the site's account */
    char account[LIMIT_ACCOUNT_SIZE]; /* another relay's; "": nobody has one */
};

static int note_credential(void *context, const uint8_t *bytes, size_t size, struct err *err)
{
    struct lacking *lacking = context;
    const struct approving *approving = lacking->approving;
    struct site_credential found;
    (void)err;
    if (site_credential_look(bytes, size, &approving->policy.newest, &found, NULL) != 0)
        return 0;
    if (memcmp(found.seal_key, approving->row->seal_key, LIMIT_KEY_BYTES) == 0)
        lacking->has = true;
    else
        (void)text_copy(lacking->account, sizeof lacking->account, found.account);
    site_credential_release(&found);
    return 0;
}

static int say_lacking(const struct approving *approving, struct err *err)
{
    struct lacking lacking = {.approving = approving};
    const char *site = approving->row->site;
    if (fleet_objects(approving->session, SIGNED_SITE_CREDENTIAL, site, note_credential, &lacking,
                      err) != 0)
        return -1;
    if (lacking.has)
        return 0;
    if (lacking.account[0] != '\0')
        say(approving->session->common,
            "it lacks the account of site %s, which other relays there have: pusher cred set %s "
            "--user '%s'",
            site, site, lacking.account);
    else
        say(approving->session->common,
            "site %s has no account yet: pusher cred set %s --user USER, or give each push one",
            site, site);
    return 0;
}

static int sign_and_send(struct approving *approving, struct err *err)
{
    struct key_pair key = {0};
    struct buf bytes;
    buf_init(&bytes, OBJECT_BYTES_MAX);
    if (operator_key_load(approving->said->operator_key, &key, err) != 0)
        return -1;
    int result = 0;
    if (!policy_has_operator(&approving->policy.newest, key.public_key))
        result = err_set(err, ERR_DENIED,
                         "your key is none of the operators' in policy %llu: no relay would obey "
                         "it",
                         (unsigned long long)approving->policy.newest.version);
    if (result == 0)
        result = certificate_make(&approving->certificate, &key, &bytes, err);
    key_pair_release(&key);
    if (result == 0)
        result = fleet_put(approving->session, bytes.data, bytes.size, err);
    buf_release(&bytes);
    return result;
}

static int approve(struct approving *approving, struct err *err)
{
    bool yes = false;
    if (prepare(approving, err) != 0)
        return -1;
    policy_state_say(approving->session, &approving->policy);
    show(approving);
    if (confirm(approving, &yes, err) != 0)
        return -1;
    if (!yes)
        return err_set(err, ERR_DENIED, "not approved");
    if (sign_and_send(approving, err) != 0)
        return -1;
    say(approving->session->common, "relay %s of site %s is approved", approving->row->name,
        approving->row->site);
    return say_lacking(approving, err);
}

int approve_run(struct session *session, const struct approval *said)
{
    struct approving approving = {.session = session, .said = said};
    struct err err = {0};
    int result = approve(&approving, &err);
    policy_state_release(&approving.policy);
    fleet_release(&approving.fleet);
    certificate_release(&approving.certificate);
    certificate_release(&approving.before);
    return result == 0 ? EXIT_ALL_SUCCEEDED : session_failed(session, &err);
}
