/* Order of defence: scan_head refuses bare LF; the character classes below refuse CR, NUL and other
 * controls wherever they stand (so a CR inside a line cannot be taken for a line end by anyone);
 * parse_fields refuses obs-fold, space before the colon, and every doubtful framing header. */
#include "http/parse.h"

enum {
	TCHAR = 1, /* RFC 9110 5.6.2 token */
	FVAL = 2, /* field-vchar, SP, HTAB, obs-text */
	PATH = 4, /* RFC 3986 pchar, '/', '%' */
	QUERY = 8, /* visible ASCII but " < > #: browsers send the rest as is */
	HOST = 16, /* reg-name, IP-literal, port */
};

#define ALL (TCHAR | FVAL | PATH | QUERY | HOST)
#define RUN5(c) [c] = ALL, [c + 1] = ALL, [c + 2] = ALL, [c + 3] = ALL, [c + 4] = ALL
#define RUN26(c) RUN5(c), RUN5(c + 5), RUN5(c + 10), RUN5(c + 15), RUN5(c + 20), [c + 25] = ALL

/* clang-format off */
static const uint8_t class[128] = {
	RUN5('0'), RUN5('5'), RUN26('A'), RUN26('a'),
	['!'] = ALL, ['$'] = ALL, ['%'] = ALL, ['&'] = ALL, ['\''] = ALL, ['*'] = ALL, ['+'] = ALL,
	['-'] = ALL, ['.'] = ALL, ['_'] = ALL, ['~'] = ALL,
	['#'] = TCHAR | FVAL,
	['^'] = TCHAR | FVAL | QUERY, ['`'] = TCHAR | FVAL | QUERY, ['|'] = TCHAR | FVAL | QUERY,
	['('] = FVAL | PATH | QUERY | HOST, [')'] = FVAL | PATH | QUERY | HOST,
	[','] = FVAL | PATH | QUERY | HOST, [':'] = FVAL | PATH | QUERY | HOST,
	[';'] = FVAL | PATH | QUERY | HOST, ['='] = FVAL | PATH | QUERY | HOST,
	['/'] = FVAL | PATH | QUERY, ['@'] = FVAL | PATH | QUERY,
	['['] = FVAL | QUERY | HOST, [']'] = FVAL | QUERY | HOST,
	['?'] = FVAL | QUERY, ['\\'] = FVAL | QUERY, ['{'] = FVAL | QUERY, ['}'] = FVAL | QUERY,
	['"'] = FVAL, ['<'] = FVAL, ['>'] = FVAL, ['\t'] = FVAL, [' '] = FVAL,
};
/* clang-format on */

