#include "base/clock.h"
#include "base/json.h"
#include "nexus/arena.h"
#include "nexus/buf.h"
#include "nexus/option.h"
#include "test.h"

NX_TEST(arena_cap_and_cleanup)
{
	struct nx_arena *a = nx_arena_new(1000);
	NX_CHECK(nx_arena_alloc(a, 500) != NULL);
	NX_CHECK(nx_arena_alloc(a, 600) == NULL);
	struct nx_arena *c = nx_arena_child(a);
	NX_CHECK(nx_arena_alloc(c, 400) != NULL);
	NX_CHECK(nx_arena_alloc(c, 200) == NULL);
	nx_arena_free(c);
	NX_CHECK(nx_arena_alloc(a, 400) != NULL);
	nx_arena_reset(a);
	NX_EQ_I(0, nx_arena_used(a));
	nx_arena_free(a);
}

static void note(void *arg)
{
	int *n = arg;
	(*n)++;
}

NX_TEST(arena_runs_cleanups_once)
{
	int n = 0;
	struct nx_arena *a = nx_arena_new(0);
	NX_CHECK(nx_arena_cleanup(a, note, &n));
	NX_CHECK(nx_arena_cleanup(a, note, &n));
	nx_arena_reset(a);
	NX_EQ_I(2, n);
	nx_arena_free(a);
	NX_EQ_I(2, n);
}

NX_TEST(buf_max_is_sticky)
{
	struct nx_buf b;
	nx_buf_init(&b, 8);
	nx_buf_puts(&b, "12345");
	nx_buf_puts(&b, "6789");
	NX_CHECK(b.failed);
	nx_buf_puts(&b, "x");
	NX_EQ_I(5, b.len);
	nx_buf_done(&b);
}

NX_TEST(json_string_escapes)
{
	struct nx_buf b;
	nx_buf_init(&b, 1000);
	nx_buf_put_json(&b, nx_strn("a\"\\\n\x01\xff中", 9));
	NX_EQ_STR(NX_STR("\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd中\""), nx_buf_str(&b));
	nx_buf_done(&b);
}

NX_TEST(utf8)
{
	NX_EQ_I(3, nx_utf8_check(NX_STR("中")));
	NX_EQ_I(0, nx_utf8_check(NX_STR("\xc0\x80")));
	NX_EQ_I(1, nx_utf8_check(NX_STR("a\xed\xa0\x80")));
	NX_EQ_I(9, nx_utf8_check(NX_STR("123456789\xf5")));
}

NX_TEST(numbers)
{
	int64_t i;
	NX_CHECK(nx_str_to_i64(NX_STR("-9223372036854775808"), &i) && i == INT64_MIN);
	NX_CHECK(!nx_str_to_i64(NX_STR("9223372036854775808"), &i));
	NX_CHECK(!nx_str_to_i64(NX_STR("-"), &i));
	NX_CHECK(!nx_str_to_i64(NX_STR("1 "), &i));
}

NX_TEST(json_numbers_keep_their_text)
{
	struct nx_arena *a = nx_arena_new(0);
	const struct nx_json *v;
	struct nx_error err;
	NX_EQ_I(NX_OK, nx_json_parse(NX_STR("{\"p\":[123456789012345678901.50,null,true,\"x\"]}"),
				     a, &v, &err));
	const struct nx_json *p = nx_json_get(v, "p");
	NX_EQ_I(4, p->count);
	NX_EQ_STR(NX_STR("123456789012345678901.50"), p->first->text);
	struct nx_buf b;
	nx_buf_init(&b, 1000);
	nx_json_write(v, &b);
	NX_EQ_STR(NX_STR("{\"p\":[123456789012345678901.50,null,true,\"x\"]}"), nx_buf_str(&b));
	nx_buf_done(&b);
	nx_arena_free(a);
}

NX_TEST(json_surrogates)
{
	struct nx_arena *a = nx_arena_new(0);
	const struct nx_json *v;
	struct nx_error err;
	NX_EQ_I(NX_OK, nx_json_parse(NX_STR("\"\\ud83d\\ude00 \\\\ud800\""), a, &v, &err));
	NX_EQ_STR(NX_STR("\xf0\x9f\x98\x80 \\ud800"), v->text);
	nx_arena_free(a);
}

