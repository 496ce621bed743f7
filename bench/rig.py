"""What the measurements share: servers of our own, the gateway, CPU and memory of processes."""

import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("BUILD", "build")
NEXUS = os.path.join(TOP, BUILD, "nexus")
TICK = os.sysconf("SC_CLK_TCK")


def lg_path():
    for p in ("bench/lg", "src/http/lg", "lg"):
        full = os.path.join(TOP, BUILD, p)
        if os.path.exists(full):
            return full
    sys.exit("bench: the load generator lg is not built")


def say(text):
    print(text, file=sys.stderr, flush=True)


def children(pid):
    """pid and all its descendants."""
    found = [pid]
    for p in found:
        for task in glob.glob(f"/proc/{p}/task/*/children"):
            try:
                with open(task) as f:
                    found += [int(c) for c in f.read().split()]
            except OSError:
                pass
    return found


def cpu_seconds(pid):
    total = 0
    for p in children(pid):
        try:
            with open(f"/proc/{p}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return total / TICK


def rss_bytes(pid):
    """Memory of a process tree: private pages of each and shared pages once per mapping (PSS)."""
    total = 0
    for p in children(pid):
        try:
            with open(f"/proc/{p}/smaps_rollup") as f:
                for line in f:
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        except OSError:
            pass
    return total


class Scratch:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="nexus-bench-")
        os.chmod(self.dir, 0o755)
        self.stops = []

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def defer(self, fn):
        self.stops.append(fn)

    def close(self):
        for fn in reversed(self.stops):
            try:
                fn()
            except Exception as e:  # the rest must still be stopped
                say(f"bench: while stopping: {e}")
        shutil.rmtree(self.dir, ignore_errors=True)


def assignments(script, *args, env=None):
    """Runs a server script and reads the shell assignments it prints."""
    out = subprocess.run([os.path.join(TOP, "tests/servers", script), *args], check=True,
                         stdout=subprocess.PIPE, text=True,
                         env={**os.environ, **(env or {})}).stdout
    import shlex
    found = {}
    for word in shlex.split(out.replace("export ", "")):
        if "=" in word:
            k, v = word.split("=", 1)
            found[k] = v.rstrip(";")
    return found


def start_postgres(scratch):
    pg = assignments("postgres.sh", "start", env={
        "NX_PG_CONF": "max_connections=600;shared_buffers=1GB;fsync=off;max_wal_size=4GB;jit=off"})
    scratch.defer(lambda: subprocess.run(
        [os.path.join(TOP, "tests/servers/postgres.sh"), "stop", pg["NX_PG_DIR"]], check=False))
    pg["env"] = {**os.environ, "PGHOST": pg["NX_PG_HOST"], "PGPORT": pg["NX_PG_PORT"],
                 "PGUSER": pg["NX_PG_USER"], "PGPASSWORD": pg["NX_PG_PASSWORD"],
                 "PGDATABASE": "postgres"}
    return pg


def start_mariadb(scratch):
    db = assignments("mariadb.sh", "start")
    scratch.defer(lambda: subprocess.run(
        [os.path.join(TOP, "tests/servers/mariadb.sh"), "stop", db["NX_MARIADB_DIR"]], check=False))
    return db


def source(name, kind, **config):
    return {"name": name, "type": kind, "config": config}


class Gateway:
    """nexus serve on a free port with the given sources (JSON is YAML)."""

    def __init__(self, scratch, sources, name="gw", **config):
        self.dir = scratch.path(name)
        os.mkdir(self.dir, 0o700)
        conf = os.path.join(self.dir, "nexus.yaml")
        tree = {"dataDir": os.path.join(self.dir, "data"), "sources": sources, **config}
        with open(conf, "w") as f:
            json.dump(tree, f)
        os.chmod(conf, 0o600)
        portfile = os.path.join(self.dir, "port")
        self.log = open(os.path.join(self.dir, "log"), "w")
        self.started = time.monotonic()
        self.proc = subprocess.Popen(
            [NEXUS, "serve", "-c", conf, "--listen", "127.0.0.1:0", "--port-file", portfile],
            stderr=self.log, cwd=TOP)
        scratch.defer(self.stop)
        while not os.path.exists(portfile):
            if self.proc.poll() is not None:
                sys.exit("bench: the gateway did not start:\n" + open(self.log.name).read())
            time.sleep(0.001)
        self.port = int(open(portfile).read())
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = open(os.path.join(self.dir, "data", "admin.key")).read().strip()
        self.token = self.call("POST", "/api/v1/keys", {
            "name": "bench", "role": "analyst", "kind": "jwt", "ttl": 86400})["data"]["token"]

    def stop(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(20)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        self.log.close()

    def call(self, method, path, body=None, timeout=600):
        req = urllib.request.Request(
            self.url + path, method=method, data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": "Bearer " + self.key, "Content-Type": "application/json"})
        with urllib.request.urlopen(req, timeout=timeout) as r:
            return json.loads(r.read() or b"{}")

    def head(self, body):
        """The bytes of one query request."""
        data = json.dumps(body).encode()
        return (f"POST /api/v1/query HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
                f"Authorization: Bearer {self.token}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(data)}\r\n\r\n").encode() + data

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port))
        return s


def run_lg(gw_or_url, body, conns, seconds, rate=None, path="/api/v1/query", token=None, warmup=1):
    """One run of the load generator; its JSON line."""
    url = gw_or_url if isinstance(gw_or_url, str) else gw_or_url.url
    token = token or getattr(gw_or_url, "token", None)
    cmd = [lg_path(), "-c", str(conns), "-d", str(seconds), "-w", str(warmup), "-m", "POST",
           "-B", body, "-H", "Content-Type: application/json"]
    if token:
        cmd += ["-H", "Authorization: Bearer " + token]
    if rate:
        cmd += ["-R", str(rate)]
    p = subprocess.run(cmd + [url + path], stdout=subprocess.PIPE, text=True)
    return json.loads(p.stdout.strip().splitlines()[-1])


def median(values):
    v = sorted(values)
    return v[len(v) // 2]
