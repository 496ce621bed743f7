/* A query from Bind to ReadyForQuery.
 *
 * A pure query (nothing in it can touch the session) is Bind, Execute, Sync: its implicit
 * transaction is read-only by the session's default. Any other runs between BEGIN READ ONLY and
 * ROLLBACK, all in one message train, so whatever it did to the session's settings is undone and
 * the snapshot is gone before the client has read the rows; the connection is dirty afterwards.
 * The user's statement is the first one after BEGIN that takes a snapshot, and the only one of his: nothing can switch the transaction to
 * read-write before the snapshot is taken, and afterwards the server refuses.
 *
 * Execute asks for all rows: a row limit there would stop the server from using parallel plans. Who
 * has read enough releases the stream, which cancels. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "pg_int.h"

static void put_bind(struct pg_conn *c, const struct pg_stmt *s, const struct nx_query *q)
{
	struct nx_buf *b = &c->out;
	size_t at = pg_msg_begin(b, 'B');
	nx_buf_putc(b, '\0'); /* unnamed portal */
	pg_put_cstr(b, s->name, strlen(s->name));
	pg_put_i16(b, 0); /* all parameters are text */
	pg_put_i16(b, q->nparams);
	for (uint32_t i = 0; i < q->nparams; i++) {
		const struct nx_value *v = &q->params[i];
		if (v->kind == NX_V_NULL) {
			pg_put_i32(b, UINT32_MAX);
			continue;
		}
		if (v->text.len > PG_OUT_MAX)
			b->failed = true;
		pg_put_i32(b, (uint32_t)v->text.len);
		nx_buf_put_str(b, v->text);
	}
	if (s->nbinary == 0) {
		pg_put_i16(b, 0);
	} else {
		pg_put_i16(b, s->schema.nfields);
		for (uint32_t i = 0; i < s->schema.nfields; i++)
			pg_put_i16(b, s->types[i]->conv == PG_CV_BYTES);
	}
	pg_msg_end(b, at);
}

/* The trace as application_name, in the same message train: no round trip more, and ROLLBACK takes it back.
 * SET takes no snapshot: what the note above says of the user's statement still holds. */
static void put_name(struct pg_conn *c, struct nx_str trace)
{
	char sql[128];
	int n = snprintf(sql, sizeof(sql), "SET LOCAL application_name = 'nexus " NX_STR_FMT "'",
			 NX_STR_ARG(trace));
	for (size_t i = 0; i < trace.len; i++) /* hex digits and dashes, or nothing of it */
		if (!isxdigit((unsigned char)trace.ptr[i]) && trace.ptr[i] != '-')
			n = 0;
	bool good = n > 0 && (size_t)n < sizeof(sql);
	pg_put_run(c,
		   good ? nx_strn(sql, (size_t)n) : NX_STR("SET LOCAL application_name = 'nexus'"));
}

static enum nx_code send_query(struct pg_conn *c, const struct pg_stmt *s, const struct nx_query *q,
			       struct nx_error *err)
{
	struct pg_stream *st = &c->stream;
	if (c->tx != 'I')
		pg_put_run(c, NX_STR("ROLLBACK")); /* answered in stage BEGIN like it */
	bool named = q->trace.len > 0, block = !q->pure || named;
	if (block)
		pg_put_run(c, NX_STR("BEGIN READ ONLY"));
	if (named)
		put_name(c, q->trace);
	st->skip = (c->tx != 'I') + block + named;
	put_bind(c, s, q);
	pg_put_execute(c);
	if (block)
		pg_put_run(c, NX_STR("ROLLBACK"));
	pg_put_sync(c);
	st->stage = st->skip ? PG_S_BEGIN : PG_S_ROWS;
	st->bound = st->failed = st->stale = false;
	return pg_send(c, q->deadline, err);
}

