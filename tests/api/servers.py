"""Database servers and doubles for API tests.

postgres() and mariadb() start a real server by tests/servers/*.sh. Under tests/run.py the first test
file that needs one starts it for all (NEXUS_TEST_SHARED), and run.py stops it; a file that runs
alone starts and stops its own. Nothing is ever asked of a server of the user."""
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import nxtest
from nxtest import ROOT, Failed, skip

ROWS = 2500  # of the sample table `many`
SCRIPTS = os.path.join(ROOT, "tests", "servers")


class Server:
    def __init__(self, kind, info):
        self.kind = kind
        self.host = "127.0.0.1"
        self.dir = info["DIR"]
        self.port = int(info["PORT"])
        self.user = info["USER"]
        self.password = info["PASSWORD"]
        self.info = info

    def source(self, name, **config):
        base = {"host": self.host, "port": self.port, "username": self.user,
                "password": self.password, "database": self.database}
        base.update(config)
        return {"name": name, "type": self.kind, "config": base}


class OwnPostgres:
    """A PostgreSQL of one test, which may kill it and start it again on the same port."""

    def __init__(self):
        self.info = start("postgresql")
        self.server = Postgres("postgresql", self.info)
        self.server.prepare()
        nxtest.closers.insert(0, self.stop)

    def pg_ctl(self, *args):
        command = ["/usr/lib/postgresql/15/bin/pg_ctl", "-D", os.path.join(self.server.dir, "data"), *args]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                       cwd="/", check=False)

    def kill(self):
        """SIGKILL to the postmaster; its children see that and leave."""
        with open(os.path.join(self.server.dir, "data", "postmaster.pid"), encoding="ascii") as f:
            pid = int(f.readline())
        children = nxtest.descendants(pid)
        os.kill(pid, signal.SIGKILL)
        # gone, not a zombie: PostgreSQL takes that for a server which still runs
        nxtest.until("the server is reaped", lambda: not os.path.exists(f"/proc/{pid}"))
        nxtest.until("its children are gone", lambda: not any(map(nxtest.alive, children)), seconds=20)

    def start(self):
        self.pg_ctl("-l", os.path.join(self.server.dir, "log"), "-w", "-o", f"-p {self.server.port}", "start")

    def stop(self):
        info, self.info = self.info, None
        if info:
            stop("postgresql", info)


class OwnMariadb:
    """A MariaDB of one test, which may kill it and start it again on the same port."""

    def __init__(self):
        # a killed server must not lose what it said was kept
        self.info = start("mariadb", "--", "--innodb-flush-log-at-trx-commit=1")
        self.server = Mariadb("mariadb", self.info)
        self.pid = int(self.info["PID"])
        with open(f"/proc/{self.pid}/cmdline", "rb") as f:
            self.command = f.read().rstrip(b"\0").split(b"\0")
        self.process = None  # of start(); the first is the script's
        nxtest.closers.insert(0, self.stop)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        if self.process:
            self.process.wait()
        nxtest.until("the server is gone", lambda: not nxtest.alive(self.pid))

    def start(self):
        with open(os.path.join(self.server.dir, "log"), "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.process.pid
        nxtest.until("the server answers", self.answers, seconds=20, every=0.1)

    def answers(self):
        try:
            return self.server.sql("SELECT 1")
        except Failed:
            return None

    def stop(self):
        info, self.info = self.info, None
        if info:
            stop("mariadb", info)
            if self.process:
                self.process.wait()


class Postgres(Server):
    """The gateway logs in as `api`: not a superuser, but it may write every table on purpose."""
    database = "postgres"

    def prepare(self):
        self.sql(f"""
            CREATE ROLE api LOGIN PASSWORD 'api-secret';
            GRANT ALL ON SCHEMA public TO api;
            ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO api;
            SET ROLE api;
            CREATE TABLE t(id int PRIMARY KEY, name text NOT NULL, score float8, data bytea);
            INSERT INTO t VALUES (1, 'one', 1.5, '\\x00ff'), (2, 'zw\u00f6lf', NULL, NULL), (3, '', -0.25, '');
            CREATE TABLE many AS SELECT i AS id, 'row ' || i AS text FROM generate_series(1, {ROWS}) AS s(i);
            CREATE VIEW v AS SELECT id, name FROM t;""")

    def source(self, name, **config):
        return super().source(name, **{"username": "api", "password": "api-secret", **config})

    def sql(self, text):
        """Rows as lists of text, by psql as the owner."""
        env = dict(os.environ, PGPASSWORD=self.password)
        p = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1",
                            "-h", self.host, "-p", str(self.port), "-U", self.user,
                            "-d", self.database],
                           input=text, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True)
        if p.returncode:
            raise Failed("psql: " + p.stderr)
        return [line.split("\x1f") for line in p.stdout.split("\n") if line]

    def hold(self, text):
        """A psql process that has run the text and keeps its session: terminate() it."""
        env = dict(os.environ, PGPASSWORD=self.password)
        p = subprocess.Popen(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.host, "-p", str(self.port), "-U",
                              self.user, "-d", self.database], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        p.stdin.write(text + "\n\\echo held\n")
        p.stdin.flush()
        if p.stdout.readline() != "held\n":
            raise Failed("psql does not hold its session")
        return p

    def active(self, marker):
        """Backends that run a statement with this text, the asking one left out."""
        return [r[0] for r in self.sql(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state <> 'idle' "
            f"AND query LIKE '%{marker}%'")]

    def kill(self, marker):
        return self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        f"WHERE pid <> pg_backend_pid() AND query LIKE '%{marker}%'")


