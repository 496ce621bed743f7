"""Versions of a data source's config and the way back; a query on a config that is not saved; changes under load."""
import http.client
import json
import os
import subprocess
import threading
import time

import servers
from nxtest import SLOW, Gateway, case, check, eq, find_binary, main, until
from sample import sqlite_source


def put(g, sid, source):
    r = g.call("PUT", f"/api/v1/datasources/{sid}", source)
    eq(200, r.status, r)
    return r.data


def versions(g, sid):
    r = g.get(f"/api/v1/datasources/{sid}/versions")
    eq(200, r.status, r)
    return r.data["versions"]


@case
def versions_tell_what_changed_and_never_a_secret():
    g = Gateway(config={"health": {"interval": 0}})
    source = {"name": "pg", "type": "postgresql", "skipTest": True,
              "config": {"host": "127.0.0.1", "port": 5432, "username": "u", "password": "canary-1",
                         "database": "d", "connectTimeout": 1}}
    sid = g.post("/api/v1/datasources", source).data["id"]
    source["config"].update(port=5433, password="canary-2")
    put(g, sid, source)
    source["config"].update(password="********", timeout=5)
    source["description"] = "now with words"
    put(g, sid, source)
    v = versions(g, sid)
    eq([3, 2, 1], [x["version"] for x in v])
    eq([True, False, False], [x["current"] for x in v])
    eq({"description", "config.timeout"}, {c["key"] for c in v[0]["changes"]})
    changes = {c["key"]: c for c in v[1]["changes"]}
    eq({"config.port", "config.password"}, set(changes))
    eq((5432, 5433), (changes["config.port"]["from"], changes["config.port"]["to"]))
    eq("changed", changes["config.password"]["secret"])
    eq(None, v[2]["changes"])
    check(v[0]["changedBy"] == "anonymous" and v[0]["changedAt"], "who and when", v[0])
    check("canary" not in json.dumps(v), "no secret")
    g.close()


@case
def rollback_brings_config_and_secrets_back():
    pg = servers.postgres()
    g = Gateway(config={"health": {"interval": 0}})
    sid = g.post("/api/v1/datasources", pg.source("pg")).data["id"]
    eq(200, g.query("pg", "SELECT 1").status)
    put(g, sid, pg.source("pg", password="wrong-one", connectTimeout=3))
    eq("SOURCE_AUTH", g.query("pg", "SELECT 1").code)
    r = g.post(f"/api/v1/datasources/{sid}/rollback", {"version": 1})
    eq((200, 3), (r.status, r.data["version"]), r)
    check("connectTimeout" not in r.data["config"], "as it was", r.data)
    eq(200, g.query("pg", "SELECT 1").status)
    eq([3, 2, 1], [v["version"] for v in versions(g, sid)])
    for version, status, code in ((3, 400, "BAD_VALUE"), (77, 404, "NOT_FOUND"), (0, 400, "BAD_VALUE"),
                                  ("1", 400, "BAD_VALUE"), (None, 400, "BAD_VALUE")):
        r = g.post(f"/api/v1/datasources/{sid}/rollback", {"version": version})
        eq((status, code), (r.status, r.code), version)
    eq((400, "MISSING_KEY"), (lambda r: (r.status, r.code))(g.post(f"/api/v1/datasources/{sid}/rollback", {})))
    # a name that someone else has taken meanwhile
    put(g, sid, pg.source("renamed"))
    g.post("/api/v1/datasources", pg.source("pg"))
    r = g.post(f"/api/v1/datasources/{sid}/rollback", {"version": 3})
    eq((409, "SOURCE_EXISTS"), (r.status, r.code))
    # survives a restart
    g.restart()
    eq(200, g.query("renamed", "SELECT 1").status)
    check(len(versions(g, sid)) >= 4, "versions are kept")
    g.close()


@case
def declared_sources_keep_no_versions():
    g = Gateway(sources=[sqlite_source()])
    sid = g.get("/api/v1/datasources").data_list()[0]["id"]
    eq(404, g.get(f"/api/v1/datasources/{sid}/versions").status)
    eq(403, g.post(f"/api/v1/datasources/{sid}/rollback", {"version": 1}).status)
    g.close()


