/* Drives the driver in process: duckdb_bench DIR SQL [REPEAT [PARAM..]] prints rows, bytes, times. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "nexus/driver.h"

extern const struct nx_driver nx_driver_duckdb;

static int fail(const char *what, const struct nx_error *e)
{
	fprintf(stderr, "%s: %s: %s (%s)\n", what, nx_code_name(e->code), e->message, e->detail);
	return 1;
}

static int query(struct nx_conn *c, const char *sql, const struct nx_value *params,
		 uint32_t nparams, int print)
{
	struct nx_error err;
	struct nx_arena *a = nx_arena_new(64 << 20);
	struct nx_query q = { .sql = nx_str(sql),
			      .params = params,
			      .nparams = nparams,
			      .arena = a,
			      .deadline = nx_now() + 120000000000ll,
			      .limits = { .max_rows = UINT64_MAX } };
	int64_t t0 = nx_now(), t1 = 0;
	struct nx_stream *st;
	enum nx_conn_state state;
	if (nx_driver_duckdb.query(c, &q, &st, &state, &err)) {
		nx_arena_free(a);
		return fail("query", &err);
	}
	int64_t schema = nx_now();
	uint64_t rows = 0, bytes = 0;
	int rc = 0;
	for (;;) {
		struct nx_bytes b;
		if (nx_driver_duckdb.next_bytes(st, &b, &err)) {
			rc = fail("next", &err);
			break;
		}
		if (!b.data.len)
			break;
		if (!t1)
			t1 = nx_now();
		rows += b.rows;
		bytes += b.data.len;
		if (print)
			printf(NX_STR_FMT "\n", NX_STR_ARG(b.data));
	}
	int64_t t2 = nx_now();
	nx_driver_duckdb.release(st);
	nx_arena_free(a);
	fprintf(stderr,
		"%llu rows, %llu bytes: schema %.2f ms, first %.2f ms, all %.2f ms, released %.2f "
		"ms\n",
		(unsigned long long)rows, (unsigned long long)bytes, (double)(schema - t0) / 1e6,
		t1 ? (double)(t1 - t0) / 1e6 : 0.0, (double)(t2 - t0) / 1e6,
		(double)(nx_now() - t0) / 1e6);
	return rc;
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "duckdb_bench DIR SQL [REPEAT]; PRINT=1 prints the rows\n");
		return 64;
	}
	struct nx_error err;
	struct nx_options *o = nx_options_new();
	if (nx_options_set(o, nx_option_find(nx_driver_duckdb.options, NX_STR("path")),
			   nx_str(argv[1]), &err) ||
	    nx_options_defaults(o, nx_driver_duckdb.options, &err))
		return fail("options", &err);
	struct nx_source *s;
	struct nx_conn *c;
	if (nx_driver_duckdb.open(o, &s, &err))
		return fail("open", &err);
	if (nx_driver_duckdb.connect(s, nx_now() + 5000000000ll, &c, &err))
		return fail("connect", &err);
	int rc = 0;
	long repeat = argc > 3 ? strtol(argv[3], NULL, 10) : 1;
	struct nx_value params[16];
	uint32_t n = 0;
	for (int i = 4; i < argc && n < 16; i++) {
		int64_t number;
		params[n].text = nx_str(argv[i]);
		params[n].kind = nx_str_to_i64(params[n].text, &number) ? NX_V_NUMBER : NX_V_STRING;
		n++;
	}
	for (long i = 0; i < repeat; i++) {
		if (getenv("PAUSE_US"))
			usleep((unsigned)strtoul(getenv("PAUSE_US"), NULL, 10));
		rc |= query(c, argv[2], params, n, getenv("PRINT") != NULL);
	}
	nx_driver_duckdb.disconnect(c);
	nx_driver_duckdb.close(s);
	nx_driver_duckdb.fini();
	nx_options_free(o);
	return rc;
}
