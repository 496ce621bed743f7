/* Health, metrics, counters. */
#include "base/clock.h"
#include "gate/api/api.h"
#include "stats/metrics.h"

enum nx_code nx_act_livez(struct nx_request *r)
{
	nx_request_reply(r, 200, "text/plain", NX_STR("ok\n"));
	return NX_OK;
}

enum nx_code nx_act_readyz(struct nx_request *r)
{
	if (atomic_load(&r->gw->draining))
		return nx_fail(&r->err, NX_E_SHUTTING_DOWN, "The gateway is stopping.");
	nx_request_reply(r, 200, "text/plain", NX_STR("ready\n"));
	return NX_OK;
}

enum nx_code nx_act_health(struct nx_request *r)
{
	struct nx_buf b;
	nx_buf_init(&b, 4096);
	nx_buf_printf(&b, "{\"status\":\"%s\",\"version\":\"%s\",\"uptimeSeconds\":%lld}",
		      atomic_load(&r->gw->draining) ? "draining" : "up", NX_VERSION,
		      (long long)((nx_now() - r->gw->started) / NX_SEC));
	nx_request_data(r, 200, nx_buf_str(&b));
	nx_buf_done(&b);
	return NX_OK;
}

enum nx_code nx_act_whoami(struct nx_request *r)
{
	char at[NX_ISO_LEN];
	struct nx_buf b;
	nx_buf_init(&b, 4096);
	nx_buf_puts(&b, "{\"name\":");
	nx_buf_put_json(&b, nx_str(r->who.name));
	nx_buf_printf(&b, ",\"role\":\"%s\",\"rights\":[", nx_role_name(r->who.role));
	const char *comma = "";
	for (int i = 0; i < NX_RIGHT_COUNT; i++) {
		const char *name = nx_right_name((enum nx_right)i);
		if (!name || !nx_principal_may(&r->who, (enum nx_right)i))
			continue;
		nx_buf_printf(&b, "%s\"%s\"", comma, name);
		comma = ",";
	}
	if (r->who.expires) {
		nx_iso_time(r->who.expires * 1000000, at);
		nx_buf_printf(&b, "],\"expiresAt\":\"%s\"}", at);
	} else {
		nx_buf_puts(&b, "],\"expiresAt\":null}");
	}
	nx_request_data(r, 200, nx_buf_str(&b));
	nx_buf_done(&b);
	return NX_OK;
}

enum nx_code nx_act_stats(struct nx_request *r)
{
	struct nx_metrics_totals t;
	struct nx_exec_stats e;
	nx_metrics_totals(&t);
	nx_exec_stats(r->gw->exec, &e);
	struct nx_buf b;
	nx_buf_init(&b, 4096);
	nx_buf_printf(&b,
		      "{\"requests\":%llu,\"queries\":%llu,\"rows\":%llu,\"bytes\":%llu,"
		      "\"failed\":%llu,\"refused\":%llu,\"running\":%u,\"waiting\":%u,"
		      "\"streaming\":%u,\"residentBytes\":%llu,\"uptimeSeconds\":%lld,\"config\":",
		      (unsigned long long)t.requests, (unsigned long long)t.queries,
		      (unsigned long long)t.rows, (unsigned long long)t.bytes,
		      (unsigned long long)t.failed, (unsigned long long)t.refused, e.running,
		      e.waiting, e.streaming, (unsigned long long)nx_process_rss(),
		      (long long)((nx_now() - r->gw->started) / NX_SEC));
	nx_reloads_write(r->gw, &b);
	nx_buf_putc(&b, '}');
	nx_request_data(r, 200, nx_buf_str(&b));
	nx_buf_done(&b);
	return NX_OK;
}
