/* Sessions, errors, streams, cancel, loss: against a real server. Types are in cases_test.c, the
 * read-only layers in readonly_test.c. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

static const char stream_sql[] =
	"SELECT g, g * 3::bigint AS b, 'row ' || g AS t, g / 7.0 AS n, now() AS at "
	"FROM generate_series(1, 2000000) g";

NX_TEST(point_query)
{
	struct session s;
	session_open(&s, NULL);
	struct nx_value v = { NX_V_NUMBER, NX_STR_INIT("7") };
	for (int i = 0; i < 100; i++) {
		struct nx_query q = query_of("SELECT $1::int * 6 AS x", true);
		q.params = &v;
		q.nparams = 1;
		struct result r = run_query(&s, &q);
		NX_EQ_I(NX_OK, r.code);
		NX_EQ_S("42\n", r.rows.data);
		NX_EQ_I(NX_CONN_CLEAN, r.state);
		result_done(&r);
	}
	NX_EQ_S("1",
		one(&s, "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%* 6%' "
			"AND name LIKE 'nx%' AND NOT statement LIKE '%pg_prepared%'"));
	session_close(&s);
}

NX_TEST(no_rows_and_no_columns)
{
	struct session s;
	session_open(&s, NULL);
	struct result r = run_sql(&s, "SELECT 1 AS a WHERE false", true);
	NX_EQ_I(NX_OK, r.code);
	NX_EQ_I(0, r.nrows);
	NX_EQ_S("a int32 integer\n", r.columns.data);
	result_done(&r);
	r = run_sql(&s, "SELECT FROM generate_series(1,3)", true);
	NX_EQ_I(NX_OK, r.code);
	NX_EQ_I(3, r.nrows);
	result_done(&r);
	session_close(&s);
}

NX_TEST(environment_is_ignored)
{
	setenv("PGOPTIONS", "-c default_transaction_read_only=off", 1);
	setenv("PGTZ", "Asia/Tokyo", 1);
	setenv("PGDATABASE", "nonsense", 1);
	setenv("PGSERVICE", "nonsense", 1);
	setenv("PGAPPNAME", "nonsense", 1);
	struct session s;
	session_open(&s, NULL);
	NX_EQ_S("on", one(&s, "SELECT current_setting('default_transaction_read_only')"));
	NX_EQ_S("UTC", one(&s, "SELECT current_setting('TimeZone')"));
	NX_EQ_S("nexus-gateway", one(&s, "SELECT current_setting('application_name')"));
	session_close(&s);
}

NX_TEST(settings)
{
	struct session s;
	session_open(&s, (const char *[]){ "searchPath", "\"a b\", pg_catalog", "lockTimeout",
					   "1.5", "applicationName", "it's me", NULL });
	NX_EQ_S("\"a b\", pg_catalog", one(&s, "SELECT current_setting('search_path')"));
	NX_EQ_S("1500ms", one(&s, "SELECT current_setting('lock_timeout')"));
	NX_EQ_S("it's me", one(&s, "SELECT current_setting('application_name')"));
	NX_EQ_S("1min", one(&s, "SELECT current_setting('idle_in_transaction_session_timeout')"));
	session_close(&s);
	session_open(&s, (const char *[]){ "schema", "We\"ird", NULL });
	NX_EQ_S("\"We\"\"ird\"", one(&s, "SELECT current_setting('search_path')"));
	session_close(&s);
}

static void check_error(struct session *s, const char *sql, enum nx_code code, const char *state,
			int position, const char *token)
{
	struct result r = run_sql(s, sql, true);
	NX_EQ_S(nx_code_name(code), nx_code_name(r.code));
	NX_EQ_S(state, r.err.sqlstate);
	NX_EQ_I(position, r.err.position);
	NX_EQ_S(token, r.err.token);
	NX_EQ_I(NX_CONN_CLEAN, r.state);
	result_done(&r);
	NX_EQ_S("1", one(s, "SELECT 1"));
}

NX_TEST(errors)
{
	struct session s;
	session_open(&s, NULL);
	check_error(&s, "SELECT '中文' || nope", NX_E_UNDEFINED_OBJECT, "42703", 19, "nope");
	check_error(&s, "SELECT 1 FROM \"No Such\"", NX_E_UNDEFINED_OBJECT, "42P01", 14,
		    "\"No Such\"");
	check_error(&s, "SELECT nofunc(1)", NX_E_UNDEFINED_OBJECT, "42883", 7, "nofunc");
	check_error(&s, "SELECT 1 +", NX_E_SQL_PARSE, "42601", 10, "");
	check_error(&s, "SELECT 1; SELECT 2", NX_E_SQL_PARSE, "42601", -1, "");
	check_error(&s, "SELECT 1 / (g - 500) FROM generate_series(1, 1000) g", NX_E_DATA_ERROR,
		    "22012", -1, "");
	check_error(&s, "SELECT 'x'::int", NX_E_DATA_ERROR, "22P02", 7, "'x'");
	session_close(&s);
}

NX_TEST(nul_in_the_text)
{
	struct session s;
	session_open(&s, NULL);
	struct nx_query q = query_of("", true);
	q.sql = NX_STR("SELECT 1\0; DROP TABLE x");
	struct result r = run_query(&s, &q);
	NX_EQ_I(NX_E_RO_ENCODING, r.code);
	NX_EQ_I(NX_CONN_CLEAN, r.state);
	result_done(&r);
	session_close(&s);
}

NX_TEST(parameter_errors_keep_the_value_secret)
{
	struct session s;
	session_open(&s, NULL);
	struct nx_value v = { NX_V_STRING, NX_STR_INIT("hush-hush") };
	struct nx_query q = query_of("SELECT $1::int", true);
	struct result r = run_query(&s, &q);
	NX_EQ_I(NX_E_PARAMETER_COUNT, r.code);
	result_done(&r);
	q.params = &v;
	q.nparams = 1;
	r = run_query(&s, &q);
	NX_EQ_I(NX_E_PARAMETER_VALUE, r.code);
	NX_EQ_S("22P02", r.err.sqlstate);
	NX_EQ_S("Parameter 1: invalid input syntax for type integer", r.err.message);
	NX_CHECK(!strstr(r.err.detail, "hush"));
	result_done(&r);
	q.sql = nx_str("SELECT $1::text::int");
	r = run_query(&s, &q);
	NX_EQ_I(NX_E_DATA_ERROR, r.code);
	NX_CHECK(!strstr(r.err.message, "hush") && !strstr(r.err.detail, "hush"));
	result_done(&r);
	session_close(&s);
}

NX_TEST(statements_are_evicted)
{
	struct session s;
	session_open(&s, (const char *[]){ "preparedStatements", "8", NULL });
	char sql[64];
	for (int i = 0; i < 100; i++) {
		(void)!snprintf(sql, sizeof(sql), "SELECT %d", i % 20);
		char want[8];
		(void)!snprintf(want, sizeof(want), "%d", i % 20);
		NX_EQ_S(want, one(&s, sql));
	}
	NX_EQ_S("8", one(&s, "SELECT count(*) FROM pg_prepared_statements"));
	session_close(&s);
}

NX_TEST(stale_plans_are_prepared_again)
{
	struct session s;
	session_open(&s, NULL);
	admin("DROP TABLE IF EXISTS stale; CREATE TABLE stale AS SELECT 1 AS a");
	for (int impure = 0; impure < 2; impure++) {
		struct result r = run_sql(&s, "SELECT * FROM stale", !impure);
		NX_EQ_I(NX_OK, r.code);
		result_done(&r);
		admin("ALTER TABLE stale ADD COLUMN c%d text DEFAULT 'new'", impure);
		r = run_sql(&s, "SELECT * FROM stale", !impure);
		NX_EQ_I(NX_OK, r.code);
		NX_EQ_S(impure ? "1 | new | new\n" : "1 | new\n", r.rows.data);
		result_done(&r);
	}
	NX_EQ_I(NX_OK, pg_reset(s.conn, in_seconds(5), NULL));
	/* Somebody's function deallocated what we prepared. */
	admin("CREATE OR REPLACE FUNCTION dealloc() RETURNS int LANGUAGE plpgsql AS "
	      "$$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN 1; END $$");
	NX_EQ_S("5", one(&s, "SELECT 5"));
	struct result r = run_sql(&s, "SELECT dealloc()", false);
	NX_EQ_I(NX_OK, r.code);
	result_done(&r);
	NX_EQ_I(NX_OK, pg_reset(s.conn, in_seconds(5), NULL));
	NX_EQ_S("5", one(&s, "SELECT 5"));
	session_close(&s);
}

