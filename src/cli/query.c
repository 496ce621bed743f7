/* nexus query: a table on a terminal, any format into a pipe. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/client.h"

const char nx_usage_query[] =
	"usage: nexus query [-s SOURCE] [-p VALUE]... [--format json|ndjson|csv|arrow|table]\n"
	"                   [--limit N|all] [--offset N] [--timeout S] [--url URL] [--key KEY] "
	"SQL\n"
	"SQL - reads standard input. A VALUE that is a JSON number, true, false or null is sent "
	"as\n"
	"such, anything else as text. On a terminal the default is a table of at most 1000 rows;\n"
	"into a pipe it is csv without a limit.\n";

static bool to_stdout(const char *data, size_t len, void *arg)
{
	(void)arg;
	return fwrite(data, 1, len, stdout) == len;
}

static void put_param(struct nx_buf *b, const char *v)
{
	struct nx_str s = nx_str(v);
	double d;
	bool plain = nx_str_is(s, "null") || nx_str_is(s, "true") || nx_str_is(s, "false");
	/* only what JSON calls a number: no leading zero, no hex, no inf */
	bool number = s.len > 0 && strspn(v, "0123456789+-.eE") == s.len && nx_str_to_f64(s, &d) &&
		      v[s.len - 1] != '.' && !(v[0] == '0' && s.len > 1 && v[1] != '.') &&
		      v[0] != '.';
	if (plain || number)
		nx_buf_put_str(b, s);
	else
		nx_buf_put_json(b, s);
}

/* Columns a terminal needs for a text: wide characters count as two. */
static int width(struct nx_str s)
{
	int w = 0;
	for (size_t i = 0; i < s.len;) {
		unsigned char c = (unsigned char)s.ptr[i];
		size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
		unsigned cp = c;
		if (n > 1 && i + n <= s.len) {
			cp = c & (0xffu >> (n + 1));
			for (size_t k = 1; k < n; k++)
				cp = cp << 6 | ((unsigned char)s.ptr[i + k] & 0x3f);
		}
		bool wide = (cp >= 0x1100 && cp <= 0x115f) || (cp >= 0x2e80 && cp <= 0xa4cf) ||
			    (cp >= 0xac00 && cp <= 0xd7a3) || (cp >= 0xf900 && cp <= 0xfaff) ||
			    (cp >= 0xfe30 && cp <= 0xfe6f) || (cp >= 0xff00 && cp <= 0xff60) ||
			    (cp >= 0x1f300 && cp <= 0x1faff) || (cp >= 0x20000 && cp <= 0x3fffd);
		w += wide ? 2 : 1;
		i += n;
	}
	return w;
}

/* A cell as one printable line; control characters could drive the terminal. */
static struct nx_str cell_text(const struct nx_json *v, struct nx_arena *a)
{
	if (v->kind == NX_JSON_NULL)
		return NX_STR("NULL");
	struct nx_str s = v->text;
	if (v->kind == NX_JSON_ARRAY || v->kind == NX_JSON_OBJECT) {
		struct nx_buf b;
		nx_buf_init(&b, (size_t)1 << 20);
		nx_json_write(v, &b);
		s = nx_arena_str(a, nx_buf_str(&b));
		nx_buf_done(&b);
	}
	struct nx_buf b;
	nx_buf_init(&b, (size_t)1 << 20);
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		bool c1 = c == 0xc2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] < 0xa0;
		if (c < 0x20 || c == 0x7f)
			nx_buf_printf(&b, "\\x%02x", c);
		else if (c1)
			nx_buf_printf(&b, "\\u%04x", (unsigned char)s.ptr[++i]);
		else
			nx_buf_putc(&b, (char)c);
	}
	s = nx_arena_str(a, nx_buf_str(&b));
	nx_buf_done(&b);
	return s;
}

enum { MAX_WIDTH = 60 };

static bool right_aligned(const char *type)
{
	return strncmp(type, "int", 3) == 0 || strncmp(type, "uint", 4) == 0 ||
	       strncmp(type, "float", 5) == 0 || strcmp(type, "decimal") == 0;
}

static void pad(int n)
{
	while (n-- > 0)
		putchar(' ');
}

/* Cut to MAX_WIDTH columns with an ellipsis; never inside a character. */
static struct nx_str cut(struct nx_str s, struct nx_arena *a)
{
	if (width(s) <= MAX_WIDTH)
		return s;
	size_t end = 0;
	for (size_t i = 1; i <= s.len; i++)
		if (i == s.len || ((unsigned char)s.ptr[i] & 0xc0) != 0x80) {
			if (width(nx_strn(s.ptr, i)) > MAX_WIDTH - 1)
				break;
			end = i;
		}
	char *p = nx_arena_printf(a, "%.*s…", (int)end, s.ptr);
	return p ? nx_str(p) : s;
}

static void print_row(const struct nx_str *cells, const int *w, const bool *right, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		int gap = w[i] - width(cells[i]);
		fputs(i ? " | " : "", stdout);
		if (right[i])
			pad(gap);
		printf(NX_STR_FMT, NX_STR_ARG(cells[i]));
		if (!right[i] && i + 1 < n)
			pad(gap);
	}
	putchar('\n');
}

