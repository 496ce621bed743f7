/* Signed assertions: RFC 7515 compact form, RS256 and ES256. */
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "base/json.h"
#include "tokens/tokens_int.h"

static int passphrase(char *buf, int size, int rw, void *arg)
{
	(void)rw;
	size_t n = arg ? strlen(arg) : 0;
	if (n == 0 || n > (size_t)size)
		return -1; /* never ask on the terminal */
	memcpy(buf, arg, n);
	return (int)n;
}

enum nx_code nx_key_read(struct nx_str pem, const char *pass, EVP_PKEY **ret, struct nx_error *err)
{
	char group[32];
	EVP_PKEY *k = NULL;
	BIO *b = pem.len < 65536 ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
	if (b)
		k = PEM_read_bio_PrivateKey(b, NULL, passphrase, (void *)(uintptr_t)pass);
	BIO_free(b);
	ERR_clear_error();
	if (!k)
		return nx_fail(
			err, NX_E_CREDENTIAL_INVALID,
			"CV-002: privateKey is no PEM private key, or its passphrase is wrong.");
	bool fits = (EVP_PKEY_is_a(k, "RSA") && EVP_PKEY_get_bits(k) >= 2048) ||
		    (EVP_PKEY_is_a(k, "EC") &&
		     EVP_PKEY_get_group_name(k, group, sizeof(group), NULL) == 1 &&
		     strcmp(group, "prime256v1") == 0);
	if (!fits) {
		EVP_PKEY_free(k);
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "CV-002: privateKey must be RSA of 2048 bits or more, or EC P-256.");
	}
	*ret = k;
	return NX_OK;
}

/* base64url without padding, RFC 4648 5. */
static void put_b64url(struct nx_buf *b, const void *p, size_t n)
{
	unsigned char *out = (unsigned char *)nx_buf_reserve(b, n / 3 * 4 + 5);
	if (!out)
		return;
	int len = EVP_EncodeBlock(out, p, (int)n);
	while (len > 0 && out[len - 1] == '=')
		len--;
	for (int i = 0; i < len; i++)
		out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
	b->len += (size_t)len;
}

/* RFC 7518 3.4: r and s, 32 bytes each, where libcrypto gives DER. */
static bool flat_ecdsa(const unsigned char *der, size_t len, unsigned char out[64])
{
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool ok = s && BN_bn2binpad(ECDSA_SIG_get0_r(s), out, 32) == 32 &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(s), out + 32, 32) == 32;
	ECDSA_SIG_free(s);
	return ok;
}

static bool put_signature(EVP_PKEY *key, bool ec, struct nx_buf *b)
{
	unsigned char sig[1024], flat[64];
	size_t len = sizeof(sig);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && !b->failed && EVP_PKEY_get_size(key) <= (int)sizeof(sig) &&
		  EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestSign(ctx, sig, &len, (const unsigned char *)b->data, b->len) == 1 &&
		  (!ec || flat_ecdsa(sig, len, flat));
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	if (ok) {
		nx_buf_putc(b, '.');
		put_b64url(b, ec ? flat : sig, ec ? sizeof(flat) : len);
	}
	return ok;
}

enum nx_code nx_assertion_sign(EVP_PKEY *key, const char *kid, struct nx_str claims,
			       struct nx_arena *a, struct nx_str *ret, struct nx_error *err)
{
	bool ec = EVP_PKEY_is_a(key, "EC");
	struct nx_buf head, b;
	nx_buf_init(&head, 4096);
	nx_buf_puts(&head, ec ? "{\"alg\":\"ES256\",\"typ\":\"JWT\""
			      : "{\"alg\":\"RS256\",\"typ\":\"JWT\"");
	if (kid) {
		nx_buf_puts(&head, ",\"kid\":");
		nx_buf_put_json(&head, nx_str(kid));
	}
	nx_buf_putc(&head, '}');
	nx_secret_buf(&b);
	if (!head.failed)
		put_b64url(&b, head.data, head.len);
	nx_buf_putc(&b, '.');
	put_b64url(&b, claims.ptr, claims.len);
	bool ok = !head.failed && put_signature(key, ec, &b);
	nx_buf_done(&head);
	enum nx_code c = nx_secret_take(&b, a, ret, err);
	return c || ok ? c : nx_fail(err, NX_E_INTERNAL, "A JWT cannot be signed.");
}

enum nx_code nx_key_fingerprint(EVP_PKEY *key, char ret[64], struct nx_error *err)
{
	unsigned char *der = NULL, hash[32], text[48];
	unsigned n = 0;
	int len = i2d_PUBKEY(key, &der);
	bool ok = len > 0 && EVP_Digest(der, (size_t)len, hash, &n, EVP_sha256(), NULL) == 1;
	OPENSSL_free(der);
	if (!ok)
		return nx_fail(err, NX_E_INTERNAL, "A key's fingerprint cannot be made.");
	EVP_EncodeBlock(text, hash, 32);
	(void)snprintf(ret, 64, "SHA256:%s", (const char *)text);
	return NX_OK;
}

int64_t nx_token_expiry(struct nx_str t)
{
	const char *dot = t.len ? memchr(t.ptr, '.', t.len) : NULL;
	const char *end = dot ? memchr(dot + 1, '.', t.len - (size_t)(dot + 1 - t.ptr)) : NULL;
	size_t n = end ? (size_t)(end - dot - 1) : 0;
	const struct nx_json *o = NULL, *exp;
	int64_t v = 0;
	if (n == 0 || n > NX_TOKEN_TEXT_MAX)
		return 0;
	size_t padded = (n + 3) / 4 * 4;
	struct nx_arena *a = nx_arena_new_secret(8 * NX_TOKEN_TEXT_MAX);
	unsigned char *in = a ? nx_arena_alloc(a, padded) : NULL;
	unsigned char *out = in ? nx_arena_alloc(a, padded) : NULL;
	if (out) {
		for (size_t i = 0; i < padded; i++) {
			char c = i < n ? dot[1 + i] : '=';
			in[i] = (unsigned char)(c == '-' ? '+' : c == '_' ? '/' : c);
		}
		int len = EVP_DecodeBlock(out, in, (int)padded);
		len -= (int)(padded - n);
		if (len > 0 &&
		    nx_json_parse(nx_strn((char *)out, (size_t)len), a, &o, NULL) == NX_OK &&
		    (exp = nx_json_get(o, "exp")) && exp->kind == NX_JSON_NUMBER &&
		    (!nx_str_to_i64(exp->text, &v) || v < 0))
			v = 0;
	}
	nx_arena_free(a);
	return v;
}
