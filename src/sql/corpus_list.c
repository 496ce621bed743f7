/* Lists what the gate would send for each live accept line of a corpus, for tests/corpus_live.py:
 * line number, number of parameters, pure or not, and the SQL in hex, separated by tabs. The corpus
 * "-" is standard input, one statement in hex a line; only what passes is listed. */
#include <stdio.h>
#include <stdlib.h>

#include "sql/corpus.h"

static void list(unsigned d, const struct nx_gate_policy *p, unsigned line, struct nx_str sql)
{
	struct nx_arena *a = nx_arena_new(0);
	struct nx_verdict v;
	struct nx_error err;
	const char *ph = d == NX_D_POSTGRESQL ? "$%u" : "?";
	if (nx_gate_check((enum nx_dialect)d, p, ph, sql, a, &v, &err) == NX_OK) {
		printf("%u\t%u\t%d\t", line, v.nparams, v.pure);
		for (size_t i = 0; i < v.sql.len; i++)
			printf("%02x", (unsigned char)v.sql.ptr[i]);
		printf("\n");
	}
	nx_arena_free(a);
}

static int list_hex(unsigned d)
{
	static const struct nx_gate_policy plain;
	char *text = NULL;
	size_t cap = 0;
	ssize_t n;
	for (unsigned line = 1; (n = getline(&text, &cap, stdin)) >= 0; line++) {
		size_t len = 0;
		for (ssize_t i = 0; i + 1 < n; i += 2) {
			char byte[3] = { text[i], text[i + 1], '\0' };
			text[len++] = (char)strtol(byte, NULL, 16);
		}
		list(d, &plain, line, nx_strn(text, len));
	}
	free(text);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned d = 0;
	if (argc != 3)
		return 2;
	while (d < NX_DIALECT_COUNT && strcmp(nx_dialect_name((enum nx_dialect)d), argv[1]) != 0)
		d++;
	if (strcmp(argv[2], "-") == 0)
		return d == NX_DIALECT_COUNT ? 2 : list_hex(d);
	struct nx_corpus *c = nx_corpus_open(argv[2], false);
	if (d == NX_DIALECT_COUNT || !c)
		return 2;
	struct nx_corpus_case k;
	while (nx_corpus_next(c, &k))
		if (k.live)
			list(d, &k.policy, k.line, k.sql);
	nx_corpus_free(c);
	return 0;
}
