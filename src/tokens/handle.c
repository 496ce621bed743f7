/* One handle: the current token, and at most one thread that fetches the next.
 *
 * Every fetch runs in a thread of its own and never in a caller's, so that a caller with a short deadline
 * neither cuts short what others wait for, nor waits for more than its own. The thread holds a reference:
 * closing a handle does not wait for it. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "tokens/tokens_int.h"

#define HANDLES_MAX 4096
#define FETCHES_MAX 64 /* threads at once */
#define FETCH_NS (15 * NX_SEC)
#define UNKNOWN_LIFE_S 300 /* of a token whose endpoint does not say: RFC 6749 5.1 lets it */
#define BACKOFF_MIN NX_SEC
#define BACKOFF_MAX (60 * NX_SEC)
#define REFUSED_MIN \
	(10 * NX_SEC) /* credentials that were refused: an account must not get locked */
#define RETRY_AFTER_MAX 300u
#define YOUNG_NS (10 * NX_SEC) /* a token rejected so soon would be rejected again */

struct held {
	struct nx_token pub; /* first: the two convert into each other */
	_Atomic uint32_t refs;
	int64_t made, due;
	size_t size;
	char bytes[];
};

struct nx_token_handle {
	_Atomic uint32_t refs;
	struct nx_recipe recipe;
	pthread_mutex_t lock; /* all below; never held over a request */
	pthread_cond_t changed;
	struct held *now; /* NULL: none */
	bool fetching;
	unsigned failures; /* in a row */
	int64_t retry_at; /* not before, after a failure */
	struct nx_error last;
	char *refresh; /* what replaced the configured one; only the fetching thread uses it */
};

static atomic_int handles, fetches;
static struct nx_token_keeper keeper;
static bool have_keeper;

void nx_token_keep(const struct nx_token_keeper *k)
{
	have_keeper = k != NULL;
	if (k)
		keeper = *k;
}

/* ---- tokens ---- */

static size_t len_of(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

static const char *copy(char **at, const char *s)
{
	char *p = *at;
	if (!s)
		return NULL;
	memcpy(p, s, strlen(s) + 1);
	*at += strlen(s) + 1;
	return p;
}

/* 0.75 to 0.85 of its life: many gateways that started at once do not come back at once. */
static int64_t due_after(int64_t life_s)
{
	char id[37];
	nx_uuid(id);
	double part = 0.75 + 0.1 * (double)(strtoul(id + 24, NULL, 16) & 0xffff) / 65536.0;
	return (int64_t)((double)life_s * part * (double)NX_SEC);
}

static struct held *hold(const struct nx_token_answer *got, int64_t now)
{
	size_t size = len_of(got->text) + len_of(got->access_key_id) +
		      len_of(got->secret_access_key) + len_of(got->session_token);
	struct held *t = calloc(1, sizeof(*t) + size);
	if (!t)
		return NULL;
	char *at = t->bytes;
	t->size = size;
	t->pub = (struct nx_token){ .kind = got->text ? NX_TOKEN_BEARER : NX_TOKEN_AWS,
				    .text = copy(&at, got->text),
				    .access_key_id = copy(&at, got->access_key_id),
				    .secret_access_key = copy(&at, got->secret_access_key),
				    .session_token = copy(&at, got->session_token),
				    .expires = INT64_MAX };
	t->made = now;
	t->due = INT64_MAX;
	if (got->life_s >= 0) {
		/* the last tenth, ten seconds at most, is for the request that carries it */
		int64_t margin = got->life_s * NX_SEC / 10;
		t->due = now + due_after(got->life_s);
		t->pub.expires =
			now + got->life_s * NX_SEC - (margin > 10 * NX_SEC ? 10 * NX_SEC : margin);
	}
	atomic_init(&t->refs, 1);
	return t;
}

void nx_token_unref(const struct nx_token *t)
{
	struct held *h = (struct held *)(uintptr_t)t;
	if (!h || atomic_fetch_sub(&h->refs, 1) != 1)
		return;
	nx_wipe(h->bytes, h->size);
	free(h);
}

/* ---- handles ---- */

static void unref(struct nx_token_handle *h)
{
	if (atomic_fetch_sub(&h->refs, 1) != 1)
		return;
	if (h->now)
		nx_token_unref(&h->now->pub);
	if (h->refresh)
		nx_wipe(h->refresh, strlen(h->refresh));
	free(h->refresh);
	nx_recipe_done(&h->recipe);
	pthread_cond_destroy(&h->changed);
	pthread_mutex_destroy(&h->lock);
	free(h);
	atomic_fetch_sub(&handles, 1);
}

enum nx_code nx_token_open(const struct nx_options *opts, const struct nx_token_defaults *d,
			   struct nx_token_handle **ret, struct nx_error *err)
{
	enum nx_code c = nx_outbound_init(err);
	if (c)
		return c;
	if (atomic_fetch_add(&handles, 1) >= HANDLES_MAX) {
		atomic_fetch_sub(&handles, 1);
		return nx_fail(err, NX_E_OVERLOADED, "Too many sources with tokens.");
	}
	struct nx_token_handle *h = calloc(1, sizeof(*h));
	c = h ? nx_recipe_make(opts, d, &h->recipe, err)
	      : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (c) {
		free(h);
		atomic_fetch_sub(&handles, 1);
		return c;
	}
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&h->lock, NULL);
	atomic_init(&h->refs, 1);
	*ret = h;
	return NX_OK;
}

