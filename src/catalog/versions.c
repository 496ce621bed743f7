/* What a data source was before: the versions that the store keeps, what each changed, and the way back. */
#include "catalog/catalog_int.h"
#include "secrets/secrets.h"

#define KEPT 64u /* more than the store keeps */
#define LIST_MAX ((size_t)64 << 20) /* all of them, read */

struct version {
	struct nx_store_source row; /* copied into the arena */
	const struct nx_json *config, *secrets; /* NULL: none, or they do not open */
};

struct versions {
	struct nx_arena *a;
	struct version at[KEPT]; /* newest first */
	uint32_t n;
	uint32_t only; /* besides the current one; 0: all */
};

static bool copy(struct nx_arena *a, struct nx_str *s)
{
	*s = nx_arena_str(a, *s);
	return s->ptr != NULL;
}

static enum nx_code take(const struct nx_store_source *row, void *arg, struct nx_error *err)
{
	struct versions *v = arg;
	if (v->n == KEPT || (v->n > 0 && v->only && row->version != v->only))
		return NX_OK;
	struct nx_store_source *r = &v->at[v->n].row;
	*r = *row;
	struct nx_str *const texts[] = { &r->id,	  &r->name,	  &r->type,
					 &r->description, &r->status,	  &r->config,
					 &r->secrets,	  &r->created_at, &r->updated_at,
					 &r->changed_by };
	for (size_t i = 0; i < NX_COUNTOF(texts); i++)
		if (!copy(v->a, texts[i]))
			return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	v->n++;
	return NX_OK;
}

/* Secrets of another vault key are shown as such by not being shown. */
static enum nx_code read_one(struct nx_catalog *c, struct version *v, struct nx_arena *a,
			     struct nx_error *err)
{
	enum nx_code code = NX_OK;
	char id[37] = "";
	if (v->row.config.len)
		code = nx_json_parse(v->row.config, a, &v->config, err);
	memcpy(id, v->row.id.ptr, v->row.id.len < 36 ? v->row.id.len : 36);
	if (!code)
		code = nx_secrets_open(c->vault, id, v->row.secrets, a, &v->secrets, err);
	return code == NX_E_CREDENTIAL_INVALID ? NX_OK : code;
}

/* The current one and those before it. `writing` is held, so that they belong together. */
static enum nx_code load_all(struct nx_catalog *c, struct nx_snapshot *now, struct versions *v,
			     struct nx_error *err)
{
	struct nx_store_source row = {
		.id = nx_str(now->pub.id),
		.name = now->pub.name,
		.type = now->body->type_name,
		.description = now->pub.description,
		.config = now->body->config,
		.secrets = now->body->secrets,
		.updated_at = now->pub.updated_at,
		.version = now->pub.version,
		.changed_by = now->body->changed_by,
	};
	enum nx_code code = take(&row, v, err);
	if (!code)
		code = nx_store_source_versions(c->store, nx_str(now->pub.id), take, v, err);
	for (uint32_t i = 0; i < v->n && !code; i++)
		code = read_one(c, &v->at[i], v->a, err);
	return code;
}

static void wipe(struct versions *v)
{
	for (uint32_t i = 0; i < v->n; i++)
		if (v->at[i].secrets)
			nx_json_wipe(v->at[i].secrets);
}

/* ---- differences ---- */

struct diff {
	struct nx_buf *out;
	bool any;
};

static bool same(const struct nx_json *a, const struct nx_json *b)
{
	if (!a || !b || a->kind != b->kind || a->count != b->count)
		return a == b;
	if (a->kind != NX_JSON_OBJECT && a->kind != NX_JSON_ARRAY)
		return nx_str_eq(a->text, b->text);
	const struct nx_json *m = a->first, *k = b->first;
	for (; m && k; m = m->next, k = k->next)
		if (!nx_str_eq(m->key, k->key) || !same(m, k))
			return false;
	return true;
}

static void put_change(struct diff *d, const char *key, const struct nx_json *from,
		       const struct nx_json *to)
{
	nx_buf_puts(d->out, d->any ? ",{\"key\":" : "{\"key\":");
	d->any = true;
	nx_buf_put_json(d->out, nx_str(key));
	nx_buf_puts(d->out, ",\"from\":");
	if (from)
		nx_json_write(from, d->out);
	else
		nx_buf_puts(d->out, "null");
	nx_buf_puts(d->out, ",\"to\":");
	if (to)
		nx_json_write(to, d->out);
	else
		nx_buf_puts(d->out, "null");
	nx_buf_putc(d->out, '}');
}

