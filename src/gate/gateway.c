#include "gate/gateway.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cidr.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/net.h"
#include "exec/health.h"
#include "gate/guard.h"
#include "gate/peers.h"
#include "gate/renewer.h"
#include "gate/request.h"
#include "gate/schemas.h"
#include "gate/trace.h"
#include "secrets/secrets.h"
#include "store/vault.h"
#include "tokens/tokens.h"

#define ADMIN_KEY_FILE "admin.key"
#define HAND_OVER_IDLE_MS \
	1000u /* in which a client with an idle connection learns to make another */

/* ---- what start needs, one function a part ---- */

static enum nx_code make_data_dir(const char *dir, struct nx_error *err)
{
	if (mkdir(dir, 0700) == 0 || errno == EEXIST)
		return NX_OK;
	return nx_fail(err, NX_E_CONFIG, "Cannot make the data directory %s: %s.", dir,
		       strerror(errno));
}

static enum nx_code vault_key(struct nx_gateway *gw, uint8_t key[NX_VAULT_KEY_LEN],
			      struct nx_error *err)
{
	const struct nx_options *o = gw->config.values;
	const char *text = nx_opt_str(o, "vault.key", "");
	if (*text)
		return nx_vault_key_parse(nx_str(text), key, err);
	const char *file = nx_opt_str(o, "vault.keyFile", "");
	bool own = !*file;
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/vault.key", nx_opt_str(o, "dataDir", "."));
	if (n < 0 || (size_t)n >= sizeof(path))
		return nx_fail(err, NX_E_CONFIG, "dataDir is too long.");
	return nx_vault_key_file(own ? path : file, own, key, err);
}

static enum nx_code found_key(const struct nx_store_key *k, void *arg, struct nx_error *err)
{
	(void)k;
	(void)err;
	*(bool *)arg = true;
	return NX_OK;
}

/* A store without any key belongs to a gateway that starts for the first time: it gets one admin key,
 * in a file only its owner reads. There is no default secret. */
static enum nx_code first_admin_key(struct nx_gateway *gw, struct nx_error *err)
{
	bool any = false;
	enum nx_code c = nx_store_keys(gw->store, found_key, &any, err);
	if (c || any)
		return c;
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/" ADMIN_KEY_FILE,
			 nx_opt_str(gw->config.values, "dataDir", "."));
	if (n < 0 || (size_t)n >= sizeof(path))
		return nx_fail(err, NX_E_CONFIG, "dataDir is too long.");
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return nx_fail(err, NX_E_CONFIG, "Cannot write %s: %s.", path, strerror(errno));
	char key[80];
	struct nx_issue admin = { .name = NX_STR("first admin"), .role = NX_ROLE_ADMIN };
	c = nx_auth_issue_key(gw->auth, &admin, key, err);
	if (!c && dprintf(fd, "%s\n", key) < 0)
		c = nx_fail(err, NX_E_IO, "Cannot write %s.", path);
	/* To whoever sits there and started it; a log is no place for it. */
	if (!c && isatty(STDERR_FILENO))
		(void)dprintf(
			STDERR_FILENO,
			"\nThe first admin key, shown this once and kept in %s:\n\n    %s\n\n",
			path, key);
	nx_wipe(key, sizeof(key));
	if (close(fd) && !c)
		c = nx_fail(err, NX_E_IO, "Cannot write %s.", path);
	if (!c)
		nx_log(NX_LOG_INFO, "first-start", "an admin API key was written to %s", path);
	return c;
}

static enum nx_code open_store(struct nx_gateway *gw, struct nx_error *err)
{
	const struct nx_options *o = gw->config.values;
	enum nx_code c = make_data_dir(nx_opt_str(o, "dataDir", ".nexus"), err);
	return c ? c : nx_gate_open_store(o, &gw->store, err);
}

