/* The scheduler against a driver made of counters and sleeps. */
#include "exec/exec.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "test.h"

/* ---- a driver whose connections do what the test says ---- */

static struct {
	_Atomic int open, connects, disconnects, resets, cancels, checks;
	_Atomic bool dead; /* check() says no */
	_Atomic int connect_ms;
	_Atomic bool fragile; /* cancel() of connections made meanwhile does not come back */
	_Atomic bool hung; /* until this is false */
} sim;

struct sim_conn {
	struct nx_conn base;
	_Atomic bool cancelled;
	bool hangs;
};

static struct nx_source the_source;

static enum nx_code sim_open(const struct nx_options *o, struct nx_source **ret, struct nx_error *e)
{
	(void)o;
	(void)e;
	atomic_fetch_add(&sim.open, 1);
	*ret = &the_source;
	return NX_OK;
}

static void sim_close(struct nx_source *s)
{
	(void)s;
	atomic_fetch_sub(&sim.open, 1);
}

static const struct nx_driver sim_driver;

static enum nx_code sim_connect(struct nx_source *s, int64_t deadline, struct nx_conn **ret,
				struct nx_error *e)
{
	(void)s;
	(void)deadline;
	(void)e;
	usleep((useconds_t)atomic_load(&sim.connect_ms) * 1000);
	struct sim_conn *c = calloc(1, sizeof(*c));
	c->base.driver = &sim_driver;
	c->hangs = atomic_load(&sim.fragile);
	atomic_fetch_add(&sim.connects, 1);
	*ret = &c->base;
	return NX_OK;
}

static void sim_disconnect(struct nx_conn *c)
{
	atomic_fetch_add(&sim.disconnects, 1);
	free(c);
}

static bool sim_check(struct nx_conn *c)
{
	(void)c;
	atomic_fetch_add(&sim.checks, 1);
	return !atomic_load(&sim.dead);
}

static enum nx_code sim_reset(struct nx_conn *c, int64_t deadline, struct nx_error *e)
{
	(void)c;
	(void)deadline;
	(void)e;
	atomic_fetch_add(&sim.resets, 1);
	return NX_OK;
}

static void sim_cancel(struct nx_conn *c)
{
	atomic_fetch_add(&sim.cancels, 1);
	while (((struct sim_conn *)c)->hangs && atomic_load(&sim.hung))
		usleep(1000);
	atomic_store(&((struct sim_conn *)c)->cancelled, true);
}

static const struct nx_driver sim_driver = {
	.abi = NX_DRIVER_ABI,
	.name = "sim",
	.caps = NX_CAP_CANCEL | NX_CAP_POOLABLE,
	.open = sim_open,
	.close = sim_close,
	.connect = sim_connect,
	.disconnect = sim_disconnect,
	.check = sim_check,
	.reset = sim_reset,
	.cancel = sim_cancel,
};

/* The catalog's part, as far as the scheduler uses it. */
static _Atomic int refs;

void nx_data_source_ref(const struct nx_data_source *s)
{
	(void)s;
	atomic_fetch_add(&refs, 1);
}

static _Atomic bool replaced;

bool nx_data_source_replaced(const struct nx_data_source *s)
{
	(void)s;
	return atomic_load(&replaced);
}

void nx_data_source_unref(const struct nx_data_source *s)
{
	(void)s;
	atomic_fetch_sub(&refs, 1);
}

static void (*changed)(const struct nx_data_source *old, void *arg);
static void *changed_arg;

void nx_catalog_on_change(struct nx_catalog *c,
			  void (*fn)(const struct nx_data_source *old, void *arg), void *arg)
{
	(void)c;
	changed = fn;
	changed_arg = arg;
}

static struct nx_data_source source(uint32_t pool, uint32_t streams, uint32_t queue)
{
	static const struct nx_source_type type = { .name = "sim", .driver = "sim" };
	return (struct nx_data_source){
		.name = NX_STR_INIT("s"),
		.type = &type,
		.driver = &sim_driver,
		.limits = { .max_pool = pool,
			    .max_streams = streams,
			    .max_queue = queue,
			    .idle_ms = 60000,
			    .lifetime_ms = 60000,
			    .connect_ms = 1000 },
	};
}

/* ---- jobs ---- */

struct task {
	struct nx_job job;
	int sleep_ms;
	bool until_cancel, stall;
	enum nx_conn_state end;
	_Atomic int done;
	enum nx_code code;
	bool reused;
};

