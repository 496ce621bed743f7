/* Row-wise filling of column-wise batches.
 *
 * Invariants, per column: offsets[0..rows] are set at all times; a value of the current row is
 * written at index `rows` and `filled` says it is there, so setting a value twice overwrites it.
 * The validity bitmap is all ones after clear and only nulls touch it. Every array holds one row
 * more than the batch may have: a caller that does not ask nx_builder_full() still writes into
 * memory we own, and row_end refuses. */
#include "nexus/builder.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_TEXT_PER_ROW = 16 };

struct col {
	enum nx_layout layout;
	uint32_t filled; /* number of the row set last, 1-based; rows + 1: current row is set */
	bool nulls;
	uint32_t width; /* bytes a value, 0 for TEXT, BITS and NONE */
	uint8_t *validity;
	char *data;
	size_t cap; /* TEXT: bytes behind data */
	int32_t *offsets; /* TEXT */
};

struct nx_builder {
	uint32_t ncols;
	uint32_t rows;
	uint32_t max_rows; /* of this batch; arrays hold cap_rows + 1 */
	uint32_t cap_rows;
	uint32_t next_rows; /* from the next clear on */
	size_t max_bytes, next_bytes;
	size_t bytes; /* text so far */
	size_t row_bytes; /* fixed part of a row */
	enum nx_code failed;
	struct nx_column *out;
	struct col cols[];
};

static uint32_t layout_width(enum nx_layout l)
{
	switch (l) {
	case NX_L_I8:
	case NX_L_U8:
		return 1;
	case NX_L_I16:
	case NX_L_U16:
		return 2;
	case NX_L_I32:
	case NX_L_U32:
	case NX_L_F32:
		return 4;
	case NX_L_I64:
	case NX_L_U64:
	case NX_L_F64:
		return 8;
	case NX_L_NONE:
	case NX_L_BITS:
	case NX_L_TEXT:
		return 0;
	case NX_L_I128:
	case NX_L_MDU:
	case NX_L_VIEW:
	case NX_L_LIST:
	case NX_L_STRUCT:
		break;
	}
	assert(!"layout not built row by row");
	return 0;
}

static size_t bitmap_bytes(uint32_t rows)
{
	return ((size_t)rows + 1 + 7) / 8;
}

/* Keeps the old block on failure. Contents are not kept: only called between batches. */
static bool grow(void *at, size_t size)
{
	void **p = at;
	void *fresh = malloc(size);
	if (!fresh)
		return false;
	free(*p);
	*p = fresh;
	return true;
}

static bool col_rows(struct col *c, uint32_t rows)
{
	size_t n = (size_t)rows + 1;
	if (!grow(&c->validity, bitmap_bytes(rows)))
		return false;
	if (c->layout == NX_L_TEXT) {
		if (!grow(&c->offsets, (n + 1) * sizeof(int32_t)))
			return false;
		c->offsets[0] = 0;
		size_t first = n * FIRST_TEXT_PER_ROW;
		if (c->cap < first && grow(&c->data, first))
			c->cap = first;
		return c->data != NULL;
	}
	if (c->layout == NX_L_BITS)
		return grow(&c->data, bitmap_bytes(rows));
	return c->layout == NX_L_NONE || grow(&c->data, n * c->width);
}

struct nx_builder *nx_builder_new(const struct nx_schema *schema, uint32_t max_rows,
				  size_t max_bytes)
{
	assert(max_rows >= 1 && max_rows <= 65536);
	uint32_t n = schema->nfields;
	struct nx_builder *b = calloc(1, sizeof(*b) + n * sizeof(b->cols[0]));
	if (!b)
		return NULL;
	b->ncols = n;
	b->next_rows = max_rows;
	b->next_bytes = max_bytes;
	b->out = calloc(n ? n : 1, sizeof(*b->out));
	for (uint32_t i = 0; i < n; i++) {
		b->cols[i].layout = schema->fields[i].layout;
		b->cols[i].width = layout_width(schema->fields[i].layout);
		b->row_bytes += b->cols[i].width + (b->cols[i].layout == NX_L_TEXT ? 4 : 0);
	}
	nx_builder_clear(b);
	if (!b->out || b->cap_rows == 0) {
		nx_builder_free(b);
		return NULL;
	}
	return b;
}

