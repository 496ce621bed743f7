"""Who may see and query which data source."""
from nxtest import Gateway, case, check, eq, main
from sample import ROWS, sqlite_source
from tokens import SECRET, bearer

ROOT = bearer("root", "admin")


def start(**auth):
    return Gateway({"auth": {"mode": "token", "jwtSecret": SECRET, **auth}},
                   sources=[sqlite_source("lite"), sqlite_source("other")])


def ask(g, who, source="lite", sql="SELECT id FROM many", **fields):
    return g.call("POST", "/api/v1/query", {"dataSource": source, "sql": sql, **fields}, headers=who)


def names(g, who, more=""):
    return [s["name"] for s in g.get("/api/v1/datasources" + more, headers=who).data["dataSources"]]


def grant(g, source, grants, who=ROOT):
    return g.call("PUT", f"/api/v1/datasources/{source}/grants", {"grants": grants}, headers=who)


def outcomes(g, who, source="lite"):
    """Status of every way to a source."""
    path = "/api/v1/datasources/" + source
    return [ask(g, who, source).status, g.get(path, headers=who).status,
            g.get(path + "/status", headers=who).status, g.get(path + "/schema", headers=who).status,
            g.post("/api/v1/query/validate", {"dataSource": source, "sql": "SELECT 1"}, headers=who).status,
            g.post("/api/v1/fetch", {"dataSource": source, "sql": "SELECT 1"}, headers=who).status]


@case
def without_grants_everybody_may():
    g = start()
    eq([200] * 6, outcomes(g, bearer("alice")))
    eq(None, g.get("/api/v1/datasources/lite/grants", headers=ROOT).data["grants"])
    g.close()


@case
def a_source_one_may_not_see_does_not_exist():
    g = start()
    r = grant(g, "lite", [{"principal": "alice"}, {"role": "operator"}])
    eq((200, 2), (r.status, len(r.data["grants"])), r)
    eq([200] * 6, outcomes(g, bearer("alice")))
    eq([200] * 6, outcomes(g, bearer("opi", "operator")))
    eq([404] * 6, outcomes(g, bearer("bob")))
    eq([200] * 6, outcomes(g, ROOT))
    hidden, missing = ask(g, bearer("bob")).json["error"], ask(g, bearer("bob"), "nothing").json["error"]
    eq(missing, hidden)
    eq(["other"], names(g, bearer("bob")))
    eq(["lite", "other"], names(g, bearer("alice")))
    eq((["other"], []), (names(g, bearer("bob"), "?limit=1"), names(g, bearer("bob"), "?limit=1&offset=1")))
    eq(1, g.get("/api/v1/datasources", headers=bearer("bob")).data["total"])
    for method in ("GET", "PUT", "DELETE"):
        body = {"grants": []} if method == "PUT" else None
        eq(403, g.call(method, "/api/v1/datasources/lite/grants", body, headers=bearer("alice")).status)
    # they last
    g.restart()
    eq((404, 200), (ask(g, bearer("bob")).status, ask(g, bearer("alice")).status))
    eq(204, g.delete("/api/v1/datasources/lite/grants", headers=ROOT).status)
    eq(200, ask(g, bearer("bob")).status)
    g.close()


@case
def an_open_cursor_ends_with_the_grant():
    g = start()
    grant(g, "lite", [{"principal": "alice"}])
    r = g.post("/api/v1/fetch", {"dataSource": "lite", "sql": "SELECT id FROM many", "batchSize": 10},
               headers=bearer("alice"))
    uri = r.data.get("nextUri") or r.json.get("nextUri")
    grant(g, "lite", [])
    r = g.get(uri[uri.index("/api/"):], headers=bearer("alice"))
    eq((404, "CURSOR_NOT_FOUND"), (r.status, r.code), r)
    g.close()


@case
def limits_of_a_grant():
    g = start()
    grant(g, "lite", [{"principal": "alice", "maxRows": 5}, {"role": "analyst", "maxRows": 2},
                      {"principal": "bits", "maxBytes": 2000}, {"principal": "slow", "timeout": 0.2}])
    eq(5, len(ask(g, bearer("alice")).rows))
    eq(3, len(ask(g, bearer("alice"), limit=3).rows))
    eq(2, len(ask(g, bearer("carol")).rows))
    eq(ROWS, len(ask(g, ROOT, limit=None).rows))
    check(len(ask(g, bearer("bits"), limit=None).body) < 20000, "bytes are limited")
    r = ask(g, bearer("slow"), sql="WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 1000000000) "
                                   "SELECT count(*) FROM r")
    eq((408, "QUERY_TIMEOUT"), (r.status, r.code), r)
    g.close()


@case
def the_default_may_be_nobody():
    g = start(defaultGrant="none")
    eq([404] * 6, outcomes(g, bearer("alice")))
    eq([], names(g, bearer("alice")))
    eq([200] * 6, outcomes(g, ROOT))
    grant(g, "lite", [{"role": "analyst"}])
    eq(200, ask(g, bearer("alice")).status)
    eq(404, ask(g, bearer("alice"), "other").status)
    g.close()


@case
def a_token_for_some_sources():
    g = start()
    eq([200] * 6, outcomes(g, bearer("alice", sources=["lite"])))
    eq([404] * 6, outcomes(g, bearer("alice", sources=["lite"]), "other"))
    eq(["lite"], names(g, bearer("alice", sources=["lite"])))
    eq(404, ask(g, bearer("alice", sources=[])).status)
    admin = bearer("root", "admin", sources=["lite"])
    eq((200, 404), (ask(g, admin).status, ask(g, admin, "other").status))
    r = g.call("PUT", "/api/v1/datasources/other/grants", {"grants": []}, headers=admin)
    eq((403, "FORBIDDEN"), (r.status, r.code), r)
    eq(403, g.get("/api/v1/keys", headers=admin).status)
    eq(401, ask(g, bearer("alice", sources="lite")).status)
    g.close()


@case
def bad_bodies():
    g = start()
    for body in ({}, {"grants": None}, {"grants": {}}, {"grants": [{}]}, {"grants": [], "x": 1},
                 {"grants": [{"role": "king"}]}, {"grants": [{"principal": "a", "maxRows": -1}]}):
        r = g.call("PUT", "/api/v1/datasources/lite/grants", body, headers=ROOT)
        eq(400, r.status, body, r)
    eq(404, grant(g, "nothing", []).status)
    eq(200, ask(g, bearer("bob")).status)
    g.close()


@case
def a_deleted_source_takes_its_grants_along():
    g = start()
    made = g.call("POST", "/api/v1/datasources", sqlite_source("third"), headers=ROOT).data["id"]
    grant(g, made, [])
    eq(404, ask(g, bearer("bob"), "third").status)
    eq(204, g.delete("/api/v1/datasources/" + made, headers=ROOT).status)
    g.call("POST", "/api/v1/datasources", sqlite_source("third"), headers=ROOT)
    eq(200, ask(g, bearer("bob"), "third").status)
    g.close()


main()
