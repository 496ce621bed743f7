/* The engine's processes as the gateway sees them: one zygote, workers that were forked ahead, and
 * workers that serve a query. One set per gateway, shared by all sources of the driver.
 *
 * Threads: any. The one lock is held for list work and one send(), never while a worker is waited
 * for. */
#ifndef NX_DUCKDB_PROCESS_H
#define NX_DUCKDB_PROCESS_H

#include "nexus/driver.h"

struct worker {
	int fd;    /* stream socket */
	int pidfd; /* to kill exactly this process, whatever became of its number */
};

/* Starts the zygote if it does not run; does not wait for it. */
NX_NODISCARD enum nx_code process_start(struct nx_error *err);
void process_stop(void);

/* A worker that waits for its request, forked ahead or now. SOURCE_BUSY at the limit. */
NX_NODISCARD enum nx_code process_take(int64_t deadline, struct worker *ret, struct nx_error *err);
/* Asks for a new worker in place of one that was taken: when the query no longer waits for the CPU. */
void process_refill(void);
/* Ends it: killed if it still runs. */
void process_end(struct worker *w);
uint32_t process_serving(void); /* workers that run a query */
/* From any thread while `w` has not ended: the process dies, a blocked reader wakes. */
void process_kill(const struct worker *w);

/* Waits until fd can be read: NX_OK, QUERY_TIMEOUT. */
NX_NODISCARD enum nx_code process_wait(int fd, int64_t deadline, struct nx_error *err);
bool process_silent(int fd, uint32_t ms); /* nothing came for so long */

#endif
