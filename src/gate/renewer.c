#include "gate/renewer.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "secrets/secrets.h"

#define LOOK_NS NX_SEC /* at the token, and at sources that lack a secret */
#define KICK_NS (5 * NX_SEC)

struct nx_renewer {
	struct nx_catalog *catalog;
	int64_t ttl;
	pthread_t thread;
	pthread_mutex_t lock; /* the rest; never held over a request */
	pthread_cond_t wake;
	bool stop, kicked;
};

/* Lock held. */
static void nap(struct nx_renewer *k, int64_t until)
{
	struct timespec ts = { (time_t)(until / NX_SEC), (long)(until % NX_SEC) };
	pthread_cond_timedwait(&k->wake, &k->lock, &ts);
}

static void *keep(void *arg)
{
	struct nx_renewer *k = arg;
	int64_t next = nx_now() + k->ttl, forced = 0;
	uint32_t problems = 1; /* perhaps: Vault was not there when the catalog was read */
	pthread_mutex_lock(&k->lock);
	while (!k->stop) {
		int64_t now = nx_now(), look = now + LOOK_NS;
		bool kick = k->kicked && now - forced >= KICK_NS, due = now >= next;
		if (kick)
			k->kicked = false;
		pthread_mutex_unlock(&k->lock);
		int64_t renew = nx_kv_tend();
		look = renew < look ? renew : look;
		if (kick || due) {
			nx_kv_forget();
			forced = now;
			next = now + k->ttl;
		}
		if (kick || due || problems)
			(void)nx_catalog_refresh(k->catalog, &problems);
		pthread_mutex_lock(&k->lock);
		if (!k->stop && !(k->kicked && nx_now() - forced >= KICK_NS))
			nap(k, look < next ? look : next);
	}
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

enum nx_code nx_renewer_start(struct nx_catalog *c, int64_t ttl_ms, struct nx_renewer **ret,
			      struct nx_error *err)
{
	struct nx_renewer *k = calloc(1, sizeof(*k));
	pthread_condattr_t attr;
	if (!k)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	k->catalog = c;
	k->ttl = ttl_ms * NX_MS;
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&k->thread, NULL, keep, k) != 0) {
		pthread_cond_destroy(&k->wake);
		pthread_mutex_destroy(&k->lock);
		free(k);
		return nx_fail(err, NX_E_OVERLOADED, "No thread for keeping secrets current.");
	}
	*ret = k;
	return NX_OK;
}

void nx_renewer_kick(struct nx_renewer *k)
{
	if (!k)
		return;
	pthread_mutex_lock(&k->lock);
	k->kicked = true;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
}

void nx_renewer_stop(struct nx_renewer *k)
{
	if (!k)
		return;
	pthread_mutex_lock(&k->lock);
	k->stop = true;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
}

void nx_renewer_free(struct nx_renewer *k)
{
	if (!k)
		return;
	pthread_cond_destroy(&k->wake);
	pthread_mutex_destroy(&k->lock);
	free(k);
}
