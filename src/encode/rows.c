/* The text formats: one row loop, three ways of wrapping it.
 *
 * JSON numbers: integers beyond +-(2^53-1) and all decimals are strings unless numbers_exact is
 * set; NaN, Infinity and -Infinity are always strings of those words. Everything that is no number,
 * boolean or nested value is a string; binary is base64. Values of type JSON, and lists, structs
 * and maps that came as text, are nested as they are (line ends between tokens become spaces); text
 * that is not valid JSON becomes a string instead.
 * NDJSON objects: a repeated column name gets _2, _3, ..., an empty one is column_N (N from 1); "@end" and "@error"
 * count as taken, so the last line cannot be imitated.
 * CSV: lines end in CRLF as RFC 4180 has it; fields are quoted only where needed. Values are not
 * altered to protect spreadsheets from formulas: whoever opens the file there must. A row of one
 * null column is an empty line. */
#include <string.h>

#include "encode_int.h"
#include "put_str.h"

enum nx_code nx_text_rows(struct nx_encoder *e, const struct nx_batch *b, uint32_t from,
			  uint32_t to, struct nx_buf *out, struct nx_error *err)
{
	const uint32_t n = e->schema->nfields;
	const struct nx_cell *cells = e->cells;
	const bool csv = e->how.format == NX_FORMAT_CSV;
	const bool cut = e->how.format == NX_FORMAT_AGENT;
	struct nx_out o = { .slack = e->slack, .buf = out, .tmp = &e->tmp };
	e->tmp.max = out->max;
	for (uint32_t k = 0; k < n; k++)
		nx_cell_bind(&e->cells[k], &b->cols[k]);
	size_t begin = out->len;
	char *p = nx_buf_reserve(out, e->slack);
	if (!p)
		return nx_encode_full(out, e->slack, err);
	o.end = out->data + out->cap;
	for (size_t i = from; i < to; i++) {
		char *q = nx_out_more(&o, p, 0);
		if (NX_UNLIKELY(!q))
			break;
		p = q;
		if (e->rows + (i - from) > 0 || e->raw_seen)
			p = nx_put_prefix(p, e->row_sep);
		p = nx_put_prefix(p, e->row_open);
		for (uint32_t k = 0; k < n; k++) {
			const struct nx_cell *c = &cells[k];
			p = nx_put_prefix(p, c->prefix);
			size_t at = (size_t)(p - out->data);
			if (NX_LIKELY(nx_cell_valid(c, i))) {
				p = c->put(&o, c, i, p);
				size_t len = (size_t)(p - out->data) - at;
				if (cut && len > NX_AGENT_LONG && !o.failed)
					p = out->data + at + nx_agent_cut(out->data + at, len);
			} else if (!csv) {
				memcpy(p, "null", 4);
				p += 4;
			}
		}
		p = nx_put_prefix(p, e->row_close);
		if (NX_UNLIKELY(o.failed))
			break;
	}
	if (o.failed) {
		enum nx_code code = nx_encode_full(out, o.wanted, err);
		out->len = begin;
		return code;
	}
	out->len = (size_t)(p - out->data);
	e->rows += to - from;
	return NX_OK;
}

/* --- set-up --- */

static bool init_cells(struct nx_encoder *e, enum nx_cell_style style)
{
	uint32_t n = e->schema->nfields;
	e->cells = nx_arena_array(e->arena, n, sizeof(*e->cells));
	if (!e->cells)
		return false;
	e->slack = 128; /* separators, and what the writers touch behind a value */
	for (uint32_t i = 0; i < n; i++) {
		if (!nx_cell_init(&e->cells[i], &e->schema->fields[i], style, e->arena, &e->slack))
			return false;
		struct nx_str none = { NULL, 0 };
		e->cells[i].prefix = nx_prefix(e->arena, i ? NX_STR(",") : NX_STR(""), none);
		if (!e->cells[i].prefix.ptr)
			return false;
		e->slack += 16;
	}
	return true;
}

