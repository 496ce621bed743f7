#include "engine/wire.h"

bool nx_wire_frame_ok(const struct nx_wire_frame *f)
{
	if (f->zero || f->more > 1)
		return false;
	switch (f->type) {
	case NX_WIRE_ROWS:
		return f->len <= NX_WIRE_MAX_ROWS;
	case NX_WIRE_HELLO:
	case NX_WIRE_REQUEST:
	case NX_WIRE_SCHEMA:
	case NX_WIRE_ERROR:
		return f->len <= NX_WIRE_MAX_OTHER;
	case NX_WIRE_END:
		return f->len == 0;
	}
	return false;
}

/* writing */

static void put_u8(struct nx_buf *b, uint8_t v)
{
	nx_buf_put(b, &v, sizeof v);
}

static void put_u32(struct nx_buf *b, uint32_t v)
{
	nx_buf_put(b, &v, sizeof v);
}

static void put_u64(struct nx_buf *b, uint64_t v)
{
	nx_buf_put(b, &v, sizeof v);
}

/* With a NUL that the length does not count, so that the reader can use it in place. */
static void put_str(struct nx_buf *b, struct nx_str s)
{
	if (s.len > NX_WIRE_MAX_OTHER) {
		b->failed = true;
		return;
	}
	put_u32(b, (uint32_t)s.len);
	nx_buf_put_str(b, s);
	nx_buf_putc(b, '\0');
}

void nx_wire_put_request(struct nx_buf *b, const struct nx_wire_request *r)
{
	put_u8(b, (uint8_t)r->kind);
	put_str(b, r->root);
	put_str(b, r->format);
	put_str(b, r->delimiter);
	put_u8(b, (uint8_t)(r->header + 1));
	put_u32(b, r->memory_mb);
	put_u32(b, r->spill_mb);
	put_u32(b, r->threads);
	put_u32(b, r->cpu_seconds);
	put_u8(b, (uint8_t)r->encoding.format);
	put_u8(b, r->encoding.numbers_exact);
	put_u8(b, r->encoding.ndjson_objects);
	put_u32(b, r->frame_rows);
	put_u64(b, r->skip_rows);
	put_u64(b, r->max_rows);
	put_str(b, r->sql);
	put_str(b, r->table);
	put_u32(b, r->nparams);
	for (uint32_t i = 0; i < r->nparams; i++) {
		put_u8(b, (uint8_t)r->params[i].kind);
		put_str(b, r->params[i].text);
	}
}

static void put_field(struct nx_buf *b, const struct nx_field *f)
{
	put_str(b, f->name);
	put_u8(b, (uint8_t)f->type);
	put_u8(b, (uint8_t)f->layout);
	put_str(b, f->native);
	put_u32(b, (uint32_t)f->precision);
	put_u32(b, (uint32_t)f->scale);
	put_u8(b, (uint8_t)f->unit);
	put_u8(b, (uint8_t)(f->nullable + 1));
	put_u32(b, f->nchildren);
	for (uint32_t i = 0; i < f->nchildren; i++)
		put_field(b, &f->children[i]);
}

void nx_wire_put_schema(struct nx_buf *b, const struct nx_schema *s)
{
	put_u32(b, s->nfields);
	for (uint32_t i = 0; i < s->nfields; i++)
		put_field(b, &s->fields[i]);
}

void nx_wire_put_error(struct nx_buf *b, const struct nx_error *e)
{
	put_u32(b, (uint32_t)e->code);
	put_u32(b, (uint32_t)e->native);
	put_u32(b, (uint32_t)e->position);
	put_str(b, nx_str(e->sqlstate));
	put_str(b, nx_str(e->token));
	put_str(b, nx_str(e->message));
	put_str(b, nx_str(e->detail));
}

/* reading: after the first fault `bad` stays set and zeros come out */

struct in {
	const char *p, *end;
	bool bad;
};

static void get_raw(struct in *in, void *ret, size_t n)
{
	if (in->bad || (size_t)(in->end - in->p) < n) {
		in->bad = true;
		memset(ret, 0, n);
		return;
	}
	memcpy(ret, in->p, n);
	in->p += n;
}

static uint8_t get_u8(struct in *in)
{
	uint8_t v;
	get_raw(in, &v, sizeof v);
	return v;
}

static uint32_t get_u32(struct in *in)
{
	uint32_t v;
	get_raw(in, &v, sizeof v);
	return v;
}

static uint64_t get_u64(struct in *in)
{
	uint64_t v;
	get_raw(in, &v, sizeof v);
	return v;
}

/* A byte that must be below `limit`. */
static uint8_t get_enum(struct in *in, unsigned limit)
{
	uint8_t v = get_u8(in);
	if (v >= limit) {
		in->bad = true;
		v = 0;
	}
	return v;
}

static struct nx_str get_str(struct in *in)
{
	uint32_t n = get_u32(in);
	struct nx_str s = NX_STR_INIT("");
	if (in->bad || (size_t)(in->end - in->p) <= n || in->p[n] != '\0') {
		in->bad = true;
		return s;
	}
	s = nx_strn(in->p, n);
	in->p += (size_t)n + 1;
	return s;
}

static enum nx_code finish(const struct in *in, const char *what, struct nx_error *err)
{
	if (in->bad || in->p != in->end)
		return nx_fail(err, NX_E_PROTOCOL, "the engine protocol is broken (%s)", what);
	return NX_OK;
}

