/* What the HTTP client keeps of an answer's head; private to the folder. */
#ifndef NX_OUTBOUND_INT_H
#define NX_OUTBOUND_INT_H

#include "outbound/outbound.h"

#define NX_OUTBOUND_AGE_MAX (365u * 24 * 3600) /* seconds; a longer max-age or Retry-After means this */

struct nx_outbound_head {
	uint32_t max_age_s;     /* as in the answer */
	uint32_t retry_after_s;
	bool fresh_never;       /* no-store or no-cache was among the directives */
};

/* One line of the head, with or without its line end; a status line starts over (after 100 Continue). */
void nx_outbound_head_line(struct nx_outbound_head *h, struct nx_str line);

#endif
