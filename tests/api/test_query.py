"""POST /api/v1/query over SQLite: shape, formats, codings, parameters, paging, exact values."""
import csv
import io
import json
import struct

from nxtest import case, check, configure, eq, gateway, main, unpack
from sample import ROWS, sqlite_source

configure(sources=lambda: [sqlite_source()])


def q(sql, parameters=None, **kw):
    return gateway().query("lite", sql, parameters, **kw)


@case
def shape_of_an_answer():
    r = q("SELECT id, name, score FROM t ORDER BY id")
    eq(200, r.status, r)
    eq("application/json", r.header("Content-Type").split(";")[0])
    d = r.data
    eq(["id", "name", "score"], [c["name"] for c in d["columns"]])
    for c in d["columns"]:
        eq({"name", "type", "nativeType", "nullable"}, set(c), r)
    eq([[1, "one", 1.5], [2, "zw\u00f6lf", None], [3, "", -0.25]], d["rows"])
    m = d["metadata"]
    eq(3, m["rowCount"])
    eq(False, m["hasMore"])
    eq(False, m["truncated"])
    eq("sqlite", m["databaseType"])
    check(isinstance(m["executionTimeMs"], (int, float)) and m["executionTimeMs"] >= 0, "time", m)
    check(len(m["dataSourceId"]) == 36, "dataSourceId is a UUID", m)


@case
def source_by_id():
    source_id = q("SELECT 1").data["metadata"]["dataSourceId"]
    r = gateway().post("/api/v1/query", {"dataSourceId": source_id, "sql": "SELECT 7 AS n"})
    eq((200, [[7]]), (r.status, r.rows), r)


@case
def no_rows():
    d = q("SELECT id, name FROM t WHERE id < 0").data
    eq(([], 0), (d["rows"], d["metadata"]["rowCount"]))
    eq(["id", "name"], [c["name"] for c in d["columns"]])


@case
def no_rows_in_every_format():
    for form in ("json", "ndjson", "csv", "arrow"):
        r = q("SELECT id, name FROM t WHERE id < 0", format=form)
        eq(200, r.status, form)
        check(not r.broken, form)


@case
def repeated_and_empty_column_names():
    d = q('SELECT 1 AS a, 2 AS a, 3 AS ""').data
    eq(["a", "a", ""], [c["name"] for c in d["columns"]])
    eq([[1, 2, 3]], d["rows"])


# ---- parameters

@case
def parameters_of_every_kind():
    r = q("SELECT ?, ?, ?, ?, ?", [1, "two", None, True, -2.5])
    eq(200, r.status, r)
    row = r.rows[0]
    eq(["two", None, -2.5], [row[1], row[2], row[4]], r)
    check(row[0] in (1, "1") and row[3] in (True, 1, "1"), "integer and boolean", r)


@case
def parameter_text_is_never_sql():
    evil = "x' OR '1'='1'; DROP TABLE t; --"
    eq([[evil]], q("SELECT ? AS a", [evil]).rows)
    eq([], q("SELECT id FROM t WHERE name = ?", [evil]).rows)
    eq(3, len(q("SELECT id FROM t").rows))


@case
def parameter_of_20_digits_keeps_them():
    eq([["9007199254740993"]], q("SELECT CAST(? AS INTEGER)", [9007199254740993]).rows)


@case
def parameter_with_every_character():
    text = "".join(chr(c) for c in range(1, 0x250)) + "\u4e2d\u6587\U0001f600\u2028"
    eq([[text]], q("SELECT ?", [text]).rows)


@case
def question_marks_outside_placeholders():
    r = q("SELECT '?' AS a, \"id\" AS \"?\", ? AS b /* ? */ FROM t WHERE id = 1 -- ?", [5])
    eq(200, r.status, r)
    eq("?", r.rows[0][0])


