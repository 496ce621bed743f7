/* Two buffers of fixed size: adders fill one while the writer formats and writes the other. */
#include "stats/audit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "stats/audit_int.h"

#define BUFFER ((size_t)1 << 20)
#define BUFFER_SQL ((size_t)8 << 20) /* with texts */
#define TEXT_MAX 255u
#define LONG_SQL ((size_t)16 * 1024) /* beyond, only the fingerprint is handed over */
#define GATHER (20 * NX_MS) /* a batch is what comes in this time */
#define WRITE_AT ((size_t)256 * 1024)

enum text { PRINCIPAL, CLIENT, SOURCE_ID, SOURCE, TARGET, QUERY_ID, CORRELATION_ID, TEXTS };

static const char *const text_keys[TEXTS] = { "principal", "client",  "sourceId",     "source",
					      "target",	   "queryId", "correlationId" };

/* In a buffer: this head, the texts without NUL, the statement; then padding to 8 bytes. */
struct head {
	uint32_t size; /* of all of it */
	uint32_t sql_len;
	int64_t wall_us;
	uint64_t rows, bytes, elapsed_us;
	const char *event, *action, *role, *door;
	enum nx_code code;
	unsigned layers;
	uint8_t len[TEXTS];
	bool hashed; /* the "statement" is the hex of its hash */
};

struct nx_audit {
	pthread_mutex_t lock; /* front, lost, stop, asleep */
	pthread_cond_t work; /* for the writer */
	pthread_cond_t room; /* for adders */
	pthread_t writer;
	char *front, *back; /* each `cap` bytes */
	size_t cap;
	_Atomic size_t len; /* of front; written under the lock */
	uint64_t lost; /* not told in a record yet */
	bool stop, asleep;
	bool sql;
	_Atomic bool failing;
	_Atomic uint64_t written, lost_total, failures;
	struct nx_audit_chain chain; /* the writer's */
};

/* ---- adding ---- */

static size_t copy_text(char *at, struct nx_str s, uint8_t *len)
{
	*len = (uint8_t)(s.len > TEXT_MAX ? TEXT_MAX : s.len);
	if (*len)
		memcpy(at, s.ptr, *len);
	return *len;
}

static void put(struct nx_audit *a, const struct head *given, const struct nx_str texts[TEXTS],
		struct nx_str sql)
{
	char *from = a->front + a->len, *at = from + sizeof(*given);
	struct head h = *given;
	for (int i = 0; i < TEXTS; i++)
		at += copy_text(at, texts[i], &h.len[i]);
	if (sql.len)
		memcpy(at, sql.ptr, sql.len);
	memcpy(from, &h, sizeof(h));
	a->len += h.size;
}

static void wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline)
{
	struct timespec ts = { .tv_sec = deadline / NX_SEC, .tv_nsec = deadline % NX_SEC };
	pthread_cond_timedwait(c, m, &ts);
}

/* Lock held. False: no room in time. */
static bool wait_for_room(struct nx_audit *a, size_t size, uint32_t wait_ms)
{
	if (a->cap - a->len >= size)
		return true;
	int64_t deadline = nx_now() + wait_ms * NX_MS;
	while (a->cap - a->len < size && !a->failing && nx_now() < deadline) {
		pthread_cond_signal(&a->work);
		wait_until(&a->room, &a->lock, deadline);
	}
	return a->cap - a->len >= size;
}

static bool fingerprint(struct nx_str sql, char ret[NX_AUDIT_HEX + 1])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && nx_audit_hash(ctx, sql, ret);
	EVP_MD_CTX_free(ctx);
	return ok;
}

