/* OID and type modifier to a type: a table for what every server has, pg_type for the rest.
 *
 * Looked-up types live as long as the connection, since statements point to them; there are at most
 * PG_TYPES_MAX, then the connection is retired. */
#include <stdio.h>
#include <stdlib.h>

#include "pg_int.h"

enum { MAX_NESTING = 8, MAX_CELLS = 1700 * 3 };

#define PG_TYPE(oid_, native_, type_, conv_)                              \
	static const struct pg_type pgt_##oid_ = { .oid = oid_,           \
						   .typmod = -1,          \
						   .type = NX_T_##type_,  \
						   .conv = PG_CV_##conv_, \
						   .native = native_ };
#define PG_ARRAY(oid_, native_, elem_, delim_)                           \
	static const struct pg_type pgt_##oid_ = { .oid = oid_,          \
						   .typmod = -1,         \
						   .type = NX_T_LIST,    \
						   .conv = PG_CV_ARRAY,  \
						   .native = native_,    \
						   .elem = &pgt_##elem_, \
						   .delim = delim_ };
#include "pg_types.def"
#undef PG_TYPE
#undef PG_ARRAY

static const struct pg_type *const table[] = {
#define PG_TYPE(oid_, native_, type_, conv_) &pgt_##oid_,
#define PG_ARRAY(oid_, native_, elem_, delim_) &pgt_##oid_,
#include "pg_types.def"
#undef PG_TYPE
#undef PG_ARRAY
};

const struct pg_type *pg_type_static(uint32_t oid)
{
	for (size_t i = 0; i < NX_COUNTOF(table); i++)
		if (table[i]->oid == oid)
			return table[i];
	return NULL;
}

void pg_types_done(struct pg_types *t)
{
	nx_arena_free(t->arena);
	free(t->list);
}

static struct pg_type *types_find(const struct pg_types *t, uint32_t oid, int32_t typmod)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (t->list[i]->oid == oid && t->list[i]->typmod == typmod)
			return t->list[i];
	return NULL;
}

static NX_NODISCARD struct pg_type *types_add(struct pg_types *t, const struct pg_type *v,
					      const char *native)
{
	if (t->count == t->cap) {
		uint32_t cap = t->cap ? t->cap * 2 : 16;
		void *list = realloc(t->list, cap * sizeof(struct pg_type *));
		if (!list)
			return NULL;
		t->list = list;
		t->cap = cap;
	}
	if (!t->arena)
		t->arena = nx_arena_new(64 << 20);
	struct pg_type *copy = t->arena ? nx_arena_alloc(t->arena, sizeof(*copy)) : NULL;
	char *name = copy ? nx_arena_cstr(t->arena, nx_str(native)) : NULL;
	if (!name)
		return NULL;
	*copy = *v;
	copy->native = name;
	t->list[t->count++] = copy;
	return copy;
}

/* format_type for the modifiers that are common; false: ask the server. */
static bool modified(const struct pg_type *base, int32_t mod, struct pg_type *ret, char name[64])
{
	*ret = *base;
	ret->typmod = mod;
	switch (base->oid) {
	case 1700:
		if (mod < 4)
			return false;
		ret->precision = (mod - 4) >> 16 & 0xffff;
		ret->scale = (((mod - 4) & 0x7ff) ^ 1024) - 1024;
		snprintf(name, 64, "numeric(%d,%d)", ret->precision, ret->scale);
		return true;
	case 1042:
		snprintf(name, 64, "character(%d)", mod - 4);
		return mod > 4;
	case 1043:
		snprintf(name, 64, "character varying(%d)", mod - 4);
		return mod > 4;
	case 1560:
		snprintf(name, 64, "bit(%d)", mod);
		return mod > 0;
	case 1562:
		snprintf(name, 64, "bit varying(%d)", mod);
		return mod > 0;
	case 1083:
		snprintf(name, 64, "time(%d) without time zone", mod);
		return mod >= 0;
	case 1266:
		snprintf(name, 64, "time(%d) with time zone", mod);
		return mod >= 0;
	case 1114:
		snprintf(name, 64, "timestamp(%d) without time zone", mod);
		return mod >= 0;
	case 1184:
		snprintf(name, 64, "timestamp(%d) with time zone", mod);
		return mod >= 0;
	default:
		return false;
	}
}

struct cells {
	uint32_t n;
	struct nx_str v[MAX_CELLS];
};

