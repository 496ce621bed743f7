#include "gate/guard.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/concurrency.h"
#include "auth/ratelimit.h"
#include "base/cidr.h"
#include "base/log.h"
#include "catalog/vitals.h"
#include "gate/api/api.h"
#include "stats/audit.h"

struct nx_guard {
	struct nx_ratelimit *principals, *addresses;
	struct nx_concurrency *under_way;
	_Atomic uint32_t concurrent; /* of a principal; 0: no limit */
	pthread_rwlock_t proxies_lock;
	_Atomic bool any_proxies; /* most gateways have none and take no lock */
	struct nx_cidr_list proxies;
	struct nx_audit *audit; /* NULL: off */
	bool audit_required;
};

static enum nx_code make_limit(const struct nx_options *o, const char *rate, const char *burst,
			       struct nx_ratelimit **ret, struct nx_error *err)
{
	*ret = nx_ratelimit_new((uint32_t)nx_opt_int(o, rate, 0), (uint32_t)nx_opt_int(o, burst, 0),
				0);
	return *ret ? NX_OK : nx_fail(err, NX_E_MEMORY, "Out of memory.");
}

static enum nx_code open_audit(const struct nx_options *o, struct nx_guard *g, struct nx_error *err)
{
	if (!nx_opt_bool(o, "audit.enabled", true))
		return NX_OK;
	char dir[4096];
	int n = snprintf(dir, sizeof(dir), "%s/audit", nx_opt_str(o, "dataDir", ".nexus"));
	if (n < 0 || (size_t)n >= sizeof(dir))
		return nx_fail(err, NX_E_CONFIG, "dataDir is too long.");
	bool batch = strcmp(nx_opt_str(o, "audit.sync", ""), "batch") == 0;
	struct nx_audit_config c = {
		.dir = dir,
		.rotate_bytes = (uint64_t)nx_opt_int(o, "audit.rotateBytes", 0),
		.sync = batch ? NX_AUDIT_SYNC_BATCH : NX_AUDIT_SYNC_OFF,
		.sql = nx_opt_bool(o, "audit.sql", false),
	};
	g->audit_required = nx_opt_bool(o, "audit.required", false);
	return nx_audit_open(&c, &g->audit, err);
}

enum nx_code nx_guard_open(const struct nx_options *o, struct nx_guard **ret, struct nx_error *err)
{
	struct nx_guard *g = calloc(1, sizeof(*g));
	if (!g)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	pthread_rwlock_init(&g->proxies_lock, NULL);
	enum nx_code c = make_limit(o, "limits.perPrincipal", "limits.burst", &g->principals, err);
	if (!c)
		c = make_limit(o, "limits.perAddress", "limits.addressBurst", &g->addresses, err);
	if (!c)
		c = nx_cidr_list_parse(nx_str(nx_opt_str(o, "http.trustedProxies", "")),
				       &g->proxies, err);
	g->any_proxies = g->proxies.n > 0;
	g->concurrent = (uint32_t)nx_opt_int(o, "limits.concurrent", 0);
	g->under_way = nx_concurrency_new();
	if (!c && !g->under_way)
		c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!c)
		c = open_audit(o, g, err);
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
	nx_concurrency_free(g->under_way);
	nx_cidr_list_done(&g->proxies);
	pthread_rwlock_destroy(&g->proxies_lock);
	nx_audit_close(g->audit);
	free(g);
}

enum nx_code nx_guard_reload(struct nx_guard *g, const struct nx_options *o, struct nx_error *err)
{
	struct nx_cidr_list proxies, old;
	enum nx_code c =
		nx_cidr_list_parse(nx_str(nx_opt_str(o, "http.trustedProxies", "")), &proxies, err);
	if (c)
		return c;
	pthread_rwlock_wrlock(&g->proxies_lock);
	old = g->proxies;
	g->proxies = proxies;
	g->any_proxies = proxies.n > 0;
	pthread_rwlock_unlock(&g->proxies_lock);
	nx_cidr_list_done(&old);
	g->concurrent = (uint32_t)nx_opt_int(o, "limits.concurrent", 0);
	nx_ratelimit_set(g->principals, (uint32_t)nx_opt_int(o, "limits.perPrincipal", 0),
			 (uint32_t)nx_opt_int(o, "limits.burst", 0));
	nx_ratelimit_set(g->addresses, (uint32_t)nx_opt_int(o, "limits.perAddress", 0),
			 (uint32_t)nx_opt_int(o, "limits.addressBurst", 0));
	return NX_OK;
}

void nx_guard_note(struct nx_guard *g, const char *action, enum nx_code c)
{
	struct nx_audit_event e = { .event = "admin", .action = action, .code = c };
	e.principal = NX_STR("operator");
	struct nx_error err;
	if (g->audit && nx_audit_add(g->audit, &e, 200, &err))
		nx_log_error(NX_LOG_ERROR, "audit", NULL, &err);
}

