/* Private to src/http: connections, loops, exchanges and who may touch them.
 *
 * Ownership of a connection is one atomic word:
 *	LOOP            the loop thread may touch everything in it
 *	WORKER          lent: the exchange's owner may; the loop only sets PENDING and the hang word
 *	WORKER|PENDING  as above, and an event has been seen: only the loop may end the loan
 * The owner gives back with CAS WORKER -> LOOP when nothing is left to do on the loop, and then the
 * connection is the loop's (it may be freed at once). In every other case it posts the connection to
 * the loop's inbox and leaves the word alone. Connections are freed at the end of a loop turn,
 * because the same epoll batch may hold another event for them.
 *
 * hang word (who calls the hang-up function, once): NONE -> SET by the owner; NONE -> GONE or
 * SET -> CALLING -> CALLED by the loop; SET -> NONE by the owner, who waits while CALLING. */
#ifndef NX_HTTP_INT_H
#define NX_HTTP_INT_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "http/http.h"
#include "http/parse.h"

enum { NX_OWN_LOOP = 0, NX_OWN_WORKER = 1, NX_OWN_PENDING = 2 };
enum { NX_HANG_NONE, NX_HANG_SET, NX_HANG_CALLING, NX_HANG_CALLED, NX_HANG_GONE };

enum nx_http_state {
	NX_ST_HANDSHAKE, /* TLS; deadline: head */
	NX_ST_IDLE,      /* no exchange, no buffers */
	NX_ST_HEAD,
	NX_ST_BODY,
	NX_ST_RUN,       /* with the handler, on the loop or lent */
	NX_ST_WRITE,     /* the loop waits to send the rest of an answer */
	NX_ST_LINGER,    /* all said; reading the client's last bytes so that it can read ours */
	NX_ST_DEAD,
};

enum nx_http_source { NX_SRC_CONN, NX_SRC_LISTENER, NX_SRC_INBOX }; /* behind an epoll event */

struct ssl_st;
struct ssl_ctx_st;

struct nx_http_conn {
	enum nx_http_source source; /* first, as in every epoll source */
	int fd;
	struct nx_http_loop *loop;
	struct nx_http_conn *prev, *next; /* of the loop's list */
	struct nx_http_conn *queue_next;  /* in the inbox, later in the graveyard */
	struct nx_http_exchange *x;       /* NULL while idle */
	struct ssl_st *ssl;               /* NULL: plain */
	int64_t deadline;
	_Atomic unsigned owner, hang;
	void (*hang_fn)(void *arg);
	void *hang_arg;
	uint8_t state;
	bool more;      /* the socket may hold bytes without another edge to tell */
	bool rdhup;     /* the client has closed its side */
	bool out_armed; /* EPOLLOUT is registered */
	bool queued;    /* in the inbox while owned by the loop */
	bool reset;     /* close with RST */
	size_t held;    /* WRITE: memory of the unsent answer, as counted in the loop */
	char peer[INET6_ADDRSTRLEN];
};

enum nx_http_body { NX_BODY_NONE, NX_BODY_LENGTH, NX_BODY_CHUNKED, NX_BODY_CLOSE };

struct nx_http_exchange {
	struct nx_http_conn *c;
	struct nx_http_exchange *next; /* of the pool */
	struct nx_arena *arena;
	/* request */
	char *in;      /* NX_HTTP_IN_SLACK over max_head; head, then body or raw chunks */
	size_t in_len; /* bytes in it */
	size_t used;   /* of these, the request's own */
	struct nx_http_scan scan;
	struct nx_http_head head;
	struct nx_http_chunks chunks;
	struct nx_buf body; /* chunked, or too large for `in` */
	/* response */
	struct nx_buf extra; /* header lines of the handler */
	struct nx_buf out;
	size_t out_sent;
	size_t chunk_at; /* of the open chunk's size line; SIZE_MAX: none open */
	enum nx_http_body mode;
	uint64_t length_left; /* LENGTH */
	uint64_t sent;        /* body bytes of the handler */
	uint64_t bytes_out;
	bool has_cache, has_csp, has_nosniff;
	bool keep_alive;
	bool began, ended, failed;
	/* write limits of the owner's thread */
	void (*stall_fn)(void *arg);
	void *stall_arg;
	bool stalled;
	int64_t stall_ns;
	uint64_t stall_from; /* bytes_out at the first stall */
};

#define NX_HTTP_IN_SLACK 4096u                    /* raw bytes behind the largest head */
#define NX_HTTP_OUT_SOFT ((size_t)64 * 1024)      /* buffered for a lent exchange */
#define NX_HTTP_OUT_MAX ((size_t)16 * 1024 * 1024) /* buffered for an answer of the loop */
#define NX_HTTP_HELD_MAX ((size_t)64 * 1024 * 1024) /* of such answers that wait, per loop */

