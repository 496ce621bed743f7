/* Prepared statements: a bounded cache per connection, keyed by the SQL text.
 *
 * Preparing is also layer C of the read-only gate: Parse and Describe run nothing, and a statement
 * without result columns ends here. */
#include <stdio.h>
#include <stdlib.h>

#include "pg_int.h"

enum nx_code pg_cache_init(struct pg_cache *k, uint32_t max, struct nx_error *err)
{
	uint32_t n = 16;
	while (n < max)
		n *= 2;
	k->buckets = calloc(n, sizeof(struct pg_stmt *));
	if (!k->buckets)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	k->nbuckets = n;
	k->max = max ? max : 1;
	return NX_OK;
}

static void stmt_free(struct pg_stmt *s)
{
	if (!s)
		return;
	nx_builder_free(s->builder);
	free((char *)(uintptr_t)s->sql.ptr);
	free((void *)(uintptr_t)s->schema.fields);
	free(s->types);
	free(s);
}

void pg_cache_done(struct pg_cache *k)
{
	for (struct pg_stmt *s = k->newest, *next; s; s = next) {
		next = s->older;
		stmt_free(s);
	}
	free(k->buckets);
}

static void use_unlink(struct pg_cache *k, struct pg_stmt *s)
{
	*(s->newer ? &s->newer->older : &k->newest) = s->older;
	*(s->older ? &s->older->newer : &k->oldest) = s->newer;
}

static void use_first(struct pg_cache *k, struct pg_stmt *s)
{
	s->newer = NULL;
	s->older = k->newest;
	*(k->newest ? &k->newest->newer : &k->oldest) = s;
	k->newest = s;
}

struct pg_stmt *pg_cache_find(struct pg_cache *k, struct nx_str sql)
{
	if (k->newest && nx_str_eq(k->newest->sql, sql))
		return k->newest;
	uint64_t h = nx_str_hash(sql);
	struct pg_stmt *s = k->buckets[h & (k->nbuckets - 1)];
	while (s && !(s->hash == h && nx_str_eq(s->sql, sql)))
		s = s->chain;
	if (s) {
		use_unlink(k, s);
		use_first(k, s);
	}
	return s;
}

void pg_cache_drop(struct pg_conn *c, struct pg_stmt *s)
{
	struct pg_cache *k = &c->cache;
	struct pg_stmt **p = &k->buckets[s->hash & (k->nbuckets - 1)];
	while (*p != s)
		p = &(*p)->chain;
	*p = s->chain;
	use_unlink(k, s);
	k->count--;
	k->kept -= s->builder != NULL;
	k->bytes -= s->sql.len;
	pg_put_close(c, s->name);
	stmt_free(s);
}

static void cache_add(struct pg_conn *c, struct pg_stmt *s)
{
	struct pg_cache *k = &c->cache;
	while (k->count > 0 && (k->count >= k->max || k->bytes + s->sql.len > PG_STMT_BYTES))
		pg_cache_drop(c, k->oldest);
	struct pg_stmt **p = &k->buckets[s->hash & (k->nbuckets - 1)];
	s->chain = *p;
	*p = s;
	use_first(k, s);
	k->count++;
	k->bytes += s->sql.len;
}

/* RowDescription as it came; names point into `names`. */
struct describe {
	uint32_t nfields;
	uint32_t *oids;
	int32_t *typmods;
	struct nx_str *names;
	char *bytes;
};

static void describe_done(struct describe *d)
{
	free(d->oids);
	free(d->typmods);
	free(d->names);
	free(d->bytes);
}

static bool describe_parse(struct describe *d, const char *p, size_t len)
{
	d->bytes = malloc(len ? len : 1);
	if (!d->bytes)
		return false;
	memcpy(d->bytes, p, len);
	struct pg_cut k = { d->bytes, d->bytes + len, false };
	uint32_t n = pg_cut_u16(&k);
	d->oids = calloc(n ? n : 1, sizeof(*d->oids));
	d->typmods = calloc(n ? n : 1, sizeof(*d->typmods));
	d->names = calloc(n ? n : 1, sizeof(*d->names));
	if (!d->oids || !d->typmods || !d->names)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		d->names[i] = pg_cut_str(&k);
		(void)pg_cut_u32(&k); /* table */
		(void)pg_cut_u16(&k); /* attribute */
		d->oids[i] = pg_cut_u32(&k);
		(void)pg_cut_u16(&k); /* length */
		d->typmods[i] = (int32_t)pg_cut_u32(&k);
		(void)pg_cut_u16(&k); /* format */
	}
	d->nfields = n;
	return !k.bad;
}

