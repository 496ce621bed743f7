/* GET /metrics: what is counted in stats/metrics.c, and what others know of themselves. No lock is held
 * while text is made.
 *
 * Data sources may be thousands. A bounded number has series of its own: a source keeps its place while
 * it has a pool, free places go to the busiest of the others. The rest is "other", for gauges only: a
 * sum of counters whose members come and go would fall, and a counter must not. */
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "gate/api/api.h"
#include "gate/guard.h"
#include "gate/schemas.h"
#include "stats/audit.h"
#include "stats/metrics.h"
#include "stats/trace.h"

enum { MAX_POOLS = 100000 };

/* ---- names for indexes ---- */

static const char *type_name(uint32_t i)
{
	return i < nx_source_type_count ? nx_source_types[i].name : NULL;
}

static const char *route_name(uint32_t i)
{
	return i < nx_route_count ? nx_routes[i].id : NULL;
}

static const char *dialect_name(uint32_t i)
{
	return i < NX_DIALECT_COUNT ? nx_dialect_name((enum nx_dialect)i) : NULL;
}

/* ---- pools ---- */

struct pools {
	struct nx_pool_stats *s;
	uint32_t n, cap;
};

static void take_pool(const struct nx_pool_stats *s, void *arg)
{
	struct pools *p = arg;
	if (p->n == p->cap) {
		uint32_t cap = p->cap ? 2 * p->cap : 64;
		struct nx_pool_stats *more =
			cap <= MAX_POOLS ? realloc(p->s, cap * sizeof(*more)) : NULL;
		if (!more)
			return;
		p->s = more;
		p->cap = cap;
	}
	p->s[p->n++] = *s;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct nx_pool_stats *)a)->id, ((const struct nx_pool_stats *)b)->id);
}

/* Pools of older versions live until their last query ends: one entry a source. */
static void merge(struct pools *p)
{
	uint32_t n = 0;
	if (p->n)
		qsort(p->s, p->n, sizeof(*p->s), by_id);
	for (uint32_t i = 0; i < p->n; i++) {
		if (n && strcmp(p->s[n - 1].id, p->s[i].id) == 0)
			nx_pool_stats_add(&p->s[n - 1], &p->s[i]);
		else if (n != i)
			p->s[n++] = p->s[i];
		else
			n++;
	}
	p->n = n;
}

/* Who has a place. For the whole process, as the counters are. */
static struct {
	pthread_mutex_t lock;
	char (*ids)[37];
	uint32_t n, cap;
} places = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int id_to_pool(const void *id, const void *s)
{
	return strcmp(id, ((const struct nx_pool_stats *)s)->id);
}

static uint64_t busy(const struct nx_pool_stats *s)
{
	uint64_t now = (uint64_t)s->active + s->streams + s->waiting;
	return (now << 40) + s->connects + s->reuses;
}

static int by_busy(const void *a, const void *b)
{
	uint64_t x = busy(*(const struct nx_pool_stats *const *)a);
	uint64_t y = busy(*(const struct nx_pool_stats *const *)b);
	return x < y ? 1 : x > y ? -1 : 0;
}

/* Orders the pools: those with a place first. How many those are. Lock held. */
static uint32_t seat(const struct pools *p, const struct nx_pool_stats **out)
{
	uint32_t n = 0, rest = p->n;
	for (uint32_t i = 0; i < places.n; i++) {
		const struct nx_pool_stats *s =
			p->n ? bsearch(places.ids[i], p->s, p->n, sizeof(*s), id_to_pool) : NULL;
		if (s)
			out[n++] = s;
	}
	for (uint32_t i = 0; i < p->n; i++) {
		bool seated = false;
		for (uint32_t k = 0; k < n && !seated; k++)
			seated = out[k] == &p->s[i];
		if (!seated)
			out[--rest] = &p->s[i];
	}
	if (n < p->n)
		qsort(out + n, p->n - n, sizeof(*out), by_busy);
	n = p->n < places.cap ? p->n : places.cap;
	for (uint32_t i = 0; i < n; i++)
		memcpy(places.ids[i], out[i]->id, sizeof(places.ids[i]));
	places.n = n;
	return n;
}

