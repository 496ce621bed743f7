/* Answers of token endpoints (first byte even) and of AWS STS (odd), and the claims of a fixed token. */
#include <stdlib.h>

#include "tokens/tokens_int.h"

static void check(const struct nx_token_answer *t)
{
	const char *all[] = { t->text, t->access_key_id, t->secret_access_key, t->session_token,
			      t->refresh_token };
	for (size_t i = 0; i < NX_COUNTOF(all); i++)
		if (all[i] && !nx_token_text_ok(nx_str(all[i])))
			abort(); /* it goes into a header */
	if (t->life_s < -1 || t->life_s == 0 || t->life_s > NX_TOKEN_LIFE_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nx_token_answer got;
	struct nx_error err;
	if (size < 2 || size > 65536)
		return 0;
	struct nx_arena *a = nx_arena_new_secret((size_t)4 << 20);
	struct nx_str body =
		a ? nx_arena_str(a, nx_strn((const char *)data + 2, size - 2)) : NX_STR("");
	int status = data[1] ? 200 + data[1] : 200;
	enum nx_code c = data[0] & 1 ? nx_sts_answer(status, body, 1000000000, a, &got, &err)
				     : nx_oauth_answer(status, body, a, &got, &err);
	if (c == NX_OK)
		check(&got);
	if (nx_token_expiry(body) < 0)
		abort();
	nx_arena_free(a);
	return 0;
}