/* Behind a trusted proxy: the first address, read from the end of all X-Forwarded-For, that is not
 * a trusted proxy itself. Everything left of it is the client's own word. */
static struct nx_str behind_proxies(const struct nx_guard *g, struct nx_request *r)
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

static struct nx_str real_client(struct nx_guard *g, struct nx_request *r)
{
	pthread_rwlock_rdlock(&g->proxies_lock);
	struct nx_str client = behind_proxies(g, r);
	pthread_rwlock_unlock(&g->proxies_lock);
	return client;
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
	r->unrecorded = !rate->first; /* a flood must not fill the disk, too */
	return nx_fail(&r->err, NX_E_RATE_LIMITED, "Too many requests; try again in %u s.",
		       rate->retry_s);
}

enum nx_code nx_guard_arrive(struct nx_request *r)
{
	struct nx_guard *g = r->gw->guard;
	struct nx_rate rate;
	r->unrecorded = false; /* it may come here twice: see wait_for_keys in steps.c */
	r->client = g->any_proxies ? real_client(g, r) : r->http->peer;
	if (!nx_ratelimit_on(g->addresses) || nx_ratelimit_quiet(g->addresses, r->started) ||
	    nx_ratelimit_ready(g->addresses, address_key(r), r->started, &rate))
		return NX_OK;
	return limited(r, &rate);
}

void nx_guard_failed(struct nx_request *r)
{
	const struct nx_guard *g = r->gw->guard;
	struct nx_rate rate;
	/* the issuer's fault and said in the log once; anybody could fill the disk with it */
	r->unrecorded = r->err.code == NX_E_ISSUER_DOWN;
	/* a proof that has merely run out is no guess */
	if (nx_ratelimit_on(g->addresses) && r->err.code == NX_E_UNAUTHENTICATED &&
	    !nx_ratelimit_take(g->addresses, address_key(r), r->started, &rate))
		r->retry_s = rate.retry_s;
}

/* Everything that runs a statement or changes something, and everybody who is turned away. */
static bool recorded(const struct nx_request *r, enum nx_code c)
{
	if (!r->route || r->unrecorded)
		return false;
	return r->route->kind == NX_ROUTE_QUERY || r->route->method != NX_HTTP_GET ||
	       r->route->act == nx_act_fetch_next || r->route->act == nx_act_source_schema ||
	       (c >= NX_E_UNAUTHENTICATED && c <= NX_E_RATE_LIMITED);
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
	if (g->audit_required && g->audit && recorded(r, NX_OK) && !nx_audit_ready(g->audit))
		return nx_fail(&r->err, NX_E_AUDIT_FAILED, "The audit log cannot be written.");
	if (!nx_ratelimit_on(g->principals))
		return NX_OK;
	bool ok = nx_ratelimit_take(g->principals, r->who.id, r->started, &rate);
	header(r, "RateLimit-Limit", rate.limit);
	header(r, "RateLimit-Remaining", rate.remaining);
	header(r, "RateLimit-Reset", rate.reset_s);
	return ok ? NX_OK : limited(r, &rate);
}

/* ---- which source ---- */

/* An id never changes; a source of the configuration file gets a new one with every start, but its
 * name is out of the API's reach. A name with a colon cannot be mistaken for an id. */
static struct nx_str source_key(struct nx_request *r, const struct nx_data_source *s)
{
	if (!s->from_config)
		return nx_str(s->id);
	return nx_str(nx_arena_printf(r->arena, "config:%.*s", NX_STR_ARG(s->name)));
}

struct nx_str nx_guard_source_key(struct nx_request *r)
{
	return source_key(r, r->source);
}

static bool granted(struct nx_request *r, const struct nx_data_source *s,
		    struct nx_grant_limits *ret)
{
	bool none = nx_grants_empty(r->gw->grants);
	struct nx_str key = none ? NX_STR("") : source_key(r, s);
	return key.ptr && nx_principal_sees(&r->who, s->name) &&
	       nx_grants_check(r->gw->grants, key, &r->who, ret);
}

bool nx_guard_sees(struct nx_request *r, const struct nx_data_source *s)
{
	struct nx_grant_limits unused;
	return granted(r, s, &unused);
}

/* Its own grants are for those who ask for it by name. Gone: closed, never the wider login. */
static const struct nx_data_source *stand_in(struct nx_request *r, const struct nx_data_source *s,
					     const char *use)
{
	const struct nx_data_source *instead;
	struct nx_error err;
	if (nx_catalog_get(r->gw->catalog, nx_str(use), &instead, &err) == NX_OK)
		return instead;
	nx_log(NX_LOG_WARN, "grants",
	       "the source %s, which a grant of " NX_STR_FMT " uses, does not exist", use,
	       NX_STR_ARG(s->name));
	return NULL;
}

