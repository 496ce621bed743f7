#include "auth/auth_int.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int nx_b64url_decode(struct nx_str s, unsigned char *out)
{
	if (s.len % 4 == 1 || s.len > NX_TOKEN_MAX)
		return -1;
	unsigned acc = 0, bits = 0;
	int n = 0;
	for (size_t i = 0; i < s.len; i++) {
		int v = value((unsigned char)s.ptr[i]);
		if (v < 0)
			return -1;
		acc = acc << 6 | (unsigned)v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[n++] = (unsigned char)(acc >> bits);
			acc &= (1u << bits) - 1;
		}
	}
	/* left-over bits must be zero, or one value would have many spellings */
	return acc == 0 ? n : -1;
}

size_t nx_b64url_encode(const void *p, size_t n, char *out)
{
	const unsigned char *in = p;
	unsigned acc = 0, bits = 0;
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		acc = acc << 8 | in[i];
		bits += 8;
		while (bits >= 6) {
			bits -= 6;
			out[len++] = alphabet[acc >> bits & 63];
		}
		acc &= (1u << bits) - 1;
	}
	if (bits > 0)
		out[len++] = alphabet[acc << (6 - bits) & 63];
	return len;
}
