/* One request's state, from the first byte to the last. Lives in the exchange's arena.
 *
 * Flow: a step reads only what earlier steps wrote; the comment on each group names its writer. */
#ifndef NX_GATE_REQUEST_H
#define NX_GATE_REQUEST_H

#include "encode/encode.h"
#include "gate/gateway.h"
#include "sql/gate.h"
#include "stats/metrics.h"
#include "stats/trace.h"

struct nx_request;
struct nx_train;
struct nx_mcp;

enum nx_route_kind { NX_ROUTE_LOOP, NX_ROUTE_WORK, NX_ROUTE_QUERY };
enum nx_body { NX_BODY_NONE, NX_BODY_SOURCE, NX_BODY_QUERY, NX_BODY_FETCH, NX_BODY_VALIDATE,
	NX_BODY_KEY, NX_BODY_GRANTS, NX_BODY_ROLLBACK, NX_BODY_TEST_QUERY, NX_BODY_SOURCES, NX_BODY_MCP,
	NX_BODY_MCP_SEARCH, NX_BODY_MCP_DESCRIBE, NX_BODY_MCP_QUERY };
enum { NX_RIGHT_NONE = -1 };

/* A way in besides plain REST: other envelopes around the same steps. */
struct nx_entrance {
	/* Before anything else: may this request come in this way? */
	enum nx_code (*enter)(struct nx_request *r);
	/* What a refused caller is told in WWW-Authenticate. */
	struct nx_str (*challenge)(struct nx_request *r);
	/* Reads the envelope and sets r->route to what the message means. On the loop for small bodies. */
	enum nx_code (*pick)(struct nx_request *r);
	/* The parse step of the picked route: fills r->args. */
	enum nx_code (*body)(struct nx_request *r);
	/* Wraps a result: r->out becomes r->answer. On a worker. */
	enum nx_code (*answer)(struct nx_request *r);
	/* The error response for r->err. */
	void (*fail)(struct nx_request *r);
};

struct nx_route {
	const char *id;
	enum nx_http_method method;
	const char *method_text;
	const char *path;
	int right; /* enum nx_right or NX_RIGHT_NONE */
	enum nx_route_kind kind;
	enum nx_body body;
	const char *params; /* query parameters, single spaces between; "" none */
	const char *summary;
	/* LOOP and WORK: answers. QUERY: runs on a worker with a connection allowed. An error returned
	 * becomes the error response. */
	enum nx_code (*act)(struct nx_request *r);
	const struct nx_entrance *entrance; /* NULL: REST */
};
extern const struct nx_route nx_routes[];
extern const uint32_t nx_route_count;

/* Path parameters by position in the pattern. */
enum { NX_PATH_PARAMS = 3 };

struct nx_query_args {
	struct nx_str source; /* id or name */
	struct nx_str sql;
	const struct nx_value *params;
	uint32_t nparams;
	bool has_params;
	uint64_t limit;       /* UINT64_MAX: none */
	uint64_t offset;
	int64_t timeout_ms;   /* 0: the source's */
	uint32_t batch_size;
	struct nx_encoding encoding;
	bool has_format;
	uint64_t max_bytes;   /* of rows, cut to whole ones; 0: only the source's */
};

struct nx_request {
	/* listen */
	struct nx_gateway *gw;
	struct nx_http_exchange *x;
	const struct nx_http_request *http;
	struct nx_arena *arena;
	int64_t started;
	bool lent;

	/* parse */
	char correlation[65];
	const struct nx_route *route, *entry; /* what the message means, what its path says: mostly one */
	struct nx_str path[NX_PATH_PARAMS];
	const struct nx_json *body;
	struct nx_query_args args;
	enum nx_coding coding;
	struct nx_mcp *mcp; /* of that door, once its message was read; else NULL */
	uint64_t cancel_mark; /* by which its owner may cancel it; 0: none */

	/* authenticate */
	struct nx_str client; /* address: the peer's, or the one a trusted proxy gives */
	struct nx_principal who;
	uint32_t retry_s;     /* of RATE_LIMITED; else 0 */
	bool unrecorded;      /* one of many refusals: counted, not audited */

	/* resolve */
	const struct nx_data_source *source; /* referenced until finish */
	const struct nx_data_source *asked; /* the one asked for when `source` stands in for it; referenced */
	struct nx_grant_limits granted;      /* beside the source's own limits */
	uint64_t counted[2]; /* keys under which it counts as under way; 0: none */

	/* validate */
	struct nx_verdict verdict;
	uint32_t verdict_slot; /* where the cache keeps it; NX_NO_SLOT: nowhere */
	bool quick;            /* it has been quick so far: see nx_verdicts_learn */
	bool wants_catalog;    /* to be judged on a worker once the source's catalog is loaded: */
	struct nx_dbschema *catalog; /* referenced; or NULL */
	uint32_t step;         /* where a worker goes on; 0: at the first */

	/* route */
	struct nx_job job;
	struct nx_train *train; /* it runs in; NULL: alone */

	/* run */
	struct nx_conn *conn;
	struct nx_stream *stream;
	enum nx_conn_state conn_state;
	_Atomic bool released; /* the source has done its part: a client that leaves cancels nothing */

