/* How each kind of token ends is decided by the row's flags alone; there is no other knowledge of
 * dialects here. Where products or modes of one dialect disagree about where a string or comment
 * ends (the *_UNSURE flags), text that both read alike passes and text that they read differently is
 * refused: a gate that guesses can be made to guess wrong. */
#include "sql/lex.h"

static const char NAME_START = 1, NAME_PART = 2, DIGIT = 4, SPACE = 8;

static const unsigned char class_of[128] = {
	['\t'] = 8, ['\n'] = 8, ['\r'] = 8, [' '] = 8, ['0'] = 6, ['1'] = 6, ['2'] = 6, ['3'] = 6,
	['4'] = 6,  ['5'] = 6,	['6'] = 6,  ['7'] = 6, ['8'] = 6, ['9'] = 6, ['_'] = 3, ['A'] = 3,
	['B'] = 3,  ['C'] = 3,	['D'] = 3,  ['E'] = 3, ['F'] = 3, ['G'] = 3, ['H'] = 3, ['I'] = 3,
	['J'] = 3,  ['K'] = 3,	['L'] = 3,  ['M'] = 3, ['N'] = 3, ['O'] = 3, ['P'] = 3, ['Q'] = 3,
	['R'] = 3,  ['S'] = 3,	['T'] = 3,  ['U'] = 3, ['V'] = 3, ['W'] = 3, ['X'] = 3, ['Y'] = 3,
	['Z'] = 3,  ['a'] = 3,	['b'] = 3,  ['c'] = 3, ['d'] = 3, ['e'] = 3, ['f'] = 3, ['g'] = 3,
	['h'] = 3,  ['i'] = 3,	['j'] = 3,  ['k'] = 3, ['l'] = 3, ['m'] = 3, ['n'] = 3, ['o'] = 3,
	['p'] = 3,  ['q'] = 3,	['r'] = 3,  ['s'] = 3, ['t'] = 3, ['u'] = 3, ['v'] = 3, ['w'] = 3,
	['x'] = 3,  ['y'] = 3,	['z'] = 3,
};

void nx_lex_init(struct nx_lexer *l, uint64_t flags, struct nx_str sql)
{
	*l = (struct nx_lexer){ .sql = sql, .flags = flags, .last = NX_T_END };
}

static inline char at(const struct nx_lexer *l, size_t pos)
{
	return pos < l->sql.len ? l->sql.ptr[pos] : '\0';
}

static inline bool is(char c, char cls)
{
	return (unsigned char)c < 128 && (class_of[(unsigned char)c] & cls);
}

static enum nx_code fail_at(struct nx_lexer *l, size_t from, size_t len, enum nx_code code,
			    struct nx_error *err, const char *msg)
{
	nx_fail(err, code, "%s (byte %zu).", msg, from);
	if (from > l->sql.len)
		from = l->sql.len;
	if (len > l->sql.len - from)
		len = l->sql.len - from;
	nx_error_at(err, from, l->sql.ptr + from, len);
	return code;
}

static enum nx_code fail_char(struct nx_lexer *l, size_t pos, struct nx_error *err)
{
	size_t len;
	uint32_t cp = nx_unicode_at(l->sql.ptr + pos, &len);
	nx_fail(err, NX_E_RO_ENCODING,
		"%s U+%04X at byte %zu: outside quotes only ASCII, letters and digits may stand.",
		nx_unicode_describe(cp), (unsigned)cp, pos);
	nx_error_at(err, pos, l->sql.ptr + pos, len);
	return NX_E_RO_ENCODING;
}

