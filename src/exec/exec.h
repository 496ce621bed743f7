/* Running things: jobs, worker threads, per-source pools, queues, deadlines and cancel.
 *
 * A job is one request's work. It waits for a permit of its source, then runs start to end on one
 * worker thread as straight-line code. Three budgets keep one source or one slow reader from taking
 * all: permits per source (maxPoolSize, with a bounded queue), a target number of running workers
 * that grows only while ready jobs wait, and stream permits (maxStreams) for jobs whose client is
 * slow: such a job leaves both other budgets.
 *
 * Lock order: one exec lock for all of this, held for a few dozen instructions, never across a
 * driver call, an allocation of unknown size or I/O.
 *
 * Cancel: deadline, DELETE /queries/{id}, client hang-up and shutdown all end in nx_job_cancel. The
 * first reason wins. A queued job is taken out and run at once with the reason; a running one has
 * its connection cancelled by the cancel thread, again every 250 ms until it ends. A connection that
 * was cancelled is closed, not reused.
 *
 * Threads: any, but where said. */
#ifndef NX_EXEC_EXEC_H
#define NX_EXEC_EXEC_H

#include <stdatomic.h>

#include "catalog/catalog.h"
#include "nexus/driver.h"

struct nx_exec;
struct nx_pool;
struct nx_lease;

struct nx_exec_config {
	uint32_t workers;     /* running at once while queries are fast; 0: 4 per core */
	uint32_t max_workers; /* threads at most; 0: 512 */
	uint32_t max_jobs;    /* queued and running together; 0: 20000. OVERLOADED beyond */
	/* Told after each attempt to connect, on a worker, no lock held; may be NULL. `err` NULL: it
	 * succeeded. Not told of an attempt that the query's own deadline ended. */
	void (*on_connect)(const struct nx_data_source *s, const struct nx_error *err, void *arg);
	void *on_connect_arg;
};

/* The states a client sees; spec.md section 5. */
enum nx_job_state {
	NX_JOB_RECEIVED, NX_JOB_QUEUED, NX_JOB_CONNECTING, NX_JOB_EXECUTING, NX_JOB_STREAMING,
	NX_JOB_DONE,
};
const char *nx_job_state_name(enum nx_job_state s);

struct nx_job {
	/* Set before submit; owned by the caller and alive until nx_job_end returns. */
	void (*run)(struct nx_job *j);        /* on a worker; must call nx_job_end before it returns */
	const struct nx_data_source *source;  /* NULL: no permit needed */
	int64_t deadline;                     /* nx_now(); NX_NEVER: none */
	int64_t queue_deadline;               /* waiting for a permit ends here: QUEUE_TIMEOUT */
	char id[37];                          /* query id; empty: not listed */
	uint64_t owner;                       /* principal id; the source's queue takes turns by it */
	const char *principal;                /* for listing; NUL-terminated */
	struct nx_str sql;                    /* for listing; may be empty */
	uint64_t mark;                        /* the owner's own sign, for nx_exec_cancel_marked; 0 none */

	/* Read by anybody. */
	_Atomic enum nx_code cancelled; /* first cancel reason; NX_OK none */
	_Atomic enum nx_job_state state;
	_Atomic uint64_t rows;          /* so far, written by the owner */
	int64_t started;                /* nx_now() at submit */
	int64_t started_wall;

	/* exec's own, under its lock */
	struct nx_exec *exec;
	struct nx_pool *pool;
	struct nx_lease *lease;
	struct nx_lease *ride;              /* a peer's: of the job whose connection carries its statement */
	struct nx_job *prev, *next;         /* all jobs */
	struct nx_job *q_prev, *q_next;     /* the queue it stands in */
	struct nx_job *lane_prev, *lane_next, *lane_tail, *lane_chain; /* queue.c; zeroed by submit */
	int64_t queued_at, cancel_sent;
	uint8_t where;                      /* enum place in sched.c */
	bool permit;        /* holds one of its pool's permits */
	bool streaming;     /* its client is slow: outside the worker budget */
	bool stream_permit; /* ... and its permit is one of max_streams */
};

NX_NODISCARD enum nx_code nx_exec_start(const struct nx_exec_config *cfg, struct nx_catalog *cat,
					struct nx_exec **ret, struct nx_error *err);
/* nx_exec_wait, then closes the pools and frees. NULL is fine. */
void nx_exec_stop(struct nx_exec *e, uint32_t grace_ms);
/* Lets running jobs end for grace_ms, then cancels the rest and waits for them (10 s at most). */
void nx_exec_wait(struct nx_exec *e, uint32_t grace_ms);
/* No new jobs from now on: submit answers SHUTTING_DOWN. */
void nx_exec_drain(struct nx_exec *e);

/* Hands a job over. On failure (OVERLOADED, QUEUE_FULL, SHUTTING_DOWN) it was not taken. */
NX_NODISCARD enum nx_code nx_job_submit(struct nx_exec *e, struct nx_job *j, struct nx_error *err);
/* Connection of the job's source: an idle one or a new one. On the worker, once per job unless
 * nx_job_drop was called. `reused` tells whether it has served before (then one retry is safe). */
