/* The gateway as a whole: what every request may reach. One per process. Read-only after start. */
#ifndef NX_GATE_GATEWAY_H
#define NX_GATE_GATEWAY_H

#include <pthread.h>

#include "auth/auth.h"
#include "auth/grants.h"
#include "catalog/catalog.h"
#include "exec/exec.h"
#include "gate/config.h"
#include "http/http.h"
#include "stats/history.h"
#include "store/store.h"

struct nx_verdicts;
struct nx_cursors;
struct nx_guard;
struct nx_reloads;
struct nx_traces;
struct nx_health;
struct nx_renewer;
struct nx_token_store;
struct nx_buf;
struct nx_peers;
struct nx_schemas;

struct nx_gateway {
	struct nx_config config;
	struct nx_store *store;
	struct nx_auth *auth;
	struct nx_guard *guard;
	struct nx_grants *grants;
	struct nx_catalog *catalog;
	struct nx_exec *exec;
	struct nx_health *health;
	struct nx_token_store *tokens; /* rotated refresh tokens */
	struct nx_renewer *_Atomic renewer; /* NULL: no HashiCorp Vault */
	struct nx_peers *peers;   /* NULL: the store is not shared */
	struct nx_history *history;
	struct nx_verdicts *verdicts;
	struct nx_cursors *cursors;
	struct nx_schemas *schemas;
	struct nx_traces *traces; /* NULL: off */
	struct nx_http *http;
	int64_t started;          /* nx_now() */
	_Atomic bool draining;
	/* from config, read on every request, changed by a reload */
	_Atomic uint64_t default_limit;
	_Atomic uint32_t max_sql;
	_Atomic bool log_queries, log_sql;
	_Atomic uint32_t log_sample; /* millionths */
	_Atomic int64_t log_slow;    /* ns; INT64_MAX: never */
	struct nx_reloads *reloads;
	bool trace_sql;
	bool auth_off;
	/* the housekeeper: cursors that expire */
	pthread_t keeper;
	pthread_mutex_t keeper_lock;
	pthread_cond_t keeper_wake;
	bool keeper_started, keeper_stop;
};

/* What the options say of tokens; texts stay the options' own. */
struct nx_auth_config nx_gateway_auth_config(const struct nx_options *o);

/* What keeps a gateway from starting and can be told from the options alone: addresses, lists, a key. */
NX_NODISCARD enum nx_code nx_gateway_check(const struct nx_options *o, struct nx_error *err);
/* vault.keyFile, where one is named. */
NX_NODISCARD enum nx_code nx_gateway_check_key_file(const struct nx_options *o, struct nx_error *err);

/* Listening sockets that go from one process to the next. */
struct nx_inherited {
	int fds[1024];
	uint32_t n;
};

/* Opens everything and starts to listen. On failure nothing stays open. `from` may be NULL. */
NX_NODISCARD enum nx_code nx_gateway_start(struct nx_config *config /* taken */,
					   const struct nx_inherited *from, struct nx_gateway **ret,
					   struct nx_error *err);
/* shutdownDelay with /readyz saying no; then drains, waits shutdownGrace for running queries, cancels the
 * rest, closes. */
void nx_gateway_stop(struct nx_gateway *gw);
/* As stop, for a process that goes on as another program: no client is refused. Requests on open
 * connections are answered, new connections wait in the queues of *ret's sockets. False: they cannot be
 * handed over, and nothing has changed. */
NX_NODISCARD bool nx_gateway_hand_over(struct nx_gateway *gw, struct nx_inherited *ret);

/* reload.c; on the main thread, which also starts and stops */

/* Takes over what a reload may change: all of `fresh` (taken), or nothing when some of it is wrong. Either
 * is logged, audited and counted. */
void nx_gateway_reload(struct nx_gateway *gw, struct nx_config *fresh);
/* It did not come so far: the configuration does not load. Logged and counted. */
void nx_gateway_reload_failed(struct nx_gateway *gw, const struct nx_error *why);
/* The values in force: for keys that are live. Main thread only. */
const struct nx_config *nx_gateway_config(const struct nx_gateway *gw);
/* A JSON object about reloads. Any thread. */
void nx_reloads_write(struct nx_gateway *gw, struct nx_buf *b);
void nx_reloads_count(struct nx_gateway *gw, uint64_t *ret_good, uint64_t *ret_failed);
struct nx_reloads *nx_reloads_new(void);
void nx_reloads_free(struct nx_reloads *r);
/* What `o` says for the gateway's own fields and the log. */
void nx_gateway_apply(struct nx_gateway *gw, const struct nx_options *o);

/* The http handler; ctx is the gateway. */
enum nx_http_take nx_gate_handle(struct nx_http_exchange *x, void *ctx);

#endif
