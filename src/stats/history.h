/* Query history: finished queries, recent ones in memory, all in the store.
 *
 * Adding never blocks on the store: records go through a bounded ring to one writer thread, once a
 * second; if the ring is full the oldest unwritten are counted as lost and said so in the log.
 * Threads: any. */
#ifndef NX_STATS_HISTORY_H
#define NX_STATS_HISTORY_H

#include "nexus/error.h"
#include "nexus/str.h"

struct nx_history;
struct nx_store;

struct nx_history_record {
	char query_id[37];
	char correlation_id[65];
	char principal[128];
	char source_id[37];
	char source_type[32];
	char status[12]; /* nx_outcome_name */
	enum nx_code code;
	int64_t started_wall;
	uint64_t owner, fingerprint, rows, bytes, elapsed_us;
};

NX_NODISCARD enum nx_code nx_history_start(struct nx_store *store, uint64_t keep,
					   struct nx_history **ret, struct nx_error *err);
void nx_history_stop(struct nx_history *h); /* writes what is left */
void nx_history_add(struct nx_history *h, const struct nx_history_record *r);
/* Of the last 1000, newest first, copied: those of one owner (0: all) and id (empty: all), `max` at most. */
uint32_t nx_history_recent(struct nx_history *h, uint64_t owner, struct nx_str id,
			   struct nx_history_record *ret, uint32_t max);

struct nx_history_stats {
	uint64_t backlog, lost; /* records not in the store yet, and those that never came there */
};
void nx_history_stats(struct nx_history *h, struct nx_history_stats *ret);

#endif
