"""Token mode: who may come in, and what a role may do."""
import base64
import hashlib
import hmac
import json
import os
import pty
import subprocess
import time

from nxtest import SLOW, Gateway, case, check, configure, eq, find_binary, gateway, main, until
from sample import sqlite_source

SECRET = "0123456789abcdef0123456789abcdef-test"
configure({"auth": {"mode": "token", "jwtSecret": SECRET}}, sources=lambda: [sqlite_source()])


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(claims=None, header=None, secret=SECRET, **more):
    body = {"sub": "tester", "role": "admin", "exp": int(time.time()) + 600, "iat": int(time.time())}
    body.update(claims or {})
    body.update(more)
    body = {k: v for k, v in body.items() if v is not None}
    head = {"alg": "HS256", "typ": "JWT", **(header or {})}
    text = b64(json.dumps(head).encode()) + "." + b64(json.dumps(body).encode())
    return text + "." + b64(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


def call(method, path, tok, body=None):
    headers = {"Authorization": "Bearer " + tok} if tok else {}
    return gateway().call(method, path, body, headers)


def query(tok, sql="SELECT 1"):
    return call("POST", "/api/v1/query", tok, {"dataSource": "lite", "sql": sql})


def command_line(*args):
    path = os.path.join(gateway().home, "nexus.yaml")
    p = subprocess.run([find_binary(), *args, "-c", path, "--url", f"http://127.0.0.1:{gateway().port}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       env=gateway().env, timeout=20 * SLOW, cwd=gateway().home)
    return p


@case
def no_token():
    r = query(None)
    eq((401, "UNAUTHENTICATED"), (r.status, r.code), r)
    check("bearer" in (r.header("WWW-Authenticate") or "").lower(), "WWW-Authenticate", r.headers)


@case
def a_good_token():
    eq(200, query(token()).status)


@case
def bad_tokens():
    good = token()
    for bad in ("", "x", "a.b.c", good[:-2], good + "A", good.upper(), token(secret="x" * 40),
                token(header={"alg": "none"}), token(header={"alg": "none"}).rsplit(".", 1)[0] + ".",
                token(header={"alg": "HS512"}), token(header={"alg": "RS256"}), good.replace(".", ".."),
                token(header={"crit": ["exp"]}), "A" * 5000):
        r = query(bad or " ")
        eq((401, "UNAUTHENTICATED"), (r.status, r.code), bad[:80], r)


@case
def expired_and_early_tokens():
    r = query(token(exp=int(time.time()) - 3600))
    eq((401, "TOKEN_EXPIRED"), (r.status, r.code), r)
    r = query(token(nbf=int(time.time()) + 3600))
    eq(401, r.status, r)


@case
def a_token_that_expires_while_cached():
    tok = token(exp=int(time.time()) - 28)  # clocks may differ by 30 s
    eq(200, query(tok).status)
    time.sleep(3.2)
    r = query(tok)
    eq((401, "TOKEN_EXPIRED"), (r.status, r.code), r)


@case
def what_needs_no_token():
    for path in ("/livez", "/readyz", "/health", "/openapi.json"):
        eq(200, call("GET", path, None).status, path)
    for method, path in (("GET", "/api/v1/drivers"), ("GET", "/api/v1/queries"), ("GET", "/metrics"),
                         ("GET", "/api/v1/datasources"), ("GET", "/api/v1/stats"),
                         ("GET", "/api/v1/query/history")):
        eq(401, call(method, path, None).status, path)


@case
def roles_are_enforced():
    sid = [d["id"] for d in gateway().get("/api/v1/datasources", headers={
        "Authorization": "Bearer " + token()}).data_list()][0]
    for role in ("agent", "analyst"):
        tok = token(role=role)
        eq(200, query(tok).status, role)
        r = call("POST", "/api/v1/datasources", tok, sqlite_source("mine"))
        eq((403, "FORBIDDEN"), (r.status, r.code), role, r)
        eq(403, call("DELETE", "/api/v1/datasources/" + sid, tok).status, role)
    r = call("POST", "/api/v1/datasources", token(role="admin"), sqlite_source("admins"))
    eq(201, r.status, r)
    eq(204, call("DELETE", "/api/v1/datasources/" + r.data["id"], token(role="admin")).status)


@case
def an_unknown_role_may_nothing():
    r = query(token(role="emperor"))
    check(r.status in (401, 403), "refused", r)


@case
def one_user_does_not_see_the_queries_of_another():
    qid = call("POST", "/api/v1/query", token(sub="alice", role="analyst"),
               {"dataSource": "lite", "sql": "SELECT 'alices own'"})
    name = qid.data["metadata"].get("queryId") or qid.header("X-Query-ID")
    check(name, "the answer names its query id", qid)
    eq(200, call("GET", "/api/v1/queries/" + name, token(sub="alice", role="analyst")).status)
    eq(404, call("GET", "/api/v1/queries/" + name, token(sub="bob", role="analyst")).status)
    listed = call("GET", "/api/v1/queries", token(sub="bob", role="analyst"))
    check(b"alices own" not in listed.body, "not listed", listed)


@case
def a_cursor_belongs_to_its_user():
    r = call("POST", "/api/v1/fetch", token(sub="alice"),
             {"dataSource": "lite", "sql": "SELECT id FROM many", "batchSize": 10})
    uri = r.data.get("nextUri") or r.json.get("nextUri")
    uri = uri[uri.index("/api/"):]
    r = call("GET", uri, token(sub="bob", role="analyst"))
    check(r.status in (403, 404), "refused", r)
    eq(204, call("DELETE", uri, token(sub="alice")).status)


@case
def token_command_makes_a_token():
    p = command_line("token", "create", "cli", "--role", "analyst", "--jwt")
    check(p.returncode == 0, "nexus token create", p.stdout, p.stderr)
    eq(200, query(p.stdout.decode().strip()).status)


@case
def an_api_key_lives_until_it_is_revoked():
    p = command_line("token", "create", "robot", "--role", "agent")
    check(p.returncode == 0, "nexus token create", p.stdout, p.stderr)
    key = {"X-API-Key": p.stdout.decode().strip()}
    body = {"dataSource": "lite", "sql": "SELECT 1"}
    eq(200, gateway().post("/api/v1/query", body, headers=key).status)
    eq(401, gateway().post("/api/v1/query", body, headers={"X-API-Key": key["X-API-Key"] + "x"}).status)
    eq(403, gateway().get("/api/v1/keys", headers=key).status)
    keys = call("GET", "/api/v1/keys", token()).data_list()
    check(key["X-API-Key"] not in json.dumps(keys), "keys are listed without their secret")
    kid = [k["id"] for k in keys if k["name"] == "robot"][0]
    eq(204, call("DELETE", "/api/v1/keys/" + kid, token()).status)
    eq(401, gateway().post("/api/v1/query", body, headers=key).status)


@case
def the_first_admin_key_is_private():
    path = os.path.join(gateway().config["dataDir"], "admin.key")
    eq(0o600, os.stat(path).st_mode & 0o777)
    with open(path, encoding="ascii") as f:
        key = f.read().strip()
    eq(200, gateway().get("/api/v1/keys", headers={"X-API-Key": key}).status)
    check(key not in gateway().log(), "not in the log")


@case
def a_terminal_sees_the_first_key_once():
    g = Gateway({"auth": {"mode": "token"}}, start=False)
    seen = []
    for _ in range(2):
        ours, theirs = pty.openpty()
        g.write_config()
        p = subprocess.Popen([find_binary(), "serve", "-c", os.path.join(g.home, "nexus.yaml")], stderr=theirs,
                             stdin=subprocess.DEVNULL, cwd=g.home)
        os.close(theirs)
        until("it serves", lambda: os.path.exists(g.config["http"]["portFile"]))
        p.terminate()
        p.wait(20)
        text = b""
        try:
            while piece := os.read(ours, 65536):
                text += piece
        except OSError:
            pass  # the other end is closed
        os.close(ours)
        os.unlink(g.config["http"]["portFile"])
        seen.append(text.decode())
    with open(os.path.join(g.home, "data", "admin.key"), encoding="ascii") as f:
        key = f.read().strip()
    eq([1, 0], [text.count(key) for text in seen], seen)
    g.close()


@case
def tokens_are_not_logged():
    tok = token(sub="secretive")
    query(tok)
    query(tok + "x")
    check(tok not in gateway().log(), "no token in the log")


main()
