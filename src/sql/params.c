#include "sql/params.h"

static size_t put_number(char *p, uint32_t v)
{
	char digits[10];
	size_t n = 0;
	do
		digits[n++] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	for (size_t i = 0; i < n; i++)
		p[i] = digits[n - 1 - i];
	return n;
}

static enum nx_code fail_at(struct nx_error *err, const struct nx_token *t, struct nx_str sql,
			    const char *msg)
{
	nx_fail(err, NX_E_PARAMETER_COUNT, "%s", msg);
	nx_error_at(err, t->off, sql.ptr + t->off, t->len);
	return NX_E_PARAMETER_COUNT;
}

/* $1 $2 .. as the user wrote them: their number is the greatest. */
static enum nx_code count_numbered(struct nx_str sql, const struct nx_token *t, uint32_t *count,
				   struct nx_error *err)
{
	uint32_t v = 0;
	for (uint32_t k = 1; k < t->len; k++) {
		v = v * 10 + (uint32_t)(sql.ptr[t->off + k] - '0');
		if (v > 65535)
			return fail_at(err, t, sql, "The number of this parameter is too high.");
	}
	if (v == 0)
		return fail_at(err, t, sql, "Parameters are numbered from $1.");
	if (v > *count)
		*count = v;
	return NX_OK;
}

enum nx_code nx_params_rewrite(struct nx_str sql, const struct nx_token *t, uint32_t n,
			       const char *placeholder, uint64_t lex, struct nx_arena *a,
			       struct nx_str *ret, uint32_t *nparams, struct nx_error *err)
{
	const char *number = strstr(placeholder, "%u");
	size_t prefix = number ? (size_t)(number - placeholder) : strlen(placeholder);
	bool plain = !number && strcmp(placeholder, "?") == 0;
	uint32_t count = 0, numbered = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (t[i].kind == NX_T_PARAM) {
			if (++count > 65535)
				return fail_at(err, &t[i], sql, "More than 65535 parameters.");
		} else if (t[i].kind == NX_T_NUMBERED && (lex & NX_L_DOLLAR)) {
			enum nx_code rc = count_numbered(sql, &t[i], &numbered, err);
			if (rc != NX_OK)
				return rc;
		} else if (t[i].kind == NX_T_OP && t[i].op == NX_OP_QQ && plain) {
			return fail_at(err, &t[i], sql,
				       "?? stands for an operator ?, which this source has not.");
		}
		if (count && numbered)
			return fail_at(err, &t[i], sql, "Write all parameters as ? or all as $1.");
	}
	size_t end = sql.len;
	size_t each = prefix + (number ? 10 + strlen(number + 2) : 0);
	char *out = nx_arena_alloc(a, end + (size_t)count * each + 1);
	if (!out)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	size_t from = 0, len = 0;
	uint32_t seen = 0;
	for (uint32_t i = 0; i < n; i++) {
		bool param = t[i].kind == NX_T_PARAM;
		if (!param && !(t[i].kind == NX_T_OP && t[i].op == NX_OP_QQ))
			continue;
		memcpy(out + len, sql.ptr + from, t[i].off - from);
		len += t[i].off - from;
		from = (size_t)t[i].off + t[i].len;
		if (!param) {
			out[len++] = '?';
			continue;
		}
		memcpy(out + len, placeholder, prefix);
		len += prefix;
		if (number) {
			len += put_number(out + len, ++seen);
			size_t rest = strlen(number + 2);
			memcpy(out + len, number + 2, rest);
			len += rest;
		}
	}
	memcpy(out + len, sql.ptr + from, end - from);
	len += end - from;
	out[len] = '\0';
	*ret = nx_strn(out, len);
	*nparams = count ? count : numbered;
	return NX_OK;
}
