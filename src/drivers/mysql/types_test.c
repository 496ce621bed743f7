/* Every column type of MariaDB 10.11 through the driver, one case a group: README.md's table. */
#include "harness.h"

/* One table with one column, its values, and what comes out. */
static void column(struct session *s, const char *type, const char *values, const char *want)
{
	char sql[2000];
	h_admin("DROP TABLE IF EXISTS t");
	snprintf(sql, sizeof(sql), "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, c %s)",
		 type);
	h_admin(sql);
	h_admin("SET sql_mode = 'ALLOW_INVALID_DATES'");
	snprintf(sql, sizeof(sql), "INSERT INTO t (c) VALUES %s", values);
	h_admin(sql);
	NX_EQ_S(want, H_TEXT(s, "SELECT c FROM t ORDER BY id", .pure = true));
	NX_EQ_I(NX_CONN_CLEAN, s->state);
}

NX_TEST(integers)
{
	struct session s = h_open(NULL);
	column(&s, "TINYINT", "(-128),(127),(NULL)", "c:int8[tinyint(4)]\n-128\n127\nNULL");
	column(&s, "TINYINT UNSIGNED", "(0),(255)", "c:uint8[tinyint(3) unsigned]\n0\n255");
	column(&s, "BOOLEAN", "(TRUE),(FALSE),(7)", "c:int8[tinyint(1)]\n1\n0\n7");
	column(&s, "SMALLINT", "(-32768),(32767)", "c:int16[smallint(6)]\n-32768\n32767");
	column(&s, "SMALLINT UNSIGNED", "(65535)", "c:uint16[smallint(5) unsigned]\n65535");
	column(&s, "MEDIUMINT", "(-8388608),(8388607)", "c:int32[mediumint(9)]\n-8388608\n8388607");
	column(&s, "MEDIUMINT UNSIGNED", "(16777215)", "c:uint32[mediumint(8) unsigned]\n16777215");
	column(&s, "INT", "(-2147483648),(2147483647)",
	       "c:int32[int(11)]\n-2147483648\n2147483647");
	column(&s, "INT UNSIGNED", "(4294967295)", "c:uint32[int(10) unsigned]\n4294967295");
	column(&s, "BIGINT", "(-9223372036854775808),(9223372036854775807)",
	       "c:int64[bigint(20)]\n-9223372036854775808\n9223372036854775807");
	column(&s, "BIGINT UNSIGNED NOT NULL", "(18446744073709551615),(9007199254740993)",
	       "c:uint64[bigint(20) unsigned]!\n18446744073709551615\n9007199254740993");
	column(&s, "INT(5) ZEROFILL", "(42)", "c:uint32[int(5) unsigned zerofill]\n42");
	column(&s, "BIT(1)", "(b'1'),(b'0'),(NULL)", "c:uint64[bit(1)]\n1\n0\nNULL");
	column(&s, "BIT(64)",
	       "(b'1111111111111111111111111111111111111111111111111111111111111111')",
	       "c:uint64[bit(64)]\n18446744073709551615");
	column(&s, "YEAR", "(1901),(2155),(0)", "c:uint16[year(4)]\n1901\n2155\n0");
	h_close(&s);
}

NX_TEST(fractions)
{
	struct session s = h_open(NULL);
	column(&s, "DECIMAL(65,30)",
	       "('12345678901234567890123456789012345.123456789012345678901234567890'),('-0.1')",
	       "c:decimal[decimal(65,30)]\n"
	       "12345678901234567890123456789012345.123456789012345678901234567890\n"
	       "-0.100000000000000000000000000000");
	column(&s, "DECIMAL(10,2)", "(NULL),(1.5)", "c:decimal[decimal(10,2)]\nNULL\n1.50");
	column(&s, "DECIMAL(5,0) UNSIGNED", "(99999)", "c:decimal[decimal(5,0) unsigned]\n99999");
	column(&s, "DECIMAL(8,2) ZEROFILL", "(3.5),(0)",
	       "c:decimal[decimal(8,2) unsigned zerofill]\n3.50\n0.00");
	column(&s, "FLOAT", "(16777217),(0.1),(3.4028234e38),(-1e-45)",
	       "c:float32[float]\n16777216\n0.100000001\n3.40282347e+38\n-1.40129846e-45");
	column(&s, "DOUBLE", "(0.1),(1.7976931348623157e308),(5e-324),(9007199254740993)",
	       "c:float64[double]\n0.10000000000000001\n1.7976931348623157e+308\n"
	       "4.9406564584124654e-324\n9007199254740992");
	h_close(&s);
}

