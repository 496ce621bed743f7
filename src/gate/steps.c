/* The life of a request, whatever the door: the whole product can be read from this file.
 *
 *	listen -> parse -> authenticate -> resolve -> validate -> route -> run -> encode -> finish
 *
 * listen is src/http. parse to validate are quick and run on the event loop for small bodies, on a
 * worker for large ones. route hands the request to the scheduler and leaves (DISEMBARK); run and
 * encode happen on a worker that holds a connection; finish happens exactly once, whatever came
 * before. A step reads only what earlier steps wrote (see request.h). No connection is ever taken
 * for a statement that has not passed validate. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "catalog/vitals.h"
#include "gate/api/api.h"
#include "gate/api/mcp.h"
#include "gate/console.h"
#include "gate/guard.h"
#include "gate/schemas.h"
#include "gate/trace.h"

/* Bodies up to this are parsed and judged on the loop: some microseconds. A source that is not saved is built
 * and looked at first, which may take as long as Vault and its server like: never there. */
#define LOOP_BODY ((size_t)16 * 1024)
#define CATALOG_WAIT (10 * NX_SEC) /* for a source's own list of functions */

enum step_place { ON_LOOP, ON_WORKER };

static enum nx_code step_parse(struct nx_request *r);
static enum nx_code step_authenticate(struct nx_request *r);
static enum nx_code step_body(struct nx_request *r);
static enum nx_code step_resolve(struct nx_request *r);
static enum nx_code step_route(struct nx_request *r);
static void finish(struct nx_request *r, enum nx_code c);

/* What happens before a worker with a connection takes over. */
static const struct {
	const char *name;
	enum nx_code (*run)(struct nx_request *r);
} before_route[] = {
	{ "parse", step_body },
	{ "resolve", step_resolve },
	{ "validate", nx_step_validate },
	{ "route", step_route },
};

/* ---- parse ---- */

static bool match(const char *pattern, struct nx_str path, struct nx_str out[NX_PATH_PARAMS])
{
	uint32_t n = 0;
	size_t i = 0;
	for (const char *p = pattern; *p;) {
		if (*p != '{') {
			if (i >= path.len || path.ptr[i] != *p)
				return false;
			i++;
			p++;
			continue;
		}
		size_t from = i;
		while (i < path.len && path.ptr[i] != '/')
			i++;
		if (i == from || n == NX_PATH_PARAMS)
			return false;
		out[n++] = nx_strn(path.ptr + from, i - from);
		p = strchr(p, '}') + 1;
	}
	return i == path.len;
}

static enum nx_code step_parse(struct nx_request *r)
{
	struct nx_str cid = nx_http_get_header(r->x, "X-Correlation-ID");
	bool good = cid.len >= 1 && cid.len <= 64;
	for (size_t i = 0; good && i < cid.len; i++) {
		char c = cid.ptr[i];
		good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		       c == '.' || c == '_' || c == '-';
	}
	nx_uuid(r->job.id);
	if (good)
		memcpy(r->correlation, cid.ptr, cid.len);
	else
		memcpy(r->correlation, r->job.id, sizeof(r->job.id));

	struct nx_str path = r->http->path;
	enum nx_http_method m = r->http->method == NX_HTTP_HEAD ? NX_HTTP_GET : r->http->method;
	const char *allow[8];
	uint32_t nallow = 0;
	for (uint32_t i = 0; i < nx_route_count; i++) {
		if (!match(nx_routes[i].path, path, r->path))
			continue;
		if (nx_routes[i].method == m) {
			r->route = r->entry = &nx_routes[i];
			nx_request_trace_begin(r);
			return NX_OK;
		}
		if (nallow < NX_COUNTOF(allow))
			allow[nallow++] = nx_routes[i].method_text;
	}
	const struct nx_route *page = nallow == 0 ? nx_console_route(path) : NULL;
	if (page && page->method == m) {
		r->route = page;
		return NX_OK;
	}
	if (page)
		allow[nallow++] = page->method_text;
	if (nallow) {
		char text[80] = "";
		size_t len = 0;
		for (uint32_t i = 0; i < nallow; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
						i ? ", " : "", allow[i]);
		nx_http_add_header(r->x, "Allow", nx_str(text));
		return nx_fail(&r->err, NX_E_METHOD_NOT_ALLOWED, "This path answers to %s.", text);
	}
	return nx_fail(&r->err, NX_E_NOT_FOUND, "There is nothing at this path.");
}

