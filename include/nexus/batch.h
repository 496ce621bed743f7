/* Batches of rows, column by column, in the memory layout of the Arrow C data interface (validity
 * bitmaps with the least significant bit first, 32-bit offsets, little-endian values), plus two
 * layouts that save a copy: TEXT for every type and VIEW for strings.
 *
 * A column has a logical type (what the value means) and a layout (how the bytes lie). A driver
 * whose wire carries text hands the text over (layout TEXT) in the canonical form below; encoders
 * accept every pair listed here, so nobody parses a number only to print it again.
 *
 * type          native layout                             canonical TEXT
 * NULL          NONE                                      -
 * BOOL          BITS                                      true | false
 * INT8..UINT64  I8..U64                                   decimal digits, leading '-'
 * FLOAT32/64    F32 F64                                   shortest that reads back; NaN Infinity -Infinity
 * DECIMAL       I16 I32 I64 I128, scaled by field.scale   plain digits, no exponent; NaN Infinity -Infinity
 * DATE          I32 days since 1970-01-01                 YYYY-MM-DD; see "far dates"
 * TIME          I64 in field.unit since midnight          HH:MM:SS[.ffffff]; may be negative or over 24 h (MySQL)
 * TIMETZ        -                                         HH:MM:SS[.ffffff](Z|+HH:MM[:SS])
 * TIMESTAMP     I64 in field.unit since 1970              YYYY-MM-DDTHH:MM:SS[.f{1,9}]
 * TIMESTAMPTZ   I64 in field.unit since 1970 UTC          YYYY-MM-DDTHH:MM:SS[.f{1,9}](Z|+HH:MM)
 * INTERVAL      MDU {int32 months, int32 days, int64 us}  ISO 8601 duration, P1Y2M3DT4H5M6.7S, signs allowed
 * STRING        TEXT VIEW                                 UTF-8, any characters, NUL included
 * BINARY        TEXT VIEW (raw bytes)                     -
 * UUID          -                                         8-4-4-4-12, lower case
 * JSON          -                                         one JSON value
 * LIST          LIST                                      JSON array
 * STRUCT        STRUCT                                    JSON object
 * MAP           LIST of STRUCT {key, value}               JSON array of [key, value] pairs, or object
 *
 * Floats: the shortest digits that read back, as PostgreSQL prints them: plain between 1e-4 and 1e15
 * (float32: 1e6), else d.ddde+XX; an integral value has no point.
 *
 * Far dates: years beyond 9999 are written +YYYYY, years before 1 as astronomical -YYYY (1 BC is
 * 0000); infinity and -infinity as those words; MySQL's zero and partial dates as stored
 * (0000-00-00). In native layouts INT32_MAX/INT64_MAX is infinity and the negatives of those
 * are -infinity (as DuckDB has it).
 *
 * Ownership: a batch and all it points to belong to the stream that filled it and stay valid until
 * that stream's next next() or release(). Threads: one at a time. */
#ifndef NEXUS_BATCH_H
#define NEXUS_BATCH_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "nexus/str.h"

enum nx_type {
#define NX_TYPE(name, text) NX_T_##name,
#include "nexus/types.def"
#undef NX_TYPE
	NX_TYPE_COUNT
};

const char *nx_type_name(enum nx_type t); /* "int64" */

enum nx_layout {
	NX_L_NONE, /* no data: every value is null */
	NX_L_BITS, /* bitmap */
	NX_L_I8, NX_L_I16, NX_L_I32, NX_L_I64, NX_L_I128,
	NX_L_U8, NX_L_U16, NX_L_U32, NX_L_U64,
	NX_L_F32, NX_L_F64,
	NX_L_MDU,  /* struct nx_interval */
	NX_L_TEXT, /* offsets[length + 1] into data */
	NX_L_VIEW, /* struct nx_view[length] */
	NX_L_LIST, /* offsets[length + 1] into children[0] */
	NX_L_STRUCT, /* children[i] all of this length */
};

enum nx_unit { NX_UNIT_S, NX_UNIT_MS, NX_UNIT_US, NX_UNIT_NS };

struct nx_interval {
	int32_t months;
	int32_t days;
	int64_t micros;
};

/* 16 bytes: up to 12 bytes inline, else 4 bytes of prefix and a pointer. */
struct nx_view {
	uint32_t len;
	union {
		char inl[12];
		struct { /* packed: no hole before the union, ptr still lies at a multiple of 8 */
			char prefix[4];
			const char *ptr;
		} __attribute__((packed)) ref;
	} u;
} __attribute__((aligned(8)));
static_assert(sizeof(struct nx_view) == 16, "the layout of Arrow and DuckDB");

static inline struct nx_str nx_view_str(const struct nx_view *v)
{
	return (struct nx_str){ v->len <= 12 ? v->u.inl : v->u.ref.ptr, v->len };
}

struct nx_field {
	struct nx_str name;    /* as the source says; may be empty or repeat */
	enum nx_type type;
	enum nx_layout layout;
	struct nx_str native;  /* the source's own type text: "numeric(10,2)" */
	int32_t precision;     /* DECIMAL: total digits, 0 unknown or unbounded */
	int32_t scale;         /* DECIMAL: digits after the point */
	enum nx_unit unit;     /* TIME, TIMESTAMP, TIMESTAMPTZ in native layout */
	int8_t nullable;       /* 1 yes, 0 no, -1 unknown */
	uint32_t nchildren;    /* LIST 1, MAP 1 (a STRUCT of two), STRUCT n; 0 in layout TEXT */
	const struct nx_field *children;
};

struct nx_schema {
	uint32_t nfields;
	const struct nx_field *fields;
};

struct nx_column {
	int64_t length;
	const uint8_t *validity; /* bit i set: value i is there; NULL: no nulls at all */
	const void *data;        /* values by layout; NULL for NONE, LIST, STRUCT */
	const int32_t *offsets;  /* TEXT and LIST; offsets[0] need not be 0 */
	const struct nx_column *children; /* as many as the field has */
};

struct nx_batch {
	uint32_t nrows; /* 0 from next(): the end */
	uint32_t ncols;
	const struct nx_column *cols;
};

static inline bool nx_column_valid(const struct nx_column *c, int64_t i)
{
	return !c->validity || (c->validity[i >> 3] >> (i & 7) & 1);
}

static inline struct nx_str nx_column_text(const struct nx_column *c, int64_t i)
{
	return (struct nx_str){ (const char *)c->data + c->offsets[i],
				(size_t)(c->offsets[i + 1] - c->offsets[i]) };
}

#endif
