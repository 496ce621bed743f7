/* Who is calling: bearer tokens (JWT) and API keys, roles, and what they may do.
 *
 * Tokens: HS256 with our secret; RS256, RS384, RS512, ES256 or EdDSA with a public key of a file, or with
 * the keys an issuer publishes (JWKS), which a thread of their own keeps fresh. Claims for subject and role,
 * and exp, are required; nbf, iss and aud are held to. Verified tokens are cached by SHA-256 until they
 * expire or the issuer's keys change, so a repeated request costs a hash and a look-up.
 * Threads: any thread; the cache is sharded; only open and nx_auth_wait wait for the network. */
#ifndef NX_AUTH_AUTH_H
#define NX_AUTH_AUTH_H

#include "nexus/error.h"
#include "nexus/str.h"

struct nx_auth;
struct nx_store;

enum nx_role { NX_ROLE_AGENT, NX_ROLE_ANALYST, NX_ROLE_OPERATOR, NX_ROLE_ADMIN, NX_ROLE_COUNT };
enum nx_right { /* what an API verb asks for; auth.c has the role table */
	NX_RIGHT_QUERY, NX_RIGHT_SEE_SOURCES, NX_RIGHT_SEE_ALL_QUERIES, NX_RIGHT_TEST_SOURCES,
	NX_RIGHT_EDIT_SOURCES, NX_RIGHT_METRICS, NX_RIGHT_EDIT_KEYS,
	NX_RIGHT_SELF, /* about the caller alone: everybody who has signed in, whatever the scopes */
	NX_RIGHT_COUNT
};

#define NX_TOKEN_SOURCES 16

struct nx_principal {
	char name[128];   /* subject, or "key:<prefix>" */
	enum nx_role role;
	int64_t expires;  /* Unix seconds, leeway included; 0 never */
	uint64_t id;      /* stable hash of name, for comparing owners */
	uint32_t without; /* mask of 1 << enum nx_right: rights of the role that it has not */
	/* `sources` of a token or key: only these data sources, and no administration */
	bool narrowed;
	uint8_t nsources;
	uint64_t sources[NX_TOKEN_SOURCES]; /* hashes of names */
};

struct nx_auth_config {
	bool off;              /* everybody is admin "anonymous"; only on a loopback listener */
	struct nx_str secret;  /* HS256, 32 bytes or more; empty: from the store, made on first use */
	struct nx_str issuer, audience; /* empty: not checked; our own tokens carry "nexus" */
	/* A foreign issuer's keys: one of a PEM file, a JWKS address, or discovery at `issuer`. Texts may be
	 * NULL or empty. */
	const char *public_key_file;
	const char *jwks_url;
	bool discovery;
	const char *ca_file; /* PEM for the issuer's TLS; empty: the system's */
	int64_t min_age_ms, max_age_ms, max_stale_ms, cooldown_ms; /* of its keys; see issuer.c */
	/* its claims: paths; allowed azp, by commas; "group=role; group=role" */
	const char *subject_claim, *roles_claim, *parties, *role_map;
	uint32_t leeway_s;     /* 0..300 */
	uint32_t cache_max;    /* entries; 0: 10000 */
};

/* Would it open? Looks at texts and files, asks nobody. */
NX_NODISCARD enum nx_code nx_auth_config_check(const struct nx_auth_config *cfg, struct nx_error *err);
NX_NODISCARD enum nx_code nx_auth_open(struct nx_store *store, const struct nx_auth_config *cfg,
				       struct nx_auth **ret, struct nx_error *err);
void nx_auth_free(struct nx_auth *a);

/* `authorization` is the whole header value ("Bearer ..."; a key may come as a bearer too), `api_key`
 * that of X-API-Key; one of them. UNAUTHENTICATED or TOKEN_EXPIRED otherwise; why goes to the
 * error's detail only. FORBIDDEN: a good token that gives no role here. ISSUER_DOWN: its key is not there,
 * and whether it is good cannot be said. */
NX_NODISCARD enum nx_code nx_auth_check(struct nx_auth *a, struct nx_str authorization,
					struct nx_str api_key, struct nx_principal *ret,
					struct nx_error *err);
/* After ISSUER_DOWN: are keys on their way, and is there room to wait for them? Never blocks. */
NX_NODISCARD bool nx_auth_may_wait(struct nx_auth *a);
/* Until they are there or are not coming, or the deadline. Blocks: on a worker only. Then check again. */
void nx_auth_wait(struct nx_auth *a, int64_t deadline);
/* Does the token's claim leave this data source in? */
NX_NODISCARD bool nx_principal_sees(const struct nx_principal *p, struct nx_str source_name);
bool nx_role_may(enum nx_role role, enum nx_right right);
/* What the role may, less what the token's or key's scopes and sources leave out. */
bool nx_principal_may(const struct nx_principal *p, enum nx_right right);
const char *nx_role_name(enum nx_role r);
NX_NODISCARD bool nx_role_by_name(struct nx_str s, enum nx_role *ret);

/* Tokens found in the cache of verified ones, and those that were not. */
void nx_auth_cache_stats(struct nx_auth *a, uint64_t *ret_hits, uint64_t *ret_misses);

/* What a key or token is issued for. */
struct nx_issue {
	struct nx_str name; /* of the key; subject of the token */
	enum nx_role role;
	uint32_t ttl_s;     /* 0: never expires (keys only) */
	uint32_t scopes;    /* mask of 1 << enum nx_right; 0: all that the role may */
	bool narrowed;      /* to these sources, by name */
	uint32_t nsources;
	struct nx_str sources[NX_TOKEN_SOURCES];
};

/* The scope's right; false: there is none of that name. Issuing keys is no scope: it would give all others. */
NX_NODISCARD bool nx_scope_by_name(struct nx_str s, enum nx_right *ret);
/* The scope of a right, "keys" for issuing; NULL: of SELF. */
const char *nx_right_name(enum nx_right r);
/* Issues. The text is written to `ret` (caller wipes). */
NX_NODISCARD enum nx_code nx_auth_issue_jwt(struct nx_auth *a, const struct nx_issue *q, char ret[1024],
					    struct nx_error *err);
NX_NODISCARD enum nx_code nx_auth_issue_key(struct nx_auth *a, const struct nx_issue *q, char ret[80],
					    struct nx_error *err);
struct nx_auth_issuer_stats { /* of a token issuer's keys; all 0 without one */
	uint32_t keys;              /* usable ones at hand */
	uint64_t fetches, failures; /* of key sets */
};
void nx_auth_issuer_stats(struct nx_auth *a, struct nx_auth_issuer_stats *ret);
/* When a key was last used, Unix seconds; 0: not since it was issued, or not known. */
int64_t nx_auth_key_used(struct nx_auth *a, struct nx_str prefix);
/* Takes over which API keys the store has: others may have issued and revoked some. Blocks. */
NX_NODISCARD enum nx_code nx_auth_sync(struct nx_auth *a, struct nx_error *err);
/* Writes the times of last use that have changed to the store. Blocks; called now and then by one thread. */
void nx_auth_flush(struct nx_auth *a);
/* Works at once, also for requests with the key in flight. NOT_FOUND when there is none. */
NX_NODISCARD enum nx_code nx_auth_revoke_key(struct nx_auth *a, struct nx_str id, struct nx_error *err);

#endif
