/* Names of tables: read from the tokens, unquoted, CTE names left out, each once. */
#include "sql/walk.h"

static char closing(const struct nx_walk *w, uint32_t i)
{
	return w->sql.ptr[w->t[i].off + w->t[i].len - 1];
}

/* a-b-c: a project's name may hold dashes where nothing else could be meant. */
static uint32_t dashes(const struct nx_walk *w, uint32_t i)
{
	while (nx_walk_is_op(w, i + 1, '-') && i + 2 < w->n &&
	       w->t[i].off + w->t[i].len == w->t[i + 1].off &&
	       w->t[i + 1].off + 1 == w->t[i + 2].off &&
	       (w->t[i + 2].kind == NX_T_WORD || w->t[i + 2].kind == NX_T_NUMBER))
		i += 2;
	return i;
}

uint32_t nx_walk_name_end(const struct nx_walk *w, uint32_t i, bool table)
{
	if (table && (w->row->grammar & NX_G_DASH_NAMES))
		i = dashes(w, i);
	for (;;) {
		if (!nx_walk_is_op(w, i + 1, '.'))
			return i;
		if (nx_walk_is_name(w, i + 2))
			i += 2;
		else if ((w->row->grammar & NX_G_TSQL) && nx_walk_is_op(w, i + 2, '.') &&
			 nx_walk_is_name(w, i + 3))
			i += 3; /* db..t */
		else
			return i;
	}
}

struct nx_str nx_walk_unquote(struct nx_walk *w, uint32_t i)
{
	struct nx_str s = nx_walk_text(w, i);
	if (w->t[i].kind != NX_T_QUOTED && w->t[i].kind != NX_T_STRING)
		return s;
	if (s.len < 2)
		return s;
	char q = closing(w, i);
	s.ptr++;
	s.len -= 2;
	bool backslash = q == '`' && (w->row->lex & NX_L_BACKTICK_BS);
	if (!memchr(s.ptr, q, s.len) && !(backslash && memchr(s.ptr, '\\', s.len)))
		return s;
	char *p = nx_arena_alloc(w->arena, s.len);
	if (!p)
		return (struct nx_str){ NULL, 0 };
	size_t n = 0;
	for (size_t k = 0; k < s.len; k++) {
		if (k + 1 < s.len &&
		    ((s.ptr[k] == q && s.ptr[k + 1] == q) || (backslash && s.ptr[k] == '\\')))
			k++;
		p[n++] = s.ptr[k];
	}
	return nx_strn(p, n);
}

enum nx_code nx_walk_define_cte(struct nx_walk *w, uint32_t i)
{
	if (!w->ctes) {
		w->ctes = nx_arena_array(w->arena, w->max_ctes + 1u, sizeof(*w->ctes));
		if (!w->ctes)
			return nx_walk_fail(w, i, NX_E_MEMORY, "Out of memory.");
	}
	struct nx_str name = nx_walk_unquote(w, i);
	if (!name.ptr)
		return nx_walk_fail(w, i, NX_E_MEMORY, "Out of memory.");
	/* A recursive one was defined before its body already; frames restore the count, so that
	 * there are never more names than CTEs, but one WITH clause may repeat a name. */
	for (uint32_t k = 0; k < w->nctes; k++)
		if (w->ctes[k].name.ptr == name.ptr)
			return NX_OK;
	if (w->nctes > w->max_ctes)
		return nx_walk_fail(w, i, NX_E_TOO_COMPLEX, "More than %u WITH queries [QV-008].",
				    (unsigned)w->max_ctes);
	w->ctes[w->nctes++] = (struct nx_cte){ name, w->t[i].kind == NX_T_QUOTED };
	return NX_OK;
}

static bool is_cte(const struct nx_walk *w, struct nx_str name, bool quoted)
{
	for (uint32_t k = 0; k < w->nctes; k++) {
		const struct nx_cte *c = &w->ctes[k];
		if (nx_str_ieq(c->name, name) &&
		    ((!quoted && !c->quoted) || nx_str_eq(c->name, name)))
			return true;
	}
	return false;
}

static bool same(const struct nx_table_name *a, const struct nx_table_name *b)
{
	return nx_str_eq(a->parts[0], b->parts[0]) && nx_str_eq(a->parts[1], b->parts[1]) &&
	       nx_str_eq(a->parts[2], b->parts[2]) && a->path == b->path;
}

