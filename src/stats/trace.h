/* Traces: spans of requests, sent to a collector by OTLP/HTTP (protobuf).
 *
 * A request that is sampled leaves one fixed-size record at its end; one thread makes spans of the records
 * and sends them in batches. Nothing ever waits for the collector: when the queue is full, records are dropped
 * and counted. docs/decisions/014-traces.md has the reasons.
 * Threads: any, but where said. */
#ifndef NX_STATS_TRACE_H
#define NX_STATS_TRACE_H

#include "nexus/error.h"
#include "nexus/str.h"
#include "stats/metrics.h"

struct nx_traces;

#define NX_TRACEPARENT_LEN 55 /* 00-<32 hex>-<16 hex>-01, without NUL */

struct nx_traces_config {
	const char *endpoint;  /* https://host:4318/v1/traces */
	const char *headers;   /* "name=value,..." for the collector; a secret */
	const char *ca_file;   /* or empty */
	const char *service;   /* service.name */
	const char *instance;  /* service.instance.id */
	bool plain;            /* http to other hosts than this one */
	bool trust_parent;     /* a traceparent says whether its request is sampled */
	uint32_t sample;       /* of the others, millionths */
	uint32_t queue;        /* records kept at most, 16..65536 */
	int64_t timeout_ms;    /* of one call */
};

/* Who a request is in a trace. Zero: it is not sampled. */
struct nx_trace {
	uint8_t id[16];
	uint8_t parent[8];     /* of the caller; zeros: none */
	uint8_t span[8];       /* of the request itself */
	uint8_t run[8];        /* of the step that asks the source: the source's parent */
	bool sampled;
};

/* What is told of a request. Pointers are literals or of tables that stay; `sql` is handed over. */
struct nx_trace_record {
	struct nx_trace trace;
	char state[257];              /* tracestate as it came; empty: none */
	int64_t wall_ns;              /* Unix time at the begin */
	int64_t mark[NX_STEP_COUNT];  /* ns from the begin; -1: the step was not come to */
	int64_t elapsed_ns;
	enum nx_code code;
	bool began;                   /* the answer had begun when it failed */
	int status;                   /* of HTTP */
	const char *method, *route, *scheme;
	enum nx_door door;
	const char *system;           /* db.system.name; NULL: no source was asked for */
	char source[64], space[64];   /* its name; db.namespace */
	char summary[160];            /* db.query.summary */
	char *sql;                    /* db.query.text; malloc'd, NULL: not told */
	char query_id[37], correlation[65], sqlstate[6];
	uint64_t rows, bytes;
	uint32_t train_at, train_n;   /* which of how many in a train; n 0: alone */
	uint8_t link_id[16], link_span[8]; /* the request that opened the cursor; zeros: none */
};

/* Headers of W3C Trace Context. False: not valid, *ret untouched. */
NX_NODISCARD bool nx_traceparent_parse(struct nx_str s, uint8_t ret_id[16], uint8_t ret_parent[8],
				       bool *ret_sampled);
void nx_traceparent_text(const uint8_t id[16], const uint8_t span[8], char ret[NX_TRACEPARENT_LEN + 1]);

/* CONFIG for an endpoint or headers that are wrong. nx_outbound_init must have been called. */
NX_NODISCARD enum nx_code nx_traces_open(const struct nx_traces_config *c, struct nx_traces **ret,
					 struct nx_error *err);
/* Would open take it? Starts nothing. */
NX_NODISCARD enum nx_code nx_traces_check(const struct nx_traces_config *c, struct nx_error *err);
/* Sends what is left, once and within the timeout. NULL is fine. */
void nx_traces_close(struct nx_traces *t);

/* Decides and makes ids. `parent` is the traceparent header, ptr NULL: none. */
void nx_trace_begin(const struct nx_traces *t, struct nx_str parent, struct nx_trace *ret);
/* Copies the record; never waits. */
void nx_trace_add(struct nx_traces *t, const struct nx_trace_record *r);

struct nx_traces_stats {
	uint64_t sent, dropped, failed; /* requests: delivered, no room, given up */
	uint64_t backlog;
};
void nx_traces_stats(struct nx_traces *t, struct nx_traces_stats *ret);

#endif
