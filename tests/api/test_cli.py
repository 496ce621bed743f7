"""The command line by itself: its help, and that `nexus check` judges as `nexus serve` does."""
import os
import re
import signal
import subprocess

from nxtest import SLOW, Gateway, case, check, eq, find_binary, main, until
from sample import sqlite_source

COMMANDS = "serve query source token audit check health bench vault version".split()


def nexus(*args):
    return subprocess.run([find_binary(), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, timeout=20 * SLOW, check=False)


@case
def help_of_each_command():
    p = nexus("--help")
    eq((0, ""), (p.returncode, p.stderr))
    eq(sorted(COMMANDS), sorted(re.findall(r"^  (\w+) ", p.stdout, re.M)))
    for command in COMMANDS:
        for args in ([command, "--help"], [command, "-h"]):
            p = nexus(*args)
            eq((0, ""), (p.returncode, p.stderr))
            check(p.stdout.startswith(f"usage: nexus {command}"), "usage", p.stdout)
    for args in (["source", "add", "--help"], ["token", "fetch", "--help"], ["audit", "verify", "-h"]):
        p = nexus(*args)
        eq(0, p.returncode)
        check(p.stdout.startswith(f"usage: nexus {args[0]}"), "usage", p.stdout)


@case
def mistakes_on_the_command_line():
    for args, word in ((["bogus"], "unknown command bogus"), ([], "usage: nexus COMMAND"), (["serve", "x"], "argument x"),
                       (["serve", "--http.nope", "1"], "argument --http.nope"), (["query", "-s", "a"], "usage: nexus query"),
                       (["query", "SELECT 1"], "-s"), (["source", "bogus"], "usage: nexus source")):
        p = nexus(*args)
        eq((2, ""), (p.returncode, p.stdout), args)
        check(word in p.stderr, word, p.stderr)


# What keeps `nexus serve` from starting, and a word of the message.
UNFIT = [
    ({"http": {"listen": "127.0.0.1:99999"}}, "port"),
    ({"http": {"listen": "nonsense"}}, "host:port"),
    ({"http": {"listen": ", ,"}}, "no address"),
    ({"http": {"listen": ",".join(["127.0.0.1:0"] * 17)}}, "too many"),
    ({"http": {"listen": "0.0.0.0:0"}}, "loopback"),  # the tests' gateways have auth.mode off
    ({"http": {"listen": "127.0.0.1:0,0.0.0.0:0"}}, "loopback"),
    ({"http": {"listen": "127.0.0.1:0 0.0.0.0:0"}}, "loopback"),
    ({"http": {"listen": "[::1]:0 [::]:0"}}, "loopback"),
    ({"http": {"listen": ":0"}}, "loopback"),
    ({"http": {"trustedProxies": "10.0.0.0/8, bogus"}}, "bogus"),
    ({"mcp": {"url": "nonsense"}}, "mcp.url"),
    ({"mcp": {"url": "https://"}}, "mcp.url"),
    ({"mcp": {"origins": "https://a.example, b.example"}}, "b.example"),
    ({"mcp": {"origins": "https://a.example/"}}, "mcp.origins"),
    ({"vault": {"kv": {"address": "vault:8200", "token": "x"}}}, "vault.kv.address"),
    ({"network": {"deny": "10.0.0.0/99"}}, "10.0.0.0/99"),
    ({"vault": {"key": "zz"}}, "32 bytes"),
    ({"auth": {"mode": "token", "jwtSecret": "short"}}, "32 bytes"),
]


@case
def check_refuses_what_serve_refuses():
    for config, word in UNFIT:
        g = Gateway(config, start=False, sources=[sqlite_source()])
        path = g.write_config()
        for args in (["check", "-c", path], ["check", "--start", "-c", path], ["serve", "-c", path]):
            p = nexus(*args)
            eq(1, p.returncode, (args[:2], config))
            check(word in p.stderr and "configuration: ok" not in p.stdout, word, (args[:2], config, p.stderr))
        g.close()


@case
def check_start_reads_the_vault_key_file():
    g = Gateway({"vault": {"keyFile": "/nonexistent/vault.key"}}, start=False, sources=[sqlite_source()])
    path = g.write_config()
    eq(0, nexus("check", "-c", path).returncode)  # judged where the gateway does not run
    p = nexus("check", "--start", "-c", path)
    check(p.returncode == 1 and "vault key file" in p.stderr, "refused", p)
    g.close()


@case
def origins_of_every_form_are_taken():
    g = Gateway({"mcp": {"origins": "https://a.example, http://b.example:8080 https://[::1]:9", "url": "https://a.example/mcp"}},
                start=False, sources=[sqlite_source()])
    eq(0, nexus("check", "-c", g.write_config()).returncode)
    g.close()


@case
def several_listeners_on_loopback_without_auth():
    g = Gateway({"http": {"listen": "127.0.0.1:0, 127.0.0.2:0 localhost:0"}}, sources=[sqlite_source()])
    eq(200, g.query("lite", "SELECT 1").status)
    g.close()


@case
def a_restart_to_an_address_that_is_none_is_refused():
    g = Gateway(sources=[sqlite_source()])
    good = dict(g.config)
    g.config = {**good, "http": {**good["http"], "listen": "127.0.0.1:99999"}, "reload": {"watch": False}}
    g.write_config()
    g.process.send_signal(signal.SIGUSR2)
    until("it is refused", lambda: [e for e in g.events("restart") if "refused" in e["message"]], 10)
    eq(200, g.query("lite", "SELECT 1").status)
    check(os.path.exists(f"/proc/{g.process.pid}"), "it goes on")
    g.config = good
    g.close()


@case
def check_tells_the_layers_that_hold():
    """An account that can write is no layer, and one that nobody has looked at is none yet."""
    g = Gateway(start=False, sources=[sqlite_source(), {"name": "files", "type": "duckdb", "config": {"path": "."}}])
    g.config["sources"][1]["config"]["path"] = g.home
    path = g.write_config()
    layers = re.findall(r"read-only layers: (.*)", nexus("check", "-c", path).stdout)
    check(len(layers) == 2 and "grants" not in "".join(layers), "without a look", layers)
    p = nexus("check", "--connect", "-c", path)
    layers = re.findall(r"read-only layers: (.*)", p.stdout)
    check(len(layers) == 2 and "grants" not in layers[0] and "server" in layers[0], "the file can be written", p)
    check("cannot connect" in p.stdout or layers[1].endswith(", grants"), "the fenced engine", p)
    g.close()


@case
def a_name_that_leads_here_is_not_answered_without_auth():
    """DNS rebinding: the page's own name, which now means 127.0.0.1, is in the Host header."""
    g = Gateway(sources=[sqlite_source()])
    for host, want in (("evil.example", 403), (f"evil.example:{g.port}", 403), ("127.0.0.1.evil.example", 403), ("", 403),
                       ("localhost", 200), (f"LOCALHOST:{g.port}", 200), (f"127.0.0.1:{g.port}", 200), (f"[::1]:{g.port}", 200)):
        for method, path, body in (("GET", "/api/v1/drivers", None), ("POST", "/api/v1/query", {"dataSource": "lite", "sql": "SELECT 1"})):
            r = g.call(method, path, body, headers={"Host": host})
            eq(want, r.status, (host, r))
    eq(200, g.call("GET", "/livez", headers={"Host": "evil.example"}, api=False).status)
    g.close()


main()
