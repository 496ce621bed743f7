/* Layers B to D without layer A: a superuser's session gets statements that the gate would refuse.
 * What is not stopped here is listed in README.md; the last case keeps that list honest. */
#include <stdio.h>

#include "harness.h"

static void refused(struct session *s, const char *sql, enum nx_code want)
{
	for (int pure = 0; pure < 2; pure++) {
		struct result r = run_sql(s, sql, pure);
		if (r.code != want)
			nx_test_fail(__FILE__, __LINE__, "%s: want %s, got %s: %s", sql,
				     nx_code_name(want), nx_code_name(r.code), r.err.message);
		if (r.state == NX_CONN_DIRTY)
			NX_EQ_I(NX_OK, pg_reset(s->conn, in_seconds(5), &r.err));
		else
			NX_EQ_I(NX_CONN_CLEAN, r.state);
		result_done(&r);
	}
}

NX_TEST(writes_are_stopped_for_a_superuser)
{
	struct session s;
	session_open(&s, NULL);
	admin("DROP SCHEMA IF EXISTS ro CASCADE; CREATE SCHEMA ro; CREATE TABLE ro.t AS SELECT 1 "
	      "AS a; "
	      "CREATE SEQUENCE ro.s; CREATE MATERIALIZED VIEW ro.m AS SELECT 1 AS a; "
	      "CREATE FUNCTION ro.w() RETURNS int LANGUAGE sql AS 'INSERT INTO ro.t VALUES (2) "
	      "RETURNING a'; "
	      "CREATE FUNCTION ro.x() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS "
	      "$$ BEGIN SET TRANSACTION READ WRITE; INSERT INTO ro.t VALUES (3); RETURN 1; END $$; "
	      "CREATE PROCEDURE ro.p(INOUT a int) LANGUAGE plpgsql AS "
	      "$$ BEGIN COMMIT; INSERT INTO ro.t VALUES (4); END $$");
	static const char *const no_result[] = {
		"INSERT INTO ro.t VALUES (2)",
		"UPDATE ro.t SET a = 2",
		"DELETE FROM ro.t",
		"CREATE TABLE ro.n (a int)",
		"CREATE TEMP TABLE n (a int)",
		"DROP TABLE ro.t",
		"TRUNCATE ro.t",
		"SELECT 1 AS a INTO ro.n",
		"CREATE TABLE ro.n AS SELECT 1 AS a",
		"COPY ro.t TO STDOUT",
		"COPY ro.t FROM STDIN",
		"COPY ro.t TO 'nx-never'",
		"COPY (SELECT 1) TO PROGRAM 'true'",
		"SET default_transaction_read_only = off",
		"SET TRANSACTION READ WRITE",
		"BEGIN READ WRITE",
		"COMMIT",
		"ROLLBACK",
		"START TRANSACTION",
		"SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
		"DO $$ BEGIN PERFORM 1; END $$",
		"LISTEN x",
		"NOTIFY x",
		"VACUUM",
		"ANALYZE ro.t",
		"LOCK TABLE ro.t",
		"PREPARE p AS SELECT 1",
		"DEALLOCATE ALL",
		"DISCARD ALL",
		"GRANT SELECT ON ro.t TO PUBLIC",
		"REFRESH MATERIALIZED VIEW ro.m",
		"CHECKPOINT",
		"DECLARE c CURSOR WITH HOLD FOR SELECT 1",
		"SET ROLE pg_monitor",
		"REINDEX TABLE ro.t",
		"RESET ALL",
		"LOAD 'plpgsql'",
		"COMMENT ON TABLE ro.t IS 'x'",
		"",
	};
	for (size_t i = 0; i < NX_COUNTOF(no_result); i++)
		refused(&s, no_result[i], NX_E_RO_NO_RESULT);
	static const char *const server[] = {
		"INSERT INTO ro.t VALUES (2) RETURNING a",
		"UPDATE ro.t SET a = 2 RETURNING a",
		"DELETE FROM ro.t RETURNING a",
		"WITH d AS (DELETE FROM ro.t RETURNING a) SELECT * FROM d",
		"WITH i AS (INSERT INTO ro.t VALUES (9) RETURNING a) SELECT * FROM i",
		"SELECT nextval('ro.s')",
		"SELECT setval('ro.s', 5)",
		"SELECT * FROM ro.t FOR UPDATE",
		"SELECT * FROM ro.t FOR SHARE",
		"SELECT * FROM ro.t FOR KEY SHARE",
		"SELECT ro.w()",
		"EXPLAIN ANALYZE INSERT INTO ro.t VALUES (2)",
		"EXPLAIN ANALYZE DELETE FROM ro.t",
	};
	for (size_t i = 0; i < NX_COUNTOF(server); i++)
		refused(&s, server[i], NX_E_RO_SERVER);
	/* "transaction read-write mode must be set before any query" has SQLSTATE 25001. */
	refused(&s, "SELECT ro.x()", NX_E_SQL_ERROR);
	refused(&s, "SELECT set_config('transaction_read_only', 'off', true), ro.w()",
		NX_E_SQL_ERROR);
	NX_EQ_S("1", admin("SELECT string_agg(a::text, ',') FROM ro.t"));
	NX_EQ_S("f", admin("SELECT is_called FROM ro.s"));
	session_close(&s);
}

