"""Local files through the embedded engine: one limited process a query, nothing outside the folder."""
import csv
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import nxtest
from nxtest import (BUILD, ROOT, SLOW, case, check, configure, descendants, eq, find_binary, gateway, main,
                    read_response, skip, until)

OUTSIDE = "top-secret-outside"


def folder():
    """The bundled sample data, and some files of our own."""
    if "duck" in nxtest.shared:
        return nxtest.shared["duck"]
    engine = os.path.join(BUILD, "src", "engine", "nexus-engine")
    if not os.access(engine, os.X_OK):
        skip("nexus-engine is not built (no libduckdb)")
    top = tempfile.mkdtemp(prefix="nxduck.")
    nxtest.closers.insert(0, lambda: shutil.rmtree(top, ignore_errors=True))
    data = os.path.join(top, "data")
    subprocess.run([os.path.join(ROOT, "tools", "sample-data.sh"), data], check=True,
                   env=dict(os.environ, BUILD=os.path.abspath(BUILD)))
    with open(os.path.join(top, "outside.csv"), "w", encoding="ascii") as f:
        f.write(f"a\n{OUTSIDE}\n")
    os.symlink(os.path.join(top, "outside.csv"), os.path.join(data, "link.csv"))
    with open(os.path.join(data, "broken.parquet"), "wb") as f:
        f.write(b"PAR1" + os.urandom(5000) + b"\x10\0\0\0PAR1")
    with open(os.path.join(data, "empty.csv"), "wb"):
        pass
    with open(os.path.join(data, "odd name-\u8868.csv"), "w", encoding="utf-8") as f:
        f.write("id,\u540d\u79f0\n1,\u4e2d\u6587\n")
    nxtest.shared["duck"] = data
    return data


configure(sources=lambda: [{"name": "files", "type": "duckdb", "config": {"path": folder()}},
                           {"name": "small", "type": "duckdb", "config": {
                               "path": folder(), "additionalProps": {"memoryLimit": 64, "spillLimit": 64}}}])


def q(sql, parameters=None, source="files", **kw):
    return gateway().query(source, sql, parameters, **kw)


ENDLESS = "SELECT count(*) FROM trips a, trips b, trips c WHERE a.fare + b.fare > c.fare"


