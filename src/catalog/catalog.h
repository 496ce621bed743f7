/* The catalog: data source types (sources.def) and the data sources themselves.
 *
 * A source is an immutable, reference-counted snapshot: resolve takes a reference, an update makes a
 * new snapshot and drops the old one when its last query ends. Threads: every function is safe from
 * any thread; lookups by name or id take one short lock and no I/O. */
#ifndef NX_CATALOG_CATALOG_H
#define NX_CATALOG_CATALOG_H

#include "base/json.h"
#include "nexus/arena.h"
#include "nexus/dialect.h"
#include "nexus/driver.h"
#include "nexus/error.h"

struct nx_store;
struct nx_catalog;

/* A row of sources.def. */
struct nx_source_type {
	const char *name;   /* "postgresql": the value of `type` */
	const char *group;  /* "relational" */
	const char *driver; /* name of the driver; may not be built in */
	enum nx_dialect dialect;
	uint16_t port;      /* default; 0 none */
	const char *defaults; /* option defaults of this type, "key=value;key=value"; may be NULL */
	const char *proof;  /* "real", "stand-in", "double", "unverified" */
	const char *proof_note;
	const struct nx_option *options; /* while the driver is not built in; see below */
};
extern const struct nx_source_type nx_source_types[];
extern const uint32_t nx_source_type_count;
const struct nx_source_type *nx_source_type_find(struct nx_str name);
/* The options a config of this type may have besides nx_options_common: the driver's, else the type's. */
const struct nx_option *nx_source_type_options(const struct nx_source_type *t);
/* NULL: known, not built in. */
const struct nx_driver *nx_driver_find(const char *name);
/* Built-in drivers in order of drivers.def; NULL ends. */
extern const struct nx_driver *const nx_drivers[];

enum nx_source_status { NX_SOURCE_DRAFT, NX_SOURCE_ACTIVE, NX_SOURCE_INACTIVE, NX_SOURCE_ERROR };
const char *nx_source_status_name(enum nx_source_status s);

/* What the account that a source logs in with may be able to do: option readOnlyAccount. */
enum nx_account { NX_ACCOUNT_ANY, NX_ACCOUNT_NO_SUPERUSER, NX_ACCOUNT_READ_ONLY };

/* Limits every source has, from the POOL options of its config. Milliseconds and counts. */
struct nx_source_limits {
	uint32_t max_pool, max_streams, max_queue;
	uint32_t idle_ms, lifetime_ms, connect_ms, queue_ms, query_ms;
	uint64_t max_rows, max_bytes;
};

enum nx_trace_context { NX_TRACE_NONE, NX_TRACE_APPLICATION_NAME, NX_TRACE_COMMENT };

struct nx_data_source {
	char id[37];
	struct nx_str name;
	const struct nx_source_type *type;
	const struct nx_driver *driver; /* NULL: not built in */
	const struct nx_options *options;
	struct nx_source_limits limits;
	enum nx_trace_context trace_context; /* option traceContext */
	bool allow_metadata;  /* option allowMetadataStatements */
	bool only_builtin_functions;            /* option functions: not deny-list */
	bool catalog_functions;                 /* ... catalog: and those that the source vouches for */
	const char *allow_functions, *deny_functions; /* comma lists, lower case not yet; may be NULL */
	uint32_t version;     /* of the config, from 1 */
	enum nx_source_status status;
	struct nx_str description;
	struct nx_str created_at, updated_at; /* ISO 8601 UTC */
	enum nx_account account; /* option readOnlyAccount */
	bool from_config;     /* declared in nexus.yaml: read-only through the API */
	/* NX_OK, or why this source cannot be used although it is kept: credentials that do not decrypt
	 * or a config that no longer fits its type. Then status is ERROR and options are incomplete. */
	enum nx_code problem;
	char problem_text[400];
};

/* Loads what the store holds. `key` is the 32-byte vault master key (copied; wiped by free); NULL: no
 * secrets can be kept [DS-011]. `store` NULL: only nx_catalog_build() and nx_catalog_declare().
 * A source that cannot be built any more (wrong key, config that no longer fits) is kept in status
 * ERROR with its `problem` (so is one whose secrets Vault does not give); only a failing store or lack of memory fails the whole. */
NX_NODISCARD enum nx_code nx_catalog_open(struct nx_store *store, const uint8_t key[32],
					  struct nx_catalog **ret, struct nx_error *err);
void nx_catalog_free(struct nx_catalog *c);

/* By id or by exact name (a name never looks like an id); the caller unrefs. SOURCE_NOT_FOUND when there is none. */
NX_NODISCARD enum nx_code nx_catalog_get(struct nx_catalog *c, struct nx_str id_or_name,
					 const struct nx_data_source **ret, struct nx_error *err);
void nx_data_source_ref(const struct nx_data_source *s);
void nx_data_source_unref(const struct nx_data_source *s);
/* Has the catalog another version, or none? True before on_change is called. */
bool nx_data_source_replaced(const struct nx_data_source *s);

/* Create, replace, delete: validated by DS-001..015 and the driver's option table; secrets go to the
 * vault. `body` is the JSON of POST/PUT: {name, type, description, config{...}, status?, version?,
 * skipTest?}; every other key is refused. For PUT a secret left out or given as the mask "********"
 * keeps the stored one, null drops it; `version` must be the current one, else SOURCE_CHANGED. A secret
 * that is a reference (secrets/secrets.h) is kept so and followed at each build.
 * `by` is the principal who changes it. All broken rules are collected: the first in err, all in `rules` (JSON array of {rule,key,message},
 * in the arena) when not NULL. Rule ids: DS-*, CV-*, CV-REF (a reference leads nowhere), KEY-UNKNOWN,
 * KEY-MISSING, KEY-VALUE. `ret` may be NULL; otherwise the caller unrefs. */
