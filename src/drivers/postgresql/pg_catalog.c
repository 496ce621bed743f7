/* What a source holds and what its account could do: constant queries over pg_catalog. */
#include <stdio.h>

#include "pg_int.h"

static const struct nx_str tables_sql = NX_STR_INIT(
	"SELECT n.nspname AS schema, c.relname AS name,"
	" CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN "
	"'view'"
	" WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' END AS kind,"
	" pg_catalog.obj_description(c.oid, 'pg_class') AS comment,"
	" CASE WHEN c.relkind IN ('r','m') AND c.reltuples >= 0 THEN c.reltuples::pg_catalog.int8 "
	"END"
	" AS row_estimate"
	" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	" WHERE c.relkind IN ('r','p','v','m','f') AND n.nspname !~ '^pg_(toast|temp)'"
	" AND CASE WHEN $1::pg_catalog.text IS NULL"
	" THEN n.nspname NOT IN ('pg_catalog','information_schema') ELSE n.nspname = $1 END"
	" AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
	" AND (pg_catalog.has_table_privilege(c.oid, 'SELECT')"
	" OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT'))"
	" ORDER BY 1, 2");

static const struct nx_str columns_sql = NX_STR_INIT(
	"SELECT n.nspname AS schema, c.relname AS \"table\", a.attname AS name,"
	" pg_catalog.row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum)::pg_catalog.int4"
	" AS position,"
	" pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable,"
	" (SELECT CASE WHEN i.indisprimary THEN 'primary' ELSE 'unique' END FROM "
	"pg_catalog.pg_index i"
	" WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND a.attnum = ANY (i.indkey)"
	" ORDER BY i.indisprimary DESC LIMIT 1) AS key,"
	" pg_catalog.col_description(c.oid, a.attnum) AS comment,"
	" (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d"
	" WHERE d.adrelid = c.oid AND d.adnum = a.attnum) AS \"default\""
	" FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	" WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r','p','v','m','f')"
	" AND n.nspname !~ '^pg_(toast|temp)'"
	" AND CASE WHEN $1::pg_catalog.text IS NULL"
	" THEN n.nspname NOT IN ('pg_catalog','information_schema') ELSE n.nspname = $1 END"
	" AND ($2::pg_catalog.text IS NULL OR c.relname = $2)"
	" AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
	" AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')"
	" ORDER BY 1, 2, a.attnum");

