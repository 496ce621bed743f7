/* DuckDB's errors to ours. The instance runs with errors_as_json, so most texts carry their kind and
 * the position in the SQL; a few places still answer "Kind Error: text". */
#include "engine/engine_int.h"

#include <stdio.h>

#include "base/json.h"

struct kind {
	const char *text; /* as exception_type has it */
	enum nx_code code;
	const char *sqlstate; /* NULL: the code's own */
};

static const struct kind kinds[] = {
	{ "Parser", NX_E_SQL_PARSE, NULL },
	{ "Syntax", NX_E_SQL_PARSE, NULL },
	{ "Catalog", NX_E_UNDEFINED_OBJECT, NULL },
	{ "Binder", NX_E_SQL_ERROR, NULL },
	{ "Planner", NX_E_SQL_ERROR, NULL },
	{ "Not implemented", NX_E_SQL_ERROR, "0A000" },
	{ "Missing Extension", NX_E_SQL_ERROR, "0A000" },
	{ "Extension Autoloading", NX_E_SQL_ERROR, "0A000" },
	{ "Expression", NX_E_SQL_ERROR, NULL },
	{ "Constraint", NX_E_SQL_ERROR, NULL },
	{ "Dependency", NX_E_SQL_ERROR, NULL },
	{ "Sequence", NX_E_SQL_ERROR, NULL },
	{ "Settings", NX_E_RO_SERVER, NULL },
	{ "TransactionContext", NX_E_SQL_ERROR, NULL },
	{ "Conversion", NX_E_DATA_ERROR, "22018" },
	{ "Out of Range", NX_E_DATA_ERROR, "22003" },
	{ "Decimal", NX_E_DATA_ERROR, "22003" },
	{ "Divide by Zero", NX_E_DATA_ERROR, "22012" },
	{ "Mismatch Type", NX_E_DATA_ERROR, "42804" },
	{ "Invalid type", NX_E_DATA_ERROR, "42804" },
	{ "Unknown Type", NX_E_DATA_ERROR, "42704" },
	{ "Object Size", NX_E_DATA_ERROR, "54000" },
	{ "Invalid Input", NX_E_DATA_ERROR, NULL },
	{ "Invalid", NX_E_DATA_ERROR, NULL },
	{ "Serialization", NX_E_DATA_ERROR, NULL },
	{ "Parameter Not Resolved", NX_E_PARAMETER_VALUE, NULL },
	{ "Parameter Not Allowed", NX_E_PARAMETER_VALUE, NULL },
	{ "IO", NX_E_SOURCE_FAILED, NULL },
	{ "Network", NX_E_SOURCE_PERMISSION, NULL },
	{ "HTTP", NX_E_SOURCE_PERMISSION, NULL },
	{ "Permission", NX_E_SOURCE_PERMISSION, NULL },
	{ "Out of Memory", NX_E_ENGINE_MEMORY, NULL },
	/* Nobody interrupts a worker, cancel kills it: this is one thread's echo of another's error,
	 * which DuckDB now and then reports in its place. */
	{ "INTERRUPT", NX_E_SOURCE_FAILED, NULL },
	{ "INTERNAL", NX_E_ENGINE_CRASHED, NULL },
	{ "FATAL", NX_E_ENGINE_CRASHED, NULL },
};

/* Where the text is more telling than the kind. */
static const struct {
	const char *part;
	enum nx_code code;
	const char *sqlstate;
} parts[] = {
	{ "configuration has been locked", NX_E_RO_SERVER, NULL },
	{ "Cannot change ", NX_E_RO_SERVER, NULL },
	{ "No files found that match", NX_E_UNDEFINED_OBJECT, NULL },
	{ "Permission denied", NX_E_SOURCE_PERMISSION, NULL },
	{ "No such file or directory", NX_E_UNDEFINED_OBJECT, NULL },
	{ "bad_alloc", NX_E_ENGINE_MEMORY, NULL },
	{ "Allocation failure", NX_E_ENGINE_MEMORY, NULL },
	{ "max_temp_directory_size", NX_E_ENGINE_MEMORY, NULL },
	{ "File too large", NX_E_ENGINE_MEMORY, NULL },
};

/* Every `what` in s becomes `with`. */
static void hide(struct nx_buf *b, const char *what, const char *with)
{
	size_t len = strlen(what);
	if (!len || b->failed || !b->len)
		return;
	struct nx_buf out;
	nx_buf_init(&out, b->max);
	for (size_t i = 0; i < b->len;) {
		if (b->len - i >= len && memcmp(b->data + i, what, len) == 0) {
			nx_buf_puts(&out, with);
			i += len;
		} else {
			nx_buf_putc(&out, b->data[i++]);
		}
	}
	nx_buf_done(b);
	*b = out;
}

