#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "fake_int.h"

#define MS INT64_C(1000000)

struct source {
	struct nx_source base;
	int64_t connect_ms;
	bool connect_hang, check_fails, reset_fails;
	enum nx_code connect_error;
	/* what happened, for WHERE stats */
	atomic_llong connections, connects, queries, cancels, resets, lost;
};

struct conn {
	struct nx_conn base;
	struct source *source;
	pthread_mutex_t lock;
	pthread_cond_t woken;
	bool cancelled; /* under lock */
};

struct stream {
	struct nx_stream base;
	struct conn *conn;
	struct fake_script script;
	struct nx_schema schema;
	struct nx_builder *builder;
	int64_t row; /* given so far */
	int64_t deadline;
	bool dead;
};

static const struct nx_option options[] = {
	{ "connectMs", NX_OPT_INT, 0, "0", 0, 600000, NULL, "Milliseconds a connect takes." },
	{ "connectHang", NX_OPT_BOOL, 0, "false", 0, 0, NULL, "Connect lasts to its deadline." },
	{ "connectError", NX_OPT_STRING, 0, NULL, 0, 0, NULL, "Code every connect fails with." },
	{ "checkFails", NX_OPT_BOOL, 0, "false", 0, 0, NULL, "Idle connections are found dead." },
	{ "resetFails", NX_OPT_BOOL, 0, "false", 0, 0, NULL, "Reset fails." },
	{ "password", NX_OPT_SECRET, 0, NULL, 0, 0, NULL, "Not used." },
	{ .key = NULL },
};

/* --- waiting ------------------------------------------------------------------------------- */

/* Until `until`, the deadline, or a cancel; the code says which of the last two. */
static enum nx_code wait_until(struct conn *c, int64_t until, int64_t deadline, bool deaf,
			       struct nx_error *err)
{
	int64_t end = until < deadline ? until : deadline;
	struct timespec ts = { end / 1000000000, end % 1000000000 };
	pthread_mutex_lock(&c->lock);
	while ((deaf || !c->cancelled) && nx_now() < end)
		pthread_cond_timedwait(&c->woken, &c->lock, &ts);
	bool cancelled = c->cancelled && !deaf;
	pthread_mutex_unlock(&c->lock);
	if (cancelled)
		return nx_fail(err, NX_E_QUERY_CANCELED, "The query was cancelled.");
	if (nx_now() >= deadline)
		return nx_fail(err, NX_E_QUERY_TIMEOUT, "The query ran longer than its limit.");
	return NX_OK;
}

static void cancel(struct nx_conn *base)
{
	struct conn *c = (struct conn *)base;
	atomic_fetch_add(&c->source->cancels, 1);
	pthread_mutex_lock(&c->lock);
	c->cancelled = true;
	pthread_cond_broadcast(&c->woken);
	pthread_mutex_unlock(&c->lock);
}

/* --- source and connection ----------------------------------------------------------------- */

static enum nx_code open_source(const struct nx_options *o, struct nx_source **ret,
				struct nx_error *err)
{
	const char *code = nx_opt_str(o, "connectError", "");
	struct source *s = calloc(1, sizeof(*s));
	if (!s)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	s->base.driver = &nx_driver_fake;
	s->connect_ms = nx_opt_int(o, "connectMs", 0);
	s->connect_hang = nx_opt_bool(o, "connectHang", false);
	s->check_fails = nx_opt_bool(o, "checkFails", false);
	s->reset_fails = nx_opt_bool(o, "resetFails", false);
	for (int c = 1; c < NX_CODE_COUNT; c++)
		if (strcmp(code, nx_code_name((enum nx_code)c)) == 0)
			s->connect_error = (enum nx_code)c;
	if (*code && !s->connect_error) {
		free(s);
		return nx_fail(err, NX_E_CONFIG_INVALID, "connectError is no error code.");
	}
	*ret = &s->base;
	return NX_OK;
}

static void close_source(struct nx_source *s)
{
	free((struct source *)s);
}

static void disconnect(struct nx_conn *base)
{
	struct conn *c = (struct conn *)base;
	if (!c)
		return;
	atomic_fetch_sub(&c->source->connections, 1);
	pthread_cond_destroy(&c->woken);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static enum nx_code connect_source(struct nx_source *base, int64_t deadline, struct nx_conn **ret,
				   struct nx_error *err)
{
	struct source *s = (struct source *)base;
	struct conn *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	if (!c)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	c->base.driver = &nx_driver_fake;
	c->source = s;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->woken, &attr);
	pthread_condattr_destroy(&attr);
	atomic_fetch_add(&s->connections, 1);
	atomic_fetch_add(&s->connects, 1);
	int64_t until = s->connect_hang ? INT64_MAX : nx_now() + s->connect_ms * MS;
	enum nx_code code = wait_until(c, until, deadline, false, err);
	if (code)
		code = nx_fail(err, NX_E_CONNECT_TIMEOUT, "The source did not answer in time.");
	else if (s->connect_error)
		code = nx_fail(err, s->connect_error, "Connecting fails as configured.");
	if (code) {
		disconnect(&c->base);
		return code;
	}
	*ret = &c->base;
	return NX_OK;
}

