/* Protobuf by hand: five message types, written in one pass. A message's length is not known before its
 * end, so it gets four bytes of varint that are filled in afterwards; readers take longer varints than
 * needed. Numbers are those of trace.proto, common.proto and resource.proto. */
#include "stats/otlp.h"

#include <stdio.h>

#include "base/clock.h"

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
enum kind { INTERNAL = 1, SERVER = 2, CLIENT = 3 };
enum { STATUS_ERROR = 2 };

static void varint(struct nx_buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		nx_buf_putc(b, (char)(v | 0x80));
	nx_buf_putc(b, (char)v);
}

static void tag(struct nx_buf *b, uint32_t field, enum wire w)
{
	varint(b, field << 3 | (uint32_t)w);
}

static void put_bytes(struct nx_buf *b, uint32_t field, const void *p, size_t n)
{
	tag(b, field, BYTES);
	varint(b, n);
	nx_buf_put(b, p, n);
}

static void put_text(struct nx_buf *b, uint32_t field, const char *s)
{
	put_bytes(b, field, s, strlen(s));
}

static void put_uint(struct nx_buf *b, uint32_t field, uint64_t v)
{
	tag(b, field, VARINT);
	varint(b, v);
}

static void put_fixed(struct nx_buf *b, uint32_t field, uint64_t v, int bytes)
{
	tag(b, field, bytes == 8 ? FIXED64 : FIXED32);
	for (int i = 0; i < bytes; i++)
		nx_buf_putc(b, (char)(v >> (8 * i)));
}

enum { LENGTH = 4 }; /* bytes of a message's length: to 256 MiB */

static size_t begin(struct nx_buf *b, uint32_t field)
{
	tag(b, field, BYTES);
	nx_buf_put(b, "\x80\x80\x80", LENGTH);
	return b->len;
}

static void end(struct nx_buf *b, size_t from)
{
	if (b->failed)
		return;
	size_t n = b->len - from;
	for (int i = 0; i < LENGTH; i++, n >>= 7)
		b->data[from - LENGTH + (size_t)i] =
			(char)((n & 0x7f) | (i < LENGTH - 1 ? 0x80 : 0));
}

/* ---- attributes: KeyValue { key = 1; AnyValue value = 2 { string = 1; int = 3 } } ---- */

static void attr(struct nx_buf *b, uint32_t field, const char *key, const char *value)
{
	if (!value || !*value)
		return;
	size_t at = begin(b, field);
	put_text(b, 1, key);
	size_t v = begin(b, 2);
	put_text(b, 1, value);
	end(b, v);
	end(b, at);
}

static void attr_int(struct nx_buf *b, uint32_t field, const char *key, uint64_t value)
{
	size_t at = begin(b, field);
	put_text(b, 1, key);
	size_t v = begin(b, 2);
	put_uint(b, 3, value);
	end(b, v);
	end(b, at);
}

/* ---- spans ---- */

enum { ATTRIBUTES = 9, LINKS = 13, STATUS = 15 }; /* of a span */

static bool is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* The caller adds attributes and ends it. `remote`: the parent is another program's. */
static size_t span_begin(struct nx_buf *b, const struct nx_trace_record *r, const uint8_t id[8],
			 const uint8_t parent[8], bool remote, const char *name, enum kind kind,
			 int64_t from, int64_t until)
{
	size_t at = begin(b, 2);
	put_bytes(b, 1, r->trace.id, sizeof(r->trace.id));
	put_bytes(b, 2, id, 8);
	if (r->state[0])
		put_text(b, 3, r->state);
	if (!is_zero(parent, 8))
		put_bytes(b, 4, parent, 8);
	put_text(b, 5, name);
	put_uint(b, 6, kind);
	put_fixed(b, 7, (uint64_t)(r->wall_ns + from), 8);
	put_fixed(b, 8, (uint64_t)(r->wall_ns + until), 8);
	/* sampled; whether the parent is remote is known, and is it */
	put_fixed(b, 16, 0x101u | (remote ? 0x200u : 0u), 4);
	return at;
}

static void put_status(struct nx_buf *b, enum nx_code c)
{
	size_t at = begin(b, STATUS);
	put_text(b, 2, nx_code_help(c));
	put_uint(b, 3, STATUS_ERROR);
	end(b, at);
}

/* By the conventions for HTTP servers what the client did wrong is no error of the span. */
static bool server_failed(const struct nx_trace_record *r)
{
	enum nx_outcome o = nx_outcome_of(r->code);
	return r->code && o != NX_OUT_CANCELED &&
	       (r->began || o == NX_OUT_TIMEOUT || nx_code_http(r->code) >= 500);
}