/* Names, types and natives go behind the fields in one block. */
static bool stmt_schema(struct pg_stmt *s, const struct describe *d)
{
	size_t text = 1, n = d->nfields;
	for (size_t i = 0; i < n; i++)
		text += d->names[i].len + strlen(s->types[i]->native);
	struct nx_field *f = malloc(n * sizeof(*f) + text);
	if (!f)
		return false;
	char *p = (char *)(f + n);
	for (size_t i = 0; i < n; i++) {
		const struct pg_type *t = s->types[i];
		size_t nl = strlen(t->native);
		memcpy(p, d->names[i].ptr, d->names[i].len);
		memcpy(p + d->names[i].len, t->native, nl);
		f[i] = (struct nx_field){
			.name = { p, d->names[i].len },
			.type = t->type,
			.layout = t->conv == PG_CV_BOOL ? NX_L_BITS : NX_L_TEXT,
			.native = { p + d->names[i].len, nl },
			.precision = t->precision,
			.scale = t->scale,
			.nullable = -1,
		};
		p += d->names[i].len + nl;
		s->nbinary += t->conv == PG_CV_BYTES;
	}
	s->schema = (struct nx_schema){ d->nfields, f };
	return true;
}

/* Reads the answer to Parse, Describe, Sync. */
static enum nx_code described(struct pg_conn *c, struct pg_stmt *s, struct describe *d,
			      int64_t deadline, struct nx_error *err)
{
	enum nx_code failed = NX_OK;
	bool answered = false, rows = false;
	while (c->unsynced > 0) {
		struct pg_msg m;
		enum nx_code code = pg_recv(c, deadline, &m, err);
		if (code)
			return code;
		struct pg_cut k = { m.p, m.p + m.len, false };
		struct pg_fault f;
		switch (m.type) {
		case 'E':
			if (!failed && pg_fault_parse(m.p, m.len, &f))
				failed = pg_fail_fault(&f, s->sql, 0, false, err);
			else if (!failed)
				failed = nx_fail(err, NX_E_PROTOCOL, "A malformed error message.");
			break;
		case 't':
			s->nparams = pg_cut_u16(&k);
			break;
		case 'T':
			if (!answered && describe_parse(d, m.p, m.len)) {
				answered = rows = true;
				break;
			}
			c->broken = true;
			return nx_fail(err, NX_E_PROTOCOL, "A malformed row description.");
		case 'n':
			answered = true;
			break;
		default:
			break;
		}
	}
	if (failed)
		return failed;
	if (!answered) {
		c->broken = true;
		return nx_fail(err, NX_E_PROTOCOL, "The source did not describe the statement.");
	}
	if (!rows) {
		pg_put_close(c, s->name);
		return nx_fail(err, NX_E_RO_NO_RESULT, "The statement returns no rows.");
	}
	return NX_OK;
}

enum nx_code pg_prepare(struct pg_conn *c, struct nx_str sql, int64_t deadline,
			struct pg_stmt **ret, struct nx_error *err)
{
	struct describe d = { 0 };
	if (sql.len > 0 && memchr(sql.ptr, 0, sql.len)) /* would end the text in its message */
		return nx_fail(err, NX_E_RO_ENCODING, "The SQL holds a NUL character.");
	struct pg_stmt *s = calloc(1, sizeof(*s));
	char *copy = malloc(sql.len + 1);
	enum nx_code code = NX_OK;
	if (!s || !copy) {
		free(copy);
		code = nx_fail(err, NX_E_MEMORY, "Out of memory.");
		goto out;
	}
	memcpy(copy, sql.ptr, sql.len);
	copy[sql.len] = '\0';
	s->sql = nx_strn(copy, sql.len);
	s->hash = nx_str_hash(sql);
	snprintf(s->name, sizeof(s->name), "nx%llu", (unsigned long long)++c->nstmts);
	/* A transaction that failed before must end first, or the server ignores the Parse. */
	if (c->tx != 'I')
		pg_put_run(c, NX_STR("ROLLBACK"));
	pg_put_parse(c, s->name, sql);
	pg_put_describe(c, s->name);
	pg_put_sync(c);
	code = pg_send(c, deadline, err);
	if (!code)
		code = described(c, s, &d, deadline, err);
	if (code)
		goto out;
	s->types = calloc(d.nfields ? d.nfields : 1, sizeof(*s->types));
	if (s->types)
		code = pg_types_resolve(c, d.nfields, d.oids, d.typmods, s->types, deadline, err);
	if (!code && (!s->types || !stmt_schema(s, &d)))
		code = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (code) {
		pg_put_close(c, s->name);
		goto out;
	}
	cache_add(c, s);
	*ret = s;
	s = NULL;
out:
	describe_done(&d);
	stmt_free(s);
	return code;
}
