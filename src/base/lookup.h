/* Host names to addresses within a deadline. The C library's getaddrinfo() knows none and cannot be ended, so a
 * lookup runs in a thread of its own; who waits for it may leave. Lookups of one name are shared, so a name server
 * that keeps silent holds one thread per name, and NX_LOOKUPS_MAX at most.
 * Numeric hosts, in any spelling the C library takes ("0x7f000001"), never wait.
 * Threads: any. */
#ifndef NX_BASE_LOOKUP_H
#define NX_BASE_LOOKUP_H

#include "base/cidr.h"
#include "nexus/attr.h"

#define NX_LOOKUP_ADDRS 16 /* of a name; the rest is not looked at */
#define NX_LOOKUPS_MAX 32  /* at a time, in the process */

struct nx_lookup_addrs {
	uint32_t n;
	struct nx_ip at[NX_LOOKUP_ADDRS]; /* in the resolver's order */
};

/* deadline: nx_now() ns. SOURCE_DOWN: no such name, or too many lookups; CONNECT_TIMEOUT; MEMORY. */
NX_NODISCARD enum nx_code nx_look_up(const char *host, int64_t deadline, struct nx_lookup_addrs *ret,
				     struct nx_error *err);

#endif
