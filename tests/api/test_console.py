"""The web console in a headless Chromium, as a person uses it; tests/api/browser.py watches every page besides."""
import json
import os
import re
import subprocess
import time

import nxtest
import servers
from browser import chromium, eventually, tab
from nxtest import ROOT, Gateway, case, check, eq, main, skip
from sample import sqlite_source
from tokens import SECRET, token

HOSTILE = "<img src=x onerror=window.hit=1>"
LONG = "SELECT a.n FROM generate_series(1, 100000) AS a(n), generate_series(1, 100000) AS b(n)"
shared = {}


def gw():
    if "g" not in shared:
        chromium()
        pg = servers.postgres()
        pg.sql("""
            CREATE TABLE orders(id bigint PRIMARY KEY, region text, amount numeric(12,2), placed timestamptz);
            COMMENT ON TABLE orders IS 'What was sold';
            INSERT INTO orders SELECT i, (ARRAY['north','south','east','west'])[1 + i % 4], i * 1.25, now()
                FROM generate_series(1, 1000) AS s(i);
            CREATE TABLE "Mixed Case"("Col A" int, "order" text, "Zwei" int);
            INSERT INTO "Mixed Case" VALUES (7, 'x', 2);
            CREATE TABLE "<img src=x onerror=window.hit=1>"("<img src=x onerror=window.hit=1>" int);
            COMMENT ON TABLE "<img src=x onerror=window.hit=1>" IS '<img src=x onerror=window.hit=1>';
            GRANT SELECT ON ALL TABLES IN SCHEMA public TO api;""")
        shared["g"] = Gateway(
            {"auth": {"mode": "token", "jwtSecret": SECRET}},
            sources=[pg.source("warehouse", maxPoolSize=4) | {"description": "Orders and customers"},
                     sqlite_source("lite") if "NEXUS_TEST_LITE" not in os.environ else pg.source("lite"),
                     {**pg.source(HOSTILE), "description": HOSTILE}, {"name": "scripted", "type": "fake", "config": {}}])
    return shared["g"]


def running(g):
    r = g.get("/api/v1/queries", headers={"Authorization": "Bearer " + token("watcher", "admin")})
    return [q for q in r.data["queries"] if q["state"] not in ("completed", "failed", "canceled", "timed_out", "rejected")]


# ---- parts, without a browser

