/* The keys of a token issuer: fetched by one thread, used by all.
 *
 * The thread fetches the key set (and first, with discovery, the document that names its address) ahead of
 * the time the answer may be used, and sooner when a token names a key that is not known: then once per
 * cooldown (twice when it comes during a fetch), however many such tokens come, so that made-up kids cannot
 * make the gateway press the issuer.
 * While it fetches, or fails to, the keys at hand go on to count, until they are too old: a key that the
 * issuer withdrew in the meantime must not count for ever. Nobody but this thread waits for the network;
 * who finds no key may wait for the fetch under way (nx_issuer_wait), on a worker.
 *
 * A set is never changed. Each that differs from the last gets the next generation, by which the cache of
 * verified tokens knows what to forget. */
#include <stdlib.h>
#include <time.h>

#include "auth/auth_int.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "outbound/outbound.h"

#define CALL_NS (5 * NX_SEC)
#define RETRY_MIN NX_SEC
#define RETRY_MAX (60 * NX_SEC)
#define URI_MAX 2048u
#define URI_AGE (24 * 3600 * NX_SEC) /* a discovered address is looked up again after this */

struct nx_issuer {
	struct nx_issuer_config cfg; /* texts owned */
	pthread_t thread;
	bool started;
	_Atomic uint64_t gen; /* of `set`; 0: none. Written under the lock */

	pthread_mutex_t lock; /* all below, held for some instructions */
	pthread_cond_t wake, done;
	struct nx_jwks *set; /* NULL: none */
	uint64_t last_gen, rounds, failed; /* fetches that ended, and those of them that failed */
	int64_t asked; /* when the last fetch for an unknown kid ended; 0: never */
	int64_t stale; /* when `set` counts no more */
	uint32_t waiters;
	bool wanted, busy, stop;
	bool chained; /* the fetch under way, or wanted, follows at once on another */

	/* the thread's own */
	char uri[URI_MAX + 1]; /* discovered; empty: not yet */
	int64_t uri_at;
	uint8_t hash[NX_HASH_LEN]; /* of the last key set's text */
	uint32_t failures; /* in a row */
};

/* ---- one fetch, without the lock ---- */

static enum nx_code get(struct nx_issuer *i, const char *url, size_t max, struct nx_arena *a,
			struct nx_outbound_answer *ret, struct nx_error *err)
{
	struct nx_outbound_request q = {
		.url = url,
		.headers = { NX_STR_INIT("Accept: application/json") },
		.nheaders = 1,
		.ca_file = i->cfg.ca_file,
		.deadline = nx_now() + CALL_NS,
		.max_body = max,
	};
	enum nx_code c = i->cfg.call(&q, a, ret, err);
	if (!c && ret->status != 200)
		c = nx_fail(err, NX_E_OUTBOUND_FAILED, "The token issuer answered with status %d.",
			    ret->status);
	return c;
}

/* OpenID Connect Discovery 4: the document at a fixed place below the issuer, which must name the issuer
 * exactly, or a document of somebody else's would do. The key set's address may be plain http only where the
 * issuer's is; outbound lets that be a loopback address. */
static enum nx_code discover(struct nx_issuer *i, struct nx_arena *a, struct nx_error *err)
{
	struct nx_str is = i->cfg.issuer;
	struct nx_outbound_answer got;
	const struct nx_json *o;
	size_t n = is.len - (nx_str_ends(is, NX_STR("/")) ? 1 : 0);
	char *url = nx_arena_printf(a, "%.*s/.well-known/openid-configuration", (int)n, is.ptr);
	if (!url)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	enum nx_code c = get(i, url, 65536, a, &got, err);
	if (c)
		return c;
	if (nx_json_parse(got.body, a, &o, NULL) != NX_OK)
		return nx_fail(err, NX_E_OUTBOUND_FAILED, "The discovery document is not JSON.");
	const struct nx_json *names = nx_json_get(o, "issuer"), *uri = nx_json_get(o, "jwks_uri");
	if (!names || names->kind != NX_JSON_STRING || !nx_str_eq(names->text, is))
		return nx_fail(err, NX_E_OUTBOUND_FAILED,
			       "The discovery document names another issuer.");
	bool plain = nx_str_starts(is, NX_STR("http://"));
	if (!uri || uri->kind != NX_JSON_STRING || uri->text.len > URI_MAX ||
	    memchr(uri->text.ptr, 0, uri->text.len) ||
	    !(nx_str_starts(uri->text, NX_STR("https://")) ||
	      (plain && nx_str_starts(uri->text, NX_STR("http://")))))
		return nx_fail(err, NX_E_OUTBOUND_FAILED,
			       "The discovery document has no jwks_uri that may be used.");
	memcpy(i->uri, uri->text.ptr, uri->text.len);
	i->uri[uri->text.len] = '\0';
	i->uri_at = nx_now();
	return NX_OK;
}

