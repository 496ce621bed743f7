/* Open addressing with linear probing; removal shifts back, so there are no tombstones. */
#include "catalog/catalog_int.h"

static size_t at(const struct nx_table *t, uint64_t hash, struct nx_str key)
{
	size_t i = hash & (t->cap - 1);
	while (t->slots[i].s && (t->slots[i].hash != hash || !nx_str_eq(t->slots[i].key, key)))
		i = (i + 1) & (t->cap - 1);
	return i;
}

bool nx_table_reserve(struct nx_table *t, uint32_t more)
{
	struct nx_table big = { .cap = t->cap ? t->cap : 64 };
	while ((t->count + more) * 4 > big.cap * 3) {
		if (big.cap > SIZE_MAX / 2 / sizeof(struct nx_slot))
			return false;
		big.cap *= 2;
	}
	if (big.cap == t->cap)
		return true;
	big.slots = calloc(big.cap, sizeof(*big.slots));
	if (!big.slots)
		return false;
	for (size_t i = 0; i < t->cap; i++)
		if (t->slots[i].s)
			big.slots[at(&big, t->slots[i].hash, t->slots[i].key)] = t->slots[i];
	big.count = t->count;
	free(t->slots);
	*t = big;
	return true;
}

void nx_table_put(struct nx_table *t, struct nx_str key, struct nx_snapshot *s)
{
	uint64_t hash = nx_str_hash(key);
	size_t i = at(t, hash, key);
	t->count += t->slots[i].s == NULL;
	t->slots[i] = (struct nx_slot){ hash, key, s };
}

struct nx_snapshot *nx_table_get(const struct nx_table *t, struct nx_str key)
{
	return t->cap ? t->slots[at(t, nx_str_hash(key), key)].s : NULL;
}

void nx_table_remove(struct nx_table *t, struct nx_str key)
{
	if (!t->cap)
		return;
	size_t mask = t->cap - 1, hole = at(t, nx_str_hash(key), key);
	if (!t->slots[hole].s)
		return;
	t->count--;
	for (size_t i = (hole + 1) & mask; t->slots[i].s; i = (i + 1) & mask) {
		size_t home = t->slots[i].hash & mask;
		/* an entry may move back only as far as its home */
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			t->slots[hole] = t->slots[i];
			hole = i;
		}
	}
	t->slots[hole] = (struct nx_slot){ 0 };
}

void nx_table_done(struct nx_table *t)
{
	free(t->slots);
	*t = (struct nx_table){ 0 };
}
