/* What a column is, from its metadata. README.md has the table; types are tested one by one. */
#include "mysql_int.h"

enum { CHARSET_BINARY = 63, BYTES_PER_CHAR = 4 /* the connection is utf8mb4 */ };

/* MariaDB's own words for what hides behind a standard type: "uuid", "inet6", "json", "point". */
static struct nx_str extra(const MYSQL_FIELD *f, enum mariadb_field_attr_t which)
{
	MARIADB_CONST_STRING s = { 0 };
	if (mariadb_field_attr(&s, f, which) != 0)
		return nx_strn(NULL, 0);
	return nx_strn(s.str, s.length);
}

struct my_shape my_shape_of(const MYSQL_FIELD *f)
{
	return (struct my_shape){
		.names = nx_str_hash(nx_str(f->name)) +
			 3 * nx_str_hash(extra(f, MARIADB_FIELD_ATTR_DATA_TYPE_NAME)) +
			 5 * nx_str_hash(extra(f, MARIADB_FIELD_ATTR_FORMAT_NAME)),
		.length = f->length,
		.type = (unsigned)f->type,
		.flags = f->flags,
		.decimals = f->decimals,
		.charset = f->charsetnr,
	};
}

struct made {
	enum nx_type type;
	enum nx_layout layout;
	enum my_wire wire;
};

static struct made integer(const MYSQL_FIELD *f)
{
	static const struct made as_signed[] = { { NX_T_INT8, NX_L_I8, MY_I8 },
						 { NX_T_INT16, NX_L_I16, MY_I16 },
						 { NX_T_INT32, NX_L_I32, MY_I32 },
						 { NX_T_INT64, NX_L_I64, MY_I64 } };
	static const struct made as_unsigned[] = { { NX_T_UINT8, NX_L_U8, MY_U8 },
						   { NX_T_UINT16, NX_L_U16, MY_U16 },
						   { NX_T_UINT32, NX_L_U32, MY_U32 },
						   { NX_T_UINT64, NX_L_U64, MY_U64 } };
	unsigned size = f->type == MYSQL_TYPE_TINY	 ? 0
			: f->type == MYSQL_TYPE_SHORT	 ? 1
			: f->type == MYSQL_TYPE_LONGLONG ? 3
							 : 2;
	return f->flags & UNSIGNED_FLAG ? as_unsigned[size] : as_signed[size];
}

static struct made bytes(const MYSQL_FIELD *f)
{
	struct made m = { NX_T_STRING, NX_L_TEXT, MY_BYTES };
	struct nx_str name = extra(f, MARIADB_FIELD_ATTR_DATA_TYPE_NAME);
	if (f->type == MYSQL_TYPE_JSON ||
	    nx_str_is(extra(f, MARIADB_FIELD_ATTR_FORMAT_NAME), "json"))
		m.type = NX_T_JSON;
	else if (nx_str_is(name, "uuid"))
		m.type = NX_T_UUID;
	else if (f->charsetnr == CHARSET_BINARY && name.len == 0)
		m.type = NX_T_BINARY;
	return m;
}

static struct made make(const MYSQL_FIELD *f)
{
	switch ((unsigned)f->type) {
	case MYSQL_TYPE_NULL:
		return (struct made){ NX_T_NULL, NX_L_NONE, MY_NULL };
	case MYSQL_TYPE_TINY:
	case MYSQL_TYPE_SHORT:
	case MYSQL_TYPE_INT24:
	case MYSQL_TYPE_LONG:
	case MYSQL_TYPE_LONGLONG:
		return integer(f);
	case MYSQL_TYPE_YEAR:
		return (struct made){ NX_T_UINT16, NX_L_U16, MY_U16 };
	case MYSQL_TYPE_FLOAT:
		return (struct made){ NX_T_FLOAT32, NX_L_F32, MY_F32 };
	case MYSQL_TYPE_DOUBLE:
		return (struct made){ NX_T_FLOAT64, NX_L_F64, MY_F64 };
	case MYSQL_TYPE_DECIMAL:
	case MYSQL_TYPE_NEWDECIMAL:
		return (struct made){ NX_T_DECIMAL, NX_L_TEXT, MY_DECIMAL };
	case MYSQL_TYPE_BIT:
		return (struct made){ NX_T_UINT64, NX_L_U64, MY_BIT };
	case MYSQL_TYPE_DATE:
	case MYSQL_TYPE_NEWDATE:
		return (struct made){ NX_T_DATE, NX_L_TEXT, MY_DATE };
	case MYSQL_TYPE_DATETIME:
		return (struct made){ NX_T_TIMESTAMP, NX_L_TEXT, MY_TIMESTAMP };
	case MYSQL_TYPE_TIMESTAMP:
		return (struct made){ NX_T_TIMESTAMPTZ, NX_L_TEXT, MY_TIMESTAMPTZ };
	case MYSQL_TYPE_TIME:
		return (struct made){ NX_T_TIME, NX_L_TEXT, MY_TIME };
	case MYSQL_TYPE_GEOMETRY:
		return (struct made){ NX_T_STRING, NX_L_TEXT, MY_GEOMETRY };
	default: /* all strings, and what is unknown: bytes with a length */
		return bytes(f);
	}
}

static int32_t decimal_precision(const MYSQL_FIELD *f)
{
	long n = (long)f->length - (f->decimals > 0) - !(f->flags & UNSIGNED_FLAG);
	return n > 0 && n <= 81 ? (int32_t)n : 0; /* 65 in MySQL and MariaDB, 76 in Doris */
}

