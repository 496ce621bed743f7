#include "sql/columns.h"

#include "sql/walk.h"

#define TOKENS_MAX 20000u
#define NAMES_MAX 256u

struct alias {
	struct nx_str name;
	uint32_t table; /* NX_NO_TABLE: names a result column, a subquery or a CTE */
	bool twice; /* two tables have this name: nothing is certain */
};

/* The walker's tokens and helpers without its judgement. */
struct scan {
	struct nx_walk w;
	const struct nx_verdict *v;
	struct alias alias[NAMES_MAX];
	uint32_t nalias;
	struct nx_column_use *use;
	uint32_t nuse;
	bool one_block;
};

static enum nx_code read_tokens(struct scan *s, struct nx_error *err)
{
	struct nx_token *t = nx_arena_array(s->w.arena, TOKENS_MAX + 1, sizeof(*t));
	if (!t)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	struct nx_lexer l;
	uint32_t n = 0;
	nx_lex_init(&l, s->w.row->lex, s->w.sql);
	for (;;) {
		enum nx_code c = nx_lex_next(&l, &t[n], err);
		if (c)
			return c;
		uint8_t k = t[n].kind;
		if (k == NX_T_END)
			break;
		if (k == NX_T_SPACE || k == NX_T_COMMENT || k == NX_T_HINT)
			continue;
		if (++n == TOKENS_MAX)
			return nx_fail(err, NX_E_TOO_COMPLEX, "Too long for advice.");
	}
	s->w.t = t;
	s->w.n = n;
	return NX_OK;
}

/* A word that is no keyword of ours, or a quoted name. */
static bool is_ident(const struct scan *s, uint32_t i)
{
	return i < s->w.n && (s->w.t[i].kind == NX_T_QUOTED ||
			      (s->w.t[i].kind == NX_T_WORD && s->w.t[i].word == NX_W_NONE));
}

/* The verdict's table that the name of tokens first..last says. */
static uint32_t table_of(struct scan *s, uint32_t first, uint32_t last)
{
	struct nx_str part[3] = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
	uint32_t k = 3;
	for (uint32_t i = last;; i -= 2) {
		if (k == 0)
			return NX_NO_TABLE;
		part[--k] = nx_walk_unquote(&s->w, i);
		if (i < first + 2)
			break;
	}
	for (uint32_t i = 0; i < s->v->ntables; i++) {
		const struct nx_table_name *t = &s->v->tables[i];
		bool same = !t->path;
		for (int p = 0; p < 3 && same; p++)
			same = nx_str_ieq(t->parts[p], part[p]);
		if (same)
			return i;
	}
	return NX_NO_TABLE;
}

static void add_alias(struct scan *s, struct nx_str name, uint32_t table)
{
	for (uint32_t i = 0; i < s->nalias; i++)
		if (nx_str_ieq(s->alias[i].name, name)) {
			s->alias[i].twice |= s->alias[i].table != table;
			return;
		}
	if (s->nalias < NAMES_MAX && name.ptr)
		s->alias[s->nalias++] = (struct alias){ name, table, false };
}

static const struct alias *find_alias(const struct scan *s, struct nx_str name)
{
	for (uint32_t i = 0; i < s->nalias; i++)
		if (nx_str_ieq(s->alias[i].name, name))
			return &s->alias[i];
	return NULL;
}

/* May a table stand here? */
static bool after_from(const struct scan *s, uint32_t first)
{
	if (first == 0)
		return false;
	return nx_walk_is_word(&s->w, first - 1, NX_W_FROM) ||
	       nx_walk_is_word(&s->w, first - 1, NX_W_JOIN) ||
	       nx_walk_is_word(&s->w, first - 1, NX_W_ONLY) ||
	       nx_walk_is_op(&s->w, first - 1, ',') || nx_walk_is_op(&s->w, first - 1, '(');
}

/* Does an operand end at token i, so that a name behind it names it? */
static bool operand_ends(const struct scan *s, uint32_t i)
{
	const struct nx_token *t = &s->w.t[i];
	return is_ident(s, i) || t->kind == NX_T_STRING || t->kind == NX_T_NUMBER ||
	       t->kind == NX_T_PARAM || nx_walk_is_op(&s->w, i, ')') ||
	       nx_walk_is_op(&s->w, i, ']') || nx_walk_is_op(&s->w, i, '*') ||
	       nx_walk_is_word(&s->w, i, NX_W_END) || nx_walk_is_word(&s->w, i, NX_W_NULL) ||
	       nx_walk_is_word(&s->w, i, NX_W_TRUE) || nx_walk_is_word(&s->w, i, NX_W_FALSE);
}

