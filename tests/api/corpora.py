"""The corpora of the SQL gate, read as src/sql/corpus/README.md says."""
import os
import re

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "sql", "corpus")


def expand(text):
    """The corpus format's {LF} and so on; bytes."""
    def one(m):
        word = m.group(1)
        big = re.match(r"BIG:(\d+):(.*)$", word)
        fixed = {"LF": b"\n", "CR": b"\r", "TAB": b"\t", "SPACES": b"    "}
        if word in fixed:
            return fixed[word]
        if word.startswith("0x"):
            return bytes([int(word, 16)])
        return big.group(2).encode() * int(big.group(1))
    out, at = b"", 0
    for m in re.finditer(r"\{(LF|CR|TAB|SPACES|0x[0-9A-Fa-f]{2}|BIG:\d+:[^}]*)\}", text):
        out += text[at:m.start()].encode() + one(m)
        at = m.end()
    return out + text[at:].encode()


def lines(dialect, kind):
    """(where, section, code or None, SQL as text) of the dialect's corpus and the common one."""
    for name in ("common", dialect):
        path = os.path.join(CORPUS, f"{name}.{kind}")
        section = "plain"
        with open(path, encoding="utf-8") as f:
            for n, line in enumerate(f, 1):
                line = line.rstrip("\n")
                if not line or line.startswith("#"):
                    continue
                m = re.match(r"\[(plain|metadata|paths|builtin|file|no server)\]", line)
                if m:
                    section = m.group(1)
                    continue
                code, sql = None, line
                if kind == "refuse":
                    code, _, sql = line.partition(" ")
                data = expand(sql.lstrip(" ") if code else sql)
                try:
                    yield f"{name}.{kind}:{n}", section, code, data.decode("utf-8")
                except UnicodeDecodeError:
                    pass  # cannot stand in a JSON text; the unit test has it
