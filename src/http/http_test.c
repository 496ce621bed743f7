/* What clients see, on real sockets. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"
#include "test_server.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, len) "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " len "\r\n\r\n"

static struct nx_buf head, body; /* of the last answer */
static struct test_server t;

static void sleep_ms(long ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };
	nanosleep(&ts, NULL);
}

static void start(const struct nx_http_config *cfg)
{
	nx_buf_init(&head, 1 << 20);
	nx_buf_init(&body, 1 << 27);
	ts_start(&t, cfg);
}

static void stop(void)
{
	ts_stop(&t);
	nx_buf_done(&head);
	nx_buf_done(&body);
}

static void want(int fd, int status, const char *text)
{
	NX_EQ_I(status, ts_answer(fd, &head, &body));
	if (text)
		NX_EQ_STR(nx_str(text), nx_buf_str(&body));
}

static bool head_has(const char *line)
{
	return strstr(head.data, line) != NULL;
}

/* Waits until the server has closed: true when it did. */
static bool closed(int fd, int ms)
{
	struct nx_buf rest;
	nx_buf_init(&rest, 1 << 27);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t until = nx_now() + ms * NX_MS;
	bool end = false;
	while (!end && poll(&p, 1, nx_poll_ms(until, ms)) > 0) {
		char sink[65536];
		end = recv(fd, sink, sizeof(sink), 0) <= 0;
	}
	nx_buf_done(&rest);
	return end;
}

static void wait_for(_Atomic unsigned *n, unsigned at_least)
{
	for (int i = 0; i < 5000 && atomic_load(n) < at_least; i++)
		sleep_ms(1);
	NX_CHECK(atomic_load(n) >= at_least);
}

