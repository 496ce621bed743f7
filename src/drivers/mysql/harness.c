#include "harness.h"

#include <inttypes.h>

static const char *env(const char *name)
{
	const char *v = getenv(name);
	if (!v)
		NX_SKIP("no server: run by tests/servers/mariadb.sh run");
	return v;
}

static void set(struct nx_options *o, const char *key, const char *value)
{
	const struct nx_option *spec = nx_option_find(nx_driver_mysql.options, nx_str(key));
	if (!spec)
		spec = nx_option_find(nx_options_common, nx_str(key));
	struct nx_error err;
	if (!spec || nx_options_set(o, spec, nx_str(value), &err))
		nx_test_fail(__FILE__, __LINE__, "option %s=%s", key, value);
}

struct nx_options *h_options(const char *const *more)
{
	struct nx_options *o = nx_options_new();
	struct nx_error err;
	set(o, "host", "127.0.0.1");
	set(o, "port", env("NX_MARIADB_PORT"));
	set(o, "username", env("NX_MARIADB_USER"));
	set(o, "password", env("NX_MARIADB_PASSWORD"));
	set(o, "database", "nx");
	set(o, "ssl", "disable");
	for (; more && *more; more++) {
		char key[64];
		const char *eq = strchr(*more, '=');
		snprintf(key, sizeof(key), "%.*s", (int)(eq - *more), *more);
		set(o, key, eq + 1);
	}
	NX_EQ_I(NX_OK, nx_options_defaults(o, nx_driver_mysql.options, &err));
	NX_EQ_I(NX_OK, nx_options_defaults(o, nx_options_common, &err));
	return o;
}

enum nx_code h_try(struct session *s, const char *const *more, int64_t deadline)
{
	*s = (struct session){ .opts = h_options(more), .arena = nx_arena_new(0) };
	NX_EQ_I(NX_OK, nx_driver_mysql.init(&s->err));
	enum nx_code code = nx_driver_mysql.open(s->opts, &s->source, &s->err);
	return code ? code : nx_driver_mysql.connect(s->source, deadline, &s->conn, &s->err);
}

struct session h_open(const char *const *more)
{
	struct session s;
	if (h_try(&s, more, nx_now() + INT64_C(10000000000)))
		nx_test_fail(__FILE__, __LINE__, "connect: %s (%s)", s.err.message, s.err.detail);
	return s;
}

void h_close(struct session *s)
{
	nx_driver_mysql.disconnect(s->conn);
	nx_driver_mysql.close(s->source);
	nx_options_free(s->opts);
	nx_arena_free(s->arena);
}

