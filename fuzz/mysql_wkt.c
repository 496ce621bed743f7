/* Geometry as MySQL sends it, into text: no crash, bounded, and what it accepts it printed. */
#include "../src/drivers/mysql/mysql_int.h"

#include "nexus/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nx_buf text;
	nx_buf_init(&text, 1 << 20);
	if (my_wkt(data, size, &text) && text.len < 8)
		abort();
	nx_buf_done(&text);
	return 0;
}
