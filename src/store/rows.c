/* What the store keeps, row by row. Each function holds the lock from start to end. */
#include "store/store_int.h"

/* A source keeps this many old configs; older ones go with the update that exceeds it. */
#define VERSIONS_KEPT 50

static void lock(struct nx_store *s)
{
	pthread_mutex_lock(&s->lock);
}

static void unlock(struct nx_store *s)
{
	pthread_mutex_unlock(&s->lock);
}

/* A write of one statement, its transaction and its change. `none` unless NX_OK: what it is when no row
 * was found. The caller holds the lock and has bound the values. */
static enum nx_code write_one(struct nx_st *st, enum nx_code none, const char *text,
			      struct nx_error *err)
{
	struct nx_store *s = st->s;
	enum nx_code c = nx_store_begin(s, NX_TOPIC_SHARED, err);
	if (c) {
		nx_st_end(st);
		return c;
	}
	c = nx_st_run(st, err);
	if (!c && none && s->affected == 0)
		c = nx_fail(err, none, "%s", text);
	return nx_store_end(s, c, err);
}

/* ---- sources ---- */

typedef enum nx_code source_fn(const struct nx_store_source *row, void *arg, struct nx_error *err);

static enum nx_code each_source(struct nx_st *st, source_fn *fn, void *arg, struct nx_error *err)
{
	enum nx_code c = NX_OK;
	while (nx_st_next(st, &c, err)) {
		struct nx_store_source row = {
			.id = nx_st_col(st, 0),
			.name = nx_st_col(st, 1),
			.type = nx_st_col(st, 2),
			.description = nx_st_col(st, 3),
			.status = nx_st_col(st, 4),
			.config = nx_st_col(st, 5),
			.secrets = nx_st_col(st, 6),
			.created_at = nx_st_col(st, 7),
			.updated_at = nx_st_col(st, 8),
			.version = (uint32_t)nx_st_col_i64(st, 9),
			.changed_by = nx_st_col(st, 10),
		};
		c = fn(&row, arg, err);
		if (c) {
			nx_st_end(st);
			break;
		}
	}
	return c;
}

enum nx_code nx_store_sources(struct nx_store *s, source_fn *fn, void *arg, struct nx_error *err)
{
	lock(s);
	enum nx_code c = each_source(nx_st(s, NX_ST_SOURCE_LIST), fn, arg, err);
	unlock(s);
	return c;
}

enum nx_code nx_store_source_versions(struct nx_store *s, struct nx_str id, source_fn *fn,
				      void *arg, struct nx_error *err)
{
	lock(s);
	struct nx_st *st = nx_st(s, NX_ST_VERSION_LIST);
	nx_st_text(st, 1, id);
	enum nx_code c = each_source(st, fn, arg, err);
	unlock(s);
	return c;
}

static enum nx_code stored_version(struct nx_store *s, struct nx_str id, uint32_t *ret,
				   struct nx_error *err)
{
	struct nx_st *st = nx_st(s, NX_ST_SOURCE_VERSION);
	nx_st_text(st, 1, id);
	enum nx_code c = NX_OK;
	*ret = 0;
	if (!nx_st_next(st, &c, err))
		return c;
	*ret = (uint32_t)nx_st_col_i64(st, 0);
	nx_st_end(st);
	return NX_OK;
}

/* Moves the stored row to source_versions. */
static enum nx_code keep_version(struct nx_store *s, const struct nx_store_source *row,
				 struct nx_error *err)
{
	struct nx_st *st = nx_st(s, NX_ST_VERSION_KEEP);
	nx_st_text(st, 1, row->id);
	enum nx_code c = nx_st_run(st, err);
	if (c || row->version <= VERSIONS_KEPT + 1)
		return c;
	st = nx_st(s, NX_ST_VERSION_TRIM);
	nx_st_text(st, 1, row->id);
	nx_st_i64(st, 2, (int64_t)row->version - 1 - VERSIONS_KEPT);
	return nx_st_run(st, err);
}

