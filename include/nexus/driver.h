/* The driver interface: how the gateway talks to every kind of source.
 *
 * A driver is one folder that exports one `const struct nx_driver`, and one line in drivers.def.
 * It may include only include/nexus/ and its client library.
 *
 * Objects: source (validated options, no network) -> connection -> stream (one result set).
 * The driver embeds the base structs below as the first member of its own.
 *
 * Threads: a connection and its stream are used by one thread at a time, not always the same one.
 * `cancel` alone may be called from another thread, at any time between a successful connect() and
 * disconnect(); the gateway guarantees that disconnect() is not called while cancel() runs. A
 * source is shared by threads: it is read-only after open() or locks for itself.
 *
 * Blocking: connect, query, next, reset, release and cancel may block, always bounded by the
 * deadline they are given or by cancel(). open, check and classify do not.
 *
 * Read-only: connect() makes the session read-only and sets UTC and UTF-8; query() describes before
 * it executes, sends one statement per message, and never commits. See docs/security.md, layers B-D. */
#ifndef NEXUS_DRIVER_H
#define NEXUS_DRIVER_H

#include "nexus/arena.h"
#include "nexus/batch.h"
#include "nexus/error.h"
#include "nexus/option.h"
#include "nexus/value.h"

#define NX_DRIVER_ABI 2u

enum nx_cap {
	NX_CAP_STREAM = 1u << 0,     /* memory does not grow with the result */
	NX_CAP_CANCEL = 1u << 1,     /* cancel() ends a running query at the source */
	NX_CAP_RO_SESSION = 1u << 2, /* layer B: the server holds the session read-only */
	NX_CAP_DESCRIBE = 1u << 3,   /* layer C: no result columns is refused before it runs */
	NX_CAP_ONE_STATEMENT = 1u << 4, /* layer D: the channel cannot carry two statements */
	NX_CAP_PARAMS = 1u << 5,
	NX_CAP_CATALOG = 1u << 6,    /* tables() and columns() */
	NX_CAP_POOLABLE = 1u << 7,   /* a connection serves many queries */
	NX_CAP_ENCODES = 1u << 8,    /* streams can give encoded bytes: next_bytes() */
	NX_CAP_GRANTS = 1u << 9,     /* probe() */
	NX_CAP_TRACE = 1u << 10,     /* nx_query.trace is shown as the session's name */
};

/* Result formats, one row each; encode.h says how they look. */
enum nx_format { NX_FORMAT_JSON, NX_FORMAT_NDJSON, NX_FORMAT_CSV, NX_FORMAT_ARROW,
	NX_FORMAT_AGENT, /* only for a door of its own: no client can name it */
	NX_FORMAT_COUNT, NX_FORMAT_OPEN = NX_FORMAT_AGENT };

/* How values become text; part of a query because some drivers encode in their own process. */
struct nx_encoding {
	enum nx_format format;
	bool numbers_exact;  /* false (default): integers beyond +-(2^53-1) and decimals are JSON strings;
			      * true: JSON numbers, digit for digit */
	bool ndjson_objects; /* NDJSON rows as objects (default) or as arrays */
};

struct nx_limits {
	uint64_t skip_rows;  /* OFFSET: rows to read and drop first */
	uint64_t max_rows;   /* LIMIT; UINT64_MAX none. One row more may be read to learn hasMore */
	uint32_t batch_rows; /* upper bound for a batch */
	size_t batch_bytes;  /* soft bound for a batch */
};

struct nx_query {
	struct nx_str sql;   /* passed layer A, placeholders in the driver's own form; NUL-terminated */
	const struct nx_value *params;
	uint32_t nparams;
	struct nx_limits limits;
	struct nx_encoding encoding; /* for NX_CAP_ENCODES */
	bool pure;           /* layer A proved that only built-in functions without effects are called */
	int64_t deadline;    /* nx_now() nanoseconds */
	struct nx_str trace; /* NX_CAP_TRACE: W3C traceparent, shown at the source while this runs; empty: none */
	struct nx_arena *arena; /* lives longer than the stream */
};

struct nx_source { const struct nx_driver *driver; };
struct nx_conn { const struct nx_driver *driver; };
struct nx_stream { const struct nx_driver *driver; };

/* What a connection is good for after its stream was released. */
enum nx_conn_state {
	NX_CONN_CLEAN,  /* usable at once */
	NX_CONN_DIRTY,  /* usable after reset() */
	NX_CONN_BROKEN, /* only disconnect() */
};

struct nx_bytes {
	struct nx_str data; /* whole rows in the asked format, without envelope; empty: the end */
	uint64_t rows;      /* rows in data */
	bool has_more;      /* with the end: the source had rows beyond max_rows */
};

struct nx_grants { /* what probe() found */
	bool superuser;
	bool can_write;
	bool can_files;
	char summary[400]; /* one line for people */
};

struct nx_driver {
	/* identity */
	uint32_t abi; /* NX_DRIVER_ABI */
	const char *name;
	unsigned caps;
	const char *placeholder;        /* "?" or "$%u" or ":%u" or "@p%u" */
	const struct nx_option *options; /* ends with key NULL */
	const char *version; /* of the client library, for GET /drivers; may be NULL */

