"""The corpora of the gate through the whole gateway, on real engines.

Refused: every line, sent with a login that may do anything, is refused with the code its corpus says, and
the engine afterwards is as it was: rows, objects, large objects, locks, files, its connections to elsewhere, the
settings that the next session finds; and no line took its time. Accepted: every line returns rows to a login that
may only read. The oracle itself is tried first: a write and a socket beside the gateway are seen."""
import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time

import nxtest
import servers
from corpora import CORPUS, lines
from nxtest import BUILD, ROOT, Gateway, add_case, check, eq, main

SOURCE_OF = {"plain": "plain", "no server": "plain", "metadata": "metadata", "builtin": "builtin"}
# What the gate takes and the protocol of prepared statements does not: told as RO_NO_RESULT by the server.
NOT_PREPARABLE = {("mysql", "SHOW WARNINGS")}
# Codes that stand in front of the gate: such a text does not even arrive there.
EARLIER = {"BAD_JSON", "BODY_TOO_LARGE"}


def files_of(folder):
    return sorted(os.path.relpath(os.path.join(d, f), folder) for d, _, fs in os.walk(folder) for f in fs)


def sockets_of(pids):
    """(local port, remote address, listening) of each TCP socket that the processes hold."""
    held = set()
    for path in (p for pid in pids for p in glob.glob(f"/proc/{pid}/fd/*")):
        with contextlib.suppress(OSError):  # closed by now
            held.add(os.readlink(path))
    found = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}", encoding="ascii") as f:
            for line in list(f)[1:]:
                cell = line.split()
                if f"socket:[{cell[9]}]" in held:
                    found.add((int(cell[1].split(":")[1], 16), cell[2], cell[3] == "0A"))
    return found


class Engine:
    """An engine with the corpus schema; root() and reader() are configs of data sources."""
    settings = None  # a query for the session's settings

    def process(self):
        """The server's, or the gateway's own where the engine lives in it; and its port."""
        return self.gateway().process.pid, self.gateway().port

    def outside(self):
        """Its connections to elsewhere, and where it listens besides."""
        pid, port = self.process()
        return {s for s in sockets_of([pid, *nxtest.descendants(pid)]) if s[0] != port}

    def session(self):
        """What a session finds that the gateway hands out now."""
        if not self.settings:
            return None
        r = self.gateway().query("root_plain", self.settings, limit=5000)
        eq(200, r.status, r)
        return r.data["rows"]

    def gateway(self):
        if not hasattr(self, "gw"):
            made = []
            for who in ("root", "reader"):
                for policy, more in (("plain", {}), ("metadata", {"allowMetadataStatements": True}),
                                     ("builtin", {"functions": "built-in"})):
                    config = {**getattr(self, who)(), **more, "timeout": 10}
                    made.append({"name": f"{who}_{policy}", "type": self.kind, "config": config})
            self.gw = Gateway(sources=made)
        return self.gw


class Postgres(Engine):
    kind = dialect = "postgresql"
    logins = True

    def __init__(self):
        self.server = servers.postgres()
        self.server.sql("CREATE DATABASE proof")
        self.psql(open(os.path.join(CORPUS, "postgresql.setup.sql"), encoding="utf-8").read())
        self.psql("CREATE ROLE proof_reader LOGIN PASSWORD 'r'; GRANT pg_read_all_data TO proof_reader")

    settings = ("SELECT name, setting FROM pg_settings WHERE name NOT IN ('in_hot_standby', 'transaction_read_only') "
                "ORDER BY name")

    def process(self):
        with open(os.path.join(self.server.dir, "data", "postmaster.pid"), encoding="ascii") as f:
            return int(f.readline()), self.server.port

    def psql(self, text):
        s = self.server
        p = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", s.host, "-p", str(s.port), "-U", s.user,
                            "-d", "proof"], input=text, text=True, capture_output=True,
                           env={**os.environ, "PGPASSWORD": s.password})
        check(p.returncode == 0, p.stderr)
        return p.stdout

    def config(self, user, password):
        return {"host": self.server.host, "port": self.server.port, "database": "proof", "username": user,
                "password": password}

    def root(self):
        return self.config(self.server.user, self.server.password)

    def reader(self):
        return self.config("proof_reader", "r")

    def state(self):
        tables = self.psql("SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = "
                           "'public'::regnamespace ORDER BY 1").split("\n")[:-1]
        rows = "".join(f"SELECT '{i}', count(*), md5(string_agg(x::text, '|' ORDER BY x::text)) FROM {t} x;"
                       for i, t in enumerate(tables))
        return self.psql(rows + "SELECT oid, relname, relkind FROM pg_class WHERE oid > 16383 AND relkind <> 't' AND "
                         "relkind <> 'i' ORDER BY 1; SELECT proname FROM pg_proc WHERE oid > 16383 ORDER BY 1; "
                         "SELECT datname FROM pg_database ORDER BY 1; SELECT rolname FROM pg_roles ORDER BY 1; "
                         "SELECT count(*) FROM pg_largeobject_metadata; SELECT name, setting FROM pg_settings WHERE "
                         "source = 'database' OR source = 'user' ORDER BY 1; SELECT count(*) FROM pg_locks WHERE "
                         "locktype = 'advisory'; SELECT slot_name FROM pg_replication_slots; "
                         "SELECT name, statement FROM pg_prepared_statements")

    def write(self):
        self.psql("UPDATE t SET a = a + 1; SELECT lo_create(0)")