NX_NODISCARD enum nx_code nx_job_connect(struct nx_job *j, struct nx_conn **ret, bool *reused,
					 struct nx_error *err);
/* Gives the connection up before the job ends: to the pool (CLEAN), or closed (BROKEN). DIRTY is
 * reset first, which blocks. The permit goes too, so a waiting job can start. */
void nx_job_drop(struct nx_job *j, enum nx_conn_state state);
/* As drop but keeps the permit, for a retry on a new connection. */
void nx_job_retry(struct nx_job *j);
/* Jobs that wait for a permit of j's source, taken out of the queue to run on j's connection and worker:
 * at most max, and a fair share of those waiting. They hold no permit; each is ended by nx_job_end or
 * goes back by nx_job_requeue. `fits` runs under the lock and must only look. On the worker. */
uint32_t nx_job_peers(struct nx_job *j, bool (*fits)(const struct nx_job *j), struct nx_job **out,
		      uint32_t max);
/* The peers' statements are on j's connection now. A peer that is cancelled or overdue and does not come to its
 * turn within 50 ms has cancelled what runs there; whoever is hit instead has to run again. */
void nx_job_board(struct nx_job *j, struct nx_job *const *peers, uint32_t n);
/* The peer needs the connection no longer; its job may outlive j. */
void nx_job_alight(struct nx_job *peer);
/* A peer that was not run goes to the head of its queue. */
void nx_job_requeue(struct nx_job *j);
/* The client is slow: leave the quick budgets (see above). On the worker. */
void nx_job_stalled(struct nx_job *j);
/* The job is over: its connection goes as in nx_job_drop, and `j` may be freed afterwards. */
void nx_job_end(struct nx_job *j, enum nx_conn_state state);

/* From any thread that knows the job is alive (its own hang-up callback). */
void nx_job_cancel(struct nx_job *j, enum nx_code reason);
/* By query id. `owner` 0: anybody's. False: no such job. */
NX_NODISCARD bool nx_exec_cancel(struct nx_exec *e, struct nx_str id, uint64_t owner,
				 enum nx_code reason);

/* By the owner's own sign. False, and nothing is cancelled: none has it, or more than one. */
bool nx_exec_cancel_marked(struct nx_exec *e, uint64_t owner, uint64_t mark, enum nx_code reason);

/* What a listing shows of a job; texts are cut. */
struct nx_job_info {
	char id[37], source_id[37];
	char source[256], principal[128], sql[1001];
	enum nx_job_state state;
	uint64_t rows;
	int64_t started, started_wall;
};
/* Jobs with an id, newest first: of one owner (0: of all), of one id (empty: of all). They are copied a
 * few at a time; `fn` runs without the lock and says whether to go on. MEMORY. */
NX_NODISCARD enum nx_code nx_exec_list(struct nx_exec *e, uint64_t owner, struct nx_str id,
	bool (*fn)(const struct nx_job_info *j, void *arg), void *arg, struct nx_error *err);

/* Connection that outlives its job (cursors): the lease and its stream permit move to the caller.
 * QUEUE_FULL when the source has no stream permit left. */
NX_NODISCARD enum nx_code nx_job_detach(struct nx_job *j, struct nx_lease **ret, struct nx_error *err);
/* A detached connection works for another job of the same owner: cancel reaches it, and the job's end
 * closes it unless it is detached again. The job's deadline becomes `deadline`. On the worker. */
void nx_job_adopt(struct nx_job *j, struct nx_lease *l, int64_t deadline);
struct nx_conn *nx_lease_conn(struct nx_lease *l);
void nx_lease_end(struct nx_lease *l, enum nx_conn_state state);

/* Opens a connection outside the pool and closes it again; on a worker. For tests of a source. */
NX_NODISCARD enum nx_code nx_exec_probe(const struct nx_data_source *s, int64_t deadline,
					struct nx_grants *ret_grants, int64_t *ret_connect_ns,
					struct nx_error *err);

struct nx_pool_stats {
	char id[37];
	char name[256];
	uint32_t active, streams, open, idle, waiting, max;
	uint64_t connects, connect_failures, reuses, cancels;
};
/* The figures are copied some pools at a time; fn runs without the lock. */
void nx_exec_pools(struct nx_exec *e, void (*fn)(const struct nx_pool_stats *s, void *arg), void *arg);
/* A source has a pool per version while queries of the older ones still run. */
void nx_pool_stats_add(struct nx_pool_stats *sum, const struct nx_pool_stats *s);

struct nx_exec_stats {
	uint32_t threads, running, target, ready, waiting, streaming;
	uint64_t jobs, rejected, cancelled, timed_out;
};
void nx_exec_stats(struct nx_exec *e, struct nx_exec_stats *ret);

#endif
