"""Traces: what a collector gets, read by the official library; and that it never holds anybody up."""
import json
import re
import subprocess
import threading
import time

import servers
from collector import Collector
from nxtest import SLOW, Gateway, case, check, eq, find_binary, main, until
from observers import value
from sample import sqlite_source

FAKE = {"name": "fake", "type": "fake", "config": {}}
SERVER, CLIENT, INTERNAL = 2, 3, 1


class Ids:
    n = 0


def new_parent(sampled=True):
    Ids.n += 1
    return f"{0x1234567890abcdef1234567890000000 + Ids.n:032x}", f"{0xfedcba9800000000 + Ids.n:016x}", \
        "01" if sampled else "00"


def shared():
    if not hasattr(shared, "gw"):
        shared.c = Collector()
        shared.gw = Gateway({"trace": {"endpoint": shared.c.url, "sample": 0, "headers": "x-key=canary-9,b=2"}},
                            sources=[sqlite_source(), FAKE])
    return shared.gw, shared.c


def ask(source, sql, gw=None, state=None, **kw):
    """A traced query: the response, its trace id, the caller's span id."""
    gw = gw or shared()[0]
    t, p, flags = new_parent()
    headers = {"traceparent": f"00-{t}-{p}-{flags}", **({"tracestate": state} if state else {})}
    return gw.query(source, sql, headers=headers, **kw), t, p


def whole(spans):
    """What holds of every trace: one request, steps below it, in order, without gaps."""
    root = spans[""]
    eq(SERVER, root.kind)
    steps = sorted((s for k, s in spans.items() if k), key=lambda s: s.start)
    eq(len(spans), len({s.id for s in spans.values()}))
    at = root.start
    for s in steps:
        eq((root.trace_id, root.id), (s.trace_id, s.parent), s)
        check(len(s.id) == 16 and set(s.id) != {"0"}, "a span id", s)
        eq(at, s.start, "begins where the last one ended", s)
        check(s.end >= s.start, "time goes on", s)
        at = s.end
    eq(root.end, at)
    order = ["parse", "authenticate", "resolve", "validate", "route", "connect", "run", "encode"]
    eq([n for n in order if n in spans], [s.attr["nexus.step"] for s in steps])
    return root


@case
def a_query_has_a_span_for_each_step():
    gw, c = shared()
    before = time.time_ns()
    r, t, p = ask("lite", "SELECT id, name FROM t WHERE name <> 'canary-literal'", state="vendor=x1,other=y")
    after = time.time_ns()
    spans = c.trace(t)
    root = whole(spans)
    eq((p, "POST /api/v1/query", 0, "vendor=x1,other=y"), (root.parent, root.name, root.status, root.state))
    check(before - 5e6 <= root.start <= root.end <= after + 5e6, "the time it took", before, root.start, after)
    a = root.attr
    eq(("POST", "/api/v1/query", "http", 200, "lite", "rest", "success"),
       (a["http.request.method"], a["http.route"], a["url.scheme"], a["http.response.status_code"],
        a["nexus.source"], a["nexus.door"], a["nexus.outcome"]), a)
    eq((r.header("X-Correlation-ID"), r.header("X-Query-ID")), (a["nexus.correlation_id"], a["nexus.query.id"]))
    check("error.type" not in a, "no error", a)
    run = spans["run"]
    eq((CLIENT, "SELECT t"), (run.kind, run.name))
    eq(("sqlite", "SELECT t"), (run.attr["db.system.name"], run.attr["db.query.summary"]))
    check("db.query.text" not in run.attr, "no statement unless asked for", run)
    eq(3, spans["encode"].attr["db.response.returned_rows"])
    eq({"parse", "resolve", "validate", "route", "connect", "run", "encode", "authenticate", ""}, set(spans))
    eq("nexus-gateway", c.resources[0]["service.name"])
    check(re.fullmatch(r"[0-9a-f-]{36}", c.resources[0]["service.instance.id"]), "instance")
    eq("/v1/traces", c.requests[0])
    eq(("canary-9", "2", "application/x-protobuf"),
       (c.headers[0]["x-key"], c.headers[0]["b"], c.headers[0]["Content-Type"]))
    check("canary" not in repr(c.spans) and "canary-9" not in gw.log(), "nothing secret")


