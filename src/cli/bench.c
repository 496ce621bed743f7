/* nexus bench: closed-loop clients with one statement, latencies as they were. For comparisons with
 * other programs see bench/, which measures from outside. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/client.h"

const char nx_usage_bench[] = "usage: nexus bench -s SOURCE [-n CLIENTS (8)] [-d SECONDS (5)] SQL\n"
			      "options: --url URL  --key KEY\n";

enum { MAX_CLIENTS = 1024, SAMPLES = 1 << 17 };

struct runner {
	pthread_t thread;
	struct nx_client *client;
	const char *body;
	int64_t until;
	uint32_t *us; /* ring of latencies */
	uint64_t n, failed, bytes;
};

static bool count_bytes(const char *data, size_t len, void *arg)
{
	(void)data;
	*(uint64_t *)arg += len;
	return true;
}

static void *run(void *arg)
{
	struct runner *r = arg;
	while (nx_now() < r->until && r->failed < 10) {
		int64_t t = nx_now();
		if (nx_client_stream(r->client, "/api/v1/query", r->body, count_bytes, &r->bytes))
			r->failed++;
		int64_t us = (nx_now() - t) / 1000;
		r->us[r->n++ % SAMPLES] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
	}
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static int report(struct runner *r, int n, double seconds)
{
	uint64_t total = 0, failed = 0, bytes = 0, kept = 0;
	for (int i = 0; i < n; i++) {
		total += r[i].n;
		failed += r[i].failed;
		bytes += r[i].bytes;
		kept += r[i].n < SAMPLES ? r[i].n : SAMPLES;
	}
	uint32_t *all = malloc((kept ? kept : 1) * sizeof(*all));
	if (!all)
		return NX_EXIT_FAIL;
	uint64_t at = 0;
	for (int i = 0; i < n; i++) {
		uint64_t k = r[i].n < SAMPLES ? r[i].n : SAMPLES;
		memcpy(all + at, r[i].us, k * sizeof(*all));
		at += k;
	}
	qsort(all, kept, sizeof(*all), by_value);
	printf("%.0f requests/s, %llu requests, %llu failed, %.1f MB/s\n", (double)total / seconds,
	       (unsigned long long)total, (unsigned long long)failed,
	       (double)bytes / seconds / 1e6);
	if (kept)
		printf("latency ms: p50 %.3f  p90 %.3f  p99 %.3f  max %.3f\n", all[kept / 2] / 1e3,
		       all[kept * 9 / 10] / 1e3, all[kept * 99 / 100] / 1e3, all[kept - 1] / 1e3);
	free(all);
	return failed ? NX_EXIT_FAIL : NX_EXIT_OK;
}

int nx_cmd_bench(struct nx_cli *cli)
{
	const char *source = nx_cli_option(cli, "-s", getenv("NEXUS_SOURCE"));
	int64_t n = 0, seconds = 0;
	bool ok = nx_str_to_i64(nx_str(nx_cli_option(cli, "-n", "8")), &n) &&
		  nx_str_to_i64(nx_str(nx_cli_option(cli, "-d", "5")), &seconds) && n > 0 &&
		  n <= MAX_CLIENTS && seconds > 0 && seconds <= 3600 && source;
	struct nx_cli opts = *cli; /* every client reads --url and --key anew */
	char **argv = calloc((size_t)cli->argc + 1, sizeof(*argv));
	struct runner *r = calloc((size_t)(ok ? n : 1), sizeof(*r));
	struct nx_buf body;
	nx_buf_init(&body, (size_t)2 << 20);
	int made = 0, ret = NX_EXIT_USAGE;
	if (!ok || !argv || !r)
		goto out;
	for (int i = 0; i < n; i++, made++) {
		memcpy(argv, cli->argv, (size_t)cli->argc * sizeof(*argv));
		opts.argv = argv;
		opts.argc = cli->argc;
		r[i].client = nx_client_new(&opts);
		r[i].us = malloc(SAMPLES * sizeof(*r[i].us));
		if (!r[i].client || !r[i].us) {
			made++;
			ret = NX_EXIT_FAIL;
			goto out;
		}
	}
	if (opts.argc != 1)
		goto out;
	nx_buf_puts(&body, "{\"dataSource\":");
	nx_buf_put_json(&body, nx_str(source));
	nx_buf_puts(&body, ",\"sql\":");
	nx_buf_put_json(&body, nx_str(argv[0]));
	nx_buf_put(&body, "}", 2); /* with the NUL */
	int64_t started = nx_now();
	int running = 0;
	for (; running < n; running++) {
		r[running].body = body.data;
		r[running].until = started + seconds * NX_SEC;
		if (pthread_create(&r[running].thread, NULL, run, &r[running]))
			break;
	}
	for (int i = 0; i < running; i++)
		pthread_join(r[i].thread, NULL);
	ret = report(r, running, (double)(nx_now() - started) / 1e9);
out:
	if (ret == NX_EXIT_USAGE)
		fputs(nx_usage_bench, stderr);
	for (int i = 0; i < made; i++) {
		nx_client_free(r[i].client);
		free(r[i].us);
	}
	free(r);
	free(argv);
	nx_buf_done(&body);
	return ret;
}