NX_TEST(strings)
{
	struct session s = h_open(NULL);
	column(&s, "VARCHAR(20)", "('中文 𠀀 é'),(''),(NULL),('a\\0b')",
	       "c:string[varchar(20)]\n中文 𠀀 é\n\nNULL\na");
	column(&s, "CHAR(5)", "('ab  ')", "c:string[char(5)]\nab");
	column(&s, "VARCHAR(20) CHARACTER SET gbk", "('中文网关'),('丂')",
	       "c:string[varchar(20)]\n中文网关\n丂");
	column(&s, "VARCHAR(20) CHARACTER SET latin1", "('é ü ß')", "c:string[varchar(20)]\né ü ß");
	column(&s, "CHAR(4) CHARACTER SET ucs2", "('中x')", "c:string[char(4)]\n中x");
	column(&s, "TINYTEXT", "('t')", "c:string[tinytext]\nt");
	column(&s, "TEXT", "('t')", "c:string[text]\nt");
	column(&s, "TEXT CHARACTER SET gbk", "('文')", "c:string[text]\n文");
	column(&s, "MEDIUMTEXT", "('t')", "c:string[mediumtext]\nt");
	column(&s, "LONGTEXT", "('t')", "c:string[longtext]\nt");
	column(&s, "BINARY(3)", "(x'00ff')", "c:binary[binary(3)]\n0x00ff00");
	column(&s, "VARBINARY(10)", "(x'00ff27')", "c:binary[varbinary(10)]\n0x00ff27");
	column(&s, "TINYBLOB", "(x'01')", "c:binary[tinyblob]\n0x01");
	column(&s, "BLOB", "(x'e4b8ad'),(NULL)", "c:binary[blob]\n0xe4b8ad\nNULL");
	column(&s, "MEDIUMBLOB", "(x'01')", "c:binary[mediumblob]\n0x01");
	column(&s, "LONGBLOB", "(x'01')", "c:binary[longblob]\n0x01");
	column(&s, "ENUM('红','b')", "('红'),('b'),(NULL)", "c:string[enum]\n红\nb\nNULL");
	column(&s, "SET('a','b','c')", "('a,c'),('')", "c:string[set]\na,c\n");
	column(&s, "JSON", "('{\"a\": [1, 2.50]}')", "c:json[json]\n{\"a\": [1, 2.50]}");
	column(&s, "UUID", "('123E4567-e89b-12d3-a456-426655440000')",
	       "c:uuid[uuid]\n123e4567-e89b-12d3-a456-426655440000");
	column(&s, "INET6", "('2001:db8::1'),('::ffff:1.2.3.4')",
	       "c:string[inet6]\n2001:db8::1\n::ffff:1.2.3.4");
	column(&s, "INET4", "('10.0.0.1')", "c:string[inet4]\n10.0.0.1");
	h_close(&s);
}