@case
def units():
    folder = os.path.join(ROOT, "console")
    if not os.path.isdir(os.path.join(folder, "node_modules", "vite")):
        skip("npm or the registry is missing: the console's own packages are not there")
    p = subprocess.run(["npm", "test", "--silent"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       timeout=60 * nxtest.SLOW, check=False)
    eq(0, p.returncode, p.stdout[-3000:])
    print("# " + re.findall(r"# pass \d+|ℹ pass \d+", p.stdout)[0][2:])


# ---- in the browser

@case
def sign_in_and_out():
    g = gw()
    with tab(g, token("ada", "analyst")) as t:
        t.open()
        t.page.fill("input[name=credential]", "wrong")
        t.page.keyboard.press("Enter")
        t.page.locator(".problem", has_text="not accepted").wait_for()
        t.shot("sign-in")
        t.sign_in()
        eq("adaanalyst", t.page.locator(".who").inner_text().replace("\n", "").replace(" ", ""))
        t.page.reload()  # the tab keeps it
        t.page.locator(".frame").wait_for()
        t.choose("warehouse")
        t.run("SELECT 'mine alone'")
        t.page.get_by_role("button", name="Sign out").click()
        t.page.locator("input[name=credential]").wait_for()
        eq("{}", t.page.evaluate("() => JSON.stringify(sessionStorage)"), "nothing stays in the tab")
        t.page.reload()
        t.page.locator("input[name=credential]").wait_for()


@case
def what_the_tab_keeps_is_for_the_one_who_wrote_it():
    g = gw()
    with tab(g, token("ada")) as t:
        t.sign_in()
        t.choose("warehouse")
        t.run("SELECT 'mine alone'")
        end = "() => sessionStorage.setItem('nexus-credential', 'of yesterday')"  # what an expired one is to the gateway
        for name, kept in (("ada", True), ("bob", False)):
            t.page.evaluate(end)
            t.page.reload()
            t.page.locator("input[name=credential]").fill(token(name))
            t.page.keyboard.press("Enter")
            t.page.locator(".who", has_text=name).wait_for()
            text = t.page.locator(".cm-content").inner_text() + t.page.evaluate("() => JSON.stringify(sessionStorage)")
            eq(kept, "mine alone" in text, text)


@case
def a_session_that_ends_leads_to_the_door():
    g = gw()
    admin = {"Authorization": "Bearer " + token("root", "admin")}
    key = g.post("/api/v1/keys", {"name": "short", "role": "analyst"}, headers=admin).data
    key_id = g.get("/api/v1/keys", headers=admin).data["keys"][-1]["id"]
    with tab(g, key["key"]) as t:
        t.sign_in()
        eq("1 row", t.run("SELECT 1 AS one").split(" · ")[0])
        eq(204, g.call("DELETE", "/api/v1/keys/" + key_id, headers=admin).status)
        t.write("SELECT 2 AS two")
        t.page.keyboard.press("Control+Enter")
        t.page.locator(".problem", has_text="session has ended").wait_for()


@case
def sources_their_health_and_what_may_be_done():
    g = gw()
    with tab(g, token("root", "admin")) as t:
        t.sign_in()
        eq(4, t.page.locator(".sources li").count())
        t.choose("warehouse")
        card = t.page.locator(".source-card")
        card.get_by_text("Orders and customers").wait_for()
        t.page.locator(".tables summary", has_text="orders").click()
        t.page.locator(".tables .column", has_text="amount").wait_for()
        card.get_by_role("button", name="Test").click()
        t.page.locator(".said", has_text="Answers in").wait_for()
        t.page.locator(".sources li[aria-selected=true] .dot.healthy").wait_for()
        t.shot("sources")
        card.get_by_role("button", name="Deactivate").click()
        t.page.locator(".sources li[aria-selected=true] .dot.inactive").wait_for()
        t.run("SELECT 1")
        t.page.locator(".explain b", has_text="SOURCE_INACTIVE").wait_for()
        card.get_by_role("button", name="Activate", exact=True).click()
        t.page.locator(".sources li[aria-selected=true] .dot:not(.inactive)").wait_for()
        eq("1 row", t.run("SELECT 1 AS one").split(" · ")[0])
    with tab(g, token("ada", "analyst")) as t:
        t.sign_in()
        t.choose("warehouse")
        t.page.locator(".source-card .kind").wait_for()
        eq(0, t.page.locator(".source-card button").count())


@case
def the_editor_completes_from_the_schema():
    with tab(gw(), token("ada")) as t:
        t.sign_in()
        t.choose("warehouse")
        t.write("")
        t.page.keyboard.type("SELECT amo", delay=20)
        t.page.locator(".cm-tooltip-autocomplete li", has_text="amount").first.wait_for()
        t.shot("completion")
        t.page.wait_for_timeout(200)  # the list takes keys after a moment
        t.page.keyboard.press("Enter")
        t.page.keyboard.type(" FROM orde", delay=20)
        t.page.locator(".cm-tooltip-autocomplete li", has_text="orders").first.wait_for()
        t.page.wait_for_timeout(200)
        t.page.keyboard.press("Enter")
        eq("SELECT amount FROM orders", t.page.locator(".cm-content").inner_text().strip())
        t.page.keyboard.press("Control+Enter")
        t.wait_idle()
        check(t.page.locator(".status").inner_text().startswith("1,000 rows"), "rows")


@case
def names_are_quoted_where_they_must_be():
    with tab(gw(), token("ada")) as t:
        t.sign_in()
        t.choose("warehouse")
        t.write("SELECT ")
        t.page.locator(".tables summary", has_text="Mixed Case").click()
        t.page.locator(".tables .column", has_text="order").first.click()
        t.page.keyboard.type(", Zwe", delay=20)
        t.page.locator(".cm-tooltip-autocomplete li", has_text="Zwei").first.wait_for()
        t.page.wait_for_timeout(200)
        t.page.keyboard.press("Enter")
        t.page.keyboard.type(" FROM Mix", delay=20)
        t.page.locator(".cm-tooltip-autocomplete li", has_text="Mixed Case").first.wait_for()
        t.page.wait_for_timeout(200)
        t.page.keyboard.press("Enter")
        eq('SELECT "order", "Zwei" FROM "Mixed Case"', t.page.locator(".cm-content").inner_text().strip())
        t.page.keyboard.press("Control+Enter")
        t.wait_idle()
        eq([["x", "2"]], t.cells())
        t.run('SELECT Zwie FROM "Mixed Case"')
        t.page.locator(".explain p button", has_text="Zwei").click()
        t.page.keyboard.press("Control+Enter")
        t.wait_idle()
        eq([["2"]], t.cells())
        t.shot("quoted")


@case
def refusals_and_mistakes_are_explained():
    with tab(gw(), token("ada")) as t:
        t.sign_in()
        t.choose("warehouse")
        eq("Refused", t.run("SELECT 1; DELETE FROM orders"))
        t.page.locator(".explain b", has_text="RO_").wait_for()
        t.page.locator(".cm-lintRange-error").wait_for()
        t.shot("refusal")
        eq("Failed", t.run("SELECT amout FROM orders"))
        t.page.locator(".explain b", has_text="SQL_ERROR").or_(t.page.locator(".explain b")).first.wait_for()
        t.page.locator(".explain p button", has_text="amount").wait_for()
        t.shot("advice")
        t.page.locator(".explain p button", has_text="amount").click()
        eq("SELECT amount FROM orders", t.page.locator(".cm-content").inner_text().strip())
        t.page.locator(".parameters").fill("{}")
        t.run("SELECT 1")
        t.page.locator(".explain", has_text="JSON array").wait_for()
        t.page.locator(".parameters").fill('["north", 2]')
        eq("2 rows", t.run("SELECT id FROM orders WHERE region = $1 LIMIT $2").split(" · ")[0])
        t.page.locator(".parameters").fill("")
        t.write("SELECT 1")
        t.page.get_by_role("button", name="Explain").click()
        t.page.locator(".explain", has_text="allowMetadataStatements").wait_for()  # what would have to be changed


@case
def a_plan_where_plans_are_allowed():
    chromium()
    g = Gateway({"auth": {"mode": "token", "jwtSecret": SECRET}}, sources=[sqlite_source("lite", allowMetadataStatements=True)])
    with tab(g, token("ada")) as t:
        t.sign_in()
        t.choose("lite")
        for sql in ("SELECT name FROM t WHERE id = 1", "EXPLAIN QUERY PLAN SELECT name FROM t WHERE id = 1"):
            t.write(sql)
            t.page.get_by_role("button", name="Explain").click()
            t.wait_idle()
            check(any("INTEGER PRIMARY KEY" in c or "Index" in c for c in t.cells()[0]), "the plan", t.cells())
            eq(sql, t.page.locator(".cm-content").inner_text().strip())


@case
def a_stream_that_breaks_keeps_its_rows_and_says_so():
    g = gw()
    with tab(g, token("ada")) as t:
        t.sign_in()
        t.choose("scripted")
        t.run("SELECT * FROM fake WHERE rows = 5000 AND batch = 100 AND error_after = 700", "")
        t.page.locator(".explain b", has_text="SOURCE_FAILED").wait_for()
        check(t.page.locator(".row").count() > 5, "rows that came are shown")
        t.run("SELECT * FROM fake WHERE rows = 5000 AND batch = 100 AND die_after = 700", "")
        t.page.locator(".explain b").wait_for()
        eq("1 row", t.run("SELECT * FROM fake").split(" · ")[0])
        eq(0, t.page.locator(".explain b").count())


@case
def a_gateway_that_is_gone():
    chromium()
    g = Gateway({"auth": {"mode": "token", "jwtSecret": SECRET}}, sources=[{"name": "scripted", "type": "fake", "config": {}}])
    with tab(g, token("ada")) as t:
        t.sign_in()
        t.choose("scripted")
        t.page.locator(".bar select").select_option("")
        t.write("SELECT * FROM fake WHERE rows = 100000 AND bytes = 100 AND hang_after = 50000")
        t.page.keyboard.press("Control+Enter")
        t.page.locator(".row").first.wait_for()
        g.expect_status = -9
        g.process.kill()
        t.page.locator(".explain b", has_text="UNREACHABLE").wait_for()
        t.wait_idle()
        t.page.get_by_role("tab", name="Live queries").click()
        t.page.locator(".problem", has_text="cannot be reached").wait_for()
        t.wrong = [w for w in t.wrong if "ERR_" not in w]  # the browser's own lines about it


@case
def every_digit_and_nothing_mistaken():
    with tab(gw(), token("ada")) as t:
        t.sign_in()
        t.choose("warehouse")
        t.run("SELECT 9223372036854775807::int8 AS big, 99999999999999999999999999999999.999999::numeric AS exact, "
              "date '2026-02-28' AS day, NULL::text AS none, ''::text AS empty, 'NULL'::text AS word, "
              "'{\"a\": [1, 2]}'::jsonb AS doc, true AS yes")
        big, exact, day, none, empty, word, doc, yes = t.cells()[0]
        eq(("9223372036854775807", "99999999999999999999999999999999.999999"), (big, exact))
        eq(("2026-02-28", "NULL", "", "NULL", "true"), (day, none, empty, word, yes))
        check("a" in doc, "nested", doc)
        kinds = t.page.evaluate("() => [...document.querySelectorAll('.row [role=gridcell]')].map((c) => c.className)")
        check("null" in kinds[3] and "null" not in kinds[4] and "null" not in kinds[5], "NULL is told from texts", kinds)
        t.run("SELECT '{\"n\": 12345678901234567890, \"d\": 1.10}'::json AS a, ARRAY[9007199254740993] AS a, '-0'::float8 AS z, "
              "'-infinity'::float8 AS i, '2026-03-29 02:30:00.123456'::timestamp AS t, '1 day'::interval AS v")
        want = ['{"n": 12345678901234567890, "d": 1.10}', "[9007199254740993]", "-0", "-Infinity", "2026-03-29T02:30:00.123456", "P1D"]
        eq(want, t.cells()[0])
        t.page.locator(".row [role=gridcell]").first.dblclick()
        eq('{\n  "n": 12345678901234567890,\n  "d": 1.10\n}', t.page.locator("dialog pre").inner_text())
        t.page.keyboard.press("Escape")
        with t.page.expect_download() as d:
            t.page.get_by_role("button", name="JSON", exact=True).click()
        with open(d.value.path(), encoding="utf-8") as f:
            text = f.read()
        check('"a": {"n": 12345678901234567890, "d": 1.10}, "a_2": [9007199254740993], "z": -0' in text, "both columns, each digit", text)
        with t.page.expect_download() as d:
            t.page.get_by_role("button", name="CSV", exact=True).click()
        with open(d.value.path(), encoding="utf-8") as f:
            check("[9007199254740993],-0,-Infinity" in f.read(), "each digit")


SCROLL = """async (steps) => {
  const grid = document.querySelector('.grid');
  const frame = () => new Promise((go) => requestAnimationFrame(() => setTimeout(go)));
  const out = { frames: 0, blank: 0, nodes: 0, worst: 0 };
  const far = grid.scrollHeight - grid.clientHeight;
  for (let i = 0; i <= steps; i++) {
    grid.scrollTop = i % 7 === 6 ? Math.random() * far : (far * i) / steps;
    const began = performance.now();
    await frame();
    out.worst = Math.max(out.worst, performance.now() - began);
    out.frames++;
    const box = grid.getBoundingClientRect();
    const rows = [...grid.querySelectorAll('.row')].map((r) => r.getBoundingClientRect());
    const top = Math.min(...rows.map((r) => r.top)), bottom = Math.max(...rows.map((r) => r.bottom));
    const head = grid.querySelector('.grid-head').getBoundingClientRect().bottom;
    if (!rows.length || top > head + 1 || bottom < Math.min(box.bottom, box.top + grid.clientHeight) - 1) out.blank++;
    out.nodes = Math.max(out.nodes, document.querySelectorAll('*').length);
  }
  return out;
}"""
# The same watch while a wheel is turned from outside.
SAMPLE = """() => {
  const grid = document.querySelector('.grid');
  window.seen = { frames: 0, blank: 0 };
  const look = () => {
    const rows = [...grid.querySelectorAll('.row')].map((r) => r.getBoundingClientRect());
    const box = grid.getBoundingClientRect(), head = grid.querySelector('.grid-head').getBoundingClientRect().bottom;
    seen.frames++;
    if (Math.min(...rows.map((r) => r.top)) > head + 1 || Math.max(...rows.map((r) => r.bottom)) < box.top + grid.clientHeight - 1) seen.blank++;
    if (!window.enough) requestAnimationFrame(() => setTimeout(look));
  };
  look();
}"""


@case
def a_hundred_thousand_rows_scroll_without_a_blank_frame():
    with tab(gw(), token("ada")) as t:
        t.sign_in()
        paint = t.page.evaluate("() => Object.fromEntries(performance.getEntriesByType('paint').map((e) => [e.name, e.startTime]))")
        check(paint["first-paint"] < 1000 * nxtest.SLOW, "first paint within a second", paint)
        t.choose("warehouse")
        began = time.monotonic()
        said = t.run("SELECT i AS id, md5(i::text) AS hash, i * 1.5 AS amount, now() AS at FROM generate_series(1, 100000) AS s(i)", "100000")
        took = time.monotonic() - began
        check(said.startswith("100,000 rows"), "all rows", said)
        out = t.page.evaluate(SCROLL, 150)
        eq(0, out["blank"], out)
        check(out["nodes"] < 3000, "the document stays small", out)
        t.page.locator(".grid").hover()
        t.page.evaluate("() => void (document.querySelector('.grid').scrollTop = 0)")
        t.cells()  # drawn
        t.page.evaluate(SAMPLE)
        for _ in range(25):
            t.page.mouse.wheel(0, 2600)
            t.page.wait_for_timeout(16)
        seen = t.page.evaluate("() => (window.enough = true, window.seen)")
        eq(0, seen["blank"], seen)
        t.page.locator(".grid").focus()
        t.page.keyboard.press("Control+End")
        eq("100000", t.cells()[-1][0])
        t.shot("grid")
        print(f"# first paint {paint['first-paint']:.0f} ms, first contentful paint {paint.get('first-contentful-paint', 0):.0f} ms; "
              f"100,000 rows shown after {took:.2f} s; {out['frames']} + {seen['frames']} frames scrolled, 0 blank, "
              f"slowest {out['worst']:.0f} ms; {out['nodes']} nodes in the document")


HERE = """() => {
  const g = document.querySelector('.grid'), box = g.getBoundingClientRect(), c = g.querySelector('.here').getBoundingClientRect();
  return c.top >= g.querySelector('.grid-head').getBoundingClientRect().bottom - 1 && c.bottom <= box.top + g.clientHeight + 1 &&
      c.left >= g.querySelector('.num').getBoundingClientRect().right - 1 && c.right <= box.left + g.clientWidth + 1;
}"""


@case
def a_thousand_columns():
    columns = ", ".join(f"i + {k} AS col_{k}" for k in range(1000))
    with tab(gw(), token("ada")) as t:
        t.sign_in()
        t.choose("warehouse")
        eq("1,000 rows", t.run(f"SELECT {columns} FROM generate_series(1, 1000) AS s(i)").split(" · ")[0])
        out = t.page.evaluate(SCROLL, 30)
        eq(0, out["blank"], out)
        check(out["nodes"] < 3000, "the document stays small", out)
        print(f"# 1,000 columns: slowest frame {out['worst']:.0f} ms; {out['nodes']} nodes in the document")
        t.page.locator(".grid").focus()
        t.page.keyboard.press("Control+Home")
        for key in ["ArrowRight"] * 15 + ["ArrowDown"] * 20 + ["End", "ArrowLeft", "Home", "PageDown"]:
            t.page.keyboard.press(key)
            t.cells()
            check(t.page.evaluate(HERE), f"after {key} the cell is in sight")
        t.page.keyboard.press("Control+End")
        t.page.keyboard.press("End")
        t.cells()
        eq("1999", t.page.locator(".here").inner_text())
        eq("col_999", t.page.locator(".grid-head b").last.inner_text())


@case
def millions_of_rows():
    with tab(gw(), token("ada")) as t:
        t.sign_in()
        t.choose("warehouse")
        said = t.run("SELECT i FROM generate_series(1, 1000000) AS s(i)", "")
        check(said.startswith("1,000,000 rows"), "all rows", said)
        t.page.locator(".grid").focus()
        for key in ["ArrowDown"] * 30 + ["PageDown"] * 5 + ["ArrowUp"] * 30 + ["Control+End"] + ["ArrowUp"] * 30:
            t.page.keyboard.press(key)
            check(t.page.evaluate(HERE), f"after {key} the cell is in sight")
        t.page.evaluate("() => void (document.querySelector('.grid').scrollTop = 1e9)")
        eq("1000000", t.cells()[-1][0], "the scroll bar's end is the result's")
        eq(0, t.page.evaluate(SCROLL, 40)["blank"])
        said = t.run("SELECT i FROM generate_series(1, 4000000) AS s(i)", "")  # more than a tab takes
        check(said.startswith("2,000,000 rows") and "more rows exist" in said, "cut, and said so", said)
        eventually("it is over at the gateway", lambda: not running(gw()), t.page)


@case
def cancel_ends_it_at_the_gateway():
    g = gw()
    with tab(g, token("ada")) as t:
        t.sign_in()
        t.choose("scripted")
        t.page.locator(".bar select").select_option("")
        t.write("SELECT * FROM fake WHERE rows = 2000000 AND delay_ms = 20")  # 50,000 rows a second
        t.page.keyboard.press("Control+Enter")
        t.page.locator(".row").first.wait_for()
        progress = t.page.locator(".status")
        first = progress.inner_text()
        check("Running" in first, "progress", first)
        eventually("the progress goes on", lambda: progress.inner_text() != first, t.page)
        t.page.get_by_role("button", name="Cancel", exact=True).click()
        t.page.locator(".status", has_text="Canceled").wait_for()
        eventually("it is over at the gateway", lambda: not running(g), t.page)
        check(t.page.locator(".row").count() > 5, "rows that came stay")
        t.page.locator(".sources li", has_text="warehouse").click()
        t.page.locator(".tables summary", has_text="orders").wait_for()
        t.write(LONG.replace("a.n", "count(*)"))  # nothing has come yet
        t.page.keyboard.press("Control+Enter")
        eventually("it runs", lambda: running(g), t.page)
        t.page.keyboard.press("Escape")
        t.page.locator(".status", has_text="Canceled").wait_for()
        eventually("it is over at the gateway", lambda: not running(g), t.page)


@case
def live_queries_history_and_chart():
    g = gw()
    with tab(g, token("root", "admin")) as t, tab(g, token("ada")) as other:
        other.sign_in()
        other.choose("warehouse")
        other.write(LONG.replace("a.n", "count(*)"))
        other.page.keyboard.press("Control+Enter")
        eventually("it runs", lambda: running(g), other.page)
        t.sign_in()
        t.choose("warehouse")
        eq("4 rows", t.run("SELECT region, sum(amount) AS revenue FROM orders GROUP BY region ORDER BY 1").split(" · ")[0])
        t.page.get_by_role("button", name="Chart").click()
        t.page.locator(".chart").wait_for()
        eq(4, t.page.locator(".chart rect").count())
        t.page.locator(".charted select").first.select_option("1")
        eq(4, t.page.locator(".chart circle").count())
        t.page.locator(".charted select").first.select_option("0")
        t.shot("chart")
        t.page.get_by_role("tab", name="Live queries").click()
        line = t.page.locator("tbody tr", has_text="ada")
        line.wait_for()
        t.shot("live")
        line.get_by_role("button").click()
        other.wait_idle()
        other.page.locator(".explain b", has_text="QUERY_CANCELED").wait_for()
        line.wait_for(state="detached")
        t.page.get_by_role("tab", name="History").click()
        mine = t.page.locator("tbody tr", has_text="sum(amount)").first
        mine.wait_for()
        t.page.locator("tbody tr", has_text="ada").first.wait_for()
        t.shot("history")
        mine.get_by_role("button", name="Open").click()
        t.page.locator(".cm-content", has_text="sum(amount)").wait_for()


@case
def before_there_is_a_source_and_when_there_are_many():
    g = Gateway({"auth": {"mode": "token", "jwtSecret": SECRET}})
    admin = {"Authorization": "Bearer " + token("root", "admin")}
    with tab(g, token("ada")) as t:
        t.page.clock.install()
        t.sign_in()
        t.page.locator("aside .none", has_text="No data source").wait_for()
        t.write("SELECT * FROM fake")
        t.page.keyboard.press("Control+Enter")
        t.page.locator(".status", has_text="No data source").wait_for()
        for i in range(12):
            r = g.post("/api/v1/datasources", {"name": f"source-{i:02}", "type": "fake", "config": {}}, headers=admin)
            eq(200, g.post(f"/api/v1/datasources/{r.data['id']}/activate", headers=admin).status, r)
        t.page.clock.run_for(11_000)
        t.page.locator(".sources li[aria-selected=true]", has_text="source-00").wait_for()
        eq(12, t.page.locator(".sources li").count())
    with tab(g, token("ada")) as t:
        t.sign_in()
        t.page.locator("aside input").fill("-07")
        eq(1, t.page.locator(".sources li").count())
        t.choose("source-07")
        eq("1 row", t.run("SELECT * FROM fake").split(" · ")[0])


@case
def what_is_copied():
    for clipboard in ("there", "missing"):  # it is missing on plain http
        with tab(gw(), token("ada"), permissions=["clipboard-read", "clipboard-write"]) as t:
            if clipboard == "missing":
                t.page.add_init_script("navigator.clipboard.writeText = undefined")
            t.sign_in()
            t.choose("warehouse")
            t.run("SELECT 'a,b' AS x, 9223372036854775807 AS y")
            read = "() => navigator.clipboard.readText()"
            t.page.get_by_role("button", name="Copy all").click()
            t.page.locator(".status", has_text="Copied").wait_for()
            eq('x,y\n"a,b",9223372036854775807\n', t.page.evaluate(read).replace("\r", ""))
            t.page.locator(".grid").focus()
            t.page.keyboard.press("End")
            t.page.keyboard.press("Control+C")
            eventually("the cell is copied", lambda: t.page.evaluate(read) == "9223372036854775807", t.page)
            check(t.page.evaluate("() => document.activeElement.className === 'grid'"), "the focus stays")
            t.page.keyboard.press("Home")
            t.page.keyboard.press("Enter")
            t.page.locator("dialog").get_by_role("button", name="Copy").click()
            eventually("the value is copied", lambda: t.page.evaluate(read) == "a,b", t.page)
            t.page.keyboard.press("Escape")


@case
def a_selection_runs_alone():
    with tab(gw(), token("ada")) as t:
        t.sign_in()
        t.choose("warehouse")
        t.write("SELECT 'ü 中 🦆' AS one\nSELECT 'ü' AS u, amout FROM orders")
        t.page.keyboard.press("Control+End")
        t.page.keyboard.press("Shift+Home")
        t.page.keyboard.press("Control+Enter")
        t.page.locator(".explain b", has_text="UNDEFINED_OBJECT").wait_for()
        eq("amout", t.page.locator(".cm-lintRange-error").inner_text())
        t.page.locator(".explain p button", has_text="amount").click()
        t.page.locator(".cm-content", has_text="amount FROM orders").wait_for()
        t.page.keyboard.press("Control+Home")
        t.page.keyboard.press("Shift+End")
        t.page.keyboard.press("Control+Enter")
        t.wait_idle()
        eq([["ü 中 🦆"]], t.cells())


@case
def by_keyboard_alone():
    with tab(gw(), token("ada")) as t:
        t.open()
        t.page.locator("input[name=credential]:focus").wait_for()
        t.page.keyboard.type(t.token)
        t.page.keyboard.press("Enter")
        t.page.locator(".sources li[aria-selected=true]").wait_for()
        t.page.locator(".tables:not(:has-text('…'))").wait_for()
        t.page.locator(".cm-content").focus()  # where it starts out
        t.page.keyboard.insert_text("SELECT id, region FROM orders ORDER BY id")
        t.page.keyboard.press("Control+Enter")
        t.wait_idle()

        def focus_is(selector):
            return t.page.evaluate("(s) => !!document.activeElement?.closest(s)", selector)

        def walk_to(selector, key="Tab"):
            for _ in range(60):
                t.page.keyboard.press(key)
                ring = t.page.evaluate("""() => { const e = document.activeElement, s = getComputedStyle(e);
                    return e === document.body || e.shadowRoot !== null || s.outlineStyle !== 'none' }""")
                check(ring, "the focus is seen", t.page.evaluate("() => document.activeElement.outerHTML.slice(0, 200)"))
                if focus_is(selector):
                    return
            raise nxtest.Failed(f"{selector} is not reached")
        walk_to(".grid")
        t.page.keyboard.press("ArrowDown")
        t.page.keyboard.press("ArrowRight")
        t.page.keyboard.press("Enter")
        eq(t.cells()[1][1], t.page.locator("dialog pre").inner_text())
        t.page.keyboard.press("Escape")
        t.page.locator("dialog").wait_for(state="detached")
        check(focus_is(".grid"), "the focus is back")
        walk_to(".sources li", "Shift+Tab")
        t.page.keyboard.press("ArrowDown")
        t.page.keyboard.press("Enter")
        t.page.locator(".sources li[aria-selected=true]:nth-child(2)").wait_for()
        walk_to(".tabs button", "Shift+Tab")
        t.page.keyboard.press("ArrowRight")
        t.page.locator(".tabs button[aria-selected=true]", has_text="Live").wait_for()
        t.page.keyboard.press("ArrowRight")
        t.page.locator("table").wait_for()


@case
def what_sources_and_people_write_stays_text():
    g = gw()
    with tab(g, token(f"eve {HOSTILE}", "admin")) as t:
        t.sign_in()
        t.choose(HOSTILE)
        t.run(f"SELECT '{HOSTILE}' AS \"{HOSTILE}\", '<script>window.hit=1</script>' AS b, '\"><svg onload=window.hit=1>' AS c")
        eq([HOSTILE, "<script>window.hit=1</script>", '"><svg onload=window.hit=1>'], t.cells()[0])
        t.page.locator(".row [role=gridcell]").first.dblclick()
        eq(HOSTILE, t.page.locator("dialog pre").inner_text())
        t.page.keyboard.press("Escape")
        t.run(f"SELECT 1 AS x FROM \"{HOSTILE} too\"")
        t.page.locator(".explain", has_text="onerror").or_(t.page.locator(".explain b")).first.wait_for()
        t.run(f"SELECT x AS \"{HOSTILE}\", y FROM (VALUES ('{HOSTILE}', 1)) AS v(x, y)")
        t.page.get_by_role("button", name="Chart").click()
        t.page.locator(".chart text", has_text="<img").first.wait_for()
        t.page.locator(".tables summary", has_text="onerror").click()
        t.page.locator(".tables .column", has_text="onerror").click()
        t.page.keyboard.type(" onerr", delay=20)
        t.page.locator(".cm-tooltip-autocomplete li", has_text="<img").first.wait_for()
        for name in ("Live queries", "History"):
            t.page.get_by_role("tab", name=name).click()
            t.page.wait_for_timeout(300)
        t.shot("hostile")
        eq(None, t.page.evaluate("() => window.hit ?? null"))
        eq(0, t.page.locator("img").count())


@case
def languages_themes_and_widths():
    g = gw()
    with tab(g, token("ada"), lang="zh", theme="dark") as t:
        t.open()
        t.page.get_by_role("button", name="登录").wait_for()
        t.sign_in()
        t.choose("warehouse")
        t.run("SELECT * FROM orders ORDER BY id")
        eq("dark", t.page.evaluate("() => document.documentElement.dataset.theme"))
        eq("zh", t.page.evaluate("() => document.documentElement.lang"))
        t.shot("zh-dark")
        t.page.get_by_role("tab", name="历史").click()
        t.page.locator(".outcome", has_text="完成").first.wait_for()
        t.shot("zh-history")
        t.page.get_by_role("button", name="English").click()
        t.page.get_by_role("tab", name="History").wait_for()
        t.page.get_by_role("button", name="Theme").click()
        eq("light", t.page.evaluate("() => document.documentElement.dataset.theme"))
        t.page.reload()  # both are kept
        t.page.get_by_role("tab", name="History").wait_for()
        eq("light", t.page.evaluate("() => document.documentElement.dataset.theme"))
    for width in (400, 800, 1600):
        with tab(g, token("ada"), width=width, height=900) as t:
            t.sign_in()
            t.choose("warehouse")
            t.run("SELECT * FROM orders ORDER BY id")
            check(t.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), f"no sideways scrolling at {width}")
            box = t.page.locator(".grid").bounding_box()
            check(box["height"] > 150 and box["width"] > 300, "the result has room", box)
            t.shot(f"width-{width}")
            t.page.get_by_role("button", name="Chart").click()
            box = t.page.locator(".chart").bounding_box()
            check(box["height"] > 170 and box["width"] > 300, "the chart has room", box)
            t.shot(f"chart-{width}")
            t.open("/docs")
            t.page.locator("#query summary").click()
            check(t.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), f"no sideways scrolling at {width}")
            t.shot(f"docs-{width}")


