/* Request JSON: a tree or BAD_JSON, never more; what was read is written and read again. */
#include <stdlib.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nx_arena *a = nx_arena_new(16 << 20);
	const struct nx_json *v, *again;
	struct nx_error err;
	if (a && nx_json_parse(nx_strn((const char *)data, size), a, &v, &err) == NX_OK) {
		struct nx_buf out;
		nx_buf_init(&out, 64 << 20);
		nx_json_write(v, &out);
		if (!out.failed &&
		    nx_json_parse(nx_strn(out.data, out.len), a, &again, &err) != NX_OK &&
		    err.code != NX_E_MEMORY)
			abort();
		nx_buf_done(&out);
	}
	nx_arena_free(a);
	return 0;
}
