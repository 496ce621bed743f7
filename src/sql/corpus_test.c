/* Every line of the corpora, on the dialect of its file; the common files on every dialect. */
#include <stdio.h>

#include "sql/corpus.h"
#include "sql/policy.h"
#include "test.h"

static const char *placeholder(enum nx_dialect d)
{
	return d == NX_D_POSTGRESQL || d == NX_D_REDSHIFT ? "$%u" : d == NX_D_ORACLE ? ":%u" : "?";
}

static unsigned run(enum nx_dialect d, const char *file, bool refuse, unsigned *failed)
{
	char path[512];
	(void)snprintf(path, sizeof(path), "%s/%s.%s", NX_CORPUS_DIR, file,
		       refuse ? "refuse" : "accept");
	struct nx_corpus *c = nx_corpus_open(path, refuse);
	if (!c)
		nx_test_fail(__FILE__, __LINE__, "cannot read %s", path);
	struct nx_corpus_case k;
	unsigned n = 0;
	while (nx_corpus_next(c, &k)) {
		struct nx_arena *a = nx_arena_new(0);
		struct nx_verdict v;
		struct nx_error err;
		enum nx_code rc = nx_gate_check(d, &k.policy, placeholder(d), k.sql, a, &v, &err);
		bool ok = refuse ? strcmp(nx_code_name(rc), k.code) == 0 : rc == NX_OK;
		if (!ok) {
			printf("# %s.%s:%u as %s: %.*s\n#   %s%s%s\n", file,
			       refuse ? "refuse" : "accept", k.line, nx_dialect_name(d),
			       (int)(k.sql.len > 160 ? 160 : k.sql.len), k.sql.ptr,
			       nx_code_name(rc), rc == NX_OK ? "" : ": ",
			       rc == NX_OK ? "" : err.message);
			++*failed;
		}
		nx_arena_free(a);
		n++;
	}
	nx_corpus_free(c);
	return n;
}

static void dialect(enum nx_dialect d)
{
	unsigned failed = 0, n = 0;
	if (!nx_dialect_row(d)->functions->effect)
		NX_SKIP("this dialect has no row yet");
	n += run(d, "common", false, &failed);
	n += run(d, "common", true, &failed);
	n += run(d, nx_dialect_name(d), false, &failed);
	n += run(d, nx_dialect_name(d), true, &failed);
	printf("# %s: %u lines, %u wrong\n", nx_dialect_name(d), n, failed);
	NX_EQ_I(0, failed);
}

#define NX_DIALECT(NAME, text)        \
	NX_TEST(corpus_##NAME)        \
	{                             \
		dialect(NX_D_##NAME); \
	}
#include "nexus/dialects.def"
