#include "process.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/wire.h"
#include "scratch.h"

#define AHEAD 2u /* workers forked before they are needed */
#define MAX_WORKERS 128u /* serving at once, over all sources */

static struct {
	pthread_mutex_t lock;
	pid_t zygote; /* 0: none */
	int control; /* its socket */
	struct scratch base; /* its temporary folder */
	int idle[AHEAD];
	unsigned nidle;
	unsigned serving;
} g = { .lock = PTHREAD_MUTEX_INITIALIZER, .control = -1, .base.held = -1 };

/* Where nexus-engine lies: named by the environment, beside this program, or in the build tree. */
static bool engine_path(char out[PATH_MAX])
{
	const char *env = getenv("NEXUS_ENGINE");
	if (env) {
		int n = snprintf(out, PATH_MAX, "%s", env);
		return n > 0 && n < PATH_MAX && access(out, X_OK) == 0;
	}
	static const char *const places[] = {
		"",
		"../libexec/nexus/",
		"src/engine/",
		"../engine/",
		"../../engine/",
		"../../src/engine/",
		"../src/engine/",
	};
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
	if (len <= 0)
		return false;
	self[len] = '\0';
	char *slash = strrchr(self, '/');
	if (!slash)
		return false;
	slash[1] = '\0';
	for (size_t i = 0; i < NX_COUNTOF(places); i++) {
		int n = snprintf(out, PATH_MAX, "%s%snexus-engine", self, places[i]);
		if (n > 0 && n < PATH_MAX && access(out, X_OK) == 0)
			return true;
	}
	return false;
}

static enum nx_code spawn_zygote(const char *path, struct nx_error *err)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return nx_fail(err, NX_E_IO, "no socket for the engine: %s", strerror(errno));
	char *argv[] = { (char *)path, (char *)"--zygote", g.base.path, NULL };
	char *envp[] = { NULL };
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&at);
	posix_spawn_file_actions_adddup2(&fa, pair[1], 0);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", 2 /* O_RDWR */, 0);
	/* its own process group: Ctrl-C is the gateway's to handle; queries drain first */
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&at, &none);
	posix_spawnattr_setsigdefault(&at, &all);
	posix_spawnattr_setpgroup(&at, 0);
	posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
					      POSIX_SPAWN_SETSIGDEF);
	int r = posix_spawn(&g.zygote, path, &fa, &at, argv, envp);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&at);
	close(pair[1]);
	if (r) {
		g.zygote = 0;
		close(pair[0]);
		return nx_fail(err, NX_E_DRIVER_NOT_BUILT, "nexus-engine cannot be started: %s",
			       strerror(r));
	}
	g.control = pair[0];
	return NX_OK;
}

/* under the lock: sends the worker's end of a new socket to the zygote */
static int request_worker(void)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	/* room for a few frames, so that the worker seldom waits for us; the system may give less */
	int room = 1 << 20;
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	struct iovec iov = { (void *)"w", 1 };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} u = { .room = { 0 } };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u.room
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &pair[1], sizeof(int));
	ssize_t n = sendmsg(g.control, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(pair[1]);
	if (n != 1) {
		close(pair[0]);
		return -1;
	}
	return pair[0];
}

static void fill(void)
{
	while (g.nidle < AHEAD) {
		int fd = request_worker();
		if (fd < 0)
			return;
		g.idle[g.nidle++] = fd;
	}
}

/* under the lock */
static void forget_zygote(void)
{
	for (unsigned i = 0; i < g.nidle; i++)
		close(g.idle[i]);
	g.nidle = 0;
	if (g.control >= 0)
		close(g.control);
	g.control = -1;
	if (g.zygote > 0) {
		/* it leaves when its socket ends; it is only hurried */
		for (int i = 0; i < 100 && waitpid(g.zygote, NULL, WNOHANG) == 0; i++) {
			if (i == 90)
				kill(g.zygote, SIGKILL);
			usleep(2000);
		}
	}
	g.zygote = 0;
	/* it removes it itself, unless it had to be killed, or died */
	scratch_remove(&g.base);
}

static bool zygote_lives(void)
{
	if (g.zygote <= 0)
		return false;
	struct pollfd p = { g.control, POLLIN, 0 };
	return poll(&p, 1, 0) == 0; /* it never writes: readable means ended */
}

static enum nx_code start_locked(struct nx_error *err)
{
	if (zygote_lives())
		return NX_OK;
	forget_zygote();
	char path[PATH_MAX];
	if (!engine_path(path))
		return nx_fail(err, NX_E_DRIVER_NOT_BUILT, "nexus-engine is not installed");
	enum nx_code code = scratch_make(&g.base, err);
	if (code)
		return code;
	code = spawn_zygote(path, err);
	if (code == NX_OK)
		fill();
	else
		scratch_remove(&g.base);
	return code;
}

