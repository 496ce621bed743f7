/* The walker's state, private to src/sql: walk.c moves through clauses and parentheses, call.c judges
 * called functions and file paths, names.c collects tables; place.c says where a word is a keyword and which are
 * refused, begin.c how a query begins. */
#ifndef NX_SQL_WALK_H
#define NX_SQL_WALK_H

#include "sql/gate.h"
#include "sql/lex.h"
#include "sql/policy.h"

enum {
	NX_MAX_PARENS = 256,
	NX_MAX_CTES = 4096,
	NX_TABLE_BUCKETS = 256,
};

enum nx_frame_kind {
	NX_F_QUERY, /* the statement or a subquery */
	NX_F_PAREN, /* ( of an expression, a list, or a join */
	NX_F_CALL, /* ( of a function; `name` is its last part */
	NX_F_PIVOT, /* ( of PIVOT or UNPIVOT, and what is inside */
	NX_F_SQUARE, /* [ */
	NX_F_CURLY, /* { */
};

enum nx_clause {
	NX_C_NONE, /* an expression or a list */
	NX_C_START, /* a query must begin here */
	NX_C_CTE_NAME, /* after WITH or a comma */
	NX_C_CTE_AS, /* after the name */
	NX_C_CTE_BODY, /* after AS */
	NX_C_CTE_AFTER, /* after the body */
	NX_C_WITH_EXPR, /* ClickHouse: WITH expr AS name */
	NX_C_SELECT,
	NX_C_FROM,
	NX_C_OTHER, /* after FROM */
};

struct nx_frame {
	uint8_t kind;
	uint8_t clause;
	bool fresh; /* nothing inside yet */
	bool must_query; /* only a query may stand here */
	bool expect_table; /* a table comes next */
	bool selected; /* SELECT was seen since the last set operator */
	bool in_list; /* opened by IN */
	bool pivot_in; /* PIVOT: its FOR .. IN list was seen */
	bool recursive; /* WITH RECURSIVE */
	bool values; /* FROM VALUES (..), (..): a comma goes on with rows */
	uint32_t open; /* token */
	uint32_t name; /* NX_F_CALL: token of the last part of the name */
	uint32_t items; /* commas + 1 */
	uint32_t ctes; /* CTE names visible when it was opened */
	uint32_t pending; /* token of the CTE name being defined */
};

struct nx_cte {
	struct nx_str name;
	bool quoted;
};

struct nx_walk {
	enum nx_dialect dialect;
	const struct nx_dialect_row *row;
	const struct nx_gate_policy *policy;
	struct nx_str sql;
	const struct nx_token *t; /* significant tokens, NX_T_END last */
	uint32_t n; /* without the END */
	uint32_t i; /* being judged */
	struct nx_frame frames[NX_MAX_PARENS];
	uint32_t depth; /* frames in use */
	uint32_t queries; /* of them NX_F_QUERY */
	struct nx_arena *arena;
	struct nx_cte *ctes;
	uint32_t nctes, all_ctes;
	uint32_t joins;
	uint32_t max_joins, max_depth, max_ctes, max_in_list;
	struct nx_table_name *tables;
	uint32_t ntables, cap_tables;
	uint32_t buckets[NX_TABLE_BUCKETS]; /* 1 + index of the newest table in the bucket */
	uint32_t *chain; /* the same for the one before it */
	bool pure;
	struct nx_error *err;
};

/* Judges the tokens from w->i on as one query; `start` is the clause of the outermost frame. */
NX_NODISCARD enum nx_code nx_walk_query(struct nx_walk *w, enum nx_clause start);

static inline struct nx_str nx_walk_text(const struct nx_walk *w, uint32_t i)
{
	return nx_strn(w->sql.ptr + w->t[i].off, w->t[i].len);
}

static inline bool nx_walk_is_op(const struct nx_walk *w, uint32_t i, uint8_t op)
{
	return i < w->n && w->t[i].kind == NX_T_OP && w->t[i].op == op;
}

