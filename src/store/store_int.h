/* Private to src/store: the connection, its prepared statements, and how they are run.
 *
 * Lock: every function of store.h takes s->lock for its whole length; everything declared here
 * expects it held. Statements are reset by nx_st_end(), also on failure. */
#ifndef NX_STORE_STORE_INT_H
#define NX_STORE_STORE_INT_H

#include <pthread.h>
#include <sqlite3.h>

#include "store/store.h"

enum nx_stmt {
#define NX_STMT(name, sql) NX_ST_##name,
#include "store/statements.def"
#undef NX_STMT
	NX_ST_COUNT
};

struct nx_store {
	pthread_mutex_t lock;
	sqlite3 *db;
	sqlite3_stmt *st[NX_ST_COUNT];
	int lock_fd; /* flock on <path>.lock; -1 for :memory: */
	int64_t history_first; /* older records are over the limit of the last add; 0: unknown */
};

/* Maps the connection's last error. The text for clients never quotes SQLite; the detail does. */
enum nx_code nx_store_fail(sqlite3 *db, int rc, struct nx_error *err);

/* Starts a statement: reset, no bindings. */
sqlite3_stmt *nx_st(struct nx_store *s, enum nx_stmt which);
void nx_st_text(sqlite3_stmt *st, int at, struct nx_str v);
void nx_st_blob(sqlite3_stmt *st, int at, struct nx_str v);
void nx_st_i64(sqlite3_stmt *st, int at, int64_t v);
struct nx_str nx_st_col(sqlite3_stmt *st, int at); /* until the next step */
/* sqlite3_step() with errno cleared, for nx_store_fail(). */
int nx_st_step(sqlite3_stmt *st);
/* Runs a statement that gives no rows, and resets it. */
NX_NODISCARD enum nx_code nx_st_run(struct nx_store *s, sqlite3_stmt *st, struct nx_error *err);
/* Next row: true; end or failure: false with *ret set, and the statement is reset. */
bool nx_st_next(struct nx_store *s, sqlite3_stmt *st, enum nx_code *ret, struct nx_error *err);
void nx_st_end(sqlite3_stmt *st);

NX_NODISCARD enum nx_code nx_store_begin(struct nx_store *s, struct nx_error *err);
/* Commits when `c` is NX_OK, else rolls back and hands `c` through. */
NX_NODISCARD enum nx_code nx_store_end(struct nx_store *s, enum nx_code c, struct nx_error *err);

NX_NODISCARD enum nx_code nx_store_migrate(sqlite3 *db, struct nx_error *err);

#endif
