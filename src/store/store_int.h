/* Private to src/store: one statement layer over two engines.
 *
 *	rows.c history.c reseal.c    what is kept, in the SQL of statements.def
 *	migrations.c                 the schema, one list of steps for both
 *	store.c                      transactions, the counter of changes, opening
 *	sqlite.c  mysql.c            an engine each: struct nx_store_ops
 *
 * Lock: every function of store.h takes s->lock for its whole length; everything declared here
 * expects it held. With MySQL this is a lock over network I/O: each exchange is bounded by the
 * store's timeout, and while the server is away all but one caller in a while fail at once. */
#ifndef NX_STORE_STORE_INT_H
#define NX_STORE_STORE_INT_H

#include <pthread.h>

#include "store/store.h"

enum nx_stmt {
#define NX_STMT(name, sql) NX_ST_##name,
#include "store/statements.def"
#undef NX_STMT
	NX_ST_COUNT
};
extern const char *const nx_statements[NX_ST_COUNT];

#define NX_ST_BINDS 11
#define NX_ST_COLS 11

/* ---- engines ---- */

enum nx_row { NX_ROW, NX_ROW_END, NX_ROW_DUPLICATE /* a unique key is taken */, NX_ROW_FAILED };

struct nx_bind {
	enum { NX_BIND_NONE, NX_BIND_TEXT, NX_BIND_BLOB, NX_BIND_I64 } kind;
	struct nx_str text; /* the caller's, until nx_st_end() */
	int64_t number;
};

/* A statement and its bindings. `running`: executed, between its first step and nx_st_end(). */
struct nx_st {
	struct nx_store *s;
	enum nx_stmt which;
	bool running;
	struct nx_bind bind[NX_ST_BINDS];
};

struct nx_store_ops {
	bool shared; /* other instances may write, too */
	/* What the schema's words for types are here: "{id}" and so on, pairs ending with NULL. */
	const char *const (*types)[2];
	void (*close)(struct nx_store *s); /* half-built, too; frees s */
	/* SQL without rows or values. */
	enum nx_code (*exec)(struct nx_store *s, const char *sql, struct nx_error *err);
	/* One number, for what runs before the statements can be prepared. */
	enum nx_code (*number)(struct nx_store *s, const char *sql, int64_t *ret, struct nx_error *err);
	/* Begins to write; reconnects if need be. */
	enum nx_code (*begin)(struct nx_store *s, struct nx_error *err);
	bool (*in_transaction)(struct nx_store *s);
	/* Executes on the first call, then a row each. */
	enum nx_row (*step)(struct nx_st *st, enum nx_code *ret, struct nx_error *err);
	void (*reset)(struct nx_st *st);
	struct nx_str (*text)(struct nx_st *st, int at); /* until the next step */
	int64_t (*int64)(struct nx_st *st, int at);
	/* A step of the schema that an earlier crash left half done: is this error of its SQL the proof
	 * that a part is there already? NULL: steps are transactions here. */
	bool (*done_before)(struct nx_store *s);
};

/* An engine's own struct begins with this. */
struct nx_store {
	const struct nx_store_ops *ops;
	pthread_mutex_t lock;
	struct nx_st st[NX_ST_COUNT];
	uint32_t session; /* connections made so far */
	int64_t affected; /* rows found by the last statement that wrote */
	int64_t history_first; /* older records are over the limit of the last add; 0: unknown */
};

void nx_store_init(struct nx_store *s, const struct nx_store_ops *ops);
void nx_store_done(struct nx_store *s);
/* Forward only; up to `version`, or INT_MAX. */
NX_NODISCARD enum nx_code nx_store_migrate(struct nx_store *s, int version, struct nx_error *err);

/* `schema`: stop at that version, for tests; INT_MAX: the newest. */
NX_NODISCARD enum nx_code nx_sqlite_open(const char *path, int schema, struct nx_store **ret,
					 struct nx_error *err);
NX_NODISCARD enum nx_code nx_mysql_open(const struct nx_store_config *cfg, int schema,
					struct nx_store **ret, struct nx_error *err);
struct sqlite3 *nx_sqlite_db(struct nx_store *s); /* for tests */

/* ---- statements ---- */

/* Starts a statement: no bindings. */
struct nx_st *nx_st(struct nx_store *s, enum nx_stmt which);
/* `at` counts from 1, as ?1 does. */
void nx_st_text(struct nx_st *st, int at, struct nx_str v);
void nx_st_blob(struct nx_st *st, int at, struct nx_str v);
void nx_st_i64(struct nx_st *st, int at, int64_t v);
/* `at` counts from 0. */
struct nx_str nx_st_col(struct nx_st *st, int at);
int64_t nx_st_col_i64(struct nx_st *st, int at);
/* Runs a statement that gives no rows, and resets it. */
NX_NODISCARD enum nx_code nx_st_run(struct nx_st *st, struct nx_error *err);
/* The same for an INSERT or UPDATE that may hit a unique key: that is `taken` with this text. */
NX_NODISCARD enum nx_code nx_st_run_unique(struct nx_st *st, enum nx_code taken, const char *text,
					   struct nx_error *err);
/* Next row: true; end or failure: false with *ret set, and the statement is reset. */
bool nx_st_next(struct nx_st *st, enum nx_code *ret, struct nx_error *err);
void nx_st_end(struct nx_st *st);

/* ---- transactions ---- */

/* Every write is in one. What it changes decides who else must know: SHARED is what other instances
 * hold in memory, and they look for it (nx_store_changes()). The row of the counter is written first,
 * so it is also what puts the writers of all instances in a row: what a transaction reads after
 * nx_store_begin() nobody changes before its end. */
enum nx_topic { NX_TOPIC_NONE, NX_TOPIC_SHARED, NX_TOPIC_HISTORY };
NX_NODISCARD enum nx_code nx_store_begin(struct nx_store *s, enum nx_topic topic, struct nx_error *err);
/* Commits when `c` is NX_OK, else rolls back and hands `c` through. */
NX_NODISCARD enum nx_code nx_store_end(struct nx_store *s, enum nx_code c, struct nx_error *err);

#endif
