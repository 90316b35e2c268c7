/* Enrolling a relay. */
#include "relay/enroll.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/utf16.h"
#include "common/net/link.h"
#include "common/signed/objects.h"
#include "common/wire/wire.h"
#include "relay/enrolment.h"

#define ASK_AGAIN_MS 3000U
#define REFUSALS_MAX 2U        /* the first may be a connection that broke at the wrong moment */
#define CLOSING_TURNS_MAX 1000 /* of the loop, until every handle is closed */

struct enroller {
    const struct enroll_options *options;
    uv_loop_t loop;
    uv_timer_t deadline, again;
    struct link_client *link;
    struct relay_state state; /* keys; `folder` NULL until they are kept */
    struct enrolment enrolment;
    struct buf newest; /* the policy's signed bytes */
    uint32_t refusals;
    bool connected;
    bool over;
    bool failed;
    struct err failure;
};

/* ---- arguments ---- */

static int check_name(const char *name, struct err *err)
{
    if (name[0] == '\0' || strlen(name) >= LIMIT_SITE_NAME_SIZE || !utf8_valid(name))
        return err_set(err, ERR_INVALID, "--name must have 1 to %d bytes of UTF-8",
                       LIMIT_SITE_NAME_SIZE - 1);
    for (const char *at = name; *at; at++) {
        if ((unsigned char)*at <= 0x20 || *at == 0x7f || *at == '/')
            return err_set(err, ERR_INVALID, "--name: no spaces, control characters or slashes");
    }
    return 0;
}

static int check_endpoint(const char *option, const char *endpoint, struct err *err)
{
    const char *colon = strrchr(endpoint, ':');
    uint64_t port = 0;
    char shown[LIMIT_ENDPOINT_SIZE];
    if (strlen(endpoint) < LIMIT_ENDPOINT_SIZE && utf8_valid(endpoint)) {
        if (strncmp(endpoint, "ipc:///", 7) == 0)
            return 0;
        if (strncmp(endpoint, "tcp://", 6) == 0 && colon > endpoint + 6 &&
            text_to_u64(colon + 1, 65535, &port) == 0 && port > 0)
            return 0;
    }
    return err_set(err, ERR_INVALID, "%s: '%s' is not tcp://HOST:PORT", option,
                   text_printable(shown, sizeof shown, endpoint));
}

/* The coordinator's host with the port that it told. */
static int package_endpoint(struct enroller *enroller, uint16_t port, struct err *err)
{
    const struct enroll_options *options = enroller->options;
    char *to = enroller->enrolment.packages;
    if (options->packages) {
        (void)text_copy(to, LIMIT_ENDPOINT_SIZE, options->packages);
        return 0;
    }
    const char *colon = strrchr(options->coordinator, ':');
    if (port == 0 || strncmp(options->coordinator, "tcp://", 6) != 0)
        return err_set(err, ERR_INVALID,
                       "the coordinator tells no port for packages: give --packages ENDPOINT");
    (void)snprintf(to, LIMIT_ENDPOINT_SIZE, "%.*s:%u", (int)(colon - options->coordinator),
                   options->coordinator, port);
    return 0;
}

/* ---- the conversation ---- */

static void finish(struct enroller *enroller, const struct err *why)
{
    if (enroller->over)
        return;
    enroller->over = true;
    enroller->failed = why != NULL;
    if (why)
        enroller->failure = *why;
    uv_stop(&enroller->loop);
}

static void say_enroll(struct enroller *enroller)
{
    struct message message = {.kind = MESSAGE_ENROLL};
    struct buf bytes;
    struct err err;
    (void)text_copy(message.enroll.relay_name, sizeof message.enroll.relay_name,
                    enroller->options->name);
    memcpy(message.enroll.curve_key, enroller->state.curve.public_key, LIMIT_KEY_BYTES);
    memcpy(message.enroll.seal_key, enroller->state.seal.public_key, LIMIT_KEY_BYTES);
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    if (wire_encode(&message, &bytes, &err) != 0)
        finish(enroller, &err);
    else
        (void)link_client_send(enroller->link, bytes.data, bytes.size, NULL); /* said again soon */
    buf_release(&bytes);
}

static void ask_again(uv_timer_t *timer)
{
    struct enroller *enroller = timer->data;
    if (enroller->connected)
        say_enroll(enroller);
}

static void on_object(struct enroller *enroller, const struct message_object *object)
{
    struct policy *newest = &enroller->enrolment.policy;
    struct policy policy;
    struct err err;
    uint8_t signer[LIMIT_KEY_BYTES];
    int failed = policy_look(object->bytes, object->size, &policy, signer, &err);
    uint64_t version = failed ? 0 : policy.version;
    if (!failed)
        policy_release(&policy);
    if (!failed && version <= newest->version)
        return; /* it answers an ENROLL that was said again */
    if (!failed)
        failed = policy_follow(newest, object->bytes, object->size, &err);
    if (!failed)
        failed = token_check_policy(enroller->options->token, newest, signer, &err);
    if (failed) {
        (void)err_wrap(&err, "the coordinator's policies are not to be trusted");
        finish(enroller, &err);
        return;
    }
    buf_reset(&enroller->newest);
    buf_bytes(&enroller->newest, object->bytes, object->size);
}