/* ---- authenticate ---- */

static enum nx_code step_authenticate(struct nx_request *r)
{
	if (r->route->right == NX_RIGHT_NONE)
		return NX_OK;
	const struct nx_entrance *in = r->route->entrance;
	r->mark[NX_STEP_AUTHENTICATE] = nx_now();
	enum nx_code c = nx_guard_arrive(r);
	if (!c && in)
		c = in->enter(r);
	if (c)
		return c;
	/* nothing else keeps out a web page whose name leads to this machine */
	struct nx_str host = nx_http_get_header(r->x, "Host");
	if (r->gw->auth_off && host.ptr && !nx_mcp_host_is_ours(r, host))
		return nx_fail(&r->err, NX_E_FORBIDDEN,
			       "With auth.mode off only localhost and addresses are answered.");
	c = nx_auth_check(r->gw->auth, nx_http_get_header(r->x, "Authorization"),
			  nx_http_get_header(r->x, "X-API-Key"), &r->who, &r->err);
	if (c)
		nx_guard_failed(r);
	else
		c = nx_guard_known(r);
	if (c) {
		if (c == NX_E_UNAUTHENTICATED || c == NX_E_TOKEN_EXPIRED)
			nx_http_add_header(r->x, "WWW-Authenticate",
					   in ? in->challenge(r) : NX_STR("Bearer"));
		return c;
	}
	if (!nx_principal_may(&r->who, (enum nx_right)r->route->right))
		return nx_fail(&r->err, NX_E_FORBIDDEN, "The role %s%s may not do this.",
			       nx_role_name(r->who.role),
			       r->who.narrowed || r->who.without ? ", so narrowed," : "");
	return NX_OK;
}

static enum nx_code step_body(struct nx_request *r)
{
	return nx_body_parse(r);
}

/* ---- resolve ---- */

enum nx_code nx_step_resolve_source(struct nx_request *r, struct nx_str id_or_name)
{
	enum nx_code c = nx_catalog_get(r->gw->catalog, id_or_name, &r->source, &r->err);
	return c ? c : nx_guard_source(r);
}

enum nx_code nx_step_resolve(struct nx_request *r, struct nx_str id_or_name)
{
	enum nx_code c = nx_step_resolve_source(r, id_or_name);
	if (c)
		return c;
	if (!r->source->driver)
		return nx_fail(&r->err, NX_E_DRIVER_NOT_BUILT,
			       "The type %s is known but its driver is not built in.",
			       r->source->type->name);
	switch (r->source->status) {
	case NX_SOURCE_INACTIVE:
		return nx_fail(&r->err, NX_E_SOURCE_INACTIVE, "The data source is inactive.");
	case NX_SOURCE_ERROR:
		return nx_vitals_admit(r->source, nx_now(), &r->err);
	case NX_SOURCE_DRAFT: /* tried, unless its account has to be looked at before */
		if (r->source->account != NX_ACCOUNT_ANY)
			return nx_fail(
				&r->err, NX_E_SOURCE_INACTIVE,
				"The data source is a draft: its account was not tested yet.");
		return NX_OK;
	case NX_SOURCE_ACTIVE:
		return NX_OK;
	}
	return NX_OK;
}

