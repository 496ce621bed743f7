/* Any bytes, every dialect: the tokens give back the input, and the gate's answer is in order. The
 * first byte chooses the dialect, the second the policy. */
#include <stdlib.h>

#include "sql/gate.h"
#include "sql/lex.h"
#include "sql/policy.h"
#include "sql_mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void tokens_tile(enum nx_dialect d, struct nx_str sql)
{
	struct nx_lexer l;
	struct nx_error err;
	struct nx_token t;
	uint32_t end = 0;
	nx_lex_init(&l, nx_dialect_row(d)->lex, sql);
	for (;;) {
		enum nx_code rc = nx_lex_next(&l, &t, &err);
		if (rc != NX_OK) {
			check(err.position >= 0 && (size_t)err.position <= sql.len);
			check(err.message[0] != '\0');
			return;
		}
		check(t.off == end);
		if (t.kind == NX_T_END)
			break;
		check(t.len > 0);
		end += t.len;
	}
	check(end == sql.len);
}

static void gate_answers(enum nx_dialect d, unsigned bits, struct nx_str sql)
{
	struct nx_gate_policy p = { .allow_metadata = bits & 1,
				    .table_paths = bits & 2,
				    .functions = bits & 4 ? NX_FUNCTIONS_BUILTIN
							  : NX_FUNCTIONS_DENY_LIST,
				    .one_opinion = true };
	struct nx_arena *a = nx_arena_new(0);
	struct nx_verdict v;
	struct nx_error err;
	enum nx_code rc = nx_gate_check(d, &p, bits & 8 ? "$%u" : "?", sql, a, &v, &err);
	if (rc == NX_OK) {
		check(v.sql.len > 0 && v.sql.ptr[v.sql.len] == '\0');
		check(strlen(v.sql.ptr) == v.sql.len);
		for (uint32_t i = 0; i < v.ntables; i++) {
			check(v.tables[i].position < sql.len);
			check(v.tables[i].parts[2].ptr != NULL);
		}
		/* what is sent is judged the same, when the placeholder is the dialect's own */
		if (!(bits & 8)) {
			struct nx_verdict again;
			check(nx_gate_check(d, &p, "?", v.sql, a, &again, &err) == NX_OK);
			check(again.kind == v.kind && again.nparams == v.nparams);
			check(again.pure == v.pure && again.ntables == v.ntables);
		}
	} else {
		check(err.code == rc && err.message[0] != '\0');
		check(err.position >= -1 && (err.position < 0 || (size_t)err.position <= sql.len));
	}
	nx_arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	enum nx_dialect d = (enum nx_dialect)(data[0] % NX_DIALECT_COUNT);
	struct nx_str sql = nx_strn((const char *)data + 2, size - 2);
	if (nx_utf8_check(sql) == sql.len)
		tokens_tile(d, sql);
	gate_answers(d, data[1], sql);
	return 0;
}
