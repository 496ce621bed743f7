"""The contract: /openapi.json is a valid document, and it is what every answer is held against.

Each JSON answer that any API test receives passes nxtest.check_response; here it is the checking itself that is
tested, and the document is given to somebody else's validator."""
import copy
import json
import os
import subprocess

import openapi
from nxtest import ROOT, case, check, configure, eq, gateway, main, skip
from sample import sqlite_source

configure(sources=lambda: [sqlite_source()])


def document():
    return gateway().get("/openapi.json").json


def foreign(script, value):
    """Runs Python with the validators from PyPI; its output."""
    python = os.path.join(ROOT, ".cache", "venv", "bin", "python")
    if not os.path.exists(os.path.join(ROOT, ".cache", "venv", "openapi-1")):
        skip("the validators are not there (tools/openapi-validator.sh fetches them)")
    p = subprocess.run([python, "-c", script], input=json.dumps(value), text=True, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    return p.returncode, p.stdout


@case
def the_document_is_valid():
    script = ("import json, sys\nfrom openapi_spec_validator import OpenAPIV30SpecValidator as V\n"
              "bad = [f'{list(e.absolute_path)}: {e.message[:200]}' for e in V(json.load(sys.stdin)).iter_errors()]\n"
              "print('\\n'.join(bad)); sys.exit(bool(bad))")
    eq((0, ""), tuple(x.strip() if isinstance(x, str) else x for x in foreign(script, document())))
    broken = document()
    broken["paths"]["/api/v1/queries/{id}"]["get"]["parameters"] = []  # the path's parameter is not declared
    check(foreign(script, broken)[0] != 0, "the validator looks at all")


def samples():
    """Answers of many kinds: (operation, status, body)."""
    g = gateway()
    sid = [d["id"] for d in g.get("/api/v1/datasources").data["dataSources"]][0]
    base = f"/api/v1/datasources/{sid}"
    for r in (g.query("lite", "SELECT * FROM t"), g.query("lite", "DROP TABLE t"), g.query("lite", "SELECT"), g.get("/api/v1/drivers"),
              g.get("/api/v1/datasources"), g.get(base), g.get(base + "/status"), g.get(base + "/schema?columns=true"),
              g.get("/api/v1/datasources/none"), g.get("/api/v1/stats"), g.get("/api/v1/queries"), g.get("/api/v1/query/history"),
              g.post(base + "/test"), g.get(base + "/grants"), g.get("/health"),
              g.post("/api/v1/query/validate", {"dataSource": "lite", "sql": "SELECT t.nope FROM t"}),
              g.post("/api/v1/datasources", {"name": "", "type": "nothing"}),
              g.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}), g.post("/mcp", {"jsonrpc": "2.0", "id": 1})):
        yield r.method, r.path.split("?")[0], r.status, r.json


@case
def somebody_elses_checker_agrees():
    doc = document()
    spec = openapi.Spec(doc)
    jobs = []
    for method, path, status, body in samples():
        template, op = spec.operation(method, path)
        answer = op["responses"].get(str(status)) or op["responses"]["default"]
        jobs.append([template, status, spec.resolve(answer)["content"]["application/json"]["schema"], body])
    script = ("import json, sys\nfrom openapi_schema_validator import OAS30Validator as V\n"
              "doc, jobs = json.load(sys.stdin)\n"
              "for where, status, schema, body in jobs:\n"
              "    whole = {**schema, 'components': doc['components']}\n"
              "    for e in V(whole).iter_errors(body): print(where, status, list(e.absolute_path), e.message[:200])\n")
    status, out = foreign(script, [doc, jobs])
    eq((0, ""), (status, out))


def places(value, at=()):
    """Every object inside, with its path."""
    if isinstance(value, dict):
        yield at, value
        for k, v in value.items():
            yield from places(v, at + (k,))
    elif isinstance(value, list):
        for i, v in enumerate(value[:3]):
            yield from places(v, at + (i,))


FREE = {"config", "result", "data", "from", "to"}  # objects whose members are not the contract's


@case
def an_undocumented_member_is_noticed():
    spec = openapi.Spec(document())
    tried = 0
    for method, path, status, body in samples():
        eq(None, spec.check(method, path, status, body))
        for at, _ in places(body):
            if path == "/mcp" and "result" in at or any(k in FREE and i for i, k in enumerate(at)) or "rows" in at:
                continue
            if at[-1:] == ("data",) and path == "/mcp":
                continue
            other = copy.deepcopy(body)
            target = other
            for k in at:
                target = target[k]
            target["surprise"] = 1
            check(spec.check(method, path, status, other), "noticed", path, status, at)
            tried += 1
    check(tried > 60, f"{tried} places")


@case
def wrong_types_and_missing_members_are_noticed():
    spec = openapi.Spec(document())
    body = gateway().query("lite", "SELECT 1").json
    for change in (lambda b: b["data"].pop("columns"), lambda b: b["data"]["metadata"].pop("queryId"), lambda b: b.pop("timestamp"),
                   lambda b: b["data"]["metadata"].update(rowCount="1"), lambda b: b["data"]["columns"][0].update(nullable="yes"),
                   lambda b: b["data"].update(rows=[1]), lambda b: b.update(success="true")):
        other = copy.deepcopy(body)
        change(other)
        check(spec.check("POST", "/api/v1/query", 200, other), "noticed", other)


@case
def a_code_belongs_to_its_status():
    spec = openapi.Spec(document())
    r = gateway().query("lite", "DROP TABLE t")
    eq((403, "RO_STATEMENT"), (r.status, r.code))
    eq(None, spec.check("POST", "/api/v1/query", 403, r.json))
    check(spec.check("POST", "/api/v1/query", 400, r.json), "another status")
    r.json["error"]["code"]
    other = copy.deepcopy(r.json)
    other["error"]["code"] = "SOMETHING_NEW"
    check(spec.check("POST", "/api/v1/query", 403, other), "a code that is not in the table")
    check(spec.check("POST", "/api/v1/query", 418, r.json), "a status that is not documented")


@case
def every_route_says_what_it_answers():
    doc = document()
    for path, item in doc["paths"].items():
        for method, op in item.items():
            good = [s for s in op["responses"] if s.startswith("2")]
            check(good, f"{method} {path} answers something", op["responses"].keys())
            for s in good:
                for kind, content in op["responses"][s].get("content", {}).items():
                    check(content["schema"] or kind != "application/json", f"{method} {path} {s} {kind} has a schema")


main()
