#include "gate/schemas.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "gate/request.h"

/* After a failed load requests get its error for this long: a dead source is not asked by each. */
#define FAILED_FOR (NX_SEC)
/* How often a waiting request looks whether its client is still there. */
#define TICK (100 * NX_MS)

struct entry {
	struct entry *next;
	const struct nx_data_source *source; /* referenced; its options tell a changed config */
	struct nx_dbschema *schema; /* NULL: not loaded yet */
	bool loading, forgotten; /* forgotten: not listed any more, goes when its load ends */
	uint32_t waiting;
	int64_t used, failed_at; /* failed_at 0: the last load went well */
	struct nx_error error;
};

struct nx_schemas {
	struct nx_schemas_config cfg;
	struct nx_exec *exec;
	pthread_mutex_t lock;
	pthread_cond_t loaded;
	struct entry *first;
	uint32_t waiting;
	struct nx_schemas_stats stats;
};

struct load {
	struct nx_job job;
	struct nx_schemas *owner;
	struct entry *entry;
	const struct nx_data_source *source; /* referenced */
	struct nx_arena *arena; /* of the queries */
	struct nx_arena *rows; /* of a row at a time */
	struct nx_dbschema *schema;
	struct nx_conn *conn;
	enum nx_conn_state state;
	struct nx_error err;
};

struct nx_schemas *nx_schemas_new(const struct nx_schemas_config *cfg, struct nx_exec *exec)
{
	struct nx_schemas *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->cfg = *cfg;
	s->cfg.limits.bytes = cfg->cache_bytes / 4; /* so that one source leaves room for others */
	s->exec = exec;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_t mono;
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&s->loaded, &mono);
	pthread_condattr_destroy(&mono);
	return s;
}

static void entry_free(struct entry *e)
{
	nx_dbschema_unref(e->schema);
	nx_data_source_unref(e->source);
	free(e);
}

