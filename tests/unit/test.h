/* A unit test runner: each case in its own process with a time limit, results as TAP.
 *
 *	NX_TEST(name) { NX_EQ_I(2, 1 + 1); }
 *
 * A failed assertion prints both sides and ends the case. NX_SKIP says why and ends it as skipped. */
#ifndef NX_TEST_H
#define NX_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "nexus/attr.h"
#include "nexus/str.h"

typedef void nx_test_fn(void);
void nx_test_register(const char *name, nx_test_fn *fn, unsigned seconds);

#define NX_TEST_FOR(name, seconds)                                        \
	static void test_##name(void);                                    \
	__attribute__((constructor)) static void register_##name(void)    \
	{                                                                 \
		nx_test_register(#name, test_##name, seconds);            \
	}                                                                 \
	static void test_##name(void)
#define NX_TEST(name) NX_TEST_FOR(name, 60)

NX_NORETURN void nx_test_fail(const char *file, int line, const char *fmt, ...) NX_PRINTF(3, 4);
NX_NORETURN void nx_test_skip(const char *why);
void nx_test_eq_i(const char *file, int line, const char *what, int64_t want, int64_t got);
void nx_test_eq_s(const char *file, int line, const char *what, struct nx_str want, struct nx_str got);

#define NX_CHECK(cond)                                                             \
	do {                                                                       \
		if (!(cond))                                                       \
			nx_test_fail(__FILE__, __LINE__, "not true: %s", #cond);   \
	} while (0)
#define NX_EQ_I(want, got) \
	nx_test_eq_i(__FILE__, __LINE__, #got, (int64_t)(want), (int64_t)(got))
#define NX_EQ_S(want, got) nx_test_eq_s(__FILE__, __LINE__, #got, nx_str(want), nx_str(got))
#define NX_EQ_STR(want, got) nx_test_eq_s(__FILE__, __LINE__, #got, want, got)
#define NX_SKIP(why) nx_test_skip(why)

#endif
