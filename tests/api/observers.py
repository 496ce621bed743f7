"""The official readers of metrics and traces, from .cache/venv (tools/observers.sh), and the table of
metrics in the source."""
import glob
import os
import re
import sys

from nxtest import ROOT, skip


def need(module):
    """Imports a module of .cache/venv; skips the case when it is not there."""
    for path in glob.glob(os.path.join(ROOT, ".cache/venv/lib/python3*/site-packages")):
        if path not in sys.path:
            sys.path.append(path)
    try:
        return __import__(module, fromlist=["x"])
    except ImportError as e:
        return skip(f"{module} is not installed (tools/observers.sh): {e}")


def table():
    """name -> (kind, label names) of src/stats/metrics.def."""
    with open(os.path.join(ROOT, "src/stats/metrics.def"), encoding="utf-8") as f:
        text = f.read()
    rows = re.findall(r'^NX_METRIC\(\w+, "(\w+)", (\w+), "([^"]*)", "(.*)"\)$', text, re.M)
    return {name: (kind.lower(), labels.split()) for name, kind, labels, _ in rows}


def families(text):
    """The official parser's view: a list of families."""
    parser = need("prometheus_client.parser")
    return list(parser.text_string_to_metric_families(text))


def values(text):
    """{(sample name, sorted labels)} -> value; each series once."""
    out = {}
    for family in families(text):
        for s in family.samples:
            key = (s.name, tuple(sorted(s.labels.items())))
            assert key not in out, f"twice: {key}"
            out[key] = s.value
    return out


def value(text, name, **labels):
    """The sum of the series of that name whose labels are as asked."""
    return sum(v for (n, have), v in values(text).items()
               if n == name and all(dict(have).get(k) == w for k, w in labels.items()))