@case
def refused_failed_and_cancelled_queries_say_so():
    gw, c = shared()
    _, t, _ = ask("lite", "DELETE FROM t")
    spans = c.trace(t)
    root = whole(spans)
    eq((403, "RO_STATEMENT", 0, "rejected"), (root.attr["http.response.status_code"], root.attr["error.type"],
                                              root.status, root.attr["nexus.outcome"]))
    eq((2, "RO_STATEMENT"), (spans["validate"].status, spans["validate"].attr["error.type"]))
    check("run" not in spans and "route" not in spans, "it went no further", set(spans))
    _, t, _ = ask("fake", "SELECT * FROM fake WHERE prepare_error = 'SOURCE_FAILED'")
    spans = c.trace(t)
    root = whole(spans)
    eq((502, "SOURCE_FAILED", 2), (root.attr["http.response.status_code"], root.attr["error.type"], root.status))
    eq((2, "SOURCE_FAILED"), (spans["run"].status, spans["run"].attr["error.type"]))
    check("encode" not in spans, "no row", set(spans))
    r, t, _ = ask("fake", "SELECT * FROM fake WHERE rows = 200000 AND error_after = 100000", limit=None)
    spans = c.trace(t)
    root = whole(spans)
    eq((200, 200, 2), (r.status, root.attr["http.response.status_code"], root.status), "failed in the midst of rows")
    eq(2, spans["encode"].status)
    _, t, _ = ask("fake", "SELECT * FROM fake WHERE hang", timeout=0.3)
    spans = c.trace(t)
    root = whole(spans)
    eq(("QUERY_TIMEOUT", 2, "timeout"), (root.attr["error.type"], root.status, root.attr["nexus.outcome"]))
    tid, p, f = new_parent()
    body = json.dumps({"dataSource": "fake", "sql": "SELECT * FROM fake WHERE hang"}).encode()
    s = gw.socket()
    s.sendall(gw.request_bytes("POST", "/api/v1/query", body, [f"traceparent: 00-{tid}-{p}-{f}"]))
    until("it runs", gw.running)
    eq(204, gw.delete("/api/v1/queries/" + gw.running()[0]["id"]).status)
    spans = c.trace(tid)
    s.close()
    root = whole(spans)
    eq(("QUERY_CANCELED", 0, "canceled"), (root.attr["error.type"], root.status, root.attr["nexus.outcome"]))
    eq((0, "QUERY_CANCELED"), (spans["run"].status, spans["run"].attr["error.type"]))


@case
def a_cursor_s_batches_link_to_its_opening():
    gw, c = shared()
    r, t, _ = ask("lite", "SELECT id FROM many", path="/api/v1/fetch", batch_size=300)
    opened = whole(c.trace(t))
    eq("POST /api/v1/fetch", opened.name)
    uri = r.json.get("nextUri") or r.data["nextUri"]
    t2, p2, _ = new_parent()
    eq(200, gw.get(uri, headers={"traceparent": f"00-{t2}-{p2}-01"}).status)
    batch = c.trace(t2)[""]
    eq("GET /api/v1/fetch/{id}/{slug}/{token}", batch.name)
    eq([(opened.trace_id, opened.id)], batch.links)
    slug = uri.split("/")[5]
    check(slug not in repr([s.__dict__ for s in c.spans]), "a cursor's address is not told")
    gw.delete(uri)


@case
def a_tool_of_an_agent_is_a_query_by_another_door():
    gw, c = shared()
    t, p, _ = new_parent()
    before = value(gw.get("/metrics").text, "nexus_queries_total", door="mcp", outcome="success", type="sqlite")
    r = gw.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "query", "arguments": {"source": "lite", "sql": "SELECT id FROM t"}}},
        headers={"traceparent": f"00-{t}-{p}-01"})
    eq((200, False), (r.status, r.json["result"]["isError"]), r)
    spans = c.trace(t)
    root = whole(spans)
    eq(("POST /mcp", "mcp", "SELECT t"), (root.name, root.attr["nexus.door"], spans["run"].name))
    m = gw.get("/metrics").text
    eq(before + 1, value(m, "nexus_queries_total", door="mcp", outcome="success", type="sqlite"))
    check(value(m, "nexus_http_requests_total", route="mcp") > 0, "by its path")


@case
def who_is_sampled():
    gw, c = shared()
    gw.query("lite", "SELECT 1")
    t, p, _ = new_parent(sampled=False)
    gw.query("lite", "SELECT 1", headers={"traceparent": f"00-{t}-{p}-00"})
    for bad in (f"00-{t}-{p}", f"ff-{t}-{p}-01", f"00-{'0' * 32}-{p}-01", f"00-{t}-{'0' * 16}-01", f"00-{t.upper()}-{p}-01",
                f"00-{t}-{p}-01-x", f"00-{t}-{p}-0g", "", "x" * 500, f"00_{t}-{p}-01", f"cc-{t}-{p}-01x"):
        eq(200, gw.query("lite", "SELECT 1", headers={"traceparent": bad}).status)
    gw.get("/metrics", headers={"traceparent": f"00-{t}-{p}-01"})
    gw.get("/health", headers={"traceparent": f"00-{t}-{p}-01"})
    t3, p3, _ = new_parent()
    gw.query("lite", "SELECT 1", headers={"traceparent": f"01-{t3}-{p3}-01-more"})  # a later version of the header
    c.trace(t3)
    time.sleep(1.2)
    eq([], [s for s in c.spans if s.trace_id == t])
    known = {s.trace_id for s in c.spans}
    check(all(k.startswith("1234567890abcdef") for k in known), "only those with a parent that says so", known)
    c2 = Collector()
    g = Gateway({"trace": {"endpoint": c2.url, "sample": 0.3, "parent": False}}, sources=[sqlite_source()])
    for _ in range(200):
        g.query("lite", "SELECT 1", headers={"traceparent": f"00-{t}-{p}-01"})
    until("sent", lambda: value(g.get("/metrics").text, "nexus_trace_backlog") == 0 and c2.spans)
    time.sleep(0.3)
    n = len([s for s in c2.spans if s.kind == SERVER])
    check(25 <= n <= 110, "about three in ten", n)
    eq({t}, {s.trace_id for s in c2.spans}, "but they join the caller's trace")


