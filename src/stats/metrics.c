#include "stats/metrics.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Counters stand in shards, and a thread keeps to one: an addition then finds its cache line at home.
 * More threads than shards share, hence the atomics.
 *
 * The histograms of queries are many (doors x types x outcomes) and few of them are ever used: each is
 * made when it is first needed and stays. */

typedef _Atomic uint64_t counter;

#define ADD(c, n) atomic_fetch_add_explicit(&(c), (uint64_t)(n), memory_order_relaxed)
#define GET(c) atomic_load_explicit(&(c), memory_order_relaxed)

enum { SHARDS = 16, CLASSES = 6 /* of a status: 1..5 */ };

/* Upper bounds in nanoseconds. */
static const int64_t bounds[] = { 100000,      250000,	    500000,	1000000,    2500000,
				  5000000,     10000000,    25000000,	50000000,   100000000,
				  250000000,   500000000,   1000000000, 2500000000, 5000000000,
				  10000000000, 30000000000, 60000000000 };
enum { NBOUNDS = sizeof(bounds) / sizeof(bounds[0]) };

struct histogram {
	counter bucket[NBOUNDS + 1];
	counter sum_ns;
};

struct shard {
	_Alignas(64) struct histogram step[NX_STEP_COUNT];
	counter rows[NX_METRIC_TYPES], bytes[NX_METRIC_TYPES];
	counter errors[NX_CODE_COUNT];
	counter refusals[NX_METRIC_DIALECTS][NX_CODE_COUNT];
	counter cache_hits, cache_misses, trains, pipelined, slow;
	counter status[NX_METRIC_ROUTES][CLASSES];
	struct histogram route[NX_METRIC_ROUTES];
};

struct spread { /* a histogram with shards of its own */
	struct {
		_Alignas(64) struct histogram h;
	} shard[SHARDS];
};

static struct shard shards[SHARDS];
static _Atomic(struct spread *) queries[NX_DOOR_COUNT][NX_METRIC_TYPES][NX_OUTCOME_COUNT];

static uint32_t home(void)
{
	static _Atomic uint32_t next;
	static _Thread_local uint32_t mine; /* + 1; 0: none yet */
	if (!mine)
		mine = 1 + atomic_fetch_add(&next, 1) % SHARDS;
	return mine - 1;
}

static const char *const outcome_names[] = {
#define NX_OUTCOME(name, text) text,
#include "stats/outcomes.def"
#undef NX_OUTCOME
};

const char *nx_outcome_name(enum nx_outcome o)
{
	return outcome_names[o];
}

const char *nx_step_name(enum nx_step s)
{
	static const char *const names[] = {
#define NX_STEP(name, text, what) text,
#include "stats/steps.def"
#undef NX_STEP
	};
	return names[s];
}

