/* Private to src/catalog: how a JSON body becomes a snapshot.
 *
 *	body -> rules on name, type, status            (build.c)
 *	config -> flat entries -> rules -> options      (config.c, rules.c)
 *	options + names -> snapshot                     (snapshot.c)
 *	snapshots by id and by name                     (table.c, catalog.c)
 *	those of the configuration file                 (declared.c)
 *	what other instances changed                    (sync.c)  */
#ifndef NX_CATALOG_CATALOG_INT_H
#define NX_CATALOG_CATALOG_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "catalog/catalog.h"
#include "catalog/vitals.h"
#include "store/store.h"
#include "store/vault.h"

#define NX_MASK "********"
#define NX_ENTRIES_MAX 200u

/* ---- broken rules, collected ---- */

struct nx_rules {
	struct nx_buf json;  /* "[{...},{...}" without the closing bracket */
	struct nx_error first;
	uint32_t count;
	uint32_t unavailable; /* of them: a secret could not be read from Vault */
};

void nx_rules_init(struct nx_rules *r);
void nx_rules_done(struct nx_rules *r);
/* `key` as the user wrote it, "config.port"; the message must not hold a value of a secret. */
void nx_rules_add(struct nx_rules *r, enum nx_code code, const char *rule, const char *key, const char *fmt,
		  ...) NX_PRINTF(5, 6);
/* The first broken rule as an error, all of them as JSON in *ret; NX_OK when none is broken. */
NX_NODISCARD enum nx_code nx_rules_end(struct nx_rules *r, struct nx_arena *a, struct nx_str *ret,
				       struct nx_error *err);

/* ---- config ---- */

struct nx_entry {
	const char *key; /* dotted, without "additionalProps." */
	const struct nx_option *spec;
	enum nx_json_kind kind;
	struct nx_str text; /* of a secret: as given, references not followed */
	bool carried;       /* a secret kept from the replaced config, absent from the new one */
};

/* A checked config. Lives in the arena; its secrets are slices of the two JSON trees given. */
struct nx_source_config {
	const struct nx_source_type *type;
	const struct nx_option *table; /* of the driver or the type */
	struct nx_entry *entries;
	uint32_t count;
	bool in_vault; /* a secret is a reference to Vault */
};

/* Flattens and checks `json` (NULL: empty) against the type. `old_secrets` is the flat object of the
 * config that is replaced, or NULL; `resolve`: follow references. Broken rules go to
 * `rules`; *ret_options is NULL when there are any, else the caller frees it. */
NX_NODISCARD enum nx_code nx_source_config_read(const struct nx_source_type *type, const struct nx_json *json,
						const struct nx_json *old_secrets, struct nx_arena *a,
						struct nx_rules *rules, struct nx_source_config *ret,
						struct nx_options **ret_options, struct nx_error *err);
/* The config as JSON with secrets masked: what is stored and shown. */
void nx_source_config_show(const struct nx_source_config *c, struct nx_buf *out);
/* Flat JSON object of the secrets; empty text when there are none. In the arena; caller wipes. */
NX_NODISCARD enum nx_code nx_source_config_secrets(const struct nx_source_config *c, struct nx_arena *a,
						   struct nx_str *ret, struct nx_error *err);
void nx_json_wipe(const struct nx_json *v); /* overwrites all strings of a tree of ours */

/* Finds the option of a key; `props` says whether it stood in additionalProps. */
const struct nx_option *nx_source_config_option(const struct nx_option *table, struct nx_str key);

/* ---- rules.c ---- */

/* The rule a key belongs to, when its value is missing or wrong. */
const char *nx_rule_of(const char *key);
/* What the option tables cannot say: credentials that belong together, fixed values, forms. */
void nx_rules_check(const struct nx_source_config *c, const struct nx_options *o, struct nx_rules *r);
void nx_rules_name(struct nx_str name, struct nx_rules *r);

/* ---- snapshot.c ---- */

