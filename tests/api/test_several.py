"""Several gateways on one metadata store, a MariaDB of this test's own."""
import os
import shutil
import subprocess
import tempfile
import threading
import time

import servers
from nxtest import SLOW, Gateway, case, check, eq, find_binary, main, until
from sample import sqlite_source
from tokens import SECRET, bearer

ROOT = bearer("root", "admin")
VAULT = "00112233445566778899aabbccddeeff" * 2
SEEN = 3 * SLOW  # seconds in which the others must know; store.poll is 1
shared = {}


def maria():
    if "maria" not in shared:
        if not shutil.which("mariadbd"):
            servers.skip("mariadbd is not installed")
        shared["maria"] = servers.OwnMariadb()
    return shared["maria"]


def config(database="nx", **more):
    m = maria().server
    return {"auth": {"mode": "token", "jwtSecret": SECRET}, "vault": {"key": VAULT},
            "store": {"url": f"mysql://{m.user}@127.0.0.1:{m.port}/{database}", "password": m.password,
                      "tls": "off", "timeout": 2}, **more}


def pair():
    if "pair" not in shared:
        a, b = (Gateway(config(), sources=[sqlite_source("lite")]) for _ in range(2))
        for g in (a, b):
            g.token = ROOT["Authorization"].split()[1]
        shared["pair"] = a, b
    return shared["pair"]


def create(g, name, **more):
    r = g.post("/api/v1/datasources", {**sqlite_source(name), "status": "active", **more})
    eq(201, r.status, r)
    return r.data


def knows(g, name):
    return g.query(name, "SELECT 1").status == 200


def listed(g, name):
    return [s for s in g.get("/api/v1/datasources?limit=500").data_list() if s["name"] == name]


@case
def a_source_made_on_one_is_queried_on_the_other():
    a, b = pair()
    start = time.monotonic()
    made = create(a, "orders")
    until("the other knows it", lambda: knows(b, "orders"), seconds=SEEN / SLOW, every=0.05)
    print(f"# queried on the other after {time.monotonic() - start:.2f} s")
    # changed there, seen here; a secret, too
    r = b.call("PUT", "/api/v1/datasources/" + made["id"],
               {**sqlite_source("orders2"), "version": listed(b, "orders")[0]["version"], "status": "active"})
    eq(200, r.status, r)
    until("renamed", lambda: knows(a, "orders2"), seconds=SEEN / SLOW)
    eq("SOURCE_NOT_FOUND", a.query("orders", "SELECT 1").code)
    r = a.post("/api/v1/datasources?skipTest=true", {"name": "pg", "type": "postgresql", "config": {
        "host": "127.0.0.1", "username": "u", "password": "p4ss"}})
    eq(201, r.status, r)
    until("the secret opens there", lambda: listed(b, "pg"), seconds=SEEN / SLOW)
    check("problem" not in listed(b, "pg")[0], "it does", listed(b, "pg"))
    # and deleted
    eq(204, b.delete("/api/v1/datasources/" + made["id"]).status)
    until("gone", lambda: a.query("orders2", "SELECT 1").code == "SOURCE_NOT_FOUND", seconds=SEEN / SLOW)
    eq(200, a.query("lite", "SELECT 1").status)  # of the file: each has its own