/* Reads what is left of the answer; what was sent ahead for later queries stays. */
enum nx_code pg_drain(struct pg_conn *c, int64_t deadline, struct nx_error *err)
{
	while (c->unsynced > c->ahead) {
		struct pg_msg m;
		enum nx_code code = pg_recv(c, deadline, &m, err);
		if (code) {
			c->broken = true;
			return code;
		}
	}
	return NX_OK;
}

static void abandon(struct pg_conn *c)
{
	if (c->broken)
		return;
	if (c->ahead > 0) { /* the cancel would hit the queries behind it */
		c->broken = true;
		return;
	}
	pg_cancel_within(c, PG_ABANDON_MS);
	(void)!pg_drain(c, nx_now() + PG_DRAIN_MS * 1000000LL, NULL);
}

/* Everything but DataRow. */
static enum nx_code on_message(struct pg_stream *st, const struct pg_msg *m, struct nx_str sql,
			       struct nx_error *err)
{
	struct pg_conn *c = st->conn;
	struct pg_fault fault; /* points into the message */
	switch (m->type) {
	case '1':
		return NX_OK;
	case '2':
		st->bound |= st->stage == PG_S_ROWS;
		return NX_OK;
	case 'C':
		if (st->stage == PG_S_ROWS)
			st->stage = PG_S_TAIL;
		else if (st->stage == PG_S_BEGIN && --st->skip == 0)
			st->stage = PG_S_ROWS;
		return NX_OK;
	case 'Z':
		if (st->stage != PG_S_TAIL)
			break;
		st->stage = PG_S_DONE;
		return NX_OK;
	case 'E':
		if (!pg_fault_parse(m->p, m->len, &fault))
			break;
		c->broken |= fault.fatal;
		st->stale = pg_fault_stale(&fault);
		st->failed = true;
		st->stage = PG_S_TAIL;
		return pg_fail_fault(&fault, sql, st->stmt->nparams, !st->bound, err);
	default:
		break;
	}
	c->broken = true;
	return nx_fail(err, NX_E_PROTOCOL, "The source sent a message that makes no sense.");
}

/* Waits for the first row, the end or an error. */
static enum nx_code first_answer(struct pg_stream *st, const struct nx_query *q,
				 struct nx_error *err)
{
	struct pg_conn *c = st->conn;
	while (st->stage == PG_S_BEGIN || st->stage == PG_S_ROWS) {
		struct pg_msg m;
		enum nx_code code = pg_recv(c, q->deadline, &m, err);
		if (code)
			return code;
		if (m.type == 'D' && st->stage == PG_S_ROWS) {
			pg_unread(c, &m);
			return NX_OK;
		}
		code = on_message(st, &m, q->sql, err);
		if (code)
			return code;
	}
	return NX_OK;
}

/* The next answer on the wire is that of a query which pg_pipeline() has sent. */
static void take_ahead(struct pg_conn *c)
{
	struct pg_stream *st = &c->stream;
	c->ahead--;
	st->skip = 0;
	st->stage = PG_S_ROWS;
	st->bound = st->failed = st->stale = false;
}

/* Each ends with its own Sync: an error of one does not reach the next. */
uint32_t pg_pipeline(struct nx_conn *nc, const struct nx_query *const *q, uint32_t n)
{
	struct pg_conn *c = (struct pg_conn *)nc;
	if (c->broken || c->tx != 'I' || c->unsynced > 0)
		return 0;
	uint32_t sent = 0;
	for (; sent < n; sent++) {
		struct pg_stmt *s = q[sent]->pure ? pg_cache_find(&c->cache, q[sent]->sql) : NULL;
		if (!s || s->nparams != q[sent]->nparams)
			break;
		put_bind(c, s, q[sent]);
		pg_put_execute(c);
		pg_put_sync(c);
	}
	if (sent == 0)
		return 0;
	c->ahead = sent;
	struct nx_error err; /* broken is set: query() tells */
	(void)!pg_send(c, q[0]->deadline, &err);
	return sent;
}

