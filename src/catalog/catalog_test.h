/* What the tests of the catalog share: two drivers of their own (catalog_test.c), and short ways to make a
 * catalog and sources in it. One thread. */
#ifndef NX_CATALOG_TEST_H
#define NX_CATALOG_TEST_H

#include "catalog/catalog_int.h"
#include "test.h"

extern const struct nx_driver nx_test_pg; /* `postgresql`, with all kinds of options */

static const uint8_t key[32] = "0123456789abcdef0123456789abcde";

/* ---- helpers ---- */

static inline struct nx_store *open_store(const char *path)
{
	struct nx_store *s = NULL;
	struct nx_error err;
	if (nx_store_open(path, &s, &err))
		nx_test_fail(__FILE__, __LINE__, "%s", err.message);
	return s;
}

static inline struct nx_catalog *open_catalog(struct nx_store *s, const uint8_t *k)
{
	struct nx_catalog *c = NULL;
	struct nx_error err;
	if (nx_catalog_open(s, k, &c, &err))
		nx_test_fail(__FILE__, __LINE__, "%s", err.message);
	return c;
}

static inline const struct nx_json *parse(const char *text, struct nx_arena *a)
{
	const struct nx_json *v = NULL;
	struct nx_error err;
	if (nx_json_parse(nx_str(text), a, &v, &err))
		nx_test_fail(__FILE__, __LINE__, "%s: %s", err.message, text);
	return v;
}

static inline enum nx_code create(struct nx_catalog *c, const char *body,
			   const struct nx_data_source **ret, struct nx_error *err)
{
	struct nx_arena *a = nx_arena_new(0);
	enum nx_code code =
		nx_catalog_create(c, parse(body, a), NX_STR("tester"), a, NULL, ret, err);
	nx_arena_free(a);
	return code;
}

static inline const struct nx_data_source *must_create(struct nx_catalog *c, const char *body)
{
	const struct nx_data_source *s = NULL;
	struct nx_error err;
	if (create(c, body, &s, &err))
		nx_test_fail(__FILE__, __LINE__, "%s: %s", err.message, body);
	return s;
}

static inline enum nx_code replace(struct nx_catalog *c, const char *id, const char *body,
			    const struct nx_data_source **ret, struct nx_error *err)
{
	struct nx_arena *a = nx_arena_new(0);
	enum nx_code code = nx_catalog_replace(c, nx_str(id), parse(body, a), NX_STR("tester"), a,
					       NULL, ret, err);
	nx_arena_free(a);
	return code;
}

/* The source's JSON in a static buffer. */
static inline const char *json_of(const struct nx_data_source *s)
{
	static char text[65536];
	struct nx_buf b;
	nx_buf_init(&b, sizeof(text) - 1);
	nx_data_source_json(s, &b);
	NX_CHECK(!b.failed);
	memcpy(text, b.data, b.len);
	text[b.len] = '\0';
	nx_buf_done(&b);
	struct nx_arena *a = nx_arena_new(0);
	(void)parse(text, a); /* is JSON */
	nx_arena_free(a);
	return text;
}

#define PG "\"type\":\"postgresql\",\"config\":{\"host\":\"db\",\"username\":\"u\""

#endif
