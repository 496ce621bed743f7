/* The snapshot of a source's schema: order, bounds, search, suggestions, types. */
#include "catalog/dbschema.h"

#include "test.h"

static const struct nx_db_limits wide = { 1000, 1000, (size_t)1 << 20 };

static void table(struct nx_dbschema *s, const char *schema, const char *name, const char *comment)
{
	struct nx_db_table t = { .schema = nx_str(schema),
				 .name = nx_str(name),
				 .kind = NX_STR("table"),
				 .comment = nx_str(comment),
				 .row_estimate = -1 };
	NX_CHECK(nx_dbschema_add_table(s, &t));
}

static bool column(struct nx_dbschema *s, const char *schema, const char *of, const char *name,
		   uint32_t position)
{
	struct nx_db_column c = { .of_schema = nx_str(schema),
				  .of_table = nx_str(of),
				  .name = nx_str(name),
				  .native = NX_STR("integer"),
				  .position = position };
	return nx_dbschema_add_column(s, &c);
}

static struct nx_dbschema *shop(void)
{
	struct nx_dbschema *s = nx_dbschema_new(NX_D_POSTGRESQL, &wide);
	table(s, "shop", "orders", "what was bought");
	table(s, "crm", "people", NULL);
	table(s, "shop", "order_lines", NULL);
	NX_CHECK(column(s, "shop", "orders", "total", 2));
	NX_CHECK(column(s, "shop", "orders", "id", 1));
	NX_CHECK(column(s, "crm", "people", "surname", 1));
	NX_CHECK(column(s, "crm", "nobody", "lost", 1));
	nx_dbschema_finish(s);
	return s;
}

NX_TEST(rows_are_sorted_and_linked)
{
	struct nx_dbschema *s = shop();
	NX_EQ_I(3, s->ntables);
	NX_EQ_STR(NX_STR("people"), s->tables[0].name);
	NX_EQ_STR(NX_STR("order_lines"), s->tables[1].name);
	NX_EQ_STR(NX_STR("orders"), s->tables[2].name);
	NX_EQ_I(3, s->ncolumns); /* one of a table that is not there is gone */
	NX_EQ_I(2, s->tables[2].ncolumns);
	NX_EQ_STR(NX_STR("id"), s->columns[s->tables[2].column].name);
	NX_EQ_STR(NX_STR("total"), nx_dbschema_column(s, 2, NX_STR("TOTAL"))->name);
	NX_CHECK(!nx_dbschema_column(s, 2, NX_STR("surname")));
	NX_CHECK(!nx_dbschema_column(s, 1, NX_STR("id")));
	NX_EQ_I(2, nx_dbschema_find(s, NX_STR(""), NX_STR("Orders"), 0));
	NX_EQ_I(3, nx_dbschema_find(s, NX_STR("crm"), NX_STR("orders"), 0));
	NX_CHECK(nx_dbschema_has_schema(s, NX_STR("SHOP")));
	NX_CHECK(!nx_dbschema_has_schema(s, NX_STR("sho")));
	nx_dbschema_unref(s);
}

NX_TEST(keys_stand_together)
{
	struct nx_dbschema *s = shop();
	nx_dbschema_unref(s);
	s = nx_dbschema_new(NX_D_POSTGRESQL, &wide);
	table(s, "a", "t", NULL);
	static const struct {
		enum nx_db_key_kind kind;
		const char *name, *column;
		uint32_t position;
	} rows[] = { { NX_DB_INDEX, "i", "x", 1 },
		     { NX_DB_PRIMARY, "p", "b", 2 },
		     { NX_DB_PRIMARY, "p", "a", 1 } };
	for (size_t i = 0; i < NX_COUNTOF(rows); i++) {
		struct nx_db_key k = { .kind = rows[i].kind,
				       .name = nx_str(rows[i].name),
				       .column = nx_str(rows[i].column),
				       .position = rows[i].position,
				       .of_schema = NX_STR("a"),
				       .of_table = NX_STR("t") };
		NX_CHECK(nx_dbschema_add_key(s, &k));
	}
	nx_dbschema_finish(s);
	NX_EQ_I(3, s->tables[0].nkeys);
	NX_EQ_STR(NX_STR("a"), s->keys[0].column);
	NX_EQ_STR(NX_STR("b"), s->keys[1].column);
	NX_EQ_STR(NX_STR("x"), s->keys[2].column);
	nx_dbschema_unref(s);
}

NX_TEST(limits_hold_and_are_told)
{
	struct nx_db_limits few = { 2, 3, (size_t)1 << 20 };
	struct nx_dbschema *s = nx_dbschema_new(NX_D_MYSQL, &few);
	table(s, "a", "t1", NULL);
	table(s, "a", "t2", NULL);
	struct nx_db_table t = { .schema = NX_STR("a"), .name = NX_STR("t3") };
	NX_CHECK(!nx_dbschema_add_table(s, &t));
	NX_CHECK(s->truncated);
	for (uint32_t i = 0; i < 4; i++)
		NX_EQ_I(i < 3, column(s, "a", "t1", "c", i + 1));
	nx_dbschema_finish(s);
	NX_EQ_I(2, s->ntables);
	NX_EQ_I(3, s->ncolumns);
	nx_dbschema_unref(s);
}

