/* PostgreSQL's text output in the canonical forms of batch.h. Pure functions, fuzzed.
 *
 * The session fixes ISO dates, UTC and ISO 8601 intervals; anything else is refused here rather
 * than passed on, so a function that changes DateStyle in mid-query gets an error, not a wrong date. */
#include "pg_int.h"

enum { MAX_DEPTH = 32, MAX_DIMENSIONS = 6 };

static bool digit(char ch)
{
	return ch >= '0' && ch <= '9';
}

static bool is_special(const char *s, size_t len)
{
	return (len == 8 && memcmp(s, "infinity", 8) == 0) ||
	       (len == 9 && memcmp(s, "-infinity", 9) == 0);
}

static bool two(const char *s, const char *end)
{
	return end - s >= 2 && digit(s[0]) && digit(s[1]);
}

/* "YYYY-MM-DD" at s, years of any length; ret_year as an absolute number. */
static const char *date_end(const char *s, const char *end, uint32_t *ret_year)
{
	uint32_t y = 0;
	const char *p = s;
	for (; p < end && digit(*p) && p - s < 8; p++)
		y = y * 10 + (uint32_t)(*p - '0');
	if (p - s < 4 || end - p < 6 || p[0] != '-' || !two(p + 1, end) || p[3] != '-' ||
	    !two(p + 4, end))
		return NULL;
	*ret_year = y;
	return p + 6;
}

/* Astronomical year, signed beyond four digits: 1 BC is 0000, 44 BC is -0043. */
static char *put_year(char *out, uint32_t year, bool bc)
{
	bool negative = bc && year > 1;
	uint32_t y = bc ? year - 1 : year;
	char digits[10];
	size_t n = 0;
	do {
		digits[n++] = (char)('0' + y % 10);
		y /= 10;
	} while (y > 0);
	while (n < 4)
		digits[n++] = '0';
	if (negative)
		*out++ = '-';
	else if (n > 4)
		*out++ = '+';
	while (n > 0)
		*out++ = digits[--n];
	return out;
}

static bool strip_bc(const char *s, size_t *len)
{
	if (*len < 4 || memcmp(s + *len - 3, " BC", 3) != 0)
		return false;
	*len -= 3;
	return true;
}

/* The date part rewritten; *p is moved behind it. NULL: not a date. */
static char *date_part(const char **p, const char *end, bool bc, char *out)
{
	uint32_t year;
	const char *after = date_end(*p, end, &year);
	if (!after || (bc && year == 0))
		return NULL;
	char *o = put_year(out, year, bc);
	memcpy(o, after - 6, 6);
	*p = after;
	return o + 6;
}

size_t pg_date_text(const char *s, size_t len, char *out)
{
	if (is_special(s, len)) {
		memcpy(out, s, len);
		return len;
	}
	bool bc = strip_bc(s, &len);
	const char *p = s;
	char *o = date_part(&p, s + len, bc, out);
	return o && p == s + len ? (size_t)(o - out) : 0;
}

/* HH:MM:SS[.f{1,9}] */
static const char *time_end(const char *s, const char *end)
{
	if (end - s < 8 || !two(s, end) || s[2] != ':' || !two(s + 3, end) || s[5] != ':' ||
	    !two(s + 6, end))
		return NULL;
	const char *p = s + 8;
	if (p < end && *p == '.') {
		const char *f = ++p;
		while (p < end && digit(*p))
			p++;
		if (p == f || p - f > 9)
			return NULL;
	}
	return p;
}

/* "+00" becomes Z, "-07" -07:00; minutes and seconds are kept. */
static char *put_zone(const char *s, const char *end, char *out)
{
	size_t n = (size_t)(end - s);
	bool ok = (n == 3 || n == 6 || n == 9) && (s[0] == '+' || s[0] == '-') && two(s + 1, end) &&
		  (n < 6 || (s[3] == ':' && two(s + 4, end))) &&
		  (n < 9 || (s[6] == ':' && two(s + 7, end)));
	if (!ok)
		return NULL;
	if (n == 3 && s[1] == '0' && s[2] == '0') {
		*out = 'Z';
		return out + 1;
	}
	memcpy(out, s, n);
	if (n == 3) {
		memcpy(out + 3, ":00", 3);
		n = 6;
	}
	return out + n;
}

size_t pg_timestamp_text(const char *s, size_t len, bool zone, char *out)
{
	if (is_special(s, len)) {
		memcpy(out, s, len);
		return len;
	}
	bool bc = strip_bc(s, &len);
	const char *p = s, *end = s + len;
	char *o = date_part(&p, end, bc, out);
	if (!o || p == end || *p != ' ')
		return 0;
	p++;
	const char *t = time_end(p, end);
	if (!t)
		return 0;
	*o++ = 'T';
	memcpy(o, p, (size_t)(t - p));
	o += t - p;
	if (zone)
		o = put_zone(t, end, o);
	else if (t != end)
		return 0;
	return o ? (size_t)(o - out) : 0;
}

