"""A SQLite file with known rows, and the sources that most test files use."""
import os
import sqlite3
import tempfile

import nxtest
import servers

ROWS = servers.ROWS


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


def sqlite_source(name="lite", **config):
    # NEXUS_TEST_LITE=postgresql runs the general cases on the same tables of a real server.
    if os.environ.get("NEXUS_TEST_LITE") == "postgresql":
        return servers.postgres().source(name, **config)
    return {"name": name, "type": "sqlite", "config": {"path": sqlite_file(), **config}}
