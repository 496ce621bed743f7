/* Who may see and query a data source. */
#include "gate/api/api.h"
#include "gate/guard.h"

enum nx_code nx_act_grants(struct nx_request *r)
{
	enum nx_code c = nx_step_resolve_source(r, r->path[0]);
	if (c)
		return c;
	struct nx_buf b;
	nx_buf_init(&b, (size_t)2 << 20);
	nx_buf_printf(&b, "{\"dataSourceId\":\"%s\",\"default\":\"%s\",\"grants\":", r->source->id,
		      nx_opt_str(r->gw->config.values, "auth.defaultGrant", ""));
	if (!nx_grants_write(r->gw->grants, nx_guard_source_key(r), &b))
		nx_buf_puts(&b, "null");
	nx_buf_putc(&b, '}');
	nx_request_data(r, 200, nx_buf_str(&b));
	nx_buf_done(&b);
	return NX_OK;
}

/* The sources that stand in must be there, and be others. That one of them is deleted later closes the grant. */
static enum nx_code check_use(struct nx_request *r, const struct nx_json *list)
{
	for (const struct nx_json *g = list->first; g; g = g->next) {
		const struct nx_json *use = nx_json_get(g, "use");
		const struct nx_data_source *s;
		if (!use || use->kind != NX_JSON_STRING)
			continue; /* nx_grants_set() judges the form */
		enum nx_code c = nx_catalog_get(r->gw->catalog, use->text, &s, &r->err);
		bool other = !c && strcmp(s->id, r->source->id) != 0;
		if (!c)
			nx_data_source_unref(s);
		if (!other)
			return nx_fail(&r->err, NX_E_BAD_VALUE,
				       "use: there is no other data source %.60s.", use->text.ptr);
	}
	return NX_OK;
}

enum nx_code nx_act_grants_replace(struct nx_request *r)
{
	const struct nx_json *list = nx_json_get(r->body, "grants");
	if (!list || r->body->count != 1)
		return nx_fail(&r->err, list ? NX_E_UNKNOWN_KEY : NX_E_MISSING_KEY,
			       "The body has the field grants and no other.");
	enum nx_code c = nx_step_resolve_source(r, r->path[0]);
	if (!c)
		c = check_use(r, list);
	if (!c)
		c = nx_grants_set(r->gw->grants, nx_guard_source_key(r), list, &r->err);
	if (c)
		return c;
	nx_data_source_unref(r->source);
	r->source = NULL;
	return nx_act_grants(r);
}

enum nx_code nx_act_grants_delete(struct nx_request *r)
{
	enum nx_code c = nx_step_resolve_source(r, r->path[0]);
	if (!c)
		c = nx_grants_set(r->gw->grants, nx_guard_source_key(r), NULL, &r->err);
	if (!c)
		nx_request_reply(r, 204, NULL, NX_STR(""));
	return c;
}
