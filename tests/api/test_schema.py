"""Schema browse: what is shown of each kind of source, and the cache behind it."""
import os
import re
import sqlite3
import tempfile
import threading
import time

import nxtest
import servers
from nxtest import Gateway, case, check, configure, eq, gateway, main, skip, until
from sample import sqlite_source
from tokens import SECRET, bearer

ROOT = bearer("root", "admin")


def path(source, query=""):
    return f"/api/v1/datasources/{source}/schema{query}"


def tables(g, source, query="", **kw):
    r = g.get(path(source, query), **kw)
    eq(200, r.status, r)
    return {t["name"]: t for t in r.data["tables"]}


def loads(g):
    text = g.get("/metrics", headers=ROOT).text
    return int(re.search(r"^nexus_schema_loads_total (\d+)$", text, re.M).group(1))


def sqlite_with(script):
    folder = tempfile.mkdtemp(prefix="nxschema.")
    file = os.path.join(folder, "s.db")
    db = sqlite3.connect(file)
    db.executescript(script)
    db.commit()
    db.close()

    def remove():
        os.unlink(file)
        os.rmdir(folder)
    nxtest.closers.insert(0, remove)
    return file


def lite(name, file, **config):
    return {"name": name, "type": "sqlite", "config": {"path": file, **config}}


def check_types(g, source, table, sql):
    """A type that is told beforehand is the one that a result has."""
    told = {c["name"]: c for c in tables(g, source, f"?table={table}")[table]["columns"]}
    r = g.query(source, sql)
    eq(200, r.status, r)
    for c in r.data["columns"]:
        if told[c["name"]]["type"] is not None:
            eq(c["type"], told[c["name"]]["type"], c, told[c["name"]])
    return told


# ---- what is shown

def check_orders(g, source, schema):
    """The two tables that each SQL server was given."""
    t = tables(g, source, "?search=nxs_")
    eq({"nxs_orders", "nxs_people", "nxs_view"}, set(t))
    eq(("table", "view"), (t["nxs_orders"]["kind"], t["nxs_view"]["kind"]))
    check("columns" not in t["nxs_orders"], "no columns unless asked")
    eq(4, t["nxs_orders"]["columnCount"])
    t = tables(g, source, "?table=nxs_orders")["nxs_orders"]
    eq((schema, "what was bought"), (t["schema"], t["comment"]))
    eq(["id", "person", "amount", "note"], [c["name"] for c in t["columns"]])
    eq([1, 2, 3, 4], [c["position"] for c in t["columns"]])
    eq([False, False, True, True], [c["nullable"] for c in t["columns"]])
    eq("in euro", t["columns"][2]["comment"])
    check("7" in t["columns"][2]["default"], "default", t["columns"][2])
    eq(None, t["columns"][3]["default"])
    keys = {(k["kind"], tuple(k["columns"])): k for k in t["keys"]}
    check(("primary", ("id", "person")) in keys, "primary key", t["keys"])
    check(("unique", ("note",)) in keys, "unique", t["keys"])
    check(("index", ("amount",)) in keys, "index", t["keys"])
    eq({"schema": schema, "table": "nxs_people", "columns": ["id"]},
       keys[("foreign", ("person",))]["references"])


@case
def postgresql_shows_types_keys_and_comments():
    s = servers.postgres()
    s.sql("""DROP VIEW IF EXISTS nxs_view; DROP TABLE IF EXISTS nxs_orders, nxs_people;
        CREATE TABLE nxs_people(id int PRIMARY KEY, name text);
        CREATE TABLE nxs_orders(id bigint NOT NULL, person int NOT NULL REFERENCES nxs_people(id),
            amount numeric(10,2) DEFAULT 7, note varchar(20) UNIQUE, PRIMARY KEY(id, person));
        CREATE INDEX nxs_by_amount ON nxs_orders(amount); CREATE INDEX nxs_lower ON nxs_people(lower(name));
        COMMENT ON TABLE nxs_orders IS 'what was bought'; COMMENT ON COLUMN nxs_orders.amount IS 'in euro';
        CREATE VIEW nxs_view AS SELECT id FROM nxs_people;
        GRANT SELECT ON nxs_orders, nxs_people, nxs_view TO api;""")
    g = gateway()
    eq(200, g.get(path("pg", "?refresh=true")).status)
    check_orders(g, "pg", "public")
    t = tables(g, "pg", "?table=nxs_orders")["nxs_orders"]
    eq(["bigint", "integer", "numeric(10,2)", "character varying(20)"], [c["nativeType"] for c in t["columns"]])
    eq(["int64", "int32", "decimal", "string"], [c["type"] for c in t["columns"]])
    keys = tables(g, "pg", "?table=nxs_people")["nxs_people"]["keys"]
    check(["lower(name)"] in [k["columns"] for k in keys], "an expression", keys)


