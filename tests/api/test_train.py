"""Short statements share a round trip (src/gate/train.c): nobody may notice but by the speed."""
import http.client
import json
import random
import threading
import time

from nxtest import SLOW, Gateway, case, check, eq, main, until
import servers

CLIENTS, EACH = 24, 60


def gate():
    if not hasattr(gate, "gw"):
        gate.server = servers.postgres()
        # other tests use the same server: only connections of this name are killed here
        name = {"additionalProps": {"applicationName": "train"}}
        gate.gw = Gateway(sources=[gate.server.source("one", maxPoolSize=1, maxStreams=8, **name),
                                   gate.server.source("two", maxPoolSize=2, maxStreams=8, **name)])
    return gate.gw


def pipelined():
    text = gate().get("/metrics").text
    line = next(l for l in text.split("\n") if l.startswith("nexus_pipelined_statements_total "))
    return int(line.split()[1])


def storm(source, sql, one, disturb=None):
    """Many clients, each with its own parameters; `one` judges (i, status, document)."""
    wrong = []
    headers = {"Content-Type": "application/json"}
    if gate().token:
        headers["Authorization"] = "Bearer " + gate().token

    def client(k):
        try:
            c = http.client.HTTPConnection("127.0.0.1", gate().port, timeout=60)
            rnd = random.Random(k)
            for _ in range(EACH):
                i = rnd.randrange(1000)
                c.request("POST", "/api/v1/query", json.dumps(
                    {"dataSource": source, "sql": sql, "parameters": [i]}), headers)
                r = c.getresponse()
                said = one(i, r.status, json.loads(r.read()))
                if said is not None:
                    wrong.append(said)
        except Exception as e:
            wrong.append(repr(e))

    threads = [threading.Thread(target=client, args=(k,)) for k in range(CLIENTS)]
    for t in threads:
        t.start()
    if disturb:
        disturb(threads)
    for t in threads:
        t.join()
    eq([], wrong[:5])


def warm(source, sql):
    for i in range(40):
        eq(200, gate().query(source, sql, [i + 1]).status)


def square(i, status, doc):
    if status != 200 or doc["data"]["rows"] != [[i, str(i * i)]]:
        return (i, status, doc)


SQUARE = "SELECT i, CAST(i * i AS text) AS q FROM generate_series(CAST(? AS integer), 5000) AS i LIMIT 1"


@case
def every_answer_belongs_to_its_question():
    gate()
    warm("one", SQUARE)
    before = pipelined()
    storm("one", SQUARE, square)
    check(pipelined() > before, "some shared a round trip")


@case
def an_error_of_one_leaves_the_others_alone():
    sql = "SELECT 1000 / (CAST(? AS integer) % 100) AS n"
    warm("two", sql)

    def judge(i, status, doc):
        if i % 100 == 0:
            good = status == 400 and doc["error"]["code"] == "DATA_ERROR"
        else:
            good = status == 200 and doc["data"]["rows"] == [[1000 // (i % 100)]]
        return None if good else (i, status, doc)

    storm("two", sql, judge)


@case
def lost_connections_are_survived():
    warm("one", SQUARE)

    def disturb(threads):
        end = time.monotonic() + 20 * SLOW
        while any(t.is_alive() for t in threads) and time.monotonic() < end:
            gate.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                            "WHERE application_name = 'train'")
            time.sleep(0.05)

    def judge(i, status, doc):
        if status == 200:
            return square(i, status, doc)
        if status in (502, 503) and doc["error"]["code"] in ("SOURCE_LOST", "SOURCE_DOWN", "SOURCE_FAILED"):
            return None
        return (i, status, doc)

    storm("one", SQUARE, judge, disturb)
    eq(200, gate().query("one", "SELECT 1").status)


@case
def cancels_hit_only_whom_they_mean():
    sql = "SELECT i, CAST(i * i AS text) AS q FROM generate_series(CAST(? AS integer), 5001) AS i LIMIT 1"
    warm("one", sql)

    def disturb(threads):
        end = time.monotonic() + 20 * SLOW
        while any(t.is_alive() for t in threads) and time.monotonic() < end:
            for q in gate().running()[:3]:
                gate().delete("/api/v1/queries/" + q["id"])
            time.sleep(0.01)

    def judge(i, status, doc):
        if status == 499 and doc["error"]["code"] == "QUERY_CANCELED":
            return None
        return square(i, status, doc)

    storm("one", sql, judge, disturb)


@case
def a_client_that_leaves_takes_nobody_with_it():
    warm("one", SQUARE)

    def disturb(threads):
        while any(t.is_alive() for t in threads):
            s = gate().start_query("one", SQUARE, parameters=[7])
            s.close()

    storm("one", SQUARE, square, disturb)


@case
def one_that_hangs_keeps_nobody_beyond_the_deadline():
    """A statement that was quick always waits for a lock now, and others travel behind it."""
    gate()
    pg = gate.server
    for name in ("locked", "busy"):
        pg.sql(f"DROP TABLE IF EXISTS {name}; CREATE TABLE {name} AS SELECT 7 AS id; GRANT SELECT ON {name} TO api;")
    hanging = "SELECT id FROM locked WHERE id = ?"
    warm("one", SQUARE)
    for _ in range(40):
        eq(200, gate().query("one", hanging, [7]).status)
    answers, threads, before = {}, [], pipelined()

    def ask(name, sql, timeout):
        began = time.monotonic()
        r = gate().post("/api/v1/query", {"dataSource": "one", "sql": sql, "parameters": [7], "timeout": timeout},
                        timeout=40)
        answers[name] = (r.status, r.json.get("error", {}).get("code"), time.monotonic() - began)

    def begin(*args):
        threads.append(threading.Thread(target=ask, args=args))
        threads[-1].start()
        time.sleep(0.05)
    lock = pg.hold("BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE;")
    try:
        # the only connection is busy while a train gathers behind it: first the one that will hang
        busy = pg.hold("BEGIN; LOCK TABLE busy IN ACCESS EXCLUSIVE MODE;")
        try:
            begin("busy", "SELECT count(*) FROM busy WHERE id = ?", 20)
            begin("hanging", hanging, 20)
            for i in range(5):
                begin(f"behind{i}", SQUARE, 2)
        finally:
            busy.terminate()
            busy.wait()
        until("those behind are answered", lambda: len(answers) >= 6, 12)
    finally:
        lock.terminate()
        lock.wait()
    for t in threads:
        t.join()
    check(SLOW > 1 or pipelined() > before, "they travelled", answers)  # with sanitizers nothing is quick
    eq((200, None), answers["hanging"][:2], answers)
    for i in range(5):
        status, code, took = answers[f"behind{i}"]
        check((status, code) in ((408, "QUERY_TIMEOUT"), (200, None)), "answered or timed out", answers)
        check(took < 2 + 1.5 * SLOW, "not beyond its time", answers)
    check(any(answers[f"behind{i}"][1] == "QUERY_TIMEOUT" for i in range(5)), "the deadline was put to use", answers)


@case
def nothing_is_held_afterwards():
    def idle():
        s = gate().get("/api/v1/datasources/one/status").data["pool"]
        return (s["active"], s["streams"], s["waiting"])
    for _ in range(100):
        if idle() == (0, 0, 0):
            break
        time.sleep(0.05)
    eq((0, 0, 0), idle())
    eq(1, gate().get("/api/v1/stats").data["running"])  # the one that asks


main()