NX_TEST(json_strings_are_unescaped)
{
	struct nx_arena *a = nx_arena_new(0);
	const struct nx_json *v;
	struct nx_error err;
	NX_EQ_I(NX_OK, nx_json_parse(NX_STR(" \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u4e2d"
					    "\\ud83d\\ude00\" \n"),
				     a, &v, &err));
	NX_EQ_STR(NX_STR("\"\\/\b\f\n\r\tA\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80"), v->text);
	nx_arena_free(a);
}

NX_TEST(json_refusals)
{
	static const char *const bad[] = { "",
					   "{",
					   "[1,]",
					   "{\"a\":1}x",
					   "nul",
					   "{\"a\":1,\"a\":2}",
					   "[01]",
					   "\"\xff\"",
					   "[1e]",
					   "{\"a\" 1}",
					   "'a'",
					   "[NaN]",
					   "// c\n1",
					   "\"\\ud800\"",
					   "\"\\udc00\"",
					   "\"\\ud83dx\\ude00\"",
					   "\"\\ud800\\u0041\"" };
	struct nx_error err;
	for (size_t i = 0; i < NX_COUNTOF(bad); i++) {
		struct nx_arena *a = nx_arena_new(0);
		const struct nx_json *v;
		if (nx_json_parse(nx_str(bad[i]), a, &v, &err) != NX_E_BAD_JSON)
			nx_test_fail(__FILE__, __LINE__, "accepted: %s", bad[i]);
		nx_arena_free(a);
	}
	char deep[200];
	memset(deep, '[', sizeof(deep));
	struct nx_arena *a = nx_arena_new(0);
	const struct nx_json *v;
	NX_EQ_I(NX_E_BAD_JSON, nx_json_parse(nx_strn(deep, sizeof(deep)), a, &v, &err));
	nx_arena_free(a);
}

NX_TEST(options)
{
	static const struct nx_option table[] = {
		{ "n", NX_OPT_INT, 0, "5", 1, 10, NULL, "" },
		{ "t", NX_OPT_SECONDS, 0, "1.5", 0, 0, NULL, "" },
		{ "e", NX_OPT_ENUM, 0, NULL, 0, 0, "Red|green", "" },
		{ "s", NX_OPT_SECRET, NX_OPTF_REQUIRED, NULL, 0, 0, NULL, "" },
		{ .key = NULL },
	};
	struct nx_error err;
	struct nx_options *o = nx_options_new();
	NX_EQ_I(NX_E_CONFIG_INVALID, nx_options_defaults(o, table, &err));
	NX_EQ_S("s is required.", err.message);
	NX_EQ_I(NX_OK, nx_options_set(o, &table[3], NX_STR("hush"), &err));
	NX_EQ_I(NX_OK, nx_options_defaults(o, table, &err));
	NX_EQ_I(5, nx_opt_int(o, "n", 0));
	NX_EQ_I(1500, nx_opt_ms(o, "t", 0));
	NX_EQ_I(NX_E_CONFIG_INVALID, nx_options_set(o, &table[0], NX_STR("11"), &err));
	NX_EQ_I(NX_OK, nx_options_set(o, &table[2], NX_STR("RED"), &err));
	NX_EQ_S("Red", nx_opt_str(o, "e", ""));
	nx_options_free(o);
}

NX_TEST(iso_time)
{
	char t[NX_ISO_LEN];
	nx_iso_time(1700000000123456, t);
	NX_EQ_S("2023-11-14T22:13:20.123Z", t);
}

NX_TEST(error_message_is_one_clean_line)
{
	struct nx_error err;
	(void)nx_fail(&err, NX_E_SQL_ERROR, "a\nb\x7f%s", "\xe4\xb8");
	NX_EQ_S("a b ", err.message);
	NX_EQ_I(400, nx_code_http(NX_E_SQL_ERROR));
}
