/* One HTTP/1.1 request: the same result however the bytes are cut, results that keep the promises of
 * the interface, and (where its sources are installed) agreement with llhttp. */
#include <stdlib.h>

#include "http/parse_whole.h"
#ifdef HAVE_LLHTTP
#include "http/oracle.h"
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_promises(const struct nx_whole *w, size_t size)
{
	const struct nx_http_request *r = &w->head.req;
	if (r->path.len == 0 || r->path.ptr[0] != '/' || memchr(r->path.ptr, '\0', r->path.len))
		abort();
	if (nx_utf8_check(r->path) != r->path.len || w->used > size)
		abort();
	for (uint32_t i = 0; i < r->nheaders; i++)
		if (r->headers[i].name.len == 0 || r->headers[i].value.ptr < w->buf ||
		    r->headers[i].value.ptr + r->headers[i].value.len > w->buf + size)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = { 1, 3, 64 };
	const char *text = (const char *)data;
	struct nx_whole w;
	nx_whole_parse(&w, text, size, 0);
	if (!w.code && w.used > 0)
		check_promises(&w, size);
	for (size_t i = 0; i < NX_COUNTOF(steps); i++) {
		struct nx_whole v;
		nx_whole_parse(&v, text, size, steps[i]);
		if (v.code != w.code || v.complete != w.complete || (!w.code && v.used != w.used) ||
		    (!w.code && !nx_str_eq(nx_buf_str(&v.body), nx_buf_str(&w.body))))
			abort();
		nx_whole_done(&v);
	}
#ifdef HAVE_LLHTTP
	if (nx_oracle_check(&w, text, size))
		abort();
#endif
	nx_whole_done(&w);
	return 0;
}
