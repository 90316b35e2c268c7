/* The two links to the coordinator: opened, refused, dialled anew.
 *
 * An enrolled relay knows its coordinator by the keys in the policy. While there are several, one
 * of them is being replaced: whichever is refused, the next one is tried.
 */
#include <string.h>

#include "common/base/log.h"
#include "relay/shell_state.h"

static const uint8_t *server_key(const struct shell *shell, uint32_t key_no)
{
    const struct enrolment *enrolment = shell->config->enrolment;
    return enrolment ? enrolment->policy.coordinators[key_no] : shell->config->coordinator_key;
}

static void try_next_key(struct shell *shell, struct link_client *link, uint32_t *key_no)
{
    const struct enrolment *enrolment = shell->config->enrolment;
    if (!enrolment)
        return;
    *key_no = (*key_no + 1) % enrolment->policy.coordinator_count;
    if (link)
        link_client_set_server_key(link, server_key(shell, *key_no));
}

static void log_refused(struct shell *shell, const char *link)
{
    const struct enrolment *enrolment = shell->config->enrolment;
    char fingerprint[FINGERPRINT_TEXT_SIZE];
    if (!enrolment) {
        log_warning("%s link: the coordinator refuses this relay's key, or has another key than "
                    "expected",
                    link);
        return;
    }
    if (shell->refusal_told)
        return;
    shell->refusal_told = true;
    if (enrolment->certificate.serial == 0) {
        enrolment_fingerprint(enrolment, shell->config->state, fingerprint);
        log_info("waiting for approval: on the admin host, pusher relay approve %s; its "
                 "fingerprint must be %s",
                 enrolment->name, fingerprint);
        return;
    }
    log_warning("%s link: the coordinator refuses this relay: it was revoked, or a second process "
                "used its keys (pusher relay list says which), or the coordinator has a key that "
                "no policy names; dialling on",
                link);
}

static void log_state(struct shell *shell, const char *link, enum link_state state)
{
    switch (state) {
    case LINK_CONNECTED:
        shell->refusal_told = false;
        log_info("%s link is up", link);
        break;
    case LINK_DISCONNECTED:
        log_info("%s link is down, dialling again", link);
        break;
    case LINK_REFUSED:
        log_refused(shell, link);
        break;
    }
}

static void relay_state(void *context, enum link_state state)
{
    struct shell *shell = context;
    log_state(shell, "relay", state);
    shell->connected = state == LINK_CONNECTED;
    if (state == LINK_REFUSED)
        try_next_key(shell, shell->relay_link, &shell->relay_key_no);
    if (state != LINK_CONNECTED)
        return;
    shell->heard_ms = shell_now_ms();
    peers_forget(&shell->peers); /* who left meanwhile isn't told of */
    struct agent_event event = {.kind = AGENT_LINK_UP};
    shell_step(shell, &event);
}

static void package_state(void *context, enum link_state state)
{
    struct shell *shell = context;
    log_state(shell, "package", state);
    if (state == LINK_REFUSED)
        try_next_key(shell, shell->package_link, &shell->package_key_no);
    if (state == LINK_CONNECTED) {
        cache_link_up(shell->cache, NULL, shell_now_ms());
        shell_arm_cache(shell);
    }
}

int shell_open_links(struct shell *shell, struct err *err)
{
    struct link_client_config relay = {
        .endpoint = shell->config->coordinator,
        .key = &shell->config->state->curve,
        .server_key = server_key(shell, shell->relay_key_no),
        .received = shell_relay_received,
        .state = relay_state,
        .context = shell,
    };
    struct link_client_config packages = relay;
    packages.endpoint = shell->config->packages;
    packages.server_key = server_key(shell, shell->package_key_no);
    packages.received = shell_package_received;
    packages.state = package_state;
    if (link_client_new(&shell->relay_link, &relay, err) != 0)
        return err_wrap(err, "--coordinator");
    if (link_client_new(&shell->package_link, &packages, err) != 0)
        return err_wrap(err, "--packages");
    return 0;
}

void shell_redial(struct shell *shell)
{
    struct err err;
    link_client_free(shell->relay_link);
    link_client_free(shell->package_link);
    shell->relay_link = shell->package_link = NULL;
    shell->connected = false;
    shell->relay_key_no = shell->package_key_no = 0;
    if (shell_open_links(shell, &err) != 0)
        shell_fail(shell, &err);
}
