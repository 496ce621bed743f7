/* The scripted driver: what a source does wrong, on order. README.md has the words. */
#ifndef NX_FAKE_INT_H
#define NX_FAKE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "nexus/builder.h"
#include "nexus/driver.h"

extern const struct nx_driver nx_driver_fake;

enum { FAKE_COLS = 64 };

/* FAKE_WORD(name, default): a number in the script; -1: not given. */
#define FAKE_WORDS                                                                       \
	FAKE_WORD(rows, 1)                                                               \
	FAKE_WORD(batch, 1000)    /* rows a batch */                                     \
	FAKE_WORD(bytes, 8)       /* length of strings */                                \
	FAKE_WORD(nulls, 0)       /* every n-th row is null but for the first column */  \
	FAKE_WORD(first_ms, 0)    /* before query() returns */                           \
	FAKE_WORD(delay_ms, 0)    /* before each batch */                                \
	FAKE_WORD(error_after, -1)                                                       \
	FAKE_WORD(die_after, -1)                                                         \
	FAKE_WORD(hang_after, -1)                                                        \
	FAKE_WORD(hang, -1)       /* in query() */                                       \
	FAKE_WORD(deaf, -1)       /* cancel does nothing */                              \
	FAKE_WORD(lost_first, 0)  /* the first n queries of the source lose their connection */ \
	FAKE_WORD(dirty, -1)      /* wants reset() */                                    \
	FAKE_WORD(broken, -1)     /* unusable afterwards */                              \
	FAKE_WORD(stats, -1)      /* one row about the source */

struct fake_script {
#define FAKE_WORD(name, fallback) int64_t name;
	FAKE_WORDS
#undef FAKE_WORD
	enum nx_code error;         /* of error_after */
	enum nx_code prepare_error; /* NX_OK: none */
	struct nx_str echo;         /* value of the string columns; ptr NULL: none */
	enum nx_type types[FAKE_COLS];
	uint32_t ncols;
};

NX_NODISCARD enum nx_code fake_parse(const struct nx_query *q, struct fake_script *ret,
				     struct nx_error *err);

enum nx_layout fake_layout(enum nx_type t);
/* Value of column `col` in row `row` (from 1). */
void fake_put(struct nx_builder *b, uint32_t col, const struct fake_script *s, int64_t row);

#endif
