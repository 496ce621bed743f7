#!/usr/bin/env python3
"""Runs every accept line of the SQL corpora on real servers: a line that the gate accepts must also be SQL.

    corpus_live.py <corpus_list program> <corpus folder> [--mutate N] [--refused] [dialect ...]

PostgreSQL and MariaDB are started in a scratch folder on a Unix socket and stopped at the end; SQLite and
DuckDB run in this process (DuckDB when libduckdb.so is found: NEXUS_LIBDUCKDB or .cache/duckdb/lib), the ClickHouse
engine in one of its own (when tools/parsers.sh has fetched it). Each line
runs in a read-only transaction of a least-privileged login where the product has both. For PostgreSQL it also
checks that every name the policy calls pure is pure in the catalog. Prints what failed; exit 77: nothing ran.
With --mutate, N random changes of the lines per dialect: what the gate still lets pass, DuckDB must see as one
SELECT, ClickHouse as one query, and MariaDB must prepare as a statement with columns.
With --refused, also what ClickHouse itself makes of the refuse lines in its read-only mode (two minutes).
"""
import ctypes as C
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "api"))
import corpora  # noqa: E402

LISTER, FOLDER = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
ONLY = sys.argv[3:]
MUTATE = 0
if "--mutate" in ONLY:
    at = ONLY.index("--mutate")
    MUTATE = int(ONLY[at + 1])
    del ONLY[at:at + 2]
REFUSED = "--refused" in ONLY
if REFUSED:
    ONLY.remove("--refused")
PIECES = """' " ` [ ] ( ) , ; . $$ $a$ \\ '' "" -- # /* */ ? :: := => @ : { } = + - * / E' U&' x' SELECT FROM WHERE INTO
FOR UPDATE SHARE UNION WITH AS VALUES TABLE DELETE INSERT DROP SET LIMIT JOIN ON USING LATERAL IN EXISTS ONLY OVER
RETURNING EXPLAIN OUTFILE sleep lower t a 1 NULL PIVOT UNPIVOT DESCRIBE SHOW SUMMARIZE LOCK PROCEDURE @x DUAL
1e5 1E+5 0x1F 0b1 .5 1. x'41' into+@a into+outfile+'/x' {oj \\N read_text('x') range(3) (SELECT+1) (DELETE+FROM+t) INTO+@a INTO+OUTFILE+'/x' ;DROP+TABLE+t --+x/**/ """.split()
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Skip(Exception):
    pass


def lines(dialect, name):
    """(file:line, SQL, number of parameters) of the lines that the gate lets pass."""
    path = os.path.join(FOLDER, name + ".accept")
    out = subprocess.run([LISTER, dialect, path], check=True, capture_output=True, text=True).stdout
    for row in out.splitlines():
        number, params, _, sql = row.split("\t")
        yield f"{name}.accept:{number}", bytes.fromhex(sql), int(params)


def mutants(dialect, count):
    """SQL that the gate lets pass among `count` random changes of the accept lines."""
    rnd = random.Random(20240101)
    seeds = [sql for name in ("common", dialect) for _, sql, _ in lines(dialect, name) if len(sql) < 300]
    batch = []
    for _ in range(count):
        s = bytearray(rnd.choice(seeds))
        for _ in range(rnd.choice((1, 1, 2, 3))):
            at = rnd.randrange(len(s) + 1)
            cut = rnd.choice((0, 0, 1, 2, 5))
            piece = rnd.choice(PIECES).replace("+", " ").encode()
            s[at:at + cut] = rnd.choice((b"", b" ", b"\n")) + piece + rnd.choice((b"", b" "))
        batch.append(bytes(s).hex())
    out = subprocess.run([LISTER, dialect, "-"], input="\n".join(batch), check=True, capture_output=True, text=True)
    for row in out.stdout.splitlines():
        _, params, _, sql = row.split("\t")
        yield bytes.fromhex(sql), int(params)


def setup(dialect):
    with open(os.path.join(FOLDER, dialect + ".setup.sql"), encoding="utf-8") as f:
        return f.read()


def library(*names):
    for name in names:
        try:
            return C.CDLL(name)
        except OSError:
            continue
    raise Skip(f"{names[0]} is not installed")


def wait(what, ready):
    for _ in range(600):
        if ready():
            return
        time.sleep(0.05)
    raise RuntimeError(f"{what} did not start")


