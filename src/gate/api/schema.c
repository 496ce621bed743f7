/* Schema browse: what a data source holds, from the schema cache. */
#include <stdlib.h>

#include "base/clock.h"
#include "gate/api/api.h"
#include "gate/schemas.h"

#define MOST_TABLES 10000u

static void put_text(struct nx_buf *b, const char *before, struct nx_str s)
{
	nx_buf_puts(b, before);
	if (s.ptr)
		nx_buf_put_json(b, s);
	else
		nx_buf_puts(b, "null");
}

static void put_columns(struct nx_buf *b, const struct nx_dbschema *s, const struct nx_db_table *t)
{
	nx_buf_puts(b, ",\"columns\":[");
	for (uint32_t i = t->column; i < t->column + t->ncolumns; i++) {
		const struct nx_db_column *c = &s->columns[i];
		put_text(b, i > t->column ? ",{\"name\":" : "{\"name\":", c->name);
		nx_buf_printf(b, ",\"position\":%u", c->position);
		put_text(b, ",\"type\":", nx_str(c->type));
		put_text(b, ",\"nativeType\":", c->native);
		nx_buf_printf(b, ",\"nullable\":%s",
			      c->nullable < 0 ? "null"
			      : c->nullable   ? "true"
					      : "false");
		put_text(b, ",\"default\":", c->dflt);
		put_text(b, ",\"key\":", c->key);
		put_text(b, ",\"comment\":", c->comment);
		nx_buf_putc(b, '}');
	}
	nx_buf_putc(b, ']');
}

/* The column, or the column it leads to, of each row from `i` on that belongs to the same key. */
static uint32_t put_key_columns(struct nx_buf *b, const struct nx_dbschema *s,
				const struct nx_db_table *t, uint32_t i, bool target)
{
	const struct nx_db_key *first = &s->keys[i];
	for (uint32_t n = 0; i < t->key + t->nkeys; i++, n++) {
		const struct nx_db_key *k = &s->keys[i];
		if (k->kind != first->kind || !nx_str_eq(k->name, first->name))
			break;
		put_text(b, n ? "," : "", target ? k->ref_column : k->column);
	}
	return i;
}

static void put_keys(struct nx_buf *b, const struct nx_dbschema *s, const struct nx_db_table *t)
{
	static const char *const kinds[] = { "primary", "unique", "foreign", "index" };
	nx_buf_puts(b, ",\"keys\":[");
	for (uint32_t i = t->key, next; i < t->key + t->nkeys; i = next) {
		const struct nx_db_key *k = &s->keys[i];
		put_text(b, i > t->key ? ",{\"name\":" : "{\"name\":", k->name);
		nx_buf_printf(b, ",\"kind\":\"%s\",\"columns\":[", kinds[k->kind]);
		next = put_key_columns(b, s, t, i, false);
		nx_buf_putc(b, ']');
		if (k->kind == NX_DB_FOREIGN) {
			put_text(b, ",\"references\":{\"schema\":", k->ref_schema);
			put_text(b, ",\"table\":", k->ref_table);
			nx_buf_puts(b, ",\"columns\":[");
			(void)put_key_columns(b, s, t, i, true);
			nx_buf_puts(b, "]}");
		}
		nx_buf_putc(b, '}');
	}
	nx_buf_putc(b, ']');
}

static void put_table(struct nx_buf *b, const struct nx_dbschema *s, uint32_t i, bool details)
{
	const struct nx_db_table *t = &s->tables[i];
	put_text(b, "{\"schema\":", t->schema);
	put_text(b, ",\"name\":", t->name);
	put_text(b, ",\"kind\":", t->kind);
	put_text(b, ",\"comment\":", t->comment);
	if (t->row_estimate < 0)
		nx_buf_puts(b, ",\"rowEstimate\":null");
	else
		nx_buf_printf(b, ",\"rowEstimate\":%lld", (long long)t->row_estimate);
	nx_buf_printf(b, ",\"columnCount\":%u", t->ncolumns);
	if (details)
		put_columns(b, s, t);
	if (details && s->keys_known)
		put_keys(b, s, t);
	nx_buf_putc(b, '}');
}

static void put_schemas(struct nx_buf *b, const struct nx_dbschema *s)
{
	nx_buf_puts(b, "\"schemas\":[");
	for (uint32_t i = 0, next; i < s->ntables; i = next) {
		next = i + 1;
		while (next < s->ntables && nx_str_eq(s->tables[next].schema, s->tables[i].schema))
			next++;
		put_text(b, i ? ",{\"name\":" : "{\"name\":", s->tables[i].schema);
		nx_buf_printf(b, ",\"tables\":%u}", next - i);
	}
	nx_buf_putc(b, ']');
}

