/* For the driver's tests: a server's address from the environment (tests/servers/mariadb.sh run),
 * connections, and results as text. */
#ifndef NX_MYSQL_HARNESS_H
#define NX_MYSQL_HARNESS_H

#include "mysql_int.h"
#include "nexus/buf.h"
#include "test.h"

struct session {
	struct nx_options *opts;
	struct nx_source *source;
	struct nx_conn *conn;
	struct nx_arena *arena;
	struct nx_error err;
	enum nx_conn_state state; /* after the last query */
};

/* Options as "key=value" ended by NULL, over those of the test server. */
struct nx_options *h_options(const char *const *more);
enum nx_code h_try(struct session *s, const char *const *more, int64_t deadline);
struct session h_open(const char *const *more); /* must succeed */
void h_close(struct session *s);

/* Sends statements with all rights and without the driver; must succeed. */
void h_admin(const char *sql);
/* First value of the first row, or "": valid until the next call. */
const char *h_admin_value(const char *sql);

struct ask {
	const char *sql;
	const struct nx_value *params;
	uint32_t nparams;
	bool pure;
	uint64_t max_rows; /* 0: no limit */
	int64_t timeout_ms; /* 0: 20 s */
};

/* Columns as "name type native[ not null]\n", rows as "value | value\n"; valid until the next call. */
struct h_result {
	const char *columns, *rows;
};

struct nx_query h_ask(struct session *s, struct ask a);
enum nx_code h_query(struct session *s, struct ask a, struct nx_stream **ret);
/* Runs to the end. Sets s->state and s->err. */
enum nx_code h_run(struct session *s, struct ask a, struct h_result *ret);
/* The rows without the last newline; an error as "CODE native sqlstate". */
const char *h_text(struct session *s, struct ask a);
#define H_TEXT(s, ...) h_text(s, (struct ask){ __VA_ARGS__ })
/* Reads all rows of a stream; *rows may be NULL. */
enum nx_code h_count(struct nx_stream *st, uint64_t *rows, struct nx_error *err);

size_t h_rss_kb(void); /* VmRSS */
void h_peak_reset(void);
size_t h_peak_kb(void); /* VmHWM since */

#endif