static bool is(char c, unsigned mask)
{
	unsigned char u = (unsigned char)c;
	return (u < 128 ? class[u] : FVAL) & mask; /* obs-text is fine in values only */
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum nx_code bad(struct nx_error *err, const char *why)
{
	return nx_fail(err, NX_E_BAD_REQUEST, "%s", why);
}

enum nx_http_step nx_http_scan_head(struct nx_http_scan *s, const char *buf, size_t len)
{
	while (s->pos < len) {
		/* Something that cannot begin a request (a TLS hello, say) is not waited for. */
		if (s->pos == s->start && !is(buf[s->pos], TCHAR) && buf[s->pos] != '\r')
			return NX_HTTP_BAD;
		const char *nl = memchr(buf + s->pos, '\n', len - s->pos);
		if (!nl) {
			s->pos = len;
			return NX_HTTP_MORE;
		}
		size_t at = (size_t)(nl - buf);
		if (at == s->line || buf[at - 1] != '\r')
			return NX_HTTP_BAD;
		bool empty = at - s->line == 1;
		s->line = s->pos = at + 1;
		if (!empty) {
			s->lines++;
		} else if (s->lines > 0) {
			s->end = at + 1;
			return NX_HTTP_FOUND;
		} else if (s->start > 0) {
			return NX_HTTP_BAD; /* RFC 9112 2.2 asks for one empty line to be skipped */
		} else {
			s->start = at + 1;
		}
	}
	return NX_HTTP_MORE;
}

static enum nx_http_method method_of(struct nx_str m)
{
	static const struct {
		struct nx_str text;
		enum nx_http_method method;
	} known[] = {
		{ NX_STR_INIT("GET"), NX_HTTP_GET },
		{ NX_STR_INIT("POST"), NX_HTTP_POST },
		{ NX_STR_INIT("HEAD"), NX_HTTP_HEAD },
		{ NX_STR_INIT("PUT"), NX_HTTP_PUT },
		{ NX_STR_INIT("DELETE"), NX_HTTP_DELETE },
		{ NX_STR_INIT("PATCH"), NX_HTTP_PATCH },
		{ NX_STR_INIT("OPTIONS"), NX_HTTP_OPTIONS },
	};
	for (size_t i = 0; i < NX_COUNTOF(known); i++)
		if (nx_str_eq(m, known[i].text))
			return known[i].method;
	return NX_HTTP_OTHER;
}

/* Percent-decodes in place. Refused: a broken escape, controls, an encoded '/' (it would change the
 * number of segments after routing), dot segments however written, bytes that are not UTF-8. */
static const char *decode_path(char *p, size_t *len)
{
	size_t n = *len, out = 0;
	bool high = false;
	for (size_t i = 0; i < n; i++) {
		char c = p[i];
		if (c == '%') {
			int hi = n - i >= 3 ? hex(p[i + 1]) : -1;
			int lo = n - i >= 3 ? hex(p[i + 2]) : -1;
			if (hi < 0 || lo < 0)
				return "the path holds a broken percent escape";
			c = (char)(hi << 4 | lo);
			if ((unsigned char)c < 0x20 || c == 0x7f || c == '/')
				return "the path holds an escape that is not allowed";
			high |= (unsigned char)c >= 0x80;
			i += 2;
		}
		p[out++] = c;
	}
	*len = out;
	for (size_t i = 0; i + 1 < out; i++) {
		if (p[i] != '/' || p[i + 1] != '.')
			continue;
		size_t dots = i + 2 < out && p[i + 2] == '.' ? 2 : 1;
		if (i + 1 + dots == out || p[i + 1 + dots] == '/')
			return "the path holds a dot segment";
	}
	if (high && nx_utf8_check(nx_strn(p, out)) != out)
		return "the path is not UTF-8";
	return NULL;
}

static bool host_ok(struct nx_str host)
{
	for (size_t i = 0; i < host.len; i++)
		if (!is(host.ptr[i], HOST))
			return false;
	return true;
}

/* origin-form, absolute-form (its authority replaces Host, which we do not use) or '*'. */
static const char *parse_target(char *t, size_t len, struct nx_http_head *h)
{
	if (len == 1 && t[0] == '*' && h->req.method == NX_HTTP_OPTIONS) {
		h->server_wide = true;
		h->req.path = NX_STR("/");
		return NULL;
	}
	if (len > 0 && t[0] != '/') {
		struct nx_str all = nx_strn(t, len);
		size_t scheme = len > 7 && nx_str_ieq(nx_strn(t, 7), NX_STR("http://"))	   ? 7
				: len > 8 && nx_str_ieq(nx_strn(t, 8), NX_STR("https://")) ? 8
											   : 0;
		if (!scheme)
			return "the request target is not a path";
		size_t end = scheme;
		while (end < len && t[end] != '/' && t[end] != '?')
			end++;
		if (end == scheme || !host_ok(nx_strn(all.ptr + scheme, end - scheme)))
			return "the request target names no valid host";
		t += end;
		len -= end;
	}
	size_t path = 0;
	while (path < len && is(t[path], PATH))
		path++;
	if (path < len) {
		if (t[path] != '?')
			return "the path holds a character that is not allowed";
		h->req.query = nx_strn(t + path + 1, len - path - 1);
		for (size_t i = 0; i < h->req.query.len; i++)
			if (!is(h->req.query.ptr[i], QUERY))
				return "the query holds a character that is not allowed";
	}
	h->req.path = NX_STR("/");
	if (path == 0) /* absolute-form without a path */
		return NULL;
	const char *why = decode_path(t, &path);
	h->req.path = nx_strn(t, path);
	return why;
}

/* "METHOD SP target SP HTTP/1.x" without its CRLF. */
static enum nx_code parse_line(char *p, size_t len, struct nx_http_head *h, struct nx_error *err)
{
	size_t m = 0;
	while (m < len && is(p[m], TCHAR))
		m++;
	if (m == 0 || m > 32 || m == len || p[m] != ' ')
		return bad(err, "the request line has no method");
	h->req.method_text = nx_strn(p, m);
	h->req.method = method_of(h->req.method_text);
	char *target = p + m + 1;
	char *space = memchr(target, ' ', len - m - 1);
	if (!space || space == target)
		return bad(err, "the request line has no target or no version");
	struct nx_str v = nx_strn(space + 1, len - (size_t)(space + 1 - p));
	if (v.len != 8 || memcmp(v.ptr, "HTTP/", 5) != 0 || v.ptr[5] < '0' || v.ptr[5] > '9' ||
	    v.ptr[6] != '.' || v.ptr[7] < '0' || v.ptr[7] > '9')
		return bad(err, "the request line has no valid version");
	if (v.ptr[5] != '1' || v.ptr[7] > '1')
		return nx_fail(err, NX_E_HTTP_VERSION,
			       "only HTTP/1.1 and HTTP/1.0 are spoken here");
	h->req.http10 = v.ptr[7] == '0';
	const char *why = parse_target(target, (size_t)(space - target), h);
	return why ? bad(err, why) : NX_OK;
}

struct framing { /* what the fields said, judged together at the end */
	unsigned hosts;
	unsigned lengths;
	unsigned codings;
	bool close, keep;
};

static void connection_options(struct nx_str v, struct framing *f)
{
	while (v.len > 0) {
		const char *comma = memchr(v.ptr, ',', v.len);
		size_t n = comma ? (size_t)(comma - v.ptr) : v.len;
		struct nx_str one = nx_str_trim(nx_strn(v.ptr, n));
		f->close |= nx_str_ieq(one, NX_STR("close"));
		f->keep |= nx_str_ieq(one, NX_STR("keep-alive"));
		n += comma != NULL;
		v.ptr += n;
		v.len -= n;
	}
}

/* Digits only: no sign, no list, no overflow. */
static bool parse_length(struct nx_str v, uint64_t *ret)
{
	uint64_t n = 0;
	if (v.len == 0 || v.len > 19)
		return false;
	for (size_t i = 0; i < v.len; i++) {
		if (v.ptr[i] < '0' || v.ptr[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(v.ptr[i] - '0');
	}
	*ret = n;
	return true;
}

/* White space behind the value; legal, but parsers differ about it in the fields that count. */
static bool padded(struct nx_str value)
{
	return value.ptr[value.len] != '\r';
}

static enum nx_code known_field(const struct nx_http_header *f, struct nx_http_head *h,
				struct framing *fr, struct nx_error *err)
{
	switch (f->name.len) {
	case 4:
		if (!nx_str_ieq(f->name, NX_STR("host")))
			break;
		fr->hosts++;
		if (!host_ok(f->value))
			return bad(err, "the Host field is not valid");
		break;
	case 6:
		if (!nx_str_ieq(f->name, NX_STR("expect")) || h->req.http10)
			break;
		if (!nx_str_ieq(f->value, NX_STR("100-continue")))
			return nx_fail(err, NX_E_EXPECTATION_FAILED, "only 100-continue is known");
		h->expect = true;
		break;
	case 10:
		if (nx_str_ieq(f->name, NX_STR("connection")))
			connection_options(f->value, fr);
		break;
	case 14:
		if (!nx_str_ieq(f->name, NX_STR("content-length")))
			break;
		fr->lengths++;
		if (!parse_length(f->value, &h->length) || padded(f->value))
			return bad(err, "the Content-Length is not a number");
		h->has_length = true;
		break;
	case 17:
		if (!nx_str_ieq(f->name, NX_STR("transfer-encoding")))
			break;
		fr->codings++;
		if (!nx_str_ieq(f->value, NX_STR("chunked")) || padded(f->value))
			return bad(err, "the only transfer coding known here is chunked");
		h->chunked = true;
		break;
	}
	return NX_OK;
}

static enum nx_code check_framing(struct nx_http_head *h, const struct framing *f,
				  struct nx_error *err)
{
	if (f->hosts > 1 || (f->hosts == 0 && !h->req.http10))
		return bad(err,
			   f->hosts ? "more than one Host field" : "the Host field is missing");
	if (f->lengths > 1 || f->codings > 1)
		return bad(err, "the message length is given twice");
	if (f->lengths && f->codings)
		return bad(err, "both Content-Length and Transfer-Encoding");
	if (f->codings && h->req.http10)
		return bad(err, "HTTP/1.0 has no transfer codings");
	h->keep_alive = !f->close && (!h->req.http10 || f->keep);
	return NX_OK;
}

/* One field line at *at; moves *at behind its CRLF. */
static enum nx_code parse_field(const char *buf, size_t *at, size_t end, struct nx_http_header *ret,
				struct nx_error *err)
{
	size_t i = *at;
	while (i < end && is(buf[i], TCHAR))
		i++;
	if (i == *at || i == end || buf[i] != ':')
		return bad(err, buf[*at] == ' ' || buf[*at] == '\t' ? "a field line is folded"
								    : "a field name is not valid");
	ret->name = nx_strn(buf + *at, i - *at);
	i++;
	while (i < end && (buf[i] == ' ' || buf[i] == '\t'))
		i++;
	size_t from = i;
	while (i < end && is(buf[i], FVAL))
		i++;
	if (i + 1 >= end || buf[i] != '\r' || buf[i + 1] != '\n')
		return bad(err, "a field value holds a character that is not allowed");
	*at = i + 2;
	while (i > from && (buf[i - 1] == ' ' || buf[i - 1] == '\t'))
		i--;
	ret->value = nx_strn(buf + from, i - from);
	return NX_OK;
}

enum nx_code nx_http_parse_head(char *buf, const struct nx_http_scan *s, uint32_t max_headers,
				struct nx_arena *a, struct nx_http_head *ret, struct nx_error *err)
{
	struct nx_http_head h = { 0 };
	struct framing f = { 0 };
	char *nl = memchr(buf + s->start, '\n', s->end - s->start);
	if (!nl || s->lines == 0)
		return nx_fail(err, NX_E_INTERNAL, "parse without a scanned head");
	size_t at = (size_t)(nl - buf) + 1, last = s->end - 2; /* the empty line is not a field */
	enum nx_code code = parse_line(buf + s->start, at - s->start - 2, &h, err);
	if (code)
		return code;
	uint32_t n = s->lines - 1;
	if (n > max_headers)
		return nx_fail(err, NX_E_HEAD_TOO_LARGE, "more than %u fields", max_headers);
	struct nx_http_header *fields = n ? nx_arena_array(a, n, sizeof(*fields)) : NULL;
	if (n && !fields)
		return nx_fail(err, NX_E_MEMORY, "no memory for the fields");
	uint32_t count = 0;
	while (at < last) {
		if (count == n) /* cannot be: every field ends with the CRLF that was counted */
			return nx_fail(err, NX_E_INTERNAL, "more fields than lines");
		code = parse_field(buf, &at, s->end, &fields[count], err);
		if (!code)
			code = known_field(&fields[count], &h, &f, err);
		if (code)
			return code;
		count++;
	}
	code = check_framing(&h, &f, err);
	if (code)
		return code;
	h.req.headers = fields;
	h.req.nheaders = count;
	*ret = h;
	return NX_OK;
}

enum { /* of the chunked coding */
       SIZE,
       EXT,
       SIZE_LF,
       DATA,
       DATA_CR,
       DATA_LF,
       FIELD,
       NAME,
       VALUE,
       VALUE_LF,
       LAST_LF,
       END,
};

/* Extensions and trailers mean nothing here; a kilobyte of them is generous. */
#define MAX_OVERHEAD 1024u

bool nx_http_unchunked(const struct nx_http_chunks *c)
{
	return c->state == END;
}

static const char *chunk_size(struct nx_http_chunks *c, char b)
{
	int d = hex(b);
	if (d >= 0) {
		if (c->digits == 16 || c->left >> 56)
			return "a chunk size is too large";
		c->digits++;
		c->left = c->left << 4 | (uint64_t)d;
		return NULL;
	}
	if (c->digits == 0 || (b != '\r' && b != ';'))
		return "a chunk size is not a number";
	c->state = b == ';' ? EXT : SIZE_LF;
	c->ext = 0;
	return NULL;
}

/* chunk-ext = *( ";" name ) [ "=" token ]: what every parser agrees about. Nobody sends more: the
 * optional spaces, quoted strings and lists of values are where request smuggling found its holes. */
static const char *chunk_ext(struct nx_http_chunks *c, char b)
{
	enum { BEGIN, NAME_PART, EQUALS, TOKEN };
	if (is(b, TCHAR))
		c->ext = c->ext == EQUALS || c->ext == TOKEN ? TOKEN : NAME_PART;
	else if (b == ';' && c->ext == NAME_PART)
		c->ext = BEGIN;
	else if (b == '=' && c->ext == NAME_PART)
		c->ext = EQUALS;
	else if (b == '\r' && (c->ext == NAME_PART || c->ext == TOKEN))
		c->state = SIZE_LF;
	else
		return "a chunk extension is not valid";
	return NULL;
}

/* Trailers are dropped, but not those that would be framing or routing in someone's eyes. */
static const char *trailer_name(struct nx_http_chunks *c, char b)
{
	if (b == ':') {
		struct nx_str name = nx_strn(c->name, c->name_len);
		c->state = VALUE;
		return nx_str_is(name, "content-length") || nx_str_is(name, "transfer-encoding") ||
				       nx_str_is(name, "host") || nx_str_is(name, "connection")
			       ? "a trailer field is not allowed"
			       : NULL;
	}
	if (!is(b, TCHAR))
		return "a trailer field is not valid";
	if (c->name_len < sizeof(c->name))
		c->name[c->name_len++] = b >= 'A' && b <= 'Z' ? (char)(b | 0x20) : b;
	return NULL;
}

/* One byte outside of chunk data. */
static const char *chunk_byte(struct nx_http_chunks *c, char b)
{
	if ((c->state == EXT || c->state >= NAME) && ++c->overhead > MAX_OVERHEAD)
		return "too many chunk extensions or trailers";
	switch (c->state) {
	case SIZE:
		return chunk_size(c, b);
	case EXT:
		return chunk_ext(c, b);
	case SIZE_LF:
		c->state = c->left ? DATA : FIELD;
		return b == '\n' ? NULL : "a chunk size line ends badly";
	case DATA_CR:
		c->state = DATA_LF;
		return b == '\r' ? NULL : "a chunk ends badly";
	case DATA_LF:
		c->state = SIZE;
		c->digits = 0;
		return b == '\n' ? NULL : "a chunk ends badly";
	case FIELD:
		c->name_len = 0;
		if (b == '\r') {
			c->state = LAST_LF;
			return NULL;
		}
		c->state = NAME;
		return b == ':' ? "a trailer field is not valid" : trailer_name(c, b);
	case NAME:
		return trailer_name(c, b);
	case VALUE:
		if (b == '\r')
			c->state = VALUE_LF;
		else if (!is(b, FVAL))
			return "a trailer field is not valid";
		return NULL;
	case VALUE_LF:
		c->state = FIELD;
		return b == '\n' ? NULL : "a trailer field ends badly";
	case LAST_LF:
		c->state = END;
		return b == '\n' ? NULL : "the last chunk ends badly";
	}
	return "bytes after the last chunk";
}

enum nx_code nx_http_unchunk(struct nx_http_chunks *c, const char *in, size_t len, size_t *used,
			     struct nx_buf *out, struct nx_error *err)
{
	size_t i = 0;
	while (i < len && c->state != END) {
		if (c->state != DATA) {
			const char *why = chunk_byte(c, in[i++]);
			if (why)
				return bad(err, why);
			if (c->state == DATA && c->left > out->max - out->len)
				return nx_fail(err, NX_E_BODY_TOO_LARGE,
					       "the body is over %zu bytes", out->max);
			continue;
		}
		size_t n = len - i < c->left ? len - i : (size_t)c->left;
		nx_buf_put(out, in + i, n);
		if (out->failed)
			return nx_fail(err, NX_E_MEMORY, "no memory for the body");
		i += n;
		c->left -= n;
		if (c->left == 0)
			c->state = DATA_CR;
	}
	*used = i;
	return NX_OK;
}
