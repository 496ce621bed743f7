/* The head of another service's answer, a line at a time. */
#include "outbound/outbound_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nx_outbound_head h = { 0 };
	size_t from = 0;
	for (size_t i = 0; i <= size; i++) {
		if (i < size && data[i] != '\n')
			continue;
		nx_outbound_head_line(&h, nx_strn((const char *)data + from, i - from));
		from = i + 1;
		if (h.max_age_s > NX_OUTBOUND_AGE_MAX || h.retry_after_s > NX_OUTBOUND_AGE_MAX)
			abort();
	}
	return 0;
}
