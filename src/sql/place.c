/* Where a word stands: is it a keyword there, and does the table of rules refuse it in that place? */
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
	return i >= 2 && nx_walk_is_op(w, i - 1, '.') &&
	       (nx_walk_is_name(w, i - 2) || nx_walk_is_op(w, i - 2, ')') ||
		nx_walk_is_op(w, i - 2, ']'));
}

/* Does AS stand before i as a keyword? `1 AS as INTO` and `x.as INTO` have a name of that spelling. */
bool nx_walk_after_as(const struct nx_walk *w, uint32_t i)
{
	uint32_t run = 0;
	while (nx_walk_before_is(w, i - run, WORD(AS)))
		run++;
	if (run > 0 && after_dot(w, i - run))
		run--;
	return run % 2 == 1;
}

/* A word counts as a keyword unless it is a name by its place. */
bool nx_walk_keyword_place(const struct nx_walk *w, uint32_t i)
{
	if (w->t[i].kind != NX_T_WORD || w->t[i].word == NX_W_NONE || after_dot(w, i))
		return false;
	return !((w->row->grammar & NX_G_AS_ANY) && nx_walk_after_as(w, i));
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
		return nx_walk_is_op(w, j, '(');
	if (*next == '\'')
		return w->t[j].kind == NX_T_STRING;
	if (*next == 'w')
		return nx_walk_is_name(w, j);
	return w->t[j].kind == NX_T_WORD && nx_policy_listed(next, nx_walk_text(w, j));
}

enum nx_code nx_walk_rules(struct nx_walk *w, uint32_t i)
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
		if (rule->place == PLACE_HINT && (w->depth < 2 || nx_walk_is_op(w, i + 1, '.')))
			continue;
		if (!next_matches(w, i, rule->next))
			continue;
		struct nx_str text = nx_walk_text(w, i);
		return nx_walk_fail(w, i, rule->code, NX_STR_FMT " %s.", NX_STR_ARG(text),
				    rule->text);
	}
	return NX_OK;
}

enum nx_code nx_walk_for(struct nx_walk *w, uint32_t i)
{
	struct nx_frame *f = nx_walk_top(w);
	uint32_t j = i + 1;
	if (f->kind == NX_F_PIVOT)
		return NX_OK;
	if (f->kind == NX_F_SQUARE && (w->row->grammar & NX_G_BRACKET_FOR))
		return NX_OK;
	if (f->kind == NX_F_CALL &&
	    nx_policy_listed("substring substr overlay mid", nx_walk_text(w, f->name)))
		return NX_OK;
	if (nx_walk_is_word(w, j, WORD(UPDATE)) || nx_walk_is_word(w, j, WORD(SHARE)) ||
	    nx_walk_is_word(w, j, WORD(NO)) || nx_walk_is_word(w, j, WORD(KEY)))
		return nx_walk_fail(w, i, NX_E_RO_CLAUSE,
				    "FOR %.*s locks rows that others want to change.",
				    (int)w->t[j].len, w->sql.ptr + w->t[j].off);
	if (nx_walk_is_word(w, j, WORD(SYSTEM_TIME)) ||
	    nx_walk_is_word(w, j, WORD(SYSTEM_VERSION)) || nx_walk_is_word(w, j, WORD(VERSION)) ||
	    nx_walk_is_word(w, j, WORD(TIMESTAMP)) || nx_walk_is_word(w, j, WORD(ORDINALITY)))
		return NX_OK;
	if (nx_walk_is_word(w, j, WORD(READ)) || nx_walk_is_word(w, j, WORD(FETCH)))
		return NX_OK;
	if ((w->row->grammar & NX_G_TSQL) &&
	    (nx_walk_is_word(w, j, WORD(XML)) || nx_walk_is_word(w, j, WORD(JSON)))) {
		f->clause = NX_C_OTHER;
		f->expect_table = false;
		return NX_OK;
	}
	if ((nx_walk_is_word(w, j, WORD(JOIN)) || nx_walk_is_word(w, j, WORD(ORDER)) ||
	     nx_walk_is_word(w, j, WORD(GROUP))) &&
	    i > 0 && nx_policy_listed("index key", nx_walk_text(w, i - 1)))
		return NX_OK;
	return nx_walk_fail(w, i, NX_E_RO_CLAUSE,
			    "FOR may be followed only by a version of the data here.");
}