static _Atomic int running, most;

static void run(struct nx_job *j)
{
	struct task *t = (struct task *)j;
	struct nx_conn *c;
	struct nx_error err;
	t->code = atomic_load(&j->cancelled);
	if (!t->code && j->source)
		t->code = nx_job_connect(j, &c, &t->reused, &err);
	if (!t->code) {
		int n = atomic_fetch_add(&running, 1) + 1, m = atomic_load(&most);
		while (n > m && !atomic_compare_exchange_weak(&most, &m, n))
			;
		if (t->stall)
			nx_job_stalled(j);
		usleep((useconds_t)t->sleep_ms * 1000);
		struct sim_conn *sc = j->source ? (struct sim_conn *)c : NULL;
		for (int i = 0; t->until_cancel && i < 5000 && !atomic_load(&sc->cancelled); i++)
			usleep(1000);
		atomic_fetch_sub(&running, 1);
		t->code = atomic_load(&j->cancelled);
	}
	nx_job_end(j, t->code ? NX_CONN_BROKEN : t->end);
	atomic_store(&t->done, 1);
}

static enum nx_code submit(struct nx_exec *e, struct task *t, const struct nx_data_source *s,
			   int64_t deadline_ms)
{
	struct nx_error err;
	t->job.run = run;
	t->job.source = s;
	t->job.deadline = deadline_ms ? nx_now() + deadline_ms * NX_MS : NX_NEVER;
	if (!t->job.queue_deadline)
		t->job.queue_deadline = NX_NEVER;
	nx_uuid(t->job.id);
	return nx_job_submit(e, &t->job, &err);
}

static void wait_done(struct task *t)
{
	for (int i = 0; i < 10000 && !atomic_load(&t->done); i++)
		usleep(1000);
	NX_CHECK(atomic_load(&t->done));
}

static struct nx_exec *start(uint32_t workers)
{
	struct nx_exec *e;
	struct nx_error err;
	struct nx_exec_config cfg = { .workers = workers, .max_workers = 64, .max_jobs = 1000 };
	NX_EQ_I(NX_OK, nx_exec_start(&cfg, (struct nx_catalog *)&sim, &e, &err));
	return e;
}

static void stop(struct nx_exec *e)
{
	nx_exec_stop(e, 1000);
	NX_EQ_I(atomic_load(&sim.connects), atomic_load(&sim.disconnects));
	NX_EQ_I(0, atomic_load(&sim.open));
	NX_EQ_I(0, atomic_load(&refs));
}

NX_TEST(a_clean_connection_is_used_again)
{
	struct nx_exec *e = start(4);
	struct nx_data_source s = source(2, 0, 10);
	for (int i = 0; i < 20; i++) {
		struct task t = { .end = NX_CONN_CLEAN };
		NX_EQ_I(NX_OK, submit(e, &t, &s, 0));
		wait_done(&t);
		NX_EQ_I(NX_OK, t.code);
		NX_EQ_I(i > 0, t.reused);
	}
	NX_EQ_I(1, atomic_load(&sim.connects));
	NX_EQ_I(0, atomic_load(&sim.resets));
	stop(e);
}

NX_TEST(dirty_is_reset_and_broken_is_closed)
{
	struct nx_exec *e = start(4);
	struct nx_data_source s = source(1, 0, 10);
	static const enum nx_conn_state ends[] = { NX_CONN_DIRTY, NX_CONN_BROKEN, NX_CONN_CLEAN };
	for (int i = 0; i < 3; i++) {
		struct task t = { .end = ends[i] };
		NX_EQ_I(NX_OK, submit(e, &t, &s, 0));
		wait_done(&t);
	}
	NX_EQ_I(1, atomic_load(&sim.resets));
	NX_EQ_I(2, atomic_load(&sim.connects));
	stop(e);
}

NX_TEST(a_pool_never_exceeds_its_size_and_the_queue_its_bound)
{
	struct nx_exec *e = start(32);
	struct nx_data_source s = source(3, 0, 20);
	static struct task t[40];
	int taken = 0, refused = 0;
	for (int i = 0; i < 40; i++) {
		t[i].sleep_ms = 5;
		enum nx_code c = submit(e, &t[i], &s, 0);
		taken += c == NX_OK;
		refused += c == NX_E_QUEUE_FULL;
	}
	NX_EQ_I(40, taken + refused);
	NX_CHECK(refused > 0);
	for (int i = 0; i < 40; i++)
		if (t[i].job.exec && t[i].job.started)
			for (int k = 0; k < 5000 && !atomic_load(&t[i].done) && k < 200; k++)
				usleep(1000);
	NX_CHECK(atomic_load(&most) <= 3);
	stop(e);
}

