/* Answers: one code path for the loop (never waits; the rest is sent on EPOLLOUT) and for the owner
 * of a lent exchange (waits in poll() within the write limits).
 *
 * `out` holds what is not sent yet: head, then body. A chunk's size line is reserved when its first
 * byte is buffered ("0000xxxx", leading zeros are valid) and filled in when the buffer leaves, so
 * that head, one chunk and the last chunk of a small answer are one send(). */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include "http/http_int.h"

#define CHUNK_LINE 10u /* "0000xxxx\r\n" */
#define NO_CHUNK SIZE_MAX
#define DIRECT ((size_t)16 * 1024) /* from here on a copy costs more than a second iovec */
#define SLICE_MS 100 /* while waiting for the client, how often the hang word is looked at */

static bool on_loop(const struct nx_http_exchange *x)
{
	(void)x;
	return nx_http_this_loop != NULL; /* a loop thread never waits, whose exchange it may be */
}

static bool gone(const struct nx_http_exchange *x)
{
	unsigned hang = atomic_load_explicit(&x->c->hang, memory_order_acquire);
	return hang >= NX_HANG_CALLING;
}

static bool broken(struct nx_http_exchange *x)
{
	x->failed = true;
	return false;
}

/* Waits until the socket takes more. False: too slow, or gone. */
static bool wait_writable(struct nx_http_exchange *x)
{
	const struct nx_http_config *cfg = &x->c->loop->http->cfg;
	if (!x->stalled) {
		x->stalled = true;
		x->stall_from = x->bytes_out;
		if (x->stall_fn)
			x->stall_fn(x->stall_arg);
	}
	struct pollfd p = { .fd = x->c->fd, .events = POLLOUT };
	int64_t began = nx_now(), limit = (int64_t)cfg->write_timeout_ms * NX_MS;
	int r;
	do {
		r = poll(&p, 1, nx_poll_ms(began + limit, SLICE_MS));
		if (gone(x))
			return false;
	} while ((r == 0 && nx_now() - began < limit) || (r < 0 && errno == EINTR));
	if (r <= 0)
		return false;
	x->stall_ns += nx_now() - began;
	double rate = (double)(x->bytes_out - x->stall_from) / ((double)x->stall_ns / 1e9);
	return x->stall_ns <= limit || rate >= cfg->write_min_rate;
}

/* Sends all of iov. On the loop only what goes; *left_over is then what did not. */
static bool send_iov(struct nx_http_exchange *x, struct iovec *iov, int n, size_t *left_over)
{
	*left_over = 0;
	while (n > 0 && iov->iov_len == 0) {
		iov++;
		n--;
	}
	while (n > 0) {
		ssize_t r = nx_http_sendv(x->c, iov, n);
		if (r < 0)
			return broken(x);
		if (r == 0 && on_loop(x)) {
			for (int i = 0; i < n; i++)
				*left_over += iov[i].iov_len;
			return true;
		}
		if (r == 0 && !wait_writable(x))
			return broken(x);
		x->bytes_out += (uint64_t)r;
		while (n > 0 && (size_t)r >= iov->iov_len) {
			r -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + r;
			iov->iov_len -= (size_t)r;
		}
	}
	return true;
}

bool nx_http_push(struct nx_http_exchange *x)
{
	if (x->failed)
		return false;
	if (x->out.failed)
		return broken(x);
	struct iovec iov = { x->out.data + x->out_sent, x->out.len - x->out_sent };
	size_t left;
	if (iov.iov_len > 0 && !send_iov(x, &iov, 1, &left))
		return false;
	if (iov.iov_len > 0 && left > 0) {
		x->out_sent = x->out.len - left;
		return true;
	}
	x->out_sent = 0;
	nx_buf_clear(&x->out);
	return true;
}

/* Fills in the open chunk's size: what is buffered plus `extra` bytes that follow. */
static void close_chunk(struct nx_http_exchange *x, size_t extra)
{
	if (x->chunk_at == NO_CHUNK || x->out.failed)
		return;
	static const char digits[] = "0123456789abcdef";
	size_t size = x->out.len - x->chunk_at - CHUNK_LINE + extra;
	char *p = x->out.data + x->chunk_at;
	for (int i = 7; i >= 0; i--, size >>= 4)
		p[i] = digits[size & 15];
	x->chunk_at = NO_CHUNK;
}

