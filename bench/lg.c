/* Load generator for HTTP/1.1: N keep-alive connections, one thread, epoll.
 *
 * Closed loop (default): each connection sends its next request when it has the whole answer.
 * Open loop (-R rate): requests have a schedule; one that finds all connections busy waits, and its
 * latency counts from the scheduled time. Latencies are recorded as they are (no correction) into a
 * histogram of 1/128 relative width. One line of JSON goes to standard output.
 *
 * A template may hold {{rand:N}} (0..N-1) and {{seq}}, in path, headers and body, replaced per
 * request.
 *
 *	lg -c 64 -d 5 [-w warmup] [-R rate] [-m POST] [-b bodyfile | -B body] [-H 'Name: value']... URL
 *	URL: http://127.0.0.1:8080/path
 * Exit: 0 all answers were 2xx, 1 some were not or connections broke, 2 usage. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SUB 128u /* buckets per power of two */
#define POWERS 44u /* up to 2^44 ns: 4.9 hours */
#define IN_CAP ((size_t)64 * 1024)

struct part { /* of a template: text, then a number */
	const char *text;
	size_t len;
	enum { PLAIN, RANDOM, SEQUENCE } number;
	uint64_t limit;
};

struct template
{
	struct part parts[64];
	unsigned n;
};

enum body_kind { BY_LENGTH, BY_CHUNKS, BY_CLOSE };

struct client {
	int fd;
	bool busy; /* a request is out */
	bool writing; /* part of it waits for EPOLLOUT */
	int64_t since; /* scheduled time, or when it was sent */
	char *out;
	size_t out_len, out_cap, out_sent;
	char *in; /* the answer's head, then scratch */
	size_t in_len;
	bool in_body, closing;
	int status;
	enum body_kind kind;
	uint64_t left; /* LENGTH, or of the chunk with its CR LF */
	char line[24]; /* chunk size line */
	unsigned line_len;
	bool last_chunk;
	struct client *next_idle;
};

static struct {
	unsigned conns;
	double seconds, warmup, rate;
	const char *method;
	struct sockaddr_storage addr;
	socklen_t addr_len;
	struct template head, body;
} opt = { .conns = 16, .seconds = 5, .warmup = 0.5, .method = "GET" };

static struct {
	uint64_t hist[POWERS * SUB];
	uint64_t count, non_2xx, errors, bytes, late;
	double sum;
	int64_t max;
	uint64_t first_status;
} res;

static int epfd;
static int64_t measure_from, stop_at, next_due;
static struct client *idle;
static uint64_t seq, rng = 0x9e3779b97f4a7c15u;

static int64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "lg: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void *must(void *p)
{
	if (!p)
		die("memory");
	return p;
}

static uint64_t random_below(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return n ? rng % n : 0;
}

/* Histogram: exact below SUB, then SUB buckets per doubling. */
static unsigned bucket(uint64_t ns)
{
	if (ns < SUB)
		return (unsigned)ns;
	unsigned power = 63u - (unsigned)__builtin_clzll(ns); /* >= 7 */
	unsigned b = (power - 6) * SUB + (unsigned)(ns >> (power - 7) & (SUB - 1));
	return b < POWERS * SUB ? b : POWERS * SUB - 1;
}

static double bucket_top(unsigned b) /* its upper edge, ns */
{
	if (b < SUB)
		return b;
	unsigned power = b / SUB + 6;
	return (double)((uint64_t)(SUB + b % SUB + 1) << (power - 7));
}

static double percentile(double q)
{
	uint64_t want = (uint64_t)((double)res.count * q), seen = 0;
	for (unsigned b = 0; b < POWERS * SUB; b++) {
		seen += res.hist[b];
		if (seen > want) {
			double top = bucket_top(b);
			return top < (double)res.max ? top : (double)res.max;
		}
	}
	return (double)res.max;
}

