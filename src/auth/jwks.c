/* JSON Web Key Sets, RFC 7517, with the key forms of RFC 7518 6 and RFC 8037 2.
 *
 * A key is taken when it is public, of a kind that a row of the algorithm table knows, strong enough, and
 * not for anything else; the others are left out without a word (RFC 7517 5). Symmetric keys have no
 * business in a published set, and a set that shows a private key has lost it: neither is taken. */
#include "auth/auth_int.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <stdlib.h>

#include "base/json.h"

#define RSA_BYTES 1024u /* of a modulus: 8192 bits */

/* ---- key material ---- */

/* Decoded bytes of a base64url member; -1: absent, no text, or over max. `out` has room for max + 3. */
static int bytes_of(const struct nx_json *key, const char *name, unsigned char *out, size_t max)
{
	const struct nx_json *v = nx_json_get(key, name);
	if (!v || v->kind != NX_JSON_STRING || v->text.len == 0 || v->text.len > (max * 4 + 2) / 3)
		return -1;
	return nx_b64url_decode(v->text, out);
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *bld)
{
	EVP_PKEY *key = NULL;
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return key;
}

/* RFC 7518 6.3.1. The exponent is odd and has at most 32 bits: a long one makes each check slow, and no
 * issuer has one. */
static EVP_PKEY *rsa_key(const struct nx_json *o)
{
	unsigned char n[RSA_BYTES + 3], e[4 + 3];
	int nlen = bytes_of(o, "n", n, RSA_BYTES), elen = bytes_of(o, "e", e, 4);
	if (nlen < 256 || elen < 1 || !(e[elen - 1] & 1) || (elen == 1 && e[0] < 3) ||
	    !(n[nlen - 1] & 1))
		return NULL;
	EVP_PKEY *key = NULL;
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *bn = BN_bin2bn(n, nlen, NULL), *be = BN_bin2bn(e, elen, NULL);
	if (bld && bn && be && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn) &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be))
		key = from_params("RSA", bld);
	BN_free(bn);
	BN_free(be);
	OSSL_PARAM_BLD_free(bld);
	return key;
}

/* RFC 7518 6.2.1: coordinates of exactly the field's length, of a point on the curve. */
static EVP_PKEY *ec_key(const struct nx_json *o)
{
	const struct nx_json *crv = nx_json_get(o, "crv");
	unsigned char point[1 + 32 + 32 + 3] = { 4 }; /* uncompressed */
	if (!crv || crv->kind != NX_JSON_STRING || !nx_str_is(crv->text, "P-256") ||
	    bytes_of(o, "x", point + 1, 32) != 32 || bytes_of(o, "y", point + 33, 32) != 32)
		return NULL;
	EVP_PKEY *key = NULL;
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	if (bld &&
	    OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
	    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, 65))
		key = from_params("EC", bld);
	OSSL_PARAM_BLD_free(bld);
	EVP_PKEY_CTX *ctx = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
	if (!ctx || EVP_PKEY_public_check(ctx) != 1) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* RFC 8037 2. */
static EVP_PKEY *okp_key(const struct nx_json *o)
{
	const struct nx_json *crv = nx_json_get(o, "crv");
	unsigned char x[32 + 3];
	if (!crv || crv->kind != NX_JSON_STRING || !nx_str_is(crv->text, "Ed25519") ||
	    bytes_of(o, "x", x, 32) != 32)
		return NULL;
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, 32);
}

/* ---- one key ---- */

/* RFC 7517 4.2 and 4.3: what the key is for, when it says so. */
static bool for_signatures(const struct nx_json *o)
{
	const struct nx_json *use = nx_json_get(o, "use"), *ops = nx_json_get(o, "key_ops");
	if (use && (use->kind != NX_JSON_STRING || !nx_str_is(use->text, "sig")))
		return false;
	if (!ops)
		return true;
	if (ops->kind != NX_JSON_ARRAY)
		return false;
	for (const struct nx_json *m = ops->first; m; m = m->next)
		if (m->kind == NX_JSON_STRING && nx_str_is(m->text, "verify"))
			return true;
	return false;
}

