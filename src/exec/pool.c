/* Pools: one per source snapshot. A changed or deleted source's pool takes no new jobs, closes its
 * idle connections at once and the others as their queries end. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "exec/exec_int.h"

/* An idle connection used this recently is not looked at before reuse: if it did die, the one safe
 * retry covers it. */
#define FRESH_NS (NX_SEC)

static uint32_t bucket_of(const struct nx_data_source *ds)
{
	return (uint32_t)(((uintptr_t)ds >> 4) * 0x9e3779b1u) % POOL_BUCKETS;
}

struct nx_pool *nx_pool_find(struct nx_exec *e, const struct nx_data_source *ds)
{
	for (struct nx_pool *p = e->pools[bucket_of(ds)]; p; p = p->next)
		if (p->ds == ds && !p->closing)
			return p;
	return NULL;
}

static enum nx_code make_pool(struct nx_exec *e, const struct nx_data_source *ds,
			      struct nx_pool **ret, struct nx_error *err)
{
	if (!ds->driver)
		return nx_fail(err, NX_E_DRIVER_NOT_BUILT,
			       "The type %s is known but its driver is not built in.",
			       ds->type->name);
	struct nx_pool *p = calloc(1, sizeof(*p));
	if (!p)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	enum nx_code c = ds->driver->open(ds->options, &p->source, err);
	if (c) {
		free(p);
		return c;
	}
	p->exec = e;
	p->ds = ds;
	nx_data_source_ref(ds);
	*ret = p;
	return NX_OK;
}

enum nx_code nx_pool_open(struct nx_exec *e, const struct nx_data_source *ds, struct nx_pool **ret,
			  struct nx_error *err)
{
	struct nx_pool *fresh = NULL;
	pthread_mutex_unlock(&e->lock);
	enum nx_code c = make_pool(e, ds, &fresh, err);
	pthread_mutex_lock(&e->lock);
	if (c)
		return c;
	struct nx_pool *p = nx_pool_find(e, ds);
	if (p) { /* another thread was faster */
		fresh->closing = true;
		fresh->next = e->dead_pools;
		e->dead_pools = fresh;
		pthread_cond_signal(&e->helper_wake);
	} else {
		uint32_t b = bucket_of(ds);
		fresh->next = e->pools[b];
		e->pools[b] = fresh;
		p = fresh;
		/* A request that read the catalog before a change may come after it: nobody will
		 * tell this pool. It serves that request and goes. */
		p->closing = nx_data_source_replaced(ds);
	}
	*ret = p;
	return NX_OK;
}

static void bury_idle(struct nx_pool *p)
{
	while (p->idle) {
		struct nx_lease *l = p->idle;
		p->idle = l->next;
		p->nidle--;
		nx_lease_bury(l);
	}
}

/* Unlinks an empty closing pool and leaves the rest to the helper. */
static void retire(struct nx_pool *p)
{
	struct nx_exec *e = p->exec;
	if (!p->closing || p->users || p->open)
		return;
	struct nx_pool **at = &e->pools[bucket_of(p->ds)];
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	p->next = e->dead_pools;
	e->dead_pools = p;
	pthread_cond_signal(&e->helper_wake);
}

void nx_pool_unuse(struct nx_pool *p)
{
	p->users--;
	retire(p);
}

static void close_pool(struct nx_pool *p)
{
	p->closing = true;
	bury_idle(p);
	retire(p);
}

void nx_pool_changed(const struct nx_data_source *old, void *exec)
{
	struct nx_exec *e = exec;
	pthread_mutex_lock(&e->lock);
	struct nx_pool *p = nx_pool_find(e, old);
	if (p)
		close_pool(p);
	pthread_mutex_unlock(&e->lock);
}

void nx_pool_close_all(struct nx_exec *e)
{
	for (uint32_t b = 0; b < POOL_BUCKETS; b++)
		for (struct nx_pool *p = e->pools[b], *next; p; p = next) {
			next = p->next;
			close_pool(p);
		}
}

void nx_lease_bury(struct nx_lease *l)
{
	struct nx_exec *e = l->pool->exec;
	l->next = e->dead;
	e->dead = l;
	pthread_cond_signal(&e->helper_wake);
}

/* Closes what has been idle or alive for too long. */
void nx_pool_reap(struct nx_exec *e, int64_t now)
{
	for (uint32_t b = 0; b < POOL_BUCKETS; b++)
		for (struct nx_pool *p = e->pools[b]; p; p = p->next) {
			struct nx_lease **at = &p->idle;
			while (*at) {
				struct nx_lease *l = *at;
				bool stale =
					now - l->used > (int64_t)p->ds->limits.idle_ms * NX_MS ||
					now - l->created >
						(int64_t)p->ds->limits.lifetime_ms * NX_MS;
				if (!stale) {
					at = &l->next;
					continue;
				}
				*at = l->next;
				p->nidle--;
				nx_lease_bury(l);
			}
		}
}

