/* The operator's key, the sites' relays, the upload. */
#include "coordinator/cli/push_remote.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/base/buf.h"
#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/pkg/name.h"
#include "coordinator/cli/package_send.h"
#include "coordinator/cli/signing.h"
#include "coordinator/cli/upload.h"
#include "coordinator/cli/verbs.h"

#define END_MS 1000U
#define SITES_TEXT_SIZE 512
#define CREDENTIAL_SEALED_MAX 8192U

static int nobody(const struct push *push)
{
    char name[2 * LIMIT_TARGET_NAME_SIZE];
    complain("no site takes any of these targets: pusher site which %s tells why",
             text_printable(name, sizeof name, targets_names(push->targets)[0]));
    return EXIT_NO_TARGETS;
}

int remote_say_sites(const struct push *push)
{
    struct session session;
    struct site_shares shares = {0};
    struct err err = {0};
    char text[SITES_TEXT_SIZE];
    if (session_open_coordinator(&session, &push->options.common, &err) != 0)
        return session_failed(&session, &err);
    int status = PUSH_GO_ON;
    if (site_shares_find(&shares, &session, push->options.site, targets_names(push->targets),
                         targets_count(push->targets), &err) != 0)
        status = session_failed(&session, &err);
    else if (shares.routed && shares.count == 0)
        status = nobody(push);
    else if (shares.routed && (shares.count > 1 || shares.nowhere > 0))
        say(&push->options.common, "by site: %s", site_shares_text(&shares, text, sizeof text));
    site_shares_release(&shares);
    session_close(&session, END_MS);
    return status;
}

/* Whether what the coordinator says of a package is fit to be signed. */
static int check_row(const struct package_row *row, struct err *err)
{
    char shown[2 * LIMIT_PACKAGE_NAME_SIZE];
    (void)text_printable(shown, sizeof shown, row->name);
    if (row->bytes == 0 || row->bytes > LIMIT_PACKAGE_BYTES_MAX)
        return err_set(err, ERR_PROTOCOL, "the coordinator's package %s has an odd size", shown);
    if (row->stored < row->bytes)
        return err_set(err, ERR_INVALID,
                       "package %s is not whole at the coordinator: bring it again (pusher package "
                       "add)",
                       shown);
    return package_name_check(row->name, err);
}

static int nowhere(const char *word, struct err *err)
{
    char shown[2 * LIMIT_PACKAGE_NAME_SIZE];
    return err_set(err, ERR_NOT_FOUND,
                   "there is no package %s: no file here, and none at the coordinator is called or "
                   "begins so",
                   text_printable(shown, sizeof shown, word));
}

/* A name, and the first digits, are what the coordinator makes of them: whoever signs says that
 * these are the bytes that are meant. -y is about how many targets there are. */
static int vouch(const struct push *push, const char *hex, struct err *err)
{
    bool yes = false;
    if (strcasecmp(push->options.package, hex) == 0 || push->options.dry_run)
        return 0;
    if (verb_confirm("Is this the package's SHA-256?",
                     "name the package by all 64 digits of its SHA-256", &yes, err) != 0)
        return -1;
    return yes ? 0 : err_set(err, ERR_INVALID, "not confirmed, nothing was started");
}

static int find_package(struct push *push, struct session *session, struct err *err)
{
    struct package_row row;
    char hex[2 * LIMIT_DIGEST_BYTES + 1];
    if (package_find(session, push->options.package, &row, err) != 0)
        return err->code == ERR_NOT_FOUND ? nowhere(push->options.package, err) : -1;
    if (check_row(&row, err) != 0)
        return -1;
    push->package = (struct package_file){.fd = -1, .bytes = row.bytes};
    (void)text_copy(push->package.name, sizeof push->package.name, row.name);
    push->package_is_folder = row.directory;
    memcpy(push->job.package_digest, row.digest, sizeof row.digest);
    hex_encode(row.digest, sizeof row.digest, hex);
    say(&push->options.common, "package at the coordinator, sha256 %s", hex);
    return vouch(push, hex, err);
}

int remote_find_package(struct push *push)
{
    struct session session;
    struct err err = {0};
    if (session_open_coordinator(&session, &push->options.common, &err) != 0)
        return session_failed(&session, &err);
    int status = PUSH_GO_ON;
    if (find_package(push, &session, &err) != 0)
        status = session_failed(&session, &err);
    session_close(&session, END_MS);
    return status;
}

/* ---- sealing ---- */

static void free_credentials(struct upload *upload)
{
    for (uint32_t i = 0; i < upload->credential_count; i++)
        free(upload->credentials[i].bytes);
    free(upload->credentials);
    upload->credentials = NULL;
    upload->credential_count = 0;
}

