"""Health, metrics, drivers, OpenAPI and the other small resources."""
import json
import os
import re

from nxtest import case, check, configure, eq, gateway, main
from nxtest import ROOT, skip
from sample import sqlite_source

configure(sources=lambda: [sqlite_source()])

TYPES = """mysql mariadb postgresql oracle sqlserver sqlite hive odbc iceberg delta_lake hudi snowflake
databricks redshift bigquery s3_parquet s3_orc s3_avro s3_csv s3_json minio_parquet minio_csv oss_parquet
cos_parquet azure_parquet hdfs_avro hdfs_parquet hdfs_csv ozone_parquet clickhouse doris starrocks druid
oceanbase_mysql oceanbase_oracle tidb tdsql gaussdb_mysql gaussdb_postgres dameng kingbasees gbase_8s
gbase_8t oscar opengauss trino spark flink duckdb""".split()

ROUTES = [
    ("post", "/api/v1/query"), ("post", "/api/v1/query/validate"), ("get", "/api/v1/query/history"),
    ("get", "/api/v1/queries"), ("get", "/api/v1/queries/{id}"), ("delete", "/api/v1/queries/{id}"),
    ("post", "/api/v1/fetch"), ("get", "/api/v1/datasources"), ("post", "/api/v1/datasources"),
    ("get", "/api/v1/datasources/{id}"), ("put", "/api/v1/datasources/{id}"),
    ("delete", "/api/v1/datasources/{id}"), ("post", "/api/v1/datasources/{id}/test"),
    ("post", "/api/v1/datasources/{id}/activate"), ("post", "/api/v1/datasources/{id}/deactivate"),
    ("get", "/api/v1/datasources/{id}/schema"), ("get", "/api/v1/datasources/{id}/status"),
    ("get", "/api/v1/drivers"), ("get", "/api/v1/stats"), ("get", "/health"), ("get", "/livez"),
    ("get", "/readyz"), ("get", "/metrics"), ("get", "/openapi.json"),
]


@case
def liveness_and_readiness():
    for path in ("/livez", "/readyz", "/health"):
        r = gateway().get(path)
        eq(200, r.status, r)


@case
def metrics_are_prometheus_text():
    gateway().query("lite", "SELECT 1")
    r = gateway().get("/metrics")
    eq(200, r.status)
    check(r.header("Content-Type").startswith("text/plain"), "content type", r.headers)
    line = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*\})? '
                      r'(-?[0-9.e+-]+|NaN|[+-]Inf)$')
    typed = set()
    for text in r.text.rstrip("\n").split("\n"):
        m = re.match(r"# (HELP|TYPE) (\S+) (.+)", text)
        if m:
            if m.group(1) == "TYPE":
                check(m.group(2) not in typed, f"TYPE {m.group(2)} once")
                typed.add(m.group(2))
            continue
        check(line.match(text), "a metric line", text)
        name = re.match(r"[\w:]+", text).group(0)
        check(name in typed or re.sub(r"_(bucket|sum|count|total)$", "", name) in typed,
              "every metric has a TYPE", text)
    check(any("quer" in t for t in typed), "there are query metrics", sorted(typed))


@case
def histograms_are_monotonic():
    series = {}
    for text in gateway().get("/metrics").text.split("\n"):
        m = re.match(r'(\w+)_bucket\{(.*)\} (\S+)$', text)
        if m:
            labels = re.sub(r',?le="[^"]*"', "", m.group(2))
            series.setdefault((m.group(1), labels), []).append(float(m.group(3)))
    for key, values in series.items():
        eq(sorted(values), values, key)


@case
def openapi_documents_every_route():
    doc = gateway().get("/openapi.json").json
    check(doc["openapi"].startswith("3."), "version")
    check(doc["info"]["title"] and doc["info"]["version"], "info")
    have = {(m, re.sub(r"\{\w+\}", "{id}", p)) for p, item in doc["paths"].items() for m in item}
    missing = [f"{m} {p}" for m, p in ROUTES if (m, p) not in have]
    eq([], missing)


