/* The zygote: holds an opened DuckDB instance, has one thread, forks a worker for every socket the
 * gateway sends, removes what dead workers left. It leaves when the gateway does, however that
 * happened, for then its control socket ends; its workers die with it (PR_SET_PDEATHSIG). */
#include "engine/engine_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
	pid_t pid;
	uint64_t number;
};

#define MAX_CHILDREN 1024u

static struct child children[MAX_CHILDREN];
static unsigned nchildren;

static void die(const char *what)
{
	fprintf(stderr, "nexus-engine: %s: %s\n", what, strerror(errno));
	_exit(2);
}

static duckdb_database open_engine(void)
{
	static const char *const settings[][2] = {
		{ "threads", "1" }, /* no thread of its own: see engine_int.h */
		{ "memory_limit", "512MB" },
		{ "autoinstall_known_extensions", "false" },
		{ "autoload_known_extensions", "false" },
		{ "allow_community_extensions", "false" },
	};
	if (strcmp(duckdb_library_version(), NX_ENGINE_VERSION) != 0) {
		fprintf(stderr, "nexus-engine: DuckDB %s found, %s wanted\n",
			duckdb_library_version(), NX_ENGINE_VERSION);
		_exit(2);
	}
	duckdb_config config;
	if (duckdb_create_config(&config))
		die("config");
	for (size_t i = 0; i < NX_COUNTOF(settings); i++)
		if (duckdb_set_config(config, settings[i][0], settings[i][1]))
			die(settings[i][0]);
	duckdb_database db;
	char *why = NULL;
	if (duckdb_open_ext(NULL, &db, config, &why)) {
		fprintf(stderr, "nexus-engine: %s\n", why ? why : "cannot open DuckDB");
		_exit(2);
	}
	duckdb_destroy_config(&config);

	/* code and catalog pages a first query would touch are touched once, here */
	static const char *const warm[] = {
		"SELECT count(*), min(i::VARCHAR) FROM range(10) t(i) WHERE i % 3 = 1",
		"SELECT * FROM duckdb_columns() LIMIT 1",
	};
	duckdb_connection con;
	if (duckdb_connect(db, &con))
		die("connect");
	for (size_t i = 0; i < NX_COUNTOF(warm); i++) {
		duckdb_result r;
		if (duckdb_query(con, warm[i], &r))
			die(warm[i]);
		duckdb_destroy_result(&r);
	}
	duckdb_disconnect(&con);
	return db;
}

static bool single_thread(void)
{
	DIR *d = opendir("/proc/self/task");
	if (!d)
		return false;
	int n = 0;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n == 1;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st, (void)flag, (void)f;
	remove(path);
	return 0;
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void temp_name(char *out, size_t n, const char *base, uint64_t number)
{
	int len = snprintf(out, n, "%s/w%llu", base, (unsigned long long)number);
	if (len < 0 || (size_t)len >= n)
		_exit(2);
}

static void reap(const char *base)
{
	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);
		if (pid <= 0)
			return;
		for (unsigned i = 0; i < nchildren; i++) {
			if (children[i].pid != pid)
				continue;
			char temp[4096];
			temp_name(temp, sizeof temp, base, children[i].number);
			remove_tree(temp);
			children[i] = children[--nchildren];
			break;
		}
	}
}

static void spawn(int fd, int control, int signals, duckdb_database db, const char *base)
{
	static uint64_t number;
	number++;
	if (nchildren == MAX_CHILDREN)
		return; /* the closed socket tells the gateway */
	pid_t self = getpid();
	pid_t pid = fork();
	if (pid > 0)
		children[nchildren++] = (struct child){ pid, number };
	if (pid != 0)
		return;
	close(control);
	close(signals);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != self)
		_exit(1);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	char temp[4096];
	temp_name(temp, sizeof temp, base, number);
	nx_worker_run(fd, db, temp);
}

/* The socket that came with a control message; -1: none; -2: the gateway has gone. */
static int receive(int control)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} u;
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u.room
	};
	ssize_t n = recvmsg(control, &m, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EINTR ? -1 : -2;
	if (n == 0)
		return -2;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	int fd;
	memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

static void leave(const char *base)
{
	for (unsigned i = 0; i < nchildren; i++)
		kill(children[i].pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	remove_tree(base);
}

int nx_zygote_run(int control, const char *base)
{
	prctl(PR_SET_NAME, "nexus-engine");
	/* the threads of workers get their stacks from this default: deep JSON and SQL recurse */
	pthread_attr_t attr;
	if (pthread_attr_init(&attr) || pthread_attr_setstacksize(&attr, 64u << 20) ||
	    pthread_setattr_default_np(&attr))
		die("stack size");
	sigset_t chld;
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	int signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		die("signalfd");
	duckdb_database db = open_engine();
	if (!single_thread()) {
		fprintf(stderr, "nexus-engine: DuckDB started threads before it was forked\n");
		return 2;
	}
	struct pollfd p[2] = { { control, POLLIN, 0 }, { signals, POLLIN, 0 } };
	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			die("poll");
		if (p[1].revents) {
			struct signalfd_siginfo info;
			while (read(signals, &info, sizeof info) > 0)
				;
			reap(base);
		}
		if (!p[0].revents)
			continue;
		int fd = receive(control);
		if (fd == -2)
			break;
		if (fd >= 0) {
			spawn(fd, control, signals, db, base);
			close(fd);
		}
	}
	leave(base);
	_exit(0); /* the instance goes with the process */
}
