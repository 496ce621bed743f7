#include "catalog/vitals.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "catalog/catalog_int.h"

#define ERRORS 10u /* kept for people */
#define TRY_GAP (NX_SEC / 2) /* between requests that try a source in error */
#define TRY_PATIENCE (5 * NX_SEC) /* then a try that has not ended is not waited for */

struct past_error {
	int64_t at; /* wall, us */
	enum nx_code code;
	char message[200];
};

struct state {
	uint32_t tries; /* of the prober, since it is in error */
	bool probing, given_up;
	int64_t probe_at; /* nx_now() when the next one is due; 0: at once */
	int64_t tried_at; /* by a request; nx_now() */
	bool trying;
	int64_t probed_wall, latency; /* us, ns; of the last probe; 0: none yet */
	enum nx_code probe_code;
	bool has_grants;
	struct nx_grants grants;
	struct past_error errors[ERRORS];
	uint32_t nerrors; /* ever */
};

struct nx_vitals {
	_Atomic uint32_t refs;
	_Atomic bool reads_only; /* what `grants` says, for who must not wait */
	/* of queries */
	_Atomic int64_t last_good; /* nx_now(); 0: never */
	_Atomic int64_t query_at; /* wall, us; 0: none yet */
	_Atomic int64_t query_us;
	_Atomic int query_code;
	_Atomic uint64_t queries, failed;
	_Atomic uint32_t faults; /* in a row */
	_Atomic bool wanted; /* asked for: a draft is probed, too */

	pthread_mutex_t lock; /* leaf lock: st */
	struct state st;
};

struct nx_vitals *nx_vitals_new(void)
{
	struct nx_vitals *v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	atomic_init(&v->refs, 1);
	pthread_mutex_init(&v->lock, NULL);
	return v;
}

struct nx_vitals *nx_vitals_ref(struct nx_vitals *v)
{
	atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
	return v;
}