/* ---- the helpers' work ---- */

/* A source that hangs must not hold all helpers while others wait for theirs. */
static bool may_help(const struct nx_pool *p)
{
	return p->helped < NX_HELPERS / 2;
}

static struct nx_lease *next_cancel(struct nx_exec *e)
{
	struct nx_lease **at = &e->cancel_head;
	while (*at && !may_help((*at)->pool))
		at = &(*at)->cancel_next;
	struct nx_lease *l = *at;
	if (!l)
		return NULL;
	*at = l->cancel_next;
	if (!*at)
		e->cancel_tail = at;
	return l;
}

static struct nx_lease *next_dead(struct nx_exec *e)
{
	struct nx_lease **at = &e->dead;
	while (*at && !may_help((*at)->pool))
		at = &(*at)->next;
	struct nx_lease *l = *at;
	if (l)
		*at = l->next;
	return l;
}

static void run_cancel(struct nx_exec *e, struct nx_lease *l)
{
	l->cancel_queued = false;
	l->cancel_running = true;
	l->cancelled = true;
	l->pool->cancels++;
	l->pool->helped++;
	pthread_mutex_unlock(&e->lock);
	l->conn->driver->cancel(l->conn);
	pthread_mutex_lock(&e->lock);
	l->pool->helped--;
	l->cancel_running = false;
	if (l->abandoned)
		nx_lease_bury(l);
}

static void run_disconnect(struct nx_exec *e, struct nx_lease *l)
{
	l->pool->helped++;
	pthread_mutex_unlock(&e->lock);
	l->conn->driver->disconnect(l->conn);
	pthread_mutex_lock(&e->lock);
	l->pool->helped--;
	l->pool->open--;
	retire(l->pool);
	free(l);
}

static void run_close(struct nx_exec *e, struct nx_pool *p)
{
	pthread_mutex_unlock(&e->lock);
	p->ds->driver->close(p->source);
	nx_data_source_unref(p->ds);
	free(p);
	pthread_mutex_lock(&e->lock);
}

void nx_helper_work(struct nx_exec *e)
{
	for (;;) {
		struct nx_lease *cancel = next_cancel(e), *dead = cancel ? NULL : next_dead(e);
		if (cancel) {
			run_cancel(e, cancel);
		} else if (dead) {
			run_disconnect(e, dead);
		} else if (e->dead_pools) {
			struct nx_pool *p = e->dead_pools;
			e->dead_pools = p->next;
			run_close(e, p);
		} else {
			return;
		}
	}
}

/* Newest idle connection that still looks alive. Drops the lock around check(). */
static struct nx_lease *pop_idle(struct nx_pool *p)
{
	struct nx_exec *e = p->exec;
	while (p->idle) {
		struct nx_lease *l = p->idle;
		p->idle = l->next;
		p->nidle--;
		const struct nx_driver *d = l->conn->driver;
		bool look = d->check && (l->used <= p->suspect || nx_now() - l->used > FRESH_NS);
		if (!look)
			return l;
		pthread_mutex_unlock(&e->lock);
		bool alive = d->check(l->conn);
		pthread_mutex_lock(&e->lock);
		if (alive)
			return l;
		nx_lease_bury(l);
	}
	return NULL;
}

static enum nx_code open_lease(struct nx_job *j, struct nx_lease **ret, struct nx_error *err)
{
	struct nx_pool *p = j->pool;
	struct nx_exec *e = j->exec;
	struct nx_lease *l = calloc(1, sizeof(*l));
	if (!l)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	int64_t deadline = nx_now() + (int64_t)p->ds->limits.connect_ms * NX_MS;
	bool ours = j->deadline < deadline;
	if (ours)
		deadline = j->deadline;
	atomic_store(&j->state, NX_JOB_CONNECTING);
	enum nx_code c = p->ds->driver->connect(p->source, deadline, &l->conn, err);
	pthread_mutex_lock(&e->lock);
	if (c) {
		p->connect_failures++;
		p->suspect = nx_now();
	} else {
		p->connects++;
		p->open++;
	}
	pthread_mutex_unlock(&e->lock);
	/* the deadline of a short query is no fault of the source */
	if (e->cfg.on_connect && !(c == NX_E_CONNECT_TIMEOUT && ours))
		e->cfg.on_connect(p->ds, c ? err : NULL, e->cfg.on_connect_arg);
	if (c) {
		free(l);
		if (c == NX_E_CONNECT_TIMEOUT && ours)
			c = nx_fail(err, NX_E_QUERY_TIMEOUT,
				    "The query's time was over before the source answered.");
		return c;
	}
	l->pool = p;
	l->created = l->used = nx_now();
	*ret = l;
	return NX_OK;
}

