/* For tests: a server with a few routes, a worker pool, and a raw client. */
#ifndef NX_HTTP_TEST_SERVER_H
#define NX_HTTP_TEST_SERVER_H

#include <stdatomic.h>

#include "base/clock.h"
#include "http/http.h"
#include "nexus/buf.h"

/* Routes:
 *	/hello        inline, "hello\n"
 *	/echo         inline, the body
 *	/big          inline, 8 MiB with a length
 *	/lent         worker, the body
 *	/nap          worker, after 0..2 ms, "nap\n"; registers a hang-up function
 *	/stream       worker, chunked until the client fails (or 64 MiB)
 *	/abort        worker, 100 kB chunked, then abort
 *	/short        worker, says 10 bytes, writes 5, ends
 *	/close        inline, 100 bytes with Connection: close
 *	/hold         lent to nobody: ts_held() gives it to the test
 *	/show         inline, "METHOD path query peer nheaders"
 *	/until-close  worker, length unknown, "abc" */
struct test_server {
	struct nx_http *http;
	uint16_t port;
};

struct ts_events { /* what the routes saw, all servers of this process */
	_Atomic unsigned hangups, stalls, failed_writes, streamed;
};
extern struct ts_events ts_events;

void ts_start(struct test_server *t, const struct nx_http_config *base /* or NULL */);
void ts_stop(struct test_server *t); /* must succeed */
struct nx_http_exchange *ts_held(void); /* waits for the next /hold */

int ts_connect(const struct test_server *t); /* must succeed */
int ts_try_connect(const struct test_server *t);
bool ts_connect_fd(const struct test_server *t, int fd);
void ts_send(int fd, const char *text);
void ts_send_n(int fd, const void *data, size_t len);
/* Reads until the peer closes (false: reset) or `ms` have passed without a byte. */
bool ts_read_all(int fd, struct nx_buf *out, int ms);
/* One answer: head and body by Content-Length or chunked; the status. -1: closed before. */
int ts_answer(int fd, struct nx_buf *head, struct nx_buf *body);
/* Connects, sends, returns the status of the answer. */
int ts_status(const struct test_server *t, const char *request);

#endif
