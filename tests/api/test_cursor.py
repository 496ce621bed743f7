"""POST /api/v1/fetch: a result in batches, each of which can be read again after a lost response."""
import time

import servers
from nxtest import SLOW, Gateway, case, check, configure, eq, gateway, main, until
from sample import ROWS, sqlite_source

configure({"query": {"cursorTtl": 2 * SLOW, "maxCursors": 5}},
          sources=lambda: [sqlite_source(), servers.postgres().source("pg")])


def fetch(sql="SELECT id, text FROM many ORDER BY id", source="lite", **kw):
    return gateway().post("/api/v1/fetch", {"dataSource": source, "sql": sql, **kw})


def next_uri(r):
    doc = r.json
    return doc["data"].get("nextUri") or doc.get("nextUri")


def batch(r):
    """Rows of a batch: `rows`, or `entries` as the first documents called them."""
    d = r.data
    return d.get("rows", d.get("entries"))


def path(uri):
    return uri[uri.index("/api/"):]


@case
def a_cursor_gives_all_rows_once():
    r = fetch(batchSize=700)
    eq(200, r.status, r)
    got = [row[0] for row in batch(r)]
    eq(700, len(got))
    n = 1
    while next_uri(r):
        r = gateway().get(path(next_uri(r)))
        eq(200, r.status, r)
        got += [row[0] for row in batch(r)]
        n += 1
    eq(list(range(1, ROWS + 1)), got)
    check(n in (4, 5), f"{n} batches of 700")


@case
def a_batch_can_be_read_again():
    r = fetch(batchSize=100)
    uri = path(next_uri(r))
    a = gateway().get(uri)
    b = gateway().get(uri)
    eq(batch(a), batch(b))
    eq(next_uri(a), next_uri(b))
    eq(101, batch(a)[0][0])
    c = gateway().get(path(next_uri(a)))
    eq(201, batch(c)[0][0])
    old = gateway().get(uri)
    check(old.status in (404, 409, 410), "a batch that was passed is gone", old)
    gateway().delete(path(next_uri(c)))


@case
def batch_size_of_the_next_batch():
    r = fetch(batchSize=10)
    r = gateway().get(path(next_uri(r)) + "?batch_size=25")
    eq((200, 25), (r.status, len(batch(r))), r)
    gateway().delete(path(next_uri(r)))


@case
def old_spelling_batch_size():
    r = fetch(batch_size=10)
    eq((200, 10), (r.status, len(batch(r))), r)
    gateway().delete(path(next_uri(r)))


@case
def close_frees_the_cursor():
    uri = path(next_uri(fetch(batchSize=10)))
    eq(204, gateway().delete(uri).status)
    r = gateway().get(uri)
    eq((404, "CURSOR_NOT_FOUND"), (r.status, r.code), r)
    eq(404, gateway().delete(uri).status)


@case
def a_forged_token_finds_nothing():
    uri = path(next_uri(fetch(batchSize=10)))
    last = uri[-1]
    for bad in (uri[:-1] + ("A" if last != "A" else "B"), uri + "x", uri[:-5], uri.rsplit("/", 1)[0] + "/",
                uri.rsplit("/", 1)[0] + "/" + "A" * 43):
        r = gateway().get(bad)
        check(r.status in (404, 401, 403), "refused", bad, r)
    eq(200, gateway().get(uri).status)
    gateway().delete(uri)


@case
def a_small_result_needs_no_cursor():
    r = fetch("SELECT id FROM t ORDER BY id", batchSize=10)
    eq((200, 3), (r.status, len(batch(r))), r)
    check(not next_uri(r), "no nextUri", r)


@case
def a_result_of_exactly_one_batch():
    r = fetch("SELECT id FROM t ORDER BY id", batchSize=3)
    rows = batch(r)
    if next_uri(r):
        r = gateway().get(path(next_uri(r)))
        eq((200, []), (r.status, batch(r)), r)
        check(not next_uri(r), "then it ends", r)
    eq([[1], [2], [3]], rows)


@case
def a_cursor_expires():
    uri = path(next_uri(fetch(batchSize=10)))
    until("it has expired", lambda: gateway().get(uri).status == 404 if wait(3) else None, 10)


def wait(seconds):
    time.sleep(seconds * SLOW)
    return True


@case
def cursors_are_bounded():
    uris = []
    refused = None
    for _ in range(8):
        r = fetch(batchSize=10)
        if r.status == 200:
            uris.append(path(next_uri(r)))
        else:
            refused = r
            break
    check(refused is not None and refused.status in (429, 503), "a cursor too many is refused", refused)
    for uri in uris:
        gateway().delete(uri)
    r = fetch(batchSize=10)
    eq(200, r.status, r)
    gateway().delete(path(next_uri(r)))


@case
def errors_are_those_of_a_query():
    eq((403, "RO_STATEMENT"), (fetch("DELETE FROM t").status, fetch("DELETE FROM t").code))
    eq(400, fetch("SELECT nope FROM t").status)
    eq(400, fetch(batchSize=0).status)
    eq(400, fetch(batchSize="x").status)


@case
def a_cursor_over_a_server_holds_no_pool_connection_for_others():
    r = fetch("SELECT x FROM generate_series(1, 1000000) AS s(x)", "pg", batchSize=1000)
    eq(200, r.status, r)
    for _ in range(12):
        eq(200, gateway().query("pg", "SELECT 1").status)
    uri = path(next_uri(r))
    r = gateway().get(uri)
    eq(1001, int(batch(r)[0][0]))
    eq(204, gateway().delete(path(next_uri(r))).status)
    until("nothing runs at the server", lambda: not servers.postgres().active("generate_series(1, 1000000)"), 5)


@case
def too_many_cursors_are_refused_before_an_address_is_given():
    opened = [fetch(batchSize=10) for _ in range(8)]
    for r in opened:
        check((r.status, r.code) in ((200, None), (503, "OVERLOADED"), (503, "QUEUE_FULL"), (429, "QUEUE_FULL")), "typed", r)
    good = [path(next_uri(r)) for r in opened if r.status == 200]
    check(len(good) <= 5, "maxCursors", len(good))
    for uri in good:
        eq(200, gateway().get(uri).status)
        gateway().delete(uri)
    for _ in range(8):  # results of one batch hold none
        eq(200, fetch("SELECT id FROM t ORDER BY id", batchSize=10).status)
    r = fetch(batchSize=10)
    eq(200, r.status, r)
    gateway().delete(path(next_uri(r)))


@case
def the_next_batch_may_be_asked_for_at_once():
    """On another connection, while the worker that sent the last one is still putting the cursor back."""
    for _ in range(20):
        r = fetch(batchSize=100)
        for _ in range(10):
            r = gateway().get(path(next_uri(r)))
            eq(200, r.status, r)
        gateway().delete(path(next_uri(r)))


@case
def shutdown_with_open_cursors():
    g = Gateway(sources=[servers.postgres().source("pg")])
    g.post("/api/v1/fetch", {"dataSource": "pg", "sql": "SELECT x FROM generate_series(1, 900001) AS s(x)",
                             "batchSize": 10})
    eq(0, g.stop())
    until("nothing is left at the server", lambda: not servers.postgres().active("900001"), 5)
    g.close()


main()