/* The end of the name part that starts at `pos`: *end is after its last character. */
static enum nx_code scan_name(struct nx_lexer *l, size_t pos, size_t *end, struct nx_error *err)
{
	const char *s = l->sql.ptr;
	size_t n = l->sql.len;
	for (;;) {
		while (pos < n && is(s[pos], NAME_PART))
			pos++;
		if (pos == n)
			break;
		char c = s[pos];
		if ((unsigned char)c >= 0x80) {
			size_t len;
			uint32_t cp = nx_unicode_at(s + pos, &len);
			if (!nx_unicode_is_name(cp))
				return fail_char(l, pos, err);
			/* Sources that fold case by Unicode read these as I, S or K, so that a
			 * keyword could hide behind them. */
			if ((l->flags & NX_L_FOLDS) &&
			    (cp == 0x130 || cp == 0x131 || cp == 0x17f || cp == 0x212a))
				return fail_at(l, pos, len, NX_E_RO_ENCODING, err,
					       "This letter is folded to an ASCII letter by the "
					       "source; put the name in quotes");
			pos += len;
		} else if ((c == '$' && (l->flags & NX_L_ID_DOLLAR)) ||
			   (c == '#' && (l->flags & NX_L_ID_HASH)) ||
			   (c == '@' && (l->flags & NX_L_ID_AT))) {
			pos++;
		} else {
			break;
		}
	}
	if (at(l, pos) == '$' && (l->flags & NX_L_DOLLAR))
		return fail_at(l, pos, 1, NX_E_SQL_PARSE, err,
			       "A $ directly after a name is read differently by versions of the "
			       "source; put a space between or quote the name");
	*end = pos;
	return NX_OK;
}

struct quoting {
	char quote;
	bool backslash; /* escapes */
	bool doubled; /* a doubled quote stands for one */
	bool unsure; /* refuse an escaped quote */
	bool triple;
};

static enum nx_code fail_unsure(struct nx_lexer *l, size_t pos, struct nx_error *err)
{
	return fail_at(
		l, pos, 2, NX_E_SQL_PARSE, err,
		"A quote after a backslash is read differently by modes of the source; write a "
		"doubled quote");
}

/* `pos` is after the opening quote. */
static enum nx_code scan_quoted(struct nx_lexer *l, size_t start, size_t pos, struct quoting q,
				size_t *end, struct nx_error *err)
{
	const char *s = l->sql.ptr;
	size_t n = l->sql.len;
	size_t slashes = 0;
	for (; pos < n; pos++) {
		char c = s[pos];
		if (c == '\\') {
			if (q.backslash && q.unsure && at(l, pos + 1) == q.quote)
				return fail_unsure(l, pos, err);
			if (q.backslash)
				pos++;
			slashes++;
			continue;
		}
		if (c == q.quote && q.unsure && !q.backslash && slashes % 2 == 1)
			return fail_unsure(l, pos - 1, err);
		slashes = 0;
		if (c != q.quote)
			continue;
		if (q.triple) {
			if (at(l, pos + 1) == c && at(l, pos + 2) == c) {
				*end = pos + 3;
				return NX_OK;
			}
			continue;
		}
		if (q.doubled && at(l, pos + 1) == c) {
			pos++;
			continue;
		}
		*end = pos + 1;
		return NX_OK;
	}
	return fail_at(l, start, 1, NX_E_RO_UNTERMINATED, err, "A quote is not closed");
}

/* q'[..]': `pos` is at the delimiter. */
static enum nx_code scan_q(struct nx_lexer *l, size_t start, size_t pos, size_t *end,
			   struct nx_error *err)
{
	const char *s = l->sql.ptr;
	size_t n = l->sql.len, len = 1;
	if (pos >= n || is(s[pos], SPACE))
		return fail_at(l, start, 3, NX_E_SQL_PARSE, err, "q'' needs a delimiter");
	char close[4];
	nx_unicode_at(s + pos, &len);
	memcpy(close, s + pos, len);
	if (len == 1)
		close[0] = (char)(s[pos] == '['	  ? ']'
				  : s[pos] == '(' ? ')'
				  : s[pos] == '{' ? '}'
				  : s[pos] == '<' ? '>'
						  : s[pos]);
	for (pos += len; pos + len < n; pos++)
		if (memcmp(s + pos, close, len) == 0 && s[pos + len] == '\'') {
			*end = pos + len + 1;
			return NX_OK;
		}
	return fail_at(l, start, 3, NX_E_RO_UNTERMINATED, err, "A q'' string is not closed");
}

