#include "arrow_int.h"

#include <assert.h>

#include "put_str.h"
#include "put_time.h"
#include "read_text.h"

/* --- which Arrow type --- */

static void choose_int(struct nx_arrow_col *c, uint8_t bits, bool is_signed)
{
	c->kind = NX_A_INT;
	c->bits = bits;
	c->is_signed = is_signed;
}

static void choose_decimal(struct nx_arrow_col *c)
{
	const struct nx_field *f = c->field;
	int32_t own; /* digits the layout can hold */
	switch ((int)f->layout) {
	case NX_L_I16:
		own = 5;
		break;
	case NX_L_I32:
		own = 10;
		break;
	case NX_L_I64:
		own = 19;
		break;
	case NX_L_I128:
		own = 38;
		break;
	default:
		own = 0;
		break;
	}
	c->precision = f->precision > 0 ? f->precision : own;
	c->scale = f->scale;
	bool fits = c->precision >= 1 && c->precision <= 38 && c->scale >= -38 && c->scale <= 38;
	c->kind = fits ? NX_A_DECIMAL : NX_A_UTF8;
}

static void choose_by_type(struct nx_arrow_col *c)
{
	const struct nx_field *f = c->field;
	bool text = f->layout == NX_L_TEXT || f->layout == NX_L_VIEW;
	c->kind = NX_A_UTF8;
	switch (f->type) {
	case NX_T_NULL:
		break; /* with a layout that has values */
	case NX_T_BOOL:
		c->kind = NX_A_BOOL;
		break;
	case NX_T_INT8:
		choose_int(c, 8, true);
		break;
	case NX_T_INT16:
		choose_int(c, 16, true);
		break;
	case NX_T_INT32:
		choose_int(c, 32, true);
		break;
	case NX_T_INT64:
		choose_int(c, 64, true);
		break;
	case NX_T_UINT8:
		choose_int(c, 8, false);
		break;
	case NX_T_UINT16:
		choose_int(c, 16, false);
		break;
	case NX_T_UINT32:
		choose_int(c, 32, false);
		break;
	case NX_T_UINT64:
		choose_int(c, 64, false);
		break;
	case NX_T_FLOAT32:
	case NX_T_FLOAT64:
		c->kind = NX_A_FLOAT;
		c->bits = f->layout == NX_L_F32 || (text && f->type == NX_T_FLOAT32) ? 32 : 64;
		break;
	case NX_T_DECIMAL:
		choose_decimal(c);
		break;
	case NX_T_DATE:
		c->kind = NX_A_DATE;
		break;
	case NX_T_TIME:
		c->kind = NX_A_TIME;
		c->unit = f->unit == NX_UNIT_NS ? NX_UNIT_NS : NX_UNIT_US;
		break;
	case NX_T_TIMESTAMP:
	case NX_T_TIMESTAMPTZ:
		c->kind = NX_A_TIMESTAMP;
		c->zone = f->type == NX_T_TIMESTAMPTZ;
		c->unit = !text || f->unit == NX_UNIT_NS ? f->unit : NX_UNIT_US;
		break;
	case NX_T_INTERVAL:
		c->kind = NX_A_INTERVAL;
		break;
	case NX_T_BINARY:
		c->kind = NX_A_BINARY;
		break;
	case NX_T_LIST:
		c->kind = text ? NX_A_UTF8 : NX_A_LIST;
		break;
	case NX_T_STRUCT:
		c->kind = text ? NX_A_UTF8 : NX_A_STRUCT;
		break;
	case NX_T_MAP:
		c->kind = text ? NX_A_UTF8 : NX_A_MAP;
		break;
	case NX_T_TIMETZ:
	case NX_T_STRING:
	case NX_T_UUID:
	case NX_T_JSON:
	case NX_TYPE_COUNT:
		break;
	}
}

/* A native integer layout decides the width: INT64 in I32 is sent as int32. */
static void choose_by_layout(struct nx_arrow_col *c)
{
	switch ((int)c->field->layout) {
	case NX_L_I8:
		choose_int(c, 8, true);
		break;
	case NX_L_I16:
		choose_int(c, 16, true);
		break;
	case NX_L_I32:
		choose_int(c, 32, true);
		break;
	case NX_L_I64:
		choose_int(c, 64, true);
		break;
	case NX_L_U8:
		choose_int(c, 8, false);
		break;
	case NX_L_U16:
		choose_int(c, 16, false);
		break;
	case NX_L_U32:
		choose_int(c, 32, false);
		break;
	case NX_L_U64:
		choose_int(c, 64, false);
		break;
	case NX_L_I128:
		c->kind = NX_A_DECIMAL;
		c->precision = 38;
		break;
	default:
		break;
	}
}

