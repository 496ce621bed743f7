#include "stats/metrics.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

typedef _Atomic uint64_t counter;

#define ADD(c, n) atomic_fetch_add_explicit(&(c), (uint64_t)(n), memory_order_relaxed)
#define GET(c) atomic_load_explicit(&(c), memory_order_relaxed)

/* Upper bounds in nanoseconds. */
static const int64_t bounds[] = { 100000,    250000,	500000,	    1000000,	2500000,
				  5000000,   10000000,	25000000,   50000000,	100000000,
				  250000000, 500000000, 1000000000, 2500000000, 10000000000 };
enum { NBOUNDS = sizeof(bounds) / sizeof(bounds[0]) };

struct histogram {
	counter bucket[NBOUNDS + 1];
	counter sum_ns;
};

static struct {
	counter status[6]; /* by class: 1xx..5xx at 1..5 */
	struct histogram request;
	struct histogram query;
	struct histogram step[NX_STEP_COUNT];
	counter queries[NX_METRIC_TYPES][NX_OUTCOME_COUNT];
	counter rows, bytes, cache_hits, cache_misses, pipelined;
	counter errors[NX_CODE_COUNT];
} m;

static const char *const outcome_names[] = {
#define NX_OUTCOME(name, text) text,
#include "stats/outcomes.def"
#undef NX_OUTCOME
};

const char *nx_outcome_name(enum nx_outcome o)
{
	return outcome_names[o];
}

enum nx_outcome nx_outcome_of(enum nx_code code)
{
	if (code == NX_OK)
		return NX_OUT_SUCCESS;
	if (code == NX_E_QUERY_TIMEOUT || code == NX_E_QUEUE_TIMEOUT ||
	    code == NX_E_CONNECT_TIMEOUT)
		return NX_OUT_TIMEOUT;
	if (code == NX_E_QUERY_CANCELED || code == NX_E_CLIENT_GONE || code == NX_E_CLIENT_SLOW ||
	    code == NX_E_SHUTTING_DOWN)
		return NX_OUT_CANCELED;
	if ((code >= NX_E_EMPTY_QUERY && code <= NX_E_SQL_TOO_LONG) || code == NX_E_QUEUE_FULL ||
	    code == NX_E_OVERLOADED)
		return NX_OUT_REJECTED;
	return NX_OUT_ERROR;
}

static void observe(struct histogram *h, int64_t ns)
{
	uint32_t i = 0;
	while (i < NBOUNDS && ns > bounds[i])
		i++;
	ADD(h->bucket[i], 1);
	ADD(h->sum_ns, ns);
}

void nx_metrics_request(int status, int64_t elapsed_ns)
{
	uint32_t class = (uint32_t)status / 100;
	ADD(m.status[class < 6 ? class : 5], 1);
	observe(&m.request, elapsed_ns);
}

void nx_metrics_query(uint32_t type_index, enum nx_outcome o, int64_t elapsed_ns, uint64_t rows,
		      uint64_t bytes)
{
	ADD(m.queries[type_index < NX_METRIC_TYPES ? type_index : 0][o], 1);
	ADD(m.rows, rows);
	ADD(m.bytes, bytes);
	observe(&m.query, elapsed_ns);
}

void nx_metrics_step(enum nx_stat_step s, int64_t elapsed_ns)
{
	observe(&m.step[s], elapsed_ns);
}

void nx_metrics_error(enum nx_code code)
{
	if (code > NX_OK && code < NX_CODE_COUNT)
		ADD(m.errors[code], 1);
}

void nx_metrics_pipelined(uint32_t statements)
{
	ADD(m.pipelined, statements);
}

void nx_metrics_cache(bool hit)
{
	if (hit)
		ADD(m.cache_hits, 1);
	else
		ADD(m.cache_misses, 1);
}

uint64_t nx_process_rss(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	if (!f)
		return 0;
	unsigned long long size = 0, resident = 0;
	int n = fscanf(f, "%llu %llu", &size, &resident);
	(void)fclose(f);
	return n == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void help(struct nx_buf *b, const char *name, const char *type, const char *text)
{
	nx_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, text, name, type);
}

