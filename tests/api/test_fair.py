"""Principals share a source: turns in its queue, and how many queries one may have under way."""
import json
import threading
import time

from nxtest import Gateway, case, check, eq, main, read_response, until
from sample import sqlite_source
from tokens import SECRET, bearer

ROOT = bearer("root", "admin")
HANG = "SELECT * FROM fake WHERE hang"


def start(limits=None, **config):
    return Gateway({"auth": {"mode": "token", "jwtSecret": SECRET}, "limits": limits or {}},
                   sources=[{"name": "narrow", "type": "fake", "config": {"maxPoolSize": 1, **config}},
                            {"name": "wide", "type": "fake", "config": {"maxPoolSize": 20}}, sqlite_source()])


def send(g, who, sql, source="narrow"):
    """Starts a query and leaves it: its socket."""
    body = json.dumps({"dataSource": source, "sql": sql}).encode()
    s = g.socket()
    s.sendall(g.request_bytes("POST", "/api/v1/query", body, [f"Authorization: {who['Authorization']}"]))
    return s


def waiting(g):
    return g.get("/api/v1/stats", headers=ROOT).data["waiting"]


def ask(g, who, source="wide", sql="SELECT * FROM fake", **fields):
    return g.call("POST", "/api/v1/query", {"dataSource": source, "sql": sql, **fields}, headers=who)


@case
def a_crowd_of_one_does_not_hold_up_another():
    g = start()
    crowd = [send(g, bearer("alice"), "SELECT * FROM fake WHERE first_ms = 50") for _ in range(60)]
    until("they wait", lambda: waiting(g) > 50)
    began = time.monotonic()
    eq(200, ask(g, bearer("bob"), "narrow").status)
    took, left = time.monotonic() - began, waiting(g)
    check(left > 20, f"bob was served among the first: {left} of 60 still waited after {took:.2f} s")
    for s in crowd:
        eq(200, read_response(s, 30)[0])
        s.close()
    g.close()


@case
def who_fills_the_queue_fills_it_for_himself():
    g = start(maxQueue=5)
    crowd = [send(g, bearer("alice"), HANG)]
    until("it runs", lambda: g.get("/api/v1/stats", headers=ROOT).data["running"] >= 1)
    crowd += [send(g, bearer("alice"), "SELECT * FROM fake") for _ in range(5)]
    until("they wait", lambda: waiting(g) == 5)
    r = ask(g, bearer("alice"), "narrow")
    eq((503, "QUEUE_FULL"), (r.status, r.code), r)
    check(r.header("Retry-After"), "Retry-After", r.headers)
    other = send(g, bearer("bob"), "SELECT * FROM fake")
    until("bob's waits too", lambda: waiting(g) == 6)
    eq(503, ask(g, bearer("bob"), "narrow").status)
    crowd[0].close()  # the client leaves: the query is cancelled
    eq(200, read_response(other)[0])
    for s in crowd[1:] + [other]:
        s.close()
    g.close()


@case
def queries_of_one_principal_at_once():
    g = start({"concurrent": 2})
    held = [send(g, bearer("alice"), HANG, "wide") for _ in range(2)]
    until("they run", lambda: g.get("/api/v1/stats", headers=ROOT).data["running"] >= 2)
    for source in ("wide", "narrow"):
        r = ask(g, bearer("alice"), source)
        eq((429, "TOO_MANY_QUERIES"), (r.status, r.code), r)
        check(r.header("Retry-After"), "Retry-After", r.headers)
    eq(200, g.get("/api/v1/queries", headers=bearer("alice")).status)  # not a query
    eq(200, ask(g, bearer("bob")).status)
    held[0].close()
    until("there is room again", lambda: ask(g, bearer("alice")).status == 200)
    held[1].close()
    g.close()


@case
def a_grant_says_how_many_at_once():
    g = start()
    r = g.call("PUT", "/api/v1/datasources/wide/grants", {"grants": [
        {"principal": "alice", "maxConcurrent": 1}, {"role": "analyst", "maxConcurrent": 2}]}, headers=ROOT)
    eq((200, 1), (r.status, r.data["grants"][0]["maxConcurrent"]), r)
    held = [send(g, bearer(who), HANG, "wide") for who in ("alice", "bob", "bob", "carol")]
    until("they run", lambda: g.get("/api/v1/stats", headers=ROOT).data["running"] >= 4)
    for who, status in (("alice", 429), ("bob", 429), ("carol", 200), ("dora", 200)):
        eq(status, ask(g, bearer(who)).status, who)
    eq(200, ask(g, bearer("alice"), "lite", "SELECT 1").status)  # another source
    for s in held:
        s.close()
    until("there is room again", lambda: ask(g, bearer("alice")).status == 200)
    for bad in (0, -1, "2", None, 1e7):
        r = g.call("PUT", "/api/v1/datasources/wide/grants",
                   {"grants": [{"role": "agent", "maxConcurrent": bad}]}, headers=ROOT)
        eq((400, "BAD_VALUE"), (r.status, r.code), bad, r)
    g.close()


@case
def one_after_the_other_is_never_too_many():
    """The count goes down before the client can see its answer, in every form of answer."""
    g = start({"concurrent": 1})
    who, problems = bearer("alice"), []
    forms = [("wide", "SELECT * FROM fake", {}), ("lite", "SELECT 1", {"format": "csv"}),
             ("lite", "SELECT id FROM many", {"limit": None, "format": "ndjson"}), ("lite", "SELECT nothing", {}),
             ("wide", "SELECT * FROM fake WHERE prepare_error = 'SOURCE_FAILED'", {}),
             ("wide", "SELECT * FROM fake WHERE rows = 5000 AND batch = 100 AND error_after = 3000", {})]

    def client(name):
        for n in range(120):
            source, sql, more = forms[n % len(forms)]
            r = g.call(
                "POST", "/api/v1/query", {"dataSource": source, "sql": sql, **more}, headers=bearer(name), api=False)
            if r.status == 429:
                problems.append((sql, more))
            if n % 10 == 0:
                r = g.post("/api/v1/fetch", {"dataSource": "lite", "sql": "SELECT id FROM many", "batchSize": 5},
                           headers=bearer(name))
                s = g.get("/api/v1/datasources/lite/schema", headers=bearer(name), api=False)
                if r.status == 429 or s.status == 429:
                    problems.append(("fetch", r.status, s.status))
                uri = r.data.get("nextUri") or r.json.get("nextUri")
                g.delete(uri[uri.index("/api/"):], headers=bearer(name))
    threads = [threading.Thread(target=client, args=(f"u{n}",)) for n in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    eq([], problems[:5], f"{len(problems)}")
    eq(200, ask(g, who).status)
    g.close()


main()
