"""API tests against the real binary. Standard library only.

A test file:

	from nxtest import case, check, eq, gateway, main

	@case
	def health_answers():
	    r = gateway().get("/health")
	    eq(200, r.status)

	main()

Each case is one TAP line; a failed assertion prints what was sent and what came back. gateway() is
one `nexus serve` for the file, on a free port, with a scratch directory of its own; Gateway(...)
starts another. At the end each must stop by SIGTERM with status 0, and must not have printed a
sanitizer report: that is a case, too.

Every JSON response is checked against the gateway's own /openapi.json as it passes (openapi.py)."""
import atexit
import gzip
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

import openapi

BUILD = os.environ.get("NEXUS_TEST_BUILD") or \
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build")
ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
SLOW = int(os.environ.get("NEXUS_TEST_SLOW", "1"))  # sanitizers: times are stretched by this
CASE_SECONDS = 90  # what hangs ends; nothing is judged by it

cases = []
closers = []  # run at the end, last first


class Failed(AssertionError):
    pass


class Skipped(Exception):
    pass


class Overdue(Exception):
    pass


def case(fn=None, *, name=None):
    if fn is None:
        return lambda f: case(f, name=name)
    cases.append((name or fn.__name__, fn))
    return fn


def add_case(name, fn):
    cases.append((name, fn))


def skip(why):
    raise Skipped(why)


def show(value):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 1500 else text[:1500] + f"... ({len(text)} long)"


def check(cond, what="not true", *context):
    if not cond:
        raise Failed("\n".join([what] + [show(c) for c in context]))


def eq(want, got, *context):
    if want != got:
        raise Failed("\n".join([f"want {show(want)}", f"got  {show(got)}"] +
                               [show(c) for c in context]))


def until(what, fn, seconds=10, every=0.02):
    """Waits for fn() to be true; returns its value. Bounded, and says what it waited for."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = fn()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"after {seconds * SLOW} s still not: {what}")
        time.sleep(every)


# ---- processes

def alive(pid):
    """A process that runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid):
    found, todo = [], [pid]
    while todo:
        at = todo.pop()
        try:
            for task in os.listdir(f"/proc/{at}/task"):
                with open(f"/proc/{at}/task/{task}/children", encoding="ascii") as f:
                    kids = [int(k) for k in f.read().split()]
                found += kids
                todo += kids
        except OSError:
            pass
    return found


# ---- responses

class Response:
    def __init__(self, method, path, status, headers, body, sent=None):
        self.method, self.path, self.status = method, path, status
        self.headers, self.body, self.sent = headers, body, sent
        self.broken = False  # the body did not end as HTTP says it must

    def header(self, name):
        for k, v in self.headers:
            if k.lower() == name.lower():
                return v
        return None

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError as e:
            raise Failed(f"body is not JSON: {e}\n{self}") from e

    @property
    def data(self):
        if self.json.get("data") is None:
            raise Failed(f"an answer without data\n{self}")
        return self.json["data"]

    @property
    def rows(self):
        return self.data["rows"]

    @property
    def code(self):
        error = self.json.get("error") or {}
        if "jsonrpc" in self.json:  # the number there is the protocol's
            error = error.get("data") or {}
        return error.get("code")

    def __repr__(self):
        sent = f" {self.sent!r}" if self.sent else ""
        return f"{self.method} {self.path}{show(sent)}\n=> {self.status} {show(self.body[:800])}"