static void split(struct template *t, const char *text, size_t len)
{
	const char *end = text + len;
	while (text < end) {
		if (t->n == sizeof(t->parts) / sizeof(t->parts[0])) {
			fprintf(stderr, "lg: too many {{...}}\n");
			exit(2);
		}
		struct part *p = &t->parts[t->n++];
		const char *open = memmem(text, (size_t)(end - text), "{{", 2);
		const char *close = open ? memmem(open, (size_t)(end - open), "}}", 2) : NULL;
		*p = (struct part){ text, (size_t)((close ? open : end) - text), PLAIN, 0 };
		if (!close)
			return;
		if (strncmp(open, "{{rand:", 7) == 0) {
			p->number = RANDOM;
			p->limit = strtoull(open + 7, NULL, 10);
		} else if (strncmp(open, "{{seq", 5) == 0) {
			p->number = SEQUENCE;
		} else {
			p->len = (size_t)(close + 2 - text); /* not ours */
		}
		text = close + 2;
	}
}

static void append(struct client *c, const void *data, size_t n)
{
	if (c->out_cap - c->out_len < n) {
		c->out_cap = (c->out_len + n) * 2;
		c->out = must(realloc(c->out, c->out_cap));
	}
	memcpy(c->out + c->out_len, data, n);
	c->out_len += n;
}

static void expand(struct client *c, const struct template *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		const struct part *p = &t->parts[i];
		append(c, p->text, p->len);
		if (p->number == PLAIN)
			continue;
		char text[24];
		int n = snprintf(
			text, sizeof(text), "%llu",
			(unsigned long long)(p->number == RANDOM ? random_below(p->limit) : seq));
		append(c, text, (size_t)n);
	}
}

static void build(struct client *c)
{
	c->out_len = c->out_sent = 0;
	seq++;
	expand(c, &opt.head);
	if (opt.body.n == 0) {
		append(c, "\r\n", 2);
		return;
	}
	/* the length is known after expansion: leave room of a fixed width */
	static const char blank[] = "Content-Length: 0000000000\r\n\r\n";
	size_t at = c->out_len;
	append(c, blank, sizeof(blank) - 1);
	size_t from = c->out_len;
	expand(c, &opt.body);
	char digits[16];
	(void)snprintf(digits, sizeof(digits), "%010zu", c->out_len - from);
	memcpy(c->out + at + 16, digits, 10);
}

static void watch(struct client *c, int op, uint32_t events)
{
	struct epoll_event ev = { events, { .ptr = c } };
	if (epoll_ctl(epfd, op, c->fd, &ev) < 0)
		die("epoll_ctl");
}

static void open_client(struct client *c)
{
	int one = 1;
	c->fd = socket(opt.addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (struct sockaddr *)&opt.addr, opt.addr_len) < 0)
		die("connect");
	(void)fcntl(c->fd, F_SETFL, O_NONBLOCK);
	watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void make_idle(struct client *c)
{
	c->busy = false;
	c->next_idle = idle;
	idle = c;
}

/* A broken connection is an error and is replaced, so that the load stays the same. */
static void reopen(struct client *c, bool error)
{
	if (error && c->since >= measure_from)
		res.errors++;
	close(c->fd);
	c->writing = c->in_body = c->closing = false;
	c->in_len = 0;
	open_client(c);
}

static void push(struct client *c)
{
	while (c->out_sent < c->out_len) {
		ssize_t n =
			send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			if (!c->writing)
				watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
			c->writing = true;
			return;
		}
		if (n < 0)
			return; /* the read side will see it */
		c->out_sent += (size_t)n;
	}
	if (c->writing)
		watch(c, EPOLL_CTL_MOD, EPOLLIN);
	c->writing = false;
}

static void launch(struct client *c, int64_t since)
{
	build(c);
	c->busy = true;
	c->since = since;
	push(c);
}

