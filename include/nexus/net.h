/* Where a driver may connect to: names are resolved here, and each address is held against the
 * network policy. A driver connects to an address it got here, never to a name again, so that a name
 * which changes its address between the check and the connect (DNS rebinding) gains nothing.
 * A library that insists on resolving for itself gets nx_net_peer() asked about its socket before
 * anything is sent.
 *
 * Threads: any. Resolving blocks until the deadline at most. */
#ifndef NEXUS_NET_H
#define NEXUS_NET_H

#include "nexus/error.h"

#define NX_NET_MAX 8        /* addresses of a name that are tried */
#define NX_NET_ADDR_LEN 46

struct nx_net_addrs {
	uint32_t n; /* 0: a socket file, the host is its path */
	char text[NX_NET_MAX][NX_NET_ADDR_LEN]; /* allowed ones, in the resolver's order */
};

/* deadline: monotonic ns. HOST_DENIED when no address is allowed; SOURCE_DOWN when the name has none;
 * CONNECT_TIMEOUT. A host that begins with '/' is a socket file and judged as 127.0.0.1 is. */
NX_NODISCARD enum nx_code nx_net_resolve(const char *host, int64_t deadline, struct nx_net_addrs *ret,
					 struct nx_error *err);
/* Is the peer of a connected socket allowed? HOST_DENIED; also when it cannot be told. */
NX_NODISCARD enum nx_code nx_net_peer(int fd, struct nx_error *err);

#endif