void nx_vitals_unref(struct nx_vitals *v)
{
	if (!v || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
		return;
	pthread_mutex_destroy(&v->lock);
	free(v);
}

/* ---- the life of a source ---- */

enum nx_source_status nx_source_next(enum nx_source_status now, enum nx_source_event e)
{
	enum {
		D = NX_SOURCE_DRAFT,
		A = NX_SOURCE_ACTIVE,
		I = NX_SOURCE_INACTIVE,
		E = NX_SOURCE_ERROR
	};
	static const uint8_t next[NX_EV_COUNT][4] = {
		/*                      draft active inactive error */
		[NX_EV_TEST_OK] = { A, A, I, A },    [NX_EV_TEST_FAILED] = { E, E, I, E },
		[NX_EV_FAULTS] = { D, E, I, E },     [NX_EV_ACTIVATE] = { A, A, A, A },
		[NX_EV_DEACTIVATE] = { I, I, I, I },
	};
	return (enum nx_source_status)next[e][now];
}

/* ---- what is noted ---- */

void nx_vitals_query(struct nx_vitals *v, enum nx_code c, int64_t elapsed_ns)
{
	atomic_store_explicit(&v->query_at, nx_wall_us(), memory_order_relaxed);
	atomic_store_explicit(&v->query_us, elapsed_ns / 1000, memory_order_relaxed);
	atomic_store_explicit(&v->query_code, (int)c, memory_order_relaxed);
	atomic_fetch_add_explicit(&v->queries, 1, memory_order_relaxed);
	if (c)
		atomic_fetch_add_explicit(&v->failed, 1, memory_order_relaxed);
	else
		atomic_store_explicit(&v->last_good, nx_now(), memory_order_relaxed);
}

void nx_vitals_good(struct nx_vitals *v, int64_t now)
{
	atomic_store_explicit(&v->last_good, now, memory_order_relaxed);
	if (atomic_exchange(&v->faults, 0) == 0)
		return;
	pthread_mutex_lock(&v->lock);
	v->st.tries = 0;
	v->st.trying = v->st.given_up = false;
	pthread_mutex_unlock(&v->lock);
}

static void keep_error(struct nx_vitals *v, const struct nx_error *err)
{
	struct past_error *p = &v->st.errors[v->st.nerrors++ % ERRORS];
	p->at = nx_wall_us();
	p->code = err->code;
	(void)snprintf(p->message, sizeof(p->message), "%.*s", (int)sizeof(p->message) - 1,
		       err->message);
}

uint32_t nx_vitals_fault(struct nx_vitals *v, const struct nx_error *err, int64_t now)
{
	uint32_t n = atomic_fetch_add(&v->faults, 1) + 1;
	pthread_mutex_lock(&v->lock);
	v->st.trying = false;
	keep_error(v, err);
	/* a source that fails is looked at again soon, not at its next turn */
	if (!v->st.probing && n < NX_FAULTS_MAX && v->st.probe_at > now + NX_SEC)
		v->st.probe_at = now + NX_SEC;
	pthread_mutex_unlock(&v->lock);
	return n;
}

void nx_vitals_probed(struct nx_vitals *v, const struct nx_error *err, int64_t latency_ns,
		      const struct nx_grants *grants)
{
	pthread_mutex_lock(&v->lock);
	v->st.probing = false;
	v->st.probed_wall = nx_wall_us();
	v->st.probe_code = err ? err->code : NX_OK;
	v->st.latency = latency_ns;
	if (grants) {
		v->st.grants = *grants;
		v->st.has_grants = true;
		atomic_store(&v->reads_only, nx_grants_read_only(grants));
	}
	pthread_mutex_unlock(&v->lock);
}

/* ---- what follows ---- */

bool nx_grants_read_only(const struct nx_grants *g)
{
	return !g->superuser && !g->can_write;
}

bool nx_vitals_read_only(const struct nx_vitals *v)
{
	return atomic_load(&v->reads_only);
}

bool nx_account_fit(const struct nx_data_source *s, const struct nx_grants *g, char why[600])
{
	if (why)
		why[0] = '\0';
	if (s->account == NX_ACCOUNT_ANY || !s->driver || !s->driver->probe)
		return true;
	bool strict = s->account == NX_ACCOUNT_READ_ONLY;
	bool fit = g && !g->superuser && (!strict || (!g->can_write && !g->can_files));
	if (!fit && why)
		(void)snprintf(why, 600,
			       "The account may do more than the source's option readOnlyAccount "
			       "(%s) lets it: %s",
			       strict ? "required" : "no-superuser",
			       g ? g->summary : "its rights could not be told.");
	return fit;
}

static enum nx_code last_fault(struct nx_vitals *v, struct nx_error *err)
{
	const struct past_error *p = &v->st.errors[(v->st.nerrors - 1) % ERRORS];
	if (!v->st.nerrors)
		return nx_fail(err, NX_E_SOURCE_DOWN, "The data source is in error.");
	return nx_fail(err, p->code, "The data source is in error: %s", p->message);
}

enum nx_code nx_vitals_admit(const struct nx_data_source *s, int64_t now, struct nx_error *err)
{
	struct nx_vitals *v = nx_data_source_vitals(s);
	enum nx_code c = NX_OK;
	if (s->problem)
		return nx_fail(err, s->problem, "%s", s->problem_text);
	pthread_mutex_lock(&v->lock);
	bool busy = v->st.trying && now - v->st.tried_at < TRY_PATIENCE;
	/* an account that must be looked at first is the prober's to try */
	if (s->account != NX_ACCOUNT_ANY || busy ||
	    (v->st.tried_at && now - v->st.tried_at < TRY_GAP)) {
		c = last_fault(v, err);
	} else {
		v->st.trying = true;
		v->st.tried_at = now;
	}
	pthread_mutex_unlock(&v->lock);
	return c;
}

/* ---- the plan ---- */

/* Between 0.8 and 1.2 times, so that a thousand sources are not looked at in one moment. */
static int64_t jitter(int64_t t)
{
	static _Atomic uint32_t seed = 0x9e3779b9u;
	uint32_t x = atomic_fetch_add(&seed, 0x6d2b79f5u);
	x = (x ^ (x >> 15)) * (x | 1u);
	x ^= x >> 13;
	return t * 8 / 10 + (int64_t)((double)t * 0.4 * (x & 0xffff) / 65536.0);
}

static bool wants_probe(const struct nx_data_source *s)
{
	if (!s->driver || s->problem)
		return false;
	return s->status == NX_SOURCE_ACTIVE || s->status == NX_SOURCE_ERROR ||
	       (s->status == NX_SOURCE_DRAFT &&
		(s->from_config || atomic_load(&nx_data_source_vitals(s)->wanted)));
}

bool nx_vitals_due(const struct nx_data_source *s, const struct nx_probe_plan *plan, int64_t now)
{
	struct nx_vitals *v = nx_data_source_vitals(s);
	if (!wants_probe(s))
		return false;
	bool error = s->status == NX_SOURCE_ERROR, due = false;
	int64_t good = atomic_load_explicit(&v->last_good, memory_order_relaxed);
	pthread_mutex_lock(&v->lock);
	if (v->st.probing || v->st.given_up || now < v->st.probe_at)
		goto out;
	if (!error && !atomic_load(&v->faults) && good && now - good < plan->interval &&
	    (v->st.has_grants || !s->driver->probe)) {
		v->st.probe_at = good + jitter(plan->interval); /* queries tell as much */
		goto out;
	}
	if (error && v->st.tries >= NX_TRIES_MAX) {
		v->st.given_up = true;
		goto out;
	}
	due = v->st.probing = true;
	if (error) {
		uint32_t i = v->st.tries < plan->nbackoff ? v->st.tries : plan->nbackoff - 1;
		v->st.probe_at = now + jitter(plan->backoff[i]);
		v->st.tries++;
	} else {
		v->st.probe_at = now + jitter(plan->interval);
	}
out:
	pthread_mutex_unlock(&v->lock);
	return due;
}

void nx_vitals_again(struct nx_vitals *v)
{
	atomic_store(&v->wanted, true);
	pthread_mutex_lock(&v->lock);
	v->st.tries = 0;
	v->st.given_up = false;
	v->st.has_grants = false;
	atomic_store(&v->reads_only, false);
	v->st.probe_at = 0;
	v->st.tried_at = 0;
	pthread_mutex_unlock(&v->lock);
}

/* ---- for people ---- */

const char *nx_vitals_word(const struct nx_data_source *s)
{
	const struct nx_vitals *v = nx_data_source_vitals(s);
	if (s->problem || s->status == NX_SOURCE_ERROR)
		return "unhealthy";
	if (atomic_load(&v->faults))
		return "degraded";
	return atomic_load(&v->last_good) ? "healthy" : "unknown";
}

static void put_time(struct nx_buf *b, int64_t wall_us)
{
	char text[NX_ISO_LEN];
	if (wall_us) {
		nx_iso_time(wall_us, text);
		nx_buf_printf(b, "\"%s\"", text);
	} else {
		nx_buf_puts(b, "null");
	}
}

static void put_code(struct nx_buf *b, enum nx_code c)
{
	nx_buf_printf(b, "\"%s\"", c ? nx_code_name(c) : "OK");
}

static void put_grants(struct nx_buf *b, const struct nx_grants *g)
{
	nx_buf_printf(b, "{\"superuser\":%s,\"canWrite\":%s,\"canFiles\":%s,\"summary\":",
		      g->superuser ? "true" : "false", g->can_write ? "true" : "false",
		      g->can_files ? "true" : "false");
	nx_buf_put_json(b, nx_str(g->summary));
	nx_buf_putc(b, '}');
}

void nx_vitals_write(const struct nx_data_source *s, struct nx_buf *b)
{
	struct nx_vitals *v = nx_data_source_vitals(s);
	pthread_mutex_lock(&v->lock);
	struct state c = v->st; /* formatted without the lock */
	pthread_mutex_unlock(&v->lock);
	int64_t now = nx_now();
	nx_buf_printf(b, "\"health\":\"%s\",\"faults\":%u,\"lastProbe\":", nx_vitals_word(s),
		      atomic_load(&v->faults));
	if (c.probed_wall) {
		nx_buf_puts(b, "{\"at\":");
		put_time(b, c.probed_wall);
		nx_buf_puts(b, ",\"result\":");
		put_code(b, c.probe_code);
		nx_buf_printf(b, ",\"latencyMs\":%.3f}", (double)c.latency / 1e6);
	} else {
		nx_buf_puts(b, "null");
	}
	nx_buf_puts(b, ",\"nextProbeSeconds\":");
	if (wants_probe(s) && !c.given_up)
		nx_buf_printf(b, "%.1f", c.probe_at > now ? (double)(c.probe_at - now) / 1e9 : 0.0);
	else
		nx_buf_puts(b, "null");
	nx_buf_puts(b, ",\"lastQuery\":");
	if (atomic_load(&v->query_at)) {
		nx_buf_puts(b, "{\"at\":");
		put_time(b, atomic_load(&v->query_at));
		nx_buf_puts(b, ",\"result\":");
		put_code(b, (enum nx_code)atomic_load(&v->query_code));
		nx_buf_printf(b, ",\"ms\":%.3f}", (double)atomic_load(&v->query_us) / 1e3);
	} else {
		nx_buf_puts(b, "null");
	}
	nx_buf_printf(b, ",\"queries\":%llu,\"failedQueries\":%llu,\"grants\":",
		      (unsigned long long)atomic_load(&v->queries),
		      (unsigned long long)atomic_load(&v->failed));
	if (c.has_grants)
		put_grants(b, &c.grants);
	else
		nx_buf_puts(b, "null");
	nx_buf_puts(b, ",\"errors\":[");
	for (uint32_t i = 0; i < ERRORS && i < c.nerrors; i++) { /* newest first */
		const struct past_error *p = &c.errors[(c.nerrors - 1 - i) % ERRORS];
		nx_buf_puts(b, i ? ",{\"at\":" : "{\"at\":");
		put_time(b, p->at);
		nx_buf_puts(b, ",\"code\":");
		put_code(b, p->code);
		nx_buf_puts(b, ",\"message\":");
		nx_buf_put_json(b, nx_str(p->message));
		nx_buf_putc(b, '}');
	}
	nx_buf_putc(b, ']');
}
