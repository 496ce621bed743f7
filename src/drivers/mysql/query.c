/* Queries: prepared, described, executed, streamed.
 *
 * Every statement of a user is prepared first (layer C): without result columns it is refused and
 * nothing has run. Prepared statements are kept per connection, so a repeated query is one round
 * trip. Rows are decoded as libmariadb reads them, from its packet buffer into the batch builder,
 * without a copy in between (STMT_ATTR_CB_RESULT), so memory does not grow with the result.
 *
 * A `pure` statement runs under the session's READ ONLY default with autocommit. Any other runs
 * in START TRANSACTION READ ONLY .. ROLLBACK, and leaves the connection DIRTY: locks, user variables
 * and settings it may have made are dropped by reset(). */
#include "mysql_int.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>

#define MS INT64_C(1000000)

enum {
	FIRST_ROWS = 64, /* of the first batch: the first byte leaves early */
	GROWTH = 4,
	MAX_ROWS = 65536,
	KEEP_ROWS = 1024, /* a builder that held more is given back */
	KEEP_BYTES = 256 << 10,
	KEEP_PACKET = 4 << 20, /* a connection that read a longer row is not used again */
	CACHED_SQL = 16 << 10, /* longer statements are not kept */
	DRAIN_MS = 500, /* for what is left on the wire after a KILL */
	ROLLBACK_MS = 2000,
};

/* --- the window in which cancel() may meet us ---------------------------------------------- */

static void set_running(struct my_conn *c)
{
	pthread_mutex_lock(&c->shared.lock);
	c->shared.running = true;
	c->shared.cancelled = false;
	pthread_mutex_unlock(&c->shared.lock);
}

/* False: cancelled, nothing may be sent. Else cancel() knows that we may be waiting. */
NX_NODISCARD static bool enter(struct my_conn *c)
{
	pthread_mutex_lock(&c->shared.lock);
	bool ok = !c->shared.cancelled;
	c->shared.in_call = ok;
	pthread_mutex_unlock(&c->shared.lock);
	return ok;
}

static void leave(struct my_conn *c)
{
	pthread_mutex_lock(&c->shared.lock);
	c->shared.in_call = false;
	if (c->shared.killing)
		pthread_cond_broadcast(&c->shared.changed);
	pthread_mutex_unlock(&c->shared.lock);
}

static bool cancelled(struct my_conn *c)
{
	pthread_mutex_lock(&c->shared.lock);
	bool yes = c->shared.cancelled;
	pthread_mutex_unlock(&c->shared.lock);
	return yes;
}

/* Ends the window; a cancel() under way is waited for, so that its KILL hits nothing later. */
static bool end_running(struct my_conn *c)
{
	pthread_mutex_lock(&c->shared.lock);
	c->shared.running = false;
	if (c->shared.killing)
		pthread_cond_broadcast(&c->shared.changed);
	while (c->shared.killing)
		pthread_cond_wait(&c->shared.changed, &c->shared.lock);
	bool yes = c->shared.cancelled;
	pthread_mutex_unlock(&c->shared.lock);
	return yes;
}

static enum nx_code fail_cancelled(int64_t deadline, struct nx_error *err)
{
	if (nx_now() >= deadline)
		return nx_fail(err, NX_E_QUERY_TIMEOUT, "The query ran longer than its limit.");
	return nx_fail(err, NX_E_QUERY_CANCELED, "The query was cancelled.");
}

/* --- statement cache ----------------------------------------------------------------------- */

static void unlink_stmt(struct my_conn *c, struct my_stmt *s)
{
	*(s->prev ? &s->prev->next : &c->first) = s->next;
	*(s->next ? &s->next->prev : &c->last) = s->prev;
	s->prev = s->next = NULL;
	c->nstmts--;
}

static void link_first(struct my_conn *c, struct my_stmt *s)
{
	s->prev = NULL;
	s->next = c->first;
	*(c->first ? &c->first->prev : &c->last) = s;
	c->first = s;
	c->nstmts++;
}

static void free_stmt(struct my_stmt *s)
{
	if (!s)
		return;
	nx_builder_free(s->builder);
	nx_arena_free(s->arena);
	if (s->handle)
		mysql_stmt_close(s->handle);
	free((void *)(uintptr_t)s->sql.ptr);
	free(s);
}