	/* process: once each, first and last; may be NULL */
	enum nx_code (*init)(struct nx_error *err);
	void (*fini)(void);

	/* source: required. `opts` outlives the source. */
	enum nx_code (*open)(const struct nx_options *opts, struct nx_source **ret, struct nx_error *err);
	void (*close)(struct nx_source *s); /* after all its connections are gone; NULL s is fine */

	/* connection: required but where said */
	enum nx_code (*connect)(struct nx_source *s, int64_t deadline, struct nx_conn **ret,
				struct nx_error *err);
	void (*disconnect)(struct nx_conn *c); /* NULL c is fine; never blocks longer than 100 ms */
	/* May be NULL (then always true). False: the peer has gone; no round trip. */
	bool (*check)(struct nx_conn *c);
	/* May be NULL (then DIRTY means BROKEN). Failure means BROKEN. */
	enum nx_code (*reset)(struct nx_conn *c, int64_t deadline, struct nx_error *err);

	/* query: required. On success the stream has its schema. On failure no stream exists and
	 * *ret_state says what the connection is good for. */
	enum nx_code (*query)(struct nx_conn *c, const struct nx_query *q, struct nx_stream **ret,
			      enum nx_conn_state *ret_state, struct nx_error *err);

	/* Optional, may be NULL. Sends the first of n pure queries (1 <= n <= 64) in one go and returns
	 * how many: 0 when none can be (not prepared here yet, not pure, the connection is not idle).
	 * Their answers are then taken by query() with the same queries in the same order, each
	 * stream released before the next. An error of one leaves the others alone, but what costs
	 * the connection (a cancel, an early release, a lost peer) fails those after it with
	 * SOURCE_LOST: they are safe to run again. Bounded by the deadline of the first. */
	uint32_t (*pipeline)(struct nx_conn *c, const struct nx_query *const *q, uint32_t n);

	/* stream: required but where said */
	const struct nx_schema *(*schema)(struct nx_stream *st); /* valid until release */
	/* Next batch; nrows 0 is the end. After an error only release() may follow. The limits are
	 * advice here: the caller cuts. */
	enum nx_code (*next)(struct nx_stream *st, struct nx_batch *ret, struct nx_error *err);
	/* NX_CAP_ENCODES: used instead of next(), never mixed with it. The driver applies skip_rows and
	 * max_rows itself. */
	enum nx_code (*next_bytes)(struct nx_stream *st, struct nx_bytes *ret, struct nx_error *err);
	/* Has next() or next_bytes() still to wait for the source after `ms` milliseconds? What was read so far then
	 * goes to the client. Blocks no longer than that; on the stream's thread. May be NULL: it cannot tell. */
	bool (*lags)(struct nx_stream *st, uint32_t ms);
	/* Ends the stream; before the end of the rows this cancels. Rolls back. */
	enum nx_conn_state (*release)(struct nx_stream *st);

	/* catalog: may be NULL without NX_CAP_CATALOG. Fixed columns:
	 * tables:  schema, name, kind (table|view|...), comment, row_estimate
	 * columns: schema, table, name, position, type, nullable, key, comment; then, if known, default
	 *          (the expression's text)
	 * keys:    schema, table, name, kind (primary|unique|foreign|index), position (of the column in
	 *          the key, from 1), column, ref_schema, ref_table, ref_column; a row for each column.
	 *          May be NULL also with NX_CAP_CATALOG: not known.
	 * Empty slices mean "all"; without a schema those of the system are left out. */
	enum nx_code (*tables)(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
			       struct nx_stream **ret, enum nx_conn_state *ret_state, struct nx_error *err);
	enum nx_code (*columns)(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
				struct nx_str table, struct nx_stream **ret,
				enum nx_conn_state *ret_state, struct nx_error *err);
	enum nx_code (*keys)(struct nx_conn *c, const struct nx_query *limits, struct nx_str schema,
			     struct nx_str table, struct nx_stream **ret, enum nx_conn_state *ret_state,
			     struct nx_error *err);

	/* Functions that only read, by the word of the source's own catalog: name. A name counts when every function
	 * of that name is stable or immutable, belongs to a superuser, runs with the caller's rights, and is compiled
	 * code or part of an extension. Lower-case ASCII names. May be NULL: the source cannot tell. */
	enum nx_code (*functions)(struct nx_conn *c, const struct nx_query *limits, struct nx_stream **ret,
				  enum nx_conn_state *ret_state, struct nx_error *err);

	/* What this account could write; may be NULL without NX_CAP_GRANTS. */
	enum nx_code (*probe)(struct nx_conn *c, int64_t deadline, struct nx_grants *ret,
			      struct nx_error *err);

	/* Helper processes that run a query now, for the metrics. May be NULL: it has none. Any thread. */
	uint32_t (*processes)(void);

	/* From another thread; idempotent; bounded to a few seconds; may race with completion (then it
	 * does nothing or cancels nothing). May be NULL without NX_CAP_CANCEL. */
	void (*cancel)(struct nx_conn *c);
};

int64_t nx_now(void); /* CLOCK_MONOTONIC in nanoseconds: what deadlines are measured in */

#endif
