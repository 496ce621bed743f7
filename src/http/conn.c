/* The life of a connection on its loop: idle, head, body, handler, write, and round again.
 *
 * nx_http_advance() runs steps until one has to wait. Each step returns true when the next may run
 * and false when the connection waits, is lent, or is gone; after false it is not touched again. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/http_int.h"

#define POOL_MAX 64u
#define KEEP_BUFFER ((size_t)16 * 1024) /* larger buffers are not kept in the pool */
#define ARENA_CAP ((size_t)16 * 1024 * 1024)
#define PIPELINE_TURN 64u /* requests of one connection before others have their turn */
#define LINGER_NS (1 * NX_SEC)
#define LINGER_BYTES ((size_t)256 * 1024)
#define BODY_STEP \
	((size_t)64 * 1024) /* a body's buffer grows with what arrives, not with its claim */

/* Exchanges: buffers and an arena, taken when bytes arrive, pooled per loop. */

static void trim(struct nx_buf *b)
{
	if (b->cap > KEEP_BUFFER)
		nx_buf_done(b);
	nx_buf_clear(b);
}

/* Ready for the next request; the bytes behind the last one stay in `in`. */
static void reset(struct nx_http_exchange *x)
{
	if (x->bytes_out > 0)
		atomic_fetch_add_explicit(&x->c->loop->bytes_out, x->bytes_out,
					  memory_order_relaxed);
	nx_arena_reset(x->arena);
	trim(&x->body);
	trim(&x->extra);
	trim(&x->out);
	struct nx_http_exchange keep = *x;
	*x = (struct nx_http_exchange){
		.c = keep.c,
		.arena = keep.arena,
		.in = keep.in,
		.in_len = keep.in_len - keep.used,
		.body = keep.body,
		.extra = keep.extra,
		.out = keep.out,
		.chunk_at = SIZE_MAX,
		.keep_alive = true,
	};
	if (x->in_len > 0 && keep.used > 0)
		memmove(x->in, x->in + keep.used, x->in_len);
}

void nx_http_x_free(struct nx_http_exchange *x)
{
	if (!x)
		return;
	nx_arena_free(x->arena);
	nx_buf_done(&x->body);
	nx_buf_done(&x->extra);
	nx_buf_done(&x->out);
	free(x->in);
	free(x);
}

static struct nx_http_exchange *x_new(const struct nx_http_config *cfg)
{
	struct nx_http_exchange *x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->in = malloc(cfg->max_head + NX_HTTP_IN_SLACK);
	x->arena = nx_arena_new(ARENA_CAP);
	nx_buf_init(&x->body, cfg->max_body);
	nx_buf_init(&x->extra, cfg->max_head);
	nx_buf_init(&x->out, NX_HTTP_OUT_MAX);
	if (x->in && x->arena) {
		reset(x);
		return x;
	}
	nx_http_x_free(x);
	return NULL;
}

struct nx_http_exchange *nx_http_x_take(struct nx_http_loop *l)
{
	pthread_mutex_lock(&l->pool_lock);
	struct nx_http_exchange *x = l->pool;
	if (x) {
		l->pool = x->next;
		l->npool--;
	}
	pthread_mutex_unlock(&l->pool_lock);
	return x ? x : x_new(&l->http->cfg);
}

void nx_http_x_give(struct nx_http_loop *l, struct nx_http_exchange *x)
{
	if (!x)
		return;
	x->used = x->in_len;
	reset(x); /* runs the arena's cleanups: not under the lock */
	x->c = NULL;
	pthread_mutex_lock(&l->pool_lock);
	bool keep = l->npool < POOL_MAX;
	if (keep) {
		x->next = l->pool;
		l->pool = x;
		l->npool++;
	}
	pthread_mutex_unlock(&l->pool_lock);
	if (!keep)
		nx_http_x_free(x);
}

static void drop_exchange(struct nx_http_conn *c)
{
	nx_http_x_give(c->loop, c->x);
	c->x = NULL;
}

/* Ends of a connection. */

static void set_state(struct nx_http_conn *c, enum nx_http_state s)
{
	struct nx_http_loop *l = c->loop;
	if (c->state == NX_ST_WRITE && s != NX_ST_WRITE) {
		atomic_fetch_sub(&l->writing, 1);
		l->held -= c->held;
	}
	if (c->state != NX_ST_WRITE && s == NX_ST_WRITE) {
		atomic_fetch_add(&l->writing, 1);
		c->held = c->x->out.cap;
		l->held += c->held;
	}
	c->state = (uint8_t)s;
}

