/* The engine of several gateways: MySQL or MariaDB, over one connection.
 *
 * The connection is made anew when it was lost: at the begin of a transaction or by a read outside of
 * one, once, which nobody notices. What was under way in a transaction fails; a COMMIT whose answer is
 * lost may have happened. While the server is away tries are spaced (BACKOFF_*), and calls between two
 * tries fail at once. All waiting is bounded by the library's timeouts, so the lock of the store is, too.
 *
 * Values go as prepared statements, binary in both directions. A result is read whole before its first
 * row is handed out: the store's listings are small, and nothing is left on the wire. */
#include <ctype.h>
#include <errmsg.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "nexus/buf.h"
#include "store/store_int.h"

enum { LOCK_WAIT_S = 60, MIGRATE_S = 600, PART = 256, SQL_MAX = 1024 };
#define BACKOFF_MIN (250 * NX_MS)
#define BACKOFF_MAX (5 * NX_SEC)
#define MIGRATION_LOCK "nexus-gateway-migrate"

/* A prepared statement, and the row that it stands on. */
struct handle {
	MYSQL_STMT *stmt;
	unsigned nbinds, ncols;
	int order[NX_ST_BINDS]; /* which value the n-th ? is, from 0 */
	bool number[NX_ST_COLS];
	char *row; /* all columns of a row, each with room for the longest */
	struct {
		char *at;
		int64_t i64;
		unsigned long len;
		my_bool null;
	} col[NX_ST_COLS];
};

struct mysql_store {
	struct nx_store base; /* first: the two convert into each other */
	MYSQL *my; /* NULL: not connected */
	bool in_transaction;
	struct handle h[NX_ST_COUNT];
	int64_t retry_at, backoff; /* ns; while not connected */
	bool down_told; /* in the log */
	/* of the configuration, ours */
	char user[PART], host[PART], database[PART], ca_file[4096];
	char *password;
	unsigned port;
	bool tls, verify;
	unsigned timeout_s;
};

static struct mysql_store *of(struct nx_store *s)
{
	return (struct mysql_store *)(void *)s;
}

/* ---- errors ---- */

static bool is_lost(unsigned e)
{
	switch (e) {
	case CR_CONNECTION_ERROR:
	case CR_CONN_HOST_ERROR:
	case CR_UNKNOWN_HOST:
	case CR_SERVER_GONE_ERROR:
	case CR_SERVER_LOST:
	case CR_SERVER_LOST_EXTENDED:
	case CR_COMMANDS_OUT_OF_SYNC:
	case CR_STMT_CLOSED:
	case CR_SSL_CONNECTION_ERROR:
	case ER_SERVER_SHUTDOWN:
	case ER_NORMAL_SHUTDOWN:
	case ER_CONNECTION_KILLED:
	case ER_CON_COUNT_ERROR:
	case ER_NEW_ABORTING_CONNECTION:
	/* this server does not take writes (any more): another one may be behind the name */
	case ER_OPTION_PREVENTS_STATEMENT:
	case ER_READ_ONLY_MODE:
	case ER_UNKNOWN_COM_ERROR: /* a cluster's node that left it */
		return true;
	}
	return false;
}

