/* nexus check: is the configuration right, and what would each source do? Nothing is written and,
 * without --connect, nothing is opened. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/net.h"
#include "catalog/vitals.h"
#include "cli/client.h"
#include "exec/exec.h"
#include "gate/gateway.h"
#include "gate/trace.h"
#include "http/http.h"
#include "store/store.h"

static void say_layers(const struct nx_driver *d, bool grants)
{
	static const struct {
		unsigned cap;
		const char *name;
	} layers[] = { { NX_CAP_RO_SESSION, "server" },
		       { NX_CAP_DESCRIBE, "describe" },
		       { NX_CAP_ONE_STATEMENT, "one statement" } };
	printf("    read-only layers: shape");
	for (size_t i = 0; i < NX_COUNTOF(layers); i++)
		if (d->caps & layers[i].cap)
			printf(", %s", layers[i].name);
	puts(grants ? ", grants" : "");
}

static bool check_source(struct nx_catalog *cat, const struct nx_json *body, bool connect)
{
	const struct nx_json *name = nx_json_get(body, "name");
	printf("source %s\n", name && name->text.ptr ? name->text.ptr : "(no name)");
	struct nx_arena *a = nx_arena_new(0);
	struct nx_str rules = { NULL, 0 };
	struct nx_error err;
	const struct nx_data_source *s;
	bool ok = false;
	if (!a || nx_catalog_build(cat, body, a, &rules, &s, &err)) {
		printf("    WRONG: %s\n", a ? err.message : "out of memory");
		nx_arena_free(a);
		return false;
	}
	if (!s->driver) {
		printf("    %s: known, its driver is not built in\n", s->type->name);
	} else {
		printf("    %s by driver %s; at most %u connections, %u streams, queries end after "
		       "%g s\n",
		       s->type->name, s->driver->name, s->limits.max_pool, s->limits.max_streams,
		       s->limits.query_ms / 1000.0);
		ok = true;
	}
	struct nx_grants g = { .can_write = true }; /* until the account was looked at */
	int64_t took = 0;
	bool here = ok && connect &&
		    !nx_exec_probe(s, nx_now() + (int64_t)s->limits.connect_ms * NX_MS, &g, &took,
				   &err);
	if (ok)
		say_layers(s->driver, here && s->driver->probe && nx_grants_read_only(&g));
	if (here) {
		printf("    connected in %.1f ms. %s\n", (double)took / 1e6, g.summary);
	} else if (ok && connect) {
		printf("    cannot connect: %s: %s\n", nx_code_name(err.code), err.message);
		ok = false;
	}
	nx_data_source_unref(s);
	nx_arena_free(a);
	return ok;
}

/* What would keep `nexus serve` from starting; a source whose driver is not built in does not. */
static bool would_start(const struct nx_config *cfg, struct nx_catalog *cat)
{
	struct nx_error err;
	struct nx_http_tls *tls = NULL;
	const char *cert = nx_opt_str(cfg->values, "http.tls.cert", ""),
		   *key = nx_opt_str(cfg->values, "http.tls.key", "");
	enum nx_code c = nx_catalog_declare(cat, cfg->sources, NULL, &err);
	if (!c)
		c = nx_gateway_check_key_file(cfg->values, &err);
	if (!c && (*cert || *key))
		c = nx_http_tls_load(cert, key, &tls, &err);
	if (!c)
		c = nx_log_open(nx_opt_str(cfg->values, "log.file", ""), &err);
	nx_http_tls_drop(tls);
	if (c)
		fprintf(stderr, "nexus: %s\n", err.message);
	return !c;
}

const char nx_usage_check[] =
	"usage: nexus check [-c nexus.yaml] [--connect | --start]\n"
	"Says what is wrong with the configuration and what each data source would do.\n"
	"--connect logs in to each and tells what its account may write; --start asks only "
	"whether\n"
	"`nexus serve` would start, with its certificate, vault key and log file.\n";

int nx_cmd_check(struct nx_cli *cli)
{
	bool connect = nx_cli_switch(cli, "--connect"), start = nx_cli_switch(cli, "--start");
	if (cli->argc > 0) {
		fputs(nx_usage_check, stderr);
		return NX_EXIT_USAGE;
	}
	struct nx_config cfg;
	if (!nx_cli_config(cli, &cfg))
		return NX_EXIT_FAIL;
	static const uint8_t no_key[32];
	struct nx_store *store = NULL;
	struct nx_catalog *cat = NULL;
	struct nx_error err;
	struct nx_auth_config auth = nx_gateway_auth_config(cfg.values);
	bool ok =
		nx_gateway_check(cfg.values, &err) == NX_OK &&
		nx_auth_config_check(&auth, &err) == NX_OK &&
		nx_gateway_check_traces(cfg.values, &err) == NX_OK &&
		nx_net_policy(nx_str(nx_opt_str(cfg.values, "network.allow", "")),
			      nx_str(nx_opt_str(cfg.values, "network.deny", "")), &err) == NX_OK &&
		nx_store_url_check(nx_opt_str(cfg.values, "store.url", ""), &err) == NX_OK &&
		nx_store_open(":memory:", &store, &err) == NX_OK &&
		nx_catalog_open(store, no_key, &cat, &err) == NX_OK;
	if (ok)
		printf("configuration: ok%s%s\n", cli->config_file ? ", " : "",
		       cli->config_file ? cli->config_file : "");
	else
		fprintf(stderr, "nexus: %s\n", err.message);
	if (ok && start)
		ok = would_start(&cfg, cat);
	for (const struct nx_json *s = cfg.sources && ok && !start ? cfg.sources->first : NULL; s;
	     s = s->next)
		ok &= check_source(cat, s, connect);
	nx_catalog_free(cat);
	nx_store_close(store);
	nx_config_done(&cfg);
	return ok ? NX_EXIT_OK : NX_EXIT_FAIL;
}
