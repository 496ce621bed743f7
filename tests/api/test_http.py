"""HTTP as clients, attackers and broken networks speak it."""
import socket
import threading
import time

import casefile
from nxtest import (SLOW, case, check, configure, eq, gateway, main, read_all, read_response, until)
from sample import sqlite_source

configure({"http": {"headTimeout": 1, "bodyTimeout": 1, "idleTimeout": 2, "writeTimeout": 2,
                    "maxConnections": 300}},
          sources=lambda: [sqlite_source()])
casefile.add_raw("smuggling.raw")

QUERY = b'{"dataSource":"lite","sql":"SELECT id FROM t ORDER BY id"}'


@case
def keep_alive_serves_many():
    with gateway().socket() as s:
        for _ in range(50):
            s.sendall(gateway().request_bytes("POST", "/api/v1/query", QUERY))
            eq(200, read_response(s)[0])


@case
def pipelined_queries_answer_in_order():
    n = 20
    with gateway().socket() as s:
        out = b""
        for i in range(n):
            body = (b'{"dataSource":"lite","sql":"SELECT %d AS n"}' % i)
            out += gateway().request_bytes("POST", "/api/v1/query", body)
        s.sendall(out)
        reader = s.makefile("rb")
        for i in range(n):
            status, body = read_pipelined(reader)
            eq(200, status, body)
            check(b"[[%d]]" % i in bytes(c for c in body if c not in b' "\n'), f"answer {i} in its place", body)


def read_pipelined(f):
    """One response from a buffered stream that holds several."""
    status = int(f.readline().split()[1])
    length, chunked = None, False
    while True:
        line = f.readline().strip().lower()
        if not line:
            break
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        if line.startswith(b"transfer-encoding:") and b"chunked" in line:
            chunked = True
    if not chunked:
        return status, f.read(length or 0)
    body = b""
    while True:
        size = int(f.readline().split(b";")[0], 16)
        data = f.read(size + 2)[:-2]
        if size == 0:
            return status, body
        body += data


@case
def a_request_in_single_bytes_is_served():
    with gateway().socket() as s:
        data = gateway().request_bytes("GET", "/livez")
        for i in range(len(data)):
            s.sendall(data[i:i + 1])
        eq(200, read_response(s)[0])


