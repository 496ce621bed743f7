#include "auth/grants.h"

#include <stdio.h>
#include <stdlib.h>

#include "auth/auth_int.h"
#include "base/clock.h"
#include "base/json.h"
#include "store/store.h"
#include "test.h"

static struct nx_store *store;
static struct nx_grant_limits limits;
static struct nx_error err;

static struct nx_grants *start(bool open_default)
{
	struct nx_grants *g;
	if (!store)
		NX_EQ_I(NX_OK, nx_store_open(":memory:", &store, NULL));
	NX_EQ_I(NX_OK, nx_grants_open(store, open_default, &g, NULL));
	return g;
}

static enum nx_code set(struct nx_grants *g, const char *source, const char *list)
{
	struct nx_arena *a = nx_arena_new(0);
	const struct nx_json *j = NULL;
	if (list)
		NX_EQ_I(NX_OK, nx_json_parse(nx_str(list), a, &j, NULL));
	enum nx_code c = nx_grants_set(g, nx_str(source), j, &err);
	nx_arena_free(a);
	return c;
}

static bool may(struct nx_grants *g, const char *source, const char *who, enum nx_role role)
{
	struct nx_principal p = { .role = role };
	NX_CHECK(nx_principal_name(&p, nx_str(who)));
	return nx_grants_check(g, nx_str(source), &p, &limits);
}

NX_TEST(the_default_and_lists)
{
	struct nx_grants *g = start(true);
	NX_CHECK(may(g, "a", "alice", NX_ROLE_AGENT));
	NX_EQ_I(NX_OK,
		set(g, "a", "[{\"principal\":\"alice\"},{\"role\":\"analyst\",\"maxRows\":7}]"));
	NX_CHECK(may(g, "a", "alice", NX_ROLE_AGENT));
	NX_CHECK(!may(g, "a", "bob", NX_ROLE_AGENT));
	NX_CHECK(!may(g, "a", "bob", NX_ROLE_OPERATOR));
	NX_CHECK(may(g, "a", "bob", NX_ROLE_ANALYST) && limits.max_rows == 7);
	NX_CHECK(may(g, "a", "alice", NX_ROLE_ANALYST) && limits.max_rows == 0);
	NX_CHECK(may(g, "a", "root", NX_ROLE_ADMIN));
	NX_CHECK(may(g, "b", "bob", NX_ROLE_AGENT));
	NX_CHECK(!may(g, "a", "analyst", NX_ROLE_AGENT)); /* a role is no name */
	NX_EQ_I(NX_OK, set(g, "a", "[]"));
	NX_CHECK(!may(g, "a", "alice", NX_ROLE_AGENT) && may(g, "a", "root", NX_ROLE_ADMIN));
	nx_grants_free(g);
	g = start(false); /* what is stored comes back */
	NX_CHECK(!may(g, "a", "alice", NX_ROLE_AGENT));
	NX_EQ_I(NX_OK, set(g, "a", NULL));
	NX_CHECK(!may(g, "a", "alice", NX_ROLE_AGENT)); /* the default is none now */
	NX_EQ_I(NX_OK, set(g, "a", "[{\"role\":\"agent\",\"timeout\":1.5,\"maxBytes\":1000}]"));
	NX_CHECK(may(g, "a", "alice", NX_ROLE_AGENT));
	NX_EQ_I(1500, limits.timeout_ms);
	NX_EQ_I(1000, limits.max_bytes);
	nx_grants_free(g);
	nx_store_close(store);
}

