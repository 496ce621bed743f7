/* SQLite files: driver table, source, connection, and what makes it read-only.
 *
 * Layer B: the file is opened read-only and the connection is query_only. Layer C: a statement is
 * compiled, and must be read-only and have columns, before it runs. Layer D: the compiler takes one
 * statement and what is left over must be empty. On top of that an authorizer sees every statement
 * while it is compiled, nested ones too: only SELECT, column reads, recursion, functions that are
 * not on the list below, and pragmas that describe. */
#include "sqlite_int.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

enum {
	PROGRESS_OPS = 2000, /* virtual machine steps between looks at cancel and deadline */
	MAX_VALUE = 256 << 20, /* bytes of one string, blob or row */
	MAX_SQL = 1 << 20,
	CACHE_KIB = 8 << 10, /* page cache of a connection */
	BUSY_STEP_US = 2000, /* between two tries while a writer holds the lock */
};

static const struct nx_option options[] = {
	{ "path", NX_OPT_STRING, NX_OPTF_REQUIRED, NULL, 0, 0, NULL,
	  "The database file; a relative path counts from where the gateway was started." },
	{ .key = NULL },
};

/* --- read-only ----------------------------------------------------------------------------- */

static bool one_of(const char *const *list, const char *name)
{
	for (; name && *list; list++)
		if (sqlite3_stricmp(*list, name) == 0)
			return true;
	return false;
}

static int authorize(void *arg, int action, const char *a, const char *b, const char *db,
		     const char *trigger)
{
	static const char *const bad_functions[] = {
		"load_extension", "fts3_tokenizer", "sqlite_log", "readfile", "writefile",
		"edit",		  "lsmode",	    "zipfile",	  "fsdir",    NULL,
	};
	static const char *const good_pragmas[] = {
		"table_info",
		"table_xinfo",
		"table_list",
		"index_list",
		"index_info",
		"index_xinfo",
		"foreign_key_list",
		"collation_list",
		"function_list",
		"data_version",
		/* asked by full text search */ NULL,
	};
	(void)arg;
	(void)db;
	(void)trigger;
	switch (action) {
	case SQLITE_SELECT:
	case SQLITE_READ:
	case SQLITE_RECURSIVE:
		return SQLITE_OK;
	case SQLITE_FUNCTION:
		return one_of(bad_functions, b) ? SQLITE_DENY : SQLITE_OK;
	case SQLITE_PRAGMA:
		return one_of(good_pragmas, a) ? SQLITE_OK : SQLITE_DENY;
	case SQLITE_UPDATE:
		/* A virtual table (json_each, full text, pragma functions) declares its columns
		 * through a CREATE TABLE whose code is thrown away, but which is asked about here.
		 * A real UPDATE of the schema is refused by the defensive mode and by layer C. */
		return a && strcmp(a, "sqlite_master") == 0 ? SQLITE_OK : SQLITE_DENY;
	default:
		return SQLITE_DENY;
	}
}

