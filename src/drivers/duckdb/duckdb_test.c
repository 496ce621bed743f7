/* The driver against the real engine: what a query gets, what it may not do, what is left behind. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nexus/buf.h"
#include "nexus/driver.h"
#include "test.h"

extern const struct nx_driver nx_driver_duckdb;
static const struct nx_driver *const d = &nx_driver_duckdb;

/* harness: a scratch folder, a source on its data/, one connection */

static char scratch[256], data[280];
static struct nx_options *opts;
static struct nx_source *src;
static struct nx_conn *con;
static struct nx_error err;

static void put_file(const char *name, const char *text)
{
	char path[600];
	snprintf(path, sizeof path, "%s/%s", scratch, name);
	FILE *f = fopen(path, "wb");
	NX_CHECK(f != NULL);
	NX_CHECK(fputs(text, f) >= 0);
	NX_CHECK(fclose(f) == 0);
}

static int run(const char *const *argv)
{
	pid_t pid = fork();
	if (pid == 0) {
		int fd = open("/dev/null", O_WRONLY);
		dup2(fd, 1);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	return status;
}

/* SQL of ours, outside of all fences, in the data folder. */
static void script(const char *sql)
{
	put_file("make.sql", sql);
	char file[300];
	snprintf(file, sizeof file, "%s/make.sql", scratch);
	const char *argv[] = { getenv("NEXUS_ENGINE"), "--script", file, data, NULL };
	NX_EQ_I(0, run(argv));
}

static void remove_scratch(void)
{
	const char *argv[] = { "/bin/rm", "-rf", scratch, NULL };
	run(argv);
}

static void set(const char *key, const char *value)
{
	const struct nx_option *o = nx_option_find(d->options, nx_str(key));
	NX_CHECK(o != NULL);
	NX_EQ_I(NX_OK, nx_options_set(opts, o, nx_str(value), &err));
}

static void prepare(void)
{
	if (!getenv("NEXUS_ENGINE"))
		NX_SKIP("NEXUS_ENGINE does not name the engine");
	snprintf(scratch, sizeof scratch, "%s/nexus-duckdb-test-XXXXXX", P_tmpdir);
	NX_CHECK(mkdtemp(scratch) != NULL);
	setenv("TMPDIR", scratch, 1);
	snprintf(data, sizeof data, "%s/data", scratch);
	NX_EQ_I(0, mkdir(data, 0700));
	opts = nx_options_new();
	set("path", data);
}

static void start(void)
{
	NX_EQ_I(NX_OK, nx_options_defaults(opts, d->options, &err));
	NX_EQ_I(NX_OK, d->open(opts, &src, &err));
	NX_EQ_I(NX_OK, d->connect(src, nx_now() + 10000000000ll, &con, &err));
}

/* Folders of the engine that are still there, and what is in them. */
static int leftovers(void)
{
	DIR *dir = opendir(scratch);
	int n = 0;
	for (struct dirent *e; (e = readdir(dir));)
		n += strncmp(e->d_name, "nexus-engine", 12) == 0;
	closedir(dir);
	return n;
}

static void stop(void)
{
	d->disconnect(con);
	d->close(src);
	d->fini();
	nx_options_free(opts);
	/* a worker that was just killed may take a moment to be gone */
	for (int i = 0; i < 200 && leftovers() > 0; i++)
		usleep(10000);
	NX_EQ_I(0, leftovers());
	NX_CHECK(waitpid(-1, NULL, WNOHANG) < 0); /* no child is left, dead or alive */
	remove_scratch();
}

struct ask {
	const char *sql;
	uint64_t skip, max; /* max 0: none */
	const struct nx_value *params;
	uint32_t nparams;
	int64_t ms; /* 0: a minute */
	enum nx_format format;
	bool objects;
	uint64_t *rows;
	bool *more;
};

/* Rows as text, or "CODE: message". The pieces are joined as an encoder would. */
static const char *rows_of(struct ask a)
{
	static struct nx_buf out; /* valid until the next call */
	nx_buf_done(&out);
	nx_buf_init(&out, 64 << 20);
	struct nx_arena *arena = nx_arena_new(64 << 20);
	struct nx_query q = { .sql = nx_str(a.sql),
			      .params = a.params,
			      .nparams = a.nparams,
			      .arena = arena,
			      .deadline = nx_now() + (a.ms ? a.ms : 60000) * 1000000,
			      .limits = { a.skip, a.max ? a.max : UINT64_MAX, 0, 0 },
			      .encoding = { .format = a.format, .ndjson_objects = a.objects } };
	struct nx_stream *st = NULL;
	enum nx_conn_state state;
	nx_error_clear(&err);
	enum nx_code code = d->query(con, &q, &st, &state, &err);
	uint64_t rows = 0;
	while (code == NX_OK) {
		struct nx_bytes b;
		code = d->next_bytes(st, &b, &err);
		if (code == NX_OK && b.data.len == 0) {
			if (a.more)
				*a.more = b.has_more;
			break;
		}
		if (code == NX_OK) {
			rows += b.rows;
			nx_buf_put_str(&out, b.data);
		}
	}
	if (code) {
		nx_buf_clear(&out);
		nx_buf_printf(&out, "%s: %s", nx_code_name(code), err.message);
	}
	if (a.rows)
		*a.rows = rows;
	nx_buf_putc(&out, '\0');
	if (st)
		d->release(st);
	nx_arena_free(arena);
	return out.data;
}

#define ROWS(...) rows_of((struct ask){ .sql = __VA_ARGS__ })

static void code_is(enum nx_code want, const char *sql)
{
	const char *got = ROWS(sql);
	const char *colon = strchr(got, ':');
	struct nx_str code = nx_strn(got, colon ? (size_t)(colon - got) : strlen(got));
	if (!nx_str_is(code, nx_code_name(want)))
		nx_test_fail(__FILE__, __LINE__, "%s for %.80s: %s", nx_code_name(want), sql, got);
	NX_CHECK(strstr(err.message, scratch) == NULL); /* no path of ours reaches a client */
}

/* types */

NX_TEST(numbers)
{
	prepare();
	start();
	NX_EQ_S("[-128,255,-32768,65535,-2147483648,4294967295]",
		ROWS("SELECT (-128)::TINYINT, 255::UTINYINT, (-32768)::SMALLINT, 65535::USMALLINT,"
		     "(-2147483648)::INTEGER, 4294967295::UINTEGER"));
	NX_EQ_S("[\"9223372036854775807\",\"18446744073709551615\",9007199254740991,null]",
		ROWS("SELECT 9223372036854775807, 18446744073709551615::UBIGINT, 9007199254740991, "
		     "NULL"));
	NX_EQ_S("[\"170141183460469231731687303715884105727\",\"-"
		"170141183460469231731687303715884105728\","
		"\"340282366920938463463374607431768211455\"]",
		ROWS("SELECT 170141183460469231731687303715884105727::HUGEINT,"
		     "(-170141183460469231731687303715884105727 - 1)::HUGEINT,"
		     "340282366920938463463374607431768211455::UHUGEINT"));
	NX_EQ_S("[\"123456789012345678901234567890123456789012345\",\"-5\",\"0\"]",
		ROWS("SELECT '123456789012345678901234567890123456789012345'::BIGNUM, "
		     "(-5)::BIGNUM, 0::BIGNUM"));
	NX_EQ_S("[\"1.5\",\"-0.05\",\"12345678901.25\",\"1234567890123456789012345678."
		"1234567890\"]",
		ROWS("SELECT 1.5::DECIMAL(4,1), -0.05::DECIMAL(9,2), 12345678901.25::DECIMAL(18,2),"
		     "1234567890123456789012345678.1234567890::DECIMAL(38,10)"));
	NX_EQ_S("[\"NaN\",\"Infinity\",\"-Infinity\",0.1,1e+300,0.1]",
		ROWS("SELECT 'nan'::DOUBLE, 'inf'::DOUBLE, '-inf'::FLOAT, 0.1::FLOAT, 1e300, "
		     "0.1::DOUBLE"));
	NX_EQ_S("[true,false,null]", ROWS("SELECT true, false, NULL::BOOLEAN"));
	stop();
}

NX_TEST(dates_and_times)
{
	prepare();
	start();
	NX_EQ_S("[\"-0043-03-15\",\"9999-12-31\",\"+12345-01-01\",\"infinity\",\"-infinity\"]",
		ROWS("SELECT DATE '0044-03-15 (BC)', DATE '9999-12-31', DATE '12345-01-01',"
		     "'infinity'::DATE, '-infinity'::DATE"));
	NX_EQ_S("[\"23:59:59.123456\",\"24:00:00\",\"01:02:03.123456789\"]",
		ROWS("SELECT TIME '23:59:59.123456', TIME '24:00:00', "
		     "'01:02:03.123456789'::TIME_NS"));
	NX_EQ_S("[\"12:00:00.5+05:30\",\"12:00:00-08:15:30\",\"01:02:03Z\"]",
		ROWS("SELECT '12:00:00.5+05:30'::TIMETZ, '12:00:00-08:15:30'::TIMETZ, "
		     "'01:02:03'::TIMETZ"));
	NX_EQ_S("[\"2024-02-29T12:34:56.789\",\"2024-02-29T12:34:56\",\"2024-02-29T12:34:56.789\","
		"\"2024-02-29T12:34:56.123456789\",\"2024-02-29T04:34:56Z\",\"infinity\",\"-"
		"infinity\"]",
		ROWS("SELECT TIMESTAMP '2024-02-29 12:34:56.789', TIMESTAMP_S '2024-02-29 "
		     "12:34:56',"
		     "TIMESTAMP_MS '2024-02-29 12:34:56.789', TIMESTAMP_NS '2024-02-29 "
		     "12:34:56.123456789',"
		     "TIMESTAMPTZ '2024-02-29 12:34:56+08', 'infinity'::TIMESTAMP, "
		     "'-infinity'::TIMESTAMPTZ"));
	NX_EQ_S("[\"P1Y2M3DT4H5M6.7S\",\"P-1D\",\"PT0S\"]",
		ROWS("SELECT INTERVAL '1 year 2 months 3 days 4 hours 5 minutes 6.7 seconds',"
		     "INTERVAL '-1 day', INTERVAL '0 day'"));
	stop();
}

NX_TEST(text_and_bytes)
{
	prepare();
	start();
	NX_EQ_S("[\"\",\"中文\\n\",\"a\\\"b\\\\c\",\"3q0A\",\"f81d4fae-7dec-11d0-a765-"
		"00a0c91e6bf6\","
		"\"10101\",\"1010101011\",{\"a\": [1, 2]}]",
		ROWS("SELECT '', '中文' || chr(10), 'a\"b\\c', '\\xDE\\xAD\\x00'::BLOB,"
		     "'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'::UUID, '10101'::BIT, "
		     "'1010101011'::BIT,"
		     "'{\"a\": [1, 2]}'::JSON"));
	NX_EQ_S("[\"red\",4],\n[\"a longer green name\",3],\n[null,3]",
		ROWS("SELECT e, count(*) FROM (SELECT (CASE i % 3 WHEN 0 THEN 'red' WHEN 1 THEN"
		     "'a longer green name' END)::ENUM('red','a longer green name') e FROM "
		     "range(10) t(i))"
		     " GROUP BY 1 ORDER BY 1"));
	NX_EQ_S("[false],\n[true],\n[null],\n[false],\n[true],\n[null],\n[false],\n[true],\n[null],"
		"\n[false]",
		ROWS("SELECT CASE i % 3 WHEN 2 THEN NULL ELSE i % 3 = 1 END FROM range(10) t(i)"));
	stop();
}

NX_TEST(nested)
{
	prepare();
	start();
	NX_EQ_S("[[\"a\",null,\"ccccccccccccccccccc\"],[[1,2],[],null,[3]],[],null,[1,2,3],[null]]",
		ROWS("SELECT ['a', NULL, 'ccccccccccccccccccc'], [[1,2],[],NULL,[3]], []::INT[],"
		     "NULL::INT[], array_value(1,2,3), [NULL]::INT[]"));
	NX_EQ_S("[{\"a\":1,\"b\":\"x\",\"c\":{\"d\":[1,2]}},{\"k\":1,\"l\":null},[[1,[1,2]]],null]",
		ROWS("SELECT {'a': 1, 'b': 'x', 'c': {'d': [1,2]}}, MAP {'k': 1, 'l': NULL},"
		     "MAP {1: [1,2]}, NULL::STRUCT(a INT)"));
	NX_EQ_S("[{\"tag\":\"s\",\"n\":null,\"s\":\"abc\"}],\n[{\"tag\":\"n\",\"n\":5,\"s\":null}]",
		ROWS("SELECT * FROM (VALUES (union_value(s := 'abc')::UNION(n INT, s VARCHAR)),"
		     "(5::UNION(n INT, s VARCHAR)))"));
	/* lists that lie in another order than their rows */
	NX_EQ_S("[null],\n[[5,6]],\n[[4,5]],\n[null],\n[[2,3]],\n[[1,2]],\n[null]",
		ROWS("SELECT l FROM (SELECT CASE WHEN i % 3 = 0 THEN NULL ELSE [i, i + 1] END l, i"
		     " FROM range(7) t(i)) ORDER BY i DESC"));
	NX_EQ_S("[[{\"v\":[\"x3\"]},null,{\"v\":[]}]],\n[null],\n[[{\"v\":[\"x1\"]},null,{\"v\":[]}"
		"]]",
		ROWS("SELECT l FROM (SELECT CASE WHEN i <> 2 THEN [{'v': ['x' || i]}, NULL, {'v': "
		     "[]}] END l, i"
		     " FROM range(1, 4) t(i)) ORDER BY i DESC"));
	code_is(NX_E_TYPE_UNSUPPORTED, "SELECT 1::VARIANT");
	stop();
}

/* The same lists whatever way they come: over many chunks, sorted, filtered. */
NX_TEST(nested_many)
{
	prepare();
	start();
	const char *sums[] = {
		"SELECT sum(len(l)) FROM (SELECT range(i % 5) l FROM range(10000) t(i))",
		"SELECT l FROM (SELECT range(i % 5) l, i FROM range(10000) t(i)) WHERE i % 7 = 3 "
		"ORDER BY i DESC",
	};
	NX_EQ_S("[\"20000\"]", ROWS(sums[0]));
	uint64_t rows = 0;
	const char *got = ROWS(sums[1], .rows = &rows);
	NX_EQ_I(1429, rows);
	/* row by row: i = 9999, 9992, ... */
	for (int i = 9999; i >= 3; i -= 7) {
		char want[64] = "[[", num[16];
		for (int k = 0; k < i % 5; k++) {
			snprintf(num, sizeof num, "%s%d", k ? "," : "", k);
			strncat(want, num, sizeof want - strlen(want) - 1);
		}
		strncat(want, "]]", sizeof want - strlen(want) - 1);
		got += strspn(got, ",\n");
		NX_EQ_STR(nx_str(want), nx_strn(got, strlen(want)));
		got += strlen(want);
	}
	stop();
}

/* parameters, limits, formats */

NX_TEST(parameters)
{
	prepare();
	start();
	struct nx_value v[] = {
		{ NX_V_NUMBER, NX_STR_INIT("42") },
		{ NX_V_STRING, NX_STR_INIT("it's") },
		{ NX_V_BOOL, NX_STR_INIT("true") },
		{ NX_V_NULL, NX_STR_INIT("") },
		{ NX_V_NUMBER, NX_STR_INIT("12345678901234567890.123456789") },
		{ NX_V_NUMBER, NX_STR_INIT("123456789012345678901234567890") },
		{ NX_V_NUMBER, NX_STR_INIT("-0.5") },
		{ NX_V_NUMBER, NX_STR_INIT("1.5e3") },
	};
	NX_EQ_S("[42,\"it's\",true,null,\"12345678901234567890.123456789\","
		"\"123456789012345678901234567890\","
		"\"-0.5\",1500]",
		ROWS("SELECT ?, ?, ?, ?, ?, ?, ?, ?::DOUBLE", .params = v, .nparams = 8));
	NX_EQ_S("[7]",
		ROWS("SELECT count(*) FROM range(50) t(i) WHERE i > ?", .params = v, .nparams = 1));
	ROWS("SELECT ?", .params = v, .nparams = 2);
	NX_EQ_I(NX_E_PARAMETER_COUNT, err.code);
	struct nx_value secret[] = { { NX_V_STRING, NX_STR_INIT("hunter2secret") } };
	ROWS("SELECT ?::INTEGER", .params = secret, .nparams = 1);
	NX_EQ_I(NX_E_DATA_ERROR, err.code);
	NX_CHECK(strstr(err.message, "hunter2") == NULL);
	stop();
}

NX_TEST(limits)
{
	prepare();
	start();
	bool more = false;
	uint64_t rows;
	NX_EQ_S("[3],\n[4]", ROWS("SELECT * FROM range(10)", .skip = 3, .max = 2, .more = &more));
	NX_CHECK(more);
	NX_EQ_S("[8],\n[9]", ROWS("SELECT * FROM range(10)", .skip = 8, .max = 2, .more = &more));
	NX_CHECK(!more);
	ROWS("SELECT * FROM range(10000000)", .skip = 5000, .max = 100000, .rows = &rows,
	     .more = &more);
	NX_EQ_I(100000, rows);
	NX_CHECK(more);
	NX_EQ_S("", ROWS("SELECT * FROM range(10)", .skip = 10, .more = &more));
	NX_CHECK(!more);
	NX_EQ_S("", ROWS("SELECT 1 WHERE false"));
	ROWS("SELECT * FROM range(5000000)", .rows = &rows);
	NX_EQ_I(5000000, rows);
	/* rows larger than a frame, and one row of 20 MB */
	ROWS("SELECT repeat('x', 300000) FROM range(40)", .rows = &rows);
	NX_EQ_I(40, rows);
	NX_EQ_I(20000004, strlen(ROWS("SELECT repeat('x', 20000000)")));
	NX_EQ_S("1,x\r\n2,\r\n", ROWS("VALUES (1, 'x'), (2, NULL)", .format = NX_FORMAT_CSV));
	stop();
}

/* Arrow and NDJSON of every layout the engine has: encode's own tests say what the bytes mean. */
NX_TEST(other_formats)
{
	prepare();
	start();
	static const char sql[] = "SELECT i, i::UTINYINT a, i % 2 = 0 b, i::HUGEINT c, i::UHUGEINT "
				  "d, i::DECIMAL(4,1) e,"
				  " i::DECIMAL(38,5) f, DATE '2020-01-01' + i::INT g, TIME "
				  "'01:02:03' h, TIMETZ '01:02:03+01' j,"
				  " TIMESTAMP_S '2020-01-01' k, TIMESTAMPTZ '2020-01-01' l, "
				  "INTERVAL 1 DAY m, 's' || i n,"
				  " uuid() o, '1'::BIT p, '{}'::JSON q, 'x'::BLOB r, [i] s, {'a': "
				  "i} t, MAP {i: 'x'} u,"
				  " union_value(k := i) v, 'a'::ENUM('a') w, i::FLOAT x, i::BIGNUM "
				  "y, array_value(i, i) z"
				  " FROM range(100) t(i)";
	uint64_t rows;
	for (int f = 0; f < NX_FORMAT_COUNT; f++) {
		ROWS(sql, .format = (enum nx_format)f, .rows = &rows);
		NX_EQ_S("", err.message);
		NX_EQ_I(100, rows);
	}
	NX_EQ_S("{\"a\":1,\"b\":\"x\"}\n",
		ROWS("SELECT 1 a, 'x' b", .format = NX_FORMAT_NDJSON, .objects = true));
	stop();
}

/* tables */

static void make_tables(void)
{
	script("CREATE TABLE t AS SELECT i AS id, 'row ' || i AS name FROM range(100) t(i);"
	       "COPY t TO 'orders.parquet';"
	       "COPY (SELECT id % 3 AS part, * FROM t) TO 'events' (FORMAT parquet, PARTITION_BY "
	       "(part));"
	       "COPY (SELECT * FROM t WHERE id < 5) TO 'semicolon.csv' (DELIMITER ';');"
	       "COPY (SELECT {'a': id} AS o FROM t WHERE id < 3) TO 'lines.ndjson' (FORMAT json);");
	put_file("data/plain.csv", "1,2\n3,4\n");
	put_file("data/it's.csv", "a,b\n1,2\n");
	put_file("data/中文.csv", "城市,n\n北京,1\n");
}

NX_TEST(tables)
{
	prepare();
	make_tables();
	start();
	NX_EQ_S("[100]", ROWS("SELECT count(*) FROM orders"));
	NX_EQ_S("[100]", ROWS("SELECT count(*) FROM ORDERS"));
	NX_EQ_S("[100]", ROWS("SELECT count(*) FROM main.orders"));
	NX_EQ_S("[100]", ROWS("FROM 'orders.parquet' SELECT count(*)"));
	NX_EQ_S("[33]", ROWS("SELECT count(*) FROM events WHERE part = 1"));
	NX_EQ_S("[34]", ROWS("SELECT count(*) FROM 'events/part=0/*.parquet'"));
	NX_EQ_S("[\"row 4\"]", ROWS("SELECT name FROM semicolon WHERE id = 4"));
	NX_EQ_S("[{\"a\":0}]", ROWS("SELECT * FROM lines LIMIT 1"));
	NX_EQ_S("[\"2\"]", ROWS("SELECT b::VARCHAR FROM \"it's\""));
	NX_EQ_S("[\"北京\",1]", ROWS("SELECT * FROM 中文"));
	NX_EQ_S("[9900]", ROWS("SELECT count(*) FROM orders a, orders b WHERE a.id <> b.id"));
	NX_EQ_S("[1]", ROWS("WITH orders AS (SELECT 1) SELECT * FROM orders"));
	struct nx_value v[] = { { NX_V_NUMBER, NX_STR_INIT("7") } };
	NX_EQ_S("[\"row 7\"]",
		ROWS("SELECT o.name FROM orders o JOIN events e USING (id) WHERE id = ?",
		     .params = v, .nparams = 1));
	code_is(NX_E_UNDEFINED_OBJECT, "SELECT * FROM nosuch");
	NX_EQ_S("42P01", err.sqlstate);
	NX_EQ_I(14, err.position);
	code_is(NX_E_UNDEFINED_OBJECT, "SELECT * FROM other.orders");
	code_is(NX_E_UNDEFINED_OBJECT, "SELECT * FROM 'nosuch.parquet'");
	code_is(NX_E_UNDEFINED_OBJECT, "SELECT nosuch FROM orders");
	code_is(NX_E_UNDEFINED_OBJECT, "SELECT nosuch(id) FROM orders");
	stop();
}

NX_TEST(csv_options)
{
	prepare();
	make_tables();
	set("delimiter", ";");
	set("headerRow", "false");
	start();
	NX_EQ_S("[\"id\",\"name\"]", ROWS("SELECT * FROM semicolon LIMIT 1"));
	NX_EQ_S("[\"1,2\"]", ROWS("SELECT * FROM plain LIMIT 1"));
	stop();
}

NX_TEST(files_table)
{
	prepare();
	make_tables();
	set("fileFormat", "parquet");
	start();
	NX_EQ_S("[200]", ROWS("SELECT count(*) FROM files"));
	NX_EQ_S("[200]", ROWS("SELECT count(*) FROM s3object"));
	code_is(NX_E_UNDEFINED_OBJECT, "SELECT * FROM semicolon");
	stop();
}

static const char *catalog(bool columns, const char *table)
{
	static struct nx_buf out;
	nx_buf_done(&out);
	nx_buf_init(&out, 1 << 20);
	struct nx_arena *arena = nx_arena_new(64 << 20);
	struct nx_query q = { .arena = arena,
			      .deadline = nx_now() + 60000000000ll,
			      .limits = { .max_rows = UINT64_MAX },
			      .encoding = { .format = NX_FORMAT_CSV } };
	struct nx_stream *st;
	enum nx_conn_state state;
	NX_EQ_I(NX_OK, columns ? d->columns(con, &q, NX_STR(""), nx_str(table), &st, &state, &err)
			       : d->tables(con, &q, NX_STR(""), &st, &state, &err));
	struct nx_bytes b = { .data = NX_STR("x") };
	while (b.data.len) {
		NX_EQ_I(NX_OK, d->next_bytes(st, &b, &err));
		nx_buf_put_str(&out, b.data);
	}
	d->release(st);
	nx_arena_free(arena);
	nx_buf_putc(&out, '\0');
	return out.data;
}

NX_TEST(catalog_streams)
{
	prepare();
	make_tables();
	start();
	NX_EQ_S("main,events,table,parquet files in a folder,\r\n"
		"main,it's,table,csv file,\r\n"
		"main,lines,table,json file,\r\n"
		"main,orders,table,parquet file,\r\n"
		"main,plain,table,csv file,\r\n"
		"main,semicolon,table,csv file,\r\n"
		"main,中文,table,csv file,\r\n",
		catalog(false, ""));
	NX_EQ_S("main,orders,id,1,BIGINT,true,,\r\nmain,orders,name,2,VARCHAR,true,,\r\n",
		catalog(true, "orders"));
	put_file("data/broken.parquet", "PAR1 this is not Parquet PAR1");
	const char *all = catalog(true, "");
	NX_CHECK(strstr(all, "main,events,part,3,BIGINT,true,,\r\n") != NULL);
	NX_CHECK(strstr(all, "main,lines,o,1,STRUCT(a BIGINT),true,,\r\n") != NULL);
	NX_CHECK(strstr(all, "broken") == NULL);
	code_is(NX_E_DATA_ERROR, "SELECT * FROM broken");
	stop();
}

NX_TEST(empty_catalog)
{
	prepare();
	start();
	NX_EQ_S("", catalog(false, ""));
	NX_EQ_S("", catalog(true, ""));
	stop();
}

/* the gate's layers B to D */

NX_TEST(only_selects)
{
	prepare();
	make_tables();
	start();
	static const char *const refused[] = {
		"CREATE TABLE x (i INT)",
		"CREATE TEMP TABLE x AS SELECT 1",
		"SET threads = 8",
		"COPY (SELECT 1) TO 'out.csv'",
		"EXPORT DATABASE 'x'",
		"ATTACH ':memory:' AS y",
		"INSTALL httpfs",
		"PRAGMA threads=4",
		"CHECKPOINT",
		"BEGIN",
		"USE main",
		"RESET threads",
		"EXPLAIN ANALYZE SELECT 1",
		"EXPLAIN INSERT INTO t VALUES (1)",
		"EXPLAIN (ANALYZE) SELECT 1",
		"EXPLAIN CREATE TABLE x (i INT)",
		"EXPLAIN COPY (SELECT 1) TO 'x.csv'",
		"PREPARE p AS SELECT 1",
		"SET VARIABLE a = 1",
		"CREATE VIEW v AS SELECT 1",
		"DROP VIEW orders",
		"CALL pragma_version()",
		"VACUUM",
		"CREATE MACRO m() AS 1",
		"LOAD parquet",
		"DETACH memory",
	};
	for (size_t i = 0; i < NX_COUNTOF(refused); i++) {
		const char *got = ROWS(refused[i]);
		if (strncmp(got, "RO_", 3) != 0 && strncmp(got, "SOURCE_PERMISSION", 17) != 0 &&
		    strncmp(got, "UNDEFINED_OBJECT", 16) != 0 && strncmp(got, "SQL_", 4) != 0)
			nx_test_fail(__FILE__, __LINE__, "%s: %.200s", refused[i], got);
	}
	code_is(NX_E_RO_MULTI, "SELECT 1; SELECT 2");
	code_is(NX_E_RO_MULTI, "SELECT 1; DROP TABLE t");
	code_is(NX_E_EMPTY_QUERY, "-- nothing");
	code_is(NX_E_SQL_PARSE, "SELEC 1");
	NX_EQ_I(0, err.position);
	NX_EQ_S("[1]", ROWS("SELECT 1;"));
	NX_CHECK(strstr(ROWS("EXPLAIN SELECT count(*) FROM orders"), "physical_plan") != NULL);
	stop();
}

NX_TEST(only_below_the_root)
{
	prepare();
	make_tables();
	put_file("secret.csv", "a,b\nthe secret,1\n");
	char from[300], to[300];
	snprintf(from, sizeof from, "%s/secret.csv", scratch);
	snprintf(to, sizeof to, "%s/link.csv", data);
	NX_EQ_I(0, symlink(from, to));
	snprintf(to, sizeof to, "%s/folder", data);
	NX_EQ_I(0, symlink(scratch, to));
	snprintf(to, sizeof to, "%s/dir", data);
	NX_EQ_I(0, mkdir(to, 0700));
	snprintf(to, sizeof to, "%s/dir/inner.csv", data);
	NX_EQ_I(0, symlink(from, to));
	start();
	code_is(NX_E_SOURCE_PERMISSION, "SELECT * FROM '../secret.csv'");
	code_is(NX_E_SOURCE_PERMISSION, "SELECT * FROM 'events/../../secret.csv'");
	code_is(NX_E_SOURCE_PERMISSION, "SELECT * FROM '/etc/passwd'");
	code_is(NX_E_SOURCE_PERMISSION, "SELECT * FROM read_text('/etc/passwd')");
	code_is(NX_E_SOURCE_PERMISSION, "SELECT * FROM read_blob('/proc/self/environ')");
	code_is(NX_E_SOURCE_PERMISSION, "SELECT * FROM glob('/**')");
	code_is(NX_E_SOURCE_PERMISSION, "SELECT * FROM 'https://example.com/x.parquet'");
	/* symbolic links that lead outside, by name, in a folder, through a pattern */
	static const char *const links[] = {
		"SELECT * FROM link",
		"SELECT * FROM 'link.csv'",
		"SELECT * FROM dir",
		"SELECT * FROM 'dir/*.csv'",
		"SELECT * FROM 'folder/secret.csv'",
		"SELECT * FROM folder",
	};
	for (size_t i = 0; i < NX_COUNTOF(links); i++) {
		const char *got = ROWS(links[i]);
		NX_CHECK(err.code != NX_OK);
		NX_CHECK(strstr(got, "the secret") == NULL);
		NX_CHECK(strstr(got, scratch) == NULL);
	}
	char sql[400];
	snprintf(sql, sizeof sql, "SELECT * FROM read_csv('%s/link.csv')", data);
	NX_CHECK(strstr(ROWS(sql), "the secret") == NULL);
	/* and nothing can be written, not even below the root */
	snprintf(sql, sizeof sql,
		 "SELECT * FROM enable_logging(storage='file', storage_path='%s/log')", data);
	ROWS(sql);
	snprintf(to, sizeof to, "%s/log", data);
	NX_CHECK(access(to, F_OK) != 0);
	NX_EQ_S("[100]", ROWS("SELECT count(*) FROM orders"));
	stop();
}

/* attacks: each costs one query */

NX_TEST_FOR(attacks, 120)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	NX_SKIP("the sanitizer's shadow does not fit below an address space limit");
#endif
	prepare();
	script("COPY (SELECT 1 AS a) TO 'one.parquet';"
	       "COPY (SELECT '{\"a\":' || repeat('[', 200000) || repeat(']', 200000) || '}' AS s) "
	       "TO 'deep.json'"
	       " (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '|');");
	start();
	static const char *const sql[] = {
		"SELECT count(*) FROM (SELECT unnest(range(1000000000)))",
		"SELECT list_sum(range(1000000000))",
		"SELECT length(repeat('x', 2000000000) || repeat('y', 2000000000))",
		"SELECT * FROM deep",
		"SELECT json_structure(repeat('[', 5000000) || repeat(']', 5000000))",
		"SELECT array_agg(i) FROM range(1000000000) t(i)",
		"SELECT string_agg(repeat('z', 1000)) FROM range(10000000)",
	};
	for (size_t i = 0; i < NX_COUNTOF(sql); i++) {
		ROWS(sql[i], .ms = 30000);
		if (err.code != NX_E_ENGINE_MEMORY && err.code != NX_E_ENGINE_CRASHED &&
		    err.code != NX_E_DATA_ERROR && err.code != NX_E_QUERY_TIMEOUT)
			nx_test_fail(__FILE__, __LINE__, "%s: %s", sql[i], err.message);
		NX_EQ_S("[1]", ROWS("SELECT * FROM one"));
	}
	/* a SELECT that bricks an instance: only its own */
	ROWS("SELECT * FROM enable_logging(storage='file', storage_path='/x')");
	NX_EQ_S("[1]", ROWS("SELECT * FROM one"));
	/* deep SQL is refused, not crashed on */
	static char deep[100009];
	memcpy(deep, "SELECT ", 7);
	memset(deep + 7, '(', 50000);
	deep[50007] = '1';
	memset(deep + 50008, ')', 50000);
	deep[100008] = '\0';
	ROWS(deep);
	NX_CHECK(err.code != NX_OK);
	NX_EQ_S("[1]", ROWS("SELECT * FROM one"));
	stop();
}