bool nx_arrow_choose(struct nx_arrow_col *c, const struct nx_field *f, struct nx_arena *a)
{
	*c = (struct nx_arrow_col){ .field = f };
	if (f->layout == NX_L_NONE) {
		c->kind = NX_A_NULL;
		return true;
	}
	choose_by_type(c);
	if (c->kind == NX_A_INT)
		choose_by_layout(c);
	if (c->kind != NX_A_LIST && c->kind != NX_A_STRUCT && c->kind != NX_A_MAP)
		return true;
	c->nchildren = f->nchildren;
	c->children = nx_arena_array(a, f->nchildren, sizeof(*c->children));
	if (!c->children)
		return false;
	for (uint32_t i = 0; i < f->nchildren; i++)
		if (!nx_arrow_choose(&c->children[i], &f->children[i], a))
			return false;
	if (c->kind == NX_A_MAP) {
		c->children[0].required = true;
		c->children[0].children[0].required = true;
	}
	return true;
}

void nx_arrow_count(const struct nx_arrow_col *c, size_t *nodes, size_t *buffers)
{
	++*nodes;
	switch (c->kind) {
	case NX_A_NULL:
		break;
	case NX_A_STRUCT:
		*buffers += 1;
		break;
	case NX_A_UTF8:
	case NX_A_BINARY:
		*buffers += 3;
		break;
	case NX_A_BOOL:
	case NX_A_INT:
	case NX_A_FLOAT:
	case NX_A_DECIMAL:
	case NX_A_DATE:
	case NX_A_TIME:
	case NX_A_TIMESTAMP:
	case NX_A_INTERVAL:
	case NX_A_LIST:
	case NX_A_MAP:
		*buffers += 2;
		break;
	}
	for (uint32_t i = 0; i < c->nchildren; i++)
		nx_arrow_count(&c->children[i], nodes, buffers);
}

/* --- buffers --- */

/* The next buffer of n bytes, padded with zeros to a multiple of 8. NULL: no room. */
static char *buffer(struct nx_arrow_body *b, size_t n)
{
	size_t padded = (n + 7) & ~(size_t)7;
	char *p = nx_buf_reserve(b->out, padded);
	if (!p)
		return NULL;
	memset(p + n, 0, padded - n);
	int64_t *pair = b->buffers + 2 * b->nbuffers++;
	pair[0] = (int64_t)(b->out->len - b->start);
	pair[1] = (int64_t)n;
	b->out->len += padded;
	return p;
}

static enum nx_code no_room(struct nx_arrow_body *b, struct nx_error *err)
{
	return nx_encode_full(b->out, b->out->max / 2, err);
}

static enum nx_code inexact(const struct nx_arrow_body *b, int64_t row, const char *type,
			    struct nx_error *err)
{
	return nx_fail(err, NX_E_VALUE_UNREPRESENTABLE,
		       "column \"" NX_STR_FMT "\", row %llu: the value has no exact Arrow %s form",
		       b->column.len > 100 ? 100 : NX_STR_ARG(b->column),
		       (unsigned long long)(b->first_row + (uint64_t)row), type);
}

static inline bool bit_at(const uint8_t *bits, int64_t i)
{
	return bits[i >> 3] >> (i & 7) & 1;
}

/* Bits [from, from + n) to the front of dst, the rest of the last byte zero. */
static void copy_bits(uint8_t *dst, const uint8_t *src, int64_t from, int64_t n)
{
	size_t bytes = (size_t)(n + 7) / 8;
	if (from % 8 == 0) {
		memcpy(dst, src + from / 8, bytes);
	} else {
		memset(dst, 0, bytes);
		for (int64_t i = 0; i < n; i++)
			dst[i >> 3] |= (uint8_t)(bit_at(src, from + i) << (i & 7));
	}
	if (n % 8)
		dst[bytes - 1] &= (uint8_t)((1u << (n % 8)) - 1);
}

static int64_t count_ones(const uint8_t *bits, int64_t n)
{
	int64_t ones = 0;
	for (int64_t i = 0; i < (n + 7) / 8; i++)
		ones += __builtin_popcount(bits[i]);
	return ones;
}

