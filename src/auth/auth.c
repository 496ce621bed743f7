#include "auth/auth_int.h"

#include <stdlib.h>

#include "base/clock.h"
#include "store/store.h"

#define SECRET_SETTING "auth.secret"
#define SHORT_SECRET "The token secret must have 32 bytes or more."
#define START_WAIT (5 * NX_SEC) /* for an issuer's first keys */

struct nx_auth {
	bool off;
	struct nx_jwt_rules rules;
	struct nx_token_cache *cache;
	struct nx_keys *keys;
	char *issuer, *audience; /* owned copies; NULL: not set */
};

/* ---- roles ---- */

#define MAY(right) (1u << NX_RIGHT_##right)

static const struct {
	const char *name;
	unsigned rights;
} roles[NX_ROLE_COUNT] = {
	[NX_ROLE_AGENT] = { "agent", MAY(QUERY) | MAY(SEE_SOURCES) },
	[NX_ROLE_ANALYST] = { "analyst", MAY(QUERY) | MAY(SEE_SOURCES) },
	[NX_ROLE_OPERATOR] = { "operator", MAY(QUERY) | MAY(SEE_SOURCES) | MAY(TEST_SOURCES) |
						   MAY(SEE_ALL_QUERIES) | MAY(METRICS) },
	[NX_ROLE_ADMIN] = { "admin", ~0u },
};

bool nx_role_may(enum nx_role role, enum nx_right right)
{
	return role < NX_ROLE_COUNT && (unsigned)right < 32 && (roles[role].rights >> right & 1);
}

/* A token or key for some sources administers nothing, and sees nothing that tells of the others. */
#define NOT_NARROWED (MAY(EDIT_SOURCES) | MAY(EDIT_KEYS) | MAY(SEE_ALL_QUERIES) | MAY(METRICS))

bool nx_principal_may(const struct nx_principal *p, enum nx_right right)
{
	unsigned without = p->without | (p->narrowed ? NOT_NARROWED : 0);
	return right == NX_RIGHT_SELF || (nx_role_may(p->role, right) && !(without >> right & 1));
}

static const char *const scopes[] = {
	[NX_RIGHT_QUERY] = "query",
	[NX_RIGHT_SEE_SOURCES] = "sources",
	[NX_RIGHT_SEE_ALL_QUERIES] = "queries",
	[NX_RIGHT_TEST_SOURCES] = "test",
	[NX_RIGHT_EDIT_SOURCES] = "edit",
	[NX_RIGHT_METRICS] = "metrics",
};

bool nx_scope_by_name(struct nx_str s, enum nx_right *ret)
{
	for (size_t i = 0; i < NX_COUNTOF(scopes); i++) {
		if (scopes[i] && nx_str_is(s, scopes[i])) {
			*ret = (enum nx_right)i;
			return true;
		}
	}
	return false;
}

const char *nx_right_name(enum nx_right r)
{
	if (r == NX_RIGHT_EDIT_KEYS)
		return "keys";
	return (size_t)r < NX_COUNTOF(scopes) ? scopes[r] : NULL;
}

void nx_issue_write(const struct nx_issue *q, struct nx_buf *b)
{
	bool any = false;
	if (q->scopes)
		nx_buf_puts(b, ",\"scopes\":[");
	for (size_t i = 0; i < NX_COUNTOF(scopes); i++) {
		if (!scopes[i] || !(q->scopes >> i & 1))
			continue;
		nx_buf_printf(b, "%s\"%s\"", any ? "," : "", scopes[i]);
		any = true;
	}
	if (q->scopes)
		nx_buf_putc(b, ']');
	if (!q->narrowed)
		return;
	nx_buf_puts(b, ",\"sources\":[");
	for (uint32_t i = 0; i < q->nsources; i++) {
		if (i)
			nx_buf_putc(b, ',');
		nx_buf_put_json(b, q->sources[i]);
	}
	nx_buf_putc(b, ']');
}

const char *nx_role_name(enum nx_role r)
{
	return r < NX_ROLE_COUNT ? roles[r].name : "unknown";
}

bool nx_role_by_name(struct nx_str s, enum nx_role *ret)
{
	for (int i = 0; i < NX_ROLE_COUNT; i++) {
		if (nx_str_is(s, roles[i].name)) {
			*ret = (enum nx_role)i;
			return true;
		}
	}
	return false;
}

/* ---- open ---- */

