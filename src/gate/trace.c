/* The request's side of traces: whether it is sampled, what the source is told, what the trace is told.
 * Nothing of a URL but its route is told: the path of a cursor holds its secret. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "gate/api/api.h"
#include "gate/trace.h"
#include "outbound/outbound.h"

#define SQL_IN_TRACE 4096u

void nx_request_trace_begin(struct nx_request *r)
{
	if (!r->gw->traces || r->route->right == NX_RIGHT_NONE || r->route->act == nx_act_metrics)
		return;
	nx_trace_begin(r->gw->traces, nx_http_get_header(r->x, "traceparent"), &r->trace);
}

/* ---- what the source is told ---- */

/* The comment goes behind the statement, on a line of its own: positions in errors stay right and a
 * comment at the end of the statement does not swallow it. What ends with a semicolon is left alone. */
static bool add_comment(struct nx_request *r, const char *parent)
{
	struct nx_str sql = nx_str_trim(r->verdict.sql);
	if (nx_str_ends(sql, NX_STR(";")))
		return true;
	char *text = nx_arena_printf(r->arena, NX_STR_FMT "\n/*traceparent='%s'*/",
				     NX_STR_ARG(r->verdict.sql), parent);
	if (text)
		r->verdict.sql = nx_str(text);
	return text != NULL;
}

enum nx_code nx_request_trace_source(struct nx_request *r)
{
	enum nx_trace_context how = r->source->trace_context;
	if (!r->trace.sampled || how == NX_TRACE_NONE)
		return NX_OK;
	char *parent = nx_arena_alloc(r->arena, NX_TRACEPARENT_LEN + 1);
	if (!parent)
		return nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	nx_traceparent_text(r->trace.id, r->trace.run, parent);
	r->quick = false; /* statements that share a round trip are sent as they are */
	if (how == NX_TRACE_APPLICATION_NAME)
		r->to_source = nx_strn(parent, NX_TRACEPARENT_LEN);
	else if (!add_comment(r, parent))
		return nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	return NX_OK;
}

/* ---- what the trace is told ---- */

/* db.system.name of the conventions; types they do not know go by their own name. */
static const char *system_of(const struct nx_source_type *t)
{
	static const struct {
		const char *type, *system;
	} known[] = {
		{ "oracle", "oracle.db" },	{ "sqlserver", "microsoft.sql_server" },
		{ "bigquery", "gcp.bigquery" }, { "redshift", "aws.redshift" },
		{ "snowflake", "snowflake" },
	};
	for (size_t i = 0; i < NX_COUNTOF(known); i++)
		if (strcmp(known[i].type, t->name) == 0)
			return known[i].system;
	return strcmp(t->driver, "duckdb") == 0 ? "duckdb" : t->name;
}

static void cut(char *to, size_t cap, struct nx_str s)
{
	size_t n = s.len < cap ? s.len : cap - 1;
	if (n)
		memcpy(to, s.ptr, n);
	n = nx_utf8_check(nx_strn(to, n)); /* protobuf wants whole characters */
	to[n] = '\0';
}

/* The statement's first word and its tables: few values, nothing a user typed as a value. */
static void summarise(const struct nx_request *r, struct nx_trace_record *t)
{
	struct nx_buf b;
	nx_buf_init(&b, 4096);
	struct nx_str sql = nx_str_trim(r->args.sql);
	for (size_t i = 0; i < sql.len && i < 16 && isalpha((unsigned char)sql.ptr[i]); i++)
		nx_buf_putc(&b, (char)toupper((unsigned char)sql.ptr[i]));
	if (b.len == 0)
		nx_buf_puts(&b, "SELECT");
	for (uint32_t i = 0; i < r->verdict.ntables && b.len < sizeof(t->summary); i++) {
		nx_buf_putc(&b, ' ');
		for (int k = 0, put = 0; k < 3; k++) {
			struct nx_str part = r->verdict.tables[i].parts[k];
			if (part.len && put++)
				nx_buf_putc(&b, '.');
			nx_buf_put_str(&b, part);
		}
	}
	cut(t->summary, sizeof(t->summary), nx_buf_str(&b));
	nx_buf_done(&b);
}

static const char *method_of(const struct nx_request *r)
{
	return r->http->method == NX_HTTP_HEAD ? "HEAD" : r->entry->method_text;
}

