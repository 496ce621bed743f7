#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *env(const char *name)
{
	const char *v = getenv(name);
	if (!v)
		NX_SKIP("no server: run by tests/servers/postgres.sh run");
	return v;
}

int64_t in_seconds(int s)
{
	return nx_now() + (int64_t)s * SEC;
}

static void set(struct nx_options *o, const char *key, const char *value)
{
	struct nx_error err;
	const struct nx_option *spec = nx_option_find(nx_driver_postgresql.options, nx_str(key));
	NX_CHECK(spec != NULL);
	if (nx_options_set(o, spec, nx_str(value), &err))
		nx_test_fail(__FILE__, __LINE__, "option %s: %s", key, err.message);
}

struct nx_options *options_with(const char *const *kv)
{
	struct nx_error err;
	struct nx_options *o = nx_options_new();
	NX_CHECK(o != NULL);
	set(o, "host", env("NX_PG_HOST"));
	set(o, "port", env("NX_PG_PORT"));
	set(o, "database", "postgres");
	set(o, "username", env("NX_PG_USER"));
	set(o, "password", env("NX_PG_PASSWORD"));
	for (; kv && kv[0]; kv += 2)
		set(o, kv[0], kv[1]);
	NX_EQ_I(NX_OK, nx_options_defaults(o, nx_driver_postgresql.options, &err));
	return o;
}

enum nx_code session_try(struct session *s, const char *const *kv, int64_t deadline,
			 struct nx_error *err)
{
	*s = (struct session){ .opts = options_with(kv) };
	NX_EQ_I(NX_OK, pg_init(err));
	enum nx_code code = pg_open(s->opts, &s->source, err);
	if (!code)
		code = pg_connect(s->source, deadline, &s->conn, err);
	if (code)
		session_close(s);
	return code;
}

void session_open(struct session *s, const char *const *kv)
{
	struct nx_error err;
	if (session_try(s, kv, in_seconds(10), &err))
		nx_test_fail(__FILE__, __LINE__, "connect: %s (%s)", err.message, err.detail);
}

void session_close(struct session *s)
{
	pg_disconnect(s->conn);
	pg_close(s->source);
	nx_options_free(s->opts);
	*s = (struct session){ 0 };
}

void session_open_reader(struct session *s)
{
	admin("DO $$ BEGIN CREATE ROLE nx_reader LOGIN PASSWORD 'read only' IN ROLE "
	      "pg_read_all_data;"
	      " EXCEPTION WHEN duplicate_object THEN NULL; END $$");
	session_open(s, (const char *[]){ "username", "nx_reader", "password", "read only", NULL });
}

const char *admin(const char *fmt, ...)
{
	static PGconn *pg;
	static char value[4096];
	char sql[8192];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(sql, sizeof(sql), fmt, ap);
	va_end(ap);
	NX_CHECK(n > 0 && (size_t)n < sizeof(sql));
	if (!pg) {
		const char *const k[] = { "host", "port", "user", "password", "dbname", NULL };
		const char *const v[] = { env("NX_PG_HOST"), env("NX_PG_PORT"),
					  env("NX_PG_USER"), env("NX_PG_PASSWORD"),
					  "postgres",	     NULL };
		pg = PQconnectdbParams(k, v, 0);
	}
	PGresult *r = PQexec(pg, sql);
	ExecStatusType st = PQresultStatus(r);
	if (st != PGRES_TUPLES_OK && st != PGRES_COMMAND_OK)
		nx_test_fail(__FILE__, __LINE__, "%s: %s", sql, PQerrorMessage(pg));
	value[0] = '\0';
	if (PQntuples(r) > 0)
		(void)!snprintf(value, sizeof(value), "%s", PQgetvalue(r, 0, 0));
	PQclear(r);
	return value;
}

struct nx_query query_of(const char *sql, bool pure)
{
	return (struct nx_query){
		.sql = nx_str(sql),
		.limits = { .max_rows = UINT64_MAX, .batch_rows = 4096, .batch_bytes = 1 << 20 },
		.pure = pure,
		.deadline = in_seconds(60),
	};
}

static void put_value(struct nx_buf *b, const struct nx_field *f, const struct nx_column *c,
		      uint32_t row)
{
	if (!nx_column_valid(c, row)) {
		nx_buf_puts(b, "NULL");
	} else if (f->layout == NX_L_BITS) {
		const uint8_t *bits = c->data;
		nx_buf_puts(b, bits[row >> 3] >> (row & 7) & 1 ? "true" : "false");
	} else if (f->type == NX_T_BINARY) {
		struct nx_str s = nx_column_text(c, row);
		for (size_t i = 0; i < s.len; i++)
			nx_buf_printf(b, "%02x", (unsigned char)s.ptr[i]);
	} else {
		nx_buf_put_str(b, nx_column_text(c, row));
	}
}

static void put_batch(struct result *r, const struct nx_schema *sc, const struct nx_batch *b)
{
	NX_EQ_I(sc->nfields, b->ncols);
	for (uint32_t i = 0; i < b->nrows && r->rows.len < 1 << 20; i++) {
		for (uint32_t k = 0; k < b->ncols; k++) {
			if (k > 0)
				nx_buf_puts(&r->rows, " | ");
			put_value(&r->rows, &sc->fields[k], &b->cols[k], i);
		}
		nx_buf_putc(&r->rows, '\n');
	}
	r->nrows += b->nrows;
}

struct result run_query(struct session *s, const struct nx_query *q)
{
	struct result r = { 0 };
	struct nx_stream *st;
	nx_buf_init(&r.columns, 1 << 20);
	nx_buf_init(&r.rows, 4 << 20);
	r.code = pg_query(s->conn, q, &st, &r.state, &r.err);
	if (!r.code) {
		const struct nx_schema *sc = pg_schema(st);
		for (uint32_t i = 0; i < sc->nfields; i++)
			nx_buf_printf(&r.columns, NX_STR_FMT " %s " NX_STR_FMT "\n",
				      NX_STR_ARG(sc->fields[i].name),
				      nx_type_name(sc->fields[i].type),
				      NX_STR_ARG(sc->fields[i].native));
		struct nx_batch b;
		do {
			r.code = pg_next(st, &b, &r.err);
			if (!r.code)
				put_batch(&r, sc, &b);
		} while (!r.code && b.nrows > 0);
		r.state = pg_release(st);
	}
	nx_buf_putc(&r.columns, '\0');
	nx_buf_putc(&r.rows, '\0');
	NX_CHECK(!r.columns.failed && !r.rows.failed);
	return r;
}

struct result run_sql(struct session *s, const char *sql, bool pure)
{
	struct nx_query q = query_of(sql, pure);
	return run_query(s, &q);
}

void result_done(struct result *r)
{
	nx_buf_done(&r->columns);
	nx_buf_done(&r->rows);
}

const char *one(struct session *s, const char *sql)
{
	static char value[8][512];
	static unsigned turn;
	char *v = value[turn++ % 8];
	struct result r = run_sql(s, sql, true);
	if (r.code)
		nx_test_fail(__FILE__, __LINE__, "%s: %s", sql, r.err.message);
	(void)!snprintf(v, 512, "%s", r.rows.data);
	v[strcspn(v, "\n")] = '\0';
	result_done(&r);
	return v;
}
