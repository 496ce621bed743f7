/* Values that follow from the row number, one canonical form for every type. */
#include <stdio.h>

#include "fake_int.h"

enum nx_layout fake_layout(enum nx_type t)
{
	switch ((int)t) {
	case NX_T_NULL:
		return NX_L_NONE;
	case NX_T_BOOL:
		return NX_L_BITS;
	case NX_T_INT8:
		return NX_L_I8;
	case NX_T_INT16:
		return NX_L_I16;
	case NX_T_INT32:
		return NX_L_I32;
	case NX_T_INT64:
		return NX_L_I64;
	case NX_T_UINT8:
		return NX_L_U8;
	case NX_T_UINT16:
		return NX_L_U16;
	case NX_T_UINT32:
		return NX_L_U32;
	case NX_T_UINT64:
		return NX_L_U64;
	case NX_T_FLOAT32:
		return NX_L_F32;
	case NX_T_FLOAT64:
		return NX_L_F64;
	default:
		return NX_L_TEXT;
	}
}

static void put_text(struct nx_builder *b, uint32_t col, const struct fake_script *s, int64_t row)
{
	if (s->echo.ptr) {
		nx_builder_text(b, col, s->echo.ptr, s->echo.len);
		return;
	}
	size_t n = (size_t)s->bytes;
	char *p = nx_builder_room(b, col, n);
	for (size_t i = 0; p && i < n; i++)
		p[i] = (char)('a' + ((size_t)row + i) % 26);
}

void fake_put(struct nx_builder *b, uint32_t col, const struct fake_script *s, int64_t row)
{
	char t[64];
	int n = 0, day = (int)(row % 28) + 1, sec = (int)(row % 60);
	switch (s->types[col]) {
	case NX_T_NULL:
		return;
	case NX_T_BOOL:
		nx_builder_bool(b, col, row % 2);
		return;
	case NX_T_INT8:
	case NX_T_INT16:
	case NX_T_INT32:
	case NX_T_INT64:
		nx_builder_i64(b, col, row);
		return;
	case NX_T_UINT8:
	case NX_T_UINT16:
	case NX_T_UINT32:
	case NX_T_UINT64:
		nx_builder_u64(b, col, (uint64_t)row);
		return;
	case NX_T_FLOAT32:
	case NX_T_FLOAT64:
		nx_builder_f64(b, col, (double)row / 2);
		return;
	case NX_T_STRING:
	case NX_T_BINARY:
		put_text(b, col, s, row);
		return;
	case NX_T_DECIMAL:
		n = snprintf(t, sizeof(t), "%lld.25", (long long)row);
		break;
	case NX_T_DATE:
		n = snprintf(t, sizeof(t), "2026-01-%02d", day);
		break;
	case NX_T_TIME:
		n = snprintf(t, sizeof(t), "12:34:%02d.5", sec);
		break;
	case NX_T_TIMETZ:
		n = snprintf(t, sizeof(t), "12:34:%02d+02:00", sec);
		break;
	case NX_T_TIMESTAMP:
		n = snprintf(t, sizeof(t), "2026-01-%02dT12:34:%02d", day, sec);
		break;
	case NX_T_TIMESTAMPTZ:
		n = snprintf(t, sizeof(t), "2026-01-%02dT12:34:%02dZ", day, sec);
		break;
	case NX_T_INTERVAL:
		n = snprintf(t, sizeof(t), "P%dDT%dS", day, sec);
		break;
	case NX_T_UUID:
		n = snprintf(t, sizeof(t), "00000000-0000-4000-8000-%012llx",
			     (unsigned long long)row & 0xffffffffffffu);
		break;
	case NX_T_JSON:
		n = snprintf(t, sizeof(t), "{\"row\": %lld}", (long long)row);
		break;
	case NX_T_LIST:
	case NX_T_STRUCT:
	case NX_T_MAP:
	case NX_TYPE_COUNT:
		return;
	}
	nx_builder_text(b, col, t, (size_t)n);
}
