/* A JSON config becomes flat, checked entries, and those become options.
 *
 * Every key at every level must be known, stand where it belongs (additionalProps or not) and have
 * the JSON type of its option. A secret may be the mask (keep what is stored), null (drop it), a
 * reference (secrets/secrets.h) that is followed each time the source is built, or itself. */
#include "catalog/catalog_int.h"

#include "secrets/secrets.h"

#define KEY_MAX 128

/* Old or foreign spellings at the top of a config; all in milliseconds. */
static const struct {
	const char *from, *to;
} aliases[] = {
	{ "connectionTimeout", "connectTimeout" },
};

struct reader {
	const struct nx_option *table;
	struct nx_arena *arena;
	struct nx_rules *rules;
	const struct nx_json *old;
	struct nx_source_config *out;
	bool no_memory;
};

static struct nx_entry *find_entry(const struct nx_source_config *c, const char *key)
{
	for (uint32_t i = 0; i < c->count; i++)
		if (strcmp(c->entries[i].key, key) == 0)
			return &c->entries[i];
	return NULL;
}

const struct nx_option *nx_source_config_option(const struct nx_option *table, struct nx_str key)
{
	const struct nx_option *o = nx_option_find(table, key);
	return o ? o : nx_option_find(nx_options_common, key);
}

static bool is_group(const struct nx_option *table, const char *path)
{
	size_t n = strlen(path);
	for (const struct nx_option *o = table; o->key; o++)
		if (strncmp(o->key, path, n) == 0 && o->key[n] == '.')
			return true;
	return false;
}

/* As the user sees it. */
static const char *shown_key(struct reader *r, bool props, const char *path)
{
	const char *s =
		nx_arena_printf(r->arena, "config.%s%s", props ? "additionalProps." : "", path);
	return s ? s : "config";
}

static void unknown(struct reader *r, bool props, const char *path)
{
	const struct nx_option *o = nx_source_config_option(r->table, nx_str(path));
	const char *key = shown_key(r, props, path);
	if (o && props)
		nx_rules_add(r->rules, NX_E_UNKNOWN_KEY, "KEY-UNKNOWN", key,
			     "%s belongs at the top of config, not in additionalProps.", path);
	else if (o)
		nx_rules_add(r->rules, NX_E_UNKNOWN_KEY, "KEY-UNKNOWN", key,
			     "%s belongs in additionalProps.", path);
	else
		nx_rules_add(r->rules, NX_E_UNKNOWN_KEY, "KEY-UNKNOWN", key,
			     "%s is not known for type %s.", key, r->out->type->name);
}

static const char *kind_wanted(enum nx_opt_type t)
{
	switch (t) {
	case NX_OPT_INT:
	case NX_OPT_SECONDS:
	case NX_OPT_RATIO:
		return "a number";
	case NX_OPT_BOOL:
		return "true or false";
	case NX_OPT_STRING:
	case NX_OPT_ENUM:
	case NX_OPT_SECRET:
		return "a string";
	}
	return "another value";
}

static bool kind_fits(enum nx_opt_type t, enum nx_json_kind k)
{
	switch (t) {
	case NX_OPT_INT:
	case NX_OPT_SECONDS:
	case NX_OPT_RATIO:
		return k == NX_JSON_NUMBER;
	case NX_OPT_BOOL:
		return k == NX_JSON_BOOL;
	case NX_OPT_STRING:
	case NX_OPT_ENUM:
	case NX_OPT_SECRET:
		return k == NX_JSON_STRING;
	}
	return false;
}

static void add(struct reader *r, struct nx_entry e)
{
	if (r->out->count == NX_ENTRIES_MAX) {
		nx_rules_add(r->rules, NX_E_CONFIG_INVALID, "DS-004", "config",
			     "config has too many keys.");
		return;
	}
	r->out->entries[r->out->count++] = e;
}

