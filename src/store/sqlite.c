/* The engine of one gateway: a SQLite file.
 *
 * The instance lock is flock() on a file of its own: SQLite's locks on the database come and go with
 * transactions, and closing any descriptor of the database in this process would drop them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/log.h"
#include "store/store_int.h"

#define PATH_MAX_BYTES 4000

struct sqlite_store {
	struct nx_store base; /* first: the two convert into each other */
	sqlite3 *db;
	sqlite3_stmt *st[NX_ST_COUNT];
	int lock_fd; /* flock on <path>.lock; -1 for :memory: */
};

static struct sqlite_store *of(struct nx_store *s)
{
	return (struct sqlite_store *)(void *)s;
}

sqlite3 *nx_sqlite_db(struct nx_store *s)
{
	return of(s)->db;
}

static bool no_space(int e)
{
	return e == ENOSPC || e == EDQUOT || e == EFBIG;
}

static enum nx_code fail(sqlite3 *db, int rc, struct nx_error *err)
{
	/* SQLite records errno for a failed read or write, but not for one inside COMMIT: there errno
	 * itself, cleared before the step, is all there is. */
	int sys = db ? sqlite3_system_errno(db) : 0;
	if (sys == 0)
		sys = errno;
	int ext = db ? sqlite3_extended_errcode(db) : rc;
	enum nx_code c;
	switch (rc & 0xff) {
	case SQLITE_FULL:
		c = nx_fail(err, NX_E_STORE_FULL, "The metadata store is out of space.");
		break;
	case SQLITE_IOERR:
		c = no_space(sys)
			    ? nx_fail(err, NX_E_STORE_FULL, "The metadata store is out of space.")
			    : nx_fail(err, NX_E_STORE_FAILED,
				      "The metadata store cannot be read or written.");
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		c = nx_fail(
			err, NX_E_STORE_FAILED,
			"The metadata store is damaged or is not a store. Restore it from a copy.");
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		c = nx_fail(err, NX_E_STORE_LOCKED,
			    "The metadata store is used by another program.");
		break;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
	case SQLITE_AUTH:
		c = nx_fail(err, NX_E_STORE_FAILED,
			    "The metadata store may not be opened or written.");
		break;
	case SQLITE_NOMEM:
		c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
		break;
	case SQLITE_TOOBIG:
		c = nx_fail(err, NX_E_BAD_VALUE, "A value is too large for the metadata store.");
		break;
	default:
		c = nx_fail(err, NX_E_STORE_FAILED, "The metadata store failed.");
	}
	nx_error_native(err, ext, NULL);
	nx_error_detail(err, "sqlite %d: %s%s%s", ext, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc),
			sys ? ", errno: " : "", sys ? strerrordesc_np(sys) : "");
	return c;
}

/* ---- statements ---- */

