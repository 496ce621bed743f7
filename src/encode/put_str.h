/* Strings to JSON and CSV, and the JSON checker. Callers reserve the worst case. */
#ifndef NX_ENCODE_PUT_STR_H
#define NX_ENCODE_PUT_STR_H

#include <stdbool.h>
#include <stddef.h>

#include "nexus/str.h"

/* s[0, n) escaped for the inside of a JSON string; bytes that are not UTF-8 become U+FFFD, one
 * each. Touches at most 6 * n + 16 bytes. Returns the new end. */
char *nx_put_json_inner(char *p, const char *s, size_t n);

/* The length of the longest prefix of s[0, n) of at least n - 3 bytes that does not end inside a
 * UTF-8 sequence: for escaping a long string in pieces. */
size_t nx_utf8_cut(const char *s, size_t n);

/* Does a CSV field with these bytes need quotes? */
bool nx_csv_needs_quotes(const char *s, size_t n);
/* Inside of a quoted CSV field; invalid UTF-8 as above. Touches at most 3 * n + 16 bytes. */
char *nx_put_csv_inner(char *p, const char *s, size_t n);

/* A copy with invalid UTF-8 replaced as above. At most 3 * n bytes. */
char *nx_put_utf8(char *p, const char *s, size_t n);

/* Copies one JSON value while checking it against RFC 8259 (depth 512 at most). Line ends between tokens become
 * spaces, so the value stays on one line; nothing else changes. Exactly n bytes are written.
 * False: not one valid JSON value (dst then holds garbage). */
bool nx_json_copy(char *dst, const char *s, size_t n);

/* RFC 8259 number? */
bool nx_json_is_number(const char *s, size_t n);
/* Digits with an optional sign and no leading zeros? */
bool nx_json_is_integer(const char *s, size_t n);

/* 4 * ceil(n / 3) characters. */
char *nx_put_base64(char *p, const void *data, size_t n);

#endif