/* The mask stands for what is stored. */
static bool unmask(struct reader *r, const char *path, struct nx_str *text)
{
	if (!nx_str_is(*text, NX_MASK))
		return true;
	const struct nx_json *was = nx_json_get(r->old, path);
	if (was)
		*text = was->text;
	else
		nx_rules_add(r->rules, NX_E_CONFIG_INVALID, nx_rule_of(path),
			     shown_key(r, false, path),
			     "%s is masked and there is no stored value to keep.", path);
	return was != NULL;
}

static void read_scalar(struct reader *r, const struct nx_json *v, const char *path, bool props)
{
	const struct nx_option *o = nx_source_config_option(r->table, nx_str(path));
	if (!o || ((o->flags & NX_OPTF_PROPS) != 0) != props) {
		if (!o && is_group(r->table, path)) {
			if (v->kind != NX_JSON_NULL)
				nx_rules_add(r->rules, NX_E_CONFIG_INVALID,
					     strcmp(path, "authentication") == 0 ? "DS-009"
										 : "KEY-VALUE",
					     shown_key(r, props, path), "%s must be an object.",
					     path);
			return;
		}
		unknown(r, props, path);
		return;
	}
	struct nx_entry e = { path, o, v->kind, v->text, false };
	if (find_entry(r->out, path)) {
		nx_rules_add(r->rules, NX_E_CONFIG_INVALID, nx_rule_of(path),
			     shown_key(r, props, path), "%s is given twice.", path);
		return;
	}
	if (o->type == NX_OPT_ENUM && v->kind == NX_JSON_BOOL && strcmp(path, "ssl") == 0) {
		/* "ssl": true is what people write */
		e.text = nx_str_is(v->text, "true") ? NX_STR("require") : NX_STR("disable");
		e.kind = NX_JSON_STRING;
	}
	if (e.kind != NX_JSON_NULL && !kind_fits(o->type, e.kind)) {
		nx_rules_add(r->rules, NX_E_CONFIG_INVALID, nx_rule_of(path),
			     shown_key(r, props, path), "%s must be %s.", path,
			     kind_wanted(o->type));
		return;
	}
	if (o->type != NX_OPT_SECRET || e.kind == NX_JSON_NULL || unmask(r, path, &e.text))
		add(r, e);
}

/* Milliseconds, whole: the text in seconds. */
static bool read_alias(struct reader *r, const struct nx_json *v)
{
	for (size_t i = 0; i < NX_COUNTOF(aliases); i++) {
		int64_t ms;
		if (!nx_str_is(v->key, aliases[i].from))
			continue;
		if (v->kind != NX_JSON_NUMBER || !nx_str_to_i64(v->text, &ms) || ms < 0) {
			nx_rules_add(r->rules, NX_E_CONFIG_INVALID, "KEY-VALUE",
				     shown_key(r, false, aliases[i].from),
				     "%s must be a whole number of milliseconds.", aliases[i].from);
			return true;
		}
		char *text = nx_arena_printf(r->arena, "%lld.%03lld", (long long)(ms / 1000),
					     (long long)(ms % 1000));
		struct nx_json as = { .kind = NX_JSON_NUMBER, .text = nx_str(text) };
		if (text)
			read_scalar(r, &as, aliases[i].to, false);
		else
			r->no_memory = true;
		return true;
	}
	return false;
}

