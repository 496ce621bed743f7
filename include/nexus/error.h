/* Error values.
 *
 * Every function that can fail returns enum nx_code (NX_OK == 0) and takes a struct nx_error * as
 * its last argument. Outputs are set only on success. codes.def is the one list of codes: it makes
 * this enum, the HTTP and SQLSTATE mapping and docs/errors.md.
 *
 * Threads: an nx_error belongs to one thread at a time. Nothing here allocates.
 * Secrets: `message` reaches clients; `detail` reaches the log only. Neither may hold a secret or a
 * bound parameter value; backend text goes to `message` only after the driver judged it safe. */
#ifndef NEXUS_ERROR_H
#define NEXUS_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nexus/attr.h"

enum nx_code {
	NX_OK = 0,
#define NX_CODE(name, text, http, sqlstate, retry, help) NX_E_##name,
#include "nexus/codes.def"
#undef NX_CODE
	NX_CODE_COUNT
};

struct nx_error {
	enum nx_code code;
	char sqlstate[6];   /* five characters and NUL; empty: the code's default applies */
	int32_t native;     /* backend's own number (errno, MySQL 1064, ...); 0 none */
	int32_t position;   /* byte offset in the user's SQL, 0-based; -1 none */
	char token[64];     /* the SQL token at `position`, cut; empty none */
	char message[400];  /* for the client, one line, UTF-8 */
	char detail[400];   /* for the log only */
};

/* Sets *err (may be NULL) to `code` with a formatted client message and returns `code`.
 * Clears sqlstate, native, position, token and detail. */
enum nx_code nx_fail(struct nx_error *err, enum nx_code code, const char *fmt, ...)
	NX_PRINTF(3, 4);
enum nx_code nx_failv(struct nx_error *err, enum nx_code code, const char *fmt, va_list ap)
	NX_PRINTF(3, 0);

/* Adds to an error that is already set; NULL err is ignored. */
void nx_error_detail(struct nx_error *err, const char *fmt, ...) NX_PRINTF(2, 3);
void nx_error_at(struct nx_error *err, size_t position, const char *token, size_t len);
void nx_error_native(struct nx_error *err, int32_t native, const char *sqlstate /* or NULL */);
void nx_error_clear(struct nx_error *err);

/* Facts about a code, from codes.def. Never NULL for a valid code. */
const char *nx_code_name(enum nx_code code);     /* "QUERY_TIMEOUT": what clients match on */
const char *nx_code_help(enum nx_code code);     /* one sentence for docs */
const char *nx_code_sqlstate(enum nx_code code); /* default SQLSTATE */
int nx_code_http(enum nx_code code);             /* HTTP status */
bool nx_code_retryable(enum nx_code code);       /* may the client just try again */

#endif