/* From the store, made on first use. The store file is private to the gateway's user. */
static enum nx_code make_secret(struct nx_store *store, struct nx_arena *a, struct nx_str *ret,
				struct nx_error *err)
{
	char made[44];
	uint8_t raw[32];
	if (!nx_random(raw, sizeof(raw)))
		return nx_fail(err, NX_E_INTERNAL, "No random numbers.");
	struct nx_str text =
		nx_arena_str(a, nx_strn(made, nx_b64url_encode(raw, sizeof(raw), made)));
	enum nx_code c = text.ptr ? nx_store_setting_init(store, SECRET_SETTING, text, a, ret, err)
				  : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	nx_wipe(raw, sizeof(raw));
	nx_wipe(made, sizeof(made));
	return c;
}

static enum nx_code stored_secret(struct nx_store *store, struct nx_hmac **ret,
				  struct nx_error *err)
{
	struct nx_arena *a = nx_arena_new(65536);
	struct nx_str text = { 0 };
	enum nx_code c = a ? nx_store_setting_get(store, SECRET_SETTING, a, &text, err)
			   : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (c == NX_E_NOT_FOUND)
		c = make_secret(store, a, &text, err);
	if (!c && text.len < 32)
		c = nx_fail(err, NX_E_STORE_FAILED, "The stored token secret is damaged.");
	if (!c) {
		*ret = nx_hmac_new(text);
		if (!*ret)
			c = nx_fail(err, NX_E_MEMORY, "The token secret cannot be set up.");
	}
	if (text.len)
		nx_wipe((void *)(uintptr_t)text.ptr, text.len);
	nx_arena_free(a);
	return c;
}

static enum nx_code open_secret(struct nx_store *store, struct nx_str secret, struct nx_hmac **ret,
				struct nx_error *err)
{
	if (secret.len == 0)
		return store ? stored_secret(store, ret, err)
			     : nx_fail(err, NX_E_CONFIG,
				       "A token secret or a metadata store is needed.");
	if (secret.len < 32)
		return nx_fail(err, NX_E_CONFIG, SHORT_SECRET);
	*ret = nx_hmac_new(secret);
	return *ret ? NX_OK : nx_fail(err, NX_E_MEMORY, "The token secret cannot be set up.");
}

static bool copy(struct nx_str s, char **owned, struct nx_str *ret)
{
	if (s.len == 0)
		return true;
	*owned = strndup(s.ptr, s.len);
	*ret = nx_str(*owned);
	return *owned != NULL;
}

static const char *given(const char *s)
{
	return s && *s ? s : NULL;
}

/* The keys of somebody else. An issuer serves many: without a required audience or party, a token that it
 * made out for another service would open this one. */
static enum nx_code check_foreign(const struct nx_auth_config *cfg, struct nx_error *err)
{
	const char *file = given(cfg->public_key_file), *url = given(cfg->jwks_url);
	if ((file ? 1 : 0) + (url ? 1 : 0) + (cfg->discovery ? 1 : 0) > 1)
		return nx_fail(err, NX_E_CONFIG,
			       "auth.publicKeyFile, auth.jwksUrl and auth.discovery exclude each "
			       "other.");
	if (!url && !cfg->discovery)
		return NX_OK;
	if (!cfg->issuer.len || (!cfg->audience.len && !given(cfg->parties)))
		return nx_fail(err, NX_E_CONFIG,
			       "An issuer's keys need auth.issuer, and auth.audience or "
			       "auth.authorizedParties.");
	if (cfg->min_age_ms <= 0 || cfg->max_age_ms < cfg->min_age_ms)
		return nx_fail(err, NX_E_CONFIG, "auth.jwksMaxAge is less than auth.jwksMinAge.");
	return NX_OK;
}

enum nx_code nx_auth_config_check(const struct nx_auth_config *cfg, struct nx_error *err)
{
	struct nx_jwt_rules r = { .leeway_s = cfg->leeway_s };
	enum nx_code c = nx_claim_map_init(&r.map, cfg, err);
	nx_claim_map_done(&r.map);
	if (!c && cfg->secret.len && cfg->secret.len < 32)
		c = nx_fail(err, NX_E_CONFIG, SHORT_SECRET);
	if (!c)
		c = check_foreign(cfg, err);
	if (!c && given(cfg->public_key_file))
		c = nx_jwt_public_key(cfg->public_key_file, &r, err);
	EVP_PKEY_free(r.public_key);
	return c;
}

