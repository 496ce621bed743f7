/* Rate limits: token buckets by key (a principal, an address) in a table of fixed size.
 *
 * A bucket holds up to `burst` tokens and gets `rate` a second. The table forgets full buckets first,
 * which loses nothing; only when every place of a set is in use is the fullest one forgotten.
 * Threads: any; a call holds one of 64 locks for some instructions and never blocks on anything else. */
#ifndef NX_AUTH_RATELIMIT_H
#define NX_AUTH_RATELIMIT_H

#include "nexus/attr.h"
#include "nexus/str.h"

struct nx_ratelimit;

struct nx_rate { /* a bucket as a caller may be told */
	uint32_t limit;     /* tokens of a full bucket */
	uint32_t remaining; /* tokens now */
	uint32_t reset_s;   /* seconds until it is full, rounded up */
	uint32_t retry_s;   /* refused: seconds until a token, at least 1; else 0 */
	bool first;         /* refused for the first time since the last token was taken */
};

#define NX_RATE_MAX 1000000u /* of `rate` and `burst` */

/* `rate` tokens a second (0: no limit; to NX_RATE_MAX), `burst` (0: two seconds' worth), `slots` buckets
 * at most (0: 16384; 16 bytes each). NULL: out of memory. */
struct nx_ratelimit *nx_ratelimit_new(uint32_t rate, uint32_t burst, uint32_t slots);
void nx_ratelimit_free(struct nx_ratelimit *l); /* NULL is fine */
/* Another rate and burst from now on; buckets keep the time they need to be full. */
void nx_ratelimit_set(struct nx_ratelimit *l, uint32_t rate, uint32_t burst);
/* False: there is no limit, and the functions below must not be called. */
bool nx_ratelimit_on(const struct nx_ratelimit *l);

/* Takes a token; false: there is none. *ret is filled either way. `now` in nanoseconds. */
NX_NODISCARD bool nx_ratelimit_take(struct nx_ratelimit *l, uint64_t key, int64_t now,
				    struct nx_rate *ret);
/* True: no bucket of the table can be empty, whatever the key. A comparison. */
bool nx_ratelimit_quiet(const struct nx_ratelimit *l, int64_t now);
/* Would a token be there? */
NX_NODISCARD bool nx_ratelimit_ready(struct nx_ratelimit *l, uint64_t key, int64_t now,
				     struct nx_rate *ret);
/* The key of an address: IPv6 addresses of one /64 are one client. */
uint64_t nx_ratelimit_address(const uint8_t ip[16]);

#endif
