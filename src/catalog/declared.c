/* Data sources of the configuration file: the whole list is taken at once, at start and at each reload.
 * Everything is built and checked before anything changes, so a list with a mistake changes nothing. */
#include <openssl/evp.h>

#include "catalog/catalog_int.h"
#include "secrets/secrets.h"

#define SCRATCH_MAX ((size_t)16 << 20) /* of one source at a time */

/* The id is made from the name, so that it survives a restart. */
static bool id_from_name(struct nx_str name, char ret[37])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t h[EVP_MAX_MD_SIZE];
	char *p = ret;
	if (EVP_Digest(name.ptr ? name.ptr : "", name.len, h, NULL, EVP_sha256(), NULL) != 1)
		return false;
	h[6] = (uint8_t)((h[6] & 0x0f) | 0x80); /* UUID version 8: made our own way */
	h[8] = (uint8_t)((h[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[h[i] >> 4];
		*p++ = hex[h[i] & 15];
	}
	*p = '\0';
	return true;
}

/* A change from one list to the next. */
struct change {
	struct nx_catalog *c;
	struct nx_arena *arena;
	struct nx_snapshot **fresh; /* by place in the list; NULL: as it was */
	struct nx_snapshot **old; /* what it replaces, or NULL; then those that are gone */
	struct nx_table names; /* of the list */
	uint32_t n, gone;
};

bool nx_snapshot_same(const struct nx_snapshot *a, const struct nx_snapshot *b)
{
	return nx_str_eq(a->body->type_name, b->body->type_name) &&
	       nx_str_eq(a->pub.description, b->pub.description) &&
	       a->pub.problem == b->pub.problem && nx_options_equal(a->pub.options, b->pub.options);
}

static enum nx_code build_one(struct change *ch, const struct nx_json *item, struct nx_rules *rules,
			      struct nx_error *err)
{
	struct nx_catalog *c = ch->c;
	struct nx_source_request q;
	struct nx_origin from = { .version = 1, .lenient = true };
	nx_source_request_read(item, &q, rules);
	if (!id_from_name(q.name, from.id))
		return nx_fail(err, NX_E_INTERNAL, "No id can be made.");
	from.status = q.has_status				 ? q.status
		      : q.type && nx_driver_find(q.type->driver) ? NX_SOURCE_ACTIVE
								 : NX_SOURCE_DRAFT;
	struct nx_snapshot *old = nx_catalog_current(c, nx_str(from.id)), *s = NULL;
	struct nx_snapshot *holder = nx_table_get(&c->by_name, q.name);
	if (old) {
		from.version = old->pub.version + 1;
		from.created_at = old->pub.created_at;
	}
	if (q.name.len && ((holder && holder != old) || nx_table_get(&ch->names, q.name)))
		nx_rules_add(rules, NX_E_SOURCE_EXISTS, "DS-001", "name",
			     "A data source of that name exists.");
	enum nx_code code = nx_build(c->vault, &q, &from, ch->arena, rules, &s, err);
	if (!code)
		code = nx_rules_end(rules, ch->arena, NULL, err);
	if (!code && !nx_table_reserve(&ch->names, 1))
		code = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (code) {
		nx_data_source_unref(s ? &s->pub : NULL);
		return code;
	}
	s->pub.from_config = true;
	if (old)
		nx_body_follow(s->body, old->body);
	nx_snapshot_hold(s);
	uint32_t at = ch->n++;
	ch->fresh[at] = s;
	ch->old[at] = old;
	nx_table_put(&ch->names, s->pub.name, s);
	return NX_OK;
}

static enum nx_code build_all(struct change *ch, const struct nx_json *list, struct nx_error *err)
{
	for (const struct nx_json *item = list ? list->first : NULL; item; item = item->next) {
		struct nx_rules rules;
		struct nx_error why;
		nx_rules_init(&rules);
		enum nx_code code = build_one(ch, item, &rules, &why);
		nx_rules_done(&rules);
		nx_arena_reset(ch->arena);
		if (code) {
			const struct nx_json *name = nx_json_get(item, "name");
			return nx_fail(err, code, "Source %.100s: %.280s",
				       name && name->text.ptr ? name->text.ptr : "?", why.message);
		}
	}
	return nx_catalog_room(ch->c, ch->n, err);
}

/* Those of the list before that the new one does not name. */
static void find_gone(struct change *ch)
{
	const struct nx_catalog *c = ch->c;
	for (size_t i = 0; i < c->by_id.count; i++)
		if (c->sorted[i]->pub.from_config &&
		    !nx_table_get(&ch->names, c->sorted[i]->pub.name))
			ch->old[ch->n + ch->gone++] = c->sorted[i];
}

static void commit(struct change *ch, struct nx_declared *ret)
{
	*ret = (struct nx_declared){ .removed = ch->gone };
	for (uint32_t i = 0; i < ch->n; i++) {
		struct nx_snapshot *old = ch->old[i], *s = ch->fresh[i];
		if (old && nx_snapshot_same(old, s)) {
			nx_data_source_unref(&s->pub);
			ch->old[i] = NULL;
			ret->unchanged++;
			continue;
		}
		*(old ? &ret->changed : &ret->added) += 1;
		nx_catalog_swap(ch->c, old, s);
	}
	for (uint32_t i = 0; i < ch->gone; i++)
		nx_catalog_swap(ch->c, ch->old[ch->n + i], NULL);
}

static void forget(struct change *ch)
{
	for (uint32_t i = 0; i < ch->n; i++)
		nx_data_source_unref(&ch->fresh[i]->pub);
}

enum nx_code nx_catalog_declare(struct nx_catalog *c, const struct nx_json *list,
				struct nx_declared *ret, struct nx_error *err)
{
	struct change ch = { .c = c, .arena = nx_arena_new(SCRATCH_MAX) };
	struct nx_declared unused;
	uint32_t n = list ? list->count : 0;
	nx_secret_warm(list);
	pthread_mutex_lock(&c->writing); /* so the tables stand still: only writers change them */
	ch.fresh = calloc((size_t)n + 1, sizeof(*ch.fresh));
	ch.old = calloc(n + c->by_id.count + 1, sizeof(*ch.old));
	enum nx_code code = ch.arena && ch.fresh && ch.old
				    ? build_all(&ch, list, err)
				    : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!code) {
		find_gone(&ch);
		commit(&ch, ret ? ret : &unused);
	} else {
		forget(&ch);
	}
	pthread_mutex_unlock(&c->writing);
	for (uint32_t i = 0; !code && i < ch.n + ch.gone; i++)
		nx_catalog_tell(c, ch.old[i]);
	nx_table_done(&ch.names);
	free(ch.fresh);
	free(ch.old);
	nx_arena_free(ch.arena);
	return code;
}
