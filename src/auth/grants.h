/* Who may see and query which data source, and within which limits.
 *
 * A source has a list of grants, or none at all; then the default says. A list names principals and
 * roles; a principal's own entry counts before its role's. Admins see everything, for they could grant
 * it to themselves. Lists live in the store and in memory. Threads: any; a check holds a read lock for
 * some instructions, and costs a comparison while no list exists. */
#ifndef NX_AUTH_GRANTS_H
#define NX_AUTH_GRANTS_H

#include "auth/auth.h"
#include "nexus/buf.h"

struct nx_grants;
struct nx_json;

#define NX_GRANT_USE 128

struct nx_grant_limits { /* 0: none */
	uint64_t max_rows, max_bytes;
	int64_t timeout_ms;
	uint32_t max_concurrent; /* queries of the principal at the source at once */
	char use[NX_GRANT_USE]; /* the data source that stands in, with a login of its own; empty: none */
};

#define NX_GRANTS_MAX 1000 /* entries of one list */

/* `open_default`: a source without a list is everybody's. */
NX_NODISCARD enum nx_code nx_grants_open(struct nx_store *store, bool open_default,
					 struct nx_grants **ret, struct nx_error *err);
void nx_grants_free(struct nx_grants *g); /* NULL is fine */

/* Takes over what the store has: others may have changed it. Blocks. */
NX_NODISCARD enum nx_code nx_grants_sync(struct nx_grants *g, struct nx_error *err);
bool nx_grants_empty(const struct nx_grants *g); /* no source has a list */
/* `source` is what lists are kept under: an id that does not change. *ret is set when true. */
NX_NODISCARD bool nx_grants_check(struct nx_grants *g, struct nx_str source,
				  const struct nx_principal *p, struct nx_grant_limits *ret);
/* Replaces the list: an array of {principal|role, maxRows?, maxBytes?, timeout?,
 * maxConcurrent?, use?}. An empty array: only
 * admins. Durable when it returns. NULL: takes the list away. */
NX_NODISCARD enum nx_code nx_grants_set(struct nx_grants *g, struct nx_str source,
					const struct nx_json *list, struct nx_error *err);
/* Appends the list as JSON; false, and nothing: there is none. */
bool nx_grants_write(struct nx_grants *g, struct nx_str source, struct nx_buf *out);

#endif
