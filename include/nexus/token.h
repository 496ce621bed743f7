/* Access tokens and AWS credentials for drivers, made and kept current from a source's
 * `authentication` block: OAuth 2.0 client credentials, refresh token and JWT bearer, key-pair JWTs
 * (Snowflake), AWS STS, and fixed tokens and keys that are handed through.
 *
 * A driver puts NX_TOKEN_OPTIONS into its options table, opens one handle a source, and asks it for the
 * current token before each request that carries one: also under a long query, for a token ends
 * while a query runs. A token is renewed at about 80 % of its life while callers go on with the old one;
 * whoever comes without a valid one waits. One request is made however many wait.
 *
 * Threads: a handle may be used by any thread. nx_token_get() blocks up to its deadline only when there is
 * no valid token. Ownership: the caller unrefs what it got; a token stays readable until then, and is
 * wiped after. Secrets: errors hold none. */
#ifndef NEXUS_TOKEN_H
#define NEXUS_TOKEN_H

#include "nexus/error.h"
#include "nexus/option.h"

enum nx_token_kind {
	NX_TOKEN_BEARER, /* `text` goes behind "Authorization: Bearer " */
	NX_TOKEN_AWS,    /* the three keys sign requests */
};

struct nx_token {
	enum nx_token_kind kind;
	const char *text;              /* BEARER; visible ASCII. Else NULL */
	const char *access_key_id;     /* AWS; else NULL */
	const char *secret_access_key; /* AWS; else NULL */
	const char *session_token;     /* AWS; NULL: none */
	int64_t expires;               /* nx_now(); INT64_MAX: not known */
};

/* What a driver knows that users need not write. Members may be NULL. */
struct nx_token_defaults {
	const char *token_url;
	const char *scope;
	const char *audience;
	const char *account;  /* Snowflake: for key-pair JWTs, with `user` */
	const char *user;
	uint32_t session_s;   /* AWS: length of a session; 0: 3600 */
};

struct nx_token_handle;

/* Judges the block, makes no request. CREDENTIAL_INVALID [CV-002, CV-003, CV-005, CV-007] or CONFIG_INVALID names
 * what is missing or wrong; OVERLOADED when there are too many handles. */
NX_NODISCARD enum nx_code nx_token_open(const struct nx_options *opts, const struct nx_token_defaults *d,
					struct nx_token_handle **ret, struct nx_error *err);
void nx_token_close(struct nx_token_handle *h); /* NULL is fine; does not block */

/* CREDENTIAL_INVALID: the service refused the credentials, or a fixed token has expired [CV-003];
 * OUTBOUND_FAILED, OUTBOUND_TIMEOUT, HOST_DENIED: the service. After a failure the answer is the same at once
 * until it is time to try again (1 s, doubling to 60 s; longer when the service asks for it). */
NX_NODISCARD enum nx_code nx_token_get(struct nx_token_handle *h, int64_t deadline,
				       const struct nx_token **ret, struct nx_error *err);
void nx_token_unref(const struct nx_token *t); /* NULL is fine */
/* The source answered 401 to this token. True: it was dropped, so get another and try once more. False: it
 * is too young for that to help, or fixed: report SOURCE_AUTH. */
NX_NODISCARD bool nx_token_reject(struct nx_token_handle *h, const struct nx_token *t);

/* Rows for a driver's options table, besides its own `authentication.type`:
 *	pat, token, jwt    token (pat: or password)
 *	oauth, oauth2      grantType, or told by what is there: refreshToken, credentialsJson, clientSecret or
 *	                   privateKey with clientId, token or oauthToken
 *	serviceAccount     credentialsJson
 *	keypair            privateKey
 *	accessKey          accessKeyId, secretAccessKey, sessionToken
 *	iam                iamRoleArn, and keys or webIdentityTokenFile to take the role with */
#define NX_TOKEN_OPT(key, type, choices, help) \
	{ "authentication." key, NX_OPT_##type, 0, NULL, 0, 0, choices, help }
#define NX_TOKEN_OPTIONS \
	NX_TOKEN_OPT("grantType", ENUM, "clientCredentials|refreshToken|jwtBearer|token", \
		     "How an OAuth token is got; absent: told by the other keys."), \
	NX_TOKEN_OPT("tokenUrl", STRING, NULL, "Token endpoint; https, or http on a loopback address."), \
	NX_TOKEN_OPT("clientId", STRING, NULL, "OAuth client."), \
	NX_TOKEN_OPT("clientSecret", SECRET, NULL, "Its secret."), \
	NX_TOKEN_OPT("clientAuth", ENUM, "basic|post|privateKeyJwt|none", \
		     "How the client proves itself to the token endpoint."), \
	NX_TOKEN_OPT("scope", STRING, NULL, "Scopes asked for, separated by blanks."), \
	NX_TOKEN_OPT("audience", STRING, NULL, "Audience asked for, and of JWT assertions."), \
	NX_TOKEN_OPT("refreshToken", SECRET, NULL, "OAuth refresh token."), \
	NX_TOKEN_OPT("issuer", STRING, NULL, "Issuer of JWT assertions."), \
	NX_TOKEN_OPT("subject", STRING, NULL, "Subject of JWT assertions."), \
	NX_TOKEN_OPT("privateKey", SECRET, NULL, "Private key, PEM: RSA of 2048 bits or more, or EC P-256."), \
	NX_TOKEN_OPT("privateKeyPassphrase", SECRET, NULL, "Passphrase of the private key."), \
	NX_TOKEN_OPT("keyId", STRING, NULL, "Key id put into JWT assertions."), \
	NX_TOKEN_OPT("credentialsJson", SECRET, NULL, "Service account key, JSON."), \
	NX_TOKEN_OPT("token", SECRET, NULL, "Fixed bearer token."), \
	NX_TOKEN_OPT("oauthToken", SECRET, NULL, "Fixed OAuth token."), \
	NX_TOKEN_OPT("accessKeyId", STRING, NULL, "AWS access key id."), \
	NX_TOKEN_OPT("secretAccessKey", SECRET, NULL, "AWS secret access key."), \
	NX_TOKEN_OPT("sessionToken", SECRET, NULL, "Token of a temporary AWS key."), \
	NX_TOKEN_OPT("iamRoleArn", STRING, NULL, "AWS role to assume."), \
	NX_TOKEN_OPT("awsRegion", STRING, NULL, "AWS region."), \
	NX_TOKEN_OPT("externalId", STRING, NULL, "External id the AWS role asks for."), \
	NX_TOKEN_OPT("sessionName", STRING, NULL, "Name of the AWS session; absent: nexus-gateway."), \
	NX_TOKEN_OPT("webIdentityTokenFile", STRING, NULL, \
		     "File with the token to take the AWS role with; read anew each time."), \
	NX_TOKEN_OPT("stsUrl", STRING, NULL, "AWS STS endpoint; absent: that of the region."), \
	NX_TOKEN_OPT("caFile", STRING, NULL, "PEM file of CAs for these requests, instead of the system's.")

#endif
