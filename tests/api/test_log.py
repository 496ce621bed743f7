"""Log lines: fields, sampling, slow queries, repeats, files; and what must never be in one."""
import json
import os
import signal

from nxtest import Gateway, case, check, eq, main, until
from sample import sqlite_source
from tokens import SECRET, bearer

FAKE = {"name": "fake", "type": "fake", "config": {}}


def lines(g, event):
    return [e for e in g.events(event)]


@case
def every_line_of_a_request_carries_its_id():
    g = Gateway({"log": {"queries": True, "level": "debug"}}, sources=[
        sqlite_source(), {"name": "refuses", "type": "fake", "config": {"connectError": "SOURCE_AUTH"}}])
    g.query("lite", "SELECT 1", headers={"X-Correlation-ID": "mine-1"})
    for i in range(4):  # one of these changes the source's state, on the worker
        g.query("refuses", "SELECT * FROM fake", headers={"X-Correlation-ID": f"mine-2-{i}"})
    (q,) = [e for e in lines(g, "query") if e.get("correlationId") == "mine-1"]
    eq(("success", "lite", "sqlite", 1, "anonymous"),
       (q["status"], q["source"], q["type"], q["rows"], q["principal"]), q)
    check({"parse", "validate", "route", "run", "encode"} <= set(q["steps"]), "steps", q)
    check(abs(sum(q["steps"].values()) - q["ms"]) < 0.05, "the steps are the whole", q)
    check(len(q["queryId"]) == 36 and len(q["fingerprint"]) == 16 and "sql" not in q, "ids", q)
    (changed,) = [e for e in lines(g, "source") if "error now" in e["message"]]
    check(changed.get("correlationId", "mine-2-").startswith("mine-2-"), "whose it was, unless a probe's", changed)
    for e in lines(g, "request"):
        check(e["correlationId"].startswith("mine-2-"), "request lines", e)
    for e in g.events():  # and no other line does
        check(e["event"] in ("query", "source", "request") or "correlationId" not in e, "a line of nobody's", e)


@case
def normal_lines_are_sampled_and_errors_never():
    g = Gateway({"log": {"queries": True, "sample": 0.2}}, sources=[sqlite_source()])
    for _ in range(100):
        g.query("lite", "SELECT 1")
    for _ in range(10):
        g.query("lite", "DELETE FROM t")
        g.query("lite", "SELECT nothing FROM nowhere")
    seen = [e["status"] for e in lines(g, "query")]
    check(3 <= seen.count("success") <= 45, "about one in five", seen.count("success"))
    eq((10, 10), (seen.count("rejected"), seen.count("error")))
    g = Gateway({"log": {"queries": True, "sample": 0}}, sources=[sqlite_source()])
    g.query("lite", "SELECT 1")
    g.query("lite", "DELETE FROM t")
    eq(["rejected"], [e["status"] for e in lines(g, "query")])


@case
def wrong_values_are_refused():
    for bad in ({"sample": 1.5}, {"sample": -1}, {"sample": "often"}, {"slowQuery": -1}, {"sql": "maybe"},
                {"file": "/no/such/folder/log"}):
        g = Gateway({"log": bad}, start=False)
        g.expect_status = 1
        g.spawn()
        eq(1, g.process.wait(15), bad)


@case
def slow_queries_are_told_with_their_steps():
    g = Gateway({"log": {"slowQuery": 0.2}}, sources=[FAKE])
    g.query("fake", "SELECT * FROM fake WHERE rows = 3")
    g.query("fake", "SELECT * FROM fake WHERE rows = 3 AND first_ms = 400", headers={"X-Correlation-ID": "slow-1"})
    (e,) = lines(g, "slow_query")
    eq(("warn", "slow-1", "fake", 3, "success"),
       (e["level"], e["correlationId"], e["source"], e["rows"], e["status"]), e)
    check(e["steps"]["run"] >= 390 and e["steps"]["run"] <= e["ms"], "the step that took it", e)
    check("sql" not in e and "first_ms" not in json.dumps(e), "no text unless asked for", e)
    check("nexus_slow_queries_total 1\n" in g.get("/metrics").text, "counted")
    g = Gateway({"log": {"slowQuery": 0.2, "sql": True}}, sources=[FAKE])
    g.query("fake", "SELECT * FROM fake WHERE first_ms = 300")
    eq("SELECT * FROM fake WHERE first_ms = 300", lines(g, "slow_query")[0]["sql"])