/* Indexes by their columns (an expression as its text), and foreign keys. */
static const struct nx_str keys_sql = NX_STR_INIT(
	"SELECT k.schema, k.\"table\", k.name, k.kind, k.position, k.\"column\","
	" k.ref_schema, k.ref_table, k.ref_column FROM ("
	"SELECT x.indrelid AS oid, n.nspname AS schema, c.relname AS \"table\", i.relname AS name,"
	" CASE WHEN x.indisprimary THEN 'primary' WHEN x.indisunique THEN 'unique' ELSE 'index' END"
	" AS kind, u.ord::pg_catalog.int4 AS position,"
	" COALESCE(a.attname::pg_catalog.text,"
	" pg_catalog.pg_get_indexdef(x.indexrelid, u.ord::pg_catalog.int4, true)) AS \"column\","
	" NULL::pg_catalog.text AS ref_schema, NULL::pg_catalog.text AS ref_table,"
	" NULL::pg_catalog.text AS ref_column"
	" FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indrelid"
	" JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid"
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	" CROSS JOIN LATERAL pg_catalog.unnest(x.indkey::pg_catalog.int2[])"
	" WITH ORDINALITY u(attnum, ord)"
	" LEFT JOIN pg_catalog.pg_attribute a"
	" ON a.attrelid = c.oid AND a.attnum = u.attnum AND u.attnum <> 0"
	" WHERE x.indisvalid AND u.ord <= x.indnkeyatts"
	" UNION ALL "
	"SELECT f.conrelid, n.nspname, c.relname, f.conname, 'foreign', u.ord::pg_catalog.int4,"
	" a.attname::pg_catalog.text, rn.nspname::pg_catalog.text, rc.relname::pg_catalog.text,"
	" ra.attname::pg_catalog.text"
	" FROM pg_catalog.pg_constraint f JOIN pg_catalog.pg_class c ON c.oid = f.conrelid"
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	" JOIN pg_catalog.pg_class rc ON rc.oid = f.confrelid"
	" JOIN pg_catalog.pg_namespace rn ON rn.oid = rc.relnamespace"
	" CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(f.conkey), pg_catalog.unnest(f.confkey))"
	" WITH ORDINALITY u(attnum, refnum, ord)"
	" JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = u.attnum"
	" JOIN pg_catalog.pg_attribute ra ON ra.attrelid = f.confrelid AND ra.attnum = u.refnum"
	" WHERE f.contype = 'f') k"
	" WHERE k.schema !~ '^pg_(toast|temp)'"
	" AND CASE WHEN $1::pg_catalog.text IS NULL"
	" THEN k.schema NOT IN ('pg_catalog','information_schema') ELSE k.schema = $1 END"
	" AND ($2::pg_catalog.text IS NULL OR k.\"table\" = $2)"
	" AND pg_catalog.has_schema_privilege(k.schema, 'USAGE')"
	" AND (pg_catalog.has_table_privilege(k.oid, 'SELECT')"
	" OR pg_catalog.has_any_column_privilege(k.oid, 'SELECT'))"
	" ORDER BY 1, 2, 4, 3, 5");

/* Stable functions cannot write: the server runs their statements read-only. That they call nothing else that
 * acts is the word of whoever made them, so only superusers' count, and only what is compiled or came with an
 * extension. Names: as include/nexus/driver.h says. */
static const struct nx_str functions_sql = NX_STR_INIT(
	"SELECT p.proname AS name FROM pg_catalog.pg_proc p"
	" JOIN pg_catalog.pg_roles r ON r.oid = p.proowner"
	" JOIN pg_catalog.pg_language l ON l.oid = p.prolang"
	" WHERE p.proname ~ '^[a-z_][a-z0-9_]*$'"
	" GROUP BY p.proname HAVING pg_catalog.bool_and(p.provolatile IN ('i','s')"
	" AND r.rolsuper AND NOT p.prosecdef AND (l.lanname IN ('internal','c')"
	" OR EXISTS (SELECT 1 FROM pg_catalog.pg_depend d"
	" WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid"
	" AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e')))"
	" ORDER BY 1");

static struct nx_value text_or_null(struct nx_str s)
{
	return (struct nx_value){ s.len ? NX_V_STRING : NX_V_NULL, s };
}

enum nx_code pg_functions(struct nx_conn *c, const struct nx_query *limits, struct nx_stream **ret,
			  enum nx_conn_state *ret_state, struct nx_error *err)
{
	struct nx_query q = *limits;
	q.sql = functions_sql;
	q.params = NULL;
	q.nparams = 0;
	q.pure = true;
	return pg_query(c, &q, ret, ret_state, err);
}

enum nx_code pg_tables(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
		       struct nx_stream **ret, enum nx_conn_state *ret_state, struct nx_error *err)
{
	struct nx_value params[] = { text_or_null(schema) };
	struct nx_query q = *limits;
	q.sql = tables_sql;
	q.params = params;
	q.nparams = NX_COUNTOF(params);
	q.pure = true;
	return pg_query(c, &q, ret, ret_state, err);
}

static enum nx_code of_table(struct nx_conn *c, const struct nx_query *limits, struct nx_str sql,
			     struct nx_str schema, struct nx_str table, struct nx_stream **ret,
			     enum nx_conn_state *ret_state, struct nx_error *err)
{
	struct nx_value params[] = { text_or_null(schema), text_or_null(table) };
	struct nx_query q = *limits;
	q.sql = sql;
	q.params = params;
	q.nparams = NX_COUNTOF(params);
	q.pure = true;
	return pg_query(c, &q, ret, ret_state, err);
}

