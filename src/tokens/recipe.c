/* From an `authentication` block to what a fetch needs, all of it judged before anything is sent. */
#include <openssl/evp.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "tokens/tokens_int.h"

#define RECIPE_MAX ((size_t)1 << 20)

const struct nx_option nx_token_options[] = {
	{ "authentication.type", NX_OPT_ENUM, NX_OPTF_REQUIRED, NULL, 0, 0,
	  "pat|token|jwt|oauth|oauth2|serviceAccount|keypair|accessKey|iam",
	  "How the gateway proves itself." },
	{ "username", NX_OPT_STRING, 0, NULL, 0, 0, NULL, "User of a key-pair JWT." },
	{ "account", NX_OPT_STRING, 0, NULL, 0, 0, NULL, "Account of a key-pair JWT." },
	NX_TOKEN_OPTIONS,
	{ .key = NULL },
};

struct maker {
	const struct nx_options *o;
	const struct nx_token_defaults *d;
	struct nx_recipe *r;
	bool no_memory;
};

static const char *own(struct maker *m, const char *text)
{
	if (!text || !*text)
		return NULL;
	const char *p = nx_arena_cstr(m->r->arena, nx_str(text));
	if (!p)
		m->no_memory = true;
	return p;
}

/* Inside `authentication`, as a text of the recipe; empty is absent. */
static const char *get(struct maker *m, const char *name)
{
	char key[64];
	(void)snprintf(key, sizeof(key), "authentication.%s", name);
	return own(m, nx_opt_str(m->o, key, NULL));
}

static const char *get_or(struct maker *m, const char *name, const char *fallback)
{
	const char *v = get(m, name);
	return v ? v : own(m, fallback);
}

static enum nx_code missing(struct nx_error *err, const char *what)
{
	return nx_fail(err, NX_E_CREDENTIAL_INVALID,
		       "CV-002: this kind of authentication needs %s.", what);
}

/* ---- each kind ---- */

static enum nx_code fixed(struct maker *m, struct nx_error *err)
{
	const char *t = get(m, "token");
	if (!t)
		t = get(m, "oauthToken");
	if (!t && strcmp(nx_opt_str(m->o, "authentication.type", ""), "pat") == 0)
		t = own(m, nx_opt_str(m->o, "password", NULL));
	if (!t)
		return missing(err, "token");
	if (!nx_token_text_ok(nx_str(t)))
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "CV-002: token must be visible ASCII of 16 KiB at most.");
	int64_t exp = nx_token_expiry(nx_str(t));
	if (exp && exp <= nx_wall_us() / 1000000)
		return nx_fail(err, NX_E_CREDENTIAL_INVALID, "CV-003: the token has expired.");
	m->r->grant = NX_GRANT_FIXED;
	m->r->token = t;
	return NX_OK;
}

static enum nx_code read_key(struct maker *m, const char *pem, struct nx_error *err)
{
	const char *pass = get(m, "privateKeyPassphrase");
	return pem ? nx_key_read(nx_str(pem), pass, &m->r->key, err) : missing(err, "privateKey");
}

/* The client of RFC 6749 2.3. */
static enum nx_code client(struct maker *m, bool required, struct nx_error *err)
{
	struct nx_recipe *r = m->r;
	const char *how = get(m, "clientAuth"), *pem = get(m, "privateKey");
	r->client_id = get(m, "clientId");
	r->client_secret = get(m, "clientSecret");
	if (!how)
		how = r->client_secret		       ? "basic"
		      : pem && r->client_id && !r->key ? "privateKeyJwt"
						       : "none";
	r->client_auth = strcmp(how, "basic") == 0	     ? NX_CLIENT_BASIC
			 : strcmp(how, "post") == 0	     ? NX_CLIENT_POST
			 : strcmp(how, "privateKeyJwt") == 0 ? NX_CLIENT_JWT
							     : NX_CLIENT_NONE;
	if ((required || r->client_auth != NX_CLIENT_NONE) && !r->client_id)
		return missing(err, "clientId");
	if ((r->client_auth == NX_CLIENT_BASIC || r->client_auth == NX_CLIENT_POST) &&
	    !r->client_secret)
		return missing(err, "clientSecret");
	if (r->client_auth == NX_CLIENT_JWT && !r->key)
		return read_key(m, pem, err);
	if (required && r->client_auth == NX_CLIENT_NONE)
		return missing(err, "clientSecret or privateKey");
	return NX_OK;
}

