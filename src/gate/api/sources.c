/* Data sources and drivers. */
#include <stdio.h>

#include "base/clock.h"
#include "catalog/vitals.h"
#include "gate/api/api.h"
#include "gate/guard.h"

/* The layers that hold for a driver, as docs/security.md names them: A is always there. */
void nx_put_layers(struct nx_buf *b, const struct nx_driver *d, bool grants)
{
	unsigned caps = d ? d->caps : 0;
	nx_buf_printf(
		b,
		"{\"shape\":true,\"server\":%s,\"describe\":%s,\"oneStatement\":%s,\"grants\":%s}",
		caps & NX_CAP_RO_SESSION ? "true" : "false",
		caps & NX_CAP_DESCRIBE ? "true" : "false",
		caps & NX_CAP_ONE_STATEMENT ? "true" : "false", grants ? "true" : "false");
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
		nx_put_layers(&b, d, d && d->caps & NX_CAP_GRANTS);
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
	if (page > 0 && nx_query_param(r, "offset").ptr)
		return nx_fail(&r->err, NX_E_BAD_VALUE, "Give page or offset, not both.");
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

/* `report`: what a test of it said, a JSON value; ptr NULL: it was not tested. Of a source that another stands in
 * for, itself is shown, as in the list: the other does not exist for the caller. */
static enum nx_code show(struct nx_request *r, int status, struct nx_str report)
{
	struct nx_buf b;
	nx_buf_init(&b, (size_t)1 << 20);
	nx_data_source_json(r->asked ? r->asked : r->source, &b);
	if (report.ptr && b.len > 0) {
		b.len--; /* the closing brace */
		nx_buf_puts(&b, ",\"test\":");
		nx_buf_put_str(&b, report);
		nx_buf_putc(&b, '}');
	}
	nx_request_data(r, status, nx_buf_str(&b));
	nx_buf_done(&b);
	return NX_OK;
}

enum nx_code nx_act_source_show(struct nx_request *r)
{
	enum nx_code c = nx_step_resolve_source(r, r->path[0]);
	return c ? c : show(r, 200, (struct nx_str){ NULL, 0 });
}

enum nx_code nx_source_refused(struct nx_request *r, struct nx_str rules, enum nx_code c)
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

enum nx_code nx_act_source_create(struct nx_request *r)
{
	struct nx_str rules = { NULL, 0 };
	enum nx_code c = nx_catalog_create(r->gw->catalog, r->body, nx_str(r->who.name), r->arena,
					   &rules, &r->source, &r->err);
	if (c)
		return nx_source_refused(r, rules, c);
	struct nx_str report = { NULL, 0 };
	c = nx_source_first_test(r, &report);
	if (c)
		return c;
	char where[80];
	(void)snprintf(where, sizeof(where), "/api/v1/datasources/%s", r->source->id);
	nx_http_add_header(r->x, "Location", nx_str(where));
	return show(r, 201, report);
}

enum nx_code nx_act_source_replace(struct nx_request *r)
{
	struct nx_str rules = { NULL, 0 };
	enum nx_code c =
		nx_catalog_replace(r->gw->catalog, r->path[0], r->body, nx_str(r->who.name),
				   r->arena, &rules, &r->source, &r->err);
	if (c)
		return nx_source_refused(r, rules, c);
	return nx_source_replaced(r);
}

enum nx_code nx_source_replaced(struct nx_request *r)
{
	struct nx_str report = { NULL, 0 };
	nx_vitals_again(nx_data_source_vitals(r->source));
	enum nx_code c = nx_source_first_test(r, &report);
	return c ? c : show(r, 200, report);
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
