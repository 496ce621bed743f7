"""Row and column restrictions: a grant that uses another data source, whose login the database restricts."""
import nxtest
import servers
from nxtest import Gateway, case, check, eq, main
from sample import sqlite_source
from tokens import SECRET, bearer

ROOT = bearer("root", "admin")
TOKENS = {"auth": {"mode": "token", "jwtSecret": SECRET}}


def put(g, source, grants, who=ROOT):
    return g.call("PUT", f"/api/v1/datasources/{source}/grants", {"grants": grants}, headers=who)


def ask(g, who, sql, source="hr", **more):
    return g.call("POST", "/api/v1/query", {"dataSource": source, "sql": sql, **more}, headers=bearer(who))


SETUP = """
CREATE ROLE nx_narrow LOGIN PASSWORD 'narrow';
CREATE TABLE nx_staff (id int PRIMARY KEY, team text, name text, salary int);
INSERT INTO nx_staff SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, 'n' || i, i * 100 FROM generate_series(1, 10) i;
GRANT SELECT (id, team, name) ON nx_staff TO nx_narrow;
ALTER TABLE nx_staff ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON nx_staff TO api USING (true);
CREATE POLICY team_a ON nx_staff TO nx_narrow USING (team = 'a');
"""


def postgres():
    pg = servers.postgres()
    clean = ("DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'nx_narrow') THEN "
           "DROP TABLE IF EXISTS nx_staff; DROP OWNED BY nx_narrow; DROP ROLE nx_narrow; END IF; END $$")
    pg.sql(clean)
    nxtest.closers.append(lambda: pg.sql(clean))  # before the server goes, after the gateway has
    for statement in SETUP.strip().split(";\n"):
        pg.sql(statement)
    wide = pg.source("hr")
    narrow = pg.source("hr for analysts")
    narrow["config"].update(username="nx_narrow", password="narrow")
    return wide, narrow


@case
def the_database_restricts_rows_and_columns():
    wide, narrow = postgres()
    g = Gateway(TOKENS, sources=[wide, narrow])
    eq(200, put(g, "hr", [{"role": "analyst", "use": "hr for analysts"}, {"principal": "boss"}]).status)
    sid = [s["id"] for s in g.get("/api/v1/datasources", headers=ROOT).data["dataSources"]
           if s["name"] == "hr for analysts"][0]
    eq(200, put(g, sid, []).status)  # by its own name: admins only
    eq(10, ask(g, "boss", "SELECT count(*) FROM nx_staff").rows[0][0])
    eq(5500, int(ask(g, "boss", "SELECT sum(salary) FROM nx_staff").rows[0][0]))
    eq(5, ask(g, "ann", "SELECT count(*) FROM nx_staff").rows[0][0])
    for sql in ("SELECT salary FROM nx_staff", "SELECT * FROM nx_staff",
                "SELECT row_to_json(s) FROM nx_staff s", "SELECT s FROM public.nx_staff s",
                "SELECT 1 FROM nx_staff ORDER BY salary", "SELECT count(*) FROM nx_staff WHERE salary > 500"):
        r = ask(g, "ann", sql)
        eq((403, "SOURCE_PERMISSION"), (r.status, r.code), sql, r)
    # ways around that would beat a filter put into the text
    for sql in ("WITH nx_staff AS (SELECT * FROM public.nx_staff WHERE false) SELECT count(*) FROM public.nx_staff",
                'SELECT count(*) FROM "public"."nx_staff"', "SELECT count(*) FROM ONLY nx_staff",
                "SELECT count(*) FROM (TABLE nx_staff) t WHERE false OR true"):
        r = ask(g, "ann", sql)
        check(r.status != 200 or r.rows[0][0] == 5, sql, r)
    for who, name, status in (("ann", "hr for analysts", 404), ("boss", "hr for analysts", 404)):
        eq(status, ask(g, who, "SELECT 1", name).status)
    # the schema is what that login sees; listings show what was granted
    eq(["hr"], [s["name"] for s in g.get("/api/v1/datasources", headers=bearer("ann")).data["dataSources"]])
    def columns(who):
        r = g.get("/api/v1/datasources/hr/schema?table=nx_staff", headers=bearer(who))
        eq(200, r.status, r)
        return r.text
    check("salary" in columns("boss"), "the wide login sees the column", columns("boss"))
    check("team" in columns("ann") and "salary" not in columns("ann"), "the narrow one does not", columns("ann"))
    # and so do the tools for agents, whichever way they are asked
    def tool(who, name, **arguments):
        r = g.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": name, "arguments": arguments}}, headers={**bearer(who), "Accept": "application/json"}, api=False)
        eq(200, r.status, r)
        return r.text
    for name, arguments in (("search_schema", {"query": "staff"}), ("search_schema", {"query": "salary"}),
                            ("search_schema", {"source": "hr", "query": "staff"}),
                            ("describe", {"source": "hr", "table": "nx_staff"})):
        text = tool("ann", name, **arguments)
        check('"salary' not in text.replace("\\", "") and "analysts" not in text, name, arguments, text)
        if arguments.get("query") != "salary":
            check("nx_staff" in text, name, arguments, text)
    check("salary" in tool("boss", "describe", source="hr", table="nx_staff"), "the wide login sees it")
    check("analysts" not in tool("ann", "search_schema"), "listed as what was granted")
    # a cursor stays on its login, and ends with the grant
    r = g.post("/api/v1/fetch", {"dataSource": "hr", "sql": "SELECT id FROM nx_staff ORDER BY id", "batchSize": 2},
               headers=bearer("ann"))
    eq([[2], [4]], r.data["rows"], r)
    uri = r.data.get("nextUri") or r.json.get("nextUri")
    uri = uri[uri.index("/api/"):]
    eq([[6], [8]], g.get(uri, headers=bearer("ann")).data["rows"])
    put(g, "hr", [{"principal": "ann"}])  # wider now: the cursor was not opened so
    r = g.get(uri[:-1] + "2", headers=bearer("ann"))
    eq((404, "CURSOR_NOT_FOUND"), (r.status, r.code), r)
    eq(10, ask(g, "ann", "SELECT count(*) FROM nx_staff").rows[0][0])
    g.close()


