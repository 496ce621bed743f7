/* What a dialect forbids and allows, as data: one nx_dialect_row per dialect (dialects.c), function
 * lists in policy/. The walker reads rows; it holds no list of its own.
 * Threads: everything here is built once and read-only afterwards. */
#ifndef NX_SQL_POLICY_H
#define NX_SQL_POLICY_H

#include "nexus/dialect.h"
#include "nexus/str.h"

/* What calling a function means. Upper-case letters are refusals; see nx_effect_text(). */
enum nx_effect {
	NX_FN_UNKNOWN = 0,
	NX_FN_PURE = 'p', /* no effect, no state */
	NX_FN_READ = 'r', /* harmless, but its answer depends on the session or the clock */
	NX_FN_TABLE = 't', /* harmless table function */
	NX_FN_EMPTY = 'e', /* harmless when called without arguments, otherwise as P */
	NX_FN_WRITES = 'W',
	NX_FN_LOCKS = 'L',
	NX_FN_FILES = 'F',
	NX_FN_NETWORK = 'N',
	NX_FN_SLEEPS = 'S',
	NX_FN_SESSION = 'P',
	NX_FN_ADMIN = 'K',
	NX_FN_EXECUTES = 'X',
	NX_FN_SECRETS = 'I',
	NX_FN_COSTS = 'C',
};

/* Names, lower case, separated by spaces. "pg_advisory_*" is a prefix, "utl_*." any function of the
 * packages (schemas) that begin so. An exact name wins over a prefix. */
struct nx_fn_list {
	char effect;
	const char *names;
};

#define NX_G_AS_ANY (1u << 0) /* after AS any word is a name */
#define NX_G_FROM_FIRST (1u << 1) /* FROM t SELECT x */
#define NX_G_TABLE_ALLOW (1u << 2) /* table functions only from the list */
#define NX_G_TSQL (1u << 3) /* statements need no separator */
#define NX_G_WITH_EXPR (1u << 4) /* WITH expr AS name */
#define NX_G_PIPE (1u << 5) /* |> */
#define NX_G_PATHS (1u << 6) /* FROM 'file' */
#define NX_G_PATH_TABLES (1u << 7) /* FROM format.`path` */
#define NX_G_DBLINK (1u << 8) /* t@link */
#define NX_G_ASCII_CALLS (1u << 9) /* names of functions may be folded beyond ASCII */
#define NX_G_SPLIT_QUOTED (1u << 10) /* `a.b` are two names */
#define NX_G_DASH_NAMES (1u << 11) /* my-project.t */
#define NX_G_SELF_CTE (1u << 12) /* a CTE sees itself without RECURSIVE */
#define NX_G_ASSIGN (1u << 13) /* @x := 1 */
#define NX_G_BRACKET_FOR (1u << 14) /* [x FOR x IN l] */
#define NX_G_FLOW (1u << 15) /* ->> chains statements */
#define NX_G_PG (1u << 16) /* libpg_query can read it */
#define NX_G_SCRIPT (1u << 17) /* USING 'program' */
#define NX_G_SEQ_DOT (1u << 18) /* seq.NEXTVAL */
#define NX_G_FOUR_PARTS (1u << 19) /* server.db.schema.table goes to another server */
#define NX_G_BARE_CALLS (1u << 21) /* package.function without parentheses calls it */
#define NX_G_ONLY (1u << 22) /* FROM ONLY t */
#define NX_G_VALUES (1u << 20) /* VALUES, TABLE are statements (metadata) */

struct nx_dialect_row {
	uint64_t lex; /* NX_L_* */
	uint32_t grammar; /* NX_G_* */
	const struct nx_fn_list *functions; /* ends with effect 0 */
	const char *hints; /* words refused in hints */
	const char *tables; /* tables refused by their last name; wildcards as above; may be NULL */
	const char *tables_ok; /* exceptions from these */
	const char *show; /* words that may follow SHOW; "*" any; NULL: no SHOW */
	const char *describe; /* words that may stand between DESCRIBE and the name; NULL: none */
	const char *explain; /* words that may stand between EXPLAIN and the query; NULL: none */
	const char *typed_options; /* named arguments refused in file functions */
};

const struct nx_dialect_row *nx_dialect_row(enum nx_dialect d);

/* The effect of a function by its last name (lower case) and its qualifier ("" when there is none,
 * else the part before, lower case). */
enum nx_effect nx_policy_function(enum nx_dialect d, struct nx_str qualifier, struct nx_str name);
/* The effect of the packages (not plain schemas: only "utl_*." rows count) the qualifier names. */
enum nx_effect nx_policy_package(enum nx_dialect d, struct nx_str qualifier);
/* "waits inside the source": completes "f() ...". NULL for effects that are allowed. */
const char *nx_effect_text(enum nx_effect e);
/* Is `word` (any case) one of the space-separated lower-case words of `list`, wildcards as above? */
bool nx_policy_listed(const char *list, struct nx_str word);
/* Does a list of a source's own name this function (all lower case)? "f" in any schema, "s.f" in that
 * one. */
bool nx_policy_named(const struct nx_str *list, uint32_t n, struct nx_str full, struct nx_str name);

#endif