static enum nx_code no_memory(struct nx_error *err)
{
	return nx_fail(err, NX_E_MEMORY, "no memory for the engine's answer");
}

enum nx_code nx_wire_get_request(struct nx_str payload, struct nx_arena *a,
				 struct nx_wire_request *ret, struct nx_error *err)
{
	struct in in = { payload.ptr, payload.ptr + payload.len, false };
	struct nx_wire_request r = { .kind = get_enum(&in, NX_WIRE_COLUMNS + 1u) };
	r.root = get_str(&in);
	r.format = get_str(&in);
	r.delimiter = get_str(&in);
	r.header = (int8_t)(get_enum(&in, 3) - 1);
	r.memory_mb = get_u32(&in);
	r.spill_mb = get_u32(&in);
	r.threads = get_u32(&in);
	r.cpu_seconds = get_u32(&in);
	r.encoding.format = get_enum(&in, NX_FORMAT_COUNT);
	r.encoding.numbers_exact = get_enum(&in, 2);
	r.encoding.ndjson_objects = get_enum(&in, 2);
	r.frame_rows = get_u32(&in);
	r.skip_rows = get_u64(&in);
	r.max_rows = get_u64(&in);
	r.sql = get_str(&in);
	r.table = get_str(&in);
	r.nparams = get_u32(&in);
	if (in.bad || r.nparams > NX_WIRE_MAX_PARAMS)
		return nx_fail(err, NX_E_PROTOCOL, "the engine protocol is broken (request)");
	struct nx_value *v = nx_arena_array(a, r.nparams, sizeof *v);
	if (!v)
		return no_memory(err);
	for (uint32_t i = 0; i < r.nparams; i++) {
		v[i].kind = get_enum(&in, NX_V_STRING + 1u);
		v[i].text = get_str(&in);
	}
	r.params = v;
	enum nx_code code = finish(&in, "request", err);
	if (code == NX_OK)
		*ret = r;
	return code;
}

/* `budget` bounds the fields of the whole schema, nested ones included. */
static const struct nx_field *get_fields(struct in *in, uint32_t n, unsigned depth,
					 uint32_t *budget, struct nx_arena *a, bool *memory)
{
	if (n > *budget || depth > NX_WIRE_MAX_DEPTH) {
		in->bad = true;
		return NULL;
	}
	*budget -= n;
	struct nx_field *f = nx_arena_array(a, n, sizeof *f);
	if (!f) {
		*memory = in->bad = true;
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++) {
		f[i] = (struct nx_field){ .name = get_str(in) };
		f[i].type = get_enum(in, NX_TYPE_COUNT);
		f[i].layout = get_enum(in, NX_L_STRUCT + 1u);
		f[i].native = get_str(in);
		f[i].precision = (int32_t)get_u32(in);
		f[i].scale = (int32_t)get_u32(in);
		f[i].unit = get_enum(in, NX_UNIT_NS + 1u);
		f[i].nullable = (int8_t)(get_enum(in, 3) - 1);
		f[i].nchildren = get_u32(in);
		if (in->bad)
			return NULL;
		if (f[i].nchildren)
			f[i].children =
				get_fields(in, f[i].nchildren, depth + 1, budget, a, memory);
		if ((f[i].layout == NX_L_LIST && f[i].nchildren != 1) ||
		    (f[i].layout != NX_L_LIST && f[i].layout != NX_L_STRUCT && f[i].nchildren))
			in->bad = true;
	}
	return f;
}

enum nx_code nx_wire_get_schema(struct nx_str payload, struct nx_arena *a, struct nx_schema *ret,
				struct nx_error *err)
{
	struct in in = { payload.ptr, payload.ptr + payload.len, false };
	uint32_t budget = NX_WIRE_MAX_FIELDS;
	bool memory = false;
	struct nx_schema s = { .nfields = get_u32(&in) };
	s.fields = get_fields(&in, s.nfields, 0, &budget, a, &memory);
	if (memory)
		return no_memory(err);
	enum nx_code code = finish(&in, "schema", err);
	if (code == NX_OK)
		*ret = s;
	return code;
}

static bool is_sqlstate(struct nx_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z')))
			return false;
	return s.len == 5;
}

enum nx_code nx_wire_get_error(struct nx_str payload, struct nx_error *ret)
{
	struct in in = { payload.ptr, payload.ptr + payload.len, false };
	uint32_t code = get_u32(&in);
	int32_t native = (int32_t)get_u32(&in);
	int32_t position = (int32_t)get_u32(&in);
	struct nx_str state = get_str(&in);
	struct nx_str token = get_str(&in), message = get_str(&in), detail = get_str(&in);
	enum nx_code bad = finish(&in, "error", ret);
	if (bad)
		return bad;
	if (code == NX_OK || code >= NX_CODE_COUNT || nx_utf8_check(message) != message.len ||
	    nx_utf8_check(token) != token.len || (state.len && !is_sqlstate(state)))
		return nx_fail(ret, NX_E_PROTOCOL, "the engine protocol is broken (error code)");
	nx_fail(ret, (enum nx_code)code, NX_STR_FMT, NX_STR_ARG(message));
	nx_error_detail(ret, NX_STR_FMT, NX_STR_ARG(detail));
	nx_error_native(ret, native, state.len ? state.ptr : NULL);
	if (position >= 0)
		nx_error_at(ret, (size_t)position, token.ptr, token.len);
	return (enum nx_code)code;
}
