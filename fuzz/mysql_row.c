/* A row of the binary protocol: the first byte says how many columns, as many bytes their kinds, the
 * rest are the values. Whatever they hold, nothing is read outside of them. */
#include "../src/drivers/mysql/mysql_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct nx_field fields[] = {
	[MY_NULL] = { .type = NX_T_NULL, .layout = NX_L_NONE },
	[MY_I8] = { .type = NX_T_INT8, .layout = NX_L_I8 },
	[MY_U8] = { .type = NX_T_UINT8, .layout = NX_L_U8 },
	[MY_I16] = { .type = NX_T_INT16, .layout = NX_L_I16 },
	[MY_U16] = { .type = NX_T_UINT16, .layout = NX_L_U16 },
	[MY_I32] = { .type = NX_T_INT32, .layout = NX_L_I32 },
	[MY_U32] = { .type = NX_T_UINT32, .layout = NX_L_U32 },
	[MY_I64] = { .type = NX_T_INT64, .layout = NX_L_I64 },
	[MY_U64] = { .type = NX_T_UINT64, .layout = NX_L_U64 },
	[MY_F32] = { .type = NX_T_FLOAT32, .layout = NX_L_F32 },
	[MY_F64] = { .type = NX_T_FLOAT64, .layout = NX_L_F64 },
	[MY_BYTES] = { .type = NX_T_STRING, .layout = NX_L_TEXT },
	[MY_DECIMAL] = { .type = NX_T_DECIMAL, .layout = NX_L_TEXT },
	[MY_BIT] = { .type = NX_T_UINT64, .layout = NX_L_U64 },
	[MY_GEOMETRY] = { .type = NX_T_STRING, .layout = NX_L_TEXT },
	[MY_DATE] = { .type = NX_T_DATE, .layout = NX_L_TEXT },
	[MY_TIMESTAMP] = { .type = NX_T_TIMESTAMP, .layout = NX_L_TEXT },
	[MY_TIMESTAMPTZ] = { .type = NX_T_TIMESTAMPTZ, .layout = NX_L_TEXT },
	[MY_TIME] = { .type = NX_T_TIME, .layout = NX_L_TEXT },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nx_field row[16];
	enum my_wire wires[16];
	if (size < 1)
		return 0;
	uint32_t n = 1 + data[0] % 16;
	if (size < 1 + n)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		wires[i] = (enum my_wire)(data[1 + i] % NX_COUNTOF(fields));
		row[i] = fields[wires[i]];
	}
	struct nx_schema schema = { n, row };
	struct nx_builder *b = nx_builder_new(&schema, 2, 1 << 16);
	const unsigned char *p = data + 1 + n, *end = data + size;
	for (uint32_t i = 0; b && i < n && my_decode(b, i, wires[i], &p, end); i++)
		if (p > end)
			abort();
	nx_builder_free(b);
	return 0;
}
