/* API keys and tokens. What is issued is shown once and never stored: keys as a hash, tokens not at
 * all. */
#include "base/clock.h"
#include "gate/api/api.h"

struct listing {
	struct nx_auth *auth;
	struct nx_buf b;
};

static void put_text_or_null(struct nx_buf *b, const char *key, struct nx_str v)
{
	nx_buf_printf(b, ",\"%s\":", key);
	if (v.len)
		nx_buf_put_json(b, v);
	else
		nx_buf_puts(b, "null");
}

static enum nx_code put_key(const struct nx_store_key *k, void *arg, struct nx_error *err)
{
	struct listing *l = arg;
	struct nx_buf *b = &l->b;
	char used[NX_ISO_LEN];
	(void)err;
	const struct {
		const char *key;
		struct nx_str v;
	} texts[] = { { "id", k->id },
		      { "name", k->name },
		      { "prefix", k->prefix },
		      { "role", k->role },
		      { "createdAt", k->created_at } };
	nx_buf_puts(b, b->data[b->len - 1] == '[' ? "{" : ",{");
	for (uint32_t i = 0; i < NX_COUNTOF(texts); i++) {
		nx_buf_printf(b, "%s\"%s\":", i ? "," : "", texts[i].key);
		nx_buf_put_json(b, texts[i].v);
	}
	put_text_or_null(b, "expiresAt", k->expires_at);
	int64_t at = nx_auth_key_used(l->auth, k->prefix); /* the store's is up to a minute old */
	if (at)
		nx_iso_time(at * 1000000, used);
	put_text_or_null(b, "lastUsedAt", at ? nx_str(used) : k->last_used_at);
	if (k->limits.len > 2) { /* its members */
		nx_buf_putc(b, ',');
		nx_buf_put(b, k->limits.ptr + 1, k->limits.len - 2);
	}
	nx_buf_putc(b, '}');
	return NX_OK;
}

enum nx_code nx_act_keys(struct nx_request *r)
{
	struct listing l = { .auth = r->gw->auth };
	nx_buf_init(&l.b, (size_t)64 << 20);
	nx_buf_puts(&l.b, "{\"keys\":[");
	enum nx_code c = nx_store_keys(r->gw->store, put_key, &l, &r->err);
	nx_buf_puts(&l.b, "]}");
	if (!c && l.b.failed)
		c = nx_fail(&r->err, NX_E_MEMORY, "Too many keys to list.");
	if (!c)
		nx_request_data(r, 200, nx_buf_str(&l.b));
	nx_buf_done(&l.b);
	return c;
}

/* The limits that the body asks for. */
static enum nx_code read_limits(struct nx_request *r, struct nx_issue *q)
{
	const struct nx_json *scopes = nx_json_get(r->body, "scopes"),
			     *sources = nx_json_get(r->body, "sources");
	enum nx_right right;
	for (const struct nx_json *m = scopes ? scopes->first : NULL; m; m = m->next) {
		if (!nx_scope_by_name(m->text, &right))
			return nx_fail(&r->err, NX_E_BAD_VALUE, "There is no scope %.60s.",
				       m->text.ptr);
		q->scopes |= 1u << right;
	}
	q->narrowed = sources != NULL;
	for (const struct nx_json *m = sources ? sources->first : NULL; m; m = m->next)
		q->sources[q->nsources++] = m->text; /* fields.def bounds them */
	return NX_OK;
}

enum nx_code nx_act_key_create(struct nx_request *r)
{
	const struct nx_json *kind = nx_json_get(r->body, "kind"),
			     *ttl = nx_json_get(r->body, "ttl");
	bool jwt = kind && nx_str_is(kind->text, "jwt");
	if (kind && !jwt && !nx_str_is(kind->text, "key"))
		return nx_fail(&r->err, NX_E_BAD_VALUE, "kind must be key or jwt.");
	enum nx_role role;
	if (!nx_role_by_name(nx_json_get(r->body, "role")->text, &role))
		return nx_fail(&r->err, NX_E_BAD_VALUE,
			       "role must be agent, analyst, operator or admin.");
	double seconds = jwt ? 3600 : 0;
	if (ttl && !nx_str_to_f64(ttl->text, &seconds))
		return nx_fail(&r->err, NX_E_BAD_VALUE, "ttl must be a number of seconds.");
	struct nx_issue q = { .name = nx_json_get(r->body, "name")->text,
			      .role = role,
			      .ttl_s = (uint32_t)seconds };
	char text[1024];
	enum nx_code c = read_limits(r, &q);
	if (!c)
		c = jwt ? nx_auth_issue_jwt(r->gw->auth, &q, text, &r->err)
			: nx_auth_issue_key(r->gw->auth, &q, text, &r->err);
	if (c)
		return c;
	struct nx_buf b;
	nx_buf_init(&b, 4096);
	nx_buf_printf(&b, "{\"%s\":", jwt ? "token" : "key");
	nx_buf_put_json(&b, nx_str(text));
	nx_buf_printf(&b, ",\"role\":\"%s\"}", nx_role_name(role));
	nx_request_data(r, 201, nx_buf_str(&b));
	nx_wipe(text, sizeof(text));
	nx_wipe(b.data, b.len);
	nx_buf_done(&b);
	return NX_OK;
}

enum nx_code nx_act_key_delete(struct nx_request *r)
{
	enum nx_code c = nx_auth_revoke_key(r->gw->auth, r->path[0], &r->err);
	if (!c)
		nx_request_reply(r, 204, NULL, NX_STR(""));
	return c;
}