static void drop_stmt(struct my_conn *c, struct my_stmt *s)
{
	if (s->cached)
		unlink_stmt(c, s);
	free_stmt(s);
}

void my_stmts_drop(struct my_conn *c)
{
	while (c->first)
		drop_stmt(c, c->first);
}

static struct my_stmt *find_stmt(struct my_conn *c, struct nx_str sql, uint64_t hash)
{
	for (struct my_stmt *s = c->first; s; s = s->next)
		if (s->hash == hash && nx_str_eq(s->sql, sql))
			return s;
	return NULL;
}

static void keep_stmt(struct my_conn *c, struct my_stmt *s)
{
	unsigned max = c->source->cache_entries;
	if (max == 0 || s->sql.len > CACHED_SQL)
		return;
	while (c->nstmts >= max)
		drop_stmt(c, c->last);
	s->cached = true;
	link_first(c, s);
}

static void on_column(void *data, unsigned col, unsigned char **row);

/* The library notes an error in a row only on the connection, any other on the statement too. */
static enum nx_code fail_stmt(struct my_conn *c, MYSQL_STMT *h, enum my_stage stage,
			      const struct nx_query *q, struct nx_error *err)
{
	unsigned number = mysql_stmt_errno(h);
	bool own = number != 0;
	if (!own)
		number = mysql_errno(c->my);
	if (my_is_lost(number))
		my_break(c);
	if (cancelled(c))
		return fail_cancelled(q->deadline, err);
	return my_fail(err, number, own ? mysql_stmt_sqlstate(h) : mysql_sqlstate(c->my),
		       own ? mysql_stmt_error(h) : mysql_error(c->my), stage, q);
}

static enum nx_code prepare(struct my_conn *c, const struct nx_query *q, uint64_t hash,
			    struct my_stmt **ret, struct nx_error *err)
{
	enum nx_code code = NX_OK;
	struct my_stmt *s = calloc(1, sizeof(*s));
	char *sql = malloc(q->sql.len + 1);
	if (sql) {
		memcpy(sql, q->sql.ptr, q->sql.len);
		sql[q->sql.len] = '\0';
	}
	if (s) {
		s->hash = hash;
		s->sql = nx_strn(sql, q->sql.len);
		s->handle = mysql_stmt_init(c->my);
	} else {
		free(sql);
	}
	if (!s || !sql || !s->handle) {
		code = nx_fail(err, NX_E_MEMORY, "Out of memory.");
		goto fail;
	}
	mysql_stmt_attr_set(s->handle, STMT_ATTR_CB_USER_DATA, c);
	mysql_stmt_attr_set(s->handle, STMT_ATTR_CB_RESULT, (void *)(uintptr_t)on_column);
	if (!enter(c)) {
		code = fail_cancelled(q->deadline, err);
		goto fail;
	}
	int failed = mysql_stmt_prepare(s->handle, q->sql.ptr, q->sql.len);
	leave(c);
	if (failed) {
		code = fail_stmt(c, s->handle, MY_AT_PREPARE, q, err);
		goto fail;
	}
	if (mysql_stmt_field_count(s->handle) == 0) {
		code = nx_fail(
			err, NX_E_RO_NO_RESULT,
			"The statement returns no rows, so it is not a query; it was not run.");
		goto fail;
	}
	keep_stmt(c, s);
	*ret = s;
	return NX_OK;
fail:
	free_stmt(s);
	return code;
}

static enum nx_code get_stmt(struct my_conn *c, const struct nx_query *q, struct my_stmt **ret,
			     struct nx_error *err)
{
	uint64_t hash = nx_str_hash(q->sql);
	struct my_stmt *s = find_stmt(c, q->sql, hash);
	if (!s)
		return prepare(c, q, hash, ret, err);
	unlink_stmt(c, s);
	link_first(c, s);
	*ret = s;
	return NX_OK;
}

/* --- schema -------------------------------------------------------------------------------- */

