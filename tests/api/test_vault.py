"""Another master key for stored secrets."""
import os
import subprocess

from nxtest import SLOW, Gateway, case, check, eq, find_binary, main


def rotate(g, old, new):
    p = subprocess.run([find_binary(), "vault", "rotate", "-c", os.path.join(g.home, "nexus.yaml"),
                        "--old-key-file", old, "--new-key-file", new], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, env=g.env, timeout=30 * SLOW)
    return p.returncode, p.stdout.decode()


def path(g, name):
    return os.path.join(g.config["dataDir"], name)


@case
def secrets_survive_a_change_of_key():
    g = Gateway()
    ids = []
    for i in range(3):
        r = g.post("/api/v1/datasources?skipTest=true",
                   {"name": f"s{i}", "type": "postgresql",
                    "config": {"host": "127.0.0.1", "username": "u", "password": f"pass{i}"}})
        eq(201, r.status, r)
        ids.append(r.data["id"])
    status, out = rotate(g, path(g, "vault.key"), path(g, "next.key"))
    check(status == 1 and "STORE_LOCKED" in out, "a running gateway is told", out)
    g.stop()
    status, out = rotate(g, path(g, "absent.key"), path(g, "next.key"))
    check(status == 1 and not os.path.exists(path(g, "absent.key")), "an old key is never made", out)
    status, out = rotate(g, path(g, "vault.key"), path(g, "next.key"))
    eq((0, True), (status, "3 secrets" in out), out)
    eq(0o600, os.stat(path(g, "next.key")).st_mode & 0o777)
    status, out = rotate(g, path(g, "vault.key"), path(g, "third.key"))
    check(status == 1 and "CV-004" in out, "the old key opens nothing now", out)

    g.start()  # still with the old key: told, and nothing lost
    eq(["error"] * 3, [g.get("/api/v1/datasources/" + i).data["status"] for i in ids])
    g.stop()
    os.rename(path(g, "next.key"), path(g, "vault.key"))
    g.start()
    eq(["draft"] * 3, [g.get("/api/v1/datasources/" + i).data["status"] for i in ids])
    g.close()


main()
