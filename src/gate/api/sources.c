/* Data sources and drivers. */
#include <stdio.h>

#include "base/clock.h"
#include "gate/api/api.h"
#include "gate/guard.h"

/* The layers that hold for a driver, as docs/security.md names them: A is always there. */
static void put_layers(struct nx_buf *b, const struct nx_driver *d)
{
	unsigned caps = d ? d->caps : 0;
	nx_buf_printf(
		b,
		"{\"shape\":true,\"server\":%s,\"describe\":%s,\"oneStatement\":%s,\"grants\":%s}",
		caps & NX_CAP_RO_SESSION ? "true" : "false",
		caps & NX_CAP_DESCRIBE ? "true" : "false",
		caps & NX_CAP_ONE_STATEMENT ? "true" : "false",
		caps & NX_CAP_GRANTS ? "true" : "false");
}

enum nx_code nx_act_drivers(struct nx_request *r)
{
	static const struct {
		unsigned bit;
		const char *name;
	} caps[] = {
		{ NX_CAP_STREAM, "stream" },	 { NX_CAP_CANCEL, "cancel" },
		{ NX_CAP_PARAMS, "parameters" }, { NX_CAP_CATALOG, "catalog" },
		{ NX_CAP_POOLABLE, "pool" },
	};
	struct nx_buf b;
	nx_buf_init(&b, (size_t)1 << 20);
	nx_buf_puts(&b, "{\"drivers\":[");
	for (uint32_t i = 0; i < nx_source_type_count; i++) {
		const struct nx_source_type *t = &nx_source_types[i];
		const struct nx_driver *d = nx_driver_find(t->driver);
		nx_buf_printf(
			&b,
			"%s{\"type\":\"%s\",\"group\":\"%s\",\"driver\":\"%s\",\"dialect\":\"%s\","
			"\"builtIn\":%s,\"defaultPort\":%u,\"capabilities\":[",
			i ? "," : "", t->name, t->group, t->driver, nx_dialect_name(t->dialect),
			d ? "true" : "false", t->port);
		bool any = false;
		for (uint32_t k = 0; d && k < NX_COUNTOF(caps); k++)
			if (d->caps & caps[k].bit) {
				nx_buf_printf(&b, "%s\"%s\"", any ? "," : "", caps[k].name);
				any = true;
			}
		nx_buf_puts(&b, "],\"readOnlyLayers\":");
		put_layers(&b, d);
		nx_buf_printf(
			&b, ",\"verified\":\"%s\",\"verifiedNote\":", d ? t->proof : "unverified");
		nx_buf_put_json(&b, nx_str(t->proof_note ? t->proof_note : ""));
		if (d && d->version) {
			nx_buf_puts(&b, ",\"library\":");
			nx_buf_put_json(&b, nx_str(d->version));
		}
		nx_buf_putc(&b, '}');
	}
	nx_buf_puts(&b, "]}");
	nx_request_data(r, 200, nx_buf_str(&b));
	nx_buf_done(&b);
	return NX_OK;
}

struct page {
	struct nx_request *r;
	struct nx_buf b;
	uint32_t n, seen, offset, limit;
};

static void put_source(const struct nx_data_source *s, void *arg)
{
	struct page *p = arg;
	if (!nx_guard_sees(p->r, s) || p->seen++ < p->offset || p->n >= p->limit)
		return;
	if (p->n++)
		nx_buf_putc(&p->b, ',');
	nx_data_source_json(s, &p->b);
}

static bool known_status(struct nx_str s)
{
	for (int i = NX_SOURCE_DRAFT; i <= NX_SOURCE_ERROR; i++)
		if (nx_str_is(s, nx_source_status_name((enum nx_source_status)i)))
			return true;
	return false;
}

