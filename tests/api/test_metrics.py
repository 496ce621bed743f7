"""GET /metrics: read by Prometheus' own parser, held against the table in the source."""
import math
import re
import threading
import time

from nxtest import Gateway, case, check, configure, eq, gateway, main, until
from observers import families, table, value, values
from sample import sqlite_source

configure(sources=[sqlite_source()])


def page(g=None):
    r = (g or gateway()).get("/metrics")
    eq(200, r.status, r)
    return r.text


def use_everything():
    g = gateway()
    g.query("lite", "SELECT 1")
    g.query("lite", "DELETE FROM t")
    g.query("lite", "SELECT * FROM no_such_table")
    g.query("nowhere", "SELECT 1")
    g.query("lite", "SELECT id FROM many", format="ndjson")
    g.get("/no/such/path")


@case
def the_official_parser_reads_all_of_it():
    use_everything()
    known = table()
    seen = set()
    for f in families(page()):
        # the parser takes _total off a counter's name
        name = f.name + "_total" if f.type == "counter" else f.name
        check(name in known, f"{name} is in metrics.def")
        kind, labels = known[name]
        eq(kind, f.type, name)
        check(f.documentation, f"{name} has HELP")
        check(name not in seen, f"{name} comes once")
        seen.add(name)
        for s in f.samples:
            eq(sorted(labels), sorted(set(s.labels) - {"le"}), s)
            check(math.isfinite(s.value) and (s.value >= 0), "a value that can be", s)
    eq(set(), set(known) - seen)


@case
def names_follow_the_rules():
    """What `promtool check metrics` asks for."""
    for name, (kind, labels) in table().items():
        check(re.fullmatch(r"(nexus|process)_[a-z][a-z0-9_]*", name), "prefix and letters", name)
        eq(kind == "counter", name.endswith("_total"), name)
        check(not re.search(r"_(milliseconds|ms|us|kb|mb|minutes|count|sum|bucket|info_total)$", name), "base units", name)
        if kind == "histogram":
            check(name.endswith("_seconds"), "histograms are of seconds", name)
        check(kind not in name.split("_"), "no type in the name", name)
        check("le" not in labels and len(labels) == len(set(labels)), "labels", name)


@case
def each_series_comes_once_and_histograms_add_up():
    use_everything()
    text = page()
    histograms = {}
    for (name, labels), v in values(text).items():  # fails on a series that comes twice
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        if table().get(base, ("",))[0] != "histogram":
            continue
        rest = tuple(l for l in labels if l[0] != "le")
        h = histograms.setdefault((base, rest), {"bucket": []})
        if name.endswith("_bucket"):
            h["bucket"].append((float(dict(labels)["le"]), v))
        else:
            h[name.rsplit("_", 1)[1]] = v
    check(histograms, "there are histograms")
    for key, h in histograms.items():
        counts = [n for _, n in h["bucket"]]
        eq(sorted(counts), counts, key)
        eq(sorted(le for le, _ in h["bucket"]), [le for le, _ in h["bucket"]], key)
        eq((math.inf, h["count"]), h["bucket"][-1], key)
        check(h["sum"] <= 100 * h["count"], "seconds, not milliseconds", key, h)
    help_lines = re.findall(r"^# (?:HELP|TYPE) (\w+)", text, re.M)
    eq([], [n for n in set(help_lines) if help_lines.count(n) != 2])


