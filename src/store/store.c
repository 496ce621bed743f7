/* What both engines share: statements, transactions, and which engine it is. */
#include <limits.h>

#include "base/log.h"
#include "store/store_int.h"

const char *const nx_statements[NX_ST_COUNT] = {
#define NX_STMT(name, sql) [NX_ST_##name] = sql,
#include "store/statements.def"
#undef NX_STMT
};

void nx_store_init(struct nx_store *s, const struct nx_store_ops *ops)
{
	s->ops = ops;
	pthread_mutex_init(&s->lock, NULL);
	for (int i = 0; i < NX_ST_COUNT; i++) {
		s->st[i].s = s;
		s->st[i].which = (enum nx_stmt)i;
	}
}

void nx_store_done(struct nx_store *s)
{
	pthread_mutex_destroy(&s->lock);
}

enum nx_code nx_store_connect(const struct nx_store_config *cfg, struct nx_store **ret,
			      struct nx_error *err)
{
	return cfg->url && *cfg->url ? nx_mysql_open(cfg, INT_MAX, ret, err)
				     : nx_sqlite_open(cfg->path, INT_MAX, ret, err);
}

enum nx_code nx_store_open(const char *path, struct nx_store **ret, struct nx_error *err)
{
	return nx_sqlite_open(path, INT_MAX, ret, err);
}

void nx_store_close(struct nx_store *s)
{
	if (s)
		s->ops->close(s);
}

bool nx_store_shared(const struct nx_store *s)
{
	return s->ops->shared;
}

/* ---- statements ---- */

struct nx_st *nx_st(struct nx_store *s, enum nx_stmt which)
{
	return &s->st[which];
}

static void bind(struct nx_st *st, int at, struct nx_bind b)
{
	st->bind[at - 1] = b;
}

void nx_st_text(struct nx_st *st, int at, struct nx_str v)
{
	bind(st, at, (struct nx_bind){ .kind = NX_BIND_TEXT, .text = v });
}

void nx_st_blob(struct nx_st *st, int at, struct nx_str v)
{
	bind(st, at, (struct nx_bind){ .kind = NX_BIND_BLOB, .text = v });
}

void nx_st_i64(struct nx_st *st, int at, int64_t v)
{
	bind(st, at, (struct nx_bind){ .kind = NX_BIND_I64, .number = v });
}

struct nx_str nx_st_col(struct nx_st *st, int at)
{
	return st->s->ops->text(st, at);
}

int64_t nx_st_col_i64(struct nx_st *st, int at)
{
	return st->s->ops->int64(st, at);
}

void nx_st_end(struct nx_st *st)
{
	if (st->running)
		st->s->ops->reset(st);
	st->running = false;
	memset(st->bind, 0, sizeof(st->bind));
}

static enum nx_row step(struct nx_st *st, enum nx_code *ret, struct nx_error *err)
{
	enum nx_row row = st->s->ops->step(st, ret, err);
	st->running = true;
	return row;
}

enum nx_code nx_st_run_unique(struct nx_st *st, enum nx_code taken, const char *text,
			      struct nx_error *err)
{
	enum nx_code c = NX_OK;
	enum nx_row row = step(st, &c, err);
	if (row == NX_ROW_DUPLICATE)
		c = nx_fail(err, taken, "%s", text);
	nx_st_end(st);
	return c;
}

enum nx_code nx_st_run(struct nx_st *st, struct nx_error *err)
{
	enum nx_code c = NX_OK;
	(void)step(st, &c, err);
	nx_st_end(st);
	return c;
}

bool nx_st_next(struct nx_st *st, enum nx_code *ret, struct nx_error *err)
{
	enum nx_code c = NX_OK;
	if (step(st, &c, err) == NX_ROW)
		return true;
	*ret = c;
	nx_st_end(st);
	return false;
}

/* ---- transactions ---- */

static struct nx_str topic_name(enum nx_topic t)
{
	return t == NX_TOPIC_HISTORY ? NX_STR("history") : NX_STR("shared");
}

enum nx_code nx_store_begin(struct nx_store *s, enum nx_topic topic, struct nx_error *err)
{
	enum nx_code c = s->ops->begin(s, err);
	if (c || topic == NX_TOPIC_NONE)
		return c;
	struct nx_st *st = nx_st(s, NX_ST_CHANGED);
	nx_st_text(st, 1, topic_name(topic));
	c = nx_st_run(st, err);
	return c ? nx_store_end(s, c, err) : NX_OK;
}

enum nx_code nx_store_end(struct nx_store *s, enum nx_code c, struct nx_error *err)
{
	if (!c)
		c = s->ops->exec(s, "COMMIT", err);
	if (c && s->ops->in_transaction(s) && s->ops->exec(s, "ROLLBACK", NULL) != NX_OK)
		nx_log(NX_LOG_ERROR, "store", "a rollback failed");
	return c;
}

enum nx_code nx_store_changes(struct nx_store *s, uint64_t *ret, struct nx_error *err)
{
	pthread_mutex_lock(&s->lock);
	struct nx_st *st = nx_st(s, NX_ST_CHANGES);
	nx_st_text(st, 1, topic_name(NX_TOPIC_SHARED));
	enum nx_code c = NX_OK;
	if (nx_st_next(st, &c, err)) {
		/* a server that comes back may have lost what came last, and count the same numbers again */
		*ret = (uint64_t)nx_st_col_i64(st, 0) + ((uint64_t)s->session << 40);
		nx_st_end(st);
	} else if (!c) {
		c = nx_fail(err, NX_E_STORE_FAILED, "The metadata store is damaged.");
	}
	pthread_mutex_unlock(&s->lock);
	return c;
}