class PostgreSQL:
    dialect = "postgresql"

    def __init__(self, scratch):
        bins = "/usr/lib/postgresql/15/bin"
        if not os.path.exists(bins + "/postgres"):
            raise Skip("PostgreSQL 15 is not installed")
        self.q = library("libpq.so.5")
        for f in ("PQconnectdb", "PQexec", "PQexecParams"):
            getattr(self.q, f).restype = C.c_void_p
        for f in ("PQerrorMessage", "PQresultErrorMessage", "PQgetvalue"):
            getattr(self.q, f).restype = C.c_char_p
        self.user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self.user:
            shutil.chown(scratch, "postgres")
        data = os.path.join(scratch, "pg")
        subprocess.run(self.user + [bins + "/initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8",
                                    "--locale=C.UTF-8"], check=True, capture_output=True)
        self.server = subprocess.Popen(self.user + [bins + "/postgres", "-D", data, "-k", scratch, "-c",
                                                    "listen_addresses=", "-c", "fsync=off"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.scratch = scratch
        wait("PostgreSQL", lambda: os.path.exists(scratch + "/.s.PGSQL.5432") and self.connect("postgres"))
        self.exec(setup("postgresql"))
        self.exec("CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader;")
        self.connect("reader")
        self.exec("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")

    def connect(self, user):
        self.c = C.c_void_p(self.q.PQconnectdb(f"host={self.scratch} user={user} dbname=postgres".encode()))
        return self.q.PQstatus(self.c) == 0

    def exec(self, sql):
        r = C.c_void_p(self.q.PQexec(self.c, sql.encode()))
        status = self.q.PQresultStatus(r)
        if status not in (1, 2):
            raise RuntimeError(self.q.PQresultErrorMessage(r).decode())
        rows = [self.q.PQgetvalue(r, i, 0).decode() for i in range(self.q.PQntuples(r))]
        self.q.PQclear(r)
        return rows

    def run(self, sql, params):
        self.exec("BEGIN")
        values = (C.c_char_p * max(params, 1))(*[b"1"] * params)
        r = C.c_void_p(self.q.PQexecParams(self.c, sql, params, None, values, None, None, 0))
        error = None
        if self.q.PQresultStatus(r) != 2:
            error = self.q.PQresultErrorMessage(r).decode().strip()
        self.q.PQclear(r)
        self.exec("ROLLBACK")
        return error

    def extra(self):
        """Names called pure must not be volatile in pg_catalog."""
        with open(os.path.join(FOLDER, "..", "policy", "postgresql.c"), encoding="utf-8") as f:
            text = f.read().split("nx_fn_postgresql[]")[1].split("nx_fn_redshift")[0]
        part = text.split("NX_FN_PURE,")[1].split("NX_FN_READ")[0]
        names = " ".join(re.findall(r'"([^"]*)"', part)).split()
        volatile = set(self.exec("SELECT proname FROM pg_proc WHERE provolatile = 'v'"))
        known = set(self.exec("SELECT proname FROM pg_proc UNION SELECT typname FROM pg_type UNION SELECT word "
                              "FROM pg_get_keywords()"))
        for n in names:
            if n in volatile:
                yield f"policy: {n} is called pure but is volatile"
            if n not in known:
                yield f"policy: {n} is called pure but PostgreSQL does not know it"

    def stop(self):
        self.server.terminate()
        self.server.wait()


class MariaDB:
    dialect = "mysql"

    def __init__(self, scratch):
        if not shutil.which("mariadbd") and not os.path.exists("/usr/sbin/mariadbd"):
            raise Skip("MariaDB is not installed")
        daemon = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
        self.q = library("libmariadb.so.3")
        for f in ("mysql_init", "mysql_real_connect", "mysql_store_result", "mysql_stmt_init"):
            getattr(self.q, f).restype = C.c_void_p
        self.q.mysql_error.restype = C.c_char_p
        user = "mysql" if os.getuid() == 0 else None
        data = os.path.join(scratch, "my")
        os.mkdir(data)
        if user:
            shutil.chown(scratch, user)
            shutil.chown(data, user)
        extra = ["--user=mysql"] if user else []
        subprocess.run(["mariadb-install-db", "--no-defaults", "--datadir=" + data, "--auth-root-authentication-method=normal",
                        "--skip-test-db"] + extra, check=True, capture_output=True)
        self.socket = os.path.join(scratch, "my.sock")
        self.server = subprocess.Popen([daemon, "--no-defaults", "--datadir=" + data, "--socket=" + self.socket,
                                        "--skip-networking", "--character-set-server=utf8mb4"] + extra,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait("MariaDB", lambda: os.path.exists(self.socket) and self.connect(b"root", None))
        self.exec(b"CREATE DATABASE d")
        self.exec(b"USE d")
        for sql in setup("mysql").split(";\n"):
            if sql.strip():
                self.exec(sql.encode())
        self.exec(b"CREATE USER reader")
        self.exec(b"GRANT SELECT ON *.* TO reader")
        if not self.connect(b"reader", b"d"):
            raise RuntimeError("the reader cannot log in")
        self.exec(b"SET SESSION TRANSACTION READ ONLY")

    def connect(self, user, db):
        self.c = C.c_void_p(self.q.mysql_init(None))
        self.q.mysql_options(self.c, 7, b"utf8mb4")
        return bool(self.q.mysql_real_connect(self.c, None, user, b"", db, 0, self.socket.encode(), C.c_ulong(0)))

    def query(self, sql):
        failed = self.q.mysql_real_query(self.c, sql, C.c_ulong(len(sql)))
        if not failed:
            r = self.q.mysql_store_result(self.c)
            if r:
                self.q.mysql_free_result(C.c_void_p(r))
        return self.q.mysql_error(self.c).decode() or None

    def exec(self, sql):
        error = self.query(sql)
        if error:
            raise RuntimeError(error)

    def run(self, sql, params):
        self.exec(b"START TRANSACTION READ ONLY")
        if params:
            self.exec(b"SET @sql = CONVERT(0x" + sql.hex().encode() + b" USING utf8mb4), @one = 1")
            error = self.query(b"PREPARE s FROM @sql")
            error = error or self.query(b"EXECUTE s USING " + b",".join([b"@one"] * params))
        else:
            error = self.query(sql)
        self.exec(b"ROLLBACK")
        return error

    def judge(self, sql):
        stmt = C.c_void_p(self.q.mysql_stmt_init(self.c))
        wrong = None
        if self.q.mysql_stmt_prepare(stmt, sql, C.c_ulong(len(sql))) == 0 and self.q.mysql_stmt_field_count(stmt) == 0:
            wrong = "MariaDB prepares it as a statement without columns"
        self.q.mysql_stmt_close(stmt)
        return wrong

    def stop(self):
        self.server.terminate()
        self.server.wait()


class SQLite:
    dialect = "sqlite"

    def __init__(self, scratch):
        path = os.path.join(scratch, "x.db")
        c = sqlite3.connect(path)
        c.executescript(setup("sqlite"))
        c.close()
        self.c = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def run(self, sql, params):
        try:
            self.c.execute(sql.decode(), [1] * params).fetchall()
        except sqlite3.Error as e:
            return str(e)
        return None

    def stop(self):
        self.c.close()


class DuckDB:
    dialect = "duckdb"

    def __init__(self, scratch):
        path = os.environ.get("NEXUS_LIBDUCKDB", os.path.join(ROOT, ".cache/duckdb/lib/libduckdb.so"))
        if not os.path.exists(path):
            raise Skip(f"{path} is missing (make run fetches it, or set NEXUS_LIBDUCKDB)")
        self.q = C.CDLL(path)
        self.db, self.c = C.c_void_p(), C.c_void_p()
        self.q.duckdb_prepare_error.restype = C.c_char_p
        self.q.duckdb_result_error.restype = C.c_char_p
        self.q.duckdb_extract_statements.restype = C.c_uint64
        self.q.duckdb_extract_statements_error.restype = C.c_char_p
        os.chdir(scratch)
        os.mkdir("dir")
        if self.q.duckdb_open(None, C.byref(self.db)) or self.q.duckdb_connect(self.db, C.byref(self.c)):
            raise RuntimeError("DuckDB does not open")
        error = self.query(setup("duckdb").encode())
        if error:
            raise RuntimeError(error)

    def query(self, sql):
        result = (C.c_uint64 * 16)()
        failed = self.q.duckdb_query(self.c, sql, C.byref(result))
        error = self.q.duckdb_result_error(C.byref(result)).decode() if failed else None
        self.q.duckdb_destroy_result(C.byref(result))
        return error

    def run(self, sql, params):
        found = C.c_void_p()
        n = self.q.duckdb_extract_statements(self.c, sql, C.byref(found))
        error = (self.q.duckdb_extract_statements_error(found) or b"").decode() if n == 0 else None
        self.q.duckdb_destroy_extracted(C.byref(found))
        if n != 1:
            return error or f"DuckDB sees {n} statements"
        stmt = C.c_void_p()
        if self.q.duckdb_prepare(self.c, sql, C.byref(stmt)):
            error = self.q.duckdb_prepare_error(stmt).decode()
        else:
            for i in range(params):
                self.q.duckdb_bind_int32(stmt, C.c_uint64(i + 1), 1)
            kind = self.q.duckdb_prepared_statement_type(stmt)
            if kind not in (1, 4):  # SELECT, EXPLAIN
                error = f"DuckDB calls it statement type {kind}"
            result = (C.c_uint64 * 16)()
            if self.q.duckdb_execute_prepared(stmt, C.byref(result)):
                error = self.q.duckdb_result_error(C.byref(result)).decode()
            self.q.duckdb_destroy_result(C.byref(result))
        self.q.duckdb_destroy_prepare(C.byref(stmt))
        return error

    def judge(self, sql):
        found, wrong = C.c_void_p(), None
        n = self.q.duckdb_extract_statements(self.c, sql, C.byref(found))
        if n > 1:
            wrong = f"DuckDB sees {n} statements"
        elif n == 1:
            stmt = C.c_void_p()
            if self.q.duckdb_prepare(self.c, sql, C.byref(stmt)) == 0:
                kind = self.q.duckdb_prepared_statement_type(stmt)
                if kind not in (1, 4):
                    wrong = f"DuckDB calls it statement type {kind}"
            self.q.duckdb_destroy_prepare(C.byref(stmt))
        self.q.duckdb_destroy_extracted(C.byref(found))
        return wrong

    def stop(self):
        self.q.duckdb_disconnect(C.byref(self.c))
        self.q.duckdb_close(C.byref(self.db))


class ClickHouse:
    """The engine without a server (chdb), in a process of its own that the refuse lines cannot reach."""
    dialect = "clickhouse"
    QUERIES = ("SelectWithUnionQuery", "SelectIntersectExceptQuery", "Explain", "DescribeQuery", "ShowTables", "ShowColumns",
               "ShowProcesslistQuery", "ShowCreate", "ExistsTable", "ShowFunctions", "ShowSetting", "ShowIndexes", "ShowEngines")

    def __init__(self, scratch):
        python = os.path.join(ROOT, ".cache/parsers/bin/python")
        if not os.path.exists(os.path.join(ROOT, ".cache/parsers/complete-1")):
            raise Skip("the ClickHouse engine is not here (tools/parsers.sh fetches it)")
        self.scratch = scratch
        self.p = subprocess.Popen([python, os.path.join(ROOT, "tests/parsers/clickhouse.py"), os.path.join(scratch, "ch")],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", cwd=scratch)
        self.version = self.answer()["version"]
        for sql in setup("clickhouse").split(";\n"):
            if sql.strip():
                self.must(sql)
        self.state = self.look()
        # what a gateway's login would have: it reads, and may change settings of its queries only
        for sql in ("SET union_default_mode = 'DISTINCT'", "SET max_execution_time = 2", "SET readonly = 2"):
            self.must(sql)

    def answer(self):
        line = self.p.stdout.readline()
        if not line:
            raise RuntimeError("the ClickHouse engine ended")
        return json.loads(line)

    def ask(self, do, sql):
        self.p.stdin.write(json.dumps({"do": do, "sql": sql}) + "\n")
        self.p.stdin.flush()
        return self.answer()

    def must(self, sql):
        error = self.ask("exec", sql).get("error")
        if error:
            raise RuntimeError(f"{sql[:100]}: {error}")

    def look(self):
        """Tables, rows, settings, functions, files: what a statement could have changed."""
        return [self.ask("exec", q) for q in (
            "SELECT database, name, create_table_query FROM system.tables WHERE database NOT IN ('system', "
            "'INFORMATION_SCHEMA', 'information_schema') ORDER BY 1, 2",
            "SELECT sum(rows), count() FROM system.parts WHERE active",
            "SELECT name FROM system.functions WHERE origin != 'System' ORDER BY 1",
            "SELECT name FROM system.users ORDER BY 1", "SELECT name FROM system.dictionaries ORDER BY 1")]

    def run(self, sql, params):
        text = sql.decode()
        if re.search("[^\0-\x7f]", QUOTED.sub("", text)):
            return None  # ClickHouse wants quotes around a name beyond ASCII and says so
        error = self.ask("exec", bind(text, params)).get("error") if params else self.ask("exec", text).get("error")
        return error.splitlines()[0] if error else self.judge(sql, params)

    def judge(self, sql, params=0):
        try:
            text = sql.decode()
        except UnicodeDecodeError:
            return None
        a = self.ask("class", bind(text, params) if params else text)
        if "kind" in a:
            return None if a["kind"] in self.QUERIES else f"ClickHouse calls it {a['kind']}"
        # several statements: formatQuery() says so; any other error is no SQL at all
        return "ClickHouse sees several statements" if "Multi-statements" in a["error"] else None

    def extra(self):
        if self.look() != self.state:
            yield "the accept lines changed something"

    def refused(self):
        """What the engine's own read-only mode makes of the lines that the gate refuses."""
        ends = {"read-only mode": 0, "not its SQL": 0, "other errors": 0, "ran": 0}
        before, files = self.look(), set(os.listdir(self.scratch))
        for _, _, _, sql in corpora.lines("clickhouse", "refuse"):
            if "\0" in sql or len(sql) > 100000:
                continue
            error = self.ask("exec", bind(sql, 1)).get("error")
            ends["ran" if not error else "read-only mode" if "(READONLY)" in error else
                 "not its SQL" if re.search("SYNTAX_ERROR|UNKNOWN_|NOT_IMPLEMENTED", error) else "other errors"] += 1
            self.ask("exec", "SELECT 1")  # the library keeps output of a statement that failed half-way
            now, here = self.look(), set(os.listdir(self.scratch))
            if now != before or here != files:
                print(f"ClickHouse, without the gate: {sql[:100]!r} had an effect")
            before, files = now, here
        print("ClickHouse, without the gate: " + ", ".join(f"{n} {k}" for k, n in ends.items()))

    def stop(self):
        self.p.stdin.close()
        self.p.wait()


QUOTED = re.compile(r"""'(?:[^'\\]|\\.|'')*'|"[^"]*"|`[^`]*`|--[^\n]*|/\*.*?\*/|#[ !][^\n]*""", re.S)


def bind(sql, params):
    """`?` as the number 1 where the gate counted a parameter: outside quotes and comments."""
    at, out = 0, []
    for m in QUOTED.finditer(sql):
        out += [sql[at:m.start()].replace("?", "1"), m.group(0)]
        at = m.end()
    return "".join(out) + sql[at:].replace("?", "1")


def main():
    bad = ran = 0
    for engine in (PostgreSQL, MariaDB, SQLite, DuckDB, ClickHouse):
        if ONLY and engine.dialect not in ONLY:
            continue
        scratch = tempfile.mkdtemp(prefix="corpus")
        here, server = os.getcwd(), None
        try:
            server = engine(scratch)
            count = failed = 0
            for name in ("common", engine.dialect):
                for where, sql, params in lines(engine.dialect, name):
                    error = server.run(sql, params)
                    count += 1
                    if error:
                        failed += 1
                        print(f"{engine.dialect} {where}: {sql.decode()[:150]}\n    {error.splitlines()[0]}")
            for problem in getattr(server, "extra", lambda: ())():
                failed += 1
                print(f"{engine.dialect} {problem}")
            print(f"{engine.__name__}: {count} accept lines ran, {failed} failed")
            if REFUSED and hasattr(server, "refused"):
                server.refused()
            if MUTATE and hasattr(server, "judge"):
                passed = 0
                for sql, params in mutants(engine.dialect, MUTATE):
                    passed += 1
                    wrong = server.judge(sql, params) if engine is ClickHouse else server.judge(sql)
                    if wrong:
                        failed += 1
                        print(f"{engine.dialect} {sql!r}\n    {wrong}")
                print(f"{engine.__name__}: {passed} of {MUTATE} mutants passed the gate, {failed} read otherwise")
            ran += 1
            bad += failed
        except Skip as e:
            print(f"SKIP {engine.__name__}: {e}")
        finally:
            if server:
                server.stop()
            os.chdir(here)
            shutil.rmtree(scratch, ignore_errors=True)
    return 77 if ran == 0 else bad > 0


sys.exit(main())
