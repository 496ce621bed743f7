/* What a Vault answers: KV version 2, tokens. */
#include "secrets/secrets_int.h"

static bool name_ok(struct nx_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return false;
	return s.len > 0;
}

/* Segments between slashes: none empty, none that climbs. */
static bool path_ok(struct nx_str s)
{
	size_t from = 0;
	for (size_t i = 0; i <= s.len; i++) {
		if (i < s.len && s.ptr[i] != '/')
			continue;
		struct nx_str seg = nx_strn(s.ptr + from, i - from);
		if (!name_ok(seg) || nx_str_is(seg, ".") || nx_str_is(seg, ".."))
			return false;
		from = i + 1;
	}
	return true;
}

enum nx_code nx_kv_ref_parse(struct nx_str text, struct nx_kv_ref *ret, struct nx_error *err)
{
	static const struct nx_str ask = NX_STR_INIT("?version=");
	struct nx_kv_ref r = { .version = 0 };
	const char *hash = text.len && text.len <= 512 ? memchr(text.ptr, '#', text.len) : NULL;
	struct nx_str where = nx_strn(text.ptr, hash ? (size_t)(hash - text.ptr) : 0);
	const char *q = where.len ? memchr(where.ptr, '?', where.len) : NULL;
	uint64_t v = 0;
	bool ok = hash != NULL;
	if (ok && q) {
		struct nx_str tail = nx_strn(q, where.len - (size_t)(q - where.ptr));
		ok = nx_str_starts(tail, ask) &&
		     nx_str_to_u64(nx_strn(tail.ptr + ask.len, tail.len - ask.len), &v) && v > 0 &&
		     v <= UINT32_MAX;
		where.len = (size_t)(q - where.ptr);
	}
	const char *slash = where.len ? memchr(where.ptr, '/', where.len) : NULL;
	if (ok && slash) {
		r.mount = nx_strn(where.ptr, (size_t)(slash - where.ptr));
		r.path = nx_strn(slash + 1, where.len - r.mount.len - 1);
		r.key = nx_strn(hash + 1, text.len - (size_t)(hash + 1 - text.ptr));
		r.version = (uint32_t)v;
	}
	if (!ok || !slash || !path_ok(r.mount) || !path_ok(r.path) || !name_ok(r.key))
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "A reference to Vault has the form ${vault:mount/path#key} or "
			       "${vault:mount/path?version=N#key}.");
	*ret = r;
	return NX_OK;
}

/* ---- KV ---- */

static enum nx_code no_data(int status, const struct nx_json *root, struct nx_str where,
			    struct nx_error *err)
{
	const char *what;
	enum nx_code c = NX_E_OUTBOUND_FAILED;
	const struct nx_json *meta = nx_json_get(nx_json_get(root, "data"), "metadata");
	if (status == 404) {
		c = NX_E_CREDENTIAL_INVALID;
		what = meta ? "has been deleted in this version"
			    : "does not exist, or is in no KV version 2 store";
	} else if (status == 403 || status == 401) {
		c = NX_E_CREDENTIAL_INVALID;
		what = "is not open to the gateway's token";
	} else if (status == 503) {
		what = "cannot be read: Vault is sealed or in maintenance";
	} else if (status == 429 || status == 472 || status == 473 ||
		   (status >= 300 && status < 400)) {
		what = "cannot be read: the address is that of a standby, or Vault is busy";
	} else if (status == 200) {
		what = "cannot be read: the answer is not that of a KV version 2 store";
	} else {
		return nx_fail(err, c, "Vault: " NX_STR_FMT " cannot be read (status %d).",
			       NX_STR_ARG(where), status);
	}
	return nx_fail(err, c, "Vault: " NX_STR_FMT " %s.", NX_STR_ARG(where), what);
}

enum nx_code nx_kv_answer(int status, struct nx_str body, struct nx_str where, struct nx_arena *a,
			  const struct nx_json **ret, struct nx_error *err)
{
	const struct nx_json *root = NULL;
	if (nx_json_parse(body, a, &root, NULL) != NX_OK || root->kind != NX_JSON_OBJECT)
		root = NULL;
	const struct nx_json *outer = nx_json_get(root, "data"), *data = nx_json_get(outer, "data");
	/* a store of version 1 has no metadata, and could have a key called "data" */
	if (status != 200 || !data || data->kind != NX_JSON_OBJECT ||
	    !nx_json_get(outer, "metadata"))
		return no_data(status, root, where, err);
	*ret = data;
	return NX_OK;
}

enum nx_code nx_kv_pick(const struct nx_json *data, struct nx_str key, struct nx_arena *a,
			struct nx_str *ret, struct nx_error *err)
{
	const struct nx_json *v = NULL;
	for (const struct nx_json *m = data->first; m && !v; m = m->next)
		if (nx_str_eq(m->key, key))
			v = m;
	if (!v)
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "Vault: the secret has no key " NX_STR_FMT ".", NX_STR_ARG(key));
	if (v->kind != NX_JSON_STRING && v->kind != NX_JSON_NUMBER && v->kind != NX_JSON_BOOL)
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "Vault: the key " NX_STR_FMT " holds no text.", NX_STR_ARG(key));
	if (v->text.len == 0 || v->text.len > NX_SECRET_MAX || memchr(v->text.ptr, 0, v->text.len))
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "Vault: the key " NX_STR_FMT " is empty, over 64 KiB or no text.",
			       NX_STR_ARG(key));
	struct nx_str copy = nx_arena_str(a, v->text);
	if (!copy.ptr)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	*ret = copy;
	return NX_OK;
}

/* ---- tokens ---- */

static bool token_ok(struct nx_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f)
			return false;
	return s.len > 0 && s.len <= 8192;
}

bool nx_kv_token_answer(struct nx_str body, struct nx_arena *a, struct nx_kv_token *ret)
{
	const struct nx_json *root = NULL;
	if (nx_json_parse(body, a, &root, NULL) != NX_OK)
		return false;
	const struct nx_json *auth = nx_json_get(root, "auth");
	bool login = auth && auth->kind == NX_JSON_OBJECT;
	const struct nx_json *o = login ? auth : nx_json_get(root, "data");
	const struct nx_json *text = login ? nx_json_get(o, "client_token") : NULL;
	const struct nx_json *ttl = nx_json_get(o, login ? "lease_duration" : "ttl");
	const struct nx_json *renew = nx_json_get(o, "renewable");
	struct nx_kv_token t = { .renewable = renew && nx_str_is(renew->text, "true") };
	if (!ttl || ttl->kind != NX_JSON_NUMBER || !nx_str_to_i64(ttl->text, &t.ttl_s) ||
	    t.ttl_s < 0 || (text && text->kind == NX_JSON_STRING && !token_ok(text->text)))
		return false;
	if (t.ttl_s > 10 * 365 * 86400)
		t.ttl_s = 0;
	if (text && text->kind == NX_JSON_STRING)
		t.text = text->text;
	*ret = t;
	return true;
}
