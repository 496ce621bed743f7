/* Parameters, streaming, early release, cancel, and what the statement cache must not get wrong. */
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define NUMBER(s)                           \
	{                                   \
		NX_V_NUMBER, NX_STR_INIT(s) \
	}
#define STRING(s)                           \
	{                                   \
		NX_V_STRING, NX_STR_INIT(s) \
	}

static void nap(int64_t ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * MS };
	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		;
}

/* --- parameters ------------------------------------------------------------------------------ */

/* A bound value is nobody's business: not in the message, not in the log. */
NX_TEST(parameter_values_stay_secret)
{
	struct session s = h_open(NULL);
	const struct nx_value v[] = { STRING("s3cret-value") };
	const char *const sqls[] = {
		"SELECT CAST(? AS INET6) + JSON_VALUE('{', '$') + EXP(100000)",
		"SELECT ST_GeomFromText(?)",
		"SELECT EXTRACTVALUE('<a/>', ?)",
		"SELECT 1 FROM DUAL WHERE MATCH(a) AGAINST (?)",
		"SELECT 'a' REGEXP CONCAT('(', ?)",
		"SELECT ~0 + ?",
		"SELECT JSON_TABLE(?, '$')",
	};
	for (size_t i = 0; i < NX_COUNTOF(sqls); i++) {
		(void)H_TEXT(&s, sqls[i], v, 1, true);
		NX_CHECK(!strstr(s.err.message, "s3cret") && !strstr(s.err.detail, "s3cret"));
	}
	h_close(&s);
}

/* --- errors ---------------------------------------------------------------------------------- */

NX_TEST(errors_have_codes_and_places)
{
	struct session s = h_open(NULL);
	NX_EQ_S("SQL_PARSE 1064 42000", H_TEXT(&s, "SELECT 1 FROM WHERE x = 1", .pure = true));
	NX_EQ_I(14, s.err.position);
	NX_EQ_S("WHERE", s.err.token);
	NX_EQ_S("SQL_PARSE 1064 42000", H_TEXT(&s, "SELECT (1", .pure = true));
	NX_EQ_I(9, s.err.position);
	NX_EQ_S("UNDEFINED_OBJECT 1146 42S02", H_TEXT(&s, "SELECT 1 FROM nowhere", .pure = true));
	NX_EQ_S("Table 'nx.nowhere' doesn't exist", s.err.message);
	NX_EQ_S("UNDEFINED_OBJECT 1054 42S22", H_TEXT(&s, "SELECT nothing", .pure = true));
	NX_EQ_S("UNDEFINED_OBJECT 1305 42000", H_TEXT(&s, "SELECT no_such()", .pure = true));
	NX_EQ_S("UNDEFINED_OBJECT 1146 42S02", H_TEXT(&s, "SELECT 1 FROM nodb.t", .pure = true));
	NX_EQ_S("DATA_ERROR 1690 22003",
		H_TEXT(&s, "SELECT EXP(100000) + 18446744073709551615 + 1", .pure = true));
	NX_EQ_S("SQL_ERROR 1242 21000",
		H_TEXT(&s, "SELECT (SELECT 1 UNION SELECT 2)", .pure = true));
	NX_EQ_I(NX_CONN_CLEAN, s.state);
	NX_EQ_S("1", H_TEXT(&s, "SELECT 1 AS a", .pure = true));
	h_close(&s);
}

NX_TEST(permission_names_no_account)
{
	struct session s =
		h_open((const char *const[]){ "username=reader", "password=reader-secret", NULL });
	NX_EQ_S("SOURCE_PERMISSION 1142 42000",
		H_TEXT(&s, "SELECT * FROM mysql.user", .pure = true));
	NX_CHECK(!strstr(s.err.message, "reader") && strstr(s.err.detail, "reader"));
	h_close(&s);
}

/* --- the cache ------------------------------------------------------------------------------- */

static uint64_t server_prepares(void)
{
	return strtoull(h_admin_value("SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
				      "WHERE VARIABLE_NAME = 'COM_STMT_PREPARE'"),
			NULL, 10);
}

NX_TEST(repeated_statement_is_prepared_once)
{
	struct session s = h_open(NULL);
	uint64_t before = server_prepares();
	for (int i = 0; i < 50; i++)
		NX_EQ_S("1", H_TEXT(&s, "SELECT 1 AS a", .pure = true));
	NX_EQ_I(before + 1, server_prepares());
	h_close(&s);
}

