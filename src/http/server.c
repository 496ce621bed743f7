/* Start, stop, drain, statistics. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http/http_int.h"

#define HUNG_UP_GRACE_MS 2000u /* for owners whose clients stop() has cut off */

/* "host:port", "[v6]:port", ":port" (any address). */
static enum nx_code resolve(const char *text, struct addrinfo **ret, struct nx_error *err)
{
	const char *colon = strrchr(text, ':');
	char host[256];
	if (!colon || colon[1] == '\0' || (size_t)(colon - text) >= sizeof(host))
		return nx_fail(err, NX_E_CONFIG, "listen address %s is not host:port", text);
	uint64_t port; /* getaddrinfo() takes any number and cuts it to 16 bits */
	if (!nx_str_to_u64(nx_str(colon + 1), &port) || port > UINT16_MAX)
		return nx_fail(err, NX_E_CONFIG, "listen address %s: the port must be 0 to 65535",
			       text);
	size_t n = (size_t)(colon - text);
	bool v6 = n >= 2 && text[0] == '[' && text[n - 1] == ']';
	memcpy(host, text + v6, n - 2 * v6);
	host[n - 2 * v6] = '\0';
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
				  .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	int r = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, ret);
	if (r != 0)
		return nx_fail(err, NX_E_CONFIG, "listen address %s: %s", text, gai_strerror(r));
	return NX_OK;
}

enum nx_code nx_http_listen_check(const char *text, bool *loopback, struct nx_error *err)
{
	struct addrinfo *found;
	enum nx_code c = resolve(text, &found, err);
	if (c)
		return c;
	*loopback = true;
	for (const struct addrinfo *a = found; a; a = a->ai_next) {
		const struct sockaddr_in *v4 = (const void *)a->ai_addr;
		const struct sockaddr_in6 *v6 = (const void *)a->ai_addr;
		*loopback &= a->ai_family == AF_INET ? ntohl(v4->sin_addr.s_addr) >> 24 == 127
						     : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	}
	freeaddrinfo(found);
	return NX_OK;
}

static int bound_socket(const struct sockaddr *a, socklen_t len, bool shared)
{
	int one = 1, keep_idle = 60 /* s */;
	int fd = socket(a->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* TCP_NODELAY and SO_KEEPALIVE are inherited by accepted sockets. The latter notices a client
	 * whose machine died while a long query runs for it. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	    (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0) &&
	    (a->sa_family != AF_INET6 ||
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0) &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) == 0 &&
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &keep_idle, sizeof(keep_idle)) == 0 &&
	    bind(fd, a, len) == 0)
		return fd;
	int e = errno;
	close(fd);
	errno = e;
	return -1;
}

static uint16_t *port_of(struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)a)->sin6_port
					: &((struct sockaddr_in *)a)->sin_port;
}

static uint16_t bound_port(int fd)
{
	struct sockaddr_storage a = { 0 };
	socklen_t len = sizeof(a);
	return getsockname(fd, (struct sockaddr *)&a, &len) == 0 ? ntohs(*port_of(&a)) : 0;
}

static enum nx_code take_over(struct nx_http *h, uint32_t which, struct nx_error *err)
{
	for (uint32_t i = 0; i < h->nloops; i++) {
		struct nx_http_listener *s = &h->loops[i].listeners[which];
		int fd = h->cfg.inherited[which * h->nloops + i];
		int flags = fcntl(fd, F_GETFL);
		if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
		    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || !(h->ports[which] = bound_port(fd)))
			return nx_fail(err, NX_E_IO, "an inherited listener cannot be used: %s",
				       strerror(errno));
		s->fd = fd;
		if (!nx_http_listen_add(&h->loops[i], s))
			return nx_fail(err, NX_E_IO, "an inherited listener cannot be watched: %s",
				       strerror(errno));
	}
	return NX_OK;
}

/* One socket per loop on the same address. A first socket that does not share the port finds out
 * whether someone else has it: SO_REUSEPORT alone would let two gateways split the clients. */
