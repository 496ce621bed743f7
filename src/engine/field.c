/* DuckDB types to fields: src/drivers/duckdb/README.md has the table. */
#include "engine/engine_int.h"

#define MAX_DEPTH 24u

struct plain {
	duckdb_type from;
	enum nx_type type;
	enum nx_layout layout;
	enum nx_unit unit;
	const char *native;
};

static const struct plain plains[] = {
	{ DUCKDB_TYPE_SQLNULL, NX_T_NULL, NX_L_NONE, 0, "NULL" },
	{ DUCKDB_TYPE_BOOLEAN, NX_T_BOOL, NX_L_BITS, 0, "BOOLEAN" },
	{ DUCKDB_TYPE_TINYINT, NX_T_INT8, NX_L_I8, 0, "TINYINT" },
	{ DUCKDB_TYPE_SMALLINT, NX_T_INT16, NX_L_I16, 0, "SMALLINT" },
	{ DUCKDB_TYPE_INTEGER, NX_T_INT32, NX_L_I32, 0, "INTEGER" },
	{ DUCKDB_TYPE_BIGINT, NX_T_INT64, NX_L_I64, 0, "BIGINT" },
	{ DUCKDB_TYPE_UTINYINT, NX_T_UINT8, NX_L_U8, 0, "UTINYINT" },
	{ DUCKDB_TYPE_USMALLINT, NX_T_UINT16, NX_L_U16, 0, "USMALLINT" },
	{ DUCKDB_TYPE_UINTEGER, NX_T_UINT32, NX_L_U32, 0, "UINTEGER" },
	{ DUCKDB_TYPE_UBIGINT, NX_T_UINT64, NX_L_U64, 0, "UBIGINT" },
	{ DUCKDB_TYPE_FLOAT, NX_T_FLOAT32, NX_L_F32, 0, "FLOAT" },
	{ DUCKDB_TYPE_DOUBLE, NX_T_FLOAT64, NX_L_F64, 0, "DOUBLE" },
	{ DUCKDB_TYPE_HUGEINT, NX_T_DECIMAL, NX_L_I128, 0, "HUGEINT" },
	{ DUCKDB_TYPE_UHUGEINT, NX_T_DECIMAL, NX_L_TEXT, 0, "UHUGEINT" },
	{ DUCKDB_TYPE_BIGNUM, NX_T_DECIMAL, NX_L_TEXT, 0, "BIGNUM" },
	{ DUCKDB_TYPE_DATE, NX_T_DATE, NX_L_I32, 0, "DATE" },
	{ DUCKDB_TYPE_TIME, NX_T_TIME, NX_L_I64, NX_UNIT_US, "TIME" },
	{ DUCKDB_TYPE_TIME_NS, NX_T_TIME, NX_L_I64, NX_UNIT_NS, "TIME_NS" },
	{ DUCKDB_TYPE_TIME_TZ, NX_T_TIMETZ, NX_L_TEXT, 0, "TIME WITH TIME ZONE" },
	{ DUCKDB_TYPE_TIMESTAMP, NX_T_TIMESTAMP, NX_L_I64, NX_UNIT_US, "TIMESTAMP" },
	{ DUCKDB_TYPE_TIMESTAMP_S, NX_T_TIMESTAMP, NX_L_I64, NX_UNIT_S, "TIMESTAMP_S" },
	{ DUCKDB_TYPE_TIMESTAMP_MS, NX_T_TIMESTAMP, NX_L_I64, NX_UNIT_MS, "TIMESTAMP_MS" },
	{ DUCKDB_TYPE_TIMESTAMP_NS, NX_T_TIMESTAMP, NX_L_I64, NX_UNIT_NS, "TIMESTAMP_NS" },
	{ DUCKDB_TYPE_TIMESTAMP_TZ, NX_T_TIMESTAMPTZ, NX_L_I64, NX_UNIT_US,
	  "TIMESTAMP WITH TIME ZONE" },
	{ DUCKDB_TYPE_INTERVAL, NX_T_INTERVAL, NX_L_MDU, 0, "INTERVAL" },
	{ DUCKDB_TYPE_VARCHAR, NX_T_STRING, NX_L_VIEW, 0, "VARCHAR" },
	{ DUCKDB_TYPE_ENUM, NX_T_STRING, NX_L_VIEW, 0, "ENUM" },
	{ DUCKDB_TYPE_BIT, NX_T_STRING, NX_L_TEXT, 0, "BIT" },
	{ DUCKDB_TYPE_BLOB, NX_T_BINARY, NX_L_VIEW, 0, "BLOB" },
	{ DUCKDB_TYPE_UUID, NX_T_UUID, NX_L_TEXT, 0, "UUID" },
};

