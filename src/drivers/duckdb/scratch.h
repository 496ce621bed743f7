/* The engine's temporary folder, below TMPDIR, /var/tmp or /tmp. The gateway holds a lock on it as long as it
 * uses it; by that the next one knows what a gateway and an engine that were killed together left behind.
 *
 * Threads: one at a time (the lock of process.c). */
#ifndef NX_DUCKDB_SCRATCH_H
#define NX_DUCKDB_SCRATCH_H

#include "nexus/driver.h"

struct scratch {
	char path[256];
	int held; /* the folder, opened and locked; -1: there is none */
};

/* Also removes what others left: folders of this name and user that nobody holds and that are over a minute
 * old, for a new one is not locked yet. */
NX_NODISCARD enum nx_code scratch_make(struct scratch *ret, struct nx_error *err);
/* With all in it: nobody must use it any more. */
void scratch_remove(struct scratch *s);

#endif
