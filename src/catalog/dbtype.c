/* Declared types and the logical types of their values, where the declaration alone decides. */
#include "catalog/dbschema.h"
#include "nexus/batch.h"

static const struct {
	enum nx_dialect dialect;
	enum nx_type type;
	const char *names; /* |a|b|: lower case, what stands in parentheses left out */
} rows[] = {
	{ NX_D_POSTGRESQL, NX_T_BOOL, "|boolean|" },
	{ NX_D_POSTGRESQL, NX_T_INT16, "|smallint|" },
	{ NX_D_POSTGRESQL, NX_T_INT32, "|integer|" },
	{ NX_D_POSTGRESQL, NX_T_INT64, "|bigint|" },
	{ NX_D_POSTGRESQL, NX_T_FLOAT32, "|real|" },
	{ NX_D_POSTGRESQL, NX_T_FLOAT64, "|double precision|" },
	{ NX_D_POSTGRESQL, NX_T_DECIMAL, "|numeric|" },
	{ NX_D_POSTGRESQL, NX_T_DATE, "|date|" },
	{ NX_D_POSTGRESQL, NX_T_TIME, "|time without time zone|" },
	{ NX_D_POSTGRESQL, NX_T_TIMETZ, "|time with time zone|" },
	{ NX_D_POSTGRESQL, NX_T_TIMESTAMP, "|timestamp without time zone|" },
	{ NX_D_POSTGRESQL, NX_T_TIMESTAMPTZ, "|timestamp with time zone|" },
	{ NX_D_POSTGRESQL, NX_T_INTERVAL, "|interval|" },
	{ NX_D_POSTGRESQL, NX_T_STRING,
	  "|text|character "
	  "varying|character|bpchar|name|xml|inet|cidr|macaddr|money|tsvector|point|"
	  "bit|bit varying|" },
	{ NX_D_POSTGRESQL, NX_T_BINARY, "|bytea|" },
	{ NX_D_POSTGRESQL, NX_T_UUID, "|uuid|" },
	{ NX_D_POSTGRESQL, NX_T_JSON, "|json|jsonb|" },
	{ NX_D_MYSQL, NX_T_INT8, "|tinyint|" },
	{ NX_D_MYSQL, NX_T_UINT8, "|tinyint unsigned|" },
	{ NX_D_MYSQL, NX_T_INT16, "|smallint|" },
	{ NX_D_MYSQL, NX_T_UINT16, "|smallint unsigned|" },
	{ NX_D_MYSQL, NX_T_INT32, "|int|mediumint|" },
	{ NX_D_MYSQL, NX_T_UINT32, "|int unsigned|mediumint unsigned|" },
	{ NX_D_MYSQL, NX_T_INT64, "|bigint|" },
	{ NX_D_MYSQL, NX_T_UINT64, "|bigint unsigned|bit|" },
	{ NX_D_MYSQL, NX_T_FLOAT32, "|float|" },
	{ NX_D_MYSQL, NX_T_FLOAT64, "|double|" },
	{ NX_D_MYSQL, NX_T_DECIMAL, "|decimal|decimal unsigned|" },
	{ NX_D_MYSQL, NX_T_DATE, "|date|" },
	{ NX_D_MYSQL, NX_T_TIMESTAMP, "|datetime|" },
	{ NX_D_MYSQL, NX_T_TIMESTAMPTZ, "|timestamp|" },
	/* not longtext: it is MariaDB's JSON, too */
	{ NX_D_MYSQL, NX_T_STRING, "|char|varchar|tinytext|text|mediumtext|enum|set|" },
	{ NX_D_MYSQL, NX_T_BINARY, "|binary|varbinary|tinyblob|blob|mediumblob|longblob|" },
	{ NX_D_MYSQL, NX_T_JSON, "|json|" },
	{ NX_D_DUCKDB, NX_T_BOOL, "|boolean|" },
	{ NX_D_DUCKDB, NX_T_INT8, "|tinyint|" },
	{ NX_D_DUCKDB, NX_T_UINT8, "|utinyint|" },
	{ NX_D_DUCKDB, NX_T_INT16, "|smallint|" },
	{ NX_D_DUCKDB, NX_T_UINT16, "|usmallint|" },
	{ NX_D_DUCKDB, NX_T_INT32, "|integer|" },
	{ NX_D_DUCKDB, NX_T_UINT32, "|uinteger|" },
	{ NX_D_DUCKDB, NX_T_INT64, "|bigint|" },
	{ NX_D_DUCKDB, NX_T_UINT64, "|ubigint|" },
	{ NX_D_DUCKDB, NX_T_FLOAT32, "|float|" },
	{ NX_D_DUCKDB, NX_T_FLOAT64, "|double|" },
	{ NX_D_DUCKDB, NX_T_DECIMAL, "|decimal|hugeint|uhugeint|bignum|" },
	{ NX_D_DUCKDB, NX_T_DATE, "|date|" },
	{ NX_D_DUCKDB, NX_T_TIME, "|time|" },
	{ NX_D_DUCKDB, NX_T_TIMETZ, "|time with time zone|" },
	{ NX_D_DUCKDB, NX_T_TIMESTAMP, "|timestamp|timestamp_s|timestamp_ms|timestamp_ns|" },
	{ NX_D_DUCKDB, NX_T_TIMESTAMPTZ, "|timestamp with time zone|" },
	{ NX_D_DUCKDB, NX_T_INTERVAL, "|interval|" },
	{ NX_D_DUCKDB, NX_T_STRING, "|varchar|enum|bit|" },
	{ NX_D_DUCKDB, NX_T_BINARY, "|blob|" },
	{ NX_D_DUCKDB, NX_T_UUID, "|uuid|" },
	{ NX_D_DUCKDB, NX_T_JSON, "|json|" },
	{ NX_D_DUCKDB, NX_T_STRUCT, "|struct|" },
	{ NX_D_DUCKDB, NX_T_MAP, "|map|" },
};

/* |base|, lower case, without what stands in parentheses. False: too long to be one of ours. */
static bool base_name(struct nx_str native, char out[64])
{
	size_t n = 0;
	unsigned depth = 0;
	out[n++] = '|';
	for (size_t i = 0; i < native.len; i++) {
		char c = native.ptr[i];
		depth += c == '(';
		if (depth == 0 && n < 61)
			out[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
		else if (depth == 0)
			return false;
		depth -= c == ')' && depth > 0;
	}
	out[n++] = '|';
	out[n] = '\0';
	return n > 2;
}

const char *nx_db_type(enum nx_dialect d, struct nx_str native)
{
	char name[64];
	if (!native.len || native.ptr[native.len - 1] == ']')
		return native.len && (d == NX_D_POSTGRESQL || d == NX_D_DUCKDB)
			       ? nx_type_name(NX_T_LIST)
			       : NULL;
	if (!base_name(native, name))
		return NULL;
	for (size_t i = 0; i < NX_COUNTOF(rows); i++)
		if (rows[i].dialect == d && strstr(rows[i].names, name))
			return nx_type_name(rows[i].type);
	return NULL;
}