NX_TEST(spills_and_cleans)
{
	prepare();
	set("memoryLimit", "64");
	start();
	uint64_t rows;
	ROWS("SELECT i, hash(i)::VARCHAR AS h FROM range(4000000) t(i) ORDER BY hash(i)", .max = 10,
	     .rows = &rows);
	NX_EQ_I(10, rows);
	stop();
}

NX_TEST(spill_limit)
{
	prepare();
	set("memoryLimit", "64");
	set("spillLimit", "1");
	start();
	code_is(NX_E_ENGINE_MEMORY,
		"SELECT i, hash(i)::VARCHAR AS h FROM range(4000000) t(i) ORDER BY hash(i)");
	NX_EQ_S("[1]", ROWS("SELECT 1"));
	stop();
}

/* time and death */

#define LONG_SQL \
	"SELECT count(*) FROM range(100000000) a, range(100000) b WHERE a.range + b.range = 7"

NX_TEST(deadline)
{
	prepare();
	start();
	int64_t t = nx_now();
	ROWS(LONG_SQL, .ms = 200);
	NX_EQ_I(NX_E_QUERY_TIMEOUT, err.code);
	NX_CHECK(nx_now() - t < 2000000000ll);
	NX_EQ_S("[1]", ROWS("SELECT 1"));
	stop();
}

