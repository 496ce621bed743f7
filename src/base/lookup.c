#include "base/lookup.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"

#define HOST_MAX 256

struct lookup {
	struct lookup *next; /* of those that run */
	uint32_t refs; /* its thread and who waits; under the lock, as all below */
	bool done;
	int error; /* EAI_* */
	struct nx_lookup_addrs found;
	char host[HOST_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_cond_t ended; /* some lookup is done */
static struct lookup *running;
static uint32_t nrunning;

static void init(void)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ended, &attr);
	pthread_condattr_destroy(&attr);
}

static int ask(const char *host, int flags, struct nx_lookup_addrs *ret)
{
	struct addrinfo hints = { .ai_flags = flags,
				  .ai_socktype = SOCK_STREAM,
				  .ai_family = AF_UNSPEC },
			*list = NULL;
	int e = getaddrinfo(host, NULL, &hints, &list);
	if (e)
		return e;
	ret->n = 0;
	for (struct addrinfo *i = list; i && ret->n < NX_LOOKUP_ADDRS; i = i->ai_next) {
		if (nx_ip_of_sockaddr(i->ai_addr, &ret->at[ret->n]))
			ret->n++;
	}
	freeaddrinfo(list);
	return 0;
}

/* With the lock held. */
static void unref(struct lookup *l)
{
	if (--l->refs == 0)
		free(l);
}

static void *run(void *arg)
{
	struct lookup *l = arg;
	struct nx_lookup_addrs found = { 0 };
	int e = ask(l->host, 0, &found);
	pthread_mutex_lock(&lock);
	l->found = found;
	l->error = e;
	l->done = true;
	struct lookup **at = &running;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	nrunning--;
	pthread_cond_broadcast(&ended);
	unref(l);
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* Signals are for the threads that wait for them. */
static bool start_thread(struct lookup *l)
{
	pthread_attr_t attr;
	pthread_t t;
	sigset_t all, before;
	if (pthread_attr_init(&attr))
		return false;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	bool ok = pthread_create(&t, &attr, run, l) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return ok;
}

/* With the lock held: the running lookup of this name, or a new one, referenced. NULL: none can start. */
static struct lookup *join(const char *host)
{
	for (struct lookup *l = running; l; l = l->next)
		if (strcmp(l->host, host) == 0) {
			l->refs++;
			return l;
		}
	struct lookup *l = nrunning < NX_LOOKUPS_MAX ? calloc(1, sizeof(*l)) : NULL;
	if (!l)
		return NULL;
	memcpy(l->host, host, strlen(host));
	l->refs = 2;
	if (!start_thread(l)) {
		free(l);
		return NULL;
	}
	l->next = running; /* its thread waits for the lock before it looks for itself */
	running = l;
	nrunning++;
	return l;
}

static enum nx_code unknown(const char *host, int error, struct nx_error *err)
{
	(void)nx_fail(err, NX_E_SOURCE_DOWN, "The source's host name cannot be resolved.");
	nx_error_detail(err, "%s: %s", host, gai_strerror(error));
	return NX_E_SOURCE_DOWN;
}

static enum nx_code wait_for(struct lookup *l, int64_t deadline, struct nx_lookup_addrs *ret,
			     struct nx_error *err)
{
	struct timespec until = { .tv_sec = deadline / NX_SEC, .tv_nsec = deadline % NX_SEC };
	while (!l->done && nx_now() < deadline)
		(void)pthread_cond_timedwait(&ended, &lock, &until);
	if (!l->done) {
		(void)nx_fail(err, NX_E_CONNECT_TIMEOUT,
			      "The source's host name was not resolved in time.");
		nx_error_detail(err, "%s: the name server does not answer", l->host);
		return NX_E_CONNECT_TIMEOUT;
	}
	if (l->error)
		return unknown(l->host, l->error, err);
	*ret = l->found;
	return NX_OK;
}

enum nx_code nx_look_up(const char *host, int64_t deadline, struct nx_lookup_addrs *ret,
			struct nx_error *err)
{
	struct nx_lookup_addrs found = { 0 };
	int e = strlen(host) >= HOST_MAX ? EAI_NONAME : ask(host, AI_NUMERICHOST, &found);
	if (e == 0) {
		*ret = found;
		return NX_OK;
	}
	if (e != EAI_NONAME || strlen(host) >= HOST_MAX)
		return unknown(host, e, err);
	pthread_once(&once, init);
	pthread_mutex_lock(&lock);
	struct lookup *l = join(host);
	enum nx_code c =
		l ? wait_for(l, deadline, ret, err)
		  : nx_fail(err, NX_E_SOURCE_DOWN, "Too many host names are being resolved.");
	if (l)
		unref(l);
	pthread_mutex_unlock(&lock);
	return c;
}
