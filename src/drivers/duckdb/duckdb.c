/* DuckDB over local files: the gateway's side. It links no DuckDB; every query runs in a process of
 * nexus-engine that serves this one query (src/engine/engine_int.h), and comes back as bytes that the
 * worker has already encoded (NX_CAP_ENCODES).
 *
 * A connection is only a name for "at most one query at a time"; its process is taken by query() and
 * ended by release(). Cancel kills that process: nothing of it is worth a friendlier end, and a kill
 * needs no cooperation. All that a worker says is checked as hostile input (engine/wire.h). */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/wire.h"
#include "process.h"

extern const struct nx_driver nx_driver_duckdb;

struct source {
	struct nx_source base;
	char *path; /* absolute, as configured */
	const char *format;
	const char *delimiter;
	int8_t header;
	uint32_t memory_mb, spill_mb, threads;
};

struct conn {
	struct nx_conn base;
	struct source *source;
	pthread_mutex_t lock; /* worker against cancel() */
	struct worker worker; /* fd -1: none */
	bool cancelled; /* under lock: since the last query() began */
};

struct stream {
	struct nx_stream base;
	struct conn *conn;
	struct nx_schema schema;
	int64_t deadline;
	struct nx_buf payload;
	bool ended;
};

static const struct nx_option options[] = {
	{ "path", NX_OPT_STRING, NX_OPTF_REQUIRED, NULL, 0, 0, NULL,
	  "Folder whose files are the tables; a relative path counts from where the gateway was "
	  "started." },
	{ "fileFormat", NX_OPT_ENUM, 0, NULL, 0, 0, "parquet|csv|json",
	  "Format of all files; by file name when absent." },
	{ "delimiter", NX_OPT_STRING, NX_OPTF_PROPS, NULL, 0, 0, NULL,
	  "Column delimiter of CSV files; detected when absent." },
	{ "headerRow", NX_OPT_BOOL, NX_OPTF_PROPS, NULL, 0, 0, NULL,
	  "Whether CSV files begin with column names; detected when absent." },
	{ "memoryLimit", NX_OPT_INT, NX_OPTF_PROPS, "512", 64, 65536, NULL,
	  "Memory of one query in MiB before it spills to disk; a hard limit lies at twice this + "
	  "1 GiB." },
	{ "spillLimit", NX_OPT_INT, NX_OPTF_PROPS, "4096", 0, 1048576, NULL,
	  "Temporary disk space of one query in MiB." },
	{ "threads", NX_OPT_INT, NX_OPTF_PROPS, "2", 1, 64, NULL, "Threads of one query." },
	{ NULL },
};

/* source and connection */

static void driver_fini(void)
{
	process_stop();
}

static char *absolute(const char *path)
{
	if (path[0] == '/')
		return strdup(path);
	char cwd[PATH_MAX];
	char *out = NULL;
	if (!getcwd(cwd, sizeof cwd) || asprintf(&out, "%s/%s", cwd, path) < 0)
		return NULL;
	return out;
}

static void source_close(struct nx_source *base)
{
	struct source *s = (struct source *)base;
	if (!s)
		return;
	free(s->path);
	free(s);
}

static enum nx_code source_open(const struct nx_options *o, struct nx_source **ret,
				struct nx_error *err)
{
	const char *path = nx_opt_str(o, "path", "");
	if (!*path)
		return nx_fail(err, NX_E_CONFIG_INVALID, "path must not be empty");
	const char *delimiter = nx_opt_str(o, "delimiter", "");
	if (strlen(delimiter) > 4)
		return nx_fail(err, NX_E_CONFIG_INVALID, "delimiter is longer than four bytes");
	struct source *s = calloc(1, sizeof *s);
	if (!s || !(s->path = absolute(path))) {
		source_close((struct nx_source *)s);
		return nx_fail(err, NX_E_MEMORY, "no memory for the source");
	}
	s->base.driver = &nx_driver_duckdb;
	s->format = nx_opt_str(o, "fileFormat", "");
	s->delimiter = delimiter;
	s->header = (int8_t)(nx_opt_has(o, "headerRow") ? nx_opt_bool(o, "headerRow", true) : -1);
	s->memory_mb = (uint32_t)nx_opt_int(o, "memoryLimit", 512);
	s->spill_mb = (uint32_t)nx_opt_int(o, "spillLimit", 4096);
	s->threads = (uint32_t)nx_opt_int(o, "threads", 2);
	/* the zygote gets ready while the gateway goes on; connect() reports what is wrong with it */
	enum nx_code started = process_start(NULL);
	(void)started;
	*ret = &s->base;
	return NX_OK;
}

