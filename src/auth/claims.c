/* What a token says: RFC 7519 4.1, and how a foreign issuer's words become a principal of ours.
 *
 * Nothing here is looked at before the signature holds. A claim is named by a path: the whole text as one
 * member's name (names may be URLs), else a member a dot. */
#include <stdlib.h>

#include "auth/auth_int.h"
#include "base/json.h"

#define MAX_SUBJECT (sizeof(((struct nx_principal *)0)->name) - 1)
#define MAX_GROUPS 256u

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

/* Absent: all. What is not named is taken away. */
static bool read_scopes(const struct nx_json *v, struct nx_principal *p)
{
	enum nx_right right;
	if (!v)
		return true;
	if (v->kind != NX_JSON_ARRAY)
		return false;
	p->without = ~0u;
	for (const struct nx_json *m = v->first; m; m = m->next) {
		if (m->kind != NX_JSON_STRING || !nx_scope_by_name(m->text, &right))
			return false;
		p->without &= ~(1u << right);
	}
	return true;
}

bool nx_principal_narrow(const struct nx_json *o, struct nx_principal *p)
{
	return read_sources(nx_json_get(o, "sources"), p) &&
	       read_scopes(nx_json_get(o, "scopes"), p);
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

/* ---- a foreign issuer's words ---- */

static const struct nx_json *at_path(const struct nx_json *o, const char *path)
{
	const struct nx_json *v = nx_json_get(o, path);
	if (v)
		return v;
	char name[128];
	for (const char *p = path; o && o->kind == NX_JSON_OBJECT;) {
		size_t n = strcspn(p, ".");
		if (n == 0 || n >= sizeof(name))
			return NULL;
		memcpy(name, p, n);
		name[n] = '\0';
		o = nx_json_get(o, name);
		if (!p[n])
			return o;
		p += n + 1;
	}
	return NULL;
}

static bool map_role(const struct nx_claim_map *m, struct nx_str group, enum nx_role *ret)
{
	if (m->n == 0)
		return nx_role_by_name(group, ret);
	for (uint32_t i = 0; i < m->n; i++) {
		if (nx_str_eq(m->at[i].group, group)) {
			*ret = m->at[i].role;
			return true;
		}
	}
	return false;
}

/* The greatest role that the claim's text, or one of an array's, gives; our own claim is no array. A text with blanks is one name: group
 * names have blanks, and a part of one must not count as another. */
static bool best_role(const struct nx_claim_map *m, const struct nx_json *v, enum nx_role *ret)
{
	enum nx_role role;
	bool any = false;
	if (v && v->kind == NX_JSON_STRING)
		return map_role(m, v->text, ret);
	if (!v || v->kind != NX_JSON_ARRAY || !m->roles)
		return false;
	for (const struct nx_json *g = v->first; g; g = g->next) {
		if (g->kind != NX_JSON_STRING || !map_role(m, g->text, &role))
			continue;
		*ret = any && *ret > role ? *ret : role; /* enum nx_role ascends */
		any = true;
	}
	return any;
}

/* OpenID Connect Core 2: whom the token was issued to; RFC 9068 2.2 calls it client_id. */
static bool party_listed(const char *list, const struct nx_json *o)
{
	const struct nx_json *v = nx_json_get(o, "azp");
	if (!v)
		v = nx_json_get(o, "client_id");
	if (!v || v->kind != NX_JSON_STRING || v->text.len == 0)
		return false;
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",");
		if (nx_str_eq(nx_str_trim(nx_strn(p, n)), v->text))
			return true;
		p += n + (p[n] ? 1 : 0);
	}
	return false;
}

static enum nx_code who_and_what(const struct nx_claim_map *m, const struct nx_json *o,
				 struct nx_principal *p, struct nx_error *err)
{
	static const struct nx_claim_map none;
	if (!m)
		m = &none;
	const struct nx_json *sub = at_path(o, m->subject ? m->subject : "sub");
	if (!sub || sub->kind != NX_JSON_STRING || !nx_principal_name(p, sub->text))
		return nx_token_refuse(err, "the subject is missing or not usable");
	/* names of API keys and of the open door are not for tokens to take */
	if (nx_str_starts(sub->text, NX_STR("key:")) || nx_str_is(sub->text, "anonymous"))
		return nx_token_refuse(err, "the subject is reserved");
	if (m->parties && !party_listed(m->parties, o))
		return nx_token_refuse(err, "the token was issued to another party");
	if (best_role(m, at_path(o, m->roles ? m->roles : "role"), &p->role))
		return NX_OK;
	if (m->roles)
		return nx_fail(err, NX_E_FORBIDDEN, "The token gives no role in this gateway.");
	return nx_token_refuse(err, "role is missing or not known");
}

