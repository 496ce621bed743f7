/* Schema browse: SQLite's own table list; internal and shadow tables are left out. */
#include "sqlite_int.h"

static enum nx_code browse(struct nx_conn *c, const struct nx_query *limits, const char *sql,
			   const enum nx_type *types, struct nx_str schema, struct nx_str table,
			   struct nx_stream **ret, enum nx_conn_state *ret_state,
			   struct nx_error *err)
{
	const struct nx_value params[] = {
		{ NX_V_STRING, schema.len ? schema : NX_STR("main") },
		{ table.len ? NX_V_STRING : NX_V_NULL, table },
	};
	struct nx_query q = *limits;
	q.sql = nx_str(sql);
	q.params = params;
	q.nparams = NX_COUNTOF(params);
	return lite_run((struct lite_conn *)c, &q, types, ret, ret_state, err);
}

#define LISTED "t.schema = ?1 AND t.type <> 'shadow' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "

enum nx_code lite_tables(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
			 struct nx_stream **ret, enum nx_conn_state *ret_state,
			 struct nx_error *err)
{
	static const enum nx_type types[] = { NX_T_STRING, NX_T_STRING, NX_T_STRING, NX_T_STRING,
					      NX_T_INT64 };
	return browse(c, limits,
		      "SELECT t.schema AS \"schema\", t.name AS name, CASE t.type WHEN 'virtual' "
		      "THEN 'table' ELSE t.type END AS kind, NULL AS comment, NULL AS row_estimate "
		      "FROM pragma_table_list AS t WHERE " LISTED
		      "AND (?2 IS NULL OR t.name = ?2) ORDER BY t.name",
		      types, schema, nx_strn(NULL, 0), ret, ret_state, err);
}

enum nx_code lite_columns(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
			  struct nx_str table, struct nx_stream **ret,
			  enum nx_conn_state *ret_state, struct nx_error *err)
{
	static const enum nx_type types[] = { NX_T_STRING, NX_T_STRING, NX_T_STRING,
					      NX_T_INT64,  NX_T_STRING, NX_T_BOOL,
					      NX_T_STRING, NX_T_STRING, NX_T_STRING };
	/* hidden 1 is a virtual table's own; 2 and 3 are generated columns */
	return browse(c, limits,
		      "SELECT t.schema AS \"schema\", t.name AS \"table\", c.name AS name, "
		      "c.cid + 1 AS position, c.type AS type, NOT (c.\"notnull\" OR c.pk AND t.wr) "
		      "AS nullable, CASE WHEN c.pk THEN 'PRI' ELSE '' END AS \"key\", NULL AS "
		      "comment, c.dflt_value AS \"default\" "
		      "FROM pragma_table_list AS t, pragma_table_xinfo(t.name) AS c "
		      "WHERE " LISTED "AND (?2 IS NULL OR t.name = ?2) AND c.hidden <> 1 "
		      "ORDER BY t.name, c.cid",
		      types, schema, table, ret, ret_state, err);
}

/* An index's column is NULL where it is an expression. A foreign key that names no columns leads to the
 * primary key. */
enum nx_code lite_keys(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
		       struct nx_str table, struct nx_stream **ret, enum nx_conn_state *ret_state,
		       struct nx_error *err)
{
	static const enum nx_type types[] = { NX_T_STRING, NX_T_STRING, NX_T_STRING,
					      NX_T_STRING, NX_T_INT64,	NX_T_STRING,
					      NX_T_STRING, NX_T_STRING, NX_T_STRING };
	return browse(
		c, limits,
		"SELECT t.schema AS \"schema\", t.name AS \"table\", 'PRIMARY' AS name, 'primary' "
		"AS "
		"kind, c.pk AS position, c.name AS \"column\", NULL AS ref_schema, NULL AS "
		"ref_table, "
		"NULL AS ref_column FROM pragma_table_list AS t, pragma_table_xinfo(t.name) AS c "
		"WHERE " LISTED "AND (?2 IS NULL OR t.name = ?2) AND c.pk > 0 "
		"UNION ALL SELECT t.schema, t.name, i.name, CASE WHEN i.\"unique\" THEN 'unique' "
		"ELSE "
		"'index' END, x.seqno + 1, COALESCE(x.name, '(expression)'), NULL, NULL, NULL "
		"FROM pragma_table_list AS t, pragma_index_list(t.name) AS i, "
		"pragma_index_info(i.name) AS x "
		"WHERE " LISTED "AND (?2 IS NULL OR t.name = ?2) AND i.origin <> 'pk' "
		"UNION ALL SELECT t.schema, t.name, 'fk_' || f.id, 'foreign', f.seq + 1, "
		"f.\"from\", "
		"t.schema, f.\"table\", COALESCE(f.\"to\", (SELECT p.name FROM "
		"pragma_table_xinfo(f.\"table\") AS p WHERE p.pk = f.seq + 1)) "
		"FROM pragma_table_list AS t, pragma_foreign_key_list(t.name) AS f "
		"WHERE " LISTED "AND (?2 IS NULL OR t.name = ?2) ORDER BY 2, 4, 3, 5",
		types, schema, table, ret, ret_state, err);
}