class Mariadb(Engine):
    kind, dialect = "mariadb", "mysql"
    logins = True

    def __init__(self):
        self.server = servers.mariadb()
        self.server.sql("CREATE DATABASE proof CHARACTER SET utf8mb4")
        setup = open(os.path.join(CORPUS, "mysql.setup.sql"), encoding="utf-8").read()
        self.server.sql("USE proof; SET NAMES utf8mb4;\n" + setup)
        self.server.sql("CREATE USER proof_reader@'%' IDENTIFIED BY 'r'; GRANT SELECT ON proof.* TO proof_reader@'%'")

    settings = ("SELECT variable_name, variable_value FROM information_schema.session_variables WHERE variable_name NOT IN "
                "('TIMESTAMP', 'PSEUDO_THREAD_ID', 'RAND_SEED1', 'RAND_SEED2', 'ERROR_COUNT', 'WARNING_COUNT') AND "
                "variable_name NOT LIKE 'GTID%' AND variable_name NOT LIKE 'LAST%' ORDER BY 1")

    def process(self):
        return int(self.server.info["PID"]), self.server.port

    def config(self, user, password):
        return {"host": self.server.host, "port": self.server.port, "database": "proof", "username": user,
                "password": password}

    def root(self):
        return self.config(self.server.user, self.server.password)

    def reader(self):
        return self.config("proof_reader", "r")

    def state(self):
        names = [r[0] for r in self.server.sql(
            "SELECT CONCAT('proof.`', REPLACE(table_name, '`', '``'), '`') FROM information_schema.tables WHERE "
            "table_schema = 'proof' AND table_type = 'BASE TABLE' ORDER BY 1")]
        return str((self.server.sql("CHECKSUM TABLE " + ", ".join(names)), names,
                    self.server.sql("SELECT table_schema, table_name FROM information_schema.tables ORDER BY 1, 2"),
                    self.server.sql("SELECT user, host FROM mysql.user ORDER BY 1, 2"),
                    self.server.sql("SELECT routine_name FROM information_schema.routines WHERE routine_schema <> "
                                    "'sys' ORDER BY 1"),
                    self.server.sql("SELECT @@global.max_connections, @@global.sql_mode, @@global.general_log")))

    def write(self):
        self.server.sql("UPDATE proof.t SET a = a + 1")


class Sqlite(Engine):
    kind = dialect = "sqlite"

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="nxproof.")
        nxtest.closers.insert(0, lambda: shutil.rmtree(self.folder, ignore_errors=True))
        self.path = os.path.join(self.folder, "proof.db")
        db = sqlite3.connect(self.path)
        db.executescript(open(os.path.join(CORPUS, "sqlite.setup.sql"), encoding="utf-8").read())
        db.close()

    def root(self):
        return {"path": self.path}

    reader = root

    def state(self):
        with open(self.path, "rb") as f:
            return str((hashlib.sha256(f.read()).hexdigest(), files_of(self.folder)))

    def write(self):
        db = sqlite3.connect(self.path)
        db.execute("UPDATE t SET a = a + 1")
        db.commit()
        db.close()


class Duckdb(Engine):
    kind = dialect = "duckdb"
    accepts = False  # its tables are files; tests/corpus_live.py runs the accept lines on the library

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="nxproof.")
        os.chmod(self.folder, 0o777)
        nxtest.closers.insert(0, lambda: shutil.rmtree(self.folder, ignore_errors=True))
        with open(os.path.join(self.folder, "t.csv"), "w", encoding="utf-8") as f:
            f.write("id,a\n1,2\n")

    def root(self):
        return {"path": self.folder}

    reader = root

    def state(self):
        return str([(n, hashlib.sha256(open(os.path.join(self.folder, n), "rb").read()).hexdigest())
                    for n in files_of(self.folder)])

    def write(self):
        open(os.path.join(self.folder, "t.csv"), "a", encoding="utf-8").write("2,3\n")


def refused(engine):
    gw, wrong, n = engine.gateway(), [], 0
    before, session, slowest = engine.state(), engine.session(), (0, None)
    outside = engine.outside()
    for where, section, code, sql in lines(engine.dialect, "refuse"):
        policy = SOURCE_OF.get(section)
        if section == "paths" and engine.dialect == "duckdb":
            policy = "plain"
        if not policy:
            continue
        began = time.monotonic()
        r = gw.query("root_" + policy, sql)
        slowest = max(slowest, (time.monotonic() - began, where))
        n += 1
        # a files source may name paths; then the engine's own fence has the last word
        fence = engine.dialect == "duckdb" and section == "plain" and code == "RO_TABLE_FUNCTION"
        if r.status == 200 or (r.code not in {code} | EARLIER and not fence):
            wrong.append((where, code, r.status, r.code if r.status != 200 else None))
    eq([], wrong[:10])
    check(n > 100, "the corpus is there", n)
    eq(before, engine.state())
    eq(session, engine.session())
    eq(set(), engine.outside() - outside, "connections to elsewhere")
    check(slowest[0] < 1 * nxtest.SLOW, "no line takes its time", slowest)
    print(f"# {engine.kind}: {n} lines refused, nothing has changed; slowest {slowest[0] * 1000:.1f} ms")


