/* Against a token endpoint inside the test: nx_token_call points to a function of ours. */
#include "tokens/tokens.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "store/store.h"
#include "store/vault.h"
#include "test.h"
#include "tokens/tokens_int.h"

static struct {
	int status;
	const char *body;
	enum nx_code fails;
	uint32_t retry_after;
	long nap_ms;
	atomic_int calls;
	char sent[65536], headers[4096], url[256];
} srv = { .status = 200 };

static void sleep_ms(long ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };
	nanosleep(&ts, NULL);
}

static enum nx_code answer(const struct nx_outbound_request *q, struct nx_arena *a,
			   struct nx_outbound_answer *ret, struct nx_error *err)
{
	int n = atomic_fetch_add(&srv.calls, 1);
	size_t at = 0;
	if (srv.nap_ms)
		sleep_ms(srv.nap_ms);
	(void)snprintf(srv.sent, sizeof(srv.sent), NX_STR_FMT, NX_STR_ARG(q->body));
	(void)snprintf(srv.url, sizeof(srv.url), "%s", q->url);
	for (uint32_t i = 0; i < q->nheaders; i++)
		at += (size_t)snprintf(srv.headers + at, sizeof(srv.headers) - at, NX_STR_FMT "\n",
				       NX_STR_ARG(q->headers[i]));
	if (srv.fails)
		return nx_fail(err, srv.fails, "A request to another service failed.");
	char *body =
		srv.body ? nx_arena_cstr(a, nx_str(srv.body))
			 : nx_arena_printf(a,
					   "{\"access_token\":\"tok%d\",\"token_type\":\"Bearer\","
					   "\"expires_in\":3600}",
					   n);
	*ret = (struct nx_outbound_answer){ .status = srv.status,
					    .body = nx_str(body),
					    .retry_after_s = srv.retry_after };
	return NX_OK;
}

static struct nx_options *opts;
static struct nx_token_handle *h;
static struct nx_error err;

/* "key=value" each; keys inside `authentication` unless they begin with '/'. */
static enum nx_code open_with(const char *const *pairs, size_t n)
{
	opts = nx_options_new();
	nx_token_call = answer;
	for (size_t i = 0; i < n; i++) {
		char key[64];
		const char *eq = strchr(pairs[i], '=');
		bool top = pairs[i][0] == '/';
		(void)snprintf(key, sizeof(key), "%s%.*s", top ? "" : "authentication.",
			       (int)(eq - pairs[i]) - top, pairs[i] + top);
		const struct nx_option *o = nx_option_find(nx_token_options, nx_str(key));
		if (!o)
			nx_test_fail(__FILE__, __LINE__, "no option %s", key);
		NX_EQ_I(NX_OK, nx_options_set(opts, o, nx_str(eq + 1), &err));
	}
	return nx_token_open(opts, NULL, &h, &err);
}