static void print_table(const struct nx_json *data, struct nx_arena *a)
{
	const struct nx_json *cols = nx_json_get(data, "columns"),
			     *rows = nx_json_get(data, "rows");
	if (!cols || !rows || cols->count == 0)
		return;
	uint32_t n = cols->count;
	int *w = nx_arena_array(a, n, sizeof(*w));
	bool *right = nx_arena_array(a, n, sizeof(*right));
	struct nx_str *cells = nx_arena_array(a, (size_t)n * (rows->count + 1), sizeof(*cells));
	if (!w || !right || !cells)
		return;
	uint32_t i = 0;
	for (const struct nx_json *c = cols->first; c; c = c->next, i++) {
		const struct nx_json *name = nx_json_get(c, "name"), *type = nx_json_get(c, "type");
		cells[i] = cut(cell_text(name, a), a);
		right[i] = type && right_aligned(type->text.ptr);
		w[i] = width(cells[i]);
	}
	struct nx_str *at = cells + n;
	for (const struct nx_json *r = rows->first; r; r = r->next, at += n) {
		i = 0;
		for (const struct nx_json *v = r->first; v && i < n; v = v->next, i++) {
			at[i] = cut(cell_text(v, a), a);
			if (width(at[i]) > w[i])
				w[i] = width(at[i]);
		}
	}
	print_row(cells, w, right, n);
	for (i = 0; i < n; i++) {
		fputs(i ? "-+-" : "", stdout);
		for (int k = 0; k < w[i]; k++)
			putchar('-');
	}
	putchar('\n');
	at = cells + n;
	for (const struct nx_json *r = rows->first; r; r = r->next, at += n)
		print_row(at, w, right, n);
	const struct nx_json *meta = nx_json_get(data, "metadata");
	const struct nx_json *more = nx_json_get(meta, "hasMore"),
			     *ms = nx_json_get(meta, "executionTimeMs");
	printf("(%u row%s%s%s%s)\n", rows->count, rows->count == 1 ? "" : "s",
	       more && nx_str_is(more->text, "true") ? ", there are more" : "", ms ? ", ms: " : "",
	       ms ? ms->text.ptr : "");
}

static char *read_stdin(struct nx_arena *a)
{
	struct nx_buf b;
	nx_buf_init(&b, (size_t)1 << 20);
	char *room;
	size_t n;
	while ((room = nx_buf_reserve(&b, 4096)) && (n = fread(room, 1, 4096, stdin)) > 0)
		b.len += n;
	char *s = b.failed ? NULL : nx_arena_cstr(a, nx_buf_str(&b));
	nx_buf_done(&b);
	return s;
}

int nx_cmd_query(struct nx_cli *cli)
{
	int ret = NX_EXIT_USAGE;
	struct nx_arena *a = nx_arena_new(0);
	struct nx_buf body, params;
	nx_buf_init(&body, (size_t)8 << 20);
	nx_buf_init(&params, (size_t)4 << 20);
	bool tty = isatty(STDOUT_FILENO);
	struct nx_client *c = nx_client_new(cli);
	const char *source = nx_cli_option(cli, "-s", getenv("NEXUS_SOURCE"));
	const char *format = nx_cli_option(cli, "--format", tty ? "table" : "csv");
	bool table = strcmp(format, "table") == 0;
	const char *limit = nx_cli_option(cli, "--limit", table ? "1000" : "all");
	const char *offset = nx_cli_option(cli, "--offset", NULL);
	const char *timeout = nx_cli_option(cli, "--timeout", NULL);
	for (const char *p; (p = nx_cli_option(cli, "-p", NULL)) != NULL;) {
		if (params.len)
			nx_buf_putc(&params, ',');
		put_param(&params, p);
	}
	if (!a || !c || cli->argc != 1 || !source) {
		fputs(source || !c ? nx_usage_query : "nexus query: name a source with -s\n",
		      stderr);
		goto out;
	}
	const char *sql = strcmp(cli->argv[0], "-") == 0 ? read_stdin(a) : cli->argv[0];
	if (!sql)
		goto out;
	nx_buf_puts(&body, "{\"dataSource\":");
	nx_buf_put_json(&body, nx_str(source));
	nx_buf_puts(&body, ",\"sql\":");
	nx_buf_put_json(&body, nx_str(sql));
	nx_buf_printf(&body, ",\"limit\":%s", strcmp(limit, "all") == 0 ? "null" : limit);
	if (offset)
		nx_buf_printf(&body, ",\"offset\":%s", offset);
	if (timeout)
		nx_buf_printf(&body, ",\"timeout\":%s", timeout);
	nx_buf_printf(&body, ",\"format\":\"%s\",\"parameters\":[", table ? "json" : format);
	nx_buf_put_str(&body, nx_buf_str(&params));
	nx_buf_put(&body, "]}", 3); /* with the NUL */
	if (body.failed)
		goto out;
	if (table) {
		const struct nx_json *data =
			nx_client_call(c, "POST", "/api/v1/query", body.data, a);
		ret = data ? NX_EXIT_OK : NX_EXIT_FAIL;
		if (data)
			print_table(data, a);
	} else {
		ret = nx_client_stream(c, "/api/v1/query", body.data, to_stdout, NULL);
	}
	if (fflush(stdout))
		ret = NX_EXIT_FAIL;
out:
	nx_client_free(c);
	nx_buf_done(&body);
	nx_buf_done(&params);
	nx_arena_free(a);
	return ret;
}
