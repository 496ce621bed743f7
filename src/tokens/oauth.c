/* OAuth 2.0 token endpoint: RFC 6749 4.4 and 6, RFC 7523. */
#include <openssl/evp.h>

#include "base/clock.h"
#include "base/json.h"
#include "tokens/tokens_int.h"

#define ASSERTION_S 300 /* life of a signed assertion */
#define BACK_S 30 /* it is dated back, for clocks that are behind ours */

bool nx_token_text_ok(struct nx_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f)
			return false;
	return s.len > 0 && s.len <= NX_TOKEN_TEXT_MAX;
}

void nx_secret_buf(struct nx_buf *b)
{
	nx_buf_init(b, NX_TOKEN_BODY_MAX);
	(void)nx_buf_reserve(b, NX_TOKEN_BODY_MAX);
}

enum nx_code nx_secret_take(struct nx_buf *b, struct nx_arena *a, struct nx_str *ret,
			    struct nx_error *err)
{
	struct nx_str copy = { 0 };
	if (!b->failed)
		copy = nx_arena_str(a, nx_buf_str(b));
	if (b->data)
		nx_wipe(b->data, b->len);
	nx_buf_done(b);
	if (!copy.ptr)
		return nx_fail(err, NX_E_MEMORY,
			       "Out of memory, or a request for a token is too long.");
	*ret = copy;
	return NX_OK;
}

/* ---- the request ---- */

static void put_escaped(struct nx_buf *b, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
		    strchr("-._~", c)) {
			nx_buf_putc(b, *s);
		} else {
			nx_buf_putc(b, '%');
			nx_buf_putc(b, hex[c >> 4]);
			nx_buf_putc(b, hex[c & 15]);
		}
	}
}

void nx_form_put(struct nx_buf *b, const char *name, const char *value)
{
	if (!value)
		return;
	if (b->len)
		nx_buf_putc(b, '&');
	nx_buf_puts(b, name);
	nx_buf_putc(b, '=');
	put_escaped(b, value);
}

static void claim(struct nx_buf *b, const char *name, const char *value)
{
	if (!value)
		return;
	nx_buf_printf(b, ",\"%s\":", name);
	nx_buf_put_json(b, nx_str(value));
}

struct claims {
	const char *iss, *sub, *aud, *scope;
	int64_t life_s;
	bool id; /* with a jti, so that each is taken once */
};

static enum nx_code assertion(const struct nx_recipe *r, const struct claims *cl,
			      struct nx_arena *a, struct nx_str *ret, struct nx_error *err)
{
	int64_t now = nx_wall_us() / 1000000;
	char id[37];
	struct nx_buf b;
	nx_buf_init(&b, NX_TOKEN_TEXT_MAX);
	nx_buf_printf(&b, "{\"iat\":%lld,\"exp\":%lld", (long long)(now - BACK_S),
		      (long long)(now - BACK_S + cl->life_s));
	claim(&b, "iss", cl->iss);
	claim(&b, "sub", cl->sub);
	claim(&b, "aud", cl->aud);
	claim(&b, "scope", cl->scope);
	nx_uuid(id);
	claim(&b, "jti", cl->id ? id : NULL);
	nx_buf_putc(&b, '}');
	enum nx_code c =
		b.failed ? nx_fail(err, NX_E_MEMORY, "Out of memory.")
			 : nx_assertion_sign(r->key, r->key_id, nx_buf_str(&b), a, ret, err);
	nx_buf_done(&b);
	return c;
}

/* RFC 6749 2.3.1: both are escaped as a form's before they are put together. */
static enum nx_code basic(const struct nx_recipe *r, struct nx_arena *a, struct nx_str *ret,
			  struct nx_error *err)
{
	struct nx_buf pair, out;
	nx_secret_buf(&pair);
	put_escaped(&pair, r->client_id);
	nx_buf_putc(&pair, ':');
	put_escaped(&pair, r->client_secret);
	nx_secret_buf(&out);
	nx_buf_puts(&out, "Authorization: Basic ");
	unsigned char *p =
		pair.failed ? NULL : (unsigned char *)nx_buf_reserve(&out, pair.len / 3 * 4 + 5);
	if (p)
		out.len += (size_t)EVP_EncodeBlock(p, (unsigned char *)pair.data, (int)pair.len);
	else
		out.failed = true;
	if (pair.data)
		nx_wipe(pair.data, pair.len);
	nx_buf_done(&pair);
	return nx_secret_take(&out, a, ret, err);
}