static void put_request(struct nx_buf *b, const struct nx_trace_record *r)
{
	char name[160];
	int n = snprintf(name, sizeof(name), "%s %s", r->method, r->route);
	size_t at = span_begin(b, r, r->trace.span, r->trace.parent, true, n > 0 ? name : r->method,
			       SERVER, 0, r->elapsed_ns);
	attr(b, ATTRIBUTES, "http.request.method", r->method);
	attr(b, ATTRIBUTES, "http.route", r->route);
	attr(b, ATTRIBUTES, "url.scheme", r->scheme);
	if (r->status)
		attr_int(b, ATTRIBUTES, "http.response.status_code", (uint64_t)r->status);
	attr(b, ATTRIBUTES, "nexus.correlation_id", r->correlation);
	attr(b, ATTRIBUTES, "nexus.query.id", r->query_id);
	attr(b, ATTRIBUTES, "nexus.door", nx_door_name(r->door));
	attr(b, ATTRIBUTES, "nexus.source", r->source);
	attr(b, ATTRIBUTES, "nexus.outcome", nx_outcome_name(nx_outcome_of(r->code)));
	if (r->code)
		attr(b, ATTRIBUTES, "error.type", nx_code_name(r->code));
	if (!is_zero(r->link_id, sizeof(r->link_id))) {
		size_t l = begin(b, LINKS);
		put_bytes(b, 1, r->link_id, sizeof(r->link_id));
		put_bytes(b, 2, r->link_span, sizeof(r->link_span));
		end(b, l);
	}
	if (server_failed(r))
		put_status(b, r->code);
	end(b, at);
}

static void put_source(struct nx_buf *b, const struct nx_trace_record *r)
{
	attr(b, ATTRIBUTES, "db.system.name", r->system);
	attr(b, ATTRIBUTES, "db.namespace", r->space);
	attr(b, ATTRIBUTES, "db.query.summary", r->summary);
	attr(b, ATTRIBUTES, "db.query.text", r->sql);
	attr(b, ATTRIBUTES, "nexus.source", r->source);
	attr(b, ATTRIBUTES, "db.response.status_code", r->sqlstate);
	if (r->train_n) {
		attr_int(b, ATTRIBUTES, "nexus.train.position", r->train_at);
		attr_int(b, ATTRIBUTES, "nexus.train.size", r->train_n);
	}
}

static void put_step(struct nx_buf *b, const struct nx_trace_record *r, enum nx_step s,
		     int64_t until, bool last)
{
	uint8_t id[16];
	const char *name = nx_step_name(s);
	bool run = s == NX_STEP_RUN;
	nx_random16(id);
	size_t at = span_begin(b, r, run ? r->trace.run : id, r->trace.span, false,
			       run && r->summary[0] ? r->summary : name, run ? CLIENT : INTERNAL,
			       r->mark[s], until);
	attr(b, ATTRIBUTES, "nexus.step", name);
	if (run)
		put_source(b, r);
	if (s == NX_STEP_ENCODE) {
		attr_int(b, ATTRIBUTES, "db.response.returned_rows", r->rows);
		attr_int(b, ATTRIBUTES, "nexus.result.bytes", r->bytes);
	}
	if (last && r->code) { /* it ended here */
		attr(b, ATTRIBUTES, "error.type", nx_code_name(r->code));
		if (nx_outcome_of(r->code) != NX_OUT_CANCELED)
			put_status(b, r->code);
	}
	end(b, at);
}

static void put_record(struct nx_buf *b, const struct nx_trace_record *r)
{
	int64_t until = r->elapsed_ns;
	bool last = true;
	put_request(b, r);
	for (int s = NX_STEP_COUNT; s-- > 0;) {
		if (r->mark[s] < 0)
			continue;
		put_step(b, r, (enum nx_step)s, until, last);
		until = r->mark[s];
		last = false;
	}
}

void nx_otlp_encode(const struct nx_traces_config *c, const struct nx_trace_record *r, uint32_t n,
		    struct nx_buf *b)
{
	size_t all = begin(b, 1);
	size_t resource = begin(b, 1);
	attr(b, 1, "service.name", c->service);
	attr(b, 1, "service.version", NX_VERSION);
	attr(b, 1, "service.instance.id", c->instance);
	attr(b, 1, "telemetry.sdk.name", "nexus");
	attr(b, 1, "telemetry.sdk.language", "c");
	attr(b, 1, "telemetry.sdk.version", NX_VERSION);
	end(b, resource);
	size_t scope_spans = begin(b, 2);
	size_t scope = begin(b, 1);
	put_text(b, 1, "nexus");
	put_text(b, 2, NX_VERSION);
	end(b, scope);
	for (uint32_t i = 0; i < n; i++)
		put_record(b, &r[i]);
	end(b, scope_spans);
	end(b, all);
}
