/* What nexus/driver.h promises, checked against any driver. NX_CONFORMANCE names the driver; where it
 * lives comes from the environment of tests/servers/. A quirk says how to ask a source for many rows
 * or a long wait; what a driver does not claim (caps) is not asked of it. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nexus/buf.h"
#include "nexus/driver.h"
#include "test.h"

#define SECOND INT64_C(1000000000)
#define MANY 200000

/* Sanitizers keep freed memory: its growth says nothing there. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

struct quirk {
	const char *driver;
	void (*options)(struct nx_options *o);
	const char *one; /* one row, one column, the integer 1 */
	const char *none; /* no rows */
	const char *many; /* MANY rows: an integer, a text */
	const char *slow; /* no row for 30 s */
	const char *fails; /* does not compile */
	const char *breaks; /* fails after some thousand rows; NULL: no such statement */
	const char *writes; /* would write, no result columns */
	const char *two; /* two statements */
	const char *
		params; /* one row of four columns from a string, an integer, a number, a boolean and NULL */
	const char *hang
		[4]; /* options under which connect hangs, "key=value"; "port=?" a mute listener */
};

#define NX_DRIVER(name) extern const struct nx_driver nx_driver_##name;
#include "drivers/drivers.def"
#undef NX_DRIVER
static const struct nx_driver *const drivers[] = {
#define NX_DRIVER(name) &nx_driver_##name,
#include "drivers/drivers.def"
#undef NX_DRIVER
};

static const struct nx_driver *d;
static const struct quirk *quirk;

/* --- where ----------------------------------------------------------------------------------- */

static void set(struct nx_options *o, const char *key, const char *value)
{
	const struct nx_option *spec = nx_option_find(d->options, nx_str(key));
	struct nx_error err;
	if (!spec || nx_options_set(o, spec, nx_str(value), &err))
		nx_test_fail(__FILE__, __LINE__, "option %s=%s", key, value);
}

static const char *env(const char *name)
{
	const char *v = getenv(name);
	if (!v)
		nx_test_skip("no server: run under tests/servers/");
	return v;
}

static void mysql_options_(struct nx_options *o)
{
	set(o, "host", "127.0.0.1");
	set(o, "port", env("NX_MARIADB_PORT"));
	set(o, "username", env("NX_MARIADB_USER"));
	set(o, "password", env("NX_MARIADB_PASSWORD"));
	set(o, "database", "nx");
	set(o, "ssl", "disable");
}

static void pg_options(struct nx_options *o)
{
	set(o, "host", env("NX_PG_HOST"));
	set(o, "port", env("NX_PG_PORT"));
	set(o, "username", env("NX_PG_USER"));
	set(o, "password", env("NX_PG_PASSWORD"));
	set(o, "database", "postgres");
}

static void no_options(struct nx_options *o)
{
	(void)o;
}

static char scratch[64], database[96];

static void clean(void)
{
	unlink(database);
	rmdir(scratch);
}

/* An empty file is an empty database. */
static void sqlite_options(struct nx_options *o)
{
	if (!*scratch) {
		const char *tmp = getenv("TMPDIR");
		snprintf(scratch, sizeof(scratch), "%s/nx_conformance_XXXXXX",
			 tmp && strlen(tmp) < 40 ? tmp : P_tmpdir);
		NX_CHECK(mkdtemp(scratch));
		snprintf(database, sizeof(database), "%s/empty.db", scratch);
		FILE *f = fopen(database, "w");
		NX_CHECK(f && fclose(f) == 0);
		atexit(clean);
	}
	set(o, "path", database);
}

#define SERIES "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c"

