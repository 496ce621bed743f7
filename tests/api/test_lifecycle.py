"""Starting, stopping, and a bad day for the disk."""
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time

from nxtest import SLOW, Gateway, case, check, eq, find_binary, main, merge, skip, until
from sample import sqlite_source


@case
def starts_fast():
    g = Gateway(sources=[sqlite_source()])
    g.stop()
    best = 9.0
    for _ in range(3):
        start = time.monotonic()
        g.start()
        eq(200, g.call("GET", "/livez", api=False).status)
        best = min(best, time.monotonic() - start)
        g.stop()
    g.close()
    check(best < 0.3 * SLOW, f"start to first answer took {best * 1000:.0f} ms")


@case
def stops_on_sigint_and_sigterm():
    for sig in (signal.SIGINT, signal.SIGTERM):
        g = Gateway()
        start = time.monotonic()
        eq(0, g.stop(sig=sig))
        check(time.monotonic() - start < 2 * SLOW, "soon when idle")
        g.close()


@case
def requests_are_taken_while_the_balancer_turns_away():
    g = Gateway({"shutdownDelay": 2}, sources=[sqlite_source()])
    eq(200, g.call("GET", "/readyz", api=False).status)
    start = time.monotonic()
    g.process.send_signal(signal.SIGTERM)
    until("it says so", lambda: g.call("GET", "/readyz", api=False).status == 503, 1.5)
    eq(200, g.query("lite", "SELECT 1").status)
    eq(200, g.call("GET", "/livez", api=False).status)
    eq(0, g.process.wait(20 * SLOW))
    check(2 <= time.monotonic() - start < 4 * SLOW, "after shutdownDelay it ends")
    g.close()


@case
def a_second_instance_on_the_same_store_is_refused():
    g = Gateway(sources=[sqlite_source()])
    other = Gateway(home=tempfile.mkdtemp(prefix="nxgw."), start=False,
                    config={"dataDir": g.config["dataDir"]})
    other.spawn()
    try:
        status = other.process.wait(10 * SLOW)
    except subprocess.TimeoutExpired:
        status = None
    check(status not in (0, None) and status > 0, f"ends with a status, not {status}")
    check("STORE_LOCKED" in other.log(), "says why", other.log())
    other.expect_status = status
    eq(200, g.query("lite", "SELECT 1").status)
    shutil.rmtree(other.home)
    g.close()


@case
def the_store_is_free_again_after_a_crash():
    g = Gateway(sources=[sqlite_source()])
    g.process.kill()
    g.process.wait()
    g.start()
    eq(200, g.query("lite", "SELECT 1").status)
    g.close()


