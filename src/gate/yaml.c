/* YAML to the same tree that request JSON makes, so that a data source in nexus.yaml and one in a
 * POST body are judged by the same code. Anchors and tags are refused: a config has no use for them
 * and aliases can blow up. */
#include <yaml.h>

#include "gate/config.h"

#define MAX_DEPTH 32
#define MAX_NODES 100000
#define MAX_MEMBERS 1000 /* of a mapping, as in JSON: names are compared with all before */

struct reader {
	yaml_parser_t parser;
	struct nx_arena *arena;
	struct nx_error *err;
	uint32_t nodes;
};

static enum nx_code fail(struct reader *r, const yaml_event_t *ev, const char *what)
{
	size_t line = ev ? ev->start_mark.line : r->parser.problem_mark.line;
	return nx_fail(r->err, NX_E_CONFIG, "line %zu: %s", line + 1, what);
}

static enum nx_code next(struct reader *r, yaml_event_t *ev)
{
	if (yaml_parser_parse(&r->parser, ev))
		return NX_OK;
	return fail(r, NULL, r->parser.problem ? r->parser.problem : "not valid YAML");
}

static size_t digits(struct nx_str s, size_t at)
{
	size_t n = 0;
	while (at + n < s.len && s.ptr[at + n] >= '0' && s.ptr[at + n] <= '9')
		n++;
	return n;
}

/* What JSON takes for one, for it is kept and shown as JSON: 05 and 5. are texts. RFC 8259 6. */
static bool is_number(struct nx_str s)
{
	size_t at = s.len > 0 && s.ptr[0] == '-', n = digits(s, at);
	bool ok = n == 1 || (n > 1 && s.ptr[at] != '0');
	at += n;
	if (ok && at < s.len && s.ptr[at] == '.') {
		n = digits(s, ++at);
		ok = n > 0;
		at += n;
	}
	if (ok && at < s.len && (s.ptr[at] == 'e' || s.ptr[at] == 'E')) {
		at++;
		at += at < s.len && (s.ptr[at] == '-' || s.ptr[at] == '+');
		n = digits(s, at);
		ok = n > 0;
		at += n;
	}
	return ok && at == s.len;
}

static enum nx_json_kind plain_kind(struct nx_str s)
{
	if (s.len == 0 || nx_str_is(s, "~") || nx_str_is(s, "null"))
		return NX_JSON_NULL;
	if (nx_str_is(s, "true") || nx_str_is(s, "false"))
		return NX_JSON_BOOL;
	return is_number(s) ? NX_JSON_NUMBER : NX_JSON_STRING;
}

static enum nx_code node(struct reader *r, yaml_event_t *ev, int depth, struct nx_json **ret);

static enum nx_code children(struct reader *r, bool map, int depth, struct nx_json *up)
{
	struct nx_json **at = &up->first;
	for (;;) {
		yaml_event_t ev;
		enum nx_code c = next(r, &ev);
		if (c)
			return c;
		if (map && up->count == MAX_MEMBERS && ev.type != YAML_MAPPING_END_EVENT) {
			c = fail(r, &ev, "a mapping with too many members");
			yaml_event_delete(&ev);
			return c;
		}
		if (ev.type == YAML_MAPPING_END_EVENT || ev.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&ev);
			return NX_OK;
		}
		struct nx_str key = { NULL, 0 };
		if (map) {
			if (ev.type != YAML_SCALAR_EVENT) {
				c = fail(r, &ev, "a key must be plain text");
			} else {
				key = nx_arena_str(r->arena,
						   nx_strn((const char *)ev.data.scalar.value,
							   ev.data.scalar.length));
				for (struct nx_json *m = up->first; m && !c; m = m->next)
					if (nx_str_eq(m->key, key))
						c = fail(r, &ev, "the same key stands twice");
			}
			yaml_event_delete(&ev);
			if (c || (c = next(r, &ev)) != NX_OK)
				return c;
		}
		struct nx_json *child = NULL;
		c = node(r, &ev, depth + 1, &child);
		yaml_event_delete(&ev);
		if (c)
			return c;
		child->key = key;
		*at = child;
		at = &child->next;
		up->count++;
	}
}

static bool is_anchored(const yaml_event_t *ev)
{
	return (ev->type == YAML_SCALAR_EVENT && ev->data.scalar.anchor) ||
	       (ev->type == YAML_MAPPING_START_EVENT && ev->data.mapping_start.anchor) ||
	       (ev->type == YAML_SEQUENCE_START_EVENT && ev->data.sequence_start.anchor);
}

static bool is_tagged(const yaml_event_t *ev)
{
	return (ev->type == YAML_SCALAR_EVENT && ev->data.scalar.tag) ||
	       (ev->type == YAML_MAPPING_START_EVENT && ev->data.mapping_start.tag) ||
	       (ev->type == YAML_SEQUENCE_START_EVENT && ev->data.sequence_start.tag);
}

static enum nx_code node(struct reader *r, yaml_event_t *ev, int depth, struct nx_json **ret)
{
	if (depth > MAX_DEPTH || ++r->nodes > MAX_NODES)
		return fail(r, ev, "nested too deep or too large");
	if (is_anchored(ev))
		return fail(r, ev, "anchors are not supported");
	if (is_tagged(ev))
		return fail(r, ev, "tags are not supported");
	struct nx_json *v = nx_arena_zalloc(r->arena, sizeof(*v));
	if (!v)
		return nx_fail(r->err, NX_E_MEMORY, "Out of memory.");
	*ret = v;
	switch (ev->type) {
	case YAML_SCALAR_EVENT: {
		struct nx_str s =
			nx_strn((const char *)ev->data.scalar.value, ev->data.scalar.length);
		v->kind = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_kind(s)
									   : NX_JSON_STRING;
		v->text = nx_arena_str(r->arena, s);
		return v->text.ptr ? NX_OK : nx_fail(r->err, NX_E_MEMORY, "Out of memory.");
	}
	case YAML_MAPPING_START_EVENT:
		v->kind = NX_JSON_OBJECT;
		return children(r, true, depth, v);
	case YAML_SEQUENCE_START_EVENT:
		v->kind = NX_JSON_ARRAY;
		return children(r, false, depth, v);
	default:
		return fail(r, ev, "aliases are not supported");
	}
}

enum nx_code nx_yaml_parse(struct nx_str text, struct nx_arena *a, const struct nx_json **ret,
			   struct nx_error *err)
{
	struct nx_error own;
	struct reader r = { .arena = a, .err = err ? err : &own };
	if (!yaml_parser_initialize(&r.parser))
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.ptr, text.len);
	struct nx_json *root = NULL;
	enum nx_code c = NX_OK;
	for (bool more = true; more && !c;) {
		yaml_event_t ev;
		c = next(&r, &ev);
		if (c)
			break;
		switch (ev.type) {
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		case YAML_STREAM_END_EVENT:
			more = false;
			break;
		default:
			c = root ? fail(&r, &ev, "only one document is read")
				 : node(&r, &ev, 0, &root);
		}
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&r.parser);
	if (c)
		return c;
	*ret = root;
	return NX_OK;
}
