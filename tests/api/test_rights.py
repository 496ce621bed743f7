"""Every route of routes.def with every kind of caller: who is let in, who is turned away, and how.

The routes come from the gateway's own table, so a new one cannot be forgotten; what each right means is written
down here a second time, on purpose. A body or id that means nothing is sent, so that being let in changes
nothing: the answer is then 400 or 404."""
import json
import os
import re
import time

from nxtest import ROOT, Gateway, case, check, eq, main, until
from sample import sqlite_source
from tokens import SECRET, bearer

NOBODY = "00000000-0000-4000-8000-000000000000"
EVERYBODY = {"agent", "analyst", "operator", "admin"}
WHO = {  # right: roles that have it
    "QUERY": EVERYBODY, "SEE_SOURCES": EVERYBODY, "TEST_SOURCES": {"operator", "admin"},
    "METRICS": {"operator", "admin"}, "SEE_ALL_QUERIES": {"operator", "admin"},
    "EDIT_SOURCES": {"admin"}, "EDIT_KEYS": {"admin"}, "SELF": EVERYBODY,
}
SCOPES = {"query": "QUERY", "sources": "SEE_SOURCES", "queries": "SEE_ALL_QUERIES", "test": "TEST_SOURCES",
          "edit": "EDIT_SOURCES", "metrics": "METRICS"}
NOT_NARROWED = {"EDIT_SOURCES", "EDIT_KEYS", "SEE_ALL_QUERIES", "METRICS"}
shared = {}


