/* A JSON value from a source goes into the result as it is, nested. One wrong byte would break the
 * whole document, so it is checked on the way: a grammar walk without recursion (one bit a level
 * says array or object), copying as it goes. Strings, most of any document, run eight bytes at a
 * time. */
#include <stdint.h>

#include "put_str.h"

enum { MAX_DEPTH = 512 };

struct walk {
	const char *s; /* next byte */
	const char *end;
	char *p;
};

static inline bool blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline void skip_blank(struct walk *w)
{
	for (; w->s < w->end && blank(*w->s); w->s++)
		*w->p++ = *w->s == '\n' || *w->s == '\r' ? ' ' : *w->s;
}

static inline bool take(struct walk *w, char c)
{
	if (w->s == w->end || *w->s != c)
		return false;
	*w->p++ = *w->s++;
	return true;
}

static bool hex4(struct walk *w)
{
	for (int i = 0; i < 4; i++, w->s++) {
		if (w->s == w->end)
			return false;
		char c = *w->s, lower = (char)(c | 0x20);
		if (!(c >= '0' && c <= '9') && !(lower >= 'a' && lower <= 'f'))
			return false;
		*w->p++ = c;
	}
	return true;
}

/* Behind the opening quote, through the closing one. */
static bool string(struct walk *w)
{
	const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
	for (;;) {
		while (w->end - w->s >= 8) {
			uint64_t v;
			memcpy(&v, w->s, 8);
			uint64_t quote = v ^ ones * '"', slash = v ^ ones * '\\';
			if ((((v - ones * 0x20) & ~v) | ((quote - ones) & ~quote) |
			     ((slash - ones) & ~slash)) &
			    highs)
				break;
			memcpy(w->p, &v, 8);
			w->p += 8;
			w->s += 8;
		}
		if (w->s == w->end)
			return false;
		unsigned char c = (unsigned char)*w->s++;
		if (c < 0x20)
			return false;
		*w->p++ = (char)c;
		if (c == '"')
			return true;
		if (c != '\\')
			continue;
		if (w->s == w->end)
			return false;
		c = (unsigned char)*w->s++;
		*w->p++ = (char)c;
		if (c == 'u' ? !hex4(w) : !strchr("\"\\/bfnrt", c) || c == 0)
			return false;
	}
}

static inline bool digit(const struct walk *w)
{
	return w->s < w->end && *w->s >= '0' && *w->s <= '9';
}

static bool digits(struct walk *w)
{
	if (!digit(w))
		return false;
	while (digit(w))
		*w->p++ = *w->s++;
	return true;
}

static bool number(struct walk *w)
{
	(void)take(w, '-');
	if (!take(w, '0') && !digits(w))
		return false;
	if (take(w, '.') && !digits(w))
		return false;
	if (take(w, 'e') || take(w, 'E')) {
		if (!take(w, '+'))
			(void)take(w, '-');
		return digits(w);
	}
	return true;
}

static bool word(struct walk *w, const char *text, size_t n)
{
	if ((size_t)(w->end - w->s) < n || memcmp(w->s, text, n) != 0)
		return false;
	memcpy(w->p, text, n);
	w->p += n;
	w->s += n;
	return true;
}

static bool scalar(struct walk *w)
{
	if (w->s == w->end)
		return false;
	switch (*w->s) {
	case '"':
		take(w, '"');
		return string(w);
	case 't':
		return word(w, "true", 4);
	case 'f':
		return word(w, "false", 5);
	case 'n':
		return word(w, "null", 4);
	default:
		return number(w);
	}
}

static bool key(struct walk *w)
{
	skip_blank(w);
	if (!take(w, '"') || !string(w))
		return false;
	skip_blank(w);
	return take(w, ':');
}

static bool value(struct walk *w)
{
	uint8_t object[MAX_DEPTH / 8] = { 0 };
	unsigned depth = 0;
	for (;;) {
		skip_blank(w);
		bool is_object = w->s < w->end && *w->s == '{';
		if (is_object || (w->s < w->end && *w->s == '[')) {
			if (depth == MAX_DEPTH)
				return false;
			*w->p++ = *w->s++;
			skip_blank(w);
			if (take(w, is_object ? '}' : ']'))
				goto closed;
			uint8_t bit = (uint8_t)(1u << (depth & 7)), *at = &object[depth >> 3];
			*at = (uint8_t)(is_object ? *at | bit : *at & ~bit);
			depth++;
			if (is_object && !key(w))
				return false;
			continue;
		}
		if (!scalar(w))
			return false;
	closed:
		for (;;) {
			skip_blank(w);
			if (depth == 0)
				return w->s == w->end;
			bool in_object = object[(depth - 1) >> 3] >> ((depth - 1) & 7) & 1;
			if (take(w, ',')) {
				if (in_object && !key(w))
					return false;
				break;
			}
			if (!take(w, in_object ? '}' : ']'))
				return false;
			depth--;
		}
	}
}

bool nx_json_copy(char *dst, const char *s, size_t n)
{
	struct walk w = { s, s + n, dst };
	return n > 0 && value(&w) && nx_utf8_check(nx_strn(s, n)) == n;
}

bool nx_json_is_integer(const char *s, size_t n)
{
	if (n > 0 && *s == '-') {
		s++;
		n--;
	}
	if (n == 0 || (*s == '0' && n > 1))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)(s[i] - '0') > 9)
			return false;
	return true;
}

bool nx_json_is_number(const char *s, size_t n)
{
	size_t i = 0;
	if (i < n && s[i] == '-')
		i++;
	size_t from = i;
	while (i < n && (unsigned char)(s[i] - '0') <= 9)
		i++;
	if (i == from || (s[from] == '0' && i - from > 1))
		return false;
	if (i < n && s[i] == '.') {
		from = ++i;
		while (i < n && (unsigned char)(s[i] - '0') <= 9)
			i++;
		if (i == from)
			return false;
	}
	if (i < n && (s[i] | 0x20) == 'e') {
		i++;
		if (i < n && (s[i] == '+' || s[i] == '-'))
			i++;
		from = i;
		while (i < n && (unsigned char)(s[i] - '0') <= 9)
			i++;
		if (i == from)
			return false;
	}
	return i == n;
}