@case
def each_looks_at_an_account_with_conditions_itself():
    a, b = pair()
    pg = servers.postgres()
    pg.sql("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sheep') THEN "
           "CREATE ROLE sheep LOGIN PASSWORD 'lamb-secret'; END IF; END $$")
    fit = pg.source("strict", readOnlyAccount="required", username="sheep", password="lamb-secret")
    r = a.post("/api/v1/datasources", fit)
    eq((201, "active"), (r.status, r.data["status"]), r)
    until("the other has looked, too", lambda: knows(b, "strict"), seconds=SEEN / SLOW)
    # out and in again on one: out and in again on the other
    path = "/api/v1/datasources/" + r.data["id"]
    eq(200, a.post(path + "/deactivate").status)
    until("out", lambda: not knows(b, "strict"), seconds=SEEN / SLOW)
    eq(200, a.post(path + "/activate").status)
    until("in", lambda: knows(b, "strict"), seconds=SEEN / SLOW)
    # another account on one, which the store then calls a draft or in error
    eq(200, b.call("PUT", path, {**pg.source("strict", readOnlyAccount="required"), "status": "active"}).status)
    check(not knows(b, "strict"), "not fit")
    until("nor there", lambda: not knows(a, "strict"), seconds=SEEN / SLOW)
    eq(204, a.delete(path).status)


@case
def names_are_one_space():
    a, b = pair()
    create(a, "one")
    r = b.post("/api/v1/datasources", sqlite_source("one"))
    eq((409, "SOURCE_EXISTS"), (r.status, r.code), r)


