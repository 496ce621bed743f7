"""Data sources through the API: create, show, list, replace, delete, test, schema, life cycle."""
import json
import os
import re
import sqlite3

import servers
from nxtest import Gateway, case, check, configure, eq, gateway, main, until
from sample import sqlite_file, sqlite_source

configure(sources=lambda: [sqlite_source("from_file")])


def create(name, **kw):
    return gateway().post("/api/v1/datasources", {**sqlite_source(name), **kw})


def dead(name, **kw):
    config = {"host": "127.0.0.1", "port": servers.free_port(), "username": "u",
              "password": "s3cret-pw", "database": "d", "connectTimeout": 2}
    return {"name": name, "type": "postgresql", "config": config, **kw}


@case
def create_show_delete():
    r = create("crud")
    eq(201, r.status, r)
    d = r.data
    check(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", d["id"]), "id", d)
    eq(("crud", "sqlite", "active"), (d["name"], d["type"], d["status"]), r)
    loc = r.header("Location")
    check(loc is None or loc.endswith("/api/v1/datasources/" + d["id"]), "Location", r.headers)
    r = gateway().get("/api/v1/datasources/" + d["id"])
    eq((200, d["id"]), (r.status, r.data["id"]), r)
    eq([[1]], gateway().query("crud", "SELECT 1").rows)
    r = gateway().delete("/api/v1/datasources/" + d["id"])
    eq((204, b""), (r.status, r.body))
    eq(404, gateway().get("/api/v1/datasources/" + d["id"]).status)
    eq(404, gateway().query("crud", "SELECT 1").status)
    eq(404, gateway().delete("/api/v1/datasources/" + d["id"]).status)


@case
def secrets_are_masked_everywhere():
    r = gateway().post("/api/v1/datasources", dead("masked", skipTest=True))
    eq(201, r.status, r)
    sid = r.data["id"]
    for path in ("/api/v1/datasources/" + sid, "/api/v1/datasources", f"/api/v1/datasources/{sid}/status",
                 "/metrics", "/api/v1/stats"):
        check(b"s3cret-pw" not in gateway().get(path).body, f"{path} shows no secret")
    check("********" in json.dumps(gateway().get("/api/v1/datasources/" + sid).data), "masked")
    gateway().query("masked", "SELECT 1")
    gateway().post(f"/api/v1/datasources/{sid}/test")
    check("s3cret-pw" not in gateway().log(), "no secret in the log")
    data_dir = gateway().config["dataDir"]
    for folder, _, names in os.walk(data_dir):
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                check(b"s3cret-pw" not in f.read(), f"no plain secret in {name}")
    gateway().delete("/api/v1/datasources/" + sid)


@case
def replace_keeps_a_masked_secret():
    server = servers.postgres()
    source = server.source("keep")
    r = gateway().post("/api/v1/datasources", source)
    eq(201, r.status, r)
    sid = r.data["id"]
    shown = r.data["config"]
    eq("********", shown["password"])
    source["config"]["password"] = "********"
    source["description"] = "changed"
    r = gateway().call("PUT", "/api/v1/datasources/" + sid, source)
    eq((200, "changed"), (r.status, r.data.get("description")), r)
    eq([[1]], gateway().query("keep", "SELECT 1").rows)
    del source["config"]["password"]
    r = gateway().call("PUT", "/api/v1/datasources/" + sid, source)
    eq(200, r.status, r)
    eq([[1]], gateway().query("keep", "SELECT 1").rows)
    gateway().delete("/api/v1/datasources/" + sid)


@case
def replace_switches_queries_over():
    folder = gateway().home
    other = os.path.join(folder, "other.db")
    db = sqlite3.connect(other)
    db.executescript("CREATE TABLE t(id); INSERT INTO t VALUES (4711);")
    db.close()
    r = create("moving")
    sid = r.data["id"]
    eq(3, gateway().query("moving", "SELECT count(*) FROM t").rows[0][0])
    r = gateway().call("PUT", "/api/v1/datasources/" + sid,
                       {"name": "moving", "type": "sqlite", "config": {"path": other}})
    eq(200, r.status, r)
    eq(4711, gateway().query("moving", "SELECT id FROM t").rows[0][0])
    gateway().delete("/api/v1/datasources/" + sid)


@case
def rename_onto_a_taken_name():
    a = create("name_a").data["id"]
    b = create("name_b").data["id"]
    r = gateway().call("PUT", "/api/v1/datasources/" + b, sqlite_source("name_a"))
    eq((409, "SOURCE_EXISTS"), (r.status, r.code), r)
    for sid in (a, b):
        gateway().delete("/api/v1/datasources/" + sid)


@case
def names_with_odd_characters():
    for name in ("with space", "\u4e2d\u6587 \u6e90", "a'b\"c", "n" * 255):
        r = create(name)
        eq(201, r.status, r)
        eq([[1]], gateway().query(name, "SELECT 1").rows)
        eq(204, gateway().delete("/api/v1/datasources/" + r.data["id"]).status)


@case
def list_filters_and_pages():
    r = gateway().get("/api/v1/datasources?page=2&offset=2")
    eq((400, "BAD_VALUE"), (r.status, r.code), r)
    made = [create(f"page{i}").data["id"] for i in range(5)]
    names = [d["name"] for d in gateway().get("/api/v1/datasources?type=sqlite").data_list()]
    check({f"page{i}" for i in range(5)} <= set(names), "all listed", names)
    eq(sorted(names), names)
    got = []
    for page in (1, 2, 3, 4):
        got += [d["name"] for d in gateway().get(f"/api/v1/datasources?page={page}&limit=2").data_list()]
    eq(len(got), len(set(got)), got)
    check({f"page{i}" for i in range(5)} <= set(got), "pages give all", got)
    eq([], gateway().get("/api/v1/datasources?type=duckdb").data_list())
    active = gateway().get("/api/v1/datasources?status=active&limit=100").data_list()
    check(all(d["status"] == "active" for d in active), "status filter")
    for sid in made:
        gateway().delete("/api/v1/datasources/" + sid)


@case
def a_source_of_the_config_file_is_read_only():
    sid = [d["id"] for d in gateway().get("/api/v1/datasources").data_list() if d["name"] == "from_file"][0]
    r = gateway().delete("/api/v1/datasources/" + sid)
    check(r.status in (403, 409), "refused", r)
    r = gateway().call("PUT", "/api/v1/datasources/" + sid, sqlite_source("from_file"))
    check(r.status in (403, 409), "refused", r)


@case
def test_of_a_good_source():
    sid = create("good").data["id"]
    r = gateway().post(f"/api/v1/datasources/{sid}/test")
    eq(200, r.status, r)
    check("latency" in json.dumps(r.data).lower() or "ms" in json.dumps(r.data).lower(), "latency", r)
    gateway().delete("/api/v1/datasources/" + sid)


@case
def create_tests_at_once():
    r = gateway().post("/api/v1/datasources", dead("refused"))
    eq(201, r.status, r)
    eq("error", r.data["status"], r)
    gateway().delete("/api/v1/datasources/" + r.data["id"])


@case
def skip_test_leaves_it_untested():
    r = gateway().post("/api/v1/datasources", dead("untested", skipTest=True))
    eq(201, r.status, r)
    check(r.data["status"] in ("draft", "active"), "draft or active", r)
    gateway().delete("/api/v1/datasources/" + r.data["id"])


@case
def a_known_type_whose_driver_is_not_built_in():
    """It may be described; it says so when it is asked."""
    r = gateway().post("/api/v1/datasources", {"name": "flake", "type": "snowflake", "config": {
        "account": "a", "database": "d", "username": "u", "password": "p", "authentication": {"type": "password"}}})
    eq((201, "draft"), (r.status, r.data["status"]), r)
    q = gateway().query("flake", "SELECT 1")
    eq((501, "DRIVER_NOT_BUILT"), (q.status, q.code), q)
    eq(501, gateway().post(f"/api/v1/datasources/{r.data['id']}/test").status)
    gateway().delete("/api/v1/datasources/" + r.data["id"])


@case
def deactivate_keeps_queries_out():
    sid = create("onoff").data["id"]
    r = gateway().post(f"/api/v1/datasources/{sid}/deactivate")
    eq(200, r.status, r)
    r = gateway().query("onoff", "SELECT 1")
    eq((409, "SOURCE_INACTIVE"), (r.status, r.code), r)
    r = gateway().post(f"/api/v1/datasources/{sid}/activate")
    eq(200, r.status, r)
    eq(200, gateway().query("onoff", "SELECT 1").status)
    gateway().delete("/api/v1/datasources/" + sid)


@case
def schema_lists_tables_and_columns():
    sid = create("schemed").data["id"]
    r = gateway().get(f"/api/v1/datasources/{sid}/schema")
    eq(200, r.status, r)
    text = json.dumps(r.data)
    for name in ('"t"', '"many"', '"v"'):
        check(name in text, f"{name} is listed", r)
    r = gateway().get(f"/api/v1/datasources/{sid}/schema?table=t")
    text = json.dumps(r.data)
    for name in ('"id"', '"name"', '"score"', '"data"'):
        check(name in text, f"{name} is listed", r)
    gateway().delete("/api/v1/datasources/" + sid)


@case
def sources_survive_a_restart():
    g = Gateway()
    r = g.post("/api/v1/datasources", servers.postgres().source("lasting"))
    eq(201, r.status, r)
    eq(204, g.delete("/api/v1/datasources/" + g.post("/api/v1/datasources", sqlite_source("gone")).data["id"]).status)
    g.restart()
    eq([[1]], g.query("lasting", "SELECT 1").rows)
    eq(404, g.query("gone", "SELECT 1").status)
    g.close()


@case
def sources_survive_a_crash():
    g = Gateway()
    ids = [g.post("/api/v1/datasources", sqlite_source(f"s{i}")).data["id"] for i in range(5)]
    g.process.kill()
    g.process.wait()
    g.start()
    have = {d["id"] for d in g.get("/api/v1/datasources").data_list()}
    eq(set(ids), have & set(ids))
    g.close()


# ---- sources in trouble

@case
def source_is_down():
    sid = gateway().post("/api/v1/datasources", dead("down", skipTest=True)).data["id"]
    r = gateway().query("down", "SELECT 1")
    eq((503, "SOURCE_DOWN"), (r.status, r.code), r)
    gateway().delete("/api/v1/datasources/" + sid)


@case
def source_host_does_not_resolve():
    source = dead("nohost", skipTest=True)
    source["config"]["host"] = "no-such-host.invalid"
    sid = gateway().post("/api/v1/datasources", source).data["id"]
    r = gateway().query("nohost", "SELECT 1", timeout_s=30)
    eq((503, "SOURCE_DOWN"), (r.status, r.code), r)
    gateway().delete("/api/v1/datasources/" + sid)


@case
def source_refuses_the_login():
    for server in (servers.postgres(), servers.mariadb()):
        source = server.source("badlogin", password="wrong")
        source["skipTest"] = True
        sid = gateway().post("/api/v1/datasources", source).data["id"]
        r = gateway().query("badlogin", "SELECT 1")
        eq((502, "SOURCE_AUTH"), (r.status, r.code), server.kind, r)
        check("wrong" not in r.text, "no password in the answer", r)
        gateway().delete("/api/v1/datasources/" + sid)


@case
def source_hangs_on_connect():
    silent = servers.Silent()
    for kind in ("postgresql", "mariadb"):
        source = dead("hang", skipTest=True)
        source["type"] = kind
        source["config"].update(port=silent.port, connectTimeout=1)
        sid = gateway().post("/api/v1/datasources", source).data["id"]
        r = gateway().query("hang", "SELECT 1")
        eq((503, "CONNECT_TIMEOUT"), (r.status, r.code), kind, r)
        gateway().delete("/api/v1/datasources/" + sid)


@case
def a_hanging_source_does_not_stop_others():
    silent = servers.Silent()
    source = dead("hang2", skipTest=True)
    source["config"].update(port=silent.port, connectTimeout=3)
    sid = gateway().post("/api/v1/datasources", source).data["id"]
    held = [gateway().start_query("hang2", "SELECT 1") for _ in range(40)]
    for _ in range(10):
        eq(200, gateway().query("from_file", "SELECT 1", timeout_s=2).status)
    for s in held:
        s.close()
    until("the hung queries are gone", lambda: not gateway().running(), 10)
    gateway().delete("/api/v1/datasources/" + sid)


@case
def source_speaks_another_protocol():
    for kind, greeting in (("postgresql", b"SSH-2.0-OpenSSH_9.2\r\n" * 20), ("mariadb", b"HTTP/1.1 400 x\r\n\r\n")):
        odd = servers.Silent(greeting)
        source = dead("odd", skipTest=True)
        source["type"] = kind
        source["config"].update(port=odd.port, connectTimeout=1)
        sid = gateway().post("/api/v1/datasources", source).data["id"]
        r = gateway().query("odd", "SELECT 1")
        check(r.status in (502, 503), "502 or 503", kind, r)
        gateway().delete("/api/v1/datasources/" + sid)


@case
def an_unhealthy_source_is_told():
    sid = gateway().post("/api/v1/datasources", dead("sick", skipTest=True)).data["id"]
    for _ in range(4):
        gateway().query("sick", "SELECT 1")
    r = gateway().get(f"/api/v1/datasources/{sid}/status")
    eq(200, r.status, r)
    check(re.search(r"error|SOURCE_DOWN", json.dumps(r.data)), "status tells the failure", r)
    gateway().delete("/api/v1/datasources/" + sid)


@case
def sqlite_file_is_missing():
    r = gateway().post("/api/v1/datasources", {"name": "nofile", "type": "sqlite", "skipTest": True, "config": {
        "path": os.path.join(gateway().home, "not-there.db")}})
    if r.status == 201:
        q = gateway().query("nofile", "SELECT 1")
        check(q.status in (502, 503), "not a success", q)
        check(not os.path.exists(os.path.join(gateway().home, "not-there.db")), "no file was made")
        gateway().delete("/api/v1/datasources/" + r.data["id"])
    else:
        eq(400, r.status, r)


@case
def sqlite_file_is_no_database():
    path = os.path.join(gateway().home, "noise.db")
    with open(path, "wb") as f:
        f.write(b"this is not a database at all" * 500)
    r = gateway().post("/api/v1/datasources", {"name": "noise", "type": "sqlite", "skipTest": True,
                                               "config": {"path": path}})
    q = gateway().query("noise", "SELECT * FROM sqlite_master")
    check(q.status in (400, 502, 503), "a typed error", q)
    gateway().delete("/api/v1/datasources/" + r.data["id"])
    check(os.path.getsize(sqlite_file()) > 0, "the sample is unharmed")


@case
def function_policy_of_a_source():
    def source(name, **more):
        r = gateway().post("/api/v1/datasources", {"name": name, "type": "sqlite",
                                                   "config": {"path": sqlite_file(), **more}})
        eq(201, r.status, r)

    def code(name, sql):
        r = gateway().query(name, sql)
        return r.status if r.status == 200 else r.code

    source("denies", denyFunctions="UPPER, nothing")
    source("narrow", functions="built-in", allowFunctions="my_own")
    eq("RO_FUNCTION", code("denies", "SELECT upper('a')"))
    eq(200, code("denies", "SELECT lower('A')"))
    eq(200, code("narrow", "SELECT upper('a')"))
    eq("RO_FUNCTION", code("narrow", "SELECT somebodys(1)"))
    check(code("narrow", "SELECT my_own(1)") != "RO_FUNCTION", "allowed by the gate; SQLite does not know it")
    for name in ("denies", "narrow"):
        gateway().delete("/api/v1/datasources/" + name)


main()