/* `pos` is at the first $. *end == pos: not a dollar quote. */
static enum nx_code scan_dollar(struct nx_lexer *l, size_t pos, size_t *end, struct nx_error *err)
{
	const char *s = l->sql.ptr;
	size_t n = l->sql.len, tag = pos + 1;
	*end = pos;
	if ((l->flags & NX_L_DOLLAR) && tag < n && !is(s[tag], DIGIT))
		while (tag < n && (is(s[tag], NAME_PART) || (unsigned char)s[tag] >= 0x80))
			tag++;
	if (at(l, tag) != '$')
		return NX_OK;
	size_t len = tag + 1 - pos;
	for (size_t i = tag + 1; i + len <= n; i++) {
		const char *next = memchr(s + i, '$', n - i);
		if (!next)
			break;
		i = (size_t)(next - s);
		if (i + len <= n && memcmp(next, s + pos, len) == 0) {
			*end = i + len;
			return NX_OK;
		}
	}
	return fail_at(l, pos, len, NX_E_RO_UNTERMINATED, err, "A $$ string is not closed");
}

static enum nx_code scan_line_comment(struct nx_lexer *l, size_t start, size_t *end,
				      struct nx_error *err)
{
	const char *s = l->sql.ptr;
	size_t n = l->sql.len, pos = start;
	while (pos < n && s[pos] != '\n' && s[pos] != '\r')
		pos++;
	if (pos < n && s[pos] == '\r' && at(l, pos + 1) != '\n')
		return fail_at(l, pos, 1, NX_E_RO_ENCODING, err,
			       "A carriage return without line feed ends a comment on some servers "
			       "only; use line feeds");
	if ((l->flags & NX_L_CONTINUE) && pos < n && s[pos - 1] == '\\')
		return fail_at(l, pos - 1, 1, NX_E_SQL_PARSE, err,
			       "A backslash at the end of a comment continues it on some servers");
	*end = pos;
	return NX_OK;
}

static enum nx_code scan_block_comment(struct nx_lexer *l, size_t start, size_t *end, bool *hint,
				       struct nx_error *err)
{
	const char *s = l->sql.ptr;
	size_t n = l->sql.len, depth = 1;
	char c = at(l, start + 2);
	*hint = c == '+' && (l->flags & NX_L_HINT);
	if ((l->flags & NX_L_EXEC) &&
	    (c == '!' ||
	     ((c == 'M' || c == 'T' || c == 'm' || c == 't') && at(l, start + 3) == '!')))
		return fail_at(l, start, 8, NX_E_RO_EXEC_COMMENT, err,
			       "Comments that begin with /*! are run as code; write the code or "
			       "drop the !");
	bool quoted[2] = { false, false };
	for (size_t pos = start + 2; pos + 1 < n; pos++) {
		if (s[pos] == '/' && s[pos + 1] == '*') {
			if (l->flags & NX_L_NEST_UNSURE)
				return fail_at(l, pos, 2, NX_E_SQL_PARSE, err,
					       "A comment inside a comment is read differently by "
					       "versions of the source");
			if (l->flags & NX_L_NEST) {
				depth++;
				pos++;
			}
		} else if (s[pos] == '*' && s[pos + 1] == '/') {
			pos++;
			if (--depth > 0)
				continue;
			if (*hint && (quoted[0] || quoted[1]))
				return fail_at(l, start, 3, NX_E_RO_HINT, err,
					       "A quote in a hint is not closed");
			*end = pos + 1;
			return NX_OK;
		} else if (s[pos] == '`' || s[pos] == '"') {
			quoted[s[pos] == '"'] = !quoted[s[pos] == '"'];
		}
	}
	return fail_at(l, start, 2, NX_E_RO_UNTERMINATED, err, "A comment is not closed");
}