static enum nx_code run_sql(struct nx_store *s, const char *sql, struct nx_error *err)
{
	errno = 0;
	int rc = sqlite3_exec(of(s)->db, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? NX_OK : fail(of(s)->db, rc, err);
}

static enum nx_code run_number(struct nx_store *s, const char *sql, int64_t *ret,
			       struct nx_error *err)
{
	sqlite3 *db = of(s)->db;
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	enum nx_code c = NX_OK;
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	else
		c = fail(db, rc, err);
	sqlite3_finalize(st);
	return c;
}

static enum nx_code begin(struct nx_store *s, struct nx_error *err)
{
	return run_sql(s, "BEGIN IMMEDIATE", err);
}

static bool in_transaction(struct nx_store *s)
{
	return !sqlite3_get_autocommit(of(s)->db); /* a full disk may have rolled back already */
}

/* A failed binding (memory, size) leaves NULL there, which the NOT NULL columns refuse: the
 * statement fails, nothing wrong is stored. */
static void bind_all(sqlite3_stmt *h, const struct nx_st *st)
{
	for (int i = 0; i < NX_ST_BINDS; i++) {
		const struct nx_bind *b = &st->bind[i];
		const char *p = b->text.ptr ? b->text.ptr : "";
		if (b->kind == NX_BIND_TEXT)
			(void)sqlite3_bind_text64(h, i + 1, p, b->text.len, SQLITE_STATIC,
						  SQLITE_UTF8);
		else if (b->kind == NX_BIND_BLOB)
			(void)sqlite3_bind_blob64(h, i + 1, p, b->text.len, SQLITE_STATIC);
		else if (b->kind == NX_BIND_I64)
			(void)sqlite3_bind_int64(h, i + 1, b->number);
	}
}

static enum nx_row step(struct nx_st *st, enum nx_code *ret, struct nx_error *err)
{
	struct sqlite_store *s = of(st->s);
	sqlite3_stmt *h = s->st[st->which];
	if (!st->running)
		bind_all(h, st);
	errno = 0;
	int rc = sqlite3_step(h);
	s->base.affected = sqlite3_changes64(s->db);
	if (rc == SQLITE_ROW)
		return NX_ROW;
	if (rc == SQLITE_DONE)
		return NX_ROW_END;
	*ret = fail(s->db, rc, err);
	return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY
		       ? NX_ROW_DUPLICATE
		       : NX_ROW_FAILED;
}

static void reset(struct nx_st *st)
{
	sqlite3_stmt *h = of(st->s)->st[st->which];
	(void)sqlite3_reset(h);
	(void)sqlite3_clear_bindings(h);
}

static struct nx_str column_text(struct nx_st *st, int at)
{
	/* SQLite's rule: the pointer first, then the size */
	sqlite3_stmt *h = of(st->s)->st[st->which];
	const void *p = sqlite3_column_blob(h, at);
	return nx_strn(p, (size_t)sqlite3_column_bytes(h, at));
}

static int64_t column_int64(struct nx_st *st, int at)
{
	return sqlite3_column_int64(of(st->s)->st[st->which], at);
}

/* ---- open ---- */

static enum nx_code io_fail(const char *what, struct nx_error *err)
{
	int e = errno;
	enum nx_code c =
		no_space(e) ? nx_fail(err, NX_E_STORE_FULL, "The metadata store is out of space.")
			    : nx_fail(err, NX_E_STORE_FAILED,
				      "The metadata store's %s cannot be opened: %s.", what,
				      strerrordesc_np(e));
	nx_error_native(err, e, NULL);
	return c;
}

static void read_pid(int fd, char ret[16])
{
	ssize_t n = pread(fd, ret, 15, 0);
	size_t len = 0;
	while (n > 0 && len < (size_t)n && ret[len] >= '0' && ret[len] <= '9')
		len++;
	ret[len] = '\0';
}

static enum nx_code take_lock(struct sqlite_store *s, const char *path, struct nx_error *err)
{
	char name[PATH_MAX_BYTES + 8];
	if (snprintf(name, sizeof(name), "%s.lock", path) >= (int)sizeof(name))
		return nx_fail(err, NX_E_CONFIG, "The path of the metadata store is too long.");
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return io_fail("lock file", err);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		char pid[16];
		int e = errno;
		read_pid(fd, pid);
		close(fd);
		errno = e;
		if (e != EWOULDBLOCK)
			return io_fail("lock file", err);
		return nx_fail(err, NX_E_STORE_LOCKED,
			       "The metadata store is used by another instance (pid %s).",
			       pid[0] ? pid : "unknown");
	}
	s->lock_fd = fd;
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	/* The pid is for people; the lock holds without it (a full disk must not stop the start). */
	if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) != n)
		nx_log(NX_LOG_WARN, "store", "the lock file does not hold the pid");
	return NX_OK;
}

