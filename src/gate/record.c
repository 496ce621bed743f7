/* What remains of a request: counters, history, log lines. Part of the finish step. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "catalog/vitals.h"
#include "gate/trace.h"

#define SQL_IN_LOG 4096u

/* How long each step took: to the next one that was come to, or to the end. -1: it did not come so far. */
struct step_times {
	int64_t ns[NX_STEP_COUNT];
};

static void step_times(const struct nx_request *r, int64_t elapsed, struct step_times *ret)
{
	int64_t until = r->started + elapsed;
	for (int s = NX_STEP_COUNT; s-- > 0;) {
		ret->ns[s] = r->mark[s] ? until - r->mark[s] : -1;
		if (r->mark[s])
			until = r->mark[s];
	}
}

static void count(const struct nx_request *r, enum nx_code c, int64_t elapsed,
		  const struct step_times *took)
{
	uint32_t type =
		r->source ? (uint32_t)(r->source->type - nx_source_types) : NX_METRIC_TYPES - 1;
	nx_metrics_query(r->door, type, nx_outcome_of(c), elapsed, r->rows, r->bytes);
	if (c >= NX_E_EMPTY_QUERY && c <= NX_E_SQL_TOO_LONG && r->source)
		nx_metrics_refusal(c, r->source->type->dialect);
	for (int s = 0; s < NX_STEP_COUNT; s++)
		if (took->ns[s] >= 0)
			nx_metrics_step((enum nx_step)s, took->ns[s]);
}

static void remember(const struct nx_request *r, enum nx_code c, int64_t elapsed)
{
	struct nx_history_record h = { .code = c,
				       .started_wall = r->job.started_wall ? r->job.started_wall
									   : nx_wall_us(),
				       .owner = r->who.id,
				       .fingerprint = nx_str_hash(r->args.sql),
				       .rows = r->rows,
				       .bytes = r->bytes,
				       .elapsed_us = (uint64_t)(elapsed / 1000) };
	memcpy(h.query_id, r->job.id, sizeof(h.query_id));
	memcpy(h.correlation_id, r->correlation, sizeof(h.correlation_id));
	memcpy(h.principal, r->who.name, sizeof(h.principal));
	if (r->source) {
		if (r->mark[NX_STEP_RUN])
			nx_vitals_query(nx_data_source_vitals(r->source), c, elapsed);
		memcpy(h.source_id, r->source->id, sizeof(h.source_id));
		(void)snprintf(h.source_type, sizeof(h.source_type), "%s", r->source->type->name);
	}
	(void)snprintf(h.status, sizeof(h.status), "%s", nx_outcome_name(nx_outcome_of(c)));
	nx_history_add(r->gw->history, &h);
}

/* ---- log ---- */

static void put_ms(struct nx_buf *b, const char *key, int64_t ns)
{
	nx_buf_printf(b, "\"%s\":%.3f", key, (double)ns / 1e6);
}

static void put_fields(const struct nx_request *r, enum nx_code c, int64_t elapsed,
		       const struct step_times *took, struct nx_buf *b)
{
	nx_buf_printf(b, ",\"queryId\":\"%s\",\"principal\":", r->job.id);
	nx_buf_put_json(b, nx_str(r->who.name));
	if (r->source) {
		nx_buf_puts(b, ",\"source\":");
		nx_buf_put_json(b, r->source->name);
		nx_buf_printf(b, ",\"type\":\"%s\"", r->source->type->name);
	}
	nx_buf_printf(b, ",\"status\":\"%s\"", nx_outcome_name(nx_outcome_of(c)));
	if (c)
		nx_buf_printf(b, ",\"code\":\"%s\"", nx_code_name(c));
	nx_buf_printf(b, ",\"fingerprint\":\"%016llx\",\"rows\":%llu,\"bytes\":%llu,",
		      (unsigned long long)nx_str_hash(r->args.sql), (unsigned long long)r->rows,
		      (unsigned long long)r->bytes);
	put_ms(b, "ms", elapsed);
	nx_buf_puts(b, ",\"steps\":{");
	for (int s = 0, n = 0; s < NX_STEP_COUNT; s++) {
		if (took->ns[s] < 0)
			continue;
		if (n++)
			nx_buf_putc(b, ',');
		put_ms(b, nx_step_name((enum nx_step)s), took->ns[s]);
	}
	nx_buf_putc(b, '}');
	if (r->trace.sampled) {
		char text[NX_TRACEPARENT_LEN + 1];
		nx_traceparent_text(r->trace.id, r->trace.span, text);
		nx_buf_printf(b, ",\"traceId\":\"%.32s\",\"spanId\":\"%.16s\"", text + 3,
			      text + 36);
	}
	if (r->gw->log_sql) {
		size_t cut = r->args.sql.len < SQL_IN_LOG ? r->args.sql.len : SQL_IN_LOG;
		nx_buf_puts(b, ",\"sql\":");
		nx_buf_put_json(b, nx_strn(r->args.sql.ptr, cut));
	}
}

/* All lines of a request, or none: its id decides. */
static bool sampled(const struct nx_request *r)
{
	uint32_t part = r->gw->log_sample;
	return part >= 1000000 || nx_str_hash(nx_str(r->correlation)) % 1000000 < part;
}

static void tell(const struct nx_request *r, enum nx_code c, int64_t elapsed,
		 const struct step_times *took)
{
	bool slow = elapsed > r->gw->log_slow;
	if (slow)
		nx_metrics_slow();
	bool query = r->gw->log_queries && (c || sampled(r)) && nx_log_wants(NX_LOG_INFO);
	if (!slow && !query)
		return;
	struct nx_buf b;
	nx_buf_init(&b, 65536);
	put_fields(r, c, elapsed, took, &b);
	if (slow)
		nx_log_fields(NX_LOG_WARN, "slow_query", NX_STR("a query took long"),
			      nx_buf_str(&b));
	if (query)
		nx_log_fields(NX_LOG_INFO, "query",
			      nx_str(c ? nx_code_help(c) : "a query ended well"), nx_buf_str(&b));
	nx_buf_done(&b);
}

void nx_record_request(struct nx_request *r, enum nx_code c, int64_t elapsed)
{
	if (c) {
		nx_metrics_error(c);
		if (r->err.detail[0] || nx_code_http(c) >= 500)
			nx_log_error(nx_code_http(c) == 500 ? NX_LOG_ERROR : NX_LOG_WARN, "request",
				     r->correlation, &r->err);
	}
	if (r->route && r->route->kind == NX_ROUTE_QUERY && r->args.sql.ptr) {
		struct step_times took;
		step_times(r, elapsed, &took);
		count(r, c, elapsed, &took);
		remember(r, c, elapsed);
		tell(r, c, elapsed, &took);
	}
	nx_request_trace_end(r, c, elapsed);
	nx_metrics_request(r->entry ? (uint32_t)(r->entry - nx_routes) : NX_METRIC_ROUTES - 1,
			   r->status ? r->status : nx_code_http(c), elapsed);
}
