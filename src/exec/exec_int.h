/* Private to src/exec: the scheduler's state. Everything here is guarded by exec.lock unless said. */
#ifndef NX_EXEC_EXEC_INT_H
#define NX_EXEC_EXEC_INT_H

#include <pthread.h>

#include "exec/exec.h"

enum { POOL_BUCKETS = 1024, NX_HELPERS = 4 };

enum place { PLACE_NONE, PLACE_WAITING /* pool queue */, PLACE_READY, PLACE_RUNNING };

struct job_queue {
	struct nx_job *head, *tail;
	uint32_t n;
};

/* Who waits for a permit; queue.c. */
enum { FAIR_BUCKETS = 64 };

struct fair_queue {
	struct nx_job *turn; /* first job of the lane that is served next; NULL: nobody waits */
	struct nx_job *lanes[FAIR_BUCKETS]; /* first jobs of lanes, by owner */
	uint32_t n;
};

/* A leased or idle connection. */
struct nx_lease {
	struct nx_pool *pool;
	struct nx_conn *conn;
	struct nx_lease *next;       /* idle list, dead list or cancel queue */
	struct nx_lease *cancel_next;
	int64_t created, used;
	bool stream_permit;          /* detached: holds one of max_streams */
	bool cancel_queued, cancel_running;
	bool cancelled;              /* cancel() was called on it: never reused */
	bool abandoned;              /* the owner left during cancel(): a helper closes it */
};

struct nx_pool {
	struct nx_exec *exec;
	const struct nx_data_source *ds; /* referenced */
	struct nx_source *source;        /* the driver's; NULL after close */
	struct nx_pool *next;            /* bucket */
	struct nx_lease *idle;           /* newest first */
	struct fair_queue waiting;
	uint32_t active, streams, open, nidle;
	uint32_t users;                  /* jobs and leases that point here */
	uint32_t helped;                 /* helpers that are in a call of its driver */
	bool closing;
	int64_t suspect; /* idle connections last used before this are checked: a sibling died */
	uint64_t connects, connect_failures, reuses, cancels;
};

struct worker {
	struct worker *next; /* parked list */
	pthread_cond_t wake;
	bool woken;
};

struct nx_exec {
	pthread_mutex_t lock;
	struct nx_exec_config cfg;
	struct nx_catalog *catalog;
	struct nx_job *jobs; /* all */
	uint32_t njobs;
	struct job_queue ready;
	struct worker *parked;
	uint32_t threads, running, target, base_target, streaming;
	bool draining, stopping;
	pthread_cond_t idle;       /* njobs or threads became 0 */
	pthread_t sweeper, helpers[NX_HELPERS];
	pthread_cond_t sweeper_wake, helper_wake;
	struct nx_lease *cancel_head, **cancel_tail;
	struct nx_lease *dead;     /* to be disconnected by a helper */
	struct nx_pool *dead_pools;
	struct nx_pool *pools[POOL_BUCKETS];
	bool waited;               /* a ready job had to wait since the last decay */
	uint64_t n_jobs, n_rejected, n_cancelled, n_timed_out;
};

/* queue.c; all with the lock held */
bool nx_fair_waits(struct fair_queue *q, uint64_t owner); /* has the owner a job in it? */
void nx_fair_push(struct fair_queue *q, struct nx_job *j);
void nx_fair_push_front(struct fair_queue *q, struct nx_job *j); /* it is next of all */
struct nx_job *nx_fair_next(const struct fair_queue *q);         /* NULL: nobody waits */
void nx_fair_serve(struct fair_queue *q, struct nx_job *j);      /* takes the next one out */
void nx_fair_take(struct fair_queue *q, struct nx_job *j);       /* takes any one out; no turn passes */

/* pool.c; all with the lock held */
struct nx_pool *nx_pool_find(struct nx_exec *e, const struct nx_data_source *ds);
/* Drops the lock around the driver's open(). */
enum nx_code nx_pool_open(struct nx_exec *e, const struct nx_data_source *ds, struct nx_pool **ret,
			  struct nx_error *err);
void nx_pool_unuse(struct nx_pool *p);
void nx_pool_reap(struct nx_exec *e, int64_t now);
void nx_pool_close_all(struct nx_exec *e);
void nx_pool_changed(const struct nx_data_source *old, void *exec);
void nx_lease_bury(struct nx_lease *l);
/* The blocking part of cancel, disconnect and pool death, on a helper: all that may be done now. Drops the lock
 * around driver calls. */
void nx_helper_work(struct nx_exec *e);

#endif
