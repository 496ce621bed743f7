/* Reads Arrow streams back with a small verifier of its own: every offset is checked against the
 * message, every buffer against the body; values are compared with what went in. */
#include "arrow_sample.h"

#include "encode.h"
#include "put_time.h"
#include "read_text.h"
#include "test.h"

struct msg {
	const uint8_t *meta;
	size_t len;
	const uint8_t *body;
};

static uint32_t u32_at(const struct msg *m, size_t at)
{
	uint32_t v;
	NX_CHECK(at % 4 == 0 && at + 4 <= m->len);
	memcpy(&v, m->meta + at, 4);
	return v;
}

static int64_t i64_at(const struct msg *m, size_t at)
{
	int64_t v;
	NX_CHECK(at % 8 == 0 && at + 8 <= m->len);
	memcpy(&v, m->meta + at, 8);
	return v;
}

static uint16_t u16_at(const struct msg *m, size_t at)
{
	uint16_t v;
	NX_CHECK(at % 2 == 0 && at + 2 <= m->len);
	memcpy(&v, m->meta + at, 2);
	return v;
}

/* Where a table's field lies, or 0. */
static size_t field_at(const struct msg *m, size_t table, unsigned id)
{
	size_t vtable = table - (size_t)(int32_t)u32_at(m, table);
	uint16_t size = u16_at(m, vtable);
	NX_CHECK(vtable + size <= m->len && table + u16_at(m, vtable + 2) <= m->len);
	if (4 + 2 * id + 2 > size)
		return 0;
	uint16_t off = u16_at(m, vtable + 4 + 2 * id);
	return off ? table + off : 0;
}

static size_t follow(const struct msg *m, size_t at)
{
	NX_CHECK(at != 0);
	size_t to = at + u32_at(m, at);
	NX_CHECK(to + 4 <= m->len);
	return to;
}

static struct nx_str string_at(const struct msg *m, size_t at)
{
	size_t s = follow(m, at);
	uint32_t n = u32_at(m, s);
	NX_CHECK(s + 4 + n + 1 <= m->len && m->meta[s + 4 + n] == 0);
	return nx_strn((const char *)m->meta + s + 4, n);
}

/* Splits the next message off; false at the end marker. */
static bool next_message(struct nx_str *in, struct msg *ret, uint8_t *type, size_t *header)
{
	uint32_t head[2];
	NX_CHECK(in->len >= 8);
	memcpy(head, in->ptr, 8);
	NX_EQ_I(0xffffffff, head[0]);
	if (head[1] == 0) {
		NX_EQ_I(8, in->len);
		return false;
	}
	NX_CHECK(head[1] % 8 == 0 && 8 + (size_t)head[1] <= in->len);
	ret->meta = (const uint8_t *)in->ptr + 8;
	ret->len = head[1];
	size_t root = u32_at(ret, 0);
	NX_EQ_I(4, u16_at(ret, field_at(ret, root, 0))); /* V5 */
	*type = ret->meta[field_at(ret, root, 1)];
	*header = follow(ret, field_at(ret, root, 2));
	size_t body_at = field_at(ret, root, 3);
	size_t body = body_at ? (size_t)i64_at(ret, body_at) : 0;
	NX_CHECK(body % 8 == 0 && 8 + ret->len + body <= in->len);
	ret->body = (const uint8_t *)in->ptr + 8 + ret->len;
	*in = nx_strn((const char *)ret->body + body, in->len - 8 - ret->len - body);
	return true;
}

static struct nx_buf stream(const struct nx_schema *schema, const struct nx_batch *b, uint32_t from,
			    uint32_t to)
{
	struct nx_encoding how = { .format = NX_FORMAT_ARROW };
	struct nx_encoder *e = nx_encoder_new(schema, &how);
	struct nx_buf out;
	struct nx_error err = { 0 };
	struct nx_result_meta m = { 0 };
	nx_buf_init(&out, 1 << 24);
	NX_EQ_I(NX_OK, nx_encoder_head(e, &out, &err));
	if (nx_encoder_rows(e, b, from, to, &out, &err))
		nx_test_fail(__FILE__, __LINE__, "%s", err.message);
	NX_EQ_I(NX_OK, nx_encoder_tail(e, &m, &out, &err));
	nx_encoder_free(e);
	return out;
}

struct batch {
	struct msg m;
	int64_t rows;
	size_t nodes, buffers; /* vectors */
	size_t nnodes, nbuffers;
};

