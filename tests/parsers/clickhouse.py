"""The ClickHouse engine behind a pipe, for tests/corpus_live.py: runs in the environment of tools/parsers.sh.

Each line of standard input is a JSON object, each line of standard output its answer:
    {"do": "exec", "sql": ...}    runs it; {"error": null or text}
    {"do": "class", "sql": ...}   {"kind": first node of the syntax tree} when it is one statement, else {"error"}
"""
import json
import sys

from chdb import session

s = session.Session(sys.argv[1])


def quoted(sql):
    return "'" + sql.replace("\\", "\\\\").replace("'", "\\'") + "'"


def answer(q):
    try:
        if q["do"] == "exec":
            return {"error": None, "text": str(s.query(q["sql"], "TSV"))[:200]}
        # formatQuery() takes one statement and no more; only then may its text stand behind EXPLAIN AST
        s.query("SELECT formatQuery(" + quoted(q["sql"]) + ")", "TSV")
        tree = str(s.query("EXPLAIN AST " + q["sql"], "TSV"))
        return {"kind": tree.split(" ", 1)[0].split("\n", 1)[0]}
    except Exception as e:  # whatever the engine throws
        return {"error": str(e)[:400]}


print(json.dumps({"version": str(s.query("SELECT version()", "TSV")).strip()}), flush=True)
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