struct nx_auth_config nx_gateway_auth_config(const struct nx_options *o)
{
	return (struct nx_auth_config){
		.off = strcmp(nx_opt_str(o, "auth.mode", "token"), "off") == 0,
		.secret = nx_str(nx_opt_str(o, "auth.jwtSecret", "")),
		.issuer = nx_str(nx_opt_str(o, "auth.issuer", "")),
		.audience = nx_str(nx_opt_str(o, "auth.audience", "")),
		.leeway_s = 30,
		.public_key_file = nx_opt_str(o, "auth.publicKeyFile", ""),
		.jwks_url = nx_opt_str(o, "auth.jwksUrl", ""),
		.discovery = nx_opt_bool(o, "auth.discovery", false),
		.ca_file = nx_opt_str(o, "auth.caFile", ""),
		.min_age_ms = nx_opt_ms(o, "auth.jwksMinAge", 0),
		.max_age_ms = nx_opt_ms(o, "auth.jwksMaxAge", 0),
		.max_stale_ms = nx_opt_ms(o, "auth.jwksMaxStale", 0),
		.cooldown_ms = nx_opt_ms(o, "auth.jwksCooldown", 0),
		.subject_claim = nx_opt_str(o, "auth.subjectClaim", ""),
		.roles_claim = nx_opt_str(o, "auth.rolesClaim", ""),
		.role_map = nx_opt_str(o, "auth.roleMap", ""),
		.parties = nx_opt_str(o, "auth.authorizedParties", ""),
	};
}

static enum nx_code open_auth(struct nx_gateway *gw, struct nx_error *err)
{
	const struct nx_options *o = gw->config.values;
	struct nx_auth_config a = nx_gateway_auth_config(o);
	gw->auth_off = a.off;
	enum nx_code c = nx_auth_open(gw->store, &a, &gw->auth, err);
	return c || a.off ? c : first_admin_key(gw, err);
}

static enum nx_code open_catalog(struct nx_gateway *gw, struct nx_error *err)
{
	uint8_t key[NX_VAULT_KEY_LEN];
	enum nx_code c = vault_key(gw, key, err);
	if (!c && nx_store_shared(gw->store))
		c = nx_vault_claim(gw->store, key, err);
	if (!c)
		c = nx_catalog_open(gw->store, key, &gw->catalog, err);
	if (!c)
		c = nx_token_store_new(gw->store, key, &gw->tokens, err);
	if (!c) {
		struct nx_token_keeper k = nx_token_store_keeper(gw->tokens);
		nx_token_keep(&k);
	}
	nx_wipe(key, sizeof(key));
	return c;
}

static enum nx_code write_port_file(struct nx_gateway *gw, struct nx_error *err)
{
	const char *path = nx_opt_str(gw->config.values, "http.portFile", "");
	if (!*path)
		return NX_OK;
	/* written aside and renamed, so that a reader never sees half of it */
	char tmp[4096];
	int n = snprintf(tmp, sizeof(tmp), "%s.new", path);
	FILE *f = n > 0 && (size_t)n < sizeof(tmp) ? fopen(tmp, "we") : NULL;
	if (!f)
		return nx_fail(err, NX_E_CONFIG, "Cannot write http.portFile %s.", path);
	bool bad = fprintf(f, "%u\n", nx_http_port(gw->http, 0)) < 0;
	bad |= fclose(f) != 0;
	if (bad || rename(tmp, path))
		return nx_fail(err, NX_E_CONFIG, "Cannot write http.portFile %s.", path);
	return NX_OK;
}

/* http.listen, taken apart. */
struct listen_list {
	char text[4096];
	const char *addr[NX_HTTP_MAX_LISTEN];
	uint32_t n;
};

static enum nx_code split_listen(const struct nx_options *o, struct listen_list *ret,
				 struct nx_error *err)
{
	int len = snprintf(ret->text, sizeof(ret->text), "%s", nx_opt_str(o, "http.listen", ""));
	if (len < 0 || (size_t)len >= sizeof(ret->text))
		return nx_fail(err, NX_E_CONFIG, "http.listen is too long.");
	ret->n = 0;
	for (char *save = NULL, *p = strtok_r(ret->text, ", ", &save); p;
	     p = strtok_r(NULL, ", ", &save)) {
		if (ret->n == NX_COUNTOF(ret->addr))
			return nx_fail(err, NX_E_CONFIG, "http.listen names too many addresses.");
		ret->addr[ret->n++] = p;
	}
	return ret->n ? NX_OK : nx_fail(err, NX_E_CONFIG, "http.listen names no address.");
}