static enum nx_code listen_on(struct nx_http *h, uint32_t which, const char *text,
			      struct nx_error *err)
{
	if (h->cfg.ninherited)
		return take_over(h, which, err);
	struct addrinfo *ai;
	enum nx_code code = resolve(text, &ai, err);
	if (code)
		return code;
	struct sockaddr_storage addr = { 0 };
	socklen_t len = ai->ai_addrlen;
	memcpy(&addr, ai->ai_addr, len);
	freeaddrinfo(ai);
	int alone = *port_of(&addr) ? bound_socket((struct sockaddr *)&addr, len, false) : -1;
	if (*port_of(&addr) && (alone < 0 || listen(alone, 1) < 0))
		goto fail;
	if (alone >= 0)
		close(alone);
	alone = -1;
	for (uint32_t i = 0; i < h->nloops; i++) {
		struct nx_http_listener *s = &h->loops[i].listeners[which];
		s->fd = bound_socket((struct sockaddr *)&addr, len, true);
		if (s->fd < 0 || listen(s->fd, 4096) < 0)
			goto fail;
		socklen_t got = sizeof(addr);
		if (getsockname(s->fd, (struct sockaddr *)&addr, &got) < 0 ||
		    !nx_http_listen_add(&h->loops[i], s))
			goto fail;
	}
	h->ports[which] = ntohs(*port_of(&addr));
	return NX_OK;
fail:
	code = nx_fail(err, NX_E_IO, "cannot listen on %s: %s", text, strerror(errno));
	if (alone >= 0)
		close(alone);
	return code;
}

static void defaults(struct nx_http_config *c)
{
#define DEFAULT(field, value) \
	if (!c->field)        \
	c->field = value
	DEFAULT(max_connections, 20000);
	DEFAULT(max_head, (size_t)16 * 1024);
	DEFAULT(max_body, (size_t)1024 * 1024);
	DEFAULT(max_headers, 64);
	DEFAULT(head_timeout_ms, 10000);
	DEFAULT(body_timeout_ms, 30000);
	DEFAULT(idle_timeout_ms, 60000);
	DEFAULT(write_timeout_ms, 30000);
	DEFAULT(write_min_rate, 1024);
#undef DEFAULT
	if (c->loops == 0) {
		long n = sysconf(_SC_NPROCESSORS_ONLN);
		c->loops = n < 1 ? 1 : n > 64 ? 64 : (uint32_t)n;
	}
}

static enum nx_code check(const struct nx_http_config *c, struct nx_error *err)
{
	if (!c->handler || c->nlisten < 1 || c->nlisten > NX_HTTP_MAX_LISTEN || c->loops > 64)
		return nx_fail(err, NX_E_CONFIG,
			       "HTTP needs a handler, 1..16 addresses, 0..64 loops");
	if (!c->tls_cert != !c->tls_key)
		return nx_fail(err, NX_E_CONFIG, "TLS needs both certificate and key");
	if (c->max_head > (size_t)1 << 20 || c->max_body > (size_t)1 << 30)
		return nx_fail(err, NX_E_CONFIG, "HTTP limits: head up to 1 MiB, body up to 1 GiB");
	return NX_OK;
}

static enum nx_code loop_init(struct nx_http *h, struct nx_http_loop *l, struct nx_error *err)
{
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event ev = { EPOLLIN, { .ptr = l } };
	if (l->epoll < 0 || l->wake < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->wake, &ev) < 0)
		return nx_fail(err, NX_E_IO, "no event loop: %s", strerror(errno));
	(void)h;
	return NX_OK;
}

/* Threads are joined. */
static void destroy(struct nx_http *h)
{
	for (uint32_t i = 0; i < h->nloops; i++) {
		struct nx_http_loop *l = &h->loops[i];
		for (uint32_t k = 0; k < NX_HTTP_MAX_LISTEN; k++)
			if (l->listeners[k].fd >= 0)
				close(l->listeners[k].fd);
		if (l->epoll >= 0)
			close(l->epoll);
		if (l->wake >= 0)
			close(l->wake);
		pthread_mutex_destroy(&l->pool_lock);
	}
	nx_http_tls_stop(h);
	pthread_mutex_destroy(&h->tls_lock);
	free(h);
}

