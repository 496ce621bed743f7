"""Cases that every SQL server source must hold, PostgreSQL and MariaDB alike: streams, cancel by each
of its ways, deadlines, broken connections, pools. A dialect is the few statements that differ."""
import json
import signal
import socket
import threading
import time
import uuid

import servers
from nxtest import (SLOW, Gateway, add_case, check, eq, gateway, read_all, read_response, until)


class Dialect:
    def __init__(self, kind):
        self.kind = kind

    @property
    def server(self):
        return servers.get(self.kind)

    def endless(self, marker):
        """Runs for hours, gives one row."""
        raise NotImplementedError

    def rows(self, n):
        """n rows of an integer x from 1 and 100 characters."""
        raise NotImplementedError

    def fails_after(self, n):
        """More than n good rows, then an error of the server."""
        raise NotImplementedError


class Postgres(Dialect):
    def __init__(self):
        super().__init__("postgresql")

    def endless(self, marker):
        return (f"SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b "
                f"WHERE '{marker}' = '{marker}'")

    def rows(self, n):
        return (f"SELECT (a.i - 1) * 1000 + b.i AS x, repeat('x', 100) AS t "
                f"FROM generate_series(1, {n // 1000}) AS a(i), generate_series(1, 1000) AS b(i)")

    def fails_after(self, n):
        return f"SELECT 1 / ({n} - x) AS q, repeat('x', 100) AS t FROM generate_series(1, {2 * n}) AS s(x)"

    session_id = "SELECT pg_backend_pid()"


class Mariadb(Dialect):
    def __init__(self):
        super().__init__("mariadb")

    def endless(self, marker):
        return (f"SELECT count(*) FROM seq_1_to_1000000 a, seq_1_to_1000000 b "
                f"WHERE '{marker}' = '{marker}' AND a.seq + b.seq > 3")

    def rows(self, n):
        return (f"SELECT (a.seq - 1) * 1000 + b.seq AS x, repeat('x', 100) AS t "
                f"FROM seq_1_to_{n // 1000} a, seq_1_to_1000 b")

    def fails_after(self, n):
        return f"SELECT exp(700 * a.seq / {n}) AS q, repeat('x', 100) AS t FROM seq_1_to_{2 * n} a"

    session_id = "SELECT connection_id()"


def marker():
    return "nxm" + uuid.uuid4().hex


def whole(r):
    """An answer that is complete and a success."""
    check(not r.broken, "the body is whole", r)
    doc = r.json
    eq(True, doc["success"], r)
    return doc["data"]


