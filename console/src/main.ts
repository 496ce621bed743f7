import { ApiError, call, run, session, type Query, type Source, type TableInfo } from "./api.ts";
import { chart } from "./chart.ts";
import { add, fill, h } from "./dom.ts";
import { Editor } from "./editor.ts";
import { bytes, cellText, csv, json } from "./format.ts";
import { Grid } from "./grid.ts";
import { lang, t, type Key } from "./i18n.ts";
import type { Failure } from "./stream.ts";

const app = document.getElementById("app")!;
const SQL_KEY = "nexus-sql";
const THEME_KEY = "nexus-theme";

function theme(next?: string): void {
  if (next) localStorage.setItem(THEME_KEY, next);
  const kept = localStorage.getItem(THEME_KEY);
  document.documentElement.dataset["theme"] = kept ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

function failureOf(e: unknown): Failure {
  if (e instanceof ApiError) return e.failure;
  return { code: "UNREACHABLE", message: t("broken") };
}

function save(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function when(text?: string): string {
  return text ? new Date(text).toLocaleString(lang.get() === "zh" ? "zh-CN" : undefined) : "";
}

/* ---- sign in ---- */

async function start(): Promise<void> {
  theme();
  lang.set(lang.get());
  try {
    const d = await call<{ dataSources: Source[] }>("GET", "/api/v1/datasources?limit=1000");
    new Console(d.dataSources);
  } catch (e) {
    const status = e instanceof ApiError ? e.status : 0;
    signIn(session.get() && status === 401 ? t("wrongCredential") : status === 401 ? "" : failureOf(e).message);
  }
}

function signIn(problem: string): void {
  session.set("");
  const field = h("input", { type: "password", name: "credential", autocomplete: "off", spellcheck: "false", "aria-label": t("credential"), placeholder: t("credential"), required: true });
  const form = h(
    "form",
    { class: "card", submit: (e) => (e.preventDefault(), session.set(field.value.trim()), void start()) },
    h("div", { class: "mark", "aria-hidden": "true" }),
    h("h1", {}, t("title")),
    field,
    h("p", { class: "problem", role: "alert" }, problem),
    h("button", { class: "primary", type: "submit" }, t("signIn")),
    h("p", { class: "hint" }, t("signInHint")),
  );
  fill(app, h("main", { class: "door" }, form, h("footer", {}, tools())));
  field.focus();
}

function tools(): HTMLElement {
  return h(
    "span",
    { class: "tools" },
    h("button", { class: "quiet", click: () => (theme(document.documentElement.dataset["theme"] === "dark" ? "light" : "dark")) }, t("theme")),
    h("button", { class: "quiet", lang: lang.get() === "zh" ? "en" : "zh", click: () => (lang.set(lang.get() === "zh" ? "en" : "zh"), void start()) }, t("language")),
    h("a", { class: "quiet", href: "/docs" }, t("docs")),
  );
}

/* ---- the console ---- */

class Console {
  private source?: Source;
  private editor: Editor;
  private grid = new Grid(t("result"));
  private list = h("ul", { class: "sources", role: "listbox", "aria-label": t("sources") });
  private tables = h("div", { class: "tables" });
  private status = h("div", { class: "status", role: "status", "aria-live": "polite" });
  private problem = h("div", { class: "explain", role: "alert" });
  private output = h("div", { class: "output" });
  private stage = h("section", { class: "stage" });
  private runButton = h("button", { class: "primary", click: () => void this.run() }, t("run"));
  private cancelButton = h("button", { click: () => this.cancel() }, t("cancel"));
  private limit = h("select", { "aria-label": t("limit") });
  private parameters = h("input", { class: "parameters", placeholder: t("parameters"), "aria-label": t("parameters"), spellcheck: "false" });
  private abort?: AbortController;
  private queryId = "";
  private tab: "queries" | "live" | "history" = "queries";
  private tabs = h("nav", { class: "tabs", role: "tablist" });
  private timer = 0;

  constructor(private sources: Source[]) {
    this.editor = new Editor(t("statement"), t("welcome"), () => void this.run(), () => this.cancel(), (s) => sessionStorage.setItem(SQL_KEY, s));
    for (const n of ["100", "1000", "10000", "100000", ""]) this.limit.append(h("option", { value: n, selected: n === "1000" }, n || t("noLimit")));
    const filter = h("input", { type: "search", placeholder: t("filter"), "aria-label": t("filter"), input: () => this.drawSources(filter.value) });
    fill(
      app,
      h(
        "div",
        { class: "frame" },
        h("header", {}, h("span", { class: "mark", "aria-hidden": "true" }), h("h1", {}, t("title")), this.tabs, tools(), session.get() && h("button", { class: "quiet", click: () => signIn("") }, t("signOut"))),
        h("aside", {}, h("h2", {}, t("sources")), sources.length > 7 && filter, this.list, h("h2", {}, t("tables")), this.tables),
        this.stage,
      ),
    );
    this.grid.onOpen = (r, c) => this.open(r, c);
    addEventListener("keydown", (e) => e.key === "Escape" && this.cancel());
    this.drawSources("");
    this.show("queries");
    this.editor.set(sessionStorage.getItem(SQL_KEY) ?? "");
    const kept = sources.find((s) => s.id === sessionStorage.getItem("nexus-source")) ?? sources[0];
    if (kept) void this.choose(kept);
    this.idle();
  }

  private drawSources(filter: string): void {
    const some = this.sources.filter((s) => (s.name + s.type + s.description).toLowerCase().includes(filter.toLowerCase()));
    fill(
      this.list,
      ...some.slice(0, 500).map((s) => {
        const word = (s.driverBuilt ? (s.health ?? "unknown") : "unknown") as "healthy";
        const label = s.driverBuilt ? (s.status === "active" ? t(`health_${word}` as Key) : s.status) : t("notBuilt");
        return h(
          "li",
          { role: "option", tabindex: 0, "aria-selected": s === this.source ? "true" : "false", title: s.description || label, click: () => void this.choose(s), keydown: (e) => ["Enter", " "].includes((e as KeyboardEvent).key) && (e.preventDefault(), void this.choose(s)) },
          h("span", { class: "dot " + (s.status === "active" ? word : s.status), "aria-hidden": "true" }),
          h("span", { class: "name" }, s.name),
          h("span", { class: "kind" }, s.type),
          h("span", { class: "unseen" }, label),
        );
      }),
    );
    if (!this.sources.length) fill(this.list, h("li", { class: "none" }, t("noSources")));
  }

  private async choose(s: Source): Promise<void> {
    this.source = s;
    sessionStorage.setItem("nexus-source", s.id);
    this.drawSources("");
    fill(this.tables, h("p", { class: "none" }, t("loading") + "…"));
    this.editor.source(s.type, []);
    try {
      const d = await call<{ tables: TableInfo[] }>("GET", `/api/v1/datasources/${s.id}/schema?columns=true&limit=2000`);
      if (this.source !== s) return;
      this.editor.source(s.type, d.tables);
      this.drawTables(d.tables);
    } catch (e) {
      if (this.source === s) fill(this.tables, h("p", { class: "none" }, failureOf(e).message));
    }
  }

  private drawTables(tables: TableInfo[]): void {
    fill(
      this.tables,
      ...tables.slice(0, 500).map((table) =>
        h(
          "details",
          {},
          h("summary", { title: table.comment ?? "" }, h("span", { class: "name" }, table.name), h("span", { class: "kind" }, table.schema ?? "")),
          ...(table.columns ?? []).map((c) =>
            h("button", { class: "column", title: c.nativeType, click: () => this.editor.insert(c.name) }, h("span", { class: "name" }, c.name), h("span", { class: "kind" }, c.nativeType.toLowerCase())),
          ),
        ),
      ),
    );
    if (!tables.length) fill(this.tables, h("p", { class: "none" }, t("none")));
  }

  /* -- tabs -- */

  private show(tab: "queries" | "live" | "history"): void {
    this.tab = tab;
    clearInterval(this.timer);
    fill(
      this.tabs,
      ...(["queries", "live", "history"] as const).map((k) => h("button", { role: "tab", "aria-selected": k === tab ? "true" : "false", click: () => this.show(k) }, t(k))),
    );
    if (tab === "queries") {
      fill(
        this.stage,
        h("div", { class: "bar" }, this.runButton, this.cancelButton, h("button", { click: () => void this.run("EXPLAIN ") }, t("explain")), h("label", {}, t("limit") + " ", this.limit), this.parameters, h("span", { class: "hint" }, t("hint"))),
        this.editor.element,
        this.problem,
        h("div", { class: "bar under" }, this.status, this.actions()),
        this.output,
      );
      fill(this.output, this.grid.element);
      this.editor.focus();
      return;
    }
    const draw = tab === "live" ? () => this.drawLive() : () => this.drawHistory();
    void draw();
    if (tab === "live") this.timer = window.setInterval(() => void draw(), 1500);
  }

  private actions(): HTMLElement {
    const all = (): unknown[][] => this.grid.rows;
    const names = (): string[] => this.grid.columns.map((c) => c.name);
    return h(
      "span",
      { class: "actions" },
      h("button", { class: "quiet", click: () => fill(this.output, this.grid.element) }, t("result")),
      h("button", { class: "quiet", click: () => this.drawChart() }, t("chart")),
      h("button", { class: "quiet", click: () => void navigator.clipboard?.writeText(csv(names(), all())) }, t("copyAll")),
      h("button", { class: "quiet", click: () => save("result.csv", "text/csv", csv(names(), all())) }, t("csv")),
      h("button", { class: "quiet", click: () => save("result.json", "application/json", json(names(), all())) }, t("json")),
    );
  }

  private drawChart(): void {
    const box = this.output.getBoundingClientRect();
    const picture = chart(this.grid.columns, this.grid.rows, Math.max(320, box.width - 24), Math.max(200, box.height - 16));
    fill(this.output, picture ?? h("p", { class: "none" }, t("noChart")));
  }

  private async table(rows: HTMLElement[], heads: string[]): Promise<void> {
    fill(this.stage, h("div", { class: "scroll" }, rows.length ? h("table", {}, h("thead", {}, h("tr", {}, ...heads.map((x) => h("th", { scope: "col" }, x)))), h("tbody", {}, ...rows)) : h("p", { class: "none" }, t("none"))));
  }

  private name(id?: string): string {
    return this.sources.find((s) => s.id === id)?.name ?? "";
  }

  private async drawLive(): Promise<void> {
    try {
      const d = await call<{ queries: Query[] }>("GET", "/api/v1/queries");
      if (this.tab !== "live") return;
      const over = new Set(["completed", "failed", "timed_out", "canceled", "rejected"]);
      const running = d.queries.filter((q) => !over.has(q.state ?? q.status ?? ""));
      await this.table(
        running.map((q) =>
          h("tr", {}, h("td", {}, q.state ?? ""), h("td", {}, q.principal ?? ""), h("td", {}, this.name(q.dataSourceId)), h("td", { class: "sql" }, q.sql ?? ""), h("td", { class: "number" }, String(q.rows ?? 0)), h("td", { class: "number" }, `${q.elapsedMs ?? 0} ${t("ms")}`), h("td", {}, h("button", { click: () => void call("DELETE", "/api/v1/queries/" + q.id).then(() => this.drawLive()) }, t("kill")))),
        ),
        [t("state"), t("who"), t("source"), t("statement"), t("rows"), t("took"), ""],
      );
    } catch (e) {
      await this.table([], []);
      add(this.stage, h("p", { class: "problem" }, failureOf(e).message));
    }
  }

  private async drawHistory(): Promise<void> {
    try {
      const d = await call<{ queries: Query[] }>("GET", "/api/v1/query/history?limit=200");
      if (this.tab !== "history") return;
      const kept = own();
      await this.table(
        d.queries.map((q) => {
          const mine = kept[q.id ?? ""] ?? kept[(q as { queryId?: string }).queryId ?? ""];
          return h("tr", {}, h("td", {}, when(q.startedAt)), h("td", {}, q.principal ?? ""), h("td", {}, this.name(q.dataSourceId ?? (q as { sourceId?: string }).sourceId)), h("td", { class: "outcome " + (q.status ?? "") }, [q.status, q.code && q.code !== "OK" ? q.code : ""].filter(Boolean).join(" · ")), h("td", { class: "number" }, String(q.rows ?? 0)), h("td", { class: "number" }, `${q.elapsedMs ?? ""} ${t("ms")}`), h("td", { class: "sql" }, mine ?? ""), h("td", {}, mine && h("button", { click: () => (this.show("queries"), this.editor.set(mine)) }, t("reopen"))));
        }),
        [t("started"), t("who"), t("source"), t("outcome"), t("rows"), t("took"), t("statement"), ""],
      );
    } catch (e) {
      await this.table([], []);
      add(this.stage, h("p", { class: "problem" }, failureOf(e).message));
    }
  }

  /* -- running -- */

  private idle(): void {
    this.runButton.disabled = false;
    this.cancelButton.disabled = true;
  }

  private async run(before = ""): Promise<void> {
    if (this.abort || !this.source) return;
    const text = this.editor.text;
    if (!text.trim()) return;
    let parameters: unknown;
    if (this.parameters.value.trim())
      try {
        parameters = JSON.parse(this.parameters.value);
        if (!Array.isArray(parameters)) throw new Error();
      } catch {
        this.explain({ code: "BAD_VALUE", message: t("badParameters") }, "", 0);
        return;
      }
    const base = this.editor.offset;
    const began = performance.now();
    const abort = (this.abort = new AbortController());
    this.runButton.disabled = true;
    this.cancelButton.disabled = false;
    this.editor.mark("", 0);
    fill(this.problem);
    this.grid.clear([]);
    fill(this.output, this.grid.element);
    let size = 0;
    const tick = (): void => {
      const s = ((performance.now() - began) / 1000).toFixed(1);
      fill(this.status, h("span", { class: "spin", "aria-hidden": "true" }), ` ${t("running")} · ${this.grid.rows.length.toLocaleString()} ${t("rows")} · ${bytes(size)} · ${s} s`);
    };
    tick();
    const timer = setInterval(tick, 200);
    try {
      const body: Record<string, unknown> = { dataSourceId: this.source.id, sql: before + text, limit: this.limit.value ? Number(this.limit.value) : null };
      if (parameters) body["parameters"] = parameters;
      const end = await run(body, abort.signal, {
        started: (id) => ((this.queryId = id), keep(id, text)),
        columns: (c) => this.grid.clear(c),
        row: (r) => this.grid.push(r),
        bytes: (n) => (size = n),
      });
      clearInterval(timer);
      const n = this.grid.rows.length;
      const ms = end.metadata?.executionTimeMs;
      fill(this.status, `${n.toLocaleString()} ${n === 1 ? t("row") : t("rows")} · ${bytes(size)}${ms === undefined ? "" : ` · ${ms} ${t("ms")}`}${end.metadata?.hasMore ? ` · ${t("more")}` : ""}`);
      if (end.error) this.explain(end.error, text, base - before.length);
    } catch (e) {
      clearInterval(timer);
      if (abort.signal.aborted) fill(this.status, t("canceled"));
      else {
        fill(this.status, e instanceof ApiError && e.status === 403 ? t("refused") : t("failed"));
        this.explain(failureOf(e), before + text, base - before.length);
      }
    } finally {
      clearInterval(timer);
      this.abort = undefined;
      this.idle();
      this.grid.soon();
    }
  }

  private explain(f: Failure, text: string, base: number): void {
    const at = f.details?.position;
    fill(this.problem, h("b", {}, f.code), " ", f.message, at !== undefined && h("span", { class: "hint" }, ` (${t("byte")} ${at}${f.details?.token ? `: ${f.details.token}` : ""})`));
    if (text) this.editor.mark(text, Math.max(0, base), { message: f.message, position: at, token: f.details?.token });
  }

  private cancel(): void {
    if (!this.abort) return;
    if (this.queryId) void call("DELETE", "/api/v1/queries/" + this.queryId).catch(() => undefined);
    this.abort.abort();
  }

  private open(row: number, column: number): void {
    const v = this.grid.rows[row]?.[column];
    const text = typeof v === "object" && v !== null ? JSON.stringify(v, null, 2) : cellText(v);
    const dialog = h("dialog", { "aria-label": t("value") }, h("h2", {}, this.grid.columns[column]?.name ?? ""), h("pre", { tabindex: 0 }, text), h("div", { class: "bar" }, h("button", { click: () => void navigator.clipboard?.writeText(text) }, t("copy")), h("button", { class: "primary", click: () => dialog.close() }, t("close"))));
    dialog.addEventListener("close", () => (dialog.remove(), this.grid.element.focus()));
    document.body.append(dialog);
    dialog.showModal();
  }
}

/** Statements of this tab by query id, for the history: the gateway itself keeps fingerprints only. */
function own(): Record<string, string> {
  try {
    return JSON.parse(sessionStorage.getItem("nexus-own") ?? "{}") as Record<string, string>;
  } catch {
    return {};
  }
}

function keep(id: string, text: string): void {
  const all = Object.entries(own()).slice(-199);
  all.push([id, text.slice(0, 10_000)]);
  sessionStorage.setItem("nexus-own", JSON.stringify(Object.fromEntries(all)));
}

void start();