@case
def expect_100_continue():
    with gateway().socket() as s:
        s.sendall(b"POST /api/v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                  b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(QUERY))
        s.settimeout(5)
        first = s.recv(100)
        check(first.startswith(b"HTTP/1.1 100 "), "100 Continue comes first", first)
        s.sendall(QUERY)
        eq(200, read_response(s)[0])


@case
def expect_with_a_body_too_large_is_refused_before_it_is_sent():
    with gateway().socket() as s:
        s.sendall(b"POST /api/v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n"
                  b"Expect: 100-continue\r\n\r\n")
        got, _ = read_all(s, 3)
    check(got.startswith(b"HTTP/1.1 413 "), "413", got[:100])


def drip(data, pause, seconds):
    """Sends a byte each `pause`; how long the peer let us."""
    start = time.monotonic()
    with gateway().socket() as s:
        got = b""
        try:
            for i in range(len(data)):
                s.sendall(data[i:i + 1])
                s.settimeout(pause)
                try:
                    part = s.recv(4096)
                    got += part
                    if not part:
                        break
                except socket.timeout:
                    pass
                if time.monotonic() - start > seconds:
                    break
        except ConnectionError:
            pass
        return time.monotonic() - start, got


@case
def a_slow_head_is_cut_off():
    took, got = drip(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 500, 0.1, 15 * SLOW)
    check(took < 6 * SLOW, f"ended after {took:.1f} s with a head timeout of 1 s")
    check(not got or b" 408 " in got, "408 or a close", got[:100])


@case
def a_slow_body_is_cut_off():
    took, got = drip(b"POST /api/v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     b"Content-Length: 100000\r\n\r\n", 0.001, 15)
    with gateway().socket() as s:
        s.sendall(b"POST /api/v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                  b"Content-Length: 100000\r\n\r\n{")
        start = time.monotonic()
        got, how = read_all(s, 10)
        took = time.monotonic() - start
    check(how != "silent" and took < 6 * SLOW, f"{how} after {took:.1f} s")
    check(not got or b" 408 " in got, "408 or a close", got[:100])


@case
def an_idle_connection_is_closed():
    with gateway().socket() as s:
        s.sendall(gateway().request_bytes("GET", "/livez"))
        read_response(s)
        start = time.monotonic()
        _, how = read_all(s, 10)
        took = time.monotonic() - start
    eq("closed", how)
    check(1 <= took < 6 * SLOW, f"closed after {took:.1f} s, idle timeout is 2 s")


@case
def a_client_that_connects_and_says_nothing_is_closed():
    with gateway().socket() as s:
        _, how = read_all(s, 10)
    check(how != "silent", "closed")


@case
def head_has_no_body():
    with gateway().socket() as s:
        s.sendall(gateway().request_bytes("HEAD", "/livez") + gateway().request_bytes("GET", "/livez"))
        got, _ = read_all(s, 0.5)
    eq(2, got.count(b"HTTP/1.1 200 "), got)


@case
def close_storm_with_queries_in_flight():
    """Clients that leave at every moment of a query (facts/http.md 9: use after free)."""
    request = gateway().request_bytes("POST", "/api/v1/query", QUERY)

    def storm(seed):
        for i in range(60):
            try:
                with gateway().socket() as s:
                    cut = (seed * 7919 + i * 104729) % (len(request) + 40)
                    s.sendall(request[:cut] if cut < len(request) else request)
                    if cut % 3 == 0:
                        s.shutdown(socket.SHUT_WR)
                    elif cut % 3 == 1:
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            except ConnectionError:
                pass
    threads = [threading.Thread(target=storm, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    eq(200, gateway().post("/api/v1/query", QUERY).status)
    until("no query is left", lambda: not gateway().running())


@case
def too_many_connections_are_told():
    held = []
    try:
        for _ in range(300):
            held.append(gateway().socket())
        extra = gateway().socket()
        held.append(extra)
        try:
            extra.sendall(gateway().request_bytes("GET", "/livez"))
        except ConnectionError:
            pass
        got, how = read_all(extra, 5)
        check(got.startswith(b"HTTP/1.1 503 ") or how in ("closed", "reset"), "503 or a close", got[:100])
    finally:
        for s in held:
            s.close()
    until("connections are accepted again", lambda: try_livez() == 200)


def try_livez():
    try:
        return gateway().call("GET", "/livez", api=False).status
    except OSError:
        return None


@case
def absolute_form_target():
    with gateway().socket() as s:
        s.sendall(b"GET http://a/livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        status = read_response(s)[0]
    check(status in (200, 400), "absolute-form is served or refused", status)


@case
def correlation_id_is_kept():
    r = gateway().get("/api/v1/queries", headers={"X-Correlation-ID": "abc.DEF_1-2"})
    eq("abc.DEF_1-2", r.header("X-Correlation-ID"))


@case
def a_bad_correlation_id_is_replaced():
    for bad in ("a b", "x" * 65, "a<script>", "", "a;b", "\u00e4"):
        r = gateway().call("GET", "/api/v1/queries",
                           headers={"X-Correlation-ID": bad.encode("utf-8")})
        got = r.header("X-Correlation-ID")
        check(got != bad and len(got) == 36, "a UUID is made", r.headers)


@case
def a_header_value_cannot_be_injected():
    with gateway().socket() as s:
        s.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Correlation-ID: a%0d%0aX-Evil: 1\r\n\r\n")
        _, headers, _ = read_response(s)
    check(not any(k.lower() == "x-evil" for k, _ in headers), "no injected header", headers)


@case
def security_headers_are_there():
    r = gateway().get("/api/v1/drivers")
    eq("nosniff", r.header("X-Content-Type-Options"), r.headers)
    check("no-store" in (r.header("Cache-Control") or ""), "Cache-Control: no-store", r.headers)


main()
