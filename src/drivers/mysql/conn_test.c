/* Logging in, and everything that can go wrong with it. */
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define NONE NULL
#define WITH(...) ((const char *const[]){ __VA_ARGS__, NULL })

static struct session tried;

/* The code of a connection attempt, and how long it took. */
static const char *attempt(const char *const *more, int64_t limit_ms, int64_t *ret_ms)
{
	int64_t start = nx_now();
	enum nx_code code = h_try(&tried, more, start + limit_ms * MS);
	if (ret_ms)
		*ret_ms = (nx_now() - start) / MS;
	h_close(&tried);
	tried.conn = NULL;
	if (code)
		printf("# %s: %d %s\n", nx_code_name(code), tried.err.native, tried.err.detail);
	return code ? nx_code_name(code) : "OK";
}

/* A listening socket of ours on a free port. */
static int listener(char *option, size_t size)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	NX_CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 8) == 0);
	NX_CHECK(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	snprintf(option, size, "port=%u", ntohs(a.sin_port));
	return fd;
}

NX_TEST(login)
{
	NX_EQ_S("OK", attempt(NONE, 5000, NULL));
	NX_EQ_S("OK", attempt(WITH("host=localhost"), 5000, NULL)); /* TCP, not the Unix socket */
	NX_EQ_S("OK", attempt(WITH("database="), 5000, NULL));
}

NX_TEST(refused_logins)
{
	NX_EQ_S("SOURCE_AUTH", attempt(WITH("password=wrong"), 5000, NULL));
	NX_EQ_I(1045, tried.err.native);
	NX_CHECK(!strstr(tried.err.message, "nexus") && !strstr(tried.err.message, "127.0.0.1"));
	NX_CHECK(strstr(tried.err.detail, "nexus"));
	NX_EQ_S("SOURCE_AUTH", attempt(WITH("username=nobody"), 5000, NULL));
	NX_EQ_S("SOURCE_AUTH", attempt(WITH("database=nodb"), 5000, NULL));
	NX_EQ_S("SOURCE_AUTH",
		attempt(WITH("username=reader", "password=reader-secret", "database=mysql"), 5000,
			NULL));
}

NX_TEST(nobody_there)
{
	char port[32];
	int64_t ms;
	int fd = listener(port, sizeof(port));
	close(fd);
	NX_EQ_S("SOURCE_DOWN", attempt(WITH(port), 5000, &ms));
	NX_CHECK(ms < 500);
	NX_CHECK(!strstr(tried.err.message, "127.0.0.1"));
	NX_EQ_S("SOURCE_DOWN", attempt(WITH("host=no-such-host.invalid"), 5000, NULL));
}

/* Accepted by the kernel, answered by nobody. */
NX_TEST(hangs_on_connect)
{
	char port[32];
	int64_t ms;
	int fd = listener(port, sizeof(port));
	NX_EQ_S("CONNECT_TIMEOUT", attempt(WITH(port), 300, &ms));
	printf("# gave up after %d ms\n", (int)ms);
	NX_CHECK(ms >= 290 && ms < 500);
	NX_EQ_S("CONNECT_TIMEOUT", attempt(WITH(port, "ssl=verify-full"), 300, &ms));
	NX_CHECK(ms < 500);
	close(fd);
}

/* A server of few words: sends `say`, reads, sends `then`, and keeps what it heard. */
struct mute {
	int fd;
	bool slow; /* a byte every 20 ms */
	struct nx_str say, then;
	char heard[4096];
	size_t len;
};

static void tell(int c, struct nx_str say, bool slow)
{
	for (size_t i = 0; i < say.len; i++) {
		if (send(c, say.ptr + i, 1, MSG_NOSIGNAL) != 1)
			break;
		if (slow)
			usleep(20000);
	}
}