static void put_text_change(struct diff *d, const char *key, struct nx_str from, struct nx_str to)
{
	const struct nx_json a = { .kind = NX_JSON_STRING, .text = from },
			     b = { .kind = NX_JSON_STRING, .text = to };
	if (!nx_str_eq(from, to))
		put_change(d, key, &a, &b);
}

/* Members of two objects, either may be NULL; objects below are descended into. Keys are as deep as the option
 * tables, which the config was checked against. */
static void put_members(struct diff *d, const char *prefix, const struct nx_json *from,
			const struct nx_json *to, bool secret);

static void put_member(struct diff *d, const char *prefix, const struct nx_json *from,
		       const struct nx_json *to, bool secret)
{
	char key[256];
	const struct nx_json *one = from ? from : to;
	int n = snprintf(key, sizeof(key), "%s.%.*s", prefix, NX_STR_ARG(one->key));
	if (n < 0 || (size_t)n >= sizeof(key) || same(from, to))
		return;
	if (secret) {
		nx_buf_puts(d->out, d->any ? ",{\"key\":" : "{\"key\":");
		nx_buf_put_json(d->out, nx_str(key));
		nx_buf_printf(d->out, ",\"secret\":\"%s\"}",
			      !from ? "added"
			      : !to ? "removed"
				    : "changed");
		d->any = true;
	} else if (one->kind == NX_JSON_OBJECT) {
		put_members(d, key, from, to, secret);
	} else {
		put_change(d, key, from, to);
	}
}

static bool masked(const struct nx_json *m)
{
	return m->kind == NX_JSON_STRING && nx_str_is(m->text, NX_MASK);
}

static void put_members(struct diff *d, const char *prefix, const struct nx_json *from,
			const struct nx_json *to, bool secret)
{
	for (const struct nx_json *m = from ? from->first : NULL; m; m = m->next) {
		const struct nx_json *k = NULL;
		for (const struct nx_json *o = to ? to->first : NULL; o && !k; o = o->next)
			if (nx_str_eq(o->key, m->key))
				k = o;
		if (secret || !masked(m)) /* what is masked is told as a secret */
			put_member(d, prefix, m, k, secret);
	}
	for (const struct nx_json *k = to ? to->first : NULL; k; k = k->next) {
		bool known = false;
		for (const struct nx_json *m = from ? from->first : NULL; m; m = m->next)
			known |= nx_str_eq(m->key, k->key);
		if (!known && (secret || !masked(k)))
			put_member(d, prefix, NULL, k, secret);
	}
}

static void put_version(struct nx_buf *out, const struct version *v, const struct version *before,
			bool current)
{
	nx_buf_printf(out, "{\"version\":%u,\"current\":%s,\"changedAt\":", v->row.version,
		      current ? "true" : "false");
	nx_buf_put_json(out, v->row.updated_at);
	nx_buf_puts(out, ",\"changedBy\":");
	nx_buf_put_json(out, v->row.changed_by);
	nx_buf_puts(out, ",\"name\":");
	nx_buf_put_json(out, v->row.name);
	nx_buf_puts(out, ",\"type\":");
	nx_buf_put_json(out, v->row.type);
	nx_buf_puts(out, ",\"config\":");
	nx_buf_put_str(out, v->row.config.len ? v->row.config : NX_STR("{}"));
	nx_buf_puts(out, ",\"changes\":");
	if (before) {
		struct diff d = { out, false };
		nx_buf_putc(out, '[');
		put_text_change(&d, "name", before->row.name, v->row.name);
		put_text_change(&d, "type", before->row.type, v->row.type);
		put_text_change(&d, "description", before->row.description, v->row.description);
		put_members(&d, "config", before->config, v->config, false);
		put_members(&d, "config", before->secrets, v->secrets, true);
		nx_buf_putc(out, ']');
	} else {
		nx_buf_puts(out, "null"); /* the first one, or the one before is not kept */
	}
	nx_buf_putc(out, '}');
}

