#include "cli/restart.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"

#define HANDED "NEXUS_HANDED_OVER" /* "<http.listen> <fd> <fd> ..." */

extern char **environ;

static struct {
	char exe[4096]; /* by name: what is installed there later is the new program */
	char **argv;
} self;

void nx_restart_remember(int argc, char **argv)
{
	ssize_t n = readlink("/proc/self/exe", self.exe, sizeof(self.exe) - 1);
	self.exe[n > 0 ? n : 0] = '\0';
	self.argv = calloc((size_t)argc + 2, sizeof(char *)); /* lives as long as the process */
	for (int i = 0; self.argv && i < argc; i++)
		self.argv[i] = argv[i];
}

/* `nexus serve -c FILE ...` as `nexus check --start -c FILE ...`. */
static bool would_start(void)
{
	int n = 0, status;
	while (self.argv[n])
		n++;
	char **argv = calloc((size_t)n + 2, sizeof(char *));
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	if (!argv)
		return false;
	memcpy(argv, self.argv, (size_t)n * sizeof(char *));
	static char check[] = "check", start[] = "--start";
	for (int i = 1; i < n; i++)
		if (strcmp(argv[i], "serve") == 0) {
			argv[i] = check;
			break;
		}
	argv[n] = start;
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	int e = posix_spawn(&pid, self.exe, NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	free(argv);
	if (e) {
		nx_log(NX_LOG_ERROR, "restart", "cannot run %s: %s", self.exe, strerror(e));
		return false;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool leave_note(const char *listen, const struct nx_inherited *h)
{
	struct nx_buf b;
	nx_buf_init(&b, 65536);
	for (const char *p = listen; *p; p++) /* blanks separate here */
		if (*p != ' ')
			nx_buf_putc(&b, *p);
	for (uint32_t i = 0; i < h->n; i++)
		nx_buf_printf(&b, " %d", h->fds[i]);
	nx_buf_putc(&b, '\0');
	bool ok = !b.failed && setenv(HANDED, b.data, 1) == 0;
	nx_buf_done(&b);
	return ok;
}

void nx_restart(struct nx_gateway *gw)
{
	char listen[4096];
	struct nx_inherited handed;
	if (!self.exe[0] || !self.argv || !would_start()) {
		nx_log(NX_LOG_ERROR, "restart", "refused: %s would not start", self.exe);
		return;
	}
	(void)snprintf(listen, sizeof(listen), "%s",
		       nx_opt_str(gw->config.values, "http.listen", ""));
	if (!nx_gateway_hand_over(gw, &handed)) {
		nx_log(NX_LOG_ERROR, "restart", "refused: the listeners cannot be handed over");
		return;
	}
	if (leave_note(listen, &handed))
		execv(self.exe, self.argv);
	nx_log(NX_LOG_ERROR, "restart", "cannot run %s: %s", self.exe, strerror(errno));
	exit(NX_EXIT_FAIL); /* the service manager starts it anew */
}

bool nx_restart_pending(void)
{
	return getenv(HANDED) != NULL;
}

void nx_restart_inherited(const struct nx_config *cfg, struct nx_inherited *ret)
{
	ret->n = 0;
	char *note = getenv(HANDED);
	if (!note)
		return;
	struct nx_buf b;
	nx_buf_init(&b, 4096);
	for (const char *p = nx_opt_str(cfg->values, "http.listen", ""); *p; p++)
		if (*p != ' ')
			nx_buf_putc(&b, *p);
	char *save = NULL, *listen = strtok_r(note, " ", &save);
	bool same = listen && nx_str_is(nx_buf_str(&b), listen);
	nx_buf_done(&b);
	for (char *p; (p = strtok_r(NULL, " ", &save)) && ret->n < NX_COUNTOF(ret->fds);) {
		uint64_t fd;
		if (!nx_str_to_u64(nx_str(p), &fd) || fd < 3 || fd > 65535)
			continue;
		if (same)
			ret->fds[ret->n++] = (int)fd;
		else
			close((int)fd); /* listens elsewhere now: who waited there is cut off */
	}
	unsetenv(HANDED);
}
