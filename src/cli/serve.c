/* nexus serve: the gateway in the foreground until SIGTERM or SIGINT. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/notify.h"
#include "cli/restart.h"
#include "gate/gateway.h"

/* As many descriptors as the system lets us have: a client and a source connection each take one. */
static void raise_limits(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &l))
			nx_log(NX_LOG_WARN, "start", "cannot raise the descriptor limit");
	}
}

/* LeakSanitizer attaches to its own process, which a process that is not dumpable refuses. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(leak_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* The memory of this process holds passwords and keys: no core dump, no debugger of the same user, and
 * no program started from here may gain rights. Children inherit the first and the last. */
static void harden(void)
{
	const struct rlimit none = { 0, 0 };
	bool ok = setrlimit(RLIMIT_CORE, &none) == 0;
	ok &= prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
	if (!ok)
		nx_log(NX_LOG_WARN, "start", "the process cannot be hardened in full");
}

/* After start: the engine's parent process, which holds no secret, is forked before and keeps its
 * own /proc files, where it sets what the kernel may kill first. */
static void hide(void)
{
	if (!SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		nx_log(NX_LOG_WARN, "start", "the process cannot be made undumpable");
}

/* Before the reload, and whatever comes of that: the old file may have been moved away. */
static void reopen_log(void)
{
	struct nx_error err;
	if (nx_log_reopen(&err))
		nx_log_error(NX_LOG_ERROR, "log", NULL, &err);
}

static void reload(struct nx_cli *cli, struct nx_gateway *gw)
{
	struct nx_config fresh;
	struct nx_error err;
	if (nx_config_load(cli->config_file, cli->flags, cli->nflags, &fresh, &err))
		nx_gateway_reload_failed(gw, &err);
	else
		nx_gateway_reload(gw, &fresh);
}

/* Files that have changed and then stayed the same for a turn, so that half a file is not read. */
struct watch {
	uint64_t tried, last;
};

static bool has_changed(struct watch *w, const struct nx_gateway *gw)
{
	const struct nx_config *c = nx_gateway_config(gw);
	if (!nx_opt_bool(c->values, "reload.watch", true) || c->nfiles == 0)
		return false;
	uint64_t now = nx_config_look(c);
	bool settled = now == w->last && now != c->seen && now != w->tried;
	w->last = now;
	if (settled)
		w->tried = now;
	return settled;
}

/* SIGHUP: reload. SIGUSR2: restart in place. SIGTERM, SIGINT: stop. */
static int attend(struct nx_cli *cli, struct nx_gateway *gw, const sigset_t *mine)
{
	static const struct timespec turn = { .tv_sec = 1 };
	struct watch w = { 0 };
	for (;;) {
		switch (sigtimedwait(mine, NULL, &turn)) {
		case SIGHUP:
			reopen_log();
			reload(cli, gw);
			break;
		case SIGUSR2:
			nx_restart(gw);
			break;
		case SIGTERM:
		case SIGINT:
			nx_notify("STOPPING=1");
			nx_gateway_stop(gw);
			return NX_EXIT_OK;
		default:
			if (has_changed(&w, gw))
				reload(cli, gw);
		}
	}
}

/* Handed over, it was judged good a moment ago and clients wait: a file that is being written just now is
 * read again until it is whole, for ten seconds. */
static bool read_config(struct nx_cli *cli, struct nx_config *ret)
{
	static const struct timespec turn = { .tv_nsec = 500000000 };
	for (int again = nx_restart_pending() ? 20 : 0;; again--) {
		if (nx_cli_config(cli, ret))
			return true;
		if (again == 0)
			return false;
		(void)nanosleep(&turn, NULL);
	}
}

const char nx_usage_serve[] = "usage: nexus serve [-c nexus.yaml] [--key value]...\n"
			      "Serves until SIGTERM or SIGINT. SIGHUP reads the configuration "
			      "again, SIGUSR2 restarts in\n"
			      "place. The first start makes dataDir (.nexus) and writes an admin "
			      "key to admin.key there.\n";

int nx_cmd_serve(struct nx_cli *cli)
{
	if (cli->argc > 0) {
		fprintf(stderr, "nexus serve: unknown argument %s\n", cli->argv[0]);
		fputs(nx_usage_serve, stderr);
		return NX_EXIT_USAGE;
	}
	/* Blocked first of all: only this thread sees them, however early they come. */
	sigset_t mine;
	sigemptyset(&mine);
	sigaddset(&mine, SIGTERM);
	sigaddset(&mine, SIGINT);
	sigaddset(&mine, SIGHUP);
	sigaddset(&mine, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &mine, NULL);

	struct nx_config cfg;
	if (!read_config(cli, &cfg))
		return NX_EXIT_FAIL;
#ifdef NX_TEST_WITHOUT_LAYER_A
	nx_log(NX_LOG_ERROR, "start", "THIS IS A TEST BUILD WITHOUT THE SQL GATE");
#endif
	raise_limits();
	bool hardening = nx_opt_bool(cfg.values, "hardening", true);
	if (hardening)
		harden();
	signal(SIGPIPE, SIG_IGN);
	struct nx_inherited from;
	nx_restart_inherited(&cfg, &from);
	struct nx_gateway *gw;
	struct nx_error err;
	if (nx_gateway_start(&cfg, &from, &gw, &err)) {
		nx_log_error(NX_LOG_ERROR, "start", NULL, &err);
		fprintf(stderr, "nexus: %s\n", err.message);
		return NX_EXIT_FAIL;
	}
	if (hardening)
		hide();
	nx_notify("READY=1");
	return attend(cli, gw, &mine);
}