static enum nx_code open_foreign(const struct nx_auth_config *cfg, struct nx_jwt_rules *r,
				 struct nx_error *err)
{
	enum nx_code bad = check_foreign(cfg, err);
	const char *file = given(cfg->public_key_file), *url = given(cfg->jwks_url);
	if (bad || file)
		return bad ? bad : nx_jwt_public_key(file, r, err);
	if (!url && !cfg->discovery)
		return NX_OK;
	struct nx_issuer_config c = {
		.issuer = cfg->issuer,
		.jwks_url = url,
		.ca_file = given(cfg->ca_file),
		.min_age = cfg->min_age_ms * NX_MS,
		.max_age = cfg->max_age_ms * NX_MS,
		.max_stale = cfg->max_stale_ms * NX_MS,
		.cooldown = cfg->cooldown_ms * NX_MS,
		.start_wait = START_WAIT,
	};
	return nx_issuer_open(&c, &r->foreign, err);
}

enum nx_code nx_auth_open(struct nx_store *store, const struct nx_auth_config *cfg,
			  struct nx_auth **ret, struct nx_error *err)
{
	if (cfg->leeway_s > 300)
		return nx_fail(err, NX_E_CONFIG, "The leeway must be 0 to 300 seconds.");
	struct nx_auth *a = calloc(1, sizeof(*a));
	if (!a)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	a->off = cfg->off;
	a->rules.leeway_s = cfg->leeway_s;
	a->cache = nx_token_cache_new(cfg->cache_max ? cfg->cache_max : 10000);
	enum nx_code c = NX_OK;
	if (!a->cache || !copy(cfg->issuer, &a->issuer, &a->rules.issuer) ||
	    !copy(cfg->audience, &a->audience, &a->rules.audience))
		c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!c)
		c = open_secret(store, cfg->secret, &a->rules.hmac, err);
	if (!c)
		c = nx_claim_map_init(&a->rules.map, cfg, err);
	if (!c)
		c = nx_keys_open(store, &a->keys, err);
	if (!c && !cfg->off)
		c = open_foreign(cfg, &a->rules, err);
	if (c) {
		nx_auth_free(a);
		return c;
	}
	*ret = a;
	return NX_OK;
}

void nx_auth_free(struct nx_auth *a)
{
	if (!a)
		return;
	nx_issuer_free(a->rules.foreign);
	nx_claim_map_done(&a->rules.map);
	nx_hmac_free(a->rules.hmac);
	EVP_PKEY_free(a->rules.public_key);
	nx_token_cache_free(a->cache);
	nx_keys_free(a->keys);
	free(a->issuer);
	free(a->audience);
	free(a);
}

/* ---- check ---- */

static enum nx_code check_token(struct nx_auth *a, struct nx_str token, int64_t now,
				struct nx_principal *ret, struct nx_error *err)
{
	uint8_t hash[NX_HASH_LEN];
	if (token.len > NX_TOKEN_MAX)
		return nx_token_refuse(err, "too long");
	if (!nx_sha256(token, hash))
		return nx_fail(err, NX_E_INTERNAL, "The token cannot be checked.");
	uint64_t gen = a->rules.foreign ? nx_issuer_gen(a->rules.foreign) : 0;
	if (nx_token_cache_get(a->cache, hash, now, gen, ret))
		return NX_OK;
	enum nx_code c = nx_jwt_verify(&a->rules, token, now, ret, &gen, err);
	if (!c)
		nx_token_cache_put(a->cache, hash, now, ret->expires - 1, gen, ret);
	return c;
}

bool nx_auth_may_wait(struct nx_auth *a)
{
	return a->rules.foreign && nx_issuer_may_wait(a->rules.foreign);
}

void nx_auth_wait(struct nx_auth *a, int64_t deadline)
{
	if (a->rules.foreign)
		nx_issuer_wait(a->rules.foreign, deadline);
}

void nx_auth_cache_stats(struct nx_auth *a, uint64_t *ret_hits, uint64_t *ret_misses)
{
	nx_token_cache_stats(a->cache, ret_hits, ret_misses);
}

/* The credentials of "Bearer x", RFC 6750 2.1: one space, then no blank. */
static bool bearer(struct nx_str v, struct nx_str *ret)
{
	if (v.len < 8 || !nx_str_ieq(nx_strn(v.ptr, 7), NX_STR("Bearer ")))
		return false;
	*ret = nx_strn(v.ptr + 7, v.len - 7);
	return true;
}