NX_TEST(answers_and_keeps_alive)
{
	start(NULL);
	int fd = ts_connect(&t);
	for (int i = 0; i < 3; i++) {
		ts_send(fd, GET("/hello"));
		want(fd, 200, "hello\n");
		ts_send(fd, POST("/echo", "3") "abc");
		want(fd, 200, "abc");
		ts_send(fd, POST("/lent", "4") "wxyz");
		want(fd, 200, "wxyz");
		ts_send(fd, "POST /lent HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
			    "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
		want(fd, 200, "abc");
	}
	NX_CHECK(head_has("\r\nDate: ") && head_has("\r\nX-Content-Type-Options: nosniff\r\n") &&
		 head_has("\r\nCache-Control: no-store\r\n") &&
		 head_has("\r\nContent-Security-Policy: default-src 'none'\r\n"));
	ts_send(fd, GET("/show?a=b"));
	want(fd, 200, "GET /show a=b 127.0.0.1 1");
	NX_CHECK(head_has("\r\nX-Test: a  Evil: yes\r\n") && head_has("max-age=5") &&
		 !head_has("no-store") && !head_has("Security-Policy"));
	struct nx_http_stats s;
	nx_http_stats(t.http, &s);
	NX_EQ_I(1, s.accepted);
	NX_EQ_I(13, s.requests);
	NX_EQ_I(1, s.connections);
	close(fd);
	stop();
}

NX_TEST(methods_versions_and_forms)
{
	start(NULL);
	int fd = ts_connect(&t);
	ts_send(fd, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n" GET("/hello"));
	nx_buf_clear(&head);
	NX_CHECK(ts_read_all(fd, &head, 300) == false);
	nx_buf_putc(&head, '\0');
	NX_CHECK(strstr(head.data, "Content-Length: 6\r\n"));
	const char *second = strstr(head.data + 1, "HTTP/1.1 200");
	NX_CHECK(second && !strstr(second + 1, "HTTP/1.1 200"));
	NX_CHECK(second - 4 > head.data && memcmp(second - 4, "\r\n\r\n", 4) == 0);
	close(fd);
	fd = ts_connect(&t); /* refused before it was read whole: still no body */
	ts_send(fd, "HEAD /a/../b HTTP/1.1\r\nHost: a\r\n\r\n");
	nx_buf_clear(&head);
	NX_CHECK(ts_read_all(fd, &head, 1000));
	NX_CHECK(nx_str_starts(nx_buf_str(&head), NX_STR("HTTP/1.1 400")));
	NX_CHECK(nx_str_ends(nx_buf_str(&head), NX_STR("\r\n\r\n")));
	close(fd);
	fd = ts_connect(&t); /* 1.0 closes */
	ts_send(fd, "GET /hello HTTP/1.0\r\n\r\n");
	want(fd, 200, "hello\n");
	NX_CHECK(head_has("Connection: close") && closed(fd, 500));
	close(fd);
	fd = ts_connect(&t); /* unless asked; and gets no chunks */
	ts_send(fd, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	want(fd, 200, "hello\n");
	NX_CHECK(head_has("Connection: keep-alive"));
	ts_send(fd, "GET /until-close HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	nx_buf_clear(&head);
	NX_CHECK(ts_read_all(fd, &head, 1000));
	NX_CHECK(nx_str_ends(nx_buf_str(&head), NX_STR("\r\n\r\nabc")));
	close(fd);
	fd = ts_connect(&t);
	ts_send(fd, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" GET("http://b/hello"));
	NX_EQ_I(204, ts_answer(fd, &head, &body));
	NX_CHECK(head_has("Allow: GET"));
	want(fd, 200, "hello\n");
	ts_send(fd, GET("/close"));
	NX_EQ_I(200, ts_answer(fd, &head, &body));
	NX_CHECK(head_has("Connection: close") && closed(fd, 500));
	close(fd);
	stop();
}

NX_TEST(two_addresses)
{
	static const char *const both[] = { "127.0.0.1:0", "[::1]:0" };
	int probe = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	if (probe < 0 || bind(probe, (struct sockaddr *)&a, sizeof(a)) < 0)
		NX_SKIP("no IPv6 loopback");
	close(probe);
	struct nx_http_config cfg = { .listen = both, .nlisten = 2 };
	start(&cfg);
	int fd = ts_connect(&t);
	ts_send(fd, GET("/show"));
	want(fd, 200, "GET /show  127.0.0.1 1");
	close(fd);
	a.sin6_port = htons(nx_http_port(t.http, 1));
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	NX_EQ_I(0, connect(fd, (struct sockaddr *)&a, sizeof(a)));
	ts_send(fd, GET("/show"));
	want(fd, 200, "GET /show  ::1 1");
	close(fd);
	stop();
}

NX_TEST(pipelining_in_order)
{
	enum { N = 500 };
	start(NULL);
	struct nx_buf all;
	nx_buf_init(&all, 1 << 20);
	for (int i = 0; i < N; i++)
		nx_buf_printf(&all, "POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n%04d",
			      i % 3 == 1 ? "lent" : "echo", i);
	int fd = ts_connect(&t);
	ts_send_n(fd, all.data, all.len);
	for (int i = 0; i < N; i++) {
		char text[16];
		(void)snprintf(text, sizeof(text), "%04d", i);
		want(fd, 200, text);
	}
	for (size_t i = 0; i < all.len / 8; i++) /* and in odd pieces */
		ts_send_n(fd, all.data + i * 8, 8);
	ts_send_n(fd, all.data + all.len / 8 * 8, all.len % 8);
	for (int i = 0; i < N; i++)
		NX_EQ_I(200, ts_answer(fd, &head, &body));
	NX_EQ_STR(NX_STR("0499"), nx_buf_str(&body));
	close(fd);
	nx_buf_done(&all);
	stop();
}

NX_TEST(limits_and_their_codes)
{
	struct nx_http_config cfg = { .max_head = 1024, .max_body = 5000, .max_headers = 8 };
	start(&cfg);
	char big[4000];
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	struct nx_buf b;
	nx_buf_init(&b, 1 << 20);
	nx_buf_printf(&b, "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n%c", big, '\0');
	NX_EQ_I(414, ts_status(&t, b.data));
	nx_buf_clear(&b);
	nx_buf_printf(&b, "GET / HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n%c", big, '\0');
	NX_EQ_I(431, ts_status(&t, b.data));
	NX_EQ_I(431,
		ts_status(&t, "GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:"
			      "\r\nH:\r\n\r\n"));
	NX_EQ_I(413, ts_status(&t, POST("/echo", "5001")));
	NX_EQ_I(413, ts_status(&t, POST("/echo", "10000000000")));
	NX_EQ_I(413,
		ts_status(&t, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
			      "1389\r\n"));
	NX_EQ_I(400, ts_status(&t, "GET / HTTP/1.1\r\n\r\n"));
	NX_EQ_I(400, ts_status(&t, "\x16\x03\x01"));
	NX_EQ_I(505, ts_status(&t, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"));
	NX_EQ_I(417, ts_status(&t, "POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n"));
	int fd = ts_connect(&t);
	ts_send(fd, "GET / HTTP/1.1\r\nHost : a\r\n\r\n" GET("/hello"));
	NX_EQ_I(400, ts_answer(fd, &head, &body));
	NX_CHECK(head_has("Connection: close") && head_has("application/json"));
	NX_CHECK(nx_str_starts(nx_buf_str(&body), NX_STR("{\"success\":false,\"error\":{\"code\":"
							 "\"BAD_REQUEST\",\"message\":\"")));
	NX_CHECK(closed(fd, 2000));
	close(fd);
	nx_buf_done(&b);
	stop();
}

/* The probes other servers were measured with: each is refused, and nothing behind it is answered. */
NX_TEST(smuggling_probes)
{
#define P "POST /echo HTTP/1.1\r\n"
	static const char *const probes[] = {
		P "Host: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		P "Host: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
		P "Host: a\r\nContent-Length: +0\r\n\r\n",
		P "Host: a\r\nContent-Length: -1\r\n\r\n",
		P "Host: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
		P "Host: a\r\nContent-Length : 0\r\n\r\n",
		P "Host: a\r\nX: y\r\n z\r\n\r\n",
		P "Host: a\nX: y\n\n",
		P "Host: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
		P "\r\n",
		P "Host: a\r\nHost: b\r\n\r\n",
		P "Host: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		P "Host: a\r\nX-Abc:\rxTransfer-Encoding: chunked\r\n\r\n",
	};
#undef P
	start(NULL);
	for (size_t i = 0; i < NX_COUNTOF(probes); i++) {
		int fd = ts_connect(&t);
		ts_send(fd, probes[i]);
		ts_send(fd, GET("/hello"));
		int status = ts_answer(fd, &head, &body);
		if (status != 400)
			nx_test_fail(__FILE__, __LINE__, "probe %zu: %d", i, status);
		nx_buf_clear(&body);
		NX_CHECK(ts_read_all(fd, &body, 3000));
		NX_EQ_I(0, body.len);
		close(fd);
	}
	int fd = ts_connect(&t); /* a NUL cannot be in a C string */
	static const char nul[] = "GET /hello HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n";
	ts_send_n(fd, nul, sizeof(nul) - 1);
	want(fd, 400, NULL);
	close(fd);
	struct nx_http_stats s;
	nx_http_stats(t.http, &s);
	NX_EQ_I(0, s.requests);
	stop();
}

NX_TEST(large_bodies)
{
	enum { N = 900000 };
	start(NULL);
	char *data = malloc(N);
	NX_CHECK(data);
	for (size_t i = 0; i < N; i++)
		data[i] = (char)(i * 31 >> 3);
	int fd = ts_connect(&t);
	for (int round = 0; round < 3; round++) {
		size_t n = round == 0	? N
			   : round == 1 ? 20000
					: 16500; /* around the buffer's size */
		for (int chunked = 0; chunked < 2; chunked++) {
			struct nx_buf b;
			nx_buf_init(&b, 2 * N);
			nx_buf_printf(&b, "POST /%s HTTP/1.1\r\nHost: a\r\n",
				      round == 2 ? "echo" : "lent");
			nx_buf_printf(&b,
				      chunked ? "Transfer-Encoding: chunked\r\n\r\n%zx\r\n"
					      : "Content-Length: %zu\r\n\r\n",
				      n);
			nx_buf_put(&b, data, n);
			nx_buf_puts(&b, chunked ? "\r\n0\r\n\r\n" : "");
			ts_send_n(fd, b.data, b.len);
			want(fd, 200, NULL);
			NX_EQ_I(n, body.len);
			NX_CHECK(memcmp(body.data, data, n) == 0);
			nx_buf_done(&b);
		}
	}
	ts_send(fd, GET("/big") GET("/hello")); /* larger than socket buffers, on the loop */
	sleep_ms(100);
	want(fd, 200, NULL);
	NX_EQ_I(8 << 20, body.len);
	want(fd, 200, "hello\n");
	close(fd);
	free(data);
	stop();
}

NX_TEST(expect_100)
{
	start(NULL);
	int fd = ts_connect(&t);
	ts_send(fd, "POST /lent HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
		    "2\r\n\r\n");
	NX_EQ_I(100, ts_answer(fd, &head, &body));
	ts_send(fd, "ok");
	want(fd, 200, "ok");
	close(fd);
	stop();
}

/* One byte now and then does not keep a connection: deadlines are absolute. */
static void drip(const char *first, const char *rest, int timeout_ms)
{
	int fd = ts_connect(&t);
	int64_t began = nx_now();
	ts_send(fd, first);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	while (poll(&p, 1, 50) == 0 && *rest)
		ts_send_n(fd, rest++, 1);
	NX_EQ_I(408, ts_answer(fd, &head, &body));
	NX_CHECK(memmem(body.data, body.len, "REQUEST_TIMEOUT", 15));
	int64_t took = (nx_now() - began) / NX_MS;
	NX_CHECK(took >= timeout_ms - 5 && took < timeout_ms + 1000);
	NX_CHECK(closed(fd, 2000));
	close(fd);
}

NX_TEST(slow_clients_are_cut)
{
	struct nx_http_config cfg = { .head_timeout_ms = 400,
				      .body_timeout_ms = 500,
				      .idle_timeout_ms = 600 };
	start(&cfg);
	drip("G", "ET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 400);
	drip(POST("/echo", "100"), "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", 500);
	drip("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
	     "50\r\nbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", 500);
	int fd = ts_connect(&t);
	ts_send(fd, GET("/lent"));
	want(fd, 200, NULL);
	int64_t began = nx_now();
	NX_CHECK(closed(fd, 3000)); /* idle: without a word */
	NX_CHECK(nx_now() - began >= 590 * NX_MS);
	struct nx_http_stats s;
	nx_http_stats(t.http, &s);
	NX_EQ_I(4, s.timeouts);
	NX_EQ_I(3, s.bad_requests);
	close(fd);
	stop();
}

NX_TEST(slow_readers_are_cut)
{
	struct nx_http_config cfg = { .write_timeout_ms = 400, .write_min_rate = 1000000 };
	start(&cfg);
	int fd = ts_connect(&t);
	ts_send(fd, GET("/stream"));
	wait_for(&ts_events.failed_writes, 1); /* never reads */
	NX_EQ_I(1, atomic_load(&ts_events.stalls));
	close(fd);
	fd = ts_connect(&t); /* reads 40 kB/s where 1 MB/s is the least */
	ts_send(fd, GET("/stream"));
	char sink[4000];
	for (int i = 0; i < 100 && atomic_load(&ts_events.failed_writes) < 2; i++) {
		NX_CHECK(recv(fd, sink, sizeof(sink), 0) >= 0);
		sleep_ms(100);
	}
	wait_for(&ts_events.failed_writes, 2);
	close(fd);
	fd = ts_connect(&t); /* on the loop */
	ts_send(fd, GET("/big"));
	sleep_ms(1500);
	struct nx_http_stats s;
	nx_http_stats(t.http, &s);
	NX_EQ_I(0, s.connections);
	NX_EQ_I(0, s.lent);
	close(fd);
	stop();
}

NX_TEST(answers_nobody_reads_are_bounded)
{
	enum { N = 60 };
	struct nx_http_config cfg = { .loops = 1 };
	start(&cfg);
	int fd[N], small = 4096;
	for (int i = 0; i < N; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(fd[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		NX_CHECK(ts_connect_fd(&t, fd[i]));
		ts_send(fd[i], GET("/big"));
	}
	struct nx_http_stats s;
	for (int i = 0; i < 2000; i++) {
		nx_http_stats(t.http, &s);
		if (s.requests == N && s.connections < N)
			break;
		sleep_ms(1);
	}
	NX_CHECK(s.connections > 0 && s.connections <= 20);
	int other = ts_connect(&t);
	ts_send(other, GET("/hello"));
	want(other, 200, "hello\n");
	want(fd[0], 200, NULL); /* the first ones still get theirs */
	NX_EQ_I(8 << 20, body.len);
	for (int i = 0; i < N; i++)
		close(fd[i]);
	close(other);
	stop();
}

static void count_hangup(void *arg)
{
	atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

NX_TEST(hangup_while_lent)
{
	start(NULL);
	for (int how = 0; how < 3; how++) {
		unsigned before = atomic_load(&ts_events.hangups);
		int fd = ts_connect(&t);
		ts_send(fd, POST("/hold", "1") "x");
		struct nx_http_exchange *x = ts_held();
		NX_CHECK(nx_http_on_hangup(x, count_hangup, &ts_events.hangups));
		if (how == 0) {
			close(fd);
		} else if (how == 1) {
			shutdown(fd, SHUT_WR);
		} else { /* reset */
			struct linger now = { .l_onoff = 1 };
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
			close(fd);
		}
		int64_t began = nx_now();
		wait_for(&ts_events.hangups, before + 1);
		NX_CHECK(nx_now() - began < 200 * NX_MS);
		NX_CHECK(!nx_http_on_hangup(x, count_hangup, &ts_events.hangups));
		nx_http_begin(x, 200, NULL, -1);
		NX_CHECK(!nx_http_write(x, "abc", 3));
		nx_http_abort(x);
		nx_http_done(x);
		if (how == 1)
			close(fd);
		NX_EQ_I(before + 1, atomic_load(&ts_events.hangups));
	}
	/* gone before it was lent: the handler is told at once */
	int fd = ts_connect(&t);
	ts_send(fd, GET("/hold"));
	struct nx_http_exchange *x = ts_held();
	NX_CHECK(nx_http_on_hangup(x, NULL, NULL));
	ts_send(fd, GET("/hold")); /* pipelined behind it, with the end */
	shutdown(fd, SHUT_WR);
	sleep_ms(50);
	nx_http_reply(x, 200, NULL, NX_STR("first"));
	nx_http_done(x);
	x = ts_held();
	NX_CHECK(!nx_http_on_hangup(x, NULL, NULL));
	nx_http_abort(x);
	nx_http_done(x);
	want(fd, 200, "first");
	NX_CHECK(closed(fd, 1000));
	close(fd);
	stop();
}

/* The hang-up function may end the exchange itself, as a wait queue does. */
static void give_up(void *arg)
{
	nx_http_abort(arg);
	nx_http_done(arg);
	atomic_fetch_add(&ts_events.hangups, 1);
}

NX_TEST(hangup_function_may_end_the_exchange)
{
	start(NULL);
	for (int i = 0; i < 200; i++) {
		unsigned before = atomic_load(&ts_events.hangups);
		int fd = ts_connect(&t);
		ts_send(fd, GET("/hold"));
		struct nx_http_exchange *x = ts_held();
		NX_CHECK(nx_http_on_hangup(x, give_up, x));
		close(fd);
		wait_for(&ts_events.hangups, before + 1);
	}
	stop();
}

static int curl(const char *options, const char *scheme, const char *path)
{
	char cmd[512];
	(void)snprintf(cmd, sizeof(cmd), "curl -s -o /dev/null -m 20 %s %s://127.0.0.1:%u%s",
		       options, scheme, t.port, path);
	int r = system(cmd);
	return WIFEXITED(r) ? WEXITSTATUS(r) : -1;
}

NX_TEST(broken_answers_are_noticed)
{
	start(NULL);
	if (curl("", "http", "/hello") == 127)
		NX_SKIP("no curl");
	NX_EQ_I(0, curl("", "http", "/hello"));
	NX_EQ_I(0, curl("-f", "http", "/until-close"));
	NX_EQ_I(0, curl("-f --http1.0", "http", "/until-close"));
	int r = curl("", "http", "/abort");
	NX_CHECK(r == 18 || r == 56);
	r = curl("--http1.0", "http", "/abort");
	NX_CHECK(r == 18 || r == 56);
	r = curl("", "http", "/short");
	NX_CHECK(r == 18 || r == 56);
	stop();
}

NX_TEST(drain_and_stop)
{
	start(NULL);
	int idle = ts_connect(&t), busy = ts_connect(&t), half = ts_connect(&t);
	ts_send(idle, GET("/hello"));
	want(idle, 200, "hello\n");
	ts_send(busy, GET("/hold"));
	struct nx_http_exchange *x = ts_held();
	ts_send(half, "GET /hello HT");
	sleep_ms(20);
	nx_http_drain(t.http, 0);
	NX_CHECK(closed(idle, 1000));
	ts_send(half, "TP/1.1\r\nHost: a\r\n\r\n");
	want(half, 200, "hello\n");
	NX_CHECK(head_has("Connection: close") && closed(half, 1000));
	nx_http_reply(x, 200, NULL, NX_STR("last"));
	nx_http_done(x);
	want(busy, 200, "last");
	NX_CHECK(head_has("Connection: close") && closed(busy, 1000));
	close(idle);
	close(busy);
	close(half);
	stop();
}

NX_TEST(stop_waits_hangs_up_and_says_so)
{
	start(NULL);
	int fd = ts_connect(&t);
	ts_send(fd, GET("/hold"));
	struct nx_http_exchange *x = ts_held();
	NX_CHECK(nx_http_on_hangup(x, count_hangup, &ts_events.hangups));
	NX_CHECK(!nx_http_stop(t.http, 50)); /* the owner sits on it: nothing is freed */
	NX_EQ_I(1, atomic_load(&ts_events.hangups));
	nx_http_reply(x, 200, NULL, NX_STR("too late"));
	nx_http_done(x);
	NX_CHECK(nx_http_stop(t.http, 50));
	NX_CHECK(closed(fd, 100));
	close(fd);
	start(NULL); /* a stream is ended by the hang-up */
	fd = ts_connect(&t);
	ts_send(fd, GET("/stream"));
	wait_for(&ts_events.streamed, 1);
	NX_CHECK(nx_http_stop(t.http, 50));
	close(fd);
}

NX_TEST(connection_cap)
{
	struct nx_http_config cfg = { .max_connections = 3 };
	start(&cfg);
	int fd[4];
	for (int i = 0; i < 3; i++) {
		fd[i] = ts_connect(&t);
		ts_send(fd[i], GET("/hello"));
		want(fd[i], 200, "hello\n");
	}
	fd[3] = ts_connect(&t);
	NX_EQ_I(503, ts_answer(fd[3], &head, &body));
	NX_CHECK(memmem(body.data, body.len, "OVERLOADED", 10));
	NX_CHECK(closed(fd[3], 500));
	close(fd[0]);
	close(fd[3]);
	sleep_ms(50);
	fd[0] = ts_connect(&t);
	ts_send(fd[0], GET("/hello"));
	want(fd[0], 200, "hello\n");
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	stop();
}

NX_TEST(a_taken_port_is_an_error)
{
	start(NULL);
	char addr[32];
	(void)snprintf(addr, sizeof(addr), "127.0.0.1:%u", t.port);
	const char *const addrs[] = { addr }, *const odd[] = { "nonsense" };
	struct nx_http_config cfg = { .listen = addrs,
				      .nlisten = 1,
				      .handler = (nx_http_handler_fn *)abort };
	struct nx_http *h = NULL;
	struct nx_error err;
	NX_EQ_I(NX_E_IO, nx_http_start(&cfg, &h, &err));
	cfg.listen = odd;
	NX_EQ_I(NX_E_CONFIG, nx_http_start(&cfg, &h, &err));
	cfg.listen = addrs;
	cfg.tls_cert = "/nonexistent";
	NX_EQ_I(NX_E_CONFIG, nx_http_start(&cfg, &h, &err));
	NX_CHECK(h == NULL);
	stop();
}

/* A process that is being spawned has copies of all descriptors for a moment. The watch on a connection must not
 * outlive it in there: an event would come for what was freed. */
NX_TEST(a_copy_of_the_socket_elsewhere)
{
	start(NULL);
	int fd[8];
	for (size_t i = 0; i < NX_COUNTOF(fd); i++) {
		fd[i] = ts_connect(&t);
		ts_send(fd[i], GET("/hello"));
		want(fd[i], 200, "hello\n");
	}
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	NX_CHECK(pid > 0);
	for (size_t i = 0; i < NX_COUNTOF(fd); i++) {
		ts_send(fd[i], GET("/close"));
		NX_EQ_I(200, ts_answer(fd[i], &head, &body));
	}
	sleep_ms(50); /* the server has closed its side; only the child's copy is left */
	for (size_t i = 0; i < NX_COUNTOF(fd); i++) {
		ts_send(fd[i], GET("/hello"));
		close(fd[i]);
	}
	sleep_ms(50);
	NX_EQ_I(200, ts_status(&t, GET("/hello")));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	stop();
}
