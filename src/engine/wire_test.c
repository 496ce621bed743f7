/* The engine's protocol: there and back, and what is refused. */
#include "engine/wire.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

static struct nx_arena *arena;
static struct nx_error err;
static struct nx_buf b; /* one process per case: the system frees */

static void begin(void)
{
	arena = nx_arena_new(16 << 20);
	nx_buf_init(&b, 16 << 20);
}

/* NX_WIRE_CORPUS=DIR keeps what the tests write as seeds for the fuzz target. */
static void seed(char kind, const char *name, struct nx_str payload)
{
	const char *dir = getenv("NX_WIRE_CORPUS");
	char path[500];
	if (!dir)
		return;
	snprintf(path, sizeof path, "%s/%s", dir, name);
	FILE *f = fopen(path, "wb");
	NX_CHECK(f && fputc(kind, f) != EOF &&
		 fwrite(payload.ptr, 1, payload.len, f) == payload.len);
	NX_CHECK(fclose(f) == 0);
}

NX_TEST(request)
{
	begin();
	struct nx_value v[] = { { NX_V_NUMBER, NX_STR_INIT("12.5") },
				{ NX_V_NULL, NX_STR_INIT("") } };
	struct nx_wire_request in = {
		.kind = NX_WIRE_QUERY, .root = NX_STR("/data/x"), .format = NX_STR("csv"),
		.delimiter = NX_STR(";"), .header = -1, .memory_mb = 512, .spill_mb = 7, .threads = 2,
		.cpu_seconds = 30, .encoding = { NX_FORMAT_CSV, true, false }, .frame_rows = 9, .skip_rows = 3,
		.max_rows = UINT64_MAX, .sql = NX_STR("SELECT ?, ?"), .table = NX_STR(""),
		.nparams = 2, .params = v,
	}, out;
	nx_wire_put_request(&b, &in);
	NX_EQ_I(NX_OK, nx_wire_get_request(nx_buf_str(&b), arena, &out, &err));
	NX_EQ_STR(in.root, out.root);
	NX_EQ_STR(in.sql, out.sql);
	NX_EQ_I(0, out.sql.ptr[out.sql.len]);
	NX_EQ_I(-1, out.header);
	NX_EQ_I(512, out.memory_mb);
	NX_EQ_I(NX_FORMAT_CSV, out.encoding.format);
	NX_CHECK(out.max_rows == UINT64_MAX);
	NX_EQ_I(9, out.frame_rows);
	NX_EQ_I(2, out.nparams);
	NX_EQ_STR(v[0].text, out.params[0].text);
	NX_EQ_I(NX_V_NULL, out.params[1].kind);
	for (size_t n = 0; n < b.len; n++) /* cut short anywhere: refused */
		NX_EQ_I(NX_E_PROTOCOL, nx_wire_get_request(nx_strn(b.data, n), arena, &out, &err));
	seed('\1', "request", nx_buf_str(&b));
}

NX_TEST(schema)
{
	begin();
	struct nx_field kids[2] = {
		{ .name = NX_STR("k"), .type = NX_T_INT32, .layout = NX_L_I32, .nullable = 0 },
		{ .name = NX_STR("v"),
		  .type = NX_T_DECIMAL,
		  .layout = NX_L_I64,
		  .precision = 18,
		  .scale = 3,
		  .nullable = -1 },
	};
	struct nx_field entry = { .name = NX_STR("entries"),
				  .type = NX_T_STRUCT,
				  .layout = NX_L_STRUCT,
				  .nchildren = 2,
				  .children = kids };
	struct nx_field f[2] = {
		{ .name = NX_STR("中"),
		  .type = NX_T_TIMESTAMP,
		  .layout = NX_L_I64,
		  .unit = NX_UNIT_NS,
		  .native = NX_STR("TIMESTAMP_NS"),
		  .nullable = 1 },
		{ .name = NX_STR("m"),
		  .type = NX_T_MAP,
		  .layout = NX_L_LIST,
		  .nchildren = 1,
		  .children = &entry },
	};
	struct nx_schema in = { 2, f }, out;
	nx_wire_put_schema(&b, &in);
	NX_EQ_I(NX_OK, nx_wire_get_schema(nx_buf_str(&b), arena, &out, &err));
	NX_EQ_I(2, out.nfields);
	NX_EQ_STR(NX_STR("中"), out.fields[0].name);
	NX_EQ_I(NX_UNIT_NS, out.fields[0].unit);
	NX_EQ_I(3, out.fields[1].children[0].children[1].scale);
	for (size_t n = 0; n < b.len; n++)
		NX_EQ_I(NX_E_PROTOCOL, nx_wire_get_schema(nx_strn(b.data, n), arena, &out, &err));
	seed('\0', "schema", nx_buf_str(&b));
}

