"""GET /query/history: filters, rights, pages."""
import datetime
import urllib.parse

from nxtest import Gateway, case, check, eq, gateway, main, until
from nxtest import configure
from sample import sqlite_source
from tokens import SECRET, bearer

configure({"auth": {"mode": "token", "jwtSecret": SECRET}, "log": {"level": "warn"}})


def history(who="root", role="admin", **filters):
    r = gateway().get("/api/v1/query/history?" + urllib.parse.urlencode(filters), headers=bearer(who, role))
    eq(200, r.status, r)
    return r.data["queries"]


def prepare():
    if hasattr(prepare, "ids"):
        return prepare.ids
    g = gateway()
    prepare.ids = {}
    for name in ("one", "two"):
        r = g.call("POST", "/api/v1/datasources", sqlite_source(name), headers=bearer("root", "admin"))
        prepare.ids[name] = r.data["id"]
    prepare.before = now()
    for who in ("ann", "bob"):
        for name in ("one", "two"):
            for sql in ("SELECT 1", "DELETE FROM t", "SELECT nope FROM t"):
                g.query(name, sql, headers={**bearer(who), "X-Correlation-ID": f"{who}-{name}"})
    prepare.after = now()
    until("it is stored", lambda: len(history()) == 12)
    return prepare.ids


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


@case
def filters_and_their_combinations():
    ids = prepare()
    eq(12, len(history()))
    eq(["rejected"] * 4, [q["status"] for q in history(status="rejected")])
    eq(["UNDEFINED_OBJECT"] * 4, [q["code"] for q in history(status="error")])
    eq([], history(status="timeout"))
    eq({ids["one"]}, {q["dataSourceId"] for q in history(source="one")})
    eq(history(source="one"), history(source=ids["one"]))
    eq(6, len(history(source="two")))
    eq([], history(source="three"))
    eq(6, len(history(principal="ann")))
    eq([], history(principal="an"))
    (q,) = history(principal="ann", source="two", status="success")
    eq(("ann-two", "ann", "success", 1), (q["correlationId"], q["principal"], q["status"], q["rows"]))


@case
def times():
    prepare()
    eq(12, len(history(since=prepare.before, until="9999-12-31")))
    eq([], history(until=prepare.before))
    eq([], history(since="9999-12-31T00:00Z"))
    day = prepare.before[:10]
    eq(12, len(history(since=day, until="9999-12-31T23:59:59.9Z")))
    starts = [q["startedAt"] for q in history()]
    eq(sorted(starts, reverse=True), starts)
    at = starts[5]
    eq([s for s in starts if s >= at], [q["startedAt"] for q in history(since=at)])
    eq([s for s in starts if s < at], [q["startedAt"] for q in history(until=at)])


@case
def pages_count_what_the_filter_takes():
    prepare()
    whole = history(principal="bob")
    eq(whole, history(principal="bob", limit=4) + history(principal="bob", limit=4, offset=4))
    eq(whole[5:], history(principal="bob", limit=10, offset=5))


@case
def bad_values_are_refused():
    prepare()
    for bad in ("status=ok", "status=", "since=yesterday", "since=2026-13-01", "until=2026-01-01T25:00:00Z", "since=2026-1-1",
                "since=2026-01-01T00:00:00", "since=2026-01-01T00:00:00%2B01:00", "until=2026-01-01T00:00:00.Z", "until=",
                "since=2026-01-01T00:00:00.1234Z", "since=2026-01-01T00Z", "limit=1001", "limit=x"):
        r = gateway().get("/api/v1/query/history?" + bad, headers=bearer("root", "admin"))
        eq((400, "BAD_VALUE"), (r.status, r.code), bad)
    r = gateway().get("/api/v1/query/history?user=ann", headers=bearer("root", "admin"))
    eq(400, r.status, r)


@case
def others_queries_are_not_shown():
    prepare()
    eq({"ann"}, {q["principal"] for q in history("ann", "analyst")})
    eq(6, len(history("ann", "analyst", principal="ann")))
    for role in ("analyst", "agent"):
        r = gateway().get("/api/v1/query/history?principal=bob", headers=bearer("ann", role))
        eq((403, "FORBIDDEN"), (r.status, r.code), r)
    eq({"bob"}, {q["principal"] for q in history("op", "operator", principal="bob")})
    narrowed = gateway().get("/api/v1/query/history", headers=bearer("ann", "analyst", sources=["one"])).data["queries"]
    eq((3, {prepare.ids["one"]}), (len(narrowed), {q["dataSourceId"] for q in narrowed}))
    eq([], gateway().get("/api/v1/query/history?source=two", headers=bearer("ann", "analyst", sources=["one"])).data["queries"])
    eq(401, gateway().get("/api/v1/query/history").status)


@case
def only_so_many_are_kept():
    g = Gateway({"history": {"keep": 50}}, sources=[sqlite_source()])
    for i in range(120):
        g.query("lite", "SELECT 1", headers={"X-Correlation-ID": f"n-{i}"})
    until("the last one", lambda: "\"n-119\"" in g.get("/api/v1/query/history?limit=1").text)
    kept = g.get("/api/v1/query/history?limit=1000").data["queries"]
    eq(50, len(kept))
    eq(["n-70"], [kept[-1]["correlationId"]])


main()
