/* Private to the sqlite driver: sqlite.c (source, connection, read-only), query.c (statements and
 * streams), values.c (types and values), errors.c, catalog.c. */
#ifndef NX_SQLITE_INT_H
#define NX_SQLITE_INT_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "nexus/buf.h"
#include "nexus/builder.h"
#include "nexus/driver.h"

extern const struct nx_driver nx_driver_sqlite;

struct lite_source {
	struct nx_source base;
	char *path; /* absolute */
};

struct lite_conn {
	struct nx_conn base;
	const struct lite_source *source;
	sqlite3 *db;
	atomic_bool cancelled; /* since the last query() or reset() began */
	int64_t deadline;      /* of the running query; INT64_MAX: none */
};

/* One value of a row that was read before the types were known. */
struct lite_cell {
	int class; /* SQLITE_INTEGER .. SQLITE_NULL */
	union {
		int64_t i;
		double d;
		struct {
			size_t at, len; /* in lite_stream.bytes */
		} s;
	} u;
};

struct lite_stream {
	struct nx_stream base;
	struct lite_conn *conn;
	sqlite3_stmt *stmt;
	struct nx_schema schema;
	struct nx_builder *builder;
	bool done;     /* step() said so */
	bool failed;   /* an error was returned */
	bool broken;   /* the file is damaged or gone */
	uint64_t rows; /* read so far */
	/* look-ahead */
	struct lite_cell *cells;
	uint32_t ahead, given; /* rows looked at, rows handed out of them */
	struct nx_buf bytes;
};

/* sqlite.c */
enum nx_code lite_cancel_code(struct lite_conn *c, struct nx_error *err);

/* errors.c: the last error of the connection. `preparing` tells a bad statement from a bad value. */
enum nx_code lite_error(struct lite_conn *c, int rc, bool preparing, struct nx_error *err);

/* values.c */
NX_NODISCARD enum nx_code lite_bind(sqlite3_stmt *stmt, const struct nx_value *params, uint32_t n,
				    struct nx_error *err);
/* Decides the type of every column from its declaration and the rows looked at. */
void lite_types(struct lite_stream *st, struct nx_field *fields);
/* Adds a row to the builder: one looked at before, or the statement's current one. */
NX_NODISCARD enum nx_code lite_put_ahead(struct lite_stream *st, uint32_t row, struct nx_error *err);
NX_NODISCARD enum nx_code lite_put_current(struct lite_stream *st, struct nx_error *err);
/* Keeps the statement's current row. False: out of memory. */
NX_NODISCARD bool lite_look(struct lite_stream *st);

/* query.c. `types` fixes the columns' types (catalog) or is NULL. */
enum nx_code lite_run(struct lite_conn *c, const struct nx_query *q, const enum nx_type *types,
		      struct nx_stream **ret, enum nx_conn_state *ret_state, struct nx_error *err);
enum nx_code lite_query(struct nx_conn *c, const struct nx_query *q, struct nx_stream **ret,
			enum nx_conn_state *ret_state, struct nx_error *err);
const struct nx_schema *lite_schema(struct nx_stream *st);
enum nx_code lite_next(struct nx_stream *st, struct nx_batch *ret, struct nx_error *err);
enum nx_conn_state lite_release(struct nx_stream *st);

/* catalog.c */
enum nx_code lite_tables(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
			 struct nx_stream **ret, enum nx_conn_state *ret_state,
			 struct nx_error *err);
enum nx_code lite_columns(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
			  struct nx_str table, struct nx_stream **ret,
			  enum nx_conn_state *ret_state, struct nx_error *err);
enum nx_code lite_keys(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
			  struct nx_str table, struct nx_stream **ret,
			  enum nx_conn_state *ret_state, struct nx_error *err);

#endif