static enum nx_code step_resolve(struct nx_request *r)
{
	if (r->route->body == NX_BODY_TEST_QUERY)
		return nx_source_unsaved(r);
	bool by_path = r->route->body == NX_BODY_NONE;
	return nx_step_resolve(r, by_path ? r->path[0] : r->args.source);
}

/* ---- validate ---- */

#ifndef NX_TEST_WITHOUT_LAYER_A
/* "a, Schema.B" as lower-case slices. NULL list: none. */
static bool function_list(struct nx_arena *a, const char *list, const struct nx_str **ret,
			  uint32_t *ret_n)
{
	*ret_n = 0;
	if (!list)
		return true;
	char *text = nx_arena_cstr(a, nx_str(list));
	struct nx_str *out = nx_arena_array(a, strlen(list) / 2 + 1, sizeof(*out));
	if (!text || !out)
		return false;
	for (char *p = text; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 32);
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, ",");
		struct nx_str name = nx_str_trim(nx_strn(p, n));
		if (name.len)
			out[(*ret_n)++] = name;
		p += n + (p[n] ? 1 : 0);
	}
	*ret = out;
	return true;
}

/* What the source's options say of the gate. */
static bool gate_policy(struct nx_request *r, struct nx_gate_policy *ret)
{
	const struct nx_data_source *s = r->source;
	*ret = (struct nx_gate_policy){
		.allow_metadata = s->allow_metadata,
		.functions =
			s->only_builtin_functions ? NX_FUNCTIONS_BUILTIN : NX_FUNCTIONS_DENY_LIST,
		.table_paths = strcmp(s->type->driver, "duckdb") == 0,
		.max_bytes = r->gw->max_sql,
	};
	return function_list(r->arena, s->allow_functions, &ret->allow, &ret->nallow) &&
	       function_list(r->arena, s->deny_functions, &ret->deny, &ret->ndeny);
}

#endif

/* Sources with function lists of their own are judged each time: a key could not tell them apart
 * without being compared in full. */
static bool cacheable(const struct nx_request *r)
{
	return r->route->body != NX_BODY_VALIDATE && !r->source->allow_functions &&
	       !r->source->deny_functions && !r->source->catalog_functions;
}

static uint32_t policy_key(const struct nx_data_source *s)
{
	return (s->allow_metadata ? 1u : 0u) | (strcmp(s->type->driver, "duckdb") == 0 ? 2u : 0u) |
	       (s->only_builtin_functions ? 4u : 0u);
}

/* The schema cache has the functions that the source vouches for. On the loop nobody waits for them: the load is
 * begun, and the request goes on from here on a worker. until: nx_now(); 0: does not wait. */
static enum nx_code source_functions(struct nx_request *r, int64_t until,
				     struct nx_schema_view *ret)
{
	enum nx_code c = nx_schemas_get(r->gw->schemas, r, NX_SCHEMA_USE, until, ret, &r->err);
	if (c != NX_E_NOT_FOUND)
		return c;
	if (until == 0 && !r->wants_catalog) {
		r->wants_catalog = true;
		return c;
	}
	return nx_fail(&r->err, NX_E_SOURCE_BUSY, "The source's catalog was not read in time.");
}

#ifdef NX_TEST_WITHOUT_LAYER_A
/* A build for one purpose: to record what the layers behind this one stop (tests/layers.py). */
static enum nx_code judge(struct nx_request *r, int64_t until)
{
	(void)until;
	r->verdict = (struct nx_verdict){ .sql = nx_arena_str(r->arena, r->args.sql) };
	return r->verdict.sql.ptr ? NX_OK : nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
}
#else
static enum nx_code judge(struct nx_request *r, int64_t until)
{
	const struct nx_data_source *s = r->source;
	const char *placeholder = s->driver ? s->driver->placeholder : "?";
	struct nx_gate_policy p;
	struct nx_schema_view view = { .schema = NULL };
	enum nx_code c = NX_OK;
	if (!gate_policy(r, &p))
		return nx_fail(&r->err, NX_E_MEMORY, "Out of memory.");
	if (r->catalog) {
		view.schema = r->catalog;
		nx_dbschema_ref(view.schema);
	} else if (s->catalog_functions && s->driver && s->driver->functions) {
		c = source_functions(r, until, &view);
	}
	if (c)
		return c;
	if (view.schema) {
		p.known = view.schema->functions;
		p.nknown = view.schema->nfunctions;
	}
	c = nx_gate_check(s->type->dialect, &p, placeholder, r->args.sql, r->arena, &r->verdict,
			  &r->err);
	nx_dbschema_unref(view.schema);
	return c;
}
#endif

