#include "nexus/builder.h"

#include <stdlib.h>

#include "test.h"

static const struct nx_field fields[] = {
	{ .type = NX_T_STRING, .layout = NX_L_TEXT }, { .type = NX_T_INT64, .layout = NX_L_I64 },
	{ .type = NX_T_INT8, .layout = NX_L_I8 },     { .type = NX_T_BOOL, .layout = NX_L_BITS },
	{ .type = NX_T_FLOAT32, .layout = NX_L_F32 }, { .type = NX_T_FLOAT64, .layout = NX_L_F64 },
	{ .type = NX_T_UINT64, .layout = NX_L_U64 },  { .type = NX_T_NULL, .layout = NX_L_NONE },
	{ .type = NX_T_INT16, .layout = NX_L_I16 },   { .type = NX_T_UINT32, .layout = NX_L_U32 },
};
static const struct nx_schema schema = { NX_COUNTOF(fields), fields };
static const struct nx_schema text1 = { 1, fields };

static void row(struct nx_builder *b, int i)
{
	char s[32];
	int n = snprintf(s, sizeof(s), "row %d", i);
	if (i % 3)
		nx_builder_text(b, 0, s, (size_t)n);
	nx_builder_i64(b, 1, (int64_t)i * -1000000007);
	if (i % 5)
		nx_builder_i64(b, 2, i % 100 - 50);
	nx_builder_bool(b, 3, i % 2);
	nx_builder_f64(b, 4, i / 4.0);
	nx_builder_f64(b, 5, i / 3.0);
	nx_builder_u64(b, 6, UINT64_MAX - (unsigned)i);
	nx_builder_i64(b, 8, -i);
	nx_builder_u64(b, 9, 4000000000u + (unsigned)i);
	NX_EQ_I(NX_OK, nx_builder_row_end(b, NULL));
}

static void check(const struct nx_batch *batch, int first)
{
	const struct nx_column *c = batch->cols;
	for (int r = 0; r < (int)batch->nrows; r++) {
		int i = first + r;
		char s[32];
		int n = snprintf(s, sizeof(s), "row %d", i);
		NX_EQ_I(i % 3 != 0, nx_column_valid(&c[0], r));
		NX_EQ_STR(nx_strn(s, i % 3 ? (size_t)n : 0), nx_column_text(&c[0], r));
		NX_EQ_I((int64_t)i * -1000000007, ((const int64_t *)c[1].data)[r]);
		NX_EQ_I(i % 5 != 0, nx_column_valid(&c[2], r));
		NX_EQ_I(i % 5 ? i % 100 - 50 : 0, ((const int8_t *)c[2].data)[r]);
		NX_EQ_I(i % 2, ((const uint8_t *)c[3].data)[r / 8] >> (r & 7) & 1);
		NX_CHECK(((const float *)c[4].data)[r] == (float)(i / 4.0));
		NX_CHECK(((const double *)c[5].data)[r] == i / 3.0);
		NX_EQ_I(UINT64_MAX - (unsigned)i, ((const uint64_t *)c[6].data)[r]);
		NX_CHECK(!nx_column_valid(&c[7], r));
		NX_EQ_I((int16_t)-i, ((const int16_t *)c[8].data)[r]);
		NX_EQ_I(4000000000u + (unsigned)i, ((const uint32_t *)c[9].data)[r]);
	}
}

NX_TEST(values_and_nulls_over_growing_batches)
{
	struct nx_builder *b = nx_builder_new(&schema, 4, 1 << 20);
	NX_CHECK(b);
	int i = 0;
	for (uint32_t size = 4; size <= 4096; size *= 4) {
		int first = i;
		while (!nx_builder_full(b))
			row(b, i++);
		struct nx_batch batch;
		nx_builder_batch(b, &batch);
		NX_EQ_I(size, batch.nrows);
		check(&batch, first);
		nx_builder_limits(b, size * 4, 1 << 20);
		nx_builder_clear(b);
		NX_EQ_I(0, nx_builder_rows(b));
	}
	nx_builder_limits(b, 3, 1 << 20);
	nx_builder_clear(b);
	int first = i;
	while (!nx_builder_full(b))
		row(b, i++);
	struct nx_batch batch;
	nx_builder_batch(b, &batch);
	NX_EQ_I(3, batch.nrows);
	check(&batch, first);
	nx_builder_free(b);
}

