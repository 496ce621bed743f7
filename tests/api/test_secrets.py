"""A mark in every secret the gateway is ever given, and then a look everywhere it writes to.

Each secret field of each type holds its own mark, and so do the configuration's secrets, keys and tokens. The
gateway is made to list, show, fail, log and export as much as it can; no answer (but the one that issues a
key), log line, metric, audit record, or file of the store may hold a mark, plain, as base64, or as hex."""
import base64
import json
import os
import re
import subprocess

import servers
from nxtest import ROOT, SLOW, Gateway, case, check, eq, find_binary, main
from sample import sqlite_source
from tokens import token

MARK = "CANARY"
shared = {"n": 0, "bodies": [], "credentials": []}


def mark(what):
    """Letters and digits, a multiple of four: also good base64. The list says which field leaked."""
    shared["n"] += 1
    shared.setdefault("fields", {})[f"{MARK}{shared['n']:04d}"] = what
    return f"{MARK}{shared['n']:04d}Zq8xW7"


def secret_fields():
    """Every option of type SECRET in the source tree."""
    out = set()
    for folder, _, files in os.walk(os.path.join(ROOT, "src")):
        for name in files:
            if name.endswith((".c", ".h", ".def")) and not name.endswith("_test.c"):
                with open(os.path.join(folder, name), encoding="utf-8") as f:
                    text = f.read()
                out |= set(re.findall(r'\bSECRET\(\s*"([\w.]+)"', text))
                out |= set(re.findall(r'\{\s*"([\w.]+)",\s*NX_OPT_SECRET\b', text))
    check({"password", "authentication.token", "authentication.privateKey"} <= out, "the known ones are found", out)
    return sorted(out)


def put(config, key, value):
    parts = key.split(".")
    for p in parts[:-1]:
        if not isinstance(config.get(p), dict):
            config[p] = {}
        config = config[p]
    config[parts[-1]] = value


def take(config, key):
    parts = key.split(".")
    for p in parts[:-1]:
        config = config.get(p)
        if not isinstance(config, dict):
            return
    config.pop(parts[-1], None)


DUMMY = {"host": "127.0.0.1", "port": 1, "username": "u", "path": "/nonexistent/x.db", "bucket": "b/c", "endpoint": "e",
         "namenodeHost": "127.0.0.1", "brokerHost": "127.0.0.1", "server": "s"}


def secret_value(key, type_name):
    m = mark(f"{type_name} {key}")
    return json.dumps({"type": "service_account", "client_email": "a@b", "project_id": "p", "private_key": m}) if key.endswith("Json") else m


def create(g, kind, secrets):
    """A source of that type with as many secrets as it takes; what the rules refuse is mended step by step."""
    config = {}
    for key in secrets:
        put(config, key, secret_value(key, kind))
    unknown = set()
    for _ in range(40):
        r = g.post("/api/v1/datasources?skipTest=true", {"name": "secret " + kind, "type": kind, "config": config})
        if r.status == 201:
            return r.data["id"], config
        rules = r.json["error"]["details"].get("rules") or []
        check(rules, "rules say what is wrong", r)
        for rule in rules:
            key, said = rule["key"].removeprefix("config."), rule["message"]
            needs = re.search(r"needs (\w+)", said)
            choice = re.search(r"one of ([\w|-]+)", said)
            if needs:
                inner = "authentication." + needs.group(1)
                key = needs.group(1) if inner in unknown else inner
            if rule["rule"] == "KEY-UNKNOWN":
                take(config, key)
                unknown.add(key)
            elif choice:
                put(config, key, choice.group(1).split("|")[0])
            elif key in secrets and not needs:
                take(config, key)  # of a form that a mark has not
            else:
                put(config, key, secret_value(key, kind) if key in secrets else DUMMY.get(key.split(".")[-1], "x"))
    raise AssertionError(f"{kind}: {r}")