static struct batch read_batch(struct nx_str *in)
{
	struct batch b = { 0 };
	uint8_t type;
	size_t h;
	NX_CHECK(next_message(in, &b.m, &type, &h));
	NX_EQ_I(3, type);
	b.rows = i64_at(&b.m, field_at(&b.m, h, 0));
	b.nodes = follow(&b.m, field_at(&b.m, h, 1));
	b.buffers = follow(&b.m, field_at(&b.m, h, 2));
	b.nnodes = u32_at(&b.m, b.nodes);
	b.nbuffers = u32_at(&b.m, b.buffers);
	size_t end = 0;
	for (size_t i = 0; i < b.nbuffers; i++) {
		size_t off = (size_t)i64_at(&b.m, b.buffers + 4 + 16 * i);
		size_t len = (size_t)i64_at(&b.m, b.buffers + 4 + 16 * i + 8);
		NX_CHECK(off % 8 == 0 && off >= end &&
			 off + len <= (size_t)((const uint8_t *)in->ptr - b.m.body));
		end = off + len;
	}
	return b;
}

static struct nx_str buffer_of(const struct batch *b, size_t i)
{
	NX_CHECK(i < b->nbuffers);
	return nx_strn((const char *)b->m.body + i64_at(&b->m, b->buffers + 4 + 16 * i),
		       (size_t)i64_at(&b->m, b->buffers + 4 + 16 * i + 8));
}

/* Type tag of each sample column, in order; TYPE_* of arrow.c. */
static const uint8_t tags[] = { 1, 6,  2,  2,  2,  2,  2,  2,  2,  2,  3, 3, 7, 7, 8, 9,
				9, 10, 10, 10, 11, 5,  4,  12, 13, 17, 7, 5, 6, 2, 2, 3,
				3, 8,  9,  5,  10, 10, 11, 5,  4,  5,  5, 5, 5, 5 };

NX_TEST(schema_of_every_type)
{
	struct nx_buf out = stream(&sample_schema, &sample_batch, 0, 2);
	struct nx_str in = nx_buf_str(&out);
	struct msg m;
	uint8_t type;
	size_t schema;
	NX_CHECK(next_message(&in, &m, &type, &schema));
	NX_EQ_I(1, type);
	size_t fields = follow(&m, field_at(&m, schema, 1));
	NX_EQ_I(NX_COUNTOF(sample_fields), u32_at(&m, fields));
	NX_EQ_I(NX_COUNTOF(tags), u32_at(&m, fields));
	for (size_t i = 0; i < NX_COUNTOF(sample_fields); i++) {
		size_t f = follow(&m, fields + 4 + 4 * i);
		NX_EQ_STR(sample_fields[i].name, string_at(&m, field_at(&m, f, 0)));
		NX_EQ_I(1, m.meta[field_at(&m, f, 1)]);
		NX_EQ_I(tags[i], m.meta[field_at(&m, f, 2)]);
		(void)field_at(&m, follow(&m, field_at(&m, f, 3)), 0);
		size_t kids = follow(&m, field_at(&m, f, 5));
		NX_EQ_I(sample_fields[i].nchildren, u32_at(&m, kids));
		size_t meta = follow(&m, field_at(&m, f, 6));
		NX_EQ_I(sample_fields[i].type == NX_T_JSON ? 4 : 2, u32_at(&m, meta));
		size_t kv = follow(&m, meta + 4);
		NX_EQ_STR(NX_STR("nexus.type"), string_at(&m, field_at(&m, kv, 0)));
		NX_EQ_STR(nx_str(nx_type_name(sample_fields[i].type)),
			  string_at(&m, field_at(&m, kv, 1)));
	}
	struct batch b = read_batch(&in);
	NX_EQ_I(2, b.rows);
	NX_EQ_I(NX_COUNTOF(sample_fields) + 1 + 2 + 3, b.nnodes);
	NX_CHECK(!next_message(&in, &m, &type, &schema));
	nx_buf_done(&out);
}

