/* What stands at the door besides the credentials: where a request really comes from and how many
 * may come. Threads: any; nothing here blocks. */
#ifndef NX_GATE_GUARD_H
#define NX_GATE_GUARD_H

#include "nexus/error.h"
#include "nexus/option.h"

struct nx_guard;
struct nx_request;

NX_NODISCARD enum nx_code nx_guard_open(const struct nx_options *config, struct nx_guard **ret,
					struct nx_error *err);
void nx_guard_free(struct nx_guard *g); /* NULL is fine */

/* Before credentials are looked at: sets r->client. RATE_LIMITED while that address has used up its
 * failed attempts, so that the right guess does not show either. */
NX_NODISCARD enum nx_code nx_guard_arrive(struct nx_request *r);
/* The credentials were refused: counts against the address. */
void nx_guard_failed(struct nx_request *r);
/* r->who is known: takes one of its requests, or RATE_LIMITED. */
NX_NODISCARD enum nx_code nx_guard_known(struct nx_request *r);

#endif
