#include "base/json.h"

#include <yajl/yajl_parse.h>

#define MAX_DEPTH 32
#define MAX_VALUES 100000

struct builder {
	struct nx_arena *arena;
	struct nx_json *root;
	struct nx_json *stack[MAX_DEPTH];
	struct nx_json *last[MAX_DEPTH]; /* newest child of stack[i] */
	int depth;
	uint32_t values;
	struct nx_str key;
	struct nx_error *err;
	bool failed;
};

static int fail(struct builder *b, const char *what)
{
	(void)nx_fail(b->err, NX_E_BAD_JSON, "%s", what);
	b->failed = true;
	return 0; /* yajl: cancel */
}

static int no_memory(struct builder *b)
{
	(void)nx_fail(b->err, NX_E_MEMORY, "The body needs too much memory.");
	b->failed = true;
	return 0;
}

static struct nx_json *add(struct builder *b, enum nx_json_kind kind)
{
	if (++b->values > MAX_VALUES) {
		fail(b, "The body has too many values.");
		return NULL;
	}
	struct nx_json *v = nx_arena_zalloc(b->arena, sizeof(*v));
	if (!v) {
		no_memory(b);
		return NULL;
	}
	v->kind = kind;
	if (b->depth == 0) {
		b->root = v;
		return v;
	}
	struct nx_json *up = b->stack[b->depth - 1];
	if (up->kind == NX_JSON_OBJECT)
		v->key = b->key;
	if (b->last[b->depth - 1])
		b->last[b->depth - 1]->next = v;
	else
		up->first = v;
	b->last[b->depth - 1] = v;
	up->count++;
	return v;
}

static int scalar(struct builder *b, enum nx_json_kind kind, const char *p, size_t n)
{
	struct nx_json *v = add(b, kind);
	if (!v)
		return 0;
	v->text = nx_arena_str(b->arena, nx_strn(p, n));
	return v->text.ptr ? 1 : no_memory(b);
}

static int on_null(void *ctx)
{
	return add(ctx, NX_JSON_NULL) != NULL;
}

static int on_bool(void *ctx, int v)
{
	return v ? scalar(ctx, NX_JSON_BOOL, "true", 4) : scalar(ctx, NX_JSON_BOOL, "false", 5);
}

static int on_number(void *ctx, const char *p, size_t n)
{
	return scalar(ctx, NX_JSON_NUMBER, p, n);
}

static int on_string(void *ctx, const unsigned char *p, size_t n)
{
	return scalar(ctx, NX_JSON_STRING, (const char *)p, n);
}

static int open_container(struct builder *b, enum nx_json_kind kind)
{
	if (b->depth >= MAX_DEPTH)
		return fail(b, "The body is nested too deep.");
	struct nx_json *v = add(b, kind);
	if (!v)
		return 0;
	b->stack[b->depth] = v;
	b->last[b->depth] = NULL;
	b->depth++;
	return 1;
}

static int on_map(void *ctx)
{
	return open_container(ctx, NX_JSON_OBJECT);
}

static int on_array(void *ctx)
{
	return open_container(ctx, NX_JSON_ARRAY);
}

static int on_key(void *ctx, const unsigned char *p, size_t n)
{
	struct builder *b = ctx;
	struct nx_str key = nx_strn((const char *)p, n);
	/* Objects are small (a config, a request): a linear look is cheaper than a table. The value
	 * limit and this bound keep the square harmless. */
	struct nx_json *o = b->stack[b->depth - 1];
	if (o->count >= 1000)
		return fail(b, "An object has too many members.");
	for (struct nx_json *m = o->first; m; m = m->next)
		if (nx_str_eq(m->key, key))
			return fail(b, "An object has the same key twice.");
	b->key = nx_arena_str(b->arena, key);
	return b->key.ptr ? 1 : no_memory(b);
}

static int on_close(void *ctx)
{
	((struct builder *)ctx)->depth--;
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_bool,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_map,
	.yajl_map_key = on_key,
	.yajl_end_map = on_close,
	.yajl_start_array = on_array,
	.yajl_end_array = on_close,
};

static int hex4(const char *p)
{
	int v = 0;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int d = c >= '0' && c <= '9'		     ? c - '0'
			: (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
							     : -1;
		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* yajl turns half a surrogate pair into '?'. A value must not change on its way, so it is refused.
 * A backslash outside a string is no JSON: that is left to yajl. */
static bool surrogates_pair(struct nx_str t)
{
	const char *end = t.ptr + t.len;
	for (const char *p = t.ptr; p < end && (p = memchr(p, '\\', (size_t)(end - p)));) {
		if (end - p < 6 || p[1] != 'u') {
			p += 2;
			continue;
		}
		int u = hex4(p + 2);
		p += 6;
		if (u < 0xd800 || u > 0xdfff)
			continue;
		if (u > 0xdbff || end - p < 6 || p[0] != '\\' || p[1] != 'u')
			return false;
		u = hex4(p + 2);
		if (u < 0xdc00 || u > 0xdfff)
			return false;
		p += 6;
	}
	return true;
}

enum nx_code nx_json_parse(struct nx_str text, struct nx_arena *a, const struct nx_json **ret,
			   struct nx_error *err)
{
	struct nx_error own;
	struct builder b = { .arena = a, .err = err ? err : &own };
	if (nx_utf8_check(text) != text.len)
		return nx_fail(err, NX_E_BAD_JSON, "The body is not valid UTF-8.");
	if (text.len > 0 && !surrogates_pair(text))
		return nx_fail(err, NX_E_BAD_JSON, "A string has half a surrogate pair.");
	yajl_handle h = yajl_alloc(&callbacks, NULL, &b);
	if (!h)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	yajl_status s = yajl_parse(h, (const unsigned char *)text.ptr, text.len);
	if (s == yajl_status_ok)
		s = yajl_complete_parse(h);
	size_t at = yajl_get_bytes_consumed(h);
	yajl_free(h);
	if (b.failed)
		return b.err->code;
	if (s != yajl_status_ok || !b.root) {
		(void)nx_fail(err, NX_E_BAD_JSON, "The body is not valid JSON (near byte %zu).",
			      at);
		return NX_E_BAD_JSON;
	}
	*ret = b.root;
	return NX_OK;
}

const struct nx_json *nx_json_get(const struct nx_json *o, const char *key)
{
	if (!o || o->kind != NX_JSON_OBJECT)
		return NULL;
	struct nx_str k = nx_str(key);
	for (const struct nx_json *m = o->first; m; m = m->next)
		if (nx_str_eq(m->key, k))
			return m;
	return NULL;
}

void nx_json_write(const struct nx_json *v, struct nx_buf *out)
{
	switch (v->kind) {
	case NX_JSON_NULL:
		nx_buf_puts(out, "null");
		break;
	case NX_JSON_BOOL:
	case NX_JSON_NUMBER:
		nx_buf_put_str(out, v->text);
		break;
	case NX_JSON_STRING:
		nx_buf_put_json(out, v->text);
		break;
	case NX_JSON_ARRAY:
	case NX_JSON_OBJECT:
		nx_buf_putc(out, v->kind == NX_JSON_ARRAY ? '[' : '{');
		for (const struct nx_json *m = v->first; m; m = m->next) {
			if (m != v->first)
				nx_buf_putc(out, ',');
			if (v->kind == NX_JSON_OBJECT) {
				nx_buf_put_json(out, m->key);
				nx_buf_putc(out, ':');
			}
			nx_json_write(m, out);
		}
		nx_buf_putc(out, v->kind == NX_JSON_ARRAY ? ']' : '}');
		break;
	}
}