def routes():
    """(method, path, right) of each."""
    with open(os.path.join(ROOT, "src/gate/routes.def"), encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    out = re.findall(r'NX_ROUTE\(\w+,\s*(\w+),\s*"([^"]+)",\s*(\w+),', text)
    eq(text.count("NX_ROUTE("), len(out), "each route is read")
    for _, path, right in out:
        check(right == "NONE" or right in WHO, f"{path}: what does the right {right} mean? Say it in this test")
    return out


def gw():
    if "g" not in shared:
        shared["g"] = Gateway({"auth": {"mode": "token", "jwtSecret": SECRET}, "limits": {"perAddress": 0}},
                              sources=[sqlite_source("lite"), sqlite_source("hidden")])
    return shared["g"]


def send(method, path, headers, **ids):
    for name in re.findall(r"{(\w+)}", path):
        path = path.replace("{" + name + "}", ids.get(name, NOBODY))
    body = {"nonsense": 1} if method in ("POST", "PUT") else None
    return gw().call(method, path, body, headers=headers, api=not path.startswith("/mcp"))


def code(r):
    """The error code, also of a door that wraps it in its own protocol's error."""
    error = r.json.get("error") or {}
    return error.get("data", {}).get("code") if r.path == "/mcp" else error.get("code")


def sweep(headers, allowed, what):
    """`allowed` is a set of rights; the others are refused with 403."""
    for method, path, right in routes():
        r = send(method, path, headers)
        if right in ("NONE", "SELF") or right in allowed:
            check(r.status not in (401, 403), f"{what} may {method} {path}", r)
        else:
            eq((403, "FORBIDDEN"), (r.status, code(r)), f"{what}: {method} {path}", r)


def rights_of(role):
    return {right for right, roles in WHO.items() if role in roles}


def issue(role, **more):
    r = gw().post("/api/v1/keys", {"name": "sweep", "role": role, **more}, headers=bearer("root", "admin"))
    eq(201, r.status, r)
    return {"X-API-Key": r.data["key"]}


@case
def the_document_lists_the_same_routes():
    doc = json.loads(gw().raw_get("/openapi.json"))
    listed = {(m.upper(), p) for p, ops in doc["paths"].items() for m in ops}
    eq(sorted((m, p) for m, p, _ in routes()), sorted(listed))
    open_ones = {(m.upper(), p) for p, ops in doc["paths"].items() for m, o in ops.items() if o.get("security") == []}
    eq(sorted((m, p) for m, p, right in routes() if right == "NONE"), sorted(open_ones))


@case
def without_good_credentials():
    key = issue("admin", ttl=1)["X-API-Key"]
    time.sleep(2.1)
    now = int(time.time())
    bad = {
        "nobody": ({}, "UNAUTHENTICATED"),
        "an empty token": ({"Authorization": "Bearer "}, "UNAUTHENTICATED"),
        "garbage": ({"Authorization": "Bearer x.y.z"}, "UNAUTHENTICATED"),
        "basic": ({"Authorization": "Basic cm9vdDpyb290"}, "UNAUTHENTICATED"),
        "another's secret": (bearer("root", "admin", secret="x" * 40), "UNAUTHENTICATED"),
        "an unknown role": (bearer("root", "king"), "UNAUTHENTICATED"),
        "an expired token": (bearer("root", "admin", exp=now - 3600), "TOKEN_EXPIRED"),
        "an expired key": ({"X-API-Key": key}, "TOKEN_EXPIRED"),
        "an unknown key": ({"X-API-Key": "nxk_00000000_" + "0" * 64}, "UNAUTHENTICATED"),
        "both": ({**bearer("root", "admin"), "X-API-Key": key}, "UNAUTHENTICATED"),
    }
    for what, (headers, want) in bad.items():
        for method, path, right in routes():
            r = send(method, path, headers)
            if right == "NONE":
                check(r.status != 401, f"{method} {path} is open", r)
            else:
                eq((401, want), (r.status, code(r)), f"{what}: {method} {path}", r)
                check(r.header("WWW-Authenticate"), "WWW-Authenticate", r.headers)


@case
def each_role():
    for role in sorted(EVERYBODY):
        sweep(bearer("sweeper", role), rights_of(role), role)
        sweep(issue(role), rights_of(role), f"a key of {role}")


@case
def each_scope():
    for role in ("agent", "operator", "admin"):
        for scope, right in SCOPES.items():
            sweep(issue(role, scopes=[scope]), rights_of(role) & {right}, f"{role} for {scope}")
    sweep(issue("admin", scopes=sorted(SCOPES)), rights_of("admin") - {"EDIT_KEYS"}, "admin with all scopes")


@case
def who_am_i():
    r = gw().get("/api/v1/whoami", headers=bearer("root", "admin"))
    eq(("root", "admin"), (r.data["name"], r.data["role"]))
    eq({*SCOPES, "keys"}, set(r.data["rights"]))
    check(r.data["expiresAt"] is None or r.data["expiresAt"].endswith("Z"), "when it ends", r)
    r = gw().get("/api/v1/whoami", headers=issue("operator", scopes=["metrics"], ttl=600))
    eq(["metrics"], r.data["rights"])
    check(r.data["name"].startswith("key:") and r.data["expiresAt"] > "2026", "a key", r)


@case
def tools_have_rights_of_their_own():
    """The tools of /mcp that tell of sources want what the pages that tell of sources want."""
    def tool(who, name, **arguments):
        r = gw().post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": name, "arguments": arguments}}, headers={**who, "Accept": "application/json, text/event-stream"},
                      api=False)
        return code(r) if "error" in r.json else None
    only_query = issue("analyst", scopes=["query"])
    eq(None, tool(only_query, "query", source="lite", sql="SELECT 1"))
    eq("FORBIDDEN", tool(only_query, "search_schema"))
    eq("FORBIDDEN", tool(only_query, "describe", source="lite", table="t"))
    both = issue("analyst", scopes=["query", "sources"])
    eq([None, None], [tool(both, "search_schema"), tool(both, "describe", source="lite", table="t")])


@case
def narrowed_to_sources():
    for role in sorted(EVERYBODY):
        rights = rights_of(role) - NOT_NARROWED
        sweep(bearer("sweeper", role, sources=["lite"]), rights, f"{role} for lite")
        sweep(issue(role, sources=["lite"]), rights, f"a key of {role} for lite")


@case
def methods_that_a_path_does_not_have():
    """HEAD is GET; any other unknown one tells nothing that needs rights."""
    for path in sorted({p for _, p, _ in routes()}):
        # a fixed path may also be an id of another route: the first that fits answers
        has = {}
        for m, p, right in routes():
            if re.fullmatch(re.sub(r"{\w+}", "[^/]+", p), path):
                has.setdefault(m, right)
        r = gw().call("HEAD", re.sub(r"{\w+}", NOBODY, path), headers={}, api=False)
        if "GET" in has:
            eq(has["GET"] != "NONE", r.status == 401, f"HEAD {path} {r.status}")
        else:
            eq(405, r.status, f"HEAD {path}")
        r = gw().call("PATCH", re.sub(r"{\w+}", NOBODY, path), headers={}, api=False)
        check(r.status in (405, 501), f"PATCH {path}", r)


