/* Private to src/auth: base64url, digests, the JWT verifier, claims, keys of an issuer, the cache of
 * verified tokens, API keys.
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

struct nx_json;

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

/* ---- claims.c ---- */

struct nx_jwt_rules;

/* How a foreign issuer's claims become a principal of ours. All empty: claims `sub` and `role` as in our
 * own tokens. */
struct nx_claim_map {
	const char *subject; /* path of the claim; NULL: sub */
	const char *roles;   /* NULL: role */
	const char *parties; /* allowed azp (or client_id), separated by commas; NULL: any */
	uint32_t n;          /* group names; 0: our own role names count */
	struct nx_claim_role *at; /* owned */
	char *text;          /* owned: what the above point into */
};

struct nx_claim_role {
	struct nx_str group;
	enum nx_role role;
};

/* `roles` is "group=role; group=role": the last = counts, so a group may hold = and commas. Any may be
 * NULL or empty. Copies. CONFIG. */
NX_NODISCARD enum nx_code nx_claim_map_init(struct nx_claim_map *m, const struct nx_auth_config *cfg,
					    struct nx_error *err);
void nx_claim_map_done(struct nx_claim_map *m);
/* Decoded payload behind a good signature; `map` NULL: a token of our own. FORBIDDEN: a good token that
 * gives no role here. */
NX_NODISCARD enum nx_code nx_jwt_claims(const struct nx_jwt_rules *r, const struct nx_claim_map *map,
					struct nx_str json, int64_t now, struct nx_arena *a,
					struct nx_principal *ret, struct nx_error *err);

/* ---- jwt.c ---- */

struct nx_issuer;

/* What tokens are checked against. A key says which algorithms it is for (a mask over the table in jwt.c,
 * fixed when it is loaded): the token's `alg` chooses among keys, it can never choose how one is used. */
struct nx_jwt_rules {
	struct nx_hmac *hmac;      /* HS256: our own tokens */
	EVP_PKEY *public_key;      /* of a file; NULL: none */
	uint32_t public_algs;
	struct nx_issuer *foreign; /* keys of a token issuer; NULL: none */
	struct nx_str issuer, audience; /* empty: not checked */
	struct nx_claim_map map;   /* of tokens that are not our own */
	uint32_t leeway_s;
};

struct nx_jwt_head {
	uint32_t alg;      /* row of the table */
	struct nx_str kid; /* empty: none */
	bool own;          /* HS256 */
};

/* Loads a PEM public key or certificate and finds its algorithms. */
NX_NODISCARD enum nx_code nx_jwt_public_key(const char *path, struct nx_jwt_rules *r,
					    struct nx_error *err);
/* Mask of the algorithms a public key is good for: RSA of 2048 to 8192 bits, P-256, Ed25519. 0: none. */
uint32_t nx_jwt_algs(EVP_PKEY *key);
/* The bit of an algorithm for public keys; 0: not known. */
uint32_t nx_jwt_alg_bit(struct nx_str name);
/* Everything but the cache. `now` in Unix seconds. *ret_gen: the key set it was checked with, 0 for keys
 * that do not change. ISSUER_DOWN: it cannot be judged without keys that are not there (yet). */
NX_NODISCARD enum nx_code nx_jwt_verify(const struct nx_jwt_rules *r, struct nx_str token, int64_t now,
					struct nx_principal *ret, uint64_t *ret_gen, struct nx_error *err);
/* The parser of decoded heads; `a` holds what *ret points to. */
NX_NODISCARD enum nx_code nx_jwt_head(struct nx_str json, struct nx_arena *a, struct nx_jwt_head *ret,
				      struct nx_error *err);
/* Writes a signed HS256 token. */
NX_NODISCARD enum nx_code nx_jwt_sign(struct nx_hmac *h, struct nx_str payload, char *ret, size_t size,
				      struct nx_error *err);

/* One message for every bad token; the reason goes to the log. */
enum nx_code nx_token_refuse(struct nx_error *err, const char *why);

/* ---- jwks.c: JSON Web Key Sets, RFC 7517 ---- */

#define NX_JWKS_KEYS 100
#define NX_JWKS_BYTES ((size_t)256 * 1024)
#define NX_KID_MAX 128 /* bytes; longer ones are of no use */

struct nx_jwk {
	uint8_t kid_len; /* 0: none */
	char kid[NX_KID_MAX];
	uint32_t algs; /* what it may be used for */
	EVP_PKEY *key;
};

/* Read-only once made; references are counted. */
struct nx_jwks {
	_Atomic uint32_t refs;
	uint64_t gen; /* not 0; set by the owner */
	uint32_t n;
	uint32_t ignored; /* keys of other kinds, private, too weak, or ambiguous */
	struct nx_jwk at[NX_JWKS_KEYS];
};

/* Keys that are not for checking signatures of ours are left out, as RFC 7517 5 has it; a document that is no
 * key set is OUTBOUND_FAILED. */