enum nx_code nx_step_judge(struct nx_request *r)
{
	return judge(r, nx_now() + CATALOG_WAIT);
}

enum nx_code nx_step_validate(struct nx_request *r)
{
	if (!r->args.sql.ptr)
		return NX_OK; /* the route has no statement of the user's */
	r->mark[NX_STEP_VALIDATE] = nx_now();
	const struct nx_data_source *s = r->source;
	const char *placeholder = s->driver ? s->driver->placeholder : "?";
	enum nx_dialect d = s->type->dialect;
	uint32_t policy = policy_key(s);
	enum nx_code c = NX_OK;
	bool cached = cacheable(r) &&
		      nx_verdicts_get(r->gw->verdicts, d, policy, placeholder, r->args.sql,
				      r->arena, &r->verdict, &r->verdict_slot, &r->quick);
	if (!cached) {
		/* an action runs on a worker and may wait; a query goes there when it has to */
		c = judge(r, r->route->kind == NX_ROUTE_WORK ? nx_now() + CATALOG_WAIT : 0);
		if (!c && cacheable(r))
			nx_verdicts_put(r->gw->verdicts, d, policy, placeholder, r->args.sql,
					&r->verdict);
	}
	bool count = r->route->body != NX_BODY_VALIDATE || r->args.has_params;
	if (!c && count && r->verdict.nparams != r->args.nparams)
		c = nx_fail(&r->err, NX_E_PARAMETER_COUNT,
			    "The statement has %u placeholders, %u parameters were given.",
			    r->verdict.nparams, r->args.nparams);
	return c;
}

/* ---- route ---- */

static void on_hangup(void *arg)
{
	struct nx_request *r = arg;
	/* A cursor's batch can be read again after a lost response, so it is made all the same. */
	if (r->entry->act != nx_act_fetch_next && !atomic_load(&r->released))
		nx_job_cancel(&r->job, NX_E_CLIENT_GONE);
}

static void on_stall(void *arg)
{
	struct nx_request *r = arg;
	if (r->train)
		nx_train_stalled(r->train);
	nx_job_stalled(&r->job);
}

static void run_query(struct nx_job *j);

/* Hands the request over: from here on it belongs to a worker, and may already have been answered
 * when this returns NX_OK. */
static enum nx_code lend(struct nx_request *r, void (*run)(struct nx_job *j),
			 const struct nx_data_source *source)
{
	r->job.run = run;
	r->job.source = source;
	if (!r->lent) {
		r->job.exec = r->gw->exec; /* once: a hang-up may read it from now on */
		if (!nx_http_on_hangup(r->x, on_hangup, r))
			return nx_fail(&r->err, NX_E_CLIENT_GONE, "The client left.");
		nx_http_on_stall(r->x, on_stall, r);
		r->lent = true;
	}
	enum nx_code c = nx_job_submit(r->gw->exec, &r->job, &r->err);
	return c;
}

