/* Changes of the configuration while requests run.
 *
 * Everything that can fail comes first and changes nothing; what follows cannot fail. A request that is
 * under way may see the old value of one key and the new one of another; keys that must change together
 * (a certificate and its key, the list of sources) do. */
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/net.h"
#include "gate/gateway.h"
#include "gate/guard.h"
#include "nexus/buf.h"

#define NAMES_MAX 512

struct nx_reloads {
	struct nx_config
		current; /* of the last good reload; values NULL: none yet. Main thread only */
	pthread_mutex_t lock; /* leaf lock: the rest */
	uint64_t good, failed;
	char at[NX_ISO_LEN]; /* of the last good one; empty: none */
	char why[400]; /* of the last one, if it failed; else empty */
	char waiting[NAMES_MAX]; /* keys that need a restart, separated by blanks */
};

struct nx_reloads *nx_reloads_new(void)
{
	struct nx_reloads *r = calloc(1, sizeof(*r));
	if (r)
		pthread_mutex_init(&r->lock, NULL);
	return r;
}

void nx_reloads_free(struct nx_reloads *r)
{
	if (!r)
		return;
	nx_config_done(&r->current);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void nx_reloads_count(struct nx_gateway *gw, uint64_t *ret_good, uint64_t *ret_failed)
{
	struct nx_reloads *r = gw->reloads;
	pthread_mutex_lock(&r->lock);
	*ret_good = r->good;
	*ret_failed = r->failed;
	pthread_mutex_unlock(&r->lock);
}

const struct nx_config *nx_gateway_config(const struct nx_gateway *gw)
{
	return gw->reloads->current.values ? &gw->reloads->current : &gw->config;
}

void nx_gateway_apply(struct nx_gateway *gw, const struct nx_options *o)
{
	static const char *const levels[] = { "debug", "info", "warn", "error" };
	const char *want = nx_opt_str(o, "log.level", "info");
	enum nx_log_level level = NX_LOG_INFO;
	for (int i = 0; i < 4; i++)
		if (strcmp(levels[i], want) == 0)
			level = (enum nx_log_level)i;
	nx_log_setup(level, -1, nx_opt_bool(o, "log.pretty", false));
	gw->default_limit = (uint64_t)nx_opt_int(o, "query.defaultLimit", 1000);
	gw->max_sql = (uint32_t)nx_opt_int(o, "query.maxBytes", 102400);
	gw->log_queries = nx_opt_bool(o, "log.queries", false);
	gw->log_sql = nx_opt_bool(o, "log.sql", false);
	gw->log_sample = (uint32_t)nx_opt_int(o, "log.sample", 1000000);
	int64_t slow = nx_opt_ms(o, "log.slowQuery", 0);
	gw->log_slow = slow ? slow * NX_MS : INT64_MAX;
}

/* Keys whose new values wait for a restart; as many as there is room for. */
static void find_waiting(const struct nx_options *now, const struct nx_options *fresh,
			 char ret[NAMES_MAX])
{
	struct nx_buf b;
	nx_buf_init(&b, NAMES_MAX - 1);
	for (const struct nx_option *k = nx_config_keys; k->key; k++) {
		const char *a = nx_opt_str(now, k->key, ""), *z = nx_opt_str(fresh, k->key, "");
		if (!(k->flags & NX_OPTF_LIVE) && strcmp(a, z) != 0)
			nx_buf_printf(&b, "%s%s", b.len ? " " : "", k->key);
	}
	memcpy(ret, b.len ? b.data : "", b.len);
	ret[b.len] = '\0';
	nx_buf_done(&b);
}

static enum nx_code load_tls(const struct nx_gateway *gw, const struct nx_options *o,
			     struct nx_http_tls **ret, struct nx_error *err)
{
	const char *cert = nx_opt_str(o, "http.tls.cert", ""),
		   *key = nx_opt_str(o, "http.tls.key", "");
	bool before = *nx_opt_str(gw->config.values, "http.tls.cert", "") != '\0';
	if (before != (*cert != '\0') || before != (*key != '\0'))
		return nx_fail(err, NX_E_CONFIG, "TLS cannot be turned on or off by a reload.");
	return before ? nx_http_tls_load(cert, key, ret, err) : NX_OK;
}

static enum nx_code check_lists(const struct nx_options *o, struct nx_error *err)
{
	static const char *const keys[] = { "network.allow", "network.deny",
					    "http.trustedProxies" };
	enum nx_code c = NX_OK;
	for (size_t i = 0; i < NX_COUNTOF(keys) && !c; i++) {
		struct nx_cidr_list l;
		c = nx_cidr_list_parse(nx_str(nx_opt_str(o, keys[i], "")), &l, err);
		if (!c)
			nx_cidr_list_done(&l);
	}
	return c;
}

/* Lists that have just been parsed can fail for want of memory only: then the old ones stay. */
static void commit(struct nx_gateway *gw, const struct nx_options *o, struct nx_http_tls *tls)
{
	struct nx_error err;
	nx_gateway_apply(gw, o);
	if (nx_guard_reload(gw->guard, o, &err))
		nx_log_error(NX_LOG_ERROR, "reload", NULL, &err);
	if (nx_net_policy(nx_str(nx_opt_str(o, "network.allow", "")),
			  nx_str(nx_opt_str(o, "network.deny", "")), &err))
		nx_log_error(NX_LOG_ERROR, "reload", NULL, &err);
	nx_http_tls_use(gw->http, tls);
}

void nx_gateway_reload_failed(struct nx_gateway *gw, const struct nx_error *why)
{
	struct nx_reloads *r = gw->reloads;
	nx_log(NX_LOG_ERROR, "reload", "the configuration stays as it was: %s", why->message);
	nx_guard_note(gw->guard, "config.reload", why->code);
	pthread_mutex_lock(&r->lock);
	r->failed++;
	memcpy(r->why, why->message, sizeof(r->why));
	r->why[sizeof(r->why) - 1] = '\0';
	pthread_mutex_unlock(&r->lock);
}

static void succeeded(struct nx_gateway *gw, const char *waiting, const struct nx_declared *did)
{
	struct nx_reloads *r = gw->reloads;
	nx_log(NX_LOG_INFO, "reload",
	       "configuration taken over; sources: %u added, %u changed, %u removed, %u as before",
	       did->added, did->changed, did->removed, did->unchanged);
	if (*waiting)
		nx_log(NX_LOG_WARN, "reload", "these keys need a restart: %s", waiting);
	nx_guard_note(gw->guard, "config.reload", NX_OK);
	pthread_mutex_lock(&r->lock);
	r->good++;
	r->why[0] = '\0';
	nx_iso_time(nx_wall_us(), r->at);
	memcpy(r->waiting, waiting, NAMES_MAX);
	pthread_mutex_unlock(&r->lock);
}

void nx_gateway_reload(struct nx_gateway *gw, struct nx_config *fresh)
{
	const struct nx_options *o = fresh->values;
	struct nx_http_tls *tls = NULL;
	struct nx_declared did;
	struct nx_error err;
	enum nx_code c = check_lists(o, &err);
	if (!c)
		c = load_tls(gw, o, &tls, &err);
	if (!c)
		c = nx_log_open(nx_opt_str(o, "log.file", ""), &err);
	if (!c) {
		const struct nx_options *now = nx_gateway_config(gw)->values;
		c = nx_catalog_declare(gw->catalog, fresh->sources, &did, &err);
		if (c && nx_log_open(nx_opt_str(now, "log.file", ""), NULL))
			nx_log(NX_LOG_WARN, "reload", "the log stays in its new file");
	}
	if (c) {
		nx_http_tls_drop(tls);
		nx_config_done(fresh);
		nx_gateway_reload_failed(gw, &err);
		return;
	}
	char waiting[NAMES_MAX];
	find_waiting(gw->config.values, o, waiting);
	commit(gw, o, tls);
	nx_config_done(&gw->reloads->current);
	gw->reloads->current = *fresh;
	*fresh = (struct nx_config){ 0 };
	succeeded(gw, waiting, &did);
}

void nx_reloads_write(struct nx_gateway *gw, struct nx_buf *b)
{
	struct nx_reloads *r = gw->reloads;
	pthread_mutex_lock(&r->lock);
	struct nx_reloads copy = { .good = r->good, .failed = r->failed };
	memcpy(copy.at, r->at, sizeof(r->at));
	memcpy(copy.why, r->why, sizeof(r->why));
	memcpy(copy.waiting, r->waiting, sizeof(r->waiting));
	pthread_mutex_unlock(&r->lock);
	nx_buf_printf(b, "{\"reloads\":%llu,\"failures\":%llu,\"lastReload\":",
		      (unsigned long long)copy.good, (unsigned long long)copy.failed);
	if (copy.at[0])
		nx_buf_put_json(b, nx_str(copy.at));
	else
		nx_buf_puts(b, "null");
	nx_buf_puts(b, ",\"lastError\":");
	if (copy.why[0])
		nx_buf_put_json(b, nx_str(copy.why));
	else
		nx_buf_puts(b, "null");
	nx_buf_puts(b, ",\"restartNeeded\":[");
	for (char *save = NULL, *k = strtok_r(copy.waiting, " ", &save); k;
	     k = strtok_r(NULL, " ", &save)) {
		if (k != copy.waiting)
			nx_buf_putc(b, ',');
		nx_buf_put_json(b, nx_str(k));
	}
	nx_buf_puts(b, "]}");
}
