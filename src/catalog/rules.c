/* Rules that need more than one option's row: DS-002, credentials that belong together (DS-007 to
 * DS-009, CV-*), values that the type fixes (DS-012, DS-015). Tables first, loops after. */
#include "base/clock.h"
#include "catalog/catalog_int.h"
#include "tokens/tokens.h"

#include <stdarg.h>

void nx_rules_init(struct nx_rules *r)
{
	*r = (struct nx_rules){ .count = 0 };
	nx_buf_init(&r->json, 256 * 1024);
	nx_error_clear(&r->first);
}

void nx_rules_done(struct nx_rules *r)
{
	nx_buf_done(&r->json);
}

void nx_rules_add(struct nx_rules *r, enum nx_code code, const char *rule, const char *key,
		  const char *fmt, ...)
{
	struct nx_error e;
	va_list ap;
	va_start(ap, fmt);
	(void)nx_failv(&e, code, fmt, ap);
	va_end(ap);
	if (r->count++ == 0)
		(void)nx_fail(&r->first, code, "%s: %s", rule, e.message);
	if (r->count > 50)
		return; /* the count goes on, the list is long enough */
	nx_buf_puts(&r->json, r->count == 1 ? "[{\"rule\":" : ",{\"rule\":");
	nx_buf_put_json(&r->json, nx_str(rule));
	nx_buf_puts(&r->json, ",\"key\":");
	nx_buf_put_json(&r->json, nx_str(key));
	nx_buf_puts(&r->json, ",\"message\":");
	nx_buf_put_json(&r->json, nx_str(e.message));
	nx_buf_putc(&r->json, '}');
}

enum nx_code nx_rules_end(struct nx_rules *r, struct nx_arena *a, struct nx_str *ret,
			  struct nx_error *err)
{
	if (r->count == 0)
		return NX_OK;
	nx_buf_putc(&r->json, ']');
	if (ret) {
		struct nx_str text = r->json.failed ? (struct nx_str){ 0 }
						    : nx_arena_str(a, nx_buf_str(&r->json));
		*ret = text.ptr ? text : NX_STR("[]");
	}
	if (r->count == 1)
		return nx_fail(err, r->first.code, "%s", r->first.message);
	return nx_fail(err, r->first.code, "%s (and %u more)", r->first.message, r->count - 1);
}

/* ---- which rule a key stands for ---- */

static const struct {
	const char *key, *rule;
} key_rules[] = {
	{ "host", "DS-005" },
	{ "brokerHost", "DS-005" },
	{ "namenodeHost", "DS-005" },
	{ "account", "DS-005" },
	{ "workspaceUrl", "DS-005" },
	{ "project", "DS-005" },
	{ "catalogUri", "DS-005" },
	{ "endpoint", "DS-005" },
	{ "port", "DS-006" },
	{ "brokerPort", "DS-006" },
	{ "coordinatorPort", "DS-006" },
	{ "namenodePort", "DS-006" },
	{ "omPort", "DS-006" },
	{ "username", "DS-007" },
	{ "authentication.username", "DS-007" },
	{ "password", "DS-008" },
	{ "authentication.password", "DS-008" },
	{ "authentication", "DS-009" },
	{ "authentication.type", "DS-010" },
	{ "fileFormat", "DS-012" },
	{ "baseFileFormat", "DS-012" },
	{ "bucket", "DS-013" },
	{ "charset", "DS-014" },
	{ "compatibilityMode", "DS-015" },
};

const char *nx_rule_of(const char *key)
{
	for (size_t i = 0; i < NX_COUNTOF(key_rules); i++)
		if (strcmp(key_rules[i].key, key) == 0)
			return key_rules[i].rule;
	return "KEY-VALUE";
}

/* ---- the name ---- */

static bool is_uuid(struct nx_str s)
{
	if (s.len != 36)
		return false;
	for (size_t i = 0; i < 36; i++) {
		char c = s.ptr[i];
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? c != '-'
			 : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
			     (c >= 'A' && c <= 'F')))
			return false;
	}
	return true;
}

