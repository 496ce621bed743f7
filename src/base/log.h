/* JSON log lines to standard error or a file, one write() each.
 *
 * Secrets never go in: nx_log takes no values of type SECRET, and drivers log nothing themselves.
 * A line that is the same as others shortly before is held back after the twentieth within ten seconds,
 * and later told as "said N times more"; lines of nx_log_fields() never are. Threads: any. */
#ifndef NX_BASE_LOG_H
#define NX_BASE_LOG_H

#include "nexus/attr.h"
#include "nexus/error.h"
#include "nexus/str.h"

enum nx_log_level { NX_LOG_DEBUG, NX_LOG_INFO, NX_LOG_WARN, NX_LOG_ERROR };
#define NX_LOG_LEVELS 4
const char *nx_log_level_name(enum nx_log_level l);

void nx_log_setup(enum nx_log_level min, int fd /* -1: as before */, bool pretty);
/* From now on into this file, which is only added to; empty: standard error. CONFIG when it cannot be
 * opened: then the log stays where it was. */
NX_NODISCARD enum nx_code nx_log_open(const char *path, struct nx_error *err);
/* Opens the file of nx_log_open again, after it was moved away. */
NX_NODISCARD enum nx_code nx_log_reopen(struct nx_error *err);

/* Every line of this thread carries the id until it is set to NULL. It is not copied. */
void nx_log_scope(const char *correlation_id);

/* `event` is a short stable word, a literal ("listen", "query"); the rest is the message. */
void nx_log(enum nx_log_level level, const char *event, const char *fmt, ...) NX_PRINTF(3, 4);
/* An error value with its detail, once, where it is handled. `correlation_id` NULL: the thread's. */
void nx_log_error(enum nx_log_level level, const char *event, const char *correlation_id,
		  const struct nx_error *err);
/* `fields` are members of the line's JSON object, each with a comma before it: ,"rows":3 */
void nx_log_fields(enum nx_log_level level, const char *event, struct nx_str message,
		   struct nx_str fields);
bool nx_log_wants(enum nx_log_level level);

/* Once a second: tells of lines that were held back. */
void nx_log_tick(void);

struct nx_log_stats {
	uint64_t lines[NX_LOG_LEVELS], suppressed;
};
void nx_log_stats(struct nx_log_stats *ret);

#endif
