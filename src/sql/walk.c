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

#define WORD(name) NX_W_##name

enum nx_code nx_walk_push(struct nx_walk *w, uint32_t i, struct nx_frame f)
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
	struct nx_frame *f = nx_walk_top(w);
	f->kind = NX_F_QUERY;
	if (w->queries++ > w->max_depth)
		return nx_walk_fail(w, i, NX_E_TOO_COMPLEX,
				    "Subqueries are nested more than %u deep [QV-008].",
				    (unsigned)w->max_depth);
	return NX_OK;
}

static enum nx_code pop(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = nx_walk_top(w);
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
	f = nx_walk_top(w);
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
	if (nx_walk_top(w)->expect_table)
		return nx_walk_fail(w, i, NX_E_SQL_PARSE, "A table or a query is expected here.");
	return nx_walk_push(w, i, (struct nx_frame){ .kind = square ? NX_F_SQUARE : NX_F_CURLY });
}

/* ( that is not the argument list of a function. */
enum nx_code nx_walk_open_paren(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = nx_walk_top(w);
	struct nx_frame n = { .kind = NX_F_PAREN };
	if (f->clause == NX_C_WITH_EXPR && nx_walk_before_is(w, i, WORD(AS)) && i >= 2 &&
	    nx_walk_is_name(w, i - 2)) {
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
	} else if (nx_walk_before_is(w, i, WORD(IN))) {
		n.in_list = true;
		if (f->kind == NX_F_PIVOT) {
			f->pivot_in = true;
			n.kind = NX_F_PIVOT;
		}
	} else if (nx_walk_before_is(w, i, WORD(PIVOT)) || nx_walk_before_is(w, i, WORD(UNPIVOT))) {
		n.kind = NX_F_PIVOT;
		n.name = nx_walk_before_is(w, i, WORD(PIVOT)); /* a PIVOT needs IN */
	} else if (f->kind == NX_F_PIVOT && !nx_walk_before_is(w, i, WORD(FROM))) {
		n.kind = NX_F_PIVOT;
	}
	f->fresh = false;
	return nx_walk_push(w, i, n);
}

static enum nx_code open_call(struct nx_walk *w, uint32_t i, uint32_t name)
{
	struct nx_frame n = { .kind = NX_F_CALL, .name = name };
	struct nx_frame *f = nx_walk_top(w);
	f->fresh = false;
	f->expect_table = false;
	return nx_walk_push(w, i, n);
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
		return nx_walk_is_word(w, i + 1, WORD(BY));
	case WORD(START):
		return nx_walk_is_word(w, i + 1, WORD(WITH));
	case WORD(FETCH):
		return nx_walk_is_word(w, i + 1, WORD(FIRST)) ||
		       nx_walk_is_word(w, i + 1, WORD(NEXT));
	case WORD(OPTION):
		return nx_walk_is_op(w, i + 1, '(');
	case WORD(WINDOW):
		return nx_walk_is_name(w, i + 1) && nx_walk_is_word(w, i + 2, WORD(AS));
	case WORD(OFFSET):
		return !nx_walk_before_is(w, i, WORD(WITH)) && !nx_walk_before_is(w, i, WORD(AS)) &&
		       !nx_walk_is_op(w, i + 1, ',');
	default:
		return !nx_walk_before_is(w, i, WORD(AS));
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
		return !nx_walk_is_op(w, i - 1, '*') || nx_walk_starts_query(w, i + 1) ||
		       (nx_walk_is_op(w, i + 1, '(') && nx_walk_starts_query(w, i + 2)) ||
		       nx_walk_is_word(w, i + 1, WORD(ALL)) ||
		       nx_walk_is_word(w, i + 1, WORD(DISTINCT));
	case WORD(MINUS):
		return nx_walk_is_word(w, i + 1, WORD(SELECT)) ||
		       nx_walk_is_word(w, i + 1, WORD(ALL)) ||
		       (nx_walk_is_op(w, i + 1, '(') && nx_walk_is_word(w, i + 2, WORD(SELECT)));
	default:
		return false;
	}
}

