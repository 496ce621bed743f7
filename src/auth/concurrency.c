#include "auth/concurrency.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 16u
#define BUCKETS 64u /* per shard */

struct counter {
	struct counter *next;
	uint64_t key;
	uint32_t n;
};

struct shard {
	_Alignas(64) pthread_mutex_t lock; /* its buckets */
	struct counter *at[BUCKETS];
};

struct nx_concurrency {
	struct shard shards[SHARDS];
};

struct nx_concurrency *nx_concurrency_new(void)
{
	struct nx_concurrency *c = aligned_alloc(64, sizeof(*c));
	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	for (unsigned i = 0; i < SHARDS; i++)
		pthread_mutex_init(&c->shards[i].lock, NULL);
	return c;
}

void nx_concurrency_free(struct nx_concurrency *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < SHARDS; i++) {
		for (unsigned b = 0; b < BUCKETS; b++) {
			while (c->shards[i].at[b]) {
				struct counter *x = c->shards[i].at[b];
				c->shards[i].at[b] = x->next;
				free(x);
			}
		}
		pthread_mutex_destroy(&c->shards[i].lock);
	}
	free(c);
}

/* Keys are hashes of their own kind; what is left of one after the shard chooses the bucket. */
static struct counter **find(struct shard *s, uint64_t key)
{
	struct counter **at = &s->at[key / SHARDS % BUCKETS];
	while (*at && (*at)->key != key)
		at = &(*at)->next;
	return at;
}

bool nx_concurrency_take(struct nx_concurrency *c, uint64_t key, uint32_t most)
{
	struct shard *s = &c->shards[key % SHARDS];
	pthread_mutex_lock(&s->lock);
	struct counter **at = find(s, key);
	if (!*at && most > 0) {
		*at = calloc(1, sizeof(**at));
		if (*at)
			(*at)->key = key;
	}
	bool ok = *at && (*at)->n < most;
	if (ok)
		(*at)->n++;
	pthread_mutex_unlock(&s->lock);
	return ok;
}

void nx_concurrency_give(struct nx_concurrency *c, uint64_t key)
{
	struct shard *s = &c->shards[key % SHARDS];
	struct counter *gone = NULL;
	pthread_mutex_lock(&s->lock);
	struct counter **at = find(s, key);
	if (*at && --(*at)->n == 0) {
		gone = *at;
		*at = gone->next;
	}
	pthread_mutex_unlock(&s->lock);
	free(gone);
}

uint32_t nx_concurrency_keys(struct nx_concurrency *c)
{
	uint32_t n = 0;
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&c->shards[i].lock);
		for (unsigned b = 0; b < BUCKETS; b++)
			for (const struct counter *x = c->shards[i].at[b]; x; x = x->next)
				n++;
		pthread_mutex_unlock(&c->shards[i].lock);
	}
	return n;
}
