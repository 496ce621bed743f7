/* Layers B to D without layer A, under a login that may do everything: what they stop and what they
 * do not. README.md has the same table; where a line here says what passes, the gate (layer A) and
 * the account's rights have to stop it. */
#include "harness.h"

#include <unistd.h>

#define MS INT64_C(1000000)

static void fresh(void)
{
	h_admin("CREATE OR REPLACE TABLE ro (a INT)");
	h_admin("INSERT INTO ro VALUES (1), (2), (3)");
	h_admin("CREATE OR REPLACE SEQUENCE sq");
	h_admin("CREATE OR REPLACE FUNCTION writes() RETURNS INT BEGIN INSERT INTO ro VALUES (9); "
		"RETURN 1; END");
	h_admin("CREATE OR REPLACE PROCEDURE proc() BEGIN INSERT INTO ro VALUES (9); SELECT 1; "
		"END");
}

/* Every statement as pure and as not pure: neither may write. */
static void refused(struct session *s, const char *want, const char *sql)
{
	for (int pure = 0; pure < 2; pure++) {
		const char *got = H_TEXT(s, sql, .pure = pure != 0);
		if (strncmp(got, want, strlen(want)) != 0)
			nx_test_fail(__FILE__, __LINE__, "%s: want %s, got %s (%s)", sql, want, got,
				     s->err.message);
		NX_CHECK(s->state != NX_CONN_BROKEN);
		if (s->state == NX_CONN_DIRTY)
			NX_EQ_I(NX_OK,
				nx_driver_mysql.reset(s->conn, nx_now() + 2000 * MS, &s->err));
	}
	NX_EQ_S("3", h_admin_value("SELECT COUNT(*) FROM ro"));
}

/* Layer C: no result columns, so nothing has run. */
NX_TEST(not_a_query)
{
	struct session s = h_open(NULL);
	fresh();
	static const char *const sqls[] = {
		"INSERT INTO ro VALUES (4)",
		"UPDATE ro SET a = 5",
		"DELETE FROM ro",
		"REPLACE INTO ro VALUES (1)",
		"TRUNCATE ro",
		"DROP TABLE ro",
		"ALTER TABLE ro ADD b INT",
		"CREATE TABLE x (a INT)",
		"CREATE TEMPORARY TABLE x (a INT)",
		"CREATE TABLE x AS SELECT 1",
		"RENAME TABLE ro TO ro2",
		"INSERT INTO ro SELECT 1",
		"WITH c AS (SELECT 1) DELETE FROM ro",
		"DELETE a FROM ro a",
		"SELECT 1 INTO @a",
		"SELECT a FROM ro LIMIT 1 INTO @a",
		"SELECT 1 INTO OUTFILE 'nexus-never'",
		"SELECT 1 INTO DUMPFILE 'nexus-never'",
		"SELECT 1 /*!50000 INTO OUTFILE 'nexus-never' */",
		"/*!50000 INSERT INTO ro VALUES (7) */",
		"SET @a = 1",
		"SET GLOBAL max_connections = 5",
		"SET SESSION TRANSACTION READ WRITE",
		"SET STATEMENT max_statement_time = 0 FOR SET @a = 1",
		"DO GET_LOCK('x', 0)",
		"CALL proc()",
		"COMMIT",
		"START TRANSACTION",
		"FLUSH TABLES",
		"KILL QUERY 1",
		"CREATE USER u",
		"GRANT ALL ON *.* TO nexus",
		"INSTALL SONAME 'x'",
		"ANALYZE INSERT INTO ro VALUES (1)",
		"RESET QUERY CACHE",
		"CHANGE MASTER TO MASTER_HOST = 'x'",
		"SHUTDOWN",
		"PREPARE p FROM 'DELETE FROM ro'",
		"EXECUTE IMMEDIATE 'DELETE FROM ro'",
		"LOAD DATA INFILE '/etc/passwd' INTO TABLE ro",
		"USE mysql",
		"LOCK TABLES ro WRITE",
		"HANDLER ro OPEN",
		"BEGIN NOT ATOMIC DELETE FROM ro; END",
		"XA START 'a'",
		"CREATE SEQUENCE z",
		"DROP DATABASE nx",
		"BINLOG 'x'",
		"UNLOCK TABLES",
	};
	for (size_t i = 0; i < NX_COUNTOF(sqls); i++) {
		const char *got = H_TEXT(&s, sqls[i], .pure = i % 2 == 0);
		printf("# %-60s %s\n", sqls[i], got);
		NX_CHECK(strncmp(got, "RO_", 3) == 0 || strncmp(got, "SQL_PARSE", 9) == 0);
		NX_CHECK(s.state != NX_CONN_BROKEN);
		if (s.state == NX_CONN_DIRTY)
			NX_EQ_I(NX_OK, nx_driver_mysql.reset(s.conn, nx_now() + 2000 * MS, &s.err));
		NX_EQ_S("3", h_admin_value("SELECT COUNT(*) FROM ro"));
	}
	char path[400]; /* where the server would have put it */
	snprintf(path, sizeof(path), "%s/data/nx/nexus-never", getenv("NX_MARIADB_DIR"));
	NX_CHECK(access(path, F_OK) != 0);
	h_close(&s);
}

