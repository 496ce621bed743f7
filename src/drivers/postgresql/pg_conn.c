/* The session: options, connect, check, reset, cancel, disconnect.
 *
 * Every connection is read-only from its first byte: default_transaction_read_only is a startup
 * option, so RESET ALL and DISCARD ALL come back to it, and the server's own report is checked
 * before the connection is used. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nexus/net.h"
#include "pg_int.h"

/* A file that cannot exist: libpq takes "" as "not given" and would look into $HOME. */
#define NO_FILE "/dev/null/none"
#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

/* libpq reads some 30 variables behind every parameter not given (and PGSERVICE, PGTZ, PGOPTIONS
 * even then): a gateway's sources must not depend on who started it. */
enum nx_code pg_init(struct nx_error *err)
{
	static const char *const also[] = { "PGSERVICE",   "PGSERVICEFILE", "PGSYSCONFDIR",
					    "PGTZ",	   "PGDATESTYLE",   "PGGEQO",
					    "PGLOCALEDIR", "PGREALM",	    "PGCLIENTENCODING",
					    "PGCOLOR" };
	for (size_t i = 0; i < NX_COUNTOF(also); i++)
		unsetenv(also[i]);
	PQconninfoOption *all = PQconndefaults();
	if (!all)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	for (const PQconninfoOption *o = all; o->keyword; o++)
		if (o->envvar)
			unsetenv(o->envvar);
	PQconninfoFree(all);
	return NX_OK;
}

/* One "-c name=value"; spaces and backslashes of the value are escaped as the server expects. */
static void put_setting(struct nx_buf *b, const char *name, const char *value)
{
	nx_buf_puts(b, b->len ? " -c " : "-c ");
	nx_buf_puts(b, name);
	nx_buf_putc(b, '=');
	for (const char *p = value; *p; p++) {
		if (*p == '\\' || *p == ' ' || (*p >= '\t' && *p <= '\r'))
			nx_buf_putc(b, '\\');
		nx_buf_putc(b, *p);
	}
}

static void put_ms(struct nx_buf *b, const char *name, int64_t ms)
{
	char text[24];
	snprintf(text, sizeof(text), "%lld", (long long)ms);
	put_setting(b, name, text);
}

static void put_search_path(struct nx_buf *b, const struct nx_options *opts)
{
	const char *path = nx_opt_str(opts, "searchPath", NULL);
	const char *schema = nx_opt_str(opts, "schema", NULL);
	if (path && *path) {
		put_setting(b, "search_path", path);
	} else if (schema && *schema) {
		struct nx_buf q;
		nx_buf_init(&q, 4096);
		nx_buf_putc(&q, '"');
		for (const char *p = schema; *p; p++) {
			if (*p == '"')
				nx_buf_putc(&q, '"');
			nx_buf_putc(&q, *p);
		}
		nx_buf_put(&q, "\"", 2);
		if (q.failed)
			b->failed = true;
		else
			put_setting(b, "search_path", q.data);
		nx_buf_done(&q);
	}
}

enum nx_code pg_open(const struct nx_options *opts, struct nx_source **ret, struct nx_error *err)
{
	struct pg_source *s = calloc(1, sizeof(*s));
	if (!s)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	struct nx_buf b;
	nx_buf_init(&b, 16384);
	put_setting(&b, "default_transaction_read_only", "on");
	put_setting(&b, "DateStyle", "ISO,YMD");
	put_setting(&b, "IntervalStyle", "iso_8601");
	put_setting(&b, "TimeZone", "UTC");
	put_setting(&b, "extra_float_digits", "3");
	put_setting(&b, "standard_conforming_strings", "on");
	put_ms(&b, "lock_timeout", nx_opt_ms(opts, "lockTimeout", 5000));
	put_ms(&b, "idle_in_transaction_session_timeout", 60000);
	put_ms(&b, "statement_timeout", nx_opt_ms(opts, "statementTimeout", 0));
	put_search_path(&b, opts);
	nx_buf_putc(&b, '\0');
	if (b.failed) {
		nx_buf_done(&b);
		free(s);
		return nx_fail(err, NX_E_CONFIG_INVALID, "searchPath or schema is too long.");
	}
	s->base.driver = &nx_driver_postgresql;
	s->opts = opts;
	s->options = b.data;
	const char *ssl = nx_opt_str(opts, "ssl", "prefer");
	ssl = strcmp(ssl, "true") == 0 ? "require" : strcmp(ssl, "false") == 0 ? "disable" : ssl;
	s->sslmode = nx_opt_str(opts, "sslmode", ssl);
	s->sslrootcert = nx_opt_str(opts, "sslRootCert", NULL);
	if (!s->sslrootcert)
		s->sslrootcert = strncmp(s->sslmode, "verify", 6) == 0 ? SYSTEM_CA : NO_FILE;
	snprintf(s->port, sizeof(s->port), "%d", (int)nx_opt_int(opts, "port", 5432));
	s->nstmts = (uint32_t)nx_opt_int(opts, "preparedStatements", 256);
	*ret = &s->base;
	return NX_OK;
}

