/* The statement-shape walker.
 *
 * It does not parse expressions. It follows parentheses with a stack of frames and knows, for each
 * frame, which clause of a query it is in; that is enough to say where a word is a keyword, where a
 * table is named and where a function is called. What a statement does is decided by its first
 * keyword, by the first keyword of each CTE, by the few clauses that write or lock (rules.def), and
 * by the functions it calls; everything else in a SELECT only reads.
 *
 * When a place could be read in two ways, the stricter reading is taken. */
#include "sql/walk.h"

#include <stdarg.h>

#define WORD(name) NX_W_##name

struct rule {
	uint32_t dialects;
	uint16_t word;
	uint8_t place;
	const char *next;
	enum nx_code code;
	const char *text;
};

enum { PLACE_ANY, PLACE_TOP, PLACE_CLAUSE, PLACE_HINT };

static const struct rule rules[] = {
#define ALL ((1u << NX_DIALECT_COUNT) - 1)
#define D(name) (1u << NX_D_##name)
#define NX_RULE(dialects, word, place, next, code, text) \
	{ dialects, NX_W_##word, PLACE_##place, next, NX_E_##code, text },
#include "sql/rules.def"
#undef NX_RULE
#undef ALL
#undef D
};

/* Most words have no rule. */
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
#endif
static const bool ruled[NX_W_COUNT] = {
#define NX_RULE(dialects, word, place, next, code, text) [NX_W_##word] = true,
#include "sql/rules.def"
#undef NX_RULE
};
#if defined(__clang__)
#pragma clang diagnostic pop
#else
#pragma GCC diagnostic pop
#endif

enum nx_code nx_walk_fail(struct nx_walk *w, uint32_t i, enum nx_code code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	nx_failv(w->err, code, fmt, ap);
	va_end(ap);
	nx_error_at(w->err, w->t[i].off, w->sql.ptr + w->t[i].off, w->t[i].len);
	return code;
}

static struct nx_frame *top(struct nx_walk *w)
{
	return &w->frames[w->depth - 1];
}

static bool is_op(const struct nx_walk *w, uint32_t i, uint8_t op)
{
	return nx_walk_is_op(w, i, op);
}

static bool is_word(const struct nx_walk *w, uint32_t i, uint16_t word)
{
	return nx_walk_is_word(w, i, word);
}

static bool is_name(const struct nx_walk *w, uint32_t i)
{
	return nx_walk_is_name(w, i);
}

static bool before_is(const struct nx_walk *w, uint32_t i, uint16_t word)
{
	return i > 0 && is_word(w, i - 1, word);
}

/* Does the token before i end an operand, so that a clause may begin at i? Keywords count unless an
 * operand must follow them. */
static bool after_operand(const struct nx_walk *w, uint32_t i)
{
	if (i == 0)
		return false;
	const struct nx_token *p = &w->t[i - 1];
	if (p->kind == NX_T_OP)
		return p->op == ')' || p->op == ']' || p->op == '}' || p->op == '*';
	return p->kind != NX_T_WORD || !(nx_word_flags(p->word) & NX_WF_EXPECTS);
}

static bool after_dot(const struct nx_walk *w, uint32_t i)
{
	return i >= 2 && is_op(w, i - 1, '.') &&
	       (is_name(w, i - 2) || is_op(w, i - 2, ')') || is_op(w, i - 2, ']'));
}

/* Does AS stand before i as a keyword? `1 AS as INTO` and `x.as INTO` have a name of that spelling. */
static bool after_as(const struct nx_walk *w, uint32_t i)
{
	uint32_t run = 0;
	while (before_is(w, i - run, WORD(AS)))
		run++;
	if (run > 0 && after_dot(w, i - run))
		run--;
	return run % 2 == 1;
}

/* A word counts as a keyword unless it is a name by its place. */
static bool keyword_place(const struct nx_walk *w, uint32_t i)
{
	if (w->t[i].kind != NX_T_WORD || w->t[i].word == NX_W_NONE || after_dot(w, i))
		return false;
	return !((w->row->grammar & NX_G_AS_ANY) && after_as(w, i));
}

static bool next_matches(const struct nx_walk *w, uint32_t i, const char *next)
{
	uint32_t j = i + 1;
	if (*next == '\0')
		return true;
	if (*next == '!')
		return !next_matches(w, i, next + 1);
	if (j >= w->n)
		return false;
	if (*next == '(')
		return is_op(w, j, '(');
	if (*next == '\'')
		return w->t[j].kind == NX_T_STRING;
	if (*next == 'w')
		return is_name(w, j);
	return w->t[j].kind == NX_T_WORD && nx_policy_listed(next, nx_walk_text(w, j));
}

static enum nx_code apply_rules(struct nx_walk *w, uint32_t i)
{
	uint16_t word = w->t[i].word;
	if (!ruled[word])
		return NX_OK;
	for (size_t r = 0; r < NX_COUNTOF(rules); r++) {
		const struct rule *rule = &rules[r];
		if (rule->word != word || !(rule->dialects >> w->dialect & 1))
			continue;
		if (rule->place == PLACE_TOP && w->depth > 1)
			continue;
		if (rule->place == PLACE_CLAUSE && !after_operand(w, i))
			continue;
		if (rule->place == PLACE_HINT && (w->depth < 2 || is_op(w, i + 1, '.')))
			continue;
		if (!next_matches(w, i, rule->next))
			continue;
		struct nx_str text = nx_walk_text(w, i);
		return nx_walk_fail(w, i, rule->code, NX_STR_FMT " %s.", NX_STR_ARG(text),
				    rule->text);
	}
	return NX_OK;
}

static enum nx_code check_for(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = top(w);
	uint32_t j = i + 1;
	if (f->kind == NX_F_PIVOT)
		return NX_OK;
	if (f->kind == NX_F_SQUARE && (w->row->grammar & NX_G_BRACKET_FOR))
		return NX_OK;
	if (f->kind == NX_F_CALL &&
	    nx_policy_listed("substring substr overlay mid", nx_walk_text(w, f->name)))
		return NX_OK;
	if (is_word(w, j, WORD(UPDATE)) || is_word(w, j, WORD(SHARE)) || is_word(w, j, WORD(NO)) ||
	    is_word(w, j, WORD(KEY)))
		return nx_walk_fail(w, i, NX_E_RO_CLAUSE,
				    "FOR %.*s locks rows that others want to change.",
				    (int)w->t[j].len, w->sql.ptr + w->t[j].off);
	if (is_word(w, j, WORD(SYSTEM_TIME)) || is_word(w, j, WORD(SYSTEM_VERSION)) ||
	    is_word(w, j, WORD(VERSION)) || is_word(w, j, WORD(TIMESTAMP)) ||
	    is_word(w, j, WORD(ORDINALITY)))
		return NX_OK;
	if (is_word(w, j, WORD(READ)) || is_word(w, j, WORD(FETCH)))
		return NX_OK;
	if ((w->row->grammar & NX_G_TSQL) &&
	    (is_word(w, j, WORD(XML)) || is_word(w, j, WORD(JSON)))) {
		f->clause = NX_C_OTHER;
		f->expect_table = false;
		return NX_OK;
	}
	if ((is_word(w, j, WORD(JOIN)) || is_word(w, j, WORD(ORDER)) ||
	     is_word(w, j, WORD(GROUP))) &&
	    i > 0 && nx_policy_listed("index key", nx_walk_text(w, i - 1)))
		return NX_OK;
	return nx_walk_fail(w, i, NX_E_RO_CLAUSE,
			    "FOR may be followed only by a version of the data here.");
}

static enum nx_code push(struct nx_walk *w, uint32_t i, struct nx_frame f)
{
	if (w->depth == NX_MAX_PARENS)
		return nx_walk_fail(w, i, NX_E_TOO_COMPLEX,
				    "Parentheses are nested more than %d deep.", NX_MAX_PARENS);
	f.open = i;
	f.fresh = true;
	f.items = 1;
	f.ctes = w->nctes;
	w->frames[w->depth++] = f;
	return NX_OK;
}

static enum nx_code enter_query(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = top(w);
	f->kind = NX_F_QUERY;
	if (w->queries++ > w->max_depth)
		return nx_walk_fail(w, i, NX_E_TOO_COMPLEX,
				    "Subqueries are nested more than %u deep [QV-008].",
				    (unsigned)w->max_depth);
	return NX_OK;
}

static enum nx_code pop(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = top(w);
	uint8_t close = w->t[i].op;
	char open = w->sql.ptr[w->t[f->open].off];
	bool same =
		w->depth > 1 && ((close == ')' && open == '(') || (close == ']' && open == '[') ||
				 (close == '}' && open == '{'));
	if (!same)
		return nx_walk_fail(w, i, NX_E_RO_UNTERMINATED,
				    "This %c closes nothing that is open.", close);
	if (f->must_query && f->fresh)
		return nx_walk_fail(w, i, NX_E_RO_STATEMENT, "A query is missing between these.");
	if (f->clause == NX_C_START)
		return nx_walk_fail(w, i, NX_E_RO_STATEMENT, "A query is missing before this.");
	if (f->clause >= NX_C_CTE_NAME && f->clause <= NX_C_WITH_EXPR)
		return nx_walk_fail(w, i, NX_E_RO_STATEMENT, "WITH must be followed by a SELECT.");
	if (f->kind == NX_F_PIVOT && f->name && !f->pivot_in && (w->row->grammar & NX_G_PATHS))
		return nx_walk_fail(w, i, NX_E_RO_STATEMENT,
				    "PIVOT needs its values: PIVOT (.. FOR column IN (..)).");
	if (f->kind == NX_F_QUERY)
		w->queries--;
	w->nctes = f->ctes;
	w->depth--;
	f = top(w);
	f->fresh = false;
	f->expect_table = false;
	if (f->clause == NX_C_CTE_BODY) {
		enum nx_code rc = nx_walk_define_cte(w, f->pending);
		if (rc != NX_OK)
			return rc;
		f->clause = NX_C_CTE_AFTER;
	} else if (f->clause == NX_C_START) {
		f->clause = NX_C_OTHER;
		f->selected = true;
	}
	return NX_OK;
}

static enum nx_code open_square(struct nx_walk *w, uint32_t i)
{
	bool square = w->t[i].op == '[';
	if (top(w)->expect_table)
		return nx_walk_fail(w, i, NX_E_SQL_PARSE, "A table or a query is expected here.");
	return push(w, i, (struct nx_frame){ .kind = square ? NX_F_SQUARE : NX_F_CURLY });
}

/* ( that is not the argument list of a function. */
static enum nx_code open_paren(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = top(w);
	struct nx_frame n = { .kind = NX_F_PAREN };
	if (f->clause == NX_C_WITH_EXPR && before_is(w, i, WORD(AS)) && i >= 2 &&
	    is_name(w, i - 2)) {
		enum nx_code rc = nx_walk_define_cte(w, i - 2);
		if (rc != NX_OK)
			return rc;
	} else if (f->clause == NX_C_START || f->clause == NX_C_CTE_AFTER) {
		f->clause = NX_C_START;
		n.must_query = true;
		n.clause = NX_C_START;
	} else if (f->clause == NX_C_CTE_BODY) {
		n.must_query = true;
		n.clause = NX_C_START;
	} else if (f->expect_table) {
		n.clause = NX_C_FROM;
		n.expect_table = true;
	} else if (before_is(w, i, WORD(IN))) {
		n.in_list = true;
		if (f->kind == NX_F_PIVOT) {
			f->pivot_in = true;
			n.kind = NX_F_PIVOT;
		}
	} else if (before_is(w, i, WORD(PIVOT)) || before_is(w, i, WORD(UNPIVOT))) {
		n.kind = NX_F_PIVOT;
		n.name = before_is(w, i, WORD(PIVOT)); /* a PIVOT needs IN */
	} else if (f->kind == NX_F_PIVOT && !before_is(w, i, WORD(FROM))) {
		n.kind = NX_F_PIVOT;
	}
	f->fresh = false;
	return push(w, i, n);
}

static enum nx_code open_call(struct nx_walk *w, uint32_t i, uint32_t name)
{
	struct nx_frame n = { .kind = NX_F_CALL, .name = name };
	struct nx_frame *f = top(w);
	f->fresh = false;
	f->expect_table = false;
	return push(w, i, n);
}

static bool starts_query(const struct nx_walk *w, uint32_t i)
{
	if (w->t[i].kind != NX_T_WORD)
		return false;
	switch (w->t[i].word) {
	case WORD(SELECT):
	case WORD(WITH):
		return true;
	case WORD(VALUES):
		return is_op(w, i + 1, '(') ||
		       (is_name(w, i + 1) && nx_str_ieq(nx_walk_text(w, i + 1), NX_STR("row")));
	case WORD(TABLE):
		return is_name(w, i + 1);
	case WORD(FROM):
		return w->row->grammar & NX_G_FROM_FIRST;
	default:
		return false;
	}
}

/* Statements that some grammar lets stand in parentheses, recognised by what follows them, so that
 * columns of these names stay usable. */
static bool starts_other_statement(const struct nx_walk *w, uint32_t i)
{
	switch (w->t[i].kind == NX_T_WORD ? w->t[i].word : NX_W_NONE) {
	case WORD(INSERT):
	case WORD(UPDATE):
	case WORD(DELETE):
	case WORD(MERGE):
	case WORD(CREATE):
	case WORD(ALTER):
	case WORD(DROP):
	case WORD(TRUNCATE):
	case WORD(CALL):
	case WORD(EXEC):
	case WORD(EXECUTE):
	case WORD(COPY):
	case WORD(EXPORT):
	case WORD(ATTACH):
	case WORD(SHOW):
	case WORD(DESCRIBE):
	case WORD(SUMMARIZE):
	case WORD(EXPLAIN):
	case WORD(PIVOT):
	case WORD(UNPIVOT):
	case WORD(INSTALL):
	case WORD(LOAD):
	case WORD(SET):
	case WORD(REPLACE):
		break;
	default:
		return false;
	}
	const struct nx_token *n = &w->t[i + 1];
	if (n->kind == NX_T_QUOTED || n->kind == NX_T_STRING)
		return true;
	return n->kind == NX_T_WORD &&
	       !(nx_word_flags(n->word) & (NX_WF_EXPECTS | NX_WF_CLAUSE) && n->word != WORD(FROM) &&
		 n->word != WORD(TO) && n->word != WORD(ALL) && n->word != WORD(ONLY)) &&
	       n->word != WORD(AS) && n->word != WORD(DESC);
}

static enum nx_code refuse_start(struct nx_walk *w, uint32_t i)
{
	struct nx_str text = nx_walk_text(w, i);
	if (is_word(w, i, WORD(PIVOT)) || is_word(w, i, WORD(UNPIVOT)))
		return nx_walk_fail(w, i, NX_E_RO_STATEMENT,
				    "Write SELECT .. FROM t " NX_STR_FMT
				    " (.. FOR column IN (..)) instead of the statement.",
				    NX_STR_ARG(text));
	if (is_word(w, i, WORD(FROM)))
		return nx_walk_fail(w, i, NX_E_RO_STATEMENT, "Put SELECT before FROM.");
	return nx_walk_fail(w, i, NX_E_RO_STATEMENT,
			    "Only SELECT queries may run; " NX_STR_FMT " is none.",
			    NX_STR_ARG(text));
}

/* WITH expr AS name, name AS (query): may the query itself begin at i? */
static bool after_with_list(const struct nx_walk *w, uint32_t i)
{
	return is_op(w, i - 1, ')') || (is_name(w, i - 1) && after_as(w, i - 1));
}

static enum nx_code begin_select(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = top(w);
	if (f->clause == NX_C_WITH_EXPR && !after_with_list(w, i))
		return refuse_start(w, i - 1);
	bool from_first = (w->row->grammar & NX_G_FROM_FIRST) && !f->selected &&
			  (f->clause == NX_C_FROM || f->clause == NX_C_OTHER);
	bool piped = (w->row->grammar & NX_G_PIPE) && is_op(w, i - 1, NX_OP_PIPE);
	if (f->clause != NX_C_START && f->clause != NX_C_CTE_AFTER && f->clause != NX_C_WITH_EXPR &&
	    !from_first && !piped)
		return nx_walk_fail(w, i, NX_E_RO_MULTI, "A second SELECT starts here.");
	f->clause = NX_C_SELECT;
	f->selected = true;
	f->expect_table = false;
	return NX_OK;
}

static void begin_from(struct nx_frame *f)
{
	f->clause = NX_C_FROM;
	f->expect_table = true;
}

/* The first words of a query: SELECT, WITH, VALUES, TABLE, FROM. */
static enum nx_code start_query(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = top(w);
	if (w->t[i].kind == NX_T_WORD) {
		switch (w->t[i].word) {
		case WORD(SELECT):
			return begin_select(w, i);
		case WORD(WITH):
			if (f->clause != NX_C_START)
				break;
			f->clause =
				w->row->grammar & NX_G_WITH_EXPR ? NX_C_WITH_EXPR : NX_C_CTE_NAME;
			f->recursive = is_word(w, i + 1, WORD(RECURSIVE));
			if (f->recursive)
				w->i++;
			return NX_OK;
		case WORD(VALUES):
			f->clause = NX_C_OTHER;
			f->selected = true;
			return NX_OK;
		case WORD(TABLE):
			begin_from(f);
			f->selected = true;
			return NX_OK;
		case WORD(FROM):
			if (!(w->row->grammar & NX_G_FROM_FIRST))
				break;
			begin_from(f);
			return NX_OK;
		default:
			break;
		}
	}
	return refuse_start(w, i);
}

/* [RECURSIVE] name [(columns)] AS [NOT] [MATERIALIZED] (query) [SEARCH ..] [CYCLE ..], ... */
static enum nx_code step_cte(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = top(w);
	switch ((enum nx_clause)f->clause) {
	case NX_C_CTE_NAME:
		if (!is_name(w, i))
			return nx_walk_fail(w, i, NX_E_SQL_PARSE, "WITH needs a name here.");
		if (!is_word(w, i + 1, WORD(AS)) && !is_op(w, i + 1, '('))
			return nx_walk_fail(
				w, i, NX_E_RO_STATEMENT,
				"WITH may define only queries: WITH name AS (SELECT ..).");
		if (++w->all_ctes > w->max_ctes)
			return nx_walk_fail(w, i, NX_E_TOO_COMPLEX,
					    "More than %u WITH queries [QV-008].",
					    (unsigned)w->max_ctes);
		f->pending = i;
		f->clause = NX_C_CTE_AS;
		if (f->recursive || (w->row->grammar & NX_G_SELF_CTE))
			return nx_walk_define_cte(w, i);
		return NX_OK;
	case NX_C_CTE_AS:
		if (is_op(w, i, '(')) /* the names of its columns */
			return push(w, i, (struct nx_frame){ .kind = NX_F_PAREN });
		if (!is_word(w, i, WORD(AS)))
			return nx_walk_fail(w, i, NX_E_RO_STATEMENT, "WITH needs AS here.");
		if (is_word(w, i + 1, WORD(NOT)))
			w->i++;
		if (is_word(w, w->i + 1, WORD(MATERIALIZED)))
			w->i++;
		if (!is_op(w, w->i + 1, '('))
			return nx_walk_fail(
				w, w->i + 1, NX_E_RO_STATEMENT,
				"WITH may define only queries: WITH name AS (SELECT ..).");
		f->clause = NX_C_CTE_BODY;
		return NX_OK;
	case NX_C_CTE_BODY:
		return open_paren(w, i);
	default:
		break;
	}
	/* after the body: a comma, SEARCH and CYCLE, or the main query */
	if (is_op(w, i, ',')) {
		if (is_name(w, i + 1) && (is_word(w, i + 2, WORD(AS)) || is_op(w, i + 2, '(')))
			f->clause = NX_C_CTE_NAME;
		else if (!is_name(w, i + 1))
			return nx_walk_fail(w, i, NX_E_SQL_PARSE, "WITH needs a name after this.");
		return NX_OK;
	}
	if (is_op(w, i, '('))
		return open_paren(w, i);
	if (starts_query(w, i) && !is_word(w, i, WORD(WITH)))
		return start_query(w, i);
	bool search = false;
	for (uint32_t k = i; k > f->open && !is_op(w, k, ')'); k--)
		search |= is_word(w, k, WORD(SEARCH)) || is_word(w, k, WORD(CYCLE));
	if (search && (is_name(w, i) || w->t[i].kind == NX_T_STRING || w->t[i].kind == NX_T_NUMBER))
		return NX_OK;
	return refuse_start(w, i);
}

/* FROM ends where one of these words begins a clause. Where products do not reserve the word, what
 * follows it decides. */
static bool ends_from(const struct nx_walk *w, uint32_t i)
{
	if (!(nx_word_flags(w->t[i].word) & NX_WF_CLAUSE))
		return false;
	switch (w->t[i].word) {
	case WORD(GROUP):
	case WORD(ORDER):
	case WORD(CLUSTER):
	case WORD(DISTRIBUTE):
	case WORD(CONNECT):
		return is_word(w, i + 1, WORD(BY));
	case WORD(START):
		return is_word(w, i + 1, WORD(WITH));
	case WORD(FETCH):
		return is_word(w, i + 1, WORD(FIRST)) || is_word(w, i + 1, WORD(NEXT));
	case WORD(OPTION):
		return is_op(w, i + 1, '(');
	case WORD(WINDOW):
		return is_name(w, i + 1) && is_word(w, i + 2, WORD(AS));
	case WORD(OFFSET):
		return !before_is(w, i, WORD(WITH)) && !before_is(w, i, WORD(AS)) &&
		       !is_op(w, i + 1, ',');
	default:
		return !before_is(w, i, WORD(AS));
	}
}

static enum nx_code count_join(struct nx_walk *w, uint32_t i)
{
	if (++w->joins > w->max_joins)
		return nx_walk_fail(w, i, NX_E_TOO_COMPLEX, "More than %u joins [QV-008].",
				    (unsigned)w->max_joins);
	return NX_OK;
}

static bool is_set_operator(const struct nx_walk *w, uint32_t i)
{
	switch (w->t[i].word) {
	case WORD(UNION):
	case WORD(INTERSECT):
		return true;
	case WORD(EXCEPT):
		/* * EXCEPT a and * EXCEPT (a) leave columns out */
		return !is_op(w, i - 1, '*') || starts_query(w, i + 1) ||
		       (is_op(w, i + 1, '(') && starts_query(w, i + 2)) ||
		       is_word(w, i + 1, WORD(ALL)) || is_word(w, i + 1, WORD(DISTINCT));
	case WORD(MINUS):
		return is_word(w, i + 1, WORD(SELECT)) || is_word(w, i + 1, WORD(ALL)) ||
		       (is_op(w, i + 1, '(') && is_word(w, i + 2, WORD(SELECT)));
	default:
		return false;
	}
}

static void begin_set_operator(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = top(w);
	uint32_t j = i + 1;
	while (j < w->n && w->t[j].kind == NX_T_WORD && !starts_query(w, j) &&
	       nx_policy_listed("all distinct by name corresponding strict inner left full outer",
				nx_walk_text(w, j)))
		j++;
	w->i = j - 1;
	f->clause = NX_C_START;
	f->selected = false;
	f->expect_table = false;
	f->must_query = true;
}

/* A keyword at its place, outside a table's position. *used: nothing more to do with it. */
static enum nx_code step_keyword(struct nx_walk *w, uint32_t i, bool *used)
{
	struct nx_frame *f = top(w);
	uint16_t word = w->t[i].word;
	enum nx_code rc = apply_rules(w, i);
	if (rc != NX_OK)
		return rc;
	*used = true;
	switch (word) {
	case WORD(SELECT):
		return begin_select(w, i);
	case WORD(FOR):
		return check_for(w, i);
	case WORD(FROM):
		if (before_is(w, i, WORD(DISTINCT)) && i >= 2 &&
		    (is_word(w, i - 2, WORD(IS)) || is_word(w, i - 2, WORD(NOT))))
			return NX_OK;
		if (f->clause == NX_C_WITH_EXPR && !after_with_list(w, i))
			return refuse_start(w, i - 1);
		if (f->clause == NX_C_SELECT || f->clause == NX_C_FROM ||
		    f->clause == NX_C_WITH_EXPR)
			begin_from(f);
		return NX_OK;
	case WORD(STRAIGHT_JOIN):
		if (f->clause != NX_C_FROM)
			return NX_OK;
		begin_from(f);
		return count_join(w, i);
	case WORD(JOIN):
		if (f->clause == NX_C_NONE || f->clause == NX_C_SELECT)
			break; /* a hint, or a column of that name */
		if (before_is(w, i, WORD(ARRAY)) || (i >= 2 && before_is(w, i - 1, WORD(ARRAY)))) {
			f->clause = NX_C_OTHER;
			f->expect_table = false;
			return NX_OK;
		}
		begin_from(f);
		return count_join(w, i);
	case WORD(APPLY):
		if (!before_is(w, i, WORD(CROSS)) && !before_is(w, i, WORD(OUTER)))
			break;
		begin_from(f);
		return count_join(w, i);
	case WORD(LATERAL):
		if (is_word(w, i + 1, WORD(VIEW)) && f->clause == NX_C_FROM) {
			f->clause = NX_C_OTHER;
			f->expect_table = false;
			return NX_OK;
		}
		break;
	default:
		break;
	}
	if (is_set_operator(w, i)) {
		begin_set_operator(w, i);
		return NX_OK;
	}
	if (f->clause == NX_C_FROM && ends_from(w, i)) {
		f->clause = NX_C_OTHER;
		f->expect_table = false;
	}
	*used = false;
	return NX_OK;
}

/* Something where a table is expected. */
static enum nx_code step_table(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = top(w);
	const struct nx_token *t = &w->t[i];
	if (t->kind == NX_T_STRING)
		return nx_walk_path(w, i);
	if (t->kind == NX_T_VARIABLE && !(w->row->lex & NX_L_DOLLAR2)) {
		f->expect_table = false;
		return NX_OK;
	}
	if (t->kind == NX_T_VARIABLE)
		return nx_walk_fail(w, i, NX_E_RO_TABLE_FUNCTION,
				    "Files of a stage may not be read.");
	if (!is_name(w, i))
		return nx_walk_fail(w, i, NX_E_SQL_PARSE, "A table is expected here.");
	if (t->kind == NX_T_WORD) {
		switch (t->word) {
		case WORD(ROWS):
			if (is_word(w, i + 1, WORD(FROM)) && is_op(w, i + 2, '(')) {
				w->i++;
				return NX_OK;
			}
			break;
		case WORD(ONLY):
			if (!(w->row->grammar & NX_G_ONLY))
				break;
			/* fallthrough */
		case WORD(LATERAL):
		case WORD(TABLE):
			if (is_op(w, i + 1, '(') || is_name(w, i + 1) ||
			    w->t[i + 1].kind == NX_T_STRING)
				return NX_OK;
			break;
		case WORD(VALUES):
			if (is_op(w, i + 1, '(') && !(w->row->grammar & NX_G_WITH_EXPR)) {
				f->expect_table = false;
				f->values = true;
				return NX_OK;
			}
			break;
		case WORD(SELECT):
			f->expect_table = false;
			return begin_select(w, i);
		default:
			break;
		}
	}
	uint32_t last = nx_walk_name_end(w, i, true);
	w->i = last;
	f->fresh = false;
	if (is_op(w, last + 1, '(')) {
		enum nx_code rc = nx_walk_call(w, i, last, true);
		if (rc != NX_OK)
			return rc;
		w->i = last + 1;
		rc = open_call(w, last + 1, last);
		if (rc != NX_OK)
			return rc;
		return NX_OK;
	}
	if (is_op(w, last + 1, ':') && (w->row->grammar & NX_G_PATHS)) {
		w->i = last + 1; /* alias : table */
		return NX_OK;
	}
	f->expect_table = false;
	enum nx_code rc = nx_walk_bare(w, i, last);
	return rc == NX_OK ? nx_walk_table(w, i, last) : rc;
}

/* Is this word, before a parenthesis, syntax rather than a function? */
static bool syntax_call(const struct nx_walk *w, uint32_t i)
{
	if (w->t[i].kind != NX_T_WORD || !(nx_word_flags(w->t[i].word) & NX_WF_SYNTAX))
		return false;
	switch (w->t[i].word) {
	case WORD(FILTER):
	case WORD(OVER):
		return is_op(w, i - 1, ')');
	case WORD(BY):
		return i > 0 &&
		       nx_policy_listed("group order partition sort cluster distribute siblings "
					"depth breadth first",
					nx_walk_text(w, i - 1));
	case WORD(ROWS):
	case WORD(PIVOT):
	case WORD(UNPIVOT):
	case WORD(QUALIFY):
	case WORD(CUBE):
	case WORD(ROLLUP):
	case WORD(SETS):
	case WORD(REGEXP):
	case WORD(DIV):
	case WORD(EXCLUDE):
	case WORD(MINUS):
	case WORD(XOR):
	case WORD(TOP):
	case WORD(RLIKE):
	case WORD(INTERVAL):
	case WORD(OPTION):
	case WORD(PARTITION):
	case WORD(GROUPING):
		return !(w->row->grammar & NX_G_PG);
	default:
		return true;
	}
}

static enum nx_code step_name(struct nx_walk *w, uint32_t i)
{
	uint32_t last = nx_walk_name_end(w, i, false);
	w->i = last;
	top(w)->values = false;
	if (last > i && (w->row->grammar & NX_G_SEQ_DOT) && is_word(w, last, WORD(NEXTVAL)))
		return nx_walk_fail(w, last, NX_E_RO_FUNCTION, "NEXTVAL advances a sequence.");
	if (!is_op(w, last + 1, '('))
		return nx_walk_bare(w, i, last);
	if (last == i && syntax_call(w, i))
		return NX_OK;
	enum nx_code rc = nx_walk_call(w, i, last, false);
	if (rc != NX_OK)
		return rc;
	w->i = last + 1;
	return open_call(w, last + 1, last);
}

static enum nx_code step_op(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = top(w);
	switch (w->t[i].op) {
	case ')':
	case ']':
	case '}':
		return pop(w, i);
	case '[':
	case '{':
		return open_square(w, i);
	case '(':
		return open_paren(w, i);
	case ',':
		f->items++;
		if (f->in_list && f->items > w->max_in_list)
			return nx_walk_fail(w, i, NX_E_TOO_COMPLEX,
					    "More than %u values in an IN list [QV-008].",
					    (unsigned)w->max_in_list);
		if (f->clause == NX_C_FROM) {
			if (f->values && is_op(w, i + 1, '('))
				return NX_OK;
			f->expect_table = true;
			return count_join(w, i);
		}
		return NX_OK;
	case ';':
		return nx_walk_fail(w, i, NX_E_RO_MULTI,
				    "Only one statement may run; a second one follows this ;");
	case NX_OP_ASSIGN:
		if (w->row->grammar & NX_G_ASSIGN)
			return nx_walk_fail(w, i, NX_E_RO_CLAUSE,
					    ":= sets a variable of the session.");
		return NX_OK;
	case NX_OP_FLOW:
		if (w->row->grammar & NX_G_FLOW)
			return nx_walk_fail(w, i, NX_E_RO_MULTI, "->> starts another statement.");
		return NX_OK;
	case '@':
		if (w->row->grammar & NX_G_DBLINK)
			return nx_walk_fail(w, i, NX_E_RO_TABLE_FUNCTION,
					    "A database link opens a connection from the source.");
		return NX_OK;
	case NX_OP_PIPE:
		if (!(w->row->grammar & NX_G_PIPE))
			return NX_OK;
		if (w->t[i + 1].kind != NX_T_WORD ||
		    !nx_policy_listed("select extend set drop rename as where limit aggregate "
				      "distinct order union intersect except join cross left right "
				      "inner full tablesample pivot unpivot assert window with",
				      nx_walk_text(w, i + 1)))
			return nx_walk_fail(w, i + 1, NX_E_RO_STATEMENT,
					    "This pipe operator is not known to only read.");
		f->clause = NX_C_OTHER;
		f->expect_table = false;
		return NX_OK;
	default:
		return NX_OK;
	}
}

/* The first token in parentheses decides what they are. */
static enum nx_code step_fresh(struct nx_walk *w, uint32_t i, bool *used)
{
	struct nx_frame *f = top(w);
	*used = true;
	f->fresh = false;
	bool trim = f->kind == NX_F_CALL && is_word(w, i, WORD(FROM));
	if (f->kind != NX_F_SQUARE && f->kind != NX_F_CURLY && starts_query(w, i) && !trim) {
		if (f->kind == NX_F_PIVOT && (w->row->grammar & NX_G_PATHS))
			return nx_walk_fail(w, i, NX_E_RO_STATEMENT,
					    "PIVOT needs its values written out here.");
		if (!(f->clause == NX_C_FROM && is_word(w, i, WORD(TABLE)))) {
			enum nx_code rc = enter_query(w, i);
			if (rc != NX_OK)
				return rc;
			f->clause = NX_C_START;
			f->expect_table = false;
			return start_query(w, i);
		}
	}
	if (f->must_query && !is_op(w, i, '('))
		return refuse_start(w, i);
	if (starts_other_statement(w, i))
		return refuse_start(w, i);
	*used = false;
	return NX_OK;
}

static enum nx_code step(struct nx_walk *w)
{
	uint32_t i = w->i;
	struct nx_frame *f = top(w);
	const struct nx_token *t = &w->t[i];
	bool used = false;
	enum nx_code rc;
	if (f->fresh && !(t->kind == NX_T_OP && strchr(")]}", t->op))) {
		rc = step_fresh(w, i, &used);
		if (rc != NX_OK || used)
			return rc;
	}
	if (f->clause >= NX_C_CTE_NAME && f->clause <= NX_C_CTE_AFTER)
		return t->kind == NX_T_OP && strchr(")]}", t->op) && t->op ? pop(w, i)
									   : step_cte(w, i);
	if (f->clause == NX_C_START && !is_op(w, i, '('))
		return t->kind == NX_T_OP && t->op == ')' ? pop(w, i) : start_query(w, i);
	if (f->expect_table && !is_op(w, i, '(') && !is_op(w, i, ')')) {
		/* INTO and FOR name no table, whatever seemed to ask for one */
		if (keyword_place(w, i)) {
			rc = is_word(w, i, WORD(FOR)) ? check_for(w, i) : apply_rules(w, i);
			if (rc != NX_OK)
				return rc;
		}
		return step_table(w, i);
	}
	if (keyword_place(w, i)) {
		rc = step_keyword(w, i, &used);
		if (rc != NX_OK || used)
			return rc;
	}
	if (is_name(w, i) && !is_op(w, i - 1, '.'))
		return step_name(w, i);
	if (is_name(w, i) && is_op(w, i + 1, '(') && is_op(w, i - 1, '.')) {
		/* x.f(..) where x is not a plain name: method syntax, (row).f */
		rc = nx_walk_call(w, i, i, false);
		if (rc != NX_OK)
			return rc;
		w->i = i + 1;
		return open_call(w, i + 1, i);
	}
	if (t->kind == NX_T_STRING && is_op(w, i + 1, '(')) {
		/* "f"(..) where quotes make a string: some mode might read a name */
		rc = nx_walk_call(w, i, i, false);
		if (rc != NX_OK)
			return rc;
	}
	if (t->kind == NX_T_VARIABLE && t->len == 1 && is_op(w, i + 1, '{'))
		return nx_walk_fail(w, i, NX_E_RO_HINT, "Hints may not be given here.");
	if (t->kind == NX_T_OP)
		return step_op(w, i);
	return NX_OK;
}

enum nx_code nx_walk_query(struct nx_walk *w, enum nx_clause start)
{
	w->depth = 1;
	w->queries = 1;
	w->frames[0] = (struct nx_frame){ .kind = NX_F_QUERY,
					  .clause = (uint8_t)start,
					  .items = 1,
					  .expect_table = start == NX_C_FROM,
					  .selected = start != NX_C_START };
	for (; w->i < w->n; w->i++) {
		enum nx_code rc = step(w);
		if (rc != NX_OK)
			return rc;
	}
	struct nx_frame *f = top(w);
	if (w->depth > 1)
		return nx_walk_fail(w, f->open, NX_E_RO_UNTERMINATED, "This %c is not closed.",
				    w->sql.ptr[w->t[f->open].off]);
	if (f->clause == NX_C_START || (f->clause >= NX_C_CTE_NAME && f->clause <= NX_C_WITH_EXPR))
		return nx_walk_fail(w, w->n - 1, NX_E_RO_STATEMENT,
				    "The query ends here; a SELECT is missing.");
	return NX_OK;
}
