/* Connections: login within a deadline, the read-only session, reset, and cancel.
 *
 * Waiting. Everything this file sends goes through libmariadb's non-blocking calls and our own
 * poll, so that a deadline in nanoseconds holds (the library's timeouts are whole seconds and per
 * packet). Two waits are the library's own: name resolution, and the TLS handshake, which is bound
 * by MYSQL_OPT_CONNECT_TIMEOUT, the deadline rounded up to seconds.
 *
 * Queries (query.c) use the blocking calls: a fetch per row must be cheap. They are bounded by
 * cancel(): KILL QUERY over a second connection, again while the query does not end, and as the
 * last resort a reset of the socket, through a duplicate of the descriptor that stays ours
 * whatever the library closes. */
#include "mysql_int.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "nexus/buf.h"
#include "nexus/net.h"

#define SECOND INT64_C(1000000000)
#define MS INT64_C(1000000)

enum {
	MAX_PACKET = 64 << 20, /* one row */
	ASYNC_STACK = 256 << 10, /* of the library's coroutine: address space, touched on use */
	READ_TIMEOUT_S = 3600, /* backstop only: deadlines end a query much earlier */
	WRITE_TIMEOUT_S = 60,
	LOCK_WAIT_S = 30, /* for a table's definition while an ALTER runs */
	KILL_NS = 2000000000, /* all that cancel() may take */
	KILL_PATIENCE_NS = 1000000000, /* of that, for the query to notice */
	RELEASE_NS = 10000000, /* for its thread to come and read the rest */
};

/* --- waiting ------------------------------------------------------------------------------- */

/* Waits for what the library asked for. Past the deadline it answers MYSQL_WAIT_TIMEOUT, which
 * makes the operation fail; an operation that goes on even so loses its socket. */
static int wait_for(MYSQL *my, int want, int64_t deadline)
{
	struct pollfd p = { .fd = mysql_get_socket(my) };
	if (want & MYSQL_WAIT_READ)
		p.events |= POLLIN;
	if (want & MYSQL_WAIT_WRITE)
		p.events |= POLLOUT;
	if (want & MYSQL_WAIT_EXCEPT)
		p.events |= POLLPRI;
	for (;;) {
		int64_t ns = deadline - nx_now();
		if (ns <= -SECOND)
			shutdown(p.fd, SHUT_RDWR);
		if (ns <= 0)
			return MYSQL_WAIT_TIMEOUT;
		int64_t ms = (ns + MS - 1) / MS;
		int n = poll(&p, 1, ms > 3600000 ? 3600000 : (int)ms);
		if (n == 0 || (n < 0 && errno == EINTR))
			continue;
		int got = 0;
		if (p.revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL))
			got |= want & MYSQL_WAIT_READ;
		if (p.revents & (POLLOUT | POLLHUP | POLLERR | POLLNVAL))
			got |= want & MYSQL_WAIT_WRITE;
		if (p.revents & POLLPRI)
			got |= want & MYSQL_WAIT_EXCEPT;
		return got ? got : want & ~MYSQL_WAIT_TIMEOUT;
	}
}

static enum nx_code fail_at(MYSQL *my, int64_t deadline, enum my_stage stage, struct nx_error *err)
{
	unsigned number = mysql_errno(my);
	if (nx_now() < deadline || !my_is_lost(number))
		return my_fail(err, number, mysql_sqlstate(my), mysql_error(my), stage, NULL);
	if (stage == MY_AT_CONNECT)
		return nx_fail(err, NX_E_CONNECT_TIMEOUT, "The source did not answer in time.");
	return nx_fail(err, NX_E_QUERY_TIMEOUT, "The source did not answer in time.");
}

static enum nx_code send_text(MYSQL *my, const char *sql, int64_t deadline, struct nx_error *err)
{
	int failed = 0;
	int status = mysql_real_query_start(&failed, my, sql, strlen(sql));
	while (status)
		status = mysql_real_query_cont(&failed, my, wait_for(my, status, deadline));
	return failed ? fail_at(my, deadline, MY_AT_EXECUTE, err) : NX_OK;
}

enum nx_code my_rows(MYSQL *my, const char *sql, int64_t deadline, MYSQL_RES **ret,
		     struct nx_error *err)
{
	enum nx_code code = send_text(my, sql, deadline, err);
	if (code)
		return code;
	MYSQL_RES *res = NULL;
	int status = mysql_store_result_start(&res, my);
	while (status)
		status = mysql_store_result_cont(&res, my, wait_for(my, status, deadline));
	if (!res && mysql_errno(my))
		return fail_at(my, deadline, MY_AT_EXECUTE, err);
	if (!res)
		return nx_fail(err, NX_E_PROTOCOL, "The source sent no rows where some were due.");
	*ret = res;
	return NX_OK;
}