static long rss_kb(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size = 0, rss = 0;
	NX_CHECK(f && fscanf(f, "%ld %ld", &size, &rss) == 2);
	(void)fclose(f);
	return rss * (sysconf(_SC_PAGESIZE) / 1024);
}

NX_TEST_FOR(stream_in_constant_memory, 120)
{
	struct session s;
	session_open(&s, NULL);
	struct nx_query q = query_of(stream_sql, true);
	struct nx_stream *st;
	enum nx_conn_state state;
	struct nx_error err;
	struct nx_batch b;
	NX_EQ_I(NX_OK, pg_query(s.conn, &q, &st, &state, &err));
	uint64_t rows = 0, first = 0;
	long before = 0, most = 0;
	do {
		NX_EQ_I(NX_OK, pg_next(st, &b, &err));
		rows += b.nrows;
		if (first == 0)
			first = b.nrows;
		long now = rss_kb();
		if (rows > 20000 && before == 0)
			before = now;
		most = now > most ? now : most;
	} while (b.nrows > 0);
	NX_EQ_I(2000000, rows);
	NX_EQ_I(PG_FIRST_ROWS, first);
	NX_EQ_I(NX_CONN_CLEAN, pg_release(st));
	printf("# RSS %ld kB after 20k rows, %ld kB at most\n", before, most);
#if !defined(__SANITIZE_ADDRESS__)
	NX_CHECK(most - before < 4096);
#endif
	session_close(&s);
}

