/* Results and errors as JSON-RPC. A tool's error is a result that says so, with a hint to mend it: what
 * is wrong with a statement is for the model, what is wrong with a message is for its client. */
#include <stdio.h>

#include "gate/advise.h"
#include "gate/api/mcp.h"

#define ANSWER_MAX ((size_t)16 << 20)

static void begin(struct nx_request *r, struct nx_buf *b)
{
	nx_buf_init(b, ANSWER_MAX);
	nx_buf_puts(b, "{\"jsonrpc\":\"2.0\",\"id\":");
	nx_json_write(r->mcp->id, b);
	nx_buf_puts(b, ",\"result\":{");
}

/* The last members of a result; the modern revision wants more. */
static void end(struct nx_request *r, struct nx_buf *b)
{
	if (r->mcp->modern)
		nx_buf_puts(b, "\"resultType\":\"complete\",\"_meta\":{"
			       "\"io.modelcontextprotocol/serverInfo\":{\"name\":\"nexus-gateway\","
			       "\"version\":\"" NX_VERSION "\"}}");
	else if (b->len && b->data[b->len - 1] == ',')
		b->len--;
	nx_buf_puts(b, "}}\n");
}

static enum nx_code send(struct nx_request *r, struct nx_buf *b)
{
	enum nx_code c = NX_OK;
	if (b->failed)
		c = nx_fail(&r->err, NX_E_RESULT_TOO_LARGE, "The answer is too large.");
	else
		nx_request_reply(r, 200, "application/json", nx_buf_str(b));
	nx_buf_done(b);
	return c;
}

enum nx_code nx_mcp_result(struct nx_request *r, struct nx_str members)
{
	struct nx_buf b;
	begin(r, &b);
	nx_buf_put_str(&b, members);
	if (members.len)
		nx_buf_putc(&b, ',');
	end(r, &b);
	return send(r, &b);
}

/* The object twice: as it is, and as text for clients that only know text. */
static void put_tool_result(struct nx_request *r, struct nx_buf *b, struct nx_str object, bool bad)
{
	begin(r, b);
	nx_buf_puts(b, "\"content\":[{\"type\":\"text\",\"text\":");
	nx_buf_put_json(b, object);
	nx_buf_puts(b, "}],\"structuredContent\":");
	nx_buf_put_str(b, object);
	nx_buf_puts(b, bad ? ",\"isError\":true," : ",\"isError\":false,");
	end(r, b);
}

enum nx_code nx_mcp_tool_result(struct nx_request *r, struct nx_str object)
{
	struct nx_buf b;
	if (!object.ptr)
		return nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	put_tool_result(r, &b, object, false);
	return send(r, &b);
}

enum nx_code nx_mcp_answer(struct nx_request *r)
{
	put_tool_result(r, &r->packed, nx_buf_str(r->out), false);
	if (r->packed.failed)
		return nx_fail(&r->err, NX_E_RESULT_TOO_LARGE,
			       "The answer is too large; ask for fewer rows or columns.");
	r->answer = nx_buf_str(&r->packed);
	r->answer_type = "application/json";
	return NX_OK;
}

/* ---- errors ---- */

static const struct {
	enum nx_code code;
	const char *hint;
} hints[] = {
	{ NX_E_RO_MULTI, "Send one statement in each call." },
	{ NX_E_RO_STATEMENT,
	  "Only one SELECT (or WITH ... SELECT) may run; nothing can be changed." },
	{ NX_E_RO_CLAUSE, "Leave out the clause: INTO, FOR UPDATE and the like write or lock." },
	{ NX_E_RO_FUNCTION, "Leave out the function or use one without effects." },
	{ NX_E_RO_TABLE_FUNCTION, "Read the source's own tables; search_schema lists them." },
	{ NX_E_RO_HINT, "Leave out the hint." },
	{ NX_E_RO_EXEC_COMMENT, "Leave out the comment." },
	{ NX_E_RO_NO_RESULT, "Only statements that return rows may run." },
	{ NX_E_RO_SERVER, "Nothing can be changed here." },
	{ NX_E_EMPTY_QUERY, "Write one SELECT." },
	{ NX_E_PARAMETER_COUNT, "Give one value in params for each ? of the statement." },
	{ NX_E_TOO_COMPLEX, "Split the statement into simpler ones." },
	{ NX_E_SQL_TOO_LONG, "Shorten the statement." },
	{ NX_E_UNDEFINED_OBJECT, "Check names with search_schema and describe." },
	{ NX_E_SQL_ERROR, "Check the syntax of the source's dialect." },
	{ NX_E_SQL_PARSE, "Check the syntax of the source's dialect." },
	{ NX_E_SOURCE_NOT_FOUND, "Call search_schema without query for the names of the sources." },
	{ NX_E_SOURCE_PERMISSION, "This may not be read here; use other tables." },
	{ NX_E_QUERY_TIMEOUT, "Narrow the statement with WHERE or aggregate more." },
	{ NX_E_RESULT_TOO_LARGE, "Ask for fewer rows or columns." },
	{ NX_E_ENGINE_MEMORY, "Narrow the statement with WHERE or aggregate more." },
	{ NX_E_UNKNOWN_KEY, "Use only the arguments of the tool's input schema." },
	{ NX_E_MISSING_KEY, "See the tool's input schema." },
	{ NX_E_BAD_VALUE, "See the tool's input schema." },
	{ NX_E_RATE_LIMITED, "Wait before the next call." },
};

