/* IP addresses and address blocks ("10.0.0.0/8", "fe80::/10", a lone address).
 *
 * An address is always 16 bytes; IPv4 is kept in its mapped form (::ffff:a.b.c.d), so "127.0.0.1" and
 * "::ffff:127.0.0.1" are the same. A block of IPv6 never matches an IPv4 address, however short its
 * prefix. Threads: plain values; a list is read-only once parsed. */
#ifndef NX_BASE_CIDR_H
#define NX_BASE_CIDR_H

#include "nexus/error.h"
#include "nexus/str.h"

struct sockaddr;

struct nx_ip {
	uint8_t b[16];
};

struct nx_cidr {
	struct nx_ip net; /* bits beyond `bits` are zero */
	uint8_t bits;     /* 0..128, of the 16 bytes: an IPv4 /8 is 104 */
};

struct nx_cidr_list {
	struct nx_cidr *at; /* heap; NULL when n is 0 */
	uint32_t n;
};

#define NX_CIDR_MAX 1024 /* blocks in a list */
#define NX_IP_TEXT 46

/* Dotted quad (four decimal numbers, no leading zero) or IPv6; no zone, no port, no brackets. */
NX_NODISCARD bool nx_ip_parse(struct nx_str s, struct nx_ip *ret);
/* False: of another family. */
NX_NODISCARD bool nx_ip_of_sockaddr(const struct sockaddr *sa, struct nx_ip *ret);
bool nx_ip_is_v4(const struct nx_ip *ip);
void nx_ip_text(const struct nx_ip *ip, char ret[NX_IP_TEXT]); /* IPv4 as a dotted quad */

/* Bits beyond the prefix must be zero: "10.1.2.3/8" is a mistake and refused. */
NX_NODISCARD bool nx_cidr_parse(struct nx_str s, struct nx_cidr *ret);
bool nx_cidr_has(const struct nx_cidr *c, const struct nx_ip *ip);

/* Blocks separated by commas or blanks; empty: an empty list. CONFIG names the bad one. */
NX_NODISCARD enum nx_code nx_cidr_list_parse(struct nx_str s, struct nx_cidr_list *ret,
					     struct nx_error *err);
void nx_cidr_list_done(struct nx_cidr_list *l);
bool nx_cidr_list_has(const struct nx_cidr_list *l, const struct nx_ip *ip);

/* One value of X-Forwarded-For, from its right end: while *at is a trusted proxy, *at becomes the
 * address that proxy wrote down (a port behind it is dropped). True: all of the value was used and *at
 * is trusted still, so the value before it counts, too. What is no address ends the walk. */
bool nx_forwarded_for(const struct nx_cidr_list *trusted, struct nx_str value, struct nx_ip *at);

#endif
