"""A SQLite file with known rows, and the sources that most test files use."""
import os
import sqlite3
import tempfile

import nxtest
import servers

ROWS = 2500  # of table `many`


def sqlite_file():
    if "sqlite" not in nxtest.shared:
        folder = tempfile.mkdtemp(prefix="nxsqlite.")
        path = os.path.join(folder, "sample.db")
        db = sqlite3.connect(path)
        db.executescript("""
            CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT NOT NULL, score REAL, data BLOB);
            INSERT INTO t VALUES (1, 'one', 1.5, x'00ff'), (2, 'zw\u00f6lf', NULL, NULL), (3, '', -0.25, x'');
            CREATE TABLE many(id INTEGER PRIMARY KEY, text TEXT);
            CREATE VIEW v AS SELECT id, name FROM t;
        """)
        db.executemany("INSERT INTO many VALUES (?, ?)",
                       ((i, f"row {i}") for i in range(1, ROWS + 1)))
        db.commit()
        db.close()
        nxtest.shared["sqlite"] = path

        def remove():
            os.unlink(path)
            os.rmdir(folder)
        nxtest.closers.insert(0, remove)
    return nxtest.shared["sqlite"]


def postgres_tables():
    """The same tables in a real server: NEXUS_TEST_LITE=postgresql runs the general cases there."""
    server = servers.postgres()
    if "lite_pg" not in nxtest.shared:
        server.sql(f"""
            CREATE SCHEMA IF NOT EXISTS lite AUTHORIZATION api;
            ALTER ROLE api SET search_path = lite, public;
            DROP TABLE IF EXISTS lite.t, lite.many CASCADE;
            SET ROLE api;
            CREATE TABLE lite.t(id int PRIMARY KEY, name text NOT NULL, score float8, data bytea);
            INSERT INTO lite.t VALUES (1, 'one', 1.5, '\\x00ff'), (2, U&'zw\\00f6lf', NULL, NULL), (3, '', -0.25, '');
            CREATE TABLE lite.many AS SELECT i AS id, 'row ' || i AS text FROM generate_series(1, {ROWS}) AS s(i);
            CREATE VIEW lite.v AS SELECT id, name FROM lite.t;""")
        nxtest.shared["lite_pg"] = True
    return server


def sqlite_source(name="lite", **config):
    if os.environ.get("NEXUS_TEST_LITE") == "postgresql":
        return postgres_tables().source(name, **config)
    return {"name": name, "type": "sqlite", "config": {"path": sqlite_file(), **config}}
