/* DuckDB vectors to columns. Numbers, dates, decimals, strings (VIEW) and blobs agree byte for byte
 * and are pointed at; the rest is converted into buffers that live as long as the vector and keep
 * their memory from chunk to chunk. Chunks come flattened from duckdb_fetch_chunk. */
#include "engine/engine_int.h"

#include <stdio.h>

#define MAX_BYTES (1024u << 20) /* per buffer; the address space limit comes first */

struct nx_vector {
	const struct nx_field *field;
	duckdb_type id;
	duckdb_type enum_id; /* ENUM: type of the index */
	idx_t array_size; /* ARRAY */
	struct nx_view *names; /* ENUM and the tag of UNION: dictionary */
	uint64_t nnames;
	duckdb_logical_type child_type; /* LIST, MAP: to gather into a new vector */
	duckdb_vector gathered;
	struct nx_buf fixed, text;
	struct nx_vector **children;
	uint32_t nchildren;
	struct nx_column *cols; /* of the children */
};

static enum nx_code no_memory(struct nx_error *err)
{
	return nx_fail(err, NX_E_ENGINE_MEMORY, "no memory for a batch of the result");
}

static struct nx_view view_of(struct nx_str s)
{
	struct nx_view v = { .len = (uint32_t)s.len };
	if (s.len <= sizeof v.u.inl) {
		memcpy(v.u.inl, s.ptr, s.len);
	} else {
		memcpy(v.u.ref.prefix, s.ptr, sizeof v.u.ref.prefix);
		v.u.ref.ptr = s.ptr;
	}
	return v;
}

static enum nx_code name_set(struct nx_vector *v, uint64_t i, char *name, struct nx_arena *a,
			     struct nx_error *err)
{
	struct nx_str s = nx_arena_str(a, nx_str(name));
	duckdb_free(name);
	if (!s.ptr)
		return no_memory(err);
	v->names[i] = view_of(s);
	return NX_OK;
}

static enum nx_code names_new(struct nx_vector *v, duckdb_logical_type t, struct nx_arena *a,
			      struct nx_error *err)
{
	bool uni = v->id == DUCKDB_TYPE_UNION;
	v->nnames = uni ? duckdb_union_type_member_count(t) : duckdb_enum_dictionary_size(t);
	v->names = nx_arena_array(a, v->nnames, sizeof *v->names);
	if (!v->names)
		return no_memory(err);
	for (uint64_t i = 0; i < v->nnames; i++) {
		char *name = uni ? duckdb_union_type_member_name(t, i)
				 : duckdb_enum_dictionary_value(t, i);
		enum nx_code code = name_set(v, i, name, a, err);
		if (code)
			return code;
	}
	return NX_OK;
}

/* Type of child i of a nested type. MAP's only child is the STRUCT of its entries. */
static duckdb_logical_type child_type(duckdb_logical_type t, duckdb_type id, uint32_t i)
{
	switch (id) {
	case DUCKDB_TYPE_ARRAY:
		return duckdb_array_type_child_type(t);
	case DUCKDB_TYPE_UNION:
		return duckdb_union_type_member_type(t, i);
	case DUCKDB_TYPE_STRUCT:
		return duckdb_struct_type_child_type(t, i);
	case DUCKDB_TYPE_MAP: {
		duckdb_logical_type m[2] = { duckdb_map_type_key_type(t),
					     duckdb_map_type_value_type(t) };
		const char *names[2] = { "key", "value" };
		duckdb_logical_type s = duckdb_create_struct_type(m, names, 2);
		duckdb_destroy_logical_type(&m[0]);
		duckdb_destroy_logical_type(&m[1]);
		return s;
	}
	default:
		return duckdb_list_type_child_type(t);
	}
}

