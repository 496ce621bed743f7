/* Columns that a statement uses, as far as its tokens tell. */
#include "sql/columns.h"

#include "nexus/buf.h"
#include "test.h"

/* "table.column table.column column", in order of appearance. */
static struct nx_str uses(enum nx_dialect d, const char *text)
{
	static struct nx_buf b;
	struct nx_arena *a = nx_arena_new(0);
	struct nx_gate_policy p = { .allow_metadata = true, .table_paths = true };
	struct nx_verdict v;
	struct nx_error err;
	struct nx_column_use *use;
	uint32_t n;
	nx_buf_done(&b);
	nx_buf_init(&b, 4096);
	if (nx_gate_check(d, &p, "?", nx_str(text), a, &v, &err))
		nx_test_fail(__FILE__, __LINE__, "%s: %s", text, err.message);
	NX_EQ_I(NX_OK, nx_sql_columns(d, nx_str(text), &v, a, &use, &n, &err));
	for (uint32_t i = 0; i < n; i++) {
		nx_buf_puts(&b, i ? " " : "");
		if (use[i].table != NX_NO_TABLE) {
			nx_buf_put_str(&b, v.tables[use[i].table].parts[2]);
			nx_buf_putc(&b, '.');
		}
		nx_buf_put_str(&b, use[i].name);
		NX_CHECK(use[i].position < strlen(text));
	}
	nx_arena_free(a);
	return b.data ? nx_buf_str(&b) : NX_STR("");
}

NX_TEST(uses_are_found)
{
	static const struct {
		enum nx_dialect d;
		const char *sql, *want;
	} rows[] = {
		{ NX_D_POSTGRESQL, "SELECT a FROM t", "a" },
		{ NX_D_POSTGRESQL, "SELECT t.a, t.a, t.* FROM t", "t.a" },
		{ NX_D_POSTGRESQL, "SELECT x.a, y.b FROM s.t AS x JOIN u y ON x.id = y.id",
		  "t.a u.b t.id u.id" },
		/* a name that an alias hides is no table any more */
		{ NX_D_POSTGRESQL, "SELECT t.a FROM t x", "" },
		{ NX_D_POSTGRESQL, "SELECT x.a FROM t x, u x", "" },
		{ NX_D_POSTGRESQL, "SELECT x.a FROM (SELECT 1 AS a) x, t", "" },
		{ NX_D_POSTGRESQL, "WITH x AS (SELECT 1 AS a) SELECT x.a, a FROM x", "" },
		{ NX_D_POSTGRESQL, "SELECT a FROM t UNION SELECT b FROM u", "" },
		{ NX_D_POSTGRESQL, "SELECT a AS b, c d FROM t ORDER BY b, d", "a c" },
		{ NX_D_POSTGRESQL, "SELECT lower(a), count(*) n, 'x' y FROM t", "a" },
		{ NX_D_POSTGRESQL, "SELECT extract(year FROM a) FROM t", "a" },
		{ NX_D_POSTGRESQL, "SELECT x.\"A b\" FROM t x", "t.A b" },
		{ NX_D_MYSQL, "SELECT `t`.`a``b` FROM `t`", "t.a`b" },
		{ NX_D_SQLITE, "SELECT a FROM t WHERE b = \"c\"", "a b" },
		{ NX_D_DUCKDB, "SELECT f.a FROM 'x.csv' AS f", "" },
		{ NX_D_POSTGRESQL, "SELECT 1", "" },
	};
	for (size_t i = 0; i < NX_COUNTOF(rows); i++)
		NX_EQ_STR(nx_str(rows[i].want), uses(rows[i].d, rows[i].sql));
}

NX_TEST(order_is_the_outermost)
{
	static const struct {
		const char *sql;
		bool ordered;
	} rows[] = {
		{ "SELECT a FROM t ORDER BY a", true },
		{ "SELECT a FROM t order /* x */ by 1 LIMIT 2", true },
		{ "SELECT a FROM t", false },
		{ "SELECT a FROM (SELECT a FROM t ORDER BY a) x", false },
		{ "SELECT row_number() OVER (ORDER BY a) FROM t", false },
		{ "SELECT 'ORDER BY a' FROM t -- ORDER BY a", false },
		{ "SELECT 'open", false },
	};
	struct nx_arena *a = nx_arena_new(0);
	for (size_t i = 0; i < NX_COUNTOF(rows); i++)
		NX_EQ_I(rows[i].ordered, nx_sql_ordered(NX_D_POSTGRESQL, nx_str(rows[i].sql), a));
	nx_arena_free(a);
}