static bool init_wrap(struct nx_encoder *e, struct nx_str sep, struct nx_str open,
		      struct nx_str close)
{
	struct nx_str none = { NULL, 0 };
	e->row_sep = nx_prefix(e->arena, sep, none);
	e->row_open = nx_prefix(e->arena, open, none);
	e->row_close = nx_prefix(e->arena, close, none);
	return e->row_sep.ptr && e->row_open.ptr && e->row_close.ptr;
}

static enum nx_cell_style json_style(const struct nx_encoder *e)
{
	return e->how.numbers_exact ? NX_CELL_JSON_EXACT : NX_CELL_JSON;
}

bool nx_text_init(struct nx_encoder *e, enum nx_cell_style style, const char *sep, const char *open,
		  const char *close)
{
	return init_cells(e, style) && init_wrap(e, nx_str(sep), nx_str(open), nx_str(close));
}

/* --- tail members --- */

static void put_member(struct nx_buf *out, const char *before, struct nx_str s)
{
	nx_buf_puts(out, before);
	nx_buf_put_json(out, s);
}

static void put_metadata(const struct nx_result_meta *m, struct nx_buf *out)
{
	nx_buf_puts(out, "{\"rowCount\":");
	nx_buf_put_u64(out, m->row_count);
	nx_buf_puts(out, ",\"executionTimeMs\":");
	nx_buf_put_u64(out, m->elapsed_ms);
	put_member(out, ",\"queryId\":", m->query_id);
	put_member(out, ",\"dataSourceId\":", m->source_id);
	put_member(out, ",\"databaseType\":", m->source_type);
	nx_buf_puts(out, m->has_more ? ",\"hasMore\":true" : ",\"hasMore\":false");
	nx_buf_puts(out, m->truncated ? ",\"truncated\":true}" : ",\"truncated\":false}");
}

static void put_ids(const struct nx_result_meta *m, struct nx_buf *out)
{
	put_member(out, ",\"correlationId\":", m->correlation_id);
	put_member(out, ",\"timestamp\":", m->timestamp);
}

/* --- json --- */

static bool json_init(struct nx_encoder *e)
{
	return init_cells(e, json_style(e)) &&
	       init_wrap(e, NX_STR(",\n"), NX_STR("["), NX_STR("]"));
}

static enum nx_code json_head(struct nx_encoder *e, struct nx_buf *out, struct nx_error *err)
{
	nx_buf_puts(out, "{\"data\":{\"columns\":");
	nx_encode_columns(e->schema, out);
	nx_buf_puts(out, ",\"rows\":[\n");
	return out->failed ? nx_encode_full(out, 0, err) : NX_OK;
}

static void json_tail(struct nx_encoder *e, const struct nx_result_meta *m, struct nx_buf *out)
{
	(void)e;
	nx_buf_puts(out, "],\n\"metadata\":");
	put_metadata(m, out);
	if (m->next_uri.len)
		put_member(out, ",\"nextUri\":", m->next_uri);
	nx_buf_putc(out, '}');
	if (m->error) {
		nx_buf_puts(out, ",\"error\":");
		nx_encode_error(m->error, out);
	}
	nx_buf_puts(out, m->error ? ",\"success\":false" : ",\"success\":true");
	put_ids(m, out);
	nx_buf_puts(out, "}\n");
}

const struct nx_format_ops nx_ops_json = { json_init, json_head, nx_text_rows, json_tail };

/* --- ndjson --- */

static bool name_taken(const struct nx_str *names, uint32_t n, struct nx_str s)
{
	if (nx_str_eq(s, NX_STR("@end")) || nx_str_eq(s, NX_STR("@error")))
		return true;
	for (uint32_t i = 0; i < n; i++)
		if (nx_str_eq(names[i], s))
			return true;
	return false;
}

