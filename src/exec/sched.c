/* Jobs, queues, workers, deadlines, cancel. See exec.h for the model.
 *
 * A job stands in exactly one place: its pool's waiting queue, the ready queue, or running. Permits
 * are counted in the pool (active, streams), never in the job alone, so that a job that leaves by any
 * door gives back exactly what `permit` and `streaming` say it holds. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "exec/exec_int.h"

#define SWEEP_NS (10 * NX_MS)
#define READY_PATIENCE (5 * NX_MS) /* a ready job that waits longer asks for more workers */
#define CANCEL_REPEAT (250 * NX_MS)
#define RIDE_PATIENCE (50 * NX_MS) /* until the turn comes on another's connection */
/* Client libraries recurse: SQLite takes about 1 KiB a level of an expression and allows 1000 levels.
 * Address space only; pages come as they are used. */
#define WORKER_STACK ((size_t)2 * 1024 * 1024)

const char *nx_job_state_name(enum nx_job_state s)
{
	static const char *const names[] = { "received",  "queued",    "connecting",
					     "executing", "streaming", "completed" };
	return names[s];
}

/* ---- queues ---- */

static void push(struct job_queue *q, struct nx_job *j)
{
	j->q_next = NULL;
	j->q_prev = q->tail;
	if (q->tail)
		q->tail->q_next = j;
	else
		q->head = j;
	q->tail = j;
	q->n++;
}

static void take(struct job_queue *q, struct nx_job *j)
{
	if (j->q_prev)
		j->q_prev->q_next = j->q_next;
	else
		q->head = j->q_next;
	if (j->q_next)
		j->q_next->q_prev = j->q_prev;
	else
		q->tail = j->q_prev;
	j->q_prev = j->q_next = NULL;
	q->n--;
}

static void make_ready(struct nx_exec *e, struct nx_job *j)
{
	j->where = PLACE_READY;
	j->queued_at = nx_now();
	push(&e->ready, j);
}

/* ---- workers ---- */

static void *worker_main(void *arg);

static bool spawn_worker(struct nx_exec *e)
{
	pthread_attr_t attr;
	pthread_t t;
	if (pthread_attr_init(&attr))
		return false;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, WORKER_STACK);
	bool ok = pthread_create(&t, &attr, worker_main, e) == 0;
	pthread_attr_destroy(&attr);
	if (ok)
		e->threads++;
	return ok;
}

/* Sees to it that somebody takes the next ready job, if the budget allows. */
static void wake_worker(struct nx_exec *e)
{
	if (!e->ready.head || e->running >= e->target)
		return;
	struct worker *w = e->parked;
	if (w) {
		e->parked = w->next;
		w->woken = true;
		e->running++; /* counted for it here, so that two submits wake two workers */
		pthread_cond_signal(&w->wake);
	} else if (e->threads < e->cfg.max_workers) {
		if (spawn_worker(e))
			e->running++;
		else
			nx_log(NX_LOG_ERROR, "exec", "cannot start a worker thread");
	}
}

static void *worker_main(void *arg)
{
	struct nx_exec *e = arg;
	struct worker self = { .woken = true };
	pthread_cond_init(&self.wake, NULL);
	pthread_mutex_lock(&e->lock);
	for (;;) {
		/* here: counted in running */
		struct nx_job *j = e->running <= e->target ? e->ready.head : NULL;
		if (j) {
			take(&e->ready, j);
			j->where = PLACE_RUNNING;
			pthread_mutex_unlock(&e->lock);
			j->run(j); /* ends with nx_job_end: j is gone */
			pthread_mutex_lock(&e->lock);
			continue;
		}
		e->running--;
		if (e->stopping && !e->jobs)
			break;
		self.woken = false;
		self.next = e->parked;
		e->parked = &self;
		while (!self.woken)
			pthread_cond_wait(&self.wake, &e->lock);
	}
	e->threads--;
	if (e->threads == 0)
		pthread_cond_broadcast(&e->idle);
	pthread_mutex_unlock(&e->lock);
	pthread_cond_destroy(&self.wake);
	return NULL;
}