void nx_schemas_free(struct nx_schemas *s)
{
	if (!s)
		return;
	while (s->first) {
		struct entry *e = s->first;
		s->first = e->next;
		entry_free(e);
	}
	pthread_cond_destroy(&s->loaded);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* ---- loading: one job, the driver's rows as NDJSON arrays ----
 * A driver may hand out batches of any layout, or bytes that another process has encoded. JSON is what
 * both have in common, and a schema is small. */

/* A row's cells by the names of the fixed columns. */
struct cells {
	const struct nx_json *v[16];
	const struct nx_schema *schema;
};

static struct nx_str cell(const struct cells *c, const char *name)
{
	for (uint32_t i = 0; i < c->schema->nfields && i < NX_COUNTOF(c->v); i++)
		if (nx_str_is(c->schema->fields[i].name, name) && c->v[i] &&
		    c->v[i]->kind != NX_JSON_NULL)
			return c->v[i]->text;
	return (struct nx_str){ NULL, 0 };
}

/* As cell(), and an empty text is none. */
static struct nx_str text(const struct cells *c, const char *name)
{
	struct nx_str s = cell(c, name);
	return s.len ? s : (struct nx_str){ NULL, 0 };
}

static uint32_t number(const struct cells *c, const char *name)
{
	uint64_t n;
	return nx_str_to_u64(cell(c, name), &n) && n <= UINT32_MAX ? (uint32_t)n : 0;
}

static bool take_table(struct nx_dbschema *s, const struct cells *c)
{
	int64_t rows;
	struct nx_db_table t = { .schema = text(c, "schema"),
				 .name = cell(c, "name"),
				 .kind = text(c, "kind"),
				 .comment = text(c, "comment"),
				 .row_estimate = -1 };
	if (nx_str_to_i64(cell(c, "row_estimate"), &rows) && rows >= 0)
		t.row_estimate = rows;
	return nx_dbschema_add_table(s, &t);
}

static bool take_column(struct nx_dbschema *s, const struct cells *c)
{
	struct nx_str nullable = cell(c, "nullable");
	struct nx_db_column t = { .of_schema = text(c, "schema"),
				  .of_table = cell(c, "table"),
				  .name = cell(c, "name"),
				  .native = text(c, "type"),
				  .key = text(c, "key"),
				  .comment = text(c, "comment"),
				  .dflt = cell(c, "default"),
				  .position = number(c, "position"),
				  .nullable = nx_str_is(nullable, "true")    ? 1
					      : nx_str_is(nullable, "false") ? 0
									     : -1 };
	return nx_dbschema_add_column(s, &t);
}

static bool take_key(struct nx_dbschema *s, const struct cells *c)
{
	struct nx_str kind = cell(c, "kind");
	struct nx_db_key t = { .of_schema = text(c, "schema"),
			       .of_table = cell(c, "table"),
			       .name = cell(c, "name"),
			       .column = cell(c, "column"),
			       .ref_schema = text(c, "ref_schema"),
			       .ref_table = text(c, "ref_table"),
			       .ref_column = text(c, "ref_column"),
			       .position = number(c, "position"),
			       .kind = nx_str_is(kind, "primary")   ? NX_DB_PRIMARY
				       : nx_str_is(kind, "unique")  ? NX_DB_UNIQUE
				       : nx_str_is(kind, "foreign") ? NX_DB_FOREIGN
								    : NX_DB_INDEX };
	return nx_dbschema_add_key(s, &t);
}

static bool take_function(struct nx_dbschema *s, const struct cells *c)
{
	return nx_dbschema_add_function(s, cell(c, "name"));
}

typedef bool take_fn(struct nx_dbschema *s, const struct cells *c);

/* *ret_full: the snapshot takes no more of these. */
static enum nx_code take_lines(struct load *l, const struct nx_schema *schema, struct nx_str lines,
			       take_fn *take, bool *ret_full, struct nx_error *err)
{
	while (lines.len && !*ret_full) {
		const char *end = memchr(lines.ptr, '\n', lines.len);
		size_t n = end ? (size_t)(end - lines.ptr) : lines.len;
		struct nx_str line = nx_strn(lines.ptr, n);
		lines = nx_strn(lines.ptr + n + (end ? 1 : 0), lines.len - n - (end ? 1 : 0));
		if (n == 0)
			continue;
		const struct nx_json *row;
		enum nx_code c = nx_json_parse(line, l->rows, &row, err);
		if (c)
			return nx_fail(err, NX_E_PROTOCOL, "The source's catalog is not readable.");
		struct cells cells = { .schema = schema };
		uint32_t i = 0;
		for (const struct nx_json *m = row->first; m && i < NX_COUNTOF(cells.v);
		     m = m->next)
			cells.v[i++] = m;
		*ret_full = !take(l->schema, &cells);
		nx_arena_reset(l->rows);
	}
	return NX_OK;
}

static enum nx_code next_lines(struct nx_stream *st, struct nx_encoder *enc, struct nx_buf *out,
			       bool *ret_end, struct nx_error *err)
{
	const struct nx_driver *d = st->driver;
	nx_buf_clear(out);
	if (d->caps & NX_CAP_ENCODES) {
		struct nx_bytes y = { .rows = 0 };
		enum nx_code c = d->next_bytes(st, &y, err);
		if (!c) {
			*ret_end = y.data.len == 0;
			nx_buf_put_str(out, y.data);
		}
		return c;
	}
	struct nx_batch b = { .nrows = 0 };
	enum nx_code c = d->next(st, &b, err);
	if (c)
		return c;
	*ret_end = b.nrows == 0;
	return b.nrows ? nx_encoder_rows(enc, &b, 0, b.nrows, out, err) : NX_OK;
}

static const struct nx_encoding as_lines = { .format = NX_FORMAT_NDJSON, .numbers_exact = true };

static enum nx_code take_stream(struct load *l, struct nx_stream *st, take_fn *take,
				struct nx_error *err)
{
	const struct nx_schema *schema = st->driver->schema(st);
	struct nx_encoder *enc = nx_encoder_new(schema, &as_lines);
	struct nx_buf lines;
	nx_buf_init(&lines, (size_t)64 << 20);
	enum nx_code c = enc ? NX_OK : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	for (bool end = false, full = false; !c && !end && !full;) {
		c = next_lines(st, enc, &lines, &end, err);
		if (!c && lines.failed)
			c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
		if (!c)
			c = take_lines(l, schema, nx_buf_str(&lines), take, &full, err);
	}
	nx_buf_done(&lines);
	nx_encoder_free(enc);
	return c;
}

/* The lists of a driver's catalog. */
static enum nx_code open_tables(struct load *l, const struct nx_query *q, struct nx_stream **ret,
				struct nx_error *err)
{
	return l->source->driver->tables(l->conn, q, NX_STR(""), ret, &l->state, err);
}

static enum nx_code open_columns(struct load *l, const struct nx_query *q, struct nx_stream **ret,
				 struct nx_error *err)
{
	return l->source->driver->columns(l->conn, q, NX_STR(""), NX_STR(""), ret, &l->state, err);
}

static enum nx_code open_keys(struct load *l, const struct nx_query *q, struct nx_stream **ret,
			      struct nx_error *err)
{
	return l->source->driver->keys(l->conn, q, NX_STR(""), NX_STR(""), ret, &l->state, err);
}

static enum nx_code open_functions(struct load *l, const struct nx_query *q, struct nx_stream **ret,
				   struct nx_error *err)
{
	return l->source->driver->functions(l->conn, q, ret, &l->state, err);
}

typedef enum nx_code open_fn(struct load *l, const struct nx_query *q, struct nx_stream **ret,
			     struct nx_error *err);

static enum nx_code open_once(struct load *l, open_fn *open, const struct nx_query *q,
			      struct nx_stream **ret, bool *ret_reused, struct nx_error *err)
{
	*ret_reused = false;
	if (l->conn && l->state != NX_CONN_CLEAN) { /* the last list was cut */
		nx_job_retry(&l->job);
		l->conn = NULL;
	}
	if (!l->conn) {
		enum nx_code c = nx_job_connect(&l->job, &l->conn, ret_reused, err);
		if (c)
			return c;
	}
	l->state = NX_CONN_BROKEN;
	return open(l, q, ret, err);
}

static enum nx_code load_list(struct load *l, open_fn *open, take_fn *take, uint32_t most,
			      struct nx_error *err)
{
	struct nx_query q = { .limits = { .max_rows = (uint64_t)most + 1,
					  .batch_rows = 1024,
					  .batch_bytes = 512 * 1024 },
			      .encoding = as_lines,
			      .pure = true,
			      .deadline = l->job.deadline,
			      .arena = l->arena };
	struct nx_stream *st;
	bool reused;
	enum nx_code c = open_once(l, open, &q, &st, &reused, err);
	if (c == NX_E_SOURCE_LOST && reused) { /* it died while it was idle */
		l->state = NX_CONN_BROKEN;
		c = open_once(l, open, &q, &st, &reused, err);
	}
	if (c)
		return c;
	c = take_stream(l, st, take, err);
	l->state = l->source->driver->release(st);
	return c;
}

static enum nx_code load_all(struct load *l)
{
	const struct nx_db_limits *most = &l->owner->cfg.limits;
	const struct nx_driver *d = l->source->driver;
	l->schema->asked_at = nx_now();
	enum nx_code c = load_list(l, open_tables, take_table, most->tables, &l->err);
	if (!c)
		c = load_list(l, open_columns, take_column, most->columns, &l->err);
	if (!c && d->keys) { /* an account that may not see them, or an old server: without them */
		struct nx_error why;
		enum nx_code k = load_list(l, open_keys, take_key, most->columns, &why);
		l->schema->keys_known = k == NX_OK;
		if (k)
			nx_log(NX_LOG_WARN, "schema", "keys of " NX_STR_FMT ": %s: %s",
			       NX_STR_ARG(l->source->name), nx_code_name(k), why.message);
	}
	if (!c && d->functions && l->source->catalog_functions)
		c = load_list(l, open_functions, take_function, most->columns, &l->err);
	nx_dbschema_finish(l->schema);
	l->schema->loaded_at = nx_now();
	l->schema->loaded_wall = nx_wall_us();
	return c;
}

/* ---- the table of entries; lock held ---- */

static struct entry *find(struct nx_schemas *s, const struct nx_data_source *ds)
{
	for (struct entry *e = s->first; e; e = e->next)
		if (e->source->options == ds->options && strcmp(e->source->id, ds->id) == 0)
			return e;
	return NULL;
}

/* A change of status makes a new snapshot of the same config. */
static void follow(struct entry *e, const struct nx_data_source *ds)
{
	if (e->source == ds || nx_data_source_replaced(ds))
		return;
	nx_data_source_ref(ds);
	nx_data_source_unref(e->source);
	e->source = ds;
}

static void drop(struct nx_schemas *s, struct entry *e)
{
	struct entry **at = &s->first;
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	if (e->schema)
		s->stats.bytes -= nx_dbschema_bytes(e->schema);
	s->stats.sources--;
	if (e->loading || e->waiting)
		e->forgotten = true;
	else
		entry_free(e);
}

static struct entry *add(struct nx_schemas *s, const struct nx_data_source *ds)
{
	struct entry *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->source = ds;
	nx_data_source_ref(ds);
	e->next = s->first;
	s->first = e;
	s->stats.sources++;
	return e;
}

/* The least recently used snapshots go until the rest fits; `keep` stays. */
static void make_room(struct nx_schemas *s, const struct entry *keep)
{
	while (s->stats.bytes > s->cfg.cache_bytes) {
		struct entry *oldest = NULL;
		for (struct entry *e = s->first; e; e = e->next)
			if (e != keep && e->schema && !e->loading &&
			    (!oldest || e->used < oldest->used))
				oldest = e;
		if (!oldest)
			return;
		drop(s, oldest);
	}
}

static void publish(struct load *l, enum nx_code c)
{
	struct nx_schemas *s = l->owner;
	struct entry *e = l->entry;
	struct nx_dbschema *old = NULL;
	pthread_mutex_lock(&s->lock);
	e->loading = false;
	s->stats.loads++;
	if (c) {
		s->stats.failures++;
		e->error = l->err;
		e->failed_at = nx_now();
	} else {
		old = e->schema;
		e->schema = l->schema;
		l->schema = NULL;
		e->failed_at = 0;
		if (!e->forgotten) {
			s->stats.bytes += nx_dbschema_bytes(e->schema);
			s->stats.bytes -= old ? nx_dbschema_bytes(old) : 0;
			make_room(s, e);
		}
	}
	bool gone = e->forgotten && !e->waiting;
	pthread_cond_broadcast(&s->loaded);
	pthread_mutex_unlock(&s->lock);
	nx_dbschema_unref(old);
	if (gone)
		entry_free(e);
}

static void load_free(struct load *l)
{
	nx_dbschema_unref(l->schema);
	nx_arena_free(l->arena);
	nx_arena_free(l->rows);
	nx_data_source_unref(l->source);
	free(l);
}

static void run_load(struct nx_job *j)
{
	struct load *l = (struct load *)(void *)((char *)j - offsetof(struct load, job));
	enum nx_code c = atomic_load(&j->cancelled);
	if (c)
		(void)nx_fail(&l->err, c, "%s", nx_code_help(c));
	else
		c = load_all(l);
	if (c && atomic_load(&j->cancelled)) {
		c = atomic_load(&j->cancelled);
		(void)nx_fail(&l->err, c, "%s", nx_code_help(c));
	}
	/* the connection goes first: whoever is told may want it */
	nx_job_end(j, l->state);
	publish(l, c);
	load_free(l);
}

static struct load *load_new(struct nx_schemas *s, struct entry *e, const struct nx_data_source *ds)
{
	struct load *l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->owner = s;
	l->entry = e;
	l->source = ds;
	nx_data_source_ref(ds);
	l->arena = nx_arena_new((size_t)16 << 20);
	l->rows = nx_arena_new((size_t)16 << 20);
	l->schema = nx_dbschema_new(ds->type->dialect, &s->cfg.limits);
	nx_error_clear(&l->err);
	if (l->arena && l->rows && l->schema)
		return l;
	load_free(l);
	return NULL;
}

/* Begins a load; lock held, and dropped in between. The entry is marked before, so that there is one. */
static enum nx_code start_load(struct nx_schemas *s, struct entry *e,
			       const struct nx_data_source *ds, struct nx_error *err)
{
	e->loading = true;
	pthread_mutex_unlock(&s->lock);
	struct load *l = load_new(s, e, ds);
	enum nx_code c = l ? NX_OK : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!c) {
		int64_t now = nx_now();
		l->state = NX_CONN_CLEAN;
		l->job.exec = s->exec;
		l->job.run = run_load;
		l->job.source = ds;
		l->job.deadline = now + (int64_t)ds->limits.query_ms * NX_MS;
		l->job.queue_deadline = now + (int64_t)ds->limits.queue_ms * NX_MS;
		atomic_init(&l->job.cancelled, NX_OK);
		atomic_init(&l->job.state, NX_JOB_RECEIVED);
		c = nx_job_submit(s->exec, &l->job, err);
		if (c)
			load_free(l);
	}
	pthread_mutex_lock(&s->lock);
	if (c) {
		e->loading = false;
		pthread_cond_broadcast(&s->loaded);
	}
	return c;
}

