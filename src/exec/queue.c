/* The waiting queue of a pool: a lane for each principal, served in turn.
 *
 * A lane is a FIFO of one owner's jobs. Lanes with jobs stand in a ring; `turn` is the lane that is served
 * next. So whoever has queued a thousand queries gets one served, then everybody else gets one: another's
 * single query waits for one of each, not for the thousand.
 *
 * Nothing is allocated: the first job of a lane carries the lane (where it stands in the ring, its last
 * job, the next lane of its bucket) and hands it to the second when it leaves. All operations are a few
 * pointers, plus a look into a bucket of lanes. The exec lock guards it all. */
#include "exec/exec_int.h"

static struct nx_job **bucket_of(struct fair_queue *q, uint64_t owner)
{
	return &q->lanes[(owner ^ owner >> 32) % FAIR_BUCKETS];
}

/* The first job of an owner's lane, or NULL. */
static struct nx_job *lane_of(struct fair_queue *q, uint64_t owner)
{
	struct nx_job *h = *bucket_of(q, owner);
	while (h && h->owner != owner)
		h = h->lane_chain;
	return h;
}

bool nx_fair_waits(struct fair_queue *q, uint64_t owner)
{
	return lane_of(q, owner) != NULL;
}

/* `j` alone becomes a lane, at the end of the round. */
static void open_lane(struct fair_queue *q, struct nx_job *j)
{
	struct nx_job **b = bucket_of(q, j->owner);
	j->lane_tail = j;
	j->lane_chain = *b;
	*b = j;
	if (q->turn) {
		j->lane_next = q->turn;
		j->lane_prev = q->turn->lane_prev;
		j->lane_prev->lane_next = j;
		q->turn->lane_prev = j;
	} else {
		j->lane_next = j->lane_prev = q->turn = j;
	}
}

static struct nx_job **chain_link(struct fair_queue *q, struct nx_job *h)
{
	struct nx_job **at = bucket_of(q, h->owner);
	while (*at != h)
		at = &(*at)->lane_chain;
	return at;
}

/* `to`, of the same owner, carries the lane in place of `from`. */
static void hand_lane(struct fair_queue *q, struct nx_job *from, struct nx_job *to)
{
	to->lane_tail = from->lane_tail;
	*chain_link(q, from) = to;
	to->lane_chain = from->lane_chain;
	if (from->lane_next == from) {
		to->lane_next = to->lane_prev = to;
	} else {
		to->lane_next = from->lane_next;
		to->lane_prev = from->lane_prev;
		to->lane_next->lane_prev = to;
		to->lane_prev->lane_next = to;
	}
	if (q->turn == from)
		q->turn = to;
	from->lane_next = from->lane_prev = from->lane_tail = from->lane_chain = NULL;
}

static void close_lane(struct fair_queue *q, struct nx_job *h)
{
	*chain_link(q, h) = h->lane_chain;
	if (q->turn == h)
		q->turn = h->lane_next == h ? NULL : h->lane_next;
	h->lane_next->lane_prev = h->lane_prev;
	h->lane_prev->lane_next = h->lane_next;
	h->lane_next = h->lane_prev = h->lane_tail = h->lane_chain = NULL;
}

void nx_fair_push(struct fair_queue *q, struct nx_job *j)
{
	struct nx_job *h = lane_of(q, j->owner);
	j->q_next = NULL;
	j->q_prev = h ? h->lane_tail : NULL;
	if (h) {
		h->lane_tail->q_next = j;
		h->lane_tail = j;
	} else {
		open_lane(q, j);
	}
	q->n++;
}

void nx_fair_push_front(struct fair_queue *q, struct nx_job *j)
{
	struct nx_job *h = lane_of(q, j->owner);
	j->q_prev = NULL;
	j->q_next = h;
	if (h) {
		h->q_prev = j;
		hand_lane(q, h, j);
	} else {
		open_lane(q, j);
	}
	q->turn = j;
	q->n++;
}

void nx_fair_take(struct fair_queue *q, struct nx_job *j)
{
	if (!j->q_prev && j->q_next) {
		hand_lane(q, j, j->q_next);
		j->q_next->q_prev = NULL;
	} else if (!j->q_prev) {
		close_lane(q, j);
	} else {
		j->q_prev->q_next = j->q_next;
		if (j->q_next)
			j->q_next->q_prev = j->q_prev;
		else
			lane_of(q, j->owner)->lane_tail = j->q_prev;
	}
	j->q_prev = j->q_next = NULL;
	q->n--;
}

struct nx_job *nx_fair_next(const struct fair_queue *q)
{
	return q->turn;
}

/* After the job whose turn it was has been served: its owner's next one waits for the others. */
void nx_fair_serve(struct fair_queue *q, struct nx_job *j)
{
	bool more = j->q_next != NULL;
	nx_fair_take(q, j);
	if (more)
		q->turn = q->turn->lane_next;
}
