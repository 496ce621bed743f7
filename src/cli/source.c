/* nexus source: list, add, test, remove. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/client.h"

const char nx_usage_source[] =
	"usage: nexus source list\n"
	"       nexus source add FILE.yaml|FILE.json|-   (name, type, config)\n"
	"       nexus source test NAME\n"
	"       nexus source remove NAME\n"
	"       nexus source export                      (YAML, without secrets)\n"
	"       nexus source import FILE.yaml|FILE.json|- [--dry-run]\n"
	"options: --url URL  --key KEY\n";

static const char *text(const struct nx_json *o, const char *key)
{
	const struct nx_json *v = nx_json_get(o, key);
	return v && v->text.ptr ? v->text.ptr : "";
}

static int list(struct nx_client *c, struct nx_arena *a)
{
	const struct nx_json *d =
		nx_client_call(c, "GET", "/api/v1/datasources?limit=1000", NULL, a);
	const struct nx_json *all = nx_json_get(d, "dataSources");
	if (!d)
		return NX_EXIT_FAIL;
	printf("%-24s %-14s %-9s %s\n", "NAME", "TYPE", "STATUS", "ID");
	for (const struct nx_json *s = all ? all->first : NULL; s; s = s->next)
		printf("%-24s %-14s %-9s %s\n", text(s, "name"), text(s, "type"), text(s, "status"),
		       text(s, "id"));
	return NX_EXIT_OK;
}

/* A YAML or JSON file as the body of a POST. */
static const struct nx_json *post_file(struct nx_client *c, const char *path, const char *file,
				       struct nx_arena *a)
{
	FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	if (!f) {
		fprintf(stderr, "nexus: cannot open %s\n", file);
		return NULL;
	}
	struct nx_buf b;
	nx_buf_init(&b, (size_t)16 << 20);
	char *room;
	size_t n;
	while ((room = nx_buf_reserve(&b, 4096)) && (n = fread(room, 1, 4096, f)) > 0)
		b.len += n;
	if (f != stdin)
		(void)fclose(f);
	const struct nx_json *root = NULL, *d = NULL;
	struct nx_error err;
	if (nx_yaml_parse(nx_buf_str(&b), a, &root, &err) || !root) {
		fprintf(stderr, "nexus: %s: %s\n", file, root ? err.message : "nothing in it");
	} else {
		struct nx_buf body;
		nx_buf_init(&body, (size_t)32 << 20);
		nx_json_write(root, &body);
		nx_buf_putc(&body, '\0');
		if (!body.failed)
			d = nx_client_call(c, "POST", path, body.data, a);
		if (body.data)
			nx_wipe(body.data, body.len);
		nx_buf_done(&body);
	}
	if (b.data)
		nx_wipe(b.data, b.len);
	nx_buf_done(&b);
	return d;
}

static int add(struct nx_client *c, const char *file, struct nx_arena *a)
{
	const struct nx_json *d = post_file(c, "/api/v1/datasources", file, a);
	if (!d)
		return NX_EXIT_FAIL;
	printf("%s is %s (%s)\n", text(d, "name"), text(d, "status"), text(d, "id"));
	return NX_EXIT_OK;
}

static int import(struct nx_client *c, const char *file, bool dry, struct nx_arena *a)
{
	const struct nx_json *d = post_file(
		c, dry ? "/api/v1/datasources/import?dryRun=true" : "/api/v1/datasources/import",
		file, a);
	const struct nx_json *all = nx_json_get(d, "dataSources");
	if (!d)
		return NX_EXIT_FAIL;
	for (const struct nx_json *s = all ? all->first : NULL; s; s = s->next)
		printf("%s: %s%s\n", text(s, "name"), dry ? "would be " : "", text(s, "result"));
	return NX_EXIT_OK;
}

static bool to_stdout(const char *data, size_t len, void *arg)
{
	(void)arg;
	return fwrite(data, 1, len, stdout) == len;
}

/* Names may hold spaces and more: as a path segment they are percent-encoded. */
static char *path_of(struct nx_arena *a, const char *name, const char *tail)
{
	struct nx_buf b;
	nx_buf_init(&b, 4096);
	for (const char *p = name; *p; p++) {
		unsigned char ch = (unsigned char)*p;
		bool plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
			     (ch >= '0' && ch <= '9') || ch == '-' || ch == '_';
		if (plain)
			nx_buf_putc(&b, *p);
		else
			nx_buf_printf(&b, "%%%02X", ch);
	}
	char *s = b.failed ? NULL
			   : nx_arena_printf(a, "/api/v1/datasources/%.*s%s", (int)b.len, b.data,
					     tail);
	nx_buf_done(&b);
	return s;
}

static int test(struct nx_client *c, const char *name, struct nx_arena *a)
{
	char *path = path_of(a, name, "/test");
	const struct nx_json *d = path ? nx_client_call(c, "POST", path, "{}", a) : NULL;
	if (!d)
		return NX_EXIT_FAIL;
	const struct nx_json *e = nx_json_get(d, "error");
	if (e) {
		printf("%s: %s: %s\n", name, text(e, "code"), text(e, "message"));
		return NX_EXIT_FAIL;
	}
	printf("%s: ok in %s ms\n", name, text(d, "latencyMs"));
	const struct nx_json *g = nx_json_get(d, "grants");
	if (g)
		printf("account: %s\n", text(g, "summary"));
	return NX_EXIT_OK;
}

static int remove_source(struct nx_client *c, const char *name, struct nx_arena *a)
{
	char *path = path_of(a, name, "");
	if (!path || !nx_client_call(c, "DELETE", path, NULL, a))
		return NX_EXIT_FAIL;
	printf("%s is removed\n", name);
	return NX_EXIT_OK;
}

int nx_cmd_source(struct nx_cli *cli)
{
	int ret = NX_EXIT_USAGE;
	bool dry = nx_cli_switch(cli, "--dry-run");
	struct nx_arena *a = nx_arena_new(0);
	struct nx_client *c = nx_client_new(cli);
	if (!a || !c)
		ret = NX_EXIT_FAIL;
	else if (cli->argc == 1 && strcmp(cli->argv[0], "list") == 0)
		ret = list(c, a);
	else if (cli->argc == 2 && strcmp(cli->argv[0], "add") == 0)
		ret = add(c, cli->argv[1], a);
	else if (cli->argc == 2 && strcmp(cli->argv[0], "test") == 0)
		ret = test(c, cli->argv[1], a);
	else if (cli->argc == 2 && strcmp(cli->argv[0], "remove") == 0)
		ret = remove_source(c, cli->argv[1], a);
	else if (cli->argc == 1 && strcmp(cli->argv[0], "export") == 0)
		ret = nx_client_stream(c, "/api/v1/datasources/export", NULL, to_stdout, NULL);
	else if (cli->argc == 2 && strcmp(cli->argv[0], "import") == 0)
		ret = import(c, cli->argv[1], dry, a);
	else
		fputs(nx_usage_source, stderr);
	nx_client_free(c);
	nx_arena_free(a);
	return ret;
}
