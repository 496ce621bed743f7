/* Called functions: the dialect's lists, the source's own, and file functions. */
#include "sql/walk.h"

struct call {
	char lower[192]; /* qualifier.name, lower case, unquoted */
	struct nx_str qualifier, name, full;
	bool ascii, cased; /* only ASCII; quoted with capitals */
};

static bool append(struct call *c, size_t *n, struct nx_str part, bool quoted)
{
	if (part.len + 2 > sizeof(c->lower) - *n)
		return false;
	if (*n)
		c->lower[(*n)++] = '.';
	for (size_t k = 0; k < part.len; k++) {
		unsigned char b = (unsigned char)part.ptr[k];
		if (b >= 0x80)
			c->ascii = false;
		if (b >= 'A' && b <= 'Z') {
			b |= 0x20;
			c->cased |= quoted;
		}
		c->lower[(*n)++] = (char)b;
	}
	return true;
}

static bool read_call(struct nx_walk *w, uint32_t first, uint32_t last, struct call *c)
{
	size_t n = 0;
	c->ascii = true;
	c->cased = false;
	for (uint32_t i = first; i <= last; i++) {
		if (w->t[i].kind == NX_T_OP)
			continue;
		struct nx_str part = nx_walk_unquote(w, i);
		if (!part.ptr || !append(c, &n, part, w->t[i].kind == NX_T_QUOTED))
			return false;
	}
	c->full = nx_strn(c->lower, n);
	size_t dot = n;
	while (dot > 0 && c->lower[dot - 1] != '.')
		dot--;
	c->name = nx_strn(c->lower + dot, n - dot);
	c->qualifier = nx_strn(c->lower, dot ? dot - 1 : 0);
	return true;
}

static bool in_list(const struct nx_str *list, uint32_t n, const struct call *c)
{
	return nx_policy_named(list, n, c->full, c->name);
}

