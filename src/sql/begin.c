/* How a query begins: its first keyword, the list of CTEs before it, and what each of their bodies is. What a
 * statement does is decided here. */
#include "sql/walk.h"

#define WORD(name) NX_W_##name

bool nx_walk_starts_query(const struct nx_walk *w, uint32_t i)
{
	if (w->t[i].kind != NX_T_WORD)
		return false;
	switch (w->t[i].word) {
	case WORD(SELECT):
	case WORD(WITH):
		return true;
	case WORD(VALUES):
		return nx_walk_is_op(w, i + 1, '(') ||
		       (nx_walk_is_name(w, i + 1) &&
			nx_str_ieq(nx_walk_text(w, i + 1), NX_STR("row")));
	case WORD(TABLE):
		return nx_walk_is_name(w, i + 1);
	case WORD(FROM):
		return w->row->grammar & NX_G_FROM_FIRST;
	default:
		return false;
	}
}

/* Statements that some grammar lets stand in parentheses, recognised by what follows them, so that
 * columns of these names stay usable. */
bool nx_walk_other_statement(const struct nx_walk *w, uint32_t i)
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

enum nx_code nx_walk_refuse_start(struct nx_walk *w, uint32_t i)
{
	struct nx_str text = nx_walk_text(w, i);
	if (nx_walk_is_word(w, i, WORD(PIVOT)) || nx_walk_is_word(w, i, WORD(UNPIVOT)))
		return nx_walk_fail(w, i, NX_E_RO_STATEMENT,
				    "Write SELECT .. FROM t " NX_STR_FMT
				    " (.. FOR column IN (..)) instead of the statement.",
				    NX_STR_ARG(text));
	if (nx_walk_is_word(w, i, WORD(FROM)))
		return nx_walk_fail(w, i, NX_E_RO_STATEMENT, "Put SELECT before FROM.");
	return nx_walk_fail(w, i, NX_E_RO_STATEMENT,
			    "Only SELECT queries may run; " NX_STR_FMT " is none.",
			    NX_STR_ARG(text));
}

/* WITH expr AS name, name AS (query): may the query itself begin at i? */
bool nx_walk_after_with(const struct nx_walk *w, uint32_t i)
{
	return nx_walk_is_op(w, i - 1, ')') ||
	       (nx_walk_is_name(w, i - 1) && nx_walk_after_as(w, i - 1));
}

enum nx_code nx_walk_begin_select(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = nx_walk_top(w);
	if (f->clause == NX_C_WITH_EXPR && !nx_walk_after_with(w, i))
		return nx_walk_refuse_start(w, i - 1);
	bool from_first = (w->row->grammar & NX_G_FROM_FIRST) && !f->selected &&
			  (f->clause == NX_C_FROM || f->clause == NX_C_OTHER);
	bool piped = (w->row->grammar & NX_G_PIPE) && nx_walk_is_op(w, i - 1, NX_OP_PIPE);
	if (f->clause != NX_C_START && f->clause != NX_C_CTE_AFTER && f->clause != NX_C_WITH_EXPR &&
	    !from_first && !piped)
		return nx_walk_fail(w, i, NX_E_RO_MULTI, "A second SELECT starts here.");
	f->clause = NX_C_SELECT;
	f->selected = true;
	f->expect_table = false;
	return NX_OK;
}

void nx_walk_begin_from(struct nx_frame *f)
{
	f->clause = NX_C_FROM;
	f->expect_table = true;
}

/* The first words of a query: SELECT, WITH, VALUES, TABLE, FROM. */
enum nx_code nx_walk_start_query(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = nx_walk_top(w);
	if (w->t[i].kind == NX_T_WORD) {
		switch (w->t[i].word) {
		case WORD(SELECT):
			return nx_walk_begin_select(w, i);
		case WORD(WITH):
			if (f->clause != NX_C_START)
				break;
			f->clause =
				w->row->grammar & NX_G_WITH_EXPR ? NX_C_WITH_EXPR : NX_C_CTE_NAME;
			f->recursive = nx_walk_is_word(w, i + 1, WORD(RECURSIVE));
			if (f->recursive)
				w->i++;
			return NX_OK;
		case WORD(VALUES):
			f->clause = NX_C_OTHER;
			f->selected = true;
			return NX_OK;
		case WORD(TABLE):
			nx_walk_begin_from(f);
			f->selected = true;
			return NX_OK;
		case WORD(FROM):
			if (!(w->row->grammar & NX_G_FROM_FIRST))
				break;
			nx_walk_begin_from(f);
			return NX_OK;
		default:
			break;
		}
	}
	return nx_walk_refuse_start(w, i);
}

/* [RECURSIVE] name [(columns)] AS [NOT] [MATERIALIZED] (query) [SEARCH ..] [CYCLE ..], ... */
enum nx_code nx_walk_cte(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = nx_walk_top(w);
	switch ((enum nx_clause)f->clause) {
	case NX_C_CTE_NAME:
		if (!nx_walk_is_name(w, i))
			return nx_walk_fail(w, i, NX_E_SQL_PARSE, "WITH needs a name here.");
		if (!nx_walk_is_word(w, i + 1, WORD(AS)) && !nx_walk_is_op(w, i + 1, '('))
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
		if (nx_walk_is_op(w, i, '(')) /* the names of its columns */
			return nx_walk_push(w, i, (struct nx_frame){ .kind = NX_F_PAREN });
		if (!nx_walk_is_word(w, i, WORD(AS)))
			return nx_walk_fail(w, i, NX_E_RO_STATEMENT, "WITH needs AS here.");
		if (nx_walk_is_word(w, i + 1, WORD(NOT)))
			w->i++;
		if (nx_walk_is_word(w, w->i + 1, WORD(MATERIALIZED)))
			w->i++;
		if (!nx_walk_is_op(w, w->i + 1, '('))
			return nx_walk_fail(
				w, w->i + 1, NX_E_RO_STATEMENT,
				"WITH may define only queries: WITH name AS (SELECT ..).");
		f->clause = NX_C_CTE_BODY;
		return NX_OK;
	case NX_C_CTE_BODY:
		return nx_walk_open_paren(w, i);
	default:
		break;
	}
	/* after the body: a comma, SEARCH and CYCLE, or the main query */
	if (nx_walk_is_op(w, i, ',')) {
		if (nx_walk_is_name(w, i + 1) &&
		    (nx_walk_is_word(w, i + 2, WORD(AS)) || nx_walk_is_op(w, i + 2, '(')))
			f->clause = NX_C_CTE_NAME;
		else if (!nx_walk_is_name(w, i + 1))
			return nx_walk_fail(w, i, NX_E_SQL_PARSE, "WITH needs a name after this.");
		return NX_OK;
	}
	if (nx_walk_is_op(w, i, '('))
		return nx_walk_open_paren(w, i);
	if (nx_walk_starts_query(w, i) && !nx_walk_is_word(w, i, WORD(WITH)))
		return nx_walk_start_query(w, i);
	bool search = false;
	for (uint32_t k = i; k > f->open && !nx_walk_is_op(w, k, ')'); k--)
		search |= nx_walk_is_word(w, k, WORD(SEARCH)) || nx_walk_is_word(w, k, WORD(CYCLE));
	if (search &&
	    (nx_walk_is_name(w, i) || w->t[i].kind == NX_T_STRING || w->t[i].kind == NX_T_NUMBER))
		return NX_OK;
	return nx_walk_refuse_start(w, i);
}
