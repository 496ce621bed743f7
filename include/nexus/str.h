/* String slices: pointer and length, not NUL-terminated, never owning.
 * Threads: plain values. A slice is valid as long as what it points into. */
#ifndef NEXUS_STR_H
#define NEXUS_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "nexus/attr.h"

struct nx_str {
	const char *ptr; /* may be NULL when len is 0 */
	size_t len;
};

#define NX_STR(literal) ((struct nx_str){ "" literal, sizeof(literal) - 1 })
#define NX_STR_INIT(literal) { "" literal, sizeof(literal) - 1 }
#define NX_STR_FMT "%.*s"
#define NX_STR_ARG(s) (int)((s).len > 0x7fffffff ? 0x7fffffff : (s).len), (s).ptr

static inline struct nx_str nx_str(const char *cstr)
{
	return (struct nx_str){ cstr, cstr ? strlen(cstr) : 0 };
}

static inline struct nx_str nx_strn(const char *ptr, size_t len)
{
	return (struct nx_str){ ptr, len };
}

static inline bool nx_str_eq(struct nx_str a, struct nx_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* < 0, 0, > 0: by bytes, the shorter first. */
static inline int nx_str_cmp(struct nx_str a, struct nx_str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int d = n ? memcmp(a.ptr, b.ptr, n) : 0;
	return d ? d : (a.len > b.len) - (a.len < b.len);
}

static inline bool nx_str_is(struct nx_str a, const char *cstr)
{
	return nx_str_eq(a, nx_str(cstr));
}

bool nx_str_ieq(struct nx_str a, struct nx_str b); /* ASCII case folded, nothing else */
bool nx_str_starts(struct nx_str s, struct nx_str prefix);
bool nx_str_ends(struct nx_str s, struct nx_str suffix);
struct nx_str nx_str_trim(struct nx_str s); /* ASCII space, tab, CR, LF */

/* Whole-slice numbers: no sign other than a leading '-', no spaces. False: not a number or out of
 * range; *ret untouched. */
NX_NODISCARD bool nx_str_to_i64(struct nx_str s, int64_t *ret);
NX_NODISCARD bool nx_str_to_u64(struct nx_str s, uint64_t *ret);
NX_NODISCARD bool nx_str_to_f64(struct nx_str s, double *ret);

/* Strict UTF-8 (no overlong forms, no surrogates, at most U+10FFFF): the offset of the first bad
 * byte, or s.len when all is well. */
size_t nx_utf8_check(struct nx_str s);

uint64_t nx_str_hash(struct nx_str s); /* for tables inside one process; not stable across builds */

#endif
