/* Table names in a statement, from the syntax tree that DuckDB prints as JSON (json_serialize_sql).
 *
 * The tree is deep and large, we want one kind of node, and DuckDB writes its members in a fixed
 * order: so this looks for the node's type and reads the two members that follow it. That cannot be
 * fooled by text in the SQL, for a quote inside a JSON string is always written with a backslash. */
#include "engine/engine_int.h"

static const char node[] = "\"type\":\"BASE_TABLE\"";

static int hex4(const char *p, const char *end)
{
	int v = 0;
	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int d = c >= '0' && c <= '9'   ? c - '0'
			: c >= 'a' && c <= 'f' ? c - 'a' + 10
			: c >= 'A' && c <= 'F' ? c - 'A' + 10
					       : -1;
		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

static void put_utf8(struct nx_buf *out, uint32_t c)
{
	if (c < 0x80) {
		nx_buf_putc(out, (char)c);
	} else if (c < 0x800) {
		nx_buf_putc(out, (char)(0xc0 | c >> 6));
		nx_buf_putc(out, (char)(0x80 | (c & 63)));
	} else {
		nx_buf_putc(out, (char)(0xe0 | c >> 12));
		nx_buf_putc(out, (char)(0x80 | (c >> 6 & 63)));
		nx_buf_putc(out, (char)(0x80 | (c & 63)));
	}
}

/* The JSON string whose text begins at p; the place behind it, or NULL. Characters beyond the basic
 * plane come as they are, so surrogates are not put together here. */
static const char *unquote(const char *p, const char *end, struct nx_buf *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	nx_buf_clear(out);
	for (; p < end && *p != '"'; p++) {
		if (*p != '\\') {
			nx_buf_putc(out, *p);
			continue;
		}
		if (++p == end)
			return NULL;
		const char *at = strchr(from, *p);
		if (*p == 'u') {
			int v = hex4(p + 1, end);
			if (v < 0)
				return NULL;
			put_utf8(out, (uint32_t)v);
			p += 4;
		} else if (at && *at) {
			nx_buf_putc(out, to[at - from]);
		} else {
			return NULL;
		}
	}
	return p < end && !out->failed ? p + 1 : NULL;
}

static const char *member(const char *p, const char *end, const char *key, struct nx_buf *out)
{
	const char *at = memmem(p, (size_t)(end - p), key, strlen(key));
	return at ? unquote(at + strlen(key), end, out) : NULL;
}

enum nx_code nx_names_each(struct nx_str tree,
			   enum nx_code (*fn)(void *arg, struct nx_str schema, struct nx_str table,
					      struct nx_error *err),
			   void *arg, struct nx_error *err)
{
	struct nx_buf schema, table;
	nx_buf_init(&schema, 1 << 20);
	nx_buf_init(&table, 1 << 20);
	enum nx_code code = NX_OK;
	const char *p = tree.ptr, *end = tree.ptr + tree.len;
	while (code == NX_OK && (p = memmem(p, (size_t)(end - p), node, sizeof node - 1))) {
		p = member(p, end, "\"schema_name\":\"", &schema);
		if (p)
			p = member(p, end, "\"table_name\":\"", &table);
		if (!p)
			break;
		code = fn(arg, nx_buf_str(&schema), nx_buf_str(&table), err);
	}
	nx_buf_done(&schema);
	nx_buf_done(&table);
	return code;
}
