/* Another vault key: every sealed text of the store is opened with the old key and sealed with the
 * new one, old versions of sources too, all in one transaction. */
#include "nexus/buf.h"
#include "store/store_int.h"
#include "store/vault.h"

struct reseal {
	struct nx_store *s;
	const struct nx_vault *from, *to;
	uint32_t done;
};

/* One row: where it is, and its text. Copies, for the statement that found it is over. */
struct row {
	struct nx_str id, sealed;
	int64_t version;
};

static enum nx_code next_row(struct nx_store *s, enum nx_stmt which, const struct row *after,
			     struct nx_arena *a, struct row *ret, bool *any, struct nx_error *err)
{
	struct nx_st *st = nx_st(s, which);
	nx_st_text(st, 1, after->id);
	if (which == NX_ST_SEALED_VERSION)
		nx_st_i64(st, 2, after->version);
	enum nx_code c = NX_OK;
	*any = nx_st_next(st, &c, err);
	if (!*any)
		return c;
	*ret = (struct row){ .id = nx_arena_str(a, nx_st_col(st, 0)),
			     .sealed = nx_arena_str(a, nx_st_col(st, 2)),
			     .version = nx_st_col_i64(st, 1) };
	nx_st_end(st);
	return ret->id.ptr && ret->sealed.ptr ? NX_OK : nx_fail(err, NX_E_MEMORY, "Out of memory.");
}

static enum nx_code one(struct reseal *r, enum nx_stmt write, const struct row *row,
			struct nx_arena *a, struct nx_error *err)
{
	struct nx_str plain, sealed;
	enum nx_code c = nx_vault_open(r->from, row->id, row->sealed, a, &plain, err);
	if (c) {
		char why[sizeof(err->message)];
		memcpy(why, err->message, sizeof(why));
		return nx_fail(err, c, "Data source %.*s: %.300s", NX_STR_ARG(row->id), why);
	}
	c = nx_vault_seal(r->to, row->id, plain, a, &sealed, err);
	nx_wipe((void *)(uintptr_t)plain.ptr, plain.len);
	if (c)
		return c;
	struct nx_st *st = nx_st(r->s, write);
	nx_st_text(st, 1, row->id);
	if (write == NX_ST_RESEAL_VERSION)
		nx_st_i64(st, 2, row->version);
	nx_st_blob(st, 3, sealed);
	r->done++;
	return nx_st_run(st, err);
}

static enum nx_code each(struct reseal *r, enum nx_stmt find, enum nx_stmt write,
			 struct nx_error *err)
{
	char id[64] = "";
	struct row row = { .id = NX_STR(""), .version = -1 };
	for (;;) {
		struct nx_arena *a = nx_arena_new(4 * (size_t)NX_VAULT_MAX + 65536);
		bool any = false;
		enum nx_code c = a ? next_row(r->s, find, &row, a, &row, &any, err)
				   : nx_fail(err, NX_E_MEMORY, "Out of memory.");
		if (!c && any)
			c = one(r, write, &row, a, err);
		if (!c && any && row.id.len >= sizeof(id))
			c = nx_fail(err, NX_E_STORE_FAILED, "The id of a data source is too long.");
		if (!c && any) { /* outlives the arena: the next look-up begins behind it */
			memcpy(id, row.id.ptr, row.id.len);
			row.id = nx_strn(id, row.id.len);
		}
		nx_arena_free(a);
		if (c || !any)
			return c;
	}
}

enum nx_code nx_store_reseal(struct nx_store *s, const struct nx_vault *from,
			     const struct nx_vault *to, uint32_t *ret, struct nx_error *err)
{
	struct reseal r = { .s = s, .from = from, .to = to };
	pthread_mutex_lock(&s->lock);
	enum nx_code c = nx_store_begin(s, NX_TOPIC_SHARED, err);
	if (!c) {
		c = each(&r, NX_ST_SEALED_SOURCE, NX_ST_RESEAL_SOURCE, err);
		if (!c)
			c = each(&r, NX_ST_SEALED_VERSION, NX_ST_RESEAL_VERSION, err);
		if (!c) /* what src/tokens keeps */
			c = each(&r, NX_ST_SEALED_SETTING, NX_ST_RESEAL_SETTING, err);
		if (!c) { /* a store of several instances says whose it is */
			struct nx_st *st = nx_st(s, NX_ST_RESEAL_SETTING);
			nx_st_text(st, 1, NX_STR(NX_VAULT_SETTING));
			nx_st_text(st, 3, nx_str(nx_vault_name(to)));
			c = nx_st_run(st, err);
		}
		c = nx_store_end(s, c, err);
	}
	pthread_mutex_unlock(&s->lock);
	if (!c)
		*ret = r.done;
	return c;
}
