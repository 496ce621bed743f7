/* A key set from the network: no crash, and what is taken is public, strong and found again by its kid. */
#include <stdlib.h>

#include "auth/auth_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nx_jwks *s = NULL;
	struct nx_error err;
	if (nx_jwks_parse(nx_strn((const char *)data, size), &s, &err)) {
		if (s)
			abort();
		return 0;
	}
	if (s->n > NX_JWKS_KEYS)
		abort();
	for (uint32_t i = 0; i < s->n; i++) {
		const struct nx_jwk *k = &s->at[i];
		if (!k->algs || (k->algs & ~nx_jwt_algs(k->key)))
			abort();
		if (k->kid_len &&
		    nx_jwks_find(s, nx_strn(k->kid, k->kid_len), k->algs & -k->algs) != k)
			abort();
	}
	nx_jwks_unref(s);
	return 0;
}
