#include "gate/guard.h"

#include <stdlib.h>

#include "auth/ratelimit.h"
#include "base/cidr.h"
#include "gate/request.h"

struct nx_guard {
	struct nx_ratelimit *principals, *addresses; /* NULL: no limit */
	struct nx_cidr_list proxies;
};

static enum nx_code make_limit(const struct nx_options *o, const char *rate, const char *burst,
			       struct nx_ratelimit **ret, struct nx_error *err)
{
	int64_t n = nx_opt_int(o, rate, 0);
	if (n == 0)
		return NX_OK;
	*ret = nx_ratelimit_new((uint32_t)n, (uint32_t)nx_opt_int(o, burst, 0), 0);
	return *ret ? NX_OK : nx_fail(err, NX_E_MEMORY, "Out of memory.");
}

enum nx_code nx_guard_open(const struct nx_options *o, struct nx_guard **ret, struct nx_error *err)
{
	struct nx_guard *g = calloc(1, sizeof(*g));
	if (!g)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	enum nx_code c = make_limit(o, "limits.perPrincipal", "limits.burst", &g->principals, err);
	if (!c)
		c = make_limit(o, "limits.perAddress", "limits.addressBurst", &g->addresses, err);
	if (!c)
		c = nx_cidr_list_parse(nx_str(nx_opt_str(o, "http.trustedProxies", "")),
				       &g->proxies, err);
	if (c) {
		nx_guard_free(g);
		return c;
	}
	*ret = g;
	return NX_OK;
}

void nx_guard_free(struct nx_guard *g)
{
	if (!g)
		return;
	nx_ratelimit_free(g->principals);
	nx_ratelimit_free(g->addresses);
	nx_cidr_list_done(&g->proxies);
	free(g);
}

/* Behind a trusted proxy: the first address, read from the end of all X-Forwarded-For, that is not
 * a trusted proxy itself. Everything left of it is the client's own word. */
static struct nx_str real_client(const struct nx_guard *g, struct nx_request *r)
{
	struct nx_ip at;
	if (!nx_ip_parse(r->http->peer, &at) || !nx_cidr_list_has(&g->proxies, &at))
		return r->http->peer;
	for (uint32_t i = r->http->nheaders; i-- > 0;) {
		const struct nx_http_header *h = &r->http->headers[i];
		if (nx_str_ieq(h->name, NX_STR("X-Forwarded-For")) &&
		    !nx_forwarded_for(&g->proxies, h->value, &at))
			break;
	}
	char text[NX_IP_TEXT];
	nx_ip_text(&at, text);
	struct nx_str copy = nx_arena_str(r->arena, nx_str(text));
	return copy.ptr ? copy : r->http->peer;
}

static uint64_t address_key(const struct nx_request *r)
{
	struct nx_ip ip;
	if (nx_ip_parse(r->client, &ip))
		return nx_ratelimit_address(ip.b);
	return nx_str_hash(r->client);
}

static enum nx_code limited(struct nx_request *r, const struct nx_rate *rate)
{
	r->retry_s = rate->retry_s;
	return nx_fail(&r->err, NX_E_RATE_LIMITED, "Too many requests; try again in %u s.",
		       rate->retry_s);
}

enum nx_code nx_guard_arrive(struct nx_request *r)
{
	const struct nx_guard *g = r->gw->guard;
	struct nx_rate rate;
	r->client = g->proxies.n ? real_client(g, r) : r->http->peer;
	if (!g->addresses || nx_ratelimit_quiet(g->addresses, r->started) ||
	    nx_ratelimit_ready(g->addresses, address_key(r), r->started, &rate))
		return NX_OK;
	return limited(r, &rate);
}

void nx_guard_failed(struct nx_request *r)
{
	const struct nx_guard *g = r->gw->guard;
	struct nx_rate rate;
	/* a proof that has merely run out is no guess */
	if (g->addresses && r->err.code == NX_E_UNAUTHENTICATED &&
	    !nx_ratelimit_take(g->addresses, address_key(r), r->started, &rate))
		r->retry_s = rate.retry_s;
}

static void header(struct nx_request *r, const char *name, uint32_t v)
{
	char text[12];
	char *p = text + sizeof(text);
	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	nx_http_add_header(r->x, name, nx_strn(p, (size_t)(text + sizeof(text) - p)));
}

enum nx_code nx_guard_known(struct nx_request *r)
{
	const struct nx_guard *g = r->gw->guard;
	struct nx_rate rate;
	if (!g->principals)
		return NX_OK;
	bool ok = nx_ratelimit_take(g->principals, r->who.id, r->started, &rate);
	header(r, "RateLimit-Limit", rate.limit);
	header(r, "RateLimit-Remaining", rate.remaining);
	header(r, "RateLimit-Reset", rate.reset_s);
	return ok ? NX_OK : limited(r, &rate);
}
