#include "cell.h"

#include <assert.h>

#include "put_num.h"
#include "put_str.h"
#include "put_time.h"

/* The largest integer all of whose neighbours a JavaScript number can hold. */
#define SAFE_MAX 9007199254740991
#define SAFE_TEXT "9007199254740991"

/* Bounds of the fixed part of a value, quotes and the bytes touched behind it included. */
enum {
	FIXED_BYTES = 24,
	FIXED_NUMBER = 48,
	FIXED_OTHER = 128,
	PIECE = 16 *
		1024, /* long strings are escaped in pieces, so that the worst case stays small */
};
static_assert(NX_PUT_F64 + 2 <= FIXED_NUMBER && NX_PUT_U64 + 2 <= FIXED_NUMBER, "numbers");
static_assert(NX_PUT_INTERVAL + 2 <= FIXED_OTHER && NX_PUT_DECIMAL + 2 <= FIXED_OTHER, "others");

char *nx_out_grow(struct nx_out *o, char *p, size_t n)
{
	if (o->failed)
		return NULL;
	o->buf->len = (size_t)(p - o->buf->data);
	size_t want;
	if (__builtin_add_overflow(n, o->slack, &want))
		want = SIZE_MAX;
	char *fresh = nx_buf_reserve(o->buf, want);
	if (!fresh) {
		o->failed = true;
		o->wanted = want;
		return NULL;
	}
	o->end = o->buf->data + o->buf->cap;
	return fresh;
}

#define CELL(name) \
	static char *name(NX_UNUSED struct nx_out *o, const struct nx_cell *c, size_t i, char *p)

