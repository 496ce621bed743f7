/* The epoll loop. Clients are registered once, edge-triggered; only a stalled answer or handshake
 * adds EPOLLOUT for a while. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "http/http_int.h"

#define SWEEP_NS (200 * NX_MS) /* granularity of deadlines */
#define SWEEP_MS 200
#define BACK_OFF (100 * NX_MS) /* out of descriptors or memory */
#define COMPLAIN (10 * NX_SEC) /* and how often that is logged */
#define ACCEPT_TURN 256 /* accepts before connections have their turn */
#define HUNG_UP (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

_Thread_local struct nx_http_loop *nx_http_this_loop;

void nx_http_wake(struct nx_http_loop *l)
{
	uint64_t one = 1;
	while (write(l->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void nx_http_post(struct nx_http_loop *l, struct nx_http_conn *c)
{
	struct nx_http_conn *head = atomic_load_explicit(&l->inbox, memory_order_relaxed);
	do {
		c->queue_next = head;
	} while (!atomic_compare_exchange_weak(&l->inbox, &head, c));
	if (!head)
		nx_http_wake(l);
}

static void drain_inbox(struct nx_http_loop *l)
{
	uint64_t n;
	while (read(l->wake, &n, sizeof(n)) < 0 && errno == EINTR)
		;
	struct nx_http_conn *c = atomic_exchange(&l->inbox, NULL), *next;
	for (; c; c = next) {
		next = c->queue_next;
		if (!c->queued) {
			nx_http_returned(c);
			continue;
		}
		/* it gave way to others after many pipelined requests */
		c->queued = false;
		if (c->state != NX_ST_DEAD) {
			nx_http_advance(c);
		} else {
			c->queue_next = l->graves;
			l->graves = c;
		}
	}
}

bool nx_http_listen_add(struct nx_http_loop *l, struct nx_http_listener *s)
{
	struct epoll_event ev = { EPOLLIN, { .ptr = s } };
	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->fd, &ev) == 0;
}

static void pause_accepting(struct nx_http_loop *l, int why)
{
	int64_t now = nx_now();
	if (now >= l->next_complaint) {
		nx_log(NX_LOG_WARN, "accept", "paused: %s", strerror(why));
		l->next_complaint = now + COMPLAIN;
	}
	l->accept_after = now + BACK_OFF;
	for (uint32_t i = 0; i < NX_HTTP_MAX_LISTEN; i++)
		if (l->listeners[i].fd >= 0)
			(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, l->listeners[i].fd, NULL);
}

static void resume_accepting(struct nx_http_loop *l)
{
	l->accept_after = 0;
	for (uint32_t i = 0; i < NX_HTTP_MAX_LISTEN; i++)
		if (l->listeners[i].fd >= 0 && !nx_http_listen_add(l, &l->listeners[i]))
			l->accept_after = nx_now() + BACK_OFF;
}

/* Over the cap: an answer, best effort. */
static void turn_away(struct nx_http *h, int fd)
{
	char id[37], at[NX_ISO_LEN], body[256], all[640];
	if (!h->secure) {
		nx_uuid(id);
		nx_iso_time(nx_wall_us(), at);
		int len = snprintf(body, sizeof(body),
				   "{\"success\":false,\"error\":{\"code\":\"%s\","
				   "\"message\":\"too many connections\"},"
				   "\"correlationId\":\"%s\",\"timestamp\":\"%s\"}",
				   nx_code_name(NX_E_OVERLOADED), id, at);
		int n = snprintf(all, sizeof(all),
				 "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
				 "Retry-After: 1\r\nContent-Type: application/json\r\n"
				 "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"
				 "X-Correlation-ID: %s\r\nContent-Length: %d\r\n\r\n%s",
				 id, len, body);
		if (n > 0 && (size_t)n < sizeof(all))
			(void)!send(fd, all, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
		shutdown(fd, SHUT_WR);
	}
	close(fd);
}

static void peer_text(const struct sockaddr_storage *a, char out[INET6_ADDRSTRLEN])
{
	out[0] = '\0';
	if (a->ss_family == AF_INET) {
		inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, out,
			  INET6_ADDRSTRLEN);
	} else if (a->ss_family == AF_INET6) {
		const struct in6_addr *in6 = &((const struct sockaddr_in6 *)a)->sin6_addr;
		if (IN6_IS_ADDR_V4MAPPED(in6))
			inet_ntop(AF_INET, in6->s6_addr + 12, out, INET6_ADDRSTRLEN);
		else
			inet_ntop(AF_INET6, in6, out, INET6_ADDRSTRLEN);
	}
}

static void adopt(struct nx_http_loop *l, int fd, const struct sockaddr_storage *peer)
{
	struct nx_http *h = l->http;
	struct nx_http_conn *c = NULL;
	if (atomic_fetch_add(&h->connections, 1) >= h->cfg.max_connections) {
		turn_away(h, fd);
		goto uncount;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		goto close;
	c->source = NX_SRC_CONN;
	c->fd = fd;
	c->loop = l;
	c->state = h->secure ? NX_ST_HANDSHAKE : NX_ST_IDLE;
	c->deadline =
		nx_now() +
		(int64_t)(h->secure ? h->cfg.head_timeout_ms : h->cfg.idle_timeout_ms) * NX_MS;
	peer_text(peer, c->peer);
	struct epoll_event ev = { EPOLLIN | EPOLLRDHUP | EPOLLET, { .ptr = c } };
	if ((h->secure && !nx_http_tls_attach(h, c)) ||
	    epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		goto close;
	c->next = l->conns;
	if (c->next)
		c->next->prev = c;
	l->conns = c;
	nx_http_count(&l->accepted, 1);
	return;
close:
	if (c)
		nx_http_tls_free(c);
	free(c);
	close(fd);
uncount:
	atomic_fetch_sub(&h->connections, 1);
}

static void accept_some(struct nx_http_listener *s)
{
	for (int i = 0; i < ACCEPT_TURN && s->fd >= 0; i++) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		int fd = accept4(s->fd, (struct sockaddr *)&peer, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			adopt(s->loop, fd, &peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			pause_accepting(s->loop, errno);
			return;
		}
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

static void on_conn(struct nx_http_conn *c, uint32_t events)
{
	unsigned own = atomic_load_explicit(&c->owner, memory_order_acquire);
	while (own & NX_OWN_WORKER) {
		if (!(own & NX_OWN_PENDING) &&
		    !atomic_compare_exchange_weak(&c->owner, &own, own | NX_OWN_PENDING))
			continue;
		if (events & HUNG_UP)
			nx_http_hangup(c);
		return;
	}
	if (c->state == NX_ST_DEAD)
		return;
	if (events & (EPOLLHUP | EPOLLERR)) { /* nobody is there to be answered */
		nx_http_close(c);
		return;
	}
	if (events & EPOLLRDHUP)
		c->rdhup = true;
	if (events & EPOLLIN)
		c->more = true;
	if (!c->queued)
		nx_http_advance(c);
}

static void close_listeners(struct nx_http_loop *l)
{
	for (uint32_t i = 0; i < NX_HTTP_MAX_LISTEN; i++) {
		if (l->listeners[i].fd >= 0) {
			/* a copy of the socket may live on, and with it what epoll knows of it */
			(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, l->listeners[i].fd, NULL);
			close(l->listeners[i].fd);
		}
		l->listeners[i].fd = -1;
	}
	l->accept_after = 0;
}

/* Deadlines; idle connections while draining; lent ones when stop() has lost patience. */
static void sweep(struct nx_http_loop *l)
{
	int64_t now = nx_now();
	bool close_idle = nx_http_closing_idle(l->http);
	bool hang_up = atomic_load(&l->http->hanging_up);
	l->next_sweep = now + SWEEP_NS;
	for (struct nx_http_conn *c = l->conns, *next; c; c = next) {
		next = c->next;
		unsigned own = atomic_load_explicit(&c->owner, memory_order_acquire);
		if (own & NX_OWN_WORKER) {
			if (hang_up) {
				shutdown(c->fd, SHUT_RDWR);
				on_conn(c, EPOLLHUP);
			}
		} else if (close_idle && c->state == NX_ST_IDLE) {
			nx_http_close(c);
		} else if (c->deadline <= now && !c->queued) {
			nx_http_timed_out(c);
		}
	}
}

static void on_flags(struct nx_http_loop *l)
{
	bool again = false;
	if (!l->drained && atomic_load(&l->http->draining)) {
		l->drained = true;
		close_listeners(l);
		again = true;
	}
	if (!l->sealed && atomic_load(&l->http->sealing))
		atomic_store(&l->sealed, true);
	if (!l->hung_up && atomic_load(&l->http->hanging_up)) {
		l->hung_up = true;
		again = true;
	}
	if (again || (l->conns && nx_now() >= l->next_sweep))
		sweep(l);
	if (l->accept_after && nx_now() >= l->accept_after)
		resume_accepting(l);
}

static void bury(struct nx_http_loop *l)
{
	while (l->graves) {
		struct nx_http_conn *c = l->graves;
		l->graves = c->queue_next;
		free(c);
	}
}

static void clear_all(struct nx_http_loop *l)
{
	close_listeners(l);
	drain_inbox(l);
	while (l->conns)
		nx_http_close(l->conns);
	drain_inbox(l); /* those that were dead and queued */
	bury(l);
	while (l->pool) {
		struct nx_http_exchange *x = l->pool;
		l->pool = x->next;
		nx_http_x_free(x);
	}
}

void *nx_http_loop_main(void *arg)
{
	struct nx_http_loop *l = arg;
	struct epoll_event events[256];
	nx_http_this_loop = l;
	while (!atomic_load(&l->http->quit)) {
		int n = epoll_wait(l->epoll, events, NX_COUNTOF(events),
				   l->conns || l->accept_after ? SWEEP_MS : -1);
		bool inbox = false;
		for (int i = 0; i < n; i++) {
			switch (*(enum nx_http_source *)events[i].data.ptr) {
			case NX_SRC_CONN:
				on_conn(events[i].data.ptr, events[i].events);
				break;
			case NX_SRC_LISTENER:
				accept_some(events[i].data.ptr);
				break;
			case NX_SRC_INBOX:
				inbox = true;
				break;
			}
		}
		if (inbox)
			drain_inbox(l);
		on_flags(l);
		bury(l);
	}
	clear_all(l);
	nx_http_this_loop = NULL;
	return NULL;
}
