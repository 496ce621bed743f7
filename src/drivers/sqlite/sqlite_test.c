/* The driver on files of its own: values and types, read-only, errors, cancel, locks. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "encode/encode.h"
#include "sqlite_int.h"
#include "test.h"

static char dir[64];
static char file[96];

struct session {
	struct nx_options *opts;
	struct nx_source *source;
	struct nx_conn *conn;
	struct nx_arena *arena;
	struct nx_error err;
	enum nx_conn_state state;
};

static void clean(void)
{
	char path[128];
	static const char *const ends[] = { "", "-journal", "-wal", "-shm" };
	for (size_t i = 0; i < NX_COUNTOF(ends); i++) {
		snprintf(path, sizeof(path), "%s%s", file, ends[i]);
		unlink(path);
	}
	rmdir(dir);
}

static sqlite3 *writer(void)
{
	sqlite3 *db;
	NX_EQ_I(SQLITE_OK, sqlite3_open(file, &db));
	return db;
}

static void run(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		nx_test_fail(__FILE__, __LINE__, "%s: %s", sql, sqlite3_errmsg(db));
}

static void make(const char *sql)
{
	if (!*dir) {
		const char *tmp = getenv("TMPDIR");
		snprintf(dir, sizeof(dir), "%s/nx_sqlite_XXXXXX",
			 tmp && strlen(tmp) < 40 ? tmp : P_tmpdir);
		NX_CHECK(mkdtemp(dir));
		snprintf(file, sizeof(file), "%s/test.db", dir);
		atexit(clean);
	}
	sqlite3 *db = writer();
	run(db, sql);
	sqlite3_close(db);
}

static const struct nx_driver *const d = &nx_driver_sqlite;

static enum nx_code try_open(struct session *s, const char *path)
{
	memset(s, 0, sizeof(*s));
	s->opts = nx_options_new();
	s->arena = nx_arena_new(256 << 20);
	NX_EQ_I(NX_OK, nx_options_set(s->opts, nx_option_find(d->options, NX_STR("path")),
				      nx_str(path), NULL));
	enum nx_code code = d->open(s->opts, &s->source, &s->err);
	if (!code)
		code = d->connect(s->source, nx_now() + 1000000000, &s->conn, &s->err);
	return code;
}

static void shut(struct session *s)
{
	d->disconnect(s->conn);
	d->close(s->source);
	nx_options_free(s->opts);
	nx_arena_free(s->arena);
}

static struct session open_file(void)
{
	struct session s;
	if (try_open(&s, file))
		nx_test_fail(__FILE__, __LINE__, "%s", s.err.message);
	return s;
}

static struct nx_query ask(struct session *s, const char *sql)
{
	return (struct nx_query){
		.sql = nx_str(sql),
		.limits = { .max_rows = UINT64_MAX, .batch_rows = 100, .batch_bytes = 1 << 20 },
		.deadline = nx_now() + INT64_C(20000000000),
		.arena = s->arena,
	};
}

/* Types and rows as NDJSON arrays, or "CODE sqlstate position". */
static const char *text_of(struct session *s, const struct nx_query *q)
{
	static struct nx_buf out;
	struct nx_stream *st;
	nx_buf_done(&out);
	nx_buf_init(&out, 64 << 20);
	enum nx_code code = d->query(s->conn, q, &st, &s->state, &s->err);
	if (!code) {
		const struct nx_schema *schema = d->schema(st);
		struct nx_encoding how = { .format = NX_FORMAT_NDJSON, .numbers_exact = true };
		struct nx_encoder *e = nx_encoder_new(schema, &how);
		for (uint32_t i = 0; i < schema->nfields; i++)
			nx_buf_printf(&out, "%s%s", i ? "," : "",
				      nx_type_name(schema->fields[i].type));
		nx_buf_putc(&out, '\n');
		for (;;) {
			struct nx_batch b;
			code = d->next(st, &b, &s->err);
			if (code || b.nrows == 0)
				break;
			NX_CHECK(b.nrows <= 100);
			NX_EQ_I(NX_OK, nx_encoder_rows(e, &b, 0, b.nrows, &out, &s->err));
		}
		nx_encoder_free(e);
		s->state = d->release(st);
	}
	if (code) {
		nx_buf_clear(&out);
		nx_buf_printf(&out, "%s %s %d", nx_code_name(code), s->err.sqlstate,
			      s->err.position);
	}
	nx_buf_putc(&out, '\0');
	return out.data;
}

static const char *text(struct session *s, const char *sql)
{
	struct nx_query q = ask(s, sql);
	return text_of(s, &q);
}