static enum nx_code check_listen(const struct nx_options *o, struct nx_error *err)
{
	struct listen_list l;
	enum nx_code c = split_listen(o, &l, err);
	bool off = strcmp(nx_opt_str(o, "auth.mode", "token"), "off") == 0, loopback = true;
	for (uint32_t i = 0; i < l.n && !c; i++) {
		c = nx_http_listen_check(l.addr[i], &loopback, err);
		if (!c && off && !loopback)
			c = nx_fail(err, NX_E_CONFIG,
				    "auth.mode off is only allowed on loopback addresses, not on "
				    "%s.",
				    l.addr[i]);
	}
	return c;
}

/* Bytes of "http://" or "https://" in front; 0: it is no address of the web. */
static size_t scheme_len(struct nx_str url)
{
	size_t n = nx_str_starts(url, NX_STR("https://"))  ? 8
		   : nx_str_starts(url, NX_STR("http://")) ? 7
							   : 0;
	return url.len > n ? n : 0;
}

static enum nx_code check_urls(const struct nx_options *o, struct nx_error *err)
{
	static const char *const keys[] = { "mcp.url", "vault.kv.address" };
	for (size_t i = 0; i < NX_COUNTOF(keys); i++) {
		struct nx_str url = nx_str(nx_opt_str(o, keys[i], ""));
		if (url.len && !scheme_len(url))
			return nx_fail(err, NX_E_CONFIG, "%s must begin with https:// or http://.",
				       keys[i]);
	}
	/* compared in whole with what browsers send, so one with a path would never be met */
	for (const char *p = nx_opt_str(o, "mcp.origins", ""); *p; p += *p ? 1 : 0) {
		struct nx_str origin = nx_strn(p, strcspn(p, ", "));
		size_t skip = scheme_len(origin);
		if (origin.len && (!skip || memchr(p + skip, '/', origin.len - skip)))
			return nx_fail(err, NX_E_CONFIG,
				       "mcp.origins: " NX_STR_FMT
				       " is not like https://host or https://host:port.",
				       NX_STR_ARG(origin));
		p += origin.len;
	}
	return NX_OK;
}

enum nx_code nx_gateway_check(const struct nx_options *o, struct nx_error *err)
{
	struct nx_cidr_list proxies;
	enum nx_code c =
		nx_cidr_list_parse(nx_str(nx_opt_str(o, "http.trustedProxies", "")), &proxies, err);
	if (c)
		return c;
	nx_cidr_list_done(&proxies);
	c = check_listen(o, err);
	if (!c)
		c = check_urls(o, err);
	const char *text = nx_opt_str(o, "vault.key", "");
	if (c || !*text)
		return c;
	uint8_t key[NX_VAULT_KEY_LEN];
	c = nx_vault_key_parse(nx_str(text), key, err);
	nx_wipe(key, sizeof(key));
	return c;
}

enum nx_code nx_gateway_check_key_file(const struct nx_options *o, struct nx_error *err)
{
	const char *file = nx_opt_str(o, "vault.keyFile", "");
	if (*nx_opt_str(o, "vault.key", "") || !*file)
		return NX_OK; /* the one in dataDir is made when it is not there */
	uint8_t key[NX_VAULT_KEY_LEN];
	enum nx_code c = nx_vault_key_file(file, false, key, err);
	nx_wipe(key, sizeof(key));
	return c;
}

static enum nx_code listen_http(struct nx_gateway *gw, const struct nx_inherited *from,
				struct nx_error *err)
{
	const struct nx_options *o = gw->config.values;
	struct listen_list l;
	enum nx_code c = split_listen(o, &l, err);
	if (c)
		return c;
	const char *cert = nx_opt_str(o, "http.tls.cert", ""),
		   *pkey = nx_opt_str(o, "http.tls.key", "");
	struct nx_http_config h = {
		.listen = l.addr,
		.nlisten = l.n,
		.loops = (uint32_t)nx_opt_int(o, "http.loops", 0),
		.max_connections = (uint32_t)nx_opt_int(o, "http.maxConnections", 0),
		.max_head = (size_t)nx_opt_int(o, "http.maxHead", 0),
		.max_body = (size_t)nx_opt_int(o, "http.maxBody", 0),
		.head_timeout_ms = (uint32_t)nx_opt_ms(o, "http.headTimeout", 0),
		.body_timeout_ms = (uint32_t)nx_opt_ms(o, "http.bodyTimeout", 0),
		.idle_timeout_ms = (uint32_t)nx_opt_ms(o, "http.idleTimeout", 0),
		.write_timeout_ms = (uint32_t)nx_opt_ms(o, "http.writeTimeout", 0),
		.write_min_rate = (uint32_t)nx_opt_int(o, "http.writeMinRate", 0),
		.tls_cert = *cert ? cert : NULL,
		.tls_key = *pkey ? pkey : NULL,
		.inherited = from ? from->fds : NULL,
		.ninherited = from ? from->n : 0,
		.handler = nx_gate_handle,
		.ctx = gw,
	};
	return nx_http_start(&h, &gw->http, err);
}

