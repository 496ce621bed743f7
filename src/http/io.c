/* Bytes in and out of a connection, plain or TLS (OpenSSL). An SSL object has one owner at a time:
 * the connection's. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "http/http_int.h"

static ssize_t tls_result(struct nx_http_conn *c, int r, bool reading)
{
	if (r > 0)
		return r;
	int e = SSL_get_error(c->ssl, r);
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
		if (reading)
			c->more = false;
		return 0;
	}
	ERR_clear_error();
	if (reading) {
		c->more = false;
		c->rdhup = true;
	}
	return -1;
}

ssize_t nx_http_recv(struct nx_http_conn *c, void *buf, size_t len)
{
	if (c->ssl) {
		ERR_clear_error();
		int n = SSL_read(c->ssl, buf, len > 1 << 30 ? 1 << 30 : (int)len);
		return tls_result(c, n, true);
	}
	ssize_t n;
	do {
		n = recv(c->fd, buf, len, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		/* A short read means the socket was empty: the next byte makes a new edge. */
		c->more = (size_t)n == len;
		return n;
	}
	c->more = false;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	c->rdhup = true;
	return -1;
}

ssize_t nx_http_sendv(struct nx_http_conn *c, const struct iovec *iov, int n)
{
	if (c->ssl) {
		ERR_clear_error();
		size_t len = iov->iov_len;
		return tls_result(
			c, SSL_write(c->ssl, iov->iov_base, len > 1 << 30 ? 1 << 30 : (int)len),
			false);
	}
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ssize_t r;
	do {
		r = n == 1 ? send(c->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT)
			   : sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (r < 0 && errno == EINTR);
	if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	return r;
}

int nx_http_tls_accept(struct nx_http_conn *c, bool *want_write)
{
	ERR_clear_error();
	int r = SSL_accept(c->ssl);
	if (r == 1)
		return 1;
	int e = SSL_get_error(c->ssl, r);
	*want_write = e == SSL_ERROR_WANT_WRITE;
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
		c->more = false;
		return 0;
	}
	ERR_clear_error();
	return -1;
}

bool nx_http_tls_pending(const struct nx_http_conn *c)
{
	return c->ssl && SSL_has_pending(c->ssl);
}

/* Clears `more` if the socket is empty: SSL_read() reads record by record and cannot tell. */
void nx_http_tls_peek(struct nx_http_conn *c)
{
	char byte;
	if (recv(c->fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN)
		c->more = false;
}

bool nx_http_tls_attach(struct nx_http *h, struct nx_http_conn *c)
{
	pthread_mutex_lock(&h->tls_lock);
	c->ssl = SSL_new(h->tls);
	pthread_mutex_unlock(&h->tls_lock);
	if (c->ssl && SSL_set_fd(c->ssl, c->fd) == 1) {
		SSL_set_accept_state(c->ssl);
		return true;
	}
	ERR_clear_error();
	SSL_free(c->ssl);
	c->ssl = NULL;
	return false;
}

/* Polite: the client can tell our end from a cut line. Only after a whole handshake. */
void nx_http_tls_close(struct nx_http_conn *c, bool polite)
{
	if (!c->ssl || !polite || !SSL_is_init_finished(c->ssl))
		return;
	ERR_clear_error();
	(void)SSL_shutdown(c->ssl); /* one close_notify; the answer is not waited for */
	ERR_clear_error();
}

void nx_http_tls_free(struct nx_http_conn *c)
{
	SSL_free(c->ssl);
	c->ssl = NULL;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
			   const unsigned char *in, unsigned in_len, void *arg)
{
	static const unsigned char http11[] = "\x08http/1.1";
	(void)ssl;
	(void)arg;
	unsigned char *chosen;
	if (SSL_select_next_proto(&chosen, out_len, http11, sizeof(http11) - 1, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* An SSL_CTX under a name of ours. */
static SSL_CTX *context(struct nx_http_tls *t)
{
	return (SSL_CTX *)t;
}

/* OpenSSL would wait for somebody to write into a pipe. */
static bool is_file(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

enum nx_code nx_http_tls_load(const char *cert, const char *key, struct nx_http_tls **ret,
			      struct nx_error *err)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx)
		return nx_fail(err, NX_E_MEMORY, "no TLS context");
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	static const unsigned char id[] = "nexus-http";
	SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
	const char *why = NULL;
	if (!is_file(cert) || SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
		why = "the TLS certificate cannot be read";
	else if (!is_file(key) || SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		why = "the TLS key cannot be read";
	else if (SSL_CTX_check_private_key(ctx) != 1)
		why = "the TLS key does not belong to the certificate";
	if (why) {
		enum nx_code code = nx_fail(err, NX_E_CONFIG, "%s", why);
		char text[256];
		ERR_error_string_n(ERR_get_error(), text, sizeof(text));
		nx_error_detail(err, "%s", text);
		ERR_clear_error();
		SSL_CTX_free(ctx);
		return code;
	}
	/* OpenSSL writes with write(2), which would raise the signal on a broken connection. */
	struct sigaction old;
	if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
	*ret = (struct nx_http_tls *)ctx;
	return NX_OK;
}

void nx_http_tls_use(struct nx_http *h, struct nx_http_tls *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&h->tls_lock);
	SSL_CTX *old = h->tls;
	h->tls = context(t);
	pthread_mutex_unlock(&h->tls_lock);
	SSL_CTX_free(old); /* those that handshake with it hold references */
}

void nx_http_tls_drop(struct nx_http_tls *t)
{
	SSL_CTX_free(context(t));
}

void nx_http_tls_stop(struct nx_http *h)
{
	SSL_CTX_free(h->tls);
	h->tls = NULL;
}