static void *cancel_soon(void *arg)
{
	usleep(100000);
	int64_t *at = arg;
	*at = nx_now();
	d->cancel(con);
	d->cancel(con);
	return NULL;
}

NX_TEST(cancel)
{
	prepare();
	start();
	pthread_t t;
	int64_t at = 0;
	pthread_create(&t, NULL, cancel_soon, &at);
	ROWS(LONG_SQL);
	int64_t took = nx_now() - at;
	pthread_join(t, NULL);
	NX_EQ_I(NX_E_QUERY_CANCELED, err.code);
	NX_CHECK(took < 500000000ll); /* a few ms; the machine may be busy */
	NX_EQ_S("[1]", ROWS("SELECT 1"));
	d->cancel(con); /* nothing runs: nothing happens */
	NX_EQ_S("[1]", ROWS("SELECT 1"));
	stop();
}

NX_TEST(released_early)
{
	prepare();
	start();
	for (int i = 0; i < 5; i++) {
		struct nx_arena *a = nx_arena_new(1 << 20);
		struct nx_query q = { .sql = NX_STR("SELECT * FROM range(1000000000)"),
				      .arena = a,
				      .deadline = nx_now() + 60000000000ll,
				      .limits = { .max_rows = UINT64_MAX } };
		struct nx_stream *st;
		enum nx_conn_state state;
		struct nx_bytes b;
		NX_EQ_I(NX_OK, d->query(con, &q, &st, &state, &err));
		NX_EQ_I(NX_OK, d->next_bytes(st, &b, &err));
		NX_CHECK(b.rows > 0);
		NX_EQ_I(NX_CONN_CLEAN, d->release(st));
		nx_arena_free(a);
	}
	NX_EQ_S("[1]", ROWS("SELECT 1"));
	stop();
}

