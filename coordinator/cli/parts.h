/* A push counted by site and relay, fetched page by page. */
#ifndef PUSHER_CLI_PARTS_H
#define PUSHER_CLI_PARTS_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/model/message.h"
#include "coordinator/cli/session.h"

/* *parts is to be freed. Errors: as session_call; ERR_PROTOCOL when the list has no end. */
int parts_fetch(struct session *session, const struct push_id *push, struct push_part **parts,
                uint32_t *part_count, struct err *err);

#endif