enum nx_code nx_catalog_versions(struct nx_catalog *c, struct nx_str id, struct nx_arena *a,
				 struct nx_buf *out, struct nx_error *err)
{
	struct versions *v = nx_arena_zalloc(a, sizeof(*v));
	struct nx_arena *own = v ? nx_arena_new_secret(LIST_MAX) : NULL;
	if (!own)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	v->a = own;
	pthread_mutex_lock(&c->writing);
	struct nx_snapshot *now = nx_catalog_current(c, id);
	enum nx_code code = !now ? nx_fail(err, NX_E_SOURCE_NOT_FOUND, "No such data source.")
			    : now->pub.from_config || !c->store
				    ? nx_fail(err, NX_E_NOT_FOUND,
					      "The data source is declared in the configuration "
					      "file, which keeps no versions.")
				    : load_all(c, now, v, err);
	pthread_mutex_unlock(&c->writing);
	if (!code) {
		nx_buf_putc(out, '[');
		for (uint32_t i = 0; i < v->n; i++) {
			if (i)
				nx_buf_putc(out, ',');
			put_version(out, &v->at[i], i + 1 < v->n ? &v->at[i + 1] : NULL, i == 0);
		}
		nx_buf_putc(out, ']');
	}
	wipe(v);
	nx_arena_free(own);
	return code == NX_E_MEMORY
		       ? nx_fail(err, NX_E_RESULT_TOO_LARGE, "The versions are too large to show.")
		       : code;
}

/* ---- the way back ---- */

static const struct version *find(const struct versions *v, uint32_t version)
{
	for (uint32_t i = 1; i < v->n; i++)
		if (v->at[i].row.version == version)
			return &v->at[i];
	return NULL;
}

static enum nx_code go_back(struct nx_catalog *c, struct nx_snapshot *old, struct versions *all,
			    uint32_t version, struct nx_str by, struct nx_str *broken,
			    struct nx_snapshot **ret, struct nx_error *err)
{
	enum nx_code code = load_all(c, old, all, err);
	if (code)
		return code;
	const struct version *v = find(all, version);
	if (!v && version == old->pub.version)
		return nx_fail(err, NX_E_BAD_VALUE, "Version %u is the current one.", version);
	if (!v)
		return nx_fail(err, NX_E_NOT_FOUND, "Version %u is not kept.", version);
	struct nx_rules rules;
	nx_rules_init(&rules);
	struct nx_source_request q = { .name = v->row.name,
				       .type_name = v->row.type,
				       .description = v->row.description,
				       .config = v->config };
	nx_source_request_type(&q, &rules);
	code = nx_catalog_replace_with(c, old, &q, v->row.secrets, by, all->a, &rules, broken, ret,
				       err);
	nx_rules_done(&rules);
	return code;
}

/* Its secrets that are in Vault, before `writing` is taken for the change. */
static void warm(struct nx_catalog *c, struct nx_str id, struct versions *all, uint32_t version)
{
	struct nx_error err;
	if (!nx_kv_on())
		return;
	pthread_mutex_lock(&c->writing);
	struct nx_snapshot *now = nx_catalog_current(c, id);
	bool loaded = now && c->store && load_all(c, now, all, &err) == NX_OK;
	pthread_mutex_unlock(&c->writing);
	const struct version *v = loaded ? find(all, version) : NULL;
	if (v)
		nx_secret_warm(v->secrets);
	wipe(all);
	*all = (struct versions){ .a = all->a, .only = version };
}

enum nx_code nx_catalog_rollback(struct nx_catalog *c, struct nx_str id, uint32_t version,
				 struct nx_str by, struct nx_arena *a, struct nx_str *broken,
				 const struct nx_data_source **ret, struct nx_error *err)
{
	struct nx_snapshot *old = NULL, *s = NULL;
	struct versions *all = nx_arena_zalloc(a, sizeof(*all));
	if (!all)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	all->a = a;
	all->only = version;
	warm(c, id, all, version);
	pthread_mutex_lock(&c->writing);
	enum nx_code code = nx_catalog_for_change(c, id, &old, err);
	if (!code)
		code = go_back(c, old, all, version, by, broken, &s, err);
	pthread_mutex_unlock(&c->writing);
	wipe(all);
	if (code)
		return code;
	nx_catalog_tell(c, old);
	*ret = &s->pub;
	return NX_OK;
}
