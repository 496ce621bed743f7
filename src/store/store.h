/* The metadata store: sources, their config versions, API keys, history, settings.
 *
 * SQLite for one gateway (WAL, one writer lock, an exclusive instance lock so that a second gateway on
 * the same file is told so: STORE_LOCKED); MySQL or MariaDB for several. Forward-only migrations run on
 * open. Every write is durable when it returns. Threads: any thread; calls are serialised inside. A full
 * disk is STORE_FULL and loses nothing that was committed; a damaged file is STORE_FAILED, and so is a
 * server that is away: calls fail at once, but for a try to connect now and then, which takes the
 * timeout at most.
 *
 * Row callbacks run under the store's lock: they must not call the store. Their slices are good
 * until they return; a callback's error ends the listing and is handed through.
 *
 * Opening makes the process ignore SIGXFSZ unless it has a handler: a file size limit is an error
 * and not a death. */
#ifndef NX_STORE_STORE_H
#define NX_STORE_STORE_H

#include "nexus/arena.h"
#include "nexus/error.h"
#include "nexus/str.h"

struct nx_store;

struct nx_store_source {
	struct nx_str id, name, type, description, status;
	struct nx_str config;  /* public part, JSON */
	struct nx_str secrets; /* vault ciphertext, may be empty */
	struct nx_str created_at, updated_at;
	uint32_t version;
	struct nx_str changed_by; /* principal who made this version; may be empty */
};

struct nx_store_key { /* API key: only its hash is kept */
	struct nx_str id, name, prefix, role, created_at, expires_at; /* expires_at empty: never */
	struct nx_str limits;       /* JSON object with scopes and sources; empty: none */
	struct nx_str last_used_at; /* empty: never; not written by put */
	uint8_t hash[32]; /* SHA-256 of the whole key */
};

struct nx_store_key_use {
	struct nx_str id;
	char at[25]; /* as nx_iso_time() writes it */
};

struct nx_store_history {
	struct nx_str query_id, correlation_id, principal, source_id, source_type, status, code;
	struct nx_str started_at;
	uint64_t fingerprint, rows, bytes, elapsed_us;
};

struct nx_store_config {
	const char *path;     /* SQLite's file, when there is no url */
	const char *url;      /* mysql://user@host[:port]/database; NULL or empty: SQLite */
	const char *password; /* of the url's user; NULL or empty: none */
	bool tls;             /* only over TLS */
	bool verify;          /* and only with a certificate that proves the host's name */
	const char *ca_file;  /* PEM; NULL or empty: the system's */
	uint32_t timeout_ms;  /* for connecting and for each exchange, 1000 and more */
};
/* Is it well written? CONFIG otherwise. An empty one is. */
NX_NODISCARD enum nx_code nx_store_url_check(const char *url, struct nx_error *err);
NX_NODISCARD enum nx_code nx_store_connect(const struct nx_store_config *cfg, struct nx_store **ret,
					   struct nx_error *err);
/* A SQLite store; `path` is a file, or ":memory:" for tests. */
NX_NODISCARD enum nx_code nx_store_open(const char *path, struct nx_store **ret, struct nx_error *err);
void nx_store_close(struct nx_store *s);
/* May other instances write, too? */
bool nx_store_shared(const struct nx_store *s);
/* A number that is another after each write to sources, API keys, grants or settings, by
 * whomever, and after a lost connection. */
NX_NODISCARD enum nx_code nx_store_changes(struct nx_store *s, uint64_t *ret, struct nx_error *err);

NX_NODISCARD enum nx_code nx_store_sources(struct nx_store *s,
	enum nx_code (*fn)(const struct nx_store_source *row, void *arg, struct nx_error *err),
	void *arg, struct nx_error *err);
/* Inserts (version 1), or replaces when row->version is the stored version + 1 (else SOURCE_CHANGED);
 * the old config is kept as a version. Name clash: SOURCE_EXISTS. created_at never changes. */
NX_NODISCARD enum nx_code nx_store_source_put(struct nx_store *s, const struct nx_store_source *row,
					      struct nx_error *err);
/* Old versions of one source, newest first (the current one is not among them); the last 50 stay. */
NX_NODISCARD enum nx_code nx_store_source_versions(struct nx_store *s, struct nx_str id,
	enum nx_code (*fn)(const struct nx_store_source *row, void *arg, struct nx_error *err),
	void *arg, struct nx_error *err);
/* With all its versions. */
NX_NODISCARD enum nx_code nx_store_source_delete(struct nx_store *s, struct nx_str id, struct nx_error *err);
NX_NODISCARD enum nx_code nx_store_source_status(struct nx_store *s, struct nx_str id, struct nx_str status,
						 struct nx_error *err);

NX_NODISCARD enum nx_code nx_store_key_put(struct nx_store *s, const struct nx_store_key *k,
					   struct nx_error *err);
NX_NODISCARD enum nx_code nx_store_key_delete(struct nx_store *s, struct nx_str id, struct nx_error *err);
NX_NODISCARD enum nx_code nx_store_keys(struct nx_store *s,
	enum nx_code (*fn)(const struct nx_store_key *k, void *arg, struct nx_error *err), void *arg,
	struct nx_error *err);

/* When keys were last used, in one transaction; never set back. Ids that are gone are passed over. */
NX_NODISCARD enum nx_code nx_store_keys_used(struct nx_store *s, const struct nx_store_key_use *use,
					     uint32_t n, struct nx_error *err);

/* Grants: one text a source. NULL `list` deletes. A source that is deleted takes its own along. */
NX_NODISCARD enum nx_code nx_store_grants(struct nx_store *s,
	enum nx_code (*fn)(struct nx_str source, struct nx_str list, void *arg, struct nx_error *err),
	void *arg, struct nx_error *err);
NX_NODISCARD enum nx_code nx_store_grants_put(struct nx_store *s, struct nx_str source, struct nx_str list,
					      struct nx_error *err);

/* Small named values (instance id, token secret). NOT_FOUND when absent. */
NX_NODISCARD enum nx_code nx_store_setting_get(struct nx_store *s, const char *name, struct nx_arena *a,
					       struct nx_str *ret, struct nx_error *err);
NX_NODISCARD enum nx_code nx_store_setting_put(struct nx_store *s, const char *name, struct nx_str value,
					       struct nx_error *err);

/* For what is read, changed and written back: only when it still is `old` (empty: when there is none), else
 * CONFLICT. */
NX_NODISCARD enum nx_code nx_store_setting_swap(struct nx_store *s, const char *name, struct nx_str old,
						struct nx_str value, struct nx_error *err);
/* Of instances that start at once the first decides: *ret is the value that is stored, or `value`. */
NX_NODISCARD enum nx_code nx_store_setting_init(struct nx_store *s, const char *name, struct nx_str value,
						struct nx_arena *a, struct nx_str *ret,
						struct nx_error *err);

/* History: written in batches by one thread; old rows are dropped beyond `keep`. */
NX_NODISCARD enum nx_code nx_store_history_add(struct nx_store *s, const struct nx_store_history *rows,
					       uint32_t n, uint64_t keep, struct nx_error *err);
/* Newest first; offset and limit count those that `wants` takes (NULL: all). Both callbacks run without the
 * store's lock: a search may read much. */
typedef bool nx_history_wants_fn(const struct nx_store_history *row, void *arg);
NX_NODISCARD enum nx_code nx_store_history_list(struct nx_store *s, nx_history_wants_fn *wants,
	uint32_t offset, uint32_t limit,
	enum nx_code (*fn)(const struct nx_store_history *row, void *arg, struct nx_error *err),
	void *arg, struct nx_error *err);

#endif
