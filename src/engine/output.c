/* A result's way out: chunks become frames. DuckDB's own threads and the thread that fetches chunks
 * scan; one more thread encodes and sends, so that both halves of the work overlap. A short result
 * (one chunk) never pays for that thread.
 *
 * Locking: `lock` guards the ring, nothing else is shared; `pushed` is signalled when a chunk or the
 * end comes, `popped` when there is room again. */
#include <pthread.h>

#include "encode/encode.h"
#include "engine/engine_int.h"

#define FRAME_BYTES (256u << 10) /* aimed at; one row may go over */
#define RING 8u /* chunks of 2048 rows that wait for the encoder */

struct part {
	duckdb_data_chunk chunk;
	uint32_t from, to; /* rows of it to send */
};

struct nx_output {
	struct nx_session *session;
	struct nx_schema schema;
	struct nx_vector **vectors;
	struct nx_column *cols;
	struct nx_encoder *encoder;
	struct nx_buf buf;
	uint32_t step; /* rows a frame, adapted to their size */
	uint64_t skip, left; /* rows still to drop, rows still to send */
	uint64_t sent;
	bool more;
	bool first; /* no chunk was sent yet */

	pthread_t thread;
	bool threaded;
	pthread_mutex_t lock;
	pthread_cond_t pushed, popped;
	struct part ring[RING];
	unsigned head, count;
	bool closed;
};

static enum nx_code no_memory(struct nx_error *err)
{
	return nx_fail(err, NX_E_ENGINE_MEMORY, "the engine is out of memory");
}

/* Catalog columns come as VARCHAR whatever they mean, and leave as TEXT. */
static void as_catalog(struct nx_field *f)
{
	static const struct {
		const char *name;
		enum nx_type type;
	} typed[] = { { "position", NX_T_INT32 },
		      { "nullable", NX_T_BOOL },
		      { "row_estimate", NX_T_INT64 } };
	f->layout = NX_L_TEXT;
	for (size_t i = 0; i < NX_COUNTOF(typed); i++)
		if (nx_str_is(f->name, typed[i].name))
			f->type = typed[i].type;
}

static enum nx_code describe(struct nx_output *o, duckdb_result *r, struct nx_error *err)
{
	struct nx_arena *a = o->session->arena;
	idx_t n = duckdb_column_count(r);
	if (n > NX_WIRE_MAX_FIELDS)
		return nx_fail(err, NX_E_TOO_COMPLEX, "the result has too many columns");
	struct nx_field *f = nx_arena_array(a, n, sizeof *f);
	o->vectors = nx_arena_array(a, n, sizeof(struct nx_vector *));
	o->cols = nx_arena_array(a, n, sizeof *o->cols);
	if (!f || !o->vectors || !o->cols)
		return no_memory(err);
	enum nx_code code = NX_OK;
	for (idx_t i = 0; i < n && code == NX_OK; i++) {
		struct nx_str name = nx_arena_str(a, nx_str(duckdb_column_name(r, i)));
		if (!name.ptr)
			return no_memory(err);
		duckdb_logical_type t = duckdb_column_logical_type(r, i);
		code = nx_field_fill(t, name, a, 0, &f[i], err);
		if (o->session->tables.req->kind != NX_WIRE_QUERY)
			as_catalog(&f[i]);
		if (code == NX_OK)
			code = nx_vector_new(t, &f[i], a, &o->vectors[i], err);
		duckdb_destroy_logical_type(&t);
	}
	o->schema = (struct nx_schema){ (uint32_t)n, f };
	return code;
}

enum nx_code nx_output_new(struct nx_session *s, duckdb_result *r, struct nx_output **ret,
			   struct nx_error *err)
{
	const struct nx_wire_request *req = s->tables.req;
	struct nx_output *o = nx_arena_zalloc(s->arena, sizeof *o);
	if (!o)
		return no_memory(err);
	o->session = s;
	o->skip = req->skip_rows;
	o->left = req->max_rows;
	o->step = req->frame_rows ? req->frame_rows : UINT32_MAX;
	o->first = true;
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->pushed, NULL);
	pthread_cond_init(&o->popped, NULL);
	nx_buf_init(&o->buf, NX_WIRE_MAX_ROWS);
	enum nx_code code = describe(o, r, err);
	if (code)
		return code;
	nx_wire_put_schema(&o->buf, &o->schema);
	if (o->buf.failed || o->buf.len > NX_WIRE_MAX_OTHER)
		return nx_fail(err, NX_E_TOO_COMPLEX, "the result's schema is too large");
	o->encoder = nx_encoder_new(&o->schema, &req->encoding);
	if (!o->encoder)
		return no_memory(err);
	nx_frame_send(s->fd, NX_WIRE_SCHEMA, 0, false, nx_buf_str(&o->buf));
	*ret = o;
	return NX_OK;
}