@case
def postgresql_types_are_those_of_results():
    s = servers.postgres()
    s.sql("""DROP TABLE IF EXISTS nxs_types; CREATE TABLE nxs_types(a boolean, b smallint, c integer, d bigint, e real,
        f float8, g numeric, h numeric(8,3), i date, j time, k timetz, l timestamp(3), m timestamptz, n interval,
        o text, p char(3), q bytea, r uuid, s json, t jsonb, u int[], v inet, w point, x bit(3));
        GRANT SELECT ON nxs_types TO api;""")
    eq(200, gateway().get(path("pg", "?refresh=true")).status)
    told = check_types(gateway(), "pg", "nxs_types", "SELECT * FROM nxs_types")
    eq([], [c["name"] for c in told.values() if c["type"] is None])


@case
def mariadb_shows_types_keys_and_comments():
    s = servers.mariadb()
    s.sql("""DROP VIEW IF EXISTS nxs_view; DROP TABLE IF EXISTS nxs_orders; DROP TABLE IF EXISTS nxs_people;
        CREATE TABLE nxs_people(id int PRIMARY KEY, name text);
        CREATE TABLE nxs_orders(id bigint NOT NULL, person int NOT NULL, amount decimal(10,2) DEFAULT 7 COMMENT 'in euro',
            note varchar(20) UNIQUE, PRIMARY KEY(id, person), KEY nxs_by_amount(amount),
            CONSTRAINT nxs_fk FOREIGN KEY(person) REFERENCES nxs_people(id)) COMMENT 'what was bought';
        CREATE VIEW nxs_view AS SELECT id FROM nxs_people;""")
    g = gateway()
    eq(200, g.get(path("maria", "?refresh=true")).status)
    check_orders(g, "maria", "nx")


@case
def mariadb_types_are_those_of_results():
    s = servers.mariadb()
    s.sql("""DROP TABLE IF EXISTS nxs_types; CREATE TABLE nxs_types(a tinyint, b tinyint unsigned, c smallint, d mediumint,
        e int, f int unsigned, g bigint, h bigint unsigned, i float, j double, k decimal(8,3), l date, m datetime(3),
        n timestamp NULL, o char(3), p varchar(9), q text, r binary(2), s varbinary(3), t blob, u bit(4),
        v enum('x','y'), w longtext, x json, y year, z time);""")
    eq(200, gateway().get(path("maria", "?refresh=true")).status)
    told = check_types(gateway(), "maria", "nxs_types", "SELECT * FROM nxs_types")
    eq({"w", "x", "y", "z"}, {c["name"] for c in told.values() if c["type"] is None})


@case
def sqlite_shows_keys():
    file = sqlite_with("""CREATE TABLE p(id INTEGER PRIMARY KEY, email TEXT UNIQUE);
        CREATE TABLE c(a INT, b TEXT DEFAULT 'x', p INT REFERENCES p, PRIMARY KEY(a, b));
        CREATE INDEX c_b ON c(b, a); CREATE INDEX c_e ON c(a + 1);""")
    r = gateway().post("/api/v1/datasources", lite("keys", file))
    eq(201, r.status, r)
    t = tables(gateway(), "keys", "?columns=true")
    keys = {(k["kind"], tuple(k["columns"])): k for k in t["c"]["keys"]}
    eq({("primary", ("a", "b")), ("index", ("b", "a")), ("index", ("(expression)",)), ("foreign", ("p",))}, set(keys))
    eq({"schema": "main", "table": "p", "columns": ["id"]}, keys[("foreign", ("p",))]["references"])
    eq({("primary", ("id",)), ("unique", ("email",))}, {(k["kind"], tuple(k["columns"])) for k in t["p"]["keys"]})
    eq("'x'", t["c"]["columns"][1]["default"])
    gateway().delete("/api/v1/datasources/" + r.data["id"])


@case
def duckdb_files_and_their_types():
    folder = tempfile.mkdtemp(prefix="nxfiles.")
    file = os.path.join(folder, "trips.csv")
    with open(file, "w", encoding="utf-8") as f:
        f.write("id,city,fare,day,seen\n1,Ulm,2.5,2024-01-02,2024-01-02 03:04:05\n")

    def remove():
        os.unlink(file)
        os.rmdir(folder)
    nxtest.closers.insert(0, remove)
    r = gateway().post("/api/v1/datasources", {"name": "files", "type": "duckdb", "config": {"path": folder}})
    if r.code == "DRIVER_NOT_BUILT" or not r.data.get("driverBuilt"):
        skip("DuckDB is not built in")
    told = check_types(gateway(), "files", "trips", "SELECT * FROM trips")
    eq(["int64", "string", "float64", "date", "timestamp"], [c["type"] for c in told.values()])
    check("keys" not in tables(gateway(), "files", "?table=trips")["trips"], "files have no keys")
    gateway().delete("/api/v1/datasources/" + r.data["id"])


