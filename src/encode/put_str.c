#include "put_str.h"

#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u

static inline uint64_t load8(const char *s)
{
	uint64_t w;
	memcpy(&w, s, 8);
	return w;
}

/* Length of the valid UTF-8 sequence at s (first byte >= 0x80), or 0. */
static inline size_t utf8_seq(const unsigned char *s, size_t n)
{
	unsigned c = s[0];
	if (c >= 0xe0 && c <= 0xef) { /* first: all of Chinese is here */
		if (n < 3 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80)
			return 0;
		return (c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) ? 0 : 3;
	}
	if (c >= 0xc2 && c <= 0xdf)
		return n >= 2 && (s[1] & 0xc0) == 0x80 ? 2 : 0;
	if (c >= 0xf0 && c <= 0xf4) {
		if (n < 4 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 ||
		    (s[3] & 0xc0) != 0x80)
			return 0;
		return (c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f) ? 0 : 4;
	}
	return 0;
}

size_t nx_utf8_cut(const char *s, size_t n)
{
	for (size_t back = 1; back <= 3 && back < n; back++) {
		unsigned char c = (unsigned char)s[n - back];
		if (c < 0x80)
			return n;
		if (c >= 0xc0)
			return n - back;
	}
	return n;
}

static inline char *put_escape(char *p, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char abbr[32] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
	};
	*p++ = '\\';
	if (c >= 0x20) {
		*p++ = (char)c;
	} else if (abbr[c]) {
		*p++ = abbr[c];
	} else {
		memcpy(p, "u00", 3);
		p[3] = hex[c >> 4];
		p[4] = hex[c & 15];
		p += 5;
	}
	return p;
}

/* High bit in every byte that cannot be copied as it is. Exact in the lowest set byte; bytes above
 * it may be marked falsely (borrow), which costs nothing but a second look. */
static inline uint64_t json_special8(uint64_t w)
{
	uint64_t quote = w ^ ONES * '"', slash = w ^ ONES * '\\';
	uint64_t control = (w - ONES * 0x20) & ~w;
	return (w | control | ((quote - ONES) & ~quote) | ((slash - ONES) & ~slash)) & HIGHS;
}

#ifdef __SSE2__
static inline unsigned json_special16(__m128i v)
{
	/* signed: control characters and everything from 0x80 are below 0x20 */
	__m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
	__m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
	__m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
	return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, slash)));
}
#endif

/* Handles the special character at *s and all non-ASCII behind it. */
static char *json_special(char *p, const char **s, size_t *n)
{
	unsigned char c = (unsigned char)**s;
	if (c < 0x80) {
		++*s;
		--*n;
		return put_escape(p, c);
	}
	while (*n > 0 && (unsigned char)**s >= 0x80) {
		size_t k = utf8_seq((const unsigned char *)*s, *n);
		if (k == 0) {
			memcpy(p, "\xef\xbf\xbd", 3);
			p += 3;
			k = 1;
		} else {
			memcpy(p, *s, 2);
			memcpy(p + k - 2, *s + k - 2, 2);
			p += k;
		}
		*s += k;
		*n -= k;
	}
	return p;
}

char *nx_put_json_inner(char *p, const char *s, size_t n)
{
	for (;;) {
#ifdef __SSE2__
		while (n >= 16) {
			__m128i v = _mm_loadu_si128((const __m128i *)(const void *)s);
			_mm_storeu_si128((__m128i *)(void *)p, v);
			unsigned mask = json_special16(v);
			size_t k = mask ? (unsigned)__builtin_ctz(mask) : 16;
			p += k;
			s += k;
			n -= k;
			if (mask)
				p = json_special(p, &s, &n);
		}
#endif
		while (n >= 8) {
			uint64_t w = load8(s), mask = json_special8(w);
			memcpy(p, &w, 8);
			size_t k = mask ? (unsigned)__builtin_ctzll(mask) / 8 : 8;
			p += k;
			s += k;
			n -= k;
			if (mask)
				p = json_special(p, &s, &n);
		}
		if (n == 0)
			return p;
		/* 1..7 bytes without reading behind the end */
		uint64_t w = 0;
		if (n >= 4) {
			uint32_t a, b;
			memcpy(&a, s, 4);
			memcpy(&b, s + n - 4, 4);
			w = a | (uint64_t)b << (8 * (n - 4));
		} else {
			w = (uint64_t)(unsigned char)s[0] |
			    (uint64_t)(unsigned char)s[n / 2] << (8 * (n / 2)) |
			    (uint64_t)(unsigned char)s[n - 1] << (8 * (n - 1));
		}
		uint64_t mask = json_special8(w | (ONES * 'x') << (8 * n));
		memcpy(p, &w, 8);
		if (!mask)
			return p + n;
		size_t k = (unsigned)__builtin_ctzll(mask) / 8;
		p += k;
		s += k;
		n -= k;
		p = json_special(p, &s, &n);
	}
}

bool nx_csv_needs_quotes(const char *s, size_t n)
{
	if (n == 0)
		return true; /* an empty string, told apart from NULL */
	for (; n >= 8; s += 8, n -= 8) {
		uint64_t w = load8(s);
		uint64_t comma = w ^ ONES * ',', quote = w ^ ONES * '"', cr = w ^ ONES * '\r',
			 lf = w ^ ONES * '\n';
		if ((((comma - ONES) & ~comma) | ((quote - ONES) & ~quote) | ((cr - ONES) & ~cr) |
		     ((lf - ONES) & ~lf)) &
		    HIGHS)
			return true;
	}
	for (; n > 0; s++, n--)
		if (*s == ',' || *s == '"' || *s == '\r' || *s == '\n')
			return true;
	return false;
}

char *nx_put_csv_inner(char *p, const char *s, size_t n)
{
	while (n > 0) {
		unsigned char c = (unsigned char)*s;
		size_t k = 1;
		if (c >= 0x80) {
			k = utf8_seq((const unsigned char *)s, n);
			if (k == 0) {
				memcpy(p, "\xef\xbf\xbd", 3);
				p += 3;
				s++;
				n--;
				continue;
			}
			memcpy(p, s, k);
			p += k;
		} else {
			*p++ = (char)c;
			*p = (char)c;
			p += c == '"';
		}
		s += k;
		n -= k;
	}
	return p;
}

char *nx_put_utf8(char *p, const char *s, size_t n)
{
	while (n > 0) {
		size_t k = (unsigned char)*s < 0x80 ? 1 : utf8_seq((const unsigned char *)s, n);
		size_t put = k ? k : 3;
		memcpy(p, k ? s : "\xef\xbf\xbd", put);
		p += put;
		s += k ? k : 1;
		n -= k ? k : 1;
	}
	return p;
}

char *nx_put_base64(char *p, const void *data, size_t n)
{
	static const char set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *s = data;
	for (; n >= 3; n -= 3, s += 3, p += 4) {
		uint32_t w = (uint32_t)s[0] << 16 | (uint32_t)s[1] << 8 | s[2];
		p[0] = set[w >> 18];
		p[1] = set[w >> 12 & 63];
		p[2] = set[w >> 6 & 63];
		p[3] = set[w & 63];
	}
	if (n == 0)
		return p;
	uint32_t w = (uint32_t)s[0] << 16 | (n == 2 ? (uint32_t)s[1] << 8 : 0);
	p[0] = set[w >> 18];
	p[1] = set[w >> 12 & 63];
	p[2] = n == 2 ? set[w >> 6 & 63] : '=';
	p[3] = '=';
	return p + 4;
}
