/* The prober: looks at data sources that nobody asks, and at those in error until they are back.
 *
 * Some threads of its own, each with one source at a time and a deadline, so that a source that hangs takes one
 * of them for a while and not all. A source that answered a query lately is not probed. What it finds goes to
 * the source's vitals and, by `on_event`, to the catalog. */
#ifndef NX_EXEC_HEALTH_H
#define NX_EXEC_HEALTH_H

#include "catalog/vitals.h"

struct nx_health;

struct nx_health_config {
	uint32_t interval_ms; /* between probes of an active source; 0: no probes at all */
	uint32_t timeout_ms;  /* of one probe; the source's connectTimeout if that is less */
	uint32_t threads;     /* 1..64 */
	/* NX_EV_TEST_OK, NX_EV_TEST_FAILED (not fit) or NX_EV_FAULTS; on a prober thread, no lock held. */
	void (*on_event)(const struct nx_data_source *s, enum nx_source_event e, void *arg);
	void *arg;
};

NX_NODISCARD enum nx_code nx_health_start(const struct nx_health_config *cfg, struct nx_catalog *cat,
					  struct nx_health **ret, struct nx_error *err);
/* Waits for probes that are under way. NULL is fine. */
void nx_health_stop(struct nx_health *h);

/* One probe now, on the caller's thread: login and what the account may do. Notes it in the vitals.
 * ACCOUNT_NOT_FIT when the source's option forbids what was found. */
NX_NODISCARD enum nx_code nx_health_probe(const struct nx_data_source *s, int64_t deadline,
					  struct nx_grants *ret, int64_t *ret_ns, struct nx_error *err);

#endif
