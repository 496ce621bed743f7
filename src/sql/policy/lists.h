/* The function lists of the dialects; see nx_fn_list in policy.h for how to read them. */
#ifndef NX_SQL_POLICY_LISTS_H
#define NX_SQL_POLICY_LISTS_H

#include "sql/policy.h"

extern const struct nx_fn_list nx_fn_postgresql[], nx_fn_redshift[], nx_fn_mysql[], nx_fn_sqlite[],
	nx_fn_duckdb[], nx_fn_oracle[], nx_fn_sqlserver[], nx_fn_clickhouse[], nx_fn_trino[],
	nx_fn_spark[], nx_fn_flink[], nx_fn_snowflake[], nx_fn_bigquery[], nx_fn_druid[];

#endif