static enum nx_code step_route(struct nx_request *r)
{
	const struct nx_source_limits *l = &r->source->limits;
	int64_t ms = l->query_ms;
	r->mark[NX_STEP_ROUTE] = nx_now();
	if (nx_request_trace_source(r))
		return r->err.code;
	if (r->args.timeout_ms > 0 && r->args.timeout_ms < ms)
		ms = r->args.timeout_ms;
	if (r->granted.timeout_ms > 0 && r->granted.timeout_ms < ms)
		ms = r->granted.timeout_ms;
	r->job.deadline = r->started + ms * NX_MS;
	r->job.queue_deadline = r->started + (int64_t)l->queue_ms * NX_MS;
	r->job.owner = r->who.id;
	r->job.principal = r->who.name;
	r->job.sql = r->args.sql;
	r->job.mark = r->cancel_mark;
	enum nx_code c = nx_guard_enter(r);
	return c ? c : lend(r, run_query, r->source);
}

/* ---- run ---- */

bool nx_request_gone(const struct nx_request *r, struct nx_error *err)
{
	enum nx_code c = atomic_load(&r->job.cancelled);
	if (!c)
		return false;
	(void)nx_fail(err, c, "%s", nx_code_help(c));
	return true;
}

void nx_request_query(struct nx_request *r, struct nx_query *ret)
{
	uint64_t most = r->args.limit;
	uint64_t cap = r->source->limits.max_rows;
	if (cap && most > cap)
		most = cap;
	if (r->granted.max_rows && most > r->granted.max_rows)
		most = r->granted.max_rows;
	*ret = (struct nx_query){
		.sql = r->verdict.sql,
		.params = r->args.params,
		.nparams = r->args.nparams,
		.limits = { .skip_rows = r->args.offset,
			    .max_rows = most,
			    .batch_rows = r->args.max_bytes ? 256 : 4096,
			    .batch_bytes = 512 * 1024 },
		.encoding = r->args.encoding,
		.pure = r->verdict.pure,
		.deadline = r->job.deadline,
		.trace = r->to_source,
		.arena = r->arena,
	};
}

static enum nx_code open_query(struct nx_request *r, struct nx_error *err)
{
	struct nx_query q;
	nx_request_query(r, &q);
	return r->source->driver->query(r->conn, &q, &r->stream, &r->conn_state, err);
}

enum nx_code nx_run_retrying(struct nx_request *r,
			     enum nx_code (*open)(struct nx_request *r, struct nx_error *err))
{
	for (int attempt = 0;; attempt++) {
		bool reused;
		r->conn_state = NX_CONN_BROKEN;
		if (nx_request_gone(r, &r->err))
			return r->err.code;
		enum nx_code c = nx_job_connect(&r->job, &r->conn, &reused, &r->err);
		if (c)
			return c;
		int64_t asked = nx_now();
		r->mark[NX_STEP_RUN] = asked;
		c = open(r, &r->err);
		if (!c) {
			r->mark[NX_STEP_ENCODE] = nx_now();
			return NX_OK;
		}
		r->stream = NULL;
		if (nx_request_gone(r, &r->err))
			return r->err.code;
		/* A pooled connection that died while it was idle has run nothing of ours: once more
		 * on a new one is safe. One that died later was running it, and whatever killed it
		 * may have meant to. */
		bool at_once = nx_now() - asked < 100 * NX_MS;
		if (c != NX_E_SOURCE_LOST || !reused || attempt > 0 || !at_once)
			return c;
		nx_job_retry(&r->job);
	}
}

/* On a connection that somebody else leased: no retry, the caller puts the job back instead. */
enum nx_code nx_step_run_on(struct nx_request *r, struct nx_conn *conn)
{
	r->mark[NX_STEP_RUN] = nx_now();
	r->mark[NX_STEP_ENCODE] = 0; /* of an attempt before */
	r->conn = conn;
	enum nx_code c = open_query(r, &r->err);
	if (c)
		r->stream = NULL;
	else
		r->mark[NX_STEP_ENCODE] = nx_now();
	return c;
}

enum nx_code nx_step_run(struct nx_request *r)
{
	r->mark[NX_STEP_RUN] = r->mark[NX_STEP_ENCODE] = 0; /* of an attempt before */
	return nx_run_retrying(r, open_query);
}