static int64_t within(int64_t v, int64_t min, int64_t max)
{
	return v < min ? min : v > max ? max : v;
}

/* *ret NULL: the same keys as before. */
static enum nx_code fetch(struct nx_issuer *i, bool have, struct nx_jwks **ret, int64_t *ret_age,
			  struct nx_error *err)
{
	struct nx_arena *a = nx_arena_new((size_t)8 << 20);
	if (!a)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	struct nx_outbound_answer got = { 0 };
	uint8_t hash[NX_HASH_LEN];
	bool look = !i->cfg.jwks_url &&
		    (!i->uri[0] || i->failures > 0 || nx_now() - i->uri_at > URI_AGE);
	enum nx_code c = look ? discover(i, a, err) : NX_OK;
	if (!c)
		c = get(i, i->cfg.jwks_url ? i->cfg.jwks_url : i->uri, NX_JWKS_BYTES, a, &got, err);
	*ret = NULL;
	if (!c && !nx_sha256(got.body, hash))
		c = nx_fail(err, NX_E_INTERNAL, "The key set cannot be compared.");
	if (!c && !(have && memcmp(hash, i->hash, sizeof(hash)) == 0)) {
		c = nx_jwks_parse(got.body, ret, err);
		if (!c)
			memcpy(i->hash, hash, sizeof(hash));
	}
	*ret_age = within((int64_t)got.max_age_s * NX_SEC, i->cfg.min_age, i->cfg.max_age);
	nx_arena_free(a);
	return c;
}

/* ---- the thread ---- */

/* Lock held. */
static void publish(struct nx_issuer *i, struct nx_jwks *set)
{
	struct nx_jwks *old = i->set;
	if (set)
		set->gen = ++i->last_gen;
	i->set = set;
	atomic_store(&i->gen, set ? set->gen : 0);
	nx_jwks_unref(old);
}

/* After a good answer: when to ask again. Ahead of the end by a tenth, so that the keys never run out of
 * their time while the next are fetched. */
static int64_t next_good(struct nx_issuer *i, const struct nx_jwks *fresh, int64_t age)
{
	if (fresh)
		nx_log(NX_LOG_INFO, "issuer", "the token issuer's key set: %u usable, %u left out",
		       fresh->n, fresh->ignored);
	else if (i->failures)
		nx_log(NX_LOG_INFO, "issuer", "the token issuer answers again");
	i->failures = 0;
	return nx_now() + age - age / 10;
}

static int64_t next_bad(struct nx_issuer *i, const struct nx_error *err)
{
	nx_log_error(NX_LOG_WARN, "issuer", NULL, err);
	int64_t wait = RETRY_MIN << (i->failures < 6 ? i->failures : 6);
	i->failures++;
	return nx_now() + (wait > RETRY_MAX ? RETRY_MAX : wait);
}

static int64_t refresh(struct nx_issuer *i, bool have, bool for_kid)
{
	struct nx_error err;
	struct nx_jwks *fresh = NULL;
	int64_t age = 0;
	enum nx_code c = fetch(i, have, &fresh, &age, &err);
	int64_t next = c ? next_bad(i, &err) : next_good(i, fresh, age);
	pthread_mutex_lock(&i->lock);
	if (!c && fresh)
		publish(i, fresh);
	if (!c)
		i->stale = nx_now() + age + i->cfg.max_stale;
	if (for_kid)
		i->asked = nx_now();
	i->rounds++;
	i->failed += c != NX_OK;
	i->busy = false;
	pthread_cond_broadcast(&i->done);
	return next;
}

static void *issuer_main(void *arg)
{
	struct nx_issuer *i = arg;
	int64_t next = nx_now();
	pthread_mutex_lock(&i->lock);
	while (!i->stop) {
		int64_t now = nx_now();
		if (i->set && now >= i->stale) {
			nx_log(NX_LOG_ERROR, "issuer",
			       "the token issuer's keys are too old to count any longer");
			publish(i, NULL);
		}
		if (i->wanted || now >= next) {
			bool have = i->set != NULL, for_kid = i->wanted;
			if (!for_kid)
				i->chained = false;
			i->wanted = false;
			i->busy = true;
			pthread_mutex_unlock(&i->lock);
			next = refresh(i, have, for_kid); /* comes back with the lock */
			continue;
		}
		int64_t until = i->set && i->stale < next ? i->stale : next;
		struct timespec ts = { until / NX_SEC, until % NX_SEC };
		pthread_cond_timedwait(&i->wake, &i->lock, &ts);
	}
	pthread_mutex_unlock(&i->lock);
	return NULL;
}

/* ---- for the others ---- */

struct nx_jwks *nx_issuer_keys(struct nx_issuer *i)
{
	pthread_mutex_lock(&i->lock);
	struct nx_jwks *s = i->set ? nx_jwks_ref(i->set) : NULL;
	pthread_mutex_unlock(&i->lock);
	return s;
}