static MYSQL *admin(void)
{
	static MYSQL *my;
	if (my)
		return my;
	my = mysql_init(NULL);
	mysql_options(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	if (!mysql_real_connect(my, "localhost", "root", "", "nx", 0, env("NX_MARIADB_SOCKET"), 0))
		nx_test_fail(__FILE__, __LINE__, "admin: %s", mysql_error(my));
	return my;
}

void h_admin(const char *sql)
{
	(void)h_admin_value(sql);
}

const char *h_admin_value(const char *sql)
{
	static char value[4096];
	MYSQL *my = admin();
	if (mysql_query(my, sql))
		nx_test_fail(__FILE__, __LINE__, "admin: %s: %s", sql, mysql_error(my));
	MYSQL_RES *res = mysql_store_result(my);
	MYSQL_ROW row = res ? mysql_fetch_row(res) : NULL;
	snprintf(value, sizeof(value), "%s", row && row[0] ? row[0] : "");
	mysql_free_result(res);
	return value;
}

struct nx_query h_ask(struct session *s, struct ask a)
{
	int64_t ms = a.timeout_ms ? a.timeout_ms : 20000;
	return (struct nx_query){
		.sql = nx_str(a.sql),
		.params = a.params,
		.nparams = a.nparams,
		.limits = { .max_rows = a.max_rows ? a.max_rows : UINT64_MAX,
			    .batch_rows = 4096,
			    .batch_bytes = 1 << 20 },
		.pure = a.pure,
		.deadline = nx_now() + ms * 1000000,
		.arena = s->arena,
	};
}

enum nx_code h_query(struct session *s, struct ask a, struct nx_stream **ret)
{
	struct nx_query q = h_ask(s, a);
	return nx_driver_mysql.query(s->conn, &q, ret, &s->state, &s->err);
}

static void put_value(struct nx_buf *b, const struct nx_field *f, const struct nx_column *c,
		      uint32_t i)
{
	if (f->layout == NX_L_NONE || !nx_column_valid(c, i)) {
		nx_buf_puts(b, "NULL");
		return;
	}
	char text[64];
	switch ((unsigned)f->layout) {
	case NX_L_I8:
		nx_buf_put_i64(b, ((const int8_t *)c->data)[i]);
		break;
	case NX_L_I16:
		nx_buf_put_i64(b, ((const int16_t *)c->data)[i]);
		break;
	case NX_L_I32:
		nx_buf_put_i64(b, ((const int32_t *)c->data)[i]);
		break;
	case NX_L_I64:
		nx_buf_put_i64(b, ((const int64_t *)c->data)[i]);
		break;
	case NX_L_U8:
		nx_buf_put_u64(b, ((const uint8_t *)c->data)[i]);
		break;
	case NX_L_U16:
		nx_buf_put_u64(b, ((const uint16_t *)c->data)[i]);
		break;
	case NX_L_U32:
		nx_buf_put_u64(b, ((const uint32_t *)c->data)[i]);
		break;
	case NX_L_U64:
		nx_buf_put_u64(b, ((const uint64_t *)c->data)[i]);
		break;
	case NX_L_F32:
		for (int n = 6; n <= 9; n++) {
			snprintf(text, sizeof(text), "%.*g", n,
				 (double)((const float *)c->data)[i]);
			if (strtof(text, NULL) == ((const float *)c->data)[i])
				break;
		}
		nx_buf_puts(b, text);
		break;
	case NX_L_F64:
		for (int n = 15; n <= 17; n++) {
			snprintf(text, sizeof(text), "%.*g", n, ((const double *)c->data)[i]);
			if (strtod(text, NULL) == ((const double *)c->data)[i])
				break;
		}
		nx_buf_puts(b, text);
		break;
	case NX_L_TEXT: {
		struct nx_str s = nx_column_text(c, i);
		if (f->type != NX_T_BINARY) {
			nx_buf_put_str(b, s);
			break;
		}
		nx_buf_puts(b, "0x");
		for (size_t k = 0; k < s.len; k++)
			nx_buf_printf(b, "%02x", (unsigned char)s.ptr[k]);
		break;
	}
	default:
		nx_test_fail(__FILE__, __LINE__, "layout %d", f->layout);
	}
}

static void put_schema(struct nx_buf *b, const struct nx_schema *sc)
{
	for (uint32_t i = 0; i < sc->nfields; i++) {
		const struct nx_field *f = &sc->fields[i];
		nx_buf_printf(b, NX_STR_FMT " %s " NX_STR_FMT "%s\n", NX_STR_ARG(f->name),
			      nx_type_name(f->type), NX_STR_ARG(f->native),
			      f->nullable ? "" : " not null");
	}
}

enum nx_code h_run(struct session *s, struct ask a, struct h_result *ret)
{
	static struct nx_buf columns, rows;
	struct nx_stream *st;
	struct nx_batch batch;
	nx_buf_done(&columns);
	nx_buf_done(&rows);
	nx_buf_init(&columns, 1 << 20);
	nx_buf_init(&rows, 1 << 24);
	enum nx_code code = h_query(s, a, &st);
	if (!code) {
		const struct nx_schema *sc = nx_driver_mysql.schema(st);
		put_schema(&columns, sc);
		while (!(code = nx_driver_mysql.next(st, &batch, &s->err)) && batch.nrows > 0)
			for (uint32_t r = 0; r < batch.nrows; r++)
				for (uint32_t k = 0; k < batch.ncols; k++) {
					put_value(&rows, &sc->fields[k], &batch.cols[k], r);
					nx_buf_puts(&rows, k + 1 < batch.ncols ? " | " : "\n");
				}
		s->state = nx_driver_mysql.release(st);
	}
	nx_buf_putc(&columns, '\0');
	nx_buf_putc(&rows, '\0');
	*ret = (struct h_result){ columns.data, rows.data };
	return code;
}

const char *h_text(struct session *s, struct ask a)
{
	static char text[4096];
	struct h_result r;
	enum nx_code code = h_run(s, a, &r);
	if (code)
		snprintf(text, sizeof(text), "%s %" PRId32 " %s", nx_code_name(code), s->err.native,
			 s->err.sqlstate);
	else
		snprintf(text, sizeof(text), "%.*s", (int)strlen(r.rows) - (*r.rows != '\0'),
			 r.rows);
	return text;
}

enum nx_code h_count(struct nx_stream *st, uint64_t *rows, struct nx_error *err)
{
	struct nx_batch batch;
	enum nx_code code;
	uint64_t n = 0;
	while (!(code = nx_driver_mysql.next(st, &batch, err)) && batch.nrows > 0)
		n += batch.nrows;
	if (rows)
		*rows = n;
	return code;
}

static size_t status_kb(const char *key)
{
	char line[256];
	size_t kb = 0;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			kb = strtoul(line + strlen(key), NULL, 10);
	if (f)
		fclose(f);
	return kb;
}

size_t h_rss_kb(void)
{
	return status_kb("VmRSS:");
}

void h_peak_reset(void)
{
	FILE *f = fopen("/proc/self/clear_refs", "w");
	if (f) {
		fputs("5", f);
		fclose(f);
	}
}

size_t h_peak_kb(void)
{
	return status_kb("VmHWM:");
}