/* Node and validity buffer. */
static bool put_validity(struct nx_arrow_body *b, const struct nx_column *col, int64_t from,
			 int64_t n)
{
	int64_t *node = b->nodes + 2 * b->nnodes++;
	node[0] = n;
	node[1] = 0;
	char *p = buffer(b, col->validity ? (size_t)(n + 7) / 8 : 0);
	if (!p)
		return false;
	if (col->validity) {
		copy_bits((uint8_t *)p, col->validity, from, n);
		node[1] = n - count_ones((const uint8_t *)p, n);
	}
	return true;
}

/* Value i of a text column; layout TEXT or VIEW. */
static struct nx_str text_at(const struct nx_arrow_col *c, const struct nx_column *col, int64_t i)
{
	if (c->field->layout == NX_L_VIEW)
		return nx_view_str((const struct nx_view *)col->data + i);
	return nx_column_text(col, i);
}

static bool is_text(const struct nx_arrow_col *c)
{
	return c->field->layout == NX_L_TEXT || c->field->layout == NX_L_VIEW;
}

/* --- text to values --- */

static bool read_int(const struct nx_arrow_col *c, struct nx_str s, void *dst)
{
	int64_t v;
	uint64_t u;
	if (!c->is_signed) {
		if (!nx_str_to_u64(s, &u) || (c->bits < 64 && u >> c->bits))
			return false;
		memcpy(dst, &u, c->bits / 8);
		return true;
	}
	if (!nx_str_to_i64(s, &v))
		return false;
	int64_t top = c->bits < 64 ? (int64_t)1 << (c->bits - 1) : 0;
	if (c->bits < 64 && (v < -top || v >= top))
		return false;
	memcpy(dst, &v, c->bits / 8);
	return true;
}

/* One value of `width` bytes. */
static bool read_value(const struct nx_arrow_col *c, struct nx_str s, void *dst)
{
	int64_t per_second = c->unit == NX_UNIT_NS ? 1000000000 : 1000000;
	int64_t i64;
	int32_t i32;
	double d;
	float f;
	nx_i128 dec;
	struct nx_month_day_nano mdn;
#define READ(var, call) (call ? (memcpy(dst, &(var), sizeof(var)), true) : false)
	switch (c->kind) {
	case NX_A_INT:
		return read_int(c, s, dst);
	case NX_A_FLOAT:
		return c->bits == 32 ? READ(f, nx_read_f32(s.ptr, s.len, &f))
				     : READ(d, nx_read_f64(s.ptr, s.len, &d));
	case NX_A_DECIMAL:
		return READ(dec, nx_read_decimal(s, c->scale, &dec));
	case NX_A_DATE:
		return READ(i32, nx_read_date(s, &i32));
	case NX_A_TIME:
		return READ(i64, nx_read_time(s, per_second, &i64));
	case NX_A_TIMESTAMP:
		return READ(i64, nx_read_timestamp(s, c->zone, per_second, &i64));
	case NX_A_INTERVAL:
		return READ(mdn, nx_read_interval(s, &mdn));
	case NX_A_NULL:
	case NX_A_BOOL:
	case NX_A_UTF8:
	case NX_A_BINARY:
	case NX_A_LIST:
	case NX_A_STRUCT:
	case NX_A_MAP:
		break;
	}
#undef READ
	return false;
}

static const char *kind_name(const struct nx_arrow_col *c)
{
	switch (c->kind) {
	case NX_A_INT:
		return "integer";
	case NX_A_FLOAT:
		return "float";
	case NX_A_DECIMAL:
		return "decimal128";
	case NX_A_DATE:
		return "date32";
	case NX_A_TIME:
		return "time64";
	case NX_A_TIMESTAMP:
		return "timestamp";
	case NX_A_INTERVAL:
		return "interval";
	case NX_A_BOOL:
		return "bool";
	case NX_A_NULL:
	case NX_A_UTF8:
	case NX_A_BINARY:
	case NX_A_LIST:
	case NX_A_STRUCT:
	case NX_A_MAP:
		break;
	}
	return "";
}

static size_t width(const struct nx_arrow_col *c)
{
	switch ((int)c->kind) {
	case NX_A_INT:
	case NX_A_FLOAT:
		return c->bits / 8;
	case NX_A_DATE:
		return 4;
	case NX_A_TIME:
	case NX_A_TIMESTAMP:
		return 8;
	default:
		return 16; /* decimal128, month_day_nano */
	}
}

