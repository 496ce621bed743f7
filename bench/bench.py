#!/usr/bin/env python3
"""The measurements of docs/performance.md. Figures are ratios between programs that ran side by side
in this run; absolute numbers stand beside them only to read the ratios."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rig
from rig import Gateway, Scratch, median, run_lg, say, source

SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
POOL = int(os.environ.get("BENCH_POOL", "4"))
BIG = int(os.environ.get("BENCH_ROWS", "10000000"))
out = []


def table(title, head, rows):
    out.append(f"\n### {title}\n")
    out.append("| " + " | ".join(head) + " |")
    out.append("|" + "---|" * len(head))
    for r in rows:
        out.append("| " + " | ".join(str(c) for c in r) + " |")
    print("\n".join(out[-len(rows) - 3:]), flush=True)


def verdict(ok):
    return "met" if ok else "**missed**"


def pg_source(pg, **more):
    return source("pg", "postgresql", host=pg["NX_PG_HOST"], port=int(pg["NX_PG_PORT"]),
                  database="postgres", username=pg["NX_PG_USER"], password=pg["NX_PG_PASSWORD"], **more)


# ---- point queries ----

POINT = json.dumps({"dataSource": "pg", "sql": "SELECT abalance FROM pgbench_accounts WHERE aid = ?",
                    "parameters": ["@@"]}).replace('"@@"', "{{rand:1000000}}")
POINT = POINT.replace("{{rand:1000000}}", "1{{rand:99999}}")  # never 0: every answer has its row


def pgbench(env, clients, seconds, extra=()):
    seconds += clients / 50  # logging in counts towards pgbench's time, not towards its tps
    p = subprocess.run(["pgbench", "-n", "-S", "-M", "prepared", "-c", str(clients), "-j", "2", "-T",
                        str(int(seconds)), "-l", "--log-prefix", "lat", *extra],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
                       cwd=env["BENCH_DIR"])
    if p.returncode:
        raise RuntimeError(p.stderr[-500:])
    tps = float(re.search(r"tps = ([\d.]+) \(without initial", p.stdout).group(1))
    lat = []
    for f in os.listdir(env["BENCH_DIR"]):
        if f.startswith("lat."):
            full = os.path.join(env["BENCH_DIR"], f)
            with open(full) as h:
                lat += [int(line.split()[2]) for i, line in enumerate(h) if i % 7 == 0]
            os.remove(full)
    lat.sort()
    return tps, lat[len(lat) // 2] / 1000, lat[len(lat) * 99 // 100] / 1000


def start_pgbouncer(s, pg):
    if not shutil.which("pgbouncer"):
        return None
    d = s.path("pgbouncer")
    os.mkdir(d)
    shutil.chown(d, "postgres")
    with open(d + "/users.txt", "w") as f:
        f.write(f'"{pg["NX_PG_USER"]}" "{pg["NX_PG_PASSWORD"]}"\n')
    port = int(pg["NX_PG_PORT"]) + 1
    with open(d + "/pgbouncer.ini", "w") as f:
        f.write(f"[databases]\npostgres = host={pg['NX_PG_HOST']} port={pg['NX_PG_PORT']}\n[pgbouncer]\n"
                f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = scram-sha-256\n"
                f"auth_file = {d}/users.txt\npool_mode = session\nmax_client_conn = 1000\n"
                f"default_pool_size = 300\nlogfile = {d}/log\npidfile = {d}/pid\n"
                "unix_socket_dir =\nignore_startup_parameters = extra_float_digits\n")
    p = subprocess.Popen(["pgbouncer", "-q", "-u", "postgres", d + "/pgbouncer.ini"],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    s.defer(lambda: (p.terminate(), p.wait()))
    time.sleep(0.5)
    return None if p.poll() is not None else (port, p.pid)


def start_toolbox(s, pg):
    """MCP Toolbox from npm, if it is there: a REST peer (its /api door)."""
    exe = os.environ.get("TOOLBOX") or os.path.join(rig.TOP, ".cache/toolbox/toolbox")
    if not os.path.exists(exe):
        return None
    conf = s.path("tools.yaml")
    with open(conf, "w") as f:
        f.write(f"""sources:
  pg:
    kind: postgres
    host: {pg['NX_PG_HOST']}
    port: {pg['NX_PG_PORT']}
    database: postgres
    user: {pg['NX_PG_USER']}
    password: "{pg['NX_PG_PASSWORD']}"
