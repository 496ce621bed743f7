/* nexus token: API keys and tokens of a running gateway. */
#include <stdio.h>

#include "cli/client.h"

const char nx_usage_token[] = "usage: nexus token create NAME --role agent|analyst|operator|admin "
			      "[--ttl SECONDS] [--jwt]\n"
			      "                          [--scopes A,B] [--sources A,B]\n"
			      "       nexus token list\n"
			      "       nexus token revoke ID\n"
			      "       nexus token fetch FILE   (tries an authentication block)\n"
			      "options: --url URL  --key KEY\n"
			      "A new key or token is printed once, alone on standard output.\n";

static const char *text(const struct nx_json *o, const char *key)
{
	const struct nx_json *v = nx_json_get(o, key);
	return v && v->text.ptr ? v->text.ptr : "";
}

/* "a,b" as a member with an array of texts. */
static void put_list(struct nx_buf *b, const char *key, const char *list)
{
	if (!list)
		return;
	nx_buf_printf(b, ",\"%s\":[", key);
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",");
		nx_buf_puts(b, p == list ? "" : ",");
		nx_buf_put_json(b, nx_str_trim(nx_strn(p, n)));
		p += n + (p[n] ? 1 : 0);
	}
	nx_buf_putc(b, ']');
}

static int create(struct nx_cli *cli, struct nx_client *c, struct nx_arena *a)
{
	const char *role = nx_cli_option(cli, "--role", NULL);
	const char *ttl = nx_cli_option(cli, "--ttl", NULL);
	const char *scopes = nx_cli_option(cli, "--scopes", NULL);
	const char *sources = nx_cli_option(cli, "--sources", NULL);
	bool jwt = nx_cli_switch(cli, "--jwt");
	if (cli->argc != 2 || !role) {
		fputs(nx_usage_token, stderr);
		return NX_EXIT_USAGE;
	}
	struct nx_buf b;
	nx_buf_init(&b, 65536);
	nx_buf_puts(&b, "{\"name\":");
	nx_buf_put_json(&b, nx_str(cli->argv[1]));
	nx_buf_puts(&b, ",\"role\":");
	nx_buf_put_json(&b, nx_str(role));
	nx_buf_printf(&b, ",\"kind\":\"%s\"", jwt ? "jwt" : "key");
	if (ttl)
		nx_buf_printf(&b, ",\"ttl\":%s", ttl);
	put_list(&b, "scopes", scopes);
	put_list(&b, "sources", sources);
	nx_buf_put(&b, "}", 2); /* with the NUL */
	const struct nx_json *d =
		b.failed ? NULL : nx_client_call(c, "POST", "/api/v1/keys", b.data, a);
	nx_buf_done(&b);
	if (!d)
		return NX_EXIT_FAIL;
	puts(text(d, jwt ? "token" : "key"));
	return NX_EXIT_OK;
}

static int list(struct nx_client *c, struct nx_arena *a)
{
	const struct nx_json *d = nx_client_call(c, "GET", "/api/v1/keys", NULL, a);
	const struct nx_json *keys = nx_json_get(d, "keys");
	if (!d)
		return NX_EXIT_FAIL;
	printf("%-36s %-10s %-10s %-26s %-26s %s\n", "ID", "PREFIX", "ROLE", "EXPIRES", "LAST USED",
	       "NAME");
	for (const struct nx_json *k = keys ? keys->first : NULL; k; k = k->next)
		printf("%-36s %-10s %-10s %-26s %-26s %s\n", text(k, "id"), text(k, "prefix"),
		       text(k, "role"), *text(k, "expiresAt") ? text(k, "expiresAt") : "never",
		       *text(k, "lastUsedAt") ? text(k, "lastUsedAt") : "never", text(k, "name"));
	return NX_EXIT_OK;
}

static int revoke(struct nx_cli *cli, struct nx_client *c, struct nx_arena *a)
{
	char *path = strspn(cli->argv[1], "0123456789abcdef-") == strlen(cli->argv[1])
			     ? nx_arena_printf(a, "/api/v1/keys/%s", cli->argv[1])
			     : NULL;
	if (!path) {
		fputs("nexus: an id is a UUID\n", stderr);
		return NX_EXIT_USAGE;
	}
	if (!nx_client_call(c, "DELETE", path, NULL, a))
		return NX_EXIT_FAIL;
	puts("revoked");
	return NX_EXIT_OK;
}

int nx_cmd_token(struct nx_cli *cli)
{
	int ret = NX_EXIT_USAGE;
	if (cli->argc >= 1 && strcmp(cli->argv[0], "fetch") == 0)
		return nx_cmd_token_fetch(cli);
	struct nx_arena *a = nx_arena_new(0);
	struct nx_client *c = nx_client_new(cli);
	if (!a || !c)
		ret = NX_EXIT_FAIL;
	else if (cli->argc >= 1 && strcmp(cli->argv[0], "create") == 0)
		ret = create(cli, c, a);
	else if (cli->argc == 1 && strcmp(cli->argv[0], "list") == 0)
		ret = list(c, a);
	else if (cli->argc == 2 && strcmp(cli->argv[0], "revoke") == 0)
		ret = revoke(cli, c, a);
	else
		fputs(nx_usage_token, stderr);
	nx_client_free(c);
	nx_arena_free(a);
	return ret;
}
