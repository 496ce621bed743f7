/* RFC 8259, nothing more: no comments, no trailing commas, no leading zeros, no NaN, no lone surrogates.
 *
 * Our own since fuzzing showed the packaged parser to accept an unterminated string behind the value,
 * and vertical tabs as white space: what a gateway reads must not depend on who else read it first. */
#include "base/json.h"

enum { MAX_DEPTH = 32, MAX_VALUES = 100000, MAX_MEMBERS = 1000 };

struct parser {
	const char *start, *p, *end;
	struct nx_arena *arena;
	struct nx_error *err;
	uint32_t values;
};

static enum nx_code bad(struct parser *s, const char *what)
{
	return nx_fail(s->err, NX_E_BAD_JSON, "The body is not valid JSON: %s at byte %zu.", what,
		       (size_t)(s->p - s->start));
}

static enum nx_code no_memory(struct parser *s)
{
	return nx_fail(s->err, NX_E_MEMORY, "The body needs too much memory.");
}

static void blanks(struct parser *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

static bool take(struct parser *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* ---- strings ---- */

static bool hex4(struct parser *s, unsigned *ret)
{
	if (s->end - s->p < 4)
		return false;
	unsigned v = 0;
	for (int i = 0; i < 4; i++) {
		char c = s->p[i];
		unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
			     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
			     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
						    : 16;
		if (d == 16)
			return false;
		v = v << 4 | d;
	}
	s->p += 4;
	*ret = v;
	return true;
}

static char *put_utf8(char *out, unsigned c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	}
	return out;
}

/* Behind the backslash. An escape is never shorter than what it stands for. */
static enum nx_code escape(struct parser *s, char **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	if (s->p == s->end)
		return bad(s, "a string is not closed");
	char c = *s->p++;
	const char *known = c ? strchr(from, c) : NULL;
	if (known) {
		*(*out)++ = to[known - from];
		return NX_OK;
	}
	unsigned v, low;
	if (c != 'u' || !hex4(s, &v))
		return bad(s, "an unknown escape");
	if (v >= 0xd800 && v <= 0xdfff) {
		bool pair = v < 0xdc00 && take(s, '\\') && take(s, 'u') && hex4(s, &low) &&
			    low >= 0xdc00 && low <= 0xdfff;
		if (!pair)
			return bad(s, "half of a surrogate pair");
		v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
	}
	*out = put_utf8(*out, v);
	return NX_OK;
}

/* Behind the opening quote. */
static enum nx_code string(struct parser *s, struct nx_str *ret)
{
	const char *close = s->p;
	while (close < s->end && *close != '"')
		close += *close == '\\' && close + 1 < s->end ? 2 : 1;
	if (close >= s->end)
		return bad(s, "a string is not closed");
	char *text = nx_arena_alloc(s->arena, (size_t)(close - s->p) + 1), *out = text;
	if (!text)
		return no_memory(s);
	while (s->p < close) {
		unsigned char c = (unsigned char)*s->p;
		if (c < 0x20)
			return bad(s, "a control character in a string");
		s->p++;
		if (c != '\\') {
			*out++ = (char)c;
			continue;
		}
		enum nx_code code = escape(s, &out);
		if (code)
			return code;
	}
	s->p++;
	*out = '\0';
	*ret = nx_strn(text, (size_t)(out - text));
	return NX_OK;
}

/* ---- values ---- */

static bool digits(struct parser *s)
{
	const char *from = s->p;
	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > from;
}

static enum nx_code number(struct parser *s, struct nx_json *v)
{
	const char *from = s->p;
	(void)take(s, '-');
	bool ok = take(s, '0') || digits(s);
	if (ok && take(s, '.'))
		ok = digits(s);
	if (ok && (take(s, 'e') || take(s, 'E'))) {
		if (!take(s, '-'))
			(void)take(s, '+');
		ok = digits(s);
	}
	if (!ok)
		return bad(s, "not a number");
	v->kind = NX_JSON_NUMBER;
	v->text = nx_arena_str(s->arena, nx_strn(from, (size_t)(s->p - from)));
	return v->text.ptr ? NX_OK : no_memory(s);
}

static enum nx_code word(struct parser *s, struct nx_json *v)
{
	static const struct {
		const char *text;
		enum nx_json_kind kind;
	} words[] = { { "true", NX_JSON_BOOL },
		      { "false", NX_JSON_BOOL },
		      { "null", NX_JSON_NULL } };
	for (size_t i = 0; i < NX_COUNTOF(words); i++) {
		struct nx_str w = nx_str(words[i].text);
		if (!nx_str_starts(nx_strn(s->p, (size_t)(s->end - s->p)), w))
			continue;
		s->p += w.len;
		v->kind = words[i].kind;
		v->text = v->kind == NX_JSON_BOOL ? w : (struct nx_str){ NULL, 0 };
		return NX_OK;
	}
	return bad(s, "an unexpected character");
}

static enum nx_code value(struct parser *s, int depth, struct nx_json **ret);

static enum nx_code member_key(struct parser *s, const struct nx_json *up, struct nx_str *ret)
{
	if (!take(s, '"'))
		return bad(s, "a member without a quoted name");
	enum nx_code c = string(s, ret);
	if (c)
		return c;
	blanks(s);
	if (!take(s, ':'))
		return bad(s, "a colon is missing");
	/* Objects are small (a config, a request): a linear look is cheaper than a table, and the
	 * bound keeps the square harmless. */
	if (up->count >= MAX_MEMBERS)
		return bad(s, "an object with too many members");
	for (const struct nx_json *m = up->first; m; m = m->next)
		if (nx_str_eq(m->key, *ret))
			return bad(s, "the same name twice in an object");
	return NX_OK;
}

/* Behind the opening bracket. */
static enum nx_code children(struct parser *s, int depth, struct nx_json *up)
{
	bool object = up->kind == NX_JSON_OBJECT;
	char close = object ? '}' : ']';
	struct nx_json **at = &up->first;
	blanks(s);
	if (take(s, close))
		return NX_OK;
	for (;;) {
		struct nx_str key = { NULL, 0 };
		struct nx_json *child = NULL;
		blanks(s);
		enum nx_code c = object ? member_key(s, up, &key) : NX_OK;
		if (!c)
			c = value(s, depth + 1, &child);
		if (c)
			return c;
		child->key = key;
		*at = child;
		at = &child->next;
		up->count++;
		blanks(s);
		if (take(s, close))
			return NX_OK;
		if (!take(s, ','))
			return bad(s, "a comma or the end is missing");
	}
}

static enum nx_code value(struct parser *s, int depth, struct nx_json **ret)
{
	if (depth > MAX_DEPTH)
		return bad(s, "nested too deep");
	if (++s->values > MAX_VALUES)
		return bad(s, "too many values");
	struct nx_json *v = nx_arena_zalloc(s->arena, sizeof(*v));
	if (!v)
		return no_memory(s);
	*ret = v;
	blanks(s);
	if (s->p == s->end)
		return bad(s, "a value is missing");
	switch (*s->p) {
	case '{':
	case '[':
		v->kind = *s->p++ == '{' ? NX_JSON_OBJECT : NX_JSON_ARRAY;
		return children(s, depth, v);
	case '"':
		s->p++;
		v->kind = NX_JSON_STRING;
		return string(s, &v->text);
	default:
		return *s->p == '-' || (*s->p >= '0' && *s->p <= '9') ? number(s, v) : word(s, v);
	}
}

enum nx_code nx_json_parse(struct nx_str text, struct nx_arena *a, const struct nx_json **ret,
			   struct nx_error *err)
{
	struct parser s = {
		.start = text.ptr, .p = text.ptr, .end = text.ptr + text.len, .arena = a, .err = err
	};
	if (text.len == 0 || nx_utf8_check(text) != text.len)
		return nx_fail(err, NX_E_BAD_JSON,
			       text.len ? "The body is not valid UTF-8." : "The body is empty.");
	struct nx_json *root = NULL;
	enum nx_code c = value(&s, 1, &root);
	blanks(&s);
	if (!c && s.p != s.end)
		c = bad(&s, "something behind the value");
	if (c)
		return c;
	*ret = root;
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
