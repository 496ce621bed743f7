/* Golden lines for every (type, layout, text format), and what holds for all values. */
#include "encode.h"

#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "put_num.h"
#include "put_str.h"
#include "put_time.h"
#include "test.h"

enum { MAX_OUT = 1 << 22 };

static struct nx_buf encode(const struct nx_field *f, uint32_t n, const struct nx_column *cols,
			    uint32_t rows, struct nx_encoding how)
{
	struct nx_schema schema = { n, f };
	struct nx_encoder *e = nx_encoder_new(&schema, &how);
	NX_CHECK(e);
	struct nx_batch b = { rows, n, cols };
	struct nx_buf out;
	struct nx_error err = { 0 };
	nx_buf_init(&out, MAX_OUT);
	if (nx_encoder_rows(e, &b, 0, rows, &out, &err))
		nx_test_fail(__FILE__, __LINE__, "%s", err.message);
	nx_encoder_free(e);
	return out;
}

static const struct nx_encoding agent = { .format = NX_FORMAT_AGENT };
static const struct nx_encoding json = { .format = NX_FORMAT_JSON };
static const struct nx_encoding json_exact = { .format = NX_FORMAT_JSON, .numbers_exact = true };
static const struct nx_encoding csv = { .format = NX_FORMAT_CSV };
static const struct nx_encoding ndjson = { .format = NX_FORMAT_NDJSON, .ndjson_objects = true };

/* One value through one format, wrapped: [value], value CR LF or {"v":value}. */
static void one(int line, struct nx_field f, const struct nx_column *col, struct nx_encoding how,
		const char *want)
{
	f.name = NX_STR("v");
	struct nx_buf out = encode(&f, 1, col, 1, how);
	char expect[2048];
	bool is_csv = how.format == NX_FORMAT_CSV, is_json = how.format == NX_FORMAT_JSON;
	snprintf(expect, sizeof(expect), "%s%s%s",
		 is_csv	   ? ""
		 : is_json ? "["
			   : "{\"v\":",
		 want,
		 is_csv	   ? "\r\n"
		 : is_json ? "]"
			   : "}\n");
	if (!nx_str_eq(nx_str(expect), nx_buf_str(&out)))
		nx_test_fail(__FILE__, line,
			     "%s layout %d format %s:\n#  want «%s»\n#  got  «" NX_STR_FMT "»",
			     nx_type_name(f.type), (int)f.layout, nx_formats[how.format].name,
			     expect, NX_STR_ARG(nx_buf_str(&out)));
	nx_buf_done(&out);
}

static void all(int line, struct nx_field f, const struct nx_column *col, const char *want,
		const char *want_exact, const char *want_csv)
{
	one(line, f, col, json, want);
	one(line, f, col, ndjson, want);
	one(line, f, col, json_exact, want_exact ? want_exact : want);
	one(line, f, col, csv, want_csv);
}