NX_TEST(cache_is_bounded)
{
	struct session s = h_open((const char *const[]){ "statementCache=3", NULL });
	char sql[64];
	for (int i = 0; i < 100; i++) {
		snprintf(sql, sizeof(sql), "SELECT %d AS a", i % 7);
		(void)H_TEXT(&s, sql, .pure = true);
	}
	NX_EQ_S("3", h_admin_value("SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
				   "WHERE VARIABLE_NAME = 'PREPARED_STMT_COUNT'"));
	h_close(&s);
	s = h_open((const char *const[]){ "statementCache=0", NULL });
	NX_EQ_S("1", H_TEXT(&s, "SELECT 1 AS a", .pure = true));
	NX_EQ_S("1", H_TEXT(&s, "SELECT 1 AS a", .pure = true));
	h_close(&s);
}

NX_TEST(altered_table_under_a_cached_statement)
{
	struct session s = h_open(NULL);
	h_admin("CREATE OR REPLACE TABLE alt (a INT)");
	h_admin("INSERT INTO alt VALUES (1)");
	NX_EQ_S("1", H_TEXT(&s, "SELECT * FROM alt", .pure = true));
	h_admin("ALTER TABLE alt MODIFY a VARCHAR(3)");
	NX_EQ_S("1", H_TEXT(&s, "SELECT * FROM alt", .pure = true));
	h_admin("ALTER TABLE alt ADD b INT DEFAULT 7");
	NX_EQ_S("1 | 7", H_TEXT(&s, "SELECT * FROM alt", .pure = true));
	h_admin("ALTER TABLE alt DROP a");
	NX_EQ_S("7", H_TEXT(&s, "SELECT * FROM alt", .pure = true));
	h_admin("ALTER TABLE alt CHANGE b c INT");
	NX_EQ_S("7", H_TEXT(&s, "SELECT * FROM alt", .pure = true));
	NX_EQ_I(NX_CONN_CLEAN, s.state);
	h_admin("DROP TABLE alt");
	NX_EQ_S("UNDEFINED_OBJECT 1146 42S02", H_TEXT(&s, "SELECT * FROM alt", .pure = true));
	h_close(&s);
}

/* --- streaming ------------------------------------------------------------------------------- */

NX_TEST(first_batch_is_small)
{
	struct session s = h_open(NULL);
	struct nx_stream *st;
	struct nx_batch b;
	NX_EQ_I(NX_OK,
		h_query(&s, (struct ask){ "SELECT seq FROM seq_1_to_100000", .pure = true }, &st));
	uint64_t rows = 0;
	static const uint32_t want[] = { 64, 256, 1024, 4096, 4096 };
	for (int i = 0; i < 5; i++) {
		NX_EQ_I(NX_OK, nx_driver_mysql.next(st, &b, &s.err));
		NX_EQ_I(want[i], b.nrows);
		rows += b.nrows;
	}
	uint64_t rest;
	NX_EQ_I(NX_OK, h_count(st, &rest, &s.err));
	NX_EQ_I(100000, rows + rest);
	NX_EQ_I(NX_CONN_CLEAN, nx_driver_mysql.release(st));
	h_close(&s);
}

static size_t peak_of(struct session *s, const char *sql, uint64_t want)
{
	struct nx_stream *st;
	uint64_t rows;
	h_peak_reset();
	int64_t start = nx_now();
	NX_EQ_I(NX_OK, h_query(s, (struct ask){ sql, .pure = true, .timeout_ms = 100000 }, &st));
	NX_EQ_I(NX_OK, h_count(st, &rows, &s->err));
	NX_EQ_I(want, rows);
	NX_EQ_I(NX_CONN_CLEAN, nx_driver_mysql.release(st));
	printf("# %llu rows in %.2f s, peak %zu KiB\n", (unsigned long long)want,
	       (double)(nx_now() - start) / 1e9, h_peak_kb());
	return h_peak_kb();
}

NX_TEST_FOR(ten_million_rows_in_constant_memory, 200)
{
	struct session s = h_open(NULL);
	size_t small = peak_of(
		&s, "SELECT seq, seq * 1.5, CONCAT('row ', seq), NOW(6) FROM seq_1_to_10000",
		10000);
	size_t large = peak_of(
		&s, "SELECT seq, seq * 1.5, CONCAT('row ', seq), NOW(6) FROM seq_1_to_10000000",
		10000000);
	NX_CHECK(large <= small + 20 * 1024);
	h_close(&s);
}