# ---- filters and paging

@case
def schemas_are_listed():
    r = gateway().get(path("lite"))
    eq([{"name": "main", "tables": 3}], r.data["schemas"])
    eq((3, False, True), (r.data["total"], r.data["truncated"], r.data["fresh"]), r)


@case
def filters_and_pages():
    g = gateway()
    eq({"t"}, set(tables(g, "lite", "?table=T")))  # case aside
    eq(set(), set(tables(g, "lite", "?table=nothing")))
    eq(set(), set(tables(g, "lite", "?schema=other")))
    eq({"t", "many", "v"}, set(tables(g, "lite", "?schema=main")))
    eq(["many"], list(tables(g, "lite", "?search=text")))  # by its column
    eq(["t"], list(tables(g, "lite", "?search=score%20name")))  # both words
    pages = [list(tables(g, "lite", f"?limit=1&offset={i}")) for i in range(4)]
    eq([["many"], ["t"], ["v"], []], pages)
    eq(3, g.get(path("lite", "?limit=1")).data["total"])


@case
def bad_filters_are_refused():
    for query in ("?limit=x", "?limit=10001", "?offset=-1", "?refresh=maybe", "?columns=1"):
        r = gateway().get(path("lite", query))
        eq((400, "BAD_VALUE"), (r.status, r.code), query, r)
    r = gateway().get(path("lite", "?colums=true"))
    eq((400, "UNKNOWN_KEY"), (r.status, r.code), r)


@case
def who_may_not_query_sees_no_schema():
    g = Gateway({"auth": {"mode": "token", "jwtSecret": SECRET}}, sources=[sqlite_source()])
    eq(401, g.get(path("lite")).status)
    eq(200, g.get(path("lite"), headers=bearer("bob")).status)
    eq(200, g.call("PUT", "/api/v1/datasources/lite/grants", {"grants": [{"principal": "alice"}]}, headers=ROOT).status)
    r = g.get(path("lite"), headers=bearer("bob"))
    eq((404, "SOURCE_NOT_FOUND"), (r.status, r.code), r)
    eq(200, g.get(path("lite"), headers=bearer("alice")).status)
    g.close()


# ---- the cache

@case
def a_second_look_asks_nobody():
    g = Gateway(sources=[sqlite_source()])
    tables(g, "lite")
    n = loads(g)
    for _ in range(5):
        tables(g, "lite", "?columns=true")
    eq(n, loads(g))
    tables(g, "lite", "?refresh=true")
    eq(n + 1, loads(g))
    g.close()


@case
def refresh_sees_what_was_made_before_it():
    file = sqlite_with("CREATE TABLE one(a);")
    g = Gateway(sources=[lite("s", file)])
    eq({"one"}, set(tables(g, "s")))
    db = sqlite3.connect(file)
    db.execute("CREATE TABLE two(b)")
    db.commit()
    db.close()
    eq({"one"}, set(tables(g, "s")))
    eq({"one", "two"}, set(tables(g, "s", "?refresh=true")))
    eq({"one", "two"}, set(tables(g, "s")))
    g.close()


@case
def an_old_schema_is_shown_while_a_new_one_is_loaded():
    proxy = servers.Proxy(servers.postgres().port)
    g = Gateway({"schema": {"ttl": 0.3}}, sources=[servers.postgres().source("slow", port=proxy.port)])
    tables(g, "slow")
    time.sleep(0.4)
    proxy.frozen.set()
    n = loads(g)
    for _ in range(3):
        r = g.get(path("slow"))
        eq((200, False, True), (r.status, r.data["fresh"], r.data["refreshing"]), r)
    proxy.frozen.clear()
    until("the new one is there", lambda: loads(g) == n + 1)
    g.close()
    proxy.close()


@case
def a_schema_that_is_too_old_is_not_shown():
    proxy = servers.Proxy(servers.postgres().port)
    g = Gateway({"schema": {"ttl": 0.1, "maxStale": 0.1}}, sources=[servers.postgres().source("gone", port=proxy.port)])
    tables(g, "gone")
    proxy.refuse = True
    proxy.cut()
    time.sleep(0.3)
    r = g.get(path("gone"))
    check(r.status in (502, 503), "the source's error", r)
    g.close()
    proxy.close()


