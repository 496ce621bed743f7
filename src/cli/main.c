#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/restart.h"

static int cmd_version(struct nx_cli *cli)
{
	(void)cli;
	puts("nexus " NX_VERSION);
	return NX_EXIT_OK;
}

static const struct {
	const char *name;
	int (*run)(struct nx_cli *cli);
	const char *usage, *help;
} commands[] = {
	{ "serve", nx_cmd_serve, nx_usage_serve, "run the gateway" },
	{ "query", nx_cmd_query, nx_usage_query, "run one statement on a running gateway" },
	{ "source", nx_cmd_source, nx_usage_source, "list, add, test and remove data sources" },
	{ "token", nx_cmd_token, nx_usage_token, "issue, list and revoke API keys and tokens" },
	{ "audit", nx_cmd_audit, nx_usage_audit, "verify the audit log" },
	{ "check", nx_cmd_check, nx_usage_check,
	  "judge the configuration and say what each source would do" },
	{ "health", nx_cmd_health, nx_usage_health, "ask a gateway whether it is alive, or ready" },
	{ "bench", nx_cmd_bench, nx_usage_bench, "measure a running gateway with one statement" },
	{ "vault", nx_cmd_vault, nx_usage_vault, "give the vault another key" },
	{ "version", cmd_version, "usage: nexus version\n", "print the version" },
};

/* Short names of keys that are typed often. */
static const struct {
	const char *flag, *key;
} aliases[] = {
	{ "listen", "http.listen" },
	{ "port-file", "http.portFile" },
	{ "data-dir", "dataDir" },
};

static int usage(FILE *to)
{
	fputs("usage: nexus COMMAND [-c nexus.yaml] [--key value] ...\n\n", to);
	for (size_t i = 0; i < NX_COUNTOF(commands); i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputs("\nEvery configuration key is also a flag (--http.listen 127.0.0.1:8080) and an\n"
	      "environment variable (NEXUS_HTTP_LISTEN). docs/config.md lists them.\n"
	      "nexus COMMAND --help says more of one.\n",
	      to);
	return NX_EXIT_USAGE;
}

bool nx_cli_config(struct nx_cli *cli, struct nx_config *ret)
{
	struct nx_error err;
	if (nx_config_load(cli->config_file, cli->flags, cli->nflags, ret, &err) == NX_OK)
		return true;
	fprintf(stderr, "nexus: %s\n", err.message);
	return false;
}

static const char *config_key(const char *flag, size_t len)
{
	for (size_t i = 0; i < NX_COUNTOF(aliases); i++)
		if (nx_str_eq(nx_strn(flag, len), nx_str(aliases[i].flag)))
			return aliases[i].key;
	const struct nx_option *o = nx_option_find(nx_config_keys, nx_strn(flag, len));
	return o ? o->key : NULL;
}

/* After the command or its verb: further on it may be the value of an option. */
static bool wants_help(int argc, char **argv)
{
	for (int i = 2; i < argc && i < 4; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
		if (*argv[i] == '-')
			break;
	}
	return false;
}

/* Takes -c and configuration flags out of argv; what is left belongs to the command. */
static bool take_flags(struct nx_cli *cli, int argc, char **argv)
{
	static char pairs[64][4096];
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) {
			if (++i == argc)
				return false;
			cli->config_file = argv[i];
			continue;
		}
		const char *flag = argv[i] + 2;
		size_t len = strncmp(argv[i], "--", 2) == 0 ? strcspn(flag, "=") : 0;
		const char *key = len ? config_key(flag, len) : NULL;
		if (!key) {
			cli->argv[cli->argc++] = argv[i];
			continue;
		}
		const char *value = flag[len] == '=' ? flag + len + 1 : ++i < argc ? argv[i] : NULL;
		if (!value || cli->nflags == NX_COUNTOF(pairs))
			return false;
		int n = snprintf(pairs[cli->nflags], sizeof(pairs[0]), "%s=%s", key, value);
		if (n < 0 || (size_t)n >= sizeof(pairs[0]))
			return false;
		cli->flags[cli->nflags] = pairs[cli->nflags];
		cli->nflags++;
	}
	return true;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return usage(stderr);
	nx_restart_remember(argc, argv);
	if (strcmp(argv[1], "--version") == 0)
		return cmd_version(NULL);
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0) {
		usage(stdout);
		return NX_EXIT_OK;
	}
	for (size_t i = 0; i < NX_COUNTOF(commands); i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (wants_help(argc, argv)) {
			fputs(commands[i].usage, stdout);
			return NX_EXIT_OK;
		}
		struct nx_cli cli = { .argv = calloc((size_t)argc, sizeof(char *)) };
		if (!cli.argv)
			return NX_EXIT_FAIL;
		int r = take_flags(&cli, argc - 2, argv + 2) ? commands[i].run(&cli)
							     : usage(stderr);
		free(cli.argv);
		return r;
	}
	fprintf(stderr, "nexus: unknown command %s\n", argv[1]);
	return usage(stderr);
}
