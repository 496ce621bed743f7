/* JSON log lines to standard error (or a file), one write() each.
 *
 * Secrets never go in: nx_log takes no values of type SECRET, and drivers log nothing themselves.
 * Threads: any. */
#ifndef NX_BASE_LOG_H
#define NX_BASE_LOG_H

#include "nexus/attr.h"
#include "nexus/error.h"

enum nx_log_level { NX_LOG_DEBUG, NX_LOG_INFO, NX_LOG_WARN, NX_LOG_ERROR };

void nx_log_setup(enum nx_log_level min, int fd /* -1: standard error */, bool pretty);
/* `event` is a short stable word ("listen", "query"); the rest is the message. */
void nx_log(enum nx_log_level level, const char *event, const char *fmt, ...) NX_PRINTF(3, 4);
/* An error value with its detail, once, where it is handled. */
void nx_log_error(enum nx_log_level level, const char *event, const char *correlation_id,
		  const struct nx_error *err);

#endif
