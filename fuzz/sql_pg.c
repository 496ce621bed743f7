/* PostgreSQL: what the gate alone lets pass, PostgreSQL's own parser must not see as two statements,
 * as another kind, with INTO or locks, or with a refused function. */
#include <stdio.h>
#include <stdlib.h>

#include "sql/gate.h"
#include "sql/opinion.h"
#include "sql_mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nx_gate_policy p = { .one_opinion = true,
				    .allow_metadata = size > 0 && data[0] & 1,
				    .max_bytes = 2000 };
	struct nx_arena *a = nx_arena_new(0);
	struct nx_verdict v;
	struct nx_error err;
	if (size > 0 &&
	    nx_gate_check(NX_D_POSTGRESQL, &p, "$%u", nx_strn((const char *)data + 1, size - 1), a,
			  &v, &err) == NX_OK &&
	    nx_opinion_postgresql(&p, &v, &err) != NX_OK) {
		fprintf(stderr, "%s\n%s\n", v.sql.ptr, err.message);
		abort();
	}
	nx_arena_free(a);
	return 0;
}
