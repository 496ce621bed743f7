/* Other gateways on the same metadata store: what they changed is taken over here.
 *
 * One thread, only when the store is shared. It reads the store's counter of changes once in a while and, when
 * it moved, loads API keys, grants and data sources anew. While the store is away everything stays as it is; the
 * thread is also who finds out that it is back. */
#ifndef NX_GATE_PEERS_H
#define NX_GATE_PEERS_H

#include "nexus/error.h"

struct nx_gateway;
struct nx_options;
struct nx_peers;
struct nx_store;

/* The store that the configuration names. */
NX_NODISCARD enum nx_code nx_gate_open_store(const struct nx_options *o, struct nx_store **ret,
					     struct nx_error *err);

/* `interval` in ns. */
NX_NODISCARD enum nx_code nx_peers_start(struct nx_gateway *gw, int64_t interval, struct nx_peers **ret,
					 struct nx_error *err);
/* NULL is fine. Waits for a look that is under way. */
void nx_peers_stop(struct nx_peers *p);

#endif