#define FIXED(t, l, ctype, value, ...)                                                          \
	do {                                                                                    \
		ctype v_ = (value);                                                             \
		struct nx_column col_ = { .length = 1, .data = &v_ };                           \
		all(__LINE__, (struct nx_field){ .type = NX_T_##t, .layout = NX_L_##l }, &col_, \
		    __VA_ARGS__);                                                               \
	} while (0)
#define DEC(l, ctype, s, value, ...)                                                           \
	do {                                                                                   \
		ctype v_ = (value);                                                            \
		struct nx_column col_ = { .length = 1, .data = &v_ };                          \
		all(__LINE__,                                                                  \
		    (struct nx_field){ .type = NX_T_DECIMAL, .layout = NX_L_##l, .scale = s }, \
		    &col_, __VA_ARGS__);                                                       \
	} while (0)
#define WHEN(t, u, value, ...)                                                           \
	do {                                                                             \
		int64_t v_ = (value);                                                    \
		struct nx_column col_ = { .length = 1, .data = &v_ };                    \
		all(__LINE__,                                                            \
		    (struct nx_field){                                                   \
			    .type = NX_T_##t, .layout = NX_L_I64, .unit = NX_UNIT_##u }, \
		    &col_, __VA_ARGS__);                                                 \
	} while (0)

static void text_cell(int line, enum nx_type t, const char *bytes, size_t n, const char *want,
		      const char *exact, const char *want_csv)
{
	int32_t offsets[2] = { 0, (int32_t)n };
	struct nx_column col = { .length = 1, .data = bytes, .offsets = offsets };
	all(line, (struct nx_field){ .type = t, .layout = NX_L_TEXT }, &col, want, exact, want_csv);
	struct nx_view v = { .len = (uint32_t)n };
	if (n <= 12)
		memcpy(v.u.inl, bytes, n);
	else
		v.u.ref.ptr = bytes;
	col = (struct nx_column){ .length = 1, .data = &v };
	all(line, (struct nx_field){ .type = t, .layout = NX_L_VIEW }, &col, want, exact, want_csv);
}
#define TEXT(t, s, ...) text_cell(__LINE__, NX_T_##t, s, sizeof(s) - 1, __VA_ARGS__)

NX_TEST(integers)
{
	FIXED(INT8, I8, int8_t, -128, "-128", NULL, "-128");
	FIXED(INT16, I16, int16_t, -32768, "-32768", NULL, "-32768");
	FIXED(INT32, I32, int32_t, INT32_MIN, "-2147483648", NULL, "-2147483648");
	FIXED(INT32, I32, int32_t, 0, "0", NULL, "0");
	FIXED(UINT8, U8, uint8_t, 255, "255", NULL, "255");
	FIXED(UINT16, U16, uint16_t, 65535, "65535", NULL, "65535");
	FIXED(UINT32, U32, uint32_t, UINT32_MAX, "4294967295", NULL, "4294967295");
	FIXED(INT64, I64, int64_t, 9007199254740991, "9007199254740991", NULL, "9007199254740991");
	FIXED(INT64, I64, int64_t, 9007199254740992, "\"9007199254740992\"", "9007199254740992",
	      "9007199254740992");
	FIXED(INT64, I64, int64_t, -9007199254740991, "-9007199254740991", NULL,
	      "-9007199254740991");
	FIXED(INT64, I64, int64_t, -9007199254740992, "\"-9007199254740992\"", "-9007199254740992",
	      "-9007199254740992");
	FIXED(INT64, I64, int64_t, INT64_MIN, "\"-9223372036854775808\"", "-9223372036854775808",
	      "-9223372036854775808");
	FIXED(UINT64, U64, uint64_t, UINT64_MAX, "\"18446744073709551615\"", "18446744073709551615",
	      "18446744073709551615");
	FIXED(UINT64, U64, uint64_t, 17, "17", NULL, "17");
	FIXED(INT64, I128, nx_i128, (nx_i128)1 << 100, "\"1267650600228229401496703205376\"",
	      "1267650600228229401496703205376", "1267650600228229401496703205376");
	TEXT(INT32, "-12", "-12", NULL, "-12");
	TEXT(INT64, "9007199254740991", "9007199254740991", NULL, "9007199254740991");
	TEXT(INT64, "-9007199254740991", "-9007199254740991", NULL, "-9007199254740991");
	TEXT(INT64, "9007199254740992", "\"9007199254740992\"", "9007199254740992",
	     "9007199254740992");
	TEXT(UINT64, "18446744073709551615", "\"18446744073709551615\"", "18446744073709551615",
	     "18446744073709551615");
	TEXT(INT8, "1", "1", NULL, "1");
	TEXT(INT16, "1", "1", NULL, "1");
	TEXT(UINT8, "0", "0", NULL, "0");
	TEXT(UINT16, "10", "10", NULL, "10");
	TEXT(UINT32, "10", "10", NULL, "10");
	/* not canonical: never breaks the document */
	TEXT(INT32, "007", "\"007\"", NULL, "007");
	TEXT(INT32, "", "\"\"", NULL, "\"\"");
	TEXT(INT32, "-", "\"-\"", NULL, "-");
	TEXT(INT32, "1]", "\"1]\"", NULL, "1]");
}

NX_TEST(booleans_and_null)
{
	FIXED(BOOL, BITS, uint8_t, 1, "true", NULL, "true");
	FIXED(BOOL, BITS, uint8_t, 2, "false", NULL, "false");
	TEXT(BOOL, "true", "true", NULL, "true");
	TEXT(BOOL, "false", "false", NULL, "false");
	TEXT(BOOL, "t", "\"t\"", NULL, "t");
	FIXED(NULL, NONE, uint8_t, 0, "null", NULL, "");
	uint8_t none = 0;
	struct nx_column col = { .length = 1, .validity = &none };
	for (int t = 0; t < NX_TYPE_COUNT; t++)
		all(__LINE__, (struct nx_field){ .type = (enum nx_type)t, .layout = NX_L_TEXT },
		    &col, "null", NULL, "");
}

NX_TEST(floats)
{
	FIXED(FLOAT64, F64, double, 13, "13", NULL, "13");
	FIXED(FLOAT64, F64, double, -0.0, "-0", NULL, "-0");
	FIXED(FLOAT64, F64, double, 0.1, "0.1", NULL, "0.1");
	FIXED(FLOAT64, F64, double, 0.1 + 0.2, "0.30000000000000004", NULL, "0.30000000000000004");
	FIXED(FLOAT64, F64, double, 1e-4, "0.0001", NULL, "0.0001");
	FIXED(FLOAT64, F64, double, 1e-5, "1e-05", NULL, "1e-05");
	FIXED(FLOAT64, F64, double, 100000, "100000", NULL, "100000");
	FIXED(FLOAT64, F64, double, 999999999999999, "999999999999999", NULL, "999999999999999");
	FIXED(FLOAT64, F64, double, 1e15, "1e+15", NULL, "1e+15");
	FIXED(FLOAT64, F64, double, 123456.789, "123456.789", NULL, "123456.789");
	FIXED(FLOAT64, F64, double, -1.7976931348623157e308, "-1.7976931348623157e+308", NULL,
	      "-1.7976931348623157e+308");
	FIXED(FLOAT64, F64, double, 4.9406564584124654e-324, "5e-324", NULL, "5e-324");
	FIXED(FLOAT64, F64, double, NAN, "\"NaN\"", NULL, "NaN");
	FIXED(FLOAT64, F64, double, INFINITY, "\"Infinity\"", NULL, "Infinity");
	FIXED(FLOAT64, F64, double, -INFINITY, "\"-Infinity\"", NULL, "-Infinity");
	FIXED(FLOAT32, F32, float, 0.1f, "0.1", NULL, "0.1");
	FIXED(FLOAT32, F32, float, 16777216.0f, "1.6777216e+07", NULL, "1.6777216e+07");
	FIXED(FLOAT32, F32, float, 999999.0f, "999999", NULL, "999999");
	FIXED(FLOAT32, F32, float, -INFINITY, "\"-Infinity\"", NULL, "-Infinity");
	FIXED(FLOAT32, F32, float, NAN, "\"NaN\"", NULL, "NaN");
	FIXED(FLOAT32, F32, float, -0.5f, "-0.5", NULL, "-0.5");
	TEXT(FLOAT64, "1e+15", "1e+15", NULL, "1e+15");
	TEXT(FLOAT64, "NaN", "\"NaN\"", NULL, "NaN");
	TEXT(FLOAT64, "-Infinity", "\"-Infinity\"", NULL, "-Infinity");
	TEXT(FLOAT32, "0.25", "0.25", NULL, "0.25");
	TEXT(FLOAT64, ".5", "\".5\"", NULL, ".5");
}

NX_TEST(decimals)
{
	DEC(I16, int16_t, 2, -5, "\"-0.05\"", "-0.05", "-0.05");
	DEC(I32, int32_t, 3, 123456, "\"123.456\"", "123.456", "123.456");
	DEC(I64, int64_t, 0, 42, "\"42\"", "42", "42");
	DEC(I64, int64_t, 18, INT64_MIN, "\"-9.223372036854775808\"", "-9.223372036854775808",
	    "-9.223372036854775808");
	DEC(I64, int64_t, 17, 1, "\"0.00000000000000001\"", "0.00000000000000001",
	    "0.00000000000000001");
	DEC(I64, int64_t, 9, 1000000001, "\"1.000000001\"", "1.000000001", "1.000000001");
	DEC(I32, int32_t, -3, 7, "\"7000\"", "7000", "7000");
	DEC(I32, int32_t, -3, 0, "\"0\"", "0", "0");
	DEC(I128, nx_i128, 38, 1, "\"0.00000000000000000000000000000000000001\"",
	    "0.00000000000000000000000000000000000001", "0.00000000000000000000000000000000000001");
	nx_i128 max = (nx_i128)nx_pow10[19] * nx_pow10[19] - 1;
	DEC(I128, nx_i128, 0, -max, "\"-99999999999999999999999999999999999999\"",
	    "-99999999999999999999999999999999999999", "-99999999999999999999999999999999999999");
	DEC(I128, nx_i128, 37, max, "\"9.9999999999999999999999999999999999999\"",
	    "9.9999999999999999999999999999999999999", "9.9999999999999999999999999999999999999");
	TEXT(DECIMAL, "123.450", "\"123.450\"", "123.450", "123.450");
	TEXT(DECIMAL, "NaN", "\"NaN\"", "\"NaN\"", "NaN");
	TEXT(DECIMAL, "-Infinity", "\"-Infinity\"", "\"-Infinity\"", "-Infinity");
}

NX_TEST(dates)
{
	FIXED(DATE, I32, int32_t, 0, "\"1970-01-01\"", NULL, "1970-01-01");
	FIXED(DATE, I32, int32_t, 11016, "\"2000-02-29\"", NULL, "2000-02-29");
	FIXED(DATE, I32, int32_t, -1, "\"1969-12-31\"", NULL, "1969-12-31");
	FIXED(DATE, I32, int32_t, 2932896, "\"9999-12-31\"", NULL, "9999-12-31");
	FIXED(DATE, I32, int32_t, 2932897, "\"+10000-01-01\"", NULL, "+10000-01-01");
	FIXED(DATE, I32, int32_t, -719162, "\"0001-01-01\"", NULL, "0001-01-01");
	FIXED(DATE, I32, int32_t, -719528, "\"0000-01-01\"", NULL, "0000-01-01");
	FIXED(DATE, I32, int32_t, -719529, "\"-0001-12-31\"", NULL, "-0001-12-31");
	FIXED(DATE, I32, int32_t, -2451545 - 2440588 + 2451545, "\"-4713-11-24\"", NULL,
	      "-4713-11-24");
	FIXED(DATE, I32, int32_t, INT32_MAX - 1, "\"+5881580-07-10\"", NULL, "+5881580-07-10");
	FIXED(DATE, I32, int32_t, INT32_MIN, "\"-5877641-06-23\"", NULL, "-5877641-06-23");
	FIXED(DATE, I32, int32_t, INT32_MAX, "\"infinity\"", NULL, "infinity");
	FIXED(DATE, I32, int32_t, -INT32_MAX, "\"-infinity\"", NULL, "-infinity");
	TEXT(DATE, "0000-00-00", "\"0000-00-00\"", NULL, "0000-00-00");
}

NX_TEST(times)
{
	WHEN(TIME, S, 86399, "\"23:59:59\"", NULL, "23:59:59");
	WHEN(TIME, MS, 1, "\"00:00:00.001\"", NULL, "00:00:00.001");
	WHEN(TIME, US, 3600000000 + 500000, "\"01:00:00.5\"", NULL, "01:00:00.5");
	WHEN(TIME, NS, 1, "\"00:00:00.000000001\"", NULL, "00:00:00.000000001");
	WHEN(TIME, US, -(838LL * 3600 + 59 * 60 + 59) * 1000000, "\"-838:59:59\"", NULL,
	     "-838:59:59");
	WHEN(TIME, US, 86400000000, "\"24:00:00\"", NULL, "24:00:00");
	TEXT(TIME, "-838:59:59.000001", "\"-838:59:59.000001\"", NULL, "-838:59:59.000001");
	TEXT(TIMETZ, "12:00:00+05:30", "\"12:00:00+05:30\"", NULL, "12:00:00+05:30");
	WHEN(TIMESTAMP, S, 0, "\"1970-01-01T00:00:00\"", NULL, "1970-01-01T00:00:00");
	WHEN(TIMESTAMP, MS, -1, "\"1969-12-31T23:59:59.999\"", NULL, "1969-12-31T23:59:59.999");
	WHEN(TIMESTAMP, US, 951782400000000 + 120000, "\"2000-02-29T00:00:00.12\"", NULL,
	     "2000-02-29T00:00:00.12");
	WHEN(TIMESTAMP, NS, 123456789, "\"1970-01-01T00:00:00.123456789\"", NULL,
	     "1970-01-01T00:00:00.123456789");
	WHEN(TIMESTAMP, US, INT64_MAX, "\"infinity\"", NULL, "infinity");
	WHEN(TIMESTAMP, S, INT64_MIN, "\"-292277022657-01-27T08:29:52\"", NULL,
	     "-292277022657-01-27T08:29:52");
	WHEN(TIMESTAMPTZ, S, 1, "\"1970-01-01T00:00:01Z\"", NULL, "1970-01-01T00:00:01Z");
	WHEN(TIMESTAMPTZ, MS, 1, "\"1970-01-01T00:00:00.001Z\"", NULL, "1970-01-01T00:00:00.001Z");
	WHEN(TIMESTAMPTZ, US, 10, "\"1970-01-01T00:00:00.00001Z\"", NULL,
	     "1970-01-01T00:00:00.00001Z");
	WHEN(TIMESTAMPTZ, NS, 10, "\"1970-01-01T00:00:00.00000001Z\"", NULL,
	     "1970-01-01T00:00:00.00000001Z");
	WHEN(TIMESTAMPTZ, US, -INT64_MAX, "\"-infinity\"", NULL, "-infinity");
	TEXT(TIMESTAMP, "2020-01-01T00:00:00", "\"2020-01-01T00:00:00\"", NULL,
	     "2020-01-01T00:00:00");
	TEXT(TIMESTAMPTZ, "2020-01-01T00:00:00+02:00", "\"2020-01-01T00:00:00+02:00\"", NULL,
	     "2020-01-01T00:00:00+02:00");
}

#define SPAN(mo, d, us, ...) \
	FIXED(INTERVAL, MDU, struct nx_interval, ((struct nx_interval){ mo, d, us }), __VA_ARGS__)

NX_TEST(intervals)
{
	SPAN(14, 3, 14706700000, "\"P1Y2M3DT4H5M6.7S\"", NULL, "P1Y2M3DT4H5M6.7S");
	SPAN(0, 0, 0, "\"PT0S\"", NULL, "PT0S");
	SPAN(-14, 3, -14706700000, "\"P-1Y-2M3DT-4H-5M-6.7S\"", NULL, "P-1Y-2M3DT-4H-5M-6.7S");
	SPAN(0, 0, -500000, "\"PT-0.5S\"", NULL, "PT-0.5S");
	SPAN(1, 0, 0, "\"P1M\"", NULL, "P1M");
	SPAN(0, 1, 60000000, "\"P1DT1M\"", NULL, "P1DT1M");
	SPAN(INT32_MIN, INT32_MIN, INT64_MIN,
	     "\"P-178956970Y-8M-2147483648DT-2562047788H-54.775808S\"", NULL,
	     "P-178956970Y-8M-2147483648DT-2562047788H-54.775808S");
	TEXT(INTERVAL, "P1Y", "\"P1Y\"", NULL, "P1Y");
}

NX_TEST(strings)
{
	TEXT(STRING, "", "\"\"", NULL, "\"\"");
	TEXT(STRING, "plain", "\"plain\"", NULL, "plain");
	TEXT(STRING, "a\"b\\c", "\"a\\\"b\\\\c\"", NULL, "\"a\"\"b\\c\"");
	TEXT(STRING, "\x01\x1f\x7f\b\t\f", "\"\\u0001\\u001f\x7f\\b\\t\\f\"", NULL,
	     "\x01\x1f\x7f\b\t\f");
	TEXT(STRING, "line\r\nbreak", "\"line\\r\\nbreak\"", NULL, "\"line\r\nbreak\"");
	TEXT(STRING, "a,b", "\"a,b\"", NULL, "\"a,b\"");
	TEXT(STRING, "=1+1", "\"=1+1\"", NULL, "=1+1");
	TEXT(STRING, "数据网关 ✓ 😀 é", "\"数据网关 ✓ 😀 é\"", NULL, "数据网关 ✓ 😀 é");
	TEXT(STRING, "0123456789012345\"78901234567890123456789é",
	     "\"0123456789012345\\\"78901234567890123456789é\"", NULL,
	     "\"0123456789012345\"\"78901234567890123456789é\"");
	/* not UTF-8: overlong, surrogate, cut, stray, beyond U+10FFFF */
	TEXT(STRING, "\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\"", NULL, "\xef\xbf\xbd\xef\xbf\xbd");
	TEXT(STRING, "\xed\xa0\x80z", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"", NULL,
	     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
	TEXT(STRING, "a\xe4\xb8", "\"a\xef\xbf\xbd\xef\xbf\xbd\"", NULL,
	     "a\xef\xbf\xbd\xef\xbf\xbd");
	TEXT(STRING, "\xff,", "\"\xef\xbf\xbd,\"", NULL, "\"\xef\xbf\xbd,\"");
	TEXT(STRING, "\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"",
	     NULL, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	TEXT(UUID, "123e4567-e89b-12d3-a456-426614174000",
	     "\"123e4567-e89b-12d3-a456-426614174000\"", NULL,
	     "123e4567-e89b-12d3-a456-426614174000");
	TEXT(NULL, "odd", "\"odd\"", NULL, "odd");
}

NX_TEST(nul_bytes_in_strings)
{
	static const char s[] = "x\0y";
	int32_t offsets[2] = { 0, 3 };
	struct nx_column col = { .length = 1, .data = s, .offsets = offsets };
	struct nx_field f = { .type = NX_T_STRING, .layout = NX_L_TEXT };
	one(__LINE__, f, &col, json, "\"x\\u0000y\"");
	struct nx_buf out = encode(&f, 1, &col, 1, csv);
	NX_EQ_STR(NX_STR("x\0y\r\n"), nx_buf_str(&out));
	nx_buf_done(&out);
}

NX_TEST(binary)
{
	TEXT(BINARY, "", "\"\"", NULL, "\"\"");
	TEXT(BINARY, "f", "\"Zg==\"", NULL, "Zg==");
	TEXT(BINARY, "fo", "\"Zm8=\"", NULL, "Zm8=");
	TEXT(BINARY, "foo", "\"Zm9v\"", NULL, "Zm9v");
	TEXT(BINARY, "\xfb\xff\xfe\x00\x01", "\"+//+AAE=\"", NULL, "+//+AAE=");
}

NX_TEST(json_values)
{
	TEXT(JSON, "{\"a\": [1, 2.50, null]}", "{\"a\": [1, 2.50, null]}", NULL,
	     "\"{\"\"a\"\": [1, 2.50, null]}\"");
	TEXT(JSON, "{\n\t\"a\":\r\n1}", "{ \t\"a\":  1}", NULL, "\"{\n\t\"\"a\"\":\r\n1}\"");
	TEXT(JSON, "12345678901234567890", "12345678901234567890", NULL, "12345678901234567890");
	TEXT(JSON, "\"数\"", "\"数\"", NULL, "\"\"\"数\"\"\"");
	TEXT(LIST, "[1,2]", "[1,2]", NULL, "\"[1,2]\"");
	TEXT(STRUCT, "{}", "{}", NULL, "{}");
	TEXT(MAP, "[[1,2]]", "[[1,2]]", NULL, "\"[[1,2]]\"");
	/* not JSON: a string, so the document holds */
	TEXT(JSON, "", "\"\"", NULL, "\"\"");
	TEXT(JSON, "{", "\"{\"", NULL, "{");
	TEXT(JSON, "[1]]", "\"[1]]\"", NULL, "[1]]");
	TEXT(JSON, "1,2", "\"1,2\"", NULL, "\"1,2\"");
	TEXT(JSON, "{\"a\":\"\xff\"}", "\"{\\\"a\\\":\\\"\xef\xbf\xbd\\\"}\"", NULL,
	     "\"{\"\"a\"\":\"\"\xef\xbf\xbd\"\"}\"");
	TEXT(JSON, "{\"a\":\"x\ny\"}", "\"{\\\"a\\\":\\\"x\\ny\\\"}\"", NULL,
	     "\"{\"\"a\"\":\"\"x\ny\"\"}\"");
}

NX_TEST(json_checker)
{
	static const char *const good[] = { "null",
					    " true ",
					    "-0.5e+10",
					    "[[],{}]",
					    "\"\\u00e9\\n\"",
					    "{\"a\":{\"b\":[1,{\"c\":null}]},\"d\":0}",
					    "1E5",
					    "[ ]",
					    "{ }",
					    "\"abcdefgh\\\"ijklmnop\"",
					    "0" };
	static const char *const bad[] = { "nul",	  "01",	     "1.",	 ".5",
					   "+1",	  "-",	     "1e",	 "[1,]",
					   "[,1]",	  "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
					   "{a:1}",	  "'a'",     "\"a",	 "\"\\x\"",
					   "\"\\u12g4\"", "\"\\",    "[1}",	 "{\"a\":1]",
					   "]",		  "[1 2]",   "1 2",	 "",
					   " ",		  "NaN",     "\"a\tb\"", "tru",
					   "{\"a\" 1}",	  "{1:2}",   "\"\\u12",	 "[\"a\"" };
	char dst[256];
	for (size_t i = 0; i < NX_COUNTOF(good); i++)
		if (!nx_json_copy(dst, good[i], strlen(good[i])) ||
		    memcmp(dst, good[i], strlen(good[i])))
			nx_test_fail(__FILE__, __LINE__, "refused «%s»", good[i]);
	for (size_t i = 0; i < NX_COUNTOF(bad); i++)
		if (nx_json_copy(dst, bad[i], strlen(bad[i])))
			nx_test_fail(__FILE__, __LINE__, "accepted «%s»", bad[i]);
	static char deep[2048], copy[2048];
	memset(deep, '[', 512);
	memset(deep + 512, ']', 512);
	NX_CHECK(nx_json_copy(copy, deep, 1024));
	memset(deep, '[', 513);
	memset(deep + 513, ']', 513);
	NX_CHECK(!nx_json_copy(copy, deep, 1026));
}

/* --- nested, native --- */

NX_TEST(nested_native)
{
	static const struct nx_field entry[] = {
		{ .name = NX_STR_INIT("key"), .type = NX_T_STRING, .layout = NX_L_VIEW },
		{ .name = NX_STR_INIT("value"), .type = NX_T_INT32, .layout = NX_L_I32 },
	};
	static const struct nx_field entries = {
		.type = NX_T_STRUCT, .layout = NX_L_STRUCT, .nchildren = 2, .children = entry
	};
	struct nx_view keys[2] = { { .len = 1, .u.inl = "a" }, { .len = 1, .u.inl = "b" } };
	int32_t vals[2] = { 1, 2 }, two[2] = { 0, 2 };
	uint8_t valid = 1;
	struct nx_column members[2] = {
		{ .length = 2, .data = keys },
		{ .length = 2, .data = vals, .validity = &valid },
	};
	struct nx_column ents = { .length = 2, .children = members };
	struct nx_column col = { .length = 1, .offsets = two, .children = &ents };
	struct nx_field f = {
		.type = NX_T_MAP, .layout = NX_L_LIST, .nchildren = 1, .children = &entries
	};
	all(__LINE__, f, &col, "{\"a\":1,\"b\":null}", NULL, "\"{\"\"a\"\":1,\"\"b\"\":null}\"");
	f.type = NX_T_LIST;
	all(__LINE__, f, &col, "[{\"key\":\"a\",\"value\":1},{\"key\":\"b\",\"value\":null}]", NULL,
	    "\"[{\"\"key\"\":\"\"a\"\",\"\"value\"\":1},{\"\"key\"\":\"\"b\"\",\"\"value\"\":null}]"
	    "\"");
	static const struct nx_field ientry[] = {
		{ .name = NX_STR_INIT("key"), .type = NX_T_INT32, .layout = NX_L_I32 },
		{ .name = NX_STR_INIT("value"), .type = NX_T_INT64, .layout = NX_L_I64 },
	};
	static const struct nx_field ientries = {
		.type = NX_T_STRUCT, .layout = NX_L_STRUCT, .nchildren = 2, .children = ientry
	};
	int64_t big[2] = { 1, INT64_MAX };
	members[0] = (struct nx_column){ .length = 2, .data = vals };
	members[1] = (struct nx_column){ .length = 2, .data = big };
	f = (struct nx_field){
		.type = NX_T_MAP, .layout = NX_L_LIST, .nchildren = 1, .children = &ientries
	};
	all(__LINE__, f, &col, "[[1,1],[2,\"9223372036854775807\"]]",
	    "[[1,1],[2,9223372036854775807]]", "\"[[1,1],[2,9223372036854775807]]\"");
	int32_t none[2] = { 1, 1 };
	col.offsets = none;
	all(__LINE__, f, &col, "[]", NULL, "[]");
	f = ientries;
	all(__LINE__, f, &ents, "{\"key\":1,\"value\":1}", NULL,
	    "\"{\"\"key\"\":1,\"\"value\"\":1}\"");
}

/* --- documents --- */

static const struct nx_field ab[] = {
	{ .name = NX_STR_INIT("a"),
	  .type = NX_T_INT32,
	  .layout = NX_L_I32,
	  .native = NX_STR_INIT("int4") },
	{ .name = NX_STR_INIT("a"), .type = NX_T_STRING, .layout = NX_L_TEXT, .nullable = -1 },
	{ .name = NX_STR_INIT(""), .type = NX_T_BOOL, .layout = NX_L_BITS, .nullable = 1 },
	{ .name = NX_STR_INIT("@end"), .type = NX_T_NULL, .layout = NX_L_NONE },
};
static const int32_t ints[3] = { 1, 2, 3 }, offs[4] = { 0, 1, 1, 4 };
static const uint8_t bits = 5, odd = 5, zero = 0;
static const struct nx_column abcols[] = {
	{ .length = 3, .data = ints },
	{ .length = 3, .data = "xyzw", .offsets = offs, .validity = &odd },
	{ .length = 3, .data = &bits },
	{ .length = 3, .validity = &zero },
};
static const struct nx_schema abschema = { 4, ab };
static const struct nx_batch abbatch = { 3, 4, abcols };

static void document(struct nx_encoding how, const struct nx_error *error, struct nx_buf *out)
{
	struct nx_error err;
	struct nx_encoder *e = nx_encoder_new(&abschema, &how);
	nx_buf_init(out, MAX_OUT);
	NX_EQ_I(NX_OK, nx_encoder_head(e, out, &err));
	NX_EQ_I(NX_OK, nx_encoder_rows(e, &abbatch, 0, 1, out, &err));
	NX_EQ_I(NX_OK, nx_encoder_rows(e, &abbatch, 1, 1, out, &err));
	NX_EQ_I(NX_OK, nx_encoder_rows(e, &abbatch, 1, 3, out, &err));
	struct nx_result_meta m = {
		.row_count = 3,
		.elapsed_ms = 7,
		.source_id = NX_STR("s"),
		.source_type = NX_STR("fake"),
		.query_id = NX_STR("q"),
		.has_more = true,
		.next_uri = NX_STR("/n"),
		.correlation_id = NX_STR("c"),
		.timestamp = NX_STR("t"),
		.error = error,
	};
	NX_EQ_I(NX_OK, nx_encoder_tail(e, &m, out, &err));
	nx_encoder_free(e);
}

#define META                                                                              \
	"{\"rowCount\":3,\"executionTimeMs\":7,\"queryId\":\"q\",\"dataSourceId\":\"s\"," \
	"\"databaseType\":\"fake\",\"hasMore\":true,\"truncated\":false}"
#define COLUMNS                                                                            \
	"[{\"name\":\"a\",\"type\":\"int32\",\"nativeType\":\"int4\",\"nullable\":false}," \
	"{\"name\":\"a\",\"type\":\"string\",\"nativeType\":\"\",\"nullable\":null},"      \
	"{\"name\":\"\",\"type\":\"boolean\",\"nativeType\":\"\",\"nullable\":true},"      \
	"{\"name\":\"@end\",\"type\":\"null\",\"nativeType\":\"\",\"nullable\":false}]"

NX_TEST(whole_documents)
{
	struct nx_buf out;
	document(json, NULL, &out);
	NX_EQ_STR(NX_STR("{\"data\":{\"columns\":" COLUMNS
			 ",\"rows\":[\n[1,\"x\",true,null],\n[2,null,false,null],\n[3,\"yzw\",true,"
			 "null]],\n"
			 "\"metadata\":" META ",\"nextUri\":\"/"
			 "n\"},\"success\":true,\"correlationId\":\"c\",\"timestamp\":\"t\"}\n"),
		  nx_buf_str(&out));
	nx_buf_done(&out);
	document(ndjson, NULL, &out);
	NX_EQ_STR(NX_STR("{\"a\":1,\"a_2\":\"x\",\"column_3\":true,\"@end_2\":null}\n"
			 "{\"a\":2,\"a_2\":null,\"column_3\":false,\"@end_2\":null}\n"
			 "{\"a\":3,\"a_2\":\"yzw\",\"column_3\":true,\"@end_2\":null}\n"
			 "{\"@end\":{\"metadata\":" META
			 ",\"nextUri\":\"/n\",\"correlationId\":\"c\",\"timestamp\":\"t\"}}\n"),
		  nx_buf_str(&out));
	nx_buf_done(&out);
	document((struct nx_encoding){ .format = NX_FORMAT_NDJSON }, NULL, &out);
	NX_EQ_STR(NX_STR("[1,\"x\",true,null]\n[2,null,false,null]\n[3,\"yzw\",true,null]\n"),
		  nx_strn(out.data, 58));
	nx_buf_done(&out);
	document(csv, NULL, &out);
	NX_EQ_STR(NX_STR("a,a,\"\",@end\r\n1,x,true,\r\n2,,false,\r\n3,yzw,true,\r\n"),
		  nx_buf_str(&out));
	nx_buf_done(&out);
}

NX_TEST(failed_documents)
{
	struct nx_error e;
	nx_fail(&e, NX_E_SQL_ERROR, "bad \"sql\"");
	nx_error_at(&e, 5, "FORM", 4);
	nx_error_native(&e, 1064, "42601");
#define ERR                                                                                 \
	"\"code\":\"SQL_ERROR\",\"message\":\"bad "                                         \
	"\\\"sql\\\"\",\"details\":{\"sqlstate\":\"42601\",\"native\":1064,\"position\":5," \
	"\"token\":\"FORM\"}"
	struct nx_buf out;
	document(json, &e, &out);
	NX_CHECK(nx_str_ends(
		nx_buf_str(&out),
		NX_STR("},\"error\":{" ERR
		       "},\"success\":false,\"correlationId\":\"c\",\"timestamp\":\"t\"}\n")));
	nx_buf_done(&out);
	document(ndjson, &e, &out);
	NX_CHECK(nx_str_ends(
		nx_buf_str(&out),
		NX_STR("{\"@error\":{" ERR ",\"metadata\":" META
		       ",\"nextUri\":\"/n\",\"correlationId\":\"c\",\"timestamp\":\"t\"}}\n")));
	nx_buf_done(&out);
}

NX_TEST(rows_made_elsewhere)
{
	struct nx_buf whole, worker, out;
	struct nx_error err;
	struct nx_result_meta m = { 0 };
	document(json, NULL, &whole);
	/* a worker's encoder without head, shipped in one and in two pieces */
	for (int split = 0; split < 2; split++) {
		struct nx_encoder *w = nx_encoder_new(&abschema, &json);
		struct nx_encoder *e = nx_encoder_new(&abschema, &json);
		nx_buf_init(&worker, MAX_OUT);
		nx_buf_init(&out, MAX_OUT);
		NX_EQ_I(NX_OK, nx_encoder_head(e, &out, &err));
		for (uint32_t i = 0; i < 3; i++) {
			NX_EQ_I(NX_OK, nx_encoder_rows(w, &abbatch, i, i + 1, &worker, &err));
			if (split || i == 2) {
				nx_encoder_raw(e, nx_buf_str(&worker), &out);
				nx_buf_clear(&worker);
			}
		}
		NX_EQ_STR(nx_strn(whole.data, out.len), nx_buf_str(&out));
		NX_EQ_I(NX_OK, nx_encoder_tail(e, &m, &out, &err));
		nx_encoder_free(e);
		nx_encoder_free(w);
		nx_buf_done(&worker);
		nx_buf_done(&out);
	}
	nx_buf_done(&whole);
}

NX_TEST(no_columns)
{
	struct nx_buf out = encode(NULL, 0, NULL, 2, json);
	NX_EQ_STR(NX_STR("[],\n[]"), nx_buf_str(&out));
	nx_buf_done(&out);
	out = encode(NULL, 0, NULL, 2, ndjson);
	NX_EQ_STR(NX_STR("{}\n{}\n"), nx_buf_str(&out));
	nx_buf_done(&out);
}

NX_TEST(small_output_buffer_fails_cleanly)
{
	static char big[100000];
	memset(big, '\x01', sizeof(big));
	int32_t offsets[2] = { 0, sizeof(big) };
	struct nx_column col = { .length = 1, .data = big, .offsets = offsets };
	struct nx_field f = { .type = NX_T_STRING, .layout = NX_L_TEXT };
	struct nx_schema schema = { 1, &f };
	struct nx_batch b = { 1, 1, &col };
	struct nx_error err;
	for (int t = 0; t < 4; t++) {
		f.type = t == 0	  ? NX_T_STRING
			 : t == 1 ? NX_T_BINARY
			 : t == 2 ? NX_T_JSON
				  : NX_T_INT64;
		for (int k = 0; k < 2; k++) {
			struct nx_encoder *e = nx_encoder_new(&schema, k ? &csv : &json);
			struct nx_buf out;
			nx_buf_init(&out, 20000);
			NX_EQ_I(NX_OK, nx_encoder_head(e, &out, &err));
			size_t before = out.len;
			NX_EQ_I(NX_E_RESULT_TOO_LARGE, nx_encoder_rows(e, &b, 0, 1, &out, &err));
			NX_EQ_I(before, out.len);
			struct nx_result_meta m = { .error = &err };
			NX_EQ_I(NX_OK, nx_encoder_tail(e, &m, &out, &err));
			nx_buf_done(&out);
			nx_encoder_free(e);
		}
	}
}

/* --- for all values --- */

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Undoes JSON string escapes; false: not a string as RFC 8259 has it. */
static bool unescape(const char *s, size_t n, char *dst, size_t *len)
{
	size_t k = 0;
	if (n < 2 || s[0] != '"' || s[n - 1] != '"')
		return false;
	for (size_t i = 1; i < n - 1; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c < 0x20 || c == '"')
			return false;
		if (c != '\\') {
			dst[k++] = (char)c;
			continue;
		}
		const char *from = "\"\\/bfnrt", *to = "\"\\/\b\f\n\r\t",
			   *at = strchr(from, s[++i]);
		if (at) {
			dst[k++] = to[at - from];
		} else {
			unsigned v;
			if (s[i] != 'u' || sscanf(s + i + 1, "%4x", &v) != 1 || v >= 0x20)
				return false;
			dst[k++] = (char)v;
			i += 4;
		}
	}
	*len = k;
	return true;
}

/* Any bytes: the escaped string is valid, and reads back as the input with each bad byte replaced. */
NX_TEST(string_escape_round_trip)
{
	static const char *const bits8[] = {
		"\"",	"\\",	    "\n",	    "é", "数",	 "😀",
		"\xff", "\xe4\xb8", "\xed\xa0\x80", "a", "\x7f", "\x1f"
	};
	for (int round = 0; round < 200000; round++) {
		char in[80], want[240], got[240], esc[600];
		size_t n = 0, w = 0, g = 0, target = rnd() % 60;
		while (n < target) {
			if (rnd() % 3) {
				in[n++] = (char)('a' + rnd() % 26);
				continue;
			}
			const char *piece = bits8[rnd() % NX_COUNTOF(bits8)];
			memcpy(in + n, piece, strlen(piece));
			n += strlen(piece);
		}
		char *exact = malloc(n ? n : 1); /* so that reading past the end is seen */
		memcpy(exact, in, n);
		for (size_t i = 0; i < n;) {
			size_t ok = nx_utf8_check(nx_strn(in + i, n - i));
			memcpy(want + w, in + i, ok);
			w += ok;
			i += ok;
			if (i < n) {
				memcpy(want + w, "\xef\xbf\xbd", 3);
				w += 3;
				i++;
			}
		}
		esc[0] = '"';
		char *end = nx_put_json_inner(esc + 1, exact, n);
		*end++ = '"';
		NX_CHECK(unescape(esc, (size_t)(end - esc), got, &g));
		NX_EQ_STR(nx_strn(want, w), nx_strn(got, g));
		char copy[600];
		NX_CHECK(nx_json_copy(copy, esc, (size_t)(end - esc)));
		free(exact);
	}
}

NX_TEST(long_strings_in_pieces)
{
	for (int shift = 0; shift < 4; shift++) {
		size_t n = 100000;
		char *s = malloc(n);
		memset(s, 'x', (size_t)shift);
		for (size_t i = (size_t)shift; i + 3 <= n; i += 3)
			memcpy(s + i, "数", 3);
		n -= (n - (size_t)shift) % 3;
		int32_t offsets[2] = { 0, (int32_t)n };
		struct nx_column col = { .length = 1, .data = s, .offsets = offsets };
		struct nx_field f = { .type = NX_T_STRING, .layout = NX_L_TEXT };
		struct nx_buf out = encode(&f, 1, &col, 1, json);
		NX_EQ_I(n + 4, out.len);
		NX_CHECK(memcmp(out.data + 2, s, n) == 0);
		nx_buf_done(&out);
		s[0] = ',';
		out = encode(&f, 1, &col, 1, csv);
		NX_CHECK(out.len ==
			 n + 4 + (shift == 0 ? 4 : 0)); /* shift 0: two bytes left of 数 */
		nx_buf_done(&out);
		free(s);
	}
}

NX_TEST(doubles_read_back)
{
	for (int round = 0; round < 300000; round++) {
		char s[64];
		double v, w;
		switch (round % 4) {
		case 0: {
			uint64_t u = rnd();
			memcpy(&v, &u, 8);
			break;
		}
		case 1:
			v = (double)(int64_t)rnd() / 1000;
			break;
		case 2:
			v = (double)(rnd() % 100000000) / (double)nx_pow10[rnd() % 8];
			break;
		default:
			v = (double)(rnd() % 10000) * pow(10, (double)(rnd() % 40) - 20);
			break;
		}
		if (!isfinite(v))
			continue;
		char *end = nx_put_f64(s, v);
		*end = '\0';
		NX_CHECK(strtod(s, NULL) == v);
		NX_CHECK(nx_read_f64(s, (size_t)(end - s), &w) && w == v);
		NX_CHECK(nx_json_is_number(s, (size_t)(end - s)));
		/* nothing shorter reads back: one digit less never does */
		char t[64];
		int digits = 0;
		for (const char *p = s; *p && *p != 'e'; p++)
			digits += *p >= '0' && *p <= '9' && (digits || *p != '0');
		const char *p = end;
		if (!strchr(s, 'e') && !strchr(s, '.'))
			while (p > s && p[-1] == '0' && digits) {
				digits--;
				p--;
			}
		if (digits > 1) {
			snprintf(t, sizeof(t), "%.*e", digits - 2, v);
			if (strtod(t, NULL) == v)
				nx_test_fail(__FILE__, __LINE__, "%s is longer than %s", s, t);
		}
		float fv = (float)v;
		if (!isfinite(fv))
			continue;
		end = nx_put_f32(s, fv);
		*end = '\0';
		NX_CHECK(strtof(s, NULL) == fv);
	}
}

NX_TEST(integers_as_printf)
{
	for (int round = 0; round < 300000; round++) {
		char a[64], b[64];
		uint64_t v = rnd() >> (rnd() % 64);
		if (round < 40)
			v = nx_pow10[round / 2] - (unsigned)(round & 1);
		*nx_put_u64(a, v) = '\0';
		snprintf(b, sizeof(b), "%llu", (unsigned long long)v);
		NX_EQ_S(b, nx_str(a).ptr);
		*nx_put_i64(a, (int64_t)v) = '\0';
		snprintf(b, sizeof(b), "%lld", (long long)v);
		NX_EQ_S(b, nx_str(a).ptr);
	}
}

NX_TEST(days_as_gmtime)
{
	for (int64_t d = -800000; d < 3000000; d += 1 + (int64_t)(rnd() % 20)) {
		time_t t = (time_t)d * 86400;
		struct tm tm;
		char a[64], b[64];
		NX_CHECK(gmtime_r(&t, &tm));
		*nx_put_days(a, d) = '\0';
		int y = tm.tm_year + 1900;
		snprintf(b, sizeof(b),
			 y > 9999 ? "+%d-%02d-%02d"
			 : y < 0  ? "%05d-%02d-%02d"
				  : "%04d-%02d-%02d",
			 y, tm.tm_mon + 1, tm.tm_mday);
		NX_EQ_S(b, nx_str(a).ptr);
	}
}

static size_t put_bool(char *p, bool v)
{
	memcpy(p, v ? "true" : "false", v ? 4 : 5);
	return v ? 4 : 5;
}

/* Layout TEXT in canonical form gives the same bytes as the native layout, in every format. */
NX_TEST(text_and_native_agree)
{
	enum { ROWS = 500 };
	static const struct nx_field native[] = {
		{ .name = NX_STR_INIT("a"), .type = NX_T_INT64, .layout = NX_L_I64 },
		{ .name = NX_STR_INIT("b"), .type = NX_T_INT32, .layout = NX_L_I32 },
		{ .name = NX_STR_INIT("c"), .type = NX_T_FLOAT64, .layout = NX_L_F64 },
		{ .name = NX_STR_INIT("d"), .type = NX_T_DECIMAL, .layout = NX_L_I64, .scale = 4 },
		{ .name = NX_STR_INIT("e"), .type = NX_T_DATE, .layout = NX_L_I32 },
		{ .name = NX_STR_INIT("f"),
		  .type = NX_T_TIMESTAMPTZ,
		  .layout = NX_L_I64,
		  .unit = NX_UNIT_US },
		{ .name = NX_STR_INIT("g"),
		  .type = NX_T_TIME,
		  .layout = NX_L_I64,
		  .unit = NX_UNIT_US },
		{ .name = NX_STR_INIT("h"), .type = NX_T_BOOL, .layout = NX_L_BITS },
		{ .name = NX_STR_INIT("i"), .type = NX_T_UINT64, .layout = NX_L_U64 },
		{ .name = NX_STR_INIT("j"), .type = NX_T_INTERVAL, .layout = NX_L_MDU },
	};
	enum { N = NX_COUNTOF(native) };
	static int64_t a[ROWS], d[ROWS], f[ROWS], g[ROWS];
	static int32_t b[ROWS], e[ROWS];
	static double c[ROWS];
	static uint8_t h[ROWS / 8 + 1];
	static uint64_t i64[ROWS];
	static struct nx_interval j[ROWS];
	for (int i = 0; i < ROWS; i++) {
		a[i] = (int64_t)rnd() >> (rnd() % 60);
		b[i] = (int32_t)rnd();
		c[i] = (double)(int64_t)rnd() / (double)nx_pow10[rnd() % 19];
		d[i] = (int64_t)rnd() >> (rnd() % 60);
		e[i] = (int32_t)(rnd() % 100000) - 50000;
		f[i] = (int64_t)rnd() >> 8;
		g[i] = (int64_t)(rnd() % 86400000000);
		i64[i] = rnd() >> (rnd() % 60);
		h[i / 8] = (uint8_t)rnd();
		j[i] = (struct nx_interval){ (int32_t)(rnd() % 100) - 50,
					     (int32_t)(rnd() % 100) - 50, (int64_t)rnd() >> 20 };
	}
	const struct nx_column cols[N] = {
		{ ROWS, NULL, a, NULL, NULL },	 { ROWS, NULL, b, NULL, NULL },
		{ ROWS, NULL, c, NULL, NULL },	 { ROWS, NULL, d, NULL, NULL },
		{ ROWS, NULL, e, NULL, NULL },	 { ROWS, NULL, f, NULL, NULL },
		{ ROWS, NULL, g, NULL, NULL },	 { ROWS, NULL, h, NULL, NULL },
		{ ROWS, NULL, i64, NULL, NULL }, { ROWS, NULL, j, NULL, NULL },
	};
	struct nx_field text[N];
	struct nx_column tcols[N];
	static int32_t offsets[N][ROWS + 1];
	static char data[N][ROWS * 64];
	for (int k = 0; k < N; k++) {
		text[k] = native[k];
		text[k].layout = NX_L_TEXT;
		for (int i = 0; i < ROWS; i++) {
			char *at = data[k] + offsets[k][i], *end = at;
			switch (k) {
			case 0:
				end = nx_put_i64(at, a[i]);
				break;
			case 1:
				end = nx_put_i64(at, b[i]);
				break;
			case 2:
				end = nx_put_f64(at, c[i]);
				break;
			case 3:
				end = nx_put_decimal64(at, d[i], 4);
				break;
			case 4:
				end = nx_put_date(at, e[i]);
				break;
			case 5:
				end = nx_put_timestamptz(at, f[i], NX_UNIT_US);
				break;
			case 6:
				end = nx_put_time(at, g[i], NX_UNIT_US);
				break;
			case 7:
				end = at + put_bool(at, h[i / 8] >> (i & 7) & 1);
				break;
			case 8:
				end = nx_put_u64(at, i64[i]);
				break;
			default:
				end = nx_put_interval(at, j[i]);
				break;
			}
			offsets[k][i + 1] = (int32_t)(end - data[k]);
		}
		tcols[k] = (struct nx_column){ ROWS, NULL, data[k], offsets[k], NULL };
	}
	const struct nx_encoding hows[] = { json, json_exact, ndjson, csv };
	for (size_t k = 0; k < NX_COUNTOF(hows); k++) {
		struct nx_buf x = encode(native, N, cols, ROWS, hows[k]);
		struct nx_buf y = encode(text, N, tcols, ROWS, hows[k]);
		NX_EQ_STR(nx_buf_str(&x), nx_buf_str(&y));
		nx_buf_done(&x);
		nx_buf_done(&y);
	}
}

NX_TEST(formats_by_name)
{
	enum nx_format f;
	NX_CHECK(nx_format_by_name(NX_STR("CSV"), &f) && f == NX_FORMAT_CSV);
	NX_CHECK(nx_format_by_name(NX_STR("arrow"), &f) && f == NX_FORMAT_ARROW);
	NX_CHECK(!nx_format_by_name(NX_STR("xml"), &f));
}

/* A text column of one value in the agent format. */
static struct nx_str agent_cell(enum nx_type type, const char *text, size_t n)
{
	int32_t offsets[2] = { 0, (int32_t)n };
	struct nx_field f = { .name = NX_STR("v"), .type = type, .layout = NX_L_TEXT };
	struct nx_column c = { .length = 1, .data = text, .offsets = offsets };
	static struct nx_buf out;
	nx_buf_done(&out);
	out = encode(&f, 1, &c, 1, agent);
	return nx_buf_str(&out);
}

NX_TEST(agent_cells_are_cut_and_stay_json)
{
	static char text[5000];
	memset(text, 'x', sizeof(text));
	NX_EQ_STR(NX_STR("[\"xxx\"]"), agent_cell(NX_T_STRING, text, 3));
	struct nx_str s = agent_cell(NX_T_STRING, text, sizeof(text));
	NX_CHECK(s.len < NX_AGENT_CELL + 40);
	NX_CHECK(nx_str_ends(s, NX_STR("...(+4501 bytes)\"]")));
	/* never within a character or an escape */
	for (size_t shift = 0; shift < 8; shift++) {
		for (size_t i = shift; i + 3 <= sizeof(text); i += 3)
			memcpy(text + i, i % 2 ? "\xe2\x82\xac" : "\"\\\n", 3);
		s = agent_cell(NX_T_STRING, text, sizeof(text));
		struct nx_arena *a = nx_arena_new(0);
		const struct nx_json *v;
		NX_EQ_I(NX_OK, nx_json_parse(s, a, &v, NULL));
		NX_EQ_I(NX_JSON_STRING, v->first->kind);
		nx_arena_free(a);
	}
}

NX_TEST(agent_cuts_nested_values_to_strings)
{
	static char text[3000];
	memset(text, '1', sizeof(text));
	text[0] = '[';
	text[1] = '"';
	text[sizeof(text) - 2] = '"';
	text[sizeof(text) - 1] = ']';
	struct nx_str s = agent_cell(NX_T_JSON, text, sizeof(text));
	NX_CHECK(nx_str_starts(s, NX_STR("[\"[\\\"111")));
	NX_CHECK(nx_str_ends(s, NX_STR(" bytes)\"]")));
	NX_EQ_STR(NX_STR("[[1]]"), agent_cell(NX_T_JSON, "[1]", 3));
}