@case
def the_readme_on_the_sample_data():
    """Its commands, as somebody would paste them, with the binary and the address of this test."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        lines = [line.strip()[2:] for line in f if line.startswith("    $ build/nexus query -s sample ")]
    check(len(lines) >= 2, "commands", lines)
    for line in lines:
        line = line.replace("build/nexus", find_binary(), 1).replace("-s sample", "-s files")
        line = re.sub(r" > \S+$", "", line)
        p = subprocess.run(["bash", "-c", line], capture_output=True, timeout=30 * SLOW, check=False,
                           env=dict(os.environ, NEXUS_URL=f"http://127.0.0.1:{gateway().port}", NEXUS_TOKEN="none"))
        check(p.returncode == 0 and p.stdout, line, p)


@case
def the_engine_is_a_layer_of_its_own():
    sid = next(s["id"] for s in gateway().get("/api/v1/datasources").data_list() if s["name"] == "files")
    r = gateway().call("POST", f"/api/v1/datasources/{sid}/test")
    eq((True, False), (r.data["readOnlyLayers"]["grants"], r.data["grants"]["canWrite"]), r)


@case
def parquet_csv_and_json():
    eq([["200000"]], [[str(v) for v in row] for row in q("SELECT count(*) FROM trips").rows])
    eq(12, len(q("SELECT * FROM cities").rows))
    eq([["5000"]], [[str(v) for v in row] for row in q("SELECT count(*) FROM events").rows])


@case
def files_by_quoted_name():
    eq(12, len(q("SELECT * FROM 'cities.csv'").rows))
    eq(12, len(q('SELECT * FROM "cities.csv"').rows))


@case
def joins_over_files():
    r = q("SELECT c.name, count(*) AS n FROM trips t JOIN cities c USING (city_id) GROUP BY 1 ORDER BY 1")
    eq((200, 12), (r.status, len(r.rows)), r)


@case
def chinese_in_names_and_values():
    r = q("SELECT * FROM 'odd name-\u8868.csv'")
    eq((200, ["id", "\u540d\u79f0"]), (r.status, [c["name"] for c in r.data["columns"]]), r)
    eq("\u4e2d\u6587", r.rows[0][1])


@case
def nested_values_are_json():
    row = q("SELECT bike, position, tags FROM events ORDER BY id LIMIT 1").rows[0]
    check(isinstance(row[0], dict) and set(row[0]) == {"id", "model"}, "struct is an object", row)
    check(isinstance(row[1], list) and len(row[1]) == 2, "list is an array", row)


@case
def exact_decimals_and_hugeints():
    eq([["99999999999999999999.99", "170141183460469231731687303715884105727"]],
       q("SELECT 99999999999999999999.99::DECIMAL(22,2), 170141183460469231731687303715884105727::HUGEINT").rows)


@case
def parameters_are_bound():
    eq([["x'; DROP TABLE y; --"]], q("SELECT ?", ["x'; DROP TABLE y; --"]).rows)
    r = q("SELECT count(*) FROM trips WHERE city_id = ? AND payment = ?", [3, "app"])
    check(r.status == 200 and int(r.rows[0][0]) > 0, "rows", r)


@case
def stream_of_all_rows_in_every_format():
    r = q("SELECT trip_id FROM trips", limit=None)
    eq(200000, len(r.rows))
    r = q("SELECT trip_id FROM trips", limit=None, format="ndjson")
    eq(200001, r.body.count(b"\n"))
    r = q("SELECT trip_id, note FROM trips", limit=None, format="csv")
    eq(200001, sum(1 for _ in csv.reader(r.text.splitlines())))
    r = q("SELECT * FROM trips", limit=None, format="arrow")
    eq(200, r.status, r.body[:200])


@case
def limit_and_offset():
    d = q("SELECT trip_id FROM trips ORDER BY trip_id", limit=2, offset=1000).data
    eq([["1001"], ["1002"]], [[str(v) for v in row] for row in d["rows"]])
    eq(True, d["metadata"]["hasMore"])


@case
def nothing_outside_the_folder_is_read():
    data = folder()
    top = os.path.dirname(data)
    for sql in ("SELECT * FROM '../outside.csv'", f"SELECT * FROM '{top}/outside.csv'",
                "SELECT * FROM read_csv('../outside.csv')", f"SELECT * FROM read_text('{top}/outside.csv')",
                "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM read_blob('/etc/passwd')",
                "SELECT * FROM '/etc/passwd'", "SELECT * FROM glob('/etc/*')", "SELECT * FROM read_csv('/etc/passwd')",
                "SELECT * FROM 'link.csv'", "SELECT * FROM link", "SELECT * FROM sniff_csv('/etc/passwd')",
                "SELECT * FROM 'sub/../../outside.csv'", "SELECT * FROM read_json(['../outside.csv'])",
                "SELECT * FROM parquet_metadata('/etc/passwd')", "SELECT getenv('PATH')"):
        r = q(sql)
        check(r.status != 200 or not r.rows, "no rows", r)
        check(OUTSIDE.encode() not in r.body and b"root:" not in r.body, "nothing leaks", r)
    r = q("SELECT current_setting('home_directory')")
    check(r.status in (200, 400, 403), "typed", r)


@case
def nothing_is_written_or_switched():
    before = sorted(os.listdir(folder()))
    for sql in ("COPY trips TO 'x.csv'", "COPY (SELECT 1) TO 'x.csv'", "CREATE TABLE x AS SELECT 1", "ATTACH 'x.db'",
                "INSTALL httpfs", "LOAD httpfs", "SET memory_limit = '100GB'", "PRAGMA database_list", "EXPORT DATABASE 'x'",
                "CALL pragma_version()", "DROP TABLE trips", "SELECT 1; SELECT 2", "INSERT INTO cities VALUES (1)",
                "CHECKPOINT", "VACUUM", "DETACH memory", "USE memory", "RESET ALL", "EXPLAIN ANALYZE SELECT 1",
                "CREATE SECRET (TYPE s3)", "SELECT * FROM 'https://example.com/x.csv'",
                "SELECT * FROM 's3://bucket/x.parquet'", "SELECT * FROM postgres_scan('', 'public', 't')"):
        r = q(sql)
        check(r.status in (400, 403), f"{sql} is refused", r)
    eq(before, sorted(os.listdir(folder())))


@case
def a_broken_file_is_a_typed_error():
    r = q("SELECT * FROM broken")
    check(r.status in (400, 502) and r.code in ("DATA_ERROR", "SOURCE_FAILED", "SQL_ERROR", "ENGINE_CRASHED"),
          "typed", r)
    eq(200, q("SELECT 1").status)


@case
def an_empty_file():
    r = q("SELECT * FROM 'empty.csv'")
    check(r.status in (200, 400), "typed", r)


@case
def a_file_that_is_not_there():
    r = q("SELECT * FROM no_such_file")
    eq((400, "UNDEFINED_OBJECT"), (r.status, r.code), r)
    r = q("SELECT * FROM 'no-such-file.parquet'")
    eq(400, r.status, r)
    check(folder() not in r.text, "no path of the machine in the answer", r)


@case
def error_after_rows():
    r = q("SELECT CASE WHEN trip_id < 150000 THEN '1' ELSE 'x' END::INT AS n, note FROM trips", limit=None)
    doc = r.json
    check(not doc["success"] and doc["error"]["code"] in ("DATA_ERROR", "SQL_ERROR"), "told", doc.get("error"))


@case
def timeout_ends_the_process():
    start = time.monotonic()
    r = q(ENDLESS, timeout=1)
    eq((408, "QUERY_TIMEOUT"), (r.status, r.code), r)
    check(time.monotonic() - start < 1 + 2 * SLOW, "in time")
    quiet()


def engine_cpu():
    """CPU seconds of all engine processes below the gateway."""
    total = 0
    for pid in descendants(gateway().process.pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return total


def quiet():
    """No engine process burns CPU any more."""
    def still():
        a = engine_cpu()
        time.sleep(0.2)
        return engine_cpu() - a <= 2
    until("the engine is quiet", still, 5)


@case
def hang_up_ends_the_process():
    s = gateway().start_query("files", ENDLESS)
    until("it runs", lambda: gateway().running(), 5)
    time.sleep(0.3)
    s.close()
    until("no query is left", lambda: not gateway().running(), 3)
    quiet()


@case
def a_killed_worker_costs_one_query():
    idle = set(descendants(gateway().process.pid))
    s = gateway().start_query("files", ENDLESS)
    until("it runs", lambda: gateway().running(), 5)
    time.sleep(0.5)
    busy = max(descendants(gateway().process.pid), key=cpu_of)
    check(cpu_of(busy) > 10, "a worker is busy", sorted(idle))
    os.kill(busy, 9)
    status, _, body = read_response(s)
    eq((502, "ENGINE_CRASHED"), (status, json.loads(body)["error"]["code"]), body)
    s.close()
    eq(200, q("SELECT 1").status)


def cpu_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])
    except OSError:
        return 0


@case
def memory_is_limited():
    if SLOW > 1:
        skip("a sanitizer's shadow does not fit below an address space limit")
    r = q("SELECT list(a.trip_id) AS l FROM trips a, range(50) b GROUP BY a.note || b.range", source="small", timeout=30,
          timeout_s=60)
    check(r.status in (507, 502, 400) or (r.status == 200 and not r.json["success"]), "refused", r)
    check("ENGINE_MEMORY" in r.text or "ENGINE_CRASHED" in r.text, "typed", r)
    eq(200, q("SELECT 1", source="small").status)


@case
def twenty_at_once():
    results = []

    def one(i):
        r = q("SELECT count(*) + ? FROM orders", [i])
        results.append((i, r.status, r.rows[0][0] if r.status == 200 else r.code))
    gateway()
    threads = [threading.Thread(target=one, args=(i,)) for i in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    eq([(i, 200, str(100000 + i)) for i in range(20)], sorted((i, s, str(v)) for i, s, v in results))


@case
def queries_do_not_see_each_other():
    """One process a query: nothing set in one is there in the next."""
    a = q("SELECT random() AS r, current_setting('threads') AS t")
    check(a.status in (200, 400, 403), "typed", a)
    eq(200, q("SELECT 1").status)


@case
def schema_lists_the_files():
    sid = [d["id"] for d in gateway().get("/api/v1/datasources").data_list() if d["name"] == "files"][0]
    text = json.dumps(gateway().get(f"/api/v1/datasources/{sid}/schema").data)
    for name in ("cities", "trips", "events", "orders"):
        check(name in text, f"{name} is listed", text)
    text = json.dumps(gateway().get(f"/api/v1/datasources/{sid}/schema?table=trips").data)
    check("distance_km" in text and "fare" in text, "columns", text)


@case
def the_folder_is_missing():
    r = gateway().post("/api/v1/datasources", {"name": "nowhere", "type": "duckdb", "skipTest": True,
                                               "config": {"path": "/nonexistent/folder"}})
    if r.status == 201:
        r = q("SELECT * FROM x", source="nowhere")
    check(r.status in (400, 502, 503), "typed", r)


@case
def no_process_is_left_at_the_end():
    g = gateway()
    pids = descendants(g.process.pid)
    check(g.stop() == 0, "stops")

    def gone():
        left = []
        for pid in pids:
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                    if f.read().rsplit(")", 1)[1].split()[0] != "Z":
                        left.append(pid)
            except OSError:
                pass
        return not left
    until("every engine process has ended", gone, 5)


@case
def no_folder_of_the_engine_is_left_over():
    """However the gateway or its engine ended; what both left behind, the next start takes away."""
    data = folder()
    home = tempfile.mkdtemp(prefix="nxscratch.")
    nxtest.closers.insert(0, lambda: shutil.rmtree(home, ignore_errors=True))
    places = {"TMPDIR": home}

    def left():
        return [n for n in os.listdir(home) if n.startswith("nexus-engine-")]

    def started():
        g = nxtest.Gateway(sources=[{"name": "files", "type": "duckdb", "config": {"path": data}}], env=places)
        until("the engine's folder is there", left)
        return g
    for pause in (0, 0.1, 0.3, 1):  # while the engine starts, and later
        g = started()
        time.sleep(pause)
        g.close()
        until("a stop leaves nothing", lambda: not left(), 3)
    g = started()
    eq(200, g.query("files", "SELECT count(*) FROM trips").status)
    g.process.kill()
    g.process.wait()
    until("nor does a kill", lambda: not left(), 5)
    g.closed = True
    g = started()
    eq(200, g.query("files", "SELECT count(*) FROM trips").status)
    engines = descendants(g.process.pid)
    g.process.send_signal(signal.SIGSTOP)
    for pid in engines:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    g.process.kill()
    g.process.wait()
    g.closed = True
    stale = left()
    eq(1, len(stale), "both were killed: it is still there")
    # others that look like it: in use, a link, a file, somebody's folder of another name, a young one
    used, link, file_, other, young = (os.path.join(home, n) for n in (
        "nexus-engine-inuse1", "nexus-engine-link01", "nexus-engine-file01", "nexus-enginX-other1", "nexus-engine-young1"))
    os.mkdir(used, 0o700)
    os.mkdir(young, 0o700)
    for d in (other, os.path.join(used, "w1"), os.path.join(home, "target"), os.path.join(home, stale[0], "w9")):
        os.mkdir(d)
    os.symlink(os.path.join(home, "target"), link)
    os.symlink(os.path.join(home, "target"), os.path.join(home, stale[0], "w9", "link"))
    for f in (file_, os.path.join(home, "target", "keep"), os.path.join(home, stale[0], "w9", "spill.tmp")):
        with open(f, "wb"):
            pass
    held = os.open(used, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    for d in (used, other, os.path.join(home, stale[0])):
        os.utime(d, (1, 1))
    g = nxtest.Gateway(sources=[{"name": "files", "type": "duckdb", "config": {"path": data}}], env=places)
    until("the next start removes it", lambda: stale[0] not in left(), 5)
    eq(200, g.query("files", "SELECT count(*) FROM trips").status)
    g.close()
    until("its own goes, too", lambda: len(left()) == 4, 3)
    check(os.path.exists(os.path.join(used, "w1")), "one in use stays")
    check(os.path.exists(os.path.join(home, "target", "keep")), "a link is not followed")
    check(all(map(os.path.lexists, (link, file_, other, young))), "nothing else is touched")
    os.close(held)


main()