@case
def a_changed_config_has_a_schema_of_its_own():
    one, two = sqlite_with("CREATE TABLE one(a);"), sqlite_with("CREATE TABLE two(a);")
    g = Gateway()
    r = g.post("/api/v1/datasources", lite("s", one))
    eq({"one"}, set(tables(g, "s")))
    eq(200, g.call("PUT", "/api/v1/datasources/" + r.data["id"], lite("s", two)).status)
    eq({"two"}, set(tables(g, "s")))
    eq(204, g.delete("/api/v1/datasources/" + r.data["id"]).status)
    eq(404, g.get(path("s")).status)
    r = g.post("/api/v1/datasources", lite("s", one))
    eq({"one"}, set(tables(g, "s")))
    g.close()


@case
def many_at_once_load_it_once():
    proxy = servers.Proxy(servers.postgres().port)
    g = Gateway(sources=[servers.postgres().source("slow", port=proxy.port)])
    n = loads(g)
    proxy.frozen.set()
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(g.get(path("slow")).status)) for _ in range(20)]
    for t in threads:
        t.start()
    time.sleep(0.5)
    eq([], seen)
    eq(200, g.get("/health").status)
    proxy.frozen.clear()
    for t in threads:
        t.join()
    eq([200] * 20, seen)
    eq(n + 1, loads(g))
    g.close()
    proxy.close()


@case
def a_client_that_leaves_does_not_end_the_load():
    proxy = servers.Proxy(servers.postgres().port)
    g = Gateway(sources=[servers.postgres().source("slow", port=proxy.port)])
    proxy.frozen.set()
    s = g.socket()
    s.sendall(g.request_bytes("GET", path("slow")))
    time.sleep(0.3)
    s.close()
    time.sleep(0.3)
    proxy.frozen.clear()
    until("it is loaded", lambda: loads(g) == 1)
    eq(200, g.get(path("slow")).status)
    eq(1, loads(g))
    g.close()
    proxy.close()


@case
def a_source_that_is_down_says_so():
    g = Gateway(sources=[servers.postgres().source("down", port=1)])
    for _ in range(3):
        r = g.get(path("down"))
        eq((503, "SOURCE_DOWN"), (r.status, r.code), r)
    g.close()


@case
def what_does_not_fit_is_said():
    file = sqlite_with("".join(f"CREATE TABLE t{i:03}(a, b, c);" for i in range(50)))
    g = Gateway({"schema": {"maxTables": 10}}, sources=[lite("s", file)])
    r = g.get(path("s", "?columns=true"))
    eq((10, True), (r.data["total"], r.data["truncated"]), r)
    g.close()
    g = Gateway({"schema": {"maxColumns": 7}}, sources=[lite("s", file)])
    r = g.get(path("s", "?columns=true"))
    eq((50, True), (r.data["total"], r.data["truncated"]), r)
    eq(7, sum(len(t["columns"]) for t in r.data["tables"]))
    g.close()


@case
def types_without_a_catalog_say_so():
    config = {"host": "127.0.0.1", "username": "u", "password": "p", "database": "d"}
    r = gateway().post("/api/v1/datasources", {"name": "snow", "type": "oracle", "skipTest": True, "config": config})
    if r.status == 201 and r.data["driverBuilt"]:
        skip("the driver is built in by now")
    eq(201, r.status, r)
    eq(501, gateway().get(path("snow")).status)
    gateway().delete("/api/v1/datasources/" + r.data["id"])


# ---- advice [QV-005]

def judge(g, sql, source="lite"):
    r = g.post("/api/v1/query/validate", {"dataSource": source, "sql": sql})
    eq(200, r.status, r)
    return r.data


@case
def validate_knows_the_schema():
    g = Gateway(sources=[sqlite_source()])
    d = judge(g, "SELECT x.scor FROM tt AS x JOIN t ON t.nam = 1")
    eq((True, [], []), (d["valid"], d["warnings"], d["errors"]))  # nothing cached: nothing asked
    eq(0, loads(g))
    tables(g, "lite")
    d = judge(g, "SELECT x.scor, t.nam FROM t AS x, t, mny")
    eq(False, d["valid"])
    text = [e["message"] for e in d["errors"]]
    check(any("mny" in m and "many" in m for m in text), "table", text)
    check(any("scor" in m and "score" in m for m in text), "column by its alias", text)
    check(any("nam in t" in m and "name" in m for m in text), "column by its table", text)
    sql = "SELECT x.scor, t.nam FROM t AS x, t, mny"
    for e in d["errors"]:
        eq("UNDEFINED_OBJECT", e["code"])
        at = e["details"]["position"]
        check(sql[at:].startswith(e["details"]["token"]), "position", e)
    d = judge(g, "SELECT nmae FROM t")
    eq((True, ["name"]), (d["valid"], d["warnings"][0]["suggestions"]), d)
    g.close()


