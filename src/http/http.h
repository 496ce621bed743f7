/* The HTTP/1.1 front end: listener, connections, requests, responses, TLS. Knows nothing of SQL.
 *
 * One edge-triggered epoll loop per core owns every idle and half-read connection and keeps absolute
 * deadlines for head, body and idle. A complete request becomes an exchange and goes to the handler
 * on the loop thread. The handler either answers at once (ANSWERED) or lends the exchange to another
 * thread (LENT), which writes the response with plain blocking calls and gives it back with
 * nx_http_done(). While it is lent the loop still sees the client hang up.
 *
 * Threads: an exchange has one owner at a time. nx_http_stop() may be called from any thread.
 * Sources: RFC 9110 (semantics), RFC 9112 (HTTP/1.1 syntax; everything odd is 400 and close). */
#ifndef NX_HTTP_HTTP_H
#define NX_HTTP_HTTP_H

#include "nexus/arena.h"
#include "nexus/error.h"
#include "nexus/str.h"

struct nx_http;
struct nx_http_exchange;
struct nx_http_tls;

enum nx_http_method {
	NX_HTTP_GET, NX_HTTP_HEAD, NX_HTTP_POST, NX_HTTP_PUT, NX_HTTP_DELETE, NX_HTTP_PATCH,
	NX_HTTP_OPTIONS, NX_HTTP_OTHER,
};

struct nx_http_header {
	struct nx_str name; /* as sent */
	struct nx_str value; /* trimmed */
};

struct nx_http_request {
	enum nx_http_method method;
	struct nx_str method_text;
	struct nx_str path;   /* percent-decoded UTF-8, begins with '/'; no controls, no dot segments,
			       * no encoded '/' */
	struct nx_str query;  /* raw, without '?' */
	const struct nx_http_header *headers;
	uint32_t nheaders;
	struct nx_str body;   /* whole, unchunked */
	struct nx_str peer;   /* client address, "127.0.0.1" or "::1" */
	bool tls;
	bool http10;
};

enum nx_http_take { NX_HTTP_ANSWERED, NX_HTTP_LENT };

/* Runs on a loop thread: must not block. ANSWERED: nx_http_reply or begin..end was called; what the
 * client does not take at once is kept (up to 16 MiB, 64 MiB per loop) and sent by the loop. "OPTIONS *", requests that
 * do not parse and those after nx_http_stop() never get here. */
typedef enum nx_http_take nx_http_handler_fn(struct nx_http_exchange *x, void *ctx);

#define NX_HTTP_MAX_LISTEN 16u

struct nx_http_config {
	const char *const *listen; /* "127.0.0.1:8080", "[::1]:8080"; port 0: any free one */
	uint32_t nlisten;          /* 1..NX_HTTP_MAX_LISTEN */
	uint32_t loops;            /* 1..64; 0: one per core */
	uint32_t max_connections;  /* accepted beyond: 503 and close; 0: 20000 */
	size_t max_head;           /* bytes of request line and headers; 0: 16 KiB. 431 beyond */
	size_t max_body;           /* bytes; 0: 1 MiB. 413 beyond */
	uint32_t max_headers;      /* 0: 64. 431 beyond */
	uint32_t head_timeout_ms;  /* from the first byte; 0: 10 s */
	uint32_t body_timeout_ms;  /* from the end of the head; 0: 30 s */
	uint32_t idle_timeout_ms;  /* between requests; 0: 60 s */
	uint32_t write_timeout_ms; /* no progress while writing; 0: 30 s */
	uint32_t write_min_rate;   /* bytes/s averaged over a stalled response; 0: 1024 */
	const char *tls_cert;      /* PEM paths; both or none */
	const char *tls_key;
	/* Listening sockets of the process before, as nx_http_listeners() gave them: taken over when their
	 * number is nlisten * loops, else closed. NULL: none. */
	const int *inherited;
	uint32_t ninherited;
	nx_http_handler_fn *handler;
	void *ctx;
};

struct nx_http_stats {
	uint64_t accepted, requests, bad_requests, bytes_in, bytes_out, timeouts, hangups;
	uint32_t connections, lent;
};

/* Binds and starts the loops. *ret is set before the first request can reach the handler, and is NULL
 * after a failure. */
NX_NODISCARD enum nx_code nx_http_start(const struct nx_http_config *cfg, struct nx_http **ret,
					struct nx_error *err);
uint16_t nx_http_port(const struct nx_http *h, uint32_t listener);
void nx_http_stats(const struct nx_http *h, struct nx_http_stats *ret);
/* Another certificate for handshakes from now on; only where TLS was on from the start. Two steps, so that
 * a caller can find out whether the files are good before it changes anything. */
