#include "sql/opinion.h"

enum nx_code nx_opinion_postgresql(const struct nx_gate_policy *p, struct nx_str sql,
				   struct nx_error *err)
{
	(void)p;
	(void)sql;
	return nx_fail(err, NX_E_NOT_IMPLEMENTED, "The second opinion is not built.");
}
