#!/usr/bin/env python3
"""A year's wear in some minutes: reloads and restarts under load, and a soak.

    bench/endure.py [reload] [restart] [soak]      (none: all)
    ENDURE_RELOAD=100000 ENDURE_SOAK=2000000 requests at least; BENCH_OUT=file

Prints what docs/performance.md quotes. Exit 1: a figure was missed."""
import json
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from rig import Gateway, Scratch, lg_path, run_lg, say, source, start_postgres

RELOAD = int(os.environ.get("ENDURE_RELOAD", "100000"))
SOAK = int(os.environ.get("ENDURE_SOAK", "2000000"))
POINT = json.dumps({"dataSource": "pg", "sql": "SELECT name FROM nx_points WHERE id = ?",
                    "parameters": ["@@"]}).replace('"@@"', "1{{rand:9999}}")
OTHERS = [  # what a day holds besides: a result of some size, a refusal, a mistake, bad credentials
    json.dumps({"dataSource": "pg", "sql": "SELECT * FROM nx_points ORDER BY id", "limit": 500}),
    json.dumps({"dataSource": "pg", "sql": "DELETE FROM nx_points"}),
    json.dumps({"dataSource": "pg", "sql": "SELECT nonsense FROM nowhere"}),
    json.dumps({"dataSource": "nobody", "sql": "SELECT 1"}),
]
failed = False


def pg_source(pg, pool):
    return source("pg", "postgresql", host=pg["NX_PG_HOST"], port=int(pg["NX_PG_PORT"]), database="postgres",
                  username=pg["NX_PG_USER"], password=pg["NX_PG_PASSWORD"], maxPoolSize=pool)


def verdict(ok):
    global failed
    failed |= not ok
    return "met" if ok else "MISSED"


def load(gw, seconds):
    return run_lg(gw, POINT, 32, seconds, warmup=0)


def under_load(gw, wanted, disturb):
    """Requests without a pause until `wanted` were answered; `disturb` is called again and again meanwhile."""
    total, bad, times, done = 0, 0, 0, threading.Event()  # some seconds at least, for enough of it

    def work():
        nonlocal times
        while not done.wait(0.5):
            disturb(times)
            times += 1
    t = threading.Thread(target=work)
    t.start()
    try:
        while total < wanted or times < 16:
            r = load(gw, 5)
            total += r["requests"]
            bad += r["errors"] + r["non2xx"]
    finally:
        done.set()
        t.join()
    return total, bad, times




def start(s, pg, name):
    path = s.path(name + "-sources.yaml")
    with open(path, "w", encoding="utf-8") as f:
        json.dump([pg_source(pg, 4)], f)
    gw = Gateway(s, [], name, sourcesFile=path, limits={"perAddress": 0})
    gw.sources = path
    return gw


def change(gw, pg, n):
    with open(gw.sources + ".new", "w", encoding="utf-8") as f:
        json.dump([pg_source(pg, 4 + n % 5)], f)
    os.rename(gw.sources + ".new", gw.sources)


def reload_section(s, pg):
    gw = start(s, pg, "reload")

    def disturb(n):
        change(gw, pg, n)
        gw.proc.send_signal(signal.SIGHUP)
    total, bad, _ = under_load(gw, RELOAD, disturb)
    c = gw.call("GET", "/api/v1/stats")["data"]["config"]
    print(f"| reloads under load, each with a changed data source | {total} requests, {c['reloads']} reloads, "
          f"{bad} failed | 0 | {verdict(bad == 0 and c['failures'] == 0 and c['reloads'] > 5)} |", flush=True)
    gw.stop()


def restart_section(s, pg):
    gw = start(s, pg, "restart")

    def disturb(n):
        if n % 6 == 3:
            gw.proc.send_signal(signal.SIGUSR2)
    total, bad, _ = under_load(gw, RELOAD, disturb)
    with open(gw.log.name, encoding="utf-8") as f:
        restarts = f.read().count('"event":"listen"') - 1
    print(f"| restarts in place under load | {total} requests, {restarts} restarts, {bad} failed | 0 | "
          f"{verdict(bad == 0 and restarts > 0)} |", flush=True)
    gw.stop()


def look(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    return rss / 1024, len(os.listdir(f"/proc/{pid}/fd"))


def soak_section(s, pg):
    gw = start(s, pg, "soak")
    samples, total, refused, n = [], 0, 0, 0
    while total < SOAK:
        r = load(gw, 5)
        total += r["requests"]
        if r["errors"] or r["non2xx"]:
            say(f"soak: {r}")
        o = run_lg(gw, OTHERS[n % len(OTHERS)], 8, 1, warmup=0)
        total += o["requests"]
        refused += o["non2xx"]
        subprocess.run([lg_path(), "-c", "4", "-d", "0.2", "-m", "POST", "-B", POINT, "-H", "Authorization: Bearer wrong",
                        gw.url + "/api/v1/query"], stdout=subprocess.DEVNULL, check=False)
        n += 1
        if n % 4 == 0:  # sources change and sessions come and go over a year
            change(gw, pg, n)
        time.sleep(0.2)
        samples.append((total, *look(gw.proc.pid)))
        if n % 3 == 0:
            say("soak: %d requests, %.1f MiB, %d descriptors" % samples[-1])
    first = next(x for x in samples if x[0] >= SOAK / 2)  # until then caches and history fill
    last = samples[-1]
    growth = 100 * (last[1] - first[1]) / first[1]
    print(f"| soak: memory after {last[0]} requests to that after {first[0]} | {first[1]:.1f} to {last[1]:.1f} MiB "
          f"({growth:+.1f}%) | 5% | {verdict(growth <= 5)} |")
    print(f"| soak: descriptors, the same | {first[2]} to {last[2]} | no growth | "
          f"{verdict(last[2] <= first[2] + 8)} |", flush=True)
    say(f"soak: {refused} requests were refused, as they should be")
    gw.stop()


def main():
    wanted = sys.argv[1:] or ["reload", "restart", "soak"]
    s = Scratch()
    try:
        pg = start_postgres(s)
        subprocess.run(["psql", "-q", "-c", "CREATE TABLE nx_points AS SELECT i AS id, 'name ' || i AS name FROM "
                        "generate_series(0, 19999) i; ALTER TABLE nx_points ADD PRIMARY KEY (id); ANALYZE"],
                       env=pg["env"], check=True)
        print("| what | measured | goal | |\n|---|---|---|---|")
        for name, section in (("reload", reload_section), ("restart", restart_section), ("soak", soak_section)):
            if name in wanted:
                section(s, pg)
    finally:
        s.close()
    return failed


sys.exit(main())