void nx_token_close(struct nx_token_handle *h)
{
	if (h)
		unref(h);
}

/* ---- fetching ---- */

static void remember(struct nx_token_handle *h, struct nx_str token)
{
	char *own = strndup(token.ptr, token.len);
	if (!own)
		return;
	if (h->refresh)
		nx_wipe(h->refresh, strlen(h->refresh));
	free(h->refresh);
	h->refresh = own;
}

/* The refresh token to use: the last one we got, also in an earlier life of the process, or that another
 * gateway on the same store got meanwhile. */
static const char *current_refresh(struct nx_token_handle *h, struct nx_arena *a)
{
	struct nx_str kept;
	struct nx_error err;
	if (h->recipe.grant != NX_GRANT_REFRESH)
		return NULL;
	enum nx_code c = have_keeper ? keeper.load(keeper.arg, h->recipe.refresh_id, a, &kept, &err)
				     : NX_E_NOT_FOUND;
	if (!c && nx_token_text_ok(kept))
		remember(h, kept);
	else if (c && c != NX_E_NOT_FOUND)
		nx_log_error(NX_LOG_WARN, "token", NULL, &err);
	return h->refresh ? h->refresh : h->recipe.refresh_token;
}

/* Kept before the access token is used: an endpoint that rotates takes the old one only once. */
static void rotate(struct nx_token_handle *h, const char *fresh, const char *used)
{
	struct nx_error err;
	if (!fresh || h->recipe.grant != NX_GRANT_REFRESH || (used && strcmp(fresh, used) == 0))
		return;
	remember(h, nx_str(fresh));
	if (have_keeper && keeper.save(keeper.arg, h->recipe.refresh_id, nx_str(fresh), &err))
		nx_log_error(NX_LOG_ERROR, "token", NULL, &err);
}

static void note_failure(struct nx_token_handle *h, const struct nx_error *err,
			 uint32_t retry_after_s)
{
	int64_t wait = err->code == NX_E_CREDENTIAL_INVALID ? REFUSED_MIN : BACKOFF_MIN;
	for (unsigned i = 0; i < h->failures && wait < BACKOFF_MAX; i++)
		wait *= 2;
	if (wait > BACKOFF_MAX)
		wait = BACKOFF_MAX;
	if (retry_after_s > RETRY_AFTER_MAX)
		retry_after_s = RETRY_AFTER_MAX;
	if (wait < retry_after_s * NX_SEC)
		wait = retry_after_s * NX_SEC;
	h->failures++;
	h->last = *err;
	h->retry_at = nx_now() + wait;
}

static void *fetch(void *arg)
{
	struct nx_token_handle *h = arg;
	struct nx_arena *a = nx_arena_new_secret((size_t)8 << 20);
	struct nx_token_answer got = { 0 };
	struct nx_error err;
	struct held *fresh = NULL;
	uint32_t retry_after = 0;
	const char *refresh = a ? current_refresh(h, a) : NULL;
	int64_t began = nx_now();
	enum nx_code c = a ? nx_token_fetch(&h->recipe, refresh, began + FETCH_NS, a, &got,
					    &retry_after, &err)
			   : nx_fail(&err, NX_E_MEMORY, "Out of memory.");
	if (!c) {
		rotate(h, got.refresh_token, refresh);
		bool fixed =
			h->recipe.grant == NX_GRANT_FIXED || h->recipe.grant == NX_GRANT_FIXED_AWS;
		if (got.life_s < 0 && !fixed)
			got.life_s = UNKNOWN_LIFE_S;
		fresh = hold(&got, began);
		if (!fresh)
			c = nx_fail(&err, NX_E_MEMORY, "Out of memory.");
	}
	nx_arena_free(a);
	pthread_mutex_lock(&h->lock);
	struct held *old = NULL;
	if (c) {
		note_failure(h, &err, retry_after);
	} else {
		old = h->now;
		h->now = fresh;
		h->failures = 0;
		h->retry_at = 0;
	}
	h->fetching = false;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
	if (old)
		nx_token_unref(&old->pub);
	if (c)
		nx_log_error(NX_LOG_WARN, "token", NULL, &err);
	unref(h);
	atomic_fetch_sub(&fetches, 1);
	return NULL;
}

