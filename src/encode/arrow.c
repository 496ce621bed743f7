/* Arrow IPC stream: schema message, one record batch message per call of rows, end marker.
 *
 * A message is ffffffff, the length of its metadata, the metadata (a FlatBuffer, Message.fbs and
 * Schema.fbs of Arrow 1.0, metadata version V5), and a body of buffers padded to 8 bytes.
 *
 * nexus type        Arrow type
 * null              null
 * boolean           bool
 * int8..uint64      int8..uint64
 * float32/64        float32/64
 * decimal           decimal128(p, s) for 1 <= p <= 38 (native layouts: the layout's own digits when p
 *                   is unknown), else utf8
 * date              date32
 * time              time64[us]; ns when the field's unit is ns
 * timestamp         timestamp[unit]; TEXT: us, ns when the field's unit is ns
 * timestamptz       timestamp[unit, UTC]
 * interval          interval[month_day_nano]
 * string, uuid, timetz, and lists, structs, maps that came as text: utf8
 * json              utf8, extension arrow.json
 * binary            binary
 * list, struct, map list, struct, map
 *
 * Each field carries the metadata nexus.type and nexus.native. Fields are nullable whatever the
 * source says: a driver that is wrong about it must not make a broken file. A value without an exact
 * Arrow form (0000-00-00, infinity, 25:00:00, a decimal NaN) is VALUE_UNREPRESENTABLE. */
#include <stdlib.h>

#include "arrow_int.h"
#include "flatbuf.h"

/* Schema.fbs and Message.fbs */
enum { VERSION_V5 = 4 };
enum { HEADER_SCHEMA = 1, HEADER_RECORD_BATCH = 3 };
enum {
	TYPE_NULL = 1,
	TYPE_INT = 2,
	TYPE_FLOAT = 3,
	TYPE_BINARY = 4,
	TYPE_UTF8 = 5,
	TYPE_BOOL = 6,
	TYPE_DECIMAL = 7,
	TYPE_DATE = 8,
	TYPE_TIME = 9,
	TYPE_TIMESTAMP = 10,
	TYPE_INTERVAL = 11,
	TYPE_LIST = 12,
	TYPE_STRUCT = 13,
	TYPE_MAP = 17,
};

struct nx_arrow {
	struct nx_arrow_col *cols;
	struct nx_fb fb;
	struct nx_arrow_body body; /* nodes and buffers sized for the schema */
	size_t batch_meta; /* bytes of a record batch's metadata: the same for every batch */
};

static void arrow_free(void *arg)
{
	struct nx_arrow *a = arg;
	nx_fb_done(&a->fb);
}

/* --- metadata --- */

/* The type table of a column; *ret is the union's tag. */
static uint32_t put_type(struct nx_fb *fb, const struct nx_arrow_col *c, uint8_t *ret)
{
	uint32_t zone = c->kind == NX_A_TIMESTAMP && c->zone ? nx_fb_string(fb, NX_STR("UTC")) : 0;
	nx_fb_table(fb, 3);
	switch (c->kind) {
	case NX_A_NULL:
		*ret = TYPE_NULL;
		break;
	case NX_A_BOOL:
		*ret = TYPE_BOOL;
		break;
	case NX_A_INT:
		*ret = TYPE_INT;
		nx_fb_i32(fb, 0, c->bits);
		nx_fb_u8(fb, 1, c->is_signed);
		break;
	case NX_A_FLOAT:
		*ret = TYPE_FLOAT;
		nx_fb_i16(fb, 0, c->bits == 32 ? 1 : 2);
		break;
	case NX_A_DECIMAL:
		*ret = TYPE_DECIMAL;
		nx_fb_i32(fb, 0, c->precision);
		nx_fb_i32(fb, 1, c->scale);
		nx_fb_i32(fb, 2, 128);
		break;
	case NX_A_DATE:
		*ret = TYPE_DATE;
		nx_fb_i16(fb, 0, 0); /* DAY */
		break;
	case NX_A_TIME:
		*ret = TYPE_TIME;
		nx_fb_i16(fb, 0, (int16_t)c->unit);
		nx_fb_i32(fb, 1, 64);
		break;
	case NX_A_TIMESTAMP:
		*ret = TYPE_TIMESTAMP;
		nx_fb_i16(fb, 0, (int16_t)c->unit);
		nx_fb_ref(fb, 1, zone);
		break;
	case NX_A_INTERVAL:
		*ret = TYPE_INTERVAL;
		nx_fb_i16(fb, 0, 2); /* MONTH_DAY_NANO */
		break;
	case NX_A_UTF8:
		*ret = TYPE_UTF8;
		break;
	case NX_A_BINARY:
		*ret = TYPE_BINARY;
		break;
	case NX_A_LIST:
		*ret = TYPE_LIST;
		break;
	case NX_A_STRUCT:
		*ret = TYPE_STRUCT;
		break;
	case NX_A_MAP:
		*ret = TYPE_MAP;
		nx_fb_u8(fb, 0, 0);
		break;
	}
	return nx_fb_table_end(fb);
}

