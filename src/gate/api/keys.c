/* API keys and tokens. What is issued is shown once and never stored: keys as a hash, tokens not at
 * all. */
#include "gate/api/api.h"

static enum nx_code put_key(const struct nx_store_key *k, void *arg, struct nx_error *err)
{
	struct nx_buf *b = arg;
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
	nx_buf_puts(b, ",\"expiresAt\":");
	if (k->expires_at.len)
		nx_buf_put_json(b, k->expires_at);
	else
		nx_buf_puts(b, "null");
	nx_buf_putc(b, '}');
	return NX_OK;
}

enum nx_code nx_act_keys(struct nx_request *r)
{
	struct nx_buf b;
	nx_buf_init(&b, (size_t)8 << 20);
	nx_buf_puts(&b, "{\"keys\":[");
	enum nx_code c = nx_store_keys(r->gw->store, put_key, &b, &r->err);
	nx_buf_puts(&b, "]}");
	if (!c)
		nx_request_data(r, 200, nx_buf_str(&b));
	nx_buf_done(&b);
	return c;
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
	struct nx_str name = nx_json_get(r->body, "name")->text;
	char text[1024];
	enum nx_code c =
		jwt ? nx_auth_issue_jwt(r->gw->auth, name, role, (uint32_t)seconds, text, &r->err)
		    : nx_auth_issue_key(r->gw->auth, name, role, (uint32_t)seconds, text, &r->err);
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
