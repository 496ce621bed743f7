/* One function per route, named nx_act_<id of routes.def>; a file per resource. */
#ifndef NX_GATE_API_API_H
#define NX_GATE_API_API_H

#include "gate/request.h"

#define nx_act_query nx_act_unused_query
#define nx_act_test_query nx_act_unused_test_query
#define NX_ROUTE(id, method, path, right, kind, body, params, summary) \
	enum nx_code nx_act_##id(struct nx_request *r);
#include "gate/routes.def"
#undef NX_ROUTE
#undef nx_act_query
#undef nx_act_test_query

/* sources.c: the read-only layers that hold for a driver, as an object. NULL: it is not built in. */
void nx_put_layers(struct nx_buf *b, const struct nx_driver *d, bool grants);
/* sources.c: a refused config answers with every broken rule, not only the first. Returns c. */
enum nx_code nx_source_refused(struct nx_request *r, struct nx_str rules, enum nx_code c);
/* sources.c: r->source is a new version: tested if it has to be, and shown. */
enum nx_code nx_source_replaced(struct nx_request *r);
/* source_state.c: resolve for a source that is not saved; on a worker, as it may read files and connect. */
enum nx_code nx_source_unsaved(struct nx_request *r);
/* source_state.c: a new source, or one whose account must be looked at again, is tested at once and becomes
 * active or error. r->source is then its new snapshot. *report: what the test said, or ptr NULL: none. */
enum nx_code nx_source_first_test(struct nx_request *r, struct nx_str *report);

/* queries.c: the data sources of a caller who is narrowed to some. Works until the request ends. */
struct nx_visible {
	struct nx_request *r;
	bool narrowed; /* else everything is in view */
	uint32_t nids;
	char ids[NX_TOKEN_SOURCES][37];
};
void nx_visible_init(struct nx_visible *v, struct nx_request *r);
/* Empty: a query that came to no source. */
bool nx_visible_has(const struct nx_visible *v, struct nx_str source_id);

#endif
