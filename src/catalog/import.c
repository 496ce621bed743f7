/* Data sources as a file: out as YAML, in as a list that is checked as a whole. */
#include "base/clock.h"
#include "catalog/catalog_int.h"
#include "secrets/secrets.h"

/* ---- out ---- */

/* JSON is YAML: only the first levels are laid out. What is masked is left out. */
static void put_member(const struct nx_json *m, struct nx_buf *out)
{
	if (m->kind == NX_JSON_STRING && nx_str_is(m->text, NX_MASK))
		return;
	nx_buf_puts(out, "      ");
	nx_buf_put_json(out, m->key);
	nx_buf_puts(out, ": ");
	if (m->kind != NX_JSON_OBJECT) {
		nx_json_write(m, out);
		nx_buf_putc(out, '\n');
		return;
	}
	bool any = false;
	nx_buf_putc(out, '{');
	for (const struct nx_json *k = m->first; k; k = k->next) {
		if (k->kind == NX_JSON_STRING && nx_str_is(k->text, NX_MASK))
			continue;
		if (any)
			nx_buf_puts(out, ", ");
		any = true;
		nx_buf_put_json(out, k->key);
		nx_buf_puts(out, ": ");
		nx_json_write(k, out);
	}
	nx_buf_puts(out, "}\n");
}

static void put_text(struct nx_buf *out, const char *lead, struct nx_str s)
{
	nx_buf_puts(out, lead);
	nx_buf_put_json(out, s);
	nx_buf_putc(out, '\n');
}

void nx_data_source_yaml(const struct nx_data_source *s, struct nx_buf *out)
{
	const struct nx_body *b = nx_snapshot_of(s)->body;
	const struct nx_json *config = NULL;
	struct nx_error err;
	put_text(out, "  - name: ", s->name);
	put_text(out, "    type: ", b->type_name);
	if (s->description.len)
		put_text(out, "    description: ", s->description);
	if (s->status == NX_SOURCE_INACTIVE)
		nx_buf_puts(out, "    status: inactive\n");
	struct nx_arena *a = nx_arena_new(0);
	if (a && b->config.len && nx_json_parse(b->config, a, &config, &err) == NX_OK &&
	    config->count) {
		nx_buf_puts(out, "    config:\n");
		for (const struct nx_json *m = config->first; m; m = m->next)
			put_member(m, out);
	} else {
		nx_buf_puts(out, "    config: {}\n");
	}
	if (!a)
		out->failed = true;
	nx_arena_free(a);
}

/* ---- in ---- */

struct import {
	struct nx_catalog *c;
	struct nx_arena *a, *scratch; /* scratch: of one source at a time */
	struct nx_str by;
	struct nx_imported *at;
	struct nx_snapshot **old; /* what each replaces; NULL: new. After apply: to be told */
	struct nx_snapshot **fresh;
	uint32_t n;
};

static bool named_before(const struct import *im, struct nx_str name)
{
	for (uint32_t i = 0; i < im->n; i++)
		if (nx_str_eq(im->at[i].name, name))
			return true;
	return false;
}