@case
def the_statement_is_told_when_asked_for():
    c = Collector()
    g = Gateway({"trace": {"endpoint": c.url, "sample": 1, "sql": True, "serviceName": "mine"}, "log": {"queries": True}},
                sources=[sqlite_source()])
    g.query("lite", "SELECT '\u00fc\ud83d\ude00' -- c".encode("utf-16", "surrogatepass").decode("utf-16"))
    until("spans", lambda: any(s.kind == SERVER for s in c.spans))
    (run,) = [s for s in c.spans if s.kind == CLIENT]
    eq("SELECT '\u00fc\U0001f600' -- c", run.attr["db.query.text"])
    eq("mine", c.resources[0]["service.name"])
    (line,) = g.events("query")
    eq((run.trace_id, run.parent), (line["traceId"], line["spanId"]))


@case
def the_last_traces_are_sent_at_the_end():
    c = Collector()
    g = Gateway({"trace": {"endpoint": c.url, "sample": 1}}, sources=[sqlite_source()])
    for _ in range(600):
        g.query("lite", "SELECT 1")
    eq(0, g.stop())
    eq(600, len([s for s in c.spans if s.kind == SERVER and s.name == "POST /api/v1/query"]))


def quick_all_the_time(g, seconds):
    end, slowest, n = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        t = time.monotonic()
        eq(200, g.query("lite", "SELECT 1").status)
        slowest = max(slowest, time.monotonic() - t)
        n += 1
    return n, slowest


@case
def a_collector_that_is_down_slow_or_busy_holds_nobody_up():
    c = Collector()
    g = Gateway({"trace": {"endpoint": c.url, "sample": 1, "queue": 64, "timeout": 1}}, sources=[sqlite_source()])
    c.delay = 30
    n, slowest = quick_all_the_time(g, 2)
    check(slowest < 0.5 * SLOW, "no request waits", slowest)
    m = g.get("/metrics").text
    check(value(m, "nexus_traces_total", outcome="dropped") > 0 and value(m, "nexus_trace_backlog") <= 64,
          "bounded and counted", n)
    c.delay = 0
    c.stopping.set()
    c.close()  # now it is down
    n, slowest = quick_all_the_time(g, 2)
    check(slowest < 0.5 * SLOW, "no request waits", slowest)
    began = time.monotonic()
    eq(0, g.stop())
    check(time.monotonic() - began < 5 * SLOW, "and the end does not, either")
    check("traces" in {e["event"] for e in g.events()}, "the log tells")


@case
def a_busy_collector_is_asked_again_when_it_says():
    c = Collector()
    c.answers = [(429, {"Retry-After": "2"}), (503, {}), (200, {})]
    g = Gateway({"trace": {"endpoint": c.url, "sample": 1}}, sources=[sqlite_source()])
    g.query("lite", "SELECT 1")
    until("first", lambda: len(c.requests) == 1, 5)
    first = time.monotonic()
    until("second", lambda: len(c.requests) == 2, 10)
    check(1.8 <= time.monotonic() - first, "Retry-After is kept", time.monotonic() - first)
    until("third", lambda: len(c.requests) == 3, 15)
    check(any(s.kind == SERVER for s in c.spans), "delivered in the end")
    eq(1, len([s for s in c.spans if s.name == "POST /api/v1/query"]), "once")
    c.answers = [(400, {})]
    g.query("lite", "SELECT 2")
    until("given up", lambda: value(g.get("/metrics").text, "nexus_traces_total", outcome="failed") >= 1)


