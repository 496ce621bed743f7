/* The C library's resolver is replaced: a name that begins with "slow" takes until the test lets it go. */
#include "base/lookup.h"

#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "test.h"

static atomic_bool held = true;
static atomic_int asked;

int __real_getaddrinfo(const char *, const char *, const struct addrinfo *, struct addrinfo **);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
		       struct addrinfo **ret);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
		       struct addrinfo **ret)
{
	if (hints->ai_flags & AI_NUMERICHOST)
		return __real_getaddrinfo(host, port, hints, ret);
	atomic_fetch_add(&asked, 1);
	if (strcmp(host, "nowhere") == 0)
		return EAI_NONAME;
	while (strncmp(host, "slow", 4) == 0 && atomic_load(&held))
		usleep(1000);
	return __real_getaddrinfo("127.0.0.7", port, hints, ret);
}

static enum nx_code look(const char *host, int ms, struct nx_lookup_addrs *ret,
			 struct nx_error *err)
{
	return nx_look_up(host, nx_now() + ms * NX_MS, ret, err);
}

NX_TEST(names_and_numbers)
{
	struct nx_lookup_addrs a;
	struct nx_error err;
	char text[NX_IP_TEXT];
	NX_EQ_I(NX_OK, look("::1", 0, &a, &err));
	NX_EQ_I(NX_OK, look("0x7f000001", 0, &a, &err));
	nx_ip_text(&a.at[0], text);
	NX_EQ_S("127.0.0.1", text);
	NX_EQ_I(0, atomic_load(&asked));
	NX_EQ_I(NX_OK, look("db", 10000, &a, &err));
	NX_EQ_I(1, a.n);
	nx_ip_text(&a.at[0], text);
	NX_EQ_S("127.0.0.7", text);
	NX_EQ_I(NX_E_SOURCE_DOWN, look("nowhere", 10000, &a, &err));
	NX_CHECK(strstr(err.detail, "nowhere") && !strstr(err.message, "nowhere"));
	char longest[400];
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	NX_EQ_I(NX_E_SOURCE_DOWN, look(longest, 10000, &a, &err));
	NX_EQ_I(2, atomic_load(&asked));
}

static void *wait_long(void *arg)
{
	struct nx_lookup_addrs a;
	struct nx_error err;
	*(enum nx_code *)arg = look("slow", 30000, &a, &err);
	return NULL;
}

NX_TEST(a_silent_name_server_costs_no_more_than_the_deadline)
{
	struct nx_lookup_addrs a;
	struct nx_error err;
	enum nx_code got[4];
	pthread_t t[4];
	for (size_t i = 0; i < NX_COUNTOF(t); i++)
		NX_EQ_I(0, pthread_create(&t[i], NULL, wait_long, &got[i]));
	int64_t start = nx_now();
	NX_EQ_I(NX_E_CONNECT_TIMEOUT, look("slow", 50, &a, &err));
	int64_t took = (nx_now() - start) / NX_MS;
	NX_CHECK(took >= 50 && took < 5000);
	NX_EQ_I(NX_E_CONNECT_TIMEOUT, look("slow", 0, &a, &err));
	NX_EQ_I(NX_OK, look("quick", 10000, &a, &err)); /* others are not held up */
	NX_EQ_I(2, atomic_load(&asked)); /* "slow" was asked for once */
	atomic_store(&held, false);
	for (size_t i = 0; i < NX_COUNTOF(t); i++) {
		pthread_join(t[i], NULL);
		NX_EQ_I(NX_OK, got[i]);
	}
}

NX_TEST(lookups_are_bounded)
{
	struct nx_lookup_addrs a;
	struct nx_error err;
	char host[16];
	for (int i = 0; i < NX_LOOKUPS_MAX; i++) {
		snprintf(host, sizeof(host), "slow%d", i);
		NX_EQ_I(NX_E_CONNECT_TIMEOUT, look(host, 0, &a, &err));
	}
	NX_EQ_I(NX_E_SOURCE_DOWN, look("another", 10000, &a, &err));
	NX_EQ_I(NX_OK, look("127.0.0.1", 0, &a, &err));
	NX_EQ_I(NX_E_CONNECT_TIMEOUT, look("slow3", 0, &a, &err)); /* that one runs already */
	atomic_store(&held, false);
	NX_EQ_I(NX_OK, look("slow3", 10000, &a, &err));
	for (int i = 0; look("another", 10000, &a, &err); i++) {
		NX_CHECK(i < 10000);
		usleep(1000);
	}
}
