/* Memory and system calls that fail at every possible point: the server answers, refuses or hangs
 * up, and works again afterwards. The linker sends the calls of our own objects here (--wrap). */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "test.h"
#include "test_server.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
int __real_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev);
ssize_t __real_send(int fd, const void *p, size_t n, int flags);
ssize_t __real_recv(int fd, void *p, size_t n, int flags);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
int __wrap_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev);
ssize_t __wrap_send(int fd, const void *p, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *p, size_t n, int flags);

enum kind { MEMORY, EPOLL_CTL, SEND, SHORT_SEND, RECV, KINDS };

/* The call of kind `fault_kind` that counts to 0 fails; the test's own thread is spared. */
static _Atomic int fault_kind = -1;
static _Atomic long fault_in;
static _Atomic bool fault_hit;
static _Thread_local bool spared;

static bool fails(enum kind k)
{
	if (spared || atomic_load(&fault_kind) != (int)k || atomic_fetch_sub(&fault_in, 1) != 1)
		return false;
	atomic_store(&fault_hit, true);
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails(MEMORY) ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails(MEMORY) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails(MEMORY) ? NULL : __real_realloc(p, n);
}

int __wrap_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
	if (op != EPOLL_CTL_DEL && fails(EPOLL_CTL)) {
		errno = ENOMEM;
		return -1;
	}
	return __real_epoll_ctl(ep, op, fd, ev);
}

ssize_t __wrap_send(int fd, const void *p, size_t n, int flags)
{
	if (fails(SEND)) {
		errno = ECONNRESET;
		return -1;
	}
	if (n > 1 && fails(SHORT_SEND))
		n = 1;
	return __real_send(fd, p, n, flags);
}

ssize_t __wrap_recv(int fd, void *p, size_t n, int flags)
{
	if (fails(RECV)) {
		errno = ETIMEDOUT;
		return -1;
	}
	return __real_recv(fd, p, n, flags);
}

static struct test_server t;

/* Requests of every sort on fresh connections. Answers may be missing, never wrong. */
static void visit(bool all_must_answer)
{
	static const char *const requests[] = {
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		("POST /lent HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "3\r\nabc\r\n0\r\n\r\n"),
		"GET /show HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /abort HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
	};
	static const int want[] = { 200, 200, 200, -1, 400 };
	for (size_t i = 0; i < NX_COUNTOF(requests); i++) {
		int status = ts_status(&t, requests[i]);
		bool fine =
			status == want[i] || (!all_must_answer && (status == -1 || status == 503));
		if (!fine)
			nx_test_fail(__FILE__, __LINE__, "request %zu: %d", i, status);
	}
}

NX_TEST_FOR(everything_fails_once, 120)
{
	spared = true;
	struct nx_http_config cfg = { .loops = 1, .idle_timeout_ms = 1000 };
	ts_start(&t, &cfg);
	visit(true);
	for (int kind = 0; kind < KINDS; kind++) {
		long n = 1;
		do {
			atomic_store(&fault_hit, false);
			atomic_store(&fault_in, n++);
			atomic_store(&fault_kind, kind);
			visit(false);
			atomic_store(&fault_kind, -1);
		} while (atomic_load(&fault_hit) && n < 200);
		NX_CHECK(n > 2); /* the faults reach the server at all */
		visit(true);
	}
	struct nx_http_stats s;
	for (int i = 0; i < 3000; i++) {
		const struct timespec ms = { .tv_nsec = 1000000 };
		nx_http_stats(t.http, &s);
		if (s.connections == 0)
			break;
		nanosleep(&ms, NULL);
	}
	NX_EQ_I(0, s.connections);
	NX_EQ_I(0, s.lent);
	ts_stop(&t);
}

NX_TEST(start_fails_at_every_step)
{
	static const char *const any[] = { "127.0.0.1:0" };
	struct nx_http_config cfg = {
		.listen = any, .nlisten = 1, .loops = 2, .handler = (nx_http_handler_fn *)abort
	};
	for (int kind = MEMORY; kind <= EPOLL_CTL; kind++) {
		long n = 1;
		do {
			struct nx_http *h = NULL;
			struct nx_error err;
			atomic_store(&fault_hit, false);
			atomic_store(&fault_in, n++);
			atomic_store(&fault_kind, kind);
			enum nx_code code = nx_http_start(&cfg, &h, &err);
			atomic_store(&fault_kind, -1);
			NX_CHECK(!code == !atomic_load(&fault_hit));
			NX_CHECK(!code == (h != NULL));
			if (h)
				NX_CHECK(nx_http_stop(h, 100));
		} while (atomic_load(&fault_hit) && n < 100);
		NX_CHECK(n > 2);
	}
}
