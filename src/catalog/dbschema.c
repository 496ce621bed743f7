#include "catalog/dbschema.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "nexus/arena.h"

struct schema {
	struct nx_dbschema pub;
	_Atomic uint32_t refs;
	enum nx_dialect dialect;
	struct nx_db_limits limits;
	struct nx_arena *arena; /* texts */
	size_t arrays; /* bytes of the three arrays */
	uint32_t cap_tables, cap_columns, cap_keys, cap_functions;
};

static struct schema *of(struct nx_dbschema *s)
{
	return (struct schema *)s;
}

struct nx_dbschema *nx_dbschema_new(enum nx_dialect dialect, const struct nx_db_limits *limits)
{
	struct schema *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->arena = nx_arena_new(limits->bytes);
	if (!s->arena) {
		free(s);
		return NULL;
	}
	atomic_init(&s->refs, 1);
	s->dialect = dialect;
	s->limits = *limits;
	return &s->pub;
}

void nx_dbschema_ref(struct nx_dbschema *s)
{
	atomic_fetch_add_explicit(&of(s)->refs, 1, memory_order_relaxed);
}

void nx_dbschema_unref(struct nx_dbschema *s)
{
	if (!s || atomic_fetch_sub_explicit(&of(s)->refs, 1, memory_order_acq_rel) != 1)
		return;
	nx_arena_free(of(s)->arena);
	free(s->tables);
	free(s->columns);
	free(s->keys);
	free(s->functions);
	free(s);
}

size_t nx_dbschema_bytes(const struct nx_dbschema *s)
{
	const struct schema *own = (const struct schema *)s;
	return sizeof(*own) + own->arrays + nx_arena_used(own->arena);
}

/* ---- filling ---- */

/* Room for one more; the arrays count against the same bytes as the texts. */
static bool room(struct schema *s, void *array, uint32_t n, uint32_t *cap, size_t size,
		 uint32_t most)
{
	void **at = array;
	if (n < *cap)
		return true;
	uint32_t want = *cap ? *cap * 2 : 64;
	if (want > most)
		want = most;
	size_t more = (size_t)(want - *cap) * size;
	if (n >= most || s->arrays + nx_arena_used(s->arena) + more > s->limits.bytes)
		return false;
	void *p = reallocarray(*at, want, size);
	if (!p)
		return false;
	*at = p;
	*cap = want;
	s->arrays += more;
	return true;
}

/* A copy; the text of the row before serves again where it is the same. */
static bool keep(struct schema *s, struct nx_str text, struct nx_str before, struct nx_str *ret)
{
	if (!text.ptr)
		*ret = text;
	else if (before.ptr && nx_str_eq(text, before))
		*ret = before;
	else
		*ret = nx_arena_str(s->arena, text);
	return ret->ptr || !text.ptr;
}

static bool full(struct nx_dbschema *s)
{
	s->truncated = true;
	return false;
}

bool nx_dbschema_add_table(struct nx_dbschema *pub, const struct nx_db_table *t)
{
	struct schema *s = of(pub);
	if (!room(s, &pub->tables, pub->ntables, &s->cap_tables, sizeof(*t), s->limits.tables))
		return full(pub);
	static const struct nx_db_table none;
	const struct nx_db_table *last = pub->ntables ? &pub->tables[pub->ntables - 1] : &none;
	struct nx_db_table c = { .row_estimate = t->row_estimate };
	if (!keep(s, t->schema, last->schema, &c.schema) ||
	    !keep(s, t->name, last->name, &c.name) || !keep(s, t->kind, last->kind, &c.kind) ||
	    !keep(s, t->comment, last->comment, &c.comment))
		return full(pub);
	pub->tables[pub->ntables++] = c;
	return true;
}

