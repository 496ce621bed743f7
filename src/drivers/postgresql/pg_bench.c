/* Measures the driver in process, on the server of NX_PG_*:
 *
 *	pg_bench point SECONDS SQL       one connection, `$1` bound to 1..1000 in turn, one row each
 *	pg_bench stream SQL              all rows; first batch, rows/s, own CPU, peak memory
 *	pg_bench impure SECONDS SQL      as point, but with BEGIN, ROLLBACK and reset */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "pg_int.h"

static struct nx_error err;

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s: %s (%s)\n", what, nx_code_name(err.code), err.message, err.detail);
	return 1;
}

static double cpu_seconds(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int point(struct nx_conn *c, int seconds, const char *sql, bool pure)
{
	char text[16];
	struct nx_value v = { NX_V_NUMBER, { text, 0 } };
	struct nx_query q = {
		.sql = nx_str(sql),
		.params = &v,
		.nparams = 1,
		.pure = pure,
		.limits = { .max_rows = 1000, .batch_rows = 4096, .batch_bytes = 1 << 20 }
	};
	uint64_t n = 0;
	double cpu = cpu_seconds();
	int64_t from = nx_now(), until = from + seconds * 1000000000LL;
	while (nx_now() < until) {
		struct nx_stream *st;
		enum nx_conn_state state;
		struct nx_batch b;
		v.text.len = (size_t)snprintf(text, sizeof(text), "%d", (int)(n % 1000) + 1);
		q.deadline = nx_now() + 5000000000LL;
		if (pg_query(c, &q, &st, &state, &err))
			return fail("query");
		if (pg_next(st, &b, &err) || pg_next(st, &b, &err))
			return fail("next");
		state = pg_release(st);
		if (state != NX_CONN_CLEAN && pg_reset(c, q.deadline, &err))
			return fail("reset");
		n++;
	}
	double took = (double)(nx_now() - from) / 1e9;
	printf("%.0f queries/s, %.2f us CPU each\n", (double)n / took,
	       (cpu_seconds() - cpu) * 1e6 / (double)n);
	return 0;
}

static int stream(struct nx_conn *c, const char *sql)
{
	struct nx_query q = {
		.sql = nx_str(sql),
		.pure = true,
		.deadline = nx_now() + 600000000000LL,
		.limits = { .max_rows = UINT64_MAX, .batch_rows = 4096, .batch_bytes = 1 << 20 }
	};
	struct nx_stream *st;
	enum nx_conn_state state;
	struct nx_batch b;
	double cpu = cpu_seconds();
	int64_t from = nx_now(), first = 0;
	uint64_t rows = 0, batches = 0;
	if (pg_query(c, &q, &st, &state, &err))
		return fail("query");
	do {
		if (pg_next(st, &b, &err))
			return fail("next");
		if (batches++ == 0)
			first = nx_now();
		rows += b.nrows;
	} while (b.nrows > 0);
	(void)pg_release(st);
	double took = (double)(nx_now() - from) / 1e9;
	cpu = cpu_seconds() - cpu;
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	printf("%llu rows in %.3f s: %.0f rows/s, first batch %.2f ms, %llu batches, %.0f ns CPU a "
	       "row, "
	       "%ld kB peak\n",
	       (unsigned long long)rows, took, (double)rows / took, (double)(first - from) / 1e6,
	       (unsigned long long)batches, cpu * 1e9 / (double)rows, u.ru_maxrss);
	return 0;
}

static int set(struct nx_options *o, const char *key, const char *value)
{
	const struct nx_option *spec = nx_option_find(nx_driver_postgresql.options, nx_str(key));
	return value && nx_options_set(o, spec, nx_str(value), &err) ? fail(key) : 0;
}

int main(int argc, char **argv)
{
	bool pure = argc > 3 && strcmp(argv[1], "point") == 0;
	if (argc < 3 || !getenv("NX_PG_HOST")) {
		fprintf(stderr,
			"usage: pg_bench point|impure SECONDS SQL | stream SQL (see NX_PG_*)\n");
		return 2;
	}
	struct nx_options *o = nx_options_new();
	struct nx_source *s = NULL;
	struct nx_conn *c = NULL;
	if (!o || set(o, "host", getenv("NX_PG_HOST")) || set(o, "port", getenv("NX_PG_PORT")) ||
	    set(o, "username", getenv("NX_PG_USER")) ||
	    set(o, "password", getenv("NX_PG_PASSWORD")) || set(o, "database", "postgres") ||
	    set(o, "sslmode", getenv("NX_PG_SSLMODE")))
		return 1;
	if (nx_options_defaults(o, nx_driver_postgresql.options, &err) || pg_init(&err) ||
	    pg_open(o, &s, &err) || pg_connect(s, nx_now() + 5000000000LL, &c, &err))
		return fail("connect");
	int rc = argc > 3 ? point(c, (int)strtol(argv[2], NULL, 10), argv[3], pure)
			  : stream(c, argv[2]);
	pg_disconnect(c);
	pg_close(s);
	nx_options_free(o);
	return rc;
}
