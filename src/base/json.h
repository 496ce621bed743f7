/* Request JSON: a strict parser into an arena, numbers kept as text so that no digit is lost.
 *
 * Depth 32, 100k values, 1000 members of one object at most; the same key twice is refused.
 * Threads: a tree is read-only and lives as long as its arena. */
#ifndef NX_BASE_JSON_H
#define NX_BASE_JSON_H

#include "nexus/arena.h"
#include "nexus/buf.h"
#include "nexus/error.h"
#include "nexus/str.h"

enum nx_json_kind { NX_JSON_NULL, NX_JSON_BOOL, NX_JSON_NUMBER, NX_JSON_STRING, NX_JSON_ARRAY,
	NX_JSON_OBJECT };

struct nx_json {
	enum nx_json_kind kind;
	struct nx_str key;   /* when a member of an object; unescaped */
	struct nx_str text;  /* NUMBER: as sent; STRING: unescaped, NUL-terminated; BOOL: true|false */
	struct nx_json *first; /* ARRAY, OBJECT: children in order */
	struct nx_json *next;  /* sibling */
	uint32_t count;        /* children */
};

/* The whole of `text` must be one value. BAD_JSON with position. Duplicate keys are refused. */
NX_NODISCARD enum nx_code nx_json_parse(struct nx_str text, struct nx_arena *a,
					const struct nx_json **ret, struct nx_error *err);
/* Member of an object, or NULL. `o` may be NULL. */
const struct nx_json *nx_json_get(const struct nx_json *o, const char *key);
/* Appends the value as compact JSON. */
void nx_json_write(const struct nx_json *v, struct nx_buf *out);

#endif