NX_TEST(values_keep_their_storage_class)
{
	make("CREATE TABLE t(i INTEGER, r REAL, s TEXT, b BLOB, n NUMERIC, x, d DATETIME);"
	     "INSERT INTO t VALUES (-9223372036854775808, 0.1, 'a\"数', x'00ff', 1, 1, "
	     "'2020-01-01');"
	     "INSERT INTO t VALUES (9223372036854775807, 2, '', x'', 1.5, 'text', '2020-01-02');"
	     "INSERT INTO t VALUES (NULL, NULL, NULL, NULL, NULL, x'0102', NULL);");
	struct session s = open_file();
	NX_EQ_S("int64,float64,string,binary,float64,json,string\n"
		"[-9223372036854775808,0.1,\"a\\\"数\",\"AP8=\",1,1,\"2020-01-01\"]\n"
		"[9223372036854775807,2,\"\",\"\",1.5,\"text\",\"2020-01-02\"]\n"
		"[null,null,null,null,null,{\"base64\":\"AQI=\"},null]\n",
		text(&s, "SELECT * FROM t"));
	NX_EQ_S("int64,null,float64\n[3,null,\"Infinity\"]\n",
		text(&s, "SELECT count(*), NULL, 9e999 FROM t"));
	NX_EQ_S("json\n[9223372036854775807]\n[0.5]\n",
		text(&s, "SELECT 9223372036854775807 UNION ALL SELECT 0.5"));
	NX_EQ_S("float64\n[1]\n[0.5]\n", text(&s, "SELECT 1 UNION ALL SELECT 0.5"));
	NX_EQ_S("int64,string,float64,binary,null\n",
		text(&s, "SELECT i, s, r, b, x FROM t WHERE 0"));
	NX_EQ_I(NX_CONN_CLEAN, s.state);
	const char *with_nul = text(&s, "SELECT 'a' || char(0) || 'b'");
	NX_EQ_S("string\n[\"a\\u0000b\"]\n", with_nul);
	shut(&s);
}

NX_TEST(a_late_change_of_class_is_an_error)
{
	make("CREATE TABLE big(x INTEGER);"
	     "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 3000) "
	     "INSERT INTO big SELECT i FROM c; INSERT INTO big VALUES ('late');");
	struct session s = open_file();
	NX_EQ_S("DATA_ERROR  -1", text(&s, "SELECT x FROM big"));
	NX_CHECK(strstr(s.err.message,
			"Column \"x\" held int64 in its first rows, row 3001 holds text"));
	NX_EQ_I(NX_CONN_CLEAN, s.state);
	const char *all = text(&s, "SELECT CAST(x AS TEXT) FROM big");
	NX_CHECK(strncmp(all, "string\n[\"1\"]\n", 13) == 0 &&
		 strstr(all, "[\"3000\"]\n[\"late\"]\n"));
	shut(&s);
}

NX_TEST(parameters)
{
	make("CREATE TABLE p(x); INSERT INTO p VALUES (1), ('1'), (0.5);");
	struct session s = open_file();
	struct nx_value v[] = { { NX_V_NUMBER, NX_STR("9007199254740993") },
				{ NX_V_NUMBER, NX_STR("-0.25") },
				{ NX_V_STRING, NX_STR("o'x") },
				{ NX_V_BOOL, NX_STR("true") },
				{ NX_V_NULL, { NULL, 0 } } };
	struct nx_query q = ask(&s, "SELECT ?, ?, ?, ?, ?, typeof(?1)");
	q.params = v;
	q.nparams = 5;
	NX_EQ_S("int64,float64,string,int64,null,string\n[9007199254740993,-0.25,\"o'x\",1,null,"
		"\"integer\"]\n",
		text_of(&s, &q));
	q.nparams = 4;
	NX_EQ_S("PARAMETER_COUNT  -1", text_of(&s, &q));
	q = ask(&s, "SELECT ?");
	q.params = v;
	q.nparams = 1;
	v[0].text = NX_STR("9223372036854775808");
	NX_EQ_S("PARAMETER_VALUE  -1", text_of(&s, &q));
	v[0].text = NX_STR("1e400");
	NX_EQ_S("PARAMETER_VALUE  -1", text_of(&s, &q));
	shut(&s);
}

