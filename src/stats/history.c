#include "stats/history.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"

enum { RING = 16384, RECENT = 1000, BATCH = 4096 };

struct nx_history {
	struct nx_store *store;
	uint64_t keep;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t writer;
	bool stopping;
	enum nx_code trouble; /* told in the log; the writer's own */
	uint64_t head; /* records ever added */
	uint64_t written; /* records handed to the store */
	uint64_t lost; /* not told in the log yet */
	uint64_t lost_total;
	struct nx_history_record ring[RING];
};

static enum nx_code write_batch(struct nx_history *h, const struct nx_history_record *r, uint32_t n,
				struct nx_error *err)
{
	struct nx_store_history rows[BATCH];
	char when[BATCH][NX_ISO_LEN];
	for (uint32_t i = 0; i < n; i++) {
		nx_iso_time(r[i].started_wall, when[i]);
		rows[i] = (struct nx_store_history){
			.query_id = nx_str(r[i].query_id),
			.correlation_id = nx_str(r[i].correlation_id),
			.principal = nx_str(r[i].principal),
			.source_id = nx_str(r[i].source_id),
			.source_type = nx_str(r[i].source_type),
			.status = nx_str(r[i].status),
			.code = nx_str(r[i].code ? nx_code_name(r[i].code) : ""),
			.started_at = nx_str(when[i]),
			.fingerprint = r[i].fingerprint,
			.rows = r[i].rows,
			.bytes = r[i].bytes,
			.elapsed_us = r[i].elapsed_us,
		};
	}
	return nx_store_history_add(h->store, rows, n, h->keep, err);
}

/* A store that is away or full may be back later: until then the ring holds what fits. */
static bool waits(enum nx_code c)
{
	return c == NX_E_STORE_FAILED || c == NX_E_STORE_LOCKED || c == NX_E_STORE_FULL;
}

/* Copies up to BATCH unwritten records out and writes them without the lock. Lock held at both
 * ends. False: nothing to write or the store failed. */
static bool flush(struct nx_history *h, struct nx_history_record *copy)
{
	if (h->head - h->written > RING) {
		uint64_t gone = h->head - h->written - RING;
		h->lost += gone;
		h->lost_total += gone;
		h->written = h->head - RING;
	}
	uint32_t n = 0;
	while (n < BATCH && h->written + n < h->head) {
		copy[n] = h->ring[(h->written + n) % RING];
		n++;
	}
	if (n == 0)
		return false;
	uint64_t lost = h->lost;
	h->lost = 0;
	h->written += n;
	pthread_mutex_unlock(&h->lock);
	if (lost)
		nx_log(NX_LOG_WARN, "history", "%llu history records were lost",
		       (unsigned long long)lost);
	struct nx_error err;
	enum nx_code c = write_batch(h, copy, n, &err);
	if (c && c != h->trouble)
		nx_log_error(NX_LOG_ERROR, "history", NULL, &err);
	pthread_mutex_lock(&h->lock);
	h->trouble = c;
	if (waits(c))
		h->written -= n;
	else if (c)
		h->lost_total += n;
	return c == NX_OK;
}

static void *writer_main(void *arg)
{
	struct nx_history *h = arg;
	struct nx_history_record *copy = calloc(BATCH, sizeof(*copy));
	if (!copy)
		return NULL;
	pthread_mutex_lock(&h->lock);
	for (;;) {
		while (flush(h, copy))
			;
		if (h->stopping) {
			if (h->head > h->written)
				nx_log(NX_LOG_WARN, "history", "%llu history records were lost",
				       (unsigned long long)(h->head - h->written));
			break;
		}
		struct timespec ts;
		clock_gettime(CLOCK_MONOTONIC, &ts);
		ts.tv_sec++;
		pthread_cond_timedwait(&h->wake, &h->lock, &ts);
	}
	pthread_mutex_unlock(&h->lock);
	free(copy);
	return NULL;
}

enum nx_code nx_history_start(struct nx_store *store, uint64_t keep, struct nx_history **ret,
			      struct nx_error *err)
{
	struct nx_history *h = calloc(1, sizeof(*h));
	if (!h)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	h->store = store;
	h->keep = keep;
	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_t mono;
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&h->wake, &mono);
	pthread_condattr_destroy(&mono);
	if (pthread_create(&h->writer, NULL, writer_main, h)) {
		free(h);
		return nx_fail(err, NX_E_INTERNAL, "Cannot start a thread.");
	}
	*ret = h;
	return NX_OK;
}

void nx_history_stop(struct nx_history *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->stopping = true;
	pthread_cond_signal(&h->wake);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->writer, NULL);
	pthread_cond_destroy(&h->wake);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void nx_history_add(struct nx_history *h, const struct nx_history_record *r)
{
	pthread_mutex_lock(&h->lock);
	h->ring[h->head % RING] = *r;
	h->head++;
	pthread_mutex_unlock(&h->lock);
}

uint32_t nx_history_recent(struct nx_history *h, uint64_t owner, struct nx_str id,
			   struct nx_history_record *ret, uint32_t max)
{
	uint32_t n = 0;
	pthread_mutex_lock(&h->lock);
	uint64_t oldest = h->head > RECENT ? h->head - RECENT : 0;
	for (uint64_t i = h->head; i > oldest && n < max; i--) {
		const struct nx_history_record *r = &h->ring[(i - 1) % RING];
		if ((!owner || r->owner == owner) && (!id.len || nx_str_is(id, r->query_id)))
			ret[n++] = *r;
	}
	pthread_mutex_unlock(&h->lock);
	return n;
}

void nx_history_stats(struct nx_history *h, struct nx_history_stats *ret)
{
	pthread_mutex_lock(&h->lock);
	*ret = (struct nx_history_stats){ h->head - h->written, h->lost_total };
	pthread_mutex_unlock(&h->lock);
}