/* ---- asking ---- */

static void show(struct nx_schemas *s, struct entry *e, int64_t now, struct nx_schema_view *ret)
{
	nx_dbschema_ref(e->schema);
	e->used = now;
	ret->schema = e->schema;
	ret->age = now - e->schema->loaded_at;
	ret->fresh = ret->age < s->cfg.ttl;
	ret->loading = e->loading;
	s->stats.hits++;
}

static bool good_enough(const struct nx_schemas *s, const struct entry *e, enum nx_schema_need need,
			int64_t asked, int64_t now)
{
	if (!e->schema)
		return false;
	if (need == NX_SCHEMA_NEW)
		return e->schema->asked_at >= asked;
	return e->schema->asked_at >= asked || /* with a ttl of 0, too */
	       now - e->schema->loaded_at < s->cfg.ttl + s->cfg.max_stale;
}

/* Waits a moment for the load that runs; lock held. The worker leaves the budget of running ones, so
 * that those who wait do not keep the load from its own. */
static enum nx_code wait_for(struct nx_schemas *s, struct entry *e, struct nx_request *r,
			     struct nx_error *err)
{
	if (s->waiting >= s->cfg.max_waiting)
		return nx_fail(err, NX_E_OVERLOADED, "Too many requests wait for a schema.");
	pthread_mutex_unlock(&s->lock);
	nx_job_stalled(&r->job);
	pthread_mutex_lock(&s->lock);
	if (!e->loading)
		return NX_OK;
	s->waiting++;
	int64_t until = nx_now() + TICK;
	struct timespec ts = { until / NX_SEC, until % NX_SEC };
	(void)pthread_cond_timedwait(&s->loaded, &s->lock, &ts);
	s->waiting--;
	return nx_request_gone(r, err) ? err->code : NX_OK;
}

