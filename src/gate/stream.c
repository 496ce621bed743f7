/* The encode step: pulls batches from the driver, pushes bytes to the client. Pull and push happen on
 * one worker, so a client that stops reading stops the source, and memory stays at a batch and a
 * buffer. */
#include "base/clock.h"
#include "gate/guard.h"
#include "gate/request.h"
#include "sql/columns.h"
#include "stats/metrics.h"

/* What is collected before it is written: large enough for few system calls, small enough to stay in
 * the cache. */
#define CHUNK ((size_t)64 * 1024)
/* A first batch of fewer rows is likely all there is: wait for the end to answer in one piece. */
#define SMALL_BATCH 64u
#define LINGER (20 * NX_MS)
#define FIRST_LINGER_MS 5u /* until its end is there */

static const char *const coding_names[] = { "", "gzip", "zstd" };

static void begin(struct nx_request *r)
{
	r->began = true;
	r->status = 200;
	atomic_store(&r->job.state, NX_JOB_STREAMING);
	nx_http_add_header(r->x, "X-Correlation-ID", nx_str(r->correlation));
	nx_http_add_header(r->x, "X-Query-ID", nx_str(r->job.id));
	if (r->compressor)
		nx_http_add_header(r->x, "Content-Encoding", nx_str(coding_names[r->coding]));
	if (r->coding != NX_CODING_IDENTITY || nx_http_get_header(r->x, "Accept-Encoding").ptr)
		nx_http_add_header(r->x, "Vary", NX_STR("Accept, Accept-Encoding"));
}

/* Why a write failed: a reason of ours, or the client. */
static enum nx_code lost_client(struct nx_request *r)
{
	if (nx_request_gone(r, &r->err))
		return r->err.code;
	return nx_fail(&r->err, NX_E_CLIENT_GONE, "The client left or read too slowly.");
}

/* Sends what the buffer holds. */
static enum nx_code push(struct nx_request *r, enum nx_flush flush)
{
	struct nx_buf *b = r->out;
	struct nx_str data = nx_buf_str(b);
	struct nx_buf packed;
	nx_buf_init(&packed, (size_t)128 << 20);
	if (r->compressor) {
		enum nx_code c = nx_compress(r->compressor, data, flush, &packed, &r->err);
		if (c) {
			nx_buf_done(&packed);
			return c;
		}
		data = nx_buf_str(&packed);
	}
	if (!r->began) {
		begin(r);
		nx_http_begin(r->x, 200, nx_formats[r->args.encoding.format].content_type, -1);
	}
	bool ok = data.len == 0 || nx_http_write(r->x, data.ptr, data.len);
	if (ok && flush != NX_FLUSH_NO)
		ok = nx_http_flush(r->x);
	nx_buf_done(&packed);
	nx_buf_clear(b);
	return ok ? NX_OK : lost_client(r);
}

void nx_request_meta(const struct nx_request *r, const struct nx_error *err,
		     struct nx_result_meta *ret, char timestamp[25])
{
	nx_iso_time(nx_wall_us(), timestamp);
	bool agent = r->args.encoding.format == NX_FORMAT_AGENT;
	*ret = (struct nx_result_meta){
		.row_count = r->rows,
		.elapsed_ms = (uint64_t)((nx_now() - r->started) / NX_MS),
		.source_id = nx_str(r->source->id),
		.source_type = nx_str(r->source->type->name),
		.query_id = nx_str(r->job.id),
		.has_more = r->has_more,
		.truncated = r->truncated,
		.next_uri = r->next_uri,
		.next_offset = r->has_more ? r->args.offset + r->rows : 0,
		.correlation_id = nx_str(r->correlation),
		.timestamp = nx_str(timestamp),
		.error = err,
		.unordered = agent && r->has_more &&
			     !nx_sql_ordered(r->source->type->dialect, r->args.sql, r->arena),
	};
}

struct pump {
	struct nx_encoder *enc;
	uint64_t skip, left; /* rows still to leave out, rows still wanted */
	uint64_t max_bytes;
	bool done;
};

/* A door's byte limit holds to the row: of the `rows` encoded from `before` on those beyond it go, but the
 * first row of all stays; how many are kept. The format puts a line end between rows and nowhere else. */