static enum nx_code write_source(struct nx_store *s, enum nx_stmt which,
				 const struct nx_store_source *row, struct nx_error *err)
{
	struct nx_st *st = nx_st(s, which);
	nx_st_text(st, 1, row->id);
	nx_st_text(st, 2, row->name);
	nx_st_text(st, 3, row->type);
	nx_st_text(st, 4, row->description);
	nx_st_text(st, 5, row->status);
	nx_st_text(st, 6, row->config);
	nx_st_blob(st, 7, row->secrets);
	if (which == NX_ST_SOURCE_INSERT)
		nx_st_text(st, 8, row->created_at);
	nx_st_text(st, 9, row->updated_at);
	nx_st_i64(st, 10, row->version);
	nx_st_text(st, 11, row->changed_by);
	return nx_st_run_unique(st, NX_E_SOURCE_EXISTS,
				"DS-001: a data source of that name exists.", err);
}

/* In the transaction that nx_store_source_put() began: the stored version stands still. */
static enum nx_code put_source(struct nx_store *s, const struct nx_store_source *row,
			       struct nx_error *err)
{
	uint32_t have = 0;
	enum nx_code c = stored_version(s, row->id, &have, err);
	if (!c && have == 0 && row->version > 1)
		c = nx_fail(err, NX_E_SOURCE_NOT_FOUND, "No such data source.");
	else if (!c && row->version != have + 1)
		c = nx_fail(err, NX_E_SOURCE_CHANGED,
			    "The data source was changed by another request.");
	if (!c && have > 0)
		c = keep_version(s, row, err);
	if (!c)
		c = write_source(s, have ? NX_ST_SOURCE_UPDATE : NX_ST_SOURCE_INSERT, row, err);
	return c;
}

enum nx_code nx_store_source_put(struct nx_store *s, const struct nx_store_source *row,
				 struct nx_error *err)
{
	lock(s);
	enum nx_code c = nx_store_begin(s, NX_TOPIC_SHARED, err);
	if (!c)
		c = nx_store_end(s, put_source(s, row, err), err);
	unlock(s);
	return c;
}

static enum nx_code delete_source(struct nx_store *s, struct nx_str id, struct nx_error *err)
{
	static const enum nx_stmt all[] = { NX_ST_SOURCE_DELETE, NX_ST_VERSION_DELETE,
					    NX_ST_GRANT_DELETE };
	for (size_t i = 0; i < NX_COUNTOF(all); i++) {
		struct nx_st *st = nx_st(s, all[i]);
		nx_st_text(st, 1, id);
		enum nx_code c = nx_st_run(st, err);
		if (!c && i == 0 && s->affected == 0)
			c = nx_fail(err, NX_E_SOURCE_NOT_FOUND, "No such data source.");
		if (c)
			return c;
	}
	return NX_OK;
}

enum nx_code nx_store_source_delete(struct nx_store *s, struct nx_str id, struct nx_error *err)
{
	lock(s);
	enum nx_code c = nx_store_begin(s, NX_TOPIC_SHARED, err);
	if (!c)
		c = nx_store_end(s, delete_source(s, id, err), err);
	unlock(s);
	return c;
}

enum nx_code nx_store_source_status(struct nx_store *s, struct nx_str id, struct nx_str status,
				    struct nx_error *err)
{
	lock(s);
	struct nx_st *st = nx_st(s, NX_ST_SOURCE_STATUS);
	nx_st_text(st, 1, id);
	nx_st_text(st, 2, status);
	enum nx_code c = write_one(st, NX_E_SOURCE_NOT_FOUND, "No such data source.", err);
	unlock(s);
	return c;
}

/* ---- API keys ---- */

static enum nx_code put_key(struct nx_store *s, const struct nx_store_key *k, struct nx_error *err)
{
	struct nx_st *st = nx_st(s, NX_ST_KEY_PUT);
	nx_st_text(st, 1, k->id);
	nx_st_text(st, 2, k->name);
	nx_st_text(st, 3, k->prefix);
	nx_st_text(st, 4, k->role);
	nx_st_blob(st, 5, nx_strn((const char *)k->hash, sizeof(k->hash)));
	nx_st_text(st, 6, k->created_at);
	nx_st_text(st, 7, k->expires_at);
	nx_st_text(st, 8, k->limits);
	return nx_st_run_unique(st, NX_E_CONFLICT, "An API key of that id or prefix exists.", err);
}