/* Rows [from, to) of long columns: validity, values and strings are those of the batch. */
NX_TEST(slices)
{
	enum { N = 1000 };
	static int64_t v[N];
	static uint8_t validity[N / 8], bits[N / 8];
	static int32_t offsets[N + 1];
	static char text[N * 8];
	for (int i = 0; i < N; i++) {
		v[i] = (int64_t)i * 1000003;
		offsets[i + 1] = offsets[i] + snprintf(text + offsets[i], 8, "%d", i * 7 % 1000);
	}
	for (int i = 0; i < N / 8; i++) {
		validity[i] = (uint8_t)(i * 37);
		bits[i] = (uint8_t)(i * 91);
	}
	const struct nx_field f[] = { { .type = NX_T_INT64, .layout = NX_L_I64 },
				      { .type = NX_T_BOOL, .layout = NX_L_BITS },
				      { .type = NX_T_STRING, .layout = NX_L_TEXT } };
	const struct nx_column c[] = { { N, validity, v, NULL, NULL },
				       { N, NULL, bits, NULL, NULL },
				       { N, validity, text, offsets, NULL } };
	const struct nx_schema schema = { 3, f };
	const struct nx_batch batch = { N, 3, c };
	for (uint32_t from = 0; from < N; from += 1 + from % 7 * 13) {
		uint32_t to = from + (N - from) * (from % 3 + 1) / 3;
		if (to == from)
			continue;
		struct nx_buf out = stream(&schema, &batch, from, to);
		struct nx_str in = nx_buf_str(&out);
		struct msg m;
		uint8_t type;
		size_t h;
		NX_CHECK(next_message(&in, &m, &type, &h));
		struct batch b = read_batch(&in);
		NX_EQ_I(to - from, b.rows);
		NX_EQ_I(3, b.nnodes);
		NX_EQ_I(0, buffer_of(&b, 2).len); /* no nulls, no bitmap */
		struct nx_str valid = buffer_of(&b, 0), nums = buffer_of(&b, 1),
			      flags = buffer_of(&b, 3);
		struct nx_str offs = buffer_of(&b, 5), chars = buffer_of(&b, 6);
		NX_EQ_I((to - from + 7) / 8, valid.len);
		int64_t nulls = 0;
		for (uint32_t i = from; i < to; i++) {
			uint32_t k = i - from;
			int64_t got;
			int32_t at[2];
			NX_EQ_I(validity[i / 8] >> i % 8 & 1,
				(uint8_t)valid.ptr[k / 8] >> k % 8 & 1);
			nulls += !(validity[i / 8] >> i % 8 & 1);
			memcpy(&got, nums.ptr + 8 * k, 8);
			NX_EQ_I(v[i], got);
			NX_EQ_I(bits[i / 8] >> i % 8 & 1, (uint8_t)flags.ptr[k / 8] >> k % 8 & 1);
			memcpy(at, offs.ptr + 4 * k, 8);
			NX_EQ_STR(nx_column_text(&c[2], i),
				  nx_strn(chars.ptr + at[0], (size_t)(at[1] - at[0])));
		}
		NX_EQ_I(nulls, i64_at(&b.m, b.nodes + 4 + 8));
		nx_buf_done(&out);
	}
}

static enum nx_code refuse(enum nx_type t, enum nx_layout l, const void *data, struct nx_error *err)
{
	const char *s = data;
	int32_t n = l == NX_L_TEXT ? (int32_t)strlen(s) : 0;
	const int32_t offsets[] = { 0, 0, n };
	const uint8_t second = 2;
	const struct nx_field f = { .name = NX_STR_INIT("col"),
				    .type = t,
				    .layout = l,
				    .precision = 5,
				    .scale = 2,
				    .unit = NX_UNIT_US };
	const struct nx_column c = {
		.length = 2, .data = data, .offsets = offsets, .validity = &second
	};
	const struct nx_schema schema = { 1, &f };
	const struct nx_batch b = { 2, 1, &c };
	struct nx_encoding how = { .format = NX_FORMAT_ARROW };
	struct nx_encoder *e = nx_encoder_new(&schema, &how);
	struct nx_buf out;
	nx_buf_init(&out, 1 << 20);
	NX_EQ_I(NX_OK, nx_encoder_head(e, &out, err));
	size_t before = out.len;
	enum nx_code code = nx_encoder_rows(e, &b, 0, 2, &out, err);
	if (code)
		NX_EQ_I(before, out.len);
	struct nx_result_meta m = { .error = err };
	before = out.len;
	NX_EQ_I(NX_OK, nx_encoder_tail(e, &m, &out, err));
	NX_EQ_I(before, out.len); /* no end marker after a failure */
	nx_encoder_free(e);
	nx_buf_done(&out);
	return code;
}