@case
def a_test_query_that_hangs_holds_nobody_up():
    hole = servers.Silent()
    g = Gateway()
    body = {"type": "postgresql", "sql": "SELECT 1", "config": {
        "host": "127.0.0.1", "port": hole.port, "username": "u", "password": "p", "database": "d",
        "connectTimeout": 2, "readOnlyAccount": "required"}}
    ends = []
    threads = [threading.Thread(target=lambda: ends.append(g.post("/api/v1/datasources/test-query", body)))
               for _ in range(4)]
    for t in threads:
        t.start()
    until("they wait for the source", lambda: len(hole.held) == 4)
    worst = 0
    for _ in range(20):
        began = time.monotonic()
        eq(200, g.get("/livez").status)
        worst = max(worst, time.monotonic() - began)
    check(not ends, "they still wait")
    check(worst < 0.5 * SLOW, "others are answered meanwhile", worst)
    for t in threads:
        t.join()
    eq([(503, "CONNECT_TIMEOUT")] * 4, [(r.status, r.code) for r in ends])
    g.close()


@case
def test_query_runs_through_the_gate_and_keeps_nothing():
    pg = servers.postgres()
    g = Gateway(config={"network": {"deny": "10.9.9.0/24"}})
    s = pg.source("x")

    def ask(sql, type_=s["type"], config=None, **more):
        return g.post("/api/v1/datasources/test-query",
                      {"type": type_, "config": s["config"] if config is None else config, "sql": sql, **more})
    r = ask("SELECT id, name FROM t WHERE id = ?", parameters=[2])
    eq((200, [[2, "zw\u00f6lf"]]), (r.status, r.rows))
    eq(10, len(ask("SELECT id FROM many").rows))
    eq(25, len(ask("SELECT id FROM many", limit=25).rows))
    eq((403, "RO_STATEMENT"), (lambda r: (r.status, r.code))(ask("DELETE FROM t")))
    eq("CONFIG_INVALID", ask("SELECT 1", config={"host": "127.0.0.1"}).code)
    eq("DRIVER_NOT_BUILT", ask("SELECT 1", type_="oracle", config={"host": "h", "username": "u", "password": "p"}).code)
    eq("HOST_DENIED", ask("SELECT 1", config={**s["config"], "host": "10.9.9.9"}).code)
    eq("SOURCE_AUTH", ask("SELECT 1", config={**s["config"], "password": "canary-9"}).code)
    eq("ACCOUNT_NOT_FIT", ask("SELECT 1", config={**s["config"], "readOnlyAccount": "required"}).code)
    for body in ({"type": "postgresql", "sql": "SELECT 1", "limit": 5000}, {"sql": "SELECT 1"},
                 {"type": "postgresql", "config": [], "sql": "SELECT 1"}, {"type": 1, "sql": "SELECT 1"},
                 {"type": "postgresql", "config": {}, "sql": "SELECT 1", "dataSource": "x"}):
        eq(400, g.post("/api/v1/datasources/test-query", body).status, body)
    eq([], g.get("/api/v1/datasources").data_list())
    check("canary-9" not in g.log() and s["config"]["password"] not in g.log(), "no secret in the log")
    metrics = g.call("GET", "/metrics", api=False).body.decode()
    check('source="test-query"' not in metrics or 'nexus_pool_open{source="test-query"} 0' in metrics, "no pool stays")

    def audit():
        text = ""
        for d, _, names in os.walk(os.path.join(g.config["dataDir"], "audit")):
            for name in names:
                with open(os.path.join(d, name), encoding="utf-8") as f:
                    text += f.read()
        return text
    until("audited", lambda: "test-query" in audit())
    check("canary-9" not in audit(), "no secret there either")
    g.close()


def export(g):
    r = g.call("GET", "/api/v1/datasources/export", api=False)
    eq((200, "application/yaml"), (r.status, r.header("Content-Type").split(";")[0]))
    return r.body.decode()


def load(g, body, dry=False, kind="application/yaml"):
    return g.post("/api/v1/datasources/import" + ("?dryRun=true" if dry else ""), body,
                  headers={"Content-Type": kind})


def results(r):
    eq(200, r.status, r)
    return {s["name"]: s["result"] for s in r.data["dataSources"]}