static void quit_and_join(struct nx_http *h)
{
	atomic_store(&h->quit, true);
	for (uint32_t i = 0; i < h->nloops; i++)
		if (h->loops[i].started)
			nx_http_wake(&h->loops[i]);
	for (uint32_t i = 0; i < h->nloops; i++)
		if (h->loops[i].started)
			pthread_join(h->loops[i].thread, NULL);
}

static enum nx_code start_loops(struct nx_http *h, struct nx_error *err)
{
	sigset_t all, before;
	int r = 0;
	sigfillset(&all); /* signals are the main thread's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (uint32_t i = 0; i < h->nloops && r == 0; i++) {
		r = pthread_create(&h->loops[i].thread, NULL, nx_http_loop_main, &h->loops[i]);
		h->loops[i].started = r == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r ? nx_fail(err, NX_E_IO, "no thread for a loop: %s", strerror(r)) : NX_OK;
}

enum nx_code nx_http_start(const struct nx_http_config *given, struct nx_http **ret,
			   struct nx_error *err)
{
	struct nx_http_config cfg = *given;
	enum nx_code code = check(&cfg, err);
	if (code)
		return code;
	defaults(&cfg);
	struct nx_http *h = calloc(1, sizeof(*h) + cfg.loops * sizeof(h->loops[0]));
	if (!h)
		return nx_fail(err, NX_E_MEMORY, "no memory for the HTTP server");
	if (cfg.ninherited != cfg.nlisten * cfg.loops) {
		for (uint32_t i = 0; i < cfg.ninherited; i++)
			close(cfg.inherited[i]);
		cfg.ninherited = 0;
	}
	h->cfg = cfg;
	h->nloops = cfg.loops;
	pthread_mutex_init(&h->tls_lock, NULL);
	for (uint32_t i = 0; i < h->nloops; i++) {
		struct nx_http_loop *l = &h->loops[i];
		l->source = NX_SRC_INBOX;
		l->http = h;
		l->epoll = l->wake = -1;
		pthread_mutex_init(&l->pool_lock, NULL);
		for (uint32_t k = 0; k < NX_HTTP_MAX_LISTEN; k++)
			l->listeners[k] = (struct nx_http_listener){ NX_SRC_LISTENER, -1, l };
	}
	for (uint32_t i = 0; !code && i < h->nloops; i++)
		code = loop_init(h, &h->loops[i], err);
	struct nx_http_tls *tls = NULL;
	if (!code && cfg.tls_cert)
		code = nx_http_tls_load(cfg.tls_cert, cfg.tls_key, &tls, err);
	nx_http_tls_use(h, tls);
	h->secure = tls != NULL;
	for (uint32_t i = 0; !code && i < cfg.nlisten; i++)
		code = listen_on(h, i, cfg.listen[i], err);
	h->cfg.listen = NULL;
	h->cfg.inherited = NULL;
	if (!code) {
		*ret = h; /* a handler may look for it before start_loops returns */
		code = start_loops(h, err);
	}
	if (code) {
		*ret = NULL;
		quit_and_join(h);
		destroy(h);
		return code;
	}
	return NX_OK;
}

uint16_t nx_http_port(const struct nx_http *h, uint32_t listener)
{
	return listener < NX_HTTP_MAX_LISTEN ? h->ports[listener] : 0;
}

/* Read `back` first: a loan that begins in between makes the number too large, never negative. */
static uint64_t lent(const struct nx_http_loop *l)
{
	uint64_t back = atomic_load(&l->lent_back), out = atomic_load(&l->lent_out);
	return out > back ? out - back : 0;
}

