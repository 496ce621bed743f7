/* Private to the PostgreSQL driver.
 *
 * libpq resolves, connects, authenticates, does TLS and cancels. Once the session is up this driver
 * speaks the extended query protocol (version 3) on libpq's socket itself: libpq of this age makes
 * one heap object per row, copies the column names into it, and describes every execution anew. The
 * codec here hands DataRow bytes straight to the batch builder and needs one send and one receive
 * for a point query.
 *
 * Files: pg_wire (bytes and messages), pg_conn (session), pg_types (OID to type), pg_value (text to
 * canonical text), pg_stmt (prepared statements), pg_query (streams), pg_error, pg_catalog.
 * Threads: a connection belongs to one thread at a time; only pg_cancel comes from another. */
#ifndef NX_PG_INT_H
#define NX_PG_INT_H

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nexus/builder.h"
#include "nexus/buf.h"
#include "nexus/driver.h"

enum {
	PG_STMT_MAX = 4096,          /* upper end of the option preparedStatements */
	PG_STMT_BYTES = 4 << 20,     /* SQL text kept per connection */
	PG_TYPES_MAX = 4096,         /* looked-up types per connection; then it is retired */
	PG_IN_SIZE = 16 << 10,       /* receive buffer at rest */
	PG_IN_STREAM = 256 << 10,    /* receive buffer of a long stream */
	PG_MSG_MAX = 256 << 20,      /* bytes of one message: the largest row */
	PG_OUT_MAX = 256 << 20,      /* bytes of one request */
	PG_FIRST_ROWS = 64,          /* rows of the first batch */
	PG_CANCEL_MS = 3000,         /* cancel() from outside */
	PG_ABANDON_MS = 500,         /* release(): for the cancel request */
	PG_DRAIN_MS = 200,           /* release(): time to see a cancelled query end */
	PG_ENDED_MS = 1000,          /* release(): time for the last message of a finished one */
	PG_KEPT_BUILDERS = 32,
	PG_BIG_ROW = 4 << 10,
	PG_LONG_STREAM = 8, /* batches after which fewer wake-ups count more than a late end */
	PG_FLUSH_MS = 5,             /* a started batch waits this long for more rows */
};

/* How a value's bytes become canonical text. */
enum pg_conv {
	PG_CV_COPY,   /* as it comes */
	PG_CV_BOOL,
	PG_CV_BYTES,  /* binary format: raw bytes */
	PG_CV_DATE,
	PG_CV_TIMETZ,
	PG_CV_TIMESTAMP,
	PG_CV_TIMESTAMPTZ,
	PG_CV_JSON,
	PG_CV_ARRAY,  /* elem, delim */
	PG_CV_VECTOR, /* int2vector, oidvector: numbers and spaces */
	PG_CV_RECORD, /* attrs */
};

struct pg_type {
	uint32_t oid;
	int32_t typmod;
	enum nx_type type;
	enum pg_conv conv;
	const char *native;
	const struct pg_type *elem; /* ARRAY */
	char delim;                 /* ARRAY: between elements */
	int32_t precision, scale;   /* DECIMAL */
	uint32_t nattrs;            /* RECORD */
	const struct pg_attr *attrs;
};

struct pg_attr {
	struct nx_str name;
	const struct pg_type *type;
};

struct pg_stmt {
	struct pg_stmt *chain;           /* same hash bucket */
	struct pg_stmt *newer, *older;   /* use order */
	uint64_t hash;
	struct nx_str sql;
	char name[24];
	uint32_t nparams;
	const struct pg_type **types;    /* one per column */
	struct nx_schema schema;
	uint32_t nbinary;                /* columns asked for in binary format */
	struct nx_builder *builder;      /* kept while small */
};

struct pg_cache {
	struct pg_stmt **buckets; /* power of two */
	uint32_t nbuckets;
	uint32_t count, max;
	uint32_t kept; /* statements that hold a builder */
	size_t bytes;
	struct pg_stmt *newest, *oldest;
};

/* Looked-up types, found by (oid, typmod). */
struct pg_types {
	struct pg_type **list;
	uint32_t count, cap;
	struct nx_arena *arena;
};

struct pg_in {
	char *buf;
	size_t cap, pos, end;
};

struct pg_msg {
	char type; /* 0: none yet */
	const char *p;
	size_t len;
};

enum pg_stage {
	PG_S_IDLE,
	PG_S_BEGIN, /* BEGIN READ ONLY has not answered yet */
	PG_S_ROWS,
	PG_S_TAIL,  /* rows are over; ReadyForQuery is not here yet */
	PG_S_DONE,
};