static enum nx_code no_memory(struct nx_error *err)
{
	return nx_fail(err, NX_E_ENGINE_MEMORY, "no memory for the result's schema");
}

static enum nx_code unsupported(struct nx_str name, const char *native, struct nx_error *err)
{
	return nx_fail(err, NX_E_TYPE_UNSUPPORTED,
		       "column \"" NX_STR_FMT "\" has the type %s, which has no exact form here: "
		       "cast it to VARCHAR or JSON",
		       NX_STR_ARG(name), native);
}

static enum nx_code child_fill(duckdb_logical_type t, const char *name, struct nx_arena *a,
			       unsigned depth, struct nx_field *ret, struct nx_error *err)
{
	struct nx_str copy = nx_arena_str(a, nx_str(name));
	return copy.ptr ? nx_field_fill(t, copy, a, depth + 1, ret, err) : no_memory(err);
}

/* A STRUCT of what member_name and member_type list; a UNION has its tag in front. */
static enum nx_code members_fill(duckdb_logical_type t, struct nx_arena *a, unsigned depth,
				 struct nx_field *ret, struct nx_error *err)
{
	bool uni = duckdb_get_type_id(t) == DUCKDB_TYPE_UNION;
	idx_t n = uni ? duckdb_union_type_member_count(t) : duckdb_struct_type_child_count(t);
	struct nx_field *f = nx_arena_array(a, n + 1, sizeof *f);
	if (!f)
		return no_memory(err);
	uint32_t at = 0;
	if (uni)
		f[at++] = (struct nx_field){ .name = NX_STR("tag"),
					     .type = NX_T_STRING,
					     .layout = NX_L_VIEW,
					     .native = NX_STR("VARCHAR"),
					     .nullable = -1 };
	const char *text = uni ? "UNION(" : "STRUCT(";
	for (idx_t i = 0; i < n; i++) {
		char *name = uni ? duckdb_union_type_member_name(t, i)
				 : duckdb_struct_type_child_name(t, i);
		duckdb_logical_type c = uni ? duckdb_union_type_member_type(t, i)
					    : duckdb_struct_type_child_type(t, i);
		enum nx_code code = child_fill(c, name, a, depth, &f[at], err);
		duckdb_destroy_logical_type(&c);
		duckdb_free(name);
		if (code)
			return code;
		text = nx_arena_printf(a, "%s%s" NX_STR_FMT " " NX_STR_FMT, text, i ? ", " : "",
				       NX_STR_ARG(f[at].name), NX_STR_ARG(f[at].native));
		if (!text)
			return no_memory(err);
		at++;
	}
	text = nx_arena_printf(a, "%s)", text);
	if (!text)
		return no_memory(err);
	ret->type = NX_T_STRUCT;
	ret->layout = NX_L_STRUCT;
	ret->native = nx_str(text);
	ret->nchildren = at;
	ret->children = f;
	return NX_OK;
}

static enum nx_code list_fill(duckdb_logical_type t, duckdb_type id, struct nx_arena *a,
			      unsigned depth, struct nx_field *ret, struct nx_error *err)
{
	struct nx_field *f = nx_arena_array(a, 1, sizeof *f);
	if (!f)
		return no_memory(err);
	duckdb_logical_type c = id == DUCKDB_TYPE_ARRAY ? duckdb_array_type_child_type(t)
							: duckdb_list_type_child_type(t);
	enum nx_code code = child_fill(c, "item", a, depth, f, err);
	duckdb_destroy_logical_type(&c);
	if (code)
		return code;
	const char *text =
		id == DUCKDB_TYPE_ARRAY
			? nx_arena_printf(a, NX_STR_FMT "[%llu]", NX_STR_ARG(f->native),
					  (unsigned long long)duckdb_array_type_array_size(t))
			: nx_arena_printf(a, NX_STR_FMT "[]", NX_STR_ARG(f->native));
	if (!text)
		return no_memory(err);
	ret->type = NX_T_LIST;
	ret->layout = NX_L_LIST;
	ret->native = nx_str(text);
	ret->nchildren = 1;
	ret->children = f;
	return NX_OK;
}