NX_TEST(long_values_are_not_kept)
{
	struct session s = h_open(NULL);
	struct nx_stream *st;
	uint64_t rows;
	struct ask a = { "SELECT REPEAT('x', 15 * 1024 * 1024) FROM seq_1_to_20", .pure = true };
	size_t before = h_rss_kb();
	NX_EQ_I(NX_OK, h_query(&s, a, &st));
	NX_EQ_I(NX_OK, h_count(st, &rows, &s.err));
	NX_EQ_I(20, rows);
	NX_EQ_I(NX_CONN_BROKEN, nx_driver_mysql.release(st)); /* not worth 16 MiB in a pool */
	h_close(&s);
	printf("# RSS before %zu KiB, after %zu KiB\n", before, h_rss_kb());
#ifndef __SANITIZE_ADDRESS__ /* which keeps freed memory on purpose */
	NX_CHECK(h_rss_kb() < before + 4096);
#endif
}

/* --- early release --------------------------------------------------------------------------- */

static void wait_gone(const char *marker, int64_t within_ms)
{
	char sql[300];
	snprintf(sql, sizeof(sql),
		 "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE "
		 "'%%%s%%' AND ID <> CONNECTION_ID()",
		 marker);
	int64_t start = nx_now();
	while (strcmp(h_admin_value(sql), "0") != 0) {
		if (nx_now() - start > within_ms * MS)
			nx_test_fail(__FILE__, __LINE__, "%s still runs after %d ms", marker,
				     (int)within_ms);
		nap(1);
	}
	printf("# %s gone after %.1f ms\n", marker, (double)(nx_now() - start) / 1e6);
}

NX_TEST(early_release_stops_the_server)
{
	struct session s = h_open(NULL);
	struct nx_stream *st;
	struct nx_batch b;
	for (int i = 0; i < 3; i++) {
		NX_EQ_I(NX_OK,
			h_query(&s,
				(struct ask){ "SELECT 'marker_a', seq FROM seq_1_to_1000000000",
					      .pure = true },
				&st));
		NX_EQ_I(NX_OK, nx_driver_mysql.next(st, &b, &s.err));
		int64_t start = nx_now();
		NX_EQ_I(NX_CONN_CLEAN, nx_driver_mysql.release(st));
		printf("# released in %.1f ms\n", (double)(nx_now() - start) / 1e6);
		wait_gone("marker_a", 50);
		NX_EQ_S("1", H_TEXT(&s, "SELECT 1 AS a", .pure = true));
	}
	h_close(&s);
}

NX_TEST(limit_is_cut_by_the_server)
{
	struct session s = h_open(NULL);
	struct nx_stream *st;
	struct nx_batch b;
	struct ask a = { "SELECT seq FROM seq_1_to_1000000", .pure = true, .max_rows = 100 };
	for (int i = 0; i < 3; i++) {
		NX_EQ_I(NX_OK, h_query(&s, a, &st));
		uint64_t rows = 0;
		while (rows <= 100) { /* as the gateway reads: one more than asked for */
			NX_EQ_I(NX_OK, nx_driver_mysql.next(st, &b, &s.err));
			rows += b.nrows;
		}
		NX_EQ_I(101, rows);
		NX_EQ_I(NX_CONN_CLEAN, nx_driver_mysql.release(st));
	}
	/* and the cap does not stick */
	NX_EQ_I(NX_OK, h_query(&s, (struct ask){ a.sql, .pure = true }, &st));
	uint64_t rows;
	NX_EQ_I(NX_OK, h_count(st, &rows, &s.err));
	NX_EQ_I(1000000, rows);
	NX_EQ_I(NX_CONN_CLEAN, nx_driver_mysql.release(st));
	h_close(&s);
}

NX_TEST(release_without_reading)
{
	struct session s = h_open(NULL);
	struct nx_stream *st;
	NX_EQ_I(NX_OK, h_query(&s, (struct ask){ "SELECT 1 AS a", .pure = true }, &st));
	NX_EQ_I(NX_CONN_CLEAN, nx_driver_mysql.release(st));
	NX_EQ_S("1", H_TEXT(&s, "SELECT 1 AS a", .pure = true));
	h_close(&s);
}

/* --- cancel ---------------------------------------------------------------------------------- */

