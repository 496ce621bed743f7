/* Short statements share a round trip.
 *
 * When more requests wait for a source than it has connections, the worker that holds one takes some of
 * them along: their statements go out in one piece (the driver's pipeline slot), and the answers are
 * taken, encoded and sent one after the other. Both sides then wake up once for several statements,
 * which is most of what a short statement costs.
 *
 * The price is that each waits for those before it. So only statements that have proved quick travel
 * (nx_verdicts_learn), few at a time; and whoever turns out to be slow does not hold the others: when
 * the connection is lost, a cancel hits the wrong one, or a client does not take its answer, the
 * requests behind it go back to the head of the queue and run on their own. They are pure reads and
 * nothing of their answers has been sent, so running them again is safe.
 *
 * The first request (the leader) owns the lease. Its job must live until the connection is done with,
 * so it is answered first and ended last. */
#include "gate/request.h"

enum { MAX_TRAIN = 8 };

struct nx_train {
	struct nx_request *member[MAX_TRAIN];
	struct nx_query query[MAX_TRAIN];
	uint32_t sent; /* statements on the wire */
	uint32_t n; /* members still on board */
	uint32_t at; /* the one being answered */
	bool leader_done; /* the leader has been ended */
};

static struct nx_request *request_of(struct nx_job *j)
{
	return (struct nx_request *)(void *)((char *)j - offsetof(struct nx_request, job));
}

static bool travels(const struct nx_request *r)
{
	return r->quick && r->verdict.pure && !r->route->act && r->route->kind == NX_ROUTE_QUERY;
}

static bool fits(const struct nx_job *j)
{
	return travels(request_of((struct nx_job *)(uintptr_t)j));
}

bool nx_train_may_lead(const struct nx_request *r)
{
	return travels(r) && r->source->driver->pipeline && !atomic_load(&r->job.cancelled);
}

/* Those not answered yet leave the train. What they sent is still on the wire, so the connection is
 * of no use to anybody afterwards. */
static void put_off(struct nx_train *t, uint32_t from)
{
	for (uint32_t i = t->n; i > from; i--) { /* from the back: the queue keeps its order */
		struct nx_request *r = t->member[i - 1];
		r->train = NULL;
		r->quick = false; /* and travel alone from now on */
		nx_job_requeue(&r->job);
	}
	if (t->n > from)
		t->n = from;
}

static void end_leader(struct nx_train *t, enum nx_conn_state state)
{
	if (t->leader_done)
		return;
	t->leader_done = true;
	t->member[0]->conn_state = state;
	nx_finish_end(t->member[0]);
}

/* A member's client does not read, and this worker is about to wait for it: nobody else shall. */
void nx_train_stalled(struct nx_train *t)
{
	put_off(t, t->at + 1);
	const struct nx_request *r = t->member[t->at];
	bool free = atomic_load(&r->released); /* else it still reads from the connection */
	if (t->at > 0 && free) {
		nx_job_alight(&t->member[t->at]->job);
		end_leader(t, t->at + 1 < t->sent ? NX_CONN_BROKEN : r->conn_state);
	}
}

void nx_train_place(const struct nx_request *r, uint32_t *ret_at, uint32_t *ret_n)
{
	*ret_at = r->train->at;
	*ret_n = r->train->sent;
}

/* Nothing of this answer has been sent, and its failure is not its own. */
static bool not_its_own(const struct nx_request *r, enum nx_code c)
{
	return !r->began && !atomic_load(&r->job.cancelled) &&
	       (c == NX_E_SOURCE_LOST || c == NX_E_QUERY_CANCELED);
}

/* The leader's own way when nobody travels with it. */
static void run_alone(struct nx_request *r, struct nx_conn *conn)
{
	enum nx_code c = conn ? nx_step_run_on(r, conn) : nx_step_run(r);
	if (conn && c == NX_E_SOURCE_LOST && !atomic_load(&r->job.cancelled)) {
		nx_job_retry(&r->job); /* died while it was idle, as in nx_run_retrying */
		c = nx_step_run(r);
	}
	if (!c)
		c = nx_step_encode(r);
	nx_finish_answer(r, c);
	nx_finish_end(r);
}

static void answer_members(struct nx_train *t, struct nx_conn *conn)
{
	enum nx_conn_state state = NX_CONN_BROKEN;
	while (t->at < t->n) {
		struct nx_request *r = t->member[t->at];
		enum nx_code c = nx_step_run_on(r, conn);
		if (!c)
			c = nx_step_encode(r);
		state = r->conn_state;
		if (c && not_its_own(r, c)) {
			put_off(t, t->at ? t->at : 1);
			if (t->at > 0)
				break;
			r->train = NULL;
			nx_job_retry(&r->job);
			run_alone(r, NULL);
			return;
		}
		nx_finish_answer(r, c);
		r->train = NULL;
		if (t->at > 0)
			nx_finish_end(r); /* holds no lease; r is gone */
		t->at++;
		if (state == NX_CONN_BROKEN)
			put_off(t, t->at);
	}
	end_leader(t, t->at == t->sent ? state : NX_CONN_BROKEN);
}

void nx_train_run(struct nx_request *r)
{
	struct nx_train t = { .member = { r }, .n = 1 };
	struct nx_job *peers[MAX_TRAIN - 1];
	uint32_t n = nx_job_peers(&r->job, fits, peers, MAX_TRAIN - 1);
	if (n == 0) {
		run_alone(r, NULL);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		t.member[t.n++] = request_of(peers[i]);
	struct nx_conn *conn;
	bool reused;
	enum nx_code c = nx_job_connect(&r->job, &conn, &reused, &r->err);
	if (c) {
		put_off(&t, 1);
		r->conn_state = NX_CONN_BROKEN;
		nx_finish_answer(r, c);
		nx_finish_end(r);
		return;
	}
	const struct nx_query *queries[MAX_TRAIN];
	for (uint32_t i = 0; i < t.n; i++) {
		nx_request_query(t.member[i], &t.query[i]);
		queries[i] = &t.query[i];
	}
	uint32_t sent = r->source->driver->pipeline(conn, queries, t.n);
	put_off(&t, sent > 1 ? sent : 1);
	if (sent <= 1) {
		run_alone(r, conn);
		return;
	}
	t.sent = sent;
	nx_metrics_train(sent);
	nx_job_board(&r->job, peers, t.n - 1);
	for (uint32_t i = 0; i < t.n; i++)
		t.member[i]->train = &t;
	answer_members(&t, conn);
}
