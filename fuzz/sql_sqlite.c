/* SQLite: what the gate lets pass must compile to one statement that only reads, with nothing left over;
 * an authorizer watches what it would do. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/gate.h"
#include "sql_mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int refused;

static int authorize(void *arg, int action, const char *a, const char *b, const char *db,
		     const char *by)
{
	(void)arg, (void)db, (void)by;
	switch (action) {
	case SQLITE_SELECT:
	case SQLITE_READ:
	case SQLITE_RECURSIVE:
		return SQLITE_OK;
	case SQLITE_FUNCTION:
		if (b && sqlite3_stricmp(b, "load_extension") == 0)
			refused = action;
		return SQLITE_OK;
	case SQLITE_UPDATE:
	case SQLITE_INSERT:
		/* a table-valued function declares itself on first use */
		if (!a || (strcmp(a, "sqlite_master") != 0 && strcmp(a, "sqlite_temp_master") != 0))
			refused = action;
		return SQLITE_OK;
	default:
		refused = action;
		return SQLITE_OK;
	}
}

static sqlite3 *open_db(void)
{
	static sqlite3 *db;
	if (db)
		return db;
	if (sqlite3_open(":memory:", &db) != SQLITE_OK ||
	    sqlite3_exec(db,
			 "CREATE TABLE t (a, b, c, s, j); CREATE TABLE u (a, b); "
			 "CREATE VIEW v AS SELECT a FROM t; CREATE INDEX t_a ON t (a)",
			 NULL, NULL, NULL) != SQLITE_OK)
		abort();
	sqlite3_set_authorizer(db, authorize, NULL);
	return db;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nx_gate_policy p = { .max_bytes = 4000 };
	struct nx_arena *a = nx_arena_new(0);
	struct nx_verdict v;
	struct nx_error err;
	if (nx_gate_check(NX_D_SQLITE, &p, "?", nx_strn((const char *)data, size), a, &v, &err) ==
	    NX_OK) {
		sqlite3_stmt *stmt = NULL;
		const char *tail = NULL;
		refused = 0;
		int rc = sqlite3_prepare_v2(open_db(), v.sql.ptr, -1, &stmt, &tail);
		bool bad = refused || (rc == SQLITE_OK &&
				       (!stmt || !sqlite3_stmt_readonly(stmt) || *tail ||
					sqlite3_column_count(stmt) == 0 ||
					sqlite3_bind_parameter_count(stmt) != (int)v.nparams));
		if (bad) {
			fprintf(stderr, "%s\naction %d, tail '%s'\n", v.sql.ptr, refused,
				tail ? tail : "");
			abort();
		}
		sqlite3_finalize(stmt);
	}
	nx_arena_free(a);
	return 0;
}
