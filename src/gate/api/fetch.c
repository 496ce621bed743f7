/* Server-side cursors: a result read in batches, each its own request.
 *
 * A cursor holds a connection (one of its source's maxStreams) and the open stream between requests.
 * Batches are numbered by the token; the newest one is kept, so a client that lost a response asks
 * for the same token again. The slug is 128 random bits; with the owner check it makes the address
 * unguessable and useless to anybody else. Cursors live in this process only.
 *
 * Lock order: cursors.lock before nothing; a cursor marked busy belongs to the thread that marked it
 * and is touched without the lock. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "gate/api/api.h"
#include "gate/guard.h"

#define MAX_PAGE ((size_t)64 << 20)
#define BUSY_WAIT (2 * NX_SEC)

struct cursor {
	struct cursor *next;
	char id[37], slug[33];
	uint64_t owner;
	struct nx_arena *arena;
	const struct nx_data_source *source;
	const struct nx_data_source *asked; /* when `source` stands in for it; NULL: itself */
	struct nx_lease *lease; /* NULL once the rows are at their end */
	struct nx_stream *stream;
	struct nx_encoding encoding;
	struct nx_batch batch; /* rows from `at` on are still to be given */
	uint32_t at;
	uint64_t skip, left;
	int64_t timeout_ms, used;
	uint32_t batch_size;
	uint64_t token; /* of the page that is kept */
	struct nx_buf page; /* the newest batch, without its tail */
	uint64_t page_rows;
	bool busy, more;
	struct nx_trace opened; /* by this request */
};

struct nx_cursors {
	pthread_mutex_t lock;
	pthread_cond_t freed; /* a cursor is no longer busy, or is gone */
	struct cursor *first;
	uint32_t n, max;
	int64_t ttl;
};

struct nx_cursors *nx_cursors_new(uint32_t max, int64_t ttl_ms)
{
	struct nx_cursors *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_t mono;
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&c->freed, &mono);
	pthread_condattr_destroy(&mono);
	c->max = max;
	c->ttl = ttl_ms * NX_MS;
	return c;
}

/* The source's part of a cursor ends; the page stays. */
static void close_stream(struct cursor *c)
{
	if (c->stream) {
		enum nx_conn_state s = c->source->driver->release(c->stream);
		c->stream = NULL;
		nx_lease_end(c->lease, s);
		c->lease = NULL;
	}
}

static void cursor_free(struct cursor *c)
{
	if (!c)
		return;
	close_stream(c);
	if (c->source)
		nx_data_source_unref(c->source);
	if (c->asked)
		nx_data_source_unref(c->asked);
	nx_buf_done(&c->page);
	nx_arena_free(c->arena);
	free(c);
}

void nx_cursors_free(struct nx_cursors *cs)
{
	if (!cs)
		return;
	while (cs->first) {
		struct cursor *c = cs->first;
		cs->first = c->next;
		cursor_free(c);
	}
	pthread_cond_destroy(&cs->freed);
	pthread_mutex_destroy(&cs->lock);
	free(cs);
}

uint32_t nx_cursors_open(struct nx_cursors *cs)
{
	pthread_mutex_lock(&cs->lock);
	uint32_t n = cs->n;
	pthread_mutex_unlock(&cs->lock);
	return n;
}

/* Takes a cursor out of the list; lock held. */
static void unlink_cursor(struct nx_cursors *cs, struct cursor *c)
{
	struct cursor **at = &cs->first;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	cs->n--;
}

void nx_cursors_sweep(struct nx_cursors *cs)
{
	int64_t now = nx_now();
	struct cursor *dead = NULL;
	pthread_mutex_lock(&cs->lock);
	for (struct cursor *c = cs->first, *next; c; c = next) {
		next = c->next;
		if (!c->busy && now - c->used > cs->ttl) {
			unlink_cursor(cs, c);
			c->next = dead;
			dead = c;
		}
	}
	pthread_mutex_unlock(&cs->lock);
	while (dead) {
		struct cursor *c = dead;
		dead = c->next;
		cursor_free(c);
	}
}

/* ---- making a page ---- */

/* Sees to it that the cursor stands on a row, or knows that there is none. */
static enum nx_code look_ahead(struct cursor *c, struct nx_error *err)
{
	const struct nx_driver *d = c->source->driver;
	while (c->more && c->at >= c->batch.nrows) {
		if (c->left == 0) {
			c->more = false;
			break;
		}
		enum nx_code code = d->next(c->stream, &c->batch, err);
		if (code)
			return code;
		c->at = 0;
		if (c->batch.nrows == 0) {
			c->more = false;
			break;
		}
		uint32_t drop = c->skip < c->batch.nrows ? (uint32_t)c->skip : c->batch.nrows;
		c->at = drop;
		c->skip -= drop;
	}
	return NX_OK;
}