NX_TEST(nothing_writes)
{
	make("CREATE TABLE w(x); INSERT INTO w VALUES (1); CREATE VIEW v AS SELECT x + 1 AS y FROM "
	     "w;"
	     "CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES ('two words');");
	struct session s = open_file();
	static const char *const refused[] = {
		"INSERT INTO w VALUES (2)",
		"UPDATE w SET x = 2",
		"DELETE FROM w RETURNING x",
		"WITH a AS (SELECT 1) DELETE FROM w",
		"CREATE TABLE z(x)",
		"CREATE TEMP TABLE z(x)",
		"DROP TABLE w",
		"VACUUM",
		"VACUUM INTO 'nx_copy.db'",
		"ATTACH 'nx_copy.db' AS a",
		"DETACH main",
		"PRAGMA query_only=0",
		"PRAGMA journal_mode=wal",
		"PRAGMA writable_schema=1",
		"PRAGMA user_version=1",
		"BEGIN",
		"COMMIT",
		"SAVEPOINT a",
		"REINDEX",
		"ANALYZE",
		"SELECT load_extension('x')",
		"SELECT sqlite_log(1, 'x')",
		"SELECT * FROM pragma_database_list",
		"SELECT * FROM pragma_journal_mode",
		"EXPLAIN DELETE FROM w",
		"UPDATE sqlite_master SET sql = ''",
		"DELETE FROM sqlite_master",
		"INSERT INTO sqlite_schema VALUES (1, 2, 3, 4, 5)",
	};
	for (size_t i = 0; i < NX_COUNTOF(refused); i++) {
		const char *got = text(&s, refused[i]);
		if (strncmp(got, "RO_", 3) != 0 && strncmp(got, "UNDEFINED_OBJECT", 16) != 0)
			nx_test_fail(__FILE__, __LINE__, "%s: %s (%s)", refused[i], got,
				     s.err.message);
		NX_EQ_I(NX_CONN_CLEAN, s.state);
	}
	NX_CHECK(access("nx_copy.db", F_OK) != 0);
	NX_EQ_S("int64,int64\n[1,2]\n", text(&s, "SELECT x, y FROM w, v"));
	NX_EQ_S("string\n[\"x\"]\n", text(&s, "SELECT name FROM pragma_table_info('w')"));
	NX_EQ_S("int64\n[1]\n[2]\n", text(&s, "SELECT value FROM json_each('[1,2]')"));
	NX_EQ_S("string\n[\"two words\"]\n", text(&s, "SELECT x FROM f WHERE f MATCH 'words'"));
	NX_EQ_S("RO_MULTI  -1", text(&s, "SELECT 1; SELECT 2"));
	NX_EQ_S("RO_MULTI  -1", text(&s, "SELECT 1; DELETE FROM w"));
	NX_EQ_S("RO_MULTI  -1", text(&s, "SELECT 1;; /* c */ ; -- d\nDROP TABLE w"));
	NX_EQ_S("int64\n[1]\n", text(&s, "SELECT 1; -- the end\n ; /* really */ "));
	NX_EQ_S("EMPTY_QUERY  -1", text(&s, " -- nothing"));
	shut(&s);
}

NX_TEST(errors)
{
	make("CREATE TABLE e(x);");
	struct session s = open_file();
	NX_EQ_S("UNDEFINED_OBJECT 42P01 -1", text(&s, "SELECT * FROM nope"));
	NX_EQ_S("UNDEFINED_OBJECT 42703 7", text(&s, "SELECT nope FROM e"));
	NX_EQ_S("UNDEFINED_OBJECT 42883 7", text(&s, "SELECT nope(1)"));
	NX_EQ_S("SQL_ERROR 42601 7", text(&s, "SELECT FROM e"));
	NX_EQ_S("SQL_ERROR 42601 -1", text(&s, "SELECT ("));
	NX_EQ_S("DATA_ERROR  -1", text(&s, "SELECT abs(-9223372036854775808)"));
	NX_EQ_S("DATA_ERROR  -1", text(&s, "SELECT json_extract('{', '$')"));
	shut(&s);
	struct session t;
	NX_EQ_I(NX_E_SOURCE_DOWN, try_open(&t, "/nonexistent/nx.db"));
	shut(&t);
	NX_EQ_I(NX_E_CONFIG_INVALID, try_open(&t, "/dev/null"));
	shut(&t);
	NX_EQ_I(NX_E_SOURCE_DOWN, try_open(&t, ":memory:"));
	shut(&t);
	FILE *f = fopen(file, "w");
	for (int i = 0; i < 1000; i++)
		fputs("this is no database\n", f);
	fclose(f);
	NX_EQ_I(NX_E_SOURCE_FAILED, try_open(&t, file));
	shut(&t);
}

#define ENDLESS "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT "

static void *cancel_later(void *arg)
{
	usleep(100000);
	d->cancel(arg);
	return NULL;
}

