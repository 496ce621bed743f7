/* Requests the gateway itself makes to other services over HTTP: key sets of token issuers, token
 * endpoints, HashiCorp Vault, trace collectors. Drivers that talk HTTP have their own clients.
 *
 * Small answers only: a request has a deadline and an answer a cap. TLS is verified, redirects are never
 * followed (credentials would go along), proxies from the environment are not used, and the host's
 * address is held against the network policy (nexus/net.h) when it is connected to. Only https, or http to a
 * loopback address unless `plain` allows it.
 *
 * Threads: any; each call is by itself and blocks up to its deadline. The process ignores SIGPIPE: TLS
 * writes without a flag against it. */
#ifndef NX_OUTBOUND_OUTBOUND_H
#define NX_OUTBOUND_OUTBOUND_H

#include "nexus/arena.h"
#include "nexus/error.h"
#include "nexus/str.h"

#define NX_OUTBOUND_HEADERS 16

struct nx_outbound_request {
	const char *method; /* NULL: GET, or POST with a body */
	const char *url;    /* https://host[:port]/path */
	struct nx_str body;
	struct nx_str headers[NX_OUTBOUND_HEADERS]; /* "Name: value"; no CR, LF or NUL */
	uint32_t nheaders;
	const char *ca_file; /* PEM, instead of the system's; NULL: the system's */
	bool plain;          /* http to any host: only where the caller's configuration says so */
	int64_t deadline;    /* nx_now(); required */
	size_t max_body;     /* of the answer; 1..16 MiB */
};

struct nx_outbound_answer {
	int status;              /* 100..599, not judged */
	struct nx_str body;      /* in the arena */
	uint32_t max_age_s;      /* Cache-Control: max-age; 0: not said, no-store or no-cache */
	uint32_t retry_after_s;  /* Retry-After in seconds; 0: not said */
};

/* Once per process, before any thread uses it; counted, so several callers are fine. */
NX_NODISCARD enum nx_code nx_outbound_init(struct nx_error *err);

/* OUTBOUND_FAILED (connect, TLS, protocol, answer too long), HOST_DENIED, OUTBOUND_TIMEOUT. A message names no
 * address; the detail has the URL without its query. Bodies and headers are in neither. A URL with a user
 * part is refused. The answer's body is wiped when the arena goes. */
NX_NODISCARD enum nx_code nx_outbound_call(const struct nx_outbound_request *q, struct nx_arena *arena,
					   struct nx_outbound_answer *ret, struct nx_error *err);

#endif