/* Layer B: has result columns and would write. */
NX_TEST(the_server_refuses)
{
	struct session s = h_open(NULL);
	fresh();
	refused(&s, "RO_SERVER 1792 25006", "SELECT writes()");
	refused(&s, "RO_SERVER 1792 25006", "SELECT a, writes() FROM ro");
	refused(&s, "RO_SERVER 1792 25006", "SELECT NEXTVAL(sq)");
	refused(&s, "RO_SERVER 1792 25006", "SELECT SETVAL(sq, 50)");
	refused(&s, "RO_SERVER 1792 25006", "INSERT INTO ro VALUES (4) RETURNING a");
	refused(&s, "RO_SERVER 1792 25006", "DELETE FROM ro RETURNING a");
	refused(&s, "RO_SERVER 1792 25006", "REPLACE INTO ro VALUES (4) RETURNING a");
	refused(&s, "RO_SERVER 1792 25006", "OPTIMIZE TABLE ro");
	refused(&s, "RO_SERVER 1792 25006", "REPAIR TABLE ro");
	h_close(&s);
}

/* Layer D: one statement a message. */
NX_TEST(one_statement)
{
	struct session s = h_open(NULL);
	fresh();
	refused(&s, "SQL_PARSE 1064 42000", "SELECT 1; DELETE FROM ro");
	refused(&s, "SQL_PARSE 1064 42000", "SELECT 1; SELECT 2");
	NX_EQ_S("1", H_TEXT(&s, "SELECT 1 AS a;", .pure = true));
	h_close(&s);
}

/* What B to D let through; layer A and the account's rights must not. */
NX_TEST(not_stopped_here)
{
	struct session s = h_open(NULL);
	fresh();
	static const char *const sqls[] = {
		"SELECT GET_LOCK('poison', 0)",
		"SELECT @x := 5",
		"SELECT SLEEP(0)",
		"SELECT BENCHMARK(1, 1)",
		"SELECT LOAD_FILE('/etc/hostname')",
		"SELECT a FROM ro LOCK IN SHARE MODE",
		"SHOW GRANTS",
		"EXPLAIN SELECT 1",
		"SHOW PROCESSLIST",
		"ANALYZE SELECT 1",
		"CHECK TABLE ro",
		"ANALYZE TABLE ro",
		"SELECT a FROM ro FOR UPDATE",
		"SELECT a FROM ro PROCEDURE ANALYSE()",
		"CHECKSUM TABLE ro",
		"SELECT RELEASE_ALL_LOCKS()",
		"SHOW CREATE USER nexus",
		"VALUES (1)",
		"TABLE ro",
	};
	for (size_t i = 0; i < NX_COUNTOF(sqls); i++) {
		s.err.code = NX_OK;
		const char *got = H_TEXT(&s, sqls[i]);
		printf("# %-50s %s\n", sqls[i], s.err.code == NX_OK ? "passes" : got);
		if (s.state == NX_CONN_DIRTY)
			NX_EQ_I(NX_OK, nx_driver_mysql.reset(s.conn, nx_now() + 2000 * MS, &s.err));
	}
	NX_EQ_S("3", h_admin_value("SELECT COUNT(*) FROM ro"));
	h_close(&s);
}

/* What a statement left in the session is gone before the connection serves another. */
NX_TEST(hygiene)
{
	struct session s = h_open(NULL);
	fresh();
	(void)H_TEXT(&s, "SELECT GET_LOCK('poison', 0), @x := 5");
	NX_EQ_I(NX_CONN_DIRTY, s.state);
	NX_EQ_S("0", h_admin_value("SELECT IS_FREE_LOCK('poison')"));
	NX_EQ_I(NX_OK, nx_driver_mysql.reset(s.conn, nx_now() + 2000 * MS, &s.err));
	NX_EQ_S("1", h_admin_value("SELECT IS_FREE_LOCK('poison')"));
	NX_EQ_S("NULL | 1", H_TEXT(&s, "SELECT @x AS x, @@tx_read_only AS t", .pure = true));
	/* a table lock does not outlive the stream either */
	(void)H_TEXT(&s, "SELECT a FROM ro LOCK IN SHARE MODE");
	h_admin("SET lock_wait_timeout = 1");
	h_admin("ALTER TABLE ro COMMENT 'x'");
	NX_EQ_I(NX_OK, nx_driver_mysql.reset(s.conn, nx_now() + 2000 * MS, &s.err));
	h_close(&s);
}

/* A malicious server may ask for a file; the client must not have the ability. */
NX_TEST(no_local_infile)
{
	struct session s = h_open(NULL);
	struct my_conn *c = (struct my_conn *)s.conn;
	NX_EQ_I(0, c->my->client_flag & CLIENT_LOCAL_FILES);
	NX_EQ_I(0, c->my->client_flag & CLIENT_MULTI_STATEMENTS);
	h_close(&s);
}
