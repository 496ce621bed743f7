/* The audit log: who asked what of which source, and what came of it. JSON lines, only ever added to.
 *
 * Each record carries the SHA-256 of the one before, across files; docs/security.md has the format.
 * Records go through a bounded buffer to one writer thread. A full buffer makes the adder wait a
 * little; what then still has no room is counted, and the count is a record itself. A write that fails
 * (disk full) is tried again every second from where it stopped, so no line is torn by it.
 * Threads: any. */
#ifndef NX_STATS_AUDIT_H
#define NX_STATS_AUDIT_H

#include "nexus/error.h"
#include "nexus/str.h"

struct nx_audit;

enum nx_audit_sync { NX_AUDIT_SYNC_OFF, NX_AUDIT_SYNC_BATCH }; /* fdatasync after each batch */

struct nx_audit_config {
	const char *dir;       /* made with mode 0700 when absent; its parent must exist */
	uint64_t rotate_bytes; /* a file does not grow beyond, but for one record */
	enum nx_audit_sync sync;
	bool sql;              /* keep the statement's text, not only its fingerprint */
};

enum nx_audit_layer { NX_AUDIT_SHAPE = 1, NX_AUDIT_SERVER = 2, NX_AUDIT_DESCRIBE = 4,
	NX_AUDIT_ONE_STATEMENT = 8, NX_AUDIT_GRANTS = 16 };

/* All slices are copied; texts but `sql` are cut at 255 bytes. Empty ones are left out. */
struct nx_audit_event {
	const char *event, *action, *role; /* literals: copied as pointers; role may be NULL */
	const char *door; /* literal; NULL: the REST API */
	struct nx_str principal, client, source_id, source, target, query_id, correlation_id, sql;
	enum nx_code code;
	unsigned layers;       /* enum nx_audit_layer: what stood between the statement and a write */
	uint64_t rows, bytes, elapsed_us;
};

struct nx_audit_stats {
	uint64_t written, lost, failures; /* failures: writes that did not succeed */
	uint64_t backlog;                 /* bytes that wait for the writer */
	bool failing;                     /* now */
};

/* Opens a new file, linked to the last one of `dir`. */
NX_NODISCARD enum nx_code nx_audit_open(const struct nx_audit_config *cfg, struct nx_audit **ret,
					struct nx_error *err);
/* Writes what is left and the closing record. NULL is fine. */
void nx_audit_close(struct nx_audit *a);

/* Waits up to wait_ms for room. AUDIT_FAILED: not kept, and counted. */
NX_NODISCARD enum nx_code nx_audit_add(struct nx_audit *a, const struct nx_audit_event *e,
				       uint32_t wait_ms, struct nx_error *err);
/* Is there room for the records of requests that are about to start? A few nanoseconds. */
bool nx_audit_ready(const struct nx_audit *a);
void nx_audit_stats(struct nx_audit *a, struct nx_audit_stats *ret);

/* ---- verification ---- */

struct nx_audit_report {
	uint32_t files;
	uint64_t records, problems;
	uint64_t first_seq, last_seq;
	char last_hash[65];
	bool begins_later; /* earlier files are not here */
	bool open_ended;   /* no closing record: still written, or ended by a crash */
};

/* Reads every file of `dir` in order. `problem` is told of each line that was edited, removed or
 * reordered; line 0: the file as a whole. NX_OK also with problems: see the report. */
NX_NODISCARD enum nx_code nx_audit_verify(const char *dir,
	void (*problem)(const char *file, uint64_t line, const char *what, void *arg), void *arg,
	struct nx_audit_report *ret, struct nx_error *err);

#endif
