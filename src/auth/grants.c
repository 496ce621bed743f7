#include "auth/grants.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/json.h"
#include "store/store.h"

#define BUCKETS 256u
#define LIST_MAX ((size_t)1 << 20)

struct entry {
	bool is_role;
	enum nx_role role;
	char who[128];
	struct nx_grant_limits limits;
};

struct list {
	struct list *next;
	struct nx_str source; /* points behind the entries */
	struct nx_str json; /* as it is stored */
	uint32_t n;
	struct entry at[];
};

struct nx_grants {
	struct nx_store *store;
	bool open_default;
	pthread_mutex_t writing; /* order of changes; held over the store's I/O, never by a check */
	pthread_rwlock_t lock; /* lists */
	struct list *lists[BUCKETS];
	_Atomic uint32_t count;
};

/* ---- one list ---- */

static enum nx_code number(const struct nx_json *v, double max, double *ret, struct nx_error *err)
{
	double d;
	if (v->kind != NX_JSON_NUMBER || !nx_str_to_f64(v->text, &d) || !(d > 0 && d <= max))
		return nx_fail(err, NX_E_BAD_VALUE, "%.*s must be a number above 0, at most %.0f.",
			       NX_STR_ARG(v->key), max);
	*ret = d;
	return NX_OK;
}

static enum nx_code member(const struct nx_json *m, struct entry *e, bool *named,
			   struct nx_error *err)
{
	double d = 0;
	enum nx_code c = NX_OK;
	if (nx_str_is(m->key, "principal") || nx_str_is(m->key, "role")) {
		if (*named)
			return nx_fail(err, NX_E_BAD_VALUE,
				       "A grant has principal or role, not both.");
		*named = true;
		e->is_role = nx_str_is(m->key, "role");
		bool ok = m->kind == NX_JSON_STRING && m->text.len >= 1 &&
			  m->text.len < sizeof(e->who) && !memchr(m->text.ptr, 0, m->text.len);
		if (!ok || (e->is_role && !nx_role_by_name(m->text, &e->role)))
			return nx_fail(err, NX_E_BAD_VALUE, "%.*s is not one.", NX_STR_ARG(m->key));
		memcpy(e->who, m->text.ptr, m->text.len);
	} else if (nx_str_is(m->key, "maxRows")) {
		c = number(m, 9e15, &d, err);
		e->limits.max_rows = d < 1 ? 1 : (uint64_t)d;
	} else if (nx_str_is(m->key, "maxBytes")) {
		c = number(m, 9e15, &d, err);
		e->limits.max_bytes = d < 1 ? 1 : (uint64_t)d;
	} else if (nx_str_is(m->key, "maxConcurrent")) {
		c = number(m, 1e6, &d, err);
		e->limits.max_concurrent = d < 1 ? 1 : (uint32_t)d;
	} else if (nx_str_is(m->key, "use")) {
		if (m->kind != NX_JSON_STRING || m->text.len == 0 || m->text.len >= NX_GRANT_USE ||
		    memchr(m->text.ptr, 0, m->text.len))
			return nx_fail(err, NX_E_BAD_VALUE,
				       "use must be a data source's name or id.");
		memcpy(e->limits.use, m->text.ptr, m->text.len);
	} else if (nx_str_is(m->key, "timeout")) {
		c = number(m, 86400, &d, err);
		e->limits.timeout_ms = d < 0.001 ? 1 : (int64_t)(d * 1000);
	} else {
		c = nx_fail(err, NX_E_UNKNOWN_KEY, "Unknown field %.60s.", m->key.ptr);
	}
	return c;
}

static enum nx_code read_list(const struct nx_json *j, struct list *l, struct nx_error *err)
{
	for (const struct nx_json *o = j->first; o; o = o->next) {
		struct entry *e = &l->at[l->n++];
		bool named = false;
		if (o->kind != NX_JSON_OBJECT)
			return nx_fail(err, NX_E_BAD_VALUE, "A grant must be an object.");
		for (const struct nx_json *m = o->first; m; m = m->next) {
			enum nx_code c = member(m, e, &named, err);
			if (c)
				return c;
		}
		if (!named)
			return nx_fail(err, NX_E_MISSING_KEY, "A grant needs principal or role.");
		for (const struct entry *f = l->at; f < e; f++)
			if (f->is_role == e->is_role && strcmp(f->who, e->who) == 0)
				return nx_fail(err, NX_E_BAD_VALUE, "%s is named twice.", e->who);
	}
	return NX_OK;
}

static enum nx_code make_list(struct nx_str source, const struct nx_json *j, struct list **ret,
			      struct nx_error *err)
{
	if (j->kind != NX_JSON_ARRAY || j->count > NX_GRANTS_MAX)
		return nx_fail(err, NX_E_BAD_VALUE, "grants must be an array of at most %u.",
			       NX_GRANTS_MAX);
	struct nx_buf text;
	nx_buf_init(&text, LIST_MAX);
	nx_json_write(j, &text);
	size_t head = sizeof(struct list) + j->count * sizeof(struct entry);
	struct list *l = text.failed ? NULL : calloc(1, head + source.len + text.len);
	enum nx_code c = l ? read_list(j, l, err) : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!c) {
		char *at = (char *)l + head;
		memcpy(at, source.ptr, source.len);
		memcpy(at + source.len, text.data, text.len);
		l->source = nx_strn(at, source.len);
		l->json = nx_strn(at + source.len, text.len);
		*ret = l;
	} else {
		free(l);
	}
	nx_buf_done(&text);
	return c;
}