static enum nx_code ask(struct nx_schemas *s, struct entry *e, struct nx_request *r,
			enum nx_schema_need need, int64_t until, struct nx_schema_view *ret,
			struct nx_error *err)
{
	int64_t asked = nx_now();
	struct nx_error quiet;
	for (;;) {
		int64_t now = nx_now();
		bool failed = e->failed_at &&
			      (e->failed_at >= asked ||
			       (need != NX_SCHEMA_NEW && now - e->failed_at < FAILED_FOR));
		if (good_enough(s, e, need, asked, now)) {
			bool old = now - e->schema->loaded_at >= s->cfg.ttl;
			if (old && !e->loading && !failed && need != NX_SCHEMA_PEEK)
				(void)start_load(s, e, r->source, &quiet);
			show(s, e, now, ret);
			return NX_OK;
		}
		if (need == NX_SCHEMA_PEEK)
			return nx_fail(err, NX_E_NOT_FOUND, "Not loaded yet.");
		if (failed && !e->loading) {
			*err = e->error;
			return err->code;
		}
		enum nx_code c = NX_OK;
		if (!e->loading)
			c = start_load(s, e, r->source, err);
		if (!c)
			c = nx_now() < until ? wait_for(s, e, r, err)
					     : nx_fail(err, NX_E_NOT_FOUND, "Not loaded yet.");
		if (c)
			return c;
	}
}