/* ---- permits ---- */

/* Lets waiting jobs of a pool through while there are permits. The caller sees to a worker. */
static void grant(struct nx_exec *e, struct nx_pool *p)
{
	while (p->waiting.n && p->active < p->ds->limits.max_pool) {
		struct nx_job *j = nx_fair_next(&p->waiting);
		nx_fair_serve(&p->waiting, j);
		p->active++;
		j->permit = true;
		make_ready(e, j);
	}
}

static void give_permit_back(struct nx_job *j)
{
	struct nx_pool *p = j->pool;
	if (!p || !j->permit)
		return;
	j->permit = false;
	if (j->stream_permit)
		p->streams--;
	else
		p->active--;
	j->stream_permit = false;
	grant(j->exec, p);
}

/* A full queue still takes one job of each principal who has none in it, up to twice its length: whoever
 * fills it fills it for himself. */
static bool queue_full(struct nx_pool *p, uint64_t owner)
{
	uint32_t most = p->ds->limits.max_queue;
	return p->waiting.n >= most &&
	       (p->waiting.n / 2 >= most || nx_fair_waits(&p->waiting, owner));
}

/* Why a job cannot be taken; NX_OK when it can. */
static enum nx_code no_room(const struct nx_exec *e, struct nx_pool *p, uint64_t owner)
{
	if (e->draining)
		return NX_E_SHUTTING_DOWN;
	if (e->njobs >= e->cfg.max_jobs)
		return NX_E_OVERLOADED;
	if (p && p->active >= p->ds->limits.max_pool && queue_full(p, owner))
		return NX_E_QUEUE_FULL;
	return NX_OK;
}

static void enqueue(struct nx_exec *e, struct nx_job *j)
{
	struct nx_pool *p = j->pool;
	e->n_jobs++;
	e->njobs++;
	j->prev = NULL;
	j->next = e->jobs;
	if (e->jobs)
		e->jobs->prev = j;
	else
		pthread_cond_signal(&e->sweeper_wake);
	e->jobs = j;
	if (p)
		p->users++;
	bool cancelled = atomic_load(&j->cancelled) != NX_OK; /* it left before it came */
	if (p && !cancelled && p->active >= p->ds->limits.max_pool) {
		j->where = PLACE_WAITING;
		nx_fair_push(&p->waiting, j);
		return;
	}
	if (p && !cancelled) {
		p->active++;
		j->permit = true;
	}
	make_ready(e, j);
	wake_worker(e);
}

enum nx_code nx_job_submit(struct nx_exec *e, struct nx_job *j, struct nx_error *err)
{
	if (j->exec != e) /* submitted again: a cancel may be reading it */
		j->exec = e;
	j->pool = NULL;
	j->lease = j->ride = NULL;
	j->permit = j->streaming = j->stream_permit = false;
	j->lane_prev = j->lane_next = j->lane_tail = j->lane_chain = NULL;
	j->cancel_sent = 0;
	j->started = nx_now();
	j->started_wall = nx_wall_us();
	atomic_store(&j->state, NX_JOB_QUEUED);

	pthread_mutex_lock(&e->lock);
	enum nx_code c = NX_OK;
	if (j->source) {
		j->pool = nx_pool_find(e, j->source);
		if (!j->pool)
			c = nx_pool_open(e, j->source, &j->pool, err);
	}
	if (!c) {
		c = no_room(e, j->pool, j->owner);
		if (c) {
			e->n_rejected++;
			(void)nx_fail(err, c, "%s", nx_code_help(c));
		}
	}
	if (!c) {
		enqueue(e, j);
	} else { /* not taken: there is nothing to end */
		if (j->pool) { /* a late pool has this user only */
			j->pool->users++;
			nx_pool_unuse(j->pool);
		}
		j->pool = NULL;
		atomic_store(&j->state, NX_JOB_RECEIVED);
	}
	pthread_mutex_unlock(&e->lock);
	return c;
}

