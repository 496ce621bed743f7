#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/auth_int.h"
#include "base/clock.h"
#include "outbound/outbound.h"
#include "test.h"

#define NOW 1000000

/* ---- keys and tokens ----
 * They live as long as the case's process; the list shows the leak checker that they are meant to. */

static void *kept[8192];
static size_t nkept;

static void *keep(void *p)
{
	NX_CHECK(p && nkept < NX_COUNTOF(kept));
	return kept[nkept++] = p;
}

static char *b64(const void *p, size_t n)
{
	char *out = keep(calloc(1, n * 2 + 4));
	nx_b64url_encode(p, n, out);
	return out;
}

static char *number(EVP_PKEY *k, const char *name)
{
	BIGNUM *bn = NULL;
	unsigned char raw[1024];
	NX_CHECK(EVP_PKEY_get_bn_param(k, name, &bn) == 1);
	int n = BN_num_bytes(bn);
	bool field = EVP_PKEY_is_a(k, "EC"); /* coordinates have the field's length */
	n = BN_bn2binpad(bn, raw, field ? 32 : n);
	BN_free(bn);
	return b64(raw, (size_t)n);
}

/* A JWK with further members; `more` begins with a comma or is empty. */
static char *jwk(EVP_PKEY *k, const char *kid, const char *more)
{
	char *out = keep(calloc(1, 4096));
	unsigned char x[32];
	size_t n = sizeof(x);
	if (EVP_PKEY_is_a(k, "RSA"))
		n = (size_t)snprintf(out, 4096, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"",
				     number(k, OSSL_PKEY_PARAM_RSA_N),
				     number(k, OSSL_PKEY_PARAM_RSA_E));
	else if (EVP_PKEY_is_a(k, "EC"))
		n = (size_t)snprintf(
			out, 4096, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"",
			number(k, OSSL_PKEY_PARAM_EC_PUB_X), number(k, OSSL_PKEY_PARAM_EC_PUB_Y));
	else if (EVP_PKEY_get_raw_public_key(k, x, &n) == 1)
		n = (size_t)snprintf(out, 4096, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"",
				     b64(x, n));
	n += (size_t)snprintf(out + n, 4096 - n, ",\"kid\":\"%s\"", kid);
	NX_CHECK(snprintf(out + n, 4096 - n, "%s}", more) > 0);
	return out;
}

