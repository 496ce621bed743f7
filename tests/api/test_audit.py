"""The audit log: what is recorded, that it cannot be changed unseen, and a full disk."""
import glob
import hashlib
import json
import os
import subprocess
import tempfile
import threading

from nxtest import SLOW, Gateway, case, check, eq, find_binary, main, skip, until
from sample import sqlite_source
from tokens import SECRET, bearer


def start(audit=None, **more):
    return Gateway({"auth": {"mode": "token", "jwtSecret": SECRET}, "audit": audit or {}, **more},
                   sources=[sqlite_source()])


def ask(g, sql, who="alice", role="analyst"):
    return g.call("POST", "/api/v1/query", {"dataSource": "lite", "sql": sql}, headers=bearer(who, role))


def folder(g):
    return os.path.join(g.config["dataDir"], "audit")


def records(g):
    out = []
    for path in sorted(glob.glob(os.path.join(folder(g), "*.jsonl"))):
        with open(path, encoding="utf-8") as f:
            out += [json.loads(line) for line in f]
    return out


def verify(g, *args):
    p = subprocess.run([find_binary(), "audit", "verify", *(args or ("-c", os.path.join(g.home, "nexus.yaml")))],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=g.env, timeout=60 * SLOW)
    return p.returncode, p.stdout.decode()


@case
def queries_and_admin_actions_are_recorded():
    g = start()
    r = ask(g, "SELECT id FROM many LIMIT 3")
    eq(403, ask(g, "DELETE FROM t").status)
    eq(401, g.call("POST", "/api/v1/query", {"dataSource": "lite", "sql": "SELECT 1"}, headers={"X-API-Key": "x"}).status)
    eq(404, g.call("POST", "/api/v1/query", {"dataSource": "no", "sql": "SELECT 1"}, headers=bearer("alice")).status)
    root = bearer("root", "admin")
    eq(403, g.call("POST", "/api/v1/datasources", sqlite_source("evil"), headers=bearer("alice")).status)
    made = g.call("POST", "/api/v1/datasources", sqlite_source("second"), headers=root)
    eq(200, g.call("POST", f"/api/v1/datasources/{made.data['id']}/deactivate", headers=root).status)
    eq(204, g.call("DELETE", f"/api/v1/datasources/{made.data['id']}", headers=root).status)
    key = g.call("POST", "/api/v1/keys", {"name": "robot", "role": "agent"}, headers=root).data["key"]
    eq(200, g.get("/api/v1/datasources", headers=root).status)
    g.stop()
    seen = records(g)
    text = json.dumps(seen)
    check(key not in text and "FROM many" not in text, "neither secrets nor statements")
    did = [(x["event"], x.get("action"), x.get("outcome"), x.get("code"), x.get("principal")) for x in seen]
    eq([("open", None, None, None, None),
        ("query", "query", "done", None, "alice"),
        ("query", "query", "refused", "RO_STATEMENT", "alice"),
        ("query", "query", "refused", "UNAUTHENTICATED", None),
        ("query", "query", "refused", "SOURCE_NOT_FOUND", "alice"),
        ("admin", "source_create", "refused", "FORBIDDEN", "alice"),
        ("admin", "source_create", "done", None, "root"),
        ("admin", "source_deactivate", "done", None, "root"),
        ("admin", "source_delete", "done", None, "root"),
        ("admin", "key_create", "done", None, "root"),
        ("close", None, None, None, None)], did)
    q = seen[1]
    eq(("analyst", "127.0.0.1", "lite", 3), (q["role"], q["client"], q["source"], q["rows"]), q)
    eq(hashlib.sha256(b"SELECT id FROM many LIMIT 3").hexdigest(), q["fingerprint"])
    eq(r.header("X-Correlation-ID"), q["correlationId"])
    check("grants" not in q["layers"], "the account can write the file", q)
    check("shape" in q["layers"] and q["bytes"] > 0 and q["elapsedUs"] > 0, "the rest", q)
    eq("robot", seen[9]["target"])
    status, out = verify(g)
    eq(0, status, out)
    check("11 records in 1 files" in out, "counted", out)
    g.close()


