/* Private to src/stats: trace records as one ExportTraceServiceRequest of opentelemetry-proto 1.x. */
#ifndef NX_STATS_OTLP_H
#define NX_STATS_OTLP_H

#include "nexus/buf.h"
#include "stats/trace.h"

/* out->failed says when there was no room. */
void nx_otlp_encode(const struct nx_traces_config *c, const struct nx_trace_record *r, uint32_t n,
		    struct nx_buf *out);

#endif
