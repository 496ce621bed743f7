/* Cells: one function per (type, layout) and text format, chosen once per column.
 *
 * Capacity: a cell function is entered with at least `slack` bytes behind p, which covers the fixed
 * part of every column of a row together. What depends on a value's length is asked for with
 * nx_out_more(), which keeps `slack` behind it. So no byte is checked, and a row of fixed types is
 * checked once.
 *
 * Threads: one at a time. A cell points into the schema and the bound batch. */
#ifndef NX_ENCODE_CELL_H
#define NX_ENCODE_CELL_H

#include "nexus/arena.h"
#include "nexus/batch.h"
#include "nexus/buf.h"
#include "nexus/driver.h"

struct nx_out {
	char *end;   /* of the room behind buf->data */
	size_t slack;
	struct nx_buf *buf;
	struct nx_buf *tmp; /* CSV: JSON text of a nested value before it is quoted */
	size_t wanted; /* bytes of the growth that was refused */
	bool failed; /* a growth was refused; the row is not complete */
};

struct nx_cell;
/* Writes value i, which is not null. */
typedef char *nx_cell_fn(struct nx_out *o, const struct nx_cell *c, size_t i, char *p);

struct nx_cell {
	nx_cell_fn *put;
	const uint8_t *validity;
	const void *data;
	const int32_t *offsets;
	enum nx_unit unit;
	int32_t scale;
	struct nx_str prefix; /* what stands before the value in its row or object: ',' or ,"name": ;
			       * readable for 16 bytes at least */
	struct nx_cell *children;
	uint32_t nchildren;
};

enum nx_cell_style { NX_CELL_JSON, NX_CELL_JSON_EXACT, NX_CELL_CSV };

/* Fills *c and its children for a field; adds to *slack. False: out of memory. The prefix is the
 * caller's to set. */
NX_NODISCARD bool nx_cell_init(struct nx_cell *c, const struct nx_field *f, enum nx_cell_style style,
			       struct nx_arena *a, size_t *slack);
/* Points at the values of a batch. */
void nx_cell_bind(struct nx_cell *c, const struct nx_column *col);

/* Makes sure of n + slack bytes behind p. NULL (and o->failed) when refused: return p as it was. */
char *nx_out_grow(struct nx_out *o, char *p, size_t n);

static inline char *nx_out_more(struct nx_out *o, char *p, size_t n)
{
	if (NX_LIKELY((size_t)(o->end - p) >= o->slack && (size_t)(o->end - p) - o->slack >= n))
		return p;
	return nx_out_grow(o, p, n);
}

static inline char *nx_put_prefix(char *p, struct nx_str s)
{
	memcpy(p, s.ptr, 16);
	if (NX_UNLIKELY(s.len > 16))
		memcpy(p + 16, s.ptr + 16, s.len - 16);
	return p + s.len;
}

/* A slice that nx_put_prefix may read. ptr NULL: out of memory. */
struct nx_str nx_prefix(struct nx_arena *a, struct nx_str before, struct nx_str name_or_none);

static inline bool nx_cell_valid(const struct nx_cell *c, size_t i)
{
	return !c->validity || (c->validity[i >> 3] >> (i & 7) & 1);
}

/* Value i or null, for JSON. */
static inline char *nx_cell_json(struct nx_out *o, const struct nx_cell *c, size_t i, char *p)
{
	if (NX_LIKELY(nx_cell_valid(c, i)))
		return c->put(o, c, i, p);
	memcpy(p, "null", 4);
	return p + 4;
}

#endif