/* ---- housekeeping ---- */

/* What connections and probes find out; a user's bad SQL has no say. */
static void on_event(const struct nx_data_source *s, enum nx_source_event e, void *arg)
{
	struct nx_gateway *gw = arg;
	enum nx_source_status want = nx_source_next(s->status, e);
	if (want == s->status)
		return;
	/* the end of a draft is for good; how an active one is, is for this process to know */
	struct nx_error err;
	bool done = s->status == NX_SOURCE_DRAFT && !nx_data_source_replaced(s)
			    ? nx_catalog_event(gw->catalog, s, e, &err) == NX_OK
			    : nx_catalog_note_status(gw->catalog, s, want);
	if (done)
		nx_log(want == NX_SOURCE_ACTIVE ? NX_LOG_INFO : NX_LOG_WARN, "source",
		       NX_STR_FMT " is %s now", NX_STR_ARG(s->name), nx_source_status_name(want));
}

static void on_connect(const struct nx_data_source *s, const struct nx_error *err, void *arg)
{
	struct nx_vitals *v = nx_data_source_vitals(s);
	if (err && nx_vitals_fault(v, err, nx_now()) >= NX_FAULTS_MAX)
		on_event(s, NX_EV_FAULTS, arg);
	if (err && err->code == NX_E_SOURCE_AUTH && nx_data_source_in_vault(s))
		nx_renewer_kick(((struct nx_gateway *)arg)->renewer);
	if (err)
		return;
	nx_vitals_good(v, nx_now());
	/* an account with conditions becomes active by a probe, which looks at them */
	if (s->account == NX_ACCOUNT_ANY)
		on_event(s, NX_EV_TEST_OK, arg);
}

static enum nx_code start_health(struct nx_gateway *gw, struct nx_error *err)
{
	const struct nx_options *o = gw->config.values;
	struct nx_health_config h = {
		.interval_ms = (uint32_t)nx_opt_ms(o, "health.interval", 0),
		.timeout_ms = (uint32_t)nx_opt_ms(o, "health.timeout", 0),
		.threads = (uint32_t)nx_opt_int(o, "health.threads", 0),
		.on_event = on_event,
		.arg = gw,
	};
	return nx_health_start(&h, gw->catalog, &gw->health, err);
}

static void *housekeeper(void *arg)
{
	struct nx_gateway *gw = arg;
	int64_t flushed = nx_now();
	pthread_mutex_lock(&gw->keeper_lock);
	while (!gw->keeper_stop) {
		struct timespec ts;
		clock_gettime(CLOCK_MONOTONIC, &ts);
		ts.tv_sec++;
		pthread_cond_timedwait(&gw->keeper_wake, &gw->keeper_lock, &ts);
		pthread_mutex_unlock(&gw->keeper_lock);
		nx_cursors_sweep(gw->cursors);
		nx_log_tick();
		nx_schemas_sweep(gw->schemas);
		if (nx_now() - flushed > 60 * NX_SEC) {
			flushed = nx_now();
			nx_auth_flush(gw->auth);
		}
		pthread_mutex_lock(&gw->keeper_lock);
	}
	pthread_mutex_unlock(&gw->keeper_lock);
	return NULL;
}

static struct nx_schemas *open_schemas(struct nx_gateway *gw)
{
	const struct nx_options *o = gw->config.values;
	uint32_t workers = (uint32_t)nx_opt_int(o, "exec.maxWorkers", 0);
	struct nx_schemas_config c = {
		.ttl = nx_opt_ms(o, "schema.ttl", 0) * NX_MS,
		.max_stale = nx_opt_ms(o, "schema.maxStale", 0) * NX_MS,
		.limits = { .tables = (uint32_t)nx_opt_int(o, "schema.maxTables", 0),
			    .columns = (uint32_t)nx_opt_int(o, "schema.maxColumns", 0) },
		.cache_bytes = (size_t)nx_opt_int(o, "schema.cacheBytes", 0),
		/* some workers stay for those who are waited for */
		.max_waiting = workers / 2 < 64 ? workers / 2 : 64,
	};
	return nx_schemas_new(&c, gw->exec);
}