static enum nx_code refresh(struct maker *m, struct nx_error *err)
{
	struct nx_recipe *r = m->r;
	unsigned char h[32];
	unsigned n = 0;
	r->grant = NX_GRANT_REFRESH;
	r->refresh_token = get(m, "refreshToken");
	if (!r->refresh_token)
		return nx_fail(err, NX_E_CREDENTIAL_INVALID, "CV-005: refreshToken is missing.");
	/* which configured token a kept one stands for: the token itself counts, so that a new one
	 * in the configuration is not overruled by the successor of the old */
	const char *all = nx_arena_printf(r->arena, "%s\n%s\n%s", r->url ? r->url : "",
					  r->client_id ? r->client_id : "", r->refresh_token);
	if (!all || EVP_Digest(all, strlen(all), h, &n, EVP_sha256(), NULL) != 1)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	for (unsigned i = 0; i < 32; i++)
		(void)snprintf(r->refresh_id + 2 * i, 3, "%02x", h[i]);
	return NX_OK;
}

/* A service account's file names the endpoint that gets an assertion signed with its key, so whoever wrote
 * it could collect those: only Google's own hosts are taken from it. */
static bool google_host(const char *url)
{
	const char *host = strncmp(url, "https://", 8) == 0 ? url + 8 : "";
	size_t n = strcspn(host, "/:?#@\\");
	return n > 0 && (host[n] == '/' || host[n] == '\0') &&
	       nx_str_ends(nx_strn(host, n), NX_STR(".googleapis.com"));
}

static enum nx_code service_account(struct maker *m, const char *json, struct nx_error *err)
{
	static const char *const names[] = { "client_email", "private_key", "private_key_id",
					     "token_uri" };
	const char *v[NX_COUNTOF(names)] = { NULL };
	const struct nx_json *o = NULL;
	struct nx_recipe *r = m->r;
	if (!json)
		return missing(err, "credentialsJson");
	if (nx_json_parse(nx_str(json), r->arena, &o, NULL) != NX_OK || o->kind != NX_JSON_OBJECT)
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "CV-007: credentialsJson is not a JSON object.");
	for (size_t i = 0; i < NX_COUNTOF(names); i++) {
		const struct nx_json *f = nx_json_get(o, names[i]);
		if (f && f->kind == NX_JSON_STRING)
			v[i] = f->text.ptr;
	}
	if (!v[0] || !v[1])
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "CV-007: credentialsJson lacks client_email or private_key.");
	if (!r->url && v[3]) {
		if (!google_host(v[3]))
			return nx_fail(err, NX_E_CREDENTIAL_INVALID,
				       "CV-007: token_uri of credentialsJson is not at "
				       "googleapis.com; give "
				       "tokenUrl.");
		r->url = v[3];
	}
	r->issuer = v[0];
	r->key_id = v[2];
	return read_key(m, v[1], err);
}

static enum nx_code jwt_bearer(struct maker *m, struct nx_error *err)
{
	struct nx_recipe *r = m->r;
	const char *json = get(m, "credentialsJson");
	enum nx_code c;
	r->grant = NX_GRANT_JWT_BEARER;
	r->issuer = get(m, "issuer");
	r->subject = get(m, "subject");
	r->key_id = get(m, "keyId");
	if (json || strcmp(nx_opt_str(m->o, "authentication.type", ""), "serviceAccount") == 0)
		c = service_account(m, json, err);
	else
		c = read_key(m, get(m, "privateKey"), err);
	if (!c)
		c = client(m, false,
			   err); /* after the key: it signs the assertion, not the client's */
	return c || r->issuer ? c : missing(err, "issuer");
}

static enum nx_code oauth(struct maker *m, struct nx_error *err)
{
	const char *g = get(m, "grantType");
	struct nx_recipe *r = m->r;
	enum nx_code c = NX_OK;
	if (!g)
		g = get(m, "refreshToken")	? "refreshToken"
		    : get(m, "credentialsJson") ? "jwtBearer"
		    : get(m, "clientId")	? "clientCredentials"
						: "token";
	if (strcmp(g, "token") == 0)
		return fixed(m, err);
	if (strcmp(g, "jwtBearer") == 0) {
		c = jwt_bearer(m, err);
	} else {
		bool cc = strcmp(g, "clientCredentials") == 0;
		r->key_id = get(m, "keyId");
		r->grant = NX_GRANT_CLIENT;
		c = client(m, cc, err);
		if (!c && !cc)
			c = refresh(m, err);
	}
	return c || r->url ? c : missing(err, "tokenUrl");
}