static bool cells_row(struct cells *r, struct nx_arena *a, struct pg_msg m)
{
	struct pg_cut k = { m.p, m.p + m.len, false };
	for (uint32_t n = pg_cut_u16(&k); n > 0 && !k.bad; n--) {
		uint32_t len = pg_cut_u32(&k);
		if (k.bad || r->n == MAX_CELLS)
			return false;
		struct nx_str s = { "", 0 };
		if (len != UINT32_MAX) {
			if (len > (size_t)(k.end - k.p))
				return false;
			s = nx_arena_str(a, nx_strn(k.p, len));
			k.p += len;
			if (!s.ptr)
				return false;
		}
		r->v[r->n++] = s;
	}
	return !k.bad;
}

/* A constant query with text parameters; all cells row by row, nulls as empty. */
static enum nx_code ask(struct pg_conn *c, struct nx_arena *a, struct nx_str sql, uint32_t nargs,
			const char *const *args, int64_t deadline, struct cells **ret,
			struct nx_error *err)
{
	struct cells *r = nx_arena_alloc(a, sizeof(*r));
	if (!r)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	r->n = 0;
	pg_put_parse(c, "", sql);
	size_t at = pg_msg_begin(&c->out, 'B');
	nx_buf_put(&c->out, "\0\0\0\0", 4); /* portal, statement, no formats */
	pg_put_i16(&c->out, nargs);
	for (uint32_t i = 0; i < nargs; i++) {
		pg_put_i32(&c->out, (uint32_t)strlen(args[i]));
		nx_buf_puts(&c->out, args[i]);
	}
	pg_put_i16(&c->out, 0);
	pg_msg_end(&c->out, at);
	pg_put_execute(c);
	pg_put_sync(c);
	enum nx_code code = pg_send(c, deadline, err), failed = NX_OK;
	while (!code && c->unsynced > 0) {
		struct pg_msg m;
		struct pg_fault f;
		code = pg_recv(c, deadline, &m, err);
		if (code || failed)
			continue;
		if (m.type == 'D' && !cells_row(r, a, m))
			failed = nx_fail(err, NX_E_PROTOCOL, "The source's catalog made no sense.");
		else if (m.type == 'E' && pg_fault_parse(m.p, m.len, &f))
			failed = pg_fail_fault(&f, NX_STR(""), 0, false, err);
	}
	if (!code)
		code = failed;
	if (!code)
		*ret = r;
	return code;
}

static enum nx_code resolve(struct pg_conn *c, uint32_t oid, int32_t typmod, int depth,
			    const struct pg_type **ret, int64_t deadline, struct nx_error *err);

static uint32_t cell_u32(struct nx_str s)
{
	uint64_t v;
	return nx_str_to_u64(s, &v) && v <= UINT32_MAX ? (uint32_t)v : 0;
}

static int32_t cell_i32(struct nx_str s)
{
	int64_t v;
	return nx_str_to_i64(s, &v) && v >= INT32_MIN && v <= INT32_MAX ? (int32_t)v : -1;
}

static enum nx_code attributes(struct pg_conn *c, struct nx_arena *a, const char *relid,
			       struct pg_type *t, int depth, int64_t deadline, struct nx_error *err)
{
	struct cells *r = NULL;
	enum nx_code code = ask(
		c, a,
		NX_STR("SELECT attname, atttypid, atttypmod FROM pg_catalog.pg_attribute "
		       "WHERE attrelid = $1::pg_catalog.oid AND attnum > 0 AND NOT attisdropped "
		       "ORDER BY attnum"),
		1, &relid, deadline, &r, err);
	if (code)
		return code;
	uint32_t n = r->n / 3;
	struct pg_attr *at = nx_arena_array(c->types.arena, n ? n : 1, sizeof(*at));
	if (!at)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	for (uint32_t i = 0; i < n && !code; i++) {
		at[i].name = nx_arena_str(c->types.arena, r->v[i * 3]);
		if (!at[i].name.ptr)
			return nx_fail(err, NX_E_MEMORY, "Out of memory.");
		code = resolve(c, cell_u32(r->v[i * 3 + 1]), cell_i32(r->v[i * 3 + 2]), depth + 1,
			       &at[i].type, deadline, err);
	}
	if (!code) {
		t->type = NX_T_STRUCT;
		t->conv = PG_CV_RECORD;
		t->nattrs = n;
		t->attrs = at;
	}
	return code;
}