/* A procedure may commit where no transaction block is open: never called pure by the gate, and
 * refused inside BEGIN READ ONLY. */
NX_TEST(procedures_cannot_commit)
{
	struct session s;
	session_open(&s, NULL);
	admin("CREATE TABLE IF NOT EXISTS proc_t (a int); CREATE OR REPLACE PROCEDURE proc_p(INOUT "
	      "a int) "
	      "LANGUAGE plpgsql AS $$ BEGIN COMMIT; SET TRANSACTION READ WRITE; "
	      "INSERT INTO proc_t VALUES (4); END $$");
	struct result r = run_sql(&s, "CALL proc_p(1)", false);
	NX_EQ_S("2D000", r.err.sqlstate);
	result_done(&r);
	NX_EQ_S("0", admin("SELECT count(*) FROM proc_t"));
	session_close(&s);
}

static void poison(struct session *s, const char *sql)
{
	struct result r = run_sql(s, sql, false);
	if (r.code)
		nx_test_fail(__FILE__, __LINE__, "%s: %s", sql, r.err.message);
	NX_EQ_I(NX_CONN_DIRTY, r.state);
	result_done(&r);
	struct nx_error err;
	if (pg_reset(s->conn, in_seconds(5), &err))
		nx_test_fail(__FILE__, __LINE__, "reset: %s", err.message);
}

NX_TEST(reset_leaves_nothing)
{
	struct session s;
	session_open(&s, NULL);
	NX_EQ_S("7", one(&s, "SELECT 7"));
	poison(&s,
	       "SELECT pg_advisory_lock(42), set_config('search_path', 'nowhere', false), "
	       "set_config('default_transaction_read_only', 'off', false), "
	       "set_config('TimeZone', 'Asia/Tokyo', false), set_config('nx.custom', 'x', false)");
	NX_EQ_S("0", admin("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"));
	NX_EQ_S("on", one(&s, "SELECT current_setting('default_transaction_read_only')"));
	NX_EQ_S("UTC", one(&s, "SELECT current_setting('TimeZone')"));
	NX_EQ_S("\"$user\", public", one(&s, "SELECT current_setting('search_path')"));
	NX_EQ_S("", one(&s, "SELECT coalesce(current_setting('nx.custom', true), '')"));
	NX_EQ_S("1",
		one(&s,
		    "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT 7'"));
	/* Without reset: ROLLBACK alone has undone the settings, the lock is still there. */
	struct result r =
		run_sql(&s, "SELECT pg_advisory_lock(43), set_config('nx.b', 'x', false)", false);
	NX_EQ_I(NX_CONN_DIRTY, r.state);
	result_done(&r);
	NX_EQ_S("0", admin("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%%'"));
	NX_EQ_I(NX_OK, pg_reset(s.conn, in_seconds(5), NULL));
	NX_EQ_S("0", admin("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"));
	session_close(&s);
}