@case
def the_policy_is_strict_and_said_with_every_page():
    g = gw()
    chromium()
    for path in ("/", "/docs"):
        r = g.call("GET", path, api=False)
        policy = r.header("Content-Security-Policy")
        for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"):
            check(part in policy, part, policy)
        check("unsafe" not in policy and "http:" not in policy and "https:" not in policy, "nothing unsafe", policy)
        check(b"<script>" not in r.body and b"style=" not in r.body and b"onload" not in r.body, "nothing inline", r)
        eq("nosniff", r.header("X-Content-Type-Options"))
    check(g.call("GET", "/assets/../../etc/passwd", api=False).status in (400, 404), "no way out of the folder")
    eq(404, g.call("GET", "/assets/nothing.js", api=False).status)


@case
def the_page_of_the_api():
    with tab(gw(), token("ada")) as t:
        t.open("/docs")
        t.page.locator("#query summary").wait_for()
        paths = json.loads(gw().raw_get("/openapi.json"))["paths"]
        eq(sum(len(ops) for ops in paths.values()), t.page.locator(".operation").count())
        t.page.locator("#query summary").click()
        t.page.locator("#query table").first.wait_for()
        t.page.locator("#health summary").click()
        t.page.locator("#health").get_by_role("button").click()
        t.page.locator("#health .answer", has_text="HTTP 200").wait_for()
        t.shot("docs")