NX_TEST(error_after_rows)
{
	prepare();
	start();
	ROWS("SELECT CASE WHEN i = 3000000 THEN error('late') ELSE i END FROM range(4000000) t(i)");
	/* DuckDB may report the other thread's interruption in place of the error: a failure either
	 * way, seldom without its text. */
	if (err.code != NX_E_SOURCE_FAILED) {
		NX_EQ_I(NX_E_DATA_ERROR, err.code);
		NX_EQ_S("late", err.message);
	}
	stop();
}

/* The zygote's death is noticed and mended. */
NX_TEST(zygote_killed)
{
	prepare();
	start();
	NX_EQ_S("[1]", ROWS("SELECT 1"));
	char path[64], line[64] = "";
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)getpid(), (int)getpid());
	FILE *f = fopen(path, "r");
	if (!f)
		NX_SKIP("/proc does not list children here");
	NX_CHECK(fgets(line, sizeof line, f) != NULL);
	fclose(f);
	NX_EQ_I(0, kill((pid_t)strtol(line, NULL, 10), SIGKILL));
	usleep(50000);
	NX_EQ_S("[1]", ROWS("SELECT 1"));
	d->disconnect(con);
	d->close(src);
	d->fini();
	nx_options_free(opts);
	remove_scratch();
}

