/* The request's side of traces. */
#ifndef NX_GATE_TRACE_H
#define NX_GATE_TRACE_H

#include "gate/request.h"

/* Would it start with these settings? */
NX_NODISCARD enum nx_code nx_gateway_check_traces(const struct nx_options *o, struct nx_error *err);
/* trace.endpoint empty: no traces. */
NX_NODISCARD enum nx_code nx_gateway_open_traces(struct nx_gateway *gw, struct nx_error *err);

/* Once the route is known. */
void nx_request_trace_begin(struct nx_request *r);
/* Once the statement has passed: what of the trace goes to the source, as its option traceContext says. */
NX_NODISCARD enum nx_code nx_request_trace_source(struct nx_request *r);
/* At the end. */
void nx_request_trace_end(const struct nx_request *r, enum nx_code c, int64_t elapsed);

#endif
