/* One row per dialect: how its text is cut into tokens and what its grammar lets happen. */
#include "sql/lex.h"
#include "sql/policy.h"
#include "sql/policy/lists.h"

#define PG_LEX (NX_L_DOLLAR | NX_L_E | NX_L_NUMBERED | NX_L_UQ | NX_L_ID_DOLLAR)
#define PG_EXPLAIN "verbose"
#define MYSQL_SHOW                                                                               \
	"tables databases schemas columns fields index indexes keys create full extended table " \
	"variables global session local status warnings errors collation character charset "     \
	"engines triggers events function procedure storage count open package"

static const struct nx_dialect_row rows[NX_DIALECT_COUNT] = {
	[NX_D_POSTGRESQL] = {
		.lex = PG_LEX | NX_L_NEST | NX_L_QUESTION | NX_L_HINT,
		.grammar = NX_G_AS_ANY | NX_G_PG | NX_G_VALUES | NX_G_ONLY,
		.functions = nx_fn_postgresql,
		.hints = "set",
		.show = "*",
		.explain = PG_EXPLAIN,
	},
	[NX_D_REDSHIFT] = {
		.lex = PG_LEX | NX_L_NEST | NX_L_NEST_UNSURE | NX_L_BS_UNSURE,
		.grammar = NX_G_AS_ANY | NX_G_ASCII_CALLS | NX_G_ONLY,
		.functions = nx_fn_redshift,
		.show = "*",
		.explain = PG_EXPLAIN,
	},
	[NX_D_MYSQL] = {
		.lex = NX_L_BS_SINGLE | NX_L_DQ_STRING | NX_L_DQ_BS | NX_L_BACKTICK | NX_L_HASH |
		       NX_L_DASH_SPACE | NX_L_EXEC | NX_L_HINT | NX_L_AT | NX_L_DIGIT_ID |
		       NX_L_ID_DOLLAR,
		.grammar = NX_G_TABLE_ALLOW | NX_G_ASCII_CALLS | NX_G_ASSIGN | NX_G_VALUES,
		.functions = nx_fn_mysql,
		.hints = "set_var resource_group max_execution_time query_timeout memory_quota",
		.show = MYSQL_SHOW,
		.describe = "extended partitions format tree json traditional",
		.explain = "extended partitions format tree json traditional verbose logical costs "
			   "graph dot brief row verbose hint plan_cache true_card_cost plan",
	},
	[NX_D_SQLITE] = {
		.lex = NX_L_BACKTICK | NX_L_BRACKET | NX_L_COLON | NX_L_DOLLAR_NAME |
		       NX_L_ID_DOLLAR,
		.grammar = NX_G_TABLE_ALLOW | NX_G_ASCII_CALLS | NX_G_SELF_CTE | NX_G_VALUES,
		.functions = nx_fn_sqlite,
		.tables = "pragma_* fsdir zipfile sqlite_dbpage sqlite_dbdata sqlite_dbptr dbstat "
				  "sqlite_stmt sqlite_memstat",
			.tables_ok = "pragma_table_info pragma_table_xinfo pragma_table_list "
			     "pragma_index_list pragma_index_info pragma_index_xinfo "
			     "pragma_foreign_key_list pragma_collation_list "
			     "pragma_compile_options pragma_function_list pragma_module_list",
		.explain = "query plan",
	},
	[NX_D_DUCKDB] = {
		.lex = NX_L_DOLLAR | NX_L_E | NX_L_NUMBERED | NX_L_NEST | NX_L_DOLLAR_NAME |
		       NX_L_ID_DOLLAR,
		.grammar = NX_G_AS_ANY | NX_G_FROM_FIRST | NX_G_TABLE_ALLOW | NX_G_ASCII_CALLS |
			   NX_G_PATHS | NX_G_BRACKET_FOR | NX_G_VALUES,
		.functions = nx_fn_duckdb,
		.tables = "duckdb_secrets duckdb_logs duckdb_temporary_files "
			  "duckdb_prepared_statements duckdb_external_file_cache",
		.show = "tables all databases schemas columns from in create",
		.describe = "table",
		.explain = "",
		.typed_options = "store_rejects rejects_table rejects_scan encryption_config",
	},
	[NX_D_ORACLE] = {
		.lex = NX_L_Q | NX_L_NEST_UNSURE | NX_L_HINT | NX_L_COLON | NX_L_ID_DOLLAR |
		       NX_L_ID_HASH | NX_L_SUFFIX,
		.grammar = NX_G_TABLE_ALLOW | NX_G_ASCII_CALLS | NX_G_SELF_CTE | NX_G_DBLINK |
			   NX_G_SEQ_DOT | NX_G_BARE_CALLS | NX_G_ONLY,
		.functions = nx_fn_oracle,
		.hints = "with_plsql query_timeout monitor_exec",
		.describe = "table",
	},
	[NX_D_SQLSERVER] = {
		.lex = NX_L_BRACKET | NX_L_BRACKET_DBL | NX_L_NEST | NX_L_AT | NX_L_ID_DOLLAR |
		       NX_L_ID_HASH | NX_L_ID_AT,
		.grammar = NX_G_TABLE_ALLOW | NX_G_ASCII_CALLS | NX_G_SELF_CTE | NX_G_TSQL |
			   NX_G_FOUR_PARTS,
		.functions = nx_fn_sqlserver,
	},
	[NX_D_CLICKHOUSE] = {
		.lex = NX_L_BS_SINGLE | NX_L_DQ_BS | NX_L_BACKTICK | NX_L_BACKTICK_BS | NX_L_DOLLAR |
		       NX_L_HASH_SPACE | NX_L_NO_SLASHES | NX_L_NEST | NX_L_NEST_UNSURE,
		.grammar = NX_G_AS_ANY | NX_G_FROM_FIRST | NX_G_TABLE_ALLOW | NX_G_ASCII_CALLS |
			   NX_G_WITH_EXPR,
		.functions = nx_fn_clickhouse,
		.show = "tables databases create columns fields full dictionaries functions table "
			"database view index indexes indices keys engines extended",
		.describe = "table",
		.explain = "ast syntax query tree plan pipeline",
	},
	[NX_D_TRINO] = {
		.lex = NX_L_NEST_UNSURE | NX_L_FOLDS | NX_L_UQ,
		.grammar = NX_G_TABLE_ALLOW | NX_G_ASCII_CALLS | NX_G_VALUES,
		.functions = nx_fn_trino,
		.show = "tables schemas catalogs columns functions create stats",
		.describe = "",
		.explain = "verbose",
	},
	[NX_D_SPARK] = {
		.lex = NX_L_BS_SINGLE | NX_L_DQ_STRING | NX_L_DQ_BS | NX_L_DQ_UNSURE | NX_L_BACKTICK |
		       NX_L_R | NX_L_NEST_UNSURE | NX_L_HINT | NX_L_DIGIT_ID | NX_L_FOLDS |
		       NX_L_SUBST | NX_L_SUFFIX | NX_L_CONTINUE,
		.grammar = NX_G_TABLE_ALLOW | NX_G_ASCII_CALLS | NX_G_PATH_TABLES | NX_G_SCRIPT |
			   NX_G_VALUES,
		.functions = nx_fn_spark,
		.hints = "with_options set",
		.show = "tables databases schemas columns functions create views partitions catalogs "
			"tblproperties table",
		.describe = "table extended formatted database schema function catalog query",
		.explain = "extended codegen cost formatted",
	},
	[NX_D_FLINK] = {
		.lex = NX_L_DQ_NONE | NX_L_BACKTICK | NX_L_NEST_UNSURE | NX_L_HINT | NX_L_FOLDS |
		       NX_L_ID_DOLLAR,
		.grammar = NX_G_TABLE_ALLOW | NX_G_ASCII_CALLS | NX_G_VALUES,
		.functions = nx_fn_flink,
		.hints = "options lookup_options dynamic_options",
		.show = "tables databases catalogs columns functions views create full user current "
			"partitions",
		.describe = "",
		.explain = "plan for estimated_cost changelog_mode json_execution_plan plan_advice",
	},
	[NX_D_SNOWFLAKE] = {
		.lex = NX_L_BS_SINGLE | NX_L_DOLLAR2 | NX_L_SLASHES | NX_L_NEST_UNSURE | NX_L_AT |
		       NX_L_NUMBERED | NX_L_ID_DOLLAR | NX_L_FOLDS,
		.grammar = NX_G_AS_ANY | NX_G_TABLE_ALLOW | NX_G_ASCII_CALLS | NX_G_FLOW |
			   NX_G_SEQ_DOT | NX_G_SELF_CTE | NX_G_VALUES,
		.functions = nx_fn_snowflake,
		.show = "tables schemas databases columns views objects functions terse primary "
			"imported unique materialized dynamic external",
		.describe = "table view",
		.explain = "using tabular json text",
	},
	[NX_D_BIGQUERY] = {
		.lex = NX_L_BS_SINGLE | NX_L_DQ_STRING | NX_L_DQ_BS | NX_L_BACKTICK | NX_L_BACKTICK_BS |
		       NX_L_TRIPLE | NX_L_HASH | NX_L_NEST_UNSURE | NX_L_AT | NX_L_FOLDS,
		.grammar = NX_G_FROM_FIRST | NX_G_TABLE_ALLOW | NX_G_ASCII_CALLS | NX_G_PIPE |
			   NX_G_SPLIT_QUOTED | NX_G_DASH_NAMES,
		.functions = nx_fn_bigquery,
	},
	[NX_D_DRUID] = {
		.lex = NX_L_UQ | NX_L_NEST_UNSURE | NX_L_FOLDS | NX_L_ID_DOLLAR,
		.grammar = NX_G_TABLE_ALLOW | NX_G_ASCII_CALLS | NX_G_VALUES,
		.functions = nx_fn_druid,
		.explain = "plan for",
	},
};

const struct nx_dialect_row *nx_dialect_row(enum nx_dialect d)
{
	static const struct nx_fn_list none[] = { { 0, NULL } };
	static const struct nx_dialect_row closed = { .functions = none };
	if ((unsigned)d >= NX_DIALECT_COUNT || !rows[d].functions)
		return &closed;
	return &rows[d];
}
