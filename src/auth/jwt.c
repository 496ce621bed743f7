/* JSON Web Tokens, RFC 7519 with the advice of RFC 8725.
 *
 * Algorithms are rows of one table. A row names the kind of key it works with; a key carries its row
 * from the moment it is loaded, so a token can only pick a row that some key has, and never make a
 * public key serve as an HMAC secret. "none" is simply not a row. */
#include "auth/auth_int.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/json.h"

#define MAX_SUBJECT (sizeof(((struct nx_principal *)0)->name) - 1)

struct nx_jwt_alg {
	const char *name;
	bool exact_head; /* our own tokens: {alg, typ} and nothing else */
	bool (*verify)(const struct nx_jwt_rules *r, struct nx_str input, struct nx_str sig);
	bool (*fits)(EVP_PKEY *key); /* NULL: not a public key algorithm */
};

enum nx_code nx_token_refuse(struct nx_error *err, const char *why)
{
	(void)nx_fail(err, NX_E_UNAUTHENTICATED, "The token is not valid.");
	nx_error_detail(err, "%s", why);
	return NX_E_UNAUTHENTICATED;
}

/* ---- algorithms ---- */

static bool verify_hs256(const struct nx_jwt_rules *r, struct nx_str input, struct nx_str sig)
{
	uint8_t mac[NX_HASH_LEN];
	bool ok = r->hmac && sig.len == NX_HASH_LEN && nx_hmac(r->hmac, input, mac) &&
		  CRYPTO_memcmp(mac, sig.ptr, NX_HASH_LEN) == 0;
	nx_wipe(mac, sizeof(mac));
	return ok;
}

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

static bool verify_rs256(const struct nx_jwt_rules *r, struct nx_str input, struct nx_str sig)
{
	return verify_public(r->public_key, EVP_sha256(), input, (const unsigned char *)sig.ptr,
			     sig.len);
}

static bool verify_eddsa(const struct nx_jwt_rules *r, struct nx_str input, struct nx_str sig)
{
	return verify_public(r->public_key, NULL, input, (const unsigned char *)sig.ptr, sig.len);
}

/* RFC 7518 3.4: the signature is r and s, 32 bytes each; libcrypto wants them as DER. */
static bool verify_es256(const struct nx_jwt_rules *r, struct nx_str input, struct nx_str sig)
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
	bool ok = len > 0 && verify_public(r->public_key, EVP_sha256(), input, der, (size_t)len);
	OPENSSL_free(der);
	BN_free(br);
	BN_free(bs);
	ECDSA_SIG_free(es);
	return ok;
}

static bool fits_rsa(EVP_PKEY *k)
{
	return EVP_PKEY_is_a(k, "RSA") && EVP_PKEY_get_bits(k) >= 2048;
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
	{ "HS256", true, verify_hs256, NULL },
	{ "RS256", false, verify_rs256, fits_rsa },
	{ "ES256", false, verify_es256, fits_p256 },
	{ "EdDSA", false, verify_eddsa, fits_ed25519 },
};

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
	for (size_t i = 0; i < NX_COUNTOF(algs); i++) {
		if (!algs[i].fits || !algs[i].fits(key))
			continue;
		r->public_key = key;
		r->public_alg = &algs[i];
		return NX_OK;
	}
	EVP_PKEY_free(key);
	return nx_fail(err, NX_E_CONFIG,
		       "The public key must be RSA of 2048 bits or more, EC P-256 or Ed25519.");
}

/* ---- head ---- */

/* Every member must be known: `crit`, `jku`, `jwk`, `x5u` and the like would be instructions we do
 * not follow, and ignoring them is how verifiers get fooled. Duplicates fail in the JSON parser. */
enum nx_code nx_jwt_head(struct nx_str json, struct nx_arena *a, const struct nx_jwt_alg **ret,
			 struct nx_error *err)
{
	const struct nx_json *o, *alg = NULL, *typ = NULL, *kid = NULL;
	if (nx_json_parse(json, a, &o, NULL) != NX_OK || o->kind != NX_JSON_OBJECT)
		return nx_token_refuse(err, "the head is not a JSON object");
	for (const struct nx_json *m = o->first; m; m = m->next) {
		if (m->kind != NX_JSON_STRING)
			return nx_token_refuse(err, "a head member is not a string");
		if (nx_str_is(m->key, "alg"))
			alg = m;
		else if (nx_str_is(m->key, "typ"))
			typ = m;
		else if (nx_str_is(m->key, "kid"))
			kid = m;
		else
			return nx_token_refuse(err, "the head has an unknown member");
	}
	if (!alg)
		return nx_token_refuse(err, "the head has no alg");
	for (size_t i = 0; i < NX_COUNTOF(algs); i++) {
		if (!nx_str_is(alg->text, algs[i].name))
			continue;
		if ((typ && !nx_str_is(typ->text, "JWT")) || (algs[i].exact_head && (!typ || kid)))
			return nx_token_refuse(err, "the head is not exactly that of a JWT");
		*ret = &algs[i];
		return NX_OK;
	}
	return nx_token_refuse(err, "the algorithm is not known");
}

/* ---- claims ---- */

/* NumericDate, RFC 7519 2: seconds, a fraction allowed and cut. */
static bool date_of(const struct nx_json *v, int64_t *ret)
{
	double d;
	if (!v || v->kind != NX_JSON_NUMBER || !nx_str_to_f64(v->text, &d) ||
	    !(d >= 0 && d <= 253402300799.0)) /* the end of year 9999 */
		return false;
	*ret = (int64_t)d;
	return true;
}