static enum nx_code put_parsed(struct nx_arrow_body *b, const struct nx_arrow_col *c,
			       const struct nx_column *col, int64_t from, int64_t n,
			       struct nx_error *err)
{
	size_t w = width(c);
	char *p = buffer(b, (size_t)n * w);
	if (!p)
		return no_room(b, err);
	for (int64_t i = 0; i < n; i++, p += w) {
		if (!nx_column_valid(col, from + i))
			memset(p, 0, w);
		else if (!read_value(c, text_at(c, col, from + i), p))
			return inexact(b, i, kind_name(c), err);
	}
	return NX_OK;
}

static enum nx_code put_bool(struct nx_arrow_body *b, const struct nx_arrow_col *c,
			     const struct nx_column *col, int64_t from, int64_t n,
			     struct nx_error *err)
{
	size_t bytes = (size_t)(n + 7) / 8;
	uint8_t *p = (uint8_t *)buffer(b, bytes);
	if (!p)
		return no_room(b, err);
	if (!is_text(c)) {
		copy_bits(p, col->data, from, n);
		return NX_OK;
	}
	memset(p, 0, bytes);
	for (int64_t i = 0; i < n; i++) {
		if (!nx_column_valid(col, from + i))
			continue;
		struct nx_str s = text_at(c, col, from + i);
		bool yes = nx_str_is(s, "true");
		if (!yes && !nx_str_is(s, "false"))
			return inexact(b, i, kind_name(c), err);
		p[i >> 3] |= (uint8_t)(yes << (i & 7));
	}
	return NX_OK;
}

/* --- native values --- */

static enum nx_code put_decimal(struct nx_arrow_body *b, const struct nx_arrow_col *c,
				const struct nx_column *col, int64_t from, int64_t n,
				struct nx_error *err)
{
	char *p = buffer(b, (size_t)n * 16);
	if (!p)
		return no_room(b, err);
	for (int64_t i = 0; i < n; i++, p += 16) {
		nx_i128 v = 0;
		switch ((int)c->field->layout) {
		case NX_L_I16:
			v = ((const int16_t *)col->data)[from + i];
			break;
		case NX_L_I32:
			v = ((const int32_t *)col->data)[from + i];
			break;
		case NX_L_I64:
			v = ((const int64_t *)col->data)[from + i];
			break;
		default:
			v = ((const nx_i128 *)col->data)[from + i];
			break;
		}
		memcpy(p, &v, 16);
	}
	return NX_OK;
}

static enum nx_code put_interval(struct nx_arrow_body *b, const struct nx_column *col, int64_t from,
				 int64_t n, struct nx_error *err)
{
	char *p = buffer(b, (size_t)n * sizeof(struct nx_month_day_nano));
	if (!p)
		return no_room(b, err);
	const struct nx_interval *src = (const struct nx_interval *)col->data + from;
	for (int64_t i = 0; i < n; i++, p += sizeof(struct nx_month_day_nano)) {
		struct nx_month_day_nano v = { 0 };
		if (nx_column_valid(col, from + i)) {
			v = (struct nx_month_day_nano){ src[i].months, src[i].days, 0 };
			if (__builtin_mul_overflow(src[i].micros, 1000, &v.nanos))
				return inexact(b, i, "interval", err);
		}
		memcpy(p, &v, sizeof(v));
	}
	return NX_OK;
}

/* Seconds and milliseconds become microseconds; outside of a day there is no Arrow time. */
static enum nx_code put_time(struct nx_arrow_body *b, const struct nx_arrow_col *c,
			     const struct nx_column *col, int64_t from, int64_t n,
			     struct nx_error *err)
{
	char *p = buffer(b, (size_t)n * 8);
	if (!p)
		return no_room(b, err);
	const int64_t *src = (const int64_t *)col->data + from;
	int64_t per_second = (int64_t)nx_pow10[nx_unit_digits(c->field->unit)];
	int64_t factor = (int64_t)nx_pow10[nx_unit_digits(c->unit)] / per_second;
	for (int64_t i = 0; i < n; i++, p += 8) {
		int64_t v = 0;
		if (nx_column_valid(col, from + i)) {
			if (src[i] < 0 || src[i] >= 86400 * per_second)
				return inexact(b, i, "time64", err);
			v = src[i] * factor;
		}
		memcpy(p, &v, 8);
	}
	return NX_OK;
}