/* *end == pos: no comment begins here. */
static enum nx_code scan_comment(struct nx_lexer *l, size_t pos, size_t *end, bool *hint,
				 struct nx_error *err)
{
	char c = l->sql.ptr[pos], c2 = at(l, pos + 1);
	*end = pos;
	*hint = false;
	if (c == '-' && c2 == '-') {
		char c3 = at(l, pos + 2);
		if (!(l->flags & NX_L_DASH_SPACE) || pos + 2 >= l->sql.len || is(c3, SPACE))
			return scan_line_comment(l, pos, end, err);
	} else if (c == '/' && c2 == '*') {
		return scan_block_comment(l, pos, end, hint, err);
	} else if (c == '#') {
		if ((l->flags & NX_L_HASH) ||
		    ((l->flags & NX_L_HASH_SPACE) && (c2 == ' ' || c2 == '!')))
			return scan_line_comment(l, pos, end, err);
	} else if (c == '/' && c2 == '/') {
		if (l->flags & NX_L_SLASHES)
			return scan_line_comment(l, pos, end, err);
		if (l->flags & NX_L_NO_SLASHES)
			return fail_at(l, pos, 2, NX_E_SQL_PARSE, err,
				       "// is a comment in some versions of the source only");
	}
	return NX_OK;
}

static enum nx_code scan_number(struct nx_lexer *l, size_t pos, size_t *end, uint8_t *kind,
				struct nx_error *err)
{
	size_t start = pos;
	char c2 = (char)(at(l, pos + 1) | 0x20);
	bool whole = true;
	if (at(l, pos) == '0' && (c2 == 'x' || c2 == 'b' || c2 == 'o') &&
	    is(at(l, pos + 2), NAME_PART)) {
		pos += 2;
		while (is(at(l, pos), DIGIT) || at(l, pos) == '_' ||
		       (c2 == 'x' && (at(l, pos) | 0x20) >= 'a' && (at(l, pos) | 0x20) <= 'f'))
			pos++;
	} else {
		while (is(at(l, pos), DIGIT) || (at(l, pos) == '_' && pos > start))
			pos++;
		if (at(l, pos) == '.' && at(l, pos + 1) != '.') {
			whole = false;
			do
				pos++;
			while (is(at(l, pos), DIGIT) || at(l, pos) == '_');
		}
		size_t e = pos;
		if ((at(l, e) | 0x20) == 'e') {
			e++;
			if (at(l, e) == '+' || at(l, e) == '-')
				e++;
			if (is(at(l, e), DIGIT)) {
				while (is(at(l, e), DIGIT))
					e++;
				pos = e;
				whole = false; /* MariaDB reads 1e5into as 1e5 INTO */
			}
		}
		if ((l->flags & NX_L_SUFFIX) && strchr("lsydfLSYDF", at(l, pos)) && at(l, pos))
			pos++;
		else if ((l->flags & NX_L_SUFFIX) && (at(l, pos) | 0x20) == 'b' &&
			 (at(l, pos + 1) | 0x20) == 'd')
			pos += 2;
	}
	*kind = NX_T_NUMBER;
	char c = at(l, pos);
	size_t clen;
	if (is(c, NAME_PART) || c == '$' ||
	    ((unsigned char)c >= 0x80 &&
	     nx_unicode_is_name(nx_unicode_at(l->sql.ptr + pos, &clen)))) {
		if (!whole || !(l->flags & NX_L_DIGIT_ID))
			return fail_at(l, start, pos + 1 - start, NX_E_SQL_PARSE, err,
				       "A number runs into a word; put a space between them");
		*kind = NX_T_WORD;
		return scan_name(l, pos, end, err);
	}
	*end = pos;
	return NX_OK;
}

static bool last_is_operand(const struct nx_lexer *l)
{
	switch (l->last) {
	case NX_T_QUOTED:
	case NX_T_STRING:
	case NX_T_NUMBER:
	case NX_T_PARAM:
	case NX_T_NUMBERED:
	case NX_T_VARIABLE:
		return true;
	case NX_T_WORD: {
		uint8_t f = nx_word_flags(l->last_word);
		return !(f & (NX_WF_EXPECTS | NX_WF_CLAUSE));
	}
	case NX_T_OP:
		return l->last_op == ')' || l->last_op == ']' || l->last_op == '}';
	default:
		return false;
	}
}