@case
def wrong_values_are_refused():
    for bad in ({"endpoint": "ftp://x"}, {"endpoint": "http://127.0.0.1:1/v1", "headers": "nonsense"},
                {"endpoint": "http://127.0.0.1:1/v1", "sample": 2}, {"queue": 1}):
        g = Gateway({"trace": bad}, start=False)
        g.expect_status = 1
        g.spawn()
        eq(1, g.process.wait(15), bad)
        p = subprocess.run([find_binary(), "check", "-c", g.write_config()], capture_output=True, text=True, check=False)
        eq(1, p.returncode, "nexus check says so before a restart does", bad, p.stdout)
    g, _ = shared()
    r = g.post("/api/v1/datasources", sqlite_source("named", traceContext="applicationName"))
    eq((400, "CONFIG_INVALID"), (r.status, r.code), r)
    check("traceContext" in r.text, "says which", r)


# ---- the source's side

def postgres():
    if not hasattr(postgres, "gw"):
        postgres.server = servers.postgres()
        postgres.c = Collector()
        config = {"trace": {"endpoint": postgres.c.url, "sample": 0}}
        postgres.gw = Gateway(config, sources=[
            postgres.server.source("named", traceContext="applicationName"),
            postgres.server.source("noted", traceContext="comment"),
            postgres.server.source("plain"),
            postgres.server.source("one", maxPoolSize=1, additionalProps={"applicationName": "traced-train"})])
    return postgres.gw, postgres.c


WHO = "SELECT current_setting('application_name') AS name"


@case
def postgresql_sees_the_trace_as_application_name():
    gw, c = postgres()
    for sql in (WHO, "SELECT current_setting('application_name') FROM pg_catalog.pg_class LIMIT 1"):
        r, t, _ = ask("named", sql, gw)
        eq(200, r.status, r)
        run = c.trace(t)["run"]
        eq(f"nexus 00-{t}-{run.id}-01", r.rows[0][0])
        eq("nexus-gateway", gw.query("named", sql).rows[0][0], "taken back on the same connection")
    r, _, _ = ask("plain", WHO, gw)
    eq("nexus-gateway", r.rows[0][0])
    r, t, _ = ask("named", "SELECT 1/0", gw)
    eq((400, "DATA_ERROR"), (r.status, r.code), r)
    eq("22012", c.trace(t)["run"].attr["db.response.status_code"])
    eq("nexus-gateway", gw.query("named", WHO).rows[0][0])


@case
def a_comment_goes_behind_the_statement():
    gw, c = postgres()
    seen = "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()"
    for sql in (seen, seen + " -- and a comment", seen + "\n"):
        r, t, _ = ask("noted", sql, gw)
        run = c.trace(t)["run"]
        check(r.rows[0][0].rstrip().endswith(f"\n/*traceparent='00-{t}-{run.id}-01'*/"), "the comment", r)
        r = gw.query("noted", sql)
        check("traceparent" not in r.rows[0][0], "untraced ones go as they are", r)
    for sql in ("SELECT 1;", "SELECT 1 ; "):
        r, _, _ = ask("noted", sql, gw)
        eq(200, r.status, r)
    r, _, _ = ask("noted", "SELECT 1 +\n nothing", gw)
    plain = gw.query("noted", "SELECT 1 +\n nothing")
    eq(plain.json["error"].get("details"), r.json["error"].get("details"), "positions are the user's")


@case
def mariadb_takes_the_comment_too():
    server = servers.mariadb()
    c = Collector()
    g = Gateway({"trace": {"endpoint": c.url, "sample": 1}}, sources=[server.source("maria", traceContext="comment")])
    for sql in ("SELECT 1", "SELECT 1;", "SELECT 1 -- x", "SELECT 1 # x"):
        eq([[1]], g.query("maria", sql).rows, sql)
    eq(200, g.query("maria", "SELECT ? + 1", [2]).status)


@case
def members_of_a_train_have_their_own_traces():
    gw, c = postgres()
    done = []
    for _ in range(40):
        gw.query("one", "SELECT ? + 1", [1])

    def client():
        for i in range(60):
            r, t, p = ask("one", "SELECT ? + 1", gw, parameters=[i])
            done.append((r.rows[0][0], i + 1, t, p))

    lock = threading.Lock()
    global new_parent
    plain = new_parent

    def locked(sampled=True):
        with lock:
            return plain(sampled)
    new_parent = locked
    threads = [threading.Thread(target=client) for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    new_parent = plain
    eq([], [d for d in done if int(d[0]) != d[1]])
    until("all are sent", lambda: value(gw.get("/metrics").text, "nexus_trace_backlog") == 0, 15)
    dropped = value(gw.get("/metrics").text, "nexus_traces_total", outcome="dropped")
    eq(0, dropped)
    travelled = 0
    for _, _, t, p in done:
        spans = c.trace(t)
        root = whole(spans)
        eq(p, root.parent)
        n = spans["run"].attr.get("nexus.train.size", 0)
        travelled += n > 0
        check(n == 0 or 0 <= spans["run"].attr["nexus.train.position"] < n <= 8, "a place", spans["run"])
    check(travelled > 0, "some travelled together")


main()
