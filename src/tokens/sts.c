/* AWS STS, query protocol of 2011-06-15: a form in, XML out. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tokens/tokens_int.h"

/* ---- the request ---- */

/* The file holds a JWT and nothing else: no other file can be sent out by naming it here. */
static enum nx_code identity(const char *path, struct nx_arena *a, struct nx_str *ret,
			     struct nx_error *err)
{
	struct stat st;
	char *p = nx_arena_alloc(a, NX_TOKEN_TEXT_MAX + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = -1;
	if (p && fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		n = read(fd, p, NX_TOKEN_TEXT_MAX + 1);
	if (fd >= 0)
		close(fd);
	if (!p)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	struct nx_str t = nx_str_trim(nx_strn(p, n > 0 ? (size_t)n : 0));
	size_t dots = 0;
	for (size_t i = 0; i < t.len; i++)
		dots += t.ptr[i] == '.';
	if (!nx_token_text_ok(t) || dots != 2)
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "CV-002: webIdentityTokenFile cannot be read or holds no token.");
	*ret = nx_arena_str(a, t);
	return ret->ptr ? NX_OK : nx_fail(err, NX_E_MEMORY, "Out of memory.");
}

static enum nx_code sign(const struct nx_recipe *r, struct nx_arena *a,
			 struct nx_outbound_request *q, struct nx_error *err)
{
	static const char type[] = "application/x-www-form-urlencoded; charset=utf-8";
	const char *host = strstr(r->url, "://") ? strstr(r->url, "://") + 3 : "";
	char when[32];
	struct tm tm;
	time_t now = (time_t)(nx_wall_us() / 1000000);
	struct nx_str auth;
	gmtime_r(&now, &tm);
	if (strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm) != 16)
		return nx_fail(err, NX_E_INTERNAL, "The clock shows no usable time.");
	struct nx_sigv4 s = { .method = "POST",
			      .host = nx_arena_cstr(a, nx_strn(host, strcspn(host, "/?#"))),
			      .path = "/",
			      .query = "",
			      .region = r->region,
			      .service = "sts",
			      .time = when,
			      .content_type = type,
			      .payload = q->body,
			      .access_key_id = r->access_key_id,
			      .secret_access_key = r->secret_access_key,
			      .session_token = r->session_token };
	enum nx_code c =
		s.host ? nx_sigv4(&s, a, &auth, err) : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (c)
		return c;
	const char *lines[3] = { nx_arena_printf(a, "Authorization: %s", auth.ptr),
				 nx_arena_printf(a, "X-Amz-Date: %s", when),
				 r->session_token ? nx_arena_printf(a, "X-Amz-Security-Token: %s",
								    r->session_token)
						  : NULL };
	if (!lines[0] || !lines[1] || (r->session_token && !lines[2]))
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	for (size_t i = 0; i < NX_COUNTOF(lines); i++)
		if (lines[i])
			q->headers[q->nheaders++] = nx_str(lines[i]);
	return NX_OK;
}

enum nx_code nx_sts_request(const struct nx_recipe *r, struct nx_arena *a,
			    struct nx_outbound_request *ret, struct nx_error *err)
{
	bool web = r->grant == NX_GRANT_WEB_IDENTITY;
	struct nx_outbound_request q = {
		.method = "POST",
		.url = r->url,
		.headers = { NX_STR_INIT(
			"Content-Type: application/x-www-form-urlencoded; charset=utf-8") },
		.nheaders = 1,
		.ca_file = r->ca_file,
		.max_body = NX_TOKEN_BODY_MAX,
	};
	char seconds[16];
	struct nx_str token = { 0 };
	struct nx_buf form;
	enum nx_code c = web ? identity(r->identity_file, a, &token, err) : NX_OK;
	if (c)
		return c;
	(void)snprintf(seconds, sizeof(seconds), "%u", r->session_s);
	nx_secret_buf(&form);
	nx_form_put(&form, "Action", web ? "AssumeRoleWithWebIdentity" : "AssumeRole");
	nx_form_put(&form, "Version", "2011-06-15");
	nx_form_put(&form, "RoleArn", r->role);
	nx_form_put(&form, "RoleSessionName", r->session_name);
	nx_form_put(&form, "DurationSeconds", seconds);
	nx_form_put(&form, "ExternalId", web ? NULL : r->external_id);
	nx_form_put(&form, "WebIdentityToken", token.ptr);
	c = nx_secret_take(&form, a, &q.body, err);
	if (!c && !web)
		c = sign(r, a, &q, err);
	if (!c)
		*ret = q;
	return c;
}

/* ---- the answer ---- */

/* The text of the one element of that name, entities put in. Not an XML parser: an answer of another shape
 * than STS's (attributes, comments, CDATA, a document type) is not understood, which is an error. */
