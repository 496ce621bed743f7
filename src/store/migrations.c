/* The schema, as numbered steps that only go forward. A step, once released, never changes: a new
 * one is added. On SQLite each runs in its own transaction together with its row in schema_migrations, so
 * a crash leaves whole steps. MySQL commits at each CREATE and ALTER: there a step that was cut short is
 * run again, and what is there already is passed over.
 *
 * Both engines understand the SQL but for types and the like: words in braces, which each engine
 * replaces by its own. A semicolon ends a statement and stands nowhere else. */
#include <stdio.h>

#include "base/clock.h"
#include "nexus/buf.h"
#include "store/store_int.h"

static const struct {
	int version;
	const char *name;
	const char *sql;
} steps[] = {
	{ 1, "sources, keys, settings, history",
	  "CREATE TABLE sources ("
	  " id {id} NOT NULL PRIMARY KEY,"
	  " name {name} NOT NULL UNIQUE,"
	  " type {id} NOT NULL,"
	  " description {text} NOT NULL,"
	  " status {id} NOT NULL,"
	  " config {text} NOT NULL,"
	  " secrets {bytes} NOT NULL,"
	  " created_at {time} NOT NULL,"
	  " updated_at {time} NOT NULL,"
	  " version {int} NOT NULL){table};"
	  "CREATE TABLE source_versions ("
	  " source_id {id} NOT NULL,"
	  " version {int} NOT NULL,"
	  " name {name} NOT NULL,"
	  " type {id} NOT NULL,"
	  " description {text} NOT NULL,"
	  " status {id} NOT NULL,"
	  " config {text} NOT NULL,"
	  " secrets {bytes} NOT NULL,"
	  " created_at {time} NOT NULL,"
	  " updated_at {time} NOT NULL,"
	  " PRIMARY KEY (source_id, version)){table};"
	  "CREATE TABLE settings ("
	  " name {name} NOT NULL PRIMARY KEY,"
	  " value {bytes} NOT NULL){table};"
	  "CREATE TABLE api_keys ("
	  " id {id} NOT NULL PRIMARY KEY,"
	  " name {name} NOT NULL,"
	  " prefix {id} NOT NULL UNIQUE,"
	  " role {id} NOT NULL,"
	  " hash {bytes} NOT NULL,"
	  " created_at {time} NOT NULL,"
	  " expires_at {time} NOT NULL){table};"
	  /* up to some hundred finished queries in a row of the table; see history.c */
	  "CREATE TABLE history ("
	  " last {int} NOT NULL PRIMARY KEY,"
	  " n {int} NOT NULL,"
	  " records {bytes} NOT NULL){table};" },
	{ 2, "grants",
	  "CREATE TABLE grants ("
	  " source_id {id} NOT NULL PRIMARY KEY,"
	  " list {text} NOT NULL){table};" },
	{ 3, "scopes and last use of keys",
	  "ALTER TABLE api_keys ADD COLUMN limits {text} NOT NULL DEFAULT {empty};"
	  "ALTER TABLE api_keys ADD COLUMN last_used_at {time} NOT NULL DEFAULT {empty};" },
	{ 4, "who changed a source",
	  "ALTER TABLE sources ADD COLUMN changed_by {name} NOT NULL DEFAULT {empty};"
	  "ALTER TABLE source_versions ADD COLUMN changed_by {name} NOT NULL DEFAULT {empty};" },
	/* how often what instances share was changed, and whose turn it is to write */
	{ 5, "changes",
	  "CREATE TABLE changes ("
	  " topic {id} NOT NULL PRIMARY KEY,"
	  " n {int} NOT NULL){table};"
	  "INSERT INTO changes (topic, n) VALUES ('shared', 0);"
	  "INSERT INTO changes (topic, n) VALUES ('history', 0);" },
};

/* `sql` with this engine's words. */
static void put_words(struct nx_buf *out, struct nx_str sql, const char *const (*types)[2])
{
	for (size_t i = 0; i < sql.len;) {
		size_t w = 0;
		while (sql.ptr[i] == '{' && types[w][0] &&
		       !nx_str_starts(nx_strn(sql.ptr + i, sql.len - i), nx_str(types[w][0])))
			w++;
		if (sql.ptr[i] == '{' && types[w][0]) {
			nx_buf_puts(out, types[w][1]);
			i += strlen(types[w][0]);
		} else {
			nx_buf_putc(out, sql.ptr[i++]);
		}
	}
	nx_buf_putc(out, '\0');
}

/* Statement by statement. */
static enum nx_code exec(struct nx_store *s, const char *sql, struct nx_error *err)
{
	enum nx_code c = NX_OK;
	while (!c && *sql) {
		const char *end = strchrnul(sql, ';');
		struct nx_buf b;
		nx_buf_init(&b, 65536);
		put_words(&b, nx_strn(sql, (size_t)(end - sql)), s->ops->types);
		c = b.failed ? nx_fail(err, NX_E_MEMORY, "Out of memory.")
			     : s->ops->exec(s, b.data, err);
		if (c && s->ops->done_before && s->ops->done_before(s))
			c = NX_OK;
		nx_buf_done(&b);
		sql = *end ? end + 1 : end;
	}
	return c;
}

static enum nx_code apply(struct nx_store *s, size_t i, struct nx_error *err)
{
	char now[NX_ISO_LEN], row[256];
	nx_iso_time(nx_wall_us(), now);
	if (snprintf(row, sizeof(row),
		     "INSERT INTO schema_migrations (version, name, applied_at) VALUES (%d, '%s', "
		     "'%s')",
		     steps[i].version, steps[i].name, now) >= (int)sizeof(row))
		return nx_fail(err, NX_E_INTERNAL, "The name of a migration is too long.");
	enum nx_code c = s->ops->begin(s, err);
	if (c)
		return c;
	c = exec(s, steps[i].sql, err);
	if (!c)
		c = s->ops->exec(s, row, err);
	return nx_store_end(s, c, err);
}

enum nx_code nx_store_migrate(struct nx_store *s, int version, struct nx_error *err)
{
	enum nx_code c = exec(s,
			      "CREATE TABLE IF NOT EXISTS schema_migrations ("
			      " version {int} NOT NULL PRIMARY KEY,"
			      " name {name} NOT NULL,"
			      " applied_at {time} NOT NULL){table}",
			      err);
	int64_t have = 0;
	if (!c)
		c = s->ops->number(s, "SELECT coalesce(max(version), 0) FROM schema_migrations",
				   &have, err);
	if (c)
		return c;
	int newest = steps[NX_COUNTOF(steps) - 1].version;
	if (have > newest)
		return nx_fail(err, NX_E_STORE_FAILED,
			       "The metadata store has schema version %lld; this build knows %d. "
			       "Start the newer build.",
			       (long long)have, newest);
	for (size_t i = 0; !c && i < NX_COUNTOF(steps) && steps[i].version <= version; i++)
		if (steps[i].version > have)
			c = apply(s, i, err);
	return c;
}
