/* The vault: secrets of data sources, encrypted at rest with AES-256-GCM under one master key.
 *
 * A sealed text is  version | key id | nonce (12) | ciphertext | tag (16)  and bound to its owner: the
 * associated data holds the source's id, so the ciphertext of one row opens in no other row. The key
 * id is derived from the key: a text sealed under another key is told as such [CV-004] and not as
 * damage [CV-001].
 * Threads: a vault is read-only after nx_vault_new(). Secrets: keys are wiped on free; the caller
 * wipes what nx_vault_open() gave. */
#ifndef NX_STORE_VAULT_H
#define NX_STORE_VAULT_H

#include "nexus/arena.h"
#include "nexus/error.h"
#include "nexus/str.h"

#define NX_VAULT_KEY_LEN 32
#define NX_VAULT_MAX (1u << 20) /* bytes of plain text */

struct nx_vault;
struct nx_store;

/* 32 bytes as 64 hex digits or as base64 (plain or URL alphabet, padding optional), blanks around it
 * ignored. CONFIG otherwise; the message never shows the text. */
NX_NODISCARD enum nx_code nx_vault_key_parse(struct nx_str text, uint8_t ret[NX_VAULT_KEY_LEN],
					     struct nx_error *err);
/* From a file that only its owner may read. `create`: made with random bytes and mode 0600 when it
 * does not exist, durable when this returns. */
NX_NODISCARD enum nx_code nx_vault_key_file(const char *path, bool create,
					    uint8_t ret[NX_VAULT_KEY_LEN], struct nx_error *err);

NX_NODISCARD enum nx_code nx_vault_new(const uint8_t key[NX_VAULT_KEY_LEN], struct nx_vault **ret,
				       struct nx_error *err);
void nx_vault_free(struct nx_vault *v); /* NULL is fine */

/* A hash of the key, to tell keys apart: 16 hex digits, no secret. */
const char *nx_vault_name(const struct nx_vault *v);
#define NX_VAULT_SETTING "vaultKey" /* of the store: the name of the key that its secrets are sealed with */
/* Of all instances on one store the first says which key it is; one with another key is refused:
 * CREDENTIAL_INVALID [CV-004]. */
NX_NODISCARD enum nx_code nx_vault_claim(struct nx_store *s, const uint8_t key[NX_VAULT_KEY_LEN],
					 struct nx_error *err);

/* An empty text seals to an empty text. */
NX_NODISCARD enum nx_code nx_vault_seal(const struct nx_vault *v, struct nx_str owner, struct nx_str plain,
					struct nx_arena *a, struct nx_str *ret, struct nx_error *err);
/* CREDENTIAL_INVALID when the key is another, the row is another, or a bit changed. */
NX_NODISCARD enum nx_code nx_vault_open(const struct nx_vault *v, struct nx_str owner,
					struct nx_str sealed, struct nx_arena *a, struct nx_str *ret,
					struct nx_error *err);

/* Seals everything in the store anew, in one transaction: all or nothing, also in a crash. *ret: the
 * number of texts. For a store that no gateway uses: a running one would keep the old key. */
NX_NODISCARD enum nx_code nx_store_reseal(struct nx_store *s, const struct nx_vault *from,
					  const struct nx_vault *to, uint32_t *ret, struct nx_error *err);

#endif