/* oid, format_type, typtype, typcategory, typlen, typelem, typdelim, typbasetype, typtypmod, typrelid */
enum { T_NATIVE, T_TYPE, T_CATEGORY, T_LEN, T_ELEM, T_DELIM, T_BASE, T_BASEMOD, T_RELID, T_CELLS };

static enum nx_code lookup(struct pg_conn *c, uint32_t oid, int32_t typmod, int depth,
			   const struct pg_type **ret, int64_t deadline, struct nx_error *err)
{
	struct nx_arena *a = nx_arena_new(4 << 20);
	if (!a)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	char oid_text[16], mod_text[16];
	snprintf(oid_text, sizeof(oid_text), "%u", oid);
	snprintf(mod_text, sizeof(mod_text), "%d", typmod);
	const char *const args[] = { oid_text, mod_text };
	struct cells *r = NULL;
	enum nx_code code = ask(
		c, a,
		NX_STR("SELECT pg_catalog.format_type(oid, $2::pg_catalog.int4), typtype, "
		       "typcategory, typlen, typelem, typdelim, typbasetype, typtypmod, typrelid "
		       "FROM pg_catalog.pg_type WHERE oid = $1::pg_catalog.oid"),
		2, args, deadline, &r, err);
	const struct pg_type *base = pg_type_static(oid);
	struct pg_type t = { .oid = oid, .type = NX_T_STRING, .conv = PG_CV_COPY };
	if (base)
		t = *base;
	t.typmod = typmod;
	const char *native = base ? base->native : "unknown";
	if (!code && r->n == T_CELLS) {
		native = r->v[T_NATIVE].ptr;
		char kind = r->v[T_TYPE].len ? r->v[T_TYPE].ptr[0] : 'b';
		uint32_t elem = cell_u32(r->v[T_ELEM]);
		if (base) {
			/* only the name was asked for */
		} else if (r->v[T_CATEGORY].ptr[0] == 'A' && elem && cell_i32(r->v[T_LEN]) == -1) {
			t.type = NX_T_LIST;
			t.conv = PG_CV_ARRAY;
			t.delim = r->v[T_DELIM].ptr[0];
			code = resolve(c, elem, typmod, depth + 1, &t.elem, deadline, err);
		} else if (kind == 'd') {
			code = resolve(c, cell_u32(r->v[T_BASE]), cell_i32(r->v[T_BASEMOD]),
				       depth + 1, &base, deadline, err);
			if (!code) {
				t = *base;
				t.oid = oid;
				t.typmod = typmod;
			}
		} else if (kind == 'c' && depth < MAX_NESTING) {
			if (!c->types.arena)
				c->types.arena = nx_arena_new(64 << 20);
			code = attributes(c, a, r->v[T_RELID].ptr, &t, depth, deadline, err);
		}
	}
	if (!code) {
		*ret = types_add(&c->types, &t, native);
		if (!*ret)
			code = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	nx_arena_free(a);
	return code;
}

static enum nx_code resolve(struct pg_conn *c, uint32_t oid, int32_t typmod, int depth,
			    const struct pg_type **ret, int64_t deadline, struct nx_error *err)
{
	const struct pg_type *t = pg_type_static(oid);
	if (t && typmod < 0) {
		*ret = t;
		return NX_OK;
	}
	const struct pg_type *known = types_find(&c->types, oid, typmod);
	struct pg_type m;
	char name[64];
	if (!known && t && modified(t, typmod, &m, name)) {
		known = types_add(&c->types, &m, name);
		if (!known)
			return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	if (known) {
		*ret = known;
		return NX_OK;
	}
	if (depth > 2 * MAX_NESTING)
		return nx_fail(err, NX_E_TYPE_UNSUPPORTED, "A type is nested too deeply.");
	return lookup(c, oid, typmod, depth, ret, deadline, err);
}

enum nx_code pg_types_resolve(struct pg_conn *c, uint32_t n, const uint32_t *oids,
			      const int32_t *typmods, const struct pg_type **types,
			      int64_t deadline, struct nx_error *err)
{
	enum nx_code code = NX_OK;
	for (uint32_t i = 0; i < n && !code; i++)
		code = resolve(c, oids[i], typmods[i], 0, &types[i], deadline, err);
	return code;
}
