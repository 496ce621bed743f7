/* How fast rows become bytes: encode_bench [rows]. CPU time, so that a busy machine shows less. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "encode.h"

enum { BATCH = 2048 };

static uint64_t state = 88172645463325252u;

static int64_t cpu_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int64_t bigint[BATCH], ts[BATCH], dec[BATCH];
static int32_t integer[BATCH], date[BATCH];
static double price[BATCH];
static uint8_t flag[BATCH / 8];
static char text[BATCH * 24];
static int32_t offsets[BATCH + 1];
static struct nx_view views[BATCH];

static const struct nx_field fields[] = {
	{ NX_STR_INIT("id"), NX_T_INT64, NX_L_I64, NX_STR_INIT("bigint"), 0, 0, 0, 1, 0, NULL },
	{ NX_STR_INIT("n"), NX_T_INT32, NX_L_I32, NX_STR_INIT("integer"), 0, 0, 0, 1, 0, NULL },
	{ NX_STR_INIT("price"), NX_T_FLOAT64, NX_L_F64, NX_STR_INIT("double"), 0, 0, 0, 1, 0,
	  NULL },
	{ NX_STR_INIT("name"), NX_T_STRING, NX_L_TEXT, NX_STR_INIT("varchar"), 0, 0, 0, 1, 0,
	  NULL },
	{ NX_STR_INIT("day"), NX_T_DATE, NX_L_I32, NX_STR_INIT("date"), 0, 0, 0, 1, 0, NULL },
	{ NX_STR_INIT("sum"), NX_T_DECIMAL, NX_L_I64, NX_STR_INIT("decimal(15,2)"), 15, 2, 0, 1, 0,
	  NULL },
	{ NX_STR_INIT("at"), NX_T_TIMESTAMP, NX_L_I64, NX_STR_INIT("timestamp"), 0, 0, NX_UNIT_US,
	  1, 0, NULL },
	{ NX_STR_INIT("ok"), NX_T_BOOL, NX_L_BITS, NX_STR_INIT("boolean"), 0, 0, 0, 1, 0, NULL },
};
enum { NCOLS = NX_COUNTOF(fields) };

static void fill(bool full_doubles)
{
	for (int i = 0; i < BATCH; i++) {
		bigint[i] = (int64_t)(rnd() % 100000000000);
		integer[i] = (int32_t)(rnd() % 2000000) - 1000000;
		price[i] = full_doubles ? (double)(rnd() >> 11) / 9007199254740992.0 * 1000
					: (double)(rnd() % 10000000) / 100;
		date[i] = (int32_t)(rnd() % 20000);
		dec[i] = (int64_t)(rnd() % 1000000000) - 500000000;
		ts[i] = (int64_t)(rnd() % 1700000000000000);
		int len = 8 + (int)(rnd() % 13);
		offsets[i + 1] = offsets[i] + len;
		for (int k = 0; k < len; k++)
			text[offsets[i] + k] = (char)('a' + rnd() % 26);
		views[i].len = (uint32_t)len;
		if (len <= 12)
			memcpy(views[i].u.inl, text + offsets[i], (size_t)len);
		else
			views[i].u.ref.ptr = text + offsets[i];
	}
	for (size_t i = 0; i < sizeof(flag); i++)
		flag[i] = (uint8_t)rnd();
}

static double run(const char *label, const struct nx_field *f, uint32_t n,
		  const struct nx_column *cols, enum nx_format format, uint64_t rows)
{
	struct nx_schema schema = { n, f };
	struct nx_encoding how = { .format = format, .ndjson_objects = true };
	struct nx_encoder *e = nx_encoder_new(&schema, &how);
	struct nx_batch b = { BATCH, n, cols };
	struct nx_buf out;
	struct nx_error err;
	nx_buf_init(&out, 64u << 20);
	uint64_t bytes = 0, done = 0;
	int64_t t0 = cpu_now();
	for (; done < rows; done += BATCH) {
		if (nx_encoder_rows(e, &b, 0, BATCH, &out, &err)) {
			fprintf(stderr, "%s\n", err.message);
			exit(1);
		}
		bytes += out.len;
		nx_buf_clear(&out);
	}
	double s = (double)(cpu_now() - t0) / 1e9;
	printf("%-22s %-7s %8.2f Mrows/s %8.0f MB/s %7.1f ns/row\n", label, nx_formats[format].name,
	       (double)done / s / 1e6, (double)bytes / s / 1e6, s * 1e9 / (double)done);
	nx_buf_done(&out);
	nx_encoder_free(e);
	return s;
}

int main(int argc, char **argv)
{
	uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 4000000;
	fill(false);
	struct nx_column cols[NCOLS] = {
		{ BATCH, NULL, bigint, NULL, NULL }, { BATCH, NULL, integer, NULL, NULL },
		{ BATCH, NULL, price, NULL, NULL },  { BATCH, NULL, text, offsets, NULL },
		{ BATCH, NULL, date, NULL, NULL },   { BATCH, NULL, dec, NULL, NULL },
		{ BATCH, NULL, ts, NULL, NULL },     { BATCH, NULL, flag, NULL, NULL },
	};
	for (int f = 0; f < NX_FORMAT_COUNT; f++)
		run("8-column mix", fields, NCOLS, cols, (enum nx_format)f, rows);
	struct nx_field vf[NCOLS];
	memcpy(vf, fields, sizeof(vf));
	vf[3].layout = NX_L_VIEW;
	cols[3] = (struct nx_column){ BATCH, NULL, views, NULL, NULL };
	run("mix, views", vf, NCOLS, cols, NX_FORMAT_JSON, rows);
	for (uint32_t k = 0; k < NCOLS; k++) {
		char label[32];
		snprintf(label, sizeof(label), "only %s", fields[k].name.ptr);
		run(label, &vf[k], 1, &cols[k], NX_FORMAT_JSON, rows);
	}
	memset(offsets, 0, sizeof(offsets));
	fill(true);
	run("17-digit doubles", &vf[2], 1, &cols[2], NX_FORMAT_JSON, rows);
	return 0;
}