NX_NODISCARD enum nx_code nx_http_tls_load(const char *cert, const char *key, struct nx_http_tls **ret,
					   struct nx_error *err);
void nx_http_tls_use(struct nx_http *h, struct nx_http_tls *t); /* taken; NULL is fine */
void nx_http_tls_drop(struct nx_http_tls *t); /* not used after all; NULL is fine */
/* Can this be listened on: host:port, with a host that is one? *loopback: only this machine reaches it. */
NX_NODISCARD enum nx_code nx_http_listen_check(const char *text, bool *loopback, struct nx_error *err);
/* Copies of the listening sockets that outlive this server and exec(): clients that connect meanwhile
 * wait in their queues. Before drain. Returns their number, 0 when they cannot be made or are more
 * than max; the caller closes them. */
NX_NODISCARD uint32_t nx_http_listeners(struct nx_http *h, int *fds, uint32_t max);
/* Stops accepting and answers "Connection: close" from now on. Idle connections are closed after idle_ms,
 * so that a request that is on its way is still answered. Again with less: sooner. */
void nx_http_drain(struct nx_http *h, uint32_t idle_ms);
/* Waits until no connection is left; false: some were after ms. */
NX_NODISCARD bool nx_http_wait(const struct nx_http *h, uint32_t ms);
/* Waits up to grace_ms for lent exchanges, hangs up the rest (their owners still call done), frees.
 * Lent exchanges must have been given back when it returns true; false: some owner still holds one,
 * and nothing was freed. */
NX_NODISCARD bool nx_http_stop(struct nx_http *h, uint32_t grace_ms);

/* The request; valid until the exchange ends. The arena is the exchange's own (cap 16 MiB). */
const struct nx_http_request *nx_http_request(const struct nx_http_exchange *x);
struct nx_arena *nx_http_arena(struct nx_http_exchange *x);
/* First header of that name (no case), or a slice with ptr NULL. */
struct nx_str nx_http_get_header(const struct nx_http_exchange *x, const char *name);

/* Called at most once, on a loop thread, if the client goes away (or half-closes) while the
 * exchange is lent. Set before lending or by the owner. Returns false if it has already gone (and
 * then fn is not called). fn must not block. After nx_http_done() it is never called: done waits for
 * one that runs, so its caller must not hold a lock that fn takes. fn itself may end the exchange
 * (abort, done). fn NULL takes a function back, in the same way; the result then says whether the
 * client is still there. Setting again replaces. */
NX_NODISCARD bool nx_http_on_hangup(struct nx_http_exchange *x, void (*fn)(void *arg), void *arg);
/* Called on the owner's thread once, just before a write first has to wait for the client. */
void nx_http_on_stall(struct nx_http_exchange *x, void (*fn)(void *arg), void *arg);

/* Response headers beyond those begin writes; name and value are copied, controls in them become
 * spaces. Before begin only. Framing (Content-Length, Transfer-Encoding, Date) is not settable;
 * "Connection: close" closes. */
void nx_http_add_header(struct nx_http_exchange *x, const char *name, struct nx_str value);
/* Status line and headers. length < 0: chunked (HTTP/1.0: until close). */
void nx_http_begin(struct nx_http_exchange *x, int status, const char *content_type, int64_t length);
/* Body bytes; 16 KiB and more at once leave without being copied. Buffered up to about 64 KiB; blocks while the client is slow (a lent exchange) within
 * the write limits. False: the client has gone or is too slow; stop producing. */
NX_NODISCARD bool nx_http_write(struct nx_http_exchange *x, const void *data, size_t len);
NX_NODISCARD bool nx_http_flush(struct nx_http_exchange *x); /* what is buffered leaves now */
/* Ends the body well. */
void nx_http_end(struct nx_http_exchange *x);
/* Ends the body badly: the client must be able to tell (broken chunked body, connection reset). */
void nx_http_abort(struct nx_http_exchange *x);
bool nx_http_began(const struct nx_http_exchange *x); /* has the status line been written */
uint64_t nx_http_sent(const struct nx_http_exchange *x); /* body bytes so far */
/* begin + write + end in one; also tried when the client has half-closed. */
void nx_http_reply(struct nx_http_exchange *x, int status, const char *content_type, struct nx_str body);
/* A lent exchange goes back to its loop, after end or abort. The exchange is dead to the caller. */
void nx_http_done(struct nx_http_exchange *x);

#endif
