/* What a verdict says beyond yes and no: tables, parameters, purity, limits, messages. */
#include "sql/gate.h"
#include "sql/lex.h"
#include "sql/policy.h"
#include "test.h"

struct checked {
	struct nx_arena *a;
	struct nx_verdict v;
	struct nx_error err;
	enum nx_code rc;
};

static struct checked check(enum nx_dialect d, const struct nx_gate_policy *p, const char *sql)
{
	static const struct nx_gate_policy plain;
	struct checked c = { .a = nx_arena_new(0) };
	const char *ph = d == NX_D_POSTGRESQL ? "$%u" : d == NX_D_SQLSERVER ? "@p%u" : "?";
	c.rc = nx_gate_check(d, p ? p : &plain, ph, nx_str(sql), c.a, &c.v, &c.err);
	return c;
}

static void tables(enum nx_dialect d, const char *sql, const char *want)
{
	struct checked c = check(d, NULL, sql);
	if (c.rc != NX_OK)
		nx_test_fail(__FILE__, __LINE__, "%s: %s", sql, c.err.message);
	char got[512];
	size_t n = 0;
	for (uint32_t i = 0; i < c.v.ntables; i++)
		for (int k = 0; k < 3; k++) {
			struct nx_str s = c.v.tables[i].parts[k];
			if (s.len == 0 && k < 2)
				continue;
			n += (size_t)snprintf(got + n, sizeof(got) - n, NX_STR_FMT "%s",
					      NX_STR_ARG(s), k < 2 ? "/" : " ");
		}
	got[n ? n - 1 : 0] = '\0';
	NX_EQ_S(want, got);
	nx_arena_free(c.a);
}

NX_TEST(tables)
{
	enum nx_dialect p = NX_D_POSTGRESQL;
	tables(p, "SELECT 1", "");
	tables(p, "SELECT * FROM t", "t");
	tables(p, "SELECT * FROM a.b.c, \"x\"\"y\" z JOIN s.t USING (i)", "a/b/c x\"y s/t");
	tables(p, "SELECT * FROM t, t, public.t", "t public/t");
	tables(p, "WITH c AS (SELECT * FROM r) SELECT * FROM c JOIN d ON true", "r d");
	tables(p, "WITH t AS (SELECT * FROM t) SELECT * FROM t", "t");
	tables(p, "WITH RECURSIVE t AS (SELECT 1 UNION SELECT 2 FROM t) SELECT * FROM t", "");
	tables(p, "SELECT * FROM (WITH c AS (SELECT 1) SELECT * FROM c) q, c", "c");
	tables(p,
	       "SELECT (SELECT 1 FROM a), b IN (SELECT 1 FROM b) FROM c WHERE EXISTS (SELECT "
	       "FROM d)",
	       "a b c d");
	tables(p, "SELECT * FROM generate_series(1,2), LATERAL (SELECT * FROM e) q", "e");
	tables(p, "SELECT extract(year FROM d), trim(FROM s), substring(s FROM 1) FROM t", "t");
	tables(p, "SELECT * FROM t WHERE a IS DISTINCT FROM b", "t");
	tables(p, "SELECT * FROM (a JOIN (b JOIN c ON true) ON true)", "a b c");
	tables(p, "SELECT * FROM 员工", "员工");
	tables(p, "SELECT * FROM rows r, ONLY a, ONLY (b)", "rows a b");
	tables(p, "SELECT * FROM ROWS FROM (generate_series(1, 2)) x, c", "c");
	tables(NX_D_MYSQL, "SELECT * FROM only o", "only");
	tables(NX_D_MYSQL, "SELECT * FROM `a``b`.`c`, d x, (e, f)", "a`b/c d e f");
	tables(NX_D_SQLITE, "SELECT * FROM [a b], main.c", "a b main/c");
	tables(NX_D_DUCKDB, "FROM x.y SELECT a", "x/y");
}

NX_TEST(parameters)
{
	struct checked c =
		check(NX_D_POSTGRESQL, NULL,
		      " SELECT ?, '?', \"?\", $$?$$ /* ? */ FROM t WHERE j::jsonb ? 'a' AND k "
		      "?? 'b' AND a = ?  -- ?\n ;");
	NX_EQ_I(NX_OK, c.rc);
	NX_EQ_I(2, c.v.nparams);
	NX_EQ_STR(NX_STR(" SELECT $1, '?', \"?\", $$?$$ /* ? */ FROM t WHERE j::jsonb ? 'a' AND k "
			 "? 'b'"
			 " AND a = $2"),
		  c.v.sql);
	NX_EQ_I('\0', c.v.sql.ptr[c.v.sql.len]);
	nx_arena_free(c.a);
	c = check(NX_D_POSTGRESQL, NULL, "SELECT $2, $1");
	NX_EQ_I(2, c.v.nparams);
	nx_arena_free(c.a);
	c = check(NX_D_MYSQL, NULL, "SELECT ?, `?`, \"?\" # ?\n, ?");
	NX_EQ_I(2, c.v.nparams);
	nx_arena_free(c.a);
}

