/* /openapi.json, made from routes.def, fields.def, the codes and the option tables, so that it cannot
 * say anything else than what the gateway does. */
#include "gate/api/answers.h"
#include "gate/api/api.h"

static const char *const body_names[] = {
	[NX_BODY_NONE] = NULL,
	[NX_BODY_SOURCE] = "DataSourceRequest",
	[NX_BODY_QUERY] = "QueryRequest",
	[NX_BODY_FETCH] = "FetchRequest",
	[NX_BODY_VALIDATE] = "ValidateRequest",
	[NX_BODY_KEY] = "KeyRequest",
	[NX_BODY_GRANTS] = "GrantsRequest",
	[NX_BODY_ROLLBACK] = "RollbackRequest",
	[NX_BODY_TEST_QUERY] = "TestQueryRequest",
	[NX_BODY_SOURCES] = "SourcesRequest",
	[NX_BODY_MCP] = "McpMessage",
};

static void put_json_type(struct nx_buf *b, const struct nx_field_spec *f)
{
	if (strcmp(f->type, "SCALARS") == 0)
		nx_buf_puts(b, "\"type\":\"array\",\"items\":{\"nullable\":true}");
	else if (strcmp(f->type, "TEXTS") == 0)
		nx_buf_printf(b,
			      "\"type\":\"array\",\"minItems\":%lld,\"maxItems\":%lld,"
			      "\"items\":{\"type\":\"string\"}",
			      (long long)f->min, (long long)f->max);
	else if (strcmp(f->type, "INT") == 0)
		nx_buf_printf(b, "\"type\":\"integer\",\"minimum\":%lld,\"nullable\":%s",
			      (long long)f->min, f->max == INT64_MAX ? "true" : "false");
	else if (strcmp(f->type, "SECONDS") == 0)
		nx_buf_puts(b, "\"type\":\"number\"");
	else if (strcmp(f->type, "OBJECT") == 0)
		nx_buf_puts(b, "\"type\":\"object\"");
	else if (strcmp(f->type, "BOOL") == 0)
		nx_buf_puts(b, "\"type\":\"boolean\"");
	else if (strcmp(f->type, "FORMAT") == 0)
		nx_buf_puts(b,
			    "\"type\":\"string\",\"enum\":[\"json\",\"ndjson\",\"csv\",\"arrow\"]");
	else
		nx_buf_puts(b, "\"type\":\"string\"");
}

static void put_body_schema(struct nx_buf *b, enum nx_body body)
{
	nx_buf_printf(b,
		      "\"%s\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{",
		      body_names[body]);
	bool any = false;
	for (uint32_t i = 0; i < nx_field_count; i++) {
		const struct nx_field_spec *f = &nx_field_specs[i];
		if (f->body != body)
			continue;
		nx_buf_printf(b, "%s\"%s\":{", any ? "," : "", f->key);
		put_json_type(b, f);
		nx_buf_puts(b, ",\"description\":");
		nx_buf_put_json(b, nx_str(f->help));
		nx_buf_putc(b, '}');
		any = true;
	}
	nx_buf_putc(b, '}');
	any = false;
	for (uint32_t i = 0; i < nx_field_count; i++)
		if (nx_field_specs[i].body == body && nx_field_specs[i].required) {
			nx_buf_printf(b, any ? ",\"%s\"" : ",\"required\":[\"%s\"",
				      nx_field_specs[i].key);
			any = true;
		}
	nx_buf_puts(b, any ? "]}" : "}");
}

static void put_source_schema(struct nx_buf *b)
{
	nx_buf_puts(
		b, "\"DataSourceRequest\":{\"type\":\"object\",\"properties\":{"
		   "\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":255},"
		   "\"description\":{\"type\":\"string\"},"
		   "\"config\":{\"type\":\"object\",\"description\":\"Options of the type; unknown "
		   "keys are refused by name.\"},\"type\":{\"type\":\"string\",\"enum\":[");
	for (uint32_t i = 0; i < nx_source_type_count; i++)
		nx_buf_printf(b, "%s\"%s\"", i ? "," : "", nx_source_types[i].name);
	nx_buf_puts(b, "]}},\"required\":[\"name\",\"type\"]}");
}