def gw():
    if "g" in shared:
        return shared["g"]
    vault = f"{MARK}9001Zq8xW7vaultvaultvaultvault"[:32].encode()
    secret = mark("auth.jwtSecret") * 3
    env = mark("environment")
    g = Gateway({"auth": {"mode": "off", "jwtSecret": secret}, "vault": {"key": base64.b64encode(vault).decode()},
                 "log": {"level": "debug", "queries": "true"}},
                sources=[sqlite_source("lite"),
                         {"name": "filed", "type": "postgresql", "config": {
                             "host": "127.0.0.1", "port": servers.free_port(), "username": "u",
                             "password": mark("password in the file")}},
                         {"name": "by-env", "type": "mariadb", "config": {
                             "host": "127.0.0.1", "port": servers.free_port(), "username": "u",
                             "password": "${env:NX_CANARY}"}}],
                env={"NX_CANARY": env})
    plain = g.call

    def call(*args, **kw):
        r = plain(*args, **kw)
        shared["bodies"].append((r.method + " " + r.path, r.body + repr(r.headers).encode()))
        return r
    g.call = call
    shared.update(g=g, secret=secret)
    return g


def leaks(data):
    """Marks in some bytes, as they are or coded."""
    text = data.decode("latin-1")
    out = re.findall(MARK + r"\d{4}", text)
    raw = MARK.encode()
    coded = [base64.b64encode(b"x" * k + raw)[(4 * k + 2) // 3:-4].decode() for k in range(3)]
    coded += [raw.hex(), raw.hex().upper(), raw[::-1].decode()]
    return out + [c for c in coded if c in text]


def none_in(where, data):
    found = leaks(data)
    check(not found, f"{where} holds {[shared['fields'].get(f, f) for f in found[:3]]}")


def gets():
    with open(os.path.join(ROOT, "src/gate/routes.def"), encoding="utf-8") as f:
        return re.findall(r'NX_ROUTE\(\w+,\s*GET,\s*"([^"]+)"', f.read())


def files(folder):
    for at, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(at, name), "rb") as f:
                yield os.path.join(at, name), f.read()


def tool(*args):
    p = subprocess.run([find_binary(), *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=gw().env,
                       timeout=20 * SLOW, cwd=gw().home)
    return p.stdout


@case
def the_search_finds_what_it_looks_for():
    for text in (b"x CANARY0001 y", base64.b64encode(b"CANARY0001Z"), base64.b64encode(b"{CANARY0001Z"),
                 base64.b64encode(b'":CANARY0001Z'), b"CANARY".hex().encode()):
        check(leaks(text), f"not found in {text}")
    check(not leaks(b"canary CANAR"), "nothing else")


@case
def sources_of_every_type():
    g, secrets = gw(), secret_fields()
    kinds = [d["type"] for d in g.get("/api/v1/drivers").data["drivers"] if d["type"] != "fake"]
    used = set()
    shared["made"] = []
    for kind in kinds:
        sid, config = create(g, kind, secrets)
        shared["made"].append((kind, sid, config))
        text = json.dumps(config)
        used |= {k for k in secrets if f'"{k.split(".")[-1]}"' in text}
    eq([], sorted(set(secrets) - used), "each secret field was given to some type")
    print(f"# {len(kinds)} types, {shared['n']} marks, {len(secrets)} kinds of secret")


@case
def shown_changed_tested_and_broken():
    g = gw()
    for kind, sid, config in shared["made"]:
        shown = g.get("/api/v1/datasources/" + sid).data
        g.get(f"/api/v1/datasources/{sid}/status")
        g.call("PUT", "/api/v1/datasources/" + sid,
               {"name": shown["name"], "type": kind, "config": shown["config"], "description": "masked"})
        for path in gets():
            g.get(re.sub(r"{\w+}", sid, path), api=False)
        g.post("/api/v1/datasources/test-query", {"source": {"type": kind, "config": config}, "sql": "SELECT 1"})
        g.post("/api/v1/datasources/test-query", {"type": kind, "config": config, "sql": "SELECT 1"})
        g.post(f"/api/v1/datasources/{sid}/rollback", {"version": 1})
        whole = {"sources": [{"name": "secret " + kind, "type": kind, "config": config}]}
        for dry in ("?dryRun=true", ""):
            g.post("/api/v1/datasources/import" + dry, whole, timeout=40)
        for what in ("test", "activate"):
            g.post(f"/api/v1/datasources/{sid}/{what}")
        g.query("secret " + kind, "SELECT 1")
        # answers that speak of the secret's own value or place
        for bad in ({**config, "port": 0}, {**config, "nonsense": 1}, {**config, "password": {"x": mark("an object")}},
                    {**config, "password": [mark("an array")]}):
            g.call("PUT", "/api/v1/datasources/" + sid, {"name": "secret " + kind, "type": kind, "config": bad},
                   timeout=30)
        g.post("/api/v1/datasources", {"name": "secret " + kind, "type": kind, "config": config})  # the name is taken
    g.post("/api/v1/datasources", '{"name": "x", "config": {"password": "' + mark("bad JSON") + '"', api=False)
    for source in ("filed", "by-env"):
        g.query(source, "SELECT 1")
        g.post(f"/api/v1/datasources/{source}/test")


@case
def keys_tokens_and_parameters():
    g = gw()
    for role in ("agent", "admin"):
        for kind in ("key", "jwt"):
            r = g.post("/api/v1/keys", {"name": "robot", "role": role, "kind": kind})
            shared["bodies"].pop()  # the one answer that shows it
            text = r.data.get("key") or r.data["token"]
            shared["credentials"].append(text)
            for cut in (text, text[:-1], text + "x"):
                g.get("/api/v1/queries", headers={"Authorization": "Bearer " + cut})
                g.get("/api/v1/queries", headers={"X-API-Key": cut})
    g.query("lite", "SELECT id FROM many WHERE text = ?", [mark("a parameter")])
    g.query("lite", "SELECT nothing WHERE 1 = ?", [mark("a parameter of a bad statement")])
    g.query("lite", "SELECT 1", [mark("one parameter too many")])


@case
def in_token_mode_nothing_else_is_told():
    """The same gateway with callers: what is refused says nothing either."""
    g = gw()
    g.config["auth"]["mode"] = "token"
    g.restart()
    own = token("ann", "analyst", secret=shared["secret"])
    forged = token("ann", "admin", secret=shared["secret"] + "x")
    shared["credentials"] += [own, forged]
    for t in (own, forged, own[:-3]):
        for path in ("/api/v1/datasources", "/metrics", "/api/v1/keys"):
            g.get(path, headers={"Authorization": "Bearer " + t})
    g.token = token("root", "admin", secret=shared["secret"])
    shared["credentials"].append(g.token)


@case
def no_answer_holds_a_mark():
    g = gw()
    for path in gets():
        g.get(path, api=False)
    for where, body in shared["bodies"]:
        none_in(where, body)
        for c in shared["credentials"]:
            check(c[-40:].encode() not in body, f"{where} holds a key or token")
    print(f"# {len(shared['bodies'])} answers searched")
    check(len(shared["bodies"]) > 500, "many answers", len(shared["bodies"]))


@case
def no_output_of_the_program_holds_a_mark():
    path = os.path.join(gw().home, "nexus.yaml")
    address = ["-c", path, "--url", f"http://127.0.0.1:{gw().port}", "--key", gw().token]
    for args in (("check", "-c", path), ("source", "list", *address), ("token", "list", *address),
                 ("check", "-c", path, "--auth.jwtSecret=CANARY0000"), ("serve", "-c", path, "--vault.key=CANARY0000x")):
        none_in("nexus " + args[0], tool(*args))


@case
def no_log_audit_record_or_store_file_holds_a_mark():
    g = gw()
    log = g.log()
    check(len(log) > 10000, "a log worth searching", len(log))
    for when in ("while it runs", "when it has ended"):
        none_in("the log " + when, g.log().encode())
        n = 0
        for path, data in files(g.config["dataDir"]):
            if os.path.basename(path) in ("vault.key", "admin.key"):
                continue
            n += 1
            none_in(f"{path} {when}", data)
            for c in shared["credentials"]:
                check(c[-40:].encode() not in data, f"{path} holds a key or token")
        check(n >= 3, "store and audit log are there", n)
        for c in shared["credentials"]:
            check(c[-40:] not in g.log(), "the log holds a key or token")
        g.stop()


main()
