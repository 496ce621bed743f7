#include <stdlib.h>

#include "sqlite_int.h"

enum {
	LOOK_ROWS = 1024, /* read before types are announced */
	LOOK_CELLS = 64 * 1024,
	LOOK_BYTES = 1 << 20, /* soft */
	BYTES_MAX = 1 << 30,
	BATCH_MAX = 4096,
};

/* Layers C and D. On success *ret is a compiled SELECT. */
static enum nx_code compile(struct lite_conn *c, struct nx_str sql, sqlite3_stmt **ret,
			    struct nx_error *err)
{
	sqlite3_stmt *stmt = NULL, *more = NULL;
	const char *tail = NULL, *end = sql.ptr + sql.len;
	if (sql.len > INT32_MAX - 1)
		return nx_fail(err, NX_E_SQL_TOO_LONG, "The SQL is too long.");
	int rc = sqlite3_prepare_v3(c->db, sql.ptr, (int)sql.len, 0, &stmt, &tail);
	if (rc != SQLITE_OK)
		return lite_error(c, rc, true, err);
	if (!stmt)
		return nx_fail(err, NX_E_EMPTY_QUERY, "The SQL holds no statement.");
	enum nx_code code = NX_OK;
	while (!code && tail && tail < end) { /* only comments and semicolons may follow */
		const char *from = tail;
		rc = sqlite3_prepare_v3(c->db, from, (int)(end - from), 0, &more, &tail);
		if (rc != SQLITE_OK || more)
			code = nx_fail(err, NX_E_RO_MULTI, "More than one statement.");
		sqlite3_finalize(more);
		more = NULL;
		if (tail == from)
			break;
	}
	if (!code && !sqlite3_stmt_readonly(stmt))
		code = nx_fail(err, NX_E_RO_SERVER, "SQLite says the statement would write.");
	if (!code && sqlite3_column_count(stmt) == 0)
		code = nx_fail(err, NX_E_RO_NO_RESULT, "The statement returns no rows.");
	if (code) {
		sqlite3_finalize(stmt);
		return code;
	}
	*ret = stmt;
	return NX_OK;
}

static enum nx_layout layout_of(enum nx_type t)
{
	switch ((int)t) {
	case NX_T_NULL:
		return NX_L_NONE;
	case NX_T_BOOL:
		return NX_L_BITS;
	case NX_T_INT64:
		return NX_L_I64;
	case NX_T_FLOAT64:
		return NX_L_F64;
	default:
		return NX_L_TEXT;
	}
}

static enum nx_code out_of_memory(struct nx_error *err)
{
	return nx_fail(err, NX_E_MEMORY, "Out of memory.");
}

/* One row further: *row tells whether there is one. */
static enum nx_code step(struct lite_stream *st, bool *row, struct nx_error *err)
{
	int rc = sqlite3_step(st->stmt);
	*row = rc == SQLITE_ROW;
	if (rc == SQLITE_ROW) {
		st->rows++;
		return NX_OK;
	}
	st->done = true;
	if (rc == SQLITE_DONE)
		return NX_OK;
	st->failed = true;
	rc &= 0xff;
	st->broken = rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB || rc == SQLITE_IOERR ||
		     rc == SQLITE_NOMEM;
	return lite_error(st->conn, sqlite3_extended_errcode(st->conn->db), false, err);
}

static enum nx_code look_ahead(struct lite_stream *st, struct nx_arena *a, struct nx_error *err)
{
	uint32_t n = st->schema.nfields, max = LOOK_CELLS / n < 16 ? 16 : LOOK_CELLS / n;
	if (max > LOOK_ROWS)
		max = LOOK_ROWS;
	st->cells = nx_arena_array(a, (size_t)max * n, sizeof(*st->cells));
	if (!st->cells)
		return out_of_memory(err);
	while (st->ahead < max && st->bytes.len < LOOK_BYTES) {
		bool row;
		enum nx_code code = step(st, &row, err);
		if (code || !row)
			return code;
		if (!lite_look(st))
			return out_of_memory(err);
	}
	return NX_OK;
}

