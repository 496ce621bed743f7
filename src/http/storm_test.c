/* Races and crowds: clients that vanish at any moment, ten thousand idle ones, stop under load.
 * Meant to be run under ASan and TSan as well. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"
#include "test_server.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#define NAP "POST /nap HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"

static struct test_server t;

static void sleep_us(long us)
{
	const struct timespec ts = { us / 1000000, us % 1000000 * 1000 };
	nanosleep(&ts, NULL);
}

struct storm {
	pthread_t thread;
	unsigned seed;
	int rounds;
	unsigned answered, left;
};

/* One client: connects, sends whole, half or several requests, and leaves in a random way at a
 * random time around the moment of the answer. */
static void one_visit(struct storm *s)
{
	static const char *const texts[] = {
		NAP "abcd",
		NAP "ab",
		"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /hel",
		NAP "wxyz" NAP "1234" NAP "5678",
		"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /lent HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET",
		"GET / HTTP/1.1\nHost: a\n\n",
	};
	char text[256], sink[4096];
	int fd = ts_connect(&t);
	(void)snprintf(text, sizeof(text), "%s",
		       texts[(unsigned)rand_r(&s->seed) % NX_COUNTOF(texts)]);
	size_t n = strlen(text);
	text[n - 1] = (char)('a' + rand_r(&s->seed) % 26); /* another nap length */
	if (memcmp(text, "POST /nap", 9) != 0)
		text[n - 1] = '\n';
	ts_send_n(fd, text, n);
	unsigned how = (unsigned)rand_r(&s->seed) % 5;
	if (how == 0) {
		struct timeval tv = { .tv_usec = 3000 };
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		if (recv(fd, sink, sizeof(sink), 0) > 0)
			s->answered++;
	} else if (how < 4) {
		sleep_us(rand_r(&s->seed) % 2200);
	}
	if (how == 1)
		shutdown(fd, SHUT_WR);
	if (how == 2) {
		struct linger now = { .l_onoff = 1 };
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
	close(fd);
	s->left++;
}

static void *storm(void *arg)
{
	struct storm *s = arg;
	for (int i = 0; i < s->rounds; i++)
		one_visit(s);
	return NULL;
}

static void wait_empty(void)
{
	struct nx_http_stats s;
	for (int i = 0; i < 5000; i++) {
		nx_http_stats(t.http, &s);
		if (s.connections == 0 && s.lent == 0)
			return;
		sleep_us(2000);
	}
	nx_test_fail(__FILE__, __LINE__, "%u connections, %u lent", s.connections, s.lent);
}

NX_TEST_FOR(close_storm, 240)
{
	enum { CLIENTS = 8, ROUNDS = 1300 };
	struct storm s[CLIENTS];
	ts_start(&t, NULL);
	for (unsigned i = 0; i < CLIENTS; i++) {
		s[i] = (struct storm){ .seed = i + 1, .rounds = ROUNDS };
		NX_EQ_I(0, pthread_create(&s[i].thread, NULL, storm, &s[i]));
	}
	unsigned answered = 0;
	for (unsigned i = 0; i < CLIENTS; i++) {
		pthread_join(s[i].thread, NULL);
		answered += s[i].answered;
	}
	wait_empty();
	struct nx_http_stats st;
	nx_http_stats(t.http, &st);
	printf("# %llu accepted, %llu requests, %u answered and read, %llu hang-ups seen\n",
	       (unsigned long long)st.accepted, (unsigned long long)st.requests, answered,
	       (unsigned long long)st.hangups);
	NX_EQ_I(CLIENTS * ROUNDS, st.accepted);
	NX_CHECK(answered > 0 && st.hangups > 0);
	ts_stop(&t);
}

/* Keep-alive clients whose next request races with the give-back of the one before. */
static void *ping(void *arg)
{
	struct storm *s = arg;
	struct nx_buf head, body;
	nx_buf_init(&head, 1 << 16);
	nx_buf_init(&body, 1 << 16);
	int fd = ts_connect(&t);
	for (int i = 0; i < s->rounds; i++) {
		unsigned n = 1 + (unsigned)rand_r(&s->seed) % 3;
		for (unsigned k = 0; k < n; k++)
			ts_send(fd,
				"POST /lent HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok");
		for (unsigned k = 0; k < n; k++)
			s->answered += ts_answer(fd, &head, &body) == 200 && body.len == 2;
		s->left += n;
	}
	close(fd);
	nx_buf_done(&head);
	nx_buf_done(&body);
	return NULL;
}

NX_TEST_FOR(give_back_races_with_the_next_request, 240)
{
	enum { CLIENTS = 6, ROUNDS = 3000 };
	struct storm s[CLIENTS];
	ts_start(&t, NULL);
	for (unsigned i = 0; i < CLIENTS; i++) {
		s[i] = (struct storm){ .seed = i + 1, .rounds = ROUNDS };
		NX_EQ_I(0, pthread_create(&s[i].thread, NULL, ping, &s[i]));
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		pthread_join(s[i].thread, NULL);
		NX_EQ_I(s[i].left, s[i].answered);
	}
	ts_stop(&t);
}

/* stop() in the middle of everything, many times. */
static _Atomic bool over;

static void *pester(void *arg)
{
	struct storm *s = arg;
	char sink[4096];
	while (!atomic_load(&over)) {
		int fd = ts_try_connect(&t);
		if (fd < 0)
			break; /* it has stopped listening */
		struct timeval tv = { .tv_usec = 20000 };
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		for (int i = 0; i < 4; i++) {
			ts_send(fd, NAP "abcd");
			if (recv(fd, sink, sizeof(sink), 0) > 0)
				s->answered++;
		}
		close(fd);
	}
	return NULL;
}

NX_TEST_FOR(stop_under_load, 240)
{
	enum { CLIENTS = 4 };
	for (int round = 0; round < 25; round++) {
		struct storm s[CLIENTS];
		ts_start(&t, NULL);
		for (unsigned i = 0; i < CLIENTS; i++) {
			s[i] = (struct storm){ .seed = i };
			NX_EQ_I(0, pthread_create(&s[i].thread, NULL, pester, &s[i]));
		}
		sleep_us(20000 + round * 1000);
		NX_CHECK(nx_http_stop(t.http, round % 2 ? 0 : 100));
		atomic_store(&over, true);
		for (unsigned i = 0; i < CLIENTS; i++)
			pthread_join(s[i].thread, NULL);
		atomic_store(&over, false);
	}
}

static long rss_kib(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%*s %ld", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static bool raise_files(rlim_t n)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return false;
	if (r.rlim_cur >= n)
		return true;
	r.rlim_cur = n;
	if (r.rlim_max < n)
		r.rlim_max = n;
	return setrlimit(RLIMIT_NOFILE, &r) == 0;
}

enum { CROWD = 10000 };

/* In a process of its own: its memory is not the server's. Each client has had an answer. */
static void crowd(int ready, int go)
{
	static int fd[CROWD];
	struct nx_buf head, body;
	nx_buf_init(&head, 1 << 16);
	nx_buf_init(&body, 1 << 16);
	char c = 'r';
	for (int i = 0; i < CROWD; i++) {
		fd[i] = ts_connect(&t);
		ts_send(fd[i], i % 2 ? "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" : NAP "aaaa");
		if (i % 2 == 0 && i > 0 && ts_answer(fd[i - 2], &head, &body) != 200)
			_exit(2);
		if (i % 2 && ts_answer(fd[i], &head, &body) != 200)
			_exit(3);
	}
	if (ts_answer(fd[CROWD - 2], &head, &body) != 200 || write(ready, &c, 1) != 1 ||
	    read(go, &c, 1) != 1)
		_exit(4);
	for (int i = 0; i < CROWD; i += 997) { /* they still work */
		ts_send(fd[i], "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
		if (ts_answer(fd[i], &head, &body) != 200)
			_exit(5);
	}
	_exit(0);
}

NX_TEST_FOR(ten_thousand_idle, 120)
{
#ifdef SANITIZED
	NX_SKIP("memory is measured without sanitizers only");
#endif
	if (!raise_files(CROWD + 200))
		NX_SKIP("not allowed to open 10,000 files");
	int ready[2], go[2];
	NX_CHECK(pipe(ready) == 0 && pipe(go) == 0);
	ts_start(&t, NULL);
	pid_t pid = fork();
	if (pid == 0)
		crowd(ready[1], go[0]);
	char c;
	close(ready[1]);
	NX_EQ_I(1, read(ready[0], &c, 1));
	struct nx_http_stats s;
	nx_http_stats(t.http, &s);
	long rss = rss_kib();
	printf("# %u connections, %ld KiB resident, %ld bytes each at most\n", s.connections, rss,
	       rss * 1024 / CROWD);
	NX_EQ_I(CROWD, s.connections);
	NX_CHECK(rss <= 32 * 1024);
	NX_EQ_I(1, write(go[1], "g", 1));
	int status;
	NX_EQ_I(pid, waitpid(pid, &status, 0));
	NX_EQ_I(0, WEXITSTATUS(status));
	wait_empty();
	ts_stop(&t);
}

/* Out of descriptors: accepting pauses and goes on, connections live. */
NX_TEST(out_of_descriptors)
{
	struct rlimit r, low;
	NX_EQ_I(0, getrlimit(RLIMIT_NOFILE, &r));
	ts_start(&t, NULL);
	struct nx_buf head, body;
	nx_buf_init(&head, 1 << 16);
	nx_buf_init(&body, 1 << 16);
	int fd[40], spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	NX_CHECK(spare >= 0);
	for (int i = 0; i < 40; i++)
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	low = r;
	low.rlim_cur = (rlim_t)fd[39] + 10; /* ten of the forty can be accepted */
	NX_EQ_I(0, setrlimit(RLIMIT_NOFILE, &low));
	for (int i = 0; i < 40; i++)
		ts_connect_fd(&t, fd[i]);
	sleep_us(50000);
	NX_EQ_I(0, setrlimit(RLIMIT_NOFILE, &r));
	for (int i = 0; i < 40; i++) {
		ts_send(fd[i], "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
		NX_EQ_I(200, ts_answer(fd[i], &head, &body));
		close(fd[i]);
	}
	close(spare);
	nx_buf_done(&head);
	nx_buf_done(&body);
	ts_stop(&t);
}