enum nx_code nx_audit_add(struct nx_audit *a, const struct nx_audit_event *e, uint32_t wait_ms,
			  struct nx_error *err)
{
	const struct nx_str texts[TEXTS] = { e->principal, e->client,	e->source_id,	  e->source,
					     e->target,	   e->query_id, e->correlation_id };
	struct head h = { .wall_us = nx_wall_us(),
			  .rows = e->rows,
			  .bytes = e->bytes,
			  .elapsed_us = e->elapsed_us,
			  .event = e->event,
			  .action = e->action,
			  .role = e->role,
			  .door = e->door,
			  .code = e->code,
			  .layers = e->layers };
	char hex[NX_AUDIT_HEX + 1];
	struct nx_str sql = e->sql;
	if (sql.len > (a->sql ? a->cap / 4 : LONG_SQL)) {
		h.hashed = fingerprint(sql, hex);
		sql = h.hashed ? nx_strn(hex, NX_AUDIT_HEX) : NX_STR("");
	}
	size_t size = sizeof(h) + sql.len;
	for (int i = 0; i < TEXTS; i++)
		size += texts[i].len > TEXT_MAX ? TEXT_MAX : texts[i].len;
	h.size = (uint32_t)((size + 7) & ~(size_t)7);
	h.sql_len = (uint32_t)sql.len;

	pthread_mutex_lock(&a->lock);
	bool kept = wait_for_room(a, h.size, wait_ms);
	if (kept) {
		put(a, &h, texts, sql);
	} else {
		a->lost++;
		atomic_fetch_add(&a->lost_total, 1);
	}
	bool wake = a->asleep;
	a->asleep = false;
	pthread_mutex_unlock(&a->lock);
	if (wake)
		pthread_cond_signal(&a->work);
	return kept ? NX_OK : nx_fail(err, NX_E_AUDIT_FAILED, "The audit log cannot be written.");
}

bool nx_audit_ready(const struct nx_audit *a)
{
	return !atomic_load_explicit(&a->failing, memory_order_relaxed) &&
	       atomic_load_explicit(&a->len, memory_order_relaxed) <= a->cap / 2;
}

void nx_audit_stats(struct nx_audit *a, struct nx_audit_stats *ret)
{
	*ret = (struct nx_audit_stats){ .written = a->written,
					.lost = a->lost_total,
					.failures = a->failures,
					.backlog = a->len,
					.failing = a->failing };
}

/* ---- writing ---- */

static void put_layers(struct nx_buf *b, unsigned layers)
{
	static const char *const names[] = { "shape", "server", "describe", "oneStatement",
					     "grants" };
	nx_buf_puts(b, ",\"layers\":[");
	bool any = false;
	for (unsigned i = 0; i < NX_COUNTOF(names); i++)
		if (layers >> i & 1) {
			nx_buf_puts(b, any ? ",\"" : "\"");
			nx_buf_puts(b, names[i]);
			nx_buf_putc(b, '"');
			any = true;
		}
	nx_buf_putc(b, ']');
}

/* What was refused before anything ran at a source; codes.def is ordered by step. */
static const char *outcome(enum nx_code c)
{
	if (c == NX_OK)
		return "done";
	return c <= NX_E_HOST_DENIED || c == NX_E_AUDIT_FAILED ? "refused" : "failed";
}

static void put_number(struct nx_buf *b, const char *key, uint64_t v)
{
	nx_buf_puts(b, key);
	nx_buf_put_u64(b, v);
}

static void put_statement(struct nx_audit *a, const struct head *h, struct nx_str sql)
{
	struct nx_buf *b = &a->chain.out;
	char hex[NX_AUDIT_HEX + 1];
	if (sql.len == 0)
		return;
	if (!h->hashed && !nx_audit_hash(a->chain.ctx, sql, hex)) {
		b->failed = true;
		return;
	}
	nx_buf_puts(b, ",\"fingerprint\":\"");
	nx_buf_put(b, h->hashed ? sql.ptr : hex, NX_AUDIT_HEX);
	nx_buf_putc(b, '"');
	if (a->sql && !h->hashed) {
		nx_buf_puts(b, ",\"sql\":");
		nx_buf_put_json(b, sql);
	}
}