static enum nx_code page_of_batches(struct nx_request *r, struct cursor *c, struct nx_encoder *enc,
				    uint32_t want)
{
	while (want > 0) {
		enum nx_code code = look_ahead(c, &r->err);
		if (code || !c->more)
			return code;
		uint32_t n = c->batch.nrows - c->at;
		if (n > want)
			n = want;
		if (n > c->left)
			n = (uint32_t)c->left;
		code = nx_encoder_rows(enc, &c->batch, c->at, c->at + n, &c->page, &r->err);
		if (code)
			return code;
		c->at += n;
		c->left -= n;
		want -= n;
		r->rows += n;
		if (c->left == 0)
			c->at = c->batch.nrows;
	}
	return look_ahead(c, &r->err);
}

/* A driver that encodes in its own process gives whole frames: a page may be larger than asked. */
static enum nx_code page_of_bytes(struct nx_request *r, struct cursor *c, struct nx_encoder *enc,
				  uint32_t want)
{
	while (c->more && r->rows < want) {
		struct nx_bytes y = { .rows = 0 };
		enum nx_code code = c->source->driver->next_bytes(c->stream, &y, &r->err);
		if (code)
			return code;
		if (y.data.len == 0)
			c->more = false;
		else
			nx_encoder_raw(enc, y.data, &c->page);
		r->rows += y.rows;
	}
	return NX_OK;
}

static enum nx_code make_page(struct nx_request *r, struct cursor *c, uint32_t want)
{
	const struct nx_driver *d = c->source->driver;
	nx_buf_clear(&c->page);
	r->rows = 0;
	struct nx_encoder *enc = nx_encoder_new(d->schema(c->stream), &c->encoding);
	if (!enc)
		return nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	enum nx_code code = nx_encoder_head(enc, &c->page, &r->err);
	if (!code)
		code = d->caps & NX_CAP_ENCODES ? page_of_bytes(r, c, enc, want)
						: page_of_batches(r, c, enc, want);
	if (!code) {
		c->token++;
		c->page_rows = r->rows;
	}
	if (!code && c->page.failed)
		code = nx_fail(&r->err, NX_E_RESULT_TOO_LARGE,
			       "The batch is too large; ask for fewer rows.");
	nx_encoder_free(enc);
	return code;
}

/* The kept batch with a tail of this request's own: a batch that is read again differs only there. */
static enum nx_code reply_page(struct nx_request *r, struct cursor *c)
{
	static const struct nx_schema no_columns = { 0, NULL }; /* a tail needs none */
	struct nx_encoder *enc = nx_encoder_new(&no_columns, &c->encoding);
	if (!enc)
		return nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	r->rows = c->page_rows;
	r->has_more = c->more;
	if (c->more) {
		char *uri = nx_arena_printf(r->arena, "/api/v1/fetch/%s/%s/%" PRIu64, c->id,
					    c->slug, c->token + 1);
		r->next_uri = uri ? nx_str(uri) : NX_STR("");
	}
	struct nx_result_meta meta;
	char now[NX_ISO_LEN];
	nx_request_meta(r, NULL, &meta, now);
	meta.query_id = nx_str(c->id);
	size_t body = c->page.len;
	enum nx_code code = nx_encoder_tail(enc, &meta, &c->page, &r->err);
	nx_encoder_free(enc);
	if (!code && c->page.failed)
		code = nx_fail(&r->err, NX_E_RESULT_TOO_LARGE,
			       "The batch is too large; ask for fewer rows.");
	if (!code)
		nx_request_reply(r, 200, nx_formats[c->encoding.format].content_type,
				 nx_buf_str(&c->page));
	c->page.len = body;
	c->page.failed = false;
	return code;
}

/* ---- open ---- */

static enum nx_code copy_params(struct nx_request *r, struct cursor *c, struct nx_query *q)
{
	struct nx_value *v = nx_arena_array(c->arena, q->nparams ? q->nparams : 1, sizeof(*v));
	if (!v)
		return nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	for (uint32_t i = 0; i < q->nparams; i++) {
		v[i].kind = q->params[i].kind;
		v[i].text = nx_arena_str(c->arena, q->params[i].text);
		if (!v[i].text.ptr)
			return nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	}
	q->params = v;
	q->sql = nx_arena_str(c->arena, q->sql);
	q->arena = c->arena;
	return q->sql.ptr ? NX_OK : nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
}