uint64_t nx_issuer_gen(const struct nx_issuer *i)
{
	return atomic_load(&i->gen);
}

bool nx_issuer_want(struct nx_issuer *i)
{
	int64_t now = nx_now();
	pthread_mutex_lock(&i->lock);
	if (i->busy && !i->wanted && !i->chained) {
		/* it may have begun before the key was published: one more, but not another after */
		i->wanted = i->chained = true;
	} else if (!i->busy && !i->wanted && (!i->asked || now - i->asked >= i->cfg.cooldown)) {
		i->wanted = true;
		i->chained = false;
		pthread_cond_signal(&i->wake);
	}
	bool under_way = i->busy || i->wanted;
	pthread_mutex_unlock(&i->lock);
	return under_way;
}

bool nx_issuer_may_wait(struct nx_issuer *i)
{
	pthread_mutex_lock(&i->lock);
	bool ok = (i->busy || i->wanted) && i->waiters < NX_ISSUER_WAITERS;
	pthread_mutex_unlock(&i->lock);
	return ok;
}

void nx_issuer_wait(struct nx_issuer *i, int64_t deadline)
{
	struct timespec ts = { deadline / NX_SEC, deadline % NX_SEC };
	pthread_mutex_lock(&i->lock);
	/* one asked for while another is under way begins after it: that one counts */
	uint64_t until = i->rounds + (i->busy && i->wanted ? 2 : 1);
	if (i->waiters < NX_ISSUER_WAITERS) {
		i->waiters++;
		while ((i->busy || i->wanted) && i->rounds < until && !i->stop &&
		       pthread_cond_timedwait(&i->done, &i->lock, &ts) == 0)
			;
		i->waiters--;
	}
	pthread_mutex_unlock(&i->lock);
}

void nx_issuer_stats(struct nx_issuer *i, struct nx_auth_issuer_stats *ret)
{
	pthread_mutex_lock(&i->lock);
	*ret = (struct nx_auth_issuer_stats){ .keys = i->set ? i->set->n : 0,
					      .fetches = i->rounds,
					      .failures = i->failed };
	pthread_mutex_unlock(&i->lock);
}

/* ---- life ---- */

static char *own(const char *s)
{
	return s ? strdup(s) : NULL;
}

static bool copy_config(struct nx_issuer *i, const struct nx_issuer_config *cfg)
{
	i->cfg = *cfg;
	i->cfg.issuer.ptr = strndup(cfg->issuer.ptr ? cfg->issuer.ptr : "", cfg->issuer.len);
	i->cfg.jwks_url = own(cfg->jwks_url);
	i->cfg.ca_file = own(cfg->ca_file);
	if (!i->cfg.call)
		i->cfg.call = nx_outbound_call;
	return i->cfg.issuer.ptr && !cfg->jwks_url == !i->cfg.jwks_url &&
	       !cfg->ca_file == !i->cfg.ca_file;
}

enum nx_code nx_issuer_open(const struct nx_issuer_config *cfg, struct nx_issuer **ret,
			    struct nx_error *err)
{
	struct nx_issuer *i = calloc(1, sizeof(*i));
	if (!i)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	pthread_condattr_t mono;
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_mutex_init(&i->lock, NULL);
	pthread_cond_init(&i->wake, &mono);
	pthread_cond_init(&i->done, &mono);
	pthread_condattr_destroy(&mono);
	enum nx_code c = cfg->call ? NX_OK : nx_outbound_init(err);
	if (!c && !copy_config(i, cfg))
		c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	i->busy = true; /* until the first fetch has ended */
	i->chained = true;
	if (!c && pthread_create(&i->thread, NULL, issuer_main, i))
		c = nx_fail(err, NX_E_INTERNAL, "Cannot start a thread.");
	if (c) {
		nx_issuer_free(i);
		return c;
	}
	i->started = true;
	nx_issuer_wait(i, nx_now() + cfg->start_wait);
	*ret = i;
	return NX_OK;
}

void nx_issuer_free(struct nx_issuer *i)
{
	if (!i)
		return;
	if (i->started) {
		pthread_mutex_lock(&i->lock);
		i->stop = true;
		pthread_cond_broadcast(&i->wake);
		pthread_cond_broadcast(&i->done);
		pthread_mutex_unlock(&i->lock);
		pthread_join(i->thread, NULL);
	}
	nx_jwks_unref(i->set);
	pthread_cond_destroy(&i->done);
	pthread_cond_destroy(&i->wake);
	pthread_mutex_destroy(&i->lock);
	free((void *)(uintptr_t)i->cfg.issuer.ptr);
	free((void *)(uintptr_t)i->cfg.jwks_url);
	free((void *)(uintptr_t)i->cfg.ca_file);
	free(i);
}