static enum nx_code send_rows(struct nx_output *o, const struct nx_batch *b, uint32_t from,
			      uint32_t to, struct nx_error *err)
{
	while (from < to) {
		uint32_t end = to - from > o->step ? from + o->step : to;
		nx_buf_clear(&o->buf);
		enum nx_code code = nx_encoder_rows(o->encoder, b, from, end, &o->buf, err);
		if (code)
			return code;
		if (o->buf.failed)
			return nx_fail(err, NX_E_RESULT_TOO_LARGE, "%u rows are over %u MiB",
				       end - from, NX_WIRE_MAX_ROWS >> 20);
		nx_frame_send(o->session->fd, NX_WIRE_ROWS, end - from, false, nx_buf_str(&o->buf));
		size_t row = o->buf.len / (end - from) + 1;
		o->step = row > FRAME_BYTES ? 1 : (uint32_t)(FRAME_BYTES / row) * 2;
		uint32_t most = o->session->tables.req->frame_rows;
		if (most && o->step > most)
			o->step = most;
		from = end;
	}
	return NX_OK;
}

static enum nx_code send_part(struct nx_output *o, struct part *p, struct nx_error *err)
{
	idx_t n = duckdb_data_chunk_get_size(p->chunk);
	enum nx_code code = NX_OK;
	for (uint32_t c = 0; c < o->schema.nfields && code == NX_OK; c++)
		code = nx_vector_load(o->vectors[c], duckdb_data_chunk_get_vector(p->chunk, c), n,
				      &o->cols[c], err);
	struct nx_batch b = { (uint32_t)n, o->schema.nfields, o->cols };
	if (code == NX_OK)
		code = send_rows(o, &b, p->from, p->to, err);
	duckdb_destroy_data_chunk(&p->chunk);
	return code;
}

/* False: the end. */
static bool pop(struct nx_output *o, struct part *ret)
{
	pthread_mutex_lock(&o->lock);
	while (!o->count && !o->closed)
		pthread_cond_wait(&o->pushed, &o->lock);
	bool got = o->count > 0;
	if (got) {
		*ret = o->ring[o->head];
		o->head = (o->head + 1) % RING;
		o->count--;
		pthread_cond_signal(&o->popped);
	}
	pthread_mutex_unlock(&o->lock);
	return got;
}

static void *encode_thread(void *arg)
{
	struct nx_output *o = arg;
	struct part p;
	struct nx_error err;
	while (pop(o, &p))
		if (send_part(o, &p, &err))
			nx_frame_fail(o->session->fd, &err);
	return NULL;
}

static enum nx_code push(struct nx_output *o, const struct part *p, struct nx_error *err)
{
	if (!o->threaded) {
		if (pthread_create(&o->thread, NULL, encode_thread, o))
			return nx_fail(err, NX_E_ENGINE_MEMORY, "the engine cannot start a thread");
		o->threaded = true;
	}
	pthread_mutex_lock(&o->lock);
	while (o->count == RING)
		pthread_cond_wait(&o->popped, &o->lock);
	o->ring[(o->head + o->count) % RING] = *p;
	o->count++;
	pthread_cond_signal(&o->pushed);
	pthread_mutex_unlock(&o->lock);
	return NX_OK;
}

enum nx_code nx_output_chunk(struct nx_output *o, duckdb_data_chunk chunk, bool *done,
			     struct nx_error *err)
{
	idx_t n = duckdb_data_chunk_get_size(chunk);
	uint64_t from = o->skip < n ? o->skip : n;
	o->skip -= from;
	uint64_t rows = n - from;
	if (rows > o->left) {
		rows = o->left;
		o->more = *done = true;
	}
	if (o->left != UINT64_MAX)
		o->left -= rows;
	o->sent += rows;
	struct part p = { chunk, (uint32_t)from, (uint32_t)(from + rows) };
	if (!rows) {
		duckdb_destroy_data_chunk(&p.chunk);
		return NX_OK;
	}
	if (o->first) { /* at once: the first rows are what somebody waits for */
		o->first = false;
		return send_part(o, &p, err);
	}
	return push(o, &p, err);
}

void nx_output_flush(struct nx_output *o)
{
	if (!o->threaded)
		return;
	pthread_mutex_lock(&o->lock);
	o->closed = true;
	pthread_cond_signal(&o->pushed);
	pthread_mutex_unlock(&o->lock);
	pthread_join(o->thread, NULL);
	o->threaded = false;
}

void nx_output_end(struct nx_output *o)
{
	nx_frame_send(o->session->fd, NX_WIRE_END, o->sent, o->more, NX_STR(""));
}
