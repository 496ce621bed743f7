/* Bytes and messages: framing, sending, receiving with a deadline.
 *
 * The socket is libpq's and non-blocking. Between connect and disconnect nobody but this file reads
 * or writes it. With TLS the bytes go through libpq's own SSL object. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "pg_int.h"

size_t pg_msg_begin(struct nx_buf *b, char type)
{
	nx_buf_putc(b, type);
	size_t at = b->len;
	nx_buf_put(b, "\0\0\0\0", 4);
	return at;
}

void pg_msg_end(struct nx_buf *b, size_t at)
{
	if (b->failed)
		return;
	uint32_t len = __builtin_bswap32((uint32_t)(b->len - at));
	memcpy(b->data + at, &len, 4);
}

void pg_put_i16(struct nx_buf *b, uint32_t v)
{
	uint16_t be = __builtin_bswap16((uint16_t)v);
	nx_buf_put(b, &be, 2);
}

void pg_put_i32(struct nx_buf *b, uint32_t v)
{
	v = __builtin_bswap32(v);
	nx_buf_put(b, &v, 4);
}

void pg_put_cstr(struct nx_buf *b, const char *s, size_t len)
{
	nx_buf_put(b, s, len);
	nx_buf_putc(b, '\0');
}

void pg_put_parse(struct pg_conn *c, const char *name, struct nx_str sql)
{
	size_t at = pg_msg_begin(&c->out, 'P');
	pg_put_cstr(&c->out, name, strlen(name));
	pg_put_cstr(&c->out, sql.ptr, sql.len);
	pg_put_i16(&c->out, 0); /* the server infers every parameter's type */
	pg_msg_end(&c->out, at);
}

static void put_named(struct pg_conn *c, char type, const char *name)
{
	size_t at = pg_msg_begin(&c->out, type);
	nx_buf_putc(&c->out, 'S');
	pg_put_cstr(&c->out, name, strlen(name));
	pg_msg_end(&c->out, at);
}

void pg_put_describe(struct pg_conn *c, const char *name)
{
	put_named(c, 'D', name);
}

void pg_put_close(struct pg_conn *c, const char *name)
{
	put_named(c, 'C', name);
}

void pg_put_execute(struct pg_conn *c)
{
	nx_buf_put(&c->out, "E\0\0\0\x09\0\0\0\0\0", 10); /* unnamed portal, all rows */
}

void pg_put_run(struct pg_conn *c, struct nx_str sql)
{
	pg_put_parse(c, "", sql);
	nx_buf_put(&c->out, "B\0\0\0\x0c\0\0\0\0\0\0\0\0", 13);
	pg_put_execute(c);
}

void pg_put_sync(struct pg_conn *c)
{
	nx_buf_put(&c->out, "S\0\0\0\x04", 5);
	c->unsynced++;
}

