/* nexus vault rotate: another master key for the secrets of data sources. The gateway must be
 * stopped; the store's instance lock sees to that, but not for a store on a server. */
#include <stdio.h>

#include "cli/client.h"
#include "gate/peers.h"
#include "store/store.h"
#include "store/vault.h"

const char nx_usage_vault[] =
	"usage: nexus vault rotate --old-key-file FILE --new-key-file FILE\n"
	"Encrypts all stored secrets with the new key, all or nothing. The new "
	"key's file is made when\n"
	"it does not exist. Stop the gateway before; afterwards let "
	"vault.keyFile name the new file, or\n"
	"move it over vault.key in dataDir.\n";

static enum nx_code load(const char *path, bool make, struct nx_vault **ret, struct nx_error *err)
{
	uint8_t key[NX_VAULT_KEY_LEN];
	enum nx_code c = nx_vault_key_file(path, make, key, err);
	if (!c)
		c = nx_vault_new(key, ret, err);
	nx_wipe(key, sizeof(key));
	return c;
}

static enum nx_code open_store(const struct nx_config *cfg, struct nx_store **ret,
			       struct nx_error *err)
{
	if (*nx_opt_str(cfg->values, "store.url", ""))
		return nx_gate_open_store(cfg->values, ret, err);
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/nexus.db",
			 nx_opt_str(cfg->values, "dataDir", ".nexus"));
	if (n < 0 || (size_t)n >= sizeof(path))
		return nx_fail(err, NX_E_CONFIG, "dataDir is too long.");
	FILE *f = fopen(path, "re"); /* never make a store here */
	if (!f)
		return nx_fail(err, NX_E_CONFIG, "Cannot open %s.", path);
	(void)fclose(f);
	return nx_store_open(path, ret, err);
}

static int rotate(const struct nx_config *cfg, const char *old_file, const char *new_file)
{
	struct nx_vault *from = NULL, *to = NULL;
	struct nx_store *s = NULL;
	struct nx_error err;
	uint32_t n = 0;
	enum nx_code c = open_store(cfg, &s, &err);
	if (!c)
		c = load(old_file, false, &from, &err);
	if (!c)
		c = load(new_file, true, &to, &err);
	if (!c)
		c = nx_store_reseal(s, from, to, &n, &err);
	nx_store_close(s);
	nx_vault_free(from);
	nx_vault_free(to);
	if (c) {
		fprintf(stderr, "nexus: %s: %s\n", nx_code_name(c), err.message);
		return NX_EXIT_FAIL;
	}
	printf("%u secrets are encrypted with the key in %s\n", n, new_file);
	return NX_EXIT_OK;
}

int nx_cmd_vault(struct nx_cli *cli)
{
	const char *old_file = nx_cli_option(cli, "--old-key-file", NULL);
	const char *new_file = nx_cli_option(cli, "--new-key-file", NULL);
	if (cli->argc != 1 || strcmp(cli->argv[0], "rotate") != 0 || !old_file || !new_file) {
		fputs(nx_usage_vault, stderr);
		return NX_EXIT_USAGE;
	}
	struct nx_config cfg;
	if (!nx_cli_config(cli, &cfg))
		return NX_EXIT_FAIL;
	int ret = rotate(&cfg, old_file, new_file);
	nx_config_done(&cfg);
	return ret;
}
