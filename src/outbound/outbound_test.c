/* Against a server in a thread of the test: it answers as the case says, to one connection at a time. */
#include "outbound/outbound.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/net.h"
#include "outbound/outbound_int.h"
#include "test.h"

static struct {
	int fd;
	unsigned port;
	pthread_t thread;
	const char *answer; /* bytes to send */
	bool endless; /* and then this again and again, slowly where asked */
	long pause_ms;
	SSL_CTX *tls;
	char seen[8192]; /* the last request */
	atomic_int requests, connections;
	atomic_bool stop;
} srv;

static void sleep_ms(long ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };
	nanosleep(&ts, NULL);
}

static ssize_t get(SSL *s, int fd, char *p, size_t n)
{
	return s ? SSL_read(s, p, (int)n) : recv(fd, p, n, 0);
}

static bool put(SSL *s, int fd, const char *p, size_t n)
{
	return s ? SSL_write(s, p, (int)n) > 0 : send(fd, p, n, MSG_NOSIGNAL) > 0;
}

static bool read_request(SSL *s, int fd)
{
	size_t n = 0;
	const char *length, *end = NULL;
	while (n < sizeof(srv.seen) - 1) {
		ssize_t r = get(s, fd, srv.seen + n, sizeof(srv.seen) - 1 - n);
		if (r <= 0)
			return false;
		n += (size_t)r;
		srv.seen[n] = '\0';
		end = strstr(srv.seen, "\r\n\r\n");
		length = strstr(srv.seen, "Content-Length: ");
		size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
		if (end && n >= (size_t)(end + 4 - srv.seen) + body)
			return true;
	}
	return false;
}