@case
def export_and_import_as_yaml():
    pg = servers.postgres()
    g = Gateway(config={"health": {"interval": 0.3}})
    g.post("/api/v1/datasources", pg.source("pg", connectTimeout=7))
    g.post("/api/v1/datasources", {**sqlite_source("\u4e2d\u6587: 'x'"), "description": "two\nlines"})
    text = export(g)
    check(pg.source("pg")["config"]["password"] not in text and "********" not in text, "no secret", text)
    eq({"pg": "unchanged", "\u4e2d\u6587: 'x'": "unchanged"}, results(load(g, text)))
    eq([1, 1], [s["version"] for s in g.get("/api/v1/datasources").data_list()])
    more = text.replace("connectTimeout\": 7", "connectTimeout\": 8")
    more += "  - name: extra\n    type: sqlite\n    config: {path: " + json.dumps(
        sqlite_source()["config"]["path"]) + "}\n"
    want = {"pg": "changed", "\u4e2d\u6587: 'x'": "unchanged", "extra": "created"}
    eq(want, results(load(g, more, dry=True)))
    eq(404, g.query("extra", "SELECT 1").status)
    eq(want, results(load(g, more)))
    eq(200, g.query("pg", "SELECT 1").status)  # with the password it had
    eq(200, g.query("extra", "SELECT 1").status)
    until("the new one is looked at", lambda: "active" == next(
        s["status"] for s in g.get("/api/v1/datasources").data_list() if s["name"] == "extra"), 5)
    # one mistake, and nothing changes
    for bad, word, status in (
            (more.replace("8", "9") + "  - name: wrong\n    type: nonsense\n", "Source wrong", 400),
            (more + "  - name: pg\n    type: sqlite\n    config: {path: /x}\n", "twice", 409),
            ("sources: {a: 1}\n", "list", 400), ("- [1]\n", "", 400), ("{\n", "", 400), ("", "list", 400),
            ("&a [*a]\n", "", 400)):
        r = load(g, bad)
        eq(status, r.status, bad, r)
        check(word in r.json["error"]["message"], "named", r)
    eq(8, next(s["config"]["connectTimeout"] for s in g.get("/api/v1/datasources").data_list()
               if s["name"] == "pg"))
    eq({"extra": "unchanged"}, results(load(g, json.dumps([{**sqlite_source("extra")}]),
                                            kind="application/json")))
    eq((415, "MEDIA_TYPE"), (lambda r: (r.status, r.code))(load(g, "x", kind="text/plain")))
    eq(400, g.post("/api/v1/datasources/import?dryRun=perhaps", []).status)
    g.close()


@case
def a_large_config_can_be_rolled_back():
    g = Gateway()

    def large(i):
        text = f"{i % 10}" * 60000
        return {"name": "large", "type": "postgresql", "skipTest": True, "config": {
            "host": "h", "username": text, "database": text, "password": text, "allowFunctions": text,
            "denyFunctions": text, "additionalProps": {"sslRootCert": text, "applicationName": text}}}
    sid = g.post("/api/v1/datasources", large(0)).data["id"]
    for i in range(1, 52):
        put(g, sid, large(i))
    r = g.get(f"/api/v1/datasources/{sid}/versions")
    check(r.status == 200 or r.code == "RESULT_TOO_LARGE", "shown, or too large to be", r.status, r.code)
    r = g.post(f"/api/v1/datasources/{sid}/rollback", {"version": 10})
    eq((200, "9" * 60000), (r.status, r.data["config"]["database"]) if r.status == 200 else (r.status, r.code))
    g.close()


@case
def numbers_of_yaml_stay_numbers_of_json():
    """What is no number in JSON would break every answer that shows it, and the source at the next start."""
    g = Gateway(sources=None)
    form = "- name: n\n  type: postgresql\n  config:\n    host: h\n    username: u\n    password: p\n    database: d\n    {}: {}\n"
    for key, text in (("port", "05432"), ("port", "5432."), ("maxPoolSize", "05"), ("connectTimeout", "05"),
                      ("connectTimeout", "5."), ("connectTimeout", "-inf"), ("connectTimeout", ".5"), ("timeout", "0x10")):
        r = g.post("/api/v1/datasources/import", form.format(key, text), headers={"Content-Type": "application/yaml"})
        eq((400, "CONFIG_INVALID"), (r.status, r.code), f"{key}: {text}", r)
    for key, text, shown in (("port", "5432", 5432), ("connectTimeout", "1e1", 10), ("connectTimeout", "0.5", 0.5)):
        r = g.post("/api/v1/datasources/import", form.format(key, text), headers={"Content-Type": "application/yaml"})
        eq(200, r.status, r)
        eq(shown, g.get("/api/v1/datasources/n").data["config"][key])
    g.close()


