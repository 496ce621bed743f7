/* Values of the binary protocol into a builder.
 *
 * The bytes come from the server as they are: every length is checked against the end of what was
 * received. libmariadb does not say where a row ends, only where its buffer does; a row that lies
 * about a length can therefore yield stale bytes of that buffer, never memory outside it. */
#include "mysql_int.h"

#include "nexus/buf.h"

/* Longest WKT made of one value; a larger geometry is given as hex, whose size is known. */
#define WKT_MAX (64u << 20)

static uint64_t get(const unsigned char *p, unsigned n)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

/* A length-encoded slice at *p; advances *p behind it. */
static bool take(const unsigned char **p, const unsigned char *end, struct nx_str *ret)
{
	const unsigned char *s = *p;
	if (s >= end)
		return false;
	uint64_t len = *s++;
	if (len >= 251) {
		if (len == 251 || len == 255)
			return false;
		unsigned n = len == 252 ? 2 : len == 253 ? 3 : 8;
		if ((size_t)(end - s) < n)
			return false;
		len = get(s, n);
		s += n;
	}
	if (len > (size_t)(end - s))
		return false;
	*ret = nx_strn((const char *)s, (size_t)len);
	*p = s + len;
	return true;
}

static char *put2(char *o, unsigned v)
{
	o[0] = (char)('0' + v / 10);
	o[1] = (char)('0' + v % 10);
	return o + 2;
}

/* Fraction of a second without trailing zeros; nothing for 0. */
static char *put_micros(char *o, uint32_t micros)
{
	if (micros == 0)
		return o;
	char digits[6];
	for (int i = 5; i >= 0; i--, micros /= 10)
		digits[i] = (char)('0' + micros % 10);
	int n = 6;
	while (digits[n - 1] == '0')
		n--;
	*o++ = '.';
	memcpy(o, digits, (size_t)n);
	return o + n;
}

static char *put_clock(char *o, const unsigned char *hms)
{
	o = put2(o, hms[0]);
	*o++ = ':';
	o = put2(o, hms[1]);
	*o++ = ':';
	return put2(o, hms[2]);
}

/* 0, 4 (date), 7 (and clock) or 11 bytes (and microseconds); what is absent is zero. Zero and
 * partial dates are written as stored. */
static bool moment(struct nx_builder *b, uint32_t col, enum my_wire wire, struct nx_str v)
{
	unsigned char f[11] = { 0 };
	if (v.len != 0 && v.len != 4 && v.len != 7 && v.len != 11)
		return false;
	if (v.len > 0)
		memcpy(f, v.ptr, v.len);
	unsigned year = (unsigned)get(f, 2);
	uint32_t micros = (uint32_t)get(f + 7, 4);
	if (year > 9999 || micros > 999999)
		return false;
	for (int i = 2; i < 7; i++)
		if (f[i] > 99)
			return false;
	char text[40], *o = text;
	o = put2(o, year / 100);
	o = put2(o, year % 100);
	*o++ = '-';
	o = put2(o, f[2]);
	*o++ = '-';
	o = put2(o, f[3]);
	if (wire != MY_DATE) {
		*o++ = 'T';
		o = put_clock(o, f + 4);
		o = put_micros(o, micros);
		if (wire == MY_TIMESTAMPTZ)
			*o++ = 'Z';
	}
	nx_builder_text(b, col, text, (size_t)(o - text));
	return true;
}

/* 0, 8 (sign, days, clock) or 12 bytes (and microseconds): up to 838:59:59 either way. */
static bool duration(struct nx_builder *b, uint32_t col, struct nx_str v)
{
	unsigned char f[12] = { 0 };
	if (v.len != 0 && v.len != 8 && v.len != 12)
		return false;
	if (v.len > 0)
		memcpy(f, v.ptr, v.len);
	uint64_t hours = get(f + 1, 4) * 24 + f[5];
	uint32_t micros = (uint32_t)get(f + 8, 4);
	if (hours > 9999 || f[6] > 99 || f[7] > 99 || micros > 999999)
		return false;
	char text[40], *o = text;
	if (f[0])
		*o++ = '-';
	if (hours >= 1000)
		*o++ = (char)('0' + hours / 1000);
	if (hours >= 100)
		*o++ = (char)('0' + hours / 100 % 10);
	o = put2(o, (unsigned)(hours % 100));
	*o++ = ':';
	o = put2(o, f[6]);
	*o++ = ':';
	o = put2(o, f[7]);
	o = put_micros(o, micros);
	nx_builder_text(b, col, text, (size_t)(o - text));
	return true;
}