void nx_rules_name(struct nx_str name, struct nx_rules *r)
{
	size_t chars = 0;
	bool odd = nx_utf8_check(name) != name.len;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];
		chars += (c & 0xc0) != 0x80;
		/* C1 controls are C2 80 to C2 9F */
		odd |= c < 0x20 || c == 0x7f || c == '/' ||
		       (c == 0xc2 && i + 1 < name.len && (unsigned char)name.ptr[i + 1] < 0xa0);
	}
	if (chars < 1 || chars > 255)
		nx_rules_add(r, NX_E_CONFIG_INVALID, "DS-002", "name",
			     "name must have 1 to 255 characters.");
	else if (odd)
		nx_rules_add(r, NX_E_CONFIG_INVALID, "DS-002", "name",
			     "name must not hold '/' or control characters.");
	else if (is_uuid(name))
		nx_rules_add(r, NX_E_CONFIG_INVALID, "DS-002", "name",
			     "name must not look like an id.");
}

/* ---- credentials that belong together ---- */

/* What each way to log in needs: keys separated by blanks, "a|b" either of the two. A key counts
 * inside `authentication` or at the top. */
static const struct {
	const char *type, *needs;
} auth_needs[] = {
	{ "basic", "username password" },
	{ "password", "username password" },
	{ "keypair", "username privateKey" },
	{ "oauth", "oauthToken|token|clientSecret|refreshToken|privateKey" },
	{ "oauth2", "token|oauthToken|credentials|clientSecret|refreshToken|privateKey" },
	{ "pat", "token|password" },
	{ "jwt", "token" },
	{ "serviceAccount", "credentialsJson" },
	{ "accessKey", "accessKeyId" },
	{ "accessKey", "secretAccessKey" },
	{ "sasToken", "sasToken" },
	{ "kerberos", "kerberosPrincipal kerberosKeytab" },
};

static bool has(const struct nx_options *o, const char *key, size_t len)
{
	char inside[128], top[128];
	if (snprintf(inside, sizeof(inside), "authentication.%.*s", (int)len, key) >=
		    (int)sizeof(inside) ||
	    snprintf(top, sizeof(top), "%.*s", (int)len, key) >= (int)sizeof(top))
		return false;
	const char *v = nx_opt_str(o, inside, NULL);
	if (!v)
		v = nx_opt_str(o, top, NULL);
	return v && v[0];
}

static bool any_of(const struct nx_options *o, const char *word, size_t len)
{
	for (const char *p = word; p < word + len;) {
		const char *bar = memchr(p, '|', (size_t)(word + len - p));
		size_t n = bar ? (size_t)(bar - p) : (size_t)(word + len - p);
		if (has(o, p, n))
			return true;
		p += n + 1;
	}
	return false;
}

static void check_needs(const struct nx_options *o, const char *type, const char *needs,
			struct nx_rules *r)
{
	for (const char *p = needs; *p;) {
		size_t n = strcspn(p, " ");
		char word[64];
		(void)snprintf(word, sizeof(word), "%.*s", (int)n, p);
		if (!any_of(o, p, n)) {
			const char *rule = strcmp(word, "username") == 0   ? "DS-007"
					   : strcmp(word, "password") == 0 ? "DS-008"
									   : "DS-009";
			nx_rules_add(r, NX_E_CONFIG_INVALID, rule, "config.authentication",
				     "authentication of type %s needs %s.", type, word);
		}
		p += n + (p[n] ? 1 : 0);
	}
}

/* ---- forms ---- */

static bool is_base64(struct nx_str s)
{
	size_t pad = 0;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		bool digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			     (c >= '0' && c <= '9') || c == '+' || c == '/';
		if (c == '=')
			pad++;
		else if (!digit || pad)
			return false;
	}
	return s.len > 0 && s.len % 4 == 0 && pad <= 2;
}

static bool is_text(const struct nx_json *v)
{
	return v && v->kind == NX_JSON_STRING && v->text.len > 0;
}

/* A JWT says when it ends; of any other token that is not known. */
static bool is_in_time(struct nx_str token)
{
	int64_t end = nx_token_expiry(token);
	return end == 0 || end > nx_wall_us() / 1000000;
}