/* False: not for us. *ret has a key then. */
static bool read_key(const struct nx_json *o, struct nx_jwk *ret)
{
	const struct nx_json *kty = nx_json_get(o, "kty"), *alg = nx_json_get(o, "alg"),
			     *kid = nx_json_get(o, "kid");
	if (o->kind != NX_JSON_OBJECT || !kty || kty->kind != NX_JSON_STRING ||
	    nx_json_get(o, "d") || nx_json_get(o, "k") || !for_signatures(o))
		return false;
	if (kid &&
	    (kid->kind != NX_JSON_STRING || kid->text.len == 0 || kid->text.len > NX_KID_MAX))
		return false;
	if (alg && (alg->kind != NX_JSON_STRING || !nx_jwt_alg_bit(alg->text)))
		return false;
	struct nx_jwk k = { .kid_len = kid ? (uint8_t)kid->text.len : 0 };
	if (kid)
		memcpy(k.kid, kid->text.ptr, kid->text.len);
	if (nx_str_is(kty->text, "RSA"))
		k.key = rsa_key(o);
	else if (nx_str_is(kty->text, "EC"))
		k.key = ec_key(o);
	else if (nx_str_is(kty->text, "OKP"))
		k.key = okp_key(o);
	ERR_clear_error();
	if (!k.key)
		return false;
	k.algs = nx_jwt_algs(k.key);
	if (alg)
		k.algs &= nx_jwt_alg_bit(alg->text);
	if (!k.algs) {
		EVP_PKEY_free(k.key);
		return false;
	}
	*ret = k;
	return true;
}

/* ---- the set ---- */

static bool has_kid(const struct nx_jwk *k, struct nx_str kid)
{
	return nx_str_eq(nx_strn(k->kid, k->kid_len), kid);
}

static void drop(struct nx_jwks *s, uint32_t i)
{
	EVP_PKEY_free(s->at[i].key);
	s->at[i] = s->at[--s->n];
	s->ignored++;
}

/* RFC 7517 4.5 lets keys of different kinds share a kid. Two that a token could mean alike are no use, unless
 * they are one key: which of them is meant must not depend on their order. */
static void drop_ambiguous(struct nx_jwks *s)
{
	bool bad[NX_JWKS_KEYS] = { false }, same[NX_JWKS_KEYS] = { false };
	for (uint32_t i = 0; i < s->n; i++) {
		for (uint32_t k = i + 1; k < s->n; k++) {
			if (!(s->at[i].algs & s->at[k].algs) || s->at[i].kid_len == 0 ||
			    !has_kid(&s->at[k], nx_strn(s->at[i].kid, s->at[i].kid_len)))
				continue;
			if (EVP_PKEY_eq(s->at[i].key, s->at[k].key) == 1)
				same[k] = true;
			else
				bad[i] = bad[k] = true;
		}
	}
	for (uint32_t i = s->n; i-- > 0;)
		if (bad[i] || same[i])
			drop(s, i);
	ERR_clear_error();
}

static enum nx_code read_set(struct nx_jwks *s, struct nx_str json, struct nx_arena *a,
			     struct nx_error *err)
{
	const struct nx_json *o;
	if (json.len > NX_JWKS_BYTES || nx_json_parse(json, a, &o, NULL) != NX_OK)
		return nx_fail(err, NX_E_OUTBOUND_FAILED, "The key set is not JSON.");
	const struct nx_json *keys = nx_json_get(o, "keys");
	if (o->kind != NX_JSON_OBJECT || !keys || keys->kind != NX_JSON_ARRAY)
		return nx_fail(err, NX_E_OUTBOUND_FAILED, "The key set has no array of keys.");
	if (keys->count > NX_JWKS_KEYS)
		return nx_fail(err, NX_E_OUTBOUND_FAILED, "The key set has more than %d keys.",
			       NX_JWKS_KEYS);
	for (const struct nx_json *k = keys->first; k; k = k->next) {
		if (read_key(k, &s->at[s->n]))
			s->n++;
		else
			s->ignored++;
	}
	drop_ambiguous(s);
	return NX_OK;
}

enum nx_code nx_jwks_parse(struct nx_str json, struct nx_jwks **ret, struct nx_error *err)
{
	struct nx_jwks *s = calloc(1, sizeof(*s));
	if (!s)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	atomic_init(&s->refs, 1);
	struct nx_arena *a = nx_arena_new((size_t)32 << 20);
	enum nx_code c =
		a ? read_set(s, json, a, err) : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	nx_arena_free(a);
	if (c) {
		nx_jwks_unref(s);
		return c;
	}
	*ret = s;
	return NX_OK;
}

struct nx_jwks *nx_jwks_ref(struct nx_jwks *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void nx_jwks_unref(struct nx_jwks *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t i = 0; i < s->n; i++)
		EVP_PKEY_free(s->at[i].key);
	free(s);
}

const struct nx_jwk *nx_jwks_find(const struct nx_jwks *s, struct nx_str kid, uint32_t alg_bit)
{
	const struct nx_jwk *found = NULL;
	for (uint32_t i = 0; i < s->n; i++) {
		const struct nx_jwk *k = &s->at[i];
		if (!(k->algs & alg_bit) || (kid.len && !has_kid(k, kid)))
			continue;
		if (kid.len)
			return k;
		if (found)
			return NULL; /* the token does not say which */
		found = k;
	}
	return found;
}
