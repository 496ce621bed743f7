#include "gate/api/api.h"
#include "gate/api/mcp.h"

/* GET and DELETE on the same path are two rows. `act` NULL: the plain query path of steps.c. */
#define nx_act_query NULL
#define nx_act_test_query NULL

const struct nx_route nx_routes[] = {
#define NX_ROUTE(id, method, path, right, kind, body, params, summary) \
	{ #id,                                                         \
	  NX_HTTP_##method,                                            \
	  #method,                                                     \
	  path,                                                        \
	  NX_RIGHT_##right,                                            \
	  NX_ROUTE_##kind,                                             \
	  NX_BODY_##body,                                              \
	  params,                                                      \
	  summary,                                                     \
	  nx_act_##id,                                                 \
	  NX_BODY_##body == NX_BODY_MCP ? &nx_mcp_entrance : NULL },
#include "gate/routes.def"
#undef NX_ROUTE
};
const uint32_t nx_route_count = NX_COUNTOF(nx_routes);