bool nx_dbschema_add_column(struct nx_dbschema *pub, const struct nx_db_column *t)
{
	struct schema *s = of(pub);
	if (!room(s, &pub->columns, pub->ncolumns, &s->cap_columns, sizeof(*t), s->limits.columns))
		return full(pub);
	static const struct nx_db_column none;
	const struct nx_db_column *last = pub->ncolumns ? &pub->columns[pub->ncolumns - 1] : &none;
	struct nx_db_column c = { .position = t->position, .nullable = t->nullable };
	if (!keep(s, t->of_schema, last->of_schema, &c.of_schema) ||
	    !keep(s, t->of_table, last->of_table, &c.of_table) ||
	    !keep(s, t->name, last->name, &c.name) ||
	    !keep(s, t->native, last->native, &c.native) || !keep(s, t->key, last->key, &c.key) ||
	    !keep(s, t->comment, last->comment, &c.comment) ||
	    !keep(s, t->dflt, last->dflt, &c.dflt))
		return full(pub);
	c.type = nx_db_type(s->dialect, c.native);
	pub->columns[pub->ncolumns++] = c;
	return true;
}

bool nx_dbschema_add_key(struct nx_dbschema *pub, const struct nx_db_key *t)
{
	struct schema *s = of(pub);
	if (!room(s, &pub->keys, pub->nkeys, &s->cap_keys, sizeof(*t), s->limits.columns))
		return full(pub);
	static const struct nx_db_key none;
	const struct nx_db_key *last = pub->nkeys ? &pub->keys[pub->nkeys - 1] : &none;
	struct nx_db_key c = { .kind = t->kind, .position = t->position };
	if (!keep(s, t->of_schema, last->of_schema, &c.of_schema) ||
	    !keep(s, t->of_table, last->of_table, &c.of_table) ||
	    !keep(s, t->name, last->name, &c.name) ||
	    !keep(s, t->column, last->column, &c.column) ||
	    !keep(s, t->ref_schema, last->ref_schema, &c.ref_schema) ||
	    !keep(s, t->ref_table, last->ref_table, &c.ref_table) ||
	    !keep(s, t->ref_column, last->ref_column, &c.ref_column))
		return full(pub);
	pub->keys[pub->nkeys++] = c;
	return true;
}

bool nx_dbschema_add_function(struct nx_dbschema *pub, struct nx_str name)
{
	struct schema *s = of(pub);
	if (!room(s, &pub->functions, pub->nfunctions, &s->cap_functions, sizeof(name),
		  s->limits.columns))
		return full(pub);
	struct nx_str c = nx_arena_str(s->arena, name);
	if (!c.ptr)
		return full(pub);
	pub->functions[pub->nfunctions++] = c;
	return true;
}

/* ---- order ---- */

static int by_names(struct nx_str s1, struct nx_str n1, struct nx_str s2, struct nx_str n2)
{
	int d = nx_str_cmp(s1, s2);
	return d ? d : nx_str_cmp(n1, n2);
}

static int cmp_tables(const void *x, const void *y)
{
	const struct nx_db_table *a = x, *b = y;
	return by_names(a->schema, a->name, b->schema, b->name);
}

static int by_number(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

static int cmp_columns(const void *x, const void *y)
{
	const struct nx_db_column *a = x, *b = y;
	int d = by_number(a->table, b->table);
	if (!d)
		d = by_number(a->position, b->position);
	return d ? d : nx_str_cmp(a->name, b->name);
}

static int cmp_keys(const void *x, const void *y)
{
	const struct nx_db_key *a = x, *b = y;
	int d = by_number(a->table, b->table);
	if (!d)
		d = by_number(a->kind, b->kind);
	if (!d)
		d = nx_str_cmp(a->name, b->name);
	return d ? d : by_number(a->position, b->position);
}

/* ntables: there is none of exactly these names. */
static uint32_t exact(const struct nx_dbschema *s, struct nx_str schema, struct nx_str name)
{
	uint32_t lo = 0, hi = s->ntables;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int d = by_names(s->tables[mid].schema, s->tables[mid].name, schema, name);
		if (d == 0)
			return mid;
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return s->ntables;
}

static void link_columns(struct nx_dbschema *s)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->ncolumns; i++) {
		struct nx_db_column c = s->columns[i];
		c.table = exact(s, c.of_schema, c.of_table);
		if (c.table < s->ntables)
			s->columns[n++] = c;
	}
	s->ncolumns = n;
	if (n)
		qsort(s->columns, n, sizeof(*s->columns), cmp_columns);
	for (uint32_t i = n; i-- > 0;) {
		s->tables[s->columns[i].table].column = i;
		s->tables[s->columns[i].table].ncolumns++;
	}
}