@case
def repeated_lines_are_held_back_and_counted():
    g = Gateway(sources=[FAKE])
    for _ in range(60):
        eq("SOURCE_FAILED", g.query("fake", "SELECT * FROM fake WHERE prepare_error = 'SOURCE_FAILED'").code)
    eq(20, len(lines(g, "request")))
    g.query("fake", "SELECT * FROM fake WHERE prepare_error = 'SOURCE_BUSY'")
    eq(21, len(lines(g, "request")), "another line is not held back")
    until("the rest is told", lambda: [e for e in lines(g, "request") if "repeated" in e], 25, 0.2)
    (e,) = [e for e in lines(g, "request") if "repeated" in e]
    check(e["repeated"] == 40 and f"said {e['repeated']} times more" in e["message"], "how often", e)
    check("nexus_log_suppressed_total 4" in g.get("/metrics").text, "counted")


@case
def a_file_is_opened_again_after_it_was_moved():
    g = Gateway({"log": {"queries": True}}, sources=[sqlite_source()], start=False)
    path = os.path.join(g.home, "nexus.log")
    g.config["log"]["file"] = path
    g.start()
    g.query("lite", "SELECT 1", headers={"X-Correlation-ID": "first"})
    until("the line", lambda: "first" in open(path).read())
    os.rename(path, path + ".1")
    g.query("lite", "SELECT 1", headers={"X-Correlation-ID": "second"})
    until("still the old file", lambda: "second" in open(path + ".1").read())
    g.process.send_signal(signal.SIGHUP)
    until("a new file", lambda: os.path.exists(path) and "configuration taken over" in open(path).read())
    g.query("lite", "SELECT 1", headers={"X-Correlation-ID": "third"})
    until("the line", lambda: "third" in open(path).read())
    check("third" not in open(path + ".1").read() and "first" not in open(path).read(), "each where it belongs")
    eq(0o640, os.stat(path).st_mode & 0o777)
    os.rename(path, path + ".2")
    g.config["nonsense"] = 1  # a configuration that is wrong keeps nobody from rotating logs
    g.write_config()
    g.process.send_signal(signal.SIGHUP)
    until("a new file again", lambda: os.path.exists(path) and "stays as it was" in open(path).read())
    eq("", g.log().strip(), "nothing on standard error")


@case
def plain_lines_stay_lines():
    g = Gateway({"log": {"pretty": True, "queries": True, "sql": True}}, sources=[sqlite_source()])
    g.query("lite", "SELECT 1\n-- two\n, 2\x1b[31m")
    for line in g.log().rstrip("\n").split("\n"):
        check(line[:2] == "20" and "\x1b" not in line, "a line", line)


@case
def no_secret_is_ever_in_a_line():
    canaries = {"password": "canary-pw-1", "token": bearer("eve")["Authorization"].split()[1], "key": "nx_canary-key-2",
                "parameter": "canary-param-3", "literal": "canary-literal-4", "secret": SECRET}
    g = Gateway({"auth": {"mode": "token", "jwtSecret": SECRET},
                 "log": {"level": "debug", "queries": True, "slowQuery": 0.001}},
                sources=[sqlite_source(), FAKE,
                         {"name": "pg", "type": "postgresql", "config": {
                             "host": "127.0.0.1", "port": 9, "username": "u", "password": canaries["password"],
                             "database": "d"}}])
    who = {"Authorization": "Bearer " + canaries["token"]}
    for sql in (f"SELECT '{canaries['literal']}', ?", f"DELETE FROM t WHERE '{canaries['literal']}' = ?"):
        g.query("lite", sql, [canaries["parameter"]], headers=who)
    g.query("pg", "SELECT 1", headers=who)
    g.query("fake", "SELECT * FROM fake WHERE first_ms = 20 AND error_after = 0", headers=who)
    g.get("/api/v1/queries", headers={"X-API-Key": canaries["key"]})
    g.get("/api/v1/queries", headers={"Authorization": "Bearer " + canaries["token"][:-2] + "xx"})
    r = g.post("/api/v1/keys", {"name": "made", "role": "agent"}, headers=bearer("root", "admin"))
    made = r.data["key"]
    opened = g.query("lite", "SELECT id FROM many", path="/api/v1/fetch", batch_size=10, headers=who)
    slug = (opened.json.get("nextUri") or opened.data.get("nextUri")).split("/")[5]
    g.stop()
    text = g.log()
    check(len(g.events("query")) >= 3 and g.events("slow_query"), "lines were said")
    for what, canary in {**canaries, "made": made, "slug": slug}.items():
        check(canary not in text, f"the log shows a {what}")


main()
