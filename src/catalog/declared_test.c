/* Sources of the configuration file: read, replaced as a whole, and told of. */
#include "catalog_test.h"

NX_TEST(sources_of_the_configuration_file)
{
	struct nx_store *st = open_store(":memory:");
	struct nx_catalog *c = open_catalog(st, key), *d = open_catalog(NULL, NULL);
	struct nx_arena *a = nx_arena_new(0);
	struct nx_error err;
	const struct nx_data_source *s = NULL, *t = NULL;
#define A_ITEM "{\"name\":\"a\"," PG ",\"password\":\"p\"}}"
	const struct nx_json *list = parse("[" A_ITEM "]", a);
	NX_EQ_I(NX_OK, nx_catalog_declare(c, list, NULL, &err));
	NX_EQ_I(NX_OK, nx_catalog_declare(d, list, NULL, &err));
	NX_EQ_I(NX_E_SOURCE_EXISTS,
		nx_catalog_declare(c, parse("[" A_ITEM "," A_ITEM "]", a), NULL, &err));
	NX_EQ_I(NX_E_UNKNOWN_KEY,
		nx_catalog_declare(c, parse("[{\"name\":\"b\"," PG ",\"x\":1}}]", a), NULL, &err));
	NX_CHECK(strstr(err.message, "Source b: "));
	NX_EQ_I(NX_OK, nx_catalog_get(c, NX_STR("a"), &s, &err));
	NX_EQ_I(NX_OK, nx_catalog_get(d, NX_STR("a"), &t, &err));
	NX_EQ_S(s->id, t->id); /* stable over instances */
	NX_CHECK(s->from_config);
	NX_EQ_I(NX_SOURCE_ACTIVE, s->status);
	NX_EQ_I(NX_E_FORBIDDEN, replace(c, s->id, "{\"name\":\"a\"," PG "}}", NULL, &err));
	NX_EQ_I(NX_E_FORBIDDEN, nx_catalog_delete(c, nx_str(s->id), &err));
	NX_EQ_I(NX_OK, nx_catalog_set_status(c, nx_str(s->id), NX_SOURCE_ERROR, &err));
	NX_EQ_I(NX_E_SOURCE_EXISTS, create(c, "{\"name\":\"a\"," PG "}}", NULL, &err));
	nx_data_source_unref(s);
	nx_data_source_unref(t);
	NX_EQ_I(NX_OK, nx_catalog_get(c, NX_STR("a"), &s, &err));
	NX_CHECK(s->from_config && s->status == NX_SOURCE_ERROR);
	nx_data_source_unref(s);
	/* built, not kept */
	NX_EQ_I(NX_OK,
		nx_catalog_build(c, parse("{\"name\":\"tmp\"," PG ",\"password\":\"p\"}}", a), a,
				 NULL, &s, &err));
	NX_EQ_S("p", nx_opt_str(s->options, "password", ""));
	nx_data_source_unref(s);
	NX_EQ_I(NX_E_SOURCE_NOT_FOUND, nx_catalog_get(c, NX_STR("tmp"), &s, &err));
	nx_arena_free(a);
	nx_catalog_free(c);
	nx_catalog_free(d);
	nx_store_close(st);
}

static struct nx_declared declare(struct nx_catalog *c, const char *list, struct nx_arena *a)
{
	struct nx_declared did = { 0 };
	struct nx_error err;
	if (nx_catalog_declare(c, parse(list, a), &did, &err))
		nx_test_fail(__FILE__, __LINE__, "%s", err.message);
	return did;
}

static void note_change(const struct nx_data_source *old, void *arg)
{
	NX_CHECK(nx_data_source_replaced(old));
	++*(int *)arg;
}

NX_TEST(declared_sources_are_replaced_as_a_whole)
{
	struct nx_catalog *c = open_catalog(NULL, NULL);
	struct nx_arena *a = nx_arena_new(0);
	struct nx_error err;
	const struct nx_data_source *s = NULL, *t = NULL;
	int changes = 0;
	nx_catalog_on_change(c, note_change, &changes);
#define ITEM(name, password) "{\"name\":\"" name "\"," PG ",\"password\":\"" password "\"}}"
	NX_EQ_I(2, declare(c, "[" ITEM("a", "1") "," ITEM("b", "1") "]", a).added);
	NX_EQ_I(NX_OK, nx_catalog_get(c, NX_STR("a"), &s, &err));
	NX_EQ_I(NX_OK, nx_catalog_set_status(c, nx_str(s->id), NX_SOURCE_INACTIVE, &err));
	nx_data_source_unref(s);
	changes = 0;
	/* a secret alone is a change; what is as it was keeps its status */
	struct nx_declared did =
		declare(c, "[" ITEM("c", "1") "," ITEM("b", "2") "," ITEM("a", "1") "]", a);
	NX_EQ_I(1, did.added);
	NX_EQ_I(1, did.changed);
	NX_EQ_I(1, did.unchanged);
	NX_EQ_I(1, changes);
	NX_EQ_I(NX_OK, nx_catalog_get(c, NX_STR("a"), &s, &err));
	NX_EQ_I(NX_SOURCE_INACTIVE, s->status);
	NX_EQ_I(1, s->version);
	nx_data_source_unref(s);
	NX_EQ_I(NX_OK, nx_catalog_get(c, NX_STR("b"), &s, &err));
	NX_EQ_I(2, s->version);
	NX_EQ_S("2", nx_opt_str(s->options, "password", ""));
	/* a mistake changes nothing, and says where it is */
	NX_EQ_I(NX_E_UNKNOWN_KEY,
		nx_catalog_declare(
			c, parse("[" ITEM("d", "1") ",{\"name\":\"e\"," PG ",\"x\":1}}]", a), NULL,
			&err));
	NX_CHECK(strstr(err.message, "Source e: "));
	NX_EQ_I(NX_E_SOURCE_NOT_FOUND, nx_catalog_get(c, NX_STR("d"), &t, &err));
	NX_CHECK(!nx_data_source_replaced(s));
	/* gone from the list, gone from the catalog; who holds it may go on */
	NX_EQ_I(3, declare(c, "[]", a).removed);
	NX_CHECK(nx_data_source_replaced(s));
	NX_EQ_I(NX_E_SOURCE_NOT_FOUND, nx_catalog_get(c, NX_STR("b"), &t, &err));
	nx_data_source_unref(s);
	NX_EQ_I(1, declare(c, "[" ITEM("b", "2") "]", a).added);
	nx_arena_free(a);
	nx_catalog_free(c);
}