static void answer_one(int fd)
{
	SSL *s = srv.tls ? SSL_new(srv.tls) : NULL;
	if (s && (!SSL_set_fd(s, fd) || SSL_accept(s) <= 0))
		goto out;
	if (!read_request(s, fd))
		goto out;
	atomic_fetch_add(&srv.requests, 1);
	if (!put(s, fd, srv.answer, strlen(srv.answer)))
		goto out;
	while (srv.endless && !atomic_load(&srv.stop)) {
		if (srv.pause_ms)
			sleep_ms(srv.pause_ms);
		if (!put(s, fd, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", srv.pause_ms ? 1 : 32))
			break;
	}
out:
	if (s) {
		SSL_shutdown(s);
		SSL_free(s);
	}
	close(fd);
}

static void *serve(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = accept(srv.fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		atomic_fetch_add(&srv.connections, 1);
		answer_one(fd);
	}
}

static void start(const char *answer)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	srv.answer = answer;
	srv.fd = socket(AF_INET, SOCK_STREAM, 0);
	NX_CHECK(bind(srv.fd, (struct sockaddr *)&a, len) == 0 && listen(srv.fd, 16) == 0);
	NX_CHECK(getsockname(srv.fd, (struct sockaddr *)&a, &len) == 0);
	srv.port = ntohs(a.sin_port);
	NX_EQ_I(0, pthread_create(&srv.thread, NULL, serve, NULL));
	NX_EQ_I(NX_OK, nx_outbound_init(NULL));
}

static void stop(void)
{
	atomic_store(&srv.stop, true);
	shutdown(srv.fd, SHUT_RDWR);
	pthread_join(srv.thread, NULL);
	close(srv.fd);
}

static struct nx_arena *arena;
static struct nx_outbound_answer ans;
static struct nx_error err;

static const char *url(const char *host, const char *path)
{
	static char text[256];
	(void)snprintf(text, sizeof(text), "%s:%u%s", host, srv.port, path);
	return text;
}

static enum nx_code call(struct nx_outbound_request q)
{
	if (!arena)
		arena = nx_arena_new((size_t)32 << 20);
	if (!q.url)
		q.url = url("http://127.0.0.1", "/path?secret=1");
	if (!q.deadline)
		q.deadline = nx_now() + 20 * NX_SEC;
	if (!q.max_body)
		q.max_body = 4096;
	nx_error_clear(&err);
	ans = (struct nx_outbound_answer){ .status = -1 };
	enum nx_code c = nx_outbound_call(&q, arena, &ans, &err);
	if (c) {
		NX_EQ_I(-1, ans.status);
		NX_CHECK(!strstr(err.message, "secret") && !strstr(err.detail, "secret"));
		NX_EQ_I(c, err.code);
	}
	return c;
}

#define CALL(...) call((struct nx_outbound_request){ __VA_ARGS__ })
#define CALL_PLAIN() call((struct nx_outbound_request){ .url = NULL })

static void done(void)
{
	stop();
	nx_arena_free(arena);
}

NX_TEST(get_and_post)
{
	start("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: public, max-age=60\r\n"
	      "Retry-After: 7\r\n\r\nhello");
	NX_EQ_I(NX_OK,
		CALL(.headers = { NX_STR("Accept: text/plain"), NX_STR("X-A: b") }, .nheaders = 2));
	NX_EQ_I(200, ans.status);
	NX_EQ_STR(NX_STR("hello"), ans.body);
	NX_EQ_I(60, ans.max_age_s);
	NX_EQ_I(7, ans.retry_after_s);
	NX_CHECK(strstr(srv.seen, "GET /path?secret=1 HTTP/1.1\r\n") == srv.seen);
	NX_CHECK(strstr(srv.seen, "\r\nAccept: text/plain\r\n") && strstr(srv.seen, "X-A: b\r\n"));
	NX_EQ_I(NX_OK, CALL(.body = NX_STR("a=1")));
	NX_CHECK(strstr(srv.seen, "POST /path") == srv.seen && strstr(srv.seen, "\r\n\r\na=1"));
	NX_CHECK(!strstr(srv.seen, "Expect"));
	NX_EQ_I(NX_OK, CALL(.method = "PUT", .body = NX_STR("{}")));
	NX_CHECK(strstr(srv.seen, "PUT /path") == srv.seen && strstr(srv.seen, "\r\n\r\n{}"));
	NX_EQ_I(NX_OK, CALL(.method = "POST"));
	NX_CHECK(strstr(srv.seen, "POST /path") && strstr(srv.seen, "Content-Length: 0\r\n"));
	NX_EQ_I(NX_OK, CALL(.method = "LIST"));
	NX_CHECK(strstr(srv.seen, "LIST /path") == srv.seen);
	done();
}

NX_TEST(statuses_are_not_judged)
{
	start("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno");
	NX_EQ_I(NX_OK, CALL_PLAIN());
	NX_EQ_I(503, ans.status);
	NX_EQ_STR(NX_STR("no"), ans.body);
	srv.answer = "HTTP/1.1 100 Continue\r\nRetry-After: 3\r\n\r\nHTTP/1.1 204 None\r\n\r\n";
	NX_EQ_I(NX_OK, CALL_PLAIN());
	NX_EQ_I(204, ans.status);
	NX_EQ_I(0, ans.body.len);
	NX_EQ_I(0, ans.retry_after_s);
	done();
}

NX_TEST(a_redirect_is_an_answer)
{
	static char text[300];
	start("");
	(void)snprintf(text, sizeof(text),
		       "HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:%u/other\r\n"
		       "Content-Length: 0\r\n\r\n",
		       srv.port);
	srv.answer = text;
	NX_EQ_I(NX_OK, CALL(.body = NX_STR("client_secret=x"),
			    .headers = { NX_STR("Authorization: Basic eA==") }, .nheaders = 1));
	NX_EQ_I(307, ans.status);
	NX_EQ_I(1, atomic_load(&srv.requests));
	done();
}

NX_TEST(a_body_without_end)
{
	start("HTTP/1.1 200 OK\r\n\r\n");
	srv.endless = true;
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL(.max_body = 1 << 20));
	NX_CHECK(strstr(err.message, "length"));
	/* said beforehand, it is not even read */
	srv.answer = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL(.max_body = 4999));
	NX_CHECK(strstr(err.message, "length"));
	srv.answer = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
	NX_EQ_I(NX_OK, CALL(.max_body = 5000));
	NX_EQ_I(5000, ans.body.len);
	/* chunks that never end, and a head that never ends */
	srv.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n";
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL_PLAIN());
	srv.answer = "HTTP/1.1 200 OK\r\nX: ";
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL_PLAIN());
	done();
}

NX_TEST(slow_answers_meet_the_deadline)
{
	start("HTTP/1.1 200 OK\r\n\r\n");
	srv.endless = true;
	srv.pause_ms = 20;
	int64_t began = nx_now();
	NX_EQ_I(NX_E_OUTBOUND_TIMEOUT, CALL(.deadline = began + 300 * NX_MS));
	NX_CHECK(nx_now() - began >= 290 * NX_MS && nx_now() - began < 5 * NX_SEC);
	NX_EQ_I(NX_E_OUTBOUND_TIMEOUT, CALL(.deadline = began)); /* past: nothing is sent */
	NX_EQ_I(1, atomic_load(&srv.requests));
	srv.answer = "HTTP/1.1 200 OK\r\nX: "; /* in the head, too */
	began = nx_now();
	NX_EQ_I(NX_E_OUTBOUND_TIMEOUT, CALL(.deadline = began + 300 * NX_MS));
	done();
}