static void record(struct client *c)
{
	int64_t now = now_ns();
	if (c->since < measure_from || now > stop_at)
		return;
	uint64_t ns = (uint64_t)(now - c->since);
	res.hist[bucket(ns)]++;
	res.count++;
	res.sum += (double)ns;
	if ((int64_t)ns > res.max)
		res.max = (int64_t)ns;
	if (c->status < 200 || c->status > 299) {
		if (res.non_2xx++ == 0)
			res.first_status = (uint64_t)c->status;
	}
}

static void finished(struct client *c)
{
	record(c);
	bool closing = c->closing;
	c->in_body = c->closing = false;
	if (closing)
		reopen(c, false);
	if (opt.rate > 0)
		make_idle(c);
	else
		launch(c, now_ns());
}

static const char *field(const char *head, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = strstr(head, "\r\n"); p; p = strstr(p + 2, "\r\n"))
		if (strncasecmp(p + 2, name, n) == 0 && p[2 + n] == ':')
			return p + 3 + n + strspn(p + 3 + n, " \t");
	return NULL;
}

static void read_head(struct client *c, char *end)
{
	end[2] = '\0'; /* within the empty line */
	c->status = (int)strtol(c->in + 9, NULL, 10);
	const char *length = field(c->in, "Content-Length"), *conn = field(c->in, "Connection");
	const char *coding = field(c->in, "Transfer-Encoding");
	c->closing = conn && strncasecmp(conn, "close", 5) == 0;
	c->left = length ? strtoull(length, NULL, 10) : 0;
	c->kind =
		coding ? BY_CHUNKS
		: length || c->status == 204 || c->status == 304 || strcmp(opt.method, "HEAD") == 0
			? BY_LENGTH
			: BY_CLOSE;
	if (strcmp(opt.method, "HEAD") == 0) {
		c->left = 0;
		c->kind = BY_LENGTH;
	}
	c->line_len = 0;
	c->last_chunk = false;
	c->in_body = true;
}

/* True: the body is complete. Trailers are taken for broken framing: our server sends none. */
static bool eat_chunks(struct client *c, const char *p, size_t n, bool *bad)
{
	while (n > 0) {
		if (c->left > 0) {
			size_t k = c->left < n ? (size_t)c->left : n;
			c->left -= k;
			p += k;
			n -= k;
			if (c->left == 0 && c->last_chunk)
				return true;
			continue;
		}
		if (c->line_len == sizeof(c->line) - 1) {
			*bad = true;
			return false;
		}
		c->line[c->line_len++] = *p;
		n--;
		if (*p++ != '\n')
			continue;
		c->line[c->line_len] = '\0';
		c->line_len = 0;
		c->left = strtoull(c->line, NULL, 16);
		c->last_chunk = c->left == 0;
		c->left += 2;
	}
	return false;
}

/* Returns false when the connection is of no more use. */
static bool eat(struct client *c, const char *p, size_t n)
{
	bool bad = false;
	switch (c->kind) {
	case BY_LENGTH:
		c->left -= n < c->left ? n : c->left;
		if (c->left == 0)
			finished(c);
		return true;
	case BY_CHUNKS:
		if (eat_chunks(c, p, n, &bad))
			finished(c);
		return !bad;
	case BY_CLOSE:
		return true;
	}
	return false;
}

static void on_readable(struct client *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, IN_CAP - c->in_len - 1, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		bool whole = n == 0 && c->in_body && c->kind == BY_CLOSE;
		bool was_busy = c->busy;
		if (whole) {
			c->closing = true;
			finished(c);
			return;
		}
		reopen(c, was_busy);
		if (was_busy && opt.rate > 0)
			make_idle(c);
		else if (was_busy)
			launch(c, now_ns());
		return;
	}
	res.bytes += (uint64_t)n;
	char *from = c->in + c->in_len;
	if (!c->in_body) {
		c->in_len += (size_t)n;
		c->in[c->in_len] = '\0';
		char *end = strstr(c->in, "\r\n\r\n");
		if (!end && c->in_len < IN_CAP - 1)
			return;
		size_t rest = end ? c->in_len - (size_t)(end + 4 - c->in) : 0;
		c->in_len = 0;
		if (!end) {
			reopen(c, true);
			launch(c, now_ns());
			return;
		}
		from = end + 4;
		read_head(c, end);
		n = (ssize_t)rest;
	}
	if (!eat(c, from, (size_t)n)) {
		reopen(c, true);
		launch(c, now_ns());
	}
}