NX_TEST(cancel_and_deadline_end_a_query)
{
	make("CREATE TABLE c(x);");
	struct session s = open_file();
	pthread_t thread;
	int64_t t0 = nx_now();
	NX_EQ_I(0, pthread_create(&thread, NULL, cancel_later, s.conn));
	NX_EQ_S("QUERY_CANCELED  -1", text(&s, ENDLESS "count(*) FROM c"));
	pthread_join(thread, NULL);
	NX_CHECK(nx_now() - t0 < 1000000000);
	NX_EQ_I(NX_CONN_DIRTY, s.state);
	NX_EQ_I(NX_OK, d->reset(s.conn, nx_now() + 1000000000, &s.err));
	struct nx_query q = ask(&s, ENDLESS "count(*) FROM c");
	q.deadline = nx_now() + 100000000;
	NX_EQ_S("QUERY_TIMEOUT  -1", text_of(&s, &q));
	NX_CHECK(nx_now() - q.deadline < 500000000);
	/* a stream left early: the endless query is over, the connection good */
	q = ask(&s, ENDLESS "i FROM c");
	struct nx_stream *st;
	struct nx_batch b;
	NX_EQ_I(NX_OK, d->query(s.conn, &q, &st, &s.state, &s.err));
	NX_EQ_I(NX_OK, d->next(st, &b, &s.err));
	NX_EQ_I(100, b.nrows);
	NX_EQ_I(NX_CONN_CLEAN, d->release(st));
	NX_EQ_S("int64\n[1]\n", text(&s, "SELECT 1"));
	shut(&s);
}

NX_TEST(a_writer_is_waited_for_until_the_deadline)
{
	make("CREATE TABLE l(x); INSERT INTO l VALUES (1);");
	struct session s = open_file();
	sqlite3 *w = writer();
	run(w, "BEGIN EXCLUSIVE");
	struct nx_query q = ask(&s, "SELECT x FROM l");
	q.deadline = nx_now() + 150000000;
	NX_EQ_S("SOURCE_BUSY  -1", text_of(&s, &q));
	NX_CHECK(nx_now() - q.deadline < 500000000);
	run(w, "COMMIT");
	NX_EQ_S("int64\n[1]\n", text(&s, "SELECT x FROM l"));
	sqlite3_close(w);
	shut(&s);
}

NX_TEST(a_replaced_file_is_noticed)
{
	make("CREATE TABLE r(x);");
	struct session s = open_file();
	NX_CHECK(d->check(s.conn));
	unlink(file);
	NX_CHECK(!d->check(s.conn));
	shut(&s);
}

static const char *browse(struct session *s, bool columns, const char *table)
{
	struct nx_query q = ask(s, "");
	struct nx_stream *st;
	static char out[4096];
	size_t n = 0;
	enum nx_code code = columns ? d->columns(s->conn, &q, NX_STR("main"), nx_str(table), &st,
						 &s->state, &s->err)
				    : d->tables(s->conn, &q, nx_str(""), &st, &s->state, &s->err);
	NX_EQ_I(NX_OK, code);
	const struct nx_schema *schema = d->schema(st);
	struct nx_encoding how = { .format = NX_FORMAT_CSV };
	struct nx_encoder *e = nx_encoder_new(schema, &how);
	struct nx_buf b;
	struct nx_batch batch;
	nx_buf_init(&b, 1 << 20);
	NX_EQ_I(NX_OK, nx_encoder_head(e, &b, &s->err));
	do {
		NX_EQ_I(NX_OK, d->next(st, &batch, &s->err));
		NX_EQ_I(NX_OK, nx_encoder_rows(e, &batch, 0, batch.nrows, &b, &s->err));
	} while (batch.nrows > 0);
	NX_EQ_I(NX_CONN_CLEAN, d->release(st));
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] != '\r')
			out[n++] = b.data[i];
	out[n] = '\0';
	nx_encoder_free(e);
	nx_buf_done(&b);
	return out;
}

NX_TEST(catalog)
{
	make("CREATE TABLE a(id INTEGER PRIMARY KEY, n VARCHAR(10) NOT NULL DEFAULT '?', g AS (n "
	     "|| 'x'));"
	     "CREATE TABLE b(x TEXT, y, PRIMARY KEY(x, y)) WITHOUT ROWID; CREATE VIEW v AS SELECT "
	     "1 AS one;");
	struct session s = open_file();
	NX_EQ_S("schema,name,kind,comment,row_estimate\nmain,a,table,,\nmain,b,table,,\nmain,v,"
		"view,,\n",
		browse(&s, false, ""));
	NX_EQ_S("schema,table,name,position,type,nullable,key,comment,default\n"
		"main,a,id,1,INTEGER,true,PRI,,\nmain,a,n,2,VARCHAR(10),false,\"\",,'?'\n"
		"main,a,g,3,\"\",true,\"\",,\n",
		browse(&s, true, "a"));
	NX_EQ_S("schema,table,name,position,type,nullable,key,comment,default\n"
		"main,b,x,1,TEXT,false,PRI,,\nmain,b,y,2,\"\",false,PRI,,\n",
		browse(&s, true, "b"));
	NX_EQ_S("schema,table,name,position,type,nullable,key,comment,default\n",
		browse(&s, true, "none' OR 1"));
	shut(&s);
}