struct hit {
	uint32_t score, table;
};

static int best_first(const void *x, const void *y)
{
	const struct hit *a = x, *b = y;
	if (a->score != b->score)
		return a->score < b->score ? 1 : -1;
	return (a->table > b->table) - (a->table < b->table);
}

struct filter {
	struct nx_str schema, table, search;
	uint32_t offset, limit;
	bool details, refresh;
};

/* The tables that pass, best first where words are searched for. */
static struct hit *select_tables(struct nx_arena *a, const struct nx_dbschema *s,
				 const struct filter *f, uint32_t *ret_n)
{
	struct hit *hits = nx_arena_array(a, s->ntables ? s->ntables : 1, sizeof(*hits));
	uint32_t n = 0;
	for (uint32_t i = 0; hits && i < s->ntables; i++) {
		i = nx_dbschema_find(s, f->schema, f->table, i);
		if (i == s->ntables)
			break;
		uint32_t score = f->search.len ? nx_dbschema_score(s, i, f->search) : 1;
		if (score)
			hits[n++] = (struct hit){ score, i };
	}
	if (n > 1 && f->search.len)
		qsort(hits, n, sizeof(*hits), best_first);
	*ret_n = n;
	return hits;
}

static enum nx_code flag(struct nx_request *r, const char *name, bool *ret)
{
	struct nx_str s = nx_query_param(r, name);
	*ret = nx_str_is(s, "true");
	if (!s.ptr || *ret || nx_str_is(s, "false"))
		return NX_OK;
	return nx_fail(&r->err, NX_E_BAD_VALUE, "%s must be true or false.", name);
}

static enum nx_code read_filter(struct nx_request *r, struct filter *f)
{
	f->schema = nx_query_param(r, "schema");
	f->table = nx_query_param(r, "table");
	f->search = nx_query_param(r, "search");
	enum nx_code c = flag(r, "columns", &f->details);
	f->details |= f->table.len > 0;
	if (!c)
		c = flag(r, "refresh", &f->refresh);
	if (!c)
		c = nx_query_param_u32(r, "limit", 1000, MOST_TABLES, &f->limit, &r->err);
	if (!c)
		c = nx_query_param_u32(r, "offset", 0, UINT32_MAX, &f->offset, &r->err);
	return c;
}

static enum nx_code reply(struct nx_request *r, const struct filter *f,
			  const struct nx_schema_view *v)
{
	uint32_t n;
	struct hit *hits = select_tables(r->arena, v->schema, f, &n);
	if (!hits)
		return nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	struct nx_buf b;
	char when[NX_ISO_LEN];
	nx_buf_init(&b, (size_t)64 << 20);
	nx_buf_putc(&b, '{');
	put_schemas(&b, v->schema);
	nx_buf_puts(&b, ",\"tables\":[");
	for (uint32_t i = f->offset; i < n && i - f->offset < f->limit; i++) {
		if (i > f->offset)
			nx_buf_putc(&b, ',');
		put_table(&b, v->schema, hits[i].table, f->details);
	}
	nx_iso_time(v->schema->loaded_wall, when);
	nx_buf_printf(&b,
		      "],\"total\":%u,\"offset\":%u,\"limit\":%u,\"truncated\":%s,"
		      "\"fetchedAt\":\"%s\",\"ageSeconds\":%lld,\"fresh\":%s,\"refreshing\":%s}",
		      n, f->offset, f->limit, v->schema->truncated ? "true" : "false", when,
		      (long long)(v->age / NX_SEC), v->fresh ? "true" : "false",
		      v->loading ? "true" : "false");
	enum nx_code c = NX_OK;
	if (b.failed)
		c = nx_fail(&r->err, NX_E_RESULT_TOO_LARGE, "The schema is too large; narrow it.");
	else
		nx_request_data(r, 200, nx_buf_str(&b));
	nx_buf_done(&b);
	return c;
}

enum nx_code nx_act_source_schema(struct nx_request *r)
{
	struct filter f = { .limit = 0 };
	enum nx_code c = nx_step_resolve(r, r->path[0]);
	if (!c)
		c = read_filter(r, &f);
	struct nx_schema_view v;
	if (!c)
		c = nx_schemas_get(r->gw->schemas, r, f.refresh ? NX_SCHEMA_NEW : NX_SCHEMA_USE,
				   NX_NEVER, &v, &r->err);
	if (c)
		return c;
	c = reply(r, &f, &v);
	nx_dbschema_unref(v.schema);
	return c;
}