NX_TEST(deadline_cancels_a_running_job)
{
	struct nx_exec *e = start(4);
	struct nx_data_source s = source(1, 0, 10);
	struct task t = { .until_cancel = true };
	int64_t from = nx_now();
	NX_EQ_I(NX_OK, submit(e, &t, &s, 50));
	wait_done(&t);
	NX_EQ_I(NX_E_QUERY_TIMEOUT, t.code);
	NX_CHECK(nx_now() - from < 500 * NX_MS);
	NX_EQ_I(1, atomic_load(&sim.cancels));
	struct task again = { .end = NX_CONN_CLEAN };
	NX_EQ_I(NX_OK, submit(e, &again, &s, 0));
	wait_done(&again);
	NX_CHECK(!again.reused); /* a cancelled connection is not reused */
	stop(e);
}

NX_TEST(a_source_that_hangs_delays_no_cancel_of_others)
{
	struct nx_exec *e = start(16);
	struct nx_data_source bad = source(8, 0, 10), good = source(8, 0, 10);
	struct task stuck[6], t = { .until_cancel = true };
	memset(stuck, 0, sizeof(stuck));
	atomic_store(&sim.fragile, true);
	atomic_store(&sim.hung, true);
	for (size_t i = 0; i < NX_COUNTOF(stuck); i++) {
		stuck[i].until_cancel = true;
		NX_EQ_I(NX_OK, submit(e, &stuck[i], &bad, 20));
	}
	for (int i = 0; i < 5000 && (atomic_load(&sim.connects) < 6 || !atomic_load(&sim.cancels));
	     i++)
		usleep(1000);
	atomic_store(&sim.fragile, false);
	int64_t from = nx_now();
	NX_EQ_I(NX_OK, submit(e, &t, &good, 20));
	wait_done(&t);
	NX_EQ_I(NX_E_QUERY_TIMEOUT, t.code);
	NX_CHECK(nx_now() - from < 1500 * NX_MS);
	NX_CHECK(atomic_load(&sim.cancels) <= 3); /* two of the bad one's at a time */
	atomic_store(&sim.hung, false);
	for (size_t i = 0; i < NX_COUNTOF(stuck); i++)
		wait_done(&stuck[i]);
	stop(e);
}

NX_TEST(a_waiting_job_is_cancelled_at_once)
{
	struct nx_exec *e = start(4);
	struct nx_data_source s = source(1, 0, 10);
	struct task a = { .sleep_ms = 200 }, b = { .sleep_ms = 1 }, c = { .sleep_ms = 1 };
	NX_EQ_I(NX_OK, submit(e, &a, &s, 0));
	NX_EQ_I(NX_OK, submit(e, &b, &s, 0));
	c.job.queue_deadline = nx_now() + 30 * NX_MS;
	NX_EQ_I(NX_OK, submit(e, &c, &s, 0));
	NX_CHECK(nx_exec_cancel(e, nx_str(b.job.id), 0, NX_E_QUERY_CANCELED));
	wait_done(&b);
	wait_done(&c);
	NX_CHECK(!atomic_load(&a.done));
	NX_EQ_I(NX_E_QUERY_CANCELED, b.code);
	NX_EQ_I(NX_E_QUEUE_TIMEOUT, c.code);
	wait_done(&a);
	NX_CHECK(!nx_exec_cancel(e, NX_STR("no such id"), 0, NX_E_QUERY_CANCELED));
	stop(e);
}

NX_TEST(stalled_readers_do_not_stop_quick_jobs)
{
	struct nx_exec *e = start(2);
	struct nx_data_source s = source(2, 8, 100);
	struct task slow[8], quick = { .sleep_ms = 1 };
	memset(slow, 0, sizeof(slow));
	for (int i = 0; i < 8; i++) {
		slow[i].stall = true;
		slow[i].sleep_ms = 400;
		NX_EQ_I(NX_OK, submit(e, &slow[i], &s, 0));
	}
	usleep(50000);
	int64_t from = nx_now();
	NX_EQ_I(NX_OK, submit(e, &quick, &s, 0));
	wait_done(&quick);
	NX_CHECK(nx_now() - from < 200 * NX_MS);
	for (int i = 0; i < 8; i++)
		wait_done(&slow[i]);
	struct nx_exec_stats st;
	nx_exec_stats(e, &st);
	NX_EQ_I(0, st.streaming);
	stop(e);
}

