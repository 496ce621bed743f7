/* Private to the mysql driver: one driver for everything that speaks MySQL's protocol, over
 * libmariadb.
 *
 * Files: mysql.c options and the driver table; conn.c connections, session, cancel; query.c the
 * statement cache and streams; types.c what a column is; decode.c its bytes; wkt.c geometry;
 * errors.c error numbers; catalog.c tables, columns, grants.
 *
 * Threads: as nexus/driver.h says. All that cancel() shares with the connection's own thread is
 * struct my_shared, under its lock; the rest of a connection belongs to one thread at a time. */
#ifndef NX_MYSQL_INT_H
#define NX_MYSQL_INT_H

#include <mysql.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* mysql.h has macros that name strcpy: the build keeps banned.h away from it, and the ban follows. */
#undef alloca
#pragma GCC poison strcpy strcat sprintf vsprintf gets alloca atoi atol strtok

#include "nexus/builder.h"
#include "nexus/driver.h"

extern const struct nx_driver nx_driver_mysql;

enum my_ssl { MY_SSL_DISABLE, MY_SSL_PREFER, MY_SSL_REQUIRE, MY_SSL_VERIFY };

struct my_source {
	struct nx_source base;
	const char *host, *user, *password, *database, *ssl_ca; /* from the options; may be NULL */
	unsigned port;
	enum my_ssl ssl;
	int64_t timeout_ms; /* the source's own limit for a query */
	unsigned cache_entries; /* prepared statements kept per connection */
};

/* How a value of a column lies in a row of the binary protocol. */
enum my_wire {
	MY_NULL, /* never any bytes */
	MY_I8,
	MY_U8,
	MY_I16,
	MY_U16,
	MY_I32,
	MY_U32,
	MY_I64,
	MY_U64, /* 1, 2, 4, 8 bytes */
	MY_F32,
	MY_F64,
	MY_BYTES,
	MY_DECIMAL,
	MY_BIT,
	MY_GEOMETRY, /* length, bytes */
	MY_DATE,
	MY_TIMESTAMP,
	MY_TIMESTAMPTZ,
	MY_TIME, /* length, packed fields */
};

/* What decides a column's type; kept to notice when a table changed under a prepared statement. */
struct my_shape {
	uint64_t names; /* hash of the column's name and MariaDB's extended type */
	uint64_t length;
	unsigned type, flags, decimals, charset;
};

struct my_stmt {
	struct my_stmt *prev, *next; /* most recently used first */
	uint64_t hash;
	struct nx_str sql; /* owned */
	MYSQL_STMT *handle;
	bool cached;
	/* rebuilt when the result's shape changes */
	struct nx_arena *arena;
	struct nx_schema schema;
	struct nx_field *fields;
	struct my_shape *shapes;
	enum my_wire *wires;
	struct nx_builder *builder; /* NULL until the first row is wanted */
};

struct my_conn;

struct my_stream {
	struct nx_stream base;
	struct my_conn *conn;
	struct my_stmt *stmt;
	struct nx_query query; /* of it, only numbers are read after query() */
	uint64_t rows; /* read so far */
	uint32_t batch_rows; /* of the batch being built: starts small, grows */
	bool in_transaction;
	bool ended; /* all rows were read, or the server said why not */
	bool malformed; /* a row did not fit its packet */
	bool grown; /* the builder holds more memory than is worth keeping */
};

/* What a running query and cancel() share. */
struct my_shared {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool running; /* a stream is open or being opened */
	bool in_call; /* its thread may be blocked on the socket */
	bool cancelled; /* cancel() met this query */
	bool killing; /* cancel() is at work: the connection must not move on */
};

struct my_conn {
	struct nx_conn base;
	struct my_source *source;
	MYSQL *my;
	int fd; /* a duplicate: valid until disconnect whatever libmariadb closes */
	uint64_t id; /* the server's name for this connection */
	char identity
		[160]; /* host and port as the server sees itself: KILL must reach the same one */
	struct sockaddr_storage peer;
	socklen_t peer_len;
	bool is_mariadb;
	bool has_net_limit; /* the server knows max_statement_time or max_execution_time */
	bool has_row_cap; /* the server knows sql_select_limit */
	unsigned long version; /* 101119 */
	char session_sql[512]; /* asserts the session; sent after connect and reset */
	uint64_t row_cap; /* sql_select_limit now; 0: the server's default (none) */
	int64_t net_limit_ms; /* server-side statement limit now */
	bool broken;
	struct my_stmt *first, *last; /* statement cache */
	unsigned nstmts;
	struct my_stream stream; /* the one stream a connection can have */
	struct my_shared shared;
};

