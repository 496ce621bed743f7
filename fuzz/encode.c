/* One value of any text type through every format: the JSON stays JSON and one line, the CSV stays
 * one record, Arrow takes it or says why not; and the JSON checker agrees with the request parser. */
#include <stdlib.h>

#include "base/json.h"
#include "encode/encode.h"
#include "encode/put_str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_json(struct nx_str s, bool line)
{
	char *copy = malloc(s.len + 1);
	if (!copy || !nx_json_copy(copy, s.ptr, s.len))
		abort();
	if (line && memchr(s.ptr, '\n', s.len))
		abort();
	free(copy);
}

/* A record ends at the first line end outside of quotes; it must be the last two bytes. */
static void check_csv(struct nx_str s)
{
	bool quoted = false;
	for (size_t i = 0; i + 2 < s.len; i++) {
		quoted ^= s.ptr[i] == '"';
		if (!quoted && (s.ptr[i] == '\n' || s.ptr[i] == '\r' || s.ptr[i] == ','))
			abort();
	}
	if (s.len < 2 || memcmp(s.ptr + s.len - 2, "\r\n", 2) != 0)
		abort();
}

static void encode(enum nx_type type, bool exact, enum nx_format format, struct nx_str value)
{
	const int32_t offsets[2] = { 0, (int32_t)value.len };
	const struct nx_field f = { .name = NX_STR_INIT("v"),
				    .type = type,
				    .layout = NX_L_TEXT,
				    .precision = 38,
				    .scale = 6 };
	const struct nx_schema schema = { 1, &f };
	const struct nx_column c = { .length = 1, .data = value.ptr, .offsets = offsets };
	const struct nx_batch b = { 1, 1, &c };
	const struct nx_encoding how = { format, exact, false };
	struct nx_encoder *e = nx_encoder_new(&schema, &how);
	struct nx_error err;
	struct nx_buf out;
	nx_buf_init(&out, 64 << 20);
	if (!e)
		abort();
	enum nx_code code = nx_encoder_rows(e, &b, 0, 1, &out, &err);
	if (code && (format != NX_FORMAT_ARROW || code != NX_E_VALUE_UNREPRESENTABLE))
		abort();
	struct nx_str s = nx_buf_str(&out);
	if (format == NX_FORMAT_AGENT && s.len > NX_AGENT_CELL + 64)
		abort();
	if (format == NX_FORMAT_JSON || format == NX_FORMAT_AGENT)
		check_json(s, true);
	else if (format == NX_FORMAT_NDJSON)
		check_json(nx_strn(s.ptr, s.len - 1), true);
	else if (format == NX_FORMAT_CSV)
		check_csv(s);
	nx_buf_done(&out);
	nx_encoder_free(e);
}

static bool has(struct nx_str s, char c)
{
	return s.len > 0 && memchr(s.ptr, c, s.len);
}

/* What the request parser takes the checker takes; the other way round but for what the former has
 * rules for: repeated keys, lone surrogates and depth. */
static void compare_checkers(struct nx_str s)
{
	struct nx_arena *a = nx_arena_new(64 << 20);
	const struct nx_json *v;
	char *copy = malloc(s.len + 1);
	if (!a || !copy)
		abort();
	bool ours = nx_json_copy(copy, s.ptr, s.len),
	     theirs = nx_json_parse(s, a, &v, NULL) == NX_OK;
	if (theirs && !ours)
		abort();
	if (ours && !theirs && !has(s, '{') && !has(s, '[') && !has(s, '\\'))
		abort();
	free(copy);
	nx_arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 1 << 20)
		return 0;
	struct nx_str value = { (const char *)data + 1, size - 1 };
	enum nx_type type = (enum nx_type)(data[0] % NX_TYPE_COUNT);
	for (int f = 0; f < NX_FORMAT_COUNT; f++) {
		encode(type, false, (enum nx_format)f, value);
		encode(type, true, (enum nx_format)f, value);
	}
	compare_checkers(value);
	return 0;
}