static void read_object(struct reader *r, const struct nx_json *o, const char *prefix, bool props)
{
	for (const struct nx_json *m = o->first; m; m = m->next) {
		bool top = !prefix[0] && !props;
		if (top && nx_str_is(m->key, "additionalProps")) {
			if (m->kind == NX_JSON_OBJECT)
				read_object(r, m, "", true);
			else if (m->kind != NX_JSON_NULL)
				nx_rules_add(r->rules, NX_E_CONFIG_INVALID, "DS-004",
					     "config.additionalProps",
					     "additionalProps must be an object.");
			continue;
		}
		if (top && read_alias(r, m))
			continue;
		if (m->key.len == 0 || m->key.len > KEY_MAX ||
		    memchr(m->key.ptr, '.', m->key.len)) {
			nx_rules_add(r->rules, NX_E_UNKNOWN_KEY, "KEY-UNKNOWN", "config",
				     "The key \"%.*s\" is not known.",
				     (int)(m->key.len > KEY_MAX ? KEY_MAX : m->key.len),
				     m->key.ptr);
			continue;
		}
		const char *path = nx_arena_printf(r->arena, "%s%s" NX_STR_FMT, prefix,
						   prefix[0] ? "." : "", NX_STR_ARG(m->key));
		if (!path) {
			r->no_memory = true;
			return;
		}
		if (m->kind == NX_JSON_OBJECT && is_group(r->table, path))
			read_object(r, m, path, props);
		else
			read_scalar(r, m, path, props);
	}
}

/* Secrets of the replaced config that the new one does not mention stay. */
static void carry(struct reader *r)
{
	if (!r->old)
		return;
	for (const struct nx_json *m = r->old->first; m; m = m->next) {
		const struct nx_option *o = nx_option_find(r->table, m->key);
		if (o && o->type == NX_OPT_SECRET && m->kind == NX_JSON_STRING &&
		    !find_entry(r->out, o->key))
			add(r, (struct nx_entry){ o->key, o, NX_JSON_STRING, m->text, true });
	}
}

/* ---- references ---- */

/* Sets a secret, following a reference. The value appears in no message. */
static enum nx_code set_secret(const struct nx_entry *e, struct nx_source_config *cfg,
			       struct nx_options *o, struct nx_rules *rules, struct nx_error *err)
{
	char key[KEY_MAX + 32];
	struct nx_str value = { 0 };
	struct nx_error why;
	struct nx_arena *a = nx_arena_new_secret((size_t)4 << 20);
	if (!a)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	bool remote = nx_secret_in_vault(e->text);
	cfg->in_vault |= remote;
	enum nx_code c = nx_secret_follow(e->text, e->key, a, &value, &why);
	if (c == NX_E_MEMORY) {
		(void)nx_fail(err, c, "%s", why.message);
	} else if (c) {
		(void)snprintf(key, sizeof(key), "config.%s", e->key);
		nx_rules_add(rules, c, "CV-REF", key, "%s", why.message);
		rules->unavailable += remote;
		c = NX_OK;
	} else {
		c = nx_options_set(o, e->spec, value, err);
	}
	nx_arena_free(a);
	return c;
}

/* ---- options ---- */

static enum nx_code set_entries(struct nx_source_config *c, struct nx_options *o,
				struct nx_rules *rules, struct nx_error *err)
{
	for (uint32_t i = 0; i < c->count; i++) {
		const struct nx_entry *e = &c->entries[i];
		struct nx_error own;
		if (e->kind == NX_JSON_NULL)
			continue;
		enum nx_code code = e->spec->type == NX_OPT_SECRET
					    ? set_secret(e, c, o, rules, &own)
					    : nx_options_set(o, e->spec, e->text, &own);
		if (code == NX_E_MEMORY)
			return nx_fail(err, code, "%s", own.message);
		if (code) {
			char key[KEY_MAX + 32];
			(void)snprintf(key, sizeof(key), "config.%s", e->key);
			nx_rules_add(rules, code, nx_rule_of(e->key), key, "%s", own.message);
		}
	}
	return NX_OK;
}

