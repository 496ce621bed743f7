#include "stats/trace.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "outbound/outbound.h"
#include "stats/otlp.h"

enum { BATCH = 256, TRIES = 8 };
#define GATHER NX_SEC /* a batch is what comes in this time, or BATCH records */
#define BACKOFF_FIRST NX_SEC
#define BACKOFF_MOST (30 * NX_SEC)

struct nx_traces {
	struct nx_traces_config c; /* its texts are copies */
	struct nx_str headers[NX_OUTBOUND_HEADERS];
	uint32_t nheaders;
	char *header_text;
	pthread_mutex_t lock; /* ring, head, tail, stop; a leaf */
	pthread_cond_t work;
	pthread_t sender;
	struct nx_trace_record *ring; /* c.queue records */
	uint64_t head, tail; /* added, taken */
	bool stop;
	struct nx_trace_record *batch; /* the sender's */
	_Atomic uint64_t sent, dropped, failed;
};

/* ---- W3C Trace Context ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; /* lower case only: section 3.2 */
}

static bool hex_bytes(const char *p, uint8_t *ret, size_t n)
{
	uint8_t any = 0;
	for (size_t i = 0; i < n; i++) {
		int hi = hex_digit(p[2 * i]), lo = hex_digit(p[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return false;
		ret[i] = (uint8_t)(hi << 4 | lo);
		any |= ret[i];
	}
	return any != 0 || n == 1; /* ids of zeros are not valid */
}

bool nx_traceparent_parse(struct nx_str s, uint8_t ret_id[16], uint8_t ret_parent[8],
			  bool *ret_sampled)
{
	uint8_t version, flags, id[16], parent[8];
	if (s.len < NX_TRACEPARENT_LEN || s.ptr[2] != '-' || s.ptr[35] != '-' || s.ptr[52] != '-')
		return false;
	if (!hex_bytes(s.ptr, &version, 1) || !hex_bytes(s.ptr + 3, id, 16) ||
	    !hex_bytes(s.ptr + 36, parent, 8) || !hex_bytes(s.ptr + 53, &flags, 1))
		return false;
	bool longer = s.len > NX_TRACEPARENT_LEN;
	if (version == 0xff || (longer && (version == 0 || s.ptr[NX_TRACEPARENT_LEN] != '-')))
		return false;
	memcpy(ret_id, id, sizeof(id));
	memcpy(ret_parent, parent, sizeof(parent));
	*ret_sampled = flags & 1;
	return true;
}

static char *put_hex(char *at, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		*at++ = digits[p[i] >> 4];
		*at++ = digits[p[i] & 15];
	}
	return at;
}

void nx_traceparent_text(const uint8_t id[16], const uint8_t span[8],
			 char ret[NX_TRACEPARENT_LEN + 1])
{
	memcpy(ret, "00-", 3);
	char *at = put_hex(ret + 3, id, 16);
	*at++ = '-';
	at = put_hex(at, span, 8);
	memcpy(at, "-01", 4);
}

void nx_trace_begin(const struct nx_traces *t, struct nx_str parent, struct nx_trace *ret)
{
	bool wanted = false,
	     known = parent.ptr && nx_traceparent_parse(parent, ret->id, ret->parent, &wanted);
	uint8_t r[16];
	if (!known || !t->c.trust_parent) {
		uint64_t dice;
		nx_random16(r);
		memcpy(&dice, r, sizeof(dice));
		wanted = dice % 1000000 < t->c.sample;
	}
	if (!wanted)
		return;
	if (!known)
		nx_random16(ret->id);
	nx_random16(r);
	memcpy(ret->span, r, 8);
	memcpy(ret->run, r + 8, 8);
	ret->sampled = true;
}

/* ---- the queue ---- */

void nx_trace_add(struct nx_traces *t, const struct nx_trace_record *r)
{
	pthread_mutex_lock(&t->lock);
	bool room = t->head - t->tail < t->c.queue;
	if (room) {
		t->ring[t->head % t->c.queue] = *r;
		t->head++;
		if (t->head - t->tail == BATCH)
			pthread_cond_signal(&t->work);
	}
	pthread_mutex_unlock(&t->lock);
	if (!room) {
		free(r->sql);
		atomic_fetch_add(&t->dropped, 1);
	}
}

void nx_traces_stats(struct nx_traces *t, struct nx_traces_stats *ret)
{
	pthread_mutex_lock(&t->lock);
	uint64_t backlog = t->head - t->tail;
	pthread_mutex_unlock(&t->lock);
	*ret = (struct nx_traces_stats){ t->sent, t->dropped, t->failed, backlog };
}

/* Up to `ns`, or until there is a batch (`full`) or the end. True: the end. Lock held. */
static bool wait_for(struct nx_traces *t, int64_t ns, bool full)
{
	int64_t until = nx_now() + ns;
	struct timespec ts = { until / NX_SEC, until % NX_SEC };
	while (!t->stop && !(full && t->head - t->tail >= BATCH) && nx_now() < until)
		pthread_cond_timedwait(&t->work, &t->lock, &ts);
	return t->stop;
}

static uint32_t take(struct nx_traces *t)
{
	uint32_t n = 0;
	for (; n < BATCH && t->tail < t->head; n++, t->tail++)
		t->batch[n] = t->ring[t->tail % t->c.queue];
	return n;
}

/* ---- sending ---- */

static bool worth_another(int status)
{
	return status == 429 || status == 502 || status == 503 || status == 504;
}

/* One call. False: not delivered; *ret_wait says when to try again, 0: never. */
static bool post(struct nx_traces *t, struct nx_str body, int64_t *ret_wait)
{
	struct nx_error err;
	struct nx_arena *a = nx_arena_new((size_t)1 << 20);
	if (!a)
		return false;
	struct nx_outbound_request q = { .method = "POST",
					 .url = t->c.endpoint,
					 .body = body,
					 .nheaders = t->nheaders,
					 .ca_file = *t->c.ca_file ? t->c.ca_file : NULL,
					 .plain = t->c.plain,
					 .deadline = nx_now() + t->c.timeout_ms * NX_MS,
					 .max_body = (size_t)64 * 1024 };
	memcpy(q.headers, t->headers, sizeof(q.headers));
	struct nx_outbound_answer answer;
	enum nx_code c = nx_outbound_call(&q, a, &answer, &err);
	bool ok = !c && answer.status >= 200 && answer.status < 300;
	if (!c && !ok && !worth_another(answer.status))
		*ret_wait = 0;
	else if (!c && !ok && answer.retry_after_s)
		*ret_wait = (answer.retry_after_s < 60 ? answer.retry_after_s : 60) * NX_SEC;
	if (c)
		nx_log_error(NX_LOG_WARN, "traces", NULL, &err);
	else if (!ok)
		nx_log(NX_LOG_WARN, "traces", "the collector answered %d", answer.status);
	nx_arena_free(a);
	return ok;
}

/* Delivers a batch, or gives it up. */
static bool deliver(struct nx_traces *t, uint32_t n)
{
	struct nx_buf b;
	nx_buf_init(&b, (size_t)32 << 20);
	nx_otlp_encode(&t->c, t->batch, n, &b);
	bool ok = false, stop = false;
	int64_t backoff = BACKOFF_FIRST;
	for (int i = 0; !b.failed && !ok && !stop && i < TRIES; i++) {
		int64_t wait = backoff;
		backoff = 2 * backoff < BACKOFF_MOST ? 2 * backoff : BACKOFF_MOST;
		ok = post(t, nx_buf_str(&b), &wait);
		if (ok || wait == 0)
			break;
		pthread_mutex_lock(&t->lock);
		stop = wait_for(t, wait, false);
		pthread_mutex_unlock(&t->lock);
	}
	atomic_fetch_add(ok ? &t->sent : &t->failed, n);
	nx_buf_done(&b);
	for (uint32_t i = 0; i < n; i++)
		free(t->batch[i].sql);
	return ok;
}

static void *sender_main(void *arg)
{
	struct nx_traces *t = arg;
	int64_t end = NX_NEVER; /* of sending, once it is the end */
	for (;;) {
		pthread_mutex_lock(&t->lock);
		if (wait_for(t, GATHER, true) && end == NX_NEVER)
			end = nx_now() + t->c.timeout_ms * NX_MS;
		uint32_t n = take(t);
		pthread_mutex_unlock(&t->lock);
		bool ok = n && deliver(t, n);
		if (end != NX_NEVER && (!ok || nx_now() >= end))
			return NULL;
	}
}

/* ---- life ---- */

/* "name=value,..." as OTEL_EXPORTER_OTLP_HEADERS has it. */
static enum nx_code read_headers(struct nx_traces *t, struct nx_error *err)
{
	t->headers[t->nheaders++] = NX_STR("Content-Type: application/x-protobuf");
	size_t room = 3 * strlen(t->c.headers) + 2;
	char *at = t->header_text = calloc(1, room);
	if (!at)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	for (const char *p = t->c.headers; *p;) {
		size_t n = strcspn(p, ",");
		const char *eq = memchr(p, '=', n);
		if (!eq || eq == p || t->nheaders == NX_OUTBOUND_HEADERS)
			return nx_fail(err, NX_E_CONFIG,
				       "trace.headers must be name=value pairs, at most %d.",
				       NX_OUTBOUND_HEADERS - 1);
		struct nx_str name = nx_str_trim(nx_strn(p, (size_t)(eq - p)));
		struct nx_str value = nx_str_trim(nx_strn(eq + 1, n - (size_t)(eq + 1 - p)));
		int len = snprintf(at, room - (size_t)(at - t->header_text),
				   NX_STR_FMT ": " NX_STR_FMT, NX_STR_ARG(name), NX_STR_ARG(value));
		t->headers[t->nheaders++] = nx_strn(at, (size_t)len);
		at += len + 1;
		p += n + (p[n] ? 1 : 0);
	}
	return NX_OK;
}

static bool copy(const char **text)
{
	return (*text = strdup(*text ? *text : "")) != NULL;
}

static void traces_free(struct nx_traces *t)
{
	for (; t->ring && t->tail < t->head; t->tail++)
		free(t->ring[t->tail % t->c.queue].sql);
	if (t->header_text)
		nx_wipe(t->header_text, 3 * strlen(t->c.headers) + 2);
	free(t->header_text);
	if (t->c.headers)
		nx_wipe((char *)(uintptr_t)t->c.headers, strlen(t->c.headers));
	const char *const texts[] = { t->c.endpoint, t->c.headers, t->c.ca_file, t->c.service,
				      t->c.instance };
	for (size_t i = 0; i < NX_COUNTOF(texts); i++)
		free((char *)(uintptr_t)texts[i]);
	free(t->ring);
	free(t->batch);
	free(t);
}

static enum nx_code build(struct nx_traces *t, struct nx_error *err)
{
	/* each is copied, whatever happened before: traces_free() frees all of them */
	bool ok = copy(&t->c.endpoint);
	ok &= copy(&t->c.headers);
	ok &= copy(&t->c.ca_file);
	ok &= copy(&t->c.service);
	ok &= copy(&t->c.instance);
	t->ring = calloc(t->c.queue, sizeof(*t->ring));
	t->batch = calloc(BATCH, sizeof(*t->batch));
	if (!ok || !t->ring || !t->batch)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (strncmp(t->c.endpoint, "http://", 7) != 0 && strncmp(t->c.endpoint, "https://", 8) != 0)
		return nx_fail(err, NX_E_CONFIG,
			       "trace.endpoint must be an http or https address.");
	return read_headers(t, err);
}

enum nx_code nx_traces_check(const struct nx_traces_config *c, struct nx_error *err)
{
	struct nx_traces *t = calloc(1, sizeof(*t));
	if (!t)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	t->c = *c;
	enum nx_code code = build(t, err);
	traces_free(t);
	return code;
}

enum nx_code nx_traces_open(const struct nx_traces_config *c, struct nx_traces **ret,
			    struct nx_error *err)
{
	struct nx_traces *t = calloc(1, sizeof(*t));
	if (!t)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	t->c = *c;
	enum nx_code code = build(t, err);
	if (code) {
		traces_free(t);
		return code;
	}
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_t mono;
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&t->work, &mono);
	pthread_condattr_destroy(&mono);
	if (pthread_create(&t->sender, NULL, sender_main, t)) {
		traces_free(t);
		return nx_fail(err, NX_E_INTERNAL, "Cannot start a thread.");
	}
	*ret = t;
	return NX_OK;
}

void nx_traces_close(struct nx_traces *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_signal(&t->work);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->sender, NULL);
	pthread_cond_destroy(&t->work);
	pthread_mutex_destroy(&t->lock);
	traces_free(t);
}
