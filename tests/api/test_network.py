"""Where sources may be, and what the process keeps to itself."""
import resource

from nxtest import Gateway, case, check, eq, main, skip
from sample import sqlite_source
import servers


def source(host, kind="postgresql", port=5432, **more):
    return {"name": "far", "type": kind, "config": {"host": host, "port": port, "database": "d",
                                                    "username": "u", "password": "p", **more}}


def outcome(g, body):
    """The code of the connection test of a new source."""
    made = g.post("/api/v1/datasources?skipTest=true", body)
    eq(201, made.status, made)
    path = "/api/v1/datasources/" + made.data["id"]
    r = g.post(path + "/test")
    eq(200, r.status, r)
    eq(204, g.delete(path).status)
    return (r.data.get("error") or {}).get("code"), r


@case
def link_local_and_metadata_are_refused():
    g = Gateway()
    for kind in ("postgresql", "mysql"):
        for host in ("169.254.169.254", "2852039166", "::ffff:169.254.169.254", "fe80::1", "0.0.0.0"):
            code, r = outcome(g, source(host, kind))
            eq("HOST_DENIED", code, host, r)
            check("169.254" not in r.text, "the answer does not tell the address", r)
    g.close()


@case
def a_query_on_a_denied_host():
    g = Gateway({"network": {"deny": "127.0.0.0/8, ::1"}}, sources=[source("localhost")])
    r = g.query("far", "SELECT 1")
    eq((403, "HOST_DENIED"), (r.status, r.code), r)
    g.close()


@case
def allow_is_all_there_is():
    g = Gateway({"network": {"allow": "10.99.0.0/16"}})
    for kind in ("postgresql", "mysql"):
        eq("HOST_DENIED", outcome(g, source("127.0.0.1", kind))[0])
    g.close()


@case
def names_are_judged_by_their_address_and_real_servers_answer():
    server = servers.postgres()
    g = Gateway({"network": {"allow": "127.0.0.0/8, ::1"}})
    body = server.source("pg")
    if body["config"]["host"].startswith("/"):
        skip("the server listens on a socket file only")
    eq(None, outcome(g, body)[0])
    body["config"]["host"] = "localhost"
    eq(None, outcome(g, body)[0])
    g.close()


@case
def a_wrong_list_is_told():
    g = Gateway({"network": {"deny": "10.0.0.1/8"}}, start=False)
    g.spawn()
    g.expect_status = g.process.wait(10)
    check(g.expect_status > 0 and "10.0.0.1/8" in g.log(), "named", g.log())


def status(g, key):
    with open(f"/proc/{g.process.pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith(key + ":"):
                return line.split()[1]
    return None


@case
def the_process_is_hardened():
    for on in (True, False):
        g = Gateway({"hardening": on}, sources=[sqlite_source()])
        core = resource.prlimit(g.process.pid, resource.RLIMIT_CORE)
        if on:
            eq((0, 0), core)
            value = status(g, "NoNewPrivs")
            if value is not None:
                eq("1", value)
        eq(200, g.query("lite", "SELECT 1").status)
        g.close()


@case
def security_headers():
    g = Gateway(sources=[sqlite_source()])
    for r in (g.query("lite", "SELECT 1"), g.query("lite", "DELETE FROM t"), g.get("/health"), g.get("/api/nothing"),
              g.get("/livez")):
        eq(("nosniff", "no-store", "default-src 'none'"),
           tuple(r.header(h) for h in ("X-Content-Type-Options", "Cache-Control", "Content-Security-Policy")), r.headers)
        for h in ("Server", "X-Powered-By", "Access-Control-Allow-Origin"):
            eq(None, r.header(h), r.headers)
    g.close()


main()
