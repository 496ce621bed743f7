#include "test_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

#define WORKERS 4

struct ts_events ts_events;

static struct {
	pthread_mutex_t lock;
	pthread_cond_t some;
	struct nx_http_exchange *ring[65536];
	unsigned head, tail;
	struct nx_http_exchange *held[64];
	unsigned nheld;
	bool started;
} q = { .lock = PTHREAD_MUTEX_INITIALIZER, .some = PTHREAD_COND_INITIALIZER };

static void saw_hangup(void *arg)
{
	(void)arg;
	atomic_fetch_add(&ts_events.hangups, 1);
}

static void saw_stall(void *arg)
{
	(void)arg;
	atomic_fetch_add(&ts_events.stalls, 1);
}

static void stream(struct nx_http_exchange *x, size_t total)
{
	static char block[100000];
	nx_http_on_stall(x, saw_stall, NULL);
	nx_http_begin(x, 200, "application/octet-stream", -1);
	for (size_t at = 0, n = 1; at < total; at += n, n = n * 7 % sizeof(block) + 1) {
		if (!nx_http_write(x, block, n)) {
			atomic_fetch_add(&ts_events.failed_writes, 1);
			nx_http_abort(x);
			return;
		}
		atomic_fetch_add(&ts_events.streamed, (unsigned)n);
	}
}

static void serve(struct nx_http_exchange *x)
{
	const struct nx_http_request *r = nx_http_request(x);
	if (nx_str_is(r->path, "/lent")) {
		nx_http_reply(x, 200, "text/plain", r->body);
	} else if (nx_str_is(r->path, "/nap")) {
		bool there = nx_http_on_hangup(x, saw_hangup, x);
		const struct timespec t = { .tv_nsec = (long)(nx_str_hash(r->body) % 2000000) };
		nanosleep(&t, NULL);
		if (there)
			nx_http_reply(x, 200, "text/plain", NX_STR("nap\n"));
		else
			nx_http_abort(x);
	} else if (nx_str_is(r->path, "/stream")) {
		stream(x, (size_t)64 << 20);
		nx_http_end(x);
	} else if (nx_str_is(r->path, "/abort")) {
		stream(x, 100000);
		nx_http_abort(x);
	} else if (nx_str_is(r->path, "/short")) {
		nx_http_begin(x, 200, "text/plain", 10);
		if (nx_http_write(x, "12345", 5))
			nx_http_end(x);
	} else {
		nx_http_begin(x, 200, "text/plain", -1);
		if (nx_http_write(x, "abc", 3))
			nx_http_end(x);
	}
	nx_http_done(x);
}

static void *worker(void *arg)
{
	(void)arg;
	for (;;) {
		pthread_mutex_lock(&q.lock);
		while (q.head == q.tail)
			pthread_cond_wait(&q.some, &q.lock);
		struct nx_http_exchange *x = q.ring[q.head++ % NX_COUNTOF(q.ring)];
		pthread_mutex_unlock(&q.lock);
		serve(x);
	}
	return NULL;
}

static enum nx_http_take lend(struct nx_http_exchange *x, bool hold)
{
	pthread_mutex_lock(&q.lock);
	if (hold)
		q.held[q.nheld++ % NX_COUNTOF(q.held)] = x;
	else
		q.ring[q.tail++ % NX_COUNTOF(q.ring)] = x;
	pthread_mutex_unlock(&q.lock);
	pthread_cond_broadcast(&q.some);
	return NX_HTTP_LENT;
}

static enum nx_http_take show(struct nx_http_exchange *x)
{
	const struct nx_http_request *r = nx_http_request(x);
	char *text = nx_arena_printf(nx_http_arena(x),
				     NX_STR_FMT " " NX_STR_FMT " " NX_STR_FMT " " NX_STR_FMT " %u",
				     NX_STR_ARG(r->method_text), NX_STR_ARG(r->path),
				     NX_STR_ARG(r->query), NX_STR_ARG(r->peer), r->nheaders);
	nx_http_add_header(x, "X-Test", NX_STR("a\r\nEvil: yes"));
	nx_http_add_header(x, "Cache-Control", NX_STR("max-age=5"));
	nx_http_reply(x, 200, "text/html", nx_str(text));
	return NX_HTTP_ANSWERED;
}

static enum nx_http_take handle(struct nx_http_exchange *x, void *ctx)
{
	static char big[8 << 20];
	(void)ctx;
	const struct nx_http_request *r = nx_http_request(x);
	if (nx_str_is(r->path, "/hello"))
		nx_http_reply(x, 200, "text/plain", NX_STR("hello\n"));
	else if (nx_str_is(r->path, "/echo"))
		nx_http_reply(x, 200, "text/plain", r->body);
	else if (nx_str_is(r->path, "/big"))
		nx_http_reply(x, 200, "text/plain", nx_strn(big, sizeof(big)));
	else if (nx_str_is(r->path, "/show"))
		return show(x);
	else if (nx_str_is(r->path, "/close")) {
		nx_http_add_header(x, "Connection", NX_STR("close"));
		nx_http_reply(x, 200, "text/plain", nx_strn(big, 100));
	} else if (nx_str_is(r->path, "/hold"))
		return lend(x, true);
	else
		return lend(x, false);
	return NX_HTTP_ANSWERED;
}

