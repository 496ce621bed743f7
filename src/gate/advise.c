#include "gate/advise.h"

#include "gate/request.h"
#include "gate/schemas.h"
#include "sql/columns.h"

struct work {
	struct nx_request *r;
	const struct nx_dbschema *schema;
	bool sure; /* fresh and whole */
	uint32_t *found; /* index in the schema of each of the verdict's tables */
	struct nx_advice *out;
	uint32_t n;
};

static bool starts(struct nx_str s, const char *with)
{
	size_t n = strlen(with);
	return s.len >= n && nx_str_ieq(nx_strn(s.ptr, n), nx_strn(with, n));
}

/* Catalogs that schema browse leaves out, and names that a source makes up by itself. */
static bool of_the_system(const struct nx_table_name *t)
{
	static const char *const begin[] = { "pg_", "sqlite_", "duckdb_", "information_schema" };
	static const char *const names[] = { "dual",  "files",	     "s3object",
					     "mysql", "sys",	     "performance_schema",
					     "temp",  "rdb$database" };
	for (size_t i = 0; i < NX_COUNTOF(begin); i++)
		if (starts(t->parts[1], begin[i]) || starts(t->parts[2], begin[i]))
			return true;
	for (size_t i = 0; i < NX_COUNTOF(names); i++)
		if (nx_str_ieq(t->parts[1], nx_str(names[i])) ||
		    nx_str_ieq(t->parts[2], nx_str(names[i])))
			return true;
	return t->path;
}

/* Columns that are there without being listed. */
static bool hidden_column(struct nx_str name)
{
	static const char *const names[] = { "rowid",	 "oid",	     "_rowid_",	       "ctid",
					     "xmin",	 "xmax",     "cmin",	       "cmax",
					     "tableoid", "filename", "file_row_number" };
	for (size_t i = 0; i < NX_COUNTOF(names); i++)
		if (nx_str_ieq(name, nx_str(names[i])))
			return true;
	return false;
}

/* The snapshot may be gone before the advice is used. */
static void keep_suggestions(struct work *w, struct nx_advice *a)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < a->nsuggestions; i++) {
		struct nx_str s = nx_arena_str(w->r->arena, a->suggestions[i]);
		if (s.ptr)
			a->suggestions[n++] = s;
	}
	a->nsuggestions = n;
}

static void look_up_tables(struct work *w)
{
	const struct nx_verdict *v = &w->r->verdict;
	for (uint32_t i = 0; i < v->ntables; i++) {
		const struct nx_table_name *t = &v->tables[i];
		w->found[i] = t->path ? w->schema->ntables
				      : nx_dbschema_find(w->schema, t->parts[1], t->parts[2], 0);
		if (w->found[i] < w->schema->ntables || of_the_system(t) || w->n == NX_ADVICE_MAX)
			continue;
		struct nx_advice *a = &w->out[w->n++];
		bool known = !t->parts[1].len || nx_dbschema_has_schema(w->schema, t->parts[1]);
		*a = (struct nx_advice){ .table = t->parts[2], .position = t->position };
		/* a sequence can be read like a table in PostgreSQL, and is not listed */
		a->certain = w->sure && known && w->r->source->type->dialect != NX_D_POSTGRESQL;
		a->nsuggestions = nx_dbschema_near_tables(
			w->schema, known ? t->parts[1] : NX_STR(""), t->parts[2], a->suggestions);
		keep_suggestions(w, a);
	}
}

/* Is there a table of the statement that has this column, or that is not known? */
static bool explained(const struct work *w, struct nx_str column)
{
	for (uint32_t i = 0; i < w->r->verdict.ntables; i++)
		if (w->found[i] >= w->schema->ntables ||
		    nx_dbschema_column(w->schema, w->found[i], column))
			return true;
	return false;
}

/* A use without a table is only worth a word when it looks like a slip of the pen. */
static void bare_use(struct work *w, const struct nx_column_use *u)
{
	if (explained(w, u->name))
		return;
	for (uint32_t i = 0; i < w->r->verdict.ntables && w->n < NX_ADVICE_MAX; i++) {
		struct nx_advice a = { .column = u->name, .position = u->position };
		a.nsuggestions =
			nx_dbschema_near_columns(w->schema, w->found[i], u->name, a.suggestions);
		if (!a.nsuggestions || nx_edit_distance(u->name, a.suggestions[0], 2) > 2)
			continue;
		keep_suggestions(w, &a);
		w->out[w->n++] = a;
		return;
	}
}

static void look_up_columns(struct work *w)
{
	struct nx_column_use *use = NULL;
	uint32_t n = 0;
	struct nx_error unused;
	const struct nx_verdict *v = &w->r->verdict;
	if (nx_sql_columns(w->r->source->type->dialect, w->r->args.sql, v, w->r->arena, &use, &n,
			   &unused))
		return;
	for (uint32_t i = 0; i < n && w->n < NX_ADVICE_MAX; i++) {
		const struct nx_column_use *u = &use[i];
		if (hidden_column(u->name))
			continue;
		if (u->table == NX_NO_TABLE) {
			bare_use(w, u);
			continue;
		}
		uint32_t t = w->found[u->table];
		if (t >= w->schema->ntables || !w->schema->tables[t].ncolumns ||
		    nx_dbschema_column(w->schema, t, u->name))
			continue;
		struct nx_advice *a = &w->out[w->n++];
		*a = (struct nx_advice){ .table = v->tables[u->table].parts[2],
					 .column = u->name,
					 .position = u->position };
		/* one of two schemas may hold it */
		bool only = nx_dbschema_find(w->schema, v->tables[u->table].parts[1], a->table,
					     t + 1) == w->schema->ntables;
		a->certain = w->sure && only;
		a->nsuggestions = nx_dbschema_near_columns(w->schema, t, u->name, a->suggestions);
		keep_suggestions(w, a);
	}
}

uint32_t nx_advise(struct nx_request *r, struct nx_advice ret[NX_ADVICE_MAX])
{
	struct nx_schema_view v;
	struct nx_error unused;
	if (!r->verdict.ntables ||
	    nx_schemas_get(r->gw->schemas, r, NX_SCHEMA_PEEK, 0, &v, &unused))
		return 0;
	struct work w = { .r = r,
			  .schema = v.schema,
			  .sure = v.fresh && !v.schema->truncated,
			  .found = nx_arena_array(r->arena, r->verdict.ntables, sizeof(*w.found)),
			  .out = ret };
	if (w.found) {
		look_up_tables(&w);
		look_up_columns(&w);
	}
	nx_dbschema_unref(v.schema);
	return w.n;
}

void nx_advice_text(const struct nx_advice *a, struct nx_buf *b)
{
	if (a->column.len) {
		nx_buf_puts(b, "There is no column ");
		nx_buf_put_str(b, a->column);
		nx_buf_puts(b, a->table.len ? " in " : " in these tables");
		nx_buf_put_str(b, a->table);
	} else {
		nx_buf_puts(b, "There is no table ");
		nx_buf_put_str(b, a->table);
	}
	for (uint32_t i = 0; i < a->nsuggestions; i++) {
		nx_buf_puts(b, i ? ", " : "; did you mean ");
		nx_buf_put_str(b, a->suggestions[i]);
	}
	nx_buf_puts(b, a->nsuggestions ? "?" : ".");
}