static inline bool nx_walk_is_word(const struct nx_walk *w, uint32_t i, uint16_t word)
{
	return i < w->n && w->t[i].kind == NX_T_WORD && w->t[i].word == word;
}

static inline bool nx_walk_is_name(const struct nx_walk *w, uint32_t i)
{
	return i < w->n && (w->t[i].kind == NX_T_WORD || w->t[i].kind == NX_T_QUOTED);
}

static inline bool nx_walk_before_is(const struct nx_walk *w, uint32_t i, uint16_t word)
{
	return i > 0 && nx_walk_is_word(w, i - 1, word);
}

static inline struct nx_frame *nx_walk_top(struct nx_walk *w)
{
	return &w->frames[w->depth - 1];
}

/* walk.c */
NX_NODISCARD enum nx_code nx_walk_push(struct nx_walk *w, uint32_t i, struct nx_frame f);
NX_NODISCARD enum nx_code nx_walk_open_paren(struct nx_walk *w, uint32_t i);

/* place.c */

/* Does AS stand before i as a keyword? `1 AS as INTO` and `x.as INTO` have a name of that spelling. */
bool nx_walk_after_as(const struct nx_walk *w, uint32_t i);
/* A word counts as a keyword unless it is a name by its place. */
bool nx_walk_keyword_place(const struct nx_walk *w, uint32_t i);
/* Refuses the keyword at i where rules.def says so. */
NX_NODISCARD enum nx_code nx_walk_rules(struct nx_walk *w, uint32_t i);
/* FOR: a lock, or one of the clauses that begin so and only read. */
NX_NODISCARD enum nx_code nx_walk_for(struct nx_walk *w, uint32_t i);

/* begin.c */

bool nx_walk_starts_query(const struct nx_walk *w, uint32_t i);
bool nx_walk_other_statement(const struct nx_walk *w, uint32_t i);
NX_NODISCARD enum nx_code nx_walk_refuse_start(struct nx_walk *w, uint32_t i);
bool nx_walk_after_with(const struct nx_walk *w, uint32_t i);
NX_NODISCARD enum nx_code nx_walk_begin_select(struct nx_walk *w, uint32_t i);
void nx_walk_begin_from(struct nx_frame *f);
/* The frame expects a query at i. */
NX_NODISCARD enum nx_code nx_walk_start_query(struct nx_walk *w, uint32_t i);
/* One token of a list of CTEs. */
NX_NODISCARD enum nx_code nx_walk_cte(struct nx_walk *w, uint32_t i);

/* Sets w->err at token i and returns code. */
enum nx_code nx_walk_fail(struct nx_walk *w, uint32_t i, enum nx_code code, const char *fmt, ...)
	NX_PRINTF(4, 5);

/* The name that starts at token i ends at the token returned: a.b.c, also my-project.x */
uint32_t nx_walk_name_end(const struct nx_walk *w, uint32_t i, bool table);
/* Judges the call of the function named by tokens first..last; `table`: it stands where a table
 * stands. */
NX_NODISCARD enum nx_code nx_walk_call(struct nx_walk *w, uint32_t first, uint32_t last,
				       bool table);
/* Judges a dotted name without parentheses, which calls a function in some dialects. */
NX_NODISCARD enum nx_code nx_walk_bare(struct nx_walk *w, uint32_t first, uint32_t last);
/* Judges and notes the table named by tokens first..last. */
NX_NODISCARD enum nx_code nx_walk_table(struct nx_walk *w, uint32_t first, uint32_t last);
/* Judges and notes a file path (a string token) where a table stands. */
NX_NODISCARD enum nx_code nx_walk_path(struct nx_walk *w, uint32_t i);
/* The name's text without quotes, in the arena when quotes had to be undone. ptr NULL: no memory. */
struct nx_str nx_walk_unquote(struct nx_walk *w, uint32_t i);

NX_NODISCARD enum nx_code nx_walk_define_cte(struct nx_walk *w, uint32_t i);

#endif
