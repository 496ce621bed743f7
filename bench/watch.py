#!/usr/bin/env python3
"""What watching costs a point query, side by side: CPU of the gateway per request without traces, sampled at
1% and at 100%, and with the trace told to PostgreSQL. One short run:

	bench/watch.py [SECONDS (3)] [ROUNDS (3)]

Rounds go through all set-ups in turn; the median of each is shown."""
import http.server
import json
import re
import sys
import threading
import urllib.request

import rig


class Sink(http.server.BaseHTTPRequestHandler):
    """A collector that takes everything and looks at nothing. Its CPU is not the gateway's."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def counted(gw, outcome):
    req = urllib.request.Request(gw.url + "/metrics", headers={"Authorization": "Bearer " + gw.key})
    with urllib.request.urlopen(req, timeout=60) as r:
        return int(re.search(r'nexus_traces_total\{outcome="%s"\} (\d+)' % outcome, r.read().decode()).group(1))


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    scratch = rig.Scratch()
    try:
        pg = rig.start_postgres(scratch)
        sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
        sink.daemon_threads = True
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        scratch.defer(sink.shutdown)
        trace = {"endpoint": f"http://127.0.0.1:{sink.server_address[1]}/v1/traces", "queue": 65536}
        config = {"host": pg["NX_PG_HOST"], "port": int(pg["NX_PG_PORT"]), "database": "postgres",
                  "username": pg["NX_PG_USER"], "password": pg["NX_PG_PASSWORD"], "maxPoolSize": 8}
        setups = [
            ("no traces", {}, {}),
            ("sampled 1%", {"trace": {**trace, "sample": 0.01}}, {}),
            ("sampled 100%", {"trace": {**trace, "sample": 1}}, {}),
            ("100%, applicationName", {"trace": {**trace, "sample": 1}}, {"traceContext": "applicationName"}),
            ("100%, comment", {"trace": {**trace, "sample": 1}}, {"traceContext": "comment"}),
            ("1%, applicationName", {"trace": {**trace, "sample": 0.01}}, {"traceContext": "applicationName"}),
        ]
        body = json.dumps({"dataSource": "pg", "sql": "SELECT ? + 1", "parameters": [7]})
        results = {}
        for name, conf, extra in setups:
            results[name] = (rig.Gateway(scratch, [rig.source("pg", "postgresql", **config, **extra)],
                                         name.replace(" ", "_").replace("%", ""), **conf), [], [])
        for _ in range(rounds):
            for name, (gw, cpu, rate) in results.items():
                before = rig.cpu_seconds(gw.proc.pid)
                r = rig.run_lg(gw, body, 16, seconds, warmup=0)
                cpu.append((rig.cpu_seconds(gw.proc.pid) - before) / r["requests"] * 1e6)
                rate.append(r["requests"] / seconds)
        print(f"{'set-up':24} {'CPU us/request':>15} {'requests/s':>12} {'traces sent':>12} {'dropped':>9}")
        for name, (gw, cpu, rate) in results.items():
            sent, dropped = (counted(gw, outcome) for outcome in ("sent", "dropped"))
            print(f"{name:24} {rig.median(cpu):15.1f} {rig.median(rate):12.0f} {sent:12} {dropped:9}")
    finally:
        scratch.close()


if __name__ == "__main__":
    main()