static void pure(const char *sql, bool want)
{
	struct checked c = check(NX_D_POSTGRESQL, NULL, sql);
	if (c.rc != NX_OK || c.v.pure != want)
		nx_test_fail(__FILE__, __LINE__, "%s: want %s", sql, want ? "pure" : "not pure");
	nx_arena_free(c.a);
}

NX_TEST(purity)
{
	pure("SELECT * FROM t WHERE id = ?", true);
	pure("SELECT count(*), lower(a), coalesce(b, 'x')::varchar(10) FROM t GROUP BY GROUPING "
	     "SETS ((a), "
	     "(b))",
	     true);
	pure("SELECT pg_catalog.lower(a) FROM t", true);
	pure("SELECT sum(a) FILTER (WHERE a > 0) OVER (PARTITION BY b) FROM t", true);
	pure("SELECT now()", false);
	pure("SELECT random()", false);
	pure("SELECT my_function(1)", false);
	pure("SELECT my_schema.lower('a')", false);
	pure("SELECT \"LOWER\"('a')", false);
	pure("SELECT /*+ SeqScan(t) */ * FROM t", false);
	pure("SELECT filter(1), over(2)", false);
	pure("SELECT by(1)", false);
	pure("SELECT pivot(1)", false);
	pure("SELECT a FROM t GROUP BY (a) ORDER BY (a)", true);
	pure("SELECT x.k FROM (VALUES (1)) x(k)", true);
	pure("SELECT (SELECT my_function(1))", false);
}

NX_TEST(policy_lists)
{
	static const struct nx_str allow[] = { NX_STR_INIT("my_function"), NX_STR_INIT("s.g"),
					       NX_STR_INIT("pg_sleep") };
	static const struct nx_str deny[] = { NX_STR_INIT("lower"), NX_STR_INIT("pg_sleep") };
	struct nx_gate_policy p = { .functions = NX_FUNCTIONS_BUILTIN,
				    .allow = allow,
				    .nallow = 3,
				    .deny = deny,
				    .ndeny = 2 };
	static const struct {
		const char *sql;
		enum nx_code code;
	} cases[] = {
		{ "SELECT my_function(1)", NX_OK },
		{ "SELECT x.my_function(1)", NX_OK },
		{ "SELECT s.g(1)", NX_OK },
		{ "SELECT S.G(1)", NX_OK },
		{ "SELECT g(1)", NX_E_RO_FUNCTION },
		{ "SELECT xs.g(1)", NX_E_RO_FUNCTION },
		{ "SELECT lower('a')", NX_E_RO_FUNCTION },
		{ "SELECT pg_sleep(1)", NX_E_RO_FUNCTION },
		{ "SELECT upper('a')", NX_OK },
	};
	for (size_t i = 0; i < NX_COUNTOF(cases); i++) {
		struct checked c = check(NX_D_POSTGRESQL, &p, cases[i].sql);
		if (c.rc != cases[i].code)
			nx_test_fail(__FILE__, __LINE__, "%s: %s", cases[i].sql,
				     nx_code_name(c.rc));
		nx_arena_free(c.a);
	}
}

/* What the source's own catalog vouches for counts where only harmless functions may be called, and nowhere else. */
NX_TEST(known_functions)
{
	static const struct nx_str known[] = { NX_STR_INIT("dblink"), NX_STR_INIT("pg_sleep"),
					       NX_STR_INIT("shout"), NX_STR_INIT("st_area") };
	struct nx_gate_policy p = { .functions = NX_FUNCTIONS_BUILTIN,
				    .known = known,
				    .nknown = 4 };
	static const struct {
		const char *sql;
		enum nx_code code;
	} cases[] = {
		{ "SELECT st_area(g) FROM t", NX_OK },
		{ "SELECT public.ST_Area(g) FROM t", NX_OK },
		{ "SELECT \"st_area\"(g) FROM t", NX_OK },
		{ "SELECT * FROM shout(1)", NX_OK },
		{ "SELECT \"ST_Area\"(g) FROM t", NX_E_RO_FUNCTION },
		{ "SELECT st_are(g) FROM t", NX_E_RO_FUNCTION },
		{ "SELECT st_areas(g) FROM t", NX_E_RO_FUNCTION },
		{ "SELECT a(1), shout(2)", NX_E_RO_FUNCTION },
		{ "SELECT zz(1)", NX_E_RO_FUNCTION },
		{ "SELECT pg_sleep(1)", NX_E_RO_FUNCTION },
		{ "SELECT * FROM dblink('', '') AS x(y int)", NX_E_RO_FUNCTION },
	};
	for (size_t i = 0; i < NX_COUNTOF(cases); i++) {
		struct checked c = check(NX_D_POSTGRESQL, &p, cases[i].sql);
		if (c.rc != cases[i].code)
			nx_test_fail(__FILE__, __LINE__, "%s: %s", cases[i].sql,
				     nx_code_name(c.rc));
		if (!c.rc)
			NX_CHECK(!c.v.pure);
		nx_arena_free(c.a);
	}
}