/* Negative with errno set, as recv and send. */
static ssize_t ssl_result(struct pg_conn *c, int n)
{
	if (n > 0)
		return n;
	int saved = errno;
	switch (SSL_get_error(c->ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		errno = saved ? saved : EPROTO;
		return -1;
	}
}

static ssize_t raw_recv(struct pg_conn *c, char *buf, size_t n)
{
	if (!c->ssl)
		return recv(c->fd, buf, n, MSG_DONTWAIT);
	ERR_clear_error();
	errno = 0;
	return ssl_result(c, SSL_read(c->ssl, buf, n > 1 << 30 ? 1 << 30 : (int)n));
}

static ssize_t raw_send(struct pg_conn *c, const char *buf, size_t n)
{
	if (!c->ssl)
		return send(c->fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	ERR_clear_error();
	errno = 0;
	return ssl_result(c, SSL_write(c->ssl, buf, n > 1 << 30 ? 1 << 30 : (int)n));
}

static enum nx_code lost(struct pg_conn *c, const char *what, int error, struct nx_error *err)
{
	c->broken = true;
	nx_fail(err, NX_E_SOURCE_LOST, "The connection to the source broke.");
	nx_error_detail(err, "%s: %s", what, error ? strerror(error) : "closed by the server");
	return NX_E_SOURCE_LOST;
}

static enum nx_code bad_message(struct pg_conn *c, struct nx_error *err)
{
	c->broken = true;
	return nx_fail(err, NX_E_PROTOCOL, "The source sent a message that makes no sense.");
}

/* 1 ready, 0 the time is over, -1 failed. */
static int wait_for(struct pg_conn *c, short events, int64_t until)
{
	struct pollfd p = { .fd = c->fd, .events = events };
	for (;;) {
		int64_t left = until - nx_now();
		if (left <= 0)
			return 0;
		int64_t ms = (left + 999999) / 1000000;
		int n = poll(&p, 1, ms > 1 << 30 ? 1 << 30 : (int)ms);
		if (n != 0 && !(n < 0 && errno == EINTR))
			return n;
	}
}

enum nx_code pg_send(struct pg_conn *c, int64_t deadline, struct nx_error *err)
{
	if (c->out.failed) {
		/* Half a request must not be sent; whether it was memory or size, the session ends. */
		c->broken = true;
		return nx_fail(err, NX_E_MEMORY, "The request to the source is too large.");
	}
	size_t sent = 0;
	while (sent < c->out.len) {
		ssize_t n = raw_send(c, c->out.data + sent, c->out.len - sent);
		if (n > 0) {
			sent += (size_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || errno != EAGAIN)
			return lost(c, "send", n == 0 ? 0 : errno, err);
		int ready = wait_for(c, POLLOUT, deadline);
		if (ready < 0)
			return lost(c, "poll", errno, err);
		if (ready == 0) {
			c->broken = true; /* the server has part of a message */
			return nx_fail(err, NX_E_QUERY_TIMEOUT,
				       "The query ran longer than its limit.");
		}
	}
	if (c->out.cap > 1 << 20)
		nx_buf_done(&c->out);
	nx_buf_clear(&c->out);
	c->fresh = true;
	return NX_OK;
}

/* Room for `need` bytes from pos on. */
static bool in_room(struct pg_in *in, size_t need)
{
	if (in->pos > 0) {
		memmove(in->buf, in->buf + in->pos, in->end - in->pos);
		in->end -= in->pos;
		in->pos = 0;
	}
	if (need <= in->cap)
		return true;
	char *buf = realloc(in->buf, need);
	if (!buf)
		return false;
	in->buf = buf;
	in->cap = need;
	return true;
}

void pg_in_rest(struct pg_conn *c)
{
	if (c->in.pos != c->in.end)
		return;
	c->in.pos = c->in.end = 0;
	if (c->in.cap <= PG_IN_SIZE)
		return;
	free(c->in.buf);
	c->in.buf = NULL;
	c->in.cap = 0;
}

/* A whole message at pos: 1, not yet: 0 (and how many bytes it needs), nonsense: -1. */
static int in_message(struct pg_in *in, struct pg_msg *ret, size_t *need)
{
	size_t have = in->end - in->pos;
	*need = 5;
	if (have < 5)
		return 0;
	const char *p = in->buf + in->pos;
	uint32_t len = pg_get_u32(p + 1);
	if (len < 4 || len > PG_MSG_MAX)
		return -1;
	*need = (size_t)len + 1;
	if (have < *need)
		return 0;
	*ret = (struct pg_msg){ p[0], p + 5, len - 4 };
	in->pos += *need;
	return 1;
}

/* What any request may be answered with besides its answer. */
static bool is_noise(char type)
{
	return type == 'N' || type == 'S' || type == 'A' || type == '3';
}

static enum nx_code fill(struct pg_conn *c, size_t need, int64_t until, bool *ret_timeout,
			 struct nx_error *err)
{
	struct pg_in *in = &c->in;
	/* A length is only believed as far as bytes have come: memory grows with them. */
	size_t have = in->end - in->pos;
	size_t limit = have * 2 > PG_IN_STREAM ? have * 2 : PG_IN_STREAM;
	size_t want = need > PG_IN_SIZE ? need : PG_IN_SIZE;
	bool filled = in->cap > 0 && in->end == in->cap;
	if (want > limit || (filled && in->cap < PG_IN_STREAM))
		want = limit;
	if ((in->pos == in->end || in->cap - in->pos < want || filled) && !in_room(in, want)) {
		c->broken = true;
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	/* Right after a request, to ask the socket first would be a system call for nothing, and to
	 * wait inside recv() saves the one for poll(). The socket's own time-out is PG_RECV_WAIT. */
	bool fresh = c->fresh && !c->ssl && until;
	c->fresh = false;
	if (fresh && until - nx_now() > PG_RECV_WAIT) {
		ssize_t n = recv(c->fd, in->buf + in->end, in->cap - in->end, 0);
		if (n > 0) {
			in->end += (size_t)n;
			return NX_OK;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return lost(c, "receive", n == 0 ? 0 : errno, err);
		fresh = false;
	}
	for (bool ask = !fresh;; ask = true) {
		ssize_t n = ask ? raw_recv(c, in->buf + in->end, in->cap - in->end) : -1;
		if (n > 0) {
			in->end += (size_t)n;
			return NX_OK;
		}
		if (ask && n < 0 && errno == EINTR)
			continue;
		if (ask && (n == 0 || errno != EAGAIN))
			return lost(c, "receive", n == 0 ? 0 : errno, err);
		int ready = until ? wait_for(c, POLLIN, until) : 0;
		if (ready < 0)
			return lost(c, "poll", errno, err);
		if (ready == 0) {
			*ret_timeout = true;
			return NX_OK;
		}
	}
}

enum nx_code pg_recv_until(struct pg_conn *c, int64_t until, struct pg_msg *ret,
			   struct nx_error *err)
{
	for (;;) {
		size_t need;
		struct pg_msg m;
		int n = in_message(&c->in, &m, &need);
		if (NX_LIKELY(n > 0)) {
			if (NX_UNLIKELY(is_noise(m.type)))
				continue;
			if (m.type == 'Z') {
				if (m.len != 1 || c->unsynced == 0)
					return bad_message(c, err);
				c->tx = m.p[0];
				c->unsynced--;
			}
			*ret = m;
			return NX_OK;
		}
		if (n < 0)
			return bad_message(c, err);
		bool timeout = false;
		enum nx_code code = fill(c, need, until, &timeout, err);
		if (code)
			return code;
		if (timeout) {
			ret->type = 0;
			return NX_OK;
		}
	}
}

enum nx_code pg_recv(struct pg_conn *c, int64_t deadline, struct pg_msg *ret, struct nx_error *err)
{
	struct pg_msg m;
	enum nx_code code = pg_recv_until(c, deadline, &m, err);
	if (code)
		return code;
	if (m.type == 0)
		return nx_fail(err, NX_E_QUERY_TIMEOUT, "The query ran longer than its limit.");
	*ret = m;
	return NX_OK;
}

void pg_unread(struct pg_conn *c, const struct pg_msg *m)
{
	c->in.pos = (size_t)(m->p - 5 - c->in.buf);
}

uint32_t pg_cut_u32(struct pg_cut *k)
{
	if (k->end - k->p < 4) {
		k->bad = true;
		return 0;
	}
	uint32_t v = pg_get_u32(k->p);
	k->p += 4;
	return v;
}

uint16_t pg_cut_u16(struct pg_cut *k)
{
	if (k->end - k->p < 2) {
		k->bad = true;
		return 0;
	}
	uint16_t v = pg_get_u16(k->p);
	k->p += 2;
	return v;
}

struct nx_str pg_cut_str(struct pg_cut *k)
{
	const char *nul = k->p < k->end ? memchr(k->p, 0, (size_t)(k->end - k->p)) : NULL;
	if (!nul) {
		k->bad = true;
		return (struct nx_str){ "", 0 };
	}
	struct nx_str s = { k->p, (size_t)(nul - k->p) };
	k->p = nul + 1;
	return s;
}
