#include "engine/engine_int.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARENA_CAP (256u << 20) /* schema, dictionaries, table lists; never rows */

struct work {
	struct nx_session session;
	duckdb_database db;
	const char *temp;
};

/* Set once per instance and needed by every source alike: done while nobody waits. */
static const char *const prepare_sql[] = {
	"SET TimeZone='UTC'",
	"SET Calendar='gregorian'",
	"SET streaming_buffer_size='8MB'", /* scan and encoder overlap from here on; measured */
	"SET enable_external_file_cache=false", /* the page cache does that, for all workers */
	"SET errors_as_json=true",
	"SET parquet_metadata_cache=true", /* the view and the query read the same footer */
	"SET enable_progress_bar=false",
	"SET enable_logging=false",
};

static void fail(struct nx_session *s, const struct nx_error *err)
{
	nx_frame_fail(s->fd, err);
}

static void *serve(void *arg)
{
	struct work *w = arg;
	struct nx_session *s = &w->session;
	struct nx_error err;
	nx_error_clear(&err);
	enum nx_code code = nx_session_lock(s, &err);
	if (code == NX_OK && s->tables.req->kind == NX_WIRE_QUERY)
		code = nx_query_run(s, &err);
	else if (code == NX_OK)
		code = nx_catalog_run(s, &err);
	if (code)
		fail(s, &err);
	_exit(0);
}

void nx_worker_run(int fd, duckdb_database db, const char *temp)
{
	struct nx_error err;
	struct work w = { .db = db, .temp = temp };
	struct nx_session *s = &w.session;
	s->fd = fd;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 || mkdir(temp, 0700))
		_exit(2);
	close(null);
	/* prefer this process to the gateway when the machine is out of memory */
	int oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (oom >= 0) {
		ssize_t ignored NX_UNUSED = write(oom, "500", 3);
		close(oom);
	}
	s->arena = nx_arena_new(ARENA_CAP);
	if (!s->arena || duckdb_connect(db, &s->con))
		_exit(2);
	s->hide = (struct nx_fault_names){ "", temp };
	for (size_t i = 0; i < NX_COUNTOF(prepare_sql); i++)
		if (nx_session_exec(s, prepare_sql[i], &err))
			fail(s, &err);
	char sql[4200];
	int n = snprintf(sql, sizeof sql, "SET temp_directory='%s'", temp);
	if (n < 0 || (size_t)n >= sizeof sql || nx_session_exec(s, sql, &err))
		_exit(2);

	if (duckdb_prepare(s->con, "SELECT json_serialize_sql(?::VARCHAR)", &s->tree))
		_exit(2);
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (pidfd < 0)
		_exit(2);
	nx_frame_hello(fd, pidfd, nx_str(duckdb_library_version()));
	close(pidfd);

	struct nx_buf *payload = nx_frame_request(fd);
	if (!payload)
		_exit(0);
	static struct nx_wire_request req;
	if (nx_wire_get_request(nx_buf_str(payload), s->arena, &req, &err))
		fail(s, &err);
	unsigned fences = nx_sandbox_enter(&(struct nx_sandbox){ .root = req.root.ptr,
								 .temp = temp,
								 .memory_mb = req.memory_mb,
								 .spill_mb = req.spill_mb,
								 .cpu_seconds = req.cpu_seconds });
	s->hide.root = req.root.ptr;
	s->tables = (struct nx_tables){ &req, fences & NX_FENCE_LANDLOCK, s->arena };
	pthread_t t;
	if (pthread_create(&t, NULL, serve, &w)) {
		nx_fail(&err, NX_E_ENGINE_MEMORY, "the engine cannot start a thread");
		fail(s, &err);
	}
	pthread_join(t, NULL);
	_exit(0);
}