enum nx_code nx_store_key_put(struct nx_store *s, const struct nx_store_key *k,
			      struct nx_error *err)
{
	lock(s);
	enum nx_code c = nx_store_begin(s, NX_TOPIC_SHARED, err);
	if (!c)
		c = nx_store_end(s, put_key(s, k, err), err);
	unlock(s);
	return c;
}

enum nx_code nx_store_key_delete(struct nx_store *s, struct nx_str id, struct nx_error *err)
{
	lock(s);
	struct nx_st *st = nx_st(s, NX_ST_KEY_DELETE);
	nx_st_text(st, 1, id);
	enum nx_code c = write_one(st, NX_E_NOT_FOUND, "No such API key.", err);
	unlock(s);
	return c;
}

enum nx_code nx_store_keys(struct nx_store *s,
			   enum nx_code (*fn)(const struct nx_store_key *k, void *arg,
					      struct nx_error *err),
			   void *arg, struct nx_error *err)
{
	lock(s);
	struct nx_st *st = nx_st(s, NX_ST_KEY_LIST);
	enum nx_code c = NX_OK;
	while (nx_st_next(st, &c, err)) {
		struct nx_store_key k = {
			.id = nx_st_col(st, 0),
			.name = nx_st_col(st, 1),
			.prefix = nx_st_col(st, 2),
			.role = nx_st_col(st, 3),
			.created_at = nx_st_col(st, 5),
			.expires_at = nx_st_col(st, 6),
			.limits = nx_st_col(st, 7),
			.last_used_at = nx_st_col(st, 8),
		};
		struct nx_str hash = nx_st_col(st, 4);
		if (hash.len == sizeof(k.hash)) {
			memcpy(k.hash, hash.ptr, sizeof(k.hash));
			c = fn(&k, arg, err);
		} else {
			c = nx_fail(err, NX_E_STORE_FAILED,
				    "The metadata store holds a damaged API key.");
		}
		if (c) {
			nx_st_end(st);
			break;
		}
	}
	unlock(s);
	return c;
}

enum nx_code nx_store_keys_used(struct nx_store *s, const struct nx_store_key_use *use, uint32_t n,
				struct nx_error *err)
{
	lock(s);
	enum nx_code c = nx_store_begin(s, NX_TOPIC_NONE, err);
	bool begun = !c;
	for (uint32_t i = 0; !c && i < n; i++) {
		struct nx_st *st = nx_st(s, NX_ST_KEY_USED);
		nx_st_text(st, 1, use[i].id);
		nx_st_text(st, 2, nx_str(use[i].at));
		c = nx_st_run(st, err);
	}
	if (begun)
		c = nx_store_end(s, c, err);
	unlock(s);
	return c;
}

/* ---- grants ---- */

enum nx_code nx_store_grants(struct nx_store *s,
			     enum nx_code (*fn)(struct nx_str source, struct nx_str list, void *arg,
						struct nx_error *err),
			     void *arg, struct nx_error *err)
{
	lock(s);
	struct nx_st *st = nx_st(s, NX_ST_GRANT_LIST);
	enum nx_code c = NX_OK;
	while (nx_st_next(st, &c, err)) {
		c = fn(nx_st_col(st, 0), nx_st_col(st, 1), arg, err);
		if (c) {
			nx_st_end(st);
			break;
		}
	}
	unlock(s);
	return c;
}

enum nx_code nx_store_grants_put(struct nx_store *s, struct nx_str source, struct nx_str list,
				 struct nx_error *err)
{
	lock(s);
	struct nx_st *st = nx_st(s, list.ptr ? NX_ST_GRANT_PUT : NX_ST_GRANT_DELETE);
	nx_st_text(st, 1, source);
	if (list.ptr)
		nx_st_text(st, 2, list);
	enum nx_code c = write_one(st, NX_OK, NULL, err);
	unlock(s);
	return c;
}

