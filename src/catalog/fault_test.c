/* Every allocation of a source's life fails once, and from each one on all fail: the answer is an
 * error, nothing leaks (under ASan), nothing is half done, and the next try works. The linker sends
 * our calls of malloc and its kin here (meson.build); libraries keep their own. */
#include <stdlib.h>

#include "base/log.h"
#include "catalog/catalog_int.h"
#include "test.h"

static long left = -1; /* allocations until the fault; -1: off */
static bool for_good; /* and all after it */
static bool hit;

static bool fails(void)
{
	if (left < 0 || left-- > 0)
		return false;
	left = for_good ? 0 : -1;
	hit = true;
	return true;
}

#define WRAP(type, name, params, args)                      \
	type __real_##name params;                          \
	type __wrap_##name params;                          \
	type __wrap_##name params                           \
	{                                                   \
		return fails() ? NULL : __real_##name args; \
	}
WRAP(void *, malloc, (size_t n), (n))
WRAP(void *, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, (void *p, size_t n), (p, n))
WRAP(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size))
WRAP(char *, strdup, (const char *s), (s))
WRAP(char *, strndup, (const char *s, size_t n), (s, n))

static const struct nx_option options[] = {
	{ "host", NX_OPT_STRING, NX_OPTF_REQUIRED, NULL, 0, 0, NULL, "" },
	{ "port", NX_OPT_INT, 0, NULL, 1, 65535, NULL, "" },
	{ "password", NX_OPT_SECRET, 0, NULL, 0, 0, NULL, "" },
	{ .key = NULL },
};
static const struct nx_driver pg = { .abi = NX_DRIVER_ABI,
				     .name = "postgresql",
				     .options = options };
const struct nx_driver *const nx_drivers[] = { &pg, NULL };

static const uint8_t key[32] = "0123456789abcdef0123456789abcde";

struct world {
	struct nx_store *store;
	struct nx_catalog *c;
	struct nx_arena *requests;
	const struct nx_json *post, *put, *bad;
	char id[37];
};

static const struct nx_json *parse(struct world *w, const char *text)
{
	const struct nx_json *v = NULL;
	NX_EQ_I(NX_OK, nx_json_parse(nx_str(text), w->requests, &v, NULL));
	return v;
}

static enum nx_code do_create(struct world *w, struct nx_arena *a, struct nx_error *err)
{
	const struct nx_data_source *s = NULL;
	enum nx_code c = nx_catalog_create(w->c, w->post, NX_STR("tester"), a, NULL, &s, err);
	if (!c)
		memcpy(w->id, s->id, sizeof(w->id));
	nx_data_source_unref(s);
	return c;
}

static enum nx_code do_replace(struct world *w, struct nx_arena *a, struct nx_error *err)
{
	return nx_catalog_replace(w->c, nx_str(w->id), w->put, NX_STR("tester"), a, NULL, NULL,
				  err);
}

static enum nx_code do_status(struct world *w, struct nx_arena *a, struct nx_error *err)
{
	(void)a;
	return nx_catalog_set_status(w->c, nx_str(w->id), NX_SOURCE_ACTIVE, err);
}

static enum nx_code do_refuse(struct world *w, struct nx_arena *a, struct nx_error *err)
{
	struct nx_str rules = { 0 };
	enum nx_code c = nx_catalog_create(w->c, w->bad, NX_STR("tester"), a, &rules, NULL, err);
	return c == NX_E_UNKNOWN_KEY ? NX_OK : c ? c : NX_E_INTERNAL;
}

static enum nx_code do_config(struct world *w, struct nx_arena *a, struct nx_error *err)
{
	(void)a;
	struct nx_catalog *c = NULL;
	struct nx_json item = *w->post;
	struct nx_json list = { .kind = NX_JSON_ARRAY, .first = &item, .count = 1 };
	item.next = NULL;
	enum nx_code code = nx_catalog_open(NULL, key, &c, err);
	if (!code)
		code = nx_catalog_declare(c, &list, NULL, err);
	nx_catalog_free(c);
	return code;
}

