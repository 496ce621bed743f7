/* Bound parameters, by the kind they had in JSON, as exactly as the protocol carries them.
 *
 * Whole numbers within 64 bits go as integers, other plain numbers as decimals (digits as sent),
 * numbers with an exponent as doubles: the same as the literal would be in SQL. */
#include "mysql_int.h"

#include <math.h>

enum { DECIMAL_DIGITS = 65, DECIMAL_SCALE = 30 };

static bool as_decimal(struct nx_str s)
{
	size_t digits = 0, scale = 0;
	bool point = false, leading = true;
	for (size_t i = 0; i < s.len; i++) {
		char ch = s.ptr[i];
		if (ch == '.')
			point = true;
		if (ch < '0' || ch > '9')
			continue;
		scale += point;
		leading = leading && ch == '0' && !point;
		digits += !leading;
	}
	return digits <= DECIMAL_DIGITS && scale <= DECIMAL_SCALE;
}

struct slot {
	uint64_t number; /* the bits of an integer or a double */
	unsigned long len;
};

static bool number(struct nx_str s, MYSQL_BIND *b, struct slot *slot)
{
	int64_t i;
	uint64_t u;
	double d;
	b->buffer = &slot->number;
	if (nx_str_to_i64(s, &i)) {
		b->buffer_type = MYSQL_TYPE_LONGLONG;
		memcpy(&slot->number, &i, 8);
		return true;
	}
	if (nx_str_to_u64(s, &u)) {
		b->buffer_type = MYSQL_TYPE_LONGLONG;
		b->is_unsigned = 1;
		slot->number = u;
		return true;
	}
	if (memchr(s.ptr, 'e', s.len) || memchr(s.ptr, 'E', s.len)) {
		if (!nx_str_to_f64(s, &d) || !isfinite(d))
			return false;
		b->buffer_type = MYSQL_TYPE_DOUBLE;
		memcpy(&slot->number, &d, 8);
		return true;
	}
	if (!as_decimal(s))
		return false;
	b->buffer_type = MYSQL_TYPE_NEWDECIMAL;
	b->buffer = (void *)(uintptr_t)s.ptr;
	b->buffer_length = (unsigned long)s.len;
	slot->len = (unsigned long)s.len;
	b->length = &slot->len;
	return true;
}

static bool bind_one(const struct nx_value *v, MYSQL_BIND *b, struct slot *slot)
{
	switch (v->kind) {
	case NX_V_NULL:
		b->buffer_type = MYSQL_TYPE_NULL;
		return true;
	case NX_V_BOOL:
		b->buffer_type = MYSQL_TYPE_TINY;
		b->buffer = &slot->number;
		*(signed char *)b->buffer = nx_str_is(v->text, "true");
		return true;
	case NX_V_NUMBER:
		return number(v->text, b, slot);
	case NX_V_STRING:
		b->buffer_type = MYSQL_TYPE_STRING;
		b->buffer = (void *)(uintptr_t)v->text.ptr;
		slot->len = (unsigned long)v->text.len;
		b->buffer_length = slot->len;
		b->length = &slot->len;
		return true;
	}
	return false;
}

enum nx_code my_bind(MYSQL_STMT *stmt, const struct nx_query *q, struct nx_error *err)
{
	unsigned long want = mysql_stmt_param_count(stmt);
	if (want != q->nparams)
		return nx_fail(err, NX_E_PARAMETER_COUNT,
			       "The statement has %lu placeholders, %u parameters were given.",
			       want, q->nparams);
	if (want == 0)
		return NX_OK;
	MYSQL_BIND *binds = nx_arena_array(q->arena, want, sizeof(*binds));
	struct slot *slots = nx_arena_array(q->arena, want, sizeof(*slots));
	if (!binds || !slots)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	memset(binds, 0, want * sizeof(*binds));
	memset(slots, 0, want * sizeof(*slots));
	for (uint32_t i = 0; i < want; i++)
		if (!bind_one(&q->params[i], &binds[i], &slots[i]))
			return nx_fail(err, NX_E_PARAMETER_VALUE,
				       "Parameter %u is a number the source cannot take exactly.",
				       i + 1);
	if (mysql_stmt_bind_param(stmt, binds))
		return nx_fail(err, NX_E_INTERNAL, "Parameters could not be bound.");
	return NX_OK;
}
