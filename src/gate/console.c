#include "gate/console.h"

#include "gate/request.h"

/* Everything comes from here, nothing runs that is not a file of ours, nobody frames it. */
#define CSP                                                                                        \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src " \
	"'self'; "                                                                                 \
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static const char not_built[] =
	"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Nexus-Gateway</title>"
	"<h1>Nexus-Gateway</h1><p>This gateway was built without its web console (<code>make "
	"console</code> "
	"builds it).</p><p>The API works without: <a "
	"href=\"/openapi.json\">/openapi.json</a></p></html>\n";

static const struct nx_asset *find(struct nx_str path)
{
	for (const struct nx_asset *a = nx_assets; a->path; a++)
		if (nx_str_is(path, a->path))
			return a;
	return NULL;
}

/* nx_accept_coding() would choose zstd, which these files are not kept in. */
static bool takes_gzip(const struct nx_request *r)
{
	struct nx_str h = nx_http_get_header(r->x, "Accept-Encoding");
	return h.ptr && memmem(h.ptr, h.len, "gzip", 4) && !memmem(h.ptr, h.len, "gzip;q=0", 8);
}

static enum nx_code page(struct nx_request *r)
{
	const struct nx_asset *a = find(r->http->path);
	nx_http_add_header(r->x, "Content-Security-Policy", NX_STR(CSP));
	nx_http_add_header(r->x, "Referrer-Policy", NX_STR("no-referrer"));
	nx_http_add_header(r->x, "X-Frame-Options", NX_STR("DENY"));
	if (!a) {
		nx_request_reply(r, 200, "text/html; charset=utf-8", nx_str(not_built));
		return NX_OK;
	}
	/* the name of a file below assets/ holds a hash of it: another content has another name */
	bool named = nx_str_starts(r->http->path, NX_STR("/assets/"));
	nx_http_add_header(r->x, "Cache-Control",
			   named ? NX_STR("public, max-age=31536000, immutable")
				 : NX_STR("no-cache"));
	nx_http_add_header(r->x, "ETag", nx_str(a->etag));
	nx_http_add_header(r->x, "Vary", NX_STR("Accept-Encoding"));
	if (nx_str_is(nx_http_get_header(r->x, "If-None-Match"), a->etag)) {
		nx_request_reply(r, 304, NULL, NX_STR(""));
		return NX_OK;
	}
	bool packed = takes_gzip(r);
	if (packed)
		nx_http_add_header(r->x, "Content-Encoding", NX_STR("gzip"));
	nx_request_reply(r, 200, a->type,
			 nx_strn((const char *)(packed ? a->packed : a->plain),
				 packed ? a->packed_len : a->plain_len));
	return NX_OK;
}

const struct nx_route *nx_console_route(struct nx_str path)
{
	static const struct nx_route route = {
		.id = "console",
		.method = NX_HTTP_GET,
		.method_text = "GET",
		.path = "/",
		.right = NX_RIGHT_NONE,
		.kind = NX_ROUTE_LOOP,
		.body = NX_BODY_NONE,
		.params = "",
		.summary = "",
		.act = page,
	};
	bool always = nx_str_is(path, "/") || nx_str_is(path, "/docs");
	return always || find(path) ? &route : NULL;
}
