/* Request bodies and query parameters, judged by fields.def. Unknown keys are refused by name. */
#include <stdio.h>

#include "gate/request.h"

const struct nx_field_spec nx_field_specs[] = {
#define NX_FIELD(body, key, type, required, min, max, help) \
	{ NX_BODY_##body, #key, #type, required, min, max, help },
#include "gate/fields.def"
#undef NX_FIELD
};
const uint32_t nx_field_count = NX_COUNTOF(nx_field_specs);

static const struct nx_field_spec *find(enum nx_body body, struct nx_str key)
{
	for (uint32_t i = 0; i < nx_field_count; i++)
		if (nx_field_specs[i].body == body && nx_str_is(key, nx_field_specs[i].key))
			return &nx_field_specs[i];
	return NULL;
}

/* What the field is for, and what may stand there. */
static enum nx_code wrong(struct nx_error *err, const struct nx_field_spec *f)
{
	char may[96] = "";
	long long min = f->min, max = f->max;
	if (strcmp(f->type, "INT") == 0 && max >= INT64_MAX - 1)
		(void)snprintf(may, sizeof(may), " A whole number of %lld or more.", min);
	else if (strcmp(f->type, "INT") == 0)
		(void)snprintf(may, sizeof(may), " A whole number from %lld to %lld.", min, max);
	else if (strcmp(f->type, "SECONDS") == 0)
		(void)snprintf(may, sizeof(may), " A number from %g to %lld.", (double)min / 1000,
			       max / 1000);
	else if (strcmp(f->type, "STRING") == 0)
		(void)snprintf(may, sizeof(may), " A text of %lld to %lld bytes.", min, max);
	else if (strcmp(f->type, "BOOL") == 0)
		(void)snprintf(may, sizeof(may), " true or false.");
	return nx_fail(err, NX_E_BAD_VALUE, "%s: %s%s", f->key, f->help, may);
}

static enum nx_code scalars(struct nx_request *r, const struct nx_field_spec *f,
			    const struct nx_json *v)
{
	if (v->kind != NX_JSON_ARRAY || v->count > f->max)
		return wrong(&r->err, f);
	struct nx_value *out = nx_arena_array(r->arena, v->count ? v->count : 1, sizeof(*out));
	if (!out)
		return nx_fail(&r->err, NX_E_MEMORY, "Too many parameters.");
	uint32_t n = 0;
	for (const struct nx_json *m = v->first; m; m = m->next) {
		static const enum nx_value_kind kinds[] = {
			[NX_JSON_NULL] = NX_V_NULL,
			[NX_JSON_BOOL] = NX_V_BOOL,
			[NX_JSON_NUMBER] = NX_V_NUMBER,
			[NX_JSON_STRING] = NX_V_STRING,
		};
		if (m->kind == NX_JSON_ARRAY || m->kind == NX_JSON_OBJECT)
			return nx_fail(&r->err, NX_E_BAD_VALUE,
				       "parameters: number %u is not a scalar.", n + 1);
		if (m->text.len > 0 && memchr(m->text.ptr, 0, m->text.len))
			return nx_fail(&r->err, NX_E_BAD_VALUE,
				       "parameters: number %u holds a NUL character.", n + 1);
		out[n++] = (struct nx_value){ kinds[m->kind], m->text };
	}
	r->args.params = out;
	r->args.nparams = n;
	r->args.has_params = true;
	return NX_OK;
}

/* Integers may be written 10 or 10.0 or 1e1 only as plain digits: no guessing. */
static bool integer(const struct nx_field_spec *f, const struct nx_json *v, uint64_t *ret)
{
	if (v->kind == NX_JSON_NULL && f->max == INT64_MAX) {
		*ret = UINT64_MAX;
		return true;
	}
	int64_t i;
	if (v->kind != NX_JSON_NUMBER || !nx_str_to_i64(v->text, &i) || i < f->min || i > f->max)
		return false;
	*ret = (uint64_t)i;
	return true;
}

static bool seconds(const struct nx_field_spec *f, const struct nx_json *v, int64_t *ret_ms)
{
	double s;
	if (v->kind != NX_JSON_NUMBER || !nx_str_to_f64(v->text, &s) ||
	    !(s * 1000 >= (double)f->min) || s * 1000 > (double)f->max)
		return false;
	*ret_ms = (int64_t)(s * 1000);
	return true;
}

static bool text_fits(const struct nx_field_spec *f, const struct nx_json *v)
{
	return v->kind == NX_JSON_STRING && v->text.len >= (size_t)f->min &&
	       v->text.len <= (size_t)f->max && !memchr(v->text.ptr, 0, v->text.len);
}

static bool texts_fit(const struct nx_field_spec *f, const struct nx_json *v)
{
	if (v->kind != NX_JSON_ARRAY || v->count < f->min || v->count > f->max)
		return false;
	for (const struct nx_json *m = v->first; m; m = m->next)
		if (m->kind != NX_JSON_STRING || m->text.len == 0 || m->text.len > 255 ||
		    memchr(m->text.ptr, 0, m->text.len))
			return false;
	return true;
}

/* A body that its route reads from the tree itself. */
static enum nx_code plain_member(struct nx_request *r, const struct nx_field_spec *f,
				 const struct nx_json *v)
{
	int64_t ms;
	uint64_t n;
	bool fits = strcmp(f->type, "SECONDS") == 0 ? seconds(f, v, &ms)
		    : strcmp(f->type, "INT") == 0   ? integer(f, v, &n)
		    : strcmp(f->type, "TEXTS") == 0 ? texts_fit(f, v)
						    : text_fits(f, v);
	return fits ? NX_OK : wrong(&r->err, f);
}

static enum nx_code member(struct nx_request *r, const struct nx_field_spec *f,
			   const struct nx_json *v)
{
	struct nx_query_args *a = &r->args;
	if (strcmp(f->type, "SCALARS") == 0)
		return scalars(r, f, v);
	if (strcmp(f->type, "OBJECT") == 0)
		return v->kind == NX_JSON_OBJECT ? NX_OK : wrong(&r->err, f);
	if (strcmp(f->type, "TEXT") == 0)
		return text_fits(f, v) ? NX_OK : wrong(&r->err, f);
	if (strcmp(f->type, "STRING") == 0) {
		bool sql = strcmp(f->key, "sql") == 0; /* the gate judges its characters */
		if (v->kind != NX_JSON_STRING || (!sql && !text_fits(f, v)))
			return wrong(&r->err, f);
		if (strcmp(f->key, "sql") == 0)
			a->sql = v->text;
		else if (a->source.ptr)
			return nx_fail(&r->err, NX_E_BAD_VALUE,
				       "Give dataSourceId or dataSource, not both.");
		else
			a->source = v->text;
		return NX_OK;
	}
	if (strcmp(f->type, "BOOL") == 0) {
		if (v->kind != NX_JSON_BOOL)
			return wrong(&r->err, f);
		bool on = nx_str_is(v->text, "true");
		if (strcmp(f->key, "exactNumbers") == 0)
			a->encoding.numbers_exact = on;
		else
			a->encoding.ndjson_objects = !on;
		return NX_OK;
	}
	if (strcmp(f->type, "FORMAT") == 0) {
		if (v->kind != NX_JSON_STRING || !nx_format_by_name(v->text, &a->encoding.format))
			return wrong(&r->err, f);
		a->has_format = true;
		return NX_OK;
	}
	if (strcmp(f->type, "SECONDS") == 0)
		return seconds(f, v, &a->timeout_ms) ? NX_OK : wrong(&r->err, f);
	uint64_t n;
	if (!integer(f, v, &n))
		return wrong(&r->err, f);
	if (strcmp(f->key, "limit") == 0)
		a->limit = n;
	else if (strcmp(f->key, "offset") == 0)
		a->offset = n;
	else
		a->batch_size = (uint32_t)n;
	return NX_OK;
}

static bool is_type(struct nx_str type, const char *wanted)
{
	for (size_t i = 0; i < type.len; i++)
		if (type.ptr[i] == ';')
			type.len = i;
	return nx_str_ieq(nx_str_trim(type), nx_str(wanted));
}

static enum nx_code negotiate(struct nx_request *r)
{
	struct nx_str accept = nx_http_get_header(r->x, "Accept");
	struct nx_str named = nx_query_param(r, "format");
	if (named.ptr && r->route->body == NX_BODY_QUERY) {
		if (!nx_format_by_name(named, &r->args.encoding.format))
			return nx_fail(&r->err, NX_E_BAD_VALUE,
				       "format must be json, ndjson, csv or arrow.");
		r->args.has_format = true;
	}
	if (!r->args.has_format && accept.ptr && accept.len > 0 &&
	    r->route->body == NX_BODY_QUERY && !nx_accept_format(accept, &r->args.encoding.format))
		return nx_fail(
			&r->err, NX_E_NOT_ACCEPTABLE,
			"Accept names no format this gateway has: json, ndjson, csv, arrow.");
	r->coding = nx_accept_coding(nx_http_get_header(r->x, "Accept-Encoding"));
	return NX_OK;
}

/* Is `word` one of the words of a list with single spaces between? */
static bool listed(const char *list, struct nx_str word)
{
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, " ");
		if (nx_str_eq(nx_strn(p, n), word))
			return true;
		p += n + (p[n] ? 1 : 0);
	}
	return false;
}

