/* The one way in: check the bytes, cut them into tokens, judge the shape, write the text to send. */
#include "sql/gate.h"

#include "sql/opinion.h"
#include "sql/params.h"
#include "sql/walk.h"

#define WORD(name) NX_W_##name
#define STACK_TOKENS 384

struct tokens {
	struct nx_token *t;
	uint32_t n, cap;
	bool heap, hints;
	uint32_t hint_end; /* of the last hint that stands before a trailing ; */
	struct nx_token stack[STACK_TOKENS];
};

static enum nx_code check_bytes(struct nx_str sql, uint32_t max, struct nx_error *err)
{
	if (sql.len > max)
		return nx_fail(err, NX_E_SQL_TOO_LONG,
			       "The SQL has %zu bytes; at most %u are allowed [QV-009].", sql.len,
			       (unsigned)max);
	size_t bad = nx_utf8_check(sql);
	if (bad < sql.len) {
		nx_fail(err, NX_E_RO_ENCODING, "Byte %zu is not valid UTF-8 [QV-010].", bad);
		nx_error_at(err, bad, "", 0);
		return NX_E_RO_ENCODING;
	}
	for (size_t i = 0; i < sql.len; i++) {
		unsigned char c = (unsigned char)sql.ptr[i];
		if (c < 0x20 && c != '\t' && c != '\n' && c != '\r') {
			nx_fail(err, NX_E_RO_ENCODING,
				"Control character 0x%02X at byte %zu; only tab and line ends may "
				"stand in SQL.",
				c, i);
			nx_error_at(err, i, "", 0);
			return NX_E_RO_ENCODING;
		}
	}
	return NX_OK;
}

