/* The fair queue against a slow model that says the same in plain lists. */
#include <stdlib.h>

#include "base/clock.h"
#include "exec/exec_int.h"
#include "test.h"

enum { OWNERS = 90, JOBS = 400 };

/* ---- the model: lanes in their order, each a list ---- */

static struct {
	uint64_t owner;
	struct nx_job *at[JOBS];
	int n;
} lanes[OWNERS];
static int nlanes, turn;

static int lane_index(uint64_t owner)
{
	for (int i = 0; i < nlanes; i++)
		if (lanes[i].owner == owner)
			return i;
	return -1;
}

/* A new lane is the last of the round: just before the turn. */
static int new_lane(uint64_t owner)
{
	for (int i = nlanes; i > turn; i--)
		lanes[i] = lanes[i - 1];
	lanes[turn].owner = owner;
	lanes[turn].n = 0;
	nlanes++;
	turn = nlanes > 1 ? turn + 1 : 0;
	return nlanes > 1 ? turn - 1 : 0;
}

static void model_push(struct nx_job *j, bool front)
{
	int i = lane_index(j->owner);
	if (i < 0)
		i = new_lane(j->owner);
	if (front) {
		memmove(&lanes[i].at[1], &lanes[i].at[0], (size_t)lanes[i].n * sizeof(j));
		lanes[i].at[0] = j;
		turn = i;
	} else {
		lanes[i].at[lanes[i].n] = j;
	}
	lanes[i].n++;
}

static void model_take(struct nx_job *j)
{
	int i = lane_index(j->owner), k = 0;
	while (lanes[i].at[k] != j)
		k++;
	memmove(&lanes[i].at[k], &lanes[i].at[k + 1], (size_t)(lanes[i].n - k - 1) * sizeof(j));
	if (--lanes[i].n > 0)
		return;
	for (int m = i; m + 1 < nlanes; m++)
		lanes[m] = lanes[m + 1];
	nlanes--;
	if (turn > i)
		turn--;
	if (turn >= nlanes)
		turn = 0;
}

static void model_serve(struct nx_job *j)
{
	bool more = lanes[turn].n > 1;
	model_take(j);
	if (more)
		turn = (turn + 1) % nlanes;
}

NX_TEST(agrees_with_the_model)
{
	static struct nx_job jobs[JOBS];
	static bool in[JOBS];
	static struct fair_queue q;
	unsigned seed = 7;
	uint32_t n = 0;
	for (int i = 0; i < JOBS; i++) /* some owners share a bucket */
		jobs[i].owner = (uint64_t)(i % OWNERS) * (i % 3 ? 1 : FAIR_BUCKETS) + 1;
	for (int step = 0; step < 200000; step++) {
		int k = rand_r(&seed) % JOBS, how = rand_r(&seed) % 8;
		bool fill = step / 5000 % 2; /* times of growth and of ebb */
		if (!in[k] && (fill ? how < 6 : how < 2)) {
			bool front = how == 1;
			front ? nx_fair_push_front(&q, &jobs[k]) : nx_fair_push(&q, &jobs[k]);
			model_push(&jobs[k], front);
			in[k] = true;
			n++;
		} else if (in[k] && how == 7) {
			nx_fair_take(&q, &jobs[k]);
			model_take(&jobs[k]);
			in[k] = false;
			n--;
		} else if (n && (fill ? how == 6 : how > 1)) {
			struct nx_job *j = nx_fair_next(&q);
			NX_CHECK(j == lanes[turn].at[0]);
			nx_fair_serve(&q, j);
			model_serve(j);
			in[j - jobs] = false;
			n--;
		}
		NX_EQ_I(n, q.n);
		NX_CHECK(nx_fair_next(&q) == (n ? lanes[turn].at[0] : NULL));
		NX_EQ_I(lane_index(jobs[k].owner) >= 0, nx_fair_waits(&q, jobs[k].owner));
	}
	while (n--)
		nx_fair_serve(&q, nx_fair_next(&q));
	NX_CHECK(!q.turn && q.n == 0);
	for (int i = 0; i < FAIR_BUCKETS; i++)
		NX_CHECK(!q.lanes[i]);
}

NX_TEST(one_of_each_in_turn)
{
	struct nx_job a[5] = { 0 }, b[2] = { 0 }, c = { .owner = 3 };
	struct fair_queue q = { 0 };
	for (int i = 0; i < 5; i++) {
		a[i].owner = 1;
		nx_fair_push(&q, &a[i]);
	}
	for (int i = 0; i < 2; i++) {
		b[i].owner = 2;
		nx_fair_push(&q, &b[i]);
	}
	nx_fair_push(&q, &c);
	struct nx_job *want[] = { &a[0], &b[0], &c, &a[1], &b[1], &a[2], &a[3], &a[4] };
	for (size_t i = 0; i < NX_COUNTOF(want); i++) {
		NX_CHECK(nx_fair_next(&q) == want[i]);
		nx_fair_serve(&q, want[i]);
	}
	NX_CHECK(!nx_fair_next(&q));
}

/* Thousands of lanes cost no more than one. */
NX_TEST(cost)
{
	enum { N = 1000, ROUNDS = 200 };
	static struct nx_job jobs[N];
	for (int owners = 1; owners <= N; owners *= 10) {
		struct fair_queue q = { 0 };
		for (int i = 0; i < N; i++)
			jobs[i].owner = (uint64_t)(i % owners) * 0x9e3779b97f4a7c15u;
		int64_t t = nx_now();
		for (int r = 0; r < ROUNDS; r++) {
			for (int i = 0; i < N; i++)
				nx_fair_push(&q, &jobs[i]);
			while (q.n)
				nx_fair_serve(&q, nx_fair_next(&q));
		}
		printf("# %d principals: %.1f ns to queue and serve one\n", owners,
		       (double)(nx_now() - t) / N / ROUNDS);
	}
}
