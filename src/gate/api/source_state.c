/* How a data source is, and what an operator may make of that. */
#include "base/clock.h"
#include "catalog/vitals.h"
#include "exec/health.h"
#include "gate/api/api.h"

/* ---- tests ---- */

static void put_test(struct nx_buf *b, const struct nx_data_source *s, enum nx_code c, int64_t took,
		     const struct nx_grants *g, const struct nx_error *why)
{
	nx_buf_printf(b, "{\"ok\":%s,\"latencyMs\":%.3f", c ? "false" : "true", (double)took / 1e6);
	if (c) {
		nx_buf_puts(b, ",\"error\":");
		nx_encode_error(why, b);
	}
	bool known = s->driver->probe && (!c || c == NX_E_ACCOUNT_NOT_FIT);
	if (known) {
		nx_buf_printf(b,
			      ",\"grants\":{\"superuser\":%s,\"canWrite\":%s,\"canFiles\":%s,"
			      "\"summary\":",
			      g->superuser ? "true" : "false", g->can_write ? "true" : "false",
			      g->can_files ? "true" : "false");
		nx_buf_put_json(b, nx_str(g->summary));
		nx_buf_putc(b, '}');
	}
	nx_buf_puts(b, ",\"readOnlyLayers\":");
	nx_put_layers(b, s->driver, known && nx_grants_read_only(g));
	nx_buf_putc(b, '}');
}

/* r->source is looked at; what that makes of its status is kept, and *report says it. */
static enum nx_code test(struct nx_request *r, struct nx_str *report)
{
	const struct nx_data_source *s = r->source;
	struct nx_vitals *v = nx_data_source_vitals(s);
	struct nx_grants g = { .superuser = false };
	struct nx_error why;
	int64_t took = 0;
	enum nx_code t = nx_health_probe(s, nx_now() + (int64_t)s->limits.connect_ms * NX_MS, &g,
					 &took, &why);
	struct nx_buf b;
	nx_buf_init(&b, 16384);
	put_test(&b, s, t, took, &g, &why);
	*report = nx_arena_str(r->arena, nx_buf_str(&b));
	nx_buf_done(&b);
	if (!report->ptr)
		return nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	enum nx_source_event e = NX_EV_TEST_OK;
	if (t) {
		uint32_t faults = nx_vitals_fault(v, &why, nx_now());
		bool first = s->status == NX_SOURCE_DRAFT || t == NX_E_ACCOUNT_NOT_FIT;
		if (!first && faults < NX_FAULTS_MAX)
			return NX_OK;
		e = first ? NX_EV_TEST_FAILED : NX_EV_FAULTS;
	} else {
		nx_vitals_good(v, nx_now());
	}
	struct nx_str id = nx_arena_str(r->arena, nx_str(s->id));
	enum nx_code c = id.ptr ? nx_catalog_event(r->gw->catalog, s, e, &r->err)
				: nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	if (c ==
	    NX_E_SOURCE_CHANGED) { /* the report is of what was asked for, and says nothing of what is now */
		nx_error_clear(&r->err);
		return NX_OK;
	}
	if (c)
		return c;
	nx_data_source_unref(r->source);
	r->source = NULL;
	/* the caller was let at it; a stand-in would not be found by its own name */
	return nx_catalog_get(r->gw->catalog, id, &r->source, &r->err);
}

enum nx_code nx_source_first_test(struct nx_request *r, struct nx_str *report)
{
	struct nx_str skip = nx_query_param(r, "skipTest");
	const struct nx_json *in_body = nx_json_get(r->body, "skipTest");
	if (in_body)
		skip = in_body->text;
	if ((skip.ptr && !nx_str_is(skip, "false")) || !r->source->driver ||
	    r->source->status != NX_SOURCE_DRAFT)
		return NX_OK;
	return test(r, report);
}

static enum nx_code find_built(struct nx_request *r)
{
	enum nx_code c = nx_step_resolve_source(r, r->path[0]);
	if (!c && !r->source->driver)
		c = nx_fail(&r->err, NX_E_DRIVER_NOT_BUILT,
			    "The type %s is known but its driver is not built in.",
			    r->source->type->name);
	if (!c && r->source->problem)
		c = nx_fail(&r->err, r->source->problem, "%s", r->source->problem_text);
	return c;
}

enum nx_code nx_act_source_test(struct nx_request *r)
{
	struct nx_str report;
	enum nx_code c = find_built(r);
	if (c)
		return c;
	nx_vitals_again(nx_data_source_vitals(r->source));
	c = test(r, &report);
	if (!c)
		nx_request_data(r, 200, report);
	return c;
}

/* ---- activate, deactivate ---- */

/* An account with conditions must meet them now. */
static enum nx_code must_be_fit(struct nx_request *r)
{
	const struct nx_data_source *s = r->source;
	struct nx_grants g;
	int64_t took;
	int64_t deadline = nx_now() + (int64_t)s->limits.connect_ms * NX_MS;
	return s->account == NX_ACCOUNT_ANY ? NX_OK
					    : nx_health_probe(s, deadline, &g, &took, &r->err);
}

static enum nx_code show_anew(struct nx_request *r)
{
	nx_data_source_unref(r->source);
	r->source = NULL;
	return nx_act_source_show(r);
}

