/* The request parser: pure functions over bytes, no sockets, no allocation but the header array.
 *
 * Strict on purpose (RFC 9112 with every MAY and SHOULD towards leniency declined): what two parsers
 * could read differently is refused, because a proxy in front of us may be the other parser.
 * Threads: plain values. */
#ifndef NX_HTTP_PARSE_H
#define NX_HTTP_PARSE_H

#include "http/http.h"
#include "nexus/buf.h"

enum nx_http_step { NX_HTTP_MORE, NX_HTTP_FOUND, NX_HTTP_BAD };

/* Where the head ends, found incrementally: no byte is looked at twice. Zero-initialised. */
struct nx_http_scan {
	size_t start; /* of the request line: 2 when one empty line came before it */
	size_t line;  /* start of the line being read */
	size_t pos;   /* scanned up to here */
	size_t end;   /* FOUND: just after the empty line */
	uint32_t lines; /* whole lines so far, the request line included */
};
enum nx_http_step nx_http_scan_head(struct nx_http_scan *s, const char *buf, size_t len);

struct nx_http_head {
	struct nx_http_request req; /* without body, peer, tls */
	uint64_t length; /* Content-Length, 0 without one */
	bool has_length;
	bool chunked;
	bool keep_alive;
	bool expect; /* Expect: 100-continue on HTTP/1.1 */
	bool server_wide; /* the target was '*' (OPTIONS only); path is then "/" */
};

/* Parses one whole head that scan found (buf[start..end)). Decodes the path in place; the slices of
 * *ret point into buf. The header array comes from `a`. */
NX_NODISCARD enum nx_code nx_http_parse_head(char *buf, const struct nx_http_scan *s,
					     uint32_t max_headers, struct nx_arena *a,
					     struct nx_http_head *ret, struct nx_error *err);

/* The chunked coding, incrementally. Zero-initialised. */
struct nx_http_chunks {
	uint64_t left;     /* DATA: bytes to come; SIZE: the number so far */
	uint32_t overhead; /* bytes of extensions and trailers so far */
	uint8_t state;
	uint8_t digits;
	uint8_t ext;       /* place inside an extension */
	uint8_t name_len;
	char name[20];     /* of the trailer field, lower case, cut */
};
/* Decodes into `out` (whose max is the body limit). *used: bytes of `in` eaten; the body is complete
 * when nx_http_unchunked() says so, and then the rest of `in` belongs to the next request. */
NX_NODISCARD enum nx_code nx_http_unchunk(struct nx_http_chunks *c, const char *in, size_t len,
					  size_t *used, struct nx_buf *out, struct nx_error *err);
bool nx_http_unchunked(const struct nx_http_chunks *c);

#endif
