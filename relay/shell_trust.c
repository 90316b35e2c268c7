/* What an enrolled relay believes while it runs: policy, certificate, peers; and whether it may
 * work at all.
 *
 * Without a certificate that is valid now the core is halted: it asks for nothing, and what it held
 * goes back to the coordinator, which leases it to another relay of the site, or ends it at its
 * deadline. So a relay that expires makes no rows of its own, and each target still gets its one.
 */
#include <string.h>
#include <time.h>

#include "common/base/log.h"
#include "common/base/text.h"
#include "relay/shell_state.h"
#include "relay/stage/scope.h"

#define LOOK_MS 1000U
/* A HELLO that asks for what is missing, at most so often. */
#define ASK_PAUSE_MS 5000U
/* A coordinator that says nothing for so long to somebody who says HELLO every few seconds doesn't
 * let him in any more: the handshake of a new connection tells. */
#define SILENCE_MAX_MS 90000U

static int64_t now_unix_s(void)
{
    return (int64_t)(shell_now_unix_ms() / 1000);
}

void shell_fill_hello(const struct shell *shell, struct message_hello *hello)
{
    const struct enrolment *enrolment = shell->config->enrolment;
    if (!enrolment)
        return;
    hello->policy_version = enrolment->policy.version;
    hello->certificate_serial = enrolment->certificate.serial;
    if (shell->peer_server)
        (void)text_copy(hello->serve, sizeof hello->serve,
                        link_server_endpoint(shell->peer_server));
}

static void ask_if_due(struct shell *shell)
{
    uint64_t now_ms = shell_now_ms();
    if (!shell->asking || !shell->connected ||
        (shell->asked_ms != 0 && now_ms < shell->asked_ms + ASK_PAUSE_MS))
        return;
    shell->asking = false;
    shell->asked_ms = now_ms;
    struct agent_event event = {.kind = AGENT_LINK_UP};
    shell_step(shell, &event);
}

void shell_ask_again(struct shell *shell)
{
    shell->asking = true;
    ask_if_due(shell);
}

/* Halts the core, or lets it go on, as the certificate says now. */
static void judge(struct shell *shell)
{
    const struct enrolment *enrolment = shell->config->enrolment;
    const char *flaw = certificate_flaw(&enrolment->certificate, &enrolment->policy, now_unix_s());
    if (shell->halted == (flaw != NULL))
        return;
    shell->halted = flaw != NULL;
    if (!flaw)
        log_info("this relay may work: its certificate is valid");
    else if (enrolment->certificate.serial != 0)
        log_error("no job is accepted: %s", flaw);
    struct agent_event event = {.kind = AGENT_HALT, .halted = shell->halted};
    shell_step(shell, &event);
}

static void look(uv_timer_t *timer)
{
    struct shell *shell = timer->data;
    if (shell->failed || shell->finished)
        return;
    judge(shell);
    shell->asking = shell->asking || shell->halted; /* a certificate may be lost on its way */
    ask_if_due(shell);
    if (shell->connected && shell_now_ms() >= shell->heard_ms + SILENCE_MAX_MS) {
        log_warning("the coordinator has been silent for %u s: dialling again",
                    SILENCE_MAX_MS / 1000);
        shell_redial(shell);
    }
}

/* Once the runner has it, it goes by what these point to. */
static void apply(struct shell *shell)
{
    const struct enrolment *enrolment = shell->config->enrolment;
    shell->config->scope->policy = &enrolment->policy;
    shell->config->scope->certificate =
        enrolment->certificate.serial != 0 ? &enrolment->certificate : NULL;
}

void shell_trust_start(struct shell *shell)
{
    if (!shell->config->enrolment)
        return;
    apply(shell);
    judge(shell);
    (void)uv_timer_start(&shell->trust_timer, look, LOOK_MS, LOOK_MS);
}

static void on_policy(struct shell *shell, const uint8_t key[LIMIT_KEY_BYTES])
{
    const struct policy *policy = &shell->config->enrolment->policy;
    log_info("policy version %llu: %u operators, %u names and %u subnets that nobody touches",
             (unsigned long long)policy->version, policy->operator_count, policy->never_name_count,
             policy->never_subnet_count);
    judge(shell);
    peers_revoke(&shell->peers, policy);
    shell_distrust_jobs(shell);
    for (uint32_t i = 0; i < policy->coordinator_count; i++) {
        if (key_equal(policy->coordinators[i], key)) {
            shell->relay_key_no = shell->package_key_no = i;
            return;
        }
    }
    log_warning("the coordinator's key is none of the policy's any more: dialling with those");
    shell_redial(shell);
}

static void on_certificate(struct shell *shell)
{
    const struct certificate *certificate = &shell->config->enrolment->certificate;
    char until[32] = "?";
    struct tm tm;
    time_t at = (time_t)certificate->not_after_unix_s;
    if (gmtime_r(&at, &tm))
        (void)strftime(until, sizeof until, "%Y-%m-%dT%H:%M:%SZ", &tm);
    log_info("certificate %llu: site %s, %u subnets, until %s",
             (unsigned long long)certificate->serial, certificate->site, certificate->subnet_count,
             until);
    judge(shell);
}

void shell_on_object(struct shell *shell, const struct message_object *object)
{
    struct enrolment *enrolment = shell->config->enrolment;
    enum enrolment_news news;
    uint8_t key[LIMIT_KEY_BYTES];
    struct err err;
    if (!enrolment) {
        log_debug("ignored a signed object: this relay isn't enrolled");
        return;
    }
    memcpy(key, enrolment->policy.coordinators[shell->relay_key_no], sizeof key);
    if (enrolment_take(enrolment, shell->config->state, object->bytes, object->size, &news, &err) !=
        0) {
        log_warning("ignored a signed object: %s", err.text);
        if (err.code == ERR_IO)
            shell_fail(shell, &err);
        else if (err.code == ERR_UNAVAILABLE || err.code == ERR_NO_SPACE)
            shell_ask_again(shell); /* what is missing; or the same, when there may be room */
        return;
    }
    apply(shell);
    switch (news) {
    case ENROLMENT_NOTHING_NEW:
        break;
    case ENROLMENT_POLICY:
        on_policy(shell, key);
        break;
    case ENROLMENT_CERTIFICATE:
        on_certificate(shell);
        break;
    }
}

void shell_on_peer(struct shell *shell, const struct message_peer *peer)
{
    const struct enrolment *enrolment = shell->config->enrolment;
    struct err err;
    if (!enrolment || enrolment->certificate.serial == 0)
        return;
    if (peers_take(&shell->peers, peer, &enrolment->policy, &enrolment->certificate, &err) != 0)
        log_warning("ignored a peer: %s", err.text);
}