/* No printf: this is most of the writer's work. */
static void put_key(struct nx_buf *b, const char *key)
{
	nx_buf_puts(b, ",\"");
	nx_buf_puts(b, key);
	nx_buf_puts(b, "\":");
}

static void put_word(struct nx_buf *b, const char *key, const char *word)
{
	put_key(b, key);
	nx_buf_putc(b, '"');
	nx_buf_puts(b, word);
	nx_buf_putc(b, '"');
}

static void put_record(struct nx_audit *a, const char *at)
{
	struct nx_buf *b = &a->chain.out;
	struct head h;
	memcpy(&h, at, sizeof(h));
	at += sizeof(h);
	nx_audit_line_begin(&a->chain, h.wall_us, h.event);
	put_word(b, "action", h.action);
	put_word(b, "outcome", outcome(h.code));
	if (h.code)
		put_word(b, "code", nx_code_name(h.code));
	if (h.door)
		put_word(b, "door", h.door);
	if (h.role)
		put_word(b, "role", h.role);
	for (int i = 0; i < TEXTS; i++) {
		if (h.len[i]) {
			put_key(b, text_keys[i]);
			nx_buf_put_json(b, nx_strn(at, h.len[i]));
		}
		at += h.len[i];
	}
	put_statement(a, &h, nx_strn(at, h.sql_len));
	if (h.layers)
		put_layers(b, h.layers);
	put_number(b, ",\"rows\":", h.rows);
	put_number(b, ",\"bytes\":", h.bytes);
	put_number(b, ",\"elapsedUs\":", h.elapsed_us);
	nx_audit_line_end(&a->chain);
}

/* Waits a second or for the end. False: the end, give up. */
static bool pause_after_failure(struct nx_audit *a, const char *what)
{
	int e = errno;
	atomic_fetch_add(&a->failures, 1);
	if (!atomic_exchange(&a->failing, true))
		nx_log(NX_LOG_ERROR, "audit", "AUDIT_FAILED: the audit log cannot be %s: %s", what,
		       strerrordesc_np(e));
	pthread_mutex_lock(&a->lock);
	pthread_cond_broadcast(&a->room); /* waiting is of no use now */
	if (!a->stop)
		wait_until(&a->work, &a->lock, nx_now() + NX_SEC);
	bool on = !a->stop;
	pthread_mutex_unlock(&a->lock);
	return on;
}

static void recovered(struct nx_audit *a)
{
	if (atomic_exchange(&a->failing, false))
		nx_log(NX_LOG_INFO, "audit", "the audit log is written again");
}

static bool flush(struct nx_audit *a)
{
	while (!nx_audit_chain_flush(&a->chain))
		if (!pause_after_failure(a, "written"))
			return nx_audit_chain_flush(&a->chain);
	recovered(a);
	nx_audit_chain_head(&a->chain);
	return true;
}

static bool rotate(struct nx_audit *a)
{
	nx_audit_line_begin(&a->chain, nx_wall_us(), "close");
	nx_buf_puts(&a->chain.out, ",\"reason\":\"rotate\"");
	nx_audit_line_end(&a->chain);
	if (!flush(a))
		return false;
	while (!nx_audit_chain_next(&a->chain))
		if (!pause_after_failure(a, "continued in a new file"))
			return false;
	return true;
}

static void put_lost(struct nx_audit *a, uint64_t lost)
{
	nx_log(NX_LOG_ERROR, "audit", "AUDIT_FAILED: %llu audit records were lost",
	       (unsigned long long)lost);
	nx_audit_line_begin(&a->chain, nx_wall_us(), "lost");
	put_number(&a->chain.out, ",\"records\":", lost);
	nx_audit_line_end(&a->chain);
}

