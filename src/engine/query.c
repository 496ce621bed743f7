/* One request in a worker: lock the session down, make the views its SQL names, prepare, bind, run;
 * output.c encodes and sends. Layers B to D of the read-only gate are here: a locked instance without external
 * access beyond one folder, exactly one statement, and that a SELECT, before anything runs. */
#include "engine/engine_int.h"

static enum nx_code no_memory(struct nx_error *err)
{
	return nx_fail(err, NX_E_ENGINE_MEMORY, "the engine is out of memory");
}

static enum nx_code result_fault(struct nx_session *s, duckdb_result *r, struct nx_error *err)
{
	enum nx_code code = nx_fault(duckdb_result_error(r), &s->hide, err);
	if (duckdb_result_error_type(r) == DUCKDB_ERROR_OUT_OF_MEMORY) {
		err->code = code = NX_E_ENGINE_MEMORY;
		err->sqlstate[0] = '\0';
	}
	return code;
}

enum nx_code nx_session_exec(struct nx_session *s, const char *sql, struct nx_error *err)
{
	duckdb_result r;
	enum nx_code code = NX_OK;
	if (duckdb_query(s->con, sql, &r))
		code = result_fault(s, &r, err);
	duckdb_destroy_result(&r);
	return code;
}

/* Settings that depend on the source. The configuration is locked by nx_session_seal(), after the
 * views were made; nothing of the user's has run until then. */
enum nx_code nx_session_lock(struct nx_session *s, struct nx_error *err)
{
	const struct nx_wire_request *r = s->tables.req;
	struct nx_buf b;
	nx_buf_init(&b, 64 << 10);
	nx_buf_printf(&b,
		      "SET memory_limit='%uMiB';SET max_temp_directory_size='%uMiB';"
		      "SET threads=%u;SET allowed_directories=['",
		      r->memory_mb, r->spill_mb, r->threads);
	for (size_t i = 0; i < r->root.len; i++) {
		if (r->root.ptr[i] == '\'')
			nx_buf_putc(&b, '\'');
		nx_buf_putc(&b, r->root.ptr[i]);
	}
	nx_buf_puts(&b, "/'];SET enable_external_access=false");
	nx_buf_putc(&b, '\0');
	enum nx_code code = b.failed ? no_memory(err) : nx_session_exec(s, b.data, err);
	nx_buf_done(&b);
	return code;
}

static enum nx_code seal(struct nx_session *s, struct nx_error *err)
{
	return nx_session_exec(s, "SET lock_configuration=true", err);
}

enum nx_code nx_session_view(struct nx_session *s, struct nx_str name, struct nx_error *err)
{
	const char *source;
	enum nx_code code = nx_table_source(&s->tables, name, &source, err);
	if (code || !source)
		return code;
	struct nx_buf b;
	nx_buf_init(&b, 128 << 10);
	nx_buf_puts(&b, "CREATE OR REPLACE VIEW \"");
	for (size_t i = 0; i < name.len; i++) {
		if (name.ptr[i] == '"')
			nx_buf_putc(&b, '"');
		nx_buf_putc(&b, name.ptr[i]);
	}
	nx_buf_printf(&b, "\" AS FROM %s", source);
	nx_buf_putc(&b, '\0');
	code = b.failed ? no_memory(err) : nx_session_exec(s, b.data, err);
	nx_buf_done(&b);
	if (code)
		err->position = -1; /* points into our SQL */
	return code;
}

/* preparing */

/* What stands behind EXPLAIN, or NULL. Comments in front are not looked through. */
static const char *explained(const char *sql)
{
	const char *p = sql + strspn(sql, " \t\r\n\f\v");
	return nx_str_ieq(nx_strn(p, strnlen(p, 7)), NX_STR("EXPLAIN")) ? p + 7 : NULL;
}