/* Made by us with 0600 before SQLite sees it; SQLite gives its side files the same mode. */
static enum nx_code make_private(const char *path, struct nx_error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return io_fail("file", err);
	struct stat st;
	bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	if (ok && (st.st_mode & 0077))
		ok = fchmod(fd, 0600) == 0;
	if (!ok && errno == 0)
		errno = EINVAL;
	enum nx_code c = ok ? NX_OK : io_fail("file", err);
	close(fd);
	return c;
}

static enum nx_code set_up(struct sqlite_store *s, bool memory, int schema, struct nx_error *err)
{
	/* WAL with synchronous=FULL: a commit is on disk when it returns. secure_delete: a replaced
	 * ciphertext does not linger in free pages. */
	static const char pragmas[] =
		/* large pages: history comes in blocks of up to a megabyte */
		"PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
		"PRAGMA foreign_keys = ON;"
		"PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = "
		"OFF;"
		"PRAGMA cache_size = -4096; PRAGMA wal_autocheckpoint = 256;"
		"PRAGMA journal_size_limit = 16777216;";
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, 5000);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 0);
	int rc = sqlite3_exec(s->db, memory ? "PRAGMA temp_store = MEMORY" : pragmas, NULL, NULL,
			      NULL);
	if (rc != SQLITE_OK)
		return fail(s->db, rc, err);
	enum nx_code c = nx_store_migrate(&s->base, schema, err);
	for (int i = 0; !c && i < NX_ST_COUNT && schema == INT_MAX; i++) {
		rc = sqlite3_prepare_v3(s->db, nx_statements[i], -1, SQLITE_PREPARE_PERSISTENT,
					&s->st[i], NULL);
		if (rc != SQLITE_OK)
			c = fail(s->db, rc, err);
	}
	return c;
}

/* A file size limit shall be STORE_FULL; by default the signal would end the process. */
static void ignore_size_signal(void)
{
	struct sigaction now;
	if (sigaction(SIGXFSZ, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		(void)signal(SIGXFSZ, SIG_IGN);
}

static void close_store(struct nx_store *base)
{
	struct sqlite_store *s = of(base);
	for (int i = 0; i < NX_ST_COUNT; i++)
		sqlite3_finalize(s->st[i]);
	if (sqlite3_close(s->db) != SQLITE_OK)
		nx_log(NX_LOG_ERROR, "store", "the metadata store did not close cleanly");
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	nx_store_done(base);
	free(s);
}

static const char *const types[][2] = {
	{ "{id}", "TEXT" },   { "{name}", "TEXT" },  { "{time}", "TEXT" },
	{ "{text}", "TEXT" }, { "{bytes}", "BLOB" }, { "{int}", "INTEGER" },
	{ "{empty}", "''" },  { "{table}", "" },     { NULL, NULL },
};

static const struct nx_store_ops sqlite_ops = {
	.types = types,
	.close = close_store,
	.exec = run_sql,
	.number = run_number,
	.begin = begin,
	.in_transaction = in_transaction,
	.step = step,
	.reset = reset,
	.text = column_text,
	.int64 = column_int64,
};

enum nx_code nx_sqlite_open(const char *path, int schema, struct nx_store **ret,
			    struct nx_error *err)
{
	bool memory = strcmp(path, ":memory:") == 0;
	if (!path[0] || strlen(path) > PATH_MAX_BYTES)
		return nx_fail(err, NX_E_CONFIG,
			       "The path of the metadata store is empty or too long.");
	struct sqlite_store *s = calloc(1, sizeof(*s));
	if (!s)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	ignore_size_signal();
	s->lock_fd = -1;
	nx_store_init(&s->base, &sqlite_ops);
	enum nx_code c = NX_OK;
	if (!memory)
		c = take_lock(s, path, err);
	if (!c && !memory)
		c = make_private(path, err);
	if (!c) {
		int rc = sqlite3_open_v2(
			path, &s->db,
			SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
		c = rc == SQLITE_OK ? set_up(s, memory, schema, err) : fail(s->db, rc, err);
	}
	if (c) {
		close_store(&s->base);
		return c;
	}
	*ret = &s->base;
	return NX_OK;
}