static enum nx_code children_new(struct nx_vector *v, duckdb_logical_type t, struct nx_arena *a,
				 struct nx_error *err)
{
	uint32_t tag = v->id == DUCKDB_TYPE_UNION; /* made here, has no vector of its own */
	v->nchildren = v->field->nchildren - tag;
	v->children = nx_arena_array(a, v->nchildren, sizeof *v->children);
	v->cols = nx_arena_array(a, v->field->nchildren, sizeof *v->cols);
	if (!v->children || !v->cols)
		return no_memory(err);
	for (uint32_t i = 0; i < v->nchildren; i++) {
		duckdb_logical_type c = child_type(t, v->id, i);
		enum nx_code code =
			nx_vector_new(c, &v->field->children[i + tag], a, &v->children[i], err);
		if (v->id == DUCKDB_TYPE_LIST || v->id == DUCKDB_TYPE_MAP)
			v->child_type = c; /* kept */
		else
			duckdb_destroy_logical_type(&c);
		if (code)
			return code;
	}
	return NX_OK;
}

enum nx_code nx_vector_new(duckdb_logical_type t, const struct nx_field *f, struct nx_arena *a,
			   struct nx_vector **ret, struct nx_error *err)
{
	struct nx_vector *v = nx_arena_zalloc(a, sizeof *v);
	if (!v)
		return no_memory(err);
	v->field = f;
	v->id = duckdb_get_type_id(t);
	nx_buf_init(&v->fixed, MAX_BYTES);
	nx_buf_init(&v->text, MAX_BYTES);
	enum nx_code code = NX_OK;
	if (v->id == DUCKDB_TYPE_ENUM)
		v->enum_id = duckdb_enum_internal_type(t);
	if (v->id == DUCKDB_TYPE_ARRAY)
		v->array_size = duckdb_array_type_array_size(t);
	if (v->id == DUCKDB_TYPE_ENUM || v->id == DUCKDB_TYPE_UNION)
		code = names_new(v, t, a, err);
	if (code == NX_OK && f->nchildren)
		code = children_new(v, t, a, err);
	if (code == NX_OK)
		*ret = v;
	return code;
}

/* single values to text */

static void put_u128(struct nx_buf *b, nx_u128 n)
{
	char digits[40];
	size_t at = sizeof digits;
	do {
		digits[--at] = (char)('0' + (int)(n % 10));
		n /= 10;
	} while (n);
	nx_buf_put(b, digits + at, sizeof digits - at);
}

static void put_uuid(struct nx_buf *b, const duckdb_hugeint *h)
{
	static const char hex[] = "0123456789abcdef";
	/* stored with the top bit flipped, so that it sorts as text does */
	uint64_t half[2] = { (uint64_t)h->upper ^ (1ull << 63), h->lower };
	char *p = nx_buf_reserve(b, 36);
	if (!p)
		return;
	for (int i = 0, at = 0; i < 32; i++) {
		if (i == 8 || i == 12 || i == 16 || i == 20)
			p[at++] = '-';
		p[at++] = hex[half[i / 16] >> (60 - 4 * (i % 16)) & 15];
	}
	b->len += 36;
}

static void put_timetz(struct nx_buf *b, duckdb_time_tz bits)
{
	duckdb_time_tz_struct t = duckdb_from_time_tz(bits);
	char s[64];
	int n = snprintf(s, sizeof s, "%02d:%02d:%02d", t.time.hour, t.time.min, t.time.sec);
	nx_buf_put(b, s, (size_t)n);
	if (t.time.micros) {
		n = snprintf(s, sizeof s, ".%06d", t.time.micros);
		while (s[n - 1] == '0')
			n--;
		nx_buf_put(b, s, (size_t)n);
	}
	if (t.offset == 0) {
		nx_buf_putc(b, 'Z');
		return;
	}
	int off = t.offset < 0 ? -t.offset : t.offset;
	n = snprintf(s, sizeof s, "%c%02d:%02d", t.offset < 0 ? '-' : '+', off / 3600,
		     off / 60 % 60);
	nx_buf_put(b, s, (size_t)n);
	if (off % 60) {
		n = snprintf(s, sizeof s, ":%02d", off % 60);
		nx_buf_put(b, s, (size_t)n);
	}
}

