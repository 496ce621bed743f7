/* YAML of a configuration or an import: a tree or one error, never more. The tree is what JSON could have made:
 * written as JSON it is read again, for that is how a data source's config is stored. */
#include <stdlib.h>

#include "gate/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nx_arena *a = nx_arena_new(16 << 20);
	const struct nx_json *v = NULL, *again;
	struct nx_error err;
	enum nx_code c =
		a ? nx_yaml_parse(nx_strn((const char *)data, size), a, &v, &err) : NX_E_MEMORY;
	if (c && c != NX_E_CONFIG && c != NX_E_MEMORY)
		abort();
	if (!c && v) {
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