struct canceller {
	struct nx_conn *conn;
	int64_t after_ms;
	int64_t sent;
};

static void *cancel_later(void *arg)
{
	struct canceller *k = arg;
	nap(k->after_ms);
	k->sent = nx_now();
	nx_driver_mysql.cancel(k->conn);
	return NULL;
}

/* Runs sql, cancels it; how long the query thread still needed is printed and bounded. */
static const char *cancelled_text(struct session *s, const char *sql, bool pure, int64_t after_ms)
{
	struct canceller k = { s->conn, after_ms, 0 };
	pthread_t t;
	NX_EQ_I(0, pthread_create(&t, NULL, cancel_later, &k));
	const char *text = H_TEXT(s, sql, .pure = pure);
	int64_t took = nx_now() - k.sent;
	pthread_join(t, NULL);
	printf("# %s: %.1f ms after cancel\n", sql, (double)took / 1e6);
	NX_CHECK(took < 200 * MS);
	return text;
}

NX_TEST(cancel_reaches_the_server)
{
	struct session s = h_open(NULL);
	const char *heavy =
		"SELECT COUNT(*), 'marker_b' FROM seq_1_to_1000000 a, seq_1_to_1000000 b "
		"WHERE (a.seq * b.seq) % 7 = 8";
	NX_EQ_S("QUERY_CANCELED 0 ", cancelled_text(&s, heavy, true, 100));
	wait_gone("marker_b", 50);
	NX_EQ_I(NX_CONN_CLEAN, s.state);
	NX_EQ_S("1", H_TEXT(&s, "SELECT 1 AS a", .pure = true));
	/* a killed SLEEP() answers with a row on some servers */
	NX_EQ_S("QUERY_CANCELED 0 ", cancelled_text(&s, "SELECT SLEEP(30), 'marker_c'", false, 50));
	wait_gone("marker_c", 50);
	NX_EQ_I(NX_CONN_DIRTY, s.state);
	NX_EQ_I(NX_OK, nx_driver_mysql.reset(s.conn, nx_now() + 5000 * MS, &s.err));
	NX_EQ_S("1", H_TEXT(&s, "SELECT 1 AS a", .pure = true));
	h_close(&s);
}

NX_TEST(cancel_mid_stream)
{
	struct session s = h_open(NULL);
	NX_EQ_S("QUERY_CANCELED 0 ",
		cancelled_text(
			&s, "SELECT 'marker_d', seq FROM seq_1_to_1000000000 WHERE seq % 50000 = 0",
			true, 50));
	wait_gone("marker_d", 50);
	NX_EQ_I(NX_CONN_CLEAN, s.state);
	NX_EQ_S("1", H_TEXT(&s, "SELECT 1 AS a", .pure = true));
	h_close(&s);
}

/* The reader holds the stream and does not read: the server is stopped all the same. */
NX_TEST(cancel_while_nobody_reads)
{
	struct session s = h_open(NULL);
	struct nx_stream *st;
	struct nx_batch b;
	NX_EQ_I(NX_OK, h_query(&s,
			       (struct ask){ "SELECT 'marker_e', seq FROM seq_1_to_1000000000",
					     .pure = true },
			       &st));
	NX_EQ_I(NX_OK, nx_driver_mysql.next(st, &b, &s.err));
	nap(50);
	nx_driver_mysql.cancel(s.conn);
	wait_gone("marker_e", 50);
	NX_EQ_I(NX_E_QUERY_CANCELED, nx_driver_mysql.next(st, &b, &s.err));
	NX_EQ_I(NX_CONN_BROKEN, nx_driver_mysql.release(st)); /* its socket had to be cut */
	h_close(&s);
}

NX_TEST(cancel_races_with_everything)
{
	struct session s = h_open(NULL);
	int done = 0, stopped = 0;
	for (int i = 0; i < 200; i++) {
		struct canceller k = { s.conn, 0, 0 };
		pthread_t t;
		NX_EQ_I(0, pthread_create(&t, NULL, cancel_later, &k));
		for (int spin = 0; spin < i * 40; spin++)
			__asm__ volatile("");
		const char *text =
			H_TEXT(&s, i % 2 ? "SELECT 5 AS a" : "SELECT seq FROM seq_1_to_2000",
			       .pure = i % 3 != 0);
		if (strncmp(text, "QUERY_CANCELED", 14) == 0)
			stopped++;
		else if ((text[0] >= '0' && text[0] <= '9'))
			done++;
		else
			nx_test_fail(__FILE__, __LINE__, "%s", text);
		pthread_join(t, NULL);
		NX_CHECK(s.state != NX_CONN_BROKEN);
		if (s.state == NX_CONN_DIRTY)
			NX_EQ_I(NX_OK, nx_driver_mysql.reset(s.conn, nx_now() + 5000 * MS, &s.err));
		nx_driver_mysql.cancel(s.conn); /* idle: nothing */
		NX_EQ_S("1", H_TEXT(&s, "SELECT 1 AS a", .pure = true));
	}
	printf("# %d ran to the end, %d were cancelled\n", done, stopped);
	h_close(&s);
}