static const struct {
	unsigned number;
	enum nx_code code;
	const char *text;
} known[] = {
	{ ER_ACCESS_DENIED_ERROR, NX_E_STORE_FAILED,
	  "The metadata store refuses user and password." },
	{ ER_DBACCESS_DENIED_ERROR, NX_E_STORE_FAILED,
	  "The metadata store's user has no right to its database." },
	{ ER_ACCESS_DENIED_NO_PASSWORD_ERROR, NX_E_STORE_FAILED,
	  "The metadata store refuses user and password." },
	{ ER_TABLEACCESS_DENIED_ERROR, NX_E_STORE_FAILED,
	  "The metadata store's user lacks a right to its tables." },
	{ ER_BAD_DB_ERROR, NX_E_STORE_FAILED,
	  "The metadata store's database does not exist. Create it first." },
	{ ER_LOCK_WAIT_TIMEOUT, NX_E_STORE_LOCKED, "The metadata store is busy." },
	{ ER_LOCK_DEADLOCK, NX_E_STORE_LOCKED, "The metadata store is busy." },
	{ ER_RECORD_FILE_FULL, NX_E_STORE_FULL, "The metadata store is out of space." },
	{ ER_DISK_FULL, NX_E_STORE_FULL, "The metadata store is out of space." },
	{ ER_DATA_TOO_LONG, NX_E_BAD_VALUE, "A value is too long for the metadata store." },
	{ ER_NET_PACKET_TOO_LARGE, NX_E_BAD_VALUE, "A value is too large for the metadata store." },
	{ ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, NX_E_BAD_VALUE,
	  "A text is not valid for the metadata store." },
	{ CR_OUT_OF_MEMORY, NX_E_MEMORY, "Out of memory." },
};

static enum nx_code fail_with(unsigned e, const char *detail, struct nx_error *err)
{
	enum nx_code c = NX_OK;
	for (size_t i = 0; i < NX_COUNTOF(known) && !c; i++)
		if (known[i].number == e)
			c = nx_fail(err, known[i].code, "%s", known[i].text);
	if (!c)
		c = nx_fail(err, NX_E_STORE_FAILED,
			    is_lost(e) ? "The metadata store cannot be reached."
				       : "The metadata store failed.");
	nx_error_native(err, (int)e, NULL);
	nx_error_detail(err, "mysql %u: %s", e, detail);
	return c;
}

/* ---- connection ---- */

static void drop_handle(struct handle *h)
{
	if (h->stmt)
		(void)mysql_stmt_close(h->stmt);
	free(h->row);
	*h = (struct handle){ 0 };
}

static void disconnect(struct mysql_store *s)
{
	for (int i = 0; i < NX_ST_COUNT; i++)
		drop_handle(&s->h[i]);
	if (s->my)
		mysql_close(s->my);
	s->my = NULL;
	s->in_transaction = false;
}

/* After a failed call: what it means, and the connection dropped when it is the reason. */
static enum nx_code failed(struct mysql_store *s, unsigned e, const char *text,
			   struct nx_error *err)
{
	enum nx_code c = fail_with(e, text, err);
	if (is_lost(e))
		disconnect(s);
	else if (e == ER_LOCK_DEADLOCK)
		s->in_transaction = false; /* rolled back by the server */
	return c;
}

static bool set_options(const struct mysql_store *s, MYSQL *my, unsigned timeout_s)
{
	unsigned off = 0, tcp = MYSQL_PROTOCOL_TCP;
	my_bool yes = 1, verify = s->verify;
	const char *ca = *s->ca_file ? s->ca_file : NULL;
	if (s->verify && !ca)
		ca = "/etc/ssl/certs/ca-certificates.crt";
	/* Plug-ins that send the password as it is need a peer that has proved who it is. */
	const char *auth = "mysql_native_password,caching_sha2_password,sha256_password,"
			   "client_ed25519,mysql_clear_password,dialog";
	if (!s->verify)
		auth = "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519";
	if (s->tls && (mysql_optionsv(my, MYSQL_OPT_SSL_ENFORCE, &yes) ||
		       mysql_optionsv(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify) ||
		       (ca && mysql_optionsv(my, MYSQL_OPT_SSL_CA, ca))))
		return false;
	return !mysql_optionsv(my, MYSQL_OPT_PROTOCOL, &tcp) &&
	       !mysql_optionsv(my, MYSQL_OPT_LOCAL_INFILE, &off) &&
	       !mysql_optionsv(my, MYSQL_SET_CHARSET_NAME, "utf8mb4") &&
	       !mysql_optionsv(my, MYSQL_OPT_CONNECT_TIMEOUT, &s->timeout_s) &&
	       !mysql_optionsv(my, MYSQL_OPT_READ_TIMEOUT, &timeout_s) &&
	       !mysql_optionsv(my, MYSQL_OPT_WRITE_TIMEOUT, &timeout_s) &&
	       !mysql_optionsv(my, MARIADB_OPT_RESTRICTED_AUTH, auth);
}

