/* The same session through TLS: the codec reads and writes libpq's SSL object. The server has a
 * self-signed certificate for "localhost". */
#include <stdio.h>
#include <unistd.h>

#include "harness.h"

static const char *certificate(void)
{
	static char path[512];
	const char *dir = getenv("NX_PG_DIR");
	if (!dir)
		NX_SKIP("no server: run by tests/servers/postgres.sh run");
	(void)!snprintf(path, sizeof(path), "%s/data/server.crt", dir);
	return path;
}

NX_TEST(stream_and_cancel)
{
	struct session s;
	session_open(&s, (const char *[]){ "ssl", "true", NULL });
	NX_EQ_S("true", one(&s, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"));
	struct result r =
		run_sql(&s, "SELECT g, repeat('x', 100) FROM generate_series(1, 100000) g", true);
	NX_EQ_I(NX_OK, r.code);
	NX_EQ_I(100000, r.nrows);
	NX_EQ_I(NX_CONN_CLEAN, r.state);
	result_done(&r);
	struct nx_query q = query_of("SELECT generate_series(1, 100000000)", true);
	struct nx_stream *st;
	enum nx_conn_state state;
	struct nx_error err;
	struct nx_batch b;
	NX_EQ_I(NX_OK, pg_query(s.conn, &q, &st, &state, &err));
	NX_EQ_I(NX_OK, pg_next(st, &b, &err));
	NX_EQ_I(NX_CONN_CLEAN, pg_release(st));
	q = query_of("SELECT pg_sleep(10)", true);
	q.deadline = nx_now() + SEC / 5;
	r = run_query(&s, &q);
	NX_EQ_I(NX_E_QUERY_TIMEOUT, r.code);
	NX_EQ_I(NX_CONN_CLEAN, r.state);
	result_done(&r);
	char pid[32];
	(void)!snprintf(pid, sizeof(pid), "%s", one(&s, "SELECT pg_backend_pid()"));
	NX_CHECK(pg_check(s.conn));
	admin("SELECT pg_terminate_backend(%s, 5000)", pid);
	usleep(20000);
	NX_CHECK(!pg_check(s.conn));
	session_close(&s);
}

NX_TEST(a_large_request)
{
	struct session s;
	session_open(&s, (const char *[]){ "ssl", "true", NULL });
	size_t n = 20 << 20;
	char *text = malloc(n + 1);
	NX_CHECK(text != NULL);
	memset(text, 'z', n);
	text[n] = '\0';
	struct nx_value v = { NX_V_STRING, { text, n } };
	struct nx_query q = query_of("SELECT length($1), $1", true);
	q.params = &v;
	q.nparams = 1;
	struct nx_stream *st;
	enum nx_conn_state state;
	struct nx_error err;
	struct nx_batch b;
	NX_EQ_I(NX_OK, pg_query(s.conn, &q, &st, &state, &err));
	NX_EQ_I(NX_OK, pg_next(st, &b, &err));
	NX_EQ_I(1, b.nrows);
	NX_EQ_STR(NX_STR("20971520"), nx_column_text(&b.cols[0], 0));
	NX_CHECK(nx_str_eq(v.text, nx_column_text(&b.cols[1], 0)));
	NX_EQ_I(NX_CONN_CLEAN, pg_release(st));
	free(text);
	session_close(&s);
}

static enum nx_code try(const char *host, const char *mode, const char *ca, struct nx_error *err)
{
	struct session s;
	enum nx_code code = session_try(
		&s, (const char *[]){ "host", host, "sslmode", mode, "sslRootCert", ca, NULL },
		in_seconds(5), err);
	if (!code)
		session_close(&s);
	return code;
}

NX_TEST(certificates)
{
	struct nx_error err;
	const char *ca = certificate();
	NX_EQ_I(NX_OK, try("localhost", "verify-full", ca, &err));
	NX_EQ_I(NX_E_SOURCE_DOWN, try("127.0.0.1", "verify-full", ca, &err));
	NX_EQ_S("No TLS connection as configured could be made with the source.", err.message);
	NX_EQ_I(NX_OK, try("127.0.0.1", "verify-ca", ca, &err));
	NX_EQ_I(NX_E_SOURCE_DOWN,
		try("localhost", "verify-full", "/etc/ssl/certs/ca-certificates.crt", &err));
	NX_EQ_I(NX_E_SOURCE_DOWN, try("localhost", "verify-full", "/no/such/file", &err));
	NX_EQ_I(NX_OK, try("localhost", "require", "/no/such/file", &err));
}