@case
def an_old_schema_only_warns():
    g = Gateway({"schema": {"ttl": 0}}, sources=[sqlite_source()])
    tables(g, "lite")
    d = judge(g, "SELECT t.nope FROM t")
    eq((True, 1, []), (d["valid"], len(d["warnings"]), d["errors"]), d)
    eq(("QV-005", []), (d["warnings"][0]["rule"], d["warnings"][0]["suggestions"]))
    g.close()


@case
def good_statements_get_no_advice():
    tables(gateway(), "lite")
    for sql in ("SELECT * FROM t", "SELECT t.* FROM t", "SELECT main.t.id, x.ID FROM t, main.many x",
                "SELECT a.id AS nam FROM t a JOIN many b ON a.id = b.id WHERE b.text LIKE 'nme' ORDER BY nam",
                "WITH s AS (SELECT id AS nmae FROM t) SELECT s.nmae, nmae FROM s",
                "SELECT q.scre FROM (SELECT score AS scre FROM t) q", "SELECT count(*) nme FROM t GROUP BY name",
                "SELECT t.rowid FROM t", "SELECT name FROM sqlite_master", "SELECT T.Name FROM T",
                "SELECT id FROM t UNION SELECT id FROM many", "SELECT json_extract(name, '$.nme') FROM t",
                "SELECT x.id FROM t x WHERE EXISTS (SELECT 1 FROM many x WHERE x.text = 'a')",
                "SELECT v.id FROM v", "SELECT (SELECT max(m.id) FROM many m) + t.id FROM t", "VALUES (1)", "SELECT 1"):
        d = judge(gateway(), sql)
        eq(([], []), (d["warnings"], [e for e in d["errors"] if e["code"] == "UNDEFINED_OBJECT"]), sql)


@case
def advice_for_other_dialects():
    s = servers.postgres()
    s.sql("""DROP TABLE IF EXISTS nxs_advice; DROP SEQUENCE IF EXISTS nxs_seq; CREATE TABLE nxs_advice("Mixed" int,
        lower_case int, doc jsonb); CREATE SEQUENCE nxs_seq; GRANT SELECT ON nxs_advice, nxs_seq TO api""")
    g = gateway()
    eq(200, g.get(path("pg", "?refresh=true")).status)
    for sql in ('SELECT a."Mixed", a.lower_case, (a.doc).x FROM public.nxs_advice a', "SELECT a.doc->>'lowercase' FROM nxs_advice a",
                "SELECT c.relname FROM pg_class c", "SELECT a.ctid FROM nxs_advice a",
                "SELECT x.n FROM generate_series(1, 2) AS x(n)", "SELECT a.lower_case::numeric FROM nxs_advice a"):
        eq(([], []), (judge(g, sql, "pg")["warnings"], judge(g, sql, "pg")["errors"]), sql)
    d = judge(g, "SELECT a.lowercase FROM nxs_advice a", "pg")
    eq((False, True), (d["valid"], "lower_case" in d["errors"][0]["message"]), d)
    d = judge(g, "SELECT last_value FROM nxs_seq", "pg")
    eq((True, 1), (d["valid"], len(d["warnings"])), d)  # a sequence is not listed
    d = judge(g, "SELECT a.x FROM pubic.nxs_advice a", "pg")
    eq((True, ["nxs_advice"]), (d["valid"], d["warnings"][0]["suggestions"]), d)
    s = servers.mariadb()
    s.sql("DROP TABLE IF EXISTS nxs_advice; CREATE TABLE nxs_advice(`a b` int, c int)")
    eq(200, g.get(path("maria", "?refresh=true")).status)
    for sql in ("SELECT x.`a b`, nx.nxs_advice.c FROM nx.nxs_advice, nxs_advice x", "SELECT 1 FROM dual",
                "SELECT t.table_name FROM information_schema.tables t"):
        eq(([], []), (judge(g, sql, "maria")["warnings"], judge(g, sql, "maria")["errors"]), sql)
    d = judge(g, "SELECT nxs_advice.d FROM nxs_advices, nxs_advice", "maria")
    eq((False, 2), (d["valid"], len(d["errors"])), d)


configure(sources=lambda: [sqlite_source(), servers.postgres().source("pg"), servers.mariadb().source("maria")])
main()
