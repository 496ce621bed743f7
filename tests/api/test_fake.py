"""A source that does wrong on order (src/drivers/fake): every way a source can fail, in every format."""
import concurrent.futures
import json
import time

from nxtest import SLOW, case, check, configure, eq, gateway, main, until

configure(sources=[
    {"name": "fake", "type": "fake", "config": {}},
    {"name": "pair", "type": "fake", "config": {"maxPoolSize": 2, "maxStreams": 0}},
    {"name": "slow", "type": "fake", "config": {"connectHang": True, "connectTimeout": 1}},
    {"name": "refuses", "type": "fake", "config": {"connectError": "SOURCE_AUTH"}},
    {"name": "rotten", "type": "fake", "config": {"checkFails": True}},
    {"name": "no_reset", "type": "fake", "config": {"resetFails": True}},
    {"name": "fleeting", "type": "fake", "config": {}},
    {"name": "narrow", "type": "fake", "config": {"maxPoolSize": 1, "maxStreams": 0, "maxQueue": 1}},
    {"name": "capped", "type": "fake", "config": {"maxRows": 100}},
    {"name": "slim", "type": "fake", "config": {"maxBytes": 100000}},
])


def q(where, source="fake", **kw):
    return gateway().query(source, "SELECT * FROM fake WHERE " + where, **kw)


def stats(source="fake"):
    r = q("stats", source)
    return dict(zip([c["name"] for c in r.data["columns"]], [int(v) for v in r.rows[0]]))


@case
def errors_before_the_first_row_have_their_status():
    for code, status in (("SQL_ERROR", 400), ("UNDEFINED_OBJECT", 400), ("SOURCE_PERMISSION", 403),
                         ("SOURCE_FAILED", 502), ("SOURCE_BUSY", 503), ("CONFLICT", 409), ("PROTOCOL", 502),
                         ("TYPE_UNSUPPORTED", 400), ("RO_SERVER", 403), ("RO_NO_RESULT", 403), ("ENGINE_CRASHED", 502),
                         ("ENGINE_MEMORY", 507), ("DATA_ERROR", 400)):
        for form in ("json", "csv", "ndjson", "arrow"):
            for how in (f"prepare_error = '{code}'", f"error_after = 0 AND error = '{code}'"):
                r = q(how, format=form)
                eq((status, code), (r.status, r.code), how, form, r)


@case
def errors_after_rows_are_told_in_every_format():
    for error in ("SOURCE_FAILED", "DATA_ERROR", "SOURCE_LOST"):
        where = f"rows = 200000 AND error_after = 100000 AND error = '{error}'"
        r = q(where, limit=None)
        eq((200, False, error), (r.status, r.json["success"], r.json["error"]["code"]))
        r = q(where, limit=None, format="ndjson")
        eq(error, json.loads(r.text.rstrip("\n").split("\n")[-1])["@error"]["code"])
        for form in ("csv", "arrow"):
            check(q(where, limit=None, format=form).broken, f"{form} is broken off", error)


@case
def errors_after_rows_with_a_content_coding():
    for coding in ("gzip", "zstd"):
        r = q("rows = 200000 AND error_after = 100000", limit=None, format="csv", headers={"Accept-Encoding": coding})
        check(r.broken, f"{coding} is broken off")


@case
def a_lost_connection_before_rows_is_tried_once_more():
    q("rows = 1", "fleeting")
    before = stats("fleeting")
    r = q("lost_first = 1 AND rows = 3", "fleeting")
    check(r.status in (200, 502), "typed", r)
    after = stats("fleeting")
    check(after["connects"] <= before["connects"] + 2, "no storm of connects", before, after)
    eq(200, q("rows = 1", "fleeting").status)


@case
def a_connection_that_dies_after_rows_is_not_tried_again():
    r = q("rows = 100000 AND die_after = 50000", limit=None)
    eq((200, "SOURCE_LOST"), (r.status, r.json["error"]["code"]))
    eq(200, q("rows = 1").status)


@case
def large_bodies_that_a_full_queue_refuses():
    """They are judged on a worker and handed over from there: a refusal must end nothing twice."""
    sql = "SELECT * FROM fake WHERE rows = 1 AND delay_ms = 200 AND " + " " * 20000 + "rows = 1"
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        for _ in range(3):
            got = list(pool.map(lambda _: gateway().query("narrow", sql), range(12)))
            check({r.code for r in got if r.status != 200} <= {"QUEUE_FULL"}, "typed", [r.code for r in got])
            check(any(r.status == 200 for r in got) and any(r.status != 200 for r in got), "some of both")
    pool = gateway().get("/api/v1/datasources/narrow/status").data["pool"]
    eq((0, 0, 0), (pool["active"], pool["streams"], pool["waiting"]), pool)
    eq(200, gateway().query("narrow", "SELECT * FROM fake WHERE rows = 1").status)


