/* Counters and histograms of this process, and their Prometheus text (format 0.0.4).
 *
 * Labels are bounded: error codes, source types, outcomes, steps. Threads: any; relaxed atomics, so a
 * scrape may see one request half counted. */
#ifndef NX_STATS_METRICS_H
#define NX_STATS_METRICS_H

#include "nexus/buf.h"
#include "nexus/error.h"

enum nx_outcome {
#define NX_OUTCOME(name, text) NX_OUT_##name,
#include "stats/outcomes.def"
#undef NX_OUTCOME
	NX_OUTCOME_COUNT
};
const char *nx_outcome_name(enum nx_outcome o);
enum nx_outcome nx_outcome_of(enum nx_code code);

enum nx_stat_step { NX_STEP_AUTH, NX_STEP_VALIDATE, NX_STEP_ROUTE, NX_STEP_RUN, NX_STEP_ENCODE,
	NX_STEP_COUNT };

#define NX_METRIC_TYPES 160 /* source types at most; checked where types are counted */

void nx_metrics_request(int status, int64_t elapsed_ns);
void nx_metrics_query(uint32_t type_index, enum nx_outcome o, int64_t elapsed_ns, uint64_t rows,
		      uint64_t bytes);
void nx_metrics_step(enum nx_stat_step s, int64_t elapsed_ns);
void nx_metrics_error(enum nx_code code);
void nx_metrics_cache(bool hit);
void nx_metrics_pipelined(uint32_t statements);

/* `type_name` gives the label of a type index. */
void nx_metrics_write(struct nx_buf *out, const char *(*type_name)(uint32_t index), uint32_t ntypes);

struct nx_metrics_totals {
	uint64_t requests, queries, rows, bytes, failed, refused;
};
void nx_metrics_totals(struct nx_metrics_totals *ret);

/* Resident bytes of this process; 0 when unknown. */
uint64_t nx_process_rss(void);

#endif