void ts_start(struct test_server *t, const struct nx_http_config *base)
{
	static const char *const any[] = { "127.0.0.1:0" };
	struct nx_http_config cfg = base ? *base : (struct nx_http_config){ 0 };
	if (!cfg.nlisten) {
		cfg.listen = any;
		cfg.nlisten = 1;
	}
	if (!cfg.loops)
		cfg.loops = 2;
	cfg.handler = handle;
	struct nx_error err;
	if (nx_http_start(&cfg, &t->http, &err))
		nx_test_fail(__FILE__, __LINE__, "start: %s (%s)", err.message, err.detail);
	t->port = nx_http_port(t->http, 0);
	for (int i = 0; i < WORKERS && !q.started; i++) {
		pthread_t id;
		NX_EQ_I(0, pthread_create(&id, NULL, worker, NULL));
		pthread_detach(id);
	}
	q.started = true;
}

void ts_stop(struct test_server *t)
{
	NX_CHECK(nx_http_stop(t->http, 5000));
}

struct nx_http_exchange *ts_held(void)
{
	pthread_mutex_lock(&q.lock);
	while (q.nheld == 0)
		pthread_cond_wait(&q.some, &q.lock);
	struct nx_http_exchange *x = q.held[--q.nheld];
	pthread_mutex_unlock(&q.lock);
	return x;
}

bool ts_connect_fd(const struct test_server *t, int fd)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(t->port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

int ts_try_connect(const struct test_server *t)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && ts_connect_fd(t, fd))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

int ts_connect(const struct test_server *t)
{
	int fd = ts_try_connect(t);
	if (fd < 0)
		nx_test_fail(__FILE__, __LINE__, "connect: %s", strerror(errno));
	return fd;
}

void ts_send_n(int fd, const void *data, size_t len)
{
	const char *p = data;
	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
		if (n <= 0)
			return; /* the server has closed: what it said is judged by the reader */
		p += n;
		len -= (size_t)n;
	}
}

void ts_send(int fd, const char *text)
{
	ts_send_n(fd, text, strlen(text));
}

/* 1 bytes came, 0 end, -1 reset or too late */
static int read_some(int fd, struct nx_buf *out, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	if (poll(&p, 1, ms) <= 0)
		return -1;
	char *at = nx_buf_reserve(out, 65536);
	NX_CHECK(at);
	ssize_t n = recv(fd, at, 65536, 0);
	if (n > 0)
		out->len += (size_t)n;
	return n > 0 ? 1 : (int)n;
}

bool ts_read_all(int fd, struct nx_buf *out, int ms)
{
	int r;
	while ((r = read_some(fd, out, ms)) > 0)
		;
	return r == 0;
}

/* A byte at a time is slow and never takes bytes of the next answer. */
static int read_head(int fd, struct nx_buf *head)
{
	while (head->len < 4 || memcmp(head->data + head->len - 4, "\r\n\r\n", 4) != 0) {
		char c;
		ssize_t n = recv(fd, &c, 1, 0);
		if (n <= 0)
			return -1;
		nx_buf_putc(head, c);
	}
	nx_buf_putc(head, '\0');
	head->len--;
	return (int)strtol(head->data + 9, NULL, 10);
}

static bool read_n(int fd, struct nx_buf *out, size_t n)
{
	char *p = nx_buf_reserve(out, n);
	NX_CHECK(p || n == 0);
	for (size_t got = 0; got < n;) {
		ssize_t r = recv(fd, p + got, n - got, 0);
		if (r <= 0)
			return false;
		got += (size_t)r;
	}
	out->len += n;
	return true;
}

static bool read_chunks(int fd, struct nx_buf *body)
{
	for (;;) {
		char line[32];
		size_t n = 0;
		do {
			if (n == sizeof(line) - 1 || recv(fd, &line[n], 1, 0) != 1)
				return false;
		} while (line[n++] != '\n');
		line[n] = '\0';
		size_t size = strtoul(line, NULL, 16);
		if (!read_n(fd, body, size))
			return false;
		char crlf[2];
		if (recv(fd, crlf, 2, MSG_WAITALL) != 2 || crlf[0] != '\r')
			return false;
		if (size == 0)
			return true;
	}
}

int ts_answer(int fd, struct nx_buf *head, struct nx_buf *body)
{
	nx_buf_clear(head);
	nx_buf_clear(body);
	int status = read_head(fd, head);
	if (status < 0)
		return -1;
	const char *length = strstr(head->data, "Content-Length: ");
	if (strstr(head->data, "Transfer-Encoding: chunked"))
		return read_chunks(fd, body) ? status : -1;
	if (length && !read_n(fd, body, strtoul(length + 16, NULL, 10)))
		return -1;
	return status;
}

int ts_status(const struct test_server *t, const char *request)
{
	struct nx_buf head, body;
	nx_buf_init(&head, 1 << 20);
	nx_buf_init(&body, 1 << 26);
	int fd = ts_connect(t);
	ts_send(fd, request);
	int status = ts_answer(fd, &head, &body);
	close(fd);
	nx_buf_done(&head);
	nx_buf_done(&body);
	return status;
}
