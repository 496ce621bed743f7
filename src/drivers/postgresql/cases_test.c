/* Golden cases: cases/<name>.case, blocks of
 *
 *	SQL select $1::int4 as a
 *	PAR number 5             (null | bool true | number 5 | string text)
 *	COL a int32 integer      (name, logical type, native type)
 *	ROW 5                    (values joined by " | ", NULL for null, binary in hex)
 *	ERR DATA_ERROR 22P02     (instead of COL and ROW)
 *
 * SQL! runs it as a statement that may have effects. DDL runs before, by the superuser. */
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"

struct block {
	char sql[16384];
	bool pure;
	struct nx_value params[16];
	char texts[16][256];
	uint32_t nparams;
	struct nx_buf columns, rows;
	char error[64];
	int line;
};

static void fail_block(const struct block *b, const char *file, const char *what, const char *want,
		       const char *got)
{
	nx_test_fail(file, b->line, "%s\n#  %s\n#  want «%s»\n#  got  «%s»", b->sql, what, want,
		     got);
}

static void run_block(struct session *s, struct block *b, const char *file)
{
	nx_buf_putc(&b->columns, '\0');
	nx_buf_putc(&b->rows, '\0');
	struct nx_query q = query_of(b->sql, b->pure);
	q.params = b->params;
	q.nparams = b->nparams;
	struct result r = run_query(s, &q);
	char got[64] = "";
	if (r.code)
		(void)!snprintf(got, sizeof(got), "%s %s", nx_code_name(r.code), r.err.sqlstate);
	if (strcmp(b->error, got) != 0)
		fail_block(b, file, r.err.message, b->error, got);
	if (!b->error[0] && b->columns.len > 1 && strcmp(b->columns.data, r.columns.data) != 0)
		fail_block(b, file, "columns", b->columns.data, r.columns.data);
	if (!b->error[0] && strcmp(b->rows.data, r.rows.data) != 0)
		fail_block(b, file, "rows", b->rows.data, r.rows.data);
	result_done(&r);
	if (r.state == NX_CONN_DIRTY)
		NX_EQ_I(NX_OK, pg_reset(s->conn, in_seconds(5), &r.err));
}

static void add_param(struct block *b, char *text)
{
	static const char *const kinds[] = { "null", "bool", "number", "string" };
	size_t n = strcspn(text, " ");
	struct nx_value *v = &b->params[b->nparams];
	NX_CHECK(b->nparams < NX_COUNTOF(b->params));
	for (size_t i = 0; i < NX_COUNTOF(kinds); i++)
		if (strlen(kinds[i]) == n && memcmp(kinds[i], text, n) == 0)
			v->kind = (enum nx_value_kind)i;
	(void)!snprintf(b->texts[b->nparams], sizeof(b->texts[0]), "%s",
			text[n] ? text + n + 1 : "");
	v->text = nx_str(b->texts[b->nparams]);
	b->nparams++;
}

static void run_cases(const char *name)
{
	const char *dir = getenv("NX_CASES");
	char path[512], line[20000];
	(void)!snprintf(path, sizeof(path), "%s/%s.case", dir ? dir : ".", name);
	FILE *f = fopen(path, "r");
	if (!f)
		nx_test_fail(path, 0, "cannot be opened");
	struct session s;
	session_open(&s, NULL);
	static struct block b;
	int n = 0, lineno = 0;
	bool open = false;
	for (bool more = true; more;) {
		more = fgets(line, sizeof(line), f) != NULL;
		lineno++;
		if (more)
			line[strcspn(line, "\n")] = '\0';
		bool sql = more && strncmp(line, "SQL", 3) == 0;
		if (open && (!more || sql)) {
			run_block(&s, &b, path);
			nx_buf_done(&b.columns);
			nx_buf_done(&b.rows);
			open = false;
			n++;
		}
		char *arg = strlen(line) > 4 ? line + 4 : line + strlen(line);
		if (!more || line[0] == '#' || line[0] == '\0')
			continue;
		if (sql) {
			b = (struct block){ .pure = line[3] != '!', .line = lineno };
			nx_buf_init(&b.columns, 1 << 20);
			nx_buf_init(&b.rows, 1 << 20);
			(void)!snprintf(b.sql, sizeof(b.sql), "%.16383s",
					line[3] == '!' ? line + 5 : arg);
			open = true;
		} else if (strncmp(line, "DDL ", 4) == 0) {
			admin("%s", arg);
		} else if (strncmp(line, "COL ", 4) == 0) {
			nx_buf_printf(&b.columns, "%s\n", arg);
		} else if (strncmp(line, "ROW", 3) == 0) {
			nx_buf_printf(&b.rows, "%s\n", arg);
		} else if (strncmp(line, "ERR ", 4) == 0) {
			(void)!snprintf(b.error, sizeof(b.error), "%.63s", arg);
		} else if (strncmp(line, "PAR ", 4) == 0) {
			add_param(&b, arg);
		} else {
			nx_test_fail(path, lineno, "what is this? %s", line);
		}
	}
	(void)fclose(f);
	session_close(&s);
	printf("# %d cases\n", n);
	NX_CHECK(n > 0);
}

NX_TEST(types)
{
	run_cases("types");
}

NX_TEST(nested)
{
	run_cases("nested");
}

NX_TEST(parameters)
{
	run_cases("parameters");
}
