"""A second reader for dialects without an engine here: sqlglot, in the environment of tools/parsers.sh.

    second_opinion.py <corpus_list program> <corpus folder> [mutants per dialect]

Every accept line of the corpora must be one query for it, too, or stand in second_opinion.known with a reason. Of
random changes of these lines, what the gate lets pass must not be several statements or one that writes."""
import logging
import os
import random
import subprocess
import sys

import sqlglot
from sqlglot import exp

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
LISTER, FOLDER = sys.argv[1:3]
MUTANTS = int(sys.argv[3]) if len(sys.argv) > 3 else 0
DIALECTS = {"oracle": "oracle", "sqlserver": "tsql", "snowflake": "snowflake", "bigquery": "bigquery", "trino": "trino",
            "spark": "spark", "redshift": "redshift", "druid": "druid"}
QUERIES = (exp.Query, exp.Describe, exp.Show, exp.Values, exp.Paren, exp.Table)
WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter, exp.Set, exp.Copy, exp.Grant,
          exp.Transaction, exp.Commit, exp.Rollback, exp.TruncateTable, exp.Kill, exp.Use, exp.LoadData, exp.Into)
PIECES = """' " ` [ ] ( ) , ; . $$ $a$ \\ '' "" -- # /* */ ? :: := => @ : { } = U&' x' SELECT FROM WHERE INTO FOR UPDATE
UNION WITH AS VALUES TABLE DELETE INSERT DROP SET LIMIT JOIN USING IN EXISTS RETURNING EXPLAIN DESCRIBE SHOW GO
;DROP+TABLE+t --+x/**/ INTO+OUTFILE+'/x' (DELETE+FROM+t) INTO+#x /*!+DROP*/ q'[ ]' N'x' @x $1 """.split()


def listed(dialect, corpus, given=None):
    out = subprocess.run([LISTER, dialect, corpus], input=given, check=True, capture_output=True, text=True).stdout
    for row in out.splitlines():
        number, _, _, sql = row.split("\t")
        yield int(number), bytes.fromhex(sql)


def opinion(sql, name):
    """What sqlglot makes of it: "query", "several", "writes", or "error: ..."."""
    try:
        found = [s for s in sqlglot.parse(sql, read=name) if s is not None]
    except Exception as e:  # its own errors and, on odd input, others
        return "error: " + str(e).splitlines()[0][:120]
    if len(found) != 1:
        return "several" if found else "nothing"
    s = found[0]
    if isinstance(s, WRITES) or any(s.find(w) for w in WRITES if not isinstance(s, exp.Describe)):
        return "writes"
    # it does not read statements about metadata in some dialects, only recognises them
    unread = isinstance(s, exp.Command) and s.name.upper() in ("SHOW", "EXPLAIN", "DESCRIBE", "DESC")
    return "query" if unread or isinstance(s, QUERIES) else type(s).__name__


def known():
    out = {}
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "second_opinion.known"), encoding="utf-8") as f:
        for line in f:
            line = line.rstrip("\n")
            if line and not line.startswith("#"):
                dialect, _, sql = line.split("\t")
                out.setdefault(dialect, set()).add(sql)
    return out


def mutants(dialect):
    rnd = random.Random(20261121)
    seeds = [sql for corpus in ("common", dialect) for _, sql in
             listed(dialect, os.path.join(FOLDER, corpus + ".accept")) if len(sql) < 300]
    batch = []
    for _ in range(MUTANTS):
        s = bytearray(rnd.choice(seeds))
        for _ in range(rnd.choice((1, 1, 2, 3))):
            at, cut = rnd.randrange(len(s) + 1), rnd.choice((0, 0, 1, 2, 5))
            s[at:at + cut] = (rnd.choice((b"", b" ", b"\n")) + rnd.choice(PIECES).replace("+", " ").encode() +
                              rnd.choice((b"", b" ")))
        batch.append(bytes(s).hex())
    for _, sql in listed(dialect, "-", "\n".join(batch)):
        try:
            yield sql.decode()
        except UnicodeDecodeError:
            pass


def main():
    bad, expected = 0, known()
    for dialect, name in DIALECTS.items():
        count = other = passed = 0
        used = set()
        for corpus in ("common", dialect):
            for number, raw in listed(dialect, os.path.join(FOLDER, corpus + ".accept")):
                sql = raw.decode()
                if len(sql) > 5000:
                    continue
                count += 1
                said = opinion(sql, name)
                if said == "query":
                    continue
                if sql.replace("\n", "{LF}") in expected.get(dialect, ()):
                    used.add(sql.replace("\n", "{LF}"))
                    other += 1
                    continue
                bad += 1
                print(f"{dialect} {corpus}.accept:{number}: {sql[:140]!r}\n    {said}")
        for sql in () if not MUTANTS else mutants(dialect):
            passed += 1
            said = opinion(sql, name)
            if said in ("several", "writes") and sql.replace("\n", "{LF}") not in expected.get(dialect, ()):
                bad += 1
                print(f"{dialect} mutant {sql[:160]!r}\n    {said}")
        for sql in expected.get(dialect, set()) - used:
            bad += 1
            print(f"{dialect}: second_opinion.known has a line that is no difference any more: {sql[:100]!r}")
        print(f"{dialect}: {count} accept lines, {other} known differences; {passed} of {MUTANTS} mutants passed the gate")
    return bad > 0


sys.exit(main())
