/* Judges SQL from the command line: gate_try <dialect> [options] [sql]; without sql, one line of
 * standard input after the other. Options: m metadata, p paths, b built-in functions only, 1 without
 * the second opinion. Prints the verdict as it would be given. */
#include <stdio.h>
#include <stdlib.h>

#include "sql/gate.h"

static int judge(enum nx_dialect d, const struct nx_gate_policy *p, const char *ph,
		 struct nx_str sql)
{
	struct nx_arena *a = nx_arena_new(0);
	struct nx_verdict v;
	struct nx_error err;
	enum nx_code rc = nx_gate_check(d, p, ph, sql, a, &v, &err);
	if (rc != NX_OK) {
		printf("%s at %d [%s]: %s\n", nx_code_name(rc), err.position, err.token,
		       err.message);
	} else {
		printf("ok %s params=%u tables=", v.pure ? "pure" : "-", v.nparams);
		for (uint32_t i = 0; i < v.ntables; i++)
			printf("%s%.*s|%.*s|%.*s", i ? "," : "", NX_STR_ARG(v.tables[i].parts[0]),
			       NX_STR_ARG(v.tables[i].parts[1]), NX_STR_ARG(v.tables[i].parts[2]));
		printf(" sql=%s\n", v.sql.ptr);
	}
	nx_arena_free(a);
	return rc != NX_OK;
}

int main(int argc, char **argv)
{
	struct nx_gate_policy p = { 0 };
	if (argc < 2) {
		fprintf(stderr, "usage: gate_try dialect [mpb1-] [sql]\n");
		return 2;
	}
	unsigned d = 0;
	while (d < NX_DIALECT_COUNT && strcmp(nx_dialect_name((enum nx_dialect)d), argv[1]) != 0)
		d++;
	if (d == NX_DIALECT_COUNT)
		return 2;
	const char *opt = argc > 2 ? argv[2] : "";
	p.allow_metadata = strchr(opt, 'm') != NULL;
	p.table_paths = strchr(opt, 'p') != NULL;
	p.one_opinion = strchr(opt, '1') != NULL;
	p.functions = strchr(opt, 'b') ? NX_FUNCTIONS_BUILTIN : NX_FUNCTIONS_DENY_LIST;
	const char *ph = d == NX_D_POSTGRESQL ? "$%u" : "?";
	if (argc > 3)
		return judge((enum nx_dialect)d, &p, ph, nx_str(argv[3]));
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int bad = 0;
	while ((n = getline(&line, &cap, stdin)) >= 0) {
		while (n > 0 && (line[n - 1] == '\n'))
			n--;
		printf("%.*s\n    ", (int)n, line);
		bad += judge((enum nx_dialect)d, &p, ph, nx_strn(line, (size_t)n));
	}
	free(line);
	return bad > 0;
}