static enum nx_code new_cursor(struct nx_request *r, struct cursor **ret)
{
	struct cursor *c = calloc(1, sizeof(*c));
	if (!c)
		return nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	c->arena = nx_arena_new((size_t)16 << 20);
	nx_buf_init(&c->page, MAX_PAGE);
	memcpy(c->id, r->job.id, sizeof(c->id));
	char u[37];
	nx_uuid(u);
	size_t n = 0;
	for (const char *p = u; *p; p++)
		if (*p != '-')
			c->slug[n++] = *p;
	c->slug[n] = '\0';
	c->owner = r->who.id;
	c->opened = r->trace;
	c->encoding = r->args.encoding;
	c->skip = r->source->driver->caps & NX_CAP_ENCODES ? 0 : r->args.offset;
	c->batch_size = r->args.batch_size;
	c->timeout_ms = r->args.timeout_ms ? r->args.timeout_ms : r->source->limits.query_ms;
	if (r->granted.timeout_ms && r->granted.timeout_ms < c->timeout_ms)
		c->timeout_ms = r->granted.timeout_ms;
	c->more = true;
	c->busy = true;
	if (!c->arena) {
		cursor_free(c);
		return nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	}
	*ret = c;
	return NX_OK;
}

static _Thread_local struct nx_query
	*opening; /* handed to open_stream by the thread that runs it */

static enum nx_code open_stream(struct nx_request *r, struct nx_error *err)
{
	return r->source->driver->query(r->conn, opening, &r->stream, &r->conn_state, err);
}

static enum nx_code start_cursor(struct nx_request *r, struct cursor *c)
{
	struct nx_query q;
	nx_request_query(r, &q);
	c->left = q.limits.max_rows;
	enum nx_code code = copy_params(r, c, &q);
	if (code)
		return code;
	opening = &q;
	code = nx_run_retrying(r, open_stream);
	opening = NULL;
	if (code)
		return code;
	c->source = r->source;
	nx_data_source_ref(c->source);
	c->asked = r->asked;
	if (c->asked)
		nx_data_source_ref(c->asked);
	c->stream = r->stream;
	r->stream = NULL;
	code = make_page(r, c, r->args.batch_size);
	if (!code && c->more)
		return nx_job_detach(&r->job, &c->lease, &r->err);
	r->conn_state = c->source->driver->release(c->stream);
	c->stream = NULL;
	c->more = false;
	return code;
}

static void put_back(struct nx_request *r, struct cursor *c)
{
	pthread_mutex_lock(&r->gw->cursors->lock);
	c->used = nx_now();
	c->busy = false;
	pthread_cond_broadcast(&r->gw->cursors->freed);
	pthread_mutex_unlock(&r->gw->cursors->lock);
}

static void drop_cursor(struct nx_request *r, struct cursor *c)
{
	pthread_mutex_lock(&r->gw->cursors->lock);
	unlink_cursor(r->gw->cursors, c);
	pthread_cond_broadcast(&r->gw->cursors->freed);
	pthread_mutex_unlock(&r->gw->cursors->lock);
	cursor_free(c);
}

enum nx_code nx_act_fetch_open(struct nx_request *r)
{
	struct nx_cursors *cs = r->gw->cursors;
	struct cursor *c = NULL;
	enum nx_code code = new_cursor(r, &c);
	if (code)
		return code;
	code = start_cursor(r, c);
	if (code) {
		if (c->stream) { /* detach failed: the stream ends on the job's own connection */
			r->conn_state = c->source->driver->release(c->stream);
			c->stream = NULL;
		}
		cursor_free(c);
		return code;
	}
	if (!c->more) { /* all of it in one batch: its address is never told */
		code = reply_page(r, c);
		cursor_free(c);
		return code;
	}
	/* Listed before it is answered: the client may ask for the next batch at once. */
	c->used = nx_now();
	pthread_mutex_lock(&cs->lock);
	bool full = cs->n >= cs->max;
	if (!full) {
		c->next = cs->first;
		cs->first = c;
		cs->n++;
	}
	pthread_mutex_unlock(&cs->lock);
	if (full)
		code = nx_fail(&r->err, NX_E_OVERLOADED, "Too many cursors are open.");
	else
		code = reply_page(r, c);
	if (full)
		cursor_free(c);
	else if (code)
		drop_cursor(r, c);
	else
		put_back(r, c);
	return code;
}

