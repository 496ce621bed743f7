/* The command line: one function per command, listed in main.c. */
#ifndef NX_CLI_CLI_H
#define NX_CLI_CLI_H

#include "gate/config.h"

/* What every command understands: -c FILE and --key value of config.def. Positional arguments and
 * options of the command itself stay in argv[0..argc). */
struct nx_cli {
	const char *config_file; /* NULL: none */
	const char *flags[64];   /* "key=value" */
	uint32_t nflags;
	int argc;
	char **argv;
};

enum { NX_EXIT_OK = 0, NX_EXIT_FAIL = 1, NX_EXIT_USAGE = 2 };

int nx_cmd_serve(struct nx_cli *cli);
int nx_cmd_query(struct nx_cli *cli);
int nx_cmd_source(struct nx_cli *cli);
int nx_cmd_token(struct nx_cli *cli);
int nx_cmd_token_fetch(struct nx_cli *cli); /* of nx_cmd_token() */
int nx_cmd_audit(struct nx_cli *cli);
int nx_cmd_health(struct nx_cli *cli);
int nx_cmd_check(struct nx_cli *cli);
int nx_cmd_vault(struct nx_cli *cli);
int nx_cmd_bench(struct nx_cli *cli);

/* What --help of a command prints. */
extern const char nx_usage_serve[], nx_usage_query[], nx_usage_source[], nx_usage_token[], nx_usage_audit[],
	nx_usage_check[], nx_usage_health[], nx_usage_bench[], nx_usage_vault[];

/* Loads the configuration or prints why not. */
NX_NODISCARD bool nx_cli_config(struct nx_cli *cli, struct nx_config *ret);

#endif
