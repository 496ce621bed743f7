"""Requests that must be refused: the case files, and what does not fit into lines of text."""
import json

import casefile
import servers
from nxtest import case, check, configure, eq, gateway, main, read_all, read_response
from sample import sqlite_source

configure({"http": {"maxBody": 200000, "maxHead": 8192}}, sources=lambda: [
    sqlite_source(), servers.postgres().source("pg"), servers.mariadb().source("maria")])
casefile.add_requests("bad_input.case", {"SOURCE": "lite"})
casefile.add_requests("sources_bad.case", {"SOURCE": "lite", "LONG_NAME": "n" * 256})


@case
def body_is_not_utf8():
    r = gateway().post("/api/v1/query", b'{"dataSource":"lite","sql":"SELECT \xff\xfe"}')
    eq(400, r.status, r)
    eq("BAD_JSON", r.code, r)


@case
def overlong_utf8():
    r = gateway().post("/api/v1/query", b'{"dataSource":"lite","sql":"SELECT \xc0\xaf"}')
    eq((400, "BAD_JSON"), (r.status, r.code), r)


@case
def lone_surrogate_is_not_silently_changed():
    r = gateway().post("/api/v1/query", '{"dataSource":"lite","sql":"SELECT ?","parameters":["\\ud800"]}')
    eq(400, r.status, r)


@case
def body_over_the_limit():
    r = gateway().post("/api/v1/query", {"dataSource": "lite", "sql": "SELECT 1", "x": "y" * 250000})
    eq((413, "BODY_TOO_LARGE"), (r.status, r.code), r)


@case
def chunked_body_over_the_limit():
    with gateway().socket() as s:
        s.sendall(gateway().request_bytes("POST", "/api/v1/query", headers=[
            "Content-Type: application/json", "Transfer-Encoding: chunked"]))
        try:
            for _ in range(100):
                s.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n")
        except ConnectionError:
            pass
        got, how = read_all(s, 5)
    check(got.startswith(b"HTTP/1.1 413 ") or (not got and how == "reset"), "413 or reset", got[:200])


@case
def sql_over_100_kib():
    r = gateway().query("lite", "SELECT '" + "x" * 102400 + "'")
    eq((400, "SQL_TOO_LONG"), (r.status, r.code), r)


@case
def sql_of_100_kib_passes():
    r = gateway().query("lite", "SELECT length('" + "x" * (102400 - 18) + "')")
    eq(200, r.status, r)


@case
def head_over_the_limit():
    r = gateway().call("GET", "/livez", headers={"X-Long": "a" * 9000}, api=False)
    eq(431, r.status, r)


@case
def too_many_headers():
    r = gateway().call("GET", "/livez", headers={f"X-{i}": "a" for i in range(200)}, api=False)
    eq(431, r.status, r)


@case
def target_too_long():
    r = gateway().call("GET", "/livez?" + "a" * 9000, api=False)
    check(r.status in (414, 431), "414 or 431", r)


@case
def too_complex_is_refused():
    deep = "SELECT 1"
    for _ in range(40):
        deep = f"SELECT * FROM ({deep}) AS x"
    r = gateway().query("lite", deep)
    eq((400, "TOO_COMPLEX"), (r.status, r.code), r)
    many = "SELECT 1 WHERE 1 IN (" + ",".join(str(i) for i in range(10001)) + ")"
    r = gateway().query("lite", many)
    eq((400, "TOO_COMPLEX"), (r.status, r.code), r)