/* The first byte says how many bits of the second are padding. */
static void put_bits(struct nx_buf *b, struct nx_str s)
{
	if (s.len < 2)
		return;
	size_t skip = (unsigned char)s.ptr[0] & 7;
	size_t n = (s.len - 1) * 8;
	char *p = nx_buf_reserve(b, n - skip);
	if (!p)
		return;
	for (size_t i = skip; i < n; i++)
		*p++ = (char)('0' + ((unsigned char)s.ptr[1 + i / 8] >> (7 - i % 8) & 1));
	b->len += n - skip;
}

/* Three bytes of sign and length, then the magnitude, big-endian; all inverted when negative. */
static void put_bignum(struct nx_buf *b, struct nx_str s)
{
	if (s.len < 4)
		return;
	bool negative = !((unsigned char)s.ptr[0] & 0x80);
	unsigned char flip = negative ? 0xff : 0;
	size_t n = s.len - 3;
	unsigned char *mag = malloc(n);
	char *digits = malloc(n * 3 + 1); /* log10(256) < 2.41 */
	if (!mag || !digits) {
		b->failed = true;
		goto out;
	}
	for (size_t i = 0; i < n; i++)
		mag[i] = (unsigned char)s.ptr[3 + i] ^ flip;
	size_t first = 0, count = 0;
	do { /* divide by ten until nothing is left */
		unsigned rest = 0;
		for (size_t i = first; i < n; i++) {
			unsigned cur = rest << 8 | mag[i];
			mag[i] = (unsigned char)(cur / 10);
			rest = cur % 10;
		}
		digits[count++] = (char)('0' + rest);
		while (first < n && mag[first] == 0)
			first++;
	} while (first < n);
	if (negative)
		nx_buf_putc(b, '-');
	while (count)
		nx_buf_putc(b, digits[--count]);
out:
	free(mag);
	free(digits);
}

static void put_value(struct nx_vector *v, const void *data, idx_t i)
{
	struct nx_buf *b = &v->text;
	switch (v->id) {
	case DUCKDB_TYPE_UHUGEINT: {
		const duckdb_uhugeint *u = (const duckdb_uhugeint *)data + i;
		put_u128(b, (nx_u128)u->upper << 64 | u->lower);
		return;
	}
	case DUCKDB_TYPE_UUID:
		put_uuid(b, (const duckdb_hugeint *)data + i);
		return;
	case DUCKDB_TYPE_TIME_TZ:
		put_timetz(b, ((const duckdb_time_tz *)data)[i]);
		return;
	case DUCKDB_TYPE_BIT:
		put_bits(b, nx_view_str((const struct nx_view *)data + i));
		return;
	case DUCKDB_TYPE_BIGNUM:
		put_bignum(b, nx_view_str((const struct nx_view *)data + i));
		return;
	default: /* VARCHAR of a catalog */
		nx_buf_put_str(b, nx_view_str((const struct nx_view *)data + i));
		return;
	}
}

/* whole columns */

static enum nx_code load_text(struct nx_vector *v, const void *data, idx_t n, struct nx_column *col,
			      struct nx_error *err)
{
	nx_buf_clear(&v->fixed);
	nx_buf_clear(&v->text);
	int32_t *offsets = (int32_t *)nx_buf_reserve(&v->fixed, (n + 1) * sizeof *offsets);
	if (!offsets)
		return no_memory(err);
	for (idx_t i = 0; i < n; i++) {
		offsets[i] = (int32_t)v->text.len;
		if (nx_column_valid(col, (int64_t)i))
			put_value(v, data, i);
	}
	offsets[n] = (int32_t)v->text.len;
	col->offsets = offsets;
	col->data = v->text.data ? v->text.data : "";
	return v->text.failed ? no_memory(err) : NX_OK;
}