/* Plain digits; ZEROFILL columns come with leading zeros, which are not part of the value. */
static void decimal(struct nx_builder *b, uint32_t col, struct nx_str v)
{
	while (v.len > 1 && v.ptr[0] == '0' && v.ptr[1] >= '0' && v.ptr[1] <= '9') {
		v.ptr++;
		v.len--;
	}
	nx_builder_text(b, col, v.ptr, v.len);
}

static bool bits(struct nx_builder *b, uint32_t col, struct nx_str v)
{
	if (v.len > 8)
		return false;
	uint64_t n = 0;
	for (size_t i = 0; i < v.len; i++)
		n = n << 8 | (unsigned char)v.ptr[i];
	nx_builder_u64(b, col, n);
	return true;
}

static void geometry(struct nx_builder *b, uint32_t col, struct nx_str v)
{
	struct nx_buf text;
	nx_buf_init(&text, WKT_MAX);
	if (my_wkt((const unsigned char *)v.ptr, v.len, &text)) {
		nx_builder_text(b, col, text.data, text.len);
	} else {
		static const char hex[] = "0123456789abcdef";
		char *o = nx_builder_room(b, col, 2 * v.len);
		for (size_t i = 0; o && i < v.len; i++) {
			*o++ = hex[(unsigned char)v.ptr[i] >> 4];
			*o++ = hex[v.ptr[i] & 15];
		}
	}
	nx_buf_done(&text);
}

static bool counted(struct nx_builder *b, uint32_t col, enum my_wire wire, struct nx_str v)
{
	if (wire == MY_BYTES)
		nx_builder_text(b, col, v.ptr, v.len);
	else if (wire == MY_DECIMAL)
		decimal(b, col, v);
	else if (wire == MY_BIT)
		return bits(b, col, v);
	else if (wire == MY_TIME)
		return duration(b, col, v);
	else if (wire == MY_GEOMETRY)
		geometry(b, col, v);
	else
		return moment(b, col, wire, v);
	return true;
}

static void number(struct nx_builder *b, uint32_t col, enum my_wire wire, const unsigned char *p)
{
	float f;
	double d;
	switch ((unsigned)wire) {
	case MY_I8:
		nx_builder_i64(b, col, (int8_t)p[0]);
		break;
	case MY_I16:
		nx_builder_i64(b, col, (int16_t)get(p, 2));
		break;
	case MY_I32:
		nx_builder_i64(b, col, (int32_t)get(p, 4));
		break;
	case MY_I64:
		nx_builder_i64(b, col, (int64_t)get(p, 8));
		break;
	case MY_U8:
		nx_builder_i64(b, col, p[0]);
		break;
	case MY_U16:
		nx_builder_i64(b, col, (int64_t)get(p, 2));
		break;
	case MY_U32:
		nx_builder_i64(b, col, (int64_t)get(p, 4));
		break;
	case MY_U64:
		nx_builder_u64(b, col, get(p, 8));
		break;
	case MY_F32:
		memcpy(&f, p, 4); /* little-endian on the wire and here */
		nx_builder_f64(b, col, (double)f);
		break;
	case MY_F64:
		memcpy(&d, p, 8);
		nx_builder_f64(b, col, d);
		break;
	}
}

bool my_decode(struct nx_builder *b, uint32_t col, enum my_wire wire, const unsigned char **p,
	       const unsigned char *end)
{
	static const unsigned char sizes[] = {
		[MY_I8] = 1,  [MY_U8] = 1,  [MY_I16] = 2, [MY_U16] = 2, [MY_I32] = 4,
		[MY_U32] = 4, [MY_I64] = 8, [MY_U64] = 8, [MY_F32] = 4, [MY_F64] = 8,
	};
	if (wire == MY_NULL)
		return true;
	if (wire < NX_COUNTOF(sizes)) {
		if (*p > end || (size_t)(end - *p) < sizes[wire])
			return false;
		number(b, col, wire, *p);
		*p += sizes[wire];
		return true;
	}
	struct nx_str v;
	return *p <= end && take(p, end, &v) && counted(b, col, wire, v);
}
