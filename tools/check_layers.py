#!/usr/bin/env python3
"""Fails when an #include points up or sideways.

The table is the room plan of the house: what a room may include besides itself and include/nexus.
Unit tests (*_test.c) and fuzz targets may include anything; headers may not."""
import os
import re
import sys

BASE = {"base"}
STORE = BASE | {"store"}
ALL = None  # no restriction

ROOMS = {
    "base": set(),
    "http": BASE,
    "sql": BASE,
    "store": BASE,
    "encode": BASE,
    "outbound": BASE,
    "secrets": BASE | {"outbound"},
    "tokens": STORE | {"outbound"},
    "auth": STORE | {"outbound"},
    "catalog": STORE | {"outbound", "secrets", "tokens"},
    "stats": STORE | {"outbound"},
    "exec": BASE | {"catalog"},
    "storage": BASE,
    "formats": BASE | {"storage"},
    "tables": BASE | {"storage", "formats"},
    # The engine's workers encode rows themselves, with the same encoders.
    "engine": BASE | {"encode", "storage", "formats", "tables"},
    "jobs": STORE | {"catalog", "engine"},
    "gate": ALL,
    "cli": ALL,
}
# A driver sees include/nexus, its own folder and its client library; nothing of ours else.
# The duckdb driver speaks to its engine's workers through that room's one header.
DRIVER_EXTRA = {"duckdb": {"engine"}}

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def room_of(path):
    """src/base/x.c -> base; src/drivers/postgresql/x.c -> drivers/postgresql."""
    parts = path.split("/")
    if parts[0] == "include":
        return "include"
    if len(parts) > 3 and parts[1] == "drivers":
        return "drivers/" + parts[2]
    return parts[1] if len(parts) > 2 else ""


def allowed(room, target):
    if target in ("include", room):
        return True
    if room == "include":
        return False
    if room.startswith("drivers/"):
        return target in DRIVER_EXTRA.get(room.split("/")[1], set())
    # src/drivers/*.c: the list of drivers, part of the catalog's knowledge.
    if room == "drivers":
        return target.startswith("drivers/")
    if room == "catalog" and target == "drivers":
        return True
    if room not in ROOMS:
        return False
    return ROOMS[room] is ALL or target in ROOMS[room]


def resolve(root, path, name):
    """The file an include means, relative to the root; None: a generated or foreign header."""
    for base in (os.path.dirname(path), "include", "src", "."):
        candidate = os.path.normpath(os.path.join(base, name))
        if os.path.exists(os.path.join(root, candidate)):
            return candidate
    return None


def check_file(root, path):
    bad = []
    room = room_of(path)
    if room and room not in ROOMS and room not in ("include", "drivers") \
            and not room.startswith("drivers/"):
        return [f"{path}: src/{room}/ is not in the room table of tools/check_layers.py"]
    with open(os.path.join(root, path), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            m = INCLUDE.match(line)
            if not m:
                continue
            target = resolve(root, path, m.group(1))
            if target is None or not target.startswith(("src/", "include/")):
                continue
            if not allowed(room, room_of(target)):
                bad.append(f"{path}:{number}: {room} may not include {m.group(1)}")
    return bad


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    bad = []
    count = 0
    for top in ("include", "src"):
        for folder, _, files in os.walk(os.path.join(root, top)):
            for name in sorted(files):
                if not name.endswith((".c", ".h", ".cpp", ".hpp", ".def")):
                    continue
                if name.endswith("_test.c") or "/test" in folder:
                    continue
                count += 1
                bad += check_file(root, os.path.relpath(os.path.join(folder, name), root))
    for line in bad:
        print(line)
    print(f"layers: {count} files, {len(bad)} wrong includes")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