static const struct quirk quirks[] = {
	{
		.driver = "sqlite",
		.options = sqlite_options,
		.one = "SELECT 1",
		.none = "SELECT 1 AS a WHERE 0",
		.many = SERIES " WHERE i < 200000) SELECT i, 'row ' || i FROM c",
		.slow = SERIES ") SELECT count(*) FROM c",
		.fails = "SELECT nope FROM nope",
		.breaks = SERIES " WHERE i < 9000) SELECT CASE WHEN i = 5000 THEN "
				 "abs(-9223372036854775807 - (i - 4999)) "
				 "ELSE i END FROM c",
		.writes = "CREATE TABLE nx_conf (x int)",
		.two = "SELECT 1; SELECT 2",
		.params = "SELECT ?, ?, ?, ?, ?",
	},
	{
		.driver = "fake",
		.options = no_options,
		.one = "SELECT * FROM fake WHERE types = 'int64'",
		.none = "SELECT * FROM fake WHERE rows = 0",
		.many = "SELECT * FROM fake WHERE rows = 200000",
		.slow = "SELECT * FROM fake WHERE hang",
		.fails = "SELECT * FROM fake WHERE nope",
		.breaks = "SELECT * FROM fake WHERE rows = 9000 AND error_after = 5000",
		.writes = "CREATE TABLE nx_conf (x int)",
		.two = "SELECT * FROM fake WHERE rows = 1 SELECT 2",
		.hang = { "connectHang=true" },
	},
	{
		.driver = "mysql",
		.options = mysql_options_,
		.one = "SELECT 1",
		.none = "SELECT 1 FROM DUAL WHERE 1 = 0",
		.many = "SELECT seq, CONCAT('row ', seq) FROM seq_1_to_200000",
		.slow = "SELECT SLEEP(30)",
		.fails = "SELECT nope FROM nope",
		.writes = "CREATE TABLE nx_conf (x int)",
		.two = "SELECT 1; SELECT 2",
		.params = "SELECT ?, ?, ?, ?, ?",
		.hang = { "port=?" },
	},
	{
		.driver = "postgresql",
		.options = pg_options,
		.one = "SELECT 1",
		.none = "SELECT 1 WHERE false",
		.many = "SELECT g, 'row ' || g FROM generate_series(1, 200000) g",
		.slow = "SELECT pg_sleep(30)",
		.fails = "SELECT nope FROM nope",
		.breaks = "SELECT 1 / (5000 - g) FROM generate_series(1, 9000) g",
		.writes = "CREATE TABLE nx_conf (x int)",
		.two = "SELECT 1; SELECT 2",
		.params = "SELECT $1::text, $2::bigint, $3::numeric, $4::boolean, $5::text",
		.hang = { "host=127.0.0.1", "port=?" },
	},
};

/* --- sessions -------------------------------------------------------------------------------- */

struct session {
	struct nx_options *opts;
	struct nx_source *source;
	struct nx_conn *conn;
	struct nx_arena *arena;
	struct nx_error err;
	enum nx_conn_state state;
};

static void choose(void)
{
	const char *name = env("NX_CONFORMANCE");
	for (size_t i = 0; i < NX_COUNTOF(drivers); i++)
		if (strcmp(drivers[i]->name, name) == 0)
			d = drivers[i];
	for (size_t i = 0; i < NX_COUNTOF(quirks); i++)
		if (strcmp(quirks[i].driver, name) == 0)
			quirk = &quirks[i];
	if (!d)
		nx_test_skip("driver not built in");
	NX_CHECK(quirk);
	struct nx_error err;
	if (d->init && d->init(&err))
		nx_test_fail(__FILE__, __LINE__, "init: %s", err.message);
}

static void open_source(struct session *s)
{
	struct nx_error err;
	choose();
	memset(s, 0, sizeof(*s));
	s->arena = nx_arena_new(256 << 20);
	s->opts = nx_options_new();
	quirk->options(s->opts);
	NX_EQ_I(NX_OK, nx_options_defaults(s->opts, d->options, &err));
	if (d->open(s->opts, &s->source, &s->err))
		nx_test_fail(__FILE__, __LINE__, "open: %s", s->err.message);
}

static void reconnect(struct session *s)
{
	d->disconnect(s->conn);
	s->conn = NULL;
	if (d->connect(s->source, nx_now() + 10 * SECOND, &s->conn, &s->err))
		nx_test_fail(__FILE__, __LINE__, "connect: %s (%s)", s->err.message, s->err.detail);
}

static struct session session(void)
{
	struct session s;
	open_source(&s);
	reconnect(&s);
	return s;
}

static void end_session(struct session *s)
{
	d->disconnect(s->conn);
	d->close(s->source);
	nx_options_free(s->opts);
	nx_arena_free(s->arena);
	if (d->fini)
		d->fini();
}

