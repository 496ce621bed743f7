#include "nexus/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void nx_buf_init(struct nx_buf *b, size_t max)
{
	*b = (struct nx_buf){ .max = max };
}

void nx_buf_done(struct nx_buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
}

void nx_buf_clear(struct nx_buf *b)
{
	b->len = 0;
	b->failed = false;
}

char *nx_buf_reserve(struct nx_buf *b, size_t n)
{
	if (NX_LIKELY(!b->failed && n <= b->cap - b->len && b->data))
		return b->data + b->len;
	if (b->failed)
		return NULL;
	size_t want;
	if (__builtin_add_overflow(b->len, n, &want) || want > b->max) {
		b->failed = true;
		return NULL;
	}
	size_t cap = b->cap ? b->cap : 256;
	while (cap < want)
		cap = cap > SIZE_MAX / 2 ? want : cap * 2;
	if (cap > b->max)
		cap = b->max;
	if (cap == 0)
		cap = 1;
	char *p = realloc(b->data, cap);
	if (!p) {
		b->failed = true;
		return NULL;
	}
	b->data = p;
	b->cap = cap;
	return b->data + b->len;
}

void nx_buf_put(struct nx_buf *b, const void *data, size_t n)
{
	char *p = nx_buf_reserve(b, n);
	if (p && n > 0) {
		memcpy(p, data, n);
		b->len += n;
	}
}

void nx_buf_putc(struct nx_buf *b, char c)
{
	char *p = nx_buf_reserve(b, 1);
	if (p) {
		*p = c;
		b->len++;
	}
}

void nx_buf_puts(struct nx_buf *b, const char *cstr)
{
	nx_buf_put(b, cstr, strlen(cstr));
}

void nx_buf_put_str(struct nx_buf *b, struct nx_str s)
{
	nx_buf_put(b, s.ptr, s.len);
}

void nx_buf_printf(struct nx_buf *b, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *p = n < 0 ? NULL : nx_buf_reserve(b, (size_t)n + 1);
	if (p && vsnprintf(p, (size_t)n + 1, fmt, again) == n)
		b->len += (size_t)n;
	else
		b->failed = true;
	va_end(again);
}

void nx_buf_put_u64(struct nx_buf *b, uint64_t v)
{
	char tmp[20];
	size_t at = sizeof(tmp);
	do {
		tmp[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	nx_buf_put(b, tmp + at, sizeof(tmp) - at);
}

void nx_buf_put_i64(struct nx_buf *b, int64_t v)
{
	if (v < 0)
		nx_buf_putc(b, '-');
	nx_buf_put_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static void json_escape(struct nx_buf *b, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	switch (c) {
	case '"':
		nx_buf_put(b, "\\\"", 2);
		break;
	case '\\':
		nx_buf_put(b, "\\\\", 2);
		break;
	case '\n':
		nx_buf_put(b, "\\n", 2);
		break;
	case '\r':
		nx_buf_put(b, "\\r", 2);
		break;
	case '\t':
		nx_buf_put(b, "\\t", 2);
		break;
	default:
		nx_buf_put(b, "\\u00", 4);
		nx_buf_putc(b, hex[c >> 4]);
		nx_buf_putc(b, hex[c & 15]);
	}
}

void nx_buf_put_json(struct nx_buf *b, struct nx_str s)
{
	nx_buf_putc(b, '"');
	size_t good = nx_utf8_check(s);
	for (;;) {
		size_t from = 0;
		for (size_t i = 0; i < good; i++) {
			unsigned char c = (unsigned char)s.ptr[i];
			if (c >= 0x20 && c != '"' && c != '\\')
				continue;
			nx_buf_put(b, s.ptr + from, i - from);
			json_escape(b, c);
			from = i + 1;
		}
		if (good > from)
			nx_buf_put(b, s.ptr + from, good - from);
		if (good == s.len)
			break;
		nx_buf_puts(b, "\xef\xbf\xbd");
		s.ptr += good + 1;
		s.len -= good + 1;
		good = nx_utf8_check(s);
	}
	nx_buf_putc(b, '"');
}

void nx_wipe(void *p, size_t n)
{
	volatile unsigned char *v = p;
	while (n--)
		*v++ = 0;
}