/* The folder with its links resolved, at query time: files may come later than the source. */
static enum nx_code find_root(const struct source *s, char out[PATH_MAX], struct nx_error *err)
{
	struct stat st;
	if (!realpath(s->path, out) || stat(out, &st) || !S_ISDIR(st.st_mode)) {
		enum nx_code code =
			nx_fail(err, NX_E_SOURCE_DOWN, "the source's path is no folder");
		nx_error_detail(err, "%s: %s", s->path, errno ? strerror(errno) : "not a folder");
		return code;
	}
	if (strcmp(out, "/") == 0)
		return nx_fail(err, NX_E_CONFIG_INVALID,
			       "the root folder of the machine is no source");
	return NX_OK;
}

static enum nx_code conn_open(struct nx_source *base, int64_t deadline, struct nx_conn **ret,
			      struct nx_error *err)
{
	(void)deadline;
	struct source *s = (struct source *)base;
	char root[PATH_MAX];
	enum nx_code code = find_root(s, root, err);
	if (code == NX_OK)
		code = process_start(err);
	if (code)
		return code;
	struct conn *c = calloc(1, sizeof *c);
	if (!c)
		return nx_fail(err, NX_E_MEMORY, "no memory for a connection");
	c->base.driver = &nx_driver_duckdb;
	c->source = s;
	c->worker = (struct worker){ -1, -1 };
	pthread_mutex_init(&c->lock, NULL);
	*ret = &c->base;
	return NX_OK;
}

static void end_worker(struct conn *c)
{
	pthread_mutex_lock(&c->lock);
	process_end(&c->worker);
	pthread_mutex_unlock(&c->lock);
}