/* A byte a value to a bit a value. */
static enum nx_code load_bits(struct nx_vector *v, const uint8_t *data, idx_t n,
			      struct nx_column *col, struct nx_error *err)
{
	nx_buf_clear(&v->fixed);
	uint8_t *bits = (uint8_t *)nx_buf_reserve(&v->fixed, n / 8 + 1);
	if (!bits)
		return no_memory(err);
	memset(bits, 0, n / 8 + 1);
	idx_t i = 0;
	for (; i + 8 <= n; i += 8) {
		uint64_t eight;
		memcpy(&eight, data + i, sizeof eight);
		bits[i / 8] = (uint8_t)((eight & 0x0101010101010101u) * 0x0102040810204080u >> 56);
	}
	for (; i < n; i++)
		bits[i / 8] |= (uint8_t)((data[i] & 1) << (i % 8));
	col->data = bits;
	return NX_OK;
}

static uint64_t index_at(duckdb_type id, const void *data, idx_t i)
{
	switch (id) {
	case DUCKDB_TYPE_UTINYINT:
		return ((const uint8_t *)data)[i];
	case DUCKDB_TYPE_USMALLINT:
		return ((const uint16_t *)data)[i];
	default:
		return ((const uint32_t *)data)[i];
	}
}

/* Index to name; for ENUM and for the tag of UNION. */
static enum nx_code load_names(struct nx_vector *v, duckdb_type index, const void *data, idx_t n,
			       struct nx_column *col, struct nx_error *err)
{
	nx_buf_clear(&v->fixed);
	struct nx_view *views =
		(struct nx_view *)nx_buf_reserve(&v->fixed, (n + 1) * sizeof *views);
	if (!views)
		return no_memory(err);
	for (idx_t i = 0; i < n; i++) {
		uint64_t k =
			nx_column_valid(col, (int64_t)i) ? index_at(index, data, i) : UINT64_MAX;
		views[i] = k < v->nnames ? v->names[k] : (struct nx_view){ 0 };
	}
	col->data = views;
	return NX_OK;
}

/* Offsets of the lists when they lie one after the other; false when they do not. */
static bool offsets_of(const duckdb_list_entry *e, idx_t n, const struct nx_column *col,
		       int32_t *offsets, uint64_t *total)
{
	uint64_t at = 0;
	bool first = true, packed = true;
	offsets[0] = 0;
	*total = 0;
	for (idx_t i = 0; i < n; i++) {
		if (nx_column_valid(col, (int64_t)i) && e[i].length) {
			if (first && packed) {
				at = e[i].offset;
				for (idx_t k = 0; k <= i; k++)
					offsets[k] = (int32_t)at;
			}
			first = false;
			packed = packed && e[i].offset == at;
			at += e[i].length;
			*total += e[i].length;
		}
		if (at > INT32_MAX)
			return false;
		offsets[i + 1] = (int32_t)at;
	}
	return packed;
}

/* Copies the children of scattered lists one after the other. */
static enum nx_code gather(struct nx_vector *v, duckdb_vector child, const duckdb_list_entry *e,
			   idx_t n, const struct nx_column *col, uint64_t total, int32_t *offsets,
			   struct nx_error *err)
{
	if (total > INT32_MAX)
		return nx_fail(err, NX_E_ENGINE_MEMORY, "a batch of lists is too large");
	duckdb_selection_vector sel = duckdb_create_selection_vector(total);
	sel_t *to = sel ? duckdb_selection_vector_get_data_ptr(sel) : NULL;
	if (v->gathered)
		duckdb_destroy_vector(&v->gathered);
	v->gathered = duckdb_create_vector(v->child_type, total ? total : 1);
	if (!to || !v->gathered)
		return no_memory(err);
	uint64_t at = 0;
	for (idx_t i = 0; i < n; i++) {
		offsets[i] = (int32_t)at;
		if (!nx_column_valid(col, (int64_t)i))
			continue;
		for (uint64_t k = 0; k < e[i].length; k++)
			to[at++] = (sel_t)(e[i].offset + k);
	}
	offsets[n] = (int32_t)at;
	duckdb_vector_copy_sel(child, v->gathered, sel, total, 0, 0);
	duckdb_destroy_selection_vector(sel);
	return NX_OK;
}

