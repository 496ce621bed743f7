/* Values and the types they are announced with.
 *
 * A SQLite value knows its storage class, a column does not: declarations are hints. The rule here
 * is "exact or an error". Up to LOOK_ROWS rows are read before the first is sent; a column is
 * announced as what it held there:
 *
 *	integers only                    int64
 *	reals, or reals and integers     float64 (integers up to 2^53, else json)
 *	text only                        string
 *	blobs only                       binary
 *	anything else                    json: a number, a string, or {"base64": ".."} for a blob
 *	nothing but nulls                what the declaration says (affinity), else null when these
 *	                                 are all rows there are, else json
 *
 * A value further down that does not fit ends the stream with DATA_ERROR, naming column, row and the
 * way out (CAST). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "sqlite_int.h"

#define EXACT_MAX INT64_C(9007199254740992) /* 2^53: integers a double holds exactly */

/* --- parameters ---------------------------------------------------------------------------- */

static int bind_one(sqlite3_stmt *stmt, int at, const struct nx_value *v)
{
	int64_t i;
	double d;
	switch (v->kind) {
	case NX_V_NULL:
		return sqlite3_bind_null(stmt, at);
	case NX_V_BOOL:
		return sqlite3_bind_int(stmt, at, v->text.ptr[0] == 't');
	case NX_V_STRING:
		return sqlite3_bind_text64(stmt, at, v->text.len ? v->text.ptr : "", v->text.len,
					   SQLITE_STATIC, SQLITE_UTF8);
	case NX_V_NUMBER:
		if (nx_str_to_i64(v->text, &i))
			return sqlite3_bind_int64(stmt, at, i);
		if (nx_value_is_integer(v) || !nx_str_to_f64(v->text, &d) || !isfinite(d))
			return SQLITE_RANGE; /* an integer would lose digits */
		return sqlite3_bind_double(stmt, at, d);
	}
	return SQLITE_MISUSE;
}

enum nx_code lite_bind(sqlite3_stmt *stmt, const struct nx_value *params, uint32_t n,
		       struct nx_error *err)
{
	int want = sqlite3_bind_parameter_count(stmt);
	if ((uint32_t)want != n)
		return nx_fail(err, NX_E_PARAMETER_COUNT,
			       "The statement has %d placeholders, %u parameters were given.", want,
			       n);
	for (uint32_t i = 0; i < n; i++) {
		int rc = bind_one(stmt, (int)i + 1, &params[i]);
		if (rc == SQLITE_NOMEM)
			return nx_fail(err, NX_E_MEMORY, "Out of memory.");
		if (rc != SQLITE_OK)
			return nx_fail(err, NX_E_PARAMETER_VALUE,
				       "Parameter %u cannot be bound exactly: SQLite has 64-bit "
				       "integers, doubles and text.",
				       i + 1);
	}
	return NX_OK;
}

/* --- look-ahead ---------------------------------------------------------------------------- */

static bool look_cell(struct lite_stream *st, int col, struct lite_cell *cell)
{
	cell->class = sqlite3_column_type(st->stmt, col);
	switch (cell->class) {
	case SQLITE_INTEGER:
		cell->u.i = sqlite3_column_int64(st->stmt, col);
		return true;
	case SQLITE_FLOAT:
		cell->u.d = sqlite3_column_double(st->stmt, col);
		return true;
	case SQLITE_TEXT:
	case SQLITE_BLOB: {
		const void *p = cell->class == SQLITE_TEXT
					? (const void *)sqlite3_column_text(st->stmt, col)
					: sqlite3_column_blob(st->stmt, col);
		cell->u.s.len = (size_t)sqlite3_column_bytes(st->stmt, col);
		cell->u.s.at = st->bytes.len;
		if (!p && (cell->class == SQLITE_TEXT || cell->u.s.len > 0))
			return false;
		nx_buf_put(&st->bytes, p, cell->u.s.len);
		return !st->bytes.failed;
	}
	default:
		return true;
	}
}

bool lite_look(struct lite_stream *st)
{
	uint32_t n = st->schema.nfields;
	for (uint32_t i = 0; i < n; i++)
		if (!look_cell(st, (int)i, &st->cells[(size_t)st->ahead * n + i]))
			return false;
	st->ahead++;
	return true;
}