/* A connection in the state a stream left it in, made usable again as the gateway does. */
static void mend(struct session *s)
{
	if (s->state == NX_CONN_DIRTY &&
	    (!d->reset || d->reset(s->conn, nx_now() + 5 * SECOND, &s->err)))
		s->state = NX_CONN_BROKEN;
	if (s->state == NX_CONN_BROKEN)
		reconnect(s);
}

static struct nx_query ask(struct session *s, const char *sql)
{
	return (struct nx_query){
		.sql = nx_str(sql),
		.limits = { .max_rows = UINT64_MAX, .batch_rows = 1000, .batch_bytes = 256 << 10 },
		.deadline = nx_now() + 60 * SECOND,
		.arena = s->arena,
		.pure = true,
	};
}

/* --- batches --------------------------------------------------------------------------------- */

static void check_column(const struct nx_field *f, const struct nx_column *c, int64_t n)
{
	NX_CHECK(c->length >= n);
	switch (f->layout) {
	case NX_L_TEXT:
		NX_CHECK(c->offsets && c->offsets[0] >= 0);
		for (int64_t i = 0; i < n; i++)
			NX_CHECK(c->offsets[i] <= c->offsets[i + 1]);
		NX_CHECK(c->data || c->offsets[n] == c->offsets[0]);
		break;
	case NX_L_LIST:
		NX_CHECK(c->offsets && c->children && f->nchildren == 1);
		check_column(&f->children[0], &c->children[0], c->offsets[n]);
		break;
	case NX_L_STRUCT:
		for (uint32_t i = 0; i < f->nchildren; i++)
			check_column(&f->children[i], &c->children[i], n);
		break;
	case NX_L_NONE:
		break;
	default:
		NX_CHECK(c->data);
	}
	volatile unsigned touched = 0; /* ASan sees what is not there */
	for (int64_t i = 0; i < n && f->layout == NX_L_TEXT; i++) {
		struct nx_str s = nx_column_text(c, i);
		if (nx_column_valid(c, i) && s.len > 0)
			touched += (unsigned char)s.ptr[0] + (unsigned char)s.ptr[s.len - 1];
	}
	(void)touched;
}

/* Reads to the end. */
static enum nx_code drain(struct session *s, struct nx_stream *st, uint64_t *rows)
{
	const struct nx_schema *schema = d->schema(st);
	const struct nx_field *fields = schema->fields;
	uint32_t n = schema->nfields;
	for (*rows = 0;;) {
		struct nx_batch b = { 0 };
		struct nx_bytes bytes = { 0 };
		bool encoded = d->caps & NX_CAP_ENCODES;
		if (d->lags) /* looks, and takes nothing */
			(void)d->lags(st, 0);
		enum nx_code code =
			encoded ? d->next_bytes(st, &bytes, &s->err) : d->next(st, &b, &s->err);
		if (code)
			return code;
		NX_CHECK(d->schema(st) == schema && schema->fields == fields &&
			 schema->nfields == n);
		if (encoded ? bytes.data.len == 0 : b.nrows == 0)
			return NX_OK;
		*rows += encoded ? bytes.rows : b.nrows;
		if (encoded)
			continue;
		NX_EQ_I(n, b.ncols);
		NX_CHECK(b.nrows <= 1000);
		for (uint32_t i = 0; i < n; i++)
			check_column(&fields[i], &b.cols[i], b.nrows);
	}
}

static enum nx_code run(struct session *s, const struct nx_query *q, uint64_t *rows)
{
	struct nx_stream *st = NULL;
	s->state = (enum nx_conn_state) - 1;
	enum nx_code code = d->query(s->conn, q, &st, &s->state, &s->err);
	if (code) {
		NX_CHECK(!st && s->err.code == code && s->err.message[0]);
		NX_CHECK(s->state == NX_CONN_CLEAN || s->state == NX_CONN_DIRTY ||
			 s->state == NX_CONN_BROKEN);
		return code;
	}
	NX_CHECK(st && st->driver == d);
	code = drain(s, st, rows);
	struct nx_error kept = s->err;
	s->state = d->release(st);
	s->err = kept;
	return code;
}

