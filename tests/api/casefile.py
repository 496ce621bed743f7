"""Cases as text that anybody can read.

cases/*.case: a request and what must come back.

	== title
	POST /api/v1/query
	X-Some-Header: value

	{"dataSource": "mem", "sql": 1}
	=> 400 BAD_VALUE sql

After the status come the error code (or -) and words the message must hold. ${NAME} is replaced from
the table the test gives.

cases/*.raw: bytes on a socket. Lines are joined without their line ends; \\r \\n \\t \\0 \\xHH are escapes.

	== title
	GET /livez HTTP/1.1\\r\\n
	Host: localhost\\r\\n\\r\\n
	=> 200

The expectation is the status lines in order (200 200), then `close` (the peer closes after them) or
`open` (it does not). "drop" means closed without an answer."""
import os
import re

from nxtest import SLOW, add_case, check, eq, gateway, read_all

HERE = os.path.dirname(os.path.abspath(__file__))


def blocks(path):
    title, lines = None, []
    with open(os.path.join(HERE, "cases", path), encoding="utf-8") as f:
        for line in f:
            line = line.rstrip("\n")
            if line.startswith("== "):
                title, lines = line[3:], []
            elif line.startswith("=> ") and title:
                yield title, lines, line[3:].split()
                title = None
            elif title is not None:
                lines.append(line)
            else:
                check(not line or line.startswith("#"), f"{path}: stray line {line!r}")
    check(title is None, f"{path}: {title} has no expectation")


def fill(text, table):
    return re.sub(r"\$\{(\w+)\}", lambda m: table[m.group(1)], text)


def run_request(lines, want, table):
    method, path = fill(lines[0], table).split(" ", 1)
    headers = {}
    at = 1
    while at < len(lines) and lines[at]:
        name, value = lines[at].split(":", 1)
        headers[name] = fill(value.strip(), table)
        at += 1
    body = fill("\n".join(lines[at + 1:]), table)
    r = gateway().call(method, path, body or None, headers)
    eq(int(want[0]), r.status, r)
    if len(want) > 1 and want[1] != "-":
        eq(want[1], r.code, r)
    for word in want[2:]:
        check(word.lower() in r.json["error"]["message"].lower(), f"the message names {word}", r)


def unescape(line):
    out = bytearray()
    data = line.encode("utf-8")
    i = 0
    while i < len(data):
        if data[i] == 0x5c and i + 1 < len(data):
            c = chr(data[i + 1])
            if c == "x":
                out.append(int(data[i + 2:i + 4], 16))
                i += 4
                continue
            out += {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}[c]
            i += 2
            continue
        out.append(data[i])
        i += 1
    return bytes(out)


def run_raw(lines, want):
    data = b"".join(unescape(line) for line in lines)
    with gateway().socket() as s:
        s.sendall(data)
        # Long enough to see an answer to a second, smuggled request.
        got, how = read_all(s, 0.4 if SLOW == 1 else 1.2, 1)
    statuses = re.findall(rb"(?:^|\r\n\r\n|[}\n])HTTP/1\.[01] (\d{3}) ", got)
    statuses = [x.decode() for x in statuses]
    wanted = [w for w in want if w.isdigit()]
    eq(wanted, statuses, data, got)
    if "close" in want or "drop" in want:
        check(how in ("closed", "reset"), "the connection is closed", data, got)
    if "open" in want:
        eq("silent", how, data, got)


def add_requests(path, table=None):
    for title, lines, want in blocks(path):
        def run(lines=lines, want=want):
            run_request(lines, want, table() if callable(table) else table or {})
        add_case(title, run)


def add_raw(path):
    for title, lines, want in blocks(path):
        def run(lines=lines, want=want):
            run_raw(lines, want)
        add_case(title, run)
