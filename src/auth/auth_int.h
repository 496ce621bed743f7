/* Private to src/auth: base64url, digests, the JWT verifier, the cache of verified tokens, API keys.
 *
 * A token's way: cache by SHA-256 -> else head, algorithm row, signature, claims, in this order.
 * Nothing of the payload is looked at before the signature holds. */
#ifndef NX_AUTH_AUTH_INT_H
#define NX_AUTH_AUTH_INT_H

#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>

#include "auth/auth.h"
#include "nexus/arena.h"
#include "nexus/buf.h"

#define NX_TOKEN_MAX 8192 /* bytes of a whole token */
#define NX_HASH_LEN 32

/* ---- b64.c: base64url without padding, RFC 7515 2; strict: one spelling per value ---- */

/* Bytes written to out (at least len * 3 / 4), or -1 for anything odd. */
int nx_b64url_decode(struct nx_str s, unsigned char *out);
/* Text of n bytes, not NUL-terminated: (n * 4 + 2) / 3 characters. Returns that count. */
size_t nx_b64url_encode(const void *p, size_t n, char *out);

/* ---- digest.c ---- */

/* With one context per thread. False: libcrypto failed. */
NX_NODISCARD bool nx_sha256(struct nx_str s, uint8_t ret[NX_HASH_LEN]);
NX_NODISCARD bool nx_sha256_two(struct nx_str a, struct nx_str b, uint8_t ret[NX_HASH_LEN]);
NX_NODISCARD bool nx_random(void *p, size_t n);

/* HMAC-SHA-256 under one key: keyed contexts are kept and reused, which is 5 times faster than
 * setting the key again. */
struct nx_hmac;
struct nx_hmac *nx_hmac_new(struct nx_str key);
void nx_hmac_free(struct nx_hmac *h); /* when no thread uses it any more; NULL is fine */
NX_NODISCARD bool nx_hmac(struct nx_hmac *h, struct nx_str data, uint8_t ret[NX_HASH_LEN]);

/* ---- jwt.c ---- */

struct nx_jwt_alg;

/* What tokens are checked against. A key has one algorithm, fixed when it is loaded: the token's
 * `alg` chooses among keys, it can never choose how a key is used. */
struct nx_jwt_rules {
	struct nx_hmac *hmac;             /* HS256 */
	EVP_PKEY *public_key;             /* may be NULL */
	const struct nx_jwt_alg *public_alg; /* that of public_key */
	struct nx_str issuer, audience;   /* empty: not checked */
	uint32_t leeway_s;
};

/* Loads a PEM public key or certificate and finds its algorithm. RSA (2048 bits and more), P-256, Ed25519. */
NX_NODISCARD enum nx_code nx_jwt_public_key(const char *path, struct nx_jwt_rules *r,
					    struct nx_error *err);
/* Everything but the cache. `now` in Unix seconds. */
NX_NODISCARD enum nx_code nx_jwt_verify(const struct nx_jwt_rules *r, struct nx_str token, int64_t now,
					struct nx_principal *ret, struct nx_error *err);
/* The two parsers inside, for the fuzzer: decoded head and payload. */
NX_NODISCARD enum nx_code nx_jwt_head(struct nx_str json, struct nx_arena *a,
				      const struct nx_jwt_alg **ret, struct nx_error *err);
NX_NODISCARD enum nx_code nx_jwt_claims(const struct nx_jwt_rules *r, struct nx_str json, int64_t now,
					struct nx_arena *a, struct nx_principal *ret,
					struct nx_error *err);
/* Writes a signed HS256 token. */
NX_NODISCARD enum nx_code nx_jwt_sign(struct nx_hmac *h, struct nx_str payload, char *ret, size_t size,
				      struct nx_error *err);

/* One message for every bad token; the reason goes to the log. */
enum nx_code nx_token_refuse(struct nx_error *err, const char *why);

/* ---- cache.c ---- */

struct nx_token_cache;
struct nx_token_cache *nx_token_cache_new(uint32_t max);
void nx_token_cache_free(struct nx_token_cache *c);
/* True: *ret filled. Entries whose `until` (Unix seconds) has passed are not found. */
NX_NODISCARD bool nx_token_cache_get(struct nx_token_cache *c, const uint8_t hash[NX_HASH_LEN],
				     int64_t now, struct nx_principal *ret);
void nx_token_cache_put(struct nx_token_cache *c, const uint8_t hash[NX_HASH_LEN], int64_t now,
			int64_t until, const struct nx_principal *p);
uint32_t nx_token_cache_used(struct nx_token_cache *c); /* entries held; for tests */

/* ---- keys.c: API keys `nxk_<8 hex>_<64 hex>` ---- */

#define NX_KEY_LEN 77

struct nx_keys;
NX_NODISCARD enum nx_code nx_keys_open(struct nx_store *store, struct nx_keys **ret,
				       struct nx_error *err);
void nx_keys_free(struct nx_keys *k);
NX_NODISCARD enum nx_code nx_keys_check(struct nx_keys *k, struct nx_str key, int64_t now,
					struct nx_principal *ret, struct nx_error *err);
NX_NODISCARD enum nx_code nx_keys_issue(struct nx_keys *k, struct nx_str name, enum nx_role role,
					uint32_t ttl_s, char ret[80], struct nx_error *err);
NX_NODISCARD enum nx_code nx_keys_revoke(struct nx_keys *k, struct nx_str id, struct nx_error *err);

/* Fills name and id. */
NX_NODISCARD bool nx_principal_name(struct nx_principal *p, struct nx_str name);

#endif
