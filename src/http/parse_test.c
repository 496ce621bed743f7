#include "parse_whole.h"
#include "test.h"

#define H "Host: a\r\n"
#define CHUNKED "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"

/* clang-format off: one case a line */
/* Everything here is a whole message that must be refused with this code. */
static const struct {
	const char *name;
	struct nx_str text;
	enum nx_code code;
} refused[] = {
#define R(name, text, code)                          \
	{                                            \
		name, NX_STR_INIT(text), NX_E_##code \
	}
	/* the probes of other servers' holes */
	R("length and chunked",
	  "POST / HTTP/1.1\r\n" H
	  "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  BAD_REQUEST),
	R("chunked and length",
	  "POST / HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
	  BAD_REQUEST),
	R("two lengths",
	  "POST / HTTP/1.1\r\n" H "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
	  BAD_REQUEST),
	R("same length twice",
	  "POST / HTTP/1.1\r\n" H "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
	  BAD_REQUEST),
	R("length list", "POST / HTTP/1.1\r\n" H "Content-Length: 4, 4\r\n\r\nabcd", BAD_REQUEST),
	R("length +4", "POST / HTTP/1.1\r\n" H "Content-Length: +4\r\n\r\nabcd", BAD_REQUEST),
	R("length -1", "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", BAD_REQUEST),
	R("length overflow", "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n",
	  BAD_REQUEST),
	R("length hex", "POST / HTTP/1.1\r\n" H "Content-Length: 0x4\r\n\r\nabcd", BAD_REQUEST),
	R("length empty", "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", BAD_REQUEST),
	R("space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", BAD_REQUEST),
	R("space before length's colon", "POST / HTTP/1.1\r\n" H "Content-Length : 4\r\n\r\nabcd",
	  BAD_REQUEST),
	R("obs-fold", "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n", BAD_REQUEST),
	R("obs-fold tab", "GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n", BAD_REQUEST),
	R("fold before the first field", "GET / HTTP/1.1\r\n X: a\r\n" H "\r\n", BAD_REQUEST),
	R("bare LF", "GET / HTTP/1.1\nHost: a\n\n", BAD_REQUEST),
	R("bare LF in fields", "GET / HTTP/1.1\r\n" H "X: a\nY: b\r\n\r\n", BAD_REQUEST),
	R("bare LF at the end", "GET / HTTP/1.1\r\n" H "\n", BAD_REQUEST),
	R("bare CR", "GET / HTTP/1.1\r\n" H "X: a\rY: b\r\n\r\n", BAD_REQUEST),
	R("CR hides a field", "GET / HTTP/1.1\r\n" H "X-Abc:\rxTransfer-Encoding: chunked\r\n\r\n",
	  BAD_REQUEST),
	R("CR CR LF", "GET / HTTP/1.1\r\n" H "X: a\r\r\n\r\n", BAD_REQUEST),
	R("CR in the request line", "GET /\r HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("xchunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", BAD_REQUEST),
	R("chunked and a tab",
	  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n", BAD_REQUEST),
	R("gzip, chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n",
	  BAD_REQUEST),
	R("chunked twice",
	  "POST / HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  BAD_REQUEST),
	R("chunked, identity",
	  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n", BAD_REQUEST),
	R("chunked on 1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  BAD_REQUEST),
	R("vertical tab in coding",
	  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \x0b"
	  "chunked\r\n\r\n",
	  BAD_REQUEST),
	R("no Host", "GET / HTTP/1.1\r\n\r\n", BAD_REQUEST),
	R("two Hosts", "GET / HTTP/1.1\r\n" H H "\r\n", BAD_REQUEST),
	R("two Hosts on 1.0", "GET / HTTP/1.0\r\n" H "host: b\r\n\r\n", BAD_REQUEST),
	R("Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD_REQUEST),
	R("Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", BAD_REQUEST),
	R("Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", BAD_REQUEST),
	R("NUL in a value", "GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n", BAD_REQUEST),
	R("NUL in a name", "GET / HTTP/1.1\r\n" H "X\0: a\r\n\r\n", BAD_REQUEST),
	R("DEL in a value", "GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n", BAD_REQUEST),
	R("no colon", "GET / HTTP/1.1\r\n" H "X\r\n\r\n", BAD_REQUEST),
	R("empty name", "GET / HTTP/1.1\r\n" H ": a\r\n\r\n", BAD_REQUEST),
	R("name with high byte", "GET / HTTP/1.1\r\n" H "X\xe4: a\r\n\r\n", BAD_REQUEST),
	/* request line */
	R("two spaces", "GET  / HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("space after version", "GET / HTTP/1.1 \r\n" H "\r\n", BAD_REQUEST),
	R("tab for space", "GET\t/ HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("space first", " GET / HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("0.9", "GET /\r\n\r\n", BAD_REQUEST),
	R("version 2.0", "GET / HTTP/2.0\r\n" H "\r\n", HTTP_VERSION),
	R("version 1.2", "GET / HTTP/1.2\r\n" H "\r\n", HTTP_VERSION),
	R("version 0.9", "GET / HTTP/0.9\r\n" H "\r\n", HTTP_VERSION),
	R("h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP_VERSION),
	R("version 1.10", "GET / HTTP/1.10\r\n" H "\r\n", BAD_REQUEST),
	R("version lower case", "GET / http/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("no method", "/ HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("method with a bracket", "G(T / HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("TLS hello", "\x16\x03\x01\x02\x00\x01", BAD_REQUEST),
	R("authority-form", "CONNECT a:80 HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("asterisk for GET", "GET * HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("relative target", "GET a/b HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("ftp target", "GET ftp://a/b HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("absolute without host", "GET http:///b HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("absolute with user", "GET http://u@a/b HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("fragment", "GET /a#b HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("quote in path", "GET /a\"b HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("high byte in path", "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("%00", "GET /a%00b HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("%0a", "GET /a%0ab HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("%2f", "GET /a%2Fb HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("%", "GET /a% HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("%1", "GET /a%1 HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("%zz", "GET /a%zz HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("%ff is not UTF-8", "GET /%ff HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("dot dot", "GET /a/../b HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("dot dot at the end", "GET /a/.. HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("dot", "GET /./b HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("encoded dot dot", "GET /a/%2e%2E/b HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("half encoded dot dot", "GET /a/.%2e HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
	R("expectation", "POST / HTTP/1.1\r\n" H "Expect: tea\r\n\r\n", EXPECTATION_FAILED),
	/* chunks */
	R("size overflow", CHUNKED "ffffffffffffffff1\r\n", BAD_REQUEST),
	R("size 2^64-1", CHUNKED "ffffffffffffffff\r\n", BAD_REQUEST),
	R("size over the limit", CHUNKED "ffffff\r\n", BODY_TOO_LARGE),
	R("seventeen zeros", CHUNKED "00000000000000001\r\na\r\n0\r\n\r\n", BAD_REQUEST),
	R("size -1", CHUNKED "-1\r\n", BAD_REQUEST),
	R("size +1", CHUNKED "+1\r\na\r\n0\r\n\r\n", BAD_REQUEST),
	R("size 0x1", CHUNKED "0x1\r\na\r\n0\r\n\r\n", BAD_REQUEST),
	R("size empty", CHUNKED "\r\n", BAD_REQUEST),
	R("size with space", CHUNKED "1 \r\na\r\n0\r\n\r\n", BAD_REQUEST),
	R("size bare LF", CHUNKED "1\na\r\n0\r\n\r\n", BAD_REQUEST),
	R("size bare CR", CHUNKED "1\rXa\r\n0\r\n\r\n", BAD_REQUEST),
	R("chunk too long", CHUNKED "1\r\nab\r\n0\r\n\r\n", BAD_REQUEST),
	R("chunk ends in LF", CHUNKED "1\r\na\n0\r\n\r\n", BAD_REQUEST),
	R("extension with LF", CHUNKED "1;a\nb\r\na\r\n0\r\n\r\n", BAD_REQUEST),
	R("extension with NUL", CHUNKED "1;a\0\r\na\r\n0\r\n\r\n", BAD_REQUEST),
	R("empty extension", CHUNKED "1;\r\na\r\n0\r\n\r\n", BAD_REQUEST),
	R("two values in extensions", CHUNKED "1;a=b;c=d\r\na\r\n0\r\n\r\n", BAD_REQUEST),
	R("quoted string in extension", CHUNKED "1;a=\"b\"\r\na\r\n0\r\n\r\n", BAD_REQUEST),
	R("quoted LF in extension", CHUNKED "1;a=\"\n\"\r\na\r\n0\r\n\r\n", BAD_REQUEST),
	R("trailer length", CHUNKED "0\r\nContent-Length: 3\r\n\r\n", BAD_REQUEST),
	R("trailer coding", CHUNKED "0\r\ntransfer-encoding: chunked\r\n\r\n", BAD_REQUEST),
	R("trailer folded", CHUNKED "0\r\nX: a\r\n b\r\n\r\n", BAD_REQUEST),
	R("trailer bare LF", CHUNKED "0\r\nX: a\n\r\n", BAD_REQUEST),
	R("trailer without colon", CHUNKED "0\r\nX\r\n\r\n", BAD_REQUEST),
#undef R
};
/* clang-format on */

static void check_refused(size_t i, size_t step)
{
	struct nx_whole w;
	nx_whole_parse(&w, refused[i].text.ptr, refused[i].text.len, step);
	if (w.code != refused[i].code)
		nx_test_fail(__FILE__, __LINE__, "%s (step %zu): want %s, got %s%s",
			     refused[i].name, step, nx_code_name(refused[i].code),
			     nx_code_name(w.code),
			     w.code	  ? ""
			     : w.complete ? ", complete"
					  : ", waiting");
	nx_whole_done(&w);
}

NX_TEST(odd_messages_are_refused)
{
	for (size_t i = 0; i < NX_COUNTOF(refused); i++) {
		check_refused(i, 0);
		check_refused(i, 1);
		check_refused(i, 7);
	}
}

/* clang-format off */
/* method, path, query, body, keep-alive */
static const struct {
	struct nx_str text;
	const char *method, *path, *query, *body;
	bool keep;
} accepted[] = {
#define A(text, method, path, query, body, keep) { NX_STR_INIT(text), method, path, query, body, keep }
	A("GET / HTTP/1.1\r\n" H "\r\n", "GET", "/", "", "", true),
	A("\r\nGET / HTTP/1.1\r\n" H "\r\n", "GET", "/", "", "", true),
	A("GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET", "/", "", "", true),
	A("GET / HTTP/1.1\r\nhOST:\t [::1]:80 \t\r\n\r\n", "GET", "/", "", "", true),
	A("GET /a//b?c=d&e={1}|%00 HTTP/1.1\r\n" H "\r\n", "GET", "/a//b", "c=d&e={1}|%00", "", true),
	A("GET /a%20b/%C3%A4%25 HTTP/1.1\r\n" H "\r\n", "GET", "/a b/ä%", "", "", true),
	A("GET /.a/..b/c. HTTP/1.1\r\n" H "\r\n", "GET", "/.a/..b/c.", "", "", true),
	A("GET http://x.y:80/z?q HTTP/1.1\r\n" H "\r\n", "GET", "/z", "q", "", true),
	A("GET HTTPS://x HTTP/1.1\r\n" H "\r\n", "GET", "/", "", "", true),
	A("GET http://x?q HTTP/1.1\r\n" H "\r\n", "GET", "/", "q", "", true),
	A("OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS", "/", "", "", true),
	A("PURGE / HTTP/1.1\r\n" H "\r\n", "PURGE", "/", "", "", true),
	A("GET / HTTP/1.0\r\n\r\n", "GET", "/", "", "", false),
	A("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET", "/", "", "", true),
	A("GET / HTTP/1.1\r\n" H "Connection: x, CLOSE ,y\r\n\r\n", "GET", "/", "", "", false),
	A("GET / HTTP/1.1\r\n" H "Connection: keep-alive\r\nConnection: close\r\n\r\n", "GET", "/", "", "", false),
	A("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabcGET", "POST", "/", "", "abc", true),
	A("POST / HTTP/1.1\r\n" H "Content-Length: 0003\r\n\r\nabc", "POST", "/", "", "abc", true),
	A("POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "POST", "/", "", "", true),
	A("POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\na", "POST", "/", "", "a", true),
	A(CHUNKED "0\r\n\r\n", "POST", "/", "", "", true),
	A(CHUNKED "3\r\nabc\r\n02\r\nde\r\n0\r\n\r\nGET", "POST", "/", "", "abcde", true),
	A(CHUNKED "A\r\n0123456789\r\n0;x\r\n\r\n", "POST", "/", "", "0123456789", true),
	A(CHUNKED "1;a;c=b\r\nz\r\n0\r\n\r\n", "POST", "/", "", "z", true),
	A(CHUNKED "1\r\nz\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n", "POST", "/", "", "z", true),
	A("POST / HTTP/1.1\r\n" H "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", "POST", "/", "", "", true),
#undef A
};
/* clang-format on */

NX_TEST(good_messages)
{
	for (size_t i = 0; i < NX_COUNTOF(accepted); i++) {
		for (size_t step = 0; step < 4; step++) {
			struct nx_whole w;
			nx_whole_parse(&w, accepted[i].text.ptr, accepted[i].text.len, step);
			if (w.code || !w.complete)
				nx_test_fail(__FILE__, __LINE__, "case %zu: %s %s", i,
					     nx_code_name(w.code),
					     w.code ? w.err.message : "waits");
			NX_EQ_STR(nx_str(accepted[i].method), w.head.req.method_text);
			NX_EQ_STR(nx_str(accepted[i].path), w.head.req.path);
			NX_EQ_STR(nx_str(accepted[i].query), w.head.req.query);
			NX_EQ_STR(nx_str(accepted[i].body), nx_buf_str(&w.body));
			NX_EQ_I(accepted[i].keep, w.head.keep_alive);
			nx_whole_done(&w);
		}
	}
}

NX_TEST(fields_are_trimmed_slices)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX-One: \t a b \t \r\nTwo:\r\n"
				   "tHREE:\xc3\xa4\r\n\r\n";
	struct nx_whole w;
	nx_whole_parse(&w, text, sizeof(text) - 1, 0);
	NX_EQ_I(NX_OK, w.code);
	NX_EQ_I(4, w.head.req.nheaders);
	NX_EQ_STR(nx_str("X-One"), w.head.req.headers[1].name);
	NX_EQ_STR(nx_str("a b"), w.head.req.headers[1].value);
	NX_EQ_STR(nx_str(""), w.head.req.headers[2].value);
	NX_EQ_STR(nx_str("tHREE"), w.head.req.headers[3].name);
	NX_EQ_STR(nx_str("\xc3\xa4"), w.head.req.headers[3].value);
	nx_whole_done(&w);
}

NX_TEST(limits)
{
	struct nx_buf b;
	struct nx_whole w;
	nx_buf_init(&b, 1 << 20);
	nx_buf_puts(&b, "GET / HTTP/1.1\r\n" H);
	for (int i = 0; i < 64; i++)
		nx_buf_puts(&b, "X: y\r\n");
	nx_buf_puts(&b, "\r\n");
	nx_whole_parse(&w, b.data, b.len, 0);
	NX_EQ_I(NX_E_HEAD_TOO_LARGE, w.code);
	nx_whole_done(&w);

	nx_buf_clear(&b); /* a kilobyte of extensions over many chunks */
	nx_buf_puts(&b, CHUNKED);
	for (int i = 0; i < 300; i++)
		nx_buf_puts(&b, "1;ext\r\na\r\n");
	nx_whole_parse(&w, b.data, b.len, 0);
	NX_EQ_I(NX_E_BAD_REQUEST, w.code);
	nx_whole_done(&w);

	nx_buf_clear(&b); /* endless trailers */
	nx_buf_puts(&b, CHUNKED "0\r\n");
	for (int i = 0; i < 300; i++)
		nx_buf_puts(&b, "X: y\r\n");
	nx_whole_parse(&w, b.data, b.len, 3);
	NX_EQ_I(NX_E_BAD_REQUEST, w.code);
	nx_whole_done(&w);

	nx_buf_clear(&b); /* many small chunks over the body limit */
	nx_buf_puts(&b, CHUNKED);
	for (size_t i = 0; i < NX_WHOLE_MAX_BODY / 8 + 1; i++)
		nx_buf_puts(&b, "8\r\nabcdefgh\r\n");
	nx_whole_parse(&w, b.data, b.len, 0);
	NX_EQ_I(NX_E_BODY_TOO_LARGE, w.code);
	nx_whole_done(&w);
	nx_buf_done(&b);
}