NX_TEST(no_exact_form_is_an_error)
{
	static const struct {
		enum nx_type t;
		const char *s;
	} bad[] = {
		{ NX_T_DATE, "0000-00-00" },
		{ NX_T_DATE, "2001-02-29" },
		{ NX_T_DATE, "infinity" },
		{ NX_T_DATE, "2001-13-01" },
		{ NX_T_DATE, "2001-01-01x" },
		{ NX_T_TIME, "25:00:00" },
		{ NX_T_TIME, "-01:00:00" },
		{ NX_T_TIME, "24:00:00" },
		{ NX_T_TIME, "10:00:00.0000001" },
		{ NX_T_TIME, "10:00:00." },
		{ NX_T_TIMESTAMP, "0000-00-00T00:00:00" },
		{ NX_T_TIMESTAMP, "-infinity" },
		{ NX_T_TIMESTAMP, "2001-01-01T00:00:00Z" },
		{ NX_T_TIMESTAMPTZ, "2001-01-01T00:00:00" },
		{ NX_T_TIMESTAMP, "+294248-01-01T00:00:00" },
		{ NX_T_TIMESTAMP, "2001-01-01T00:00:60" },
		{ NX_T_DECIMAL, "NaN" },
		{ NX_T_DECIMAL, "1.234" },
		{ NX_T_DECIMAL, "" },
		{ NX_T_DECIMAL, "999999999999999999999999999999999999999" },
		{ NX_T_INT8, "128" },
		{ NX_T_UINT8, "256" },
		{ NX_T_INT64, "9223372036854775808" },
		{ NX_T_UINT64, "-1" },
		{ NX_T_BOOL, "t" },
		{ NX_T_FLOAT64, "1e999" },
		{ NX_T_FLOAT64, "x" },
		{ NX_T_INTERVAL, "P" },
		{ NX_T_INTERVAL, "P1D1Y" },
		{ NX_T_INTERVAL, "P1.5Y" },
		{ NX_T_INTERVAL, "1Y" },
	};
	struct nx_error err;
	for (size_t i = 0; i < NX_COUNTOF(bad); i++) {
		if (refuse(bad[i].t, NX_L_TEXT, bad[i].s, &err) != NX_E_VALUE_UNREPRESENTABLE)
			nx_test_fail(__FILE__, __LINE__, "%s «%s» passed", nx_type_name(bad[i].t),
				     bad[i].s);
		NX_CHECK(strstr(err.message, "column \"col\", row 1:"));
	}
	static const int32_t day[2] = { 0, -INT32_MAX };
	NX_EQ_I(NX_E_VALUE_UNREPRESENTABLE, refuse(NX_T_DATE, NX_L_I32, day, &err));
	static const int64_t when[2] = { 0, INT64_MAX };
	NX_EQ_I(NX_E_VALUE_UNREPRESENTABLE, refuse(NX_T_TIMESTAMP, NX_L_I64, when, &err));
	NX_EQ_I(NX_E_VALUE_UNREPRESENTABLE, refuse(NX_T_TIME, NX_L_I64, when, &err));
	static const struct nx_interval far[2] = { { 0, 0, 0 }, { 0, 0, INT64_MAX } };
	NX_EQ_I(NX_E_VALUE_UNREPRESENTABLE, refuse(NX_T_INTERVAL, NX_L_MDU, far, &err));
	NX_EQ_I(NX_OK, refuse(NX_T_DECIMAL, NX_L_TEXT, "-12.3000", &err));
}

/* What the writers print, the readers read. */
NX_TEST(text_reads_back)
{
	uint64_t x = 1;
	for (int i = 0; i < 200000; i++) {
		char s[128];
		x = x * 6364136223846793005u + 1442695040888963407u;
		int32_t d, day = (int32_t)(x >> 32);
		NX_CHECK(nx_read_date(nx_strn(s, (size_t)(nx_put_date(s, day) - s)), &d) &&
			 d == day);
		int64_t t, ts = (int64_t)x >> (x % 40);
		NX_CHECK(nx_read_timestamp(
				 nx_strn(s, (size_t)(nx_put_timestamptz(s, ts, NX_UNIT_US) - s)),
				 true, 1000000, &t) &&
			 t == ts);
		NX_CHECK(nx_read_timestamp(
				 nx_strn(s, (size_t)(nx_put_timestamp(s, ts, NX_UNIT_NS) - s)),
				 false, 1000000000, &t) &&
			 t == ts);
		int64_t tod = (int64_t)(x >> 1) % 86400000000;
		NX_CHECK(nx_read_time(nx_strn(s, (size_t)(nx_put_time(s, tod, NX_UNIT_US) - s)),
				      1000000, &t) &&
			 t == tod);
		struct nx_interval iv = { (int32_t)x, (int32_t)(x >> 20), (int64_t)x >> 12 };
		struct nx_month_day_nano m;
		NX_CHECK(nx_read_interval(nx_strn(s, (size_t)(nx_put_interval(s, iv) - s)), &m));
		NX_CHECK(m.months == iv.months && m.days == iv.days && m.nanos == iv.micros * 1000);
		nx_i128 dec, v = (nx_i128)(int64_t)x * (int64_t)(x >> 30);
		int32_t scale = (int32_t)(x % 39);
		NX_CHECK(nx_read_decimal(nx_strn(s, (size_t)(nx_put_decimal128(s, v, scale) - s)),
					 scale, &dec) &&
			 dec == v);
	}
}
