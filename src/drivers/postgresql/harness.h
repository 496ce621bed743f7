/* What the driver's tests share: a source on the server that tests/servers/postgres.sh started, and
 * queries whose results become text. Every failure ends the test case. */
#ifndef NX_PG_HARNESS_H
#define NX_PG_HARNESS_H

#include "pg_int.h"
#include "test.h"

struct session {
	struct nx_options *opts;
	struct nx_source *source;
	struct nx_conn *conn;
};

struct result {
	enum nx_code code;
	struct nx_error err;
	struct nx_buf columns; /* "name type native" a line */
	struct nx_buf rows;    /* values joined by " | " a line */
	uint64_t nrows;
	enum nx_conn_state state;
};

enum { SEC = 1000000000 };

int64_t in_seconds(int s);
/* Options as key, value pairs, NULL last, over the defaults of the test server. */
struct nx_options *options_with(const char *const *kv);
enum nx_code session_try(struct session *s, const char *const *kv, int64_t deadline,
			 struct nx_error *err);
void session_open(struct session *s, const char *const *kv);
void session_close(struct session *s);
/* A plain role that may only read; made once a process. */
void session_open_reader(struct session *s);
/* Runs SQL by libpq as the superuser, without the driver: test set-up and inspection. One value. */
const char *admin(const char *fmt, ...) NX_PRINTF(1, 2);

struct nx_query query_of(const char *sql, bool pure);
struct result run_query(struct session *s, const struct nx_query *q);
struct result run_sql(struct session *s, const char *sql, bool pure);
void result_done(struct result *r);
/* The single value of a one-row result, which must succeed; static storage. */
const char *one(struct session *s, const char *sql);

#endif