static int check_enrolled(struct enroller *enroller, const struct message_enrolled *enrolled,
                          struct err *err)
{
    const struct token *token = enroller->options->token;
    const struct policy *newest = &enroller->enrolment.policy;
    if (newest->version < token->policy_version)
        return err_set(err, ERR_DENIED,
                       "the coordinator's policies are not to be trusted: it sent them up to "
                       "version %llu, the token was made under %llu",
                       (unsigned long long)newest->version,
                       (unsigned long long)token->policy_version);
    if (!policy_has_coordinator(newest, token->coordinator_key))
        return err_set(err, ERR_DENIED,
                       "policy version %llu names other coordinators than the one that answers",
                       (unsigned long long)newest->version);
    (void)text_copy(enroller->enrolment.site, sizeof enroller->enrolment.site, enrolled->site);
    return package_endpoint(enroller, enrolled->package_port, err);
}

static void take_message(struct enroller *enroller, const struct message *message)
{
    struct err err;
    char text[LIMIT_DETAIL_SIZE];
    if (message->kind == MESSAGE_OBJECT) {
        on_object(enroller, &message->object);
    } else if (message->kind == MESSAGE_ENROLLED) {
        int failed = check_enrolled(enroller, &message->enrolled, &err);
        finish(enroller, failed ? &err : NULL);
    } else if (message->kind == MESSAGE_FAIL) {
        (void)err_set(&err, message->fail.code, "the coordinator refuses: %s",
                      text_printable(text, sizeof text, message->fail.text));
        finish(enroller, &err);
    }
}

static void on_received(void *context, const uint8_t *bytes, size_t size)
{
    struct enroller *enroller = context;
    struct message message;
    if (enroller->over || wire_decode(bytes, size, &message, NULL) != 0)
        return;
    take_message(enroller, &message);
    message_release(&message);
}

static void on_state(void *context, enum link_state state)
{
    struct enroller *enroller = context;
    struct err err;
    enroller->connected = state == LINK_CONNECTED;
    switch (state) {
    case LINK_CONNECTED:
        say_enroll(enroller);
        (void)uv_timer_start(&enroller->again, ask_again, ASK_AGAIN_MS, ASK_AGAIN_MS);
        break;
    case LINK_DISCONNECTED:
        break;
    case LINK_REFUSED:
        if (++enroller->refusals < REFUSALS_MAX)
            break;
        (void)err_set(&err, ERR_DENIED,
                      "%s refuses this token: it was used already or is older than 15 minutes, or "
                      "another coordinator than the token's answers there; make a new one: pusher "
                      "relay token SITE",
                      enroller->options->coordinator);
        finish(enroller, &err);
        break;
    }
}

static void on_deadline(uv_timer_t *timer)
{
    struct enroller *enroller = timer->data;
    const struct enroll_options *options = enroller->options;
    struct err err;
    if (enroller->connected)
        (void)err_set(&err, ERR_TIMEOUT,
                      "%s lets us in and does not answer in %u s: see the coordinator's log; the "
                      "token may be used up, then make a new one",
                      options->coordinator, options->timeout_s);
    else
        (void)err_set(&err, ERR_TIMEOUT,
                      "no coordinator answers at %s in %u s: check the address, that it runs, and "
                      "the firewalls between",
                      options->coordinator, options->timeout_s);
    finish(enroller, &err);
}

static int talk(struct enroller *enroller, struct err *err)
{
    const struct enroll_options *options = enroller->options;
    struct link_client_config config = {
        .endpoint = options->coordinator,
        .key = &options->token->curve,
        .server_key = options->token->coordinator_key,
        .received = on_received,
        .state = on_state,
        .context = enroller,
    };
    if (uv_loop_init(&enroller->loop) != 0)
        return err_set(err, ERR_IO, "cannot make an event loop");
    (void)uv_timer_init(&enroller->loop, &enroller->deadline);
    (void)uv_timer_init(&enroller->loop, &enroller->again);
    enroller->deadline.data = enroller->again.data = enroller;
    (void)uv_timer_start(&enroller->deadline, on_deadline, options->timeout_s * 1000ULL, 0);
    int failed = net_start(&enroller->loop, err);
    if (!failed) {
        failed = link_client_new(&enroller->link, &config, err);
        if (!failed)
            (void)uv_run(&enroller->loop, UV_RUN_DEFAULT);
        link_client_free(enroller->link);
        net_stop();
    }
    uv_close((uv_handle_t *)&enroller->deadline, NULL);
    uv_close((uv_handle_t *)&enroller->again, NULL);
    for (int i = 0; i < CLOSING_TURNS_MAX && uv_run(&enroller->loop, UV_RUN_NOWAIT) != 0; i++)
        continue;
    (void)uv_loop_close(&enroller->loop);
    if (!failed && enroller->failed) {
        if (err)
            *err = enroller->failure;
        failed = -1;
    }
    return failed;
}

/* ---- before and after ---- */

