/* Golden cases: cases/<name>.case, blocks of
 *
 *	SQL SELECT ? AS a
 *	PAR number 5                     (null | bool true | number 5 | string text)
 *	COL a int64 bigint(21) not null  (name, type, native type; may be left out)
 *	ROW 5                            (values joined by " | ", NULL for null, binary in hex)
 *	ERR DATA_ERROR                   (instead of COL and ROW)
 *
 * SQL! runs it as a statement that may have effects. DDL runs before, with all rights. */
#include "harness.h"

struct block {
	char sql[4096];
	bool pure;
	struct nx_value params[16];
	char texts[16][256];
	uint32_t nparams;
	struct nx_buf columns, rows;
	char error[64];
	int line;
};

static void run_block(struct session *s, struct block *b, const char *file)
{
	nx_buf_putc(&b->columns, '\0');
	nx_buf_putc(&b->rows, '\0');
	struct h_result r;
	enum nx_code code = h_run(s, (struct ask){ b->sql, b->params, b->nparams, b->pure }, &r);
	const char *got = code ? nx_code_name(code) : "";
	if (strcmp(b->error, got) != 0)
		nx_test_fail(file, b->line, "%s\n#  want «%s»\n#  got  «%s» %s", b->sql, b->error,
			     got, s->err.message);
	if (!code && b->columns.len > 1 && strcmp(b->columns.data, r.columns) != 0)
		nx_test_fail(file, b->line, "%s\n#  want «%s»\n#  got  «%s»", b->sql,
			     b->columns.data, r.columns);
	if (!code && strcmp(b->rows.data, r.rows) != 0)
		nx_test_fail(file, b->line, "%s\n#  want «%s»\n#  got  «%s»", b->sql, b->rows.data,
			     r.rows);
	NX_CHECK(s->state != NX_CONN_BROKEN && (!b->pure || s->state == NX_CONN_CLEAN));
	if (s->state == NX_CONN_DIRTY)
		NX_EQ_I(NX_OK, nx_driver_mysql.reset(s->conn, nx_now() + 5000000000, &s->err));
	nx_buf_done(&b->columns);
	nx_buf_done(&b->rows);
}

static void add_param(struct block *b, const char *text)
{
	static const char *const kinds[] = { "null", "bool", "number", "string" };
	NX_CHECK(b->nparams < NX_COUNTOF(b->params));
	struct nx_value *v = &b->params[b->nparams];
	struct nx_str s = nx_str(text);
	for (size_t i = 0; i < NX_COUNTOF(kinds); i++)
		if (nx_str_starts(s, nx_str(kinds[i])))
			v->kind = (enum nx_value_kind)i;
	size_t n = strcspn(text, " ");
	snprintf(b->texts[b->nparams], sizeof(b->texts[0]), "%s", text[n] ? text + n + 1 : "");
	v->text = nx_str(b->texts[b->nparams]);
	b->nparams++;
}

static void begin(struct block *b, const char *line, int number)
{
	*b = (struct block){ .pure = line[3] != '!', .line = number };
	nx_buf_init(&b->columns, 1 << 20);
	nx_buf_init(&b->rows, 1 << 20);
	snprintf(b->sql, sizeof(b->sql), "%s", line + (b->pure ? 4 : 5));
}

static void add(struct block *b, const char *line, const char *file, int number)
{
	const char *arg = strlen(line) > 4 ? line + 4 : "";
	if (strncmp(line, "COL", 3) == 0)
		nx_buf_printf(&b->columns, "%s\n", arg);
	else if (strncmp(line, "ROW", 3) == 0)
		nx_buf_printf(&b->rows, "%s\n", arg);
	else if (strncmp(line, "PAR", 3) == 0)
		add_param(b, arg);
	else if (strncmp(line, "ERR", 3) == 0)
		snprintf(b->error, sizeof(b->error), "%.60s", arg);
	else
		nx_test_fail(file, number, "what is this? %s", line);
}

static void run_cases(const char *name)
{
	static struct block b;
	const char *dir = getenv("NX_CASES");
	char path[512], line[8192];
	snprintf(path, sizeof(path), "%s/%s.case", dir ? dir : "cases", name);
	FILE *f = fopen(path, "r");
	if (!f)
		nx_test_fail(path, 0, "cannot be opened");
	struct session s = h_open(NULL);
	h_admin("SET sql_mode = 'ALLOW_INVALID_DATES'");
	int cases = 0;
	bool open = false;
	for (int n = 1; fgets(line, sizeof(line), f); n++) {
		line[strcspn(line, "\n")] = '\0';
		bool sql = strncmp(line, "SQL", 3) == 0, ddl = strncmp(line, "DDL", 3) == 0;
		if (open && (sql || ddl)) {
			run_block(&s, &b, path);
			open = false;
		}
		if (line[0] == '#' || line[0] == '\0')
			continue;
		if (ddl) {
			h_admin(line + 4);
		} else if (sql) {
			begin(&b, line, n);
			open = true;
			cases++;
		} else {
			add(&b, line, path, n);
		}
	}
	fclose(f);
	if (open)
		run_block(&s, &b, path);
	h_close(&s);
	printf("# %d cases\n", cases);
	NX_CHECK(cases > 0);
}

/* One executable for both servers: mysql8.sh asks for its own file by NX_SERVER. */
static void run_for(const char *server, const char *name)
{
	const char *here = getenv("NX_SERVER");
	if (strcmp(here ? here : "mariadb", server) != 0)
		NX_SKIP("cases of another server");
	run_cases(name);
}

NX_TEST(types)
{
	run_for("mariadb", "types");
}

NX_TEST(expressions)
{
	run_for("mariadb", "expressions");
}

NX_TEST(parameters)
{
	run_for("mariadb", "parameters");
}

NX_TEST(mysql8)
{
	run_for("mysql8", "mysql8");
}
