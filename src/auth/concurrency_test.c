#include "auth/concurrency.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "test.h"

NX_TEST(counts_each_key_for_itself)
{
	struct nx_concurrency *c = nx_concurrency_new();
	NX_CHECK(nx_concurrency_take(c, 1, 2) && nx_concurrency_take(c, 1, 2));
	NX_CHECK(!nx_concurrency_take(c, 1, 2));
	NX_CHECK(nx_concurrency_take(c, 1 + 16 * 64, 1)); /* same bucket */
	NX_CHECK(!nx_concurrency_take(c, 5, 0));
	NX_EQ_I(2, nx_concurrency_keys(c));
	nx_concurrency_give(c, 1);
	NX_CHECK(nx_concurrency_take(c, 1, 2) && !nx_concurrency_take(c, 1, 2));
	NX_CHECK(!nx_concurrency_take(c, 1, 1)); /* a limit that was lowered */
	nx_concurrency_give(c, 1);
	nx_concurrency_give(c, 1);
	nx_concurrency_give(c, 1 + 16 * 64);
	NX_EQ_I(0, nx_concurrency_keys(c));
	nx_concurrency_free(c);
}

static _Atomic int under_way, most;

static void *hammer(void *arg)
{
	unsigned seed = 3;
	for (int i = 0; i < 20000; i++) {
		uint64_t other = 100 + (uint64_t)(rand_r(&seed) % 1000);
		bool mine = nx_concurrency_take(arg, 7, 3),
		     its = nx_concurrency_take(arg, other, 100);
		NX_CHECK(its);
		int n = mine ? atomic_fetch_add(&under_way, 1) + 1 : 0;
		if (n > atomic_load(&most))
			atomic_store(&most, n);
		if (mine) {
			atomic_fetch_sub(&under_way, 1);
			nx_concurrency_give(arg, 7);
		}
		nx_concurrency_give(arg, other);
	}
	return NULL;
}

NX_TEST(threads)
{
	struct nx_concurrency *c = nx_concurrency_new();
	pthread_t t[6];
	for (int i = 0; i < 6; i++)
		NX_CHECK(pthread_create(&t[i], NULL, hammer, c) == 0);
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
	NX_CHECK(atomic_load(&most) <= 3);
	NX_EQ_I(0, nx_concurrency_keys(c));
	nx_concurrency_free(c);
}