static int keep(struct enroller *enroller, struct err *err)
{
    const struct enroll_options *options = enroller->options;
    if (options->again && (enrolment_clear(options->state, err) != 0 ||
                           relay_state_replace(options->state, &enroller->state.curve,
                                               &enroller->state.seal, err) != 0))
        return -1;
    return enrolment_save(&enroller->enrolment, options->state, enroller->newest.data,
                          enroller->newest.size, err);
}

static void tell(const struct enroller *enroller)
{
    const struct enrolment *enrolment = &enroller->enrolment;
    char fingerprint[FINGERPRINT_TEXT_SIZE];
    enrolment_fingerprint(enrolment, &enroller->state, fingerprint);
    (void)printf("Enrolled as %s at site %s, under policy version %llu.\n"
                 "Fingerprint: %s\n\n"
                 "On the admin host: pusher relay approve %s\n"
                 "    It shows a fingerprint. Approve only if it is the one above.\n",
                 enrolment->name, enrolment->site, (unsigned long long)enrolment->policy.version,
                 fingerprint, enrolment->name);
    if (enroller->options->again)
        (void)printf("    This relay has new keys: revoke the one that it was before.\n");
    (void)printf("Here: pusher-relay run --state %s\n", enroller->options->state);
}

/* Keys and lock. Without --again the keys are kept before anybody is told of them. */
static int prepare(struct enroller *enroller, int *lock_fd, struct err *err)
{
    const struct enroll_options *options = enroller->options;
    if (check_name(options->name, err) != 0 ||
        check_endpoint("--coordinator", options->coordinator, err) != 0 ||
        (options->packages && check_endpoint("--packages", options->packages, err) != 0))
        return -1;
    bool enrolled = enrolment_exists(options->state);
    if (enrolled && !options->again)
        return err_set(err, ERR_EXISTS,
                       "%s is enrolled already (pusher-relay status --state %s); --again enrols it "
                       "anew, with new keys",
                       options->state, options->state);
    if (relay_state_init(options->state, err) != 0 ||
        relay_state_lock(options->state, lock_fd, err) != 0)
        return -1;
    if (!options->again)
        return relay_state_load(&enroller->state, options->state, err);
    key_pair_generate(&enroller->state.curve, KEY_CURVE);
    key_pair_generate(&enroller->state.seal, KEY_SEAL);
    return 0;
}

int enroll_run(const struct enroll_options *options, struct err *err)
{
    struct enroller *enroller = mem_new(1, sizeof *enroller);
    int lock_fd = -1;
    enroller->options = options;
    buf_init(&enroller->newest, OBJECT_BYTES_MAX);
    (void)text_copy(enroller->enrolment.name, sizeof enroller->enrolment.name, options->name);
    (void)text_copy(enroller->enrolment.coordinator, sizeof enroller->enrolment.coordinator,
                    options->coordinator);
    int failed = prepare(enroller, &lock_fd, err);
    if (!failed)
        failed = talk(enroller, err);
    if (!failed)
        failed = keep(enroller, err);
    if (!failed)
        tell(enroller);
    relay_state_unlock(lock_fd);
    buf_release(&enroller->newest);
    enrolment_release(&enroller->enrolment);
    relay_state_release(&enroller->state);
    free(enroller);
    return failed;
}

static void print_time(const char *before, int64_t unix_s)
{
    char text[32] = "?";
    struct tm tm;
    time_t at = (time_t)unix_s;
    if (gmtime_r(&at, &tm))
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    (void)printf("%s%s", before, text);
}

int enroll_status(const char *folder, struct err *err)
{
    struct relay_state state;
    struct enrolment enrolment;
    char fingerprint[FINGERPRINT_TEXT_SIZE];
    if (relay_state_load(&state, folder, err) != 0)
        return -1;
    if (enrolment_load(&enrolment, &state, err) != 0) {
        relay_state_release(&state);
        return -1;
    }
    const struct certificate *certificate = &enrolment.certificate;
    const char *flaw = certificate_flaw(certificate, &enrolment.policy, (int64_t)time(NULL));
    enrolment_fingerprint(&enrolment, &state, fingerprint);
    (void)printf("name         %s\nsite         %s\nfingerprint  %s\ncoordinator  %s\n"
                 "packages     %s\npolicy       version %llu\ncertificate  ",
                 enrolment.name, enrolment.site, fingerprint, enrolment.coordinator,
                 enrolment.packages, (unsigned long long)enrolment.policy.version);
    if (certificate->serial != 0) {
        (void)printf("%llu, ", (unsigned long long)certificate->serial);
        print_time("from ", certificate->not_before_unix_s);
        print_time(" until ", certificate->not_after_unix_s);
        (void)printf("%s", flaw ? "; " : "");
    }
    (void)printf("%s\n", flaw ? flaw : "");
    for (uint32_t i = 0; i < certificate->subnet_count; i++) {
        char text[SUBNET_TEXT_SIZE];
        subnet_text(&certificate->subnets[i], text);
        (void)printf("subnet       %s\n", text);
    }
    enrolment_release(&enrolment);
    relay_state_release(&state);
    return 0;
}
