/* How a data source is: what its connections and queries showed lately, and what follows from it.
 *
 * One per source and process, shared by all its snapshots; the metadata store knows nothing of it. Threads: any;
 * the fields of a query are plain atomics, the rest takes a lock for some instructions. */
#ifndef NX_CATALOG_VITALS_H
#define NX_CATALOG_VITALS_H

#include <stdatomic.h>

#include "catalog/catalog.h"

struct nx_vitals;
struct nx_vitals *nx_data_source_vitals(const struct nx_data_source *s);

/* ---- the life of a source: spec.md section 5 ---- */

enum nx_source_event {
	NX_EV_TEST_OK,     /* a test or probe logged in, and the account is fit */
	NX_EV_TEST_FAILED, /* the first test of a new source, or its account is not fit */
	NX_EV_FAULTS,      /* three faults in a row: connect, login or protocol */
	NX_EV_ACTIVATE, NX_EV_DEACTIVATE, /* by an operator */
	NX_EV_COUNT,
};
/* The one table of transitions. */
enum nx_source_status nx_source_next(enum nx_source_status now, enum nx_source_event e);
/* What an event makes of the source's status, kept in the store. SOURCE_CHANGED: the config is not that of `was`
 * any more, of which the event tells, and nothing changed. */
NX_NODISCARD enum nx_code nx_catalog_event(struct nx_catalog *c, const struct nx_data_source *was,
					   enum nx_source_event e, struct nx_error *err);

#define NX_FAULTS_MAX 3u  /* in a row make an error */
#define NX_TRIES_MAX 10u  /* probes of a source in error; then an operator is asked */

/* ---- what is noted ---- */

/* A query of the source ended. */
void nx_vitals_query(struct nx_vitals *v, enum nx_code c, int64_t elapsed_ns);
/* It answered: a connection was made or has served. */
void nx_vitals_good(struct nx_vitals *v, int64_t now);
/* It could not be connected to. Returns the faults in a row. */
uint32_t nx_vitals_fault(struct nx_vitals *v, const struct nx_error *err, int64_t now);
/* A probe ended; `grants` NULL: not asked or not known. */
void nx_vitals_probed(struct nx_vitals *v, const struct nx_error *err, int64_t latency_ns,
		      const struct nx_grants *grants);

/* ---- what follows ---- */

/* Would the account's own rights stop a write? */
bool nx_grants_read_only(const struct nx_grants *g);
/* The same, as the last probe saw it; false while none has. Does not wait. */
bool nx_vitals_read_only(const struct nx_vitals *v);

/* May the account be used, as far as the source's option readOnlyAccount asks? Without grants: unknown is
 * not fit. *why is one sentence for people; may be NULL. */
NX_NODISCARD bool nx_account_fit(const struct nx_data_source *s, const struct nx_grants *g,
				 char why[600]);
/* A source in error: may this request be a try? One at a time, some a second, so that it is found as soon as
 * the source is back and nobody waits in a row for one that is not. Otherwise the last fault as an error. */
NX_NODISCARD enum nx_code nx_vitals_admit(const struct nx_data_source *s, int64_t now,
					  struct nx_error *err);

/* ---- the plan of probes: by the prober alone ---- */

struct nx_probe_plan {
	int64_t interval;       /* ns between probes of an active source */
	const int64_t *backoff; /* ns before each try of one in error; the last one repeats */
	uint32_t nbackoff;
};
/* Is a probe due? True takes it: the next one is planned when nx_vitals_probed was called. */
NX_NODISCARD bool nx_vitals_due(const struct nx_data_source *s, const struct nx_probe_plan *plan, int64_t now);
/* The operator asks, or the config changed: what is known of the account is forgotten, the tries begin anew with
 * a probe at once. */
void nx_vitals_again(struct nx_vitals *v);

/* "health": {...} and more, as members of an object that is open: no leading comma. */
void nx_vitals_write(const struct nx_data_source *s, struct nx_buf *b);
/* One word: healthy, degraded (faults, not yet an error), unhealthy, unknown. */
const char *nx_vitals_word(const struct nx_data_source *s);

/* snapshot.c's */
NX_NODISCARD struct nx_vitals *nx_vitals_new(void);
struct nx_vitals *nx_vitals_ref(struct nx_vitals *v);
void nx_vitals_unref(struct nx_vitals *v); /* NULL is fine */

#endif