static enum nx_code run(struct pg_conn *c, const struct nx_query *q, bool *ret_stale,
			struct nx_error *err)
{
	struct pg_stream *st = &c->stream;
	struct pg_stmt *s = pg_cache_find(&c->cache, q->sql);
	*ret_stale = false;
	if (!s) {
		enum nx_code code = pg_prepare(c, q->sql, q->deadline, &s, err);
		if (code)
			return code;
	}
	if (q->nparams != s->nparams)
		return nx_fail(err, NX_E_PARAMETER_COUNT,
			       "The statement takes %u parameters, not %u.", s->nparams,
			       q->nparams);
	st->stmt = s;
	enum nx_code code = NX_OK;
	if (c->ahead > 0)
		take_ahead(c);
	else
		code = send_query(c, s, q, err);
	if (!code)
		code = first_answer(st, q, err);
	if (!code)
		return NX_OK;
	if (st->stage == PG_S_TAIL)
		(void)!pg_drain(c, nx_now() + PG_ENDED_MS * 1000000LL, NULL);
	else
		abandon(c);
	st->stage = PG_S_IDLE;
	if (st->stale && !c->broken) {
		if (c->ahead > 0) { /* asked again, it would be answered behind the others */
			c->broken = true;
			return nx_fail(err, NX_E_SOURCE_LOST, "A statement must be prepared anew.");
		}
		pg_cache_drop(c, s);
		*ret_stale = true;
	}
	return code;
}

static uint32_t at_most(uint32_t v, uint32_t max)
{
	return v < max ? v : max;
}

static bool stream_builder(struct pg_stream *st, const struct nx_query *q)
{
	uint32_t max = q->limits.batch_rows ? at_most(q->limits.batch_rows, 65536) : 4096;
	st->max_rows = max;
	st->max_bytes = q->limits.batch_bytes ? q->limits.batch_bytes : 1 << 20;
	st->batch_rows = at_most(PG_FIRST_ROWS, max);
	st->nbatches = 0;
	st->big = false;
	st->builder = st->stmt->builder;
	st->conn->cache.kept -= st->builder != NULL;
	st->stmt->builder = NULL;
	if (st->builder)
		nx_builder_limits(st->builder, st->batch_rows, st->max_bytes);
	else
		st->builder = nx_builder_new(&st->stmt->schema, st->batch_rows, st->max_bytes);
	return st->builder != NULL;
}

enum nx_code pg_query(struct nx_conn *nc, const struct nx_query *q, struct nx_stream **ret,
		      enum nx_conn_state *ret_state, struct nx_error *err)
{
	struct pg_conn *c = (struct pg_conn *)nc;
	struct pg_stream *st = &c->stream;
	enum nx_code code = NX_E_SOURCE_LOST;
	bool stale = false;
	if (c->broken)
		nx_fail(err, code, "The connection to the source broke.");
	else
		code = run(c, q, &stale, err);
	if (code && stale)
		code = run(c, q, &stale, err);
	if (!code) {
		st->pure = q->pure;
		/* A statement that is not pure may have changed client_encoding by itself. */
		st->check_utf8 = c->sql_ascii || !q->pure;
		st->deadline = q->deadline;
		if (stream_builder(st, q)) {
			*ret = &st->base;
			return NX_OK;
		}
		code = nx_fail(err, NX_E_MEMORY, "Out of memory.");
		abandon(c);
		st->stage = PG_S_IDLE;
	}
	if (c->unsynced > c->ahead)
		abandon(c); /* the deadline came while the statement was prepared */
	pg_in_rest(c);
	*ret_state = pg_conn_state(c, q->pure);
	return code;
}

const struct nx_schema *pg_schema(struct nx_stream *nst)
{
	return &((struct pg_stream *)nst)->stmt->schema;
}