NX_TEST(workers_grow_while_jobs_wait)
{
	struct nx_exec *e = start(1);
	struct nx_data_source s = source(32, 0, 100);
	static struct task t[32];
	int64_t from = nx_now();
	for (int i = 0; i < 32; i++) {
		t[i].sleep_ms = 100;
		NX_EQ_I(NX_OK, submit(e, &t[i], &s, 0));
	}
	for (int i = 0; i < 32; i++)
		wait_done(&t[i]);
	NX_CHECK(nx_now() - from < 1500 * NX_MS); /* one after the other: 3200 */
	stop(e);
}

NX_TEST(a_changed_source_closes_its_pool)
{
	struct nx_exec *e = start(4);
	struct nx_data_source s = source(2, 0, 10);
	struct task t = { .end = NX_CONN_CLEAN };
	NX_EQ_I(NX_OK, submit(e, &t, &s, 0));
	wait_done(&t);
	changed(&s, changed_arg);
	for (int i = 0; i < 2000 && atomic_load(&sim.open); i++)
		usleep(1000);
	NX_EQ_I(0, atomic_load(&sim.open));
	NX_EQ_I(1, atomic_load(&sim.disconnects));
	struct task again = { .end = NX_CONN_CLEAN };
	NX_EQ_I(NX_OK, submit(e, &again, &s, 0));
	wait_done(&again);
	stop(e);
}

NX_TEST(a_pool_that_comes_after_the_change_does_not_stay)
{
	struct nx_exec *e = start(4);
	struct nx_data_source s = source(2, 0, 10);
	atomic_store(&replaced, true);
	struct task t = { .end = NX_CONN_CLEAN };
	NX_EQ_I(NX_OK, submit(e, &t, &s, 0));
	wait_done(&t);
	NX_EQ_I(NX_OK, t.code);
	for (int i = 0; i < 200 && atomic_load(&sim.open) > 0; i++)
		usleep(10000);
	NX_EQ_I(0, atomic_load(&sim.open));
	NX_EQ_I(1, atomic_load(&sim.disconnects));
	nx_exec_drain(e);
	NX_EQ_I(NX_E_SHUTTING_DOWN, submit(e, &t, &s, 0));
	for (int i = 0; i < 200 && atomic_load(&sim.open) > 0; i++)
		usleep(10000);
	NX_EQ_I(0, atomic_load(&sim.open));
	stop(e);
}

NX_TEST(a_dead_sibling_makes_the_pool_look)
{
	struct nx_exec *e = start(4);
	struct nx_data_source s = source(2, 0, 10);
	struct task a = { .sleep_ms = 50, .end = NX_CONN_CLEAN },
		    b = { .sleep_ms = 100, .end = NX_CONN_BROKEN };
	NX_EQ_I(NX_OK, submit(e, &a, &s, 0));
	NX_EQ_I(NX_OK, submit(e, &b, &s, 0));
	wait_done(&a);
	wait_done(&b);
	atomic_store(&sim.dead, true);
	struct task c = { .end = NX_CONN_CLEAN };
	NX_EQ_I(NX_OK, submit(e, &c, &s, 0));
	wait_done(&c);
	NX_EQ_I(1, atomic_load(&sim.checks));
	NX_CHECK(!c.reused);
	stop(e);
}

NX_TEST(shutdown_cancels_what_runs)
{
	struct nx_exec *e = start(4);
	struct nx_data_source s = source(2, 0, 10);
	struct task t = { .until_cancel = true }, late = { .sleep_ms = 0 };
	NX_EQ_I(NX_OK, submit(e, &t, &s, 0));
	usleep(20000);
	nx_exec_drain(e);
	NX_EQ_I(NX_E_SHUTTING_DOWN, submit(e, &late, &s, 0));
	nx_exec_stop(e, 50);
	NX_EQ_I(NX_E_SHUTTING_DOWN, t.code);
	NX_EQ_I(atomic_load(&sim.connects), atomic_load(&sim.disconnects));
}

/* Many threads submit and cancel at random: nothing hangs, nothing leaks. */
static struct nx_exec *storm_exec;
static struct nx_data_source storm_source;