static bool check(struct nx_conn *c)
{
	return !((struct conn *)c)->source->check_fails;
}

static enum nx_code reset(struct nx_conn *base, int64_t deadline, struct nx_error *err)
{
	struct conn *c = (struct conn *)base;
	(void)deadline;
	atomic_fetch_add(&c->source->resets, 1);
	if (c->source->reset_fails)
		return nx_fail(err, NX_E_SOURCE_FAILED, "Reset fails as configured.");
	pthread_mutex_lock(&c->lock);
	c->cancelled = false;
	pthread_mutex_unlock(&c->lock);
	return NX_OK;
}

/* --- streams ------------------------------------------------------------------------------- */

static const char *const stat_names[] = { "connections", "connects", "queries", "cancels",
					  "resets" };

static enum nx_code describe(struct stream *st, struct nx_arena *a, struct nx_error *err)
{
	struct fake_script *s = &st->script;
	if (s->stats > 0) {
		s->rows = 1;
		s->ncols = NX_COUNTOF(stat_names);
		for (uint32_t i = 0; i < s->ncols; i++)
			s->types[i] = NX_T_INT64;
	}
	struct nx_field *f = nx_arena_zalloc(a, s->ncols * sizeof(*f));
	if (!f)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	for (uint32_t i = 0; i < s->ncols; i++) {
		char *name = nx_arena_printf(a, "c%u", i + 1);
		f[i].name = s->stats > 0 ? nx_str(stat_names[i]) : nx_str(name);
		f[i].type = s->types[i];
		f[i].layout = fake_layout(f[i].type);
		f[i].native = nx_str(nx_type_name(f[i].type));
		f[i].nullable = i > 0;
		if (f[i].type == NX_T_DECIMAL) {
			f[i].precision = 20;
			f[i].scale = 2;
		}
		if (!name)
			return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	st->schema = (struct nx_schema){ s->ncols, f };
	return NX_OK;
}

static enum nx_code start(struct stream *st, const struct nx_query *q, struct nx_error *err)
{
	struct fake_script *s = &st->script;
	struct source *src = st->conn->source;
	atomic_fetch_add(&src->queries, 1);
	enum nx_code code = fake_parse(q, s, err);
	if (!code && s->prepare_error)
		code = nx_fail(err, s->prepare_error, "The query fails as scripted.");
	if (!code && s->lost_first > atomic_load(&src->lost)) {
		atomic_fetch_add(&src->lost, 1);
		st->dead = true;
		code = nx_fail(err, NX_E_SOURCE_LOST, "The connection is lost as scripted.");
	}
	if (!code && (s->first_ms > 0 || s->hang > 0)) {
		int64_t until = s->hang > 0 ? INT64_MAX : nx_now() + s->first_ms * MS;
		code = wait_until(st->conn, until, q->deadline, s->deaf > 0, err);
	}
	if (!code)
		code = describe(st, q->arena, err);
	if (code)
		return code;
	int64_t batch = s->batch;
	if (q->limits.batch_rows && batch > q->limits.batch_rows)
		batch = q->limits.batch_rows;
	st->builder = nx_builder_new(&st->schema, batch > 65536 ? 65536 : (uint32_t)batch,
				     q->limits.batch_bytes ? q->limits.batch_bytes : 1 << 20);
	return st->builder ? NX_OK : nx_fail(err, NX_E_MEMORY, "Out of memory.");
}

static enum nx_conn_state end(struct stream *st)
{
	struct conn *c = st->conn;
	enum nx_conn_state state = NX_CONN_CLEAN;
	pthread_mutex_lock(&c->lock);
	if (c->cancelled || st->script.dirty > 0)
		state = NX_CONN_DIRTY;
	pthread_mutex_unlock(&c->lock);
	if (st->dead || st->script.broken > 0)
		state = NX_CONN_BROKEN;
	nx_builder_free(st->builder);
	free(st);
	return state;
}

static enum nx_code query(struct nx_conn *base, const struct nx_query *q, struct nx_stream **ret,
			  enum nx_conn_state *ret_state, struct nx_error *err)
{
	struct conn *c = (struct conn *)base;
	struct stream *st = calloc(1, sizeof(*st));
	if (!st) {
		*ret_state = NX_CONN_CLEAN;
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	st->base.driver = &nx_driver_fake;
	st->conn = c;
	st->deadline = q->deadline;
	enum nx_code code = start(st, q, err);
	if (code) {
		*ret_state = end(st);
		return code;
	}
	*ret = &st->base;
	return NX_OK;
}

static const struct nx_schema *schema(struct nx_stream *st)
{
	return &((struct stream *)st)->schema;
}

static void put_stats(struct stream *st)
{
	struct source *s = st->conn->source;
	nx_builder_i64(st->builder, 0, atomic_load(&s->connections));
	nx_builder_i64(st->builder, 1, atomic_load(&s->connects));
	nx_builder_i64(st->builder, 2, atomic_load(&s->queries));
	nx_builder_i64(st->builder, 3, atomic_load(&s->cancels));
	nx_builder_i64(st->builder, 4, atomic_load(&s->resets));
}

/* What is due at the row the stream stands at. */
static enum nx_code due(struct stream *st, struct nx_error *err)
{
	const struct fake_script *s = &st->script;
	if (st->row == s->error_after)
		return nx_fail(err, s->error, "The stream fails as scripted.");
	if (st->row == s->die_after) {
		st->dead = true;
		return nx_fail(err, NX_E_SOURCE_LOST, "The connection is lost as scripted.");
	}
	if (st->row == s->hang_after)
		return wait_until(st->conn, INT64_MAX, st->deadline, s->deaf > 0, err);
	return NX_OK;
}

static bool is_due(const struct stream *st)
{
	const struct fake_script *s = &st->script;
	return st->row == s->error_after || st->row == s->die_after || st->row == s->hang_after;
}

/* Rows before a fault are handed out first, in a batch of their own. */
static enum nx_code next(struct nx_stream *base, struct nx_batch *ret, struct nx_error *err)
{
	struct stream *st = (struct stream *)base;
	const struct fake_script *s = &st->script;
	enum nx_code code =
		wait_until(st->conn, nx_now() + s->delay_ms * MS, st->deadline, s->deaf > 0, err);
	if (!code)
		code = due(st, err);
	if (code)
		return code;
	nx_builder_clear(st->builder);
	while (st->row < s->rows && !nx_builder_full(st->builder)) {
		if (is_due(st) && nx_builder_rows(st->builder) > 0)
			break;
		st->row++;
		bool null_row = s->nulls > 0 && st->row % s->nulls == 0;
		if (s->stats > 0)
			put_stats(st);
		else
			for (uint32_t i = 0; i < (null_row ? 1 : s->ncols); i++)
				fake_put(st->builder, i, s, st->row);
		code = nx_builder_row_end(st->builder, err);
		if (code)
			return code;
	}
	nx_builder_batch(st->builder, ret);
	return NX_OK;
}

static enum nx_conn_state release(struct nx_stream *st)
{
	return end((struct stream *)st);
}

/* --- catalog: one table, a column of each type ----------------------------------------------- */

static enum nx_code tables(struct nx_conn *c, const struct nx_query *limits,
			   struct nx_str schema_name, struct nx_stream **ret,
			   enum nx_conn_state *ret_state, struct nx_error *err)
{
	struct nx_query q = *limits;
	(void)schema_name;
	q.sql = NX_STR("SELECT * FROM fake WHERE types = 'string,string,string,string,int64'");
	q.params = NULL;
	q.nparams = 0;
	enum nx_code code = query(c, &q, ret, ret_state, err);
	static const char *const names[] = { "schema", "name", "kind", "comment", "row_estimate" };
	if (!code)
		for (uint32_t i = 0; i < NX_COUNTOF(names); i++)
			((struct nx_field *)(uintptr_t)schema(*ret)->fields)[i].name =
				nx_str(names[i]);
	return code;
}

static enum nx_code columns(struct nx_conn *c, const struct nx_query *limits,
			    struct nx_str schema_name, struct nx_str table, struct nx_stream **ret,
			    enum nx_conn_state *ret_state, struct nx_error *err)
{
	struct nx_query q = *limits;
	(void)schema_name;
	(void)table;
	q.sql = NX_STR("SELECT * FROM fake WHERE types = "
		       "'string,string,string,int64,string,boolean,string,string'");
	q.params = NULL;
	q.nparams = 0;
	enum nx_code code = query(c, &q, ret, ret_state, err);
	static const char *const names[] = { "schema", "table",	   "name", "position",
					     "type",   "nullable", "key",  "comment" };
	if (!code)
		for (uint32_t i = 0; i < NX_COUNTOF(names); i++)
			((struct nx_field *)(uintptr_t)schema(*ret)->fields)[i].name =
				nx_str(names[i]);
	return code;
}

const struct nx_driver nx_driver_fake = {
	.abi = NX_DRIVER_ABI,
	.name = "fake",
	.caps = NX_CAP_STREAM | NX_CAP_CANCEL | NX_CAP_PARAMS | NX_CAP_CATALOG | NX_CAP_POOLABLE |
		NX_CAP_ONE_STATEMENT | NX_CAP_DESCRIBE | NX_CAP_RO_SESSION,
	.placeholder = "?",
	.options = options,
	.open = open_source,
	.close = close_source,
	.connect = connect_source,
	.disconnect = disconnect,
	.check = check,
	.reset = reset,
	.query = query,
	.schema = schema,
	.next = next,
	.release = release,
	.tables = tables,
	.columns = columns,
	.cancel = cancel,
};