static enum nx_code lex_question(struct nx_lexer *l, struct nx_token *t, struct nx_error *err)
{
	char c2 = at(l, l->pos + 1);
	if (c2 == '?') {
		t->kind = NX_T_OP;
		t->op = NX_OP_QQ;
		t->len = 2;
	} else if ((l->flags & NX_L_QUESTION) &&
		   (last_is_operand(l) || (l->pos > 0 && l->sql.ptr[l->pos - 1] == '@'))) {
		t->kind = NX_T_OP;
		t->op = NX_OP_QUESTION;
		t->len = c2 == '|' || c2 == '&' ? 2 : 1;
	} else if (is(c2, DIGIT)) {
		return fail_at(l, l->pos, 2, NX_E_SQL_PARSE, err,
			       "Numbered parameters are not known here; write a plain ?");
	} else {
		t->kind = NX_T_PARAM;
		t->len = 1;
	}
	return NX_OK;
}

static enum nx_code lex_variable(struct nx_lexer *l, struct nx_token *t, struct nx_error *err)
{
	size_t pos = l->pos + 1, end;
	enum nx_code rc;
	if (at(l, pos) == '@')
		pos++;
	char c = at(l, pos);
	t->kind = NX_T_VARIABLE;
	if ((l->flags & NX_L_BACKTICK) && (c == '`' || c == '"' || c == '\'')) {
		struct quoting q = { c, c != '`' && (l->flags & NX_L_BS_SINGLE), true, false,
				     false };
		rc = scan_quoted(l, pos, pos + 1, q, &end, err);
	} else {
		rc = scan_name(l, pos, &end, err);
	}
	if (rc == NX_OK)
		t->len = (uint32_t)(end - l->pos);
	return rc;
}

static enum nx_code lex_dollar(struct nx_lexer *l, struct nx_token *t, struct nx_error *err)
{
	size_t end = l->pos;
	if (l->flags & NX_L_SUBST && at(l, l->pos + 1) == '{')
		return fail_at(l, l->pos, 2, NX_E_SQL_PARSE, err,
			       "${..} is replaced by the source before it reads the SQL");
	if (l->flags & (NX_L_DOLLAR | NX_L_DOLLAR2)) {
		enum nx_code rc = scan_dollar(l, l->pos, &end, err);
		if (rc != NX_OK)
			return rc;
		if (end > l->pos) {
			t->kind = NX_T_STRING;
			t->len = (uint32_t)(end - l->pos);
			return NX_OK;
		}
	}
	if ((l->flags & NX_L_NUMBERED) && is(at(l, l->pos + 1), DIGIT)) {
		for (end = l->pos + 1; is(at(l, end), DIGIT); end++)
			;
		char c = at(l, end);
		if (is(c, NAME_PART) || (unsigned char)c >= 0x80 || c == '$')
			return fail_at(l, l->pos, end + 1 - l->pos, NX_E_SQL_PARSE, err,
				       "A parameter runs into a word; put a space between them");
		t->kind = NX_T_NUMBERED;
		t->len = (uint32_t)(end - l->pos);
		return NX_OK;
	}
	if (l->flags & NX_L_DOLLAR_NAME)
		return fail_at(l, l->pos, 2, NX_E_SQL_PARSE, err,
			       "Named parameters are not known here; write a plain ?");
	if (l->flags & (NX_L_DOLLAR | NX_L_DOLLAR2))
		return fail_at(l, l->pos, 1, NX_E_SQL_PARSE, err, "A $ that begins nothing");
	t->kind = NX_T_OP;
	t->op = '$';
	t->len = 1;
	return NX_OK;
}

static enum nx_code lex_op(struct nx_lexer *l, struct nx_token *t, struct nx_error *err)
{
	char c = l->sql.ptr[l->pos], c2 = at(l, l->pos + 1);
	t->kind = NX_T_OP;
	t->op = (uint8_t)c;
	t->len = 1;
	if (c == ':' && c2 == ':') {
		t->op = NX_OP_CAST;
		t->len = 2;
	} else if (c == ':' && c2 == '=') {
		t->op = NX_OP_ASSIGN;
		t->len = 2;
	} else if (c == '=' && c2 == '>') {
		t->op = NX_OP_ARROW;
		t->len = 2;
	} else if (c == '|' && c2 == '>') {
		t->op = NX_OP_PIPE;
		t->len = 2;
	} else if (c == '-' && c2 == '>' && at(l, l->pos + 2) == '>') {
		t->op = NX_OP_FLOW;
		t->len = 3;
	} else if (c == ':' && (l->flags & NX_L_COLON) &&
		   (is(c2, NAME_PART) || (unsigned char)c2 >= 0x80 || c2 == '"')) {
		return fail_at(l, l->pos, 2, NX_E_SQL_PARSE, err,
			       "Named parameters are not known here; write a plain ?");
	} else if ((c == '@' || c == '#') && (l->flags & NX_L_COLON) &&
		   (l->flags & NX_L_DOLLAR_NAME)) {
		return fail_at(l, l->pos, 1, NX_E_SQL_PARSE, err,
			       "Named parameters are not known here; write a plain ?");
	} else if (c == '\\' || c == 0x7f || c == '`') {
		return fail_at(l, l->pos, 1, NX_E_SQL_PARSE, err,
			       "This character means nothing here outside quotes");
	}
	return NX_OK;
}

