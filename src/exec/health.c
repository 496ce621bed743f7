#include "exec/health.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "exec/exec.h"

#define QUEUE 1024u /* found due and not begun; more wait for the next look */

struct nx_health {
	struct nx_health_config cfg;
	struct nx_probe_plan plan;
	int64_t backoff[5];
	struct nx_catalog *catalog;
	pthread_mutex_t lock; /* leaf lock: the rest */
	pthread_cond_t wake; /* monotonic */
	const struct nx_data_source *queue[QUEUE]; /* referenced */
	uint32_t head, n;
	bool stopping;
	uint32_t nthreads; /* the first looks for work, the others do it */
	pthread_t threads[65];
};

enum nx_code nx_health_probe(const struct nx_data_source *s, int64_t deadline,
			     struct nx_grants *ret, int64_t *ret_ns, struct nx_error *err)
{
	struct nx_vitals *v = nx_data_source_vitals(s);
	struct nx_grants g = { .superuser = false };
	int64_t took = 0;
	enum nx_code c = nx_exec_probe(s, deadline, &g, &took, err);
	bool known = !c && s->driver->probe;
	nx_vitals_probed(v, c ? err : NULL, took, known ? &g : NULL);
	if (c)
		return c;
	*ret = g;
	*ret_ns = took;
	char why[600];
	if (!nx_account_fit(s, &g, why))
		return nx_fail(err, NX_E_ACCOUNT_NOT_FIT, "%s", why);
	return NX_OK;
}

static void probe_one(struct nx_health *h, const struct nx_data_source *s)
{
	uint32_t ms =
		h->cfg.timeout_ms < s->limits.connect_ms ? h->cfg.timeout_ms : s->limits.connect_ms;
	struct nx_grants g;
	struct nx_error err;
	int64_t took;
	enum nx_code c = nx_health_probe(s, nx_now() + (int64_t)ms * NX_MS, &g, &took, &err);
	struct nx_vitals *v = nx_data_source_vitals(s);
	uint32_t faults = 0;
	if (c)
		faults = nx_vitals_fault(v, &err, nx_now());
	else
		nx_vitals_good(v, nx_now());
	if (nx_data_source_replaced(s))
		return; /* it was of another config */
	if (!c)
		h->cfg.on_event(s, NX_EV_TEST_OK, h->cfg.arg);
	else if (c == NX_E_ACCOUNT_NOT_FIT)
		h->cfg.on_event(s, NX_EV_TEST_FAILED, h->cfg.arg);
	else if (faults >= NX_FAULTS_MAX)
		h->cfg.on_event(s, NX_EV_FAULTS, h->cfg.arg);
}

static void *work(void *arg)
{
	struct nx_health *h = arg;
	pthread_mutex_lock(&h->lock);
	while (!h->stopping) {
		if (h->n == 0) {
			pthread_cond_wait(&h->wake, &h->lock);
			continue;
		}
		const struct nx_data_source *s = h->queue[h->head];
		h->head = (h->head + 1) % QUEUE;
		h->n--;
		pthread_mutex_unlock(&h->lock);
		probe_one(h, s);
		nx_data_source_unref(s);
		pthread_mutex_lock(&h->lock);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

static void consider(const struct nx_data_source *s, void *arg)
{
	struct nx_health *h = arg;
	pthread_mutex_lock(&h->lock);
	bool room = h->n < QUEUE;
	pthread_mutex_unlock(&h->lock);
	if (!room || !nx_vitals_due(s, &h->plan, nx_now()))
		return;
	nx_data_source_ref(s);
	pthread_mutex_lock(&h->lock); /* only this thread adds: there is room still */
	h->queue[(h->head + h->n++) % QUEUE] = s;
	pthread_cond_signal(&h->wake);
	pthread_mutex_unlock(&h->lock);
}

static void *look(void *arg)
{
	struct nx_health *h = arg;
	int64_t step = h->plan.interval / 20;
	step = step > NX_SEC ? NX_SEC : step < 10 * NX_MS ? 10 * NX_MS : step;
	pthread_mutex_lock(&h->lock);
	while (!h->stopping) {
		pthread_mutex_unlock(&h->lock);
		uint32_t total;
		struct nx_error err;
		/* without memory for the list: at the next look */
		if (nx_catalog_list(h->catalog, NX_STR(""), NX_STR(""), 0, UINT32_MAX, &total,
				    consider, h, &err))
			total = 0;
		pthread_mutex_lock(&h->lock);
		int64_t until = nx_now() + step;
		struct timespec ts = { until / NX_SEC, until % NX_SEC };
		while (!h->stopping && nx_now() < until)
			pthread_cond_timedwait(&h->wake, &h->lock, &ts);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

enum nx_code nx_health_start(const struct nx_health_config *cfg, struct nx_catalog *cat,
			     struct nx_health **ret, struct nx_error *err)
{
	/* thirty seconds to ten minutes at the usual interval of ten seconds */
	static const int64_t steps[] = { 3, 6, 12, 30, 60 };
	struct nx_health *h = calloc(1, sizeof(*h));
	if (!h)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	h->cfg = *cfg;
	h->catalog = cat;
	h->plan = (struct nx_probe_plan){ (int64_t)cfg->interval_ms * NX_MS, h->backoff,
					  NX_COUNTOF(steps) };
	for (size_t i = 0; i < NX_COUNTOF(steps); i++)
		h->backoff[i] = steps[i] * h->plan.interval;
	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_t mono;
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&h->wake, &mono);
	pthread_condattr_destroy(&mono);
	uint32_t want = cfg->interval_ms ? cfg->threads + 1 : 0;
	for (; h->nthreads < want; h->nthreads++)
		if (pthread_create(&h->threads[h->nthreads], NULL, h->nthreads ? work : look, h)) {
			nx_health_stop(h);
			return nx_fail(err, NX_E_INTERNAL, "Cannot start a thread.");
		}
	*ret = h;
	return NX_OK;
}

void nx_health_stop(struct nx_health *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->stopping = true;
	pthread_cond_broadcast(&h->wake);
	pthread_mutex_unlock(&h->lock);
	for (uint32_t i = 0; i < h->nthreads; i++)
		pthread_join(h->threads[i], NULL);
	while (h->n > 0) {
		nx_data_source_unref(h->queue[h->head]);
		h->head = (h->head + 1) % QUEUE;
		h->n--;
	}
	pthread_cond_destroy(&h->wake);
	pthread_mutex_destroy(&h->lock);
	free(h);
}
