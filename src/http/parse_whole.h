/* For tests and fuzzing: one whole message through scan, head and body, fed in pieces. */
#ifndef NX_HTTP_PARSE_WHOLE_H
#define NX_HTTP_PARSE_WHOLE_H

#include <stdlib.h>

#include "http/parse.h"

#define NX_WHOLE_MAX_HEAD ((size_t)16 * 1024)
#define NX_WHOLE_MAX_BODY ((size_t)64 * 1024)

struct nx_whole {
	char *buf;
	struct nx_arena *arena;
	struct nx_buf body;
	struct nx_http_head head;
	enum nx_code code; /* NX_OK: `complete` says whether the message ended */
	bool complete;
	size_t used;
	struct nx_error err;
};

static inline void nx_whole_done(struct nx_whole *w)
{
	free(w->buf);
	nx_arena_free(w->arena);
	nx_buf_done(&w->body);
}

/* `step` bytes at a time (0: all at once). */
static inline void nx_whole_parse(struct nx_whole *w, const char *data, size_t len, size_t step)
{
	*w = (struct nx_whole){ .buf = malloc(len + 1), .arena = nx_arena_new(0) };
	nx_buf_init(&w->body, NX_WHOLE_MAX_BODY);
	if (!w->buf || !w->arena)
		abort();
	struct nx_http_scan scan = { 0 };
	enum nx_http_step found = NX_HTTP_MORE;
	size_t have = 0;
	while (found == NX_HTTP_MORE && have < len) {
		size_t n = step && step < len - have ? step : len - have;
		for (size_t i = 0; i < n; i++)
			w->buf[have + i] = data[have + i];
		have += n;
		found = nx_http_scan_head(&scan, w->buf, have);
	}
	if (found == NX_HTTP_BAD)
		w->code = nx_fail(&w->err, NX_E_BAD_REQUEST, "line ends");
	if (found != NX_HTTP_FOUND)
		return;
	w->used = scan.end;
	w->code = nx_http_parse_head(w->buf, &scan, 64, w->arena, &w->head, &w->err);
	if (w->code)
		return;
	if (!w->head.chunked) {
		if (w->head.length > len - scan.end)
			return;
		nx_buf_put(&w->body, data + scan.end, (size_t)w->head.length);
		w->used += (size_t)w->head.length;
		w->complete = true;
		if (w->body.failed)
			w->code = NX_E_BODY_TOO_LARGE;
		return;
	}
	struct nx_http_chunks chunks = { 0 };
	while (w->used < len && !w->complete) {
		size_t used, n = step && step < len - w->used ? step : len - w->used;
		w->code = nx_http_unchunk(&chunks, data + w->used, n, &used, &w->body, &w->err);
		if (w->code)
			return;
		w->used += used;
		w->complete = nx_http_unchunked(&chunks);
	}
}

#endif