static bool same_shape(const struct my_stmt *s, const MYSQL_FIELD *fields, uint32_t n)
{
	if (!s->arena || s->schema.nfields != n)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		struct my_shape now = my_shape_of(&fields[i]);
		if (memcmp(&now, &s->shapes[i], sizeof(now)) != 0)
			return false;
	}
	return true;
}

/* The types of `SELECT ?` are known only after execution, and a table may change under a prepared
 * statement: what came with this execution is compared each time, and the schema rebuilt when it is
 * another. (The statement's own fields keep the names and MariaDB's extended types of prepare time;
 * the connection's are fresh.) */
static enum nx_code make_schema(struct my_stmt *s, MYSQL *my, struct nx_error *err)
{
	uint32_t n = my->field_count;
	const MYSQL_FIELD *from = my->fields;
	if (same_shape(s, from, n))
		return NX_OK;
	nx_builder_free(s->builder);
	s->builder = NULL;
	nx_arena_free(s->arena);
	s->schema = (struct nx_schema){ 0 };
	s->arena = nx_arena_new(0);
	if (s->arena) {
		s->fields = nx_arena_array(s->arena, n, sizeof(*s->fields));
		s->shapes = nx_arena_array(s->arena, n, sizeof(*s->shapes));
		s->wires = nx_arena_array(s->arena, n, sizeof(*s->wires));
	}
	bool ok = s->arena && s->fields && s->shapes && s->wires;
	for (uint32_t i = 0; ok && i < n; i++) {
		s->shapes[i] = my_shape_of(&from[i]);
		ok = my_type(s->arena, &from[i], &s->fields[i], &s->wires[i]);
	}
	if (!ok)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	s->schema = (struct nx_schema){ n, s->fields };
	return NX_OK;
}

/* --- before and after a statement ---------------------------------------------------------- */

/* The server cuts at the row after the last one that is wanted, so that a LIMIT of the gateway need
 * not be paid with a cancelled query. It leaves statements with a LIMIT of their own alone. */
static enum nx_code cap_rows(struct my_conn *c, const struct nx_query *q, struct nx_error *err)
{
	uint64_t cap = 0;
	if (q->limits.max_rows < UINT64_MAX / 4 && q->limits.skip_rows < UINT64_MAX / 4)
		cap = q->limits.skip_rows + q->limits.max_rows + 1;
	if (cap == c->row_cap || !c->has_row_cap)
		return NX_OK;
	char sql[80] = "SET SESSION sql_select_limit = DEFAULT";
	if (cap)
		snprintf(sql, sizeof(sql), "SET SESSION sql_select_limit = %llu",
			 (unsigned long long)cap);
	enum nx_code code = my_run(c->my, sql, q->deadline, err);
	if (!code)
		c->row_cap = cap;
	return code;
}

/* The server's own limit is a safety net above ours; a query that may run longer widens it. */
static enum nx_code widen_net(struct my_conn *c, const struct nx_query *q, struct nx_error *err)
{
	int64_t ms = (q->deadline - nx_now()) / MS;
	if (!c->has_net_limit || ms + 5000 <= c->net_limit_ms)
		return NX_OK;
	int64_t limit = ms > INT64_C(86400000) * 30 ? INT64_C(86400000) * 30 : ms * 2 + 10000;
	char sql[80];
	if (c->is_mariadb)
		snprintf(sql, sizeof(sql), "SET SESSION max_statement_time = %lld",
			 (long long)(limit / 1000));
	else
		snprintf(sql, sizeof(sql), "SET SESSION max_execution_time = %lld",
			 (long long)limit);
	enum nx_code code = my_run(c->my, sql, q->deadline, err);
	if (!code)
		c->net_limit_ms = limit;
	return code;
}

/* Stops a result that is not wanted to its end, and reads what was already sent of it. */
static void abandon(struct my_conn *c, MYSQL_STMT *h, bool killed)
{
	if ((!killed && !my_kill(c)) || !my_drain(c->my, h, nx_now() + DRAIN_MS * MS))
		my_break(c);
}

/* A KILL that met no query waits for the next statement: give it one. */
static void absorb_kill(struct my_conn *c)
{
	enum nx_code code =
		c->broken ? NX_OK : my_run(c->my, "DO 0", nx_now() + DRAIN_MS * MS, NULL);
	if (code && code != NX_E_QUERY_CANCELED)
		my_break(c);
}