static uint64_t fit_rows(struct nx_request *r, struct pump *p, size_t before, uint64_t rows)
{
	struct nx_buf *b = r->out;
	uint64_t most = r->args.max_bytes;
	size_t room = most > r->bytes ? (size_t)(most - r->bytes) : 0;
	if (!most || b->len - before <= room)
		return rows;
	uint64_t kept = 0;
	for (size_t at = before; at < b->len; kept++) {
		size_t from = at + (b->data[at] == ',' ? 2 : 0);
		const char *nl = memchr(b->data + from, '\n', b->len - from);
		size_t next = nl ? (size_t)(nl - b->data) - 1 : b->len; /* at the comma */
		if (next - before > room && r->rows + kept > 0) {
			b->len = at;
			p->done = r->has_more = true;
			return kept;
		}
		at = next;
	}
	return rows;
}

/* The part of a batch that is wanted, encoded. */
static enum nx_code take_batch(struct nx_request *r, struct pump *p, const struct nx_batch *b)
{
	uint32_t from = p->skip < b->nrows ? (uint32_t)p->skip : b->nrows;
	p->skip -= from;
	uint32_t n = b->nrows - from;
	if (n > p->left) {
		n = (uint32_t)p->left;
		r->has_more = true;
		p->done = true;
	}
	if (n == 0)
		return NX_OK;
	size_t before = r->out->len;
	enum nx_code c = nx_encoder_rows(p->enc, b, from, from + n, r->out, &r->err);
	if (!c && r->out->failed)
		c = nx_fail(&r->err, NX_E_RESULT_TOO_LARGE, "A row is too large to encode.");
	if (c) {
		r->out->failed = false;
		r->out->len = before;
		return c;
	}
	p->left -= n;
	r->rows += fit_rows(r, p, before, n);
	r->bytes += r->out->len - before;
	atomic_store_explicit(&r->job.rows, r->rows, memory_order_relaxed);
	return NX_OK;
}

static enum nx_code take_bytes(struct nx_request *r, struct pump *p, const struct nx_bytes *y)
{
	size_t before = r->out->len;
	nx_encoder_raw(p->enc, y->data, r->out);
	if (r->out->failed) {
		r->out->failed = false;
		r->out->len = before;
		return nx_fail(&r->err, NX_E_RESULT_TOO_LARGE, "A row is too large to encode.");
	}
	r->rows += fit_rows(r, p, before, y->rows);
	r->bytes += r->out->len - before;
	atomic_store_explicit(&r->job.rows, r->rows, memory_order_relaxed);
	return NX_OK;
}

/* One pull. p->done at the end of the rows or of what was asked. *ret_small: the answer so far may be
 * all of it. */
static enum nx_code pull(struct nx_request *r, struct pump *p, bool *ret_small)
{
	const struct nx_driver *d = r->source->driver;
	enum nx_code c;
	*ret_small = false;
	if (d->caps & NX_CAP_ENCODES) {
		struct nx_bytes y = { .rows = 0 };
		c = d->next_bytes(r->stream, &y, &r->err);
		if (!c && y.data.len == 0) {
			p->done = true;
			r->has_more = y.has_more;
		} else if (!c) {
			c = take_bytes(r, p, &y);
			*ret_small = y.rows < SMALL_BATCH;
		}
	} else {
		struct nx_batch b = { .nrows = 0 };
		c = d->next(r->stream, &b, &r->err);
		if (!c && b.nrows == 0)
			p->done = true;
		else if (!c)
			c = take_batch(r, p, &b);
		*ret_small = b.nrows < SMALL_BATCH;
	}
	if (c && nx_request_gone(r, &r->err))
		c = r->err.code;
	if (!c && p->max_bytes && r->bytes > p->max_bytes && !p->done) {
		p->done = true;
		r->has_more = r->truncated = true;
	}
	return c;
}

/* Is the source slow with what follows, so that what is there should leave? */
static bool lags(const struct nx_request *r, bool first, int64_t since_push)
{
	const struct nx_driver *d = r->source->driver;
	if (r->out->len == 0 || !d->lags)
		return false;
	int64_t left = LINGER - since_push;
	return d->lags(r->stream, first	     ? FIRST_LINGER_MS
				  : left > 0 ? (uint32_t)(left / NX_MS)
					     : 0);
}

/* Rows leave when a chunk is full, at once when the first batch shows that there are many, and after
 * LINGER when they come slowly. */
static enum nx_code pump_rows(struct nx_request *r, struct pump *p)
{
	int64_t pushed = nx_now();
	for (bool first = true; !p->done; first = false) {
		bool small;
		if (nx_request_gone(r, &r->err))
			return r->err.code;
		enum nx_code c = pull(r, p, &small);
		if (c)
			return c;
		if (p->done)
			break;
		if (r->route->entrance)
			continue; /* bounded, and wrapped as a whole */
		bool full = first ? !small : r->out->len >= CHUNK;
		bool slow = !full && lags(r, first, nx_now() - pushed);
		slow |= !first && nx_now() - pushed > LINGER;
		if (slow || full) {
			c = push(r, first || slow ? NX_FLUSH_SYNC : NX_FLUSH_NO);
			if (c)
				return c;
			pushed = nx_now();
		}
	}
	return NX_OK;
}

