/* Finished queries, some hundred to a row of the table.
 *
 * A busy gateway finishes tens of thousands of queries a second; one SQL INSERT each (7 us) would
 * cost a third of what the whole request may. A block costs one INSERT for all its records.
 *
 * A block: for each record eight texts, each a 16-bit little-endian length and its bytes, then four
 * 64-bit little-endian numbers. `last` is the running number of its newest record. */
#include <stdlib.h>

#include "nexus/buf.h"
#include "store/store_int.h"

enum { MAX_BLOCK_RECORDS = 4096, TEXTS = 8, NUMBERS = 4 };

static void put_le(struct nx_buf *b, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		nx_buf_putc(b, (char)(v >> (8 * i)));
}

static void put_text(struct nx_buf *b, struct nx_str s)
{
	size_t n = s.len > UINT16_MAX ? UINT16_MAX : s.len;
	put_le(b, n, 2);
	nx_buf_put(b, s.ptr, n);
}

static void put_record(struct nx_buf *b, const struct nx_store_history *r)
{
	put_text(b, r->query_id);
	/* most clients send none of their own, and then both are the same */
	bool same = nx_str_eq(r->correlation_id, r->query_id);
	put_text(b, same ? NX_STR("") : r->correlation_id);
	put_text(b, r->principal);
	put_text(b, r->source_id);
	put_text(b, r->source_type);
	put_text(b, r->status);
	put_text(b, r->code);
	put_text(b, r->started_at);
	put_le(b, r->fingerprint, 8);
	put_le(b, r->rows, 8);
	put_le(b, r->bytes, 8);
	put_le(b, r->elapsed_us, 8);
}

static bool take_le(struct nx_str *in, int bytes, uint64_t *ret)
{
	if (in->len < (size_t)bytes)
		return false;
	uint64_t v = 0;
	for (int i = 0; i < bytes; i++)
		v |= (uint64_t)(unsigned char)in->ptr[i] << (8 * i);
	in->ptr += bytes;
	in->len -= (size_t)bytes;
	*ret = v;
	return true;
}

static bool take_record(struct nx_str *in, struct nx_store_history *ret)
{
	struct nx_str t[TEXTS];
	uint64_t v[NUMBERS];
	for (int i = 0; i < TEXTS; i++) {
		uint64_t n;
		if (!take_le(in, 2, &n) || in->len < n)
			return false;
		t[i] = nx_strn(in->ptr, n);
		in->ptr += n;
		in->len -= n;
	}
	for (int i = 0; i < NUMBERS; i++)
		if (!take_le(in, 8, &v[i]))
			return false;
	*ret = (struct nx_store_history){
		.query_id = t[0],
		.correlation_id = t[1].len ? t[1] : t[0],
		.principal = t[2],
		.source_id = t[3],
		.source_type = t[4],
		.status = t[5],
		.code = t[6],
		.started_at = t[7],
		.fingerprint = v[0],
		.rows = v[1],
		.bytes = v[2],
		.elapsed_us = v[3],
	};
	return true;
}

/* The running number of the newest record. */
static enum nx_code last_number(struct nx_store *s, int64_t *ret, struct nx_error *err)
{
	struct nx_st *st = nx_st(s, NX_ST_HISTORY_LAST);
	enum nx_code c = NX_OK;
	if (nx_st_next(st, &c, err)) {
		*ret = nx_st_col_i64(st, 0);
		nx_st_end(st);
	}
	return c;
}

static enum nx_code add_block(struct nx_store *s, const struct nx_store_history *rows, uint32_t n,
			      int64_t last, struct nx_error *err)
{
	struct nx_buf b;
	nx_buf_init(&b, (size_t)64 << 20);
	for (uint32_t i = 0; i < n; i++)
		put_record(&b, &rows[i]);
	enum nx_code c = b.failed ? nx_fail(err, NX_E_MEMORY, "Out of memory.") : NX_OK;
	if (!c) {
		struct nx_st *st = nx_st(s, NX_ST_HISTORY_ADD);
		nx_st_i64(st, 1, last);
		nx_st_i64(st, 2, n);
		nx_st_blob(st, 3, nx_buf_str(&b));
		c = nx_st_run(st, err);
	}
	nx_buf_done(&b);
	return c;
}

