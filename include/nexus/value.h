/* A bound parameter: any JSON scalar, kept as text so that no digit is lost.
 * Values may be secrets: never logged, never in an error message. */
#ifndef NEXUS_VALUE_H
#define NEXUS_VALUE_H

#include "nexus/str.h"

enum nx_value_kind { NX_V_NULL, NX_V_BOOL, NX_V_NUMBER, NX_V_STRING };

struct nx_value {
	enum nx_value_kind kind;
	struct nx_str text; /* NUMBER: a JSON number as sent; STRING: UTF-8 without NUL bytes, NUL-
			     * terminated after len; BOOL: "true" or "false"; NULL: empty */
};

static inline bool nx_value_is_integer(const struct nx_value *v)
{
	if (v->kind != NX_V_NUMBER)
		return false;
	for (size_t i = 0; i < v->text.len; i++)
		if (v->text.ptr[i] == '.' || v->text.ptr[i] == 'e' || v->text.ptr[i] == 'E')
			return false;
	return true;
}

#endif