static void hide_names(struct nx_buf *b, const struct nx_fault_names *names)
{
	char folder[4100];
	int n = snprintf(folder, sizeof folder, "%s/", names->root);
	if (names->root[0] && n > 0 && (size_t)n < sizeof folder) {
		hide(b, folder, "");
		hide(b, names->root, ".");
	}
	hide(b, names->temp, "(temporary)");
	for (uint32_t i = 0; i < names->nparams; i++) {
		/* a bound value may be a secret; short ones are left, for they would tear every
		 * number of the text apart */
		if (names->params[i].kind != NX_V_BOOL && names->params[i].text.len >= 4)
			hide(b, names->params[i].text.ptr, "?");
	}
}

/* "Kind Error: text" */
static struct nx_str plain(const char *message, struct nx_str *kind)
{
	const char *mark = strstr(message, " Error: ");
	if (!mark || mark - message > 40) {
		*kind = NX_STR("");
		return nx_str(message);
	}
	*kind = nx_strn(message, (size_t)(mark - message));
	return nx_str(mark + 8);
}

static const struct kind *find_kind(struct nx_str text)
{
	for (size_t i = 0; i < NX_COUNTOF(kinds); i++)
		if (nx_str_is(text, kinds[i].text))
			return &kinds[i];
	return NULL;
}

static struct nx_str member(const struct nx_json *o, const char *key)
{
	const struct nx_json *v = nx_json_get(o, key);
	return v && v->kind == NX_JSON_STRING ? v->text : NX_STR("");
}

static const char *undefined_state(struct nx_str type)
{
	if (nx_str_starts(type, NX_STR("Table")) && type.len == 5)
		return "42P01";
	if (nx_str_ends(type, NX_STR("Function")))
		return "42883";
	return NULL;
}

/* Without advice that does not apply here: settings are locked, and the tables that exist are not
 * those that DuckDB knows of. */
static struct nx_str first_part(struct nx_str text)
{
	static const char *const advice[] = { "\n\nPossible solutions", "\nPossible solutions",
					      "\nDid you mean", "\n\nStack Trace" };
	for (size_t i = 0; i < NX_COUNTOF(advice); i++) {
		const char *at = memmem(text.ptr, text.len, advice[i], strlen(advice[i]));
		if (at)
			text.len = (size_t)(at - text.ptr);
	}
	return text;
}

static enum nx_code set(const struct kind *k, struct nx_str text, const struct nx_json *o,
			const struct nx_fault_names *names, struct nx_error *err)
{
	enum nx_code code = k ? k->code : NX_E_SQL_ERROR;
	const char *state = k ? k->sqlstate : NULL;
	if (nx_str_is(member(o, "error_subtype"), "COLUMN_NOT_FOUND")) {
		code = NX_E_UNDEFINED_OBJECT;
		state = "42703";
	} else if (code == NX_E_UNDEFINED_OBJECT) {
		state = undefined_state(member(o, "type"));
	}
	struct nx_buf b;
	nx_buf_init(&b, 64 << 10);
	text = first_part(text);
	nx_buf_put(&b, text.ptr, text.len > 4000 ? 4000 : text.len);
	nx_buf_putc(&b, '\0');
	for (size_t i = 0; !b.failed && i < NX_COUNTOF(parts); i++) {
		if (strstr(b.data, parts[i].part) && code != NX_E_SQL_PARSE) {
			code = parts[i].code;
			state = parts[i].sqlstate;
			break;
		}
	}
	if (code == NX_E_ENGINE_CRASHED) { /* a stack trace follows */
		nx_fail(err, code, "the engine hit an internal error on this query");
		nx_error_detail(err, "%s", b.failed ? "" : b.data);
	} else {
		hide_names(&b, names);
		nx_fail(err, code, "%s", b.failed ? "no memory for the message" : b.data);
	}
	if (state)
		nx_error_native(err, 0, state);
	nx_buf_done(&b);
	int64_t position;
	if (nx_str_to_i64(member(o, "position"), &position) && position >= 0 &&
	    position < INT32_MAX) {
		struct nx_str name = member(o, "name");
		nx_error_at(err, (size_t)position, name.ptr, name.len);
	}
	return code;
}

enum nx_code nx_fault(const char *message, const struct nx_fault_names *names, struct nx_error *err)
{
	if (!message || !*message)
		return nx_fail(err, NX_E_SQL_ERROR, "the engine refused the query");
	struct nx_str kind = NX_STR_INIT("");
	struct nx_str text = nx_str(message);
	const char *brace = strchr(message, '{');
	struct nx_arena *a = nx_arena_new(4 << 20);
	const struct nx_json *o = NULL;
	struct nx_error ignored;
	if (a && brace &&
	    (brace == message ||
	     (brace - message >= 8 && strncmp(brace - 8, " Error: ", 8) == 0)) &&
	    nx_json_parse(nx_str(brace), a, &o, &ignored) == NX_OK && o->kind == NX_JSON_OBJECT) {
		kind = member(o, "exception_type");
		text = member(o, "exception_message");
	} else {
		o = NULL;
		text = plain(message, &kind);
	}
	enum nx_code code = set(find_kind(kind), text, o, names, err);
	nx_arena_free(a);
	return code;
}
