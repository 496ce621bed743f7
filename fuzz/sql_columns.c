/* Advice on statements: what it reads from the tokens of an accepted statement stays inside of it. */
#include <stdint.h>
#include <stdlib.h>

#include "nexus/arena.h"
#include "sql/columns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 65536)
		return 0;
	enum nx_dialect d = (enum nx_dialect)(data[0] % NX_DIALECT_COUNT);
	struct nx_gate_policy p = { .allow_metadata = true,
				    .table_paths = true,
				    .one_opinion = true };
	struct nx_arena *a = nx_arena_new((size_t)64 << 20);
	struct nx_str sql = nx_arena_str(a, nx_strn((const char *)data + 1, size - 1));
	struct nx_verdict v;
	struct nx_error err;
	struct nx_column_use *use;
	uint32_t n = 0;
	if (nx_gate_check(d, &p, "?", sql, a, &v, &err) == NX_OK) {
		if (nx_sql_columns(d, sql, &v, a, &use, &n, &err) == NX_OK)
			for (uint32_t i = 0; i < n; i++)
				if (!use[i].name.len || use[i].position >= sql.len ||
				    (use[i].table != NX_NO_TABLE && use[i].table >= v.ntables))
					abort();
		(void)nx_sql_ordered(d, sql, a);
	}
	nx_arena_free(a);
	return 0;
}
