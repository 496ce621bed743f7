#include "gate/peers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "auth/grants.h"
#include "base/clock.h"
#include "base/log.h"
#include "gate/gateway.h"
#include "store/store.h"

struct nx_peers {
	struct nx_gateway *gw;
	int64_t interval;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	/* the thread's own */
	bool known;
	uint64_t seen; /* the counter that was loaded last */
	enum nx_code trouble; /* told in the log */
};

enum nx_code nx_gate_open_store(const struct nx_options *o, struct nx_store **ret,
				struct nx_error *err)
{
	const char *tls = nx_opt_str(o, "store.tls", "verify");
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/nexus.db", nx_opt_str(o, "dataDir", ".nexus"));
	if (n < 0 || (size_t)n >= sizeof(path))
		return nx_fail(err, NX_E_CONFIG, "dataDir is too long.");
	struct nx_store_config c = {
		.path = path,
		.url = nx_opt_str(o, "store.url", ""),
		.password = nx_opt_str(o, "store.password", ""),
		.tls = strcmp(tls, "off") != 0,
		.verify = strcmp(tls, "verify") == 0,
		.ca_file = nx_opt_str(o, "store.caFile", ""),
		.timeout_ms = (uint32_t)nx_opt_ms(o, "store.timeout", 5000),
	};
	return nx_store_connect(&c, ret, err);
}

/* Keys first: a revoked one must not wait for anything. What fails is tried again at the next look. */
static enum nx_code take_over(struct nx_gateway *gw, struct nx_error *err)
{
	enum nx_code c = nx_auth_sync(gw->auth, err);
	if (!c)
		c = nx_grants_sync(gw->grants, err);
	if (!c)
		c = nx_catalog_sync(gw->catalog, err);
	return c;
}

static void look(struct nx_peers *p)
{
	struct nx_error err;
	uint64_t now = 0;
	enum nx_code c = nx_store_changes(p->gw->store, &now, &err);
	if (!c && (!p->known || now != p->seen)) {
		c = take_over(p->gw, &err);
		if (!c) {
			p->seen = now; /* read before: what came in between is loaded once more */
			p->known = true;
		}
	}
	if (c && c != p->trouble)
		nx_log_error(NX_LOG_ERROR, "peers", NULL, &err);
	else if (!c && p->trouble)
		nx_log(NX_LOG_INFO, "peers", "up to date with the metadata store again");
	p->trouble = c;
}

static void *looker(void *arg)
{
	struct nx_peers *p = arg;
	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		pthread_mutex_unlock(&p->lock);
		look(p);
		pthread_mutex_lock(&p->lock);
		struct timespec ts;
		clock_gettime(CLOCK_MONOTONIC, &ts);
		int64_t at = (int64_t)ts.tv_sec * NX_SEC + ts.tv_nsec + p->interval;
		ts = (struct timespec){ .tv_sec = at / NX_SEC, .tv_nsec = at % NX_SEC };
		if (!p->stop)
			pthread_cond_timedwait(&p->wake, &p->lock, &ts);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

enum nx_code nx_peers_start(struct nx_gateway *gw, int64_t interval, struct nx_peers **ret,
			    struct nx_error *err)
{
	struct nx_peers *p = calloc(1, sizeof(*p));
	if (!p)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	p->gw = gw;
	p->interval = interval;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_t mono;
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, &mono);
	pthread_condattr_destroy(&mono);
	if (pthread_create(&p->thread, NULL, looker, p)) {
		pthread_cond_destroy(&p->wake);
		pthread_mutex_destroy(&p->lock);
		free(p);
		return nx_fail(err, NX_E_INTERNAL, "Cannot start a thread.");
	}
	*ret = p;
	return NX_OK;
}

void nx_peers_stop(struct nx_peers *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