/* ---- the table ---- */

static struct list **find(struct nx_grants *g, struct nx_str source)
{
	struct list **at = &g->lists[nx_str_hash(source) % BUCKETS];
	while (*at && !nx_str_eq((*at)->source, source))
		at = &(*at)->next;
	return at;
}

/* NULL `l`: takes away. */
static void publish(struct nx_grants *g, struct nx_str source, struct list *l)
{
	pthread_rwlock_wrlock(&g->lock);
	struct list **at = find(g, source), *old = *at;
	if (l) {
		l->next = old ? old->next : NULL;
		*at = l;
	} else if (old) {
		*at = old->next;
	}
	g->count += (l ? 1u : 0u) - (old ? 1u : 0u);
	pthread_rwlock_unlock(&g->lock);
	free(old);
}

static enum nx_code load(struct nx_str source, struct nx_str text, void *arg, struct nx_error *err)
{
	struct nx_arena *a = nx_arena_new(16 * LIST_MAX);
	const struct nx_json *j;
	struct list *l = NULL;
	enum nx_code c =
		a ? nx_json_parse(text, a, &j, err) : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!c)
		c = make_list(source, j, &l, err);
	if (c && c != NX_E_MEMORY)
		c = nx_fail(err, NX_E_STORE_FAILED, "The metadata store holds a damaged grant.");
	if (!c)
		publish(arg, source, l);
	nx_arena_free(a);
	return c;
}

enum nx_code nx_grants_open(struct nx_store *store, bool open_default, struct nx_grants **ret,
			    struct nx_error *err)
{
	struct nx_grants *g = calloc(1, sizeof(*g));
	if (!g)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	g->store = store;
	g->open_default = open_default;
	pthread_mutex_init(&g->writing, NULL);
	pthread_rwlock_init(&g->lock, NULL);
	enum nx_code c = nx_store_grants(store, load, g, err);
	if (c) {
		nx_grants_free(g);
		return c;
	}
	*ret = g;
	return NX_OK;
}

void nx_grants_free(struct nx_grants *g)
{
	if (!g)
		return;
	if (!g)
		return;
	for (uint32_t i = 0; i < BUCKETS; i++)
		while (g->lists[i]) {
			struct list *l = g->lists[i];
			g->lists[i] = l->next;
			free(l);
		}
	pthread_mutex_destroy(&g->writing);
	pthread_rwlock_destroy(&g->lock);
	free(g);
}

enum nx_code nx_grants_sync(struct nx_grants *g, struct nx_error *err)
{
	struct nx_grants *fresh = NULL;
	pthread_mutex_lock(&g->writing);
	enum nx_code c = nx_grants_open(g->store, g->open_default, &fresh, err);
	if (!c) {
		pthread_rwlock_wrlock(&g->lock);
		for (uint32_t i = 0; i < BUCKETS; i++) {
			struct list *old = g->lists[i];
			g->lists[i] = fresh->lists[i];
			fresh->lists[i] = old;
		}
		atomic_store(&g->count, atomic_load(&fresh->count));
		pthread_rwlock_unlock(&g->lock);
	}
	pthread_mutex_unlock(&g->writing);
	nx_grants_free(fresh);
	return c;
}

bool nx_grants_empty(const struct nx_grants *g)
{
	return atomic_load_explicit(&g->count, memory_order_relaxed) == 0;
}

bool nx_grants_check(struct nx_grants *g, struct nx_str source, const struct nx_principal *p,
		     struct nx_grant_limits *ret)
{
	*ret = (struct nx_grant_limits){ 0 };
	if (p->role == NX_ROLE_ADMIN)
		return true;
	if (nx_grants_empty(g))
		return g->open_default;
	pthread_rwlock_rdlock(&g->lock);
	const struct list *l = *find(g, source);
	const struct entry *best = NULL;
	for (uint32_t i = 0; l && i < l->n; i++) {
		const struct entry *e = &l->at[i];
		if (e->is_role ? e->role == p->role && !best : strcmp(e->who, p->name) == 0)
			best = e;
		if (best && !best->is_role)
			break;
	}
	bool ok = l ? best != NULL : g->open_default;
	if (best)
		*ret = best->limits;
	pthread_rwlock_unlock(&g->lock);
	return ok;
}

enum nx_code nx_grants_set(struct nx_grants *g, struct nx_str source, const struct nx_json *list,
			   struct nx_error *err)
{
	struct list *l = NULL;
	enum nx_code c = list ? make_list(source, list, &l, err) : NX_OK;
	if (c)
		return c;
	pthread_mutex_lock(&g->writing);
	c = nx_store_grants_put(g->store, source, l ? l->json : (struct nx_str){ NULL, 0 }, err);
	if (!c)
		publish(g, source, l);
	pthread_mutex_unlock(&g->writing);
	if (c)
		free(l);
	return c;
}

bool nx_grants_write(struct nx_grants *g, struct nx_str source, struct nx_buf *out)
{
	pthread_rwlock_rdlock(&g->lock);
	const struct list *l = *find(g, source);
	if (l)
		nx_buf_put_str(out, l->json);
	pthread_rwlock_unlock(&g->lock);
	return l != NULL;
}
