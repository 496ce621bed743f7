/* Cancel requests, bounded.
 *
 * PQcancel opens a connection of its own and waits until the server closes it, without a limit of
 * time. So it runs in a thread of its own and is waited for only so long. A request that is late may
 * hit whatever runs then: the connection is not used again. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "pg_int.h"

enum { STACK = 128 << 10 };

/* Shared by the one who waits and the one who works; who leaves last frees. */
struct job {
	pthread_mutex_t lock;
	pthread_cond_t change;
	PGcancel *handle;
	bool done, left;
};

static void job_free(struct job *j)
{
	PQfreeCancel(j->handle);
	pthread_cond_destroy(&j->change);
	pthread_mutex_destroy(&j->lock);
	free(j);
}

static struct job *job_new(PGconn *pg)
{
	struct job *j = calloc(1, sizeof(*j));
	pthread_condattr_t attr;
	if (!j)
		return NULL;
	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->change, &attr);
	pthread_condattr_destroy(&attr);
	/* Address, process id and key: set at connect and only read since, so any thread may. */
	j->handle = PQgetCancel(pg);
	return j;
}

static void *work(void *arg)
{
	struct job *j = arg;
	char why[256];
	(void)!PQcancel(j->handle, why, sizeof(why));
	pthread_mutex_lock(&j->lock);
	j->done = true;
	bool left = j->left;
	pthread_cond_signal(&j->change);
	pthread_mutex_unlock(&j->lock);
	if (left)
		job_free(j);
	return NULL;
}

static bool spawn(struct job *j)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, before;
	sigfillset(&all);
	if (pthread_attr_init(&attr) != 0)
		return false;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the gateway's threads */
	bool ok = pthread_create(&thread, &attr, work, j) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return ok;
}

void pg_cancel_within(struct pg_conn *c, int64_t ms)
{
	struct job *j = c->pg ? job_new(c->pg) : NULL;
	if (!j)
		return;
	if (!j->handle || !spawn(j)) {
		job_free(j);
		return;
	}
	int64_t until = nx_now() + ms * 1000000;
	struct timespec ts = { until / 1000000000, until % 1000000000 };
	int waited = 0;
	pthread_mutex_lock(&j->lock);
	while (!j->done && waited == 0)
		waited = pthread_cond_timedwait(&j->change, &j->lock, &ts);
	bool done = j->done;
	j->left = true;
	if (!done)
		atomic_store(&c->cancel_late, true);
	pthread_mutex_unlock(&j->lock);
	if (done)
		job_free(j);
}

void pg_cancel(struct nx_conn *nc)
{
	pg_cancel_within((struct pg_conn *)nc, PG_CANCEL_MS);
}
