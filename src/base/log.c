#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "nexus/buf.h"

static _Atomic int min_level = NX_LOG_INFO;
static _Atomic int out_fd = 2;
static _Atomic bool pretty_lines;
static _Atomic uint64_t lines[NX_LOG_LEVELS], suppressed;
static _Thread_local const char *scope;

static const char *const names[] = { "debug", "info", "warn", "error" };

const char *nx_log_level_name(enum nx_log_level l)
{
	return names[l];
}

void nx_log_setup(enum nx_log_level min, int fd, bool pretty)
{
	atomic_store(&min_level, (int)min);
	if (fd >= 0)
		atomic_store(&out_fd, fd);
	atomic_store(&pretty_lines, pretty);
}

void nx_log_scope(const char *correlation_id)
{
	scope = correlation_id;
}

bool nx_log_wants(enum nx_log_level level)
{
	return (int)level >= atomic_load_explicit(&min_level, memory_order_relaxed);
}

void nx_log_stats(struct nx_log_stats *ret)
{
	for (int i = 0; i < NX_LOG_LEVELS; i++)
		ret->lines[i] = atomic_load(&lines[i]);
	ret->suppressed = atomic_load(&suppressed);
}

/* ---- where to ---- */

/* The file keeps its descriptor's number for ever: a new one is put in its place by dup2(), so that a
 * line that is being written goes to one or the other and never to a closed or foreign one. */
static struct {
	pthread_mutex_t lock;
	char *path; /* NULL: standard error */
	int fd; /* of the file, once there was one; else -1 */
} file = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };

static enum nx_code open_file(const char *path, struct nx_error *err)
{
	/* a pipe that nobody reads is a mistake, not something to wait for */
	int fd =
		open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
	if (fd >= 0)
		(void)fcntl(fd, F_SETFL, O_APPEND);
	if (fd < 0)
		return nx_fail(err, NX_E_CONFIG, "The log file %s cannot be opened: %s.", path,
			       strerror(errno));
	if (file.fd < 0) {
		file.fd = fd;
		return NX_OK;
	}
	int at = dup3(fd, file.fd, O_CLOEXEC);
	(void)close(fd);
	if (at < 0)
		return nx_fail(err, NX_E_IO, "The log file %s cannot be opened: %s.", path,
			       strerror(errno));
	return NX_OK;
}

enum nx_code nx_log_open(const char *path, struct nx_error *err)
{
	enum nx_code c = NX_OK;
	pthread_mutex_lock(&file.lock);
	char *copy = *path ? strdup(path) : NULL;
	if (*path && !copy)
		c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!c && copy)
		c = open_file(copy, err);
	if (c) {
		free(copy);
	} else {
		free(file.path);
		file.path = copy;
		atomic_store(&out_fd, copy ? file.fd : 2);
	}
	pthread_mutex_unlock(&file.lock);
	return c;
}

enum nx_code nx_log_reopen(struct nx_error *err)
{
	pthread_mutex_lock(&file.lock);
	enum nx_code c = file.path ? open_file(file.path, err) : NX_OK;
	pthread_mutex_unlock(&file.lock);
	return c;
}

/* ---- a line ---- */

struct line {
	enum nx_log_level level;
	const char *event, *cid; /* cid NULL or empty: none */
	struct nx_str message, fields;
	const struct nx_error *err; /* or NULL */
};

static void put_pretty(struct nx_buf *b, const struct line *l, const char *when)
{
	nx_buf_printf(b, "%s %-5s %s: " NX_STR_FMT, when, names[l->level], l->event,
		      NX_STR_ARG(l->message));
	if (l->err)
		nx_buf_printf(b, " (%s)%s%s", nx_code_name(l->err->code),
			      l->err->detail[0] ? " | " : "", l->err->detail);
	if (l->fields.len)
		nx_buf_putc(b, ' ');
	nx_buf_put_str(b, l->fields);
	/* a message may hold anything; a line stays one line */
	for (size_t i = 0; b->data && i < b->len; i++)
		if ((unsigned char)b->data[i] < ' ' || b->data[i] == 0x7f)
			b->data[i] = ' ';
}

static void put_json(struct nx_buf *b, const struct line *l, const char *when)
{
	nx_buf_printf(b, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", when,
		      names[l->level], l->event);
	if (l->cid && l->cid[0]) {
		nx_buf_puts(b, ",\"correlationId\":");
		nx_buf_put_json(b, nx_str(l->cid));
	}
	if (l->err) {
		nx_buf_printf(b, ",\"code\":\"%s\"", nx_code_name(l->err->code));
		if (l->err->sqlstate[0])
			nx_buf_printf(b, ",\"sqlstate\":\"%s\"", l->err->sqlstate);
	}
	nx_buf_puts(b, ",\"message\":");
	nx_buf_put_json(b, l->message);
	if (l->err && l->err->detail[0]) {
		nx_buf_puts(b, ",\"detail\":");
		nx_buf_put_json(b, nx_str(l->err->detail));
	}
	nx_buf_put_str(b, l->fields);
	nx_buf_putc(b, '}');
}