static enum nx_code describe(struct lite_stream *st, struct nx_arena *a, const enum nx_type *types,
			     struct nx_error *err)
{
	uint32_t n = (uint32_t)sqlite3_column_count(st->stmt);
	struct nx_field *f = nx_arena_zalloc(a, n * sizeof(*f));
	if (!f)
		return out_of_memory(err);
	st->schema = (struct nx_schema){ n, f };
	for (uint32_t i = 0; i < n; i++) {
		const char *name = sqlite3_column_name(st->stmt, (int)i);
		const char *decl = sqlite3_column_decltype(st->stmt, (int)i);
		f[i].name = nx_arena_str(a, nx_str(name));
		f[i].native = nx_arena_str(a, nx_str(decl ? decl : ""));
		f[i].nullable = -1;
		if (!name || !f[i].name.ptr || !f[i].native.ptr)
			return out_of_memory(err);
	}
	enum nx_code code = look_ahead(st, a, err);
	if (code)
		return code;
	if (types)
		for (uint32_t i = 0; i < n; i++)
			f[i].type = types[i];
	else
		lite_types(st, f);
	for (uint32_t i = 0; i < n; i++)
		f[i].layout = layout_of(f[i].type);
	return NX_OK;
}

static enum nx_code start(struct lite_stream *st, const struct nx_query *q,
			  const enum nx_type *types, struct nx_error *err)
{
	enum nx_code code = compile(st->conn, q->sql, &st->stmt, err);
	if (!code)
		code = lite_bind(st->stmt, q->params, q->nparams, err);
	if (!code)
		code = describe(st, q->arena, types, err);
	if (code)
		return code;
	uint32_t rows = q->limits.batch_rows ? q->limits.batch_rows : BATCH_MAX;
	size_t bytes = q->limits.batch_bytes ? q->limits.batch_bytes : 1 << 20;
	st->builder = nx_builder_new(&st->schema, rows < BATCH_MAX ? rows : BATCH_MAX, bytes);
	return st->builder ? NX_OK : out_of_memory(err);
}

static enum nx_conn_state end(struct lite_stream *st)
{
	struct lite_conn *c = st->conn;
	sqlite3_finalize(st->stmt);
	nx_builder_free(st->builder);
	nx_buf_done(&st->bytes);
	c->deadline = INT64_MAX;
	enum nx_conn_state state = st->broken			? NX_CONN_BROKEN
				   : atomic_load(&c->cancelled) ? NX_CONN_DIRTY
								: NX_CONN_CLEAN;
	free(st);
	return state;
}

enum nx_code lite_run(struct lite_conn *c, const struct nx_query *q, const enum nx_type *types,
		      struct nx_stream **ret, enum nx_conn_state *ret_state, struct nx_error *err)
{
	struct lite_stream *st = calloc(1, sizeof(*st));
	if (!st) {
		*ret_state = NX_CONN_CLEAN;
		return out_of_memory(err);
	}
	st->base.driver = c->base.driver;
	st->conn = c;
	nx_buf_init(&st->bytes, BYTES_MAX);
	atomic_store(&c->cancelled, false);
	c->deadline = q->deadline;
	enum nx_code code = start(st, q, types, err);
	if (code) {
		*ret_state = end(st);
		return code;
	}
	*ret = &st->base;
	return NX_OK;
}

enum nx_code lite_query(struct nx_conn *c, const struct nx_query *q, struct nx_stream **ret,
			enum nx_conn_state *ret_state, struct nx_error *err)
{
	return lite_run((struct lite_conn *)c, q, NULL, ret, ret_state, err);
}

const struct nx_schema *lite_schema(struct nx_stream *base)
{
	return &((struct lite_stream *)base)->schema;
}

enum nx_code lite_next(struct nx_stream *base, struct nx_batch *ret, struct nx_error *err)
{
	struct lite_stream *st = (struct lite_stream *)base;
	enum nx_code code = NX_OK;
	nx_builder_clear(st->builder);
	while (!code && st->given < st->ahead && !nx_builder_full(st->builder))
		code = lite_put_ahead(st, st->given++, err);
	if (st->given == st->ahead)
		nx_buf_done(&st->bytes);
	while (!code && st->given == st->ahead && !st->done && !nx_builder_full(st->builder)) {
		bool row;
		code = step(st, &row, err);
		if (code || !row)
			break;
		code = lite_put_current(st, err);
	}
	if (code) {
		st->failed = true;
		return code;
	}
	nx_builder_batch(st->builder, ret);
	return NX_OK;
}

enum nx_conn_state lite_release(struct nx_stream *st)
{
	return end((struct lite_stream *)st);
}
