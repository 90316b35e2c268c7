/* What the words of `pusher site` share. Private to the program's commands. */
#ifndef PUSHER_CLI_SITE_H
#define PUSHER_CLI_SITE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/message.h"
#include "coordinator/cli/say.h"
#include "coordinator/cli/session.h"
#include "coordinator/cli/targets.h"

/* A command line after `pusher site VERB`. */
struct site_words {
    struct common_options common;
    struct site site; /* owned; name and what options say */
    bool subnets_given;
    bool patterns_given;
    bool default_given;
    bool rate_given;
    struct targets *targets; /* owned; of lint and which; NULL: none */
};

/* All sites, in the order of names; for sites_release. Errors: as session_call. */
int sites_fetch(struct session *session, struct message_sites *out, struct err *err);
void sites_release(struct message_sites *sites);

/* cmd_site.c: changes; site_look.c: looks. Each returns the exit status. */
int site_list(struct session *session, const struct site_words *words);
int site_lint(struct session *session, const struct site_words *words);
int site_which(struct session *session, const struct site_words *words);

#endif
