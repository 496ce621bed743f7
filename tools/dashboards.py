"""The Grafana dashboards of deploy/grafana, from short tables; tools/gen_docs.py writes and checks them.

A panel: (title, kind, unit, [(PromQL, legend)], width of 24). Every query is bound to the variables of the page."""
import json

I = 'instance=~"$instance"'
S = I + ', source=~"$source"'


def rate(name, labels=I, by="", window="$__rate_interval"):
    return f"sum{' by (' + by + ')' if by else ''} (rate({name}{{{labels}}}[{window}]))"


def quantile(q, name, labels=I, by="le"):
    return f"histogram_quantile({q}, sum by ({by}) (rate({name}_bucket{{{labels}}}[$__rate_interval])))"


def quantiles(name, labels=I):
    return [(quantile(q, name, labels), f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)]


OVERVIEW = [
    ("Queries a second", "stat", "ops", [(rate("nexus_queries_total"), "")], 4),
    ("Failing", "stat", "percentunit", [(rate("nexus_queries_total", I + ', outcome=~"error|timeout"') + " / " + rate("nexus_queries_total"), "")], 4),
    ("p99", "stat", "s", [(quantile(0.99, "nexus_query_duration_seconds", I + ', outcome="success"'), "")], 4),
    ("Waiting for a connection", "stat", "short", [(f"sum (nexus_queue_waiting{{{I}}})", "")], 4),
    ("Sources in error", "stat", "short", [(f'sum (nexus_sources{{{I}, status="error"}})', "")], 4),
    ("Memory", "stat", "bytes", [(f"sum (process_resident_memory_bytes{{{I}}})", "")], 4),
    ("Queries by outcome", "timeseries", "ops", [(rate("nexus_queries_total", by="outcome"), "{{outcome}}")], 12),
    ("Latency of queries that went well", "timeseries", "s", quantiles("nexus_query_duration_seconds", I + ', outcome="success"'), 12),
    ("Queries by source type", "timeseries", "ops", [(rate("nexus_queries_total", by="type"), "{{type}}")], 12),
    ("Queries by door", "timeseries", "ops", [(rate("nexus_queries_total", by="door"), "{{door}}")], 12),
    ("Errors by code", "timeseries", "ops", [(f"topk(10, {rate('nexus_errors_total', by='code')})", "{{code}}")], 12),
    ("Refusals of the read-only gate", "timeseries", "ops", [(rate("nexus_refusals_total", by="code, dialect"), "{{code}} {{dialect}}")], 12),
    ("Workers", "timeseries", "short", [(f"sum (nexus_workers{{{I}}})", "threads"), (f"sum (nexus_workers_running{{{I}}})", "running"), (f"sum (nexus_workers_target{{{I}}})", "target"), (f"sum (nexus_streams{{{I}}})", "slow clients"), (f"sum (nexus_engine_workers{{{I}}})", "engine")], 8),
    ("Queues", "timeseries", "short", [(f"sum (nexus_queue_ready{{{I}}})", "for a worker"), (f"sum (nexus_queue_waiting{{{I}}})", "for a connection")], 8),
    ("HTTP", "timeseries", "ops", [(rate("nexus_http_requests_total", by="class"), "{{class}}"), (rate("nexus_http_hangups_total"), "hang-ups"), (rate("nexus_http_bad_requests_total"), "not HTTP")], 8),
    ("CPU", "timeseries", "short", [(rate("process_cpu_seconds_total", by="instance"), "{{instance}}")], 8),
    ("Memory", "timeseries", "bytes", [(f"process_resident_memory_bytes{{{I}}}", "{{instance}}")], 8),
    ("Descriptors and connections", "timeseries", "short", [(f"sum (process_open_fds{{{I}}})", "descriptors"), (f"sum (nexus_http_connections{{{I}}})", "clients"), (f"sum (nexus_cursors_open{{{I}}})", "cursors")], 8),
    ("Records behind", "timeseries", "short", [(f"sum (nexus_history_backlog{{{I}}})", "history"), (f"sum (nexus_trace_backlog{{{I}}})", "traces"), (f"sum (nexus_audit_backlog_bytes{{{I}}})", "audit, bytes")], 12),
    ("Lost", "timeseries", "ops", [(rate("nexus_audit_lost_total"), "audit"), (rate("nexus_history_lost_total"), "history"), (rate("nexus_traces_total", I + ', outcome!="sent"'), "traces"), (rate("nexus_log_suppressed_total"), "repeated log lines")], 12),
]

SOURCES = [
    ("Sources by state", "timeseries", "short", [(f"sum by (status) (nexus_sources{{{I}}})", "{{status}}")], 8),
    ("Pools", "stat", "short", [(f"sum (nexus_pools{{{I}}})", "")], 4),
    ("Queries that wait", "timeseries", "short", [(f"sum by (source) (nexus_pool_waiting{{{S}}})", "{{source}}")], 12),
    ("Connections in use", "timeseries", "short", [(f'sum by (source) (nexus_pool_connections{{{S}, state="active"}})', "{{source}}")], 12),
    ("Use of the pool", "timeseries", "percentunit", [(f'sum by (source) (nexus_pool_connections{{{S}, state="active"}}) / sum by (source) (nexus_pool_connections_max{{{S}}})', "{{source}}")], 12),
    ("Held by slow readers and cursors", "timeseries", "short", [(f'sum by (source) (nexus_pool_connections{{{S}, state="stream"}})', "{{source}}")], 12),
    ("Idle", "timeseries", "short", [(f'sum by (source) (nexus_pool_connections{{{S}, state="idle"}})', "{{source}}")], 12),
    ("Queries on an open connection", "timeseries", "ops", [(rate("nexus_pool_reuses_total", S, "source"), "{{source}}")], 12),
    ("Connections opened", "timeseries", "ops", [(rate("nexus_pool_connects_total", S, "source"), "{{source}}")], 12),
    ("Connections that failed", "timeseries", "ops", [(rate("nexus_pool_connect_failures_total", S, "source"), "{{source}}")], 12),
    ("Cancelled at the source", "timeseries", "ops", [(rate("nexus_pool_cancels_total", S, "source"), "{{source}}")], 12),
    ("Schemas", "timeseries", "short", [(rate("nexus_schema_hits_total"), "from the cache"), (rate("nexus_schema_loads_total"), "loaded"), (rate("nexus_schema_failures_total"), "failed")], 12),
    ("Schema cache", "timeseries", "bytes", [(f"sum (nexus_schema_bytes{{{I}}})", "memory")], 12),
]

