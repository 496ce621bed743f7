/* What a token costs: the first check and a repeated one, by algorithm, and an API key beside them. One thread,
 * best of 15 rounds; prints rows for docs/security.md.
 *
 *	ninja -C build src/auth/jwt_bench && build/src/auth/jwt_bench */
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/auth_int.h"
#include "base/clock.h"
#include "store/store.h"

#define SECRET NX_STR("0123456789abcdef0123456789abcdef")
#define PAYLOAD                                                                          \
	"{\"iss\":\"https://login.example.com/realms/"                                   \
	"data\",\"aud\":\"nexus\",\"azp\":\"console\","                                  \
	"\"sub\":\"2f1c7a52-6a3e-4a0b-9b59-8a4f0f2f7c11\",\"role\":\"analyst\",\"exp\":" \
	"4000000000,"                                                                    \
	"\"iat\":1790000000,\"scope\":\"openid profile email\"}"

enum { ROUNDS = 15 };

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "jwt_bench: %s\n", what);
	exit(1);
}

/* r and s of 32 bytes each, RFC 7518 3.4. */
static size_t raw_ecdsa(unsigned char *sig, size_t len)
{
	const unsigned char *p = sig;
	ECDSA_SIG *es = d2i_ECDSA_SIG(NULL, &p, (long)len);
	must(es != NULL, "signature");
	BN_bn2binpad(ECDSA_SIG_get0_r(es), sig, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(es), sig + 32, 32);
	ECDSA_SIG_free(es);
	return 64;
}

static void sign(EVP_PKEY *key, const char *alg, const EVP_MD *md, char *out)
{
	char head[64];
	unsigned char sig[1024];
	size_t len = sizeof(sig);
	must(snprintf(head, sizeof(head), "{\"alg\":\"%s\",\"kid\":\"2026-11\"}", alg) > 0, "head");
	size_t n = nx_b64url_encode(head, strlen(head), out);
	out[n++] = '.';
	n += nx_b64url_encode(PAYLOAD, sizeof(PAYLOAD) - 1, out + n);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	must(EVP_DigestSignInit(ctx, NULL, md, NULL, key) == 1 &&
		     EVP_DigestSign(ctx, sig, &len, (unsigned char *)out, n) == 1,
	     "sign");
	EVP_MD_CTX_free(ctx);
	if (EVP_PKEY_is_a(key, "EC"))
		len = raw_ecdsa(sig, len);
	out[n++] = '.';
	n += nx_b64url_encode(sig, len, out + n);
	out[n] = '\0';
}

static double first_us(const struct nx_jwt_rules *r, const char *token)
{
	int64_t best = INT64_MAX;
	int reps = 200;
	for (int round = 0; round < ROUNDS; round++) {
		int64_t t = nx_now();
		for (int i = 0; i < reps; i++) {
			struct nx_principal p;
			struct nx_error err;
			uint64_t gen;
			must(nx_jwt_verify(r, nx_str(token), 1, &p, &gen, &err) == NX_OK, "verify");
		}
		t = nx_now() - t;
		best = t < best ? t : best;
	}
	return (double)best / reps / 1e3;
}

static double repeated_us(struct nx_auth *a, struct nx_str authorization, struct nx_str key)
{
	int64_t best = INT64_MAX;
	int reps = 20000;
	for (int round = 0; round < ROUNDS; round++) {
		int64_t t = nx_now();
		for (int i = 0; i < reps; i++) {
			struct nx_principal p;
			struct nx_error err;
			must(nx_auth_check(a, authorization, key, &p, &err) == NX_OK, "check");
		}
		t = nx_now() - t;
		best = t < best ? t : best;
	}
	return (double)best / reps / 1e3;
}

static void row(const char *what, const char *token, const char *key_file)
{
	char header[NX_TOKEN_MAX];
	struct nx_error err;
	struct nx_auth *a = NULL;
	struct nx_auth_config cfg = { .secret = SECRET, .public_key_file = key_file };
	struct nx_jwt_rules r = { .hmac = nx_hmac_new(SECRET) };
	must(!key_file || nx_jwt_public_key(key_file, &r, &err) == NX_OK, "key");
	must(nx_auth_open(NULL, &cfg, &a, &err) == NX_OK, "open");
	must(snprintf(header, sizeof(header), "Bearer %s", token) > 0, "header");
	printf("| %s | %zu | %.1f | %.2f |\n", what, strlen(token), first_us(&r, token),
	       repeated_us(a, nx_str(header), NX_STR("")));
	nx_auth_free(a);
	nx_hmac_free(r.hmac);
	EVP_PKEY_free(r.public_key);
}

static void public_row(const char *what, const char *alg, EVP_PKEY *key, const EVP_MD *md)
{
	char path[256], token[NX_TOKEN_MAX];
	const char *dir = getenv("TMPDIR");
	must(snprintf(path, sizeof(path), "%s/nx-jwt-bench-XXXXXX", dir ? dir : P_tmpdir) <
		     (int)sizeof(path),
	     "TMPDIR");
	int fd = mkstemp(path);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	must(f && key && PEM_write_PUBKEY(f, key) == 1 && fclose(f) == 0, "key file");
	sign(key, alg, md, token);
	row(what, token, path);
	unlink(path);
	EVP_PKEY_free(key);
}

int main(void)
{
	struct nx_store *s = NULL;
	struct nx_auth *a = NULL;
	struct nx_auth_config cfg = { .secret = SECRET };
	struct nx_issue q = { .name = NX_STR("bench"), .role = NX_ROLE_ANALYST };
	struct nx_error err;
	char token[1024], key[80];
	puts("| credential | bytes | first check, us | repeated, us |\n|---|---|---|---|");
	struct nx_hmac *h = nx_hmac_new(SECRET);
	must(nx_jwt_sign(h, NX_STR(PAYLOAD), token, sizeof(token), &err) == NX_OK, "sign");
	nx_hmac_free(h);
	row("HS256", token, NULL);
	public_row("RS256, 2048 bits", "RS256", EVP_RSA_gen(2048), EVP_sha256());
	public_row("RS256, 4096 bits", "RS256", EVP_RSA_gen(4096), EVP_sha256());
	public_row("RS512, 2048 bits", "RS512", EVP_RSA_gen(2048), EVP_sha512());
	public_row("ES256", "ES256", EVP_EC_gen("P-256"), EVP_sha256());
	public_row("EdDSA (Ed25519)", "EdDSA", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL);
	must(nx_store_open(":memory:", &s, &err) == NX_OK &&
		     nx_auth_open(s, &cfg, &a, &err) == NX_OK &&
		     nx_auth_issue_key(a, &q, key, &err) == NX_OK,
	     "API key");
	double us = repeated_us(a, NX_STR(""), nx_str(key));
	printf("| API key | %d | %.2f | %.2f |\n", NX_KEY_LEN, us, us);
	nx_auth_free(a);
	nx_store_close(s);
	return 0;
}