const char *nx_door_name(enum nx_door d)
{
	static const char *const names[] = {
#define NX_DOOR(name, text) text,
#include "stats/doors.def"
#undef NX_DOOR
	};
	return names[d];
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

/* ---- counting ---- */

static void observe(struct histogram *h, int64_t ns)
{
	uint32_t i = 0;
	while (i < NBOUNDS && ns > bounds[i])
		i++;
	ADD(h->bucket[i], 1);
	ADD(h->sum_ns, ns > 0 ? ns : 0);
}

static uint32_t at_most(uint32_t i, uint32_t n)
{
	return i < n ? i : n - 1;
}

void nx_metrics_request(uint32_t route, int status, int64_t elapsed_ns)
{
	struct shard *s = &shards[home()];
	uint32_t class = (uint32_t)status / 100;
	route = at_most(route, NX_METRIC_ROUTES);
	ADD(s->status[route][class >= 1 && class < CLASSES ? class : 5], 1);
	observe(&s->route[route], elapsed_ns);
}

static struct spread *spread_of(_Atomic(struct spread *) *at)
{
	struct spread *s = atomic_load_explicit(at, memory_order_acquire);
	if (s)
		return s;
	struct spread *fresh = aligned_alloc(64, sizeof(*fresh));
	if (!fresh)
		return NULL; /* not counted: better than a request that fails */
	memset(fresh, 0, sizeof(*fresh));
	if (atomic_compare_exchange_strong(at, &s, fresh))
		return fresh;
	free(fresh);
	return s;
}

void nx_metrics_query(enum nx_door d, uint32_t type_index, enum nx_outcome o, int64_t elapsed_ns,
		      uint64_t rows, uint64_t bytes)
{
	uint32_t at = home(), t = at_most(type_index, NX_METRIC_TYPES);
	struct spread *q = spread_of(&queries[d][t][o]);
	if (q)
		observe(&q->shard[at].h, elapsed_ns);
	if (rows)
		ADD(shards[at].rows[t], rows);
	if (bytes)
		ADD(shards[at].bytes[t], bytes);
}

void nx_metrics_step(enum nx_step s, int64_t elapsed_ns)
{
	observe(&shards[home()].step[s], elapsed_ns);
}

void nx_metrics_error(enum nx_code code)
{
	if (code > NX_OK && code < NX_CODE_COUNT)
		ADD(shards[home()].errors[code], 1);
}

void nx_metrics_refusal(enum nx_code code, uint32_t dialect)
{
	if (code > NX_OK && code < NX_CODE_COUNT)
		ADD(shards[home()].refusals[at_most(dialect, NX_METRIC_DIALECTS)][code], 1);
}

void nx_metrics_train(uint32_t statements)
{
	struct shard *s = &shards[home()];
	ADD(s->trains, 1);
	ADD(s->pipelined, statements);
}

void nx_metrics_cache(bool hit)
{
	struct shard *s = &shards[home()];
	if (hit)
		ADD(s->cache_hits, 1);
	else
		ADD(s->cache_misses, 1);
}

void nx_metrics_slow(void)
{
	ADD(shards[home()].slow, 1);
}

/* ---- telling ---- */

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const struct {
	const char *name, *labels, *help;
	enum kind kind;
} table[] = {
#define NX_METRIC(id, name, kind, labels, help) { name, labels, help, kind },
#include "stats/metrics.def"
#undef NX_METRIC
};

static void head(struct nx_page *p, enum nx_metric m)
{
	static const char *const kinds[] = { "counter", "gauge", "histogram" };
	if (p->last == (int)m)
		return;
	p->last = (int)m;
	nx_buf_printf(p->b, "# HELP %s %s\n# TYPE %s %s\n", table[m].name, table[m].help,
		      table[m].name, kinds[table[m].kind]);
}

/* Names come from users: backslash, quote and newline are escaped as the text format wants. */
static void put_value(struct nx_buf *b, struct nx_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		if (c == '\\' || c == '"')
			nx_buf_putc(b, '\\');
		if (c == '\n')
			nx_buf_puts(b, "\\n");
		else
			nx_buf_putc(b, c);
	}
}

/* {a="x",b="y"; the bracket is left open. False: no labels, nothing was put. */
static bool put_labels(struct nx_buf *b, enum nx_metric m, const struct nx_str *labels)
{
	const char *name = table[m].labels;
	if (!*name)
		return false;
	for (uint32_t i = 0; *name; i++) {
		size_t n = strcspn(name, " ");
		nx_buf_putc(b, i ? ',' : '{');
		nx_buf_put(b, name, n);
		nx_buf_puts(b, "=\"");
		put_value(b, labels[i]);
		nx_buf_putc(b, '"');
		name += n + (name[n] ? 1 : 0);
	}
	return true;
}

void nx_page_put(struct nx_page *p, enum nx_metric m, const struct nx_str *labels, uint64_t v)
{
	head(p, m);
	nx_buf_puts(p->b, table[m].name);
	nx_buf_puts(p->b, put_labels(p->b, m, labels) ? "} " : " ");
	nx_buf_put_u64(p->b, v);
	nx_buf_putc(p->b, '\n');
}

void nx_page_put_seconds(struct nx_page *p, enum nx_metric m, int64_t ns)
{
	head(p, m);
	nx_buf_printf(p->b, "%s %lld.%09lld\n", table[m].name, (long long)(ns / 1000000000),
		      (long long)(ns % 1000000000));
}

static void add(struct histogram *sum, const struct histogram *h)
{
	for (uint32_t i = 0; i <= NBOUNDS; i++)
		ADD(sum->bucket[i], GET(h->bucket[i]));
	ADD(sum->sum_ns, GET(h->sum_ns));
}