NX_TEST(schema_bombs)
{
	begin();
	struct nx_schema out;
	uint32_t huge = 4000000000u;
	NX_EQ_I(NX_E_PROTOCOL, nx_wire_get_schema(nx_strn((char *)&huge, 4), arena, &out, &err));
	/* a list of a list of a list ... */
	struct nx_field f[64];
	for (int i = 63; i >= 0; i--)
		f[i] = (struct nx_field){ .name = NX_STR("l"),
					  .type = NX_T_LIST,
					  .layout = NX_L_LIST,
					  .nchildren = i < 63,
					  .children = i < 63 ? &f[i + 1] : NULL };
	f[63].layout = NX_L_I32;
	struct nx_schema in = { 1, f };
	nx_wire_put_schema(&b, &in);
	NX_EQ_I(NX_E_PROTOCOL, nx_wire_get_schema(nx_buf_str(&b), arena, &out, &err));
	/* children where the layout has none */
	nx_buf_clear(&b);
	struct nx_field bad = { .name = NX_STR("x"),
				.type = NX_T_INT32,
				.layout = NX_L_I32,
				.nchildren = 1,
				.children = &f[63] };
	in = (struct nx_schema){ 1, &bad };
	nx_wire_put_schema(&b, &in);
	NX_EQ_I(NX_E_PROTOCOL, nx_wire_get_schema(nx_buf_str(&b), arena, &out, &err));
}

NX_TEST(error)
{
	begin();
	struct nx_error in, out;
	nx_fail(&in, NX_E_UNDEFINED_OBJECT, "no table %s", "中");
	nx_error_native(&in, 13, "42P01");
	nx_error_at(&in, 14, "nosuch", 6);
	nx_error_detail(&in, "for the log");
	nx_wire_put_error(&b, &in);
	NX_EQ_I(NX_E_UNDEFINED_OBJECT, nx_wire_get_error(nx_buf_str(&b), &out));
	NX_EQ_S("no table 中", out.message);
	NX_EQ_S("42P01", out.sqlstate);
	NX_EQ_S("nosuch", out.token);
	NX_EQ_S("for the log", out.detail);
	NX_EQ_I(14, out.position);
	seed('\2', "error", nx_buf_str(&b));
	b.data[0] = 0; /* success is no error */
	NX_EQ_I(NX_E_PROTOCOL, nx_wire_get_error(nx_buf_str(&b), &out));
	b.data[0] = (char)0xff;
	NX_EQ_I(NX_E_PROTOCOL, nx_wire_get_error(nx_buf_str(&b), &out));
}

NX_TEST(frames)
{
	struct nx_wire_frame f = { .type = NX_WIRE_ROWS, .len = NX_WIRE_MAX_ROWS };
	NX_CHECK(nx_wire_frame_ok(&f));
	f.len++;
	NX_CHECK(!nx_wire_frame_ok(&f));
	f = (struct nx_wire_frame){ .type = NX_WIRE_END, .len = 1 };
	NX_CHECK(!nx_wire_frame_ok(&f));
	f = (struct nx_wire_frame){ .type = 77 };
	NX_CHECK(!nx_wire_frame_ok(&f));
	f = (struct nx_wire_frame){ .type = NX_WIRE_SCHEMA, .zero = 1 };
	NX_CHECK(!nx_wire_frame_ok(&f));
	f = (struct nx_wire_frame){ .type = NX_WIRE_SCHEMA, .len = NX_WIRE_MAX_OTHER + 1 };
	NX_CHECK(!nx_wire_frame_ok(&f));
}