static bool is_known(const struct nx_gate_policy *p, struct nx_str name)
{
	uint32_t low = 0, high = p->nknown;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int d = nx_str_cmp(p->known[mid], name);
		if (d == 0)
			return true;
		if (d < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

/* Functions that read files: allowed with table_paths, when the first argument is a plain path or a
 * list of them and no named argument makes more of it. */
static bool is_file_function(const struct nx_walk *w, const struct call *c)
{
	return (w->row->grammar & NX_G_PATHS) && c->qualifier.len == 0 &&
	       nx_policy_listed("read_parquet parquet_scan read_csv read_csv_auto read_json "
				"read_json_auto read_ndjson read_ndjson_auto",
				c->name);
}

static enum nx_code check_file_call(struct nx_walk *w, uint32_t open)
{
	uint32_t i = open + 1, depth = 0;
	bool list = nx_walk_is_op(w, i, '[');
	i += list;
	for (;; i += 2) {
		if (i >= w->n || w->t[i].kind != NX_T_STRING)
			return nx_walk_fail(w, open, NX_E_RO_TABLE_FUNCTION,
					    "The path must be a plain '..' string.");
		bool more = list && nx_walk_is_op(w, i + 1, ',');
		if (!more && !nx_walk_is_op(w, i + 1, list ? ']' : ',') &&
		    !(!list && nx_walk_is_op(w, i + 1, ')')))
			return nx_walk_fail(w, i, NX_E_RO_TABLE_FUNCTION,
					    "The path must be a plain '..' string.");
		enum nx_code rc = nx_walk_path(w, i);
		if (rc != NX_OK)
			return rc;
		if (!more)
			break;
	}
	if (list && !nx_walk_is_op(w, i + 2, ',') && !nx_walk_is_op(w, i + 2, ')'))
		return nx_walk_fail(w, i + 1, NX_E_RO_TABLE_FUNCTION,
				    "The list of paths must stand alone.");
	for (; i < w->n; i++) {
		if (w->t[i].kind == NX_T_OP && strchr("([{", w->t[i].op) && w->t[i].op)
			depth++;
		else if (w->t[i].kind == NX_T_OP && strchr(")]}", w->t[i].op) && w->t[i].op &&
			 depth-- == 0)
			break;
		if (nx_walk_is_name(w, i)) {
			struct nx_str word = nx_walk_unquote(w, i);
			if (!word.ptr || nx_policy_listed(w->row->typed_options, word))
				return nx_walk_fail(w, i, NX_E_RO_TABLE_FUNCTION,
						    "This option may not be given here.");
		}
	}
	return NX_OK;
}

static bool is_call_syntax(const struct nx_walk *w, uint32_t first)
{
	/* AS name(..) is an alias or a type, :: name(..) a type, ) name(..) an alias */
	if (first == 0)
		return false;
	if (nx_walk_is_word(w, first - 1, NX_W_AS))
		return true;
	return nx_walk_is_op(w, first - 1, ')') || nx_walk_is_op(w, first - 1, NX_OP_CAST);
}

enum nx_code nx_walk_call(struct nx_walk *w, uint32_t first, uint32_t last, bool table)
{
	struct call c;
	table = table && (w->row->grammar & NX_G_TABLE_ALLOW);
	enum nx_code bad = table ? NX_E_RO_TABLE_FUNCTION : NX_E_RO_FUNCTION;
	if (!read_call(w, first, last, &c))
		return nx_walk_fail(w, first, bad, "The name of this function is too long.");
	/* (+) marks an outer join */
	if (nx_walk_is_op(w, last + 2, '+') && nx_walk_is_op(w, last + 3, ')'))
		return NX_OK;
	const struct nx_gate_policy *p = w->policy;
	if (in_list(p->deny, p->ndeny, &c))
		return nx_walk_fail(w, first, bad, NX_STR_FMT "() is denied on this data source.",
				    NX_STR_ARG(c.full));
	if (in_list(p->allow, p->nallow, &c)) {
		w->pure = false;
		return NX_OK;
	}
	enum nx_effect e = nx_policy_function(w->dialect, c.qualifier, c.name);
	if (e == NX_FN_EMPTY)
		e = nx_walk_is_op(w, last + 2, ')') ? NX_FN_READ : NX_FN_EMPTY;
	if (e == NX_FN_FILES && table && is_file_function(w, &c)) {
		w->pure = false;
		return check_file_call(w, last + 1);
	}
	const char *why = nx_effect_text(e);
	if (why)
		return nx_walk_fail(w, first, bad, NX_STR_FMT "() %s; it may not be called here.",
				    NX_STR_ARG(c.full), why);
	if (!c.ascii && (w->row->grammar & NX_G_ASCII_CALLS))
		return nx_walk_fail(w, first, bad,
				    "Functions may be called by ASCII names only, unless the data "
				    "source allows this one.");
	if (table && e != NX_FN_TABLE)
		return nx_walk_fail(w, first, bad,
				    NX_STR_FMT "() is not among the table functions known to be "
					       "harmless.",
				    NX_STR_ARG(c.full));
	bool builtin =
		e != NX_FN_UNKNOWN && !c.cased &&
		(c.qualifier.len == 0 || nx_str_is(c.qualifier, "pg_catalog") ||
		 nx_policy_function(w->dialect, (struct nx_str){ "", 0 }, c.full) != NX_FN_UNKNOWN);
	if (!builtin && is_call_syntax(w, first))
		return NX_OK;
	if (p->functions == NX_FUNCTIONS_BUILTIN && !builtin &&
	    !(!c.cased && c.ascii && is_known(p, c.name)))
		return nx_walk_fail(w, first, bad,
				    NX_STR_FMT "() is not a known built-in function; an "
					       "administrator can allow it for this data source.",
				    NX_STR_ARG(c.full));
	if (!builtin || (e != NX_FN_PURE && e != NX_FN_TABLE))
		w->pure = false;
	return NX_OK;
}

enum nx_code nx_walk_bare(struct nx_walk *w, uint32_t first, uint32_t last)
{
	struct call c;
	if (first == last || !(w->row->grammar & NX_G_BARE_CALLS))
		return NX_OK;
	if (!read_call(w, first, last, &c))
		return nx_walk_fail(w, first, NX_E_RO_FUNCTION, "This name is too long.");
	const char *why = nx_effect_text(nx_policy_package(w->dialect, c.qualifier));
	enum nx_effect e = nx_policy_function(w->dialect, c.qualifier, c.name);
	if (!why || e == NX_FN_PURE || e == NX_FN_READ ||
	    in_list(w->policy->allow, w->policy->nallow, &c))
		return NX_OK;
	return nx_walk_fail(w, first, NX_E_RO_FUNCTION,
			    NX_STR_FMT " %s; it may not be called here.", NX_STR_ARG(c.full), why);
}