/* The server's own limit is a net under the gateway's, and widened for a query that may run longer. */
NX_TEST(limit_of_the_server)
{
	struct session s = h_open((const char *const[]){ "timeout=20", NULL });
	const char *sql = "SELECT @@max_statement_time = 30 AS a";
	NX_EQ_S("1", H_TEXT(&s, sql, .pure = true));
	NX_EQ_S("0", H_TEXT(&s, sql, .pure = true, .timeout_ms = 500000));
	h_close(&s);
}

/* --- a server that goes away ----------------------------------------------------------------- */

static void kill_connections(void)
{
	char id[32], sql[64];
	for (;;) {
		snprintf(id, sizeof(id), "%s",
			 h_admin_value("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = "
				       "'nexus' LIMIT 1"));
		if (!*id)
			return;
		snprintf(sql, sizeof(sql), "KILL CONNECTION %s", id);
		h_admin(sql);
		nap(5);
	}
}

NX_TEST(killed_while_idle)
{
	struct session s = h_open(NULL);
	NX_CHECK(nx_driver_mysql.check(s.conn));
	(void)H_TEXT(&s, "SELECT 1 AS a", .pure = true);
	NX_CHECK(nx_driver_mysql.check(s.conn));
	kill_connections();
	nap(20);
	NX_CHECK(!nx_driver_mysql.check(s.conn));
	const char *text = H_TEXT(&s, "SELECT 1 AS a", .pure = true);
	NX_CHECK(strncmp(text, "SOURCE_LOST", 11) == 0);
	NX_EQ_I(NX_CONN_BROKEN, s.state);
	NX_CHECK(!nx_driver_mysql.check(s.conn));
	h_close(&s);
}

NX_TEST(killed_mid_stream)
{
	struct session s = h_open(NULL);
	struct nx_stream *st;
	struct nx_batch b;
	NX_EQ_I(NX_OK, h_query(&s,
			       (struct ask){ "SELECT 'marker_f', seq FROM seq_1_to_1000000000",
					     .pure = true },
			       &st));
	NX_EQ_I(NX_OK, nx_driver_mysql.next(st, &b, &s.err));
	kill_connections();
	enum nx_code code = h_count(st, NULL, &s.err);
	NX_EQ_S("SOURCE_LOST", nx_code_name(code));
	NX_EQ_I(NX_CONN_BROKEN, nx_driver_mysql.release(st));
	h_close(&s);
}

/* The server's process stands still, its sockets stay open: everything is bounded all the same. */
NX_TEST(frozen_server)
{
	const char *pid = getenv("NX_MARIADB_PID");
	if (!pid)
		NX_SKIP("the server's process is not known");
	struct session s = h_open(NULL), idle = h_open(NULL), late;
	pid_t server = (pid_t)strtol(pid, NULL, 10);
	NX_EQ_I(0, kill(server, SIGSTOP));
	struct canceller k = { s.conn, 50, 0 };
	pthread_t t;
	NX_EQ_I(0, pthread_create(&t, NULL, cancel_later, &k));
	const char *text = H_TEXT(&s, "SELECT 1 AS a", .pure = true);
	int64_t query = nx_now() - k.sent, start = nx_now();
	pthread_join(t, NULL);
	enum nx_code reset = nx_driver_mysql.reset(idle.conn, nx_now() + 300 * MS, &idle.err);
	int64_t reset_ns = nx_now() - start;
	start = nx_now();
	enum nx_code login = h_try(&late, NULL, nx_now() + 300 * MS);
	int64_t login_ns = nx_now() - start;
	start = nx_now();
	h_close(&s);
	h_close(&idle);
	h_close(&late);
	int64_t close_ns = nx_now() - start;
	NX_EQ_I(0, kill(server, SIGCONT));
	printf("# query ended %.1f s after cancel, reset failed in %.2f s, login in %.2f s, closed "
	       "in %.3f s\n",
	       (double)query / 1e9, (double)reset_ns / 1e9, (double)login_ns / 1e9,
	       (double)close_ns / 1e9);
	NX_EQ_S("QUERY_CANCELED 0 ", text);
	NX_CHECK(query < 3500 * MS);
	NX_CHECK(reset != NX_OK && reset_ns < 500 * MS);
	NX_EQ_I(NX_E_CONNECT_TIMEOUT, login);
	NX_CHECK(login_ns < 500 * MS && close_ns < 300 * MS);
}