/* ---- connections of a job ---- */

/* The lease leaves its job: to the idle list, or to be closed. Lock held. */
static void lease_return(struct nx_lease *l, bool reusable)
{
	struct nx_pool *p = l->pool;
	if (l->stream_permit) {
		l->stream_permit = false;
		p->streams--;
		nx_pool_unuse(
			p); /* the lease is still open, so the pool stays until it is buried */
	}
	if (l->cancel_queued) { /* too late to matter; take it out of the cancel queue */
		struct nx_exec *e = p->exec;
		struct nx_lease **q = &e->cancel_head;
		while (*q != l)
			q = &(*q)->cancel_next;
		*q = l->cancel_next;
		if (!*q)
			e->cancel_tail = q;
		l->cancel_queued = false;
	}
	if (l->cancel_running) {
		l->abandoned = true; /* a helper closes it when cancel() returns */
		return;
	}
	int64_t now = nx_now();
	bool old = now - l->created > (int64_t)p->ds->limits.lifetime_ms * NX_MS;
	if (!reusable || l->cancelled || p->closing || old) {
		nx_lease_bury(l);
		return;
	}
	l->used = now;
	l->next = p->idle;
	p->idle = l;
	p->nidle++;
}

/* Resets a dirty connection outside the lock; says whether it may be reused. */
static bool settle(struct nx_lease *l, enum nx_conn_state state)
{
	const struct nx_driver *d = l->conn->driver;
	if (!(d->caps & NX_CAP_POOLABLE))
		return false;
	switch (state) {
	case NX_CONN_CLEAN:
		return true;
	case NX_CONN_BROKEN:
		return false;
	case NX_CONN_DIRTY:
		break;
	}
	struct nx_error err;
	return d->reset && d->reset(l->conn, nx_now() + 5 * NX_SEC, &err) == NX_OK;
}

/* The lock is held; `reusable` came from settle(). */
static void give_lease_back(struct nx_job *j, enum nx_conn_state state, bool reusable)
{
	struct nx_lease *l = j->lease;
	if (!l)
		return;
	if (state == NX_CONN_BROKEN && !l->cancelled && !atomic_load(&j->cancelled))
		l->pool->suspect = nx_now();
	j->lease = NULL;
	lease_return(l, reusable);
}

void nx_job_drop(struct nx_job *j, enum nx_conn_state state)
{
	bool reusable = j->lease && settle(j->lease, state);
	pthread_mutex_lock(&j->exec->lock);
	give_lease_back(j, state, reusable);
	give_permit_back(j);
	wake_worker(j->exec);
	pthread_mutex_unlock(&j->exec->lock);
}

void nx_job_retry(struct nx_job *j)
{
	pthread_mutex_lock(&j->exec->lock);
	give_lease_back(j, NX_CONN_BROKEN, false);
	pthread_mutex_unlock(&j->exec->lock);
}

enum nx_code nx_job_detach(struct nx_job *j, struct nx_lease **ret, struct nx_error *err)
{
	struct nx_exec *e = j->exec;
	struct nx_lease *l = j->lease;
	struct nx_pool *p = l->pool;
	pthread_mutex_lock(&e->lock);
	if (l->stream_permit) { /* adopted before */
		j->lease = NULL;
		pthread_mutex_unlock(&e->lock);
		*ret = l;
		return NX_OK;
	}
	if (!j->stream_permit && p->streams >= p->ds->limits.max_streams) {
		pthread_mutex_unlock(&e->lock);
		return nx_fail(err, NX_E_QUEUE_FULL,
			       "This source has no free cursor; its maxStreams is %u.",
			       p->ds->limits.max_streams);
	}
	if (!j->stream_permit) {
		p->streams++;
		p->active--;
	}
	j->permit = j->stream_permit = false;
	j->lease = NULL;
	l->stream_permit = true;
	p->users++;
	grant(e, p);
	wake_worker(e);
	pthread_mutex_unlock(&e->lock);
	*ret = l;
	return NX_OK;
}

