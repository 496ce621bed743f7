/* What counting costs a request: metrics_bench [THREADS (1)]. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "stats/metrics.h"

enum { REQUESTS = 2000000 };

static void *work(void *arg)
{
	(void)arg;
	for (int i = 0; i < REQUESTS; i++) {
		nx_metrics_cache(true);
		nx_metrics_query(NX_DOOR_REST, 3, NX_OUT_SUCCESS, 120000 + i % 64, 1, 200);
		for (int s = 0; s < NX_STEP_COUNT; s++)
			nx_metrics_step((enum nx_step)s, 2000 + s * 10000);
		nx_metrics_request(0, 200, 130000);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
	pthread_t t[64];
	n = n < 1 ? 1 : n > 64 ? 64 : n;
	int64_t from = nx_now();
	for (long i = 0; i < n; i++)
		if (pthread_create(&t[i], NULL, work, NULL))
			return 1;
	for (long i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	double ns = (double)(nx_now() - from) / REQUESTS;
	printf("%ld threads: %.0f ns a request and thread\n", n, ns);
	return 0;
}