/* A query parameter that the route does not know would be dropped in silence: refused by name. */
static enum nx_code known_params(struct nx_request *r)
{
	struct nx_str q = r->http->query;
	while (q.len > 0) {
		const char *amp = memchr(q.ptr, '&', q.len);
		size_t n = amp ? (size_t)(amp - q.ptr) : q.len;
		const char *eq = memchr(q.ptr, '=', n);
		struct nx_str key = nx_strn(q.ptr, eq ? (size_t)(eq - q.ptr) : n);
		if (key.len > 0 && !listed(r->route->params, key))
			return nx_fail(&r->err, NX_E_UNKNOWN_KEY, "Unknown query parameter %.*s.",
				       (int)(key.len < 60 ? key.len : 60), key.ptr);
		q.ptr += n + (amp ? 1 : 0);
		q.len -= n + (amp ? 1 : 0);
	}
	return NX_OK;
}

/* The list itself, or an object that holds nothing but `sources`. */
static enum nx_code sources(struct nx_request *r, struct nx_str type)
{
	bool yaml = is_type(type, "application/yaml") || is_type(type, "application/x-yaml") ||
		    is_type(type, "text/yaml");
	if (type.ptr && !yaml && !is_type(type, "application/json"))
		return nx_fail(&r->err, NX_E_MEDIA_TYPE,
			       "The body must be application/yaml or application/json.");
	enum nx_code c = yaml ? nx_yaml_parse(r->http->body, r->arena, &r->body, &r->err)
			      : nx_json_parse(r->http->body, r->arena, &r->body, &r->err);
	if (c)
		return r->err.code = yaml ? NX_E_BAD_VALUE : c;
	if (r->body && r->body->kind == NX_JSON_OBJECT && r->body->count == 1 &&
	    nx_str_is(r->body->first->key, "sources"))
		r->body = r->body->first;
	if (!r->body || r->body->kind != NX_JSON_ARRAY)
		return nx_fail(&r->err, NX_E_BAD_VALUE,
			       "The body must be a list of data sources, or `sources` with one.");
	return NX_OK;
}

