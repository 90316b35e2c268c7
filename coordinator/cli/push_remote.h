/* Handing a push to a configured coordinator: sign with the operator's key, seal for relays. */
#ifndef PUSHER_CLI_PUSH_REMOTE_H
#define PUSHER_CLI_PUSH_REMOTE_H

#include "coordinator/cli/push_prepare.h"
#include "coordinator/cli/session.h"

/* Says how many targets each site gets, when there are several sites and it is cheap to know.
 * Returns PUSH_GO_ON or the exit status. */
int remote_say_sites(const struct push *push);
/* options.package names a package at the coordinator: sets push->package (without has_package) and
 * the job's digest, and says the digest, as that is what gets signed. Returns PUSH_GO_ON or the
 * exit status, having said why. */
int remote_find_package(struct push *push);
/* Signs push->job, seals the account (or finds the sites' stored ones), uploads and commits. With
 * options.resume the job is signed again; with `retry` set it is the next generation. push->shares
 * says for which sites when it is known already. Errors: as session_call and sites.h. */
int remote_hand_over(struct session *session, struct push *push, struct err *err);
/* options.resume: push->job from the coordinator, push->shares from the rows that are not over. */
int remote_recall(struct session *session, struct push *push, const struct push_id *id,
                  struct err *err);

#endif