def refused(config=None, raw=None, env=None, args=()):
    """Starts with something wrong: (status, log)."""
    g = Gateway(config, start=False, env=env)
    if raw is not None:
        path = os.path.join(g.home, "nexus.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(raw)
        p = subprocess.run([find_binary(), "serve", "-c", path, *args], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=g.env, cwd=g.home,
                           timeout=10 * SLOW)
        g.close()
        return p.returncode, p.stdout.decode("utf-8", "replace")
    g.spawn()
    try:
        g.process.wait(10 * SLOW)
    except subprocess.TimeoutExpired:
        pass
    status, log = g.process.poll(), g.log()
    g.stop()
    g.expect_status = g.process.returncode
    g.close()
    return status, log


@case
def bad_configuration_is_told_by_name():
    for config, word in (({"http": {"lisssten": "x"}}, "lisssten"), ({"nonsense": 1}, "nonsense"),
                         ({"http": {"maxBody": "lots"}}, "maxBody"), ({"log": {"level": "loud"}}, "level"),
                         ({"http": {"listen": "127.0.0.1:99999"}}, "99999"),
                         ({"http": {"listen": "300.0.0.1:80"}, "auth": {"mode": "token"}}, "300.0.0.1")):
        status, log = refused(config)
        check(status not in (0, None) and status > 0, f"{config}: status {status}", log)
        check(word in log, f"the message names {word}", log)


@case
def broken_yaml_is_told_with_its_line():
    status, log = refused(raw="http:\n  listen: [1, 2\nauth: }\n")
    check(status not in (0, None), "refused")
    check("line" in log.lower() or ":3" in log or ":2" in log, "names the line", log)


@case
def missing_config_file():
    p = subprocess.run([find_binary(), "serve", "-c", "no-such-file.yaml"], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=10 * SLOW)
    check(p.returncode > 0 and b"no-such-file.yaml" in p.stdout, "refused by name", p.stdout)


@case
def a_bad_source_in_the_file_is_told():
    status, log = refused({"sources": [{"name": "x", "type": "nosuchtype", "config": {}}]})
    check(status not in (0, None) and "nosuchtype" in log, "named", status, log)


@case
def auth_off_on_a_public_address_is_refused():
    status, log = refused({"http": {"listen": "0.0.0.0:0"}, "auth": {"mode": "off"}})
    check(status not in (0, None) and "auth" in log, "refused", status, log)


@case
def port_in_use():
    a = Gateway()
    status, log = refused({"http": {"listen": f"127.0.0.1:{a.port}"}})
    check(status not in (0, None), "refused", log)
    check(str(a.port) in log, "names the address", log)
    a.close()


@case
def configuration_from_the_environment():
    g = Gateway({"query": {"defaultLimit": 7}}, sources=[sqlite_source()], env={"NEXUS_QUERY_DEFAULT_LIMIT": "3"})
    eq(3, len(g.query("lite", "SELECT id FROM many").rows))
    g.close()


@case
def variables_in_the_file():
    source = sqlite_source()
    path = source["config"]["path"]
    source["config"]["path"] = "${NX_SAMPLE_PATH}"
    g = Gateway(sources=[source], env={"NX_SAMPLE_PATH": path})
    eq(200, g.query("lite", "SELECT 1").status)
    g.close()
    status, log = refused({"dataDir": "${NX_NOT_SET_ANYWHERE}"})
    check(status not in (0, None) and "NX_NOT_SET_ANYWHERE" in log, "named", log)


@case
def check_command_validates():
    g = Gateway(start=False, sources=[sqlite_source()])
    path = g.write_config()
    p = subprocess.run([find_binary(), "check", "-c", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       env=g.env, timeout=20 * SLOW)
    eq(0, p.returncode, p.stdout.decode())
    with open(path, "w", encoding="utf-8") as f:
        f.write("nonsense: 1\n")
    p = subprocess.run([find_binary(), "check", "-c", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       env=g.env, timeout=20 * SLOW)
    check(p.returncode > 0 and b"nonsense" in p.stdout, "refused", p.stdout)
    g.close()


@case
def files_are_private():
    old = os.umask(0o022)
    try:
        g = Gateway()
        for name in os.listdir(g.config["dataDir"]):
            mode = os.stat(os.path.join(g.config["dataDir"], name)).st_mode & 0o077
            eq(0, mode, name)
        g.close()
    finally:
        os.umask(old)


@case
def a_full_disk_for_the_store():
    """A small file system of our own, filled to the last byte."""
    mount = tempfile.mkdtemp(prefix="nxfull.")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mount], stderr=subprocess.PIPE)
    if made.returncode:
        os.rmdir(mount)
        skip("cannot mount a small file system: " + made.stderr.decode().strip())
    try:
        g = Gateway({"dataDir": os.path.join(mount, "data")}, sources=[sqlite_source()])
        kept = g.post("/api/v1/datasources", sqlite_source("kept"))
        eq(201, kept.status, kept)
        with open(os.path.join(mount, "filler"), "wb", buffering=0) as f:
            try:
                while f.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        made = []
        failed = None
        for i in range(2000):
            r = g.post("/api/v1/datasources", {**sqlite_source(f"full{i}"), "skipTest": True,
                                               "description": "d" * 900})
            if r.status == 201:
                made.append(r.data["id"])
            else:
                failed = r
                break
        check(failed is not None, "the disk is full at last")
        eq((507, "STORE_FULL"), (failed.status, failed.code), failed)
        eq(200, g.query("lite", "SELECT 1").status)  # queries go on
        eq(200, g.query("kept", "SELECT 1").status)
        os.unlink(os.path.join(mount, "filler"))
        eq(201, g.post("/api/v1/datasources", sqlite_source("after")).status)
        g.restart()
        names = {d["id"] for d in g.get("/api/v1/datasources?limit=1000").data_list()}
        check(set(made) | {kept.data["id"]} <= names, "what was said to be stored is there")
        g.close()
    finally:
        subprocess.run(["umount", "-l", mount], check=False)
        os.rmdir(mount)


@case
def few_file_descriptors():
    """Out of descriptors: no crash, no spin; service again when there are some."""
    g = Gateway(sources=[sqlite_source()], start=False)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        g.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    held = []
    try:
        for _ in range(100):
            held.append(g.socket(2))
    except OSError:
        pass
    before = cpu(g.process.pid)
    time.sleep(1)
    used = cpu(g.process.pid) - before
    for s in held:
        s.close()

    def served():
        try:
            return g.call("GET", "/livez", api=False, timeout=2).status == 200
        except OSError:
            return False
    until("it serves again", served, 10)
    check(used < 0.5, f"used {used:.2f} s of CPU in one second of standing still")
    g.close()


def cpu(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@case
def version_command():
    p = subprocess.run([find_binary(), "version"], stdout=subprocess.PIPE, timeout=10 * SLOW)
    check(p.returncode == 0 and b"nexus" in p.stdout.lower(), "says its version", p.stdout)


main()