bool nx_body_is_json(struct nx_str type)
{
	return is_type(type, "application/json");
}

static bool read_by_action(enum nx_body body)
{
	return body == NX_BODY_KEY || body == NX_BODY_ROLLBACK || body == NX_BODY_MCP_SEARCH ||
	       body == NX_BODY_MCP_DESCRIBE;
}

enum nx_code nx_body_members(struct nx_request *r, enum nx_body body, const struct nx_json *object)
{
	for (const struct nx_json *m = object->first; m; m = m->next) {
		const struct nx_field_spec *f = find(body, m->key);
		if (!f)
			return nx_fail(&r->err, NX_E_UNKNOWN_KEY, "Unknown field %.60s.",
				       m->key.ptr);
		enum nx_code c = read_by_action(body) ? plain_member(r, f, m) : member(r, f, m);
		if (c)
			return c;
	}
	for (uint32_t i = 0; i < nx_field_count; i++) {
		const struct nx_field_spec *f = &nx_field_specs[i];
		if (f->body == body && f->required && !nx_json_get(object, f->key))
			return nx_fail(&r->err, NX_E_MISSING_KEY, "%s is required.", f->key);
	}
	return NX_OK;
}

enum nx_code nx_body_parse(struct nx_request *r)
{
	struct nx_query_args *a = &r->args;
	*a = (struct nx_query_args){ .limit = r->gw->default_limit,
				     .batch_size = 1000,
				     .encoding = { .format = NX_FORMAT_JSON,
						   .ndjson_objects = true } };
	if (r->route->entrance)
		return r->route->entrance->body(r);
	if (r->route->body == NX_BODY_FETCH)
		a->limit = UINT64_MAX;
	if (r->route->body == NX_BODY_TEST_QUERY)
		a->limit = 10;
	enum nx_code c = known_params(r);
	if (c || r->route->body == NX_BODY_NONE)
		return c;
	struct nx_str type = nx_http_get_header(r->x, "Content-Type");
	if (r->route->body == NX_BODY_SOURCES)
		return sources(r, type);
	if (type.ptr && !is_type(type, "application/json"))
		return nx_fail(&r->err, NX_E_MEDIA_TYPE, "The body must be application/json.");
	c = nx_json_parse(r->http->body, r->arena, &r->body, &r->err);
	if (c)
		return c;
	if (r->body->kind != NX_JSON_OBJECT)
		return nx_fail(&r->err, NX_E_BAD_JSON, "The body must be a JSON object.");
	if (r->route->body == NX_BODY_SOURCE || r->route->body == NX_BODY_GRANTS)
		return NX_OK; /* the catalog judges it, or the action */
	c = nx_body_members(r, r->route->body, r->body);
	if (c || read_by_action(r->route->body))
		return c;
	if (!a->source.ptr && r->route->body != NX_BODY_TEST_QUERY)
		return nx_fail(&r->err, NX_E_MISSING_KEY,
			       "dataSourceId or dataSource is required.");
	return negotiate(r);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

struct nx_str nx_query_param(const struct nx_request *r, const char *name)
{
	struct nx_str q = r->http->query, want = nx_str(name);
	while (q.len > 0) {
		const char *amp = memchr(q.ptr, '&', q.len);
		size_t n = amp ? (size_t)(amp - q.ptr) : q.len;
		const char *eq = memchr(q.ptr, '=', n);
		struct nx_str key = nx_strn(q.ptr, eq ? (size_t)(eq - q.ptr) : n);
		if (nx_str_eq(key, want)) {
			struct nx_str raw = eq ? nx_strn(eq + 1, n - key.len - 1) : nx_strn("", 0);
			char *out = nx_arena_alloc(r->arena, raw.len + 1);
			if (!out)
				return (struct nx_str){ NULL, 0 };
			size_t len = 0;
			for (size_t i = 0; i < raw.len; i++) {
				if (raw.ptr[i] == '%' && i + 2 < raw.len &&
				    hex(raw.ptr[i + 1]) >= 0 && hex(raw.ptr[i + 2]) >= 0) {
					out[len++] = (char)(hex(raw.ptr[i + 1]) * 16 +
							    hex(raw.ptr[i + 2]));
					i += 2;
				} else {
					out[len++] = raw.ptr[i] == '+' ? ' ' : raw.ptr[i];
				}
			}
			out[len] = '\0';
			return nx_strn(out, len);
		}
		q.ptr += n + (amp ? 1 : 0);
		q.len -= n + (amp ? 1 : 0);
	}
	return (struct nx_str){ NULL, 0 };
}

enum nx_code nx_query_param_u32(const struct nx_request *r, const char *name, uint32_t fallback,
				uint32_t max, uint32_t *ret, struct nx_error *err)
{
	struct nx_str s = nx_query_param(r, name);
	uint64_t v = fallback;
	if (s.ptr && (!nx_str_to_u64(s, &v) || v > max))
		return nx_fail(err, NX_E_BAD_VALUE, "%s must be a number of at most %u.", name,
			       max);
	*ret = (uint32_t)v;
	return NX_OK;
}
