/* The signed job of a push, for an operator who signs it again. */
#include "coordinator/coordinator.h"

void control_job_get(struct coordinator *c, const struct link_peer *peer,
                     const struct message *message)
{
    struct message answer = {.kind = MESSAGE_JOB, .request = message->request};
    struct buf job;
    struct err err = {0};
    uint64_t key = 0;
    buf_init(&job, LIMIT_MESSAGE_BYTES_MAX);
    if (store_find(c->store, &message->job_get, &key, &err) != 0 ||
        store_push_blobs(c->store, key, &job, NULL, &err) != 0) {
        control_fail(c, peer, message->request, &err);
    } else {
        answer.job.signed_job = job.data; /* borrowed: the answer is encoded at once */
        answer.job.signed_job_size = job.size;
        shell_send(c, c->control_link, peer, &answer);
    }
    buf_release(&job);
}