static enum nx_code note(struct nx_walk *w, uint32_t i, const struct nx_table_name *name)
{
	uint32_t *bucket = &w->buckets[nx_str_hash(name->parts[2]) % NX_TABLE_BUCKETS];
	for (uint32_t k = *bucket; k; k = w->chain[k - 1])
		if (same(&w->tables[k - 1], name))
			return NX_OK;
	if (w->ntables == w->cap_tables) {
		uint32_t cap = w->cap_tables ? w->cap_tables * 2 : 8;
		struct nx_table_name *t = nx_arena_array(w->arena, cap, sizeof(*t));
		uint32_t *c = nx_arena_array(w->arena, cap, sizeof(*c));
		if (!t || !c)
			return nx_walk_fail(w, i, NX_E_MEMORY, "Out of memory.");
		if (w->ntables) {
			memcpy(t, w->tables, w->ntables * sizeof(*t));
			memcpy(c, w->chain, w->ntables * sizeof(*c));
		}
		w->tables = t;
		w->chain = c;
		w->cap_tables = cap;
	}
	w->tables[w->ntables] = *name;
	w->chain[w->ntables] = *bucket;
	*bucket = ++w->ntables;
	return NX_OK;
}

static bool path_like(struct nx_str s)
{
	static const char *const ends[] = { ".csv",	".tsv",	  ".json", ".jsonl", ".ndjson",
					    ".parquet", ".gz",	  ".zst",  ".db",    ".duckdb",
					    ".txt",	".arrow", ".xlsx", ".avro",  ".sqlite",
					    ".shp",	".vortex" };
	for (size_t i = 0; i < s.len; i++)
		if (strchr("/\\:*?[]~", s.ptr[i]) || s.ptr[i] == '\0')
			return true;
	for (size_t i = 0; i < NX_COUNTOF(ends); i++) {
		struct nx_str e = nx_str(ends[i]);
		if (s.len > e.len && nx_str_ieq(nx_strn(s.ptr + s.len - e.len, e.len), e))
			return true;
	}
	return false;
}

/* `data.csv` without quotes is looked up as a file when there is no such table. */
static bool extension(struct nx_str s)
{
	return nx_policy_listed("csv tsv json jsonl ndjson parquet gz zst arrow xlsx avro duckdb "
				"sqlite vortex",
				s);
}

static enum nx_code check_path(struct nx_walk *w, uint32_t i, struct nx_str path)
{
	if (!w->policy->table_paths)
		return nx_walk_fail(w, i, NX_E_RO_TABLE_FUNCTION,
				    "Files may not be read by path on this data source.");
	bool bad = path.len == 0 || path.ptr[0] == '/' || path.ptr[0] == '~';
	for (size_t k = 0; k < path.len && !bad; k++) {
		char c = path.ptr[k];
		bad = c == ':' || c == '\\' || c == '\0';
		if (c == '.' && k + 1 < path.len && path.ptr[k + 1] == '.' &&
		    (k == 0 || path.ptr[k - 1] == '/') &&
		    (k + 2 == path.len || path.ptr[k + 2] == '/'))
			bad = true;
	}
	if (bad)
		return nx_walk_fail(w, i, NX_E_RO_TABLE_FUNCTION,
				    "A path must be relative to the data source, without .. and "
				    "without a scheme.");
	return NX_OK;
}

enum nx_code nx_walk_path(struct nx_walk *w, uint32_t i)
{
	w->frames[w->depth - 1].expect_table = false;
	if (!(w->row->grammar & NX_G_PATHS))
		return nx_walk_fail(w, i, NX_E_RO_TABLE_FUNCTION,
				    "A string cannot name a table here.");
	/* E'' and $$ strings, and strings that go on, are more than they seem */
	if (w->sql.ptr[w->t[i].off] != '\'' || (i + 1 < w->n && w->t[i + 1].kind == NX_T_STRING) ||
	    nx_walk_is_op(w, i + 1, '|'))
		return nx_walk_fail(w, i, NX_E_RO_TABLE_FUNCTION,
				    "Write the path as one '..' string.");
	struct nx_str path = nx_walk_unquote(w, i);
	if (!path.ptr)
		return nx_walk_fail(w, i, NX_E_MEMORY, "Out of memory.");
	enum nx_code rc = check_path(w, i, path);
	if (rc != NX_OK)
		return rc;
	struct nx_table_name name = { .position = w->t[i].off, .path = true };
	name.parts[2] = path;
	return note(w, i, &name);
}

