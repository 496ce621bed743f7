#!/usr/bin/env python3
"""What the layers behind the gate stop when the gate is off: docs/proof.md, second table.

	tests/layers.py FOLDER_OF_A_BUILD_WITHOUT_LAYER_A     (meson setup FOLDER -Dlayer_a=false)

Sends every refuse line of the corpora with a login that may do anything and with one that may only read, to
scratch servers of its own, and looks after each line whether the engine has changed. Prints Markdown."""
import collections
import os
import sys

BUILD = os.path.abspath(sys.argv.pop())
os.environ["NEXUS_TEST_BUILD"] = BUILD
os.environ["NX_PROOF_IMPORT"] = "1"
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "api"))
import nxtest
import test_proof as proof

BY = {"RO_NO_RESULT": "describe", "RO_SERVER": "server", "SOURCE_PERMISSION": "grants"}
COLUMNS = ("describe", "server", "grants", "not this engine's SQL", "ran, nothing changed", "**changed**")


def run(engine, who):
    count, changed = collections.Counter(), []
    gw = engine.gateway()
    before = engine.state()
    for where, section, code, sql in proof.lines(engine.dialect, "refuse"):
        if section not in proof.SOURCE_OF or len(sql) > 5000:
            continue
        r = gw.query(f"{who}_plain", sql, timeout=2)
        after = engine.state()
        if after != before:
            changed.append(f"`{sql[:100]}`")
            count["**changed**"] += 1
            before = after
        elif r.status == 200:
            count["ran, nothing changed"] += 1
        else:
            count[BY.get(r.code, "not this engine's SQL")] += 1
    return count, changed


def main():
    print("| engine | login | " + " | ".join(COLUMNS) + " |")
    print("|---|---|" + "---|" * len(COLUMNS))
    notes = []
    for cls in (proof.Postgres, proof.Mariadb, proof.Sqlite, proof.Duckdb):
        engine = cls()
        for who in ("root", "reader"):
            if who == "reader" and not getattr(cls, "logins", False):
                continue
            count, changed = run(engine, who)
            name = "any right" if who == "root" else "read only"
            print(f"| {cls.kind} | {name} | " + " | ".join(str(count[c]) for c in COLUMNS) + " |", flush=True)
            if changed:
                notes.append(f"- {cls.kind}, {name}: " + ", ".join(changed))
    print()
    print("\n".join(notes))


try:
    main()
finally:
    while nxtest.closers:
        nxtest.closers.pop()()