@case
def of_two_edits_at_once_one_is_told():
    a, b = pair()
    made = create(a, "both")
    until("the other knows it", lambda: listed(b, "both"), seconds=SEEN / SLOW)
    version = listed(a, "both")[0]["version"]
    for _ in range(5):
        until("both are up to date", lambda: listed(a, "both")[0]["version"] == version ==
              listed(b, "both")[0]["version"], seconds=SEEN / SLOW)
        answers = []
        gate = threading.Barrier(2)

        def put(g):
            gate.wait()
            answers.append(g.call("PUT", "/api/v1/datasources/" + made["id"],
                                  {**sqlite_source("both"), "version": version, "status": "active"}))
        threads = [threading.Thread(target=put, args=(g,)) for g in (a, b)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        eq([200, 409], sorted(r.status for r in answers), answers)
        eq(["SOURCE_CHANGED"], [r.code for r in answers if r.status == 409])
        version += 1


@case
def a_key_revoked_on_one_stops_on_the_other():
    a, b = pair()
    r = a.post("/api/v1/keys", {"name": "robot", "role": "analyst"})
    eq(201, r.status, r)
    who = {"X-API-Key": r.data["key"]}

    def status(g):
        return g.post("/api/v1/query", {"dataSource": "lite", "sql": "SELECT 1"}, headers=who).status
    eq(200, status(a))
    until("good on the other", lambda: status(b) == 200, seconds=SEEN / SLOW)
    prefix = r.data["key"][4:12]
    key = [k for k in b.get("/api/v1/keys").data["keys"] if k["prefix"] == prefix][0]
    start = time.monotonic()
    eq(204, a.delete("/api/v1/keys/" + key["id"]).status)
    eq(401, status(a))
    until("stopped on the other", lambda: status(b) == 401, seconds=SEEN / SLOW, every=0.05)
    print(f"# stopped on the other after {time.monotonic() - start:.2f} s")


@case
def grants_travel():
    a, b = pair()
    made = create(a, "narrow")
    ann, bob = bearer("ann", "analyst"), bearer("bob", "analyst")

    def status(g, who):
        return g.post("/api/v1/query", {"dataSource": "narrow", "sql": "SELECT 1"}, headers=who).status
    until("there", lambda: status(b, bob) == 200, seconds=SEEN / SLOW)
    r = a.call("PUT", f"/api/v1/datasources/{made['id']}/grants", {"grants": [{"principal": "ann"}]})
    eq(200, r.status, r)
    until("bob is out", lambda: status(b, bob) != 200, seconds=SEEN / SLOW)
    eq(200, status(b, ann))
    eq(204, a.delete(f"/api/v1/datasources/{made['id']}/grants").status)
    until("bob is in", lambda: status(b, bob) == 200, seconds=SEEN / SLOW)


@case
def history_of_both():
    a, b = pair()
    for i in range(3):
        eq(200, a.query("lite", f"SELECT {i}", headers={"X-Correlation-ID": f"from-a-{i}"}).status)
        eq(200, b.query("lite", f"SELECT {i}", headers={"X-Correlation-ID": f"from-b-{i}"}).status)
    want = {f"from-{g}-{i}" for g in "ab" for i in range(3)}

    def have(g):
        return {q["correlationId"] for q in g.get("/api/v1/query/history?limit=200").data_list()}
    for g in (a, b):
        until("all six are told", lambda g=g: want <= have(g), seconds=SEEN / SLOW + 2)


@case
def the_store_goes_away_and_comes_back():
    a, b = pair()
    create(a, "stays")
    until("both know it", lambda: knows(b, "stays"), seconds=SEEN / SLOW)
    counts = {"ok": 0, "bad": []}
    slowest = [0.0]
    stop = threading.Event()

    def load(g):
        while not stop.is_set():
            t = time.monotonic()
            r = g.query("stays", "SELECT 1")
            slowest[0] = max(slowest[0], time.monotonic() - t)
            if r.status == 200:
                counts["ok"] += 1
            else:
                counts["bad"].append(r)
            time.sleep(0.01)
    threads = [threading.Thread(target=load, args=(g,)) for g in (a, b)]
    for t in threads:
        t.start()
    try:
        time.sleep(0.3)
        maria().kill()
        before = counts["ok"]
        for g in (a, b):
            for method, path, body in (
                    ("POST", "/api/v1/datasources", sqlite_source("new")),
                    ("POST", "/api/v1/keys", {"name": "x", "role": "agent"}),
                    ("GET", "/api/v1/query/history", None)):
                t = time.monotonic()
                r = g.call(method, path, body)
                eq((503, "STORE_FAILED"), (r.status, r.code), r)
                check(time.monotonic() - t < 5 * SLOW, "soon")
            eq(200, g.call("GET", "/livez", api=False).status)
            eq(200, g.call("GET", "/readyz", api=False).status)
        eq(200, a.query("stays", "SELECT 2", headers={"X-Correlation-ID": "meanwhile"}).status)
        time.sleep(1.5)
        check(counts["ok"] > before + 50, "queries went on", counts["ok"] - before)
        maria().start()
        start = time.monotonic()
        until("writes again", lambda: a.post("/api/v1/datasources", {**sqlite_source("after"), "status": "active"})
              .status == 201, seconds=12, every=0.1)
        print(f"# written again {time.monotonic() - start:.2f} s after the server was back")
        until("and seen by the other", lambda: knows(b, "after"), seconds=10)
    finally:
        stop.set()
        for t in threads:
            t.join()
    check(not counts["bad"], "no query failed", counts["bad"][:3])
    # what was asked meanwhile is in the history, too
    until("the history has it", lambda: "meanwhile" in {
        q["correlationId"] for q in b.get("/api/v1/query/history?limit=1000").data_list()}, seconds=5)
    check("nexus_history_lost_total 0\n" in a.get("/metrics").text, "nothing was lost")
    print(f"# {counts['ok']} queries, none failed, the slowest took {slowest[0] * 1000:.0f} ms")


@case
def who_starts_together_agrees():
    # with no more rights than docs/operations.md asks for
    maria().server.sql("CREATE DATABASE fresh CHARACTER SET latin1; CREATE USER small@'%' IDENTIFIED BY 'sm4ll';"
                       "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX ON fresh.* TO small@'%'")
    cfg = config("fresh")
    cfg["store"].update(url=f"mysql://small@127.0.0.1:{maria().server.port}/fresh", password="sm4ll")
    del cfg["auth"]["jwtSecret"]  # made on first use, by one of them
    gs = [Gateway(cfg, start=False) for _ in range(3)]
    threads = [threading.Thread(target=g.start) for g in gs]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    made = [p for p in (os.path.join(g.config["dataDir"], "admin.key") for g in gs) if os.path.exists(p)]
    with open(made[0], encoding="ascii") as f:
        admin = {"X-API-Key": f.read().strip()}
    r = gs[0].post("/api/v1/keys", {"name": "ann", "role": "admin", "kind": "jwt", "ttl": 600}, headers=admin)
    eq(201, r.status, r)
    token = {"Authorization": "Bearer " + r.data["token"]}
    for g in gs:
        eq(200, g.get("/api/v1/datasources", headers=token).status)
        eq(0, g.stop())
    eq(1, len(maria().server.sql("SELECT version FROM fresh.schema_migrations WHERE version = 1")))


def refused(cfg, want):
    g = Gateway(cfg, start=False)
    g.spawn()
    try:
        status = g.process.wait(20 * SLOW)
    except subprocess.TimeoutExpired:
        status = None
    check(status not in (0, None), f"ends with a status, not {status}")
    g.expect_status = status
    for text in want:
        check(text in g.log(), f"says {text}", g.log())
    check(maria().server.password not in g.log(), "and not the password", g.log())


@case
def what_cannot_start_says_why():
    pair()
    cfg = config()
    cfg["vault"] = {"key": "ff" * 32}
    refused(cfg, ["CREDENTIAL_INVALID", "the same vault.key"])
    cfg = config("no_such")
    refused(cfg, ["STORE_FAILED", "does not exist"])
    cfg = config()
    cfg["store"]["password"] = "wrong"
    refused(cfg, ["STORE_FAILED", "refuses user and password"])
    cfg = config()
    cfg["store"]["url"] = cfg["store"]["url"].replace("@", f":{maria().server.password}@")
    refused(cfg, ["CONFIG", "store.password"])
    cfg = config()
    cfg["store"]["tls"] = "require"
    refused(cfg, ["STORE_FAILED", "TLS"])
    cfg = config()
    cfg["store"]["url"] = "mysql://u@127.0.0.1:1/nx"
    refused(cfg, ["STORE_FAILED", "cannot be reached"])


@case
def check_knows_a_wrong_address():
    def judge(url):
        p = subprocess.run([find_binary(), "check", f"--store.url={url}"], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=30 * SLOW, check=False)
        return p.returncode, p.stdout.decode()
    eq(0, judge("mysql://nexus@db:3306/nexus")[0], judge("mysql://nexus@db:3306/nexus"))
    for wrong in ("mysql://nexus@db", "postgresql://u@h/d", "mysql://nexus:hush@db/nexus"):
        status, out = judge(wrong)
        check(status != 0 and "store.url must be" in out and "hush" not in out, wrong, out)


@case
def another_vault_key_for_all():
    maria().server.sql("CREATE DATABASE turn")
    g = Gateway(config("turn"))
    g.token = ROOT["Authorization"].split()[1]
    r = g.post("/api/v1/datasources?skipTest=true", {"name": "pg", "type": "postgresql", "config": {
        "host": "127.0.0.1", "username": "u", "password": "p4ss"}})
    eq(201, r.status, r)
    eq(0, g.stop())
    folder = tempfile.mkdtemp(prefix="nxkey.")
    old, new = (os.path.join(folder, n) for n in ("old", "new"))
    with open(os.open(old, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as f:
        f.write(VAULT)
    p = subprocess.run([find_binary(), "vault", "rotate", "-c", os.path.join(g.home, "nexus.yaml"),
                        "--old-key-file", old, "--new-key-file", new], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, env=g.env, timeout=30 * SLOW, check=False)
    check(p.returncode == 0 and b"1 secrets" in p.stdout, "rotated", p.stdout.decode())
    refused(g.config | {"dataDir": g.config["dataDir"] + "2"}, ["CREDENTIAL_INVALID"])
    g.config["vault"] = {"keyFile": new}
    g.start()
    check("problem" not in listed(g, "pg")[0], "opens with the new key", listed(g, "pg"))
    eq(0, g.stop())
    shutil.rmtree(folder)


main()
