/* What other instances changed in the store they share: rows are compared with the snapshots, and what
 * differs is built as at start. First all is read and built, then it is put in place. */
#include <stdlib.h>

#include "base/log.h"
#include "catalog/catalog_int.h"

struct pair {
	struct nx_snapshot *old, *fresh; /* one of them may be NULL */
};

struct sync {
	struct nx_catalog *c;
	struct pair *pairs;
	size_t n, cap;
};

static bool add(struct sync *y, struct nx_snapshot *old, struct nx_snapshot *fresh)
{
	if (y->n == y->cap) {
		size_t cap = y->cap ? y->cap * 2 : 16;
		struct pair *p = reallocarray(y->pairs, cap, sizeof(*p));
		if (!p)
			return false;
		y->pairs = p;
		y->cap = cap;
	}
	y->pairs[y->n++] = (struct pair){ old, fresh };
	return true;
}

/* The same config in another status: body and pool stay. */
static enum nx_code restate(const struct nx_snapshot *old, enum nx_source_status status,
			    struct nx_snapshot **ret, struct nx_error *err)
{
	bool unfit = old->pub.problem || (status == NX_SOURCE_ACTIVE && !old->pub.driver);
	struct nx_snapshot *s = nx_snapshot_new(old->body, old->pub.id, old->pub.type,
						old->pub.version, unfit ? old->pub.status : status);
	if (!s)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	s->pub.problem = old->pub.problem;
	memcpy(s->pub.problem_text, old->pub.problem_text, sizeof(s->pub.problem_text));
	s->in_vault = old->in_vault;
	s->was = s->stored = status;
	*ret = s;
	return NX_OK;
}

static enum nx_code look(const struct nx_store_source *row, void *arg, struct nx_error *err)
{
	struct sync *y = arg;
	struct nx_snapshot *old = nx_catalog_current(y->c, row->id), *s = NULL;
	enum nx_source_status status = NX_SOURCE_DRAFT;
	if (old)
		old->round = y->c->round;
	bool as_it_was = old && nx_status_of(row->status, &status) &&
			 old->pub.version == row->version &&
			 nx_str_eq(old->pub.updated_at, row->updated_at);
	if (old && (old->pub.from_config || (as_it_was && old->stored == status)))
		return NX_OK;
	enum nx_code code =
		as_it_was ? restate(old, status, &s, err) : nx_catalog_from_row(y->c, row, &s, err);
	if (code)
		return code;
	if (old && !as_it_was)
		nx_body_follow(s->body, old->body);
	nx_snapshot_hold(s);
	s->round = y->c->round;
	if (add(y, old, s))
		return NX_OK;
	nx_data_source_unref(&s->pub);
	return nx_fail(err, NX_E_MEMORY, "Out of memory.");
}

static enum nx_code find_gone(struct sync *y, struct nx_error *err)
{
	const struct nx_catalog *c = y->c;
	for (size_t i = 0; i < c->by_id.count; i++)
		if (!c->sorted[i]->pub.from_config && c->sorted[i]->round != c->round &&
		    !add(y, c->sorted[i], NULL))
			return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	return NX_OK;
}

/* Who has the name of p->fresh, other than what it replaces. */
static const struct nx_snapshot *in_the_way(struct nx_catalog *c, const struct pair *p)
{
	const struct nx_snapshot *holder = nx_table_get(&c->by_name, p->fresh->pub.name);
	return holder == p->old ? NULL : holder;
}

/* Gone ones first. A name may go from one source to another: who has to wait for it is taken out, and put in
 * when all others are in place. */
static void commit(struct sync *y)
{
	struct nx_catalog *c = y->c;
	for (size_t i = 0; i < y->n; i++)
		if (!y->pairs[i].fresh)
			nx_catalog_swap(c, y->pairs[i].old, NULL);
	size_t waiting = 0;
	for (size_t i = 0; i < y->n; i++) {
		struct pair *p = &y->pairs[i];
		if (!p->fresh)
			continue;
		if (in_the_way(c, p)) {
			if (p->old)
				nx_catalog_swap(c, p->old, NULL);
			waiting++;
			continue;
		}
		nx_catalog_swap(c, p->old, p->fresh);
		p->fresh = NULL;
	}
	for (size_t i = 0; waiting > 0 && i < y->n; i++) {
		struct pair *p = &y->pairs[i];
		if (!p->fresh)
			continue;
		waiting--;
		if (nx_table_get(&c->by_name, p->fresh->pub.name)) {
			nx_log(NX_LOG_WARN, "source",
			       "source %s of the store is left out: this configuration has its "
			       "name, " NX_STR_FMT,
			       p->fresh->pub.id, NX_STR_ARG(p->fresh->pub.name));
			nx_data_source_unref(&p->fresh->pub);
		} else {
			nx_catalog_swap(c, NULL, p->fresh);
		}
		p->fresh = NULL;
	}
}

enum nx_code nx_catalog_sync(struct nx_catalog *c, struct nx_error *err)
{
	struct sync y = { .c = c };
	pthread_mutex_lock(&c->writing); /* so the tables stand still: only writers change them */
	c->round++;
	enum nx_code code = nx_store_sources(c->store, look, &y, err);
	if (!code)
		code = nx_catalog_room(c, (uint32_t)y.n, err);
	if (!code)
		code = find_gone(&y, err);
	if (!code)
		commit(&y);
	pthread_mutex_unlock(&c->writing);
	for (size_t i = 0; i < y.n; i++) {
		if (!code)
			nx_catalog_tell(c, y.pairs[i].old);
		else if (y.pairs[i].fresh)
			nx_data_source_unref(&y.pairs[i].fresh->pub);
	}
	free(y.pairs);
	return code;
}