DEEP = {
    "plus": lambda n: "SELECT " + "+".join(["1"] * n),
    "parentheses": lambda n: "SELECT " + "(" * n + "1" + ")" * n,
    "minus": lambda n: "SELECT " + "- " * n + "1",
    "not": lambda n: "SELECT " + "NOT " * n + "1",
    "case": lambda n: "SELECT " + "CASE WHEN 1=1 THEN " * n + "1" + " END" * n,
    "subquery": lambda n: "SELECT " + "(SELECT " * n + "1" + ")" * n,
    "function": lambda n: "SELECT " + "abs(" * n + "1" + ")" * n,
    "or": lambda n: "SELECT 1 WHERE " + " OR ".join(["1=1"] * n),
    "union": lambda n: " UNION ALL ".join(["SELECT 1"] * n),
    "array": lambda n: "SELECT " + "ARRAY[" * n + "1" + "]" * n,
    "concat": lambda n: "SELECT " + "||".join(["'a'"] * n),
    "cast": lambda n: "SELECT 1" + "::int" * n,
    "join": lambda n: "SELECT 1 FROM " + "(" * n + "t" + ")" * n,
    "with": lambda n: "WITH a AS (" * n + "SELECT 1" + ") SELECT 1" * n,
    "between": lambda n: "SELECT 1 WHERE " + "1 BETWEEN 0 AND " * n + "1",
    "in": lambda n: "SELECT 1 IN (" * n + "1" + ")" * n,
}


@case
def statements_nested_to_the_limit_crash_nobody():
    """Recursion of a parser or a client library must not end the process: up to 100 KiB of nesting."""
    for source in ("lite", "pg", "maria"):
        for name, make in DEEP.items():
            most = 102400 // (len(make(20)) - len(make(19)))
            for n in (300, 990, most // 2, most - 20):
                r = gateway().query(source, make(min(n, most - 20)), timeout=5)
                check(r.status in (200, 400, 403, 408), "answered", source, name, n, r)


@case
def a_source_names_all_its_broken_rules():
    r = gateway().post("/api/v1/datasources", {"name": "", "type": "postgresql", "config": {"port": 0}})
    eq(400, r.status, r)
    rules = json.dumps(r.json["error"].get("details"))
    for rule in ("DS-002", "DS-005", "DS-006"):
        check(rule in rules, f"details name {rule}", r)


@case
def errors_after_refusals_leave_the_connection_usable():
    with gateway().socket() as s:
        for _ in range(3):
            s.sendall(gateway().request_bytes("POST", "/api/v1/query", b'{"sql":1}'))
            status, _, body = read_response(s)
            eq(400, status, body)
        s.sendall(gateway().request_bytes("GET", "/livez"))
        eq(200, read_response(s)[0])


@case
def refusals_tell_position_and_token():
    r = gateway().query("lite", "SELECT 1; DELETE FROM t")
    details = r.json["error"].get("details") or {}
    check("position" in details, "details.position", r)


@case
def a_message_never_repeats_a_secret():
    r = gateway().post("/api/v1/datasources", {
        "name": "s1", "type": "postgresql",
        "config": {"host": "h", "username": "u", "password": "hunter2-very-secret", "port": 0}})
    eq(400, r.status, r)
    check(b"hunter2" not in r.body, "no secret in the answer", r)
    check("hunter2" not in gateway().log(), "no secret in the log")


@case
def what_may_stand_in_a_field_is_said():
    for field, value, words in (("limit", -1, "whole number of 0 or more"), ("limit", 1.5, "whole number"), ("limit", "1", "null for no limit"),
                                ("timeout", 0, "from 0.001 to 86400"), ("timeout", 86401, "from 0.001 to 86400"),
                                ("exactNumbers", 1, "true or false"), ("dataSource", "", "1 to 255 bytes")):
        r = gateway().call("POST", "/api/v1/query", {"dataSource": "lite", "sql": "SELECT 1", field: value})
        eq((400, "BAD_VALUE"), (r.status, r.code), r)
        check(r.json["error"]["message"].startswith(field + ":") and words in r.json["error"]["message"], words, r)
    r = gateway().call("POST", "/api/v1/fetch", {"dataSource": "lite", "sql": "SELECT 1", "batchSize": 0})
    check(r.code == "BAD_VALUE" and "from 1 to 100000" in r.json["error"]["message"], "the range", r)


main()