enum nx_code my_run(MYSQL *my, const char *sql, int64_t deadline, struct nx_error *err)
{
	enum nx_code code = send_text(my, sql, deadline, err);
	if (code || mysql_field_count(my) == 0)
		return code;
	MYSQL_RES *res = NULL;
	int status = mysql_store_result_start(&res, my);
	while (status)
		status = mysql_store_result_cont(&res, my, wait_for(my, status, deadline));
	mysql_free_result(res);
	return res ? NX_OK : fail_at(my, deadline, MY_AT_EXECUTE, err);
}

bool my_drain(MYSQL *my, MYSQL_STMT *stmt, int64_t deadline)
{
	my_bool failed = 0;
	int status = mysql_stmt_free_result_start(&failed, stmt);
	while (status)
		status = mysql_stmt_free_result_cont(&failed, stmt, wait_for(my, status, deadline));
	return !my_is_lost(mysql_errno(my));
}

/* --- login --------------------------------------------------------------------------------- */

static bool set_ssl(MYSQL *my, const struct my_source *s)
{
	if (s->ssl == MY_SSL_DISABLE)
		return true;
	my_bool yes = 1, verify = s->ssl == MY_SSL_VERIFY;
	const char *ca = s->ssl_ca;
	if (verify && !ca)
		ca = "/etc/ssl/certs/ca-certificates.crt";
	return !mysql_optionsv(my, MYSQL_OPT_SSL_ENFORCE, &yes) &&
	       !mysql_optionsv(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify) &&
	       (!ca || !mysql_optionsv(my, MYSQL_OPT_SSL_CA, ca));
}

/* Everything from here, nothing from files or the environment. */
static bool set_options(MYSQL *my, const struct my_source *s, int64_t deadline)
{
	size_t stack = ASYNC_STACK, packet = MAX_PACKET;
	unsigned off = 0, tcp = MYSQL_PROTOCOL_TCP;
	unsigned write_s = WRITE_TIMEOUT_S, read_s = READ_TIMEOUT_S;
	if (s->timeout_ms / 1000 + 60 > read_s)
		read_s = (unsigned)(s->timeout_ms / 1000) + 60;
	int64_t ns = deadline - nx_now();
	unsigned connect_s = ns <= SECOND ? 1 : (unsigned)((ns + SECOND - 1) / SECOND);
	/* Plug-ins that send the password as it is need a peer that has proved who it is. */
	const char *auth = "mysql_native_password,caching_sha2_password,sha256_password,"
			   "client_ed25519,mysql_clear_password,dialog";
	if (s->ssl != MY_SSL_VERIFY)
		auth = "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519";
	return !mysql_optionsv(my, MYSQL_OPT_NONBLOCK, (void *)&stack) &&
	       !mysql_optionsv(my, MYSQL_OPT_PROTOCOL, &tcp) && /* "localhost" is a host too */
	       !mysql_optionsv(my, MYSQL_OPT_LOCAL_INFILE, &off) &&
	       !mysql_optionsv(my, MYSQL_SET_CHARSET_NAME, "utf8mb4") &&
	       !mysql_optionsv(my, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s) &&
	       !mysql_optionsv(my, MYSQL_OPT_READ_TIMEOUT, &read_s) &&
	       !mysql_optionsv(my, MYSQL_OPT_WRITE_TIMEOUT, &write_s) &&
	       !mysql_optionsv(my, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet) &&
	       !mysql_optionsv(my, MARIADB_OPT_RESTRICTED_AUTH, auth) && set_ssl(my, s);
}

/* The name is resolved and judged here first. With nothing to verify the library gets the very
 * address; for a certificate it needs the name and resolves again, so who answered is judged, too,
 * when the library first waits for it: before a password is sent, for the certificate comes first. */
static enum nx_code find_host(const struct my_source *s, int64_t deadline, struct nx_net_addrs *ret,
			      struct nx_error *err)
{
	enum nx_code code = nx_net_resolve(s->host, deadline, ret, err);
	if (!code && ret->n == 0)
		return nx_fail(err, NX_E_CONFIG_INVALID, "host is a name or an address.");
	return code;
}

static bool same_host(MYSQL *my, bool *judged, struct nx_error *err)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int fd = mysql_get_socket(my);
	if (*judged || fd < 0 || getpeername(fd, (struct sockaddr *)&sa, &len) != 0)
		return true; /* not connected yet */
	*judged = true;
	if (nx_net_peer(fd, err) == NX_OK)
		return true;
	shutdown(fd, SHUT_RDWR);
	return false;
}