void pg_close(struct nx_source *ns)
{
	struct pg_source *s = (struct pg_source *)ns;
	if (!s)
		return;
	free(s->options);
	free(s);
}

static void drop_notice(void *arg, const PGresult *res)
{
	(void)arg;
	(void)res;
}

/* libpq tries the addresses in order. It connects to hostaddr and verifies the certificate against
 * host, which must be given once for each. */
struct where {
	char hosts[NX_NET_MAX * 256], addrs[NX_NET_MAX * (NX_NET_ADDR_LEN + 1)];
};

static enum nx_code find_hosts(const char *host, int64_t deadline, struct where *ret,
			       struct nx_error *err)
{
	struct nx_net_addrs a;
	if (strlen(host) > 254 || strchr(host, ','))
		return nx_fail(err, NX_E_CONFIG_INVALID, "host is one name or address.");
	enum nx_code c = nx_net_resolve(host, deadline, &a, err);
	if (c)
		return c;
	ret->addrs[0] = '\0';
	size_t h = (size_t)snprintf(ret->hosts, sizeof(ret->hosts), "%s", host), at = 0;
	for (uint32_t i = 0; i < a.n; i++) {
		const char *comma = i ? "," : "";
		at += (size_t)snprintf(ret->addrs + at, sizeof(ret->addrs) - at, "%s%s", comma,
				       a.text[i]);
		if (i)
			h += (size_t)snprintf(ret->hosts + h, sizeof(ret->hosts) - h, ",%s", host);
	}
	return NX_OK;
}

static PGconn *start(const struct pg_source *s, const struct where *w)
{
	const struct nx_options *o = s->opts;
	const char *const kv[][2] = {
		{ "host", w->hosts },
		{ "hostaddr", w->addrs[0] ? w->addrs : NULL },
		{ "port", s->port },
		{ "dbname", nx_opt_str(o, "database", "postgres") },
		{ "user", nx_opt_str(o, "username", "postgres") },
		{ "password", nx_opt_str(o, "password", NULL) },
		{ "passfile", "/dev/null" },
		{ "sslmode", s->sslmode },
		{ "sslrootcert", s->sslrootcert },
		{ "sslcert", NO_FILE },
		{ "sslkey", NO_FILE },
		{ "sslcrl", NO_FILE },
		{ "gssencmode", "disable" },
		{ "application_name", nx_opt_str(o, "applicationName", "nexus-gateway") },
		{ "client_encoding", "UTF8" },
		{ "options", s->options },
		{ "keepalives_idle", "30" },
		{ "keepalives_interval", "10" },
		{ "keepalives_count", "3" },
		{ "tcp_user_timeout", "30000" },
	};
	const char *keys[NX_COUNTOF(kv) + 1] = { NULL }, *values[NX_COUNTOF(kv) + 1] = { NULL };
	for (size_t i = 0; i < NX_COUNTOF(kv); i++) {
		keys[i] = kv[i][0];
		values[i] = kv[i][1];
	}
	return PQconnectStartParams(keys, values, 0);
}

