"""Data sources that look after themselves: probes, faults, recovery, accounts that must be read-only."""
import http.client
import json
import threading
import time

import servers
from nxtest import SLOW, Gateway, case, check, eq, main, until
from sample import sqlite_source

FAST = {"health": {"interval": 0.4, "timeout": 2}}


own = []


def own_postgres():
    """One for the cases that kill it; it runs again after each."""
    if not own:
        own.append(servers.OwnPostgres())
    return own[0]


def status(g, sid):
    return g.get(f"/api/v1/datasources/{sid}/status").data


def source_id(g, name):
    return next(s["id"] for s in g.get("/api/v1/datasources").data_list() if s["name"] == name)


@case
def a_killed_server_is_seen_and_found_again_without_any_query():
    pg = own_postgres()
    g = Gateway(config=FAST, sources=[pg.server.source("own", connectTimeout=2)])
    sid = source_id(g, "own")
    until("a probe finds it well", lambda: status(g, sid)["health"] == "healthy")
    s = status(g, sid)
    eq("OK", s["lastProbe"]["result"])
    check(s["lastProbe"]["latencyMs"] > 0 and s["grants"]["canWrite"], "latency and grants", s)
    eq((True, False), (s["readOnlyLayers"]["server"], s["readOnlyLayers"]["grants"]), s)  # it is a superuser
    pg.kill()
    # three intervals of ten seconds and a bit would be the limit; here one is 0.4 s
    until("it is in error", lambda: status(g, sid)["status"] == "error", 3)
    s = status(g, sid)
    eq("unhealthy", s["health"])
    check(s["errors"] and s["errors"][0]["code"] in ("SOURCE_DOWN", "CONNECT_TIMEOUT"), "why is kept", s)
    check(s["nextProbeSeconds"] is not None, "it will be tried again", s)
    eq("unhealthy", next(x["health"] for x in g.get("/api/v1/datasources").data_list() if x["name"] == "own"))
    pg.start()
    until("it is active again", lambda: status(g, sid)["status"] == "active", 12)
    eq(200, g.query("own", "SELECT 1").status)
    g.close()


@case
def killed_and_started_under_load():
    """Only typed errors while it is away, answers within a second of its return, nothing stuck."""
    pg = own_postgres()
    g = Gateway(sources=[pg.server.source("own", connectTimeout=2, timeout=10)])
    body = json.dumps({"dataSource": "own", "sql": "SELECT id, name FROM t ORDER BY id"})
    done, lock, outcomes, good_at = threading.Event(), threading.Lock(), {}, []

    def client():
        conn = None
        while not done.is_set():
            try:
                conn = conn or http.client.HTTPConnection("127.0.0.1", g.port, timeout=20 * SLOW)
                conn.request("POST", "/api/v1/query", body, {"Content-Type": "application/json"})
                answer = conn.getresponse()
                doc = json.loads(answer.read())
                code = "OK" if answer.status == 200 else doc["error"]["code"]
            except (OSError, ValueError, KeyError, http.client.HTTPException) as e:
                code, conn = f"broken: {e!r}", None
            with lock:
                outcomes[code] = outcomes.get(code, 0) + 1
                if code == "OK":
                    good_at.append(time.monotonic())
            if code != "OK":
                time.sleep(0.01)
    threads = [threading.Thread(target=client, daemon=True) for _ in range(8)]
    for t in threads:
        t.start()
    try:
        time.sleep(0.7)
        pg.kill()
        time.sleep(1.5)
        pg.start()
        back = time.monotonic()
        until("answers again", lambda: good_at[-1] > back, 5)
        first = min(t for t in good_at if t > back)
        print(f"# answered {first - back:.2f} s after the server was back")
        # under a second on a machine of its own; other tests run beside this one
        check(first - back < 3 * SLOW, f"recovered after {first - back:.2f} s")
    finally:
        done.set()
        for t in threads:
            t.join(30)
    typed = {"OK", "SOURCE_DOWN", "SOURCE_LOST", "CONNECT_TIMEOUT", "SOURCE_FAILED", "SOURCE_BUSY"}
    eq(set(), set(outcomes) - typed, outcomes)
    check(outcomes.get("OK", 0) > 20, "served", outcomes)
    until("nothing is left running", lambda: not g.running(), 5)
    s = status(g, source_id(g, "own"))
    eq((0, 0), (s["pool"]["active"], s["pool"]["waiting"]))
    g.close()