@case
def other_sources_are_nowhere_to_be_seen():
    """Every GET, by name and by id of a source that the caller does not reach: its name is in no answer."""
    root = bearer("root", "admin")
    ids = {s["name"]: s["id"] for s in gw().get("/api/v1/datasources", headers=root).data["dataSources"]}
    hidden = ids["hidden"]
    for who in ("eve", "root"):  # others' queries, and one's own
        r = gw().post("/api/v1/query", {"dataSource": "hidden", "sql": "SELECT 'on hidden'"}, headers=bearer(who))
        eq(200, r.status, r)
    until("it is in the history",
          lambda: hidden in gw().get("/api/v1/query/history", headers=bearer("eve")).text, 5)
    eq(200, gw().call("PUT", f"/api/v1/datasources/{hidden}/grants", {"grants": [{"principal": "eve"}]},
                      headers=root).status)
    callers = {"a narrowed admin": bearer("root", "admin", sources=["lite"]),
               "a narrowed operator": bearer("root", "operator", sources=["lite"]),
               "a narrowed key": issue("admin", sources=["lite"]),
               "one without a grant": bearer("bob", "analyst")}
    for what, headers in callers.items():
        for method, path, _ in routes():
            for at in ("hidden", hidden):
                r = send(method, path, headers, id=at)
                text = r.body.decode("utf-8", "replace")
                text = text.replace(f'"correlationId":"{hidden}"', "")
                check('"hidden"' not in text and hidden not in text and "on hidden" not in text,
                      f"{what}: {method} {path}", r)
                if "/datasources/{id}" in path:
                    check(r.status in (403, 404) or (r.status == 400 and method != "GET"), f"{what}: {method} {path}", r)
        for path, body in (("query", {}), ("query/validate", {}), ("fetch", {"batchSize": 5})):
            for key, value in (("dataSource", "hidden"), ("dataSourceId", hidden)):
                r = gw().post("/api/v1/" + path, {key: value, "sql": "SELECT 1", **body}, headers=headers)
                eq((404, "SOURCE_NOT_FOUND"), (r.status, r.code), what, path, r)
        r = gw().post(f"/api/v1/datasources/{hidden}/test", headers=headers)
        check(r.status in (403, 404), f"{what}: test", r)
    eq(204, gw().delete(f"/api/v1/datasources/{hidden}/grants", headers=root).status)


@case
def other_peoples_ids_answer_404():
    """Queries, cursors and history of somebody else, whatever the way in; analysts and agents alike."""
    alice = bearer("alice")
    r = gw().post("/api/v1/query", {"dataSource": "lite", "sql": "SELECT 'of alice'"}, headers=alice)
    query = r.data["metadata"]["queryId"]
    r = gw().post("/api/v1/fetch", {"dataSource": "lite", "sql": "SELECT id FROM many", "batchSize": 5}, headers=alice)
    uri = r.data.get("nextUri") or r.json.get("nextUri")
    uri = uri[uri.index("/api/"):]
    until("it is in the history", lambda: query in gw().get("/api/v1/query/history", headers=alice).text, 5)
    others = [bearer("bob"), bearer("bob", "agent"), bearer("Alice"), bearer("alice "), issue("analyst")]
    for who in others:
        eq(404, gw().get("/api/v1/queries/" + query, headers=who).status)
        eq(404, gw().delete("/api/v1/queries/" + query, headers=who).status)
        eq((404, "CURSOR_NOT_FOUND"), (gw().get(uri, headers=who).status, gw().get(uri, headers=who).code))
        check(gw().delete(uri, headers=who).status in (204, 404), "closing says nothing")
        for path in ("/api/v1/queries", "/api/v1/query/history"):
            check(query not in gw().get(path, headers=who).text, path)
    eq(200, gw().get(uri, headers=alice).status)  # nobody closed it
    eq(200, gw().get("/api/v1/queries/" + query, headers=alice).status)
    eq(200, gw().get("/api/v1/queries/" + query, headers=bearer("opi", "operator")).status)
    # a name that could be taken for a key's or for nobody's is no subject
    prefix = others[4]["X-API-Key"][4:12]
    for name in ("key:" + prefix, "anonymous", ""):
        eq(401, gw().get("/api/v1/queries", headers=bearer(name)).status)


main()
