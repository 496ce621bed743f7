/* The CLI as a client of a running gateway, over its own HTTP API.
 *
 * Address: --url, NEXUS_URL, or http://127.0.0.1:8080. Credential: --key, NEXUS_TOKEN, or the first
 * admin key in the data directory. Threads: one client per thread. */
#ifndef NX_CLI_CLIENT_H
#define NX_CLI_CLIENT_H

#include "base/json.h"
#include "cli/cli.h"

struct nx_client;

/* Takes --url and --key out of the command's arguments. NULL after saying why. */
struct nx_client *nx_client_new(struct nx_cli *cli);
void nx_client_free(struct nx_client *c);

/* One request; body NULL: none. The answer's `data` on success, else prints the error and returns
 * NULL. A 204 gives an empty object. The tree lives as long as the arena. */
const struct nx_json *nx_client_call(struct nx_client *c, const char *method, const char *path,
				     const char *body, struct nx_arena *a);
/* As call (GET without a body, else POST), but the body of a 200 goes to `write` as it comes. Returns an exit status. */
int nx_client_stream(struct nx_client *c, const char *path, const char *body,
		     bool (*write)(const char *data, size_t len, void *arg), void *arg);

/* Value of --name in argv, taken out of it; `fallback` when absent. */
const char *nx_cli_option(struct nx_cli *cli, const char *name, const char *fallback);
/* True when --name stands in argv; taken out. */
bool nx_cli_switch(struct nx_cli *cli, const char *name);

#endif
