import { ApiError, call, run, type Judgement, type Source, type TableInfo } from "./api.ts";
import { failureOf, save } from "./app.ts";
import { chart } from "./chart.ts";
import { add, copy, fill, h } from "./dom.ts";
import { Editor } from "./editor.ts";
import { bytes, cellText, csv, json, Nested } from "./format.ts";
import { Grid } from "./grid.ts";
import { t } from "./i18n.ts";
import { own } from "./own.ts";
import type { End, Failure } from "./stream.ts";

const SQL_KEY = "nexus-sql";
const LIMITS = ["100", "1000", "10000", "100000", ""];
const MOST_ROWS = 2_000_000; // in a tab; what is longer is cut and ended
const MOST_BYTES = 256 << 20;

/** Editor, run and cancel, explanations, and the result as a grid or a chart. */
export class Workbench {
  readonly element: HTMLElement;
  private chosen?: Source;
  private editor: Editor;
  private grid = new Grid(t("result"));
  private status = h("div", { class: "status", role: "status", "aria-live": "polite" });
  private problem = h("div", { class: "explain", role: "alert" });
  private output = h("div", { class: "output" }, this.grid.element);
  private runButton = h("button", { class: "primary", click: () => void this.run() }, t("run"));
  private explainButton = h("button", { click: () => void this.plan() }, t("explain"));
  private cancelButton = h("button", { disabled: true, click: () => this.cancel() }, t("cancel"));
  private limit = h("select", { "aria-label": t("limit") });
  private parameters = h("input", {
    class: "parameters",
    placeholder: t("parameters"),
    "aria-label": t("parameters"),
    spellcheck: "false",
  });
  private abort?: AbortController;
  private queryId = "";

  constructor() {
    const kept = (text: string): void => sessionStorage.setItem(SQL_KEY, text);
    this.editor = new Editor(t("statement"), t("welcome"), () => void this.run(), () => this.cancel(), kept);
    this.editor.set(sessionStorage.getItem(SQL_KEY) ?? "");
    for (const n of LIMITS) this.limit.append(h("option", { value: n, selected: n === "1000" }, n || t("noLimit")));
    this.grid.onOpen = (r, c) => this.open(r, c);
    const limit = h("label", {}, t("limit") + " ", this.limit);
    const hint = h("span", { class: "hint" }, t("hint"));
    this.element = h(
      "div",
      { class: "bench" },
      h("div", { class: "bar" }, this.runButton, this.cancelButton, this.explainButton, limit, this.parameters, hint),
      this.editor.element,
      this.problem,
      h("div", { class: "bar under" }, this.status, this.actions()),
      this.output,
    );
  }

  source(s: Source, tables: TableInfo[]): void {
    this.chosen = s;
    this.editor.source(s.type, tables);
  }
  insert(text: string): void {
    this.editor.insert(text);
  }
  set(text: string): void {
    this.editor.set(text);
  }
  focus(): void {
    this.editor.focus();
  }

  private actions(): HTMLElement {
    const names = (): string[] => this.grid.columns.map((c) => c.name);
    const text = (form: typeof csv): string => form(names(), this.grid.rows);
    const doing = (label: string, click: () => void): HTMLElement => h("button", { class: "quiet", click }, label);
    return h(
      "span",
      { class: "actions" },
      doing(t("result"), () => fill(this.output, this.grid.element)),
      doing(t("chart"), () => this.drawChart()),
      doing(t("copyAll"), async () => fill(this.status, (await copy(text(csv))) ? t("copied") : t("notCopied"))),
      doing(t("csv"), () => save("result.csv", "text/csv", text(csv))),
      doing(t("json"), () => save("result.json", "application/json", text(json))),
    );
  }

  private drawChart(): void {
    fill(this.output, chart(this.grid.columns, this.grid.rows));
  }

  /* -- running -- */

  /** Undefined: what stands in the field is no list. */
  private values(): unknown[] | undefined {
    const text = this.parameters.value.trim();
    if (!text) return [];
    try {
      const v: unknown = JSON.parse(text);
      return Array.isArray(v) ? v : undefined;
    } catch {
      return undefined;
    }
  }

  private busy(yes: boolean): void {
    this.runButton.disabled = this.explainButton.disabled = yes;
    this.cancelButton.disabled = !yes;
  }

  private plan(): Promise<void> {
    if (/^\s*explain\b/i.test(this.editor.text)) return this.run();
    return this.run(this.chosen?.type === "sqlite" ? "EXPLAIN QUERY PLAN " : "EXPLAIN ");
  }

