/* libpg_query hands out its tree as JSON. The whole tree need not be built: the words that matter are
 * keys ("InsertStmt", "intoClause"), wherever they stand, and the names in each "funcname". */
#include "sql/opinion.h"

#include <pg_query.h>
#include <pthread.h>

#include "sql/policy.h"

#define INLINE_BYTES 1024

struct scan {
	const char *p;
	const struct nx_gate_policy *policy;
	enum nx_statement_kind kind;
	unsigned statements;
	struct nx_error *err;
};

/* At the opening quote; *ret is the raw content. False: the text ends. */
static bool read_string(struct scan *s, struct nx_str *ret)
{
	const char *start = ++s->p;
	while (*s->p && *s->p != '"')
		s->p += s->p[0] == '\\' && s->p[1] ? 2 : 1;
	if (!*s->p)
		return false;
	*ret = nx_strn(start, (size_t)(s->p++ - start));
	return true;
}

static enum nx_code refuse(struct scan *s, enum nx_code code, const char *what, struct nx_str name)
{
	return nx_fail(s->err, code, "PostgreSQL's parser sees " NX_STR_FMT " %s.",
		       NX_STR_ARG(name), what);
}

/* [{"String":{"sval":"pg_catalog"}},{"String":{"sval":"lower"}}] */
static enum nx_code check_function(struct scan *s)
{
	char full[1280]; /* names of 63 bytes, each byte up to six in JSON */
	size_t n = 0, dot = 0;
	struct nx_str text;
	while (*s->p && *s->p != ']') {
		if (*s->p != '"') {
			s->p++;
			continue;
		}
		if (!read_string(s, &text))
			break;
		if (!nx_str_is(text, "sval") && !nx_str_is(text, "str"))
			continue;
		s->p += strcspn(s->p, "\"]");
		if (*s->p != '"' || !read_string(s, &text))
			break;
		if (n + text.len + 2 > sizeof(full))
			return refuse(s, NX_E_RO_FUNCTION, "as a function, whose name is too long",
				      text);
		if (n > 0) {
			full[n++] = '.';
			dot = n;
		}
		for (size_t k = 0; k < text.len; k++) {
			char c = text.ptr[k];
			full[n++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
		}
	}
	struct nx_str all = nx_strn(full, n), name = nx_strn(full + dot, n - dot);
	struct nx_str qualifier = nx_strn(full, dot ? dot - 1 : 0);
	const struct nx_gate_policy *p = s->policy;
	if (nx_policy_named(p->deny, p->ndeny, all, name))
		return refuse(s, NX_E_RO_FUNCTION, "called, which is denied on this data source",
			      all);
	if (nx_policy_named(p->allow, p->nallow, all, name))
		return NX_OK;
	enum nx_effect e = nx_policy_function(NX_D_POSTGRESQL, qualifier, name);
	if (nx_effect_text(e))
		return refuse(s, NX_E_RO_FUNCTION, "called, which may not be", all);
	return NX_OK;
}

static enum nx_code check_key(struct scan *s, struct nx_str key)
{
	if (nx_str_is(key, "funcname"))
		return check_function(s);
	if (nx_str_is(key, "stmt"))
		s->statements++;
	if (nx_str_is(key, "intoClause") || nx_str_is(key, "lockingClause"))
		return refuse(s, NX_E_RO_CLAUSE, "here", key);
	if (!nx_str_ends(key, NX_STR("Stmt")) || nx_str_is(key, "SelectStmt") ||
	    nx_str_is(key, "RawStmt"))
		return NX_OK;
	if (s->kind == NX_STMT_EXPLAIN && nx_str_is(key, "ExplainStmt"))
		return NX_OK;
	if (s->kind == NX_STMT_SHOW && nx_str_is(key, "VariableShowStmt"))
		return NX_OK;
	return refuse(s, NX_E_RO_STATEMENT, "here", key);
}

static enum nx_code scan_tree(struct scan *s)
{
	while (*s->p) {
		struct nx_str text;
		if (*s->p != '"') {
			s->p++;
			continue;
		}
		if (!read_string(s, &text))
			return nx_fail(s->err, NX_E_INTERNAL, "The second opinion cannot be read.");
		if (*s->p != ':')
			continue;
		enum nx_code rc = check_key(s, text);
		if (rc != NX_OK)
			return rc;
	}
	if (s->statements != 1)
		return nx_fail(s->err, NX_E_RO_MULTI, "PostgreSQL's parser sees %u statements.",
			       s->statements);
	return NX_OK;
}

struct job {
	const struct nx_gate_policy *policy;
	const struct nx_verdict *verdict;
	struct nx_error *err;
	enum nx_code rc;
};

static void *run(void *arg)
{
	struct job *j = arg;
	PgQueryParseResult r = pg_query_parse(j->verdict->sql.ptr);
	j->rc = NX_OK;
	if (!r.error && r.parse_tree) {
		struct scan s = { .p = r.parse_tree,
				  .policy = j->policy,
				  .kind = j->verdict->kind,
				  .err = j->err };
		j->rc = scan_tree(&s);
	}
	pg_query_free_parse_result(r);
	return NULL;
}

/* libpg_query descends 1 + 1 + 1 .. by recursion without a check of the stack: at most one level in two
 * bytes of text, 256 bytes of stack each (measured: 1000 levels fit in 256 KiB). Long statements
 * get a thread with a stack that holds twice that. */
static enum nx_code run_with_stack(struct job *j, size_t stack)
{
	pthread_attr_t attr;
	pthread_t thread;
	if (pthread_attr_init(&attr))
		return nx_fail(j->err, NX_E_MEMORY, "Out of memory.");
	int failed = pthread_attr_setstacksize(&attr, stack);
	if (!failed)
		failed = pthread_create(&thread, &attr, run, j);
	pthread_attr_destroy(&attr);
	if (failed)
		return nx_fail(j->err, NX_E_MEMORY, "Out of memory.");
	pthread_join(thread, NULL);
	return j->rc;
}

enum nx_code nx_opinion_postgresql(const struct nx_gate_policy *p, const struct nx_verdict *v,
				   struct nx_error *err)
{
	struct job j = { .policy = p, .verdict = v, .err = err };
	if (v->sql.len > INLINE_BYTES)
		return run_with_stack(&j, ((size_t)1 << 20) + v->sql.len / 2 * 512 / 4096 * 4096);
	run(&j);
	return j.rc;
}
