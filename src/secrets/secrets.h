/* Secrets that are kept elsewhere: ${env:NAME}, ${file:path}, and ${vault:mount/path#key} or
 * ${vault:mount/path?version=3#key} of a HashiCorp Vault KV store, version 2.
 *
 * One Vault for the process, set up by nx_kv_start(). What was read is kept for a time (ttl), so that building a
 * source costs no request each time; so is a failure, for a moment, so that a Vault that hangs is not
 * asked again by each of a hundred sources. Redirects are not followed: the token would go along.
 *
 * Threads: any, once nx_kv_start() is through. Reading from Vault blocks up to 5 seconds; one request is under
 * way at a time. No value, token or answer is in an error or a log line; a reference's path is. */
#ifndef NX_SECRETS_SECRETS_H
#define NX_SECRETS_SECRETS_H

#include "base/json.h"
#include "nexus/arena.h"
#include "nexus/error.h"
#include "nexus/str.h"

#define NX_SECRET_MAX 65536u /* bytes of one secret, and of a file */

/* *ret is the text behind a reference, or `v` itself when it is none; in `a`, which should be a secret
 * arena. CREDENTIAL_INVALID: the reference leads nowhere; what nx_kv_read() says. `what` names the key it stands in. */
NX_NODISCARD enum nx_code nx_secret_follow(struct nx_str v, const char *what, struct nx_arena *a,
					   struct nx_str *ret, struct nx_error *err);
bool nx_secret_in_vault(struct nx_str v); /* the whole text is a ${vault:...} */
/* Reads all ${vault:...} of a tree into the cache, good or bad: before a lock is taken. */
void nx_secret_warm(const struct nx_json *tree);

struct nx_kv_config { /* texts are copied; NULL or empty: not given */
	const char *address;    /* https, or http on a loopback address */
	const char *token;      /* one of: a token, */
	const char *token_file; /* a file with it, read anew when it is refused, */
	const char *role_id;    /* or AppRole */
	const char *secret_id;
	const char *role_mount; /* "approle" */
	const char *name_space; /* Enterprise */
	const char *ca_file;
	int64_t ttl_ms;         /* 1000 or more */
};

/* CONFIG when it cannot be right. No request is made. May be called again with the same: nothing happens;
 * with another: CONFIG. */
NX_NODISCARD enum nx_code nx_kv_start(const struct nx_kv_config *cfg, struct nx_error *err);
void nx_kv_stop(void); /* wipes; no other call may be under way */
bool nx_kv_on(void);

/* `ref` is what stands between "${vault:" and "}". CREDENTIAL_INVALID: no such path, version or key, or Vault
 * refuses access; OUTBOUND_FAILED: sealed, a standby, not to be understood; OUTBOUND_TIMEOUT, HOST_DENIED. */
NX_NODISCARD enum nx_code nx_kv_read(struct nx_str ref, struct nx_arena *a, struct nx_str *ret,
				     struct nx_error *err);
void nx_kv_forget(void); /* the next read of anything asks Vault */
/* Renews the token when two thirds of its life are over. To be called every few seconds, and at the time it
 * answers (nx_now(); INT64_MAX: none is planned); may block. */
int64_t nx_kv_tend(void);

#endif
