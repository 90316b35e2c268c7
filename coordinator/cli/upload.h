/* Bringing a push to the coordinator: package, targets, credentials, commit. Every step may be
 * repeated; when the coordinator was restarted in between, the upload begins anew. */
#ifndef PUSHER_CLI_UPLOAD_H
#define PUSHER_CLI_UPLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/model/job.h"
#include "common/pkg/file.h"
#include "coordinator/cli/session.h"

struct upload {
    const struct job *job;
    const struct package_file *package; /* NULL: the coordinator has it */
    char **names; /* job->target_count of them; unused with resume and retry */
    const struct buf *signed_job;
    const struct buf *sealed_credential; /* private mode; NULL: none */
    struct push_credential *credentials; /* sealed for a relay each; NULL: none */
    uint32_t credential_count;
    const char *site; /* --site; NULL: by routing */
    bool resume;
    bool retry; /* these three: as MESSAGE_PUSH_COMMIT's, and the next */
    uint32_t retry_states;
    enum reason retry_reason;
    uint32_t fail_stop_count;
};

/* Whether the coordinator knows the push already (then nothing else needs to be sent), and what it
 * knows of it. */
int upload_known(struct session *session, const struct push_id *push, bool *known,
                 struct push_summary *summary, struct err *err);
/* Errors: as session_call; ERR_INVALID when the package changes while it is read. */
int upload_push(struct session *session, const struct upload *upload, struct err *err);
/* A live relay's seal key, waiting for one to come up. Errors: ERR_UNAVAILABLE; ERR_DENIED when it
 * is not the private relay's own. */
int upload_relay_key(struct session *session, uint8_t key[LIMIT_KEY_BYTES], struct err *err);

#endif
