/* Judging, listing and cancelling queries. Ids of other people's queries answer 404. */
#include <stdlib.h>

#include "base/clock.h"
#include "gate/advise.h"
#include "gate/api/api.h"
#include "gate/guard.h"

/* [QV-005] What the schema cannot hold is a warning; an error where the schema is fresh and whole. */
static void put_advice(struct nx_buf *b, const struct nx_advice *a, bool as_error)
{
	struct nx_buf text;
	nx_buf_init(&text, 4096);
	nx_advice_text(a, &text);
	if (as_error) {
		struct nx_error e;
		(void)nx_fail(&e, NX_E_UNDEFINED_OBJECT, NX_STR_FMT, NX_STR_ARG(nx_buf_str(&text)));
		struct nx_str token = a->column.len ? a->column : a->table;
		nx_error_at(&e, a->position, token.ptr, token.len);
		nx_encode_error(&e, b);
	} else {
		nx_buf_puts(b, "{\"rule\":\"QV-005\",\"message\":");
		nx_buf_put_json(b, nx_buf_str(&text));
		nx_buf_printf(b, ",\"position\":%u,\"suggestions\":[", a->position);
		for (uint32_t i = 0; i < a->nsuggestions; i++) {
			if (i)
				nx_buf_putc(b, ',');
			nx_buf_put_json(b, a->suggestions[i]);
		}
		nx_buf_puts(b, "]}");
	}
	nx_buf_done(&text);
}

/* Those that are certain, or the others; how many. */
static uint32_t put_advices(struct nx_buf *b, const struct nx_advice *all, uint32_t n, bool certain)
{
	uint32_t put = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (all[i].certain != certain)
			continue;
		if (put++)
			nx_buf_putc(b, ',');
		put_advice(b, &all[i], certain);
	}
	return put;
}

static void put_tables(struct nx_buf *b, const struct nx_verdict *v)
{
	nx_buf_puts(b, ",\"tables\":[");
	for (uint32_t i = 0; i < v->ntables; i++) {
		const struct nx_table_name *t = &v->tables[i];
		static const char *const keys[] = { "catalog", "schema", "table" };
		nx_buf_puts(b, i ? ",{" : "{");
		bool any = false;
		for (int k = 0; k < 3; k++) {
			if (t->parts[k].len == 0)
				continue;
			nx_buf_printf(b, "%s\"%s\":", any ? "," : "", keys[k]);
			nx_buf_put_json(b, t->parts[k]);
			any = true;
		}
		nx_buf_putc(b, '}');
	}
	nx_buf_puts(b, "]");
}

static void put_verdict(struct nx_request *r, struct nx_buf *b)
{
	static const struct nx_verdict none;
	struct nx_advice *advice = nx_arena_array(r->arena, NX_ADVICE_MAX, sizeof(*advice));
	bool passed = r->err.code == NX_OK;
	uint32_t n = passed && advice ? nx_advise(r, advice) : 0;
	nx_buf_puts(b, "\"errors\":[");
	bool valid = passed && put_advices(b, advice, n, true) == 0;
	if (!passed)
		nx_encode_error(&r->err, b);
	nx_buf_puts(b, "],\"warnings\":[");
	(void)put_advices(b, advice, n, false);
	nx_buf_putc(b, ']');
	put_tables(b, passed ? &r->verdict : &none);
	if (passed)
		nx_buf_printf(b, ",\"parameters\":%u", r->verdict.nparams);
	nx_buf_printf(b, ",\"valid\":%s", valid ? "true" : "false");
}

enum nx_code nx_act_validate(struct nx_request *r)
{
	enum nx_code c = nx_step_resolve_source(r, r->args.source);
	if (c)
		return c;
	nx_error_clear(&r->err);
	enum nx_code said = nx_step_validate(r); /* a refusal is the answer */
	if (nx_code_http(said) >= 500)
		return said; /* that nobody could judge is none */
	struct nx_buf b;
	nx_buf_init(&b, (size_t)4 << 20);
	nx_buf_printf(&b, "{\"dialect\":\"%s\",", nx_dialect_name(r->source->type->dialect));
	put_verdict(r, &b);
	nx_buf_putc(&b, '}');
	if (b.failed)
		c = nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	else
		nx_request_data(r, 200, nx_buf_str(&b));
	nx_buf_done(&b);
	return c;
}

/* Thousands may wait: beyond the first the statements are left out, beyond the second the rest. Half a
 * document helps nobody. */
#define LIST_SQL ((size_t)1 << 20)
#define LIST_MOST ((size_t)6 << 20)
enum { DONE_MOST = 200, LOOK_MOST = 1000 }; /* finished ones: listed, looked at */

struct listing {
	struct nx_request *r;
	struct nx_buf b;
	uint32_t n;
	struct nx_visible view;
};

static void note_id(const struct nx_data_source *s, void *arg)
{
	struct nx_visible *v = arg;
	const struct nx_data_source *serving =
		v->nids < NX_COUNTOF(v->ids) ? nx_guard_serving(v->r, s) : NULL;
	if (!serving)
		return;
	memcpy(v->ids[v->nids++], serving->id, sizeof(v->ids[0]));
	nx_data_source_unref(serving);
}

void nx_visible_init(struct nx_visible *v, struct nx_request *r)
{
	uint32_t total;
	struct nx_error err;
	*v = (struct nx_visible){ .r = r, .narrowed = r->who.narrowed };
	if (v->narrowed && nx_catalog_list(r->gw->catalog, NX_STR(""), NX_STR(""), 0, UINT32_MAX,
					   &total, note_id, v, &err))
		v->nids = 0; /* closed */
}