/* Values that lie as Arrow has them; infinite dates and timestamps are found on the way. */
static enum nx_code put_same(struct nx_arrow_body *b, const struct nx_arrow_col *c,
			     const struct nx_column *col, int64_t from, int64_t n,
			     struct nx_error *err)
{
	size_t w = width(c);
	char *p = buffer(b, (size_t)n * w);
	if (!p)
		return no_room(b, err);
	if (n > 0)
		memcpy(p, (const char *)col->data + (size_t)from * w, (size_t)n * w);
	if (c->kind == NX_A_DATE) {
		const int32_t *v = (const int32_t *)col->data + from;
		for (int64_t i = 0; i < n; i++)
			if ((v[i] == INT32_MAX || v[i] == -INT32_MAX) &&
			    nx_column_valid(col, from + i))
				return inexact(b, i, kind_name(c), err);
	} else if (c->kind == NX_A_TIMESTAMP) {
		const int64_t *v = (const int64_t *)col->data + from;
		for (int64_t i = 0; i < n; i++)
			if ((v[i] == INT64_MAX || v[i] == -INT64_MAX) &&
			    nx_column_valid(col, from + i))
				return inexact(b, i, kind_name(c), err);
	}
	return NX_OK;
}

/* --- strings --- */

/* Decimals too wide for decimal128 in a native layout. */
static size_t decimal_text(const struct nx_arrow_col *c, const struct nx_column *col, int64_t i,
			   char *p)
{
	int32_t scale = c->field->scale;
	char *end;
	switch ((int)c->field->layout) {
	case NX_L_I16:
		end = nx_put_decimal64(p, ((const int16_t *)col->data)[i], scale);
		break;
	case NX_L_I32:
		end = nx_put_decimal64(p, ((const int32_t *)col->data)[i], scale);
		break;
	case NX_L_I64:
		end = nx_put_decimal64(p, ((const int64_t *)col->data)[i], scale);
		break;
	default:
		end = nx_put_decimal128(p, ((const nx_i128 *)col->data)[i], scale);
		break;
	}
	return (size_t)(end - p);
}

static bool all_utf8(const struct nx_column *col, int64_t from, int64_t n)
{
	const char *data = col->data;
	struct nx_str s = { data + col->offsets[from],
			    (size_t)(col->offsets[from + n] - col->offsets[from]) };
	if (s.len == 0)
		return true;
	if (nx_utf8_check(s) != s.len)
		return false;
	for (int64_t i = 0; i < n; i++) /* no character across two values */
		if (col->offsets[from + i] < col->offsets[from + n] &&
		    ((unsigned char)data[col->offsets[from + i]] & 0xc0) == 0x80)
			return false;
	return true;
}

/* Layout TEXT with nothing to repair: the offsets are moved, the bytes copied. */
static enum nx_code put_text_same(struct nx_arrow_body *b, const struct nx_column *col,
				  int64_t from, int64_t n, struct nx_error *err)
{
	char *p = buffer(b, (size_t)(n + 1) * 4);
	if (!p)
		return no_room(b, err);
	int32_t base = col->offsets[from];
	for (int64_t i = 0; i <= n; i++, p += 4) {
		int32_t v = col->offsets[from + i] - base;
		memcpy(p, &v, 4);
	}
	size_t len = (size_t)(col->offsets[from + n] - base);
	p = buffer(b, len);
	if (!p)
		return no_room(b, err);
	if (len > 0)
		memcpy(p, (const char *)col->data + base, len);
	return NX_OK;
}