static uint32_t put_pair(struct nx_fb *fb, struct nx_str key, struct nx_str value)
{
	uint32_t v = nx_fb_string(fb, value), k = nx_fb_string(fb, key);
	nx_fb_table(fb, 2);
	nx_fb_ref(fb, 0, k);
	nx_fb_ref(fb, 1, v);
	return nx_fb_table_end(fb);
}

static uint32_t put_metadata(struct nx_fb *fb, const struct nx_field *f)
{
	uint32_t refs[4];
	size_t n = 0;
	refs[n++] = put_pair(fb, NX_STR("nexus.type"), nx_str(nx_type_name(f->type)));
	if (f->native.len)
		refs[n++] = put_pair(fb, NX_STR("nexus.native"), f->native);
	if (f->type == NX_T_JSON) {
		refs[n++] = put_pair(fb, NX_STR("ARROW:extension:name"), NX_STR("arrow.json"));
		refs[n++] = put_pair(fb, NX_STR("ARROW:extension:metadata"), NX_STR(""));
	}
	return nx_fb_refs(fb, refs, n);
}

static uint32_t put_field(struct nx_fb *fb, const struct nx_arrow_col *c, struct nx_str name)
{
	uint32_t *kids = calloc(c->nchildren ? c->nchildren : 1, sizeof(*kids));
	if (!kids) {
		fb->failed = true;
		return 0;
	}
	for (uint32_t i = 0; i < c->nchildren; i++) {
		struct nx_str child = c->children[i].field->name;
		if (c->kind == NX_A_LIST && child.len == 0)
			child = NX_STR("item");
		if (c->kind == NX_A_MAP)
			child = NX_STR("entries");
		kids[i] = put_field(fb, &c->children[i], child);
	}
	uint32_t children = nx_fb_refs(fb, kids, c->nchildren);
	free(kids);
	uint32_t meta = put_metadata(fb, c->field);
	uint8_t tag = 0;
	uint32_t type = put_type(fb, c, &tag);
	uint32_t at = nx_fb_string(fb, name);
	nx_fb_table(fb, 7);
	nx_fb_ref(fb, 0, at);
	nx_fb_ref(fb, 3, type);
	nx_fb_ref(fb, 5, children);
	nx_fb_ref(fb, 6, meta);
	nx_fb_u8(fb, 1, !c->required);
	nx_fb_u8(fb, 2, tag);
	return nx_fb_table_end(fb);
}

static struct nx_str put_message(struct nx_fb *fb, uint8_t type, uint32_t header, int64_t body)
{
	nx_fb_table(fb, 4);
	nx_fb_i64(fb, 3, body);
	nx_fb_ref(fb, 2, header);
	nx_fb_i16(fb, 0, VERSION_V5);
	nx_fb_u8(fb, 1, type);
	return nx_fb_finish(fb, nx_fb_table_end(fb));
}

static struct nx_str schema_message(struct nx_encoder *e)
{
	struct nx_fb *fb = &e->arrow->fb;
	uint32_t n = e->schema->nfields;
	nx_fb_clear(fb);
	uint32_t *refs = calloc(n ? n : 1, sizeof(*refs));
	if (!refs)
		return nx_strn(NULL, 0);
	for (uint32_t i = 0; i < n; i++)
		refs[i] = put_field(fb, &e->arrow->cols[i], e->schema->fields[i].name);
	uint32_t fields = nx_fb_refs(fb, refs, n);
	free(refs);
	nx_fb_table(fb, 2);
	nx_fb_ref(fb, 1, fields);
	nx_fb_i16(fb, 0, 0); /* little-endian */
	return put_message(fb, HEADER_SCHEMA, nx_fb_table_end(fb), 0);
}