enum nx_code nx_act_sources(struct nx_request *r)
{
	uint32_t limit, offset, page, total;
	enum nx_code c = nx_query_param_u32(r, "limit", 100, 1000, &limit, &r->err);
	if (!c)
		c = nx_query_param_u32(r, "offset", 0, UINT32_MAX, &offset, &r->err);
	if (!c)
		c = nx_query_param_u32(r, "page", 0, 1000000, &page, &r->err);
	if (c)
		return c;
	if (page > 0)
		offset = (page - 1) * limit;
	struct nx_str type = nx_query_param(r, "type"), status = nx_query_param(r, "status");
	if (type.len && !nx_source_type_find(type))
		return nx_fail(&r->err, NX_E_BAD_VALUE,
			       "type: there is no such type; see GET /api/v1/drivers.");
	if (status.len && !known_status(status))
		return nx_fail(&r->err, NX_E_BAD_VALUE,
			       "status must be draft, active, inactive or error.");
	struct page p = { .r = r, .offset = offset, .limit = limit };
	nx_buf_init(&p.b, (size_t)32 << 20);
	nx_buf_puts(&p.b, "{\"dataSources\":[");
	/* paged here: what the caller may not see is not counted either */
	c = nx_catalog_list(r->gw->catalog, type, status, 0, UINT32_MAX, &total, put_source, &p,
			    &r->err);
	if (!c && p.b.failed)
		c = nx_fail(&r->err, NX_E_RESULT_TOO_LARGE,
			    "The list is too large; ask for fewer with limit.");
	if (!c) {
		nx_buf_printf(&p.b, "],\"total\":%u,\"offset\":%u,\"limit\":%u}", p.seen, offset,
			      limit);
		nx_request_data(r, 200, nx_buf_str(&p.b));
	}
	nx_buf_done(&p.b);
	return c;
}

static enum nx_code show(struct nx_request *r, int status)
{
	struct nx_buf b;
	nx_buf_init(&b, (size_t)1 << 20);
	nx_data_source_json(r->source, &b);
	nx_request_data(r, status, nx_buf_str(&b));
	nx_buf_done(&b);
	return NX_OK;
}

enum nx_code nx_act_source_show(struct nx_request *r)
{
	enum nx_code c = nx_step_resolve_source(r, r->path[0]);
	return c ? c : show(r, 200);
}

/* A refused config answers with every broken rule, not only the first. */
static enum nx_code refused(struct nx_request *r, struct nx_str rules, enum nx_code c)
{
	if (!rules.ptr || rules.len <= 2)
		return c;
	struct nx_buf b;
	nx_buf_init(&b, (size_t)1 << 20);
	char now[NX_ISO_LEN];
	nx_iso_time(nx_wall_us(), now);
	nx_buf_printf(
		&b, "{\"success\":false,\"error\":{\"code\":\"%s\",\"message\":", nx_code_name(c));
	nx_buf_put_json(&b, nx_str(r->err.message));
	nx_buf_puts(&b, ",\"details\":{\"rules\":");
	nx_buf_put_str(&b, rules);
	nx_buf_printf(&b, "}},\"correlationId\":\"%s\",\"timestamp\":\"%s\"}\n", r->correlation,
		      now);
	nx_request_reply(r, nx_code_http(c), "application/json", nx_buf_str(&b));
	nx_buf_done(&b);
	return c;
}

static enum nx_code try_connection(const struct nx_data_source *s, struct nx_grants *grants,
				   int64_t *took, struct nx_error *err)
{
	int64_t deadline = nx_now() + (int64_t)s->limits.connect_ms * NX_MS;
	return nx_exec_probe(s, deadline, grants, took, err);
}

/* A new source is tested at once: active when it answers, error when it does not. */
static enum nx_code first_test(struct nx_request *r)
{
	struct nx_str skip = nx_query_param(r, "skipTest");
	const struct nx_json *in_body = nx_json_get(r->body, "skipTest");
	if (in_body)
		skip = in_body->text;
	if ((skip.ptr && !nx_str_is(skip, "false")) || !r->source->driver ||
	    r->source->status != NX_SOURCE_DRAFT)
		return NX_OK;
	struct nx_grants g;
	int64_t took;
	struct nx_error why;
	enum nx_source_status s =
		try_connection(r->source, &g, &took, &why) ? NX_SOURCE_ERROR : NX_SOURCE_ACTIVE;
	struct nx_str id = nx_arena_str(r->arena, nx_str(r->source->id));
	if (!id.ptr)
		return nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	enum nx_code c = nx_catalog_set_status(r->gw->catalog, id, s, &r->err);
	if (c)
		return c;
	nx_data_source_unref(r->source);
	r->source = NULL;
	return nx_step_resolve_source(r, id);
}