static int set_up(sqlite3 *db)
{
	static const struct {
		int op, value;
	} config[] = {
		{ SQLITE_DBCONFIG_DEFENSIVE, 1 },
		{ SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
		{ SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
		{ SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
		{ SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0 },
		{ SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0 },
	};
	static const struct {
		int id, value;
	} limits[] = {
		{ SQLITE_LIMIT_ATTACHED, 0 },	      { SQLITE_LIMIT_LENGTH, MAX_VALUE },
		{ SQLITE_LIMIT_SQL_LENGTH, MAX_SQL }, { SQLITE_LIMIT_WORKER_THREADS, 0 },
		{ SQLITE_LIMIT_TRIGGER_DEPTH, 1 },
	};
	for (size_t i = 0; i < NX_COUNTOF(config); i++) {
		int now = -1;
		int rc = sqlite3_db_config(db, config[i].op, config[i].value, &now);
		if (rc != SQLITE_OK || now != config[i].value)
			return rc ? rc : SQLITE_ERROR;
	}
	for (size_t i = 0; i < NX_COUNTOF(limits); i++)
		sqlite3_limit(db, limits[i].id, limits[i].value);
	/* Memory maps are off: a file cut short under one would be a SIGBUS. */
	char sql[200];
	snprintf(sql, sizeof(sql),
		 "PRAGMA query_only=1; PRAGMA mmap_size=0; PRAGMA cell_size_check=1;"
		 "PRAGMA cache_size=-%d; SELECT count(*) FROM sqlite_schema",
		 CACHE_KIB);
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	return rc ? rc : sqlite3_set_authorizer(db, authorize, NULL);
}

/* --- waiting ------------------------------------------------------------------------------- */

static bool must_stop(struct lite_conn *c)
{
	return atomic_load_explicit(&c->cancelled, memory_order_relaxed) || nx_now() > c->deadline;
}

static int on_progress(void *arg)
{
	return must_stop(arg);
}

/* A writer holds the file: wait for it as long as the query may run, then SOURCE_BUSY. */
static int on_busy(void *arg, int times)
{
	(void)times;
	struct lite_conn *c = arg;
	if (must_stop(c))
		return 0;
	usleep(BUSY_STEP_US);
	return 1;
}

enum nx_code lite_cancel_code(struct lite_conn *c, struct nx_error *err)
{
	if (!atomic_load(&c->cancelled) && nx_now() > c->deadline)
		return nx_fail(err, NX_E_QUERY_TIMEOUT, "The query ran longer than its limit.");
	return nx_fail(err, NX_E_QUERY_CANCELED, "The query was cancelled.");
}

static void cancel(struct nx_conn *base)
{
	struct lite_conn *c = (struct lite_conn *)base;
	atomic_store(&c->cancelled, true);
	sqlite3_interrupt(c->db); /* safe from any thread while the connection is open */
}

/* --- source -------------------------------------------------------------------------------- */

static enum nx_code init(struct nx_error *err)
{
	if (!sqlite3_threadsafe())
		return nx_fail(err, NX_E_CONFIG, "The SQLite library was built without threads.");
	return NX_OK;
}

static void close_source(struct nx_source *base)
{
	struct lite_source *s = (struct lite_source *)base;
	if (!s)
		return;
	free(s->path);
	free(s);
}

static enum nx_code open_source(const struct nx_options *opts, struct nx_source **ret,
				struct nx_error *err)
{
	const char *path = nx_opt_str(opts, "path", "");
	char cwd[PATH_MAX];
	if (!*path)
		return nx_fail(err, NX_E_CONFIG_INVALID, "path must not be empty.");
	struct lite_source *s = calloc(1, sizeof(*s));
	if (!s)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	s->base.driver = &nx_driver_sqlite;
	/* Absolute, so that names with a meaning of their own (:memory:, file:...) are files. */
	if (*path == '/')
		s->path = strdup(path);
	else if (!getcwd(cwd, sizeof(cwd)) || asprintf(&s->path, "%s/%s", cwd, path) < 0)
		s->path = NULL;
	if (!s->path) {
		close_source(&s->base);
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	*ret = &s->base;
	return NX_OK;
}

/* --- connection ---------------------------------------------------------------------------- */

static void disconnect(struct nx_conn *base)
{
	struct lite_conn *c = (struct lite_conn *)base;
	if (!c)
		return;
	sqlite3_close_v2(c->db);
	free(c);
}

static enum nx_code connect_file(struct nx_source *base, int64_t deadline, struct nx_conn **ret,
				 struct nx_error *err)
{
	const struct lite_source *s = (const struct lite_source *)base;
	struct stat st;
	if (stat(s->path, &st) != 0) {
		enum nx_code code =
			nx_fail(err, NX_E_SOURCE_DOWN, "The database file cannot be opened.");
		nx_error_detail(err, "%s: %s", s->path, strerror(errno));
		return code;
	}
	if (!S_ISREG(st.st_mode))
		return nx_fail(err, NX_E_CONFIG_INVALID, "path is not a regular file.");
	struct lite_conn *c = calloc(1, sizeof(*c));
	if (!c)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	c->base.driver = &nx_driver_sqlite;
	c->source = s;
	c->deadline = deadline;
	int rc = sqlite3_open_v2(s->path, &c->db,
				 SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX |
					 SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE,
				 NULL);
	if (rc == SQLITE_OK) {
		sqlite3_progress_handler(c->db, PROGRESS_OPS, on_progress, c);
		sqlite3_busy_handler(c->db, on_busy, c);
		rc = set_up(c->db);
	}
	if (rc != SQLITE_OK) {
		enum nx_code code = lite_error(c, rc, false, err);
		if (code == NX_E_QUERY_TIMEOUT || code == NX_E_SOURCE_BUSY)
			code = nx_fail(err, NX_E_CONNECT_TIMEOUT,
				       "The database file stayed locked by a writer.");
		disconnect(&c->base);
		return code;
	}
	c->deadline = INT64_MAX;
	*ret = &c->base;
	return NX_OK;
}

/* Is the file we have open still the one of that name? */
static bool check(struct nx_conn *base)
{
	struct lite_conn *c = (struct lite_conn *)base;
	int moved = 0;
	return sqlite3_file_control(c->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
	       !moved;
}

/* Streams leave nothing behind but a cancel that came late. */
static enum nx_code reset(struct nx_conn *base, int64_t deadline, struct nx_error *err)
{
	struct lite_conn *c = (struct lite_conn *)base;
	(void)deadline;
	atomic_store(&c->cancelled, false);
	if (!sqlite3_get_autocommit(c->db))
		return nx_fail(err, NX_E_INTERNAL, "A transaction was left open.");
	return NX_OK;
}

static enum nx_code probe(struct nx_conn *base, int64_t deadline, struct nx_grants *ret,
			  struct nx_error *err)
{
	const struct lite_conn *c = (const struct lite_conn *)base;
	(void)deadline;
	(void)err;
	struct nx_grants g = { .can_write = access(c->source->path, W_OK) == 0 };
	snprintf(g.summary, sizeof(g.summary), "%s",
		 g.can_write ? "The gateway's user may write the file; it is opened read-only."
			     : "The gateway's user cannot write the file.");
	*ret = g;
	return NX_OK;
}

const struct nx_driver nx_driver_sqlite = {
	.abi = NX_DRIVER_ABI,
	.name = "sqlite",
	.caps = NX_CAP_STREAM | NX_CAP_CANCEL | NX_CAP_RO_SESSION | NX_CAP_DESCRIBE |
		NX_CAP_ONE_STATEMENT | NX_CAP_PARAMS | NX_CAP_CATALOG | NX_CAP_POOLABLE |
		NX_CAP_GRANTS,
	.placeholder = "?",
	.options = options,
	.version = "SQLite " SQLITE_VERSION,
	.init = init,
	.open = open_source,
	.close = close_source,
	.connect = connect_file,
	.disconnect = disconnect,
	.check = check,
	.reset = reset,
	.query = lite_query,
	.schema = lite_schema,
	.next = lite_next,
	.release = lite_release,
	.tables = lite_tables,
	.columns = lite_columns,
	.keys = lite_keys,
	.probe = probe,
	.cancel = cancel,
};