@case
def what_happened_is_counted():
    use_everything()
    before = page()
    g = gateway()
    use_everything()
    after = page()

    def more(name, **labels):
        return value(after, name, **labels) - value(before, name, **labels)

    eq(2, more("nexus_queries_total", type="sqlite", outcome="success", door="rest"))
    eq(1, more("nexus_queries_total", type="sqlite", outcome="rejected"))
    eq(1, more("nexus_queries_total", type="sqlite", outcome="error"))
    eq(1, more("nexus_queries_total", type="none", outcome="error"))
    eq(2, more("nexus_query_duration_seconds_count", type="sqlite", outcome="success"))
    eq(1, more("nexus_refusals_total", code="RO_STATEMENT", dialect="sqlite"))
    eq(1, more("nexus_errors_total", code="SOURCE_NOT_FOUND"))
    eq(2, more("nexus_http_requests_total", route="query", **{"class": "2xx"}))
    eq(3, more("nexus_http_requests_total", route="query", **{"class": "4xx"}))
    eq(1, more("nexus_http_requests_total", route="none", **{"class": "4xx"}))
    eq(1, more("nexus_http_requests_total", route="metrics"))
    eq(1001, more("nexus_result_rows_total", type="sqlite"))
    check(more("nexus_result_bytes_total", type="sqlite") > 3000, "bytes")
    eq(4, more("nexus_step_duration_seconds_count", step="validate"))
    eq(3, more("nexus_step_duration_seconds_count", step="run"))
    eq(2, more("nexus_step_duration_seconds_count", step="encode"))
    eq(1, value(after, "nexus_build_info"))
    eq(1, value(after, "nexus_sources", status="active") + value(after, "nexus_sources", status="draft"))
    check(value(after, "process_open_fds") > 5 and value(after, "process_threads") > 2, "process")
    check(value(after, "process_resident_memory_bytes") > 1e6, "resident")
    check(value(after, "process_cpu_seconds_total") > 0, "CPU time")
    now = float(g.get("/api/v1/stats").data["uptimeSeconds"])
    check(abs(time.time() - now - value(after, "process_start_time_seconds")) < 30, "started")


@case
def sources_beyond_the_bound_are_counted_together():
    g = Gateway({"metrics": {"maxSources": 3}}, sources=[sqlite_source(f"s{i}") for i in range(8)])
    for i in range(8):
        g.query(f"s{i}", "SELECT 1")
    g.query("s5", "SELECT 1")
    until("all connections are back", lambda: value(page(g), "nexus_pool_connections", state="idle") == 8)
    text = page(g)
    eq(8, value(text, "nexus_pools"))
    named = {dict(l)["source"] for (n, l) in values(text) if n == "nexus_pool_connections"}
    eq(4, len(named))
    check("other" in named, "other", named)
    eq(8, value(text, "nexus_pool_connections", state="idle"))
    eq(5, value(text, "nexus_pool_connections", state="idle", source="other"))
    counted = {dict(l)["source"] for (n, l) in values(text) if n == "nexus_pool_connects_total"}
    eq(named - {"other"}, counted)
    for i in range(8):  # somebody else is busier now, and everybody keeps the place
        for _ in range(3 if f"s{i}" not in named else 0):
            g.query(f"s{i}", "SELECT 1")
    eq(named, {dict(l)["source"] for (n, l) in values(page(g)) if n == "nexus_pool_connections"})


@case
def labels_are_escaped():
    name = 'a "quoted" \\ name'
    g = Gateway(sources=[sqlite_source(name)])
    r = g.query(name, "SELECT 1")
    if r.status == 200:
        eq(1, value(page(g), "nexus_pool_connects_total", source=name))


@case
def many_jobs_are_listed_while_they_come_and_go():
    """The listing takes the scheduler's lock for a few jobs at a time."""
    g = Gateway(sources=[{"name": "slow", "type": "fake", "config": {"maxPoolSize": 2, "maxQueue": 500}}])
    held = [g.start_query("slow", "SELECT * FROM fake WHERE hang") for _ in range(60)]
    until("all are listed", lambda: len(g.running()) == 60)
    ids = [q["id"] for q in g.running()]
    eq(60, len(set(ids)))
    stop = threading.Event()
    wrong = []

    def churn():
        while not stop.is_set():
            listed = [q["id"] for q in g.running()]
            if len(set(listed)) != len(listed) or len(listed) > 60:
                wrong.append(listed)

    threads = [threading.Thread(target=churn) for _ in range(3)]
    for t in threads:
        t.start()
    for i in ids[::2]:
        eq(204, g.delete("/api/v1/queries/" + i).status)
    for s in held:
        s.close()
    until("nothing runs", lambda: not g.running())
    stop.set()
    for t in threads:
        t.join()
    eq([], wrong)

main()