/* What a change of status does not touch; shared by snapshots. */
struct nx_body {
	_Atomic uint32_t refs;
	struct nx_vitals *vitals; /* a reference; shared with the body that is replaced */
	struct nx_options *options;
	struct nx_str name, type_name, description, created_at, updated_at, changed_by;
	struct nx_str config;  /* JSON, masked */
	struct nx_str secrets; /* sealed */
	char bytes[];
};

struct nx_snapshot {
	struct nx_data_source pub; /* first: the two convert into each other */
	_Atomic uint32_t refs;
	atomic_bool replaced; /* set before on_change is told */
	bool in_vault; /* nx_catalog_refresh() looks at it */
	enum nx_source_status was; /* its status if it had no problem */
	/* `writing` */
	enum nx_source_status stored; /* of the store's row; pub.status may have moved on by what probes found */
	uint64_t round;               /* of sync.c, that saw the row last */
	struct nx_body *body;
};

struct nx_body_parts {
	struct nx_str name, type_name, description, created_at, updated_at, changed_by, config, secrets;
};

/* Takes `options` over, also on failure. */
struct nx_body *nx_body_new(const struct nx_body_parts *p, struct nx_options *options);
void nx_body_unref(struct nx_body *b);
/* `b` goes on where `old` was; before it is published. */
void nx_body_follow(struct nx_body *b, const struct nx_body *old);
/* A snapshot with one reference. Takes a reference of `body` for itself. NULL: out of memory. */
struct nx_snapshot *nx_snapshot_new(struct nx_body *body, const char *id,
				    const struct nx_source_type *type, uint32_t version,
				    enum nx_source_status status);

/* Not published yet: an account with conditions is looked at before it serves. */
void nx_snapshot_hold(struct nx_snapshot *s);

static inline struct nx_snapshot *nx_snapshot_of(const struct nx_data_source *s)
{
	return (struct nx_snapshot *)(uintptr_t)s;
}

/* ---- build.c ---- */

/* What a POST or PUT says, checked at the top level. */
struct nx_source_request {
	struct nx_str name, type_name, description;
	const struct nx_source_type *type;
	const struct nx_json *config;
	bool has_status, has_version;
	enum nx_source_status status;
	int64_t version;
};

/* Checks everything but the config. */
void nx_source_request_read(const struct nx_json *body, struct nx_source_request *q, struct nx_rules *rules);
void nx_source_request_type(struct nx_source_request *q, struct nx_rules *rules); /* type from type_name */
NX_NODISCARD bool nx_status_of(struct nx_str s, enum nx_source_status *ret);

/* Of what a snapshot is made besides the request. */
struct nx_origin {
	char id[37];
	uint32_t version;
	enum nx_source_status status;
	struct nx_str created_at, updated_at; /* empty: now */
	struct nx_str changed_by;
	struct nx_str sealed;  /* secrets as they are stored already; with `save` they are sealed anew */
	const struct nx_json *old_secrets; /* flat object, or NULL */
	bool save;
	bool lenient; /* if all that is wrong is that Vault does not give a secret: made with that problem */
};

/* Checks the config and makes a snapshot with one reference. Broken rules are in `rules`, then *ret
 * stays as it is and the answer is NX_OK: nx_rules_end() turns them into an error. `vault` NULL: no
 * secrets can be kept [DS-011]. */
NX_NODISCARD enum nx_code nx_build(const struct nx_vault *vault, const struct nx_source_request *q,
				   const struct nx_origin *from, struct nx_arena *a,
				   struct nx_rules *rules, struct nx_snapshot **ret, struct nx_error *err);
/* The last step of nx_build() alone. Takes `options` over, also on failure. */
NX_NODISCARD enum nx_code nx_assemble(const struct nx_source_request *q, const struct nx_origin *from,
				      struct nx_str config, struct nx_str secrets,
				      struct nx_options *options, struct nx_snapshot **ret,
				      struct nx_error *err);
/* Decrypts and parses into the arena. *ret stays as it is when there are no secrets; the caller wipes
 * the tree. */
NX_NODISCARD enum nx_code nx_secrets_open(const struct nx_vault *vault, const char *id,
					  struct nx_str sealed, struct nx_arena *a,
					  const struct nx_json **ret, struct nx_error *err);