/* The session: no silent cutting of values, and no statement outlives the caller's patience. */
static bool set_session(MYSQL *my, unsigned timeout_s)
{
	char sql[300];
	int n = snprintf(sql, sizeof(sql),
			 "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
			 " autocommit = 1, innodb_lock_wait_timeout = %u, lock_wait_timeout = %u"
			 " /*M!100100 , max_statement_time = %u */",
			 timeout_s, timeout_s, timeout_s);
	return n > 0 && (size_t)n < sizeof(sql) && mysql_real_query(my, sql, (unsigned long)n) == 0;
}

/* One try. `patience_s`: of each exchange. */
static enum nx_code connect_once(struct mysql_store *s, unsigned patience_s, struct nx_error *err)
{
	MYSQL *my = mysql_init(NULL);
	if (!my || !set_options(s, my, patience_s)) {
		if (my)
			mysql_close(my);
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	enum nx_code c = NX_OK;
	/* found rows: an UPDATE that changes nothing has found its row all the same */
	if (!mysql_real_connect(my, s->host, s->user, s->password, s->database, s->port, NULL,
				CLIENT_FOUND_ROWS) ||
	    !set_session(my, patience_s > 1 ? patience_s - 1 : 1))
		c = fail_with(mysql_errno(my), mysql_error(my), err);
	/* the library goes on in the clear when a server offers no TLS and need not prove who it is */
	else if (s->tls && !mysql_get_ssl_cipher(my))
		c = nx_fail(err, NX_E_STORE_FAILED,
			    "The metadata store does not offer TLS, which store.tls requires.");
	if (c) {
		mysql_close(my);
		return c;
	}
	s->my = my;
	return NX_OK;
}

static enum nx_code ensure_connected(struct mysql_store *s, struct nx_error *err)
{
	if (s->my)
		return NX_OK;
	int64_t now = nx_now();
	if (now < s->retry_at)
		return nx_fail(err, NX_E_STORE_FAILED, "The metadata store cannot be reached.");
	struct nx_error why;
	enum nx_code c = connect_once(s, s->timeout_s, &why);
	if (!c) {
		s->base.session++;
		if (s->down_told)
			nx_log(NX_LOG_INFO, "store", "the metadata store is back");
		s->backoff = 0;
		s->down_told = false;
		return NX_OK;
	}
	s->backoff = s->backoff ? s->backoff * 2 : BACKOFF_MIN;
	if (s->backoff > BACKOFF_MAX)
		s->backoff = BACKOFF_MAX;
	s->retry_at = nx_now() + s->backoff;
	if (!s->down_told)
		nx_log_error(NX_LOG_ERROR, "store", NULL, &why);
	s->down_told = true;
	if (err)
		*err = why;
	return c;
}

/* ---- statements ---- */

/* ?1, ?2 -> ?, with the order kept. */
static bool positional(const char *sql, char out[SQL_MAX], struct handle *h)
{
	size_t n = 0;
	for (const char *p = sql; *p; p++) {
		if (n + 1 >= SQL_MAX)
			return false;
		out[n++] = *p;
		if (*p != '?')
			continue;
		int value = 0;
		for (; isdigit((unsigned char)p[1]); p++)
			value = value * 10 + (p[1] - '0');
		if (value < 1 || value > NX_ST_BINDS || h->nbinds == NX_ST_BINDS)
			return false;
		h->order[h->nbinds++] = value - 1;
	}
	out[n] = '\0';
	return true;
}

static enum nx_code stmt_failed(struct mysql_store *s, struct handle *h, struct nx_error *err)
{
	/* the text goes with the handle */
	char text[300];
	unsigned e = mysql_stmt_errno(h->stmt);
	(void)snprintf(text, sizeof(text), "%s", mysql_stmt_error(h->stmt));
	return failed(s, e, text, err);
}

static enum nx_code prepare(struct mysql_store *s, struct nx_st *st, struct nx_error *err)
{
	struct handle *h = &s->h[st->which];
	char sql[SQL_MAX];
	my_bool lengths = 1;
	if (h->stmt)
		return NX_OK;
	if (!positional(nx_statements[st->which], sql, h))
		return nx_fail(err, NX_E_INTERNAL, "A statement of the store is wrong.");
	h->stmt = mysql_stmt_init(s->my);
	if (!h->stmt)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	enum nx_code c = NX_OK;
	if (mysql_stmt_attr_set(h->stmt, STMT_ATTR_UPDATE_MAX_LENGTH, &lengths) ||
	    mysql_stmt_prepare(h->stmt, sql, strlen(sql)))
		c = stmt_failed(s, h, err);
	else if (mysql_stmt_param_count(h->stmt) != h->nbinds ||
		 mysql_stmt_field_count(h->stmt) > NX_ST_COLS)
		c = nx_fail(err, NX_E_INTERNAL, "A statement of the store is wrong.");
	if (c)
		drop_handle(h);
	return c;
}

static bool execute(const struct nx_st *st, struct handle *h)
{
	MYSQL_BIND in[NX_ST_BINDS] = { 0 };
	unsigned long len[NX_ST_BINDS];
	for (unsigned i = 0; i < h->nbinds; i++) {
		const struct nx_bind *b = &st->bind[h->order[i]];
		len[i] = b->text.len;
		switch (b->kind) {
		case NX_BIND_NONE:
			in[i].buffer_type = MYSQL_TYPE_NULL; /* NOT NULL columns refuse it */
			break;
		case NX_BIND_I64:
			in[i].buffer_type = MYSQL_TYPE_LONGLONG;
			in[i].buffer = (void *)(uintptr_t)&b->number;
			break;
		case NX_BIND_TEXT:
		case NX_BIND_BLOB:
			in[i].buffer_type =
				b->kind == NX_BIND_TEXT ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB;
			in[i].buffer = (void *)(uintptr_t)(b->text.ptr ? b->text.ptr : "");
			in[i].buffer_length = len[i];
			in[i].length = &len[i];
			break;
		}
	}
	return (h->nbinds == 0 || !mysql_stmt_bind_param(h->stmt, in)) &&
	       !mysql_stmt_execute(h->stmt);
}

static bool is_integer(enum enum_field_types t)
{
	return t == MYSQL_TYPE_TINY || t == MYSQL_TYPE_SHORT || t == MYSQL_TYPE_INT24 ||
	       t == MYSQL_TYPE_LONG || t == MYSQL_TYPE_LONGLONG;
}

/* Reads the whole result and makes room for its longest row. False with *lack: no memory. */
static bool take_result(struct handle *h, bool *lack)
{
	h->ncols = mysql_stmt_field_count(h->stmt);
	if (h->ncols == 0)
		return true;
	if (mysql_stmt_store_result(h->stmt))
		return false;
	MYSQL_RES *meta = mysql_stmt_result_metadata(h->stmt);
	size_t total = 1;
	for (unsigned i = 0; meta && i < h->ncols; i++)
		total += mysql_fetch_field_direct(meta, i)->max_length;
	h->row = meta ? malloc(total) : NULL;
	MYSQL_BIND out[NX_ST_COLS] = { 0 };
	char *at = h->row;
	for (unsigned i = 0; h->row && i < h->ncols; i++) {
		const MYSQL_FIELD *f = mysql_fetch_field_direct(meta, i);
		h->number[i] = is_integer(f->type);
		h->col[i].at = at;
		out[i].length = &h->col[i].len;
		out[i].is_null = &h->col[i].null;
		if (h->number[i]) {
			out[i].buffer_type = MYSQL_TYPE_LONGLONG;
			out[i].buffer = &h->col[i].i64;
			out[i].buffer_length = sizeof(h->col[i].i64);
		} else {
			out[i].buffer_type = MYSQL_TYPE_BLOB;
			out[i].buffer = at;
			out[i].buffer_length = f->max_length;
			at += f->max_length;
		}
	}
	*lack = !h->row;
	mysql_free_result(meta);
	return h->row && !mysql_stmt_bind_result(h->stmt, out);
}

/* The first step: sends it. */
static enum nx_row start(struct mysql_store *s, struct nx_st *st, enum nx_code *ret,
			 struct nx_error *err)
{
	struct handle *h = &s->h[st->which];
	bool lack = false;
	*ret = prepare(s, st, err);
	if (*ret)
		return NX_ROW_FAILED;
	if (execute(st, h) && take_result(h, &lack)) {
		if (h->ncols == 0)
			s->base.affected = (int64_t)mysql_stmt_affected_rows(h->stmt);
		return NX_ROW;
	}
	if (lack) {
		*ret = nx_fail(err, NX_E_MEMORY, "Out of memory.");
		return NX_ROW_FAILED;
	}
	bool taken = mysql_stmt_errno(h->stmt) == ER_DUP_ENTRY;
	*ret = stmt_failed(s, h, err);
	return taken ? NX_ROW_DUPLICATE : NX_ROW_FAILED;
}

static enum nx_row step(struct nx_st *st, enum nx_code *ret, struct nx_error *err)
{
	struct mysql_store *s = of(st->s);
	struct handle *h = &s->h[st->which];
	if (!st->running) {
		bool retry = !s->in_transaction && s->my;
		*ret = ensure_connected(s, err);
		if (*ret)
			return NX_ROW_FAILED;
		enum nx_row row = start(s, st, ret, err);
		if (row == NX_ROW_FAILED && retry && !s->my) { /* found out to be lost: a read */
			*ret = ensure_connected(s, err);
			row = *ret ? NX_ROW_FAILED : start(s, st, ret, err);
		}
		if (row != NX_ROW)
			return row;
	}
	*ret = NX_OK;
	if (h->ncols == 0)
		return NX_ROW_END;
	int rc = mysql_stmt_fetch(h->stmt);
	if (rc == MYSQL_NO_DATA)
		return NX_ROW_END;
	if (rc == 0)
		return NX_ROW;
	*ret = rc == MYSQL_DATA_TRUNCATED
		       ? nx_fail(err, NX_E_STORE_FAILED, "The metadata store is damaged.")
		       : stmt_failed(s, h, err);
	return NX_ROW_FAILED;
}

static void reset(struct nx_st *st)
{
	struct handle *h = &of(st->s)->h[st->which];
	if (h->stmt)
		(void)mysql_stmt_free_result(h->stmt);
	free(h->row);
	h->row = NULL;
}

static struct nx_str column_text(struct nx_st *st, int at)
{
	struct handle *h = &of(st->s)->h[st->which];
	bool ok = !h->col[at].null && !h->number[at];
	return ok ? nx_strn(h->col[at].at, h->col[at].len) : NX_STR("");
}

static int64_t column_int64(struct nx_st *st, int at)
{
	struct handle *h = &of(st->s)->h[st->which];
	return !h->col[at].null && h->number[at] ? h->col[at].i64 : 0;
}

/* ---- what is not prepared ---- */

static enum nx_code run_sql(struct nx_store *base, const char *sql, struct nx_error *err)
{
	struct mysql_store *s = of(base);
	if (!s->my) /* lost on the way: this belonged to what is gone */
		return nx_fail(err, NX_E_STORE_FAILED, "The metadata store cannot be reached.");
	if (mysql_real_query(s->my, sql, strlen(sql))) {
		char text[300];
		(void)snprintf(text, sizeof(text), "%s", mysql_error(s->my));
		return failed(s, mysql_errno(s->my), text, err);
	}
	if (strcmp(sql, "COMMIT") == 0 || strcmp(sql, "ROLLBACK") == 0)
		s->in_transaction = false;
	return NX_OK;
}

static enum nx_code run_number(struct nx_store *base, const char *sql, int64_t *ret,
			       struct nx_error *err)
{
	struct mysql_store *s = of(base);
	enum nx_code c = run_sql(base, sql, err);
	if (c)
		return c;
	MYSQL_RES *res = mysql_store_result(s->my);
	MYSQL_ROW row = res ? mysql_fetch_row(res) : NULL;
	if (!row || !row[0] || !nx_str_to_i64(nx_str(row[0]), ret))
		c = nx_fail(err, NX_E_STORE_FAILED, "The metadata store is damaged.");
	mysql_free_result(res);
	return c;
}

static enum nx_code begin(struct nx_store *base, struct nx_error *err)
{
	struct mysql_store *s = of(base);
	bool fresh = !s->my;
	enum nx_code c = ensure_connected(s, err);
	if (!c)
		c = run_sql(base, "START TRANSACTION", err);
	if (c && !s->my && !fresh) { /* the server closed an idle connection, or was restarted */
		c = ensure_connected(s, err);
		if (!c)
			c = run_sql(base, "START TRANSACTION", err);
	}
	s->in_transaction = !c;
	return c;
}

static bool in_transaction(struct nx_store *base)
{
	return of(base)->in_transaction;
}

static bool done_before(struct nx_store *base)
{
	const struct mysql_store *s = of(base);
	unsigned e = s->my ? mysql_errno(s->my) : 0;
	return e == ER_TABLE_EXISTS_ERROR || e == ER_DUP_FIELDNAME || e == ER_DUP_KEYNAME ||
	       e == ER_DUP_ENTRY;
}

static void close_store(struct nx_store *base)
{
	struct mysql_store *s = of(base);
	disconnect(s);
	if (s->password) {
		nx_wipe(s->password, strlen(s->password));
		free(s->password);
	}
	nx_store_done(base);
	free(s);
}

/* InnoDB whatever the server's default is, and equality byte by byte. */
#define TABLE " ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin"
static const char *const types[][2] = {
	{ "{id}", "VARCHAR(64)" },  { "{name}", "VARCHAR(255)" }, { "{time}", "VARCHAR(32)" },
	{ "{text}", "MEDIUMTEXT" }, { "{bytes}", "LONGBLOB" },	  { "{int}", "BIGINT" },
	{ "{empty}", "('')" },	    { "{table}", TABLE },	  { NULL, NULL },
};

static const struct nx_store_ops mysql_ops = {
	.shared = true,
	.types = types,
	.close = close_store,
	.exec = run_sql,
	.number = run_number,
	.begin = begin,
	.in_transaction = in_transaction,
	.step = step,
	.reset = reset,
	.text = column_text,
	.int64 = column_int64,
	.done_before = done_before,
};

/* ---- open ---- */

static enum nx_code bad_url(const char *why, struct nx_error *err)
{
	return nx_fail(err, NX_E_CONFIG, "store.url must be mysql://user@host[:port]/database: %s.",
		       why);
}

/* A part of the URL, %41 decoded. */
static bool part(const char *from, const char *end, char out[PART])
{
	size_t n = 0;
	for (const char *p = from; p < end; p++) {
		char c = *p;
		if (c == '%') {
			char hex[3] = { 0 };
			if (end - p < 3 || !isxdigit((unsigned char)p[1]) ||
			    !isxdigit((unsigned char)p[2]))
				return false;
			memcpy(hex, p + 1, 2);
			c = (char)strtoul(hex, NULL, 16);
			p += 2;
		}
		if ((unsigned char)c < 0x20 || c == 0x7f || n + 1 >= PART)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return n > 0;
}

/* The message never holds the text: a password may stand in it. */
static enum nx_code parse_url(struct mysql_store *s, const char *url, struct nx_error *err)
{
	const char *p = strstr(url, "://");
	size_t scheme = p ? (size_t)(p - url) : 0;
	if (!p || !((scheme == 5 && memcmp(url, "mysql", 5) == 0) ||
		    (scheme == 7 && memcmp(url, "mariadb", 7) == 0)))
		return bad_url("the scheme is mysql or mariadb", err);
	p += 3;
	const char *slash = strchr(p, '/'),
		   *at = slash ? memrchr(p, '@', (size_t)(slash - p)) : NULL;
	if (!slash || !at)
		return bad_url("a part is missing", err);
	if (memchr(p, ':', (size_t)(at - p)))
		return bad_url("the password stands in store.password", err);
	if (strpbrk(slash + 1, "/?#"))
		return bad_url("nothing may follow the database", err);
	const char *host = at + 1, *end = slash;
	const char *colon = memrchr(host, ':', (size_t)(slash - host));
	if (*host == '[') {
		const char *close = memchr(host, ']', (size_t)(slash - host));
		if (!close || (close + 1 != slash && close[1] != ':'))
			return bad_url("the host is wrong", err);
		colon = close + 1 != slash ? close + 1 : NULL;
		host++;
		end = close;
	} else if (colon) {
		end = colon;
	}
	s->port = 3306;
	if (colon) {
		int64_t port;
		if (!nx_str_to_i64(nx_strn(colon + 1, (size_t)(slash - colon - 1)), &port) ||
		    port < 1 || port > 65535)
			return bad_url("the port is wrong", err);
		s->port = (unsigned)port;
	}
	/* libmariadb takes a host with ';' for a connection string and one with ',' for a list */
	if (strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-_") <
	    (size_t)(end - host))
		return bad_url("the host is wrong", err);
	if (!part(p, at, s->user) || !part(host, end, s->host) ||
	    !part(slash + 1, slash + strlen(slash), s->database))
		return bad_url("a part is empty, too long or not well written", err);
	return NX_OK;
}

enum nx_code nx_store_url_check(const char *url, struct nx_error *err)
{
	struct mysql_store s;
	return *url ? parse_url(&s, url, err) : NX_OK;
}

/* Brings the schema up to date. One instance at a time: those that start together wait for the first. */
static enum nx_code migrate(struct mysql_store *s, int schema, struct nx_error *err)
{
	int64_t got = 0;
	char sql[200];
	(void)snprintf(sql, sizeof(sql), "SELECT coalesce(GET_LOCK('" MIGRATION_LOCK "', %d), 0)",
		       LOCK_WAIT_S);
	enum nx_code c = connect_once(s, MIGRATE_S, err);
	if (!c)
		c = run_number(&s->base, sql, &got, err);
	if (!c && got != 1)
		c = nx_fail(err, NX_E_STORE_LOCKED,
			    "Another instance changes the metadata store's schema.");
	if (!c)
		c = nx_store_migrate(&s->base, schema, err);
	disconnect(s); /* and with it the lock */
	return c;
}

static void start_library(void)
{
	(void)mysql_library_init(0, NULL, NULL);
}

enum nx_code nx_mysql_open(const struct nx_store_config *cfg, int schema, struct nx_store **ret,
			   struct nx_error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, start_library);
	struct mysql_store *s = calloc(1, sizeof(*s));
	if (!s)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	nx_store_init(&s->base, &mysql_ops);
	s->tls = cfg->tls || cfg->verify;
	s->verify = cfg->verify;
	s->timeout_s = cfg->timeout_ms < 1000 ? 1 : (cfg->timeout_ms + 999) / 1000;
	enum nx_code c = parse_url(s, cfg->url, err);
	const char *ca = cfg->ca_file ? cfg->ca_file : "";
	if (!c && snprintf(s->ca_file, sizeof(s->ca_file), "%s", ca) >= (int)sizeof(s->ca_file))
		c = nx_fail(err, NX_E_CONFIG, "store.caFile is too long.");
	if (!c && cfg->password && *cfg->password) {
		s->password = strdup(cfg->password);
		if (!s->password)
			c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	if (!c)
		c = migrate(s, schema, err);
	if (!c)
		c = connect_once(s, s->timeout_s, err);
	if (c) {
		close_store(&s->base);
		return c;
	}
	*ret = &s->base;
	return NX_OK;
}