static void put_schemas(struct nx_buf *b)
{
	put_body_schema(b, NX_BODY_QUERY);
	nx_buf_putc(b, ',');
	put_body_schema(b, NX_BODY_FETCH);
	nx_buf_putc(b, ',');
	put_body_schema(b, NX_BODY_VALIDATE);
	nx_buf_putc(b, ',');
	put_body_schema(b, NX_BODY_KEY);
	nx_buf_putc(b, ',');
	put_body_schema(b, NX_BODY_ROLLBACK);
	nx_buf_putc(b, ',');
	put_body_schema(b, NX_BODY_TEST_QUERY);
	nx_buf_putc(b, ',');
	put_source_schema(b);
	nx_buf_puts(
		b,
		",\"GrantsRequest\":{\"type\":\"object\",\"properties\":{\"grants\":{\"type\":"
		"\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"principal\":{\"type\":"
		"\"string\"},\"role\":{\"type\":\"string\"},\"maxRows\":{\"type\":\"integer\"},"
		"\"maxBytes\":{\"type\":\"integer\"},\"timeout\":{\"type\":\"number\"},"
		"\"maxConcurrent\":{\"type\":"
		"\"integer\"},\"use\":{\"type\":\"string\"}}}}},"
		"\"required\":[\"grants\"]}");
	nx_buf_puts(
		b, ",\"SourcesRequest\":{\"type\":\"object\",\"properties\":{\"sources\":{\"type\":"
		   "\"array\",\"items\":{\"$ref\":\"#/components/schemas/DataSourceRequest\"}}},"
		   "\"required\":[\"sources\"]}");
	nx_buf_puts(
		b, ",\"McpMessage\":{\"type\":\"object\",\"required\":[\"jsonrpc\"],"
		   "\"properties\":{\"jsonrpc\":{\"type\":\"string\",\"enum\":[\"2.0\"]},\"id\":{},"
		   "\"method\":{\"type\":\"string\"},\"params\":{\"type\":\"object\"}}}");
	nx_answers_put_schemas(b);
}

static void put_parameters(struct nx_buf *b, const char *path, const char *params)
{
	nx_buf_puts(b, ",\"parameters\":[");
	bool any = false;
	for (const char *p = strchr(path, '{'); p; p = strchr(p + 1, '{')) {
		const char *end = strchr(p, '}');
		nx_buf_printf(b,
			      "%s{\"name\":\"%.*s\",\"in\":\"path\",\"required\":true,\"schema\":{"
			      "\"type\":\"string\"}}",
			      any ? "," : "", (int)(end - p - 1), p + 1);
		any = true;
	}
	for (const char *p = params; *p;) {
		size_t n = strcspn(p, " ");
		nx_buf_printf(
			b,
			"%s{\"name\":\"%.*s\",\"in\":\"query\",\"schema\":{\"type\":\"string\"}}",
			any ? "," : "", (int)n, p);
		any = true;
		p += n + (p[n] ? 1 : 0);
	}
	nx_buf_putc(b, ']');
}

static void put_operation(struct nx_buf *b, const struct nx_route *t)
{
	static const char *const lower[] = { "get",    "head",	"post",	  "put",
					     "delete", "patch", "options" };
	nx_buf_printf(b, "\"%s\":{\"operationId\":\"%s\",\"summary\":", lower[t->method], t->id);
	nx_buf_put_json(b, nx_str(t->summary));
	put_parameters(b, t->path, t->params);
	if (t->right == NX_RIGHT_NONE)
		nx_buf_puts(b, ",\"security\":[]");
	if (body_names[t->body])
		nx_buf_printf(
			b,
			",\"requestBody\":{\"required\":true,\"content\":{\"application/json\":{"
			"\"schema\":{\"$ref\":\"#/components/schemas/%s\"}}}}",
			body_names[t->body]);
	nx_answers_put_responses(b, t);
	nx_buf_putc(b, '}');
}

static bool seen_before(uint32_t i)
{
	for (uint32_t k = 0; k < i; k++)
		if (strcmp(nx_routes[k].path, nx_routes[i].path) == 0)
			return true;
	return false;
}

enum nx_code nx_act_openapi(struct nx_request *r)
{
	struct nx_buf b;
	nx_buf_init(&b, (size_t)1 << 20);
	nx_buf_printf(
		&b,
		"{\"openapi\":\"3.0.3\",\"info\":{\"title\":\"Nexus-Gateway\",\"version\":\"%s\"},"
		"\"security\":[{\"bearer\":[]},{\"apiKey\":[]}],\"paths\":{",
		NX_VERSION);
	bool any = false;
	for (uint32_t i = 0; i < nx_route_count; i++) {
		if (seen_before(i))
			continue;
		nx_buf_printf(&b, "%s\"%s\":{", any ? "," : "", nx_routes[i].path);
		any = true;
		bool first = true;
		for (uint32_t k = i; k < nx_route_count; k++) {
			if (strcmp(nx_routes[k].path, nx_routes[i].path) != 0)
				continue;
			if (!first)
				nx_buf_putc(&b, ',');
			first = false;
			put_operation(&b, &nx_routes[k]);
		}
		nx_buf_putc(&b, '}');
	}
	nx_buf_puts(&b, "},\"components\":{\"schemas\":{");
	put_schemas(&b);
	nx_buf_puts(&b, "},\"responses\":{");
	nx_answers_put_errors(&b);
	nx_buf_puts(
		&b,
		"},\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"},"
		"\"apiKey\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"X-API-Key\"}}}}\n");
	enum nx_code c = NX_OK;
	if (b.failed)
		c = nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	else
		nx_request_reply(r, 200, "application/json", nx_buf_str(&b));
	nx_buf_done(&b);
	return c;
}