def check_envelope(r):
    """What every JSON answer of the API must hold (spec section 3)."""
    doc = r.json
    check(isinstance(doc, dict), "envelope is an object", r)
    for key in ("success", "correlationId", "timestamp"):
        check(key in doc, f"envelope has {key}", r)
    check(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", doc["correlationId"]), "correlationId form", r)
    eq(doc["correlationId"], r.header("X-Correlation-ID"), "header and body agree", r)
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", doc["timestamp"]), "timestamp", r)
    if r.status >= 400:
        eq(False, doc["success"], r)
        err = doc["error"]
        check(re.fullmatch(r"[A-Z][A-Z0-9_]*", err["code"]), "error code form", r)
        check(isinstance(err["message"], str) and err["message"], "error message", r)
        check("data" not in doc or doc["data"] is None, "no data beside an error", r)
    else:
        if doc["success"]:
            check("error" not in doc or doc["error"] is None, "no error beside success", r)


# ---- the gateway under test

class Gateway:
    """One `nexus serve`. `config` is merged over defaults; `sources` go into the file."""

    def __init__(self, config=None, sources=None, env=None, start=True, home=None):
        self.own_home = home is None
        self.home = home or tempfile.mkdtemp(prefix="nxgw.")
        self.env = dict(os.environ, NEXUS_ENABLE_FAKE="1", **(env or {}))
        self.config = {
            "dataDir": os.path.join(self.home, "data"),
            "http": {"listen": "127.0.0.1:0", "portFile": os.path.join(self.home, "port")},
            "auth": {"mode": "off"},
            "shutdownGrace": 2,
        }
        merge(self.config, config or {})
        if sources:
            self.config["sources"] = sources
        self.token = None
        self.port = 0
        self.process = None
        self.spec = None
        self.checked = 0  # responses held against the OpenAPI document
        self.stopped_badly = None
        self.closed = False
        self.expect_status = 0
        if start:
            self.start()
        closers.append(self.close)

    # -- process

    def write_config(self):
        path = os.path.join(self.home, "nexus.yaml")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(self.config, f, indent=1)  # JSON is YAML
        return path

    def spawn(self):
        path = self.write_config()
        try:
            os.unlink(self.config["http"]["portFile"])
        except FileNotFoundError:
            pass
        self.log_path = os.path.join(self.home, "log")
        binary = find_binary()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([binary, "serve", "-c", path], stderr=log, stdout=log,
                                            stdin=subprocess.DEVNULL, env=self.env, cwd=self.home)

    def start(self):
        self.spawn()
        port_file = self.config["http"]["portFile"]
        end = time.monotonic() + 15 * SLOW
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failed(f"the gateway ended with {self.process.returncode}:\n{self.log()[-2000:]}")
            try:
                with open(port_file, encoding="ascii") as f:
                    text = f.read().strip()
                if text:
                    self.port = int(text)
                    return self
            except FileNotFoundError:
                pass
            time.sleep(0.01)
        raise Failed(f"the gateway opened no port:\n{self.log()[-2000:]}")

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def events(self, name=None):
        out = []
        for line in self.log().split("\n"):
            try:
                doc = json.loads(line)
            except ValueError:
                continue
            if name is None or doc.get("event") == name:
                out.append(doc)
        return out

    def stop(self, seconds=20, sig=signal.SIGTERM):
        """Ends the process; its exit status."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else None
        self.process.send_signal(sig)
        try:
            return self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "did not stop"

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        """At the end of the file, or of a case: a clean stop is part of the test."""
        if self.closed:
            return
        self.closed = True
        status = self.stop()
        if status not in (self.expect_status, None):
            self.stopped_badly = f"exit status {status}"
        if os.path.exists(os.path.join(self.home, "log")):
            reports = re.findall(r"(?:ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|"
                                 r"Assertion .* failed)[^\n]*", self.log())
            if reports:
                self.stopped_badly = "\n".join(
                    [self.stopped_badly or "a sanitizer report"] + reports[:5] +
                    sanitizer_text(self.log()))
        if self.own_home and not os.environ.get("NEXUS_TEST_KEEP"):
            shutil.rmtree(self.home, ignore_errors=True)

    # -- requests

    def call(self, method, path, body=None, headers=None, timeout=20, api=True):
        """One request on a connection of its own; the whole response."""
        headers = dict(headers or {})
        if self.token and not any(h.lower() in ("authorization", "x-api-key") for h in headers):
            headers["Authorization"] = "Bearer " + self.token
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        elif isinstance(body, str):
            body = body.encode()
        if body is not None and not any(h.lower() == "content-type" for h in headers):
            headers["Content-Type"] = "application/json"
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * SLOW)
        try:
            conn.request(method, path, body=body, headers=headers)
            raw = conn.getresponse()
            broken = False
            try:
                data = raw.read()
            except http.client.IncompleteRead as e:
                data, broken = e.partial, True
            except (ConnectionResetError, http.client.HTTPException):
                data, broken = b"", True
            r = Response(method, path, raw.status, raw.getheaders(), data, body)
            r.broken = broken
        finally:
            conn.close()
        if api:
            self.check_response(r)
        return r

    def get(self, path, **kw):
        return self.call("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.call("POST", path, body, **kw)

    def delete(self, path, **kw):
        return self.call("DELETE", path, **kw)

    def query(self, source, sql, parameters=None, headers=None, timeout_s=20, path="/api/v1/query",
              **fields):
        body = {"dataSource": source, "sql": sql, **fields}
        if parameters is not None:
            body["parameters"] = parameters
        return self.call("POST", path, body, headers=headers, timeout=timeout_s)

    def check_response(self, r):
        check(r.header("X-Correlation-ID"), "every response carries X-Correlation-ID", r)
        kind = (r.header("Content-Type") or "").split(";")[0].strip()
        if kind == "application/json" and not r.header("Content-Encoding") and not r.broken:
            if r.path.startswith("/api/"):
                check_envelope(r)
            self.check_schema(r)

    def check_schema(self, r):
        if self.spec is None:
            raw = self.raw_get("/openapi.json")
            self.spec = openapi.Spec(json.loads(raw))
        problem = self.spec.check(r.method, r.path.split("?")[0], r.status, r.json)
        if problem:
            raise Failed(f"the answer breaks openapi.json: {problem}\n{r}")
        self.checked += 1

    def raw_get(self, path):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20 * SLOW)
        try:
            conn.request("GET", path)
            return conn.getresponse().read()
        finally:
            conn.close()

    def socket(self, timeout=10):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=timeout * SLOW)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def request_bytes(self, method, path, body=b"", headers=()):
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
        if self.token:
            lines.append("Authorization: Bearer " + self.token)
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return ("\r\n".join(lines + list(headers)) + "\r\n\r\n").encode() + body

    def start_query(self, source, sql, **fields):
        """Sends a query and does not read: the socket."""
        body = json.dumps({"dataSource": source, "sql": sql, **fields}).encode()
        s = self.socket()
        s.sendall(self.request_bytes("POST", "/api/v1/query", body))
        return s

    def running(self):
        return [q for q in self.get("/api/v1/queries").data_list()
                if q.get("state", q.get("status")) not in ENDED]


ENDED = ("completed", "failed", "timed_out", "canceled", "success", "error", "timeout", "rejected")


def data_list(self):
    """The list in a listing: data itself, or its one list member."""
    data = self.data
    if isinstance(data, list):
        return data
    lists = [v for v in data.values() if isinstance(v, list)]
    check(len(lists) == 1, "a listing holds one list", self)
    return lists[0]


Response.data_list = data_list


def sanitizer_text(log):
    at = re.search(r"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:)", log)
    return log[at.start():at.start() + 3500].split("\n") if at else []


def merge(into, more):
    for k, v in more.items():
        if isinstance(v, dict) and isinstance(into.get(k), dict):
            merge(into[k], v)
        else:
            into[k] = v


def find_binary(name="nexus"):
    for path in (os.path.join(BUILD, name), os.path.join(BUILD, "src", "cli", name)):
        if os.access(path, os.X_OK):
            return os.path.abspath(path)
    skip(f"{name} is not built")


shared = {}


def configure(config=None, sources=None, env=None):
    """What gateway() starts with; before its first use."""
    shared["args"] = {"config": config, "sources": sources, "env": env}


def gateway():
    if "broken" in shared:
        raise type(shared["broken"])(*shared["broken"].args)
    if "gateway" not in shared:
        args = shared.get("args", {})
        try:
            if callable(args.get("sources")):
                args["sources"] = args["sources"]()
            shared["gateway"] = Gateway(**args)
        except (Failed, Skipped) as e:
            shared["broken"] = e
            raise
    g = shared["gateway"]
    if g.process.poll() is not None:
        raise Failed(f"the gateway is gone (status {g.process.returncode}):\n{g.log()[-1500:]}")
    return g


# ---- sockets

def read_all(s, seconds=10, slow=SLOW):
    """Everything until the peer closes: (bytes, how) with how "closed", "reset" or "silent"."""
    s.settimeout(seconds * slow)
    out = bytearray()
    how = "closed"
    try:
        while True:
            part = s.recv(1 << 18)
            if not part:
                break
            out += part
    except socket.timeout:
        how = "silent"
    except ConnectionError:
        how = "reset"
    return bytes(out), how


def read_response(s, seconds=10):
    """One whole response from a keep-alive connection: (status, headers, body)."""
    s.settimeout(seconds * SLOW)
    r = http.client.HTTPResponse(s)
    r.begin()
    return r.status, r.getheaders(), r.read()


def unpack(r):
    """A response's body without its content coding."""
    coding = r.header("Content-Encoding")
    if coding == "gzip":
        return gzip.decompress(r.body)
    if coding == "zstd":
        if not shutil.which("zstd"):
            skip("the zstd program is not installed")
        return subprocess.run(["zstd", "-dc"], input=r.body, stdout=subprocess.PIPE,
                              check=True).stdout
    return r.body


# ---- the runner

def on_alarm(_sig, _frame):
    raise Overdue()


def one(name, fn):
    """ok, reason of skip or None, text."""
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(CASE_SECONDS * SLOW)
    try:
        fn()
        return True, None, ""
    except Skipped as e:
        return True, str(e), ""
    except Overdue:
        return False, None, f"over its time of {CASE_SECONDS * SLOW} s"
    except Failed as e:
        frames = [f for f in traceback.extract_tb(e.__traceback__) if "nxtest" not in f.filename]
        where = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}: " if frames else ""
        return False, None, where + str(e)
    except Exception:  # a test that trips is a failed test
        return False, None, traceback.format_exc()
    finally:
        signal.alarm(0)


def finish():
    """Stops what was started; what did not stop well."""
    problems = []
    while closers:
        closer = closers.pop()
        try:
            closer()
        except Exception:
            problems.append(traceback.format_exc())
        bad = getattr(getattr(closer, "__self__", None), "stopped_badly", None)
        if bad:
            problems.append(bad)
    return problems


def tap(number, ok, name, why=None, text=""):
    if text:
        for line in text.rstrip().split("\n"):
            print("# " + line)
    if why is not None:
        why = why.replace("\n", " ")
        print(f"ok {number} {name} # SKIP {why}")
    else:
        print(f"{'ok' if ok else 'not ok'} {number} {name}")
    sys.stdout.flush()


def main():
    atexit.register(finish)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    words = sys.argv[1:]
    wanted = [c for c in cases if not words or any(w in c[0] for w in words)]
    print(f"1..{len(wanted) + 1}")
    bad = 0
    for i, (name, fn) in enumerate(wanted, 1):
        ok, why, text = one(name, fn)
        bad += not ok
        tap(i, ok, name, why, text)
    problems = finish()
    bad += bool(problems)
    tap(len(wanted) + 1, not problems, "every gateway stopped cleanly", None, "\n".join(problems))
    sys.exit(1 if bad else 0)