static enum nx_code load_list(struct nx_vector *v, duckdb_vector src, const void *data, idx_t n,
			      struct nx_column *col, struct nx_error *err)
{
	nx_buf_clear(&v->fixed);
	int32_t *offsets = (int32_t *)nx_buf_reserve(&v->fixed, (n + 1) * sizeof *offsets);
	if (!offsets)
		return no_memory(err);
	duckdb_vector child = duckdb_list_vector_get_child(src);
	idx_t size = duckdb_list_vector_get_size(src);
	uint64_t total;
	if (!offsets_of(data, n, col, offsets, &total)) {
		enum nx_code code = gather(v, child, data, n, col, total, offsets, err);
		if (code)
			return code;
		child = v->gathered;
		size = total;
	}
	col->data = NULL;
	col->offsets = offsets;
	col->children = v->cols;
	return nx_vector_load(v->children[0], child, size, &v->cols[0], err);
}

static enum nx_code load_array(struct nx_vector *v, duckdb_vector src, idx_t n,
			       struct nx_column *col, struct nx_error *err)
{
	nx_buf_clear(&v->fixed);
	int32_t *offsets = (int32_t *)nx_buf_reserve(&v->fixed, (n + 1) * sizeof *offsets);
	if (!offsets || v->array_size > INT32_MAX / (n + 1))
		return no_memory(err);
	for (idx_t i = 0; i <= n; i++)
		offsets[i] = (int32_t)(i * v->array_size);
	col->data = NULL;
	col->offsets = offsets;
	col->children = v->cols;
	return nx_vector_load(v->children[0], duckdb_array_vector_get_child(src), n * v->array_size,
			      &v->cols[0], err);
}

static enum nx_code load_members(struct nx_vector *v, duckdb_vector src, idx_t n,
				 struct nx_column *col, struct nx_error *err)
{
	uint32_t tag = v->id == DUCKDB_TYPE_UNION;
	if (tag) {
		duckdb_vector t = duckdb_struct_vector_get_child(src, 0);
		v->cols[0] = (struct nx_column){
			.length = (int64_t)n,
			.validity = (const uint8_t *)duckdb_vector_get_validity(t)
		};
		enum nx_code code = load_names(v, DUCKDB_TYPE_UTINYINT, duckdb_vector_get_data(t),
					       n, &v->cols[0], err);
		if (code)
			return code;
	}
	for (uint32_t i = 0; i < v->nchildren; i++) {
		enum nx_code code =
			nx_vector_load(v->children[i], duckdb_struct_vector_get_child(src, i + tag),
				       n, &v->cols[i + tag], err);
		if (code)
			return code;
	}
	col->data = NULL;
	col->children = v->cols;
	return NX_OK;
}

enum nx_code nx_vector_load(struct nx_vector *v, duckdb_vector src, idx_t n, struct nx_column *ret,
			    struct nx_error *err)
{
	const void *data = duckdb_vector_get_data(src);
	/* 64-bit words, least significant bit first: on little-endian machines Arrow's bitmap */
	*ret = (struct nx_column){ .length = (int64_t)n,
				   .data = data,
				   .validity = (const uint8_t *)duckdb_vector_get_validity(src) };
	switch (v->id) {
	case DUCKDB_TYPE_LIST:
	case DUCKDB_TYPE_MAP:
		return load_list(v, src, data, n, ret, err);
	case DUCKDB_TYPE_ARRAY:
		return load_array(v, src, n, ret, err);
	case DUCKDB_TYPE_STRUCT:
	case DUCKDB_TYPE_UNION:
		return load_members(v, src, n, ret, err);
	case DUCKDB_TYPE_ENUM:
		return load_names(v, v->enum_id, data, n, ret, err);
	case DUCKDB_TYPE_BOOLEAN:
		return load_bits(v, data, n, ret, err);
	case DUCKDB_TYPE_SQLNULL:
		ret->data = NULL;
		return NX_OK;
	default:
		return v->field->layout == NX_L_TEXT ? load_text(v, data, n, ret, err) : NX_OK;
	}
}