#define OPEN(...)                                       \
	open_with((const char *const[]){ __VA_ARGS__ }, \
		  sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static void done(void)
{
	nx_token_close(h);
	nx_token_stop();
	nx_options_free(opts);
	h = NULL;
}

static enum nx_code get(char *text, size_t size)
{
	const struct nx_token *t;
	nx_error_clear(&err);
	enum nx_code c = nx_token_get(h, nx_now() + 10 * NX_SEC, &t, &err);
	if (!c) {
		NX_EQ_I(NX_TOKEN_BEARER, t->kind);
		(void)snprintf(text, size, "%s", t->text);
		nx_token_unref(t);
	}
	return c;
}

#define CLIENT \
	"type=oauth2", "tokenUrl=https://idp.test/token", "clientId=me", "clientSecret=s3cr t:"

NX_TEST(client_credentials)
{
	char text[64];
	NX_EQ_I(NX_OK, OPEN(CLIENT, "scope=a b", "audience=https://x"));
	NX_EQ_I(0, atomic_load(&srv.calls));
	NX_EQ_I(NX_OK, get(text, sizeof(text)));
	NX_EQ_S("tok0", text);
	NX_EQ_S("grant_type=client_credentials&audience=https%3A%2F%2Fx&scope=a%20b", srv.sent);
	/* me:s3cr%20t%3A */
	NX_CHECK(strstr(srv.headers, "Authorization: Basic bWU6czNjciUyMHQlM0E=\n"));
	NX_EQ_I(NX_OK, get(text, sizeof(text)));
	NX_EQ_S("tok0", text);
	NX_EQ_I(1, atomic_load(&srv.calls));
	done();
	NX_EQ_I(NX_OK, OPEN(CLIENT, "clientAuth=post"));
	NX_EQ_I(NX_OK, get(text, sizeof(text)));
	NX_EQ_S("grant_type=client_credentials&client_id=me&client_secret=s3cr%20t%3A", srv.sent);
	NX_CHECK(!strstr(srv.headers, "Authorization"));
	done();
}

static void *one_of_many(void *arg)
{
	char *text = arg;
	const struct nx_token *t;
	if (nx_token_get(h, nx_now() + 20 * NX_SEC, &t, NULL) == NX_OK) {
		(void)snprintf(text, 16, "%s", t->text);
		nx_token_unref(t);
	}
	return NULL;
}

NX_TEST(a_hundred_threads_make_one_request)
{
	static char texts[100][16];
	pthread_t threads[100];
	srv.nap_ms = 200;
	NX_EQ_I(NX_OK, OPEN(CLIENT));
	for (int i = 0; i < 100; i++)
		NX_EQ_I(0, pthread_create(&threads[i], NULL, one_of_many, texts[i]));
	for (int i = 0; i < 100; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 100; i++)
		NX_EQ_S("tok0", texts[i]);
	NX_EQ_I(1, atomic_load(&srv.calls));
	done();
}

NX_TEST(renewed_ahead_without_anyone_waiting)
{
	char text[64];
	srv.body = "{\"access_token\":\"old\",\"expires_in\":2}";
	NX_EQ_I(NX_OK, OPEN(CLIENT));
	NX_EQ_I(NX_OK, get(text, sizeof(text)));
	NX_EQ_I(1, atomic_load(&srv.calls));
	srv.body = "{\"access_token\":\"new\",\"expires_in\":3600}";
	srv.nap_ms = 30;
	/* a query that asks at each step: never without a token, never made to wait, and at last the new one */
	int64_t until = nx_now() + 3 * NX_SEC;
	bool seen_new = false;
	while (nx_now() < until) {
		int64_t began = nx_now();
		NX_EQ_I(NX_OK, get(text, sizeof(text)));
		NX_CHECK(nx_now() - began < 20 * NX_MS);
		NX_CHECK(strcmp(text, seen_new ? "new" : "old") == 0 || strcmp(text, "new") == 0);
		seen_new = strcmp(text, "new") == 0;
		sleep_ms(5);
	}
	NX_CHECK(seen_new);
	NX_EQ_I(2, atomic_load(&srv.calls));
	done();
}

NX_TEST(a_failing_service_is_left_alone)
{
	char text[64];
	srv.status = 500;
	srv.body = "<html>secret</html>";
	NX_EQ_I(NX_OK, OPEN(CLIENT));
	for (int i = 0; i < 50; i++) {
		NX_EQ_I(NX_E_OUTBOUND_FAILED, get(text, sizeof(text)));
		NX_CHECK(!strstr(err.message, "secret") && !strstr(err.detail, "secret"));
	}
	NX_EQ_I(1, atomic_load(&srv.calls));
	srv.status = 200;
	srv.body = NULL;
	sleep_ms(1100);
	NX_EQ_I(NX_OK, get(text, sizeof(text)));
	NX_EQ_I(2, atomic_load(&srv.calls));
	done();
}

NX_TEST(an_old_token_outlives_a_failing_service)
{
	char text[64];
	srv.body = "{\"access_token\":\"old\",\"expires_in\":4}";
	NX_EQ_I(NX_OK, OPEN(CLIENT));
	NX_EQ_I(NX_OK, get(text, sizeof(text)));
	srv.fails = NX_E_OUTBOUND_TIMEOUT;
	while (atomic_load(&srv.calls) < 2) { /* until it is due, and a fetch has failed */
		NX_EQ_I(NX_OK, get(text, sizeof(text)));
		NX_EQ_S("old", text);
		sleep_ms(5);
	}
	NX_EQ_I(NX_OK, get(text, sizeof(text)));
	NX_EQ_S("old", text);
	sleep_ms(700);
	NX_EQ_I(NX_E_OUTBOUND_TIMEOUT, get(text, sizeof(text))); /* it has ended */
	done();
}

NX_TEST(waiting_has_a_deadline)
{
	const struct nx_token *t;
	srv.nap_ms = 500;
	NX_EQ_I(NX_OK, OPEN(CLIENT));
	int64_t began = nx_now();
	NX_EQ_I(NX_E_OUTBOUND_TIMEOUT, nx_token_get(h, began + 50 * NX_MS, &t, &err));
	NX_CHECK(nx_now() - began < 300 * NX_MS);
	/* what it began goes on, and the next one gets it */
	NX_EQ_I(NX_OK, nx_token_get(h, nx_now() + 5 * NX_SEC, &t, &err));
	NX_EQ_I(1, atomic_load(&srv.calls));
	nx_token_close(h); /* the token outlives its handle */
	NX_EQ_S("tok0", t->text);
	nx_token_unref(t);
	nx_token_stop();
	nx_options_free(opts);
}

NX_TEST(closing_does_not_wait)
{
	const struct nx_token *t;
	srv.nap_ms = 300;
	NX_EQ_I(NX_OK, OPEN(CLIENT));
	NX_EQ_I(NX_E_OUTBOUND_TIMEOUT, nx_token_get(h, nx_now() + 20 * NX_MS, &t, &err));
	int64_t began = nx_now();
	nx_token_close(h);
	nx_options_free(opts); /* nothing of them is used any more */
	NX_CHECK(nx_now() - began < 100 * NX_MS);
	nx_token_stop();
	NX_EQ_I(1, atomic_load(&srv.calls));
}

NX_TEST(rejected_tokens)
{
	const struct nx_token *t;
	NX_EQ_I(NX_OK, OPEN(CLIENT));
	NX_EQ_I(NX_OK, nx_token_get(h, nx_now() + 5 * NX_SEC, &t, &err));
	NX_CHECK(!nx_token_reject(h, t)); /* fresh: another would be refused, too */
	nx_token_unref(t);
	NX_EQ_I(1, atomic_load(&srv.calls));
	done();
}

NX_TEST(what_endpoints_answer)
{
	static const struct {
		int status;
		enum nx_code want;
		const char *body, *says;
	} cases[] = {
		{ 400, NX_E_CREDENTIAL_INVALID, "{\"error\":\"invalid_client\"}",
		  "invalid_client" },
		{ 400, NX_E_CREDENTIAL_INVALID,
		  "{\"error\":\"invalid_grant\",\"error_description\":\"secret\"}",
		  "invalid_grant" },
		{ 400, NX_E_OUTBOUND_FAILED, "{\"error\":\"secret\"}", "status 400" },
		{ 401, NX_E_CREDENTIAL_INVALID, "secret", "status 401" },
		{ 503, NX_E_OUTBOUND_FAILED, "{\"error\":\"temporarily_unavailable\"}",
		  "temporarily" },
		{ 200, NX_E_CREDENTIAL_INVALID, "{\"error\":\"access_denied\"}", "access_denied" },
		{ 302, NX_E_OUTBOUND_FAILED, "", "302" },
		{ 200, NX_E_OUTBOUND_FAILED, "<html>secret</html>", "JSON" },
		{ 200, NX_E_OUTBOUND_FAILED, "", "JSON" },
		{ 200, NX_E_OUTBOUND_FAILED, "[]", "JSON" },
		{ 200, NX_E_OUTBOUND_FAILED, "{}", "access token" },
		{ 200, NX_E_OUTBOUND_FAILED, "{\"access_token\":\"\"}", "access token" },
		{ 200, NX_E_OUTBOUND_FAILED, "{\"access_token\":7}", "access token" },
		{ 200, NX_E_OUTBOUND_FAILED, "{\"access_token\":\"se\\r\\ncret\"}",
		  "access token" },
		{ 200, NX_E_OUTBOUND_FAILED, "{\"access_token\":\"se\\u0000cret\"}",
		  "access token" },
		{ 200, NX_E_OUTBOUND_FAILED, "{\"access_token\":\"secret\",\"token_type\":\"mac\"}",
		  "bearer" },
		{ 200, NX_E_OUTBOUND_FAILED, "{\"access_token\":\"secret\",\"expires_in\":0}",
		  "time to live" },
		{ 200, NX_E_OUTBOUND_FAILED, "{\"access_token\":\"secret\",\"expires_in\":-5}",
		  "time to" },
		{ 200, NX_E_OUTBOUND_FAILED, "{\"access_token\":\"secret\",\"expires_in\":\"x\"}",
		  "time to" },
		{ 200, NX_E_OUTBOUND_FAILED,
		  "{\"access_token\":\"secret\",\"access_token\":\"secret\"}", "JSON" },
		{ 200, NX_OK, "{\"access_token\":\"a\",\"expires_in\":\"3599\"}", NULL },
		{ 200, NX_OK,
		  "{\"access_token\":\"a\",\"token_type\":\"bearer\",\"expires_in\":1e99}", NULL },
		{ 200, NX_OK, "{\"access_token\":\"a\"}", NULL },
	};
	for (size_t i = 0; i < NX_COUNTOF(cases); i++) {
		struct nx_arena *a = nx_arena_new_secret(1 << 20);
		struct nx_token_answer got;
		nx_error_clear(&err);
		enum nx_code c =
			nx_oauth_answer(cases[i].status, nx_str(cases[i].body), a, &got, &err);
		if (c != cases[i].want || (cases[i].says && !strstr(err.message, cases[i].says)))
			nx_test_fail(__FILE__, __LINE__, "%s: %s %s", cases[i].body,
				     nx_code_name(c), err.message);
		NX_CHECK(!strstr(err.message, "secret") && !strstr(err.detail, "secret"));
		nx_arena_free(a);
	}
}

/* ---- refresh tokens ---- */

static char kept[64];
static enum nx_code keep_load(void *arg, const char *id, struct nx_arena *a, struct nx_str *ret,
			      struct nx_error *e)
{
	(void)arg, (void)a;
	NX_EQ_I(64, strlen(id));
	if (!kept[0])
		return nx_fail(e, NX_E_NOT_FOUND, "No.");
	*ret = nx_str(kept);
	return NX_OK;
}

static enum nx_code keep_save(void *arg, const char *id, struct nx_str token, struct nx_error *e)
{
	(void)arg, (void)id, (void)e;
	(void)snprintf(kept, sizeof(kept), NX_STR_FMT, NX_STR_ARG(token));
	return NX_OK;
}

#define REFRESH \
	"type=oauth2", "tokenUrl=https://idp.test/token", "clientId=me", "refreshToken=first"

NX_TEST(refresh_tokens_rotate)
{
	const struct nx_token_keeper k = { keep_load, keep_save, NULL };
	char text[64];
	nx_token_keep(&k);
	srv.body = "{\"access_token\":\"a\",\"expires_in\":1,\"refresh_token\":\"second\"}";
	NX_EQ_I(NX_OK, OPEN(REFRESH));
	NX_EQ_I(NX_OK, get(text, sizeof(text)));
	NX_EQ_S("grant_type=refresh_token&refresh_token=first&client_id=me", srv.sent);
	NX_EQ_S("second", kept);
	sleep_ms(1000);
	srv.body = "{\"access_token\":\"b\",\"expires_in\":3600,\"refresh_token\":\"third\"}";
	NX_EQ_I(NX_OK, get(text, sizeof(text)));
	NX_CHECK(strstr(srv.sent, "refresh_token=second&"));
	done();
	(void)snprintf(kept, sizeof(kept), "by-another");
	/* another life of the process, after another gateway: the configured token has long been used up */
	NX_EQ_I(NX_OK, OPEN(REFRESH));
	NX_EQ_I(NX_OK, get(text, sizeof(text)));
	NX_CHECK(strstr(srv.sent, "refresh_token=by-another&"));
	done();
	NX_EQ_I(NX_E_CREDENTIAL_INVALID, OPEN("type=oauth2", "grantType=refreshToken",
					      "tokenUrl=https://idp.test/token", "clientId=me"));
	NX_CHECK(strstr(err.message, "CV-005"));
	nx_options_free(opts);
}

NX_TEST(kept_in_the_store_sealed)
{
	uint8_t key[32] = { 7 }, other[32] = { 8 };
	char path[] = "/tmp/nx-tokens-XXXXXX", id[65];
	struct nx_store *s;
	struct nx_token_store *k;
	struct nx_str got;
	NX_CHECK(mkdtemp(path));
	char db[64], cmd[128];
	(void)snprintf(db, sizeof(db), "%s/nexus.db", path);
	NX_EQ_I(NX_OK, nx_store_open(db, &s, &err));
	NX_EQ_I(NX_OK, nx_token_store_new(s, key, &k, &err));
	struct nx_token_keeper keeper = nx_token_store_keeper(k);
	struct nx_arena *a = nx_arena_new_secret(0);
	NX_EQ_I(NX_E_NOT_FOUND, keeper.load(keeper.arg, "00", a, &got, &err));
	for (int i = 0; i < 300; i++) {
		(void)snprintf(id, sizeof(id), "%064d", i);
		NX_EQ_I(NX_OK, keeper.save(keeper.arg, id, NX_STR("refresh-one"), &err));
	}
	NX_EQ_I(NX_OK, keeper.save(keeper.arg, id, NX_STR("refresh-two"), &err));
	NX_EQ_I(NX_OK, keeper.load(keeper.arg, id, a, &got, &err));
	NX_EQ_STR(NX_STR("refresh-two"), got);
	/* another key: `nexus vault rotate` takes them along */
	struct nx_vault *from, *to;
	uint32_t n;
	NX_EQ_I(NX_OK, nx_vault_new(key, &from, &err));
	NX_EQ_I(NX_OK, nx_vault_new(other, &to, &err));
	NX_EQ_I(NX_OK, nx_store_reseal(s, from, to, &n, &err));
	NX_EQ_I(1, n);
	NX_EQ_I(NX_E_CREDENTIAL_INVALID, keeper.load(keeper.arg, id, a, &got, &err));
	nx_token_store_free(k);
	NX_EQ_I(NX_OK, nx_token_store_new(s, other, &k, &err));
	keeper = nx_token_store_keeper(k);
	NX_EQ_I(NX_OK, keeper.load(keeper.arg, id, a, &got, &err));
	NX_EQ_STR(NX_STR("refresh-two"), got);
	nx_store_close(s);
	nx_token_store_free(k);
	nx_vault_free(from);
	nx_vault_free(to);
	nx_arena_free(a);
	(void)snprintf(cmd, sizeof(cmd), "! grep -rq refresh- %s && rm -r %s", path, path);
	NX_EQ_I(0, system(cmd));
}

/* ---- keys ---- */

static char pem_text[2][4096];
static EVP_PKEY *keys[2];

static const char *pem(bool ec)
{
	char *p = pem_text[ec];
	keys[ec] = ec ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
	BIO *b = BIO_new(BIO_s_mem());
	NX_CHECK(b && keys[ec] &&
		 PEM_write_bio_PrivateKey(b, keys[ec], NULL, NULL, 0, NULL, NULL) == 1);
	int n = BIO_read(b, p, (int)sizeof(pem_text[0]) - 1);
	NX_CHECK(n > 0);
	p[n] = '\0';
	BIO_free(b);
	return p;
}

static size_t unb64(const char *s, size_t n, unsigned char *out)
{
	unsigned char in[8192];
	size_t padded = (n + 3) / 4 * 4;
	NX_CHECK(padded < sizeof(in));
	for (size_t i = 0; i < padded; i++)
		in[i] = (unsigned char)(i >= n	      ? '='
					: s[i] == '-' ? '+'
					: s[i] == '_' ? '/'
						      : s[i]);
	int len = EVP_DecodeBlock(out, in, (int)padded);
	NX_CHECK(len > 0);
	return (size_t)len - (padded - n);
}

/* Verifies with the public half and gives the claims. */
static const struct nx_json *claims_of(const char *jwt, EVP_PKEY *key, struct nx_arena *a)
{
	static unsigned char sig[2048], text[8192], der[200];
	const char *p1 = strchr(jwt, '.'), *p2 = p1 ? strchr(p1 + 1, '.') : NULL;
	const struct nx_json *o;
	NX_CHECK(p2);
	size_t n = unb64(p2 + 1, strlen(p2 + 1), sig), len = n;
	const unsigned char *check = sig;
	if (EVP_PKEY_is_a(key, "EC")) {
		unsigned char *at = der;
		NX_EQ_I(64, n);
		ECDSA_SIG *s = ECDSA_SIG_new();
		NX_CHECK(
			ECDSA_SIG_set0(s, BN_bin2bn(sig, 32, NULL), BN_bin2bn(sig + 32, 32, NULL)));
		len = (size_t)i2d_ECDSA_SIG(s, &at);
		ECDSA_SIG_free(s);
		check = der;
	}
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	NX_CHECK(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		 EVP_DigestVerify(ctx, check, len, (const unsigned char *)jwt,
				  (size_t)(p2 - jwt)) == 1);
	EVP_MD_CTX_free(ctx);
	n = unb64(p1 + 1, (size_t)(p2 - p1 - 1), text);
	NX_EQ_I(NX_OK, nx_json_parse(nx_arena_str(a, nx_strn((char *)text, n)), a, &o, NULL));
	return o;
}

static const char *field(const struct nx_json *o, const char *key)
{
	const struct nx_json *v = nx_json_get(o, key);
	return v ? v->text.ptr : "";
}

/* The value of a form's field, which has nothing to unescape. */
static const char *form_field(const char *name)
{
	static char text[8192];
	const char *p = strstr(srv.sent, name);
	NX_CHECK(p);
	p += strlen(name);
	(void)snprintf(text, sizeof(text), "%.*s", (int)strcspn(p, "&"), p);
	return text;
}

NX_TEST(jwt_bearer_and_private_key_jwt)
{
	char key[4200], text[64];
	struct nx_arena *a = nx_arena_new(0);
	for (int ec = 0; ec < 2; ec++) {
		(void)snprintf(key, sizeof(key), "privateKey=%s", pem(ec));
		NX_EQ_I(NX_OK, OPEN("type=oauth2", "grantType=jwtBearer",
				    "tokenUrl=https://idp.test/token", "issuer=me \"x\"",
				    "subject=you", "scope=s", key));
		NX_EQ_I(NX_OK, get(text, sizeof(text)));
		NX_CHECK(strstr(
			srv.sent,
			"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&"));
		const struct nx_json *o = claims_of(form_field("assertion="), keys[ec], a);
		NX_EQ_S("me \"x\"", field(o, "iss"));
		NX_EQ_S("you", field(o, "sub"));
		NX_EQ_S("https://idp.test/token", field(o, "aud"));
		NX_EQ_S("s", field(o, "scope"));
		NX_EQ_I(36, strlen(field(o, "jti")));
		NX_EQ_I(300,
			strtoll(field(o, "exp"), NULL, 10) - strtoll(field(o, "iat"), NULL, 10));
		done();
		NX_EQ_I(NX_OK, OPEN("type=oauth2", "tokenUrl=https://idp.test/token", "clientId=me",
				    "keyId=k1", key));
		NX_EQ_I(NX_OK, get(text, sizeof(text)));
		NX_CHECK(strstr(srv.sent, "grant_type=client_credentials&client_id=me&"
					  "client_assertion_type=urn%3Aietf"));
		o = claims_of(form_field("client_assertion="), keys[ec], a);
		NX_EQ_S("me", field(o, "iss"));
		NX_EQ_S("me", field(o, "sub"));
		done();
		EVP_PKEY_free(keys[ec]);
	}
	nx_arena_free(a);
}

#define ACCOUNT                                                                   \
	"credentialsJson={\"type\":\"service_account\",\"client_email\":\"a@b\"," \
	"\"private_key\":%.*s,\"private_key_id\":\"k\",\"token_uri\":\"%s\"}"

NX_TEST(service_accounts)
{
	char json[8192], text[64];
	struct nx_arena *a = nx_arena_new(0);
	struct nx_buf b;
	nx_buf_init(&b, 8192);
	nx_buf_put_json(&b, nx_str(pem(false)));
	(void)snprintf(json, sizeof(json), ACCOUNT, (int)b.len, b.data,
		       "https://oauth2.googleapis.com/token");
	NX_EQ_I(NX_OK, OPEN("type=serviceAccount", "scope=https://www.googleapis.com/auth/bigquery",
			    json));
	NX_EQ_I(NX_OK, get(text, sizeof(text)));
	NX_EQ_S("https://oauth2.googleapis.com/token", srv.url);
	const struct nx_json *o = claims_of(form_field("assertion="), keys[0], a);
	NX_EQ_S("a@b", field(o, "iss"));
	NX_EQ_S("https://oauth2.googleapis.com/token", field(o, "aud"));
	done();
	static const char *const bad[] = { "https://evil.test/token",
					   "http://oauth2.googleapis.com/token",
					   "https://oauth2.googleapis.com@evil.test/",
					   "https://evil.test/.googleapis.com",
					   "https://evilgoogleapis.com/",
					   "https://oauth2.googleapis.com:99/",
					   "" };
	for (size_t i = 0; i < NX_COUNTOF(bad); i++) {
		(void)snprintf(json, sizeof(json), ACCOUNT, (int)b.len, b.data, bad[i]);
		NX_EQ_I(NX_E_CREDENTIAL_INVALID, OPEN("type=serviceAccount", json));
		nx_options_free(opts);
	}
	NX_EQ_I(NX_E_CREDENTIAL_INVALID, OPEN("type=serviceAccount", "credentialsJson=[]"));
	NX_CHECK(strstr(err.message, "CV-007"));
	nx_options_free(opts);
	nx_buf_done(&b);
	EVP_PKEY_free(keys[0]);
	nx_arena_free(a);
}

NX_TEST(snowflake_key_pair)
{
	static const struct {
		const char *account, *want;
	} cases[] = {
		{ "/account=xy123.us-east-1", "XY123.JOE" },
		{ "/account=org-acct", "ORG-ACCT.JOE" },
		{ "/account=org-acct.part", "ORG-ACCT-PART.JOE" },
	};
	char key[4200];
	struct nx_arena *a = nx_arena_new(0);
	(void)snprintf(key, sizeof(key), "privateKey=%s", pem(false));
	for (size_t i = 0; i < NX_COUNTOF(cases); i++) {
		const struct nx_token *t;
		NX_EQ_I(NX_OK, OPEN("type=keypair", cases[i].account, "/username=joe", key));
		NX_EQ_I(NX_OK, nx_token_get(h, nx_now() + 5 * NX_SEC, &t, &err));
		const struct nx_json *o = claims_of(t->text, keys[0], a);
		NX_EQ_S(cases[i].want, field(o, "sub"));
		NX_CHECK(strncmp(field(o, "iss"), cases[i].want, strlen(cases[i].want)) == 0 &&
			 strncmp(field(o, "iss") + strlen(cases[i].want), ".SHA256:", 8) == 0);
		NX_EQ_I(strlen(cases[i].want) + 8 + 44, strlen(field(o, "iss")));
		NX_EQ_I(3600,
			strtoll(field(o, "exp"), NULL, 10) - strtoll(field(o, "iat"), NULL, 10));
		NX_CHECK(nx_token_expiry(nx_str(t->text)) == strtoll(field(o, "exp"), NULL, 10));
		nx_token_unref(t);
		done();
	}
	NX_EQ_I(0, atomic_load(&srv.calls));
	EVP_PKEY_free(keys[0]);
	nx_arena_free(a);
}

NX_TEST(fixed_tokens)
{
	char text[64];
	NX_EQ_I(NX_OK, OPEN("type=pat", "token=dapi123"));
	NX_EQ_I(NX_OK, get(text, sizeof(text)));
	NX_EQ_S("dapi123", text);
	done();
	/* {"exp":1}: CV-003 */
	NX_EQ_I(NX_E_CREDENTIAL_INVALID, OPEN("type=oauth2", "oauthToken=e30.eyJleHAiOjF9.x"));
	NX_CHECK(strstr(err.message, "CV-003"));
	nx_options_free(opts);
	NX_EQ_I(0, nx_token_expiry(NX_STR("a.b.c")));
	NX_EQ_I(0, nx_token_expiry(NX_STR("")));
	NX_EQ_I(0, nx_token_expiry(NX_STR("...")));
	NX_EQ_I(0, nx_token_expiry(NX_STR("e30.eyJleHAiOi0xfQ.x")));
}

NX_TEST(blocks_that_are_refused)
{
	static const struct {
		const char *one, *two, *three, *says;
	} cases[] = {
		{ "type=pat", "scope=x", "scope=x", "token" },
		{ "type=pat", "token=a b", "scope=x", "ASCII" },
		{ "type=oauth2", "clientId=a", "clientSecret=b", "tokenUrl" },
		{ "type=oauth2", "grantType=clientCredentials", "tokenUrl=https://a/", "clientId" },
		{ "type=oauth2", "clientId=a", "tokenUrl=https://a/", "clientSecret" },
		{ "type=oauth2", "grantType=jwtBearer", "tokenUrl=https://a/", "privateKey" },
		{ "type=keypair", "privateKey=nonsense", "/account=a", "username" },
		{ "type=accessKey", "accessKeyId=a", "scope=x", "secretAccessKey" },
		{ "type=iam", "accessKeyId=a", "secretAccessKey=b", "iamRoleArn" },
		{ "type=iam", "iamRoleArn=a", "awsRegion=x/../y", "awsRegion" },
		{ "type=iam", "iamRoleArn=a", "awsRegion=x", "accessKeyId" },
		{ "type=serviceAccount", "scope=a", "scope=a", "credentialsJson" },
	};
	for (size_t i = 0; i < NX_COUNTOF(cases); i++) {
		enum nx_code c = OPEN(cases[i].one, cases[i].two, cases[i].three);
		if (c == NX_OK || !strstr(err.message, cases[i].says))
			nx_test_fail(__FILE__, __LINE__, "%s %s: %s", cases[i].one, cases[i].two,
				     err.message);
		nx_options_free(opts);
	}
	NX_EQ_I(NX_E_CREDENTIAL_INVALID,
		OPEN("type=keypair", "privateKey=nonsense", "/account=a", "/username=b"));
	NX_CHECK(strstr(err.message, "PEM") && !strstr(err.message, "nonsense"));
	nx_options_free(opts);
}

/* ---- AWS ---- */

/* From AWS's Signature Version 4 test suite; the key is the one of its documentation. */
NX_TEST(sigv4_vectors)
{
	static const struct {
		struct nx_sigv4 q;
		const char *want;
	} cases[] = {
		{ { .method = "GET" }, /* get-vanilla */
		  "SignedHeaders=host;x-amz-date, "
		  "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
		{ { .method = "POST" }, /* post-vanilla */
		  "SignedHeaders=host;x-amz-date, "
		  "Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
		{ { .method = "GET",
		    .query = "Param1=value1&Param2=value2" }, /* get-vanilla-query-order-key-case */
		  "SignedHeaders=host;x-amz-date, "
		  "Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
		{ { .method = "POST", /* post-x-www-form-urlencoded */
		    .content_type = "application/x-www-form-urlencoded",
		    .payload = NX_STR_INIT("Param1=value1") },
		  "SignedHeaders=content-type;host;x-amz-date, "
		  "Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a" },
		{ { .method = "POST", /* post-sts-header-before */
		    .session_token =
			    "AQoDYXdzEPT//////////"
			    "wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHG"
			    "BuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/"
			    "qkPpKPi/"
			    "kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSX"
			    "Dvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+"
			    "xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBA"
			    "z+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/"
			    "oLxBA==" },
		  "SignedHeaders=host;x-amz-date;x-amz-security-token, "
		  "Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead" },
	};
	struct nx_arena *a = nx_arena_new(0);
	for (size_t i = 0; i < NX_COUNTOF(cases); i++) {
		struct nx_sigv4 q = cases[i].q;
		struct nx_str got;
		q.host = "example.amazonaws.com";
		q.path = "/";
		q.query = q.query ? q.query : "";
		q.region = "us-east-1";
		q.service = "service";
		q.time = "20150830T123600Z";
		q.access_key_id = "AKIDEXAMPLE";
		q.secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
		NX_EQ_I(NX_OK, nx_sigv4(&q, a, &got, &err));
		char want[256];
		(void)snprintf(want, sizeof(want),
			       "AWS4-HMAC-SHA256 "
			       "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, %s",
			       cases[i].want);
		NX_EQ_S(want, got.ptr);
	}
	nx_arena_free(a);
}

#define CREDENTIALS(until)                                                                      \
	"<AssumeRoleResponse "                                                                  \
	"xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>"                \
	"<Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>sec&amp;ret</"           \
	"SecretAccessKey>"                                                                      \
	"<SessionToken>tok/en==</SessionToken><Expiration>" until "</Expiration></Credentials>" \
	"</AssumeRoleResult></AssumeRoleResponse>"

NX_TEST(assumed_roles)
{
	const struct nx_token *t;
	srv.body = CREDENTIALS("2999-01-01T00:00:00Z");
	NX_EQ_I(NX_OK, OPEN("type=iam", "iamRoleArn=arn:aws:iam::1:role/r", "awsRegion=eu-west-1",
			    "accessKeyId=AKID", "secretAccessKey=secret", "externalId=x y"));
	NX_EQ_I(NX_OK, nx_token_get(h, nx_now() + 5 * NX_SEC, &t, &err));
	NX_EQ_I(NX_TOKEN_AWS, t->kind);
	NX_EQ_S("ASIA1", t->access_key_id);
	NX_EQ_S("sec&ret", t->secret_access_key);
	NX_EQ_S("tok/en==", t->session_token);
	nx_token_unref(t);
	NX_EQ_S("https://sts.eu-west-1.amazonaws.com/", srv.url);
	NX_CHECK(strstr(srv.sent,
			"RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=nexus-gateway&"
			"DurationSeconds=3600&ExternalId=x%20y"));
	NX_CHECK(strstr(srv.headers,
			"/eu-west-1/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date"));
	done();
	NX_EQ_I(NX_OK, OPEN("type=accessKey", "accessKeyId=AKID", "secretAccessKey=secret"));
	NX_EQ_I(NX_OK, nx_token_get(h, nx_now() + 5 * NX_SEC, &t, &err));
	NX_CHECK(strcmp(t->secret_access_key, "secret") == 0 && !t->session_token);
	NX_CHECK(!nx_token_reject(h, t));
	nx_token_unref(t);
	NX_EQ_I(1, atomic_load(&srv.calls));
	done();
}

NX_TEST(what_sts_answers)
{
	static const struct {
		int status;
		enum nx_code want;
		const char *body;
	} cases[] = {
		{ 403, NX_E_CREDENTIAL_INVALID,
		  "<ErrorResponse><Error><Code>AccessDenied</Code><Message>secret</Message></"
		  "Error></ErrorResponse>" },
		{ 400, NX_E_OUTBOUND_FAILED, "<Error><Code>secret</Code></Error>" },
		{ 503, NX_E_OUTBOUND_FAILED, "" },
		{ 200, NX_E_OUTBOUND_FAILED, "" },
		{ 200, NX_E_OUTBOUND_FAILED, "<html>secret</html>" },
		{ 200, NX_E_OUTBOUND_FAILED, "<!DOCTYPE a>" CREDENTIALS("2999-01-01T00:00:00Z") },
		{ 200, NX_E_OUTBOUND_FAILED, CREDENTIALS("1999-01-01T00:00:00Z") },
		{ 200, NX_E_OUTBOUND_FAILED, CREDENTIALS("tomorrow") },
		{ 200, NX_E_OUTBOUND_FAILED, CREDENTIALS("") },
		{ 200, NX_E_OUTBOUND_FAILED,
		  CREDENTIALS("2999-01-01T00:00:00Z") CREDENTIALS("2999-01-01T00:00:00Z") },
		{ 200, NX_OK, CREDENTIALS("2999-01-01T00:00:00Z") },
		{ 200, NX_OK, CREDENTIALS("2999-01-01T00:00:00.123Z") },
	};
	for (size_t i = 0; i < NX_COUNTOF(cases); i++) {
		struct nx_arena *a = nx_arena_new_secret(1 << 20);
		struct nx_token_answer got;
		nx_error_clear(&err);
		enum nx_code c = nx_sts_answer(cases[i].status, nx_str(cases[i].body),
					       nx_wall_us() / 1000000, a, &got, &err);
		if (c != cases[i].want)
			nx_test_fail(__FILE__, __LINE__, "%s: %s %s", cases[i].body,
				     nx_code_name(c), err.message);
		NX_CHECK(!strstr(err.message, "secret"));
		nx_arena_free(a);
	}
}

NX_TEST(web_identity)
{
	const struct nx_token *t;
	char path[] = "/tmp/nx-identity-XXXXXX", option[64];
	int fd = mkstemp(path);
	NX_CHECK(fd >= 0 && write(fd, "a.b.c\n", 6) == 6);
	(void)snprintf(option, sizeof(option), "webIdentityTokenFile=%s", path);
	srv.body = CREDENTIALS("2999-01-01T00:00:00Z");
	NX_EQ_I(NX_OK, OPEN("type=iam", "iamRoleArn=arn", option));
	NX_EQ_I(NX_OK, nx_token_get(h, nx_now() + 5 * NX_SEC, &t, &err));
	nx_token_unref(t);
	NX_CHECK(strstr(srv.sent, "Action=AssumeRoleWithWebIdentity&") &&
		 strstr(srv.sent, "&WebIdentityToken=a.b.c"));
	NX_CHECK(!strstr(srv.headers, "Authorization"));
	done();
	/* another file's content is not sent */
	NX_CHECK(write(fd, "two lines\n", 10) == 10);
	close(fd);
	NX_EQ_I(NX_OK, OPEN("type=iam", "iamRoleArn=arn", option));
	NX_EQ_I(NX_E_CREDENTIAL_INVALID, nx_token_get(h, nx_now() + 5 * NX_SEC, &t, &err));
	NX_EQ_I(1, atomic_load(&srv.calls));
	unlink(path);
	done();
}
