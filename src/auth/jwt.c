/* JSON Web Tokens, RFC 7519 with the advice of RFC 8725.
 *
 * Algorithms are rows of one table. A row names the kind of key it works with; a key carries the mask of
 * its rows from the moment it is loaded, so a token can only pick a row that some key has. HS256 stands
 * outside the table and knows our secret only: no public key can serve as an HMAC secret. "none" is simply
 * not a row. */
#include "auth/auth_int.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/json.h"

struct nx_jwt_alg {
	const char *name;
	bool (*verify)(EVP_PKEY *key, const EVP_MD *md, struct nx_str input, struct nx_str sig);
	const EVP_MD *(*md)(void); /* NULL: the algorithm has its own */
	bool (*fits)(EVP_PKEY *key);
};

enum nx_code nx_token_refuse(struct nx_error *err, const char *why)
{
	(void)nx_fail(err, NX_E_UNAUTHENTICATED, "The token is not valid.");
	nx_error_detail(err, "%s", why);
	return NX_E_UNAUTHENTICATED;
}

/* ---- algorithms ---- */

static bool verify_public(EVP_PKEY *key, const EVP_MD *md, struct nx_str input,
			  const unsigned char *sig, size_t len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
		  EVP_DigestVerify(ctx, sig, len, (const unsigned char *)input.ptr, input.len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

static bool verify_plain(EVP_PKEY *key, const EVP_MD *md, struct nx_str input, struct nx_str sig)
{
	return verify_public(key, md, input, (const unsigned char *)sig.ptr, sig.len);
}

/* RFC 7518 3.4: the signature is r and s, 32 bytes each; libcrypto wants them as DER. */
static bool verify_es256(EVP_PKEY *key, const EVP_MD *md, struct nx_str input, struct nx_str sig)
{
	if (sig.len != 64)
		return false;
	const unsigned char *raw = (const unsigned char *)sig.ptr;
	unsigned char *der = NULL;
	int len = -1;
	ECDSA_SIG *es = ECDSA_SIG_new();
	BIGNUM *br = BN_bin2bn(raw, 32, NULL), *bs = BN_bin2bn(raw + 32, 32, NULL);
	if (es && br && bs && ECDSA_SIG_set0(es, br, bs)) {
		br = bs = NULL; /* es has them */
		len = i2d_ECDSA_SIG(es, &der);
	}
	bool ok = len > 0 && verify_public(key, md, input, der, (size_t)len);
	OPENSSL_free(der);
	BN_free(br);
	BN_free(bs);
	ECDSA_SIG_free(es);
	return ok;
}

static bool fits_rsa(EVP_PKEY *k)
{
	int bits = EVP_PKEY_get_bits(k);
	return EVP_PKEY_is_a(k, "RSA") && bits >= 2048 && bits <= 8192;
}

static bool fits_p256(EVP_PKEY *k)
{
	char group[32];
	return EVP_PKEY_is_a(k, "EC") &&
	       EVP_PKEY_get_group_name(k, group, sizeof(group), NULL) == 1 &&
	       strcmp(group, "prime256v1") == 0;
}

static bool fits_ed25519(EVP_PKEY *k)
{
	return EVP_PKEY_is_a(k, "ED25519");
}

static const struct nx_jwt_alg algs[] = {
	{ "RS256", verify_plain, EVP_sha256, fits_rsa },
	{ "RS384", verify_plain, EVP_sha384, fits_rsa },
	{ "RS512", verify_plain, EVP_sha512, fits_rsa },
	{ "ES256", verify_es256, EVP_sha256, fits_p256 },
	{ "EdDSA", verify_plain, NULL, fits_ed25519 },
	{ "Ed25519", verify_plain, NULL, fits_ed25519 }, /* RFC 9864 2.2 */
};

static bool alg_by_name(struct nx_str name, uint32_t *ret)
{
	for (uint32_t i = 0; i < NX_COUNTOF(algs); i++) {
		if (nx_str_is(name, algs[i].name)) {
			*ret = i;
			return true;
		}
	}
	return false;
}

uint32_t nx_jwt_alg_bit(struct nx_str name)
{
	uint32_t i;
	return alg_by_name(name, &i) ? 1u << i : 0;
}

uint32_t nx_jwt_algs(EVP_PKEY *key)
{
	uint32_t mask = 0;
	for (uint32_t i = 0; i < NX_COUNTOF(algs); i++)
		if (algs[i].fits(key))
			mask |= 1u << i;
	return mask;
}

static int no_password(char *buf, int size, int rw, void *arg)
{
	(void)buf, (void)size, (void)rw, (void)arg;
	return -1; /* never ask on the terminal */
}

enum nx_code nx_jwt_public_key(const char *path, struct nx_jwt_rules *r, struct nx_error *err)
{
	BIO *bio = BIO_new_file(path, "r");
	if (!bio) {
		ERR_clear_error();
		return nx_fail(err, NX_E_CONFIG, "The public key file cannot be opened.");
	}
	EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
	if (!key && BIO_reset(bio) == 0) {
		X509 *cert = PEM_read_bio_X509(bio, NULL, no_password, NULL);
		key = cert ? X509_get_pubkey(cert) : NULL;
		X509_free(cert);
	}
	BIO_free(bio);
	ERR_clear_error();
	if (!key)
		return nx_fail(err, NX_E_CONFIG,
			       "The public key file holds no PEM public key or certificate.");
	r->public_algs = nx_jwt_algs(key);
	if (r->public_algs) {
		r->public_key = key;
		return NX_OK;
	}
	EVP_PKEY_free(key);
	return nx_fail(err, NX_E_CONFIG,
		       "The public key must be RSA of 2048 to 8192 bits, EC P-256 or Ed25519.");
}

/* ---- head ---- */

/* Which kind of token, RFC 8725 3.11: an ID or access token, not one that means something else. */
static bool known_type(struct nx_str typ)
{
	return nx_str_ieq(typ, NX_STR("JWT")) || nx_str_ieq(typ, NX_STR("at+jwt")) ||
	       nx_str_ieq(typ, NX_STR("application/at+jwt"));
}

/* Our own tokens have exactly alg and typ. Issuers put what they like beside: thumbprints, key URLs, even
 * keys. RFC 7515 4 has unknown members ignored, and nothing here ever follows one: a key comes from the
 * key set or the file, or not at all. Only `crit` asks for understanding (4.1.11), and none is given.
 * Duplicates fail in the JSON parser. */
enum nx_code nx_jwt_head(struct nx_str json, struct nx_arena *a, struct nx_jwt_head *ret,
			 struct nx_error *err)
{
	const struct nx_json *o;
	if (nx_json_parse(json, a, &o, NULL) != NX_OK || o->kind != NX_JSON_OBJECT)
		return nx_token_refuse(err, "the head is not a JSON object");
	const struct nx_json *alg = nx_json_get(o, "alg"), *typ = nx_json_get(o, "typ"),
			     *kid = nx_json_get(o, "kid");
	if (nx_json_get(o, "crit"))
		return nx_token_refuse(err, "the head has crit");
	if (!alg || alg->kind != NX_JSON_STRING)
		return nx_token_refuse(err, "the head has no alg");
	if ((typ && typ->kind != NX_JSON_STRING) || (kid && kid->kind != NX_JSON_STRING))
		return nx_token_refuse(err, "typ or kid is not a string");
	struct nx_jwt_head h = { .own = nx_str_is(alg->text, "HS256") };
	if (h.own) {
		if (!typ || !nx_str_is(typ->text, "JWT") || o->count != 2)
			return nx_token_refuse(err, "the head is not exactly that of a JWT");
	} else {
		if (!alg_by_name(alg->text, &h.alg))
			return nx_token_refuse(err, "the algorithm is not known");
		if (typ && !known_type(typ->text))
			return nx_token_refuse(err, "another type of token");
		if (kid && (kid->text.len == 0 || kid->text.len > NX_KID_MAX))
			return nx_token_refuse(err, "kid is empty or too long");
		if (kid)
			h.kid = kid->text;
	}
	*ret = h;
	return NX_OK;
}

/* ---- the whole ---- */

static bool split(struct nx_str token, struct nx_str part[3])
{
	for (int i = 0; i < 2; i++) {
		const char *dot = token.len ? memchr(token.ptr, '.', token.len) : NULL;
		if (!dot)
			return false;
		part[i] = nx_strn(token.ptr, (size_t)(dot - token.ptr));
		token.ptr = dot + 1;
		token.len -= part[i].len + 1;
	}
	part[2] = token;
	return part[0].len && part[1].len && part[2].len && !memchr(part[2].ptr, '.', part[2].len);
}

static bool own_signature(const struct nx_jwt_rules *r, struct nx_str input, struct nx_str sig)
{
	uint8_t mac[NX_HASH_LEN];
	bool ok = r->hmac && sig.len == NX_HASH_LEN && nx_hmac(r->hmac, input, mac) &&
		  CRYPTO_memcmp(mac, sig.ptr, NX_HASH_LEN) == 0;
	nx_wipe(mac, sizeof(mac));
	return ok;
}

static bool signature(EVP_PKEY *key, const struct nx_jwt_head *h, struct nx_str input,
		      struct nx_str sig)
{
	const struct nx_jwt_alg *alg = &algs[h->alg];
	return alg->verify(key, alg->md ? alg->md() : NULL, input, sig);
}

/* By a key of the issuer. One that is not known may have come since the set was fetched. */
static enum nx_code foreign_signature(struct nx_issuer *is, const struct nx_jwt_head *h,
				      struct nx_str input, struct nx_str sig, uint64_t *ret_gen,
				      struct nx_error *err)
{
	struct nx_jwks *set = nx_issuer_keys(is);
	const struct nx_jwk *k = set ? nx_jwks_find(set, h->kid, 1u << h->alg) : NULL;
	enum nx_code c = NX_OK;
	if (!k && (nx_issuer_want(is) || !set))
		c = nx_fail(err, NX_E_ISSUER_DOWN, "The keys of the token issuer are not there.");
	else if (!k)
		c = nx_token_refuse(err, "no key of the issuer has that kid and algorithm");
	else if (!signature(k->key, h, input, sig))
		c = nx_token_refuse(err, "the signature does not fit the issuer's key");
	else
		*ret_gen = set->gen;
	nx_jwks_unref(set);
	return c;
}

static enum nx_code check_signature(const struct nx_jwt_rules *r, const struct nx_jwt_head *h,
				    struct nx_str input, struct nx_str sig, uint64_t *ret_gen,
				    struct nx_error *err)
{
	if (!h->own && r->foreign)
		return foreign_signature(r->foreign, h, input, sig, ret_gen, err);
	bool ok =
		h->own ? own_signature(r, input, sig)
		       : (r->public_algs >> h->alg & 1) && signature(r->public_key, h, input, sig);
	*ret_gen = 0;
	return ok ? NX_OK : nx_token_refuse(err, "the signature does not fit a key of ours");
}

enum nx_code nx_jwt_verify(const struct nx_jwt_rules *r, struct nx_str token, int64_t now,
			   struct nx_principal *ret, uint64_t *ret_gen, struct nx_error *err)
{
	struct nx_str part[3];
	struct nx_jwt_head head;
	uint64_t gen = 0;
	unsigned char sig[1024]; /* RSA of 8192 bits */
	if (token.len > NX_TOKEN_MAX)
		return nx_token_refuse(err, "too long");
	if (!split(token, part) || part[2].len > sizeof(sig) * 4 / 3)
		return nx_token_refuse(err, "not three parts");
	struct nx_arena *a = nx_arena_new(1 << 20);
	unsigned char *text = a ? nx_arena_alloc(a, token.len) : NULL;
	enum nx_code c;
	if (!text) {
		c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
		goto out;
	}
	int n = nx_b64url_decode(part[0], text);
	int nsig = nx_b64url_decode(part[2], sig);
	if (n < 0 || nsig < 0) {
		c = nx_token_refuse(err, "not base64url");
		goto out;
	}
	c = nx_jwt_head(nx_strn((char *)text, (size_t)n), a, &head, err);
	if (c)
		goto out;
	c = check_signature(r, &head, nx_strn(token.ptr, part[0].len + 1 + part[1].len),
			    nx_strn((char *)sig, (size_t)nsig), &gen, err);
	if (c)
		goto out;
	n = nx_b64url_decode(part[1], text);
	c = n < 0 ? nx_token_refuse(err, "not base64url")
		  : nx_jwt_claims(r, head.own ? NULL : &r->map, nx_strn((char *)text, (size_t)n),
				  now, a, ret, err);
	if (!c)
		*ret_gen = gen;
out:
	nx_arena_free(a);
	return c;
}

enum nx_code nx_jwt_sign(struct nx_hmac *h, struct nx_str payload, char *ret, size_t size,
			 struct nx_error *err)
{
	static const char head[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
	char out[NX_TOKEN_MAX];
	uint8_t mac[NX_HASH_LEN];
	if (payload.len > sizeof(out) / 2)
		return nx_fail(err, NX_E_BAD_VALUE, "The token would be too long.");
	size_t n = nx_b64url_encode(head, sizeof(head) - 1, out);
	out[n++] = '.';
	n += nx_b64url_encode(payload.ptr, payload.len, out + n);
	if (!nx_hmac(h, nx_strn(out, n), mac))
		return nx_fail(err, NX_E_INTERNAL, "The token cannot be signed.");
	out[n++] = '.';
	n += nx_b64url_encode(mac, sizeof(mac), out + n);
	enum nx_code c = NX_OK;
	if (n < size) {
		memcpy(ret, out, n);
		ret[n] = '\0';
	} else {
		c = nx_fail(err, NX_E_BAD_VALUE, "The token would be too long.");
	}
	nx_wipe(out, sizeof(out));
	return c;
}