static void open_chunk(struct nx_http_exchange *x)
{
	if (x->mode != NX_BODY_CHUNKED || x->chunk_at != NO_CHUNK)
		return;
	x->chunk_at = x->out.len;
	nx_buf_put(&x->out, "00000000\r\n", CHUNK_LINE);
}

static bool leave(struct nx_http_exchange *x)
{
	if (x->chunk_at != NO_CHUNK) {
		close_chunk(x, 0);
		nx_buf_put(&x->out, "\r\n", 2);
	}
	return nx_http_push(x);
}

static bool put_copied(struct nx_http_exchange *x, const char *data, size_t len)
{
	while (len > 0) {
		size_t n = len;
		if (!on_loop(x)) {
			if (x->out.len >= NX_HTTP_OUT_SOFT && !leave(x))
				return false;
			size_t room = NX_HTTP_OUT_SOFT - x->out.len;
			n = n < room ? n : room;
		}
		open_chunk(x);
		nx_buf_put(&x->out, data, n);
		if (x->out.failed)
			return broken(x);
		data += n;
		len -= n;
	}
	return true;
}

/* What is buffered and the caller's bytes in one go, uncopied. Chunks stay below 4 GiB. */
static bool put_direct(struct nx_http_exchange *x, const char *data, size_t len)
{
	bool chunked = x->mode == NX_BODY_CHUNKED;
	open_chunk(x);
	if (x->out.failed)
		return broken(x);
	close_chunk(x, len);
	struct iovec iov[3] = {
		{ x->out.data + x->out_sent, x->out.len - x->out_sent },
		{ (char *)data, len },
		{ (char *)"\r\n", chunked ? 2 : 0 },
	};
	size_t left, buffered = iov[0].iov_len, tail = iov[2].iov_len;
	if (!send_iov(x, iov, 3, &left))
		return false;
	/* Only on the loop: keep the rest, which lies in one, two or three of the parts. */
	size_t in_tail = left < tail ? left : tail;
	left -= in_tail;
	size_t in_data = left < len ? left : len;
	left -= in_data;
	x->out_sent += buffered - left;
	if (left == 0) {
		x->out_sent = 0;
		nx_buf_clear(&x->out);
	}
	nx_buf_put(&x->out, data + len - in_data, in_data);
	nx_buf_put(&x->out, &"\r\n"[2 - in_tail], in_tail);
	return !x->out.failed || broken(x);
}

bool nx_http_write(struct nx_http_exchange *x, const void *data, size_t len)
{
	if (!x->began || x->ended || x->failed)
		return false;
	if (!on_loop(x) && gone(x))
		return broken(x);
	if (x->mode == NX_BODY_LENGTH) {
		if (len > x->length_left)
			return broken(x);
		x->length_left -= len;
	}
	x->sent += len;
	if (len == 0 || x->mode == NX_BODY_NONE)
		return true;
	while (len >= DIRECT && !x->c->ssl) {
		size_t n = len < (size_t)1 << 30 ? len : (size_t)1 << 30;
		if (!put_direct(x, data, n))
			return false;
		data = (const char *)data + n;
		len -= n;
	}
	return put_copied(x, data, len);
}

bool nx_http_flush(struct nx_http_exchange *x)
{
	if (!x->began || x->failed)
		return false;
	return leave(x);
}

void nx_http_end(struct nx_http_exchange *x)
{
	if (x->ended)
		return;
	if (!x->began || x->failed || (x->mode == NX_BODY_LENGTH && x->length_left > 0)) {
		nx_http_abort(x);
		return;
	}
	if (x->mode == NX_BODY_CHUNKED) {
		if (x->chunk_at != NO_CHUNK) {
			close_chunk(x, 0);
			nx_buf_put(&x->out, "\r\n0\r\n\r\n", 7);
		} else {
			nx_buf_put(&x->out, "0\r\n\r\n", 5);
		}
	}
	x->ended = nx_http_push(x);
}

/* Chunked and counted bodies are cut short, which every client notices, after what is buffered; a
 * body that lasts until close can only be told broken by a reset. */
