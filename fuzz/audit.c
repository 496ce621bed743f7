/* A line of an audit file, which somebody may have edited. */
#include <stdlib.h>

#include "stats/audit_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nx_audit_line l;
	if (nx_audit_line_parse(nx_strn((const char *)data, size), &l) &&
	    (l.hash.len != NX_AUDIT_HEX || l.prev.len != NX_AUDIT_HEX ||
	     l.body.ptr + l.body.len != (const char *)data + size))
		abort();
	char name[24];
	size_t n = size < sizeof(name) - 1 ? size : sizeof(name) - 1;
	memcpy(name, data, n);
	name[n] = '\0';
	(void)nx_audit_file_number(name);
	return 0;
}