struct nx_conn *nx_lease_conn(struct nx_lease *l)
{
	return l->conn;
}

void nx_lease_end(struct nx_lease *l, enum nx_conn_state state)
{
	bool reusable = settle(l, state);
	struct nx_pool *p = l->pool;
	struct nx_exec *e = p->exec;
	pthread_mutex_lock(&e->lock);
	lease_return(l, reusable);
	pthread_mutex_unlock(&e->lock);
}

void nx_job_adopt(struct nx_job *j, struct nx_lease *l, int64_t deadline)
{
	pthread_mutex_lock(&j->exec->lock);
	j->lease = l;
	j->deadline = deadline;
	pthread_mutex_unlock(&j->exec->lock);
}

uint32_t nx_job_peers(struct nx_job *j, bool (*fits)(const struct nx_job *j), struct nx_job **out,
		      uint32_t max)
{
	struct nx_exec *e = j->exec;
	struct nx_pool *p = j->pool;
	uint32_t n = 0;
	pthread_mutex_lock(&e->lock);
	/* Twice a fair share: a connection that comes later finds others waiting, and the fewer
	 * round trips, the less there is to do for all. */
	uint32_t share = p->active ? 2 * p->waiting.n / p->active : 0;
	if (share > max)
		share = max;
	for (struct nx_job *w; n < share && (w = nx_fair_next(&p->waiting));) {
		if (atomic_load(&w->cancelled) || !fits(w))
			break; /* order is kept: nobody is overtaken */
		nx_fair_serve(&p->waiting, w);
		w->where = PLACE_RUNNING;
		out[n++] = w;
	}
	pthread_mutex_unlock(&e->lock);
	return n;
}

void nx_job_board(struct nx_job *j, struct nx_job *const *peers, uint32_t n)
{
	pthread_mutex_lock(&j->exec->lock);
	for (uint32_t i = 0; i < n; i++)
		peers[i]->ride = j->lease;
	pthread_mutex_unlock(&j->exec->lock);
}

void nx_job_alight(struct nx_job *peer)
{
	pthread_mutex_lock(&peer->exec->lock);
	peer->ride = NULL;
	pthread_mutex_unlock(&peer->exec->lock);
}

void nx_job_requeue(struct nx_job *j)
{
	struct nx_exec *e = j->exec;
	struct nx_pool *p = j->pool;
	pthread_mutex_lock(&e->lock);
	j->ride = NULL;
	if (atomic_load(&j->cancelled)) { /* runs only to answer */
		make_ready(e, j);
	} else {
		j->where = PLACE_WAITING;
		nx_fair_push_front(&p->waiting, j);
		grant(e, p);
	}
	wake_worker(e);
	pthread_mutex_unlock(&e->lock);
}

void nx_job_stalled(struct nx_job *j)
{
	struct nx_exec *e = j->exec;
	pthread_mutex_lock(&e->lock);
	if (!j->streaming) {
		struct nx_pool *p = j->pool;
		j->streaming = true;
		e->streaming++;
		e->running--;
		if (p && j->permit && p->streams < p->ds->limits.max_streams) {
			p->streams++;
			p->active--;
			j->stream_permit = true; /* holds a stream permit now */
			grant(e, p);
		}
		wake_worker(e);
	}
	pthread_mutex_unlock(&e->lock);
}

static void unlink_job(struct nx_exec *e, struct nx_job *j)
{
	if (j->prev)
		j->prev->next = j->next;
	else
		e->jobs = j->next;
	if (j->next)
		j->next->prev = j->prev;
}