@case
def yaml_that_means_harm():
    g = Gateway({"http": {"maxBody": 8 << 20}})
    good = "- name: x\n  type: sqlite\n  config: {path: /nowhere}\n"
    many = "".join(f"    k{i:06}: 1\n" for i in range(90000))
    for what, text in {
            "a mapping of many": "- name: x\n  type: sqlite\n  config:\n" + many,
            "an alias": "- &a {name: x, type: sqlite, config: {path: /nowhere}}\n- *a\n",
            "an anchor": "- &a {name: x, type: sqlite, config: {path: /nowhere}}\n",
            "an anchor of a list": "&a\n" + good, "an anchor of a text": good.replace("x", "&a x"),
            "a tag": good.replace("x", "!!str x"), "a tag of a mapping": "- !!python/object {name: x, type: sqlite}",
            "a merge key": "- {<<: {name: x}, type: sqlite, config: {path: /nowhere}}", "a name twice": good + "  name: y\n",
            "two documents": good + "---\n" + good, "deep lists": "[" * 100000, "deep mappings": "{a: " * 100000,
            "deep sequences": "- " * 100000, "a name that is a list": "- {[a]: b}", "no name": "- {? : b}",
            "not UTF-8": "- name: \udcff\udcfe", "a control character": "- name: \x01", "nothing": "", "null": "~"}.items():
        began = time.monotonic()
        r = g.post("/api/v1/datasources/import", text.encode("utf-8", "surrogateescape"),
                   headers={"Content-Type": "application/yaml"})
        check(r.status == 400 and r.code in ("BAD_VALUE", "CONFIG_INVALID", "UNKNOWN_KEY"), f"{what} is refused", r)
        check(time.monotonic() - began < 1 * SLOW, f"{what} costs nothing", time.monotonic() - began)
    eq([], g.get("/api/v1/datasources").data_list())
    eq(200, g.post("/api/v1/datasources/import", good, headers={"Content-Type": "application/yaml"}).status)
    g.close()


@case
def export_and_import_by_the_program():
    g = Gateway()
    g.post("/api/v1/datasources", sqlite_source("one"))
    url = f"http://127.0.0.1:{g.port}"
    r = subprocess.run([find_binary(), "source", "export", "--url", url], capture_output=True, text=True, check=False)
    eq(0, r.returncode, r.stderr)
    text = r.stdout.replace('"one"', '"two"')
    for flags, word in ((["--dry-run"], "two: would be created"), ([], "two: created"), ([], "two: unchanged")):
        r = subprocess.run([find_binary(), "source", "import", "-", "--url", url, *flags], input=text,
                           capture_output=True, text=True, check=False)
        eq((0, word), (r.returncode, r.stdout.strip()), r.stderr)
    eq(200, g.query("two", "SELECT 1").status)
    g.close()


class Clients:
    def __init__(self, g, n, source="moving"):
        self.g, self.done, self.outcomes, self.lock = g, threading.Event(), {}, threading.Lock()
        self.body = json.dumps({"dataSource": source, "sql": "SELECT 1 AS one"})
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(n)]
        for t in self.threads:
            t.start()

    def work(self):
        conn = None
        while not self.done.is_set():
            try:
                conn = conn or http.client.HTTPConnection("127.0.0.1", self.g.port, timeout=20 * SLOW)
                conn.request("POST", "/api/v1/query", self.body, {"Content-Type": "application/json"})
                answer = conn.getresponse()
                doc = json.loads(answer.read())
                code = "OK" if answer.status == 200 else doc["error"]["code"]
            except (OSError, ValueError, KeyError, http.client.HTTPException) as e:
                code, conn = f"broken: {e!r}", None
            with self.lock:
                self.outcomes[code] = self.outcomes.get(code, 0) + 1

    def stop(self):
        self.done.set()
        for t in self.threads:
            t.join(30)
        return self.outcomes


@case
def changes_under_load_fail_no_request():
    pg = servers.postgres()
    g = Gateway()
    sid = g.post("/api/v1/datasources", pg.source("moving")).data["id"]
    clients = Clients(g, 24)
    try:
        done = 0
        while done < 50 or clients.outcomes.get("OK", 0) <= 200:
            put(g, sid, pg.source("moving", maxPoolSize=2 + done % 7))
            done += 1
            eq(set(), set(clients.outcomes) - {"OK"}, clients.outcomes)
    finally:
        outcomes = clients.stop()
    eq(["OK"], list(outcomes), outcomes)
    until("old pools close", lambda: g.get(f"/api/v1/datasources/{sid}/status").data["pool"]["open"] <= 8, 10)
    g.close()


@case
def off_and_on_and_away_under_load():
    pg = servers.postgres()
    g = Gateway()
    sid = g.post("/api/v1/datasources", pg.source("moving")).data["id"]
    clients = Clients(g, 16)
    try:
        for _ in range(10):
            eq(200, g.post(f"/api/v1/datasources/{sid}/deactivate").status)
            time.sleep(0.02)
            eq(200, g.post(f"/api/v1/datasources/{sid}/activate").status)
            time.sleep(0.02)
        eq(204, g.delete(f"/api/v1/datasources/{sid}").status)
        time.sleep(0.1)
    finally:
        outcomes = clients.stop()
    eq(set(), set(outcomes) - {"OK", "SOURCE_INACTIVE", "SOURCE_NOT_FOUND"}, outcomes)
    check({"OK", "SOURCE_INACTIVE", "SOURCE_NOT_FOUND"} <= set(outcomes), "each was seen", outcomes)
    until("nothing runs", lambda: not g.running(), 5)
    g.close()


if __name__ == "__main__":
    main()
