/* What the HTTP layer costs: GET /hello is answered on the loop, POST /lent by a worker thread,
 * GET /stream sends 256 MiB chunked from a worker.
 * Usage: http_bench [port [loops [workers [cert key]]]]; prints the port, runs until stdin ends. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "http/http.h"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t some;
	struct nx_http_exchange *ring[65536];
	unsigned head, tail;
	bool stop;
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER, .some = PTHREAD_COND_INITIALIZER };

static const char answer[] =
	"{\"success\":true,\"rows\":[[42,\"the answer to all of it\"]],\"n\":1}\n";

static void stream(struct nx_http_exchange *x)
{
	static char block[128 * 1024];
	nx_http_begin(x, 200, "application/octet-stream", -1);
	for (int i = 0; i < 2048; i++)
		if (!nx_http_write(x, block, sizeof(block)))
			break;
	nx_http_end(x);
}

static void *worker(void *arg)
{
	(void)arg;
	for (;;) {
		pthread_mutex_lock(&queue.lock);
		while (queue.head == queue.tail && !queue.stop)
			pthread_cond_wait(&queue.some, &queue.lock);
		if (queue.head == queue.tail) {
			pthread_mutex_unlock(&queue.lock);
			return NULL;
		}
		struct nx_http_exchange *x = queue.ring[queue.head++ % NX_COUNTOF(queue.ring)];
		pthread_mutex_unlock(&queue.lock);
		if (nx_str_is(nx_http_request(x)->path, "/stream"))
			stream(x);
		else
			nx_http_reply(x, 200, "application/json",
				      nx_strn(answer, sizeof(answer) - 1));
		nx_http_done(x);
	}
}

static enum nx_http_take handle(struct nx_http_exchange *x, void *ctx)
{
	(void)ctx;
	struct nx_str path = nx_http_request(x)->path;
	if (nx_str_is(path, "/hello")) {
		nx_http_reply(x, 200, "application/json", nx_strn(answer, sizeof(answer) - 1));
		return NX_HTTP_ANSWERED;
	}
	pthread_mutex_lock(&queue.lock);
	bool full = queue.tail - queue.head == NX_COUNTOF(queue.ring);
	if (!full)
		queue.ring[queue.tail++ % NX_COUNTOF(queue.ring)] = x;
	pthread_mutex_unlock(&queue.lock);
	if (full) {
		nx_http_reply(x, 503, NULL, NX_STR(""));
		return NX_HTTP_ANSWERED;
	}
	pthread_cond_signal(&queue.some);
	return NX_HTTP_LENT;
}

int main(int argc, char **argv)
{
	char listen[64];
	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%s", argc > 1 ? argv[1] : "0");
	const char *const addrs[] = { listen };
	struct nx_http_config cfg = {
		.listen = addrs,
		.nlisten = 1,
		.handler = handle,
		.loops = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0,
		.tls_cert = argc > 5 ? argv[4] : NULL,
		.tls_key = argc > 5 ? argv[5] : NULL,
	};
	unsigned nworkers = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 4;
	struct nx_http *h;
	struct nx_error err;
	if (nx_http_start(&cfg, &h, &err)) {
		fprintf(stderr, "http_bench: %s\n", err.message);
		return 1;
	}
	pthread_t threads[256];
	if (nworkers > NX_COUNTOF(threads))
		nworkers = NX_COUNTOF(threads);
	for (unsigned i = 0; i < nworkers; i++)
		if (pthread_create(&threads[i], NULL, worker, NULL) != 0)
			abort();
	printf("%u\n", nx_http_port(h, 0));
	fflush(stdout);
	char c;
	while (read(0, &c, 1) > 0)
		;
	struct nx_http_stats s;
	nx_http_stats(h, &s);
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
		     (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
	printf("%llu requests, %.2f us CPU each, %llu bytes out, %ld KiB RSS at most\n",
	       (unsigned long long)s.requests, s.requests ? cpu / (double)s.requests : 0,
	       (unsigned long long)s.bytes_out, u.ru_maxrss);
	bool ok = nx_http_stop(h, 1000);
	pthread_mutex_lock(&queue.lock);
	queue.stop = true;
	pthread_cond_broadcast(&queue.some);
	pthread_mutex_unlock(&queue.lock);
	for (unsigned i = 0; i < nworkers; i++)
		pthread_join(threads[i], NULL);
	return ok ? 0 : 1;
}
