/* nexus serve: the gateway in the foreground until SIGTERM or SIGINT. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/log.h"
#include "cli/cli.h"
#include "gate/gateway.h"

static void setup_log(const struct nx_config *cfg)
{
	static const char *const levels[] = { "debug", "info", "warn", "error" };
	const char *want = nx_opt_str(cfg->values, "log.level", "info");
	enum nx_log_level level = NX_LOG_INFO;
	for (int i = 0; i < 4; i++)
		if (strcmp(levels[i], want) == 0)
			level = (enum nx_log_level)i;
	nx_log_setup(level, -1, nx_opt_bool(cfg->values, "log.pretty", false));
}

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

int nx_cmd_serve(struct nx_cli *cli)
{
	if (cli->argc > 0) {
		fprintf(stderr, "nexus serve: unknown argument %s\n", cli->argv[0]);
		return NX_EXIT_USAGE;
	}
	/* Blocked first of all: only sigwait here sees them, however early they come. */
	sigset_t stop;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	pthread_sigmask(SIG_BLOCK, &stop, NULL);

	struct nx_config cfg;
	if (!nx_cli_config(cli, &cfg))
		return NX_EXIT_FAIL;
	setup_log(&cfg);
#ifdef NX_TEST_WITHOUT_LAYER_A
	nx_log(NX_LOG_ERROR, "start", "THIS IS A TEST BUILD WITHOUT THE SQL GATE");
#endif
	raise_limits();
	bool hardening = nx_opt_bool(cfg.values, "hardening", true);
	if (hardening)
		harden();
	signal(SIGPIPE, SIG_IGN);
	struct nx_gateway *gw;
	struct nx_error err;
	if (nx_gateway_start(&cfg, &gw, &err)) {
		nx_log_error(NX_LOG_ERROR, "start", NULL, &err);
		fprintf(stderr, "nexus: %s\n", err.message);
		return NX_EXIT_FAIL;
	}
	if (hardening)
		hide();
	int sig;
	sigwait(&stop, &sig);
	nx_gateway_stop(gw);
	return NX_EXIT_OK;
}
