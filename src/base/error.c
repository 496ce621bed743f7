#include "nexus/error.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *text, *sqlstate, *help;
	int http;
	bool retry;
} codes[NX_CODE_COUNT] = {
	[NX_OK] = { "OK", "00000", "No error.", 200, false },
#define NX_CODE(name, text, http, sqlstate, retry, help) \
	[NX_E_##name] = { text, sqlstate, help, http, retry },
#include "nexus/codes.def"
#undef NX_CODE
};

void nx_error_clear(struct nx_error *err)
{
	if (!err)
		return;
	err->code = NX_OK;
	err->sqlstate[0] = '\0';
	err->native = 0;
	err->position = -1;
	err->token[0] = '\0';
	err->message[0] = '\0';
	err->detail[0] = '\0';
}

/* Cuts a truncated UTF-8 sequence at the end and turns control characters into spaces: a message is
 * one printable line whatever a backend sent. */
static void tidy(char *s)
{
	size_t len = strlen(s);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			s[i] = ' ';
	size_t back = len;
	while (back > 0 && ((unsigned char)s[back - 1] & 0xc0) == 0x80)
		back--;
	if (back == 0)
		return;
	unsigned char lead = (unsigned char)s[back - 1];
	size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	if (want > 1 && len - back + 1 < want)
		s[back - 1] = '\0';
}

enum nx_code nx_failv(struct nx_error *err, enum nx_code code, const char *fmt, va_list ap)
{
	if (!err)
		return code;
	nx_error_clear(err);
	err->code = code;
	int n = vsnprintf(err->message, sizeof(err->message), fmt, ap);
	if (n < 0)
		err->message[0] = '\0';
	tidy(err->message);
	return code;
}

enum nx_code nx_fail(struct nx_error *err, enum nx_code code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	nx_failv(err, code, fmt, ap);
	va_end(ap);
	return code;
}

void nx_error_detail(struct nx_error *err, const char *fmt, ...)
{
	if (!err)
		return;
	va_list ap;
	va_start(ap, fmt);
	if (vsnprintf(err->detail, sizeof(err->detail), fmt, ap) < 0)
		err->detail[0] = '\0';
	va_end(ap);
	tidy(err->detail);
}

void nx_error_at(struct nx_error *err, size_t position, const char *token, size_t len)
{
	if (!err)
		return;
	err->position = position > INT32_MAX ? INT32_MAX : (int32_t)position;
	if (len >= sizeof(err->token))
		len = sizeof(err->token) - 1;
	if (len > 0)
		memcpy(err->token, token, len);
	err->token[len] = '\0';
	tidy(err->token);
}

void nx_error_native(struct nx_error *err, int32_t native, const char *sqlstate)
{
	if (!err)
		return;
	err->native = native;
	err->sqlstate[0] = '\0';
	if (sqlstate && strlen(sqlstate) == 5)
		memcpy(err->sqlstate, sqlstate, 6);
}

const char *nx_code_name(enum nx_code code)
{
	return codes[code < NX_CODE_COUNT ? code : NX_E_INTERNAL].text;
}

const char *nx_code_help(enum nx_code code)
{
	return codes[code < NX_CODE_COUNT ? code : NX_E_INTERNAL].help;
}

const char *nx_code_sqlstate(enum nx_code code)
{
	return codes[code < NX_CODE_COUNT ? code : NX_E_INTERNAL].sqlstate;
}

int nx_code_http(enum nx_code code)
{
	return codes[code < NX_CODE_COUNT ? code : NX_E_INTERNAL].http;
}

bool nx_code_retryable(enum nx_code code)
{
	return codes[code < NX_CODE_COUNT ? code : NX_E_INTERNAL].retry;
}