@case
def a_source_in_error_answers_at_once():
    dead = {"name": "dead", "type": "postgresql",
            "config": {"host": "127.0.0.1", "port": servers.free_port(), "username": "u", "password": "pw-canary",
                       "database": "d", "connectTimeout": 5}}
    g = Gateway(config={"health": {"interval": 0}}, sources=[dead])
    for _ in range(3):
        eq("SOURCE_DOWN", g.query("dead", "SELECT 1").code)
    sid = source_id(g, "dead")
    until("error", lambda: status(g, sid)["status"] == "error", 3)
    start = time.monotonic()
    for _ in range(20):
        r = g.query("dead", "SELECT 1")
        eq((503, "SOURCE_DOWN"), (r.status, r.code))
        check(r.header("Retry-After"), "says when to come again")
    check(time.monotonic() - start < 2 * SLOW, "without waiting for a connection each")
    s = status(g, sid)
    check(len(s["errors"]) <= 10, "bounded")
    check("pw-canary" not in json.dumps(s), "no secret")
    g.close()


@case
def bad_sql_is_no_fault_of_the_source():
    pg = servers.postgres()
    g = Gateway(config={"health": {"interval": 0}}, sources=[pg.source("pg")])
    for _ in range(10):
        r = g.query("pg", "SELECT nonsense FROM nowhere")
        eq(400, r.status)
    s = status(g, source_id(g, "pg"))
    eq(("active", "healthy", 0), (s["status"], s["health"], s["faults"]))
    check(s["lastQuery"]["result"] != "OK" and s["failedQueries"] == 10, "the last query is told", s)
    eq(200, g.query("pg", "SELECT 1").status)
    eq("OK", status(g, source_id(g, "pg"))["lastQuery"]["result"])
    g.close()


@case
def a_failed_first_test_says_why():
    g = Gateway()
    dead = {"name": "dead", "type": "postgresql",
            "config": {"host": "127.0.0.1", "port": servers.free_port(), "username": "u", "password": "x",
                       "database": "d", "connectTimeout": 2}}
    r = g.post("/api/v1/datasources", dead)
    eq((201, "error"), (r.status, r.data["status"]))
    eq((False, "SOURCE_DOWN"), (r.data["test"]["ok"], r.data["test"]["error"]["code"]))
    r = g.post("/api/v1/datasources", dict(sqlite_source("good")))
    eq((201, "active", True), (r.status, r.data["status"], r.data["test"]["ok"]))
    r = g.post("/api/v1/datasources", {**sqlite_source("untested"), "skipTest": True})
    eq((201, "draft", None), (r.status, r.data["status"], r.data.get("test")))
    # a test makes a draft active
    eq(True, g.post(f"/api/v1/datasources/{r.data['id']}/test").data["ok"])
    eq("active", g.get(f"/api/v1/datasources/{r.data['id']}").data["status"])
    g.close()


@case
def ten_tries_and_then_an_operator_is_asked():
    g = Gateway(config={"health": {"interval": 0.02, "timeout": 1}})
    port = servers.free_port()
    dead = {"name": "dead", "type": "postgresql",
            "config": {"host": "127.0.0.1", "port": port, "username": "u", "password": "x",
                       "database": "d", "connectTimeout": 1}}
    sid = g.post("/api/v1/datasources", dead).data["id"]
    until("it is given up", lambda: status(g, sid)["nextProbeSeconds"] is None, 25)
    eq("error", status(g, sid)["status"])
    r = g.post(f"/api/v1/datasources/{sid}/test")
    eq(False, r.data["ok"])
    check(status(g, sid)["nextProbeSeconds"] is not None, "the tries begin anew")
    g.close()


@case
def an_account_that_may_write_is_refused_where_that_is_asked():
    pg = servers.postgres()
    g = Gateway(config=FAST)
    # `api` may write its tables; the owner is a superuser
    for account, option, ok in (({}, "required", False), ({}, "no-superuser", True), ({}, "any", True),
                                ({"username": pg.user, "password": pg.password}, "no-superuser", False)):
        r = g.post("/api/v1/datasources", pg.source("acc", readOnlyAccount=option, **account))
        eq((201, "active" if ok else "error"), (r.status, r.data["status"]), r)
        eq(ok, r.data["test"]["ok"])
        sid = r.data["id"]
        if not ok:
            eq("ACCOUNT_NOT_FIT", r.data["test"]["error"]["code"])
            check("readOnlyAccount" in r.data["test"]["error"]["message"], "the option is named", r)
            eq("ACCOUNT_NOT_FIT", g.query("acc", "SELECT 1").code)
            eq((409, "ACCOUNT_NOT_FIT"), (lambda a: (a.status, a.code))(
                g.post(f"/api/v1/datasources/{sid}/activate")))
            time.sleep(1)  # the prober does not let it in either
            eq("error", status(g, sid)["status"])
        else:
            eq(200, g.query("acc", "SELECT 1").status)
        g.delete(f"/api/v1/datasources/{sid}")
    # a change of the config is looked at before it serves
    pg.sql("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'lamb') THEN "
           "CREATE ROLE lamb LOGIN PASSWORD 'lamb-secret'; END IF; END $$")
    lamb = pg.source("acc", readOnlyAccount="required", username="lamb", password="lamb-secret")
    r = g.post("/api/v1/datasources", lamb)
    eq("active", r.data["status"], r)
    sid = r.data["id"]
    r = g.call("PUT", f"/api/v1/datasources/{sid}", pg.source("acc", readOnlyAccount="required"))
    eq((200, "error", "ACCOUNT_NOT_FIT"), (r.status, r.data["status"], r.data["test"]["error"]["code"]))
    check(g.query("acc", "SELECT 1").status in (409, 503), "and serves nothing")
    r = g.call("PUT", f"/api/v1/datasources/{sid}", lamb)
    eq((200, "active"), (r.status, r.data["status"]))
    g.close()


