/* Carrying a prepared push out, from the first daemon to the report: for every command that makes
 * one. */
#ifndef PUSHER_CLI_PUSH_RUN_H
#define PUSHER_CLI_PUSH_RUN_H

#include "coordinator/cli/push_prepare.h"
#include "coordinator/cli/session.h"

/* Finds the coordinator (in private mode: starts the daemons), signs, hands over, shows progress
 * until every row has ended, reports. Errors are said. Returns the exit status. */
int push_run(struct push *push);
/* The same over a session that is open. */
int push_run_in(struct session *session, struct push *push);

#endif