/* Can this format tell a client in the body that the stream failed? Where it cannot, or nobody
 * listens, the body is broken off instead. */
static bool tells_errors(enum nx_format f)
{
	return f == NX_FORMAT_JSON || f == NX_FORMAT_NDJSON;
}

/* The last bytes into r->out, before the stream goes. */
static enum nx_code put_tail(struct nx_request *r, struct nx_encoder *enc, enum nx_code c)
{
	struct nx_result_meta meta;
	char now[NX_ISO_LEN];
	struct nx_error why = r->err, own;
	nx_request_meta(r, c ? &why : NULL, &meta, now);
	enum nx_code t = nx_encoder_tail(enc, &meta, r->out, &own);
	if (!t && r->out->failed)
		t = nx_fail(&own, NX_E_MEMORY, "Out of memory.");
	if (t && !c)
		r->err = own;
	return t;
}

/* Everything in one answer with its length: left for finish, which sends it last, when the worker has
 * nothing else to do than to give the connection and itself back. */
static enum nx_code answer_whole(struct nx_request *r)
{
	if (r->route->entrance) {
		enum nx_code c = r->route->entrance->answer(r);
		if (!c)
			begin(r);
		return c;
	}
	r->answer = nx_buf_str(r->out);
	r->answer_type = nx_formats[r->args.encoding.format].content_type;
	if (r->compressor) {
		nx_buf_init(&r->packed, (size_t)128 << 20);
		enum nx_code c =
			nx_compress(r->compressor, r->answer, NX_FLUSH_END, &r->packed, &r->err);
		r->answer = c ? (struct nx_str){ NULL, 0 } : nx_buf_str(&r->packed);
		if (c)
			return c;
	}
	begin(r);
	return NX_OK;
}

/* A request that was put off from a train may have been encoded in part before: nothing of that was
 * sent, and nothing of it counts. */
static void forget_attempt(struct nx_request *r)
{
	nx_compressor_free(r->compressor);
	r->compressor = NULL;
	r->rows = r->bytes = 0;
	r->has_more = r->truncated = false;
	atomic_store(&r->released, false);
}

enum nx_code nx_step_encode(struct nx_request *r)
{
	const struct nx_driver *d = r->source->driver;
	struct nx_query q;
	nx_request_query(r, &q);
	struct pump p = { .skip = d->caps & NX_CAP_ENCODES ? 0 : r->args.offset,
			  .left = q.limits.max_rows,
			  .max_bytes = r->source->limits.max_bytes };
	if (r->granted.max_bytes && (!p.max_bytes || r->granted.max_bytes < p.max_bytes))
		p.max_bytes = r->granted.max_bytes;
	enum nx_code c = NX_OK;
	forget_attempt(r);
	r->out = nx_worker_buffer();
	p.enc = nx_encoder_new(d->schema(r->stream), &r->args.encoding);
	if (p.enc && r->coding != NX_CODING_IDENTITY)
		r->compressor = nx_compressor_new(r->coding, 0);
	if (!p.enc || (r->coding != NX_CODING_IDENTITY && !r->compressor))
		c = nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	if (!c)
		c = nx_encoder_head(p.enc, r->out, &r->err);
	if (!c)
		c = pump_rows(r, &p);
	if (!c && r->has_more && q.limits.max_rows < r->args.limit)
		r->truncated = true; /* the source's own limit, not the caller's */

	/* An error before the first byte left is an ordinary error response. */
	bool whole = !c && !r->began;
	bool tail =
		!c || (r->began && tells_errors(r->args.encoding.format) && c != NX_E_CLIENT_GONE);
	if (tail) {
		enum nx_code t = put_tail(r, p.enc, c);
		tail = t == NX_OK;
		c = c ? c : t;
	}
	nx_encoder_free(p.enc);
	r->conn_state = d->release(r->stream);
	r->stream = NULL;
	atomic_store(&r->released, true);

	if (tail && whole)
		return answer_whole(r);
	if (!r->began)
		return c;
	struct nx_error why = r->err;
	nx_guard_left(r); /* before the client can see the end and send its next */
	if (tail && push(r, NX_FLUSH_END) == NX_OK) {
		nx_http_end(r->x);
		r->err = why;
	} else {
		nx_http_abort(r->x);
		c = c ? c : r->err.code;
	}
	return c;
}
