/* A server that sends anything: every answer to a query is rows or an error, never more. The bytes are
 * what the server sends from the first Parse on. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/postgresql/pg_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pg_conn *conn_on(int fd)
{
	struct pg_conn *c = calloc(1, sizeof(*c));
	if (!c || pg_cache_init(&c->cache, 4, NULL))
		abort();
	c->base.driver = c->stream.base.driver = &nx_driver_postgresql;
	c->stream.conn = c;
	c->fd = fd;
	c->tx = 'I';
	nx_buf_init(&c->out, 1 << 20);
	nx_buf_init(&c->stream.json, 1 << 20);
	return c;
}

static void run(struct pg_conn *c, bool pure)
{
	struct nx_query q = { .sql = NX_STR_INIT("SELECT 1"),
			      .limits = { .batch_rows = 100, .batch_bytes = 10000 },
			      .pure = pure,
			      .deadline = nx_now() + 1000000000 };
	struct nx_stream *st;
	enum nx_conn_state state;
	struct nx_error err;
	if (pg_query(&c->base, &q, &st, &state, &err))
		return;
	struct nx_batch b;
	while (pg_next(st, &b, &err) == NX_OK && b.nrows > 0)
		for (uint32_t k = 0; k < b.ncols; k++)
			if (b.cols[k].offsets && b.cols[k].offsets[b.nrows] < 0)
				abort();
	(void)pg_release(st);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd[2];
	if (size > 64 << 10 || socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0)
		return 0;
	struct pg_conn *c = conn_on(fd[0]);
	if (size > 0 && write(fd[1], data, size) != (ssize_t)size)
		abort();
	shutdown(fd[1], SHUT_WR);
	run(c, true);
	run(c, false);
	struct nx_error err;
	(void)pg_check(&c->base);
	if (!c->broken)
		(void)!pg_reset(&c->base, nx_now() + 1000000000, &err);
	pg_disconnect(&c->base);
	close(fd[0]);
	close(fd[1]);
	return 0;
}
