/* Layer A, the shape gate: is this text exactly one read-only query of this dialect?
 *
 * One table-driven tokenizer (a row per dialect in lex.c) serves judging, counting and rewriting
 * parameters, and table names; so they cannot disagree. Unknown means refused, with a code, a byte
 * offset and a token. No I/O. Threads: all functions are reentrant; a policy is read-only while used. */
#ifndef NX_SQL_GATE_H
#define NX_SQL_GATE_H

#include "nexus/arena.h"
#include "nexus/dialect.h"
#include "nexus/error.h"
#include "nexus/str.h"

enum nx_function_policy {
	NX_FUNCTIONS_DENY_LIST, /* refuse what is known to be harmful (default) */
	NX_FUNCTIONS_BUILTIN, /* allow only what is known to be harmless, or in `known` */
};

struct nx_gate_policy {
	bool allow_metadata; /* SHOW, DESCRIBE, EXPLAIN (never ANALYZE), VALUES, TABLE */
	enum nx_function_policy functions;
	const struct nx_str
		*allow; /* functions allowed in addition, lower case; may name schema.fn */
	uint32_t nallow;
	const struct nx_str *deny; /* refused in addition; wins over allow */
	uint32_t ndeny;
	/* NX_FUNCTIONS_BUILTIN: plain lower-case names that the source itself calls harmless, ordered by bytes; what
	 * is known to be harmful stays refused */
	const struct nx_str *known;
	uint32_t nknown;
	bool one_opinion; /* PostgreSQL: leave out the second opinion of libpg_query (9 us) */
	bool table_paths; /* FROM 'path' and read_parquet('path') may pass (file sources) */
	uint32_t max_bytes; /* 0: 102400 [QV-009] */
	uint32_t max_joins; /* 0: 32 [QV-008] */
	uint32_t max_depth; /* 0: 16, nested subqueries */
	uint32_t max_ctes; /* 0: 64 */
	uint32_t max_in_list; /* 0: 10000 */
};

enum nx_statement_kind {
	NX_STMT_SELECT,
	NX_STMT_VALUES,
	NX_STMT_TABLE,
	NX_STMT_SHOW,
	NX_STMT_DESCRIBE,
	NX_STMT_EXPLAIN
};

struct nx_table_name {
	struct nx_str parts[3]; /* catalog, schema, table; unquoted; empty where not given */
	uint32_t position; /* byte offset in the SQL */
	bool path; /* a file path rather than a name */
};

struct nx_verdict {
	enum nx_statement_kind kind;
	struct nx_str sql; /* what to send: trailing ';' cut, '?' in the source's own form;
				 * NUL-terminated, in the arena */
	uint32_t nparams;
	bool pure; /* only built-in functions that have no effect and hold no state */
	struct nx_table_name *tables; /* real tables: CTE names left out, each once */
	uint32_t ntables;
};

/* `placeholder` is the driver's form: "?" keeps the text, "$%u", ":%u", "@p%u" number from 1; a
 * doubled ?? outside quotes is a literal ?. On refusal *err has code (RO_*, TOO_COMPLEX,
 * SQL_TOO_LONG, EMPTY_QUERY, RO_ENCODING, ...), position, token and a message that says how to
 * mend it. */
NX_NODISCARD enum nx_code nx_gate_check(enum nx_dialect d, const struct nx_gate_policy *p,
					const char *placeholder, struct nx_str sql,
					struct nx_arena *a, struct nx_verdict *ret,
					struct nx_error *err);

#endif
