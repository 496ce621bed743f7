/* The answers in /openapi.json, from answers.def and the codes: what tests hold every response against. */
#include "gate/api/answers.h"

struct member {
	const char *object, *key, *type;
	bool required;
};

static const struct member members[] = {
#define NX_MEMBER(object, key, type, required) { #object, #key, type, required },
#define NX_ANSWER(route, status, type)
#include "gate/answers.def"
#undef NX_MEMBER
#undef NX_ANSWER
};

struct answer {
	const char *route;
	int status;
	const char *type;
};

static const struct answer answers[] = {
#define NX_MEMBER(object, key, type, required)
#define NX_ANSWER(route, status, type) { #route, status, type },
#include "gate/answers.def"
#undef NX_MEMBER
#undef NX_ANSWER
};

/* ---- the little language of types ---- */

static void put_base(struct nx_buf *b, struct nx_str t)
{
	static const char *const plain[] = { "string", "integer", "number", "boolean", "object" };
	if (nx_str_is(t, "any"))
		return;
	for (size_t i = 0; i < NX_COUNTOF(plain); i++)
		if (nx_str_is(t, plain[i])) {
			nx_buf_printf(b, "\"type\":\"%s\"", plain[i]);
			return;
		}
	if (t.len > 2 && t.ptr[0] == '[') {
		nx_buf_puts(b, "\"type\":\"array\",\"items\":{");
		put_base(b, nx_strn(t.ptr + 1, t.len - 2));
		nx_buf_putc(b, '}');
	} else if (t.len > 2 && t.ptr[0] == '{') {
		nx_buf_puts(b, "\"type\":\"object\",\"additionalProperties\":{");
		put_base(b, nx_strn(t.ptr + 1, t.len - 2));
		nx_buf_putc(b, '}');
	} else {
		nx_buf_printf(b, "\"$ref\":\"#/components/schemas/" NX_STR_FMT "\"", NX_STR_ARG(t));
	}
}

static void put_type(struct nx_buf *b, const char *type)
{
	struct nx_str t = nx_str(type);
	nx_buf_putc(b, '{');
	if (t.len && t.ptr[t.len - 1] == '?') {
		t.len--;
		nx_buf_puts(b, "\"nullable\":true,");
		if (t.ptr[0] >= 'A' && t.ptr[0] <= 'Z') { /* nothing may stand beside a reference */
			nx_buf_puts(b, "\"allOf\":[{");
			put_base(b, t);
			nx_buf_puts(b, "}]}");
			return;
		}
	}
	put_base(b, t);
	nx_buf_putc(b, '}');
}

/* ---- schemas ---- */

static void put_object(struct nx_buf *b, uint32_t from)
{
	const char *name = members[from].object;
	nx_buf_printf(
		b, ",\"%s\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{",
		name);
	for (uint32_t i = from; i < NX_COUNTOF(members); i++)
		if (strcmp(members[i].object, name) == 0) {
			nx_buf_printf(b, "%s\"%s\":", i > from ? "," : "", members[i].key);
			put_type(b, members[i].type);
		}
	nx_buf_putc(b, '}');
	bool any = false;
	for (uint32_t i = from; i < NX_COUNTOF(members); i++)
		if (strcmp(members[i].object, name) == 0 && members[i].required) {
			nx_buf_printf(b, any ? ",\"%s\"" : ",\"required\":[\"%s\"", members[i].key);
			any = true;
		}
	nx_buf_puts(b, any ? "]}" : "}");
}

#define IDS "\"correlationId\":{\"type\":\"string\"},\"timestamp\":{\"type\":\"string\"}"

/* `status` 0: any code. */
static void put_error_schema(struct nx_buf *b, int status)
{
	nx_buf_puts(b,
		    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
		    "\"success\":{\"type\":\"boolean\",\"enum\":[false]},\"error\":{\"type\":"
		    "\"object\",\"additionalProperties\":false,\"properties\":{\"code\":{\"type\":"
		    "\"string\",\"enum\":[");
	bool any = false;
	for (int c = 1; c < NX_CODE_COUNT; c++)
		if (!status || nx_code_http((enum nx_code)c) == status) {
			nx_buf_printf(b, "%s\"%s\"", any ? "," : "", nx_code_name((enum nx_code)c));
			any = true;
		}
	nx_buf_puts(
		b,
		"]},\"message\":{\"type\":\"string\"},\"details\":{\"$ref\":"
		"\"#/components/schemas/ErrorDetails\"}},\"required\":[\"code\",\"message\"]}," IDS
		"},\"required\":[\"success\",\"error\",\"correlationId\",\"timestamp\"]}");
}

