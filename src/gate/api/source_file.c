/* Data sources as a file. */
#include "catalog/vitals.h"
#include "gate/api/api.h"
#include "gate/guard.h"

static void put_one(const struct nx_data_source *s, void *arg)
{
	nx_data_source_yaml(s, arg);
}

enum nx_code nx_act_source_export(struct nx_request *r)
{
	struct nx_buf b;
	uint32_t total = 0;
	nx_buf_init(&b, (size_t)64 << 20);
	nx_buf_puts(&b, "# Secrets are not in here: an import keeps those of sources that are "
			"there already.\n");
	size_t head = b.len;
	nx_buf_puts(&b, "sources:\n");
	enum nx_code c = nx_catalog_list(r->gw->catalog, NX_STR(""), NX_STR(""), 0, UINT32_MAX,
					 &total, put_one, &b, &r->err);
	if (!c && total == 0) {
		b.len = head;
		nx_buf_puts(&b, "sources: []\n");
	}
	if (!c && b.failed)
		c = nx_fail(&r->err, NX_E_RESULT_TOO_LARGE,
			    "The data sources are too large for one file.");
	if (!c)
		nx_request_reply(r, 200, "application/yaml", nx_buf_str(&b));
	nx_buf_done(&b);
	return c;
}

enum nx_code nx_act_source_import(struct nx_request *r)
{
	static const char *const words[] = { "created", "changed", "unchanged" };
	struct nx_str dry = nx_query_param(r, "dryRun");
	if (dry.ptr && !nx_str_is(dry, "true") && !nx_str_is(dry, "false"))
		return nx_fail(&r->err, NX_E_BAD_VALUE, "dryRun must be true or false.");
	bool only_look = nx_str_is(dry, "true");
	struct nx_imported *all = NULL;
	uint32_t n = 0;
	enum nx_code c = nx_catalog_import(r->gw->catalog, r->body, only_look, nx_str(r->who.name),
					   r->arena, &all, &n, &r->err);
	if (c)
		return c;
	struct nx_buf b;
	nx_buf_init(&b, (size_t)64 << 20);
	nx_buf_printf(&b, "{\"dryRun\":%s,\"dataSources\":[", only_look ? "true" : "false");
	for (uint32_t i = 0; i < n; i++) {
		nx_buf_puts(&b, i ? ",{\"name\":" : "{\"name\":");
		nx_buf_put_json(&b, all[i].name);
		if (!only_look || all[i].what != NX_IMPORT_CREATED)
			nx_buf_printf(&b, ",\"id\":\"%s\"", all[i].id);
		nx_buf_printf(&b, ",\"result\":\"%s\"}", words[all[i].what]);
	}
	nx_buf_puts(&b, "]}");
	if (b.failed)
		c = nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	else
		nx_request_data(r, 200, nx_buf_str(&b));
	nx_buf_done(&b);
	return c;
}
