/* Two catalogs on one store: what one changes the other takes over. */
#include "catalog/catalog_int.h"
#include "test.h"

static const struct nx_option options[] = {
	{ "host", NX_OPT_STRING, NX_OPTF_REQUIRED, NULL, 0, 0, NULL, "" },
	{ "port", NX_OPT_INT, 0, "1", 1, 65535, NULL, "" },
	{ "username", NX_OPT_STRING, NX_OPTF_REQUIRED, NULL, 0, 0, NULL, "" },
	{ "password", NX_OPT_SECRET, 0, NULL, 0, 0, NULL, "" },
	{ .key = NULL },
};
static const struct nx_driver pg = { .abi = NX_DRIVER_ABI,
				     .name = "postgresql",
				     .options = options };
const struct nx_driver *const nx_drivers[] = { &pg, NULL };

static const uint8_t key[32] = "0123456789abcdef0123456789abcde";
static struct nx_arena *arena;

static struct nx_catalog *open_catalog(struct nx_store *s)
{
	struct nx_catalog *c = NULL;
	struct nx_error err;
	if (nx_catalog_open(s, key, &c, &err))
		nx_test_fail(__FILE__, __LINE__, "%s", err.message);
	return c;
}

static const struct nx_json *parse(const char *text)
{
	const struct nx_json *v = NULL;
	NX_EQ_I(NX_OK, nx_json_parse(nx_str(text), arena, &v, NULL));
	return v;
}

static const struct nx_data_source *must_create(struct nx_catalog *c, const char *body)
{
	const struct nx_data_source *s = NULL;
	struct nx_error err;
	if (nx_catalog_create(c, parse(body), NX_STR("tester"), arena, NULL, &s, &err))
		nx_test_fail(__FILE__, __LINE__, "%s: %s", err.message, body);
	return s;
}

static enum nx_code replace(struct nx_catalog *c, const char *id, const char *body)
{
	struct nx_error err;
	return nx_catalog_replace(c, nx_str(id), parse(body), NX_STR("tester"), arena, NULL, NULL,
				  &err);
}

#define PG "\"type\":\"postgresql\",\"config\":{\"host\":\"db\",\"username\":\"u\""

static uint32_t told;

static void count_told(const struct nx_data_source *old, void *arg)
{
	(void)old, (void)arg;
	told++;
}

static const struct nx_data_source *seen(struct nx_catalog *c, const char *name)
{
	const struct nx_data_source *s = NULL;
	struct nx_error err;
	(void)!nx_catalog_get(c, nx_str(name), &s, &err);
	nx_data_source_unref(s); /* the catalog's own reference holds it */
	return s;
}

NX_TEST(another_instance_sees_what_was_changed)
{
	struct nx_store *st = NULL;
	NX_EQ_I(NX_OK, nx_store_open(":memory:", &st, NULL));
	struct nx_catalog *a = open_catalog(st), *b = open_catalog(st);
	arena = nx_arena_new(0);
	struct nx_error err;
	nx_catalog_on_change(b, count_told, NULL);
	NX_EQ_I(NX_OK, nx_catalog_declare(b, parse("[{\"name\":\"mine\"," PG "}}]"), NULL, &err));
	const struct nx_data_source *x = must_create(a,
						     "{\"name\":\"x\"," PG ",\"password\":\"p\"}}"),
				    *y = must_create(a, "{\"name\":\"y\"," PG "}}");
	NX_CHECK(!seen(b, "x"));
	NX_EQ_I(NX_OK, nx_catalog_sync(b, &err));
	NX_CHECK(seen(b, "x") && seen(b, "y") && seen(b, "mine"));
	NX_EQ_S("p", nx_opt_str(seen(b, "x")->options, "password", ""));
	NX_EQ_I(0, told);

	/* nothing new: the same snapshots */
	const struct nx_data_source *before = seen(b, "x");
	NX_EQ_I(NX_OK, nx_catalog_sync(b, &err));
	NX_CHECK(before == seen(b, "x"));

	/* a probe's finding stays this instance's own */
	NX_CHECK(nx_catalog_note_status(b, seen(b, "y"), NX_SOURCE_ERROR));
	NX_EQ_I(NX_OK, nx_catalog_sync(b, &err));
	NX_EQ_I(NX_SOURCE_ERROR, seen(b, "y")->status);
	told = 0;

	/* a change, a status, a rename in a ring */
	NX_EQ_I(NX_OK, replace(a, x->id, "{\"name\":\"t\"," PG ",\"port\":1}}"));
	NX_EQ_I(NX_OK, replace(a, y->id, "{\"name\":\"x\"," PG "}}"));
	NX_EQ_I(NX_OK, replace(a, x->id, "{\"name\":\"y\"," PG ",\"port\":2}}"));
	NX_EQ_I(NX_OK, nx_catalog_sync(b, &err));
	NX_EQ_I(2, nx_opt_int(seen(b, "y")->options, "port", 0));
	NX_EQ_I(3, seen(b, "y")->version);
	NX_EQ_S(y->id, seen(b, "x")->id);
	NX_CHECK(!seen(b, "t"));
	NX_EQ_I(2, told);
	NX_EQ_I(NX_OK, nx_catalog_set_status(a, nx_str(x->id), NX_SOURCE_ACTIVE, &err));
	NX_EQ_I(NX_OK, nx_catalog_sync(b, &err));
	NX_EQ_I(NX_SOURCE_ACTIVE, seen(b, "y")->status);
	NX_EQ_I(3, told);

	/* an edit of what is not the newest any more */
	NX_EQ_I(NX_OK, replace(a, x->id, "{\"name\":\"y\"," PG ",\"port\":3}}"));
	NX_EQ_I(NX_E_SOURCE_CHANGED, replace(b, x->id, "{\"name\":\"y\"," PG ",\"port\":4}}"));

	/* a name that this instance's own file has taken is left out; one that goes is gone */
	nx_data_source_unref(must_create(a, "{\"name\":\"mine\"," PG "}}"));
	NX_EQ_I(NX_OK, nx_catalog_delete(a, nx_str(y->id), &err));
	NX_EQ_I(NX_OK, nx_catalog_sync(b, &err));
	NX_CHECK(seen(b, "mine")->from_config);
	NX_CHECK(!seen(b, "x"));
	NX_EQ_I(3, nx_opt_int(seen(b, "y")->options, "port", 0));
	NX_EQ_I(NX_OK, nx_catalog_sync(b, &err));
	nx_data_source_unref(x);
	nx_data_source_unref(y);
	nx_catalog_free(a);
	nx_catalog_free(b);
	nx_arena_free(arena);
	nx_store_close(st);
}