def accepted(engine):
    gw, wrong, n = engine.gateway(), [], 0
    lister = os.path.join(BUILD, "src/sql/corpus_list")
    for name in ("common", engine.dialect):
        path = os.path.join(CORPUS, name + ".accept")
        out = subprocess.run([lister, engine.dialect, path], check=True, capture_output=True, text=True).stdout
        counts = {int(line.split("\t")[0]): int(line.split("\t")[1]) for line in out.splitlines()}
        for where, section, _, sql in lines(engine.dialect, "accept"):
            if not where.startswith(name + ".") or section not in SOURCE_OF or section == "no server":
                continue
            number = int(where.split(":")[1])
            if number not in counts:
                continue
            r = gw.query("reader_" + SOURCE_OF[section], sql, [1] * counts[number])
            n += 1
            if r.status != 200 and (engine.dialect, sql.strip()) not in NOT_PREPARABLE:
                wrong.append((where, sql[:120], r.status, r.code, r.json["error"]["message"][:120]))
    eq([], wrong[:10])
    check(n > 100, "the corpus is there", n)
    print(f"# {engine.kind}: {n} lines answered")


LOGIN = {"host": "127.0.0.1", "username": "u", "password": "p"}
WITHOUT_DRIVER = {  # dialect: a type that has it and no driver yet
    "clickhouse": LOGIN, "oracle": LOGIN, "sqlserver": LOGIN, "trino": LOGIN, "spark": LOGIN, "flink": LOGIN,
    "redshift": {**LOGIN, "database": "d"}, "druid": {"brokerHost": "127.0.0.1"},
    "snowflake": {"account": "a", "username": "u", "password": "p", "warehouse": "w", "database": "d",
                  "authentication": {"type": "password"}},
    "bigquery": {"project": "p", "authentication": {"type": "serviceAccount", "credentialsJson": json.dumps({
        "type": "service_account", "client_email": "a@b.c", "private_key": "k", "token_uri": "https://127.0.0.1/t"})}},
}


def judged(dialect, config):
    """There is nothing to run it on: what the gateway says when it is asked, line by line."""
    gw, wrong, n = Gateway(), [], {"refuse": 0, "accept": 0}
    for policy, more in (("plain", {}), ("metadata", {"allowMetadataStatements": True}), ("builtin", {"functions": "built-in"})):
        r = gw.post("/api/v1/datasources", {"name": policy, "type": dialect, "config": {**config, **more}})
        eq(201, r.status, r)
    for kind in n:
        for where, section, code, sql in lines(dialect, kind):
            if section not in SOURCE_OF:
                continue
            n[kind] += 1
            r = gw.post("/api/v1/query/validate", {"dataSource": SOURCE_OF[section], "sql": sql})
            said = {"OK"} if r.status == 200 and r.data["valid"] else {e["code"] for e in r.data["errors"]} if r.status == 200 else {r.code}
            if not said & ({code} | EARLIER if kind == "refuse" else {"OK"}):
                wrong.append((where, code, said, sql[:120]))
    eq([], wrong[:10])
    check(min(n.values()) > 100, "the corpus is there", n)
    print(f"# {dialect}: {n['refuse']} lines refused, {n['accept']} accepted, as the gateway judges them")
    gw.close()


def oracle(engine):
    before = engine.state()
    eq(before, engine.state())
    engine.write()
    check(before != engine.state(), "a write beside the gateway is seen")
    with socket.create_server(("127.0.0.1", 0)) as s:
        check((s.getsockname()[1], "00000000:0000", True) in sockets_of([os.getpid()]), "a socket is seen")


engines = {}


def register(cls):
    def engine():
        if cls not in engines:
            engines[cls] = cls()
        return engines[cls]
    add_case(f"{cls.kind}_oracle_sees_a_write", lambda: oracle(engine()))
    add_case(f"{cls.kind}_refuses_with_a_login_that_may_do_anything", lambda: refused(engine()))
    if getattr(cls, "accepts", True):
        add_case(f"{cls.kind}_answers_a_login_that_may_only_read", lambda: accepted(engine()))


if not os.environ.get("NX_PROOF_IMPORT"):  # tests/layers.py uses the engines
    for engine_class in (Postgres, Mariadb, Sqlite, Duckdb):
        register(engine_class)
    for one in WITHOUT_DRIVER:
        add_case(f"{one}_is_judged_through_the_gateway", lambda one=one: judged(one, WITHOUT_DRIVER[one]))
    main()
