"""A double of HashiCorp Vault: KV version 2 at secret/, AppRole, token look-up and renewal, seal. Vault's own
Python client (hvac) passes a session against it: test_vault_kv.py.

	v = vaultkv.start()
	v.put("db/main", password="x")      # a new version
	v.mode = "ok" | "sealed" | "standby" | "down" | "huge" | "html" | "slow"
	v.log                               # [(method, path, token)]"""
import http.server
import json
import os
import sys
import threading
import time
import urllib.parse

import nxtest
from nxtest import ROOT, skip

ROLE, SECRET_ID, ROOT_TOKEN = "role-1", "role-secret-1", "hvs.root-token"


def need(module):
    """Imports what tools/peers.sh fetched; skips the case when it is not there."""
    path = os.path.join(ROOT, ".cache/peers/python")
    if path not in sys.path:
        sys.path.append(path)
    try:
        return __import__(module, fromlist=["x"])
    except ImportError as e:
        return skip(f"{module} is not installed (tools/peers.sh): {e}")


class Vault:
    def __init__(self):
        self.secrets = {}  # path -> list of versions, None where deleted
        self.tokens = {ROOT_TOKEN: None}  # -> monotonic end, or None
        self.ttl = 3600
        self.mode = "ok"
        self.log = []
        self.renewed = 0
        self.elsewhere = None  # where a standby points
        self.mount = "approle"
        self.namespace = None  # asked of every request
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def handle_one(self):
                outer.answer(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_one

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *args: None  # clients that hang up are part of the tests
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        nxtest.closers.insert(0, self.server.shutdown)

    def put(self, path, **data):
        self.secrets.setdefault(path, []).append(data)
        return len(self.secrets[path])

    def reads(self, path):
        return sum(1 for m, p, _ in self.log if m == "GET" and p.startswith(f"/v1/secret/data/{path}"))

    # -- answers

    def send(self, h, status, doc=None, headers=()):
        body = doc if isinstance(doc, bytes) else b"" if doc is None else json.dumps(doc).encode()
        h.send_response(status)
        for k, v in headers:
            h.send_header(k, v)
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        try:
            h.wfile.write(body)
        except OSError:
            pass

    def error(self, h, status, *texts):
        self.send(h, status, {"errors": list(texts)})

    def auth(self, token):
        return {"auth": {"client_token": token, "lease_duration": self.ttl, "renewable": True,
                         "policies": ["read"], "accessor": "a", "token_policies": ["read"], "metadata": {}}}

    def answer(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length") or 0))
        token = h.headers.get("X-Vault-Token")
        url = urllib.parse.urlsplit(h.path)
        path = urllib.parse.unquote(url.path)
        self.log.append((h.command, h.path, token))
        if self.mode == "down":
            h.close_connection = True
            return
        if self.mode == "slow":
            time.sleep(8)
        if h.headers.get("X-Vault-Namespace") != self.namespace:
            self.error(h, 404, "namespace")
        elif self.mode == "sealed":
            self.error(h, 503, "Vault is sealed")
        elif self.mode == "standby":
            self.send(h, 307, headers=[("Location", self.elsewhere + h.path)])
        elif self.mode == "huge":
            self.send(h, 200, b'{"data":{"data":{"password":"' + b"x" * (3 << 20) + b'"},"metadata":{}}}')
        elif self.mode == "html":
            self.send(h, 200, b"<html>hvs.root-token</html>")
        elif path == "/v1/sys/seal-status":
            self.send(h, 200, {"sealed": False, "initialized": True, "t": 1, "n": 1})
        elif path == f"/v1/auth/{self.mount}/login":
            self.login(h, json.loads(body))
        elif token not in self.tokens or (self.tokens[token] or 1e18) < time.monotonic():
            self.error(h, 403, "permission denied", "token " + str(token))
        elif path == "/v1/auth/token/lookup-self":
            left = self.tokens[token]
            self.send(h, 200, {"data": {"id": token, "ttl": int(left - time.monotonic()) if left else 0,
                                        "renewable": left is not None}})
        elif path == "/v1/auth/token/renew-self":
            self.renewed += 1
            self.tokens[token] = time.monotonic() + self.ttl
            self.send(h, 200, self.auth(token))
        elif path.startswith("/v1/secret/data/"):
            self.data(h, path[len("/v1/secret/data/"):], urllib.parse.parse_qs(url.query), body)
        elif path.startswith("/v1/secret/delete/"):
            for n in json.loads(body)["versions"]:
                self.secrets[path[len("/v1/secret/delete/"):]][n - 1] = None
            self.send(h, 204)
        else:
            self.error(h, 404)

    def login(self, h, doc):
        if (doc.get("role_id"), doc.get("secret_id")) != (ROLE, SECRET_ID):
            self.error(h, 400, "invalid role or secret ID")
            return
        token = f"hvs.login-{len(self.log)}"
        self.tokens[token] = time.monotonic() + self.ttl
        self.send(h, 200, self.auth(token))

    def data(self, h, path, query, body):
        if h.command in ("POST", "PUT"):
            n = self.put(path, **json.loads(body)["data"])
            self.send(h, 200, {"data": {"version": n, "created_time": "2026-01-01T00:00:00Z",
                                        "deletion_time": "", "destroyed": False}})
            return
        if path.startswith("forbidden"):
            self.error(h, 403, "1 error occurred:\n\t* permission denied\n\n")
            return
        versions = self.secrets.get(path, [])
        n = int(query.get("version", ["0"])[0]) or len(versions)
        if not 1 <= n <= len(versions):
            self.error(h, 404)
            return
        data = versions[n - 1]
        meta = {"version": n, "created_time": "2026-01-01T00:00:00Z", "destroyed": False,
                "custom_metadata": None, "deletion_time": "" if data else "2026-01-02T00:00:00Z"}
        self.send(h, 200 if data else 404, {"request_id": "r", "lease_id": "", "renewable": False,
                                            "lease_duration": 0, "data": {"data": data, "metadata": meta}})


def start():
    return Vault()