enum nx_code nx_jwt_claims(const struct nx_jwt_rules *r, const struct nx_claim_map *map,
			   struct nx_str json, int64_t now, struct nx_arena *a,
			   struct nx_principal *ret, struct nx_error *err)
{
	const struct nx_json *o;
	if (nx_json_parse(json, a, &o, NULL) != NX_OK || o->kind != NX_JSON_OBJECT)
		return nx_token_refuse(err, "the payload is not a JSON object");
	const struct nx_json *nbf = nx_json_get(o, "nbf"), *iss = nx_json_get(o, "iss");
	struct nx_principal p = { .role = NX_ROLE_AGENT };
	int64_t exp, from = 0, leeway = r->leeway_s;
	if (!date_of(nx_json_get(o, "exp"), &exp) || (nbf && !date_of(nbf, &from)))
		return nx_token_refuse(err, "exp is missing, or exp or nbf is not a date");
	if (r->issuer.len &&
	    (!iss || iss->kind != NX_JSON_STRING || !nx_str_eq(iss->text, r->issuer)))
		return nx_token_refuse(err, "the issuer is another");
	if (r->audience.len && !has_audience(nx_json_get(o, "aud"), r->audience))
		return nx_token_refuse(err, "the audience is another");
	if (now < from - leeway)
		return nx_token_refuse(err, "the token is not valid yet");
	if (now >= exp + leeway)
		return nx_fail(err, NX_E_TOKEN_EXPIRED, "The token has expired.");
	/* other issuers' `scopes` are not ours */
	if (map ? !read_sources(nx_json_get(o, "sources"), &p) : !nx_principal_narrow(o, &p))
		return nx_token_refuse(err,
				       "sources is not an array of at most 16 names, or scopes "
				       "has an unknown one");
	enum nx_code c = who_and_what(map, o, &p, err);
	if (c)
		return c;
	p.expires = exp + leeway;
	*ret = p;
	return NX_OK;
}

/* ---- the map ---- */

/* "group=role; ...", over m->text, which the groups point into. */
static enum nx_code read_groups(struct nx_claim_map *m, struct nx_str text, struct nx_error *err)
{
	m->at = calloc(MAX_GROUPS, sizeof(*m->at));
	if (!m->at)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	while (text.len) {
		const char *end = memchr(text.ptr, ';', text.len);
		size_t n = end ? (size_t)(end - text.ptr) : text.len;
		struct nx_str one = nx_str_trim(nx_strn(text.ptr, n));
		text = nx_strn(text.ptr + n + (end ? 1 : 0), text.len - n - (end ? 1 : 0));
		if (one.len == 0)
			continue;
		const char *eq = memrchr(one.ptr, '=', one.len);
		size_t at = eq ? (size_t)(eq - one.ptr) : 0;
		struct nx_claim_role r = { .group = nx_str_trim(nx_strn(one.ptr, at)) };
		if (!eq || r.group.len == 0 ||
		    !nx_role_by_name(nx_str_trim(nx_strn(eq + 1, one.len - at - 1)), &r.role))
			return nx_fail(err, NX_E_CONFIG,
				       "auth.roleMap must be group=role; group=role with agent, "
				       "analyst, operator or admin.");
		if (m->n == MAX_GROUPS)
			return nx_fail(err, NX_E_CONFIG, "auth.roleMap has more than %u groups.",
				       MAX_GROUPS);
		m->at[m->n++] = r;
	}
	return NX_OK;
}

enum nx_code nx_claim_map_init(struct nx_claim_map *m, const struct nx_auth_config *cfg,
			       struct nx_error *err)
{
	const char *from[] = { cfg->subject_claim, cfg->roles_claim, cfg->parties, cfg->role_map };
	char *copy[4];
	size_t total = 0;
	*m = (struct nx_claim_map){ 0 };
	for (uint32_t i = 0; i < NX_COUNTOF(from); i++)
		total += (from[i] ? strlen(from[i]) : 0) + 1;
	if (total > 65536)
		return nx_fail(err, NX_E_CONFIG, "The claim settings are too long.");
	char *p = m->text = malloc(total);
	if (!p)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	for (uint32_t i = 0; i < NX_COUNTOF(from); i++) {
		size_t n = from[i] ? strlen(from[i]) : 0;
		copy[i] = p;
		memcpy(p, n ? from[i] : "", n + 1);
		p += n + 1;
	}
	m->subject = *copy[0] ? copy[0] : NULL;
	m->roles = *copy[1] ? copy[1] : NULL;
	m->parties = *copy[2] ? copy[2] : NULL;
	if (*copy[3] && !m->roles)
		return nx_fail(err, NX_E_CONFIG, "auth.roleMap needs auth.rolesClaim.");
	return *copy[3] ? read_groups(m, nx_str(copy[3]), err) : NX_OK;
}

void nx_claim_map_done(struct nx_claim_map *m)
{
	free(m->at);
	free(m->text);
	*m = (struct nx_claim_map){ 0 };
}