/* Value by value: views, text with invalid UTF-8 (replaced as in JSON), wide decimals. */
static enum nx_code put_strings(struct nx_arrow_body *b, const struct nx_arrow_col *c,
				const struct nx_column *col, int64_t from, int64_t n,
				struct nx_error *err)
{
	bool text = is_text(c);
	size_t per_value = text ? 0 : NX_PUT_DECIMAL + (size_t)labs(c->field->scale), total = 0;
	for (int64_t i = 0; i < n; i++) {
		if (!nx_column_valid(col, from + i))
			continue;
		struct nx_str s = text ? text_at(c, col, from + i) : nx_strn(NULL, 0);
		size_t len = s.len;
		if (text && c->kind == NX_A_UTF8 && nx_utf8_check(s) != s.len)
			len = 3 * s.len;
		total += len + per_value;
	}
	if (total > INT32_MAX)
		return nx_fail(err, NX_E_RESULT_TOO_LARGE,
			       "column \"" NX_STR_FMT "\": more than 2 GiB of text in one batch",
			       b->column.len > 100 ? 100 : NX_STR_ARG(b->column));
	char *offsets = buffer(b, (size_t)(n + 1) * 4);
	size_t offsets_at = offsets ? (size_t)(offsets - b->out->data) : 0;
	char *data = offsets ? nx_buf_reserve(b->out, total + 24) : NULL;
	if (!data)
		return no_room(b, err);
	offsets = b->out->data + offsets_at;
	char *p = data;
	memset(offsets, 0, 4);
	for (int64_t i = 0; i < n; i++) {
		if (nx_column_valid(col, from + i)) {
			struct nx_str s = text ? text_at(c, col, from + i) : nx_strn(NULL, 0);
			if (!text) {
				p += decimal_text(c, col, from + i, p);
			} else if (c->kind == NX_A_UTF8 && nx_utf8_check(s) != s.len) {
				p = nx_put_utf8(p, s.ptr, s.len);
			} else if (s.len > 0) {
				memcpy(p, s.ptr, s.len);
				p += s.len;
			}
		}
		int32_t end = (int32_t)(p - data);
		memcpy(offsets + 4 * (i + 1), &end, 4);
	}
	return buffer(b, (size_t)(p - data)) ? NX_OK : no_room(b, err);
}

/* --- nested --- */

static enum nx_code put_list(struct nx_arrow_body *b, const struct nx_arrow_col *c,
			     const struct nx_column *col, int64_t from, int64_t n,
			     struct nx_error *err)
{
	char *p = buffer(b, (size_t)(n + 1) * 4);
	if (!p)
		return no_room(b, err);
	int32_t base = col->offsets[from];
	for (int64_t i = 0; i <= n; i++, p += 4) {
		int32_t v = col->offsets[from + i] - base;
		memcpy(p, &v, 4);
	}
	return nx_arrow_put(b, &c->children[0], &col->children[0], base,
			    col->offsets[from + n] - base, err);
}

static enum nx_code put_struct(struct nx_arrow_body *b, const struct nx_arrow_col *c,
			       const struct nx_column *col, int64_t from, int64_t n,
			       struct nx_error *err)
{
	for (uint32_t i = 0; i < c->nchildren; i++) {
		enum nx_code code =
			nx_arrow_put(b, &c->children[i], &col->children[i], from, n, err);
		if (code)
			return code;
	}
	return NX_OK;
}

enum nx_code nx_arrow_put(struct nx_arrow_body *b, const struct nx_arrow_col *c,
			  const struct nx_column *col, int64_t from, int64_t n,
			  struct nx_error *err)
{
	if (c->kind == NX_A_NULL) { /* no buffers at all */
		int64_t *node = b->nodes + 2 * b->nnodes++;
		node[0] = node[1] = n;
		return NX_OK;
	}
	if (!put_validity(b, col, from, n))
		return no_room(b, err);
	switch (c->kind) {
	case NX_A_BOOL:
		return put_bool(b, c, col, from, n, err);
	case NX_A_INT:
	case NX_A_FLOAT:
	case NX_A_DATE:
	case NX_A_TIMESTAMP:
		return is_text(c) ? put_parsed(b, c, col, from, n, err)
				  : put_same(b, c, col, from, n, err);
	case NX_A_DECIMAL:
		return is_text(c) ? put_parsed(b, c, col, from, n, err)
				  : put_decimal(b, c, col, from, n, err);
	case NX_A_TIME:
		return is_text(c) ? put_parsed(b, c, col, from, n, err)
				  : put_time(b, c, col, from, n, err);
	case NX_A_INTERVAL:
		return is_text(c) ? put_parsed(b, c, col, from, n, err)
				  : put_interval(b, col, from, n, err);
	case NX_A_UTF8:
	case NX_A_BINARY:
		if (c->field->layout == NX_L_TEXT &&
		    (c->kind == NX_A_BINARY || all_utf8(col, from, n)))
			return put_text_same(b, col, from, n, err);
		return put_strings(b, c, col, from, n, err);
	case NX_A_LIST:
	case NX_A_MAP:
		return put_list(b, c, col, from, n, err);
	case NX_A_STRUCT:
		return put_struct(b, c, col, from, n, err);
	case NX_A_NULL:
		break;
	}
	assert(!"no such kind");
	return nx_fail(err, NX_E_INTERNAL, "arrow column of unknown kind");
}