/* Column i's key: its name, made unique. ptr NULL: out of memory. */
static struct nx_str object_key(struct nx_encoder *e, const struct nx_str *names, uint32_t i)
{
	struct nx_str name = e->schema->fields[i].name, key = name;
	if (name.len == 0) {
		char *made = nx_arena_printf(e->arena, "column_%u", i + 1);
		key = name = nx_str(made);
	}
	uint32_t k = 2; /* the next number after the columns of that name so far: few tries each */
	for (uint32_t j = 0; j < i; j++)
		k += nx_str_eq(e->schema->fields[j].name, name) && !nx_str_eq(names[j], name);
	for (; key.ptr && name_taken(names, i, key); k++) {
		char *made = nx_arena_printf(e->arena, NX_STR_FMT "_%u", NX_STR_ARG(name), k);
		key = nx_str(made);
	}
	return key;
}

static bool ndjson_init(struct nx_encoder *e)
{
	if (!init_cells(e, json_style(e)))
		return false;
	if (!e->how.ndjson_objects)
		return init_wrap(e, NX_STR(""), NX_STR("["), NX_STR("]\n"));
	uint32_t n = e->schema->nfields;
	struct nx_str *names = nx_arena_array(e->arena, n, sizeof(*names));
	if (!names)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		names[i] = object_key(e, names, i);
		if (!names[i].ptr)
			return false;
		e->cells[i].prefix = nx_prefix(e->arena, i ? NX_STR(",") : NX_STR(""), names[i]);
		if (!e->cells[i].prefix.ptr)
			return false;
		e->slack += e->cells[i].prefix.len;
	}
	return init_wrap(e, NX_STR(""), NX_STR("{"), NX_STR("}\n"));
}

static enum nx_code no_head(struct nx_encoder *e, struct nx_buf *out, struct nx_error *err)
{
	(void)e;
	(void)out;
	(void)err;
	return NX_OK;
}

static void ndjson_tail(struct nx_encoder *e, const struct nx_result_meta *m, struct nx_buf *out)
{
	(void)e;
	nx_buf_puts(out, m->error ? "{\"@error\":{" : "{\"@end\":{");
	if (m->error) {
		nx_encode_error_members(m->error, out);
		nx_buf_putc(out, ',');
	}
	nx_buf_puts(out, "\"metadata\":");
	put_metadata(m, out);
	if (m->next_uri.len)
		put_member(out, ",\"nextUri\":", m->next_uri);
	put_ids(m, out);
	nx_buf_puts(out, "}}\n");
}

const struct nx_format_ops nx_ops_ndjson = { ndjson_init, no_head, nx_text_rows, ndjson_tail };

/* --- csv --- */

static bool csv_init(struct nx_encoder *e)
{
	return init_cells(e, NX_CELL_CSV) && init_wrap(e, NX_STR(""), NX_STR(""), NX_STR("\r\n"));
}

static enum nx_code csv_head(struct nx_encoder *e, struct nx_buf *out, struct nx_error *err)
{
	for (uint32_t i = 0; i < e->schema->nfields; i++) {
		struct nx_str s = e->schema->fields[i].name;
		if (i)
			nx_buf_putc(out, ',');
		bool quotes = nx_csv_needs_quotes(s.ptr, s.len);
		char *p = nx_buf_reserve(out, s.len * 3 + 32);
		if (!p)
			break;
		if (quotes)
			*p++ = '"';
		p = nx_put_csv_inner(p, s.ptr, s.len);
		if (quotes)
			*p++ = '"';
		out->len = (size_t)(p - out->data);
	}
	nx_buf_puts(out, "\r\n");
	return out->failed ? nx_encode_full(out, 0, err) : NX_OK;
}

static void csv_tail(struct nx_encoder *e, const struct nx_result_meta *m, struct nx_buf *out)
{
	(void)e;
	(void)m;
	(void)out;
}

const struct nx_format_ops nx_ops_csv = { csv_init, csv_head, nx_text_rows, csv_tail };