static void histogram(struct nx_buf *b, const char *name, const char *labels,
		      const struct histogram *h)
{
	uint64_t total = 0;
	const char *comma = *labels ? "," : "";
	for (uint32_t i = 0; i <= NBOUNDS; i++) {
		total += GET(h->bucket[i]);
		if (i < NBOUNDS)
			nx_buf_printf(b, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, labels, comma,
				      (double)bounds[i] / 1e9, (unsigned long long)total);
		else
			nx_buf_printf(b, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma,
				      (unsigned long long)total);
	}
	const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";
	nx_buf_printf(b, "%s_sum%s%s%s %.9f\n", name, open, labels, close,
		      (double)GET(h->sum_ns) / 1e9);
	nx_buf_printf(b, "%s_count%s%s%s %llu\n", name, open, labels, close,
		      (unsigned long long)total);
}

static void single(struct nx_buf *b, const char *name, const char *type, const char *text,
		   uint64_t v)
{
	help(b, name, type, text);
	nx_buf_printf(b, "%s %llu\n", name, (unsigned long long)v);
}

void nx_metrics_write(struct nx_buf *b, const char *(*type_name)(uint32_t index), uint32_t ntypes)
{
	static const char *const steps[] = { "authenticate", "validate", "route", "run", "encode" };
	help(b, "nexus_http_responses_total", "counter", "Responses by status class.");
	for (int i = 1; i < 6; i++)
		nx_buf_printf(b, "nexus_http_responses_total{class=\"%dxx\"} %llu\n", i,
			      (unsigned long long)GET(m.status[i]));
	help(b, "nexus_http_request_seconds", "histogram", "Time from request to end of response.");
	histogram(b, "nexus_http_request_seconds", "", &m.request);
	help(b, "nexus_queries_total", "counter", "Queries by source type and outcome.");
	for (uint32_t t = 0; t < ntypes && t < NX_METRIC_TYPES; t++)
		for (uint32_t o = 0; o < NX_OUTCOME_COUNT; o++) {
			uint64_t v = GET(m.queries[t][o]);
			if (v)
				nx_buf_printf(
					b, "nexus_queries_total{type=\"%s\",outcome=\"%s\"} %llu\n",
					type_name(t), outcome_names[o], (unsigned long long)v);
		}
	help(b, "nexus_query_seconds", "histogram", "Time from request to last row.");
	histogram(b, "nexus_query_seconds", "", &m.query);
	help(b, "nexus_step_seconds", "histogram", "Time spent in each step of a query.");
	for (uint32_t s = 0; s < NX_STEP_COUNT; s++) {
		char label[40];
		(void)snprintf(label, sizeof(label), "step=\"%s\"", steps[s]);
		histogram(b, "nexus_step_seconds", label, &m.step[s]);
	}
	single(b, "nexus_rows_total", "counter", "Rows sent.", GET(m.rows));
	single(b, "nexus_result_bytes_total", "counter", "Result bytes encoded.", GET(m.bytes));
	single(b, "nexus_verdict_cache_hits_total", "counter", "Statements judged from the cache.",
	       GET(m.cache_hits));
	single(b, "nexus_verdict_cache_misses_total", "counter", "Statements judged anew.",
	       GET(m.cache_misses));
	single(b, "nexus_pipelined_statements_total", "counter",
	       "Statements that shared a round trip with others.", GET(m.pipelined));
	help(b, "nexus_errors_total", "counter", "Errors by code, refusals included.");
	for (int c = 1; c < NX_CODE_COUNT; c++) {
		uint64_t v = GET(m.errors[c]);
		if (v)
			nx_buf_printf(b, "nexus_errors_total{code=\"%s\"} %llu\n",
				      nx_code_name((enum nx_code)c), (unsigned long long)v);
	}
	single(b, "process_resident_memory_bytes", "gauge", "Resident memory.", nx_process_rss());
}

void nx_metrics_totals(struct nx_metrics_totals *ret)
{
	struct nx_metrics_totals t = { .rows = GET(m.rows), .bytes = GET(m.bytes) };
	for (int i = 1; i < 6; i++)
		t.requests += GET(m.status[i]);
	for (uint32_t k = 0; k < NX_METRIC_TYPES; k++)
		for (uint32_t o = 0; o < NX_OUTCOME_COUNT; o++) {
			uint64_t v = GET(m.queries[k][o]);
			t.queries += v;
			if (o == NX_OUT_REJECTED)
				t.refused += v;
			else if (o != NX_OUT_SUCCESS)
				t.failed += v;
		}
	*ret = t;
}