struct nx_http_listener {
	enum nx_http_source source;
	int fd; /* -1: closed */
	struct nx_http_loop *loop;
};

struct nx_http_loop {
	enum nx_http_source source; /* of the inbox */
	int epoll, wake;            /* wake: eventfd */
	struct nx_http *http;
	pthread_t thread;
	bool started;
	struct nx_http_listener listeners[NX_HTTP_MAX_LISTEN];
	struct nx_http_conn *conns; /* all of them */
	struct nx_http_conn *graves;
	int64_t now;          /* at the start of the turn */
	int64_t accept_after; /* out of descriptors: no accept before; 0: accepting */
	int64_t next_complaint; /* about that, in the log */
	int64_t next_sweep;
	size_t held;          /* sum of the connections' */
	bool drained;         /* listeners closed */
	bool hung_up;         /* lent connections were hung up for stop() */
	_Atomic bool sealed;  /* nothing is lent any more */
	_Atomic(struct nx_http_conn *) inbox;
	pthread_mutex_t pool_lock; /* leaf lock: pool, npool */
	struct nx_http_exchange *pool;
	unsigned npool;
	/* counters: written by the loop thread alone but for the last two */
	_Atomic uint64_t accepted, requests, bad_requests, bytes_in, timeouts, hangups, lent_out;
	_Atomic uint64_t lent_back, bytes_out;
	_Atomic uint32_t writing; /* connections in state WRITE */
};

struct nx_http {
	struct nx_http_config cfg; /* defaults filled in; strings not kept */
	uint32_t nloops;
	uint16_t ports[NX_HTTP_MAX_LISTEN];
	bool secure; /* speaks TLS; for ever */
	struct ssl_ctx_st *tls; /* NULL: plain */
	pthread_mutex_t tls_lock; /* leaf lock: which context tls is */
	_Atomic int64_t close_idle_at; /* while draining */
	_Atomic uint32_t connections;
	_Atomic bool draining, sealing, hanging_up, quit;
	struct nx_http_loop loops[];
};

/* The loop this thread runs, or NULL. */
extern _Thread_local struct nx_http_loop *nx_http_this_loop;

/* loop.c */
void *nx_http_loop_main(void *arg);
void nx_http_wake(struct nx_http_loop *l);
void nx_http_post(struct nx_http_loop *l, struct nx_http_conn *c);
bool nx_http_listen_add(struct nx_http_loop *l, struct nx_http_listener *s);

/* conn.c: on the loop thread, connection owned by the loop */
void nx_http_advance(struct nx_http_conn *c);
void nx_http_returned(struct nx_http_conn *c); /* after a loan, ended or not */
void nx_http_timed_out(struct nx_http_conn *c);
void nx_http_close(struct nx_http_conn *c);
void nx_http_hangup(struct nx_http_conn *c); /* the client left a lent exchange */
struct nx_http_exchange *nx_http_x_take(struct nx_http_loop *l);
void nx_http_x_give(struct nx_http_loop *l, struct nx_http_exchange *x); /* any thread */
void nx_http_x_free(struct nx_http_exchange *x);

/* response.c */
void nx_http_refuse(struct nx_http_exchange *x, enum nx_code code, const char *message);
bool nx_http_push(struct nx_http_exchange *x); /* without waiting; false: broken */
static inline bool nx_http_pushed(const struct nx_http_exchange *x)
{
	return x->out_sent == x->out.len;
}

/* io.c: plain or TLS. Bytes moved; 0: would block; -1: end of stream or broken. */
ssize_t nx_http_recv(struct nx_http_conn *c, void *buf, size_t len); /* sets more, rdhup */
ssize_t nx_http_sendv(struct nx_http_conn *c, const struct iovec *iov, int n);
/* 1 done, 0 waits, -1 broken; *want_write: for what it waits. */
int nx_http_tls_accept(struct nx_http_conn *c, bool *want_write);
bool nx_http_tls_pending(const struct nx_http_conn *c);
void nx_http_tls_peek(struct nx_http_conn *c);
bool nx_http_tls_attach(struct nx_http *h, struct nx_http_conn *c);
void nx_http_tls_close(struct nx_http_conn *c, bool polite);
void nx_http_tls_free(struct nx_http_conn *c);
void nx_http_tls_stop(struct nx_http *h);

static inline bool nx_http_closing_idle(const struct nx_http *h)
{
	return atomic_load(&h->draining) && nx_now() >= atomic_load(&h->close_idle_at);
}

static inline void nx_http_count(_Atomic uint64_t *n, uint64_t add) /* by the only writer */
{
	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + add,
			      memory_order_relaxed);
}

#endif
