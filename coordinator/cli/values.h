/* Values of options: durations, times, words; and what a package's task runs. Pure. */
#ifndef PUSHER_CLI_VALUES_H
#define PUSHER_CLI_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/job.h"

#define DURATION_MAX_S (366U * 86400U)

/* "90s", "10m", "2h", "1h30m", "7d": at least a second, at most DURATION_MAX_S. Errors:
 * ERR_INVALID. */
int duration_parse(const char *text, uint32_t *seconds, struct err *err);
/* RFC 3339: in UTC "2026-01-31T18:00:00Z" ("+00:00" is fine); in the target's zone the same without
 * one, read as if it were UTC. A blank for the T is fine, fractions are not. Errors: ERR_INVALID.
 */
int time_parse(const char *text, enum time_zone zone, int64_t *unix_s, struct err *err);
/* "utc" or "target". Errors: ERR_INVALID; "site" is not in this version. */
int time_zone_parse(const char *text, enum time_zone *zone, struct err *err);
/* Errors: ERR_INVALID. */
int ping_mode_parse(const char *text, enum ping_mode *mode, struct err *err);
/* Errors: ERR_INVALID. */
int run_as_parse(const char *text, enum run_as *run_as, struct err *err);
/* "0,3010,0x80070642,-1": exit codes of 32 bits, negative ones as Windows shows them; one that
 * comes again counts once. Errors: ERR_INVALID, ERR_LIMIT more than LIMIT_SUCCESS_CODES. */
int success_codes_parse(const char *text, uint32_t codes[LIMIT_SUCCESS_CODES], uint32_t *count,
                        struct err *err);

/* How many targets may fail. */
struct fail_limit {
    bool given;     /* else nobody counts */
    bool percent;   /* of all targets */
    uint32_t value; /* percent: at most 100 */
};

/* "3" or "5%". Errors: ERR_INVALID. */
int fail_limit_parse(const char *text, struct fail_limit *limit, struct err *err);
/* The number of failures that is one too many: never more than target_count + 1, which none
 * reaches. 0: no limit is given. */
uint32_t fail_limit_stop_count(const struct fail_limit *limit, uint32_t target_count);

/* The words after "--" as one Windows command line: a single word as it is, several quoted where
 * they need it, by the rules of CommandLineToArgvW. Errors: ERR_LIMIT. */
int arguments_join(char *const *words, size_t count, char to[LIMIT_ARGUMENTS_SIZE],
                   struct err *err);
/* Fills job->command and job->arguments: `command` as given, else what starts a package of this
 * kind (an installer database by msiexec, a script by its interpreter, a program by itself).
 * job->package_name is set. Errors: ERR_LIMIT; ERR_INVALID what no task can hold. */
int job_set_command(struct job *job, const char *command, const char *arguments, struct err *err);

/* The word as a POSIX shell reads it back: bare if it is plain, else in single quotes. Cut at size.
 */
void shell_quote(const char *word, char *to, size_t size);

#endif
