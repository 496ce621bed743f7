/* SELECT * FROM fake WHERE word = value AND word AND ...: the words after WHERE are the script. */
#include <stddef.h>

#include "fake_int.h"

struct reader {
	struct nx_str left;
	const struct nx_query *q;
	uint32_t params; /* placeholders met */
	struct nx_error *err;
};

struct token {
	enum { END, WORD, NUMBER, TEXT, EQUALS, OTHER } kind;
	struct nx_str text;
};

static bool word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

static struct token take(struct reader *r, int kind, size_t n)
{
	struct token t = { .kind = kind, .text = nx_strn(r->left.ptr, n) };
	r->left = nx_strn(r->left.ptr + n, r->left.len - n);
	return t;
}

/* A placeholder stands for its parameter. */
static struct token next(struct reader *r)
{
	r->left = nx_str_trim(r->left);
	if (r->left.len == 0 || *r->left.ptr == ';')
		return (struct token){ .kind = END };
	char c = *r->left.ptr;
	size_t n = 1;
	if (c == '?') {
		struct token t = take(r, OTHER, 1);
		if (r->params < r->q->nparams) {
			const struct nx_value *v = &r->q->params[r->params];
			t.kind = v->kind == NX_V_STRING ? TEXT : NUMBER;
			t.text = v->text;
		}
		r->params++;
		return t;
	}
	if (c == '\'') {
		while (n < r->left.len && r->left.ptr[n] != '\'')
			n++;
		if (n == r->left.len)
			return take(r, OTHER, n);
		struct token t = take(r, TEXT, n + 1);
		t.text = nx_strn(t.text.ptr + 1, n - 1);
		return t;
	}
	if (c == '=')
		return take(r, EQUALS, 1);
	if (!word_char(c))
		return take(r, OTHER, 1);
	while (n < r->left.len && word_char(r->left.ptr[n]))
		n++;
	return take(r, c >= '0' && c <= '9' ? NUMBER : WORD, n);
}

static enum nx_code refuse(struct reader *r, struct nx_str at, const char *why)
{
	enum nx_code code = nx_fail(r->err, NX_E_SQL_ERROR, "fake: %s", why);
	if (at.ptr >= r->q->sql.ptr && at.ptr <= r->q->sql.ptr + r->q->sql.len)
		nx_error_at(r->err, (size_t)(at.ptr - r->q->sql.ptr), at.ptr, at.len);
	return code;
}

static bool code_by_name(struct nx_str name, enum nx_code *ret)
{
	for (int c = 1; c < NX_CODE_COUNT; c++) {
		if (nx_str_is(name, nx_code_name((enum nx_code)c))) {
			*ret = (enum nx_code)c;
			return true;
		}
	}
	return false;
}

static bool add_type(struct fake_script *s, struct nx_str name)
{
	for (int t = 0; t < NX_T_LIST; t++) {
		if (s->ncols < FAKE_COLS && nx_str_is(name, nx_type_name((enum nx_type)t))) {
			s->types[s->ncols++] = (enum nx_type)t;
			return true;
		}
	}
	return false;
}

/* "int64,string" or "all" */
static bool set_types(struct fake_script *s, struct nx_str list)
{
	s->ncols = 0;
	if (nx_str_is(list, "all")) {
		for (int t = 0; t < NX_T_LIST; t++)
			s->types[s->ncols++] = (enum nx_type)t;
		return true;
	}
	while (list.len > 0) {
		const char *comma = memchr(list.ptr, ',', list.len);
		size_t n = comma ? (size_t)(comma - list.ptr) : list.len;
		if (!add_type(s, nx_str_trim(nx_strn(list.ptr, n))))
			return false;
		n += comma != NULL;
		list = nx_strn(list.ptr + n, list.len - n);
	}
	return s->ncols > 0;
}

static bool set_number(struct fake_script *s, struct nx_str word, struct nx_str value)
{
	static const struct {
		const char *name;
		size_t at;
	} words[] = {
#define FAKE_WORD(name, fallback) { #name, offsetof(struct fake_script, name) },
		FAKE_WORDS
#undef FAKE_WORD
	};
	for (size_t i = 0; i < NX_COUNTOF(words); i++)
		if (nx_str_is(word, words[i].name))
			return nx_str_to_i64(value, (int64_t *)((char *)s + words[i].at));
	return false;
}

static enum nx_code one_term(struct reader *r, struct fake_script *s, struct token word)
{
	struct reader before = *r;
	struct token value = next(r);
	if (value.kind != EQUALS) { /* "hang": like hang = 1 */
		*r = before;
		value = (struct token){ .kind = NUMBER, .text = NX_STR("1") };
	} else {
		value = next(r);
	}
	bool ok = false;
	if (value.kind == NUMBER)
		ok = set_number(s, word.text, value.text);
	else if (value.kind == TEXT && nx_str_is(word.text, "types"))
		ok = set_types(s, value.text);
	else if (value.kind == TEXT && nx_str_is(word.text, "error"))
		ok = code_by_name(value.text, &s->error);
	else if (value.kind == TEXT && nx_str_is(word.text, "prepare_error"))
		ok = code_by_name(value.text, &s->prepare_error);
	else if (value.kind == TEXT && nx_str_is(word.text, "echo"))
		ok = (s->echo = value.text).ptr != NULL;
	return ok ? NX_OK : refuse(r, word.text, "a word or its value is not known");
}

static enum nx_code terms(struct reader *r, struct fake_script *s)
{
	for (;;) {
		struct token t = next(r);
		if (t.kind != WORD)
			return refuse(r, t.text, "a word was expected");
		enum nx_code code = one_term(r, s, t);
		if (code)
			return code;
		t = next(r);
		if (t.kind == END)
			return NX_OK;
		if (t.kind != WORD || !nx_str_ieq(t.text, NX_STR("and")))
			return refuse(r, t.text, "AND was expected");
	}
}

enum nx_code fake_parse(const struct nx_query *q, struct fake_script *ret, struct nx_error *err)
{
	struct fake_script s = {
#define FAKE_WORD(name, fallback) .name = fallback,
		FAKE_WORDS
#undef FAKE_WORD
			.error = NX_E_SOURCE_FAILED,
		.types = { NX_T_INT64, NX_T_STRING },
		.ncols = 2,
	};
	struct reader r = { .left = q->sql, .q = q, .err = err };
	struct token t = next(&r);
	if (t.kind != WORD || !nx_str_ieq(t.text, NX_STR("select")))
		return refuse(&r, t.text, "SELECT was expected");
	while (t.kind != END && !(t.kind == WORD && nx_str_ieq(t.text, NX_STR("where"))))
		t = next(&r);
	enum nx_code code = t.kind == END ? NX_OK : terms(&r, &s);
	if (!code && r.params != q->nparams)
		code = nx_fail(err, NX_E_PARAMETER_COUNT, "%u placeholders, %u parameters.",
			       r.params, q->nparams);
	if (!code && (s.rows < 0 || s.batch < 1 || s.bytes < 0 || s.bytes > 1 << 28 || s.nulls < 0))
		code = refuse(&r, nx_strn(NULL, 0), "a number is out of range");
	if (code)
		return code;
	*ret = s;
	return NX_OK;
}
