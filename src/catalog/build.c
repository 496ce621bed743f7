/* From the JSON body of a request, or a row of the store, to a snapshot. */
#include "catalog/catalog_int.h"

#include "base/clock.h"
#include "base/log.h"

#define DESCRIPTION_MAX 4096u
#define CONFIG_MAX (1u << 20)

static struct nx_str text_of(const struct nx_json *v, const char *key, const char *rule,
			     bool required, struct nx_rules *rules)
{
	if (v && v->kind == NX_JSON_STRING)
		return v->text;
	if (v && v->kind != NX_JSON_NULL)
		nx_rules_add(rules, NX_E_CONFIG_INVALID, rule, key, "%s must be a string.", key);
	else if (required)
		nx_rules_add(rules, NX_E_CONFIG_INVALID, rule, key, "%s is required.", key);
	return (struct nx_str){ 0 };
}

bool nx_status_of(struct nx_str s, enum nx_source_status *ret)
{
	for (int i = NX_SOURCE_DRAFT; i <= NX_SOURCE_ERROR; i++) {
		if (nx_str_is(s, nx_source_status_name((enum nx_source_status)i))) {
			*ret = (enum nx_source_status)i;
			return true;
		}
	}
	return false;
}

void nx_source_request_type(struct nx_source_request *q, struct nx_rules *rules)
{
	if (!q->type_name.ptr)
		return;
	q->type = nx_source_type_find(q->type_name);
	if (!q->type)
		nx_rules_add(
			rules, NX_E_CONFIG_INVALID, "DS-003", "type", "type \"%.*s\" is not known.",
			(int)(q->type_name.len > 64 ? 64 : q->type_name.len), q->type_name.ptr);
}

static void read_rest(const struct nx_json *body, struct nx_source_request *q,
		      struct nx_rules *rules)
{
	const struct nx_json *status = nx_json_get(body, "status"),
			     *version = nx_json_get(body, "version");
	const struct nx_json *skip = nx_json_get(body, "skipTest");
	if (q->description.len > DESCRIPTION_MAX)
		nx_rules_add(rules, NX_E_CONFIG_INVALID, "KEY-VALUE", "description",
			     "description must have at most %u bytes.", DESCRIPTION_MAX);
	if (status) {
		q->has_status = status->kind == NX_JSON_STRING &&
				nx_status_of(status->text, &q->status) &&
				q->status != NX_SOURCE_ERROR;
		if (!q->has_status)
			nx_rules_add(rules, NX_E_CONFIG_INVALID, "KEY-VALUE", "status",
				     "status must be draft, active or inactive.");
		else if (q->status == NX_SOURCE_ACTIVE && q->type &&
			 !nx_driver_find(q->type->driver))
			nx_rules_add(rules, NX_E_DRIVER_NOT_BUILT, "KEY-VALUE", "status",
				     "A source of type %s stays draft: its driver is not built in.",
				     q->type->name);
	}
	if (version) {
		q->has_version = version->kind == NX_JSON_NUMBER &&
				 nx_str_to_i64(version->text, &q->version) && q->version > 0;
		if (!q->has_version)
			nx_rules_add(rules, NX_E_CONFIG_INVALID, "KEY-VALUE", "version",
				     "version must be a whole number.");
	}
	if (skip && skip->kind != NX_JSON_BOOL)
		nx_rules_add(rules, NX_E_CONFIG_INVALID, "KEY-VALUE", "skipTest",
			     "skipTest must be true or false.");
}

void nx_source_request_read(const struct nx_json *body, struct nx_source_request *q,
			    struct nx_rules *rules)
{
	static const char *const known[] = { "name",   "type",	  "description", "config",
					     "status", "version", "skipTest" };
	*q = (struct nx_source_request){ .status = NX_SOURCE_DRAFT };
	if (body->kind != NX_JSON_OBJECT) {
		nx_rules_add(rules, NX_E_CONFIG_INVALID, "DS-004", "",
			     "The body must be a JSON object.");
		return;
	}
	for (const struct nx_json *m = body->first; m; m = m->next) {
		bool ok = false;
		for (size_t i = 0; i < NX_COUNTOF(known); i++)
			ok |= nx_str_is(m->key, known[i]);
		if (!ok)
			nx_rules_add(rules, NX_E_UNKNOWN_KEY, "KEY-UNKNOWN", "",
				     "The key \"%.*s\" is not known.",
				     (int)(m->key.len > 128 ? 128 : m->key.len), m->key.ptr);
	}
	q->name = nx_str_trim(text_of(nx_json_get(body, "name"), "name", "DS-002", true, rules));
	if (q->name.ptr)
		nx_rules_name(q->name, rules);
	q->type_name = text_of(nx_json_get(body, "type"), "type", "DS-003", true, rules);
	nx_source_request_type(q, rules);
	q->description =
		text_of(nx_json_get(body, "description"), "description", "KEY-VALUE", false, rules);
	q->config = nx_json_get(body, "config");
	read_rest(body, q, rules);
}