/* Tables where they stand, and every name that the statement itself gives. */
static void find_names(struct scan *s)
{
	uint32_t selects = 0;
	for (uint32_t i = 0; i < s->w.n; i++) {
		selects += nx_walk_is_word(&s->w, i, NX_W_SELECT);
		if (nx_walk_is_word(&s->w, i, NX_W_WITH))
			selects = 2;
		if (!is_ident(s, i))
			continue;
		if (i > 0 && (nx_walk_is_word(&s->w, i - 1, NX_W_AS) || operand_ends(s, i - 1))) {
			add_alias(s, nx_walk_unquote(&s->w, i), NX_NO_TABLE);
			continue;
		}
		uint32_t last = nx_walk_name_end(&s->w, i, true);
		uint32_t t = after_from(s, i) ? table_of(s, i, last) : NX_NO_TABLE;
		if (t == NX_NO_TABLE)
			continue;
		uint32_t as = last + 1 + nx_walk_is_word(&s->w, last + 1, NX_W_AS);
		if (is_ident(s, as))
			add_alias(s, nx_walk_unquote(&s->w, as), t);
		else
			add_alias(s, nx_walk_unquote(&s->w, last), t);
		i = is_ident(s, as) ? as : last;
	}
	s->one_block = selects == 1;
}

static void add_use(struct scan *s, uint32_t token, uint32_t table)
{
	struct nx_str name = nx_walk_unquote(&s->w, token);
	if (!name.len || s->nuse == NAMES_MAX)
		return;
	for (uint32_t i = 0; i < s->nuse; i++)
		if (s->use[i].table == table && nx_str_ieq(s->use[i].name, name))
			return;
	s->use[s->nuse++] = (struct nx_column_use){ name, s->w.t[token].off, table };
}

/* a.x, a being a table's alias or, where it has none, its name */
static void qualified(struct scan *s, uint32_t first)
{
	const struct alias *a = find_alias(s, nx_walk_unquote(&s->w, first));
	if (a && !a->twice && a->table != NX_NO_TABLE && is_ident(s, first + 2))
		add_use(s, first + 2, a->table);
}

/* `inner`: in parentheses, where extract(year FROM x) may stand. */
static void bare(struct scan *s, uint32_t i, bool inner)
{
	if (!s->one_block || s->w.t[i].kind != NX_T_WORD ||
	    (inner && nx_walk_is_word(&s->w, i + 1, NX_W_FROM)) ||
	    find_alias(s, nx_walk_unquote(&s->w, i)))
		return;
	add_use(s, i, NX_NO_TABLE);
}

static void find_uses(struct scan *s)
{
	uint32_t depth = 0;
	for (uint32_t i = 0; i < s->w.n; i++) {
		depth += nx_walk_is_op(&s->w, i, '(');
		depth -= depth && nx_walk_is_op(&s->w, i, ')');
		if (!is_ident(s, i) || (i > 0 && nx_walk_is_op(&s->w, i - 1, '.')))
			continue;
		uint32_t last = nx_walk_name_end(&s->w, i, false);
		bool called = nx_walk_is_op(&s->w, last + 1, '(');
		bool table = after_from(s, i) && table_of(s, i, last) != NX_NO_TABLE;
		bool named =
			i > 0 && (nx_walk_is_word(&s->w, i - 1, NX_W_AS) || operand_ends(s, i - 1));
		if (!called && !table && !named) {
			if (last > i)
				qualified(s, i);
			else if (!nx_walk_is_op(&s->w, i + 1, '.'))
				bare(s, i, depth > 0);
		}
		i = last;
	}
}

enum nx_code nx_sql_columns(enum nx_dialect d, struct nx_str sql, const struct nx_verdict *v,
			    struct nx_arena *a, struct nx_column_use **ret, uint32_t *ret_n,
			    struct nx_error *err)
{
	struct scan *s = nx_arena_zalloc(a, sizeof(*s));
	if (!s)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	s->w.dialect = d;
	s->w.row = nx_dialect_row(d);
	s->w.sql = sql;
	s->w.arena = a;
	s->v = v;
	s->use = nx_arena_array(a, NAMES_MAX, sizeof(*s->use));
	if (!s->use)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	enum nx_code c = read_tokens(s, err);
	if (c)
		return c;
	find_names(s);
	find_uses(s);
	*ret = s->use;
	*ret_n = s->nuse;
	return NX_OK;
}

bool nx_sql_ordered(enum nx_dialect d, struct nx_str sql, struct nx_arena *a)
{
	struct scan *s = nx_arena_zalloc(a, sizeof(*s));
	struct nx_error unused;
	if (!s)
		return false;
	s->w.row = nx_dialect_row(d);
	s->w.sql = sql;
	s->w.arena = a;
	if (read_tokens(s, &unused))
		return false;
	uint32_t depth = 0;
	for (uint32_t i = 0; i < s->w.n; i++) {
		depth += nx_walk_is_op(&s->w, i, '(');
		depth -= depth && nx_walk_is_op(&s->w, i, ')');
		if (!depth && nx_walk_is_word(&s->w, i, NX_W_ORDER) &&
		    nx_walk_is_word(&s->w, i + 1, NX_W_BY))
			return true;
	}
	return false;
}