/* An error after rows is an error, not an end. */
NX_TEST(error_after_rows)
{
	struct session s = h_open(NULL);
	struct nx_stream *st;
	uint64_t rows;
	NX_EQ_I(NX_OK, h_query(&s,
			       (struct ask){ "SELECT seq, (SELECT b.seq FROM seq_1_to_2 b WHERE "
					     "a.seq > 5000 OR b.seq = 1) FROM seq_1_to_10000 a",
					     .pure = true },
			       &st));
	enum nx_code code = h_count(st, &rows, &s.err);
	NX_EQ_S("SQL_ERROR", nx_code_name(code));
	NX_EQ_I(1242, s.err.native);
	NX_CHECK(rows > 0);
	NX_EQ_I(NX_CONN_CLEAN, nx_driver_mysql.release(st));
	NX_EQ_S("1", H_TEXT(&s, "SELECT 1 AS a", .pure = true));
	h_close(&s);
}

/* --- catalog --------------------------------------------------------------------------------- */

NX_TEST(browse)
{
	struct session s = h_open(NULL);
	h_admin("CREATE DATABASE IF NOT EXISTS cat");
	h_admin("CREATE OR REPLACE TABLE cat.people (id INT PRIMARY KEY, name VARCHAR(10) NOT NULL "
		"COMMENT '名') COMMENT 'all people'");
	h_admin("CREATE OR REPLACE VIEW cat.v AS SELECT id FROM cat.people");
	struct nx_stream *st;
	struct nx_batch b;
	struct nx_query q = h_ask(&s, (struct ask){ "" });
	NX_EQ_I(NX_OK, nx_driver_mysql.tables(s.conn, &q, NX_STR("cat"), &st, &s.state, &s.err));
	NX_EQ_I(NX_OK, nx_driver_mysql.next(st, &b, &s.err));
	NX_EQ_I(2, b.nrows);
	NX_EQ_STR(NX_STR("people"), nx_column_text(&b.cols[1], 0));
	NX_EQ_STR(NX_STR("table"), nx_column_text(&b.cols[2], 0));
	NX_EQ_STR(NX_STR("all people"), nx_column_text(&b.cols[3], 0));
	NX_EQ_STR(NX_STR("view"), nx_column_text(&b.cols[2], 1));
	NX_EQ_I(NX_CONN_CLEAN, nx_driver_mysql.release(st));
	NX_EQ_I(NX_OK, nx_driver_mysql.columns(s.conn, &q, NX_STR("cat"), NX_STR("people"), &st,
					       &s.state, &s.err));
	NX_EQ_I(NX_OK, nx_driver_mysql.next(st, &b, &s.err));
	NX_EQ_I(2, b.nrows);
	NX_EQ_STR(NX_STR("name"), nx_column_text(&b.cols[2], 1));
	NX_EQ_STR(NX_STR("varchar(10)"), nx_column_text(&b.cols[4], 1));
	NX_EQ_I(NX_T_BOOL, nx_driver_mysql.schema(st)->fields[5].type);
	NX_EQ_STR(NX_STR("false"), nx_column_text(&b.cols[5], 1));
	NX_EQ_STR(NX_STR("名"), nx_column_text(&b.cols[7], 1));
	NX_EQ_I(NX_CONN_CLEAN, nx_driver_mysql.release(st));
	NX_EQ_I(NX_OK, nx_driver_mysql.tables(s.conn, &q, NX_STR(""), &st, &s.state, &s.err));
	NX_EQ_I(NX_OK, h_count(st, NULL, &s.err));
	NX_EQ_I(NX_CONN_CLEAN, nx_driver_mysql.release(st));
	h_close(&s);
}
