"""API keys: scopes, data sources, expiry, last use."""
import json
import time

from nxtest import Gateway, case, check, eq, main, until
from sample import sqlite_source
from tokens import SECRET, bearer

ROOT = bearer("root", "admin")
CONFIG = {"auth": {"mode": "token", "jwtSecret": SECRET}}
shared = {}


def gw():
    if "g" not in shared:
        shared["g"] = Gateway(CONFIG, sources=[sqlite_source("lite"), sqlite_source("other")])
    return shared["g"]


def issue(role="analyst", kind="key", **more):
    r = gw().post("/api/v1/keys", {"name": "robot", "role": role, "kind": kind, **more}, headers=ROOT)
    eq(201, r.status, r)
    text = r.data["key" if kind == "key" else "token"]
    return {"X-API-Key": text} if kind == "key" else {"Authorization": "Bearer " + text}


def ask(who, source="lite", sql="SELECT 1"):
    return gw().post("/api/v1/query", {"dataSource": source, "sql": sql}, headers=who)


def listed(prefix):
    return [k for k in gw().get("/api/v1/keys", headers=ROOT).data["keys"] if k["prefix"] == prefix][0]


@case
def scopes_take_rights_away():
    ways = {"query": ("/api/v1/queries", "agent"), "sources": ("/api/v1/datasources", "agent"),
            "metrics": ("/metrics", "operator")}
    for kind in ("key", "jwt"):
        for scope, (path, role) in ways.items():
            who = issue(role, kind, scopes=[scope])
            for other, (where, _) in ways.items():
                eq(200 if other == scope else 403, gw().get(where, headers=who).status, kind, scope, where)
        # a scope never adds a right
        who = issue("agent", kind, scopes=["query", "edit", "metrics", "test"])
        eq(403, gw().get("/metrics", headers=who).status)
        eq(403, gw().post("/api/v1/datasources", sqlite_source("mine"), headers=who).status)
        eq(200, ask(who).status)
        # and nobody with scopes issues keys
        who = issue("admin", kind, scopes=["query", "sources", "queries", "test", "edit", "metrics"])
        eq(403, gw().get("/api/v1/keys", headers=who).status)
        r = gw().post("/api/v1/keys", {"name": "x", "role": "admin"}, headers=who)
        eq((403, "FORBIDDEN"), (r.status, r.code), r)
        eq(200, gw().get("/metrics", headers=who).status)


@case
def keys_for_some_sources():
    for kind in ("key", "jwt"):
        who = issue("analyst", kind, sources=["lite"])
        eq((200, 404), (ask(who).status, ask(who, "other").status))
        eq(["lite"], [s["name"] for s in gw().get("/api/v1/datasources", headers=who).data["dataSources"]])
        eq(404, gw().get("/api/v1/datasources/other/status", headers=who).status)
        eq(404, ask(issue("analyst", kind, sources=[])).status)
        eq(403, gw().get("/api/v1/keys", headers=issue("admin", kind, sources=["lite"])).status)


@case
def limits_last_over_a_restart_and_are_listed():
    who = issue("operator", scopes=["query", "metrics"], sources=["lite", "third"])
    prefix = who["X-API-Key"][4:12]
    row = listed(prefix)
    eq((["query", "metrics"], ["lite", "third"], None), (row["scopes"], row["sources"], row["lastUsedAt"]))
    plain = issue("operator")
    row = listed(plain["X-API-Key"][4:12])
    check("scopes" not in row and "sources" not in row, "no limits", row)
    gw().restart()
    eq((200, 404), (ask(who).status, ask(who, "other").status))
    eq(403, gw().get("/api/v1/datasources", headers=who).status)
    eq(403, gw().get("/metrics", headers=who).status)  # narrowed to sources: tells of others
    eq(200, gw().get("/metrics", headers=plain).status)


@case
def last_use_is_shown_and_kept():
    who = issue()
    prefix = who["X-API-Key"][4:12]
    eq(None, listed(prefix)["lastUsedAt"])
    eq(401, ask({"X-API-Key": who["X-API-Key"][:-1] + ("0" if who["X-API-Key"][-1] != "0" else "1")}).status)
    eq(None, listed(prefix)["lastUsedAt"])  # a wrong guess is no use
    before = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    eq(200, ask(who).status)
    at = listed(prefix)["lastUsedAt"]
    check(at[:19] >= before, "just now", at)
    gw().restart()  # written when the gateway ends
    eq(at, listed(prefix)["lastUsedAt"])


@case
def keys_expire():
    who = issue(ttl=1)
    eq(200, ask(who).status)
    until("it has expired", lambda: ask(who).status == 401, 4)
    eq("TOKEN_EXPIRED", ask(who).code)


@case
def bad_bodies():
    for more in ({"scopes": []}, {"scopes": "query"}, {"scopes": ["root"]}, {"scopes": ["keys"]}, {"scopes": [1]},
                 {"scopes": ["query"] * 7}, {"sources": "lite"}, {"sources": [""]}, {"sources": [None]},
                 {"sources": ["x"] * 17}, {"sources": ["x" * 256]}, {"scope": ["query"]}):
        r = gw().post("/api/v1/keys", {"name": "robot", "role": "agent", **more}, headers=ROOT)
        eq(400, r.status, more, r)


@case
def a_narrowed_caller_does_not_see_its_own_queries_elsewhere():
    wide, narrow = bearer("carol"), bearer("carol", sources=["lite"])
    ids = {s: ask(wide, s, f"SELECT '{s} secret'").data["metadata"]["queryId"] for s in ("lite", "other")}
    for path in ("/api/v1/queries", "/api/v1/query/history"):
        def seen():
            return json.dumps(gw().get(path, headers=wide).json)
        until("both are listed", lambda: ids["lite"] in seen() and ids["other"] in seen(), 5)
        text = json.dumps(gw().get(path, headers=narrow).json)
        check(ids["lite"] in text and ids["other"] not in text, path, text)
    eq(200, gw().get("/api/v1/queries/" + ids["lite"], headers=narrow).status)
    eq(404, gw().get("/api/v1/queries/" + ids["other"], headers=narrow).status)
    eq(200, gw().get("/api/v1/queries/" + ids["other"], headers=wide).status)


main()
