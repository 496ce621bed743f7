/* nexus token fetch: does an authentication block give a token? Needs no running gateway; nothing is kept but
 * what --keep names. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/net.h"
#include "cli/client.h"
#include "secrets/secrets.h"
#include "tokens/tokens.h"

static const char help[] =
	"usage: nexus token fetch FILE.yaml|FILE.json|- [--print] [--keep FILE] [-c nexus.yaml]\n"
	"FILE holds an authentication block, or a data source with one. --print writes the token "
	"itself to standard\n"
	"output. A refresh token may be good for one use only, so that kind needs --keep: the "
	"file gets what replaces\n"
	"it, and is read first the next time.\n";

/* ---- --keep ---- */

static enum nx_code keep_load(void *arg, const char *id, struct nx_arena *a, struct nx_str *ret,
			      struct nx_error *err)
{
	char *ref = nx_arena_printf(a, "${file:%s}", (const char *)arg);
	(void)id;
	if (!ref || access(arg, F_OK))
		return nx_fail(err, NX_E_NOT_FOUND, "No refresh token is kept.");
	return nx_secret_follow(nx_str(ref), "--keep", a, ret, err);
}

static enum nx_code keep_save(void *arg, const char *id, struct nx_str token, struct nx_error *err)
{
	char path[4096];
	(void)id;
	int n = snprintf(path, sizeof(path), "%s.new", (const char *)arg);
	int fd = n > 0 && (size_t)n < sizeof(path)
			 ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)
			 : -1;
	bool ok =
		fd >= 0 && write(fd, token.ptr, token.len) == (ssize_t)token.len && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	return ok && rename(path, arg) == 0
		       ? NX_OK
		       : nx_fail(err, NX_E_IO,
				 "The new refresh token cannot be written to --keep.");
}

/* ---- the block ---- */

static enum nx_code set(struct nx_options *o, const char *key, const struct nx_json *v,
			struct nx_arena *a, struct nx_error *err)
{
	const struct nx_option *spec = nx_option_find(nx_token_options, nx_str(key));
	struct nx_str text;
	if (!spec)
		return nx_fail(err, NX_E_UNKNOWN_KEY, "%s is not a key of authentication.", key);
	if (v->kind == NX_JSON_OBJECT || v->kind == NX_JSON_ARRAY)
		return nx_fail(err, NX_E_BAD_VALUE, "%s must be a text.", key);
	if (v->kind == NX_JSON_NULL)
		return NX_OK;
	enum nx_code c = nx_secret_follow(v->text, key, a, &text, err);
	return c ? c : nx_options_set(o, spec, text, err);
}

static enum nx_code options_of(const struct nx_json *root, struct nx_arena *a, struct nx_options *o,
			       struct nx_error *err)
{
	static const char *const beside[] = { "username", "account" };
	const struct nx_json *config = nx_json_get(root, "config");
	config = config ? config : root;
	const struct nx_json *block = nx_json_get(config, "authentication");
	block = block ? block : config;
	enum nx_code c = NX_OK;
	if (!block || block->kind != NX_JSON_OBJECT)
		return nx_fail(err, NX_E_BAD_VALUE, "There is no authentication block.");
	for (const struct nx_json *m = block->first; m && !c; m = m->next) {
		bool top = block == config &&
			   (nx_str_is(m->key, beside[0]) || nx_str_is(m->key, beside[1]));
		char *key = nx_arena_printf(a, "%s%.*s", top ? "" : "authentication.",
					    NX_STR_ARG(m->key));
		c = key ? set(o, key, m, a, err) : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	for (size_t i = 0; i < NX_COUNTOF(beside) && block != config && !c; i++) {
		const struct nx_json *v = nx_json_get(config, beside[i]);
		if (v)
			c = set(o, beside[i], v, a, err);
	}
	return c;
}

static enum nx_code read_block(const char *file, struct nx_arena *a, struct nx_options *o,
			       struct nx_error *err)
{
	FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	if (!f)
		return nx_fail(err, NX_E_IO, "Cannot open %s.", file);
	struct nx_buf b;
	nx_buf_init(&b, (size_t)1 << 20);
	char *room;
	size_t n;
	const struct nx_json *root = NULL;
	while ((room = nx_buf_reserve(&b, 4096)) && (n = fread(room, 1, 4096, f)) > 0)
		b.len += n;
	if (f != stdin)
		(void)fclose(f);
	enum nx_code c = nx_yaml_parse(nx_buf_str(&b), a, &root, err);
	if (b.data)
		nx_wipe(b.data, b.len);
	nx_buf_done(&b);
	return c ? c : options_of(root, a, o, err);
}

/* ---- the answer ---- */

static void say(const struct nx_token *t, bool print)
{
	int64_t left = t->expires == INT64_MAX ? -1 : (t->expires - nx_now()) / NX_SEC;
	FILE *to = print ? stderr : stdout;
	if (t->kind == NX_TOKEN_BEARER)
		fprintf(to, "a bearer token of %zu characters", strlen(t->text));
	else
		fprintf(to, "AWS credentials, key id %s", t->access_key_id);
	if (left >= 0)
		fprintf(to, ", good for %lld s\n", (long long)left);
	else
		fputs(", good for as long as it is\n", to);
	if (print && t->kind == NX_TOKEN_BEARER)
		puts(t->text);
	else if (print)
		printf("AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\nAWS_SESSION_TOKEN=%s\n",
		       t->access_key_id, t->secret_access_key,
		       t->session_token ? t->session_token : "");
}

static enum nx_code fetch(const char *file, const char *keep, bool print, struct nx_error *err)
{
	const struct nx_token_keeper keeper = { keep_load, keep_save, (void *)(uintptr_t)keep };
	struct nx_arena *a = nx_arena_new_secret((size_t)16 << 20);
	struct nx_options *o = nx_options_new();
	struct nx_token_handle *h = NULL;
	const struct nx_token *t = NULL;
	enum nx_code c =
		a && o ? read_block(file, a, o, err) : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!c && nx_opt_has(o, "authentication.refreshToken") && !keep)
		c = nx_fail(err, NX_E_BAD_VALUE,
			    "A refresh token may be good for one use only: give --keep.");
	if (!c && keep)
		nx_token_keep(&keeper);
	if (!c)
		c = nx_token_open(o, NULL, &h, err);
	if (!c)
		c = nx_token_get(h, nx_now() + 20 * NX_SEC, &t, err);
	if (!c)
		say(t, print);
	nx_token_unref(t);
	nx_token_close(h);
	nx_token_stop();
	nx_options_free(o);
	nx_arena_free(a);
	return c;
}

int nx_cmd_token_fetch(struct nx_cli *cli)
{
	const char *keep = nx_cli_option(cli, "--keep", NULL);
	bool print = nx_cli_switch(cli, "--print");
	struct nx_config cfg;
	struct nx_error err;
	if (cli->argc != 2) {
		fputs(help, stderr);
		return NX_EXIT_USAGE;
	}
	if (!nx_cli_config(cli, &cfg))
		return NX_EXIT_FAIL;
	enum nx_code c = nx_net_policy(nx_str(nx_opt_str(cfg.values, "network.allow", "")),
				       nx_str(nx_opt_str(cfg.values, "network.deny", "")), &err);
	if (!c)
		c = fetch(cli->argv[1], keep, print, &err);
	if (c)
		fprintf(stderr, "nexus: %s: %s%s%s\n", nx_code_name(c), err.message,
			*err.detail ? " " : "", err.detail);
	nx_config_done(&cfg);
	nx_kv_stop();
	return c ? NX_EXIT_FAIL : NX_EXIT_OK;
}