/* The parts of a name, tokens first..last, into `parts`: catalog, schema, table. More than three:
 * the middle ones stay joined in the schema as they are written. */
static enum nx_code parts_of(struct nx_walk *w, uint32_t first, uint32_t last,
			     struct nx_table_name *ret)
{
	uint32_t starts[4], n = 0, i = first;
	while (i <= last) {
		if (n == 4)
			break;
		starts[n++] = i;
		while (i < last && !nx_walk_is_op(w, i + 1, '.'))
			i++; /* dashes */
		i += 2;
		if (i <= last && nx_walk_is_op(w, i, '.'))
			i++;
	}
	if (i <= last || (n == 4 && (w->row->grammar & NX_G_FOUR_PARTS)))
		return nx_walk_fail(w, first, NX_E_RO_TABLE_FUNCTION,
				    "A name of four parts goes to another server.");
	for (uint32_t k = 0; k < n; k++) {
		uint32_t slot = n > 3 ? (k == 0 ? 0 : k == n - 1 ? 2 : 1) : 3 - n + k;
		uint32_t s = starts[k], end = k + 1 < n ? starts[k + 1] - 2 : last;
		struct nx_str text = nx_walk_unquote(w, s);
		if (!text.ptr)
			return nx_walk_fail(w, first, NX_E_MEMORY, "Out of memory.");
		if (end > s && !nx_walk_is_op(w, end, '.') && !nx_walk_is_op(w, s + 1, '.'))
			text.len = w->t[end].off + w->t[end].len - w->t[s].off;
		if (n == 4 && k == 2)
			text = nx_strn(w->sql.ptr + w->t[starts[1]].off,
				       w->t[s].off + w->t[s].len - w->t[starts[1]].off);
		ret->parts[slot] = text;
	}
	return NX_OK;
}

/* `a.b.c` in one pair of quotes is three names. */
static void split_quoted(struct nx_table_name *name)
{
	struct nx_str s = name->parts[2];
	for (int slot = 2; slot > 0; slot--) {
		size_t k = s.len;
		while (k > 0 && s.ptr[k - 1] != '.')
			k--;
		if (k == 0)
			break;
		name->parts[slot] = nx_strn(s.ptr + k, s.len - k);
		s.len = k - 1;
		name->parts[slot - 1] = s;
	}
}

enum nx_code nx_walk_table(struct nx_walk *w, uint32_t first, uint32_t last)
{
	struct nx_table_name name = { .position = w->t[first].off };
	enum nx_code rc = parts_of(w, first, last, &name);
	if (rc != NX_OK)
		return rc;
	bool quoted = w->t[last].kind == NX_T_QUOTED;
	struct nx_str table = name.parts[2];
	if (first == last && is_cte(w, table, quoted))
		return NX_OK;
	if ((w->row->grammar & NX_G_SPLIT_QUOTED) && first == last && quoted) {
		split_quoted(&name);
		table = name.parts[2];
	}
	if (nx_policy_listed(w->row->tables, table) && !nx_policy_listed(w->row->tables_ok, table))
		return nx_walk_fail(w, last, NX_E_RO_TABLE_FUNCTION,
				    NX_STR_FMT " may not be read through the gateway.",
				    NX_STR_ARG(table));
	if ((w->row->grammar & NX_G_PATH_TABLES) && quoted &&
	    (memchr(table.ptr, '/', table.len) || memchr(table.ptr, ':', table.len)))
		return nx_walk_fail(w, last, NX_E_RO_TABLE_FUNCTION,
				    "Files may not be read by path on this data source.");
	if ((w->row->grammar & NX_G_PATHS) &&
	    ((quoted && path_like(table)) || (first != last && extension(table)))) {
		if (first != last) {
			table = nx_strn(w->sql.ptr + w->t[first].off,
					w->t[last].off + w->t[last].len - w->t[first].off);
			if (memchr(table.ptr, '"', table.len))
				return nx_walk_fail(w, first, NX_E_RO_TABLE_FUNCTION,
						    "Write the path as one '..' string.");
		}
		rc = check_path(w, first, table);
		if (rc != NX_OK)
			return rc;
		name = (struct nx_table_name){ .position = w->t[first].off, .path = true };
		name.parts[2] = table;
	}
	return note(w, first, &name);
}
