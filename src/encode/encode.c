#include "encode.h"

#include <assert.h>
#include <stdlib.h>

#include "encode_int.h"

const struct nx_format_info nx_formats[NX_FORMAT_COUNT] = {
	[NX_FORMAT_JSON] = { "json", "application/json" },
	[NX_FORMAT_NDJSON] = { "ndjson", "application/x-ndjson" },
	[NX_FORMAT_CSV] = { "csv", "text/csv; charset=utf-8; header=present" },
	[NX_FORMAT_ARROW] = { "arrow", "application/vnd.apache.arrow.stream" },
	[NX_FORMAT_AGENT] = { "agent", "application/json" },
};

static const struct nx_format_ops *const format_ops[NX_FORMAT_COUNT] = {
	[NX_FORMAT_JSON] = &nx_ops_json,   [NX_FORMAT_NDJSON] = &nx_ops_ndjson,
	[NX_FORMAT_CSV] = &nx_ops_csv,	   [NX_FORMAT_ARROW] = &nx_ops_arrow,
	[NX_FORMAT_AGENT] = &nx_ops_agent,
};

bool nx_format_by_name(struct nx_str name, enum nx_format *ret)
{
	for (int i = 0; i < NX_FORMAT_OPEN; i++) {
		if (nx_str_ieq(name, nx_str(nx_formats[i].name))) {
			*ret = (enum nx_format)i;
			return true;
		}
	}
	return false;
}

struct nx_encoder *nx_encoder_new(const struct nx_schema *schema, const struct nx_encoding *how)
{
	assert(how->format < NX_FORMAT_COUNT);
	struct nx_encoder *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->schema = schema;
	e->how = *how;
	e->ops = format_ops[how->format];
	nx_buf_init(&e->tmp, 0);
	e->arena = nx_arena_new(0);
	if (!e->arena || !e->ops->init(e)) {
		nx_encoder_free(e);
		return NULL;
	}
	return e;
}

void nx_encoder_free(struct nx_encoder *e)
{
	if (!e)
		return;
	nx_buf_done(&e->tmp);
	nx_arena_free(e->arena);
	free(e);
}

enum nx_code nx_encode_full(struct nx_buf *out, size_t need, struct nx_error *err)
{
	out->failed = false; /* reported here; the caller still wants to write a tail */
	if (need > out->max - out->len)
		return nx_fail(err, NX_E_RESULT_TOO_LARGE,
			       "rows do not fit into the output buffer of %zu bytes", out->max);
	return nx_fail(err, NX_E_MEMORY, "out of memory while encoding rows");
}

enum nx_code nx_encoder_head(struct nx_encoder *e, struct nx_buf *out, struct nx_error *err)
{
	return e->ops->head(e, out, err);
}

enum nx_code nx_encoder_rows(struct nx_encoder *e, const struct nx_batch *b, uint32_t from,
			     uint32_t to, struct nx_buf *out, struct nx_error *err)
{
	assert(from <= to && to <= b->nrows && b->ncols == e->schema->nfields);
	if (from == to)
		return NX_OK;
	return e->ops->rows(e, b, from, to, out, err);
}

void nx_encoder_raw(struct nx_encoder *e, struct nx_str rows, struct nx_buf *out)
{
	/* The other side may or may not have begun its first row with the separator. */
	bool began = e->row_sep.len > 0 && nx_str_starts(rows, e->row_sep);
	bool first = e->rows == 0 && !e->raw_seen;
	if (rows.len == 0)
		return;
	if (began && first)
		rows = nx_strn(rows.ptr + e->row_sep.len, rows.len - e->row_sep.len);
	else if (!began && !first)
		nx_buf_put_str(out, e->row_sep);
	nx_buf_put_str(out, rows);
	e->raw_seen = true;
}

enum nx_code nx_encoder_tail(struct nx_encoder *e, const struct nx_result_meta *m,
			     struct nx_buf *out, struct nx_error *err)
{
	e->ops->tail(e, m, out);
	return out->failed ? nx_encode_full(out, 0, err) : NX_OK;
}

void nx_encode_columns(const struct nx_schema *schema, struct nx_buf *out)
{
	nx_buf_putc(out, '[');
	for (uint32_t i = 0; i < schema->nfields; i++) {
		const struct nx_field *f = &schema->fields[i];
		nx_buf_puts(out, i ? ",{\"name\":" : "{\"name\":");
		nx_buf_put_json(out, f->name);
		nx_buf_puts(out, ",\"type\":\"");
		nx_buf_puts(out, nx_type_name(f->type));
		nx_buf_puts(out, "\",\"nativeType\":");
		nx_buf_put_json(out, f->native);
		nx_buf_puts(out, ",\"nullable\":");
		nx_buf_puts(out, f->nullable < 0 ? "null" : f->nullable ? "true" : "false");
		nx_buf_putc(out, '}');
	}
	nx_buf_putc(out, ']');
}

void nx_encode_error_members(const struct nx_error *err, struct nx_buf *out)
{
	nx_buf_puts(out, "\"code\":\"");
	nx_buf_puts(out, nx_code_name(err->code));
	nx_buf_puts(out, "\",\"message\":");
	nx_buf_put_json(out, nx_str(err->message));
	nx_buf_puts(out, ",\"details\":{\"sqlstate\":");
	nx_buf_put_json(out,
			nx_str(err->sqlstate[0] ? err->sqlstate : nx_code_sqlstate(err->code)));
	if (err->native) {
		nx_buf_puts(out, ",\"native\":");
		nx_buf_put_i64(out, err->native);
	}
	if (err->position >= 0) {
		nx_buf_puts(out, ",\"position\":");
		nx_buf_put_i64(out, err->position);
	}
	if (err->token[0]) {
		nx_buf_puts(out, ",\"token\":");
		nx_buf_put_json(out, nx_str(err->token));
	}
	nx_buf_putc(out, '}');
}

void nx_encode_error(const struct nx_error *err, struct nx_buf *out)
{
	nx_buf_putc(out, '{');
	nx_encode_error_members(err, out);
	nx_buf_putc(out, '}');
}