static enum nx_code login(const struct my_source *s, int64_t deadline, MYSQL **ret,
			  struct nx_error *err)
{
	struct nx_net_addrs a;
	enum nx_code code = find_host(s, deadline, &a, err);
	if (code)
		return code;
	MYSQL *my = NULL, *done = NULL;
	for (uint32_t i = 0; i < a.n && !done; i++) {
		mysql_close(my);
		my = mysql_init(NULL);
		if (!my || !set_options(my, s, deadline)) {
			mysql_close(my);
			return nx_fail(err, NX_E_MEMORY, "Out of memory.");
		}
		bool judged = false, good = true;
		const char *host = s->ssl == MY_SSL_VERIFY ? s->host : a.text[i];
		int status = mysql_real_connect_start(&done, my, host, s->user, s->password,
						      s->database, s->port, NULL, 0);
		while (status && good) {
			good = same_host(my, &judged, err);
			int got = good ? wait_for(my, status, deadline) : MYSQL_WAIT_TIMEOUT;
			status = mysql_real_connect_cont(&done, my, got);
		}
		while (status) /* denied: the socket is shut, the library winds up */
			status = mysql_real_connect_cont(&done, my, MYSQL_WAIT_TIMEOUT);
		if (done && !same_host(my, &judged, err))
			good = false;
		if (!good) {
			mysql_close(my);
			return NX_E_HOST_DENIED;
		}
		/* another address helps only where nobody answered */
		if (!done && (s->ssl == MY_SSL_VERIFY || judged || nx_now() >= deadline))
			break;
	}
	if (!done) {
		code = fail_at(my, deadline, MY_AT_CONNECT, err);
		mysql_close(my);
		return code;
	}
	/* The library goes on in the clear when a server does not offer TLS and need not prove who
	 * it is. No password has left in the clear: the plug-ins allowed then do not send one. */
	if (s->ssl >= MY_SSL_REQUIRE && !mysql_get_ssl_cipher(my)) {
		mysql_close(my);
		return nx_fail(err, NX_E_SOURCE_AUTH,
			       "The source does not offer TLS, which ssl requires.");
	}
	*ret = my;
	return NX_OK;
}

