/* Numbers to decimal text, without capacity checks: each function says how many bytes it may touch
 * (it may write garbage up to that bound behind what it returns). All return the new end.
 *
 * Eight digits are made at a time in one 64-bit register (three multiplications), leading zeros are
 * shifted out by their count: no loop, no branch on the number of digits below 10^8. */
#ifndef NX_ENCODE_PUT_NUM_H
#define NX_ENCODE_PUT_NUM_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "double.h"
#include "nexus/attr.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "batches and these writers are little-endian"
#endif

__extension__ typedef __int128 nx_i128;
__extension__ typedef unsigned __int128 nx_u128;

enum {
	NX_PUT_U64 = 32,     /* bytes touched, by type */
	NX_PUT_F64 = 40,
	NX_PUT_DECIMAL = 56, /* plus |scale| */
};

static const char nx_digit_pairs[201] =
	"00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
	"4950515253545556575859606162636465666768697071727374757677787980818283848586878889909192939495"
	"96979899";

static const uint64_t nx_pow10[20] = {
	1u,
	10u,
	100u,
	1000u,
	10000u,
	100000u,
	1000000u,
	10000000u,
	100000000u,
	1000000000u,
	10000000000u,
	100000000000u,
	1000000000000u,
	10000000000000u,
	100000000000000u,
	1000000000000000u,
	10000000000000000u,
	100000000000000000u,
	1000000000000000000u,
	10000000000000000000u,
};

/* v < 100 */
static inline char *nx_put_2(char *p, uint32_t v)
{
	memcpy(p, nx_digit_pairs + 2 * (size_t)v, 2);
	return p + 2;
}

/* x < 10^8 as eight bytes 0..9, first digit in the lowest byte. */
static inline uint64_t nx_bcd8(uint32_t x)
{
	uint64_t v = (x / 10000) | (uint64_t)(x % 10000) << 32;
	uint64_t hundreds = ((v * 10486u) >> 20) & 0x7f0000007fu;
	v = hundreds | (v - 100 * hundreds) << 16;
	uint64_t tens = ((v * 103u) >> 10) & 0x000f000f000f000fu;
	return tens | (v - 10 * tens) << 8;
}

/* Exactly 8 digits. */
static inline char *nx_put_8(char *p, uint32_t x)
{
	uint64_t w = nx_bcd8(x) | 0x3030303030303030u;
	memcpy(p, &w, 8);
	return p + 8;
}

/* x < 10^8 without leading zeros; touches 8 bytes. */
static inline char *nx_put_u27(char *p, uint32_t x)
{
	uint64_t w = nx_bcd8(x);
	unsigned skip = (unsigned)__builtin_ctzll(w | 1ull << 56) / 8; /* the last digit stays */
	w = (w | 0x3030303030303030u) >> (8 * skip);
	memcpy(p, &w, 8);
	return p + 8 - skip;
}

static inline char *nx_put_u64(char *p, uint64_t v)
{
	if (v < 100000000u)
		return nx_put_u27(p, (uint32_t)v);
	if (v < 10000000000000000u) {
		p = nx_put_u27(p, (uint32_t)(v / 100000000u));
		return nx_put_8(p, (uint32_t)(v % 100000000u));
	}
	uint64_t low = v % 10000000000000000u;
	p = nx_put_u27(p, (uint32_t)(v / 10000000000000000u));
	p = nx_put_8(p, (uint32_t)(low / 100000000u));
	return nx_put_8(p, (uint32_t)(low % 100000000u));
}

