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

struct nx_gateway {
	struct nx_config config;
	struct nx_store *store;
	struct nx_auth *auth;
	struct nx_guard *guard;
	struct nx_grants *grants;
	struct nx_catalog *catalog;
	struct nx_exec *exec;
	struct nx_history *history;
	struct nx_verdicts *verdicts;
	struct nx_cursors *cursors;
	struct nx_http *http;
	int64_t started;          /* nx_now() */
	_Atomic bool draining;
	/* from config, read on every request */
	uint64_t default_limit;
	uint32_t max_sql;
	bool log_queries;
	/* the housekeeper: cursors that expire */
	pthread_t keeper;
	pthread_mutex_t keeper_lock;
	pthread_cond_t keeper_wake;
	bool keeper_started, keeper_stop;
};

/* Opens everything and starts to listen. On failure nothing stays open. */
NX_NODISCARD enum nx_code nx_gateway_start(struct nx_config *config /* taken */, struct nx_gateway **ret,
					   struct nx_error *err);
/* Drains, waits shutdownGrace for running queries, cancels the rest, closes. */
void nx_gateway_stop(struct nx_gateway *gw);

/* The http handler; ctx is the gateway. */
enum nx_http_take nx_gate_handle(struct nx_http_exchange *x, void *ctx);

#endif