/* ---- settings ---- */

static enum nx_code get_setting(struct nx_store *s, const char *name, struct nx_arena *a,
				struct nx_str *ret, struct nx_error *err)
{
	struct nx_st *st = nx_st(s, NX_ST_SETTING_GET);
	nx_st_text(st, 1, nx_str(name));
	enum nx_code c = NX_OK;
	if (nx_st_next(st, &c, err)) {
		struct nx_str v = nx_arena_str(a, nx_st_col(st, 0));
		nx_st_end(st);
		if (v.ptr)
			*ret = v;
		else
			c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	} else if (!c) {
		c = nx_fail(err, NX_E_NOT_FOUND, "No such setting.");
	}
	return c;
}

enum nx_code nx_store_setting_get(struct nx_store *s, const char *name, struct nx_arena *a,
				  struct nx_str *ret, struct nx_error *err)
{
	lock(s);
	enum nx_code c = get_setting(s, name, a, ret, err);
	unlock(s);
	return c;
}

enum nx_code nx_store_setting_put(struct nx_store *s, const char *name, struct nx_str value,
				  struct nx_error *err)
{
	lock(s);
	struct nx_st *st = nx_st(s, NX_ST_SETTING_PUT);
	nx_st_text(st, 1, nx_str(name));
	nx_st_blob(st, 2, value);
	enum nx_code c = write_one(st, NX_OK, NULL, err);
	unlock(s);
	return c;
}

static enum nx_code put_setting(struct nx_store *s, const char *name, struct nx_str value,
				struct nx_error *err)
{
	struct nx_st *st = nx_st(s, NX_ST_SETTING_PUT);
	nx_st_text(st, 1, nx_str(name));
	nx_st_blob(st, 2, value);
	return nx_st_run(st, err);
}

static enum nx_code swap_setting(struct nx_store *s, const char *name, struct nx_str old,
				 struct nx_str value, struct nx_error *err)
{
	struct nx_st *st = nx_st(s, NX_ST_SETTING_GET);
	nx_st_text(st, 1, nx_str(name));
	enum nx_code c = NX_OK;
	bool same = old.len == 0;
	if (nx_st_next(st, &c, err)) {
		same = nx_str_eq(old, nx_st_col(st, 0));
		nx_st_end(st);
	} else {
		same = same && !c;
	}
	if (c)
		return c;
	return same ? put_setting(s, name, value, err)
		    : nx_fail(err, NX_E_CONFLICT, "The setting was changed by another instance.");
}

enum nx_code nx_store_setting_swap(struct nx_store *s, const char *name, struct nx_str old,
				   struct nx_str value, struct nx_error *err)
{
	lock(s);
	enum nx_code c = nx_store_begin(s, NX_TOPIC_SHARED, err);
	if (!c)
		c = nx_store_end(s, swap_setting(s, name, old, value, err), err);
	unlock(s);
	return c;
}

/* In a transaction: as it is, or as it is now. */
static enum nx_code setting_init(struct nx_store *s, const char *name, struct nx_str value,
				 struct nx_arena *a, struct nx_str *ret, struct nx_error *err)
{
	enum nx_code c = get_setting(s, name, a, ret, err);
	if (c != NX_E_NOT_FOUND)
		return c;
	c = put_setting(s, name, value, err);
	if (!c)
		*ret = value;
	return c;
}

enum nx_code nx_store_setting_init(struct nx_store *s, const char *name, struct nx_str value,
				   struct nx_arena *a, struct nx_str *ret, struct nx_error *err)
{
	struct nx_str v = { 0 };
	lock(s);
	enum nx_code c = nx_store_begin(s, NX_TOPIC_SHARED, err);
	if (!c)
		c = nx_store_end(s, setting_init(s, name, value, a, &v, err), err);
	unlock(s);
	if (!c)
		*ret = v;
	return c;
}