/* The declared type's affinity, https://www.sqlite.org/datatype3.html 3.1. */
static enum nx_type declared(const char *decl)
{
	char up[256];
	size_t n = 0;
	for (; decl && decl[n] && n < sizeof(up) - 1; n++)
		up[n] = (char)(decl[n] >= 'a' && decl[n] <= 'z' ? decl[n] - 32 : decl[n]);
	up[n] = '\0';
	if (n == 0)
		return NX_T_NULL;
	if (strstr(up, "INT"))
		return NX_T_INT64;
	if (strstr(up, "CHAR") || strstr(up, "CLOB") || strstr(up, "TEXT"))
		return NX_T_STRING;
	if (strstr(up, "BLOB"))
		return NX_T_BINARY;
	if (strstr(up, "REAL") || strstr(up, "FLOA") || strstr(up, "DOUB"))
		return NX_T_FLOAT64;
	return NX_T_NULL; /* NUMERIC: integers or reals */
}

static enum nx_type column_type(const struct lite_stream *st, uint32_t col)
{
	unsigned seen = 0;
	bool wide = false;
	for (uint32_t r = 0; r < st->ahead; r++) {
		const struct lite_cell *c = &st->cells[(size_t)r * st->schema.nfields + col];
		seen |= 1u << c->class;
		wide |= c->class == SQLITE_INTEGER && (c->u.i > EXACT_MAX || c->u.i < -EXACT_MAX);
	}
	switch (seen & ~(1u << SQLITE_NULL)) {
	case 0: {
		enum nx_type t = declared(sqlite3_column_decltype(st->stmt, (int)col));
		return t == NX_T_NULL && !st->done ? NX_T_JSON : t;
	}
	case 1u << SQLITE_INTEGER:
		return NX_T_INT64;
	case 1u << SQLITE_FLOAT:
		return NX_T_FLOAT64;
	case 1u << SQLITE_FLOAT | 1u << SQLITE_INTEGER:
		return wide ? NX_T_JSON : NX_T_FLOAT64;
	case 1u << SQLITE_TEXT:
		return NX_T_STRING;
	case 1u << SQLITE_BLOB:
		return NX_T_BINARY;
	default:
		return NX_T_JSON;
	}
}

void lite_types(struct lite_stream *st, struct nx_field *fields)
{
	for (uint32_t i = 0; i < st->schema.nfields; i++)
		fields[i].type = column_type(st, i);
}

/* --- values -------------------------------------------------------------------------------- */

static struct nx_str cell_bytes(const struct lite_stream *st, const struct lite_cell *c)
{
	return nx_strn(st->bytes.data + c->u.s.at, c->u.s.len);
}

static void put_base64(struct nx_buf *b, struct nx_str s)
{
	static const char set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < s.len; i += 3) {
		uint32_t w = 0;
		for (size_t k = 0; k < 3; k++)
			w = w << 8 | (i + k < s.len ? (unsigned char)s.ptr[i + k] : 0);
		nx_buf_putc(b, set[w >> 18]);
		nx_buf_putc(b, set[w >> 12 & 63]);
		nx_buf_putc(b, i + 1 < s.len ? set[w >> 6 & 63] : '=');
		nx_buf_putc(b, i + 2 < s.len ? set[w & 63] : '=');
	}
}

static void put_real(struct nx_buf *b, double d)
{
	if (!isfinite(d)) { /* SQLite has no NaN */
		nx_buf_puts(b, d < 0 ? "\"-Infinity\"" : "\"Infinity\"");
		return;
	}
	char s[40];
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(s, sizeof(s), "%.*g", digits, d);
		if (strtod(s, NULL) == d)
			break;
	}
	nx_buf_puts(b, s);
}

static enum nx_code put_json(struct lite_stream *st, uint32_t col, const struct lite_cell *c,
			     struct nx_str bytes, struct nx_error *err)
{
	struct nx_buf b;
	nx_buf_init(&b, INT32_MAX);
	switch (c->class) {
	case SQLITE_INTEGER:
		nx_buf_put_i64(&b, c->u.i);
		break;
	case SQLITE_FLOAT:
		put_real(&b, c->u.d);
		break;
	case SQLITE_TEXT:
		nx_buf_put_json(&b, bytes);
		break;
	default:
		nx_buf_puts(&b, "{\"base64\":\"");
		put_base64(&b, bytes);
		nx_buf_puts(&b, "\"}");
		break;
	}
	bool ok = !b.failed;
	if (ok)
		nx_builder_text(st->builder, col, b.data, b.len);
	nx_buf_done(&b);
	return ok ? NX_OK : nx_fail(err, NX_E_MEMORY, "Out of memory.");
}

