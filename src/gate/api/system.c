/* Health, metrics, counters. */
#include "base/clock.h"
#include "gate/api/api.h"
#include "gate/guard.h"
#include "gate/schemas.h"
#include "stats/metrics.h"

enum nx_code nx_act_livez(struct nx_request *r)
{
	nx_request_reply(r, 200, "text/plain", NX_STR("ok\n"));
	return NX_OK;
}

enum nx_code nx_act_readyz(struct nx_request *r)
{
	if (atomic_load(&r->gw->draining))
		return nx_fail(&r->err, NX_E_SHUTTING_DOWN, "The gateway is stopping.");
	nx_request_reply(r, 200, "text/plain", NX_STR("ready\n"));
	return NX_OK;
}

enum nx_code nx_act_health(struct nx_request *r)
{
	struct nx_buf b;
	nx_buf_init(&b, 4096);
	nx_buf_printf(&b, "{\"status\":\"%s\",\"version\":\"%s\",\"uptimeSeconds\":%lld}",
		      atomic_load(&r->gw->draining) ? "draining" : "up", NX_VERSION,
		      (long long)((nx_now() - r->gw->started) / NX_SEC));
	nx_request_data(r, 200, nx_buf_str(&b));
	nx_buf_done(&b);
	return NX_OK;
}

static const char *type_name(uint32_t i)
{
	return nx_source_types[i].name;
}

static void gauge(struct nx_buf *b, const char *name, const char *help, uint64_t v)
{
	nx_buf_printf(b, "# HELP %s %s\n# TYPE %s gauge\n%s %llu\n", name, help, name, name,
		      (unsigned long long)v);
}

static void count(struct nx_buf *b, const char *name, const char *help, uint64_t v)
{
	nx_buf_printf(b, "# HELP %s %s\n# TYPE %s counter\n%s %llu\n", name, help, name, name,
		      (unsigned long long)v);
}

struct pools {
	struct nx_pool_stats s[256];
	uint32_t n;
};

static void take_pool(const struct nx_pool_stats *s, void *arg)
{
	struct pools *p = arg;
	/* Pools of older versions live until their last query ends: one series a name. */
	for (uint32_t i = 0; i < p->n; i++)
		if (strcmp(p->s[i].name, s->name) == 0) {
			nx_pool_stats_add(&p->s[i], s);
			return;
		}
	if (p->n < NX_COUNTOF(p->s))
		p->s[p->n++] = *s;
}

/* Names come from users: backslash, quote and newline are escaped as the text format wants. */
static void label(struct nx_buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '\\' || *s == '"')
			nx_buf_putc(b, '\\');
		if (*s == '\n')
			nx_buf_puts(b, "\\n");
		else
			nx_buf_putc(b, *s);
	}
}

static void put_pools(struct nx_buf *b, const struct pools *p)
{
	static const struct {
		const char *name, *help, *type;
		size_t offset;
		bool wide;
	} cols[] = {
		{ "nexus_pool_active", "Connections that run a quick query.", "gauge",
		  offsetof(struct nx_pool_stats, active), false },
		{ "nexus_pool_streams", "Connections held by slow readers and cursors.", "gauge",
		  offsetof(struct nx_pool_stats, streams), false },
		{ "nexus_pool_open", "Connections that are open.", "gauge",
		  offsetof(struct nx_pool_stats, open), false },
		{ "nexus_pool_waiting", "Queries that wait for a connection.", "gauge",
		  offsetof(struct nx_pool_stats, waiting), false },
		{ "nexus_pool_connects_total", "Connections opened.", "counter",
		  offsetof(struct nx_pool_stats, connects), true },
		{ "nexus_pool_connect_failures_total", "Connections that could not be opened.",
		  "counter", offsetof(struct nx_pool_stats, connect_failures), true },
		{ "nexus_pool_cancels_total", "Queries cancelled at the source.", "counter",
		  offsetof(struct nx_pool_stats, cancels), true },
	};
	for (uint32_t c = 0; c < NX_COUNTOF(cols); c++) {
		nx_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", cols[c].name, cols[c].help,
			      cols[c].name, cols[c].type);
		for (uint32_t i = 0; i < p->n; i++) {
			const char *at = (const char *)&p->s[i] + cols[c].offset;
			uint64_t v;
			if (cols[c].wide) {
				memcpy(&v, at, sizeof(v));
			} else {
				uint32_t w;
				memcpy(&w, at, sizeof(w));
				v = w;
			}
			nx_buf_printf(b, "%s{source=\"", cols[c].name);
			label(b, p->s[i].name);
			nx_buf_printf(b, "\"} %llu\n", (unsigned long long)v);
		}
	}
}