static enum nx_code check_one(struct import *im, const struct nx_json *item, struct nx_rules *rules,
			      struct nx_error *err)
{
	struct nx_catalog *c = im->c;
	struct nx_source_request q;
	struct nx_origin from = { .version = 1 };
	const struct nx_json *secrets = NULL;
	struct nx_snapshot *s = NULL;
	nx_source_request_read(item, &q, rules);
	struct nx_snapshot *old = q.name.len ? nx_table_get(&c->by_name, q.name) : NULL;
	if (old && old->pub.from_config)
		return nx_fail(err, NX_E_FORBIDDEN, "it is declared in the configuration file.");
	if (q.name.len && named_before(im, q.name))
		nx_rules_add(rules, NX_E_SOURCE_EXISTS, "DS-001", "name", "The list has it twice.");
	nx_uuid(from.id);
	enum nx_code code = NX_OK;
	if (old) {
		memcpy(from.id, old->pub.id, sizeof(from.id));
		code = nx_secrets_open(c->vault, from.id, old->body->secrets, im->scratch, &secrets,
				       err);
	}
	if (code && code != NX_E_CREDENTIAL_INVALID)
		return code;
	from.old_secrets = secrets;
	code = nx_build(c->vault, &q, &from, im->scratch, rules, &s, err);
	if (secrets)
		nx_json_wipe(secrets);
	if (!code)
		code = nx_rules_end(rules, im->scratch, NULL, err);
	if (!code) {
		struct nx_imported *p = &im->at[im->n];
		p->name = nx_arena_str(im->a, q.name);
		memcpy(p->id, from.id, sizeof(p->id));
		p->what = !old			     ? NX_IMPORT_CREATED
			  : nx_snapshot_same(old, s) ? NX_IMPORT_UNCHANGED
						     : NX_IMPORT_CHANGED;
		im->old[im->n++] = old;
		if (!p->name.ptr)
			code = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	nx_data_source_unref(s ? &s->pub : NULL);
	return code;
}

static enum nx_code apply_one(struct import *im, uint32_t i, const struct nx_json *item,
			      struct nx_rules *rules, struct nx_error *err)
{
	struct nx_source_request q;
	struct nx_snapshot *old = im->old[i];
	if (im->at[i].what == NX_IMPORT_UNCHANGED) {
		im->old[i] = NULL;
		return NX_OK;
	}
	nx_source_request_read(item, &q, rules);
	if (old)
		return nx_catalog_replace_with(im->c, old, &q, old->body->secrets, im->by,
					       im->scratch, rules, NULL, &im->fresh[i], err);
	struct nx_origin from = {
		.version = 1, .status = q.status, .changed_by = im->by, .save = true
	};
	memcpy(from.id, im->at[i].id, sizeof(from.id));
	return nx_catalog_add_new(im->c, &q, &from, im->scratch, rules, NULL, &im->fresh[i], err);
}

/* Both passes over the list; says which source it was. */
static enum nx_code pass(struct import *im, const struct nx_json *list, bool apply,
			 struct nx_error *err)
{
	uint32_t i = 0;
	for (const struct nx_json *item = list->first; item; item = item->next, i++) {
		struct nx_rules rules;
		struct nx_error why;
		nx_rules_init(&rules);
		enum nx_code code = apply ? apply_one(im, i, item, &rules, &why)
					  : check_one(im, item, &rules, &why);
		nx_rules_done(&rules);
		nx_arena_reset(im->scratch);
		if (code) {
			const struct nx_json *name = nx_json_get(item, "name");
			for (; apply && i < im->n; i++)
				im->old[i] = NULL; /* these did not change */
			return nx_fail(err, code, "Source %.100s: %.280s",
				       name && name->text.ptr ? name->text.ptr : "?", why.message);
		}
	}
	return NX_OK;
}

enum nx_code nx_catalog_import(struct nx_catalog *c, const struct nx_json *list, bool dry,
			       struct nx_str by, struct nx_arena *a, struct nx_imported **ret,
			       uint32_t *ret_n, struct nx_error *err)
{
	struct import im = { .c = c, .a = a, .by = by, .scratch = nx_arena_new((size_t)16 << 20) };
	im.at = nx_arena_array(a, list->count + 1, sizeof(*im.at));
	im.old = nx_arena_array(a, list->count + 1, sizeof(*im.old));
	im.fresh = nx_arena_array(a, list->count + 1, sizeof(*im.fresh));
	if (!im.scratch || !im.at || !im.old || !im.fresh) {
		nx_arena_free(im.scratch);
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	memset(im.fresh, 0, (list->count + 1) * sizeof(*im.fresh));
	nx_secret_warm(list);
	for (const struct nx_json *item = list->first; item; item = item->next) {
		const struct nx_json *name = nx_json_get(item, "name");
		if (name && name->kind == NX_JSON_STRING)
			nx_catalog_warm(c, name->text);
	}
	pthread_mutex_lock(&c->writing);
	enum nx_code code = pass(&im, list, false, err);
	bool changing = !code && !dry;
	if (changing)
		code = pass(&im, list, true, err);
	pthread_mutex_unlock(&c->writing);
	for (uint32_t i = 0; changing && i < im.n; i++) {
		if (im.fresh[i]) {
			nx_vitals_again(im.fresh[i]->body->vitals); /* looked at soon */
			nx_data_source_unref(&im.fresh[i]->pub);
		}
		nx_catalog_tell(c, im.old[i]);
	}
	nx_arena_free(im.scratch);
	if (code)
		return code;
	*ret = im.at;
	*ret_n = im.n;
	return NX_OK;
}