tools:
  point:
    kind: postgres-sql
    source: pg
    description: point
    parameters:
      - name: aid
        type: integer
        description: key
    statement: SELECT abalance FROM pgbench_accounts WHERE aid = $1
""")
    port = int(pg["NX_PG_PORT"]) + 2
    p = subprocess.Popen([exe, "--config", conf, "--port", str(port), "--address", "127.0.0.1",
                          "--enable-api", "--disable-version-check", "--log-level", "ERROR"],
                         stdout=subprocess.DEVNULL, stderr=open(s.path("toolbox.log"), "w"))
    s.defer(lambda: (p.terminate(), p.wait()))
    time.sleep(2)
    return None if p.poll() is not None else (f"http://127.0.0.1:{port}", p.pid)


def point(s):
    pg = rig.start_postgres(s)
    env = {**pg["env"], "BENCH_DIR": s.path()}
    subprocess.run(["pgbench", "-i", "-q", "-s", "10"], env=env, check=True,
                   stderr=subprocess.DEVNULL)
    bouncer, toolbox = start_pgbouncer(s, pg), start_toolbox(s, pg)
    # two connections a core: the rest of the clients share their round trips
    gw = Gateway(s, [pg_source(pg, maxPoolSize=POOL)])
    benv = {**env, "PGPORT": str(bouncer[0]), "PGHOST": "127.0.0.1"} if bouncer else None
    goals = {16: 0.35, 64: 0.60, 256: 1.10}
    rows = []
    for clients in goals:
        direct, ours, theirs, peer = [], [], [], []
        for _ in range(ROUNDS):
            direct.append(pgbench(env, clients, SECONDS))
            c0 = rig.cpu_seconds(gw.proc.pid)
            r = run_lg(gw, POINT, clients, SECONDS, warmup=0)
            cpu = (rig.cpu_seconds(gw.proc.pid) - c0) * 1e6 / max(1, r["requests"])
            if r.get("non2xx", 0) or r.get("errors", 0):
                say(f"point: not clean: {r}")
            ours.append((r["rps"], cpu, r["p50_us"] / 1000, r["p99_us"] / 1000))
            if benv:
                theirs.append(pgbench(benv, clients, SECONDS))
            if toolbox:
                peer.append(run_lg(toolbox[0], '{"aid": 1{{rand:99999}}}', clients, SECONDS,
                                   path="/api/tool/point/invoke", warmup=0)["rps"])
        base = median([d[0] for d in direct])
        ratio = median([o[0] / d[0] for o, d in zip(ours, direct)])
        cpu = median([o[1] for o in ours])
        rows.append((clients, f"{base:,.0f}", f"{median([o[0] for o in ours]):,.0f}", f"**{ratio:.2f}**",
                     f">= {goals[clients]:.2f} {verdict(ratio >= goals[clients])}", f"{cpu:.1f}",
                     f"{median([o[2] for o in ours]):.2f} / {median([o[3] for o in ours]):.2f}",
                     f"{median([d[1] for d in direct]):.2f} / {median([d[2] for d in direct]):.2f}",
                     f"{median([t[0] for t in theirs]) / base:.2f}" if theirs else "not installed",
                     f"{median(peer) / base:.2f}" if peer else "not installed"))
    table(f"Point SELECT by primary key, HTTP + JSON + token check, audit on, pool of {POOL} connections",
          ["clients", "pgbench direct /s", "nexus /s", "ratio", "goal", "gateway CPU us/request (goal 22 at 64)",
           "nexus p50 / p99 ms", "direct p50 / p99 ms", "PgBouncer ratio", "MCP Toolbox ratio"], rows)
    gw.stop()
    # not saturated: more connections keep the tail short
    wide = Gateway(s, [pg_source(pg, maxPoolSize=16)], name="wide")
    r = run_lg(wide, POINT, 1000, SECONDS * 2, rate=10000)
    table("Open loop, 10,000 requests/s on 1,000 client connections, pool of 16", ["sent/s", "p50 ms", "p99 ms", "errors", "goal"],
          [(f"{r['rps']:,.0f}", f"{r['p50_us'] / 1000:.2f}", f"{r['p99_us'] / 1000:.2f}", r.get("errors", 0),
            f"p99 <= 2 ms {verdict(r['p99_us'] <= 2000)}")])


# ---- 200k rows ----

def rows200k(s):
    pg = rig.start_postgres(s)
    env = pg["env"]
    sql = ("CREATE TABLE r AS SELECT i AS id, (i * 7919) % 100000 AS k, md5(i::text) AS name, "
           "(i * 1.25)::numeric(12,2) AS amount, timestamp '2024-01-01' + i * interval '1 second' AS at "
           "FROM generate_series(1, 200000) i")
    subprocess.run(["psql", "-qc", sql], env=env, check=True)
    gw = Gateway(s, [pg_source(pg)])
    body = {"dataSource": "pg", "sql": "SELECT * FROM r", "limit": None}
    first, ours, psql = [], [], []
    for _ in range(ROUNDS * 2 + 1):
        t = time.perf_counter()
        subprocess.run(["psql", "-c", "SELECT * FROM r"], env=env, check=True, stdout=subprocess.DEVNULL)
        psql.append(time.perf_counter() - t)
        p = subprocess.run(
            ["curl", "-sS", "-o", "/dev/null", "-w", "%{time_starttransfer} %{time_total}",
             "-H", "Authorization: Bearer " + gw.token, "-H", "Content-Type: application/json",
             "-d", json.dumps(body), gw.url + "/api/v1/query"],
            stdout=subprocess.PIPE, text=True, check=True)
        a, b = p.stdout.split()
        first.append(float(a))
        ours.append(float(b))
    ratio = median([p / o for p, o in zip(psql, ours)])
    table("200,000 rows x 5 columns as JSON", ["first byte ms", "goal", "nexus s", "psql s", "rows/s ratio to psql", "goal"],
          [(f"{median(first) * 1000:.1f}", f"< 20 {verdict(median(first) < 0.02)}", f"{median(ours):.3f}",
            f"{median(psql):.3f}", f"**{ratio:.2f}**", f">= 1.0 {verdict(ratio >= 1)}")])


# ---- memory over result length ----

def stream_peak(gw, body):
    """Drains one query and samples the memory of all gateway processes."""
    c = subprocess.Popen(["curl", "-sS", "-o", "/dev/null", "-w", "%{size_download} %{http_code}",
                          "-H", "Authorization: Bearer " + gw.token, "-H", "Content-Type: application/json",
                          "-d", json.dumps(body), gw.url + "/api/v1/query"],
                         stdout=subprocess.PIPE, text=True)
    peak, t = 0, time.perf_counter()
    while c.poll() is None:
        peak = max(peak, rig.rss_bytes(gw.proc.pid))
        time.sleep(0.02)
    took = time.perf_counter() - t
    size, code = c.stdout.read().split()
    if code != "200":
        raise RuntimeError(f"stream answered {code}")
    return peak, took, int(size)


def memory(s):
    pg, my = rig.start_postgres(s), rig.start_mariadb(s)
    select_pg = ("SELECT i AS id, i % 1000 AS k, 'name ' || i AS name, i * 1.5 AS amount, "
                 "timestamp '2024-01-01' + i * interval '1 second' AS at FROM generate_series(1, {n}) i")
    select_my = ("SELECT seq AS id, seq % 1000 AS k, CONCAT('name ', seq) AS name, seq * 1.5 AS amount, "
                 "DATE_ADD('2024-01-01', INTERVAL seq SECOND) AS at FROM seq_1_to_{n}")
    gw = Gateway(s, [pg_source(pg, timeout=900),
                     source("my", "mariadb", host="127.0.0.1", port=int(my["NX_MARIADB_PORT"]),
                            username=my["NX_MARIADB_USER"], password=my["NX_MARIADB_PASSWORD"],
                            database="mysql", timeout=900)])
    rows = []
    for name, sql in (("pg", select_pg), ("my", select_my)):
        def q(n):
            return {"dataSource": name, "sql": sql.format(n=n), "limit": None}
        stream_peak(gw, q(10000))
        small, _, _ = stream_peak(gw, q(10000))
        big, took, size = stream_peak(gw, q(BIG))
        grown = (big - small) / 2**20
        rows.append(("PostgreSQL" if name == "pg" else "MariaDB", f"{small / 2**20:.1f}", f"{big / 2**20:.1f}",
                     f"**{grown:.1f}**", f"<= 20 {verdict(grown <= 20)}", f"{BIG / took / 1e6:.2f}",
                     f"{size / took / 2**20:.0f}"))
    table(f"Memory of all gateway processes, {BIG:,} rows against 10,000",
          ["source", "10k rows MB", f"{BIG:,} rows MB", "grown MB", "goal", "Mrows/s", "MB/s"], rows)


# ---- parquet ----

def parquet(s):
    engine = os.path.join(rig.TOP, rig.BUILD, "src/engine/nexus-engine")
    if not os.path.exists(engine):
        table("Parquet to JSON", ["result"], [("duckdb is not built in",)])
        return
    d = s.path("parquet")
    os.mkdir(d)
    here = os.path.dirname(os.path.abspath(__file__))
    subprocess.run([engine, "--script", here + "/make_parquet.sql", d, f"rows={BIG}"], check=True,
                   stdout=subprocess.DEVNULL)
    copy = s.path("copy.sql")
    with open(copy, "w") as f:
        f.write("COPY (SELECT * FROM 'bench.parquet') TO '/dev/null' (FORMAT json);\n")
    loose = s.path("loose.sql")
    with open(loose, "w") as f:
        f.write("SET preserve_insertion_order = false;\n" + open(copy).read())

    def timed(script):
        t = time.perf_counter()
        subprocess.run([engine, "--script", script, d], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - t

    gw = Gateway(s, [source("files", "duckdb", path=d, timeout=900)])
    theirs, unordered, ours, peaks = [], [], [], []
    for _ in range(ROUNDS + 2):
        theirs.append(timed(copy))
        unordered.append(timed(loose))
        peak, took, size = stream_peak(gw, {"dataSource": "files", "sql": "SELECT * FROM bench", "limit": None})
        ours.append(took)
        peaks.append(peak)
    ratio = median([t / o for t, o in zip(theirs, ours)])
    other = median([t / o for t, o in zip(unordered, ours)])
    peak = median(peaks) / 2**20
    table(f"{BIG:,} rows x 8 columns of Parquet to JSON",
          ["DuckDB COPY to JSON s", "the same, rows in any order s", "nexus over HTTP, in order s", "ratio of rows/s",
           "goal", "ratio to any order", "peak MB, all processes", "goal"],
          [(f"{median(theirs):.2f}", f"{median(unordered):.2f}", f"{median(ours):.2f}", f"**{ratio:.2f}**",
            f">= 1.2 {verdict(ratio >= 1.2)}", f"{other:.2f}", f"{peak:.0f}", f"< 200 {verdict(peak < 200)}")])


# ---- many clients ----

def clients(s):
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    pg = rig.start_postgres(s)
    env = {**pg["env"], "BENCH_DIR": s.path()}
    subprocess.run(["pgbench", "-i", "-q", "-s", "10"], env=env, check=True, stderr=subprocess.DEVNULL)
    gw = Gateway(s, [pg_source(pg, maxPoolSize=16, maxStreams=256, timeout=900)],
                 http={"idleTimeout": 600, "writeTimeout": 600, "writeMinRate": 0})
    run_lg(gw, POINT, 64, 1)
    before = rig.rss_bytes(gw.proc.pid)
    idle = []
    req = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    for _ in range(10000):
        c = gw.connect()
        c.sendall(req)
        idle.append(c)
    for c in idle:
        c.recv(1024)
    time.sleep(0.5)
    cost = (rig.rss_bytes(gw.proc.pid) - before) / 2**20
    for c in idle:
        c.close()
    table("10,000 idle keep-alive clients", ["memory MB", "goal"], [(f"{cost:.1f}", f"<= 32 {verdict(cost <= 32)}")])

    free, held = [], []
    stall = {"dataSource": "pg", "sql": "SELECT i, repeat('x', 200) FROM generate_series(1, 5000000) i", "limit": None}
    for _ in range(ROUNDS):
        free.append(run_lg(gw, POINT, 64, SECONDS)["rps"])
        stalled = []
        for _ in range(200):
            c = gw.connect()
            c.sendall(gw.head(stall))
            c.recv(1024)
            stalled.append(c)
        time.sleep(2)
        held.append(run_lg(gw, POINT, 64, SECONDS)["rps"])
        for c in stalled:
            c.close()
        time.sleep(2)
    ratio = median([h / f for h, f in zip(held, free)])
    table("200 readers that stall in a large stream, 64 active clients", ["without /s", "with /s", "ratio", "goal"],
          [(f"{median(free):,.0f}", f"{median(held):,.0f}", f"**{ratio:.2f}**", f">= 0.90 {verdict(ratio >= 0.9)}")])

    times = []
    watch = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_class a, pg_class b%' AND pid <> pg_backend_pid()"
    slow = {"dataSource": "pg", "sql": "SELECT count(*) FROM pg_class a, pg_class b, pg_class c, pg_class d"}
    p = subprocess.Popen(["psql", "-qAt"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def running():
        p.stdin.write(watch + ";\n")
        p.stdin.flush()
        return int(p.stdout.readline())

    for _ in range(10):
        c = gw.connect()
        c.sendall(gw.head(slow))
        while not running():
            time.sleep(0.01)
        t = time.perf_counter()
        c.close()
        while running():
            pass
        times.append((time.perf_counter() - t) * 1000)
    p.stdin.close()
    p.wait()
    worst = max(times)
    table("A client leaves during a query: gone from pg_stat_activity after", ["median ms", "worst of 10 ms", "goal"],
          [(f"{median(times):.1f}", f"{worst:.1f}", f"<= 50 {verdict(worst <= 50)}")])


# ---- start ----

def start(s):
    times = []
    for i in range(10):
        t = time.perf_counter()
        gw = Gateway(s, [], name=f"start{i}")
        gw.call("GET", "/api/v1/drivers")
        times.append((time.perf_counter() - t) * 1000)
        gw.stop()
    m = median(times)
    table("Start to first answer (process start, store made, key issued, GET /drivers)", ["median ms", "goal"],
          [(f"{m:.0f}", f"< 150 {verdict(m < 150)}")])


SECTIONS = {"point": point, "rows": rows200k, "memory": memory, "parquet": parquet, "clients": clients, "start": start}


def main():
    wanted = sys.argv[1:] or list(SECTIONS)
    unknown = [w for w in wanted if w not in SECTIONS]
    if unknown:
        sys.exit(f"bench: no section {unknown[0]}; there are {', '.join(SECTIONS)}")
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    out.append(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores ({cpu}), everything on loopback on one "
               f"machine, {ROUNDS} rounds of {SECONDS:g} s, medians. Run: `make bench`.")
    for name in wanted:
        say(f"bench: {name}")
        s = Scratch()
        try:
            SECTIONS[name](s)
        finally:
            s.close()
    if os.environ.get("BENCH_OUT"):
        with open(os.environ["BENCH_OUT"], "w") as f:
            f.write("\n".join(out) + "\n")
    if len(wanted) == len(SECTIONS):
        doc = os.path.join(rig.TOP, "docs/performance.md")
        head = open(doc).read().split("<!-- bench -->")[0] if os.path.exists(doc) else "# Performance\n\n"
        with open(doc, "w") as f:
            f.write(head + "<!-- bench -->\n\n" + "\n".join(out) + "\n")
        say("bench: written to docs/performance.md")


if __name__ == "__main__":
    main()