static EVP_PKEY *ed(void)
{
	return keep(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
}

/* EdDSA, the quickest to make. */
static char *sign(EVP_PKEY *k, const char *kid, const char *payload)
{
	char head[256], *out = keep(calloc(1, 4096));
	unsigned char sig[64];
	size_t len = sizeof(sig);
	NX_CHECK(snprintf(head, sizeof(head), "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}", kid) > 0);
	size_t n = nx_b64url_encode(head, strlen(head), out);
	out[n++] = '.';
	n += nx_b64url_encode(payload, strlen(payload), out + n);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	NX_CHECK(EVP_DigestSignInit(ctx, NULL, NULL, NULL, k) == 1 &&
		 EVP_DigestSign(ctx, sig, &len, (unsigned char *)out, n) == 1);
	EVP_MD_CTX_free(ctx);
	out[n++] = '.';
	nx_b64url_encode(sig, len, out + n);
	return out;
}

#define GOOD "{\"sub\":\"ann\",\"role\":\"analyst\",\"exp\":4000000000}"

static struct nx_jwks *parse(const char *keys)
{
	static char doc[65536];
	struct nx_jwks *s = NULL;
	struct nx_error err;
	NX_CHECK(snprintf(doc, sizeof(doc), "{\"keys\":[%s]}", keys) < (int)sizeof(doc));
	if (nx_jwks_parse(nx_str(doc), &s, &err))
		nx_test_fail(__FILE__, __LINE__, "%s", err.message);
	return s;
}

static const char *two(const char *a, const char *b)
{
	static struct nx_buf out;
	nx_buf_done(&out);
	nx_buf_init(&out, 16384);
	nx_buf_puts(&out, a);
	nx_buf_putc(&out, ',');
	nx_buf_puts(&out, b);
	nx_buf_putc(&out, '\0');
	NX_CHECK(!out.failed);
	return out.data;
}

/* ---- key sets ---- */

NX_TEST(each_kind_of_key)
{
	EVP_PKEY *rsa = keep(EVP_RSA_gen(2048)), *ec = keep(EVP_EC_gen("P-256")), *okp = ed();
	static const struct {
		const char *alg;
		int kind;
	} algs[] = { { "RS256", 0 }, { "RS384", 0 }, { "RS512", 0 },
		     { "ES256", 1 }, { "EdDSA", 2 }, { "Ed25519", 2 } };
	EVP_PKEY *keys[] = { rsa, ec, okp };
	for (int kind = 0; kind < 3; kind++) {
		struct nx_jwks *s = parse(jwk(keys[kind], "k", ",\"use\":\"sig\""));
		NX_EQ_I(1, s->n);
		NX_CHECK(EVP_PKEY_eq(s->at[0].key, keys[kind]) == 1);
		for (size_t i = 0; i < NX_COUNTOF(algs); i++) {
			uint32_t bit = nx_jwt_alg_bit(nx_str(algs[i].alg));
			NX_CHECK(bit != 0);
			NX_EQ_I(algs[i].kind == kind, nx_jwks_find(s, NX_STR("k"), bit) != NULL);
			NX_EQ_I(algs[i].kind == kind, nx_jwks_find(s, NX_STR(""), bit) != NULL);
			NX_CHECK(!nx_jwks_find(s, NX_STR("K"), bit));
		}
		nx_jwks_unref(s);
	}
	/* alg narrows: RFC 7517 4.4 */
	struct nx_jwks *s = parse(jwk(rsa, "k", ",\"alg\":\"RS512\""));
	NX_CHECK(nx_jwks_find(s, NX_STR("k"), nx_jwt_alg_bit(NX_STR("RS512"))));
	NX_CHECK(!nx_jwks_find(s, NX_STR("k"), nx_jwt_alg_bit(NX_STR("RS256"))));
	nx_jwks_unref(s);
	NX_EQ_I(0, nx_jwt_alg_bit(NX_STR("HS256")));
	NX_EQ_I(0, nx_jwt_alg_bit(NX_STR("none")));
}

NX_TEST(keys_that_are_left_out)
{
	EVP_PKEY *rsa = keep(EVP_RSA_gen(2048)), *ec = keep(EVP_EC_gen("P-256")), *okp = ed();
	char kid[160], most[160];
	memset(kid, 'k', sizeof(kid));
	kid[129] = '\0';
	memcpy(most, kid, sizeof(most));
	most[128] = '\0';
	const char *bad[] = {
		jwk(keep(EVP_RSA_gen(1024)), "k", ""),
		jwk(okp, "k", ",\"use\":\"enc\""),
		jwk(okp, "k", ",\"use\":7"),
		jwk(okp, "k", ",\"key_ops\":[\"sign\"]"),
		jwk(okp, "k", ",\"key_ops\":[]"),
		jwk(okp, "k", ",\"key_ops\":\"verify\""),
		jwk(okp, "k", ",\"alg\":\"HS256\""),
		jwk(okp, "k", ",\"alg\":\"none\""),
		jwk(okp, "k", ",\"alg\":\"ES256\""),
		jwk(rsa, "k", ",\"alg\":\"RSA-OAEP\""),
		jwk(rsa, "k", ",\"alg\":null"),
		jwk(rsa, "k", ",\"d\":\"AQAB\""), /* private */
		jwk(ec, "k", ",\"d\":\"AQAB\""),
		jwk(okp, "", ""),
		jwk(okp, kid, ""),
		"{\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"kid\":"
		"\"k\"}",
		"{\"kty\":\"RSA\",\"kid\":\"k\"}",
		"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
		"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
		"\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\",\"y\":"
		"\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}", /* not on the curve */
		"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":"
		"\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
		"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS\"}",
		"{\"kty\":7}",
		"{}",
		"7",
		"null",
		"[]",
		"\"x\"",
	};
	for (size_t i = 0; i < NX_COUNTOF(bad); i++) {
		struct nx_jwks *s = parse(bad[i]);
		if (s->n != 0 || s->ignored != 1)
			nx_test_fail(__FILE__, __LINE__, "taken: %s", bad[i]);
		nx_jwks_unref(s);
		/* and it does not spoil the others */
		s = parse(two(bad[i],
			      jwk(ec, most, ",\"key_ops\":[\"sign\",\"verify\"],\"x5c\":[\"A\"]")));
		NX_EQ_I(1, s->n);
		NX_CHECK(nx_jwks_find(s, nx_str(most), nx_jwt_alg_bit(NX_STR("ES256"))));
		nx_jwks_unref(s);
	}
	/* exponents: 1, even, and longer than 32 bits */
	const char *es[] = { "AQ", "AA", "BA", "AQAAAAAB" };
	for (size_t i = 0; i < NX_COUNTOF(es); i++) {
		char text[2048];
		NX_CHECK(snprintf(text, sizeof(text), "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}",
				  number(rsa, OSSL_PKEY_PARAM_RSA_N), es[i]) > 0);
		struct nx_jwks *s = parse(text);
		NX_EQ_I(0, s->n);
		nx_jwks_unref(s);
	}
}

NX_TEST(keys_of_one_name)
{
	EVP_PKEY *a = ed(), *b = ed(), *ec = keep(EVP_EC_gen("P-256"));
	uint32_t eddsa = nx_jwt_alg_bit(NX_STR("EdDSA")), es = nx_jwt_alg_bit(NX_STR("ES256"));
	struct nx_jwks *s = parse(two(jwk(a, "k", ""), jwk(ec, "k", ""))); /* of two kinds: both */
	NX_EQ_I(2, s->n);
	NX_CHECK(nx_jwks_find(s, NX_STR("k"), eddsa) != nx_jwks_find(s, NX_STR("k"), es));
	nx_jwks_unref(s);
	s = parse(two(jwk(a, "k", ""), jwk(b, "k", ""))); /* which is meant cannot be said */
	NX_EQ_I(0, s->n);
	nx_jwks_unref(s);
	s = parse(two(jwk(a, "k", ""), jwk(a, "k", ",\"use\":\"sig\""))); /* the same twice */
	NX_EQ_I(1, s->n);
	nx_jwks_unref(s);
	/* without kid: only when there is no choice */
	s = parse(two(jwk(a, "1", ""), jwk(ec, "2", "")));
	NX_CHECK(nx_jwks_find(s, NX_STR(""), eddsa) && nx_jwks_find(s, NX_STR(""), es));
	nx_jwks_unref(s);
	s = parse(two(jwk(a, "1", ""), jwk(b, "2", "")));
	NX_CHECK(!nx_jwks_find(s, NX_STR(""), eddsa));
	nx_jwks_unref(s);
}

NX_TEST(documents_that_are_no_key_set)
{
	char *many = calloc(1, 4096), *big = malloc(NX_JWKS_BYTES + 100);
	strncat(many, "{\"keys\":[", 4096 - 1);
	for (int i = 0; i <= NX_JWKS_KEYS; i++)
		strncat(many, i ? ",{}" : "{}", 4095 - strlen(many));
	strncat(many, "]}", 4095 - strlen(many));
	memset(big, ' ', NX_JWKS_BYTES + 100);
	memcpy(big, "{\"keys\":[]}", 11);
	const struct nx_str bad[] = { NX_STR(""),
				      NX_STR("<html>"),
				      NX_STR("[]"),
				      NX_STR("{}"),
				      NX_STR("{\"keys\":{}}"),
				      NX_STR("{\"keys\":null}"),
				      NX_STR("{\"keys\":[]"),
				      NX_STR("{\"keys\":[{\"kid\":\"a\",\"kid\":\"b\"}]}"),
				      nx_str(many),
				      nx_strn(big, NX_JWKS_BYTES + 1) };
	for (size_t i = 0; i < NX_COUNTOF(bad); i++) {
		struct nx_jwks *s = NULL;
		struct nx_error err;
		NX_EQ_I(NX_E_OUTBOUND_FAILED, nx_jwks_parse(bad[i], &s, &err));
		NX_CHECK(!s);
	}
	struct nx_jwks *s = parse("");
	NX_EQ_I(0, s->n);
	nx_jwks_unref(s);
	free(big);
	free(many);
}

/* ---- an issuer ---- */

static struct {
	pthread_mutex_t lock;
	char keys[16384], discovery[1024];
	int status, calls, discoveries;
	uint32_t max_age_s;
	int64_t delay;
} far = { .lock = PTHREAD_MUTEX_INITIALIZER, .status = 200 };

static enum nx_code far_call(const struct nx_outbound_request *q, struct nx_arena *a,
			     struct nx_outbound_answer *ret, struct nx_error *err)
{
	NX_CHECK(q->url && q->deadline > nx_now() && q->max_body > 0 && !q->plain);
	bool well_known = strstr(q->url, "/.well-known/openid-configuration") != NULL;
	pthread_mutex_lock(&far.lock);
	int64_t delay = far.delay;
	well_known ? far.discoveries++ : far.calls++;
	pthread_mutex_unlock(&far.lock);
	usleep((useconds_t)(delay / 1000));
	pthread_mutex_lock(&far.lock);
	*ret = (struct nx_outbound_answer){
		.status = far.status,
		.body = nx_arena_str(a, nx_str(well_known ? far.discovery : far.keys)),
		.max_age_s = far.max_age_s,
	};
	int status = far.status;
	pthread_mutex_unlock(&far.lock);
	return status ? NX_OK : nx_fail(err, NX_E_OUTBOUND_FAILED, "Nobody there.");
}

static void far_says(int status, const char *keys)
{
	pthread_mutex_lock(&far.lock);
	far.status = status;
	if (keys)
		NX_CHECK(snprintf(far.keys, sizeof(far.keys), "{\"keys\":[%s]}", keys) > 0);
	pthread_mutex_unlock(&far.lock);
}

static int far_calls(void)
{
	pthread_mutex_lock(&far.lock);
	int n = far.calls;
	pthread_mutex_unlock(&far.lock);
	return n;
}

static struct nx_issuer *open_issuer(struct nx_issuer_config cfg, struct nx_jwt_rules *r)
{
	struct nx_issuer *i = NULL;
	struct nx_error err;
	cfg.call = far_call;
	if (!cfg.max_age)
		cfg.min_age = cfg.max_age = 3600 * NX_SEC;
	if (!cfg.cooldown)
		cfg.cooldown = 3600 * NX_SEC;
	if (!cfg.start_wait)
		cfg.start_wait = 5 * NX_SEC;
	cfg.max_stale = cfg.max_stale ? cfg.max_stale : NX_SEC;
	if (nx_issuer_open(&cfg, &i, &err))
		nx_test_fail(__FILE__, __LINE__, "%s", err.message);
	*r = (struct nx_jwt_rules){ .foreign = i };
	return i;
}

static enum nx_code verify(const struct nx_jwt_rules *r, const char *token)
{
	struct nx_principal p;
	struct nx_error err;
	uint64_t gen;
	return nx_jwt_verify(r, nx_str(token), NOW, &p, &gen, &err);
}

/* As the gateway does it. */
static enum nx_code verify_waiting(const struct nx_jwt_rules *r, const char *token)
{
	enum nx_code c = verify(r, token);
	if (c == NX_E_ISSUER_DOWN) {
		nx_issuer_wait(r->foreign, nx_now() + 10 * NX_SEC);
		c = verify(r, token);
	}
	return c;
}

/* RFC 7515 A.3 and RFC 8037 A.4: keys and signatures that others made. */
NX_TEST(published_vectors)
{
	static const char es[] = "eyJhbGciOiJFUzI1NiJ9."
				 "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
				 "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-"
				 "F4GawxaepmXFCgfTjDxw"
				 "5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
	static const char eddsa[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
				    "hgyY0il_MGCjP0JzlnLWG1PPOt7-"
				    "09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
	far_says(200, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
		      "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
		      "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\",\"kid\":\"a\"},"
		      "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
		      "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\",\"kid\":\"b\"}");
	struct nx_jwt_rules r;
	struct nx_issuer *i =
		open_issuer((struct nx_issuer_config){ .jwks_url = "https://x/k" }, &r);
	struct nx_principal p;
	struct nx_error err;
	uint64_t gen;
	/* the signatures hold; what they sign is not for us */
	NX_EQ_I(NX_E_UNAUTHENTICATED, nx_jwt_verify(&r, nx_str(es), NOW, &p, &gen, &err));
	NX_EQ_S("the subject is missing or not usable", err.detail);
	NX_EQ_I(NX_E_UNAUTHENTICATED, nx_jwt_verify(&r, nx_str(eddsa), NOW, &p, &gen, &err));
	NX_EQ_S("the payload is not a JSON object", err.detail);
	nx_issuer_free(i);
}

NX_TEST(rotation_without_a_refused_token)
{
	EVP_PKEY *a = ed(), *b = ed();
	char *ta = sign(a, "a", GOOD), *tb = sign(b, "b", GOOD);
	struct nx_jwt_rules r;
	far_says(200, jwk(a, "a", ""));
	struct nx_issuer *i = open_issuer(
		(struct nx_issuer_config){ .jwks_url = "https://x/k", .cooldown = NX_MS }, &r);
	uint64_t gen = nx_issuer_gen(i);
	NX_CHECK(gen != 0);
	NX_EQ_I(NX_OK, verify(&r, ta));
	far_says(200, two(jwk(a, "a", ""), jwk(b, "b", ""))); /* b signs before anybody asked */
	NX_EQ_I(NX_E_ISSUER_DOWN, verify(&r, tb));
	NX_EQ_I(NX_OK, verify_waiting(&r, tb));
	NX_EQ_I(NX_OK, verify(&r, ta));
	NX_CHECK(nx_issuer_gen(i) != gen);
	gen = nx_issuer_gen(i);
	/* the old one goes: found with the next refresh, here one for an unknown kid */
	far_says(200, jwk(b, "b", ""));
	usleep(2000);
	NX_EQ_I(NX_E_UNAUTHENTICATED, verify_waiting(&r, sign(b, "c", GOOD)));
	NX_CHECK(nx_issuer_gen(i) != gen);
	usleep(2000);
	NX_EQ_I(NX_E_UNAUTHENTICATED, verify_waiting(&r, ta));
	NX_EQ_I(NX_OK, verify(&r, tb));
	/* the right kid, signed by another */
	NX_EQ_I(NX_E_UNAUTHENTICATED, verify(&r, sign(a, "b", GOOD)));
	nx_issuer_free(i);
}

NX_TEST(made_up_kids_cost_the_issuer_one_request)
{
	EVP_PKEY *a = ed();
	struct nx_jwt_rules r;
	far_says(200, jwk(a, "a", ""));
	struct nx_issuer *i =
		open_issuer((struct nx_issuer_config){ .jwks_url = "https://x/k" }, &r);
	NX_EQ_I(1, far_calls());
	for (int k = 0; k < 500; k++) {
		char kid[16];
		NX_CHECK(snprintf(kid, sizeof(kid), "k%d", k) > 0);
		NX_EQ_I(NX_E_UNAUTHENTICATED, verify_waiting(&r, sign(a, kid, GOOD)));
	}
	NX_EQ_I(2, far_calls());
	NX_EQ_I(NX_OK, verify(&r, sign(a, "a", GOOD)));
	nx_issuer_free(i);
}

NX_TEST(a_cached_token_goes_with_its_key)
{
	struct nx_token_cache *c = nx_token_cache_new(128);
	struct nx_principal p = { .name = "a" };
	const uint8_t foreign[NX_HASH_LEN] = { 1 }, own[NX_HASH_LEN] = { 2 };
	nx_token_cache_put(c, foreign, NOW, NOW + 100, 7, &p);
	nx_token_cache_put(c, own, NOW, NOW + 100, 0, &p);
	NX_CHECK(nx_token_cache_get(c, foreign, NOW, 7, &p));
	NX_CHECK(!nx_token_cache_get(c, foreign, NOW, 8, &p));
	NX_CHECK(!nx_token_cache_get(c, foreign, NOW, 0, &p)); /* no keys at all */
	NX_CHECK(nx_token_cache_get(c, own, NOW, 8, &p));
	nx_token_cache_put(c, foreign, NOW, NOW + 100, 8, &p);
	NX_CHECK(nx_token_cache_get(c, foreign, NOW, 8, &p));
	nx_token_cache_free(c);
}

NX_TEST(an_issuer_that_is_down)
{
	EVP_PKEY *a = ed();
	char *t = sign(a, "a", GOOD);
	struct nx_jwt_rules r;
	far_says(200, jwk(a, "a", ""));
	struct nx_issuer *i = open_issuer((struct nx_issuer_config){ .jwks_url = "https://x/k",
								     .min_age = 100 * NX_MS,
								     .max_age = 100 * NX_MS,
								     .max_stale = 900 * NX_MS },
					  &r);
	far_says(0, NULL);
	int64_t began = nx_now();
	NX_EQ_I(NX_OK, verify(&r, t));
	usleep(500 * 1000); /* its time is over, and asking has failed */
	NX_CHECK(far_calls() >= 2);
	if (nx_now() - began < 800 * NX_MS)
		NX_EQ_I(NX_OK, verify(&r, t));
	usleep(700 * 1000);
	NX_EQ_I(NX_E_ISSUER_DOWN, verify(&r, t)); /* closed, and not "your token is bad" */
	NX_EQ_I(0, nx_issuer_gen(i));
	far_says(200, NULL);
	for (int k = 0; k < 500 && verify(&r, t) != NX_OK; k++)
		usleep(20 * 1000);
	NX_EQ_I(NX_OK, verify(&r, t));
	nx_issuer_free(i);
}

NX_TEST(a_start_without_the_issuer)
{
	EVP_PKEY *a = ed();
	char *t = sign(a, "a", GOOD);
	struct nx_jwt_rules r;
	far_says(0, jwk(a, "a", ""));
	far.delay = 300 * NX_MS;
	int64_t began = nx_now();
	struct nx_issuer *i = open_issuer(
		(struct nx_issuer_config){ .jwks_url = "https://x/k", .start_wait = 20 * NX_MS },
		&r);
	NX_CHECK(nx_now() - began < 250 * NX_MS);
	NX_EQ_I(NX_E_ISSUER_DOWN, verify(&r, t));
	began = nx_now();
	NX_EQ_I(NX_E_ISSUER_DOWN,
		verify_waiting(&r, t)); /* waits for what is under way, not for ever */
	NX_CHECK(nx_now() - began < 5 * NX_SEC);
	far_says(200, NULL);
	for (int k = 0; k < 500 && verify(&r, t) != NX_OK; k++)
		usleep(20 * 1000);
	NX_EQ_I(NX_OK, verify(&r, t));
	nx_issuer_free(i);
}

NX_TEST(discovery)
{
	static const struct {
		const char *issuer, *doc;
		bool good;
	} cases[] = {
		{ "https://is", "{\"issuer\":\"https://is\",\"jwks_uri\":\"https://keys/x\"}",
		  true },
		{ "https://is/", "{\"issuer\":\"https://is/\",\"jwks_uri\":\"https://keys/x\"}",
		  true },
		{ "http://127.0.0.1:1",
		  "{\"issuer\":\"http://127.0.0.1:1\",\"jwks_uri\":\"http://127.0.0.1:1/k\"}",
		  true },
		{ "https://is", "{\"issuer\":\"https://is/\",\"jwks_uri\":\"https://keys/x\"}",
		  false },
		{ "https://is", "{\"issuer\":\"https://other\",\"jwks_uri\":\"https://keys/x\"}",
		  false },
		{ "https://is", "{\"jwks_uri\":\"https://keys/x\"}", false },
		{ "https://is", "{\"issuer\":[\"https://is\"],\"jwks_uri\":\"https://keys/x\"}",
		  false },
		{ "https://is", "{\"issuer\":\"https://is\",\"jwks_uri\":\"http://127.0.0.1/x\"}",
		  false },
		{ "https://is", "{\"issuer\":\"https://is\",\"jwks_uri\":\"file:///x\"}", false },
		{ "https://is", "{\"issuer\":\"https://is\",\"jwks_uri\":\"https://x\\u0000y\"}",
		  false },
		{ "https://is", "{\"issuer\":\"https://is\"}", false },
		{ "https://is", "<html>", false },
	};
	EVP_PKEY *a = ed();
	char *t = sign(a, "a", GOOD);
	far_says(200, jwk(a, "a", ""));
	for (size_t k = 0; k < NX_COUNTOF(cases); k++) {
		struct nx_jwt_rules r;
		NX_CHECK(snprintf(far.discovery, sizeof(far.discovery), "%s", cases[k].doc) > 0);
		far.calls = far.discoveries = 0;
		struct nx_issuer *i = open_issuer(
			(struct nx_issuer_config){ .issuer = nx_str(cases[k].issuer) }, &r);
		NX_EQ_I(1, far.discoveries);
		NX_EQ_I(cases[k].good, far.calls);
		if (verify(&r, t) != (cases[k].good ? NX_OK : NX_E_ISSUER_DOWN))
			nx_test_fail(__FILE__, __LINE__, "case %zu", k);
		nx_issuer_free(i);
	}
}

NX_TEST(answers_that_are_no_keys_change_nothing)
{
	EVP_PKEY *a = ed(), *b = ed();
	struct nx_jwt_rules r;
	far_says(200, jwk(a, "a", ""));
	struct nx_issuer *i = open_issuer(
		(struct nx_issuer_config){ .jwks_url = "https://x/k", .cooldown = NX_MS }, &r);
	char *t = sign(a, "a", GOOD), *unknown = sign(b, "b", GOOD);
	const int statuses[] = { 404, 500, 302, 204 };
	for (size_t k = 0; k < NX_COUNTOF(statuses); k++) {
		far_says(statuses[k], "");
		usleep(2000);
		NX_CHECK(verify_waiting(&r, unknown) != NX_OK);
		NX_EQ_I(NX_OK, verify(&r, t));
	}
	far_says(200, ""); /* no keys any more: that is an answer */
	usleep(2000);
	NX_CHECK(verify_waiting(&r, unknown) != NX_OK);
	NX_CHECK(verify(&r, t) != NX_OK);
	nx_issuer_free(i);
}

static void *hammer(void *arg)
{
	void **both = arg;
	for (int k = 0; k < 300; k++)
		NX_EQ_I(NX_OK, verify_waiting(both[0], both[1]));
	return NULL;
}

NX_TEST(threads_while_keys_rotate)
{
	EVP_PKEY *a = ed(), *b = ed();
	char *ka = jwk(a, "a", ""), *kb = jwk(b, "b", "");
	struct nx_jwt_rules r;
	far_says(200, ka);
	struct nx_issuer *i = open_issuer((struct nx_issuer_config){ .jwks_url = "https://x/k",
								     .min_age = 2 * NX_MS,
								     .max_age = 2 * NX_MS,
								     .cooldown = NX_MS },
					  &r);
	void *both[] = { &r, sign(a, "a", GOOD) };
	pthread_t t[3];
	for (int k = 0; k < 3; k++)
		NX_CHECK(pthread_create(&t[k], NULL, hammer, both) == 0);
	for (int k = 0; k < 50; k++) {
		far_says(200, k % 2 ? ka : two(ka, kb));
		usleep(2000);
	}
	for (int k = 0; k < 3; k++)
		pthread_join(t[k], NULL);
	NX_CHECK(far_calls() > 3);
	nx_issuer_free(i);
}

/* ---- claims ---- */

NX_TEST(foreign_claims)
{
	static const struct {
		const char *subject, *roles, *parties, *map, *payload;
		enum nx_code want;
		enum nx_role role;
		const char *name;
	} cases[] = {
#define DBA "realm_access.roles", NULL, "dba=admin; cn=x,ou=y=analyst;Data Team = operator"
		{ NULL, DBA, "\"sub\":\"a\",\"realm_access\":{\"roles\":[\"dba\"]}", NX_OK,
		  NX_ROLE_ADMIN, "a" },
		{ NULL, DBA,
		  "\"sub\":\"a\",\"realm_access\":{\"roles\":[\"x\",\"cn=x,ou=y\",\"y\"]}", NX_OK,
		  NX_ROLE_ANALYST, "a" },
		{ NULL, DBA, "\"sub\":\"a\",\"realm_access\":{\"roles\":[\"dba\",\"cn=x,ou=y\"]}",
		  NX_OK, NX_ROLE_ADMIN, "a" },
		{ NULL, DBA, "\"sub\":\"a\",\"realm_access\":{\"roles\":[\"cn=x,ou=y\",\"dba\"]}",
		  NX_OK, NX_ROLE_ADMIN, "a" },
		{ NULL, DBA, "\"sub\":\"a\",\"realm_access\":{\"roles\":\"Data Team\"}", NX_OK,
		  NX_ROLE_OPERATOR, "a" },
		/* our own role names mean nothing to a map, nor does our claim */
		{ NULL, DBA,
		  "\"sub\":\"a\",\"role\":\"admin\",\"realm_access\":{\"roles\":[\"admin\"]}",
		  NX_E_FORBIDDEN, 0, NULL },
		{ NULL, DBA, "\"sub\":\"a\",\"realm_access\":{\"roles\":\"x dba\"}", NX_E_FORBIDDEN,
		  0, NULL },
		{ NULL, DBA, "\"sub\":\"a\",\"realm_access\":{\"roles\":[[\"dba\"],{\"dba\":1},7]}",
		  NX_E_FORBIDDEN, 0, NULL },
		{ NULL, DBA, "\"sub\":\"a\",\"realm_access\":[\"dba\"]", NX_E_FORBIDDEN, 0, NULL },
		{ NULL, DBA, "\"sub\":\"a\",\"realm_access.roles\":\"dba\"", NX_OK, NX_ROLE_ADMIN,
		  "a" },
		{ NULL, DBA, "\"sub\":\"a\"", NX_E_FORBIDDEN, 0, NULL },
#define NS "https://example.com/roles", NULL, NULL
		{ NULL, NS, "\"sub\":\"a\",\"https://example.com/roles\":[\"agent\",\"operator\"]",
		  NX_OK, NX_ROLE_OPERATOR, "a" },
#define MAIL "email", NULL, NULL, NULL
		{ MAIL, "\"sub\":\"a\",\"email\":\"a@b\",\"role\":\"agent\"", NX_OK, NX_ROLE_AGENT,
		  "a@b" },
		{ MAIL, "\"sub\":\"a\",\"role\":\"agent\"", NX_E_UNAUTHENTICATED, 0, NULL },
		{ MAIL, "\"sub\":\"a\",\"email\":[\"a@b\"],\"role\":\"agent\"",
		  NX_E_UNAUTHENTICATED, 0, NULL },
		{ MAIL, "\"sub\":\"a\",\"email\":\"key:00000000\",\"role\":\"agent\"",
		  NX_E_UNAUTHENTICATED, 0, NULL },
		{ MAIL, "\"sub\":\"a\",\"email\":\"anonymous\",\"role\":\"agent\"",
		  NX_E_UNAUTHENTICATED, 0, NULL },
#define AZP NULL, NULL, "web, cli", NULL
		{ AZP, "\"sub\":\"a\",\"role\":\"agent\",\"azp\":\"cli\"", NX_OK, NX_ROLE_AGENT,
		  "a" },
		{ AZP, "\"sub\":\"a\",\"role\":\"agent\",\"client_id\":\"web\"", NX_OK,
		  NX_ROLE_AGENT, "a" },
		{ AZP, "\"sub\":\"a\",\"role\":\"agent\",\"azp\":\"x\",\"client_id\":\"web\"",
		  NX_E_UNAUTHENTICATED, 0, NULL },
		{ AZP, "\"sub\":\"a\",\"role\":\"agent\",\"azp\":[\"web\"]", NX_E_UNAUTHENTICATED,
		  0, NULL },
		{ AZP, "\"sub\":\"a\",\"role\":\"agent\",\"azp\":\"\"", NX_E_UNAUTHENTICATED, 0,
		  NULL },
		{ AZP, "\"sub\":\"a\",\"role\":\"agent\"", NX_E_UNAUTHENTICATED, 0, NULL },
	};
	for (size_t i = 0; i < NX_COUNTOF(cases); i++) {
		struct nx_auth_config cfg = { .subject_claim = cases[i].subject,
					      .roles_claim = cases[i].roles,
					      .parties = cases[i].parties,
					      .role_map = cases[i].map };
		struct nx_jwt_rules r = { .leeway_s = 0 };
		struct nx_principal p = { .role = NX_ROLE_COUNT };
		struct nx_error err;
		char text[512];
		NX_EQ_I(NX_OK, nx_claim_map_init(&r.map, &cfg, &err));
		NX_CHECK(snprintf(text, sizeof(text), "{\"exp\":4000000000,%s}", cases[i].payload) >
			 0);
		struct nx_arena *a = nx_arena_new(1 << 20);
		enum nx_code c = nx_jwt_claims(&r, &r.map, nx_str(text), NOW, a, &p, &err);
		if (c != cases[i].want)
			nx_test_fail(__FILE__, __LINE__, "%s: %s", text, nx_code_name(c));
		if (!c)
			NX_EQ_S(cases[i].name, p.name);
		NX_EQ_I(c ? NX_ROLE_COUNT : cases[i].role, p.role);
		nx_arena_free(a);
		nx_claim_map_done(&r.map);
	}
}

NX_TEST(claim_maps_that_are_wrong)
{
	static const char *const bad[] = { "x", "x=", "=admin", "a=king", "a=admin;b" };
	for (size_t i = 0; i < NX_COUNTOF(bad); i++) {
		struct nx_auth_config cfg = { .roles_claim = "groups", .role_map = bad[i] };
		struct nx_claim_map m;
		struct nx_error err;
		NX_EQ_I(NX_E_CONFIG, nx_claim_map_init(&m, &cfg, &err));
		nx_claim_map_done(&m);
	}
	struct nx_auth_config cfg = { .role_map = "a=admin" };
	struct nx_claim_map m;
	struct nx_error err;
	NX_EQ_I(NX_E_CONFIG, nx_claim_map_init(&m, &cfg, &err));
	nx_claim_map_done(&m);
}

/* What the head of a foreign token may hold. */
NX_TEST(foreign_heads)
{
	static const struct {
		const char *head;
		bool good;
	} cases[] = {
		{ "{\"alg\":\"RS256\",\"kid\":\"a\"}", true },
		{ "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"a\"}", true },
		{ "{\"alg\":\"RS256\",\"typ\":\"jwt\"}", true },
		/* never followed: the key comes from the set or not at all */
		{ "{\"alg\":\"RS256\",\"x5t\":\"x\",\"x5c\":[\"x\"],\"jku\":\"http://"
		  "evil\",\"x5u\":\"http://evil\","
		  "\"jwk\":{\"kty\":\"RSA\"}}",
		  true },
		{ "{\"alg\":\"RS256\",\"crit\":[\"exp\"]}", false },
		{ "{\"alg\":\"RS256\",\"crit\":[]}", false },
		{ "{\"alg\":\"RS256\",\"typ\":\"logout+jwt\"}", false },
		{ "{\"alg\":\"RS256\",\"typ\":7}", false },
		{ "{\"alg\":\"RS256\",\"kid\":7}", false },
		{ "{\"alg\":\"RS256\",\"kid\":\"\"}", false },
		{ "{\"alg\":\"RS256\",\"kid\":\"a\",\"kid\":\"b\"}", false },
		{ "{\"alg\":[\"RS256\"]}", false },
		{ "{\"alg\":\"none\"}", false },
		{ "{\"alg\":\"None\"}", false },
		{ "{\"alg\":\"HS256\"}", false },
		{ "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"a\"}", false },
		{ "{\"alg\":\"HS384\",\"typ\":\"JWT\"}", false },
		{ "{\"alg\":\"PS256\"}", false },
		{ "{\"kid\":\"a\"}", false },
	};
	for (size_t i = 0; i < NX_COUNTOF(cases); i++) {
		struct nx_arena *a = nx_arena_new(1 << 20);
		struct nx_jwt_head h;
		struct nx_error err;
		enum nx_code c = nx_jwt_head(nx_str(cases[i].head), a, &h, &err);
		if (c != (cases[i].good ? NX_OK : NX_E_UNAUTHENTICATED))
			nx_test_fail(__FILE__, __LINE__, "%s: %s", cases[i].head, nx_code_name(c));
		nx_arena_free(a);
	}
}