static void *speak(void *arg)
{
	struct mute *m = arg;
	struct timeval patience = { 0, 200000 };
	int c = accept(m->fd, NULL, NULL);
	setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	tell(c, m->say, m->slow);
	for (int i = 0; i < 2; i++) {
		ssize_t n =
			m->then.len ? recv(c, m->heard + m->len, sizeof(m->heard) - m->len, 0) : 0;
		if (n <= 0)
			break;
		m->len += (size_t)n;
		tell(c, m->then, false);
	}
	close(c);
	return NULL;
}

static const char *meet(struct mute *m, const char *ssl, int64_t *ms)
{
	char port[32];
	pthread_t t;
	m->fd = listener(port, sizeof(port));
	NX_EQ_I(0, pthread_create(&t, NULL, speak, m));
	const char *name = attempt(WITH(port, ssl), 400, ms);
	pthread_join(t, NULL);
	close(m->fd);
	return name;
}

/* The greeting of a server without TLS: length, version, id, salt, capabilities, plug-in. */
#define GREETING(len, plugin)                                                     \
	NX_STR(len "\0\0\0\x0a"                                                   \
		   "8.0.0\0\x01\0\0\0"                                            \
		   "abcdefgh\0\xff\xf7\x21\x02\0\xff\xc1\x15\0\0\0\0\0\0\0\0\0\0" \
		   "abcdefghijkl\0" plugin "\0")
#define SWITCH NX_STR("\x16\0\0\x02\xfemysql_clear_password\0")

NX_TEST(speaks_otherwise)
{
	int64_t ms;
	struct mute http = { .say = NX_STR("HTTP/1.1 400 Bad Request\r\n\r\n") };
	NX_EQ_S("SOURCE_DOWN", meet(&http, "ssl=disable", &ms));
	NX_CHECK(ms < 300);
	struct mute nothing = { .slow = false };
	NX_EQ_S("SOURCE_DOWN", meet(&nothing, "ssl=disable", &ms));
	struct mute plain = { .say = GREETING("\x49", "mysql_native_password") };
	NX_EQ_S("SOURCE_AUTH", meet(&plain, "ssl=verify-full", &ms));
	/* a byte now and then does not prolong the deadline */
	struct mute slow = { .say = plain.say, .slow = true };
	NX_EQ_S("CONNECT_TIMEOUT", meet(&slow, "ssl=disable", &ms));
	NX_CHECK(ms < 600);
}

/* Without a verified peer nobody is sent the password as it is, however they ask. */
NX_TEST(no_clear_text_password)
{
	struct mute ask[] = {
		{ .say = GREETING("\x48", "mysql_clear_password"), .then = SWITCH },
		{ .say = GREETING("\x49", "mysql_native_password"), .then = SWITCH },
	};
	for (size_t i = 0; i < NX_COUNTOF(ask); i++) {
		NX_EQ_S("SOURCE_AUTH", meet(&ask[i], "ssl=disable", NULL));
		NX_CHECK(!memmem(ask[i].heard, ask[i].len, "nexus-secret", 12));
	}
}

NX_TEST(tls)
{
	char ca[300];
	snprintf(ca, sizeof(ca), "sslCa=%s",
		 getenv("NX_MARIADB_CA") ? getenv("NX_MARIADB_CA") : "");
	struct session s = h_open(WITH("ssl=require"));
	const char *cipher = H_TEXT(&s,
				    "SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS "
				    "WHERE VARIABLE_NAME = 'SSL_CIPHER'",
				    .pure = true);
	printf("# %s\n", cipher);
	NX_CHECK(strncmp(cipher, "TLS_", 4) == 0);
	NX_CHECK(nx_driver_mysql.check(s.conn));
	h_close(&s);
	NX_EQ_S("OK", attempt(WITH("ssl=prefer"), 5000, NULL));
	NX_EQ_S("OK", attempt(WITH("ssl=verify-full", ca), 5000, NULL));
	NX_EQ_S("OK", attempt(WITH("ssl=verify-ca", ca), 5000, NULL));
	NX_EQ_S("OK", attempt(WITH("ssl=verify-full", ca, "host=localhost"), 5000, NULL));
	/* wrong authority: the system's does not know ours; wrong name: not in the certificate */
	NX_EQ_S("SOURCE_AUTH", attempt(WITH("ssl=verify-full"), 5000, NULL));
	NX_EQ_S("SOURCE_AUTH", attempt(WITH("ssl=verify-full", ca, "host=127.1"), 5000, NULL));
}