NX_TEST(no_nulls_no_bitmap)
{
	struct nx_builder *b = nx_builder_new(&text1, 8, 1 << 20);
	nx_builder_text(b, 0, NULL, 0);
	NX_EQ_I(NX_OK, nx_builder_row_end(b, NULL));
	struct nx_batch batch;
	nx_builder_batch(b, &batch);
	NX_CHECK(!batch.cols[0].validity);
	NX_EQ_I(NX_OK, nx_builder_row_end(b, NULL));
	nx_builder_batch(b, &batch);
	NX_CHECK(batch.cols[0].validity && !nx_column_valid(&batch.cols[0], 1));
	nx_builder_free(b);
}

NX_TEST(full_by_bytes_one_row_may_go_over)
{
	struct nx_builder *b = nx_builder_new(&text1, 1000, 100);
	static char big[5000];
	memset(big, 'x', sizeof(big));
	NX_CHECK(!nx_builder_full(b));
	nx_builder_text(b, 0, big, sizeof(big));
	NX_EQ_I(NX_OK, nx_builder_row_end(b, NULL));
	NX_CHECK(nx_builder_full(b));
	struct nx_batch batch;
	nx_builder_batch(b, &batch);
	NX_EQ_STR(nx_strn(big, sizeof(big)), nx_column_text(&batch.cols[0], 0));
	nx_builder_free(b);
}

NX_TEST(room_and_shrink)
{
	struct nx_builder *b = nx_builder_new(&text1, 10, 1 << 20);
	for (int i = 0; i < 3; i++) {
		char *p = nx_builder_room(b, 0, 1000);
		NX_CHECK(p);
		memcpy(p, "abcdef", 6);
		nx_builder_shrink(b, 0, (size_t)(2 + i));
		NX_EQ_I(NX_OK, nx_builder_row_end(b, NULL));
	}
	struct nx_batch batch;
	nx_builder_batch(b, &batch);
	NX_EQ_STR(NX_STR("ab"), nx_column_text(&batch.cols[0], 0));
	NX_EQ_STR(NX_STR("abcd"), nx_column_text(&batch.cols[0], 2));
	nx_builder_free(b);
}

NX_TEST(offset_overflow_is_sticky_and_typed)
{
	struct nx_builder *b = nx_builder_new(&text1, 10, SIZE_MAX);
	struct nx_error err;
	nx_builder_text(b, 0, "x", 1);
	NX_EQ_I(NX_OK, nx_builder_row_end(b, &err));
	NX_CHECK(!nx_builder_room(b, 0, INT32_MAX));
	nx_builder_shrink(b, 0, 0);
	NX_EQ_I(NX_E_RESULT_TOO_LARGE, nx_builder_row_end(b, &err));
	NX_CHECK(!nx_builder_room(b, 0, SIZE_MAX));
	nx_builder_text(b, 0, "y", 1);
	NX_EQ_I(NX_E_RESULT_TOO_LARGE, nx_builder_row_end(b, &err));
	NX_EQ_I(1, nx_builder_rows(b));
	nx_builder_free(b);
}

NX_TEST(a_row_too_many_is_refused)
{
	struct nx_builder *b = nx_builder_new(&schema, 1, 1 << 20);
	struct nx_error err;
	row(b, 1);
	nx_builder_text(b, 0, "over", 4);
	nx_builder_bool(b, 3, true);
	NX_EQ_I(NX_E_INTERNAL, nx_builder_row_end(b, &err));
	NX_EQ_I(1, nx_builder_rows(b));
	nx_builder_clear(b);
	row(b, 2);
	struct nx_batch batch;
	nx_builder_batch(b, &batch);
	check(&batch, 2);
	nx_builder_free(b);
}

NX_TEST(no_columns)
{
	static const struct nx_schema none;
	struct nx_builder *b = nx_builder_new(&none, 4, 100);
	NX_EQ_I(NX_OK, nx_builder_row_end(b, NULL));
	struct nx_batch batch;
	nx_builder_batch(b, &batch);
	NX_EQ_I(1, batch.nrows);
	nx_builder_free(b);
	nx_builder_free(NULL);
}
