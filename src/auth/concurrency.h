/* How many queries somebody has under way at once.
 *
 * A counter per key (a principal, or a principal at a source) while it is not 0: memory is bounded by the
 * queries under way. Threads: any; sharded, a look-up under a lock each. */
#ifndef NX_AUTH_CONCURRENCY_H
#define NX_AUTH_CONCURRENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "nexus/attr.h"

struct nx_concurrency;

struct nx_concurrency *nx_concurrency_new(void); /* NULL: no memory */
void nx_concurrency_free(struct nx_concurrency *c); /* NULL is fine */
/* One more under this key, unless it has `most` already, or memory is out: false. */
NX_NODISCARD bool nx_concurrency_take(struct nx_concurrency *c, uint64_t key, uint32_t most);
void nx_concurrency_give(struct nx_concurrency *c, uint64_t key); /* one that was taken */
uint32_t nx_concurrency_keys(struct nx_concurrency *c); /* with something under way; for tests */

#endif