static enum nx_code handshake(PGconn *pg, int64_t deadline, struct nx_error *err)
{
	PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
	PQsetNoticeReceiver(pg, drop_notice, NULL);
	PostgresPollingStatusType st = PGRES_POLLING_WRITING;
	while (PQstatus(pg) != CONNECTION_BAD && st != PGRES_POLLING_OK) {
		struct pollfd p = { PQsocket(pg), st == PGRES_POLLING_READING ? POLLIN : POLLOUT,
				    0 };
		int64_t left = deadline - nx_now();
		int ms = left <= 0		  ? 0
			 : left > 3600000000000LL ? 3600000
						  : (int)(left / 1000000) + 1;
		int n = left <= 0 ? 0 : poll(&p, 1, ms);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 && left <= (int64_t)ms * 1000000)
			return nx_fail(err, NX_E_CONNECT_TIMEOUT,
				       "The source did not answer in time.");
		st = PQconnectPoll(pg);
		if (st == PGRES_POLLING_FAILED)
			break;
	}
	return PQstatus(pg) == CONNECTION_OK ? NX_OK : pg_fail_connect(pg, err);
}

/* The server's word that the session is what every later step relies on. */
static enum nx_code assert_session(PGconn *pg, struct nx_error *err)
{
	static const struct {
		const char *name, *want;
		int since;
	} wanted[] = {
		{ "client_encoding", "UTF8", 0 },
		{ "DateStyle", "ISO", 0 },
		{ "IntervalStyle", "iso_8601", 80400 },
		{ "TimeZone", "UTC", 0 },
		{ "integer_datetimes", "on", 0 },
		{ "standard_conforming_strings", "on", 0 },
		{ "default_transaction_read_only", "on", 140000 },
	};
	for (size_t i = 0; i < NX_COUNTOF(wanted); i++) {
		if (PQserverVersion(pg) < wanted[i].since)
			continue;
		const char *got = PQparameterStatus(pg, wanted[i].name);
		if (got && strncmp(got, wanted[i].want, strlen(wanted[i].want)) == 0)
			continue;
		nx_fail(err, NX_E_SOURCE_DOWN, "The source did not accept the session settings.");
		nx_error_detail(err, "%s is %s, not %s", wanted[i].name, got ? got : "unknown",
				wanted[i].want);
		return NX_E_SOURCE_DOWN;
	}
	return NX_OK;
}

/* Servers before 14 do not report it by themselves. */
static enum nx_code ask_read_only(struct pg_conn *c, int64_t deadline, struct nx_error *err)
{
	pg_put_run(c, NX_STR("SHOW default_transaction_read_only"));
	pg_put_sync(c);
	enum nx_code code = pg_send(c, deadline, err);
	bool on = false;
	for (struct pg_msg m = { 0 }; !code && m.type != 'Z';) {
		code = pg_recv(c, deadline, &m, err);
		if (!code && m.type == 'D')
			on = m.len == 8 && memcmp(m.p + 6, "on", 2) == 0;
	}
	if (code || on)
		return code;
	return nx_fail(err, NX_E_SOURCE_DOWN, "The source did not accept a read-only session.");
}

/* From here on libpq reads nothing: recv() may wait, bounded. Whoever must not says MSG_DONTWAIT.
 * Failure costs speed only: recv() then answers at once. */
static void may_wait_in_recv(int fd)
{
	struct timeval wait = { .tv_sec = PG_RECV_WAIT / INT64_C(1000000000) };
	int flags = fcntl(fd, F_GETFL);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) == 0 && flags >= 0)
		(void)!fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