NX_TEST(broken_answers)
{
	start("SSH-2.0-OpenSSH_9.2\r\n");
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL_PLAIN());
	srv.answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL_PLAIN());
	srv.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel";
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL_PLAIN());
	srv.answer = "";
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL_PLAIN());
	/* 777 is no status */
	srv.answer = "HTTP/1.1 777 Odd\r\nContent-Length: 0\r\n\r\n";
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL_PLAIN());
	done();
	NX_EQ_I(0, arena == NULL);
}

NX_TEST(nobody_there)
{
	start("");
	stop();
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL_PLAIN());
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL(.url = "https://nobody.invalid/"));
	NX_CHECK(strstr(err.message, "unknown host"));
	nx_arena_free(arena);
}

NX_TEST(addresses_are_held_to_the_policy)
{
	start("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	NX_EQ_I(NX_E_HOST_DENIED, CALL(.url = "http://169.254.169.254/latest/", .plain = true));
	NX_EQ_I(NX_E_HOST_DENIED, CALL(.url = "http://0xa9fea9fe/latest/", .plain = true));
	NX_EQ_I(NX_E_HOST_DENIED, CALL(.url = "http://[::ffff:169.254.169.254]/", .plain = true));
	NX_EQ_I(NX_E_HOST_DENIED, CALL(.url = "https://0.0.0.0/"));
	NX_EQ_I(NX_OK, CALL(.url = url("http://localhost", "/")));
	NX_EQ_I(NX_OK, nx_net_policy(NX_STR(""), NX_STR("127.0.0.0/8,::1"), NULL));
	NX_EQ_I(NX_E_HOST_DENIED, CALL(.url = url("http://localhost", "/")));
	NX_EQ_I(NX_E_HOST_DENIED, CALL_PLAIN());
	NX_EQ_I(1, atomic_load(&srv.connections));
	done();
}

NX_TEST(plain_http_only_to_loopback)
{
	start("");
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL(.url = "http://192.0.2.1/"));
	NX_CHECK(strstr(err.message, "https"));
	/* allowed it is tried: nobody is there, or no route leads there */
	enum nx_code c =
		CALL(.url = "http://192.0.2.1/", .plain = true, .deadline = nx_now() + 200 * NX_MS);
	NX_CHECK(c == NX_E_OUTBOUND_TIMEOUT || c == NX_E_OUTBOUND_FAILED);
	NX_CHECK(!strstr(err.message, "https"));
	done();
}

NX_TEST(urls_that_are_refused)
{
	static const char *const bad[] = {
		"",
		"localhost/x",
		"file:///etc/passwd",
		"ftp://127.0.0.1/",
		"gopher://127.0.0.1/",
		"dict://127.0.0.1/",
		"http://user:secret@127.0.0.1/",
		"http://secret@127.0.0.1/",
		"http://127.0.0.1:99999/",
		"http://127.0.0.1/ HTTP/1.1\r\nX: secret",
		"http://127.0.0.1/\r\nX: secret",
		"http:///nohost",
	};
	NX_EQ_I(NX_OK, nx_outbound_init(NULL));
	for (size_t i = 0; i < NX_COUNTOF(bad); i++)
		if (CALL(.url = bad[i]) != NX_E_OUTBOUND_FAILED)
			nx_test_fail(__FILE__, __LINE__, "%s: %s", bad[i], err.message);
	nx_arena_free(arena);
}

NX_TEST(headers_that_are_refused)
{
	static const struct nx_str bad[] = {
		NX_STR_INIT("X: a\r\nAuthorization: secret"),
		NX_STR_INIT("X: a\nsecret"),
		NX_STR_INIT("X: a\rsecret"),
		NX_STR_INIT("X: a\0secret"),
		NX_STR_INIT("X secret"),
		NX_STR_INIT("X: "),
		NX_STR_INIT(": secret"),
		NX_STR_INIT("X y: secret"),
		NX_STR_INIT("@/etc/passwd"),
		NX_STR_INIT(""),
	};
	start("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	for (size_t i = 0; i < NX_COUNTOF(bad); i++)
		NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL(.headers = { bad[i] }, .nheaders = 1));
	NX_EQ_I(0, atomic_load(&srv.connections));
	NX_EQ_I(NX_E_INTERNAL, CALL(.method = "GET / HTTP/1.1\r\nX:"));
	NX_EQ_I(NX_E_INTERNAL, CALL(.max_body = (size_t)17 << 20));
	done();
}

