/* A second opinion for PostgreSQL: the server's own parser (libpg_query). What it can read must be one
 * SELECT without INTO and locks whose functions the lists do not refuse. What it cannot read (products
 * of the family differ) is left to the first opinion.
 * Threads: any; libpg_query keeps its state per thread. */
#ifndef NX_SQL_OPINION_H
#define NX_SQL_OPINION_H

#include "sql/gate.h"

/* `v` is a verdict for NX_D_POSTGRESQL; its text is what is judged. */
NX_NODISCARD enum nx_code nx_opinion_postgresql(const struct nx_gate_policy *p,
						const struct nx_verdict *v, struct nx_error *err);

#endif