static enum nx_code lex_string(struct nx_lexer *l, size_t prefix, bool backslash, bool plain,
			       struct nx_token *t, struct nx_error *err)
{
	size_t open = l->pos + prefix, end;
	char c = l->sql.ptr[open];
	bool after_escaped = l->last == NX_T_STRING && l->last_escaped;
	struct quoting q = { c, backslash, true, false, false };
	if (!plain) {
		q.unsure = l->flags & (c == '"' ? NX_L_DQ_UNSURE : NX_L_BS_UNSURE);
		if ((l->flags & NX_L_TRIPLE) && at(l, open + 1) == c && at(l, open + 2) == c) {
			q.triple = true;
			open += 2;
		} else if (l->flags & NX_L_TRIPLE) {
			q.doubled = false;
		}
	}
	enum nx_code rc = scan_quoted(l, l->pos, open + 1, q, &end, err);
	if (rc != NX_OK)
		return rc;
	/* E'a' on one line and '..' on the next are one string, and the escapes of the first hold
	 * in the second. */
	if (after_escaped && c == '\'' && prefix == 0 &&
	    memchr(l->sql.ptr + l->pos, '\\', end - l->pos))
		return fail_at(l, l->pos, end - l->pos, NX_E_SQL_PARSE, err,
			       "A string that continues an E'' string may not hold a backslash");
	t->kind = NX_T_STRING;
	t->len = (uint32_t)(end - l->pos);
	return NX_OK;
}

static enum nx_code lex_identifier(struct nx_lexer *l, char close, struct quoting q,
				   struct nx_token *t, struct nx_error *err)
{
	size_t end;
	q.quote = close;
	enum nx_code rc = scan_quoted(l, l->pos, l->pos + 1, q, &end, err);
	if (rc != NX_OK)
		return rc;
	t->kind = NX_T_QUOTED;
	t->len = (uint32_t)(end - l->pos);
	return NX_OK;
}

static enum nx_code lex_word(struct nx_lexer *l, struct nx_token *t, struct nx_error *err)
{
	const char *s = l->sql.ptr + l->pos;
	char c = (char)(s[0] | 0x20), c2 = at(l, l->pos + 1), c3 = at(l, l->pos + 2);
	size_t end;
	if (c == 'e' && c2 == '\'' && (l->flags & NX_L_E))
		return lex_string(l, 1, true, true, t, err);
	if (c == 'r' && (c2 == '\'' || c2 == '"') && (l->flags & NX_L_R)) {
		enum nx_code rc = lex_string(l, 1, false, true, t, err);
		return rc;
	}
	if ((l->flags & NX_L_Q) &&
	    ((c == 'q' && c2 == '\'') || (c == 'n' && (c2 | 0x20) == 'q' && c3 == '\''))) {
		enum nx_code rc = scan_q(l, l->pos, l->pos + (c == 'q' ? 2 : 3), &end, err);
		if (rc != NX_OK)
			return rc;
		t->kind = NX_T_STRING;
		t->len = (uint32_t)(end - l->pos);
		return NX_OK;
	}
	if (c == 'u' && c2 == '&' && c3 == '"' && (l->flags & NX_L_UQ))
		return fail_at(l, l->pos, 3, NX_E_SQL_PARSE, err,
			       "U&\"\" names can hide what they say; write the name itself in "
			       "quotes");
	enum nx_code rc = scan_name(l, l->pos, &end, err);
	if (rc != NX_OK)
		return rc;
	t->kind = NX_T_WORD;
	t->len = (uint32_t)(end - l->pos);
	t->word = nx_word_find(s, t->len);
	return NX_OK;
}