NX_TEST(proxies_netrc_and_cookies_are_not_used)
{
	char dir[] = "/tmp/nx-outbound-XXXXXX", path[64];
	NX_CHECK(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/.netrc", dir);
	FILE *f = fopen(path, "w");
	NX_CHECK(f && fputs("machine 127.0.0.1 login a password secret\n", f) >= 0 && !fclose(f));
	setenv("HOME", dir, 1);
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	start("HTTP/1.1 200 OK\r\nSet-Cookie: a=secret\r\nContent-Length: 0\r\n\r\n");
	NX_EQ_I(NX_OK, CALL_PLAIN());
	NX_EQ_I(NX_OK, CALL_PLAIN());
	NX_CHECK(!strstr(srv.seen, "Cookie") && !strstr(srv.seen, "Authorization"));
	NX_EQ_I(2, atomic_load(&srv.connections));
	unlink(path);
	rmdir(dir);
	done();
}

/* ---- TLS ---- */

static char dir[64];

/* A certificate that signs itself, for 127.0.0.1 or for somebody else. */
static void make_cert(const char *name, const char *san)
{
	char cmd[600];
	(void)snprintf(cmd, sizeof(cmd),
		       "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
		       "-days 2 -subj /CN=test -addext subjectAltName=%s -keyout %s/%s.key "
		       "-out %s/%s.pem 2>/dev/null",
		       san, dir, name, dir, name);
	int r = system(cmd);
	if (!WIFEXITED(r) || WEXITSTATUS(r) != 0)
		NX_SKIP("no openssl command");
}

static const char *file(const char *name, const char *suffix)
{
	static char text[2][96];
	static int turn;
	char *p = text[turn++ & 1];
	(void)snprintf(p, sizeof(text[0]), "%s/%s.%s", dir, name, suffix);
	return p;
}

static void use_cert(const char *name)
{
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());
	NX_CHECK(c && SSL_CTX_use_certificate_file(c, file(name, "pem"), SSL_FILETYPE_PEM) == 1);
	NX_CHECK(SSL_CTX_use_PrivateKey_file(c, file(name, "key"), SSL_FILETYPE_PEM) == 1);
	SSL_CTX_free(srv.tls);
	srv.tls = c;
}

NX_TEST(certificates_are_verified)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/nx-outbound-XXXXXX");
	NX_CHECK(mkdtemp(dir));
	make_cert("good", "IP:127.0.0.1");
	make_cert("else", "DNS:elsewhere.example");
	signal(SIGPIPE, SIG_IGN);
	use_cert("good");
	start("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	const char *at = url("https://127.0.0.1", "/x?secret=1");
	NX_EQ_I(NX_OK, CALL(.url = at, .ca_file = file("good", "pem")));
	NX_EQ_STR(NX_STR("hi"), ans.body);
	/* nobody vouches for it; another does; the name is another; the file is missing */
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL(.url = at));
	NX_CHECK(strstr(err.message, "certificate"));
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL(.url = at, .ca_file = file("else", "pem")));
	stop();
	use_cert("else");
	start(srv.answer);
	at = url("https://127.0.0.1", "/x?secret=1");
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL(.url = at, .ca_file = file("else", "pem")));
	NX_CHECK(strstr(err.message, "certificate"));
	NX_EQ_I(NX_E_OUTBOUND_FAILED, CALL(.url = at, .ca_file = file("none", "pem")));
	NX_CHECK(strstr(err.message, "CA file"));
	NX_EQ_I(1, atomic_load(&srv.requests));
	done();
	SSL_CTX_free(srv.tls);
	char cmd[96];
	(void)snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	NX_EQ_I(0, system(cmd));
}

/* ---- the head ---- */

static struct nx_outbound_head head_of(const char *line)
{
	struct nx_outbound_head h = { 0 };
	nx_outbound_head_line(&h, nx_str(line));
	return h;
}

NX_TEST(what_a_head_says)
{
	NX_EQ_I(5, head_of("Cache-Control: max-age=5\r\n").max_age_s);
	NX_EQ_I(5, head_of("cache-control:private,MAX-AGE=5").max_age_s);
	NX_EQ_I(5, head_of("Cache-Control: x=\"a,max-age=9\", max-age=\"5\"").max_age_s);
	NX_EQ_I(0, head_of("Cache-Control: s-maxage=5").max_age_s);
	NX_EQ_I(0, head_of("Cache-Control: max-age=-5").max_age_s);
	NX_EQ_I(0, head_of("Cache-Control: max-age=").max_age_s);
	NX_EQ_I(0, head_of("Cache-Control: max-age").max_age_s);
	NX_EQ_I(NX_OUTBOUND_AGE_MAX,
		head_of("Cache-Control: max-age=99999999999999999999999").max_age_s);
	NX_CHECK(head_of("Cache-Control: max-age=5, no-store").fresh_never);
	NX_CHECK(head_of("Cache-Control: No-Cache=\"x\"").fresh_never);
	NX_EQ_I(9, head_of("Retry-After: 9").retry_after_s);
	NX_EQ_I(0, head_of("Retry-After: Fri, 31 Dec 1999 23:59:59 GMT").retry_after_s);
	NX_EQ_I(0, head_of("Retry-After").retry_after_s);
}
