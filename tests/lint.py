#!/usr/bin/env python3
"""The lint gates. Without arguments all of them run; each is also a word to give alone.

	tests/lint.py [--fix] [gate ...]

Prints one line a gate, the findings of the failed ones, and at the end
"N passed, N failed, N skipped"."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
JOBS = os.environ.get("JOBS") or str(os.cpu_count() or 1)


class Skip(Exception):
    pass


def run(*cmd, env=None):
    """(ok, output) of a command run in the project root."""
    p = subprocess.run(cmd, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       errors="replace", env=dict(os.environ, **(env or {})))
    return p.returncode == 0, p.stdout


def tracked(*patterns):
    """Files of the project: what git knows and what is new but not ignored."""
    ok, out = run("git", "ls-files", "-co", "--exclude-standard", "--", *patterns)
    if not ok:
        raise Skip("not a git checkout")
    return sorted(f for f in set(out.split("\n")) if f and os.path.exists(os.path.join(ROOT, f)))


def need(tool):
    if not shutil.which(tool):
        raise Skip(f"{tool} is not installed")


def build_with(compiler, cxx, folder):
    need(compiler)
    build = os.path.join(ROOT, folder)
    env = {"CC": compiler, "CXX": cxx}
    if not os.path.exists(os.path.join(build, "build.ninja")):
        shutil.rmtree(build, ignore_errors=True)
        ok, out = run("meson", "setup", folder, "-Dwerror=true", "--buildtype=release", env=env)
        if not ok:
            return out
    ok, out = run("ninja", "-C", folder, "-j" + JOBS, "-k", "0", "--quiet", env=env)
    return "" if ok else complaints(out)


def complaints(text):
    """What a compiler says, with the lines that point at it, without the command lines."""
    lines = text.split("\n")
    keep = set()
    for i, line in enumerate(lines):
        if re.search(r"\b(error|undefined reference|warning)\b", line) and not line.startswith("clang "):
            keep.update(range(i, min(i + 3, len(lines))))
    return "\n".join(lines[i] for i in sorted(keep)) or tail(text, 40)


def tail(text, lines):
    return "\n".join(text.rstrip().split("\n")[-lines:])


def gate_gcc(_fix):
    """gcc, warnings are errors"""
    return build_with("gcc", "g++", "build-gcc")


def gate_clang(_fix):
    """clang, warnings are errors"""
    return build_with("clang", "clang++", "build-clang")


def gate_layers(_fix):
    """no #include points up or sideways"""
    ok, out = run("tools/check_layers.py")
    return "" if ok else out


def gate_headers(_fix):
    """each header compiles alone, those of include/nexus as C++ too"""
    need("gcc")
    _, foreign = run("pkg-config", "--cflags", "libmariadb", "libpq", "openssl", "sqlite3",
                     "libcurl", "libzstd")
    common = [*foreign.split(), "-isystem", ".cache/duckdb/include", "-D_GNU_SOURCE", "-DNX_VERSION=\"0\"", "-Iinclude", "-Isrc", "-Itests/unit",
              "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Werror", "-fsyntax-only"]
    bad = []
    with tempfile.TemporaryDirectory(prefix="nxlint") as tmp:
        for header in tracked("include/*.h", "src/*.h", "tests/*.h"):
            ways = [("c", ["gcc", "-std=gnu17"])]
            if header.startswith("include/nexus/"):
                ways.append(("cc", ["g++", "-std=c++17", "-Wno-pedantic"]))
            for suffix, compiler in ways:
                path = os.path.join(tmp, "one." + suffix)
                with open(path, "w", encoding="utf-8") as f:
                    # Twice: the include guard is part of the promise.
                    f.write(f'#include "{ROOT}/{header}"\n' * 2)
                folder = "-I" + os.path.dirname(header)
                ok, out = run(*compiler, *common, folder, path)
                if not ok:
                    bad.append(f"{header} alone as {suffix}:\n{tail(out, 8)}")
    return "\n".join(bad)