NX_NODISCARD enum nx_code nx_catalog_create(struct nx_catalog *c, const struct nx_json *body,
					    struct nx_str by, struct nx_arena *a, struct nx_str *rules,
					    const struct nx_data_source **ret, struct nx_error *err);
NX_NODISCARD enum nx_code nx_catalog_replace(struct nx_catalog *c, struct nx_str id,
					     const struct nx_json *body, struct nx_str by,
					     struct nx_arena *a, struct nx_str *rules,
					     const struct nx_data_source **ret, struct nx_error *err);
/* What the source was, as a JSON array, newest first, the current version included: each with who made it, when,
 * and what it changed, key by key. Of a secret it only says that it changed. */
NX_NODISCARD enum nx_code nx_catalog_versions(struct nx_catalog *c, struct nx_str id, struct nx_arena *a,
					      struct nx_buf *out, struct nx_error *err);
/* A new version with the config and the secrets of an old one. NOT_FOUND when that is not kept. */
NX_NODISCARD enum nx_code nx_catalog_rollback(struct nx_catalog *c, struct nx_str id, uint32_t version,
					      struct nx_str by, struct nx_arena *a, struct nx_str *rules,
					      const struct nx_data_source **ret, struct nx_error *err);
NX_NODISCARD enum nx_code nx_catalog_delete(struct nx_catalog *c, struct nx_str id, struct nx_error *err);
NX_NODISCARD enum nx_code nx_catalog_set_status(struct nx_catalog *c, struct nx_str id,
						enum nx_source_status s, struct nx_error *err);
/* For this process only: the store keeps what was decided, not how the source is at the moment. False: it is
 * not as `was` any more, and nothing changed. */
NX_NODISCARD bool nx_catalog_note_status(struct nx_catalog *c, const struct nx_data_source *was,
					 enum nx_source_status s);
/* Validates and builds without saving, for one use. */
NX_NODISCARD enum nx_code nx_catalog_build(struct nx_catalog *c, const struct nx_json *body,
					   struct nx_arena *a, struct nx_str *rules,
					   const struct nx_data_source **ret, struct nx_error *err);

/* Takes over what the store has: others may have made, changed and deleted sources. A row is checked as at
 * start. What did not change keeps its snapshot and pool; a source whose name this configuration file has taken
 * is left out, and said to be in the log. Nothing changes when the store fails. */
NX_NODISCARD enum nx_code nx_catalog_sync(struct nx_catalog *c, struct nx_error *err);

struct nx_declared {
	uint32_t added, changed, removed, unchanged;
};
/* The data sources of the configuration file (array of bodies, or NULL for none) replace those of the
 * list before. All or nothing: the message names the source that is wrong. A source that is as it was
 * keeps its snapshot, status and pool; a changed one gets a new version. `ret` may be NULL. */
NX_NODISCARD enum nx_code nx_catalog_declare(struct nx_catalog *c, const struct nx_json *list,
					     struct nx_declared *ret, struct nx_error *err);

struct nx_imported {
	struct nx_str name; /* in the arena */
	char id[37];
	enum { NX_IMPORT_CREATED, NX_IMPORT_CHANGED, NX_IMPORT_UNCHANGED } what;
};
/* Creates or replaces each source of a list (array of bodies) by its name; others stay. All are checked before
 * anything changes, and the message names the one that is wrong; only a store that fails half-way can leave the
 * first ones done. `dry`: nothing changes. *ret: an array in the arena, one for each of the list. */
NX_NODISCARD enum nx_code nx_catalog_import(struct nx_catalog *c, const struct nx_json *list, bool dry,
					    struct nx_str by, struct nx_arena *a,
					    struct nx_imported **ret, uint32_t *ret_n,
					    struct nx_error *err);
/* A list of sources as nx_catalog_declare() and nx_catalog_import() take it, as YAML; without secrets. */
void nx_data_source_yaml(const struct nx_data_source *s, struct nx_buf *out);

/* Sources with secrets in Vault are read again, and replaced where something changed or a problem has gone. The
 * version stays. Returns how many; *ret_problems: those that still cannot be used. Blocks on Vault. */
uint32_t nx_catalog_refresh(struct nx_catalog *c, uint32_t *ret_problems);
bool nx_data_source_in_vault(const struct nx_data_source *s);

/* Page of sources ordered by name: fn is called outside the lock; total is before paging. */
NX_NODISCARD enum nx_code nx_catalog_list(struct nx_catalog *c, struct nx_str type, struct nx_str status,
					  uint32_t offset, uint32_t limit, uint32_t *ret_total,
					  void (*fn)(const struct nx_data_source *s, void *arg), void *arg,
					  struct nx_error *err);
/* The source as the API shows it, secrets as "********". */
void nx_data_source_json(const struct nx_data_source *s, struct nx_buf *out);

/* Told after each replace, delete and change of status, with the old snapshot (still referenced), so
 * that its pool can close. Called by the changing thread with no lock held; set it before threads run.
 * After a change of status the new snapshot has the same version and the same options. */
void nx_catalog_on_change(struct nx_catalog *c,
			  void (*fn)(const struct nx_data_source *old, void *arg), void *arg);

#endif
