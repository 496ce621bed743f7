/* The MCP door: JSON-RPC messages around the same steps as REST. docs/mcp.md says what it speaks;
 * docs/decisions/016-mcp-revisions.md why.
 *
 * mcp.c reads a message and answers the protocol's own methods, mcp_tools.c holds the three tools,
 * mcp_answer.c wraps results and errors. A message is answered as a whole: results are bounded. */
#ifndef NX_GATE_API_MCP_H
#define NX_GATE_API_MCP_H

#include "gate/request.h"

extern const struct nx_entrance nx_mcp_entrance;
/* A page of somebody else's that has pointed its own name at this machine comes with that name. An address
 * or localhost cannot be pointed elsewhere; mcp.hosts names others. */
bool nx_mcp_host_is_ours(const struct nx_request *r, struct nx_str host);

struct nx_mcp_method;
struct nx_mcp_tool;

/* One message. */
struct nx_mcp {
	const struct nx_json *id, *params; /* NULL: none */
	struct nx_str method_name;
	const struct nx_mcp_method *method; /* of the protocol; NULL: a tool or a notification */
	const struct nx_mcp_tool *tool;     /* tools/call: from here on errors are results */
	const struct nx_json *arguments;
	bool modern;  /* revision 2026-07-28: described by itself, no handshake */
	bool refused; /* `rpc` and `status` say how, r->err why */
	int rpc, status;
	struct nx_str data; /* for the error; empty: the stable code only */
};

/* What a tool is to clients, and how it runs. */
struct nx_mcp_tool {
	const char *name, *title, *description;
	struct nx_route route;
};
extern const struct nx_mcp_tool nx_mcp_tools[];
extern const uint32_t nx_mcp_tool_count;
/* The array of tool definitions, made from fields.def. */
void nx_mcp_put_tools(struct nx_buf *b);
enum nx_code nx_mcp_search(struct nx_request *r);
enum nx_code nx_mcp_describe(struct nx_request *r);

/* Refuses the message itself: a JSON-RPC error with this code under this HTTP status. */
enum nx_code nx_mcp_refuse(struct nx_request *r, int rpc, int status, enum nx_code code,
			   const char *fmt, ...) NX_PRINTF(5, 6);
/* Replies with a result object's members, given without braces. */
enum nx_code nx_mcp_result(struct nx_request *r, struct nx_str members);
/* Replies with a tool's result: one JSON object. */
enum nx_code nx_mcp_tool_result(struct nx_request *r, struct nx_str object);
enum nx_code nx_mcp_answer(struct nx_request *r);
void nx_mcp_fail(struct nx_request *r);

#endif