LAMB = ("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{0}') THEN "
        "CREATE ROLE {0} LOGIN PASSWORD 'lamb-secret'; END IF; END $$")


@case
def no_way_in_goes_round_the_look_at_the_account():
    """A source that says it is active, by POST or import, and one that the store says is active."""
    pg = servers.postgres()
    pg.sql(LAMB.format("wolf"))
    g = Gateway(config={"health": {"interval": 300, "timeout": 5}})
    wide = {**pg.source("wide", readOnlyAccount="required"), "status": "active"}
    r = g.post("/api/v1/datasources", wide)
    eq((201, "error", "ACCOUNT_NOT_FIT"), (r.status, r.data["status"], r.data["test"]["error"]["code"]))
    eq("ACCOUNT_NOT_FIT", g.query("wide", "SELECT 1").code)
    r = g.post("/api/v1/datasources", {**wide, "name": "untested", "skipTest": True})
    eq((201, "draft"), (r.status, r.data["status"]))
    until("the prober has seen it", lambda: status(g, r.data["id"])["status"] == "error", 8)
    check(g.query("untested", "SELECT 1").status != 200, "a source that was not tested serves nothing")
    eq(200, g.post("/api/v1/datasources/import", [{**wide, "name": "brought"}]).status)
    check(g.query("brought", "SELECT 1").status != 200, "nor does one of an import")
    fit = pg.source("fit", readOnlyAccount="required", username="wolf", password="lamb-secret")
    eq("active", g.post("/api/v1/datasources", fit).data["status"])
    g.stop()
    pg.sql("ALTER ROLE wolf SUPERUSER")
    try:
        g.start()
        check(g.query("fit", "SELECT 1").status != 200, "what was fit before the start is looked at again")
        until("it is found unfit", lambda: status(g, source_id(g, "fit"))["status"] == "error", 8)
    finally:
        pg.sql("ALTER ROLE wolf NOSUPERUSER")
    eq(200, g.post(f"/api/v1/datasources/{source_id(g, 'fit')}/activate").status)
    eq(200, g.query("fit", "SELECT 1").status)
    g.close()


@case
def an_account_that_was_changed_while_it_was_looked_at():
    pg = servers.postgres()
    pg.sql(LAMB.format("lamb"))
    g = Gateway(config={"health": {"interval": 300, "timeout": 5}})
    proxy = servers.Proxy(pg.port)
    fit = pg.source("acc", readOnlyAccount="required", username="lamb", password="lamb-secret", port=proxy.port,
                    connectTimeout=20)
    for verb in ("activate", "test"):
        r = g.post("/api/v1/datasources", {**fit, "status": "inactive"})
        sid = r.data["id"]
        if verb == "test":  # a draft, which a good test would make active
            g.call("PUT", f"/api/v1/datasources/{sid}", {**fit, "status": "draft", "skipTest": True})
        proxy.frozen.set()
        before = len(proxy.pairs)
        got = []
        t = threading.Thread(target=lambda: got.append(g.post(f"/api/v1/datasources/{sid}/{verb}")))
        t.start()
        until("it is being looked at", lambda: len(proxy.pairs) > before)
        eq(200, g.call("PUT", f"/api/v1/datasources/{sid}", {
            **pg.source("acc", readOnlyAccount="required", port=proxy.port), "skipTest": True,
            "status": "inactive" if verb == "activate" else "draft"}).status)
        proxy.frozen.clear()
        t.join()
        if verb == "activate":
            eq((409, "SOURCE_CHANGED"), (got[0].status, got[0].code), got[0])
        check(status(g, sid)["status"] != "active", "another account does not come in by it", got[0])
        check(g.query("acc", "SELECT 1").status != 200, "and serves nothing")
        g.delete(f"/api/v1/datasources/{sid}")
    g.close()


@case
def a_declared_source_with_conditions_waits_for_its_probe():
    pg = servers.postgres()
    g = Gateway(config=FAST, sources=[pg.source("strict", readOnlyAccount="required"),
                                      pg.source("lax", readOnlyAccount="no-superuser")])
    until("the fit one is active", lambda: g.query("lax", "SELECT 1").status == 200, 5)
    until("the other is in error", lambda: status(g, source_id(g, "strict"))["status"] == "error", 5)
    check(g.query("strict", "SELECT 1").code in ("ACCOUNT_NOT_FIT", "SOURCE_INACTIVE"), "refused")
    g.close()


if __name__ == "__main__":
    main()