void nx_job_end(struct nx_job *j, enum nx_conn_state state)
{
	struct nx_exec *e = j->exec;
	bool reusable = j->lease && settle(j->lease, state);
	pthread_mutex_lock(&e->lock);
	give_lease_back(j, state, reusable);
	/* This worker is about to look for work: it takes the job that the permit lets through, and
	 * waking another one for it would only have the two change places. */
	give_permit_back(j);
	if (e->ready.n > 1)
		wake_worker(e);
	if (j->streaming) {
		e->streaming--;
		e->running++; /* the worker that ran it counts again */
	}
	unlink_job(e, j);
	e->njobs--;
	if (j->pool)
		nx_pool_unuse(j->pool);
	j->where = PLACE_NONE;
	atomic_store(&j->state, NX_JOB_DONE);
	if (e->njobs == 0 && (e->draining || e->stopping))
		pthread_cond_broadcast(&e->idle);
	pthread_mutex_unlock(&e->lock);
}

/* ---- cancel ---- */

static void send_cancel(struct nx_exec *e, struct nx_lease *l)
{
	if (!l || l->cancel_queued || l->cancel_running || !(l->conn->driver->caps & NX_CAP_CANCEL))
		return;
	l->cancel_queued = true;
	l->cancel_next = NULL;
	*e->cancel_tail = l;
	e->cancel_tail = &l->cancel_next;
	pthread_cond_signal(&e->helper_wake);
}

static void cancel_locked(struct nx_exec *e, struct nx_job *j, enum nx_code reason)
{
	enum nx_code none = NX_OK;
	if (atomic_compare_exchange_strong(&j->cancelled, &none, reason)) {
		if (reason == NX_E_QUERY_TIMEOUT || reason == NX_E_QUEUE_TIMEOUT)
			e->n_timed_out++;
		else
			e->n_cancelled++;
	}
	switch ((enum place)j->where) {
	case PLACE_WAITING: /* it runs now, without a permit, only to answer */
		nx_fair_take(&j->pool->waiting, j);
		make_ready(e, j);
		wake_worker(e);
		break;
	case PLACE_RUNNING:
		j->cancel_sent = nx_now();
		/* On another's connection its turn is most likely near: the sweep looks again. */
		if (j->ride)
			j->cancel_sent -= CANCEL_REPEAT - RIDE_PATIENCE;
		else
			send_cancel(e, j->lease);
		break;
	case PLACE_READY:
	case PLACE_NONE:
		break;
	}
}

void nx_job_cancel(struct nx_job *j, enum nx_code reason)
{
	struct nx_exec *e = j->exec;
	pthread_mutex_lock(&e->lock);
	cancel_locked(e, j, reason);
	pthread_mutex_unlock(&e->lock);
}

bool nx_exec_cancel(struct nx_exec *e, struct nx_str id, uint64_t owner, enum nx_code reason)
{
	bool found = false;
	pthread_mutex_lock(&e->lock);
	for (struct nx_job *j = e->jobs; j; j = j->next) {
		if (!j->id[0] || !nx_str_is(id, j->id) || (owner && j->owner != owner))
			continue;
		cancel_locked(e, j, reason);
		found = true;
		break;
	}
	pthread_mutex_unlock(&e->lock);
	return found;
}

bool nx_exec_cancel_marked(struct nx_exec *e, uint64_t owner, uint64_t mark, enum nx_code reason)
{
	struct nx_job *found = NULL;
	bool one = false;
	pthread_mutex_lock(&e->lock);
	for (struct nx_job *j = e->jobs; j; j = j->next) {
		if (!mark || j->mark != mark || j->owner != owner)
			continue;
		one = !found;
		found = j;
	}
	if (one)
		cancel_locked(e, found, reason);
	pthread_mutex_unlock(&e->lock);
	return one;
}