/* conn.c */
enum nx_code my_connect(struct nx_source *s, int64_t deadline, struct nx_conn **ret,
			struct nx_error *err);
void my_disconnect(struct nx_conn *c);
bool my_check(struct nx_conn *c);
enum nx_code my_reset(struct nx_conn *c, int64_t deadline, struct nx_error *err);
void my_cancel(struct nx_conn *c);
/* KILL QUERY over a second connection, from any thread; again until nobody waits on this
 * connection's socket. False: that could not be done in time. */
bool my_kill(struct my_conn *c);
/* From here on nothing on this connection waits for the peer, and only disconnect is left. */
void my_break(struct my_conn *c);
/* Sends one statement of our own as text and drops its rows, within the deadline. */
NX_NODISCARD enum nx_code my_run(MYSQL *my, const char *sql, int64_t deadline,
				 struct nx_error *err);
/* The same, with its rows: *ret is to be freed with mysql_free_result. */
NX_NODISCARD enum nx_code my_rows(MYSQL *my, const char *sql, int64_t deadline, MYSQL_RES **ret,
				  struct nx_error *err);
/* Reads and drops what is left of a result. False: not within the deadline; the wire is unusable. */
bool my_drain(MYSQL *my, MYSQL_STMT *stmt, int64_t deadline);

/* query.c */
enum nx_code my_query(struct nx_conn *c, const struct nx_query *q, struct nx_stream **ret,
		      enum nx_conn_state *ret_state, struct nx_error *err);
const struct nx_schema *my_schema(struct nx_stream *st);
enum nx_code my_next(struct nx_stream *st, struct nx_batch *ret, struct nx_error *err);
enum nx_conn_state my_release(struct nx_stream *st);
void my_stmts_drop(struct my_conn *c); /* frees the cache */
/* Says that a text column holds another type's canonical text. */
void my_retype(struct nx_stream *st, struct nx_str column, enum nx_type type);

/* params.c: values from q->arena, bound to the statement */
NX_NODISCARD enum nx_code my_bind(MYSQL_STMT *stmt, const struct nx_query *q, struct nx_error *err);

/* types.c */
struct my_shape my_shape_of(const MYSQL_FIELD *f);
/* Fills one column of a schema; strings come from `a`. False: out of memory. */
NX_NODISCARD bool my_type(struct nx_arena *a, const MYSQL_FIELD *f, struct nx_field *ret,
			  enum my_wire *ret_wire);

/* decode.c: one value at *p, which must end before `end`; advances *p. False: malformed. */
NX_NODISCARD bool my_decode(struct nx_builder *b, uint32_t col, enum my_wire wire,
			    const unsigned char **p, const unsigned char *end);

/* wkt.c: MySQL's geometry (4 bytes SRID, then WKB) as [SRID=n;]WKT. False: not a geometry we know
 * (or the text would be over max): *ret is to be ignored. */
struct nx_buf;
NX_NODISCARD bool my_wkt(const unsigned char *p, size_t len, struct nx_buf *ret);

/* errors.c */
enum my_stage { MY_AT_CONNECT, MY_AT_PREPARE, MY_AT_EXECUTE };
/* Turns an error number of the server (or, from 2000 to 2999, of libmariadb) into ours. `text` may
 * name accounts and hosts: it reaches the client only where it is known not to. `q` may be NULL. */
enum nx_code my_fail(struct nx_error *err, unsigned number, const char *sqlstate, const char *text,
		     enum my_stage stage, const struct nx_query *q);
bool my_is_lost(unsigned number); /* after this error the connection is unusable */

/* catalog.c */
enum nx_code my_tables(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
		       struct nx_stream **ret, enum nx_conn_state *ret_state, struct nx_error *err);
enum nx_code my_columns(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
			struct nx_str table, struct nx_stream **ret, enum nx_conn_state *ret_state,
			struct nx_error *err);
enum nx_code my_keys(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
			struct nx_str table, struct nx_stream **ret, enum nx_conn_state *ret_state,
			struct nx_error *err);
enum nx_code my_probe(struct nx_conn *c, int64_t deadline, struct nx_grants *ret,
		      struct nx_error *err);
/* One line of SHOW GRANTS into what it allows. */
void my_grant_line(struct nx_str line, struct nx_grants *ret);

#endif
