#include "test.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_SKIP = 77 };

static struct {
	const char *name;
	nx_test_fn *fn;
	unsigned seconds;
} tests[4096];
static size_t ntests;

void nx_test_register(const char *name, nx_test_fn *fn, unsigned seconds)
{
	if (ntests == NX_COUNTOF(tests))
		abort();
	tests[ntests].name = name;
	tests[ntests].fn = fn;
	tests[ntests].seconds = seconds;
	ntests++;
}

void nx_test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	printf("# %s:%d: ", file, line);
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	fflush(stdout);
	exit(1);
}

void nx_test_skip(const char *why)
{
	printf("# SKIP %s\n", why);
	fflush(stdout);
	exit(EXIT_SKIP);
}

void nx_test_eq_i(const char *file, int line, const char *what, int64_t want, int64_t got)
{
	if (want != got)
		nx_test_fail(file, line, "%s: want %lld, got %lld", what, (long long)want,
			     (long long)got);
}

void nx_test_eq_s(const char *file, int line, const char *what, struct nx_str want,
		  struct nx_str got)
{
	if (!nx_str_eq(want, got))
		nx_test_fail(file, line, "%s:\n#  want «" NX_STR_FMT "»\n#  got  «" NX_STR_FMT "»",
			     what, NX_STR_ARG(want), NX_STR_ARG(got));
}

static int run(size_t i)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0) {
		perror("fork");
		return 1;
	}
	if (pid == 0) {
		alarm(tests[i].seconds);
		tests[i].fn();
		exit(0);
	}
	int status;
	while (waitpid(pid, &status, 0) < 0)
		;
	if (WIFSIGNALED(status)) {
		printf("# %s: killed by signal %d%s\n", tests[i].name, WTERMSIG(status),
		       WTERMSIG(status) == SIGALRM ? " (took too long)" : "");
		return 1;
	}
	return WEXITSTATUS(status);
}

/* Arguments: names to run; none means all. --direct runs in this process, for a debugger. */
int main(int argc, char **argv)
{
	bool direct = argc > 1 && strcmp(argv[1], "--direct") == 0;
	int first = direct ? 2 : 1, failed = 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%zu\n", argc > first ? (size_t)(argc - first) : ntests);
	size_t n = 0;
	for (size_t i = 0; i < ntests; i++) {
		bool wanted = argc <= first;
		for (int k = first; k < argc; k++)
			wanted |= strcmp(argv[k], tests[i].name) == 0;
		if (!wanted)
			continue;
		int r = 0;
		if (direct)
			tests[i].fn();
		else
			r = run(i);
		n++;
		if (r == EXIT_SKIP) {
			printf("ok %zu %s # SKIP\n", n, tests[i].name);
		} else {
			printf("%s %zu %s\n", r ? "not ok" : "ok", n, tests[i].name);
			failed += r != 0;
		}
	}
	return failed ? 1 : 0;
}