/* What the connection is good for now. `killed`: we sent a KILL ourselves. */
static enum nx_conn_state settle(struct my_conn *c, bool in_transaction, bool killed)
{
	if (end_running(c) || killed)
		absorb_kill(c);
	if (in_transaction && !c->broken &&
	    my_run(c->my, "ROLLBACK", nx_now() + ROLLBACK_MS * MS, NULL))
		my_break(c);
	/* the library never gives back the packet buffer a long row made it allocate */
	if (c->broken || c->my->net.max_packet > KEEP_PACKET)
		return NX_CONN_BROKEN;
	return in_transaction ? NX_CONN_DIRTY : NX_CONN_CLEAN;
}

static enum nx_code execute(struct my_conn *c, struct my_stmt *s, const struct nx_query *q,
			    struct nx_error *err)
{
	enum nx_code code = my_bind(s->handle, q, err);
	if (code)
		return code;
	if (!enter(c))
		return fail_cancelled(q->deadline, err);
	int failed = mysql_stmt_execute(s->handle);
	leave(c);
	if (failed)
		return fail_stmt(c, s->handle, MY_AT_EXECUTE, q, err);
	return make_schema(s, c->my, err);
}

static enum nx_code start(struct my_conn *c, const struct nx_query *q, bool *in_transaction,
			  struct my_stmt **ret, struct nx_error *err)
{
	enum nx_code code = get_stmt(c, q, ret, err); /* on success the caller's to drop, always */
	if (!code)
		code = cap_rows(c, q, err);
	if (!code)
		code = widen_net(c, q, err);
	if (!code && !q->pure && !*in_transaction) {
		code = my_run(c->my, "START TRANSACTION READ ONLY", q->deadline, err);
		*in_transaction = !code;
	}
	return code ? code : execute(c, *ret, q, err);
}

/* Other columns than at prepare time: the table was altered. */
static bool is_stale(const struct my_stmt *s)
{
	unsigned number = mysql_stmt_errno(s->handle);
	return number == CR_NEW_STMT_METADATA || number == ER_NEED_REPREPARE;
}

enum nx_code my_query(struct nx_conn *base, const struct nx_query *q, struct nx_stream **ret,
		      enum nx_conn_state *ret_state, struct nx_error *err)
{
	struct my_conn *c = (struct my_conn *)base;
	bool in_transaction = false;
	struct my_stmt *s = NULL;
	set_running(c);
	enum nx_code code = start(c, q, &in_transaction, &s, err);
	if (code == NX_E_CONFLICT && s && is_stale(s) && !c->broken) {
		/* the window stays open: a cancel() meanwhile is seen by the second attempt */
		abandon(c, s->handle, false);
		absorb_kill(c);
		drop_stmt(c, s);
		s = NULL;
		if (!c->broken)
			code = start(c, q, &in_transaction, &s, err);
	}
	if (code) {
		if (s && c->my->status != MYSQL_STATUS_READY)
			my_break(c); /* rows are on their way, but no schema could be made */
		if (s && !s->cached)
			free_stmt(s);
		*ret_state = settle(c, in_transaction, false);
		return code;
	}
	struct my_stream *st = &c->stream;
	*st = (struct my_stream){
		.base.driver = &nx_driver_mysql,
		.conn = c,
		.stmt = s,
		.query = *q,
		.in_transaction = in_transaction,
	};
	*ret = &st->base;
	return NX_OK;
}

/* --- the stream ---------------------------------------------------------------------------- */

const struct nx_schema *my_schema(struct nx_stream *base)
{
	return &((struct my_stream *)base)->stmt->schema;
}

void my_retype(struct nx_stream *base, struct nx_str column, enum nx_type type)
{
	struct my_stmt *s = ((struct my_stream *)base)->stmt;
	for (uint32_t i = 0; i < s->schema.nfields; i++)
		if (nx_str_eq(s->fields[i].name, column))
			s->fields[i].type = type;
}

/* libmariadb calls this for each value of a row it has just read; row is NULL for null, else the
 * value's first byte, to be moved behind it. */