@case
def openapi_is_whole():
    """Every $ref resolves, every path parameter is declared, operation ids are unique."""
    doc = gateway().get("/openapi.json").json
    ids = []

    def walk(node):
        if isinstance(node, dict):
            if "$ref" in node:
                at = doc
                for part in node["$ref"].lstrip("#/").split("/"):
                    check(part in at, f"{node['$ref']} resolves")
                    at = at[part]
            for v in node.values():
                walk(v)
        elif isinstance(node, list):
            for v in node:
                walk(v)
    walk(doc)
    for path, item in doc["paths"].items():
        for method, op in item.items():
            if method not in ("get", "post", "put", "delete"):
                continue
            ids.append(op.get("operationId"))
            declared = {p["name"] for p in op.get("parameters", []) + item.get("parameters", [])
                        if p.get("in") == "path"}
            eq(set(re.findall(r"\{(\w+)\}", path)), declared, f"{method} {path}")
            check(op.get("responses"), f"{method} {path} has responses")
    check(None not in ids and len(ids) == len(set(ids)), "operation ids", ids)


@case
def openapi_documents_the_query_body():
    doc = gateway().get("/openapi.json").json
    text = json.dumps(doc)
    for key in ("dataSourceId", "parameters", "offset", "timeout", "format"):
        check(f'"{key}"' in text, f"{key} is documented")


@case
def drivers_know_every_type():
    listed = {d.get("type", d.get("name")): d for d in gateway().get("/api/v1/drivers").data_list()}
    eq([], [t for t in TYPES if t not in listed])


@case
def drivers_tell_the_truth():
    listed = {d.get("type", d.get("name")): d for d in gateway().get("/api/v1/drivers").data_list()}
    for name in ("postgresql", "mysql", "mariadb", "sqlite"):
        text = json.dumps(listed[name])
        check(re.search(r'"(builtIn|available|built)": true', text), f"{name} is built in", text)
    text = json.dumps(listed["snowflake"])
    check(re.search(r'"(builtIn|available|built)": false', text), "snowflake is not built in", text)
    for name, d in listed.items():
        check(re.search(r'"(real|stand-in|double|unverified)"', json.dumps(d)), f"{name} says its proof", d)


@case
def unknown_paths_and_methods():
    r = gateway().get("/nothing/here")
    eq((404, "NOT_FOUND"), (r.status, r.code), r)
    r = gateway().delete("/api/v1/query")
    eq((405, "METHOD_NOT_ALLOWED"), (r.status, r.code), r)
    check("POST" in (r.header("Allow") or ""), "Allow names POST", r.headers)


@case
def history_tells_what_ran():
    gateway().query("lite", "SELECT 41 + 1 AS answer", headers={"X-Correlation-ID": "history-1"})
    gateway().query("lite", "SELECT nope FROM t", headers={"X-Correlation-ID": "history-2"})
    gateway().query("lite", "DROP TABLE t", headers={"X-Correlation-ID": "history-3"})

    def found():
        rows = gateway().get("/api/v1/query/history").data_list()
        by_id = {r.get("correlationId"): r for r in rows}
        return by_id if {"history-1", "history-2", "history-3"} <= set(by_id) else None
    from nxtest import until
    rows = until("history has the three", found, 5)
    eq("success", rows["history-1"]["status"])
    eq("error", rows["history-2"]["status"])
    eq("rejected", rows["history-3"]["status"])
    eq("UNDEFINED_OBJECT", rows["history-2"].get("code"))


@case
def stats_count_queries():
    a = gateway().get("/api/v1/stats").data
    gateway().query("lite", "SELECT 1")
    b = gateway().get("/api/v1/stats").data
    check(json.dumps(a) != json.dumps(b), "a query changes the counters", a)


@case
def every_error_code_is_documented():
    path = os.path.join(ROOT, "docs", "errors.md")
    if not os.path.exists(path):
        skip("docs/errors.md is not there")
    with open(path, encoding="utf-8") as f:
        known = set(re.findall(r"`([A-Z_]+)`", f.read()))
    r = gateway().query("lite", "SELECT 1; SELECT 2")
    check(r.code in known, "the code is in docs/errors.md", r)


main()