const struct nx_data_source *nx_guard_serving(struct nx_request *r, const struct nx_data_source *s)
{
	struct nx_grant_limits l;
	if (!granted(r, s, &l))
		return NULL;
	if (l.use[0])
		return stand_in(r, s, l.use);
	nx_data_source_ref(s);
	return s;
}

enum nx_code nx_guard_source(struct nx_request *r)
{
	bool ok = granted(r, r->source, &r->granted);
	if (ok && !r->granted.use[0])
		return NX_OK;
	const struct nx_data_source *instead = ok ? stand_in(r, r->source, r->granted.use) : NULL;
	if (instead) {
		r->asked = r->source;
		r->source = instead;
		return NX_OK;
	}
	nx_data_source_unref(r->source);
	r->source = NULL;
	return nx_fail(&r->err, NX_E_SOURCE_NOT_FOUND, "No such data source.");
}

/* ---- how many at once ---- */

static bool enter(struct nx_request *r, uint32_t slot, uint64_t key, uint32_t most)
{
	key += key == 0;
	if (!nx_concurrency_take(r->gw->guard->under_way, key, most))
		return false;
	r->counted[slot] = key;
	return true;
}

enum nx_code nx_guard_enter(struct nx_request *r)
{
	uint32_t most = atomic_load_explicit(&r->gw->guard->concurrent, memory_order_relaxed);
	uint32_t here = r->granted.max_concurrent;
	uint64_t source = here ? nx_str_hash(r->source->name) : 0;
	if ((most && !enter(r, 0, r->who.id, most)) ||
	    (here && !enter(r, 1, r->who.id ^ source * 0x9e3779b97f4a7c15u, here)))
		return nx_fail(&r->err, NX_E_TOO_MANY_QUERIES, "%s",
			       nx_code_help(NX_E_TOO_MANY_QUERIES));
	return NX_OK;
}

void nx_guard_left(struct nx_request *r)
{
	for (uint32_t i = 0; i < NX_COUNTOF(r->counted); i++) {
		if (r->counted[i])
			nx_concurrency_give(r->gw->guard->under_way, r->counted[i]);
		r->counted[i] = 0;
	}
}

/* ---- the record ---- */

static unsigned layers_of(const struct nx_data_source *s)
{
	unsigned caps = s->driver ? s->driver->caps : 0;
	return NX_AUDIT_SHAPE | (caps & NX_CAP_RO_SESSION ? NX_AUDIT_SERVER : 0u) |
	       (caps & NX_CAP_DESCRIBE ? NX_AUDIT_DESCRIBE : 0u) |
	       (caps & NX_CAP_ONE_STATEMENT ? NX_AUDIT_ONE_STATEMENT : 0u) |
	       (nx_vitals_read_only(nx_data_source_vitals(s)) ? NX_AUDIT_GRANTS : 0u);
}

static const char *event_of(const struct nx_route *route)
{
	switch (route->right) {
	case NX_RIGHT_EDIT_SOURCES:
	case NX_RIGHT_TEST_SOURCES:
	case NX_RIGHT_EDIT_KEYS:
		return "admin";
	default:
		return route->act == nx_act_query_cancel ? "admin" : "query";
	}
}

/* What the request names: the id in its path, or what it makes. Never a cursor's token. */
static struct nx_str target_of(const struct nx_request *r)
{
	if (r->path[0].len && r->route->act != nx_act_fetch_next)
		return r->path[0];
	const struct nx_json *name = r->body ? nx_json_get(r->body, "name") : NULL;
	return name ? name->text : r->args.source;
}

enum nx_code nx_guard_record(struct nx_request *r, enum nx_code c, int64_t elapsed)
{
	struct nx_guard *g = r->gw->guard;
	if (!g->audit || !recorded(r, c))
		return NX_OK;
	struct nx_audit_event e = {
		.event = event_of(r->route),
		.action = r->route->id,
		.role = r->who.name[0] ? nx_role_name(r->who.role) : NULL,
		.door = r->door == NX_DOOR_REST ? NULL : nx_door_name(r->door),
		.principal = nx_str(r->who.name),
		.client = r->client,
		.target = target_of(r),
		.correlation_id = nx_str(r->correlation),
		.sql = r->args.sql,
		.code = c,
		.rows = r->rows,
		.bytes = r->bytes,
		.elapsed_us = (uint64_t)(elapsed / 1000),
	};
	if (r->route->kind == NX_ROUTE_QUERY)
		e.query_id = nx_str(r->job.id);
	if (r->source) {
		e.source_id = nx_str(r->source->id);
		e.source = r->source->name;
		e.layers = r->args.sql.len ? layers_of(r->source) : 0;
	}
	enum nx_code kept = nx_audit_add(g->audit, &e, r->lent ? 200 : 5, NULL);
	return g->audit_required ? kept : NX_OK;
}

bool nx_guard_audit(struct nx_guard *g, struct nx_audit_stats *ret)
{
	if (g->audit)
		nx_audit_stats(g->audit, ret);
	return g->audit != NULL;
}