NX_TEST(foreign_prepared_statements_end_the_connection)
{
	struct session s;
	session_open(&s, NULL);
	admin("CREATE OR REPLACE FUNCTION evil() RETURNS int LANGUAGE plpgsql AS $$ DECLARE n "
	      "text; BEGIN "
	      "SELECT name INTO n FROM pg_prepared_statements WHERE statement = 'SELECT 7'; "
	      "EXECUTE 'DEALLOCATE ' || n; EXECUTE 'PREPARE ' || n || ' AS SELECT 666'; RETURN 1; "
	      "END $$");
	NX_EQ_S("7", one(&s, "SELECT 7"));
	struct result r = run_sql(&s, "SELECT evil()", false);
	NX_EQ_I(NX_OK, r.code);
	NX_EQ_I(NX_CONN_DIRTY, r.state);
	result_done(&r);
	struct nx_error err;
	NX_EQ_I(NX_E_SOURCE_FAILED, pg_reset(s.conn, in_seconds(5), &err));
	NX_CHECK(!pg_check(s.conn));
	session_close(&s);
}

NX_TEST(probe_tells_what_the_account_could_do)
{
	struct session s;
	struct nx_grants g;
	struct nx_error err;
	session_open(&s, NULL);
	NX_EQ_I(NX_OK, pg_probe(s.conn, in_seconds(5), &g, &err));
	NX_CHECK(g.superuser && g.can_write && g.can_files);
	printf("# %s\n", g.summary);
	session_close(&s);
	admin("DROP TABLE IF EXISTS probe_t; CREATE TABLE probe_t (a int)");
	session_open_reader(&s);
	NX_EQ_I(NX_OK, pg_probe(s.conn, in_seconds(5), &g, &err));
	NX_EQ_S("reads only", g.summary);
	NX_CHECK(!g.superuser && !g.can_write && !g.can_files);
	admin("GRANT DELETE ON probe_t TO nx_reader; GRANT pg_read_server_files TO nx_reader");
	NX_EQ_I(NX_OK, pg_probe(s.conn, in_seconds(5), &g, &err));
	NX_EQ_S("may write or create; may use server files or programs", g.summary);
	admin("REVOKE DELETE ON probe_t FROM nx_reader; REVOKE pg_read_server_files FROM "
	      "nx_reader");
	session_close(&s);
}

/* Not stopped by B to D; the gate (layer A) and the account's rights must. When a line here starts
 * to fail, README.md has good news to tell. */
NX_TEST(known_holes)
{
	struct session s;
	session_open(&s, NULL);
	static const char *const open[] = {
		"SELECT pg_advisory_lock(1)",
		"SELECT pg_sleep(0)",
		"SELECT pg_notify('x', 'y')",
		"SELECT lo_create(0)",
		"SELECT pg_switch_wal()",
		"SELECT pg_read_file('/etc/hostname')",
		"SELECT pg_logical_emit_message(false, 'a', 'b')",
		"SELECT txid_current()",
		"SELECT pg_reload_conf()",
		"SHOW server_version",
		"EXPLAIN ANALYZE CREATE TABLE hole AS SELECT 1",
	};
	for (size_t i = 0; i < NX_COUNTOF(open); i++) {
		struct result r = run_sql(&s, open[i], false);
		printf("# %s: %s\n", open[i], r.code ? r.err.message : "passes");
		NX_EQ_I(NX_OK, r.code);
		NX_EQ_I(NX_OK, pg_reset(s.conn, in_seconds(5), NULL));
		result_done(&r);
	}
	/* ROLLBACK took back what was transactional. */
	NX_EQ_S("0", admin("SELECT count(*) FROM pg_class WHERE relname = 'hole'"));
	NX_EQ_S("0", admin("SELECT count(*) FROM pg_largeobject_metadata"));
	session_close(&s);
}