NX_TEST(bad_lists_change_nothing)
{
	static const char *const bad[] = {
		"{}",
		"[1]",
		"[{}]",
		"[{\"role\":\"emperor\"}]",
		"[{\"principal\":\"\"}]",
		"[{\"principal\":\"a\",\"role\":\"agent\"}]",
		"[{\"principal\":\"a\",\"maxRows\":0}]",
		"[{\"principal\":\"a\",\"maxRows\":\"7\"}]",
		"[{\"principal\":\"a\",\"x\":1}]",
		"[{\"principal\":\"a\"},{\"principal\":\"a\"}]",
		"[{\"principal\":\"a\\u0000b\"}]",
		"[{\"principal\":5}]",
		"[{\"principal\":\"a\",\"timeout\":-1}]",
		"[{\"principal\":\"a\",\"maxBytes\":1e300}]",
		"\"all\"",
	};
	struct nx_grants *g = start(true);
	NX_EQ_I(NX_OK, set(g, "a", "[{\"principal\":\"alice\"}]"));
	for (size_t i = 0; i < NX_COUNTOF(bad); i++)
		if (set(g, "a", bad[i]) == NX_OK)
			nx_test_fail(__FILE__, __LINE__, "%s was accepted", bad[i]);
	NX_CHECK(may(g, "a", "alice", NX_ROLE_AGENT) && !may(g, "a", "a", NX_ROLE_AGENT));
	nx_grants_free(g);
	nx_store_close(store);
}

NX_TEST(claims_narrow)
{
	struct nx_jwt_rules r = { .leeway_s = 0 };
	struct nx_arena *a = nx_arena_new(0);
	struct nx_principal p;
	struct nx_str c =
		NX_STR("{\"sub\":\"x\",\"role\":\"admin\",\"exp\":9,\"sources\":[\"a\",\"b\"]}");
	NX_EQ_I(NX_OK, nx_jwt_claims(&r, NULL, c, 1, a, &p, &err));
	NX_CHECK(nx_principal_sees(&p, NX_STR("a")) && nx_principal_sees(&p, NX_STR("b")));
	NX_CHECK(!nx_principal_sees(&p, NX_STR("c")) && !nx_principal_sees(&p, NX_STR("")));
	c = NX_STR("{\"sub\":\"x\",\"role\":\"admin\",\"exp\":9,\"sources\":[]}");
	NX_EQ_I(NX_OK, nx_jwt_claims(&r, NULL, c, 1, a, &p, &err));
	NX_CHECK(p.narrowed && !nx_principal_sees(&p, NX_STR("a")));
	static const char *const bad[] = { "\"a\"", "[1]", "{}", "null",
					   "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]" };
	for (size_t i = 0; i < NX_COUNTOF(bad); i++) {
		char text[200];
		(void)snprintf(text, sizeof(text),
			       "{\"sub\":\"x\",\"role\":\"admin\",\"exp\":9,\"sources\":%s}",
			       bad[i]);
		NX_EQ_I(NX_E_UNAUTHENTICATED,
			nx_jwt_claims(&r, NULL, nx_str(text), 1, a, &p, &err));
	}
	nx_arena_free(a);
}

NX_TEST(cost)
{
	struct nx_grants *g = start(true);
	struct nx_principal p = { .role = NX_ROLE_ANALYST };
	NX_CHECK(nx_principal_name(&p, NX_STR("alice")));
	struct nx_str id = NX_STR("0a1b2c3d-0000-4000-8000-000000000000");
	enum { N = 1000000 };
	int64_t t[3], ok = 0;
	t[0] = nx_now();
	for (int i = 0; i < N; i++)
		ok += nx_grants_check(g, id, &p, &limits);
	t[1] = nx_now();
	NX_EQ_I(NX_OK, set(g, id.ptr, "[{\"principal\":\"bob\"},{\"role\":\"analyst\"}]"));
	t[2] = nx_now();
	for (int i = 0; i < N; i++)
		ok += nx_grants_check(g, id, &p, &limits);
	printf("# no list %.1f ns, a list %.1f ns (%lld)\n", (double)(t[1] - t[0]) / N,
	       (double)(nx_now() - t[2]) / N, (long long)ok);
	nx_grants_free(g);
	nx_store_close(store);
}