void nx_answers_put_schemas(struct nx_buf *b)
{
	for (uint32_t i = 0; i < NX_COUNTOF(members); i++) {
		bool first = true;
		for (uint32_t k = 0; k < i && first; k++)
			first = strcmp(members[k].object, members[i].object) != 0;
		if (first)
			put_object(b, i);
	}
	nx_buf_puts(b, ",\"Error\":");
	put_error_schema(b, 0);
}

/* ---- responses ---- */

/* The statuses that codes.def has, ascending; those of HTTP go up to three digits. */
static int next_status(int after)
{
	int best = 0;
	for (int c = 1; c < NX_CODE_COUNT; c++) {
		int s = nx_code_http((enum nx_code)c);
		if (s > after && (!best || s < best))
			best = s;
	}
	return best;
}

void nx_answers_put_errors(struct nx_buf *b)
{
	for (int s = next_status(0), n = 0; s; s = next_status(s), n++) {
		struct nx_buf text;
		nx_buf_init(&text, 65536);
		for (int c = 1; c < NX_CODE_COUNT; c++)
			if (nx_code_http((enum nx_code)c) == s)
				nx_buf_printf(&text, "%s%s: %s", text.len ? " " : "",
					      nx_code_name((enum nx_code)c),
					      nx_code_help((enum nx_code)c));
		nx_buf_printf(b, "%s\"Error%d\":{\"description\":", n ? "," : "", s);
		nx_buf_put_json(b, nx_buf_str(&text));
		nx_buf_puts(b, ",\"content\":{\"application/json\":{\"schema\":");
		put_error_schema(b, s);
		nx_buf_puts(b, "}}}");
		nx_buf_done(&text);
	}
}

static void put_content(struct nx_buf *b, const char *content_type, const char *type)
{
	nx_buf_printf(b, "\"%s\":{\"schema\":", content_type);
	put_type(b, type);
	nx_buf_putc(b, '}');
}

/* Rows leave while they are made: what fails then says so in the body of a 200. */
static void put_rows_content(struct nx_buf *b, const struct nx_route *t)
{
	nx_buf_puts(
		b, "\"application/json\":{\"schema\":{\"type\":\"object\",\"additionalProperties\":"
		   "false,\"properties\":{\"success\":{\"type\":\"boolean\"},\"data\":{\"$ref\":"
		   "\"#/components/schemas/Rows\"},\"error\":{\"$ref\":"
		   "\"#/components/schemas/StreamError\"}," IDS
		   "},\"required\":[\"success\",\"data\",\"correlationId\",\"timestamp\"]}}");
	for (int f = 0; f < NX_FORMAT_OPEN && strcmp(t->id, "query") == 0; f++)
		if (f != NX_FORMAT_JSON) {
			nx_buf_putc(b, ',');
			put_content(b, nx_formats[f].content_type, "any");
		}
}

static void put_envelope_content(struct nx_buf *b, const char *type)
{
	nx_buf_puts(
		b, "\"application/json\":{\"schema\":{\"type\":\"object\",\"additionalProperties\":"
		   "false,\"properties\":{\"success\":{\"type\":\"boolean\",\"enum\":[true]},"
		   "\"data\":");
	put_type(b, type);
	nx_buf_puts(b, "," IDS
		       "},\"required\":[\"success\",\"data\",\"correlationId\",\"timestamp\"]}}");
}

static void put_good(struct nx_buf *b, const struct nx_route *t, const struct answer *a)
{
	nx_buf_printf(b, "\"%d\":{\"description\":\"Done.\"", a->status);
	if (*a->type) {
		nx_buf_puts(b, ",\"content\":{");
		if (strcmp(a->type, "rows") == 0)
			put_rows_content(b, t);
		else if (strncmp(a->type, "text ", 5) == 0)
			put_content(b, a->type + 5, "string");
		else if (*a->type == '=')
			put_content(b, "application/json", a->type + 1);
		else
			put_envelope_content(b, a->type);
		nx_buf_putc(b, '}');
	}
	nx_buf_putc(b, '}');
}

void nx_answers_put_responses(struct nx_buf *b, const struct nx_route *t)
{
	bool any = false;
	nx_buf_puts(b, ",\"responses\":{");
	for (uint32_t i = 0; i < NX_COUNTOF(answers); i++)
		if (strcmp(answers[i].route, t->id) == 0) {
			if (any)
				nx_buf_putc(b, ',');
			any = true;
			put_good(b, t, &answers[i]);
		}
	if (t->entrance) {
		nx_buf_puts(
			b, ",\"default\":{\"description\":\"The message is wrong, or its sender.\","
			   "\"content\":{");
		put_content(b, "application/json", "McpResponse");
		nx_buf_puts(b, "}}}");
		return;
	}
	for (int s = next_status(0); s; s = next_status(s))
		nx_buf_printf(b, ",\"%d\":{\"$ref\":\"#/components/responses/Error%d\"}", s, s);
	nx_buf_putc(b, '}');
}
