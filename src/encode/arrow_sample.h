/* A schema with every Arrow form and two rows of it (the second is null where it can be), for the
 * tests: read back by the verifier in arrow_test.c and by pyarrow in arrow_check.py. */
#ifndef NX_ENCODE_ARROW_SAMPLE_H
#define NX_ENCODE_ARROW_SAMPLE_H

#include "nexus/batch.h"
#include "put_num.h"

enum { ROWS = 2 };
static const uint8_t first_only = 1, both_true = 3;
static const int8_t v_i8[ROWS] = { -8 };
static const int16_t v_i16[ROWS] = { -16 };
static const int32_t v_i32[ROWS] = { -32 };
static const int64_t v_i64[ROWS] = { INT64_MIN };
static const uint8_t v_u8[ROWS] = { 8 };
static const uint16_t v_u16[ROWS] = { 16 };
static const uint32_t v_u32[ROWS] = { 32 };
static const uint64_t v_u64[ROWS] = { UINT64_MAX };
static const float v_f32[ROWS] = { 0.1f };
static const double v_f64[ROWS] = { 0.1 };
static const int64_t v_dec64[ROWS] = { -12345 };
static const nx_i128 v_dec128[ROWS] = { (nx_i128)1000000007 * 1000000007 * 1000000007 };
static const int32_t v_days[ROWS] = { 11016, INT32_MAX };
static const int64_t v_micros[ROWS] = { 86399999999, INT64_MAX };
static const int64_t v_seconds[ROWS] = { 86399, -5 };
static const int64_t v_nanos[ROWS] = { 951782400123456789, INT64_MAX };
static const struct nx_interval v_span[ROWS] = { { 14, 3, -1500000 } };
static const struct nx_view v_views[ROWS] = { { .len = 3, .u.inl = "\xe6\x95\xb0" }, { .len = 9999 } };
static const int32_t two[ROWS + 1] = { 0, 2, 2 };
static const int32_t three[ROWS + 1] = { 0, 3, 3 };
static const int32_t v_items[3] = { 1, 2, 3 };
static const struct nx_view v_keys[2] = { { .len = 1, .u.inl = "a" }, { .len = 1, .u.inl = "b" } };

static const struct nx_field item_field = { .type = NX_T_INT32, .layout = NX_L_I32 };
static const struct nx_field entry_fields[] = {
	{ .name = NX_STR_INIT("key"), .type = NX_T_STRING, .layout = NX_L_VIEW },
	{ .name = NX_STR_INIT("value"), .type = NX_T_INT32, .layout = NX_L_I32 },
};
static const struct nx_field entries_field = { .type = NX_T_STRUCT, .layout = NX_L_STRUCT,
					       .nchildren = 2, .children = entry_fields };
static const struct nx_column item_column = { .length = 3, .data = v_items };
static const struct nx_column entry_columns[] = { { .length = 2, .data = v_keys },
						  { .length = 2, .data = v_items, .validity = &first_only } };
static const struct nx_column entries_column = { .length = 2, .children = entry_columns };