@case
def connect_that_hangs():
    start = time.monotonic()
    r = q("rows = 1", "slow")
    eq((503, "CONNECT_TIMEOUT"), (r.status, r.code), r)
    check(time.monotonic() - start < 1 + 2 * SLOW, "in time")


@case
def connect_that_is_refused():
    r = q("rows = 1", "refuses")
    eq((502, "SOURCE_AUTH"), (r.status, r.code), r)


@case
def idle_connections_that_died_are_replaced():
    for _ in range(5):
        eq(200, q("rows = 1", "rotten").status)


@case
def a_reset_that_fails_costs_the_connection_only():
    for _ in range(5):
        eq(200, q("rows = 1 AND dirty", "no_reset").status)


@case
def broken_connections_leave_the_pool():
    for _ in range(5):
        eq(200, q("rows = 1 AND broken", "pair").status)
    check(stats("pair")["connections"] <= 2, "bounded")


@case
def hang_ends_at_the_deadline():
    for where in ("hang", "rows = 100000 AND hang_after = 50000", "first_ms = 60000"):
        start = time.monotonic()
        r = q(where, timeout=1, limit=None)
        check("QUERY_TIMEOUT" in r.text, "told", where, r)
        check(time.monotonic() - start < 1 + 2 * SLOW, "in time", where)


@case
def a_deaf_source_cannot_hold_the_gateway():
    """Its driver ignores cancel: the deadline ends it."""
    s = gateway().start_query("pair", "SELECT * FROM fake WHERE hang AND deaf", timeout=2)
    until("it runs", lambda: gateway().running(), 5)
    s.close()
    for _ in range(5):
        eq(200, q("rows = 1").status)
    until("it has ended", lambda: not gateway().running(), 10)
    eq(200, q("rows = 1", "pair").status)


@case
def cancel_reaches_the_driver():
    before = stats("pair")["cancels"]
    s = gateway().start_query("pair", "SELECT * FROM fake WHERE hang")
    until("it runs", lambda: gateway().running(), 5)
    time.sleep(0.2)
    s.close()
    until("it has ended", lambda: not gateway().running(), 5)
    check(stats("pair")["cancels"] > before, "cancel was called")


@case
def a_finished_query_is_not_cancelled():
    """A client that closes after its answer has not left in the middle of it."""
    before = stats("pair")
    for _ in range(20):
        eq(200, q("rows = 1 AND dirty", "pair").status)
    after = stats("pair")
    eq(before["cancels"], after["cancels"])
    check(after["connects"] - before["connects"] <= 1, "connections are kept", before, after)


@case
def first_batch_leaves_at_once():
    s = gateway().start_query("fake", "SELECT * FROM fake WHERE rows = 20 AND batch = 1 AND delay_ms = 200")
    start = time.monotonic()
    first = s.recv(65536)
    took = time.monotonic() - start
    s.close()
    check(first.startswith(b"HTTP/1.1 200") and took < 1.5 * SLOW, f"first bytes after {took:.2f} s of a 4 s stream")
    until("it has ended", lambda: not gateway().running(), 5)


@case
def every_type_in_every_format():
    for form in ("json", "ndjson", "csv", "arrow"):
        for nulls in (0, 2):
            r = q(f"rows = 50 AND types = 'all' AND nulls = {nulls}", format=form)
            eq(200, r.status, form, r)
            check(not r.broken, form)


@case
def the_limit_of_the_source_truncates():
    d = q("rows = 1000", "capped", limit=None).data
    eq((100, True), (len(d["rows"]), d["metadata"]["truncated"]), d["metadata"])
    d = q("rows = 1000", "capped", limit=50).data
    eq((50, False, True), (len(d["rows"]), d["metadata"]["truncated"], d["metadata"]["hasMore"]))


@case
def the_byte_limit_of_the_source_holds():
    r = q("rows = 100000", "slim", limit=None)
    check(len(r.body) < 1000000, "cut", len(r.body))
    doc = r.json
    check(r.status == 413 or (doc.get("error") or {}).get("code") == "RESULT_TOO_LARGE" or
          doc["data"]["metadata"]["truncated"], "told", r.status)


@case
def a_result_of_zero_rows_and_of_wide_rows():
    eq([], q("rows = 0").rows)
    r = q("rows = 3 AND types = 'string' AND bytes = 3000000")
    eq((200, 3000000), (r.status, len(r.rows[0][0])))


@case
def unknown_words_are_told_with_their_place():
    r = q("rows = 1 AND nonsense = 2")
    eq((400, "SQL_ERROR"), (r.status, r.code), r)
    check((r.json["error"].get("details") or {}).get("position") is not None, "position", r)


main()