enum nx_code pg_columns(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
			struct nx_str table, struct nx_stream **ret, enum nx_conn_state *ret_state,
			struct nx_error *err)
{
	return of_table(c, limits, columns_sql, schema, table, ret, ret_state, err);
}

enum nx_code pg_keys(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
		     struct nx_str table, struct nx_stream **ret, enum nx_conn_state *ret_state,
		     struct nx_error *err)
{
	return of_table(c, limits, keys_sql, schema, table, ret, ret_state, err);
}

/* superuser, may write rows or create objects, may touch server files or run programs, role. */
static const struct nx_str probe_sql = NX_STR_INIT(
	"SELECT r.rolsuper,"
	" r.rolsuper OR r.rolcreaterole OR r.rolcreatedb"
	" OR pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')"
	" OR EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_'"
	" AND pg_catalog.has_schema_privilege(n.oid, 'CREATE'))"
	" OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relkind IN ('r','p','f','v')"
	" AND c.relnamespace <> 'pg_catalog'::pg_catalog.regnamespace"
	" AND pg_catalog.has_table_privilege(c.oid, 'INSERT,UPDATE,DELETE,TRUNCATE'))"
	" OR EXISTS (SELECT FROM pg_catalog.pg_roles w WHERE w.rolname = 'pg_write_all_data'"
	" AND pg_catalog.pg_has_role(w.oid, 'MEMBER')),"
	" r.rolsuper OR EXISTS (SELECT FROM pg_catalog.pg_roles f WHERE f.rolname IN"
	" ('pg_read_server_files','pg_write_server_files','pg_execute_server_program')"
	" AND pg_catalog.pg_has_role(f.oid, 'MEMBER')),"
	" EXISTS (SELECT FROM pg_catalog.pg_roles s WHERE s.rolname = 'pg_signal_backend'"
	" AND pg_catalog.pg_has_role(s.oid, 'MEMBER'))"
	" FROM pg_catalog.pg_roles r WHERE r.rolname = current_user");

static bool cell_bool(const struct nx_batch *b, uint32_t col)
{
	const uint8_t *bits = b->cols[col].data;
	return nx_column_valid(&b->cols[col], 0) && (bits[0] & 1);
}

enum nx_code pg_probe(struct nx_conn *nc, int64_t deadline, struct nx_grants *ret,
		      struct nx_error *err)
{
	struct nx_query q = { .sql = probe_sql,
			      .limits = { .max_rows = 1, .batch_rows = 1, .batch_bytes = 4096 },
			      .pure = true,
			      .deadline = deadline };
	struct nx_stream *st;
	enum nx_conn_state state;
	enum nx_code code = pg_query(nc, &q, &st, &state, err);
	if (code)
		return code;
	struct nx_batch b;
	code = pg_next(st, &b, err);
	if (!code && b.nrows != 1)
		code = nx_fail(err, NX_E_PROTOCOL, "The source does not know its own role.");
	if (!code) {
		struct nx_grants g = { .superuser = cell_bool(&b, 0),
				       .can_write = cell_bool(&b, 1),
				       .can_files = cell_bool(&b, 2) };
		int n = snprintf(g.summary, sizeof(g.summary), "%s%s%s%s",
				 g.superuser ? "superuser; " : "",
				 g.can_write ? "may write or create; " : "",
				 g.can_files ? "may use server files or programs; " : "",
				 cell_bool(&b, 3) ? "may signal other sessions; " : "");
		if (n <= 0)
			snprintf(g.summary, sizeof(g.summary), "reads only");
		else
			g.summary[n - 2] = '\0';
		*ret = g;
	}
	(void)pg_release(st);
	return code;
}