STEP = "nexus_step_duration_seconds"


def step_row(step, title):
    return (title, "timeseries", "s", quantiles(STEP, I + f', step="{step}"'), 8)


QUERY = [
    ("Where the time goes", "timeseries", "s", [(f"sum by (step) (rate({STEP}_sum{{{I}}}[$__rate_interval])) / ignoring (step) group_left sum (rate(nexus_query_duration_seconds_count{{{I}}}[$__rate_interval]))", "{{step}}")], 16),
    ("Share of each step", "piechart", "s", [(f"sum by (step) (increase({STEP}_sum{{{I}}}[$__range]))", "{{step}}")], 8),
    step_row("parse", "1 parse"), step_row("authenticate", "2 authenticate"), step_row("resolve", "3 resolve"),
    step_row("validate", "4 validate: the read-only gate"), step_row("route", "5 route: the wait in the queue"),
    step_row("connect", "6 connect"), step_row("run", "7 run: the source's answer"), step_row("encode", "8 encode: rows to the client"),
    ("Slow queries", "timeseries", "ops", [(rate("nexus_slow_queries_total"), "over log.slowQuery")], 8),
    ("Latency by source type, p95", "timeseries", "s", [(quantile(0.95, "nexus_query_duration_seconds", I, "le, type"), "{{type}}")], 12),
    ("Latency by outcome, p95", "timeseries", "s", [(quantile(0.95, "nexus_query_duration_seconds", I, "le, outcome"), "{{outcome}}")], 12),
    ("Distribution", "heatmap", "s", [(f"sum by (le) (increase(nexus_query_duration_seconds_bucket{{{I}}}[$__rate_interval]))", "{{le}}")], 12),
    ("Rows and bytes", "timeseries", "short", [(rate("nexus_result_rows_total"), "rows a second"), (rate("nexus_result_bytes_total"), "bytes a second")], 12),
    ("Caches that hit", "timeseries", "percentunit", [
        (f"{rate('nexus_verdict_cache_hits_total')} / ({rate('nexus_verdict_cache_hits_total')} + {rate('nexus_verdict_cache_misses_total')})", "verdicts"),
        (f"{rate('nexus_token_cache_hits_total')} / ({rate('nexus_token_cache_hits_total')} + {rate('nexus_token_cache_misses_total')})", "tokens")], 12),
    ("Round trips shared", "timeseries", "ops", [(rate("nexus_pipelined_statements_total"), "statements"), (rate("nexus_trains_total"), "round trips")], 12),
]


def variable(name, query):
    return {"name": name, "type": "query", "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "query": {"query": query, "refId": name}, "definition": query, "refresh": 2, "includeAll": True,
            "multi": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}, "sort": 1}


def panels(table):
    out, x, y = [], 0, 0
    for n, (title, kind, unit, targets, width) in enumerate(table, 1):
        height = 4 if kind == "stat" else 8
        if x + width > 24:
            x, y = 0, y + out[-1]["gridPos"]["h"]
        panel = {
            "id": n, "title": title, "type": kind, "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "gridPos": {"x": x, "y": y, "w": width, "h": height},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom"}} if kind == "timeseries" else {},
            "targets": [{"refId": chr(65 + k), "expr": expr, "legendFormat": legend,
                         **({"format": "heatmap"} if kind == "heatmap" else {})}
                        for k, (expr, legend) in enumerate(targets)]}
        out.append(panel)
        x += width
    return out


def dashboard(uid, title, table, variables):
    return json.dumps({
        "uid": uid, "title": title, "tags": ["nexus"], "schemaVersion": 39, "version": 1, "editable": True,
        "refresh": "30s", "time": {"from": "now-3h", "to": "now"},
        "links": [{"title": "Nexus", "type": "dashboards", "tags": ["nexus"], "asDropdown": True, "keepTime": True}],
        "templating": {"list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus", "current": {}}, *variables]},
        "panels": panels(table)}, indent=1) + "\n"


INSTANCE = variable("instance", "label_values(nexus_build_info, instance)")
SOURCE = variable("source", 'label_values(nexus_pool_connections{instance=~"$instance"}, source)')
PAGES = {
    "deploy/grafana/overview.json": lambda: dashboard("nexus-overview", "Nexus: overview", OVERVIEW, [INSTANCE]),
    "deploy/grafana/sources.json": lambda: dashboard("nexus-sources", "Nexus: data sources", SOURCES, [INSTANCE, SOURCE]),
    "deploy/grafana/query.json": lambda: dashboard("nexus-query", "Nexus: the way of a query", QUERY, [INSTANCE]),
}