/* The type's own defaults come before the driver's. */
static enum nx_code set_type_defaults(const struct nx_source_config *c, struct nx_options *o,
				      struct nx_error *err)
{
	char port[8];
	const struct nx_option *spec = nx_option_find(c->table, NX_STR("port"));
	enum nx_code code = NX_OK;
	if (spec && c->type->port && !nx_opt_has(o, "port")) {
		(void)snprintf(port, sizeof(port), "%u", c->type->port);
		code = nx_options_set(o, spec, nx_str(port), err);
	}
	for (const char *p = c->type->defaults; !code && p && *p;) {
		size_t n = strcspn(p, ";"), key = strcspn(p, "=");
		spec = nx_option_find(c->table, nx_strn(p, key));
		if (spec && !nx_opt_has(o, spec->key))
			code = nx_options_set(o, spec, nx_strn(p + key + 1, n - key - 1), err);
		p += n + (p[n] ? 1 : 0);
	}
	return code;
}

/* A key that was given and refused is not also "missing". */
static bool broken_already(const char *key, const struct nx_rules *rules)
{
	char quoted[KEY_MAX + 32];
	(void)snprintf(quoted, sizeof(quoted), "\"config.%s\"", key);
	return rules->json.data &&
	       memmem(rules->json.data, rules->json.len, quoted, strlen(quoted));
}

static void check_required(const struct nx_source_config *c, const struct nx_options *o,
			   struct nx_rules *rules)
{
	for (const struct nx_option *t = c->table; t->key; t++) {
		const char *v = nx_opt_str(o, t->key, NULL);
		if (!(t->flags & NX_OPTF_REQUIRED) || (v && v[0]) || (!v && t->fallback))
			continue;
		bool auth = strcmp(t->key, "authentication.type") == 0;
		const char *rule = auth ? "DS-009" : nx_rule_of(t->key);
		char key[KEY_MAX + 32];
		(void)snprintf(key, sizeof(key), "config.%s", t->key);
		if (!broken_already(t->key, rules))
			nx_rules_add(rules, NX_E_CONFIG_INVALID,
				     strcmp(rule, "KEY-VALUE") == 0 ? "KEY-MISSING" : rule, key,
				     "%s is required for type %s.", t->key, c->type->name);
	}
}

static enum nx_code make_options(struct nx_source_config *c, struct nx_rules *rules,
				 struct nx_options **ret, struct nx_error *err)
{
	struct nx_options *o = nx_options_new();
	if (!o)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	enum nx_code code = set_entries(c, o, rules, err);
	if (!code)
		code = set_type_defaults(c, o, err);
	if (!code && !rules->unavailable) { /* what is not there yet cannot be judged */
		check_required(c, o, rules);
		nx_rules_check(c, o, rules);
	}
	if (!code && rules->count == 0)
		code = nx_options_defaults(o, c->table, err);
	if (!code && rules->count == 0)
		code = nx_options_defaults(o, nx_options_common, err);
	if (code || rules->count) {
		nx_options_free(o);
		return code;
	}
	*ret = o;
	return NX_OK;
}

enum nx_code nx_source_config_read(const struct nx_source_type *type, const struct nx_json *json,
				   const struct nx_json *old_secrets, struct nx_arena *a,
				   struct nx_rules *rules, struct nx_source_config *ret,
				   struct nx_options **ret_options, struct nx_error *err)
{
	*ret = (struct nx_source_config){ .type = type, .table = nx_source_type_options(type) };
	*ret_options = NULL;
	ret->entries = nx_arena_array(a, NX_ENTRIES_MAX, sizeof(*ret->entries));
	if (!ret->entries)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	struct reader r = { ret->table, a, rules, old_secrets, ret, false };
	if (json && json->kind != NX_JSON_OBJECT)
		nx_rules_add(rules, NX_E_CONFIG_INVALID, "DS-004", "config",
			     "config must be a JSON object.");
	else if (json)
		read_object(&r, json, "", false);
	carry(&r);
	if (r.no_memory)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	return make_options(ret, rules, ret_options, err);
}

/* ---- out again ---- */