/* Finds a peer that went without a word in about a minute. */
static void keep_alive(int fd)
{
	int on = 1, idle = 30, interval = 10, probes = 3;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

/* --- the session --------------------------------------------------------------------------- */

/* One statement, so that a reset costs two round trips. sql_mode is fixed because it decides how
 * SQL is read: layer A counts on "..." being a string and on backslash escapes. */
static bool compose_session(struct my_conn *c)
{
	const char *read_only =
		!c->is_mariadb && c->version >= 50720 ? "transaction_read_only" : "tx_read_only";
	const char *group = c->is_mariadb || c->version < 50700 ? "" : "ONLY_FULL_GROUP_BY,";
	c->net_limit_ms = c->source->timeout_ms + 10000;
	char limit[80] = "";
	int n = 0;
	if (c->is_mariadb)
		n = snprintf(limit, sizeof(limit), ", SESSION max_statement_time = %lld",
			     (long long)(c->net_limit_ms / 1000));
	else if (c->version >= 50708)
		n = snprintf(limit, sizeof(limit), ", SESSION max_execution_time = %lld",
			     (long long)c->net_limit_ms);
	c->has_net_limit = n > 0;
	c->has_row_cap = true;
	n = snprintf(
		c->session_sql, sizeof(c->session_sql),
		"SET NAMES utf8mb4, SESSION autocommit = 1, SESSION %s = 1, SESSION sql_mode = "
		"'%sSTRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', "
		"SESSION time_zone = '+00:00', SESSION lock_wait_timeout = %d%s",
		read_only, group, LOCK_WAIT_S, limit);
	return n > 0 && (size_t)n < sizeof(c->session_sql);
}

/* Reads back what must hold, and who we are. */
static enum nx_code verify_session(struct my_conn *c, int64_t deadline, struct nx_error *err)
{
	bool new_name = !c->is_mariadb && c->version >= 50720;
	char sql[300];
	snprintf(sql, sizeof(sql),
		 "SELECT CONNECTION_ID(), CONCAT(@@hostname, ':', @@port), "
		 "@@session.character_set_results, @@session.%s, @@session.sql_mode, "
		 "@@session.time_zone",
		 new_name ? "transaction_read_only" : "tx_read_only");
	MYSQL_RES *res;
	enum nx_code code = my_rows(c->my, sql, deadline, &res, err);
	if (code)
		return code;
	MYSQL_ROW row = mysql_fetch_row(res);
	bool ok = row && mysql_num_fields(res) == 6;
	for (int i = 0; ok && i < 6; i++)
		ok = row[i] != NULL;
	if (!ok) {
		code = nx_fail(err, NX_E_PROTOCOL, "The source did not describe its session.");
	} else if (strcmp(row[2], "utf8mb4") != 0) {
		code = nx_fail(err, NX_E_SOURCE_FAILED, "The source does not speak utf8mb4.");
	} else if (strcmp(row[3], "1") != 0) {
		code = nx_fail(err, NX_E_SOURCE_FAILED,
			       "The source did not make the session read-only.");
	} else if (strstr(row[4], "ANSI_QUOTES") || strstr(row[4], "NO_BACKSLASH_ESCAPES") ||
		   strcmp(row[5], "+00:00") != 0) {
		code = nx_fail(err, NX_E_SOURCE_FAILED,
			       "The source did not take the session's settings.");
	} else {
		c->id = strtoull(row[0], NULL, 10);
		snprintf(c->identity, sizeof(c->identity), "%s", row[1]);
	}
	mysql_free_result(res);
	return code;
}

static enum nx_code begin_session(struct my_conn *c, int64_t deadline, struct nx_error *err)
{
	c->is_mariadb = mariadb_connection(c->my);
	c->version = mysql_get_server_version(c->my);
	if (!compose_session(c))
		return nx_fail(err, NX_E_INTERNAL, "Session statement too long.");
	enum nx_code code = my_run(c->my, c->session_sql, deadline, err);
	return code ? code : verify_session(c, deadline, err);
}

/* --- connect, check, reset, disconnect ----------------------------------------------------- */

static bool shared_init(struct my_shared *s)
{
	pthread_condattr_t attr;
	if (pthread_mutex_init(&s->lock, NULL) != 0)
		return false;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	bool ok = pthread_cond_init(&s->changed, &attr) == 0;
	pthread_condattr_destroy(&attr);
	if (!ok)
		pthread_mutex_destroy(&s->lock);
	return ok;
}

enum nx_code my_connect(struct nx_source *base, int64_t deadline, struct nx_conn **ret,
			struct nx_error *err)
{
	struct my_source *s = (struct my_source *)base;
	struct my_conn *c = calloc(1, sizeof(*c));
	if (!c || !shared_init(&c->shared)) {
		free(c);
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	c->base.driver = &nx_driver_mysql;
	c->source = s;
	c->fd = -1;
	enum nx_code code = login(s, deadline, &c->my, err);
	if (code)
		goto fail;
	c->fd = fcntl(mysql_get_socket(c->my), F_DUPFD_CLOEXEC, 3);
	c->peer_len = sizeof(c->peer);
	if (c->fd < 0 || getpeername(c->fd, (struct sockaddr *)&c->peer, &c->peer_len) != 0) {
		code = nx_fail(err, NX_E_IO, "No descriptor for a connection.");
		goto fail;
	}
	keep_alive(c->fd);
	code = begin_session(c, deadline, err);
	if (code)
		goto fail;
	*ret = &c->base;
	return NX_OK;
fail:
	my_break(c);
	my_disconnect(&c->base);
	return code == NX_E_QUERY_TIMEOUT
		       ? nx_fail(err, NX_E_CONNECT_TIMEOUT, "The source did not answer in time.")
		       : code;
}

void my_break(struct my_conn *c)
{
	c->broken = true;
	if (c->fd >= 0)
		shutdown(c->fd, SHUT_RDWR);
}

void my_disconnect(struct nx_conn *base)
{
	struct my_conn *c = (struct my_conn *)base;
	if (!c)
		return;
	mysql_close(
		c->my); /* also takes the statements off the wire: dropping them sends nothing */
	my_stmts_drop(c);
	if (c->fd >= 0)
		close(c->fd);
	pthread_cond_destroy(&c->shared.changed);
	pthread_mutex_destroy(&c->shared.lock);
	free(c);
}

/* An idle server says nothing unless it says goodbye. */
bool my_check(struct nx_conn *base)
{
	struct my_conn *c = (struct my_conn *)base;
	char byte;
	return !c->broken && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EWOULDBLOCK);
}

static enum nx_code reset_once(struct my_conn *c, int64_t deadline, struct nx_error *err)
{
	int failed = 0;
	int status = mysql_reset_connection_start(&failed, c->my);
	while (status)
		status = mysql_reset_connection_cont(&failed, c->my,
						     wait_for(c->my, status, deadline));
	if (failed)
		return fail_at(c->my, deadline, MY_AT_EXECUTE, err);
	my_stmts_drop(c); /* the server has dropped its side */
	c->row_cap = 0;
	c->net_limit_ms = c->source->timeout_ms + 10000;
	return my_run(c->my, c->session_sql, deadline, err);
}

enum nx_code my_reset(struct nx_conn *base, int64_t deadline, struct nx_error *err)
{
	struct my_conn *c = (struct my_conn *)base;
	if (c->broken)
		return nx_fail(err, NX_E_SOURCE_LOST, "The connection to the source broke.");
	enum nx_code code = reset_once(c, deadline, err);
	if (code == NX_E_QUERY_CANCELED) /* a KILL QUERY that came after its query's end */
		code = reset_once(c, deadline, err);
	if (code)
		my_break(c);
	return code;
}

/* --- cancel -------------------------------------------------------------------------------- */

/* The id means something only to the server we are connected to: the same address, and behind a
 * balancer the same host. */
static bool same_server(struct my_conn *c, MYSQL *side, int64_t deadline)
{
	struct sockaddr_storage peer = { 0 };
	socklen_t len = sizeof(peer);
	MYSQL_RES *res;
	if (getpeername(mysql_get_socket(side), (struct sockaddr *)&peer, &len) != 0 ||
	    len != c->peer_len || memcmp(&peer, &c->peer, len) != 0)
		return false;
	if (my_rows(side, "SELECT CONCAT(@@hostname, ':', @@port)", deadline, &res, NULL))
		return false;
	MYSQL_ROW row = mysql_fetch_row(res);
	bool same = row && row[0] && strcmp(row[0], c->identity) == 0;
	mysql_free_result(res);
	return same;
}

static struct timespec at(int64_t ns)
{
	return (struct timespec){ .tv_sec = ns / SECOND, .tv_nsec = ns % SECOND };
}

/* Until nobody waits on the socket, or `until`. Called and returns without the lock. */
static bool wait_idle(struct my_shared *s, int64_t until)
{
	struct timespec ts = at(until);
	int rc = 0;
	pthread_mutex_lock(&s->lock);
	while (s->in_call && rc == 0)
		rc = pthread_cond_timedwait(&s->changed, &s->lock, &ts);
	bool idle = !s->in_call;
	pthread_mutex_unlock(&s->lock);
	return idle;
}

/* KILL QUERY until the query's thread is back. One KILL is not always enough: sent while the query
 * is still on its way, it hits an idle connection and is forgotten. */
bool my_kill(struct my_conn *c)
{
	int64_t now = nx_now(), deadline = now + KILL_NS;
	MYSQL *side;
	if (login(c->source, deadline, &side, NULL))
		return false;
	char sql[64];
	snprintf(sql, sizeof(sql), "KILL QUERY %llu", (unsigned long long)c->id);
	bool done = false;
	if (same_server(c, side, deadline)) {
		int64_t patience = 10 * MS, end = nx_now() + KILL_PATIENCE_NS;
		do {
			if (my_run(side, sql, deadline, NULL))
				break;
			done = wait_idle(&c->shared, nx_now() + patience);
			patience *= 2;
		} while (!done && nx_now() < end);
	}
	mysql_close(side);
	return done;
}

/* Until the stream is released, or `until`. */
static bool wait_released(struct my_shared *s, int64_t until)
{
	struct timespec ts = at(until);
	int rc = 0;
	pthread_mutex_lock(&s->lock);
	while (s->running && rc == 0)
		rc = pthread_cond_timedwait(&s->changed, &s->lock, &ts);
	bool released = !s->running;
	pthread_mutex_unlock(&s->lock);
	return released;
}

/* Resets the connection: a mere shutdown() would leave a server that waits for our window waiting.
 * Who polls the socket wakes up. */
static void cut(struct my_conn *c)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	if (connect(c->fd, &none, sizeof(none)) != 0)
		shutdown(c->fd, SHUT_RDWR);
}

void my_cancel(struct nx_conn *base)
{
	struct my_conn *c = (struct my_conn *)base;
	struct my_shared *s = &c->shared;
	pthread_mutex_lock(&s->lock);
	if (!s->running || s->cancelled) {
		pthread_mutex_unlock(&s->lock);
		return;
	}
	s->cancelled = true;
	s->killing = true;
	pthread_mutex_unlock(&s->lock);
	/* A server that is blocked on sending to a reader who does not read heeds no KILL QUERY. */
	if (!my_kill(c) || !wait_released(s, nx_now() + RELEASE_NS))
		cut(c);
	pthread_mutex_lock(&s->lock);
	s->killing = false;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}