static const struct nx_str other = { "other", 5 };

static void put_states(struct nx_page *page, struct nx_str name, const struct nx_pool_stats *s)
{
	const struct {
		const char *state;
		uint32_t n;
	} v[] = { { "active", s->active }, { "stream", s->streams }, { "idle", s->idle } };
	for (uint32_t i = 0; i < NX_COUNTOF(v); i++)
		nx_page_put(page, NX_M_POOL_CONNECTIONS,
			    (const struct nx_str[]){ name, nx_str(v[i].state) }, v[i].n);
}

/* `rest` NULL: there are no others. */
static void put_pools(struct nx_page *page, const struct nx_pool_stats *const *p, uint32_t n,
		      const struct nx_pool_stats *rest)
{
	for (uint32_t i = 0; i < n; i++)
		put_states(page, nx_str(p[i]->name), p[i]);
	if (rest)
		put_states(page, other, rest);
	for (uint32_t i = 0; i < n; i++) {
		struct nx_str name = nx_str(p[i]->name);
		nx_page_put(page, NX_M_POOL_MAX, &name, p[i]->max);
	}
	for (uint32_t i = 0; i <= n; i++) {
		struct nx_str name = i < n ? nx_str(p[i]->name) : other;
		const struct nx_pool_stats *s = i < n ? p[i] : rest;
		if (s)
			nx_page_put(page, NX_M_POOL_WAITING, &name, s->waiting);
	}
	static const struct {
		enum nx_metric m;
		size_t at;
	} counters[] = {
		{ NX_M_POOL_CONNECTS, offsetof(struct nx_pool_stats, connects) },
		{ NX_M_POOL_FAILURES, offsetof(struct nx_pool_stats, connect_failures) },
		{ NX_M_POOL_REUSES, offsetof(struct nx_pool_stats, reuses) },
		{ NX_M_POOL_CANCELS, offsetof(struct nx_pool_stats, cancels) },
	};
	for (uint32_t c = 0; c < NX_COUNTOF(counters); c++)
		for (uint32_t i = 0; i < n; i++) {
			struct nx_str name = nx_str(p[i]->name);
			uint64_t v;
			memcpy(&v, (const char *)p[i] + counters[c].at, sizeof(v));
			nx_page_put(page, counters[c].m, &name, v);
		}
}

static enum nx_code pools(struct nx_request *r, struct nx_page *page)
{
	uint32_t most = (uint32_t)nx_opt_int(r->gw->config.values, "metrics.maxSources", 50);
	struct pools p = { 0 };
	nx_exec_pools(r->gw->exec, take_pool, &p);
	merge(&p);
	const struct nx_pool_stats **order = calloc(p.n + 1, sizeof(const struct nx_pool_stats *));
	pthread_mutex_lock(&places.lock);
	if (!places.ids && most) {
		places.ids = calloc(most, sizeof(*places.ids));
		places.cap = places.ids ? most : 0;
	}
	uint32_t n = order ? seat(&p, order) : 0;
	pthread_mutex_unlock(&places.lock);
	nx_page_put(page, NX_M_POOLS, NULL, p.n);
	if (order) {
		struct nx_pool_stats rest = { .max = 0 };
		for (uint32_t i = n; i < p.n; i++)
			nx_pool_stats_add(&rest, order[i]);
		put_pools(page, order, n, n < p.n ? &rest : NULL);
	}
	free(order);
	free(p.s);
	return order ? NX_OK : nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
}

/* ---- the rest ---- */