enum nx_code process_start(struct nx_error *err)
{
	pthread_mutex_lock(&g.lock);
	enum nx_code code = start_locked(err);
	pthread_mutex_unlock(&g.lock);
	return code;
}

void process_stop(void)
{
	pthread_mutex_lock(&g.lock);
	forget_zygote();
	pthread_mutex_unlock(&g.lock);
}

void process_refill(void)
{
	pthread_mutex_lock(&g.lock);
	if (g.control >= 0)
		fill();
	pthread_mutex_unlock(&g.lock);
}

enum nx_code process_wait(int fd, int64_t deadline, struct nx_error *err)
{
	for (;;) {
		int64_t left = deadline - nx_now();
		if (left <= 0)
			return nx_fail(err, NX_E_QUERY_TIMEOUT,
				       "the query ran longer than its limit");
		left = left / 1000000 + 1;
		struct pollfd p = { fd, POLLIN, 0 };
		int n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
		if (n > 0)
			return NX_OK;
		if (n < 0 && errno != EINTR)
			return nx_fail(err, NX_E_IO, "poll: %s", strerror(errno));
	}
}

bool process_silent(int fd, uint32_t ms)
{
	struct pollfd p = { fd, POLLIN, 0 };
	return poll(&p, 1, (int)ms) == 0;
}

/* HELLO with the pidfd attached. */
static enum nx_code read_hello(int fd, int64_t deadline, struct worker *ret, struct nx_error *err)
{
	struct {
		struct nx_wire_frame f;
		char version[32];
	} in;
	struct iovec iov = { &in, sizeof in };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} u;
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u.room
	};
	enum nx_code code = process_wait(fd, deadline, err);
	if (code)
		return code;
	ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	int pidfd = -1;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&pidfd, CMSG_DATA(c), sizeof pidfd);
	/* one send() of a few bytes arrives as one piece on a local socket */
	if (pidfd < 0 || n < (ssize_t)sizeof in.f || in.f.type != NX_WIRE_HELLO ||
	    in.f.len >= sizeof in.version || n != (ssize_t)(sizeof in.f + in.f.len)) {
		if (pidfd >= 0)
			close(pidfd);
		if (n >= (ssize_t)sizeof in.f && in.f.type == NX_WIRE_ERROR)
			return nx_fail(err, NX_E_SOURCE_FAILED, "the engine cannot start a worker");
		return nx_fail(err, NX_E_SOURCE_LOST, "the engine has no worker to give");
	}
	*ret = (struct worker){ fd, pidfd };
	return NX_OK;
}

static enum nx_code take_fd(int *ret, struct nx_error *err)
{
	pthread_mutex_lock(&g.lock);
	enum nx_code code = start_locked(err);
	int fd = -1;
	if (code == NX_OK && g.serving >= MAX_WORKERS) {
		code = nx_fail(err, NX_E_SOURCE_BUSY, "%u queries run in the engine already",
			       g.serving);
	} else if (code == NX_OK) {
		if (g.nidle) { /* the oldest: most likely ready */
			fd = g.idle[0];
			memmove(g.idle, g.idle + 1, --g.nidle * sizeof g.idle[0]);
		} else {
			fd = request_worker();
		}
		if (fd < 0)
			code = nx_fail(err, NX_E_SOURCE_BUSY,
				       "the engine cannot start a worker now");
		else
			g.serving++;
	}
	pthread_mutex_unlock(&g.lock);
	if (code == NX_OK)
		*ret = fd;
	return code;
}

static void give_back(int fd)
{
	close(fd);
	pthread_mutex_lock(&g.lock);
	g.serving--;
	pthread_mutex_unlock(&g.lock);
}

uint32_t process_serving(void)
{
	pthread_mutex_lock(&g.lock);
	uint32_t n = g.serving;
	pthread_mutex_unlock(&g.lock);
	return n;
}

enum nx_code process_take(int64_t deadline, struct worker *ret, struct nx_error *err)
{
	/* a worker that died while it waited is replaced, a few times */
	enum nx_code code = NX_OK;
	for (unsigned i = 0; i <= AHEAD + 1; i++) {
		int fd = -1;
		code = take_fd(&fd, err);
		if (code)
			return code;
		code = read_hello(fd, deadline, ret, err);
		if (code == NX_OK)
			return NX_OK;
		give_back(fd);
		if (code != NX_E_SOURCE_LOST)
			break;
	}
	return code;
}

void process_kill(const struct worker *w)
{
	syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
	shutdown(w->fd, SHUT_RDWR); /* a dying process may take a while to close its end */
}

void process_end(struct worker *w)
{
	if (w->fd < 0)
		return;
	syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
	close(w->pidfd);
	give_back(w->fd);
	w->fd = w->pidfd = -1;
}