void nx_http_abort(struct nx_http_exchange *x)
{
	if (x->ended)
		return;
	if (x->began && !x->failed && x->mode != NX_BODY_CLOSE && !gone(x))
		(void)leave(x);
	if (x->mode == NX_BODY_CLOSE || !x->began)
		x->c->reset = x->began;
	x->failed = true;
}

static const struct {
	int status;
	const char *text;
} reasons[] = {
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 206, "Partial Content" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 304, "Not Modified" },
	{ 307, "Temporary Redirect" },
	{ 308, "Permanent Redirect" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 417, "Expectation Failed" },
	{ 422, "Unprocessable Content" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 499, "Client Closed Request" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
	{ 507, "Insufficient Storage" },
};

static const char *reason(int status)
{
	for (size_t i = 0; i < NX_COUNTOF(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Status";
}

/* Formatted once a second and thread. */
static struct nx_str http_date(void)
{
	static _Thread_local time_t at;
	static _Thread_local char text[64];
	static _Thread_local size_t len;
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	if (ts.tv_sec != at || len == 0) {
		static const char days[] = "SunMonTueWedThuFriSat";
		static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
		struct tm tm;
		gmtime_r(&ts.tv_sec, &tm);
		int n = snprintf(text, sizeof(text),
				 "\r\nDate: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
				 days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon,
				 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
		len = n > 0 && (size_t)n < sizeof(text) ? (size_t)n : 0;
		at = ts.tv_sec;
	}
	return nx_strn(text, len);
}

/* Control characters become spaces: no handler can split a response. */
static void put_clean(struct nx_buf *b, struct nx_str s)
{
	char *p = nx_buf_reserve(b, s.len);
	if (!p)
		return;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		p[i] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
	}
	b->len += s.len;
}

void nx_http_add_header(struct nx_http_exchange *x, const char *name, struct nx_str value)
{
	struct nx_str n = nx_str(name);
	if (x->began)
		return;
	/* Framing is not the handler's. */
	if (nx_str_ieq(n, NX_STR("content-length")) || nx_str_ieq(n, NX_STR("transfer-encoding")) ||
	    nx_str_ieq(n, NX_STR("date")))
		return;
	if (nx_str_ieq(n, NX_STR("connection"))) {
		if (nx_str_ieq(value, NX_STR("close")))
			x->keep_alive = false;
		return;
	}
	x->has_cache |= nx_str_ieq(n, NX_STR("cache-control"));
	x->has_csp |= nx_str_ieq(n, NX_STR("content-security-policy"));
	x->has_nosniff |= nx_str_ieq(n, NX_STR("x-content-type-options"));
	nx_buf_put(&x->extra, "\r\n", 2);
	put_clean(&x->extra, n);
	nx_buf_put(&x->extra, ": ", 2);
	put_clean(&x->extra, value);
}

static void put_status(struct nx_buf *b, int status)
{
	if (status == 200) {
		nx_buf_put_str(b, NX_STR("HTTP/1.1 200 OK"));
		return;
	}
	nx_buf_puts(b, "HTTP/1.1 ");
	nx_buf_put_i64(b, status);
	nx_buf_putc(b, ' ');
	nx_buf_puts(b, reason(status));
}

static void choose_framing(struct nx_http_exchange *x, int status, int64_t length)
{
	bool bodiless = status == 204 || status == 304 || status < 200;
	if (x->head.req.method == NX_HTTP_HEAD || bodiless)
		x->mode = NX_BODY_NONE;
	else if (length >= 0)
		x->mode = NX_BODY_LENGTH;
	else
		x->mode = x->head.req.http10 ? NX_BODY_CLOSE : NX_BODY_CHUNKED;
	x->length_left = length > 0 ? (uint64_t)length : 0;
	x->keep_alive = x->keep_alive && x->mode != NX_BODY_CLOSE &&
			!(x->mode == NX_BODY_NONE && length < 0 && x->head.req.http10) &&
			!atomic_load_explicit(&x->c->loop->http->draining, memory_order_relaxed);
	if (bodiless) /* a 304's length would be that of the 200 it stands for */
		return;
	if (length >= 0) {
		nx_buf_put_str(&x->out, NX_STR("\r\nContent-Length: "));
		nx_buf_put_i64(&x->out, length);
	} else if (!x->head.req.http10) {
		nx_buf_put_str(&x->out, NX_STR("\r\nTransfer-Encoding: chunked"));
	}
}

void nx_http_begin(struct nx_http_exchange *x, int status, const char *content_type, int64_t length)
{
	if (x->began || x->failed)
		return;
	struct nx_buf *b = &x->out;
	x->began = true;
	put_status(b, status);
	nx_buf_put_str(b, http_date());
	struct nx_str type = nx_str(content_type);
	if (type.len > 0) {
		nx_buf_put_str(b, NX_STR("\r\nContent-Type: "));
		put_clean(b, type);
	}
	choose_framing(x, status, length);
	if (!x->keep_alive)
		nx_buf_put_str(b, NX_STR("\r\nConnection: close"));
	else if (x->head.req.http10)
		nx_buf_put_str(b, NX_STR("\r\nConnection: keep-alive"));
	if (!x->has_nosniff)
		nx_buf_put_str(b, NX_STR("\r\nX-Content-Type-Options: nosniff"));
	if (!x->has_cache)
		nx_buf_put_str(b, NX_STR("\r\nCache-Control: no-store"));
	if (!x->has_csp && !nx_str_starts(type, NX_STR("text/html")))
		nx_buf_put_str(b, NX_STR("\r\nContent-Security-Policy: default-src 'none'"));
	nx_buf_put_str(b, nx_buf_str(&x->extra));
	nx_buf_put(b, "\r\n\r\n", 4);
	if (b->failed || x->extra.failed)
		x->failed = true;
}

void nx_http_reply(struct nx_http_exchange *x, int status, const char *content_type,
		   struct nx_str body)
{
	nx_http_begin(x, status, content_type, (int64_t)body.len);
	if (x->mode == NX_BODY_LENGTH) {
		/* Not nx_http_write(): a whole answer is sent also to a client that half-closed. */
		x->sent += body.len;
		x->length_left = 0;
		bool direct = body.len >= DIRECT && !x->c->ssl;
		if (x->failed || !(direct ? put_direct(x, body.ptr, body.len)
					  : put_copied(x, body.ptr, body.len)))
			x->failed = true;
	}
	x->length_left = 0;
	nx_http_end(x);
}

void nx_http_refuse(struct nx_http_exchange *x, enum nx_code code, const char *message)
{
	char id[37], at[NX_ISO_LEN];
	nx_uuid(id);
	nx_iso_time(nx_wall_us(), at);
	struct nx_buf b;
	nx_buf_init(&b, 4096);
	nx_buf_puts(&b, "{\"success\":false,\"error\":{\"code\":");
	nx_buf_put_json(&b, nx_str(nx_code_name(code)));
	nx_buf_puts(&b, ",\"message\":");
	nx_buf_put_json(&b, nx_str(message));
	nx_buf_printf(&b, "},\"correlationId\":\"%s\",\"timestamp\":\"%s\"}", id, at);
	x->keep_alive = false;
	nx_http_add_header(x, "X-Correlation-ID", nx_str(id));
	nx_http_reply(x, nx_code_http(code), "application/json", nx_buf_str(&b));
	nx_buf_done(&b);
}

/* Reading an exchange. */

const struct nx_http_request *nx_http_request(const struct nx_http_exchange *x)
{
	return &x->head.req;
}

struct nx_arena *nx_http_arena(struct nx_http_exchange *x)
{
	return x->arena;
}

struct nx_str nx_http_get_header(const struct nx_http_exchange *x, const char *name)
{
	struct nx_str n = nx_str(name);
	const struct nx_http_request *r = &x->head.req;
	for (uint32_t i = 0; i < r->nheaders; i++)
		if (r->headers[i].name.len == n.len && nx_str_ieq(r->headers[i].name, n))
			return r->headers[i].value;
	return (struct nx_str){ 0 };
}

bool nx_http_began(const struct nx_http_exchange *x)
{
	return x->began;
}

uint64_t nx_http_sent(const struct nx_http_exchange *x)
{
	return x->sent;
}

void nx_http_on_stall(struct nx_http_exchange *x, void (*fn)(void *arg), void *arg)
{
	x->stall_fn = fn;
	x->stall_arg = arg;
}