/* ---- table.c: snapshots by a string that they own ---- */

struct nx_slot {
	uint64_t hash;
	struct nx_str key;
	struct nx_snapshot *s; /* NULL: free */
};

struct nx_table {
	struct nx_slot *slots;
	size_t cap; /* power of two, or 0 */
	size_t count;
};

/* Room for so many more; false: out of memory. */
NX_NODISCARD bool nx_table_reserve(struct nx_table *t, uint32_t more);
/* Adds, or replaces the entry of an equal key; room was reserved. */
void nx_table_put(struct nx_table *t, struct nx_str key, struct nx_snapshot *s);
struct nx_snapshot *nx_table_get(const struct nx_table *t, struct nx_str key);
void nx_table_remove(struct nx_table *t, struct nx_str key);
void nx_table_done(struct nx_table *t);

/* ---- catalog.c: the registry; who changes it holds `writing` ---- */

struct nx_catalog {
	struct nx_store *store;
	struct nx_vault *vault; /* NULL: no key, no secrets [DS-011] */
	pthread_mutex_t writing;
	pthread_rwlock_t lock; /* the three below */
	struct nx_table by_id, by_name;
	struct nx_snapshot *
		*sorted; /* by name; count is that of the tables; each holds a reference */
	size_t sorted_cap;
	uint64_t round; /* of sync.c; `writing` */
	void (*on_change)(const struct nx_data_source *old, void *arg);
	void *on_change_arg;
};

/* A row of the store as a snapshot with one reference; one that cannot be built any more is there with its
 * `problem`. */
NX_NODISCARD enum nx_code nx_catalog_from_row(struct nx_catalog *c, const struct nx_store_source *row,
					      struct nx_snapshot **ret, struct nx_error *err);
/* The snapshot behind an id, without a reference: only writers drop snapshots, and the caller is the one. */
struct nx_snapshot *nx_catalog_current(struct nx_catalog *c, struct nx_str id);
/* Room in the tables, before anything is stored that could then not be linked. */
NX_NODISCARD enum nx_code nx_catalog_room(struct nx_catalog *c, uint32_t more, struct nx_error *err);
/* Both may be NULL. Room for `in` was reserved when it has no predecessor. A reference of `in` is taken
 * over, that of `out` given back to the caller. */
void nx_catalog_swap(struct nx_catalog *c, struct nx_snapshot *out, struct nx_snapshot *in);
/* After `writing` is released: `old`, taken out, is over; its reference is given back. NULL is fine. */
void nx_catalog_tell(struct nx_catalog *c, struct nx_snapshot *old);

/* Found and changeable through the API. */
NX_NODISCARD enum nx_code nx_catalog_for_change(struct nx_catalog *c, struct nx_str id,
						struct nx_snapshot **ret, struct nx_error *err);
/* The next version of `old`, stored and in its place; the caller tells. `sealed`: the secrets that those left
 * out or masked are taken from. */
NX_NODISCARD enum nx_code nx_catalog_replace_with(struct nx_catalog *c, struct nx_snapshot *old,
						  const struct nx_source_request *q, struct nx_str sealed,
						  struct nx_str by, struct nx_arena *a,
						  struct nx_rules *rules, struct nx_str *broken,
						  struct nx_snapshot **ret, struct nx_error *err);

/* A new source; `save` of `from` decides on the store. The result carries one reference for the caller. */
NX_NODISCARD enum nx_code nx_catalog_add_new(struct nx_catalog *c, const struct nx_source_request *q,
					     struct nx_origin *from, struct nx_arena *a,
					     struct nx_rules *rules, struct nx_str *broken,
					     struct nx_snapshot **ret, struct nx_error *err);
/* Would anybody notice the difference? Secrets count, status and version do not. */
bool nx_snapshot_same(const struct nx_snapshot *a, const struct nx_snapshot *b);

/* ---- refresh.c ---- */

/* What a change of this source may want of Vault is read now, before `writing` is taken. */
void nx_catalog_warm(struct nx_catalog *c, struct nx_str id_or_name);

#endif
