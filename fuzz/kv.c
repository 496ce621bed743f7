/* What a Vault answers (first byte even: a secret; odd: a token), and references to it. */
#include <stdlib.h>

#include "secrets/secrets_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct nx_json *o;
	struct nx_kv_token t;
	struct nx_kv_ref r;
	struct nx_str text;
	struct nx_error err;
	if (size < 2 || size > 65536)
		return 0;
	struct nx_arena *a = nx_arena_new_secret((size_t)4 << 20);
	struct nx_str body =
		a ? nx_arena_str(a, nx_strn((const char *)data + 2, size - 2)) : NX_STR("");
	int status = data[1] ? 200 + data[1] : 200;
	if (data[0] & 1) {
		if (nx_kv_token_answer(body, a, &t) &&
		    (t.ttl_s < 0 || (t.text.len && t.text.ptr[0] <= ' ')))
			abort();
	} else if (nx_kv_answer(status, body, NX_STR("a/b"), a, &o, &err) == NX_OK) {
		for (const struct nx_json *m = o->first; m; m = m->next)
			if (nx_kv_pick(o, m->key, a, &text, &err) == NX_OK &&
			    strlen(text.ptr) != text.len)
				abort();
	}
	if (nx_kv_ref_parse(body, &r, &err) == NX_OK &&
	    memmem(r.path.ptr, r.path.len, "..", 2) == r.path.ptr && r.path.len == 2)
		abort();
	nx_arena_free(a);
	return 0;
}