enum nx_code nx_act_metrics(struct nx_request *r)
{
	struct nx_buf b;
	nx_buf_init(&b, (size_t)4 << 20);
	nx_metrics_write(&b, type_name, nx_source_type_count);
	struct nx_exec_stats e;
	nx_exec_stats(r->gw->exec, &e);
	gauge(&b, "nexus_workers", "Worker threads.", e.threads);
	gauge(&b, "nexus_workers_running", "Workers that run quick jobs.", e.running);
	gauge(&b, "nexus_streams", "Jobs whose client is slow.", e.streaming);
	gauge(&b, "nexus_queue_ready", "Jobs that wait for a worker.", e.ready);
	gauge(&b, "nexus_queue_waiting", "Jobs that wait for a connection.", e.waiting);
	count(&b, "nexus_jobs_total", "Jobs taken.", e.jobs);
	count(&b, "nexus_jobs_rejected_total", "Jobs refused because a queue was full.",
	      e.rejected);
	struct nx_http_stats h;
	nx_http_stats(r->gw->http, &h);
	gauge(&b, "nexus_http_connections", "Open client connections.", h.connections);
	count(&b, "nexus_http_accepted_total", "Client connections accepted.", h.accepted);
	count(&b, "nexus_http_bad_requests_total", "Requests refused by the parser.",
	      h.bad_requests);
	count(&b, "nexus_http_timeouts_total", "Connections cut by a deadline.", h.timeouts);
	count(&b, "nexus_http_hangups_total", "Clients that left during a request.", h.hangups);
	count(&b, "nexus_http_received_bytes_total", "Bytes read from clients.", h.bytes_in);
	count(&b, "nexus_http_sent_bytes_total", "Bytes written to clients.", h.bytes_out);
	gauge(&b, "nexus_cursors_open", "Open cursors.", nx_cursors_open(r->gw->cursors));
	struct nx_schemas_stats cached;
	nx_schemas_stats(r->gw->schemas, &cached);
	gauge(&b, "nexus_schema_sources", "Data sources whose schema is cached.", cached.sources);
	gauge(&b, "nexus_schema_bytes", "Memory of the cached schemas.", cached.bytes);
	count(&b, "nexus_schema_hits_total", "Schemas taken from the cache.", cached.hits);
	count(&b, "nexus_schema_loads_total", "Schemas asked of their source.", cached.loads);
	count(&b, "nexus_schema_failures_total", "Loads of a schema that failed.", cached.failures);
	nx_guard_metrics(r->gw->guard, &b);
	struct pools *p = nx_arena_zalloc(r->arena, sizeof(*p));
	if (p) {
		nx_exec_pools(r->gw->exec, take_pool, p);
		put_pools(&b, p);
	}
	enum nx_code c = NX_OK;
	if (b.failed)
		c = nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	else
		nx_request_reply(r, 200, "text/plain; version=0.0.4", nx_buf_str(&b));
	nx_buf_done(&b);
	return c;
}

enum nx_code nx_act_stats(struct nx_request *r)
{
	struct nx_metrics_totals t;
	struct nx_exec_stats e;
	nx_metrics_totals(&t);
	nx_exec_stats(r->gw->exec, &e);
	struct nx_buf b;
	nx_buf_init(&b, 4096);
	nx_buf_printf(&b,
		      "{\"requests\":%llu,\"queries\":%llu,\"rows\":%llu,\"bytes\":%llu,"
		      "\"failed\":%llu,\"refused\":%llu,\"running\":%u,\"waiting\":%u,"
		      "\"streaming\":%u,\"residentBytes\":%llu,\"uptimeSeconds\":%lld,\"config\":",
		      (unsigned long long)t.requests, (unsigned long long)t.queries,
		      (unsigned long long)t.rows, (unsigned long long)t.bytes,
		      (unsigned long long)t.failed, (unsigned long long)t.refused, e.running,
		      e.waiting, e.streaming, (unsigned long long)nx_process_rss(),
		      (long long)((nx_now() - r->gw->started) / NX_SEC));
	nx_reloads_write(r->gw, &b);
	nx_buf_putc(&b, '}');
	nx_request_data(r, 200, nx_buf_str(&b));
	nx_buf_done(&b);
	return NX_OK;
}
