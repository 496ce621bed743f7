/* What the server says went wrong, as one of our codes and a text a client may see. */
#include <stdlib.h>

#include "pg_int.h"

bool pg_fault_parse(const char *p, size_t len, struct pg_fault *ret)
{
	struct pg_cut k = { p, p + len, false };
	struct pg_fault f = { .sqlstate = "XX000", .message = NX_STR_INIT("no message") };
	while (k.p < k.end && *k.p != '\0') {
		char field = *k.p++;
		struct nx_str s = pg_cut_str(&k);
		if (k.bad)
			return false;
		switch (field) {
		case 'C':
			if (s.len == 5)
				memcpy(f.sqlstate, s.ptr, 5);
			break;
		case 'M':
			f.message = s;
			break;
		case 'D':
			f.detail = s;
			break;
		case 'H':
			f.hint = s;
			break;
		case 'W':
			f.context = s;
			break;
		case 'R':
			f.routine = s;
			break;
		case 'V':
			f.fatal = nx_str_is(s, "FATAL") || nx_str_is(s, "PANIC");
			break;
		case 'P': {
			uint64_t v;
			if (nx_str_to_u64(s, &v) && v <= INT32_MAX)
				f.position = (uint32_t)v;
			break;
		}
		default:
			break;
		}
	}
	*ret = f;
	return true;
}

/* Longest match first: whole states, then classes (two characters). */
static const struct {
	const char *state;
	enum nx_code code;
} states[] = {
	{ "0A000", NX_E_SQL_ERROR },
	{ "22023", NX_E_DATA_ERROR },
	{ "25006", NX_E_RO_SERVER },
	{ "25P02", NX_E_INTERNAL },
	{ "25P03", NX_E_SOURCE_LOST }, /* idle in transaction for too long */
	{ "26000", NX_E_SOURCE_FAILED },
	{ "3D000", NX_E_SOURCE_DOWN },
	{ "3F000", NX_E_UNDEFINED_OBJECT },
	{ "42501", NX_E_SOURCE_PERMISSION },
	{ "42601", NX_E_SQL_PARSE },
	{ "42602", NX_E_SQL_PARSE },
	{ "42622", NX_E_SQL_PARSE },
	{ "42703", NX_E_UNDEFINED_OBJECT },
	{ "42704", NX_E_UNDEFINED_OBJECT },
	{ "42883", NX_E_UNDEFINED_OBJECT },
	{ "42P01", NX_E_UNDEFINED_OBJECT },
	{ "42P02", NX_E_PARAMETER_COUNT }, /* there is no parameter $n */
	{ "42P18", NX_E_PARAMETER_VALUE }, /* type of a parameter cannot be inferred */
	{ "54000", NX_E_TOO_COMPLEX },
	{ "54001", NX_E_TOO_COMPLEX },
	{ "54011", NX_E_TOO_COMPLEX },
	{ "54023", NX_E_TOO_COMPLEX },
	{ "55P03", NX_E_SOURCE_BUSY }, /* lock not available */
	{ "57014", NX_E_QUERY_CANCELED },
	{ "57P01", NX_E_SOURCE_LOST },
	{ "57P02", NX_E_SOURCE_LOST },
	{ "57P03", NX_E_SOURCE_DOWN },
	{ "57P04", NX_E_SOURCE_LOST },
	{ "57P05", NX_E_SOURCE_LOST },
	{ "08", NX_E_SOURCE_LOST },
	{ "08P01", NX_E_PROTOCOL },
	{ "0L", NX_E_SOURCE_PERMISSION },
	{ "20", NX_E_DATA_ERROR },
	{ "21", NX_E_DATA_ERROR },
	{ "22", NX_E_DATA_ERROR },
	{ "23", NX_E_DATA_ERROR },
	{ "25", NX_E_SQL_ERROR },
	{ "28", NX_E_SOURCE_AUTH },
	{ "2F", NX_E_DATA_ERROR },
	{ "38", NX_E_DATA_ERROR },
	{ "39", NX_E_DATA_ERROR },
	{ "40", NX_E_CONFLICT },
	{ "42", NX_E_SQL_ERROR },
	{ "44", NX_E_DATA_ERROR },
	{ "53", NX_E_SOURCE_BUSY },
	{ "54", NX_E_TOO_COMPLEX },
	{ "55", NX_E_SQL_ERROR },
	{ "57", NX_E_SOURCE_FAILED },
	{ "58", NX_E_SOURCE_FAILED },
	{ "72", NX_E_CONFLICT },
	{ "F0", NX_E_SOURCE_FAILED },
	{ "HV", NX_E_SOURCE_FAILED },
	{ "P0", NX_E_DATA_ERROR }, /* raised by a function */
	{ "XX", NX_E_SOURCE_FAILED },
};

enum nx_code pg_sqlstate_code(const char *sqlstate)
{
	for (size_t i = 0; i < NX_COUNTOF(states); i++)
		if (strcmp(states[i].state, sqlstate) == 0)
			return states[i].code;
	for (size_t i = 0; i < NX_COUNTOF(states); i++)
		if (states[i].state[2] == '\0' && memcmp(states[i].state, sqlstate, 2) == 0)
			return states[i].code;
	return NX_E_SQL_ERROR;
}

/* Byte offset of the n-th character, 0-based. */
static size_t char_offset(struct nx_str s, uint32_t n)
{
	size_t i = 0;
	while (i < s.len && n > 0) {
		i++;
		while (i < s.len && ((unsigned char)s.ptr[i] & 0xc0) == 0x80)
			i++;
		n--;
	}
	return i;
}