NX_TEST(bytes_are_bounded)
{
	struct nx_db_limits small = { 1000000, 1000000, 65536 };
	struct nx_dbschema *s = nx_dbschema_new(NX_D_MYSQL, &small);
	char name[200];
	memset(name, 'x', sizeof(name));
	struct nx_db_table t = { .schema = NX_STR("a"), .name = nx_strn(name, sizeof(name)) };
	uint32_t n = 0;
	for (; n < 100000; n++) {
		memcpy(name, &n, sizeof(n));
		if (!nx_dbschema_add_table(s, &t))
			break;
	}
	NX_CHECK(n > 50 && n < 400);
	NX_CHECK(s->truncated);
	NX_CHECK(nx_dbschema_bytes(s) < 80000);
	nx_dbschema_finish(s);
	nx_dbschema_unref(s);
}

NX_TEST(search_wants_every_word)
{
	struct nx_dbschema *s = shop();
	NX_CHECK(nx_dbschema_score(s, 2, NX_STR("orders")) >
		 nx_dbschema_score(s, 1, NX_STR("order")));
	NX_CHECK(nx_dbschema_score(s, 2, NX_STR("TOTAL shop")) > 0);
	NX_CHECK(nx_dbschema_score(s, 2, NX_STR("bought")) > 0);
	NX_EQ_I(0, nx_dbschema_score(s, 2, NX_STR("total surname")));
	NX_EQ_I(0, nx_dbschema_score(s, 2, NX_STR("")));
	NX_EQ_I(0, nx_dbschema_score(s, 2, NX_STR("  ")));
	nx_dbschema_unref(s);
}

NX_TEST(edits_are_counted)
{
	static const struct {
		const char *a, *b;
		unsigned d;
	} rows[] = {
		{ "", "", 0 },
		{ "abc", "ABC", 0 },
		{ "abc", "abd", 1 },
		{ "abc", "acb", 1 },
		{ "abc", "ab", 1 },
		{ "abc", "xabc", 1 },
		{ "order", "orders", 1 },
		{ "kitten", "sitting", 3 },
		{ "abc", "xyz", 3 },
		{ "a", "abcdef", 4 },
	};
	for (size_t i = 0; i < NX_COUNTOF(rows); i++) {
		NX_EQ_I(rows[i].d, nx_edit_distance(nx_str(rows[i].a), nx_str(rows[i].b), 3));
		NX_EQ_I(rows[i].d, nx_edit_distance(nx_str(rows[i].b), nx_str(rows[i].a), 3));
	}
}

NX_TEST(near_names_come_nearest_first)
{
	struct nx_dbschema *s = shop();
	struct nx_str near[NX_SUGGESTIONS];
	NX_EQ_I(1, nx_dbschema_near_tables(s, NX_STR(""), NX_STR("oders"), near));
	NX_EQ_STR(NX_STR("orders"), near[0]);
	NX_EQ_I(2, nx_dbschema_near_tables(s, NX_STR(""), NX_STR("order"), near));
	NX_EQ_STR(NX_STR("orders"), near[0]);
	NX_EQ_STR(NX_STR("order_lines"), near[1]);
	NX_EQ_I(0, nx_dbschema_near_tables(s, NX_STR("crm"), NX_STR("order"), near));
	NX_EQ_I(0, nx_dbschema_near_tables(s, NX_STR(""), NX_STR("zebra"), near));
	NX_EQ_I(1, nx_dbschema_near_columns(s, 0, NX_STR("sirname"), near));
	NX_EQ_STR(NX_STR("surname"), near[0]);
	nx_dbschema_unref(s);
}

NX_TEST(types_follow_the_dialect)
{
	static const struct {
		enum nx_dialect d;
		const char *native, *type;
	} rows[] = {
		{ NX_D_POSTGRESQL, "numeric(10,2)", "decimal" },
		{ NX_D_POSTGRESQL, "timestamp(3) with time zone", "timestamptz" },
		{ NX_D_POSTGRESQL, "integer[]", "list" },
		{ NX_D_POSTGRESQL, "mood", NULL },
		{ NX_D_POSTGRESQL, "int", NULL },
		{ NX_D_MYSQL, "int(11) unsigned", "uint32" },
		{ NX_D_MYSQL, "enum('a|b','(c')", "string" },
		{ NX_D_MYSQL, "longtext", NULL },
		{ NX_D_DUCKDB, "STRUCT(a INTEGER, b VARCHAR)", "struct" },
		{ NX_D_DUCKDB, "STRUCT(a INTEGER)[]", "list" },
		{ NX_D_DUCKDB, "DECIMAL(18,3)", "decimal" },
		{ NX_D_SQLITE, "INTEGER", NULL },
		{ NX_D_POSTGRESQL, "", NULL },
		{ NX_D_POSTGRESQL, "|", NULL },
	};
	for (size_t i = 0; i < NX_COUNTOF(rows); i++) {
		const char *t = nx_db_type(rows[i].d, nx_str(rows[i].native));
		NX_EQ_S(rows[i].type ? rows[i].type : "none", t ? t : "none");
	}
}