NX_TEST(moments)
{
	struct session s = h_open(NULL);
	column(&s, "DATE",
	       "('2024-02-29'),('0000-00-00'),('2024-00-00'),('9999-12-31'),('2023-02-31')",
	       "c:date[date]\n2024-02-29\n0000-00-00\n2024-00-00\n9999-12-31\n2023-02-31");
	column(&s, "DATETIME", "('2024-02-29 12:34:56'),('0000-00-00')",
	       "c:timestamp[datetime]\n2024-02-29T12:34:56\n0000-00-00T00:00:00");
	column(&s, "DATETIME(6)",
	       "('2024-02-29 12:34:56.123456'),('2024-01-01'),('2024-01-01 00:00:00.5')",
	       "c:timestamp[datetime(6)]\n2024-02-29T12:34:56.123456\n2024-01-01T00:00:00\n"
	       "2024-01-01T00:00:00.5");
	h_admin("SET time_zone = '+08:00'");
	column(&s, "TIMESTAMP(6) NULL", "('2024-02-29 08:00:00.000001'),('0000-00-00'),(NULL)",
	       "c:timestamptz[timestamp(6)]\n2024-02-29T00:00:00.000001Z\n0000-00-00T00:00:"
	       "00Z\nNULL");
	column(&s, "TIMESTAMP", "('2038-01-19 11:14:07')",
	       "c:timestamptz[timestamp]\n2038-01-19T03:14:07Z");
	h_admin("SET time_zone = '+00:00'");
	column(&s, "TIME", "('838:59:59'),('-838:59:59'),('00:00:00'),('-00:00:01'),('23:59:59')",
	       "c:time[time]\n838:59:59\n-838:59:59\n00:00:00\n-00:00:01\n23:59:59");
	column(&s, "TIME(6)", "('-25:00:00.000001'),('01:02:03.4')",
	       "c:time[time(6)]\n-25:00:00.000001\n01:02:03.4");
	h_close(&s);
}

NX_TEST(geometry)
{
	struct session s = h_open(NULL);
	column(&s, "POINT", "(POINT(1, -2.5)),(ST_GeomFromText('POINT(0.1 1e300)', 4326)),(NULL)",
	       "c:string[point]\nPOINT(1 -2.5)\nSRID=4326;POINT(0.1 1e+300)\nNULL");
	column(&s, "LINESTRING", "(ST_GeomFromText('LINESTRING(0 0,1 1,2 3)'))",
	       "c:string[linestring]\nLINESTRING(0 0,1 1,2 3)");
	column(&s, "POLYGON", "(ST_GeomFromText('POLYGON((0 0,4 0,4 4,0 0),(1 1,2 1,2 2,1 1))'))",
	       "c:string[polygon]\nPOLYGON((0 0,4 0,4 4,0 0),(1 1,2 1,2 2,1 1))");
	column(&s, "MULTIPOINT", "(ST_GeomFromText('MULTIPOINT(1 2,3 4)'))",
	       "c:string[multipoint]\nMULTIPOINT((1 2),(3 4))");
	column(&s, "MULTILINESTRING", "(ST_GeomFromText('MULTILINESTRING((0 0,1 1),(2 2,3 3))'))",
	       "c:string[multilinestring]\nMULTILINESTRING((0 0,1 1),(2 2,3 3))");
	column(&s, "MULTIPOLYGON", "(ST_GeomFromText('MULTIPOLYGON(((0 0,4 0,4 4,0 0)))'))",
	       "c:string[multipolygon]\nMULTIPOLYGON(((0 0,4 0,4 4,0 0)))");
	column(&s, "GEOMETRYCOLLECTION",
	       "(ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')),"
	       "(ST_GeomFromText('GEOMETRYCOLLECTION EMPTY'))",
	       "c:string[geometrycollection]\nGEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))\n"
	       "GEOMETRYCOLLECTION EMPTY");
	column(&s, "GEOMETRY", "(POINT(1, 1))", "c:string[geometry]\nPOINT(1 1)");
	h_close(&s);
}

NX_TEST(expressions)
{
	struct session s = h_open(NULL);
	NX_EQ_S("a:null[null] b:int32[int(1)]! c:decimal[decimal(2,1)]! d:float64[double]!\n"
		"NULL|1|1.5|10",
		H_TEXT(&s, "SELECT NULL AS a, 1 AS b, 1.5 AS c, 1e1 AS d", .pure = true));
	/* wide rows, names that repeat or are empty, no rows */
	NX_EQ_S("x:int32[int(1)]! x:int32[int(1)]! :string[varchar(0)]!\n1|2|",
		H_TEXT(&s, "SELECT 1 AS x, 2 AS x, ''", .pure = true));
	NX_EQ_S("b:int32[int(1)]!",
		H_TEXT(&s, "SELECT 1 AS b FROM DUAL WHERE FALSE", .pure = true));
	h_close(&s);
}