NX_TEST(messages_say_where_and_what)
{
	struct checked c = check(NX_D_POSTGRESQL, NULL, "SELECT a，b FROM t");
	NX_EQ_I(NX_E_RO_ENCODING, c.rc);
	NX_EQ_I(8, c.err.position);
	NX_EQ_S("，", c.err.token);
	NX_EQ_S("full-width comma U+FF0C at byte 8: outside quotes only ASCII, letters and digits "
		"may "
		"stand.",
		c.err.message);
	nx_arena_free(c.a);
	c = check(NX_D_POSTGRESQL, NULL, "SELECT pg_sleep(1)");
	NX_EQ_I(7, c.err.position);
	NX_EQ_S("pg_sleep", c.err.token);
	nx_arena_free(c.a);
	c = check(NX_D_POSTGRESQL, NULL, "SELECT 1; SELECT 2");
	NX_EQ_I(8, c.err.position);
	nx_arena_free(c.a);
}

NX_TEST(limits)
{
	struct nx_gate_policy p = {
		.max_joins = 1, .max_depth = 1, .max_ctes = 1, .max_in_list = 2, .max_bytes = 100
	};
	static const struct {
		const char *sql;
		enum nx_code code;
	} cases[] = {
		{ "SELECT * FROM a JOIN b ON true", NX_OK },
		{ "SELECT * FROM a, b, c", NX_E_TOO_COMPLEX },
		{ "SELECT * FROM a JOIN b ON true JOIN c ON true", NX_E_TOO_COMPLEX },
		{ "SELECT (SELECT 1)", NX_OK },
		{ "SELECT (SELECT 1), (SELECT 2)", NX_OK },
		{ "SELECT (SELECT (SELECT 1))", NX_E_TOO_COMPLEX },
		{ "WITH a AS (SELECT 1) SELECT 1", NX_OK },
		{ "WITH a AS (SELECT 1), b AS (SELECT 1) SELECT 1", NX_E_TOO_COMPLEX },
		{ "SELECT 1 IN (1, 2), 1 IN (3, 4)", NX_OK },
		{ "SELECT 1 IN (1, 2, 3)", NX_E_TOO_COMPLEX },
		{ "SELECT "
		  "'01234567890123456789012345678901234567890123456789012345678901234567890123456"
		  "78901234567890123456789'",
		  NX_E_SQL_TOO_LONG },
	};
	for (size_t i = 0; i < NX_COUNTOF(cases); i++) {
		struct checked c = check(NX_D_POSTGRESQL, &p, cases[i].sql);
		if (c.rc != cases[i].code)
			nx_test_fail(__FILE__, __LINE__, "%s: %s", cases[i].sql,
				     nx_code_name(c.rc));
		nx_arena_free(c.a);
	}
}

NX_TEST(memory_can_run_out)
{
	for (size_t cap = 0; cap < 2000; cap += 16) {
		struct nx_arena *a = nx_arena_new(cap ? cap : 1);
		struct nx_gate_policy p = { 0 };
		struct nx_verdict v = { .nparams = 77 };
		struct nx_error err;
		enum nx_code rc = nx_gate_check(NX_D_POSTGRESQL, &p, "$%u",
						NX_STR("WITH \"c\"\"d\" AS (SELECT ?) SELECT * "
						       "FROM \"c\"\"d\", \"e\"\"f\", g"),
						a, &v, &err);
		NX_CHECK(rc == NX_OK || rc == NX_E_MEMORY);
		if (rc != NX_OK)
			NX_EQ_I(77, v.nparams);
		nx_arena_free(a);
	}
}

NX_TEST(words_are_sorted)
{
	static const char *const words[] = {
#define NX_WORD(name, flags) #name,
#include "sql/words.def"
#undef NX_WORD
	};
	for (size_t i = 0; i < NX_COUNTOF(words); i++) {
		if (i > 0)
			NX_CHECK(strcmp(words[i - 1], words[i]) < 0);
		NX_EQ_I(i + 1, nx_word_find(words[i], strlen(words[i])));
	}
	NX_EQ_I(NX_W_NONE, nx_word_find("nothing", 7));
	NX_EQ_I(NX_W_SELECT, nx_word_find("sElEcT", 6));
}
