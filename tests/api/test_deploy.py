"""What ships: examples, the Debian package, and the files below deploy/, judged by the real linters."""
import glob
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import urllib.request

from nxtest import BUILD, SLOW, Gateway, case, check, eq, find_binary, main, skip, until
from sample import sqlite_source

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, ".cache", "venv", "bin")


def run(*args, timeout=120, **kw):
    return subprocess.run(args, cwd=ROOT, capture_output=True, text=True, timeout=timeout * SLOW,
                          check=False, **kw)


def tool(name):
    path = os.path.join(VENV, name)
    if not os.path.exists(path):
        skip(f"{name} is not installed (tools/linters.sh)")
    return path


def passes(*args, **kw):
    r = run(*args, **kw)
    check(r.returncode == 0, " ".join(args), r.stdout[-3000:] + r.stderr[-3000:])
    return r.stdout


@case
def each_built_in_type_has_an_example_that_check_accepts():
    seen = set()
    for path in sorted(glob.glob(os.path.join(ROOT, "examples", "sources", "*.yaml"))):
        passes(find_binary(), "check", "-c", path)
        with open(path, encoding="utf-8") as f:
            seen.update(re.findall(r"^\s+type: (\S+)", f.read(), re.M))
    g = Gateway()
    built = {d["type"] for d in g.get("/api/v1/drivers").data["drivers"] if d["builtIn"]} - {"fake"}
    g.close()
    eq(set(), built - seen)


@case
def the_production_example_is_accepted():
    home = tempfile.mkdtemp(prefix="nxdeploy.")
    try:
        key, cert = os.path.join(home, "k.pem"), os.path.join(home, "c.pem")
        passes("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
               "-nodes", "-days", "1", "-subj", "/CN=x", "-keyout", key, "-out", cert)
        env = dict(os.environ, NEXUS_CERT=cert, NEXUS_KEY=key, NEXUS_DATA=home,
                   NEXUS_SOURCES=os.path.join(ROOT, "examples", "production", "sources.yaml"))
        for flag in ("--start", None):
            args = [find_binary(), "check", "-c", "examples/production/nexus.yaml"] + ([flag] if flag else [])
            passes(*args, env=env)
        for path in ("deploy/compose/nexus.yaml", "deploy/debian/nexus.yaml", "examples/quickstart/nexus.yaml"):
            passes(find_binary(), "check", "-c", path, "--start", env=dict(os.environ))
    finally:
        shutil.rmtree(home)


@case
def the_dockerfile_is_clean():
    passes(tool("hadolint"), "-c", "deploy/docker/hadolint.yaml", "deploy/docker/Dockerfile")
    with open(os.path.join(ROOT, "deploy/docker/Dockerfile"), encoding="utf-8") as f:
        final = f.read().split("\nFROM ")[-1]
    check("USER 10001" in final, "runs as nobody of importance")


@case
def yaml_files_are_clean():
    rules = "{extends: default, rules: {line-length: {max: 120}, document-start: disable, braces: {max-spaces-inside: 1}, comments: {min-spaces-from-content: 1}, brackets: {max-spaces-inside: 1}}}"
    files = [f for pattern in ("deploy/compose/*.yaml", "deploy/kubernetes/*.yaml", "deploy/debian/*.yaml",
                               "deploy/helm/*/[A-Zv]*.yaml", "deploy/docker/*.yaml", "examples/*/*.yaml")
             for f in sorted(glob.glob(os.path.join(ROOT, pattern)))]
    passes(tool("yamllint"), "-s", "-d", rules, *files)


@case
def kubernetes_manifests_are_valid():
    passes(tool("kubernetes-validate"), "-k", "1.30", "--strict",
           *sorted(glob.glob(os.path.join(ROOT, "deploy/kubernetes/*.yaml"))))


def helm(*args):
    path = os.path.join(ROOT, ".cache", "bin", "helm")
    if not os.path.exists(path):
        path = shutil.which("helm")
    if not path:
        skip("helm is not here (tools/linters.sh builds it where Go is)")
    return run(path, *args)


@case
def the_chart_renders_to_valid_manifests():
    chart = "deploy/helm/nexus-gateway"
    r = helm("lint", "--strict", chart)
    eq(0, r.returncode, r.stdout)
    shared = ["store.url=mysql://nexus@db:3306/nexus", "store.existingSecret=store"]
    for values in ([], shared, shared + [
            "replicaCount=2", "autoscaling.enabled=true", "autoscaling.queueMetric=nexus_queue_waiting",
            "ingress.enabled=true", "ingress.tlsSecret=t", "ingress.className=nginx", "tls.existingSecret=t",
            "networkPolicy.enabled=true", "sources.existingSecret=s", "persistence.storageClass=fast"]):
        sets = [x for v in values for x in ("--set", v)]
        r = helm("template", "t", chart, "--kube-version", "1.30.0", *sets)
        eq(0, r.returncode, r.stderr)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(r.stdout)
            f.flush()
            passes(tool("kubernetes-validate"), "-k", "1.30", "--strict", f.name)
        check("readOnlyRootFilesystem: true" in r.stdout and "runAsNonRoot: true" in r.stdout, "hardened")
    # what would not work is refused by name
    for values, word in ((["replicaCount=2"], "store.url"), (["store.url=mysql://a/b"], "existingSecret")):
        r = helm("template", "t", chart, "--kube-version", "1.30.0", *[x for v in values for x in ("--set", v)])
        check(r.returncode != 0 and word in r.stderr, f"{values} is refused", r.stderr)