static enum nx_code do_reload(struct world *w, struct nx_arena *a, struct nx_error *err)
{
	struct nx_catalog *c = NULL;
	const struct nx_data_source *s = NULL;
	(void)a;
	enum nx_code code = nx_catalog_open(w->store, key, &c, err);
	if (code)
		return code;
	/* never a source that lost its password for want of memory */
	code = nx_catalog_get(c, nx_str(w->id), &s, err);
	if (!code && (s->problem || strcmp(nx_opt_str(s->options, "password", ""), "p") != 0))
		code = NX_E_INTERNAL;
	nx_data_source_unref(s);
	nx_catalog_free(c);
	return code;
}

static void count(const struct nx_data_source *s, void *arg)
{
	(void)s;
	++*(int *)arg;
}

static enum nx_code do_list(struct world *w, struct nx_arena *a, struct nx_error *err)
{
	uint32_t total;
	int n = 0;
	(void)a;
	return nx_catalog_list(w->c, NX_STR(""), NX_STR(""), 0, 10, &total, count, &n, err);
}

static enum nx_code do_delete(struct world *w, struct nx_arena *a, struct nx_error *err)
{
	(void)a;
	return nx_catalog_delete(w->c, nx_str(w->id), err);
}

static const struct {
	const char *name;
	enum nx_code (*run)(struct world *w, struct nx_arena *a, struct nx_error *err);
	bool changes; /* succeeds once only */
} steps[] = {
	{ "create", do_create, true },	  { "refuse", do_refuse, false },
	{ "replace", do_replace, false }, { "status", do_status, false },
	{ "reload", do_reload, false },	  { "config", do_config, false },
	{ "list", do_list, false },	  { "delete", do_delete, true },
};

/* Fails at 0, 1, 2 ... until the step gets through without reaching the fault. */
static void torture(struct world *w, size_t i)
{
	long n = 0;
	for (;; n++) {
		struct nx_error err;
		struct nx_arena *a = nx_arena_new(0);
		nx_error_clear(&err);
		hit = false;
		left = n;
		enum nx_code c = steps[i].run(w, a, &err);
		left = -1;
		nx_arena_free(a);
		if (!hit) {
			if (c)
				nx_test_fail(__FILE__, __LINE__, "%s: %s", steps[i].name,
					     err.message);
			break;
		}
		/* a fault in an aside (a log line, the rules text) may be survived */
		if (c == NX_OK && steps[i].changes)
			break;
		if (c != NX_OK && c != NX_E_MEMORY && c != NX_E_UNKNOWN_KEY)
			nx_test_fail(__FILE__, __LINE__, "%s at %ld: %s %s", steps[i].name, n,
				     nx_code_name(c), err.message);
		NX_CHECK(n < 10000);
	}
	printf("# %s: %ld faults\n", steps[i].name, n);
}

static void life(void)
{
	struct world w = { .requests = nx_arena_new(0) };
	nx_log_setup(NX_LOG_ERROR, -1, false);
	NX_EQ_I(NX_OK, nx_store_open(":memory:", &w.store, NULL));
	NX_EQ_I(NX_OK, nx_catalog_open(w.store, key, &w.c, NULL));
	w.post = parse(&w, "{\"name\":\"a\",\"type\":\"postgresql\",\"config\":{\"host\":\"h\","
			   "\"password\":\"p\","
			   "\"connectionTimeout\":50}}");
	w.put = parse(&w, "{\"name\":\"b\",\"type\":\"postgresql\",\"config\":{\"host\":\"i\"}}");
	w.bad = parse(
		&w, "{\"name\":\"c\",\"type\":\"postgresql\",\"config\":{\"host\":\"i\",\"x\":1}}");
	for (size_t i = 0; i < NX_COUNTOF(steps); i++)
		torture(&w, i);
	nx_catalog_free(w.c);
	nx_store_close(w.store);
	nx_arena_free(w.requests);
}

NX_TEST(each_allocation_fails_once)
{
	life();
}

NX_TEST(all_allocations_fail_from_one_on)
{
	for_good = true;
	life();
}