static enum nx_code map_fill(duckdb_logical_type t, struct nx_arena *a, unsigned depth,
			     struct nx_field *ret, struct nx_error *err)
{
	struct nx_field *entry = nx_arena_array(a, 3, sizeof *entry);
	if (!entry)
		return no_memory(err);
	duckdb_logical_type k = duckdb_map_type_key_type(t), v = duckdb_map_type_value_type(t);
	enum nx_code code = child_fill(k, "key", a, depth, &entry[1], err);
	if (code == NX_OK)
		code = child_fill(v, "value", a, depth, &entry[2], err);
	duckdb_destroy_logical_type(&k);
	duckdb_destroy_logical_type(&v);
	if (code)
		return code;
	const char *text =
		nx_arena_printf(a, "MAP(" NX_STR_FMT ", " NX_STR_FMT ")",
				NX_STR_ARG(entry[1].native), NX_STR_ARG(entry[2].native));
	if (!text)
		return no_memory(err);
	entry[0] = (struct nx_field){ .name = NX_STR("entries"),
				      .type = NX_T_STRUCT,
				      .layout = NX_L_STRUCT,
				      .native = NX_STR("STRUCT"),
				      .nullable = 0,
				      .nchildren = 2,
				      .children = &entry[1] };
	ret->type = NX_T_MAP;
	ret->layout = NX_L_LIST;
	ret->native = nx_str(text);
	ret->nchildren = 1;
	ret->children = entry;
	return NX_OK;
}

static enum nx_code decimal_fill(duckdb_logical_type t, struct nx_arena *a, struct nx_field *ret,
				 struct nx_error *err)
{
	ret->type = NX_T_DECIMAL;
	ret->precision = duckdb_decimal_width(t);
	ret->scale = duckdb_decimal_scale(t);
	switch (duckdb_decimal_internal_type(t)) {
	case DUCKDB_TYPE_SMALLINT:
		ret->layout = NX_L_I16;
		break;
	case DUCKDB_TYPE_INTEGER:
		ret->layout = NX_L_I32;
		break;
	case DUCKDB_TYPE_BIGINT:
		ret->layout = NX_L_I64;
		break;
	default:
		ret->layout = NX_L_I128;
		break;
	}
	const char *text = nx_arena_printf(a, "DECIMAL(%d,%d)", ret->precision, ret->scale);
	ret->native = nx_str(text);
	return text ? NX_OK : no_memory(err);
}

enum nx_code nx_field_fill(duckdb_logical_type t, struct nx_str name, struct nx_arena *a,
			   unsigned depth, struct nx_field *ret, struct nx_error *err)
{
	*ret = (struct nx_field){ .name = name, .nullable = -1 };
	if (depth > MAX_DEPTH)
		return unsupported(name, "nested too deeply", err);
	duckdb_type id = duckdb_get_type_id(t);
	switch (id) {
	case DUCKDB_TYPE_LIST:
	case DUCKDB_TYPE_ARRAY:
		return list_fill(t, id, a, depth, ret, err);
	case DUCKDB_TYPE_STRUCT:
	case DUCKDB_TYPE_UNION:
		return members_fill(t, a, depth, ret, err);
	case DUCKDB_TYPE_MAP:
		return map_fill(t, a, depth, ret, err);
	case DUCKDB_TYPE_DECIMAL:
		return decimal_fill(t, a, ret, err);
	default:
		break;
	}
	const struct plain *p = NULL;
	for (size_t i = 0; i < NX_COUNTOF(plains); i++)
		if (plains[i].from == id)
			p = &plains[i];
	if (!p)
		return unsupported(name,
				   id == 41   ? "VARIANT"
				   : id == 40 ? "GEOMETRY"
					      : "unknown",
				   err);
	ret->type = p->type;
	ret->layout = p->layout;
	ret->unit = p->unit;
	ret->native = nx_str(p->native);
	if (id == DUCKDB_TYPE_HUGEINT || id == DUCKDB_TYPE_UHUGEINT)
		ret->precision = 39;
	if (id == DUCKDB_TYPE_VARCHAR) {
		char *alias = duckdb_logical_type_get_alias(t);
		if (alias && strcmp(alias, "JSON") == 0) {
			ret->type = NX_T_JSON;
			ret->native = NX_STR("JSON");
		}
		duckdb_free(alias);
	}
	return NX_OK;
}