void nx_http_close(struct nx_http_conn *c)
{
	struct nx_http_loop *l = c->loop;
	if (c->reset) {
		struct linger now = { .l_onoff = 1 };
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
	nx_http_tls_close(c, !c->reset && !(c->x && c->x->failed));
	nx_http_tls_free(c);
	/* close() alone does not end the watch while a process being spawned still has a copy of the descriptor, and
	 * an event for this connection would come when it is no more */
	(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	close(c->fd);
	c->fd = -1;
	drop_exchange(c);
	set_state(c, NX_ST_DEAD);
	if (c->prev)
		c->prev->next = c->next;
	else
		l->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	atomic_fetch_sub(&l->http->connections, 1);
	if (!c->queued) { /* else the inbox still points to it */
		c->queue_next = l->graves;
		l->graves = c;
	}
}

/* Closing a socket with unread bytes sends a reset, which can overtake our last answer. */
static bool close_after_answer(struct nx_http_conn *c)
{
	struct nx_http_exchange *x = c->x;
	bool unread = c->more || x->in_len > x->used || c->state != NX_ST_RUN;
	if (!unread || c->rdhup) {
		nx_http_close(c);
		return false;
	}
	nx_http_tls_close(c, true);
	shutdown(c->fd, SHUT_WR);
	drop_exchange(c);
	set_state(c, NX_ST_LINGER);
	c->deadline = nx_now() + LINGER_NS;
	return true;
}

static bool step_linger(struct nx_http_conn *c)
{
	char sink[8192];
	for (size_t total = 0; total < LINGER_BYTES; total += sizeof(sink)) {
		ssize_t n = recv(c->fd, sink, sizeof(sink), 0);
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n <= 0)
			break;
	}
	nx_http_close(c);
	return false;
}

static void arm_out(struct nx_http_conn *c, bool on)
{
	if (c->out_armed == on)
		return;
	struct epoll_event ev = { EPOLLIN | EPOLLRDHUP | EPOLLET | (on ? EPOLLOUT : 0),
				  { .ptr = c } };
	if (epoll_ctl(c->loop->epoll, EPOLL_CTL_MOD, c->fd, &ev) == 0)
		c->out_armed = on;
}

/* Answers. */

/* After the answer was ended, by whomever. */
static bool finish(struct nx_http_conn *c)
{
	struct nx_http_exchange *x = c->x;
	struct nx_http_loop *l = c->loop;
	if (!x->ended || x->failed || !nx_http_push(x)) {
		nx_http_close(c);
		return false;
	}
	if (!nx_http_pushed(x)) {
		if (c->state != NX_ST_WRITE) {
			x->stall_from = x->bytes_out;
			c->deadline = nx_now() + (int64_t)l->http->cfg.write_timeout_ms * NX_MS;
		}
		set_state(c, NX_ST_WRITE);
		arm_out(c, true);
		/* Clients that ask for much and read nothing pay with their own connection. */
		if (l->held > NX_HTTP_HELD_MAX) {
			c->reset = true;
			nx_http_close(c);
		}
		return false;
	}
	arm_out(c, false);
	if (!x->keep_alive || nx_http_closing_idle(l->http))
		return close_after_answer(c);
	const struct nx_http_config *cfg = &l->http->cfg;
	reset(x);
	set_state(c, NX_ST_HEAD);
	if (x->in_len == 0 && !c->more && !nx_http_tls_pending(c)) {
		drop_exchange(c);
		set_state(c, NX_ST_IDLE);
		c->deadline = nx_now() + (int64_t)cfg->idle_timeout_ms * NX_MS;
	} else {
		c->deadline = nx_now() + (int64_t)cfg->head_timeout_ms * NX_MS;
	}
	return true;
}

static bool refuse(struct nx_http_conn *c, enum nx_code code, const char *why)
{
	nx_http_count(&c->loop->bad_requests, 1);
	nx_http_refuse(c->x, code, why);
	return finish(c);
}

/* Requests. */

/* Reads into dst. False: nothing came; the connection waits or is gone. */
static bool fill(struct nx_http_conn *c, char *dst, size_t room, size_t *got)
{
	ssize_t n = 0;
	if (c->more || nx_http_tls_pending(c))
		n = nx_http_recv(c, dst, room);
	if (n > 0) {
		nx_http_count(&c->loop->bytes_in, (uint64_t)n);
		*got = (size_t)n;
		return true;
	}
	if (n < 0 || c->rdhup) {
		nx_http_close(c);
	} else if (c->state == NX_ST_HEAD && c->x->in_len == 0) {
		drop_exchange(c);
		set_state(c, NX_ST_IDLE);
		c->deadline = nx_now() + (int64_t)c->loop->http->cfg.idle_timeout_ms * NX_MS;
	}
	return false;
}

static bool fill_in(struct nx_http_conn *c)
{
	struct nx_http_exchange *x = c->x;
	size_t room = c->loop->http->cfg.max_head + NX_HTTP_IN_SLACK - x->in_len, got;
	if (!fill(c, x->in + x->in_len, room, &got))
		return false;
	x->in_len += got;
	return true;
}

static bool step_idle(struct nx_http_conn *c)
{
	if (!c->more && !nx_http_tls_pending(c)) {
		if (c->rdhup)
			nx_http_close(c);
		return false;
	}
	c->x = nx_http_x_take(c->loop);
	if (!c->x) {
		nx_http_close(c);
		return false;
	}
	c->x->c = c;
	set_state(c, NX_ST_HEAD);
	c->deadline = nx_now() + (int64_t)c->loop->http->cfg.head_timeout_ms * NX_MS;
	return fill_in(c);
}

/* The body follows: says 100 Continue if the client waits for it. */
static bool expect_continue(struct nx_http_conn *c)
{
	struct nx_http_exchange *x = c->x;
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	if (!x->head.expect || x->in_len > x->used || (!x->head.chunked && x->head.length == 0))
		return true;
	struct iovec iov = { (char *)go_on, sizeof(go_on) - 1 };
	if (nx_http_sendv(c, &iov, 1) == (ssize_t)iov.iov_len)
		return true;
	nx_http_close(c); /* 25 bytes that do not fit into a fresh socket's buffer */
	return false;
}

static bool step_head(struct nx_http_conn *c)
{
	struct nx_http_exchange *x = c->x;
	const struct nx_http_config *cfg = &c->loop->http->cfg;
	enum nx_http_step found = nx_http_scan_head(&x->scan, x->in, x->in_len);
	if (found == NX_HTTP_BAD)
		return refuse(c, NX_E_BAD_REQUEST, "a line does not end with CR LF");
	size_t len = found == NX_HTTP_FOUND ? x->scan.end : x->in_len;
	if (len - x->scan.start > cfg->max_head ||
	    (found == NX_HTTP_MORE && len >= cfg->max_head + 2))
		return !memchr(x->in + x->scan.start, '\n', cfg->max_head)
			       ? refuse(c, NX_E_URI_TOO_LONG, "the request line is too long")
			       : refuse(c, NX_E_HEAD_TOO_LARGE, "the request head is too large");
	if (found == NX_HTTP_MORE)
		return fill_in(c);
	struct nx_error err;
	enum nx_code code =
		nx_http_parse_head(x->in, &x->scan, cfg->max_headers, x->arena, &x->head, &err);
	if (code) {
		/* no body answers HEAD, whatever else is wrong: RFC 9110 9.3.2 */
		if (nx_str_starts(nx_strn(x->in + x->scan.start, len - x->scan.start),
				  NX_STR("HEAD ")))
			x->head.req.method = NX_HTTP_HEAD;
		return refuse(c, code, err.message);
	}
	x->head.req.peer = nx_str(c->peer);
	x->head.req.tls = c->ssl != NULL;
	x->keep_alive = x->head.keep_alive;
	x->used = x->scan.end;
	if (x->head.length > cfg->max_body)
		return refuse(c, NX_E_BODY_TOO_LARGE, "the body is too large");
	set_state(c, NX_ST_BODY);
	if (!x->head.chunked && x->head.length == 0)
		return true;
	c->deadline = nx_now() + (int64_t)cfg->body_timeout_ms * NX_MS;
	return expect_continue(c);
}

static bool dispatch(struct nx_http_conn *c)
{
	struct nx_http_exchange *x = c->x;
	struct nx_http_loop *l = c->loop;
	nx_http_count(&l->requests, 1);
	set_state(c, NX_ST_RUN);
	if (x->head.server_wide) { /* OPTIONS *: about the server, not about a resource */
		nx_http_add_header(x, "Allow",
				   NX_STR("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"));
		nx_http_reply(x, 204, NULL, (struct nx_str){ 0 });
		return finish(c);
	}
	if (l->sealed)
		return refuse(c, NX_E_SHUTTING_DOWN, "the gateway is stopping");
	if (c->ssl && c->more)
		nx_http_tls_peek(c);
	/* Lent before the handler runs: the new owner may be done before the handler returns. */
	atomic_store_explicit(&c->hang, c->rdhup ? NX_HANG_GONE : NX_HANG_NONE,
			      memory_order_relaxed);
	atomic_store_explicit(&c->owner, NX_OWN_WORKER, memory_order_release);
	nx_http_count(&l->lent_out, 1);
	if (l->http->cfg.handler(x, l->http->cfg.ctx) == NX_HTTP_LENT)
		return false;
	atomic_store_explicit(&c->owner, NX_OWN_LOOP, memory_order_relaxed);
	nx_http_count(&l->lent_out, (uint64_t)-1);
	if (!x->ended && !x->failed && !x->began) /* a handler's bug */
		nx_http_refuse(x, NX_E_INTERNAL, "the request was not answered");
	return finish(c);
}

static bool step_chunked(struct nx_http_conn *c)
{
	struct nx_http_exchange *x = c->x;
	struct nx_error err;
	size_t used;
	enum nx_code code = nx_http_unchunk(&x->chunks, x->in + x->used, x->in_len - x->used, &used,
					    &x->body, &err);
	if (code)
		return refuse(c, code, err.message);
	x->used += used;
	if (nx_http_unchunked(&x->chunks)) {
		x->head.req.body = nx_buf_str(&x->body);
		return dispatch(c);
	}
	x->in_len = x->used = x->scan.end; /* all decoded: the room is free again */
	return fill_in(c);
}

static bool step_body(struct nx_http_conn *c)
{
	struct nx_http_exchange *x = c->x;
	if (x->head.chunked)
		return step_chunked(c);
	size_t want = (size_t)x->head.length, have = x->in_len - x->scan.end;
	size_t room = c->loop->http->cfg.max_head + NX_HTTP_IN_SLACK - x->scan.end;
	if (want <= room) {
		if (have < want)
			return fill_in(c);
		x->head.req.body = nx_strn(x->in + x->scan.end, want);
		x->used = x->scan.end + want;
		return dispatch(c);
	}
	if (have > 0) {
		nx_buf_put(&x->body, x->in + x->scan.end, have);
		x->in_len = x->scan.end;
	}
	size_t left = want - x->body.len, got;
	if (left == 0) {
		x->head.req.body = nx_buf_str(&x->body);
		return dispatch(c);
	}
	size_t step = left < BODY_STEP ? left : BODY_STEP;
	char *dst = nx_buf_reserve(&x->body, step);
	if (!dst)
		return refuse(c, NX_E_MEMORY, "no memory for the body");
	if (!fill(c, dst, step, &got))
		return false;
	x->body.len += got;
	return true;
}

static bool step_handshake(struct nx_http_conn *c)
{
	bool want_write = false;
	int r = nx_http_tls_accept(c, &want_write);
	if (r < 0) {
		nx_http_close(c);
		return false;
	}
	arm_out(c, r == 0 && want_write);
	if (r == 0) {
		if (c->rdhup)
			nx_http_close(c);
		return false;
	}
	set_state(c, NX_ST_IDLE);
	c->more = true;
	c->deadline = nx_now() + (int64_t)c->loop->http->cfg.idle_timeout_ms * NX_MS;
	return true;
}

void nx_http_advance(struct nx_http_conn *c)
{
	struct nx_http_loop *l = c->loop;
	uint64_t until = atomic_load_explicit(&l->requests, memory_order_relaxed) + PIPELINE_TURN;
	bool go = true;
	while (go) {
		if (atomic_load_explicit(&l->requests, memory_order_relaxed) >= until) {
			c->queued = true;
			nx_http_post(l, c);
			return;
		}
		switch ((enum nx_http_state)c->state) {
		case NX_ST_HANDSHAKE:
			go = step_handshake(c);
			break;
		case NX_ST_IDLE:
			go = step_idle(c);
			break;
		case NX_ST_HEAD:
			go = step_head(c);
			break;
		case NX_ST_BODY:
			go = step_body(c);
			break;
		case NX_ST_WRITE:
			go = finish(c);
			break;
		case NX_ST_LINGER:
			go = step_linger(c);
			break;
		case NX_ST_RUN:
		case NX_ST_DEAD:
			return;
		}
	}
}

void nx_http_timed_out(struct nx_http_conn *c)
{
	if (c->state == NX_ST_HEAD || c->state == NX_ST_BODY) {
		nx_http_count(&c->loop->timeouts, 1);
		if (refuse(c, NX_E_REQUEST_TIMEOUT, "the request did not arrive in time"))
			nx_http_advance(c);
		return;
	}
	if (c->state == NX_ST_WRITE) {
		const struct nx_http_config *cfg = &c->loop->http->cfg;
		uint64_t sent = c->x->bytes_out - c->x->stall_from;
		if (sent >= (uint64_t)cfg->write_min_rate * cfg->write_timeout_ms / 1000) {
			c->x->stall_from = c->x->bytes_out;
			c->deadline = nx_now() + (int64_t)cfg->write_timeout_ms * NX_MS;
			return;
		}
		c->reset = true;
	}
	nx_http_count(&c->loop->timeouts, 1);
	nx_http_close(c);
}

/* Loans. */

void nx_http_hangup(struct nx_http_conn *c)
{
	unsigned was = atomic_load(&c->hang);
	while (was == NX_HANG_NONE || was == NX_HANG_SET) {
		unsigned to = was == NX_HANG_SET ? NX_HANG_CALLING : NX_HANG_GONE;
		if (!atomic_compare_exchange_weak(&c->hang, &was, to))
			continue; /* the owner has just set or unset it */
		nx_http_count(&c->loop->hangups, 1);
		if (to == NX_HANG_CALLING) {
			c->hang_fn(c->hang_arg);
			atomic_store(&c->hang, NX_HANG_CALLED);
		}
		return;
	}
}

/* Takes a registered function back; waits for one that runs, unless it runs on this thread. */
static void unset_hangup(struct nx_http_conn *c)
{
	unsigned was = NX_HANG_SET;
	if (atomic_compare_exchange_strong(&c->hang, &was, NX_HANG_NONE))
		return;
	while (nx_http_this_loop != c->loop && atomic_load(&c->hang) == NX_HANG_CALLING)
		sched_yield();
}

bool nx_http_on_hangup(struct nx_http_exchange *x, void (*fn)(void *arg), void *arg)
{
	struct nx_http_conn *c = x->c;
	unset_hangup(c);
	c->hang_fn = fn;
	c->hang_arg = arg;
	unsigned was = NX_HANG_NONE;
	if (!fn)
		return atomic_load(&c->hang) == NX_HANG_NONE;
	return atomic_compare_exchange_strong(&c->hang, &was, NX_HANG_SET);
}

void nx_http_done(struct nx_http_exchange *x)
{
	struct nx_http_conn *c = x->c;
	struct nx_http_loop *l = c->loop;
	if (!x->ended)
		nx_http_abort(x);
	unset_hangup(c);
	bool idle = x->ended && !x->failed && x->keep_alive && nx_http_pushed(x) &&
		    x->in_len == x->used && !c->more && !nx_http_tls_pending(c) &&
		    atomic_load(&c->hang) == NX_HANG_NONE && !nx_http_closing_idle(l->http);
	if (idle) {
		drop_exchange(c);
		c->state = NX_ST_IDLE;
		c->deadline = nx_now() + (int64_t)l->http->cfg.idle_timeout_ms * NX_MS;
		unsigned worker = NX_OWN_WORKER;
		if (atomic_compare_exchange_strong(&c->owner, &worker, NX_OWN_LOOP)) {
			atomic_fetch_add(&l->lent_back, 1);
			return;
		}
	}
	nx_http_post(l, c);
	atomic_fetch_add(&l->lent_back, 1); /* last: stop() frees the loop once all are back */
}

void nx_http_returned(struct nx_http_conn *c)
{
	unsigned was = atomic_exchange(&c->owner, NX_OWN_LOOP);
	if (was & NX_OWN_PENDING)
		c->more = true;
	if (atomic_load(&c->hang) != NX_HANG_NONE)
		c->rdhup = true;
	if (c->state != NX_ST_RUN || finish(c))
		nx_http_advance(c);
}