static void run_query(struct nx_job *j)
{
	struct nx_request *r =
		(struct nx_request *)(void *)((char *)j - offsetof(struct nx_request, job));
	enum nx_code c = NX_OK;
	r->mark[NX_STEP_CONNECT] = nx_now();
	nx_log_scope(r->correlation);
	if (r->route->act) {
		c = r->route->act(r);
	} else if (nx_train_may_lead(r)) {
		nx_train_run(r);
		return;
	} else {
		c = nx_step_run(r);
		if (!c)
			c = nx_step_encode(r);
	}
	finish(r, c);
}

/* ---- finish ---- */

static void reply_error(struct nx_request *r);

/* Who reads an answer finds what was done in the audit log. An action is done by now; that nobody will know is
 * still no success. */
static bool record_before(struct nx_request *r, int status)
{
	if (r->audited || status >= 400)
		return true;
	r->audited = true;
	r->unkept = nx_guard_record(r, NX_OK, nx_now() - r->started);
	if (r->unkept)
		(void)nx_fail(&r->err, r->unkept, "The audit log cannot be written.");
	return !r->unkept;
}

void nx_request_reply(struct nx_request *r, int status, const char *content_type,
		      struct nx_str body)
{
	if (!record_before(r, status)) {
		reply_error(r);
		return;
	}
	nx_http_add_header(r->x, "X-Correlation-ID", nx_str(r->correlation));
	r->status = status;
	nx_guard_left(r); /* before the client can see the answer and send its next */
	nx_http_reply(r->x, status, content_type, body);
}

/* A thread's buffer goes with the thread. */
static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;

static void buffer_done(void *b)
{
	nx_buf_done(b);
}

static void buffer_key_new(void)
{
	if (pthread_key_create(&buffer_key, buffer_done))
		abort(); /* the first key of the process */
}

struct nx_buf *nx_worker_buffer(void)
{
	static _Thread_local struct nx_buf b;
	if (!b.max) {
		nx_buf_init(&b, (size_t)64 << 20);
		(void)pthread_once(&buffer_once, buffer_key_new);
		(void)pthread_setspecific(buffer_key, &b);
	}
	if (b.cap > (size_t)2 << 20) { /* a huge row once must not be kept for ever */
		nx_buf_done(&b);
		nx_buf_init(&b, (size_t)64 << 20);
	}
	nx_buf_clear(&b);
	return &b;
}

static void envelope_end(struct nx_request *r, struct nx_buf *b)
{
	char now[NX_ISO_LEN];
	nx_iso_time(nx_wall_us(), now);
	nx_buf_puts(b, ",\"correlationId\":\"");
	nx_buf_puts(b, r->correlation);
	nx_buf_puts(b, "\",\"timestamp\":\"");
	nx_buf_puts(b, now);
	nx_buf_puts(b, "\"}\n");
}

void nx_request_data(struct nx_request *r, int status, struct nx_str data)
{
	struct nx_buf b;
	nx_buf_init(&b, data.len + 1024);
	nx_buf_puts(&b, "{\"success\":true,\"data\":");
	nx_buf_put_str(&b, data);
	envelope_end(r, &b);
	nx_request_reply(r, status, "application/json", nx_buf_str(&b));
	nx_buf_done(&b);
}

void nx_request_retry_after(struct nx_request *r, int status)
{
	if (status != 503 && status != 429)
		return;
	char seconds[16];
	(void)snprintf(seconds, sizeof(seconds), "%u", r->retry_s ? r->retry_s : 1);
	nx_http_add_header(r->x, "Retry-After", nx_str(seconds));
}

static void reply_error(struct nx_request *r)
{
	int status = nx_code_http(r->err.code);
	nx_request_retry_after(r, status);
	struct nx_buf b;
	nx_buf_init(&b, 16384);
	nx_buf_puts(&b, "{\"success\":false,\"error\":");
	nx_encode_error(&r->err, &b);
	envelope_end(r, &b);
	nx_request_reply(r, status, "application/json", nx_buf_str(&b));
	nx_buf_done(&b);
}