enum nx_code nx_schemas_get(struct nx_schemas *s, struct nx_request *r, enum nx_schema_need need,
			    int64_t until, struct nx_schema_view *ret, struct nx_error *err)
{
	const struct nx_data_source *ds = r->source;
	if (!ds->driver || !(ds->driver->caps & NX_CAP_CATALOG))
		return nx_fail(err, NX_E_NOT_IMPLEMENTED, "This type has no schema browse.");
	pthread_mutex_lock(&s->lock);
	struct entry *e = find(s, ds);
	if (!e)
		e = add(s, ds);
	else
		follow(e, ds);
	if (!e) {
		pthread_mutex_unlock(&s->lock);
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	e->waiting++;
	enum nx_code c = ask(s, e, r, need, until, ret, err);
	e->waiting--;
	bool gone = e->forgotten && !e->loading && !e->waiting;
	pthread_mutex_unlock(&s->lock);
	if (gone)
		entry_free(e);
	return c;
}

/* ---- keeping house ---- */

void nx_schemas_sweep(struct nx_schemas *s)
{
	int64_t now = nx_now();
	pthread_mutex_lock(&s->lock);
	for (struct entry *e = s->first, *next; e; e = next) {
		next = e->next;
		bool stale =
			e->schema && now - e->schema->loaded_at > s->cfg.ttl + s->cfg.max_stale;
		if (!e->loading && (stale || nx_data_source_replaced(e->source)))
			drop(s, e);
	}
	pthread_mutex_unlock(&s->lock);
}

void nx_schemas_stats(struct nx_schemas *s, struct nx_schemas_stats *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->stats;
	pthread_mutex_unlock(&s->lock);
}