static uint64_t count_of(const struct histogram *h)
{
	uint64_t n = 0;
	for (uint32_t i = 0; i <= NBOUNDS; i++)
		n += GET(h->bucket[i]);
	return n;
}

static void put_histogram(struct nx_page *p, enum nx_metric m, const struct nx_str *labels,
			  const struct histogram *h)
{
	head(p, m);
	uint64_t total = 0;
	struct nx_buf *b = p->b;
	for (uint32_t i = 0; i <= NBOUNDS; i++) {
		total += GET(h->bucket[i]);
		nx_buf_printf(b, "%s_bucket", table[m].name);
		nx_buf_puts(b, put_labels(b, m, labels) ? ",le=\"" : "{le=\"");
		if (i < NBOUNDS)
			nx_buf_printf(b, "%g", (double)bounds[i] / 1e9);
		else
			nx_buf_puts(b, "+Inf");
		nx_buf_printf(b, "\"} %llu\n", (unsigned long long)total);
	}
	nx_buf_printf(b, "%s_sum", table[m].name);
	nx_buf_puts(b, put_labels(b, m, labels) ? "} " : " ");
	nx_buf_printf(b, "%.9f\n%s_count", (double)GET(h->sum_ns) / 1e9, table[m].name);
	nx_buf_puts(b, put_labels(b, m, labels) ? "} " : " ");
	nx_buf_printf(b, "%llu\n", (unsigned long long)total);
}

/* Sum over the shards of the counter `at` bytes into each. */
static uint64_t total_at(size_t at)
{
	uint64_t n = 0;
	for (uint32_t s = 0; s < SHARDS; s++)
		n += GET(*(counter *)(void *)((char *)&shards[s] + at));
	return n;
}
#define TOTAL(field) total_at(offsetof(struct shard, field))
/* offsetof with an index that is no constant */
#define TOTAL_AT(field, i) total_at(offsetof(struct shard, field) + (i) * sizeof(counter))

static void put_routes(struct nx_page *p, const struct nx_metric_names *names)
{
	static const char *const classes[] = { "", "1xx", "2xx", "3xx", "4xx", "5xx" };
	for (uint32_t r = 0; r < NX_METRIC_ROUTES; r++) {
		const char *name = r == NX_METRIC_ROUTES - 1 ? "none" : names->route(r);
		for (uint32_t c = 1; name && c < CLASSES; c++) {
			uint64_t v = TOTAL_AT(status, (size_t)r * CLASSES + c);
			struct nx_str labels[] = { nx_str(name), nx_str(classes[c]) };
			if (v)
				nx_page_put(p, NX_M_HTTP_REQUESTS, labels, v);
		}
	}
	for (uint32_t r = 0; r < NX_METRIC_ROUTES; r++) {
		const char *name = r == NX_METRIC_ROUTES - 1 ? "none" : names->route(r);
		struct histogram h = { 0 };
		for (uint32_t s = 0; s < SHARDS; s++)
			add(&h, &shards[s].route[r]);
		if (name && count_of(&h))
			put_histogram(p, NX_M_HTTP_SECONDS, &(struct nx_str){ name, strlen(name) },
				      &h);
	}
}

static bool query_cell(uint32_t d, uint32_t t, uint32_t o, struct histogram *ret)
{
	const struct spread *q = atomic_load_explicit(&queries[d][t][o], memory_order_acquire);
	*ret = (struct histogram){ 0 };
	for (uint32_t s = 0; q && s < SHARDS; s++)
		add(ret, &q->shard[s].h);
	return q != NULL;
}

static void put_queries(struct nx_page *p, const struct nx_metric_names *names, enum nx_metric m)
{
	for (uint32_t d = 0; d < NX_DOOR_COUNT; d++)
		for (uint32_t t = 0; t < NX_METRIC_TYPES; t++)
			for (uint32_t o = 0; o < NX_OUTCOME_COUNT; o++) {
				struct histogram h;
				if (!query_cell(d, t, o, &h))
					continue;
				const char *type = names->type(t);
				struct nx_str labels[] = { nx_str(nx_door_name((enum nx_door)d)),
							   nx_str(type ? type : "none"),
							   nx_str(outcome_names[o]) };
				if (m == NX_M_QUERIES)
					nx_page_put(p, m, labels, count_of(&h));
				else
					put_histogram(p, m, labels, &h);
			}
}