static void emit(const struct line *l)
{
	char when[NX_ISO_LEN];
	nx_iso_time(nx_wall_us(), when);
	struct nx_buf b;
	nx_buf_init(&b, (size_t)1 << 20);
	if (atomic_load(&pretty_lines))
		put_pretty(&b, l, when);
	else
		put_json(&b, l, when);
	nx_buf_putc(&b, '\n');
	if (!b.failed) {
		ssize_t n = write(atomic_load(&out_fd), b.data, b.len);
		(void)n; /* a log that cannot be written has nowhere to say so */
	}
	nx_buf_done(&b);
	atomic_fetch_add_explicit(&lines[l->level], 1, memory_order_relaxed);
}

/* ---- lines that repeat themselves ---- */

enum { KINDS = 64, FREE_LINES = 20 };
#define WINDOW (10 * NX_SEC)

/* Equal lines of the last ten seconds. */
struct repeat {
	uint64_t hash; /* 0: free */
	int64_t since;
	uint64_t said, held;
	enum nx_log_level level;
	const char *event;
	char text[200];
};

static struct {
	pthread_mutex_t lock;
	struct repeat kind[KINDS];
} repeats = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void tell(const struct repeat *r)
{
	char text[300], field[48];
	(void)snprintf(text, sizeof(text), "said %llu times more: %s", (unsigned long long)r->held,
		       r->text);
	(void)snprintf(field, sizeof(field), ",\"repeated\":%llu", (unsigned long long)r->held);
	emit(&(struct line){ .level = r->level,
			     .event = r->event,
			     .message = nx_str(text),
			     .fields = nx_str(field) });
}

static uint64_t hash_of(enum nx_log_level level, const char *event, struct nx_str text)
{
	uint64_t h = nx_str_hash(text) * 31 + nx_str_hash(nx_str(event)) + (uint64_t)level;
	return h ? h : 1;
}

/* The place of such lines: its own, a free one or that of the oldest. */
static struct repeat *place_of(uint64_t hash)
{
	struct repeat *at = &repeats.kind[0];
	for (int i = 0; i < KINDS; i++) {
		struct repeat *r = &repeats.kind[i];
		if (r->hash == hash)
			return r;
		if (at->hash && (!r->hash || r->since < at->since))
			at = r;
	}
	return at;
}

/* May this line be said? *ret_held: lines that were held back and must be told now (hash 0: none). */
static bool may_say(enum nx_log_level level, const char *event, struct nx_str text,
		    struct repeat *ret_held)
{
	uint64_t hash = hash_of(level, event, text);
	int64_t now = nx_now();
	ret_held->hash = 0;
	pthread_mutex_lock(&repeats.lock);
	struct repeat *r = place_of(hash);
	if (r->hash != hash || now - r->since > WINDOW) {
		if (r->hash && r->held)
			*ret_held = *r;
		*r = (struct repeat){ .hash = hash, .since = now, .level = level, .event = event };
		size_t n = text.len < sizeof(r->text) ? text.len : sizeof(r->text) - 1;
		memcpy(r->text, text.ptr, n);
	}
	bool ok = r->said < FREE_LINES;
	if (ok)
		r->said++;
	else
		r->held++;
	pthread_mutex_unlock(&repeats.lock);
	if (!ok)
		atomic_fetch_add_explicit(&suppressed, 1, memory_order_relaxed);
	return ok;
}

static void say(const struct line *l, struct nx_str key)
{
	struct repeat held;
	bool ok = may_say(l->level, l->event, key, &held);
	if (held.hash)
		tell(&held);
	if (ok)
		emit(l);
}

void nx_log_tick(void)
{
	for (int i = 0; i < KINDS; i++) {
		struct repeat held = { .hash = 0 };
		pthread_mutex_lock(&repeats.lock);
		struct repeat *r = &repeats.kind[i];
		if (r->hash && nx_now() - r->since > WINDOW) {
			held = *r;
			r->hash = 0;
		}
		pthread_mutex_unlock(&repeats.lock);
		if (held.hash && held.held)
			tell(&held);
	}
}

/* ---- saying ---- */

void nx_log(enum nx_log_level level, const char *event, const char *fmt, ...)
{
	if (!nx_log_wants(level))
		return;
	char text[2048];
	va_list ap;
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	struct nx_str message = nx_str(text);
	say(&(struct line){ .level = level, .event = event, .cid = scope, .message = message },
	    message);
}

void nx_log_error(enum nx_log_level level, const char *event, const char *correlation_id,
		  const struct nx_error *err)
{
	if (!nx_log_wants(level))
		return;
	const char *cid = correlation_id ? correlation_id : scope;
	char key[sizeof(err->message) + 64];
	(void)snprintf(key, sizeof(key), "%s: %s", nx_code_name(err->code), err->message);
	say(&(struct line){ .level = level,
			    .event = event,
			    .cid = cid,
			    .err = err,
			    .message = nx_str(err->message) },
	    nx_str(key));
}

void nx_log_fields(enum nx_log_level level, const char *event, struct nx_str message,
		   struct nx_str fields)
{
	if (nx_log_wants(level))
		emit(&(struct line){ .level = level,
				     .event = event,
				     .cid = scope,
				     .message = message,
				     .fields = fields });
}
