/* GET /query/history: finished queries from the store, filtered. */
#include "base/clock.h"
#include "gate/api/api.h"
#include "gate/guard.h"

struct search {
	struct nx_visible view;
	struct nx_str principal, source, status; /* ptr NULL: any */
	struct nx_str since, until; /* as the store writes times */
	struct nx_buf b;
	uint32_t n;
};

static bool wants(const struct nx_store_history *h, void *arg)
{
	const struct search *s = arg;
	if ((s->principal.ptr && !nx_str_eq(s->principal, h->principal)) ||
	    (s->source.ptr && !nx_str_eq(s->source, h->source_id)) ||
	    (s->status.ptr && !nx_str_eq(s->status, h->status)) ||
	    !nx_visible_has(&s->view, h->source_id))
		return false;
	/* texts of one form, and so in the order of time */
	if (h->started_at.len != NX_ISO_LEN - 1)
		return !s->since.ptr && !s->until.ptr;
	return (!s->since.ptr || memcmp(h->started_at.ptr, s->since.ptr, NX_ISO_LEN - 1) >= 0) &&
	       (!s->until.ptr || memcmp(h->started_at.ptr, s->until.ptr, NX_ISO_LEN - 1) < 0);
}

static enum nx_code put(const struct nx_store_history *h, void *arg, struct nx_error *err)
{
	struct search *s = arg;
	(void)err;
	const struct {
		const char *key;
		struct nx_str v;
	} texts[] = {
		{ "queryId", h->query_id },
		{ "correlationId", h->correlation_id },
		{ "principal", h->principal },
		{ "dataSourceId", h->source_id },
		{ "databaseType", h->source_type },
		{ "status", h->status },
		{ "code", h->code },
		{ "startedAt", h->started_at },
	};
	nx_buf_puts(&s->b, s->n++ ? ",{" : "{");
	for (uint32_t i = 0; i < NX_COUNTOF(texts); i++) {
		nx_buf_printf(&s->b, "%s\"%s\":", i ? "," : "", texts[i].key);
		nx_buf_put_json(&s->b, texts[i].v);
	}
	nx_buf_printf(
		&s->b,
		",\"fingerprint\":\"%016llx\",\"rows\":%llu,\"bytes\":%llu,\"elapsedMs\":%llu}",
		(unsigned long long)h->fingerprint, (unsigned long long)h->rows,
		(unsigned long long)h->bytes, (unsigned long long)(h->elapsed_us / 1000));
	return NX_OK;
}

/* ---- parameters ---- */

static bool in_range(const char *at, int low, int high)
{
	int v = (at[0] - '0') * 10 + (at[1] - '0');
	return v >= low && v <= high;
}

/* 2026-01-02, 2026-01-02T03:04Z, with seconds, with parts of them: in full, or false. */
static bool full_time(struct nx_str s, char ret[NX_ISO_LEN])
{
	memcpy(ret, "0000-01-01T00:00:00.000Z", NX_ISO_LEN);
	bool zone = s.len > 10;
	if (zone && s.ptr[s.len - 1] != 'Z')
		return false;
	size_t n = s.len - zone;
	if (n != 10 && n != 16 && n != 19 && !(n > 20 && n < NX_ISO_LEN - 1))
		return false;
	for (size_t i = 0; i < n; i++) {
		bool digit = s.ptr[i] >= '0' && s.ptr[i] <= '9';
		if (ret[i] >= '0' && ret[i] <= '9' ? !digit : s.ptr[i] != ret[i])
			return false;
		ret[i] = s.ptr[i];
	}
	return in_range(ret + 5, 1, 12) && in_range(ret + 8, 1, 31) && in_range(ret + 11, 0, 23) &&
	       in_range(ret + 14, 0, 59) && in_range(ret + 17, 0, 60);
}

static enum nx_code time_param(struct nx_request *r, const char *name, struct nx_str *ret)
{
	struct nx_str s = nx_query_param(r, name);
	if (!s.ptr)
		return NX_OK;
	char *text = nx_arena_alloc(r->arena, NX_ISO_LEN);
	if (!text)
		return nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	if (!full_time(s, text))
		return nx_fail(&r->err, NX_E_BAD_VALUE,
			       "%s must be a time in UTC, like 2026-01-02T03:04:05Z.", name);
	*ret = nx_strn(text, NX_ISO_LEN - 1);
	return NX_OK;
}

static enum nx_code status_param(struct nx_request *r, struct nx_str *ret)
{
	*ret = nx_query_param(r, "status");
	for (int o = 0; ret->ptr && o < NX_OUTCOME_COUNT; o++)
		if (nx_str_is(*ret, nx_outcome_name((enum nx_outcome)o)))
			return NX_OK;
	return !ret->ptr ? NX_OK
			 : nx_fail(&r->err, NX_E_BAD_VALUE,
				   "status must be success, error, timeout, canceled or rejected.");
}

/* Everybody sees what is theirs; whose it is, is asked by those who see all. */
static enum nx_code principal_param(struct nx_request *r, struct nx_str *ret)
{
	struct nx_str asked = nx_query_param(r, "principal"), own = nx_str(r->who.name);
	bool all = nx_principal_may(&r->who, NX_RIGHT_SEE_ALL_QUERIES);
	*ret = all ? asked : own;
	if (asked.ptr && !all && !nx_str_eq(asked, own))
		return nx_fail(&r->err, NX_E_FORBIDDEN, "Only your own queries are shown to you.");
	return NX_OK;
}

/* By name or id; one that is gone is known by its id only. */
static void source_param(struct nx_request *r, struct nx_str *ret)
{
	const struct nx_data_source *s;
	struct nx_error err;
	*ret = nx_query_param(r, "source");
	if (!ret->ptr || nx_catalog_get(r->gw->catalog, *ret, &s, &err))
		return;
	const struct nx_data_source *serving = nx_guard_serving(r, s);
	if (serving) {
		struct nx_str id = nx_arena_str(r->arena, nx_str(serving->id));
		*ret = id.ptr ? id : *ret;
		nx_data_source_unref(serving);
	}
	nx_data_source_unref(s);
}

enum nx_code nx_act_history(struct nx_request *r)
{
	uint32_t limit, offset;
	struct search s = { .n = 0 };
	enum nx_code c = nx_query_param_u32(r, "limit", 100, 1000, &limit, &r->err);
	if (!c)
		c = nx_query_param_u32(r, "offset", 0, UINT32_MAX, &offset, &r->err);
	if (!c)
		c = status_param(r, &s.status);
	if (!c)
		c = principal_param(r, &s.principal);
	if (!c)
		c = time_param(r, "since", &s.since);
	if (!c)
		c = time_param(r, "until", &s.until);
	if (c)
		return c;
	source_param(r, &s.source);
	nx_visible_init(&s.view, r);
	nx_buf_init(&s.b, (size_t)8 << 20);
	nx_buf_puts(&s.b, "{\"queries\":[");
	c = nx_store_history_list(r->gw->store, wants, offset, limit, put, &s, &r->err);
	nx_buf_puts(&s.b, "]}");
	if (!c && s.b.failed)
		c = nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	if (!c)
		nx_request_data(r, 200, nx_buf_str(&s.b));
	nx_buf_done(&s.b);
	return c;
}