static enum nx_code seal(const struct nx_vault *vault, const struct nx_source_config *cfg,
			 const struct nx_origin *from, struct nx_arena *a, struct nx_rules *rules,
			 struct nx_str *ret, struct nx_error *err)
{
	struct nx_str plain = { 0 };
	*ret = from->sealed;
	/* one of the configuration file is kept in memory only, to be built again from: refresh.c */
	if (!from->save && !(cfg->in_vault && vault))
		return NX_OK;
	enum nx_code code = nx_source_config_secrets(cfg, a, &plain, err);
	if (!code && plain.len && !vault)
		nx_rules_add(rules, NX_E_CONFIG_INVALID, "DS-011", "config",
			     "Secrets cannot be kept: the gateway has no vault key.");
	else if (!code && plain.len)
		code = nx_vault_seal(vault, nx_str(from->id), plain, a, ret, err);
	if (plain.len)
		nx_wipe((void *)(uintptr_t)plain.ptr, plain.len);
	return code;
}

enum nx_code nx_assemble(const struct nx_source_request *q, const struct nx_origin *from,
			 struct nx_str config, struct nx_str secrets,
			 struct nx_options *options /* taken */, struct nx_snapshot **ret,
			 struct nx_error *err)
{
	char now[NX_ISO_LEN];
	nx_iso_time(nx_wall_us(), now);
	struct nx_body_parts parts = {
		.name = q->name,
		.type_name = q->type_name,
		.description = q->description,
		.created_at = from->created_at.len ? from->created_at : nx_str(now),
		.updated_at = from->updated_at.len ? from->updated_at : nx_str(now),
		.changed_by = from->changed_by,
		.config = config,
		.secrets = secrets,
	};
	struct nx_body *body = nx_body_new(&parts, options);
	struct nx_snapshot *s =
		body ? nx_snapshot_new(body, from->id, q->type, from->version, from->status) : NULL;
	nx_body_unref(body);
	if (!s)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	*ret = s;
	return NX_OK;
}

/* Kept and shown, but not usable for now. */
static enum nx_code with_problem(const struct nx_source_request *q, const struct nx_origin *from,
				 struct nx_str config, struct nx_str secrets,
				 struct nx_rules *rules, struct nx_snapshot **ret,
				 struct nx_error *err)
{
	struct nx_origin broken = *from;
	struct nx_options *o = nx_options_new();
	struct nx_snapshot *s = NULL;
	if (!o || nx_options_defaults(o, nx_options_common, NULL) != NX_OK) {
		nx_options_free(o);
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	broken.status = NX_SOURCE_ERROR;
	enum nx_code code = nx_assemble(q, &broken, config, secrets, o, &s, err);
	if (code)
		return code;
	s->pub.problem = rules->first.code;
	memcpy(s->pub.problem_text, rules->first.message, sizeof(rules->first.message));
	nx_log(NX_LOG_WARN, "source", "source %s cannot be used for now: %s: %s", from->id,
	       nx_code_name(s->pub.problem), s->pub.problem_text);
	nx_rules_done(rules);
	nx_rules_init(rules);
	*ret = s;
	return NX_OK;
}

/* Request + origin -> snapshot. Broken rules are in `rules` and no snapshot is made. */
enum nx_code nx_build(const struct nx_vault *vault, const struct nx_source_request *q,
		      const struct nx_origin *from, struct nx_arena *a, struct nx_rules *rules,
		      struct nx_snapshot **ret, struct nx_error *err)
{
	struct nx_source_config cfg;
	struct nx_options *options = NULL;
	struct nx_snapshot *made = NULL;
	struct nx_str sealed = { 0 };
	struct nx_buf text;
	if (!q->type)
		return NX_OK; /* told by nx_source_request_read() */
	enum nx_code code = nx_source_config_read(q->type, q->config, from->old_secrets, a, rules,
						  &cfg, &options, err);
	if (code)
		return code;
	nx_buf_init(&text, CONFIG_MAX);
	nx_source_config_show(&cfg, &text);
	/* a string is written in runs of 64 KiB at most: failing well below the limit is lack of memory */
	if (text.failed && text.len > CONFIG_MAX / 2)
		nx_rules_add(rules, NX_E_CONFIG_INVALID, "DS-004", "config", "config is too long.");
	else if (text.failed)
		code = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!code)
		code = seal(vault, &cfg, from, a, rules, &sealed, err);
	if (!code && rules->count == 0 && options) {
		code = nx_assemble(q, from, nx_buf_str(&text), sealed, options, &made, err);
		options = NULL;
	} else if (!code && from->lenient && rules->count && rules->count == rules->unavailable) {
		code = with_problem(q, from, nx_buf_str(&text), sealed, rules, &made, err);
	}
	if (!code && made) {
		made->in_vault = cfg.in_vault;
		made->was = from->status;
		*ret = made;
	}
	nx_options_free(options);
	nx_buf_done(&text);
	return code;
}

/* Decrypts and parses. *ret stays NULL when there are no secrets. The caller wipes the tree. */
enum nx_code nx_secrets_open(const struct nx_vault *vault, const char *id, struct nx_str sealed,
			     struct nx_arena *a, const struct nx_json **ret, struct nx_error *err)
{
	struct nx_str plain = { 0 };
	if (sealed.len == 0)
		return NX_OK;
	if (!vault)
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "CV-004: the source has stored credentials and the gateway has no "
			       "vault key.");
	enum nx_code code = nx_vault_open(vault, nx_str(id), sealed, a, &plain, err);
	if (!code)
		code = nx_json_parse(plain, a, ret, err);
	if (code == NX_E_BAD_JSON) /* sealed by us, so never seen without a bug */
		code = nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "CV-001: the stored credentials are damaged.");
	if (plain.len)
		nx_wipe((void *)(uintptr_t)plain.ptr, plain.len);
	return code;
}