static void *storm(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg, hits = 0;
	for (int i = 0; i < 200; i++) {
		struct task t = { .end = (enum nx_conn_state)(rand_r(&seed) % 3),
				  .stall = rand_r(&seed) % 4 == 0 };
		t.sleep_ms = rand_r(&seed) % 2;
		if (submit(storm_exec, &t, &storm_source, 1 + rand_r(&seed) % 20))
			continue;
		if (rand_r(&seed) % 2)
			hits += nx_exec_cancel(storm_exec, nx_str(t.job.id), 0,
					       NX_E_QUERY_CANCELED);
		wait_done(&t);
	}
	return (void *)(uintptr_t)hits;
}

NX_TEST(cancel_storm)
{
	storm_exec = start(4);
	storm_source = source(4, 2, 100);
	pthread_t t[8];
	for (uintptr_t i = 0; i < 8; i++)
		NX_EQ_I(0, pthread_create(&t[i], NULL, storm, (void *)(i + 1)));
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	struct nx_exec_stats st;
	nx_exec_stats(storm_exec, &st);
	NX_EQ_I(0, st.ready + st.waiting + st.streaming);
	stop(storm_exec);
}

/* ---- principals take turns ---- */

static _Atomic int served;

static void run_and_note(struct nx_job *j)
{
	struct task *t = (struct task *)j;
	struct nx_conn *c;
	struct nx_error err;
	t->code = nx_job_connect(j, &c, &t->reused, &err);
	usleep((useconds_t)t->sleep_ms * 1000);
	t->sleep_ms = atomic_fetch_add(&served, 1); /* its place */
	nx_job_end(j, NX_CONN_CLEAN);
	atomic_store(&t->done, 1);
}

static enum nx_code submit_for(struct nx_exec *e, struct task *t, const struct nx_data_source *s,
			       uint64_t owner)
{
	struct nx_error err;
	t->job.run = run_and_note;
	t->job.source = s;
	t->job.owner = owner;
	t->job.deadline = t->job.queue_deadline = NX_NEVER;
	return nx_job_submit(e, &t->job, &err);
}

NX_TEST(a_crowd_of_one_does_not_hold_up_another)
{
	static struct task first = { .sleep_ms = 50 }, a[500], b, c[3];
	struct nx_exec *e = start(8);
	struct nx_data_source s = source(1, 0, 1000);
	NX_EQ_I(NX_OK, submit_for(e, &first, &s, 1));
	for (int i = 0; i < 500; i++)
		NX_EQ_I(NX_OK, submit_for(e, &a[i], &s, 1));
	NX_EQ_I(NX_OK, submit_for(e, &b, &s, 2));
	for (int i = 0; i < 3; i++)
		NX_EQ_I(NX_OK, submit_for(e, &c[i], &s, 3));
	wait_done(&a[499]);
	wait_done(&b);
	NX_CHECK(b.sleep_ms <= 3); /* first, one of A, B */
	NX_CHECK(c[2].sleep_ms <= 10);
	for (int i = 1; i < 500; i++)
		NX_CHECK(a[i].sleep_ms > a[i - 1].sleep_ms); /* each in his own order */
	stop(e);
}

NX_TEST(who_fills_the_queue_fills_it_for_himself)
{
	static struct task first = { .until_cancel = true }, a[10], b[11];
	struct nx_exec *e = start(8);
	struct nx_data_source s = source(1, 0, 10);
	first.job.owner = 1;
	NX_EQ_I(NX_OK, submit(e, &first, &s, 0));
	for (int i = 0; i < 10; i++)
		NX_EQ_I(NX_OK, submit_for(e, &a[i], &s, 1));
	struct task more = { .end = NX_CONN_CLEAN };
	NX_EQ_I(NX_E_QUEUE_FULL, submit_for(e, &more, &s, 1));
	for (uint64_t i = 0; i < 10; i++)
		NX_EQ_I(NX_OK, submit_for(e, &b[i], &s, 100 + i));
	NX_EQ_I(NX_E_QUEUE_FULL, submit_for(e, &more, &s, 100)); /* has one */
	NX_EQ_I(NX_E_QUEUE_FULL, submit_for(e, &more, &s, 200)); /* twice its length */
	NX_CHECK(nx_exec_cancel(e, nx_str(first.job.id), 0, NX_E_QUERY_CANCELED));
	for (int i = 0; i < 10; i++) {
		wait_done(&a[i]);
		wait_done(&b[i]);
	}
	stop(e);
}