size_t pg_timetz_text(const char *s, size_t len, char *out)
{
	const char *end = s + len, *t = time_end(s, end);
	if (!t)
		return 0;
	memcpy(out, s, (size_t)(t - s));
	char *o = put_zone(t, end, out + (t - s));
	return o ? (size_t)(o - out) : 0;
}

/* json keeps the white space it was given. A line end can only stand between tokens, where a space
 * means the same and keeps a row on its line. */
size_t pg_json_line(const char *s, size_t len, char *out)
{
	memcpy(out, s, len);
	for (size_t i = 0; i < len; i++)
		if (out[i] == '\n' || out[i] == '\r')
			out[i] = ' ';
	return len;
}

static int hex(char ch)
{
	return digit(ch) ? ch - '0' : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* "\x0aff" as a base64 JSON string. */
static bool put_base64(struct nx_buf *b, struct nx_str text)
{
	static const char abc[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	if (text.len < 2 || text.len % 2 || text.ptr[0] != '\\' || text.ptr[1] != 'x')
		return false;
	const char *p = text.ptr + 2, *end = text.ptr + text.len;
	nx_buf_putc(b, '"');
	while (p < end) {
		uint32_t v = 0;
		int n = 0;
		for (; n < 3 && p < end; n++, p += 2) {
			int hi = hex(p[0]), lo = hex(p[1]);
			if (hi < 0 || lo < 0)
				return false;
			v |= (uint32_t)(hi << 4 | lo) << (16 - 8 * n);
		}
		char quad[4] = { abc[v >> 18], abc[v >> 12 & 63], n > 1 ? abc[v >> 6 & 63] : '=',
				 n > 2 ? abc[v & 63] : '=' };
		nx_buf_put(b, quad, 4);
	}
	nx_buf_putc(b, '"');
	return true;
}

static bool put_converted(struct nx_buf *b, const struct pg_type *t, struct nx_str s)
{
	char out[80];
	size_t n = 0;
	if (s.len > sizeof(out) - 16)
		return false;
	if (t->conv == PG_CV_DATE)
		n = pg_date_text(s.ptr, s.len, out);
	else if (t->conv == PG_CV_TIMETZ)
		n = pg_timetz_text(s.ptr, s.len, out);
	else
		n = pg_timestamp_text(s.ptr, s.len, t->conv == PG_CV_TIMESTAMPTZ, out);
	nx_buf_put_json(b, nx_strn(out, n));
	return n > 0;
}

/* NaN and the infinities are strings; the rest are JSON numbers as they come. */
static bool put_number(struct nx_buf *b, struct nx_str s)
{
	bool plain = s.len > 0 && digit(s.ptr[s.len - 1]) && (digit(s.ptr[0]) || s.ptr[0] == '-');
	for (size_t i = 0; i < s.len && plain; i++)
		plain = digit(s.ptr[i]) || strchr("+-.e", s.ptr[i]);
	if (plain)
		nx_buf_put_str(b, s);
	else
		nx_buf_put_json(b, s);
	return true;
}

/* One element or field: *p is behind its last character, `stop` are the characters that end it
 * unquoted. Quoted text is unescaped into tmp; `*ret_quoted` tells "" from nothing. */
static bool item(const char **p, const char *end, const char *stop, struct nx_buf *tmp,
		 struct nx_str *ret, bool *ret_quoted)
{
	const char *s = *p;
	*ret_quoted = false;
	if (s < end && *s != '"' && *s != '\\') {
		while (s < end && !strchr(stop, *s) && *s != '"' && *s != '\\')
			s++;
		if (s < end && strchr(stop, *s)) {
			*ret = nx_strn(*p, (size_t)(s - *p));
			*p = s;
			return true;
		}
		s = *p;
	}
	nx_buf_clear(tmp);
	bool in = false;
	for (; s < end && (in || !strchr(stop, *s)); s++) {
		if (*s == '\\') {
			if (++s == end)
				return false;
			nx_buf_putc(tmp, *s);
		} else if (*s == '"' && in && s + 1 < end && s[1] == '"') {
			nx_buf_putc(tmp, *s++);
		} else if (*s == '"') {
			in = !in;
			*ret_quoted = true;
		} else {
			nx_buf_putc(tmp, *s);
		}
	}
	if (in || s == end || tmp->failed)
		return false;
	*ret = nx_buf_str(tmp);
	*p = s;
	return true;
}

/* "[2:3][0:1]=" says where indices start; JSON has no place for it. */
static const char *skip_bounds(const char *p, const char *end)
{
	if (p == end || *p != '[')
		return p;
	const char *eq = memchr(p, '=', (size_t)(end - p));
	return eq ? eq + 1 : end;
}

static bool array_json(struct nx_buf *b, const struct pg_type *t, struct nx_str text, int depth)
{
	const char *end = text.ptr + text.len, *p = skip_bounds(text.ptr, end);
	const char stop[] = { t->delim, '}', '\0' };
	struct nx_buf tmp;
	nx_buf_init(&tmp, PG_MSG_MAX);
	enum { FIRST, AFTER_COMMA, AFTER_VALUE } at = FIRST;
	int open = 0;
	while (p < end && !b->failed) {
		struct nx_str s;
		bool quoted;
		if (*p == '{' && at != AFTER_VALUE && open < MAX_DIMENSIONS) {
			nx_buf_putc(b, '[');
			open++;
			p++;
			at = FIRST;
		} else if (*p == '}' && at != AFTER_COMMA && open > 0) {
			nx_buf_putc(b, ']');
			p++;
			at = AFTER_VALUE;
			if (--open == 0)
				break;
		} else if (*p == t->delim && at == AFTER_VALUE && open > 0) {
			nx_buf_putc(b, ',');
			p++;
			at = AFTER_COMMA;
		} else {
			if (at == AFTER_VALUE || open == 0 || *p == '{' ||
			    !item(&p, end, stop, &tmp, &s, &quoted) || (s.len == 0 && !quoted))
				break;
			if (!quoted && nx_str_ieq(s, NX_STR("NULL")))
				nx_buf_puts(b, "null");
			else if (!pg_value_json(b, t->elem, s, depth + 1))
				break;
			at = AFTER_VALUE;
		}
	}
	bool ok = open == 0 && at == AFTER_VALUE && p == end;
	nx_buf_done(&tmp);
	return ok;
}

static bool record_json(struct nx_buf *b, const struct pg_type *t, struct nx_str text, int depth)
{
	const char *p = text.ptr, *end = p + text.len;
	if (text.len < 2 || *p++ != '(')
		return false;
	struct nx_buf tmp;
	nx_buf_init(&tmp, PG_MSG_MAX);
	nx_buf_putc(b, '{');
	bool ok = true;
	for (uint32_t i = 0; ok && i < t->nattrs; i++) {
		struct nx_str s;
		bool quoted;
		if (i > 0)
			nx_buf_putc(b, ',');
		nx_buf_put_json(b, t->attrs[i].name);
		nx_buf_putc(b, ':');
		ok = item(&p, end, ",)", &tmp, &s, &quoted);
		if (ok && s.len == 0 && !quoted)
			nx_buf_puts(b, "null");
		else if (ok)
			ok = pg_value_json(b, t->attrs[i].type, s, depth + 1);
		ok = ok && p < end && *p++ == (i + 1 < t->nattrs ? ',' : ')');
	}
	ok = ok && (t->nattrs > 0 ? p == end : text.len == 2);
	nx_buf_putc(b, '}');
	nx_buf_done(&tmp);
	return ok;
}

static bool vector_json(struct nx_buf *b, struct nx_str s)
{
	nx_buf_putc(b, '[');
	for (size_t i = 0; i < s.len; i++) {
		if (!digit(s.ptr[i]) && s.ptr[i] != ' ' && s.ptr[i] != '-')
			return false;
		nx_buf_putc(b, s.ptr[i] == ' ' ? ',' : s.ptr[i]);
	}
	nx_buf_putc(b, ']');
	return true;
}

bool pg_value_json(struct nx_buf *b, const struct pg_type *t, struct nx_str s, int depth)
{
	if (depth > MAX_DEPTH)
		return false;
	switch (t->conv) {
	case PG_CV_ARRAY:
		return array_json(b, t, s, depth);
	case PG_CV_RECORD:
		return record_json(b, t, s, depth);
	case PG_CV_VECTOR:
		return vector_json(b, s);
	case PG_CV_BYTES:
		return put_base64(b, s);
	case PG_CV_BOOL:
		nx_buf_puts(b, nx_str_is(s, "t") ? "true" : "false");
		return true;
	case PG_CV_DATE:
	case PG_CV_TIMETZ:
	case PG_CV_TIMESTAMP:
	case PG_CV_TIMESTAMPTZ:
		return put_converted(b, t, s);
	case PG_CV_JSON: {
		char *room = nx_buf_reserve(b, s.len);
		if (room)
			b->len += pg_json_line(s.ptr, s.len, room);
		return true;
	}
	case PG_CV_COPY:
		break;
	}
	if (t->type >= NX_T_INT8 && t->type <= NX_T_DECIMAL)
		return put_number(b, s);
	nx_buf_put_json(b, s);
	return true;
}