/* ---- deadlines: a sweep, not a heap ----
 * At most a few thousand jobs are alive, a sweep of the list costs microseconds every 10 ms, and
 * submit and end stay free of heap work. */

static void sweep(struct nx_exec *e, int64_t now)
{
	for (struct nx_job *j = e->jobs, *next; j; j = next) {
		next = j->next;
		if (j->where == PLACE_WAITING && now >= j->queue_deadline)
			cancel_locked(e, j, NX_E_QUEUE_TIMEOUT);
		else if (now >= j->deadline && !atomic_load(&j->cancelled))
			cancel_locked(e, j, NX_E_QUERY_TIMEOUT);
		else if (j->where == PLACE_RUNNING && atomic_load(&j->cancelled) &&
			 (j->lease || j->ride) && now - j->cancel_sent >= CANCEL_REPEAT) {
			j->cancel_sent = now;
			send_cancel(e, j->lease ? j->lease : j->ride);
		}
	}
	if (e->ready.head && now - e->ready.head->queued_at > READY_PATIENCE) {
		e->waited = true;
		uint32_t more = e->target / 4 + 1;
		e->target = e->target + more > e->cfg.max_workers ? e->cfg.max_workers
								  : e->target + more;
		for (uint32_t i = 0; i < more; i++)
			wake_worker(e);
	}
}