void nx_http_stats(const struct nx_http *h, struct nx_http_stats *ret)
{
	struct nx_http_stats s = { 0 };
	for (uint32_t i = 0; i < h->nloops; i++) {
		const struct nx_http_loop *l = &h->loops[i];
		s.accepted += atomic_load_explicit(&l->accepted, memory_order_relaxed);
		s.requests += atomic_load_explicit(&l->requests, memory_order_relaxed);
		s.bad_requests += atomic_load_explicit(&l->bad_requests, memory_order_relaxed);
		s.bytes_in += atomic_load_explicit(&l->bytes_in, memory_order_relaxed);
		s.bytes_out += atomic_load_explicit(&l->bytes_out, memory_order_relaxed);
		s.timeouts += atomic_load_explicit(&l->timeouts, memory_order_relaxed);
		s.hangups += atomic_load_explicit(&l->hangups, memory_order_relaxed);
		s.lent += (uint32_t)lent(l);
	}
	s.connections = atomic_load_explicit(&h->connections, memory_order_relaxed);
	*ret = s;
}

static bool busy(const struct nx_http *h, bool writers)
{
	for (uint32_t i = 0; i < h->nloops; i++)
		if (lent(&h->loops[i]) > 0 || (writers && atomic_load(&h->loops[i].writing) > 0))
			return true;
	return false;
}

static bool wait_idle(const struct nx_http *h, uint32_t ms, bool writers)
{
	const struct timespec tick = { .tv_nsec = 2 * NX_MS };
	int64_t until = nx_now() + (int64_t)ms * NX_MS;
	while (busy(h, writers)) {
		if (nx_now() >= until)
			return false;
		nanosleep(&tick, NULL);
	}
	return true;
}

static void wake_all(struct nx_http *h)
{
	for (uint32_t i = 0; i < h->nloops; i++)
		nx_http_wake(&h->loops[i]);
}

uint32_t nx_http_listeners(struct nx_http *h, int *fds, uint32_t max)
{
	uint32_t n = 0;
	for (uint32_t which = 0; which < h->cfg.nlisten; which++)
		for (uint32_t i = 0; i < h->nloops && n <= max; i++) {
			int fd = n < max ? fcntl(h->loops[i].listeners[which].fd, F_DUPFD, 3) : -1;
			if (fd >= 0) {
				fds[n++] = fd;
				continue;
			}
			while (n > 0)
				close(fds[--n]);
			return 0;
		}
	return n;
}

void nx_http_drain(struct nx_http *h, uint32_t idle_ms)
{
	int64_t at = nx_now() + (int64_t)idle_ms * NX_MS;
	if (!atomic_load(&h->draining) || at < atomic_load(&h->close_idle_at))
		atomic_store(&h->close_idle_at, at);
	atomic_store(&h->draining, true);
	wake_all(h);
}

bool nx_http_wait(const struct nx_http *h, uint32_t ms)
{
	const struct timespec tick = { .tv_nsec = 2 * NX_MS };
	int64_t until = nx_now() + (int64_t)ms * NX_MS;
	while (atomic_load(&h->connections) > 0) {
		if (nx_now() >= until)
			return false;
		nanosleep(&tick, NULL);
	}
	return true;
}

/* From here on the number of lent exchanges only falls. Loops never block, so this is short. */
static void seal(struct nx_http *h)
{
	const struct timespec tick = { .tv_nsec = NX_MS };
	atomic_store(&h->sealing, true);
	wake_all(h);
	for (uint32_t i = 0; i < h->nloops; i++)
		while (!atomic_load(&h->loops[i].sealed))
			nanosleep(&tick, NULL);
}

bool nx_http_stop(struct nx_http *h, uint32_t grace_ms)
{
	if (!h)
		return true;
	nx_http_drain(h, 0);
	(void)wait_idle(h, grace_ms, true);
	seal(h);
	if (busy(h, false)) {
		atomic_store(&h->hanging_up, true);
		wake_all(h);
		if (!wait_idle(h, HUNG_UP_GRACE_MS, false))
			return false;
	}
	quit_and_join(h);
	destroy(h);
	return true;
}
