"""Which functions a query may call: the option `functions` of a source, on a real PostgreSQL."""
import threading

import servers
from nxtest import Gateway, case, check, eq, main
from sample import sqlite_source

shared = {}


def pg():
    if "pg" not in shared:
        s = shared["pg"] = servers.postgres()
        s.sql("""
            DROP SCHEMA IF EXISTS fn CASCADE;
            DROP SCHEMA IF EXISTS fn_theirs CASCADE;
            CREATE SCHEMA fn; CREATE SCHEMA fn_theirs AUTHORIZATION api; GRANT USAGE ON SCHEMA fn TO api;
            CREATE FUNCTION fn.shout(text) RETURNS text LANGUAGE internal IMMUTABLE STRICT AS 'upper';
            CREATE FUNCTION fn.wild(text) RETURNS text LANGUAGE internal VOLATILE STRICT AS 'upper';
            CREATE FUNCTION fn.scripted(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT upper($1)';
            CREATE FUNCTION fn.elevated(text) RETURNS text LANGUAGE internal IMMUTABLE STRICT SECURITY DEFINER AS 'upper';
            CREATE FUNCTION fn."Shout"(text) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT upper($1)';
            CREATE FUNCTION fn.pg_ls_everything(text) RETURNS text LANGUAGE internal IMMUTABLE STRICT AS 'upper';
            SET ROLE api;
            CREATE FUNCTION fn_theirs.mine(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';""")
    return shared["pg"]


def gw():
    if "g" not in shared:
        s = pg()
        shared["g"] = Gateway(sources=[s.source(n.replace("-", ""), functions=n) for n in ("deny-list", "built-in", "catalog")])
    return shared["g"]


def judged(source, call):
    """OK or the code; the same by running and by asking."""
    sql = f"SELECT {call}"
    r = gw().query(source, sql)
    v = gw().post("/api/v1/query/validate", {"dataSource": source, "sql": sql})
    code = "OK" if r.status == 200 else r.json["error"]["code"]
    eq(code == "OK", v.data["valid"], sql, r, v)
    return code


@case
def what_each_setting_lets_pass():
    table = [  # call, deny-list, built-in, catalog
        ("upper('x')", "OK", "OK", "OK"),
        ("fn.shout('x')", "OK", "RO_FUNCTION", "OK"),
        ("FN.Shout('x')", "OK", "RO_FUNCTION", "OK"),
        ("fn.wild('x')", "OK", "RO_FUNCTION", "RO_FUNCTION"),
        ("fn.scripted('x')", "OK", "RO_FUNCTION", "RO_FUNCTION"),
        ("fn.elevated('x')", "OK", "RO_FUNCTION", "RO_FUNCTION"),
        ("fn_theirs.mine('x')", "OK", "RO_FUNCTION", "RO_FUNCTION"),
        ("fn.\"Shout\"('x')", "OK", "RO_FUNCTION", "RO_FUNCTION"),
        ("pg_sleep(0)", "RO_FUNCTION", "RO_FUNCTION", "RO_FUNCTION"),
        ("pg_read_file('/etc/passwd')", "RO_FUNCTION", "RO_FUNCTION", "RO_FUNCTION"),
        ("query_to_xml('select 1', true, true, '')", "RO_FUNCTION", "RO_FUNCTION", "RO_FUNCTION"),
        ("nextval('s')", "RO_FUNCTION", "RO_FUNCTION", "RO_FUNCTION"),
    ]
    for call, *want in table:
        eq(want, [judged(s, call) for s in ("denylist", "builtin", "catalog")], call)


@case
def harmful_names_stay_refused_whatever_the_catalog_says():
    """The name is on the gateway's own list; its catalog entry looks harmless."""
    pg().sql("CREATE OR REPLACE FUNCTION fn.dblink_exec(text) RETURNS text LANGUAGE internal IMMUTABLE STRICT AS 'upper';")
    gw().get("/api/v1/datasources/catalog/schema?refresh=true")
    eq("RO_FUNCTION", judged("catalog", "fn.dblink_exec('x')"))


@case
def another_function_of_the_name_takes_the_trust_away():
    gw().get("/api/v1/datasources/catalog/schema?refresh=true")
    eq("OK", judged("catalog", "fn.shout('x')"))
    pg().sql("SET ROLE api; CREATE FUNCTION fn_theirs.shout(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';")
    try:
        gw().get("/api/v1/datasources/catalog/schema?refresh=true")
        eq("RO_FUNCTION", judged("catalog", "fn.shout('x')"))
    finally:
        pg().sql("SET ROLE api; DROP FUNCTION fn_theirs.shout(int);")
    gw().get("/api/v1/datasources/catalog/schema?refresh=true")
    eq("OK", judged("catalog", "fn.shout('x')"))


@case
def the_first_ones_wait_for_the_catalog_and_all_are_answered():
    s = pg()
    g = Gateway(sources=[s.source("cold", functions="catalog", maxPoolSize=2)])
    codes = []

    def ask(sql):
        r = g.query("cold", sql)
        codes.append((sql[:12], r.status))
    threads = [threading.Thread(target=ask, args=[f"SELECT fn.shout('x{i}') {' ' * (20000 if i % 3 == 0 else 0)}"]) for i in range(24)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    eq({200}, {c for _, c in codes}, codes)
    eq(24, len(codes))
    # the door for agents goes the same way
    r = g.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "query", "arguments": {"source": "cold", "sql": "SELECT fn.shout('a') AS x"}}},
               headers={"Accept": "application/json, text/event-stream"}, api=False)
    check(b"RO_FUNCTION" not in r.body and b'"A"' in r.body.replace(b"\\", b""), "through /mcp", r)
    g.close()


@case
def also_when_nothing_is_kept():
    g = Gateway({"schema": {"ttl": 0, "maxStale": 0}}, sources=[pg().source("s", functions="catalog")])
    for i in range(3):
        r = g.query("s", f"SELECT fn.shout('x{i}') AS x")
        eq([[f"X{i}"]], r.data["rows"])
        eq("RO_FUNCTION", g.query("s", "SELECT fn.wild('x')").code)
        v = g.post("/api/v1/query/validate", {"dataSource": "s", "sql": "SELECT fn.shout('x')"})
        check(v.data["valid"], "judged alike", v)
    g.close()


@case
def a_source_that_is_away_is_said_to_be_away():
    dead = pg().source("dead", functions="catalog", connectTimeout=1)
    dead["config"]["port"] = servers.free_port()
    g = Gateway(sources=[dead])
    r = g.query("dead", "SELECT fn.shout('x')")
    eq((503, "SOURCE_DOWN"), (r.status, r.json["error"]["code"]))
    r = g.post("/api/v1/query/validate", {"dataSource": "dead", "sql": "SELECT fn.shout('x')"})
    eq((503, "SOURCE_DOWN"), (r.status, r.json["error"]["code"]))
    g.close()


@case
def only_where_the_catalog_can_tell():
    g = Gateway()
    r = g.post("/api/v1/datasources", sqlite_source("lite", functions="catalog"))
    eq(400, r.status, r)
    check("config.functions" in str(r.json), "which key", r)
    g.close()


main()
