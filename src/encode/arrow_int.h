/* The Arrow encoder's parts: arrow.c writes messages, arrow_col.c turns columns into buffers. */
#ifndef NX_ENCODE_ARROW_INT_H
#define NX_ENCODE_ARROW_INT_H

#include "encode_int.h"

enum nx_arrow_kind {
	NX_A_NULL,
	NX_A_BOOL,
	NX_A_INT,      /* bits, is_signed */
	NX_A_FLOAT,    /* bits */
	NX_A_DECIMAL,  /* decimal128(precision, scale) */
	NX_A_DATE,     /* date32 */
	NX_A_TIME,     /* time64(unit) */
	NX_A_TIMESTAMP, /* timestamp(unit), UTC when zone */
	NX_A_INTERVAL, /* month_day_nano */
	NX_A_UTF8,
	NX_A_BINARY,
	NX_A_LIST,
	NX_A_STRUCT,
	NX_A_MAP,
};

/* The Arrow form of one field, chosen once. */
struct nx_arrow_col {
	const struct nx_field *field;
	enum nx_arrow_kind kind;
	uint8_t bits;
	bool is_signed;
	bool zone;
	bool required; /* no nulls by Arrow's rules: a map's entries and keys */
	int32_t precision, scale;
	enum nx_unit unit;
	uint32_t nchildren;
	struct nx_arrow_col *children;
};

/* False: out of memory. */
NX_NODISCARD bool nx_arrow_choose(struct nx_arrow_col *c, const struct nx_field *f,
				  struct nx_arena *a);

/* A record batch body under construction. */
struct nx_arrow_body {
	struct nx_buf *out;
	size_t start;      /* of the body in out */
	int64_t *nodes;    /* pairs: length, null count */
	int64_t *buffers;  /* pairs: offset in the body, length */
	size_t nnodes, nbuffers;
	/* for messages */
	struct nx_str column;
	uint64_t first_row;
};

/* How many nodes and buffers a column has, children included. */
void nx_arrow_count(const struct nx_arrow_col *c, size_t *nodes, size_t *buffers);
/* Appends rows [from, from + n) of the column. */
NX_NODISCARD enum nx_code nx_arrow_put(struct nx_arrow_body *b, const struct nx_arrow_col *c,
				       const struct nx_column *col, int64_t from, int64_t n,
				       struct nx_error *err);

#endif