static void put_hint(struct nx_request *r, struct nx_buf *b)
{
	struct nx_buf text;
	nx_buf_init(&text, 8192);
	if (r->err.code == NX_E_UNDEFINED_OBJECT && r->source && r->args.sql.ptr) {
		struct nx_advice *a = nx_arena_array(r->arena, NX_ADVICE_MAX, sizeof(*a));
		struct nx_error why = r->err;
		uint32_t n = a && !nx_step_judge(r) ? nx_advise(r, a) : 0;
		r->err = why;
		for (uint32_t i = 0; i < n && i < 3; i++) {
			nx_advice_text(&a[i], &text);
			nx_buf_putc(&text, ' ');
		}
	}
	for (size_t i = 0; i < NX_COUNTOF(hints); i++)
		if (hints[i].code == r->err.code)
			nx_buf_puts(&text, hints[i].hint);
	if (text.len == 0 && nx_code_retryable(r->err.code))
		nx_buf_puts(&text, "Try again later.");
	if (text.len && !text.failed) {
		nx_buf_puts(b, ",\"hint\":");
		nx_buf_put_json(b, nx_buf_str(&text));
	}
	nx_buf_done(&text);
}

/* {"error":{"code":..,"message":..,..}} */
static void put_error_object(struct nx_request *r, struct nx_buf *b)
{
	const struct nx_error *e = &r->err;
	nx_buf_printf(b, "{\"error\":{\"code\":\"%s\",\"message\":", nx_code_name(e->code));
	nx_buf_put_json(b, nx_str(e->message));
	put_hint(r, b);
	if (e->position >= 0)
		nx_buf_printf(b, ",\"position\":%d", (int)e->position);
	if (e->token[0]) {
		nx_buf_puts(b, ",\"token\":");
		nx_buf_put_json(b, nx_str(e->token));
	}
	if (r->source)
		nx_buf_printf(b, ",\"dialect\":\"%s\"", nx_dialect_name(r->source->type->dialect));
	nx_buf_printf(b, ",\"retryable\":%s}}", nx_code_retryable(e->code) ? "true" : "false");
}

static void fail_tool(struct nx_request *r)
{
	struct nx_buf object, b;
	nx_buf_init(&object, 65536);
	put_error_object(r, &object);
	put_tool_result(r, &b, nx_buf_str(&object), true);
	nx_request_reply(r, 200, "application/json", nx_buf_str(&b));
	nx_buf_done(&b);
	nx_buf_done(&object);
}

/* The message itself, or its sender. */
static void fail_message(struct nx_request *r)
{
	const struct nx_mcp *m = r->mcp;
	int http = nx_code_http(r->err.code);
	int status = m && m->refused ? m->status : http;
	int rpc = m && m->refused ? m->rpc : http >= 500 ? -32603 : -32600;
	struct nx_buf b;
	nx_buf_init(&b, 65536);
	nx_buf_puts(&b, "{\"jsonrpc\":\"2.0\"");
	if (m && m->id) {
		nx_buf_puts(&b, ",\"id\":");
		nx_json_write(m->id, &b);
	}
	nx_buf_printf(&b, ",\"error\":{\"code\":%d,\"message\":", rpc);
	nx_buf_put_json(&b, nx_str(r->err.message));
	nx_buf_puts(&b, ",\"data\":");
	if (m && m->data.len)
		nx_buf_put_str(&b, m->data);
	else
		nx_buf_printf(&b, "{\"code\":\"%s\"}", nx_code_name(r->err.code));
	nx_buf_puts(&b, "}}\n");
	nx_request_retry_after(r, status);
	nx_request_reply(r, status, "application/json", nx_buf_str(&b));
	nx_buf_done(&b);
}

void nx_mcp_fail(struct nx_request *r)
{
	if (r->mcp && r->mcp->tool)
		fail_tool(r);
	else
		fail_message(r);
}
