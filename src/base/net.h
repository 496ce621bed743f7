/* The network policy behind nexus/net.h: set before sources are opened.
 *
 * In this order: a block of `deny` refuses; a block of `allow` admits; with an `allow` list everything
 * else is refused; link-local addresses, cloud metadata services, multicast and addresses that are
 * no host's are refused; the rest is admitted, loopback and private networks too. An IPv6 address that
 * carries an IPv4 one (NAT64, 6to4) is judged by both. */
#ifndef NX_BASE_NET_H
#define NX_BASE_NET_H

#include "base/cidr.h"
#include "nexus/net.h"

/* Lists as nx_cidr_list_parse() takes them. May be called again while others
 * resolve: connections that are open stay. */
NX_NODISCARD enum nx_code nx_net_policy(struct nx_str allow, struct nx_str deny, struct nx_error *err);
bool nx_net_allowed(const struct nx_ip *ip);

#endif
