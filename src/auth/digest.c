/* SHA-256 and HMAC by libcrypto, without paying for look-ups and key set-up on every call. */
#include "auth/auth_int.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>

/* One digest context per thread, freed when the thread ends. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t tls_key;
static EVP_MD *sha256;

static void free_context(void *ctx)
{
	EVP_MD_CTX_free(ctx);
}

static void set_up(void)
{
	/* never freed: contexts of running threads point to it */
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (pthread_key_create(&tls_key, free_context) != 0)
		abort(); /* 1024 keys per process: a bug */
}

static EVP_MD_CTX *context(void)
{
	static _Thread_local EVP_MD_CTX *mine;
	if (NX_LIKELY(mine != NULL))
		return mine;
	pthread_once(&once, set_up);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (!ctx || !sha256 || pthread_setspecific(tls_key, ctx) != 0) {
		EVP_MD_CTX_free(ctx);
		return NULL;
	}
	mine = ctx;
	return ctx;
}

bool nx_sha256_two(struct nx_str a, struct nx_str b, uint8_t ret[NX_HASH_LEN])
{
	EVP_MD_CTX *ctx = context();
	return ctx && EVP_DigestInit_ex2(ctx, sha256, NULL) &&
	       EVP_DigestUpdate(ctx, a.ptr, a.len) &&
	       (b.len == 0 || EVP_DigestUpdate(ctx, b.ptr, b.len)) &&
	       EVP_DigestFinal_ex(ctx, ret, NULL);
}

bool nx_sha256(struct nx_str s, uint8_t ret[NX_HASH_LEN])
{
	return nx_sha256_two(s, NX_STR(""), ret);
}

bool nx_random(void *p, size_t n)
{
	return n <= INT32_MAX && RAND_bytes(p, (int)n) == 1;
}

/* ---- HMAC ---- */

#define SPARE_MAX 64

struct nx_hmac {
	EVP_MAC_CTX *keyed; /* never used itself, only duplicated */
	pthread_mutex_t lock; /* spare, nspare; held for a few instructions */
	EVP_MAC_CTX *spare[SPARE_MAX];
	int nspare;
};

struct nx_hmac *nx_hmac_new(struct nx_str key)
{
	struct nx_hmac *h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	pthread_mutex_init(&h->lock, NULL);
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	h->keyed = mac ? EVP_MAC_CTX_new(mac) : NULL;
	EVP_MAC_free(mac);
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	if (!h->keyed || !EVP_MAC_init(h->keyed, (const unsigned char *)key.ptr, key.len, params)) {
		nx_hmac_free(h);
		return NULL;
	}
	return h;
}

void nx_hmac_free(struct nx_hmac *h)
{
	if (!h)
		return;
	for (int i = 0; i < h->nspare; i++)
		EVP_MAC_CTX_free(h->spare[i]);
	EVP_MAC_CTX_free(h->keyed);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static EVP_MAC_CTX *take(struct nx_hmac *h)
{
	EVP_MAC_CTX *ctx = NULL;
	pthread_mutex_lock(&h->lock);
	if (h->nspare > 0)
		ctx = h->spare[--h->nspare];
	pthread_mutex_unlock(&h->lock);
	return ctx ? ctx : EVP_MAC_CTX_dup(h->keyed);
}

static void give_back(struct nx_hmac *h, EVP_MAC_CTX *ctx)
{
	pthread_mutex_lock(&h->lock);
	if (h->nspare < SPARE_MAX) {
		h->spare[h->nspare++] = ctx;
		ctx = NULL;
	}
	pthread_mutex_unlock(&h->lock);
	EVP_MAC_CTX_free(ctx);
}

bool nx_hmac(struct nx_hmac *h, struct nx_str data, uint8_t ret[NX_HASH_LEN])
{
	EVP_MAC_CTX *ctx = take(h);
	size_t n = 0;
	/* init without a key starts over under the same key */
	bool ok = ctx && EVP_MAC_init(ctx, NULL, 0, NULL) &&
		  EVP_MAC_update(ctx, (const unsigned char *)data.ptr, data.len) &&
		  EVP_MAC_final(ctx, ret, &n, NX_HASH_LEN) && n == NX_HASH_LEN;
	if (ok)
		give_back(h, ctx);
	else
		EVP_MAC_CTX_free(ctx);
	return ok;
}
