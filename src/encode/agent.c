/* The compact form for language models: columns once, rows as arrays, long cells cut with a mark.
 *
 * A cut cell is a JSON string that ends in "...(+N bytes)", N counted in JSON text; a nested value that is
 * too long becomes such a string, too, for half of one is no value. */
#include <stdio.h>
#include <string.h>

#include "encode_int.h"

/* Where a character of JSON text that begins at p ends: an escape and a UTF-8 sequence stay whole. */
static size_t step(const char *p, size_t left)
{
	size_t n = 1;
	if (*p == '\\' && left > 1)
		n = p[1] == 'u' ? 6 : 2;
	else
		while (n < left && ((unsigned char)p[n] & 0xc0) == 0x80)
			n++;
	return n < left ? n : left;
}

size_t nx_agent_cut(char *from, size_t len)
{
	char kept[NX_AGENT_CELL + 8];
	bool string = *from == '"';
	size_t at = string ? 1 : 0, n = 0;
	while (at < len) {
		size_t k = step(from + at, len - at);
		bool escape = !string && (from[at] == '"' || from[at] == '\\');
		if (escape)
			k = 1;
		if (n + k + escape > NX_AGENT_CELL)
			break;
		if (escape)
			kept[n++] = '\\';
		memcpy(kept + n, from + at, k);
		n += k;
		at += k;
	}
	*from = '"';
	memcpy(from + 1, kept, n);
	int m = snprintf(from + 1 + n, len - n - 1, "...(+%zu bytes)\"", len - at);
	return n + 1 + (m > 0 ? (size_t)m : 0);
}

static bool agent_init(struct nx_encoder *e)
{
	enum nx_cell_style style = e->how.numbers_exact ? NX_CELL_JSON_EXACT : NX_CELL_JSON;
	return nx_text_init(e, style, ",\n", "[", "]");
}

static enum nx_code agent_head(struct nx_encoder *e, struct nx_buf *out, struct nx_error *err)
{
	nx_buf_puts(out, "{\"columns\":[");
	for (uint32_t i = 0; i < e->schema->nfields; i++) {
		if (i)
			nx_buf_putc(out, ',');
		nx_buf_put_json(out, e->schema->fields[i].name);
	}
	nx_buf_puts(out, "],\"types\":[");
	for (uint32_t i = 0; i < e->schema->nfields; i++)
		nx_buf_printf(out, "%s\"%s\"", i ? "," : "",
			      nx_type_name(e->schema->fields[i].type));
	nx_buf_puts(out, "],\"rows\":[");
	return out->failed ? nx_encode_full(out, 0, err) : NX_OK;
}

static void agent_tail(struct nx_encoder *e, const struct nx_result_meta *m, struct nx_buf *out)
{
	(void)e;
	nx_buf_printf(out, "],\"row_count\":%llu", (unsigned long long)m->row_count);
	if (m->next_offset)
		nx_buf_printf(out, ",\"next_offset\":%llu", (unsigned long long)m->next_offset);
	if (m->next_offset && m->unordered)
		nx_buf_puts(out, ",\"unordered\":true");
	nx_buf_putc(out, '}');
}

const struct nx_format_ops nx_ops_agent = { agent_init, agent_head, nx_text_rows, agent_tail };
