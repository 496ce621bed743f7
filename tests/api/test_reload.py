"""Changes of the configuration while clients work, and a restart that no client notices."""
import http.client
import json
import os
import signal
import subprocess
import threading
import time

from nxtest import SLOW, Gateway, case, check, eq, find_binary, main, skip, until
from sample import sqlite_source


def reload(g, how=signal.SIGHUP):
    """Writes the configuration anew; what /stats says about it afterwards."""
    before = g.get("/api/v1/stats").data["config"]
    done = before["reloads"] + before["failures"]
    g.write_config()
    if how:
        g.process.send_signal(how)

    def seen():
        now = g.get("/api/v1/stats").data["config"]
        return now if now["reloads"] + now["failures"] > done else None
    return until("the reload is counted", seen, 8)


class Load:
    """Clients with open connections that query until they are told to stop."""

    def __init__(self, g, clients=8, source="lite"):
        self.g, self.body = g, json.dumps({"dataSource": source, "sql": "SELECT 1 AS one"})
        self.ended, self.failures, self.answers = False, [], 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(clients)]
        for t in self.threads:
            t.start()

    def work(self):
        conn, n = None, 0
        while not self.ended:
            try:
                conn = conn or http.client.HTTPConnection("127.0.0.1", self.g.port, timeout=30 * SLOW)
                conn.request("POST", "/api/v1/query", self.body, {"Content-Type": "application/json"})
                answer = conn.getresponse()
                data = answer.read()
                n += 1
                if answer.status != 200:
                    self.failures.append(f"{answer.status} {data[:300]}")
                if answer.will_close:
                    conn.close()
                    conn = None
            except (OSError, http.client.HTTPException) as e:
                self.failures.append(repr(e))
                conn = None
        with self.lock:
            self.answers += n

    def stop(self):
        self.ended = True
        for t in self.threads:
            t.join()
        return self.failures


@case
def live_keys_change_on_sighup():
    g = Gateway(sources=[sqlite_source()])
    sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT i FROM n"
    eq(50, len(g.query("lite", sql).data["rows"]))
    g.config["query"] = {"defaultLimit": 7, "maxBytes": 200}
    g.config["log"] = {"queries": True}
    now = reload(g)
    eq(None, now["lastError"])
    eq([], now["restartNeeded"])
    eq(7, len(g.query("lite", sql).data["rows"]))
    eq("SQL_TOO_LONG", g.query("lite", "SELECT '" + "x" * 300 + "'").code)
    until("queries are logged", lambda: g.events("query"), 5)
    g.close()


@case
def keys_that_need_a_restart_are_named():
    g = Gateway(sources=[sqlite_source()])
    g.config["exec"] = {"workers": 3}
    g.config["query"] = {"defaultLimit": 9}
    eq(["exec.workers"], reload(g)["restartNeeded"])
    check(any("exec.workers" in e["message"] for e in g.events("reload")), "the log says so")
    g.close()


@case
def a_mistake_changes_nothing_and_is_told():
    g = Gateway(sources=[sqlite_source()])
    for wrong, word in (({"query": {"defaultLimit": -1}}, "query.defaultLimit"),
                        ({"query": {"defaultLimit": 3, "nonsense": 1}}, "query.nonsense"),
                        ({"network": {"deny": "10.0.0.0/99"}, "query": {"defaultLimit": 3}}, "10.0.0.0/99"),
                        ({"query": {"defaultLimit": 3},
                          "sources": [sqlite_source(), {"name": "bad", "type": "sqlite",
                                                        "config": {"color": "red"}}]}, "Source bad")):
        good = dict(g.config)
        g.config = {**good, **wrong}
        now = reload(g)
        check(word in (now["lastError"] or ""), f"{word} is named", now)
        eq(0, now["reloads"])
        g.config = good
        sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT i FROM n"
        eq(50, len(g.query("lite", sql).data["rows"]))
        eq(404, g.query("bad", "SELECT 1").status)
    with open(os.path.join(g.home, "nexus.yaml"), "w", encoding="utf-8") as f:
        f.write("http: [1,\n")
    g.process.send_signal(signal.SIGHUP)
    until("it happens", lambda: "nexus.yaml" in (g.get("/api/v1/stats").data["config"]["lastError"] or ""), 8)
    eq(200, g.query("lite", "SELECT 1").status)
    eq(None, reload(g)["lastError"])
    g.close()