enum nx_code nx_job_connect(struct nx_job *j, struct nx_conn **ret, bool *reused,
			    struct nx_error *err)
{
	struct nx_pool *p = j->pool;
	struct nx_exec *e = j->exec;
	pthread_mutex_lock(&e->lock);
	struct nx_lease *l = pop_idle(p);
	bool old = l != NULL;
	if (old) {
		p->reuses++;
	} else {
		pthread_mutex_unlock(&e->lock);
		enum nx_code c = open_lease(j, &l, err);
		if (c)
			return c;
		pthread_mutex_lock(&e->lock);
	}
	j->lease = l; /* from here on a cancel reaches the connection */
	enum nx_code cancelled = atomic_load(&j->cancelled);
	pthread_mutex_unlock(&e->lock);
	if (cancelled) { /* before anything was sent: the connection is as good as before */
		nx_job_drop(j, NX_CONN_CLEAN);
		return nx_fail(err, cancelled, "%s", nx_code_help(cancelled));
	}
	atomic_store(&j->state, NX_JOB_EXECUTING);
	*ret = l->conn;
	*reused = old;
	return NX_OK;
}

enum nx_code nx_exec_probe(const struct nx_data_source *s, int64_t deadline,
			   struct nx_grants *ret_grants, int64_t *ret_connect_ns,
			   struct nx_error *err)
{
	if (!s->driver)
		return nx_fail(err, NX_E_DRIVER_NOT_BUILT,
			       "The type %s is known but its driver is not built in.",
			       s->type->name);
	struct nx_source *src;
	enum nx_code c = s->driver->open(s->options, &src, err);
	if (c)
		return c;
	struct nx_conn *conn;
	struct nx_grants grants = { .superuser = false };
	int64_t started = nx_now();
	c = s->driver->connect(src, deadline, &conn, err);
	int64_t took = nx_now() - started;
	if (!c) {
		if (s->driver->probe)
			c = s->driver->probe(conn, deadline, &grants, err);
		s->driver->disconnect(conn);
	}
	s->driver->close(src);
	if (c)
		return c;
	*ret_grants = grants;
	*ret_connect_ns = took;
	return NX_OK;
}

static void pool_figures(const struct nx_pool *p, struct nx_pool_stats *ret)
{
	*ret = (struct nx_pool_stats){
		.active = p->active,
		.streams = p->streams,
		.open = p->open,
		.idle = p->nidle,
		.waiting = p->waiting.n,
		.max = p->ds->limits.max_pool,
		.connects = p->connects,
		.connect_failures = p->connect_failures,
		.reuses = p->reuses,
		.cancels = p->cancels,
	};
	size_t n = p->ds->name.len < sizeof(ret->name) ? p->ds->name.len : sizeof(ret->name) - 1;
	memcpy(ret->id, p->ds->id, sizeof(ret->id));
	memcpy(ret->name, p->ds->name.ptr, n);
	ret->name[n] = '\0';
}

/* Whole buckets are copied as far as there is room: a pool never moves between buckets, so none comes
 * twice or is missed. */
void nx_exec_pools(struct nx_exec *e, void (*fn)(const struct nx_pool_stats *s, void *arg),
		   void *arg)
{
	enum { PIECE = 32 };
	struct nx_pool_stats s[PIECE];
	for (uint32_t b = 0; b < POOL_BUCKETS;) {
		uint32_t n = 0, looked = 0;
		pthread_mutex_lock(&e->lock);
		for (; b < POOL_BUCKETS && looked < POOL_BUCKETS / 4; b++, looked++) {
			uint32_t at = n;
			const struct nx_pool *p = e->pools[b];
			for (; p && n < PIECE; p = p->next)
				pool_figures(p, &s[n++]);
			if (p && at > 0) { /* did not fit behind the others: next time */
				n = at;
				break;
			}
		}
		pthread_mutex_unlock(&e->lock);
		for (uint32_t i = 0; i < n; i++)
			fn(&s[i], arg);
	}
}

void nx_pool_stats_add(struct nx_pool_stats *sum, const struct nx_pool_stats *s)
{
	sum->active += s->active;
	sum->streams += s->streams;
	sum->open += s->open;
	sum->idle += s->idle;
	sum->waiting += s->waiting;
	sum->connects += s->connects;
	sum->connect_failures += s->connect_failures;
	sum->reuses += s->reuses;
	sum->cancels += s->cancels;
}
