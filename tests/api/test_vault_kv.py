"""Secrets in HashiCorp Vault: references in data sources and in nexus.yaml. The double is tests/api/vaultkv.py."""
import os
import subprocess
import threading
import time

import servers
import vaultkv
from nxtest import SLOW, Failed, Gateway, case, check, eq, find_binary, main, until
from sample import sqlite_source
from vaultkv import ROLE, ROOT_TOKEN, SECRET_ID

shared = {}
SECRETS = ["pass-one", "pass-two", ROOT_TOKEN, SECRET_ID, "hvs.login"]


def fresh(**secret):
    if "vault" not in shared:
        shared["vault"] = vaultkv.start()
    v = shared["vault"]
    v.mode, v.ttl, v.log, v.renewed = "ok", 3600, [], 0
    v.secrets = {}
    v.tokens = {ROOT_TOKEN: None}
    return v


def gateway(v, sources=None, config=None, **kv):
    kv = {"address": v.url, "token": ROOT_TOKEN, **kv}
    cfg = {"vault": {"kv": {k: val for k, val in kv.items() if val is not None}}}
    cfg.update(config or {})
    return Gateway(cfg, sources=sources)


def account(password):
    """A login of its own at the tests' PostgreSQL."""
    pg = servers.postgres()
    name = f"kv_{os.getpid()}"
    pg.sql(f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN "
           f"CREATE ROLE {name} LOGIN; END IF; END $$; ALTER ROLE {name} PASSWORD '{password}';")
    return pg, name


def source(pg, name, ref, **config):
    return pg.source("pg", username=name, password=ref, **config)


def clean(g, *texts):
    """No secret in the log, nor in what the API says."""
    said = g.log() + "".join(texts) + g.get("/api/v1/datasources").text
    for s in SECRETS:
        check(s not in said, f"{s} was told", said[-2000:])


@case
def vaults_own_client_passes():
    hvac = vaultkv.need("hvac")
    v = fresh()
    c = hvac.Client(url=v.url, token=ROOT_TOKEN)
    check(c.is_authenticated(), "hvac: authenticated")
    eq(False, c.sys.is_sealed())
    c.secrets.kv.v2.create_or_update_secret("db/main", secret={"password": "pass-one"})
    c.secrets.kv.v2.create_or_update_secret("db/main", secret={"password": "pass-two"})
    read = c.secrets.kv.v2.read_secret_version
    eq("pass-two", read("db/main", raise_on_deleted_version=True)["data"]["data"]["password"])
    eq("pass-one", read("db/main", version=1, raise_on_deleted_version=True)["data"]["data"]["password"])
    c.secrets.kv.v2.delete_secret_versions("db/main", versions=[1])
    for path, version, want in (("db/main", 1, hvac.exceptions.InvalidPath),
                                ("db/none", None, hvac.exceptions.InvalidPath),
                                ("forbidden/x", None, hvac.exceptions.Forbidden)):
        try:
            read(path, version=version, raise_on_deleted_version=True)
            raise Failed(f"{path} was read")
        except want:
            pass
    login = hvac.Client(url=v.url)
    login.auth.approle.login(role_id=ROLE, secret_id=SECRET_ID)
    check(login.is_authenticated(), "hvac: AppRole")
    login.auth.token.renew_self()
    v.mode = "sealed"
    try:
        read("db/main", raise_on_deleted_version=True)
        raise Failed("a sealed Vault was read")
    except hvac.exceptions.VaultDown:
        pass


@case
def a_source_logs_in_with_it():
    v = fresh()
    v.put("db/main", password="pass-one")
    pg, name = account("pass-one")
    g = gateway(v, [source(pg, name, "${vault:secret/db/main#password}")])
    r = g.query("pg", "SELECT 1")
    eq(200, r.status, r)
    eq(1, v.reads("db/main"), v.log)
    # through the API, too; the reference is stored, not the value
    made = source(pg, name, "${vault:secret/db/main?version=1#password}")
    made["name"] = "two"
    r = g.post("/api/v1/datasources", made)
    eq((201, "active"), (r.status, r.data["status"]), r)
    eq(200, g.query("two", "SELECT 1").status)
    clean(g, r.text)
    g.restart()
    eq(200, g.query("two", "SELECT 1").status)
    clean(g)


