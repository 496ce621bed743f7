/* What the gateway sets up for nexus/token.h. */
#ifndef NX_TOKENS_TOKENS_H
#define NX_TOKENS_TOKENS_H

#include "nexus/arena.h"
#include "nexus/error.h"
#include "nexus/token.h"

struct nx_store;

/* All options of nexus/token.h with an `authentication.type` that knows all ways; ends with key NULL. */
extern const struct nx_option nx_token_options[];

/* Where refresh tokens are kept that replaced a configured one. `id` stands for the configured one and is
 * no secret. load: NOT_FOUND when there is none. Called by threads of the token manager, one at a time
 * for an id; both may block on local storage. */
struct nx_token_keeper {
	enum nx_code (*load)(void *arg, const char *id, struct nx_arena *a, struct nx_str *ret,
			     struct nx_error *err);
	enum nx_code (*save)(void *arg, const char *id, struct nx_str token, struct nx_error *err);
	void *arg;
};
/* Before handles are opened; copied. NULL: they live in memory only. */
void nx_token_keep(const struct nx_token_keeper *k);
/* In the store, sealed with the vault's key (32 bytes, copied). *ret goes to nx_token_keep(); free it after
 * nx_token_stop(). */
struct nx_token_store;
NX_NODISCARD enum nx_code nx_token_store_new(struct nx_store *s, const uint8_t key[32],
					     struct nx_token_store **ret, struct nx_error *err);
void nx_token_store_free(struct nx_token_store *k);
struct nx_token_keeper nx_token_store_keeper(struct nx_token_store *k);

/* When a token ends, Unix seconds, by the `exp` of a JWT that is not verified here; 0: it does not say. */
int64_t nx_token_expiry(struct nx_str token);

/* Waits until no request is under way; they end within 15 seconds. Handles may still be open. */
void nx_token_stop(void);

#endif