static enum nx_code view_for(void *arg, struct nx_str schema, struct nx_str table,
			     struct nx_error *err)
{
	struct nx_session *s = arg;
	if (schema.len && !nx_str_ieq(schema, NX_STR("main")))
		return NX_OK;
	return nx_session_view(s, table, err);
}

/* Whatever is wrong with the statement itself: prepare says it better. */
static enum nx_code views_for(struct nx_session *s, const char *sql, struct nx_error *err)
{
	duckdb_result r = { 0 };
	enum nx_code code = NX_OK;
	const char *inner = explained(sql);
	if (duckdb_bind_varchar(s->tree, 1, inner ? inner : sql) ||
	    duckdb_execute_prepared(s->tree, &r))
		goto out;
	duckdb_data_chunk chunk = duckdb_fetch_chunk(r);
	if (!chunk)
		goto out;
	duckdb_vector v = duckdb_data_chunk_get_vector(chunk, 0);
	if (duckdb_data_chunk_get_size(chunk) == 1 && !duckdb_vector_get_validity(v))
		code = nx_names_each(nx_view_str(duckdb_vector_get_data(v)), view_for, s, err);
	duckdb_destroy_data_chunk(&chunk);
out:
	duckdb_destroy_result(&r);
	return code;
}

/* EXPLAIN without ANALYZE or options, of one SELECT: DuckDB's type is EXPLAIN whatever stands behind
 * it, and ANALYZE would run that. */
static bool explains_select(struct nx_session *s, const char *sql)
{
	const char *p = explained(sql);
	if (!p)
		return false;
	duckdb_extracted_statements all = NULL;
	duckdb_prepared_statement inner = NULL;
	bool yes = duckdb_extract_statements(s->con, p, &all) == 1 &&
		   duckdb_prepare_extracted_statement(s->con, all, 0, &inner) == DuckDBSuccess &&
		   duckdb_prepared_statement_type(inner) == DUCKDB_STATEMENT_TYPE_SELECT;
	duckdb_destroy_prepare(&inner);
	if (all)
		duckdb_destroy_extracted(&all);
	return yes;
}

static enum nx_code prepare(struct nx_session *s, const char *sql, duckdb_prepared_statement *ret,
			    struct nx_error *err)
{
	duckdb_extracted_statements all = NULL;
	idx_t n = duckdb_extract_statements(s->con, sql, &all);
	enum nx_code code = NX_OK;
	if (n == 0) {
		const char *why = all ? duckdb_extract_statements_error(all) : NULL;
		code = why ? nx_fault(why, &s->hide, err)
			   : nx_fail(err, NX_E_EMPTY_QUERY, "the SQL holds no statement");
	} else if (n > 1) {
		code = nx_fail(err, NX_E_RO_MULTI,
			       "the engine sees %llu statements, one is allowed",
			       (unsigned long long)n);
	} else {
		code = views_for(s, sql, err);
	}
	if (code == NX_OK)
		code = seal(s, err);
	if (code == NX_OK && duckdb_prepare_extracted_statement(s->con, all, 0, ret))
		code = nx_fault(duckdb_prepare_error(*ret), &s->hide, err);
	if (all)
		duckdb_destroy_extracted(&all);
	if (code)
		return code;
	duckdb_statement_type type = duckdb_prepared_statement_type(*ret);
	if (type == DUCKDB_STATEMENT_TYPE_SELECT ||
	    (type == DUCKDB_STATEMENT_TYPE_EXPLAIN && explains_select(s, sql)))
		return NX_OK;
	return nx_fail(err, NX_E_RO_STATEMENT, "the engine says that this is not a SELECT");
}

/* digits without sign, point or exponent; at most 38 of them */
static duckdb_hugeint to_hugeint(struct nx_str digits, bool negative)
{
	nx_i128 n = 0;
	for (size_t i = 0; i < digits.len; i++)
		if (digits.ptr[i] != '.')
			n = n * 10 + (digits.ptr[i] - '0');
	if (negative)
		n = -n;
	return (duckdb_hugeint){ (uint64_t)n, (int64_t)(n >> 64) };
}

