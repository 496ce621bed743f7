/* The schema, as numbered steps that only go forward. A step, once released, never changes: a new
 * one is added. Each runs in its own transaction together with its row in schema_migrations, so a
 * crash leaves whole steps. The SQL keeps to what MySQL also understands, but for types. */
#include "base/clock.h"
#include "store/store_int.h"

static const struct {
	int version;
	const char *name;
	const char *sql;
} steps[] = {
	{ 1, "sources, keys, settings, history",
	  "CREATE TABLE sources ("
	  " id TEXT NOT NULL PRIMARY KEY,"
	  " name TEXT NOT NULL UNIQUE,"
	  " type TEXT NOT NULL,"
	  " description TEXT NOT NULL,"
	  " status TEXT NOT NULL,"
	  " config TEXT NOT NULL,"
	  " secrets BLOB NOT NULL,"
	  " created_at TEXT NOT NULL,"
	  " updated_at TEXT NOT NULL,"
	  " version INTEGER NOT NULL);"
	  "CREATE TABLE source_versions ("
	  " source_id TEXT NOT NULL,"
	  " version INTEGER NOT NULL,"
	  " name TEXT NOT NULL,"
	  " type TEXT NOT NULL,"
	  " description TEXT NOT NULL,"
	  " status TEXT NOT NULL,"
	  " config TEXT NOT NULL,"
	  " secrets BLOB NOT NULL,"
	  " created_at TEXT NOT NULL,"
	  " updated_at TEXT NOT NULL,"
	  " PRIMARY KEY (source_id, version));"
	  "CREATE TABLE settings ("
	  " name TEXT NOT NULL PRIMARY KEY,"
	  " value BLOB NOT NULL);"
	  "CREATE TABLE api_keys ("
	  " id TEXT NOT NULL PRIMARY KEY,"
	  " name TEXT NOT NULL,"
	  " prefix TEXT NOT NULL UNIQUE,"
	  " role TEXT NOT NULL,"
	  " hash BLOB NOT NULL,"
	  " created_at TEXT NOT NULL,"
	  " expires_at TEXT NOT NULL);"
	  /* up to some hundred finished queries in a row of the table; see history.c */
	  "CREATE TABLE history ("
	  " last INTEGER NOT NULL PRIMARY KEY,"
	  " n INTEGER NOT NULL,"
	  " records BLOB NOT NULL);" },
	{ 2, "grants",
	  "CREATE TABLE grants ("
	  " source_id TEXT NOT NULL PRIMARY KEY,"
	  " list TEXT NOT NULL);" },
	{ 3, "scopes and last use of keys",
	  "ALTER TABLE api_keys ADD COLUMN limits TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE api_keys ADD COLUMN last_used_at TEXT NOT NULL DEFAULT '';" },
	{ 4, "who changed a source",
	  "ALTER TABLE sources ADD COLUMN changed_by TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE source_versions ADD COLUMN changed_by TEXT NOT NULL DEFAULT '';" },
};

static enum nx_code exec(sqlite3 *db, const char *sql, struct nx_error *err)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? NX_OK : nx_store_fail(db, rc, err);
}

static enum nx_code current(sqlite3 *db, int *ret, struct nx_error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, "SELECT coalesce(max(version), 0) FROM schema_migrations",
				    -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	enum nx_code c = NX_OK;
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int(st, 0);
	else
		c = nx_store_fail(db, rc, err);
	sqlite3_finalize(st);
	return c;
}

static enum nx_code apply(sqlite3 *db, size_t i, struct nx_error *err)
{
	char now[NX_ISO_LEN];
	nx_iso_time(nx_wall_us(), now);
	enum nx_code c = exec(db, "BEGIN IMMEDIATE", err);
	if (c)
		return c;
	c = exec(db, steps[i].sql, err);
	sqlite3_stmt *st = NULL;
	if (!c) {
		int rc = sqlite3_prepare_v2(db, "INSERT INTO schema_migrations VALUES (?1, ?2, ?3)",
					    -1, &st, NULL);
		if (rc == SQLITE_OK) {
			sqlite3_bind_int(st, 1, steps[i].version);
			sqlite3_bind_text(st, 2, steps[i].name, -1, SQLITE_STATIC);
			sqlite3_bind_text(st, 3, now, -1, SQLITE_STATIC);
			rc = sqlite3_step(st);
		}
		if (rc != SQLITE_DONE)
			c = nx_store_fail(db, rc, err);
	}
	sqlite3_finalize(st);
	if (!c)
		c = exec(db, "COMMIT", err);
	if (c && !sqlite3_get_autocommit(db))
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return c;
}

enum nx_code nx_store_migrate(sqlite3 *db, struct nx_error *err)
{
	enum nx_code c = exec(db,
			      "CREATE TABLE IF NOT EXISTS schema_migrations ("
			      " version INTEGER NOT NULL PRIMARY KEY,"
			      " name TEXT NOT NULL,"
			      " applied_at TEXT NOT NULL)",
			      err);
	int have = 0;
	if (!c)
		c = current(db, &have, err);
	if (c)
		return c;
	int newest = steps[NX_COUNTOF(steps) - 1].version;
	if (have > newest)
		return nx_fail(err, NX_E_STORE_FAILED,
			       "The metadata store has schema version %d; this build knows %d. "
			       "Start the newer build.",
			       have, newest);
	for (size_t i = 0; !c && i < NX_COUNTOF(steps); i++)
		if (steps[i].version > have)
			c = apply(db, i, err);
	return c;
}