static bool is_word(char ch)
{
	return (unsigned char)ch >= 0x80 || ch == '_' || ch == '$' || (ch >= '0' && ch <= '9') ||
	       (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
}

static size_t token_len(struct nx_str sql, size_t at)
{
	size_t end = at;
	if (end < sql.len && (sql.ptr[end] == '"' || sql.ptr[end] == '\'')) {
		for (end++; end < sql.len && sql.ptr[end] != sql.ptr[at]; end++)
			;
		return end < sql.len ? end + 1 - at : end - at;
	}
	while (end < sql.len && is_word(sql.ptr[end]))
		end++;
	return end == at && at < sql.len ? 1 : end - at;
}

/* "invalid input syntax for type integer: "abc"" quotes the value, which may be a parameter's. */
static size_t without_value(struct nx_str m)
{
	const char *p = m.len ? memmem(m.ptr, m.len, ": \"", 3) : NULL;
	return p ? (size_t)(p - m.ptr) : m.len;
}

/* "unnamed portal parameter $2 = '...'": the number, 0 when it is not said. */
static unsigned parameter_number(struct nx_str context)
{
	const char *p = context.len ? memmem(context.ptr, context.len, "parameter $", 11) : NULL;
	unsigned n = 0;
	for (p = p ? p + 11 : NULL; p && p < context.ptr + context.len && *p >= '0' && *p <= '9';
	     p++)
		n = n < 100000 ? n * 10 + (unsigned)(*p - '0') : n;
	return n;
}

enum nx_code pg_fail_fault(const struct pg_fault *f, struct nx_str sql, uint32_t nparams,
			   bool binding, struct nx_error *err)
{
	enum nx_code code = pg_sqlstate_code(f->sqlstate);
	struct nx_str m = f->message;
	/* statement_timeout shares its SQLSTATE with cancel requests. */
	if (code == NX_E_QUERY_CANCELED && memmem(m.ptr, m.len, "statement timeout", 17))
		code = NX_E_QUERY_TIMEOUT;
	bool values = nparams > 0 && code == NX_E_DATA_ERROR;
	unsigned number = values && binding ? parameter_number(f->context) : 0;
	if (values)
		m.len = without_value(m);
	if (number) {
		code = NX_E_PARAMETER_VALUE;
		nx_fail(err, code, "Parameter %u: " NX_STR_FMT, number, NX_STR_ARG(m));
	} else if (code == NX_E_SOURCE_AUTH) {
		nx_fail(err, code, "The source refused the gateway's login.");
	} else {
		nx_fail(err, code, NX_STR_FMT, NX_STR_ARG(m));
	}
	nx_error_native(err, 0, f->sqlstate);
	if (nparams > 0) /* the rest may quote values */
		nx_error_detail(err, "in " NX_STR_FMT, NX_STR_ARG(f->routine));
	else
		nx_error_detail(err,
				"in " NX_STR_FMT "; detail: " NX_STR_FMT "; hint: " NX_STR_FMT
				"; context: " NX_STR_FMT,
				NX_STR_ARG(f->routine), NX_STR_ARG(f->detail), NX_STR_ARG(f->hint),
				NX_STR_ARG(f->context));
	if (f->position && sql.len) {
		size_t at = char_offset(sql, f->position - 1);
		nx_error_at(err, at, sql.ptr + at, token_len(sql, at));
	}
	return code;
}

/* A plan whose columns changed under us, or a statement somebody deallocated. */
bool pg_fault_stale(const struct pg_fault *f)
{
	if (strcmp(f->sqlstate, "26000") == 0)
		return true;
	return strcmp(f->sqlstate, "0A000") == 0 && nx_str_is(f->routine, "RevalidateCachedQuery");
}

/* libpq gives no SQLSTATE for a failed connect, but writes it into its text when asked for verbose
 * errors: "FATAL:  28P01: password ...". The last one counts (several addresses may be tried). */
static bool find_sqlstate(const char *text, char ret[6])
{
	bool found = false;
	for (const char *p = text; (p = strstr(p, ":  ")); p++) {
		const char *s = p + 3;
		size_t n = 0;
		while (n < 5 && ((s[n] >= '0' && s[n] <= '9') || (s[n] >= 'A' && s[n] <= 'Z')))
			n++;
		if (n == 5 && s[5] == ':') {
			memcpy(ret, s, 5);
			ret[5] = '\0';
			found = true;
		}
	}
	return found;
}

enum nx_code pg_fail_connect(PGconn *pg, struct nx_error *err)
{
	const char *text = PQerrorMessage(pg);
	char state[6] = "";
	enum nx_code code = NX_E_SOURCE_DOWN;
	if (find_sqlstate(text, state)) {
		code = pg_sqlstate_code(state);
		if (code == NX_E_SQL_ERROR || code == NX_E_SOURCE_LOST)
			code = NX_E_SOURCE_DOWN;
	} else if (PQconnectionNeedsPassword(pg)) {
		code = NX_E_SOURCE_AUTH;
	}
	const char *message = "The source cannot be reached.";
	if (code == NX_E_SOURCE_AUTH)
		message = "The source refused the gateway's login.";
	else if (code == NX_E_SOURCE_BUSY)
		message = "The source has no connection left.";
	else if (strcmp(state, "3D000") == 0)
		message = "The source does not have the configured database.";
	else if (strcmp(state, "57P03") == 0)
		message = "The source is starting or stopping.";
	else if (state[0])
		message = "The source refused the connection's settings.";
	else if (strstr(text, "SSL") || strstr(text, "certificate"))
		message = "No TLS connection as configured could be made with the source.";
	nx_fail(err, code, "%s", message);
	if (state[0])
		nx_error_native(err, 0, state);
	nx_error_detail(err, "%s", text);
	return code;
}
