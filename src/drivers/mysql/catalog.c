/* Schema browse from information_schema, and what the account could write. */
#include "mysql_int.h"

#include <stdio.h>

#define OURS_NOT "('information_schema', 'performance_schema', 'mysql', 'sys')"

/* A constant on the schema (and table) lets the server open one directory instead of all: the WHERE
 * is composed, the names are bound. */
static enum nx_code browse(struct nx_conn *c, const struct nx_query *limits, const char *head,
			   const char *tail, struct nx_str schema, struct nx_str table,
			   struct nx_stream **ret, enum nx_conn_state *ret_state,
			   struct nx_error *err)
{
	struct nx_query q = *limits;
	struct nx_value *names = nx_arena_array(limits->arena, 2, sizeof(*names));
	char *sql =
		nx_arena_printf(limits->arena, "%s WHERE %s%s%s", head,
				schema.len ? "TABLE_SCHEMA = ?" : "TABLE_SCHEMA NOT IN " OURS_NOT,
				table.len ? " AND TABLE_NAME = ?" : "", tail);
	if (!names || !sql) {
		*ret_state = NX_CONN_CLEAN;
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	q.sql = nx_str(sql);
	q.params = names;
	q.nparams = 0;
	if (schema.len)
		names[q.nparams++] = (struct nx_value){ NX_V_STRING, schema };
	if (table.len)
		names[q.nparams++] = (struct nx_value){ NX_V_STRING, table };
	q.pure = true;
	enum nx_code code = my_query(c, &q, ret, ret_state, err);
	if (!code)
		my_retype(*ret, NX_STR("nullable"), NX_T_BOOL); /* the server has no boolean */
	return code;
}

enum nx_code my_tables(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
		       struct nx_stream **ret, enum nx_conn_state *ret_state, struct nx_error *err)
{
	return browse(
		c, limits,
		"SELECT TABLE_SCHEMA AS `schema`, TABLE_NAME AS `name`, CASE TABLE_TYPE "
		"WHEN 'BASE TABLE' THEN 'table' WHEN 'VIEW' THEN 'view' WHEN 'SYSTEM VIEW' THEN "
		"'view' ELSE LOWER(TABLE_TYPE) END AS `kind`, TABLE_COMMENT AS `comment`, "
		"CAST(TABLE_ROWS AS SIGNED) AS `row_estimate` FROM information_schema.TABLES",
		" ORDER BY TABLE_SCHEMA, TABLE_NAME", schema, nx_strn(NULL, 0), ret, ret_state,
		err);
}

enum nx_code my_columns(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
			struct nx_str table, struct nx_stream **ret, enum nx_conn_state *ret_state,
			struct nx_error *err)
{
	return browse(
		c, limits,
		"SELECT TABLE_SCHEMA AS `schema`, TABLE_NAME AS `table`, COLUMN_NAME AS `name`, "
		"CAST(ORDINAL_POSITION AS SIGNED) AS `position`, COLUMN_TYPE AS `type`, "
		"IF(IS_NULLABLE = 'YES', 'true', 'false') AS `nullable`, COLUMN_KEY AS `key`, "
		"COLUMN_COMMENT AS `comment`, NULLIF(COLUMN_DEFAULT, 'NULL') AS `default` "
		"FROM information_schema.COLUMNS",
		" ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION", schema, table, ret,
		ret_state, err);
}

enum nx_code my_keys(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
		     struct nx_str table, struct nx_stream **ret, enum nx_conn_state *ret_state,
		     struct nx_error *err)
{
	return browse(
		c, limits,
		"SELECT TABLE_SCHEMA AS `schema`, TABLE_NAME AS `table`, name AS `name`, `kind`, "
		"CAST(position AS SIGNED) AS `position`, COLUMN_NAME AS `column`, "
		"ref_schema, ref_table, ref_column FROM ("
		"SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME AS name, "
		"IF(INDEX_NAME = 'PRIMARY', 'primary', IF(NON_UNIQUE, 'index', 'unique')) AS "
		"`kind`, SEQ_IN_INDEX AS position, COLUMN_NAME, NULL AS ref_schema, NULL AS "
		"ref_table, NULL AS ref_column FROM information_schema.STATISTICS "
		"UNION ALL SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, 'foreign', "
		"ORDINAL_POSITION, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, "
		"REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE "
		"WHERE REFERENCED_TABLE_NAME IS NOT NULL) AS k",
		" ORDER BY 1, 2, 4, 3, 5", schema, table, ret, ret_state, err);
}

/* --- grants -------------------------------------------------------------------------------- */

static const char *const writing[] = {
	"ALL PRIVILEGES", "INSERT",
	"UPDATE",	  "DELETE",
	"CREATE",	  "DROP",
	"ALTER",	  "INDEX",
	"TRIGGER",	  "EVENT",
	"CREATE VIEW",	  "CREATE ROUTINE",
	"ALTER ROUTINE",  "CREATE TABLESPACE",
	"DELETE HISTORY", "DELETE VERSIONING ROWS",
	"CREATE ROLE",	  "DROP ROLE",
};

static const char *const ruling[] = {
	/* on *.* */
	"ALL PRIVILEGES",   "SUPER",	       "CREATE USER",	  "GRANT OPTION",
	"SET USER",	    "SET_USER_ID",     "SYSTEM_USER",	  "SYSTEM_VARIABLES_ADMIN",
	"SHUTDOWN",	    "READ_ONLY ADMIN", "READ ONLY ADMIN", "CONNECTION ADMIN",
	"CONNECTION_ADMIN", "FEDERATED ADMIN", "BINLOG ADMIN",	  "RELOAD",
	"ROLE_ADMIN",
};

static bool among(struct nx_str name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (nx_str_ieq(name, nx_str(list[i])))
			return true;
	return false;
}

/* Behind the quoted name that starts at s[i]; its quote may stand doubled inside. */
static size_t skip_quoted(struct nx_str s, size_t i)
{
	char quote = s.ptr[i++];
	while (i < s.len) {
		if (s.ptr[i++] != quote)
			continue;
		if (i >= s.len || s.ptr[i] != quote)
			break;
		i++;
	}
	return i;
}

/* The next privilege from *pos on, without its column list; *pos moves behind it, to a ',' or the
 * " ON " that ends the list. False: neither is there (a role is granted). */
static bool next_privilege(struct nx_str s, size_t *pos, struct nx_str *ret)
{
	size_t start = *pos, end = 0, depth = 0;
	for (size_t i = start; i < s.len; i++) {
		char ch = s.ptr[i];
		if (ch == '`' || ch == '"' || ch == '\'') {
			i = skip_quoted(s, i) - 1;
			continue;
		}
		if (ch == '(' && depth++ == 0 && !end)
			end = i;
		else if (ch == ')' && depth > 0)
			depth--;
		struct nx_str rest = nx_strn(s.ptr + i, s.len - i);
		if (depth > 0 || (ch != ',' && !nx_str_starts(rest, NX_STR(" ON "))))
			continue;
		*ret = nx_str_trim(nx_strn(s.ptr + start, (end ? end : i) - start));
		*pos = i;
		return true;
	}
	return false;
}

void my_grant_line(struct nx_str line, struct nx_grants *ret)
{
	struct nx_str name;
	if (!nx_str_starts(line, NX_STR("GRANT ")))
		return;
	bool writes = false, rules = false, files = false;
	for (size_t pos = 6; next_privilege(line, &pos, &name); pos++) {
		writes |= among(name, writing, NX_COUNTOF(writing));
		rules |= among(name, ruling, NX_COUNTOF(ruling));
		files |= nx_str_is(name, "FILE") || nx_str_is(name, "ALL PRIVILEGES");
		if (line.ptr[pos] == ',')
			continue;
		bool global =
			nx_str_starts(nx_strn(line.ptr + pos, line.len - pos), NX_STR(" ON *.* "));
		ret->can_write |= writes;
		ret->can_files |= files && global;
		ret->superuser |=
			(rules || nx_str_ends(line, NX_STR("WITH GRANT OPTION"))) && global;
		return;
	}
}

enum nx_code my_probe(struct nx_conn *base, int64_t deadline, struct nx_grants *ret,
		      struct nx_error *err)
{
	struct my_conn *c = (struct my_conn *)base;
	MYSQL_RES *res;
	enum nx_code code = my_rows(c->my, "SHOW GRANTS", deadline, &res, err);
	if (code) {
		if (my_is_lost(mysql_errno(c->my)))
			my_break(c);
		return code;
	}
	struct nx_grants g = { 0 };
	unsigned long long lines = mysql_num_rows(res);
	MYSQL_ROW row;
	while ((row = mysql_fetch_row(res)))
		if (row[0])
			my_grant_line(nx_str(row[0]), &g);
	mysql_free_result(res);
	snprintf(g.summary, sizeof(g.summary), "%llu grants: %s%s%s%s", lines,
		 g.superuser ? "administers the server, " : "",
		 g.can_files ? "reads and writes files, " : "", g.can_write ? "can write data" : "",
		 g.can_write || g.superuser || g.can_files ? "" : "read only");
	*ret = g;
	return NX_OK;
}
