"""Tokens of a foreign issuer: its keys by address and by discovery, their rotation, its claims."""
import base64
import hashlib
import hmac
import json
import re
import subprocess
import threading
import time

import issuer
from nxtest import SLOW, Failed, Gateway, case, check, eq, find_binary, main, until
from sample import sqlite_source
from tokens import SECRET, bearer

shared = {}


def far():
    """One issuer for the file; each case publishes what it needs."""
    if "issuer" not in shared:
        shared["issuer"] = issuer.start()
    i = shared["issuer"]
    i.control(status=200, maxAge=None, delay=0, extra=[])
    return i


def start(i, **auth):
    return Gateway({"auth": {"mode": "token", "jwtSecret": SECRET, "issuer": i.url, "audience": "nexus",
                             "jwksUrl": i.url + "/jwks", **auth},
                    "limits": {"perAddress": 0}}, sources=[sqlite_source()])


def ask(g, token, **more):
    return g.call("POST", "/api/v1/query", {"dataSource": "lite", "sql": "SELECT 1"},
                  headers={"Authorization": "Bearer " + token}, **more)


def metric(g, i, name):
    text = g.get("/metrics", headers=bearer("root", "admin", iss=i.url, aud="nexus")).text
    return float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@case
def every_algorithm_by_address_and_by_discovery():
    i = far()
    i.publish("rsa", "rs384", "rs512", "ec", "ed")
    for auth in ({}, {"jwksUrl": "", "discovery": "true"}):
        g = start(i, **auth)
        for key in ("rsa", "rs384", "rs512", "ec", "ed"):
            for _ in range(2):  # and from the cache
                r = ask(g, i.token(key, role="analyst"))
                eq(200, r.status, key, r)
        eq(200, ask(g, i.token("ed", role="agent", aud=["x", "nexus"])).status)
        eq(200, g.get("/api/v1/drivers", headers=bearer("own", iss=i.url, aud="nexus")).status)
        g.close()


@case
def tokens_that_are_refused():
    i = far()
    public = {"kty": "oct", "kid": "sym", "alg": "HS256", "k": b64(SECRET.encode())}
    i.publish("rsa", "ec", "weak", extra=[public])
    g = start(i)
    good = i.token("rsa", role="admin")
    eq(200, ask(g, good).status)
    now = int(time.time())

    def hs256(key, kid=None):
        head = {"alg": "HS256", "typ": "JWT", **({"kid": kid} if kid else {})}
        body = {"iss": i.url, "aud": "nexus", "sub": "eve", "role": "admin", "exp": now + 60}
        text = b64(json.dumps(head).encode()) + "." + b64(json.dumps(body).encode())
        return text + "." + b64(hmac.new(key, text.encode(), hashlib.sha256).digest())
    jwks = json.loads(__import__("urllib.request").request.urlopen(i.url + "/jwks").read())
    modulus = [k for k in jwks["keys"] if k["kid"] == "rsa"][0]["n"]
    bad = {
        "another issuer": i.token("rsa", role="admin", iss="http://127.0.0.1:1"),
        "an issuer with a slash": i.token("rsa", role="admin", iss=i.url + "/"),
        "an array of issuers": i.token("rsa", role="admin", iss=[i.url]),
        "no issuer": i.token("rsa", role="admin", iss=None),
        "another audience": i.token("rsa", role="admin", aud="other"),
        "no audience": i.token("rsa", role="admin", aud=None),
        "other audiences": i.token("rsa", role="admin", aud=["other", ["nexus"]]),
        "no role": i.token("rsa"),
        "no subject": i.token("rsa", role="admin", sub=None),
        "no end": i.token("rsa", role="admin", exp=None),
        "not yet": i.token("rsa", role="admin", nbf=now + 300),
        "a key that is not published": i.token("rsa2", role="admin"),
        "a weak key": i.token("weak", role="admin"),
        "another's kid": i.token("rsa2", {"kid": "rsa"}, role="admin"),
        "RSA's kid on an EC token": i.token("ec", {"kid": "rsa"}, role="admin"),
        "EC called RSA": i.token("ec", {"alg": "RS256"}, role="admin"),
        "none": i.token("rsa", {"alg": "none"}, role="admin"),
        "none, unsigned": i.token("rsa", {"alg": "none"}, role="admin").rsplit(".", 1)[0] + ".",
        "crit": i.token("rsa", {"crit": ["exp"]}, role="admin"),
        "its own key embedded": i.token("rsa2", {"jwk": {"kty": "RSA", "n": modulus, "e": "AQAB"}, "kid": None},
                                        role="admin"),
        "a key's address": i.token("rsa2", {"jku": i.url + "/jwks", "kid": "x"}, role="admin"),
        "a logout token": i.token("rsa", {"typ": "logout+jwt"}, role="admin"),
        "HS256 with the public key": hs256(modulus.encode()),
        "HS256 with the public key and its kid": hs256(base64.urlsafe_b64decode(modulus + "=="), "rsa"),
        "HS256 with a published secret": hs256(b"x" * 40, "sym"),
        "a changed signature": good[:-6] + ("AAAAAA" if good[-6:] != "AAAAAA" else "BBBBBB"),
        "a reserved name": i.token("rsa", role="admin", sub="key:00000000"),
    }
    for what, token in bad.items():
        r = ask(g, token)
        eq((401, "UNAUTHENTICATED"), (r.status, r.code), what, r)
        eq("The token is not valid.", r.json["error"]["message"], what)
    r = ask(g, i.token("rsa", role="admin", exp=now - 3600))
    eq((401, "TOKEN_EXPIRED"), (r.status, r.code), r)
    # members that other services put there change nothing
    eq(200, ask(g, i.token("rsa", {"x5t": "x", "jku": "http://127.0.0.1:1/"}, role="admin")).status)
    eq(200, ask(g, i.token("ec", {"kid": None}, role="admin")).status)
    g.close()