/* Options of the library must not be reachable through the host. */
NX_TEST(host_is_only_a_host)
{
	static const char *const bad[] = {
		"host=",    "host=127.0.0.1;local_infile=1", "host=a,b",
		"host=a=b", "host=/run/mysqld.sock",	     "host=a b",
	};
	for (size_t i = 0; i < NX_COUNTOF(bad); i++)
		NX_EQ_S("CONFIG_INVALID", attempt(WITH(bad[i]), 1000, NULL));
}

NX_TEST(session_is_as_promised)
{
	struct session s = h_open(NONE);
	NX_EQ_S("1 | +00:00 | utf8mb4 | utf8mb4 | utf8mb4 | 1 | "
		"STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION | nx",
		H_TEXT(&s,
		       "SELECT @@tx_read_only, @@time_zone, @@character_set_client, "
		       "@@character_set_connection, @@character_set_results, @@autocommit, "
		       "@@sql_mode, DATABASE()",
		       .pure = true));
	h_close(&s);
}

/* Where the server's defaults are the opposite of what we count on. */
NX_TEST(session_resists_odd_defaults)
{
	h_admin("SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES', GLOBAL autocommit = 0, "
		"GLOBAL time_zone = '+05:00', GLOBAL character_set_server = latin1");
	struct session s = h_open(NONE);
	const char *sql =
		"SELECT \"a\\n\" = 'a\n' AS x, @@autocommit AS y, @@time_zone AS z, '中' AS c";
	for (int i = 0; i < 2; i++) {
		NX_EQ_S("1 | 1 | +00:00 | 中", H_TEXT(&s, sql, .pure = true));
		NX_EQ_I(NX_OK, nx_driver_mysql.reset(s.conn, nx_now() + 1000 * MS, &s.err));
	}
	h_close(&s);
	h_admin("SET GLOBAL sql_mode = DEFAULT, GLOBAL autocommit = 1, GLOBAL time_zone = "
		"'SYSTEM', "
		"GLOBAL character_set_server = utf8mb4");
}

NX_TEST(too_many_connections)
{
	h_admin("SET GLOBAL max_connections = 10");
	struct session s[12];
	int open = 0;
	enum nx_code code = NX_OK;
	while (open < 12 && !(code = h_try(&s[open], NONE, nx_now() + 2000 * MS)))
		open++;
	NX_EQ_S("SOURCE_BUSY", nx_code_name(code));
	/* cancel cannot log in either: it cuts the connection instead */
	struct nx_stream *st;
	NX_EQ_I(NX_OK,
		h_query(&s[0], (struct ask){ "SELECT seq FROM seq_1_to_1000000000", .pure = true },
			&st));
	nx_driver_mysql.cancel(s[0].conn);
	NX_EQ_I(NX_E_QUERY_CANCELED, h_count(st, NULL, &s[0].err));
	NX_EQ_I(NX_CONN_BROKEN, nx_driver_mysql.release(st));
	h_close(&s[open]);
	while (open > 0)
		h_close(&s[--open]);
	h_admin("SET GLOBAL max_connections = 200");
}

NX_TEST(grants_are_told)
{
	struct nx_grants g;
	struct session s = h_open(NONE);
	NX_EQ_I(NX_OK, nx_driver_mysql.probe(s.conn, nx_now() + 5000 * MS, &g, &s.err));
	printf("# %s\n", g.summary);
	NX_CHECK(g.superuser && g.can_write && g.can_files);
	h_close(&s);
	s = h_open(WITH("username=reader", "password=reader-secret"));
	NX_EQ_I(NX_OK, nx_driver_mysql.probe(s.conn, nx_now() + 5000 * MS, &g, &s.err));
	printf("# %s\n", g.summary);
	NX_CHECK(!g.superuser && !g.can_write && !g.can_files);
	h_close(&s);
}
