/* The traceparent header: anybody writes it. What parses is valid as W3C Trace Context has it, and as text
 * again it is the same. */
#include <stdlib.h>

#include "stats/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t zeros[16];
	uint8_t id[16], parent[8];
	bool sampled;
	struct nx_str s = nx_strn((const char *)data, size);
	if (!nx_traceparent_parse(s, id, parent, &sampled))
		return 0;
	char text[NX_TRACEPARENT_LEN + 1];
	nx_traceparent_text(id, parent, text);
	if (memcmp(id, zeros, sizeof(id)) == 0 || memcmp(parent, zeros, sizeof(parent)) == 0 ||
	    memcmp(text + 3, s.ptr + 3, 50) != 0)
		abort();
	return 0;
}
