/* What needs no server: geometry, row values, grants, error numbers. */
#include "harness.h"

#define BYTES(s) (const unsigned char *)(s), sizeof(s) - 1

static const char *wkt(const unsigned char *p, size_t len)
{
	static struct nx_buf b;
	nx_buf_done(&b);
	nx_buf_init(&b, 4096);
	if (!my_wkt(p, len, &b))
		return "no";
	nx_buf_putc(&b, '\0');
	return b.data;
}

#define ONE_LE "\0\0\0\0\0\0\xf0\x3f"
#define ONE_BE "\x3f\xf0\0\0\0\0\0\0"

NX_TEST(geometry_bytes)
{
	NX_EQ_S("POINT(1 1)", wkt(BYTES("\0\0\0\0\1\1\0\0\0" ONE_LE ONE_LE)));
	NX_EQ_S("POINT(1 1)", wkt(BYTES("\0\0\0\0\0\0\0\0\1" ONE_BE ONE_BE)));
	NX_EQ_S("SRID=4326;POINT(1 1)", wkt(BYTES("\xe6\x10\0\0\1\1\0\0\0" ONE_LE ONE_LE)));
	/* a collection of another byte order within */
	NX_EQ_S("GEOMETRYCOLLECTION(POINT(1 1),POINT(1 1))",
		wkt(BYTES("\0\0\0\0\1\7\0\0\0\2\0\0\0"
			  "\0\0\0\0\1" ONE_BE ONE_BE "\1\1\0\0\0" ONE_LE ONE_LE)));
	/* cut, too long, unknown, not a number, counts beyond the end, the wrong member */
	NX_EQ_S("no", wkt(BYTES("")));
	NX_EQ_S("no", wkt(BYTES("\0\0\0\0\1\1\0\0\0" ONE_LE "\0\0\0")));
	NX_EQ_S("no", wkt(BYTES("\0\0\0\0\1\1\0\0\0" ONE_LE ONE_LE "x")));
	NX_EQ_S("no", wkt(BYTES("\0\0\0\0\1\x09\0\0\0" ONE_LE ONE_LE)));
	NX_EQ_S("no", wkt(BYTES("\0\0\0\0\2\1\0\0\0" ONE_LE ONE_LE)));
	NX_EQ_S("no", wkt(BYTES("\0\0\0\0\1\1\0\0\0" ONE_LE "\0\0\0\0\0\0\xf0\x7f")));
	NX_EQ_S("no", wkt(BYTES("\0\0\0\0\1\2\0\0\0\xff\xff\xff\xff" ONE_LE ONE_LE)));
	NX_EQ_S("no", wkt(BYTES("\0\0\0\0\1\4\0\0\0\1\0\0\0\1\2\0\0\0\0\0\0\0")));
}

NX_TEST(geometry_depth_is_bounded)
{
	unsigned char deep[4 + 9 * 100000] = { 0 };
	for (size_t i = 4; i + 9 <= sizeof(deep); i += 9)
		memcpy(deep + i, "\1\7\0\0\0\1\0\0\0", 9);
	NX_EQ_S("no", wkt(deep, sizeof(deep)));
}

static bool decodes(enum nx_type type, enum nx_layout layout, enum my_wire wire,
		    const unsigned char *p, size_t len, const char *want)
{
	struct nx_field f = { .type = type, .layout = layout };
	struct nx_schema schema = { 1, &f };
	struct nx_builder *b = nx_builder_new(&schema, 1, 1000);
	struct nx_batch batch;
	const unsigned char *at = p;
	bool ok = my_decode(b, 0, wire, &at, p + len);
	NX_EQ_I(NX_OK, nx_builder_row_end(b, NULL));
	nx_builder_batch(b, &batch);
	if (ok) {
		NX_CHECK(at == p + len);
		NX_EQ_STR(nx_str(want), nx_column_text(&batch.cols[0], 0));
	}
	nx_builder_free(b);
	return ok;
}

#define TEXT(wire, bytes, want) decodes(NX_T_STRING, NX_L_TEXT, wire, BYTES(bytes), want)

