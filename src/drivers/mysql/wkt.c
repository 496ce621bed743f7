/* Geometry as text: well-known binary to well-known text, every digit that matters.
 *
 * A value is 4 bytes of SRID (little-endian) and WKB with two dimensions. Coordinates are written
 * in stored order, with the fewest digits that read back to the same double. An SRID other than 0
 * goes in front as in «SRID=4326;POINT(1 2)», so that nothing is lost. */
#include "mysql_int.h"

#include <math.h>
#include <stdio.h>

#include "nexus/buf.h"

enum { MAX_DEPTH = 32 };

enum shape {
	POINT = 1,
	LINESTRING,
	POLYGON,
	MULTIPOINT,
	MULTILINESTRING,
	MULTIPOLYGON,
	COLLECTION
};

struct reader {
	const unsigned char *p, *end;
	bool big; /* byte order of the geometry being read */
	struct nx_buf *out;
};

static size_t left(const struct reader *r)
{
	return (size_t)(r->end - r->p);
}

static bool u32(struct reader *r, uint32_t *ret)
{
	if (left(r) < 4)
		return false;
	const unsigned char *p = r->p;
	*ret = r->big ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
		      : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
	r->p += 4;
	return true;
}

/* A count of things of at least `size` bytes each, which must all be there. */
static bool count(struct reader *r, size_t size, uint32_t *ret)
{
	return u32(r, ret) && *ret <= left(r) / size;
}

static bool coordinate(struct reader *r)
{
	unsigned char b[8];
	for (int i = 0; i < 8; i++)
		b[i] = r->p[r->big ? 7 - i : i];
	r->p += 8;
	double d;
	memcpy(&d, b, 8);
	if (!isfinite(d))
		return false;
	char text[40];
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, d);
		if (strtod(text, NULL) == d)
			break;
	}
	nx_buf_puts(r->out, text);
	return true;
}

static bool point(struct reader *r)
{
	if (left(r) < 16 || !coordinate(r))
		return false;
	nx_buf_putc(r->out, ' ');
	return coordinate(r);
}

static bool points(struct reader *r)
{
	uint32_t n;
	if (!count(r, 16, &n))
		return false;
	nx_buf_putc(r->out, '(');
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			nx_buf_putc(r->out, ',');
		if (!point(r))
			return false;
	}
	nx_buf_putc(r->out, ')');
	return n > 0;
}

static bool rings(struct reader *r)
{
	uint32_t n;
	if (!count(r, 4, &n))
		return false;
	nx_buf_putc(r->out, '(');
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			nx_buf_putc(r->out, ',');
		if (!points(r))
			return false;
	}
	nx_buf_putc(r->out, ')');
	return n > 0;
}

static bool geometry(struct reader *r, uint32_t want, bool named, int depth);

/* Members with headers of their own; `want` 0: any kind, named. */
static bool members(struct reader *r, uint32_t want, int depth)
{
	uint32_t n;
	if (!count(r, 9, &n))
		return false;
	if (n == 0) {
		nx_buf_puts(r->out, " EMPTY");
		return true;
	}
	nx_buf_putc(r->out, '(');
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			nx_buf_putc(r->out, ',');
		bool big = r->big;
		if (!geometry(r, want, want == 0, depth + 1))
			return false;
		r->big = big;
	}
	nx_buf_putc(r->out, ')');
	return true;
}

static bool geometry(struct reader *r, uint32_t want, bool named, int depth)
{
	static const char *const names[] = {
		"",	      "POINT",		 "LINESTRING",	 "POLYGON",
		"MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION"
	};
	if (depth > MAX_DEPTH || left(r) < 5 || r->p[0] > 1)
		return false;
	r->big = *r->p++ == 0;
	uint32_t kind;
	if (!u32(r, &kind) || kind < POINT || kind > COLLECTION || (want && kind != want))
		return false;
	if (named)
		nx_buf_puts(r->out, names[kind]);
	switch ((enum shape)kind) {
	case POINT:
		nx_buf_putc(r->out, '(');
		if (!point(r))
			return false;
		nx_buf_putc(r->out, ')');
		return true;
	case LINESTRING:
		return points(r);
	case POLYGON:
		return rings(r);
	case MULTIPOINT:
		return members(r, POINT, depth);
	case MULTILINESTRING:
		return members(r, LINESTRING, depth);
	case MULTIPOLYGON:
		return members(r, POLYGON, depth);
	case COLLECTION:
		return members(r, 0, depth);
	}
	return false;
}

bool my_wkt(const unsigned char *p, size_t len, struct nx_buf *ret)
{
	struct reader r = { p, p + len, false, ret };
	uint32_t srid;
	if (!u32(&r, &srid))
		return false;
	if (srid != 0)
		nx_buf_printf(ret, "SRID=%u;", srid);
	return geometry(&r, 0, true, 0) && r.p == r.end && !ret->failed;
}