static enum nx_code start_keeper(struct nx_gateway *gw, struct nx_error *err)
{
	pthread_mutex_init(&gw->keeper_lock, NULL);
	pthread_condattr_t mono; /* a clock that is set back must not stop the sweep */
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&gw->keeper_wake, &mono);
	pthread_condattr_destroy(&mono);
	if (pthread_create(&gw->keeper, NULL, housekeeper, gw))
		return nx_fail(err, NX_E_INTERNAL, "Cannot start a thread.");
	gw->keeper_started = true;
	return NX_OK;
}

static enum nx_code start_renewer(struct nx_gateway *gw, struct nx_error *err)
{
	struct nx_renewer *r = NULL;
	enum nx_code c = nx_renewer_start(gw->catalog,
					  nx_opt_ms(gw->config.values, "vault.kv.ttl", 0), &r, err);
	gw->renewer = r; /* connections are being made already */
	return c;
}

static enum nx_code init_drivers(struct nx_error *err)
{
	for (const struct nx_driver *const *d = nx_drivers; *d; d++) {
		enum nx_code c = (*d)->init ? (*d)->init(err) : NX_OK;
		if (c)
			return c;
	}
	return NX_OK;
}

static void free_parts(struct nx_gateway *gw)
{
	if (gw->keeper_started) {
		pthread_mutex_lock(&gw->keeper_lock);
		gw->keeper_stop = true;
		pthread_cond_signal(&gw->keeper_wake);
		pthread_mutex_unlock(&gw->keeper_lock);
		pthread_join(gw->keeper, NULL);
	}
	nx_peers_stop(gw->peers);
	nx_health_stop(gw->health);
	nx_renewer_stop(gw->renewer);
	nx_cursors_free(gw->cursors);
	nx_exec_stop(gw->exec, 0);
	nx_schemas_free(gw->schemas);
	nx_history_stop(gw->history);
	nx_traces_close(gw->traces);
	nx_verdicts_free(gw->verdicts);
	nx_catalog_free(gw->catalog);
	nx_renewer_free(gw->renewer);
	nx_kv_stop();
	nx_token_stop();
	nx_token_keep(NULL);
	nx_token_store_free(gw->tokens);
	nx_guard_free(gw->guard);
	nx_grants_free(gw->grants);
	nx_auth_free(gw->auth);
	nx_store_close(gw->store);
	/* after the store, which may use a driver's library */
	for (const struct nx_driver *const *d = nx_drivers; *d; d++)
		if ((*d)->fini)
			(*d)->fini();
	nx_reloads_free(gw->reloads);
	nx_config_done(&gw->config);
	free(gw);
}