@case
def the_charts_configuration_is_accepted():
    r = helm("template", "t", "deploy/helm/nexus-gateway", "--kube-version", "1.30.0", "--show-only",
             "templates/config.yaml")
    eq(0, r.returncode, r.stderr)
    text = re.search(r"nexus.yaml: \|\n((?:    .*\n)+)", r.stdout).group(1)
    home = tempfile.mkdtemp(prefix="nxdeploy.")
    path, sources = os.path.join(home, "nexus.yaml"), os.path.join(home, "sources.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(re.sub(r"^    ", "", text, flags=re.M).replace("/etc/nexus-sources/sources.yaml", sources))
    with open(sources, "w", encoding="utf-8") as f:
        f.write("[]\n")
    passes(find_binary(), "check", "-c", path, "--start")
    shutil.rmtree(home)


@case
def the_systemd_unit_is_valid_and_hardened():
    if not shutil.which("systemd-analyze"):
        skip("systemd-analyze is not here")
    unit = "deploy/systemd/nexus-gateway.service"
    r = run("systemd-analyze", "verify", unit)
    lines = [l for l in r.stderr.splitlines() if "nexus-gateway.service" in l and
             "is not executable" not in l]  # the program is not installed where tests run
    eq([], lines)
    r = run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
    if "unrecognized option" in r.stderr:
        skip("this systemd-analyze cannot judge a unit that is not loaded")
    eq(0, r.returncode, r.stdout[-400:])


@case
def the_service_manager_is_told():
    home = tempfile.mkdtemp(prefix="nxnotify.")
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(os.path.join(home, "notify"))
    s.settimeout(10 * SLOW)
    g = Gateway(env={"NOTIFY_SOCKET": os.path.join(home, "notify")})
    eq(b"READY=1", s.recv(100))
    g.stop()
    eq(b"STOPPING=1", s.recv(100))
    g.close()
    s.close()
    shutil.rmtree(home)


@case
def health_is_an_exit_status():
    g = Gateway()
    nexus = find_binary()
    url = f"http://127.0.0.1:{g.port}"
    eq(0, run(nexus, "health", "--url", url).returncode)
    eq(0, run(nexus, "health", "--ready", "--url", url).returncode)
    eq(0, run(nexus, "health", "--http.listen", f"0.0.0.0:{g.port}").returncode)
    eq(2, run(nexus, "health", "nonsense").returncode)
    g.stop()
    r = run(nexus, "health", "--url", url)
    eq(1, r.returncode)
    check(url in r.stderr, "says whom it asked", r.stderr)
    g.close()


@case
def the_debian_package_works_where_it_is_unpacked():
    if not shutil.which("dpkg-deb") or "san" in os.path.basename(BUILD):
        skip("no dpkg-deb, or a build with sanitizers")
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        skip("the build directory is not Meson's")
    home = tempfile.mkdtemp(prefix="nxdeb.")
    try:
        deb = passes("deploy/debian/build.sh", home, env=dict(os.environ, BUILD=BUILD)).strip()
        fields = passes("dpkg-deb", "-f", deb)
        check("libpq5" in fields and "libssl3" in fields, "depends on its libraries", fields)
        eq("/etc/nexus/nexus.yaml", passes("dpkg-deb", "--ctrl-tarfile", deb) and
           passes("dpkg-deb", "-I", deb, "conffiles").strip())
        root = os.path.join(home, "root")
        passes("dpkg-deb", "-x", deb, root)
        os.remove(deb)
        nexus = os.path.join(root, "usr/bin/nexus")
        config = os.path.join(home, "nexus.yaml")
        data = os.path.join(home, "files")
        os.makedirs(data)
        with open(os.path.join(data, "t.csv"), "w", encoding="utf-8") as f:
            f.write("a,b\n1,x\n2,y\n")
        with open(config, "w", encoding="utf-8") as f:
            json.dump({"dataDir": os.path.join(home, "data"), "auth": {"mode": "off"},
                       "http": {"listen": "127.0.0.1:0", "portFile": os.path.join(home, "port")},
                       "sources": [sqlite_source(), {"name": "files", "type": "duckdb",
                                                     "config": {"path": data}}]}, f)
        engine = os.path.exists(os.path.join(root, "usr/bin/nexus-engine"))
        p = subprocess.Popen([nexus, "serve", "-c", config], cwd=home, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        try:
            port = until("the port", lambda: os.path.exists(os.path.join(home, "port")) and
                         open(os.path.join(home, "port"), encoding="ascii").read().strip(), 15)
            wanted = [("lite", "SELECT 1 AS n", [[1]])]
            if engine:
                wanted.append(("files", "SELECT sum(a) AS n FROM 't.csv'", None))
            for source, sql, rows in wanted:
                q = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/query", method="POST",
                                           data=json.dumps({"dataSource": source, "sql": sql}).encode(),
                                           headers={"Content-Type": "application/json"})
                with urllib.request.urlopen(q, timeout=20 * SLOW) as answer:
                    got = json.load(answer)["data"]["rows"]
                check(rows is None and str(got[0][0]) == "3" or got == rows, f"{source} answers", got)
        finally:
            p.terminate()
            eq(0, p.wait(20 * SLOW))
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
