#!/usr/bin/env python3
"""arrow_check.py SAMPLE_PROGRAM: reads its stream with pyarrow and compares every type and value."""
import subprocess
import sys

try:
    import pyarrow as pa
except ImportError:
    print("1..0 # SKIP pyarrow is not installed for " + sys.executable)
    sys.exit(0)
import decimal
import datetime as dt

D = decimal.Decimal
U = dt.timezone.utc
WANT = [
    ("null", "null", None),
    ("bool", "bool", True),
    ("int8", "int8", -8),
    ("int16", "int16", -16),
    ("int32", "int32", -32),
    ("int64", "int64", -(2**63)),
    ("uint8", "uint8", 8),
    ("uint16", "uint16", 16),
    ("uint32", "uint32", 32),
    ("uint64", "uint64", 2**64 - 1),
    ("float32", "float", 0.10000000149011612),
    ("float64", "double", 0.1),
    ("decimal64", "decimal128(10, 2)", D("-123.45")),
    ("decimal128", "decimal128(38, 9)", D(1000000007**3).scaleb(-9)),
    ("date", "date32[day]", dt.date(2000, 2, 29)),
    ("time_us", "time64[us]", dt.time(23, 59, 59, 999999)),
    ("time_s", "time64[us]", dt.time(23, 59, 59)),
    ("timestamp_s", "timestamp[s]", dt.datetime(1970, 1, 1, 23, 59, 59)),
    ("timestamp_ns", "timestamp[ns]", 951782400123456789),
    ("timestamptz_us", "timestamp[us, tz=UTC]", dt.datetime(1970, 1, 1, 23, 59, 59, 999999, U)),
    ("interval", "month_day_nano_interval", (14, 3, -1500000000)),
    ("view", "string", "数"),
    ("binary_view", "binary", "数".encode()),
    ("list", "list<item: int32>", [1, 2, 3]),
    ("struct", "struct<key: string, value: int32>", {"key": "a", "value": 1}),
    ("map", "map<string, int32>", [("a", 1), ("b", None)]),
    ("t_decimal", "decimal128(20, 4)", D("-1234567890123456.7800")),
    ("t_numeric", "string", "123456789012345678901234567890123456789012345678901234567890.5"),
    ("t_bool", "bool", True),
    ("t_int8", "int8", -8),
    ("t_uint64", "uint64", 2**64 - 1),
    ("t_float32", "float", 0.10000000149011612),
    ("t_float64", "double", float("-inf")),
    ("t_date", "date32[day]", dt.date(2000, 2, 29)),
    ("t_time", "time64[us]", dt.time(23, 59, 59, 999999)),
    ("t_timetz", "string", "12:00:00+05:30"),
    ("t_timestamp", "timestamp[us]", dt.datetime(2000, 2, 29, 0, 0, 0, 123456)),
    ("t_timestamptz", "timestamp[us, tz=UTC]", dt.datetime(2000, 2, 29, 0, 0, 0, 500000, U)),
    ("t_interval", "month_day_nano_interval", (14, 3, -1500000000)),
    ("t_string", "string", "bad \ufffd utf-8"),
    ("t_binary", "binary", b"bin\xff"),
    ("t_uuid", "string", "123e4567-e89b-12d3-a456-426614174000"),
    ("t_json", "json", '{"a": 1}'),
    ("t_list", "string", "[1,2]"),
    ("t_struct", "string", '{"a":1}'),
    ("t_map", "string", "[[1,2]]"),
]
NOT_NULL = {"int32": 0, "struct": {"key": "b", "value": None}}


def plain(column, i):
    value = column[i]
    if str(column.type) == "timestamp[ns]":
        return value.value
    value = value.as_py()
    return tuple(value) if value.__class__.__name__ == "MonthDayNano" else value


stream = subprocess.run([sys.argv[1]], check=True, stdout=subprocess.PIPE).stdout
table = pa.ipc.open_stream(stream).read_all()
table.validate(full=True)
print("1..%d" % (len(WANT) + 1))
print("%s 1 three rows, all columns" % ("ok" if table.shape == (3, len(WANT)) else "not ok"))
failed = table.shape != (3, len(WANT))
for n, (name, kind, value) in enumerate(WANT):
    field, column = table.schema.field(n), table.column(n)
    problems = []
    if field.name != name:
        problems.append("name %r" % field.name)
    text = str(field.type)
    if name == "map":
        text = "map<%s, %s>" % (field.type.key_type, field.type.item_type)
    if name == "t_json" and "json" in text:
        text = "json"
    if text != kind:
        problems.append("type %s" % text)
    meta = field.metadata or {}
    if not meta.get(b"nexus.type") or meta.get(b"nexus.native") != b"src":
        problems.append("metadata %r" % meta)
    null = NOT_NULL.get(name)
    got = [plain(column, i) for i in range(3)]
    if got[0] != value or got[1:] != [null, null]:
        problems.append("values %r" % got)
    print("%s %d %s %s" % ("not ok" if problems else "ok", n + 2, name, kind))
    for p in problems:
        print("# " + p)
    failed = failed or bool(problems)
sys.exit(1 if failed else 0)