NX_TEST(values)
{
	NX_CHECK(TEXT(MY_BYTES, "\3abc", "abc"));
	NX_CHECK(TEXT(MY_BYTES, "\xfc\1\0a", "a"));
	NX_CHECK(TEXT(MY_BYTES, "\xfd\1\0\0a", "a"));
	NX_CHECK(TEXT(MY_BYTES, "\xfe\1\0\0\0\0\0\0\0a", "a"));
	NX_CHECK(TEXT(MY_DATE, "\0", "0000-00-00"));
	NX_CHECK(TEXT(MY_TIMESTAMP, "\4\xe8\7\1\2", "2024-01-02T00:00:00"));
	NX_CHECK(TEXT(MY_TIMESTAMPTZ, "\7\xe8\7\1\2\3\4\5", "2024-01-02T03:04:05Z"));
	NX_CHECK(TEXT(MY_TIME, "\x0c\1\1\0\0\0\2\3\4\1\0\0\0", "-26:03:04.000001"));
	NX_CHECK(TEXT(MY_DECIMAL,
		      "\6"
		      "000.50",
		      "0.50"));
	/* lies about lengths, impossible values */
	NX_CHECK(!TEXT(MY_BYTES, "", ""));
	NX_CHECK(!TEXT(MY_BYTES, "\4abc", ""));
	NX_CHECK(!TEXT(MY_BYTES, "\xfb", ""));
	NX_CHECK(!TEXT(MY_BYTES, "\xff", ""));
	NX_CHECK(!TEXT(MY_BYTES, "\xfc\1", ""));
	NX_CHECK(!TEXT(MY_BYTES, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff", ""));
	NX_CHECK(!TEXT(MY_DATE, "\3\1\1\1", ""));
	NX_CHECK(!TEXT(MY_DATE, "\4\xff\xff\1\1", ""));
	NX_CHECK(!TEXT(MY_TIMESTAMP, "\7\xe8\7\1\2\xff\1\1", ""));
	NX_CHECK(!TEXT(MY_TIME, "\x08\0\xff\xff\xff\xff\1\1\1", ""));
	NX_CHECK(!decodes(NX_T_INT64, NX_L_I64, MY_I64, BYTES("1234567"), NULL));
	NX_CHECK(!decodes(NX_T_UINT64, NX_L_U64, MY_BIT,
			  BYTES("\x09"
				"123456789"),
			  NULL));
}

static const char *grants(const char *line)
{
	static char text[8];
	struct nx_grants g = { 0 };
	my_grant_line(nx_str(line), &g);
	snprintf(text, sizeof(text), "%s%s%s", g.superuser ? "s" : "", g.can_write ? "w" : "",
		 g.can_files ? "f" : "");
	return text;
}

NX_TEST(grant_lines)
{
	NX_EQ_S("", grants("GRANT USAGE ON *.* TO `u`@`%`"));
	NX_EQ_S("", grants("GRANT SELECT ON `nx`.* TO `u`@`%`"));
	NX_EQ_S("", grants("GRANT SELECT, SHOW VIEW, EXECUTE ON *.* TO `u`@`%`"));
	NX_EQ_S("w", grants("GRANT SELECT, INSERT ON `nx`.* TO `u`@`%`"));
	NX_EQ_S("w", grants("GRANT SELECT (`a`, `b`), UPDATE (`c`) ON `nx`.`t` TO `u`@`%`"));
	NX_EQ_S("swf", grants("GRANT ALL PRIVILEGES ON *.* TO `u`@`%` WITH GRANT OPTION"));
	NX_EQ_S("w", grants("GRANT ALL PRIVILEGES ON `nx`.* TO `u`@`%` WITH GRANT OPTION"));
	NX_EQ_S("f", grants("GRANT SELECT, FILE ON *.* TO `u`@`%`"));
	NX_EQ_S("s", grants("GRANT SUPER ON *.* TO `u`@`%`"));
	NX_EQ_S("", grants("GRANT `writer` TO `u`@`%`"));
	NX_EQ_S("", grants("GRANT SELECT ON ` ON *`.* TO `u`@`%`"));
	NX_EQ_S("", grants("GRANT SELECT (` ON *.* `, `INSERT`) ON `nx`.`t` TO `u`@`%`"));
	NX_EQ_S("w", grants("GRANT SELECT (`a``, `), DELETE ON `nx`.`t` TO `u`@`%`"));
	NX_EQ_S("", grants("GRANT"));
	NX_EQ_S("", grants("GRANT SELECT (`a"));
	NX_EQ_S("", grants("SET DEFAULT ROLE x FOR u"));
}

static enum nx_code code_of(unsigned number, const char *sqlstate, enum my_stage stage)
{
	struct nx_error err;
	struct nx_query q = { .sql = NX_STR("SELECT 1"), .nparams = 1 };
	enum nx_code code = my_fail(&err, number, sqlstate, "secret text of user@host", stage, &q);
	NX_EQ_I(number, err.native);
	NX_EQ_I(code, err.code);
	bool shown = strstr(err.message, "secret") != NULL;
	NX_CHECK(!shown || (stage != MY_AT_CONNECT &&
			    (code == NX_E_SQL_PARSE || code == NX_E_UNDEFINED_OBJECT ||
			     code == NX_E_RO_SERVER || code == NX_E_SQL_ERROR)));
	return code;
}

NX_TEST(error_numbers)
{
	static const struct {
		unsigned n;
		const char *state;
		enum my_stage at;
		enum nx_code want;
	} t[] = {
		{ 1064, "42000", MY_AT_PREPARE, NX_E_SQL_PARSE },
		{ 1146, "42S02", MY_AT_PREPARE, NX_E_UNDEFINED_OBJECT },
		{ 1049, "42000", MY_AT_CONNECT, NX_E_SOURCE_AUTH },
		{ 1045, "28000", MY_AT_CONNECT, NX_E_SOURCE_AUTH },
		{ 1044, "42000", MY_AT_EXECUTE, NX_E_SOURCE_PERMISSION },
		{ 1142, "42000", MY_AT_PREPARE, NX_E_SOURCE_PERMISSION },
		{ 1792, "25006", MY_AT_EXECUTE, NX_E_RO_SERVER },
		{ 1317, "70100", MY_AT_EXECUTE, NX_E_QUERY_CANCELED },
		{ 3024, "HY000", MY_AT_EXECUTE, NX_E_QUERY_TIMEOUT },
		{ 1969, "70100", MY_AT_EXECUTE, NX_E_QUERY_TIMEOUT },
		{ 1040, "08004", MY_AT_CONNECT, NX_E_SOURCE_BUSY },
		{ 1226, "42000", MY_AT_CONNECT, NX_E_SOURCE_BUSY },
		{ 2002, "HY000", MY_AT_CONNECT, NX_E_SOURCE_DOWN },
		{ 2005, "HY000", MY_AT_CONNECT, NX_E_SOURCE_DOWN },
		{ 2013, "HY000", MY_AT_EXECUTE, NX_E_SOURCE_LOST },
		{ 2013, "HY000", MY_AT_CONNECT, NX_E_SOURCE_DOWN },
		{ 1205, "HY000", MY_AT_EXECUTE, NX_E_CONFLICT },
		{ 1213, "40001", MY_AT_EXECUTE, NX_E_CONFLICT },
		{ 1366, "22007", MY_AT_EXECUTE, NX_E_DATA_ERROR },
		{ 9999, "25006", MY_AT_EXECUTE, NX_E_RO_SERVER }, /* by SQLSTATE */
		{ 9999, "22003", MY_AT_EXECUTE, NX_E_DATA_ERROR },
		{ 9999, "HY000", MY_AT_EXECUTE, NX_E_SQL_ERROR },
		{ 2099, "HY000", MY_AT_EXECUTE, NX_E_PROTOCOL },
	};
	for (size_t i = 0; i < NX_COUNTOF(t); i++)
		NX_EQ_S(nx_code_name(t[i].want),
			nx_code_name(code_of(t[i].n, t[i].state, t[i].at)));
}

static int32_t place(const char *sql, const char *text, const char *token)
{
	struct nx_error err;
	struct nx_query q = { .sql = nx_str(sql) };
	NX_EQ_I(NX_E_SQL_PARSE, my_fail(&err, 1064, "42000", text, MY_AT_PREPARE, &q));
	NX_EQ_S(token, err.token);
	return err.position;
}

NX_TEST(error_places)
{
	NX_EQ_I(7, place("SELECT FROM t", "..., near 'FROM t' at line 1", "FROM"));
	NX_EQ_I(8, place("SELECT (", "..., near '' at line 1", ""));
	NX_EQ_I(11, place("SELECT 'x' 'near ' at line 2' y(",
			  "..., near ''near ' at line 2' y(' at line 1", "'near"));
	NX_EQ_I(-1, place("SELECT 1", "..., near 'other' at line 1", ""));
	NX_EQ_I(-1, place("SELECT 1", "no place", ""));
}