  private async run(before = ""): Promise<void> {
    const text = this.editor.text;
    if (this.abort || !text.trim()) return;
    if (!this.chosen) return fill(this.status, t("noSources"));
    const base = this.editor.offset - before.length;
    const values = this.values();
    this.editor.mark("", 0);
    fill(this.problem);
    if (!values) return this.explain({ code: "BAD_VALUE", message: t("badParameters") }, "", 0);
    const body: Record<string, unknown> = { dataSourceId: this.chosen.id, sql: before + text, limit: this.limit.value ? Number(this.limit.value) : null };
    if (values.length) body["parameters"] = values;
    const abort = (this.abort = new AbortController());
    this.queryId = "";
    this.busy(true);
    this.grid.clear([]);
    fill(this.output, this.grid.element);
    let size = 0;
    let full = false; // the tab takes no more
    const began = performance.now();
    const tick = (): void => {
      const s = ((performance.now() - began) / 1000).toFixed(1);
      const so_far = ` ${t("running")} · ${this.grid.rows.length.toLocaleString()} ${t("rows")} · ${bytes(size)} · ${s} s`;
      fill(this.status, h("span", { class: "spin", "aria-hidden": "true" }), so_far);
    };
    tick();
    const timer = setInterval(tick, 200);
    try {
      const end = await run(body, abort.signal, {
        started: (id) => ((this.queryId = id), own.keep(id, text)),
        columns: (c) => this.grid.clear(c),
        row: (r) => this.grid.rows.length < MOST_ROWS && this.grid.push(r),
        bytes: (n) => {
          size = n;
          if (n < MOST_BYTES && this.grid.rows.length < MOST_ROWS) return;
          full = true;
          this.cancel();
        },
      });
      this.done(end, size);
      if (end.error) this.explain(end.error, before + text, base);
    } catch (e) {
      if (full) this.done({ metadata: { hasMore: true } }, size);
      else if (abort.signal.aborted) fill(this.status, t("canceled"));
      else {
        fill(this.status, e instanceof ApiError && e.status === 403 ? t("refused") : t("failed"));
        this.explain(failureOf(e), before + text, base);
        if (before && e instanceof ApiError && e.failure.details?.position === 0) add(this.problem, h("p", {}, t("explainOff")));
        else if (e instanceof ApiError && e.status < 500) void this.advise(body, before + text, base);
      }
    } finally {
      clearInterval(timer);
      this.abort = undefined;
      this.busy(false);
      this.grid.soon();
    }
  }

  private done(end: End, size: number): void {
    const n = this.grid.rows.length;
    const words = [`${n.toLocaleString()} ${n === 1 ? t("row") : t("rows")}`, bytes(size)];
    if (end.metadata?.executionTimeMs !== undefined) words.push(`${end.metadata.executionTimeMs} ${t("ms")}`);
    if (end.metadata?.hasMore) words.push(t("more"));
    fill(this.status, words.join(" · "));
  }

  private explain(f: Failure, text: string, base: number): void {
    const at = f.details?.position;
    const where = at === undefined ? "" : ` (${t("byte")} ${at}${f.details?.token ? `: ${f.details.token}` : ""})`;
    fill(this.problem, h("b", {}, f.code), " ", f.message, h("span", { class: "hint" }, where));
    if (text) this.editor.mark(text, base, { message: f.message, position: at, token: f.details?.token });
  }

  /** What the schema has to say about a statement that failed: names that are not there, and some that are. */
  private async advise(body: Record<string, unknown>, text: string, base: number): Promise<void> {
    try {
      const d = await call<Judgement>("POST", "/api/v1/query/validate", { dataSourceId: body["dataSourceId"], sql: body["sql"] });
      for (const w of d.warnings) {
        const names = w.suggestions.flatMap((s, i) => [i ? ", " : "", h("button", { class: "fix", click: () => this.editor.fix(text, base, w.position, s) }, s)]);
        add(this.problem, h("p", {}, w.message, names.length ? " " : "", ...names));
      }
    } catch {
      /* the refusal itself is shown */
    }
  }

  cancel(): void {
    if (!this.abort) return;
    if (this.queryId) void call("DELETE", "/api/v1/queries/" + this.queryId).catch(() => undefined);
    this.abort.abort();
  }

  private open(row: number, column: number): void {
    const v = this.grid.rows[row]?.[column];
    const text = v instanceof Nested ? v.indented() : cellText(v);
    const copying = h("button", { click: () => void copy(text) }, t("copy"));
    const close = h("button", { class: "primary", click: () => dialog.close() }, t("close"));
    const title = h("h2", {}, this.grid.columns[column]?.name ?? "");
    const dialog: HTMLDialogElement = h("dialog", { "aria-label": t("value") }, title, h("pre", { tabindex: 0 }, text), h("div", { class: "bar" }, copying, close));
    dialog.addEventListener("close", () => (dialog.remove(), this.grid.element.focus()));
    document.body.append(dialog);
    dialog.showModal();
  }
}