enum nx_code nx_auth_check(struct nx_auth *a, struct nx_str authorization, struct nx_str api_key,
			   struct nx_principal *ret, struct nx_error *err)
{
	if (a->off) {
		struct nx_principal p = { .role = NX_ROLE_ADMIN };
		if (!nx_principal_name(&p, NX_STR("anonymous")))
			return nx_fail(err, NX_E_INTERNAL, "The principal cannot be set up.");
		*ret = p;
		return NX_OK;
	}
	int64_t now = nx_wall_us() / 1000000;
	struct nx_str token = { 0 };
	if (authorization.len && api_key.len)
		return nx_fail(err, NX_E_UNAUTHENTICATED,
			       "Send a bearer token or an API key, not both.");
	if (api_key.len)
		return nx_keys_check(a->keys, api_key, now, ret, err);
	if (authorization.len == 0)
		return nx_fail(err, NX_E_UNAUTHENTICATED,
			       "A bearer token or an API key is needed.");
	if (!bearer(authorization, &token))
		return nx_fail(err, NX_E_UNAUTHENTICATED,
			       "The Authorization header must be a bearer token.");
	/* many clients can only send bearer tokens */
	if (nx_str_starts(token, NX_STR("nxk_")))
		return nx_keys_check(a->keys, token, now, ret, err);
	return check_token(a, token, now, ret, err);
}

/* ---- issue ---- */

enum nx_code nx_auth_issue_jwt(struct nx_auth *a, const struct nx_issue *q, char ret[1024],
			       struct nx_error *err)
{
	struct nx_principal p;
	if (q->ttl_s == 0)
		return nx_fail(err, NX_E_BAD_VALUE, "A token must expire.");
	if (q->role >= NX_ROLE_COUNT)
		return nx_fail(err, NX_E_BAD_VALUE, "The role is not known.");
	if (!nx_principal_name(&p, q->name) || nx_str_starts(q->name, NX_STR("key:")) ||
	    nx_str_is(q->name, "anonymous"))
		return nx_fail(err, NX_E_BAD_VALUE,
			       "The subject must have 1 to 127 bytes, no control "
			       "characters, and not be reserved.");
	int64_t now = nx_wall_us() / 1000000;
	struct nx_buf b;
	nx_buf_init(&b, 4096);
	nx_buf_puts(&b, "{\"iss\":");
	nx_buf_put_json(&b, a->rules.issuer.len ? a->rules.issuer : NX_STR("nexus"));
	nx_buf_puts(&b, ",\"aud\":");
	nx_buf_put_json(&b, a->rules.audience.len ? a->rules.audience : NX_STR("nexus"));
	nx_buf_puts(&b, ",\"sub\":");
	nx_buf_put_json(&b, q->name);
	nx_buf_printf(&b, ",\"role\":\"%s\",\"iat\":%lld,\"exp\":%lld", nx_role_name(q->role),
		      (long long)now, (long long)(now + q->ttl_s));
	nx_issue_write(q, &b);
	nx_buf_putc(&b, '}');
	enum nx_code c = b.failed ? nx_fail(err, NX_E_BAD_VALUE, "The token would be too long.")
				  : nx_jwt_sign(a->rules.hmac, nx_buf_str(&b), ret, 1024, err);
	nx_buf_done(&b);
	return c;
}

enum nx_code nx_auth_issue_key(struct nx_auth *a, const struct nx_issue *q, char ret[80],
			       struct nx_error *err)
{
	return nx_keys_issue(a->keys, q, ret, err);
}

void nx_auth_issuer_stats(struct nx_auth *a, struct nx_auth_issuer_stats *ret)
{
	*ret = (struct nx_auth_issuer_stats){ 0 };
	if (a->rules.foreign)
		nx_issuer_stats(a->rules.foreign, ret);
}

int64_t nx_auth_key_used(struct nx_auth *a, struct nx_str prefix)
{
	return nx_keys_used(a->keys, prefix);
}

enum nx_code nx_auth_sync(struct nx_auth *a, struct nx_error *err)
{
	return nx_keys_sync(a->keys, err);
}

void nx_auth_flush(struct nx_auth *a)
{
	nx_keys_flush(a->keys);
}

enum nx_code nx_auth_revoke_key(struct nx_auth *a, struct nx_str id, struct nx_error *err)
{
	return nx_keys_revoke(a->keys, id, err);
}