struct pg_stream {
	struct nx_stream base;
	struct pg_conn *conn;
	struct pg_stmt *stmt;
	struct nx_builder *builder;
	enum pg_stage stage;
	bool pure;
	bool check_utf8;
	bool bound;        /* BindComplete seen */
	bool big;          /* a row was large: do not keep the builder */
	int skip;          /* stage BEGIN: commands still to complete before the query's */
	bool failed;
	bool stale;        /* failed in a way that preparing again may heal */
	int64_t deadline;
	uint32_t batch_rows; /* now */
	uint32_t max_rows;
	size_t max_bytes;
	uint64_t nbatches;
	bool lowat;        /* SO_RCVLOWAT is raised */
	struct nx_buf json; /* one nested value */
};

struct pg_source {
	struct nx_source base;
	const struct nx_options *opts;
	char *options; /* startup options: -c ... */
	const char *sslmode, *sslrootcert;
	char port[8];
	uint32_t nstmts;
};

struct pg_conn {
	struct nx_conn base;
	struct pg_source *src;
	PGconn *pg;
	atomic_bool cancel_late; /* a cancel request is still under way */
	void *ssl; /* SSL of libpq, or NULL */
	int fd;
	struct pg_in in;
	struct nx_buf out;
	char tx;        /* ReadyForQuery: I idle, T in transaction, E failed transaction */
	uint32_t unsynced; /* Sync messages sent and not yet answered */
	uint32_t ahead; /* of these, sent by pg_pipeline() for queries not taken yet */
	bool broken;
#define PG_RECV_WAIT INT64_C(1000000000) /* ns a blocking recv() waits at most */
	bool fresh; /* a request has just been sent: the answer is not here yet */
	bool sql_ascii; /* text is not known to be UTF-8 */
	uint64_t nstmts; /* for names */
	struct pg_cache cache;
	struct pg_types types;
	struct pg_stream stream;
};

/* pg_wire.c */
size_t pg_msg_begin(struct nx_buf *b, char type);
void pg_msg_end(struct nx_buf *b, size_t at);
void pg_put_i16(struct nx_buf *b, uint32_t v);
void pg_put_i32(struct nx_buf *b, uint32_t v);
void pg_put_cstr(struct nx_buf *b, const char *s, size_t len);
/* Whole requests into c->out; nothing is sent yet. */
void pg_put_parse(struct pg_conn *c, const char *name, struct nx_str sql);
void pg_put_describe(struct pg_conn *c, const char *name);
void pg_put_close(struct pg_conn *c, const char *name);
void pg_put_run(struct pg_conn *c, struct nx_str sql); /* unnamed, no parameters, no rows */
void pg_put_execute(struct pg_conn *c);
void pg_put_sync(struct pg_conn *c);
NX_NODISCARD enum nx_code pg_send(struct pg_conn *c, int64_t deadline, struct nx_error *err);
/* The next message that is not a notice or the like; waits until the deadline. */
NX_NODISCARD enum nx_code pg_recv(struct pg_conn *c, int64_t deadline, struct pg_msg *ret,
				  struct nx_error *err);
/* As pg_recv, but at most until `until`: then ret->type is 0. `until` 0: do not wait. */
NX_NODISCARD enum nx_code pg_recv_until(struct pg_conn *c, int64_t until, struct pg_msg *ret,
					struct nx_error *err);
void pg_unread(struct pg_conn *c, const struct pg_msg *m);
void pg_in_rest(struct pg_conn *c); /* gives memory back when nothing is buffered */