NX_TEST(rows_leave_before_the_query_ends)
{
	struct session s;
	session_open(&s, NULL);
	/* 9 kB of rows fill the server's buffer, then it sleeps. */
	struct nx_query q =
		query_of("SELECT repeat('x', 1000) FROM generate_series(1, 9) UNION ALL "
			 "SELECT pg_sleep(3)::text",
			 true);
	struct nx_stream *st;
	enum nx_conn_state state;
	struct nx_error err;
	struct nx_batch b;
	int64_t t = nx_now();
	NX_EQ_I(NX_OK, pg_query(s.conn, &q, &st, &state, &err));
	NX_EQ_I(NX_OK, pg_next(st, &b, &err));
	NX_CHECK(b.nrows >= 1 && nx_now() - t < SEC);
	NX_EQ_I(NX_CONN_CLEAN, pg_release(st));
	NX_CHECK(nx_now() - t < SEC);
	session_close(&s);
}

NX_TEST(early_release_cancels)
{
	struct session s;
	session_open(&s, NULL);
	for (int i = 0; i < 20; i++) {
		struct nx_query q = query_of(stream_sql, i % 2);
		struct nx_stream *st;
		enum nx_conn_state state;
		struct nx_error err;
		struct nx_batch b;
		NX_EQ_I(NX_OK, pg_query(s.conn, &q, &st, &state, &err));
		for (int k = 0; k < i; k++)
			NX_EQ_I(NX_OK, pg_next(st, &b, &err));
		int64_t t = nx_now();
		state = pg_release(st);
		NX_EQ_I(i % 2 ? NX_CONN_CLEAN : NX_CONN_DIRTY, state);
		NX_CHECK(nx_now() - t < SEC / 2);
		if (state == NX_CONN_DIRTY)
			NX_EQ_I(NX_OK, pg_reset(s.conn, in_seconds(1), &err));
		NX_EQ_S("1", one(&s, "SELECT 1"));
	}
	session_close(&s);
}

static void *cancel_soon(void *arg)
{
	usleep(200000);
	pg_cancel(arg);
	return NULL;
}

static bool active(const char *tag)
{
	return strcmp(admin("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND "
			    "pid <> pg_backend_pid() AND query LIKE '%%%s%%'",
			    tag),
		      "0") != 0;
}

NX_TEST(cancel_from_another_thread)
{
	struct session s;
	session_open(&s, NULL);
	for (int pure = 0; pure < 2; pure++) {
		pthread_t t;
		NX_EQ_I(0, pthread_create(&t, NULL, cancel_soon, s.conn));
		int64_t from = nx_now();
		struct result r = run_sql(&s, "SELECT pg_sleep(20) AS cancel_me", pure);
		int64_t took = nx_now() - from;
		NX_CHECK(!active("cancel_me"));
		NX_EQ_I(NX_E_QUERY_CANCELED, r.code);
		NX_EQ_S("57014", r.err.sqlstate);
		NX_EQ_I(pure ? NX_CONN_CLEAN : NX_CONN_DIRTY, r.state);
		result_done(&r);
		pthread_join(t, NULL);
		printf("# cancelled %.1f ms after the call\n", (double)took / 1e6 - 200);
		NX_CHECK(took < SEC / 4);
	}
	pg_cancel(s.conn); /* nothing runs: nothing happens */
	NX_EQ_S("1", one(&s, "SELECT 1"));
	session_close(&s);
}