/* A statement of few rows that took little time may share a round trip with others (train.c). */
static void learn(struct nx_request *r, enum nx_code c)
{
	int64_t took = r->mark[NX_STEP_ENCODE] - r->mark[NX_STEP_RUN];
	bool quick = !c && r->rows <= 100 && !r->has_more && took < 5 * NX_MS;
	nx_verdicts_learn(r->gw->verdicts, r->verdict_slot, quick);
}

/* Exactly once per request: answers if nothing has, counts. */
void nx_finish_answer(struct nx_request *r, enum nx_code c)
{
	int64_t elapsed = nx_now() - r->started;
	nx_log_scope(r->correlation);
	if (!r->audited)
		r->unkept = nx_guard_record(r, c, elapsed);
	if (!c && r->unkept && (r->audited || !nx_http_began(r->x)))
		c = nx_fail(&r->err, r->unkept, "The audit log cannot be written.");
	r->audited = true;
	nx_record_request(r, c, elapsed);
	if (r->route && r->route->kind == NX_ROUTE_QUERY && r->args.sql.ptr)
		learn(r, c);
	nx_guard_left(r);
	if (c && !nx_http_began(r->x)) {
		if (r->route && r->route->entrance)
			r->route->entrance->fail(r);
		else
			reply_error(r);
	} else if (r->answer.ptr)
		nx_http_reply(r->x, 200, r->answer_type, r->answer);
	nx_compressor_free(r->compressor);
	nx_buf_done(&r->packed);
	if (r->source)
		nx_data_source_unref(r->source);
	if (r->asked)
		nx_data_source_unref(r->asked);
	nx_dbschema_unref(r->catalog);
}

/* Gives everything back. After it the request does not exist any more. */
void nx_finish_end(struct nx_request *r)
{
	if (!r->lent)
		return;
	struct nx_http_exchange *x = r->x;
	nx_log_scope(NULL);
	if (atomic_load(&r->job.state) != NX_JOB_RECEIVED)
		nx_job_end(&r->job, r->conn_state);
	nx_http_done(x); /* r is gone */
}

static void finish(struct nx_request *r, enum nx_code c)
{
	nx_finish_answer(r, c);
	nx_finish_end(r);
}

/* ---- the loop's side ---- */

static void run_work(struct nx_job *j);

static enum nx_code lend_to_worker(struct nx_request *r)
{
	r->job.deadline = r->started + 120 * NX_SEC;
	r->job.queue_deadline = NX_NEVER;
	return lend(r, run_work, NULL);
}

/* NX_OK: the request belongs to a worker now, see lend(). */
static enum nx_code prepare(struct nx_request *r)
{
	/* The last step may give r away: nothing of it is touched behind a step that went well. */
	for (uint32_t i = r->step; i < NX_COUNTOF(before_route); i++) {
		enum nx_code c = before_route[i].run(r);
		if (c == NX_E_NOT_FOUND && r->wants_catalog) {
			r->step = i; /* it is taken again on a worker */
			return lend_to_worker(r);
		}
		if (c)
			return c;
	}
	return NX_OK;
}

/* The token's key is on its way from the issuer: wait for it, outside the workers' budget. */
static enum nx_code wait_for_keys(struct nx_request *r)
{
	nx_job_stalled(&r->job);
	nx_auth_wait(r->gw->auth, nx_now() + 8 * NX_SEC);
	return step_authenticate(r);
}

/* The functions of the source's own catalog are being loaded: wait likewise. A load that fails is the end. */
static enum nx_code wait_for_catalog(struct nx_request *r)
{
	struct nx_schema_view view;
	enum nx_code c = source_functions(r, nx_now() + CATALOG_WAIT, &view);
	if (c)
		return c;
	r->catalog = view.schema;
	nx_error_clear(&r->err);
	return NX_OK;
}

