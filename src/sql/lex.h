/* The one tokenizer: judging, parameters and table names all read its tokens.
 *
 * A dialect is a row of flags (dialects.c). Tokens cover the input without a gap: the texts of all
 * tokens, spaces and comments included, put together give back the input. The lexer refuses what it
 * cannot read in exactly one way (open quotes, executable comments, odd characters).
 * Threads: all functions are reentrant. Ownership: tokens point into the caller's text. */
#ifndef NX_SQL_LEX_H
#define NX_SQL_LEX_H

#include "nexus/dialect.h"
#include "nexus/error.h"
#include "nexus/str.h"

enum nx_token_kind {
	NX_T_END,
	NX_T_SPACE,
	NX_T_COMMENT,
	NX_T_HINT, /* a comment the source reads as a hint; significant */
	NX_T_WORD, /* unquoted; `word` is its keyword or NX_W_NONE */
	NX_T_QUOTED, /* quoted identifier */
	NX_T_STRING,
	NX_T_NUMBER,
	NX_T_PARAM, /* ? */
	NX_T_NUMBERED, /* $1 */
	NX_T_VARIABLE, /* @x @@x, or @stage */
	NX_T_OP, /* `op` is its first byte, or an NX_OP_ below */
};

/* Operators of several bytes that the walker must know; below 0x20, so that they never collide with
 * the single bytes. */
enum nx_op {
	NX_OP_ASSIGN = 1, /* := */
	NX_OP_CAST, /* :: */
	NX_OP_ARROW, /* => */
	NX_OP_FLOW, /* ->> */
	NX_OP_PIPE, /* |> */
	NX_OP_QQ, /* ?? : a literal ? */
	NX_OP_QUESTION, /* ? ?| ?& as an operator */
};

enum nx_word {
	NX_W_NONE,
#define NX_WORD(name, flags) NX_W_##name,
#include "sql/words.def"
#undef NX_WORD
	NX_W_COUNT
};

#define NX_WF_EXPECTS 1 /* an operand follows */
#define NX_WF_OPERAND 2 /* is an operand itself (NULL, TRUE) */
#define NX_WF_CLAUSE 4 /* starts a clause that ends FROM */
#define NX_WF_SYNTAX 8 /* before ( it is syntax, not a function */

struct nx_token {
	uint32_t off;
	uint32_t len;
	uint8_t kind;
	uint8_t op; /* NX_T_OP only */
	uint16_t word; /* NX_T_WORD only */
};

/* What the lexer must know of a dialect. */
#define NX_L_BS_SINGLE (1ull << 0) /* backslash escapes in '..' */
#define NX_L_BS_UNSURE (1ull << 1) /* a mode decides: refuse \' */
#define NX_L_DQ_STRING (1ull << 2) /* ".." is a string */
#define NX_L_DQ_BS (1ull << 3) /* backslash escapes in ".." */
#define NX_L_DQ_UNSURE (1ull << 4) /* refuse \" */
#define NX_L_DQ_NONE (1ull << 5) /* ".." is an error */
#define NX_L_BACKTICK (1ull << 6) /* `..` is an identifier */
#define NX_L_BACKTICK_BS (1ull << 7) /* with backslash escapes */
#define NX_L_BRACKET (1ull << 8) /* [..] is an identifier */
#define NX_L_BRACKET_DBL (1ull << 9) /* with ]] for ] */
#define NX_L_DOLLAR (1ull << 10) /* $tag$..$tag$ */
#define NX_L_DOLLAR2 (1ull << 11) /* $$..$$ only */
#define NX_L_E (1ull << 12) /* E'..' */
#define NX_L_Q (1ull << 13) /* q'[..]' */
#define NX_L_R (1ull << 14) /* r'..' without any escape */
#define NX_L_TRIPLE (1ull << 15) /* '''..''' and """..""" */
#define NX_L_HASH (1ull << 16) /* # comment */
#define NX_L_HASH_SPACE (1ull << 17) /* "# " and #! comments */
#define NX_L_SLASHES (1ull << 18) /* // comment */
#define NX_L_NO_SLASHES (1ull << 19) /* // depends on the version: refuse */
#define NX_L_DASH_SPACE (1ull << 20) /* -- is a comment only before a space */
#define NX_L_NEST (1ull << 21) /* block comments nest */
#define NX_L_NEST_UNSURE (1ull << 22)
#define NX_L_EXEC (1ull << 23) /* executable comments exist */
#define NX_L_HINT (1ull << 24)
#define NX_L_AT (1ull << 25) /* @x */
#define NX_L_COLON (1ull << 26) /* :x is a parameter */
#define NX_L_NUMBERED (1ull << 27) /* $1 is a parameter or a column */
#define NX_L_DIGIT_ID (1ull << 28) /* identifiers may begin with a digit */
#define NX_L_UQ (1ull << 29) /* U&".." */
#define NX_L_QUESTION (1ull << 30) /* ? is an operator too */
#define NX_L_FOLDS (1ull << 31) /* keywords are folded beyond ASCII */
#define NX_L_SUBST (1ull << 32) /* ${x} is replaced before parsing */
#define NX_L_ID_DOLLAR (1ull << 33)
#define NX_L_ID_HASH (1ull << 34)
#define NX_L_ID_AT (1ull << 35)
#define NX_L_SUFFIX (1ull << 36) /* 1L 1.5BD 2f */
#define NX_L_DOLLAR_NAME (1ull << 37) /* $name is a parameter */
#define NX_L_CONTINUE (1ull << 38) /* a backslash continues a line comment */

struct nx_lexer {
	struct nx_str sql;
	uint64_t flags;
	uint32_t pos;
	uint8_t last; /* kind of the last significant token */
	uint16_t last_word;
	uint8_t last_op;
	bool last_escaped; /* it was E'..' */
};

/* `sql` must be valid UTF-8 and below 4 GiB. */
void nx_lex_init(struct nx_lexer *l, uint64_t flags, struct nx_str sql);
/* The next token, NX_T_END at the end. RO_UNTERMINATED, RO_ENCODING, RO_EXEC_COMMENT, SQL_PARSE. */
NX_NODISCARD enum nx_code nx_lex_next(struct nx_lexer *l, struct nx_token *ret,
				      struct nx_error *err);

uint16_t nx_word_find(const char *text, size_t len); /* ASCII case folded */
uint8_t nx_word_flags(uint16_t word);

/* Is this code point a letter, digit or mark (what an unquoted name may hold)? */
bool nx_unicode_is_name(uint32_t cp);
/* Name and class of a character for messages ("full-width comma"); never NULL. */
const char *nx_unicode_describe(uint32_t cp);
/* Decodes one code point of valid UTF-8; *len its bytes. */
uint32_t nx_unicode_at(const char *p, size_t *len);

#endif