NX_TEST(deadline)
{
	struct session s;
	session_open(&s, NULL);
	struct nx_query q = query_of("SELECT pg_sleep(20) AS too_long", true);
	q.deadline = nx_now() + SEC / 5;
	int64_t t = nx_now();
	struct result r = run_query(&s, &q);
	NX_EQ_I(NX_E_QUERY_TIMEOUT, r.code);
	NX_CHECK(nx_now() - t < SEC);
	NX_EQ_I(NX_CONN_CLEAN, r.state);
	NX_CHECK(!active("too_long"));
	result_done(&r);
	NX_EQ_S("1", one(&s, "SELECT 1"));
	/* statement_timeout is the server's own deadline. */
	struct session t2;
	session_open(&t2, (const char *[]){ "statementTimeout", "0.1", NULL });
	r = run_sql(&t2, "SELECT pg_sleep(5)", true);
	NX_EQ_I(NX_E_QUERY_TIMEOUT, r.code);
	NX_EQ_I(NX_CONN_CLEAN, r.state);
	result_done(&r);
	session_close(&t2);
	/* The deadline also holds while Parse waits for a lock. */
	admin("DROP TABLE IF EXISTS held; CREATE TABLE held (a int)");
	admin("BEGIN; LOCK TABLE held");
	q = query_of("SELECT a FROM held", true);
	q.deadline = nx_now() + SEC / 5;
	r = run_query(&s, &q);
	NX_EQ_I(NX_E_QUERY_TIMEOUT, r.code);
	NX_EQ_I(NX_CONN_CLEAN, r.state);
	result_done(&r);
	admin("ROLLBACK");
	NX_EQ_S("0", one(&s, "SELECT count(*) FROM held"));
	session_close(&s);
}

NX_TEST(backend_killed_while_idle)
{
	struct session s;
	session_open(&s, NULL);
	char pid[32];
	(void)!snprintf(pid, sizeof(pid), "%s", one(&s, "SELECT pg_backend_pid()"));
	NX_CHECK(pg_check(s.conn));
	admin("SELECT pg_terminate_backend(%s, 5000)", pid);
	usleep(20000);
	NX_CHECK(!pg_check(s.conn));
	struct result r = run_sql(&s, "SELECT 1", true);
	NX_EQ_I(NX_E_SOURCE_LOST, r.code);
	NX_EQ_I(NX_CONN_BROKEN, r.state);
	result_done(&r);
	session_close(&s);
	/* The same without asking first. */
	session_open(&s, NULL);
	(void)!snprintf(pid, sizeof(pid), "%s", one(&s, "SELECT pg_backend_pid()"));
	admin("SELECT pg_terminate_backend(%s, 5000)", pid);
	r = run_sql(&s, "SELECT 1", true);
	NX_EQ_I(NX_E_SOURCE_LOST, r.code);
	NX_EQ_I(NX_CONN_BROKEN, r.state);
	result_done(&r);
	session_close(&s);
}

NX_TEST(backend_killed_in_a_stream)
{
	struct session s;
	session_open(&s, NULL);
	char pid[32];
	(void)!snprintf(pid, sizeof(pid), "%s", one(&s, "SELECT pg_backend_pid()"));
	struct nx_query q = query_of(stream_sql, true);
	struct nx_stream *st;
	enum nx_conn_state state;
	struct nx_error err;
	struct nx_batch b;
	NX_EQ_I(NX_OK, pg_query(s.conn, &q, &st, &state, &err));
	NX_EQ_I(NX_OK, pg_next(st, &b, &err));
	admin("SELECT pg_terminate_backend(%s)", pid);
	enum nx_code code;
	do
		code = pg_next(st, &b, &err);
	while (!code && b.nrows > 0);
	NX_EQ_I(NX_E_SOURCE_LOST, code);
	NX_EQ_I(NX_CONN_BROKEN, pg_release(st));
	NX_CHECK(!pg_check(s.conn));
	session_close(&s);
}

static void check_connect(const char *const *kv, enum nx_code code, const char *state)
{
	struct session s;
	struct nx_error err;
	NX_EQ_S(nx_code_name(code), nx_code_name(session_try(&s, kv, in_seconds(5), &err)));
	NX_EQ_S(state, err.sqlstate);
	NX_CHECK(!strstr(err.message, "127.0.0.1") && !strstr(err.message, "nx_") &&
		 !strstr(err.message, "secret"));
	NX_CHECK(!strstr(err.detail, "secret"));
}