/* Open loop: everything that is due goes out; what finds no connection stays due. */
static void send_due(int64_t now)
{
	while (next_due <= now && idle && next_due < stop_at) {
		struct client *c = idle;
		idle = c->next_idle;
		if (now - next_due > 1000000)
			res.late++;
		launch(c, next_due);
		next_due += (int64_t)(1e9 / opt.rate);
	}
}

static void arm(int timer)
{
	int64_t at = idle && next_due < stop_at ? next_due : stop_at;
	struct itimerspec it = { .it_value = { at / 1000000000, at % 1000000000 } };
	if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &it, NULL) < 0)
		die("timerfd");
}

static void run(struct client *clients)
{
	struct epoll_event events[512];
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	struct epoll_event ev = { EPOLLIN, { .ptr = NULL } };
	if (timer < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, timer, &ev) < 0)
		die("timer");
	int64_t now = now_ns();
	measure_from = now + (int64_t)(opt.warmup * 1e9);
	stop_at = measure_from + (int64_t)(opt.seconds * 1e9);
	next_due = now;
	for (unsigned i = 0; i < opt.conns; i++) {
		if (opt.rate > 0)
			make_idle(&clients[i]);
		else
			launch(&clients[i], now_ns());
	}
	while ((now = now_ns()) < stop_at) {
		if (opt.rate > 0)
			send_due(now);
		arm(timer);
		int n = epoll_wait(epfd, events, 512, -1);
		for (int i = 0; i < n; i++) {
			struct client *c = events[i].data.ptr;
			uint64_t ticks;
			if (!c) {
				(void)!read(timer, &ticks, sizeof(ticks));
				continue;
			}
			if (events[i].events & EPOLLOUT)
				push(c);
			if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				on_readable(c);
		}
	}
	close(timer);
}

static char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *p = must(malloc((size_t)16 << 20));
	if (!f)
		die(path);
	*len = fread(p, 1, (size_t)16 << 20, f);
	fclose(f);
	return p;
}

static const char *resolve(const char *url, char *host, size_t cap)
{
	if (strncmp(url, "http://", 7) != 0) {
		fprintf(stderr, "lg: the URL must begin with http://\n");
		exit(2);
	}
	url += 7;
	size_t n = strcspn(url, "/");
	(void)snprintf(host, cap, "%.*s", (int)n, url);
	char name[256], *colon;
	(void)snprintf(name, sizeof(name), "%s", host);
	colon = strrchr(name, ':');
	const char *port = "80";
	if (colon && !strchr(colon, ']')) {
		*colon = '\0';
		port = colon + 1;
	}
	char *bare = name;
	if (*bare == '[' && bare[strlen(bare) - 1] == ']') {
		bare++;
		bare[strlen(bare) - 1] = '\0';
	}
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	int r = getaddrinfo(bare, port, &hints, &ai);
	if (r != 0) {
		fprintf(stderr, "lg: %s: %s\n", host, gai_strerror(r));
		exit(2);
	}
	memcpy(&opt.addr, ai->ai_addr, ai->ai_addrlen);
	opt.addr_len = ai->ai_addrlen;
	freeaddrinfo(ai);
	return url[n] ? url + n : "/";
}

static void usage(void)
{
	fprintf(stderr,
		"usage: lg [-c conns] [-d seconds] [-w warm-up seconds] [-R requests/s]\n"
		"          [-m method] [-b bodyfile | -B body] [-H 'Name: value']... URL\n");
	exit(2);
}

