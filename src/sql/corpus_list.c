/* Lists what the gate would send for each live accept line of a corpus, for tests/corpus_live.py:
 * line number, number of parameters, pure or not, and the SQL in hex, separated by tabs. */
#include <stdio.h>

#include "sql/corpus.h"

int main(int argc, char **argv)
{
	unsigned d = 0;
	if (argc != 3)
		return 2;
	while (d < NX_DIALECT_COUNT && strcmp(nx_dialect_name((enum nx_dialect)d), argv[1]) != 0)
		d++;
	struct nx_corpus *c = nx_corpus_open(argv[2], false);
	if (d == NX_DIALECT_COUNT || !c)
		return 2;
	struct nx_corpus_case k;
	while (nx_corpus_next(c, &k)) {
		struct nx_arena *a = nx_arena_new(0);
		struct nx_verdict v;
		struct nx_error err;
		const char *ph = d == NX_D_POSTGRESQL ? "$%u" : "?";
		if (k.live &&
		    nx_gate_check((enum nx_dialect)d, &k.policy, ph, k.sql, a, &v, &err) == NX_OK) {
			printf("%u\t%u\t%d\t", k.line, v.nparams, v.pure);
			for (size_t i = 0; i < v.sql.len; i++)
				printf("%02x", (unsigned char)v.sql.ptr[i]);
			printf("\n");
		}
		nx_arena_free(a);
	}
	nx_corpus_free(c);
	return 0;
}