static inline char *nx_put_i64(char *p, int64_t v)
{
	*p = '-';
	p += v < 0;
	return nx_put_u64(p, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* Exactly n digits of v < 10^n, 1 <= n <= 18; touches n + 8 bytes. */
static inline char *nx_put_padded(char *p, uint64_t v, unsigned n)
{
	if (n > 16) {
		uint64_t top = v / 10000000000000000u;
		uint64_t w = (nx_bcd8((uint32_t)top) | 0x3030303030303030u) >> (8 * (8 - (n - 16)));
		memcpy(p, &w, 8);
		p += n - 16;
		v %= 10000000000000000u;
		n = 16;
	}
	if (n > 8) {
		uint64_t w = (nx_bcd8((uint32_t)(v / 100000000u)) | 0x3030303030303030u) >>
			     (8 * (16 - n));
		memcpy(p, &w, 8);
		p += n - 8;
		v %= 100000000u;
		n = 8;
	}
	uint64_t w = (nx_bcd8((uint32_t)v) | 0x3030303030303030u) >> (8 * (8 - n));
	memcpy(p, &w, 8);
	return p + n;
}

static inline char *nx_put_u128(char *p, nx_u128 v)
{
	const uint64_t e18 = 1000000000000000000u;
	if (v <= UINT64_MAX)
		return nx_put_u64(p, (uint64_t)v);
	p = nx_put_u128(p, v / e18);
	return nx_put_padded(p, (uint64_t)(v % e18), 18);
}

/* value / 10^scale in plain digits with exactly max(scale, 0) of them behind the point. */
static inline char *nx_put_decimal_u128(char *p, nx_u128 v, int32_t scale)
{
	if (scale <= 0) {
		p = nx_put_u128(p, v);
		if (v != 0)
			for (; scale < 0; scale++)
				*p++ = '0';
		return p;
	}
	char tmp[64];
	size_t n = (size_t)(nx_put_u128(tmp, v) - tmp), s = (size_t)scale;
	if (n > s) {
		memcpy(p, tmp, n - s);
		p += n - s;
	} else {
		*p++ = '0';
	}
	*p++ = '.';
	for (size_t zeros = s > n ? s - n : 0; zeros > 0; zeros--)
		*p++ = '0';
	size_t frac = n < s ? n : s;
	memcpy(p, tmp + n - frac, frac);
	return p + frac;
}

static inline char *nx_put_decimal64(char *p, int64_t v, int32_t scale)
{
	*p = '-';
	p += v < 0;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	if (NX_UNLIKELY(scale <= 0 || scale > 18))
		return nx_put_decimal_u128(p, u, scale);
	uint64_t unit = nx_pow10[scale];
	p = nx_put_u64(p, u / unit);
	*p++ = '.';
	return nx_put_padded(p, u % unit, (unsigned)scale);
}

static inline char *nx_put_decimal128(char *p, nx_i128 v, int32_t scale)
{
	if (NX_LIKELY(v >= INT64_MIN && v <= INT64_MAX))
		return nx_put_decimal64(p, (int64_t)v, scale);
	*p = '-';
	p += v < 0;
	return nx_put_decimal_u128(p, v < 0 ? 0 - (nx_u128)v : (nx_u128)v, scale);
}

/* Shortest text of finite v >= 0 that has at most three digits behind the point and fewer than
 * 10^15 in all, or NULL. Why it is the shortest: a quotient of two integers below 2^53 is rounded
 * correctly, so i/1000 == v says that this decimal reads back as v; and no two decimals of up to
 * 15 digits share a double, so nothing shorter does. */
static inline char *nx_put_few_decimals(char *p, double v)
{
	double t = v * 1000.0;
	if (!(t < 1e15))
		return NULL;
	uint64_t i = (uint64_t)(t + 0.5);
	if ((double)i / 1000.0 != v)
		return NULL;
	p = nx_put_u64(p, i / 1000);
	uint32_t frac = (uint32_t)(i % 1000);
	if (frac == 0)
		return p;
	*p++ = '.';
	nx_put_padded(p, frac, 3);
	return p + (frac % 10 ? 3 : frac % 100 ? 2 : 1);
}

/* The shortest digits that read back, as PostgreSQL lays them out: plain between 1e-4 and 1e15,
 * else d.ddde+XX; integral values without a point. v is finite. */
static inline char *nx_put_f64(char *p, double v)
{
	*p = '-';
	p += signbit(v) != 0;
	v = fabs(v);
	char *end = nx_put_few_decimals(p, v);
	return NX_LIKELY(end != NULL) ? end : nx_put_f64_shortest(p, v);
}

/* float32: plain between 1e-4 and 1e6. */
static inline char *nx_put_f32(char *p, float v)
{
	*p = '-';
	p += signbit(v) != 0;
	v = fabsf(v);
	if (v < 1e6f && v == (float)(uint32_t)v)
		return nx_put_u27(p, (uint32_t)v);
	return nx_put_f32_shortest(p, v);
}

#endif
