/* Parameters: counted and rewritten from the tokens that were judged. */
#ifndef NX_SQL_PARAMS_H
#define NX_SQL_PARAMS_H

#include "nexus/arena.h"
#include "sql/lex.h"

/* Copies sql, whose tokens are t[0..n-1], with each ? replaced by `placeholder`, in which %u is the
 * parameter's number from 1; ?? becomes ?. *ret is in the arena and NUL-terminated. */
NX_NODISCARD enum nx_code nx_params_rewrite(struct nx_str sql, const struct nx_token *t, uint32_t n,
					    const char *placeholder, uint64_t lex,
					    struct nx_arena *a, struct nx_str *ret,
					    uint32_t *nparams, struct nx_error *err);

#endif