static void link_keys(struct nx_dbschema *s)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->nkeys; i++) {
		struct nx_db_key k = s->keys[i];
		k.table = exact(s, k.of_schema, k.of_table);
		if (k.table < s->ntables)
			s->keys[n++] = k;
	}
	s->nkeys = n;
	if (n)
		qsort(s->keys, n, sizeof(*s->keys), cmp_keys);
	for (uint32_t i = n; i-- > 0;) {
		s->tables[s->keys[i].table].key = i;
		s->tables[s->keys[i].table].nkeys++;
	}
}

static int cmp_names(const void *a, const void *b)
{
	return nx_str_cmp(*(const struct nx_str *)a, *(const struct nx_str *)b);
}

void nx_dbschema_finish(struct nx_dbschema *s)
{
	if (s->ntables)
		qsort(s->tables, s->ntables, sizeof(*s->tables), cmp_tables);
	link_columns(s);
	link_keys(s);
	if (s->nfunctions)
		qsort(s->functions, s->nfunctions, sizeof(*s->functions), cmp_names);
}

/* ---- reading ---- */

uint32_t nx_dbschema_find(const struct nx_dbschema *s, struct nx_str schema, struct nx_str table,
			  uint32_t from)
{
	for (uint32_t i = from; i < s->ntables; i++)
		if ((!schema.len || nx_str_ieq(s->tables[i].schema, schema)) &&
		    (!table.len || nx_str_ieq(s->tables[i].name, table)))
			return i;
	return s->ntables;
}

bool nx_dbschema_has_schema(const struct nx_dbschema *s, struct nx_str schema)
{
	return nx_dbschema_find(s, schema, NX_STR(""), 0) < s->ntables;
}

const struct nx_db_column *nx_dbschema_column(const struct nx_dbschema *s, uint32_t table,
					      struct nx_str name)
{
	const struct nx_db_table *t = &s->tables[table];
	for (uint32_t i = t->column; i < t->column + t->ncolumns; i++)
		if (nx_str_ieq(s->columns[i].name, name))
			return &s->columns[i];
	return NULL;
}

/* ---- search ---- */

