"""A real Postgres server behind the gateway: the common cases, and what is its own."""
import json
import time

import sqlsource
from nxtest import case, check, configure, eq, gateway, main

dialect = sqlsource.Postgres()
proxies = {}
configure({"http": {"writeTimeout": 2}}, sources=lambda: sqlsource.sources(dialect, proxies))
sqlsource.register(dialect, proxies)


@case
def rows_of_a_slow_query_leave_as_they_come():
    """Each row is more than the server's buffer and takes a while: none waits for the one behind it."""
    sql = ("SELECT i, repeat('x', 9000) AS filler, (SELECT count(*) FROM generate_series(1, 4000000 + i) AS g(n)) AS c "
           "FROM generate_series(1, 5) AS s(i)")
    for form in ("ndjson", "json"):
        began = time.monotonic()
        s = gateway().start_query("db", sql, format=form)
        got, seen = b"", []
        while not got.endswith(b"0\r\n\r\n"):
            piece = s.recv(65536)
            check(piece, "the stream is whole", got[-200:])
            got += piece
            while got.count(b"xxxx" + b"x" * 8990) > len(seen):
                seen.append(time.monotonic() - began)
        s.close()
        took = time.monotonic() - began
        eq(5, len(seen), seen)
        check(seen[0] < took * 0.65 and seen[2] < took * 0.9, "a row at a time", seen, took)


@case
def a_small_result_is_answered_in_one_piece():
    r = gateway().query("db", "SELECT i FROM generate_series(1, 40) AS s(i)")
    eq(40, len(json.loads(r.body)["data"]["rows"]))
    check(r.header("Content-Length"), "with its length", r.headers)


main()
