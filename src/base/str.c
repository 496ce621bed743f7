#include "nexus/str.h"

#include <errno.h>
#include <stdlib.h>

static inline char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool nx_str_ieq(struct nx_str a, struct nx_str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower(a.ptr[i]) != lower(b.ptr[i]))
			return false;
	return true;
}

bool nx_str_starts(struct nx_str s, struct nx_str p)
{
	return s.len >= p.len && (p.len == 0 || memcmp(s.ptr, p.ptr, p.len) == 0);
}

bool nx_str_ends(struct nx_str s, struct nx_str p)
{
	return s.len >= p.len && (p.len == 0 || memcmp(s.ptr + s.len - p.len, p.ptr, p.len) == 0);
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct nx_str nx_str_trim(struct nx_str s)
{
	while (s.len > 0 && blank(s.ptr[0])) {
		s.ptr++;
		s.len--;
	}
	while (s.len > 0 && blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

bool nx_str_to_u64(struct nx_str s, uint64_t *ret)
{
	if (s.len == 0 || s.len > 20)
		return false;
	uint64_t v = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.ptr[i] - '0'), &v))
			return false;
	}
	*ret = v;
	return true;
}

bool nx_str_to_i64(struct nx_str s, int64_t *ret)
{
	bool neg = s.len > 0 && s.ptr[0] == '-';
	if (neg) {
		s.ptr++;
		s.len--;
	}
	uint64_t v;
	if (!nx_str_to_u64(s, &v) || v > (uint64_t)INT64_MAX + (neg ? 1 : 0))
		return false;
	*ret = neg ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

bool nx_str_to_f64(struct nx_str s, double *ret)
{
	char tmp[64];
	if (s.len == 0 || s.len >= sizeof(tmp) || s.ptr[0] == ' ' || s.ptr[0] == '+')
		return false;
	memcpy(tmp, s.ptr, s.len);
	tmp[s.len] = '\0';
	char *end;
	errno = 0;
	double v = strtod(tmp, &end);
	if (*end != '\0' || end == tmp)
		return false;
	*ret = v;
	return true;
}

size_t nx_utf8_check(struct nx_str s)
{
	const unsigned char *p = (const unsigned char *)s.ptr;
	size_t i = 0;
	while (i < s.len) {
		/* eight ASCII bytes at a time: most text is ASCII */
		while (i + 8 <= s.len) {
			uint64_t w;
			memcpy(&w, p + i, 8);
			if (w & 0x8080808080808080u)
				break;
			i += 8;
		}
		if (i >= s.len)
			break;
		unsigned char c = p[i];
		if (c < 0x80) {
			i++;
			continue;
		}
		size_t left = s.len - i;
		if (c >= 0xc2 && c <= 0xdf) {
			if (left < 2 || (p[i + 1] & 0xc0) != 0x80)
				return i;
			i += 2;
		} else if (c >= 0xe0 && c <= 0xef) {
			if (left < 3 || (p[i + 1] & 0xc0) != 0x80 || (p[i + 2] & 0xc0) != 0x80 ||
			    (c == 0xe0 && p[i + 1] < 0xa0) || (c == 0xed && p[i + 1] > 0x9f))
				return i;
			i += 3;
		} else if (c >= 0xf0 && c <= 0xf4) {
			if (left < 4 || (p[i + 1] & 0xc0) != 0x80 || (p[i + 2] & 0xc0) != 0x80 ||
			    (p[i + 3] & 0xc0) != 0x80 || (c == 0xf0 && p[i + 1] < 0x90) ||
			    (c == 0xf4 && p[i + 1] > 0x8f))
				return i;
			i += 4;
		} else {
			return i;
		}
	}
	return s.len;
}

uint64_t nx_str_hash(struct nx_str s)
{
	/* FNV-1a over 8-byte words with a final mix: good enough for tables of trusted size. */
	uint64_t h = 0xcbf29ce484222325u ^ s.len;
	size_t i = 0;
	for (; i + 8 <= s.len; i += 8) {
		uint64_t w;
		memcpy(&w, s.ptr + i, 8);
		h = (h ^ w) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
	}
	for (; i < s.len; i++)
		h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001b3u;
	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9u;
	return h ^ (h >> 32);
}