	/* encode */
	struct nx_buf *out; /* the worker's own buffer */
	struct nx_compressor *compressor;
	uint64_t rows, bytes;
	uint64_t cut_at; /* offset + limit, saturated */
	bool has_more, truncated, began;
	struct nx_str next_uri;
	struct nx_str answer;    /* a whole result, sent by finish; ptr NULL: none */
	const char *answer_type;
	struct nx_buf packed;    /* holds a compressed answer */

	/* finish */
	int status;
	bool audited;          /* before the answer leaves */
	enum nx_code unkept;   /* why it could not be, where it must */
	struct nx_error err;
	/* each by the step it belongs to */
	int64_t mark[NX_STEP_COUNT]; /* nx_now() when it began; 0: it did not come so far */
	enum nx_door door;
	struct nx_trace trace;       /* parse */
	struct nx_trace link;        /* of the request that opened the cursor: id and span */
	struct nx_str to_source;     /* validate: traceparent for the driver; empty: none */
};

/* steps.c */
void nx_request_reply(struct nx_request *r, int status, const char *content_type, struct nx_str body);
/* {"success":true,"data":<data>,...}; data is a complete JSON value. */
void nx_request_data(struct nx_request *r, int status, struct nx_str data);
void nx_request_retry_after(struct nx_request *r, int status); /* the header, where one belongs */
bool nx_request_gone(const struct nx_request *r, struct nx_error *err);
enum nx_code nx_step_resolve_source(struct nx_request *r, struct nx_str id_or_name);
/* As resolve_source, and the source can be asked: its driver is built in, it is not inactive. */
enum nx_code nx_step_resolve(struct nx_request *r, struct nx_str id_or_name);
enum nx_code nx_step_validate(struct nx_request *r);
/* Layer A past the cache, which keeps no names of tables; sets r->verdict and, refused, r->err. */
enum nx_code nx_step_judge(struct nx_request *r);
/* Opens the stream of the judged statement on the job's connection, with one safe retry. */
enum nx_code nx_step_run(struct nx_request *r);
enum nx_code nx_run_retrying(struct nx_request *r,
			     enum nx_code (*open)(struct nx_request *r, struct nx_error *err));
void nx_request_query(struct nx_request *r, struct nx_query *ret);

enum nx_code nx_step_run_on(struct nx_request *r, struct nx_conn *conn);
void nx_finish_answer(struct nx_request *r, enum nx_code c);
void nx_finish_end(struct nx_request *r);

/* record.c: counters, history and log lines of a request that is over. */
void nx_record_request(struct nx_request *r, enum nx_code c, int64_t elapsed);

/* train.c */
bool nx_train_may_lead(const struct nx_request *r);
void nx_train_run(struct nx_request *r);
void nx_train_stalled(struct nx_train *t);
/* r is in a train: which of how many. */
void nx_train_place(const struct nx_request *r, uint32_t *ret_at, uint32_t *ret_n);

/* stream.c: the encode step */
enum nx_code nx_step_encode(struct nx_request *r);
void nx_request_meta(const struct nx_request *r, const struct nx_error *err, struct nx_result_meta *ret,
		     char timestamp[25]);
struct nx_buf *nx_worker_buffer(void);

/* accept.c */
/* False: nothing we have is acceptable; *ret untouched. */
bool nx_accept_format(struct nx_str accept, enum nx_format *ret);
enum nx_coding nx_accept_coding(struct nx_str accept);

/* body.c */
enum nx_code nx_body_parse(struct nx_request *r);
/* An object whose members `body` lists in fields.def; into r->args, or only checked where an action reads
 * them itself. */
enum nx_code nx_body_members(struct nx_request *r, enum nx_body body, const struct nx_json *object);
bool nx_body_is_json(struct nx_str content_type);
struct nx_str nx_query_param(const struct nx_request *r, const char *name); /* ptr NULL: absent */
enum nx_code nx_query_param_u32(const struct nx_request *r, const char *name, uint32_t fallback,
				uint32_t max, uint32_t *ret, struct nx_error *err);
struct nx_field_spec {
	enum nx_body body;
	const char *key, *type;
	bool required;
	int64_t min, max;
	const char *help;
};
extern const struct nx_field_spec nx_field_specs[];
extern const uint32_t nx_field_count;

/* verdicts.c */
struct nx_verdicts *nx_verdicts_new(void);
void nx_verdicts_free(struct nx_verdicts *v);
#define NX_NO_SLOT UINT32_MAX
bool nx_verdicts_get(struct nx_verdicts *v, enum nx_dialect d, uint32_t policy, const char *placeholder,
		     struct nx_str sql, struct nx_arena *a, struct nx_verdict *ret,
		     uint32_t *ret_slot, bool *ret_quick);
/* How a run went. A statement is quick after 16 good runs in a row or so, and no longer after a bad one. */
void nx_verdicts_learn(struct nx_verdicts *v, uint32_t slot, bool quick);
void nx_verdicts_put(struct nx_verdicts *v, enum nx_dialect d, uint32_t policy,
		     const char *placeholder, struct nx_str sql, const struct nx_verdict *verdict);

/* api/fetch.c */
struct nx_cursors *nx_cursors_new(uint32_t max, int64_t ttl_ms);
void nx_cursors_free(struct nx_cursors *c);
void nx_cursors_sweep(struct nx_cursors *c);
uint32_t nx_cursors_open(struct nx_cursors *c);

#endif