/* Formats and writes one buffer. False: at the end, and it could not be written. */
static bool write_buffer(struct nx_audit *a, const char *data, size_t len)
{
	struct nx_buf *b = &a->chain.out;
	for (size_t at = 0; at < len;) {
		uint32_t size;
		memcpy(&size, data + at, sizeof(size));
		size_t before = b->len;
		put_record(a, data + at);
		if (b->failed) { /* no memory for this line */
			b->failed = false;
			b->len = before;
			atomic_fetch_add(&a->lost_total, 1);
			put_lost(a, 1);
		}
		at += size;
		atomic_fetch_add_explicit(&a->written, 1, memory_order_relaxed);
		if (a->chain.size + b->len >= a->chain.limit) {
			if (!rotate(a))
				return false;
		} else if (b->len >= WRITE_AT && !flush(a)) {
			return false;
		}
	}
	return flush(a);
}

/* Lock held: sleeps until there is something, then lets a batch gather. */
static void gather(struct nx_audit *a)
{
	while (a->len == 0 && a->lost == 0 && !a->stop) {
		a->asleep = true;
		pthread_cond_wait(&a->work, &a->lock);
	}
	a->asleep = false;
	int64_t until = nx_now() + GATHER;
	while (!a->stop && a->len < a->cap / 2 && nx_now() < until)
		wait_until(&a->work, &a->lock, until);
}

static void *writer_main(void *arg)
{
	struct nx_audit *a = arg;
	for (bool on = true; on;) {
		pthread_mutex_lock(&a->lock);
		gather(a);
		char *full = a->front;
		size_t len = a->len;
		uint64_t lost = a->lost;
		a->front = a->back;
		a->back = full;
		a->len = 0;
		a->lost = 0;
		bool stop = a->stop;
		pthread_cond_broadcast(&a->room);
		pthread_mutex_unlock(&a->lock);
		if (lost)
			put_lost(a, lost);
		bool ok = write_buffer(a, full, len);
		on = !stop || (ok && a->len > 0);
	}
	return NULL;
}

/* ---- life ---- */

enum nx_code nx_audit_open(const struct nx_audit_config *cfg, struct nx_audit **ret,
			   struct nx_error *err)
{
	struct nx_audit *a = calloc(1, sizeof(*a));
	if (!a)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	a->cap = cfg->sql ? BUFFER_SQL : BUFFER;
	a->sql = cfg->sql;
	a->front = malloc(a->cap);
	a->back = malloc(a->cap);
	pthread_condattr_t mono;
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->work, &mono);
	pthread_cond_init(&a->room, &mono);
	pthread_condattr_destroy(&mono);
	enum nx_code c = nx_audit_chain_open(&a->chain, cfg->dir, cfg->rotate_bytes,
					     cfg->sync == NX_AUDIT_SYNC_BATCH, err);
	if (!c && (!a->front || !a->back))
		c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!c && pthread_create(&a->writer, NULL, writer_main, a))
		c = nx_fail(err, NX_E_INTERNAL, "Cannot start a thread.");
	if (!c) {
		*ret = a;
		return NX_OK;
	}
	nx_audit_chain_done(&a->chain);
	free(a->front);
	free(a->back);
	free(a);
	return c;
}

void nx_audit_close(struct nx_audit *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_signal(&a->work);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->writer, NULL);
	nx_audit_line_begin(&a->chain, nx_wall_us(), "close");
	nx_buf_puts(&a->chain.out, ",\"reason\":\"stop\"");
	nx_audit_line_end(&a->chain);
	if (nx_audit_chain_flush(&a->chain) && fdatasync(a->chain.fd) == 0)
		nx_audit_chain_head(&a->chain);
	else
		nx_log(NX_LOG_ERROR, "audit",
		       "AUDIT_FAILED: the last records could not be written");
	nx_audit_chain_done(&a->chain);
	pthread_cond_destroy(&a->work);
	pthread_cond_destroy(&a->room);
	pthread_mutex_destroy(&a->lock);
	free(a->front);
	free(a->back);
	free(a);
}