static char low(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* 0 not there, 1 somewhere, 2 at the start, 3 all of it. */
static uint32_t fit(struct nx_str text, struct nx_str word)
{
	if (word.len == 0 || text.len < word.len)
		return 0;
	for (size_t i = 0; i + word.len <= text.len; i++) {
		size_t k = 0;
		while (k < word.len && low(text.ptr[i + k]) == low(word.ptr[k]))
			k++;
		if (k == word.len)
			return i > 0 ? 1 : text.len == word.len ? 3 : 2;
	}
	return 0;
}

static bool next_word(struct nx_str *rest, struct nx_str *ret)
{
	while (rest->len && (*rest->ptr == ' ' || *rest->ptr == '\t' || *rest->ptr == ','))
		*rest = nx_strn(rest->ptr + 1, rest->len - 1);
	size_t n = 0;
	while (n < rest->len && rest->ptr[n] != ' ' && rest->ptr[n] != '\t' && rest->ptr[n] != ',')
		n++;
	*ret = nx_strn(rest->ptr, n);
	*rest = nx_strn(rest->ptr + n, rest->len - n);
	return n > 0;
}

/* A name counts more than a comment, a table's more than a column's. */
static uint32_t word_score(const struct nx_dbschema *s, uint32_t table, struct nx_str word)
{
	const struct nx_db_table *t = &s->tables[table];
	uint32_t best = fit(t->name, word) * 10;
	uint32_t f = fit(t->schema, word) * 4;
	best = f > best ? f : best;
	f = fit(t->comment, word) ? 3 : 0;
	best = f > best ? f : best;
	for (uint32_t i = t->column; i < t->column + t->ncolumns && best < 18; i++) {
		f = fit(s->columns[i].name, word) * 6;
		if (!f && fit(s->columns[i].comment, word))
			f = 2;
		best = f > best ? f : best;
	}
	return best;
}

uint32_t nx_dbschema_score(const struct nx_dbschema *s, uint32_t table, struct nx_str search)
{
	uint32_t sum = 0;
	struct nx_str word;
	while (next_word(&search, &word)) {
		uint32_t f = word_score(s, table, word);
		if (!f)
			return 0;
		sum += f;
	}
	return sum;
}

bool nx_dbschema_word_in(struct nx_str text, struct nx_str search)
{
	struct nx_str word;
	while (next_word(&search, &word))
		if (fit(text, word))
			return true;
	return false;
}

/* ---- did you mean ---- */

#define NAME_MAX_EDIT 63

unsigned nx_edit_distance(struct nx_str a, struct nx_str b, unsigned limit)
{
	if (a.len > NAME_MAX_EDIT || b.len > NAME_MAX_EDIT ||
	    (a.len > b.len ? a.len - b.len : b.len - a.len) > limit)
		return limit + 1;
	unsigned rows[3][NAME_MAX_EDIT + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2];
	for (size_t k = 0; k <= b.len; k++)
		last[k] = (unsigned)k;
	for (size_t i = 1; i <= a.len; i++) {
		unsigned least = now[0] = (unsigned)i;
		char x = low(a.ptr[i - 1]);
		for (size_t k = 1; k <= b.len; k++) {
			char y = low(b.ptr[k - 1]);
			unsigned d = last[k - 1] + (x != y);
			d = last[k] + 1 < d ? last[k] + 1 : d;
			d = now[k - 1] + 1 < d ? now[k - 1] + 1 : d;
			if (i > 1 && k > 1 && x == low(b.ptr[k - 2]) && y == low(a.ptr[i - 2]) &&
			    before[k - 2] + 1 < d)
				d = before[k - 2] + 1;
			now[k] = d;
			least = d < least ? d : least;
		}
		if (least > limit)
			return limit + 1;
		unsigned *free_row = before;
		before = last;
		last = now;
		now = free_row;
	}
	return last[b.len] > limit ? limit + 1 : last[b.len];
}

struct nearest {
	struct nx_str *ret;
	unsigned distance[NX_SUGGESTIONS];
	uint32_t n;
};

static void offer(struct nearest *near, struct nx_str name, struct nx_str wanted)
{
	unsigned limit = wanted.len < 6 ? 1 : wanted.len < 10 ? 2 : 3;
	unsigned d = nx_edit_distance(wanted, name, limit);
	if (d > limit) { /* plural for singular, or the start of it */
		size_t most = name.len > wanted.len ? name.len : wanted.len;
		size_t least = name.len < wanted.len ? name.len : wanted.len;
		if (least < 4 || !nx_str_ieq(nx_strn(name.ptr, least), nx_strn(wanted.ptr, least)))
			return;
		d = limit + 1 + (unsigned)(most - least);
	}
	for (uint32_t i = 0; i < near->n; i++)
		if (nx_str_eq(near->ret[i], name))
			return;
	uint32_t at = near->n;
	while (at > 0 && near->distance[at - 1] > d)
		at--;
	if (at >= NX_SUGGESTIONS)
		return;
	uint32_t last = near->n < NX_SUGGESTIONS ? near->n++ : NX_SUGGESTIONS - 1;
	for (uint32_t i = last; i > at; i--) {
		near->ret[i] = near->ret[i - 1];
		near->distance[i] = near->distance[i - 1];
	}
	near->ret[at] = name;
	near->distance[at] = d;
}

uint32_t nx_dbschema_near_tables(const struct nx_dbschema *s, struct nx_str schema,
				 struct nx_str name, struct nx_str ret[NX_SUGGESTIONS])
{
	struct nearest near = { .ret = ret };
	for (uint32_t i = 0; i < s->ntables; i++)
		if (!schema.len || nx_str_ieq(schema, s->tables[i].schema))
			offer(&near, s->tables[i].name, name);
	return near.n;
}

uint32_t nx_dbschema_near_columns(const struct nx_dbschema *s, uint32_t table, struct nx_str name,
				  struct nx_str ret[NX_SUGGESTIONS])
{
	struct nearest near = { .ret = ret };
	const struct nx_db_table *t = &s->tables[table];
	for (uint32_t i = t->column; i < t->column + t->ncolumns; i++)
		offer(&near, s->columns[i].name, name);
	return near.n;
}