static int seal_for(const struct push *push, const struct recipient *to,
                    struct push_credential *credential, struct err *err)
{
    struct buf sealed;
    buf_init(&sealed, CREDENTIAL_SEALED_MAX);
    if (credential_seal(push->credential, &push->job, &push->authority.key, to->seal_key, &sealed,
                        err) != 0) {
        buf_release(&sealed);
        return err_wrap(err, "relay %s", to->relay);
    }
    memcpy(credential->seal_key, to->seal_key, sizeof credential->seal_key);
    credential->bytes = sealed.data; /* the buffer's memory goes over */
    credential->size = sealed.size;
    return 0;
}

static int seal_all(const struct push *push, const struct recipients *recipients,
                    struct upload *upload, struct err *err)
{
    upload->credentials = mem_new(recipients->count + 1U, sizeof *upload->credentials);
    for (uint32_t i = 0; i < recipients->count; i++) {
        if (seal_for(push, &recipients->rows[i], &upload->credentials[i], err) != 0)
            return -1;
        upload->credential_count++;
    }
    return 0;
}

/* ---- handing over ---- */

/* The account for each relay: sealed now, or stored before. */
static int bring_accounts(struct session *session, struct push *push, struct upload *upload,
                          struct err *err)
{
    struct recipients recipients = {0};
    const struct policy *policy = &push->authority.state.newest;
    int result =
        recipients_find(&recipients, session, policy, &push->shares, (int64_t)time(NULL), err);
    if (result == 0 && push->job.site_credentials)
        result = recipients_check_stored(&recipients, session, policy, &push->shares, err);
    else if (result == 0)
        result = seal_all(push, &recipients, upload, err);
    if (result == 0)
        say_more(session->common, "%u relay%s at %u site%s can take this push", recipients.count,
                 recipients.count == 1 ? "" : "s", push->shares.count,
                 push->shares.count == 1 ? "" : "s");
    recipients_release(&recipients);
    return result;
}

/* Times, and a counter above that of the job that this one takes the place of. */
static void stamp(struct push *push)
{
    struct job *job = &push->job;
    uint64_t before = job->counter; /* 0: a new push */
    push_set_times(push);
    if (job->counter <= before)
        job->counter = before + 1; /* a clock that was set back */
    job->policy_version = push->authority.state.newest.version;
    job->site_credentials = push->options.user == NULL;
}

int remote_hand_over(struct session *session, struct push *push, struct err *err)
{
    struct buf signed_job;
    char **names = push->targets == NULL ? NULL : targets_names(push->targets);
    struct upload upload = {.job = &push->job,
                            .package = push->has_package ? &push->package : NULL,
                            .names = names,
                            .signed_job = &signed_job,
                            .site = push->options.site,
                            .resume = push->options.resume,
                            .retry = push->retry,
                            .retry_states = push->retry_states,
                            .retry_reason = push->retry_reason,
                            .fail_stop_count =
                                fail_limit_stop_count(&push->options.max_fail, push_count(push))};
    buf_init(&signed_job, LIMIT_MESSAGE_BYTES_MAX / 2);
    int result = push->shares.count > 0
                     ? 0
                     : site_shares_find(&push->shares, session, push->options.site, names,
                                        push->job.target_count, err);
    stamp(push);
    if (result == 0)
        result = bring_accounts(session, push, &upload, err);
    if (result == 0)
        result = job_sign(&push->job, &push->authority.key, &signed_job, err);
    if (result == 0)
        result = upload_push(session, &upload, err);
    free_credentials(&upload);
    buf_release(&signed_job);
    return result;
}

/* ---- resume ---- */

static int count_row(void *context, const struct report_row *row, struct err *err)
{
    struct push *push = context;
    enum target_state state = row->outcome.state;
    (void)err;
    if (!target_state_terminal(state) && state != TARGET_SCHEDULED)
        site_shares_count(&push->shares, row->site);
    return 0;
}

int remote_recall(struct session *session, struct push *push, const struct push_id *id,
                  struct err *err)
{
    struct report_filter all = {.stage = STAGE_COUNT};
    struct push_summary end;
    push_id_text(id, all.push.prefix);
    if (authority_job(&push->authority, session, id, &push->job, err) != 0 ||
        site_shares_find(&push->shares, session, NULL, NULL, 0, err) != 0 ||
        control_report(session->control, &all, count_row, push, &end, ANSWER_MS, err) != 0)
        return -1;
    site_shares_settle(&push->shares);
    return 0;
}