NX_TEST(connect_refusals)
{
	check_connect((const char *[]){ "password", "secret", NULL }, NX_E_SOURCE_AUTH, "28P01");
	check_connect((const char *[]){ "username", "nx_nobody", NULL }, NX_E_SOURCE_AUTH, "28P01");
	check_connect((const char *[]){ "password", "", NULL }, NX_E_SOURCE_AUTH, "");
	check_connect((const char *[]){ "database", "nx_nothing", NULL }, NX_E_SOURCE_DOWN,
		      "3D000");
	check_connect((const char *[]){ "port", "1", NULL }, NX_E_SOURCE_DOWN, "");
	check_connect((const char *[]){ "host", "no-such-host.invalid", NULL }, NX_E_SOURCE_DOWN,
		      "");
	check_connect((const char *[]){ "ssl", "true", NULL }, NX_E_SOURCE_DOWN, "");
}

NX_TEST(connect_to_a_socket_that_never_answers)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	NX_CHECK(bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 5) == 0 &&
		 getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	char port[8];
	(void)!snprintf(port, sizeof(port), "%d", ntohs(a.sin_port));
	struct session s;
	struct nx_error err;
	int64_t t = nx_now();
	NX_EQ_I(NX_E_CONNECT_TIMEOUT,
		session_try(&s, (const char *[]){ "port", port, NULL }, nx_now() + SEC / 4, &err));
	NX_CHECK(nx_now() - t >= SEC / 4 && nx_now() - t < SEC);
	close(fd);
}

NX_TEST(catalog)
{
	struct session s;
	session_open_reader(&s);
	admin("DROP SCHEMA IF EXISTS cat CASCADE; CREATE SCHEMA cat; GRANT USAGE ON SCHEMA cat TO "
	      "nx_reader; CREATE TABLE cat.t (id int PRIMARY KEY, n numeric(10,2), \"Größe\" text "
	      "NOT NULL UNIQUE); COMMENT ON TABLE cat.t IS 'a table'; COMMENT ON COLUMN cat.t.n IS "
	      "'money'; CREATE VIEW cat.v AS SELECT 1 AS one");
	struct nx_query q = query_of("", true);
	struct nx_stream *st;
	enum nx_conn_state state;
	struct nx_error err;
	struct nx_batch b;
	NX_EQ_I(NX_OK, pg_tables(s.conn, &q, NX_STR("cat"), &st, &state, &err));
	NX_EQ_I(5, pg_schema(st)->nfields);
	NX_EQ_I(NX_OK, pg_next(st, &b, &err));
	NX_EQ_I(2, b.nrows);
	NX_EQ_STR(NX_STR("t"), nx_column_text(&b.cols[1], 0));
	NX_EQ_STR(NX_STR("view"), nx_column_text(&b.cols[2], 1));
	NX_EQ_STR(NX_STR("a table"), nx_column_text(&b.cols[3], 0));
	NX_EQ_I(NX_CONN_CLEAN, pg_release(st));
	NX_EQ_I(NX_OK, pg_columns(s.conn, &q, NX_STR("cat"), NX_STR("t"), &st, &state, &err));
	NX_EQ_I(9, pg_schema(st)->nfields);
	NX_EQ_I(NX_OK, pg_next(st, &b, &err));
	NX_EQ_I(3, b.nrows);
	NX_EQ_STR(NX_STR("Größe"), nx_column_text(&b.cols[2], 2));
	NX_EQ_STR(NX_STR("numeric(10,2)"), nx_column_text(&b.cols[4], 1));
	NX_EQ_STR(NX_STR("primary"), nx_column_text(&b.cols[6], 0));
	NX_EQ_STR(NX_STR("unique"), nx_column_text(&b.cols[6], 2));
	NX_EQ_STR(NX_STR("money"), nx_column_text(&b.cols[7], 1));
	NX_EQ_I(NX_CONN_CLEAN, pg_release(st));
	NX_EQ_I(NX_OK, pg_tables(s.conn, &q, NX_STR(""), &st, &state, &err));
	NX_EQ_I(NX_OK, pg_next(st, &b, &err));
	NX_CHECK(b.nrows >= 2);
	NX_EQ_I(NX_CONN_CLEAN, pg_release(st));
	session_close(&s);
}
