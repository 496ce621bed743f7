"""Rate limits: per principal, and per address for requests without valid credentials."""

from nxtest import Gateway, case, check, eq, main, until
from sample import sqlite_source
from tokens import SECRET, bearer

BODY = {"dataSource": "lite", "sql": "SELECT 1"}


def start(limits, **http):
    return Gateway({"auth": {"mode": "token", "jwtSecret": SECRET}, "limits": limits, "http": http},
                   sources=[sqlite_source()])


def ask(g, headers):
    return g.call("POST", "/api/v1/query", BODY, headers=headers)


@case
def a_principal_has_its_own_budget():
    g = start({"perPrincipal": 1, "burst": 4})
    for left in (3, 2, 1, 0):
        r = ask(g, bearer("alice"))
        eq((200, "4", str(left)), (r.status, r.header("RateLimit-Limit"),
                                   r.header("RateLimit-Remaining")), r.headers)
    r = ask(g, bearer("alice"))
    eq((429, "RATE_LIMITED"), (r.status, r.code), r)
    check(1 <= int(r.header("Retry-After")) <= 2, "Retry-After", r.headers)
    check(1 <= int(r.header("RateLimit-Reset")) <= 5, "RateLimit-Reset", r.headers)

    eq(200, ask(g, bearer("bob")).status)
    eq(200, g.get("/livez").status)
    until("a token comes back", lambda: ask(g, bearer("alice")).status == 200, every=0.3)
    g.close()


@case
def off_says_nothing():
    g = start({"perPrincipal": 0})
    r = ask(g, bearer("alice"))
    eq((200, None), (r.status, r.header("RateLimit-Limit")))
    g.close()


@case
def guessing_is_slowed():
    g = start({"perAddress": 1, "addressBurst": 5})
    seen = [ask(g, {"X-API-Key": f"nxk_{i:08x}_" + "0" * 64}).status for i in range(12)]
    eq([401] * 5, seen[:5], seen)
    check(set(seen[5:]) <= {429, 401} and seen.count(429) >= 5, "limited", seen)
    r = ask(g, bearer("alice"))  # the right answer does not show either
    if r.status != 429:
        until("limited again", lambda: ask(g, {"X-API-Key": "x"}).status == 429, every=0)
        r = ask(g, bearer("alice"))
    eq((429, "RATE_LIMITED"), (r.status, r.code), r)
    check(int(r.header("Retry-After")) >= 1, "Retry-After", r.headers)
    until("let in again", lambda: ask(g, bearer("alice")).status == 200, every=0.3)
    g.close()


@case
def good_requests_do_not_count_against_the_address():
    g = start({"perAddress": 1, "addressBurst": 2})
    for _ in range(10):
        eq(200, ask(g, bearer("alice")).status)
    g.close()


def address_is_limited(g, forwarded):
    """Uses up the failed attempts of one forwarded address; is another one limited by it?"""
    for _ in range(4):
        ask(g, {"X-API-Key": "x", "X-Forwarded-For": forwarded})
    return ask(g, {"X-API-Key": "x", "X-Forwarded-For": "203.0.113.99"}).status == 429


@case
def a_forwarded_address_is_believed_only_from_a_trusted_proxy():
    limits = {"perAddress": 1, "addressBurst": 2}
    g = start(limits)
    check(address_is_limited(g, "203.0.113.1"), "a stranger's header is not believed")
    g.close()
    g = start(limits, trustedProxies="127.0.0.0/8, ::1")
    check(not address_is_limited(g, "203.0.113.1"), "behind the proxy each client counts for itself")
    # What the client itself put in front does not help it.
    for i in range(4):
        ask(g, {"X-API-Key": "x", "X-Forwarded-For": f"198.51.100.{i}, 203.0.113.7"})
    eq(429, ask(g, {"X-API-Key": "x", "X-Forwarded-For": "198.51.100.77, 203.0.113.7"}).status)
    g.close()


@case
def a_wrong_list_is_told():
    g = Gateway({"http": {"trustedProxies": "10.0.0.0/8,everyone"}}, start=False)
    g.spawn()
    status = g.process.wait(10)
    g.expect_status = status
    check(status > 0 and "everyone" in g.log(), "named", g.log())


main()