@case
def what_is_no_file_is_refused_and_not_waited_for():
    """A pipe where a file should be: a gateway that waited for it would not hear SIGTERM either."""
    g = Gateway(sources=[sqlite_source()])
    pipe, big = os.path.join(g.home, "pipe"), os.path.join(g.home, "big")
    os.mkfifo(pipe)
    with open(big, "wb") as f:
        f.truncate(5 << 20)
    good = dict(g.config)
    for wrong in ({"log": {"level": "${file:" + pipe + "}"}}, {"log": {"level": "${file:/dev/zero}"}},
                  {"log": {"level": "${file:" + g.home + "}"}}, {"log": {"level": "${file:" + big + "}"}},
                  {"log": {"file": pipe}}, {"log": {"file": g.home}},
                  {"sourcesFile": pipe}, {"sourcesFile": g.home}, {"sourcesFile": big}, {"sourcesFile": "/dev/zero"}):
        g.config = {**good, **wrong}
        if "sourcesFile" in wrong:
            del g.config["sources"]
        now = reload(g)
        check(now["lastError"], f"{wrong} is refused", now)
        eq(200, g.query("lite", "SELECT 1").status)
    g.config = good
    eq(None, reload(g)["lastError"])
    g.close()


@case
def an_empty_file_takes_no_source_away():
    """What is left when the disk is full; a list that is meant to be empty is written as []."""
    g = Gateway(start=False)
    path = os.path.join(g.home, "sources.yaml")
    g.config["sourcesFile"] = path

    def write(text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    write(json.dumps([sqlite_source()]))
    g.start()
    write("")
    now = reload(g)
    check("sources.yaml" in (now["lastError"] or ""), "the file is named", now)
    eq(200, g.query("lite", "SELECT 1").status)
    write("[]\n")
    eq(None, reload(g)["lastError"])
    eq(404, g.query("lite", "SELECT 1").status)
    g.stop()
    with open(os.path.join(g.home, "nexus.yaml"), "wb"):
        pass
    p = subprocess.run([find_binary(), "check", "-c", os.path.join(g.home, "nexus.yaml")], capture_output=True, check=False)
    check(p.returncode != 0 and b"empty" in p.stderr, "nor is an empty nexus.yaml taken", p.stderr)
    g.close()


@case
def sources_come_change_and_go():
    g = Gateway(sources=[sqlite_source(), dict(sqlite_source(), name="other")])
    first = {s["name"]: s for s in g.get("/api/v1/datasources").data_list()}
    eq(200, g.query("other", "SELECT 1").status)
    changed = sqlite_source()
    changed["config"] = dict(changed["config"], maxRows=1)
    g.config["sources"] = [changed, dict(sqlite_source(), name="new")]
    eq(1, reload(g)["reloads"])
    now = {s["name"]: s for s in g.get("/api/v1/datasources").data_list()}
    eq(["lite", "new"], sorted(now))
    eq(first["lite"]["id"], now["lite"]["id"])
    eq(2, now["lite"]["version"])
    eq(404, g.query("other", "SELECT 1").status)
    eq(1, len(g.query("lite", "SELECT 1 UNION ALL SELECT 2").data["rows"]))
    eq(200, g.query("new", "SELECT 1").status)
    g.close()


@case
def a_changed_file_is_noticed():
    g = Gateway(start=False)
    path = os.path.join(g.home, "sources.yaml")

    def write(*names):
        with open(path + ".new", "w", encoding="utf-8") as f:
            json.dump({"sources": [dict(sqlite_source(), name=n) for n in names]}, f)
        os.rename(path + ".new", path)
    write("one")
    g.config["sourcesFile"] = path
    g.start()
    eq(200, g.query("one", "SELECT 1").status)
    write("one", "two")
    until("it happens", lambda: g.query("two", "SELECT 1").status == 200, 10)
    # a broken file is told once, and a good one afterwards is taken
    with open(path, "w", encoding="utf-8") as f:
        f.write("- name: three\n  type: nonsense\n")
    until("it happens", lambda: g.get("/api/v1/stats").data["config"]["lastError"], 10)
    time.sleep(2.5)
    eq(1, g.get("/api/v1/stats").data["config"]["failures"])
    eq(200, g.query("two", "SELECT 1").status)
    write("three")
    until("it happens", lambda: g.query("three", "SELECT 1").status == 200, 10)
    g.config["reload"] = {"watch": False}
    reload(g, None)
    write("four")
    time.sleep(3)
    eq(404, g.query("four", "SELECT 1").status)
    g.close()


@case
def reloads_under_load_fail_no_request():
    g = Gateway(sources=[sqlite_source()])
    load = Load(g)
    for i in range(20):
        source = sqlite_source()
        source["config"] = dict(source["config"], maxPoolSize=4 + i % 5)
        g.config["sources"] = [source]
        g.config["limits"] = {"perPrincipal": 1000000 - i}
        g.config["http"]["trustedProxies"] = f"10.0.{i}.0/24"
        eq(i + 1, reload(g)["reloads"])
    eq([], load.stop()[:3])
    check(load.answers > 100, f"{load.answers} answers")
    g.close()


@case
def a_restart_in_place_fails_no_request():
    g = Gateway(sources=[sqlite_source()])
    load = Load(g)
    time.sleep(0.3)
    starts = len(g.events("listen"))
    for i in range(2):
        g.config["query"] = {"defaultLimit": 5 + i}
        g.write_config()
        g.process.send_signal(signal.SIGUSR2)
        until("it happens", lambda: len(g.events("listen")) == starts + 1 + i, 15)
    time.sleep(0.3)
    eq([], load.stop()[:3])
    check(load.answers > 100, f"{load.answers} answers")
    sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT i FROM n"
    eq(6, len(g.query("lite", sql).data["rows"]))
    eq(None, g.process.poll())
    fds = len(os.listdir(f"/proc/{g.process.pid}/fd"))
    g.process.send_signal(signal.SIGUSR2)
    until("it happens", lambda: len(g.events("listen")) == starts + 3, 15)
    eq(200, g.get("/health").status)
    check(len(os.listdir(f"/proc/{g.process.pid}/fd")) <= fds + 2, "no descriptor is left over")
    g.close()


@case
def a_restart_that_would_fail_is_refused():
    g = Gateway(sources=[sqlite_source()])
    good = dict(g.config)
    g.config = {**good, "query": {"defaultLimit": "many"}}
    g.write_config()
    g.process.send_signal(signal.SIGUSR2)
    until("it happens", lambda: [e for e in g.events("restart") if "refused" in e["message"]], 10)
    eq(200, g.query("lite", "SELECT 1").status)
    g.config = good
    g.close()


@case
def a_file_that_breaks_between_judgement_and_restart():
    g = Gateway({"shutdownGrace": 3}, sources=[sqlite_source(), {"name": "fake", "type": "fake", "config": {}}])
    pid, path = g.process.pid, os.path.join(g.home, "nexus.yaml")
    held = g.start_query("fake", "SELECT * FROM fake WHERE hang")
    until("it runs", lambda: g.running())
    g.process.send_signal(signal.SIGUSR2)
    until("it was judged", lambda: g.events("shutdown"), 10)
    with open(path, "w", encoding="utf-8") as f:
        f.write("http: [1,\n")
    until("the new process finds it broken", lambda: "nexus.yaml: line" in g.log(), 10)
    g.write_config()
    eq(200, g.get("/health", timeout=15).status)
    eq((pid, 200), (g.process.pid, g.query("lite", "SELECT 1").status))
    held.close()
    g.close()


@case
def a_renewed_certificate_is_served():
    g = Gateway(start=False, sources=[sqlite_source()])
    cert, key = os.path.join(g.home, "cert.pem"), os.path.join(g.home, "key.pem")

    def make(name):
        r = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                            "-keyout", key, "-out", cert], capture_output=True, check=False)
        if r.returncode:
            skip("openssl cannot make a certificate")

    def served():
        r = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{g.port}"], input=b"",
                           capture_output=True, check=False, timeout=20)
        text = subprocess.run(["openssl", "x509", "-noout", "-subject"], input=r.stdout,
                              capture_output=True, check=False).stdout.decode()
        return text.strip()
    make("first")
    g.config["http"]["tls"] = {"cert": cert, "key": key}
    g.start()
    check("first" in served(), "the first certificate", served())
    make("second")
    until("it happens", lambda: "second" in served(), 10)
    os.unlink(key)
    time.sleep(2.5)
    check("second" in served(), "a missing key changes nothing")
    make("third")
    until("it happens", lambda: "third" in served(), 10)
    g.close()


if __name__ == "__main__":
    main()