/* A field, without and with more members. */
#define F(n, t, l) \
	{ .name = NX_STR_INIT(n), .type = NX_T_##t, .layout = NX_L_##l, .native = NX_STR_INIT("src") }
#define FX(n, t, l, ...) \
	{ .name = NX_STR_INIT(n), .type = NX_T_##t, .layout = NX_L_##l, \
	  .native = NX_STR_INIT("src"), __VA_ARGS__ }
#define TEXTS                                                                    \
	X("t_bool", BOOL, "true")                                                \
	X("t_int8", INT8, "-8")                                                  \
	X("t_uint64", UINT64, "18446744073709551615")                            \
	X("t_float32", FLOAT32, "0.1")                                           \
	X("t_float64", FLOAT64, "-Infinity")                                     \
	X("t_date", DATE, "2000-02-29")                                          \
	X("t_time", TIME, "23:59:59.999999")                                     \
	X("t_timetz", TIMETZ, "12:00:00+05:30")                                  \
	X("t_timestamp", TIMESTAMP, "2000-02-29T00:00:00.123456")                \
	X("t_timestamptz", TIMESTAMPTZ, "2000-02-29T05:30:00.5+05:30")           \
	X("t_interval", INTERVAL, "P1Y2M3DT-1.5S")                               \
	X("t_string", STRING, "bad \xff utf-8")                                  \
	X("t_binary", BINARY, "bin\xff")                                         \
	X("t_uuid", UUID, "123e4567-e89b-12d3-a456-426614174000")                \
	X("t_json", JSON, "{\"a\": 1}")                                          \
	X("t_list", LIST, "[1,2]")                                               \
	X("t_struct", STRUCT, "{\"a\":1}")                                       \
	X("t_map", MAP, "[[1,2]]")

#define X(n, t, s) F(n, t, TEXT),
static const struct nx_field sample_fields[] = {
	F("null", NULL, NONE),
	F("bool", BOOL, BITS),
	F("int8", INT8, I8),
	F("int16", INT16, I16),
	F("int32", INT32, I32),
	F("int64", INT64, I64),
	F("uint8", UINT8, U8),
	F("uint16", UINT16, U16),
	F("uint32", UINT32, U32),
	F("uint64", UINT64, U64),
	F("float32", FLOAT32, F32),
	F("float64", FLOAT64, F64),
	FX("decimal64", DECIMAL, I64, .precision = 10, .scale = 2),
	FX("decimal128", DECIMAL, I128, .precision = 38, .scale = 9),
	F("date", DATE, I32),
	FX("time_us", TIME, I64, .unit = NX_UNIT_US),
	FX("time_s", TIME, I64, .unit = NX_UNIT_S),
	FX("timestamp_s", TIMESTAMP, I64, .unit = NX_UNIT_S),
	FX("timestamp_ns", TIMESTAMP, I64, .unit = NX_UNIT_NS),
	FX("timestamptz_us", TIMESTAMPTZ, I64, .unit = NX_UNIT_US),
	F("interval", INTERVAL, MDU),
	F("view", STRING, VIEW),
	F("binary_view", BINARY, VIEW),
	FX("list", LIST, LIST, .nchildren = 1, .children = &item_field),
	FX("struct", STRUCT, STRUCT, .nchildren = 2, .children = entry_fields),
	FX("map", MAP, LIST, .nchildren = 1, .children = &entries_field),
	FX("t_decimal", DECIMAL, TEXT, .precision = 20, .scale = 4),
	F("t_numeric", DECIMAL, TEXT),
	TEXTS
};
#undef X

static const struct nx_column sample_columns[] = {
	{ .length = ROWS },
	{ .length = ROWS, .data = &both_true, .validity = &first_only },
	{ .length = ROWS, .data = v_i8, .validity = &first_only },
	{ .length = ROWS, .data = v_i16, .validity = &first_only },
	{ .length = ROWS, .data = v_i32 },
	{ .length = ROWS, .data = v_i64, .validity = &first_only },
	{ .length = ROWS, .data = v_u8, .validity = &first_only },
	{ .length = ROWS, .data = v_u16, .validity = &first_only },
	{ .length = ROWS, .data = v_u32, .validity = &first_only },
	{ .length = ROWS, .data = v_u64, .validity = &first_only },
	{ .length = ROWS, .data = v_f32, .validity = &first_only },
	{ .length = ROWS, .data = v_f64, .validity = &first_only },
	{ .length = ROWS, .data = v_dec64, .validity = &first_only },
	{ .length = ROWS, .data = v_dec128, .validity = &first_only },
	{ .length = ROWS, .data = v_days, .validity = &first_only },
	{ .length = ROWS, .data = v_micros, .validity = &first_only },
	{ .length = ROWS, .data = v_seconds, .validity = &first_only },
	{ .length = ROWS, .data = v_seconds, .validity = &first_only },
	{ .length = ROWS, .data = v_nanos, .validity = &first_only },
	{ .length = ROWS, .data = v_micros, .validity = &first_only },
	{ .length = ROWS, .data = v_span, .validity = &first_only },
	{ .length = ROWS, .data = v_views, .validity = &first_only },
	{ .length = ROWS, .data = v_views, .validity = &first_only },
	{ .length = ROWS, .offsets = three, .children = &item_column, .validity = &first_only },
	{ .length = ROWS, .children = entry_columns },
	{ .length = ROWS, .offsets = two, .children = &entries_column, .validity = &first_only },
#define TEXT_COLUMN(s)                                                        \
	{ .length = ROWS, .data = s, .validity = &first_only,                 \
	  .offsets = (const int32_t[]){ 0, sizeof(s) - 1, sizeof(s) - 1 } },
	TEXT_COLUMN("-1234567890123456.7800")
	TEXT_COLUMN("123456789012345678901234567890123456789012345678901234567890.5")
#define X(n, t, s) TEXT_COLUMN(s)
	TEXTS
#undef X
};

static const struct nx_schema sample_schema = { NX_COUNTOF(sample_fields), sample_fields };
static const struct nx_batch sample_batch = { ROWS, NX_COUNTOF(sample_fields), sample_columns };

#endif
