/* One function per route, named nx_act_<id of routes.def>; a file per resource. */
#ifndef NX_GATE_API_API_H
#define NX_GATE_API_API_H

#include "gate/request.h"

#define nx_act_query nx_act_unused_query
#define NX_ROUTE(id, method, path, right, kind, body, params, summary) \
	enum nx_code nx_act_##id(struct nx_request *r);
#include "gate/routes.def"
#undef NX_ROUTE
#undef nx_act_query

#endif