static void put_exec(struct nx_request *r, struct nx_page *p)
{
	struct nx_exec_stats e;
	nx_exec_stats(r->gw->exec, &e);
	uint64_t processes = 0;
	for (const struct nx_driver *const *d = nx_drivers; *d; d++)
		processes += (*d)->processes ? (*d)->processes() : 0;
	nx_page_put(p, NX_M_WORKERS, NULL, e.threads);
	nx_page_put(p, NX_M_WORKERS_RUNNING, NULL, e.running);
	nx_page_put(p, NX_M_WORKERS_TARGET, NULL, e.target);
	nx_page_put(p, NX_M_STREAMS, NULL, e.streaming);
	nx_page_put(p, NX_M_QUEUE_READY, NULL, e.ready);
	nx_page_put(p, NX_M_QUEUE_WAITING, NULL, e.waiting);
	nx_page_put(p, NX_M_JOBS, NULL, e.jobs);
	nx_page_put(p, NX_M_JOBS_REJECTED, NULL, e.rejected);
	nx_page_put(p, NX_M_JOBS_CANCELLED, NULL, e.cancelled);
	nx_page_put(p, NX_M_JOBS_TIMED_OUT, NULL, e.timed_out);
	nx_page_put(p, NX_M_ENGINE_WORKERS, NULL, processes);
}

static void put_http(struct nx_request *r, struct nx_page *p)
{
	struct nx_http_stats h;
	nx_http_stats(r->gw->http, &h);
	nx_page_put(p, NX_M_HTTP_CONNECTIONS, NULL, h.connections);
	nx_page_put(p, NX_M_HTTP_ACCEPTED, NULL, h.accepted);
	nx_page_put(p, NX_M_HTTP_BAD, NULL, h.bad_requests);
	nx_page_put(p, NX_M_HTTP_TIMEOUTS, NULL, h.timeouts);
	nx_page_put(p, NX_M_HTTP_HANGUPS, NULL, h.hangups);
	nx_page_put(p, NX_M_HTTP_RECEIVED, NULL, h.bytes_in);
	nx_page_put(p, NX_M_HTTP_SENT, NULL, h.bytes_out);
}

static void put_caches(struct nx_request *r, struct nx_page *p)
{
	uint64_t hits, misses;
	struct nx_schemas_stats s;
	nx_auth_cache_stats(r->gw->auth, &hits, &misses);
	nx_schemas_stats(r->gw->schemas, &s);
	nx_page_put(p, NX_M_TOKEN_HITS, NULL, hits);
	nx_page_put(p, NX_M_TOKEN_MISSES, NULL, misses);
	struct nx_auth_issuer_stats issuer;
	nx_auth_issuer_stats(r->gw->auth, &issuer);
	nx_page_put(p, NX_M_ISSUER_KEYS, NULL, issuer.keys);
	nx_page_put(p, NX_M_ISSUER_FETCHES, NULL, issuer.fetches);
	nx_page_put(p, NX_M_ISSUER_FAILURES, NULL, issuer.failures);
	nx_page_put(p, NX_M_CURSORS, NULL, nx_cursors_open(r->gw->cursors));
	nx_page_put(p, NX_M_SCHEMA_SOURCES, NULL, s.sources);
	nx_page_put(p, NX_M_SCHEMA_BYTES, NULL, s.bytes);
	nx_page_put(p, NX_M_SCHEMA_HITS, NULL, s.hits);
	nx_page_put(p, NX_M_SCHEMA_LOADS, NULL, s.loads);
	nx_page_put(p, NX_M_SCHEMA_FAILURES, NULL, s.failures);
}

static void count_status(const struct nx_data_source *s, void *arg)
{
	((uint64_t *)arg)[s->status]++;
}

static void put_sources(struct nx_request *r, struct nx_page *p)
{
	uint64_t n[NX_SOURCE_ERROR + 1] = { 0 };
	uint32_t total;
	if (nx_catalog_list(r->gw->catalog, NX_STR(""), NX_STR(""), 0, UINT32_MAX, &total,
			    count_status, n, NULL))
		return;
	for (int i = 0; i <= NX_SOURCE_ERROR; i++) {
		struct nx_str status = nx_str(nx_source_status_name((enum nx_source_status)i));
		nx_page_put(p, NX_M_SOURCES, &status, n[i]);
	}
}