@case
def no_serious_finding_of_axe():
    path = os.path.join(ROOT, ".cache/console-tests/node_modules/axe-core/axe.min.js")
    if not os.path.exists(path):
        skip("axe-core is not there (tools/browser-tests.sh)")
    g, found = gw(), []
    for theme in ("light", "dark"):
        with tab(g, token("root", "admin"), theme=theme, bypass_csp=True) as t:
            def look(where):
                t.page.add_script_tag(path=path)
                r = t.page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
                for v in r["violations"]:
                    if v["impact"] in ("serious", "critical"):
                        found.append((theme, where, v["id"], v["nodes"][0]["html"][:160], v["nodes"][0]["failureSummary"][:300]))
            t.open()
            t.page.locator("form").wait_for()
            look("sign in")
            t.sign_in()
            t.choose("warehouse")
            t.page.locator(".tables summary", has_text="orders").click()
            t.run("SELECT *, NULL AS nothing, '[1]'::jsonb AS nested FROM orders ORDER BY id")
            look("result")
            t.page.get_by_role("button", name="Chart").click()
            t.page.locator(".chart").wait_for()
            look("chart")
            t.page.get_by_role("button", name="Result").click()
            t.page.locator(".row [role=gridcell]").first.dblclick()
            look("a value")
            t.page.keyboard.press("Escape")
            t.run("DELETE FROM orders")
            look("refusal")
            for name in ("Live queries", "History"):
                t.page.get_by_role("tab", name=name).click()
                t.page.wait_for_timeout(200)
                look(name)
            t.page.set_viewport_size({"width": 400, "height": 800})
            look("narrow")
            t.open("/docs")
            t.page.locator("#query summary").click()
            look("docs")
    eq([], found)


main()