static inline uint32_t pg_get_u32(const char *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

static inline uint16_t pg_get_u16(const char *p)
{
	uint16_t v;
	memcpy(&v, p, 2);
	return __builtin_bswap16(v);
}

/* A cut message body: ints and strings in order; `bad` is sticky. */
struct pg_cut {
	const char *p, *end;
	bool bad;
};
uint32_t pg_cut_u32(struct pg_cut *k);
uint16_t pg_cut_u16(struct pg_cut *k);
struct nx_str pg_cut_str(struct pg_cut *k); /* up to a NUL */

/* pg_error.c */
/* Points into the message it was parsed from. */
struct pg_fault {
	char sqlstate[6];
	struct nx_str message, detail, hint, context, routine;
	uint32_t position; /* characters, 1-based; 0 none */
	bool fatal;
};
bool pg_fault_parse(const char *p, size_t len, struct pg_fault *ret);
enum nx_code pg_sqlstate_code(const char *sqlstate);
/* An ErrorResponse for `sql`. `binding`: it came before BindComplete of a statement with parameters. */
enum nx_code pg_fail_fault(const struct pg_fault *f, struct nx_str sql, uint32_t nparams,
			   bool binding, struct nx_error *err);
bool pg_fault_stale(const struct pg_fault *f); /* re-prepare and try again */
enum nx_code pg_fail_connect(PGconn *pg, struct nx_error *err);

/* pg_conn.c */
enum nx_code pg_init(struct nx_error *err);
enum nx_code pg_open(const struct nx_options *opts, struct nx_source **ret, struct nx_error *err);
void pg_close(struct nx_source *s);
enum nx_code pg_connect(struct nx_source *s, int64_t deadline, struct nx_conn **ret,
			struct nx_error *err);
void pg_disconnect(struct nx_conn *nc);
bool pg_check(struct nx_conn *nc);
enum nx_code pg_reset(struct nx_conn *nc, int64_t deadline, struct nx_error *err);
enum nx_conn_state pg_conn_state(const struct pg_conn *c, bool pure);

/* pg_cancel.c */
void pg_cancel(struct nx_conn *nc);
void pg_cancel_within(struct pg_conn *c, int64_t ms);

/* pg_types.c */
const struct pg_type *pg_type_static(uint32_t oid); /* typmod -1; NULL: not one of the table */
/* Fills types[i] for each (oid, typmod); may ask the server. */
NX_NODISCARD enum nx_code pg_types_resolve(struct pg_conn *c, uint32_t n, const uint32_t *oids,
					   const int32_t *typmods, const struct pg_type **types,
					   int64_t deadline, struct nx_error *err);
void pg_types_done(struct pg_types *t);

/* pg_value.c: canonical forms. The date and time functions write at most len + 16 bytes and return
 * how many, 0 when the text is not what PostgreSQL sends in ISO style. */
size_t pg_date_text(const char *s, size_t len, char *out);
size_t pg_timestamp_text(const char *s, size_t len, bool zone, char *out);
size_t pg_timetz_text(const char *s, size_t len, char *out);
size_t pg_json_line(const char *s, size_t len, char *out); /* line ends become spaces */
/* A nested value as JSON; false: malformed. The buffer's own failure is separate. */
bool pg_value_json(struct nx_buf *b, const struct pg_type *t, struct nx_str text, int depth);

/* pg_stmt.c */
NX_NODISCARD enum nx_code pg_cache_init(struct pg_cache *k, uint32_t max, struct nx_error *err);
void pg_cache_done(struct pg_cache *k);
struct pg_stmt *pg_cache_find(struct pg_cache *k, struct nx_str sql);
void pg_cache_drop(struct pg_conn *c, struct pg_stmt *s); /* closes it at the server with the next request */
NX_NODISCARD enum nx_code pg_prepare(struct pg_conn *c, struct nx_str sql, int64_t deadline,
				     struct pg_stmt **ret, struct nx_error *err);

/* pg_query.c */
uint32_t pg_pipeline(struct nx_conn *nc, const struct nx_query *const *q, uint32_t n);
enum nx_code pg_query(struct nx_conn *nc, const struct nx_query *q, struct nx_stream **ret,
		      enum nx_conn_state *ret_state, struct nx_error *err);
const struct nx_schema *pg_schema(struct nx_stream *st);
enum nx_code pg_next(struct nx_stream *st, struct nx_batch *ret, struct nx_error *err);
bool pg_lags(struct nx_stream *st, uint32_t ms);
enum nx_conn_state pg_release(struct nx_stream *st);
/* Reads until ReadyForQuery of every Sync sent; errors on the way are dropped. */
NX_NODISCARD enum nx_code pg_drain(struct pg_conn *c, int64_t deadline, struct nx_error *err);

/* pg_catalog.c */
enum nx_code pg_tables(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
		       struct nx_stream **ret, enum nx_conn_state *ret_state, struct nx_error *err);
enum nx_code pg_columns(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
			struct nx_str table, struct nx_stream **ret, enum nx_conn_state *ret_state,
			struct nx_error *err);
enum nx_code pg_functions(struct nx_conn *c, const struct nx_query *limits, struct nx_stream **ret,
			  enum nx_conn_state *ret_state, struct nx_error *err);
enum nx_code pg_keys(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
			struct nx_str table, struct nx_stream **ret, enum nx_conn_state *ret_state,
			struct nx_error *err);
enum nx_code pg_probe(struct nx_conn *c, int64_t deadline, struct nx_grants *ret,
		      struct nx_error *err);

extern const struct nx_driver nx_driver_postgresql;

#endif