/* Exactly: BIGINT, else DECIMAL of the digits given, else (exponent, over 38 digits) the text, which
 * DuckDB converts to the type it is compared with. */
static duckdb_state bind_number(duckdb_prepared_statement p, idx_t i, const struct nx_value *v)
{
	int64_t small;
	if (nx_value_is_integer(v) && nx_str_to_i64(v->text, &small))
		return duckdb_bind_int64(p, i, small);
	struct nx_str t = v->text;
	bool negative = t.len && t.ptr[0] == '-';
	if (negative)
		t = nx_strn(t.ptr + 1, t.len - 1);
	const char *point = memchr(t.ptr, '.', t.len);
	size_t scale = point ? t.len - (size_t)(point - t.ptr) - 1 : 0;
	size_t digits = t.len - (point ? 1 : 0);
	bool exponent = memchr(t.ptr, 'e', t.len) || memchr(t.ptr, 'E', t.len);
	if (exponent || digits > 38)
		return duckdb_bind_varchar_length(p, i, v->text.ptr, v->text.len);
	duckdb_hugeint h = to_hugeint(t, negative);
	if (!point)
		return duckdb_bind_hugeint(p, i, h);
	duckdb_decimal d = { .width = (uint8_t)digits, .scale = (uint8_t)scale, .value = h };
	return duckdb_bind_decimal(p, i, d);
}

static enum nx_code bind(struct nx_session *s, duckdb_prepared_statement p, struct nx_error *err)
{
	const struct nx_wire_request *r = s->tables.req;
	idx_t want = duckdb_nparams(p);
	if (want != r->nparams)
		return nx_fail(err, NX_E_PARAMETER_COUNT,
			       "the statement has %llu placeholders, %u parameters were given",
			       (unsigned long long)want, r->nparams);
	for (uint32_t i = 0; i < r->nparams; i++) {
		const struct nx_value *v = &r->params[i];
		duckdb_state st = DuckDBError;
		switch (v->kind) {
		case NX_V_NULL:
			st = duckdb_bind_null(p, i + 1);
			break;
		case NX_V_BOOL:
			st = duckdb_bind_boolean(p, i + 1, nx_str_is(v->text, "true"));
			break;
		case NX_V_NUMBER:
			st = bind_number(p, i + 1, v);
			break;
		case NX_V_STRING:
			st = duckdb_bind_varchar_length(p, i + 1, v->text.ptr, v->text.len);
			break;
		}
		if (st)
			return nx_fail(err, NX_E_PARAMETER_VALUE, "parameter %u cannot be bound",
				       i + 1);
	}
	return NX_OK;
}

/* running */

static enum nx_code stream(struct nx_session *s, duckdb_result *r, struct nx_error *err)
{
	struct nx_output *o;
	enum nx_code code = nx_output_new(s, r, &o, err);
	if (code)
		return code;
	bool done = false;
	while (code == NX_OK && !done) {
		duckdb_data_chunk chunk = duckdb_fetch_chunk(*r);
		if (chunk) {
			code = nx_output_chunk(o, chunk, &done, err);
			continue;
		}
		const char *why = duckdb_result_error(r);
		if (why && *why)
			code = result_fault(s, r, err);
		break;
	}
	nx_output_flush(o);
	if (code == NX_OK)
		nx_output_end(o);
	return code;
}

/* The prepared statement to the end of its rows. */
static enum nx_code run(struct nx_session *s, duckdb_prepared_statement p, struct nx_error *err)
{
	duckdb_pending_result pending;
	if (duckdb_pending_prepared_streaming(p, &pending))
		return nx_fault(duckdb_pending_error(pending), &s->hide, err);
	duckdb_result r;
	if (duckdb_execute_pending(pending, &r))
		return result_fault(s, &r, err);
	return stream(s, &r, err);
}