void nx_builder_free(struct nx_builder *b)
{
	if (!b)
		return;
	for (uint32_t i = 0; i < b->ncols; i++) {
		free(b->cols[i].validity);
		free(b->cols[i].data);
		free(b->cols[i].offsets);
	}
	free(b->out);
	free(b);
}

void nx_builder_limits(struct nx_builder *b, uint32_t max_rows, size_t max_bytes)
{
	assert(max_rows >= 1 && max_rows <= 65536);
	b->next_rows = max_rows;
	b->next_bytes = max_bytes;
}

void nx_builder_clear(struct nx_builder *b)
{
	if (b->next_rows > b->cap_rows) {
		uint32_t ok = 0;
		while (ok < b->ncols && col_rows(&b->cols[ok], b->next_rows))
			ok++;
		/* Out of memory: the columns done have more room than needed, the rest what they
		 * had; batches just stay as small as they were. */
		if (ok == b->ncols)
			b->cap_rows = b->next_rows;
	}
	b->max_rows = b->next_rows < b->cap_rows ? b->next_rows : b->cap_rows;
	b->max_bytes = b->next_bytes;
	b->rows = 0;
	b->bytes = 0;
	if (b->cap_rows == 0)
		return;
	for (uint32_t i = 0; i < b->ncols; i++) {
		struct col *c = &b->cols[i];
		c->filled = 0;
		c->nulls = false;
		memset(c->validity, 0xff, bitmap_bytes(b->max_rows));
		if (c->layout == NX_L_BITS)
			memset(c->data, 0, bitmap_bytes(b->max_rows));
	}
}

static NX_NODISCARD bool text_grow(struct nx_builder *b, struct col *c, size_t at, size_t len)
{
	if (b->failed)
		return false;
	size_t want;
	if (__builtin_add_overflow(at, len, &want) || want > INT32_MAX) {
		b->failed = NX_E_RESULT_TOO_LARGE;
		return false;
	}
	size_t cap = c->cap * 2 > INT32_MAX ? INT32_MAX : c->cap * 2;
	if (cap < want)
		cap = want;
	char *p = realloc(c->data, cap);
	if (!p) {
		b->failed = NX_E_MEMORY;
		return false;
	}
	c->data = p;
	c->cap = cap;
	return true;
}

static inline char *text_room(struct nx_builder *b, uint32_t col, size_t len)
{
	struct col *c = &b->cols[col];
	assert(col < b->ncols && c->layout == NX_L_TEXT);
	size_t at = (size_t)c->offsets[b->rows];
	if (NX_UNLIKELY(len > c->cap - at) && !text_grow(b, c, at, len))
		return NULL;
	c->offsets[b->rows + 1] = (int32_t)(at + len);
	c->filled = b->rows + 1;
	b->bytes += len;
	return c->data + at;
}

void nx_builder_text(struct nx_builder *b, uint32_t col, const void *ptr, size_t len)
{
	char *p = text_room(b, col, len);
	if (p && len > 0)
		memcpy(p, ptr, len);
}

char *nx_builder_room(struct nx_builder *b, uint32_t col, size_t len)
{
	return text_room(b, col, len);
}

void nx_builder_shrink(struct nx_builder *b, uint32_t col, size_t len)
{
	struct col *c = &b->cols[col];
	if (c->filled != b->rows + 1)
		return; /* the room was refused */
	int32_t at = c->offsets[b->rows], end = c->offsets[b->rows + 1];
	assert(len <= (size_t)(end - at));
	b->bytes -= (size_t)(end - at) - len;
	c->offsets[b->rows + 1] = at + (int32_t)len;
}