static void on_column(void *data, unsigned col, unsigned char **row)
{
	struct my_conn *c = data;
	struct my_stream *st = &c->stream;
	if (!row || st->malformed)
		return;
	const unsigned char *p = *row;
	if (!my_decode(st->stmt->builder, col, st->stmt->wires[col], &p, c->my->net.buff_end))
		st->malformed = true;
	*row = (unsigned char *)(uintptr_t)p;
}

static bool next_batch(struct my_stream *st)
{
	struct my_stmt *s = st->stmt;
	uint32_t max = st->query.limits.batch_rows;
	if (max < 1 || max > MAX_ROWS)
		max = MAX_ROWS;
	uint64_t want = st->batch_rows ? (uint64_t)st->batch_rows * GROWTH : FIRST_ROWS;
	st->batch_rows = want > max ? max : (uint32_t)want;
	if (!s->builder)
		s->builder =
			nx_builder_new(&s->schema, st->batch_rows, st->query.limits.batch_bytes);
	else
		nx_builder_limits(s->builder, st->batch_rows, st->query.limits.batch_bytes);
	if (!s->builder)
		return false;
	nx_builder_clear(s->builder);
	return true;
}

static enum nx_code fetch(struct my_stream *st, struct nx_error *err)
{
	struct nx_builder *b = st->stmt->builder;
	while (!nx_builder_full(b)) {
		int rc = mysql_stmt_fetch(st->stmt->handle);
		if (rc == MYSQL_NO_DATA) {
			st->ended = true;
			return NX_OK;
		}
		if (rc) {
			st->ended = true;
			return fail_stmt(st->conn, st->stmt->handle, MY_AT_EXECUTE, &st->query,
					 err);
		}
		if (st->malformed) {
			my_break(st->conn);
			return nx_fail(err, NX_E_PROTOCOL, "The source sent a malformed row.");
		}
		st->rows++;
		enum nx_code code = nx_builder_row_end(b, err);
		if (code)
			return code;
	}
	return NX_OK;
}

/* More memory than a cached statement should hold until its next use. */
static bool is_large(const struct nx_schema *schema, const struct nx_batch *b)
{
	size_t bytes = 0;
	for (uint32_t i = 0; b->nrows > 0 && i < b->ncols; i++)
		if (schema->fields[i].layout == NX_L_TEXT)
			bytes += (size_t)(b->cols[i].offsets[b->nrows] - b->cols[i].offsets[0]);
	return b->nrows > KEEP_ROWS || bytes > KEEP_BYTES;
}

enum nx_code my_next(struct nx_stream *base, struct nx_batch *ret, struct nx_error *err)
{
	struct my_stream *st = (struct my_stream *)base;
	struct my_conn *c = st->conn;
	if (!next_batch(st))
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!st->ended && enter(c)) {
		enum nx_code code = fetch(st, err);
		leave(c);
		if (code)
			return code;
	}
	/* MySQL answers a killed SLEEP() with a row, not with an error: our own flag decides. */
	if (cancelled(c))
		return fail_cancelled(st->query.deadline, err);
	nx_builder_batch(st->stmt->builder, ret);
	st->grown |= is_large(&st->stmt->schema, ret);
	return NX_OK;
}

/* The server cut the result where sql_select_limit told it to: only the end mark is left. */
static bool only_end_left(const struct my_stream *st)
{
	return st->conn->row_cap && st->rows >= st->conn->row_cap;
}

enum nx_conn_state my_release(struct nx_stream *base)
{
	struct my_stream *st = (struct my_stream *)base;
	struct my_conn *c = st->conn;
	struct my_stmt *s = st->stmt;
	bool cut = !st->ended && !c->broken, kill = cut && !only_end_left(st);
	if (kill) {
		bool already = end_running(c);
		abandon(c, s->handle, already);
	} else if (cut && !my_drain(c->my, s->handle, nx_now() + DRAIN_MS * MS)) {
		my_break(c);
	}
	if (st->grown) {
		nx_builder_free(s->builder);
		s->builder = NULL;
	}
	if (!s->cached)
		free_stmt(s);
	return settle(c, st->in_transaction, kill);
}