static void *sweeper_main(void *arg)
{
	struct nx_exec *e = arg;
	int64_t last_slow = nx_now();
	pthread_mutex_lock(&e->lock);
	while (!e->stopping) {
		int64_t now = nx_now();
		sweep(e, now);
		if (now - last_slow > NX_SEC) {
			last_slow = now;
			nx_pool_reap(e, now);
			if (!e->waited && e->target > e->base_target)
				e->target -= (e->target - e->base_target + 3) / 4;
			e->waited = false;
		}
		int64_t until = nx_now() + (e->jobs ? SWEEP_NS : NX_SEC);
		struct timespec ts = { until / NX_SEC, until % NX_SEC };
		pthread_cond_timedwait(&e->sweeper_wake, &e->lock, &ts);
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* Cancels and closes connections: both may block, so neither happens on a loop or a worker. */
static void *helper_main(void *arg)
{
	struct nx_exec *e = arg;
	pthread_mutex_lock(&e->lock);
	for (;;) {
		nx_helper_work(e); /* drops the lock around driver calls */
		if (e->stopping && !e->cancel_head && !e->dead && !e->dead_pools)
			break;
		pthread_cond_wait(&e->helper_wake, &e->lock);
	}
	pthread_cond_broadcast(&e->helper_wake); /* what the others waited for is done */
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* ---- life ---- */

enum nx_code nx_exec_start(const struct nx_exec_config *cfg, struct nx_catalog *cat,
			   struct nx_exec **ret, struct nx_error *err)
{
	struct nx_exec *e = calloc(1, sizeof(*e));
	if (!e)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	e->cfg = *cfg;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	if (!e->cfg.workers)
		e->cfg.workers = cores > 0 ? (uint32_t)cores * 4 : 8;
	if (!e->cfg.max_workers)
		e->cfg.max_workers = 512;
	if (!e->cfg.max_jobs)
		e->cfg.max_jobs = 20000;
	e->catalog = cat;
	e->target = e->base_target = e->cfg.workers;
	e->cancel_tail = &e->cancel_head;
	/* Critical sections are some dozen instructions: spin a little before sleeping. */
	pthread_mutexattr_t attr;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&e->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	/* Both are waited for with a limit, which must not move when somebody sets the clock. */
	pthread_condattr_t mono;
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&e->idle, &mono);
	pthread_cond_init(&e->sweeper_wake, &mono);
	pthread_condattr_destroy(&mono);
	pthread_cond_init(&e->helper_wake, NULL);
	if (pthread_create(&e->sweeper, NULL, sweeper_main, e)) {
		free(e);
		return nx_fail(err, NX_E_INTERNAL, "Cannot start a thread.");
	}
	for (uint32_t i = 0; i < NX_HELPERS; i++) {
		if (pthread_create(&e->helpers[i], NULL, helper_main, e) == 0)
			continue;
		pthread_mutex_lock(&e->lock);
		e->stopping = true;
		pthread_cond_broadcast(&e->sweeper_wake);
		pthread_cond_broadcast(&e->helper_wake);
		pthread_mutex_unlock(&e->lock);
		pthread_join(e->sweeper, NULL);
		while (i-- > 0)
			pthread_join(e->helpers[i], NULL);
		free(e);
		return nx_fail(err, NX_E_INTERNAL, "Cannot start a thread.");
	}
	if (cat)
		nx_catalog_on_change(cat, nx_pool_changed, e);
	*ret = e;
	return NX_OK;
}

void nx_exec_drain(struct nx_exec *e)
{
	pthread_mutex_lock(&e->lock);
	e->draining = true;
	pthread_mutex_unlock(&e->lock);
}

static bool wait_jobs(struct nx_exec *e, int64_t deadline)
{
	while (e->njobs > 0) {
		int64_t left = deadline - nx_now();
		if (left <= 0)
			return false;
		int64_t until = nx_now() + (left > NX_SEC ? NX_SEC : left);
		struct timespec ts = { until / NX_SEC, until % NX_SEC };
		pthread_cond_timedwait(&e->idle, &e->lock, &ts);
	}
	return true;
}

/* Lock held. False: a driver ignores cancel. */
static bool end_jobs(struct nx_exec *e, uint32_t grace_ms)
{
	e->draining = true;
	if (wait_jobs(e, nx_now() + grace_ms * NX_MS))
		return true;
	for (struct nx_job *j = e->jobs, *next; j; j = next) {
		next = j->next;
		cancel_locked(e, j, NX_E_SHUTTING_DOWN);
	}
	return wait_jobs(e, nx_now() + 10 * NX_SEC);
}

void nx_exec_wait(struct nx_exec *e, uint32_t grace_ms)
{
	pthread_mutex_lock(&e->lock);
	if (!end_jobs(e, grace_ms))
		nx_log(NX_LOG_ERROR, "exec", "%u jobs did not end", e->njobs);
	pthread_mutex_unlock(&e->lock);
}

void nx_exec_stop(struct nx_exec *e, uint32_t grace_ms)
{
	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	if (!end_jobs(e, grace_ms)) {
		/* Its thread and what it holds stay: the process is about to end, and freeing under
		 * it would be worse. */
		pthread_mutex_unlock(&e->lock);
		return;
	}
	nx_pool_close_all(e);
	e->stopping = true;
	for (struct worker *w = e->parked; w; w = w->next) {
		w->woken = true;
		e->running++;
		pthread_cond_signal(&w->wake);
	}
	e->parked = NULL;
	e->target = UINT32_MAX; /* let every worker look once and leave */
	pthread_cond_broadcast(&e->sweeper_wake);
	pthread_cond_broadcast(&e->helper_wake);
	while (e->threads > 0)
		pthread_cond_wait(&e->idle, &e->lock);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->sweeper, NULL);
	for (uint32_t i = 0; i < NX_HELPERS; i++)
		pthread_join(e->helpers[i], NULL);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

static void copy_text(char *to, size_t cap, struct nx_str s)
{
	size_t n = s.len < cap ? s.len : cap - 1;
	if (n)
		memcpy(to, s.ptr, n);
	to[n] = '\0';
}

static void copy_job(const struct nx_job *j, struct nx_job_info *ret)
{
	memcpy(ret->id, j->id, sizeof(ret->id));
	ret->source_id[0] = ret->source[0] = '\0';
	if (j->source) {
		memcpy(ret->source_id, j->source->id, sizeof(ret->source_id));
		copy_text(ret->source, sizeof(ret->source), j->source->name);
	}
	copy_text(ret->principal, sizeof(ret->principal), nx_str(j->principal ? j->principal : ""));
	copy_text(ret->sql, sizeof(ret->sql), j->sql);
	ret->state = atomic_load(&j->state);
	ret->rows = atomic_load(&j->rows);
	ret->started = j->started;
	ret->started_wall = j->started_wall;
}

static void link_behind(struct nx_job *at, struct nx_job *j)
{
	j->prev = at;
	j->next = at->next;
	if (at->next)
		at->next->prev = j;
	at->next = j;
}

/* Copies up to `max` jobs that are behind `mark` in the list, or from its head, and leaves the mark
 * behind the last one looked at. Few jobs are looked at a time. False: that was the end. */
static bool list_piece(struct nx_exec *e, struct nx_job *mark, bool *linked, uint64_t owner,
		       struct nx_str id, struct nx_job_info *out, uint32_t max, uint32_t *ret_n)
{
	enum { LOOK = 256 };
	uint32_t n = 0, looked = 0;
	pthread_mutex_lock(&e->lock);
	struct nx_job *j = *linked ? mark->next : e->jobs, *last = NULL;
	for (; j && n < max && looked < LOOK; j = j->next, looked++) {
		last = j;
		if (j->id[0] && (!owner || j->owner == owner) && (!id.len || nx_str_is(id, j->id)))
			copy_job(j, &out[n++]);
	}
	if (*linked)
		unlink_job(e, mark);
	*linked = j != NULL; /* then there is a last one, too */
	if (j)
		link_behind(last, mark);
	pthread_mutex_unlock(&e->lock);
	*ret_n = n;
	return j != NULL;
}

enum nx_code nx_exec_list(struct nx_exec *e, uint64_t owner, struct nx_str id,
			  bool (*fn)(const struct nx_job_info *j, void *arg), void *arg,
			  struct nx_error *err)
{
	enum { PIECE = 16 };
	struct nx_job_info *out = malloc(PIECE * sizeof(*out));
	if (!out)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	/* A job that is none keeps the place between two pieces: without an id, in no queue, never due and
	 * cancelled already, so that nobody does anything to it. */
	struct nx_job mark = { .deadline = NX_NEVER, .where = PLACE_NONE };
	atomic_init(&mark.cancelled, NX_E_SHUTTING_DOWN);
	bool linked = false, more = true, wanted = true;
	while (more && wanted) {
		uint32_t n;
		more = list_piece(e, &mark, &linked, owner, id, out, PIECE, &n);
		for (uint32_t i = 0; i < n && wanted; i++)
			wanted = fn(&out[i], arg);
	}
	if (linked) {
		pthread_mutex_lock(&e->lock);
		unlink_job(e, &mark);
		pthread_mutex_unlock(&e->lock);
	}
	free(out);
	return NX_OK;
}

void nx_exec_stats(struct nx_exec *e, struct nx_exec_stats *ret)
{
	uint32_t waiting = 0;
	for (uint32_t b = 0; b < POOL_BUCKETS;) { /* some at a time: there may be many pools */
		pthread_mutex_lock(&e->lock);
		for (uint32_t end = b + 64; b < end; b++)
			for (struct nx_pool *p = e->pools[b]; p; p = p->next)
				waiting += p->waiting.n;
		pthread_mutex_unlock(&e->lock);
	}
	pthread_mutex_lock(&e->lock);
	*ret = (struct nx_exec_stats){
		.threads = e->threads,
		.running = e->running,
		.target = e->target,
		.ready = e->ready.n,
		.waiting = waiting,
		.streaming = e->streaming,
		.jobs = e->n_jobs,
		.rejected = e->n_rejected,
		.cancelled = e->n_cancelled,
		.timed_out = e->n_timed_out,
	};
	pthread_mutex_unlock(&e->lock);
}