enum nx_code pg_connect(struct nx_source *ns, int64_t deadline, struct nx_conn **ret,
			struct nx_error *err)
{
	struct pg_source *s = (struct pg_source *)ns;
	struct pg_conn *c = calloc(1, sizeof(*c));
	if (!c)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	c->base.driver = &nx_driver_postgresql;
	c->src = s;
	c->tx = 'I';
	c->stream.base.driver = &nx_driver_postgresql;
	c->stream.conn = c;
	nx_buf_init(&c->out, PG_OUT_MAX);
	nx_buf_init(&c->stream.json, PG_MSG_MAX);
	enum nx_code code = pg_cache_init(&c->cache, s->nstmts, err);
	struct where w;
	if (!code)
		code = find_hosts(nx_opt_str(s->opts, "host", "localhost"), deadline, &w, err);
	if (!code) {
		c->pg = start(s, &w);
		code = c->pg ? handshake(c->pg, deadline, err)
			     : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	if (!code)
		code = assert_session(c->pg, err);
	if (!code) {
		c->fd = PQsocket(c->pg);
		c->ssl = PQsslStruct(c->pg, "OpenSSL");
		if (!c->ssl)
			may_wait_in_recv(c->fd);
		const char *enc = PQparameterStatus(c->pg, "server_encoding");
		c->sql_ascii = !enc || strcmp(enc, "SQL_ASCII") == 0;
		if (PQserverVersion(c->pg) < 140000)
			code = ask_read_only(c, deadline, err);
	}
	if (code) {
		pg_disconnect(&c->base);
		return code;
	}
	*ret = &c->base;
	return NX_OK;
}

void pg_disconnect(struct nx_conn *nc)
{
	struct pg_conn *c = (struct pg_conn *)nc;
	if (!c)
		return;
	/* Terminate goes out only if it fits: PQfinish must not wait for a peer that is gone. */
	if (c->pg)
		PQsetnonblocking(c->pg, 1);
	PQfinish(c->pg);
	nx_builder_free(c->stream.builder);
	nx_buf_done(&c->stream.json);
	pg_cache_done(&c->cache);
	pg_types_done(&c->types);
	nx_buf_done(&c->out);
	free(c->in.buf);
	free(c);
}

/* Data on an idle connection is a notice, a parameter change or a farewell. */
bool pg_check(struct nx_conn *nc)
{
	struct pg_conn *c = (struct pg_conn *)nc;
	if (c->broken)
		return false;
	char byte;
	ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		c->broken = true;
		return false;
	}
	/* Anything that is an answer (a FATAL error above all) was not asked for. */
	struct pg_msg m = { 0 };
	if (pg_recv_until(c, 0, &m, NULL) || m.type != 0)
		c->broken = true;
	return !c->broken;
}

/* What DISCARD ALL does, but for the prepared statements: they are this driver's own and only hold
 * text that passed the gate. Statements made by SQL (PREPARE inside a function) have from_sql set;
 * one of those and the connection is given up. DISCARD PLANS is left out: plans are checked
 * against search_path, role and catalog at every use. */
static const struct nx_str reset_sql = NX_STR_INIT(
	"CLOSE ALL;"
	"SET SESSION AUTHORIZATION DEFAULT;"
	"RESET ALL;"
	"UNLISTEN *;"
	"DISCARD TEMP;"
	"DISCARD SEQUENCES;"
	"SELECT pg_catalog.pg_advisory_unlock_all();"
	"SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statements WHERE from_sql");

enum nx_code pg_reset(struct nx_conn *nc, int64_t deadline, struct nx_error *err)
{
	struct pg_conn *c = (struct pg_conn *)nc;
	if (c->broken)
		return nx_fail(err, NX_E_SOURCE_LOST, "The connection to the source broke.");
	if (c->tx != 'I') {
		pg_put_run(c, NX_STR("ROLLBACK"));
		pg_put_sync(c);
	}
	/* The simple protocol, for this constant only: eight commands are one message. */
	size_t at = pg_msg_begin(&c->out, 'Q');
	pg_put_cstr(&c->out, reset_sql.ptr, reset_sql.len);
	pg_msg_end(&c->out, at);
	c->unsynced++;
	enum nx_code code = pg_send(c, deadline, err);
	bool clean = false;
	while (!code && c->unsynced > 0) {
		struct pg_msg m;
		code = pg_recv(c, deadline, &m, err);
		if (!code && m.type == 'E') {
			struct pg_fault f;
			code = pg_fault_parse(m.p, m.len, &f)
				       ? pg_fail_fault(&f, NX_STR(""), 0, false, err)
				       : nx_fail(err, NX_E_PROTOCOL, "A malformed error message.");
		} else if (!code && m.type == 'D') {
			clean = m.len == 7 && m.p[6] == '0'; /* the last row counts */
		}
	}
	if (!code && (!clean || c->tx != 'I'))
		code = nx_fail(err, NX_E_SOURCE_FAILED, "The session could not be cleaned.");
	if (code)
		c->broken = true;
	return code;
}

enum nx_conn_state pg_conn_state(const struct pg_conn *c, bool pure)
{
	if (c->broken || c->unsynced > c->ahead || c->types.count >= PG_TYPES_MAX ||
	    atomic_load(&c->cancel_late))
		return NX_CONN_BROKEN;
	return pure && c->tx == 'I' ? NX_CONN_CLEAN : NX_CONN_DIRTY;
}