static struct nx_str batch_message(struct nx_arrow *a, int64_t rows, int64_t body)
{
	struct nx_fb *fb = &a->fb;
	nx_fb_clear(fb);
	uint32_t buffers = nx_fb_pairs(fb, a->body.buffers, a->body.nbuffers);
	uint32_t nodes = nx_fb_pairs(fb, a->body.nodes, a->body.nnodes);
	nx_fb_table(fb, 3);
	nx_fb_i64(fb, 0, rows);
	nx_fb_ref(fb, 1, nodes);
	nx_fb_ref(fb, 2, buffers);
	return put_message(fb, HEADER_RECORD_BATCH, nx_fb_table_end(fb), body);
}

/* --- format --- */

static bool arrow_init(struct nx_encoder *e)
{
	struct nx_arrow *a = nx_arena_zalloc(e->arena, sizeof(*a));
	uint32_t n = e->schema->nfields;
	if (!a)
		return false;
	nx_fb_init(&a->fb);
	if (!nx_arena_cleanup(e->arena, arrow_free, a))
		return false;
	a->cols = nx_arena_array(e->arena, n, sizeof(*a->cols));
	if (!a->cols)
		return false;
	size_t nodes = 0, buffers = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (!nx_arrow_choose(&a->cols[i], &e->schema->fields[i], e->arena))
			return false;
		nx_arrow_count(&a->cols[i], &nodes, &buffers);
	}
	a->body.nodes = nx_arena_zalloc(e->arena, nodes * 16);
	a->body.buffers = nx_arena_zalloc(e->arena, buffers * 16);
	if (!a->body.nodes || !a->body.buffers)
		return false;
	a->body.nnodes = nodes;
	a->body.nbuffers = buffers;
	a->batch_meta = batch_message(a, 0, 0).len;
	e->arrow = a;
	return a->batch_meta > 0;
}

static void put_prefix(char *p, size_t metadata)
{
	uint32_t head[2] = { 0xffffffff, (uint32_t)metadata };
	memcpy(p, head, 8);
}

static enum nx_code arrow_head(struct nx_encoder *e, struct nx_buf *out, struct nx_error *err)
{
	struct nx_str meta = schema_message(e);
	char *p = meta.ptr ? nx_buf_reserve(out, 8 + meta.len) : NULL;
	if (!p)
		return nx_encode_full(out, meta.len, err);
	put_prefix(p, meta.len);
	memcpy(p + 8, meta.ptr, meta.len);
	out->len += 8 + meta.len;
	return NX_OK;
}

static enum nx_code arrow_rows(struct nx_encoder *e, const struct nx_batch *b, uint32_t from,
			       uint32_t to, struct nx_buf *out, struct nx_error *err)
{
	struct nx_arrow *a = e->arrow;
	size_t begin = out->len;
	if (!nx_buf_reserve(out, 8 + a->batch_meta))
		return nx_encode_full(out, 8 + a->batch_meta, err);
	out->len += 8 + a->batch_meta;
	a->body.out = out;
	a->body.start = out->len;
	a->body.first_row = e->rows;
	a->body.nnodes = a->body.nbuffers = 0;
	for (uint32_t i = 0; i < b->ncols; i++) {
		a->body.column = e->schema->fields[i].name;
		enum nx_code code =
			nx_arrow_put(&a->body, &a->cols[i], &b->cols[i], from, to - from, err);
		if (code) {
			out->len = begin;
			return code;
		}
	}
	struct nx_str meta = batch_message(a, to - from, (int64_t)(out->len - a->body.start));
	if (meta.len != a->batch_meta) { /* NULL: out of memory */
		out->len = begin;
		return nx_fail(err, NX_E_MEMORY, "out of memory while encoding rows");
	}
	put_prefix(out->data + begin, meta.len);
	memcpy(out->data + begin + 8, meta.ptr, meta.len);
	e->rows += to - from;
	return NX_OK;
}

/* The end marker, only after success: its absence tells a cut stream. */
static void arrow_tail(struct nx_encoder *e, const struct nx_result_meta *m, struct nx_buf *out)
{
	(void)e;
	char *p = m->error ? NULL : nx_buf_reserve(out, 8);
	if (!p)
		return;
	put_prefix(p, 0);
	out->len += 8;
}

const struct nx_format_ops nx_ops_arrow = { arrow_init, arrow_head, arrow_rows, arrow_tail };