static const char *element(struct nx_str xml, const char *name, struct nx_arena *a)
{
	static const struct {
		const char *name;
		char c;
	} entities[] = { { "&amp;", '&' },
			 { "&lt;", '<' },
			 { "&gt;", '>' },
			 { "&quot;", '"' },
			 { "&apos;", '\'' } };
	char open[64], close[64];
	int no = snprintf(open, sizeof(open), "<%s>", name),
	    nc = snprintf(close, sizeof(close), "</%s>", name);
	const char *p = memmem(xml.ptr, xml.len, open, (size_t)no), *end = xml.ptr + xml.len;
	if (!p)
		return NULL;
	p += no;
	const char *q = memmem(p, (size_t)(end - p), close, (size_t)nc);
	if (!q || memmem(q, (size_t)(end - q), open, (size_t)no) || memchr(p, '<', (size_t)(q - p)))
		return NULL;
	char *out = nx_arena_alloc(a, (size_t)(q - p) + 1);
	size_t n = 0;
	while (out && p < q) {
		size_t e = 0;
		while (*p == '&' && e < NX_COUNTOF(entities) &&
		       !nx_str_starts(nx_strn(p, (size_t)(q - p)), nx_str(entities[e].name)))
			e++;
		if (e == NX_COUNTOF(entities))
			return NULL;
		out[n++] = *p == '&' ? entities[e].c : *p;
		p += *p == '&' ? strlen(entities[e].name) : 1;
	}
	if (out)
		out[n] = '\0';
	return out && n && strlen(out) == n ? out : NULL;
}

/* Only known words are repeated. */
static const struct {
	const char *word;
	bool credentials;
} errors[] = {
	{ "AccessDenied", true },
	{ "ExpiredToken", true },
	{ "ExpiredTokenException", true },
	{ "InvalidClientTokenId", true },
	{ "InvalidIdentityToken", true },
	{ "IDPRejectedClaim", true },
	{ "SignatureDoesNotMatch", true },
	{ "MissingAuthenticationToken", true },
	{ "ValidationError", true },
	{ "RegionDisabledException", true },
	{ "MalformedPolicyDocument", true },
	{ "IncompleteSignature", true },
	{ "IDPCommunicationError", false },
	{ "Throttling", false },
	{ "ServiceUnavailable", false },
	{ "InternalFailure", false },
};

static enum nx_code refused(int status, struct nx_str body, struct nx_arena *a,
			    struct nx_error *err)
{
	const char *word = element(body, "Code", a);
	for (size_t i = 0; word && i < NX_COUNTOF(errors); i++)
		if (strcmp(word, errors[i].word) == 0)
			return nx_fail(err,
				       errors[i].credentials ? NX_E_CREDENTIAL_INVALID
							     : NX_E_OUTBOUND_FAILED,
				       "AWS STS answered %s (status %d).", errors[i].word, status);
	return nx_fail(err, status == 403 ? NX_E_CREDENTIAL_INVALID : NX_E_OUTBOUND_FAILED,
		       "AWS STS answered with status %d.", status);
}

static bool fits(const char *s)
{
	return s && nx_token_text_ok(nx_str(s));
}

enum nx_code nx_sts_answer(int status, struct nx_str body, int64_t wall_s, struct nx_arena *a,
			   struct nx_token_answer *ret, struct nx_error *err)
{
	struct nx_token_answer got = { 0 };
	struct tm tm = { 0 };
	if (body.len == 0 || status != 200)
		return refused(status, body.len ? body : NX_STR(" "), a, err);
	if (memmem(body.ptr, body.len, "<!", 2))
		return nx_fail(err, NX_E_OUTBOUND_FAILED,
			       "AWS STS gave an answer of an unknown form.");
	const char *until = element(body, "Expiration", a);
	got.access_key_id = element(body, "AccessKeyId", a);
	got.secret_access_key = element(body, "SecretAccessKey", a);
	got.session_token = element(body, "SessionToken", a);
	const char *rest = until ? strptime(until, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	bool dated = rest &&
		     (strcmp(rest, "Z") == 0 || (rest[0] == '.' && rest[strlen(rest) - 1] == 'Z'));
	if (!fits(got.access_key_id) || !fits(got.secret_access_key) || !fits(got.session_token) ||
	    !dated)
		return nx_fail(err, NX_E_OUTBOUND_FAILED, "AWS STS gave no usable credentials.");
	got.life_s = (int64_t)timegm(&tm) - wall_s;
	if (got.life_s > NX_TOKEN_LIFE_MAX)
		got.life_s = NX_TOKEN_LIFE_MAX;
	if (got.life_s < 1)
		return nx_fail(err, NX_E_OUTBOUND_FAILED,
			       "AWS STS gave credentials that have expired; is the clock right?");
	*ret = got;
	return NX_OK;
}
