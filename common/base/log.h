/* Log lines of the daemons, to standard error (journald reads priorities from the "<N>" prefix when
 * asked to). Only shells log; cores and libraries return errors. Control characters in the message
 * are escaped, lines are cut at 1 KiB. Never pass a secret.
 */
#ifndef PUSHER_BASE_LOG_H
#define PUSHER_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Call once at start: the program's name, and the most talkative level to print. */
void log_setup(const char *program, enum log_level level_max);
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