@case
def rotation_under_load_fails_no_request():
    """Five rotations, each: the new key is published and signs at once; later the old one goes."""
    i = far()
    names = ["rsa", "ec", "ed", "rsa2", "ed2"]
    i.publish(names[0])
    g = start(i, jwksCooldown="0.1", jwksMinAge="1", jwksMaxAge="2")
    now, stop, problems, counts = {"key": names[0]}, threading.Event(), [], [0]

    def client(number):
        while not stop.is_set():
            try:
                r = ask(g, i.token(now["key"], role="agent", sub=f"user{number}"), api=False)
                counts[0] += 1
                if r.status != 200:
                    problems.append((now["key"], r.status, r.body[:200]))
            except OSError as e:
                problems.append(repr(e))
    threads = [threading.Thread(target=client, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    old = names[0]
    try:
        for new in names[1:] + names[:1]:
            time.sleep(0.5)
            i.publish(old, new)
            now["key"] = new
            time.sleep(1.2)  # all who still hold an old token have used it
            i.publish(new)
            old = new
    finally:
        stop.set()
        for t in threads:
            t.join()
    eq([], problems[:3], f"{len(problems)} of {counts[0]}")
    check(counts[0] > 100, "some load", counts)
    print(f"# {counts[0]} requests over 5 rotations")
    g.close()


@case
def a_withdrawn_key_counts_no_more():
    i = far()
    i.publish("rsa", "ec")
    g = start(i, jwksMinAge="1", jwksMaxAge="1")
    old = i.token("rsa", role="agent")
    eq(200, ask(g, old).status)
    i.publish("ec")
    until("the old key is refused", lambda: ask(g, old).status == 401, 5)
    eq(200, ask(g, i.token("ec", role="agent")).status)
    g.close()


@case
def made_up_kids_do_not_reach_the_issuer():
    i = far()
    i.publish("rsa")
    g = start(i)
    before = i.calls()
    good = i.token("rsa", role="agent")
    for n in range(60):
        eq(401, ask(g, i.token("rsa2", {"kid": f"k{n}"}, role="agent")).status)
        eq(200, ask(g, good).status)
    eq(before + 1, i.calls())
    g.close()


@case
def an_issuer_that_answers_slowly_holds_nobody_up():
    i = far()
    i.publish("rsa")
    g = start(i, jwksCooldown="0.1")
    i.control(delay=1.5)
    slow = []
    t = threading.Thread(target=lambda: slow.append(ask(g, i.token("ec", role="agent"))))
    t.start()
    time.sleep(0.1)
    for _ in range(20):
        began = time.monotonic()
        eq(200, ask(g, bearer("own", iss=i.url, aud="nexus")["Authorization"][7:]).status)
        eq(200, g.get("/health").status)
        check(time.monotonic() - began < 0.5 * SLOW, "quick")
    t.join()
    eq(401, slow[0].status, slow[0])
    i.control(delay=0)
    g.close()


@case
def a_start_while_the_issuer_is_down():
    i = far()
    i.publish("rsa", status=500)
    g = start(i)
    token = i.token("rsa", role="agent")
    r = ask(g, token)
    eq((503, "ISSUER_DOWN"), (r.status, r.code), r)
    check(r.header("Retry-After"), "Retry-After", r.headers)
    eq(200, ask(g, bearer("own", iss=i.url, aud="nexus")["Authorization"][7:]).status)
    i.control(status=200)
    until("the keys are there", lambda: ask(g, token).status == 200, 15)
    g.close()


@case
def an_issuer_that_goes_down():
    i = far()
    i.publish("rsa")
    g = start(i, jwksMinAge="0.5", jwksMaxAge="0.5", jwksMaxStale="2")
    token = i.token("rsa", role="agent")
    eq(200, ask(g, token).status)
    i.control(status=503)
    time.sleep(1)
    eq(200, ask(g, token).status)  # past its age, within the time allowed
    until("closed", lambda: ask(g, token).status == 503, 6)
    eq("ISSUER_DOWN", ask(g, token).code)
    eq(0, metric(g, i, "nexus_issuer_keys"))
    check(metric(g, i, "nexus_issuer_failures_total") >= 2, "failures are counted")
    i.control(status=200)
    until("open again", lambda: ask(g, token).status == 200, 15)
    eq(1, metric(g, i, "nexus_issuer_keys"))
    g.close()


@case
def groups_become_roles():
    i = far()
    i.publish("rsa")
    g = start(i, subjectClaim="preferred_username", rolesClaim="realm_access.roles",
              roleMap="data-admins=admin; cn=bi,ou=groups=analyst", authorizedParties="bi, cli")

    def who(roles, **more):
        return i.token("rsa", preferred_username="ann", realm_access={"roles": roles}, **{"azp": "bi", **more})
    eq(200, ask(g, who(["x", "cn=bi,ou=groups"])).status)
    eq(403, g.get("/api/v1/keys", headers={"Authorization": "Bearer " + who(["cn=bi,ou=groups"])}).status)
    eq(200, g.get("/api/v1/keys", headers={"Authorization": "Bearer " + who(["data-admins"])}).status)
    for roles in ([], ["admin"], ["data-admins "], "data-admins x"):
        r = ask(g, who(roles, role="admin"))
        eq((403, "FORBIDDEN"), (r.status, r.code), roles, r)
    eq(401, ask(g, who(["data-admins"], azp="other")).status)
    eq(401, ask(g, who(["data-admins"], azp=None)).status)
    listed = g.get("/api/v1/queries", headers={"Authorization": "Bearer " + who(["data-admins"])}).data_list()
    check(any(q["principal"] == "ann" for q in listed), "named by the claim", listed)
    # our own tokens keep our own claim
    eq(200, g.get("/api/v1/keys", headers=bearer("root", "admin", iss=i.url, aud="nexus")).status)
    g.close()


@case
def configurations_that_are_refused():
    i = far()
    for auth, word in (({"audience": ""}, "audience"), ({"issuer": ""}, "issuer"),
                       ({"discovery": "true"}, "exclude"), ({"roleMap": "a=admin"}, "rolesClaim"),
                       ({"rolesClaim": "g", "roleMap": "a=king"}, "roleMap"),
                       ({"jwksMinAge": "10", "jwksMaxAge": "5"}, "jwksMaxAge")):
        g = Gateway({"auth": {"mode": "token", "jwtSecret": SECRET, "issuer": i.url, "audience": "nexus",
                              "jwksUrl": i.url + "/jwks", **auth}}, start=False)
        p = subprocess.run([find_binary(), "check", "-c", g.write_config()], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, env=g.env, timeout=20 * SLOW)
        check(p.returncode == 1 and word in p.stdout.decode(), "nexus check says why", p.stdout)
        try:
            g.start()
        except Failed as e:
            check(word in str(e), "says why", str(e))
            g.process = None
        else:
            raise Failed(f"started with {auth}")


main()
