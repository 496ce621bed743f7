/* PostgreSQL text values: canonical or refused, within the room promised; nested ones become JSON. */
#include <stdlib.h>

#include "base/json.h"
#include "drivers/postgresql/pg_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void dates(const char *s, size_t len)
{
	char *out = malloc(len + 16);
	if (!out)
		return;
	size_t n[] = { pg_date_text(s, len, out), pg_timestamp_text(s, len, false, out),
		       pg_timestamp_text(s, len, true, out), pg_timetz_text(s, len, out) };
	for (size_t i = 0; i < NX_COUNTOF(n); i++)
		if (n[i] > len + 16)
			abort();
	free(out);
}

/* The first byte chooses the type. What is accepted must be valid JSON, unless JSON came in. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t oids[] = { 1005, 1009, 1231, 1001, 1185, 1000,
					 1020, 22,   1182, 1270, 3807 };
	if (size < 1)
		return 0;
	const char *s = (const char *)data + 1;
	size_t len = size - 1;
	uint32_t oid = oids[data[0] % NX_COUNTOF(oids)];
	const struct pg_type *list = pg_type_static(oid);
	const struct pg_attr attrs[] = { { NX_STR_INIT("a"), pg_type_static(25) },
					 { NX_STR_INIT("b"), list } };
	const struct pg_type record = {
		.type = NX_T_STRUCT, .conv = PG_CV_RECORD, .nattrs = 2, .attrs = attrs
	};
	dates(s, len);
	struct nx_buf b;
	nx_buf_init(&b, 16 << 20);
	struct nx_arena *a = nx_arena_new(64 << 20);
	const struct nx_json *v;
	struct nx_error err;
	const struct pg_type *t = data[0] & 0x80 ? &record : list;
	bool ok = pg_value_json(&b, t, nx_strn(s, len), 0) && !b.failed;
	/* Digits in odd places ("1-2", "1.2.3") are not told from numbers: the server never sends them. */
	bool digits = oid == 1005 || oid == 1231 || oid == 22;
	if (ok && a && oid != 3807 && !digits && nx_json_parse(nx_buf_str(&b), a, &v, &err) &&
	    err.code != NX_E_MEMORY && nx_utf8_check(nx_strn(s, len)) == len)
		abort();
	nx_buf_done(&b);
	nx_arena_free(a);
	return 0;
}
