/* Private to src/secrets. */
#ifndef NX_SECRETS_SECRETS_INT_H
#define NX_SECRETS_SECRETS_INT_H

#include "outbound/outbound.h"
#include "secrets/secrets.h"

#define NX_KV_BODY_MAX ((size_t)1 << 20) /* of an answer */

struct nx_kv_ref {
	struct nx_str mount, path, key;
	uint32_t version; /* 0: the newest */
};

NX_NODISCARD enum nx_code nx_kv_ref_parse(struct nx_str text, struct nx_kv_ref *ret, struct nx_error *err);

/* ---- kv_answer.c: foreign bytes ---- */

/* A read of KV version 2: *ret is the object with the secret's keys and values. `where` names the path. */
NX_NODISCARD enum nx_code nx_kv_answer(int status, struct nx_str body, struct nx_str where, struct nx_arena *a,
				       const struct nx_json **ret, struct nx_error *err);
NX_NODISCARD enum nx_code nx_kv_pick(const struct nx_json *data, struct nx_str key, struct nx_arena *a,
				     struct nx_str *ret, struct nx_error *err);
struct nx_kv_token {
	struct nx_str text; /* empty: not in the answer */
	int64_t ttl_s;      /* 0: does not end */
	bool renewable;
};
/* A login or a renewal (`auth`), or a look-up (`data`). False: it says nothing that can be used. */
bool nx_kv_token_answer(struct nx_str body, struct nx_arena *a, struct nx_kv_token *ret);

typedef enum nx_code nx_kv_call_fn(const struct nx_outbound_request *q, struct nx_arena *arena,
				   struct nx_outbound_answer *ret, struct nx_error *err);
extern nx_kv_call_fn *nx_kv_call; /* tests put their own Vault here */

#endif