/* Snowflake: ACCOUNT.USER in capitals; of a locator the region is cut, an organisation's dots are dashes. */
static enum nx_code key_pair(struct maker *m, struct nx_error *err)
{
	struct nx_recipe *r = m->r;
	char print[64];
	const char *account = m->d->account ? m->d->account : nx_opt_str(m->o, "account", NULL);
	const char *user = m->d->user ? m->d->user : nx_opt_str(m->o, "username", NULL);
	if (!account || !*account || !user || !*user)
		return missing(err, "account and username");
	enum nx_code c = read_key(m, get(m, "privateKey"), err);
	if (!c && !EVP_PKEY_is_a(r->key, "RSA"))
		c = nx_fail(err, NX_E_CREDENTIAL_INVALID,
			    "CV-002: privateKey must be an RSA key here.");
	if (!c)
		c = nx_key_fingerprint(r->key, print, err);
	if (c)
		return c;
	bool org = memchr(account, '-', strcspn(account, ".")) != NULL;
	char *sub = nx_arena_printf(r->arena, "%.*s.%s",
				    (int)(org ? strlen(account) : strcspn(account, ".")), account,
				    user);
	for (size_t i = 0; sub && sub[i]; i++) {
		if (sub[i] >= 'a' && sub[i] <= 'z')
			sub[i] = (char)(sub[i] - 32);
		else if (org && sub[i] == '.' && i < strlen(account))
			sub[i] = '-';
	}
	r->subject = sub;
	r->issuer = sub ? nx_arena_printf(r->arena, "%s.%s", sub, print) : NULL;
	r->grant = NX_GRANT_KEY_PAIR;
	return r->issuer ? NX_OK : nx_fail(err, NX_E_MEMORY, "Out of memory.");
}

static enum nx_code aws_keys(struct maker *m, struct nx_error *err)
{
	struct nx_recipe *r = m->r;
	r->grant = NX_GRANT_FIXED_AWS;
	r->access_key_id = get(m, "accessKeyId");
	r->secret_access_key = get(m, "secretAccessKey");
	r->session_token = get(m, "sessionToken");
	if (!r->access_key_id || !r->secret_access_key)
		return missing(err, "accessKeyId and secretAccessKey");
	if (!nx_token_text_ok(nx_str(r->access_key_id)) ||
	    !nx_token_text_ok(nx_str(r->secret_access_key)) ||
	    (r->session_token && !nx_token_text_ok(nx_str(r->session_token))))
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "CV-002: the access key is not visible ASCII.");
	return NX_OK;
}

static bool region_ok(const char *s)
{
	return s && strlen(s) < 40 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s);
}

static enum nx_code iam(struct maker *m, struct nx_error *err)
{
	struct nx_recipe *r = m->r;
	r->role = get(m, "iamRoleArn");
	r->region = get_or(m, "awsRegion", "us-east-1");
	r->external_id = get(m, "externalId");
	r->session_name = get_or(m, "sessionName", "nexus-gateway");
	r->identity_file = get(m, "webIdentityTokenFile");
	r->session_s = m->d->session_s ? m->d->session_s : 3600;
	r->url = get(m, "stsUrl");
	if (!region_ok(r->region))
		return nx_fail(err, NX_E_CONFIG_INVALID, "awsRegion is no region.");
	if (!r->url)
		r->url = nx_arena_printf(r->arena, "https://sts.%s.amazonaws.com%s/", r->region,
					 strncmp(r->region, "cn-", 3) == 0 ? ".cn" : "");
	if (!r->role)
		return missing(err, "iamRoleArn");
	enum nx_code c = r->identity_file ? NX_OK : aws_keys(m, err);
	r->grant = r->identity_file ? NX_GRANT_WEB_IDENTITY : NX_GRANT_ROLE;
	return c;
}

static const struct {
	const char *type;
	enum nx_code (*make)(struct maker *m, struct nx_error *err);
} kinds[] = {
	{ "pat", fixed },	   { "token", fixed },	{ "jwt", fixed },
	{ "oauth", oauth },	   { "oauth2", oauth }, { "keypair", key_pair },
	{ "accessKey", aws_keys }, { "iam", iam },	{ "serviceAccount", jwt_bearer },
};

enum nx_code nx_recipe_make(const struct nx_options *o, const struct nx_token_defaults *d,
			    struct nx_recipe *ret, struct nx_error *err)
{
	static const struct nx_token_defaults none;
	struct nx_recipe r = { .arena = nx_arena_new_secret(RECIPE_MAX) };
	struct maker m = { o, d ? d : &none, &r, false };
	const char *type = nx_opt_str(o, "authentication.type", "");
	enum nx_code c = nx_fail(err, NX_E_CREDENTIAL_INVALID,
				 "CV-002: authentication.type is not one that gives tokens.");
	if (!r.arena)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	r.url = get_or(&m, "tokenUrl", m.d->token_url);
	r.scope = get_or(&m, "scope", m.d->scope);
	r.audience = get_or(&m, "audience", m.d->audience);
	r.ca_file = get(&m, "caFile");
	for (size_t i = 0; i < NX_COUNTOF(kinds); i++)
		if (strcmp(kinds[i].type, type) == 0)
			c = kinds[i].make(&m, err);
	if (!c && r.grant == NX_GRANT_JWT_BEARER && !r.url)
		c = missing(err, "tokenUrl");
	if (m.no_memory)
		c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (c)
		nx_recipe_done(&r);
	else
		*ret = r;
	return c;
}

void nx_recipe_done(struct nx_recipe *r)
{
	EVP_PKEY_free(r->key);
	nx_arena_free(r->arena);
}