bool nx_visible_has(const struct nx_visible *v, struct nx_str source_id)
{
	if (!v->narrowed || source_id.len == 0)
		return true;
	for (uint32_t i = 0; i < v->nids; i++)
		if (nx_str_is(source_id, v->ids[i]))
			return true;
	return false;
}

static void put_common(struct listing *l, const char *id, const char *state, uint64_t rows,
		       int64_t started_wall, const char *principal)
{
	char when[NX_ISO_LEN];
	nx_iso_time(started_wall, when);
	nx_buf_printf(&l->b, "%s{\"id\":\"%s\",\"state\":\"%s\",\"rows\":%llu,\"startedAt\":\"%s\"",
		      l->n++ ? "," : "", id, state, (unsigned long long)rows, when);
	nx_buf_puts(&l->b, ",\"principal\":");
	nx_buf_put_json(&l->b, nx_str(principal));
}

static bool list_job(const struct nx_job_info *j, void *arg)
{
	struct listing *l = arg;
	if (!nx_visible_has(&l->view, nx_str(j->source_id)))
		return true;
	put_common(l, j->id, nx_job_state_name(j->state), j->rows, j->started_wall, j->principal);
	nx_buf_printf(&l->b, ",\"elapsedMs\":%lld", (long long)((nx_now() - j->started) / NX_MS));
	if (j->source_id[0]) {
		nx_buf_printf(&l->b, ",\"dataSourceId\":\"%s\",\"dataSource\":", j->source_id);
		nx_buf_put_json(&l->b, nx_str(j->source));
	}
	if (j->sql[0] && l->b.len < LIST_SQL) {
		nx_buf_puts(&l->b, ",\"sql\":");
		nx_buf_put_json(&l->b, nx_str(j->sql));
	}
	nx_buf_putc(&l->b, '}');
	return l->b.len < LIST_MOST;
}

/* The spec's words for how a query ended. */
static const char *end_state(const struct nx_history_record *h)
{
	if (nx_str_is(nx_str(h->status), "success"))
		return "completed";
	if (nx_str_is(nx_str(h->status), "timeout"))
		return "timed_out";
	if (nx_str_is(nx_str(h->status), "canceled"))
		return "canceled";
	return "failed";
}

static void list_done(const struct nx_history_record *h, struct listing *l)
{
	if (l->n >= DONE_MOST || !nx_visible_has(&l->view, nx_str(h->source_id)))
		return;
	put_common(l, h->query_id, end_state(h), h->rows, h->started_wall, h->principal);
	nx_buf_printf(&l->b, ",\"elapsedMs\":%llu", (unsigned long long)(h->elapsed_us / 1000));
	if (h->source_id[0])
		nx_buf_printf(&l->b, ",\"dataSourceId\":\"%s\"", h->source_id);
	if (h->code)
		nx_buf_printf(&l->b, ",\"code\":\"%s\"", nx_code_name(h->code));
	nx_buf_putc(&l->b, '}');
}

/* Running queries and the last finished ones; `only` one id, or empty. The caller frees l->b. */
static enum nx_code collect(struct nx_request *r, struct listing *l, struct nx_str only)
{
	*l = (struct listing){ .r = r };
	nx_visible_init(&l->view, r);
	nx_buf_init(&l->b, (size_t)8 << 20);
	uint64_t owner = nx_principal_may(&r->who, NX_RIGHT_SEE_ALL_QUERIES) ? 0 : r->who.id;
	enum nx_code c = nx_exec_list(r->gw->exec, owner, only, list_job, l, &r->err);
	bool found = only.len && l->n > 0;
	struct nx_history_record *done = c || found ? NULL : malloc(LOOK_MOST * sizeof(*done));
	if (!c && !found && !done)
		c = nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	uint32_t n = done ? nx_history_recent(r->gw->history, owner, only, done, LOOK_MOST) : 0;
	for (uint32_t k = 0; k < n; k++)
		list_done(&done[k], l);
	free(done);
	return c;
}

enum nx_code nx_act_queries(struct nx_request *r)
{
	struct listing l;
	enum nx_code c = collect(r, &l, NX_STR(""));
	struct nx_buf b;
	nx_buf_init(&b, l.b.len + 64);
	nx_buf_puts(&b, "{\"queries\":[");
	nx_buf_put_str(&b, nx_buf_str(&l.b));
	nx_buf_puts(&b, "]}");
	if (!c)
		nx_request_data(r, 200, nx_buf_str(&b));
	nx_buf_done(&b);
	nx_buf_done(&l.b);
	return c;
}

enum nx_code nx_act_query_show(struct nx_request *r)
{
	struct listing l;
	enum nx_code c = collect(r, &l, r->path[0]);
	if (!c && l.n == 0)
		c = nx_fail(&r->err, NX_E_QUERY_NOT_FOUND, "No such query.");
	else if (!c)
		nx_request_data(r, 200, nx_buf_str(&l.b));
	nx_buf_done(&l.b);
	return c;
}

enum nx_code nx_act_query_cancel(struct nx_request *r)
{
	struct listing l;
	enum nx_code c = collect(r, &l, r->path[0]);
	bool all = nx_principal_may(&r->who, NX_RIGHT_SEE_ALL_QUERIES);
	uint64_t owner = all ? 0 : r->who.id;
	bool seen = l.n > 0; /* narrowed callers do not see all of their own */
	nx_buf_done(&l.b);
	if (c)
		return c;
	if (!seen || !nx_exec_cancel(r->gw->exec, r->path[0], owner, NX_E_QUERY_CANCELED))
		return nx_fail(&r->err, NX_E_QUERY_NOT_FOUND, "No such query is running.");
	nx_request_reply(r, 204, NULL, NX_STR(""));
	return NX_OK;
}
