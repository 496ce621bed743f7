#include "engine/engine_int.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* All of it or the end of the process: without its gateway a worker has nothing to do. */
static void send_all(int fd, struct msghdr *m)
{
	while (m->msg_iovlen) {
		ssize_t n = sendmsg(fd, m, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			_exit(1);
		m->msg_control = NULL; /* goes with the first byte */
		m->msg_controllen = 0;
		while (m->msg_iovlen && (size_t)n >= m->msg_iov->iov_len) {
			n -= (ssize_t)m->msg_iov->iov_len;
			m->msg_iov++;
			m->msg_iovlen--;
		}
		if (m->msg_iovlen) {
			m->msg_iov->iov_base = (char *)m->msg_iov->iov_base + n;
			m->msg_iov->iov_len -= (size_t)n;
		}
	}
}

static void send_frame(int fd, const struct nx_wire_frame *f, struct nx_str payload,
		       struct msghdr *m)
{
	struct iovec iov[2] = { { (void *)f, sizeof *f }, { (void *)payload.ptr, payload.len } };
	m->msg_iov = iov;
	m->msg_iovlen = payload.len ? 2 : 1;
	send_all(fd, m);
}

void nx_frame_send(int fd, enum nx_wire_type type, uint64_t rows, bool more, struct nx_str payload)
{
	struct nx_wire_frame f = {
		.type = (uint8_t)type, .more = more, .rows = rows, .len = (uint32_t)payload.len
	};
	struct msghdr m = { 0 };
	send_frame(fd, &f, payload, &m);
}

void nx_frame_hello(int fd, int pidfd, struct nx_str version)
{
	struct nx_wire_frame f = { .type = NX_WIRE_HELLO, .len = (uint32_t)version.len };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} u = { .room = { 0 } };
	struct msghdr m = { .msg_control = &u, .msg_controllen = sizeof u.room };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &pidfd, sizeof pidfd);
	send_frame(fd, &f, version, &m);
}

void nx_frame_fail(int fd, const struct nx_error *err)
{
	struct nx_buf b;
	nx_buf_init(&b, NX_WIRE_MAX_OTHER);
	nx_wire_put_error(&b, err);
	if (!b.failed)
		nx_frame_send(fd, NX_WIRE_ERROR, 0, false, nx_buf_str(&b));
	_exit(0);
}

static bool read_all(int fd, void *to, size_t n)
{
	char *p = to;
	while (n) {
		ssize_t got = read(fd, p, n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
	}
	return true;
}

struct nx_buf *nx_frame_request(int fd)
{
	static struct nx_buf b;
	struct nx_wire_frame f;
	nx_buf_init(&b, NX_WIRE_MAX_OTHER);
	if (!read_all(fd, &f, sizeof f) || !nx_wire_frame_ok(&f) || f.type != NX_WIRE_REQUEST)
		return NULL;
	char *p = nx_buf_reserve(&b, f.len);
	if (!p || !read_all(fd, p, f.len))
		return NULL;
	b.len = f.len;
	return &b;
}