/* ---- next, close ---- */

/* The caller's cursor of the path; lock held. */
static struct cursor *find_cursor(struct nx_request *r)
{
	for (struct cursor *c = r->gw->cursors->first; c; c = c->next)
		if (nx_str_is(r->path[0], c->id) && nx_str_is(r->path[1], c->slug) &&
		    c->owner == r->who.id)
			return c;
	return NULL;
}

/* As find, marked busy. A request that comes right behind the last answer finds the cursor still busy
 * with sending it: it waits a moment. */
static enum nx_code take_cursor(struct nx_request *r, struct cursor **ret)
{
	struct nx_cursors *cs = r->gw->cursors;
	int64_t until = nx_now() + BUSY_WAIT;
	struct timespec ts = { until / NX_SEC, until % NX_SEC };
	pthread_mutex_lock(&cs->lock);
	struct cursor *c = find_cursor(r);
	while (c && c->busy && nx_now() < until) {
		(void)pthread_cond_timedwait(&cs->freed, &cs->lock, &ts);
		c = find_cursor(r); /* also after the time is over: it may have been freed */
	}
	bool busy = c && c->busy;
	if (c && !busy)
		c->busy = true;
	pthread_mutex_unlock(&cs->lock);
	if (!c)
		return nx_fail(&r->err, NX_E_CURSOR_NOT_FOUND,
			       "No such cursor, or it has expired.");
	if (busy)
		return nx_fail(&r->err, NX_E_CONFLICT, "The cursor is in use by another request.");
	*ret = c;
	return NX_OK;
}

static enum nx_code next_page(struct nx_request *r, struct cursor *c, uint32_t want)
{
	nx_job_adopt(&r->job, c->lease, nx_now() + c->timeout_ms * NX_MS);
	enum nx_code code = make_page(r, c, want);
	struct nx_error err;
	struct nx_lease *l = NULL;
	enum nx_code d = nx_job_detach(&r->job, &l, &err);
	(void)d; /* cannot fail for a lease that was detached before */
	if (code && nx_request_gone(r, &r->err))
		code = r->err.code;
	if (!code && !c->more)
		close_stream(c);
	return code;
}

/* Do the grants still lead to the cursor's source? They may have been taken away since it was opened. */
static bool still_granted(struct nx_request *r, const struct cursor *c)
{
	r->source = c->asked ? c->asked : c->source;
	nx_data_source_ref(r->source);
	if (nx_guard_source(r))
		return false;
	if (strcmp(r->source->id, c->source->id) != 0)
		return false;
	nx_data_source_ref(c->source);
	nx_data_source_unref(r->source); /* perhaps a newer version */
	r->source = c->source;
	return true;
}

enum nx_code nx_act_fetch_next(struct nx_request *r)
{
	uint64_t token;
	uint32_t want;
	enum nx_code code = nx_query_param_u32(r, "batch_size", 0, 100000, &want, &r->err);
	if (!code && !nx_str_to_u64(r->path[2], &token))
		code = nx_fail(&r->err, NX_E_CURSOR_NOT_FOUND, "The token is not valid.");
	if (code)
		return code;
	struct cursor *c = NULL;
	code = take_cursor(r, &c);
	if (code)
		return code;
	if (c->opened.sampled)
		r->link = c->opened;
	if (!still_granted(r, c)) {
		drop_cursor(r, c);
		return nx_fail(&r->err, NX_E_CURSOR_NOT_FOUND,
			       "No such cursor, or it has expired.");
	}
	if (token == c->token + 1 && c->more) {
		code = next_page(r, c, want ? want : c->batch_size);
		if (code) {
			drop_cursor(r, c);
			return code;
		}
	} else if (token != c->token) {
		put_back(r, c);
		return nx_fail(&r->err, NX_E_CURSOR_NOT_FOUND,
			       "The cursor has moved on, or has ended before this batch.");
	}
	code = reply_page(r, c);
	put_back(r, c);
	return code;
}

enum nx_code nx_act_fetch_close(struct nx_request *r)
{
	struct cursor *c = NULL;
	enum nx_code code = take_cursor(r, &c);
	if (code)
		return code;
	drop_cursor(r, c);
	nx_request_reply(r, 204, NULL, NX_STR(""));
	return NX_OK;
}