static void works(struct session *s)
{
	uint64_t rows;
	struct nx_query q = ask(s, quirk->one);
	mend(s);
	if (run(s, &q, &rows))
		nx_test_fail(__FILE__, __LINE__, "%s: %s", quirk->one, s->err.message);
	NX_EQ_I(1, rows);
	NX_EQ_I(NX_CONN_CLEAN, s->state);
}

static size_t memory_kb(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long size, resident = 0;
	if (f && fscanf(f, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

/* --- cases ----------------------------------------------------------------------------------- */

NX_TEST(table_is_complete)
{
	choose();
	NX_EQ_I(NX_DRIVER_ABI, d->abi);
	NX_CHECK(d->name && d->placeholder && d->options);
	NX_CHECK(d->open && d->close && d->connect && d->disconnect && d->query && d->schema);
	NX_CHECK(d->release && (d->next || d->next_bytes));
	NX_CHECK(!(d->caps & NX_CAP_CANCEL) || d->cancel);
	NX_CHECK(!(d->caps & NX_CAP_CATALOG) || (d->tables && d->columns));
	NX_CHECK(!(d->caps & NX_CAP_ENCODES) || d->next_bytes);
	NX_CHECK(!(d->caps & NX_CAP_GRANTS) || d->probe);
	for (const struct nx_option *o = d->options; o->key; o++)
		NX_CHECK(o->help && *o->help && (o->type != NX_OPT_ENUM || o->choices));
	d->disconnect(NULL);
	d->close(NULL);
}

NX_TEST(one_row_and_none)
{
	struct session s = session();
	works(&s);
	works(&s);
	uint64_t rows;
	struct nx_query q = ask(&s, quirk->none);
	NX_EQ_I(NX_OK, run(&s, &q, &rows));
	NX_EQ_I(0, rows);
	works(&s);
	NX_CHECK(!d->check || d->check(s.conn));
	end_session(&s);
}

NX_TEST_FOR(many_rows_in_constant_memory, 120)
{
	struct session s = session();
	uint64_t rows;
	works(&s);
	struct nx_query q = ask(&s, quirk->many);
	NX_EQ_I(NX_OK, run(&s, &q, &rows)); /* once, so that caches are filled */
	NX_EQ_I(MANY, rows);
	mend(&s);
	size_t before = memory_kb();
	q = ask(&s, quirk->many);
	NX_EQ_I(NX_OK, run(&s, &q, &rows));
	NX_EQ_I(MANY, rows);
	size_t grown = memory_kb() > before ? memory_kb() - before : 0;
	if ((d->caps & NX_CAP_STREAM) && !SANITIZED && grown > 2048)
		nx_test_fail(__FILE__, __LINE__, "memory grew by %zu KiB over %d rows", grown,
			     MANY);
	works(&s);
	end_session(&s);
}

NX_TEST(release_before_the_end)
{
	struct session s = session();
	for (int i = 0; i < 3; i++) {
		struct nx_stream *st;
		struct nx_batch b;
		struct nx_bytes bytes;
		struct nx_query q = ask(&s, quirk->many);
		NX_EQ_I(NX_OK, d->query(s.conn, &q, &st, &s.state, &s.err));
		for (int k = 0; k < i; k++)
			NX_EQ_I(NX_OK, d->caps & NX_CAP_ENCODES ? d->next_bytes(st, &bytes, &s.err)
								: d->next(st, &b, &s.err));
		int64_t t0 = nx_now();
		s.state = d->release(st);
		NX_CHECK(nx_now() - t0 < 5 * SECOND);
		works(&s);
	}
	end_session(&s);
}

NX_TEST(errors_leave_a_usable_connection)
{
	struct session s = session();
	uint64_t rows = 0;
	struct nx_query q = ask(&s, quirk->fails);
	enum nx_code code = run(&s, &q, &rows);
	NX_CHECK(code == NX_E_SQL_ERROR || code == NX_E_UNDEFINED_OBJECT);
	NX_EQ_I(400, nx_code_http(code));
	NX_CHECK(s.err.position < (int32_t)strlen(quirk->fails));
	NX_CHECK(nx_utf8_check(nx_str(s.err.message)) == strlen(s.err.message));
	works(&s);
	if (quirk->breaks) {
		q = ask(&s, quirk->breaks);
		code = run(&s, &q, &rows);
		NX_CHECK(code != NX_OK && s.err.code == code);
		NX_CHECK(rows <= 5000);
		works(&s);
	}
	end_session(&s);
}

NX_TEST(what_is_no_query_is_refused)
{
	struct session s = session();
	uint64_t rows;
	struct nx_query q = ask(&s, quirk->writes);
	if (d->caps & NX_CAP_DESCRIBE) {
		NX_CHECK(run(&s, &q, &rows) != NX_OK);
		works(&s);
		NX_CHECK(run(&s, &q, &rows) != NX_OK); /* "exists already" would tell that it ran */
		NX_CHECK(!strstr(s.err.message, "exists"));
		works(&s);
	}
	if (d->caps & NX_CAP_ONE_STATEMENT) {
		q = ask(&s, quirk->two);
		NX_CHECK(run(&s, &q, &rows) != NX_OK);
		works(&s);
	}
	end_session(&s);
}

NX_TEST(parameters_of_each_kind)
{
	struct session s = session();
	if (!(d->caps & NX_CAP_PARAMS) || !quirk->params)
		NX_SKIP("no parameters to echo");
	const struct nx_value v[] = {
		{ NX_V_STRING, NX_STR("o'\"\\ 数 ?") },
		{ NX_V_NUMBER, NX_STR("9007199254740993") },
		{ NX_V_NUMBER, NX_STR("-12.5") },
		{ NX_V_BOOL, NX_STR("true") },
		{ NX_V_NULL, { NULL, 0 } },
	};
	struct nx_query q = ask(&s, quirk->params);
	uint64_t rows;
	q.params = v;
	q.nparams = NX_COUNTOF(v);
	if (run(&s, &q, &rows))
		nx_test_fail(__FILE__, __LINE__, "%s", s.err.message);
	NX_EQ_I(1, rows);
	works(&s);
	for (uint32_t n = 0; n <= NX_COUNTOF(v); n += NX_COUNTOF(v) - 1) {
		q = ask(&s, quirk->params);
		q.params = v;
		q.nparams = n;
		NX_EQ_I(NX_E_PARAMETER_COUNT, run(&s, &q, &rows));
		works(&s);
	}
	end_session(&s);
}

static void *cancel_soon(void *conn)
{
	usleep(150000);
	d->cancel(conn);
	d->cancel(conn); /* idempotent */
	return NULL;
}

NX_TEST(cancel_ends_a_query)
{
	struct session s = session();
	if (!(d->caps & NX_CAP_CANCEL))
		NX_SKIP("the driver does not claim cancel");
	d->cancel(s.conn); /* nothing runs: nothing happens, but the gateway would not reuse it */
	s.state = NX_CONN_DIRTY;
	works(&s);
	for (int i = 0; i < 2; i++) {
		pthread_t thread;
		uint64_t rows = 0;
		struct nx_query q = ask(&s, quirk->slow);
		NX_EQ_I(0, pthread_create(&thread, NULL, cancel_soon, s.conn));
		int64_t t0 = nx_now();
		enum nx_code code = run(&s, &q, &rows);
		NX_CHECK(nx_now() - t0 < 2 * SECOND);
		pthread_join(thread, NULL);
		if (code != NX_E_QUERY_CANCELED)
			nx_test_fail(__FILE__, __LINE__, "%s: %s", nx_code_name(code),
				     s.err.message);
		works(&s);
	}
	end_session(&s);
}

/* `more`: what may stand behind the wanted names. */
static void check_names(struct session *s, struct nx_stream *st, const char *want, const char *more)
{
	struct nx_buf b;
	uint64_t rows;
	nx_buf_init(&b, 4096);
	const struct nx_schema *schema = d->schema(st);
	for (uint32_t i = 0; i < schema->nfields; i++)
		nx_buf_printf(&b, "%s" NX_STR_FMT, i ? "," : "",
			      NX_STR_ARG(schema->fields[i].name));
	if (more && nx_str_ends(nx_buf_str(&b), nx_str(more)))
		b.len -= strlen(more);
	NX_EQ_STR(nx_str(want), nx_buf_str(&b));
	nx_buf_done(&b);
	NX_EQ_I(NX_OK, drain(s, st, &rows));
	s->state = d->release(st);
}

NX_TEST(catalog)
{
	struct session s = session();
	if (!(d->caps & NX_CAP_CATALOG))
		NX_SKIP("the driver does not claim a catalog");
	static const char *const names[] = { "", "no such", "o'x\"`" };
	for (size_t i = 0; i < NX_COUNTOF(names); i++) {
		struct nx_stream *st;
		struct nx_query q = ask(&s, "");
		NX_EQ_I(NX_OK, d->tables(s.conn, &q, nx_str(names[i]), &st, &s.state, &s.err));
		check_names(&s, st, "schema,name,kind,comment,row_estimate", NULL);
		works(&s);
		q = ask(&s, "");
		NX_EQ_I(NX_OK, d->columns(s.conn, &q, nx_str(names[i]), nx_str(names[i]), &st,
					  &s.state, &s.err));
		check_names(&s, st, "schema,table,name,position,type,nullable,key,comment",
			    ",default");
		works(&s);
		if (!d->keys)
			continue;
		q = ask(&s, "");
		NX_EQ_I(NX_OK, d->keys(s.conn, &q, nx_str(names[i]), nx_str(names[i]), &st,
				       &s.state, &s.err));
		check_names(&s, st,
			    "schema,table,name,kind,position,column,ref_schema,ref_table,"
			    "ref_column",
			    NULL);
		works(&s);
	}
	end_session(&s);
}

NX_TEST(grants)
{
	struct session s = session();
	if (!(d->caps & NX_CAP_GRANTS))
		NX_SKIP("the driver does not claim grants");
	struct nx_grants g;
	NX_EQ_I(NX_OK, d->probe(s.conn, nx_now() + 5 * SECOND, &g, &s.err));
	NX_CHECK(g.summary[0] && memchr(g.summary, '\0', sizeof(g.summary)));
	works(&s);
	end_session(&s);
}

/* A port that accepts (by its backlog) and never says a word. */
static int mute_listener(char *port, size_t size)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	NX_CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 8) == 0);
	NX_CHECK(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	snprintf(port, size, "%u", (unsigned)ntohs(a.sin_port));
	return fd;
}

NX_TEST(connect_ends_at_its_deadline)
{
	struct session s;
	char port[16];
	choose();
	if (!quirk->hang[0])
		NX_SKIP("connecting to this source cannot hang");
	int fd = mute_listener(port, sizeof(port));
	memset(&s, 0, sizeof(s));
	s.arena = nx_arena_new(0);
	s.opts = nx_options_new();
	quirk->options(s.opts);
	for (int i = 0; i < 4 && quirk->hang[i]; i++) {
		char key[32];
		const char *eq = strchr(quirk->hang[i], '=');
		snprintf(key, sizeof(key), "%.*s", (int)(eq - quirk->hang[i]), quirk->hang[i]);
		set(s.opts, key, eq[1] == '?' ? port : eq + 1);
	}
	NX_EQ_I(NX_OK, nx_options_defaults(s.opts, d->options, &s.err));
	NX_EQ_I(NX_OK, d->open(s.opts, &s.source, &s.err));
	int64_t t0 = nx_now();
	enum nx_code code = d->connect(s.source, t0 + SECOND / 2, &s.conn, &s.err);
	NX_EQ_I(NX_E_CONNECT_TIMEOUT, code);
	NX_CHECK(!s.conn && nx_now() - t0 < 2 * SECOND);
	close(fd);
	end_session(&s);
}

static void *many_on_own_connection(void *arg)
{
	struct session s = *(struct session *)arg;
	s.conn = NULL;
	s.arena = nx_arena_new(256 << 20);
	reconnect(&s);
	for (int i = 0; i < 20; i++)
		works(&s);
	d->disconnect(s.conn);
	nx_arena_free(s.arena);
	return NULL;
}

NX_TEST(a_source_is_shared_by_threads)
{
	struct session s = session();
	pthread_t threads[4];
	for (size_t i = 0; i < NX_COUNTOF(threads); i++)
		NX_EQ_I(0, pthread_create(&threads[i], NULL, many_on_own_connection, &s));
	for (size_t i = 0; i < NX_COUNTOF(threads); i++)
		pthread_join(threads[i], NULL);
	works(&s);
	end_session(&s);
}