static enum nx_code prove_client(const struct nx_recipe *r, struct nx_buf *form, struct nx_arena *a,
				 struct nx_outbound_request *q, struct nx_error *err)
{
	struct claims cl = { r->client_id, r->client_id, r->url, NULL, ASSERTION_S, true };
	struct nx_str jwt;
	enum nx_code c = NX_OK;
	switch (r->client_auth) {
	case NX_CLIENT_NONE:
		nx_form_put(form, "client_id", r->client_id);
		break;
	case NX_CLIENT_BASIC:
		c = basic(r, a, &q->headers[q->nheaders], err);
		if (!c)
			q->nheaders++;
		break;
	case NX_CLIENT_POST:
		nx_form_put(form, "client_id", r->client_id);
		nx_form_put(form, "client_secret", r->client_secret);
		break;
	case NX_CLIENT_JWT:
		c = assertion(r, &cl, a, &jwt, err);
		if (c)
			break;
		nx_form_put(form, "client_id", r->client_id);
		nx_form_put(form, "client_assertion_type",
			    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
		nx_form_put(form, "client_assertion", jwt.ptr);
		break;
	}
	return c;
}

enum nx_code nx_oauth_request(const struct nx_recipe *r, const char *refresh, struct nx_arena *a,
			      struct nx_outbound_request *ret, struct nx_error *err)
{
	struct nx_outbound_request q = {
		.method = "POST",
		.url = r->url,
		.headers = { NX_STR_INIT("Content-Type: application/x-www-form-urlencoded"),
			     NX_STR_INIT("Accept: application/json") },
		.nheaders = 2,
		.ca_file = r->ca_file,
		.max_body = NX_TOKEN_BODY_MAX,
	};
	struct claims cl = { r->issuer, r->subject,  r->audience ? r->audience : r->url,
			     r->scope,	ASSERTION_S, true };
	struct nx_str jwt;
	struct nx_buf form;
	enum nx_code c = NX_OK;
	nx_secret_buf(&form);
	if (r->grant == NX_GRANT_CLIENT) {
		nx_form_put(&form, "grant_type", "client_credentials");
		nx_form_put(&form, "audience", r->audience);
	} else if (r->grant == NX_GRANT_REFRESH) {
		nx_form_put(&form, "grant_type", "refresh_token");
		nx_form_put(&form, "refresh_token", refresh);
	} else {
		c = assertion(r, &cl, a, &jwt, err);
		nx_form_put(&form, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
		nx_form_put(&form, "assertion", c ? NULL : jwt.ptr);
	}
	nx_form_put(&form, "scope", r->scope);
	if (!c)
		c = prove_client(r, &form, a, &q, err);
	if (c)
		form.failed = true;
	struct nx_error unused;
	enum nx_code taken = nx_secret_take(&form, a, &q.body, c ? &unused : err);
	if (c || taken)
		return c ? c : taken;
	*ret = q;
	return NX_OK;
}

/* ---- the answer ---- */

/* RFC 6749 5.2. Only these words are repeated: anything else in an answer might be a secret sent back. */
static const struct {
	const char *word;
	bool credentials; /* our fault, not the service's */
} errors[] = {
	{ "invalid_request", true },
	{ "invalid_client", true },
	{ "invalid_grant", true },
	{ "unauthorized_client", true },
	{ "unsupported_grant_type", true },
	{ "invalid_scope", true },
	{ "invalid_target", true },
	{ "access_denied", true },
	{ "server_error", false },
	{ "temporarily_unavailable", false },
	{ "slow_down", false },
};

static const char *text_of(const struct nx_json *o, const char *key)
{
	const struct nx_json *v = nx_json_get(o, key);
	return v && v->kind == NX_JSON_STRING && v->text.len ? v->text.ptr : NULL;
}

static enum nx_code refused(int status, const struct nx_json *o, struct nx_error *err)
{
	const char *word = text_of(o, "error");
	for (size_t i = 0; word && i < NX_COUNTOF(errors); i++)
		if (strcmp(word, errors[i].word) == 0)
			return nx_fail(err,
				       errors[i].credentials ? NX_E_CREDENTIAL_INVALID
							     : NX_E_OUTBOUND_FAILED,
				       "The token endpoint answered %s (status %d).",
				       errors[i].word, status);
	return nx_fail(err,
		       status == 401 || status == 403 ? NX_E_CREDENTIAL_INVALID
						      : NX_E_OUTBOUND_FAILED,
		       "The token endpoint answered with status %d.", status);
}

/* A number, or a number as text, as some endpoints send it. */
static bool lifetime(const struct nx_json *o, int64_t *ret)
{
	const struct nx_json *v = nx_json_get(o, "expires_in");
	double d;
	if (!v || v->kind == NX_JSON_NULL) {
		*ret = -1;
		return true;
	}
	if ((v->kind != NX_JSON_NUMBER && v->kind != NX_JSON_STRING) ||
	    !nx_str_to_f64(v->text, &d) || !(d >= 1))
		return false;
	*ret = d > NX_TOKEN_LIFE_MAX ? NX_TOKEN_LIFE_MAX : (int64_t)d;
	return true;
}

enum nx_code nx_oauth_answer(int status, struct nx_str body, struct nx_arena *a,
			     struct nx_token_answer *ret, struct nx_error *err)
{
	const struct nx_json *o = NULL;
	struct nx_token_answer got = { 0 };
	if (nx_json_parse(body, a, &o, NULL) != NX_OK || o->kind != NX_JSON_OBJECT)
		o = NULL;
	if (status != 200 || nx_json_get(o, "error"))
		return refused(status, o, err);
	if (!o)
		return nx_fail(err, NX_E_OUTBOUND_FAILED,
			       "The token endpoint's answer is not JSON.");
	const char *type = text_of(o, "token_type");
	got.text = text_of(o, "access_token");
	got.refresh_token = text_of(o, "refresh_token");
	if (!got.text || !nx_token_text_ok(nx_json_get(o, "access_token")->text))
		return nx_fail(err, NX_E_OUTBOUND_FAILED,
			       "The token endpoint gave no usable access token.");
	if (type && !nx_str_ieq(nx_str(type), NX_STR("bearer")))
		return nx_fail(err, NX_E_OUTBOUND_FAILED,
			       "The token endpoint gave no bearer token.");
	if (got.refresh_token && !nx_token_text_ok(nx_json_get(o, "refresh_token")->text))
		return nx_fail(err, NX_E_OUTBOUND_FAILED,
			       "The token endpoint gave no usable refresh token.");
	if (!lifetime(o, &got.life_s))
		return nx_fail(err, NX_E_OUTBOUND_FAILED,
			       "The token endpoint gave a token that has no time to live.");
	*ret = got;
	return NX_OK;
}

/* ---- one fetch ---- */

nx_outbound_fn *nx_token_call = nx_outbound_call;

static enum nx_code key_pair(const struct nx_recipe *r, struct nx_arena *a,
			     struct nx_token_answer *ret, struct nx_error *err)
{
	struct claims cl = { r->issuer, r->subject, NULL, NULL, 3600, false };
	struct nx_str jwt;
	enum nx_code c = assertion(r, &cl, a, &jwt, err);
	if (!c)
		*ret = (struct nx_token_answer){ .text = jwt.ptr, .life_s = 3600 - BACK_S };
	return c;
}

static enum nx_code ask(const struct nx_recipe *r, const char *refresh, int64_t deadline,
			struct nx_arena *a, struct nx_token_answer *ret, uint32_t *retry_after_s,
			struct nx_error *err)
{
	bool aws = r->grant == NX_GRANT_ROLE || r->grant == NX_GRANT_WEB_IDENTITY;
	struct nx_outbound_request q;
	struct nx_outbound_answer got;
	enum nx_code c =
		aws ? nx_sts_request(r, a, &q, err) : nx_oauth_request(r, refresh, a, &q, err);
	if (c)
		return c;
	q.deadline = deadline;
	c = nx_token_call(&q, a, &got, err);
	if (c)
		return c;
	*retry_after_s = got.retry_after_s;
	return aws ? nx_sts_answer(got.status, got.body, nx_wall_us() / 1000000, a, ret, err)
		   : nx_oauth_answer(got.status, got.body, a, ret, err);
}

enum nx_code nx_token_fetch(const struct nx_recipe *r, const char *refresh, int64_t deadline,
			    struct nx_arena *a, struct nx_token_answer *ret,
			    uint32_t *retry_after_s, struct nx_error *err)
{
	struct nx_token_answer fixed = { .life_s = -1 };
	*retry_after_s = 0;
	switch (r->grant) {
	case NX_GRANT_FIXED:
		fixed.text = r->token;
		*ret = fixed;
		return NX_OK;
	case NX_GRANT_FIXED_AWS:
		fixed.access_key_id = r->access_key_id;
		fixed.secret_access_key = r->secret_access_key;
		fixed.session_token = r->session_token;
		*ret = fixed;
		return NX_OK;
	case NX_GRANT_KEY_PAIR:
		return key_pair(r, a, ret, err);
	case NX_GRANT_CLIENT:
	case NX_GRANT_REFRESH:
	case NX_GRANT_JWT_BEARER:
	case NX_GRANT_ROLE:
	case NX_GRANT_WEB_IDENTITY:
		return ask(r, refresh, deadline, a, ret, retry_after_s, err);
	}
	return nx_fail(err, NX_E_INTERNAL, "An unknown way to get a token.");
}
