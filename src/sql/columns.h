/* Which columns a statement seems to use: for advice [QV-005], never for a verdict.
 *
 * Read from the tokens alone, without a grammar: a use is only reported where a name can hardly mean
 * anything else. No I/O. Threads: reentrant. */
#ifndef NX_SQL_COLUMNS_H
#define NX_SQL_COLUMNS_H

#include "nexus/arena.h"
#include "sql/gate.h"

struct nx_column_use {
	struct nx_str name;
	uint32_t position; /* byte offset in the SQL */
	uint32_t table;    /* index of the verdict's table that qualifies it, by name or alias;
			    * NX_NO_TABLE: not qualified */
};
#define NX_NO_TABLE UINT32_MAX

/* The columns used by a statement that passed the gate, each once for each table. Uses that are not
 * qualified come only where the statement is one query block without WITH. */
NX_NODISCARD enum nx_code nx_sql_columns(enum nx_dialect d, struct nx_str sql,
					 const struct nx_verdict *v, struct nx_arena *a,
					 struct nx_column_use **ret, uint32_t *ret_n,
					 struct nx_error *err);

/* Does the statement say the order of its rows: an ORDER BY outside of all parentheses? False also when
 * it cannot be told. */
bool nx_sql_ordered(enum nx_dialect d, struct nx_str sql, struct nx_arena *a);

#endif
