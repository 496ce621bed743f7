"""Dashboards and rules: every metric in them exists with the labels they use, and PromQL parses."""
import glob
import json
import os
import re
import shutil
import subprocess

from nxtest import ROOT, Gateway, case, check, eq, main, skip
from observers import need, table, value
from sample import sqlite_source

GRAFANA = os.path.join(ROOT, "deploy", "grafana")
PROMETHEUS = os.path.join(ROOT, "deploy", "prometheus")
FROM_PROMETHEUS = {"up": ["job"]}
TARGET = {"instance", "job"}


def load_yaml(name):
    yaml = need("yaml")
    with open(os.path.join(PROMETHEUS, name), encoding="utf-8") as f:
        return yaml.safe_load(f)


def rules(name):
    return [r for g in load_yaml(name)["groups"] for r in g["rules"]]


def dashboards():
    found = sorted(glob.glob(os.path.join(GRAFANA, "*.json")))
    check(len(found) >= 3, "three dashboards", found)
    for path in found:
        with open(path, encoding="utf-8") as f:
            yield os.path.basename(path), json.load(f)


def texts():
    """(where, PromQL) of every dashboard, variable and rule."""
    for name, d in dashboards():
        for p in d["panels"]:
            for t in p["targets"]:
                # Grafana puts in durations and labels
                yield f"{name}: {p['title']}", re.sub(r"\$__(rate_interval|range)", "5m", t["expr"])
    for name in ("recording.yml", "alerts.yml"):
        for r in rules(name):
            yield f"{name}: {r.get('alert') or r['record']}", r["expr"]


def known():
    """name of a series -> its labels."""
    out = dict(FROM_PROMETHEUS)
    for name, (kind, labels) in table().items():
        if kind == "histogram":
            out[name + "_bucket"] = labels + ["le"]
            out[name + "_sum"] = out[name + "_count"] = labels
        else:
            out[name] = labels
    for r in rules("recording.yml"):
        out[r["record"]] = re.findall(r"\w+", "".join(re.findall(r"by \(([^)]*)\)", r["expr"])))
    return out


@case
def every_metric_exists_with_the_labels_that_are_asked_for():
    series = known()
    used = set()
    for where, text in texts():
        names = re.findall(r"(?<![\w\"$.])((?:nexus|process)[_:][\w:]+|up)\b(?:\{([^}]*)\})?", text)
        check(names, "asks for something", where, text)
        for name, matchers in names:
            check(name in series, f"{where}: there is no {name}", text)
            used.add(name)
            for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
                check(label in series[name] or label in TARGET, f"{where}: {name} has no label {label}", text)
        by = set(re.findall(r"\w+", " ".join(re.findall(r"\b(?:by|on) \(([^)]*)\)", text))))
        have = {l for n, _ in names for l in series[n]} | TARGET
        check(by <= have, f"{where}: by {by - have}", text)
    check(len(used) > 40, "and most metrics are shown somewhere", len(used))


@case
def promql_parses():
    modules = os.path.join(ROOT, ".cache", "promql", "node_modules")
    if not os.path.isdir(modules) or not shutil.which("node"):
        skip("the PromQL grammar is not installed (tools/observers.sh)")
    all_texts = list(texts())
    bad_twins = ["sum by (x rate(a[5m])", "rate(a[5m", "a{b=}", "histogram_quantile(0.9,, a)"]
    p = subprocess.run(["node", os.path.join(ROOT, "tools", "promql", "check.cjs"), modules],
                       input=json.dumps([t for _, t in all_texts] + bad_twins), capture_output=True, text=True,
                       timeout=60, check=False)
    eq(0, p.returncode, p.stderr)
    said = json.loads(p.stdout)
    eq([], [(w, s) for (w, _), s in zip(all_texts, said) if s])
    check(all(said[len(all_texts):]), "the grammar finds mistakes", said[len(all_texts):])


@case
def promtool_agrees():
    tool = os.path.join(ROOT, ".cache", "bin", "promtool")
    if not os.path.exists(tool):
        skip("promtool is not there (tools/observers.sh)")
    for name in ("recording.yml", "alerts.yml"):
        p = subprocess.run([tool, "check", "rules", os.path.join(PROMETHEUS, name)], capture_output=True, text=True, check=False)
        eq(0, p.returncode, p.stdout + p.stderr)
    p = subprocess.run([tool, "test", "rules", "alerts_test.yml"], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    eq(0, p.returncode, p.stdout + p.stderr)
    with open(os.path.join(PROMETHEUS, "alerts_test.yml"), encoding="utf-8") as f:
        fired = set(re.findall(r"alertname: (\w+), exp_alerts: \[\{", f.read()))
    eq({r["alert"] for r in rules("alerts.yml")}, fired)
    g = Gateway(sources=[sqlite_source()])
    g.query("lite", "SELECT 1")
    p = subprocess.run([tool, "check", "metrics"], input=g.get("/metrics").text, capture_output=True, text=True, check=False)
    eq((0, ""), (p.returncode, p.stderr.strip()))


@case
def rules_are_whole_and_each_alert_has_its_line_in_the_docs():
    with open(os.path.join(ROOT, "docs", "operations.md"), encoding="utf-8") as f:
        documented = set(re.findall(r"^\| (Nexus\w+) \|", f.read(), re.M))
    alerts = rules("alerts.yml")
    names = [r["alert"] for r in alerts]
    eq(documented, set(names))
    eq(len(set(names)), len(names))
    for r in alerts:
        check(r["labels"]["severity"] in ("page", "ticket") and r["annotations"]["summary"], "severity, summary", r)
        check(re.fullmatch(r"\d+[smh]", r.get("for", "0s")), "for", r)
    for r in rules("recording.yml"):
        check(re.fullmatch(r"nexus:\w+:\w+", r["record"]), "level:metric:operation", r)


@case
def dashboards_are_what_grafana_takes():
    seen = set()
    for name, d in dashboards():
        check(d["uid"] not in seen and d["title"].startswith("Nexus"), "a name of its own", name)
        seen.add(d["uid"])
        variables = {v["name"] for v in d["templating"]["list"]}
        text = json.dumps(d["panels"])
        eq(set(), set(re.findall(r"\$\{?([a-z]\w*)", text)) - variables, name)
        ids = [p["id"] for p in d["panels"]]
        eq(len(set(ids)), len(ids))
        taken = set()
        for p in d["panels"]:
            g = p["gridPos"]
            cells = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
            check(not cells & taken and g["x"] + g["w"] <= 24, "panels do not overlap", name, p["title"])
            taken |= cells
        for v in d["templating"]["list"]:
            if v["type"] == "query":
                metric = re.match(r"label_values\((\w+)", v["definition"]).group(1)
                check(metric in table(), f"{name}: variable {v['name']}", v["definition"])


main()