/* A worker without a connection: what is too long for the loop. */
static void run_work(struct nx_job *j)
{
	struct nx_request *r =
		(struct nx_request *)(void *)((char *)j - offsetof(struct nx_request, job));
	struct nx_error gone;
	enum nx_code c = NX_OK;
	nx_log_scope(r->correlation);
	if (nx_request_gone(r, &gone)) {
		r->err = gone;
		c = gone.code;
	} else if (!r->who.name[0] && r->route->right != NX_RIGHT_NONE) {
		c = wait_for_keys(r);
	}
	if (!c && r->route->entrance && !r->mcp)
		c = r->route->entrance->pick(r);
	if (!c && r->wants_catalog)
		c = wait_for_catalog(r);
	if (c) {
		/* answered below */
	} else if (r->route->kind == NX_ROUTE_QUERY) {
		/* a large body: prepare here, then stand in the source's queue */
		nx_job_end(j, NX_CONN_CLEAN);
		atomic_store(&j->state, NX_JOB_RECEIVED);
		if (!j->id[0])
			nx_uuid(j->id);
		c = prepare(r);
		if (!c) {
			nx_log_scope(NULL);
			return;
		}
	} else {
		c = step_body(r);
		if (!c)
			c = r->route->act(r);
	}
	finish(r, c);
}

static enum nx_http_take handle(struct nx_http_exchange *x, void *ctx)
{
	struct nx_gateway *gw = ctx;
	struct nx_arena *a = nx_http_arena(x);
	struct nx_request *r = nx_arena_zalloc(a, sizeof(*r));
	if (!r) {
		nx_http_reply(x, 503, "text/plain", NX_STR("out of memory\n"));
		return NX_HTTP_ANSWERED;
	}
	r->gw = gw;
	r->x = x;
	r->http = nx_http_request(x);
	r->arena = a;
	r->started = r->mark[NX_STEP_PARSE] = nx_now();
	r->verdict_slot = NX_NO_SLOT;
	nx_error_clear(&r->err);
	atomic_init(&r->job.cancelled, NX_OK);
	atomic_init(&r->job.state, NX_JOB_RECEIVED);

	enum nx_code c = step_parse(r);
	nx_log_scope(r->correlation);
	if (!c)
		c = step_authenticate(r);
	bool later = c == NX_E_ISSUER_DOWN && nx_auth_may_wait(gw->auth);
	if (later)
		c = NX_OK;
	else if (c == NX_E_ISSUER_DOWN)
		c = step_authenticate(r); /* they may have come in this moment */
	if (!c)
		r->mark[NX_STEP_RESOLVE] = nx_now();
	if (!c && !later && r->route->entrance && r->http->body.len <= LOOP_BODY)
		c = r->route->entrance->pick(r);
	if (!c && !later && r->route->kind == NX_ROUTE_LOOP) {
		c = step_body(r);
		if (!c)
			c = r->route->act(r);
	} else if (!c && !later && r->route->kind == NX_ROUTE_QUERY &&
		   r->route->body != NX_BODY_TEST_QUERY && r->http->body.len <= LOOP_BODY) {
		c = prepare(r);
		if (!c)
			return NX_HTTP_LENT;
	} else if (!c) {
		if (r->route->kind != NX_ROUTE_QUERY)
			r->job.id[0] = '\0'; /* not a query: not listed */
		c = lend_to_worker(r);
		if (!c)
			return NX_HTTP_LENT;
	}
	/* Answered here. A request that was marked lent but not taken by the scheduler is still ours. */
	r->lent = false;
	finish(r, c);
	return NX_HTTP_ANSWERED;
}

enum nx_http_take nx_gate_handle(struct nx_http_exchange *x, void *ctx)
{
	enum nx_http_take t = handle(x, ctx);
	nx_log_scope(NULL); /* the request may be gone */
	return t;
}
