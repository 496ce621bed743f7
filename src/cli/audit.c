/* nexus audit verify: is the audit log whole? Needs no gateway and writes nothing. */
#include <stdio.h>

#include "cli/cli.h"
#include "stats/audit.h"

const char nx_usage_audit[] = "usage: nexus audit verify [DIR]\n"
			      "DIR is audit/ of dataDir unless given. Says each record that was "
			      "edited, removed or moved,\n"
			      "by file and line; the exit status is 1 then.\n";

static void problem(const char *file, uint64_t line, const char *what, void *arg)
{
	(void)arg;
	if (line)
		printf("%s:%llu: %s\n", file, (unsigned long long)line, what);
	else
		printf("%s: %s\n", file, what);
}

static int verify(const char *dir)
{
	struct nx_audit_report r;
	struct nx_error err;
	if (nx_audit_verify(dir, problem, NULL, &r, &err)) {
		fprintf(stderr, "nexus: %s\n", err.message);
		return NX_EXIT_FAIL;
	}
	if (r.files == 0) {
		fprintf(stderr, "nexus: %s holds no audit files\n", dir);
		return NX_EXIT_FAIL;
	}
	printf("%llu records in %u files, %llu to %llu, last hash %s\n",
	       (unsigned long long)r.records, r.files, (unsigned long long)r.first_seq,
	       (unsigned long long)r.last_seq, r.last_hash);
	if (r.begins_later)
		puts("earlier files are not here");
	if (r.open_ended)
		puts("the last file has no closing record: it is being written, or a crash ended "
		     "it");
	printf("%llu problems\n", (unsigned long long)r.problems);
	return r.problems ? NX_EXIT_FAIL : NX_EXIT_OK;
}

int nx_cmd_audit(struct nx_cli *cli)
{
	if (cli->argc < 1 || cli->argc > 2 || strcmp(cli->argv[0], "verify") != 0) {
		fputs(nx_usage_audit, stderr);
		return NX_EXIT_USAGE;
	}
	if (cli->argc == 2)
		return verify(cli->argv[1]);
	struct nx_config cfg;
	if (!nx_cli_config(cli, &cfg))
		return NX_EXIT_FAIL;
	char dir[4096];
	int n = snprintf(dir, sizeof(dir), "%s/audit", nx_opt_str(cfg.values, "dataDir", ".nexus"));
	int ret = n > 0 && (size_t)n < sizeof(dir) ? verify(dir) : NX_EXIT_FAIL;
	nx_config_done(&cfg);
	return ret;
}
