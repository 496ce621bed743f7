/* The private protocol between the gateway's DuckDB driver and one nexus-engine worker.
 *
 * One stream socket per worker, one query per worker. Both ends are the same build on the same
 * machine, so numbers are in host order; yet the gateway treats all that a worker sends as hostile,
 * for a worker may have been taken over by the file it reads.
 *
 *	worker  -> HELLO (pidfd attached)
 *	gateway -> REQUEST
 *	worker  -> SCHEMA, ROWS ..., then END; or ERROR at any place after HELLO
 *
 * Cancel needs no frame: the gateway kills the process. The end of the stream without END or ERROR
 * is a crash.
 *
 * Threads: plain functions on the caller's data. */
#ifndef NX_ENGINE_WIRE_H
#define NX_ENGINE_WIRE_H

#include "nexus/buf.h"
#include "nexus/driver.h"

enum nx_wire_type {
	NX_WIRE_HELLO = 1, /* payload: version of the library, text */
	NX_WIRE_REQUEST,
	NX_WIRE_SCHEMA,
	NX_WIRE_ROWS,  /* payload: encoded rows; rows: how many */
	NX_WIRE_END,   /* no payload; rows: total; more: beyond max_rows */
	NX_WIRE_ERROR,
};

/* What duckdb_library_version() must say: docs/decisions/002-duckdb-version.md. */
#define NX_ENGINE_VERSION "v1.5.6"

struct nx_wire_frame { /* 16 bytes in front of every payload */
	uint8_t type;
	uint8_t more;
	uint16_t zero;
	uint32_t len;
	uint64_t rows;
};

#define NX_WIRE_MAX_ROWS (256u << 20) /* payload bytes of ROWS: one huge row must fit */
#define NX_WIRE_MAX_OTHER (8u << 20)  /* ... of everything else */
#define NX_WIRE_MAX_PARAMS 65535u
#define NX_WIRE_MAX_FIELDS 65536u
#define NX_WIRE_MAX_DEPTH 32u

/* False: type, length or padding is not what a frame may have. */
NX_NODISCARD bool nx_wire_frame_ok(const struct nx_wire_frame *f);

enum nx_wire_kind { NX_WIRE_QUERY, NX_WIRE_TABLES, NX_WIRE_COLUMNS };

struct nx_wire_request {
	enum nx_wire_kind kind;
	struct nx_str root;      /* absolute, symlinks resolved, no '/' at the end */
	struct nx_str format;    /* parquet, csv, json; empty: by file name */
	struct nx_str delimiter; /* CSV; empty: detect */
	int8_t header;           /* CSV: 1 yes, 0 no, -1 detect */
	uint32_t memory_mb;
	uint32_t spill_mb;
	uint32_t threads;
	uint32_t cpu_seconds;
	struct nx_encoding encoding;
	uint32_t frame_rows;     /* rows in one ROWS at most; 0: by size only */
	uint64_t skip_rows, max_rows;
	struct nx_str sql;       /* QUERY; NUL-terminated once parsed */
	struct nx_str table;     /* COLUMNS: one table; empty: all */
	uint32_t nparams;
	const struct nx_value *params;
};

void nx_wire_put_request(struct nx_buf *b, const struct nx_wire_request *r);
void nx_wire_put_schema(struct nx_buf *b, const struct nx_schema *s);
void nx_wire_put_error(struct nx_buf *b, const struct nx_error *e);

/* Parsers: what they return points into `payload` and the arena. PROTOCOL when it is malformed,
 * MEMORY when the arena is full. */
NX_NODISCARD enum nx_code nx_wire_get_request(struct nx_str payload, struct nx_arena *a,
					      struct nx_wire_request *ret, struct nx_error *err);
NX_NODISCARD enum nx_code nx_wire_get_schema(struct nx_str payload, struct nx_arena *a,
					     struct nx_schema *ret, struct nx_error *err);
/* The worker's error; PROTOCOL when it is malformed. Never NX_OK. */
enum nx_code nx_wire_get_error(struct nx_str payload, struct nx_error *ret);

#endif