static enum nx_code misfit(const struct lite_stream *st, uint32_t col, int class,
			   struct nx_error *err)
{
	static const char *const names[] = {
		[SQLITE_INTEGER] = "an integer",
		[SQLITE_FLOAT] = "a real",
		[SQLITE_TEXT] = "text",
		[SQLITE_BLOB] = "a blob",
	};
	const struct nx_field *f = &st->schema.fields[col];
	return nx_fail(err, NX_E_DATA_ERROR,
		       "Column \"" NX_STR_FMT "\" held %s in its first rows, row %llu holds %s: "
		       "use CAST to make it one type.",
		       f->name.len > 100 ? 100 : (int)f->name.len, f->name.ptr,
		       nx_type_name(f->type), (unsigned long long)st->rows, names[class]);
}

static enum nx_code put(struct lite_stream *st, uint32_t col, const struct lite_cell *c,
			struct nx_str bytes, struct nx_error *err)
{
	enum nx_type t = st->schema.fields[col].type;
	if (c->class == SQLITE_NULL)
		return NX_OK;
	if (t == NX_T_JSON)
		return put_json(st, col, c, bytes, err);
	switch (c->class) {
	case SQLITE_INTEGER:
		if (t == NX_T_INT64)
			nx_builder_i64(st->builder, col, c->u.i);
		else if (t == NX_T_BOOL)
			nx_builder_bool(st->builder, col, c->u.i != 0);
		else if (t == NX_T_FLOAT64 && c->u.i <= EXACT_MAX && c->u.i >= -EXACT_MAX)
			nx_builder_f64(st->builder, col, (double)c->u.i);
		else
			break;
		return NX_OK;
	case SQLITE_FLOAT:
		if (t != NX_T_FLOAT64)
			break;
		nx_builder_f64(st->builder, col, c->u.d);
		return NX_OK;
	default:
		if (t != (c->class == SQLITE_TEXT ? NX_T_STRING : NX_T_BINARY))
			break;
		nx_builder_text(st->builder, col, bytes.ptr, bytes.len);
		return NX_OK;
	}
	return misfit(st, col, c->class, err);
}

enum nx_code lite_put_ahead(struct lite_stream *st, uint32_t row, struct nx_error *err)
{
	uint32_t n = st->schema.nfields;
	for (uint32_t i = 0; i < n; i++) {
		const struct lite_cell *c = &st->cells[(size_t)row * n + i];
		bool has_bytes = c->class == SQLITE_TEXT || c->class == SQLITE_BLOB;
		enum nx_code code =
			put(st, i, c, has_bytes ? cell_bytes(st, c) : nx_strn(NULL, 0), err);
		if (code)
			return code;
	}
	return nx_builder_row_end(st->builder, err);
}

enum nx_code lite_put_current(struct lite_stream *st, struct nx_error *err)
{
	for (uint32_t i = 0; i < st->schema.nfields; i++) {
		int col = (int)i;
		struct lite_cell c = { .class = sqlite3_column_type(st->stmt, col) };
		struct nx_str bytes = { NULL, 0 };
		if (c.class == SQLITE_INTEGER) {
			c.u.i = sqlite3_column_int64(st->stmt, col);
		} else if (c.class == SQLITE_FLOAT) {
			c.u.d = sqlite3_column_double(st->stmt, col);
		} else if (c.class != SQLITE_NULL) {
			bytes.ptr = c.class == SQLITE_TEXT
					    ? (const char *)sqlite3_column_text(st->stmt, col)
					    : sqlite3_column_blob(st->stmt, col);
			bytes.len = (size_t)sqlite3_column_bytes(st->stmt, col);
			if (!bytes.ptr && bytes.len > 0)
				return nx_fail(err, NX_E_MEMORY, "Out of memory.");
		}
		enum nx_code code = put(st, i, &c, bytes, err);
		if (code)
			return code;
	}
	return nx_builder_row_end(st->builder, err);
}