static void conn_close(struct nx_conn *base)
{
	struct conn *c = (struct conn *)base;
	if (!c)
		return;
	end_worker(c);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void conn_cancel(struct nx_conn *base)
{
	struct conn *c = (struct conn *)base;
	pthread_mutex_lock(&c->lock);
	c->cancelled = true;
	if (c->worker.fd >= 0)
		process_kill(&c->worker);
	pthread_mutex_unlock(&c->lock);
}

static bool was_cancelled(struct conn *c)
{
	pthread_mutex_lock(&c->lock);
	bool yes = c->cancelled;
	pthread_mutex_unlock(&c->lock);
	return yes;
}

/* frames */

static enum nx_code lost(struct conn *c, struct nx_error *err)
{
	if (was_cancelled(c))
		return nx_fail(err, NX_E_QUERY_CANCELED, "the query was cancelled");
	return nx_fail(err, NX_E_ENGINE_CRASHED, "the engine process died on this query");
}

static enum nx_code recv_all(struct conn *c, void *to, size_t n, int64_t deadline,
			     struct nx_error *err)
{
	char *p = to;
	while (n) {
		ssize_t got = recv(c->worker.fd, p, n, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return lost(c, err);
		if (got > 0) {
			p += got;
			n -= (size_t)got;
			continue;
		}
		enum nx_code code = process_wait(c->worker.fd, deadline, err);
		if (code)
			return code;
	}
	return NX_OK;
}

/* A whole frame; an ERROR frame becomes the error it carries. */
static enum nx_code recv_frame(struct stream *st, struct nx_wire_frame *f, struct nx_error *err)
{
	enum nx_code code = recv_all(st->conn, f, sizeof *f, st->deadline, err);
	if (code)
		return code;
	if (!nx_wire_frame_ok(f))
		return nx_fail(err, NX_E_PROTOCOL, "the engine protocol is broken (frame)");
	nx_buf_clear(&st->payload);
	char *p = nx_buf_reserve(&st->payload, f->len + 1u);
	if (!p)
		return nx_fail(err, NX_E_MEMORY, "no memory for rows of the engine");
	code = recv_all(st->conn, p, f->len, st->deadline, err);
	if (code)
		return code;
	st->payload.len = f->len;
	return f->type == NX_WIRE_ERROR ? nx_wire_get_error(nx_buf_str(&st->payload), err) : NX_OK;
}

static enum nx_code send_request(struct conn *c, const struct nx_wire_request *r,
				 struct nx_error *err)
{
	struct nx_buf b;
	nx_buf_init(&b, NX_WIRE_MAX_OTHER);
	nx_wire_put_request(&b, r);
	enum nx_code code = NX_OK;
	if (b.failed) {
		code = nx_fail(err, NX_E_PARAMETER_VALUE,
			       "SQL and parameters are over %u MiB together",
			       NX_WIRE_MAX_OTHER >> 20);
		goto out;
	}
	struct nx_wire_frame f = { .type = NX_WIRE_REQUEST, .len = (uint32_t)b.len };
	struct iovec iov[2] = { { &f, sizeof f }, { b.data, b.len } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
	/* the worker does nothing but read this, so the wait is short, or it is dead */
	ssize_t n = sendmsg(c->worker.fd, &m, MSG_NOSIGNAL);
	size_t done = n < 0 ? 0 : (size_t)n;
	while (n > 0 && done >= sizeof f && done < sizeof f + b.len) {
		size_t at = done - sizeof f; /* the head goes with the first byte */
		n = send(c->worker.fd, b.data + at, b.len - at, MSG_NOSIGNAL);
		done += n > 0 ? (size_t)n : 0;
	}
	if (done < sizeof f + b.len)
		code = lost(c, err);
out:
	nx_buf_done(&b);
	return code;
}

/* query */

static enum nx_code take_worker(struct conn *c, int64_t deadline, struct nx_error *err)
{
	struct worker w;
	enum nx_code code = process_take(deadline, &w, err);
	if (code)
		return code;
	pthread_mutex_lock(&c->lock);
	c->worker = w;
	if (c->cancelled)
		process_kill(&w);
	pthread_mutex_unlock(&c->lock);
	return NX_OK;
}

static uint32_t cpu_seconds(const struct source *s, int64_t deadline)
{
	/* the deadline is the limit; this one only ends what outlives its gateway's attention */
	int64_t left = deadline == INT64_MAX ? 86400 : (deadline - nx_now()) / 1000000000;
	if (left < 0 || left > 86400)
		left = 86400;
	return (uint32_t)(left * s->threads + 10);
}

static void stream_free(struct stream *st)
{
	if (!st)
		return;
	nx_buf_done(&st->payload);
	free(st);
}

static enum nx_code start(struct conn *c, const struct nx_query *q, struct nx_wire_request *r,
			  struct nx_stream **ret, enum nx_conn_state *state, struct nx_error *err)
{
	const struct source *s = c->source;
	*state = NX_CONN_CLEAN; /* whatever happens: the process is not used again */
	pthread_mutex_lock(&c->lock);
	c->cancelled = false;
	pthread_mutex_unlock(&c->lock);
	char root[PATH_MAX];
	enum nx_code code = find_root(s, root, err);
	if (code)
		return code;
	r->root = nx_str(root);
	r->format = nx_str(s->format);
	r->delimiter = nx_str(s->delimiter);
	r->header = s->header;
	r->memory_mb = s->memory_mb;
	r->spill_mb = s->spill_mb;
	r->threads = s->threads;
	r->cpu_seconds = cpu_seconds(s, q->deadline);
	r->encoding = q->encoding;
	r->frame_rows = q->limits.batch_rows;
	r->skip_rows = q->limits.skip_rows;
	r->max_rows = q->limits.max_rows;
	struct stream *st = calloc(1, sizeof *st);
	if (!st)
		return nx_fail(err, NX_E_MEMORY, "no memory for a query");
	st->base.driver = &nx_driver_duckdb;
	st->conn = c;
	st->deadline = q->deadline;
	nx_buf_init(&st->payload, (size_t)NX_WIRE_MAX_ROWS + 1);
	code = take_worker(c, q->deadline, err);
	if (code == NX_OK)
		code = send_request(c, r, err);
	struct nx_wire_frame f = { 0 };
	if (code == NX_OK)
		code = recv_frame(st, &f, err);
	if (code == NX_OK && f.type != NX_WIRE_SCHEMA)
		code = nx_fail(err, NX_E_PROTOCOL, "the engine protocol is broken (no schema)");
	/* the schema lives as long as the stream: its slices point into a copy in the arena */
	if (code == NX_OK) {
		struct nx_str copy = nx_arena_str(q->arena, nx_buf_str(&st->payload));
		code = copy.ptr ? nx_wire_get_schema(copy, q->arena, &st->schema, err)
				: nx_fail(err, NX_E_MEMORY, "no memory for the result's schema");
	}
	process_refill();
	if (code) {
		end_worker(c);
		stream_free(st);
		return code;
	}
	*ret = &st->base;
	return NX_OK;
}

static enum nx_code conn_query(struct nx_conn *base, const struct nx_query *q,
			       struct nx_stream **ret, enum nx_conn_state *state,
			       struct nx_error *err)
{
	struct nx_wire_request r = {
		.kind = NX_WIRE_QUERY, .sql = q->sql, .params = q->params, .nparams = q->nparams
	};
	return start((struct conn *)base, q, &r, ret, state, err);
}

static enum nx_code conn_tables(struct nx_conn *base, const struct nx_query *q,
				struct nx_str schema, struct nx_stream **ret,
				enum nx_conn_state *state, struct nx_error *err)
{
	struct nx_wire_request r = { .kind = NX_WIRE_TABLES };
	struct nx_query none = *q;
	if (schema.len && !nx_str_is(schema, "main"))
		none.limits.skip_rows = UINT64_MAX; /* there is no other schema */
	return start((struct conn *)base, &none, &r, ret, state, err);
}

static enum nx_code conn_columns(struct nx_conn *base, const struct nx_query *q,
				 struct nx_str schema, struct nx_str table, struct nx_stream **ret,
				 enum nx_conn_state *state, struct nx_error *err)
{
	struct nx_wire_request r = { .kind = NX_WIRE_COLUMNS, .table = table };
	struct nx_query none = *q;
	if (schema.len && !nx_str_is(schema, "main"))
		none.limits.skip_rows = UINT64_MAX;
	return start((struct conn *)base, &none, &r, ret, state, err);
}

/* stream */

static const struct nx_schema *stream_schema(struct nx_stream *base)
{
	return &((struct stream *)base)->schema;
}

static enum nx_code stream_next(struct nx_stream *base, struct nx_batch *ret, struct nx_error *err)
{
	(void)base, (void)ret;
	return nx_fail(err, NX_E_NOT_IMPLEMENTED,
		       "the engine's workers encode rows: next_bytes() is the way to read them");
}

static enum nx_code stream_next_bytes(struct nx_stream *base, struct nx_bytes *ret,
				      struct nx_error *err)
{
	struct stream *st = (struct stream *)base;
	struct nx_wire_frame f = { .type = NX_WIRE_END };
	enum nx_code code = st->ended ? NX_OK : recv_frame(st, &f, err);
	if (code)
		return code;
	if (f.type == NX_WIRE_END) {
		st->ended = true;
		*ret = (struct nx_bytes){ .data = NX_STR(""), .has_more = f.more };
		return NX_OK;
	}
	if (f.type != NX_WIRE_ROWS || f.len == 0)
		return nx_fail(err, NX_E_PROTOCOL, "the engine protocol is broken (no rows)");
	*ret = (struct nx_bytes){ .data = nx_buf_str(&st->payload), .rows = f.rows };
	return NX_OK;
}

static bool stream_lags(struct nx_stream *base, uint32_t ms)
{
	struct stream *st = (struct stream *)base;
	return !st->ended && process_silent(st->conn->worker.fd, ms);
}

static enum nx_conn_state stream_release(struct nx_stream *base)
{
	struct stream *st = (struct stream *)base;
	end_worker(st->conn);
	stream_free(st);
	return NX_CONN_CLEAN;
}

static enum nx_code conn_probe(struct nx_conn *base, int64_t deadline, struct nx_grants *ret,
			       struct nx_error *err)
{
	(void)base, (void)deadline, (void)err;
	*ret = (struct nx_grants){
		.summary = "reads files below one folder, in a locked engine process "
			   "without network or write access"
	};
	/* version of the kernel's interface; see nx_sandbox_enter() */
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 1) {
		const char note[] =
			"; this kernel has no landlock: DuckDB's own check of paths must do";
		size_t len = strlen(ret->summary);
		memcpy(ret->summary + len, note, sizeof note);
	}
	return NX_OK;
}

const struct nx_driver nx_driver_duckdb = {
	.abi = NX_DRIVER_ABI,
	.name = "duckdb",
	.caps = NX_CAP_STREAM | NX_CAP_CANCEL | NX_CAP_RO_SESSION | NX_CAP_DESCRIBE |
		NX_CAP_ONE_STATEMENT | NX_CAP_PARAMS | NX_CAP_CATALOG | NX_CAP_POOLABLE |
		NX_CAP_ENCODES | NX_CAP_GRANTS,
	.placeholder = "?",
	.options = options,
	.version = "DuckDB " NX_ENGINE_VERSION,
	.fini = driver_fini,
	.open = source_open,
	.close = source_close,
	.connect = conn_open,
	.disconnect = conn_close,
	.query = conn_query,
	.schema = stream_schema,
	.next = stream_next,
	.next_bytes = stream_next_bytes,
	.lags = stream_lags,
	.release = stream_release,
	.tables = conn_tables,
	.columns = conn_columns,
	.probe = conn_probe,
	.processes = process_serving,
	.cancel = conn_cancel,
};