static enum nx_code lex_significant(struct nx_lexer *l, struct nx_token *t, struct nx_error *err)
{
	uint64_t f = l->flags;
	char c = l->sql.ptr[l->pos];
	if (is(c, NAME_START) || (unsigned char)c >= 0x80 ||
	    (c == '#' && (f & NX_L_ID_HASH) && (f & NX_L_ID_AT)))
		return lex_word(l, t, err);
	/* a.1b: where names may begin with a digit, a dot after a name goes before another name */
	bool after_name = (f & NX_L_DIGIT_ID) && (l->last == NX_T_WORD || l->last == NX_T_QUOTED) &&
			  l->pos > 0 && !is(l->sql.ptr[l->pos - 1], SPACE);
	if (is(c, DIGIT) || (c == '.' && is(at(l, l->pos + 1), DIGIT) && !after_name)) {
		size_t end;
		enum nx_code rc = scan_number(l, l->pos, &end, &t->kind, err);
		t->len = rc == NX_OK ? (uint32_t)(end - l->pos) : 0;
		return rc;
	}
	struct quoting q = { 0, false, true, false, false };
	switch (c) {
	case '\'':
		return lex_string(l, 0, f & NX_L_BS_SINGLE, false, t, err);
	case '"':
		if (f & NX_L_DQ_NONE)
			return fail_at(l, l->pos, 1, NX_E_SQL_PARSE, err,
				       "Double quotes are not used by this dialect");
		if (f & NX_L_DQ_STRING)
			return lex_string(l, 0, f & NX_L_DQ_BS, false, t, err);
		q.backslash = f & NX_L_DQ_BS;
		return lex_identifier(l, '"', q, t, err);
	case '`':
		if (!(f & NX_L_BACKTICK))
			return lex_op(l, t, err);
		q.backslash = f & NX_L_BACKTICK_BS;
		return lex_identifier(l, '`', q, t, err);
	case '[':
		if (!(f & NX_L_BRACKET))
			return lex_op(l, t, err);
		q.doubled = f & NX_L_BRACKET_DBL;
		return lex_identifier(l, ']', q, t, err);
	case '?':
		return lex_question(l, t, err);
	case '$':
		return lex_dollar(l, t, err);
	case '@':
		return f & NX_L_AT ? lex_variable(l, t, err) : lex_op(l, t, err);
	default:
		return lex_op(l, t, err);
	}
}

enum nx_code nx_lex_next(struct nx_lexer *l, struct nx_token *ret, struct nx_error *err)
{
	struct nx_token t = { .off = l->pos };
	size_t end = l->pos;
	bool hint = false;
	if (l->pos >= l->sql.len) {
		t.kind = NX_T_END;
		*ret = t;
		return NX_OK;
	}
	char c = l->sql.ptr[l->pos];
	if (is(c, SPACE)) {
		while (is(at(l, end), SPACE))
			end++;
		t.kind = NX_T_SPACE;
	} else if (c == '-' || c == '/' || c == '#') {
		enum nx_code rc = scan_comment(l, l->pos, &end, &hint, err);
		if (rc != NX_OK)
			return rc;
		t.kind = NX_T_COMMENT;
	}
	if (end == l->pos) {
		t.kind = NX_T_END;
		enum nx_code rc = lex_significant(l, &t, err);
		if (rc != NX_OK)
			return rc;
		l->last = t.kind;
		l->last_word = t.word;
		l->last_op = t.op;
		/* a string that continues keeps the escapes of the one it continues */
		l->last_escaped = t.kind == NX_T_STRING && (c == 'e' || c == 'E')
					  ? true
					  : t.kind == NX_T_STRING && c == '\'' && l->last_escaped;
	} else {
		t.len = (uint32_t)(end - l->pos);
		if (hint)
			t.kind = NX_T_HINT;
	}
	l->pos += t.len;
	*ret = t;
	return NX_OK;
}