static void show_level(const struct nx_source_config *c, const char *prefix, bool props,
		       struct nx_buf *out)
{
	size_t plen = strlen(prefix);
	bool first = true;
	nx_buf_putc(out, '{');
	for (uint32_t i = 0; i < c->count; i++) {
		const struct nx_entry *e = &c->entries[i];
		if (e->kind == NX_JSON_NULL || ((e->spec->flags & NX_OPTF_PROPS) != 0) != props ||
		    strncmp(e->key, prefix, plen) != 0)
			continue;
		const char *rest = e->key + plen;
		size_t seg = strcspn(rest, ".");
		bool group = rest[seg] == '.', seen = false;
		for (uint32_t k = 0; group && k < i && !seen; k++)
			seen = c->entries[k].kind != NX_JSON_NULL &&
			       ((c->entries[k].spec->flags & NX_OPTF_PROPS) != 0) == props &&
			       strncmp(c->entries[k].key, e->key, plen + seg + 1) == 0;
		if (seen)
			continue;
		if (!first)
			nx_buf_putc(out, ',');
		first = false;
		nx_buf_put_json(out, nx_strn(rest, seg));
		nx_buf_putc(out, ':');
		if (group) {
			char deeper[KEY_MAX * 2];
			(void)snprintf(deeper, sizeof(deeper), "%.*s", (int)(plen + seg + 1),
				       e->key);
			show_level(c, deeper, props, out);
		} else if (e->spec->type == NX_OPT_SECRET) {
			nx_buf_puts(out, "\"" NX_MASK "\"");
		} else if (e->kind == NX_JSON_STRING) {
			nx_buf_put_json(out, e->text);
		} else {
			nx_buf_put_str(out, e->text);
		}
	}
	if (!props && plen == 0) {
		bool any = false;
		for (uint32_t i = 0; i < c->count; i++)
			any |= c->entries[i].kind != NX_JSON_NULL &&
			       (c->entries[i].spec->flags & NX_OPTF_PROPS);
		if (any) {
			nx_buf_puts(out, first ? "\"additionalProps\":" : ",\"additionalProps\":");
			show_level(c, "", true, out);
		}
	}
	nx_buf_putc(out, '}');
}

void nx_source_config_show(const struct nx_source_config *c, struct nx_buf *out)
{
	show_level(c, "", false, out);
}

enum nx_code nx_source_config_secrets(const struct nx_source_config *c, struct nx_arena *a,
				      struct nx_str *ret, struct nx_error *err)
{
	struct nx_buf b;
	bool any = false;
	size_t most = 2;
	for (uint32_t i = 0; i < c->count; i++)
		most += strlen(c->entries[i].key) + c->entries[i].text.len * 6 + 8;
	nx_buf_init(&b, most);
	/* all of it at once: growing would leave copies behind */
	if (!nx_buf_reserve(&b, most))
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	nx_buf_putc(&b, '{');
	for (uint32_t i = 0; i < c->count; i++) {
		const struct nx_entry *e = &c->entries[i];
		if (e->kind == NX_JSON_NULL || e->spec->type != NX_OPT_SECRET)
			continue;
		if (any)
			nx_buf_putc(&b, ',');
		any = true;
		nx_buf_put_json(&b, nx_str(e->key));
		nx_buf_putc(&b, ':');
		nx_buf_put_json(&b, e->text);
	}
	nx_buf_putc(&b, '}');
	enum nx_code code = NX_OK;
	struct nx_str text = any && !b.failed ? nx_arena_str(a, nx_buf_str(&b)) : NX_STR("");
	if (b.failed || !text.ptr)
		code = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	else
		*ret = text;
	if (b.data)
		nx_wipe(b.data, b.len);
	nx_buf_done(&b);
	return code;
}

void nx_json_wipe(const struct nx_json *v)
{
	if (v->kind == NX_JSON_STRING && v->text.len)
		nx_wipe((void *)(uintptr_t)v->text.ptr, v->text.len);
	for (const struct nx_json *m = v->first; m; m = m->next)
		nx_json_wipe(m);
}
