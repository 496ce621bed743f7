/* Bodies of POST /datasources: a source or a list of broken rules, never more. What is shown of a
 * source is JSON, makes the same source again where it has no secrets, and never shows one. */
#include <stdlib.h>

#include "catalog/catalog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct nx_json *parse(struct nx_str text, struct nx_arena *a)
{
	const struct nx_json *v = NULL;
	return nx_json_parse(text, a, &v, NULL) == NX_OK ? v : NULL;
}

/* Shown, parsed, built again. */
static void again(struct nx_catalog *c, const struct nx_data_source *s, struct nx_arena *a)
{
	struct nx_buf shown, body;
	nx_buf_init(&shown, 8 << 20);
	nx_buf_init(&body, 8 << 20);
	nx_data_source_json(s, &shown);
	const struct nx_json *v = parse(nx_buf_str(&shown), a);
	if (!v || !nx_json_get(v, "config"))
		abort();
	nx_buf_puts(&body, "{\"name\":");
	nx_buf_put_json(&body, s->name);
	nx_buf_printf(&body, ",\"type\":\"%s\",\"config\":", s->type->name);
	nx_json_write(nx_json_get(v, "config"), &body);
	nx_buf_putc(&body, '}');
	const struct nx_data_source *t = NULL;
	struct nx_error err;
	if (memmem(body.data, body.len, "********", 8)) {
		/* a mask is no value to start from */
	} else if (nx_catalog_build(c, parse(nx_buf_str(&body), a), a, NULL, &t, &err) != NX_OK &&
		   err.code != NX_E_MEMORY) {
		abort();
	}
	nx_data_source_unref(t);
	nx_buf_done(&shown);
	nx_buf_done(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct nx_catalog *c;
	static const uint8_t key[32];
	if (!c && nx_catalog_open(NULL, key, &c, NULL) != NX_OK)
		abort();
	struct nx_arena *a = nx_arena_new(32 << 20);
	const struct nx_json *body = parse(nx_strn((const char *)data, size), a);
	const struct nx_data_source *s = NULL;
	struct nx_str rules = { 0 };
	struct nx_error err;
	if (body && nx_catalog_build(c, body, a, &rules, &s, &err) == NX_OK)
		again(c, s, a);
	else if (body && err.code != NX_E_MEMORY && (!rules.len || !parse(rules, a)))
		abort();
	nx_data_source_unref(s);
	nx_arena_free(a);
	return 0;
}
