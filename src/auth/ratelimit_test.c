#include "auth/ratelimit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/cidr.h"
#include "base/clock.h"
#include "test.h"

static struct nx_rate rate; /* of the last call */

static bool take(struct nx_ratelimit *l, uint64_t key, int64_t now)
{
	return nx_ratelimit_take(l, key, now, &rate);
}

NX_TEST(a_burst_then_the_rate)
{
	struct nx_ratelimit *l = nx_ratelimit_new(10, 5, 0);
	int64_t now = NX_SEC;
	for (int i = 0; i < 5; i++) {
		NX_CHECK(take(l, 1, now));
		NX_EQ_I(5, rate.limit);
		NX_EQ_I(4 - i, rate.remaining);
	}
	NX_EQ_I(1, rate.reset_s);
	NX_CHECK(!take(l, 1, now));
	NX_EQ_I(1, rate.retry_s);
	NX_EQ_I(0, rate.remaining);
	NX_CHECK(take(l, 2, now)); /* another's bucket is its own */
	NX_CHECK(!take(l, 1, now + 99 * NX_MS));
	NX_CHECK(take(l, 1, now + 101 * NX_MS));
	NX_CHECK(!take(l, 1, now + 101 * NX_MS));
	int64_t later = now + 60 * NX_SEC; /* never more than the burst is saved up */
	for (int i = 0; i < 5; i++)
		NX_CHECK(take(l, 1, later));
	NX_CHECK(!take(l, 1, later));
	nx_ratelimit_free(l);
}

NX_TEST(slow_rates_say_when_to_come_back)
{
	struct nx_ratelimit *l = nx_ratelimit_new(1, 30, 0);
	for (int i = 0; i < 30; i++)
		NX_CHECK(take(l, 7, NX_SEC));
	NX_CHECK(!take(l, 7, NX_SEC));
	NX_EQ_I(1, rate.retry_s);
	NX_EQ_I(30, rate.reset_s);
	NX_CHECK(rate.first);
	NX_CHECK(!take(l, 7, NX_SEC));
	NX_CHECK(!rate.first);
	NX_CHECK(take(l, 7, 2 * NX_SEC + NX_MS));
	NX_CHECK(!take(l, 7, 2 * NX_SEC + NX_MS) && rate.first);
	nx_ratelimit_free(l);
}

NX_TEST(looking_takes_nothing)
{
	struct nx_ratelimit *l = nx_ratelimit_new(1, 2, 0);
	for (int i = 0; i < 10; i++)
		NX_CHECK(nx_ratelimit_ready(l, 3, NX_SEC, &rate));
	NX_CHECK(take(l, 3, NX_SEC) && take(l, 3, NX_SEC));
	NX_CHECK(!nx_ratelimit_ready(l, 3, NX_SEC, &rate));
	NX_CHECK(rate.first && rate.retry_s == 1);
	NX_CHECK(!nx_ratelimit_ready(l, 3, NX_SEC, &rate) && !rate.first);
	NX_CHECK(nx_ratelimit_ready(l, 4, NX_SEC, &rate));
	NX_CHECK(nx_ratelimit_ready(l, 3, 2 * NX_SEC + NX_MS, &rate));
	nx_ratelimit_free(l);
}

NX_TEST(memory_is_bounded_and_the_emptiest_are_kept)
{
	struct nx_ratelimit *l = nx_ratelimit_new(1, 4, 64);
	for (int i = 0; i < 4; i++)
		NX_CHECK(take(l, 0xdead, NX_SEC));
	for (uint64_t k = 1; k < 100000; k++) /* many strangers, one token each */
		NX_CHECK(take(l, k << 20, NX_SEC));
	NX_CHECK(!take(l, 0xdead, NX_SEC));
	nx_ratelimit_free(l);
}

static struct nx_ratelimit *shared;
static _Atomic int granted;

static void *taker(void *arg)
{
	(void)arg;
	struct nx_rate r;
	for (int i = 0; i < 20000; i++)
		granted += nx_ratelimit_take(shared, 42, NX_SEC, &r);
	return NULL;
}

NX_TEST(threads_share_one_bucket_exactly)
{
	shared = nx_ratelimit_new(1000, 30000, 0);
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, taker, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	NX_EQ_I(30000, granted);
	nx_ratelimit_free(shared);
}

static uint64_t key_of(const char *text)
{
	struct nx_ip ip;
	NX_CHECK(nx_ip_parse(nx_str(text), &ip));
	return nx_ratelimit_address(ip.b);
}

NX_TEST(address_keys)
{
	NX_CHECK(key_of("1.2.3.4") != key_of("1.2.3.5"));
	NX_CHECK(key_of("1.2.3.4") == key_of("::ffff:1.2.3.4"));
	NX_CHECK(key_of("2001:db8::1") == key_of("2001:db8::ffff:1"));
	NX_CHECK(key_of("2001:db8::1") != key_of("2001:db8:0:1::1"));
	NX_CHECK(key_of("::1") != key_of("::2"));
}

/* Not an assertion: machines differ. Printed so that a change is seen. */
NX_TEST(cost)
{
	struct nx_ratelimit *l = nx_ratelimit_new(1000000, 1000000, 0);
	enum { N = 2000000 };
	int64_t from = nx_now(), now = from;
	int ok = 0;
	for (int i = 0; i < N; i++)
		ok += take(l, (uint64_t)(i % 500) * 977, now += 1000);
	int64_t took = nx_now() - from;
	from = nx_now();
	for (int i = 0; i < N; i++)
		ok += nx_ratelimit_ready(l, (uint64_t)i, now, &rate);
	printf("# take %.1f ns, ready %.1f ns (%d)\n", (double)took / N,
	       (double)(nx_now() - from) / N, ok);
	nx_ratelimit_free(l);
}