static enum nx_code bad_value(struct pg_stream *st, uint32_t col, struct nx_error *err)
{
	const struct nx_field *f = &st->stmt->schema.fields[col];
	nx_fail(err, NX_E_DATA_ERROR,
		"Column %u (" NX_STR_FMT ") has a value that is not " NX_STR_FMT
		" in the session's format.",
		col + 1, NX_STR_ARG(f->name), NX_STR_ARG(f->native));
	nx_error_native(err, 0, "22000");
	return NX_E_DATA_ERROR;
}

static enum nx_code bad_utf8(struct pg_stream *st, uint32_t col, struct nx_error *err)
{
	const struct nx_field *f = &st->stmt->schema.fields[col];
	nx_fail(err, NX_E_DATA_ERROR, "Column %u (" NX_STR_FMT ") has bytes that are not UTF-8.",
		col + 1, NX_STR_ARG(f->name));
	nx_error_native(err, 0, "22021");
	return NX_E_DATA_ERROR;
}

/* Values that change on the way; false: not what the type allows. */
static bool converted(struct pg_stream *st, uint32_t col, const struct pg_type *t, const char *p,
		      size_t len)
{
	struct nx_builder *b = st->builder;
	if (t->conv == PG_CV_ARRAY || t->conv == PG_CV_RECORD || t->conv == PG_CV_VECTOR) {
		nx_buf_clear(&st->json);
		if (!pg_value_json(&st->json, t, nx_strn(p, len), 0) || st->json.failed)
			return false;
		nx_builder_text(b, col, st->json.data, st->json.len);
		if (st->json.cap > 1 << 20)
			nx_buf_done(&st->json);
		return true;
	}
	char *out = nx_builder_room(b, col, len + 16);
	if (!out)
		return true; /* row_end reports it */
	size_t n = 0;
	if (t->conv == PG_CV_DATE)
		n = pg_date_text(p, len, out);
	else if (t->conv == PG_CV_TIMETZ)
		n = pg_timetz_text(p, len, out);
	else if (t->conv == PG_CV_JSON)
		n = pg_json_line(p, len, out);
	else
		n = pg_timestamp_text(p, len, t->conv == PG_CV_TIMESTAMPTZ, out);
	nx_builder_shrink(b, col, n);
	return n > 0;
}

static enum nx_code add_row(struct pg_stream *st, const char *p, size_t size, struct nx_error *err)
{
	const struct pg_stmt *s = st->stmt;
	const char *end = p + size;
	uint32_t n = size >= 2 ? pg_get_u16(p) : UINT32_MAX;
	st->big |= size > PG_BIG_ROW;
	if (n != s->schema.nfields)
		goto bad;
	p += 2;
	for (uint32_t i = 0; i < n; i++) {
		if (end - p < 4)
			goto bad;
		uint32_t len = pg_get_u32(p);
		p += 4;
		if (len == UINT32_MAX)
			continue; /* null */
		if (len > (size_t)(end - p))
			goto bad;
		const struct pg_type *t = s->types[i];
		if (t->conv == PG_CV_BYTES) {
			nx_builder_text(st->builder, i, p, len);
		} else if (st->check_utf8 && nx_utf8_check(nx_strn(p, len)) != len) {
			return bad_utf8(st, i, err);
		} else if (t->conv == PG_CV_COPY) {
			nx_builder_text(st->builder, i, p, len);
		} else if (t->conv == PG_CV_BOOL) {
			nx_builder_bool(st->builder, i, len == 1 && *p == 't');
		} else if (!converted(st, i, t, p, len)) {
			return bad_value(st, i, err);
		}
		p += len;
	}
	if (p != end)
		goto bad;
	return nx_builder_row_end(st->builder, err);
bad:
	st->conn->broken = true;
	return nx_fail(err, NX_E_PROTOCOL, "The source sent a malformed row.");
}

/* Fewer wake-ups in a long stream: the socket counts as readable only with a good part of the
 * buffer full. The end of the rows may so come late by PG_FLUSH_MS. */