enum nx_code nx_query_run(struct nx_session *s, struct nx_error *err)
{
	const struct nx_wire_request *req = s->tables.req;
	if (memchr(req->sql.ptr, '\0', req->sql.len))
		return nx_fail(err, NX_E_RO_ENCODING, "the SQL holds a NUL character");
	s->hide.params = req->params;
	s->hide.nparams = req->nparams;
	duckdb_prepared_statement p = NULL;
	enum nx_code code = prepare(s, req->sql.ptr, &p, err);
	if (code == NX_OK)
		code = bind(s, p, err);
	if (code == NX_OK)
		code = run(s, p, err);
	return code;
}

/* catalog: our own SQL over the same views, all columns as text */

static void put_literal(struct nx_buf *b, const char *s)
{
	nx_buf_putc(b, '\'');
	for (; *s; s++) {
		if (*s == '\'')
			nx_buf_putc(b, '\'');
		nx_buf_putc(b, *s);
	}
	nx_buf_putc(b, '\'');
}

static void tables_sql(struct nx_buf *b, const struct nx_table_entry *list)
{
	nx_buf_puts(b, "SELECT * FROM (VALUES ");
	for (const struct nx_table_entry *e = list; e; e = e->next) {
		nx_buf_puts(b, e == list ? "('main'," : ",('main',");
		put_literal(b, e->name);
		nx_buf_puts(b, ",'table',");
		const char *comment = e->folder ? " files in a folder" : " file";
		nx_buf_printf(b, "'%s%s',NULL::VARCHAR)", e->format, comment);
	}
	nx_buf_puts(b, list ? ")" : "('','','','',NULL::VARCHAR))");
	nx_buf_puts(b, " t(\"schema\", \"name\", kind, \"comment\", row_estimate)");
	if (!list)
		nx_buf_puts(b, " WHERE false");
}

static const char columns_sql[] =
	"SELECT 'main' AS \"schema\", table_name AS \"table\", column_name AS \"name\","
	" column_index::VARCHAR AS \"position\", data_type AS \"type\","
	" 'true' AS nullable, NULL::VARCHAR AS \"key\", NULL::VARCHAR AS \"comment\""
	" FROM duckdb_columns() WHERE NOT internal AND database_name = current_database()"
	" ORDER BY table_name, column_index";

/* A file that cannot be read is left out of the list: the others still count. */
static enum nx_code views_all(struct nx_session *s, struct nx_error *err)
{
	struct nx_table_entry *list;
	enum nx_code code = nx_table_list(&s->tables, &list, err);
	for (; code == NX_OK && list; list = list->next)
		if (nx_session_view(s, nx_str(list->name), err) == NX_E_ENGINE_MEMORY)
			code = NX_E_ENGINE_MEMORY;
	return code;
}

enum nx_code nx_catalog_run(struct nx_session *s, struct nx_error *err)
{
	const struct nx_wire_request *req = s->tables.req;
	struct nx_buf b;
	nx_buf_init(&b, 4 << 20);
	enum nx_code code;
	if (req->kind == NX_WIRE_TABLES) {
		struct nx_table_entry *list = NULL;
		code = nx_table_list(&s->tables, &list, err);
		if (code == NX_OK)
			tables_sql(&b, list);
	} else {
		code = req->table.len ? nx_session_view(s, req->table, err) : views_all(s, err);
		nx_buf_puts(&b, columns_sql);
	}
	nx_buf_putc(&b, '\0');
	if (code == NX_OK && b.failed)
		code = no_memory(err);
	if (code == NX_OK)
		code = seal(s, err);
	duckdb_prepared_statement p = NULL;
	if (code == NX_OK && duckdb_prepare(s->con, b.data, &p))
		code = nx_fault(duckdb_prepare_error(p), &s->hide, err);
	if (code == NX_OK)
		code = run(s, p, err);
	nx_buf_done(&b);
	return code;
}