@case
def a_password_that_changes_is_read_again():
    v = fresh()
    v.put("db/main", password="pass-one")
    pg, name = account("pass-one")
    g = gateway(v, [source(pg, name, "${vault:secret/db/main#password}", maxPoolSize=1)])
    eq(200, g.query("pg", "SELECT 1").status)
    v.put("db/main", password="pass-two")
    pg.sql(f"ALTER ROLE {name} PASSWORD 'pass-two'; "
           f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'")
    # the first login that fails makes the gateway look; the ttl is 300 s
    until("the new password is used", lambda: g.query("pg", "SELECT 1").status == 200, 15)
    clean(g)


@case
def a_ttl_that_ends():
    v = fresh()
    v.put("db/main", password="pass-one")
    pg, name = account("pass-one")
    g = gateway(v, [source(pg, name, "${vault:secret/db/main#password}"),
                    dict(source(pg, name, "${vault:secret/db/main?version=1#password}"), name="pinned")], ttl=1)
    eq(200, g.query("pg", "SELECT 1").status)
    v.put("db/main", password="pass-two")
    until("the log says so", lambda: any("pg has new secrets" in e["message"] for e in g.events("source")), 10)
    check(not any("pinned has" in e["message"] for e in g.events("source")), "a pinned version stays")
    clean(g)


@case
def an_unreachable_vault_stops_only_its_sources():
    v = fresh()
    v.put("db/main", password="pass-one")
    pg, name = account("pass-one")
    other = pg.source("plain")
    v.mode = "down"
    g = gateway(v, [source(pg, name, "${vault:secret/db/main#password}"), other])
    eq(200, g.query("plain", "SELECT 1").status)
    r = g.query("pg", "SELECT 1")
    check(r.status >= 400 and r.code, "typed", r)
    shown = [s for s in g.get("/api/v1/datasources").data["dataSources"] if s["name"] == "pg"][0]
    eq(("error", "OUTBOUND_FAILED"), (shown["status"], shown["problem"]["code"]), shown)
    v.mode = "ok"
    until("it works once Vault is back", lambda: g.query("pg", "SELECT 1").status == 200, 20)
    # and while it works, a Vault that goes away again does no harm
    v.mode = "down"
    eq(200, g.query("pg", "SELECT 1").status)
    made = dict(source(pg, name, "${vault:secret/db/new#password}"), name="new")
    r = g.post("/api/v1/datasources", made)
    eq((502, "OUTBOUND_FAILED"), (r.status, r.code), r)
    clean(g, r.text)


@case
def stored_sources_wait_for_it_too():
    v = fresh()
    v.put("db/main", password="pass-one")
    pg, name = account("pass-one")
    g = gateway(v)
    eq(201, g.post("/api/v1/datasources", source(pg, name, "${vault:secret/db/main#password}")).status)
    v.mode = "sealed"
    g.restart()
    r = g.query("pg", "SELECT 1")
    check(r.status >= 400, "not usable yet", r)
    v.mode = "ok"
    until("it works once Vault is unsealed", lambda: g.query("pg", "SELECT 1").status == 200, 20)
    clean(g)


@case
def references_that_lead_nowhere():
    v = fresh()
    v.put("db/main", password="pass-one", nested={"a": 1})
    v.put("db/old", password="pass-one")
    v.secrets["db/old"][0] = None
    g = gateway(v)
    body = {"name": "x", "type": "postgresql", "config": {"host": "127.0.0.1", "username": "u"}}
    for ref, status, text in (("secret/db/none#password", 400, "does not exist"),
                              ("secret/db/main#other", 400, "no key other"),
                              ("secret/db/main#nested", 400, "no text"),
                              ("secret/db/main?version=9#password", 400, "does not exist"),
                              ("secret/db/old?version=1#password", 400, "deleted"),
                              ("secret/forbidden/a#password", 400, "not open"),
                              ("secret/../sys/seal#password", 400, "form"),
                              ("secret/db/main", 400, "form")):
        body["config"]["password"] = "${vault:" + ref + "}"
        r = g.post("/api/v1/datasources?skipTest=true", body)
        eq((status, True), (r.status, text in r.text), ref, r)
    for mode, path in (("huge", "a"), ("html", "b"), ("sealed", "c")):
        v.mode = mode
        body["config"]["password"] = "${vault:secret/" + path + "#password}"
        r = g.post("/api/v1/datasources?skipTest=true", body)
        eq((502, "OUTBOUND_FAILED"), (r.status, r.code), mode, r)
        time.sleep(3.1)  # what failed as a whole is not asked again for three seconds
    clean(g)
    plain = Gateway()
    body["config"]["password"] = "${vault:secret/db/main#password}"
    r = plain.post("/api/v1/datasources?skipTest=true", body)
    eq((400, True), (r.status, "vault.kv.address" in r.text), r)


@case
def a_standby_gets_the_token_only_itself():
    v = fresh()
    v.put("db/main", password="pass-one")
    other = vaultkv.start()
    v.mode, v.elsewhere = "standby", other.url
    g = gateway(v)
    r = g.post("/api/v1/datasources?skipTest=true",
               {"name": "x", "type": "postgresql",
                "config": {"host": "127.0.0.1", "username": "u", "password": "${vault:secret/db/main#password}"}})
    eq((502, True), (r.status, "standby" in r.text), r)
    eq([], other.log)
    clean(g)


@case
def app_role_and_renewal():
    v = fresh()
    v.put("db/main", password="pass-one")
    v.ttl = 3
    pg, name = account("pass-one")
    g = gateway(v, [source(pg, name, "${vault:secret/db/main#password}")], token=None, roleId=ROLE,
                secretId=SECRET_ID)
    eq(200, g.query("pg", "SELECT 1").status)
    until("the token is renewed", lambda: v.renewed >= 2, 15)
    eq(1, sum(1 for _, p, _ in v.log if p.endswith("/login")), v.log)
    clean(g)
    bad = gateway(v, [source(pg, name, "${vault:secret/db/main#password}")], token=None, roleId=ROLE,
                  secretId="wrong")
    shown = bad.get("/api/v1/datasources").data["dataSources"][0]
    eq(("CREDENTIAL_INVALID", True), (shown["problem"]["code"], "AppRole" in shown["problem"]["message"]), shown)


@case
def a_role_at_another_path_in_a_namespace():
    v = fresh()
    v.mount, v.namespace = "team/approle", "org/team-a"
    try:
        v.put("db/main", password="pass-one")
        pg, name = account("pass-one")
        sources = [source(pg, name, "${vault:secret/db/main#password}")]
        g = gateway(v, sources, token=None, roleId=ROLE, secretId=SECRET_ID, roleMount=v.mount, namespace=v.namespace)
        eq(200, g.query("pg", "SELECT 1").status)
        clean(g)
        bad = gateway(v, sources, token=None, roleId=ROLE, secretId=SECRET_ID, roleMount=v.mount)
        shown = bad.get("/api/v1/datasources").data["dataSources"][0]
        check("problem" in shown, "another namespace has no such role", shown)
        # a token from a file, as Vault's agent writes it
        path = os.path.join(bad.home, "vault-token")
        with open(path, "w", encoding="ascii") as f:
            f.write(ROOT_TOKEN + "\n")
        g = gateway(v, sources, token=None, tokenFile=path, namespace=v.namespace)
        eq(200, g.query("pg", "SELECT 1").status)
    finally:
        v.mount, v.namespace = "approle", None


@case
def keys_of_the_configuration():
    v = fresh()
    secret = "s" * 40
    v.put("gateway", jwt=secret)
    g = gateway(v, config={"auth": {"mode": "token", "jwtSecret": "${vault:secret/gateway#jwt}"}})
    eq(401, g.get("/api/v1/datasources").status)
    check(secret not in g.log(), "not in the log")
    path = os.path.join(g.home, "nexus.yaml")

    def judge(*flags):
        p = subprocess.run([find_binary(), "check", "-c", path, *flags], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=30 * SLOW, env=g.env)
        return p.returncode, p.stdout.decode()

    eq(0, judge()[0], judge()[1])
    status, out = judge("--auth.jwtSecret", "${vault:secret/gateway#none}")
    eq((1, True), (status, "no key none" in out), out)
    status, out = judge("--vault.kv.token", "${vault:secret/gateway#jwt}")
    eq((1, True), (status, "cannot be read from Vault" in out), out)
    status, out = judge("--vault.kv.roleId", "a")
    eq((1, True), (status, "one of token" in out), out)
    v.mode = "sealed"
    status, out = judge()
    eq((1, True), (status, "sealed" in out), out)


@case
def a_vault_that_hangs_holds_up_only_who_needs_it():
    """Changes of other sources, and secrets that are known already, do not wait for it."""
    pg, name = account("pass-one")
    v = fresh()
    v.put("db/main", password="pass-one")
    g = gateway(v)
    lite = g.post("/api/v1/datasources", sqlite_source("lite")).data["id"]
    main_ = {**source(pg, name, "${vault:secret/db/main#password}"), "skipTest": True}
    sid = g.post("/api/v1/datasources", main_).data["id"]
    eq(200, g.query("pg", "SELECT 1").status)
    g.call("PUT", f"/api/v1/datasources/{sid}", {**main_, "description": "second"})
    v.mode = "slow"
    nth = [0]

    def other():
        """A reference that nobody asked for yet."""
        nth[0] += 1
        return {**source(pg, name, "${vault:secret/db/other%d#password}" % nth[0]), "skipTest": True}
    slow = {
        "create": lambda: g.post("/api/v1/datasources", {**other(), "name": "new"}),
        "replace": lambda: g.call("PUT", f"/api/v1/datasources/{sid}", other()),
        "import": lambda: g.post("/api/v1/datasources/import", [{k: x for k, x in other().items() if k != "skipTest"}]),
        "test-query": lambda: g.post("/api/v1/datasources/test-query",
                                     {"type": "postgresql", "sql": "SELECT 1", "config": other()["config"]}),
    }
    for what, ask in slow.items():
        time.sleep(3.2)  # that it does not answer is remembered for three seconds
        asked = len(v.log)
        got = []
        t = threading.Thread(target=lambda: got.append(ask()))
        t.start()
        until("Vault is asked", lambda: len(v.log) > asked)
        worst, seen = 0, []
        for do in (lambda: g.post(f"/api/v1/datasources/{lite}/deactivate"),
                   lambda: g.post(f"/api/v1/datasources/{lite}/activate"), lambda: g.query("lite", "SELECT 1"),
                   lambda: g.get("/api/v1/datasources"), lambda: g.get(f"/api/v1/datasources/{sid}/versions"),
                   lambda: g.call("PUT", f"/api/v1/datasources/{sid}", {**main_, "description": what}),
                   lambda: g.post(f"/api/v1/datasources/{sid}/rollback", {"version": 1}), lambda: g.get("/livez")):
            began = time.monotonic()
            seen.append(do().status)
            worst = max(worst, time.monotonic() - began)
        check(not got, f"{what} still waits", got)
        eq([200] * 8, seen)
        check(worst < 1 * SLOW, f"{what} holds others up", worst)
        t.join()
        check(got[0].status >= 400, f"{what} says that it failed", got)
    v.mode = "ok"
    g.close()


main()