/* Two cells from a function over bytes: layout TEXT and layout VIEW. */
#define BYTES_CELLS(name)                                                                \
	CELL(name##_text)                                                                \
	{                                                                                \
		const char *data = c->data;                                              \
		int32_t at = c->offsets[i];                                              \
		return name(o, p, nx_strn(data + at, (size_t)(c->offsets[i + 1] - at))); \
	}                                                                                \
	CELL(name##_view)                                                                \
	{                                                                                \
		return name(o, p, nx_view_str((const struct nx_view *)c->data + i));     \
	}

/* Quoted and plain cells from an expression that advances p. */
#define FIXED_CELLS(name, expr) \
	CELL(name##_bare)       \
	{                       \
		return expr;    \
	}                       \
	CELL(name##_quoted)     \
	{                       \
		*p++ = '"';     \
		p = expr;       \
		*p++ = '"';     \
		return p;       \
	}

#define AT(type) (((const type *)c->data)[i])

/* --- fixed-size values --- */

CELL(none)
{
	(void)c;
	(void)i;
	memcpy(p, "null", 4);
	return p + 4;
}

CELL(none_csv)
{
	(void)c;
	(void)i;
	return p;
}

CELL(bool_bits)
{
	bool v = ((const uint8_t *)c->data)[i >> 3] >> (i & 7) & 1;
	memcpy(p, v ? "true\0\0\0" : "false\0\0", 8);
	return p + (v ? 4 : 5);
}

CELL(int_i8)
{
	return nx_put_i64(p, AT(int8_t));
}
CELL(int_i16)
{
	return nx_put_i64(p, AT(int16_t));
}
CELL(int_i32)
{
	int32_t v = AT(int32_t);
	return nx_put_i64(p, v);
}
CELL(int_u8)
{
	return nx_put_u27(p, AT(uint8_t));
}
CELL(int_u16)
{
	return nx_put_u27(p, AT(uint16_t));
}
CELL(int_u32)
{
	return nx_put_u64(p, AT(uint32_t));
}
CELL(int_i64)
{
	return nx_put_i64(p, AT(int64_t));
}
CELL(int_u64)
{
	return nx_put_u64(p, AT(uint64_t));
}
CELL(int_i128)
{
	return nx_put_decimal128(p, AT(nx_i128), 0);
}

CELL(safe_i64)
{
	int64_t v = AT(int64_t);
	if (NX_LIKELY(v >= -SAFE_MAX && v <= SAFE_MAX))
		return nx_put_i64(p, v);
	*p++ = '"';
	p = nx_put_i64(p, v);
	*p++ = '"';
	return p;
}

CELL(safe_u64)
{
	uint64_t v = AT(uint64_t);
	if (NX_LIKELY(v <= SAFE_MAX))
		return nx_put_u64(p, v);
	*p++ = '"';
	p = nx_put_u64(p, v);
	*p++ = '"';
	return p;
}

CELL(safe_i128)
{
	nx_i128 v = AT(nx_i128);
	if (NX_LIKELY(v >= -SAFE_MAX && v <= SAFE_MAX))
		return nx_put_i64(p, (int64_t)v);
	*p++ = '"';
	p = nx_put_decimal128(p, v, 0);
	*p++ = '"';
	return p;
}

static char *not_finite(char *p, double v)
{
	if (isnan(v)) {
		memcpy(p, "NaN", 3);
		return p + 3;
	}
	*p = '-';
	p += v < 0;
	memcpy(p, "Infinity", 8);
	return p + 8;
}

CELL(f64_json)
{
	double v = AT(double);
	if (NX_LIKELY(isfinite(v)))
		return nx_put_f64(p, v);
	*p++ = '"';
	p = not_finite(p, v);
	*p++ = '"';
	return p;
}

CELL(f64_csv)
{
	double v = AT(double);
	return isfinite(v) ? nx_put_f64(p, v) : not_finite(p, v);
}

CELL(f32_json)
{
	float v = AT(float);
	if (NX_LIKELY(isfinite(v)))
		return nx_put_f32(p, v);
	*p++ = '"';
	p = not_finite(p, (double)v);
	*p++ = '"';
	return p;
}

CELL(f32_csv)
{
	float v = AT(float);
	return isfinite(v) ? nx_put_f32(p, v) : not_finite(p, (double)v);
}

FIXED_CELLS(dec_i16, nx_put_decimal64(p, AT(int16_t), c->scale))
FIXED_CELLS(dec_i32, nx_put_decimal64(p, AT(int32_t), c->scale))
FIXED_CELLS(dec_i64, nx_put_decimal64(p, AT(int64_t), c->scale))
FIXED_CELLS(dec_i128, nx_put_decimal128(p, AT(nx_i128), c->scale))
FIXED_CELLS(date, nx_put_date(p, AT(int32_t)))
FIXED_CELLS(time_of_day, nx_put_time(p, AT(int64_t), c->unit))
FIXED_CELLS(ts_s, nx_put_timestamp(p, AT(int64_t), NX_UNIT_S))
FIXED_CELLS(ts_ms, nx_put_timestamp(p, AT(int64_t), NX_UNIT_MS))
FIXED_CELLS(ts_us, nx_put_timestamp(p, AT(int64_t), NX_UNIT_US))
FIXED_CELLS(ts_ns, nx_put_timestamp(p, AT(int64_t), NX_UNIT_NS))
FIXED_CELLS(tstz_s, nx_put_timestamptz(p, AT(int64_t), NX_UNIT_S))
FIXED_CELLS(tstz_ms, nx_put_timestamptz(p, AT(int64_t), NX_UNIT_MS))
FIXED_CELLS(tstz_us, nx_put_timestamptz(p, AT(int64_t), NX_UNIT_US))
FIXED_CELLS(tstz_ns, nx_put_timestamptz(p, AT(int64_t), NX_UNIT_NS))
FIXED_CELLS(interval, nx_put_interval(p, AT(struct nx_interval)))

/* --- text --- */

static inline char *json_string(struct nx_out *o, char *p, struct nx_str s)
{
	size_t start = (size_t)(p - o->buf->data);
	*p++ = '"';
	do {
		size_t n = NX_UNLIKELY(s.len > PIECE) ? nx_utf8_cut(s.ptr, PIECE) : s.len;
		p = nx_out_more(o, p, 6 * n + 16);
		if (NX_UNLIKELY(!p))
			return o->buf->data + start;
		p = nx_put_json_inner(p, s.ptr, n);
		s = nx_strn(s.ptr + n, s.len - n);
	} while (NX_UNLIKELY(s.len > 0));
	*p++ = '"';
	return p;
}
BYTES_CELLS(json_string)

/* Copies, with or without quotes. For text already known to be harmless. */
static inline char *plain(struct nx_out *o, char *p, struct nx_str s)
{
	char *q = nx_out_more(o, p, s.len);
	if (NX_UNLIKELY(!q))
		return p;
	if (s.len > 0)
		memcpy(q, s.ptr, s.len);
	return q + s.len;
}

static inline char *quoted(struct nx_out *o, char *p, struct nx_str s)
{
	char *q = nx_out_more(o, p, s.len);
	if (NX_UNLIKELY(!q))
		return p;
	*q++ = '"';
	memcpy(q, s.ptr, s.len);
	q[s.len] = '"';
	return q + s.len + 1;
}

/* Text that should be a number: what is not one becomes a string, so that no source breaks the
 * document. */
static char *json_number(struct nx_out *o, char *p, struct nx_str s)
{
	return nx_json_is_number(s.ptr, s.len) ? plain(o, p, s) : json_string(o, p, s);
}
BYTES_CELLS(json_number)

static char *json_safe_int(struct nx_out *o, char *p, struct nx_str s)
{
	if (NX_UNLIKELY(!nx_json_is_integer(s.ptr, s.len)))
		return json_string(o, p, s);
	size_t digits = s.len - (*s.ptr == '-'), safe = sizeof(SAFE_TEXT) - 1;
	if (digits > safe ||
	    (digits == safe && memcmp(s.ptr + s.len - digits, SAFE_TEXT, safe) > 0))
		return quoted(o, p, s);
	return plain(o, p, s);
}
BYTES_CELLS(json_safe_int)

static char *json_bool(struct nx_out *o, char *p, struct nx_str s)
{
	return nx_str_eq(s, NX_STR("true")) || nx_str_eq(s, NX_STR("false")) ? plain(o, p, s)
									     : json_string(o, p, s);
}
BYTES_CELLS(json_bool)

static char *json_nested(struct nx_out *o, char *p, struct nx_str s)
{
	char *q = nx_out_more(o, p, s.len);
	if (NX_UNLIKELY(!q))
		return p;
	if (NX_LIKELY(nx_json_copy(q, s.ptr, s.len)))
		return q + s.len;
	return json_string(o, q, s);
}
BYTES_CELLS(json_nested)

static char *base64_bare(struct nx_out *o, char *p, struct nx_str s)
{
	char *q = nx_out_more(o, p, s.len / 3 * 4 + 4);
	return NX_UNLIKELY(!q) ? p : nx_put_base64(q, s.ptr, s.len);
}

static char *json_base64(struct nx_out *o, char *p, struct nx_str s)
{
	char *q = nx_out_more(o, p, s.len / 3 * 4 + 4);
	if (NX_UNLIKELY(!q))
		return p;
	*q++ = '"';
	q = nx_put_base64(q, s.ptr, s.len);
	*q++ = '"';
	return q;
}
BYTES_CELLS(json_base64)

static inline char *csv_text(struct nx_out *o, char *p, struct nx_str s)
{
	bool quotes = nx_csv_needs_quotes(s.ptr, s.len);
	if (!quotes && nx_utf8_check(s) == s.len)
		return plain(o, p, s);
	size_t base = (size_t)(p - o->buf->data);
	if (quotes)
		*p++ = '"';
	while (s.len > 0) {
		size_t n = s.len > PIECE ? nx_utf8_cut(s.ptr, PIECE) : s.len;
		p = nx_out_more(o, p, 3 * n + 16);
		if (NX_UNLIKELY(!p))
			return o->buf->data + base;
		p = nx_put_csv_inner(p, s.ptr, n);
		s = nx_strn(s.ptr + n, s.len - n);
	}
	if (quotes)
		*p++ = '"';
	return p;
}
BYTES_CELLS(csv_text)

static char *csv_base64(struct nx_out *o, char *p, struct nx_str s)
{
	return s.len ? base64_bare(o, p, s) : csv_text(o, p, s);
}
BYTES_CELLS(csv_base64)

/* --- nested, native layouts --- */

static char *put_list(struct nx_out *o, const struct nx_cell *c, size_t from, size_t to, char *p)
{
	const struct nx_cell *item = &c->children[0];
	*p++ = '[';
	for (size_t i = from; i < to; i++) {
		char *q = nx_out_more(o, p, 0);
		if (NX_UNLIKELY(!q))
			return p;
		p = q;
		*p = ',';
		p += i > from;
		p = nx_cell_json(o, item, i, p);
	}
	char *q = nx_out_more(o, p, 0);
	if (NX_UNLIKELY(!q))
		return p;
	*q++ = ']';
	return q;
}

CELL(list)
{
	return put_list(o, c, (size_t)c->offsets[i], (size_t)c->offsets[i + 1], p);
}

CELL(structure)
{
	*p++ = '{';
	for (uint32_t k = 0; k < c->nchildren; k++) {
		p = nx_put_prefix(p, c->children[k].prefix);
		p = nx_cell_json(o, &c->children[k], i, p);
	}
	*p++ = '}';
	return p;
}

/* Entries as [key, value] pairs: keys may be of any type. */
CELL(map_pair)
{
	*p++ = '[';
	p = nx_cell_json(o, &c->children[0], i, p);
	*p++ = ',';
	p = nx_cell_json(o, &c->children[1], i, p);
	*p++ = ']';
	return p;
}

/* Keys are strings: an object. */
CELL(map_object)
{
	const struct nx_cell *key = &c->children[0].children[0], *val = &c->children[0].children[1];
	size_t from = (size_t)c->offsets[i], to = (size_t)c->offsets[i + 1];
	*p++ = '{';
	for (size_t k = from; k < to; k++) {
		char *q = nx_out_more(o, p, 0);
		if (NX_UNLIKELY(!q))
			return p;
		p = q;
		*p = ',';
		p += k > from;
		p = nx_cell_json(o, key, k, p);
		*p++ = ':';
		p = nx_cell_json(o, val, k, p);
	}
	char *q = nx_out_more(o, p, 0);
	if (NX_UNLIKELY(!q))
		return p;
	*q++ = '}';
	return q;
}

/* CSV: the JSON text of the value as one field. */
CELL(csv_nested)
{
	struct nx_out inner = { .slack = o->slack, .buf = o->tmp };
	nx_buf_clear(o->tmp);
	char *q = nx_out_grow(&inner, o->tmp->data, 0);
	if (q)
		q = c->children[0].put(&inner, &c->children[0], i, q);
	if (inner.failed || !q) {
		o->failed = true;
		o->wanted = inner.wanted;
		return p;
	}
	return csv_text(o, p, nx_strn(o->tmp->data, (size_t)(q - o->tmp->data)));
}

/* --- choice --- */

static nx_cell_fn *pick_bytes(enum nx_type t, enum nx_cell_style style, bool view)
{
#define PICK(name) (view ? name##_view : name##_text)
	if (style == NX_CELL_CSV)
		return t == NX_T_BINARY ? PICK(csv_base64) : PICK(csv_text);
	bool exact = style == NX_CELL_JSON_EXACT;
	switch (t) {
	case NX_T_BOOL:
		return PICK(json_bool);
	case NX_T_INT8:
	case NX_T_INT16:
	case NX_T_INT32:
	case NX_T_INT64:
	case NX_T_UINT8:
	case NX_T_UINT16:
	case NX_T_UINT32:
	case NX_T_UINT64:
		return exact ? PICK(json_number) : PICK(json_safe_int);
	case NX_T_FLOAT32:
	case NX_T_FLOAT64:
		return PICK(json_number);
	case NX_T_DECIMAL:
		return exact ? PICK(json_number) : PICK(json_string);
	case NX_T_BINARY:
		return PICK(json_base64);
	case NX_T_JSON:
	case NX_T_LIST:
	case NX_T_STRUCT:
	case NX_T_MAP:
		return PICK(json_nested);
	case NX_T_NULL:
	case NX_T_DATE:
	case NX_T_TIME:
	case NX_T_TIMETZ:
	case NX_T_TIMESTAMP:
	case NX_T_TIMESTAMPTZ:
	case NX_T_INTERVAL:
	case NX_T_STRING:
	case NX_T_UUID:
	case NX_TYPE_COUNT:
		break;
	}
	return PICK(json_string);
#undef PICK
}

static nx_cell_fn *pick_decimal(enum nx_layout l, bool bare)
{
	switch ((int)l) {
	case NX_L_I16:
		return bare ? dec_i16_bare : dec_i16_quoted;
	case NX_L_I32:
		return bare ? dec_i32_bare : dec_i32_quoted;
	case NX_L_I64:
		return bare ? dec_i64_bare : dec_i64_quoted;
	case NX_L_I128:
		return bare ? dec_i128_bare : dec_i128_quoted;
	default:
		return NULL;
	}
}

static nx_cell_fn *pick_timestamp(enum nx_unit u, bool zone, bool bare)
{
	static nx_cell_fn *const table[4][2][2] = {
		{ { ts_s_quoted, ts_s_bare }, { tstz_s_quoted, tstz_s_bare } },
		{ { ts_ms_quoted, ts_ms_bare }, { tstz_ms_quoted, tstz_ms_bare } },
		{ { ts_us_quoted, ts_us_bare }, { tstz_us_quoted, tstz_us_bare } },
		{ { ts_ns_quoted, ts_ns_bare }, { tstz_ns_quoted, tstz_ns_bare } },
	};
	return table[u][zone][bare];
}

static nx_cell_fn *pick_number(enum nx_layout l, enum nx_cell_style style)
{
	bool safe = style == NX_CELL_JSON, csv = style == NX_CELL_CSV;
	switch (l) {
	case NX_L_I8:
		return int_i8;
	case NX_L_I16:
		return int_i16;
	case NX_L_I32:
		return int_i32;
	case NX_L_I64:
		return safe ? safe_i64 : int_i64;
	case NX_L_I128:
		return safe ? safe_i128 : int_i128;
	case NX_L_U8:
		return int_u8;
	case NX_L_U16:
		return int_u16;
	case NX_L_U32:
		return int_u32;
	case NX_L_U64:
		return safe ? safe_u64 : int_u64;
	case NX_L_F32:
		return csv ? f32_csv : f32_json;
	case NX_L_F64:
		return csv ? f64_csv : f64_json;
	case NX_L_NONE:
	case NX_L_BITS:
	case NX_L_MDU:
	case NX_L_TEXT:
	case NX_L_VIEW:
	case NX_L_LIST:
	case NX_L_STRUCT:
		break;
	}
	return NULL;
}

static nx_cell_fn *pick_fixed(const struct nx_field *f, enum nx_cell_style style)
{
	bool csv = style == NX_CELL_CSV;
	enum nx_layout l = f->layout;
	if (l == NX_L_NONE)
		return csv ? none_csv : none;
	if (l == NX_L_BITS)
		return bool_bits;
	if (l == NX_L_MDU)
		return csv ? interval_bare : interval_quoted;
	switch ((int)f->type) {
	case NX_T_DECIMAL:
		return pick_decimal(l, style != NX_CELL_JSON);
	case NX_T_DATE:
		return l == NX_L_I32 ? (csv ? date_bare : date_quoted) : NULL;
	case NX_T_TIME:
		return l == NX_L_I64 ? (csv ? time_of_day_bare : time_of_day_quoted) : NULL;
	case NX_T_TIMESTAMP:
	case NX_T_TIMESTAMPTZ:
		return l == NX_L_I64 ? pick_timestamp(f->unit, f->type == NX_T_TIMESTAMPTZ, csv)
				     : NULL;
	default:
		return pick_number(l, style);
	}
}

struct nx_str nx_prefix(struct nx_arena *a, struct nx_str before, struct nx_str name)
{
	struct nx_buf b;
	nx_buf_init(&b, SIZE_MAX / 8);
	nx_buf_put_str(&b, before);
	if (name.ptr) {
		nx_buf_put_json(&b, name);
		nx_buf_putc(&b, ':');
	}
	size_t len = b.len;
	nx_buf_put(&b, "                ", 16);
	struct nx_str ret = { NULL, 0 };
	if (!b.failed)
		ret = nx_arena_str(a, nx_buf_str(&b));
	ret.len = len;
	nx_buf_done(&b);
	return ret;
}

static bool init_children(struct nx_cell *c, const struct nx_field *f, enum nx_cell_style style,
			  struct nx_arena *a, size_t *slack)
{
	c->nchildren = f->nchildren;
	c->children = nx_arena_array(a, f->nchildren, sizeof(*c->children));
	if (!c->children)
		return false;
	for (uint32_t k = 0; k < f->nchildren; k++) {
		struct nx_cell *child = &c->children[k];
		if (!nx_cell_init(child, &f->children[k], style, a, slack))
			return false;
		struct nx_str name = f->children[k].name;
		if (!name.ptr)
			name.ptr = "";
		child->prefix = nx_prefix(a, k ? NX_STR(",") : NX_STR(""), name);
		if (!child->prefix.ptr)
			return false;
		*slack += child->prefix.len + 16;
	}
	return true;
}

static size_t fixed_bound(const struct nx_field *f)
{
	if (f->layout == NX_L_TEXT || f->layout == NX_L_VIEW || f->layout == NX_L_BITS)
		return FIXED_BYTES;
	if (f->type == NX_T_DECIMAL)
		return FIXED_OTHER + (size_t)(f->scale < 0 ? -f->scale : f->scale);
	if (f->type >= NX_T_INT8 && f->type <= NX_T_FLOAT64)
		return FIXED_NUMBER;
	return FIXED_OTHER;
}

bool nx_cell_init(struct nx_cell *c, const struct nx_field *f, enum nx_cell_style style,
		  struct nx_arena *a, size_t *slack)
{
	*c = (struct nx_cell){ .unit = f->unit, .scale = f->scale };
	assert(f->scale >= -4096 && f->scale <= 16384);
	*slack += fixed_bound(f);
	if (f->layout == NX_L_TEXT || f->layout == NX_L_VIEW) {
		c->put = pick_bytes(f->type, style, f->layout == NX_L_VIEW);
		return true;
	}
	if (f->layout != NX_L_LIST && f->layout != NX_L_STRUCT) {
		c->put = pick_fixed(f, style);
		assert(c->put && "type and layout do not go together");
		return c->put != NULL;
	}
	if (style == NX_CELL_CSV) { /* a shell around the JSON cell */
		c->put = csv_nested;
		c->nchildren = 1;
		c->children = nx_arena_array(a, 1, sizeof(*c->children));
		return c->children && nx_cell_init(c->children, f, NX_CELL_JSON_EXACT, a, slack);
	}
	if (!init_children(c, f, style, a, slack))
		return false;
	c->put = f->layout == NX_L_STRUCT ? structure : list;
	if (f->type == NX_T_MAP) {
		assert(f->layout == NX_L_LIST && f->children[0].nchildren == 2);
		if (f->children[0].children[0].type == NX_T_STRING)
			c->put = map_object;
		else
			c->children[0].put = map_pair;
	}
	return true;
}

void nx_cell_bind(struct nx_cell *c, const struct nx_column *col)
{
	c->validity = col->validity;
	c->data = col->data ? col->data : ""; /* no arithmetic on NULL when all is empty */
	c->offsets = col->offsets;
	if (c->put == csv_nested) {
		nx_cell_bind(c->children, col);
		return;
	}
	for (uint32_t k = 0; k < c->nchildren; k++)
		nx_cell_bind(&c->children[k], &col->children[k]);
}