static void put_records(struct nx_request *r, struct nx_page *p)
{
	struct nx_audit_stats a;
	struct nx_history_stats h;
	if (nx_guard_audit(r->gw->guard, &a)) {
		nx_page_put(p, NX_M_AUDIT_RECORDS, NULL, a.written);
		nx_page_put(p, NX_M_AUDIT_LOST, NULL, a.lost);
		nx_page_put(p, NX_M_AUDIT_FAILURES, NULL, a.failures);
		nx_page_put(p, NX_M_AUDIT_FAILING, NULL, a.failing);
		nx_page_put(p, NX_M_AUDIT_BACKLOG, NULL, a.backlog);
	}
	nx_history_stats(r->gw->history, &h);
	nx_page_put(p, NX_M_HISTORY_BACKLOG, NULL, h.backlog);
	nx_page_put(p, NX_M_HISTORY_LOST, NULL, h.lost);
	struct nx_traces_stats t = { .sent = 0 };
	if (r->gw->traces)
		nx_traces_stats(r->gw->traces, &t);
	nx_page_put(p, NX_M_TRACES, &NX_STR("sent"), t.sent);
	nx_page_put(p, NX_M_TRACES, &NX_STR("dropped"), t.dropped);
	nx_page_put(p, NX_M_TRACES, &NX_STR("failed"), t.failed);
	nx_page_put(p, NX_M_TRACE_BACKLOG, NULL, t.backlog);
	struct nx_log_stats l;
	nx_log_stats(&l);
	for (int i = 0; i < NX_LOG_LEVELS; i++) {
		struct nx_str level = nx_str(nx_log_level_name((enum nx_log_level)i));
		nx_page_put(p, NX_M_LOG_LINES, &level, l.lines[i]);
	}
	nx_page_put(p, NX_M_LOG_SUPPRESSED, NULL, l.suppressed);
	uint64_t good, failed;
	nx_reloads_count(r->gw, &good, &failed);
	nx_page_put(p, NX_M_RELOADS, &NX_STR("success"), good);
	nx_page_put(p, NX_M_RELOADS, &NX_STR("error"), failed);
}

static void put_process(struct nx_page *p)
{
	struct nx_process_stats s;
	nx_process_stats(&s);
	nx_page_put(p, NX_M_BUILD,
		    (const struct nx_str[]){ NX_STR(NX_VERSION), nx_str("C " __VERSION__) }, 1);
	nx_page_put_seconds(p, NX_M_CPU, s.cpu_ns);
	nx_page_put(p, NX_M_RSS, NULL, s.resident);
	nx_page_put(p, NX_M_VIRTUAL, NULL, s.virtual);
	nx_page_put(p, NX_M_FDS, NULL, s.fds);
	nx_page_put(p, NX_M_FDS_MAX, NULL, s.fds_max);
	nx_page_put(p, NX_M_THREADS, NULL, s.threads);
	nx_page_put_seconds(p, NX_M_STARTED, s.started_ns);
}

enum nx_code nx_act_metrics(struct nx_request *r)
{
	struct nx_buf b;
	nx_buf_init(&b, (size_t)16 << 20);
	struct nx_page p = { &b, -1 };
	const struct nx_metric_names names = { type_name, route_name, dialect_name };
	put_http(r, &p);
	nx_metrics_write(&p, &names);
	put_caches(r, &p);
	put_exec(r, &p);
	enum nx_code c = pools(r, &p);
	put_sources(r, &p);
	put_records(r, &p);
	put_process(&p);
	if (!c && b.failed)
		c = nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	if (!c)
		nx_request_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8",
				 nx_buf_str(&b));
	nx_buf_done(&b);
	return c;
}
