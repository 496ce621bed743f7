#!/usr/bin/env python3
"""Writes src/sql/policy/postgresql_catalog.h from the catalog of a live PostgreSQL 15.

	tests/servers/postgres.sh run tools/pg_functions.py build/src/sql/gate_try [--check]

The functions that PostgreSQL itself brings (owner: the bootstrap superuser, language internal or sql) and calls
immutable or stable in every overload, but for those that a rule of the gate refuses. With --check nothing is
written: fails when the file is stale, or when a volatile function is neither refused nor reviewed."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGET = os.path.join(ROOT, "src/sql/policy/postgresql_catalog.h")
REVIEWED = os.path.join(ROOT, "src/sql/policy/postgresql_volatile.txt")
NAMES = """SELECT proname FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^[a-z_][a-z0-9_]*$'
  AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
GROUP BY proname HAVING {} ORDER BY 1"""
CALM = "bool_and(provolatile IN ('i', 's') AND proowner = 10 AND lanname IN ('internal', 'sql'))"
VOLATILE = "bool_or(provolatile = 'v')"


def psql(condition):
    env = dict(os.environ, PGPASSWORD=os.environ["NX_PG_PASSWORD"])
    out = subprocess.run(["psql", "-X", "-A", "-t", "-h", os.environ["NX_PG_HOST"], "-p", os.environ["NX_PG_PORT"],
                          "-U", os.environ["NX_PG_USER"], "-d", "postgres", "-c", NAMES.format(condition)],
                         env=env, check=True, capture_output=True, text=True).stdout
    return out.split()


def refused(names):
    """Those that the gate's rules refuse, whatever their arguments."""
    out = subprocess.run([sys.argv[1], "postgresql"], input="".join(f"SELECT {n}(1)\n" for n in names), check=False,
                         capture_output=True, text=True).stdout.splitlines()  # its status is that of the last
    return {sql.split()[1][:-3] for sql, verdict in zip(out[::2], out[1::2]) if "RO_FUNCTION" in verdict}


def pure():
    """Names that postgresql.c calls pure, which says more."""
    with open(os.path.join(ROOT, "src/sql/policy/postgresql.c"), encoding="utf-8") as f:
        rows = f.read().split("nx_fn_postgresql[]")[1].split("nx_fn_redshift")[0].split("NX_FN_PURE")[1:]
    return {n for r in rows for text in re.findall(r'"([^"]*)"', r.split("}")[0]) for n in text.split()}


def page(names):
    """Rows of the policy; a string of ISO C holds 4095 bytes at most."""
    rows, lines, size = [], [""], 0
    for n in names:
        if size + len(n) > 3900:
            rows.append(lines)
            lines, size = [""], 0
        if len(lines[-1]) + len(n) > 76:
            lines.append("")
        lines[-1] += n + " "
        size += len(n) + 1
    rows.append(lines)
    return ("/* Written by tools/pg_functions.py from the catalog of PostgreSQL 15: what it brings itself, calls immutable\n"
            " * or stable, and no rule refuses. */\n#define NX_PG_CATALOG \\\n" +
            ", \\\n".join("\t{ NX_FN_READ, \\\n" + " \\\n".join(f'\t  "{x}"' for x in r) + " }" for r in rows) + "\n")


def main():
    calm = psql(CALM)
    no = refused(calm) | pure()
    text = page([n for n in calm if n not in no])
    if "--check" not in sys.argv:
        with open(TARGET, "w", encoding="utf-8") as f:
            f.write(text)
        return 0
    bad = 0
    with open(TARGET, encoding="utf-8") as f:
        if f.read() != text:
            print("postgresql_catalog.h is stale: run tools/pg_functions.py")
            bad = 1
    with open(REVIEWED, encoding="utf-8") as f:
        reviewed = {line.split()[0] for line in f if line.strip() and not line.startswith("#")}
    volatile = psql(VOLATILE)
    left = set(volatile) - refused(volatile)
    for n in sorted(left - reviewed):
        print(f"{n} is volatile, no rule refuses it, and nobody has reviewed it (postgresql_volatile.txt)")
        bad = 1
    for n in sorted(reviewed - left):
        print(f"{n} stands in postgresql_volatile.txt and is refused, not volatile, or gone")
        bad = 1
    print(f"{len(volatile)} volatile functions: {len(volatile) - len(left)} refused, {len(left & reviewed)} reviewed; "
          f"{len(calm)} immutable or stable ones")
    return bad


sys.exit(main())