enum nx_code nx_store_history_add(struct nx_store *s, const struct nx_store_history *rows,
				  uint32_t n, uint64_t keep, struct nx_error *err)
{
	pthread_mutex_lock(&s->lock);
	int64_t last = 0;
	enum nx_code c = nx_store_begin(s, NX_TOPIC_HISTORY, err);
	bool open = c == NX_OK;
	if (!c)
		c = last_number(s, &last, err);
	for (uint32_t at = 0; !c && at < n;) {
		uint32_t part = n - at > MAX_BLOCK_RECORDS ? MAX_BLOCK_RECORDS : n - at;
		last += part;
		c = add_block(s, rows + at, part, last, err);
		at += part;
	}
	s->history_first = keep < (uint64_t)last ? last - (int64_t)keep + 1 : 1;
	if (!c) {
		struct nx_st *st = nx_st(s, NX_ST_HISTORY_TRIM);
		nx_st_i64(st, 1, s->history_first - 1);
		c = nx_st_run(st, err);
	}
	if (open)
		c = nx_store_end(s, c, err);
	pthread_mutex_unlock(&s->lock);
	return c;
}

struct listing {
	nx_history_wants_fn *wants;
	uint32_t offset, limit;
	enum nx_code (*fn)(const struct nx_store_history *row, void *arg, struct nx_error *err);
	void *arg;
	struct nx_store_history *records; /* of one block */
	struct nx_buf body;
	int64_t last, n; /* of the block in body */
};

/* Copies the newest block before `l->last`. False: there is none, or it failed. */
static bool next_block(struct nx_store *s, struct listing *l, int64_t *ret_first, enum nx_code *c,
		       struct nx_error *err)
{
	pthread_mutex_lock(&s->lock);
	struct nx_st *st = nx_st(s, NX_ST_HISTORY_BEFORE);
	nx_st_i64(st, 1, l->last);
	bool any = nx_st_next(st, c, err);
	if (any) {
		l->last = nx_st_col_i64(st, 0);
		l->n = nx_st_col_i64(st, 1);
		nx_buf_clear(&l->body);
		nx_buf_put_str(&l->body, nx_st_col(st, 2));
		nx_st_end(st);
	}
	*ret_first = s->history_first;
	pthread_mutex_unlock(&s->lock);
	if (any && l->body.failed)
		*c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	return any && !*c;
}

/* The block at hand, newest record first. */
static enum nx_code list_block(struct listing *l, int64_t first, struct nx_error *err)
{
	struct nx_str body = nx_buf_str(&l->body);
	if (l->n < 0 || l->n > MAX_BLOCK_RECORDS)
		return nx_fail(err, NX_E_STORE_FAILED, "The query history is damaged.");
	for (int64_t i = 0; i < l->n; i++)
		if (!take_record(&body, &l->records[i]))
			return nx_fail(err, NX_E_STORE_FAILED, "The query history is damaged.");
	for (int64_t i = l->n - 1; i >= 0 && l->limit > 0; i--) {
		const struct nx_store_history *r = &l->records[i];
		/* trimming drops whole blocks: what is over in the oldest one does not count */
		if (l->last - (l->n - 1 - i) < first)
			break;
		if (l->wants && !l->wants(r, l->arg))
			continue;
		if (l->offset > 0) {
			l->offset--;
			continue;
		}
		l->limit--;
		enum nx_code c = l->fn(r, l->arg, err);
		if (c)
			return c;
	}
	return NX_OK;
}

enum nx_code nx_store_history_list(struct nx_store *s, nx_history_wants_fn *wants, uint32_t offset,
				   uint32_t limit,
				   enum nx_code (*fn)(const struct nx_store_history *row, void *arg,
						      struct nx_error *err),
				   void *arg, struct nx_error *err)
{
	struct listing l = { .wants = wants,
			     .offset = offset,
			     .limit = limit,
			     .fn = fn,
			     .arg = arg,
			     .records = malloc(MAX_BLOCK_RECORDS * sizeof(*l.records)),
			     .last = INT64_MAX };
	if (!l.records)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	nx_buf_init(&l.body, (size_t)64 << 20);
	enum nx_code c = NX_OK;
	int64_t first;
	while (!c && l.limit > 0 && next_block(s, &l, &first, &c, err))
		c = list_block(&l, first, err);
	nx_buf_done(&l.body);
	free(l.records);
	return c;
}