enum nx_code nx_gateway_start(struct nx_config *config, const struct nx_inherited *from,
			      struct nx_gateway **ret, struct nx_error *err)
{
	struct nx_gateway *gw = calloc(1, sizeof(*gw));
	if (!gw) {
		nx_config_done(config);
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	gw->config = *config;
	*config = (struct nx_config){ 0 };
	const struct nx_options *o = gw->config.values;
	gw->started = nx_now();
	nx_gateway_apply(gw, o);
	gw->reloads = nx_reloads_new();
	enum nx_code c = gw->reloads ? NX_OK : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!c)
		c = nx_gateway_check(o, err);
	if (!c)
		c = nx_log_open(nx_opt_str(o, "log.file", ""), err);
	if (!c)
		c = nx_net_policy(nx_str(nx_opt_str(o, "network.allow", "")),
				  nx_str(nx_opt_str(o, "network.deny", "")), err);
	if (!c)
		c = init_drivers(err);
	if (!c)
		c = open_store(gw, err);
	if (!c)
		c = open_auth(gw, err);
	if (!c)
		c = nx_guard_open(o, &gw->guard, err);
	if (!c)
		c = nx_grants_open(gw->store,
				   strcmp(nx_opt_str(o, "auth.defaultGrant", ""), "all") == 0,
				   &gw->grants, err);
	if (!c)
		c = open_catalog(gw, err);
	if (!c)
		c = nx_catalog_declare(gw->catalog, gw->config.sources, NULL, err);
	if (!c)
		c = nx_history_start(gw->store, (uint64_t)nx_opt_int(o, "history.keep", 0),
				     &gw->history, err);
	struct nx_exec_config e = {
		.workers = (uint32_t)nx_opt_int(o, "exec.workers", 0),
		.max_workers = (uint32_t)nx_opt_int(o, "exec.maxWorkers", 0),
		.max_jobs = (uint32_t)nx_opt_int(o, "exec.maxJobs", 0),
		.on_connect = on_connect,
		.on_connect_arg = gw,
	};
	if (!c)
		c = nx_exec_start(&e, gw->catalog, &gw->exec, err);
	if (!c)
		c = start_health(gw, err);
	gw->verdicts = nx_verdicts_new();
	gw->cursors = nx_cursors_new((uint32_t)nx_opt_int(o, "query.maxCursors", 0),
				     nx_opt_ms(o, "query.cursorTtl", 0));
	if (!c)
		gw->schemas = open_schemas(gw);
	if (!c && (!gw->verdicts || !gw->cursors || !gw->schemas))
		c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!c)
		c = nx_gateway_open_traces(gw, err);
	if (!c)
		c = start_keeper(gw, err);
	if (!c && nx_kv_on())
		c = start_renewer(gw, err);
	if (!c && nx_store_shared(gw->store))
		c = nx_peers_start(gw, (int64_t)nx_opt_ms(o, "store.poll", 1000) * NX_MS,
				   &gw->peers, err);
	if (!c)
		c = listen_http(gw, from, err);
	if (!c)
		c = write_port_file(gw, err);
	if (c) {
		if (gw->http && !nx_http_stop(gw->http, 0))
			return c; /* someone still holds an exchange: leave it, the process ends */
		free_parts(gw);
		return c;
	}
	nx_log(NX_LOG_INFO, "listen", "nexus %s on %s, port %u", NX_VERSION,
	       nx_opt_str(o, "http.listen", ""), nx_http_port(gw->http, 0));
	*ret = gw;
	return NX_OK;
}

/* No request is under way any more, or those that are had their time. */
static void close_down(struct nx_gateway *gw, uint32_t grace)
{
	nx_exec_drain(gw->exec);
	nx_exec_wait(gw->exec, grace);
	if (!nx_http_stop(gw->http, 2000)) {
		nx_log(NX_LOG_ERROR, "shutdown", "a request did not end; leaving it");
		return;
	}
	free_parts(gw);
	nx_log(NX_LOG_INFO, "shutdown", "done");
}

void nx_gateway_stop(struct nx_gateway *gw)
{
	if (!gw)
		return;
	const struct nx_options *o = nx_gateway_config(gw)->values;
	uint32_t grace = (uint32_t)nx_opt_ms(o, "shutdownGrace", 10000);
	int64_t delay = nx_opt_ms(o, "shutdownDelay", 0);
	nx_log(NX_LOG_INFO, "shutdown", "draining");
	atomic_store(&gw->draining, true);
	if (delay > 0)
		nanosleep(&(struct timespec){ delay / 1000, delay % 1000 * NX_MS }, NULL);
	nx_http_drain(gw->http, 0);
	close_down(gw, grace);
}

bool nx_gateway_hand_over(struct nx_gateway *gw, struct nx_inherited *ret)
{
	const struct nx_options *o = nx_gateway_config(gw)->values;
	uint32_t grace = (uint32_t)nx_opt_ms(o, "shutdownGrace", 10000);
	ret->n = nx_http_listeners(gw->http, ret->fds, NX_COUNTOF(ret->fds));
	if (ret->n == 0)
		return false;
	nx_log(NX_LOG_INFO, "shutdown", "handing over");
	nx_http_drain(gw->http, grace < HAND_OVER_IDLE_MS ? grace : HAND_OVER_IDLE_MS);
	if (!nx_http_wait(gw->http, grace + HAND_OVER_IDLE_MS))
		nx_log(NX_LOG_WARN, "shutdown", "requests that still run are ended");
	close_down(gw, 0);
	return true;
}
