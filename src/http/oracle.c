/* Where llhttp's opinion does not count:
 *   - methods: it knows a fixed list, we take any token and let the routes decide; and for the
 *     methods of RTSP and of itself ("PRI", "CONNECT") it has rules of its own;
 *   - an Upgrade field together with "Connection: upgrade" ends parsing for it. */
#include "oracle.h"

#include <llhttp.h>
#include <strings.h>

struct seen {
	const struct nx_whole *w;
	struct nx_buf url, name, value, body;
	uint32_t fields;
	bool in_value, complete;
	const char *differs;
};

static void field_ends(struct seen *s)
{
	if (!s->in_value)
		return;
	s->in_value = false;
	/* fields of the trailer are dropped by us: beyond the count they are not compared */
	if (s->fields < s->w->head.req.nheaders) {
		const struct nx_http_header *h = &s->w->head.req.headers[s->fields];
		if (!nx_str_eq(h->name, nx_buf_str(&s->name)))
			s->differs = "a field's name";
		if (!nx_str_eq(h->value, nx_str_trim(nx_buf_str(&s->value))))
			s->differs = "a field's value";
	}
	s->fields++;
	nx_buf_clear(&s->name);
	nx_buf_clear(&s->value);
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
	nx_buf_put(&((struct seen *)p->data)->url, at, n);
	return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
	field_ends(p->data);
	nx_buf_put(&((struct seen *)p->data)->name, at, n);
	return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
	struct seen *s = p->data;
	s->in_value = true;
	nx_buf_put(&s->value, at, n);
	return 0;
}

static int on_headers(llhttp_t *p)
{
	struct seen *s = p->data;
	field_ends(s);
	if (s->fields != s->w->head.req.nheaders)
		s->differs = "the number of fields";
	return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
	nx_buf_put(&((struct seen *)p->data)->body, at, n);
	return 0;
}

static int on_complete(llhttp_t *p)
{
	((struct seen *)p->data)->complete = true;
	return HPE_PAUSED;
}

static bool counts(const struct nx_whole *w)
{
	if (w->head.req.method == NX_HTTP_OTHER)
		return false;
	for (uint32_t i = 0; i < w->head.req.nheaders; i++)
		if (nx_str_ieq(w->head.req.headers[i].name, NX_STR("upgrade")))
			return false;
	return true;
}

static const char *compare(const struct seen *s, const llhttp_t *p, llhttp_errno_t e, size_t at)
{
	const struct nx_http_request *r = &s->w->head.req;
	if (s->differs)
		return s->differs;
	if (!s->w->complete)
		return s->complete   ? "it has a whole message, we wait"
		       : e == HPE_OK ? NULL
				     : "it refuses what we wait for";
	if (!s->complete)
		return e == HPE_OK ? "it waits, we have a whole message"
				   : llhttp_get_error_reason(p);
	if (at != s->w->used)
		return "where the message ends";
	if (!nx_str_is(r->method_text, llhttp_method_name((llhttp_method_t)p->method)))
		return "the method";
	if (p->http_major != 1 || p->http_minor != !r->http10)
		return "the version";
	if (!nx_str_eq(nx_buf_str(&s->body), nx_buf_str(&s->w->body)))
		return "the body";
	if (!nx_str_ends(nx_buf_str(&s->url), r->query))
		return "the query";
	return NULL;
}

const char *nx_oracle_check(const struct nx_whole *w, const char *data, size_t len)
{
	static const llhttp_settings_t settings = {
		.on_url = on_url,
		.on_header_field = on_field,
		.on_header_value = on_value,
		.on_headers_complete = on_headers,
		.on_body = on_body,
		.on_message_complete = on_complete,
	};
	/* judged only once our head is complete: before that we have accepted nothing */
	if (w->code || w->used == 0 || !counts(w))
		return NULL;
	struct seen s = { .w = w };
	nx_buf_init(&s.url, len + 1);
	nx_buf_init(&s.name, len + 1);
	nx_buf_init(&s.value, len + 1);
	nx_buf_init(&s.body, len + 1);
	llhttp_t p;
	llhttp_init(&p, HTTP_REQUEST, &settings);
	p.data = &s;
	llhttp_errno_t e = llhttp_execute(&p, data, len);
	size_t at = e == HPE_PAUSED ? (size_t)(llhttp_get_error_pos(&p) - data) : len;
	const char *why = compare(&s, &p, e, at);
	nx_buf_done(&s.url);
	nx_buf_done(&s.name);
	nx_buf_done(&s.value);
	nx_buf_done(&s.body);
	return why;
}
