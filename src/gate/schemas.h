/* The schema cache: what each data source holds, as its own catalog said it not long ago.
 *
 * A snapshot is fresh for `schema.ttl`, then served for `schema.maxStale` more while a new one is loaded
 * behind it; older ones are never served. One load at a time for each source, as a job of its own in
 * the source's queue; a changed configuration makes a new entry. Bounded: tables and columns of a
 * source, bytes of all, requests that wait.
 *
 * The snapshot shows what the gateway's account sees: whoever asks must have passed nx_guard_source.
 * Threads: any; only nx_schemas_get may wait, on a worker. One lock, held for look-ups; never across a
 * driver call. */
#ifndef NX_GATE_SCHEMAS_H
#define NX_GATE_SCHEMAS_H

#include "catalog/catalog.h"
#include "catalog/dbschema.h"

struct nx_exec;
struct nx_request;
struct nx_schemas;

struct nx_schemas_config {
	int64_t ttl, max_stale; /* ns */
	struct nx_db_limits limits; /* of one source; `bytes` is made from cache_bytes */
	size_t cache_bytes;
	uint32_t max_waiting;
};

/* `exec` must be stopped before free. NULL: out of memory. */
struct nx_schemas *nx_schemas_new(const struct nx_schemas_config *cfg, struct nx_exec *exec);
void nx_schemas_free(struct nx_schemas *s); /* NULL is fine */

enum nx_schema_need {
	NX_SCHEMA_PEEK, /* what is there; never waits and asks no source. NOT_FOUND: nothing */
	NX_SCHEMA_USE,  /* not older than ttl + maxStale; waits for a first load */
	NX_SCHEMA_NEW,  /* loaded after the call */
};

struct nx_schema_view {
	struct nx_dbschema *schema; /* referenced: the caller unrefs */
	int64_t age;                /* ns */
	bool fresh, loading;
};

/* For r->source. Waits at most until `until` (NX_NEVER: the request's own deadline), or until the request
 * is cancelled; NOT_FOUND: it was not loaded by then. NOT_IMPLEMENTED: this driver has no catalog. */
NX_NODISCARD enum nx_code nx_schemas_get(struct nx_schemas *s, struct nx_request *r,
					 enum nx_schema_need need, int64_t until,
					 struct nx_schema_view *ret, struct nx_error *err);

/* Now and then: drops what belongs to sources that are gone or changed. */
void nx_schemas_sweep(struct nx_schemas *s);

struct nx_schemas_stats {
	uint32_t sources;
	size_t bytes;
	uint64_t loads, failures, hits;
};
void nx_schemas_stats(struct nx_schemas *s, struct nx_schemas_stats *ret);

#endif