NX_NODISCARD enum nx_code nx_jwks_parse(struct nx_str json, struct nx_jwks **ret, struct nx_error *err);
struct nx_jwks *nx_jwks_ref(struct nx_jwks *s);
void nx_jwks_unref(struct nx_jwks *s); /* NULL is fine */
/* The key for a token's kid and algorithm. Without a kid: the only one of that algorithm. NULL: none. */
const struct nx_jwk *nx_jwks_find(const struct nx_jwks *s, struct nx_str kid, uint32_t alg_bit);

/* ---- issuer.c: the keys of a foreign issuer, kept fresh by a thread of their own ---- */

struct nx_outbound_request;
struct nx_outbound_answer;

struct nx_issuer_config {
	struct nx_str issuer;  /* discovery: its document must name exactly this */
	const char *jwks_url;  /* NULL: discovery */
	const char *ca_file;   /* NULL: the system's */
	int64_t min_age, max_age; /* ns a key set is used before it is asked for again */
	int64_t max_stale;     /* ns beyond that age that the keys count while the issuer does not answer */
	int64_t cooldown;      /* ns between two refreshes for kids that are not known */
	int64_t start_wait;    /* ns that open waits for the first keys */
	enum nx_code (*call)(const struct nx_outbound_request *q, struct nx_arena *a,
			     struct nx_outbound_answer *ret, struct nx_error *err); /* NULL: nx_outbound_call */
};

NX_NODISCARD enum nx_code nx_issuer_open(const struct nx_issuer_config *cfg, struct nx_issuer **ret,
					 struct nx_error *err);
void nx_issuer_free(struct nx_issuer *i); /* waits for a request under way; NULL is fine */
/* A reference, or NULL: there are none (any more). */
struct nx_jwks *nx_issuer_keys(struct nx_issuer *i);
uint64_t nx_issuer_gen(const struct nx_issuer *i); /* of the current set; 0: none */
/* A kid is not known: asks for a refresh, at most one per cooldown however many ask (a second one when the
 * first was under way already). True: one is under way, and waiting for it makes sense. */
bool nx_issuer_want(struct nx_issuer *i);
/* Until the refresh under way has ended, or the deadline. At most NX_ISSUER_WAITERS at once. */
void nx_issuer_wait(struct nx_issuer *i, int64_t deadline);
bool nx_issuer_may_wait(struct nx_issuer *i);
#define NX_ISSUER_WAITERS 64
void nx_issuer_stats(struct nx_issuer *i, struct nx_auth_issuer_stats *ret);

/* ---- cache.c ---- */

struct nx_token_cache;
struct nx_token_cache *nx_token_cache_new(uint32_t max);
void nx_token_cache_free(struct nx_token_cache *c);
/* True: *ret filled. Entries whose `until` (Unix seconds) has passed are not found. */
/* An entry made with a key set (`gen` not 0) counts only while that set does. */
NX_NODISCARD bool nx_token_cache_get(struct nx_token_cache *c, const uint8_t hash[NX_HASH_LEN],
				     int64_t now, uint64_t gen, struct nx_principal *ret);
void nx_token_cache_put(struct nx_token_cache *c, const uint8_t hash[NX_HASH_LEN], int64_t now,
			int64_t until, uint64_t gen, const struct nx_principal *p);
void nx_token_cache_stats(struct nx_token_cache *c, uint64_t *ret_hits, uint64_t *ret_misses);
uint32_t nx_token_cache_used(struct nx_token_cache *c); /* entries held; for tests */

/* ---- keys.c: API keys `nxk_<8 hex>_<64 hex>` ---- */

#define NX_KEY_LEN 77

struct nx_keys;
NX_NODISCARD enum nx_code nx_keys_open(struct nx_store *store, struct nx_keys **ret,
				       struct nx_error *err);
void nx_keys_free(struct nx_keys *k);
NX_NODISCARD enum nx_code nx_keys_check(struct nx_keys *k, struct nx_str key, int64_t now,
					struct nx_principal *ret, struct nx_error *err);
NX_NODISCARD enum nx_code nx_keys_issue(struct nx_keys *k, const struct nx_issue *q, char ret[80],
					struct nx_error *err);
int64_t nx_keys_used(struct nx_keys *k, struct nx_str prefix);
void nx_keys_flush(struct nx_keys *k);
/* Takes over which keys the store has. */
NX_NODISCARD enum nx_code nx_keys_sync(struct nx_keys *k, struct nx_error *err);
NX_NODISCARD enum nx_code nx_keys_revoke(struct nx_keys *k, struct nx_str id, struct nx_error *err);

/* Reads `scopes` and `sources` of an object, each an array of texts when there; false: it is not. */
NX_NODISCARD bool nx_principal_narrow(const struct nx_json *o, struct nx_principal *p);
/* Appends them as members, each with a comma before it. */
void nx_issue_write(const struct nx_issue *q, struct nx_buf *b);
/* Fills name and id. */
NX_NODISCARD bool nx_principal_name(struct nx_principal *p, struct nx_str name);

#endif
