#!/usr/bin/env python3
"""Runs the tests and prints "N passed, N failed, N skipped" as its last line.

	tests/run.py [--sanitize asan|tsan] [--no-build] [--jobs N] [--list] [word ...]

Words choose suites (unit, conformance, fuzz, api, ...) or single tests by a part of their name; none
means all. A test is a program that Meson knows or a script tests/api/test_*.py. All speak TAP; one
that does not counts as one case by its exit status.

Everything a test makes goes below one scratch directory that is removed at the end. A test that runs
over its time is killed with all it started; what is still running after the last test is killed too
and counts as a failure."""
import argparse
import collections
import concurrent.futures
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
API_SECONDS = 300
VENV = os.path.join(ROOT, ".cache/venv/bin/python")  # of tools/pyarrow.sh
if os.path.exists(VENV):
    os.environ.setdefault("NX_PYTHON", VENV)
SANITIZERS = {
    # build directory suffix: meson options, environment, slowdown
    "asan": (["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1"],
             {"ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
              "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}, 4),
    "tsan": (["-Db_sanitize=thread", "-Db_lundef=false", "-Doptimization=1"],
             {"TSAN_OPTIONS": "second_deadlock_stack=1:exitcode=66:suppressions=" +
              os.path.join(ROOT, "tests", "tsan.supp")}, 8),
}

Case = collections.namedtuple("Case", "ok name skip")
Test = collections.namedtuple("Test", "suite name cmd env cwd seconds tap alone")


class Result:
    """What one test program said."""

    def __init__(self, test):
        self.test = test
        self.cases = []
        self.problem = ""
        self.output = ""
        self.took = 0.0

    def count(self):
        skipped = sum(1 for c in self.cases if c.skip is not None)
        failed = sum(1 for c in self.cases if not c.ok and c.skip is None)
        return len(self.cases) - skipped - failed, failed + bool(self.problem), skipped


def parse_tap(result, text):
    """TAP 12/13: "ok 1 name # SKIP why". A "# SKIP why" line before it gives the reason, too."""
    plan = None
    why = ""
    for line in text.split("\n"):
        m = re.match(r"(not )?ok\b\s*(\d*)\s*-?\s*(.*)$", line)
        if m:
            name, _, directive = m.group(3).partition("#")
            word = re.match(r"\s*(SKIP|TODO)\S*\s*(.*)", directive, re.I)
            skip = None
            if word and word.group(1).upper() == "SKIP":
                skip = word.group(2).strip() or why or "no reason given"
            result.cases.append(Case(not m.group(1), name.strip(), skip))
            why = ""
            continue
        m = re.match(r"1\.\.(\d+)\s*(?:#\s*SKIP\S*\s*(.*))?$", line, re.I)
        if m:
            plan = int(m.group(1))
            if plan == 0:
                result.cases.append(Case(True, "(all)", m.group(2) or why or "no reason given"))
                plan = 1
            continue
        m = re.match(r"#\s*SKIP\S*\s+(.*)", line, re.I)
        if m:
            why = m.group(1).strip()
        if line.startswith("Bail out!"):
            result.problem = line
    if result.problem:
        return
    if plan is None:
        result.problem = "no TAP plan: the test ended too early"
    elif plan != len(result.cases):
        result.problem = f"planned {plan} cases, ran {len(result.cases)}"


running = set()  # process groups of tests
starting = threading.Lock()  # held while a test starts: the reaper must know it as ours


def stop(signum, _frame):
    """Interrupted: end what runs; the clean-up in main() does the rest."""
    for pid in list(running):
        kill_group(pid)
    sys.exit(128 + signum)


def kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run_test(test, scratch, slow, prefix):
    result = Result(test)
    start = time.monotonic()
    env = dict(os.environ, **test.env, TMPDIR=scratch, NEXUS_TEST_SLOW=str(slow))
    with starting:
        p = subprocess.Popen(prefix + test.cmd, cwd=test.cwd, env=env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        running.add(p.pid)
    timer = threading.Timer(test.seconds * slow, kill_group, [p.pid])
    timer.start()
    try:
        data, _ = p.communicate()
    finally:
        running.discard(p.pid)
        overdue = not timer.is_alive()
        timer.cancel()
    result.took = time.monotonic() - start
    result.output = data.decode("utf-8", "replace")
    if overdue:
        result.problem = f"killed after {test.seconds * slow} s"
    elif not test.tap:
        if p.returncode == 77:
            reason = re.findall(r"SKIP\S*\s+(.*)", result.output)
            result.cases.append(Case(True, test.name, reason[-1] if reason else "exit status 77"))
        else:
            result.cases.append(Case(p.returncode == 0, test.name, None))
    else:
        parse_tap(result, result.output)
        if p.returncode != 0 and not result.problem and all(c.ok for c in result.cases):
            how = f"signal {-p.returncode}" if p.returncode < 0 else f"status {p.returncode}"
            result.problem = f"every case passed but the program ended with {how}"
    return result


def meson_tests(build):
    out = subprocess.run(["meson", "introspect", "--tests", build], check=True, cwd=ROOT,
                         stdout=subprocess.PIPE).stdout
    tests = []
    for t in json.loads(out):
        suites = [s.split(":", 1)[-1] for s in t["suite"]]
        tests.append(Test(suites[0] if suites else "other", t["name"], t["cmd"], t["env"],
                          t["workdir"] or build, t["timeout"] or 30, t["protocol"] == "tap",
                          not t["is_parallel"]))
    return tests


def api_tests(build):
    folder = os.path.join(ROOT, "tests", "api")
    if not os.path.isdir(folder):
        return []
    env = {"NEXUS_TEST_BUILD": build, "PYTHONDONTWRITEBYTECODE": "1"}
    return [Test("api", name[5:-3], [sys.executable, os.path.join(folder, name)], env, folder,
                 API_SECONDS, True, name.startswith("test_load"))
            for name in sorted(os.listdir(folder))
            if name.startswith("test_") and name.endswith(".py")]


def prepare(build, options):
    """Configures once and compiles. Says what takes time."""
    if not os.path.exists(os.path.join(build, "build.ninja")):
        shutil.rmtree(build, ignore_errors=True)
        print(f"configuring {os.path.basename(build)}", flush=True)
        p = subprocess.run(["meson", "setup", build, "--buildtype=release", *options], cwd=ROOT,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if p.returncode:
            sys.exit(p.stdout + "run.py: meson setup failed")
    print(f"compiling {os.path.basename(build)}", flush=True)
    start = time.monotonic()
    jobs = os.environ.get("JOBS") or str(os.cpu_count() or 1)
    p = subprocess.run(["ninja", "-C", build, "-j" + jobs, "--quiet"], cwd=ROOT,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if p.returncode:
        print(p.stdout)
        sys.exit("run.py: the build failed")
    print(f"compiled in {time.monotonic() - start:.0f} s", flush=True)


def wanted(test, words):
    return not words or test.suite in words or any(w in test.name for w in words)


def stop_servers(shared):
    if os.listdir(shared):
        subprocess.run([sys.executable, os.path.join(ROOT, "tests", "api", "servers.py"), "stop", shared],
                       env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"), check=False)


def become_subreaper():
    """Orphans of tests (servers that put themselves in the background) become our children."""
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(done):
    """A killed server is gone only when it is reaped: a test that starts it again waits for that."""
    while not done.wait(0.1):
        with starting:
            for pid in orphans():
                with contextlib.suppress(ChildProcessError):  # a test that ended in this moment
                    os.waitpid(pid, os.WNOHANG)


def orphans():
    return [pid for pid, _name in children(zombies=True) if pid not in running]


def children(zombies=False):
    me = os.getpid()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as f:
                stat = f.read()
            name, rest = stat[stat.index("(") + 1:stat.rindex(")")], stat[stat.rindex(")") + 2:]
            state, parent = rest.split()[:2]
        except (OSError, ValueError):
            continue
        if int(parent) == me and (state == "Z") == zombies:
            found.append((int(entry), name))
    return found


def reap():
    """Ends what tests left running; the names of it. A server's script looks once a second whether its test is over."""
    end = time.monotonic() + 2.5
    while children() and time.monotonic() < end:
        time.sleep(0.1)
    left = []
    for _ in range(50):
        now = children()
        if not now:
            break
        for pid, name in now:
            left.append(name)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    return left


def telling(lines):
    """The lines of a failed test's output that matter most."""
    for i, line in enumerate(lines):
        if re.search(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:", line):
            return lines[i:i + 40]
    return lines[-60:]


def report(result, lock):
    passed, failed, skipped = result.count()
    with lock:
        verdict = "FAIL" if failed else "skip" if skipped and not passed else "ok  "
        note = f", {skipped} skipped" if skipped else ""
        note += f", {failed} failed" if failed else ""
        print(f"{verdict} {result.test.suite}/{result.test.name}: {passed} passed{note} "
              f"({result.took:.1f} s)", flush=True)
        if not failed:
            return
        if result.problem:
            print(f"  {result.problem}")
        for c in result.cases:
            if not c.ok and c.skip is None:
                print(f"  not ok: {c.name}")
        lines = [line for line in result.output.rstrip().split("\n")
                 if not re.match(r"ok \d+", line)]
        for line in telling(lines):
            print(f"  | {line[:400]}")
        sys.stdout.flush()


def summary(results, left):
    by_suite = collections.OrderedDict()
    total = [0, 0, 0]
    for r in results:
        counts = r.count()
        row = by_suite.setdefault(r.test.suite, [0, 0, 0])
        for i, n in enumerate(counts):
            row[i] += n
            total[i] += n
    print()
    for r in results:
        for c in r.cases:
            if c.skip is not None:
                print(f"SKIP {r.test.suite}/{r.test.name}: {c.name}: {c.skip}")
    if left:
        print(f"FAIL left running by tests, now killed: {', '.join(sorted(set(left)))}")
        total[1] += 1
    for suite, row in by_suite.items():
        print(f"{suite:14} {row[0]} passed, {row[1]} failed, {row[2]} skipped")
    if not results:
        print("FAIL no test matches")
        total[1] += 1
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped", flush=True)
    return 1 if total[1] else 0


def main():
    ap = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip())
    ap.add_argument("--sanitize", choices=sorted(SANITIZERS))
    ap.add_argument("--no-build", action="store_true")
    ap.add_argument("--jobs", type=int, default=int(os.environ.get("TEST_JOBS", "2")))
    ap.add_argument("--list", action="store_true")
    ap.add_argument("words", nargs="*")
    args = ap.parse_args()

    options, extra_env, slow = SANITIZERS.get(args.sanitize, ([], {}, 1))
    build = os.path.join(ROOT, "build-" + args.sanitize if args.sanitize
                         else os.environ.get("BUILD", "build"))
    if not args.no_build:
        prepare(build, options)
    os.environ.update(extra_env)
    # ThreadSanitizer cannot place its shadow with all of the kernel's address randomisation.
    prefix = ["setarch", "-R"] if args.sanitize == "tsan" and shutil.which("setarch") else []

    tests = [t for t in meson_tests(build) + api_tests(build) if wanted(t, args.words)]
    if args.list:
        for t in tests:
            print(f"{t.suite}/{t.name}")
        return 0
    become_subreaper()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    scratch = tempfile.mkdtemp(prefix="nxtest.")
    os.chmod(scratch, 0o1777)  # database servers run as another user
    shared = os.path.join(scratch, "shared")  # servers that several API tests use
    os.mkdir(shared)
    os.environ["NEXUS_TEST_SHARED"] = shared
    lock = threading.Lock()
    results = []
    done = threading.Event()
    reaper = threading.Thread(target=reap_orphans, args=[done])
    reaper.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(max(1, args.jobs)) as pool:
            def go(t):
                r = run_test(t, scratch, slow, prefix)
                report(r, lock)
                return r
            try:
                results += pool.map(go, [t for t in tests if not t.alone])
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        for t in tests:
            if t.alone:
                results.append(run_test(t, scratch, slow, prefix))
                report(results[-1], lock)
    finally:
        done.set()
        reaper.join()
        stop_servers(shared)
        left = reap()
        shutil.rmtree(scratch, ignore_errors=True)
    return summary(results, left)


if __name__ == "__main__":
    sys.exit(main())