static void *one_thread(void *arg)
{
	long *bad = arg;
	struct nx_conn *c;
	struct nx_error e;
	if (d->connect(src, nx_now() + 10000000000ll, &c, &e)) {
		*bad += 1;
		return NULL;
	}
	for (int i = 0; i < 10; i++) {
		struct nx_arena *a = nx_arena_new(1 << 20);
		struct nx_query q = { .sql = NX_STR("SELECT * FROM range(10000)"),
				      .arena = a,
				      .deadline = nx_now() + 60000000000ll,
				      .limits = { .max_rows = UINT64_MAX } };
		struct nx_stream *st;
		enum nx_conn_state state;
		uint64_t rows = 0;
		struct nx_bytes b = { .data = { "", 1 } };
		enum nx_code code = d->query(c, &q, &st, &state, &e);
		while (code == NX_OK && b.data.len) {
			code = d->next_bytes(st, &b, &e);
			rows += b.rows;
		}
		if (code == NX_OK)
			d->release(st);
		*bad += code != NX_OK || rows != 10000;
		nx_arena_free(a);
	}
	d->disconnect(c);
	return NULL;
}

NX_TEST(many_at_once)
{
	prepare();
	start();
	pthread_t t[8];
	long bad[8] = { 0 };
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, one_thread, &bad[i]);
	for (int i = 0; i < 8; i++) {
		pthread_join(t[i], NULL);
		NX_EQ_I(0, bad[i]);
	}
	stop();
}