def register(d, proxies):
    """Adds the cases. Sources: db (direct), db_small (pool of 2), proxied (through proxies["p"])."""

    def q(sql, parameters=None, source="db", **kw):
        return gateway().query(source, sql, parameters, **kw)

    def gone(mark, seconds=3):
        until("the statement has left the server", lambda: not d.server.active(mark), seconds)

    def started(mark):
        until("the statement runs at the server", lambda: d.server.active(mark), 10)

    def case(fn):
        def run():
            gateway()  # skips or fails here, not in a thread of the case
            fn()
        add_case(fn.__name__, run)
        return fn

    @case
    def a_row():
        r = q("SELECT 1 AS a, 'x' AS b, NULL AS c")
        eq((200, [[1, "x", None]]), (r.status, r.rows), r)
        eq(d.kind, r.data["metadata"]["databaseType"])

    @case
    def parameters_are_bound():
        eq([[7]], [[int(v) for v in row] for row in q("SELECT ? + 2", [5]).rows])
        evil = "'; DROP TABLE x; -- \\"
        eq([[evil]], q("SELECT ?", [evil]).rows)
        eq([[None]], q("SELECT ?", [None]).rows)
        check(q("SELECT 1 WHERE 1 = ?", [True]).status in (200, 400), "booleans bind or are refused")

    @case
    def chinese_survives():
        text = "\u4e2d\u6587\u5b57\u7b26 \U00020000 \U0001f600"
        eq([[text, text]], q(f"SELECT ?, '{text}'", [text]).rows)

    @case
    def stream_of_200k_rows():
        data = whole(q(d.rows(200000), limit=None, timeout_s=60))
        eq(200000, len(data["rows"]))
        eq((200000, False), (data["metadata"]["rowCount"], data["metadata"]["hasMore"]))
        eq(200000 * 200001 // 2, sum(int(row[0]) for row in data["rows"]))

    @case
    def first_byte_comes_before_the_last_row():
        s = gateway().start_query("db", d.rows(20000000), limit=None, timeout=60)
        start = time.monotonic()
        first = s.recv(4096)
        took = time.monotonic() - start
        s.close()
        check(first.startswith(b"HTTP/1.1 200"), "200", first[:60])
        check(took < 3 * SLOW, f"first byte after {took:.2f} s")
        until("the stream was cancelled", lambda: not gateway().running(), 5)

    @case
    def limit_stops_reading():
        start = time.monotonic()
        data = whole(q(d.rows(50000000), limit=10))
        eq((10, True), (len(data["rows"]), data["metadata"]["hasMore"]))
        check(time.monotonic() - start < 5 * SLOW, "soon")
        until("nothing runs on", lambda: not d.server.active("seq_1_to_50000") and
              not d.server.active("generate_series(1, 50000)"), 3)

    @case
    def a_bad_statement_leaves_the_pool_well():
        for _ in range(15):
            eq(400, q("SELECT * FROM no_such_table_at_all", source="db_small").status)
        eq([[1]], q("SELECT 1", source="db_small").rows)

    # ---- errors after rows

    @case
    def error_after_rows_in_json():
        r = q(d.fails_after(50000), limit=None)
        doc = r.json
        eq((200, False), (r.status, doc["success"]))
        check(doc["error"]["code"] in ("DATA_ERROR", "SQL_ERROR"), "a typed error", doc["error"])

    @case
    def error_after_rows_in_ndjson():
        r = q(d.fails_after(50000), limit=None, format="ndjson")
        last = json.loads(r.text.rstrip("\n").split("\n")[-1])
        check("@error" in last and last["@error"]["code"] in ("DATA_ERROR", "SQL_ERROR"), "terminal record", last)

    @case
    def error_after_rows_in_csv_and_arrow():
        for form in ("csv", "arrow"):
            r = q(d.fails_after(50000), limit=None, format=form)
            check(r.broken, f"{form}: the chunked body is broken", r.status, len(r.body))

    @case
    def error_before_rows_has_its_status():
        for form in ("json", "csv", "ndjson", "arrow"):
            r = q("SELECT no_such_column FROM (SELECT 1 AS a) AS s", format=form)
            eq((400, "UNDEFINED_OBJECT"), (r.status, r.code), form, r)

    @case
    def error_after_rows_leaves_the_pool_well():
        for _ in range(5):
            q(d.fails_after(20000), limit=None, source="db_small")
        eq([[1]], q("SELECT 1", source="db_small").rows)

    # ---- cancel, by each of its ways, seen at the server

    @case
    def timeout_reaches_the_server():
        mark = marker()
        start = time.monotonic()
        r = q(d.endless(mark), timeout=1)
        took = time.monotonic() - start
        eq((408, "QUERY_TIMEOUT"), (r.status, r.code), r)
        check(0.9 <= took < 1 + 2 * SLOW, f"after {took:.2f} s")
        gone(mark)

    @case
    def timeout_of_the_source():
        mark = marker()
        r = q(d.endless(mark), source="db_impatient")
        eq((408, "QUERY_TIMEOUT"), (r.status, r.code), r)
        gone(mark)

    @case
    def a_query_cannot_wait_longer_than_its_source():
        start = time.monotonic()
        r = q(d.endless(marker()), source="db_impatient", timeout=600)
        eq(408, r.status, r)
        check(time.monotonic() - start < 1 + 2 * SLOW, "source's timeout wins")

    @case
    def timeout_after_rows():
        r = q(d.rows(100000000), limit=None, timeout=1, format="ndjson", timeout_s=30)
        last = json.loads(r.text.rstrip("\n").split("\n")[-1])
        eq("QUERY_TIMEOUT", last["@error"]["code"], last)

    @case
    def delete_cancels():
        mark = marker()
        s = gateway().start_query("db", d.endless(mark))
        started(mark)
        mine = [x for x in gateway().running() if mark in json.dumps(x)] or gateway().running()
        qid = mine[0].get("queryId", mine[0].get("id"))
        shown = gateway().get("/api/v1/queries/" + qid)
        eq(200, shown.status, shown)
        eq(204, gateway().delete("/api/v1/queries/" + qid).status)
        status, _, body = read_response(s)
        eq((499, "QUERY_CANCELED"), (status, json.loads(body)["error"]["code"]), body)
        s.close()
        gone(mark)

    @case
    def hang_up_cancels():
        for how in ("close", "reset", "half"):
            mark = marker()
            s = gateway().start_query("db", d.endless(mark))
            started(mark)
            if how == "reset":
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            if how == "half":
                s.shutdown(socket.SHUT_WR)
            else:
                s.close()
            gone(mark)
            s.close()
        until("nothing runs", lambda: not gateway().running(), 3)

    @case
    def hang_up_in_mid_stream_cancels():
        for _ in range(3):
            s = gateway().start_query("db", d.rows(50000000), limit=None)
            s.recv(100000)
            s.close()
        until("nothing runs", lambda: not gateway().running(), 5)
        eq([[1]], q("SELECT 1").rows)

    @case
    def a_client_that_never_reads_is_cut_off():
        mark = marker()
        sql = d.rows(50000000).replace("'x'", f"'{mark}'")
        s = gateway().start_query("db", sql, limit=None)
        started(mark)
        gone(mark, 15)
        s.close()

    @case
    def shutdown_cancels_and_tells():
        mark = marker()
        g = Gateway({"shutdownGrace": 1}, sources=[d.server.source("db")])
        s = g.start_query("db", d.endless(mark))
        started(mark)
        g.process.send_signal(signal.SIGTERM)
        got, how = read_all(s, 10)
        s.close()
        check(b'"SHUTTING_DOWN"' in got and b" 503 " in got.split(b"\r\n")[0], "503 SHUTTING_DOWN", got, how)
        eq(0, g.stop())
        gone(mark)
        g.close()

    @case
    def shutdown_lets_short_queries_finish():
        g = Gateway({"shutdownGrace": 10 * SLOW}, sources=[d.server.source("db")])
        s = g.start_query("db", d.rows(2000000), limit=None, timeout=60)
        s.recv(1000)
        g.process.send_signal(signal.SIGTERM)
        got, how = read_all(s, 30 * SLOW)
        s.close()
        check(got.endswith(b"0\r\n\r\n") and b'"success":true' in got[-2000:].replace(b" ", b""),
              "whole", got[-300:], how)
        eq(0, g.stop())
        g.close()

    # ---- the pool

    @case
    def a_killed_backend_is_replaced():
        eq(200, q("SELECT 1", source="db_small").status)
        for _ in range(2):
            held = [int(q(d.session_id, source="db_small").rows[0][0])]
            kill(held)
            good = 0
            for _ in range(3):
                r = q("SELECT 1", source="db_small")
                good += r.status == 200
                check(r.status in (200, 502, 503), "typed", r)
            check(good >= 2, "the pool recovered")

    def kill(pids):
        """Gone already is gone, too."""
        for pid in pids:
            if d.kind == "postgresql":
                d.server.sql(f"SELECT pg_terminate_backend({pid})")
            elif d.server.sql(f"SELECT 1 FROM information_schema.processlist WHERE id = {pid}"):
                d.server.sql(f"KILL {pid}")

    @case
    def a_backend_killed_in_a_query_is_a_typed_error():
        mark = marker()
        s = gateway().start_query("db", d.endless(mark))
        # Before the first row a lost connection is worth one more try; so it may have to die twice.
        for _ in range(2):
            started(mark)
            d.server.kill(mark)
            time.sleep(0.5)
            if not d.server.active(mark):
                break
        status, _, body = read_response(s)
        s.close()
        eq((502, "SOURCE_LOST"), (status, json.loads(body)["error"]["code"]), body)
        eq([[1]], q("SELECT 1").rows)

    @case
    def source_dies_in_mid_stream():
        p = proxies["p"]
        p.cut_after = 3000000
        try:
            r = q(d.rows(500000), source="proxied", limit=None)
            doc = r.json
            eq((200, False, "SOURCE_LOST"), (r.status, doc["success"], doc["error"]["code"]))
        finally:
            p.cut_after = None
            p.cut()
        start = time.monotonic()
        until("the pool recovers", lambda: q("SELECT 1", source="proxied").status == 200, 5)
        check(time.monotonic() - start < 1.5 * SLOW, "within a second")

    @case
    def source_hangs_in_mid_stream():
        p = proxies["p"]
        until("healthy", lambda: q("SELECT 1", source="proxied").status == 200, 5)
        timer = threading.Timer(0.2, p.frozen.set)
        timer.start()
        try:
            start = time.monotonic()
            r = q(d.rows(5000000), source="proxied", limit=None, timeout=1, timeout_s=30)
            took = time.monotonic() - start
            doc = r.json if not r.broken else None
            check(r.status in (200, 408), "answered", r)
            if doc and r.status == 200:
                eq("QUERY_TIMEOUT", doc["error"]["code"])
            check(took < 1 + 6 * SLOW, f"after {took:.1f} s")
        finally:
            timer.cancel()
            p.frozen.clear()
            p.cut()
        until("the pool recovers", lambda: q("SELECT 1", source="proxied").status == 200, 5)

    @case
    def source_goes_and_comes_back():
        p = proxies["p"]
        until("healthy", lambda: q("SELECT 1", source="proxied").status == 200, 5)
        p.refuse = True
        p.cut()
        for _ in range(3):
            r = q("SELECT 1", source="proxied")
            check(r.status in (502, 503), "typed", r)
        p.refuse = False
        start = time.monotonic()
        until("the pool recovers", lambda: q("SELECT 1", source="proxied").status == 200, 5)
        check(time.monotonic() - start < 1.5 * SLOW, "within a second")

    @case
    def queue_is_bounded():
        marks = [marker() for _ in range(2)]
        held = [gateway().start_query("db_small", d.endless(m)) for m in marks]
        for m in marks:
            started(m)
        waiting = [gateway().start_query("db_small", "SELECT 1") for _ in range(2)]
        until("two wait", lambda: len(gateway().running()) >= 4, 5)
        r = q("SELECT 1", source="db_small")
        eq((503, "QUEUE_FULL"), (r.status, r.code), r)
        check(r.header("Retry-After"), "Retry-After", r.headers)
        eq(200, q("SELECT 1").status)  # another source does not care
        status, _, body = read_response(waiting[0], 10)
        eq((503, "QUEUE_TIMEOUT"), (status, json.loads(body)["error"]["code"]), body)
        for s in held + waiting:
            s.close()
        for m in marks:
            gone(m)
        until("the pool is free", lambda: q("SELECT 1", source="db_small").status == 200, 5)

    @case
    def no_more_connections_than_allowed():
        held = [gateway().start_query("db_small", "SELECT 1") for _ in range(4)]
        for s in held:
            read_response(s)
            s.close()
        pools = json.dumps(gateway().get("/api/v1/stats").data)
        check(pools, "stats")

    @case
    def session_state_does_not_leak():
        """What one query set must not be seen by the next on the same connection."""
        a = q(d.session_id, source="db_one").rows
        b = q(d.session_id, source="db_one").rows
        eq(a, b)

    @case
    def fifty_queries_at_once():
        results = []

        def one(i):
            r = q("SELECT ? AS n", [i])
            results.append((i, r.status, r.rows[0][0] if r.status == 200 else r.code))
        threads = [threading.Thread(target=one, args=(i,)) for i in range(50)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        eq([(i, 200, str(i)) for i in range(50)], sorted((i, s, str(v)) for i, s, v in results))

    # ---- nothing writes

    @case
    def writes_are_refused_and_change_nothing():
        d.server.sql("DROP TABLE IF EXISTS canary; CREATE TABLE canary(a int); INSERT INTO canary VALUES (1)")
        executed_comments = ("/*!50000 DELETE FROM canary */", "SELECT a FROM canary /*!50000 FOR UPDATE */")
        for sql in (*(executed_comments if d.kind == "mariadb" else ()), "INSERT INTO canary VALUES (2)", "DELETE FROM canary", "DROP TABLE canary",
                    "UPDATE canary SET a = 3", "TRUNCATE canary", "SELECT 1; DELETE FROM canary",
                    "SELECT a FROM canary FOR UPDATE", "CREATE TABLE x AS SELECT 1", "COMMIT",
                    "WITH x AS (SELECT 1) DELETE FROM canary", "SET SESSION TRANSACTION READ WRITE",
                    "CALL p()", "EXPLAIN ANALYZE DELETE FROM canary", "LOCK TABLES canary WRITE"):
            r = q(sql)
            check(r.status == 403 or (r.status == 400 and r.code in ("SQL_ERROR", "SQL_PARSE")),
                  f"{sql} is refused", r)
        eq([["1"]], d.server.sql("SELECT a FROM canary"))
        d.server.sql("DROP TABLE canary")

    @case
    def schema_browse():
        d.server.sql("DROP TABLE IF EXISTS browse; CREATE TABLE browse(id int primary key, name varchar(20) not null)")
        sid = [x["id"] for x in gateway().get("/api/v1/datasources").data_list() if x["name"] == "db"][0]
        r = gateway().get(f"/api/v1/datasources/{sid}/schema")
        eq(200, r.status, r)
        check('"browse"' in json.dumps(r.data), "table is listed", r)
        r = gateway().get(f"/api/v1/datasources/{sid}/schema?table=browse")
        text = json.dumps(r.data)
        check('"id"' in text and '"name"' in text, "columns are listed", r)
        d.server.sql("DROP TABLE browse")


def sources(d, proxies):
    """For configure(sources=...): called when the gateway starts."""
    proxies["p"] = servers.Proxy(d.server.port)
    return [
        d.server.source("db"),
        d.server.source("db_small", maxPoolSize=2, maxStreams=0, maxQueue=2, queueTimeout=2),
        d.server.source("db_one", maxPoolSize=1),
        d.server.source("db_impatient", timeout=1),
        d.server.source("proxied", port=proxies["p"].port, maxPoolSize=4, connectTimeout=2),
    ]
