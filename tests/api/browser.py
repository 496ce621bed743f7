"""A headless Chromium on the console: pages that watch what must not happen while a test uses them."""
import contextlib
import os
import re
import shutil
import time
import urllib.parse

import nxtest
from nxtest import ROOT, check, eq, skip
from observers import need

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]
SHOTS = os.environ.get("NEXUS_SCREENSHOTS")  # a folder to keep pictures in

WATCH = """
window.violations = [];
addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective + ' ' + e.blockedURI));
"""


def chromium():
    if "chromium" not in nxtest.shared:
        api = need("playwright.sync_api")
        path = shutil.which("chromium")
        if not path:
            skip("no chromium here (Debian package chromium)")
        if not os.path.exists(os.path.join(ROOT, "console", "dist", "index.html")):
            check(not os.path.exists(os.path.join(ROOT, "console", "node_modules", "vite")), "the console does not build")
            skip("the console is not built (npm is missing, or see tools/console.sh)")
        driver = api.sync_playwright().start()
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        nxtest.shared["chromium"] = browser

        def stop():
            browser.close()
            driver.stop()
        nxtest.closers.insert(0, stop)
    return nxtest.shared["chromium"]


class Tab:
    """One tab with a session of its own. `page` is Playwright's."""

    def __init__(self, g, token=None, lang="en", theme="light", width=1280, height=800, **options):
        self.g, self.token = g, token
        self.origin = f"http://127.0.0.1:{g.port}"
        self.context = chromium().new_context(viewport={"width": width, "height": height}, color_scheme=theme,
                                              locale={"en": "en-GB", "zh": "zh-CN"}[lang], **options)
        self.context.set_default_timeout(10000 * nxtest.SLOW)
        self.context.add_init_script(WATCH)
        self.page = self.context.new_page()
        self.asked, self.wrong = [], []
        self.page.on("request", lambda r: self.asked.append(r.url))
        self.page.on("pageerror", lambda e: self.wrong.append(f"exception: {e}"))
        self.page.on("dialog", lambda d: (self.wrong.append(f"dialog: {d.message}"), d.dismiss()))
        self.page.on("console", self.heard)

    def heard(self, message):
        if message.type in ("error", "warning") and "the server responded with a status of 4" not in message.text:
            self.wrong.append(f"{message.type}: {message.text}")

    def open(self, path="/"):
        self.page.goto(self.origin + path)
        return self

    def sign_in(self):
        self.open()
        self.page.fill("input[name=credential]", self.token)
        self.page.keyboard.press("Enter")
        self.page.locator(".frame").wait_for()
        return self

    def write(self, sql):
        self.page.locator(".cm-content").click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(sql)

    def run(self, sql, limit=None):
        """Runs and waits for the end; the words of the status line."""
        if limit is not None:
            self.page.locator(".bar select").select_option(limit)
        self.write(sql)
        self.page.keyboard.press("Control+Enter")
        self.wait_idle()
        return self.page.locator(".status").inner_text()

    def wait_idle(self):
        self.page.locator(".status:not(:has(.spin))").wait_for()
        self.page.locator(".bar button.primary:enabled").wait_for()

    def choose(self, source):
        self.page.locator(".sources li", has_text=source).first.click()
        self.page.locator(".sources li[aria-selected=true]", has_text=source).wait_for()
        self.page.locator(".tables:not(:has-text('…'))").wait_for()

    def cells(self):
        """The rows in sight as texts, without their numbers."""
        self.page.evaluate("() => new Promise((go) => requestAnimationFrame(() => setTimeout(go)))")
        return self.page.evaluate("""() => [...document.querySelectorAll('.row')].map((r) =>
            [...r.querySelectorAll('[role=gridcell]')].map((c) => c.textContent))""")

    def shot(self, name):
        if SHOTS:
            os.makedirs(SHOTS, exist_ok=True)
            self.page.screenshot(path=os.path.join(SHOTS, name + ".png"))

    def close(self):
        """What holds for every page: nothing failed, nothing foreign was asked for, no secret stayed anywhere."""
        eq([], self.wrong)
        eq([], self.page.evaluate("() => window.violations ?? []"))
        for url in self.asked:
            check(url.startswith((self.origin + "/", "blob:" + self.origin, "data:")), "a foreign address", url)
            if self.token:
                check(self.token not in urllib.parse.unquote(url), "a token in a URL", url)
        if self.token and not self.page.url.startswith("about:"):
            check(self.token not in self.page.evaluate("() => JSON.stringify(localStorage) + document.cookie"),
                  "a token that outlives the tab")
        self.context.close()


@contextlib.contextmanager
def tab(g, token=None, **options):
    t = Tab(g, token, **options)
    try:
        yield t
    except BaseException:
        t.shot("failed")
        with contextlib.suppress(Exception):
            print("# " + re.sub(r"\s+", " ", t.page.locator("body").inner_text())[:600])
            print(f"# {t.wrong}")
        t.context.close()
        raise
    t.close()


def eventually(what, fn, page, seconds=10):
    """until() for a page: its events come in only while Playwright is asked."""
    end = time.monotonic() + seconds * nxtest.SLOW
    while not fn():
        check(time.monotonic() < end, f"after {seconds} s still not: {what}")
        page.wait_for_timeout(50)