/* Lock held. */
static enum nx_code kick(struct nx_token_handle *h, struct nx_error *err)
{
	pthread_attr_t attr;
	pthread_t t;
	sigset_t all, was;
	if (atomic_fetch_add(&fetches, 1) >= FETCHES_MAX) {
		atomic_fetch_sub(&fetches, 1);
		return nx_fail(err, NX_E_OVERLOADED, "Too many tokens are being fetched.");
	}
	atomic_fetch_add(&h->refs, 1);
	h->fetching = true;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all); /* signals are the main thread's */
	pthread_sigmask(SIG_SETMASK, &all, &was);
	int e = pthread_create(&t, &attr, fetch, h);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	pthread_attr_destroy(&attr);
	if (e == 0)
		return NX_OK;
	h->fetching = false;
	atomic_fetch_sub(&h->refs, 1); /* the caller has one */
	atomic_fetch_sub(&fetches, 1);
	return nx_fail(err, NX_E_OVERLOADED, "No thread for fetching a token.");
}

/* Lock held. False: the deadline has passed. */
static bool wait_for_change(struct nx_token_handle *h, int64_t deadline)
{
	struct timespec ts = { (time_t)(deadline / NX_SEC), (long)(deadline % NX_SEC) };
	if (deadline <= nx_now())
		return false;
	pthread_cond_timedwait(&h->changed, &h->lock, &ts);
	return true;
}

/* CV-003: a fixed token that says when it ends. */
static enum nx_code still_good(const struct nx_recipe *r, struct nx_error *err)
{
	int64_t exp = r->grant == NX_GRANT_FIXED ? nx_token_expiry(nx_str(r->token)) : 0;
	return exp && exp <= nx_wall_us() / 1000000
		       ? nx_fail(err, NX_E_CREDENTIAL_INVALID, "CV-003: the token has expired.")
		       : NX_OK;
}

enum nx_code nx_token_get(struct nx_token_handle *h, int64_t deadline, const struct nx_token **ret,
			  struct nx_error *err)
{
	enum nx_code c = still_good(&h->recipe, err);
	if (c)
		return c;
	pthread_mutex_lock(&h->lock);
	for (;;) {
		int64_t now = nx_now();
		if (h->now && now < h->now->pub.expires) {
			if (now >= h->now->due && now >= h->retry_at && !h->fetching)
				(void)kick(h, NULL); /* the next caller will try again */
			atomic_fetch_add(&h->now->refs, 1);
			*ret = &h->now->pub;
			break;
		}
		if (!h->fetching && h->failures && now < h->retry_at) {
			if (err)
				*err = h->last;
			c = h->last.code;
			break;
		}
		if (!h->fetching && (c = kick(h, err)) != NX_OK)
			break;
		if (!wait_for_change(h, deadline)) {
			c = nx_fail(err, NX_E_OUTBOUND_TIMEOUT, "No token came in time.");
			break;
		}
	}
	pthread_mutex_unlock(&h->lock);
	return c;
}

bool nx_token_reject(struct nx_token_handle *h, const struct nx_token *t)
{
	struct held *old = NULL;
	bool fixed = h->recipe.grant == NX_GRANT_FIXED || h->recipe.grant == NX_GRANT_FIXED_AWS;
	pthread_mutex_lock(&h->lock);
	bool ret = !fixed && (!h->now || &h->now->pub != t);
	if (!fixed && h->now && &h->now->pub == t && nx_now() - h->now->made > YOUNG_NS) {
		old = h->now;
		h->now = NULL;
		ret = true;
	}
	pthread_mutex_unlock(&h->lock);
	if (old)
		nx_token_unref(&old->pub);
	return ret;
}

void nx_token_stop(void)
{
	int64_t give_up = nx_now() + FETCH_NS + 5 * NX_SEC;
	while (atomic_load(&fetches) > 0 && nx_now() < give_up)
		nanosleep(&(struct timespec){ 0, 5 * NX_MS }, NULL);
}