static bool has_audience(const struct nx_json *v, struct nx_str want)
{
	if (v && v->kind == NX_JSON_STRING)
		return nx_str_eq(v->text, want);
	if (v && v->kind == NX_JSON_ARRAY)
		for (const struct nx_json *m = v->first; m; m = m->next)
			if (m->kind == NX_JSON_STRING && nx_str_eq(m->text, want))
				return true;
	return false;
}

static bool name_hash(struct nx_str name, uint64_t *ret)
{
	uint8_t hash[NX_HASH_LEN];
	if (!nx_sha256(name, hash))
		return false;
	memcpy(ret, hash, sizeof(*ret));
	return true;
}

bool nx_principal_sees(const struct nx_principal *p, struct nx_str source_name)
{
	uint64_t h;
	if (!p->narrowed)
		return true;
	if (!name_hash(source_name, &h))
		return false;
	for (uint8_t i = 0; i < p->nsources; i++)
		if (p->sources[i] == h)
			return true;
	return false;
}

/* Absent: not narrowed. False: not an array of at most 16 texts. */
static bool read_sources(const struct nx_json *v, struct nx_principal *p)
{
	if (!v)
		return true;
	if (v->kind != NX_JSON_ARRAY || v->count > NX_TOKEN_SOURCES)
		return false;
	p->narrowed = true;
	for (const struct nx_json *m = v->first; m; m = m->next)
		if (m->kind != NX_JSON_STRING || !name_hash(m->text, &p->sources[p->nsources++]))
			return false;
	return true;
}

bool nx_principal_name(struct nx_principal *p, struct nx_str name)
{
	uint8_t hash[NX_HASH_LEN];
	if (name.len == 0 || name.len > MAX_SUBJECT || nx_utf8_check(name) != name.len)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
			return false;
	/* owners are compared by id: a weak hash would let a chosen subject collide with another */
	if (!nx_sha256(name, hash))
		return false;
	memcpy(p->name, name.ptr, name.len);
	memset(p->name + name.len, 0, sizeof(p->name) - name.len);
	memcpy(&p->id, hash, sizeof(p->id));
	return true;
}

enum nx_code nx_jwt_claims(const struct nx_jwt_rules *r, struct nx_str json, int64_t now,
			   struct nx_arena *a, struct nx_principal *ret, struct nx_error *err)
{
	const struct nx_json *o;
	if (nx_json_parse(json, a, &o, NULL) != NX_OK || o->kind != NX_JSON_OBJECT)
		return nx_token_refuse(err, "the payload is not a JSON object");
	const struct nx_json *sub = nx_json_get(o, "sub"), *role = nx_json_get(o, "role");
	const struct nx_json *nbf = nx_json_get(o, "nbf"), *iss = nx_json_get(o, "iss");
	struct nx_principal p = { .role = NX_ROLE_AGENT };
	int64_t exp, from = 0, leeway = r->leeway_s;
	if (!date_of(nx_json_get(o, "exp"), &exp) || (nbf && !date_of(nbf, &from)))
		return nx_token_refuse(err, "exp is missing, or exp or nbf is not a date");
	if (!sub || sub->kind != NX_JSON_STRING || !nx_principal_name(&p, sub->text))
		return nx_token_refuse(err, "sub is missing or not usable");
	/* names of API keys and of the open door are not for tokens to take */
	if (nx_str_starts(sub->text, NX_STR("key:")) || nx_str_is(sub->text, "anonymous"))
		return nx_token_refuse(err, "sub is reserved");
	if (!role || role->kind != NX_JSON_STRING || !nx_role_by_name(role->text, &p.role))
		return nx_token_refuse(err, "role is missing or not known");
	if (!read_sources(nx_json_get(o, "sources"), &p))
		return nx_token_refuse(err, "sources is not an array of at most 16 names");
	if (r->issuer.len &&
	    (!iss || iss->kind != NX_JSON_STRING || !nx_str_eq(iss->text, r->issuer)))
		return nx_token_refuse(err, "the issuer is another");
	if (r->audience.len && !has_audience(nx_json_get(o, "aud"), r->audience))
		return nx_token_refuse(err, "the audience is another");
	if (now < from - leeway)
		return nx_token_refuse(err, "the token is not valid yet");
	if (now >= exp + leeway)
		return nx_fail(err, NX_E_TOKEN_EXPIRED, "The token has expired.");
	p.expires = exp + leeway;
	*ret = p;
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

enum nx_code nx_jwt_verify(const struct nx_jwt_rules *r, struct nx_str token, int64_t now,
			   struct nx_principal *ret, struct nx_error *err)
{
	struct nx_str part[3];
	const struct nx_jwt_alg *alg = NULL;
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
	c = nx_jwt_head(nx_strn((char *)text, (size_t)n), a, &alg, err);
	if (c)
		goto out;
	struct nx_str input = nx_strn(token.ptr, part[0].len + 1 + part[1].len);
	if ((alg->fits && alg != r->public_alg) ||
	    !alg->verify(r, input, nx_strn((char *)sig, (size_t)nsig))) {
		c = nx_token_refuse(err, "the signature does not fit a key of ours");
		goto out;
	}
	n = nx_b64url_decode(part[1], text);
	c = n < 0 ? nx_token_refuse(err, "not base64url")
		  : nx_jwt_claims(r, nx_strn((char *)text, (size_t)n), now, a, ret, err);
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
