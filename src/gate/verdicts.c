/* Verdicts of layer A by exact text: the same statement is judged once. Only acceptances are kept, so
 * the cache can never turn a refusal into anything else. Direct-mapped and bounded; a collision
 * replaces. The key is compared in full: a hash alone decides nothing. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "gate/request.h"
#include "stats/metrics.h"

enum { SLOTS = 4096, SHARDS = 64, MAX_SQL = 4096 };

struct slot {
	uint64_t hash;
	char *text; /* NUL-terminated: key SQL, then the SQL to send, then placeholder */
	size_t sql_len, send_len;
	enum nx_dialect dialect;
	uint32_t policy, nparams;
	enum nx_statement_kind kind;
	bool pure;
};

enum { QUICK_MAX = 32, QUICK_FROM = 16 };

struct nx_verdicts {
	pthread_mutex_t lock[SHARDS];
	struct slot slot[SLOTS];
	_Atomic int quick[SLOTS]; /* 0..QUICK_MAX; outside the locks: it is only advice */
};

struct nx_verdicts *nx_verdicts_new(void)
{
	struct nx_verdicts *v = calloc(1, sizeof(*v));
	for (int i = 0; v && i < SHARDS; i++)
		pthread_mutex_init(&v->lock[i], NULL);
	return v;
}

void nx_verdicts_free(struct nx_verdicts *v)
{
	if (!v)
		return;
	for (int i = 0; i < SLOTS; i++)
		free(v->slot[i].text);
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_destroy(&v->lock[i]);
	free(v);
}

static uint64_t key_hash(enum nx_dialect d, uint32_t policy, struct nx_str sql)
{
	return nx_str_hash(sql) ^ ((uint64_t)d << 56) ^ ((uint64_t)policy << 48);
}

static bool matches(const struct slot *s, uint64_t h, enum nx_dialect d, uint32_t policy,
		    const char *placeholder, struct nx_str sql)
{
	return s->text && s->hash == h && s->dialect == d && s->policy == policy &&
	       s->sql_len == sql.len && memcmp(s->text, sql.ptr, sql.len) == 0 &&
	       strcmp(s->text + s->sql_len + 1 + s->send_len + 1, placeholder) == 0;
}

bool nx_verdicts_get(struct nx_verdicts *v, enum nx_dialect d, uint32_t policy,
		     const char *placeholder, struct nx_str sql, struct nx_arena *a,
		     struct nx_verdict *ret, uint32_t *ret_slot, bool *ret_quick)
{
	uint64_t h = key_hash(d, policy, sql);
	const struct slot *s = &v->slot[h % SLOTS];
	pthread_mutex_t *lock = &v->lock[h % SLOTS % SHARDS];
	bool hit = false;
	pthread_mutex_lock(lock);
	if (matches(s, h, d, policy, placeholder, sql)) {
		struct nx_str send =
			nx_arena_str(a, nx_strn(s->text + s->sql_len + 1, s->send_len));
		if (send.ptr) {
			*ret = (struct nx_verdict){
				.kind = s->kind, .sql = send, .nparams = s->nparams, .pure = s->pure
			};
			*ret_slot = (uint32_t)(h % SLOTS);
			*ret_quick = atomic_load_explicit(&v->quick[h % SLOTS],
							  memory_order_relaxed) >= QUICK_FROM;
			hit = true;
		}
	}
	pthread_mutex_unlock(lock);
	nx_metrics_cache(hit);
	return hit;
}

void nx_verdicts_put(struct nx_verdicts *v, enum nx_dialect d, uint32_t policy,
		     const char *placeholder, struct nx_str sql, const struct nx_verdict *verdict)
{
	if (sql.len > MAX_SQL || verdict->sql.len > 2 * MAX_SQL)
		return;
	size_t ph = strlen(placeholder);
	char *text = malloc(sql.len + verdict->sql.len + ph + 3);
	if (!text)
		return; /* a cache may always miss */
	char *p = text;
	memcpy(p, sql.ptr, sql.len);
	p[sql.len] = '\0';
	p += sql.len + 1;
	memcpy(p, verdict->sql.ptr, verdict->sql.len);
	p[verdict->sql.len] = '\0';
	p += verdict->sql.len + 1;
	memcpy(p, placeholder, ph + 1);
	uint64_t h = key_hash(d, policy, sql);
	struct slot fresh = { .hash = h,
			      .text = text,
			      .sql_len = sql.len,
			      .send_len = verdict->sql.len,
			      .dialect = d,
			      .policy = policy,
			      .nparams = verdict->nparams,
			      .kind = verdict->kind,
			      .pure = verdict->pure };
	pthread_mutex_t *lock = &v->lock[h % SLOTS % SHARDS];
	pthread_mutex_lock(lock);
	struct slot *s = &v->slot[h % SLOTS];
	free(s->text);
	*s = fresh;
	atomic_store_explicit(&v->quick[h % SLOTS], 0, memory_order_relaxed);
	pthread_mutex_unlock(lock);
}

void nx_verdicts_learn(struct nx_verdicts *v, uint32_t slot, bool quick)
{
	if (slot == NX_NO_SLOT)
		return;
	_Atomic int *q = &v->quick[slot];
	int now = atomic_load_explicit(q, memory_order_relaxed);
	int then = !quick ? now / 2 : now < QUICK_MAX ? now + 1 : now;
	if (then != now)
		atomic_store_explicit(q, then, memory_order_relaxed);
}
