#!/usr/bin/env python3
"""Writes the files of the built console as a C table: tools/embed.py DIST OUT.c

Without DIST the table is empty, and the gateway says that it was built without the console. The output is only
touched when it changes."""
import gzip
import hashlib
import os
import sys

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml", ".woff2": "font/woff2", ".json": "application/json"}


def array(name, data):
    rows = (",".join(map(str, data[i:i + 32])) for i in range(0, len(data), 32))
    return f"static const unsigned char {name}[] = {{\n" + ",\n".join(rows) + "\n};\n"


def main():
    dist, out = sys.argv[1:3]
    found = sorted(os.path.relpath(os.path.join(d, f), dist) for d, _, fs in os.walk(dist) for f in fs)
    text, rows = ["#include \"gate/console.h\"\n"], []
    for n, name in enumerate(found):
        with open(os.path.join(dist, name), "rb") as f:
            data = f.read()
        packed = gzip.compress(data, 9, mtime=0)
        path = {"index.html": "/", "docs.html": "/docs"}.get(name, "/" + name)
        text += [array(f"plain_{n}", data or b"\n"), array(f"gzip_{n}", packed)]
        rows.append(f'\t{{ "{path}", "{TYPES.get(os.path.splitext(name)[1], "application/octet-stream")}", '
                    f'"\\"{hashlib.sha256(data).hexdigest()[:16]}\\"",\n\t  plain_{n}, {len(data)}, gzip_{n}, {len(packed)} }},\n')
    text.append("const struct nx_asset nx_assets[] = {\n" + "".join(rows) + "\t{ 0 },\n};\n")
    text = "".join(text)
    try:
        with open(out, encoding="utf-8") as f:
            if f.read() == text:
                return
    except FileNotFoundError:
        pass
    with open(out, "w", encoding="utf-8") as f:
        f.write(text)


main()