/* Declared size of a TEXT or BLOB: the server names the maximum in bytes. */
static const char *lob(const MYSQL_FIELD *f, bool binary)
{
	unsigned long n = binary ? f->length : f->length / BYTES_PER_CHAR;
	if (n <= 255)
		return binary ? "tinyblob" : "tinytext";
	if (n <= 65535)
		return binary ? "blob" : "text";
	if (n <= 16777215)
		return binary ? "mediumblob" : "mediumtext";
	return binary ? "longblob" : "longtext";
}

static char *string_name(struct nx_arena *a, const MYSQL_FIELD *f)
{
	bool binary = f->charsetnr == CHARSET_BINARY;
	unsigned long chars = binary ? f->length : f->length / BYTES_PER_CHAR;
	struct nx_str name = extra(f, MARIADB_FIELD_ATTR_DATA_TYPE_NAME);
	if (name.len > 0)
		return nx_arena_cstr(a, name);
	if (f->type == MYSQL_TYPE_JSON ||
	    nx_str_is(extra(f, MARIADB_FIELD_ATTR_FORMAT_NAME), "json"))
		return nx_arena_printf(a, "json");
	if (f->flags & ENUM_FLAG)
		return nx_arena_printf(a, "enum");
	if (f->flags & SET_FLAG)
		return nx_arena_printf(a, "set");
	if (f->type == MYSQL_TYPE_STRING)
		return nx_arena_printf(a, "%s(%lu)", binary ? "binary" : "char", chars);
	if (f->type == MYSQL_TYPE_VAR_STRING || f->type == MYSQL_TYPE_VARCHAR)
		return nx_arena_printf(a, "%s(%lu)", binary ? "varbinary" : "varchar", chars);
	if (f->type >= MYSQL_TYPE_TINY_BLOB && f->type <= MYSQL_TYPE_BLOB)
		return nx_arena_printf(a, "%s", lob(f, binary));
	return nx_arena_printf(a, "type %u", (unsigned)f->type);
}

static char *number_name(struct nx_arena *a, const MYSQL_FIELD *f, const char *base)
{
	const char *sign = f->flags & UNSIGNED_FLAG ? " unsigned" : "";
	const char *fill = f->flags & ZEROFILL_FLAG ? " zerofill" : "";
	return nx_arena_printf(a, "%s(%lu)%s%s", base, f->length, sign, fill);
}

static char *moment_name(struct nx_arena *a, const MYSQL_FIELD *f, const char *base)
{
	if (f->decimals == 0 || f->decimals > 6)
		return nx_arena_printf(a, "%s", base);
	return nx_arena_printf(a, "%s(%u)", base, f->decimals);
}

/* The type as SHOW CREATE TABLE would write it, as far as the protocol tells. */
static char *native_name(struct nx_arena *a, const MYSQL_FIELD *f)
{
	const char *sign = f->flags & UNSIGNED_FLAG ? " unsigned" : "";
	const char *fill = f->flags & ZEROFILL_FLAG ? " zerofill" : "";
	switch ((unsigned)f->type) {
	case MYSQL_TYPE_NULL:
		return nx_arena_printf(a, "null");
	case MYSQL_TYPE_TINY:
		return number_name(a, f, "tinyint");
	case MYSQL_TYPE_SHORT:
		return number_name(a, f, "smallint");
	case MYSQL_TYPE_INT24:
		return number_name(a, f, "mediumint");
	case MYSQL_TYPE_LONG:
		return number_name(a, f, "int");
	case MYSQL_TYPE_LONGLONG:
		return number_name(a, f, "bigint");
	case MYSQL_TYPE_YEAR:
		return nx_arena_printf(a, "year(%lu)", f->length);
	case MYSQL_TYPE_FLOAT:
		return nx_arena_printf(a, "float%s%s", sign, fill);
	case MYSQL_TYPE_DOUBLE:
		return nx_arena_printf(a, "double%s%s", sign, fill);
	case MYSQL_TYPE_DECIMAL:
	case MYSQL_TYPE_NEWDECIMAL:
		return nx_arena_printf(a, "decimal(%d,%u)%s%s", decimal_precision(f), f->decimals,
				       sign, fill);
	case MYSQL_TYPE_BIT:
		return nx_arena_printf(a, "bit(%lu)", f->length);
	case MYSQL_TYPE_DATE:
	case MYSQL_TYPE_NEWDATE:
		return nx_arena_printf(a, "date");
	case MYSQL_TYPE_DATETIME:
		return moment_name(a, f, "datetime");
	case MYSQL_TYPE_TIMESTAMP:
		return moment_name(a, f, "timestamp");
	case MYSQL_TYPE_TIME:
		return moment_name(a, f, "time");
	case MYSQL_TYPE_GEOMETRY: {
		struct nx_str name = extra(f, MARIADB_FIELD_ATTR_DATA_TYPE_NAME);
		return name.len > 0 ? nx_arena_cstr(a, name) : nx_arena_printf(a, "geometry");
	}
	default:
		return string_name(a, f);
	}
}

bool my_type(struct nx_arena *a, const MYSQL_FIELD *f, struct nx_field *ret, enum my_wire *ret_wire)
{
	struct made m = make(f);
	struct nx_str name = nx_arena_str(a, nx_str(f->name ? f->name : ""));
	char *native = native_name(a, f);
	if (!name.ptr || !native)
		return false;
	bool decimal = m.type == NX_T_DECIMAL;
	*ret = (struct nx_field){
		.name = name,
		.type = m.type,
		.layout = m.layout,
		.native = nx_str(native),
		.precision = decimal ? decimal_precision(f) : 0,
		.scale = decimal && f->decimals <= 38 ? (int32_t)f->decimals : 0,
		.unit = NX_UNIT_US,
		.nullable = f->flags & NOT_NULL_FLAG ? 0 : 1,
	};
	*ret_wire = m.wire;
	return true;
}
