/* Foreign tokens: the whole token, and behind its signature the head and the payload on their own, so
 * that the fuzzer gets past the MAC. A token that passes without our secret is a bug. */
#include <stdlib.h>

#include "auth/auth_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct nx_jwt_rules rules;
	if (!rules.hmac) {
		unsigned char secret[32];
		if (!nx_random(secret, sizeof(secret)))
			abort();
		rules.hmac = nx_hmac_new(nx_strn((char *)secret, sizeof(secret)));
		rules.audience = NX_STR("nexus");
		struct nx_auth_config cfg = { .subject_claim = "https://example.com/user",
					      .roles_claim = "realm_access.roles",
					      .role_map = "dba=admin; cn=x,ou=y=agent" };
		if (nx_claim_map_init(&rules.map, &cfg, NULL))
			abort();
	}
	struct nx_str s = nx_strn((const char *)data, size);
	struct nx_principal p = { .role = NX_ROLE_COUNT };
	struct nx_jwt_head head = { 0 };
	uint64_t gen = 0;
	struct nx_error err;
	unsigned char bytes[NX_TOKEN_MAX];
	char text[NX_TOKEN_MAX * 2];
	if (nx_jwt_verify(&rules, s, 1000000, &p, &gen, &err) == NX_OK || p.role != NX_ROLE_COUNT)
		abort();
	struct nx_arena *a = nx_arena_new(1 << 20);
	if (nx_jwt_head(s, a, &head, &err) == NX_OK && head.kid.len > NX_KID_MAX)
		abort();
	for (int own = 0; own < 2; own++)
		if (nx_jwt_claims(&rules, own ? NULL : &rules.map, s, 1000000, a, &p, &err) ==
			    NX_OK &&
		    (p.role >= NX_ROLE_COUNT || p.expires <= 1000000 || !p.name[0] ||
		     p.name[sizeof(p.name) - 1]))
			abort();
	nx_arena_free(a);
	int n = nx_b64url_decode(s, bytes);
	if (n >= 0 &&
	    (nx_b64url_encode(bytes, (size_t)n, text) != size || memcmp(text, data, size) != 0))
		abort();
	return 0;
}