enum nx_code nx_act_source_activate(struct nx_request *r)
{
	enum nx_code c = find_built(r);
	if (!c)
		c = must_be_fit(r);
	if (c)
		return c;
	nx_vitals_again(nx_data_source_vitals(r->source));
	c = nx_catalog_event(r->gw->catalog, r->source, NX_EV_ACTIVATE, &r->err);
	return c ? c : show_anew(r);
}

enum nx_code nx_act_source_deactivate(struct nx_request *r)
{
	enum nx_code c = nx_step_resolve_source(r, r->path[0]);
	if (c)
		return c;
	/* whatever its config is by now */
	nx_vitals_again(nx_data_source_vitals(r->source));
	c = nx_catalog_set_status(r->gw->catalog, nx_str(r->source->id), NX_SOURCE_INACTIVE,
				  &r->err);
	return c ? c : show_anew(r);
}

/* ---- test-query ---- */

enum nx_code nx_source_unsaved(struct nx_request *r)
{
	struct nx_json name = { .kind = NX_JSON_STRING,
				.key = NX_STR("name"),
				.text = NX_STR("test-query") };
	const struct nx_json *type = nx_json_get(r->body, "type"),
			     *config = nx_json_get(r->body, "config");
	struct nx_json t = *type, body = { .kind = NX_JSON_OBJECT, .first = &name, .count = 2 }, k;
	name.next = &t;
	t.next = NULL;
	if (config) {
		k = *config;
		k.next = NULL;
		t.next = &k;
		body.count = 3;
	}
	struct nx_str rules = { NULL, 0 };
	enum nx_code c =
		nx_catalog_build(r->gw->catalog, &body, r->arena, &rules, &r->source, &r->err);
	if (c || !r->source->driver)
		return c ? c
			 : nx_fail(&r->err, NX_E_DRIVER_NOT_BUILT,
				   "The type %s is known but its driver is not built in.",
				   r->source->type->name);
	return must_be_fit(r);
}

/* ---- versions ---- */

enum nx_code nx_act_source_versions(struct nx_request *r)
{
	enum nx_code c = nx_step_resolve_source(r, r->path[0]);
	if (c)
		return c;
	struct nx_buf b;
	nx_buf_init(&b, (size_t)16 << 20);
	nx_buf_printf(&b, "{\"id\":\"%s\",\"versions\":", r->source->id);
	c = nx_catalog_versions(r->gw->catalog, nx_str(r->source->id), r->arena, &b, &r->err);
	nx_buf_putc(&b, '}');
	if (!c && b.failed)
		c = nx_fail(&r->err, NX_E_RESULT_TOO_LARGE, "The versions are too large to show.");
	if (!c)
		nx_request_data(r, 200, nx_buf_str(&b));
	nx_buf_done(&b);
	return c;
}

enum nx_code nx_act_source_rollback(struct nx_request *r)
{
	enum nx_code c = nx_step_resolve_source(r, r->path[0]);
	uint64_t version = 0;
	if (!c && !nx_str_to_u64(nx_json_get(r->body, "version")->text, &version))
		c = nx_fail(&r->err, NX_E_BAD_VALUE, "version must be a whole number.");
	if (c)
		return c;
	const struct nx_data_source *fresh;
	struct nx_str rules = { NULL, 0 };
	c = nx_catalog_rollback(r->gw->catalog, nx_str(r->source->id), (uint32_t)version,
				nx_str(r->who.name), r->arena, &rules, &fresh, &r->err);
	if (c)
		return nx_source_refused(r, rules, c);
	nx_data_source_unref(r->source);
	r->source = fresh;
	return nx_source_replaced(r);
}

/* ---- status ---- */

struct pool_find {
	const char *id;
	struct nx_pool_stats s;
};

static void find_pool(const struct nx_pool_stats *s, void *arg)
{
	struct pool_find *f = arg;
	if (strcmp(s->id, f->id) == 0)
		nx_pool_stats_add(&f->s, s);
}

enum nx_code nx_act_source_status(struct nx_request *r)
{
	enum nx_code c = nx_step_resolve_source(r, r->path[0]);
	if (c)
		return c;
	struct pool_find f = { .id = r->source->id };
	nx_exec_pools(r->gw->exec, find_pool, &f);
	struct nx_buf b;
	nx_buf_init(&b, 65536);
	nx_buf_printf(&b, "{\"id\":\"%s\",\"status\":\"%s\",\"version\":%u,",
		      r->asked ? r->asked->id : r->source->id,
		      nx_source_status_name(r->source->status), r->source->version);
	nx_vitals_write(r->source, &b);
	nx_buf_puts(&b, ",\"readOnlyLayers\":");
	nx_put_layers(&b, r->source->driver, nx_vitals_read_only(nx_data_source_vitals(r->source)));
	nx_buf_printf(&b,
		      ",\"pool\":{\"max\":%u,\"active\":%u,\"streams\":%u,\"open\":%u,\"idle\":%u,"
		      "\"waiting\":%u,\"connects\":%llu,\"connectFailures\":%llu}}",
		      r->source->limits.max_pool, f.s.active, f.s.streams, f.s.open, f.s.idle,
		      f.s.waiting, (unsigned long long)f.s.connects,
		      (unsigned long long)f.s.connect_failures);
	nx_request_data(r, 200, nx_buf_str(&b));
	nx_buf_done(&b);
	return NX_OK;
}
