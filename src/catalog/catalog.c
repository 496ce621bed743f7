/* The registry and its writes.
 *
 * Two locks, always in this order: `writing` is held over a whole change, store included, so changes
 * come one after another; `lock` guards the tables and is held for a look-up or a swap only, never
 * over I/O or a callback. A reader gets a reference to an immutable snapshot and no lock at all. */
#include "catalog/catalog_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "secrets/secrets.h"

#define SOURCES_MAX 100000u
#define SCRATCH_MAX ((size_t)16 << 20)

static const struct nx_source_type unknown_type = {
	"unknown", "unknown", "",	    NX_D_POSTGRESQL,
	0,	   NULL,      "unverified", "Not a type of this build.",
	NULL,
};

/* ---- tables ---- */

static int by_name(struct nx_str a, struct nx_str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int d = n ? memcmp(a.ptr, b.ptr, n) : 0;
	return d ? d : (a.len > b.len) - (a.len < b.len);
}

/* Where `name` is or belongs. */
static size_t position(const struct nx_catalog *c, struct nx_str name)
{
	size_t lo = 0, hi = c->by_id.count;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (by_name(c->sorted[mid]->pub.name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool reserve(struct nx_catalog *c, uint32_t more)
{
	if (c->by_id.count + more > c->sorted_cap) {
		size_t cap = c->sorted_cap ? c->sorted_cap * 2 : 64;
		while (cap < c->by_id.count + more)
			cap *= 2;
		struct nx_snapshot **p = reallocarray(c->sorted, cap, sizeof(*p));
		if (!p)
			return false;
		c->sorted = p;
		c->sorted_cap = cap;
	}
	return nx_table_reserve(&c->by_id, more) && nx_table_reserve(&c->by_name, more);
}

/* Takes one reference over. Room was reserved. Lock held. */
static void link_in(struct nx_catalog *c, struct nx_snapshot *s)
{
	size_t at = position(c, s->pub.name);
	memmove(c->sorted + at + 1, c->sorted + at, (c->by_id.count - at) * sizeof(*c->sorted));
	c->sorted[at] = s;
	nx_table_put(&c->by_id, nx_str(s->pub.id), s);
	nx_table_put(&c->by_name, s->pub.name, s);
}

/* The caller gets the reference. Lock held. */
static void link_out(struct nx_catalog *c, struct nx_snapshot *s)
{
	size_t at = position(c, s->pub.name);
	memmove(c->sorted + at, c->sorted + at + 1, (c->by_id.count - at - 1) * sizeof(*c->sorted));
	nx_table_remove(&c->by_id, nx_str(s->pub.id));
	nx_table_remove(&c->by_name, s->pub.name);
}

void nx_catalog_swap(struct nx_catalog *c, struct nx_snapshot *out, struct nx_snapshot *in)
{
	pthread_rwlock_wrlock(&c->lock);
	if (out)
		link_out(c, out);
	if (in)
		link_in(c, in);
	pthread_rwlock_unlock(&c->lock);
}

void nx_catalog_tell(struct nx_catalog *c, struct nx_snapshot *old)
{
	if (!old)
		return;
	atomic_store(&old->replaced, true);
	if (c->on_change)
		c->on_change(&old->pub, c->on_change_arg);
	nx_data_source_unref(&old->pub);
}

/* ---- loading ---- */

/* Kept, shown, and not usable. */
static enum nx_code load_broken(struct nx_str config, struct nx_source_request *q,
				struct nx_origin *from, const struct nx_error *why,
				struct nx_snapshot **ret, struct nx_error *err)
{
	struct nx_options *o = nx_options_new();
	if (!o || nx_options_defaults(o, nx_options_common, NULL) != NX_OK) {
		nx_options_free(o);
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	if (!q->type)
		q->type = &unknown_type;
	from->status = NX_SOURCE_ERROR;
	enum nx_code code = nx_assemble(q, from, config, from->sealed, o, ret, err);
	if (code)
		return code;
	(*ret)->pub.problem = why->code;
	memcpy((*ret)->pub.problem_text, why->message, sizeof(why->message));
	nx_log(NX_LOG_WARN, "source", "source %s cannot be used: %s: %s", from->id,
	       nx_code_name(why->code), why->message);
	return NX_OK;
}

static enum nx_code build_row(struct nx_catalog *c, const struct nx_store_source *row,
			      struct nx_source_request *q, struct nx_origin *from,
			      struct nx_arena *a, struct nx_snapshot **ret, struct nx_error *err)
{
	struct nx_rules rules;
	const struct nx_json *config = NULL, *secrets = NULL;
	nx_rules_init(&rules);
	nx_source_request_type(q, &rules);
	enum nx_code code = nx_json_parse(row->config, a, &config, err);
	if (!code)
		code = nx_secrets_open(c->vault, from->id, row->secrets, a, &secrets, err);
	q->config = config;
	from->old_secrets = secrets;
	struct nx_snapshot *s = NULL;
	if (!code)
		code = nx_build(c->vault, q, from, a, &rules, &s, err);
	if (!code)
		code = nx_rules_end(&rules, a, NULL, err);
	if (secrets)
		nx_json_wipe(secrets);
	nx_rules_done(&rules);
	if (!code)
		*ret = s;
	return code;
}

enum nx_code nx_catalog_from_row(struct nx_catalog *c, const struct nx_store_source *row,
				 struct nx_snapshot **ret, struct nx_error *err)
{
	struct nx_source_request q = { .name = row->name,
				       .type_name = row->type,
				       .description = row->description };
	struct nx_origin from = { .version = row->version,
				  .created_at = row->created_at,
				  .updated_at = row->updated_at,
				  .changed_by = row->changed_by,
				  .sealed = row->secrets,
				  .lenient = true };
	struct nx_snapshot *s = NULL;
	struct nx_error why;
	if (row->id.len != sizeof(from.id) - 1 || !nx_status_of(row->status, &from.status))
		return nx_fail(err, NX_E_STORE_FAILED,
			       "The metadata store holds a damaged data source.");
	memcpy(from.id, row->id.ptr, row->id.len);
	enum nx_source_status stored = from.status;
	struct nx_arena *a = nx_arena_new(SCRATCH_MAX);
	enum nx_code code = a ? build_row(c, row, &q, &from, a, &s, &why)
			      : nx_fail(&why, NX_E_MEMORY, "Out of memory.");
	if (code == NX_E_MEMORY)
		(void)nx_fail(err, code, "%s", why.message);
	else if (code)
		code = load_broken(row->config, &q, &from, &why, &s, err);
	nx_arena_free(a);
	if (code)
		return code;
	if (!s->pub.driver && s->pub.status == NX_SOURCE_ACTIVE)
		s->pub.status = NX_SOURCE_DRAFT; /* an older or fuller build made it active */
	s->stored = stored;
	*ret = s;
	return NX_OK;
}

static enum nx_code load(const struct nx_store_source *row, void *arg, struct nx_error *err)
{
	struct nx_catalog *c = arg;
	struct nx_snapshot *s;
	if (!reserve(c, 1))
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	enum nx_code code = nx_catalog_from_row(c, row, &s, err);
	if (!code) {
		nx_snapshot_hold(s);
		link_in(c, s);
	}
	return code;
}

enum nx_code nx_catalog_open(struct nx_store *store, const uint8_t key[32], struct nx_catalog **ret,
			     struct nx_error *err)
{
	struct nx_catalog *c = calloc(1, sizeof(*c));
	if (!c)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	c->store = store;
	pthread_mutex_init(&c->writing, NULL);
	pthread_rwlock_init(&c->lock, NULL);
	enum nx_code code = key ? nx_vault_new(key, &c->vault, err) : NX_OK;
	if (!code && store)
		code = nx_store_sources(store, load, c, err);
	if (code) {
		nx_catalog_free(c);
		return code;
	}
	*ret = c;
	return NX_OK;
}

void nx_catalog_free(struct nx_catalog *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->by_id.count; i++)
		nx_data_source_unref(&c->sorted[i]->pub);
	free(c->sorted);
	nx_table_done(&c->by_id);
	nx_table_done(&c->by_name);
	nx_vault_free(c->vault);
	pthread_rwlock_destroy(&c->lock);
	pthread_mutex_destroy(&c->writing);
	free(c);
}

void nx_catalog_on_change(struct nx_catalog *c,
			  void (*fn)(const struct nx_data_source *old, void *arg), void *arg)
{
	pthread_mutex_lock(&c->writing);
	c->on_change = fn;
	c->on_change_arg = arg;
	pthread_mutex_unlock(&c->writing);
}

/* ---- look-ups ---- */

static enum nx_code not_found(struct nx_error *err)
{
	return nx_fail(err, NX_E_SOURCE_NOT_FOUND, "No such data source.");
}

enum nx_code nx_catalog_get(struct nx_catalog *c, struct nx_str id_or_name,
			    const struct nx_data_source **ret, struct nx_error *err)
{
	pthread_rwlock_rdlock(&c->lock);
	struct nx_snapshot *s = id_or_name.len == 36 ? nx_table_get(&c->by_id, id_or_name) : NULL;
	if (!s)
		s = nx_table_get(&c->by_name, id_or_name);
	if (s)
		nx_data_source_ref(&s->pub);
	pthread_rwlock_unlock(&c->lock);
	if (!s)
		return not_found(err);
	*ret = &s->pub;
	return NX_OK;
}

enum nx_code nx_catalog_list(struct nx_catalog *c, struct nx_str type, struct nx_str status,
			     uint32_t offset, uint32_t limit, uint32_t *ret_total,
			     void (*fn)(const struct nx_data_source *s, void *arg), void *arg,
			     struct nx_error *err)
{
	enum nx_source_status want = NX_SOURCE_DRAFT;
	if (status.len && !nx_status_of(status, &want))
		return nx_fail(err, NX_E_BAD_VALUE,
			       "status must be draft, active, inactive or error.");
	uint32_t total = 0, n = 0;
	pthread_rwlock_rdlock(&c->lock);
	size_t room = limit < c->by_id.count ? limit : c->by_id.count;
	struct nx_snapshot **page = calloc(room + 1, sizeof(*page));
	for (size_t i = 0; page && i < c->by_id.count; i++) {
		struct nx_snapshot *s = c->sorted[i];
		if ((type.len && !nx_str_eq(type, s->body->type_name)) ||
		    (status.len && s->pub.status != want))
			continue;
		if (total++ < offset || n >= room)
			continue;
		nx_data_source_ref(&s->pub);
		page[n++] = s;
	}
	pthread_rwlock_unlock(&c->lock);
	if (!page)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	for (uint32_t i = 0; i < n; i++) {
		fn(&page[i]->pub, arg);
		nx_data_source_unref(&page[i]->pub);
	}
	free(page);
	*ret_total = total;
	return NX_OK;
}

/* ---- changes; `writing` is held ---- */

static struct nx_store_source row_of(const struct nx_snapshot *s)
{
	return (struct nx_store_source){
		.id = nx_str(s->pub.id),
		.name = s->pub.name,
		.type = s->body->type_name,
		.description = s->pub.description,
		.status = nx_str(nx_source_status_name(s->pub.status)),
		.config = s->body->config,
		.secrets = s->body->secrets,
		.created_at = s->pub.created_at,
		.updated_at = s->pub.updated_at,
		.changed_by = s->body->changed_by,
		.version = s->pub.version,
	};
}

struct nx_snapshot *nx_catalog_current(struct nx_catalog *c, struct nx_str id)
{
	pthread_rwlock_rdlock(&c->lock);
	struct nx_snapshot *s = nx_table_get(&c->by_id, id);
	pthread_rwlock_unlock(&c->lock);
	return s;
}

static bool name_taken(struct nx_catalog *c, struct nx_str name, const struct nx_snapshot *but)
{
	pthread_rwlock_rdlock(&c->lock);
	struct nx_snapshot *s = nx_table_get(&c->by_name, name);
	pthread_rwlock_unlock(&c->lock);
	return s && s != but;
}

static void check_name_free(struct nx_catalog *c, const struct nx_source_request *q,
			    const struct nx_snapshot *but, struct nx_rules *rules)
{
	if (q->name.len && name_taken(c, q->name, but))
		nx_rules_add(rules, NX_E_SOURCE_EXISTS, "DS-001", "name",
			     "A data source of that name exists.");
}

enum nx_code nx_catalog_room(struct nx_catalog *c, uint32_t more, struct nx_error *err)
{
	pthread_rwlock_wrlock(&c->lock);
	bool full = c->by_id.count + more > SOURCES_MAX;
	bool ok = !full && reserve(c, more);
	pthread_rwlock_unlock(&c->lock);
	if (full)
		return nx_fail(err, NX_E_OVERLOADED, "There are too many data sources.");
	return ok ? NX_OK : nx_fail(err, NX_E_MEMORY, "Out of memory.");
}

enum nx_code nx_catalog_add_new(struct nx_catalog *c, const struct nx_source_request *q,
				struct nx_origin *from, struct nx_arena *a, struct nx_rules *rules,
				struct nx_str *broken, struct nx_snapshot **ret,
				struct nx_error *err)
{
	struct nx_snapshot *s = NULL;
	check_name_free(c, q, NULL, rules);
	enum nx_code code = nx_build(c->vault, q, from, a, rules, &s, err);
	if (!code)
		code = nx_rules_end(rules, a, broken, err);
	if (!code)
		code = nx_catalog_room(c, 1, err);
	if (!code)
		nx_snapshot_hold(s);
	if (!code && from->save) {
		struct nx_store_source row = row_of(s);
		code = nx_store_source_put(c->store, &row, err);
	}
	if (code) {
		nx_data_source_unref(s ? &s->pub : NULL);
		return code;
	}
	s->pub.from_config = !from->save;
	s->stored = s->pub.status;
	nx_data_source_ref(&s->pub);
	nx_catalog_swap(c, NULL, s);
	*ret = s;
	return NX_OK;
}

static void hand_out(struct nx_snapshot *s, const struct nx_data_source **ret)
{
	if (ret)
		*ret = &s->pub;
	else
		nx_data_source_unref(&s->pub);
}

enum nx_code nx_catalog_create(struct nx_catalog *c, const struct nx_json *body, struct nx_str by,
			       struct nx_arena *a, struct nx_str *broken,
			       const struct nx_data_source **ret, struct nx_error *err)
{
	struct nx_source_request q;
	struct nx_rules rules;
	struct nx_snapshot *s = NULL;
	nx_rules_init(&rules);
	nx_source_request_read(body, &q, &rules);
	struct nx_origin from = {
		.version = 1, .status = q.status, .changed_by = by, .save = true
	};
	nx_uuid(from.id);
	nx_secret_warm(body);
	pthread_mutex_lock(&c->writing);
	enum nx_code code = nx_catalog_add_new(c, &q, &from, a, &rules, broken, &s, err);
	pthread_mutex_unlock(&c->writing);
	nx_rules_done(&rules);
	if (!code)
		hand_out(s, ret);
	return code;
}

enum nx_code nx_catalog_for_change(struct nx_catalog *c, struct nx_str id, struct nx_snapshot **ret,
				   struct nx_error *err)
{
	struct nx_snapshot *s = nx_catalog_current(c, id);
	if (!s)
		return not_found(err);
	if (s->pub.from_config)
		return nx_fail(
			err, NX_E_FORBIDDEN,
			"The data source is declared in the configuration file; change it there.");
	*ret = s;
	return NX_OK;
}

enum nx_code nx_catalog_replace_with(struct nx_catalog *c, struct nx_snapshot *old,
				     const struct nx_source_request *q, struct nx_str sealed,
				     struct nx_str by, struct nx_arena *a, struct nx_rules *rules,
				     struct nx_str *broken, struct nx_snapshot **ret,
				     struct nx_error *err)
{
	struct nx_origin from = { .version = old->pub.version + 1,
				  .created_at = old->pub.created_at,
				  .changed_by = by,
				  .save = true };
	const struct nx_json *secrets = NULL;
	struct nx_snapshot *s = NULL;
	memcpy(from.id, old->pub.id, sizeof(from.id));
	from.status = q->has_status			   ? q->status
		      : old->pub.status == NX_SOURCE_ERROR ? NX_SOURCE_DRAFT
							   : old->pub.status;
	if (q->type && !nx_driver_find(q->type->driver) && from.status == NX_SOURCE_ACTIVE)
		from.status = NX_SOURCE_DRAFT;
	if (q->has_version && q->version != old->pub.version)
		return nx_fail(err, NX_E_SOURCE_CHANGED,
			       "The data source is at version %u, not %lld.", old->pub.version,
			       (long long)q->version);
	check_name_free(c, q, old, rules);
	enum nx_code code = nx_secrets_open(c->vault, from.id, sealed, a, &secrets, err);
	/* Secrets that do not open are no reason to refuse the PUT that brings new ones. */
	if (code && code != NX_E_CREDENTIAL_INVALID)
		return code;
	from.old_secrets = secrets;
	code = nx_build(c->vault, q, &from, a, rules, &s, err);
	if (secrets)
		nx_json_wipe(secrets);
	if (!code)
		code = nx_rules_end(rules, a, broken, err);
	if (!code) {
		nx_body_follow(s->body, old->body);
		nx_snapshot_hold(s);
		struct nx_store_source row = row_of(s);
		code = nx_store_source_put(c->store, &row, err);
	}
	if (code) {
		nx_data_source_unref(s ? &s->pub : NULL);
		return code;
	}
	s->stored = s->pub.status;
	nx_data_source_ref(&s->pub);
	nx_catalog_swap(c, old, s);
	*ret = s;
	return NX_OK;
}

enum nx_code nx_catalog_replace(struct nx_catalog *c, struct nx_str id, const struct nx_json *body,
				struct nx_str by, struct nx_arena *a, struct nx_str *broken,
				const struct nx_data_source **ret, struct nx_error *err)
{
	struct nx_source_request q;
	struct nx_rules rules;
	struct nx_snapshot *old = NULL, *s = NULL;
	nx_rules_init(&rules);
	nx_source_request_read(body, &q, &rules);
	nx_secret_warm(body);
	nx_catalog_warm(c, id);
	pthread_mutex_lock(&c->writing);
	enum nx_code code = nx_catalog_for_change(c, id, &old, err);
	if (!code)
		code = nx_catalog_replace_with(c, old, &q, old->body->secrets, by, a, &rules,
					       broken, &s, err);
	pthread_mutex_unlock(&c->writing);
	nx_rules_done(&rules);
	if (code)
		return code;
	nx_catalog_tell(c, old);
	hand_out(s, ret);
	return NX_OK;
}

enum nx_code nx_catalog_delete(struct nx_catalog *c, struct nx_str id, struct nx_error *err)
{
	struct nx_snapshot *old = NULL;
	pthread_mutex_lock(&c->writing);
	enum nx_code code = nx_catalog_for_change(c, id, &old, err);
	if (!code)
		code = nx_store_source_delete(c->store, id, err);
	if (!code)
		nx_catalog_swap(c, old, NULL);
	pthread_mutex_unlock(&c->writing);
	if (!code)
		nx_catalog_tell(c, old);
	return code;
}

static enum nx_code change_status(struct nx_catalog *c, struct nx_snapshot *old,
				  enum nx_source_status status, bool save, struct nx_error *err)
{
	if (status == NX_SOURCE_ACTIVE && !old->pub.driver)
		return nx_fail(err, NX_E_DRIVER_NOT_BUILT,
			       "The driver of type " NX_STR_FMT " is not built in.",
			       NX_STR_ARG(old->body->type_name));
	if (status == NX_SOURCE_ACTIVE && old->pub.problem)
		return nx_fail(err, old->pub.problem, "%s", old->pub.problem_text);
	struct nx_snapshot *s =
		nx_snapshot_new(old->body, old->pub.id, old->pub.type, old->pub.version, status);
	if (!s)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	s->pub.from_config = old->pub.from_config;
	s->stored = save ? status : old->stored;
	s->in_vault = old->in_vault;
	s->was = status;
	s->pub.problem = old->pub.problem;
	memcpy(s->pub.problem_text, old->pub.problem_text, sizeof(s->pub.problem_text));
	enum nx_code code =
		!save || old->pub.from_config
			? NX_OK
			: nx_store_source_status(c->store, nx_str(old->pub.id),
						 nx_str(nx_source_status_name(status)), err);
	if (code) {
		nx_data_source_unref(&s->pub);
		return code;
	}
	nx_catalog_swap(c, old, s);
	return NX_OK;
}

enum nx_code nx_catalog_set_status(struct nx_catalog *c, struct nx_str id,
				   enum nx_source_status status, struct nx_error *err)
{
	pthread_mutex_lock(&c->writing);
	struct nx_snapshot *old = nx_catalog_current(c, id);
	bool same = old && old->pub.status == status;
	enum nx_code code = !old   ? not_found(err)
			    : same ? NX_OK
				   : change_status(c, old, status, true, err);
	pthread_mutex_unlock(&c->writing);
	if (!code && !same)
		nx_catalog_tell(c, old);
	return code;
}

enum nx_code nx_catalog_event(struct nx_catalog *c, const struct nx_data_source *was,
			      enum nx_source_event e, struct nx_error *err)
{
	enum nx_code code = NX_OK;
	bool changed = false;
	pthread_mutex_lock(&c->writing);
	struct nx_snapshot *old = nx_catalog_current(c, nx_str(was->id));
	if (!old) {
		code = not_found(err);
	} else if (old->body != nx_snapshot_of(was)->body) {
		code = nx_fail(err, NX_E_SOURCE_CHANGED,
			       "The data source was changed meanwhile; try again.");
	} else {
		enum nx_source_status want = nx_source_next(old->pub.status, e);
		changed = want != old->pub.status;
		code = changed ? change_status(c, old, want, true, err) : NX_OK;
	}
	pthread_mutex_unlock(&c->writing);
	if (!code && changed)
		nx_catalog_tell(c, old);
	return code;
}

bool nx_catalog_note_status(struct nx_catalog *c, const struct nx_data_source *was,
			    enum nx_source_status status)
{
	struct nx_error err;
	pthread_mutex_lock(&c->writing);
	struct nx_snapshot *old = nx_catalog_current(c, nx_str(was->id));
	bool ok = old && &old->pub == was && was->status != status &&
		  change_status(c, old, status, false, &err) == NX_OK;
	pthread_mutex_unlock(&c->writing);
	if (ok)
		nx_catalog_tell(c, old);
	return ok;
}

/* ---- sources that are not in the store ---- */

enum nx_code nx_catalog_build(struct nx_catalog *c, const struct nx_json *body, struct nx_arena *a,
			      struct nx_str *broken, const struct nx_data_source **ret,
			      struct nx_error *err)
{
	struct nx_source_request q;
	struct nx_rules rules;
	struct nx_snapshot *s = NULL;
	nx_rules_init(&rules);
	nx_source_request_read(body, &q, &rules);
	struct nx_origin from = { .version = 1, .status = q.status };
	nx_uuid(from.id);
	enum nx_code code = nx_build(c->vault, &q, &from, a, &rules, &s, err);
	if (!code)
		code = nx_rules_end(&rules, a, broken, err);
	nx_rules_done(&rules);
	if (code) {
		nx_data_source_unref(s ? &s->pub : NULL);
		return code;
	}
	atomic_store(&s->replaced, true); /* nobody will ask for it again: its pool does not stay */
	*ret = &s->pub;
	return NX_OK;
}