static void parse_args(int argc, char **argv)
{
	char fields[8192] = "", host[256], *head;
	size_t used = 0, body_len = 0;
	const char *body = NULL;
	int o;
	while ((o = getopt(argc, argv, "c:d:w:R:m:b:B:H:")) != -1) {
		switch (o) {
		case 'c':
			opt.conns = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'd':
			opt.seconds = strtod(optarg, NULL);
			break;
		case 'w':
			opt.warmup = strtod(optarg, NULL);
			break;
		case 'R':
			opt.rate = strtod(optarg, NULL);
			break;
		case 'm':
			opt.method = optarg;
			break;
		case 'b':
			body = read_file(optarg, &body_len);
			break;
		case 'B':
			body = optarg;
			body_len = strlen(optarg);
			break;
		case 'H': {
			int n = snprintf(fields + used, sizeof(fields) - used, "%s\r\n", optarg);
			if (n < 0 || (size_t)n >= sizeof(fields) - used)
				usage();
			used += (size_t)n;
			break;
		}
		default:
			usage();
		}
	}
	if (optind + 1 != argc || opt.conns < 1 || opt.conns > 100000 || opt.seconds <= 0)
		usage();
	const char *path = resolve(argv[optind], host, sizeof(host));
	if (asprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", opt.method, path, host, fields) < 0)
		die("memory");
	split(&opt.head, head, strlen(head)); /* both live as long as the process */
	if (body)
		split(&opt.body, body, body_len);
}

/* Honest ends: what was still out, and what was due but never sent, is said. */
static void report(double cpu, const struct client *clients)
{
	double s = opt.seconds;
	uint64_t unfinished = 0;
	for (unsigned i = 0; i < opt.conns; i++)
		unfinished += clients[i].busy && clients[i].since >= measure_from;
	int64_t behind = opt.rate > 0 && next_due < stop_at ? stop_at - next_due : 0;
	printf("{\"conns\":%u,\"seconds\":%g,\"rate\":%g,\"requests\":%llu,\"rps\":%.0f,"
	       "\"errors\":%llu,\"non2xx\":%llu,\"firstBadStatus\":%llu,"
	       "\"mean_us\":%.1f,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,"
	       "\"max_us\":%.1f,\"late\":%llu,\"unfinished\":%llu,\"unsent\":%.0f,\"MBps\":%.1f,"
	       "\"lg_cpu_s\":%.2f}\n",
	       opt.conns, s, opt.rate, (unsigned long long)res.count, (double)res.count / s,
	       (unsigned long long)res.errors, (unsigned long long)res.non_2xx,
	       (unsigned long long)res.first_status,
	       res.count ? res.sum / (double)res.count / 1e3 : 0, percentile(0.50) / 1e3,
	       percentile(0.90) / 1e3, percentile(0.99) / 1e3, percentile(0.999) / 1e3,
	       (double)res.max / 1e3, (unsigned long long)res.late, (unsigned long long)unfinished,
	       (double)behind * opt.rate / 1e9, (double)res.bytes / (s + opt.warmup) / 1e6, cpu);
}

int main(int argc, char **argv)
{
	parse_args(argc, argv);
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < opt.conns + 16) {
		r.rlim_cur = opt.conns + 16;
		if (r.rlim_max < r.rlim_cur)
			r.rlim_max = r.rlim_cur;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
	rng ^= (uint64_t)now_ns();
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		die("epoll");
	struct client *clients = must(calloc(opt.conns, sizeof(*clients)));
	for (unsigned i = 0; i < opt.conns; i++) {
		clients[i].in = must(malloc(IN_CAP));
		open_client(&clients[i]);
	}
	run(clients);
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	report((double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6,
	       clients);
	for (unsigned i = 0; i < opt.conns; i++) {
		free(clients[i].in);
		free(clients[i].out);
		close(clients[i].fd);
	}
	free(clients);
	return res.errors || res.non_2xx || res.count == 0 ? 1 : 0;
}