def gate_format(fix):
    """clang-format of the .c files (headers are laid out by hand)"""
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not tool:
        raise Skip("clang-format is not installed")
    _, version = run(tool, "--version")
    if "version 14." not in version:
        raise Skip(f"the style is pinned to clang-format 14, this is {version.strip()}")
    files = tracked("*.c")
    if fix:
        run(tool, "-i", *files)
        return ""
    ok, out = run(tool, "--dry-run", "-Werror", "--ferror-limit=1", *files)
    return "" if ok else "\n".join(sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", out, re.M)))) + \
        "\nrun 'make format'"


def gate_docs(fix):
    """generated pages are fresh; links, files and names in the docs exist; every folder is on the map"""
    ok, out = run("tools/gen_docs.py", *([] if fix else ["--check"]))
    bad = [] if ok else [out]
    for path in tracked("*.md"):
        bad += dead_links(path)
    return "\n".join(bad + off_the_map() + unknown_names())


def unknown_names():
    """Keys and fields (in camelCase) that a page names and nothing else knows."""
    known = []
    for path in tracked("src", "include", "console/src", "deploy", "tests", "tools", "bench"):
        if not path.endswith(".md"):
            with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
                known.append(f.read())
    words = set(re.findall(r"\w+", "\n".join(known)))
    bad = []
    for path in tracked("README.md", "NEWS.md", "docs/*.md", "src/drivers/*/README.md"):
        with open(os.path.join(ROOT, path), encoding="utf-8") as f:
            text = f.read()
        if text.startswith("<!-- Generated"):
            continue
        bad += [f"{path}: nothing knows {w}" for w in sorted(set(re.findall(r"`([a-z]+[A-Z]\w*)`", text)) - words)]
    return bad


def anchors(path):
    """The headings of a page as a link names them."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        heads = re.findall(r"^#+ +(.*)", f.read(), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


def dead_links(path):
    """Relative links, and files of ours named in backticks, that lead nowhere."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        text = f.read()
    bad = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
        if not os.path.exists(os.path.join(ROOT, target)):
            bad.append(f"{path}: {link} is not there")
        elif anchor and target.endswith(".md") and anchor not in anchors(target):
            bad.append(f"{path}: {link}: no such heading")
    for name in re.findall(r"`((?:src|tests|docs|deploy|examples|bench|fuzz|include)/[\w./-]*\w/?)`", text):
        if not os.path.exists(os.path.join(ROOT, name)):
            bad.append(f"{path}: {name} is not there")
    return bad


def off_the_map():
    """Rooms and folders that docs/internals.md does not lead to."""
    with open(os.path.join(ROOT, "docs", "internals.md"), encoding="utf-8") as f:
        text = f.read()
    folders = {"/".join(p.split("/")[:2]) for p in tracked("src/*/*")} | \
        {p.split("/")[0] for p in tracked("*/*") if not p.startswith(".")}
    return [f"docs/internals.md: {f} is not on the map" for f in sorted(folders - {"src"})
            if f"`{f}`" not in text and f"`{f}/`" not in text]


# Written so that this file does not match itself.
WORDS = [
    (re.compile(r"(?<![\w.])/(w[o]rk|r[o]ot|h[o]me/\w+)/"), "path of one machine"),
    (re.compile(r"(?<![\w}$.])/[t]mp/[A-Za-z]"), "fixed scratch path (use mktemp)"),
    (re.compile(r"registry\.[n]pmjs|[p]ypi\.org|files\.[p]ythonhosted|deb\.[d]ebian\.org|"
                r"[c]rates\.io|proxy\.[g]olang|repo1?\.[m]aven"), "package registry host"),
    (re.compile(r"^(<{7}|>{7}) ", re.M), "merge marker"),
]


def gate_words(_fix):
    """no machine paths, no registry hosts, no merge markers"""
    bad = []
    for path in tracked():
        full = os.path.join(ROOT, path)
        if os.path.islink(full) or path.endswith(("package-lock.json", ".lock")):
            continue
        with open(full, "rb") as f:
            data = f.read()
        if b"\0" in data[:4096]:
            continue
        text = data.decode("utf-8", "replace")
        for pattern, what in WORDS:
            # SQL in a corpus names paths that nothing ever opens.
            corpus = path.endswith((".refuse", ".accept", ".case")) or path.startswith("fuzz/corpus/")
            if "scratch" in what and corpus:
                continue
            for m in pattern.finditer(text):
                line = text.count("\n", 0, m.start()) + 1
                if "XXXXXX" in text[m.start():m.end() + 80].split("\n")[0]:
                    continue  # a template of mkdtemp
                bad.append(f"{path}:{line}: {what}: {m.group(0).strip()}")
    return "\n".join(bad)


def gate_size(_fix):
    """no source file over 1000 lines"""
    bad = []
    for path in tracked("*.c", "*.h", "*.cpp", "*.py"):
        with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
            lines = sum(1 for _ in f)
        if lines > 1000:
            bad.append(f"{path}: {lines} lines: is this still one idea?")
    return "\n".join(bad)


def gate_shell(_fix):
    """shell scripts parse"""
    bad = []
    for path in tracked("*.sh", ".ci/run"):
        ok, out = run("bash", "-n", path)
        if not ok:
            bad.append(out)
    return "".join(bad)


GATES = {name[5:]: fn for name, fn in list(globals().items()) if name.startswith("gate_")}
# Cheap ones first.
ORDER = ["layers", "format", "docs", "words", "size", "shell", "headers", "gcc", "clang"]


def main(args):
    fix = "--fix" in args
    wanted = [a for a in args if not a.startswith("-")] or ORDER
    for gate in wanted:
        if gate not in GATES:
            sys.exit(f"lint: no gate {gate}; there are {', '.join(ORDER)}")
    passed = failed = skipped = 0
    for name in wanted:
        about = GATES[name].__doc__
        try:
            findings = GATES[name](fix).strip()
        except Skip as why:
            skipped += 1
            print(f"SKIP lint/{name}: {why}", flush=True)
            continue
        if findings:
            failed += 1
            print(f"FAIL lint/{name}: {about}", flush=True)
            print("  " + findings.replace("\n", "\n  "), flush=True)
        else:
            passed += 1
            print(f"ok   lint/{name}: {about}", flush=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
