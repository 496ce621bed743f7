/* A second opinion for PostgreSQL: the server's own parser (libpg_query). What it can read must be one
 * SELECT without INTO and locks whose functions pass the same lists. What it cannot read (dialects
 * of the family differ) is left to the first opinion. */
#ifndef NX_SQL_OPINION_H
#define NX_SQL_OPINION_H

#include "sql/gate.h"

NX_NODISCARD enum nx_code nx_opinion_postgresql(const struct nx_gate_policy *p, struct nx_str sql,
						struct nx_error *err);

#endif