@case
def a_stand_in_is_not_told_of():
    """Its pages are those of the source that was asked for; an operator may test it all the same."""
    g = Gateway(TOKENS, sources=[sqlite_source("hr")])
    hr = g.get("/api/v1/datasources/hr", headers=ROOT).data["id"]
    narrow = sqlite_source("hidden twin")
    made = g.post("/api/v1/datasources", {**narrow, "description": "hidden"}, headers=ROOT).data["id"]
    eq(200, put(g, made, []).status)
    eq(200, put(g, "hr", [{"role": "analyst", "use": made}, {"role": "operator", "use": made}]).status)
    for who, role in (("ann", "analyst"), ("opi", "operator")):
        for path in ("", "/status"):
            r = g.get(f"/api/v1/datasources/{hr}{path}", headers=bearer(who, role))
            eq((200, hr), (r.status, r.data["id"]), r)
            check("hidden" not in r.text and made not in r.text, "nothing of the other", r)
        eq(404, g.get(f"/api/v1/datasources/{made}", headers=bearer(who, role)).status)
    for _ in range(2):
        r = g.post(f"/api/v1/datasources/{hr}/test", headers=bearer("opi", "operator"))
        eq((200, True), (r.status, r.data["ok"]), r)
    g.close()


@case
def a_stand_in_that_is_gone_closes_the_grant():
    g = Gateway(TOKENS, sources=[sqlite_source("hr")])
    made = g.post("/api/v1/datasources", sqlite_source("narrow"), headers=ROOT).data["id"]
    for bad in ("nothing", "", "hr", None, 7, "x" * 128):
        r = put(g, "hr", [{"role": "analyst", "use": bad}])
        eq((400, "BAD_VALUE"), (r.status, r.code), bad, r)
    eq(200, put(g, "hr", [{"role": "analyst", "use": made, "maxRows": 2}]).status)
    r = ask(g, "ann", "SELECT id FROM many")
    eq((200, 2, made), (r.status, len(r.rows), r.data["metadata"]["dataSourceId"]), r)
    g.restart()
    eq(200, ask(g, "ann", "SELECT 1").status)
    eq(204, g.delete("/api/v1/datasources/" + made, headers=ROOT).status)
    eq((404, "SOURCE_NOT_FOUND"), (ask(g, "ann", "SELECT 1").status, ask(g, "ann", "SELECT 1").code))
    eq(200, g.post("/api/v1/query", {"dataSource": "hr", "sql": "SELECT 1"}, headers=ROOT).status)
    g.close()


main()