static void put_query(const struct nx_request *r, struct nx_trace_record *t)
{
	memcpy(t->query_id, r->job.id, sizeof(t->query_id));
	if (r->source) {
		t->system = system_of(r->source->type);
		cut(t->source, sizeof(t->source), r->source->name);
		cut(t->space, sizeof(t->space),
		    nx_str(nx_opt_str(r->source->options, "database", "")));
	}
	if (!r->args.sql.ptr)
		return;
	/* a refused statement has no tables that were understood */
	if (r->mark[NX_STEP_ROUTE])
		summarise(r, t);
	if (r->gw->trace_sql) {
		size_t n = r->args.sql.len < SQL_IN_TRACE ? r->args.sql.len : SQL_IN_TRACE;
		t->sql = strndup(r->args.sql.ptr, nx_utf8_check(nx_strn(r->args.sql.ptr, n)));
	}
}

/* tracestate is passed on as it came, if it is printable and short. */
static void put_state(const struct nx_request *r, struct nx_trace_record *t)
{
	struct nx_str s = nx_http_get_header(r->x, "tracestate");
	bool joined = false;
	for (size_t i = 0; i < sizeof(r->trace.parent); i++)
		joined |= r->trace.parent[i] != 0;
	if (!joined || s.len >= sizeof(t->state))
		return;
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || (unsigned char)s.ptr[i] > 0x7e)
			return;
	cut(t->state, sizeof(t->state), s);
}

void nx_request_trace_end(const struct nx_request *r, enum nx_code c, int64_t elapsed)
{
	if (!r->trace.sampled)
		return;
	struct nx_trace_record t = {
		.trace = r->trace,
		.wall_ns = nx_wall_us() * 1000 - (nx_now() - r->started),
		.elapsed_ns = elapsed,
		.code = c,
		.began = nx_http_began(r->x),
		.status = r->status ? r->status
			  : c	    ? nx_code_http(c)
				    : 200,
		.method = method_of(r),
		.route = r->entry->path,
		.scheme = r->http->tls ? "https" : "http",
		.door = r->door,
		.rows = r->rows,
		.bytes = r->bytes,
	};
	for (int s = 0; s < NX_STEP_COUNT; s++)
		t.mark[s] = r->mark[s] ? r->mark[s] - r->started : -1;
	put_state(r, &t);
	memcpy(t.correlation, r->correlation, sizeof(t.correlation));
	if (c && r->err.code == c)
		cut(t.sqlstate, sizeof(t.sqlstate), nx_str(r->err.sqlstate));
	memcpy(t.link_id, r->link.id, sizeof(t.link_id));
	memcpy(t.link_span, r->link.span, sizeof(t.link_span));
	if (r->train)
		nx_train_place(r, &t.train_at, &t.train_n);
	if (r->route->kind == NX_ROUTE_QUERY || r->source)
		put_query(r, &t);
	nx_trace_add(r->gw->traces, &t);
}

/* ---- life ---- */

static struct nx_traces_config config_of(const struct nx_options *o, const char *instance)
{
	return (struct nx_traces_config){
		.endpoint = nx_opt_str(o, "trace.endpoint", ""),
		.headers = nx_opt_str(o, "trace.headers", ""),
		.ca_file = nx_opt_str(o, "trace.caFile", ""),
		.service = nx_opt_str(o, "trace.serviceName", ""),
		.instance = instance,
		.plain = nx_opt_bool(o, "trace.plain", false),
		.trust_parent = nx_opt_bool(o, "trace.parent", true),
		.sample = (uint32_t)nx_opt_int(o, "trace.sample", 0),
		.queue = (uint32_t)nx_opt_int(o, "trace.queue", 2048),
		.timeout_ms = nx_opt_ms(o, "trace.timeout", 5000),
	};
}

enum nx_code nx_gateway_check_traces(const struct nx_options *o, struct nx_error *err)
{
	struct nx_traces_config c = config_of(o, "");
	return *c.endpoint ? nx_traces_check(&c, err) : NX_OK;
}

enum nx_code nx_gateway_open_traces(struct nx_gateway *gw, struct nx_error *err)
{
	char instance[37];
	nx_uuid(instance);
	struct nx_traces_config c = config_of(gw->config.values, instance);
	gw->trace_sql = nx_opt_bool(gw->config.values, "trace.sql", false);
	if (!*c.endpoint)
		return NX_OK;
	enum nx_code code = nx_outbound_init(err);
	return code ? code : nx_traces_open(&c, &gw->traces, err);
}
