/* The pool of one push: what -t and --exclude stand for, in the operator's order, each once.
 *
 * Used by push. Pure: files and standard input come in as text (see target_file.h). Include
 * everything, exclude everything, then call targets_settle once; only then are count and names
 * final. Names keep the operator's spelling; two spellings that differ in case are one target.
 * Network and broadcast addresses of IPv4 CIDRs wider than /31 are left out and counted.
 */
#ifndef PUSHER_CLI_TARGETS_H
#define PUSHER_CLI_TARGETS_H

#include <stdint.h>

#include "common/base/err.h"

struct targets;

/* What happened on the way, for the line that the user sees before anything is done. */
struct targets_notes {
    uint32_t duplicates;       /* items that were there already */
    uint32_t excluded;         /* targets an --exclude took out */
    uint32_t network_skipped;  /* network and broadcast addresses left out */
    const char *exclude_unmet; /* first --exclude that fitted no target, or NULL; borrowed */
    uint32_t exclude_unmets;   /* how many of those */
};

struct targets *targets_new(void);
void targets_free(struct targets *targets);

/* Adds what one item stands for. Errors: ERR_INVALID syntax; ERR_LIMIT more than
 * LIMIT_CIDR_TARGETS_MAX addresses in it or LIMIT_TARGETS_MAX targets in all. */
int targets_include(struct targets *targets, const char *item, struct err *err);
/* Remembers an item to take out; any width. Errors: ERR_INVALID. */
int targets_exclude(struct targets *targets, const char *item, struct err *err);
/* Takes the excluded out. */
void targets_settle(struct targets *targets);

uint32_t targets_count(const struct targets *targets);
/* The names, in order; owned by the pool, valid until targets_free. */
char **targets_names(struct targets *targets);
struct targets_notes targets_notes(const struct targets *targets);

#endif