NX_TEST(bad_sources)
{
	prepare();
	start();
	struct nx_options *o = nx_options_new();
	struct nx_source *s;
	struct nx_conn *c;
	const struct nx_option *path = nx_option_find(d->options, NX_STR("path"));
	NX_EQ_I(NX_OK, nx_options_set(o, path, NX_STR("/nonexistent/folder"), &err));
	NX_EQ_I(NX_OK, nx_options_defaults(o, d->options, &err));
	NX_EQ_I(NX_OK, d->open(o, &s, &err));
	NX_EQ_I(NX_E_SOURCE_DOWN, d->connect(s, nx_now() + 1000000000ll, &c, &err));
	NX_CHECK(strstr(err.message, "nonexistent") == NULL);
	d->close(s);
	NX_EQ_I(NX_OK, nx_options_set(o, path, NX_STR("/"), &err));
	NX_EQ_I(NX_OK, d->open(o, &s, &err));
	NX_EQ_I(NX_E_CONFIG_INVALID, d->connect(s, nx_now() + 1000000000ll, &c, &err));
	d->close(s);
	nx_options_free(o);
	/* descriptors do not pile up */
	int before = open("/dev/null", O_RDONLY);
	close(before);
	for (int i = 0; i < 20; i++)
		ROWS("SELECT 1");
	int after = open("/dev/null", O_RDONLY);
	close(after);
	NX_CHECK(after <= before);
	stop();
}