class Mariadb(Server):
    database = "nx"

    def prepare(self):
        pass  # the script made the accounts

    def sql(self, text):
        p = subprocess.run(["mariadb", "--no-defaults", "-u", "root", "-S", self.info["SOCKET"],
                            "-N", "-B", "nx", "-e", text],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if p.returncode:
            raise Failed("mariadb: " + p.stderr)
        return [line.split("\t") for line in p.stdout.split("\n") if line]

    def active(self, marker):
        return [r[0] for r in self.sql(
            "SELECT id FROM information_schema.processlist WHERE id <> connection_id() "
            f"AND command <> 'Sleep' AND info LIKE '%{marker}%'")]

    def kill(self, marker):
        for pid in self.active(marker):
            self.sql(f"KILL {pid}")


KINDS = {"postgresql": (Postgres, "postgres.sh", "NX_PG_"),
         "mariadb": (Mariadb, "mariadb.sh", "NX_MARIADB_")}


def start(kind, *options):
    cls, script, prefix = KINDS[kind]
    path = os.path.join(SCRIPTS, script)
    if not os.access(path, os.X_OK):
        skip(f"tests/servers/{script} is not there")
    p = subprocess.run([path, "start", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                       start_new_session=True)
    if p.returncode:
        raise Failed(f"{script}: {p.stderr}")
    info = {k: v.strip("'") for k, v in re.findall(rf"^{prefix}(\w+)=(.*)$", p.stdout, re.M)}
    return info


def stop(kind, info):
    subprocess.run([os.path.join(SCRIPTS, KINDS[kind][1]), "stop", info["DIR"]], check=False)


def get(kind):
    """The server of that kind, started if need be."""
    if kind in nxtest.shared:
        return nxtest.shared[kind]
    folder = os.environ.get("NEXUS_TEST_SHARED")
    if folder:
        note = os.path.join(folder, kind + ".json")
        with open(os.path.join(folder, kind + ".lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(note):
                info = start(kind)
                KINDS[kind][0](kind, info).prepare()
                with open(note, "w", encoding="utf-8") as f:
                    json.dump(info, f)
        with open(note, encoding="utf-8") as f:
            info = json.load(f)
    else:
        info = start(kind)
        KINDS[kind][0](kind, info).prepare()
        nxtest.closers.insert(0, lambda: stop(kind, info))
    server = KINDS[kind][0](kind, info)
    nxtest.shared[kind] = server
    return server


def postgres():
    return get("postgresql")


def mariadb():
    return get("mariadb")


def stop_shared(folder):
    """For run.py, after the last test."""
    for kind in KINDS:
        note = os.path.join(folder, kind + ".json")
        if os.path.exists(note):
            with open(note, encoding="utf-8") as f:
                stop(kind, json.load(f))


# ---- doubles

def free_port():
    """A port nobody listens on (for "connection refused")."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Silent:
    """Accepts connections and never says a word."""

    def __init__(self, greeting=b""):
        self.greeting = greeting
        self.held = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()
        nxtest.closers.append(self.close)

    def run(self):
        try:
            while True:
                s, _ = self.listener.accept()
                s.sendall(self.greeting)
                self.held.append(s)
        except OSError:
            pass

    def close(self):
        self.listener.close()
        for s in self.held:
            s.close()


class Proxy:
    """A TCP relay to a server that can be cut or stopped while bytes flow."""

    def __init__(self, port, host="127.0.0.1"):
        self.target = (host, port)
        self.pairs = []
        self.frozen = threading.Event()
        self.refuse = False
        self.cut_after = None  # bytes from the server over one connection, then both ends close
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()
        nxtest.closers.append(self.close)

    def run(self):
        try:
            while True:
                client, _ = self.listener.accept()
                if self.refuse:
                    client.close()
                    continue
                try:
                    server = socket.create_connection(self.target)
                except OSError:
                    client.close()
                    continue
                self.pairs.append((client, server))
                threading.Thread(target=self.relay, args=(client, server, False),
                                 daemon=True).start()
                threading.Thread(target=self.relay, args=(server, client, True),
                                 daemon=True).start()
        except OSError:
            pass

    def relay(self, source, sink, from_server):
        total = 0
        try:
            while True:
                data = source.recv(16384)
                while self.frozen.is_set():
                    threading.Event().wait(0.02)
                if not data:
                    break
                total += len(data)
                if from_server and self.cut_after is not None and total > self.cut_after:
                    break
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """Every connection breaks now."""
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                s.close()

    def close(self):
        self.listener.close()
        self.frozen.clear()
        self.cut()


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "stop":
        stop_shared(sys.argv[2])
