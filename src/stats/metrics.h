/* Counters and histograms of this process, and their Prometheus text (format 0.0.4).
 *
 * metrics.def is the list. What happens often is counted here, in shards that threads share little:
 * some ten nanoseconds a request, no lock. The rest is read from its owner when somebody asks
 * (src/gate/api/metrics.c). Labels are bounded: routes, source types, outcomes, codes, steps.
 * Threads: any; relaxed atomics, so a scrape may see one request half counted. */
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

enum nx_step {
#define NX_STEP(name, text, what) NX_STEP_##name,
#include "stats/steps.def"
#undef NX_STEP
	NX_STEP_COUNT
};
const char *nx_step_name(enum nx_step s);

enum nx_door {
#define NX_DOOR(name, text) NX_DOOR_##name,
#include "stats/doors.def"
#undef NX_DOOR
	NX_DOOR_COUNT
};
const char *nx_door_name(enum nx_door d);

/* At most; indexes beyond are counted as the last one. */
#define NX_METRIC_TYPES 160
#define NX_METRIC_ROUTES 128
#define NX_METRIC_DIALECTS 32

/* ---- counting ---- */

/* `route` is an index of the caller's; NX_METRIC_ROUTES - 1 is "none". */
void nx_metrics_request(uint32_t route, int status, int64_t elapsed_ns);
void nx_metrics_query(enum nx_door d, uint32_t type_index, enum nx_outcome o, int64_t elapsed_ns,
		      uint64_t rows, uint64_t bytes);
void nx_metrics_step(enum nx_step s, int64_t elapsed_ns);
void nx_metrics_error(enum nx_code code);
/* A refusal of the read-only gate. */
void nx_metrics_refusal(enum nx_code code, uint32_t dialect);
void nx_metrics_cache(bool hit);
void nx_metrics_train(uint32_t statements);
void nx_metrics_slow(void);

/* ---- telling ---- */

enum nx_metric {
#define NX_METRIC(id, name, kind, labels, help) NX_M_##id,
#include "stats/metrics.def"
#undef NX_METRIC
	NX_METRIC_COUNT
};

/* One page of metrics: HELP and TYPE go before the first series of each. All series of a metric are put
 * one after the other. */
struct nx_page {
	struct nx_buf *b;
	int last; /* the metric put last, -1 at first */
};
/* `labels` has a value for each of the metric's label names; NULL for none. */
void nx_page_put(struct nx_page *p, enum nx_metric m, const struct nx_str *labels, uint64_t v);
void nx_page_put_seconds(struct nx_page *p, enum nx_metric m, int64_t ns);

/* How indexes are called; an index beyond what there is: NULL. */
struct nx_metric_names {
	const char *(*type)(uint32_t i);
	const char *(*route)(uint32_t i);
	const char *(*dialect)(uint32_t i);
};
/* What is counted here. */
void nx_metrics_write(struct nx_page *p, const struct nx_metric_names *names);

struct nx_metrics_totals {
	uint64_t requests, queries, rows, bytes, failed, refused;
};
void nx_metrics_totals(struct nx_metrics_totals *ret);

/* ---- the process ---- */

struct nx_process_stats {
	uint64_t resident, virtual, fds, fds_max, threads; /* 0 when unknown */
	int64_t cpu_ns, started_ns; /* started: Unix time */
};
void nx_process_stats(struct nx_process_stats *ret);
uint64_t nx_process_rss(void); /* resident bytes; 0 when unknown */

#endif