@case
def a_changed_log_is_found_by_file_and_line():
    g = start({"sql": True})
    for i in range(5):
        ask(g, f"SELECT {i}")
    g.restart()
    ask(g, "SELECT 'again'")
    g.stop()
    eq(0, verify(g)[0])
    path = os.path.join(folder(g), "audit-00000001.jsonl")
    with open(path, encoding="utf-8") as f:
        lines = f.readlines()
    check("SELECT 2" in lines[3], "the text is kept with audit.sql", lines[3])
    for name, bad in (("edited", lines[:3] + [lines[3].replace("alice", "mallo")] + lines[4:]),
                      ("removed", lines[:3] + lines[4:]),
                      ("moved", lines[:3] + [lines[4], lines[3]] + lines[5:])):
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(bad)
        status, out = verify(g, folder(g))
        eq(1, status, name, out)
        check("audit-00000001.jsonl:4:" in out, name, out)
    g.close()


@case
def rotation_loses_nothing():
    g = start({"rotateBytes": 65536})
    def many(n):
        for i in range(150):
            ask(g, f"SELECT {i}", who=f"user{n}")
    threads = [threading.Thread(target=many, args=(n,)) for n in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    g.stop()
    status, out = verify(g)
    eq(0, status, out)
    eq(600, len([x for x in records(g) if x["event"] == "query"]))
    check(len(glob.glob(os.path.join(folder(g), "*.jsonl"))) > 2, "several files")
    g.close()


@case
def after_a_crash_the_chain_goes_on():
    g = start()
    for i in range(3):
        ask(g, f"SELECT {i}")
    until("written", lambda: len(records(g)) >= 4)
    g.process.kill()
    g.process.wait()
    g.start()
    ask(g, "SELECT 'after'")
    g.stop()
    status, out = verify(g)
    eq(0, status, out)
    g.close()


@case
def off_writes_nothing():
    g = start({"enabled": False})
    eq(200, ask(g, "SELECT 1").status)
    check(not os.path.exists(folder(g)), "no folder")
    g.close()


def on_a_small_disk(audit, then):
    mount = tempfile.mkdtemp(prefix="nxfull.")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", mount], stderr=subprocess.PIPE)
    if made.returncode:
        os.rmdir(mount)
        skip("cannot mount a small file system: " + made.stderr.decode().strip())
    try:
        g = start(audit, dataDir=os.path.join(mount, "data"))
        eq(200, ask(g, "SELECT 1").status)
        with open(os.path.join(mount, "filler"), "wb", buffering=0) as f:
            try:
                while f.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        then(g)
        os.unlink(os.path.join(mount, "filler"))
        until("served again", lambda: ask(g, "SELECT 'better'").status == 200)
        until("written again", lambda: any(e["message"].startswith("the audit log is written again")
                                           for e in g.events("audit")))
        g.stop()
        status, out = verify(g)
        eq(0, status, out)
        g.close()
    finally:
        subprocess.run(["umount", "-l", mount], check=False)
        os.rmdir(mount)


@case
def a_full_disk_is_survived():
    def then(g):
        for i in range(60):
            eq(200, ask(g, "SELECT 1").status)
        until("told", lambda: any("AUDIT_FAILED" in e["message"] for e in g.events("audit")))
        m = g.get("/metrics", headers=bearer("root", "admin"), api=False).text
        check("nexus_audit_failures_total 0" not in m and "nexus_audit_failures_total" in m, "counted", m)
    on_a_small_disk({}, then)


@case
def a_full_disk_closes_the_gate_where_audit_is_required():
    def then(g):
        r = until("refused", lambda: [x for x in [ask(g, "SELECT 1")] if x.status != 200])[0]
        eq((503, "AUDIT_FAILED"), (r.status, r.code), r)
        eq(200, g.get("/health").status)
    on_a_small_disk({"required": True}, then)


@case
def records_that_the_system_may_write_later():
    g = start({"sync": "off"})
    eq(200, ask(g, "SELECT 1").status)
    g.stop()
    eq(["open", "query", "close"], [r["event"] for r in records(g)])
    eq(0, verify(g)[0])
    g.close()


main()