static void begin_set_operator(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = nx_walk_top(w);
	uint32_t j = i + 1;
	while (j < w->n && w->t[j].kind == NX_T_WORD && !nx_walk_starts_query(w, j) &&
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
	struct nx_frame *f = nx_walk_top(w);
	uint16_t word = w->t[i].word;
	enum nx_code rc = nx_walk_rules(w, i);
	if (rc != NX_OK)
		return rc;
	*used = true;
	switch (word) {
	case WORD(SELECT):
		return nx_walk_begin_select(w, i);
	case WORD(FOR):
		return nx_walk_for(w, i);
	case WORD(FROM):
		if (nx_walk_before_is(w, i, WORD(DISTINCT)) && i >= 2 &&
		    (nx_walk_is_word(w, i - 2, WORD(IS)) || nx_walk_is_word(w, i - 2, WORD(NOT))))
			return NX_OK;
		if (f->clause == NX_C_WITH_EXPR && !nx_walk_after_with(w, i))
			return nx_walk_refuse_start(w, i - 1);
		if (f->clause == NX_C_SELECT || f->clause == NX_C_FROM ||
		    f->clause == NX_C_WITH_EXPR)
			nx_walk_begin_from(f);
		return NX_OK;
	case WORD(STRAIGHT_JOIN):
		if (f->clause != NX_C_FROM)
			return NX_OK;
		nx_walk_begin_from(f);
		return count_join(w, i);
	case WORD(JOIN):
		if (f->clause == NX_C_NONE || f->clause == NX_C_SELECT)
			break; /* a hint, or a column of that name */
		if (nx_walk_before_is(w, i, WORD(ARRAY)) ||
		    (i >= 2 && nx_walk_before_is(w, i - 1, WORD(ARRAY)))) {
			f->clause = NX_C_OTHER;
			f->expect_table = false;
			return NX_OK;
		}
		nx_walk_begin_from(f);
		return count_join(w, i);
	case WORD(APPLY):
		if (!nx_walk_before_is(w, i, WORD(CROSS)) && !nx_walk_before_is(w, i, WORD(OUTER)))
			break;
		nx_walk_begin_from(f);
		return count_join(w, i);
	case WORD(LATERAL):
		if (nx_walk_is_word(w, i + 1, WORD(VIEW)) && f->clause == NX_C_FROM) {
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
	struct nx_frame *f = nx_walk_top(w);
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
	if (!nx_walk_is_name(w, i))
		return nx_walk_fail(w, i, NX_E_SQL_PARSE, "A table is expected here.");
	if (t->kind == NX_T_WORD) {
		switch (t->word) {
		case WORD(ROWS):
			if (nx_walk_is_word(w, i + 1, WORD(FROM)) && nx_walk_is_op(w, i + 2, '(')) {
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
			if (nx_walk_is_op(w, i + 1, '(') || nx_walk_is_name(w, i + 1) ||
			    w->t[i + 1].kind == NX_T_STRING)
				return NX_OK;
			break;
		case WORD(VALUES):
			if (nx_walk_is_op(w, i + 1, '(') && !(w->row->grammar & NX_G_WITH_EXPR)) {
				f->expect_table = false;
				f->values = true;
				return NX_OK;
			}
			break;
		case WORD(SELECT):
			f->expect_table = false;
			return nx_walk_begin_select(w, i);
		default:
			break;
		}
	}
	uint32_t last = nx_walk_name_end(w, i, true);
	w->i = last;
	f->fresh = false;
	if (nx_walk_is_op(w, last + 1, '(')) {
		enum nx_code rc = nx_walk_call(w, i, last, true);
		if (rc != NX_OK)
			return rc;
		w->i = last + 1;
		rc = open_call(w, last + 1, last);
		if (rc != NX_OK)
			return rc;
		return NX_OK;
	}
	if (nx_walk_is_op(w, last + 1, ':') && (w->row->grammar & NX_G_PATHS)) {
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
		return nx_walk_is_op(w, i - 1, ')');
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
	nx_walk_top(w)->values = false;
	if (last > i && (w->row->grammar & NX_G_SEQ_DOT) && nx_walk_is_word(w, last, WORD(NEXTVAL)))
		return nx_walk_fail(w, last, NX_E_RO_FUNCTION, "NEXTVAL advances a sequence.");
	if (!nx_walk_is_op(w, last + 1, '('))
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
	struct nx_frame *f = nx_walk_top(w);
	switch (w->t[i].op) {
	case ')':
	case ']':
	case '}':
		return pop(w, i);
	case '[':
	case '{':
		return open_square(w, i);
	case '(':
		return nx_walk_open_paren(w, i);
	case ',':
		f->items++;
		if (f->in_list && f->items > w->max_in_list)
			return nx_walk_fail(w, i, NX_E_TOO_COMPLEX,
					    "More than %u values in an IN list [QV-008].",
					    (unsigned)w->max_in_list);
		if (f->clause == NX_C_FROM) {
			if (f->values && nx_walk_is_op(w, i + 1, '('))
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
	struct nx_frame *f = nx_walk_top(w);
	*used = true;
	f->fresh = false;
	bool trim = f->kind == NX_F_CALL && nx_walk_is_word(w, i, WORD(FROM));
	if (f->kind != NX_F_SQUARE && f->kind != NX_F_CURLY && nx_walk_starts_query(w, i) &&
	    !trim) {
		if (f->kind == NX_F_PIVOT && (w->row->grammar & NX_G_PATHS))
			return nx_walk_fail(w, i, NX_E_RO_STATEMENT,
					    "PIVOT needs its values written out here.");
		if (!(f->clause == NX_C_FROM && nx_walk_is_word(w, i, WORD(TABLE)))) {
			enum nx_code rc = enter_query(w, i);
			if (rc != NX_OK)
				return rc;
			f->clause = NX_C_START;
			f->expect_table = false;
			return nx_walk_start_query(w, i);
		}
	}
	if (f->must_query && !nx_walk_is_op(w, i, '('))
		return nx_walk_refuse_start(w, i);
	if (nx_walk_other_statement(w, i))
		return nx_walk_refuse_start(w, i);
	*used = false;
	return NX_OK;
}

static enum nx_code step(struct nx_walk *w)
{
	uint32_t i = w->i;
	struct nx_frame *f = nx_walk_top(w);
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
									   : nx_walk_cte(w, i);
	if (f->clause == NX_C_START && !nx_walk_is_op(w, i, '('))
		return t->kind == NX_T_OP && t->op == ')' ? pop(w, i) : nx_walk_start_query(w, i);
	if (f->expect_table && !nx_walk_is_op(w, i, '(') && !nx_walk_is_op(w, i, ')')) {
		/* INTO and FOR name no table, whatever seemed to ask for one */
		if (nx_walk_keyword_place(w, i)) {
			rc = nx_walk_is_word(w, i, WORD(FOR)) ? nx_walk_for(w, i)
							      : nx_walk_rules(w, i);
			if (rc != NX_OK)
				return rc;
		}
		return step_table(w, i);
	}
	if (nx_walk_keyword_place(w, i)) {
		rc = step_keyword(w, i, &used);
		if (rc != NX_OK || used)
			return rc;
	}
	if (nx_walk_is_name(w, i) && !nx_walk_is_op(w, i - 1, '.'))
		return step_name(w, i);
	if (nx_walk_is_name(w, i) && nx_walk_is_op(w, i + 1, '(') && nx_walk_is_op(w, i - 1, '.')) {
		/* x.f(..) where x is not a plain name: method syntax, (row).f */
		rc = nx_walk_call(w, i, i, false);
		if (rc != NX_OK)
			return rc;
		w->i = i + 1;
		return open_call(w, i + 1, i);
	}
	if (t->kind == NX_T_STRING && nx_walk_is_op(w, i + 1, '(')) {
		/* "f"(..) where quotes make a string: some mode might read a name */
		rc = nx_walk_call(w, i, i, false);
		if (rc != NX_OK)
			return rc;
	}
	if (t->kind == NX_T_VARIABLE && t->len == 1 && nx_walk_is_op(w, i + 1, '{'))
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
	struct nx_frame *f = nx_walk_top(w);
	if (w->depth > 1)
		return nx_walk_fail(w, f->open, NX_E_RO_UNTERMINATED, "This %c is not closed.",
				    w->sql.ptr[w->t[f->open].off]);
	if (f->clause == NX_C_START || (f->clause >= NX_C_CTE_NAME && f->clause <= NX_C_WITH_EXPR))
		return nx_walk_fail(w, w->n - 1, NX_E_RO_STATEMENT,
				    "The query ends here; a SELECT is missing.");
	return NX_OK;
}
