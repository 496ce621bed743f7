/* What cases/mysql8.case cannot say: streaming, early release and cancel on MySQL 8. */
#include "harness.h"

#include <time.h>

#define MS INT64_C(1000000)

static void rows_table(void)
{
	h_admin("CREATE TABLE IF NOT EXISTS many (n INT PRIMARY KEY)");
	h_admin("SET cte_max_recursion_depth = 5000");
	h_admin("INSERT IGNORE INTO many WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 "
		"FROM r "
		"WHERE n < 3200) SELECT n FROM r");
}

static size_t peak_of(struct session *s, const char *sql, uint64_t want)
{
	struct nx_stream *st;
	uint64_t rows;
	h_peak_reset();
	NX_EQ_I(NX_OK, h_query(s, (struct ask){ sql, .pure = true, .timeout_ms = 200000 }, &st));
	NX_EQ_I(NX_OK, h_count(st, &rows, &s->err));
	NX_EQ_I(want, rows);
	NX_EQ_I(NX_CONN_CLEAN, nx_driver_mysql.release(st));
	return h_peak_kb();
}

NX_TEST_FOR(ten_million_rows_in_constant_memory, 300)
{
	struct session s = h_open(NULL);
	rows_table();
	size_t small =
		peak_of(&s, "SELECT a.n, 'x', b.n * 1.5 FROM many a JOIN many b ON b.n <= 3", 9600);
	size_t large = peak_of(&s, "SELECT a.n, 'x', b.n * 1.5 FROM many a JOIN many b", 10240000);
	printf("# peak %zu and %zu KiB\n", small, large);
	NX_CHECK(large <= small + 20 * 1024);
	h_close(&s);
}

static void *cancel_soon(void *arg)
{
	nanosleep(&(struct timespec){ .tv_nsec = 100 * MS }, NULL);
	nx_driver_mysql.cancel(arg);
	return NULL;
}

static void cancelled(struct session *s, const char *sql, bool pure)
{
	pthread_t t;
	int64_t start = nx_now();
	NX_EQ_I(0, pthread_create(&t, NULL, cancel_soon, s->conn));
	NX_EQ_S("QUERY_CANCELED 0 ", H_TEXT(s, sql, .pure = pure, .timeout_ms = 60000));
	pthread_join(t, NULL);
	printf("# %.1f ms\n", (double)(nx_now() - start - 100 * MS) / 1e6);
	NX_CHECK(nx_now() - start < 400 * MS);
	if (s->state == NX_CONN_DIRTY)
		NX_EQ_I(NX_OK, nx_driver_mysql.reset(s->conn, nx_now() + 5000 * MS, &s->err));
	NX_EQ_S("1", H_TEXT(s, "SELECT 1", .pure = true));
}

/* SLEEP() answers a KILL QUERY with a row: it is cancelled all the same. */
NX_TEST(cancel)
{
	struct session s = h_open(NULL);
	rows_table();
	cancelled(&s, "SELECT SLEEP(30)", false);
	cancelled(&s, "SELECT SLEEP(30)", true);
	cancelled(&s,
		  "SELECT COUNT(*) FROM many a JOIN many b JOIN many c WHERE (a.n * b.n + c.n) % 7 "
		  "= 8",
		  true);
	h_close(&s);
}

NX_TEST(early_release)
{
	struct session s = h_open(NULL);
	struct nx_stream *st;
	struct nx_batch b;
	rows_table();
	struct ask a = { "SELECT a.n FROM many a JOIN many b JOIN many c", .pure = true };
	for (int i = 0; i < 6; i++) {
		a.max_rows = i % 2 ? 100 : 0;
		NX_EQ_I(NX_OK, h_query(&s, a, &st));
		NX_EQ_I(NX_OK, nx_driver_mysql.next(st, &b, &s.err));
		int64_t start = nx_now();
		NX_EQ_I(NX_CONN_CLEAN, nx_driver_mysql.release(st));
		NX_CHECK(nx_now() - start < 500 * MS);
		NX_EQ_S("0",
			h_admin_value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE "
				      "INFO LIKE '%JOIN many c' AND ID <> CONNECTION_ID()"));
	}
	h_close(&s);
}

/* The server's own limit: max_execution_time. */
NX_TEST(timeout_of_the_server)
{
	struct session s = h_open(NULL);
	NX_EQ_S("70000", H_TEXT(&s, "SELECT @@max_execution_time", .pure = true));
	NX_EQ_S("QUERY_TIMEOUT 3024 ", H_TEXT(&s,
					      "SELECT /*+ MAX_EXECUTION_TIME(100) */ COUNT(*) FROM "
					      "many a JOIN many b JOIN many c "
					      "WHERE (a.n * b.n + c.n) % 7 = 8",
					      .pure = true));
	h_close(&s);
}

NX_TEST(probe)
{
	struct session s = h_open(NULL);
	struct nx_grants g;
	NX_EQ_I(NX_OK, nx_driver_mysql.probe(s.conn, nx_now() + 5000 * MS, &g, &s.err));
	NX_CHECK(g.superuser && g.can_write && g.can_files);
	h_close(&s);
	s = h_open((const char *const[]){ "username=reader", "password=reader-secret", NULL });
	NX_EQ_I(NX_OK, nx_driver_mysql.probe(s.conn, nx_now() + 5000 * MS, &g, &s.err));
	NX_CHECK(!g.superuser && !g.can_write && !g.can_files);
	h_close(&s);
}

/* caching_sha2_password without TLS (public key exchange), with it, and with a proven certificate. */
NX_TEST(login)
{
	char ca[400];
	snprintf(ca, sizeof(ca), "sslCa=%s",
		 getenv("NX_MARIADB_CA") ? getenv("NX_MARIADB_CA") : "");
	struct session s = h_open((const char *const[]){ "ssl=disable", NULL });
	NX_EQ_S("caching_sha2_password",
		h_admin_value("SELECT plugin FROM mysql.user WHERE user = 'nexus'"));
	h_close(&s);
	s = h_open((const char *const[]){ "ssl=require", NULL });
	h_close(&s);
	/* its own certificate names no host: the authority is proven, the name is not */
	NX_EQ_I(NX_E_SOURCE_AUTH, h_try(&s, (const char *const[]){ "ssl=verify-full", ca, NULL },
					nx_now() + 5000 * MS));
	h_close(&s);
}