static void set_lowat(struct pg_stream *st, bool on)
{
	if (st->lowat == on || st->conn->ssl)
		return;
	int v = on ? 48 << 10 : 1;
	(void)!setsockopt(st->conn->fd, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof(v));
	st->lowat = on;
}

/* The next message, or none when the batch should go out as it is: at once for the first batch,
 * after a moment for later ones. */
static enum nx_code next_message(struct pg_stream *st, int64_t *flush, struct pg_msg *m,
				 struct nx_error *err)
{
	struct pg_conn *c = st->conn;
	bool rows = nx_builder_rows(st->builder) > 0;
	if (!rows && !st->lowat)
		return pg_recv(c, st->deadline, m, err);
	enum nx_code code = pg_recv_until(c, 0, m, err);
	if (code || m->type)
		return code;
	if (rows && st->nbatches == 0)
		return NX_OK;
	if (*flush == 0)
		*flush = nx_now() + PG_FLUSH_MS * 1000000LL;
	code = pg_recv_until(c, *flush < st->deadline ? *flush : st->deadline, m, err);
	if (code || m->type || rows)
		return code;
	set_lowat(st, false); /* too little comes: wait for any */
	return pg_recv(c, st->deadline, m, err);
}

static enum nx_code fill_batch(struct pg_stream *st, struct nx_error *err)
{
	int64_t flush = 0;
	while (st->stage == PG_S_ROWS && !nx_builder_full(st->builder)) {
		struct pg_msg m;
		enum nx_code code = next_message(st, &flush, &m, err);
		if (code)
			return code;
		if (m.type == 0)
			return NX_OK;
		if (NX_LIKELY(m.type == 'D'))
			code = add_row(st, m.p, m.len, err);
		else
			code = on_message(st, &m, st->stmt->sql, err);
		if (code)
			return code;
	}
	return NX_OK;
}

enum nx_code pg_next(struct nx_stream *nst, struct nx_batch *ret, struct nx_error *err)
{
	struct pg_stream *st = (struct pg_stream *)nst;
	if (st->nbatches > 0) {
		st->batch_rows = at_most(st->batch_rows * 4, st->max_rows);
		nx_builder_limits(st->builder, st->batch_rows, st->max_bytes);
		if (st->nbatches == PG_LONG_STREAM && st->stage == PG_S_ROWS)
			set_lowat(st, true);
	}
	nx_builder_clear(st->builder);
	enum nx_code code = fill_batch(st, err);
	if (code) {
		st->failed = true;
		return code;
	}
	st->nbatches++;
	nx_builder_batch(st->builder, ret);
	return NX_OK;
}

bool pg_lags(struct nx_stream *nst, uint32_t ms)
{
	struct pg_stream *st = (struct pg_stream *)nst;
	struct nx_error found; /* next() finds it again */
	struct pg_msg m = { 0 };
	if (st->stage != PG_S_ROWS ||
	    pg_recv_until(st->conn, ms ? nx_now() + ms * 1000000LL : 0, &m, &found))
		return false;
	if (m.type)
		pg_unread(st->conn, &m);
	return m.type == 0;
}

enum nx_conn_state pg_release(struct nx_stream *nst)
{
	struct pg_stream *st = (struct pg_stream *)nst;
	struct pg_conn *c = st->conn;
	set_lowat(st, false);
	if (st->stage == PG_S_BEGIN || st->stage == PG_S_ROWS)
		abandon(c);
	else if (st->stage == PG_S_TAIL && !c->broken)
		(void)!pg_drain(c, nx_now() + PG_ENDED_MS * 1000000LL, NULL);
	st->stage = PG_S_IDLE;
	/* A builder of one small batch serves the statement's next execution. */
	if (st->nbatches <= 2 && !st->big && !st->failed && c->cache.kept < PG_KEPT_BUILDERS) {
		st->stmt->builder = st->builder;
		c->cache.kept++;
	} else {
		nx_builder_free(st->builder);
	}
	st->builder = NULL;
	pg_in_rest(c);
	return pg_conn_state(c, st->pure);
}
