/* A developer's tool: runs a file of SQL statements in a folder. Makes the sample data and what the
 * benchmarks read. No part of the server calls it. */
#include "engine/engine_int.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static char *slurp(const char *file)
{
	FILE *f = fopen(file, "rb");
	struct nx_buf b;
	nx_buf_init(&b, 1 << 20);
	if (!f) {
		fprintf(stderr, "nexus-engine: %s: %s\n", file, strerror(errno));
		return NULL;
	}
	char *p;
	for (size_t n; (p = nx_buf_reserve(&b, 4096)) && (n = fread(p, 1, 4096, f)) > 0;)
		b.len += n;
	nx_buf_putc(&b, '\0');
	fclose(f);
	if (b.failed) {
		fprintf(stderr, "nexus-engine: %s is over 1 MiB\n", file);
		nx_buf_done(&b);
	}
	return b.data;
}

static bool step(duckdb_connection con, duckdb_extracted_statements all, idx_t i)
{
	duckdb_prepared_statement p = NULL;
	duckdb_result r = { 0 };
	int64_t start = nx_now();
	bool ok = duckdb_prepare_extracted_statement(con, all, i, &p) == DuckDBSuccess &&
		  duckdb_execute_prepared(p, &r) == DuckDBSuccess;
	if (!ok) {
		const char *why = duckdb_result_error(&r);
		fprintf(stderr, "nexus-engine: statement %llu: %s\n", (unsigned long long)i + 1,
			why ? why : duckdb_prepare_error(p));
	} else {
		printf("%llu\t%.1f ms\t%llu rows\n", (unsigned long long)i + 1,
		       (double)(nx_now() - start) / 1e6,
		       (unsigned long long)duckdb_rows_changed(&r));
	}
	duckdb_destroy_result(&r);
	duckdb_destroy_prepare(&p);
	return ok;
}

static bool set_variable(duckdb_connection con, const char *var)
{
	const char *eq = strchr(var, '=');
	if (!eq)
		return false;
	char sql[512];
	int n = snprintf(sql, sizeof sql, "SET VARIABLE \"%.*s\" = '%s'", (int)(eq - var), var,
			 eq + 1);
	return n > 0 && (size_t)n < sizeof sql && duckdb_query(con, sql, NULL) == DuckDBSuccess;
}

int nx_script_run(const char *file, const char *folder, char *const *vars, int nvars)
{
	char *sql = slurp(file);
	if (!sql)
		return 1;
	if (chdir(folder)) {
		fprintf(stderr, "nexus-engine: %s: %s\n", folder, strerror(errno));
		free(sql);
		return 1;
	}
	duckdb_database db = NULL;
	duckdb_connection con = NULL;
	duckdb_extracted_statements all = NULL;
	bool ok = duckdb_open(NULL, &db) == DuckDBSuccess &&
		  duckdb_connect(db, &con) == DuckDBSuccess;
	for (int i = 0; ok && i < nvars; i++)
		ok = set_variable(con, vars[i]);
	idx_t n = ok ? duckdb_extract_statements(con, sql, &all) : 0;
	if (ok && n == 0)
		fprintf(stderr, "nexus-engine: %s\n", duckdb_extract_statements_error(all));
	ok = ok && n > 0;
	for (idx_t i = 0; ok && i < n; i++)
		ok = step(con, all, i);
	if (all)
		duckdb_destroy_extracted(&all);
	duckdb_disconnect(&con);
	duckdb_close(&db);
	free(sql);
	return ok ? 0 : 1;
}