/* SET_VAR(..) and the like; what else a hint says only guides the planner. */
static enum nx_code check_hint(const struct nx_dialect_row *row, struct nx_str sql,
			       const struct nx_token *t, struct nx_error *err)
{
	const char *p = sql.ptr + t->off + 3;
	const char *end = sql.ptr + t->off + t->len - 2;
	while (p < end) {
		const char *s = p;
		while (p < end && ((*p >= '0' && *p <= '9') ||
				   ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z') || *p == '_'))
			p++;
		if (p == s) {
			p++;
			continue;
		}
		if (!nx_policy_listed(row->hints, nx_strn(s, (size_t)(p - s))))
			continue;
		nx_fail(err, NX_E_RO_HINT, "The hint %.*s would change the session or a connector.",
			(int)(p - s), s);
		nx_error_at(err, (size_t)(s - sql.ptr), s, (size_t)(p - s));
		return NX_E_RO_HINT;
	}
	return NX_OK;
}

static bool grow(struct tokens *ts)
{
	uint32_t cap = ts->cap * 4;
	struct nx_token *t = malloc((size_t)cap * sizeof(*t));
	if (!t)
		return false;
	memcpy(t, ts->t, (size_t)ts->n * sizeof(*t));
	if (ts->heap)
		free(ts->t);
	ts->heap = true;
	ts->t = t;
	ts->cap = cap;
	return true;
}

static enum nx_code tokenize(const struct nx_dialect_row *row, struct nx_str sql, struct tokens *ts,
			     struct nx_error *err)
{
	struct nx_lexer l;
	nx_lex_init(&l, row->lex, sql);
	for (;;) {
		if (ts->n == ts->cap && !grow(ts))
			return nx_fail(err, NX_E_MEMORY, "Out of memory.");
		struct nx_token *t = &ts->t[ts->n];
		enum nx_code rc = nx_lex_next(&l, t, err);
		if (rc != NX_OK)
			return rc;
		if (t->kind == NX_T_END)
			return NX_OK;
		if (t->kind == NX_T_HINT) {
			rc = check_hint(row, sql, t, err);
			if (rc != NX_OK)
				return rc;
			if (ts->n == 0 || ts->t[ts->n - 1].kind != NX_T_OP ||
			    ts->t[ts->n - 1].op != ';')
				ts->hint_end = t->off + t->len;
			ts->hints = ts->hint_end > 0;
		} else if (t->kind != NX_T_SPACE && t->kind != NX_T_COMMENT) {
			ts->n++;
		}
	}
}

static enum nx_code refuse_metadata(struct nx_walk *w, uint32_t i)
{
	return nx_walk_fail(w, i, NX_E_RO_STATEMENT,
			    "%.*s is not allowed on this data source; only SELECT is.",
			    (int)w->t[i].len, w->sql.ptr + w->t[i].off);
}

/* EXPLAIN and DESCRIBE: skips the words of `words`; false when something else stands there. */
static bool skip_words(struct nx_walk *w, const char *words)
{
	while (w->i < w->n) {
		const struct nx_token *t = &w->t[w->i];
		if (t->kind == NX_T_WORD && nx_policy_listed(words, nx_walk_text(w, w->i)) &&
		    !nx_walk_is_op(w, w->i + 1, '.'))
			w->i++;
		else if (t->kind == NX_T_OP && t->op == '=' && w->i + 1 < w->n)
			w->i++;
		else if (t->kind == NX_T_STRING && nx_walk_is_op(w, w->i - 1, '='))
			w->i++;
		else
			return true;
	}
	return false;
}

static bool begins_query(const struct nx_walk *w, uint32_t i)
{
	return nx_walk_is_word(w, i, WORD(SELECT)) || nx_walk_is_word(w, i, WORD(WITH)) ||
	       nx_walk_is_word(w, i, WORD(VALUES)) || nx_walk_is_word(w, i, WORD(TABLE)) ||
	       nx_walk_is_op(w, i, '(') ||
	       (nx_walk_is_word(w, i, WORD(FROM)) && (w->row->grammar & NX_G_FROM_FIRST));
}

static enum nx_code walk_explain(struct nx_walk *w)
{
	uint32_t first = w->i++;
	if (!w->row->explain)
		return nx_walk_fail(w, first, NX_E_RO_STATEMENT,
				    "EXPLAIN is not a read-only statement of this dialect.");
	/* (ANALYZE, ..) or a query in parentheses */
	if (nx_walk_is_op(w, w->i, '(') && !begins_query(w, w->i + 1)) {
		while (w->i < w->n && !nx_walk_is_op(w, w->i, ')')) {
			struct nx_str text = nx_walk_text(w, w->i);
			if (nx_policy_listed("analyze analyse", text))
				return nx_walk_fail(w, w->i, NX_E_RO_STATEMENT,
						    "EXPLAIN ANALYZE runs the statement.");
			if (!nx_walk_is_name(w, w->i) && !nx_walk_is_op(w, w->i, ',') &&
			    w->i != first + 1 && w->t[w->i].kind != NX_T_NUMBER)
				return nx_walk_fail(w, w->i, NX_E_RO_STATEMENT,
						    "This is no option of EXPLAIN.");
			w->i++;
		}
		w->i++;
	} else {
		(void)skip_words(w, w->row->explain);
	}
	if (w->i >= w->n)
		return nx_walk_fail(w, first, NX_E_RO_STATEMENT, "EXPLAIN needs a query.");
	if (nx_walk_is_word(w, w->i, WORD(ANALYZE)) || nx_walk_is_word(w, w->i, WORD(ANALYSE)))
		return nx_walk_fail(w, w->i, NX_E_RO_STATEMENT,
				    "EXPLAIN ANALYZE runs the statement.");
	if (!begins_query(w, w->i))
		return nx_walk_fail(w, w->i, NX_E_RO_STATEMENT, "Only a SELECT may be explained.");
	return nx_walk_query(w, NX_C_START);
}

static enum nx_code walk_describe(struct nx_walk *w, enum nx_statement_kind *kind)
{
	uint32_t first = w->i++;
	if (!w->row->describe)
		return refuse_metadata(w, first);
	(void)skip_words(w, w->row->describe);
	if (begins_query(w, w->i) && !nx_walk_is_word(w, w->i, WORD(TABLE))) {
		*kind = w->row->grammar & NX_G_FROM_FIRST ? NX_STMT_DESCRIBE : NX_STMT_EXPLAIN;
		return nx_walk_query(w, NX_C_START);
	}
	if (!nx_walk_is_name(w, w->i))
		return nx_walk_fail(w, w->i < w->n ? w->i : first, NX_E_RO_STATEMENT,
				    "DESCRIBE needs the name of a table.");
	/* name [column or pattern], nothing that could be another statement */
	uint32_t last = nx_walk_name_end(w, w->i, true);
	if (nx_policy_listed("insert update delete replace merge analyze for call connection",
			     nx_walk_text(w, w->i)) ||
	    nx_walk_is_op(w, last + 1, '(') || w->n > last + 2)
		return nx_walk_fail(w, w->i, NX_E_RO_STATEMENT,
				    "Only tables and SELECT queries may be described.");
	enum nx_code rc = nx_walk_table(w, w->i, last);
	w->i = w->n;
	return rc;
}

static enum nx_code walk_show(struct nx_walk *w)
{
	uint32_t first = w->i++;
	if (!w->row->show || w->i >= w->n)
		return refuse_metadata(w, first);
	struct nx_str what = nx_walk_text(w, w->i);
	if (w->t[w->i].kind != NX_T_WORD ||
	    (strcmp(w->row->show, "*") != 0 && !nx_policy_listed(w->row->show, what)))
		return nx_walk_fail(w, w->i, NX_E_RO_STATEMENT,
				    "SHOW " NX_STR_FMT " is not allowed.", NX_STR_ARG(what));
	for (uint32_t i = w->i; i < w->n; i++)
		if (w->t[i].kind == NX_T_WORD &&
		    nx_policy_listed("processlist grants user binlog master slave replica "
				     "privileges profile profiles relaylog authors mutex "
				     "transactions load routine backends frontends snapshot",
				     nx_walk_text(w, i)) &&
		    i <= w->i + 2)
			return nx_walk_fail(w, i, NX_E_RO_STATEMENT,
					    "SHOW " NX_STR_FMT " is not allowed.",
					    NX_STR_ARG(nx_walk_text(w, i)));
	return nx_walk_query(w, NX_C_OTHER);
}

static enum nx_code walk_statement(struct nx_walk *w, enum nx_statement_kind *kind)
{
	uint16_t word = w->t[0].kind == NX_T_WORD ? w->t[0].word : NX_W_NONE;
	switch (word) {
	case WORD(VALUES):
	case WORD(TABLE):
		*kind = word == WORD(VALUES) ? NX_STMT_VALUES : NX_STMT_TABLE;
		if (!w->policy->allow_metadata || !(w->row->grammar & NX_G_VALUES))
			return refuse_metadata(w, 0);
		return nx_walk_query(w, NX_C_START);
	case WORD(SHOW):
	case WORD(DESCRIBE):
	case WORD(DESC):
	case WORD(EXPLAIN):
		if (!w->policy->allow_metadata)
			return refuse_metadata(w, 0);
		w->pure = false;
		if (word == WORD(SHOW)) {
			*kind = NX_STMT_SHOW;
			return walk_show(w);
		}
		if (word == WORD(EXPLAIN)) {
			*kind = NX_STMT_EXPLAIN;
			return walk_explain(w);
		}
		*kind = NX_STMT_DESCRIBE;
		return walk_describe(w, kind);
	default:
		*kind = NX_STMT_SELECT;
		return nx_walk_query(w, NX_C_START);
	}
}

static uint32_t limit(uint32_t set, uint32_t fallback, uint32_t most)
{
	uint32_t v = set ? set : fallback;
	return v < most ? v : most;
}

static enum nx_code judge(enum nx_dialect d, const struct nx_gate_policy *p,
			  const char *placeholder, struct nx_str sql, struct nx_arena *a,
			  struct tokens *ts, struct nx_verdict *ret, struct nx_error *err)
{
	const struct nx_dialect_row *row = nx_dialect_row(d);
	enum nx_code rc = tokenize(row, sql, ts, err);
	if (rc != NX_OK)
		return rc;
	uint32_t n = ts->n;
	while (n > 0 && ts->t[n - 1].kind == NX_T_OP && ts->t[n - 1].op == ';')
		n--;
	if (n == 0)
		return nx_fail(err, NX_E_EMPTY_QUERY, "There is no statement in the SQL.");
	uint32_t end = ts->t[n - 1].off + ts->t[n - 1].len;
	if (ts->hint_end > end)
		end = ts->hint_end;
	sql.len = end;
	ts->t[n] = (struct nx_token){ .off = end, .kind = NX_T_END };
	struct nx_walk w = {
		.dialect = d,
		.row = row,
		.policy = p,
		.sql = sql,
		.t = ts->t,
		.n = n,
		.arena = a,
		.max_joins = limit(p->max_joins, 32, 100000),
		.max_depth = limit(p->max_depth, 16, NX_MAX_PARENS),
		.max_ctes = limit(p->max_ctes, 64, NX_MAX_CTES),
		.max_in_list = limit(p->max_in_list, 10000, UINT32_MAX),
		.pure = !ts->hints,
		.err = err,
	};
	struct nx_verdict v = { 0 };
	rc = walk_statement(&w, &v.kind);
	if (rc != NX_OK)
		return rc;
	rc = nx_params_rewrite(sql, ts->t, n, placeholder, row->lex, a, &v.sql, &v.nparams, err);
	if (rc != NX_OK)
		return rc;
	v.pure = w.pure;
	v.tables = w.tables;
	v.ntables = w.ntables;
	*ret = v;
	return NX_OK;
}

enum nx_code nx_gate_check(enum nx_dialect d, const struct nx_gate_policy *p,
			   const char *placeholder, struct nx_str sql, struct nx_arena *a,
			   struct nx_verdict *ret, struct nx_error *err)
{
	if (!nx_dialect_row(d)->functions->effect)
		return nx_fail(err, NX_E_NOT_IMPLEMENTED,
			       "SQL of this dialect cannot be judged yet.");
	enum nx_code rc = check_bytes(sql, p->max_bytes ? p->max_bytes : 102400, err);
	if (rc != NX_OK)
		return rc;
	struct tokens ts = { .cap = STACK_TOKENS };
	ts.t = ts.stack;
	struct nx_verdict v;
	rc = judge(d, p, placeholder, sql, a, &ts, &v, err);
	if (ts.heap)
		free(ts.t);
	if (rc == NX_OK && !p->one_opinion && (nx_dialect_row(d)->grammar & NX_G_PG))
		rc = nx_opinion_postgresql(p, &v, err);
	if (rc == NX_OK)
		*ret = v;
	return rc;
}