static void put_steps(struct nx_page *p)
{
	for (uint32_t i = 0; i < NX_STEP_COUNT; i++) {
		struct nx_str label = nx_str(nx_step_name((enum nx_step)i));
		struct histogram h = { 0 };
		for (uint32_t s = 0; s < SHARDS; s++)
			add(&h, &shards[s].step[i]);
		put_histogram(p, NX_M_STEP_SECONDS, &label, &h);
	}
}

static void put_types(struct nx_page *p, const struct nx_metric_names *names, enum nx_metric m)
{
	for (uint32_t t = 0; t < NX_METRIC_TYPES; t++) {
		const char *type = names->type(t);
		uint64_t v = m == NX_M_ROWS ? TOTAL_AT(rows, t) : TOTAL_AT(bytes, t);
		if (v && type)
			nx_page_put(p, m, &(struct nx_str){ type, strlen(type) }, v);
	}
}

static void put_codes(struct nx_page *p, const struct nx_metric_names *names)
{
	for (uint32_t c = 1; c < NX_CODE_COUNT; c++) {
		struct nx_str code = nx_str(nx_code_name((enum nx_code)c));
		/* zeros, too: increase() of a series that begins with 1 is nothing, and an alert on the
		 * first error of a kind would keep quiet */
		nx_page_put(p, NX_M_ERRORS, &code, TOTAL_AT(errors, c));
	}
	for (uint32_t d = 0; d < NX_METRIC_DIALECTS; d++)
		for (uint32_t c = 1; c < NX_CODE_COUNT; c++) {
			uint64_t v = TOTAL_AT(refusals, (size_t)d * NX_CODE_COUNT + c);
			const char *dialect = v ? names->dialect(d) : NULL;
			struct nx_str labels[] = { nx_str(nx_code_name((enum nx_code)c)),
						   nx_str(dialect ? dialect : "none") };
			if (v)
				nx_page_put(p, NX_M_REFUSALS, labels, v);
		}
}

void nx_metrics_write(struct nx_page *p, const struct nx_metric_names *names)
{
	put_routes(p, names);
	put_queries(p, names, NX_M_QUERIES);
	put_queries(p, names, NX_M_QUERY_SECONDS);
	put_steps(p);
	put_types(p, names, NX_M_ROWS);
	put_types(p, names, NX_M_BYTES);
	put_codes(p, names);
	nx_page_put(p, NX_M_SLOW, NULL, TOTAL(slow));
	nx_page_put(p, NX_M_VERDICT_HITS, NULL, TOTAL(cache_hits));
	nx_page_put(p, NX_M_VERDICT_MISSES, NULL, TOTAL(cache_misses));
	nx_page_put(p, NX_M_TRAINS, NULL, TOTAL(trains));
	nx_page_put(p, NX_M_PIPELINED, NULL, TOTAL(pipelined));
}

void nx_metrics_totals(struct nx_metrics_totals *ret)
{
	struct nx_metrics_totals t = { 0 };
	for (uint32_t i = 0; i < NX_METRIC_ROUTES * CLASSES; i++)
		t.requests += TOTAL_AT(status, i);
	for (uint32_t i = 0; i < NX_METRIC_TYPES; i++) {
		t.rows += TOTAL_AT(rows, i);
		t.bytes += TOTAL_AT(bytes, i);
	}
	for (uint32_t d = 0; d < NX_DOOR_COUNT; d++)
		for (uint32_t k = 0; k < NX_METRIC_TYPES; k++)
			for (uint32_t o = 0; o < NX_OUTCOME_COUNT; o++) {
				struct histogram h;
				if (!query_cell(d, k, o, &h))
					continue;
				uint64_t v = count_of(&h);
				t.queries += v;
				if (o == NX_OUT_REJECTED)
					t.refused += v;
				else if (o != NX_OUT_SUCCESS)
					t.failed += v;
			}
	*ret = t;
}