enum nx_code nx_act_source_create(struct nx_request *r)
{
	struct nx_str rules = { NULL, 0 };
	enum nx_code c =
		nx_catalog_create(r->gw->catalog, r->body, r->arena, &rules, &r->source, &r->err);
	if (c)
		return refused(r, rules, c);
	c = first_test(r);
	if (c)
		return c;
	char where[80];
	(void)snprintf(where, sizeof(where), "/api/v1/datasources/%s", r->source->id);
	nx_http_add_header(r->x, "Location", nx_str(where));
	return show(r, 201);
}

enum nx_code nx_act_source_replace(struct nx_request *r)
{
	struct nx_str rules = { NULL, 0 };
	enum nx_code c = nx_catalog_replace(r->gw->catalog, r->path[0], r->body, r->arena, &rules,
					    &r->source, &r->err);
	return c ? refused(r, rules, c) : show(r, 200);
}

enum nx_code nx_act_source_delete(struct nx_request *r)
{
	enum nx_code c = nx_catalog_delete(r->gw->catalog, r->path[0], &r->err);
	if (!c) /* the stored list went with the source; this is the one in memory */
		c = nx_grants_set(r->gw->grants, r->path[0], NULL, &r->err);
	if (!c)
		nx_request_reply(r, 204, NULL, NX_STR(""));
	return c;
}

static enum nx_code set_status(struct nx_request *r, enum nx_source_status s)
{
	enum nx_code c = nx_catalog_set_status(r->gw->catalog, r->path[0], s, &r->err);
	return c ? c : nx_act_source_show(r);
}

enum nx_code nx_act_source_activate(struct nx_request *r)
{
	return set_status(r, NX_SOURCE_ACTIVE);
}

enum nx_code nx_act_source_deactivate(struct nx_request *r)
{
	return set_status(r, NX_SOURCE_INACTIVE);
}

enum nx_code nx_act_source_test(struct nx_request *r)
{
	enum nx_code c = nx_step_resolve_source(r, r->path[0]);
	if (c)
		return c;
	if (!r->source->driver)
		return nx_fail(&r->err, NX_E_DRIVER_NOT_BUILT,
			       "The type %s is known but its driver is not built in.",
			       r->source->type->name);
	struct nx_grants g = { .superuser = false };
	int64_t took = 0;
	struct nx_error why;
	enum nx_code t = try_connection(r->source, &g, &took, &why);
	struct nx_buf b;
	nx_buf_init(&b, 16384);
	nx_buf_printf(&b, "{\"ok\":%s,\"latencyMs\":%.3f", t ? "false" : "true",
		      (double)took / 1e6);
	if (t) {
		nx_buf_puts(&b, ",\"error\":");
		nx_encode_error(&why, &b);
	} else if (r->source->driver->probe) {
		nx_buf_printf(&b,
			      ",\"grants\":{\"superuser\":%s,\"canWrite\":%s,\"canFiles\":%s,"
			      "\"summary\":",
			      g.superuser ? "true" : "false", g.can_write ? "true" : "false",
			      g.can_files ? "true" : "false");
		nx_buf_put_json(&b, nx_str(g.summary));
		nx_buf_putc(&b, '}');
	}
	nx_buf_puts(&b, ",\"readOnlyLayers\":");
	put_layers(&b, r->source->driver);
	nx_buf_putc(&b, '}');
	nx_request_data(r, 200, nx_buf_str(&b));
	nx_buf_done(&b);
	return NX_OK;
}

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
	nx_buf_init(&b, 16384);
	nx_buf_printf(&b, "{\"id\":\"%s\",\"status\":\"%s\",\"version\":%u,\"readOnlyLayers\":",
		      r->source->id, nx_source_status_name(r->source->status), r->source->version);
	put_layers(&b, r->source->driver);
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
