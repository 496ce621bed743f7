/* Private to src/tokens: from an authentication block to an answer.
 *
 *	options -> recipe                (recipe.c)
 *	recipe -> request -> answer      (oauth.c, sts.c; jwt.c and sigv4.c sign)
 *	answers over time                (handle.c)
 *	refresh tokens that rotate       (keep.c) */
#ifndef NX_TOKENS_TOKENS_INT_H
#define NX_TOKENS_TOKENS_INT_H

#include <openssl/evp.h>

#include "nexus/buf.h"
#include "nexus/token.h"
#include "outbound/outbound.h"
#include "tokens/tokens.h"

#define NX_TOKEN_TEXT_MAX ((size_t)16 << 10) /* bytes of one token */
#define NX_TOKEN_BODY_MAX ((size_t)64 << 10) /* of a request, and of an answer */
#define NX_TOKEN_LIFE_MAX (365 * 24 * 3600)  /* seconds */

enum nx_grant {
	NX_GRANT_FIXED,        /* a token as it is */
	NX_GRANT_FIXED_AWS,
	NX_GRANT_CLIENT,       /* RFC 6749 4.4 */
	NX_GRANT_REFRESH,      /* RFC 6749 6 */
	NX_GRANT_JWT_BEARER,   /* RFC 7523 2.1 */
	NX_GRANT_KEY_PAIR,     /* a JWT signed here is the token */
	NX_GRANT_ROLE,         /* AWS STS AssumeRole */
	NX_GRANT_WEB_IDENTITY, /* AWS STS AssumeRoleWithWebIdentity */
};

enum nx_client_auth { NX_CLIENT_NONE, NX_CLIENT_BASIC, NX_CLIENT_POST, NX_CLIENT_JWT };

/* Texts are NULL when absent; all in `arena`. */
struct nx_recipe {
	struct nx_arena *arena; /* wiped */
	enum nx_grant grant;
	enum nx_client_auth client_auth;
	const char *url; /* token endpoint or STS */
	const char *client_id, *client_secret, *scope, *audience;
	const char *refresh_token; /* the configured one */
	char refresh_id[65]; /* names what replaced it; hex of a hash */
	const char *issuer, *subject, *key_id;
	EVP_PKEY *key;
	const char *token;
	const char *access_key_id, *secret_access_key, *session_token;
	const char *role, *region, *external_id, *session_name, *identity_file;
	uint32_t session_s;
	const char *ca_file;
};

/* The texts are in the arena given to the maker. */
struct nx_token_answer {
	const char *text, *access_key_id, *secret_access_key, *session_token;
	const char *refresh_token; /* a new one; NULL: none */
	int64_t life_s;            /* -1: not known */
};

NX_NODISCARD enum nx_code nx_recipe_make(const struct nx_options *o, const struct nx_token_defaults *d,
					 struct nx_recipe *ret, struct nx_error *err);
void nx_recipe_done(struct nx_recipe *r);

/* One fetch. `refresh`: the refresh token to use. `retry_after_s` is set also on failure. Blocks. */
NX_NODISCARD enum nx_code nx_token_fetch(const struct nx_recipe *r, const char *refresh, int64_t deadline,
					 struct nx_arena *a, struct nx_token_answer *ret,
					 uint32_t *retry_after_s, struct nx_error *err);

/* ---- oauth.c ---- */
NX_NODISCARD enum nx_code nx_oauth_request(const struct nx_recipe *r, const char *refresh,
					   struct nx_arena *a, struct nx_outbound_request *ret,
					   struct nx_error *err);
/* Foreign bytes. CREDENTIAL_INVALID when the endpoint refused the credentials. */
NX_NODISCARD enum nx_code nx_oauth_answer(int status, struct nx_str body, struct nx_arena *a,
					  struct nx_token_answer *ret, struct nx_error *err);
/* application/x-www-form-urlencoded: "&name=value"; no '&' at the start. NULL value: nothing. */
void nx_form_put(struct nx_buf *b, const char *name, const char *value);
/* For a request body: allocated at once, so that growth leaves no copies. */
void nx_secret_buf(struct nx_buf *b);
NX_NODISCARD enum nx_code nx_secret_take(struct nx_buf *b, struct nx_arena *a, struct nx_str *ret,
					 struct nx_error *err); /* copies, wipes and frees */
bool nx_token_text_ok(struct nx_str s); /* 1..NX_TOKEN_TEXT_MAX bytes of visible ASCII */

/* ---- jwt.c ---- */
NX_NODISCARD enum nx_code nx_key_read(struct nx_str pem, const char *passphrase, EVP_PKEY **ret,
				      struct nx_error *err);
/* A compact JWS over the claims: RS256 or ES256, by the key. `kid` may be NULL. */
NX_NODISCARD enum nx_code nx_assertion_sign(EVP_PKEY *key, const char *kid, struct nx_str claims,
				      struct nx_arena *a, struct nx_str *ret, struct nx_error *err);
/* "SHA256:" and base64 of the hash of the public key's SubjectPublicKeyInfo. */
NX_NODISCARD enum nx_code nx_key_fingerprint(EVP_PKEY *key, char ret[64], struct nx_error *err);

/* ---- sigv4.c ---- */
struct nx_sigv4 {
	const char *method, *host, *path, *query; /* path and query in their canonical form */
	const char *region, *service;
	const char *time;         /* 20150830T123600Z */
	const char *content_type; /* NULL: not signed */
	struct nx_str payload;
	const char *access_key_id, *secret_access_key, *session_token; /* the last may be NULL */
};
/* The value of the Authorization header; host, x-amz-date and what is there of content-type and
 * x-amz-security-token are signed. */
NX_NODISCARD enum nx_code nx_sigv4(const struct nx_sigv4 *q, struct nx_arena *a, struct nx_str *ret,
				   struct nx_error *err);

/* ---- sts.c ---- */
NX_NODISCARD enum nx_code nx_sts_request(const struct nx_recipe *r, struct nx_arena *a,
					 struct nx_outbound_request *ret, struct nx_error *err);
NX_NODISCARD enum nx_code nx_sts_answer(int status, struct nx_str body, int64_t wall_s, struct nx_arena *a,
					struct nx_token_answer *ret, struct nx_error *err);

/* Tests put their own service here. */
typedef enum nx_code nx_outbound_fn(const struct nx_outbound_request *q, struct nx_arena *arena,
				    struct nx_outbound_answer *ret, struct nx_error *err);
extern nx_outbound_fn *nx_token_call;

#endif
