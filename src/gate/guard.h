/* What stands at the door besides the credentials: where a request really comes from and how many
 * may come, and the record of what they did. Threads: any; only nx_guard_record may wait, and only
 * while the audit log cannot keep up: some milliseconds on an event loop. */
#ifndef NX_GATE_GUARD_H
#define NX_GATE_GUARD_H

#include "nexus/buf.h"
#include "nexus/error.h"
#include "nexus/option.h"

struct nx_guard;
struct nx_request;
struct nx_data_source;

NX_NODISCARD enum nx_code nx_guard_open(const struct nx_options *config, struct nx_guard **ret,
					struct nx_error *err);
void nx_guard_free(struct nx_guard *g); /* NULL is fine */
/* Takes over limits and trusted proxies; nothing changes on failure. */
NX_NODISCARD enum nx_code nx_guard_reload(struct nx_guard *g, const struct nx_options *config,
					  struct nx_error *err);
/* An audit record of what the operator did outside the API (a literal: "config.reload"). */
void nx_guard_note(struct nx_guard *g, const char *action, enum nx_code c);

/* Before credentials are looked at: sets r->client. RATE_LIMITED while that address has used up its
 * failed attempts, so that the right guess does not show either. */
NX_NODISCARD enum nx_code nx_guard_arrive(struct nx_request *r);
/* The credentials were refused: counts against the address. */
void nx_guard_failed(struct nx_request *r);
/* r->who is known: takes one of its requests, or RATE_LIMITED; AUDIT_FAILED when what it would do
 * must be recorded and cannot be. */
NX_NODISCARD enum nx_code nx_guard_known(struct nx_request *r);
/* r->source was found: may the caller see it? Sets r->granted, and r->source to the one that stands in for it
 * when the grant says so. Otherwise the reference is given back and it is SOURCE_NOT_FOUND, as for one that
 * does not exist. */
NX_NODISCARD enum nx_code nx_guard_source(struct nx_request *r);
bool nx_guard_sees(struct nx_request *r, const struct nx_data_source *s);
/* What the caller is served by when it asks for `s`: itself or the one that stands in, referenced; NULL: it may
 * not see it. For listings that tell more than names. */
const struct nx_data_source *nx_guard_serving(struct nx_request *r, const struct nx_data_source *s);
/* r is about to be submitted: counts it as under way, or TOO_MANY_QUERIES. Given back by nx_guard_left, which
 * is fine for requests that do not count. */
NX_NODISCARD enum nx_code nx_guard_enter(struct nx_request *r);
void nx_guard_left(struct nx_request *r);
/* What r->source's grants are kept under. */
struct nx_str nx_guard_source_key(struct nx_request *r);
/* At the end, with the outcome: the audit record. Only with audit.required can it be AUDIT_FAILED. */
NX_NODISCARD enum nx_code nx_guard_record(struct nx_request *r, enum nx_code c, int64_t elapsed);
struct nx_audit_stats;
/* False: the audit log is off. */
bool nx_guard_audit(struct nx_guard *g, struct nx_audit_stats *ret);

#endif
