/* Keeps what comes from HashiCorp Vault current: renews the token, reads secrets again when their time is over or
 * when a source has refused one, and replaces the sources that they belong to. One thread, only when
 * vault.kv.address is set. */
#ifndef NX_GATE_RENEWER_H
#define NX_GATE_RENEWER_H

#include "nexus/error.h"

struct nx_catalog;
struct nx_renewer;

NX_NODISCARD enum nx_code nx_renewer_start(struct nx_catalog *c, int64_t ttl_ms, struct nx_renewer **ret,
					  struct nx_error *err);
void nx_renewer_stop(struct nx_renewer *k); /* waits for the request to Vault under way; NULL is fine */
void nx_renewer_free(struct nx_renewer *k); /* stopped before; NULL is fine */
/* A source's login failed: reads everything again, every five seconds at most. Any thread; NULL is fine. */
void nx_renewer_kick(struct nx_renewer *k);

#endif