static bool is_service_account(struct nx_str s)
{
	struct nx_arena *a = nx_arena_new(1 << 20);
	const struct nx_json *v = NULL;
	bool ok = a && nx_json_parse(s, a, &v, NULL) == NX_OK &&
		  is_text(nx_json_get(v, "client_email")) && is_text(nx_json_get(v, "private_key"));
	if (v)
		nx_json_wipe(v);
	nx_arena_free(a);
	return ok;
}

static const struct {
	const char *key, *rule, *message;
	bool (*holds)(struct nx_str value);
} forms[] = {
	{ "authentication.token", "CV-003", "token has expired.", is_in_time },
	{ "authentication.oauthToken", "CV-003", "oauthToken has expired.", is_in_time },
	{ "authentication.kerberosKeytab", "CV-006", "kerberosKeytab must be base64.", is_base64 },
	{ "authentication.credentialsJson", "CV-007",
	  "credentialsJson must be the JSON of a service account key.", is_service_account },
};

/* ---- what the type fixes ---- */

static const char *const fixed[] = { "fileFormat", "compatibilityMode" };

/* The type's default for a key: "k=v;k=v". */
static struct nx_str type_default(const char *defaults, const char *key)
{
	size_t len = strlen(key);
	for (const char *p = defaults; p && *p;) {
		size_t n = strcspn(p, ";");
		if (n > len && strncmp(p, key, len) == 0 && p[len] == '=')
			return nx_strn(p + len + 1, n - len - 1);
		p += n + (p[n] ? 1 : 0);
	}
	return (struct nx_str){ 0 };
}

void nx_rules_check(const struct nx_source_config *c, const struct nx_options *o,
		    struct nx_rules *r)
{
	const struct nx_driver *d = nx_driver_find(c->type->driver);
	if (d && !(d->caps & NX_CAP_TRACE) &&
	    strcmp(nx_opt_str(o, "traceContext", "none"), "applicationName") == 0)
		nx_rules_add(r, NX_E_CONFIG_INVALID, "KEY-VALUE", "config.traceContext",
			     "Sources of type %s have no application name to set.", c->type->name);
	if (d && !d->functions && strcmp(nx_opt_str(o, "functions", ""), "catalog") == 0)
		nx_rules_add(r, NX_E_CONFIG_INVALID, "KEY-VALUE", "config.functions",
			     "The catalog of sources of type %s does not tell which functions only "
			     "read.",
			     c->type->name);
	const char *auth = nx_opt_str(o, "authentication.type", NULL);
	for (size_t i = 0; auth && i < NX_COUNTOF(auth_needs); i++)
		if (strcmp(auth, auth_needs[i].type) == 0)
			check_needs(o, auth, auth_needs[i].needs, r);
	if (strcmp(nx_opt_str(o, "authentication.grantType", ""), "refreshToken") == 0 &&
	    !has(o, "refreshToken", strlen("refreshToken")))
		nx_rules_add(r, NX_E_CREDENTIAL_INVALID, "CV-005",
			     "config.authentication.refreshToken",
			     "grantType refreshToken needs a refreshToken.");
	for (size_t i = 0; i < NX_COUNTOF(forms); i++) {
		const char *v = nx_opt_str(o, forms[i].key, NULL);
		char key[128];
		(void)snprintf(key, sizeof(key), "config.%s", forms[i].key);
		if (v && !forms[i].holds(nx_str(v)))
			nx_rules_add(r, NX_E_CREDENTIAL_INVALID, forms[i].rule, key, "%s",
				     forms[i].message);
	}
	for (size_t i = 0; i < NX_COUNTOF(fixed); i++) {
		struct nx_str want = type_default(c->type->defaults, fixed[i]);
		const char *v = nx_opt_str(o, fixed[i], NULL);
		char key[64];
		(void)snprintf(key, sizeof(key), "config.%s", fixed[i]);
		if (want.len && v && !nx_str_is(want, v))
			nx_rules_add(r, NX_E_CONFIG_INVALID, nx_rule_of(fixed[i]), key,
				     "%s of type %s is always " NX_STR_FMT ".", fixed[i],
				     c->type->name, NX_STR_ARG(want));
	}
}