static inline void store(struct nx_builder *b, uint32_t col, uint64_t v)
{
	struct col *c = &b->cols[col];
	size_t i = b->rows;
	assert(col < b->ncols && c->width > 0);
	switch (c->width) {
	case 1:
		((uint8_t *)c->data)[i] = (uint8_t)v;
		break;
	case 2:
		((uint16_t *)(void *)c->data)[i] = (uint16_t)v;
		break;
	case 4:
		((uint32_t *)(void *)c->data)[i] = (uint32_t)v;
		break;
	default:
		((uint64_t *)(void *)c->data)[i] = v;
		break;
	}
	c->filled = b->rows + 1;
}

void nx_builder_i64(struct nx_builder *b, uint32_t col, int64_t v)
{
	store(b, col, (uint64_t)v);
}

void nx_builder_u64(struct nx_builder *b, uint32_t col, uint64_t v)
{
	store(b, col, v);
}

void nx_builder_f64(struct nx_builder *b, uint32_t col, double v)
{
	union {
		double d;
		uint64_t u;
		float f;
		uint32_t w;
	} x = { .d = v };
	if (b->cols[col].layout == NX_L_F32) {
		x.f = (float)v;
		store(b, col, x.w);
		return;
	}
	assert(b->cols[col].layout == NX_L_F64);
	store(b, col, x.u);
}

void nx_builder_bool(struct nx_builder *b, uint32_t col, bool v)
{
	struct col *c = &b->cols[col];
	assert(col < b->ncols && c->layout == NX_L_BITS);
	uint8_t bit = (uint8_t)(1u << (b->rows & 7)), *byte = (uint8_t *)c->data + (b->rows >> 3);
	*byte = (uint8_t)(v ? *byte | bit : *byte & ~bit);
	c->filled = b->rows + 1;
}

/* A null has defined bytes too: encoders may read them before they look at the bitmap. */
static void set_null(struct col *c, uint32_t row)
{
	c->nulls = true;
	c->validity[row >> 3] = (uint8_t)(c->validity[row >> 3] & ~(1u << (row & 7)));
	if (c->layout == NX_L_TEXT)
		c->offsets[row + 1] = c->offsets[row];
	else if (c->width)
		memset(c->data + (size_t)row * c->width, 0, c->width);
}

enum nx_code nx_builder_row_end(struct nx_builder *b, struct nx_error *err)
{
	if (NX_UNLIKELY(b->rows >= b->max_rows))
		return nx_fail(err, NX_E_INTERNAL, "row appended to a full batch");
	if (NX_UNLIKELY(b->failed))
		return b->failed == NX_E_MEMORY
			       ? nx_fail(err, NX_E_MEMORY, "out of memory for a batch of rows")
			       : nx_fail(err, b->failed,
					 "more than 2 GiB of text in one column of a batch");
	uint32_t row = b->rows;
	for (uint32_t i = 0; i < b->ncols; i++)
		if (NX_UNLIKELY(b->cols[i].filled != row + 1))
			set_null(&b->cols[i], row);
	b->rows = row + 1;
	return NX_OK;
}

bool nx_builder_full(const struct nx_builder *b)
{
	return b->rows >= b->max_rows ||
	       (b->rows > 0 && b->bytes + b->rows * b->row_bytes >= b->max_bytes);
}

uint32_t nx_builder_rows(const struct nx_builder *b)
{
	return b->rows;
}

void nx_builder_batch(struct nx_builder *b, struct nx_batch *ret)
{
	for (uint32_t i = 0; i < b->ncols; i++) {
		struct col *c = &b->cols[i];
		b->out[i] = (struct nx_column){
			.length = b->rows,
			.validity = c->nulls ? c->validity : NULL,
			.data = c->data,
			.offsets = c->offsets,
		};
	}
	*ret = (struct nx_batch){ .nrows = b->rows, .ncols = b->ncols, .cols = b->out };
}
