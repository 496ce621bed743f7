/* A bucket is one number: the time at which it will be full again (GCRA). It is full when that time
 * has passed, and empty when it is burst / rate ahead. Taking a token moves it by 1 / rate. */
#include "auth/ratelimit.h"

#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LOCKS 64u
#define WAYS 4u

struct bucket {
	uint64_t key;
	int64_t full_at; /* ns; bit 0: a refusal was told since the last token. 0: free */
};

struct set {
	_Alignas(64) struct bucket way[WAYS]; /* one cache line */
};

struct nx_ratelimit {
	_Atomic int64_t interval; /* ns a token; 0: no limit */
	_Atomic uint32_t burst; /* tokens of a full bucket */
	uint32_t mask; /* sets - 1 */
	uint64_t salt; /* so that nobody can aim at one set */
	_Atomic int64_t latest; /* no bucket is full later than this */
	struct set *sets;
	struct {
		_Alignas(64) pthread_mutex_t m; /* sets whose index has these low bits */
	} lock[LOCKS];
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

struct nx_ratelimit *nx_ratelimit_new(uint32_t rate, uint32_t burst, uint32_t slots)
{
	struct nx_ratelimit *l = aligned_alloc(64, sizeof(*l));
	if (!l)
		return NULL;
	memset(l, 0, sizeof(*l));
	nx_ratelimit_set(l, rate, burst);
	uint32_t sets = 1;
	while (sets < (1u << 20) && sets * WAYS < (slots ? slots : 16384))
		sets *= 2;
	l->mask = sets - 1;
	l->sets = aligned_alloc(64, sets * sizeof(struct set));
	if (!l->sets || RAND_bytes((unsigned char *)&l->salt, sizeof(l->salt)) != 1) {
		free(l->sets);
		free(l);
		return NULL;
	}
	memset(l->sets, 0, sets * sizeof(struct set));
	for (unsigned i = 0; i < LOCKS; i++)
		pthread_mutex_init(&l->lock[i].m, NULL);
	return l;
}

void nx_ratelimit_set(struct nx_ratelimit *l, uint32_t rate, uint32_t burst)
{
	rate = rate > NX_RATE_MAX ? NX_RATE_MAX : rate;
	burst = burst ? burst : 2 * rate;
	atomic_store(&l->burst, burst > NX_RATE_MAX ? NX_RATE_MAX : burst);
	atomic_store(&l->interval, rate ? 1000000000 / rate : 0);
}

bool nx_ratelimit_on(const struct nx_ratelimit *l)
{
	return atomic_load_explicit(&l->interval, memory_order_relaxed) != 0;
}

/* Both as they are now: a change in between two reads may be judged by either, never by half. */
struct pace {
	int64_t interval, window; /* ns a token, ns a full bucket (at most 1e15) */
	uint32_t burst;
};

static struct pace pace(const struct nx_ratelimit *l)
{
	int64_t interval = atomic_load_explicit(&l->interval, memory_order_relaxed);
	uint32_t burst = atomic_load_explicit(&l->burst, memory_order_relaxed);
	interval = interval ? interval : 1; /* switched off just now: as good as no limit */
	return (struct pace){ interval, interval * burst, burst };
}

void nx_ratelimit_free(struct nx_ratelimit *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&l->lock[i].m);
	free(l->sets);
	free(l);
}

static int64_t debt(const struct bucket *b, int64_t now)
{
	int64_t at = b->full_at & ~(int64_t)1;
	return at > now ? at - now : 0;
}

/* The key's bucket, or NULL; `victim` then is the place to put it. */
static struct bucket *find(struct set *s, uint64_t key, struct bucket **victim)
{
	struct bucket *least = &s->way[0];
	*victim = NULL;
	for (unsigned i = 0; i < WAYS; i++) {
		if (s->way[i].key == key && s->way[i].full_at)
			return &s->way[i];
		if (s->way[i].full_at < least->full_at)
			least = &s->way[i];
	}
	*victim = least;
	return NULL;
}

static void tell(const struct pace *p, int64_t owed, struct nx_rate *ret)
{
	int64_t left = p->window - owed;
	*ret = (struct nx_rate){
		.limit = p->burst,
		.remaining = left > 0 ? (uint32_t)(left / p->interval) : 0,
		.reset_s = (uint32_t)((owed + 999999999) / 1000000000),
	};
}

static uint32_t seconds(int64_t ns)
{
	return ns <= 1000000000 ? 1 : (uint32_t)((ns + 999999999) / 1000000000);
}

bool nx_ratelimit_take(struct nx_ratelimit *l, uint64_t key, int64_t now, struct nx_rate *ret)
{
	uint32_t i = (uint32_t)mix(key ^ l->salt) & l->mask;
	struct bucket *victim, *b;
	int64_t owed = 0, full_at = 0;
	bool first = false;
	struct pace p = pace(l);
	pthread_mutex_lock(&l->lock[i % LOCKS].m);
	b = find(&l->sets[i], key, &victim);
	if (b)
		owed = debt(b, now);
	bool ok = !b || owed + p.interval <= p.window;
	if (ok) {
		b = b ? b : victim;
		owed += p.interval;
		full_at = (now + owed + 1) & ~(int64_t)1;
		*b = (struct bucket){ key, full_at };
	} else {
		first = !(b->full_at & 1);
		b->full_at |= 1;
	}
	pthread_mutex_unlock(&l->lock[i % LOCKS].m);
	int64_t latest = atomic_load_explicit(&l->latest, memory_order_relaxed);
	while (full_at > latest && !atomic_compare_exchange_weak(&l->latest, &latest, full_at))
		;
	tell(&p, owed, ret);
	if (!ok) {
		ret->first = first;
		ret->retry_s = seconds(owed + p.interval - p.window);
	}
	return ok;
}

bool nx_ratelimit_quiet(const struct nx_ratelimit *l, int64_t now)
{
	int64_t latest = atomic_load_explicit(&l->latest, memory_order_relaxed);
	struct pace p = pace(l);
	return latest - now <= p.window - p.interval;
}

bool nx_ratelimit_ready(struct nx_ratelimit *l, uint64_t key, int64_t now, struct nx_rate *ret)
{
	if (nx_ratelimit_quiet(l, now))
		return true;
	struct pace p = pace(l);
	int64_t room = p.window - p.interval;
	uint32_t i = (uint32_t)mix(key ^ l->salt) & l->mask;
	struct bucket *victim;
	bool first = false;
	pthread_mutex_lock(&l->lock[i % LOCKS].m);
	struct bucket *b = find(&l->sets[i], key, &victim);
	int64_t owed = b ? debt(b, now) : 0;
	if (owed > room) {
		first = !(b->full_at & 1);
		b->full_at |= 1;
	}
	pthread_mutex_unlock(&l->lock[i % LOCKS].m);
	tell(&p, owed, ret);
	if (owed <= room)
		return true;
	ret->first = first;
	ret->retry_s = seconds(owed - room);
	return false;
}

uint64_t nx_ratelimit_address(const uint8_t ip[16])
{
	uint64_t net, host;
	memcpy(&net, ip, sizeof(net));
	memcpy(&host, ip + 8, sizeof(host));
	return net ? mix(net) : mix(mix(host) + 1); /* IPv4 is ::ffff:a.b.c.d */
}