@case
def hundreds_of_parameters():
    n = 500
    r = q("SELECT " + " + ".join("?" for _ in range(n)), list(range(n)))
    eq(200, r.status, r)
    eq(n * (n - 1) // 2, int(r.rows[0][0]))


# ---- paging

@case
def limit_defaults_to_1000():
    d = q("SELECT id FROM many ORDER BY id").data
    eq((1000, True), (len(d["rows"]), d["metadata"]["hasMore"]))


@case
def limit_null_means_all():
    d = q("SELECT id FROM many ORDER BY id", limit=None).data
    eq((ROWS, False), (len(d["rows"]), d["metadata"]["hasMore"]))


@case
def limit_exactly_at_the_end():
    d = q("SELECT id FROM many ORDER BY id", limit=ROWS).data
    eq((ROWS, False), (len(d["rows"]), d["metadata"]["hasMore"]))
    d = q("SELECT id FROM many ORDER BY id", limit=ROWS - 1).data
    eq((ROWS - 1, True), (len(d["rows"]), d["metadata"]["hasMore"]))


@case
def limit_zero_gives_columns_only():
    d = q("SELECT id FROM many", limit=0).data
    eq(([], True), (d["rows"], d["metadata"]["hasMore"]))
    eq("id", d["columns"][0]["name"])


@case
def offset_leaves_rows_out():
    d = q("SELECT id FROM many ORDER BY id", limit=2, offset=10).data
    eq([[11], [12]], d["rows"])
    d = q("SELECT id FROM many ORDER BY id", limit=10, offset=ROWS - 1).data
    eq(([[ROWS]], False), (d["rows"], d["metadata"]["hasMore"]))
    d = q("SELECT id FROM many ORDER BY id", offset=ROWS + 5).data
    eq(([], False), (d["rows"], d["metadata"]["hasMore"]))


@case
def the_users_own_limit_stands():
    d = q("SELECT id FROM many ORDER BY id LIMIT 3", limit=10).data
    eq(([[1], [2], [3]], False), (d["rows"], d["metadata"]["hasMore"]))


@case
def pages_put_together_are_the_whole():
    got = []
    while True:
        d = q("SELECT id FROM many ORDER BY id", limit=700, offset=len(got)).data
        got += [row[0] for row in d["rows"]]
        if not d["metadata"]["hasMore"]:
            break
    eq(list(range(1, ROWS + 1)), got)


# ---- values

@case
def integers_beyond_53_bits_are_strings():
    row = q("SELECT 9007199254740991, 9007199254740992, -9007199254740993, 9223372036854775807").rows[0]
    eq([9007199254740991, "9007199254740992", "-9007199254740993", "9223372036854775807"], row)


@case
def exact_numbers_on_request():
    r = q("SELECT 9223372036854775807, -9223372036854775808", exactNumbers=True)
    check(b"[9223372036854775807,-9223372036854775808]" in r.body.replace(b" ", b""), "digits", r)


@case
def infinity_keeps_the_answer_valid():
    r = q("SELECT 9e999, -9e999, 1.0")
    eq(["Infinity", "-Infinity", 1], [r.rows[0][0], r.rows[0][1], int(r.rows[0][2])], r)


@case
def binary_is_base64():
    eq([["AP8="], [None], [""]], q("SELECT data FROM t ORDER BY id").rows)


@case
def control_characters_and_quotes_survive():
    text = "a\"b\\c/d\b\f\n\r\t\x01\x1f\x7f\u2028</script>"
    eq([[text]], q("SELECT ?", [text]).rows)


@case
def floats_round_trip():
    for v in (0.1, 1e-300, 1.7976931348623157e308, 5e-324, 123456789.123456789):
        got = q(f"SELECT {v!r}").rows[0][0]
        eq(repr(v), repr(float(got)))


# ---- formats

@case
def format_ndjson():
    r = q("SELECT id, name FROM t ORDER BY id", format="ndjson")
    eq("application/x-ndjson", r.header("Content-Type").split(";")[0])
    check(r.body.endswith(b"\n"), "last line ends")
    lines = [json.loads(line) for line in r.text.rstrip("\n").split("\n")]
    eq([{"id": 1, "name": "one"}, {"id": 2, "name": "zw\u00f6lf"}, {"id": 3, "name": ""}], lines[:-1])
    check("@end" in lines[-1], "terminal record", lines[-1])


@case
def format_ndjson_rows_as_arrays():
    r = q("SELECT id, name FROM t ORDER BY id", format="ndjson", rowsAsArrays=True)
    eq([1, "one"], json.loads(r.text.split("\n")[0]))


@case
def format_csv():
    r = q("SELECT id, name, score, data FROM t ORDER BY id", format="csv")
    eq("text/csv", r.header("Content-Type").split(";")[0])
    lines = r.text.replace("\r\n", "\n").split("\n")
    eq("id,name,score,data", lines[0])
    eq("2,zw\u00f6lf,,", lines[2])
    check(lines[3].startswith('3,"",'), "an empty string differs from null", lines[3])


@case
def csv_quotes_what_it_must():
    text = 'a,"b"\nc'
    r = q("SELECT ? AS \"x,y\"", [text], format="csv")
    rows = list(csv.reader(io.StringIO(r.text)))
    eq([["x,y"], [text]], rows)


@case
def csv_ends_without_a_break():
    r = q("SELECT id FROM many", limit=None, format="csv")
    check(not r.broken, "whole")
    eq(ROWS + 1, len(r.text.split()))


def arrow_messages(data):
    """Lengths of the messages of an IPC stream; whether the end marker is there."""
    at, count = 0, 0
    while at + 8 <= len(data):
        marker, size = struct.unpack_from("<Ii", data, at)
        check(marker == 0xffffffff, "continuation marker", data[at:at + 16])
        at += 8
        if size == 0:
            return count, True, len(data) - at
        check(size % 8 == 0, "metadata is padded to 8", size)
        meta = data[at:at + size]
        at += size + body_length(meta)
        count += 1
    return count, False, 0


def body_length(meta):
    """Field bodyLength (slot 3) of the flatbuffer table Message."""
    table = struct.unpack_from("<I", meta, 0)[0]
    vtable = table - struct.unpack_from("<i", meta, table)[0]
    if struct.unpack_from("<H", meta, vtable)[0] < 12:
        return 0
    offset = struct.unpack_from("<H", meta, vtable + 4 + 2 * 3)[0]
    return struct.unpack_from("<q", meta, table + offset)[0] if offset else 0


@case
def format_arrow():
    r = q("SELECT id, text FROM many ORDER BY id", limit=None, format="arrow")
    eq("application/vnd.apache.arrow.stream", r.header("Content-Type").split(";")[0])
    count, ended, rest = arrow_messages(r.body)
    check(ended and rest == 0 and count >= 2, f"{count} messages, ended {ended}, {rest} bytes more")


@case
def format_by_accept():
    for accept, want in (("text/csv", "text/csv"), ("application/x-ndjson", "application/x-ndjson"),
                         ("application/json", "application/json"), ("*/*", "application/json"),
                         ("application/*", "application/json"), ("text/*", "text/csv"),
                         ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.stream"),
                         ("text/csv;q=0.5, application/x-ndjson", "application/x-ndjson"),
                         ("application/json;q=0, text/csv", "text/csv"),
                         ("image/png, */*;q=0.1", "application/json"),
                         ("TEXT/CSV", "text/csv")):
        r = q("SELECT 1 AS a", headers={"Accept": accept})
        eq((accept, 200, want), (accept, r.status, r.header("Content-Type").split(";")[0]))


@case
def format_in_the_body_beats_accept():
    r = q("SELECT 1 AS a", headers={"Accept": "text/csv"}, format="ndjson")
    eq("application/x-ndjson", r.header("Content-Type").split(";")[0])


@case
def format_in_the_query_string():
    r = gateway().post("/api/v1/query?format=csv", {"dataSource": "lite", "sql": "SELECT 1 AS a"})
    eq((200, "text/csv"), (r.status, (r.header("Content-Type") or "").split(";")[0]), r)


@case
def errors_are_json_whatever_was_asked():
    r = q("SELECT nope FROM t", headers={"Accept": "text/csv"})
    eq((400, "application/json"), (r.status, r.header("Content-Type").split(";")[0]), r)
    eq("UNDEFINED_OBJECT", r.code)


# ---- codings

@case
def gzip_on_request():
    plain = q("SELECT id, text FROM many ORDER BY id", limit=None)
    r = q("SELECT id, text FROM many ORDER BY id", limit=None, headers={"Accept-Encoding": "gzip"})
    eq("gzip", r.header("Content-Encoding"))
    check("accept-encoding" in (r.header("Vary") or "").lower(), "Vary", r.headers)
    eq(plain.rows, json.loads(unpack(r))["data"]["rows"])
    check(len(r.body) < len(plain.body), "smaller")


@case
def zstd_on_request():
    r = q("SELECT id, text FROM many ORDER BY id", limit=None, headers={"Accept-Encoding": "zstd"})
    eq("zstd", r.header("Content-Encoding"))
    eq(ROWS, len(json.loads(unpack(r))["data"]["rows"]))


@case
def coding_choice():
    for accept, want in (("identity", None), ("gzip;q=0", None), ("br", None), ("gzip, zstd", "zstd"),
                         ("zstd;q=0.1, gzip;q=0.9", "gzip"), ("*", ("gzip", "zstd", None)),
                         ("", None)):
        r = q("SELECT id, text FROM many", limit=None, headers={"Accept-Encoding": accept})
        eq(200, r.status, accept)
        got = r.header("Content-Encoding")
        check(got in want if isinstance(want, tuple) else got == want, f"{accept!r} gave {got}")


@case
def codings_of_every_format():
    for form in ("json", "ndjson", "csv", "arrow"):
        plain = q("SELECT id, text FROM many ORDER BY id", limit=None, format=form)
        for coding in ("gzip", "zstd"):
            r = q("SELECT id, text FROM many ORDER BY id", limit=None, format=form,
                  headers={"Accept-Encoding": coding})
            eq(coding, r.header("Content-Encoding"), form)
            body = unpack(r)
            if form in ("csv", "arrow"):
                eq(plain.body, body, form, coding)
            else:
                eq(plain.body[:20000], body[:20000], form, coding)


# ---- validate

def validate(sql, **kw):
    return gateway().post("/api/v1/query/validate", {"dataSource": "lite", "sql": sql, **kw})


@case
def validate_a_good_query():
    r = validate("SELECT a.id FROM t AS a JOIN many AS b ON a.id = b.id")
    eq(200, r.status, r)
    d = r.data
    eq((True, [], "sqlite"), (d["valid"], d["errors"], d["dialect"]), r)
    check("many" in json.dumps(d["tables"]) and '"t"' in json.dumps(d["tables"]), "tables", d)


@case
def validate_a_bad_query():
    for sql, code in (("DELETE FROM t", "RO_STATEMENT"), ("SELECT 1; SELECT 2", "RO_MULTI"),
                      ("", "EMPTY_QUERY"), ("SELECT 'x", "RO_UNTERMINATED")):
        r = validate(sql)
        eq((200, False), (r.status, r.data["valid"]), r)
        eq(code, r.data["errors"][0]["code"], r)


@case
def validate_counts_parameters():
    eq(True, validate("SELECT ?", parameters=[1]).data["valid"])
    eq(False, validate("SELECT ?", parameters=[1, 2]).data["valid"])


@case
def validate_takes_no_connection():
    g = gateway()
    r = g.post("/api/v1/datasources", {"name": "dead", "type": "postgresql", "skipTest": True, "config": {
        "host": "127.0.0.1", "port": 1, "username": "u", "password": "p", "database": "d"}})
    eq(201, r.status, r)
    r = g.post("/api/v1/query/validate", {"dataSource": "dead", "sql": "SELECT * FROM s.t"})
    eq((200, True), (r.status, r.data["valid"]), r)


# ---- the queries list

@case
def a_finished_query_can_be_shown():
    r = q("SELECT 1")
    qid = r.data["metadata"].get("queryId") or r.header("X-Query-ID")
    check(qid, "the answer names its query id", r)
    shown = gateway().get(f"/api/v1/queries/{qid}")
    eq(200, shown.status, shown)


main()
