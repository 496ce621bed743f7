/* Verified tokens by SHA-256. Fixed memory: shards of 8-way sets; a full set drops its expired entry
 * or else the one that runs out first. The key is a strong hash, so plain comparison leaks nothing
 * usable and nobody can aim at one set. */
#include "auth/auth_int.h"

#include <stdlib.h>

#define SHARDS 16u
#define WAYS 8u

struct entry {
	uint8_t hash[NX_HASH_LEN];
	int64_t until; /* 0: free */
	uint64_t gen; /* key set it was checked with; 0: a key that does not change */
	struct nx_principal who;
};

struct shard {
	_Alignas(64) pthread_mutex_t lock; /* its sets */
	struct entry *sets;
	uint64_t hits, misses;
};

struct nx_token_cache {
	struct shard shards[SHARDS];
	uint32_t sets; /* per shard */
};

struct nx_token_cache *nx_token_cache_new(uint32_t max)
{
	struct nx_token_cache *c = aligned_alloc(64, sizeof(*c));
	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->sets = max / (SHARDS * WAYS);
	if (c->sets == 0)
		c->sets = 1;
	for (unsigned i = 0; i < SHARDS; i++)
		pthread_mutex_init(&c->shards[i].lock, NULL);
	for (unsigned i = 0; i < SHARDS; i++) {
		c->shards[i].sets = calloc((size_t)c->sets * WAYS, sizeof(struct entry));
		if (!c->shards[i].sets) {
			nx_token_cache_free(c);
			return NULL;
		}
	}
	return c;
}

void nx_token_cache_free(struct nx_token_cache *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < SHARDS; i++) {
		free(c->shards[i].sets);
		pthread_mutex_destroy(&c->shards[i].lock);
	}
	free(c);
}

static struct entry *set_of(struct nx_token_cache *c, const uint8_t *hash, struct shard **ret)
{
	uint64_t h;
	memcpy(&h, hash, sizeof(h));
	*ret = &c->shards[h % SHARDS];
	return (*ret)->sets + (h / SHARDS % c->sets) * WAYS;
}

bool nx_token_cache_get(struct nx_token_cache *c, const uint8_t hash[NX_HASH_LEN], int64_t now,
			uint64_t gen, struct nx_principal *ret)
{
	struct shard *sh;
	struct entry *set = set_of(c, hash, &sh);
	bool hit = false;
	pthread_mutex_lock(&sh->lock);
	for (unsigned i = 0; i < WAYS && !hit; i++) {
		if (set[i].until < now || memcmp(set[i].hash, hash, NX_HASH_LEN) != 0)
			continue;
		if (set[i].gen && set[i].gen != gen)
			break; /* the key may be gone: check again */
		*ret = set[i].who;
		hit = true;
	}
	if (hit)
		sh->hits++;
	else
		sh->misses++;
	pthread_mutex_unlock(&sh->lock);
	return hit;
}

void nx_token_cache_stats(struct nx_token_cache *c, uint64_t *ret_hits, uint64_t *ret_misses)
{
	*ret_hits = *ret_misses = 0;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *sh = &c->shards[i];
		pthread_mutex_lock(&sh->lock);
		*ret_hits += sh->hits;
		*ret_misses += sh->misses;
		pthread_mutex_unlock(&sh->lock);
	}
}

void nx_token_cache_put(struct nx_token_cache *c, const uint8_t hash[NX_HASH_LEN], int64_t now,
			int64_t until, uint64_t gen, const struct nx_principal *p)
{
	if (until < now)
		return;
	struct shard *sh;
	struct entry *set = set_of(c, hash, &sh);
	pthread_mutex_lock(&sh->lock);
	struct entry *at = &set[0];
	for (unsigned i = 0; i < WAYS; i++) {
		if (memcmp(set[i].hash, hash, NX_HASH_LEN) == 0) {
			at = &set[i]; /* two threads verified it at once */
			break;
		}
		if (set[i].until < at->until)
			at = &set[i];
	}
	memcpy(at->hash, hash, NX_HASH_LEN);
	at->until = until;
	at->gen = gen;
	at->who = *p;
	pthread_mutex_unlock(&sh->lock);
}

uint32_t nx_token_cache_used(struct nx_token_cache *c)
{
	uint32_t n = 0;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *sh = &c->shards[i];
		pthread_mutex_lock(&sh->lock);
		for (size_t k = 0; k < (size_t)c->sets * WAYS; k++)
			n += sh->sets[k].until != 0;
		pthread_mutex_unlock(&sh->lock);
	}
	return n;
}
