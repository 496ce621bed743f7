/* Inside nexus-engine: the pieces of a worker, in the order they are used.
 *
 * The zygote opens one DuckDB instance with a single thread, which DuckDB runs without any thread
 * of its own, so forking is safe and a worker gets an opened instance for the price of a fork. A
 * worker connects, sets what does not depend on the source, says HELLO and waits; it then serves
 * one request and dies. Nothing is freed on the way out: the process is the lifetime.
 *
 * Threads: a worker's request runs on one thread of ours; DuckDB adds its own. */
#ifndef NX_ENGINE_INT_H
#define NX_ENGINE_INT_H

#include <duckdb.h>

#include "engine/wire.h"

__extension__ typedef __int128 nx_i128;
__extension__ typedef unsigned __int128 nx_u128;

/* zygote.c: the loop that forks workers. `control` is a SOCK_SEQPACKET socket; each message carries
 * a worker's socket. Returns the exit status when the gateway has gone. */
int nx_zygote_run(int control, const char *base_dir);

/* worker.c: never returns. `fd` is the worker's socket, `temp` its own directory (not there yet). */
NX_NORETURN void nx_worker_run(int fd, duckdb_database db, const char *temp);

/* sandbox.c: what a worker may still do. Called before it reads a byte of data. */
struct nx_sandbox {
	const char *root; /* readable */
	const char *temp; /* readable and writable */
	uint32_t memory_mb, spill_mb, cpu_seconds;
};
enum nx_fence { NX_FENCE_LANDLOCK = 1, NX_FENCE_SECCOMP = 2 };
/* The fences that could be raised; the limits always are. Failure of a limit ends the process. */
unsigned nx_sandbox_enter(const struct nx_sandbox *s);

/* frame.c: blocking writes and reads of frames; a gateway that has gone ends the process. */
void nx_frame_send(int fd, enum nx_wire_type type, uint64_t rows, bool more, struct nx_str payload);
void nx_frame_hello(int fd, int pidfd, struct nx_str version);
NX_NORETURN void nx_frame_fail(int fd, const struct nx_error *err); /* ERROR, then exit */
/* NULL: the gateway has gone before it asked. */
struct nx_buf *nx_frame_request(int fd);

/* fault.c: DuckDB's message (plain or as JSON) to ours. */
struct nx_fault_names { /* what must not reach a client */
	const char *root, *temp;
	const struct nx_value *params;
	uint32_t nparams;
};
enum nx_code nx_fault(const char *message, const struct nx_fault_names *hide, struct nx_error *err);

/* field.c: DuckDB types to fields. */
struct nx_arena;
NX_NODISCARD enum nx_code nx_field_fill(duckdb_logical_type t, struct nx_str name,
					struct nx_arena *a, unsigned depth, struct nx_field *ret,
					struct nx_error *err);

/* vector.c: DuckDB vectors to columns, without a copy where the layouts agree. */
struct nx_vector;
NX_NODISCARD enum nx_code nx_vector_new(duckdb_logical_type t, const struct nx_field *f,
					struct nx_arena *a, struct nx_vector **ret,
					struct nx_error *err);
/* The column points into `v` and the DuckDB vector: valid until the next load or the end of either. */
NX_NODISCARD enum nx_code nx_vector_load(struct nx_vector *v, duckdb_vector src, idx_t n,
					 struct nx_column *ret, struct nx_error *err);

/* names.c: calls fn for every table reference of a statement, given as the JSON text of its tree; a
 * name may come twice, and may be that of a CTE. The first failure ends it. */
NX_NODISCARD enum nx_code nx_names_each(struct nx_str tree,
					enum nx_code (*fn)(void *arg, struct nx_str schema,
							   struct nx_str table, struct nx_error *err),
					void *arg, struct nx_error *err);

/* table.c: files below the root as tables. */
struct nx_tables {
	const struct nx_wire_request *req;
	bool links_fenced; /* landlock stops symbolic links that leave the root */
	struct nx_arena *arena;
};
/* The table expression for `name` ("read_parquet(...)"), or NULL when there is no such file. An
 * error is set and returned for a name that may not be used. */
NX_NODISCARD enum nx_code nx_table_source(const struct nx_tables *t, struct nx_str name,
					  const char **ret, struct nx_error *err);
struct nx_table_entry {
	const char *name;
	const char *format; /* parquet, csv, json */
	bool folder;
	struct nx_table_entry *next;
};
/* Tables that lie directly below the root, by name; at most NX_TABLES_MAX. */
#define NX_TABLES_MAX 10000u
NX_NODISCARD enum nx_code nx_table_list(const struct nx_tables *t, struct nx_table_entry **ret,
					struct nx_error *err);

/* output.c: chunks to frames, on a thread of its own from the second chunk on. A failure there ends
 * the process with an ERROR frame. */
struct nx_session;
struct nx_output;
/* Sends SCHEMA. */
NX_NODISCARD enum nx_code nx_output_new(struct nx_session *s, duckdb_result *r,
					struct nx_output **ret, struct nx_error *err);
/* Takes the chunk, also on failure. *done: max_rows are sent and there is one row more. */
NX_NODISCARD enum nx_code nx_output_chunk(struct nx_output *o, duckdb_data_chunk chunk, bool *done,
					  struct nx_error *err);
void nx_output_flush(struct nx_output *o); /* all chunks are sent, the thread has ended */
void nx_output_end(struct nx_output *o);   /* END */

/* query.c: one request, start to end. Sends SCHEMA .. END or leaves the error to the caller. */
struct nx_session {
	int fd;
	duckdb_connection con;
	duckdb_prepared_statement tree; /* SELECT json_serialize_sql(?) */
	struct nx_tables tables;
	struct nx_fault_names hide;
	struct nx_arena *arena;
};
NX_NODISCARD enum nx_code nx_query_run(struct nx_session *s, struct nx_error *err);
NX_NODISCARD enum nx_code nx_catalog_run(struct nx_session *s, struct nx_error *err);
/* Runs SQL of ours that returns nothing of interest. */
NX_NODISCARD enum nx_code nx_session_exec(struct nx_session *s, const char *sql, struct nx_error *err);
/* Makes the view a table name stands for; nothing when there is no such file. */
NX_NODISCARD enum nx_code nx_session_view(struct nx_session *s, struct nx_str name,
					  struct nx_error *err);
NX_NODISCARD enum nx_code nx_session_lock(struct nx_session *s, struct nx_error *err);

/* script.c: `nexus-engine --script`, a developer's tool outside of all fences. */
int nx_script_run(const char *file, const char *folder, char *const *vars, int nvars);

#endif
